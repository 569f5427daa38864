//! Operators, and CASE: typed calls of what `expr` evaluates.

use sqlparser::ast::DataType;

use super::casts::cast;
use super::collations::{compared_collation, inexact, joint_collation};
use super::expr::{
    Arithmetic, ArithmeticOp, CompareBy, CompareOp, Comparison, Expr, ExprKind, kernels,
};
use super::functions::kernel;
use super::typing::{
    BOOLEAN, arithmetic, comparable, example, has_text, is_condition, is_unsigned, merged, negated,
    type_name,
};
use crate::value::{Collation, Type, Value};

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
    let collation = compared_collation(&[&left, &right])?;
    compare_by(op, left, right, collation)
}

/// `left op right`, text by a collation that more than these have together.
pub(super) fn compare_by(
    op: CompareOp,
    left: Expr,
    right: Expr,
    collation: Collation,
) -> Result<Expr, String> {
    let (left, right) = (instant_constant(left, right.ty)?, right);
    let (right, left) = (instant_constant(right, left.ty)?, left);
    let as_double = comparable(&left, &right)?;
    let is_text = [&left, &right].iter().all(|side| matches!(side.ty, Type::Text(_)));
    if is_text && let Some(why) = inexact("compares", collation) {
        return Err(why);
    }
    let nullable = op != CompareOp::NullSafeEqual && (left.nullable || right.nullable);
    let by = match as_double {
        true => CompareBy::Double,
        false if left.is_ordinal() && right.is_ordinal() && left.ty.orders_with(right.ty) => {
            CompareBy::Ordinal
        }
        false if is_text && !collation.is_exact() => CompareBy::Collation(collation),
        false => CompareBy::Value,
    };
    let comparison = Comparison { op, left, right, by };
    Ok(Expr::new(ExprKind::Compare(Box::new(comparison)), BOOLEAN, nullable))
}

/// `left = right` as CASE, FIELD and most lists of IN compare in MySQL: whole numbers, one of which is
/// unsigned, by their 64 bits, so that -1 equals 18446744073709551615.
pub(super) fn equal_bits(left: Expr, right: Expr, collation: Collation) -> Result<Expr, String> {
    let may_be_below_0 = |side: &Expr| {
        let is_above = matches!(side.kind, ExprKind::Literal(Value::Int(0..)));
        side.ty.is_integer() && !is_unsigned(side.ty) && !is_above
    };
    let (left, right) = match (is_unsigned(left.ty), is_unsigned(right.ty)) {
        (true, false) if may_be_below_0(&right) => (cast(left, &DataType::Signed)?, right),
        (false, true) if may_be_below_0(&left) => (left, cast(right, &DataType::Signed)?),
        _ => (left, right),
    };
    compare_by(CompareOp::Equal, left, right, collation)
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

/// `-value`.
pub(super) fn negative(value: Expr) -> Result<Expr, String> {
    let ty = negated(&value)?;
    Ok(kernel("-", kernels::negate, vec![value], ty))
}

/// The type of texts one behind the other.
pub(super) fn joined_text(parts: &[Expr]) -> Result<Type, String> {
    parts.iter().try_for_each(has_text)?;
    let parts: Vec<&Expr> = parts.iter().collect();
    Ok(Type::Text(joint_collation(&parts)?))
}

/// A string constant that meets an instant is read as one.
pub(super) fn instant_constant(constant: Expr, other: Type) -> Result<Expr, String> {
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
