//! A Kafka record as the rest of `source` sees it: where it lies, and what it says once decoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::anew::AnewId;
use super::rewrites::SchemaChange;
use crate::change::{Change, Partition, Position};
use crate::gtid::{Gtid, Watermarks};
use crate::sql::plan::{TableId, ViewId};
use crate::value::Key;

/// Place of a partition among those that the pipeline reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

impl PartitionId {
    /// The place as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A partition to read, what is in it, and from where to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSpec {
    /// The partition.
    pub partition: Partition,
    /// What its records are.
    pub role: Role,
    /// Where reading begins.
    pub start: Position,
    /// What a former run had applied: up to here is replayed before anything new is applied.
    /// `None` for a partition that no former run read.
    pub target: Option<Position>,
    /// The first offset behind what the partition held when reading began. An event topic is
    /// complete when it has been applied up to here.
    pub end_at_start: i64,
    /// Records that had to be read are gone: the table counts only once a snapshot reads it anew
    /// whose number is greater than this.
    pub lost: Option<AnewId>,
}

/// What the records of a partition are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Row changes of a captured table.
    Table(TableId),
    /// Events of a declared stream.
    Stream(TableId),
    /// The end of every transaction, with what it changed.
    Transactions,
    /// Debezium's notifications of snapshots.
    Notifications,
    /// What the server had executed, told by a row that the connector writes every second.
    Heartbeats,
    /// What operators ask of the pipeline.
    Commands,
    /// Statements that changed tables.
    SchemaChanges,
}

impl Role {
    /// The table whose rows the records are of.
    pub fn table(self) -> Option<TableId> {
        match self {
            Role::Table(table) | Role::Stream(table) => Some(table),
            Role::Transactions
            | Role::Notifications
            | Role::Heartbeats
            | Role::Commands
            | Role::SchemaChanges => None,
        }
    }

    /// [`PartitionSpec::end_at_start`] of a partition that ends here now, and had the `former` end
    /// when what is known of it began: an event topic that was complete once stays so.
    pub fn end_at_start(self, end: i64, former: Option<i64>) -> i64 {
        match (self, former) {
            (Role::Stream(_), Some(former)) => former.min(end),
            _ => end,
        }
    }
}

/// One decoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: i64,
    /// Hash of its timestamp and key: recognises it when it is read again. Never 0.
    pub fingerprint: u64,
    /// When it was committed at its origin, in microseconds since 1970; 0 when it does not say.
    pub committed_us: i64,
    /// What it counts towards the bounds of its queue, in bytes.
    pub bytes: u32,
    /// The snapshot that was reading its table anew when it was written.
    pub anew: Option<AnewId>,
    /// What its row lacks; `None` if it has every column.
    pub lacks: Option<Arc<Lacks>>,
    /// What it says.
    pub content: Content,
}

/// Columns that rows are held without, which are NULL in their place, and why. A table that is
/// altered while it is followed is not written any more as the views read it.
pub type Lacks = BTreeMap<Box<str>, Box<str>>;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A change of a transaction.
    Row {
        /// Its place in the transaction.
        place: Place,
        /// The change.
        change: Change,
    },
    /// A row that a snapshot read.
    Snapshot {
        /// The row.
        change: Change,
        /// Where in the snapshot it stands.
        mark: SnapshotMark,
        /// Which snapshot it is of.
        of: BinlogPlace,
    },
    /// All rows of a table are gone, by a statement outside of transactions.
    Truncate {
        /// The table.
        table: TableId,
        /// The statement's own transaction id.
        gtid: Gtid,
    },
    /// An event of a stream.
    Event(Change),
    /// A transaction ended.
    End(Box<TransactionEnd>),
    /// News of a snapshot.
    Notice(Notice),
    /// What the server had executed when the transaction began that says so.
    Executed {
        /// The transaction.
        gtid: Gtid,
        /// `@@gtid_executed`.
        set: Box<str>,
    },
    /// An unreadable record that has become a dead letter.
    Hole(Box<Hole>),
    /// What an operator asks for.
    Command(Box<Command>),
    /// What a statement did to tables.
    SchemaChange(Box<SchemaChange>),
    /// Nothing to apply: a tombstone, a BEGIN, or what we do not follow.
    Ignored,
}

impl Content {
    /// Where in its transaction the record stands, if it is a change of one, readable or not.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Content::Row { place, .. } => Some(place),
            Content::Hole(hole) => hole.place.as_ref(),
            _ => None,
        }
    }

    /// The transaction that changed the record's table by it, if one did.
    pub fn gtid(&self) -> Option<&Gtid> {
        match self {
            Content::Truncate { gtid, .. } => Some(gtid),
            content => content.place().map(|place| &place.gtid),
        }
    }
}

/// What can be told of an unreadable record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hole {
    /// Where in its transaction it stands.
    pub place: Option<Place>,
    /// The row that it is about.
    pub key: Option<Key>,
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A dead letter is to be applied in its place.
    Replay {
        /// The dead letter.
        letter: LetterId,
        /// What it says, or why it still cannot be applied.
        change: Result<Change, Box<str>>,
    },
    /// A dead letter is not waited for any more.
    Drop {
        /// The dead letter.
        letter: LetterId,
    },
    /// Documents are to be written as the state has them, whatever was written before.
    Republish {
        /// Their view.
        view: ViewId,
        /// Their keys.
        keys: Vec<Key>,
    },
    /// Readers of a name are to be answered with the documents of a view.
    Switch {
        /// The name.
        name: String,
        /// The view.
        view: String,
    },
}

impl Command {
    /// The record that must have been applied before, if it is about one.
    pub fn follows(&self) -> Option<(PartitionId, i64)> {
        match self {
            Command::Replay { letter, .. } | Command::Drop { letter } => {
                Some((letter.partition, letter.offset))
            }
            Command::Republish { .. } | Command::Switch { .. } => None,
        }
    }
}

/// Which dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterId {
    /// The partition that the unreadable record lies in.
    pub partition: PartitionId,
    /// Its offset there.
    pub offset: i64,
    /// [`Record::fingerprint`] of it.
    pub fingerprint: u64,
}

/// Where in its transaction a change stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The transaction.
    pub gtid: Gtid,
    /// Number of the change in the transaction, from 1.
    pub total_order: u64,
    /// Number of the change among those of its table in the transaction, from 1.
    pub table_order: u64,
}

/// The end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionEnd {
    /// The transaction.
    pub gtid: Gtid,
    /// Number of changes it made in each table that the pipeline reads.
    pub counts: Vec<(PartitionId, u64)>,
}

/// Where in its snapshot a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMark {
    /// The first of its table.
    First,
    /// In between.
    Inner,
    /// The last of its table (the only one, too).
    Last,
    /// Of an incremental snapshot, which marks neither first nor last.
    Incremental,
}

/// A place in the binary log, of which a snapshot from nothing is the state: so it tells one attempt
/// from another. Ordered as in the log of one server; another server's are in no order to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BinlogPlace {
    /// Number of the file.
    pub file: u64,
    /// Bytes into it.
    pub position: u64,
}

impl BinlogPlace {
    /// The place in a file of this name, which ends in its number: `mysql-bin.000017`.
    pub fn new(file: &str, position: u64) -> Option<BinlogPlace> {
        let (_, number) = file.rsplit_once('.')?;
        Some(BinlogPlace { file: number.parse().ok()?, position })
    }
}

/// News of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Tables are being read from nothing.
    Reading {
        /// Which snapshot it is.
        of: BinlogPlace,
        /// All tables that it reads.
        tables: Vec<TableId>,
        /// The transactions that it contains.
        contains: Watermarks,
    },
    /// A table was read to its end.
    Read {
        /// Which snapshot it is.
        of: BinlogPlace,
        /// The table.
        table: TableId,
        /// Rows read.
        rows: u64,
    },
    /// Tables are going to be read anew.
    ReadingAnew {
        /// Which snapshot it is.
        id: AnewId,
        /// The tables.
        tables: Vec<TableId>,
        /// The transactions that had been read by then: everything in them is in what it reads.
        contains: Watermarks,
    },
    /// A table was read to its end by an incremental snapshot.
    ReadBeside {
        /// The table.
        table: TableId,
        /// Rows read.
        rows: u64,
        /// Which, if it read the table anew.
        anew: Option<AnewId>,
        /// The transactions that had been read by then.
        contains: Watermarks,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_an_event_topic_a_former_end_counts() {
        let stream = Role::Stream(TableId(0));
        assert_eq!(
            [Some(5), Some(9), None].map(|former| stream.end_at_start(7, former)),
            [5, 7, 7]
        );
        // Of others it tells how much there is to read.
        assert_eq!(Role::Table(TableId(0)).end_at_start(7, Some(5)), 7);
    }
}
