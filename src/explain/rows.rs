//! The rows that a document can have, by the edges of its view alone: WHERE, ON and LIMIT may leave
//! some of them out.

use std::collections::BTreeSet;

use super::ROWS_MAX;
use crate::mysql::quoted_name;
use crate::sql::plan::{Edge, NodeId, Plan, Table, TableId, TableSource, View};
use crate::value::{Key, Type, Value};
use crate::verify::VerifyError;
use crate::verify::database::{Database, among, asked, literal};
use crate::verify::events::Events;

/// The rows of one table reference.
#[derive(Debug)]
pub(super) struct NodeRows {
    pub(super) node: NodeId,
    /// In the order of their keys.
    pub(super) rows: Vec<Held>,
    /// There are more.
    pub(super) cut: bool,
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) table: TableId,
    pub(super) key: Key,
    /// By column of the table.
    pub(super) values: Vec<Value<'static>>,
}

/// The rows of every node of a view for the document of this key, [`ROWS_MAX`] of each at most.
pub(super) async fn collect(
    plan: &Plan,
    view: &View,
    key: &Key,
    database: &mut Database,
    events: &Events,
) -> Result<Vec<NodeRows>, VerifyError> {
    let mut nodes: Vec<NodeRows> = Vec::new();
    // Parents come before what hangs on them.
    while nodes.len() < view.nodes.len() {
        let before = nodes.len();
        for at in 0..view.nodes.len() {
            let node = NodeId(at as u16);
            let known = |node: NodeId| nodes.iter().find(|rows| rows.node == node);
            let parents = match &view.node(node).edge {
                _ if known(node).is_some() => continue,
                None => None,
                Some(edge) => match known(edge.parent) {
                    None => continue,
                    Some(parents) => Some((edge, values_of(edge, parents))),
                },
            };
            let mut reading = Reading { plan, view, database: &mut *database, events };
            let mut values = match &parents {
                None => reading.root(key).await?,
                Some((edge, values)) => reading.joined(node, edge, values).await?,
            };
            let table = view.node(node).table;
            let cut = values.len() > ROWS_MAX;
            values.truncate(ROWS_MAX);
            let held = |values: Vec<Value<'static>>| {
                let key = key_of(plan.table(table).key.iter().map(|&column| &values[column]));
                Held { table, key, values }
            };
            nodes.push(NodeRows { node, rows: values.into_iter().map(held).collect(), cut });
        }
        assert!(nodes.len() > before, "every node hangs on another, up to the root");
    }
    nodes.sort_by_key(|rows| rows.node.0);
    Ok(nodes)
}

struct Reading<'r> {
    plan: &'r Plan,
    view: &'r View,
    database: &'r mut Database,
    events: &'r Events,
}

impl Reading<'_> {
    /// The root's row, or the group.
    async fn root(&mut self, key: &Key) -> Result<Vec<Vec<Value<'static>>>, VerifyError> {
        let id = self.view.node(NodeId(0)).table;
        let table = self.plan.table(id);
        let types: Vec<Type> = table.key.iter().map(|&column| table.columns[column].ty).collect();
        let Some(values) = key.values(&types) else { return Ok(Vec::new()) };
        if self.plan.grouping(id).is_some() {
            let mut of_group = vec![Value::Null; table.columns.len()];
            for (&column, value) in table.key.iter().zip(values) {
                of_group[column] = value;
            }
            return Ok(vec![of_group]);
        }
        match table.source {
            TableSource::Captured => self.select(id, &table.key, &[values]).await,
            TableSource::Stream(_) => {
                Ok(self.events.values(id, &[key.clone()].into(), &all(table)))
            }
        }
    }

    /// The rows that hang on others with these values.
    async fn joined(
        &mut self,
        node: NodeId,
        edge: &Edge,
        parents: &[Vec<Value<'static>>],
    ) -> Result<Vec<Vec<Value<'static>>>, VerifyError> {
        let node = self.view.node(node);
        let table = self.plan.table(node.table);
        if table.source == TableSource::Captured {
            return self.select(node.table, &edge.child_columns, parents).await;
        }
        let keys = self.events.keys_with(node, parents);
        Ok(match self.plan.grouping(node.table) {
            None => self.events.values(node.table, &keys, &all(table)),
            Some(of) => self.events.values(of.of, &keys, &of.places(&all(table))),
        })
    }

    /// The rows of a table with one of some tuples in these columns, and one more than is wanted.
    async fn select(
        &mut self,
        id: TableId,
        by: &[usize],
        tuples: &[Vec<Value<'static>>],
    ) -> Result<Vec<Vec<Value<'static>>>, VerifyError> {
        if tuples.is_empty() {
            return Ok(Vec::new());
        }
        let table = self.plan.table(id);
        let name = |column: usize| asked(self.plan, id, column);
        // MySQL's text of a FLOAT has six digits.
        let (mut list, mut types) = (Vec::new(), Vec::new());
        for (at, column) in table.columns.iter().enumerate() {
            let is_float = column.ty == Type::Float;
            list.push(if is_float { format!("{} + 0E0", name(at)) } else { name(at) });
            types.push(if is_float { Type::Double } else { column.ty });
        }
        let literals = tuples.iter().map(|values| {
            let of =
                |(value, &column): (&Value<'_>, &usize)| literal(value, table.column(column).ty);
            values.iter().zip(by).map(of).collect()
        });
        let names: Vec<String> = by.iter().map(|&column| name(column)).collect();
        let order: Vec<String> = table.key.iter().map(|&column| name(column)).collect();
        let sql = format!(
            "SELECT DISTINCT {} FROM {} WHERE {} ORDER BY {} LIMIT {}",
            list.join(", "),
            quoted_name(&table.name),
            among(&names, literals),
            order.join(", "),
            ROWS_MAX + 1
        );
        let mut rows = self.database.rows(&sql, &types).await?;
        for row in &mut rows {
            for (value, column) in row.iter_mut().zip(&table.columns) {
                if let (Value::Double(wide), Type::Float) = (&*value, column.ty) {
                    *value = Value::Float(*wide as f32);
                }
            }
        }
        Ok(rows)
    }
}

/// The values by which rows hang on these, each once.
fn values_of(edge: &Edge, parents: &NodeRows) -> Vec<Vec<Value<'static>>> {
    let mut seen = BTreeSet::new();
    let values = parents.rows.iter().map(|row| -> Vec<Value<'static>> {
        edge.parent_columns.iter().map(|&column| row.values[column].clone()).collect()
    });
    let counts = |values: &Vec<Value<'static>>| edge.as_groups || !values.contains(&Value::Null);
    values.filter(counts).filter(|values| seen.insert(key_of(values.iter()))).collect()
}

fn all(table: &Table) -> Vec<usize> {
    (0..table.columns.len()).collect()
}

fn key_of<'v>(values: impl Iterator<Item = &'v Value<'static>>) -> Key {
    let mut key = Key::new();
    values.for_each(|value| key.push(value));
    key
}
