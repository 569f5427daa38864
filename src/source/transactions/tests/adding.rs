//! Tables that are added to those that are read, and what their topics say of before.

use super::*;

/// The snapshot that reads the added table anew.
const LATER: u128 = ANEW + 1;

fn read_row(table: u16, mark: SnapshotMark) -> Content {
    Content::Snapshot { change: upsert(table, 5), mark, of: place(1) }
}

fn reading_anew(id: u128, table: u16) -> Content {
    let contains = [(gtid(1).server, 1)].into_iter().collect();
    Content::Notice(Notice::ReadingAnew { id, tables: vec![TableId(table)], contains })
}

fn read_anew(id: u128, table: u16) -> Content {
    let contains = [(gtid(1).server, 1)].into_iter().collect();
    let (table, anew) = (TableId(table), Some(id));
    Content::Notice(Notice::ReadBeside { table, rows: 1, anew, contains })
}

impl World {
    fn push_of(&mut self, id: u128, partition: PartitionId, content: Content) {
        let offset = self.next[partition.index()];
        self.next[partition.index()] += 1;
        self.sequencer.push(Record { anew: Some(id), ..record(partition, offset, content) });
    }

    fn completeness(&mut self) -> [bool; 2] {
        self.changes();
        [0, 1].map(|table| self.sequencer.is_complete(TableId(table)))
    }

    fn why(&self, table: u16) -> Option<Wanting> {
        self.sequencer.wanting().find(|(of, _)| of.0 == table).map(|(_, why)| why)
    }
}

/// Orders were read anew, which is over; then items are added.
fn world() -> World {
    let mut world = World::new();
    world.push(TRANSACTIONS, end(1, &[])).push(NOTICES, reading_anew(ANEW, 0));
    world.push_of(ANEW, ORDERS, read_row(0, SnapshotMark::Incremental));
    world.push(ORDERS, row(2, 1, 1, upsert(0, 1))).push(TRANSACTIONS, end(2, &[(ORDERS, 1)]));
    world.push(NOTICES, read_anew(ANEW, 0));
    assert_eq!(world.completeness(), [true, false]);
    let mut applied = world.sequencer.applied();
    let items = world.sequencer.partition(ITEMS).clone();
    applied.partitions.remove(&items);
    applied.want_anew(&items, Lacks::new());
    world.sequencer = Sequencer::new(Arc::default(), specs(), &applied, BOUNDS);
    world
}

#[test]
fn what_an_added_table_s_topic_has_of_before_makes_no_other_incomplete() {
    for is_told_first in [true, false] {
        let mut world = world();
        world.push(ITEMS, read_row(1, SnapshotMark::Last));
        world.push(ITEMS, row(1, 1, 1, upsert(1, 1)));
        assert_eq!(world.completeness(), [true, false]);
        assert_eq!(world.why(1), Some(Wanting::After(0)));
        // Somebody read it anew before; that nobody tells again.
        world.push_of(3, ITEMS, read_row(1, SnapshotMark::Incremental));
        assert_eq!(world.completeness(), [true, false]);
        assert_eq!(world.why(1), Some(Wanting::After(0)), "it is not waited for");
        let items = world.sequencer.partition(ITEMS).clone();
        assert!(!world.sequencer.told_positions().contains_key(&items));
        // After another start, too.
        let applied = world.sequencer.applied();
        assert!(applied.is_added(&items));
        world.sequencer = Sequencer::new(Arc::default(), specs(), &applied, BOUNDS);
        if is_told_first {
            world.push(NOTICES, reading_anew(LATER, 1));
        }
        world.push_of(LATER, ITEMS, read_row(1, SnapshotMark::Incremental));
        if !is_told_first {
            assert_eq!(world.completeness(), [true, false]);
            world.push(NOTICES, reading_anew(LATER, 1));
        }
        assert_eq!(world.completeness(), [true, false]);
        assert_eq!(world.why(1), Some(Wanting::Reading { rows: 1 }));
        assert!(world.sequencer.told_positions().contains_key(&items));
    }
}

#[test]
fn an_added_table_is_complete_once_it_is_read_anew() {
    let mut world = world();
    world.push(ITEMS, read_row(1, SnapshotMark::Last));
    let contains = [(gtid(1).server, 2)].into_iter().collect();
    let tables = vec![TableId(1)];
    world.push(NOTICES, Content::Notice(Notice::ReadingAnew { id: LATER, tables, contains }));
    world.push_of(LATER, ITEMS, read_row(1, SnapshotMark::Incremental));
    assert_eq!(world.completeness(), [true, false]);
    assert_eq!(world.why(1), Some(Wanting::Reading { rows: 1 }));
    world.push(NOTICES, read_anew(LATER, 1)).push(ITEMS, read_row(1, SnapshotMark::Incremental));
    assert_eq!(world.completeness(), [true, true]);
    assert_eq!(world.why(1), None);
}
