//! The dead letters of one partition that stand open: rows whose last change could not be read.
//!
//! The documents of such a row keep its last readable state. A letter is open from the moment its
//! place in the partition is passed until the row is certain again, which is when
//!
//! - a later record of the same row could be read, or all rows of the table went: *superseded*;
//! - an operator had the letter decoded again and it was applied: *replayed*;
//! - an operator said that nothing is to be done about it: *dropped*.
//!
//! A letter that is not open changes nothing any more. So a replay has the effect that the record
//! would have had in its own place: nothing that came after it is taken back, and the order in
//! which letters of one row are replayed does not matter. That is why open letters, like rows,
//! are a function of the positions alone.
//!
//! A letter whose row is unknown (its key cannot be read either) is superseded only with all rows
//! of its table, and never applied: nobody can tell what the row has seen since.
//!
//! Two bounds: [`OPEN_MAX`] letters are followed by their rows. Of those beyond it is remembered
//! only that there are some, until all rows of the table are read anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::Key;

/// Most letters of one partition that are followed.
pub const OPEN_MAX: usize = 4096;

/// A dead letter that stands open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Recognises the record that could not be read.
    pub fingerprint: u64,
    /// The row that it is about, where that could be read.
    pub key: Option<Key>,
    /// Why a replay was not applied.
    pub refused: Option<Box<str>>,
}

/// Letters beyond those that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// Offset of the first.
    pub from: i64,
    /// How many.
    pub count: u64,
}

/// The letters of one partition, by offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letters {
    open: BTreeMap<i64, Letter>,
    beyond: Option<Beyond>,
}

impl Letters {
    /// The letters that stand open, by offset.
    pub fn open(&self) -> &BTreeMap<i64, Letter> {
        &self.open
    }

    /// What is not followed.
    pub fn beyond(&self) -> Option<Beyond> {
        self.beyond
    }

    /// Whether every row is certain.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.beyond.is_none()
    }

    /// Opens a letter; false when there are too many to follow it.
    pub(super) fn put(&mut self, offset: i64, letter: Letter) -> bool {
        if self.open.len() < OPEN_MAX {
            self.open.insert(offset, letter);
            return true;
        }
        let beyond = self.beyond.get_or_insert(Beyond { from: offset, count: 0 });
        beyond.count += 1;
        false
    }

    /// The letter at this offset, if it is open and of this record.
    pub(super) fn get_mut(&mut self, offset: i64, fingerprint: u64) -> Option<&mut Letter> {
        self.open.get_mut(&offset).filter(|letter| letter.fingerprint == fingerprint)
    }

    /// Closes the letter at this offset.
    pub(super) fn close(&mut self, offset: i64) {
        self.open.remove(&offset);
    }

    /// Closes the letters of a row of which the record at this offset, or a letter of there, was
    /// applied. Returns their offsets.
    pub(super) fn supersede(&mut self, key: &Key, offset: i64) -> Vec<i64> {
        let of_row =
            |(&at, letter): (&i64, &Letter)| (letter.key.as_ref() == Some(key)).then_some(at);
        let closed: Vec<i64> = self.open.range(..=offset).filter_map(of_row).collect();
        closed.iter().for_each(|at| drop(self.open.remove(at)));
        closed
    }

    /// Closes all letters: the table has no row of before any more. Returns their offsets.
    pub(super) fn clear(&mut self) -> Vec<i64> {
        self.beyond = None;
        std::mem::take(&mut self.open).into_keys().collect()
    }
}
