//! Tables as declared: what `sql/schema.sql` and `sql/streams` say, before any view reads them.

use super::plan::TableSource;
use crate::value::Type;

/// All declared tables, captured ones and event topics.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// In the order of the files.
    pub tables: Vec<TableDefinition>,
}

/// One CREATE TABLE.
#[derive(Clone, Debug)]
pub struct TableDefinition {
    /// Its name.
    pub name: String,
    /// Where its rows come from.
    pub source: TableSource,
    /// All its columns, in table order.
    pub columns: Vec<ColumnDefinition>,
    /// The primary key: places in `columns`, in key order; empty when there is none.
    pub key: Vec<usize>,
    /// Further keys that MySQL keeps unique, over whole columns: places in `columns`. Rows with a
    /// NULL in one are not told apart by it.
    pub unique: Vec<Vec<usize>>,
}

/// One column of a CREATE TABLE.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// The declared type as MySQL's `COLUMN_TYPE` spells it, as `decimal(10,2) unsigned`.
    pub declared: String,
    /// The type, or why views cannot read it.
    pub ty: Result<Type, Unreadable>,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// Left out of `SELECT *`.
    pub invisible: bool,
    /// Printed with leading zeros.
    pub zerofill: bool,
    /// ENUM and SET: they compare with others as text, and order by the index of their values.
    pub by_index: bool,
}

/// Why no view can read a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A type that documents have no form for.
    #[error("has a type that documents have no form for: leave it out of the view")]
    NoForm,
    /// FLOAT(m,d), DOUBLE(m,d).
    #[error(
        "rounds to a fixed number of digits when printed: declare it DECIMAL, or without digits"
    )]
    FixedDigits,
    /// A VIRTUAL generated column, which no change event carries.
    #[error(
        "is computed on reading, and change events do not carry it: declare it STORED, or write its expression in the view"
    )]
    Virtual,
}

impl Catalog {
    /// The table of this name. Names compare as MySQL on Linux compares them: exactly.
    pub fn table(&self, name: &str) -> Option<&TableDefinition> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl TableDefinition {
    /// The place of a column; names of columns do not distinguish case.
    pub fn column(&self, name: &str) -> Option<usize> {
        let wanted = name.to_lowercase();
        self.columns.iter().position(|column| column.name.to_lowercase() == wanted)
    }
}
