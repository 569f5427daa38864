//! From planned views to a plan: only the columns that views read are held, and edges know their
//! indexes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::catalog::Catalog;
use super::expr::{Expr, ExprKind};
use super::plan::{
    Access, Aggregate, Collection, Column, Computed, Edge, Grouping, Join, JoinKind, Node, NodeId,
    OrderBy, Output, Plan, Scope, Table, TableId, TableIndex, View,
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
pub(super) fn plan(
    catalog: &Catalog,
    computed: &[Vec<Computed>],
    mut drafts: Vec<DraftView>,
) -> Plan {
    drafts.iter_mut().for_each(drop_unused);
    let reads: Vec<Vec<BTreeSet<usize>>> = drafts.iter_mut().map(node_reads).collect();
    let mut held: Vec<Option<BTreeSet<usize>>> = vec![None; catalog.tables.len()];
    for (draft, reads) in drafts.iter().zip(&reads) {
        for (node, reads) in draft.nodes.iter().zip(reads) {
            let key = &catalog.tables[node.table].key;
            let columns = held[node.table].get_or_insert_with(|| key.iter().copied().collect());
            columns.extend(reads);
            let behind = catalog.tables[node.table].columns.len();
            for place in reads.iter().filter_map(|place| place.checked_sub(behind)) {
                columns.extend(computed[node.table][place].reads());
            }
        }
    }
    let mut plan = Plan::default();
    let mut numbering: Vec<Option<Numbering>> = Vec::new();
    for ((definition, computed), held) in catalog.tables.iter().zip(computed).zip(held) {
        numbering.push(held.map(|held| {
            let held: Vec<usize> = held.into_iter().collect();
            let columns: Vec<Column> = held
                .iter()
                .filter_map(|&place| {
                    let column = definition.columns.get(place)?;
                    // The planner lets no unreadable column pass.
                    let ty = column.ty.ok()?;
                    Some(Column { name: column.name.clone(), ty, nullable: column.nullable })
                })
                .collect();
            let types: Vec<_> = columns.iter().map(|column| column.ty).collect();
            let behind =
                held.iter().filter_map(|place| place.checked_sub(definition.columns.len()));
            let computed = behind.map(|place| computed[place].clone()).collect();
            let numbering = Numbering { table: TableId(plan.tables.len() as u16), held };
            plan.tables.push(Table {
                name: definition.name.clone(),
                source: definition.source.clone(),
                columns,
                key: numbering.all(&definition.key),
                indexes: Vec::new(),
                computed: numbering.renumbered(computed),
                layout: RowLayout::new(&types),
            });
            numbering
        }));
    }
    for (draft, reads) in drafts.into_iter().zip(reads) {
        let mut view = renumber(draft, reads, &numbering, &mut plan);
        share_conditions(&mut view);
        plan.views.push(view);
    }
    plan
}

/// From a column's place in the catalog to its place among those held, behind which is what is
/// computed.
#[derive(Clone)]
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

    /// What is computed, of columns that are held.
    fn renumbered(&self, mut computed: Vec<Computed>) -> Vec<Computed> {
        for Computed { expr, .. } in &mut computed {
            walk(expr, &mut |expr| {
                if let ExprKind::Column { column, .. } = &mut expr.kind {
                    *column = self.one(*column);
                }
            });
        }
        computed
    }
}

fn renumber(
    draft: DraftView,
    reads: Vec<BTreeSet<usize>>,
    numbering: &[Option<Numbering>],
    plan: &mut Plan,
) -> View {
    let DraftView { mut view, nodes } = draft;
    // Every node's table is held, so each has a numbering.
    let of = nodes.iter().filter_map(|node| {
        let numbering = numbering[node.table].as_ref()?;
        Some(match &node.groups {
            None => Cow::Borrowed(numbering),
            Some(groups) => Cow::Owned(grouping(numbering, groups, plan)),
        })
    });
    let of: Vec<Cow<'_, Numbering>> = of.collect();
    each_expr_mut(&mut view, &mut |expr| {
        if let ExprKind::Column { node, column } = &mut expr.kind {
            *column = of[usize::from(node.0)].one(*column);
        }
    });
    for (i, (node, reads)) in nodes.iter().zip(reads).enumerate() {
        let child = &of[i];
        let edge = node.edge.as_ref().map(|edge| {
            let parent = &of[usize::from(edge.parent.0)];
            let parent_columns = parent.all(&edge.parent_columns);
            let child_columns = child.all(&edge.child_columns);
            let as_groups = edge.as_groups;
            Edge {
                parent: edge.parent,
                down: access(table_mut(plan, child.table), &child_columns, as_groups),
                up: access(table_mut(plan, parent.table), &parent_columns, as_groups),
                parent_columns,
                child_columns,
                as_groups,
            }
        });
        let reads: Vec<usize> = reads.into_iter().map(|place| child.one(place)).collect();
        view.nodes.push(Node { alias: node.alias.clone(), table: child.table, reads, edge });
    }
    view
}

/// The numbering of a table's groups, which are added to the plan unless it has them.
fn grouping(of: &Numbering, groups: &[usize], plan: &mut Plan) -> Numbering {
    let mut held = groups.to_vec();
    held.sort_unstable();
    let columns = of.all(&held);
    let place = |column: &usize| held.binary_search(column).unwrap_or(usize::MAX);
    let key: Vec<usize> = groups.iter().map(place).collect();
    let is_it = |other: &Grouping| {
        other.of == of.table && other.columns == columns && other.table.key == key
    };
    let known = plan.groupings.iter().position(is_it);
    let place = known.unwrap_or_else(|| {
        let table = &mut plan.tables[usize::from(of.table.0)];
        let index = index(table, &of.all(groups), true);
        let columns_held: Vec<Column> =
            columns.iter().map(|&column| table.column(column).clone()).collect();
        let types: Vec<_> = columns_held.iter().map(|column| column.ty).collect();
        let (name, source) = (table.name.clone(), table.source.clone());
        let layout = RowLayout::new(&types);
        let (indexes, computed) = (Vec::new(), Vec::new());
        let table = Table { name, source, columns: columns_held, key, indexes, computed, layout };
        plan.groupings.push(Grouping { of: of.table, index, table, columns });
        plan.groupings.len() - 1
    });
    Numbering { table: TableId((plan.tables.len() + place) as u16), held }
}

fn table_mut(plan: &mut Plan, id: TableId) -> &mut Table {
    let place = usize::from(id.0);
    match place.checked_sub(plan.tables.len()) {
        None => &mut plan.tables[place],
        Some(grouping) => &mut plan.groupings[grouping].table,
    }
}

/// How a table's rows are found by these columns; adds an index where there is none.
fn access(table: &mut Table, columns: &[usize], as_groups: bool) -> Access {
    let by_bytes = |&column: &usize| table.column(column).ty.is_told_by_bytes();
    if table.key == columns && (as_groups || columns.iter().all(by_bytes)) {
        return Access::Primary;
    }
    Access::Index(index(table, columns, as_groups))
}

/// The place of a table's index over these columns.
fn index(table: &mut Table, columns: &[usize], as_groups: bool) -> usize {
    let by_bytes = |&column: &usize| table.column(column).ty.is_told_by_bytes();
    // One that has the rows with NULLs, too, serves those who do not look for them.
    let shared = columns.iter().all(by_bytes);
    let is_it =
        |index: &TableIndex| index.columns == columns && (shared || index.as_groups == as_groups);
    if let Some(known) = table.indexes.iter().position(is_it) {
        table.indexes[known].as_groups |= as_groups;
        return known;
    }
    table.indexes.push(TableIndex { columns: columns.to_vec(), as_groups });
    table.indexes.len() - 1
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
        // Nothing else may be left that asks for all that groups are known by.
        for &column in node.groups.iter().flatten() {
            read(NodeId(i as u16), column);
        }
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
