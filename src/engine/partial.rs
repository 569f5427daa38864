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

    /// Has one of those that it is put together of say `new` where it said `old`. `None` if that does
    /// not tell what it is then; else whether it changes.
    pub(super) fn exchange(
        &mut self,
        aggregate: &Aggregate,
        old: &Partial,
        new: &Partial,
    ) -> Option<bool> {
        match (self, old, new) {
            (Partial::Any(any), Partial::Any(old), Partial::Any(new)) => {
                let is_changed = *new && !*any;
                *any |= new;
                (*new || !old).then_some(is_changed)
            }
            (Partial::Count(count), Partial::Count(old), Partial::Count(new)) => {
                *count += new - old;
                Some(old != new)
            }
            (Partial::Sum(sum, values), Partial::Sum(old, olds), Partial::Sum(new, news)) => {
                if old.is(new) && olds == news {
                    return Some(false);
                }
                *sum = sum.exchange(old, new)?;
                *values = *values - olds + news;
                Some(true)
            }
            (Partial::Bits(bits), Partial::Bits(old), Partial::Bits(new)) => {
                let is_changed = old != new;
                let Aggregate::Bits(op, _) = aggregate else { return None };
                if is_changed && *op != BitOp::Xor {
                    return None;
                }
                *bits ^= old ^ new;
                Some(is_changed)
            }
            (Partial::Extreme(best), Partial::Extreme(old), Partial::Extreme(new)) => {
                let is_max = matches!(aggregate, Aggregate::Max(_));
                let wanted = if is_max { Ordering::Greater } else { Ordering::Less };
                if old.is(new) {
                    return Some(false);
                }
                if !new.is_null() && (best.is_null() || new.compare(best) == wanted) {
                    *best = new.clone();
                    return Some(true);
                }
                (old.is_null() || best.compare(old) == wanted).then_some(false)
            }
            (Partial::Distinct, Partial::Distinct, Partial::Distinct) => Some(false),
            _ => None,
        }
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

    /// Whether both are one and the same. Of what lies elsewhere that is not looked into.
    fn is(&self, other: &Packed) -> bool {
        match (self, other) {
            (Packed::Null, Packed::Null) => true,
            (Packed::Decimal(a, scale), Packed::Decimal(b, others)) => a == b && scale == others,
            (Packed::UInt(a), Packed::UInt(b)) => a == b,
            (Packed::Double(a), Packed::Double(b)) => a.to_bits() == b.to_bits(),
            (Packed::Date(a), Packed::Date(b)) => a == b,
            (Packed::Int(a), Packed::Int(b))
            | (Packed::Time(a), Packed::Time(b))
            | (Packed::DateTime(a), Packed::DateTime(b))
            | (Packed::Timestamp(a), Packed::Timestamp(b)) => a == b,
            _ => false,
        }
    }

    /// The sum of DECIMALs after one of them is another; `None` if that is not told by the three.
    fn exchange(&self, old: &Packed, new: &Packed) -> Option<Packed> {
        let (Packed::Decimal(sum, scale), Packed::Decimal(old, olds), Packed::Decimal(new, news)) =
            (self, old, new)
        else {
            return None;
        };
        // The scale is that of the largest term, and that of nothing is told by its terms.
        let sum = sum.checked_sub(*old)?.checked_add(*new)?;
        (scale == olds && scale == news && sum != 0).then_some(Packed::Decimal(sum, *scale))
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
    use proptest::array::uniform4;
    use proptest::prelude::*;

    use super::*;
    use crate::sql::expr::{Expr, ExprKind};
    use crate::value::Type;

    /// Of how many kinds `partial` makes some.
    const KINDS: usize = 8;

    /// Of a kind and a number: few differ, so that some are alike.
    fn partial(kind: usize, number: i64) -> (Aggregate, Partial) {
        let of = || Expr { kind: ExprKind::Literal(Value::Null), ty: Type::Double, nullable: true };
        let decimal = Packed::Decimal(
            number % 5 * 10_i64.pow((number % 19).unsigned_abs() as u32 % 19),
            2 + (number % 7 / 6) as u8,
        );
        let packed = match number % 6 {
            0 => Packed::Null,
            1 => Packed::Other(Box::new(Value::Text((number % 3).to_string().into()))),
            _ => Packed::Other(Box::new(Value::Text("a".into()))),
        };
        match kind {
            0 => (Aggregate::Exists, Partial::Any(number % 2 == 0)),
            1 => (Aggregate::CountRows, Partial::Count(number % 4)),
            2 => (Aggregate::Sum(of()), Partial::Sum(decimal, (number % 3) as u64)),
            3 => (Aggregate::Bits(BitOp::And, of()), Partial::Bits((number % 8) as u64)),
            4 => (Aggregate::Bits(BitOp::Xor, of()), Partial::Bits((number % 8) as u64)),
            5 => (Aggregate::Max(of()), Partial::Extreme(decimal)),
            6 => (Aggregate::Min(of()), Partial::Extreme(packed)),
            _ => (Aggregate::Max(of()), Partial::Extreme(packed)),
        }
    }

    proptest! {
        /// One of four says something else: the whole is what it would be made anew, or does not know.
        #[test]
        fn what_is_exchanged_is_as_if_made_anew(
            kind in 0..KINDS, parts in uniform4(0..1000i64), at in 0..4usize, to in 0..1000i64
        ) {
            let aggregate = partial(kind, 0).0;
            let mut parts = parts.map(|number| partial(kind, number).1);
            let merged = |parts: &[Partial]| {
                let mut merged = parts[0].clone();
                parts[1..].iter().try_for_each(|part| merged.merge(&aggregate, part))?;
                Some(merged)
            };
            let text = |partial: &Option<Partial>| format!("{partial:?}");
            let before = merged(&parts);
            let (old, new) = (parts[at].clone(), partial(kind, to).1);
            parts[at] = new.clone();
            let mut whole = before.clone();
            let exchanged = whole.as_mut().and_then(|whole| whole.exchange(&aggregate, &old, &new));
            if let Some(is_changed) = exchanged {
                prop_assert_eq!(text(&whole), text(&merged(&parts)));
                prop_assert_eq!(is_changed, text(&before) != text(&whole));
            }
        }
    }

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
