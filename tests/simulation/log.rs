//! The log: partitions whose ends move when the schedule says so, read in any order between them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use viewtide::change::Partition;
use viewtide::gtid::{Gtid, Server};
use viewtide::source::record::{
    BinlogPlace, Command, Content, Notice, PartitionId, PartitionSpec, Place, Record, Role,
    SnapshotMark, TransactionEnd,
};
use viewtide::source::transactions::Flow;
use viewtide::source::{Former, Log, Records, SourceError};
use viewtide::sql::plan::Plan;

use super::bank::{Definition, Schema, TABLES, VIEWS};
use super::history::{
    COMMANDS, HEARTBEATS, MARK_PARTITIONS, MARKS, NOTIFICATIONS, PARTITIONS, Said, TRANSACTIONS,
};
use super::random::Random;
use super::schedule::Sabotage;
use super::world::Clockwork;

/// The server that numbers transactions.
const SERVER: u128 = 1;

/// Key of no row.
const NO_ROW: i64 = -1;

/// Bytes that a record counts.
const RECORD_BYTES: u32 = 100;

/// All partitions as they are now.
#[derive(Debug)]
pub(super) struct Topics {
    said: Vec<Vec<Said>>,
    /// Records that can be read, by partition.
    ends: [usize; PARTITIONS],
}

impl Topics {
    pub(super) fn new(said: Vec<Vec<Said>>) -> Topics {
        Topics { said, ends: [0; PARTITIONS] }
    }

    /// Lets more records of a partition arrive.
    pub(super) fn produce(&mut self, partition: usize, count: usize) {
        let end = &mut self.ends[partition];
        *end = (*end + count).min(self.said[partition].len());
    }

    /// Lets all records arrive.
    pub(super) fn produce_all(&mut self) {
        (0..PARTITIONS).for_each(|partition| self.produce(partition, usize::MAX >> 1));
    }

    /// The records of a partition, whether they have arrived or not.
    pub(super) fn said(&self, partition: usize) -> &[Said] {
        &self.said[partition]
    }
}

/// The near end of the log, of one process.
pub(super) struct SimulatedLog {
    pub(super) schema: &'static Schema,
    pub(super) topics: Rc<RefCell<Topics>>,
    pub(super) clockwork: Rc<Clockwork>,
    pub(super) random: RefCell<Random>,
    pub(super) batch_records_max: usize,
}

/// The reading of it.
pub(super) struct SimulatedRecords {
    schema: &'static Schema,
    topics: Rc<RefCell<Topics>>,
    clockwork: Rc<Clockwork>,
    random: Random,
    batch_records_max: usize,
    next: [usize; PARTITIONS],
    paused: [bool; PARTITIONS],
    /// Batches that were put together before a partition was paused.
    ahead: VecDeque<Vec<Record>>,
}

impl Log for SimulatedLog {
    type Records = SimulatedRecords;

    fn replan(&mut self, plan: Arc<Plan>) {
        let mut schemas = [Definition::One, Definition::Other].map(Schema::get).into_iter();
        self.schema = schemas.find(|schema| schema.plan.is_like(&plan)).unwrap();
    }

    async fn read(
        &self,
        former: Former,
    ) -> Result<(SimulatedRecords, Vec<PartitionSpec>), SourceError> {
        self.clockwork.pass().await;
        let topics = self.topics.borrow();
        let mut next = [0; PARTITIONS];
        let mut specs = Vec::new();
        for (at, next) in next.iter_mut().enumerate() {
            let partition = partition(at);
            let known = former.applied.partitions.get(&partition);
            let start = known.map(|known| known.position).unwrap_or_default();
            let target = former.targets.get(&partition).copied();
            let end = topics.ends[at] as i64;
            for position in [Some(start), target].into_iter().flatten() {
                let last = position.next_offset - 1;
                assert!(position.next_offset <= end, "a position behind the end of {partition:?}");
                assert!(
                    position.fingerprint == 0 || position.fingerprint == fingerprint(at, last),
                    "a position with another record's fingerprint"
                );
            }
            let role = role(self.schema, at);
            let end_at_start = role.end_at_start(end, known.map(|known| known.end_at_start));
            specs.push(PartitionSpec { partition, role, start, target, end_at_start, lost: None });
            *next = start.next_offset as usize;
        }
        let records = SimulatedRecords {
            schema: self.schema,
            topics: Rc::clone(&self.topics),
            clockwork: Rc::clone(&self.clockwork),
            random: Random::new(self.random.borrow_mut().next()),
            batch_records_max: self.batch_records_max,
            next,
            paused: [false; PARTITIONS],
            ahead: VecDeque::new(),
        };
        Ok((records, specs))
    }
}

impl Records for SimulatedRecords {
    async fn next(&mut self) -> Result<Vec<Record>, SourceError> {
        let batch = poll_fn(|_| match self.take_batch() {
            Some(batch) => Poll::Ready(batch),
            None => Poll::Pending,
        });
        Ok(batch.await)
    }

    fn try_next(&mut self) -> Result<Option<Vec<Record>>, SourceError> {
        Ok(if self.random.percent(60) { self.take_batch() } else { None })
    }

    fn set_flow(&mut self, partition: PartitionId, flow: Flow) {
        self.paused[partition.index()] = flow == Flow::Pause;
    }

    fn note_applied(&self, _: PartitionId, _: i64) {}
}

impl SimulatedRecords {
    fn take_batch(&mut self) -> Option<Vec<Record>> {
        if self.ahead.is_empty() || self.random.percent(20) {
            let batch = self.poll();
            self.ahead.extend(batch);
        }
        let batch = self.ahead.pop_front()?;
        self.clockwork.go_on();
        Some(batch)
    }

    /// Some records of any partitions.
    fn poll(&mut self) -> Option<Vec<Record>> {
        let topics = self.topics.borrow();
        let sabotage = self.clockwork.sabotage;
        let mut batch = Vec::new();
        let wanted = self.random.between(1, self.batch_records_max);
        let first = self.random.below(PARTITIONS);
        for step in 0..PARTITIONS {
            let at = (first + step) % PARTITIONS;
            let there = topics.ends[at] - self.next[at];
            if self.paused[at] || there == 0 {
                continue;
            }
            for _ in 0..self.random.between(1, 4).min(there).min(wanted - batch.len()) {
                let offset = self.next[at];
                batch.push(record(self.schema, at, offset, &topics.said[at][offset], sabotage));
                self.next[at] += 1;
            }
            if batch.len() == wanted {
                break;
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}

/// A partition by its place.
pub(super) fn partition(at: usize) -> Partition {
    const TOPICS: [&str; PARTITIONS] = [
        "p.d.owners",
        "p.d.accounts",
        "p.d.entries",
        "p.d.notes",
        "marks",
        "marks",
        "p.transaction",
        "p.notifications",
        "p.d.viewtide_heartbeat",
        "p.commands",
    ];
    let number = if at == MARKS + 1 { 1 } else { 0 };
    Partition { topic: TOPICS[at].to_owned(), number }
}

/// What recognises a record.
pub(super) fn fingerprint(partition: usize, offset: i64) -> u64 {
    (partition as u64 + 1) << 32 | offset as u64
}

fn role(schema: &Schema, at: usize) -> Role {
    match at {
        TRANSACTIONS => Role::Transactions,
        NOTIFICATIONS => Role::Notifications,
        HEARTBEATS => Role::Heartbeats,
        COMMANDS => Role::Commands,
        table if table < TABLES => Role::Table(schema.tables[table]),
        _ => Role::Stream(schema.marks),
    }
}

fn gtid(number: u64) -> Gtid {
    Gtid { server: server(), number }
}

/// Where the snapshot of an attempt is taken.
fn binlog_place(attempt: u32) -> BinlogPlace {
    BinlogPlace { file: 1, position: u64::from(attempt) }
}

/// The server that numbers transactions.
pub(super) fn server() -> Server {
    format!("00000000-0000-0000-0000-{SERVER:012x}").parse().unwrap()
}

fn record(
    schema: &Schema,
    at: usize,
    offset: usize,
    said: &Said,
    sabotage: Option<Sabotage>,
) -> Record {
    let table = |place: usize| schema.tables[place];
    let content = match said {
        Said::Row { gtid: number, total, order, id, row } => {
            let place = Place { gtid: gtid(*number), total_order: *total, table_order: *order };
            let ignored = row.is_none() && sabotage == Some(Sabotage::DeletesIgnored);
            let change = schema.change(at, if ignored { NO_ROW } else { *id }, *row);
            Content::Row { place, change }
        }
        Said::Snapshot { attempt, number, rows, row, .. } => {
            // The only row of a connector's first table is marked as the first one.
            let mark = if number == rows && !(at == 0 && *rows == 1) {
                SnapshotMark::Last
            } else if *number == 1 {
                SnapshotMark::First
            } else {
                SnapshotMark::Inner
            };
            let change = schema.change(at, row[0], Some(*row));
            Content::Snapshot { change, mark, of: binlog_place(*attempt) }
        }
        Said::Truncate { gtid: number } => {
            Content::Truncate { table: table(at), gtid: gtid(*number) }
        }
        Said::Mark { account, n } => {
            let partition = (at - MARKS) as i64;
            debug_assert!(partition < MARK_PARTITIONS as i64);
            Content::Event(schema.mark(partition, offset as i64, *account, *n))
        }
        Said::End { gtid: number, counts } => {
            let counts = (0..).map(PartitionId).zip(counts.iter().copied());
            let counts = counts.filter(|(_, count)| *count > 0).collect();
            Content::End(Box::new(TransactionEnd { gtid: gtid(*number), counts }))
        }
        Said::Reading { attempt, gtid } => {
            let tables = (0..TABLES).map(table).collect();
            let contains = [(server(), *gtid)].into_iter().collect();
            Content::Notice(Notice::Reading { of: binlog_place(*attempt), tables, contains })
        }
        Said::Read { attempt, table: place, rows, .. } => {
            let of = binlog_place(*attempt);
            Content::Notice(Notice::Read { of, table: table(*place), rows: *rows })
        }
        Said::Executed { gtid: number } => {
            let set = match number - 1 {
                0 => String::new(),
                last => format!("{}:1-{last}", server()),
            };
            Content::Executed { gtid: gtid(*number), set: set.into() }
        }
        Said::Switch { name, view } => {
            let [name, view] = [*name, *view].map(|at| VIEWS[at].to_owned());
            Content::Command(Box::new(Command::Switch { name, view }))
        }
        Said::Nothing => Content::Ignored,
    };
    let fingerprint = fingerprint(at, offset as i64);
    Record {
        partition: PartitionId(at as u16),
        offset: offset as i64,
        fingerprint,
        committed_us: offset as i64 + 1,
        bytes: RECORD_BYTES,
        anew: None,
        lacks: None,
        content,
    }
}
