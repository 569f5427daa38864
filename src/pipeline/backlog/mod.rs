//! Documents that are known to be due but not yet published: the rest of a step that was too
//! large, the fan-out of one row, a view's first fill or its refill.
//!
//! The backlog is written in the same step as the positions and worked off in chunks between
//! steps, always from the engine's current state; so working on an entry twice does no harm, and
//! an entry may be forgotten only when its documents are in Redis.
//!
//! Every entry remembers what was applied when it came due. What a view contains for certain is
//! what its oldest entry says, and rises as entries are worked off, however many come after them. A
//! fill that goes around once more for what came due meanwhile rises where it was to end before.
//!
//! A document that is due by a fan-out is not reached by it any more once a row on its way there
//! changes. Then it is due by that row, which lies further up: so what comes due further up counts
//! as due since the oldest of the fan-outs further down that are not done.
//!
//! Views take turns, however many entries each has, and a turn ends when it has cost so much work. A
//! document is never divided: a view one of whose documents costs more than a turn lets the others go
//! ahead for as many turns as it cost. What decides are rows looked at, not time, so the same records
//! in the same steps make the same chunks.

mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::iter;
use std::sync::Arc;

use super::views::Views;
use crate::engine::{Engine, Fanout};
use crate::sql::plan::{NodeId, Plan, View, ViewId};
use crate::value::Key;

/// Chunks after which progress within entries is stored. What is stored may lag behind: work done
/// twice does no harm, and a list of many keys is not written again with every chunk.
const CHUNKS_PER_STORE: u32 = 16;

/// Most single documents due of one view. With more its whole fill is due instead, which takes
/// no memory by the document.
const KEYS_MAX: usize = 64 << 10;

/// Most fan-outs due. With more the whole fill of a view is due instead; the engine remembers where
/// it is in a few times as many.
const FANOUTS_MAX: usize = 256;

/// Most moments that entries are told apart by. With more, what comes due counts as due since the
/// last of them, until one is done with.
const MOMENTS_MAX: usize = 16;

/// Work due, in the order of its turns.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    work: VecDeque<Work>,
    /// What comes due now is due since then.
    now: Moment,
    /// Entries came or ended since the last store.
    changed: bool,
    /// Chunks taken since the last store.
    chunks: u32,
    /// By view that had a turn.
    shares: BTreeMap<ViewId, Share>,
    /// Turns that the view had by then whose turn it was last: who comes later has had as many.
    turn: u64,
}

/// What a view had of the turns so far, and what it may have next.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share {
    turns: u64,
    /// Most documents of its next chunk: as many as a turn had work for.
    documents: usize,
}

/// What was applied at some moment; later moments have higher numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moment {
    number: u64,
    /// As of [`crate::keyspace::Contained::to_field`].
    applied: Arc<str>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
enum Work {
    Fill(Fill),
    /// These documents.
    Keys {
        view: ViewId,
        since: Moment,
        keys: VecDeque<Key>,
    },
    /// The documents that one row is part of, so many edges below them.
    Fanout {
        since: Moment,
        depth: usize,
        fanout: Fanout,
    },
}

/// A view's documents are to be replaced in the order of their keys, and what the state lacks is to
/// go. There is at most one for a view.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fill {
    view: ViewId,
    /// Before anything that it must bring.
    since: Moment,
    /// Some keys were never passed: there may be documents missing.
    is_first: bool,
    /// The key passed last.
    after: Option<Key>,
    /// It ends with this key; `None` with the last there is.
    until: Option<Key>,
    /// Behind the last key it goes on from the first up to and with this.
    around_to: Option<Key>,
    /// Where it was to end before more came due. Of several the first, so that it is reached.
    mark: Option<Mark>,
}

/// A place on the way of a fill: what it brings behind it came due no earlier than `since`.
#[derive(Clone, Debug, PartialEq)]
struct Mark {
    /// As of the fill.
    until: Option<Key>,
    /// As of the fill.
    around_to: Option<Key>,
    since: Moment,
}

/// What to publish next.
#[derive(Debug, PartialEq)]
pub(super) struct Chunk {
    /// The view.
    pub(super) view: ViewId,
    /// Keys to assemble.
    pub(super) keys: Vec<Key>,
    /// Set when the keys are all that the state has in this range.
    pub(super) range: Option<KeyRange>,
    /// Of what it is a part.
    of: Whole,
}

/// What a chunk was taken off.
#[derive(Debug, PartialEq)]
enum Whole {
    /// A fill, as it was before.
    Fill(Box<Fill>),
    /// Documents that are due since then.
    Documents(Moment),
}

/// Keys above `after` up to and including `until`; `None` is unbounded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeyRange {
    pub(super) after: Option<Key>,
    pub(super) until: Option<Key>,
}

impl Backlog {
    /// Nothing is due where these transactions are applied.
    pub(super) fn at(applied: &str) -> Backlog {
        let now = Moment { number: 0, applied: applied.into() };
        Backlog { now, ..Backlog::default() }
    }

    /// Whether nothing is due.
    pub(super) fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// Entries due.
    pub(super) fn len(&self) -> usize {
        self.work.len()
    }

    /// A step took effect that told these transactions as applied: what comes due from now on does
    /// not touch them.
    pub(super) fn applied(&mut self, applied: &str) {
        if *self.now.applied != *applied && self.moments().len() < MOMENTS_MAX {
            self.now = Moment { number: self.now.number + 1, applied: applied.into() };
        }
    }

    /// Puts a view's whole fill last, and forgets what else was due of it.
    pub(super) fn fill(&mut self, view: ViewId) {
        let since = self.now.clone();
        self.put_fill(Fill { is_first: true, ..Fill::of_all(view, since) });
    }

    /// Puts documents of one view last; all of them, when there are too many to name.
    pub(super) fn keys(&mut self, view: ViewId, keys: impl IntoIterator<Item = Key>) {
        self.put_keys(view, self.due_since(view, 0), keys);
    }

    fn put_keys(&mut self, view: ViewId, since: Moment, more: impl IntoIterator<Item = Key>) {
        self.changed = true;
        let (mut due, mut same) = (0, None);
        for work in &mut self.work {
            if let Work::Keys { view: of, since: then, keys } = work
                && *of == view
            {
                due += keys.len();
                if *then == since {
                    same = Some(keys);
                }
            }
        }
        let before = same.as_ref().map_or(0, |keys| keys.len());
        let after = match same {
            Some(keys) => {
                keys.extend(more);
                keys.len()
            }
            None => {
                let keys: VecDeque<Key> = more.into_iter().collect();
                let len = keys.len();
                self.work.push_back(Work::Keys { view, since, keys });
                len
            }
        };
        if due + after - before > KEYS_MAX {
            self.refill(view);
        }
    }

    /// Puts a fan-out last, unless it is due already and not begun; all of its view's documents,
    /// when there are too many.
    pub(super) fn fan_out(&mut self, plan: &Plan, fanout: Fanout) {
        let fanouts = || self.work.iter().filter_map(Work::fanout);
        if fanouts().any(|due| *due == fanout) {
            return;
        }
        let (view, is_full) = (fanout.view, fanouts().count() >= FANOUTS_MAX);
        self.changed = true;
        let depth = depth(plan.view(view), fanout.node);
        let since = self.due_since(view, depth);
        self.work.push_back(Work::Fanout { since, depth, fanout });
        if is_full {
            self.refill(view);
        }
    }

    /// Since when that counts as due which comes due now, so many edges below the documents.
    fn due_since(&self, view: ViewId, depth: usize) -> Moment {
        let further_down = self.work.iter().filter_map(|work| match work {
            Work::Fanout { since, depth: down, fanout } => {
                (fanout.view == view && *down > depth).then_some(since)
            }
            _ => None,
        });
        further_down.min_by_key(|since| since.number).unwrap_or(&self.now).clone()
    }

    /// Everything of a view is due instead of what was. A fill that is under way goes on, around to
    /// where it is now: it passes every key once more, but none waits longer than that.
    pub(super) fn refill(&mut self, view: ViewId) {
        let fill = self.work.iter().find_map(|work| work.fill_of(view)).cloned();
        let others =
            self.work.iter().filter(|work| work.view() == view && work.fill_of(view).is_none());
        let since = others.map(Work::since).min_by_key(|since| since.number);
        let since = since.unwrap_or(&self.now).clone();
        self.put_fill(match fill {
            None => Fill::of_all(view, since),
            Some(fill) => fill.once_more_around(since),
        });
    }

    fn put_fill(&mut self, fill: Fill) {
        self.forget(fill.view);
        self.work.push_back(Work::Fill(fill));
    }

    /// Takes up to `max` documents off an entry of the view whose turn it is; the rest goes last, so
    /// that no view waits for all of another.
    pub(super) fn next_chunk(&mut self, engine: &mut Engine, max: usize) -> Option<Chunk> {
        let (work, max) = self.take_turn(max)?;
        let entries = self.work.len();
        let chunk = match work {
            Work::Fill(fill) => {
                if fill.after.is_none() {
                    engine.forget_fanouts(fill.view);
                }
                let keys = engine.keys_after(fill.view, fill.after.as_ref(), max);
                let before = (fill.is_first, fill.since.number);
                let (chunk, rest) = fill.part(keys, max);
                // What is certain rises with the step of this chunk, and must be known again.
                self.changed |=
                    rest.as_ref().is_some_and(|r| (r.is_first, r.since.number) != before);
                self.work.extend(rest.map(Work::Fill));
                chunk
            }
            Work::Keys { view, since, mut keys } => {
                let taken = keys.drain(..keys.len().min(max)).collect();
                if !keys.is_empty() {
                    self.work.push_back(Work::Keys { view, since: since.clone(), keys });
                }
                Chunk { view, keys: taken, range: None, of: Whole::Documents(since) }
            }
            Work::Fanout { since, depth, fanout } => {
                let view = fanout.view;
                let (keys, rest) = engine.fanout_documents(&fanout, max);
                let rest = rest.map(|fanout| Work::Fanout { since: since.clone(), depth, fanout });
                self.work.extend(rest);
                Chunk { view, keys, range: None, of: Whole::Documents(since) }
            }
        };
        self.chunks += 1;
        self.changed |= self.work.len() == entries;
        Some(chunk)
    }

    /// Takes the longest waiting entry of the view that had the fewest turns, and tells how many
    /// documents, at most `max`, are likely to be one turn's work.
    fn take_turn(&mut self, max: usize) -> Option<(Work, usize)> {
        let share = |view| match self.shares.get(&view) {
            Some(share) => Share { turns: share.turns.max(self.turn), ..*share },
            None => Share { turns: self.turn, documents: max },
        };
        let turns = self.work.iter().map(|work| share(work.view()).turns);
        let (at, turn) = turns.enumerate().min_by_key(|(_, turns)| *turns)?;
        let work = self.work.remove(at)?;
        let Share { documents, .. } = share(work.view());
        self.turn = turn;
        self.shares.insert(work.view(), Share { turns: turn + 1, documents });
        Some((work, documents.min(max)))
    }

    /// Notes what the first `done` documents of a chunk cost, in turns.
    pub(super) fn spent(&mut self, chunk: &Chunk, done: usize, turns: u64) {
        if let Some(share) = self.shares.get_mut(&chunk.view) {
            // One was counted when it was taken.
            share.turns += turns.saturating_sub(1);
            let is_all = done >= chunk.keys.len();
            share.documents = if is_all { share.documents.saturating_mul(2) } else { done.max(1) };
        }
    }

    /// Takes back what a step had no room for: all but the first `done` (at least one) keys of a
    /// chunk. Its range then ends where the step ended.
    pub(super) fn return_rest(&mut self, chunk: &mut Chunk, done: usize) {
        if done >= chunk.keys.len() {
            return;
        }
        let rest = chunk.keys.split_off(done);
        match &chunk.of {
            Whole::Documents(since) => self.put_keys(chunk.view, since.clone(), rest),
            Whole::Fill(fill) => {
                let after = chunk.keys.last().cloned();
                self.work.retain(|work| work.fill_of(chunk.view).is_none());
                self.work.push_back(Work::Fill(Fill { after: after.clone(), ..(**fill).clone() }));
                if let Some(range) = &mut chunk.range {
                    range.until = after;
                }
            }
        }
    }

    /// Whether a view's fill is due.
    pub(super) fn fills(&self, view: ViewId) -> bool {
        self.work.iter().any(|work| work.fill_of(view).is_some())
    }

    /// What a view contains for certain while documents of it are due: what was applied before the
    /// first of them came due; nothing while some may be missing. `None` when none is due.
    pub(super) fn certain(&self, view: ViewId) -> Option<&str> {
        let of_view = || self.work.iter().filter(|work| work.view() == view);
        if of_view().any(|work| work.fill_of(view).is_some_and(|fill| fill.is_first)) {
            return Some("");
        }
        let oldest = of_view().map(Work::since).min_by_key(|since| since.number)?;
        Some(&oldest.applied)
    }

    /// Forgets everything due of a view.
    pub(super) fn forget(&mut self, view: ViewId) {
        self.changed = true;
        self.work.retain(|work| work.view() != view);
    }

    /// What to store with the positions, if it is time: the entries as text, `None` when there
    /// are none.
    pub(super) fn take_store(&mut self, plan: &Plan, views: &Views) -> Option<Option<String>> {
        if !self.changed && self.chunks < CHUNKS_PER_STORE {
            return None;
        }
        self.changed = false;
        self.chunks = 0;
        Some((!self.is_empty()).then(|| self.to_text(plan, views)))
    }

    /// The moments since which something is due, by number.
    fn moments(&self) -> BTreeMap<u64, &Moment> {
        let moments = self.work.iter().flat_map(|work| iter::once(work.since()).chain(work.then()));
        moments.map(|moment| (moment.number, moment)).collect()
    }
}

impl Work {
    fn view(&self) -> ViewId {
        match self {
            Work::Fill(fill) => fill.view,
            Work::Keys { view, .. } => *view,
            Work::Fanout { fanout, .. } => fanout.view,
        }
    }

    fn since(&self) -> &Moment {
        match self {
            Work::Fill(Fill { since, .. })
            | Work::Keys { since, .. }
            | Work::Fanout { since, .. } => since,
        }
    }

    /// Since when that is due which it brings last.
    fn then(&self) -> Option<&Moment> {
        match self {
            Work::Fill(fill) => fill.mark.as_ref().map(|mark| &mark.since),
            _ => None,
        }
    }

    fn fill_of(&self, view: ViewId) -> Option<&Fill> {
        match self {
            Work::Fill(fill) if fill.view == view => Some(fill),
            _ => None,
        }
    }

    fn fanout(&self) -> Option<&Fanout> {
        match self {
            Work::Fanout { fanout, .. } => Some(fanout),
            _ => None,
        }
    }
}

impl Fill {
    /// From the first key to the last.
    fn of_all(view: ViewId, since: Moment) -> Fill {
        let (after, until, around_to, mark) = (None, None, None, None);
        Fill { view, since, is_first: false, after, until, around_to, mark }
    }

    /// The same, on and around to where it is now, for what is due since then.
    fn once_more_around(self, since: Moment) -> Fill {
        let (until, around_to) = (self.until, self.around_to);
        let mark = self.mark.unwrap_or(Mark { until, around_to, since });
        Fill { until: None, around_to: self.after.clone(), mark: Some(mark), ..self }
    }

    /// The part with the next keys that the state has, at most `max`, and what is left of it.
    fn part(self, mut keys: Vec<Key>, max: usize) -> (Chunk, Option<Fill>) {
        let mut is_all = keys.len() < max;
        if let Some(until) = &self.until {
            let within = keys.partition_point(|key| key <= until);
            is_all |= within < keys.len();
            keys.truncate(within);
        }
        let until = if is_all { self.until.clone() } else { keys.last().cloned() };
        let rest = match &self.around_to {
            _ if !is_all => Some(Fill { after: until.clone(), ..self.clone() }),
            Some(around_to) => Some(Fill {
                is_first: false,
                after: None,
                until: Some(around_to.clone()),
                around_to: None,
                ..self.clone()
            }),
            None => None,
        };
        let rest = rest.map(|rest| rest.past_mark(until.as_ref(), is_all));
        let range = Some(KeyRange { after: self.after.clone(), until });
        (Chunk { view: self.view, keys, range, of: Whole::Fill(Box::new(self)) }, rest)
    }

    /// What is left when all is brought up to a key, which may be where it turns around (`None`: the
    /// last there is).
    fn past_mark(mut self, key: Option<&Key>, turns: bool) -> Fill {
        self.mark = match self.mark {
            Some(Mark { around_to: Some(until), since, .. }) if turns => {
                Some(Mark { until: Some(until), around_to: None, since })
            }
            Some(Mark { until, around_to: None, since })
                if turns || until.as_ref().is_some_and(|until| key >= Some(until)) =>
            {
                self.since = since;
                None
            }
            mark => mark,
        };
        self
    }
}

/// Edges between a node and the root of its view.
fn depth(view: &View, node: NodeId) -> usize {
    let parent = |node: &NodeId| {
        let edge = view.nodes.get(usize::from(node.0))?.edge.as_ref();
        edge.map(|edge| edge.parent)
    };
    iter::successors(Some(node), parent).skip(1).count()
}
