//! What MySQL makes of conditions before it asks them of a row. Their truth is the same; which parts
//! are found out, and may raise an error, is not.

use super::expr::{Expr, ExprKind};
use super::plan::NodeId;
use super::typing::BOOLEAN;
use crate::value::Value;

/// `value IS NULL`. What is never NULL is not found out, so it raises no error.
pub(super) fn is_null(value: Expr) -> Expr {
    let value = match &value.kind {
        ExprKind::Column { .. } => value,
        _ if is_never_null(&value) => Expr::new(ExprKind::Literal(Value::Int(0)), value.ty, false),
        _ => value,
    };
    Expr::new(ExprKind::IsNull(Box::new(value)), BOOLEAN, false)
}

/// Whether MySQL knows of a value that it is never NULL: not of texts that are made, nor of what
/// another SELECT hands out.
pub(super) fn is_never_null(value: &Expr) -> bool {
    let is_known = match &value.kind {
        ExprKind::Column { .. }
        | ExprKind::Literal(_)
        | ExprKind::Boolean(_)
        | ExprKind::Arithmetic(_)
        | ExprKind::Compare(_)
        | ExprKind::IsNull(_)
        | ExprKind::IsTrue(_)
        | ExprKind::Not(_)
        | ExprKind::And(_)
        | ExprKind::Every(_)
        | ExprKind::Or(_)
        | ExprKind::Case { .. }
        | ExprKind::Coalesce(_) => true,
        ExprKind::Call(kernel, _) => kernel.name == "-",
        _ => false,
    };
    is_known && !value.nullable && value.children().into_iter().all(is_made_here)
}

/// Whether a value is made of columns of tables in this SELECT.
fn is_made_here(value: &Expr) -> bool {
    let handed_out = matches!(
        value.kind,
        ExprKind::Subquery(_) | ExprKind::IfPresent(..) | ExprKind::Collection(..)
    );
    !handed_out && value.children().into_iter().all(is_made_here)
}

/// Whether it is the same for every row to MySQL: it reads none, or asks for NULL what is never
/// NULL.
pub(super) fn is_fixed(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::IsNull(inner) if !inner.nullable => true,
        ExprKind::Column { .. } | ExprKind::Collection(..) => false,
        _ => value.children().into_iter().all(is_fixed),
    }
}

/// A condition of which NULL is as good as FALSE: AND ends with the first part that is either.
pub(super) fn deciding(mut condition: Expr) -> Expr {
    condition.kind = match condition.kind {
        ExprKind::And(parts) => ExprKind::Every(parts.into_iter().map(deciding).collect()),
        ExprKind::Or(parts) => ExprKind::Or(parts.into_iter().map(deciding).collect()),
        ExprKind::Not(inner) => match inner.kind {
            // None of them.
            ExprKind::Or(parts) => ExprKind::Every(parts.into_iter().map(denied).collect()),
            ExprKind::And(parts) => ExprKind::Or(parts.into_iter().map(denied).collect()),
            _ => ExprKind::Not(inner),
        },
        other => other,
    };
    condition
}

fn denied(part: Expr) -> Expr {
    let nullable = part.nullable;
    deciding(Expr::new(ExprKind::Not(Box::new(part)), BOOLEAN, nullable))
}

/// A condition that chooses rows of nodes from `first` on, in which MySQL takes IS NOT NULL for true
/// too where it knows so.
pub(super) fn choosing(mut condition: Expr, first: NodeId) -> Expr {
    condition.kind = match condition.kind {
        ExprKind::IsNull(value) if is_never_null(&value) && reads_from(&value, first) => {
            return is_null(*value);
        }
        // Another SELECT's list.
        kind @ (ExprKind::Subquery(_) | ExprKind::IfPresent(..)) => kind,
        kind => {
            let mut expr = Expr::new(kind, condition.ty, condition.nullable);
            for child in expr.children_mut() {
                let empty = Expr::new(ExprKind::Boolean(false), BOOLEAN, false);
                *child = choosing(std::mem::replace(child, empty), first);
            }
            expr.kind
        }
    };
    condition
}

fn reads_from(value: &Expr, first: NodeId) -> bool {
    let mut own = true;
    value.each(&mut |part| {
        own &= !matches!(part.kind, ExprKind::Column { node, .. } if node.0 < first.0);
    });
    own
}
