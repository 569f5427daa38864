//! The records of one partition that wait to be applied.

use std::collections::{BTreeMap, VecDeque};

use crate::change::Position;

use super::orders::{Latest, Orders};
use super::{AppliedPartition, Bounds, Flow, SequenceError};
use crate::gtid::{Gtid, Watermarks};
use crate::source::letters::Letters;
use crate::source::record::{BinlogPlace, Content, Lacks, PartitionSpec, Place, Record, Role};
use crate::source::rewrites::Forms;
use crate::source::snapshot::Snapshot;

/// What a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its transaction is not applied yet, or not all of it.
    New,
    /// It is applied, and this one was sent twice; or a snapshot contains it.
    Applied,
    /// Its transaction went without it.
    Late,
    /// Transactions after its own are applied, and nothing of its own: whose end never came.
    Unended,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) spec: PartitionSpec,
    pub(super) records: VecDeque<Record>,
    /// Sum of the records' bytes.
    pub(super) bytes: usize,
    /// How far the partition is applied.
    pub(super) position: Position,
    pub(super) snapshot: Snapshot,
    /// Transactions of which the table has seen a change or a TRUNCATE.
    pub(super) seen: Watermarks,
    pub(super) latest: Latest,
    /// Dead letters that stand open.
    pub(super) letters: Letters,
    /// What tables look like, by the statements applied.
    pub(super) forms: Forms,
    /// What some of the table's rows lack.
    pub(super) lacks: Lacks,
    /// The view that is to answer for a name, by the commands applied.
    pub(super) served: BTreeMap<String, String>,
    /// Records that ever left: the number of the head, which does not change as others leave.
    taken: u64,
    /// Paused as far as the reader was told.
    paused: bool,
    /// Holds one large transaction.
    extended: bool,
}

impl Queue {
    pub(super) fn new(spec: PartitionSpec, applied: AppliedPartition) -> Queue {
        let is_cut = applied.position.next_offset < spec.start.next_offset;
        let mut snapshot = applied.snapshot;
        spec.lost.into_iter().for_each(|before| snapshot.lose(before, spec.end_at_start));
        Queue {
            records: VecDeque::new(),
            bytes: 0,
            // What is gone is passed over.
            position: if is_cut { spec.start } else { applied.position },
            snapshot,
            seen: applied.seen,
            latest: applied.latest,
            letters: applied.letters,
            forms: applied.forms,
            lacks: applied.lacks,
            served: applied.served,
            taken: 0,
            paused: false,
            extended: false,
            spec,
        }
    }

    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.bytes as usize;
        self.records.push_back(record);
    }

    /// Takes the head and moves the position behind it.
    pub(super) fn pop(&mut self) -> Option<Record> {
        let record = self.records.pop_front()?;
        self.bytes -= record.bytes as usize;
        self.taken += 1;
        self.position =
            Position { next_offset: record.offset + 1, fingerprint: record.fingerprint };
        Some(record)
    }

    pub(super) fn applied(&self) -> AppliedPartition {
        AppliedPartition {
            position: self.position,
            end_at_start: self.spec.end_at_start,
            snapshot: self.snapshot.clone(),
            seen: self.seen.clone(),
            latest: self.latest.clone(),
            letters: self.letters.clone(),
            forms: self.forms.clone(),
            lacks: self.lacks.clone(),
            served: self.served.clone(),
        }
    }

    /// Whether nothing that is at the head, or will be next, says anything of the table.
    pub(super) fn is_lost(&self) -> bool {
        self.snapshot.is_lost_to(self.records.front().and_then(|record| record.anew))
    }

    /// What a change is, given up to where all transactions are applied.
    pub(super) fn standing(&self, place: &Place, watermarks: &Watermarks) -> Standing {
        if self.snapshot.contains(&place.gtid) {
            return Standing::Applied;
        }
        match self.latest.orders(&place.gtid) {
            Some(orders) if orders.contains(place.table_order) => Standing::Applied,
            _ if !watermarks.covers(&place.gtid) => Standing::New,
            Some(_) => Standing::Late,
            None if self.seen.covers(&place.gtid) => Standing::Applied,
            None => Standing::Unended,
        }
    }

    /// The error that a change's transaction has not ended though a later one has.
    pub(super) fn end_missing(&self, place: &Place, offset: i64, later: &Gtid) -> SequenceError {
        SequenceError::EndMissing {
            gtid: Box::new(place.gtid.clone()),
            later: Box::new(later.clone()),
            topic: self.spec.partition.topic.clone(),
            offset,
        }
    }

    /// What is applied of the transaction that is not.
    pub(super) fn applied_of(&self, gtid: &Gtid) -> Orders {
        self.latest.orders(gtid).cloned().unwrap_or_default()
    }

    /// The first offset that was not pushed.
    pub(super) fn end(&self) -> i64 {
        self.records.back().map_or(self.position.next_offset, |record| record.offset + 1)
    }

    /// Number of the head; see [`Queue::numbered`].
    pub(super) fn head_number(&self) -> u64 {
        self.taken
    }

    /// The record with this number.
    pub(super) fn numbered(&self, number: u64) -> Option<&Record> {
        self.records.get(self.place_of(number)?)
    }

    /// Empties the record with this number: it is a duplicate.
    pub(super) fn ignore(&mut self, number: u64) {
        let Some(record) = self.place_of(number).and_then(|at| self.records.get_mut(at)) else {
            return;
        };
        record.content = Content::Ignored;
        self.bytes -= record.bytes as usize;
        record.bytes = 0;
    }

    /// Whether all that the table holds is applied; see [`Snapshot::is_complete`].
    pub(super) fn is_complete(&self, untold: &[BinlogPlace]) -> bool {
        match self.spec.role {
            Role::Stream(_) => self.position.next_offset >= self.spec.end_at_start,
            _ => self.snapshot.is_complete(untold),
        }
    }

    /// Whether a former run had applied more than is applied now.
    pub(super) fn is_short_of_target(&self) -> bool {
        self.spec.target.is_some_and(|target| self.position.next_offset < target.next_offset)
    }

    /// Whether a former run, if there was one, had not applied the record at this offset.
    pub(super) fn is_beyond_target(&self, offset: i64) -> bool {
        self.spec.target.is_some_and(|target| offset >= target.next_offset)
    }

    fn bytes_max(&self, bounds: &Bounds) -> usize {
        match self.extended {
            true => bounds.transaction_bytes_max.max(bounds.queue_bytes_max),
            false => bounds.queue_bytes_max,
        }
    }

    pub(super) fn is_full(&self, bounds: &Bounds) -> bool {
        self.bytes >= self.bytes_max(bounds)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Lets the queue hold as much as one transaction may have.
    pub(super) fn extend(&mut self) {
        self.extended = true;
    }

    /// The transaction is applied: back to the usual bound. What it went without may still come.
    pub(super) fn end_transaction(&mut self, gtid: &Gtid, incomplete: bool) {
        self.extended = false;
        if incomplete {
            self.seen.raise(gtid);
            self.latest.miss(gtid);
        }
    }

    /// What has to change in the reading of the partition. It resumes at half the bound, so that
    /// the rest lasts until new records arrive.
    pub(super) fn flow(&mut self, bounds: &Bounds) -> Option<Flow> {
        let resume_at =
            if self.extended { self.bytes_max(bounds) } else { bounds.queue_bytes_max / 2 };
        if !self.paused && self.is_full(bounds) {
            self.paused = true;
            Some(Flow::Pause)
        } else if self.paused && self.bytes < resume_at.max(1) {
            self.paused = false;
            Some(Flow::Resume)
        } else {
            None
        }
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.taken)?).ok()
    }
}
