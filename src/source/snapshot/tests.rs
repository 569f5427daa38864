//! Which rows count, whatever order the topics are read in.

use super::SnapshotMark::{First, Incremental, Inner, Last};
use super::*;
use crate::change::{Change, Op};
use crate::gtid::Server;
use crate::sql::plan::TableId;

fn of(number: u64) -> BinlogPlace {
    BinlogPlace { file: 1, position: number }
}

fn up_to(number: u64) -> Watermarks {
    [(server(), number)].into_iter().collect()
}

fn gtid(number: u64) -> Gtid {
    Gtid { server: server(), number }
}

fn server() -> Server {
    "00000000-0000-0000-0000-000000000001".parse().unwrap()
}

/// A record of a table's topic or of the notifications.
#[derive(Clone, Copy, Debug)]
enum Event {
    Row(u64, SnapshotMark),
    Hole,
    Reading(u64, &'static [usize]),
    Read(u64, usize, u64),
}
use Event::{Hole, Read, Reading, Row};

const BOTH: &[usize] = &[0, 1];

/// Two tables, and of which snapshot how many rows of each are there.
#[derive(Clone, Debug, Default)]
struct World {
    tables: [Snapshot; 2],
    rows: [(u64, u64); 2],
}

impl World {
    fn apply(&mut self, topic: usize, event: Event) {
        match event {
            Row(number, mark) => {
                let held = &mut self.rows[topic];
                match self.tables[topic].row(mark, of(number)) {
                    Effect::Void => {}
                    effect => {
                        if effect == Effect::Replaces || held.0 != number {
                            *held = (number, 0);
                        }
                        held.1 += 1;
                    }
                }
            }
            Hole => {
                self.tables[topic].hole();
                self.rows[topic].1 += 1;
            }
            Reading(number, tables) => {
                for table in tables {
                    self.tables[*table].reading(of(number), &Watermarks::default());
                }
            }
            Read(number, table, rows) => {
                self.tables[table].read(of(number), rows, &Watermarks::default());
                if rows == 0 && self.tables[table].latest == Some(of(number)) {
                    self.rows[table] = (number, 0);
                }
            }
        }
    }

    fn complete(&self) -> [bool; 2] {
        let untold: Vec<_> = self.tables.iter().filter_map(Snapshot::untold).collect();
        [0, 1].map(|table| self.tables[table].is_complete(&untold))
    }
}

/// Applies two tables' topics and the notifications in every order that they can be read in,
/// and hands over what is there after each record, with whether it is all.
fn every_order(world: &World, topics: [&[Event]; 3], check: &mut impl FnMut(&World, bool)) {
    check(world, topics.iter().all(|topic| topic.is_empty()));
    for topic in 0..topics.len() {
        if let Some((event, rest)) = topics[topic].split_first() {
            let (mut world, mut topics) = (world.clone(), topics);
            world.apply(topic, *event);
            topics[topic] = rest;
            every_order(&world, topics, check);
        }
    }
}

/// Both tables are complete in the end, and together only if both are of one of these
/// snapshots, each with its number of rows in the tables.
fn check(topics: [&[Event]; 3], snapshots: &[(u64, [u64; 2])]) {
    every_order(&World::default(), topics, &mut |world, is_all| {
        let is_one = |(number, rows): &(u64, [u64; 2])| {
            [0, 1].iter().all(|table| world.rows[*table] == (*number, rows[*table]))
        };
        if world.complete() == [true, true] {
            assert!(snapshots.iter().any(is_one), "{world:?}");
        }
        assert!(!is_all || world.complete() == [true, true], "{world:?}");
    });
}

#[test]
fn tables_are_complete_by_the_same_snapshot_only() {
    check(
        [
            &[Row(1, Last), Row(2, First), Row(2, Last)],
            &[Row(1, Last), Row(2, Last)],
            &[
                Reading(1, BOTH),
                Read(1, 0, 1),
                Read(1, 1, 1),
                Reading(2, BOTH),
                Read(2, 0, 2),
                Read(2, 1, 1),
            ],
        ],
        &[(1, [1, 1]), (2, [2, 1])],
    );
}

#[test]
fn snapshots_that_broke_off_do_not_count() {
    check(
        [
            &[Row(1, First), Row(2, First), Row(2, Last), Row(3, First), Row(3, Last)],
            &[Row(3, Last)],
            &[Reading(1, BOTH), Reading(2, BOTH), Reading(3, BOTH), Read(3, 1, 1)],
        ],
        &[(3, [2, 1])],
    );
}

#[test]
fn a_notification_that_was_lost_is_not_missed() {
    check(
        [
            &[Row(1, Last), Row(2, First), Row(3, Last)],
            &[Row(1, Last), Row(3, First), Row(3, Last)],
            &[Reading(1, BOTH), Reading(3, BOTH), Read(3, 0, 1)],
        ],
        &[(1, [1, 1]), (3, [1, 2])],
    );
}

#[test]
fn a_table_that_is_empty_by_now_is_so_by_its_notification() {
    check(
        [
            &[Row(1, Last)],
            &[Row(1, Last), Row(2, Last)],
            &[Reading(1, BOTH), Reading(2, BOTH), Read(2, 0, 0), Read(2, 1, 1)],
        ],
        &[(1, [1, 1]), (2, [0, 1])],
    );
    // It always was.
    check(
        [&[], &[Row(1, Last)], &[Reading(1, BOTH), Read(1, 0, 0), Read(1, 1, 1)]],
        &[(1, [0, 1])],
    );
}

#[test]
fn a_row_without_its_mark_counts_by_the_number_of_rows() {
    // The only row of the first table, and a last row that cannot be read.
    check(
        [
            &[Row(1, First)],
            &[Row(1, First), Row(1, Inner), Hole],
            &[Reading(1, BOTH), Read(1, 0, 1), Read(1, 1, 3)],
        ],
        &[(1, [1, 3])],
    );
}

#[test]
fn without_notifications_the_marks_have_to_do() {
    check(
        [
            &[Row(1, Last), Row(2, First), Row(2, Last)],
            &[Row(1, First), Row(1, Last), Row(2, Last)],
            &[],
        ],
        &[(1, [1, 2]), (2, [2, 1])],
    );
}

#[test]
fn a_snapshot_of_one_table_holds_no_other_up_once_that_is_known() {
    let mut world = World::default();
    for event in [Reading(1, BOTH), Read(1, 0, 1), Read(1, 1, 1)] {
        world.apply(2, event);
    }
    (0..2).for_each(|table| world.apply(table, Row(1, Last)));
    assert_eq!(world.complete(), [true, true]);
    let mut late = world.clone();
    world.apply(2, Reading(2, &[1]));
    assert_eq!(world.complete(), [true, false]);
    late.apply(1, Row(2, First));
    assert_eq!(late.complete(), [false, false], "it may be of both");
    late.apply(2, Reading(2, &[1]));
    assert_eq!(late.complete(), [true, false]);
    late.apply(1, Row(2, Last));
    assert_eq!(late.complete(), [true, true]);
}

#[test]
fn what_an_empty_table_had_before_goes_and_does_not_come_back() {
    let mut table = Snapshot::default();
    table.reading(of(1), &up_to(3));
    table.row(Last, of(1));
    table.reading(of(2), &up_to(7));
    assert!(table.read(of(2), 0, &up_to(6)), "its rows must go");
    assert!(table.is_complete(&[]));
    assert!(table.contains(&gtid(7)) && !table.contains(&gtid(8)));
    assert_eq!(table.row(Last, of(1)), Effect::Void);
    assert!(!table.read(of(2), 0, &up_to(6)), "once");
    // It has changed since, so nobody knows which rows are of before.
    let mut changed = Snapshot::default();
    changed.row(Last, of(1));
    changed.change(&gtid(8));
    changed.reading(of(2), &up_to(7));
    assert!(!changed.read(of(2), 0, &up_to(8)));
    assert!(!changed.is_complete(&[]));
    changed.reading(of(3), &up_to(9));
    assert_eq!(changed.row(Last, of(3)), Effect::Replaces, "until it is read again");
    assert!(changed.is_complete(&[]));
}

#[test]
fn a_notification_that_is_read_late_takes_nothing_away() {
    check(
        [
            &[Row(2, Last)],
            &[Row(1, Last), Row(2, Last)],
            &[Reading(1, BOTH), Read(1, 0, 0), Reading(2, BOTH), Read(2, 0, 1), Read(2, 1, 1)],
        ],
        &[(1, [0, 1]), (2, [1, 1])],
    );
}

#[test]
fn rows_that_may_be_late_are_told_from_later_ones_by_their_notification() {
    let mut table = Snapshot::default();
    table.reading(of(5), &up_to(7));
    table.read(of(5), 0, &up_to(0));
    assert!(table.may_be_late(of(4)) && !table.may_be_late(of(6)));
    let mut late = table.clone();
    assert_eq!(late.row(Last, of(4)), Effect::Void);
    assert!(late.is_complete(&[]));
    // Another server's places are in no order to these.
    table.reading(of(4), &up_to(9));
    assert!(!table.may_be_late(of(4)));
    assert_eq!(table.row(Last, of(4)), Effect::Joins);
    assert!(table.is_complete(&[]));
}

#[test]
fn what_came_after_an_empty_table_stays() {
    // It always was empty, or was emptied since.
    for truncated in [false, true] {
        let mut table = Snapshot::default();
        if truncated {
            table.row(Last, of(1));
            table.change(&gtid(8));
            table.truncate();
        }
        table.change(&gtid(9));
        table.reading(of(2), &up_to(7));
        assert!(!table.read(of(2), 0, &up_to(9)), "nothing goes");
        assert!(table.is_complete(&[]));
    }
}

/// A row of an incremental snapshot, or a change, in a table's topic.
fn follow(table: &mut Snapshot, anew: Option<AnewId>) -> bool {
    let change = Change { table: TableId(0), op: Op::Truncate };
    let read = Content::Snapshot { change, mark: Incremental, of: of(1) };
    let clears = table.follow(anew, &read);
    table.row(Incremental, of(1));
    clears
}

#[test]
fn a_table_that_is_read_anew_is_emptied_once_and_complete_once_something_follows() {
    for told_first in [true, false] {
        let mut table = Snapshot::default();
        table.row(Last, of(1));
        table.reading_anew(7, &up_to(0));
        assert!(table.is_complete(&[]) && follow(&mut table, Some(7)));
        assert!(!table.is_complete(&[]) && !follow(&mut table, Some(7)));
        if told_first {
            assert!(!table.read_anew(7, 2, &up_to(9), &up_to(0)));
        }
        assert!(!table.is_complete(&[]), "more may come");
        assert!(!follow(&mut table, None));
        if !told_first {
            assert!(!table.is_complete(&[]), "it may have broken off");
            assert!(!table.read_anew(7, 2, &up_to(9), &up_to(0)));
        }
        assert!(table.is_complete(&[]));
        // What the connector sends again of it once it is over means nothing.
        table.reading_anew(8, &up_to(0));
        assert!(follow(&mut table, Some(8)) && !follow(&mut table, Some(7)));
        assert!(!table.is_complete(&[]));
        table.read_anew(8, 2, &up_to(9), &up_to(0));
        assert!(!table.is_complete(&[]), "nothing that is certain followed");
        // It may be taken up again where nobody expects it.
        assert!(!follow(&mut table, None) && table.is_complete(&[]));
        // A snapshot from nothing counts by itself, whatever was read beside before.
        table.read_beside(1);
        table.reading(of(3), &up_to(20));
        assert!(!table.is_complete(&[]) && !follow(&mut table, Some(8)));
        assert_eq!(table.row(Last, of(3)), Effect::Replaces);
        assert!(table.is_complete(&[]));
    }
}

#[test]
fn of_a_signal_that_is_obeyed_twice_the_second_snapshot_counts() {
    let mut table = Snapshot::default();
    table.row(Last, of(1));
    // The first broke off; what came of the second is known before its rows.
    table.reading_anew(7, &up_to(0));
    assert!(follow(&mut table, Some(7)) && !follow(&mut table, None));
    table.read_anew(7, 4, &up_to(9), &up_to(0));
    assert_eq!(table.wanting(), Some(Wanting::Reading { rows: 2 }));
    for _ in 0..4 {
        assert!(!table.is_complete(&[]) && !follow(&mut table, Some(7)));
    }
    assert!(!table.is_complete(&[]) && !follow(&mut table, None));
    assert!(table.is_complete(&[]) && table.wanting().is_none());
    assert!(!follow(&mut table, Some(7)) && !table.is_complete(&[]), "it is obeyed once more");
}

/// Rows and changes of the first attempt are as many as the second tells of.
#[test]
fn what_a_broken_snapshot_brought_does_not_stand_for_what_the_next_one_reads() {
    let mut table = Snapshot::default();
    table.lose(1, 0);
    table.reading_anew(7, &up_to(5));
    assert!(follow(&mut table, Some(7)) && !follow(&mut table, None));
    table.reading_anew(7, &up_to(8));
    assert!(table.contains(&gtid(5)) && !table.contains(&gtid(6)), "the first beginning counts");
    assert!(!follow(&mut table, Some(7)));
    table.read_anew(7, 2, &up_to(9), &up_to(0));
    assert!(!table.is_complete(&[]));
    assert!(!follow(&mut table, None) && table.is_complete(&[]));
}

#[test]
fn a_snapshot_that_took_over_another_s_rest_does_not_count() {
    let mut table = Snapshot::default();
    table.row(Last, of(1));
    follow(&mut table, Some(7));
    table.read_anew(7, 1, &up_to(9), &up_to(0));
    assert!(!follow(&mut table, None) && !table.is_complete(&[]));
    assert_eq!(table.wanting(), Some(Wanting::Reading { rows: 2 }));
}

#[test]
fn of_a_lost_table_only_a_later_snapshot_counts() {
    let change = Change { table: TableId(0), op: Op::Truncate };
    let row = Content::Snapshot { change, mark: Incremental, of: of(1) };
    let mut table = Snapshot::default();
    table.row(First, of(1));
    table.reading(of(2), &up_to(1));
    table.lose(7, 0);
    assert_eq!((table.untold(), table.wanting()), (None, Some(Wanting::After(7))));
    assert!(table.is_lost_to(None) && table.is_lost_to(Some(7)) && !table.is_lost_to(Some(8)));
    table.read_anew(7, 0, &up_to(9), &up_to(0));
    assert!(table.clone().follow(Some(8), &row), "what was there goes");
    table.reading(of(3), &up_to(3));
    table.read(of(3), 0, &up_to(0));
    assert!(!table.is_complete(&[]) && !table.contains(&gtid(9)));
    table.reading_anew(8, &up_to(0));
    // It is empty, unless changes were passed over that came later, or it has rows.
    table.pass_over(&gtid(6));
    table.read_anew(8, 0, &up_to(5), &up_to(6));
    assert_eq!(table.wanting(), Some(Wanting::After(7)));
    let mut empty = table.clone();
    empty.read_anew(8, 0, &up_to(9), &up_to(6));
    assert!(empty.is_complete(&[]) && empty.contains(&gtid(9)) && !empty.is_lost_to(None));
    assert!(!table.follow(Some(8), &row), "nothing was left");
    assert!(!table.is_lost_to(None) && table.contains(&gtid(6)) && !table.contains(&gtid(7)));
    table.row(Incremental, of(1));
    table.read_anew(8, 1, &up_to(9), &up_to(6));
    assert!(!follow(&mut table, None) && table.is_complete(&[]));
}

#[test]
fn a_table_that_is_read_anew_and_empty_is_so_by_its_notification() {
    let mut table = Snapshot::default();
    table.row(Last, of(1));
    table.reading_anew(7, &up_to(0));
    let mut changed = table.clone();
    assert!(table.read_anew(7, 0, &up_to(5), &up_to(4)), "its rows must go");
    assert!(table.is_complete(&[]) && table.contains(&gtid(5)));
    assert!(!follow(&mut table, Some(7)) && table.is_complete(&[]));
    assert!(!changed.read_anew(7, 0, &up_to(5), &up_to(6)), "which rows, nobody knows");
    assert!(
        !changed.is_complete(&[]) && changed.wanting() == Some(Wanting::After(0)),
        "so it is asked for again"
    );
    assert!(!changed.contains(&gtid(5)), "and changes count until then");
    changed.reading_anew(8, &up_to(5));
    assert!(follow(&mut changed, Some(8)) && !follow(&mut changed, None));
    changed.read_anew(8, 1, &up_to(7), &up_to(6));
    assert!(changed.is_complete(&[]) && changed.wanting().is_none());
}

#[test]
fn a_snapshot_that_starts_again_clears_and_counts_anew() {
    let mut table = Snapshot::default();
    table.reading(of(1), &up_to(1));
    assert_eq!([First, Inner].map(|mark| table.row(mark, of(1))), [Effect::Joins; 2]);
    assert_eq!(table.row(First, of(1)), Effect::Replaces, "those of the first attempt must go");
    table.read(of(1), 3, &up_to(1));
    assert_eq!(table.row(Inner, of(1)), Effect::Joins);
    assert!(!table.is_complete(&[]));
    assert_eq!(table.row(Last, of(1)), Effect::Joins);
    assert!(table.is_complete(&[]));
}

#[test]
fn an_incremental_snapshot_completes_what_never_was_and_clears_nothing() {
    let mut table = Snapshot::default();
    table.read_beside(3);
    assert_eq!([Incremental; 2].map(|mark| table.row(mark, of(1))), [Effect::Joins; 2]);
    assert!(!table.is_complete(&[]));
    table.change(&gtid(1));
    assert!(table.is_complete(&[]));
    let mut complete = Snapshot::default();
    complete.row(Last, of(1));
    for _ in 0..5 {
        complete.change(&gtid(1));
        assert_eq!(complete.row(Incremental, of(2)), Effect::Joins);
        assert!(complete.is_complete(&[]));
    }
    complete.read_beside(1000);
    assert!(complete.is_complete(&[]));
    assert_eq!(complete.row(First, of(3)), Effect::Replaces);
    assert!(!complete.is_complete(&[]), "it is read from nothing");
}
