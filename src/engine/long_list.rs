//! Long lists of an index: what aggregates and picks make of their rows is kept block by block, so
//! that a change costs the block that it falls into and the way from there to the whole.
//!
//! The rows of a list stand in an array in any order; a row that goes is replaced by the last.
//! Over it lies a tree of summaries, each of what [`FAN`] below it say, and those at the bottom of
//! the rows of one block. A change marks its block, and whoever asks for the whole finds out anew
//! what is marked. So nothing has to be taken back out of a sum or a maximum, and a summary never
//! tells anything but what its rows say. Only for lists that were found long: what is short is
//! looked through.

use std::cell::RefCell;
use std::hint::black_box;
use std::mem::discriminant;

use smallvec::SmallVec;

use super::directory::NONE;
use super::distinct::DistinctValues;
use super::partial::Partial;
use super::read_ahead::READ_AHEAD;
use crate::sql::plan::{NodeId, ViewId};

/// Rows of a block.
const BLOCK: usize = 16;
/// Summaries that are summed up as one.
const FAN: usize = 4;
/// Slots whose places are held together.
const PART: usize = 1024;

/// The long lists of one index.
#[derive(Debug, Default)]
pub(super) struct LongLists {
    /// Those that are gone are empty.
    lists: Vec<LongList>,
    free: Vec<u32>,
    /// By slot.
    places: Places,
}

/// Where rows stand: of those parts of a table that have rows of long lists.
#[derive(Debug, Default)]
struct Places {
    parts: Vec<Option<Box<[Place; PART]>>>,
}

/// Where a row stands in its list.
#[derive(Clone, Copy, Debug)]
struct Place {
    list: u32,
    position: u32,
}

impl Default for Place {
    fn default() -> Place {
        Place { list: NONE, position: 0 }
    }
}

/// The rows of one long list.
#[derive(Debug, Default)]
pub(super) struct LongList {
    members: Vec<u32>,
    summaries: RefCell<Vec<Kept>>,
}

/// What is kept of a list for one scope of a view, by its FROM.
#[derive(Debug)]
struct Kept {
    scope: (ViewId, NodeId),
    /// The columns that it follows from.
    columns: Box<[usize]>,
    /// `None` while it is brought up to date.
    summary: Option<Summary>,
}

/// A tree of summaries of the rows of a list.
#[derive(Debug)]
pub(super) enum Summary {
    /// The aggregates of a collection; `None` where a row raises an error.
    Values {
        /// What they come to but for values that differ.
        levels: Levels<Option<Partials>>,
        /// By aggregate: the values that differ.
        distinct: Vec<DistinctValues>,
    },
    /// The first row of a pick.
    First(Levels<First>),
}

/// By aggregate: what some rows come to. Side by side with those of their neighbours, for they are
/// read together and nothing else has read them for a while.
pub(super) type Partials = SmallVec<[Partial; 4]>;

/// The first row of a block by an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// No row counts.
    Nothing,
    /// The row in a slot.
    Row(u32),
    /// A row raises an error.
    Error,
}

/// A tree of summaries, the blocks' first and the whole last.
#[derive(Debug)]
pub(super) struct Levels<T> {
    levels: Vec<Vec<T>>,
    /// Blocks to be found out anew; all of them if there is no level yet.
    marked: Vec<u32>,
}

/// What is read before it is needed, so that the waits for memory overlap.
pub(super) trait Readable {
    /// Reads every cache line of it.
    fn read(&self);
}

impl Readable for First {
    fn read(&self) {
        black_box(*self);
    }
}

impl Readable for Option<Partials> {
    fn read(&self) {
        for partial in self.iter().flatten() {
            black_box(discriminant(partial));
        }
    }
}

impl LongLists {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.lists.len()
    }

    /// The long list of the row in a slot.
    pub(super) fn of(&self, slot: u32) -> Option<&LongList> {
        let Place { list, .. } = self.places.get(slot);
        (list != NONE).then(|| &self.lists[list as usize])
    }

    /// Makes a long list of the rows of a list.
    pub(super) fn gather(&mut self, members: Vec<u32>) {
        let list = self.free.pop().unwrap_or(self.lists.len() as u32);
        for (position, &slot) in members.iter().enumerate() {
            self.places.set(slot, Place { list, position: position as u32 });
        }
        let made = LongList { members, summaries: RefCell::default() };
        match self.lists.get_mut(list as usize) {
            Some(free) => *free = made,
            None => self.lists.push(made),
        }
    }

    /// Adds a row to the long list that another of its list is in, if it is in one; whether it is.
    pub(super) fn join(&mut self, slot: u32, other: u32) -> bool {
        let Place { list, .. } = self.places.get(other);
        if list == NONE {
            return false;
        }
        let members = &mut self.lists[list as usize].members;
        members.push(slot);
        let position = members.len() as u32 - 1;
        self.places.set(slot, Place { list, position });
        self.mark_where(slot, |_| true);
        true
    }

    /// Takes a row out of its long list, if it is in one; how many rows that still has.
    pub(super) fn leave(&mut self, slot: u32) -> Option<usize> {
        let Place { list, position } = self.places.get(slot);
        if list == NONE {
            return None;
        }
        self.mark_where(slot, |_| true);
        let last = self.lists[list as usize].members.last().copied();
        last.into_iter().for_each(|last| self.mark_where(last, |_| true));
        self.places.set(slot, Place::default());
        let members = &mut self.lists[list as usize].members;
        members.swap_remove(position as usize);
        let left = members.len();
        if let Some(&moved) = members.get(position as usize) {
            self.places.set(moved, Place { list, position });
        }
        if left == 0 {
            self.lists[list as usize] = LongList::default();
            self.free.push(list);
        }
        Some(left)
    }

    /// Gives up the long list of a row; its rows.
    pub(super) fn dissolve(&mut self, slot: u32) -> Vec<u32> {
        let Place { list, .. } = self.places.get(slot);
        if list == NONE {
            return Vec::new();
        }
        self.free.push(list);
        let members = std::mem::take(&mut self.lists[list as usize]).members;
        members.iter().for_each(|&slot| self.places.set(slot, Place::default()));
        members
    }

    /// Marks the block of a row some of whose columns changed.
    pub(super) fn mark(&mut self, slot: u32, changed: impl Fn(usize) -> bool) {
        self.mark_where(slot, |columns| columns.iter().any(|column| changed(*column)));
    }

    /// Marks the block of a row for what `concerned` chooses by its columns.
    fn mark_where(&mut self, slot: u32, concerned: impl Fn(&[usize]) -> bool) {
        let Place { list, position } = self.places.get(slot);
        if list == NONE {
            return;
        }
        let block = position / BLOCK as u32;
        for kept in self.lists[list as usize].summaries.get_mut() {
            match &mut kept.summary {
                Some(_) if !concerned(&kept.columns) => {}
                Some(Summary::Values { levels, .. }) => levels.mark(block),
                Some(Summary::First(levels)) => levels.mark(block),
                None => {}
            }
        }
    }
}

impl Places {
    fn get(&self, slot: u32) -> Place {
        let part = self.parts.get(slot as usize / PART).and_then(Option::as_ref);
        part.map_or_else(Place::default, |part| part[slot as usize % PART])
    }

    fn set(&mut self, slot: u32, place: Place) {
        let part = slot as usize / PART;
        if part >= self.parts.len() {
            self.parts.resize_with(part + 1, || None);
        }
        let part = self.parts[part].get_or_insert_with(|| Box::new([Place::default(); PART]));
        part[slot as usize % PART] = place;
    }
}

impl LongList {
    /// The summary for a scope, taken out to be brought up to date; `None` if there is none yet.
    pub(super) fn take(&self, scope: (ViewId, NodeId)) -> Option<Summary> {
        let mut summaries = self.summaries.borrow_mut();
        summaries.iter_mut().find(|kept| kept.scope == scope)?.summary.take()
    }

    /// Keeps a summary that is up to date and follows from these columns.
    pub(super) fn keep(&self, scope: (ViewId, NodeId), columns: &[usize], summary: Summary) {
        let mut summaries = self.summaries.borrow_mut();
        match summaries.iter_mut().find(|kept| kept.scope == scope) {
            Some(kept) => kept.summary = Some(summary),
            None => {
                summaries.push(Kept { scope, columns: columns.into(), summary: Some(summary) });
            }
        }
    }

    /// The slots of its rows.
    pub(super) fn members(&self) -> &[u32] {
        &self.members
    }
}

impl<T> Default for Levels<T> {
    fn default() -> Levels<T> {
        Levels { levels: Vec::new(), marked: Vec::new() }
    }
}

impl<T: Readable> Levels<T> {
    /// Brings the summaries up to date and tells that of the whole; `None` of no row.
    pub(super) fn refresh(
        &mut self,
        members: &[u32],
        mut of_block: impl FnMut(usize, &[u32]) -> T,
        of_summaries: impl Fn(&[T]) -> T,
    ) -> Option<&T> {
        let blocks = blocks(members.len());
        self.read_ahead();
        let mut marked = std::mem::take(&mut self.marked);
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
            marked = (0..blocks as u32).collect();
        }
        renew(&mut self.levels[0], blocks, &mut marked, |at| of_block(at, block(members, at)));
        let mut level = 0;
        while self.levels[level].len() > 1 {
            marked.iter_mut().for_each(|at| *at /= FAN as u32);
            if level + 1 == self.levels.len() {
                self.levels.push(Vec::new());
                marked = (0..self.levels[level].len().div_ceil(FAN) as u32).collect();
            }
            let (below, above) = self.levels.split_at_mut(level + 1);
            let below = &below[level];
            let children = |at: usize| &below[at * FAN..below.len().min((at + 1) * FAN)];
            renew(&mut above[0], below.len().div_ceil(FAN), &mut marked, |at| {
                of_summaries(children(at))
            });
            level += 1;
        }
        self.levels.truncate(level + 1);
        self.levels[level].first()
    }

    /// Reads what is put together anew, so that the waits for it overlap.
    fn read_ahead(&self) {
        for &block in self.marked.iter().take(READ_AHEAD) {
            let mut first = block as usize / FAN * FAN;
            for level in &self.levels {
                level.iter().skip(first).take(FAN).for_each(T::read);
                first = first / FAN / FAN * FAN;
            }
        }
    }

    /// The first block of which this is true, where it is also true of all that it is part of.
    pub(super) fn find(&self, is: impl Fn(&T) -> bool) -> Option<usize> {
        let mut at = 0;
        for level in self.levels.iter().rev() {
            at = (at * FAN..level.len().min((at + 1) * FAN)).find(|at| is(&level[*at]))?;
        }
        Some(at)
    }

    fn mark(&mut self, block: u32) {
        let Some(blocks) = self.levels.first().map(Vec::len) else { return };
        if self.marked.last() != Some(&block) {
            self.marked.push(block);
        }
        // Of many marks no more are kept than there are blocks.
        if self.marked.len() > 2 * blocks.max(BLOCK) {
            self.marked.sort_unstable();
            self.marked.dedup();
        }
    }
}

/// The rows of a block.
pub(super) fn block(members: &[u32], at: usize) -> &[u32] {
    &members[at * BLOCK..members.len().min((at + 1) * BLOCK)]
}

/// How many blocks so many rows are.
pub(super) fn blocks(rows: usize) -> usize {
    rows.div_ceil(BLOCK)
}

/// Makes a level this long, and anew what is marked. Where its end moves, so does what the last says.
fn renew<T>(
    level: &mut Vec<T>,
    len: usize,
    marked: &mut Vec<u32>,
    mut make: impl FnMut(usize) -> T,
) {
    if level.len() != len {
        let grown = level.len().saturating_sub(1)..len;
        marked.extend(grown.map(|at| at as u32));
        marked.extend(len.checked_sub(1).map(|last| last as u32));
        level.truncate(len);
    }
    marked.sort_unstable();
    marked.dedup();
    marked.retain(|at| (*at as usize) < len);
    for &mut at in marked {
        let made = make(at as usize);
        match level.get_mut(at as usize) {
            Some(known) => *known = made,
            None => level.push(made),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Rows come, go and change; what a list says of them is what they are.
        #[test]
        fn groups_say_what_their_rows_are(acts in vec((0..400u32, 0..4u8, any::<bool>()), 1..800)) {
            let mut lists = LongLists::default();
            lists.gather(vec![0]);
            let mut values = BTreeMap::from([(0, 7)]);
            let scope = (ViewId(0), NodeId(1));
            let mut next = 7u64;
            for (slot, act, asked) in acts {
                next = next.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let slot = slot.max(1);
                match (act, values.contains_key(&slot)) {
                    (0, true) => {
                        prop_assert_eq!(lists.leave(slot), Some(values.len() - 1));
                        values.remove(&slot);
                    }
                    (_, true) => {
                        values.insert(slot, next);
                        lists.mark(slot, |column| column == 3);
                    }
                    (_, false) => {
                        values.insert(slot, next);
                        prop_assert!(lists.join(slot, 0));
                    }
                }
                if asked {
                    let list = lists.of(0).unwrap();
                    let mut levels = match list.take(scope) {
                        Some(Summary::First(levels)) => levels,
                        _ => Levels::default(),
                    };
                    let least = |slots: &mut dyn Iterator<Item = u32>| {
                        slots.min_by_key(|slot| values[slot]).map_or(First::Nothing, First::Row)
                    };
                    let row = |first: &First| match first {
                        First::Row(slot) => Some(*slot),
                        _ => None,
                    };
                    let found = levels.refresh(
                        list.members(),
                        |_, slots| least(&mut slots.iter().copied()),
                        |firsts| least(&mut firsts.iter().filter_map(row)),
                    );
                    let expected = least(&mut values.keys().copied());
                    prop_assert_eq!(found, Some(&expected));
                    list.keep(scope, &[2, 3], Summary::First(levels));
                }
            }
            prop_assert_eq!(lists.dissolve(0).len(), values.len());
            prop_assert!(lists.is_empty());
        }
    }
}
