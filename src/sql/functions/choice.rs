//! Functions whose value is one of their arguments.

use super::super::conditions;
use super::super::expr::{CompareOp, Expr, ExprKind, kernels};
use super::super::operators::{case, compare};
use super::super::typing::{
    found_anyway, has_text, is_constant, is_found_anyway, merged, orderable,
};
use super::{Function, MANY, kernel};
use crate::value::{Type, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "COALESCE", arity: 1..=MANY, build: coalesce },
    Function { name: "GREATEST", arity: 2..=MANY, build: greatest },
    Function { name: "IF", arity: 3..=3, build: choose },
    Function { name: "IFNULL", arity: 2..=2, build: coalesce },
    Function { name: "ISNULL", arity: 1..=1, build: is_null },
    Function { name: "LEAST", arity: 2..=MANY, build: least },
    Function { name: "NULLIF", arity: 2..=2, build: null_if },
];

fn coalesce(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let parts: Vec<&Expr> = arguments.iter().collect();
    let ty = merged(&parts)?;
    if matches!(ty, Type::Text(_)) {
        parts.iter().try_for_each(|part| has_text(part))?;
    }
    let nullable = arguments.iter().all(|argument| argument.nullable);
    Ok(Expr::new(ExprKind::Coalesce(arguments), ty, nullable))
}

fn choose(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let otherwise = arguments.pop();
    let (result, condition) = (arguments.pop(), arguments.pop());
    match (condition, result) {
        (Some(condition), Some(result)) => case(vec![(condition, result)], otherwise),
        _ => Err("takes a condition and two values".to_owned()),
    }
}

fn is_null(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    Ok(conditions::is_null(arguments.remove(0)))
}

fn null_if(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let (other, value) = (arguments.pop(), arguments.pop());
    let (Some(value), Some(other)) = (value, other) else {
        return Err("takes two values".to_owned());
    };
    let ty = value.ty;
    if ty.is_integer() && is_constant(&value) && !matches!(value.kind, ExprKind::Literal(_)) {
        return Err("compares what is calculated of constants alone, to which MySQL may give the sign of the other: write what it comes to".to_owned());
    }
    let equal = compare(CompareOp::Equal, value.clone(), other)?;
    let null = Expr::new(ExprKind::Literal(Value::Null), ty, true);
    let kind = ExprKind::Case { branches: vec![(equal, null)], otherwise: Some(Box::new(value)) };
    Ok(Expr::new(kind, ty, true))
}

fn greatest(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = extreme_type(&arguments)?;
    Ok(kernel("GREATEST", kernels::greatest, arguments, ty))
}

fn least(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = extreme_type(&arguments)?;
    Ok(kernel("LEAST", kernels::least, arguments, ty))
}

fn extreme_type(arguments: &[Expr]) -> Result<Type, String> {
    let parts: Vec<&Expr> = arguments.iter().collect();
    let ty = merged(&parts)?;
    if parts.iter().any(|part| is_found_anyway(part)) {
        return Err(found_anyway("orders"));
    }
    let typed = parts.iter().filter(|part| !part.is_null_literal());
    let texts = typed.clone().filter(|part| matches!(part.ty, Type::Text(_))).count();
    if texts > 0 && texts < typed.count() {
        return Err("orders text with other types: CAST to one type".to_owned());
    }
    orderable(&Expr::new(ExprKind::Boolean(false), ty, false), "orders")?;
    Ok(ty)
}
