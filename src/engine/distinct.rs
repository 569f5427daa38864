//! The values that differ among the rows of a long list, kept while its blocks change.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::tally::{Tuple, compare_all};
use crate::value::Value;

/// Values that differ, and in how many blocks each is. A change costs the values by which its block
/// differs from what it was, and a pointer a row is held beside each value.
#[derive(Debug, Default)]
pub(super) struct DistinctValues {
    /// By block: its own, in their order.
    blocks: Vec<Vec<Shared>>,
    counts: BTreeMap<Shared, u32>,
}

/// Values that blocks share.
#[derive(Clone, Debug)]
struct Shared(Arc<[Value<'static>]>);

impl DistinctValues {
    /// Puts these values, in their order and each once, in the place of those of a block, or behind
    /// the last block.
    pub(super) fn put(&mut self, block: usize, values: BTreeSet<Tuple<'_>>) {
        if block == self.blocks.len() {
            self.blocks.push(Vec::new());
        }
        let mut known = std::mem::take(&mut self.blocks[block]).into_iter().peekable();
        let mut present = Vec::new();
        for Tuple(value) in values {
            while let Some(gone) = known.next_if(|known| compare_all(&known.0, &value).is_lt()) {
                self.forget(gone);
            }
            let same = known.next_if(|known| compare_all(&known.0, &value).is_eq());
            present.push(match same {
                Some(same) => same,
                None => self.note(value.into_iter().map(Value::into_owned).collect()),
            });
        }
        known.for_each(|gone| self.forget(gone));
        self.blocks[block] = present;
    }

    /// Forgets all blocks but the first so many.
    pub(super) fn truncate(&mut self, blocks: usize) {
        while self.blocks.len() > blocks {
            let gone = self.blocks.pop().unwrap_or_default();
            gone.into_iter().for_each(|value| self.forget(value));
        }
    }

    /// All values, in their order.
    pub(super) fn values(
        &self,
    ) -> impl DoubleEndedIterator<Item = &[Value<'static>]> + ExactSizeIterator {
        self.counts.keys().map(|value| &*value.0)
    }

    fn note(&mut self, value: Arc<[Value<'static>]>) -> Shared {
        let entry = self.counts.entry(Shared(value));
        let shared = entry.key().clone();
        *entry.or_default() += 1;
        shared
    }

    fn forget(&mut self, value: Shared) {
        if let Some(count) = self.counts.get_mut(&value) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&value);
            }
        }
    }
}

impl Ord for Shared {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_all(&self.0, &other.0)
    }
}

impl PartialOrd for Shared {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Shared {}
