//! Exact decimals as MySQL has them: up to 65 digits, up to 30 after the point, a scale that is
//! part of the value (`21.50` is not `21.5`).

use std::cmp::Ordering;
use std::fmt;

use ethnum::I256;

/// Most digits a MySQL DECIMAL can have.
pub const MAX_PRECISION: u8 = 65;

/// An exact decimal number: `unscaled · 10^-scale`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    unscaled: I256,
    scale: u8,
}

impl Decimal {
    /// A decimal of the given digits and scale.
    pub fn new(unscaled: impl Into<I256>, scale: u8) -> Decimal {
        Decimal { unscaled: unscaled.into(), scale }
    }

    /// The digits without the point.
    pub fn unscaled(self) -> I256 {
        self.unscaled
    }

    /// The digits without the point, if they fit 64 bits, as nearly all do.
    #[inline]
    pub(crate) fn small(self) -> Option<i64> {
        let small = self.unscaled.as_i64();
        (I256::from(small) == self.unscaled).then_some(small)
    }

    /// Digits after the point.
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Whether the number is below zero.
    pub fn is_negative(self) -> bool {
        self.unscaled < I256::ZERO
    }

    /// How many digits the number has without the point; 0 for zero.
    pub fn digits(self) -> u32 {
        let mut rest = self.unscaled.unsigned_abs();
        let mut digits = 0;
        // Most numbers fit a machine word.
        while rest > u128::from(u64::MAX) {
            rest /= 10u128;
            digits += 1;
        }
        digits + rest.as_u64().checked_ilog10().map_or(0, |log| log + 1)
    }

    /// Appends plain notation with all digits of the scale: `0.50`, `-3`.
    pub fn push_to(self, out: &mut Vec<u8>) {
        if let Some(small) = self.small() {
            return push_scaled(out, small, self.scale);
        }
        let digits = self.unscaled.unsigned_abs().to_string();
        push_digits(out, self.is_negative(), digits.as_bytes(), self.scale);
    }

    /// Reads a two's-complement big-endian integer (Avro's `decimal`); `None` above 32 bytes.
    pub fn from_be_bytes(bytes: &[u8], scale: u8) -> Option<Decimal> {
        if bytes.len() <= 8 {
            let mut wide = [sign_fill(bytes); 8];
            wide[8 - bytes.len()..].copy_from_slice(bytes);
            return Some(Decimal::new(I256::from(i64::from_be_bytes(wide)), scale));
        }
        if bytes.len() > 32 {
            return None;
        }
        let mut wide = [sign_fill(bytes); 32];
        wide[32 - bytes.len()..].copy_from_slice(bytes);
        Some(Decimal { unscaled: I256::from_be_bytes(wide), scale })
    }

    /// Reads plain notation, as `-12.50`; `None` for anything else or above [`MAX_PRECISION`].
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        // Most numbers fit into 64 bits, which are far cheaper to multiply than 256.
        let mut low = 0u64;
        let mut high: Option<I256> = None;
        let mut scale: Option<u8> = None;
        let mut seen = 0usize;
        for &byte in digits {
            match byte {
                b'0'..=b'9' => {
                    let digit = byte - b'0';
                    if seen < 19 {
                        low = low * 10 + u64::from(digit);
                    } else {
                        let number = high.unwrap_or_else(|| I256::from(low));
                        let number = number.checked_mul(I256::new(10))?;
                        high = Some(number.checked_add(I256::from(digit))?);
                    }
                    scale = match scale {
                        Some(s) => Some(s.checked_add(1)?),
                        None => None,
                    };
                    seen += 1;
                }
                b'.' if scale.is_none() => scale = Some(0),
                _ => return None,
            }
        }
        let unscaled = high.unwrap_or_else(|| I256::from(low));
        let limit = || power_of_ten(u32::from(MAX_PRECISION));
        if seen == 0 || (high.is_some() && unscaled >= limit()) {
            return None;
        }
        let unscaled = if negative { -unscaled } else { unscaled };
        Some(Decimal { unscaled, scale: scale.unwrap_or(0) })
    }

    /// The same number with another scale, rounded half away from zero; `None` on overflow.
    pub fn rescale(self, scale: u8) -> Option<Decimal> {
        let unscaled = match scale.cmp(&self.scale) {
            Ordering::Equal => self.unscaled,
            Ordering::Greater => {
                let up = u32::from(scale - self.scale);
                if up > 76 {
                    return None;
                }
                product(self.unscaled, power_of_ten(up))?
            }
            Ordering::Less => {
                let down = u32::from(self.scale - scale);
                if down > 76 {
                    return Some(Decimal { unscaled: I256::ZERO, scale });
                }
                divide_rounding(self.unscaled, power_of_ten(down))
            }
        };
        Some(Decimal { unscaled, scale })
    }

    /// Sum, with the larger scale; `None` on overflow.
    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        let (a, b) = self.aligned(other)?;
        Some(Decimal { unscaled: a.unscaled.checked_add(b.unscaled)?, scale: a.scale })
    }

    /// Difference, with the larger scale; `None` on overflow.
    pub fn checked_sub(self, other: Decimal) -> Option<Decimal> {
        let (a, b) = self.aligned(other)?;
        Some(Decimal { unscaled: a.unscaled.checked_sub(b.unscaled)?, scale: a.scale })
    }

    /// Product, with the sum of the scales; `None` on overflow.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.checked_add(other.scale)?;
        // 256-bit products are slow, and hardly ever needed.
        let unscaled = match (self.small(), other.small()) {
            (Some(a), Some(b)) => I256::from(i128::from(a) * i128::from(b)),
            _ => self.unscaled.checked_mul(other.unscaled)?,
        };
        Some(Decimal { unscaled, scale })
    }

    /// Quotient with `scale` digits after the point, rounded half away from zero; `None` when the
    /// divisor is zero or the numerator overflows.
    pub fn checked_div(self, other: Decimal, scale: u8) -> Option<Decimal> {
        let (numerator, denominator) = self.fraction(other, scale)?;
        Some(Decimal { unscaled: divide_rounding(numerator, denominator), scale })
    }

    /// Quotient cut off behind `scale` digits; `None` as with [`Decimal::checked_div`].
    pub fn checked_div_cut(self, other: Decimal, scale: u8) -> Option<Decimal> {
        let (numerator, denominator) = self.fraction(other, scale)?;
        Some(Decimal { unscaled: numerator / denominator, scale })
    }

    /// Whole numbers whose quotient is that of the decimals, times `10^scale`.
    fn fraction(self, other: Decimal, scale: u8) -> Option<(I256, I256)> {
        if other.unscaled == I256::ZERO {
            return None;
        }
        let shift = i32::from(scale) + i32::from(other.scale) - i32::from(self.scale);
        Some(if shift >= 0 {
            (self.unscaled.checked_mul(checked_power(shift.unsigned_abs())?)?, other.unscaled)
        } else {
            (self.unscaled, other.unscaled.checked_mul(checked_power(shift.unsigned_abs())?)?)
        })
    }

    fn aligned(self, other: Decimal) -> Option<(Decimal, Decimal)> {
        let scale = self.scale.max(other.scale);
        Some((self.rescale(scale)?, other.rescale(scale)?))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By number: `21.5` equals `21.50`.
impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        if self.scale == other.scale {
            return self.unscaled.cmp(&other.unscaled);
        }
        match self.aligned(*other) {
            Some((a, b)) => a.unscaled.cmp(&b.unscaled),
            // Only a huge number beside one of large scale overflows: whole parts then decide.
            None => {
                let whole = |d: &Decimal| d.unscaled / power_of_ten(u32::from(d.scale.min(76)));
                whole(self).cmp(&whole(other))
            }
        }
    }
}

/// Plain notation with all digits of the scale: `0.50`, `-3`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.push_to(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Appends `unscaled · 10^-scale` in plain notation: what nearly every decimal is printed by.
#[inline]
pub(super) fn push_scaled(out: &mut Vec<u8>, unscaled: i64, scale: u8) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(unscaled.unsigned_abs()).as_bytes();
    push_digits(out, unscaled < 0, digits, scale);
}

fn push_digits(out: &mut Vec<u8>, negative: bool, digits: &[u8], scale: u8) {
    let scale = usize::from(scale);
    if negative {
        out.push(b'-');
    }
    if scale == 0 {
        return out.extend_from_slice(digits);
    }
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    out.push(b'.');
    (fraction.len()..scale).for_each(|_| out.push(b'0'));
    out.extend_from_slice(fraction);
}

fn sign_fill(bytes: &[u8]) -> u8 {
    if bytes.first().is_some_and(|b| b & 0x80 != 0) { 0xFF } else { 0 }
}

/// The product of two numbers; `None` on overflow. Nearly always both are short, and 256-bit
/// multiplication is not.
fn product(a: I256, b: I256) -> Option<I256> {
    match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(I256::from(i128::from(a) * i128::from(b))),
        _ => a.checked_mul(b),
    }
}

fn checked_power(exponent: u32) -> Option<I256> {
    (exponent <= 76).then(|| power_of_ten(exponent))
}

/// `10^exponent` for exponents up to 76, the largest that 256 bits hold.
fn power_of_ten(exponent: u32) -> I256 {
    const SMALL: [i64; 19] = {
        let mut table = [1i64; 19];
        let mut i = 1;
        while i < 19 {
            table[i] = table[i - 1] * 10;
            i += 1;
        }
        table
    };
    match SMALL.get(exponent as usize) {
        Some(&small) => I256::from(small),
        None => I256::new(10).pow(exponent),
    }
}

fn divide_rounding(numerator: I256, denominator: I256) -> I256 {
    let quotient = numerator / denominator;
    let remainder = numerator % denominator;
    // Twice the remainder could overflow; the distance to the denominator cannot.
    let rest = remainder.unsigned_abs();
    if rest >= denominator.unsigned_abs() - rest {
        let away = if (numerator < I256::ZERO) == (denominator < I256::ZERO) { 1 } else { -1 };
        quotient + I256::from(away)
    } else {
        quotient
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn prints_what_it_reads() {
        let longest = format!("-{}.{}", "9".repeat(35), "9".repeat(30));
        for text in [
            "0",
            "21.50",
            "-0.05",
            "0.00",
            "9999999999999999999",
            "-99999999999999999999",
            "18446744073709551616.1",
            &longest,
        ] {
            assert_eq!(d(text).to_string(), text);
        }
        for text in ["", "-", ".", "1e5", "1.2.3", " 1", &"9".repeat(66)] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn rounds_half_away_from_zero() {
        for (text, scale, want) in
            [("2.345", 2, "2.35"), ("-2.345", 2, "-2.35"), ("2.344", 2, "2.34"), ("7", 2, "7.00")]
        {
            assert_eq!(d(text).rescale(scale).unwrap().to_string(), want);
        }
    }

    #[test]
    fn arithmetic_keeps_the_scale_rules() {
        assert_eq!(d("1.5").checked_add(d("2.25")).unwrap().to_string(), "3.75");
        assert_eq!(d("1").checked_sub(d("2.25")).unwrap().to_string(), "-1.25");
        assert_eq!(d("9").checked_mul(d("77.11")).unwrap().to_string(), "693.99");
        assert_eq!(d("1").checked_div(d("3"), 4).unwrap().to_string(), "0.3333");
        assert_eq!(d("-2").checked_div(d("3"), 4).unwrap().to_string(), "-0.6667");
        assert!(d("1").checked_div(d("0.00"), 4).is_none());
    }

    #[test]
    fn reads_avro_bytes() {
        for (bytes, scale, want) in [
            (&[0x08, 0x66][..], 2, "21.50"),
            (&[0xFF][..], 2, "-0.01"),
            (&[][..], 0, "0"),
            (&[0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF][..], 0, "18446744073709551615"),
        ] {
            assert_eq!(Decimal::from_be_bytes(bytes, scale).unwrap().to_string(), want);
        }
        assert!(Decimal::from_be_bytes(&[1; 33], 0).is_none());
    }

    #[test]
    fn compares_by_number() {
        assert_eq!(d("21.5"), d("21.50"));
        assert!(d("-1") < d("0.001"));
        assert!(d(&"9".repeat(65)) > d("0.000000000000000000000000000001"));
    }
}
