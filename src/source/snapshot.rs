//! When a table is complete: its snapshot was read to the end, and every row of it is applied.
//!
//! The table's own topic tells it where it can: the last row of a snapshot is marked as such. Not
//! always: the only row of the first table is marked as the first one, the last row may be
//! unreadable, and an empty table has none. Then Debezium's notification counts: it says how many
//! rows of the table were read. Notifications are another topic, so the one that is known may be
//! of an earlier attempt; it counts only when the notices tell of as many attempts as the rows do.
//! Both are counted from the records applied, so completeness is a function of the position
//! vector: no clock, no order between the two topics. A snapshot that starts again (the connector
//! died in the middle, or lost its offsets) counts from its first row again, and the table is
//! filling until that is complete.
//!
//! An incremental snapshot, which a signal asks for while changes go on, empties nothing: a table
//! that was complete stays so. It completes one that never was.
//!
//! Absent: proof that an incremental snapshot is complete to the row, since Debezium leaves out
//! rows that changed while it read them; the changes of the table are counted in their place. And
//! what an empty table had before a new attempt: no row tells when that was.

use serde::{Deserialize, Serialize};

use super::record::SnapshotMark;

/// What is known of the snapshot of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// Rows of the latest attempt that were applied, unreadable ones counted as rows.
    rows: u64,
    /// Attempts from nothing of which a row was applied.
    begun: u64,
    /// The attempt's last row was seen.
    closed: bool,
    /// What an incremental snapshot read since.
    incremental: Incremental,
    /// The table's rows changed before, so an attempt from nothing must clear them.
    touched: bool,
    notices: Notices,
}

/// What is known of incremental snapshots since the latest attempt from nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Incremental {
    /// Rows applied, and changes of the table in between.
    rows: u64,
    /// Rows that Debezium says it read.
    scanned: Option<u64>,
}

/// What the notifications say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Notices {
    /// Attempts from nothing that were started, less those that found no row.
    started: u64,
    /// The latest of them has not come to its end.
    reading: bool,
    /// Rows that Debezium says it read.
    scanned: Option<u64>,
    /// Attempts with rows of the table that read all tables to their ends. Such an attempt is
    /// never taken up again, so its rows are there.
    #[serde(default)]
    completed: u64,
    /// Attempts of which a row must be there before that number of rows means anything.
    #[serde(default)]
    needed: u64,
}

impl Snapshot {
    /// Counts a snapshot row that is applied. True when it is the first of an attempt that starts
    /// from nothing while the table has rows of before: those must go first, or a row deleted in
    /// between would stay forever.
    pub(super) fn row(&mut self, mark: SnapshotMark) -> bool {
        if mark == SnapshotMark::Incremental {
            self.incremental.rows += 1;
            self.touched = true;
            return false;
        }
        let begins = match mark {
            SnapshotMark::First => true,
            _ => self.closed || self.incremental.rows > 0,
        };
        if begins {
            self.rows = 0;
            self.incremental = Incremental::default();
        }
        if begins || self.begun == 0 {
            self.begun += 1;
        }
        self.closed = mark == SnapshotMark::Last;
        self.rows += 1;
        let clear = begins && self.touched;
        self.touched = true;
        clear
    }

    /// Counts a row that is unreadable: it may have been a snapshot's.
    pub(super) fn hole(&mut self) {
        self.touched = true;
        if !self.closed {
            self.rows += 1;
        }
        self.count_beside();
    }

    /// Notes a change of the table outside of any snapshot.
    pub(super) fn change(&mut self) {
        self.touched = true;
        self.count_beside();
    }

    /// Debezium leaves rows out of an incremental snapshot that change meanwhile.
    fn count_beside(&mut self) {
        if self.incremental.rows > 0 {
            self.incremental.rows += 1;
        }
    }

    /// The table is being read from nothing: what an earlier snapshot read no longer counts.
    pub(super) fn started(&mut self) {
        self.notices.started += 1;
        self.notices.reading = true;
        self.notices.scanned = None;
    }

    /// The table was read to its end.
    pub(super) fn scanned(&mut self, rows: u64, incremental: bool) {
        if incremental {
            self.incremental.scanned = Some(rows);
            return;
        }
        if std::mem::take(&mut self.notices.reading) && rows == 0 {
            self.notices.started -= 1;
        }
        self.notices.scanned = Some(rows);
        self.notices.needed = self.notices.completed + u64::from(rows > 0);
    }

    /// All tables were read to their ends.
    pub(super) fn completed(&mut self) {
        self.notices.completed = self.notices.needed;
    }

    /// Whether everything that was read is applied.
    pub(super) fn is_complete(&self) -> bool {
        if self.closed {
            return true;
        }
        // The notice alone may be older than the latest attempt from nothing.
        let Incremental { rows, scanned } = self.incremental;
        if (rows > 0 || self.begun == 0) && scanned.is_some_and(|scanned| rows >= scanned) {
            return true;
        }
        let Some(scanned) = self.notices.scanned else { return false };
        // Rows of an attempt that broke off are no empty table. The notice is of a former attempt
        // if fewer were started than rows tell of, and of a later one if more were completed.
        let Notices { started, needed, .. } = self.notices;
        let same_attempt =
            self.begun == 0 || (scanned > 0 && started >= self.begun && self.begun >= needed);
        same_attempt && self.rows >= scanned
    }
}

#[cfg(test)]
mod tests {
    use super::SnapshotMark::{First, Inner, Last};
    use super::*;

    fn rows(snapshot: &mut Snapshot, marks: &[SnapshotMark]) -> usize {
        marks.iter().filter(|mark| snapshot.row(**mark)).count()
    }

    #[test]
    fn complete_when_all_scanned_rows_are_applied_in_either_order() {
        for notice_first in [true, false] {
            let mut table = Snapshot::default();
            table.started();
            if notice_first {
                table.scanned(3, false);
                assert!(!table.is_complete());
            }
            assert_eq!(rows(&mut table, &[First, Inner]), 0);
            assert!(!table.is_complete());
            assert_eq!(rows(&mut table, &[Last]), 0);
            table.scanned(3, false);
            assert!(table.is_complete());
        }
    }

    /// A record of either topic.
    #[derive(Clone, Copy)]
    enum Event {
        Row(SnapshotMark),
        Hole,
        Started,
        Scanned(u64),
        Completed,
    }
    use Event::{Completed, Hole, Row, Scanned, Started};

    /// Applies two topics in every order that they can be read in, and hands each state over with
    /// the number of records left of each.
    fn every_order(
        state: &Snapshot,
        table: &[Event],
        notices: &[Event],
        check: &mut impl FnMut(&Snapshot, usize, usize),
    ) {
        check(state, table.len(), notices.len());
        if let Some((event, rest)) = table.split_first() {
            every_order(&applied(state, *event), rest, notices, check);
        }
        if let Some((event, rest)) = notices.split_first() {
            every_order(&applied(state, *event), table, rest, check);
        }
    }

    fn applied(state: &Snapshot, event: Event) -> Snapshot {
        let mut state = state.clone();
        match event {
            Row(mark) => drop(state.row(mark)),
            Hole => state.hole(),
            Started => state.started(),
            Scanned(rows) => state.scanned(rows, false),
            Completed => state.completed(),
        }
        state
    }

    /// Whatever the order, the table is complete in the end, and never while the rows of a second
    /// snapshot, from record `from` up to the last of the topic, are half read.
    fn check_second_snapshot(table: &[Event], from: usize, notices: &[Event]) {
        let half_read = 1..table.len() - from;
        every_order(&Snapshot::default(), table, notices, &mut |state, rows_left, notices_left| {
            if half_read.contains(&rows_left) {
                assert!(!state.is_complete(), "{rows_left} rows are to come: {state:?}");
            }
            assert!(rows_left + notices_left > 0 || state.is_complete(), "{state:?}");
        });
    }

    #[test]
    fn a_new_snapshot_is_never_complete_by_the_notice_of_the_former_one() {
        let again = [Row(First), Row(Inner), Row(Last)];
        // One row: as the last, and as the first of the whole snapshot.
        for only in [Last, First] {
            let table = [&[Row(only)][..], &again].concat();
            let notices = [Started, Scanned(1), Started, Scanned(3)];
            check_second_snapshot(&table, 1, &notices);
        }
        // No row.
        check_second_snapshot(&again, 0, &[Started, Scanned(0), Started, Scanned(3)]);
        // Two that had rows with an empty one in between.
        let table = [&[Row(Last)][..], &again].concat();
        let notices = [Started, Scanned(1), Started, Scanned(0), Started, Scanned(3)];
        check_second_snapshot(&table, 1, &notices);
        // An empty one before.
        let notices = [Started, Scanned(0), Started, Scanned(1), Started, Scanned(3)];
        check_second_snapshot(&table, 1, &notices);
        // The first one broke off.
        let table = [&[Row(First), Row(Inner)][..], &again].concat();
        check_second_snapshot(&table, 2, &[Started, Started, Scanned(3)]);
        // The last row cannot be read.
        let table = [Row(Last), Row(First), Row(Inner), Hole];
        check_second_snapshot(&table, 1, &[Started, Scanned(1), Started, Scanned(3)]);
    }

    #[test]
    fn half_a_snapshot_is_never_complete_by_the_notice_of_a_later_one() {
        let notices = [Started, Scanned(2), Completed, Started, Scanned(1), Completed];
        let table = [Row(First), Row(Last), Row(First)];
        every_order(
            &Snapshot::default(),
            &table,
            &notices,
            &mut |state, rows_left, notices_left| {
                assert!(rows_left < 2 || !state.is_complete(), "{rows_left} to come: {state:?}");
                assert!(rows_left + notices_left > 0 || state.is_complete(), "{state:?}");
            },
        );
    }

    #[test]
    fn rows_lost_with_a_connector_that_died_are_not_waited_for() {
        let notices = [Started, Scanned(1), Started, Scanned(1), Completed];
        every_order(&Snapshot::default(), &[Row(First)], &notices, &mut |state, rows, notices| {
            assert!(rows + notices > 0 || state.is_complete(), "{state:?}");
        });
    }

    #[test]
    fn an_empty_table_is_complete_by_the_notice_alone() {
        let mut table = Snapshot::default();
        table.started();
        assert!(!table.is_complete());
        table.scanned(0, false);
        assert!(table.is_complete());
    }

    #[test]
    fn rows_of_an_attempt_that_broke_off_are_no_empty_table() {
        let notices = [Started, Started, Scanned(0)];
        let table = [Row(First), Row(Inner)];
        every_order(&Snapshot::default(), &table, &notices, &mut |state, rows_left, _| {
            assert!(rows_left == 2 || !state.is_complete(), "{state:?}");
        });
    }

    #[test]
    fn an_attempt_that_starts_again_clears_and_counts_anew() {
        let mut table = Snapshot::default();
        table.started();
        assert_eq!(rows(&mut table, &[First, Inner]), 0);
        table.started();
        assert_eq!(rows(&mut table, &[First]), 1, "the rows of the first attempt must go");
        table.scanned(3, false);
        assert!(!table.is_complete());
        assert_eq!(rows(&mut table, &[Inner, Last]), 0);
        assert!(table.is_complete());
        table.started();
        assert!(table.is_complete(), "all of the former snapshot is there until a row clears it");
        assert_eq!(rows(&mut table, &[First]), 1);
        assert!(!table.is_complete());
    }

    #[test]
    fn a_table_of_one_row_has_only_a_last_one() {
        let mut table = Snapshot::default();
        assert_eq!(rows(&mut table, &[Last]), 0);
        table.change();
        assert_eq!(rows(&mut table, &[Last]), 1);
        table.scanned(1, false);
        assert!(table.is_complete());
    }

    #[test]
    fn unreadable_rows_count_and_incremental_ones_clear_nothing() {
        let mut table = Snapshot::default();
        table.started();
        rows(&mut table, &[First]);
        table.hole();
        table.scanned(2, false);
        assert!(table.is_complete());
        table.scanned(3, false);
        assert!(!table.is_complete());
        assert_eq!(rows(&mut table, &[SnapshotMark::Incremental; 2]), 0);
        table.scanned(3, true);
        assert!(!table.is_complete());
        table.change();
        assert!(table.is_complete());
    }

    #[test]
    fn a_complete_table_stays_so_while_it_is_read_again() {
        let mut by_mark = Snapshot::default();
        rows(&mut by_mark, &[First, Last]);
        let mut by_notice = Snapshot::default();
        by_notice.started();
        by_notice.scanned(0, false);
        for mut table in [by_mark, by_notice] {
            for _ in 0..5 {
                table.change();
                rows(&mut table, &[SnapshotMark::Incremental]);
                assert!(table.is_complete());
            }
            table.scanned(1000, true);
            assert!(table.is_complete());
            rows(&mut table, &[First]);
            assert!(!table.is_complete(), "it is read from nothing");
        }
    }
}
