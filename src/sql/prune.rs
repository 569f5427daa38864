//! Drops what no column of a view comes to need: subqueries in columns of a pick that the SELECT
//! around it leaves out. Their tables would be held, and their rows would touch documents, for
//! nothing.

use super::expr::{Expr, ExprKind};
use super::finish::{
    DraftView, each_aggregate_expr_mut, each_expr_mut, each_view_expr_mut, walk_scope,
};
use super::plan::{JoinKind, NodeId, Scope};

/// Drops aggregates that nothing refers to, and collections without one with their nodes; numbers
/// the rest anew.
pub(super) fn drop_unused(draft: &mut DraftView) {
    let live = live_aggregates(draft);
    if live.iter().flatten().all(|live| *live) {
        return;
    }
    let mut dead_nodes = vec![false; draft.nodes.len()];
    for (collection, live) in draft.view.collections.iter_mut().zip(&live) {
        if !live.contains(&true) {
            let mut note = |node: &mut NodeId| dead_nodes[usize::from(node.0)] = true;
            each_node_mut(&mut collection.scope, &mut note);
        }
        let mut kept = live.iter();
        collection.aggregates.retain(|_| kept.next().is_none_or(|live| *live));
    }
    let collections = renumbering(live.iter().map(|live| live.contains(&true)));
    let aggregates: Vec<Vec<usize>> =
        live.iter().map(|live| renumbering(live.iter().copied())).collect();
    let nodes = renumbering(dead_nodes.iter().map(|dead| !dead));
    let moved = |node: &mut NodeId| node.0 = nodes[usize::from(node.0)] as u16;
    draft.view.collections.retain(|collection| !collection.aggregates.is_empty());
    each_expr_mut(&mut draft.view, &mut |expr| match &mut expr.kind {
        ExprKind::Column { node, .. } | ExprKind::IfPresent(node, _) => moved(node),
        ExprKind::Collection(i, j) => (*i, *j) = (collections[*i], aggregates[*i][*j]),
        _ => {}
    });
    each_node_mut(&mut draft.view.scope, &mut |node| moved(node));
    for collection in &mut draft.view.collections {
        each_node_mut(&mut collection.scope, &mut |node| moved(node));
    }
    draft.nodes.iter_mut().filter_map(|node| node.edge.as_mut()).for_each(|e| moved(&mut e.parent));
    let mut dead = dead_nodes.into_iter();
    draft.nodes.retain(|_| !dead.next().unwrap_or(false));
}

/// By collection: which aggregates the view's columns, joins and filters come to need.
fn live_aggregates(draft: &mut DraftView) -> Vec<Vec<bool>> {
    let collections = &draft.view.collections;
    let mut live: Vec<Vec<bool>> =
        collections.iter().map(|collection| vec![false; collection.aggregates.len()]).collect();
    let mut found = Vec::new();
    let mut note = |expr: &mut Expr| {
        if let ExprKind::Collection(i, j) = expr.kind {
            found.push((i, j));
        }
    };
    each_view_expr_mut(&mut draft.view, &mut note);
    while let Some((i, j)) = found.pop() {
        if !std::mem::replace(&mut live[i][j], true) {
            let mut note = |expr: &mut Expr| {
                if let ExprKind::Collection(i, j) = expr.kind {
                    found.push((i, j));
                }
            };
            let collection = &mut draft.view.collections[i];
            walk_scope(&mut collection.scope, &mut note);
            each_aggregate_expr_mut(&mut collection.aggregates[j], &mut note);
        }
    }
    live
}

/// The new place of each that is kept.
fn renumbering(kept: impl Iterator<Item = bool>) -> Vec<usize> {
    let mut next = 0;
    let place = |kept: bool| {
        let place = next;
        next += usize::from(kept);
        place
    };
    kept.map(place).collect()
}

/// Calls `each` with every node that a scope finds rows of, those of subqueries aside.
fn each_node_mut(scope: &mut Scope, each: &mut impl FnMut(&mut NodeId)) {
    each(&mut scope.from);
    for join in &mut scope.joins {
        match &mut join.kind {
            JoinKind::Lookup { node, .. } => each(node),
            JoinKind::Pick { scope, .. } | JoinKind::Each { scope } => each_node_mut(scope, each),
        }
    }
}
