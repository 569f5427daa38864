//! `INTERVAL n unit`: which units there are, and what a day, an instant or a time becomes by one.

use super::expr::{Expr, ExprKind, kernels};
use super::functions::{constant, kernel};
use super::typing::{BIGINT, fsp, is_cut_off, is_dated, is_floating, is_numeric, type_name};
use crate::value::{Decimal, MICROS_PER_DAY, MICROS_PER_SECOND, Type, Value};

/// Most fractional digits of a second.
const FSP_MAX: u8 = 6;

/// The unit that a constant argument names, in upper case.
pub(super) fn interval_unit(unit: &Expr) -> Result<&'static str, String> {
    const UNITS: [&str; 9] =
        ["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MICROSECOND"];
    let name = match &unit.kind {
        ExprKind::Literal(Value::Text(name)) => name.to_uppercase(),
        _ => String::new(),
    };
    let name = name.strip_prefix("SQL_TSI_").unwrap_or(&name);
    UNITS
        .into_iter()
        .find(|unit| *unit == name)
        .ok_or_else(|| format!("has a unit that is not supported: there are {}", UNITS.join(", ")))
}

/// Months in a unit of months.
pub(super) fn whole_months(unit: &str) -> Option<i64> {
    match unit {
        "YEAR" => Some(12),
        "QUARTER" => Some(3),
        "MONTH" => Some(1),
        _ => None,
    }
}

/// Microseconds in a unit that always has as many.
pub(super) fn whole_micros(unit: &str) -> i64 {
    match unit {
        "WEEK" => 7 * MICROS_PER_DAY,
        "DAY" => MICROS_PER_DAY,
        "HOUR" => 3600 * MICROS_PER_SECOND,
        "MINUTE" => 60 * MICROS_PER_SECOND,
        "SECOND" => MICROS_PER_SECOND,
        _ => 1,
    }
}

/// `value` and `sign` times `n` units; NULL outside of MySQL's calendar.
pub(super) fn add_interval(value: Expr, n: Expr, unit: &str, sign: i64) -> Result<Expr, String> {
    if value.is_null_literal() || n.is_null_literal() {
        return Err("calculates with NULL: write NULL itself".to_owned());
    }
    let n = count(n, unit)?;
    let months = whole_months(unit);
    let days = matches!(unit, "WEEK" | "DAY");
    let of_seconds = unit == "SECOND" && !n.ty.is_integer();
    let added_fsp = match (unit, n.ty) {
        ("MICROSECOND", _) => FSP_MAX,
        ("SECOND", Type::Decimal { scale, .. }) => scale.min(FSP_MAX),
        ("SECOND", ty) if is_floating(ty) => FSP_MAX,
        _ => 0,
    };
    let ty = match value.ty {
        Type::Date if months.is_some() || days => Type::Date,
        ty @ Type::Time { .. } => {
            if months.is_some() || days {
                return Err(format!(
                    "adds {unit} to TIME, for which MySQL takes today: write a DATETIME, or HOUR"
                ));
            }
            if fsp(ty).max(added_fsp) > 0 {
                return Err("adds an INTERVAL to a TIME with a fraction, which MySQL prints in two ways: CAST it AS TIME".to_owned());
            }
            Type::Time { fsp: 0 }
        }
        ty if is_dated(ty) => Type::DateTime { fsp: fsp(ty).max(added_fsp) },
        ty => {
            return Err(format!(
                "adds an INTERVAL to {}: write a DATE, DATETIME or TIMESTAMP, or CAST(… AS DATETIME)",
                type_name(ty)
            ));
        }
    };
    let (name, compute, factor): (_, super::expr::Compute, _) = match months {
        Some(months) => ("+ months", kernels::plus_months, months),
        None if days => ("+ days", kernels::plus_days, whole_micros(unit) / MICROS_PER_DAY),
        None if of_seconds => ("+ seconds", kernels::plus_seconds, 1),
        None => ("+ micros", kernels::plus_micros, whole_micros(unit)),
    };
    let sum = kernel(name, compute, vec![value, n, constant(sign * factor)], ty);
    Ok(Expr { nullable: true, ..sum })
}

/// How many units: a number, or one as a string constant.
fn count(n: Expr, unit: &str) -> Result<Expr, String> {
    let ExprKind::Literal(Value::Text(text)) = &n.kind else {
        return match n.ty {
            _ if unit != "SECOND" && is_cut_off(&n) => Err("has an INTERVAL of UNIX_TIMESTAMP with a fraction, which MySQL cuts off where it rounds others: write FLOOR(…)".to_owned()),
            ty if is_numeric(ty) => Ok(n),
            ty => Err(format!("has an INTERVAL of {}: CAST it to a number", type_name(ty))),
        };
    };
    let number = match Decimal::parse(text) {
        Some(seconds) if unit == "SECOND" => Some((
            Value::Decimal(seconds),
            // MySQL does not look at the digits of a string to know how many there are.
            Type::Decimal { precision: 65, scale: 30 },
        )),
        _ => text.parse().ok().map(|whole| (Value::Int(whole), BIGINT)),
    };
    let (value, ty) =
        number.ok_or_else(|| format!("has an INTERVAL of '{text}': write a number of {unit}s"))?;
    Ok(Expr::new(ExprKind::Literal(value), ty, false))
}
