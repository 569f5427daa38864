//! DATE_FORMAT.

use std::io::Write as _;

use jiff::civil::{Date, Weekday};

use crate::value::{
    MICROS_PER_DAY, MICROS_PER_SECOND, Value, civil_from_days, date_from_days, push_two,
};

/// A format read once, when the view is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(char),
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl DateFormat {
    /// Reads MySQL's format; every specifier has its place, and `%x` of another letter is `x`.
    pub(in crate::sql) fn parse(format: &str) -> DateFormat {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => match chars.next() {
                    Some(field) if "abcDdefHhIijklMmprSsTUuVvWwXxYy".contains(field) => {
                        if !text.is_empty() {
                            parts.push(Part::Text(std::mem::take(&mut text)));
                        }
                        parts.push(Part::Field(field));
                    }
                    Some(other) => text.push(other),
                    None => text.push('%'),
                },
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        DateFormat(parts)
    }

    /// Appends an instant or a date; `false` for NULL.
    pub(super) fn append(&self, value: &Value<'_>, out: &mut Vec<u8>) -> bool {
        let (days, micros) = match value {
            Value::Date(days) => (*days, 0),
            Value::DateTime(v) | Value::Timestamp(v) => {
                (v.div_euclid(MICROS_PER_DAY) as i32, v.rem_euclid(MICROS_PER_DAY))
            }
            _ => return false,
        };
        let moment = Moment::new(days, micros);
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                // Writing to a vector cannot fail.
                Part::Field(field) => drop(moment.write(*field, out)),
            }
        }
        true
    }
}

/// An instant taken apart.
struct Moment {
    days: i32,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// Of the second.
    micros: i64,
}

impl Moment {
    fn new(days: i32, micros: i64) -> Moment {
        let (year, month, day) = civil_from_days(days);
        let seconds = (micros / MICROS_PER_SECOND) as u32;
        Moment {
            days,
            year,
            month,
            day,
            hour: i64::from(seconds / 3600),
            minute: i64::from(seconds / 60 % 60),
            second: i64::from(seconds % 60),
            micros: micros % MICROS_PER_SECOND,
        }
    }

    fn write(&self, field: char, out: &mut Vec<u8>) -> std::io::Result<()> {
        match field {
            'd' => push_two(out, self.day),
            'H' => push_two(out, self.hour),
            'i' => push_two(out, self.minute),
            'm' => push_two(out, self.month),
            'S' | 's' => push_two(out, self.second),
            'Y' => {
                push_two(out, self.year / 100);
                push_two(out, self.year % 100);
            }
            'y' => push_two(out, self.year % 100),
            field => return self.write_rare(field, out),
        }
        Ok(())
    }

    fn write_rare(&self, field: char, out: &mut Vec<u8>) -> std::io::Result<()> {
        let Moment { hour, minute, second, .. } = *self;
        // MySQL stores no day outside of the calendar.
        let Some(date) = date_from_days(self.days) else { return Ok(()) };
        let hour12 = (hour + 11) % 12 + 1;
        let half = if hour < 12 { "AM" } else { "PM" };
        let month = MONTHS[(date.month() - 1) as usize];
        let weekday = date.weekday().to_sunday_zero_offset() as usize;
        match field {
            'a' => write!(out, "{}", &DAYS[weekday][..3]),
            'b' => write!(out, "{}", &month[..3]),
            'c' => write!(out, "{}", date.month()),
            'D' => write!(out, "{}{}", date.day(), ordinal(date.day())),
            'e' => write!(out, "{}", date.day()),
            'f' => write!(out, "{:06}", self.micros),
            'h' | 'I' => write!(out, "{hour12:02}"),
            'j' => write!(out, "{:03}", date.day_of_year()),
            'k' => write!(out, "{hour}"),
            'l' => write!(out, "{hour12}"),
            'M' => write!(out, "{month}"),
            'p' => write!(out, "{half}"),
            'r' => write!(out, "{hour12:02}:{minute:02}:{second:02} {half}"),
            'T' => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            'U' => write!(out, "{:02}", week_from_zero(date, Weekday::Sunday)),
            'u' => write!(out, "{:02}", week_from_zero(date, Weekday::Monday)),
            'V' => write!(out, "{:02}", week_of_year(date, Weekday::Sunday).1),
            'v' => write!(out, "{:02}", week_of_year(date, Weekday::Monday).1),
            'W' => write!(out, "{}", DAYS[weekday]),
            'w' => write!(out, "{weekday}"),
            'X' => write!(out, "{:04}", week_of_year(date, Weekday::Sunday).0),
            _ => write!(out, "{:04}", week_of_year(date, Weekday::Monday).0),
        }
    }
}

fn ordinal(day: i8) -> &'static str {
    match day {
        11..=13 => "th",
        _ => match day % 10 {
            1 => "st",
            2 => "nd",
            3 => "rd",
            _ => "th",
        },
    }
}

/// The first day of week 1, in days since 1970. Weeks that begin on Sunday count from the year's
/// first Sunday, those that begin on Monday from the week that has four days in the year.
fn first_week(year: i16, first_day: Weekday) -> i64 {
    // Counted from the day before, for dates end with the year 9999.
    let new_year = Date::new(year - 1, 12, 31).map_or(0, day_number) + 1;
    // 1970-01-01 was a Thursday.
    let since_monday = (new_year + 3).rem_euclid(7);
    if first_day == Weekday::Sunday {
        let since_sunday = (since_monday + 1) % 7;
        if since_sunday == 0 { new_year } else { new_year - since_sunday + 7 }
    } else if since_monday <= 3 {
        new_year - since_monday
    } else {
        new_year - since_monday + 7
    }
}

/// Week of the year; days before week 1 are in week 0.
fn week_from_zero(date: Date, first_day: Weekday) -> i64 {
    (day_number(date) - first_week(date.year(), first_day)).div_euclid(7) + 1
}

/// Year and week; days before week 1 are in the last week of the year before.
fn week_of_year(date: Date, first_day: Weekday) -> (i16, i64) {
    let mut year = date.year();
    if first_day == Weekday::Monday && day_number(date) >= first_week(year + 1, first_day) {
        year += 1;
    } else if day_number(date) < first_week(year, first_day) {
        year -= 1;
    }
    (year, (day_number(date) - first_week(year, first_day)) / 7 + 1)
}

fn day_number(date: Date) -> i64 {
    i64::from((date - Date::constant(1970, 1, 1)).get_days())
}
