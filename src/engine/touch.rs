//! Which documents of one view are to be assembled, and what each was when last assembled.

use super::paged::Paged;
use super::table::Table;
use crate::value::Key;

/// Set in a mark while its document is touched; the other bits are the hash it was last assembled
/// with, all zero when that is not known.
const TOUCHED: u64 = 1;

/// The documents of one view.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// Whether changes are to be told.
    live: bool,
    /// By root slot.
    marks: Paged<u64>,
    /// Root slots touched. A slot counts while its mark says so: its row may have gone since.
    touched: Vec<u32>,
    /// Keys whose root row went.
    gone: Vec<Key>,
}

impl Documents {
    /// Whether changes are to be told.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Says whether changes are to be told; what is touched is forgotten where they are not.
    pub(super) fn set_live(&mut self, live: bool) {
        self.live = live;
        if !live {
            self.gone.clear();
            for slot in self.touched.drain(..) {
                *self.marks.get_mut(slot) &= !TOUCHED;
            }
        }
    }

    /// Documents touched, at most.
    pub(super) fn touched(&self) -> usize {
        self.touched.len() + self.gone.len()
    }

    /// Touches the document of a root row.
    pub(super) fn touch(&mut self, slot: u32) {
        let mark = self.marks.get_or_grow(slot);
        if *mark & TOUCHED == 0 {
            *mark |= TOUCHED;
            self.touched.push(slot);
        }
    }

    /// Reads the mark of a root row, so that it is at hand.
    pub(super) fn read(&self, slot: u32) {
        if (slot as usize) < self.marks.len() {
            std::hint::black_box(*self.marks.get(slot));
        }
    }

    /// Follows the removal of a root row.
    pub(super) fn remove(&mut self, slot: u32, key: Key) {
        *self.marks.get_or_grow(slot) = 0;
        if self.live {
            self.gone.push(key);
        }
    }

    /// Follows the removal of all root rows.
    pub(super) fn clear(&mut self) {
        *self = Documents { live: self.live, ..Documents::default() };
    }

    /// Takes what is touched, each key once. `root` holds the root rows.
    pub(super) fn take(&mut self, root: &Table, mut found: impl FnMut(Key)) {
        for slot in self.touched.drain(..) {
            let mark = self.marks.get_mut(slot);
            if *mark & TOUCHED != 0 {
                *mark &= !TOUCHED;
                root.key(slot).into_iter().for_each(&mut found);
            }
        }
        self.gone.sort_unstable();
        self.gone.dedup();
        // A row that came back was touched by its coming.
        let gone = self.gone.drain(..).filter(|key| !root.contains(key));
        gone.for_each(found);
    }

    /// Notes what a document is assembled as; whether that differs from the last time.
    pub(super) fn publish(&mut self, slot: u32, hash: u64) -> bool {
        let mark = self.marks.get_or_grow(slot);
        let hash = (hash & !TOUCHED).max(TOUCHED << 1);
        let differs = *mark & !TOUCHED != hash;
        *mark = hash | (*mark & TOUCHED);
        differs
    }

    /// Forgets what one document was assembled as.
    pub(super) fn forget_published_as(&mut self, slot: u32) {
        *self.marks.get_or_grow(slot) &= TOUCHED;
    }

    /// Forgets what documents were assembled as.
    pub(super) fn forget_published(&mut self) {
        self.marks = Paged::default();
        for &slot in &self.touched {
            *self.marks.get_or_grow(slot) = TOUCHED;
        }
    }
}
