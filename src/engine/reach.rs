//! The upward walk: from a row to the root rows whose documents it is part of.

use smallvec::SmallVec;

use super::directory::NONE;
use super::probe::{Probe, Told};
use super::table::Table;
use crate::sql::plan::{Access, Node, NodeId, Plan, TableId, View, ViewId};
use crate::value::{Key, Row};

/// A set of a table's columns.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnSet(SmallVec<[u64; 2]>);

impl ColumnSet {
    /// Adds a column.
    pub(super) fn insert(&mut self, column: usize) {
        if self.0.len() <= column / 64 {
            self.0.resize(column / 64 + 1, 0);
        }
        self.0[column / 64] |= 1 << (column % 64);
    }

    /// Whether the two sets have a column in common.
    pub(super) fn intersects(&self, other: &ColumnSet) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }
}

impl FromIterator<usize> for ColumnSet {
    fn from_iter<I: IntoIterator<Item = usize>>(columns: I) -> ColumnSet {
        let mut set = ColumnSet::default();
        columns.into_iter().for_each(|column| set.insert(column));
        set
    }
}

/// A place in a view that a table's rows take: a change there is walked up from.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) view: ViewId,
    pub(super) node: NodeId,
    /// Columns whose change matters there.
    pub(super) reads: ColumnSet,
    /// Columns whose change moves a row from one parent to another.
    pub(super) edge: ColumnSet,
}

/// The watches of every table. Nodes of a view that hang in the same place are watched once.
pub(super) fn watches(plan: &Plan) -> Vec<Vec<Watch>> {
    let mut watches: Vec<Vec<Watch>> = plan.every_table().map(|_| Vec::new()).collect();
    for (id, view) in plan.views_with_ids() {
        for (i, node) in view.nodes.iter().enumerate() {
            let same_place =
                |watch: &&mut Watch| watch.view == id && same_place(node, view.node(watch.node));
            let watches = &mut watches[usize::from(node.table.0)];
            if let Some(watch) = watches.iter_mut().find(same_place) {
                node.reads.iter().for_each(|&column| watch.reads.insert(column));
                continue;
            }
            watches.push(Watch {
                view: id,
                node: NodeId(i as u16),
                reads: node.reads.iter().copied().collect(),
                edge: node.edge.iter().flat_map(|e| e.child_columns.iter().copied()).collect(),
            });
        }
    }
    watches
}

/// Whether the rows of two nodes of a view hang on the same rows by the same values.
fn same_place(a: &Node, b: &Node) -> bool {
    match (&a.edge, &b.edge) {
        (Some(a), Some(b)) => {
            a.parent == b.parent
                && a.parent_columns == b.parent_columns
                && a.child_columns == b.child_columns
                && a.as_groups == b.as_groups
        }
        _ => false,
    }
}

/// A walk in progress: at each level the row to be visited next. Depth first, so that it holds
/// one place per edge however many rows it reaches.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    levels: SmallVec<[Level; 4]>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    node: NodeId,
    /// How the rows of this level follow each other.
    access: Access,
    slot: u32,
}

/// Where a walk has come to.
pub(super) enum Reached {
    /// A root row.
    Root(u32),
    /// Nothing more.
    End,
    /// The steps allowed are used up.
    Paused,
}

impl Walk {
    /// A walk to the parents of a row of `node`.
    pub(super) fn from_row(tables: &[Table], view: &View, node: NodeId, row: &[u8]) -> Walk {
        let mut walk = Walk::default();
        if let Some(edge) = &view.node(node).edge {
            let layout = &tables[usize::from(view.node(node).table.0)].rows.layout;
            let probe = Probe::of_row(layout, row, &edge.child_columns, Told::by(edge));
            walk.ascend(tables, view, node, &probe);
        }
        walk
    }

    /// A walk to the parents of the rows of `node` whose edge columns have these values.
    pub(super) fn from_key(tables: &[Table], view: &View, node: NodeId, key: &Key) -> Walk {
        let mut walk = Walk::default();
        if let Some(edge) = view.nodes.get(usize::from(node.0)).and_then(|n| n.edge.as_ref()) {
            let layout = &tables[usize::from(view.node(node).table.0)].rows.layout;
            let types: SmallVec<[_; 2]> =
                edge.child_columns.iter().map(|&column| layout.column_type(column)).collect();
            walk.ascend(tables, view, node, &Probe::of_key(key, &types, Told::by(edge)));
        }
        walk
    }

    /// Goes on to the next root row; every row visited uses up one of `steps`.
    pub(super) fn next(&mut self, tables: &[Table], view: &View, steps: &mut usize) -> Reached {
        while let Some(level) = self.levels.last_mut() {
            let Level { node, access, slot } = *level;
            if slot == NONE {
                self.levels.pop();
                continue;
            }
            if *steps == 0 {
                return Reached::Paused;
            }
            *steps -= 1;
            let table = &tables[usize::from(view.node(node).table.0)];
            level.slot = table.next(access, slot);
            match (&view.node(node).edge, table.row(slot)) {
                (None, _) => return Reached::Root(slot),
                (Some(edge), Some(row)) => {
                    let probe =
                        Probe::of_row(&table.rows.layout, row, &edge.child_columns, Told::by(edge));
                    self.ascend(tables, view, node, &probe);
                }
                (Some(_), None) => {}
            }
        }
        Reached::End
    }

    /// Keeps the walk on its lists when a row is about to be removed or replaced.
    pub(super) fn leave(
        &mut self,
        tables: &[Table],
        view: &View,
        (table, slot): (TableId, u32),
        by: Option<&Row>,
    ) {
        for level in &mut self.levels {
            if level.slot == slot && view.node(level.node).table == table {
                let table = &tables[usize::from(table.0)];
                if by.is_none_or(|row| table.relinks(level.access, slot, row)) {
                    level.slot = table.next(level.access, slot);
                }
            }
        }
    }

    fn ascend(&mut self, tables: &[Table], view: &View, node: NodeId, probe: &Probe<'_>) {
        if let Some(edge) = &view.node(node).edge {
            let table = &tables[usize::from(view.node(edge.parent).table.0)];
            let slot = table.first(edge.up, probe);
            if slot != NONE {
                self.levels.push(Level { node: edge.parent, access: edge.up, slot });
            }
        }
    }
}
