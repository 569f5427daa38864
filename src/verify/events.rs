//! Events of the event topics, kept by key and found by the columns that views join them by.
//!
//! Event topics are the record itself, so they are read from Kafka and handed to MySQL as a
//! JSON_TABLE. All events of the topics that the views read are held in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::database::text_literal;
use crate::change::{Change, Op};
use crate::mysql::quoted_name;
use crate::sql::plan::{Edge, Grouping, Node, Plan, Table, TableId, TableSource, View};
use crate::value::{
    Collation, Key, Row, Type, Value, into_text, to_text, write_json, write_json_string,
};

/// The rows of every stream that some view reads.
pub(crate) struct Events {
    plan: Arc<Plan>,
    tables: BTreeMap<TableId, EventTable>,
}

#[derive(Default)]
struct EventTable {
    rows: BTreeMap<Key, Row>,
    /// By columns: from their values, made comparable, to the keys of the rows that have them.
    indexes: BTreeMap<Vec<usize>, HashMap<Key, BTreeSet<Key>>>,
    /// By columns that rows are grouped by: the same from their values as they are.
    groups: BTreeMap<Vec<usize>, BTreeMap<Key, BTreeSet<Key>>>,
}

impl Events {
    /// Nothing yet of the streams that these views read.
    pub(super) fn new<'v>(plan: Arc<Plan>, views: impl Iterator<Item = &'v View>) -> Events {
        let mut tables: BTreeMap<TableId, EventTable> = BTreeMap::new();
        for node in views.flat_map(|view| &view.nodes) {
            if plan.table(node.table).source == TableSource::Captured {
                continue;
            }
            let (id, columns) = rows_of(&plan, node);
            let table = tables.entry(id).or_default();
            match &node.edge {
                Some(Edge { as_groups: true, .. }) => {
                    table.groups.entry(columns).or_default();
                }
                Some(_) => {
                    table.indexes.entry(columns).or_default();
                }
                None => {}
            }
        }
        Events { plan, tables }
    }

    /// The streams held.
    pub(super) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.keys().copied()
    }

    /// Notes a change of a stream.
    pub(super) fn apply(&mut self, change: Change) {
        let Some(events) = self.tables.get_mut(&change.table) else { return };
        let table = self.plan.table(change.table);
        match change.op {
            Op::Upsert(row) => {
                let key = Key::of_row(&table.layout, row.as_bytes(), &table.key);
                events.remove(table, &key);
                events.insert(table, key, row);
            }
            Op::Delete(key) => events.remove(table, &key),
            Op::Truncate => {
                events.rows.clear();
                events.indexes.values_mut().for_each(HashMap::clear);
                events.groups.values_mut().for_each(BTreeMap::clear);
            }
        }
    }

    /// The first `count` keys of a stream above `after`.
    pub(super) fn keys_after(&self, table: TableId, after: Option<&Key>, count: usize) -> Vec<Key> {
        use std::ops::Bound::{Excluded, Unbounded};
        let Some(events) = self.tables.get(&table) else { return Vec::new() };
        let from = after.map_or(Unbounded, Excluded);
        events
            .rows
            .range::<Key, _>((from, Unbounded))
            .take(count)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The first `count` groups of a stream's rows above `after`, by their values.
    pub(super) fn groups_after(
        &self,
        grouping: &Grouping,
        after: Option<&Key>,
        count: usize,
    ) -> Vec<Key> {
        use std::ops::Bound::{Excluded, Unbounded};
        let columns = &self.plan.table(grouping.of).indexes[grouping.index].columns;
        let events = self.tables.get(&grouping.of);
        let Some(groups) = events.and_then(|events| events.groups.get(columns)) else {
            return Vec::new();
        };
        let from = after.map_or(Unbounded, Excluded);
        let above = groups.range::<Key, _>((from, Unbounded));
        above.take(count).map(|(key, _)| key.clone()).collect()
    }

    /// The keys of the events that hang on a row with one of these values by a node's edge, or that
    /// the groups are of that do.
    pub(crate) fn keys_with(&self, node: &Node, values: &[Vec<Value<'static>>]) -> BTreeSet<Key> {
        let (id, columns) = rows_of(&self.plan, node);
        let Some(events) = self.tables.get(&id) else { return BTreeSet::new() };
        let as_groups = node.edge.as_ref().is_some_and(|edge| edge.as_groups);
        let found = |values: &Vec<Value<'static>>| {
            if as_groups {
                return events.groups.get(&columns)?.get(&key_of(values.iter()));
            }
            events.indexes.get(&columns)?.get(&comparable(values.iter())?)
        };
        values.iter().filter_map(found).flatten().cloned().collect()
    }

    /// The values of columns of these rows.
    pub(crate) fn values(
        &self,
        table: TableId,
        keys: &BTreeSet<Key>,
        columns: &[usize],
    ) -> Vec<Vec<Value<'static>>> {
        let Some(events) = self.tables.get(&table) else { return Vec::new() };
        let table = self.plan.table(table);
        let value = |row: &Row, column| table.value(row.as_bytes(), column).into_owned();
        let rows = keys.iter().filter_map(|key| events.rows.get(key));
        rows.map(|row| columns.iter().map(|&column| value(row, column)).collect()).collect()
    }

    /// `name (columns) AS (…)`: these rows as a table expression of a WITH clause, which hides a
    /// table of that name. The LIMIT keeps MySQL from reading the JSON once a row of the view.
    pub(super) fn table_expression(&self, table: TableId, keys: &BTreeSet<Key>) -> String {
        let held = self.plan.table(table);
        let mut json = b"[".to_vec();
        if let Some(events) = self.tables.get(&table) {
            for (at, row) in keys.iter().filter_map(|key| events.rows.get(key)).enumerate() {
                json.extend_from_slice(if at > 0 { b",[" } else { b"[" });
                write_event(&mut json, held, row);
                json.push(b']');
            }
        }
        json.push(b']');
        let json = into_text(json);
        let (mut names, mut taken, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for (at, column) in held.columns.iter().enumerate() {
            let name = quoted_name(&column.name);
            taken.push(match column.ty {
                Type::Bytes => format!("FROM_BASE64({name})"),
                _ => name.clone(),
            });
            let ty = sql_type(column.ty);
            columns.push(format!("{name} {ty} PATH '$[{at}]' NULL ON EMPTY ERROR ON ERROR"));
            names.push(name);
        }
        format!(
            "{} ({}) AS (SELECT {} FROM JSON_TABLE({}, '$[*]' COLUMNS ({})) AS events \
             LIMIT 18446744073709551615)",
            quoted_name(&held.name),
            names.join(", "),
            taken.join(", "),
            text_literal(&json),
            columns.join(", "),
        )
    }
}

/// The table whose rows a node's are, or are the groups of, and the columns there that its edge is
/// of.
fn rows_of(plan: &Plan, node: &Node) -> (TableId, Vec<usize>) {
    let columns = node.edge.as_ref().map_or(&[][..], |edge| &edge.child_columns);
    match plan.grouping(node.table) {
        None => (node.table, columns.to_vec()),
        Some(grouping) => (grouping.of, grouping.places(columns)),
    }
}

impl EventTable {
    fn insert(&mut self, table: &Table, key: Key, row: Row) {
        for (columns, index) in &mut self.indexes {
            if let Some(values) = comparable(row_values(table, &row, columns).iter()) {
                index.entry(values).or_default().insert(key.clone());
            }
        }
        for (columns, groups) in &mut self.groups {
            let values = key_of(row_values(table, &row, columns).iter());
            groups.entry(values).or_default().insert(key.clone());
        }
        self.rows.insert(key, row);
    }

    fn remove(&mut self, table: &Table, key: &Key) {
        let Some(row) = self.rows.remove(key) else { return };
        for (columns, index) in &mut self.indexes {
            let values = row_values(table, &row, columns);
            let Some(values) = comparable(values.iter()) else { continue };
            if let Some(keys) = index.get_mut(&values) {
                keys.remove(key);
                if keys.is_empty() {
                    index.remove(&values);
                }
            }
        }
        for (columns, groups) in &mut self.groups {
            let values = key_of(row_values(table, &row, columns).iter());
            if let Some(keys) = groups.get_mut(&values) {
                keys.remove(key);
                if keys.is_empty() {
                    groups.remove(&values);
                }
            }
        }
    }
}

fn row_values<'r>(table: &Table, row: &'r Row, columns: &[usize]) -> Vec<Value<'r>> {
    columns.iter().map(|&column| table.value(row.as_bytes(), column)).collect()
}

fn key_of<'v>(values: impl Iterator<Item = &'v Value<'v>>) -> Key {
    let mut key = Key::new();
    values.for_each(|value| key.push(value));
    key
}

/// Values as a key in which integers of different types are equal; `None` if one is NULL, which
/// nothing equals.
fn comparable<'v>(values: impl Iterator<Item = &'v Value<'v>>) -> Option<Key> {
    let mut key = Key::new();
    for value in values {
        match value {
            Value::Null => return None,
            Value::UInt(number) => match i64::try_from(*number) {
                Ok(number) => key.push(&Value::Int(number)),
                // Above all signed numbers: told apart by another kind of value.
                Err(_) => key.push(&Value::Text(number.to_string().into())),
            },
            other => key.push(other),
        }
    }
    Some(key)
}

/// The row's values as elements that JSON_TABLE reads exactly: whole numbers and JSON as they are,
/// everything else as MySQL's text or as base64.
fn write_event(out: &mut Vec<u8>, table: &Table, row: &Row) {
    for (at, column) in table.columns.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let value = table.layout.value(row.as_bytes(), at);
        match value {
            Value::Null | Value::Int(_) | Value::UInt(_) | Value::Bytes(_) | Value::Json(_) => {
                write_json(out, &value, column.ty);
            }
            _ => {
                write_json_string(out, to_text(&value, column.ty));
            }
        }
    }
}

fn sql_type(ty: Type) -> String {
    match ty {
        Type::Int { unsigned: false, .. } => "BIGINT".to_owned(),
        Type::Int { unsigned: true, .. } | Type::Bit { .. } => "BIGINT UNSIGNED".to_owned(),
        Type::Year => "YEAR".to_owned(),
        Type::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        Type::Float => "FLOAT".to_owned(),
        Type::Double => "DOUBLE".to_owned(),
        Type::Text(Collation::Binary) => {
            "VARCHAR(16000) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin".to_owned()
        }
        Type::Text(Collation::Padded) => {
            "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin".to_owned()
        }
        Type::Text(Collation::NarrowPadded) => {
            "LONGTEXT CHARACTER SET utf8mb3 COLLATE utf8mb3_bin".to_owned()
        }
        Type::Text(Collation::Insensitive) => {
            "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci".to_owned()
        }
        Type::Text(Collation::Other | Collation::Foreign) => "LONGTEXT".to_owned(),
        Type::Bytes => "LONGTEXT".to_owned(),
        Type::Date => "DATE".to_owned(),
        Type::Time { fsp } => format!("TIME({fsp})"),
        Type::DateTime { fsp } => format!("DATETIME({fsp})"),
        Type::Timestamp { fsp } => format!("TIMESTAMP({fsp})"),
        Type::Json => "JSON".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::plan::{Access, Column, NodeId, Scope, Stream, TableIndex, TimestampUnit};
    use crate::value::{RowLayout, RowWriter};

    const UNSIGNED: Type = Type::Int { bytes: 8, unsigned: true };
    const OFFSET: Type = Type::Int { bytes: 8, unsigned: false };
    const STREAM: TableId = TableId(0);

    /// A stream of (order_id, status, updated_at, _offset), joined by order_id.
    fn events() -> (Arc<Plan>, Events) {
        let columns = [
            ("order_id", UNSIGNED),
            ("status", Type::Text(Collation::Other)),
            ("updated_at", Type::Timestamp { fsp: 6 }),
            ("_offset", OFFSET),
        ];
        let column = |(name, ty): (&str, Type)| Column { name: name.into(), ty, nullable: true };
        let stream = Stream { topic: "t".into(), timestamps: TimestampUnit::Seconds };
        let table = Table {
            name: "e".into(),
            source: TableSource::Stream(stream),
            columns: columns.into_iter().map(column).collect(),
            key: vec![3],
            indexes: vec![TableIndex { columns: vec![0], as_groups: false }],
            computed: Vec::new(),
            layout: RowLayout::new(&columns.map(|(_, ty)| ty)),
        };
        let edge = Edge {
            parent: NodeId(0),
            parent_columns: vec![0],
            child_columns: vec![0],
            down: Access::Index(0),
            up: Access::Primary,
            as_groups: false,
        };
        let view = View {
            name: "v".into(),
            select: String::new(),
            nodes: vec![Node {
                alias: "e".to_owned(),
                table: STREAM,
                reads: Vec::new(),
                edge: Some(edge),
            }],
            scope: Scope { from: NodeId(0), joins: Vec::new(), filter: None },
            collections: Vec::new(),
            outputs: Vec::new(),
            conditions: 0,
            key: Vec::new(),
            indexes: Vec::new(),
            fingerprint: String::new(),
        };
        let plan = Arc::new(Plan { tables: vec![table], views: vec![view], ..Plan::default() });
        let events = Events::new(Arc::clone(&plan), plan.views.iter());
        (plan, events)
    }

    fn upsert(plan: &Plan, order: u64, status: &str, offset: i64) -> Change {
        let mut writer = RowWriter::new(&plan.tables[0].layout);
        assert!(writer.set(0, &Value::UInt(order)));
        assert!(writer.set(1, &Value::Text(status.into())));
        assert!(writer.set(2, &Value::Timestamp(1_500_000)));
        assert!(writer.set(3, &Value::Int(offset)));
        Change { table: STREAM, op: Op::Upsert(writer.finish()) }
    }

    #[test]
    fn events_are_found_by_what_they_are_joined_by() {
        let (plan, mut events) = events();
        for (order, offset) in [(7, 0), (8, 1), (7, 2), (u64::MAX, 3)] {
            events.apply(upsert(&plan, order, "x", offset));
        }
        let node = &plan.views[0].nodes[0];
        let found = |events: &Events, value| events.keys_with(node, &[vec![value]]).len();
        assert_eq!(found(&events, Value::Int(7)), 2);
        assert_eq!(found(&events, Value::UInt(8)), 1);
        assert_eq!(found(&events, Value::UInt(u64::MAX)), 1);
        assert_eq!(found(&events, Value::Int(-1)), 0);
        assert_eq!(found(&events, Value::Null), 0);
        // The event of this key is another one now.
        events.apply(upsert(&plan, 8, "x", 0));
        assert_eq!(found(&events, Value::Int(7)), 1);
        assert_eq!(found(&events, Value::Int(8)), 2);
        assert_eq!(events.keys_after(STREAM, None, 2).len(), 2);
    }

    #[test]
    fn events_become_a_table_expression() {
        let (plan, mut events) = events();
        events.apply(upsert(&plan, 7, "it's \"so\"", 5));
        let keys = events.keys_after(STREAM, None, 9).into_iter().collect();
        let text = events.table_expression(STREAM, &keys);
        let json = r#"'[[7,"it''s \\"so\\"","1970-01-01 00:00:01.500000",5]]'"#;
        assert!(
            text.starts_with("`e` (`order_id`, `status`, `updated_at`, `_offset`) AS "),
            "{text}"
        );
        assert!(text.contains(json), "{text}");
        assert!(text.contains("`updated_at` TIMESTAMP(6) PATH '$[2]'"), "{text}");
        let none = events.table_expression(STREAM, &BTreeSet::new());
        assert!(none.contains("JSON_TABLE('[]'"), "{none}");
    }
}
