//! What documents should be: MySQL's rows and the events of Kafka, put together by MySQL.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use super::VerifyError;
use super::compare::Answer;
use super::database::{Database, KeyColumns, among, asked, literal};
use super::pace::Pace;
use super::position::Target;
use super::topics::Topics;
use crate::change::Partition;
use crate::mysql::quoted_name;
use crate::sql::plan::{Node, NodeId, Plan, TableId, TableSource, View};
use crate::value::{Collation, Key, Type, Value};

/// Largest text of events in one SELECT, in bytes; fewer keys are asked for at once above it.
const EVENTS_BYTES_MAX: usize = 8 << 20;
/// Values in one IN (…).
const IN_VALUES: usize = 1000;

/// MySQL and the event topics.
pub(super) struct Truth<'a> {
    plan: &'a Plan,
    database: Database,
    /// `None` while a read is under way, which owns it.
    topics: Option<Topics>,
    /// First offset not read of each event partition.
    events_read: BTreeMap<Partition, i64>,
    pace: Pace,
}

impl<'a> Truth<'a> {
    pub(super) fn new(plan: &'a Plan, database: Database, topics: Topics, pace: Pace) -> Truth<'a> {
        Truth { plan, database, topics: Some(topics), events_read: BTreeMap::new(), pace }
    }

    /// Waits as long as the pace asks for. No snapshot should be open, for MySQL keeps all row
    /// versions since.
    pub(super) async fn rest(&mut self) {
        self.pace.rest().await;
    }

    /// Reads the event topics to their ends, if the view reads any, and begins a snapshot of MySQL.
    pub(super) async fn begin(&mut self, view: &View) -> Result<(), VerifyError> {
        self.events_read.clear();
        if view.nodes.iter().any(|node| self.is_stream(node.table)) {
            self.read_events().await?;
        }
        self.database.begin_snapshot().await
    }

    async fn read_events(&mut self) -> Result<(), VerifyError> {
        let gone = || VerifyError::Kafka { reason: "the reader is gone".to_owned() };
        let mut topics = self.topics.take().ok_or_else(gone)?;
        let read = tokio::task::spawn_blocking(move || {
            let read = topics.read_to_end();
            (topics, read)
        });
        let (topics, read) = read.await.map_err(|_| gone())?;
        self.topics = Some(topics);
        self.events_read = read?;
        Ok(())
    }

    /// Ends the snapshot.
    pub(super) async fn end(&mut self) -> Result<(), VerifyError> {
        self.database.end_snapshot().await
    }

    /// A position that contains everything read since [`Truth::begin`], whose snapshot ends.
    pub(super) async fn position(&mut self) -> Result<Target, VerifyError> {
        let executed = self.database.executed().await?;
        self.end().await?;
        Ok(Target { executed, events: self.events_read.clone() })
    }

    /// The first `count` keys of the view's root table above `after`.
    pub(super) async fn keys_after(
        &mut self,
        view: &View,
        after: Option<&Key>,
        count: usize,
    ) -> Result<Vec<Key>, VerifyError> {
        let root = view.nodes[0].table;
        let table = self.plan.table(root);
        let grouping = self.plan.grouping(root);
        if let (TableSource::Stream(_), Some(topics)) = (&table.source, &self.topics) {
            return Ok(match grouping {
                None => topics.events.keys_after(root, after, count),
                Some(grouping) => topics.events.groups_after(grouping, after, count),
            });
        }
        let (began, columns) = (Instant::now(), self.table_key(root));
        let keys = match grouping {
            None => self.database.keys_after(&table.name, &columns, after, count).await,
            Some(_) => self.database.groups_after(&table.name, &columns, after, count).await,
        };
        self.pace.worked(began.elapsed(), 0);
        keys
    }

    /// The view's rows of these keys.
    pub(super) async fn answers(
        &mut self,
        view: &View,
        keys: &[Key],
    ) -> Result<HashMap<Key, Answer>, VerifyError> {
        let (began, columns) = (Instant::now(), view_key(view));
        let mut answers = HashMap::with_capacity(keys.len());
        let mut parts = vec![keys];
        while let Some(part) = parts.pop() {
            let with = self.with_clause(view, part).await?;
            if with.len() > EVENTS_BYTES_MAX && part.len() > 1 {
                let (left, right) = part.split_at(part.len() / 2);
                parts.extend([left, right]);
                continue;
            }
            answers.extend(self.database.answers(view, &columns, part, &with).await?);
        }
        self.pace.worked(began.elapsed(), keys.len());
        Ok(answers)
    }

    /// The events that the SELECT needs for these keys, as `WITH …`; empty if it reads none.
    async fn with_clause(&mut self, view: &View, keys: &[Key]) -> Result<String, VerifyError> {
        let mut needed: BTreeMap<TableId, BTreeSet<Key>> = BTreeMap::new();
        for (at, node) in view.nodes.iter().enumerate() {
            if self.is_stream(node.table) {
                let found = self.event_keys(view, NodeId(at as u16), keys).await?;
                needed.entry(node.table).or_default().extend(found);
            }
        }
        let Some(topics) = &self.topics else { return Ok(String::new()) };
        let expression = |(table, keys): (&TableId, &BTreeSet<Key>)| {
            topics.events.table_expression(*table, keys)
        };
        let expressions: Vec<String> = needed.iter().map(expression).collect();
        if expressions.is_empty() {
            return Ok(String::new());
        }
        Ok(format!("WITH {} ", expressions.join(", ")))
    }

    /// The keys of a stream node's rows that documents with these keys can read.
    async fn event_keys(
        &mut self,
        view: &View,
        node: NodeId,
        keys: &[Key],
    ) -> Result<BTreeSet<Key>, VerifyError> {
        let Some(edge) = &view.node(node).edge else { return Ok(keys.iter().cloned().collect()) };
        let values = self.values(view, edge.parent, &edge.parent_columns, keys).await?;
        let Some(topics) = &self.topics else { return Ok(BTreeSet::new()) };
        Ok(topics.events.keys_with(view.node(node), &values))
    }

    /// The values that a node's rows have in some columns, for documents with these keys: by the
    /// edges alone, so perhaps of more rows than the SELECT takes.
    async fn values(
        &mut self,
        view: &View,
        node: NodeId,
        columns: &[usize],
        keys: &[Key],
    ) -> Result<Vec<Vec<Value<'static>>>, VerifyError> {
        // From the node up to the root, each with the columns wanted of it.
        let mut path: Vec<(&Node, &[usize])> = vec![(view.node(node), columns)];
        while let Some(edge) = &path[path.len() - 1].0.edge {
            path.push((view.node(edge.parent), &edge.parent_columns));
        }
        let Some((root, wanted)) = path.pop() else { return Ok(Vec::new()) };
        let mut values = self.root_values(root, wanted, keys).await?;
        while let Some((node, wanted)) = path.pop() {
            values = self.joined_values(node, wanted, &values).await?;
        }
        Ok(values)
    }

    async fn root_values(
        &mut self,
        root: &Node,
        columns: &[usize],
        keys: &[Key],
    ) -> Result<Vec<Vec<Value<'static>>>, VerifyError> {
        let key = &self.plan.table(root.table).key;
        let types = self.table_key(root.table).types;
        let key_values: Vec<Vec<Value<'static>>> =
            keys.iter().filter_map(|key| key.values(&types)).collect();
        let place = |column: &usize| key.iter().position(|at| at == column);
        if let Some(places) = columns.iter().map(place).collect::<Option<Vec<usize>>>() {
            let pick = |values: Vec<Value<'static>>| {
                places.iter().map(|&place| values[place].clone()).collect()
            };
            return Ok(key_values.into_iter().map(pick).collect());
        }
        if self.is_stream(root.table) {
            let keys = keys.iter().cloned().collect();
            return Ok(self.event_values(root.table, &keys, columns));
        }
        self.select_values(root.table, &key.clone(), columns, &key_values).await
    }

    async fn joined_values(
        &mut self,
        node: &Node,
        columns: &[usize],
        parents: &[Vec<Value<'static>>],
    ) -> Result<Vec<Vec<Value<'static>>>, VerifyError> {
        let Some(edge) = &node.edge else { return Ok(Vec::new()) };
        if self.plan.table(node.table).source != TableSource::Captured {
            let Some(topics) = &self.topics else { return Ok(Vec::new()) };
            let keys = topics.events.keys_with(node, parents);
            return Ok(match self.plan.grouping(node.table) {
                None => self.event_values(node.table, &keys, columns),
                Some(of) => self.event_values(of.of, &keys, &of.places(columns)),
            });
        }
        self.select_values(node.table, &edge.child_columns, columns, parents).await
    }

    fn event_values(
        &self,
        table: TableId,
        keys: &BTreeSet<Key>,
        columns: &[usize],
    ) -> Vec<Vec<Value<'static>>> {
        let topics = self.topics.as_ref();
        topics.map_or_else(Vec::new, |t| t.events.values(table, keys, columns))
    }

    /// `SELECT DISTINCT columns FROM table WHERE by IN (values)`.
    async fn select_values(
        &mut self,
        table: TableId,
        by: &[usize],
        columns: &[usize],
        values: &[Vec<Value<'static>>],
    ) -> Result<Vec<Vec<Value<'static>>>, VerifyError> {
        let names = |places: &[usize]| -> Vec<String> {
            places.iter().map(|&place| asked(self.plan, table, place)).collect()
        };
        let table = self.plan.table(table);
        let types = |places: &[usize]| -> Vec<Type> {
            places.iter().map(|&place| table.column(place).ty).collect()
        };
        let by_types = types(by);
        let mut found = Vec::new();
        for part in values.chunks(IN_VALUES) {
            let literals = part.iter().map(|values| {
                values.iter().zip(&by_types).map(|(value, ty)| literal(value, *ty)).collect()
            });
            let filter = among(&names(by), literals);
            let (list, name) = (names(columns).join(", "), quoted_name(&table.name));
            let sql = format!("SELECT DISTINCT {list} FROM {name} WHERE {filter}");
            found.extend(self.database.rows(&sql, &types(columns)).await?);
        }
        Ok(found)
    }

    /// Whether a table's rows are events; groups of them are none.
    fn is_stream(&self, table: TableId) -> bool {
        let is_captured = self.plan.table(table).source == TableSource::Captured;
        !is_captured && self.plan.grouping(table).is_none()
    }

    fn table_key(&self, id: TableId) -> KeyColumns {
        // Whatever orders an ENUM, groups come in the order of their bytes.
        let by_bytes = |ty| match ty {
            Type::Text(_) if self.plan.grouping(id).is_some() => Type::Text(Collation::Other),
            ty => ty,
        };
        let table = self.plan.table(id);
        let key = table.key.iter();
        KeyColumns {
            terms: key.clone().map(|&place| asked(self.plan, id, place)).collect(),
            types: key.map(|&place| by_bytes(table.columns[place].ty)).collect(),
        }
    }
}

fn view_key(view: &View) -> KeyColumns {
    let terms = view.key.iter().map(|&place| quoted_name(&view.outputs[place].name)).collect();
    KeyColumns { terms, types: view.key_types() }
}
