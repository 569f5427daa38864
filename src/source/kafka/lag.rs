//! How many records of each partition are yet to be applied.
//!
//! Both ends move on their own: the brokers tell where a partition ends while nothing can be
//! applied, and the other way round. So whoever learns something sets the gauge.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use rdkafka::statistics;

use crate::change::Partition;
use crate::source::record::{PartitionId, PartitionSpec};
use crate::telemetry::Metrics;

/// The partitions by [`PartitionId`].
#[derive(Debug)]
pub(super) struct Lag(Vec<PartitionLag>);

#[derive(Debug)]
struct PartitionLag {
    /// The offset behind the last record that can be read, as far as the brokers have told.
    end: AtomicI64,
    /// The offset behind the last record read.
    read: AtomicI64,
    /// The first offset not yet applied.
    next: AtomicI64,
    records: Gauge,
}

impl Lag {
    pub(super) fn new(specs: &[PartitionSpec], metrics: &Metrics) -> Lag {
        let lag = |spec: &PartitionSpec| {
            let Partition { topic, number } = &spec.partition;
            let (end, next) = (spec.end_at_start, spec.start.next_offset);
            let records = metrics.lag_records(topic, *number);
            let lag =
                PartitionLag { end: end.into(), read: next.into(), next: next.into(), records };
            lag.tell();
            lag
        };
        Lag(specs.iter().map(lag).collect())
    }

    /// Takes what the client knows of a partition, if it knows enough.
    pub(super) fn take_end(&self, id: PartitionId, partition: &statistics::Partition) {
        let lag = &self.0[id.index()];
        if let Some(end) = readable_end(partition, lag.read.load(Ordering::Relaxed)) {
            lag.end.store(end, Ordering::Relaxed);
            lag.tell();
        }
    }

    /// The record at this offset was read.
    pub(super) fn take_read(&self, id: PartitionId, offset: i64) {
        self.0[id.index()].read.store(offset + 1, Ordering::Relaxed);
    }

    /// A partition is applied up to this offset.
    pub(super) fn take_position(&self, id: PartitionId, next_offset: i64) {
        self.0[id.index()].next.store(next_offset, Ordering::Relaxed);
        self.0[id.index()].tell();
    }
}

impl PartitionLag {
    fn tell(&self) {
        let end = self.end.load(Ordering::Relaxed);
        self.records.set((end - self.next.load(Ordering::Relaxed)).max(0));
    }
}

/// The offset behind the last record that can be read, of which `read` is behind the last that
/// was. The markers of transactions take offsets too: what is behind the last record is known
/// once the client has handed over all that there is.
fn readable_end(partition: &statistics::Partition, read: i64) -> Option<i64> {
    let end = if partition.ls_offset >= 0 { partition.ls_offset } else { partition.hi_offset };
    (end >= 0).then_some(if partition.app_offset == end { read } else { end })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset of which nothing is known.
    const NONE: i64 = -1001;

    fn known(ls: i64, hi: i64, app: i64) -> statistics::Partition {
        statistics::Partition {
            ls_offset: ls,
            hi_offset: hi,
            app_offset: app,
            ..statistics::Partition::default()
        }
    }

    #[test]
    fn markers_are_no_records_once_everything_is_read() {
        assert_eq!(readable_end(&known(NONE, NONE, NONE), 0), None);
        assert_eq!(readable_end(&known(8, 9, 5), 5), Some(8), "records are on their way");
        assert_eq!(readable_end(&known(8, 9, 8), 7), Some(7), "a marker is last");
        assert_eq!(readable_end(&known(3, 3, 3), 0), Some(0), "nothing but markers");
        assert_eq!(readable_end(&known(0, 0, NONE), 0), Some(0));
        assert_eq!(readable_end(&known(NONE, 4, NONE), 0), Some(4));
    }
}
