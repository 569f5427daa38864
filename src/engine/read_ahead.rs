//! Reads the rows that are about to be needed, for many changes or documents at once.
//!
//! A row that was not looked at for a while is not in the processor's caches, and the work on one
//! change or document finds row after row only through the one before: it would wait for memory
//! again and again. Here the same step is taken for all of them in turn, so that the waits of one
//! step overlap. Nothing is changed, and nothing depends on it but time.

use std::hint::black_box;

use smallvec::SmallVec;

use super::directory::NONE;
use super::order::ViewOrders;
use super::probe::{Probe, Told};
use super::reach::Watch;
use super::table::Table;
use super::touch::Documents;
use crate::change::{Change, Op};
use crate::sql::plan::{Plan, View};

/// Changes or documents that are read ahead for at once: what they need fits the nearer caches.
pub const READ_AHEAD: usize = 64;

/// Rows of a list that are read ahead for each document; longer lists wait for the rest.
const LIST_ROWS: usize = 4;

/// Reads what applying these changes will look at: the rows they replace, their neighbours in
/// lists, and the rows above them.
pub(super) fn changes(
    plan: &Plan,
    tables: &[Table],
    watches: &[Vec<Watch>],
    documents: &[Documents],
    changes: &[Change],
) {
    let rows = || {
        changes.iter().filter_map(|change| match &change.op {
            Op::Upsert(row) => Some((usize::from(change.table.0), row)),
            Op::Delete(_) | Op::Truncate => None,
        })
    };
    let mut neighbours: SmallVec<[(usize, u32); 2 * READ_AHEAD]> = SmallVec::new();
    let mut above: SmallVec<[(&Watch, u32); 2 * READ_AHEAD]> = SmallVec::new();
    for (table, row) in rows() {
        tables[table].places(row, |slot| neighbours.push((table, slot)));
        let live = |watch: &&Watch| documents[usize::from(watch.view.0)].is_live();
        for watch in watches[table].iter().filter(live) {
            let view = plan.view(watch.view);
            if let Some(edge) = &view.node(watch.node).edge {
                let layout = &tables[table].rows.layout;
                let probe =
                    Probe::of_row(layout, row.as_bytes(), &edge.child_columns, Told::by(edge));
                let parent = &tables[usize::from(view.node(edge.parent).table.0)];
                above.push((watch, parent.first(edge.up, &probe)));
            }
        }
    }
    for (table, slot) in neighbours {
        tables[table].read(slot);
        tables[table].read_links(slot);
    }
    for (watch, slot) in above {
        let view = plan.view(watch.view);
        if let Some(edge) = &view.node(watch.node).edge {
            tables[usize::from(view.node(edge.parent).table.0)].read(slot);
            if edge.parent.0 == 0 {
                documents[usize::from(watch.view.0)].read(slot);
            }
        }
    }
}

/// Reads what the documents of these root rows are made of, node by node.
pub(super) fn documents(
    tables: &[Table],
    view: &View,
    orders: &ViewOrders,
    roots: SmallVec<[u32; READ_AHEAD]>,
) {
    let table_of = |node: usize| &tables[usize::from(view.nodes[node].table.0)];
    roots.iter().for_each(|&slot| table_of(0).read(slot));
    let mut found: SmallVec<[SmallVec<[u32; READ_AHEAD]>; 8]> =
        view.nodes.iter().map(|_| SmallVec::new()).collect();
    found[0] = roots;
    for &at in &orders.downwards {
        let (Some(edge), table) = (&view.nodes[at].edge, table_of(at)) else { continue };
        let parent = table_of(usize::from(edge.parent.0));
        let first = |slot: u32| {
            let row = if slot == NONE { None } else { parent.row(slot) };
            row.map_or(NONE, |row| {
                let probe =
                    Probe::of_row(&parent.rows.layout, row, &edge.parent_columns, Told::by(edge));
                table.first(edge.down, &probe)
            })
        };
        let slots: SmallVec<[u32; READ_AHEAD]> =
            found[usize::from(edge.parent.0)].iter().map(|&slot| first(slot)).collect();
        slots.iter().for_each(|&slot| table.read(slot));
        let mut rest = slots.clone();
        let further = if orders.nodes[at].leads { 0 } else { LIST_ROWS - 1 };
        for _ in 0..further {
            for slot in &mut rest {
                *slot = if *slot == NONE { NONE } else { table.next(edge.down, *slot) };
            }
            rest.retain(|slot| *slot != NONE);
            rest.iter().for_each(|&slot| table.read(slot));
        }
        found[at] = slots;
    }
}

impl Table {
    /// Reads the rows in some slots, so that the waits for them overlap.
    pub(super) fn read_all(&self, slots: &[u32]) {
        slots.iter().for_each(|&slot| self.read(slot));
    }

    /// Reads the row in a slot: every cache line that it can lie on.
    #[inline]
    fn read(&self, slot: u32) {
        if slot != NONE
            && let Some(row) = self.row(slot)
        {
            row.iter().step_by(64).chain(row.last()).for_each(|byte| {
                black_box(*byte);
            });
        }
    }
}
