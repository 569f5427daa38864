//! Plans put together by hand, for what is downstream of the planner.

use viewtide::sql::expr::{Expr, ExprKind};
use viewtide::sql::plan::{
    Column, Node, NodeId, Output, Plan, Scope, Table, TableId, TableSource, View, ViewIndex,
};
use viewtide::value::{Collation, Key, RowLayout, Type, Value};

pub(crate) const INT: Type = Type::Int { bytes: 4, unsigned: false };
pub(crate) const TEXT: Type = Type::Text(Collation::Binary);

/// A view of one table with these columns, keyed by the first `key` of them; each index covers
/// the columns at the places given. With `mirror` the table has the view's name.
pub(crate) fn add_view(
    plan: &mut Plan,
    name: &str,
    columns: &[(&str, Type)],
    key: usize,
    indexes: &[&[usize]],
    mirror: bool,
) {
    let table = TableId(plan.tables.len() as u16);
    let held: Vec<Column> = columns
        .iter()
        .enumerate()
        .map(|(at, (name, ty))| Column { name: (*name).to_owned(), ty: *ty, nullable: at >= key })
        .collect();
    let types: Vec<Type> = columns.iter().map(|(_, ty)| *ty).collect();
    plan.tables.push(Table {
        name: if mirror { name.to_owned() } else { format!("table_of_{name}") },
        source: TableSource::Captured,
        columns: held.clone(),
        key: (0..key).collect(),
        indexes: Vec::new(),
        computed: Vec::new(),
        layout: RowLayout::new(&types),
    });
    let output = |(at, column): (usize, &Column)| Output {
        name: column.name.clone(),
        expr: Expr {
            kind: ExprKind::Column { node: NodeId(0), column: at },
            ty: column.ty,
            nullable: column.nullable,
        },
    };
    plan.views.push(View {
        name: name.to_owned(),
        select: String::new(),
        nodes: vec![Node {
            alias: name.to_owned(),
            table,
            reads: (0..columns.len()).collect(),
            edge: None,
        }],
        scope: Scope { from: NodeId(0), joins: Vec::new(), filter: None },
        collections: Vec::new(),
        outputs: held.iter().enumerate().map(output).collect(),
        conditions: 0,
        key: (0..key).collect(),
        indexes: indexes
            .iter()
            .enumerate()
            .map(|(at, columns)| ViewIndex { name: format!("i{at}"), columns: columns.to_vec() })
            .collect(),
        fingerprint: format!("{}-1", name.replace(' ', "_")),
    });
}

/// A key of values.
pub(crate) fn key(values: &[Value<'_>]) -> Key {
    let mut key = Key::new();
    values.iter().for_each(|value| key.push(value));
    key
}

/// A key of one integer.
pub(crate) fn int(number: i64) -> Key {
    key(&[Value::Int(number)])
}
