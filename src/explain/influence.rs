//! Which rows of a document matter: an engine is given its rows alone, and then each is taken away
//! for a moment. One without which the document is the same does not matter: WHERE, ON or LIMIT leave it
//! out, or another row says the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rows::{Held, NodeRows};
use crate::change::{Change, Op};
use crate::engine::{Document, Engine};
use crate::keyspace::ErrorDocument;
use crate::sql::plan::{Plan, TableId, View, ViewId};
use crate::value::{Key, Row, RowWriter};

/// What the rows make.
#[derive(Debug)]
pub(super) struct Influence {
    /// The document, as it is stored; empty if they make none.
    pub(super) stored: Vec<u8>,
    /// The rows without which it would be another.
    pub(super) matters: BTreeSet<(TableId, Key)>,
}

impl Influence {
    /// What these rows make of a document, which must be all it can have; `None` where a value is not
    /// of its column's type.
    pub(super) fn find(
        plan: &Arc<Plan>,
        view: &View,
        key: &Key,
        nodes: &[NodeRows],
    ) -> Option<Influence> {
        let (id, _) = plan.views_with_ids().find(|(_, of)| of.name == view.name)?;
        let mut engine = Engine::new(Arc::clone(plan));
        let held: Vec<&Held> = nodes
            .iter()
            .flat_map(|of_node| &of_node.rows)
            .filter(|row| plan.grouping(row.table).is_none())
            .collect();
        for row in &held {
            engine.apply(Change { table: row.table, op: Op::Upsert(packed(plan, row)?) });
        }
        let stored = stored(&mut engine, id, key);
        let mut matters = BTreeSet::new();
        for row in &held {
            engine.apply(Change { table: row.table, op: Op::Delete(row.key.clone()) });
            if self::stored(&mut engine, id, key) != stored {
                matters.insert((row.table, row.key.clone()));
            }
            engine.apply(Change { table: row.table, op: Op::Upsert(packed(plan, row)?) });
        }
        Some(Influence { stored, matters })
    }
}

fn packed(plan: &Plan, row: &Held) -> Option<Row> {
    let mut writer = RowWriter::new(&plan.table(row.table).layout);
    let mut values = row.values.iter().enumerate();
    values.all(|(column, value)| writer.set(column, value)).then(|| writer.finish())
}

fn stored(engine: &mut Engine, view: ViewId, key: &Key) -> Vec<u8> {
    match engine.document(view, key) {
        Document::Absent => Vec::new(),
        Document::Present { body, .. } => body,
        Document::Error { code, column, message } => {
            ErrorDocument { code, column, message }.to_stored()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::plan::NodeId;
    use crate::sql::{Definitions, SourceFile, plan_views};
    use crate::value::Value;

    #[test]
    fn rows_that_are_left_out_do_not_matter() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let tables = "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));
                      CREATE TABLE u (id int NOT NULL, t int, n int, PRIMARY KEY (id));";
        let view = "CREATE VIEW v AS SELECT id, (SELECT JSON_ARRAYAGG(n) FROM u \
                    WHERE u.t = t.id AND n > 5) AS ns FROM t;";
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", tables)],
            streams: Vec::new(),
            views: vec![file("v.sql", view)],
        });
        let plan = Arc::new(plan.unwrap());
        let view = &plan.views[0];
        let (t, u) = (view.nodes[0].table, view.nodes[1].table);
        let key = |id| {
            let mut key = Key::new();
            key.push(&Value::Int(id));
            key
        };
        let columns = &plan.table(u).columns;
        let of_u = |id: i64, n: i64| {
            let value = |name: &str| match name {
                "id" => Value::Int(id),
                "t" => Value::Int(1),
                _ => Value::Int(n),
            };
            let values = columns.iter().map(|column| value(&column.name)).collect();
            Held { table: u, key: key(id), values }
        };
        let root = Held { table: t, key: key(1), values: vec![Value::Int(1)] };
        let rows = |node, rows| NodeRows { node: NodeId(node), rows, cut: false };
        let nodes = [rows(0, vec![root]), rows(1, vec![of_u(3, 9), of_u(4, 5), of_u(5, 6)])];
        let influence = Influence::find(&plan, view, &key(1), &nodes).unwrap();
        assert_eq!(String::from_utf8_lossy(&influence.stored), r#"{"id":1,"ns":[9, 6]}"#);
        assert_eq!(influence.matters, [(t, key(1)), (u, key(3)), (u, key(5))].into());
    }
}
