//! Where a change of a captured table comes from, for people who ask.

use std::sync::Arc;

use super::cursor::Cursor;
use super::envelope::compile_notes;
use super::program::{Builder, Found, Program, Slot};
use super::schema::Schema;
use super::{Failure, Reason, Side, Unfit, split};
use crate::value::{RowLayout, RowWriter};

const OP: Slot = 0;
const COMMITTED: Slot = 1;
const GTID: Slot = 2;
const FILE: Slot = 3;
const POSITION: Slot = 4;
const TRANSACTION: Slot = 5;
const SLOTS: usize = 6;

/// What is read of `source`.
const SOURCE: [(&str, Slot); 4] =
    [("ts_us", COMMITTED), ("gtid", GTID), ("file", FILE), ("pos", POSITION)];

/// Where a change of a captured table comes from, as its record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Debezium's letter for what happened: `c`, `u`, `d`, `r` (a snapshot read the row) or `t`.
    pub op: String,
    /// When it was committed, or read by the snapshot, in microseconds since 1970.
    pub at_us: Option<i64>,
    /// Its transaction; of what a snapshot read none.
    pub gtid: Option<String>,
    /// The file of the binary log.
    pub file: Option<String>,
    /// Bytes into it.
    pub position: Option<i64>,
}

/// Reads the [`Origin`] of the records of captured tables.
#[derive(Debug, Default)]
pub(in crate::source) struct OriginDecoder {
    schemas: Vec<(u32, Program)>,
}

impl OriginDecoder {
    /// Takes the schema of values with this id.
    ///
    /// # Errors
    /// A schema that is none of a table.
    pub(in crate::source) fn add_schema(&mut self, id: u32, text: &str) -> Result<(), Unfit> {
        let schema = Schema::parse(text).map_err(|error| Unfit::Schema { id, error })?;
        let schema = Arc::new(schema);
        let fields = schema.fields(schema.root()).ok_or(Unfit::Field { id, field: "source" })?;
        let mut builder = Builder::new(Arc::clone(&schema));
        for field in fields {
            match field.name.as_str() {
                "op" => drop(builder.note(field.node, OP)),
                "source" => compile_notes(&schema, field.node, &mut builder, &SOURCE),
                "transaction" => {
                    compile_notes(&schema, field.node, &mut builder, &[("id", TRANSACTION)]);
                }
                _ => builder.skip(field.node),
            }
        }
        self.schemas.push((id, builder.finish()));
        Ok(())
    }

    /// Where a record comes from, by its value.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub(in crate::source) fn decode(&self, value: &[u8]) -> Result<Origin, Failure> {
        let (id, body) = split(value, Side::Value)?;
        let Some((_, program)) = self.schemas.iter().rfind(|(known, _)| *known == id) else {
            return Err(Failure::Schema(Side::Value, id));
        };
        let mut found = [Found::Nothing; SLOTS];
        let mut nothing = RowWriter::new(&RowLayout::new(&[]));
        let mut cursor = Cursor::new(body);
        let malformed = |error| Reason::Malformed(Side::Value, id, error);
        program.run(&mut cursor, &mut found, &mut nothing).map_err(malformed)?;
        cursor.finish().map_err(malformed)?;
        let text = |slot: Slot| {
            let bytes = found[slot].bytes(&cursor)?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        Ok(Origin {
            op: text(OP).unwrap_or_default(),
            at_us: found[COMMITTED].number().filter(|us| *us > 0),
            gtid: text(TRANSACTION).or_else(|| text(GTID)),
            file: text(FILE),
            position: found[POSITION].number(),
        })
    }
}
