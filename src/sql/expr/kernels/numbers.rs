//! Functions of numbers.

use std::cmp::Ordering;

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

/// ROUND to a number of digits behind the point, the second argument: exact numbers half away from
/// zero, DOUBLEs half to even.
pub(in crate::sql) fn round<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    keep_digits(values, ty, ("round", Decimal::rescale, f64::round_ties_even))
}

/// TRUNCATE: the same, cut off.
pub(in crate::sql) fn truncate<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    keep_digits(values, ty, ("truncate", cut, f64::trunc))
}

/// How digits go: a name for messages, of an exact number to a scale, of a DOUBLE to a whole one.
type Rounding = (&'static str, fn(Decimal, u8) -> Option<Decimal>, fn(f64) -> f64);

fn keep_digits<'v>(
    values: &[Value<'v>],
    ty: Type,
    (name, exactly, wholly): Rounding,
) -> Result<Value<'v>, EvalError> {
    let digits = match values.get(1) {
        Some(Value::Int(v)) => *v,
        Some(Value::UInt(v)) => i64::try_from(*v).unwrap_or(i64::MAX),
        _ => 0,
    };
    let exact = match &values[0] {
        Value::Int(v) => Decimal::new(*v, 0),
        Value::UInt(v) => Decimal::new(*v, 0),
        Value::Decimal(v) => *v,
        Value::Float(v) => return Ok(Value::Double(floating(f64::from(*v), digits, wholly))),
        Value::Double(v) => return Ok(Value::Double(floating(*v, digits, wholly))),
        value => return Ok(value.clone()),
    };
    let kept = match ty {
        _ if digits < 0 => before_point(exact, digits.unsigned_abs(), exactly),
        Type::Decimal { scale, .. } => {
            let scale = u8::try_from(digits).unwrap_or(u8::MAX).min(scale);
            if exact.scale() > scale { exactly(exact, scale) } else { exact.rescale(scale) }
        }
        _ => Some(exact),
    };
    let overflow = || {
        let kind = if ty.is_integer() { "BIGINT" } else { "DECIMAL" };
        EvalError::out_of_range(kind, name)
    };
    let kept = kept.ok_or_else(overflow)?;
    match ty {
        Type::Int { unsigned: false, .. } => {
            i64::try_from(kept.unscaled()).map(Value::Int).map_err(|_| overflow())
        }
        Type::Int { unsigned: true, .. } => {
            u64::try_from(kept.unscaled()).map(Value::UInt).map_err(|_| overflow())
        }
        _ => Ok(Value::Decimal(kept)),
    }
}

/// A DOUBLE whose digits behind the point are whole for a moment, as MySQL rounds it.
fn floating(number: f64, digits: i64, wholly: fn(f64) -> f64) -> f64 {
    let power = power_of_ten(digits.unsigned_abs());
    if digits < 0 {
        let kept = wholly(number / power) * power;
        return if kept.is_finite() { kept } else { 0.0 };
    }
    let scaled = number * power;
    if scaled.is_finite() { wholly(scaled) / power } else { number }
}

fn power_of_ten(exponent: u64) -> f64 {
    match i32::try_from(exponent) {
        // Exact up to here.
        Ok(exponent @ ..=22) => 10f64.powi(exponent),
        _ => format!("1e{exponent}").parse().unwrap_or(f64::INFINITY),
    }
}

/// SIGN.
pub(in crate::sql) fn sign<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let order = match &values[0] {
        Value::Int(v) => v.cmp(&0),
        Value::UInt(v) => v.cmp(&0),
        Value::Decimal(v) => v.cmp(&Decimal::new(0, 0)),
        Value::Float(v) => v.partial_cmp(&0.0).unwrap_or(Ordering::Equal),
        Value::Double(v) => v.partial_cmp(&0.0).unwrap_or(Ordering::Equal),
        _ => Ordering::Equal,
    };
    Ok(Value::Int(order as i64))
}

/// SQRT; NULL of a negative number.
pub(in crate::sql) fn square_root<'v>(
    values: &[Value<'v>],
    _: Type,
) -> Result<Value<'v>, EvalError> {
    let number = as_double(&values[0]).filter(|number| *number >= 0.0);
    Ok(number.map_or(Value::Null, |number| Value::Double(number.sqrt())))
}

/// The part before the point, one further in `direction` if there was a fraction and `moves`.
fn whole_part(value: Decimal, moves: bool, direction: i64) -> Decimal {
    let power = Decimal::new(1, 0).rescale(value.scale()).unwrap_or(value).unscaled();
    let (whole, rest) = (value.unscaled() / power, value.unscaled() % power);
    let step = if moves && rest != 0 { direction } else { 0 };
    Decimal::new(whole + ethnum::I256::from(step), 0)
}

/// A number whose last digits before the point are zero.
fn before_point(
    value: Decimal,
    digits: u64,
    exactly: fn(Decimal, u8) -> Option<Decimal>,
) -> Option<Decimal> {
    if digits > 66 {
        return Some(Decimal::new(0, 0));
    }
    // As if the point stood before those digits.
    let shifted = Decimal::new(value.unscaled(), value.scale() + digits as u8);
    let power = ethnum::I256::new(10).checked_pow(digits as u32)?;
    exactly(shifted, 0)?.checked_mul(Decimal::new(power, 0))
}

/// A number without its last digits.
fn cut(value: Decimal, scale: u8) -> Option<Decimal> {
    let digits = u32::from(value.scale().saturating_sub(scale));
    let power = ethnum::I256::new(10).checked_pow(digits);
    let unscaled = power.map_or(ethnum::I256::ZERO, |power| value.unscaled() / power);
    Some(Decimal::new(unscaled, scale.min(value.scale())))
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
