//! Functions of days, instants and times of day.

use super::super::expr::{DateFormat, Expr, ExprKind, kernels};
use super::super::intervals::{add_interval, interval_unit, whole_micros, whole_months};
use super::super::operators::instant_constant;
use super::super::typing::{BIGINT, fsp, is_dated, is_numeric, type_name};
use super::{Function, constant, kernel};
use crate::value::{Collation, Type, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "ADDDATE", arity: 2..=2, build: |a, _| add(a, 1) },
    Function { name: "DATE", arity: 1..=1, build: date },
    Function { name: "DATEDIFF", arity: 2..=2, build: date_difference },
    Function { name: "DATE_ADD", arity: 2..=2, build: |a, _| add(a, 1) },
    Function { name: "DATE_FORMAT", arity: 2..=2, build: date_format },
    Function { name: "DATE_SUB", arity: 2..=2, build: |a, _| add(a, -1) },
    Function { name: "DAY", arity: 1..=1, build: |a, _| field(a, DAY) },
    Function { name: "DAYNAME", arity: 1..=1, build: |a, _| formatted(a, "%W") },
    Function { name: "DAYOFMONTH", arity: 1..=1, build: |a, _| field(a, DAY) },
    Function {
        name: "DAYOFWEEK",
        arity: 1..=1,
        build: |a, _| Ok(kernel("DAYOFWEEK", kernels::weekday_from_sunday, dates(a)?, BIGINT)),
    },
    Function {
        name: "DAYOFYEAR",
        arity: 1..=1,
        build: |a, _| Ok(kernel("DAYOFYEAR", kernels::day_in_year, dates(a)?, BIGINT)),
    },
    Function { name: "EXTRACT", arity: 2..=2, build: extract },
    Function { name: "FROM_UNIXTIME", arity: 1..=2, build: from_unix_time },
    Function { name: "HOUR", arity: 1..=1, build: |a, _| clock_field(a, HOUR) },
    Function {
        name: "LAST_DAY",
        arity: 1..=1,
        build: |a, _| Ok(kernel("LAST_DAY", kernels::last_day, dates(a)?, Type::Date)),
    },
    Function { name: "MICROSECOND", arity: 1..=1, build: |a, _| clock_field(a, MICROSECOND) },
    Function { name: "MINUTE", arity: 1..=1, build: |a, _| clock_field(a, MINUTE) },
    Function { name: "MONTH", arity: 1..=1, build: |a, _| field(a, MONTH) },
    Function { name: "MONTHNAME", arity: 1..=1, build: |a, _| formatted(a, "%M") },
    Function { name: "QUARTER", arity: 1..=1, build: |a, _| quarter(a) },
    Function { name: "SECOND", arity: 1..=1, build: |a, _| clock_field(a, SECOND) },
    Function { name: "SUBDATE", arity: 2..=2, build: |a, _| add(a, -1) },
    Function { name: "TIME", arity: 1..=1, build: time },
    Function { name: "TIMESTAMP", arity: 1..=2, build: timestamp },
    Function { name: "TIMESTAMPADD", arity: 3..=3, build: timestamp_add },
    Function { name: "TIMESTAMPDIFF", arity: 3..=3, build: timestamp_difference },
    Function {
        name: "TIME_TO_SEC",
        arity: 1..=1,
        build: |a, _| Ok(kernel("TIME_TO_SEC", kernels::seconds_of_time, times(a)?, BIGINT)),
    },
    Function {
        name: "TO_DAYS",
        arity: 1..=1,
        build: |a, _| Ok(kernel("TO_DAYS", kernels::to_days, dates(a)?, BIGINT)),
    },
    Function { name: "UNIX_TIMESTAMP", arity: 1..=1, build: unix_time },
    Function { name: "WEEK", arity: 1..=2, build: |a, _| week(a, 0) },
    Function {
        name: "WEEKDAY",
        arity: 1..=1,
        build: |a, _| Ok(kernel("WEEKDAY", kernels::weekday_from_monday, dates(a)?, BIGINT)),
    },
    Function { name: "WEEKOFYEAR", arity: 1..=1, build: |a, _| week(a, 3) },
    Function { name: "YEAR", arity: 1..=1, build: |a, _| year(a) },
    Function { name: "YEARWEEK", arity: 1..=2, build: |a, _| year_week(a) },
];

/// Places in the fields of an instant.
const MONTH: i64 = 1;
const DAY: i64 = 2;
const HOUR: i64 = 3;
const MINUTE: i64 = 4;
const SECOND: i64 = 5;
const MICROSECOND: i64 = 6;

/// The arguments, if the first is a day or an instant.
fn dates(arguments: Vec<Expr>) -> Result<Vec<Expr>, String> {
    match arguments[0].ty {
        ty if is_dated(ty) => Ok(arguments),
        Type::Time { .. } => Err(
            "takes a day of TIME, for which MySQL takes today: write a DATE, DATETIME or TIMESTAMP"
                .to_owned(),
        ),
        ty => Err(format!(
            "takes {} for a day: write a DATE, DATETIME or TIMESTAMP, or CAST(… AS DATETIME)",
            type_name(ty)
        )),
    }
}

/// The arguments, if the first is a time of day, a day or an instant.
fn times(arguments: Vec<Expr>) -> Result<Vec<Expr>, String> {
    match arguments[0].ty {
        Type::Time { .. } => Ok(arguments),
        ty if is_dated(ty) => Ok(arguments),
        ty => Err(format!(
            "takes {} for a time: write a TIME, DATETIME or TIMESTAMP, or CAST(… AS DATETIME)",
            type_name(ty)
        )),
    }
}

fn field(arguments: Vec<Expr>, place: i64) -> Result<Expr, String> {
    let mut arguments = dates(arguments)?;
    arguments.push(constant(place));
    Ok(kernel("EXTRACT", kernels::field, arguments, BIGINT))
}

/// HOUR to MICROSECOND, which have no sign.
fn clock_field(arguments: Vec<Expr>, place: i64) -> Result<Expr, String> {
    let signed = signed_clock_field(arguments, place)?;
    Ok(kernel("ABS", kernels::absolute, vec![signed], BIGINT))
}

fn signed_clock_field(arguments: Vec<Expr>, place: i64) -> Result<Expr, String> {
    let mut arguments = times(arguments)?;
    arguments.push(constant(place));
    Ok(kernel("EXTRACT", kernels::field, arguments, BIGINT))
}

fn year(arguments: Vec<Expr>) -> Result<Expr, String> {
    Ok(Expr { ty: Type::Year, ..field(arguments, 0)? })
}

fn quarter(arguments: Vec<Expr>) -> Result<Expr, String> {
    Ok(kernel("QUARTER", kernels::quarter, dates(arguments)?, BIGINT))
}

/// EXTRACT of the unit that the first argument names.
fn extract(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let unit = interval_unit(&arguments.remove(0))?;
    match unit {
        "YEAR" => field(arguments, 0),
        "QUARTER" => quarter(arguments),
        "MONTH" => field(arguments, MONTH),
        "WEEK" => week(arguments, 0),
        "DAY" => field(arguments, DAY),
        "HOUR" => signed_clock_field(arguments, HOUR),
        "MINUTE" => signed_clock_field(arguments, MINUTE),
        "SECOND" => signed_clock_field(arguments, SECOND),
        _ => signed_clock_field(arguments, MICROSECOND),
    }
}

fn week(mut arguments: Vec<Expr>, default: i64) -> Result<Expr, String> {
    let mode = mode(arguments.get(1), default)?;
    arguments.truncate(1);
    let mut arguments = dates(arguments)?;
    arguments.push(mode);
    Ok(kernel("WEEK", kernels::week, arguments, BIGINT))
}

fn year_week(mut arguments: Vec<Expr>) -> Result<Expr, String> {
    let mode = mode(arguments.get(1), 0)?;
    arguments.truncate(1);
    let mut arguments = dates(arguments)?;
    arguments.push(mode);
    Ok(kernel("YEARWEEK", kernels::year_week, arguments, BIGINT))
}

fn mode(written: Option<&Expr>, default: i64) -> Result<Expr, String> {
    match written.map(|mode| &mode.kind) {
        None => Ok(constant(default)),
        Some(ExprKind::Literal(Value::Int(mode @ 0..=7))) => Ok(constant(*mode)),
        Some(_) => Err("has a mode that is none of the constants 0 to 7".to_owned()),
    }
}

fn date(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let argument = dates(arguments)?.remove(0);
    let nullable = argument.nullable;
    Ok(Expr::new(ExprKind::Cast(Box::new(argument)), Type::Date, nullable))
}

fn time(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let argument = times(arguments)?.remove(0);
    let (ty, nullable) = (Type::Time { fsp: fsp(argument.ty) }, argument.nullable);
    Ok(Expr::new(ExprKind::Cast(Box::new(argument)), ty, nullable))
}

fn timestamp(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let mut arguments = dates(arguments)?;
    let Some(time) = arguments.get(1).map(|time| time.ty) else {
        let argument = arguments.remove(0);
        let (ty, nullable) = (Type::DateTime { fsp: fsp(argument.ty) }, argument.nullable);
        return Ok(Expr::new(ExprKind::Cast(Box::new(argument)), ty, nullable));
    };
    if !matches!(time, Type::Time { .. }) {
        return Err(format!("adds {}: write a TIME behind the day", type_name(time)));
    }
    let ty = Type::DateTime { fsp: fsp(time).max(fsp(arguments[0].ty)) };
    Ok(Expr { nullable: true, ..kernel("TIMESTAMP", kernels::plus_time, arguments, ty) })
}

/// `DATE_ADD(value, INTERVAL n unit)`, which comes as value, n and unit.
fn add(mut arguments: Vec<Expr>, sign: i64) -> Result<Expr, String> {
    let unit = if arguments.len() > 2 { arguments.pop() } else { None };
    let (n, value) = (arguments.pop(), arguments.pop());
    let (Some(value), Some(n)) = (value, n) else {
        return Err("takes a day and an INTERVAL".to_owned());
    };
    // ADDDATE and SUBDATE take a plain number of days, too.
    let unit = unit.as_ref().map_or(Ok("DAY"), interval_unit)?;
    add_interval(value, n, unit, sign)
}

fn timestamp_add(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let (value, n, unit) = (arguments.pop(), arguments.pop(), arguments.pop());
    let (Some(value), Some(n), Some(unit)) = (value, n, unit) else {
        return Err("takes a unit, a number and a day".to_owned());
    };
    add_interval(value, n, interval_unit(&unit)?, 1)
}

fn date_difference(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let arguments = both_dates(arguments)?;
    Ok(kernel("DATEDIFF", kernels::days_between, arguments, BIGINT))
}

fn timestamp_difference(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let unit = arguments.remove(0);
    let unit = interval_unit(&unit)?;
    let mut arguments = both_dates(arguments)?;
    if let Some(months) = whole_months(unit) {
        arguments.push(constant(months));
        return Ok(kernel("TIMESTAMPDIFF", kernels::months_difference, arguments, BIGINT));
    }
    arguments.push(constant(whole_micros(unit)));
    Ok(kernel("TIMESTAMPDIFF_MICROS", kernels::micros_difference, arguments, BIGINT))
}

/// Two days or instants; one of them may be a string constant.
fn both_dates(arguments: Vec<Expr>) -> Result<Vec<Expr>, String> {
    let read = |argument| instant_constant(argument, Type::DateTime { fsp: 6 });
    let arguments = arguments.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut sides = arguments.into_iter();
    let mut both = Vec::with_capacity(3);
    for side in sides.by_ref() {
        both.extend(dates(vec![side])?);
    }
    Ok(both)
}

fn unix_time(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let arguments = dates(arguments)?;
    let ty = match fsp(arguments[0].ty) {
        0 => BIGINT,
        6 => Type::Decimal { precision: 17, scale: 6 },
        _ => {
            return Err(
                "has a fraction that MySQL prints in two ways: CAST(… AS DATETIME(6)) inside"
                    .to_owned(),
            );
        }
    };
    Ok(kernel("UNIX_TIMESTAMP", kernels::unix_time, arguments, ty))
}

fn from_unix_time(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let format = if arguments.len() > 1 { arguments.pop() } else { None };
    let fsp = match arguments[0].ty {
        Type::Decimal { scale, .. } => scale.min(6),
        Type::Float | Type::Double => 6,
        ty if is_numeric(ty) => 0,
        ty => return Err(format!("takes {} for a number: CAST it", type_name(ty))),
    };
    let ty = Type::DateTime { fsp };
    let instant = kernel("FROM_UNIXTIME", kernels::from_unix_time, arguments, ty);
    let instant = Expr { nullable: true, ..instant };
    match format {
        Some(format) => written_as(instant, &format),
        None => Ok(instant),
    }
}

fn date_format(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let (Some(value), Some(format)) = (arguments.first(), arguments.get(1)) else {
        return Err("takes an instant and a format".to_owned());
    };
    if !is_dated(value.ty) {
        return Err(format!(
            "formats {}: write a DATE, DATETIME or TIMESTAMP",
            type_name(value.ty)
        ));
    }
    written_as(value.clone(), format)
}

fn written_as(value: Expr, format: &Expr) -> Result<Expr, String> {
    let ExprKind::Literal(Value::Text(format)) = &format.kind else {
        return Err("has a format that is no constant: write it as '%Y-%m-%d'".to_owned());
    };
    if format.is_empty() {
        return Err("has an empty format, which gives NULL: write it as '%Y-%m-%d'".to_owned());
    }
    formatted(vec![value], format)
}

fn formatted(arguments: Vec<Expr>, format: &str) -> Result<Expr, String> {
    let value = dates(arguments)?.remove(0);
    let nullable = value.nullable;
    let kind = ExprKind::DateFormat(Box::new(value), DateFormat::parse(format));
    Ok(Expr::new(kind, Type::Text(Collation::CONNECTION), nullable))
}
