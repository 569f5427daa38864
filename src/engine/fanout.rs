//! Rows that are part of more documents than one change may touch.

use std::collections::BTreeMap;

use super::document::Fanout;
use super::reach::{Reached, Walk, Watch};
use super::table::Table;
use super::touch::Documents;
use crate::sql::plan::{Plan, TableId, View, ViewId};
use crate::value::{Key, Row};

/// Walks kept in memory between chunks. One that is lost is started again.
const WALKS_MAX: usize = 1024;
/// Rows that may be visited for one document.
const STEPS_PER_DOCUMENT: usize = 4;

/// Finds fan-outs and works them off.
#[derive(Debug)]
pub(super) struct Fanouts {
    max: usize,
    /// Found and not yet told.
    pending: Vec<Fanout>,
    /// Walks begun, by [`Fanout::cursor`].
    walks: BTreeMap<u64, (ViewId, Walk)>,
    next_cursor: u64,
    /// Root slots reached by the walk at hand.
    reached: Vec<u32>,
}

impl Fanouts {
    /// With the most documents that one row may touch at once.
    pub(super) fn new(max: usize) -> Fanouts {
        let (pending, walks, reached) = (Vec::new(), BTreeMap::new(), Vec::new());
        Fanouts { max, pending, walks, next_cursor: 0, reached }
    }

    /// The most documents that one row may touch at once.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Fan-outs found and not yet told.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Tells the fan-outs found.
    pub(super) fn take(&mut self) -> Vec<Fanout> {
        std::mem::take(&mut self.pending)
    }

    /// Touches the documents that a row at a watched node is part of, or notes a fan-out.
    pub(super) fn touch(
        &mut self,
        tables: &[Table],
        view: &View,
        watch: &Watch,
        row: &[u8],
        documents: &mut Documents,
    ) {
        let mut walk = Walk::from_row(tables, view, watch.node, row);
        let mut steps = (self.max + 1) * STEPS_PER_DOCUMENT;
        self.reached.clear();
        loop {
            match walk.next(tables, view, &mut steps) {
                Reached::Root(slot) if self.reached.len() < self.max => self.reached.push(slot),
                Reached::End => break,
                Reached::Root(_) | Reached::Paused => return self.note(tables, view, watch, row),
            }
        }
        self.reached.iter().for_each(|&slot| documents.touch(slot));
    }

    /// The next chunk of a fan-out's documents, and what is left of it.
    pub(super) fn work_off(
        &mut self,
        plan: &Plan,
        tables: &[Table],
        fanout: &Fanout,
        max: usize,
    ) -> (Vec<Key>, Option<Fanout>) {
        let Some(view) = plan.views.get(usize::from(fanout.view.0)) else {
            return (Vec::new(), None);
        };
        let kept = fanout.cursor.and_then(|cursor| self.walks.remove(&cursor));
        let mut walk = match kept {
            Some((_, walk)) => walk,
            None => Walk::from_key(tables, view, fanout.node, &fanout.key),
        };
        let root = &tables[usize::from(view.nodes[0].table.0)];
        let mut keys = Vec::new();
        let mut steps = max.saturating_mul(STEPS_PER_DOCUMENT);
        while keys.len() < max {
            match walk.next(tables, view, &mut steps) {
                Reached::Root(slot) => keys.extend(root.key(slot)),
                Reached::Paused => break,
                Reached::End => return (keys, None),
            }
        }
        // Every chunk has a cursor of its own: one that is asked for twice starts again.
        self.next_cursor += 1;
        if self.walks.len() >= WALKS_MAX {
            self.walks.pop_first();
        }
        self.walks.insert(self.next_cursor, (fanout.view, walk));
        (keys, Some(Fanout { cursor: Some(self.next_cursor), ..fanout.clone() }))
    }

    /// Keeps the walks begun on their lists when a row is about to be removed or replaced.
    pub(super) fn leave(
        &mut self,
        plan: &Plan,
        tables: &[Table],
        row: (TableId, u32),
        by: Option<&Row>,
    ) {
        for (view, walk) in self.walks.values_mut() {
            walk.leave(tables, plan.view(*view), row, by);
        }
    }

    /// Whether a walk is begun and not ended.
    pub(super) fn is_walking(&self) -> bool {
        !self.walks.is_empty()
    }

    /// Forgets the fan-outs of a view, whether found or begun.
    pub(super) fn forget(&mut self, view: ViewId) {
        self.pending.retain(|fanout| fanout.view != view);
        self.walks.retain(|_, (other, _)| *other != view);
    }

    fn note(&mut self, tables: &[Table], view: &View, watch: &Watch, row: &[u8]) {
        let Some(edge) = &view.node(watch.node).edge else { return };
        let layout = &tables[usize::from(view.node(watch.node).table.0)].rows.layout;
        let fanout = Fanout {
            view: watch.view,
            node: watch.node,
            key: Key::of_row(layout, row, &edge.child_columns),
            cursor: None,
        };
        if !self.pending.contains(&fanout) {
            self.pending.push(fanout);
        }
    }
}
