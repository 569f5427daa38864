//! DATE_FORMAT.

use std::io::Write as _;

use super::calendar::{Weeks, day_of_year, split, weekday};
use crate::value::{MICROS_PER_SECOND, Value, civil_from_days, push_two};

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

/// Weeks that begin on Sunday, the first with the year's first Sunday.
const SUNDAYS: Weeks = Weeks { from_sunday: true, four_days: false };
/// Weeks that begin on Monday, the first with four days of the year.
const ISO: Weeks = Weeks { from_sunday: false, four_days: true };

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

    /// What it is made of, one behind the other: all that each part can be. Of fields that are numbers
    /// one stands for all.
    pub(in crate::sql) fn parts(&self) -> impl Iterator<Item = Vec<String>> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let first = |names: &[&str]| names.iter().map(|name| name[..3].to_owned()).collect();
        self.0.iter().map(move |part| match part {
            Part::Text(text) => vec![text.clone()],
            Part::Field('M') => owned(&MONTHS),
            Part::Field('b') => first(&MONTHS),
            Part::Field('W') => owned(&DAYS),
            Part::Field('a') => first(&DAYS),
            Part::Field('p' | 'r') => owned(&["AM", "PM"]),
            Part::Field('D') => owned(&["th", "st", "nd", "rd"]),
            Part::Field(_) => vec!["0".to_owned(), "1".to_owned()],
        })
    }

    /// Appends an instant or a date; `false` for NULL.
    pub(super) fn append(&self, value: &Value<'_>, out: &mut Vec<u8>) -> bool {
        let Some((days, micros)) = split(value) else { return false };
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
        let hour12 = (hour + 11) % 12 + 1;
        let half = if hour < 12 { "AM" } else { "PM" };
        let month = MONTHS[(self.month - 1) as usize];
        let weekday = (weekday(self.days) as usize + 1) % 7;
        match field {
            'a' => write!(out, "{}", &DAYS[weekday][..3]),
            'b' => write!(out, "{}", &month[..3]),
            'c' => write!(out, "{}", self.month),
            'D' => write!(out, "{}{}", self.day, ordinal(self.day)),
            'e' => write!(out, "{}", self.day),
            'f' => write!(out, "{:06}", self.micros),
            'h' | 'I' => write!(out, "{hour12:02}"),
            'j' => write!(out, "{:03}", day_of_year(self.days) + 1),
            'k' => write!(out, "{hour}"),
            'l' => write!(out, "{hour12}"),
            'M' => write!(out, "{month}"),
            'p' => write!(out, "{half}"),
            'r' => write!(out, "{hour12:02}:{minute:02}:{second:02} {half}"),
            'T' => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            'U' => write!(out, "{:02}", SUNDAYS.week_in_year(self.days)),
            'u' => write!(out, "{:02}", ISO.week_in_year(self.days)),
            'V' => write!(out, "{:02}", SUNDAYS.year_and_week(self.days).1),
            'v' => write!(out, "{:02}", ISO.year_and_week(self.days).1),
            'W' => write!(out, "{}", DAYS[weekday]),
            'w' => write!(out, "{weekday}"),
            'X' => write!(out, "{:04}", SUNDAYS.year_and_week(self.days).0),
            _ => write!(out, "{:04}", ISO.year_and_week(self.days).0),
        }
    }
}

fn ordinal(day: i64) -> &'static str {
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
