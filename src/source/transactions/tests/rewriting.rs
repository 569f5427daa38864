//! Statements that change rows without changes of them.

use super::*;
use crate::source::rewrites::{SchemaChange, TableChange};
use crate::sql::plan::{Column, Table, TableSource};
use crate::value::{RowLayout, Type};

const SCHEMA: PartitionId = PartitionId(5);

/// Reads one table, which the first snapshot has completed, with the first three transactions.
fn world() -> World {
    let column = Column {
        name: "id".to_owned(),
        ty: Type::Int { bytes: 8, unsigned: false },
        nullable: false,
    };
    let table = Table {
        name: "orders".to_owned(),
        source: TableSource::Captured,
        layout: RowLayout::new(&[column.ty]),
        columns: vec![column],
        key: vec![0],
        indexes: Vec::new(),
        computed: Vec::new(),
    };
    let plan = Plan { tables: vec![table], ..Plan::default() };
    let mut specs = specs();
    specs.push(PartitionSpec {
        partition: Partition { topic: "p".to_owned(), number: 0 },
        role: Role::SchemaChanges,
        ..specs[NOTICES.index()].clone()
    });
    let sequencer = Sequencer::new(Arc::new(plan), specs, &Applied::default(), BOUNDS);
    let mut world = World { sequencer, next: [0; 6], released: Released::default() };
    world.push(NOTICES, reading(1, &[0], Some(3))).push(NOTICES, read(1, 0, 1));
    world.push(ORDERS, snapshot(1, SnapshotMark::Last));
    world.changes();
    assert!(world.sequencer.is_complete(TableId(0)));
    world
}

fn statement(number: u64, ddl: &str) -> Content {
    let table = TableChange { name: "orders".into(), columns: Some(Default::default()) };
    let change = SchemaChange { gtid: Some(gtid(number)), ddl: ddl.into(), tables: vec![table] };
    Content::SchemaChange(Box::new(change))
}

fn rewriting(number: u64) -> Content {
    statement(number, "ALTER TABLE orders TRUNCATE PARTITION p")
}

fn reading_anew(contains: u64) -> Content {
    let contains = [(gtid(1).server, contains)].into_iter().collect();
    Content::Notice(Notice::ReadingAnew { id: ANEW, tables: vec![TableId(0)], contains })
}

fn read_anew(contains: u64) -> Content {
    let contains = [(gtid(1).server, contains)].into_iter().collect();
    let (table, anew) = (TableId(0), Some(ANEW));
    Content::Notice(Notice::ReadBeside { table, rows: 1, anew, contains })
}

fn row_beside(number: u64) -> Content {
    Content::Snapshot { change: upsert(0, number), mark: SnapshotMark::Incremental, of: place(2) }
}

impl World {
    fn is_wanting(&mut self) -> bool {
        self.changes();
        self.sequencer.wanting().any(|(_, why)| matches!(why, Wanting::After(_)))
    }

    fn is_complete(&mut self) -> bool {
        self.changes();
        self.sequencer.is_complete(TableId(0))
    }
}

#[test]
fn a_rewritten_table_is_wanted_once_a_snapshot_can_begin_behind_the_statement() {
    let mut world = world();
    world.push(SCHEMA, statement(4, "ALTER TABLE orders ADD INDEX i (id)"));
    assert!(world.is_complete(), "an index changes no row");
    world.push(SCHEMA, rewriting(3));
    assert!(world.is_complete(), "it was sent twice");
    world.push(SCHEMA, rewriting(5));
    assert!(!world.is_complete());
    assert!(!world.is_wanting(), "the connector may not be past it");
    world.push(TRANSACTIONS, end(6, &[]));
    assert!(world.is_wanting());
    world.push(NOTICES, reading_anew(6)).push(NOTICES, read_anew(7));
    assert!(!world.is_wanting(), "it is read, and comes");
    assert!(!world.is_complete(), "it is not applied");
    world.push_anew(ORDERS, row_beside(1)).push(ORDERS, row_beside(1));
    assert!(world.is_complete());
    world.push(SCHEMA, rewriting(5));
    assert!(world.is_complete() && !world.is_wanting(), "it was sent twice");
    world.push(SCHEMA, rewriting(8)).push(TRANSACTIONS, end(9, &[]));
    assert!(!world.is_complete() && world.is_wanting(), "another one");
}

#[test]
fn a_statement_that_a_snapshot_from_nothing_contains_asks_for_nothing() {
    let mut world = world();
    world.push(SCHEMA, rewriting(2)).push(TRANSACTIONS, end(4, &[]));
    assert!(world.is_complete() && !world.is_wanting());
    world.push(SCHEMA, rewriting(5)).push(NOTICES, reading(2, &[0], Some(6)));
    world.push(NOTICES, read(2, 0, 1)).push(ORDERS, snapshot(9, SnapshotMark::Last));
    assert!(!world.is_wanting());
}

/// A snapshot that began before the statement may have read rows of before.
#[test]
fn a_snapshot_that_the_statement_came_into_does_not_do() {
    let mut world = world();
    world.push(NOTICES, reading_anew(4)).push_anew(ORDERS, row_beside(1));
    world.push(SCHEMA, rewriting(5)).push(TRANSACTIONS, end(6, &[]));
    world.push(NOTICES, read_anew(6)).push(ORDERS, row_beside(1));
    assert!(!world.is_complete() && world.is_wanting());
}

/// However the three topics interleave, and with a restart anywhere, the state is the same.
#[test]
fn every_order_of_the_topics_comes_to_the_same() {
    let topics: [(PartitionId, Vec<(bool, Content)>); 3] = [
        (SCHEMA, vec![(false, rewriting(5)), (false, rewriting(5))]),
        (NOTICES, vec![(false, reading_anew(6)), (false, read_anew(7))]),
        (ORDERS, vec![(true, row_beside(1)), (false, row_beside(1))]),
    ];
    let mut outcomes = Vec::new();
    // Which topic each of six records is taken of.
    for order in 0..3_usize.pow(6) {
        let order: Vec<usize> = (0..6).map(|at| order / 3_usize.pow(at) % 3).collect();
        if (0..3).any(|topic| order.iter().filter(|of| **of == topic).count() != 2) {
            continue;
        }
        let mut world = world();
        let mut taken = [0; 3];
        for topic in order {
            let (partition, records) = &topics[topic];
            let (anew, content) = records[taken[topic]].clone();
            taken[topic] += 1;
            match anew {
                true => world.push_anew(*partition, content),
                false => world.push(*partition, content),
            };
            world.changes();
            let specs = world.sequencer.specs().cloned().collect();
            let applied = world.sequencer.applied();
            world.sequencer =
                Sequencer::new(Arc::clone(&world.sequencer.plan), specs, &applied, BOUNDS);
        }
        assert!(world.is_complete() && !world.is_wanting());
        outcomes.push(world.sequencer.applied());
    }
    assert_eq!(outcomes.len(), 90);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
}
