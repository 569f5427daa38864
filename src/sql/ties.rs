//! What a SELECT inside of another hangs on: equalities of its columns with columns outside.

use sqlparser::ast::{self, BinaryOperator};

use super::build::column;
use super::edges::{self, Pair};
use super::error::{Refusal, Refused};
use super::expr::{Expr, ExprKind};
use super::joins::Loose;
use super::membership::Equality;
use super::names::Names;
use super::plan::NodeId;
use super::tree::{DraftEdge, Planner, unnested};

/// Two values that a condition, by its place, says are equal.
type Equal = (usize, Expr, Expr);

impl Planner<'_> {
    /// Hangs the first of an inner SELECT's tables that can be on a table outside, and takes the
    /// conditions that say so out of its WHERE and of what it is asked for; which table it is.
    pub(super) fn tie_one(
        &mut self,
        first_node: usize,
        loose: &[Loose<'_>],
        (conditions, sought): (&mut Vec<&ast::Expr>, &mut Vec<Equality>),
        names: &Names<'_>,
    ) -> Refused<usize> {
        let mut equal = equal_values(conditions, names);
        let behind = conditions.len()..;
        equal.extend(behind.zip(&*sought).filter(|(_, equality)| equality.ties).map(
            |(place, Equality { outside, inside, .. })| (place, outside.clone(), inside.clone()),
        ));
        let outside = |other: NodeId| usize::from(other.0) < first_node;
        let pairs_of = |table: &Loose<'_>| pairs_of(table.from(), &equal, outside);
        let is_tied =
            |table: &Loose<'_>| pairs_of(table).iter().any(|pair| pair.obstacle.is_none());
        let begins = loose.iter().position(is_tied).unwrap_or(0);
        let used = self.tie(&loose[begins], pairs_of(&loose[begins]))?;
        let mut places = 0..;
        let mut is_left = || places.next().is_some_and(|place| !used.contains(&place));
        conditions.retain(|_| is_left());
        sought.retain(|_| is_left());
        Ok(begins)
    }

    /// Hangs a table by these equalities; the places of those that say so.
    fn tie(&mut self, table: &Loose<'_>, pairs: Vec<Pair>) -> Refused<Vec<usize>> {
        let Some(parent) =
            pairs.iter().find(|pair| pair.obstacle.is_none()).map(|pair| pair.parent)
        else {
            let name = &table.alias().value;
            let why = pairs.iter().find_map(|pair| pair.obstacle.as_ref());
            let message = match why {
                Some(why) => format!("the subquery over `{name}` {why}"),
                None => format!(
                    "the subquery over `{name}` is not tied to a table outside of it: write \
                     WHERE {name}.column = outside.column, starting FROM the table that holds the reference"
                ),
            };
            return Err(Refusal::at(table.alias().span.start, message));
        };
        let pairs: Vec<Pair> = pairs
            .into_iter()
            .filter(|pair| pair.parent == parent && pair.obstacle.is_none())
            .collect();
        let (parent_key, child_key) = (self.key(parent), self.key(table.from()));
        let chosen = edges::tying(&pairs, parent_key, child_key);
        let used = chosen.iter().map(|pair| pair.condition).collect();
        self.nodes[usize::from(table.from().0)].edge = Some(DraftEdge::of(&chosen));
        Ok(used)
    }

    /// The conditions that set a column of `child` equal to one of a node that `parent` accepts.
    pub(super) fn pairs(
        &self,
        child: NodeId,
        conditions: &[&ast::Expr],
        names: &Names<'_>,
        parent: impl Fn(NodeId) -> bool,
    ) -> Vec<Pair> {
        pairs_of(child, &equal_values(conditions, names), parent)
    }
}

/// The columns that conditions say are equal.
fn equal_values(conditions: &[&ast::Expr], names: &Names<'_>) -> Vec<Equal> {
    let plain = |side: &ast::Expr| {
        column(unnested(side), names).ok().and_then(|column| column.value.clone().ok())
    };
    let equal = |(place, sql): (usize, &&ast::Expr)| {
        let ast::Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = unnested(sql) else {
            return None;
        };
        Some((place, plain(left)?, plain(right)?))
    };
    conditions.iter().enumerate().filter_map(equal).collect()
}

fn pairs_of(child: NodeId, equal: &[Equal], parent: impl Fn(NodeId) -> bool) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (condition, left, right) in equal {
        for (here, there) in [(left, right), (right, left)] {
            let (
                ExprKind::Column { node, column: child_column },
                ExprKind::Column { node: other, column: parent_column },
            ) = (&here.kind, &there.kind)
            else {
                continue;
            };
            if *node == child && parent(*other) {
                pairs.push(Pair {
                    condition: *condition,
                    parent: *other,
                    parent_column: *parent_column,
                    child_column: *child_column,
                    obstacle: edges::obstacle(here.ty, there.ty),
                });
            }
        }
    }
    pairs
}
