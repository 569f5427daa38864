//! One row change, and where in the log things stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sql::plan::TableId;
use crate::value::{Key, Row};

/// A change to one row of one table (or to all of its rows).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: TableId,
    /// What happened.
    pub op: Op,
}

/// What happened to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The row with this row's key is now this (insert, update or snapshot read).
    Upsert(Row),
    /// The row with this primary key is gone.
    Delete(Key),
    /// All rows are gone.
    Truncate,
}

/// A Kafka partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub number: i32,
}

/// How far a partition has been applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The first offset not yet applied.
    pub next_offset: i64,
    /// Recognises the record before it (timestamp and key): a re-created topic has another there.
    /// 0 when nothing was applied yet.
    pub fingerprint: u64,
}

/// How far each partition has been applied: what state and documents are a function of.
pub type Positions = BTreeMap<Partition, Position>;
