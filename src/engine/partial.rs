//! What some rows of a long list come to, to be put together with what others come to. It is small,
//! for a change reads that of many rows, and nothing else has read it for a while.

use std::cmp::Ordering;

use crate::sql::expr;
use crate::sql::plan::{Aggregate, BitOp};
use crate::value::{Decimal, Value, compare};

/// A tally of some of the rows.
#[derive(Clone, Debug)]
pub(super) enum Partial {
    /// Whether there is a row.
    Any(bool),
    /// Rows.
    Count(i64),
    /// A sum and how many values it has.
    Sum(Packed, u64),
    /// Bits.
    Bits(u64),
    /// The first value by an order; NULL of none.
    Extreme(Packed),
    /// Values that differ, which are kept apart.
    Distinct,
}

/// A value in 16 bytes; what does not fit lies elsewhere.
#[derive(Clone, Debug)]
pub(super) enum Packed {
    Null,
    Int(i64),
    UInt(u64),
    Decimal(i64, u8),
    Double(f64),
    Date(i32),
    Time(i64),
    DateTime(i64),
    Timestamp(i64),
    Other(Box<Value<'static>>),
}

impl Partial {
    /// Adds what other rows come to by the same aggregate; `None` if the sum is out of range.
    pub(super) fn merge(&mut self, aggregate: &Aggregate, other: &Partial) -> Option<()> {
        match (self, other) {
            (Partial::Any(any), Partial::Any(other)) => *any |= other,
            (Partial::Count(count), Partial::Count(other)) => *count += other,
            (Partial::Sum(sum, values), Partial::Sum(other, others)) => {
                *sum = sum.add(other)?;
                *values += others;
            }
            (Partial::Bits(bits), Partial::Bits(other)) => {
                let Aggregate::Bits(op, _) = aggregate else { return None };
                op.apply(bits, *other);
            }
            (Partial::Extreme(best), Partial::Extreme(other)) => {
                let is_max = matches!(aggregate, Aggregate::Max(_));
                let wanted = if is_max { Ordering::Greater } else { Ordering::Less };
                if !other.is_null() && (best.is_null() || other.compare(best) == wanted) {
                    *best = other.clone();
                }
            }
            (Partial::Distinct, Partial::Distinct) => {}
            _ => return None,
        }
        Some(())
    }
}

impl BitOp {
    /// Puts the bits of one more value to those so far.
    pub(super) fn apply(self, bits: &mut u64, value: u64) {
        match self {
            BitOp::And => *bits &= value,
            BitOp::Or => *bits |= value,
            BitOp::Xor => *bits ^= value,
        }
    }
}

impl Packed {
    /// Packs a value.
    pub(super) fn of(value: Value<'_>) -> Packed {
        match value {
            Value::Null => Packed::Null,
            Value::Int(v) => Packed::Int(v),
            Value::UInt(v) => Packed::UInt(v),
            Value::Decimal(v) => Packed::of_decimal(v),
            Value::Double(v) => Packed::Double(v),
            Value::Date(v) => Packed::Date(v),
            Value::Time(v) => Packed::Time(v),
            Value::DateTime(v) => Packed::DateTime(v),
            Value::Timestamp(v) => Packed::Timestamp(v),
            Value::Float(_) | Value::Text(_) | Value::Bytes(_) | Value::Json(_) => {
                Packed::Other(Box::new(value.into_owned()))
            }
        }
    }

    /// Packs a DECIMAL.
    pub(super) fn of_decimal(value: Decimal) -> Packed {
        match value.small() {
            Some(small) => Packed::Decimal(small, value.scale()),
            None => Packed::Other(Box::new(Value::Decimal(value))),
        }
    }

    /// The value.
    pub(super) fn value(&self) -> Value<'static> {
        match self {
            Packed::Null => Value::Null,
            Packed::Int(v) => Value::Int(*v),
            Packed::UInt(v) => Value::UInt(*v),
            Packed::Decimal(v, scale) => Value::Decimal(Decimal::new(*v, *scale)),
            Packed::Double(v) => Value::Double(*v),
            Packed::Date(v) => Value::Date(*v),
            Packed::Time(v) => Value::Time(*v),
            Packed::DateTime(v) => Value::DateTime(*v),
            Packed::Timestamp(v) => Value::Timestamp(*v),
            Packed::Other(value) => (**value).clone(),
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Packed::Null)
    }

    /// The order of two values.
    fn compare(&self, other: &Packed) -> Ordering {
        match (self, other) {
            (Packed::Decimal(a, scale), Packed::Decimal(b, other)) if scale == other => a.cmp(b),
            (Packed::Other(a), Packed::Other(b)) => compare(a, b),
            _ => compare(&self.value(), &other.value()),
        }
    }

    /// The sum of two DECIMALs; `None` if it is out of range.
    fn add(&self, other: &Packed) -> Option<Packed> {
        if let (Packed::Decimal(a, scale), Packed::Decimal(b, others)) = (self, other)
            && scale == others
            && let Some(sum) = a.checked_add(*b)
            && sum != 0
        {
            return Some(Packed::Decimal(sum, *scale));
        }
        match (self.value(), other.value()) {
            (Value::Decimal(a), Value::Decimal(b)) => expr::add(a, b).map(Packed::of_decimal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_as_they_went_in() {
        let wide = Decimal::parse("12345678901234567890123.45").unwrap();
        for value in [
            Value::Null,
            Value::Int(-1),
            Value::UInt(u64::MAX),
            Value::Decimal(Decimal::new(-2150, 2)),
            Value::Decimal(wide),
            Value::Float(1.5),
            Value::Double(-0.5),
            Value::Text("a".into()),
            Value::Bytes(vec![1, 2].into()),
            Value::Date(-3),
            Value::Time(-4),
            Value::DateTime(5),
            Value::Timestamp(6),
        ] {
            assert_eq!(format!("{:?}", Packed::of(value.clone()).value()), format!("{value:?}"));
        }
        assert!(size_of::<Partial>() <= 24);
    }

    #[test]
    fn sums_are_those_of_decimals() {
        let numbers = ["0", "0.00", "1.50", "-1.50", "2", "92233720368547758.07"];
        let numbers = numbers.map(|text| Decimal::parse(text).unwrap());
        for a in &numbers {
            for b in &numbers {
                let sum = Packed::of_decimal(*a).add(&Packed::of_decimal(*b)).unwrap();
                let expected = Value::Decimal(expr::add(*a, *b).unwrap());
                assert_eq!(format!("{:?}", sum.value()), format!("{expected:?}"));
                let order = Packed::of_decimal(*a).compare(&Packed::of_decimal(*b));
                assert_eq!(order, a.cmp(b));
            }
        }
    }

    #[test]
    fn sums_out_of_range_are_told() {
        let greatest = Packed::of_decimal(Decimal::parse(&"9".repeat(65)).unwrap());
        let mut sum = Partial::Sum(greatest, 1);
        let doubled = |sum: &mut Partial| sum.merge(&Aggregate::CountRows, &sum.clone()).is_some();
        let doublings = (0..100).take_while(|_| doubled(&mut sum)).count();
        assert!((30..100).contains(&doublings), "{doublings}");
    }
}
