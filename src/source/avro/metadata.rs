//! What Debezium writes beside the rows: the ends of transactions, and news of snapshots.

use std::collections::HashMap;
use std::sync::Arc;

use super::cursor::{Cursor, Malformed};
use super::program::{Builder, Found, Program, Slot};
use super::schema::{NodeId, Schema, Shape};
use super::{Decoded, Failure, Reason, Side, Unfit, split};
use crate::gtid::{GtidSet, Watermarks};
use crate::source::anew;
use crate::source::record::{BinlogPlace, Content, Notice, PartitionId, TransactionEnd};
use crate::sql::plan::TableId;
use crate::value::{RowLayout, RowWriter};

/// Decodes the records of `PREFIX.transaction`.
#[derive(Debug)]
pub struct TransactionDecoder {
    /// `DATABASE.TABLE` of what the pipeline reads.
    tables: HashMap<String, PartitionId>,
    schemas: Vec<(u32, Metadata)>,
}

/// Decodes the records of `PREFIX.notifications`.
#[derive(Debug)]
pub struct NotificationDecoder {
    /// `DATABASE.TABLE` of what the pipeline reads.
    tables: HashMap<String, TableId>,
    schemas: Vec<(u32, Metadata)>,
}

/// What a notification says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What it is about: of an incremental snapshot, the id of the signal that asked for it.
    pub id: String,
    /// `Initial Snapshot`, `Incremental Snapshot`, …
    pub about: String,
    /// `STARTED`, `IN_PROGRESS`, `TABLE_SCAN_COMPLETED`, `COMPLETED`, …
    pub kind: String,
    /// Details by name.
    pub data: HashMap<String, String>,
}

impl News {
    /// Which snapshot from nothing it is of.
    fn place(&self) -> Result<BinlogPlace, Reason> {
        let (file, position) = (self.data.get("binlog_file"), self.data.get("binlog_pos"));
        let position = position.and_then(|position| position.parse().ok());
        let place = file.zip(position).and_then(|(file, at)| BinlogPlace::new(file, at));
        place.ok_or(Reason::Unplaced)
    }

    /// The transactions that a snapshot from nothing contains; none where the server numbers none.
    fn contains(&self) -> Result<Watermarks, Reason> {
        let set = self.data.get("binlog_gtids").map_or("", String::as_str);
        // Behind a gap nothing is certain.
        Ok(set.parse::<GtidSet>().map_err(Reason::from)?.prefixes())
    }
}

/// A flat record with some texts and one list or map.
#[derive(Debug)]
struct Metadata {
    schema: Arc<Schema>,
    program: Program,
    /// The list or map, which begins at the place marked.
    inner: NodeId,
    /// What reads an item of the list.
    item: Program,
}

const FIRST: Slot = 0;
const SECOND: Slot = 1;
const INNER: Slot = 2;
const THIRD: Slot = 3;
const SLOTS: usize = 4;

impl TransactionDecoder {
    /// A decoder that counts the changes of these tables, each `DATABASE.TABLE`.
    pub fn new(tables: HashMap<String, PartitionId>) -> TransactionDecoder {
        TransactionDecoder { tables, schemas: Vec::new() }
    }

    /// Takes the schema of values with this id.
    ///
    /// # Errors
    /// A schema that is not of transaction metadata.
    pub fn add_schema(&mut self, id: u32, text: &str) -> Result<(), Unfit> {
        let item = ["data_collection", "event_count"];
        let metadata = Metadata::compile(id, text, &["status", "id"], "data_collections", item)?;
        self.schemas.push((id, metadata));
        Ok(())
    }

    /// Decodes a record from its value.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub fn decode(&self, value: Option<&[u8]>) -> Result<Decoded, Failure> {
        let Some((id, metadata, cursor, found)) = walk(&self.schemas, value)? else {
            return Ok(ignored());
        };
        if text(found[FIRST], &cursor) != "END" {
            return Ok(ignored());
        }
        let gtid = text(found[SECOND], &cursor).parse().map_err(Reason::from)?;
        let mut counts = Vec::new();
        let malformed = |error| Reason::Malformed(Side::Value, id, error);
        metadata
            .items(&cursor, found[INNER], |name, count| {
                if let Some(&partition) = self.tables.get(name) {
                    counts.push((partition, count));
                }
            })
            .map_err(malformed)?;
        let end = TransactionEnd { gtid, counts };
        Ok(Decoded { content: Content::End(Box::new(end)), committed_us: 0 })
    }
}

impl NotificationDecoder {
    /// A decoder of the news of these tables, each `DATABASE.TABLE`.
    pub fn new(tables: HashMap<String, TableId>) -> NotificationDecoder {
        NotificationDecoder { tables, schemas: Vec::new() }
    }

    /// Takes the schema of values with this id.
    ///
    /// # Errors
    /// A schema that is not of notifications.
    pub fn add_schema(&mut self, id: u32, text: &str) -> Result<(), Unfit> {
        let notes = ["type", "aggregate_type", "id"];
        let metadata = Metadata::compile(id, text, &notes, "additional_data", ["", ""])?;
        self.schemas.push((id, metadata));
        Ok(())
    }

    /// Decodes a record from its value.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub fn decode(&self, value: Option<&[u8]>) -> Result<Decoded, Failure> {
        let Some(news) = self.news(value)? else { return Ok(ignored()) };
        let content = self.notice(&news)?.map_or(Content::Ignored, Content::Notice);
        Ok(Decoded { content, committed_us: 0 })
    }

    /// What the pipeline has to know of it, if anything.
    pub(super) fn notice(&self, news: &News) -> Result<Option<Notice>, Reason> {
        let data = |name: &str| news.data.get(name).map(String::as_str);
        let table = |name| data(name).and_then(|name| self.tables.get(name)).copied();
        let rows = || data("total_rows_scanned").and_then(|rows| rows.parse().ok());
        let read = matches!(data("status"), Some("SUCCEEDED" | "EMPTY"));
        Ok(match (news.about.as_str(), news.kind.as_str()) {
            (INITIAL, "IN_PROGRESS") => {
                let named = data("data_collections").or(data("current_collection_in_progress"));
                let named = named.unwrap_or_default().split(',').map(str::trim);
                let tables = named.filter_map(|name| self.tables.get(name).copied()).collect();
                let (of, contains) = (news.place()?, news.contains()?);
                Some(Notice::Reading { of, tables, contains })
            }
            (INITIAL, "TABLE_SCAN_COMPLETED") if read => {
                let of = news.place()?;
                let read = table("scanned_collection").zip(rows());
                read.map(|(table, rows)| Notice::Read { of, table, rows })
            }
            (INCREMENTAL, "STARTED") => {
                let contains = news.contains()?;
                let mut named = self.tables.iter().filter_map(|(name, id)| {
                    let (_, name) = name.split_once('.')?;
                    Some((anew::number_of(&news.id, name)?, *id))
                });
                named.next().map(|(id, first)| {
                    let mut tables: Vec<TableId> = named.map(|(_, table)| table).collect();
                    tables.push(first);
                    tables.sort_unstable();
                    Notice::ReadingAnew { id, tables, contains }
                })
            }
            (INCREMENTAL, "TABLE_SCAN_COMPLETED") if read => {
                let read = table("scanned_collection").zip(rows());
                let contains = news.contains()?;
                let anew = data("scanned_collection").and_then(|name| {
                    let (_, name) = name.split_once('.')?;
                    anew::number_of(&news.id, name)
                });
                read.map(|(table, rows): (TableId, u64)| {
                    let rows = match data("status") {
                        // What is counted then is of a table before, which could not be read.
                        Some("EMPTY") => 0,
                        // One that goes on after a restart counts from there, and may find no more.
                        _ => rows.max(u64::from(anew.is_some())),
                    };
                    Notice::ReadBeside { table, rows, anew, contains }
                })
            }
            _ => None,
        })
    }

    /// What a record says, whatever it is about; `None` for a tombstone.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub fn news(&self, value: Option<&[u8]>) -> Result<Option<News>, Failure> {
        let Some((id, metadata, cursor, found)) = walk(&self.schemas, value)? else {
            return Ok(None);
        };
        let malformed = |error| Reason::Malformed(Side::Value, id, error);
        let data = metadata.map(&cursor, found[INNER]).map_err(malformed)?;
        Ok(Some(News {
            id: text(found[THIRD], &cursor).into_owned(),
            about: text(found[SECOND], &cursor).into_owned(),
            kind: text(found[FIRST], &cursor).into_owned(),
            data: data.into_iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect(),
        }))
    }
}

/// [`News::about`] a snapshot from nothing.
const INITIAL: &str = "Initial Snapshot";
/// [`News::about`] a snapshot that a signal asked for.
pub const INCREMENTAL: &str = "Incremental Snapshot";

impl Metadata {
    fn compile(
        id: u32,
        text: &str,
        notes: &[&'static str],
        inner: &'static str,
        item: [&str; 2],
    ) -> Result<Metadata, Unfit> {
        let schema = Schema::parse(text).map_err(|error| Unfit::Schema { id, error })?;
        let schema = Arc::new(schema);
        let fields = schema.fields(schema.root()).unwrap_or_default();
        let node_of = |name: &'static str| {
            let field = fields.iter().find(|field| field.name == name);
            field.map(|field| field.node).ok_or(Unfit::Field { id, field: name })
        };
        let mut builder = Builder::new(Arc::clone(&schema));
        let slots = [FIRST, SECOND, THIRD];
        let noted = notes.iter().zip(slots).map(|(name, slot)| Ok((node_of(name)?, slot)));
        let noted = noted.collect::<Result<Vec<(NodeId, Slot)>, Unfit>>()?;
        let inner = node_of(inner)?;
        for field in fields {
            match noted.iter().find(|(node, _)| *node == field.node) {
                Some((node, slot)) => drop(builder.note(*node, *slot)),
                None => {
                    let node = field.node;
                    if node == inner {
                        builder.mark(INNER);
                    }
                    builder.skip(node);
                }
            }
        }
        let program = builder.finish();
        let mut builder = Builder::new(Arc::clone(&schema));
        let list = schema.optional(inner).map_or(inner, |(list, _)| list);
        if let Shape::Array(items) = schema.node(list).shape {
            let record = schema.optional(items).map_or(items, |(record, _)| record);
            for field in schema.fields(record).unwrap_or_default() {
                match item.iter().position(|name| *name == field.name) {
                    Some(slot) => drop(builder.note(field.node, slot)),
                    None => builder.skip(field.node),
                }
            }
        }
        Ok(Metadata { program, inner, item: builder.finish(), schema })
    }

    /// The list's items, each a name and a count.
    fn items(
        &self,
        cursor: &Cursor<'_>,
        at: Found,
        mut each: impl FnMut(&str, u64),
    ) -> Result<(), Malformed> {
        let Some((mut cursor, list)) = self.inner(cursor, at)? else { return Ok(()) };
        let Shape::Array(items) = self.schema.node(list).shape else { return Ok(()) };
        let null = self.schema.optional(items).map(|(_, null)| null);
        let mut nothing = RowWriter::new(&RowLayout::new(&[]));
        loop {
            let count = cursor.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if let Some(null) = null
                    && cursor.is_null(null)?
                {
                    continue;
                }
                let mut found = [Found::Nothing; SLOTS];
                self.item.run(&mut cursor, &mut found, &mut nothing)?;
                let count = found[SECOND].number().and_then(|count| u64::try_from(count).ok());
                each(&text(found[FIRST], &cursor), count.unwrap_or(0));
            }
        }
    }

    /// The map's texts.
    fn map<'b>(
        &self,
        cursor: &Cursor<'b>,
        at: Found,
    ) -> Result<HashMap<Text<'b>, Text<'b>>, Malformed> {
        let mut texts = HashMap::new();
        let Some((mut cursor, map)) = self.inner(cursor, at)? else { return Ok(texts) };
        let Shape::Map(values) = self.schema.node(map).shape else { return Ok(texts) };
        loop {
            let count = cursor.block()?;
            if count == 0 {
                return Ok(texts);
            }
            for _ in 0..count {
                let name = String::from_utf8_lossy(cursor.bytes()?);
                match self.schema.node(values).shape {
                    Shape::String => {
                        texts.insert(name, String::from_utf8_lossy(cursor.bytes()?));
                    }
                    _ => cursor.skip(&self.schema, values)?,
                }
            }
        }
    }

    /// The list or map, unless it is null.
    fn inner<'b>(
        &self,
        cursor: &Cursor<'b>,
        at: Found,
    ) -> Result<Option<(Cursor<'b>, NodeId)>, Malformed> {
        let at = at.number().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
        let mut cursor = cursor.starting_at(at);
        match self.schema.optional(self.inner) {
            Some((_, null)) if cursor.is_null(null)? => Ok(None),
            Some((inner, _)) => Ok(Some((cursor, inner))),
            None => Ok(Some((cursor, self.inner))),
        }
    }
}

type Text<'b> = std::borrow::Cow<'b, str>;
/// A record's schema id and what reads it, the cursor at its end, and what was found.
type Walked<'m, 'b> = (u32, &'m Metadata, Cursor<'b>, [Found; SLOTS]);

/// Walks a record; `None` for a tombstone.
fn walk<'m, 'b>(
    schemas: &'m [(u32, Metadata)],
    value: Option<&'b [u8]>,
) -> Result<Option<Walked<'m, 'b>>, Failure> {
    let Some(value) = value else { return Ok(None) };
    let (id, body) = split(value, Side::Value)?;
    let Some((_, metadata)) = schemas.iter().rfind(|(known, _)| *known == id) else {
        return Err(Failure::Schema(Side::Value, id));
    };
    let malformed = |error| Reason::Malformed(Side::Value, id, error);
    let mut cursor = Cursor::new(body);
    let mut found = [Found::Nothing; SLOTS];
    let mut nothing = RowWriter::new(&RowLayout::new(&[]));
    metadata.program.run(&mut cursor, &mut found, &mut nothing).map_err(malformed)?;
    cursor.finish().map_err(malformed)?;
    Ok(Some((id, metadata, cursor, found)))
}

fn ignored() -> Decoded {
    Decoded { content: Content::Ignored, committed_us: 0 }
}

fn text<'b>(found: Found, cursor: &Cursor<'b>) -> Text<'b> {
    String::from_utf8_lossy(found.bytes(cursor).unwrap_or_default())
}
