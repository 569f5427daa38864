//! MySQL's calendar: days counted from year 0, weeks in its eight modes, months added and counted.
//!
//! Days are counts since 1970-01-01, as in [`Value::Date`]. MySQL's year 0 has no leap day, which
//! shows where days are counted across the end of its February.

use crate::value::{MICROS_PER_DAY, Value, civil_from_days, days_from_date};

/// MySQL's number of 1970-01-01.
const EPOCH: i64 = 719_528;
/// MySQL's number of 9999-12-31.
const LAST_DAY_NUMBER: i64 = 3_652_424;
/// MySQL's number of 0000-02-28.
const LAST_OF_FEBRUARY: i64 = 59;

/// The days and the microseconds of the day of a date or an instant.
pub(super) fn split(value: &Value<'_>) -> Option<(i32, i64)> {
    match value {
        Value::Date(days) => Some((*days, 0)),
        Value::DateTime(v) | Value::Timestamp(v) => {
            Some((v.div_euclid(MICROS_PER_DAY) as i32, v.rem_euclid(MICROS_PER_DAY)))
        }
        _ => None,
    }
}

/// TO_DAYS: 1 for 0000-01-01.
pub(super) fn day_number(days: i32) -> i64 {
    let number = i64::from(days) + EPOCH;
    if number < LAST_OF_FEBRUARY { number + 1 } else { number }
}

/// The day with a number; `None` outside of MySQL's calendar.
pub(super) fn from_day_number(number: i64) -> Option<i32> {
    if !(1..=LAST_DAY_NUMBER).contains(&number) {
        return None;
    }
    let days = if number <= LAST_OF_FEBRUARY { number - 1 } else { number };
    i32::try_from(days - EPOCH).ok()
}

/// The instant so many microseconds later; `None` outside of MySQL's calendar.
pub(super) fn add_micros(days: i32, of_day: i64, micros: i64) -> Option<i64> {
    let sum = of_day.checked_add(micros)?;
    let days = from_day_number(day_number(days) + sum.div_euclid(MICROS_PER_DAY))?;
    Some(i64::from(days) * MICROS_PER_DAY + sum.rem_euclid(MICROS_PER_DAY))
}

/// The same day so many months later, or the last one of a shorter month; `None` outside of
/// MySQL's calendar.
pub(super) fn add_months(days: i32, months: i64) -> Option<i32> {
    let (year, month, day) = civil_from_days(days);
    let sum = (year * 12 + month - 1).checked_add(months)?;
    if !(0..120_000).contains(&sum) {
        return None;
    }
    let (year, month) = (sum / 12, sum % 12 + 1);
    days_from_date(year as i16, month as i8, day.min(days_in_month(year, month)) as i8)
}

/// Whole months from one instant to another; negative if that is the earlier one.
pub(super) fn months_between(from: (i32, i64), to: (i32, i64)) -> i64 {
    if to < from {
        return -months_between(to, from);
    }
    let ((year, month, day), (to_year, to_month, to_day)) =
        (civil_from_days(from.0), civil_from_days(to.0));
    let months = (to_year - year) * 12 + to_month - month;
    months - i64::from((to_day, to.1) < (day, from.1))
}

/// The last day of a day's month.
pub(super) fn last_of_month(days: i32) -> i32 {
    let (year, month, day) = civil_from_days(days);
    days + (days_in_month(year, month) - day) as i32
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0 && year != 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since Monday.
pub(super) fn weekday(days: i32) -> i64 {
    // Day 2 was a Monday.
    (day_number(days) - 2).rem_euclid(7)
}

/// Days since the year's first.
pub(super) fn day_of_year(days: i32) -> i64 {
    day_number(days) - new_year(civil_from_days(days).0)
}

/// How weeks are counted.
#[derive(Clone, Copy)]
pub(super) struct Weeks {
    /// Weeks begin on Sunday instead of Monday.
    pub(super) from_sunday: bool,
    /// Week 1 is the first with four days in the year, not the first that begins in it.
    pub(super) four_days: bool,
}

impl Weeks {
    /// Week of the year; days before week 1 are in week 0.
    pub(super) fn week_in_year(self, days: i32) -> i64 {
        (day_number(days) - self.first(civil_from_days(days).0)).div_euclid(7) + 1
    }

    /// Year and week; days before week 1 are in the last week of the year before, and days of week
    /// 1 of the next year in that.
    pub(super) fn year_and_week(self, days: i32) -> (i64, i64) {
        let (number, mut year) = (day_number(days), civil_from_days(days).0);
        if number >= self.first(year + 1) {
            year += 1;
        } else if number < self.first(year) {
            year -= 1;
        }
        (year, (number - self.first(year)) / 7 + 1)
    }

    /// The number of the first day of week 1.
    fn first(self, year: i64) -> i64 {
        let new_year = new_year(year);
        let into_week = (new_year - if self.from_sunday { 1 } else { 2 }).rem_euclid(7);
        let counts = if self.four_days { into_week <= 3 } else { into_week == 0 };
        if counts { new_year - into_week } else { new_year - into_week + 7 }
    }
}

/// The number of a year's first day.
fn new_year(year: i64) -> i64 {
    if year <= 0 {
        return 1 + year * 365;
    }
    let before = year - 1;
    // Year 0 is no leap year.
    366 + before * 365 + before / 4 - before / 100 + before / 400
}
