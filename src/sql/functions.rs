//! The functions that views can use. To add one: a row here, and a kernel in `expr/kernels.rs` if
//! it is a plain function of its arguments' values.

use std::ops::RangeInclusive;

use super::expr::{
    Arithmetic, ArithmeticOp, CompareBy, CompareOp, Comparison, DateFormat, Expr, ExprKind, Kernel,
    functions,
};
use super::typing::{
    BIGINT, BOOLEAN, arithmetic, comparable, digits, example, has_element, has_text, is_condition,
    is_dated, is_numeric, is_unsigned, merged, negated, orderable, text_collation, type_name,
};
use crate::value::{Collation, Type, Value, write_json_string};

/// A function of SQL.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How many arguments it takes.
    pub(super) arity: RangeInclusive<usize>,
    /// Types a call, or says why it cannot. `sql` is the call as written.
    pub(super) build: fn(Vec<Expr>, sql: String) -> Result<Expr, String>,
}

const MANY: usize = 1000;

/// All of them, by name.
pub(super) const FUNCTIONS: [Function; 18] = [
    Function { name: "ABS", arity: 1..=1, build: absolute },
    Function { name: "CEIL", arity: 1..=1, build: ceiling },
    Function { name: "CEILING", arity: 1..=1, build: ceiling },
    Function { name: "COALESCE", arity: 1..=MANY, build: coalesce },
    Function { name: "CONCAT", arity: 1..=MANY, build: concat },
    Function { name: "CONCAT_WS", arity: 2..=MANY, build: concat_separated },
    Function { name: "DATE", arity: 1..=1, build: date },
    Function { name: "DATE_FORMAT", arity: 2..=2, build: date_format },
    Function { name: "FLOOR", arity: 1..=1, build: floor },
    Function { name: "GREATEST", arity: 2..=MANY, build: greatest },
    Function { name: "IF", arity: 3..=3, build: choose },
    Function { name: "IFNULL", arity: 2..=2, build: coalesce },
    Function { name: "JSON_ARRAY", arity: 0..=MANY, build: json_array },
    Function { name: "JSON_OBJECT", arity: 0..=MANY, build: json_object },
    Function { name: "LEAST", arity: 2..=MANY, build: least },
    Function { name: "MOD", arity: 2..=2, build: remainder },
    Function { name: "NULLIF", arity: 2..=2, build: null_if },
    Function { name: "ROUND", arity: 1..=2, build: round },
];

/// The function of this name, in upper case.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    static TABLE: [Function; FUNCTIONS.len()] = FUNCTIONS;
    TABLE.iter().find(|function| function.name == name)
}

/// `branches` and ELSE as one expression.
pub(super) fn case(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Result<Expr, String> {
    for (condition, _) in &branches {
        is_condition(condition)?;
    }
    let results: Vec<&Expr> =
        branches.iter().map(|(_, result)| result).chain(otherwise.as_ref()).collect();
    let ty = merged(&results)?;
    if matches!(ty, Type::Text(_)) {
        results.iter().try_for_each(|result| has_text(result))?;
    }
    let nullable = otherwise.is_none() || results.iter().any(|result| result.nullable);
    let otherwise = otherwise.map(Box::new);
    Ok(Expr::new(ExprKind::Case { branches, otherwise }, ty, nullable))
}

/// `left op right`.
pub(super) fn compare(op: CompareOp, left: Expr, right: Expr) -> Result<Expr, String> {
    let (left, right) = (instant_constant(left, right.ty)?, right);
    let (right, left) = (instant_constant(right, left.ty)?, left);
    let as_double = comparable(&left, &right)?;
    let nullable = op != CompareOp::NullSafeEqual && (left.nullable || right.nullable);
    let by = match as_double {
        true => CompareBy::Double,
        false if left.is_ordinal() && right.is_ordinal() && left.ty.orders_with(right.ty) => {
            CompareBy::Ordinal
        }
        false => CompareBy::Value,
    };
    let comparison = Comparison { op, left, right, by };
    Ok(Expr::new(ExprKind::Compare(Box::new(comparison)), BOOLEAN, nullable))
}

/// `left op right` on numbers.
pub(super) fn calculate(
    op: ArithmeticOp,
    left: Expr,
    right: Expr,
    sql: String,
) -> Result<Expr, String> {
    let ty = arithmetic(op, &left, &right)?;
    let divides =
        matches!(op, ArithmeticOp::Divide | ArithmeticOp::DivideWhole | ArithmeticOp::Remainder);
    let nullable = divides || left.nullable || right.nullable;
    let arithmetic = Arithmetic { op, left, right, sql };
    Ok(Expr::new(ExprKind::Arithmetic(Box::new(arithmetic)), ty, nullable))
}

/// A string constant that meets an instant is read as one.
fn instant_constant(constant: Expr, other: Type) -> Result<Expr, String> {
    let ExprKind::Literal(Value::Text(text)) = &constant.kind else { return Ok(constant) };
    let ty = match other {
        Type::Date | Type::DateTime { .. } | Type::Timestamp { .. } => Type::DateTime { fsp: 6 },
        Type::Time { .. } => Type::Time { fsp: 6 },
        _ => return Ok(constant),
    };
    match crate::value::parse_text(ty, text) {
        Some(value) => Ok(Expr::new(ExprKind::Literal(value), ty, false)),
        None => Err(format!(
            "compares {} with '{text}', which is none: write it as {}",
            type_name(other),
            example(other)
        )),
    }
}

fn kernel(
    name: &'static str,
    compute: super::expr::Compute,
    arguments: Vec<Expr>,
    ty: Type,
) -> Expr {
    let nullable = arguments.iter().any(|argument| argument.nullable);
    Expr::new(ExprKind::Call(Kernel { name, compute }, arguments), ty, nullable)
}

/// The single argument of a function of a number.
fn number(arguments: &[Expr]) -> Result<Type, String> {
    match arguments[0].ty {
        Type::Float => Ok(Type::Double),
        ty if is_numeric(ty) => Ok(ty),
        ty => Err(format!("calculates with {}: write a number, or CAST", type_name(ty))),
    }
}

fn widened(ty: Type) -> Type {
    if ty.is_integer() { Type::Int { bytes: 8, unsigned: is_unsigned(ty) } } else { ty }
}

fn absolute(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = widened(number(&arguments)?);
    Ok(kernel("ABS", functions::absolute, arguments, ty))
}

/// `-value`.
pub(super) fn negative(value: Expr) -> Result<Expr, String> {
    let ty = negated(&value)?;
    Ok(kernel("-", functions::negate, vec![value], ty))
}

fn floor(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = whole_type(&arguments)?;
    Ok(kernel("FLOOR", functions::floor, arguments, ty))
}

fn ceiling(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = whole_type(&arguments)?;
    Ok(kernel("CEIL", functions::ceiling, arguments, ty))
}

/// FLOOR and CEIL of a DECIMAL are BIGINT where that surely holds them.
fn whole_type(arguments: &[Expr]) -> Result<Type, String> {
    let ty = number(arguments)?;
    let Type::Decimal { .. } = ty else { return Ok(widened(ty)) };
    let (precision, scale) = digits(&arguments[0]);
    if precision - scale > 18 {
        return Err(
            "takes a DECIMAL of more than 18 digits before the point: CAST it to a smaller one"
                .to_owned(),
        );
    }
    Ok(BIGINT)
}

fn round(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let places = match arguments.get(1).map(|places| &places.kind) {
        None => 0,
        Some(ExprKind::Literal(Value::Int(places))) => (*places).clamp(-100, 100),
        Some(_) => {
            return Err(
                "rounds to a number of digits that is no constant: write ROUND(x, 2)".to_owned()
            );
        }
    };
    let ty = match number(&arguments)? {
        Type::Double => return Err("rounds FLOAT or DOUBLE: CAST to DECIMAL first".to_owned()),
        Type::Decimal { precision, scale } => {
            let kept = u8::try_from(places.max(0)).unwrap_or(u8::MAX).min(scale);
            let carry = u8::from(kept < scale);
            Type::Decimal { precision: (precision - scale + kept + carry).min(65), scale: kept }
        }
        ty => widened(ty),
    };
    arguments.truncate(1);
    let places = Expr::new(ExprKind::Literal(Value::Int(places)), BIGINT, false);
    arguments.push(places);
    Ok(kernel("ROUND", functions::round, arguments, ty))
}

fn greatest(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = extreme_type(&arguments)?;
    Ok(kernel("GREATEST", functions::greatest, arguments, ty))
}

fn least(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = extreme_type(&arguments)?;
    Ok(kernel("LEAST", functions::least, arguments, ty))
}

fn extreme_type(arguments: &[Expr]) -> Result<Type, String> {
    let parts: Vec<&Expr> = arguments.iter().collect();
    let ty = merged(&parts)?;
    let typed = parts.iter().filter(|part| !part.is_null_literal());
    let texts = typed.clone().filter(|part| matches!(part.ty, Type::Text(_))).count();
    if texts > 0 && texts < typed.count() {
        return Err("orders text with other types: CAST to one type".to_owned());
    }
    orderable(&Expr::new(ExprKind::Boolean(false), ty, false), "orders")?;
    Ok(ty)
}

fn remainder(mut arguments: Vec<Expr>, sql: String) -> Result<Expr, String> {
    let (right, left) = (arguments.pop(), arguments.pop());
    match (left, right) {
        (Some(left), Some(right)) => calculate(ArithmeticOp::Remainder, left, right, sql),
        _ => Err("takes two numbers".to_owned()),
    }
}

fn choose(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let otherwise = arguments.pop();
    let (result, condition) = (arguments.pop(), arguments.pop());
    match (condition, result) {
        (Some(condition), Some(result)) => case(vec![(condition, result)], otherwise),
        _ => Err("takes a condition and two values".to_owned()),
    }
}

fn null_if(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let (other, value) = (arguments.pop(), arguments.pop());
    let (Some(value), Some(other)) = (value, other) else {
        return Err("takes two values".to_owned());
    };
    let ty = value.ty;
    let equal = compare(CompareOp::Equal, value.clone(), other)?;
    let null = Expr::new(ExprKind::Literal(Value::Null), ty, true);
    let kind = ExprKind::Case { branches: vec![(equal, null)], otherwise: Some(Box::new(value)) };
    Ok(Expr::new(kind, ty, true))
}

fn coalesce(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let parts: Vec<&Expr> = arguments.iter().collect();
    let ty = merged(&parts)?;
    if matches!(ty, Type::Text(_)) {
        parts.iter().try_for_each(|part| has_text(part))?;
    }
    let nullable = arguments.iter().all(|argument| argument.nullable);
    Ok(Expr::new(ExprKind::Coalesce(arguments), ty, nullable))
}

fn concat(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = joined_text(&arguments)?;
    let nullable = arguments.iter().any(|argument| argument.nullable);
    Ok(Expr::new(ExprKind::Concat(arguments), ty, nullable))
}

fn concat_separated(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = joined_text(&arguments)?;
    let nullable = arguments[0].nullable;
    Ok(Expr::new(ExprKind::ConcatSeparated(arguments), ty, nullable))
}

/// The type of texts one behind the other.
pub(super) fn joined_text(parts: &[Expr]) -> Result<Type, String> {
    parts.iter().try_for_each(has_text)?;
    let parts: Vec<&Expr> = parts.iter().collect();
    Ok(Type::Text(text_collation(&parts)))
}

fn date(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let argument = arguments.remove(0);
    if !is_dated(argument.ty) {
        return Err(format!(
            "takes the date of {}: write a DATE, DATETIME or TIMESTAMP",
            type_name(argument.ty)
        ));
    }
    let nullable = argument.nullable;
    Ok(Expr::new(ExprKind::Cast(Box::new(argument)), Type::Date, nullable))
}

fn date_format(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let (format, value) = (arguments.pop(), arguments.pop());
    let (Some(value), Some(format)) = (value, format) else {
        return Err("takes an instant and a format".to_owned());
    };
    let ExprKind::Literal(Value::Text(format)) = &format.kind else {
        return Err("has a format that is no constant: write it as '%Y-%m-%d'".to_owned());
    };
    if format.is_empty() {
        return Err("has an empty format, which gives NULL: write it as '%Y-%m-%d'".to_owned());
    }
    if !is_dated(value.ty) {
        return Err(format!(
            "formats {}: write a DATE, DATETIME or TIMESTAMP",
            type_name(value.ty)
        ));
    }
    let nullable = value.nullable;
    let kind = ExprKind::DateFormat(Box::new(value), DateFormat::parse(format));
    Ok(Expr::new(kind, Type::Text(Collation::Other), nullable))
}

fn json_array(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    arguments.iter().try_for_each(has_element)?;
    Ok(Expr::new(ExprKind::JsonArray(arguments), Type::Json, false))
}

/// MySQL orders an object's names by length, then bytes, and keeps the last of equal names.
fn json_object(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    if arguments.len() % 2 == 1 {
        return Err("has a name without a value: write names and values in turn".to_owned());
    }
    let mut members: Vec<(String, Expr)> = Vec::new();
    let mut arguments = arguments.into_iter();
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        let ExprKind::Literal(Value::Text(name)) = &name.kind else {
            return Err("has a name that is no string constant: write 'name'".to_owned());
        };
        has_element(&value)?;
        members.retain(|(other, _)| other != name);
        members.push((name.to_string(), value));
    }
    members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    let members = members.into_iter().map(|(name, value)| {
        let mut json = Vec::new();
        write_json_string(&mut json, name);
        (json, value)
    });
    Ok(Expr::new(ExprKind::JsonObject(members.collect()), Type::Json, false))
}
