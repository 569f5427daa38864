//! What the planner makes of tables and views: the whole contract between `sql`, which writes it,
//! and everything that runs it.
//!
//! A view is a tree of [`Node`]s, one per table reference of its SELECT and of every SELECT inside
//! it; `nodes[0]` is the root. A node's [`Edge`] to its parent is an equality of columns and can be
//! walked both ways: down to assemble a document, up to find the documents that a row is part of.
//! SELECTs are [`Scope`]s: they say in which order their nodes are found and which rows count.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use super::computed::Computed;
use super::expr::{Expr, ExprKind};
use crate::value::{RowLayout, Type};

/// Place of a table in [`Plan::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u16);

/// Place of a view in [`Plan::views`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ViewId(pub u16);

/// Place of a node in [`View::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u16);

/// All tables that some view reads, and all views.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Tables, by [`TableId`].
    pub tables: Vec<Table>,
    /// Tables that follow from others: the ids after those of `tables`.
    pub groupings: Vec<Grouping>,
    /// Views, by [`ViewId`].
    pub views: Vec<View>,
}

/// A table as far as views read it.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name, as in the SQL.
    pub name: String,
    /// Where its rows come from.
    pub source: TableSource,
    /// The columns held: the primary key's and those that views read, in the order of the DDL.
    pub columns: Vec<Column>,
    /// The primary key: places in `columns`, in key order.
    pub key: Vec<usize>,
    /// Non-unique indexes that edges need.
    pub indexes: Vec<TableIndex>,
    /// What GROUP BY computes of a row: columns behind `columns`, which only the engine's rows have.
    pub computed: Vec<Computed>,
    /// How rows of `columns` are packed.
    pub layout: RowLayout,
}

/// A non-unique index of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableIndex {
    /// Places in [`Table::columns`] and behind them.
    pub columns: Vec<usize>,
    /// Whether values are told apart as groups are: NULL equals NULL, text goes by its bytes.
    pub as_groups: bool,
}

/// The groups that GROUP BY makes of a table's rows: a row for each combination of values that
/// some row has, NULL being a value like any other.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// The table whose rows are grouped.
    pub of: TableId,
    /// Its index by the columns of `table.key`, in that order.
    pub index: usize,
    /// The groups, named as the table they are of: the columns that rows are grouped by, all of
    /// which are the key.
    pub table: Table,
    /// By column of `table`: its place in the columns of the table grouped.
    pub columns: Vec<usize>,
}

/// Where a table's rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableSource {
    /// A MySQL table, captured by Debezium.
    Captured,
    /// An event topic declared in `sql/streams`.
    Stream(Stream),
}

/// An event topic used as a table. Without a declared primary key its rows are keyed by the
/// columns `_partition` (INT) and `_offset` (BIGINT), which every stream table has, last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Kafka topic.
    pub topic: String,
    /// Unit in which the events' timestamps count from 1970.
    pub timestamps: TimestampUnit,
}

/// Unit of the numbers that stand for instants in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimestampUnit {
    /// Seconds; a fraction is allowed.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

/// A column that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as in the DDL.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether it can be NULL.
    pub nullable: bool,
}

/// One view: a SELECT with its document key and look-up indexes.
#[derive(Clone, Debug)]
pub struct View {
    /// Its name, as in `CREATE VIEW`.
    pub name: String,
    /// The SELECT in one normal form, as MySQL is asked by `verify`: blanks and comments aside,
    /// `*` written out, event topics by their tables' names.
    pub select: String,
    /// Every table reference; `nodes[0]` is the root.
    pub nodes: Vec<Node>,
    /// The outermost SELECT, from `nodes[0]`.
    pub scope: Scope,
    /// SELECTs that make one row out of many, referred to by expressions.
    pub collections: Vec<Collection>,
    /// The columns of a document, in order.
    pub outputs: Vec<Output>,
    /// How many conditions of `outputs` are [`super::expr::ExprKind::Once`].
    pub conditions: usize,
    /// The document's key: places in `outputs` that are the root's primary key, in key order.
    pub key: Vec<usize>,
    /// Look-up indexes of the API.
    pub indexes: Vec<ViewIndex>,
    /// Changes whenever documents or their index entries may differ: normalised SQL, indexes,
    /// column types, engine semantics.
    pub fingerprint: String,
}

/// One column of a document.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// How it is computed; carries its type.
    pub expr: Expr,
}

/// An index that documents can be looked up by: `CREATE INDEX name ON view (columns)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewIndex {
    /// Its name.
    pub name: String,
    /// Places in [`View::outputs`].
    pub columns: Vec<usize>,
}

/// One table reference.
#[derive(Clone, Debug)]
pub struct Node {
    /// What its SELECT calls it.
    pub alias: String,
    /// The table.
    pub table: TableId,
    /// Columns (places in [`Table::columns`], behind them what is computed) whose change can change a
    /// document through this node: those read by expressions, filters and orders of this view, and
    /// those of its edges.
    pub reads: Vec<usize>,
    /// How its rows hang on another node's; `None` for the root alone.
    pub edge: Option<Edge>,
}

/// `child.child_columns = parent.parent_columns`, pairwise. Integers of different types compare
/// as numbers, everything else has equal types and compares by bytes, text by its collation; NULL
/// matches nothing.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The node whose row is known when this one's are looked for.
    pub parent: NodeId,
    /// Columns of the parent's table.
    pub parent_columns: Vec<usize>,
    /// Columns of this node's table.
    pub child_columns: Vec<usize>,
    /// How to find the child's rows from the parent's.
    pub down: Access,
    /// How to find the parent's rows from the child's.
    pub up: Access,
    /// Whether values are told apart as groups are: NULL equals NULL, text goes by its bytes.
    pub as_groups: bool,
}

/// How rows are found by the values of an edge's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By primary key: the edge's columns on this side are [`Table::key`], in that order.
    Primary,
    /// By [`Table::indexes`], whose columns are the edge's on this side, in that order.
    Index(usize),
}

/// One SELECT's FROM and WHERE: a row of `from`, then each join in order, then the filter.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The table whose rows are taken one by one.
    pub from: NodeId,
    /// What is joined to each of them.
    pub joins: Vec<Join>,
    /// WHERE: rows for which this is not true do not count.
    pub filter: Option<Expr>,
}

/// What is joined to each row.
#[derive(Clone, Debug)]
pub struct Join {
    /// Finds the rows.
    pub kind: JoinKind,
    /// INNER: without a match the row of the enclosing scope does not count. Otherwise the joined
    /// columns are NULL.
    pub required: bool,
}

/// How the joined rows are found: at most one, but for [`JoinKind::Each`].
#[derive(Clone, Debug)]
pub enum JoinKind {
    /// The one row with the given primary key, if `on` (the rest of the ON clause) holds.
    Lookup {
        /// The joined node; its edge goes down by [`Access::Primary`].
        node: NodeId,
        /// Further conditions of the ON clause.
        on: Option<Expr>,
    },
    /// The first row of a SELECT by its order: `LATERAL (… ORDER BY … LIMIT 1)`.
    Pick {
        /// The SELECT inside; the rows of `scope.from` are found by its node's edge.
        scope: Scope,
        /// Its order; it ends in the key of `scope.from`, so the first row is one.
        order_by: Vec<OrderBy>,
    },
    /// Every row of a SELECT; in the scopes of collections alone, and not in those of
    /// [`Aggregate::First`].
    Each {
        /// The SELECT; the rows of `scope.from` are found by its node's edge.
        scope: Scope,
    },
}

/// One term of an ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    /// What to order by.
    pub expr: Expr,
    /// Largest first; NULLs are smallest, as MySQL has it.
    pub descending: bool,
}

/// A SELECT that makes one row out of many: `(SELECT aggregates FROM … WHERE …)`.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Its rows; those of `scope.from` are found by its node's edge.
    pub scope: Scope,
    /// What is made of them, in one pass; [`Aggregate::First`] and [`Aggregate::Exists`] stand alone.
    pub aggregates: Vec<Aggregate>,
}

/// How many rows become one value. Rows whose argument is NULL are left out of all but
/// `CountRows`, `Exists` and `JsonArray`.
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregate {
    /// EXISTS (SELECT …): whether there is a row.
    Exists,
    /// COUNT(*): 0 of nothing.
    CountRows,
    /// COUNT(expr): 0 of nothing.
    Count(Expr),
    /// COUNT(DISTINCT …): rows of values that differ, those with a NULL aside; 0 of nothing.
    CountDistinct(Vec<Expr>),
    /// SUM(expr) of exact numbers, a DECIMAL: NULL of nothing.
    Sum(Expr),
    /// AVG(expr) of exact numbers, a DECIMAL: NULL of nothing.
    Avg(Expr),
    /// SUM(DISTINCT expr).
    SumDistinct(Expr),
    /// AVG(DISTINCT expr).
    AvgDistinct(Expr),
    /// BIT_AND, BIT_OR or BIT_XOR of integers, a BIGINT UNSIGNED: all ones or 0 of nothing.
    Bits(BitOp, Expr),
    /// MIN(expr): NULL of nothing.
    Min(Expr),
    /// MAX(expr): NULL of nothing.
    Max(Expr),
    /// GROUP_CONCAT: NULL of nothing. Never cut off.
    GroupConcat {
        /// The texts joined (several arguments are one CONCAT).
        value: Expr,
        /// Their order, ending in a unique key.
        order_by: Vec<OrderBy>,
        /// What stands between.
        separator: String,
    },
    /// GROUP_CONCAT(DISTINCT … ORDER BY the same): NULL of nothing.
    ConcatDistinct {
        /// The values joined.
        value: Expr,
        /// Largest first.
        descending: bool,
        /// What stands between.
        separator: String,
    },
    /// JSON_OBJECTAGG of names that differ: NULL of nothing.
    JsonObject {
        /// A member's name.
        name: Expr,
        /// Its value.
        value: Expr,
    },
    /// JSON_ARRAYAGG, in the order of the primary keys of `scope.from` and of each
    /// [`JoinKind::Each`]: NULL of nothing.
    JsonArray(Expr),
    /// A plain scalar subquery `(SELECT expr FROM … ORDER BY … LIMIT 1)`: NULL of nothing.
    First {
        /// The value of the first row.
        value: Expr,
        /// The order, ending in a unique key.
        order_by: Vec<OrderBy>,
    },
}

/// How bits of integers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOp {
    /// BIT_AND
    And,
    /// BIT_OR
    Or,
    /// BIT_XOR
    Xor,
}

impl Plan {
    /// Whether the same tables are held and the same documents are made of them.
    pub fn is_like(&self, other: &Plan) -> bool {
        let tables = |plan: &Plan| -> Vec<_> {
            let table =
                |t: &Table| (t.name.clone(), t.source.clone(), t.columns.clone(), t.key.clone());
            plan.tables.iter().map(table).collect()
        };
        let views = |plan: &Plan| -> Vec<_> {
            plan.views.iter().map(|view| (view.name.clone(), view.fingerprint.clone())).collect()
        };
        tables(self) == tables(other) && views(self) == views(other)
    }

    /// The table with this id, or the groups.
    pub fn table(&self, id: TableId) -> &Table {
        let place = usize::from(id.0);
        match place.checked_sub(self.tables.len()) {
            None => &self.tables[place],
            Some(grouping) => &self.groupings[grouping].table,
        }
    }

    /// What a table's rows are the groups of, if they are.
    pub fn grouping(&self, id: TableId) -> Option<&Grouping> {
        self.groupings.get(usize::from(id.0).checked_sub(self.tables.len())?)
    }

    /// All tables, groups last, with their ids.
    pub fn every_table(&self) -> impl Iterator<Item = (TableId, &Table)> {
        let groupings = self.groupings.iter().map(|grouping| &grouping.table);
        let tables = self.tables.iter().chain(groupings).enumerate();
        tables.map(|(place, table)| (TableId(place as u16), table))
    }

    /// The view with this id.
    pub fn view(&self, id: ViewId) -> &View {
        &self.views[usize::from(id.0)]
    }

    /// The tables that rows come in for, with their ids.
    pub fn tables_with_ids(&self) -> impl Iterator<Item = (TableId, &Table)> {
        self.tables.iter().enumerate().map(|(i, table)| (TableId(i as u16), table))
    }

    /// The views with their ids.
    pub fn views_with_ids(&self) -> impl Iterator<Item = (ViewId, &View)> {
        self.views.iter().enumerate().map(|(i, view)| (ViewId(i as u16), view))
    }
}

impl Grouping {
    /// Places in the table grouped of columns of the groups.
    pub fn places(&self, columns: &[usize]) -> Vec<usize> {
        columns.iter().map(|&column| self.columns[column]).collect()
    }
}

impl Scope {
    /// Calls `each` with every node that the scope finds rows of, those of collections aside.
    pub(crate) fn each_node(&self, each: &mut impl FnMut(NodeId)) {
        each(self.from);
        self.joins.iter().for_each(|join| join.kind.each_node(each));
    }

    /// Whether which rows count follows from each row of its FROM alone.
    pub(crate) fn follows_from_its_rows(&self) -> bool {
        self.joins.is_empty() && self.filter.iter().all(|filter| filter.follows_from(self.from))
    }

    /// The columns of its FROM that its expressions read.
    pub(crate) fn own_columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        self.each_expr(&mut |expr| columns.extend(expr.column_of(self.from)));
        columns
    }

    /// The nodes whose rows together make a row of the scope: its FROM, and every join that may
    /// find several.
    pub fn row_nodes(&self) -> Vec<NodeId> {
        let mut nodes = vec![self.from];
        for join in &self.joins {
            if let JoinKind::Each { scope } = &join.kind {
                nodes.extend(scope.row_nodes());
            }
        }
        nodes
    }

    /// Calls `each` with every expression of the scope, inner ones too.
    pub(super) fn each_expr(&self, each: &mut impl FnMut(&Expr)) {
        for join in &self.joins {
            match &join.kind {
                JoinKind::Lookup { on, .. } => on.iter().for_each(|on| on.each(each)),
                JoinKind::Each { scope } => scope.each_expr(each),
                JoinKind::Pick { scope, order_by } => {
                    scope.each_expr(each);
                    order_by.iter().for_each(|term| term.expr.each(each));
                }
            }
        }
        self.filter.iter().for_each(|filter| filter.each(each));
    }
}

impl JoinKind {
    /// Calls `each` with every node that the join finds rows of.
    pub(super) fn each_node(&self, each: &mut impl FnMut(NodeId)) {
        match self {
            JoinKind::Lookup { node, .. } => each(*node),
            JoinKind::Pick { scope, .. } | JoinKind::Each { scope } => scope.each_node(each),
        }
    }
}

impl Aggregate {
    /// The columns of this node that its expressions read.
    pub(crate) fn own_columns(&self, from: NodeId) -> Vec<usize> {
        let mut columns = Vec::new();
        self.each_expr(&mut |expr| columns.extend(expr.column_of(from)));
        columns
    }

    /// Whether what a row gives follows from the row of this node alone.
    pub(crate) fn follows_from(&self, from: NodeId) -> bool {
        let mut follows = true;
        self.each_expr(&mut |expr| follows &= expr.reads_but(from));
        follows
    }

    /// Calls `each` with every expression of the aggregate, inner ones too.
    pub(super) fn each_expr(&self, each: &mut impl FnMut(&Expr)) {
        match self {
            Aggregate::CountRows | Aggregate::Exists => {}
            Aggregate::Count(value)
            | Aggregate::Sum(value)
            | Aggregate::SumDistinct(value)
            | Aggregate::Avg(value)
            | Aggregate::AvgDistinct(value)
            | Aggregate::Bits(_, value)
            | Aggregate::ConcatDistinct { value, .. }
            | Aggregate::Min(value)
            | Aggregate::Max(value)
            | Aggregate::JsonArray(value) => value.each(each),
            Aggregate::CountDistinct(values) => values.iter().for_each(|value| value.each(each)),
            Aggregate::JsonObject { name, value } => {
                name.each(each);
                value.each(each);
            }
            Aggregate::GroupConcat { value, order_by, .. }
            | Aggregate::First { value, order_by } => {
                value.each(each);
                order_by.iter().for_each(|term| term.expr.each(each));
            }
        }
    }
}

impl View {
    /// The node with this id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[usize::from(id.0)]
    }

    /// The nodes outside of a collection whose rows its values follow from.
    pub fn outside(&self, collection: usize) -> BTreeSet<NodeId> {
        let (mut inside, mut read) = (BTreeSet::new(), BTreeSet::new());
        let mut found = vec![collection];
        while let Some(Collection { scope, aggregates }) =
            found.pop().map(|collection| &self.collections[collection])
        {
            scope.each_node(&mut |node| {
                inside.insert(node);
                read.extend(self.node(node).edge.as_ref().map(|edge| edge.parent));
            });
            let mut note = |expr: &Expr| match expr.kind {
                ExprKind::Column { node, .. } | ExprKind::IfPresent(node, _) => {
                    read.insert(node);
                }
                ExprKind::Collection(inner, _) => found.push(inner),
                _ => {}
            };
            scope.each_expr(&mut note);
            aggregates.iter().for_each(|aggregate| aggregate.each_expr(&mut note));
        }
        &read - &inside
    }

    /// The types of the key's columns, in key order.
    pub fn key_types(&self) -> Vec<Type> {
        self.key.iter().map(|&output| self.outputs[output].expr.ty).collect()
    }

    /// Equal where keys name documents alike: names and types of their columns.
    pub fn key_form(&self) -> String {
        self.form([self.key.as_slice()])
    }

    /// Equal where look-ups find alike: names and types of the columns of each index.
    pub fn index_form(&self) -> String {
        self.form(self.indexes.iter().map(|index| index.columns.as_slice()))
    }

    /// A word for lists of columns.
    fn form<'v>(&self, lists: impl IntoIterator<Item = &'v [usize]>) -> String {
        let mut text = String::new();
        for columns in lists {
            for &at in columns {
                let output = &self.outputs[at];
                text.push_str(&format!("{:?} {:?},", output.name, output.expr.ty));
            }
            text.push('\n');
        }
        format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
    }
}
