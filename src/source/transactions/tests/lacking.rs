//! Rows that lack columns which are declared.

use super::*;
use crate::source::record::Lacks;

const TABLE: TableId = TableId(0);

fn lacks(columns: &[&str]) -> Lacks {
    columns.iter().map(|column| ((*column).into(), format!("{column} is gone").into())).collect()
}

impl World {
    fn push_lacking(
        &mut self,
        partition: PartitionId,
        anew: Option<u128>,
        content: Content,
        columns: &[&str],
    ) -> &mut World {
        let offset = self.next[partition.index()];
        self.next[partition.index()] += 1;
        let lacks = (!columns.is_empty()).then(|| Arc::new(lacks(columns)));
        self.sequencer.push(Record { anew, lacks, ..record(partition, offset, content) });
        self
    }

    /// What is told of the table with all that can be released now, and what it lacks then.
    fn told(&mut self) -> (Option<Lacks>, Lacks) {
        self.changes();
        let lacks = self.sequencer.lacks().find(|(table, _)| *table == TABLE);
        (self.released.lacks.get(&TABLE).cloned(), lacks.unwrap().1.clone())
    }
}

/// A row that has all columns again says nothing of the others.
#[test]
fn what_one_row_lacks_the_table_does_until_all_of_its_rows_are_gone() {
    let mut world = World::new();
    let change = |number| row(number, 1, 1, upsert(0, number));
    world.push(ORDERS, snapshot(1, SnapshotMark::Last));
    assert_eq!(world.told(), (None, lacks(&[])));
    for (number, columns, told, held) in [
        (2, &["a"][..], Some(lacks(&["a"])), lacks(&["a"])),
        (3, &["a"], None, lacks(&["a"])),
        (4, &[], None, lacks(&["a"])),
        (5, &["b"], Some(lacks(&["a", "b"])), lacks(&["a", "b"])),
    ] {
        world.push_lacking(ORDERS, None, change(number), columns);
        world.push(TRANSACTIONS, end(number, &[(ORDERS, 1)]));
        assert_eq!(world.told(), (told, held), "{number}");
    }
    // It is known after a restart.
    let specs = world.sequencer.specs().cloned().collect();
    world.sequencer = Sequencer::new(Arc::default(), specs, &world.sequencer.applied(), BOUNDS);
    assert_eq!(world.told().1, lacks(&["a", "b"]));
    // Nor does a change that was sent twice, or takes a row away, bring a row that lacks anything.
    world.push_lacking(ORDERS, None, change(5), &["c"]);
    let delete = Change { table: TABLE, op: Op::Delete(Key::new()) };
    world.push_lacking(ORDERS, None, row(6, 1, 1, delete), &["c"]);
    world.push(TRANSACTIONS, end(6, &[(ORDERS, 1)]));
    assert_eq!(world.told(), (None, lacks(&["a", "b"])));

    world.push(ORDERS, Content::Truncate { table: TABLE, gtid: gtid(7) });
    assert_eq!(world.told(), (Some(lacks(&[])), lacks(&[])));
}

/// A snapshot that reads the table anew empties it first.
#[test]
fn a_table_that_is_read_anew_lacks_what_its_new_rows_lack() {
    for columns in [&[][..], &["b"]] {
        let mut world = World::new();
        let beside = |number| Content::Snapshot {
            change: upsert(0, number),
            mark: SnapshotMark::Incremental,
            of: place(2),
        };
        world.push_lacking(ORDERS, None, snapshot(1, SnapshotMark::Last), &["a"]);
        assert_eq!(world.told().1, lacks(&["a"]));
        world.push_lacking(ORDERS, None, beside(2), &[]);
        assert_eq!(world.told().1, lacks(&["a"]), "it joins the rows that are there");
        world.push_lacking(ORDERS, Some(ANEW), beside(3), columns);
        assert_eq!(world.told(), (Some(lacks(columns)), lacks(columns)));
    }
}
