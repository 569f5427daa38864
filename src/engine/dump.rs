//! Copies rows out bit by bit while changes go on.
//!
//! A dump walks the tables' slots, which a row keeps as long as it lives. What changes while it
//! goes on may be in it as it was before or as it is after, twice, or not at all: whoever applies
//! every change since the dump began to what was copied has the rows as they are.

use super::Engine;
use super::widen::Narrowing;
use crate::sql::plan::TableId;

/// The most slots that one chunk looks at, so that a table of few rows in many slots does not
/// hold a step up.
const SLOTS_MAX: u32 = 16_384;

/// Where a dump goes on; the default is its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpCursor {
    table: u16,
    slot: u32,
}

impl Engine {
    /// Shows `row` the packed rows of one table from `cursor` on, until it answers that it has
    /// enough, and moves the cursor behind them. The table; `None` at the end of the dump.
    pub fn dump(
        &self,
        cursor: &mut DumpCursor,
        mut row: impl FnMut(&[u8]) -> bool,
    ) -> Option<TableId> {
        let id = TableId(cursor.table);
        // Groups follow from the rows of others.
        let table = self.tables[..self.plan.tables.len()].get(usize::from(cursor.table))?;
        let mut narrowing = Narrowing::of(self.plan.table(id));
        let end = table.slots().min(cursor.slot.saturating_add(SLOTS_MAX));
        while cursor.slot < end {
            let found = table.row(cursor.slot);
            cursor.slot += 1;
            let is_enough = match &mut narrowing {
                None => found.is_some_and(&mut row),
                Some(narrowing) => {
                    found.is_some_and(|found| row(narrowing.narrow(found).as_bytes()))
                }
            };
            if is_enough {
                return Some(id);
            }
        }
        if cursor.slot >= table.slots() {
            *cursor = DumpCursor { table: cursor.table + 1, slot: 0 };
        }
        Some(id)
    }
}
