//! Orders of rows by their own columns: what nearly every ORDER BY of a pick or collection is.
//!
//! Rows then compare without evaluating expressions, and an index can keep the first row of each
//! of its lists at the head, so that a pick need not look at the others.

use std::cmp::Ordering;

use super::tally::Tally;
use crate::sql::expr::ExprKind;
use crate::sql::plan::{
    Access, Aggregate, Collection, JoinKind, Node, NodeId, OrderBy, Plan, Scope, Table, View,
};
use crate::value::{RowLayout, Type, compare_as};

/// An order of one table's rows by some of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowOrder(Box<[Term]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    column: usize,
    /// What it is ordered as.
    ty: Type,
    descending: bool,
}

/// How the rows of a node are ordered, if they are by their own columns.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeOrder {
    pub(super) order: Option<RowOrder>,
    /// Whether the first of the node's rows is the first of its list.
    pub(super) leads: bool,
    /// What is kept of long lists of its rows.
    pub(super) kept: Kept,
    /// The columns of its rows that that follows from.
    pub(super) columns: Box<[usize]>,
}

/// What of the rows of a long list is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing: it follows from more than the rows themselves, or is as long as they are many.
    #[default]
    Nothing,
    /// The values of a collection.
    Values,
    /// The first row, of those that the filter takes or of all.
    First {
        /// Of those that the filter takes.
        filtered: bool,
    },
}

impl RowOrder {
    /// Compares two rows of the table.
    pub(super) fn compare(&self, layout: &RowLayout, a: &[u8], b: &[u8]) -> Ordering {
        for term in &self.0 {
            let column = term.column;
            let ordering = if layout.column_type(column).is_ordinal() {
                layout.ordinal(a, column).cmp(&layout.ordinal(b, column))
            } else {
                compare_as(term.ty, &layout.value(a, column), &layout.value(b, column))
            };
            if ordering.is_ne() {
                return if term.descending { ordering.reverse() } else { ordering };
            }
        }
        Ordering::Equal
    }

    /// The columns it looks at.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|term| term.column)
    }

    /// The order that an ORDER BY of rows of `node` is; `None` if it takes more than columns.
    fn of(node: NodeId, order_by: &[OrderBy]) -> Option<RowOrder> {
        let term = |term: &OrderBy| match term.expr.kind {
            ExprKind::Column { node: other, column } if other == node => {
                Some(Term { column, ty: term.expr.ty, descending: term.descending })
            }
            _ => None,
        };
        order_by.iter().map(term).collect::<Option<_>>().map(RowOrder)
    }

    fn by_key(table: &Table) -> RowOrder {
        let term = |&column: &usize| {
            let ty = table.columns[column].ty.by_bytes();
            Term { column, ty, descending: false }
        };
        RowOrder(table.key.iter().map(term).collect())
    }
}

/// By table and index: the order whose first row heads each list. An index has one; further picks
/// that use it in another order look at all rows.
pub(super) fn leading(plan: &Plan) -> Vec<Vec<Option<RowOrder>>> {
    let mut leading: Vec<Vec<Option<RowOrder>>> =
        plan.every_table().map(|(_, table)| vec![None; table.indexes.len()]).collect();
    for view in &plan.views {
        for (Scope { from, .. }, order) in picks(view) {
            let Node { table, edge: Some(edge), .. } = view.node(*from) else { continue };
            if let Access::Index(i) = edge.down {
                leading[usize::from(table.0)][i].get_or_insert(order);
            }
        }
    }
    leading
}

/// The orders in which a view's rows are looked at.
#[derive(Debug)]
pub(super) struct ViewOrders {
    /// By node.
    pub(super) nodes: Vec<NodeOrder>,
    /// The nodes but the root, each behind its parent.
    pub(super) downwards: Vec<usize>,
    /// By collection.
    pub(super) collections: Vec<CollectionOrder>,
    /// Collections up to the last that has several aggregates, whose values are remembered.
    pub(super) remembered: usize,
}

/// How a collection's rows are gone through.
#[derive(Debug)]
pub(super) struct CollectionOrder {
    /// By aggregate: whether its rows come in the order of their node.
    pub(super) in_order: Box<[bool]>,
    /// The nodes outside whose rows its values follow from.
    pub(super) outside: Box<[NodeId]>,
}

impl ViewOrders {
    /// The orders of a view.
    pub(super) fn new(plan: &Plan, view: &View, leading: &[Vec<Option<RowOrder>>]) -> ViewOrders {
        let mut nodes = vec![NodeOrder::default(); view.nodes.len()];
        for (scope, order) in picks(view) {
            let Node { table, edge: Some(edge), .. } = view.node(scope.from) else { continue };
            let leads = match edge.down {
                Access::Index(i) => leading[usize::from(table.0)][i].as_ref() == Some(&order),
                Access::Primary => true,
            };
            let kept = match scope.follows_from_its_rows() {
                true => Kept::First { filtered: true },
                false if leads => Kept::First { filtered: false },
                // Whether it is looked at every row shows in errors.
                false => Kept::Nothing,
            };
            let filter = scope.own_columns();
            let columns = order.columns().chain(filter).collect();
            nodes[usize::from(scope.from.0)] =
                NodeOrder { order: Some(order), leads, kept, columns };
        }
        let collections = view.collections.iter().enumerate().map(|(i, collection)| {
            let Collection { scope, aggregates } = collection;
            let by_key = |node| RowOrder::by_key(plan.table(view.node(node).table));
            let row_nodes = scope.row_nodes();
            let several = row_nodes.len() > 1;
            let order = |aggregate: &Aggregate| match aggregate {
                Aggregate::GroupConcat { order_by, .. } if !several => {
                    RowOrder::of(scope.from, order_by)
                }
                Aggregate::JsonArray(_) => Some(by_key(scope.from)),
                _ => None,
            };
            let orders: Vec<Option<RowOrder>> = aggregates.iter().map(order).collect();
            // An array has no other order; texts can be put in order once they are made.
            let is_array = |aggregate: &Aggregate| matches!(aggregate, Aggregate::JsonArray(_));
            let array = aggregates.iter().position(is_array);
            let chosen = match array {
                Some(array) => orders[array].clone(),
                None => orders.iter().flatten().next().cloned(),
            };
            if array.is_some() {
                row_nodes.iter().for_each(|&n| nodes[usize::from(n.0)].order = Some(by_key(n)));
            } else if chosen.is_some() {
                nodes[usize::from(scope.from.0)].order = chosen.clone();
            }
            let is_kept =
                |aggregate| Tally::is_kept(aggregate) && aggregate.follows_from(scope.from);
            // Where any row does, the first is at hand.
            let is_at_hand = matches!(**aggregates, [Aggregate::Exists]) && scope.filter.is_none();
            if scope.follows_from_its_rows() && aggregates.iter().all(is_kept) && !is_at_hand {
                let read = aggregates.iter().flat_map(|a| a.own_columns(scope.from));
                let node = &mut nodes[usize::from(scope.from.0)];
                node.kept = Kept::Values;
                node.columns = read.chain(scope.own_columns()).collect();
            }
            let is_chosen = |order: &Option<RowOrder>| order.is_some() && *order == chosen;
            let in_order = orders.iter().map(is_chosen).collect();
            CollectionOrder { in_order, outside: view.outside(i).into_iter().collect() }
        });
        let collections = collections.collect();
        let has_several = |collection: &Collection| collection.aggregates.len() > 1;
        let remembered = view.collections.iter().rposition(has_several).map_or(0, |last| last + 1);
        let depth = |at: &usize| {
            let edge = |node: &Node| node.edge.as_ref().map(|edge| view.node(edge.parent));
            std::iter::successors(edge(&view.nodes[*at]), |node| edge(node)).count()
        };
        let mut downwards: Vec<usize> = (1..view.nodes.len()).collect();
        downwards.sort_by_key(depth);
        ViewOrders { nodes, downwards, collections, remembered }
    }
}

/// The nodes that one row is picked of, with the order where it is by columns.
fn picks(view: &View) -> Vec<(&Scope, RowOrder)> {
    let mut picks = Vec::new();
    scope_picks(&view.scope, &mut picks);
    for collection in &view.collections {
        scope_picks(&collection.scope, &mut picks);
        for aggregate in &collection.aggregates {
            if let Aggregate::First { order_by, .. } = aggregate {
                let scope = &collection.scope;
                picks.extend(RowOrder::of(scope.from, order_by).map(|order| (scope, order)));
            }
        }
    }
    picks
}

fn scope_picks<'v>(scope: &'v Scope, picks: &mut Vec<(&'v Scope, RowOrder)>) {
    for join in &scope.joins {
        if let JoinKind::Pick { scope, order_by } = &join.kind {
            picks.extend(RowOrder::of(scope.from, order_by).map(|order| (scope, order)));
            scope_picks(scope, picks);
        }
    }
}
