//! What an aggregate has made of the rows so far.

use std::cmp::Ordering;
use std::ops::Range;

use super::frame::{Frame, compare_by};
use crate::sql::expr::{self, EvalError, Expr};
use crate::sql::plan::{Aggregate, OrderBy};
use crate::value::{Decimal, Value, compare, into_text};

/// Digits that AVG adds after the point: `div_precision_increment`.
const AVG_SCALE_ADDED: u8 = 4;

/// An aggregate and its value so far. Rows are added while they are bound.
pub(super) enum Tally<'f> {
    /// Rows; with an argument, those where it is not NULL.
    Count { of: Option<&'f Expr>, count: i64 },
    /// The sum and how many values it has. It has the scale of its largest term, as in MySQL: the
    /// scale of its type comes when it is shown.
    Sum { of: &'f Expr, average: bool, sum: Decimal, values: u64 },
    /// The first value by an order.
    Extreme { of: &'f Expr, wanted: Ordering, best: Value<'f> },
    /// A text, written as the rows come.
    Text { of: Piece<'f>, any: bool, text: Vec<u8> },
    /// A text whose pieces are put in order at last.
    Sorted { of: Piece<'f>, order_by: &'f [OrderBy], pieces: Pieces<'f>, text: Vec<u8> },
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
        let extreme = |of, wanted| Tally::Extreme { of, wanted, best: Value::Null };
        Some(match aggregate {
            Aggregate::CountRows => Tally::Count { of: None, count: 0 },
            Aggregate::Count(of) => Tally::Count { of: Some(of), count: 0 },
            Aggregate::Sum(of) => sum(of, false),
            Aggregate::Avg(of) => sum(of, true),
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
            Aggregate::First { .. } | Aggregate::Exists => return None,
        })
    }

    /// Adds the row that is bound.
    pub(super) fn add(&mut self, frame: &'f Frame<'_>) -> Result<(), EvalError> {
        match self {
            Tally::Count { of: None, count } => *count += 1,
            Tally::Count { of: Some(of), count } => {
                *count += i64::from(!of.eval(frame)?.is_null());
            }
            Tally::Sum { of, sum, values, .. } => {
                let term = match of.eval(frame)? {
                    Value::Int(v) => Decimal::new(v, 0),
                    Value::UInt(v) => Decimal::new(v, 0),
                    Value::Decimal(v) => v,
                    _ => return Ok(()),
                };
                *sum = expr::add(*sum, term).ok_or_else(out_of_range)?;
                *values += 1;
            }
            Tally::Extreme { of, wanted, best } => {
                let value = of.eval(frame)?;
                if !value.is_null() && (best.is_null() || compare(&value, best) == *wanted) {
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
            Tally::Count { count, .. } => Value::Int(count),
            Tally::Sum { values: 0, .. } => Value::Null,
            Tally::Sum { average: false, sum, .. } => Value::Decimal(sum),
            Tally::Sum { average: true, sum, values, .. } => {
                let average = expr::divide(sum, Decimal::new(values, 0), AVG_SCALE_ADDED);
                Value::Decimal(average.ok_or_else(out_of_range)?)
            }
            Tally::Extreme { best, .. } => best,
            Tally::Text { of, .. } | Tally::Sorted { of, .. } => match self.into_text() {
                (_, false) => Value::Null,
                (text, true) => of.value(into_text(text)),
            },
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
            _ => (Vec::new(), false),
        }
    }
}

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

fn out_of_range() -> EvalError {
    EvalError::new(1690, "DECIMAL value is out of range".to_owned())
}
