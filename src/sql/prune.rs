//! Drops what no column of a view comes to need: subqueries in columns of a pick that the SELECT
//! around it leaves out. Their tables would be held, and their rows would touch documents, for
//! nothing.

use super::expr::{Expr, ExprKind};
use super::finish::{DraftView, each_collection_expr_mut, each_expr_mut, each_view_expr_mut};
use super::plan::{JoinKind, NodeId, Scope};

/// Drops collections that nothing refers to, with their nodes, and numbers the rest anew.
pub(super) fn drop_unused(draft: &mut DraftView) {
    let live = live_collections(draft);
    if live.iter().all(|live| *live) {
        return;
    }
    let mut dead_nodes = vec![false; draft.nodes.len()];
    for (collection, _) in draft.view.collections.iter_mut().zip(&live).filter(|(_, live)| !**live)
    {
        each_node_mut(&mut collection.scope, &mut |node| dead_nodes[usize::from(node.0)] = true);
    }
    let collections = renumbering(live.iter().copied());
    let nodes = renumbering(dead_nodes.iter().map(|dead| !dead));
    let moved = |node: &mut NodeId| node.0 = nodes[usize::from(node.0)] as u16;
    each_expr_mut(&mut draft.view, &mut |expr| match &mut expr.kind {
        ExprKind::Column { node, .. } | ExprKind::IfPresent(node, _) => moved(node),
        ExprKind::Collection(i) => *i = collections[*i],
        _ => {}
    });
    each_node_mut(&mut draft.view.scope, &mut |node| moved(node));
    for collection in &mut draft.view.collections {
        each_node_mut(&mut collection.scope, &mut |node| moved(node));
    }
    draft.nodes.iter_mut().filter_map(|node| node.edge.as_mut()).for_each(|e| moved(&mut e.parent));
    let mut kept = live.into_iter();
    draft.view.collections.retain(|_| kept.next().unwrap_or(true));
    let mut dead = dead_nodes.into_iter();
    draft.nodes.retain(|_| !dead.next().unwrap_or(false));
}

/// Which collections the view's columns, joins and filters come to need.
fn live_collections(draft: &mut DraftView) -> Vec<bool> {
    let mut live = vec![false; draft.view.collections.len()];
    let mut found = Vec::new();
    let mut note = |expr: &mut Expr| {
        if let ExprKind::Collection(i) = expr.kind {
            found.push(i);
        }
    };
    each_view_expr_mut(&mut draft.view, &mut note);
    while let Some(i) = found.pop() {
        if !std::mem::replace(&mut live[i], true) {
            each_collection_expr_mut(&mut draft.view.collections[i], &mut |expr| {
                if let ExprKind::Collection(inner) = expr.kind {
                    found.push(inner);
                }
            });
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
            JoinKind::Pick { scope, .. } => each_node_mut(scope, each),
        }
    }
}
