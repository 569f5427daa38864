//! How joined tables hang together: which equalities find their rows, and in what order tables are
//! found that inner joins bring together inside of an aggregate.

use std::collections::BTreeSet;
use std::iter;
use std::ops::Range;

use sqlparser::ast::{self, Ident, JoinConstraint, JoinOperator, TableFactor};

use super::edges::{self, Pair};
use super::error::{Refusal, Refused};
use super::expr::{Expr, ExprKind};
use super::names::Names;
use super::plan::{Join, JoinKind, NodeId, Scope};
use super::tree::{DraftEdge, Planner, Source, both, is_true};

/// How many rows a joined table's edge may find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finds {
    /// One at most: the edge has its primary key.
    ByKey,
    /// One at most once its conditions hold: they fix its primary key or another unique one.
    Unique,
    /// Any number.
    Many,
}

/// A table of an inner join, before it is known what it hangs on.
pub(super) struct Loose<'s> {
    source: Source,
    /// All nodes that came with it.
    nodes: Range<usize>,
    factor: &'s TableFactor,
}

impl<'s> Loose<'s> {
    /// The table and the conditions of an inner join.
    pub(super) fn of(join: &'s ast::Join) -> Option<(&'s TableFactor, Option<&'s ast::Expr>)> {
        let constraint = match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::CrossJoin(constraint) => constraint,
            _ => return None,
        };
        match (&join.relation, constraint) {
            (TableFactor::Derived { lateral: true, .. }, _) => None,
            (factor, JoinConstraint::On(on)) => Some((factor, Some(on))),
            (factor, JoinConstraint::None) => Some((factor, None)),
            _ => None,
        }
    }

    /// The node whose rows it begins with.
    pub(super) fn from(&self) -> NodeId {
        self.source.from
    }

    /// What qualifies its columns.
    pub(super) fn alias(&self) -> &Ident {
        &self.source.alias
    }

    /// Reads a table reference and adds its columns to the names.
    pub(super) fn read(
        planner: &mut Planner<'_>,
        factor: &'s TableFactor,
        names: &mut Names<'_>,
    ) -> Refused<Loose<'s>> {
        let first = planner.nodes.len();
        let mut source = planner.source(factor, false)?;
        names.add(&source.alias, std::mem::take(&mut source.columns))?;
        names.filled.append(&mut source.filled);
        Ok(Loose { source, nodes: first..planner.nodes.len(), factor })
    }
}

impl Planner<'_> {
    /// The edge by which the rows of `node` are found from those of a node that `known` accepts,
    /// the conditions that it is made of, and what it finds; `None` if no condition ties it.
    pub(super) fn way(
        &self,
        node: NodeId,
        conditions: &[&ast::Expr],
        names: &Names<'_>,
        known: impl Fn(NodeId) -> bool,
    ) -> Option<(DraftEdge, Vec<usize>, Finds)> {
        let pairs = self.pairs(node, conditions, names, known);
        let definition = self.definition(node);
        let key = self.key(node);
        let made = |chosen: &[&Pair], finds| {
            let used = chosen.iter().map(|pair| pair.condition).collect();
            Some((DraftEdge::of(chosen), used, finds))
        };
        if let Some(chosen) = edges::covering(&pairs, key) {
            // Text of a key finds all of its spellings.
            let by_bytes = self.order_of_one(node).is_empty();
            return made(&chosen, if by_bytes { Finds::ByKey } else { Finds::Unique });
        }
        let constant = self.constant_columns(node, conditions, names);
        let unique = definition.unique.iter().map(Vec::as_slice);
        // Groups are unique by what they are grouped by alone.
        let unique = unique.filter(|_| self.nodes[usize::from(node.0)].groups.is_none());
        let mut keys = iter::once(key).chain(unique);
        if let Some(chosen) = keys.find_map(|key| edges::fixing(&pairs, &constant, key)) {
            return made(&chosen, Finds::Unique);
        }
        let usable: Vec<Pair> = pairs.into_iter().filter(|pair| pair.obstacle.is_none()).collect();
        let of = |parent| usable.iter().filter(move |pair| pair.parent == parent);
        // Of several the first, for MySQL's reader has written it first.
        let parents = usable.iter().map(|pair| pair.parent).rev();
        let parent = parents.max_by_key(|&parent| of(parent).count())?;
        let of_parent: Vec<Pair> = of(parent).cloned().collect();
        let parent_key = self.key(parent);
        made(&edges::tying(&of_parent, parent_key, key), Finds::Many)
    }

    /// The scope of tables that inner joins bring together: one begins, and the others hang on
    /// what is known as their equalities allow.
    pub(super) fn arrange(
        &mut self,
        first_node: usize,
        mut loose: Vec<Loose<'_>>,
        begins: usize,
        mut on: Vec<&ast::Expr>,
        names: &Names<'_>,
    ) -> Refused<Scope> {
        let Loose { source, nodes, .. } = loose.remove(begins);
        let Source { from, mut joins, mut filter, .. } = source;
        let mut known = vec![0..first_node, nodes];
        let own = joins.len();
        while !loose.is_empty() {
            let is_known = |other: NodeId| known.iter().any(|k| k.contains(&usize::from(other.0)));
            let way = |table: &Loose<'_>| self.way(table.source.from, &on, names, is_known);
            let ways: Vec<_> = loose.iter().map(way).collect();
            let finds = |many: bool| {
                let is_it = |finds: &Finds| (*finds == Finds::Many) == many;
                ways.iter().position(|way| way.as_ref().is_some_and(|(.., finds)| is_it(finds)))
            };
            let next = finds(false).or_else(|| finds(true)).unwrap_or(0);
            let Loose { source, nodes, factor } = loose.remove(next);
            let Some((edge, used, finds)) = ways.into_iter().nth(next).flatten() else {
                let pairs = self.pairs(source.from, &on, names, |other| other != source.from);
                return Err(untied(factor, &source.alias, &pairs));
            };
            self.nodes[usize::from(source.from.0)].edge = Some(edge);
            let mut place = 0..;
            on.retain(|_| place.next().is_some_and(|place| !used.contains(&place)));
            joins.push(Join { kind: self.joined(source, finds, None), required: true });
            known.push(nodes);
        }
        on.retain(|condition| !is_true(condition));
        let on = self.choosing(&on, names)?;
        for condition in settle(&mut joins[own..], on, true) {
            filter = both(filter, Some(condition));
        }
        Ok(Scope { from, joins, filter })
    }

    /// The join of a table whose edge is made.
    pub(super) fn joined(&self, source: Source, finds: Finds, on: Option<Expr>) -> JoinKind {
        let Source { from, joins, filter, .. } = source;
        if finds == Finds::ByKey && joins.is_empty() && filter.is_none() {
            return JoinKind::Lookup { node: from, on };
        }
        let scope = Scope { from, joins, filter: both(filter, on) };
        match finds {
            Finds::Many => JoinKind::Each { scope },
            // Whatever the edge finds, ON leaves one of. While a table is being read from two
            // moments there may be two, and documents are to be a function of the rows.
            _ => JoinKind::Pick { scope, order_by: self.by_key(from) },
        }
    }
}

/// Why rows of a table cannot be found inside of an aggregate.
pub(super) fn untied(factor: &TableFactor, alias: &Ident, pairs: &[Pair]) -> Refusal {
    let name = &alias.value;
    let message = match pairs.iter().find_map(|pair| pair.obstacle.as_ref()) {
        Some(why) => format!("the join of `{name}` {why}"),
        None => format!(
            "the join of `{name}` takes every row of its table: write ON {name}.column = other.column"
        ),
    };
    Refusal::on(factor, message)
}

/// Adds each condition to the first inner join that knows all it looks at, so that it is found out
/// before further rows are joined; those that are left. What takes rows away from a unique key's
/// join says which row that finds: `unique` if the conditions may.
pub(super) fn settle(joins: &mut [Join], conditions: Vec<Expr>, unique: bool) -> Vec<Expr> {
    let mut rest = Vec::new();
    for condition in conditions {
        let (mut nodes, mut is_plain) = (BTreeSet::new(), true);
        condition.each(&mut |expr| match expr.kind {
            ExprKind::Column { node, .. } | ExprKind::IfPresent(node, _) => {
                nodes.insert(node);
            }
            ExprKind::Collection(..) => is_plain = false,
            _ => {}
        });
        let finds = |join: &Join, wanted: NodeId| {
            let mut finds = false;
            join.kind.each_node(&mut |node| finds |= node == wanted);
            finds
        };
        let last = joins.iter().rposition(|join| nodes.iter().any(|node| finds(join, *node)));
        let mut places = joins.iter_mut().skip(last.unwrap_or(0));
        let place = places
            .find(|join| join.required && (unique || !matches!(join.kind, JoinKind::Pick { .. })));
        match place {
            Some(join) if is_plain => and(&mut join.kind, condition),
            _ => rest.push(condition),
        }
    }
    rest
}

/// Adds a condition to what a join has.
fn and(kind: &mut JoinKind, condition: Expr) {
    let on = match kind {
        JoinKind::Lookup { on, .. } => on,
        JoinKind::Pick { scope, .. } | JoinKind::Each { scope } => &mut scope.filter,
    };
    *on = both(on.take(), Some(condition));
}
