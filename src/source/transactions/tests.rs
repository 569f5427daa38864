//! Single rules of the order, each on a few records.

mod adding;
mod following;
mod lacking;
mod losing;
mod rewriting;

use super::*;
use crate::change::Op;
use crate::source::record::{BinlogPlace, Hole, Notice, Place, SnapshotMark, TransactionEnd};
use crate::value::{Key, Row, Value};

const ORDERS: PartitionId = PartitionId(0);
const ITEMS: PartitionId = PartitionId(1);
const EVENTS: PartitionId = PartitionId(2);
const TRANSACTIONS: PartitionId = PartitionId(3);
const NOTICES: PartitionId = PartitionId(4);

/// A snapshot that reads a table anew.
const ANEW: u128 = 17;

pub(super) const BOUNDS: Bounds =
    Bounds { queue_bytes_max: 1 << 20, transaction_bytes_max: 1 << 20, run_records_max: 100 };

/// A sequencer with the next offset of each partition.
struct World {
    sequencer: Sequencer,
    next: [i64; 6],
    released: Released,
}

fn specs() -> Vec<PartitionSpec> {
    let roles = [
        ("p.d.orders", Role::Table(TableId(0))),
        ("p.d.items", Role::Table(TableId(1))),
        ("events", Role::Stream(TableId(2))),
        ("p.transaction", Role::Transactions),
        ("p.notifications", Role::Notifications),
    ];
    let spec = |(topic, role): (&str, Role)| PartitionSpec {
        partition: Partition { topic: topic.to_owned(), number: 0 },
        role,
        start: Position::default(),
        target: None,
        end_at_start: 0,
        lost: None,
    };
    roles.into_iter().map(spec).collect()
}

impl World {
    fn new() -> World {
        World::with(specs(), BOUNDS)
    }

    fn with(specs: Vec<PartitionSpec>, bounds: Bounds) -> World {
        World {
            sequencer: Sequencer::new(Arc::default(), specs, &Applied::default(), bounds),
            next: [0; 6],
            released: Released::default(),
        }
    }

    /// While a snapshot reads the table anew.
    fn push_anew(&mut self, partition: PartitionId, content: Content) -> &mut World {
        let offset = self.next[partition.index()];
        self.next[partition.index()] += 1;
        self.sequencer.push(Record { anew: Some(ANEW), ..record(partition, offset, content) });
        self
    }

    fn push(&mut self, partition: PartitionId, content: Content) -> &mut World {
        let offset = self.next[partition.index()];
        self.next[partition.index()] += 1;
        self.sequencer.push(record(partition, offset, content));
        self
    }

    /// Everything that can be released now, as the numbers of the changes.
    fn changes(&mut self) -> Vec<u64> {
        let mut released = Released::default();
        while self.sequencer.release(&mut released).unwrap() {}
        let numbers = released.changes.iter().map(number_of).collect();
        self.released = released;
        numbers
    }

    fn error(&mut self) -> SequenceError {
        let mut released = Released::default();
        loop {
            match self.sequencer.release(&mut released) {
                Ok(released) => assert!(released, "nothing more to release and no error"),
                Err(error) => return error,
            }
        }
    }
}

pub(super) fn record(partition: PartitionId, offset: i64, content: Content) -> Record {
    let fingerprint = offset as u64 + 1000;
    Record {
        partition,
        offset,
        fingerprint,
        committed_us: offset,
        bytes: 100,
        anew: None,
        lacks: None,
        content,
    }
}

pub(super) fn gtid(number: u64) -> Gtid {
    Gtid { server: "00000000-0000-0000-0000-000000000001".parse().unwrap(), number }
}

pub(super) fn upsert(table: u16, number: u64) -> Change {
    let row = Row::from_bytes(Box::new(number.to_le_bytes()));
    Change { table: TableId(table), op: Op::Upsert(row) }
}

/// The number that a change was made with; 0 for TRUNCATE.
pub(super) fn number_of(change: &Change) -> u64 {
    match &change.op {
        Op::Upsert(row) => u64::from_le_bytes(row.as_bytes().try_into().unwrap()),
        Op::Delete(_) | Op::Truncate => 0,
    }
}

pub(super) fn row(transaction: u64, total: u64, order: u64, change: Change) -> Content {
    let place = Place { gtid: gtid(transaction), total_order: total, table_order: order };
    Content::Row { place, change }
}

pub(super) fn hole(place: Option<Place>) -> Content {
    Content::Hole(Box::new(Hole { place, key: None }))
}

pub(super) fn end(transaction: u64, counts: &[(PartitionId, u64)]) -> Content {
    let counts = counts.to_vec();
    Content::End(Box::new(TransactionEnd { gtid: gtid(transaction), counts }))
}

fn event(number: u64) -> Content {
    Content::Event(upsert(2, number))
}

fn snapshot(number: u64, mark: SnapshotMark) -> Content {
    snapshot_of(1, number, mark)
}

fn snapshot_of(attempt: u64, number: u64, mark: SnapshotMark) -> Content {
    Content::Snapshot { change: upsert(0, number), mark, of: place(attempt) }
}

fn place(attempt: u64) -> BinlogPlace {
    BinlogPlace { file: 1, position: attempt }
}

fn reading(attempt: u64, tables: &[u16], contains: Option<u64>) -> Content {
    let tables = tables.iter().copied().map(TableId).collect();
    let contains = contains.map(|number| (gtid(number).server, number)).into_iter().collect();
    Content::Notice(Notice::Reading { of: place(attempt), tables, contains })
}

fn read(attempt: u64, table: u16, rows: u64) -> Content {
    Content::Notice(Notice::Read { of: place(attempt), table: TableId(table), rows })
}

#[test]
fn a_transaction_waits_for_its_end_and_all_its_changes() {
    let mut world = World::new();
    world.push(TRANSACTIONS, Content::Ignored);
    world.push(ORDERS, row(1, 2, 1, upsert(0, 12)));
    assert!(world.changes().is_empty());
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 1), (ITEMS, 2)]));
    world.push(ITEMS, row(1, 1, 1, upsert(1, 11)));
    assert!(world.changes().is_empty());
    let waiting = world.sequencer.waiting().unwrap();
    assert_eq!(waiting, Waiting { gtid: gtid(1), missing: vec![("p.d.items".to_owned(), 1)] });
    world.push(ITEMS, row(1, 3, 2, upsert(1, 13)));
    assert_eq!(world.changes(), [11, 12, 13], "in the order of the transaction");
    assert_eq!(world.released.transactions, 1);
    assert_eq!(world.released.watermarks.number(&gtid(1).server), 1);
    assert_eq!(world.released.positions[&ITEMS], Position { next_offset: 2, fingerprint: 1001 });
    assert_eq!(world.sequencer.held(), (0, 0));
}

#[test]
fn what_has_no_transaction_waits_behind_held_changes_of_its_table_only() {
    let mut world = World::new();
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
    world.push(ORDERS, Content::Truncate { table: TableId(0), gtid: gtid(2) });
    world.push(EVENTS, event(7));
    assert_eq!(world.changes(), [7]);
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 1)]));
    assert_eq!(world.changes(), [1, 0]);
}

#[test]
fn transactions_of_no_table_of_ours_only_move_the_watermark() {
    let mut world = World::new();
    world.push(TRANSACTIONS, Content::Ignored).push(TRANSACTIONS, end(5, &[]));
    assert!(world.changes().is_empty());
    assert_eq!(world.sequencer.watermarks().number(&gtid(1).server), 5);
    assert_eq!(world.sequencer.positions().values().map(|p| p.next_offset).sum::<i64>(), 2);
}

#[test]
fn what_the_connector_sends_twice_counts_once() {
    let mut world = World::new();
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
    world.push(ORDERS, row(2, 1, 1, upsert(0, 21)));
    // It dies in the middle of transaction 2 and begins again with transaction 1.
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
    world.push(ORDERS, row(2, 1, 1, upsert(0, 21)));
    world.push(ORDERS, row(2, 2, 2, upsert(0, 22)));
    for n in [1, 2, 1, 2] {
        world.push(TRANSACTIONS, end(n, &[(ORDERS, n)]));
    }
    assert_eq!(world.changes(), [1, 21, 22]);
    assert_eq!(world.released.duplicates, 2);
    assert_eq!(world.sequencer.held(), (0, 0));
}

#[test]
fn a_truncate_is_no_duplicate_because_other_tables_are_further() {
    let mut world = World::new();
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
    world.push(ITEMS, row(3, 1, 1, upsert(1, 3)));
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 1)]));
    world.push(TRANSACTIONS, end(3, &[(ITEMS, 1)]));
    assert_eq!(world.changes(), [1, 3]);
    // Transaction 3 is applied, yet this is the first time that TRUNCATE 2 is seen.
    world.push(ORDERS, Content::Truncate { table: TableId(0), gtid: gtid(2) });
    assert_eq!(world.changes(), [0]);
    world.push(ORDERS, row(4, 1, 1, upsert(0, 4)));
    world.push(TRANSACTIONS, end(4, &[(ORDERS, 1)]));
    world.push(ORDERS, Content::Truncate { table: TableId(0), gtid: gtid(2) });
    assert_eq!(world.changes(), [4], "sent again, it must not take the row of 4");
    assert_eq!(world.released.duplicates, 1);
}

#[test]
fn a_dead_letter_of_a_known_transaction_counts_as_its_change() {
    let mut world = World::new();
    let place = Place { gtid: gtid(1), total_order: 1, table_order: 1 };
    world.push(ORDERS, hole(None));
    world.push(ORDERS, hole(Some(place)));
    world.push(ORDERS, row(1, 2, 2, upsert(0, 12)));
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 2)]));
    assert_eq!(world.changes(), [12]);
    assert_eq!((world.released.holes, world.released.incomplete), (2, 0));
}

#[test]
fn a_lost_change_is_certain_once_a_later_one_stands_there() {
    let mut world = World::new();
    world.push(ORDERS, row(1, 1, 1, upsert(0, 11)));
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 2)]));
    assert!(world.changes().is_empty());
    world.push(ORDERS, row(2, 1, 1, upsert(0, 21)));
    assert_eq!(world.changes(), [11]);
    assert_eq!(world.released.incomplete, 1);
    world.push(TRANSACTIONS, end(2, &[(ORDERS, 1)]));
    assert_eq!(world.changes(), [21]);
}

/// Also after a start from there.
#[test]
fn what_a_transaction_went_without_is_applied_when_it_comes() {
    let mut world = World::new();
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 1)]));
    world.push(ORDERS, row(3, 1, 1, upsert(0, 3)));
    world.push(TRANSACTIONS, end(2, &[(ORDERS, 1)]));
    assert_eq!(world.changes(), [1]);
    assert_eq!(world.sequencer.watermarks().number(&gtid(2).server), 2);
    let applied = world.sequencer.applied();
    world.sequencer = Sequencer::new(Arc::default(), specs(), &applied, BOUNDS);
    world.next[ORDERS.index()] = 1;
    world.push(ORDERS, row(2, 1, 1, upsert(0, 2)));
    world.push(ORDERS, row(3, 1, 1, upsert(0, 3)));
    world.push(TRANSACTIONS, end(3, &[(ORDERS, 1)]));
    assert_eq!(world.changes(), [2, 3]);
}

/// Whether its change is there before a later transaction is applied or comes afterwards.
#[test]
fn a_change_whose_end_was_lost_is_no_duplicate() {
    for early in [true, false] {
        let mut world = World::new();
        let change = || row(1, 1, 1, upsert(0, 1));
        if early {
            world.push(ORDERS, change());
        }
        world.push(TRANSACTIONS, hole(None)).push(TRANSACTIONS, end(2, &[]));
        if !early {
            assert!(world.changes().is_empty());
            world.push(ORDERS, change());
        }
        let error = world.error();
        assert!(matches!(&error, SequenceError::EndMissing { offset: 0, .. }), "{error}");
    }
}

/// Of another server nothing is certain before its end is there: it may lie before.
#[test]
fn another_servers_change_proves_nothing_without_its_end() {
    let other =
        || Gtid { server: "00000000-0000-0000-0000-000000000002".parse().unwrap(), number: 5 };
    let place = Place { gtid: other(), total_order: 1, table_order: 1 };
    let mut world = World::new();
    world.push(ORDERS, Content::Row { place, change: upsert(0, 5) });
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 1)]));
    assert!(world.changes().is_empty());
    assert_eq!(world.sequencer.watermarks(), &Watermarks::default());
    let counts = vec![(ORDERS, 1)];
    world.push(TRANSACTIONS, Content::End(Box::new(TransactionEnd { gtid: other(), counts })));
    assert_eq!(world.changes(), [5]);
    assert_eq!(world.released.incomplete, 1);
}

/// Whatever comes first: what stops it may be explained by what is free to go.
#[test]
fn what_fits_nowhere_holds_up_nothing_else() {
    for turns in 0..4 {
        let mut world = World::new();
        for _ in 0..turns {
            world.sequencer.release(&mut world.released).unwrap();
        }
        world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
        world.push(TRANSACTIONS, end(2, &[(ORDERS, 1)]));
        world.push(NOTICES, reading(1, &[0], None));
        assert_eq!(world.sequencer.release(&mut world.released), Ok(true));
        let error = world.error();
        assert!(matches!(&error, SequenceError::EndMissing { offset: 0, .. }), "{error}");
    }
}

#[test]
fn a_heartbeat_that_is_sent_again_tells_nothing() {
    let mut specs = specs();
    specs[1].role = Role::Heartbeats;
    let mut world = World::with(specs, BOUNDS);
    let beat =
        |number| Content::Executed { gtid: gtid(number), set: format!("set {number}").into() };
    world.push(TRANSACTIONS, end(1, &[])).push(TRANSACTIONS, end(2, &[]));
    world.push(ITEMS, beat(1)).push(ITEMS, beat(2)).push(ITEMS, beat(1));
    world.changes();
    assert_eq!(world.released.executed.as_deref(), Some("set 2"));
}

#[test]
fn a_change_whose_transaction_never_ends_stops_everything() {
    let mut world = World::new();
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
    world.push(TRANSACTIONS, end(2, &[(ORDERS, 1)]));
    let error = world.error();
    assert!(matches!(&error, SequenceError::EndMissing { offset: 0, .. }), "{error}");
}

#[test]
fn queues_pause_and_a_larger_transaction_gets_room_up_to_its_bound() {
    let bounds = Bounds { queue_bytes_max: 300, transaction_bytes_max: 500, run_records_max: 9 };
    let mut world = World::with(specs(), bounds);
    for order in 1..=3 {
        world.push(ORDERS, row(1, order, order, upsert(0, order)));
    }
    assert!(world.changes().is_empty());
    assert_eq!(world.sequencer.take_flow(), [(ORDERS, Flow::Pause)]);
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 4)]));
    assert!(world.changes().is_empty());
    assert_eq!(world.sequencer.take_flow(), [(ORDERS, Flow::Resume)]);
    world.push(ORDERS, row(1, 4, 4, upsert(0, 4)));
    assert_eq!(world.changes(), [1, 2, 3, 4]);
}

/// It is larger than what is held: what is there goes, the watermark rises with the end.
#[test]
fn a_transaction_beyond_its_bound_is_applied_in_parts() {
    let bounds = Bounds { queue_bytes_max: 300, transaction_bytes_max: 500, run_records_max: 9 };
    let mut world = World::with(specs(), bounds);
    world.push(TRANSACTIONS, end(1, &[(ITEMS, 1), (ORDERS, 8)]));
    world.push(ITEMS, row(1, 2, 1, upsert(1, 20)));
    for order in 1..=4 {
        world.push(ORDERS, row(1, order, order, upsert(0, order)));
        assert!(world.changes().is_empty());
    }
    world.push(ORDERS, row(1, 5, 5, upsert(0, 5)));
    assert_eq!(world.changes(), [1, 20, 2, 3, 4, 5]);
    assert_eq!((world.released.parts, world.released.transactions), (1, 0));
    assert_eq!(world.sequencer.watermarks(), &Watermarks::default());
    // The connector dies and sends it again.
    for order in 1..=6 {
        world.push(ORDERS, row(1, order, order, upsert(0, order)));
    }
    world.push(ITEMS, row(1, 2, 1, upsert(1, 20)));
    assert!(world.changes().is_empty());
    let applied = world.sequencer.applied();
    world.push(ORDERS, row(1, 7, 7, upsert(0, 7))).push(ORDERS, row(1, 8, 8, upsert(0, 8)));
    assert_eq!(world.changes(), [6, 7, 8]);
    assert_eq!((world.released.parts, world.released.transactions), (0, 1));
    assert_eq!(world.sequencer.held(), (0, 0));

    // A start in its middle; what was held is read again.
    world.sequencer = Sequencer::new(Arc::default(), specs(), &applied, bounds);
    world.next[ORDERS.index()] = 5;
    world.next[ITEMS.index()] = 1;
    world.next[TRANSACTIONS.index()] = 0;
    world.push(TRANSACTIONS, end(1, &[(ITEMS, 1), (ORDERS, 8)]));
    for order in 1..=8 {
        world.push(ORDERS, row(1, order, order, upsert(0, order)));
    }
    assert_eq!(world.changes(), [6, 7, 8]);
    assert_eq!(world.sequencer.watermarks().number(&gtid(1).server), 1);
}

#[test]
fn completeness_is_reported_once_it_changes() {
    let mut streams = specs();
    streams[2].end_at_start = 2;
    let mut world = World::with(streams, BOUNDS);
    world.push(NOTICES, reading(1, &[0, 1], None)).push(NOTICES, read(1, 0, 2));
    world.push(ORDERS, snapshot(1, SnapshotMark::First)).push(EVENTS, event(1));
    world.push(NOTICES, read(1, 1, 0));
    world.changes();
    assert_eq!(world.released.completeness, [(TableId(1), true)]);
    world.push(EVENTS, event(2)).push(ORDERS, snapshot(2, SnapshotMark::Last));
    world.changes();
    let tables: Vec<_> = [0, 2].map(|table| (TableId(table), true)).into();
    assert_eq!(world.released.completeness, tables);
    // A snapshot from nothing: the old rows go, and the table is filling until it is read again.
    world.push(NOTICES, reading(2, &[0], None));
    world.push(ORDERS, snapshot_of(2, 3, SnapshotMark::First));
    assert_eq!(world.changes(), [0, 3]);
    assert_eq!(world.released.completeness, [(TableId(0), false)]);
}

#[test]
fn a_table_that_a_new_snapshot_finds_empty_is_emptied() {
    for notice_first in [true, false] {
        let mut world = World::new();
        world.push(NOTICES, reading(1, &[0], None)).push(ORDERS, snapshot(1, SnapshotMark::Last));
        assert_eq!(world.changes(), [1]);
        let transaction = |world: &mut World, number| {
            world.push(ORDERS, row(number, 1, 1, upsert(0, number)));
            world.push(TRANSACTIONS, end(number, &[(ORDERS, 1)]));
            world.changes()
        };
        // What it contains is void, whether it comes before or after.
        if !notice_first {
            assert_eq!(transaction(&mut world, 5), [5]);
        }
        world.push(NOTICES, reading(2, &[0], Some(5))).push(NOTICES, read(2, 0, 0));
        assert_eq!(world.changes(), [0]);
        if notice_first {
            assert_eq!(transaction(&mut world, 5), [0u64; 0]);
        }
        assert_eq!(transaction(&mut world, 6), [6]);
        assert!(world.sequencer.is_complete(TableId(0)));
    }
}

#[test]
fn what_a_new_snapshot_contains_is_not_waited_for() {
    let mut world = World::new();
    world.push(ORDERS, snapshot(1, SnapshotMark::Last)).push(ITEMS, Content::Ignored);
    // Of one transaction the end is lost, of another a change.
    world.push(ORDERS, row(5, 1, 1, upsert(0, 5)));
    world.push(TRANSACTIONS, end(6, &[(ITEMS, 1)]));
    world.push(ORDERS, snapshot_of(2, 2, SnapshotMark::Last));
    world.push(ORDERS, row(8, 1, 1, upsert(0, 8))).push(TRANSACTIONS, end(8, &[(ORDERS, 1)]));
    assert_eq!(world.changes(), [1]);
    world.push(NOTICES, reading(2, &[0, 1], Some(7)));
    assert_eq!(world.changes(), [0, 2, 8]);
    assert_eq!(world.released.incomplete, 0);
}

#[test]
fn a_table_that_is_read_anew_is_complete_once_something_follows() {
    let mut world = World::new();
    world.push(NOTICES, reading(1, &[0], None)).push(ORDERS, snapshot(1, SnapshotMark::Last));
    assert_eq!(world.changes(), [1]);
    let read = |number| Content::Snapshot {
        change: upsert(0, number),
        mark: SnapshotMark::Incremental,
        of: place(2),
    };
    world.push_anew(ORDERS, read(7)).push_anew(ORDERS, read(8));
    assert_eq!(world.changes(), [0, 7, 8]);
    assert_eq!(world.released.completeness, [(TableId(0), false)]);
    let notice = Notice::ReadBeside {
        table: TableId(0),
        rows: 2,
        anew: Some(ANEW),
        contains: Watermarks::default(),
    };
    world.push(NOTICES, starts_anew()).push(NOTICES, Content::Notice(notice));
    assert_eq!(world.changes(), [0u64; 0]);
    assert!(!world.sequencer.is_complete(TableId(0)));
    world.push(ORDERS, read(7));
    assert_eq!(world.changes(), [7]);
    assert!(world.sequencer.is_complete(TableId(0)));
}

/// A snapshot begins to read both tables anew.
fn starts_anew() -> Content {
    let tables = vec![TableId(0), TableId(1)];
    Content::Notice(Notice::ReadingAnew { id: ANEW, tables, contains: Watermarks::default() })
}

fn read_anew(table: u16, rows: u64) -> Content {
    Content::Notice(Notice::ReadBeside {
        table: TableId(table),
        rows,
        anew: Some(ANEW),
        contains: Watermarks::default(),
    })
}

#[test]
fn a_misfit_is_the_same_whatever_has_come_since() {
    let error = |later, offset| SequenceError::EndMissing {
        gtid: Box::new(gtid(1)),
        later: Box::new(gtid(later)),
        topic: "p.d.orders".to_owned(),
        offset,
    };
    assert!(error(2, 7).is_about(&error(3, 7)) && !error(2, 7).is_about(&error(2, 8)));
}

#[test]
fn an_empty_stream_is_complete_at_once() {
    let mut world = World::new();
    assert!(world.changes().is_empty());
    assert_eq!(world.released.completeness, [(TableId(2), true)]);
}

#[test]
fn keys_of_deletes_pass_through() {
    let mut world = World::new();
    let mut key = Key::new();
    key.push(&Value::Int(5));
    let delete = Change { table: TableId(0), op: Op::Delete(key) };
    world.push(ORDERS, row(1, 1, 1, delete.clone())).push(ORDERS, Content::Ignored);
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 1)]));
    world.changes();
    assert_eq!(world.released.changes, [delete]);
    assert_eq!(world.released.positions[&ORDERS].next_offset, 2, "the tombstone went, too");
}
