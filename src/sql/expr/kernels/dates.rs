//! Functions of days, instants and times of day.

use ethnum::I256;

use super::super::EvalError;
use super::super::calendar::{
    Weeks, add_micros, add_months, day_number, day_of_year, from_day_number, last_of_month,
    months_between, split, weekday,
};
use super::super::convert::{as_decimal, cast};
use crate::value::{
    Decimal, MICROS_PER_DAY, MICROS_PER_SECOND, TIME_MAX, Type, Value, civil_from_days,
};

const BIGINT: Type = Type::Int { bytes: 8, unsigned: false };
/// 3001-01-19, where MySQL's UNIX time ends, in seconds since 1970.
const UNIX_END: i64 = 32_536_771_200;

type Answer<'v> = Result<Value<'v>, EvalError>;

/// The fields of a date, instant or time, in the order that EXTRACT joins them: year, month, day,
/// hour, minute, second, microsecond. All are negative in a negative time.
fn fields(value: &Value<'_>) -> [i64; 7] {
    let (date, micros) = match value {
        Value::Time(micros) => ((0, 0, 0), *micros),
        _ => {
            let (days, micros) = split(value).unwrap_or_default();
            (civil_from_days(days), micros)
        }
    };
    let seconds = micros / MICROS_PER_SECOND;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    [date.0, date.1, date.2, hour, minute, second, micros % MICROS_PER_SECOND]
}

/// One field of the first argument, by its place (the second): YEAR to MICROSECOND. The fields of
/// a negative time are negative, as EXTRACT has them.
pub(in crate::sql) fn field<'v>(values: &[Value<'v>], ty: Type) -> Answer<'v> {
    let field = fields(&values[0]).get(number(&values[1]) as usize).copied().unwrap_or(0);
    Ok(if ty == Type::Year { Value::UInt(field as u64) } else { Value::Int(field) })
}

/// QUARTER.
pub(in crate::sql) fn quarter<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(Value::Int((fields(&values[0])[1] + 2) / 3))
}

/// WEEKDAY: 0 for Monday.
pub(in crate::sql) fn weekday_from_monday<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(Value::Int(weekday(days(&values[0]))))
}

/// DAYOFWEEK: 1 for Sunday.
pub(in crate::sql) fn weekday_from_sunday<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(Value::Int((weekday(days(&values[0])) + 1) % 7 + 1))
}

/// DAYOFYEAR.
pub(in crate::sql) fn day_in_year<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(Value::Int(day_of_year(days(&values[0])) + 1))
}

/// WEEK in the mode of the second argument.
pub(in crate::sql) fn week<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let (days, mode) = (days(&values[0]), number(&values[1]));
    let weeks = weeks(mode);
    Ok(Value::Int(if mode & 2 == 0 {
        weeks.week_in_year(days)
    } else {
        weeks.year_and_week(days).1
    }))
}

/// YEARWEEK in the mode of the second argument.
pub(in crate::sql) fn year_week<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let (year, week) = weeks(number(&values[1])).year_and_week(days(&values[0]));
    Ok(Value::Int(year * 100 + week))
}

/// Bit 0 of a mode begins weeks on Monday; the four-day rule is that of the modes 1, 3, 4 and 6.
fn weeks(mode: i64) -> Weeks {
    Weeks { from_sunday: mode & 1 == 0, four_days: (mode & 1 == 1) != (mode & 4 == 4) }
}

/// TO_DAYS.
pub(in crate::sql) fn to_days<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(Value::Int(day_number(days(&values[0]))))
}

/// LAST_DAY.
pub(in crate::sql) fn last_day<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(Value::Date(last_of_month(days(&values[0]))))
}

/// DATEDIFF: days from the second argument to the first.
pub(in crate::sql) fn days_between<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(Value::Int(day_number(days(&values[0])) - day_number(days(&values[1]))))
}

/// TIMESTAMPDIFF in units of so many microseconds (the third argument).
pub(in crate::sql) fn micros_difference<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let micros = |value: &Value<'v>| {
        let (days, of_day) = split(value).unwrap_or_default();
        day_number(days) * MICROS_PER_DAY + of_day
    };
    let difference = micros(&values[1]) - micros(&values[0]);
    Ok(Value::Int(difference / number(&values[2]).max(1)))
}

/// TIMESTAMPDIFF in units of so many months (the third argument).
pub(in crate::sql) fn months_difference<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let (from, to) = (split(&values[0]).unwrap_or_default(), split(&values[1]).unwrap_or_default());
    Ok(Value::Int(months_between(from, to) / number(&values[2]).max(1)))
}

/// The first argument and so many (the second) times as many months (the third).
pub(in crate::sql) fn plus_months<'v>(values: &[Value<'v>], ty: Type) -> Answer<'v> {
    let Some((days, of_day)) = split(&values[0]) else { return Ok(Value::Null) };
    let sum = whole(&values[1]).and_then(|n| n.checked_mul(number(&values[2])));
    let days = sum.and_then(|months| add_months(days, months));
    Ok(days.map_or(Value::Null, |days| joined(days, of_day, ty)))
}

/// The first argument and so many (the second) times as many days (the third).
pub(in crate::sql) fn plus_days<'v>(values: &[Value<'v>], ty: Type) -> Answer<'v> {
    let Some((days, of_day)) = split(&values[0]) else { return Ok(Value::Null) };
    let sum = whole(&values[1]).and_then(|n| n.checked_mul(number(&values[2])));
    let sum = sum.and_then(|sum| day_number(days).checked_add(sum));
    let days = sum.and_then(from_day_number);
    Ok(days.map_or(Value::Null, |days| joined(days, of_day, ty)))
}

/// The first argument and so many (the second) times as many microseconds (the third).
pub(in crate::sql) fn plus_micros<'v>(values: &[Value<'v>], ty: Type) -> Answer<'v> {
    let micros = whole(&values[1]).and_then(|n| n.checked_mul(number(&values[2])));
    Ok(micros.map_or(Value::Null, |micros| later(&values[0], micros, ty)))
}

/// The first argument and so many (the second) times as many seconds (the third), cut behind six
/// digits.
pub(in crate::sql) fn plus_seconds<'v>(values: &[Value<'v>], ty: Type) -> Answer<'v> {
    let micros = as_decimal(&values[1]).and_then(|seconds| cut(seconds, 6));
    let micros = micros.and_then(|micros| micros.checked_mul(number(&values[2])));
    Ok(micros.map_or(Value::Null, |micros| later(&values[0], micros, ty)))
}

/// The first argument and a time of day (the second): TIMESTAMP of two arguments.
pub(in crate::sql) fn plus_time<'v>(values: &[Value<'v>], ty: Type) -> Answer<'v> {
    let Value::Time(micros) = &values[1] else { return Ok(Value::Null) };
    Ok(later(&values[0], *micros, ty))
}

fn later(value: &Value<'_>, micros: i64, ty: Type) -> Value<'static> {
    let sum = match value {
        Value::Time(time) => {
            // MySQL has no longer interval either.
            let fits = |time: &i64| (-TIME_MAX..=TIME_MAX).contains(time);
            let sum = Some(micros).filter(fits).map(|micros| time + micros).filter(fits);
            return sum.map_or(Value::Null, Value::Time);
        }
        _ => split(value).and_then(|(days, of_day)| add_micros(days, of_day, micros)),
    };
    match (ty, sum) {
        (_, None) => Value::Null,
        (Type::Date, Some(sum)) => Value::Date(sum.div_euclid(MICROS_PER_DAY) as i32),
        (_, Some(sum)) => Value::DateTime(sum),
    }
}

/// UNIX_TIMESTAMP: 0 outside of what MySQL calls UNIX time.
pub(in crate::sql) fn unix_time<'v>(values: &[Value<'v>], ty: Type) -> Answer<'v> {
    let (days, of_day) = split(&values[0]).unwrap_or_default();
    let micros = i64::from(days) * MICROS_PER_DAY + of_day;
    let micros =
        if (1..UNIX_END).contains(&micros.div_euclid(MICROS_PER_SECOND)) { micros } else { 0 };
    Ok(match ty {
        // Whole seconds have no digits behind the point, which shows in what is calculated of them.
        Type::Decimal { .. } if micros % MICROS_PER_SECOND == 0 => {
            Value::Decimal(Decimal::new(micros / MICROS_PER_SECOND, 0))
        }
        Type::Decimal { .. } => Value::Decimal(Decimal::new(micros, 6)),
        _ => Value::Int(micros / MICROS_PER_SECOND),
    })
}

/// FROM_UNIXTIME; NULL outside of what MySQL calls UNIX time.
pub(in crate::sql) fn from_unix_time<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    // What is less than a nanosecond below zero is zero.
    let seconds = as_decimal(&values[0])
        .filter(|seconds| !seconds.is_negative() || cut(*seconds, 9) == Some(0));
    let micros = seconds.and_then(|seconds| seconds.rescale(6));
    let micros = micros.and_then(|micros| i64::try_from(micros.unscaled()).ok());
    let known = micros.filter(|micros| *micros < UNIX_END * MICROS_PER_SECOND);
    Ok(known.map_or(Value::Null, Value::DateTime))
}

/// TIME_TO_SEC.
pub(in crate::sql) fn seconds_of_time<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let micros = match &values[0] {
        Value::Time(micros) => *micros,
        value => split(value).map_or(0, |(_, of_day)| of_day),
    };
    Ok(Value::Int(micros / MICROS_PER_SECOND))
}

fn days(value: &Value<'_>) -> i32 {
    split(value).map_or(0, |(days, _)| days)
}

/// A constant that the planner adds.
fn number(value: &Value<'_>) -> i64 {
    match value {
        Value::Int(v) => *v,
        _ => 0,
    }
}

/// How many of a unit, as MySQL rounds it; `None` where that is NULL.
fn whole(value: &Value<'_>) -> Option<i64> {
    match cast(value.borrowed(), BIGINT) {
        Value::Int(v) if v != i64::MIN => Some(v),
        _ => None,
    }
}

/// Seconds in units of so many digits behind the point; `None` beyond 64 bits.
fn cut(seconds: Decimal, digits: u32) -> Option<i64> {
    let scale = u32::from(seconds.scale());
    let units = if scale <= digits {
        seconds.unscaled().checked_mul(I256::new(10).pow(digits - scale))?
    } else {
        seconds.unscaled() / I256::new(10).checked_pow(scale - digits)?
    };
    i64::try_from(units).ok()
}

fn joined(days: i32, of_day: i64, ty: Type) -> Value<'static> {
    match ty {
        Type::Date => Value::Date(days),
        _ => Value::DateTime(i64::from(days) * MICROS_PER_DAY + of_day),
    }
}
