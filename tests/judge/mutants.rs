//! A judge that cannot fail is worthless. Each mutant makes one mistake that the planner or the
//! pipeline could make, and has to be caught within [`VIEWS_MAX`] views.

use viewtide::change::{Change, Op};
use viewtide::sql::expr::{CompareOp, Expr, ExprKind};
use viewtide::sql::plan::{Aggregate, JoinKind, OrderBy, Plan, Scope, View};

/// Views within which a mutant has to be caught.
pub(crate) const VIEWS_MAX: usize = 240;

macro_rules! mutants {
    ($($(#[doc = $what:literal])+ $name:ident),* $(,)?) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mutant { $($(#[doc = $what])+ $name),* }

        /// All of them, with what they do.
        pub(crate) const ALL: &[(Mutant, &str)] = &[$((Mutant::$name, concat!($($what),+))),*];
    };
}

mutants! {
    /// The last column that each node reads is not watched.
    ReadForgotten,
    /// WHERE is ignored.
    FilterIgnored,
    /// Further conditions of ON are ignored.
    OnIgnored,
    /// Inner joins keep rows without a match.
    InnerAsLeft,
    /// Left joins drop rows without a match.
    LeftAsInner,
    /// The first term of every order is turned around.
    OrderTurned,
    /// NULLs in a group are counted.
    NullsCounted,
    /// MIN takes the largest.
    MinAsMax,
    /// `<` and `>` take equal values, too.
    BoundsIncluded,
    /// NULL is equal to NULL.
    NullEqualsNull,
    /// A row whose key changes is left behind under its old key.
    OldKeyLeft,
    /// Deletes of every second key are lost.
    DeletesLost,
    /// A batch is applied last change first.
    BatchTurned,
    /// What a row touches beyond the limit is lost.
    FanoutsLost,
    /// Views are not filled anew when a large table was emptied.
    RefillsLost,
}

impl Mutant {
    /// Makes the mistake in a plan.
    pub(crate) fn change_plan(self, plan: &mut Plan) {
        for view in &mut plan.views {
            if self == Mutant::ReadForgotten {
                for node in &mut view.nodes {
                    node.reads.pop();
                }
            }
            self.scopes(view);
            self.expressions(view);
        }
    }

    fn scopes(self, view: &mut View) {
        self.scope(&mut view.scope);
        for collection in &mut view.collections {
            self.scope(&mut collection.scope);
            for aggregate in &mut collection.aggregates {
                match aggregate {
                    Aggregate::Count(_) if self == Mutant::NullsCounted => {
                        *aggregate = Aggregate::CountRows;
                    }
                    Aggregate::Min(value) if self == Mutant::MinAsMax => {
                        *aggregate = Aggregate::Max(value.clone());
                    }
                    Aggregate::GroupConcat { order_by, .. } | Aggregate::First { order_by, .. } => {
                        self.order(order_by);
                    }
                    _ => {}
                }
            }
        }
    }

    fn scope(self, scope: &mut Scope) {
        if self == Mutant::FilterIgnored {
            scope.filter = None;
        }
        for join in &mut scope.joins {
            match self {
                Mutant::InnerAsLeft => join.required = false,
                Mutant::LeftAsInner => join.required = true,
                _ => {}
            }
            match &mut join.kind {
                JoinKind::Lookup { on, .. } if self == Mutant::OnIgnored => *on = None,
                JoinKind::Lookup { .. } => {}
                JoinKind::Pick { scope, order_by } => {
                    self.scope(scope);
                    self.order(order_by);
                }
                JoinKind::Each { scope } => self.scope(scope),
            }
        }
    }

    fn order(self, order_by: &mut [OrderBy]) {
        if let (Mutant::OrderTurned, Some(first)) = (self, order_by.first_mut()) {
            first.descending = !first.descending;
        }
    }

    fn expressions(self, view: &mut View) {
        let mut change = |expr: &mut Expr| {
            let ExprKind::Compare(comparison) = &mut expr.kind else { return };
            comparison.op = match (self, comparison.op) {
                (Mutant::BoundsIncluded, CompareOp::Less) => CompareOp::LessOrEqual,
                (Mutant::BoundsIncluded, CompareOp::Greater) => CompareOp::GreaterOrEqual,
                (Mutant::NullEqualsNull, CompareOp::Equal) => CompareOp::NullSafeEqual,
                (_, op) => op,
            };
        };
        for output in &mut view.outputs {
            each(&mut output.expr, &mut change);
        }
        view.scope.filter.iter_mut().for_each(|filter| each(filter, &mut change));
        for collection in &mut view.collections {
            collection.scope.filter.iter_mut().for_each(|filter| each(filter, &mut change));
        }
    }

    /// Makes the mistake in a batch of changes.
    pub(crate) fn change_batch(self, mut batch: Vec<Change>) -> Vec<Change> {
        match self {
            Mutant::BatchTurned => batch.reverse(),
            Mutant::OldKeyLeft => {
                // An update of a key comes as a delete with an upsert of the same table behind it.
                let mut next = batch.clone().into_iter().skip(1);
                batch.retain(|change| {
                    let next = next.next();
                    let moved = |next: &Change| {
                        next.table == change.table && matches!(next.op, Op::Upsert(_))
                    };
                    !(matches!(change.op, Op::Delete(_)) && next.as_ref().is_some_and(moved))
                });
            }
            Mutant::DeletesLost => {
                batch.retain(|change| {
                    let Op::Delete(key) = &change.op else { return true };
                    key.as_bytes().iter().fold(0, |sum, byte| sum ^ byte) % 2 == 0
                });
            }
            _ => {}
        }
        batch
    }
}

/// Calls `change` for an expression and what decides within it.
fn each(expr: &mut Expr, change: &mut impl FnMut(&mut Expr)) {
    change(expr);
    match &mut expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => {
            parts.iter_mut().for_each(|part| each(part, change));
        }
        ExprKind::Not(inner) | ExprKind::IsTrue(inner) => each(inner, change),
        ExprKind::Case { branches, .. } => {
            branches.iter_mut().for_each(|(condition, _)| each(condition, change));
        }
        _ => {}
    }
}
