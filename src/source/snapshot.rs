//! When a table is complete: its snapshot was read to the end, and every row of it is applied.
//!
//! Debezium's notification says how many rows it read of a table; the table's own topic says how
//! many arrived. Both are counted from the records applied, so completeness is a function of the
//! position vector: no clock, no order between the two topics. A snapshot that starts again (the
//! connector died in the middle, or lost its offsets) counts from its first row again, and the
//! table is filling until that is complete.
//!
//! Absent: proof that an incremental snapshot is complete to the row, since Debezium leaves out
//! rows that changed while it read them; the changes of the table are counted in their place.

use super::record::SnapshotMark;

/// What is known of the snapshot of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Rows of the latest attempt that were applied, unreadable ones counted as rows.
    rows: u64,
    /// The attempt's last row was seen.
    closed: bool,
    /// The latest rows came of an incremental snapshot.
    incremental: bool,
    /// Rows that Debezium says it read.
    scanned: Option<u64>,
    /// The table's rows changed before, so an attempt from nothing must clear them.
    touched: bool,
}

impl Snapshot {
    /// Counts a snapshot row that is applied. True when it is the first of an attempt that starts
    /// from nothing while the table has rows of before: those must go first, or a row deleted in
    /// between would stay forever.
    pub(super) fn row(&mut self, mark: SnapshotMark) -> bool {
        let incremental = mark == SnapshotMark::Incremental;
        let begins = match mark {
            SnapshotMark::First => true,
            SnapshotMark::Inner | SnapshotMark::Last => self.closed || self.incremental,
            SnapshotMark::Incremental => !self.incremental,
        };
        if begins {
            self.rows = 0;
        }
        self.incremental = incremental;
        self.closed = mark == SnapshotMark::Last;
        self.rows += 1;
        let clear = begins && !incremental && self.touched;
        self.touched = true;
        clear
    }

    /// Counts a row that is unreadable: it may have been a snapshot's.
    pub(super) fn hole(&mut self) {
        if !self.closed {
            self.rows += 1;
        }
    }

    /// Notes a change of the table outside of any snapshot.
    pub(super) fn change(&mut self) {
        self.touched = true;
        if self.incremental {
            self.rows += 1;
        }
    }

    /// The table is being read from nothing: what an earlier snapshot read no longer counts.
    pub(super) fn started(&mut self) {
        self.scanned = None;
    }

    /// The table was read to its end.
    pub(super) fn scanned(&mut self, rows: u64) {
        self.scanned = Some(rows);
    }

    /// Whether everything that was read is applied.
    pub(super) fn is_complete(&self) -> bool {
        self.scanned.is_some_and(|rows| self.rows >= rows)
    }
}

#[cfg(test)]
mod tests {
    use super::SnapshotMark::{First, Incremental, Inner, Last};
    use super::*;

    fn rows(snapshot: &mut Snapshot, marks: &[SnapshotMark]) -> usize {
        marks.iter().filter(|mark| snapshot.row(**mark)).count()
    }

    #[test]
    fn complete_when_all_scanned_rows_are_applied_in_either_order() {
        for notice_first in [true, false] {
            let mut table = Snapshot::default();
            if notice_first {
                table.scanned(3);
                assert!(!table.is_complete());
            }
            assert_eq!(rows(&mut table, &[First, Inner]), 0);
            assert!(!table.is_complete());
            assert_eq!(rows(&mut table, &[Last]), 0);
            table.scanned(3);
            assert!(table.is_complete());
        }
    }

    #[test]
    fn an_empty_table_is_complete_by_the_notice_alone() {
        let mut table = Snapshot::default();
        assert!(!table.is_complete());
        table.scanned(0);
        assert!(table.is_complete());
    }

    #[test]
    fn an_attempt_that_starts_again_clears_and_counts_anew() {
        let mut table = Snapshot::default();
        table.started();
        assert_eq!(rows(&mut table, &[First, Inner]), 0);
        table.started();
        assert_eq!(rows(&mut table, &[First]), 1, "the rows of the first attempt must go");
        table.scanned(3);
        assert!(!table.is_complete());
        assert_eq!(rows(&mut table, &[Inner, Last]), 0);
        assert!(table.is_complete());
        table.started();
        assert!(!table.is_complete());
    }

    #[test]
    fn a_table_of_one_row_has_only_a_last_one() {
        let mut table = Snapshot::default();
        assert_eq!(rows(&mut table, &[Last]), 0);
        table.change();
        assert_eq!(rows(&mut table, &[Last]), 1);
        table.scanned(1);
        assert!(table.is_complete());
    }

    #[test]
    fn unreadable_rows_count_and_incremental_ones_clear_nothing() {
        let mut table = Snapshot::default();
        rows(&mut table, &[First]);
        table.hole();
        table.scanned(2);
        assert!(table.is_complete());
        table.scanned(3);
        assert_eq!(rows(&mut table, &[Incremental, Incremental]), 0);
        assert!(!table.is_complete());
        table.change();
        assert!(table.is_complete());
    }
}
