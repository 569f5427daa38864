//! One table: packed rows in slots, found by primary key and by the columns that edges need.
//!
//! A secondary index leads to the first of a list of rows with equal values; the list runs through
//! links that every row has per index. Primary keys are told apart by bytes, values of edges as a
//! comparison tells them: text by its collation. A slot is stable as long as its row lives.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::directory::NONE;
use super::index::{Index, Rows};
use super::long_list::{LongList, LongLists};
use super::order::RowOrder;
use super::paged::Paged;
use super::probe::{Probe, Told};
use crate::sql::plan::{self, Access, TableIndex};
use crate::value::{Key, Row, Type};

/// Keys of an emptied table that are dropped at once.
const DROPPED_KEYS_MAX: usize = 4096;
/// Pages of an emptied table that are dropped at once.
const DROPPED_PAGES_MAX: usize = 256;

/// The rows of a table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Rows,
    len: usize,
    free: Vec<u32>,
    key_types: Vec<Type>,
    ordered: bool,
    primary: Index,
    secondary: Vec<Secondary>,
    /// Rows that changed their places in a list without leaving it.
    promoted: Vec<u32>,
    retired: Retired,
}

/// Rows in lists of equal values. Rows in which one is NULL are in no list, but for those of groups.
#[derive(Debug)]
struct Secondary {
    heads: Index,
    links: Paged<Links>,
    /// The head of every list is its first row by this, but for long ones; the others
    /// come as they may.
    leading: Option<RowOrder>,
    /// Long lists of which summaries are kept.
    long_lists: Option<Box<LongLists>>,
    /// The fewest rows of a list that is taken for long.
    long: usize,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    previous: u32,
    next: u32,
}

impl Default for Links {
    fn default() -> Links {
        Links { previous: NONE, next: NONE }
    }
}

/// What is left of an emptied table: memory to be given back bit by bit.
#[derive(Debug, Default)]
struct Retired {
    pages: Vec<Box<[u8]>>,
    keys: BTreeSet<Key>,
}

impl Table {
    /// An empty table, whose keys are told apart by `told`; `ordered` if they are to be walked in
    /// order, `leading` the order of the first rows by index, `long` the fewest rows of a list that
    /// is taken for long.
    pub(super) fn new(
        plan: &plan::Table,
        told: Told,
        ordered: bool,
        leading: &[Option<RowOrder>],
        long: usize,
    ) -> Table {
        let layout = plan.wide_layout();
        let secondary = |(index, leading): (&TableIndex, &Option<RowOrder>)| Secondary {
            heads: Index::new(&layout, &index.columns, Told::in_index(index), false),
            links: Paged::default(),
            leading: leading.clone(),
            long_lists: None,
            long,
        };
        Table {
            len: 0,
            free: Vec::new(),
            key_types: plan.key.iter().map(|&column| plan.columns[column].ty).collect(),
            ordered,
            primary: Index::new(&layout, &plan.key, told, ordered),
            secondary: plan.indexes.iter().zip(leading).map(secondary).collect(),
            promoted: Vec::new(),
            rows: Rows::new(layout),
            retired: Retired::default(),
        }
    }

    /// Rows held.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Slots ever in use at once; all slots are below.
    pub(super) fn slots(&self) -> u32 {
        self.rows.slots()
    }

    /// The row in a slot.
    #[inline]
    pub(super) fn row(&self, slot: u32) -> Option<&[u8]> {
        self.rows.bytes(slot)
    }

    /// The primary key of the row in a slot.
    pub(super) fn key(&self, slot: u32) -> Option<Key> {
        let row = self.row(slot)?;
        Some(Key::of_row(&self.rows.layout, row, self.primary.columns()))
    }

    /// Whether there is a row with this primary key.
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.slot_of(key) != NONE
    }

    /// The slot of the row with this row's primary key, or [`NONE`].
    #[inline]
    pub(super) fn slot_like(&self, row: &Row) -> u32 {
        self.primary.find(&self.rows, &self.primary.probe(&self.rows, row.as_bytes()))
    }

    /// Finds the rows that an upsert of `row` looks at: the one that it replaces, and the heads of
    /// the lists that it belongs to.
    pub(super) fn places(&self, row: &Row, mut found: impl FnMut(u32)) {
        found(self.slot_like(row));
        for secondary in &self.secondary {
            let probe = secondary.heads.probe(&self.rows, row.as_bytes());
            found(secondary.heads.find(&self.rows, &probe));
        }
    }

    /// The slot of the row with this primary key, or [`NONE`].
    #[inline]
    pub(super) fn slot_of(&self, key: &Key) -> u32 {
        self.primary.find(&self.rows, &Probe::of_key(key, &self.key_types, self.primary.told()))
    }

    /// The first slot of the rows found by an edge's values, or [`NONE`].
    #[inline]
    pub(super) fn first(&self, access: Access, probe: &Probe<'_>) -> u32 {
        match access {
            Access::Primary => self.primary.find(&self.rows, probe),
            Access::Index(i) => self.secondary[i].heads.find(&self.rows, probe),
        }
    }

    /// The slot after this one of the rows found by an edge's values, or [`NONE`].
    #[inline]
    pub(super) fn next(&self, access: Access, slot: u32) -> u32 {
        match access {
            Access::Primary => NONE,
            Access::Index(i) => self.secondary[i].links.get(slot).next,
        }
    }

    /// Whether some list that an index leads to is a long one.
    #[inline]
    pub(super) fn has_long_lists(&self, access: Access) -> bool {
        matches!(access, Access::Index(i) if self.secondary[i].long_lists.is_some())
    }

    /// The long list that an index leads to, by one of its rows.
    #[inline]
    pub(super) fn long_list(&self, access: Access, slot: u32) -> Option<&LongList> {
        match access {
            Access::Index(i) if slot != NONE => self.secondary[i].long_lists.as_ref()?.of(slot),
            _ => None,
        }
    }

    /// Makes the list of a row a long one, unless it is one or short.
    pub(super) fn gather(&mut self, access: Access, slot: u32) {
        if let (Access::Index(i), Some(_)) = (access, self.row(slot)) {
            self.secondary[i].gather(&self.rows, slot);
        }
    }

    /// Reads the places of a row in its lists, so that they are at hand.
    pub(super) fn read_links(&self, slot: u32) {
        for secondary in self.secondary.iter().filter(|_| slot != NONE) {
            std::hint::black_box(*secondary.links.get(slot));
        }
    }

    /// Up to `max` primary keys after the given one, in order.
    pub(super) fn keys_after(&self, after: Option<&Key>, max: usize) -> Vec<Key> {
        self.primary.keys_after(after, max)
    }

    /// Whether putting `row` in the place of the one in `slot` takes that out of the list that
    /// `access` finds it by.
    pub(super) fn relinks(&self, access: Access, slot: u32, row: &Row) -> bool {
        match (access, self.row(slot)) {
            (Access::Index(i), Some(old)) => {
                self.secondary[i].moves(&self.rows, old, row.as_bytes())
            }
            _ => false,
        }
    }

    /// Adds a row whose key is not held. `None` if its key is NULL, which MySQL cannot store.
    pub(super) fn insert(&mut self, row: Row) -> Option<u32> {
        let fingerprint = self.primary.probe(&self.rows, row.as_bytes()).fingerprint()?;
        let slot = self.free.pop().unwrap_or(self.slots());
        self.rows.put(slot, row.as_bytes());
        self.len += 1;
        self.primary.insert(&self.rows, fingerprint, slot);
        for secondary in &mut self.secondary {
            secondary.link(&self.rows, slot);
        }
        Some(slot)
    }

    /// Puts a row in the place of the one with the same key.
    pub(super) fn replace(&mut self, slot: u32, row: Row) {
        let Some(old) = self.rows.bytes(slot) else { return };
        for secondary in &mut self.secondary {
            if secondary.moves(&self.rows, old, row.as_bytes()) {
                secondary.leave(&self.rows, slot, &mut self.promoted);
            }
        }
        let old: SmallVec<[u8; 256]> = SmallVec::from_slice(old);
        self.rows.put(slot, row.as_bytes());
        for secondary in &mut self.secondary {
            if secondary.moves(&self.rows, &old, row.as_bytes()) {
                secondary.link(&self.rows, slot);
            } else {
                secondary.changed(&self.rows, slot, &old, &mut self.promoted);
            }
        }
    }

    /// Removes the row in a slot.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(row) = self.rows.bytes(slot) else { return };
        for secondary in &mut self.secondary {
            secondary.leave(&self.rows, slot, &mut self.promoted);
        }
        if let Some(fingerprint) = self.primary.probe(&self.rows, row).fingerprint() {
            self.primary.remove(&self.rows, fingerprint, slot);
        }
        self.rows.remove(slot);
        self.free.push(slot);
        self.len -= 1;
    }

    /// Removes all rows at once. Their memory goes back with calls of [`Table::drop_retired`].
    pub(super) fn clear(&mut self) {
        let keys: Vec<_> = self.primary.columns().to_vec();
        self.retired.pages.append(&mut self.rows.take_pages());
        self.retired.keys.append(&mut self.primary.take_ordered());
        self.primary = Index::new(&self.rows.layout, &keys, self.primary.told(), self.ordered);
        for secondary in &mut self.secondary {
            let columns = secondary.heads.columns().to_vec();
            let told = secondary.heads.told();
            secondary.heads = Index::new(&self.rows.layout, &columns, told, false);
            secondary.links = Paged::default();
            secondary.long_lists = None;
        }
        self.promoted.clear();
        self.free = Vec::new();
        self.len = 0;
    }

    /// Whether rows of the same columns are found alike by their primary keys in another table.
    pub(super) fn is_found_like(&self, other: &Table) -> bool {
        self.ordered == other.ordered && self.primary.columns() == other.primary.columns()
    }

    /// Takes over all rows of a table of the same columns, whose rows are found like those of this
    /// one, which is empty. Indexes that it lacks are built.
    pub(super) fn take_over(&mut self, former: Table) {
        let Table { rows, len, free, primary, mut secondary, .. } = former;
        (self.rows, self.len, self.free, self.primary) = (rows, len, free, primary);
        for wanted in &mut self.secondary {
            if let Some(at) = secondary.iter().position(|known| known.is_like(wanted)) {
                *wanted = secondary.swap_remove(at);
            } else {
                (0..self.rows.slots()).for_each(|slot| wanted.link(&self.rows, slot));
            }
        }
    }

    /// Takes the rows that changed their places in a list without leaving it: a walk through the
    /// list may have missed them.
    pub(super) fn take_promoted(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.promoted)
    }

    /// Gives back a little of an emptied table's memory.
    pub(super) fn drop_retired(&mut self) {
        let kept = self.retired.pages.len().saturating_sub(DROPPED_PAGES_MAX);
        self.retired.pages.truncate(kept);
        for _ in 0..DROPPED_KEYS_MAX {
            if self.retired.keys.pop_first().is_none() {
                break;
            }
        }
    }
}

impl Secondary {
    /// Whether another index has the same lists, with the same rows at their heads. Long lists are of
    /// one plan's views, and their rows are in no order.
    fn is_like(&self, other: &Secondary) -> bool {
        self.heads.columns() == other.heads.columns()
            && self.heads.told() == other.heads.told()
            && self.leading == other.leading
            && self.long_lists.is_none()
    }

    /// Whether two rows belong into different lists.
    fn moves(&self, rows: &Rows, old: &[u8], new: &[u8]) -> bool {
        self.heads.columns().iter().any(|&column| !rows.layout.same(old, new, column))
    }

    /// Puts a row, in place, into its list: at the head, or behind a head that comes first.
    fn link(&mut self, rows: &Rows, slot: u32) {
        *self.links.get_or_grow(slot) = Links::default();
        let Some(row) = rows.bytes(slot) else { return };
        let probe = self.heads.probe(rows, row);
        let Some(fingerprint) = probe.fingerprint() else { return };
        let head = self.heads.find(rows, &probe);
        if head == NONE {
            self.heads.insert(rows, fingerprint, slot);
            return;
        }
        let is_long = self.long_lists.as_mut().is_some_and(|lists| lists.join(slot, head));
        if !is_long && self.precedes(rows, slot, head) {
            self.heads.replace(fingerprint, head, slot);
            self.insert_after(slot, head, NONE);
        } else {
            let next = self.links.get(head).next;
            self.insert_after(head, slot, NONE);
            self.insert_after(slot, next, head);
        }
    }

    /// Takes a row, still in place, out of its list. Tells which rows changed their
    /// places.
    fn leave(&mut self, rows: &Rows, slot: u32, promoted: &mut Vec<u32>) {
        let left = self.long_lists.as_mut().and_then(|lists| lists.leave(slot));
        let Links { previous, next } = *self.links.get(slot);
        promoted.extend(self.unlink(rows, slot, left.is_some()));
        if left.is_some_and(|left| left * 2 < self.long) {
            let other = if next == NONE { previous } else { next };
            self.dissolve(rows, other, promoted);
        }
    }

    /// Takes a row, still in place, out of its list; the row that heads it now in its stead. Of a
    /// long one any may.
    fn unlink(&mut self, rows: &Rows, slot: u32, is_long: bool) -> Option<u32> {
        let row = rows.bytes(slot)?;
        let fingerprint = self.heads.probe(rows, row).fingerprint()?;
        let Links { previous, next } = self.detach(slot);
        if previous != NONE {
            return None;
        }
        if next == NONE {
            self.heads.remove(rows, fingerprint, slot);
            return None;
        }
        let (first, looked_at) = if is_long { (next, 0) } else { self.first_from(rows, next) };
        if first != next {
            self.detach(first);
            self.insert_after(first, next, NONE);
        }
        self.heads.replace(fingerprint, slot, first);
        if looked_at > self.long {
            self.gather(rows, first);
        }
        Some(first)
    }

    /// Follows a change of a row, which was `old` before, that stays in its list. Tells which rows
    /// changed their places.
    fn changed(&mut self, rows: &Rows, slot: u32, old: &[u8], promoted: &mut Vec<u32>) {
        match &mut self.long_lists {
            Some(lists) if lists.of(slot).is_some() => {
                let Some(row) = rows.bytes(slot) else { return };
                lists.mark(slot, |column| !rows.layout.same(old, row, column));
            }
            _ => self.lead(rows, slot, old, promoted),
        }
    }

    /// Makes the list of a row a long one, unless it is one or short.
    fn gather(&mut self, rows: &Rows, slot: u32) {
        let is_long = self.long_lists.as_ref().is_some_and(|lists| lists.of(slot).is_some());
        let Some(row) = rows.bytes(slot) else { return };
        let mut next = self.heads.find(rows, &self.heads.probe(rows, row));
        let mut members = Vec::new();
        while !is_long && next != NONE {
            members.push(next);
            next = self.links.get(next).next;
        }
        if members.len() > self.long {
            self.long_lists.get_or_insert_default().gather(members);
        }
    }

    /// Gives up the long list of a row that has become short. Tells which rows changed their places.
    fn dissolve(&mut self, rows: &Rows, slot: u32, promoted: &mut Vec<u32>) {
        let Some(lists) = &mut self.long_lists else { return };
        if slot != NONE {
            lists.dissolve(slot);
        }
        if lists.is_empty() {
            self.long_lists = None;
        }
        let Some(row) = (if slot == NONE { None } else { rows.bytes(slot) }) else { return };
        let head = self.heads.find(rows, &self.heads.probe(rows, row));
        let (first, _) = self.first_from(rows, head);
        if first != head {
            // It is linked anew at the head.
            self.unlink(rows, first, false);
            self.link(rows, first);
            promoted.push(first);
        }
    }

    /// Puts the row that comes first at the head, after the one in `slot` was `old` before. Tells
    /// which rows changed their places.
    fn lead(&mut self, rows: &Rows, slot: u32, old: &[u8], promoted: &mut Vec<u32>) {
        let (Some(order), Some(row)) = (&self.leading, rows.bytes(slot)) else { return };
        if order.columns().all(|column| rows.layout.same(old, row, column)) {
            return;
        }
        let probe = self.heads.probe(rows, row);
        let head = self.heads.find(rows, &probe);
        let stays = match head {
            NONE => true,
            head if head == slot => order.compare(&rows.layout, row, old).is_le(),
            head => !self.precedes(rows, slot, head),
        };
        if !stays {
            promoted.extend(self.unlink(rows, slot, false));
            self.link(rows, slot);
            promoted.push(slot);
        }
    }

    /// Whether a row belongs at the head rather than the one that is there.
    fn precedes(&self, rows: &Rows, slot: u32, head: u32) -> bool {
        match (&self.leading, rows.bytes(slot), rows.bytes(head)) {
            (Some(order), Some(row), Some(head)) => order.compare(&rows.layout, row, head).is_lt(),
            _ => true,
        }
    }

    /// The row of the list from `slot` on that belongs at its head, and how many were looked at.
    fn first_from(&self, rows: &Rows, slot: u32) -> (u32, usize) {
        let (mut first, mut next) = (slot, self.links.get(slot).next);
        let mut looked_at = 0;
        while self.leading.is_some() && next != NONE {
            looked_at += 1;
            if self.precedes(rows, next, first) {
                first = next;
            }
            next = self.links.get(next).next;
        }
        (first, looked_at)
    }

    /// Closes the gap that a row leaves; what was before and after it.
    fn detach(&mut self, slot: u32) -> Links {
        let links = std::mem::take(self.links.get_mut(slot));
        if links.next != NONE {
            self.links.get_mut(links.next).previous = links.previous;
        }
        if links.previous != NONE {
            self.links.get_mut(links.previous).next = links.next;
        }
        links
    }

    /// Makes `next` follow `slot`, which follows `previous`.
    fn insert_after(&mut self, slot: u32, next: u32, previous: u32) {
        *self.links.get_mut(slot) = Links { previous, next };
        if next != NONE {
            self.links.get_mut(next).previous = slot;
        }
    }
}
