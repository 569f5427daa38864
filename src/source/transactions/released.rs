//! What a sequencer hands over to be applied.

use std::collections::BTreeMap;

use crate::change::{Change, Position};
use crate::gtid::Watermarks;
use crate::source::letters::Letter;
use crate::source::record::{Lacks, LetterId, PartitionId};
use crate::sql::plan::{TableId, ViewId};
use crate::value::Key;

/// What may be applied in one step, in this order. Releases add up: the changes of one transaction
/// are always added together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Row changes, in the order of the binlog.
    pub changes: Vec<Change>,
    /// How far the partitions that moved are applied with them.
    pub positions: BTreeMap<PartitionId, Position>,
    /// The servers' watermarks that rose.
    pub watermarks: Watermarks,
    /// What a server had executed, all of which is applied or lies before the snapshot.
    pub executed: Option<Box<str>>,
    /// Commit time of the newest change, in microseconds since 1970; 0 if none says.
    pub committed_us: i64,
    /// Tables that became complete (true) or went back to filling (false), in order.
    pub completeness: Vec<(TableId, bool)>,
    /// Tables whose rows lack other columns than before: what some lack now.
    pub lacks: BTreeMap<TableId, Lacks>,
    /// Records taken off the queues.
    pub records: u64,
    /// Transactions among them.
    pub transactions: u64,
    /// Duplicates dropped.
    pub duplicates: u64,
    /// Dead letters passed.
    pub holes: u64,
    /// Transactions applied although changes of them are missing.
    pub incomplete: u64,
    /// Parts of transactions that were applied before the rest.
    pub parts: u64,
    /// Dead letters that opened, were refused a replay, or closed (`None`), by partition and
    /// offset.
    pub letters: BTreeMap<(PartitionId, i64), Option<Letter>>,
    /// Partitions of which another number of dead letters is not followed.
    pub beyond: Vec<PartitionId>,
    /// Commands applied, with what came of each.
    pub commands: Vec<Obeyed>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obeyed {
    /// A dead letter was applied in its place.
    Replayed(LetterId),
    /// A dead letter still cannot be applied.
    Refused(LetterId, Box<str>),
    /// Nothing is waited for any more.
    Dropped(LetterId),
    /// There was nothing to do: the row is certain since.
    Settled(LetterId),
    /// Documents are to be written again.
    Republished {
        /// Their view.
        view: ViewId,
        /// Their keys.
        keys: Vec<Key>,
    },
    /// This view is to answer for the name.
    Switched {
        /// The name.
        name: String,
        /// The view.
        view: String,
    },
    /// More names are not remembered: nothing changes for this one.
    OneTooMany {
        /// The name.
        name: String,
    },
}

impl Released {
    /// Whether nothing was released.
    pub fn is_empty(&self) -> bool {
        self.records == 0 && self.completeness.is_empty()
    }
}
