//! From the values of a table's columns to one slot: its primary key, or the head of a list of
//! rows with equal values.
//!
//! A single integer column goes through a [`Directory`] where its values lie densely; all else is
//! hashed. The hash tables hold slots and compare through the rows; there are many small ones, so
//! that none takes long to grow.

use std::collections::BTreeSet;
use std::ops::Bound;

use hashbrown::HashTable;

use super::directory::{Directory, NONE};
use super::heap::{Heap, Place};
use super::paged::Paged;
use super::probe::{Fingerprint, Number, Probe, Told, code_of_key, equal, key_of_code, unsigned};
use crate::value::{Key, RowLayout, Value};

/// Hash tables of one index.
const SHARDS: usize = 256;
/// The most keys that are moved at once to let a directory begin elsewhere.
const MOVED_MAX: usize = 4096;

/// A table's rows by slot, and how to read them.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) layout: RowLayout,
    places: Paged<Place>,
    heap: Heap,
}

impl Rows {
    /// No rows of this layout.
    pub(super) fn new(layout: RowLayout) -> Rows {
        Rows { layout, places: Paged::default(), heap: Heap::default() }
    }

    /// Slots ever in use at once; all slots are below.
    pub(super) fn slots(&self) -> u32 {
        self.places.len() as u32
    }

    /// The bytes of the row in a slot; `None` if there is none.
    #[inline]
    pub(super) fn bytes(&self, slot: u32) -> Option<&[u8]> {
        self.heap.bytes(*self.places.get(slot))
    }

    /// Puts a row into a slot, in the place of the one that may be there.
    pub(super) fn put(&mut self, slot: u32, row: &[u8]) {
        let place = self.places.get_or_grow(slot);
        *place = self.heap.replace(*place, row);
    }

    /// Removes the row in a slot.
    pub(super) fn remove(&mut self, slot: u32) {
        self.heap.free(std::mem::take(self.places.get_mut(slot)));
    }

    /// Removes all rows; their memory, to be dropped bit by bit.
    pub(super) fn take_pages(&mut self) -> Vec<Box<[u8]>> {
        self.places = Paged::default();
        self.heap.take_pages()
    }
}

/// A slot as the hash tables hold it. With its hash beside it a table grows without looking at
/// the rows, which would take milliseconds.
#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    hash: u32,
}

impl Entry {
    fn hash(&self) -> u64 {
        widened(self.hash)
    }
}

/// Slots by the values of some columns of one table.
#[derive(Debug)]
pub(super) struct Index {
    columns: Box<[usize]>,
    told: Told,
    /// For a single integer column: whether it is unsigned, and its dense part.
    dense: Option<(bool, Directory)>,
    hashed: Box<[HashTable<Entry>]>,
    hashed_len: usize,
    /// The keys that are not in the directory, in order; kept where keys are walked.
    ordered: Option<BTreeSet<Key>>,
}

impl Index {
    /// An index over columns of rows of this layout; `ordered` if [`Index::keys_after`] is needed.
    pub(super) fn new(layout: &RowLayout, columns: &[usize], told: Told, ordered: bool) -> Index {
        let dense = match columns {
            [column] => unsigned(layout.column_type(*column)),
            _ => None,
        };
        Index {
            columns: columns.into(),
            told,
            dense: dense.map(|unsigned| (unsigned, Directory::default())),
            hashed: Box::default(),
            hashed_len: 0,
            ordered: ordered.then(BTreeSet::new),
        }
    }

    /// What tells its values apart.
    pub(super) fn told(&self) -> Told {
        self.told
    }

    /// The columns it is over.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// What this index is asked for to find a row like this one.
    #[inline]
    pub(super) fn probe<'r>(&'r self, rows: &'r Rows, row: &'r [u8]) -> Probe<'r> {
        Probe::of_row(&rows.layout, row, &self.columns, self.told)
    }

    /// The slot, or [`NONE`].
    #[inline]
    pub(super) fn find(&self, rows: &Rows, probe: &Probe<'_>) -> u32 {
        if let (Some((unsigned, directory)), Probe::Number(number)) = (&self.dense, probe) {
            match number.code(*unsigned).map(|code| directory.get(code)) {
                None => return NONE,
                Some(Some(slot)) => return slot,
                Some(None) => {}
            }
        }
        self.find_hashed(rows, probe)
    }

    /// Adds a slot whose row is in place and whose values the index does not hold.
    pub(super) fn insert(&mut self, rows: &Rows, fingerprint: Fingerprint, slot: u32) {
        if let Some(code) = self.covered_code(rows, fingerprint)
            && let Some((_, directory)) = &mut self.dense
        {
            directory.set(code, slot);
            return;
        }
        self.insert_hashed(rows, fingerprint, slot);
        self.begin_elsewhere(rows);
    }

    /// Puts `new` in the place of `old`, which is held and has the same values.
    pub(super) fn replace(&mut self, fingerprint: Fingerprint, old: u32, new: u32) {
        if let Some((directory, code)) = self.directory_entry(fingerprint) {
            directory.set(code, new);
            return;
        }
        let hash = fingerprint.hash();
        let shard = self.hashed.get_mut(shard(hash));
        let entry = shard.and_then(|s| s.find_mut(widened(hash), |entry| entry.slot == old));
        if let Some(entry) = entry {
            entry.slot = new;
        }
    }

    /// Removes a slot that is held and whose row is still in place.
    pub(super) fn remove(&mut self, rows: &Rows, fingerprint: Fingerprint, slot: u32) {
        if let Some((directory, code)) = self.directory_entry(fingerprint) {
            directory.remove(code);
        } else {
            self.remove_hashed(rows, fingerprint, slot);
        }
    }

    /// Up to `max` keys after the given one, in the order of their bytes.
    pub(super) fn keys_after(&self, after: Option<&Key>, max: usize) -> Vec<Key> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut sparse = self.ordered.iter().flat_map(|keys| keys.range((start, Bound::Unbounded)));
        let mut dense_from = match after {
            None => Some(0),
            // NULL comes before all numbers.
            Some(key) => code_of_key(key).map_or(Some(0), |code| code.checked_add(1)),
        };
        let mut keys = Vec::new();
        let mut next_sparse = sparse.next();
        while keys.len() < max {
            let dense = match (&self.dense, dense_from) {
                (Some((_, directory)), Some(from)) => directory.next(from),
                _ => None,
            };
            let dense_key = dense.map(|(code, _)| key_of_code(code));
            match (dense_key, next_sparse) {
                (Some(key), sparse) if sparse.is_none_or(|other| key < *other) => {
                    dense_from = dense.and_then(|(code, _)| code.checked_add(1));
                    keys.push(key);
                }
                (_, Some(key)) => {
                    keys.push(key.clone());
                    next_sparse = sparse.next();
                }
                _ => break,
            }
        }
        keys
    }

    /// Takes the ordered keys out, to be dropped bit by bit.
    pub(super) fn take_ordered(&mut self) -> BTreeSet<Key> {
        self.ordered.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn find_hashed(&self, rows: &Rows, probe: &Probe<'_>) -> u32 {
        let (Some(fingerprint), 1..) = (probe.fingerprint(), self.hashed_len) else { return NONE };
        let hash = fingerprint.hash();
        let is_it = |entry: &Entry| entry.hash == hash && self.matches(rows, entry.slot, probe);
        self.hashed[shard(hash)].find(widened(hash), is_it).map_or(NONE, |entry| entry.slot)
    }

    fn insert_hashed(&mut self, rows: &Rows, fingerprint: Fingerprint, slot: u32) {
        if self.hashed.is_empty() {
            self.hashed = (0..SHARDS).map(|_| HashTable::new()).collect();
        }
        let hash = fingerprint.hash();
        self.hashed[shard(hash)].insert_unique(widened(hash), Entry { slot, hash }, Entry::hash);
        self.hashed_len += 1;
        if let (Some(ordered), Some(row)) = (&mut self.ordered, rows.bytes(slot)) {
            ordered.insert(Key::of_row(&rows.layout, row, &self.columns));
        }
    }

    fn remove_hashed(&mut self, rows: &Rows, fingerprint: Fingerprint, slot: u32) {
        if self.hashed.is_empty() {
            return;
        }
        let hash = fingerprint.hash();
        if let Ok(entry) =
            self.hashed[shard(hash)].find_entry(widened(hash), |entry| entry.slot == slot)
        {
            entry.remove();
            self.hashed_len -= 1;
        }
        if let (Some(ordered), Some(row)) = (&mut self.ordered, rows.bytes(slot)) {
            ordered.remove(&Key::of_row(&rows.layout, row, &self.columns));
        }
    }

    fn matches(&self, rows: &Rows, slot: u32, probe: &Probe<'_>) -> bool {
        let Some(row) = rows.bytes(slot) else { return false };
        let is = |column: &usize, other: &Value<'_>| {
            let collation = self.told.collation(rows.layout.column_type(*column));
            equal(&rows.layout.value(row, *column), other, collation, self.told)
        };
        match probe {
            Probe::Nothing => false,
            // A number that the column cannot hold was told from its code.
            Probe::Number(number) => self
                .columns
                .iter()
                .all(|&column| rows.layout.integer(row, column) == Some(number.bits)),
            Probe::Row { layout, row, columns, .. } => {
                let pairs = self.columns.iter().zip(*columns);
                pairs.into_iter().all(|(a, b)| is(a, &layout.value(row, *b)))
            }
            Probe::Values { values, .. } => {
                self.columns.iter().zip(values).all(|(column, value)| is(column, value))
            }
        }
    }

    /// The directory and code of a number, if a page covers it.
    fn directory_entry(&mut self, fingerprint: Fingerprint) -> Option<(&mut Directory, u64)> {
        let Fingerprint::Number(number) = fingerprint else { return None };
        let (unsigned, directory) = self.dense.as_mut()?;
        let code = number.code(*unsigned)?;
        directory.get(code)?;
        Some((directory, code))
    }

    /// The code of a number if a page covers it, or can be made to; what the hash tables hold of a
    /// new page moves into it.
    fn covered_code(&mut self, rows: &Rows, fingerprint: Fingerprint) -> Option<u64> {
        let Fingerprint::Number(number) = fingerprint else { return None };
        let (unsigned, directory) = self.dense.as_mut()?;
        let unsigned = *unsigned;
        let code = number.code(unsigned)?;
        if directory.get(code).is_some() {
            return Some(code);
        }
        let page = directory.cover(code, directory.len() + self.hashed_len)?;
        if self.hashed_len > 0 {
            for code in page {
                let number = Number::of_code(code, unsigned);
                let slot = self.find_hashed(rows, &Probe::Number(number));
                if slot != NONE {
                    self.remove_hashed(rows, Fingerprint::Number(number), slot);
                    if let Some((_, directory)) = &mut self.dense {
                        directory.set(code, slot);
                    }
                }
            }
        }
        Some(code)
    }

    /// Gives up a directory that began in the wrong place: it holds few keys, the hash tables many.
    /// The next key begins it anew. Checked whenever the number of hashed keys has doubled.
    fn begin_elsewhere(&mut self, rows: &Rows) {
        let Some((unsigned, directory)) = &mut self.dense else { return };
        let few = directory.len() <= MOVED_MAX && directory.len() * 4 <= self.hashed_len;
        if self.hashed_len < 1024 || !self.hashed_len.is_power_of_two() || !few {
            return;
        }
        let (unsigned, old) = (*unsigned, std::mem::take(directory));
        let mut next = old.next(0);
        while let Some((code, slot)) = next {
            self.insert_hashed(rows, Fingerprint::Number(Number::of_code(code, unsigned)), slot);
            next = code.checked_add(1).and_then(|from| old.next(from));
        }
    }
}

fn shard(hash: u32) -> usize {
    (hash >> 16) as usize % SHARDS
}

/// The hash as hashbrown takes it, which looks at the low bits and at the highest ones.
fn widened(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::table::Table;
    use super::*;
    use crate::sql::plan::{self, Access, Column, TableIndex, TableSource};
    use crate::value::{RowWriter, Type};

    const BIGINT: Type = Type::Int { bytes: 8, unsigned: false };

    fn table() -> (Table, RowWriter) {
        let column = |name: &str| Column { name: name.to_owned(), ty: BIGINT, nullable: true };
        let layout = RowLayout::new(&[BIGINT, BIGINT]);
        let writer = RowWriter::new(&layout);
        let plan = plan::Table {
            name: "t".to_owned(),
            source: TableSource::Captured,
            columns: vec![column("id"), column("parent")],
            key: vec![0],
            indexes: vec![TableIndex { columns: vec![1], as_groups: false }],
            computed: Vec::new(),
            layout,
        };
        (Table::new(&plan, Told::ByBytes, true, &[None], 64), writer)
    }

    fn key(id: i64) -> Key {
        let mut key = Key::new();
        key.push(&Value::Int(id));
        key
    }

    fn starts() -> impl Strategy<Value = i64> {
        let fixed = [0, -50_000, 1 << 40, (1 << 40) + 100_000, i64::MAX - 70_000, i64::MIN];
        prop_oneof![proptest::sample::select(fixed.to_vec()), -9_000..9_000i64]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        /// Runs of keys come and go, close together and far apart; every key is found and walked
        /// in order, and every list of one parent is whole.
        #[test]
        fn keys_are_found_wherever_they_lie(
            runs in vec((starts(), prop_oneof![4 => Just(1i64), 1 => Just(7), 1 => Just(1 << 33)],
                         1..3000i64, any::<bool>()), 1..8),
        ) {
            let (mut table, mut writer) = table();
            let mut model = BTreeSet::new();
            for (start, step, count, removes) in &runs {
                for i in 0..*count {
                    let id = start.wrapping_add(i.wrapping_mul(*step));
                    if *removes && i % 3 > 0 {
                        let slot = table.slot_of(&key(id));
                        assert_eq!(slot != NONE, model.remove(&id));
                        if slot != NONE {
                            table.remove(slot);
                        }
                    } else if model.insert(id) {
                        writer.set_number(0, id);
                        writer.set_number(1, id >> 3);
                        assert!(table.insert(writer.finish()).is_some());
                    }
                }
            }
            let keys: Vec<Key> = model.iter().map(|id| key(*id)).collect();
            assert_eq!(table.keys_after(None, usize::MAX), keys);
            let middle = keys.len() / 2;
            if let Some(after) = keys.get(middle) {
                let next: Vec<Key> = keys.iter().skip(middle + 1).take(10).cloned().collect();
                assert_eq!(table.keys_after(Some(after), 10), next);
            }
            for id in &model {
                assert_ne!(table.slot_of(&key(*id)), NONE);
                let siblings = model.range(id >> 3 << 3..=id | 7).count();
                let probe = Probe::Number(Number { bits: (id >> 3) as u64, unsigned: false });
                let mut slot = table.first(Access::Index(0), &probe);
                let mut listed = 0;
                while slot != NONE {
                    listed += 1;
                    slot = table.next(Access::Index(0), slot);
                }
                assert_eq!(listed, siblings);
            }
        }
    }
}
