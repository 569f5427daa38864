//! The row that the connector writes every second, with what the server has executed.

use super::{Decoded, Failure, Side, TableDecoder, Unfit};
use crate::change::Op;
use crate::source::record::Content;
use crate::sql::plan::{Column, Table, TableId, TableSource};
use crate::value::{Collation, RowLayout, Type, Value};

/// The table that the connector's `heartbeat.action.query` writes to.
pub const HEARTBEAT_TABLE: &str = "viewtide_heartbeat";

/// The column with `@@gtid_executed`.
const EXECUTED: usize = 1;

/// Longest set that is followed, in bytes: one of hundreds of servers.
const SET_BYTES_MAX: usize = 64 << 10;

/// Decodes the records of the heartbeat table.
#[derive(Debug)]
pub struct HeartbeatDecoder {
    rows: TableDecoder,
    layout: RowLayout,
}

/// What is read of the heartbeat table.
pub(in crate::source) fn heartbeat_table() -> Table {
    let column = |name: &str, ty| Column { name: name.to_owned(), ty, nullable: false };
    let columns = vec![
        column("id", Type::Int { bytes: 4, unsigned: false }),
        column("executed", Type::Text(Collation::Other)),
    ];
    let types: Vec<Type> = columns.iter().map(|column| column.ty).collect();
    Table {
        name: HEARTBEAT_TABLE.to_owned(),
        source: TableSource::Captured,
        columns,
        key: vec![0],
        indexes: Vec::new(),
        computed: Vec::new(),
        layout: RowLayout::new(&types),
    }
}

impl HeartbeatDecoder {
    /// A decoder of the heartbeats in this database.
    pub fn new(database: &str) -> HeartbeatDecoder {
        let table = heartbeat_table();
        // Its rows are of no table of the plan.
        let rows = TableDecoder::new(TableId(u16::MAX), &table, database);
        HeartbeatDecoder { rows, layout: table.layout }
    }

    /// Takes the schema of keys or values with this id.
    ///
    /// # Errors
    /// A schema without the column `executed`.
    pub fn add_schema(&mut self, side: Side, id: u32, text: &str) -> Result<(), Unfit> {
        self.rows.add_schema(side, id, text)?;
        match side == Side::Value && self.rows.has_lacks(id) {
            true => Err(Unfit::Field { id, field: "executed" }),
            false => Ok(()),
        }
    }

    /// Decodes a record from its key and value.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub fn decode(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Decoded, Failure> {
        let Decoded { content, committed_us } = self.rows.decode(key, value)?;
        let content = match content {
            Content::Row { place, change } => match change.op {
                Op::Upsert(row) => match self.layout.value(row.as_bytes(), EXECUTED) {
                    Value::Text(set) if set.len() <= SET_BYTES_MAX => {
                        Content::Executed { gtid: place.gtid, set: set.as_ref().into() }
                    }
                    _ => Content::Ignored,
                },
                Op::Delete(_) | Op::Truncate => Content::Ignored,
            },
            _ => Content::Ignored,
        };
        Ok(Decoded { content, committed_us })
    }
}
