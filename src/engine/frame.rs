//! The rows that one document is made of, while it is being made.
//!
//! A frame binds at most one row to each node of a view. Scopes bind the rows of their FROM one
//! after another; expressions read what is bound.

use std::cell::Cell;

use smallvec::SmallVec;

use super::directory::NONE;
use super::index::Probe;
use super::table::Table;
use crate::sql::expr::{Bindings, EvalError, Expr};
use crate::sql::plan::{Join, JoinKind, NodeId, OrderBy, Scope, View};
use crate::value::{Value, compare};

/// The values of an ORDER BY for one row.
pub(super) type OrderValues<'a> = SmallVec<[Value<'a>; 2]>;

/// Rows bound to the nodes of a view.
#[derive(Debug)]
pub(super) struct Frame<'e> {
    tables: &'e [Table],
    view: &'e View,
    rows: SmallVec<[Cell<Option<&'e [u8]>>; 16]>,
}

impl<'e> Frame<'e> {
    /// A frame of a view with no row bound.
    pub(super) fn new(tables: &'e [Table], view: &'e View) -> Frame<'e> {
        Frame { tables, view, rows: view.nodes.iter().map(|_| Cell::new(None)).collect() }
    }

    /// The view.
    pub(super) fn view(&self) -> &'e View {
        self.view
    }

    /// The row bound to a node.
    #[inline]
    pub(super) fn row(&self, node: NodeId) -> Option<&'e [u8]> {
        self.rows[usize::from(node.0)].get()
    }

    /// The table of a node.
    #[inline]
    pub(super) fn table(&self, node: NodeId) -> &'e Table {
        &self.tables[usize::from(self.view.node(node).table.0)]
    }

    /// Binds a row of a scope's FROM and what is joined to it; whether it counts.
    pub(super) fn admit(&self, scope: &'e Scope, row: &'e [u8]) -> Result<bool, EvalError> {
        self.bind(scope.from, Some(row));
        for join in &scope.joins {
            let found = self.join(join)?;
            if join.required && !found {
                return Ok(false);
            }
        }
        scope.filter.as_ref().map_or(Ok(true), |filter| self.holds(filter))
    }

    /// Binds the first row of a scope by an order; whether there is one.
    pub(super) fn pick(
        &self,
        scope: &'e Scope,
        order_by: &'e [OrderBy],
    ) -> Result<bool, EvalError> {
        let mut best: Option<(&'e [u8], OrderValues<'_>)> = None;
        let mut best_is_bound = false;
        for row in self.children(scope.from) {
            best_is_bound = false;
            if self.admit(scope, row)? {
                let values = self.order_values(order_by)?;
                let first = best
                    .as_ref()
                    .is_none_or(|(_, best)| compare_by(order_by, &values, best).is_lt());
                if first {
                    best = Some((row, values));
                    best_is_bound = true;
                }
            }
        }
        match best {
            Some(_) if best_is_bound => Ok(true),
            Some((row, _)) => self.admit(scope, row),
            None => {
                self.unbind(scope);
                Ok(false)
            }
        }
    }

    /// The rows that hang on the bound parent of a node.
    pub(super) fn children(&self, node: NodeId) -> impl Iterator<Item = &'e [u8]> + use<'e> {
        let table = self.table(node);
        let edge = self.view.node(node).edge.as_ref();
        let mut slot = NONE;
        if let Some(edge) = edge
            && let Some(parent) = self.row(edge.parent)
        {
            let layout = &self.table(edge.parent).rows.layout;
            slot = table.first(edge.down, &Probe::of_row(layout, parent, &edge.parent_columns));
        }
        std::iter::from_fn(move || {
            let row = if slot == NONE { None } else { table.row(slot) };
            if let (Some(_), Some(edge)) = (row, edge) {
                slot = table.next(edge.down, slot);
            }
            row
        })
    }

    /// The values of an ORDER BY for the rows bound now.
    pub(super) fn order_values<'s>(
        &'s self,
        order_by: &'s [OrderBy],
    ) -> Result<OrderValues<'s>, EvalError> {
        order_by.iter().map(|term| term.expr.eval(self)).collect()
    }

    fn join(&self, join: &'e Join) -> Result<bool, EvalError> {
        match &join.kind {
            JoinKind::Lookup { node, on } => {
                self.bind(*node, self.children(*node).next());
                if let (Some(_), Some(on)) = (self.row(*node), on)
                    && !self.holds(on)?
                {
                    self.bind(*node, None);
                }
                Ok(self.row(*node).is_some())
            }
            JoinKind::Pick { scope, order_by } => self.pick(scope, order_by),
        }
    }

    /// Whether a condition is true: neither false nor NULL.
    fn holds(&self, condition: &'e Expr) -> Result<bool, EvalError> {
        Ok(condition.truth(self)? == Some(true))
    }

    fn bind(&self, node: NodeId, row: Option<&'e [u8]>) {
        self.rows[usize::from(node.0)].set(row);
    }

    fn unbind(&self, scope: &Scope) {
        self.bind(scope.from, None);
        for join in &scope.joins {
            match &join.kind {
                JoinKind::Lookup { node, .. } => self.bind(*node, None),
                JoinKind::Pick { scope, .. } => self.unbind(scope),
            }
        }
    }
}

/// Compares two rows by the values of an ORDER BY.
pub(super) fn compare_by(
    order_by: &[OrderBy],
    a: &[Value<'_>],
    b: &[Value<'_>],
) -> std::cmp::Ordering {
    let by_term = |((a, b), term): ((&Value<'_>, &Value<'_>), &OrderBy)| {
        let ordering = compare(a, b);
        if term.descending { ordering.reverse() } else { ordering }
    };
    let terms = a.iter().zip(b).zip(order_by).map(by_term);
    terms.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
}

impl Bindings for Frame<'_> {
    #[inline]
    fn column(&self, node: NodeId, column: usize) -> Value<'_> {
        match self.row(node) {
            Some(row) => self.table(node).rows.layout.value(row, column),
            None => Value::Null,
        }
    }

    fn is_present(&self, node: NodeId) -> bool {
        self.row(node).is_some()
    }

    fn collection(&self, collection: usize) -> Result<Value<'_>, EvalError> {
        self.aggregate(&self.view.collections[collection])
    }
}
