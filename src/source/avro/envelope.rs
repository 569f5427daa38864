//! Row changes of one captured table.

use std::sync::Arc;

use super::column::{Read, ddl_of, written_as};
use super::cursor::{Cursor, Malformed};
use super::program::{Builder, Found, Program, Slot};
use super::schema::{NodeId, Schema};
use super::{Decoded, Failure, Reason, Side, Unfit, Unreadable, split};
use crate::change::{Change, Op};
use crate::gtid::{Gtid, Server};
use crate::source::record::{BinlogPlace, Content, Lacks, Place, SnapshotMark};
use crate::sql::plan::{Table, TableId};
use crate::value::{Key, RowWriter};

const OP: Slot = 0;
const COMMITTED: Slot = 1;
const GTID: Slot = 2;
const SNAPSHOT: Slot = 3;
const DATABASE: Slot = 4;
const TABLE: Slot = 5;
const TRANSACTION: Slot = 6;
const TOTAL_ORDER: Slot = 7;
const TABLE_ORDER: Slot = 8;
const BEFORE: Slot = 9;
const AFTER: Slot = 10;
const SOURCE: Slot = 11;
const FILE: Slot = 12;
const POSITION: Slot = 13;
/// The columns of the primary key, in key order, from here on.
const KEY: Slot = 14;

/// A field of a row, and if it is a column that is wanted, which one and how it is read.
type FieldStep = (NodeId, Option<(usize, Read)>);

/// Decodes the records of one captured table.
#[derive(Debug)]
pub struct TableDecoder {
    id: TableId,
    table: Table,
    database: String,
    values: Vec<(u32, Envelope)>,
    keys: Vec<(u32, KeySchema)>,
    row: RowWriter,
    /// What is lacking in the row that was decoded last.
    lacks: Option<Arc<Lacks>>,
    /// Whether the last record did not become a row.
    half_written: bool,
    found: Vec<Found>,
    key_found: Vec<Found>,
    /// The server last seen, by its text.
    server: Option<(Vec<u8>, Server)>,
}

/// What one writer schema is read by.
#[derive(Debug)]
struct Envelope {
    /// The whole record.
    whole: Program,
    /// The key's columns of `before`.
    before: Program,
    /// The place in the binary log of `source`.
    place: Program,
    /// The columns that are not written as they are declared.
    lacks: Option<Arc<Lacks>>,
}

/// What one schema of keys is read by.
#[derive(Debug)]
struct KeySchema {
    /// Where the columns' values lie.
    spans: Program,
    /// The columns themselves; none if they are not as they are declared.
    columns: Option<Program>,
}

impl TableDecoder {
    /// A decoder of the changes of a table of this database.
    pub fn new(id: TableId, table: &Table, database: &str) -> TableDecoder {
        TableDecoder {
            id,
            table: table.clone(),
            database: database.to_owned(),
            values: Vec::new(),
            keys: Vec::new(),
            row: RowWriter::new(&table.layout),
            lacks: None,
            half_written: false,
            found: vec![Found::Nothing; KEY + table.key.len()],
            key_found: vec![Found::Nothing; table.key.len()],
            server: None,
        }
    }

    /// Takes the schema of keys or values with this id. Columns that it does not have as they are
    /// declared are NULL in its rows, and told by [`TableDecoder::lacks`].
    ///
    /// # Errors
    /// A schema without the table's primary key, or that is none of a table.
    pub fn add_schema(&mut self, side: Side, id: u32, text: &str) -> Result<(), Unfit> {
        let schema = Schema::parse(text).map_err(|error| Unfit::Schema { id, error })?;
        let schema = Arc::new(schema);
        match side {
            Side::Key => self.keys.push((id, self.compile_key(id, schema)?)),
            Side::Value => self.values.push((id, self.compile_envelope(id, schema)?)),
        }
        Ok(())
    }

    /// Decodes a record from its key and value.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub fn decode(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Decoded, Failure> {
        let Some(value) = value else {
            return Ok(Decoded { content: Content::Ignored, committed_us: 0 });
        };
        let (id, body) = split(value, Side::Value)?;
        let Some(at) = self.values.iter().rposition(|(known, _)| *known == id) else {
            return Err(Failure::Schema(Side::Value, id));
        };
        self.lacks.clone_from(&self.values[at].1.lacks);
        if std::mem::replace(&mut self.half_written, true) {
            self.row.clear();
        }
        self.found.fill(Found::Nothing);
        let mut cursor = Cursor::new(body);
        let malformed = |error| Reason::Malformed(Side::Value, id, error);
        let walked = self.values[at].1.whole.run(&mut cursor, &mut self.found, &mut self.row);
        let misfit = walked.map_err(malformed)?;
        cursor.finish().map_err(malformed)?;
        let place = self.place(&cursor)?;
        let unreadable =
            |reason, place| Failure::Unreadable(Box::new(Unreadable { reason, place }));
        if let Some((column, misfit)) = misfit {
            let column = self.table.columns[column].name.clone();
            return Err(unreadable(Reason::Column { column, misfit }, place));
        }
        let committed_us = self.found[COMMITTED].number().unwrap_or(0);
        match self.content(&cursor, key, at, place.clone()) {
            Ok(content) => Ok(Decoded { content, committed_us }),
            Err(Failure::Unreadable(error)) => Err(unreadable(error.reason, place)),
            Err(schema) => Err(schema),
        }
    }

    /// What the row lacks that was decoded last.
    pub fn lacks(&self) -> Option<&Arc<Lacks>> {
        self.lacks.as_ref()
    }

    /// Whether rows of the schema of values with this id lack something.
    pub(super) fn has_lacks(&self, id: u32) -> bool {
        self.values.iter().any(|(known, envelope)| *known == id && envelope.lacks.is_some())
    }

    /// The row that a record is about, by its key alone; `None` if that cannot be read.
    ///
    /// # Errors
    /// A schema that was not added yet.
    pub fn row_key(&mut self, key: Option<&[u8]>) -> Result<Option<Key>, Failure> {
        let Some(Ok((id, body))) = key.map(|key| split(key, Side::Key)) else { return Ok(None) };
        let Some((_, schema)) = self.keys.iter().rfind(|(known, _)| *known == id) else {
            return Err(Failure::Schema(Side::Key, id));
        };
        let Some(program) = &schema.columns else { return Ok(None) };
        self.half_written = true;
        self.row.clear();
        let mut cursor = Cursor::new(body);
        let walked = program.run(&mut cursor, &mut self.key_found, &mut self.row);
        if walked != Ok(None) || cursor.finish().is_err() {
            return Ok(None);
        }
        let row = self.row.finish();
        Ok(Some(Key::of_row(&self.table.layout, row.as_bytes(), &self.table.key)))
    }

    /// What the record that was walked says.
    fn content(
        &mut self,
        cursor: &Cursor<'_>,
        key: Option<&[u8]>,
        at: usize,
        place: Option<Place>,
    ) -> Result<Content, Failure> {
        self.check_table(cursor)?;
        let table = self.id;
        let op = self.found[OP].bytes(cursor).unwrap_or_default();
        let op = match op {
            [op @ (b'r' | b'c' | b'u')] => {
                if self.found[AFTER] == Found::Nothing {
                    return Err(Reason::NoRow(char::from(*op)).into());
                }
                *op
            }
            [b'd'] => {
                self.read_before(cursor, at)?;
                b'd'
            }
            [b't'] => {
                let gtid = self.text(GTID, cursor).parse::<Gtid>().map_err(Reason::from)?;
                return Ok(Content::Truncate { table, gtid });
            }
            [b'm'] => return Ok(Content::Ignored),
            other => {
                let other = other.iter().take(16).copied().collect::<Vec<u8>>();
                return Err(Reason::Operation(String::from_utf8_lossy(&other).into()).into());
            }
        };
        self.check_key(cursor, key)?;
        let row = self.row.finish();
        self.half_written = false;
        let op = match op {
            b'd' => Op::Delete(Key::of_row(&self.table.layout, row.as_bytes(), &self.table.key)),
            b'r' => {
                let change = Change { table, op: Op::Upsert(row) };
                let (mark, of) = (self.mark(cursor), self.binlog_place(cursor, at)?);
                return Ok(Content::Snapshot { change, mark, of });
            }
            _ => Op::Upsert(row),
        };
        let place = place.ok_or(Reason::NoTransaction)?;
        Ok(Content::Row { place, change: Change { table, op } })
    }

    fn check_table(&self, cursor: &Cursor<'_>) -> Result<(), Reason> {
        let is = |slot: Slot, name: &str| {
            let name = name.as_bytes();
            self.found[slot].bytes(cursor).is_none_or(|b| b == name || b.eq_ignore_ascii_case(name))
        };
        if is(TABLE, &self.table.name) && is(DATABASE, &self.database) {
            return Ok(());
        }
        let (database, table) = (self.text(DATABASE, cursor), self.text(TABLE, cursor));
        Err(Reason::OtherTable(format!("{database}.{table}")))
    }

    /// Reads the key's columns of the row as it was.
    fn read_before(&mut self, whole: &Cursor<'_>, at: usize) -> Result<(), Reason> {
        let (id, envelope) = &self.values[at];
        let from = self.found[BEFORE].number().and_then(|at| usize::try_from(at).ok());
        let mut cursor = whole.starting_at(from.unwrap_or(0));
        let malformed = |error: Malformed| Reason::Malformed(Side::Value, *id, error);
        self.row.clear();
        self.found[KEY..].fill(Found::Nothing);
        let misfit = envelope.before.run(&mut cursor, &mut self.found, &mut self.row);
        if let Some((column, misfit)) = misfit.map_err(malformed)? {
            let column = self.table.columns[column].name.clone();
            return Err(Reason::Column { column, misfit });
        }
        match self.found[KEY] {
            Found::Nothing => Err(Reason::NoRow('d')),
            _ => Ok(()),
        }
    }

    /// Where in the binary log the record is from.
    fn binlog_place(&mut self, whole: &Cursor<'_>, at: usize) -> Result<BinlogPlace, Reason> {
        let (id, envelope) = &self.values[at];
        let from = self.found[SOURCE].number().and_then(|at| usize::try_from(at).ok());
        let mut cursor = whole.starting_at(from.unwrap_or(0));
        let walked = envelope.place.run(&mut cursor, &mut self.found, &mut self.row);
        walked.map_err(|error| Reason::Malformed(Side::Value, *id, error))?;
        let position = self.found[POSITION].number().and_then(|at| u64::try_from(at).ok());
        let place = position.and_then(|at| BinlogPlace::new(&self.text(FILE, whole), at));
        place.ok_or(Reason::Unplaced)
    }

    /// The record's key must be that of its row: both are written by the same types, so their
    /// bytes are equal.
    fn check_key(&mut self, cursor: &Cursor<'_>, key: Option<&[u8]>) -> Result<(), Failure> {
        let (id, body) = split(key.ok_or(Reason::NullKey)?, Side::Key)?;
        let Some((_, schema)) = self.keys.iter().rfind(|(known, _)| *known == id) else {
            return Err(Failure::Schema(Side::Key, id));
        };
        let malformed = |error| Reason::Malformed(Side::Key, id, error);
        self.key_found.fill(Found::Nothing);
        let mut key = Cursor::new(body);
        // This program reads no column.
        schema.spans.run(&mut key, &mut self.key_found, &mut self.row).map_err(malformed)?;
        key.finish().map_err(malformed)?;
        let of_row = self.found[KEY..].iter().map(|found| found.bytes(cursor));
        match self.key_found.iter().map(|found| found.bytes(&key)).eq(of_row) {
            true => Ok(()),
            false => Err(Reason::OtherKey.into()),
        }
    }

    fn place(&mut self, cursor: &Cursor<'_>) -> Result<Option<Place>, Reason> {
        let Some(text) = self.found[TRANSACTION].bytes(cursor) else { return Ok(None) };
        let order = |found: Found| found.number().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let (total_order, table_order) =
            (order(self.found[TOTAL_ORDER]), order(self.found[TABLE_ORDER]));
        Ok(Some(Place { gtid: self.gtid(text)?, total_order, table_order }))
    }

    /// Reads a transaction id, remembering the server, which rarely changes.
    fn gtid(&mut self, text: &[u8]) -> Result<Gtid, Reason> {
        let at = text.iter().rposition(|byte| *byte == b':').unwrap_or(0);
        if let Some((known, server)) = &self.server
            && known == &text[..at]
            && let Some(number) = decimal(&text[at + 1..])
        {
            return Ok(Gtid { server: server.clone(), number });
        }
        let gtid: Gtid = String::from_utf8_lossy(text).parse()?;
        self.server = Some((text[..at].to_vec(), gtid.server.clone()));
        Ok(gtid)
    }

    fn mark(&self, cursor: &Cursor<'_>) -> SnapshotMark {
        match self.found[SNAPSHOT].bytes(cursor).unwrap_or_default() {
            b"first" | b"first_in_data_collection" => SnapshotMark::First,
            b"last" | b"last_in_data_collection" => SnapshotMark::Last,
            b"incremental" => SnapshotMark::Incremental,
            _ => SnapshotMark::Inner,
        }
    }

    fn text<'b>(&self, slot: Slot, cursor: &Cursor<'b>) -> std::borrow::Cow<'b, str> {
        String::from_utf8_lossy(self.found[slot].bytes(cursor).unwrap_or_default())
    }

    fn compile_envelope(&self, id: u32, schema: Arc<Schema>) -> Result<Envelope, Unfit> {
        let without = |field| Unfit::Field { id, field };
        let fields = schema.fields(schema.root()).ok_or(without("after"))?;
        let mut whole = Builder::new(Arc::clone(&schema));
        let mut before = Builder::new(Arc::clone(&schema));
        let mut place = Builder::new(Arc::clone(&schema));
        let mut lacks = Lacks::new();
        for field in fields {
            match field.name.as_str() {
                "before" => {
                    whole.mark(BEFORE);
                    whole.skip(field.node);
                    self.compile_row(id, &schema, field.node, &mut before, None)?;
                }
                "after" => {
                    self.compile_row(id, &schema, field.node, &mut whole, Some(&mut lacks))?;
                }
                "source" => {
                    whole.mark(SOURCE);
                    compile_notes(&schema, field.node, &mut whole, &ORIGIN);
                    compile_notes(&schema, field.node, &mut place, &PLACE);
                }
                "transaction" => compile_notes(&schema, field.node, &mut whole, &BLOCK),
                "op" => drop(whole.note(field.node, OP)),
                _ => whole.skip(field.node),
            }
        }
        for required in ["before", "after", "source", "op", "transaction"] {
            if !fields.iter().any(|field| field.name == required) {
                return Err(without(required));
            }
        }
        Ok(Envelope {
            whole: whole.finish(),
            before: before.finish(),
            place: place.finish(),
            lacks: (!lacks.is_empty()).then(|| Arc::new(lacks)),
        })
    }

    /// Steps for the held columns of a row that may be null, noting which it `lacks`; for those of
    /// its key only where that is not asked.
    fn compile_row(
        &self,
        id: u32,
        schema: &Arc<Schema>,
        node: NodeId,
        builder: &mut Builder,
        lacks: Option<&mut Lacks>,
    ) -> Result<(), Unfit> {
        let (row, null) = match schema.optional(node) {
            Some((row, null)) => (row, Some(null)),
            None => (node, None),
        };
        let key_only = lacks.is_none();
        let steps = self.row_steps(id, schema, row, lacks)?;
        let build = |builder: &mut Builder| {
            if !key_only {
                builder.mark(AFTER);
            }
            for (field, column) in steps {
                self.column_steps(schema, field, column, builder);
            }
        };
        match null {
            Some(null) => builder.optional(null, build),
            None => build(builder),
        }
        Ok(())
    }

    /// For each field of a row, how to read it if it is a column that is wanted.
    fn row_steps(
        &self,
        id: u32,
        schema: &Schema,
        row: NodeId,
        mut lacks: Option<&mut Lacks>,
    ) -> Result<Vec<FieldStep>, Unfit> {
        let fields = schema.fields(row).ok_or(Unfit::Field { id, field: "after" })?;
        let mut steps: Vec<_> = fields.iter().map(|field| (field.node, None)).collect();
        for (column, wanted) in self.table.columns.iter().enumerate() {
            let is_key = self.table.key.contains(&column);
            if lacks.is_none() && !is_key {
                continue;
            }
            match (self.find_column(id, schema, row, column), &mut lacks) {
                (Ok((at, read)), _) => steps[at].1 = Some((column, read)),
                (Err(unfit), Some(lacks)) if !is_key => {
                    lacks.insert(wanted.name.as_str().into(), unfit.to_string().into());
                }
                (Err(unfit), _) => return Err(unfit),
            }
        }
        Ok(steps)
    }

    /// The field of a row that holds a column, and how it is read.
    fn find_column(
        &self,
        id: u32,
        schema: &Schema,
        row: NodeId,
        column: usize,
    ) -> Result<(usize, Read), Unfit> {
        let wanted = &self.table.columns[column];
        let fields = schema.fields(row).unwrap_or_default();
        let at = field_of(schema, row, &wanted.name).ok_or_else(|| Unfit::Missing {
            table: self.table.name.clone(),
            column: wanted.name.clone(),
            id,
        })?;
        let node = schema.optional(fields[at].node).map_or(fields[at].node, |(inner, _)| inner);
        let read = Read::plan(schema, node, wanted.ty).ok_or_else(|| Unfit::Type {
            table: self.table.name.clone(),
            column: wanted.name.clone(),
            declared: ddl_of(wanted.ty),
            id,
            written: written_as(schema, node),
        })?;
        Ok((at, read))
    }

    fn column_steps(
        &self,
        schema: &Schema,
        field: NodeId,
        column: Option<(usize, Read)>,
        builder: &mut Builder,
    ) {
        let Some((column, read)) = column else { return builder.skip(field) };
        let ty = self.table.columns[column].ty;
        let span = self.table.key.iter().position(|key| *key == column).map(|at| KEY + at);
        match schema.optional(field) {
            Some((inner, null)) => {
                builder.optional(null, |builder| builder.column(column, read, inner, ty, span));
            }
            None => builder.column(column, read, field, ty, span),
        }
    }

    fn compile_key(&self, id: u32, schema: Arc<Schema>) -> Result<KeySchema, Unfit> {
        let fields = schema.fields(schema.root()).ok_or(Unfit::Field { id, field: "key" })?;
        let mut builder = Builder::new(Arc::clone(&schema));
        let mut slots = vec![None; fields.len()];
        for (slot, &column) in self.table.key.iter().enumerate() {
            let name = &self.table.columns[column].name;
            let at = field_of(&schema, schema.root(), name).ok_or_else(|| Unfit::Missing {
                table: self.table.name.clone(),
                column: name.clone(),
                id,
            })?;
            slots[at] = Some(slot);
        }
        let mut columns = Some(Builder::new(Arc::clone(&schema)));
        for (field, slot) in fields.iter().zip(slots) {
            match slot {
                Some(slot) => builder.span(field.node, slot),
                None => builder.skip(field.node),
            }
            columns = columns.and_then(|mut builder| {
                let Some(slot) = slot else {
                    builder.skip(field.node);
                    return Some(builder);
                };
                let column = self.table.key[slot];
                let node = schema.optional(field.node).map_or(field.node, |(inner, _)| inner);
                let read = Read::plan(&schema, node, self.table.columns[column].ty)?;
                let ty = self.table.columns[column].ty;
                // A key that may be null is a null key where it is.
                if node != field.node {
                    return None;
                }
                builder.column(column, read, node, ty, None);
                Some(builder)
            });
        }
        Ok(KeySchema { spans: builder.finish(), columns: columns.map(Builder::finish) })
    }
}

/// What is read of the record's origin.
const ORIGIN: [(&str, Slot); 5] = [
    ("ts_us", COMMITTED),
    ("gtid", GTID),
    ("snapshot", SNAPSHOT),
    ("db", DATABASE),
    ("table", TABLE),
];

/// What is read of the origin of a row that a snapshot read.
const PLACE: [(&str, Slot); 2] = [("file", FILE), ("pos", POSITION)];

/// What is read of its transaction.
const BLOCK: [(&str, Slot); 3] =
    [("id", TRANSACTION), ("total_order", TOTAL_ORDER), ("data_collection_order", TABLE_ORDER)];

/// Steps that note some fields of a record that may be null.
pub(super) fn compile_notes(
    schema: &Schema,
    node: NodeId,
    builder: &mut Builder,
    wanted: &[(&str, Slot)],
) {
    let (record, null) = match schema.optional(node) {
        Some((record, null)) => (record, Some(null)),
        None => (node, None),
    };
    let Some(fields) = schema.fields(record) else { return builder.skip(node) };
    let build = |builder: &mut Builder| {
        for field in fields {
            match wanted.iter().find(|(name, _)| *name == field.name) {
                Some((_, slot)) => drop(builder.note(field.node, *slot)),
                None => builder.skip(field.node),
            }
        }
    };
    match null {
        Some(null) => builder.optional(null, build),
        None => build(builder),
    }
}

/// The field that holds a column: by the name that the connector propagates, else by its own,
/// which Avro may have made the connector change.
fn field_of(schema: &Schema, record: NodeId, column: &str) -> Option<usize> {
    let fields = schema.fields(record)?;
    let original = |node: NodeId| {
        let node = schema.optional(node).map_or(node, |(inner, _)| inner);
        schema.node(node).column_name.as_deref()
    };
    let by_origin = |name: Option<&str>| name.is_some_and(|n| n.eq_ignore_ascii_case(column));
    fields.iter().position(|field| by_origin(original(field.node))).or_else(|| {
        fields
            .iter()
            .position(|field| by_origin(Some(&field.name)) && original(field.node).is_none())
    })
}

/// A positive decimal number.
fn decimal(digits: &[u8]) -> Option<u64> {
    let number = digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (number > 0).then_some(number)
}
