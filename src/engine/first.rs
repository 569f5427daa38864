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

    fn exchange(&self, whole: &mut First, exchanged: &[(&First, &First)]) -> Option<bool> {
        // Of a row that was the first the values may be others by now: before any is compared with it,
        // all are asked whether they have it.
        let is_lost = |(old, new): &(&First, &First)| *old == whole || **new == First::Error;
        if *whole == First::Error || exchanged.iter().any(is_lost) {
            return None;
        }
        let all = exchanged.iter().fold(*whole, |all, (_, new)| self.of(all, **new));
        Some(std::mem::replace(whole, all) != all)
    }

    fn read(&self, first: &First) {
        black_box(*first);
    }
}
