//! Functions of numbers.

use super::super::EvalError;
use super::super::arithmetic::negated;
use super::super::convert::as_double;
use crate::value::{Decimal, Type, Value};

/// ABS.
pub(in crate::sql) fn absolute<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    Ok(match &values[0] {
        Value::Int(v) => {
            let positive = v.checked_abs();
            Value::Int(positive.ok_or_else(|| EvalError::out_of_range("BIGINT", "abs"))?)
        }
        Value::Decimal(v) if v.is_negative() => Value::Decimal(negated(*v)),
        Value::Double(v) => Value::Double(v.abs()),
        value => value.clone(),
    })
}

/// The sign turned round.
pub(in crate::sql) fn negate<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let out_of_range = || EvalError::out_of_range("BIGINT", "-");
    Ok(match &values[0] {
        Value::Int(v) => Value::Int(v.checked_neg().ok_or_else(out_of_range)?),
        Value::UInt(v) => Value::Int(0i64.checked_sub_unsigned(*v).ok_or_else(out_of_range)?),
        Value::Decimal(v) => Value::Decimal(negated(*v)),
        Value::Float(v) => Value::Double(-f64::from(*v)),
        Value::Double(v) => Value::Double(-v),
        value => value.clone(),
    })
}

/// FLOOR.
pub(in crate::sql) fn floor<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    Ok(match &values[0] {
        Value::Decimal(v) => decimal_in(whole_part(*v, v.is_negative(), -1), ty),
        Value::Double(v) => Value::Double(v.floor()),
        value => value.clone(),
    })
}

/// CEIL.
pub(in crate::sql) fn ceiling<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    Ok(match &values[0] {
        Value::Decimal(v) => decimal_in(whole_part(*v, !v.is_negative(), 1), ty),
        Value::Double(v) => Value::Double(v.ceil()),
        value => value.clone(),
    })
}

/// ROUND with a constant number of digits (the second argument; 0 without one), half away from
/// zero.
pub(in crate::sql) fn round<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    let digits = match values.get(1) {
        Some(Value::Int(v)) => *v,
        Some(Value::UInt(v)) => i64::try_from(*v).unwrap_or(i64::MAX),
        _ => 0,
    };
    let (exact, whole) = match &values[0] {
        Value::Int(v) => (Decimal::new(*v, 0), true),
        Value::UInt(v) => (Decimal::new(*v, 0), true),
        Value::Decimal(v) => (*v, false),
        value => return Ok(value.clone()),
    };
    let rounded = match ty {
        _ if digits < 0 => round_before_point(exact, digits.unsigned_abs()),
        Type::Decimal { scale, .. } => exact.rescale(scale),
        _ => Some(exact),
    };
    let overflow = || EvalError::out_of_range(if whole { "BIGINT" } else { "DECIMAL" }, "round");
    let rounded = rounded.ok_or_else(overflow)?;
    match ty {
        Type::Int { unsigned: false, .. } => {
            i64::try_from(rounded.unscaled()).map(Value::Int).map_err(|_| overflow())
        }
        Type::Int { unsigned: true, .. } => {
            u64::try_from(rounded.unscaled()).map(Value::UInt).map_err(|_| overflow())
        }
        _ => Ok(Value::Decimal(rounded)),
    }
}

/// The part before the point, one further in `direction` if there was a fraction and `moves`.
fn whole_part(value: Decimal, moves: bool, direction: i64) -> Decimal {
    let power = Decimal::new(1, 0).rescale(value.scale()).unwrap_or(value).unscaled();
    let (whole, rest) = (value.unscaled() / power, value.unscaled() % power);
    let step = if moves && rest != 0 { direction } else { 0 };
    Decimal::new(whole + ethnum::I256::from(step), 0)
}

fn round_before_point(value: Decimal, digits: u64) -> Option<Decimal> {
    if digits > 66 {
        return Some(Decimal::new(0, 0));
    }
    let power = ethnum::I256::new(10).checked_pow(digits as u32)?;
    let tens = value.checked_div(Decimal::new(power, 0), 0)?;
    tens.checked_mul(Decimal::new(power, 0))
}

/// A whole decimal as the expression's type has it.
fn decimal_in(value: Decimal, ty: Type) -> Value<'static> {
    match ty {
        Type::Int { .. } => match i64::try_from(value.unscaled()) {
            Ok(v) => Value::Int(v),
            Err(_) => Value::Null,
        },
        Type::Double => as_double(&Value::Decimal(value)).map_or(Value::Null, Value::Double),
        _ => Value::Decimal(value),
    }
}
