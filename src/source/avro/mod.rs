//! Debezium's records in Avro: a zero byte, the id of the writer schema in four bytes, the body.
//!
//! What a schema wrote is compiled once against what the views read: a list of steps that reads
//! those columns and passes everything else without looking. The schemas themselves are asked for
//! from outside: a decoder answers [`Failure::Schema`] for an id that it does not know.
//!
//! Absent: defaults and reader schemas. Every value is read as it was written; a column that the
//! writer lacks is an error, not a default.

mod column;
mod cursor;
mod envelope;
mod heartbeat;
mod metadata;
mod origin;
mod program;
#[cfg(test)]
mod reference;
mod schema;
mod schema_changes;
#[cfg(test)]
mod tests;

pub use column::Misfit;
pub(super) use column::ddl_of;
pub use cursor::Malformed;
pub use envelope::TableDecoder;
pub(super) use heartbeat::heartbeat_table;
pub use heartbeat::{HEARTBEAT_TABLE, HeartbeatDecoder};
pub use metadata::{INCREMENTAL, News, NotificationDecoder, TransactionDecoder};
pub use origin::Origin;
pub(super) use origin::OriginDecoder;
pub use schema::SchemaError;
pub use schema_changes::SchemaChangeDecoder;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::{Content, Place};
use crate::gtid::GtidError;

/// What a record says, and when it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What it says.
    pub content: Content,
    /// Commit time in microseconds since 1970; 0 when it does not say.
    pub committed_us: i64,
}

/// Which half of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Its key.
    Key,
    /// Its value.
    Value,
}

/// Why a record was not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its schema was not given yet: ask the registry, hand it over, decode again.
    Schema(Side, u32),
    /// It cannot be read.
    Unreadable(Box<Unreadable>),
    /// It is a command of this later version, which nobody here knows.
    Newer(u32),
    /// The schema that it brings does not fit what the views read.
    Unfit(Box<Unfit>),
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub reason: Reason,
    /// Its place in its transaction, where that much can be read.
    pub place: Option<Place>,
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No value, where only an absent one is a tombstone.
    #[error("the {0} is empty")]
    Empty(Side),
    /// Not in the Confluent wire format.
    #[error(
        "the {0} is not Avro of a schema registry: it begins with byte {1:#04x}, not 0 and a schema id"
    )]
    Magic(Side, u8),
    /// Shorter than a schema id.
    #[error("the {0} ends within the schema id")]
    Short(Side),
    /// Not what its schema says.
    #[error("the {0} does not fit schema {1}: {2}")]
    Malformed(Side, u32, Malformed),
    /// A column's value is none of its type.
    #[error("column `{column}`: {misfit}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong.
        misfit: Misfit,
    },
    /// A change without a key.
    #[error("the key is null")]
    NullKey,
    /// The key is another row's.
    #[error("the key is not that of the row")]
    OtherKey,
    /// An operation that Debezium does not have.
    #[error("unknown operation `{0}`")]
    Operation(String),
    /// A change without the row that it is about.
    #[error("operation `{0}` without a row")]
    NoRow(char),
    /// A record of another table.
    #[error("the record is of table `{0}`")]
    OtherTable(String),
    /// A change that is in no transaction.
    #[error(
        "the change has no transaction: set provide.transaction.metadata=true in the connector"
    )]
    NoTransaction,
    /// What is of a snapshot, but does not say of which.
    #[error(
        "it does not say which snapshot it is of: the connector needs the transformation \
         viewtide.connect.NameSnapshots"
    )]
    Unplaced,
    /// A statement whose record has another form.
    #[error("it is no schema change of debezium's: {0}")]
    SchemaChange(String),
    /// No transaction id.
    #[error("{0}: set gtid_mode=ON in MySQL")]
    Gtid(#[from] GtidError),
    /// JSON that is no event of its stream.
    #[error(transparent)]
    Event(#[from] super::json::EventError),
    /// JSON that is no record of Debezium's.
    #[error(transparent)]
    Json(#[from] super::debezium_json::JsonError),
    /// Text that is no command.
    #[error(transparent)]
    Command(#[from] super::command::CommandError),
}

impl Reason {
    /// Whether the record's key may be another row's.
    pub(super) fn doubts_key(&self) -> bool {
        matches!(self, Reason::NullKey | Reason::OtherKey | Reason::OtherTable(_))
    }
}

/// A writer schema that does not fit what the views read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Text that is no schema.
    #[error("schema {id} cannot be read: {error}")]
    Schema {
        /// Its id.
        id: u32,
        /// What is wrong.
        error: SchemaError,
    },
    /// Not what Debezium writes.
    #[error("schema {id} is none of Debezium's: it has no `{field}`")]
    Field {
        /// Its id.
        id: u32,
        /// What it lacks.
        field: &'static str,
    },
    /// A column that a view reads is not written.
    #[error(
        "column `{column}` of table `{table}` is not in schema {id}: it was dropped or renamed, or \
         is left out by the connector; change the table's declaration and the views that read it"
    )]
    Missing {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Id of the schema.
        id: u32,
    },
    /// A column is written as another type than it is declared.
    #[error(
        "column `{column}` of table `{table}` is declared {declared}, but schema {id} writes \
         {written}"
    )]
    Type {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// As declared.
        declared: String,
        /// Id of the schema.
        id: u32,
        /// As written.
        written: String,
    },
    /// A column whose values JSON without schemas does not tell.
    #[error(
        "column `{column}` of table `{table}` is declared {declared}, of which JSON without schemas \
         does not tell what it means: set key.converter.schemas.enable and \
         value.converter.schemas.enable to true in the connector, and source.format to \"json\""
    )]
    NotCarried {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// As declared.
        declared: String,
    },
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Key => "key",
            Side::Value => "value",
        })
    }
}

/// Id of the schema by which something was written, if it is Avro at all.
pub(super) fn schema_id(bytes: &[u8]) -> Option<u32> {
    split(bytes, Side::Value).ok().map(|(id, _)| id)
}

/// The schema id and the body.
fn split(bytes: &[u8], side: Side) -> Result<(u32, &[u8]), Reason> {
    match bytes {
        [] => Err(Reason::Empty(side)),
        [0, a, b, c, d, body @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        [0, ..] => Err(Reason::Short(side)),
        [other, ..] => Err(Reason::Magic(side, *other)),
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure::Unreadable(Box::new(Unreadable { reason, place: None }))
    }
}
