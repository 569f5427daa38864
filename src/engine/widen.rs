//! Rows with what is computed of them, which only the engine holds.

use crate::sql::plan::{Computed, Table};
use crate::value::{Row, RowLayout, RowWriter};

/// How rows of a table become wide ones.
#[derive(Debug)]
pub(super) struct Widening {
    narrow: RowLayout,
    computed: Vec<Computed>,
    writer: RowWriter,
}

impl Widening {
    /// `None` of a table of which nothing is computed.
    pub(super) fn of(table: &Table) -> Option<Box<Widening>> {
        (!table.computed.is_empty()).then(|| {
            Box::new(Widening {
                narrow: table.layout.clone(),
                computed: table.computed.clone(),
                writer: RowWriter::new(&table.wide_layout()),
            })
        })
    }

    /// The row with what is computed of it behind it.
    pub(super) fn widen(&mut self, row: &[u8]) -> Row {
        for column in 0..self.narrow.len() {
            self.writer.set(column, &self.narrow.value(row, column));
        }
        for (at, computed) in self.computed.iter().enumerate() {
            let fits = self.writer.set(self.narrow.len() + at, &computed.value(&self.narrow, row));
            debug_assert!(fits, "{} is of its type", computed.sql);
        }
        self.writer.finish()
    }
}

/// Makes wide rows narrow again, as they came.
#[derive(Debug)]
pub(super) struct Narrowing {
    wide: RowLayout,
    writer: RowWriter,
    columns: usize,
}

impl Narrowing {
    /// `None` of a table of which nothing is computed.
    pub(super) fn of(table: &Table) -> Option<Narrowing> {
        (!table.computed.is_empty()).then(|| Narrowing {
            wide: table.wide_layout(),
            writer: RowWriter::new(&table.layout),
            columns: table.columns.len(),
        })
    }

    /// The row without what is computed of it.
    pub(super) fn narrow(&mut self, row: &[u8]) -> Row {
        for column in 0..self.columns {
            self.writer.set(column, &self.wide.value(row, column));
        }
        self.writer.finish()
    }
}
