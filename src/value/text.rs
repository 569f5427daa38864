//! Values as text, as MySQL prints them, and back.

use std::io::Write as _;

use super::temporal::{days_from_bytes, micros_from_iso, micros_from_time};
use super::{Decimal, Type, Value, normalize_json, write_date, write_datetime, write_time};

/// Appends a value as MySQL converts it to text (in CONCAT, or at its client). NULL appends
/// nothing; bytes that are not UTF-8 are replaced.
pub fn write_text(out: &mut Vec<u8>, value: &Value<'_>, ty: Type) {
    match value {
        Value::DateTime(v) | Value::Timestamp(v) => write_datetime(out, *v, fsp(ty), b' '),
        Value::Bytes(v) => out.extend_from_slice(String::from_utf8_lossy(v).as_bytes()),
        Value::UInt(0) if ty == Type::Year => out.extend_from_slice(b"0000"),
        _ => write_shown(out, value, ty),
    }
}

/// A value as MySQL converts it to text; empty for NULL.
pub fn to_text(value: &Value<'_>, ty: Type) -> String {
    let mut out = Vec::new();
    write_text(&mut out, value, ty);
    into_text(out)
}

/// Text that was put together of texts.
pub(crate) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Appends a value as a document shows it, without quotes: instants in RFC 3339.
pub(super) fn write_shown(out: &mut Vec<u8>, value: &Value<'_>, ty: Type) {
    match value {
        Value::Null => {}
        Value::Int(v) => out.extend_from_slice(itoa::Buffer::new().format(*v).as_bytes()),
        Value::UInt(v) => out.extend_from_slice(itoa::Buffer::new().format(*v).as_bytes()),
        Value::Decimal(v) => v.push_to(out),
        Value::Float(v) => write_float(out, *v),
        Value::Double(v) => write_double(out, *v),
        Value::Text(v) | Value::Json(v) => out.extend_from_slice(v.as_bytes()),
        Value::Bytes(v) => out.extend_from_slice(String::from_utf8_lossy(v).as_bytes()),
        Value::Date(v) => write_date(out, *v),
        Value::Time(v) => write_time(out, *v, fsp(ty)),
        Value::DateTime(v) => write_datetime(out, *v, fsp(ty), b'T'),
        Value::Timestamp(v) => {
            write_datetime(out, *v, fsp(ty), b'T');
            out.push(b'Z');
        }
    }
}

/// Appends a DOUBLE as MySQL prints it: the shortest digits that read back, plain between
/// 1e-15 and 1e15 and while there is a fraction, else with an exponent.
pub fn write_double(out: &mut Vec<u8>, number: f64) {
    write_floating(out, ryu::Buffer::new().format_finite(number));
}

/// Appends a FLOAT as MySQL prints it: with six significant digits, which may not read back.
pub fn write_float(out: &mut Vec<u8>, number: f32) {
    write_floating(out, &format!("{number:.5e}"));
}

/// Appends a DOUBLE as MySQL makes text of it inside of an expression, in at most `width`
/// characters.
pub fn write_double_within(out: &mut Vec<u8>, number: f64, width: usize) {
    let mut buffer = ryu::Buffer::new();
    let rounded = |digits: usize| format!("{number:.*e}", digits - 1);
    write_within(out, buffer.format_finite(number), width, rounded);
}

/// Appends a FLOAT as MySQL makes text of it inside of an expression, in at most `width`
/// characters.
pub fn write_float_within(out: &mut Vec<u8>, number: f32, width: usize) {
    let rounded = |digits: usize| format!("{number:.*e}", digits - 1);
    write_within(out, &format!("{number:.5e}"), width, rounded);
}

/// Reads a value of a type from MySQL's text for it, or a document's; `None` if it is none.
pub fn parse_text(ty: Type, text: &str) -> Option<Value<'static>> {
    Some(match ty {
        Type::Int { bytes, unsigned: false } => {
            let number: i64 = text.parse().ok()?;
            let bits = 64 - 8 * u32::from(bytes);
            ((number << bits >> bits) == number).then_some(Value::Int(number))?
        }
        Type::Int { bytes, unsigned: true } => {
            let number: u64 = text.parse().ok()?;
            (number <= u64::MAX >> (64 - 8 * u32::from(bytes))).then_some(Value::UInt(number))?
        }
        Type::Year | Type::Bit { .. } => Value::UInt(text.parse().ok()?),
        Type::Decimal { scale, .. } => Value::Decimal(Decimal::parse(text)?.rescale(scale)?),
        Type::Float => Value::Float(text.parse().ok()?),
        Type::Double => Value::Double(text.parse().ok()?),
        Type::Text(_) => Value::Text(text.to_owned().into()),
        Type::Bytes => Value::Bytes(text.as_bytes().to_owned().into()),
        Type::Date => Value::Date(days_from_bytes(text.as_bytes())?),
        Type::Time { .. } => Value::Time(micros_from_time(text)?),
        Type::DateTime { .. } => Value::DateTime(micros_from_iso(text)?),
        Type::Timestamp { .. } => Value::Timestamp(micros_from_iso(text)?),
        Type::Json => Value::Json(normalize_json(text)?.into()),
    })
}

fn fsp(ty: Type) -> u8 {
    match ty {
        Type::Time { fsp } | Type::DateTime { fsp } | Type::Timestamp { fsp } => fsp,
        _ => 0,
    }
}

/// The digits of a number: `0.SIGNIFICANT · 10^point`, negative or not.
struct Digits {
    negative: bool,
    significant: String,
    point: i32,
}

impl Digits {
    /// Reads `1.5e-7` or `150.0`.
    fn of(text: &str) -> Digits {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let leading = digits.bytes().take_while(|b| *b == b'0').count();
        let significant = digits[leading..].trim_end_matches('0').to_owned();
        let exponent: i32 = exponent.parse().unwrap_or(0);
        Digits { negative, significant, point: whole.len() as i32 - leading as i32 + exponent }
    }

    fn is_zero(&self) -> bool {
        self.significant.is_empty()
    }

    fn count(&self) -> i32 {
        self.significant.len() as i32
    }

    /// Whether MySQL prints it without an exponent where there is room enough.
    fn is_plain(&self) -> bool {
        self.is_zero() || self.point >= -14 && (self.point <= 15 || self.count() > self.point)
    }

    /// Characters that it takes without an exponent and without a sign.
    fn plain_width(&self) -> i32 {
        match self.point {
            point if point <= 0 => self.count() - point + 2,
            point if point < self.count() => self.count() + 1,
            point => point,
        }
    }

    /// Digits that there is room for with an exponent.
    fn exponent_room(&self, width: i32) -> i32 {
        let exponent = self.point - 1;
        let exponent_digits =
            1 + i32::from(exponent.abs() >= 10) + i32::from(exponent.abs() >= 100);
        width - i32::from(exponent < 0) - 1 - exponent_digits - i32::from(self.count() > 1)
    }

    fn write_plain(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        if self.is_zero() {
            out.push(b'0');
        } else if self.point <= 0 {
            out.extend_from_slice(b"0.");
            (self.point..0).for_each(|_| out.push(b'0'));
            out.extend_from_slice(self.significant.as_bytes());
        } else if self.point >= self.count() {
            out.extend_from_slice(self.significant.as_bytes());
            (self.count()..self.point).for_each(|_| out.push(b'0'));
        } else {
            let (whole, fraction) = self.significant.split_at(self.point as usize);
            let _ = write!(out, "{whole}.{fraction}");
        }
    }

    fn write_exponent(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let (first, rest) = self.significant.split_at(1);
        out.extend_from_slice(first.as_bytes());
        if !rest.is_empty() {
            let _ = write!(out, ".{rest}");
        }
        let _ = write!(out, "e{}", self.point - 1);
    }
}

/// Rewrites the shortest digits (as `1.5e-7`, `150.0`) in MySQL's notation.
fn write_floating(out: &mut Vec<u8>, shortest: &str) {
    let digits = Digits::of(shortest);
    if digits.is_plain() { digits.write_plain(out) } else { digits.write_exponent(out) }
}

/// The same in `width` characters: with an exponent where the plain number does not fit, and with
/// fewer digits, which `rounded` gives, where that does not either.
fn write_within(
    out: &mut Vec<u8>,
    shortest: &str,
    width: usize,
    rounded: impl Fn(usize) -> String,
) {
    let digits = Digits::of(shortest);
    let width = width as i32 - i32::from(digits.negative);
    if digits.is_zero() || digits.is_plain() && digits.plain_width() <= width {
        return digits.write_plain(out);
    }
    let room = digits.exponent_room(width).max(1);
    if digits.count() <= room {
        digits.write_exponent(out);
    } else {
        Digits::of(&rounded(room as usize)).write_exponent(out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Collation;
    use super::*;

    #[test]
    fn text_reads_back_by_type() {
        for (ty, text) in [
            (Type::Int { bytes: 1, unsigned: false }, "-128"),
            (Type::Int { bytes: 8, unsigned: true }, "18446744073709551615"),
            (Type::Decimal { precision: 10, scale: 2 }, "-0.05"),
            (Type::Double, "0.1"),
            (Type::Timestamp { fsp: 0 }, "2024-09-02 17:21:02"),
            (Type::DateTime { fsp: 6 }, "2024-09-02 17:21:02.000001"),
            (Type::Date, "9999-12-31"),
            (Type::Time { fsp: 0 }, "-838:59:59"),
            (Type::Text(Collation::Other), "x"),
            (Type::Json, "{\"a\": 1}"),
        ] {
            let mut out = Vec::new();
            write_text(&mut out, &parse_text(ty, text).unwrap(), ty);
            assert_eq!(out, text.as_bytes());
        }
        for (ty, text) in [
            (Type::Int { bytes: 1, unsigned: false }, "128"),
            (Type::Int { bytes: 2, unsigned: true }, "65536"),
            (Type::Int { bytes: 4, unsigned: false }, "1 OR 1=1"),
            (Type::Date, "2024-13-01"),
        ] {
            assert_eq!(parse_text(ty, text), None, "{text}");
        }
    }

    #[test]
    fn doubles_print_plainly_until_they_grow_too_long() {
        for (number, want) in [
            (0.1, "0.1"),
            (150.0, "150"),
            (-2.5e-7, "-0.00000025"),
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (-0.0, "-0"),
            (1.23456e15, "1.23456e15"),
            (1_234_567_890_123_456.7, "1234567890123456.8"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1.5e300, "1.5e300"),
            (1e-20, "1e-20"),
        ] {
            let mut out = Vec::new();
            write_double(&mut out, number);
            assert_eq!(out, want.as_bytes());
        }
    }

    #[test]
    fn floats_print_six_digits() {
        for (number, want) in [
            (1.234_567_8_f32, "1.23457"),
            (16_777_216.0, "16777200"),
            (999_999.5, "1000000"),
            (0.000_123_456_8, "0.000123457"),
            (1.175_494_4e-38, "1.17549e-38"),
            (1e15, "1e15"),
            (-0.0, "-0"),
            (0.0, "0"),
        ] {
            let mut out = Vec::new();
            write_float(&mut out, number);
            assert_eq!(out, want.as_bytes());
        }
    }

    #[test]
    fn doubles_become_text_in_the_width_that_mysql_gives() {
        for (number, width, want) in [
            (-1.7976931348623157e308, 22, "-1.797693134862316e308"),
            (-1.7976931348623157e-300, 22, "-1.79769313486232e-300"),
            (8.333333333333333e-8, 22, "8.333333333333333e-8"),
            (8.333333333333333e-8, 24, "8.333333333333333e-8"),
            (0.00012345678901234567, 24, "0.00012345678901234567"),
            (-1.2345678901234567e-100, 24, "-1.2345678901234567e-100"),
            (-1.2345678901234567e-100, 22, "-1.23456789012346e-100"),
            (0.30000000000000004, 22, "0.30000000000000004"),
            (0.0, 22, "0"),
        ] {
            let mut out = Vec::new();
            write_double_within(&mut out, number, width);
            assert_eq!(out, want.as_bytes());
        }
        for (number, want) in [(-8.333333e-8, "-8.33333e-8"), (-123456789.0, "-123457000")] {
            let mut out = Vec::new();
            write_float_within(&mut out, number, 12);
            assert_eq!(out, want.as_bytes());
        }
    }
}
