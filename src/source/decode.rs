//! What a partition's records say, by what the partition holds.

use std::collections::HashMap;

use super::avro::{
    Decoded, Failure, HeartbeatDecoder, NotificationDecoder, Side, TableDecoder,
    TransactionDecoder, Unfit,
};
use super::json::EventDecoder;
use super::record::{PartitionId, PartitionSpec, Role};
use crate::sql::plan::{Plan, TableId, TableSource, TimestampUnit};

/// Decodes the records of one partition.
#[derive(Debug)]
pub(super) enum Decoder {
    Table(Box<TableDecoder>),
    Stream(Box<EventDecoder>),
    Transactions(TransactionDecoder),
    Notifications(NotificationDecoder),
    Heartbeats(Box<HeartbeatDecoder>),
}

impl Decoder {
    /// Decoders for these partitions, in their order.
    pub(super) fn all(plan: &Plan, database: &str, specs: &[PartitionSpec]) -> Vec<Decoder> {
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
            Role::Table(id) => {
                Decoder::Table(Box::new(TableDecoder::new(id, plan.table(id), database)))
            }
            Role::Stream(id) => {
                let table = plan.table(id);
                let unit = match &table.source {
                    TableSource::Stream(stream) => stream.timestamps,
                    TableSource::Captured => TimestampUnit::Seconds,
                };
                Decoder::Stream(Box::new(EventDecoder::new(id, table, unit)))
            }
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
        };
        specs.iter().map(decoder).collect()
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
        }
    }

    /// Takes the writer schema that [`Failure::Schema`] asked for.
    pub(super) fn add_schema(&mut self, side: Side, id: u32, text: &str) -> Result<(), Unfit> {
        match self {
            Decoder::Table(decoder) => decoder.add_schema(side, id, text),
            Decoder::Transactions(decoder) => decoder.add_schema(id, text),
            Decoder::Notifications(decoder) => decoder.add_schema(id, text),
            Decoder::Heartbeats(decoder) => decoder.add_schema(side, id, text),
            // Events are JSON and never ask.
            Decoder::Stream(_) => Ok(()),
        }
    }
}
