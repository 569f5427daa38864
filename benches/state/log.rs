//! The log that the pipeline reads here in place of Kafka: a snapshot of the shop, then steady
//! changes, each of a captured table a transaction of its own. Records are made and decoded ahead
//! of the clock and come as fast as they are taken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future;
use std::rc::Rc;
use std::sync::Arc;

use viewtide::change::{Change, Partition, Positions};
use viewtide::gtid::{Gtid, Server};
use viewtide::source::record::{
    BinlogPlace, Content, Notice, PartitionId, PartitionSpec, Place, Record, Role, SnapshotMark,
    TransactionEnd,
};
use viewtide::source::transactions::Flow;
use viewtide::source::{Former, Log, Records, SourceError};
use viewtide::sql::plan::{Plan, TableSource};

use super::process::Meter;
use super::workload::Workload;

/// Records handed over at once.
const BATCH: usize = 256;

/// Bytes that a record counts.
const RECORD_BYTES: u32 = 100;

/// The transaction that the snapshot is the state of.
const SNAPSHOT: u64 = 1;

/// Makes the records of all partitions, in the order in which they were written.
pub(crate) struct Generator {
    pub(crate) workload: Workload,
    partitions: Vec<(Partition, Role)>,
    server: Server,
    transactions: u64,
    /// By partition.
    next_offsets: Vec<i64>,
    /// What they were at the end of the snapshot.
    snapshot_ends: Vec<i64>,
}

impl Generator {
    pub(crate) fn new(plan: &Arc<Plan>, orders: u64) -> Generator {
        let topic = |topic: String| Partition { topic, number: 0 };
        let of_table = |(id, table): (_, &viewtide::sql::plan::Table)| match &table.source {
            TableSource::Captured => (topic(format!("mysql.shop.{}", table.name)), Role::Table(id)),
            TableSource::Stream(stream) => (topic(stream.topic.clone()), Role::Stream(id)),
        };
        let mut partitions: Vec<_> = plan.tables_with_ids().map(of_table).collect();
        partitions.push((topic("mysql.transaction".into()), Role::Transactions));
        partitions.push((topic("mysql.notifications".into()), Role::Notifications));
        Generator {
            workload: Workload::new(plan, orders),
            next_offsets: vec![0; partitions.len()],
            snapshot_ends: Vec::new(),
            partitions,
            server: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            transactions: SNAPSHOT,
        }
    }

    /// What a snapshot reads, and the events that there are by then.
    pub(crate) fn snapshot(&mut self) -> VecDeque<Record> {
        let of = BinlogPlace { file: 1, position: 1 };
        let captured = |(_, role): &(Partition, Role)| match role {
            Role::Table(table) => Some(*table),
            _ => None,
        };
        let tables = self.partitions.iter().filter_map(captured).collect();
        let contains = [(self.server.clone(), SNAPSHOT)].into_iter().collect();
        let notices = self.partitions.len() - 1;
        let reading = Content::Notice(Notice::Reading { of, tables, contains });
        let mut records = VecDeque::from([self.record(notices, reading)]);
        let changes: Vec<Change> = self.workload.load().collect();
        let mut changes = changes.into_iter().peekable();
        let mut last = None;
        while let Some(change) = changes.next() {
            let table = change.table;
            let mark = match changes.peek() {
                Some(next) if next.table == table && last == Some(table) => SnapshotMark::Inner,
                Some(next) if next.table == table => SnapshotMark::First,
                _ => SnapshotMark::Last,
            };
            last = Some(table);
            let at = usize::from(table.0);
            records.push_back(match self.partitions[at].1 {
                Role::Stream(_) => self.record(at, Content::Event(change)),
                _ => self.record(at, Content::Snapshot { change, mark, of }),
            });
        }
        self.snapshot_ends = self.next_offsets.clone();
        records
    }

    /// So many steady changes.
    pub(crate) fn steady(&mut self, changes: u64) -> VecDeque<Record> {
        let mut records = VecDeque::new();
        for _ in 0..changes {
            let change = self.workload.next();
            let at = usize::from(change.table.0);
            if let Role::Stream(_) = self.partitions[at].1 {
                records.push_back(self.record(at, Content::Event(change)));
                continue;
            }
            self.transactions += 1;
            let gtid = Gtid { server: self.server.clone(), number: self.transactions };
            let place = Place { gtid: gtid.clone(), total_order: 1, table_order: 1 };
            records.push_back(self.record(at, Content::Row { place, change }));
            let counts = vec![(PartitionId(at as u16), 1)];
            let ends = self.partitions.len() - 2;
            let end = Content::End(Box::new(TransactionEnd { gtid, counts }));
            records.push_back(self.record(ends, end));
        }
        records
    }

    /// Takes away what lies behind these positions, and goes on from there.
    pub(crate) fn cut(&mut self, records: &mut VecDeque<Record>, ends: &Positions) {
        let end = |(partition, _): &(Partition, Role)| ends[partition].next_offset;
        self.next_offsets = self.partitions.iter().map(end).collect();
        records.retain(|record| record.offset < self.next_offsets[record.partition.index()]);
    }

    /// An event that tells an order's status at a time, in microseconds since 1970.
    pub(crate) fn status(&mut self, order: i64, status: &str, at: i64) -> Record {
        let change = self.workload.status(order, status, at);
        self.record(usize::from(change.table.0), Content::Event(change))
    }

    /// The log that holds these records, of which so many are the snapshot's.
    pub(crate) fn log(
        self,
        records: VecDeque<Record>,
        snapshot: usize,
        meter: &Rc<Meter>,
    ) -> Generated {
        let Generator { partitions, snapshot_ends, .. } = self;
        let meter = Rc::clone(meter);
        Generated { partitions, snapshot_ends, records: RefCell::new(records), snapshot, meter }
    }

    fn record(&mut self, at: usize, content: Content) -> Record {
        let offset = self.next_offsets[at];
        self.next_offsets[at] += 1;
        Record {
            partition: PartitionId(at as u16),
            offset,
            fingerprint: (at as u64 + 1) << 32 | offset as u64,
            committed_us: 1_725_297_662_000_000,
            bytes: RECORD_BYTES,
            anew: None,
            lacks: None,
            content,
        }
    }
}

/// The near end of the log; read once.
pub(crate) struct Generated {
    partitions: Vec<(Partition, Role)>,
    snapshot_ends: Vec<i64>,
    records: RefCell<VecDeque<Record>>,
    /// Records of the snapshot.
    snapshot: usize,
    meter: Rc<Meter>,
}

impl Log for Generated {
    type Records = GeneratedRecords;

    fn replan(&mut self, _: Arc<Plan>) {
        unreachable!("there is one plan");
    }

    async fn read(
        &self,
        former: Former,
    ) -> Result<(GeneratedRecords, Vec<PartitionSpec>), SourceError> {
        let mut specs = Vec::new();
        for ((partition, role), snapshot_end) in self.partitions.iter().zip(&self.snapshot_ends) {
            let known = former.applied.partitions.get(partition);
            specs.push(PartitionSpec {
                partition: partition.clone(),
                role: *role,
                start: known.map(|known| known.position).unwrap_or_default(),
                target: former.targets.get(partition).copied(),
                end_at_start: role
                    .end_at_start(*snapshot_end, known.map(|known| known.end_at_start)),
                lost: None,
            });
        }
        let mut records = self.records.take();
        let starts: Vec<i64> = specs.iter().map(|spec| spec.start.next_offset).collect();
        records.retain(|record| record.offset >= starts[record.partition.index()]);
        self.meter.loaded(records.len());
        let (snapshot, meter) = (self.snapshot, Rc::clone(&self.meter));
        Ok((GeneratedRecords { records, snapshot, meter }, specs))
    }
}

/// The reading of it. Steady changes come once all documents of the snapshot are written.
pub(crate) struct GeneratedRecords {
    records: VecDeque<Record>,
    /// Records of the snapshot that were not read yet.
    snapshot: usize,
    meter: Rc<Meter>,
}

impl Records for GeneratedRecords {
    async fn next(&mut self) -> Result<Vec<Record>, SourceError> {
        // The loop waits for records only when there is nothing else to do: the fill is over.
        if self.snapshot == 0 {
            self.meter.is_steady.set(true);
        }
        match self.try_next()? {
            Some(batch) => Ok(batch),
            None => future::pending().await,
        }
    }

    fn try_next(&mut self) -> Result<Option<Vec<Record>>, SourceError> {
        let is_steady = self.meter.is_steady.get();
        let there = if is_steady { self.records.len() } else { self.snapshot };
        let batch: Vec<Record> = self.records.drain(..there.min(BATCH)).collect();
        self.snapshot = self.snapshot.saturating_sub(batch.len());
        if is_steady {
            let changes = batch.iter().filter(|r| !matches!(r.content, Content::End(_))).count();
            self.meter.changes.set(self.meter.changes.get() + changes as u64);
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    fn set_flow(&mut self, partition: PartitionId, flow: Flow) {
        // Records come in the order in which they were written, so none waits for another's.
        assert_ne!(flow, Flow::Pause, "{partition:?}");
    }

    fn note_applied(&self, _: PartitionId, _: i64) {}
}
