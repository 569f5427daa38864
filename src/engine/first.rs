//! The first row of a long list by an order, put together of the first rows of its parts.

use std::hint::black_box;

use super::long_list::Summing;
use super::order::RowOrder;
use super::table::Table;

/// The first row of some by an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// No row counts.
    Nothing,
    /// The row in a slot.
    Row(u32),
    /// A row raises an error.
    Error,
}

/// The earlier of rows of a table.
pub(super) struct Earliest<'e> {
    pub(super) table: &'e Table,
    pub(super) order: &'e RowOrder,
}

impl Earliest<'_> {
    /// The earlier of two.
    pub(super) fn of(&self, first: First, other: First) -> First {
        match (first, other) {
            (First::Error, _) | (_, First::Error) => First::Error,
            (First::Nothing, other) | (other, First::Nothing) => other,
            (First::Row(a), First::Row(b)) => match (self.table.row(a), self.table.row(b)) {
                (Some(x), Some(y)) if self.order.compare(&self.table.rows.layout, y, x).is_lt() => {
                    First::Row(b)
                }
                _ => First::Row(a),
            },
        }
    }
}

impl Summing<First> for Earliest<'_> {
    fn all(&self, firsts: &[First]) -> First {
        firsts.iter().fold(First::Nothing, |first, other| self.of(first, *other))
    }

    fn exchange(&self, whole: &mut First, old: &First, new: &First) -> Option<bool> {
        // Of a row that is the first even now its values may be others.
        if *whole == *old || *whole == First::Error || *new == First::Error {
            return None;
        }
        let before = std::mem::replace(whole, self.of(*whole, *new));
        Some(*whole != before)
    }

    fn read(&self, first: &First) {
        black_box(*first);
    }
}
