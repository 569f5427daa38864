//! Functions of numbers.

use super::super::expr::{ArithmeticOp, Expr, ExprKind, kernels};
use super::super::operators::calculate;
use super::super::typing::{BIGINT, digits, is_numeric, is_unsigned, type_name};
use super::{Function, kernel};
use crate::value::{Type, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "ABS", arity: 1..=1, build: absolute },
    Function { name: "CEIL", arity: 1..=1, build: ceiling },
    Function { name: "CEILING", arity: 1..=1, build: ceiling },
    Function { name: "FLOOR", arity: 1..=1, build: floor },
    Function { name: "MOD", arity: 2..=2, build: remainder },
    Function { name: "ROUND", arity: 1..=2, build: round },
];

fn absolute(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = widened(number(&arguments)?);
    Ok(kernel("ABS", kernels::absolute, arguments, ty))
}

fn ceiling(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = whole_type(&arguments)?;
    Ok(kernel("CEIL", kernels::ceiling, arguments, ty))
}

fn floor(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = whole_type(&arguments)?;
    Ok(kernel("FLOOR", kernels::floor, arguments, ty))
}

fn remainder(mut arguments: Vec<Expr>, sql: String) -> Result<Expr, String> {
    let (right, left) = (arguments.pop(), arguments.pop());
    match (left, right) {
        (Some(left), Some(right)) => calculate(ArithmeticOp::Remainder, left, right, sql),
        _ => Err("takes two numbers".to_owned()),
    }
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
    Ok(kernel("ROUND", kernels::round, arguments, ty))
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
