//! Puts the records of all partitions in order: whole transactions as MySQL committed them,
//! everything else as it comes.
//!
//! Every partition has a queue, and records leave it from the head only, so a position is one
//! number. The transaction topic says what comes next: the first END in it that is not applied
//! yet. Its transaction is released when every table it touched has as many distinct changes of
//! it as END counts; records in between that belong to no transaction go with it. A record
//! without a transaction (snapshot row, TRUNCATE, event) leaves as soon as it is at the head, so
//! it waits behind held changes of its table.
//!
//! What the connector sends twice has new offsets, so duplicates are told by their transaction:
//! at or below the watermark of its server it is dropped, within the open transaction a change
//! counts once by its number in the table. A TRUNCATE is in no transaction and may be read long
//! after transactions of other tables that follow it, so it is compared with what its own table
//! has seen.
//!
//! A transaction with more changes than are held in memory is applied in parts: what has arrived
//! goes, the watermark rises with its end. What is applied of it is known per table, so what the
//! connector sends twice in its middle is told, too.
//!
//! Some tables may never get all changes of a transaction, because a record was lost or is a dead
//! letter that does not tell its transaction. That is certain once a change of a later transaction
//! stands where one is missing. Then what is there is applied, and counted. Should the change come
//! after all, it is applied by itself. A change whose transaction has no end, although a later one
//! has, stops everything: no watermark may claim it.
//!
//! What is released depends on the records alone, never on how the reading of partitions
//! interleaves. A former run's positions are replayed to exactly: until all of them are reached,
//! nothing behind them is applied. The positions of a run that goes on elsewhere are followed in the
//! same way ([`Sequencer::follow`]).
//!
//! A statement that rewrote a table without changes of its rows ([`super::rewrites`]) leaves the table
//! wanting until a snapshot has read it anew that began after it, in whichever order that is read.
//!
//! A table that is altered may not be written any more as the views read it. From the first row on
//! that lacks a column the table does, until all of its rows are gone: those that are held since may
//! have NULL where MySQL has a value.
//!
//! A command is a record like any other, but one about a dead letter waits until that letter's own
//! place is passed; then it does not matter how the topics interleave (see [`super::letters`]).
//!
//! What was applied is known from the [`Applied`] of any moment: a sequencer made of it goes on as
//! if it had read everything before.

mod apply;
mod front;
#[cfg(test)]
mod losses;
mod orders;
mod queue;
mod released;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Change, Partition, Position, Positions};
use crate::sql::plan::{Plan, TableId};

use serde::{Deserialize, Serialize};

use super::letters::Letters;
use super::record::{Content, Lacks, Notice, PartitionId, PartitionSpec, Record, Role};
use super::rewrites::Forms;
use super::snapshot::{Snapshot, Wanting};
use crate::gtid::{Gtid, Watermarks};
use front::{Front, Progress};
use orders::Latest;
use queue::{Queue, Standing};
pub use released::{Obeyed, Released};

/// Most names of which it is remembered which view is to answer for them.
pub const SERVED_MAX: usize = 1024;

/// Limits of what is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of records queued for one partition, past which it is paused.
    pub queue_bytes_max: usize,
    /// Bytes queued for one partition while a transaction that is larger is being completed; past
    /// this it is applied in parts.
    pub transaction_bytes_max: usize,
    /// Records without a transaction that one release takes at most.
    pub run_records_max: usize,
}

/// Puts records in order; see the module.
#[derive(Debug)]
pub struct Sequencer {
    plan: Arc<Plan>,
    queues: Vec<Queue>,
    /// The partition of each table that has transactions.
    transactions: Option<PartitionId>,
    watermarks: Watermarks,
    bounds: Bounds,
    front: Option<Front>,
    /// Whether what another run applied is still to be reached, or comes as it goes on.
    replaying: bool,
    /// Whether that run goes on.
    following: bool,
    /// Completeness of each table as last reported, by table.
    complete: BTreeMap<TableId, bool>,
    /// Something changed that completeness depends on.
    recheck: bool,
    /// Which of runs and transactions has its turn, and which queue begins a run.
    turn: usize,
    flow: Vec<(PartitionId, Flow)>,
    scratch: Vec<(u64, Change)>,
}

/// What a sequencer has applied, and what it has to remember of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The servers' watermarks.
    pub watermarks: Watermarks,
    /// Every partition.
    pub partitions: BTreeMap<Partition, AppliedPartition>,
}

impl Applied {
    /// The table in this partition is held otherwise than it is needed from here on, without the
    /// columns that it `lacks`, or not at all: it is complete once it is read anew. Of a partition
    /// that was not read before, what the transactions so far brought is passed over.
    pub fn want_anew(&mut self, partition: &Partition, lacks: Lacks) {
        let Applied { watermarks, partitions } = self;
        if let Some(known) = partitions.get_mut(partition) {
            known.snapshot.doubt();
            known.lacks.extend(lacks);
            return;
        }
        let mut new = AppliedPartition { seen: watermarks.clone(), lacks, ..Default::default() };
        new.snapshot.add();
        for (server, number) in watermarks.iter() {
            new.snapshot.rewritten(&Gtid { server: server.clone(), number });
        }
        partitions.insert(partition.clone(), new);
    }

    /// Whether a table was added here that no snapshot is known to read anew yet
    /// ([`Sequencer::told_positions`]).
    pub fn is_added(&self, partition: &Partition) -> bool {
        self.partitions.get(partition).is_some_and(|known| known.snapshot.is_added())
    }

    /// How far every partition is applied.
    pub fn positions(&self) -> Positions {
        let position = |(partition, applied): (&Partition, &AppliedPartition)| {
            (partition.clone(), applied.position)
        };
        self.partitions.iter().map(position).collect()
    }
}

/// What is applied of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedPartition {
    /// How far.
    pub position: Position,
    /// [`PartitionSpec::end_at_start`]: where an event topic counts as complete.
    pub end_at_start: i64,
    snapshot: Snapshot,
    seen: Watermarks,
    #[serde(default)]
    latest: Latest,
    #[serde(default)]
    letters: Letters,
    #[serde(default, skip_serializing_if = "Forms::is_empty")]
    forms: Forms,
    #[serde(default, skip_serializing_if = "Lacks::is_empty")]
    lacks: Lacks,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    served: BTreeMap<String, String>,
}

/// Whether a partition is to be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Its queue is full.
    Pause,
    /// Its queue has room again.
    Resume,
}

/// Why the order cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// The end of a transaction is not in the transaction topic though a later one's is.
    #[error(
        "topic `{topic}` has changes of transaction {gtid} at offset {offset}, but the transaction \
         topic goes on to {later} without its end: the topics do not belong together or lost \
         records; take a new snapshot into new topics"
    )]
    EndMissing {
        /// The transaction without an end.
        gtid: Box<Gtid>,
        /// The later one that has ended.
        later: Box<Gtid>,
        /// Where its changes are.
        topic: String,
        /// Offset of the first of them.
        offset: i64,
    },
}

impl SequenceError {
    /// Whether both are about the same record, whatever has come since.
    pub fn is_about(&self, other: &SequenceError) -> bool {
        let SequenceError::EndMissing { topic, offset, .. } = self;
        let SequenceError::EndMissing { topic: others, offset: at, .. } = other;
        (topic, offset) == (others, at)
    }
}

/// The transaction that everything waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The transaction.
    pub gtid: Gtid,
    /// Topics that lack changes of it, and how many.
    pub missing: Vec<(String, u64)>,
}

impl Sequencer {
    /// A sequencer of these partitions ([`PartitionId`] is the place in the list), with what was
    /// applied up to their start. A partition of which nothing is known starts at its first record.
    pub fn new(
        plan: Arc<Plan>,
        specs: Vec<PartitionSpec>,
        applied: &Applied,
        bounds: Bounds,
    ) -> Sequencer {
        let is_transactions = |spec: &PartitionSpec| spec.role == Role::Transactions;
        let transactions = specs.iter().position(is_transactions);
        let tables = specs.iter().filter_map(|spec| spec.role.table());
        let complete = tables.map(|table| (table, false)).collect();
        let queue = |spec: PartitionSpec| {
            let known = applied.partitions.get(&spec.partition).cloned().unwrap_or_default();
            Queue::new(spec, known)
        };
        let queues: Vec<Queue> = specs.into_iter().map(queue).collect();
        Sequencer {
            plan,
            replaying: queues.iter().any(Queue::is_short_of_target),
            following: false,
            queues,
            transactions: transactions.map(|at| PartitionId(at as u16)),
            watermarks: applied.watermarks.clone(),
            bounds,
            front: None,
            complete,
            recheck: true,
            turn: 0,
            flow: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes the next record of its partition. Records of a partition come in order; one that was
    /// taken before is ignored.
    pub fn push(&mut self, record: Record) {
        let id = record.partition;
        let queue = &mut self.queues[id.index()];
        if record.offset < queue.end() {
            return;
        }
        queue.push(record);
        self.update_flow(id);
    }

    /// Adds to `into` what can be applied next: one transaction, or a run of records without one.
    /// False when nothing can until more is pushed.
    ///
    /// # Errors
    /// When nothing but the notification of a new snapshot, read late, could let it go on. What was
    /// added counts all the same.
    pub fn release(&mut self, into: &mut Released) -> Result<bool, SequenceError> {
        let before = into.records;
        self.turn = self.turn.wrapping_add(1);
        // Neither a backlog of events nor one of transactions may starve the other, and what fits
        // nowhere must not hold up what explains it: that is an error once nothing else is free.
        let is_runs_turn = self.turn.is_multiple_of(2);
        let first = self.release_part(is_runs_turn, into);
        if into.records == before {
            let then = self.release_part(!is_runs_turn, into);
            if into.records == before && [first?, then?] == [Progress::Blocked; 2] {
                self.make_room(into);
            }
        }
        if self.replaying && !self.following && self.has_caught_up() {
            self.replaying = false;
            self.front = None;
        }
        Ok(self.report_completeness(into) | (into.records > before))
    }

    /// From here on, applies exactly what a run elsewhere has applied: up to these positions, and
    /// nothing where it has none. A table that it does not read is followed all the same with the
    /// transactions that it applies: whoever takes over may need it.
    pub fn follow(&mut self, targets: &Positions) {
        self.aim(targets);
        for queue in &mut self.queues {
            if targets.is_empty() || !matches!(queue.spec.role, Role::Table(_)) {
                queue.spec.target.get_or_insert_default();
            }
        }
        (self.following, self.replaying) = (true, true);
    }

    /// The run that was followed has ended at these positions: replays up to them and goes on.
    pub fn succeed(&mut self, targets: &Positions) {
        self.aim(targets);
        self.following = false;
        self.replaying = !self.has_caught_up();
    }

    /// Whether nothing is left of what was to be replayed or followed so far.
    pub fn has_caught_up(&self) -> bool {
        !self.queues.iter().any(Queue::is_short_of_target)
    }

    fn aim(&mut self, targets: &Positions) {
        for queue in &mut self.queues {
            queue.spec.target = targets.get(&queue.spec.partition).copied();
        }
        // What was not to be had before the former targets may be there before these.
        self.front = None;
    }

    /// Which partitions to stop or go on reading, since the last call.
    pub fn take_flow(&mut self) -> Vec<(PartitionId, Flow)> {
        std::mem::take(&mut self.flow)
    }

    /// Whether what is released was applied by a former run: it changes state, and is published
    /// already.
    pub fn is_replaying(&self) -> bool {
        self.replaying
    }

    /// Whether everything a table holds is applied.
    pub fn is_complete(&self, table: TableId) -> bool {
        self.complete.get(&table).copied().unwrap_or(false)
    }

    /// Captured tables that are complete only once they are read anew.
    pub fn wanting(&self) -> impl Iterator<Item = (TableId, Wanting)> {
        let why = |snapshot: &Snapshot| match snapshot.wanting()? {
            // The connector may not have come there yet.
            Wanting::After(_) if !snapshot.may_be_asked_for(&self.watermarks) => {
                Some(Wanting::Reading { rows: 0 })
            }
            why => Some(why),
        };
        self.queues.iter().filter_map(move |queue| match queue.spec.role {
            Role::Table(table) => Some((table, why(&queue.snapshot)?)),
            _ => None,
        })
    }

    /// What rows of each table lack.
    pub fn lacks(&self) -> impl Iterator<Item = (TableId, &Lacks)> {
        self.queues.iter().filter_map(|queue| Some((queue.spec.role.table()?, &queue.lacks)))
    }

    /// The transaction that is held back because changes of it have not arrived, if any.
    pub fn waiting(&self) -> Option<Waiting> {
        let front = self.front.as_ref()?;
        let missing = front.missing().map(|(id, n)| (self.partition(id).topic.clone(), n));
        Some(Waiting { gtid: front.gtid.clone(), missing: missing.collect() })
    }

    /// The partition with this id.
    pub fn partition(&self, id: PartitionId) -> &Partition {
        &self.queues[id.index()].spec.partition
    }

    /// What the records of the partition with this id are.
    pub fn role(&self, id: PartitionId) -> Role {
        self.queues[id.index()].spec.role
    }

    /// The partitions in the order of their ids, to be told more of.
    pub fn specs_mut(&mut self) -> impl Iterator<Item = &mut PartitionSpec> {
        self.recheck = true;
        self.queues.iter_mut().map(|queue| &mut queue.spec)
    }

    /// The partitions in the order of their ids, with what they hold.
    pub fn specs(&self) -> impl Iterator<Item = &PartitionSpec> {
        self.queues.iter().map(|queue| &queue.spec)
    }

    /// How far every partition is applied.
    pub fn positions(&self) -> Positions {
        self.queues.iter().map(|q| (q.spec.partition.clone(), q.position)).collect()
    }

    /// How far the partitions are applied that a run without this state may be told of. Of a table that
    /// was added changes were passed over that lie behind its position: such a run reads it from its
    /// beginning, up to no position, until a snapshot reads it anew.
    pub fn told_positions(&self) -> Positions {
        let told = self.queues.iter().filter(|queue| !queue.snapshot.is_added());
        told.map(|q| (q.spec.partition.clone(), q.position)).collect()
    }

    /// Whether the partition is one of which no position is told yet.
    pub fn is_added(&self, id: PartitionId) -> bool {
        self.queues[id.index()].snapshot.is_added()
    }

    /// How many of them there are.
    pub fn added(&self) -> usize {
        self.queues.iter().filter(|queue| queue.snapshot.is_added()).count()
    }

    /// All that a sequencer has to know to go on from here.
    pub fn applied(&self) -> Applied {
        let partition = |queue: &Queue| (queue.spec.partition.clone(), queue.applied());
        Applied {
            watermarks: self.watermarks.clone(),
            partitions: self.queues.iter().map(partition).collect(),
        }
    }

    /// The dead letters that stand open, by partition.
    pub fn letters(&self) -> impl Iterator<Item = (PartitionId, &Letters)> {
        (0..).map(PartitionId).zip(self.queues.iter().map(|queue| &queue.letters))
    }

    /// The view that is to answer for a name, for each that a command was about.
    pub fn served(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.queues.iter().flat_map(|queue| &queue.served);
        all.map(|(name, view)| (name.as_str(), view.as_str()))
    }

    /// The servers' watermarks.
    pub fn watermarks(&self) -> &Watermarks {
        &self.watermarks
    }

    /// Records and bytes that wait in all queues.
    pub fn held(&self) -> (usize, usize) {
        self.queues.iter().fold((0, 0), |(n, b), q| (n + q.records.len(), b + q.bytes))
    }

    /// Takes records without a transaction, and duplicates, off the heads.
    /// Releases a run of records without a transaction, or the transaction whose turn it is.
    fn release_part(&mut self, run: bool, into: &mut Released) -> Result<Progress, SequenceError> {
        if !run {
            return self.release_front(into);
        }
        let taken = self.take_run(into);
        into.changes.extend(self.scratch.drain(..).map(|(_, change)| change));
        taken.map(|()| Progress::Blocked)
    }

    fn take_run(&mut self, into: &mut Released) -> Result<(), SequenceError> {
        let mut left = self.bounds.run_records_max;
        let count = self.queues.len();
        let mut misfit = Ok(());
        for step in 0..count {
            let id = PartitionId(((self.turn / 2 + step) % count) as u16);
            let mut is_free = self.head_is_free(id);
            while left > 0 && is_free == Ok(true) {
                self.take_head(id, 0, into);
                left -= 1;
                is_free = self.head_is_free(id);
            }
            misfit = misfit.and(is_free.map(|_| ()));
        }
        misfit
    }

    /// Whether the head of a queue may be applied or dropped by itself.
    fn head_is_free(&self, id: PartitionId) -> Result<bool, SequenceError> {
        let queue = &self.queues[id.index()];
        let Some(head) = queue.records.front() else { return Ok(false) };
        if self.replaying && queue.is_beyond_target(head.offset) {
            return Ok(false);
        }
        if queue.is_lost() {
            return Ok(true);
        }
        if let Some(place) = head.content.place() {
            return match queue.standing(place, &self.watermarks) {
                // A former run, which read the partition, applied it in a part.
                Standing::New => {
                    let is_replayed = self.replaying && queue.spec.target.is_some();
                    Ok(is_replayed && self.is_past_last_end())
                }
                Standing::Applied | Standing::Late => Ok(true),
                Standing::Unended => {
                    let later = self.watermarks.last(&place.gtid);
                    Err(queue.end_missing(place, head.offset, &later))
                }
            };
        }
        Ok(match &head.content {
            // What follows, or that there is no room for it, says that nothing more is told of it.
            Content::Snapshot { of, .. } if queue.snapshot.may_be_late(*of) => {
                let is_same = |record: &Record| matches!(&record.content, Content::Snapshot { of: other, .. } if other == of);
                queue.is_full(&self.bounds) || !queue.records.iter().all(is_same)
            }
            Content::Command(command) => {
                let next = |of: PartitionId| self.queues[of.index()].position.next_offset;
                command.follows().is_none_or(|(of, offset)| next(of) > offset)
            }
            Content::Notice(Notice::ReadBeside { table, .. }) => {
                !self.captured(*table).is_some_and(|id| {
                    let queue = &self.queues[id.index()];
                    // A former run had not come further when it applied this.
                    let goes_on = !self.replaying || queue.is_short_of_target();
                    goes_on && queue.snapshot.is_within_loss(queue.position.next_offset)
                })
            }
            Content::End(end) => self.watermarks.covers(&end.gtid),
            // What the set names is applied once the transaction that brought it is.
            Content::Executed { gtid, .. } => self.watermarks.covers(gtid),
            _ => true,
        })
    }

    /// Whether every transaction that a former run completed is applied.
    fn is_past_last_end(&self) -> bool {
        let topic = self.transactions.map(|topic| &self.queues[topic.index()]);
        topic.is_none_or(|topic| !topic.is_short_of_target())
    }

    fn update_flow(&mut self, id: PartitionId) {
        let change = self.queues[id.index()].flow(&self.bounds);
        self.flow.extend(change.map(|flow| (id, flow)));
    }

    /// Adds tables whose completeness changed; true if there are any. Every release does, so this
    /// is for what was known before the first.
    pub fn report_completeness(&mut self, into: &mut Released) -> bool {
        if !std::mem::take(&mut self.recheck) {
            return false;
        }
        let before = into.completeness.len();
        let untold: Vec<_> = self.queues.iter().filter_map(|q| q.snapshot.untold()).collect();
        for (&table, complete) in &mut self.complete {
            let mut partitions = self.queues.iter().filter(|q| q.spec.role.table() == Some(table));
            let now = partitions.all(|queue| queue.is_complete(&untold));
            if now != *complete {
                *complete = now;
                into.completeness.push((table, now));
            }
        }
        into.completeness.len() > before
    }
}
