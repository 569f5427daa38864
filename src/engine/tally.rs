//! What an aggregate has made of the rows so far.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Range;
use std::slice;

use smallvec::SmallVec;

use super::distinct::DistinctValues;
use super::frame::{Frame, compare_by};
use super::partial::{Packed, Partial};
use crate::sql::expr::{self, EvalError, Expr};
use crate::sql::plan::{Aggregate, BitOp, OrderBy};
use crate::value::{Decimal, Value, compare, into_text, write_json_string, write_text};

/// Digits that AVG adds after the point: `div_precision_increment`.
const AVG_SCALE_ADDED: u8 = 4;

/// An aggregate and its value so far. Rows are added while they are bound.
pub(super) enum Tally<'f> {
    /// Whether there is a row.
    Any(bool),
    /// Rows; with an argument, those where it is not NULL.
    Count { of: Option<&'f Expr>, count: i64 },
    /// The sum and how many values it has. It has the scale of its largest term, as in MySQL: the
    /// scale of its type comes when it is shown.
    Sum { of: &'f Expr, average: bool, sum: Decimal, values: u64 },
    /// The bits so far.
    Bits { of: &'f Expr, op: BitOp, bits: u64 },
    /// The values, each once, and what is made of them.
    Distinct { of: &'f [Expr], then: Distinct<'f>, seen: BTreeSet<Tuple<'f>> },
    /// Members of a JSON object, appended to a text.
    Members { name: &'f Expr, value: &'f Expr, members: Vec<Member>, text: Vec<u8> },
    /// The first value by an order.
    Extreme { of: &'f Expr, wanted: Ordering, best: Value<'f> },
    /// A text, written as the rows come.
    Text { of: Piece<'f>, any: bool, text: Vec<u8> },
    /// A text whose pieces are put in order at last.
    Sorted { of: Piece<'f>, order_by: &'f [OrderBy], pieces: Pieces<'f>, text: Vec<u8> },
}

/// What is made of values that differ.
pub(super) enum Distinct<'f> {
    /// How many there are.
    Count,
    /// Their sum.
    Sum { average: bool },
    /// Their text, appended to another.
    Concat { descending: bool, separator: &'f str, text: Vec<u8> },
}

/// Values that none of is NULL, in the order of the first, then the second …
pub(super) struct Tuple<'f>(pub(super) SmallVec<[Value<'f>; 1]>);

/// A member of a JSON object: its name and its value, as JSON.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    /// Objects have their names by length, then by bytes.
    length: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// What a row gives to a text.
#[derive(Clone, Copy)]
pub(super) enum Piece<'f> {
    /// A text of GROUP_CONCAT.
    Concat { value: &'f Expr, separator: &'f str },
    /// An element of a JSON array.
    Element(&'f Expr),
}

/// Pieces of a text: the values that they are ordered by, and where they lie in `texts`.
#[derive(Default)]
pub(super) struct Pieces<'f> {
    texts: Vec<u8>,
    places: Vec<(Vec<Value<'f>>, Range<usize>)>,
}

impl<'f> Tally<'f> {
    /// Of no row yet; `in_order` if rows come in the aggregate's order. A text is appended to
    /// `text`. `None` for what is no tally of rows.
    pub(super) fn new(
        aggregate: &'f Aggregate,
        in_order: bool,
        text: Vec<u8>,
    ) -> Option<Tally<'f>> {
        let sum = |of, average| Tally::Sum { of, average, sum: Decimal::new(0, 0), values: 0 };
        let distinct = |of, then| Tally::Distinct { of, then, seen: BTreeSet::new() };
        let extreme = |of, wanted| Tally::Extreme { of, wanted, best: Value::Null };
        Some(match aggregate {
            Aggregate::CountRows => Tally::Count { of: None, count: 0 },
            Aggregate::Count(of) => Tally::Count { of: Some(of), count: 0 },
            Aggregate::Sum(of) => sum(of, false),
            Aggregate::Avg(of) => sum(of, true),
            Aggregate::CountDistinct(of) => distinct(of, Distinct::Count),
            Aggregate::SumDistinct(of) => {
                distinct(slice::from_ref(of), Distinct::Sum { average: false })
            }
            Aggregate::AvgDistinct(of) => {
                distinct(slice::from_ref(of), Distinct::Sum { average: true })
            }
            Aggregate::ConcatDistinct { value, descending, separator } => {
                let then = Distinct::Concat { descending: *descending, separator, text };
                distinct(slice::from_ref(value), then)
            }
            Aggregate::Bits(op, of) => {
                let bits = if *op == BitOp::And { u64::MAX } else { 0 };
                Tally::Bits { of, op: *op, bits }
            }
            Aggregate::JsonObject { name, value } => {
                Tally::Members { name, value, members: Vec::new(), text }
            }
            Aggregate::Min(of) => extreme(of, Ordering::Less),
            Aggregate::Max(of) => extreme(of, Ordering::Greater),
            Aggregate::GroupConcat { value, order_by, separator } => {
                let of = Piece::Concat { value, separator };
                if in_order {
                    Tally::Text { of, any: false, text }
                } else {
                    Tally::Sorted { of, order_by, pieces: Pieces::default(), text }
                }
            }
            Aggregate::JsonArray(value) => {
                Tally::Text { of: Piece::Element(value), any: false, text }
            }
            Aggregate::Exists => Tally::Any(false),
            Aggregate::First { .. } => return None,
        })
    }

    /// Whether tallies of an aggregate can be merged, or the values that differ kept apart.
    pub(super) fn is_kept(aggregate: &Aggregate) -> bool {
        match aggregate {
            Aggregate::Exists
            | Aggregate::CountRows
            | Aggregate::Count(_)
            | Aggregate::CountDistinct(_)
            | Aggregate::Sum(_)
            | Aggregate::Avg(_)
            | Aggregate::SumDistinct(_)
            | Aggregate::AvgDistinct(_)
            | Aggregate::Bits(..)
            | Aggregate::Min(_)
            | Aggregate::Max(_)
            | Aggregate::ConcatDistinct { .. } => true,
            Aggregate::GroupConcat { .. }
            | Aggregate::JsonObject { .. }
            | Aggregate::JsonArray(_)
            | Aggregate::First { .. } => false,
        }
    }

    /// What it says of its rows; values that differ are given to `apart`. `None` if it cannot be
    /// merged.
    pub(super) fn partial(self, apart: impl FnOnce(BTreeSet<Tuple<'f>>)) -> Option<Partial> {
        Some(match self {
            Tally::Any(any) => Partial::Any(any),
            Tally::Count { count, .. } => Partial::Count(count),
            Tally::Sum { sum, values, .. } => Partial::Sum(Packed::of_decimal(sum), values),
            Tally::Bits { bits, .. } => Partial::Bits(bits),
            Tally::Extreme { best, .. } => Partial::Extreme(Packed::of(best)),
            Tally::Distinct { seen, .. } => {
                apart(seen);
                Partial::Distinct
            }
            Tally::Text { .. } | Tally::Sorted { .. } | Tally::Members { .. } => return None,
        })
    }

    /// Adds the row that is bound.
    pub(super) fn add(&mut self, frame: &'f Frame<'_>) -> Result<(), EvalError> {
        match self {
            Tally::Any(any) => *any = true,
            Tally::Count { of: None, count } => *count += 1,
            Tally::Count { of: Some(of), count } => {
                *count += i64::from(!of.eval(frame)?.is_null());
            }
            Tally::Sum { of, sum, values, .. } => {
                if let Some(term) = exact(&of.eval(frame)?) {
                    *sum = expr::add(*sum, term).ok_or_else(out_of_range)?;
                    *values += 1;
                }
            }
            Tally::Bits { of, op, bits } => {
                let value = match of.eval(frame)? {
                    Value::Int(value) => value as u64,
                    Value::UInt(value) => value,
                    _ => return Ok(()),
                };
                op.apply(bits, value);
            }
            Tally::Distinct { of, seen, .. } => {
                let mut tuple = Tuple(SmallVec::new());
                for of in *of {
                    // Values are told apart as columns of their types.
                    match of.eval_stored(frame)? {
                        Value::Null => return Ok(()),
                        value => tuple.0.push(value),
                    }
                }
                seen.insert(tuple);
            }
            Tally::Members { name, value, members, .. } => {
                let mut text = Vec::new();
                if !name.append_text(frame, &mut text)? {
                    let message = "JSON documents may not contain NULL member names.";
                    return Err(EvalError::new(3158, message.to_owned()));
                }
                let (mut name, mut element) = (Vec::new(), Vec::new());
                write_json_string(&mut name, &text);
                value.append_element(frame, &mut element)?;
                members.push(Member { length: text.len(), name, value: element });
            }
            Tally::Extreme { of, wanted, best } => {
                let value = of.eval(frame)?;
                if is_better(&value, best, *wanted) {
                    *best = value;
                }
            }
            Tally::Text { of, any, text } => {
                let before = text.len();
                text.extend_from_slice(of.before(*any));
                if of.append(frame, text)? {
                    *any = true;
                } else {
                    text.truncate(before);
                }
            }
            Tally::Sorted { of, order_by, pieces, .. } => {
                let start = pieces.texts.len();
                if of.append(frame, &mut pieces.texts)? {
                    let values = order_by.iter().map(|term| term.expr.eval(frame));
                    let values = values.collect::<Result<_, _>>()?;
                    pieces.places.push((values, start..pieces.texts.len()));
                }
            }
        }
        Ok(())
    }

    /// The value of the rows added.
    pub(super) fn finish(self) -> Result<Value<'f>, EvalError> {
        Ok(match self {
            Tally::Any(any) => Value::Int(any.into()),
            Tally::Count { count, .. } => Value::Int(count),
            Tally::Sum { average, sum, values, .. } => summed(sum, values, average)?,
            Tally::Bits { bits, .. } => Value::UInt(bits),
            Tally::Distinct { of, then, seen } => {
                then.finish(of, seen.iter().map(|Tuple(values)| values.as_slice()))?
            }
            Tally::Members { .. } => match self.into_text() {
                (_, false) => Value::Null,
                (text, true) => Value::Json(into_text(text).into()),
            },
            Tally::Extreme { best, .. } => best,
            Tally::Text { of, .. } | Tally::Sorted { of, .. } => match self.into_text() {
                (_, false) => Value::Null,
                (text, true) => of.value(into_text(text)),
            },
        })
    }

    /// The value of rows of which this was kept, none of which was added.
    pub(super) fn finish_kept(
        self,
        partial: &Partial,
        distinct: &DistinctValues,
    ) -> Result<Value<'f>, EvalError> {
        Ok(match (self, partial) {
            (Tally::Distinct { of, then, .. }, _) => then.finish(of, distinct.values())?,
            (Tally::Sum { average, .. }, Partial::Sum(sum, values)) => match sum.value() {
                Value::Decimal(sum) => summed(sum, *values, average)?,
                _ => Value::Null,
            },
            (_, Partial::Any(any)) => Value::Int(i64::from(*any)),
            (_, Partial::Count(count)) => Value::Int(*count),
            (_, Partial::Bits(bits)) => Value::UInt(*bits),
            (_, Partial::Extreme(best)) => best.value(),
            (_, Partial::Sum(..) | Partial::Distinct) => Value::Null,
        })
    }

    /// The text of the rows added, behind what it was appended to; and whether it is not NULL.
    pub(super) fn into_text(self) -> (Vec<u8>, bool) {
        match self {
            Tally::Text { of, any, mut text } => {
                text.extend_from_slice(if any { of.end() } else { b"" });
                (text, any)
            }
            Tally::Sorted { of, order_by, mut pieces, mut text } => {
                pieces.places.sort_by(|(a, _), (b, _)| compare_by(order_by, a, b));
                for (i, (_, place)) in pieces.places.iter().enumerate() {
                    text.extend_from_slice(of.before(i > 0));
                    text.extend_from_slice(&pieces.texts[place.clone()]);
                }
                let any = !pieces.places.is_empty();
                text.extend_from_slice(if any { of.end() } else { b"" });
                (text, any)
            }
            Tally::Distinct { of, then, seen } => {
                then.into_text(of, seen.iter().map(|Tuple(values)| values.as_slice()))
            }
            Tally::Members { mut members, mut text, .. } => {
                members.sort_unstable();
                // A key's names differ.
                members.dedup_by(|a, b| a.name == b.name);
                for (i, Member { name, value, .. }) in members.iter().enumerate() {
                    text.extend_from_slice(if i > 0 { b", " } else { b"{" });
                    text.extend_from_slice(name);
                    text.extend_from_slice(b": ");
                    text.extend_from_slice(value);
                }
                text.extend_from_slice(if members.is_empty() { b"" } else { b"}" });
                (text, !members.is_empty())
            }
            Tally::Any(_)
            | Tally::Count { .. }
            | Tally::Sum { .. }
            | Tally::Bits { .. }
            | Tally::Extreme { .. } => (Vec::new(), false),
        }
    }
}

impl Distinct<'_> {
    /// What is made of these values, in their order and each once.
    fn finish<'v, 'w: 'v, 't>(
        self,
        of: &[Expr],
        mut values: impl DoubleEndedIterator<Item = &'v [Value<'w>]> + ExactSizeIterator,
    ) -> Result<Value<'t>, EvalError> {
        let count = values.len();
        match self {
            Distinct::Count => Ok(Value::Int(count as i64)),
            Distinct::Sum { average } => {
                let mut terms = values.by_ref().filter_map(|values| exact(values.first()?));
                let sum = terms.try_fold(Decimal::new(0, 0), expr::add).ok_or_else(out_of_range)?;
                summed(sum, count as u64, average)
            }
            Distinct::Concat { .. } => Ok(match self.into_text(of, values) {
                (_, false) => Value::Null,
                (text, true) => Value::Text(into_text(text).into()),
            }),
        }
    }

    /// The text of these values, behind what it is appended to; and whether it is not NULL.
    fn into_text<'v, 'w: 'v>(
        self,
        of: &[Expr],
        values: impl DoubleEndedIterator<Item = &'v [Value<'w>]>,
    ) -> (Vec<u8>, bool) {
        let Distinct::Concat { descending, separator, mut text } = self else {
            return (Vec::new(), false);
        };
        let mut any = false;
        let mut write = |values: &[Value<'_>]| {
            text.extend_from_slice(if any { separator.as_bytes() } else { b"" });
            values.iter().zip(of).for_each(|(value, of)| write_text(&mut text, value, of.ty));
            any = true;
        };
        match descending {
            false => values.for_each(&mut write),
            true => values.rev().for_each(&mut write),
        }
        (text, any)
    }
}

/// Compares values one after the other.
pub(super) fn compare_all(a: &[Value<'_>], b: &[Value<'_>]) -> Ordering {
    let mut pairs = a.iter().zip(b).map(|(a, b)| compare(a, b));
    pairs.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}

impl Ord for Tuple<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_all(&self.0, &other.0)
    }
}

impl PartialOrd for Tuple<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Tuple<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Tuple<'_> {}

impl<'f> Piece<'f> {
    /// What stands before the first piece, or before a further one.
    fn before(self, further: bool) -> &'f [u8] {
        match self {
            Piece::Concat { separator, .. } if further => separator.as_bytes(),
            Piece::Concat { .. } => b"",
            Piece::Element(_) if further => b", ",
            Piece::Element(_) => b"[",
        }
    }

    /// What stands behind the last piece.
    fn end(self) -> &'static [u8] {
        match self {
            Piece::Concat { .. } => b"",
            Piece::Element(_) => b"]",
        }
    }

    /// Appends what the row that is bound gives; `false`, and nothing appended, if that is nothing.
    fn append(self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        match self {
            Piece::Concat { value, .. } => value.append_text(frame, out),
            Piece::Element(value) => value.append_element(frame, out).map(|()| true),
        }
    }

    fn value<'v>(self, text: String) -> Value<'v> {
        match self {
            Piece::Concat { .. } => Value::Text(text.into()),
            Piece::Element(_) => Value::Json(text.into()),
        }
    }
}

/// Whether a value takes the place of the best so far.
fn is_better(value: &Value<'_>, best: &Value<'_>, wanted: Ordering) -> bool {
    !value.is_null() && (best.is_null() || compare(value, best) == wanted)
}

/// A term of a sum; `None` for NULL.
fn exact(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Int(v) => Some(Decimal::new(*v, 0)),
        Value::UInt(v) => Some(Decimal::new(*v, 0)),
        Value::Decimal(v) => Some(*v),
        _ => None,
    }
}

/// The value of a sum of so many terms.
fn summed<'v>(sum: Decimal, values: u64, average: bool) -> Result<Value<'v>, EvalError> {
    match (values, average) {
        (0, _) => Ok(Value::Null),
        (_, false) => Ok(Value::Decimal(sum)),
        (_, true) => expr::divide(sum, Decimal::new(values, 0), AVG_SCALE_ADDED)
            .map(Value::Decimal)
            .ok_or_else(out_of_range),
    }
}

fn out_of_range() -> EvalError {
    EvalError::new(1690, "DECIMAL value is out of range".to_owned())
}
