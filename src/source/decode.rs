//! What a partition's records say, by what the partition holds and how it is written.

use std::collections::HashMap;
use std::sync::Arc;

use super::Format;
use super::avro::{
    Decoded, Failure, HeartbeatDecoder, News, NotificationDecoder, Origin, OriginDecoder,
    SchemaChangeDecoder, Side, TableDecoder, TransactionDecoder, Unfit, heartbeat_table,
};
use super::command::CommandDecoder;
use super::debezium_json::{self, Translator};
use super::json::EventDecoder;
use super::record::{Lacks, PartitionId, PartitionSpec, Role};
use crate::sql::plan::{Plan, Table, TableId, TableSource};
use crate::value::Key;

/// Decodes the records of one partition.
#[derive(Debug)]
pub(super) enum Decoder {
    Table(Box<TableDecoder>),
    Stream(Box<EventDecoder>),
    Transactions(TransactionDecoder),
    Notifications(NotificationDecoder),
    Heartbeats(Box<HeartbeatDecoder>),
    Commands(Box<CommandDecoder>),
    SchemaChanges(SchemaChangeDecoder),
    /// Of Debezium's records in JSON, by what decodes them in Avro.
    Json(Box<(Decoder, Translator)>),
}

impl Decoder {
    /// Decoders for these partitions, in their order.
    ///
    /// # Errors
    /// A table that records of this format do not carry.
    pub(super) fn all(
        plan: &Plan,
        format: Format,
        pipeline: &str,
        database: &str,
        specs: &[PartitionSpec],
    ) -> Result<Vec<Decoder>, Unfit> {
        let tables: Vec<(String, TableId, PartitionId)> = specs
            .iter()
            .enumerate()
            .filter_map(|(at, spec)| match spec.role {
                Role::Table(id) => {
                    let name = format!("{database}.{}", plan.table(id).name);
                    Some((name, id, PartitionId(at as u16)))
                }
                _ => None,
            })
            .collect();
        let decoder = |spec: &PartitionSpec| match spec.role {
            Role::Table(id) | Role::Stream(id) => Decoder::of_rows(plan, format, database, id),
            Role::Transactions => {
                let partitions: HashMap<_, _> =
                    tables.iter().map(|(name, _, partition)| (name.clone(), *partition)).collect();
                let decoder = Decoder::Transactions(TransactionDecoder::new(partitions));
                Ok(decoder.written(translator(format, debezium_json::transaction)))
            }
            Role::Heartbeats => {
                let decoder = Decoder::Heartbeats(Box::new(HeartbeatDecoder::new(database)));
                Ok(decoder.written(row_translator(format, &heartbeat_table())?))
            }
            Role::Notifications => {
                let ids: HashMap<_, _> =
                    tables.iter().map(|(name, id, _)| (name.clone(), *id)).collect();
                let decoder = Decoder::Notifications(NotificationDecoder::new(ids));
                Ok(decoder.written(translator(format, debezium_json::notification)))
            }
            Role::SchemaChanges => {
                let decoder = Decoder::SchemaChanges(SchemaChangeDecoder::new(database));
                Ok(decoder.written(translator(format, debezium_json::schema_change)))
            }
            Role::Commands => {
                let target = |(at, spec): (usize, &PartitionSpec)| {
                    let decoder = Decoder::of_rows(plan, format, database, spec.role.table()?);
                    Some(decoder.map(|decoder| (PartitionId(at as u16), spec.clone(), decoder)))
                };
                let targets = specs.iter().enumerate().filter_map(target);
                let targets = targets.collect::<Result<Vec<_>, Unfit>>()?;
                Ok(Decoder::Commands(Box::new(CommandDecoder::new(plan, pipeline, targets))))
            }
        };
        specs.iter().map(decoder).collect()
    }

    /// A decoder of what changes a table's rows.
    fn of_rows(plan: &Plan, format: Format, database: &str, id: TableId) -> Result<Decoder, Unfit> {
        let table = plan.table(id);
        match &table.source {
            TableSource::Captured => {
                let decoder = Decoder::Table(Box::new(TableDecoder::new(id, table, database)));
                Ok(decoder.written(row_translator(format, table)?))
            }
            TableSource::Stream(stream) => {
                let decoder = EventDecoder::new(id, table, stream.timestamps);
                Ok(Decoder::Stream(Box::new(decoder)))
            }
        }
    }

    /// The same of records that are to be translated first.
    fn written(self, translator: Option<Translator>) -> Decoder {
        match translator {
            Some(translator) => Decoder::Json(Box::new((self, translator))),
            None => self,
        }
    }

    /// Decodes a record of partition number `partition`.
    pub(super) fn decode(
        &mut self,
        partition: i32,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Decoded, Failure> {
        match self {
            Decoder::Table(decoder) => decoder.decode(key, value),
            Decoder::Stream(decoder) => decoder.decode(value, partition, offset),
            Decoder::Transactions(decoder) => decoder.decode(value),
            Decoder::Notifications(decoder) => decoder.decode(value),
            Decoder::Heartbeats(decoder) => decoder.decode(key, value),
            Decoder::Commands(decoder) => decoder.decode(value),
            Decoder::SchemaChanges(decoder) => decoder.decode(value),
            Decoder::Json(json) => {
                let (decoder, translator) = json.as_mut();
                in_avro(translator, decoder, key, value, |decoder, key, value| {
                    decoder.decode(partition, offset, key, value)
                })
            }
        }
    }

    /// What the row lacks that was decoded last; events lack nothing.
    pub(super) fn lacks(&self) -> Option<&Arc<Lacks>> {
        match self {
            Decoder::Table(decoder) => decoder.lacks(),
            Decoder::Json(json) => json.0.lacks(),
            _ => None,
        }
    }

    /// The row that a record is about which cannot be read; `None` if that cannot be told either.
    pub(super) fn row_key(
        &mut self,
        partition: i32,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<Key>, Failure> {
        match self {
            Decoder::Table(decoder) => decoder.row_key(key),
            Decoder::Stream(decoder) => Ok(decoder.row_key(value, partition, offset)),
            Decoder::Json(json) => {
                let (decoder, translator) = json.as_mut();
                in_avro(translator, decoder, key, None, |decoder, key, _| {
                    decoder.row_key(partition, offset, key, None)
                })
            }
            _ => Ok(None),
        }
    }

    /// Whether the decoder goes on although nobody knows a schema that it has asked for.
    pub(super) fn does_without(&mut self, side: Side, id: u32) -> bool {
        match self {
            Decoder::Commands(decoder) => {
                decoder.lacks_schema(side, id);
                true
            }
            _ => false,
        }
    }

    /// Takes the writer schema that [`Failure::Schema`] asked for.
    pub(super) fn add_schema(&mut self, side: Side, id: u32, text: &str) -> Result<(), Unfit> {
        match self {
            Decoder::Table(decoder) => decoder.add_schema(side, id, text),
            Decoder::Transactions(decoder) => decoder.add_schema(id, text),
            Decoder::Notifications(decoder) => decoder.add_schema(id, text),
            Decoder::SchemaChanges(decoder) => decoder.add_schema(id, text),
            Decoder::Heartbeats(decoder) => decoder.add_schema(side, id, text),
            Decoder::Commands(decoder) => {
                decoder.add_schema(side, id, text);
                Ok(())
            }
            // JSON never asks.
            Decoder::Stream(_) | Decoder::Json(_) => Ok(()),
        }
    }
}

/// Decodes notifications by themselves.
#[derive(Debug)]
pub(crate) struct NewsDecoder {
    decoder: NotificationDecoder,
    translator: Option<Translator>,
}

impl NewsDecoder {
    /// A decoder of notifications in this format.
    pub(crate) fn new(format: Format) -> NewsDecoder {
        let decoder = NotificationDecoder::new(HashMap::new());
        NewsDecoder { decoder, translator: translator(format, debezium_json::notification) }
    }

    /// What a record says; `None` for a tombstone.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub(crate) fn news(&mut self, value: Option<&[u8]>) -> Result<Option<News>, Failure> {
        let NewsDecoder { decoder, translator } = self;
        let Some(translator) = translator else { return decoder.news(value) };
        let Some(value) = value else { return Ok(None) };
        let value = translator.translate(Side::Value, value)?;
        match decoder.news(Some(&value)) {
            Err(Failure::Schema(side, id)) => {
                let text = translator.schema(side, id).unwrap_or_default();
                decoder.add_schema(id, text).map_err(|unfit| Failure::Unfit(Box::new(unfit)))?;
                decoder.news(Some(&value))
            }
            other => other,
        }
    }

    /// Takes the schema that was asked for.
    ///
    /// # Errors
    /// A schema that is not of notifications.
    pub(crate) fn add_schema(&mut self, id: u32, text: &str) -> Result<(), Unfit> {
        self.decoder.add_schema(id, text)
    }
}

/// Tells which row a record is about, and where it comes from, without the row.
#[derive(Debug)]
pub(crate) struct RecordReader {
    rows: Decoder,
    origins: OriginDecoder,
    translator: Option<Translator>,
}

impl RecordReader {
    /// A reader of the records of a table of a plan, captured in this format or a stream.
    ///
    /// # Errors
    /// A table that records of this format do not carry.
    pub(crate) fn new(
        plan: &Plan,
        format: Format,
        database: &str,
        id: TableId,
    ) -> Result<RecordReader, Unfit> {
        let table = plan.table(id);
        let translator = match table.source {
            TableSource::Captured => row_translator(format, table)?,
            TableSource::Stream(_) => None,
        };
        let rows = Decoder::of_rows(plan, format, database, id)?;
        Ok(RecordReader { rows, origins: OriginDecoder::default(), translator })
    }

    /// The row that a record is about; `None` if that cannot be told.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub(crate) fn row_key(
        &mut self,
        (partition, offset): (i32, i64),
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<Key>, Failure> {
        self.rows.row_key(partition, offset, key, value)
    }

    /// Whether the records are events, which come from nowhere else.
    pub(crate) fn is_of_events(&self) -> bool {
        matches!(self.rows, Decoder::Stream(_))
    }

    /// Where a record of a captured table comes from, by its value.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub(crate) fn origin(&mut self, value: &[u8]) -> Result<Origin, Failure> {
        let RecordReader { origins, translator, .. } = self;
        let Some(translator) = translator else { return origins.decode(value) };
        let value = translator.translate(Side::Value, value)?;
        match origins.decode(&value) {
            Err(Failure::Schema(side, id)) => {
                let text = translator.schema(side, id).unwrap_or_default();
                origins.add_schema(id, text).map_err(|unfit| Failure::Unfit(Box::new(unfit)))?;
                origins.decode(&value)
            }
            other => other,
        }
    }

    /// Takes the schema that was asked for.
    ///
    /// # Errors
    /// A schema that is not of the table's records.
    pub(crate) fn add_schema(&mut self, side: Side, id: u32, text: &str) -> Result<(), Unfit> {
        match side {
            Side::Key => self.rows.add_schema(side, id, text),
            Side::Value => self.origins.add_schema(id, text),
        }
    }
}

/// Decodes records of a captured table in JSON: for the fuzzer, there is no other way in without a
/// broker.
#[cfg(fuzzing)]
#[derive(Debug)]
pub struct JsonRecords(Decoder);

#[cfg(fuzzing)]
impl JsonRecords {
    /// Of the first table of a plan, in this format.
    pub fn new(plan: &Plan, format: Format, database: &str) -> JsonRecords {
        let decoder = Decoder::of_rows(plan, format, database, TableId(0));
        JsonRecords(decoder.expect("the format carries the table"))
    }

    /// Decodes a record, its key by itself, and the record once more, which must say the same.
    pub fn read(&mut self, key: &[u8], value: &[u8]) {
        let once = self.0.decode(0, 0, Some(key), Some(value));
        let _ = self.0.row_key(0, 0, Some(key), None);
        assert_eq!(self.0.decode(0, 0, Some(key), Some(value)), once);
    }
}

/// Whether records of this format carry all that views read.
///
/// # Errors
/// The first column that they do not.
pub(crate) fn is_carried(plan: &Plan, format: Format) -> Result<(), Unfit> {
    let mut captured = plan.tables.iter().filter(|table| table.source == TableSource::Captured);
    captured.try_for_each(|table| row_translator(format, table).map(drop))
}

/// What translates records of this format whose keys nobody reads; nothing for Avro.
fn translator(format: Format, value: fn() -> debezium_json::Field) -> Option<Translator> {
    match format {
        Format::Avro => None,
        Format::Json => Some(Translator::by_schemas()),
        Format::JsonWithoutSchemas => Some(Translator::bare(debezium_json::no_key(), value())),
    }
}

/// What translates the records of a table.
fn row_translator(format: Format, table: &Table) -> Result<Option<Translator>, Unfit> {
    Ok(match format {
        Format::Avro => None,
        Format::Json => Some(Translator::by_schemas()),
        Format::JsonWithoutSchemas => {
            let (key, value) = (debezium_json::key_of(table)?, debezium_json::row_of(table)?);
            Some(Translator::bare(key, value))
        }
    })
}

/// Has a record decoded as Avro.
fn in_avro<T>(
    translator: &mut Translator,
    decoder: &mut Decoder,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    mut decode: impl FnMut(&mut Decoder, Option<&[u8]>, Option<&[u8]>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let has_key = matches!(decoder, Decoder::Table(_) | Decoder::Heartbeats(_));
    let value = value.map(|value| translator.translate(Side::Value, value)).transpose()?;
    let key = key.filter(|_| has_key);
    let key = key.map(|key| translator.translate(Side::Key, key)).transpose()?;
    loop {
        match decode(decoder, key.as_deref(), value.as_deref()) {
            Err(Failure::Schema(side, id)) => {
                let text = translator.schema(side, id).unwrap_or_default();
                let added = decoder.add_schema(side, id, text);
                added.map_err(|unfit| Failure::Unfit(Box::new(unfit)))?;
            }
            other => return other,
        }
    }
}
