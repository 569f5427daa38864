//! Columns that follow from the others of a table's row: what GROUP BY computes.
//!
//! Rows come from outside without them. The engine adds them to its own rows, behind the others;
//! `verify` and `explain` find out the one that they ask for.

use super::expr::{Bindings, EvalError, Expr, ExprKind};
use super::plan::{Column, NodeId, Plan, Table, TableId};
use crate::value::{RowLayout, Type, Value};

/// A column that follows from the others of its row.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Named by what is computed.
    pub column: Column,
    /// What MySQL is asked for over the table alone.
    pub sql: String,
    /// Its value, over the columns of the table as those of node 0. It raises no error.
    pub expr: Expr,
}

impl Computed {
    /// The value for a row of the table's columns.
    pub fn value(&self, layout: &RowLayout, row: &[u8]) -> Value<'static> {
        // The planner lets nothing pass that raises errors.
        let row = OneRow { layout, row };
        self.expr.eval_stored(&row).map_or(Value::Null, Value::into_owned)
    }

    /// The columns that it follows from.
    pub fn reads(&self) -> Vec<usize> {
        let mut reads = Vec::new();
        self.expr.each(&mut |expr| reads.extend(expr.column_of(NodeId(0))));
        reads
    }
}

impl Table {
    /// A column by its place, those that are computed behind the others.
    pub fn column(&self, place: usize) -> &Column {
        match place.checked_sub(self.columns.len()) {
            None => &self.columns[place],
            Some(computed) => &self.computed[computed].column,
        }
    }

    /// How rows with what is computed of them are packed.
    pub fn wide_layout(&self) -> RowLayout {
        let computed = self.computed.iter().map(|computed| &computed.column);
        let types: Vec<Type> = self.columns.iter().chain(computed).map(|c| c.ty).collect();
        RowLayout::new(&types)
    }

    /// A value of a row of `columns`, found out where it is computed.
    pub fn value<'r>(&self, row: &'r [u8], place: usize) -> Value<'r> {
        match place.checked_sub(self.columns.len()) {
            None => self.layout.value(row, place),
            Some(computed) => self.computed[computed].value(&self.layout, row),
        }
    }

    /// The columns that follow from no others which these are, or follow from.
    pub fn held(&self, places: &[usize]) -> Vec<usize> {
        let of = |&place: &usize| match place.checked_sub(self.columns.len()) {
            None => vec![place],
            Some(computed) => self.computed[computed].reads(),
        };
        let mut held: Vec<usize> = places.iter().flat_map(of).collect();
        held.sort_unstable();
        held.dedup();
        held
    }
}

impl Plan {
    /// What a column of a table or of groups follows from, where it is computed.
    pub fn computed(&self, table: TableId, place: usize) -> Option<&Computed> {
        let (table, place) = match self.grouping(table) {
            None => (self.table(table), place),
            Some(grouping) => (self.table(grouping.of), grouping.columns[place]),
        };
        table.computed.get(place.checked_sub(table.columns.len())?)
    }
}

/// The same value, however its calculations are written.
pub(super) fn unwritten(mut expr: Expr) -> Expr {
    fn forget(expr: &mut Expr) {
        if let ExprKind::Arithmetic(arithmetic) = &mut expr.kind {
            arithmetic.sql.clear();
        }
        expr.children_mut().into_iter().for_each(forget);
    }
    forget(&mut expr);
    expr
}

/// The row of a table by itself.
struct OneRow<'r> {
    layout: &'r RowLayout,
    row: &'r [u8],
}

impl Bindings for OneRow<'_> {
    fn column(&self, _: NodeId, column: usize) -> Value<'_> {
        self.layout.value(self.row, column)
    }

    fn is_present(&self, _: NodeId) -> bool {
        true
    }

    fn collection(&self, _: usize, _: usize) -> Result<Value<'_>, EvalError> {
        Ok(Value::Null)
    }
}
