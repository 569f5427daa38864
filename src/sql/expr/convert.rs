//! Converts values between types: CAST, and what CASE, COALESCE and comparisons do by themselves.

use ethnum::I256;

use super::numerals::{decimal_in, double_in, whole_in};
use crate::value::{
    Decimal, MAX_PRECISION, MICROS_PER_DAY, MICROS_PER_SECOND, TIME_MAX, Type, Value,
};

/// Most digits behind the point that MySQL makes of a DOUBLE.
const SCALE_MAX: u8 = 72;

/// The first microsecond after 9999-12-31, from 1970.
const DATETIME_END: i64 = 253_402_300_800 * MICROS_PER_SECOND;

/// Whether a value is true; `None` for NULL.
pub(super) fn truth(value: &Value<'_>) -> Option<bool> {
    Some(match value {
        Value::Null => return None,
        Value::Int(v) => *v != 0,
        Value::UInt(v) => *v != 0,
        Value::Decimal(v) => *v != Decimal::new(0, 0),
        Value::Float(v) => *v != 0.0,
        Value::Double(v) => *v != 0.0,
        // The planner asks no other types for their truth.
        _ => true,
    })
}

/// A number or instant as one of a type that can hold it: nothing is rounded, and DECIMALs keep
/// their scale.
pub(super) fn number_as(value: Value<'_>, ty: Type) -> Value<'_> {
    match (ty, value) {
        (Type::Int { unsigned: false, .. }, Value::UInt(v)) => Value::Int(v as i64),
        (Type::Int { unsigned: true, .. } | Type::Year, Value::Int(v)) => Value::UInt(v as u64),
        (Type::Decimal { .. }, Value::Int(v)) => Value::Decimal(Decimal::new(v, 0)),
        (Type::Decimal { .. }, Value::UInt(v)) => Value::Decimal(Decimal::new(v, 0)),
        (Type::Double, value) => match as_double(&value) {
            Some(v) => Value::Double(v),
            None => Value::Null,
        },
        (Type::DateTime { .. } | Type::Timestamp { .. }, Value::Date(v)) => {
            Value::DateTime(i64::from(v) * MICROS_PER_DAY)
        }
        (Type::DateTime { .. }, Value::Timestamp(v)) => Value::DateTime(v),
        (_, value) => value,
    }
}

/// CAST: rounds, and takes the nearest value where the type's range ends, as MySQL does with a
/// warning.
pub(super) fn cast(value: Value<'_>, ty: Type) -> Value<'_> {
    match (ty, value) {
        (_, Value::Null) => Value::Null,
        // Beyond the type's range the bits stay.
        (Type::Int { unsigned: false, .. }, Value::Text(text)) => {
            Value::Int(whole_in(&text) as i64)
        }
        (Type::Int { unsigned: true, .. }, Value::Text(text)) => {
            Value::UInt(whole_in(&text) as u64)
        }
        (Type::Int { unsigned: false, .. }, value) => whole(&value).map_or(Value::Null, |v| {
            // An unsigned number keeps its bits, anything else its range.
            let signed = match value {
                Value::UInt(v) => v as i64,
                _ => v.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64,
            };
            Value::Int(signed)
        }),
        (Type::Int { unsigned: true, .. }, value) => whole(&value).map_or(Value::Null, |v| {
            let bits = if v < 0 {
                v.max(i128::from(i64::MIN)) as i64 as u64
            } else {
                v.min(i128::from(u64::MAX)) as u64
            };
            Value::UInt(bits)
        }),
        (Type::Decimal { precision, scale }, value) => {
            as_decimal(&value).map_or(Value::Null, |v| Value::Decimal(fit(v, precision, scale)))
        }
        (Type::DateTime { fsp }, value) => match number_as(value, ty) {
            Value::DateTime(v) => match round_micros(v, fsp) {
                rounded if rounded < DATETIME_END => Value::DateTime(rounded),
                // Past the last instant that there is.
                _ => Value::Null,
            },
            value => value,
        },
        (Type::Date, Value::DateTime(v) | Value::Timestamp(v)) => {
            Value::Date(v.div_euclid(MICROS_PER_DAY) as i32)
        }
        (Type::Time { .. }, Value::Date(_)) => Value::Time(0),
        (Type::Time { fsp }, Value::DateTime(v) | Value::Timestamp(v)) => {
            Value::Time(round_micros(v.rem_euclid(MICROS_PER_DAY), fsp))
        }
        (Type::Time { fsp }, Value::Time(v)) => {
            Value::Time((round_micros(v.abs(), fsp) * v.signum()).clamp(-TIME_MAX, TIME_MAX))
        }
        (_, value) => number_as(value, ty),
    }
}

/// The number as a DOUBLE.
pub(super) fn as_double(value: &Value<'_>) -> Option<f64> {
    Some(match value {
        Value::Int(v) => *v as f64,
        Value::UInt(v) => *v as f64,
        Value::Decimal(v) => v.to_string().parse().ok()?,
        Value::Float(v) => f64::from(*v),
        Value::Double(v) => *v,
        Value::Text(text) => double_in(text),
        _ => return None,
    })
}

/// The number as a DECIMAL; a DOUBLE by the digits that it prints with.
pub(super) fn as_decimal(value: &Value<'_>) -> Option<Decimal> {
    Some(match value {
        Value::Int(v) => Decimal::new(*v, 0),
        Value::UInt(v) => Decimal::new(*v, 0),
        Value::Decimal(v) => *v,
        Value::Float(v) => decimal_of(f64::from(*v)),
        Value::Double(v) => decimal_of(*v),
        Value::Text(text) => decimal_in(text),
        _ => return None,
    })
}

/// A DOUBLE by the digits that it prints with; beyond what a DECIMAL holds, the largest or zero.
fn decimal_of(number: f64) -> Decimal {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = Decimal::parse(mantissa).unwrap_or(Decimal::new(0, 0));
    // The number is `mantissa.unscaled() · 10^-scale`.
    let scale = i32::from(mantissa.scale()) - exponent.parse::<i32>().unwrap_or(0);
    if let Ok(scale) = u8::try_from(scale) {
        let exact = Decimal::new(mantissa.unscaled(), scale);
        return exact.rescale(scale.min(SCALE_MAX)).unwrap_or(exact);
    }
    if scale > 0 {
        return Decimal::new(0, 0);
    }
    let whole = Decimal::new(mantissa.unscaled(), 0);
    let power = Decimal::new(1, 0).rescale(u8::try_from(-scale).unwrap_or(u8::MAX));
    let product = power.and_then(|power| whole.checked_mul(Decimal::new(power.unscaled(), 0)));
    product.unwrap_or_else(|| largest(MAX_PRECISION, 0, number < 0.0))
}

/// The number rounded to a whole one: DECIMALs half away from zero, DOUBLEs half to even.
fn whole(value: &Value<'_>) -> Option<i128> {
    Some(match value {
        Value::Int(v) => i128::from(*v),
        Value::UInt(v) => i128::from(*v),
        Value::Decimal(v) => {
            let unscaled = v.rescale(0)?.unscaled();
            i128::try_from(unscaled).unwrap_or(if v.is_negative() { i128::MIN } else { i128::MAX })
        }
        // Conversion takes the nearest number in range by itself.
        Value::Float(v) => f64::from(*v).round_ties_even() as i128,
        Value::Double(v) => v.round_ties_even() as i128,
        _ => return None,
    })
}

/// The nearest DECIMAL(precision, scale).
fn fit(value: Decimal, precision: u8, scale: u8) -> Decimal {
    let limit = largest(precision, scale, value.is_negative());
    match value.rescale(scale) {
        Some(rounded) if value.is_negative() => rounded.max(limit),
        Some(rounded) => rounded.min(limit),
        None => limit,
    }
}

/// The largest DECIMAL(precision, scale), or the least.
fn largest(precision: u8, scale: u8, negative: bool) -> Decimal {
    let power = Decimal::new(1, 0).rescale(precision).map_or(I256::ONE, Decimal::unscaled);
    let nines = power - I256::ONE;
    Decimal::new(if negative { -nines } else { nines }, scale)
}

/// An instant rounded to a number of fractional digits, half up.
fn round_micros(micros: i64, fsp: u8) -> i64 {
    let unit = MICROS_PER_SECOND / 10_i64.pow(u32::from(fsp.min(6)));
    (micros + unit / 2).div_euclid(unit) * unit
}
