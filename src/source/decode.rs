//! What a partition's records say, by what the partition holds.

use std::collections::HashMap;

use super::avro::{
    Decoded, Failure, HeartbeatDecoder, NotificationDecoder, SchemaChangeDecoder, Side,
    TableDecoder, TransactionDecoder, Unfit,
};
use super::command::CommandDecoder;
use super::json::EventDecoder;
use super::record::{PartitionId, PartitionSpec, Role};
use crate::sql::plan::{Plan, TableId, TableSource};
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
}

impl Decoder {
    /// Decoders for these partitions, in their order.
    pub(super) fn all(
        plan: &Plan,
        pipeline: &str,
        database: &str,
        specs: &[PartitionSpec],
    ) -> Vec<Decoder> {
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
            Role::Table(id) | Role::Stream(id) => Decoder::of_rows(plan, database, id),
            Role::Transactions => {
                let partitions: HashMap<_, _> =
                    tables.iter().map(|(name, _, partition)| (name.clone(), *partition)).collect();
                Decoder::Transactions(TransactionDecoder::new(partitions))
            }
            Role::Heartbeats => Decoder::Heartbeats(Box::new(HeartbeatDecoder::new(database))),
            Role::Notifications => {
                let ids: HashMap<_, _> =
                    tables.iter().map(|(name, id, _)| (name.clone(), *id)).collect();
                Decoder::Notifications(NotificationDecoder::new(ids))
            }
            Role::SchemaChanges => Decoder::SchemaChanges(SchemaChangeDecoder::new(database)),
            Role::Commands => {
                let target = |(at, spec): (usize, &PartitionSpec)| {
                    let table = spec.role.table()?;
                    let decoder = Decoder::of_rows(plan, database, table);
                    Some((PartitionId(at as u16), spec.clone(), decoder))
                };
                let targets = specs.iter().enumerate().filter_map(target);
                Decoder::Commands(Box::new(CommandDecoder::new(plan, pipeline, targets)))
            }
        };
        specs.iter().map(decoder).collect()
    }

    /// A decoder of what changes a table's rows.
    fn of_rows(plan: &Plan, database: &str, id: TableId) -> Decoder {
        let table = plan.table(id);
        match &table.source {
            TableSource::Captured => {
                Decoder::Table(Box::new(TableDecoder::new(id, table, database)))
            }
            TableSource::Stream(stream) => {
                Decoder::Stream(Box::new(EventDecoder::new(id, table, stream.timestamps)))
            }
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
            // Events are JSON and never ask.
            Decoder::Stream(_) => Ok(()),
        }
    }
}
