//! Dates and times as counts of days and microseconds, and their text.

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// The longest TIME, 838:59:59, in microseconds.
pub(crate) const TIME_MAX: i64 = 3_020_399 * MICROS_PER_SECOND;

/// Days since 1970-01-01 of a proleptic Gregorian date; `None` if there is no such day.
pub fn days_from_date(year: i16, month: i8, day: i8) -> Option<i32> {
    const DAYS: [i8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let in_month = *DAYS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let in_month = in_month + i8::from(month == 2 && leap);
    if !(1..=in_month).contains(&day) || !(-9999..=9999).contains(&year) {
        return None;
    }
    // Years that begin in March end with the leap day; 400 of them repeat.
    let (month, day) = (i32::from(month), i32::from(day));
    let year = i32::from(year) - i32::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year * 365 + year / 4 - year / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Reads `2024-09-02T17:21:02.123456Z`: `T` or a blank between, up to six fractional digits, the
/// `Z` optional; microseconds since the epoch. `None` for anything else.
pub fn micros_from_iso(text: impl AsRef<[u8]>) -> Option<i64> {
    let bytes = text.as_ref();
    let bytes = bytes.strip_suffix(b"Z").unwrap_or(bytes);
    let (date, rest) = bytes.split_at_checked(10)?;
    let days = days_from_bytes(date)?;
    let micros = match rest {
        [] => 0,
        [b'T' | b' ', time @ ..] => clock_from_bytes(time)?,
        _ => return None,
    };
    Some(i64::from(days) * MICROS_PER_DAY + micros)
}

/// Appends `2024-09-02` for a count of days since 1970-01-01.
pub fn write_date(out: &mut Vec<u8>, days: i32) {
    let (year, month, day) = civil_from_days(days);
    let (year, [m1, m2], [d1, d2]) = (year.unsigned_abs(), two(month), two(day));
    if year < 10_000 {
        let ([y1, y2], [y3, y4]) = (two(year as i64 / 100), two(year as i64 % 100));
        out.extend_from_slice(&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
        out.extend_from_slice(&[b'-', m1, m2, b'-', d1, d2]);
    }
}

/// Appends `2024-09-02T17:21:02.123` with `separator` for the `T` and `fsp` fractional digits.
pub fn write_datetime(out: &mut Vec<u8>, micros: i64, fsp: u8, separator: u8) {
    let days = micros.div_euclid(MICROS_PER_DAY);
    write_date(out, i32::try_from(days).unwrap_or(0));
    out.push(separator);
    write_clock(out, micros.rem_euclid(MICROS_PER_DAY), fsp);
}

/// Appends `-838:59:59.5` with `fsp` fractional digits, as MySQL prints TIME.
pub fn write_time(out: &mut Vec<u8>, micros: i64, fsp: u8) {
    if micros < 0 {
        out.push(b'-');
    }
    write_clock(out, micros.saturating_abs(), fsp);
}

/// Reads MySQL's TIME text, `-838:59:59.123456`, as microseconds.
pub(super) fn micros_from_time(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (hours, rest) = text.split_once(':')?;
    if hours.is_empty() || hours.len() > 3 {
        return None;
    }
    let hours = digits(hours.as_bytes())?;
    let micros = hours * 3600 * MICROS_PER_SECOND + minutes_from_bytes(rest.as_bytes())?;
    Some(if negative { -micros } else { micros })
}

/// Reads `2024-09-02`.
pub(super) fn days_from_bytes(bytes: &[u8]) -> Option<i32> {
    let [y @ .., b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    if y.len() != 4 {
        return None;
    }
    let (month, day) = (two_digits(*m1, *m2)?, two_digits(*d1, *d2)?);
    days_from_date(digits(y)? as i16, month as i8, day as i8)
}

fn clock_from_bytes(bytes: &[u8]) -> Option<i64> {
    let [h1, h2, b':', rest @ ..] = bytes else { return None };
    let hours = two_digits(*h1, *h2)?;
    (hours < 24).then_some(hours * 3600 * MICROS_PER_SECOND + minutes_from_bytes(rest)?)
}

/// Reads `21:02.123456`.
fn minutes_from_bytes(bytes: &[u8]) -> Option<i64> {
    let [m1, m2, b':', s1, s2, fraction @ ..] = bytes else { return None };
    let (minutes, seconds) = (two_digits(*m1, *m2)?, two_digits(*s1, *s2)?);
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let micros = match fraction {
        [] => 0,
        [b'.', f @ ..] if (1..=6).contains(&f.len()) => {
            digits(f)? * 10_i64.pow(6 - u32::try_from(f.len()).ok()?)
        }
        _ => return None,
    };
    Some((minutes * 60 + seconds) * MICROS_PER_SECOND + micros)
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn write_clock(out: &mut Vec<u8>, micros: i64, fsp: u8) {
    let seconds = micros / MICROS_PER_SECOND;
    let (hours, [m1, m2], [s1, s2]) = (seconds / 3600, two(seconds / 60 % 60), two(seconds % 60));
    if hours < 100 {
        push_two(out, hours);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(hours).as_bytes());
    }
    out.extend_from_slice(&[b':', m1, m2, b':', s1, s2]);
    if fsp > 0 {
        let digits = usize::from(fsp.min(6));
        let mut fraction = *b".000000";
        let mut rest = micros % MICROS_PER_SECOND;
        for digit in fraction[1..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&fraction[..=digits]);
    }
}

/// Appends a number from 0 to 99 as two digits.
#[inline]
pub(crate) fn push_two(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&two(number));
}

/// The two digits of a number from 0 to 99.
#[inline]
fn two(number: i64) -> [u8; 2] {
    let number = number as u8;
    [b'0' + number / 10, b'0' + number % 10]
}

/// Year, month and day of a day count. Counted from 1 March of year 0, so that a leap day is the
/// last day of its year, in eras of 400 years, which all have the same number of days.
pub(crate) fn civil_from_days(days: i32) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    const TO_EPOCH: i64 = 719_468;
    let days = i64::from(days) + TO_EPOCH;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March to July and August to December take 153 days each.
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::*;

    #[test]
    fn days_count_as_the_calendar_does() {
        let mut days = -719_528;
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let known = Date::new(year, month, day).is_ok();
                    let want = known.then_some(days);
                    assert_eq!(days_from_date(year, month, day), want, "{year}-{month}-{day}");
                    days += i32::from(known);
                }
            }
        }
        assert_eq!(days_from_date(1970, 1, 1), Some(0));
        for (year, month, day) in [(2024, 0, 1), (2024, 13, 1), (2024, 1, 0), (2024, -1, 1)] {
            assert_eq!(days_from_date(year, month, day), None);
        }
    }

    #[test]
    fn instants_read_back() {
        for (text, fsp) in [
            ("1970-01-01T00:00:00", 0),
            ("2024-09-02T17:21:02.123456", 6),
            ("0001-01-01T00:00:00.5", 1),
            ("9999-12-31T23:59:59.999999", 6),
        ] {
            let micros = micros_from_iso(text).unwrap();
            let mut out = Vec::new();
            write_datetime(&mut out, micros, fsp, b'T');
            assert_eq!(out, text.as_bytes());
            assert_eq!(micros_from_iso(format!("{text}Z")), Some(micros));
            assert_eq!(micros_from_iso(text.replace('T', " ")), Some(micros));
        }
        assert_eq!(micros_from_iso("2024-09-02T17:21:02Z"), Some(1_725_297_662_000_000));
        for text in ["", "2024-02-30T00:00:00", "2024-09-02T24:00:00", "2024-09-02T1:00:00", "x"] {
            assert_eq!(micros_from_iso(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_is_its_date() {
        const EPOCH: Date = Date::constant(1970, 1, 1);
        let mut date = Date::constant(-1, 1, 1);
        for days in (date - EPOCH).get_days().. {
            let (year, month, day) = civil_from_days(days);
            let parts = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
            assert_eq!((year, month, day), parts);
            match date.tomorrow() {
                Ok(tomorrow) => date = tomorrow,
                Err(_) => break,
            }
        }
    }

    #[test]
    fn times_read_back() {
        for (text, fsp) in [("-838:59:59", 0), ("00:00:00.000001", 6), ("100:00:00", 0)] {
            let mut out = Vec::new();
            write_time(&mut out, micros_from_time(text).unwrap(), fsp);
            assert_eq!(out, text.as_bytes());
        }
    }
}
