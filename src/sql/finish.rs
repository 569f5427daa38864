//! From planned views to a plan: only the columns that views read are held, and edges know their
//! indexes.

use std::collections::BTreeSet;

use super::catalog::Catalog;
use super::expr::{Expr, ExprKind};
use super::plan::{
    Access, Aggregate, Collection, Column, Edge, Join, JoinKind, Node, NodeId, OrderBy, Output,
    Plan, Scope, Table, TableId, View,
};
use super::prune::drop_unused;
use super::shared::share_conditions;
use super::tree::DraftNode;
use crate::value::RowLayout;

/// A planned view and its nodes, whose columns are still places in the catalog.
pub(super) struct DraftView {
    /// Everything but the nodes.
    pub(super) view: View,
    pub(super) nodes: Vec<DraftNode>,
}

/// Makes the plan of all views.
pub(super) fn plan(catalog: &Catalog, mut drafts: Vec<DraftView>) -> Plan {
    drafts.iter_mut().for_each(drop_unused);
    let reads: Vec<Vec<BTreeSet<usize>>> = drafts.iter_mut().map(node_reads).collect();
    let mut held: Vec<Option<BTreeSet<usize>>> = vec![None; catalog.tables.len()];
    for (draft, reads) in drafts.iter().zip(&reads) {
        for (node, reads) in draft.nodes.iter().zip(reads) {
            let key = &catalog.tables[node.table].key;
            let columns = held[node.table].get_or_insert_with(|| key.iter().copied().collect());
            columns.extend(reads);
        }
    }
    let mut plan = Plan::default();
    let mut numbering: Vec<Option<Numbering>> = Vec::new();
    for (definition, held) in catalog.tables.iter().zip(held) {
        numbering.push(held.map(|held| {
            let held: Vec<usize> = held.into_iter().collect();
            let columns: Vec<Column> = held
                .iter()
                .filter_map(|&place| {
                    let column = &definition.columns[place];
                    // The planner lets no unreadable column pass.
                    let ty = column.ty.ok()?;
                    Some(Column { name: column.name.clone(), ty, nullable: column.nullable })
                })
                .collect();
            let types: Vec<_> = columns.iter().map(|column| column.ty).collect();
            let numbering = Numbering { table: TableId(plan.tables.len() as u16), held };
            plan.tables.push(Table {
                name: definition.name.clone(),
                source: definition.source.clone(),
                columns,
                key: numbering.all(&definition.key),
                indexes: Vec::new(),
                layout: RowLayout::new(&types),
            });
            numbering
        }));
    }
    for (draft, reads) in drafts.into_iter().zip(reads) {
        let mut view = renumber(draft, reads, &numbering, &mut plan.tables);
        share_conditions(&mut view);
        plan.views.push(view);
    }
    plan
}

/// From a column's place in the catalog to its place among those held.
struct Numbering {
    table: TableId,
    held: Vec<usize>,
}

impl Numbering {
    fn one(&self, place: usize) -> usize {
        self.held.binary_search(&place).unwrap_or(usize::MAX)
    }

    fn all(&self, places: &[usize]) -> Vec<usize> {
        places.iter().map(|&place| self.one(place)).collect()
    }
}

fn renumber(
    draft: DraftView,
    reads: Vec<BTreeSet<usize>>,
    numbering: &[Option<Numbering>],
    tables: &mut [Table],
) -> View {
    let DraftView { mut view, nodes } = draft;
    // Every node's table is held, so each has a numbering.
    let of: Vec<&Numbering> =
        nodes.iter().filter_map(|node| numbering[node.table].as_ref()).collect();
    each_expr_mut(&mut view, &mut |expr| {
        if let ExprKind::Column { node, column } = &mut expr.kind {
            *column = of[usize::from(node.0)].one(*column);
        }
    });
    for (i, (node, reads)) in nodes.iter().zip(reads).enumerate() {
        let child = of[i];
        let edge = node.edge.as_ref().map(|edge| {
            let parent = of[usize::from(edge.parent.0)];
            let parent_columns = parent.all(&edge.parent_columns);
            let child_columns = child.all(&edge.child_columns);
            Edge {
                parent: edge.parent,
                down: access(&mut tables[usize::from(child.table.0)], &child_columns),
                up: access(&mut tables[usize::from(parent.table.0)], &parent_columns),
                parent_columns,
                child_columns,
            }
        });
        let reads: Vec<usize> = reads.into_iter().map(|place| child.one(place)).collect();
        view.nodes.push(Node { alias: node.alias.clone(), table: child.table, reads, edge });
    }
    view
}

/// How a table's rows are found by these columns; adds an index where there is none.
fn access(table: &mut Table, columns: &[usize]) -> Access {
    let by_bytes = |&column: &usize| table.columns[column].ty.is_told_by_bytes();
    if table.key == columns && columns.iter().all(by_bytes) {
        return Access::Primary;
    }
    let known = table.indexes.iter().position(|index| index == columns);
    Access::Index(known.unwrap_or_else(|| {
        table.indexes.push(columns.to_vec());
        table.indexes.len() - 1
    }))
}

/// The columns that each node is read by.
fn node_reads(draft: &mut DraftView) -> Vec<BTreeSet<usize>> {
    let mut reads = vec![BTreeSet::new(); draft.nodes.len()];
    let mut read = |node: NodeId, column: usize| {
        reads[usize::from(node.0)].insert(column);
    };
    each_expr_mut(&mut draft.view, &mut |expr| {
        if let ExprKind::Column { node, column } = expr.kind {
            read(node, column);
        }
    });
    for (i, node) in draft.nodes.iter().enumerate() {
        let Some(edge) = &node.edge else { continue };
        edge.parent_columns.iter().for_each(|&column| read(edge.parent, column));
        edge.child_columns.iter().for_each(|&column| read(NodeId(i as u16), column));
    }
    reads
}

/// Calls `each` with every expression of a view, inner ones too.
pub(super) fn each_expr_mut(view: &mut View, each: &mut impl FnMut(&mut Expr)) {
    each_view_expr_mut(view, each);
    view.collections.iter_mut().for_each(|collection| each_collection_expr_mut(collection, each));
}

/// The same without collections.
pub(super) fn each_view_expr_mut(view: &mut View, each: &mut impl FnMut(&mut Expr)) {
    view.outputs.iter_mut().for_each(|Output { expr, .. }| walk(expr, each));
    walk_scope(&mut view.scope, each);
}

/// The same of one collection.
pub(super) fn each_collection_expr_mut(
    collection: &mut Collection,
    each: &mut impl FnMut(&mut Expr),
) {
    walk_scope(&mut collection.scope, each);
    collection.aggregates.iter_mut().for_each(|aggregate| each_aggregate_expr_mut(aggregate, each));
}

/// The same of one aggregate.
pub(super) fn each_aggregate_expr_mut(aggregate: &mut Aggregate, each: &mut impl FnMut(&mut Expr)) {
    match aggregate {
        Aggregate::CountRows | Aggregate::Exists => {}
        Aggregate::Count(value)
        | Aggregate::Sum(value)
        | Aggregate::SumDistinct(value)
        | Aggregate::Avg(value)
        | Aggregate::AvgDistinct(value)
        | Aggregate::Bits(_, value)
        | Aggregate::ConcatDistinct { value, .. }
        | Aggregate::Min(value)
        | Aggregate::Max(value)
        | Aggregate::JsonArray(value) => walk(value, each),
        Aggregate::CountDistinct(values) => values.iter_mut().for_each(|value| walk(value, each)),
        Aggregate::JsonObject { name, value } => {
            walk(name, each);
            walk(value, each);
        }
        Aggregate::GroupConcat { value, order_by, .. } | Aggregate::First { value, order_by } => {
            walk(value, each);
            order_by.iter_mut().for_each(|OrderBy { expr, .. }| walk(expr, each));
        }
    }
}

pub(super) fn walk_scope(scope: &mut Scope, each: &mut impl FnMut(&mut Expr)) {
    for Join { kind, .. } in &mut scope.joins {
        match kind {
            JoinKind::Lookup { on, .. } => on.iter_mut().for_each(|on| walk(on, each)),
            JoinKind::Each { scope } => walk_scope(scope, each),
            JoinKind::Pick { scope, order_by } => {
                walk_scope(scope, each);
                order_by.iter_mut().for_each(|OrderBy { expr, .. }| walk(expr, each));
            }
        }
    }
    scope.filter.iter_mut().for_each(|filter| walk(filter, each));
}

fn walk(expr: &mut Expr, each: &mut impl FnMut(&mut Expr)) {
    each(expr);
    expr.children_mut().into_iter().for_each(|child| walk(child, each));
}
