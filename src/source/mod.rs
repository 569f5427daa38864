//! From Kafka records to ordered row changes.
//!
//! A thread of its own reads records and decodes them: Debezium's Avro or JSON for captured tables,
//! JSON for events. What cannot be read becomes a dead letter. [`transactions`] puts what was read in
//! order and tells when a table is complete. Nothing outside of this module knows that there is
//! Kafka.

pub mod anew;
pub mod avro;
pub mod command;
mod copies;
pub mod dead_letters;
mod debezium_json;
mod decode;
mod error;
pub mod json;
mod kafka;
pub mod letters;
pub mod record;
mod registry;
pub mod rewrites;
mod snapshot;
pub mod transactions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use debezium_json::JsonError;
#[cfg(fuzzing)]
pub use decode::JsonRecords;
pub(crate) use decode::{NewsDecoder, RecordReader, is_carried};
pub use error::SourceError;
pub use kafka::{Kafka, Reader};
pub(crate) use kafka::{range_reader, read_range, readable_end};
use record::{PartitionId, PartitionSpec, Record};
use serde::Deserialize;
pub use snapshot::Wanting;
use transactions::{Applied, Flow};

use crate::change::Positions;
use crate::sql::plan::Plan;

/// Where records come from: partitions that only ever grow at their ends.
pub trait Log {
    /// The reading of it.
    type Records: Records;

    /// From here on it is read for another plan.
    fn replan(&mut self, plan: Arc<Plan>);

    /// Starts reading every partition of a plan behind what `former` runs' state holds, and tells
    /// what they are. Waits, however long, until that can be told.
    fn read(
        &self,
        former: Former,
    ) -> impl Future<Output = Result<(Self::Records, Vec<PartitionSpec>), SourceError>>;
}

/// The records of all partitions: of each in order and without gaps, in any order between them.
/// Dropping it ends the reading.
pub trait Records {
    /// The next batch; waits for it. Nothing is lost when the wait is given up.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Record>, SourceError>>;

    /// A batch that is there already.
    ///
    /// # Errors
    /// What stopped the reading.
    fn try_next(&mut self) -> Result<Option<Vec<Record>>, SourceError>;

    /// Stops reading a partition, or goes on; a few records may still come.
    fn set_flow(&mut self, partition: PartitionId, flow: Flow);

    /// Notes for the metrics that a partition is applied up to this offset.
    fn note_applied(&self, partition: PartitionId, next_offset: i64);
}

/// What former runs left.
#[derive(Clone, Debug, Default)]
pub struct Former {
    /// What the state at hand has applied: reading begins behind it, at the first records without.
    pub applied: Applied,
    /// How far they had come; up to there everything is replayed.
    pub targets: Positions,
}

/// How Debezium's records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// In Avro, the schemas in a registry.
    #[default]
    Avro,
    /// In JSON, each with its schema.
    Json,
    /// In JSON without: what that does not carry is refused.
    JsonWithoutSchemas,
}

/// What the reader has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bootstrap brokers, `host:port` with commas between.
    pub brokers: String,
    /// Debezium's `topic.prefix`: a table's topic is `PREFIX.DATABASE.TABLE`.
    pub topic_prefix: String,
    /// The captured database.
    pub database: String,
    /// How its records are written.
    pub format: Format,
    /// Address of a Confluent-compatible schema registry, as `http://host:8081/apis/ccompat/v7`.
    pub registry_url: String,
    /// How long one answer of the registry may take.
    pub registry_timeout: Duration,
    /// Where copies of writer schemas are kept.
    pub schema_folder: PathBuf,
    /// The pipeline's name, by which commands are for it.
    pub pipeline: String,
    /// Where unreadable records go.
    pub dead_letter_topic: String,
    /// Where commands come from.
    pub command_topic: String,
    /// Unreadable records in a row on one partition after which reading stops.
    pub unreadable_in_a_row_max: u32,
    /// Largest record, in bytes.
    pub record_bytes_max: usize,
    /// Records handed over at once, at most.
    pub batch_records_max: usize,
}
