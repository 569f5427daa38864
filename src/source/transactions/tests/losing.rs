//! Tables of which records are gone before they were read.

use super::*;

/// Specs of a run whose topic of orders has lost records.
fn lossy_specs() -> Vec<PartitionSpec> {
    let mut specs = specs();
    let from = |next_offset| Position { next_offset, fingerprint: 0 };
    for (of, start) in [(ORDERS, 10), (ITEMS, 0), (TRANSACTIONS, 20)] {
        specs[of.index()].start = from(start);
    }
    for table in [ORDERS, ITEMS] {
        specs[table.index()].lost = Some(ANEW - 1);
    }
    specs
}

fn lossy_world(applied: &Applied) -> World {
    let mut world = World::with(lossy_specs(), BOUNDS);
    if *applied != Applied::default() {
        let specs = lossy_specs().into_iter().map(|spec| PartitionSpec { lost: None, ..spec });
        world.sequencer = Sequencer::new(Arc::default(), specs.collect(), applied, BOUNDS);
    }
    world.next = [10, 0, 0, 20, 0, 0];
    world
}

#[test]
fn what_a_lost_table_s_topic_still_has_is_passed_over_until_it_is_read_anew() {
    let read = |table, number| Content::Snapshot {
        change: upsert(table, number),
        mark: SnapshotMark::Incremental,
        of: place(2),
    };
    let change = |number| row(number, 1, 1, upsert(0, number));
    // The first record of the new snapshot is a row that it read, a change of a later transaction,
    // or one of a transaction that began before it.
    for (first, expected) in
        [(read(0, 7), &[0, 7, 8][..]), (change(6), &[0, 6, 8]), (change(5), &[0, 8])]
    {
        let mut world = lossy_world(&Applied::default());
        let orders = world.sequencer.partition(ORDERS).clone();
        assert_eq!(world.sequencer.positions()[&orders].next_offset, 10);
        let wanting: Vec<_> = world.sequencer.wanting().collect();
        assert_eq!(wanting, [0, 1].map(|table| (TableId(table), Wanting::After(ANEW - 1))));
        // Of one transaction the end is gone, of another a change; rows and holes mean nothing.
        world.push(ORDERS, change(3)).push(ORDERS, snapshot(3, SnapshotMark::Last));
        world.push(ORDERS, Content::Hole(Box::default()));
        world.push(ORDERS, row(5, 2, 2, upsert(0, 5))).push(ITEMS, row(5, 3, 1, upsert(1, 5)));
        world.push(TRANSACTIONS, end(5, &[(ORDERS, 2), (ITEMS, 1)]));
        assert_eq!(world.changes(), [0u64; 0]);
        assert_eq!((world.released.holes, world.released.records), (0, 6));
        // Nor do they after another start.
        let mut world = lossy_world(&world.sequencer.applied());
        (world.next[ORDERS.index()], world.next[ITEMS.index()]) = (14, 1);
        world.next[TRANSACTIONS.index()] = 21;
        world.push(TRANSACTIONS, end(6, &[(ORDERS, u64::from(first == change(6)))]));
        assert_eq!(world.changes(), [0u64; 0], "it may still come");
        world.push_anew(ITEMS, read(1, 9));
        assert_eq!(world.changes(), [0, 9]);
        world.push_anew(ORDERS, first).push_anew(ORDERS, read(0, 8));
        assert_eq!(world.changes(), expected);
        assert_eq!(world.released.incomplete, 0);
        assert_eq!(world.sequencer.watermarks().last(&gtid(1)), gtid(6));
        // What it changed counts in the place of the row that was left out.
        world.push(NOTICES, starts_anew());
        world.push(NOTICES, read_anew(0, expected.len() as u64 - 1)).push(NOTICES, read_anew(1, 1));
        world.push(ORDERS, read(0, 8)).push(ITEMS, read(1, 9));
        world.changes();
        assert_eq!(world.sequencer.wanting().next(), None);
        assert!([0, 1].iter().all(|table| world.sequencer.is_complete(TableId(*table))));
    }
}
