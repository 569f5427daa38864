//! Scalar expressions: typed when the view is planned, evaluated once per document.
//!
//! An [`Expr`] knows its MySQL result type, so evaluation decides nothing but the value. What an
//! expression reads comes through [`Bindings`], which the engine implements over its tables.

use super::plan::NodeId;
use crate::value::{Type, Value};

/// A typed expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What is computed.
    pub kind: ExprKind,
    /// MySQL's type of the result.
    pub ty: Type,
    /// Whether the result can be NULL.
    pub nullable: bool,
}

/// What an expression computes.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A column of a node's row; NULL while the node has none.
    Column {
        /// The node.
        node: NodeId,
        /// Place in the columns of its table.
        column: usize,
    },
    /// A constant.
    Literal(Value<'static>),
    /// The value of `View::collections[i]`.
    Collection(usize),
    /// The inner expression if the node has a row, else NULL: an output column of a pick.
    IfPresent(NodeId, Box<Expr>),
}

/// What expressions read.
pub trait Bindings {
    /// A column of a node's row; NULL while the node has none.
    fn column(&self, node: NodeId, column: usize) -> Value<'_>;
    /// Whether a node has a row.
    fn is_present(&self, node: NodeId) -> bool;
    /// The value of a collection for the rows bound now.
    ///
    /// # Errors
    /// Where MySQL raises an error for one of its rows.
    fn collection(&self, collection: usize) -> Result<Value<'_>, EvalError>;
}

/// An error that MySQL itself raises for a row; the document becomes an error document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MySQL error {code}: {message}")]
pub struct EvalError {
    /// MySQL's error number, as 1690 for a value out of range.
    pub code: u16,
    /// What happened.
    pub message: String,
}

impl Expr {
    /// The value for the rows bound now.
    ///
    /// # Errors
    /// Where MySQL raises one.
    pub fn eval<'a>(&'a self, bindings: &'a impl Bindings) -> Result<Value<'a>, EvalError> {
        match &self.kind {
            ExprKind::Column { node, column } => Ok(bindings.column(*node, *column)),
            ExprKind::Literal(value) => Ok(value.borrowed()),
            ExprKind::Collection(i) => bindings.collection(*i),
            ExprKind::IfPresent(node, inner) if bindings.is_present(*node) => inner.eval(bindings),
            ExprKind::IfPresent(..) => Ok(Value::Null),
        }
    }

    /// Appends the value as text; `false` if it is NULL.
    ///
    /// # Errors
    /// Where MySQL raises one.
    pub fn append_text(
        &self,
        bindings: &impl Bindings,
        out: &mut String,
    ) -> Result<bool, EvalError> {
        let value = self.eval(bindings)?;
        crate::value::write_text(out, &value, self.ty);
        Ok(!value.is_null())
    }
}
