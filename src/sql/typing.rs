//! Result types of operators and functions, as MySQL's metadata says them.

use super::collations::{inexact, joint_collation};
use super::expr::{ArithmeticOp, Expr, ExprKind};
use crate::value::{Collation, MAX_PRECISION, Type, Value};

/// BIGINT.
pub(super) const BIGINT: Type = Type::Int { bytes: 8, unsigned: false };
/// BIGINT UNSIGNED.
pub(super) const BIGINT_UNSIGNED: Type = Type::Int { bytes: 8, unsigned: true };
/// What comparisons and other questions answer.
pub(super) const BOOLEAN: Type = Type::Int { bytes: 4, unsigned: false };
/// Digits that a division adds after the point.
const DIVISION_SCALE_ADDED: u8 = 4;
/// Digits that SUM adds before the point.
const SUM_DIGITS_ADDED: u8 = 22;
/// Most digits after the point.
const SCALE_MAX: u8 = 30;

/// A type in MySQL's words, for messages.
pub(super) fn type_name(ty: Type) -> String {
    match ty {
        Type::Int { bytes, unsigned } => {
            let name = match bytes {
                1 => "TINYINT",
                2 => "SMALLINT",
                3 => "MEDIUMINT",
                4 => "INT",
                _ => "BIGINT",
            };
            if unsigned { format!("{name} UNSIGNED") } else { name.to_owned() }
        }
        Type::Year => "YEAR".to_owned(),
        Type::Bit { bits } => format!("BIT({bits})"),
        Type::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        Type::Float => "FLOAT".to_owned(),
        Type::Double => "DOUBLE".to_owned(),
        Type::Text(_) => "text".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        Type::Date => "DATE".to_owned(),
        Type::Time { fsp } => with_fsp("TIME", fsp),
        Type::DateTime { fsp } => with_fsp("DATETIME", fsp),
        Type::Timestamp { fsp } => with_fsp("TIMESTAMP", fsp),
        Type::Json => "JSON".to_owned(),
    }
}

fn with_fsp(name: &str, fsp: u8) -> String {
    if fsp == 0 { name.to_owned() } else { format!("{name}({fsp})") }
}

/// Whether values are numbers to calculate with.
pub(super) fn is_numeric(ty: Type) -> bool {
    ty.is_integer() || matches!(ty, Type::Decimal { .. } | Type::Float | Type::Double)
}

/// Whether values are floating-point numbers.
pub(super) fn is_floating(ty: Type) -> bool {
    matches!(ty, Type::Float | Type::Double)
}

/// Whether values are days or instants, which compare with each other.
pub(super) fn is_dated(ty: Type) -> bool {
    matches!(ty, Type::Date | Type::DateTime { .. } | Type::Timestamp { .. })
}

/// Digits in all and after the point of an exact number.
pub(super) fn digits(expr: &Expr) -> (u8, u8) {
    match (&expr.kind, expr.ty) {
        (ExprKind::Literal(Value::Int(v)), _) => (decimal_digits(v.unsigned_abs()), 0),
        (ExprKind::Literal(Value::UInt(v)), _) => (decimal_digits(*v), 0),
        (_, Type::Decimal { precision, scale }) => (precision, scale),
        (_, Type::Int { bytes, unsigned }) => {
            let digits = match bytes {
                1 => 3,
                2 => 5,
                3 => 8,
                4 => 10,
                _ if unsigned => 20,
                _ => 19,
            };
            (digits, 0)
        }
        (_, Type::Year) => (4, 0),
        (_, Type::Bit { bits }) => (decimal_digits(u64::MAX >> (64 - bits.clamp(1, 64))), 0),
        _ => (0, 0),
    }
}

fn decimal_digits(number: u64) -> u8 {
    number.checked_ilog10().map_or(1, |log| log as u8 + 1)
}

fn decimal(precision: u8, scale: u8) -> Type {
    Type::Decimal { precision: precision.min(MAX_PRECISION).max(scale), scale }
}

/// The type of `left op right`.
pub(super) fn arithmetic(op: ArithmeticOp, left: &Expr, right: &Expr) -> Result<Type, String> {
    for side in [left, right] {
        if side.is_null_literal() {
            return Err("calculates with NULL: write NULL itself".to_owned());
        }
        if !is_numeric(side.ty) {
            return Err(format!("calculates with {}: write a number, or CAST", type_name(side.ty)));
        }
    }
    if op == ArithmeticOp::DivideWhole {
        let unsigned = is_unsigned(left.ty) || is_unsigned(right.ty);
        return Ok(if unsigned { BIGINT_UNSIGNED } else { BIGINT });
    }
    if is_floating(left.ty) || is_floating(right.ty) {
        return Ok(Type::Double);
    }
    let ((p1, s1), (p2, s2)) = (digits(left), digits(right));
    let whole = left.ty.is_integer() && right.ty.is_integer();
    Ok(match op {
        ArithmeticOp::Divide => {
            let scale = s1.saturating_add(DIVISION_SCALE_ADDED).min(SCALE_MAX);
            decimal(p1.saturating_add(s2).saturating_add(DIVISION_SCALE_ADDED), scale)
        }
        ArithmeticOp::Remainder if whole => {
            if is_unsigned(left.ty) {
                BIGINT_UNSIGNED
            } else {
                BIGINT
            }
        }
        _ if whole => {
            let unsigned = is_unsigned(left.ty) || is_unsigned(right.ty);
            if unsigned { BIGINT_UNSIGNED } else { BIGINT }
        }
        ArithmeticOp::Multiply => {
            let scale = s1 + s2;
            if p1 + p2 > MAX_PRECISION {
                return Err(format!(
                    "may have {} digits, more than {MAX_PRECISION}: CAST its parts to smaller DECIMALs first",
                    p1 + p2
                ));
            }
            decimal(p1 + p2, scale.min(SCALE_MAX))
        }
        ArithmeticOp::Remainder => decimal(p1.max(p2), s1.max(s2)),
        _ => {
            let scale = s1.max(s2);
            decimal((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
    })
}

/// Whether MySQL takes an integer for unsigned.
pub(super) fn is_unsigned(ty: Type) -> bool {
    matches!(ty, Type::Int { unsigned: true, .. } | Type::Year | Type::Bit { .. })
}

/// The type of `-expr`.
pub(super) fn negated(expr: &Expr) -> Result<Type, String> {
    let is_plain = match expr.kind {
        ExprKind::Literal(Value::Int(number)) => number >= 0,
        ExprKind::Literal(Value::UInt(_)) | ExprKind::Boolean(_) => true,
        _ => !is_constant(expr),
    };
    if expr.ty.is_integer() && !is_plain {
        return Err("negates a calculation with constants alone, which MySQL makes a DECIMAL where it is below zero: write what it comes to".to_owned());
    }
    match expr.ty {
        Type::Int { .. } | Type::Year | Type::Bit { .. } => Ok(BIGINT),
        ty @ Type::Decimal { .. } => Ok(ty),
        Type::Float | Type::Double => Ok(Type::Double),
        ty => Err(format!("negates {}: write a number, or CAST", type_name(ty))),
    }
}

/// The type that CASE, COALESCE, GREATEST and the like give to one of several values.
pub(super) fn merged(parts: &[&Expr]) -> Result<Type, String> {
    let typed: Vec<&Expr> = parts.iter().copied().filter(|part| !part.is_null_literal()).collect();
    let Some((first, rest)) = typed.split_first() else {
        return Ok(Type::Text(Collation::Binary));
    };
    let mut merged = first.ty;
    for part in rest {
        merged = merged_pair(merged, part.ty).ok_or_else(|| {
            format!("mixes {} with {}: CAST to one type", type_name(merged), type_name(part.ty))
        })?;
    }
    for part in &typed {
        if matches!(part.ty, Type::Bit { .. }) {
            return Err("chooses among BIT values: add 0 to make them numbers".to_owned());
        }
        if part.ty == Type::Float && !rest.is_empty() {
            return Err("chooses among FLOAT values, which MySQL prints in two ways: CAST to DOUBLE or DECIMAL".to_owned());
        }
    }
    Ok(match merged {
        Type::Text(_) => Type::Text(joint_collation(&typed)?),
        Type::Decimal { .. } => {
            let whole = typed.iter().map(|part| digits(part)).map(|(p, s)| p - s).max();
            let scale = typed.iter().map(|part| digits(part).1).max().unwrap_or(0);
            decimal(whole.unwrap_or(0) + scale, scale)
        }
        other => other,
    })
}

fn merged_pair(a: Type, b: Type) -> Option<Type> {
    if a == b {
        return Some(a);
    }
    Some(match (a, b) {
        (Type::Text(_), other) | (other, Type::Text(_))
            if !matches!(other, Type::Json | Type::Bytes) =>
        {
            Type::Text(Collation::Other)
        }
        (a, b) if a.is_integer() && b.is_integer() => merged_integers(a, b),
        (a, b) if is_numeric(a) && is_numeric(b) => {
            if is_floating(a) || is_floating(b) {
                Type::Double
            } else {
                // The digits follow from all parts.
                Type::Decimal { precision: 0, scale: 0 }
            }
        }
        (Type::Time { fsp: a }, Type::Time { fsp: b }) => Type::Time { fsp: a.max(b) },
        (Type::Timestamp { fsp: a }, Type::Timestamp { fsp: b }) => {
            Type::Timestamp { fsp: a.max(b) }
        }
        (a, b) if is_dated(a) && is_dated(b) => Type::DateTime { fsp: fsp(a).max(fsp(b)) },
        _ => return None,
    })
}

fn merged_integers(a: Type, b: Type) -> Type {
    let width = |ty| match ty {
        Type::Int { bytes, .. } => bytes,
        Type::Year => 2,
        _ => 8,
    };
    match (is_unsigned(a), is_unsigned(b)) {
        (true, true) => Type::Int { bytes: width(a).max(width(b)), unsigned: true },
        (false, false) => Type::Int { bytes: width(a).max(width(b)), unsigned: false },
        (first, _) => {
            let unsigned = if first { a } else { b };
            if width(unsigned) == 8 { Type::Decimal { precision: 20, scale: 0 } } else { BIGINT }
        }
    }
}

/// Fractional second digits of a type.
pub(super) fn fsp(ty: Type) -> u8 {
    match ty {
        Type::Time { fsp } | Type::DateTime { fsp } | Type::Timestamp { fsp } => fsp,
        _ => 0,
    }
}

/// Whether a value is the same for every row.
pub(super) fn is_constant(expr: &Expr) -> bool {
    !matches!(expr.kind, ExprKind::Column { .. } | ExprKind::Collection(..))
        && expr.children().into_iter().all(is_constant)
}

/// Whether it is a UNIX_TIMESTAMP with a fraction, which MySQL cuts off to a whole number where it
/// rounds every other DECIMAL.
pub(super) fn is_cut_off(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call(kernel, _) if kernel.name == "UNIX_TIMESTAMP")
        && !expr.ty.is_integer()
}

/// Why two values do not compare; otherwise whether they compare as DOUBLE.
pub(super) fn comparable(left: &Expr, right: &Expr) -> Result<bool, String> {
    if left.is_null_literal() || right.is_null_literal() {
        return Ok(false);
    }
    let (a, b) = (left.ty, right.ty);
    match (a, b) {
        (Type::Year, other) | (other, Type::Year) if other != Type::Year => {
            let read_as_year = |side: &&Expr| match &side.kind {
                ExprKind::Literal(Value::Int(v)) => (0..100).contains(v),
                _ => side.ty != Type::Year && is_constant(side),
            };
            if [left, right].iter().any(read_as_year) {
                return Err(
                    "compares YEAR, where MySQL reads 24 as 2024: CAST it AS SIGNED".to_owned()
                );
            }
            match other {
                _ if is_numeric(other) => Ok(is_floating(other)),
                _ => Err(format!("compares YEAR with {}: CAST to one type", type_name(other))),
            }
        }
        _ if is_numeric(a) && is_numeric(b) => Ok(is_floating(a) || is_floating(b)),
        _ if [left, right].into_iter().any(is_found_anyway) => Err(found_anyway("compares")),
        _ if is_dated(a) && is_dated(b) => Ok(false),
        (Type::Time { .. }, Type::Time { .. })
        | (Type::Bytes, Type::Bytes)
        | (Type::Text(_), Type::Text(_)) => Ok(false),
        _ => {
            let way_out = if a == Type::Json || b == Type::Json {
                "take text out of it by ->> '$.name', and CAST that"
            } else if [a, b].contains(&Type::Bytes) && (is_numeric(a) || is_numeric(b)) {
                "write a number, as 1 for b'1'"
            } else {
                "CAST to one type"
            };
            Err(format!("compares {} with {}: {way_out}", type_name(a), type_name(b)))
        }
    }
}

/// Whether it is an instant that a SELECT in FROM computes to something even of NULLs. Where an outer
/// join finds no row of it, comparisons of MySQL's take that instead of NULL.
pub(super) fn is_found_anyway(expr: &Expr) -> bool {
    let ExprKind::IfPresent(_, value) = &expr.kind else { return false };
    let mut fills_in = is_constant(value);
    value.each(&mut |part| {
        fills_in |= matches!(part.kind, ExprKind::Case { .. } | ExprKind::Coalesce(_));
    });
    fills_in && (is_dated(expr.ty) || matches!(expr.ty, Type::Time { .. }))
}

/// Why that is not taken, and what to write.
pub(super) fn found_anyway(what: &str) -> String {
    format!(
        "{what} an instant of a SELECT in FROM that is there in MySQL though an outer join finds no row: CAST it AS DATETIME(6)"
    )
}

/// Why values cannot be ordered.
pub(super) fn orderable(expr: &Expr, what: &str) -> Result<(), String> {
    match expr.ty {
        Type::Text(collation) => inexact(what, collation).map_or(Ok(()), Err),
        Type::Json => Err(format!("{what} JSON: take a number or text out of it")),
        _ => Ok(()),
    }
}

/// Why a value has no text of its own.
pub(super) fn has_text(expr: &Expr) -> Result<(), String> {
    match expr.ty {
        Type::Bit { .. } => {
            Err("makes text of BIT, which MySQL takes for bytes: add 0 to make it a number"
                .to_owned())
        }
        Type::Bytes => Err("makes text of bytes: declare the column as text".to_owned()),
        Type::Text(Collation::Foreign) => {
            Err("calculates with text of another character set than utf8mb4: write CONVERT(… USING utf8mb4)".to_owned())
        }
        _ if are_bits(expr) => {
            Err("makes text of BIT_AND, BIT_OR or BIT_XOR, which MySQL gives as bytes: add 0 to make it a number"
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether it is what BIT_AND, BIT_OR or BIT_XOR gives: of all aggregates they alone are UNSIGNED and
/// never NULL.
fn are_bits(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Collection(..)) && is_unsigned(expr.ty) && !expr.nullable
}

/// Why a value does not go into JSON.
pub(super) fn has_element(expr: &Expr) -> Result<(), String> {
    match expr.ty {
        Type::Bit { .. } => {
            Err("puts BIT into JSON, where MySQL takes it for bytes: add 0 to make it a number"
                .to_owned())
        }
        Type::Bytes => {
            Err("puts bytes into JSON: leave the column out, or declare it as text".to_owned())
        }
        _ => Ok(()),
    }
}

/// Why a value is no condition.
pub(super) fn is_condition(expr: &Expr) -> Result<(), String> {
    if is_numeric(expr.ty) || expr.is_null_literal() {
        return Ok(());
    }
    Err(format!("takes {} for a condition: write a comparison", type_name(expr.ty)))
}

/// The type of SUM.
pub(super) fn sum(expr: &Expr) -> Result<Type, String> {
    let (precision, scale) = exact("sums", expr)?;
    Ok(decimal(precision.saturating_add(SUM_DIGITS_ADDED), scale))
}

/// The type of AVG.
pub(super) fn average(expr: &Expr) -> Result<Type, String> {
    let (precision, scale) = exact("averages", expr)?;
    let added = scale.saturating_add(DIVISION_SCALE_ADDED).min(SCALE_MAX);
    Ok(decimal(precision.saturating_add(DIVISION_SCALE_ADDED), added))
}

fn exact(name: &str, expr: &Expr) -> Result<(u8, u8), String> {
    if is_floating(expr.ty) {
        return Err(format!(
            "{name} FLOAT or DOUBLE, which depends on the order of the rows: declare the column DECIMAL, or CAST(… AS DECIMAL(p,s)) inside"
        ));
    }
    if !is_numeric(expr.ty) {
        return Err(format!("{name} {}: write a number, or CAST", type_name(expr.ty)));
    }
    Ok(digits(expr))
}

/// Why MIN and MAX do not take a value.
pub(super) fn extreme(name: &str, expr: &Expr) -> Result<(), String> {
    orderable(expr, &format!("takes the {name} of"))?;
    match expr.ty {
        Type::Text(collation) if !collation.is_exact() => Err(format!(
            "takes the {name} of text of which several spellings are equal, and MySQL leaves open which comes out: write {name}(… COLLATE utf8mb4_0900_bin)"
        )),
        Type::Float => Err(format!(
            "takes the {name} of FLOAT, which MySQL then prints in two ways: CAST to DOUBLE or DECIMAL inside"
        )),
        Type::Bit { .. } => Err(format!("takes the {name} of BIT: add 0 to make it a number")),
        _ => Ok(()),
    }
}

/// How a constant of a type is written.
pub(super) fn example(ty: Type) -> &'static str {
    match ty {
        Type::Date => "'2024-09-02'",
        Type::Time { .. } => "'17:21:02'",
        _ => "'2024-09-02 17:21:02'",
    }
}
