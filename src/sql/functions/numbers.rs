//! Functions of numbers.

use super::super::expr::{ArithmeticOp, Expr, ExprKind, kernels};
use super::super::operators::calculate;
use super::super::typing::{BIGINT, digits, is_constant, is_numeric, is_unsigned, type_name};
use super::{Function, constant, kernel};
use crate::value::{Type, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "ABS", arity: 1..=1, build: absolute },
    Function { name: "CEIL", arity: 1..=1, build: ceiling },
    Function { name: "CEILING", arity: 1..=1, build: ceiling },
    Function { name: "FLOOR", arity: 1..=1, build: floor },
    Function { name: "MOD", arity: 2..=2, build: remainder },
    Function { name: "ROUND", arity: 1..=2, build: round },
    Function { name: "SIGN", arity: 1..=1, build: sign },
    Function { name: "SQRT", arity: 1..=1, build: square_root },
    Function { name: "TRUNCATE", arity: 2..=2, build: truncate },
];

/// Beyond so many digits nothing more changes.
const DIGITS_MAX: i64 = 1000;

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

fn round(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let (arguments, ty) = with_digits(arguments, true)?;
    Ok(kernel("ROUND", kernels::round, arguments, ty))
}

fn truncate(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let (arguments, ty) = with_digits(arguments, false)?;
    Ok(kernel("TRUNCATE", kernels::truncate, arguments, ty))
}

/// A number and how many digits behind the point it keeps (0 where that is not said), and the type
/// of what is left. Only constant digits change the scale of a DECIMAL.
fn with_digits(mut arguments: Vec<Expr>, carries: bool) -> Result<(Vec<Expr>, Type), String> {
    let ty = number(&arguments)?;
    if arguments.len() == 1 {
        arguments.push(constant(0));
    }
    let digits = &arguments[1];
    let fixed = match (&digits.kind, digits.ty) {
        (ExprKind::Literal(Value::Int(digits)), _) => {
            Some((*digits).clamp(-DIGITS_MAX, DIGITS_MAX))
        }
        (_, ty) if ty.is_integer() && !is_constant(digits) => None,
        _ => {
            return Err("has a number of digits that is no whole number: write it as ROUND(x, 2)"
                .to_owned());
        }
    };
    let ty = match (ty, fixed) {
        (Type::Decimal { precision, scale }, Some(digits)) => {
            let kept = u8::try_from(digits.max(0)).unwrap_or(u8::MAX).min(scale);
            let carry = u8::from(carries && kept < scale);
            let precision = (precision - scale + kept + carry).clamp(1, 65);
            Type::Decimal { precision, scale: kept }
        }
        (Type::Decimal { precision, scale }, None) => {
            Type::Decimal { precision: (precision + 1).min(65), scale }
        }
        (ty, _) => widened(ty),
    };
    if let Some(digits) = fixed {
        arguments[1] = constant(digits);
    }
    Ok((arguments, ty))
}

fn sign(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    number(&arguments)?;
    Ok(kernel("SIGN", kernels::sign, arguments, BIGINT))
}

fn square_root(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    number(&arguments)?;
    let root = kernel("SQRT", kernels::square_root, arguments, Type::Double);
    Ok(Expr { nullable: true, ..root })
}

/// FLOOR and CEIL of a DECIMAL are BIGINT where that surely holds them.
fn whole_type(arguments: &[Expr]) -> Result<Type, String> {
    let ty = number(arguments)?;
    let Type::Decimal { .. } = ty else { return Ok(widened(ty)) };
    let (precision, scale) = digits(&arguments[0]);
    // Rounding may give a digit more.
    if precision - scale + u8::from(scale > 0) > 18 {
        return Err("may give more than 18 digits: CAST to a smaller DECIMAL first".to_owned());
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
