//! Long lists of an index: what aggregates and picks make of their rows is kept block by block, so
//! that a change costs the block that it falls into and the way from there to the whole.
//!
//! The rows of a list stand in an array in any order; a row that goes is replaced by the last.
//! Over it lies a tree of summaries, each of what [`FAN`] below it say, and those at the bottom of
//! the rows of one block. A change marks its block, and whoever asks for the whole finds out anew
//! what is marked. On the way up a summary takes what one below it said for what it says now, which
//! needs none of the others: a sum changes by the difference, and a maximum stays where neither is
//! above it. Where that does not tell, it is put together anew. So a summary never tells anything but
//! what its rows say. Only for lists that were found long: what is short is looked through.

use std::cell::RefCell;
use std::mem::replace;

use smallvec::SmallVec;

use super::directory::NONE;
use super::distinct::DistinctValues;
use super::first::First;
use super::partial::Partial;
use super::read_ahead::READ_AHEAD;
use crate::sql::plan::{NodeId, ViewId};

/// Rows of a block.
const BLOCK: usize = 16;
/// Summaries that are summed up as one.
const FAN: usize = 16;
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

/// A tree of summaries, the blocks' first and the whole last.
#[derive(Debug)]
pub(super) struct Levels<T> {
    levels: Vec<Vec<T>>,
    /// Blocks to be found out anew; all of them if there is no level yet.
    marked: Vec<u32>,
}

/// How the summaries of a tree are put together.
pub(super) trait Summing<T> {
    /// What some that are neighbours come to.
    fn all(&self, summaries: &[T]) -> T;

    /// Has some of those that `whole` is put together of say something new, each pair the old and
    /// the new. `None` if that does not tell what the whole is then; else whether it changes.
    fn exchange(&self, whole: &mut T, exchanged: &[(&T, &T)]) -> Option<bool>;

    /// Reads every cache line of a summary before it is needed, so that the waits for memory overlap.
    fn read(&self, summary: &T);
}

/// A summary that changed, and what it said before; `None` if those above it are to be put together
/// anew.
struct Changed<T> {
    at: usize,
    before: Option<T>,
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

impl<T: Clone> Levels<T> {
    /// Brings the summaries up to date and tells that of the whole; `None` of no row.
    pub(super) fn refresh(
        &mut self,
        members: &[u32],
        mut of_block: impl FnMut(usize, &[u32]) -> T,
        summing: &impl Summing<T>,
    ) -> Option<&T> {
        let blocks = blocks(members.len());
        self.read_ahead(summing);
        let mut marked = std::mem::take(&mut self.marked);
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        let lowest = &mut self.levels[0];
        let is_shorter = blocks < lowest.len();
        let last = blocks.checked_sub(1).filter(|_| is_shorter);
        marked.extend((lowest.len()..blocks).chain(last).map(|at| at as u32));
        marked.sort_unstable();
        marked.dedup();
        lowest.truncate(blocks);
        let marked = marked.into_iter().map(|at| at as usize).filter(|at| *at < blocks);
        let mut changed: Vec<_> = marked
            .map(|at| {
                let before = put(lowest, at, of_block(at, block(members, at)));
                Changed { at, before: before.filter(|_| last != Some(at)) }
            })
            .collect();
        let mut level = 0;
        while self.levels[level].len() > 1 {
            if level + 1 == self.levels.len() {
                self.levels.push(Vec::new());
                let all = 0..self.levels[level].len();
                changed = all.map(|at| Changed { at, before: None }).collect();
            }
            let (below, above) = self.levels.split_at_mut(level + 1);
            changed = ascend(&below[level], &mut above[0], &changed, summing);
            level += 1;
        }
        self.levels.truncate(level + 1);
        self.levels[level].first()
    }

    /// Reads what is changed, so that the waits for it overlap.
    fn read_ahead(&self, summing: &impl Summing<T>) {
        for &block in self.marked.iter().take(READ_AHEAD) {
            let mut at = block as usize;
            for level in &self.levels {
                level.get(at).into_iter().for_each(|summary| summing.read(summary));
                at /= FAN;
            }
        }
    }
}

impl<T> Levels<T> {
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
        let many = 2 * blocks.max(BLOCK);
        if self.marked.len() > many {
            self.marked.sort_unstable();
            self.marked.dedup();
        }
        // Most of what there is now was added since: nothing that is kept is of use.
        if self.marked.len() > many {
            *self = Levels::default();
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

/// Puts a summary at its place, or behind the last; what stood there.
fn put<T>(level: &mut Vec<T>, at: usize, summary: T) -> Option<T> {
    match level.get_mut(at) {
        Some(known) => Some(replace(known, summary)),
        None => {
            level.push(summary);
            None
        }
    }
}

/// Brings a level up to date with what changed in the one below; what changes thereby.
fn ascend<T: Clone>(
    below: &[T],
    above: &mut Vec<T>,
    changed: &[Changed<T>],
    summing: &impl Summing<T>,
) -> Vec<Changed<T>> {
    let len = below.len().div_ceil(FAN);
    let is_shorter = len < above.len();
    above.truncate(len);
    let mut ascended = Vec::new();
    for changed in changed.chunk_by(|a, b| a.at / FAN == b.at / FAN) {
        let at = changed[0].at / FAN;
        let before = above.get(at).cloned();
        let exchanged = above.get_mut(at).and_then(|whole| {
            let pairs = changed.iter().map(|c| Some((c.before.as_ref()?, &below[c.at])));
            let pairs: SmallVec<[_; FAN]> = pairs.collect::<Option<_>>()?;
            summing.exchange(whole, &pairs)
        });
        match exchanged {
            Some(false) => continue,
            Some(true) => {}
            None => {
                let children = &below[at * FAN..below.len().min((at + 1) * FAN)];
                put(above, at, summing.all(children));
            }
        }
        // What was behind the end is gone, whatever it said.
        let is_end = is_shorter && at + 1 == len;
        ascended.push(Changed { at, before: before.filter(|_| !is_end) });
    }
    ascended
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The row of the least value.
    struct Least<'v>(&'v BTreeMap<u32, u64>);

    impl Least<'_> {
        fn of(&self, slots: impl Iterator<Item = u32>) -> First {
            slots.min_by_key(|slot| self.0.get(slot)).map_or(First::Nothing, First::Row)
        }
    }

    impl Summing<First> for Least<'_> {
        fn all(&self, firsts: &[First]) -> First {
            let row = |first: &First| match first {
                First::Row(slot) => Some(*slot),
                _ => None,
            };
            self.of(firsts.iter().filter_map(row))
        }

        fn exchange(&self, whole: &mut First, exchanged: &[(&First, &First)]) -> Option<bool> {
            if exchanged.iter().any(|(old, _)| whole == *old) {
                return None;
            }
            let all = exchanged.iter().fold(*whole, |all, (_, new)| self.all(&[all, **new]));
            Some(replace(whole, all) != all)
        }

        fn read(&self, _: &First) {}
    }

    proptest! {
        /// Rows come, go and change; what a list says of them is what they are.
        #[test]
        fn groups_say_what_their_rows_are(acts in vec((0..400u32, 0..4u8, prop::bool::weighted(0.2)), 1..800)) {
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
                    let least = Least(&values);
                    let found = levels.refresh(
                        list.members(),
                        |_, slots| least.of(slots.iter().copied()),
                        &least,
                    );
                    let expected = least.of(values.keys().copied());
                    prop_assert_eq!(found, Some(&expected));
                    list.keep(scope, &[2, 3], Summary::First(levels));
                }
            }
            prop_assert_eq!(lists.dissolve(0).len(), values.len());
            prop_assert!(lists.is_empty());
        }
    }

    /// A list may grow a thousandfold while nobody asks, as for a view that stands still.
    #[test]
    fn marks_are_as_few_as_what_is_kept() {
        let mut lists = LongLists::default();
        lists.gather((0..100).collect());
        let scope = (ViewId(0), NodeId(1));
        let values = (0..5000).map(|slot| (slot, 5000 - u64::from(slot))).collect();
        let ask = |lists: &LongLists| {
            let list = lists.of(0).unwrap();
            let mut levels = match list.take(scope) {
                Some(Summary::First(levels)) => levels,
                _ => Levels::default(),
            };
            let least = Least(&values);
            let of_block = |_, slots: &[u32]| least.of(slots.iter().copied());
            let found = levels.refresh(list.members(), of_block, &least).copied();
            list.keep(scope, &[], Summary::First(levels));
            found
        };
        assert_eq!(ask(&lists), Some(First::Row(99)));
        for slot in 100..5000 {
            assert!(lists.join(slot, 0));
            let summaries = lists.lists[0].summaries.borrow();
            let Some(Summary::First(levels)) = &summaries[0].summary else { panic!("none") };
            assert!(levels.marked.len() <= 2 * BLOCK, "{slot}: {}", levels.marked.len());
        }
        assert_eq!(ask(&lists), Some(First::Row(4999)));
    }
}
