//! Every bound that can be set, each with its unit and range.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::Problem;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// `[limits]`: past each of these there is back-pressure or a clear refusal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most records taken from Kafka into one step.
    pub batch_records_max: u64,
    /// Largest Kafka record, in bytes; topics and producers should allow the same.
    pub record_bytes_max: u64,
    /// Bytes of records held for one partition; past it the partition is paused.
    pub queue_bytes_max: u64,
    /// Bytes of one transaction's changes of one table held until it is complete; a larger one is
    /// applied in parts.
    pub transaction_bytes_max: u64,
    /// Most documents that change in one atomic step.
    pub atomic_documents_max: u64,
    /// Most bytes of documents that change in one atomic step.
    pub atomic_bytes_max: u64,
    /// Rows looked at for the documents that change in one atomic step, in equal shares for the views
    /// that they are of; what is left of a view behind its share follows in chunks.
    pub atomic_rows_max: u64,
    /// Most documents of one step of a fill or of other backlog, so that Redis serves in between.
    pub chunk_documents_max: u64,
    /// Rows looked at for the documents of one step of a fill or of other backlog, behind which no
    /// further document is begun: what else changes meanwhile waits that long.
    pub chunk_rows_max: u64,
    /// Most documents that one row change may touch at once; a wider one is worked off in chunks.
    pub fan_out_max: u64,
    /// Largest document, in bytes; a larger one becomes an error document.
    pub document_bytes_max: u64,
    /// Unreadable records in a row on one partition after which the pipeline stops: a wrong format.
    pub unreadable_in_a_row_max: u64,
    /// HTTP connections open at once.
    pub connections_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            batch_records_max: 4096,
            record_bytes_max: 16 * MIB,
            queue_bytes_max: 64 * MIB,
            transaction_bytes_max: 256 * MIB,
            atomic_documents_max: 4096,
            atomic_bytes_max: 4 * MIB,
            atomic_rows_max: 4_000_000,
            chunk_documents_max: 256,
            chunk_rows_max: 250_000,
            fan_out_max: 4096,
            document_bytes_max: 8 * MIB,
            unreadable_in_a_row_max: 100,
            connections_max: 1024,
        }
    }
}

impl Limits {
    pub(super) fn validate(&self) -> Result<(), Problem> {
        // The upper ends of the four that fill a step add up to what the sink takes as one.
        let bytes = "bytes";
        let documents = "documents";
        let rows = "rows";
        for (key, given, allowed, unit) in [
            ("limits.batch_records_max", self.batch_records_max, 1..=1_000_000, "records"),
            ("limits.record_bytes_max", self.record_bytes_max, KIB..=GIB, bytes),
            ("limits.queue_bytes_max", self.queue_bytes_max, MIB..=64 * GIB, bytes),
            ("limits.transaction_bytes_max", self.transaction_bytes_max, MIB..=64 * GIB, bytes),
            ("limits.atomic_documents_max", self.atomic_documents_max, 1..=8192, documents),
            ("limits.atomic_bytes_max", self.atomic_bytes_max, 64 * KIB..=16 * MIB, bytes),
            ("limits.atomic_rows_max", self.atomic_rows_max, 1..=1_000_000_000, rows),
            ("limits.chunk_documents_max", self.chunk_documents_max, 1..=8192, documents),
            ("limits.chunk_rows_max", self.chunk_rows_max, 1..=1_000_000_000, rows),
            ("limits.fan_out_max", self.fan_out_max, 1..=1_000_000, documents),
            ("limits.document_bytes_max", self.document_bytes_max, KIB..=12 * MIB, bytes),
            (
                "limits.unreadable_in_a_row_max",
                self.unreadable_in_a_row_max,
                1..=1_000_000,
                "records",
            ),
            ("limits.connections_max", self.connections_max, 1..=100_000, "connections"),
        ] {
            within(key, given, allowed, unit)?;
        }
        Ok(())
    }
}

pub(super) fn within(
    key: &'static str,
    given: u64,
    allowed: RangeInclusive<u64>,
    unit: &str,
) -> Result<(), Problem> {
    if allowed.contains(&given) {
        return Ok(());
    }
    let allowed = format!("{} to {} {unit}", allowed.start(), allowed.end());
    Err(Problem { key, given: given.to_string(), allowed })
}
