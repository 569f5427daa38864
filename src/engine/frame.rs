//! The rows that one document is made of, while it is being made.
//!
//! A frame binds at most one row to each node of a view. Scopes bind the rows of their FROM one
//! after another; expressions read what is bound.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::aggregate::Known;
use super::directory::NONE;
use super::first::{Earliest, First};
use super::long_list::{Levels, LongList, Summary};
use super::order::{Kept, NodeOrder, ViewOrders};
use super::probe::{Probe, Told};
use super::table::Table;
use crate::sql::expr::{Bindings, EvalError, Expr};
use crate::sql::plan::{Access, Join, JoinKind, NodeId, OrderBy, Scope, TableId, View, ViewId};
use crate::value::{RowLayout, Type, Value, compare_as};

/// A row to be put in order among others.
struct Ranked<'e, 'f> {
    row: &'e [u8],
    /// The values of the ORDER BY, where the row's own columns are not enough.
    values: Vec<Value<'f>>,
}

/// Rows bound to the nodes of a view.
#[derive(Debug)]
pub(super) struct Frame<'e> {
    tables: &'e [Table],
    view: &'e View,
    orders: &'e ViewOrders,
    /// By node.
    bound: Vec<Cell<Option<Bound<'e>>>>,
    /// By number: the conditions that are found out once.
    once: Vec<Cell<Option<Option<bool>>>>,
    /// By collection, up to the last that has several aggregates.
    known: Vec<RefCell<Option<Known<'e>>>>,
    /// Lists that were looked through and are long, each by one of its rows, of which something
    /// can be kept.
    long_lists: RefCell<Vec<ListOf>>,
    /// The fewest rows of a list that is long.
    long: usize,
    /// Rows looked at so far, each as often as it was.
    looked_at: Cell<u64>,
    id: ViewId,
}

/// A list of a table's rows: how it is found, and one of them.
pub(super) type ListOf = (TableId, Access, u32);

/// What is done with each row that counts, while it is bound; breaks off where no more are wanted.
pub(super) type Then<'f> = &'f mut dyn FnMut() -> Result<ControlFlow<()>, EvalError>;

/// Rows found by one edge's values.
pub(super) struct Children<'e> {
    table: &'e Table,
    access: Access,
    /// The row to come.
    slot: u32,
}

/// The same, as they come or in order.
enum Siblings<'e> {
    Listed(Children<'e>),
    Sorted(smallvec::IntoIter<[&'e [u8]; 8]>),
}

/// A row and how to read it.
#[derive(Clone, Copy, Debug)]
struct Bound<'e> {
    row: &'e [u8],
    layout: &'e RowLayout,
}

impl<'e> Frame<'e> {
    /// A frame of a view with no row bound.
    pub(super) fn new(
        tables: &'e [Table],
        (id, view): (ViewId, &'e View),
        orders: &'e ViewOrders,
        long: usize,
    ) -> Frame<'e> {
        let bound = vec![Cell::new(None); view.nodes.len()];
        let once = vec![Cell::new(None); view.conditions];
        let known = (0..orders.remembered).map(|_| RefCell::default()).collect();
        let (long_lists, looked_at) = (RefCell::default(), Cell::new(0));
        Frame { tables, view, orders, bound, once, known, long_lists, long, looked_at, id }
    }

    /// How many rows were looked at, and the lists that were looked through and are long, of which
    /// something can be kept.
    pub(super) fn into_work(self) -> (u64, Vec<ListOf>) {
        (self.looked_at.get(), self.long_lists.into_inner())
    }

    /// A scope, by its FROM, among those of all views.
    pub(super) fn of_view(&self, from: NodeId) -> (ViewId, NodeId) {
        (self.id, from)
    }

    /// The long list of the rows that hang on the bound parent of a node, if they are one.
    pub(super) fn long_list(&self, node: NodeId) -> Option<&'e LongList> {
        let down = self.view.node(node).edge.as_ref()?.down;
        if !self.table(node).has_long_lists(down) {
            return None;
        }
        let Children { table, access, slot } = self.children(node);
        table.long_list(access, slot)
    }

    /// Notes the list of a node's rows, so many of which were looked through.
    fn looked_through(&self, node: NodeId, rows: usize) {
        if rows > self.long && self.orders.nodes[usize::from(node.0)].kept != Kept::Nothing {
            let Children { access, slot, .. } = self.children(node);
            self.long_lists.borrow_mut().push((self.view.node(node).table, access, slot));
        }
    }

    /// The orders of the view's rows.
    pub(super) fn orders(&self) -> &'e ViewOrders {
        self.orders
    }

    /// What is known of the values of a collection of several aggregates.
    pub(super) fn remembered(&self, collection: usize) -> &RefCell<Option<Known<'e>>> {
        &self.known[collection]
    }

    /// The view.
    pub(super) fn view(&self) -> &'e View {
        self.view
    }

    /// The table of a node.
    #[inline]
    pub(super) fn table(&self, node: NodeId) -> &'e Table {
        &self.tables[usize::from(self.view.node(node).table.0)]
    }

    /// Binds every row of a scope that counts, one after another, in the order of its node or as
    /// they come, until `then` breaks off.
    pub(super) fn each(
        &self,
        scope: &'e Scope,
        ordered: bool,
        then: Then<'_>,
    ) -> Result<ControlFlow<()>, EvalError> {
        let mut rows = 0;
        for row in self.rows_of(scope.from, ordered) {
            rows += 1;
            self.look_at(scope.from, row);
            if self.joined(scope, &scope.joins, ordered, then)?.is_break() {
                self.looked_through(scope.from, rows);
                return Ok(ControlFlow::Break(()));
            }
        }
        self.looked_through(scope.from, rows);
        Ok(ControlFlow::Continue(()))
    }

    /// Binds what the joins that are left find; every row that counts then.
    fn joined(
        &self,
        scope: &'e Scope,
        mut joins: &'e [Join],
        ordered: bool,
        then: Then<'_>,
    ) -> Result<ControlFlow<()>, EvalError> {
        while let [join, rest @ ..] = joins {
            let JoinKind::Each { scope: each } = &join.kind else {
                if !self.join(join)? && join.required {
                    return Ok(ControlFlow::Continue(()));
                }
                joins = rest;
                continue;
            };
            let mut found = false;
            let flow = self.each(each, ordered, &mut || {
                found = true;
                self.joined(scope, rest, ordered, then)
            })?;
            if flow.is_break() || found || join.required {
                return Ok(flow);
            }
            self.unbind(each);
            joins = rest;
        }
        match &scope.filter {
            Some(filter) if !self.holds(filter)? => Ok(ControlFlow::Continue(())),
            _ => then(),
        }
    }

    /// Binds a row of a scope's FROM and what is joined to it; whether it counts.
    pub(super) fn admit(&self, scope: &'e Scope, row: &'e [u8]) -> Result<bool, EvalError> {
        self.look_at(scope.from, row);
        let found = &mut || Ok(ControlFlow::Break(()));
        self.joined(scope, &scope.joins, false, found).map(|flow| flow.is_break())
    }

    /// Binds the first row of a scope by an order; whether there is one.
    pub(super) fn pick(
        &self,
        scope: &'e Scope,
        order_by: &'e [OrderBy],
    ) -> Result<bool, EvalError> {
        let &NodeOrder { ref order, mut leads, kept, .. } =
            &self.orders.nodes[usize::from(scope.from.0)];
        if let Kept::First { .. } = kept
            && let Some(list) = self.long_list(scope.from)
        {
            if let Some(known) = self.first_of(list, scope) {
                return known;
            }
            // A long list is headed by any row, and what errors show is not to depend on that.
            if let (true, Some(order)) = (leads, order) {
                let layout = &self.table(scope.from).rows.layout;
                let rows = self.children(scope.from);
                let rows = rows.inspect(|_| self.looked_at.set(self.looked_at.get() + 1));
                let first = rows.min_by(|a, b| order.compare(layout, a, b));
                if first.map_or(Ok(false), |row| self.admit(scope, row))? {
                    return Ok(true);
                }
                leads = false;
            }
        }
        let mut best: Option<Ranked<'e, '_>> = None;
        let mut best_is_bound = false;
        let mut rows = 0;
        for (i, row) in self.children(scope.from).enumerate() {
            best_is_bound = false;
            rows = i + 1;
            if !self.admit(scope, row)? {
                continue;
            }
            if leads && i == 0 {
                return Ok(true);
            }
            let ranked = self.ranked(scope.from, row, order_by)?;
            let is_first = |best: &Ranked<'_, '_>| {
                self.compare_ranked(scope.from, order_by, &ranked, best).is_lt()
            };
            if best.as_ref().is_none_or(is_first) {
                best = Some(ranked);
                best_is_bound = true;
            }
        }
        self.looked_through(scope.from, rows);
        match best {
            Some(_) if best_is_bound => Ok(true),
            Some(best) => self.admit(scope, best.row),
            None => {
                self.unbind(scope);
                Ok(false)
            }
        }
    }

    /// Binds the first row of a list, as far as it is kept, and tells whether there is one; `None`
    /// if its rows are to be looked through.
    fn first_of(&self, list: &LongList, scope: &'e Scope) -> Option<Result<bool, EvalError>> {
        let NodeOrder { order: Some(order), kept: Kept::First { filtered }, columns, .. } =
            &self.orders.nodes[usize::from(scope.from.0)]
        else {
            return None;
        };
        let table = self.table(scope.from);
        let mut levels = match list.take(self.of_view(scope.from)) {
            Some(Summary::First(levels)) => levels,
            _ => Levels::default(),
        };
        let earliest = Earliest { table, order };
        let counts = |slot: u32| match (filtered, table.row(slot)) {
            (_, None) => First::Nothing,
            (false, Some(_)) => First::Row(slot),
            (true, Some(row)) => match self.admit(scope, row) {
                Ok(true) => First::Row(slot),
                Ok(false) => First::Nothing,
                Err(_) => First::Error,
            },
        };
        let of_block = |_, slots: &[u32]| {
            table.read_all(slots);
            slots
                .iter()
                .map(|slot| counts(*slot))
                .reduce(|a, b| earliest.of(a, b))
                .unwrap_or(First::Nothing)
        };
        let first = levels.refresh(list.members(), of_block, &earliest).copied();
        list.keep(self.of_view(scope.from), columns, Summary::First(levels));
        match first.unwrap_or(First::Nothing) {
            First::Error => None,
            First::Nothing => {
                self.unbind(scope);
                Some(Ok(false))
            }
            First::Row(slot) => match self.admit(scope, table.row(slot)?) {
                // The first that the filter takes may be any other.
                Ok(false) => None,
                found => Some(found),
            },
        }
    }

    /// The rows that hang on the bound parent of a node.
    pub(super) fn children(&self, node: NodeId) -> Children<'e> {
        let table = self.table(node);
        let none = Children { table, access: Access::Primary, slot: NONE };
        let Some(edge) = &self.view.node(node).edge else { return none };
        let Some(Bound { row, layout }) = self.bound(edge.parent) else { return none };
        let slot = table
            .first(edge.down, &Probe::of_row(layout, row, &edge.parent_columns, Told::by(edge)));
        Children { table, access: edge.down, slot }
    }

    /// The rows that hang on the bound parent of a node, in the order of the node if it has one
    /// and that is wanted.
    fn rows_of(&self, node: NodeId, ordered: bool) -> Siblings<'e> {
        let order = self.orders.nodes[usize::from(node.0)].order.as_ref();
        match order.filter(|_| ordered) {
            None => Siblings::Listed(self.children(node)),
            Some(order) => {
                let layout = &self.table(node).rows.layout;
                let mut rows: SmallVec<[&'e [u8]; 8]> = self.children(node).collect();
                rows.sort_by(|a, b| order.compare(layout, a, b));
                Siblings::Sorted(rows.into_iter())
            }
        }
    }

    /// A row of `from`, which is bound now, as it is put in order.
    fn ranked<'f>(
        &'f self,
        from: NodeId,
        row: &'e [u8],
        order_by: &'f [OrderBy],
    ) -> Result<Ranked<'e, 'f>, EvalError> {
        let values = match self.orders.nodes[usize::from(from.0)].order {
            Some(_) => Vec::new(),
            None => order_by.iter().map(|term| term.expr.eval(self)).collect::<Result<_, _>>()?,
        };
        Ok(Ranked { row, values })
    }

    /// Compares two rows of `from` by its order.
    fn compare_ranked(
        &self,
        from: NodeId,
        order_by: &[OrderBy],
        a: &Ranked<'_, '_>,
        b: &Ranked<'_, '_>,
    ) -> Ordering {
        if let Some(order) = &self.orders.nodes[usize::from(from.0)].order {
            return order.compare(&self.table(from).rows.layout, a.row, b.row);
        }
        compare_by(order_by, &a.values, &b.values)
    }

    fn join(&self, join: &'e Join) -> Result<bool, EvalError> {
        match &join.kind {
            JoinKind::Lookup { node, on } => {
                self.bind(*node, self.children(*node).next());
                if let (true, Some(on)) = (self.is_present(*node), on)
                    && !self.holds(on)?
                {
                    self.bind(*node, None);
                }
                Ok(self.is_present(*node))
            }
            JoinKind::Pick { scope, order_by } => self.pick(scope, order_by),
            // Goes through all of them elsewhere.
            JoinKind::Each { .. } => Ok(false),
        }
    }

    /// Whether a condition is true: neither false nor NULL.
    fn holds(&self, condition: &'e Expr) -> Result<bool, EvalError> {
        Ok(condition.truth(self)? == Some(true))
    }

    /// Binds a row of a list, which is what assembling a document costs.
    fn look_at(&self, from: NodeId, row: &'e [u8]) {
        self.looked_at.set(self.looked_at.get() + 1);
        self.bind(from, Some(row));
    }

    fn bind(&self, node: NodeId, row: Option<&'e [u8]>) {
        let layout = &self.table(node).rows.layout;
        self.bound[usize::from(node.0)].set(row.map(|row| Bound { row, layout }));
    }

    #[inline]
    fn bound(&self, node: NodeId) -> Option<Bound<'e>> {
        self.bound[usize::from(node.0)].get()
    }

    /// The row bound to a node.
    pub(super) fn row(&self, node: NodeId) -> Option<&'e [u8]> {
        self.bound(node).map(|bound| bound.row)
    }

    fn unbind(&self, scope: &Scope) {
        self.bind(scope.from, None);
        for join in &scope.joins {
            match &join.kind {
                JoinKind::Lookup { node, .. } => self.bind(*node, None),
                JoinKind::Pick { scope, .. } | JoinKind::Each { scope } => self.unbind(scope),
            }
        }
    }
}

/// Compares the values of an ORDER BY.
pub(super) fn compare_by(order_by: &[OrderBy], a: &[Value<'_>], b: &[Value<'_>]) -> Ordering {
    let by_term = |((a, b), term): ((&Value<'_>, &Value<'_>), &OrderBy)| {
        let ordering = compare_as(term.expr.ty, a, b);
        if term.descending { ordering.reverse() } else { ordering }
    };
    let mut terms = a.iter().zip(b).zip(order_by).map(by_term);
    terms.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}

impl<'e> Iterator for Children<'e> {
    type Item = &'e [u8];

    #[inline]
    fn next(&mut self) -> Option<&'e [u8]> {
        if self.slot == NONE {
            return None;
        }
        let row = self.table.row(self.slot);
        self.slot = self.table.next(self.access, self.slot);
        row
    }
}

impl<'e> Iterator for Siblings<'e> {
    type Item = &'e [u8];

    #[inline]
    fn next(&mut self) -> Option<&'e [u8]> {
        match self {
            Siblings::Listed(rows) => rows.next(),
            Siblings::Sorted(rows) => rows.next(),
        }
    }
}

impl Bindings for Frame<'_> {
    #[inline]
    fn column(&self, node: NodeId, column: usize) -> Value<'_> {
        match self.bound(node) {
            Some(Bound { row, layout }) => layout.value(row, column),
            None => Value::Null,
        }
    }

    #[inline]
    fn append_column(
        &self,
        (node, column): (NodeId, usize),
        _: Type,
        document: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        self.bound(node).is_some_and(|b| b.layout.append(b.row, column, document, out))
    }

    #[inline]
    fn ordinal(&self, node: NodeId, column: usize) -> Option<i64> {
        self.bound(node).and_then(|b| b.layout.ordinal(b.row, column))
    }

    #[inline]
    fn short(&self, node: NodeId, column: usize) -> Option<(i64, u8)> {
        self.bound(node).and_then(|b| b.layout.short(b.row, column))
    }

    #[inline]
    fn is_null(&self, node: NodeId, column: usize) -> bool {
        self.bound(node).is_none_or(|b| b.layout.is_null(b.row, column))
    }

    #[inline]
    fn is_present(&self, node: NodeId) -> bool {
        self.bound(node).is_some()
    }

    #[inline]
    fn once(
        &self,
        condition: usize,
        find: impl FnOnce() -> Result<Option<bool>, EvalError>,
    ) -> Result<Option<bool>, EvalError> {
        if let Some(known) = self.once[condition].get() {
            return Ok(known);
        }
        let found = find()?;
        self.once[condition].set(Some(found));
        Ok(found)
    }

    fn collection(&self, collection: usize, aggregate: usize) -> Result<Value<'_>, EvalError> {
        self.aggregate(collection, aggregate)
    }

    fn append_collection(
        &self,
        aggregate: (usize, usize),
        out: &mut Vec<u8>,
    ) -> Result<bool, EvalError> {
        self.append_aggregate(aggregate, out)
    }
}
