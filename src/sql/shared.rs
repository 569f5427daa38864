//! Conditions that a document needs more than once: a CASE written again for another column, or in
//! a column that an index is over.

use super::expr::{Expr, ExprKind};
use super::plan::View;

/// Marks the conditions of CASE and IF that are needed more than once, so that each is found out
/// once a document.
pub(super) fn share_conditions(view: &mut View) {
    let mut needed: Vec<(Expr, usize)> = Vec::new();
    for (at, output) in view.outputs.iter_mut().enumerate() {
        let indexes = view.indexes.iter().filter(|index| index.columns.contains(&at)).count();
        each_condition(&mut output.expr, &mut |condition| match needed
            .iter_mut()
            .find(|(known, _)| known == condition)
        {
            Some((_, times)) => *times += 1 + indexes,
            None => needed.push((condition.clone(), 1 + indexes)),
        });
    }
    needed.retain(|(_, times)| *times > 1);
    for output in &mut view.outputs {
        each_condition(&mut output.expr, &mut |condition| {
            if let Some(number) = needed.iter().position(|(known, _)| known == condition) {
                let Expr { ty, nullable, .. } = *condition;
                let found_out = Box::new(condition.clone());
                *condition = Expr::new(ExprKind::Once(number, found_out), ty, nullable);
            }
        });
    }
    view.conditions = needed.len();
}

/// Calls `each` with every condition of a CASE, outer ones first.
fn each_condition(expr: &mut Expr, each: &mut impl FnMut(&mut Expr)) {
    if let ExprKind::Case { branches, .. } = &mut expr.kind {
        branches.iter_mut().for_each(|(condition, _)| each(condition));
    }
    for child in expr.children_mut() {
        if !matches!(child.kind, ExprKind::Once(..)) {
            each_condition(child, each);
        }
    }
}
