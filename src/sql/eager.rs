//! Aggregates that nothing asks for: MySQL calculates all of a SELECT's before HAVING and its list
//! choose among them, so that what their rows raise is raised whatever is chosen.

use super::aggregates::Aggregated;
use super::expr::{CompareOp, Expr, ExprKind};
use super::group_values::may_raise;
use super::operators::compare;
use super::plan::Aggregate;
use super::tree::Planner;
use super::typing::BIGINT;
use crate::value::Value;

impl Aggregated<'_> {
    /// Whether a value is never found out without one of the aggregates.
    pub(super) fn is_asked_by(&self, value: &Expr) -> bool {
        asks(value, self.collection)
    }
}

impl Planner<'_> {
    /// Whether the aggregates of a row may raise an error.
    pub(super) fn may_raise(&self, inside: &Aggregated<'_>) -> bool {
        let mut raises = false;
        for aggregate in &self.collections[inside.collection].aggregates {
            aggregate.each_expr(&mut |expr| {
                raises |= may_raise(expr) || matches!(expr.kind, ExprKind::Collection(..));
            });
        }
        raises
    }

    /// A value that has all aggregates beside it calculated, where one of them may raise an error.
    pub(super) fn eager(&mut self, inside: &Aggregated<'_>, value: Expr) -> Result<Expr, String> {
        if inside.is_asked_by(&value) || !self.may_raise(inside) {
            return Ok(value);
        }
        let (ty, nullable) = (value.ty, value.nullable);
        let always = self.row_count(inside, CompareOp::GreaterOrEqual)?;
        let kind = ExprKind::Case { branches: vec![(always, value)], otherwise: None };
        Ok(Expr::new(kind, ty, nullable))
    }

    /// How the number of rows compares to 0, for which all aggregates beside it are calculated.
    pub(super) fn row_count(
        &mut self,
        inside: &Aggregated<'_>,
        op: CompareOp,
    ) -> Result<Expr, String> {
        let rows = self.among(inside.collection, Aggregate::CountRows, BIGINT, false);
        compare(op, rows, Expr::new(ExprKind::Literal(Value::Int(0)), BIGINT, false))
    }
}

fn asks(value: &Expr, collection: usize) -> bool {
    let children = value.children();
    let is_given =
        |child: &Expr| matches!(&child.kind, ExprKind::Literal(value) if !value.is_null());
    match &value.kind {
        ExprKind::Collection(own, _) => *own == collection,
        // What they find first decides whether they look further.
        ExprKind::Case { .. }
        | ExprKind::Coalesce(_)
        | ExprKind::And(_)
        | ExprKind::Every(_)
        | ExprKind::Or(_) => children.first().is_some_and(|first| asks(first, collection)),
        ExprKind::JsonObject(_) | ExprKind::JsonArray(_) => {
            children.into_iter().any(|child| asks(child, collection))
        }
        // As NULL does in others.
        _ => children
            .into_iter()
            .find(|child| !is_given(child))
            .is_some_and(|child| asks(child, collection)),
    }
}
