//! The engine as the pipeline drives it, writing into a map instead of Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use viewtide::change::{Change, Op};
use viewtide::engine::{Document, Engine, Fanout, Held};
use viewtide::sql::plan::{Column, Plan, Table, TableId, ViewId};
use viewtide::value::{Key, Row, RowLayout, RowWriter, Type};

use super::reference::{Rows, Values, key_of};

/// Documents of a chunk of backlog.
const CHUNK: usize = 2;

/// The tables of a plan with these of their columns each, in this order; those of the key too.
fn holding(plan: &Plan, columns: &[Vec<usize>]) -> Plan {
    let table = |(table, kept): (&Table, &Vec<usize>)| {
        let columns: Vec<Column> = kept.iter().map(|&at| table.columns[at].clone()).collect();
        let types: Vec<Type> = columns.iter().map(|column| column.ty).collect();
        let key = table.key.iter().map(|key| kept.iter().position(|at| at == key).unwrap());
        Table {
            key: key.collect(),
            layout: RowLayout::new(&types),
            columns,
            indexes: Vec::new(),
            ..table.clone()
        }
    };
    Plan { tables: plan.tables.iter().zip(columns).map(table).collect(), ..Plan::default() }
}

/// One step of a test.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Upsert(TableId, Values),
    Delete(TableId, Values),
    Truncate(TableId),
}

/// An engine, what it has published, and the rows it should have.
pub(super) struct Driver {
    plan: Arc<Plan>,
    limits: (usize, usize),
    engine: Engine,
    rows: Rows,
    published: Vec<BTreeMap<Key, Document>>,
    fanouts: Vec<Fanout>,
    /// Views being filled, and the last key done.
    fills: Vec<(ViewId, Option<Key>)>,
}

impl Driver {
    /// An engine whose views are not live yet.
    pub(super) fn new(plan: Arc<Plan>, fan_out_max: usize, looked_through_max: usize) -> Driver {
        let engine = Engine::with_limits(Arc::clone(&plan), fan_out_max, looked_through_max);
        Driver {
            engine,
            rows: Rows::new(&plan),
            published: vec![BTreeMap::new(); plan.views.len()],
            fanouts: Vec::new(),
            fills: Vec::new(),
            limits: (fan_out_max, looked_through_max),
            plan,
        }
    }

    /// Makes every view live and starts to fill it.
    pub(super) fn go_live(&mut self) {
        for (view, _) in self.plan.views_with_ids() {
            self.engine.set_live(view, true);
            self.fills.push((view, None));
        }
    }

    /// Takes the rows over to another plan, of which no view is live yet, by way of one that has no
    /// views and these columns of each table, in this order; what it lacks is NULL afterwards.
    pub(super) fn replan(&mut self, plan: Arc<Plan>, columns: Option<&[Vec<usize>]>) {
        let (fan_out_max, looked_through_max) = self.limits;
        let without = Driver::new(Arc::clone(&plan), fan_out_max, looked_through_max);
        let former = std::mem::replace(self, without);
        let Driver { mut engine, rows, .. } = former;
        if let Some(columns) = columns {
            let between = Arc::new(holding(&self.plan, columns));
            let replanned = engine.replan(between);
            assert!(replanned.held.iter().all(|held| *held == Held::Whole));
            engine = replanned.engine;
        }
        let replanned = engine.replan(plan);
        (self.engine, self.rows) = (replanned.engine, rows);
        self.rows.replan(&self.plan);
        for (at, held) in replanned.held.into_iter().enumerate() {
            let lacks = |column| columns.is_some_and(|kept| !kept[at].contains(&column));
            let mut lacking: Vec<usize> =
                (0..self.plan.tables[at].columns.len()).filter(|column| lacks(*column)).collect();
            lacking.retain(|column| self.rows.forget(TableId(at as u16), *column));
            match lacking.is_empty() {
                true => assert_eq!(held, Held::Whole),
                false => assert_eq!(held, Held::Without(lacking)),
            }
        }
    }

    /// Forgets what was published, as after a loss, and starts to fill anew.
    pub(super) fn lose_everything(&mut self) {
        self.fills.clear();
        for (view, _) in self.plan.views_with_ids() {
            self.published[usize::from(view.0)].clear();
            self.engine.forget_published(view);
            self.fills.push((view, None));
        }
    }

    /// Applies a batch and publishes what it touched.
    pub(super) fn apply(&mut self, batch: &[Step]) {
        for step in batch {
            let change = self.change(step);
            match step.clone() {
                Step::Upsert(table, row) => self.rows.upsert(&self.plan, table, row),
                Step::Delete(table, row) => {
                    self.rows.delete(table, &key_of(self.plan.table(table), &row));
                }
                Step::Truncate(table) => self.rows.truncate(table),
            }
            self.engine.apply(change);
        }
        let touched = self.engine.take_touched();
        let distinct: BTreeSet<_> = touched.documents.iter().collect();
        assert_eq!(distinct.len(), touched.documents.len(), "a document touched twice");
        for (view, key) in touched.documents {
            self.publish(view, &key);
        }
        for fanout in touched.fanouts {
            let text = serde_json::to_string(&fanout).unwrap();
            self.fanouts.push(serde_json::from_str(&text).unwrap());
        }
        for view in touched.refills {
            self.fills.retain(|(other, _)| *other != view);
            self.fills.push((view, None));
        }
    }

    /// Works off one chunk of the backlog; whether there was one.
    pub(super) fn work_off(&mut self) -> bool {
        if let Some((view, after)) = self.fills.pop() {
            let next = self.fill_range(view, after);
            self.fills.extend(next.map(|last| (view, Some(last))));
        } else if let Some(fanout) = self.fanouts.pop() {
            let (keys, rest) = self.engine.fanout_documents(&fanout, CHUNK);
            assert!(keys.len() <= CHUNK);
            keys.iter().for_each(|key| self.publish(fanout.view, key));
            self.fanouts.extend(rest);
        } else {
            return false;
        }
        true
    }

    /// Works off the backlog and compares everything with recomputation.
    pub(super) fn settle(&mut self) {
        while self.work_off() {}
        for (view, plan) in self.plan.views_with_ids() {
            let wanted = self.rows.documents(&self.plan, plan);
            assert_eq!(self.published[usize::from(view.0)], wanted, "view {}", plan.name);
        }
    }

    /// Repeats every row: nothing is touched, and no document differs.
    pub(super) fn repeat_everything(&mut self) {
        let steps: Vec<Step> =
            self.rows.all().map(|(table, row)| Step::Upsert(table, row.clone())).collect();
        for step in &steps {
            let change = self.change(step);
            self.engine.apply(change);
        }
        assert_eq!(self.engine.take_touched(), Default::default());
        for (view, _) in self.plan.views_with_ids() {
            for key in self.engine.keys_after(view, None, usize::MAX) {
                assert_eq!(self.engine.assemble(view, &key), None);
            }
        }
    }

    /// Fills one range: what the engine has is written, what it lacks is deleted.
    fn fill_range(&mut self, view: ViewId, after: Option<Key>) -> Option<Key> {
        let keys = self.engine.keys_after(view, after.as_ref(), CHUNK);
        assert!(keys.is_sorted());
        let last = (keys.len() == CHUNK).then(|| keys.last().unwrap().clone());
        let upper = last.clone().map_or(Bound::Unbounded, Bound::Included);
        let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
        let published = &mut self.published[usize::from(view.0)];
        let held: Vec<Key> = published.range((lower, upper)).map(|(key, _)| key.clone()).collect();
        for key in held.iter().filter(|key| !keys.contains(key)) {
            published.remove(key);
        }
        keys.iter().for_each(|key| self.publish(view, key));
        last
    }

    fn publish(&mut self, view: ViewId, key: &Key) {
        let published = &mut self.published[usize::from(view.0)];
        match self.engine.assemble(view, key) {
            None => {}
            Some(Document::Absent) => drop(published.remove(key)),
            Some(document) => drop(published.insert(key.clone(), document)),
        }
    }

    fn change(&self, step: &Step) -> Change {
        match step {
            Step::Upsert(table, row) => {
                Change { table: *table, op: Op::Upsert(self.pack(*table, row)) }
            }
            Step::Delete(table, row) => {
                let key = key_of(self.plan.table(*table), row);
                Change { table: *table, op: Op::Delete(key) }
            }
            Step::Truncate(table) => Change { table: *table, op: Op::Truncate },
        }
    }

    fn pack(&self, table: TableId, row: &Values) -> Row {
        let mut writer = RowWriter::new(&self.plan.table(table).layout);
        for (column, value) in row.iter().enumerate() {
            assert!(writer.set(column, value), "{column}: {value:?}");
        }
        writer.finish()
    }
}
