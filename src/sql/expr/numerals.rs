//! Numbers that text begins with, as MySQL reads them where it needs a number: blanks before are
//! skipped, what comes behind does not count, and no digits at all are zero.

use ethnum::I256;

use crate::value::{Decimal, MAX_PRECISION};

/// Digits of a number in text that are looked at; more than any DECIMAL holds.
const DIGITS_MAX: usize = 72;

const BLANKS: [char; 6] = [' ', '\t', '\n', '\x0B', '\x0C', '\r'];

/// What text begins with: an optional sign, digits, a point and more digits, an exponent.
struct Numeral<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    exponent: i64,
    /// All of it, as written.
    text: &'t str,
}

impl<'t> Numeral<'t> {
    fn read(text: &'t str) -> Numeral<'t> {
        let text = text.trim_start_matches(BLANKS);
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, behind) = digits(unsigned);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        let (exponent, behind) = match behind.strip_prefix(['e', 'E']) {
            Some(exponent) if !whole.is_empty() || !fraction.is_empty() => {
                read_exponent(exponent).unwrap_or((0, behind))
            }
            _ => (0, behind),
        };
        let text_read = &text[..text.len() - behind.len()];
        Numeral { negative: text.starts_with('-'), whole, fraction, exponent, text: text_read }
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// An exponent and what is behind it; `None` without digits.
fn read_exponent(text: &str) -> Option<(i64, &str)> {
    let (digits, behind) = digits(text.strip_prefix(['-', '+']).unwrap_or(text));
    // Beyond that every number is zero or too large.
    let size = if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(i64::MAX)) };
    let size = size?.min(100_000);
    Some((if text.starts_with('-') { -size } else { size }, behind))
}

/// The whole number that text begins with; the nearest of `i64::MIN` to `u64::MAX`.
pub(super) fn whole_in(text: &str) -> i128 {
    // MySQL skips no line breaks here.
    let text = text.trim_start_matches([' ', '\t']);
    if text.starts_with(BLANKS) {
        return 0;
    }
    let Numeral { negative, whole, .. } = Numeral::read(text);
    let size: i128 = match whole.trim_start_matches('0') {
        "" => 0,
        digits if digits.len() > 20 => i128::MAX,
        digits => digits.parse().unwrap_or(i128::MAX),
    };
    if negative { -size.min(1 << 63) } else { size.min(i128::from(u64::MAX)) }
}

/// The number that text begins with as a DOUBLE; the largest where it is larger than any.
pub(super) fn double_in(text: &str) -> f64 {
    let numeral = Numeral::read(text);
    if numeral.whole.is_empty() && numeral.fraction.is_empty() {
        return 0.0;
    }
    let number: f64 = numeral.text.parse().unwrap_or(0.0);
    number.clamp(f64::MIN, f64::MAX)
}

/// The number that text begins with as a DECIMAL; the largest where it is larger than any.
pub(super) fn decimal_in(text: &str) -> Decimal {
    let Numeral { negative, whole, fraction, exponent, .. } = Numeral::read(text);
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let kept = &significant[..significant.len().min(DIGITS_MAX)];
    let Ok(size) = kept.parse::<I256>() else { return Decimal::new(0, 0) };
    // The number is `size · 10^-scale`.
    let scale = fraction.len() as i64 - exponent - (significant.len() - kept.len()) as i64;
    let digits = kept.len() as i64;
    let magnitude = if scale > DIGITS_MAX as i64 {
        let cut = u32::try_from(scale - DIGITS_MAX as i64).unwrap_or(u32::MAX);
        let power = if cut > 76 { None } else { I256::new(10).checked_pow(cut) };
        let size = power.map_or(I256::ZERO, |power| size / power);
        Decimal::new(size, DIGITS_MAX as u8)
    } else if scale >= 0 {
        Decimal::new(size, scale as u8)
    } else if digits - scale <= i64::from(MAX_PRECISION) {
        Decimal::new(size * I256::new(10).pow(scale.unsigned_abs() as u32), 0)
    } else {
        Decimal::new(I256::new(10).pow(u32::from(MAX_PRECISION)) - I256::ONE, 0)
    };
    if negative { Decimal::new(-magnitude.unscaled(), magnitude.scale()) } else { magnitude }
}
