//! Documents that are known to be due but not yet published: the rest of a step that was too
//! large, the fan-out of one row, a view's first fill or its refill.
//!
//! The backlog is written in the same step as the positions and worked off in chunks between
//! steps, always from the engine's current state; so working on an entry twice does no harm, and
//! an entry may be forgotten only when its documents are in Redis.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Fanout};
use crate::sql::plan::{NodeId, Plan, ViewId};
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

/// Work due, oldest first.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    work: VecDeque<Work>,
    /// Entries came or ended since the last store.
    changed: bool,
    /// Chunks taken since the last store.
    chunks: u32,
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
enum Work {
    /// All documents above `after` are to be replaced, and what the state lacks is to go.
    Fill { view: ViewId, after: Option<Key> },
    /// These documents.
    Keys { view: ViewId, keys: VecDeque<Key> },
    /// The documents that one row is part of.
    Fanout(Fanout),
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
}

/// Keys above `after` up to and including `until`; `None` is unbounded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeyRange {
    pub(super) after: Option<Key>,
    pub(super) until: Option<Key>,
}

/// An entry as stored beside the positions. Views go by name: ids are of one start only.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Fill { view: String, after: Option<Key> },
    Keys { view: String, keys: VecDeque<Key> },
    Fanout { view: String, node: NodeId, key: Key },
}

impl Backlog {
    /// Whether nothing is due.
    pub(super) fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// Entries due.
    pub(super) fn len(&self) -> usize {
        self.work.len()
    }

    /// Puts a view's whole fill last, and forgets what else was due of it.
    pub(super) fn fill(&mut self, view: ViewId) {
        self.forget(view);
        self.changed = true;
        self.work.push_back(Work::Fill { view, after: None });
    }

    /// Puts documents of one view last; all of them, when there are too many to name.
    pub(super) fn keys(&mut self, view: ViewId, keys: impl IntoIterator<Item = Key>) {
        self.changed = true;
        self.work.push_back(Work::Keys { view, keys: keys.into_iter().collect() });
        let due = self.work.iter().map(|work| match work {
            Work::Keys { view: of, keys } if *of == view => keys.len(),
            _ => 0,
        });
        if due.sum::<usize>() > KEYS_MAX {
            self.fill(view);
        }
    }

    /// Puts a fan-out last, unless it is due already and not begun; all of its view's documents,
    /// when there are too many.
    pub(super) fn fan_out(&mut self, fanout: Fanout) {
        let view = fanout.view;
        let work = Work::Fanout(fanout);
        if self.work.contains(&work) {
            return;
        }
        self.changed = true;
        self.work.push_back(work);
        let due = self.work.iter().filter(|work| matches!(work, Work::Fanout(_)));
        if due.count() > FANOUTS_MAX {
            self.fill(view);
        }
    }

    /// Takes up to `max` documents off the oldest entry; the rest goes last, so that no view
    /// waits for all of another.
    pub(super) fn next_chunk(&mut self, engine: &mut Engine, max: usize) -> Option<Chunk> {
        let work = self.work.pop_front()?;
        let entries = self.work.len();
        let chunk = match work {
            Work::Fill { view, after } => {
                if after.is_none() {
                    engine.forget_fanouts(view);
                }
                let keys = engine.keys_after(view, after.as_ref(), max);
                let until = if keys.len() < max { None } else { keys.last().cloned() };
                if let Some(last) = &until {
                    self.work.push_back(Work::Fill { view, after: Some(last.clone()) });
                }
                Chunk { view, keys, range: Some(KeyRange { after, until }) }
            }
            Work::Keys { view, mut keys } => {
                let taken = keys.drain(..keys.len().min(max)).collect();
                if !keys.is_empty() {
                    self.work.push_back(Work::Keys { view, keys });
                }
                Chunk { view, keys: taken, range: None }
            }
            Work::Fanout(fanout) => {
                let view = fanout.view;
                let (keys, rest) = engine.fanout_documents(&fanout, max);
                self.work.extend(rest.map(Work::Fanout));
                Chunk { view, keys, range: None }
            }
        };
        self.chunks += 1;
        self.changed |= self.work.len() == entries;
        Some(chunk)
    }

    /// Takes back what a step had no room for: all but the first `done` (at least one) keys of a
    /// chunk. Its range then ends where the step ended.
    pub(super) fn return_rest(&mut self, chunk: &mut Chunk, done: usize) {
        if done >= chunk.keys.len() {
            return;
        }
        let rest = chunk.keys.split_off(done);
        let view = chunk.view;
        match &mut chunk.range {
            None => self.keys(view, rest),
            Some(range) => {
                // What was put back for behind this chunk starts at its end; it is part of this.
                let behind = Work::Fill { view, after: range.until.clone() };
                self.work.retain(|work| *work != behind);
                range.until = chunk.keys.last().cloned();
                self.work.push_back(Work::Fill { view, after: range.until.clone() });
            }
        }
    }

    /// Whether a view's fill is due.
    pub(super) fn fills(&self, view: ViewId) -> bool {
        self.work.iter().any(|work| matches!(work, Work::Fill { view: v, .. } if *v == view))
    }

    /// Whether documents of a view are due.
    pub(super) fn concerns(&self, view: ViewId) -> bool {
        self.work.iter().any(|work| work.view() == view)
    }

    /// Forgets everything due of a view.
    pub(super) fn forget(&mut self, view: ViewId) {
        self.changed = true;
        self.work.retain(|work| work.view() != view);
    }

    /// What to store with the positions, if it is time: the entries as text, `None` when there
    /// are none.
    pub(super) fn take_store(&mut self, plan: &Plan) -> Option<Option<String>> {
        if !self.changed && self.chunks < CHUNKS_PER_STORE {
            return None;
        }
        self.changed = false;
        self.chunks = 0;
        Some((!self.is_empty()).then(|| self.to_text(plan)))
    }

    fn to_text(&self, plan: &Plan) -> String {
        let name = |view: ViewId| plan.view(view).name.clone();
        let stored: Vec<Stored> = self
            .work
            .iter()
            .map(|work| match work.clone() {
                Work::Fill { view, after } => Stored::Fill { view: name(view), after },
                Work::Keys { view, keys } => Stored::Keys { view: name(view), keys },
                Work::Fanout(f) => Stored::Fanout { view: name(f.view), node: f.node, key: f.key },
            })
            .collect();
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// The entries of the views for which `keep` holds, as stored; `None` if the text is no such
    /// entries.
    pub(super) fn from_text(
        text: &str,
        plan: &Plan,
        keep: impl Fn(ViewId) -> bool,
    ) -> Option<Backlog> {
        let stored: Vec<Stored> = serde_json::from_str(text).ok()?;
        let id = |name: &str| {
            plan.views_with_ids().find(|(_, view)| view.name == name).map(|(id, _)| id)
        };
        let work = stored.into_iter().filter_map(|stored| {
            Some(match stored {
                Stored::Fill { view, after } => Work::Fill { view: id(&view)?, after },
                Stored::Keys { view, keys } => Work::Keys { view: id(&view)?, keys },
                Stored::Fanout { view, node, key } => {
                    Work::Fanout(Fanout { view: id(&view)?, node, key, cursor: None })
                }
            })
        });
        let work = work.filter(|work| keep(work.view())).collect();
        Some(Backlog { work, changed: true, chunks: 0 })
    }
}

impl Work {
    fn view(&self) -> ViewId {
        match self {
            Work::Fill { view, .. } | Work::Keys { view, .. } => *view,
            Work::Fanout(fanout) => fanout.view,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::change::{Change, Op};
    use crate::sql::plan::TableId;
    use crate::sql::{Definitions, SourceFile, plan_views};
    use crate::value::{RowWriter, Value};

    const VIEW: ViewId = ViewId(0);

    fn plan() -> Arc<Plan> {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let definitions = Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
        };
        Arc::new(plan_views(&definitions).unwrap())
    }

    fn key(number: i64) -> Key {
        let mut key = Key::new();
        key.push(&Value::Int(number));
        key
    }

    fn engine(plan: &Arc<Plan>, rows: i64) -> Engine {
        let mut engine = Engine::new(Arc::clone(plan));
        let mut row = RowWriter::new(&plan.tables[0].layout);
        for number in 0..rows {
            row.set_number(0, number);
            engine.apply(Change { table: TableId(0), op: Op::Upsert(row.finish()) });
        }
        engine
    }

    #[test]
    fn too_many_fan_outs_are_a_fill() {
        let mut backlog = Backlog::default();
        for number in 0..=FANOUTS_MAX as i64 {
            let fanout = Fanout { view: VIEW, node: NodeId(0), key: key(number), cursor: None };
            assert!(!backlog.fills(VIEW));
            assert_eq!(backlog.len(), number as usize);
            backlog.fan_out(fanout);
        }
        assert!(backlog.fills(VIEW));
        assert_eq!(backlog.len(), 1);
    }

    #[test]
    fn a_fill_covers_every_key_in_adjoining_ranges_however_it_is_cut() {
        let plan = plan();
        for done in 1..=4 {
            let mut engine = engine(&plan, 10);
            let mut backlog = Backlog::default();
            backlog.fill(VIEW);
            let (mut keys, mut reached) = (Vec::new(), None);
            while let Some(mut chunk) = backlog.next_chunk(&mut engine, 4) {
                backlog.return_rest(&mut chunk, done);
                let range = chunk.range.unwrap();
                assert_eq!(range.after, reached);
                reached = range.until.clone();
                keys.extend(chunk.keys);
                assert_eq!(range.until.is_none(), backlog.is_empty());
            }
            assert_eq!(keys, (0..10).map(key).collect::<Vec<_>>());
        }
    }

    #[test]
    fn entries_take_turns_and_a_fill_replaces_what_was_due() {
        let plan = plan();
        let mut engine = engine(&plan, 3);
        let mut backlog = Backlog::default();
        backlog.keys(VIEW, (0..3).map(key));
        backlog.keys(VIEW, [key(7)]);
        assert_eq!(backlog.next_chunk(&mut engine, 2).unwrap().keys, [key(0), key(1)]);
        assert_eq!(backlog.next_chunk(&mut engine, 2).unwrap().keys, [key(7)]);
        backlog.fill(VIEW);
        assert_eq!((backlog.len(), backlog.fills(VIEW)), (1, true));
    }

    #[test]
    fn too_many_keys_become_a_fill() {
        let plan = plan();
        let mut engine = engine(&plan, 3);
        let mut backlog = Backlog::default();
        backlog.keys(VIEW, (0..KEYS_MAX as i64).map(key));
        backlog.fan_out(Fanout { view: VIEW, node: NodeId(0), key: key(5), cursor: None });
        assert_eq!((backlog.len(), backlog.fills(VIEW)), (2, false));
        backlog.keys(VIEW, [key(-1)]);
        assert_eq!((backlog.len(), backlog.fills(VIEW)), (1, true));
        let chunk = backlog.next_chunk(&mut engine, 4).unwrap();
        assert_eq!(chunk.keys, [key(0), key(1), key(2)]);
        assert_eq!(chunk.range, Some(KeyRange { after: None, until: None }));
    }

    #[test]
    fn what_is_stored_is_taken_up_again_and_only_when_it_changed() {
        let plan = plan();
        let mut backlog = Backlog::default();
        assert_eq!(backlog.take_store(&plan), None);
        backlog.keys(VIEW, [key(1), key(2)]);
        backlog.fan_out(Fanout { view: VIEW, node: NodeId(0), key: key(5), cursor: Some(9) });
        let stored = backlog.take_store(&plan).unwrap().unwrap();
        assert_eq!(backlog.take_store(&plan), None);
        let again = Backlog::from_text(&stored, &plan, |_| true).unwrap();
        let fanout = Fanout { view: VIEW, node: NodeId(0), key: key(5), cursor: None };
        let keys = Work::Keys { view: VIEW, keys: [key(1), key(2)].into() };
        assert_eq!(again.work, [keys, Work::Fanout(fanout)]);
        assert!(Backlog::from_text(&stored, &plan, |_| false).unwrap().is_empty());
        assert!(Backlog::from_text("[{}]", &plan, |_| true).is_none());
    }
}
