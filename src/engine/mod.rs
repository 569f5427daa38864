//! Maintains every view: rows in memory, the documents that a change touches, and their content.
//!
//! Pure and synchronous: no I/O, no clock, nothing that can fail. What MySQL would answer with an
//! error becomes an error document. State is a function of the changes applied, in their order
//! per table; documents are a function of state.
//!
//! A change finds its row by primary key, is walked up from (the row before it and the row after
//! it) to the root rows of every live view, and marks their documents. A marked document is
//! assembled once, when it is asked for, and compared by hash with what it was before. Work that
//! one change causes is bounded: what one row is part of beyond a limit is told as a [`Fanout`],
//! an emptied table as a refill.

mod aggregate;
mod directory;
mod distinct;
mod document;
mod dump;
mod fanout;
mod first;
mod frame;
mod grouping;
mod heap;
mod index;
mod long_list;
mod order;
mod paged;
mod partial;
mod probe;
mod reach;
mod read_ahead;
mod replan;
mod table;
mod tally;
mod touch;
mod widen;

use std::iter;
use std::sync::Arc;

use directory::NONE;
use document::Writer;
pub use document::{Document, Fanout, Touched};
pub use dump::DumpCursor;
use fanout::Fanouts;
use frame::Frame;
use grouping::{Grouped, groupings};
use order::ViewOrders;
use probe::Told;
use reach::{ColumnSet, Watch, watches};
pub use read_ahead::READ_AHEAD;
pub use replan::{Held, Replanned};
use table::Table;
use touch::Documents;
use widen::Widening;

use crate::change::{Change, Op};
use crate::sql::plan::{self, Plan, TableId, ViewId};
use crate::value::{Key, Row};

/// The most documents that one row's change touches at once.
pub const FAN_OUT_MAX: usize = 4096;
/// The most rows that an aggregate or a pick looks through anew each time: of more it keeps what it
/// found.
pub const LOOKED_THROUGH_MAX: usize = 64;

/// The state of all views of a plan.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    /// By table.
    tables: Vec<Table>,
    /// By table: how what is computed of its rows is added to them.
    widenings: Vec<Option<Box<Widening>>>,
    /// By table: the groups that its rows are part of.
    groupings: Vec<Vec<Grouped>>,
    /// By table: the nodes that its rows take.
    watches: Vec<Vec<Watch>>,
    /// By view.
    orders: Vec<ViewOrders>,
    /// By view.
    documents: Vec<Documents>,
    /// By view.
    writers: Vec<Writer>,
    fanouts: Fanouts,
    refills: Vec<ViewId>,
    looked_through_max: usize,
    rows_looked_at: u64,
}

impl Engine {
    /// An engine without rows, none of whose views is live.
    pub fn new(plan: Arc<Plan>) -> Engine {
        Engine::with_limits(plan, FAN_OUT_MAX, LOOKED_THROUGH_MAX)
    }

    /// The same with another limit than [`FAN_OUT_MAX`], in documents.
    pub fn with_fan_out_max(plan: Arc<Plan>, fan_out_max: usize) -> Engine {
        Engine::with_limits(plan, fan_out_max, LOOKED_THROUGH_MAX)
    }

    /// The same with other limits than [`FAN_OUT_MAX`], in documents, and [`LOOKED_THROUGH_MAX`],
    /// in rows.
    pub fn with_limits(plan: Arc<Plan>, fan_out_max: usize, looked_through_max: usize) -> Engine {
        let is_root = |id: TableId| plan.views.iter().any(|view| view.nodes[0].table == id);
        let leading = order::leading(&plan);
        let table = |((id, table), leading): ((TableId, &plan::Table), &Vec<_>)| {
            let told = if plan.grouping(id).is_some() { Told::AsGroups } else { Told::ByBytes };
            Table::new(table, told, is_root(id), leading, looked_through_max)
        };
        Engine {
            tables: plan.every_table().zip(&leading).map(table).collect(),
            widenings: plan.every_table().map(|(_, table)| Widening::of(table)).collect(),
            groupings: groupings(&plan),
            orders: plan.views.iter().map(|v| ViewOrders::new(&plan, v, &leading)).collect(),
            watches: watches(&plan),
            documents: plan.views.iter().map(|_| Documents::default()).collect(),
            writers: plan.views.iter().map(Writer::new).collect(),
            fanouts: Fanouts::new(fan_out_max),
            refills: Vec::new(),
            looked_through_max,
            rows_looked_at: 0,
            plan,
        }
    }

    /// Says whether a view's touched documents are told. A view that becomes live is to be filled;
    /// of one that no longer is, nothing is told that came up before.
    pub fn set_live(&mut self, view: ViewId, live: bool) {
        if !live {
            self.refills.retain(|refill| *refill != view);
            self.fanouts.forget(view);
        }
        self.documents[usize::from(view.0)].set_live(live);
    }

    /// Applies a change: rows and indexes are up to date, the documents it can have changed are
    /// remembered for [`Engine::take_touched`]. A change that changes nothing touches nothing.
    pub fn apply(&mut self, mut change: Change) {
        self.widen(&mut change);
        self.apply_wide(change);
    }

    /// Adds to a row what is computed of it.
    fn widen(&mut self, change: &mut Change) {
        if let Some(widening) = &mut self.widenings[usize::from(change.table.0)]
            && let Op::Upsert(row) = &mut change.op
        {
            *row = widening.widen(row.as_bytes());
        }
    }

    fn apply_wide(&mut self, change: Change) {
        match change.op {
            Op::Upsert(row) => self.upsert(change.table, row),
            Op::Delete(key) => {
                let slot = self.tables[usize::from(change.table.0)].slot_of(&key);
                self.remove(change.table, slot);
            }
            Op::Truncate => self.truncate(change.table),
        }
    }

    /// Applies changes in their order, faster than one by one.
    pub fn apply_all(&mut self, mut changes: Vec<Change>) {
        changes.iter_mut().for_each(|change| self.widen(change));
        let mut rest = changes.into_iter();
        while rest.len() > 0 {
            let next = rest.as_slice();
            let next = &next[..next.len().min(READ_AHEAD)];
            read_ahead::changes(&self.plan, &self.tables, &self.watches, &self.documents, next);
            rest.by_ref().take(READ_AHEAD).for_each(|change| self.apply_wide(change));
        }
    }

    /// What was touched since the last call, in live views.
    pub fn take_touched(&mut self) -> Touched {
        let mut touched = Touched {
            documents: Vec::new(),
            fanouts: self.fanouts.take(),
            refills: std::mem::take(&mut self.refills),
        };
        for (id, view) in self.plan.views_with_ids() {
            let root = &self.tables[usize::from(view.nodes[0].table.0)];
            let documents = &mut self.documents[usize::from(id.0)];
            documents.take(root, |key| touched.documents.push((id, key)));
        }
        self.tables.iter_mut().for_each(Table::drop_retired);
        touched
    }

    /// Up to `max` documents of a fan-out, some of them perhaps more than once, and what is left
    /// of it. A chunk may be empty although something is left: its work is bounded too.
    pub fn fanout_documents(&mut self, fanout: &Fanout, max: usize) -> (Vec<Key>, Option<Fanout>) {
        self.fanouts.work_off(&self.plan, &self.tables, fanout, max)
    }

    /// Up to `max` keys of a view's root rows after the given one, in the order of their bytes.
    /// Fewer than `max` are the last.
    pub fn keys_after(&self, view: ViewId, after: Option<&Key>, max: usize) -> Vec<Key> {
        self.root(view).keys_after(after, max)
    }

    /// Reads what the first [`READ_AHEAD`] of some documents are made of, so that assembling them
    /// next is faster.
    pub fn read_ahead<'k>(&self, documents: impl Iterator<Item = (ViewId, &'k Key)>) {
        let mut documents = documents.take(READ_AHEAD).peekable();
        while let Some(&(view, _)) = documents.peek() {
            let root = self.root(view);
            let of_view = || documents.next_if(|(other, _)| *other == view);
            let roots = iter::from_fn(of_view).map(|(_, key)| root.slot_of(key)).collect();
            let orders = &self.orders[usize::from(view.0)];
            read_ahead::documents(&self.tables, self.plan.view(view), orders, roots);
        }
    }

    /// A document as it stands now; `None` if it is what it was when last assembled.
    pub fn assemble(&mut self, view: ViewId, key: &Key) -> Option<Document> {
        self.make(view, key, false)
    }

    /// A document as it stands now, told even if it is what it was.
    pub fn document(&mut self, view: ViewId, key: &Key) -> Document {
        self.make(view, key, true).unwrap_or(Document::Absent)
    }

    /// Makes a document, unless it is what it was and not to be told `always`.
    fn make(&mut self, view: ViewId, key: &Key, always: bool) -> Option<Document> {
        let plan = self.plan.view(view);
        let root = &self.tables[usize::from(plan.nodes[0].table.0)];
        let slot = root.slot_of(key);
        if slot == NONE {
            return Some(Document::Absent);
        }
        let row = root.row(slot)?;
        let orders = &self.orders[usize::from(view.0)];
        let frame = Frame::new(&self.tables, (view, plan), orders, self.looked_through_max);
        let documents = &mut self.documents[usize::from(view.0)];
        let writer = &mut self.writers[usize::from(view.0)];
        let told = writer.write(&frame, row, |hash| documents.publish(slot, hash) || always);
        let (looked_at, long_lists) = frame.into_work();
        self.rows_looked_at += looked_at;
        for (table, access, slot) in long_lists {
            self.tables[usize::from(table.0)].gather(access, slot);
        }
        told
    }

    /// Rows looked at so far to assemble documents: what that costs, whatever the machine. A row
    /// that is looked at twice counts twice; a look-up by a whole key is not counted.
    pub fn rows_looked_at(&self) -> u64 {
        self.rows_looked_at
    }

    /// Forgets what a view's documents were assembled as, so that all of them are told again.
    pub fn forget_published(&mut self, view: ViewId) {
        self.documents[usize::from(view.0)].forget_published();
    }

    /// Forgets what one document of a view was assembled as, so that it is told again.
    pub fn forget_published_as(&mut self, view: ViewId, key: &Key) {
        let slot = self.root(view).slot_of(key);
        if slot != NONE {
            self.documents[usize::from(view.0)].forget_published_as(slot);
        }
    }

    /// Forgets the fan-outs of a view, found or begun: all its documents are assembled anew.
    pub fn forget_fanouts(&mut self, view: ViewId) {
        self.fanouts.forget(view);
    }

    /// Rows held of a table.
    pub fn rows(&self, table: TableId) -> usize {
        self.tables[usize::from(table.0)].len()
    }

    /// Rows held of all tables.
    pub fn all_rows(&self) -> usize {
        self.tables[..self.plan.tables.len()].iter().map(Table::len).sum()
    }

    fn root(&self, view: ViewId) -> &Table {
        &self.tables[usize::from(self.plan.view(view).nodes[0].table.0)]
    }

    fn upsert(&mut self, id: TableId, row: Row) {
        let table = &mut self.tables[usize::from(id.0)];
        let slot = table.slot_like(&row);
        let Some(old) = (if slot == NONE { None } else { table.row(slot) }) else {
            if let Some(slot) = table.insert(row) {
                self.begin_groups(id, slot);
                self.touch(id, slot, |_| true);
            }
            return;
        };
        if old == row.as_bytes() {
            return;
        }
        let layout = &table.rows.layout;
        let changed: ColumnSet =
            (0..layout.len()).filter(|&column| !layout.same(old, row.as_bytes(), column)).collect();
        let left = self.groups_left(id, slot, |grouped| grouped.columns.intersects(&changed));
        // Where the row stays with its parents one walk finds them; else the old ones first.
        self.touch(id, slot, |watch| watch.edge.intersects(&changed));
        self.fanouts.leave(&self.plan, &self.tables, (id, slot), Some(&row));
        self.tables[usize::from(id.0)].replace(slot, row);
        if !left.is_empty() {
            self.begin_groups(id, slot);
            self.end_groups(id, left);
        }
        self.touch_promoted(id);
        self.touch(id, slot, |watch| watch.reads.intersects(&changed));
    }

    fn remove(&mut self, id: TableId, slot: u32) {
        if slot == NONE {
            return;
        }
        self.touch(id, slot, |_| true);
        self.fanouts.leave(&self.plan, &self.tables, (id, slot), None);
        let left = self.groups_left(id, slot, |_| true);
        let table = &mut self.tables[usize::from(id.0)];
        for (documents, view) in self.documents.iter_mut().zip(&self.plan.views) {
            if view.nodes[0].table == id {
                table.key(slot).into_iter().for_each(|key| documents.remove(slot, key));
            }
        }
        table.remove(slot);
        self.end_groups(id, left);
        self.touch_promoted(id);
    }

    /// Removes a small table's rows one by one; a large one, or one whose rows are part of many
    /// documents, is emptied at once and the views that read it are refilled.
    fn truncate(&mut self, id: TableId) {
        let table = &self.tables[usize::from(id.0)];
        let limit = self.fanouts.max();
        if table.len() <= limit {
            let touched = |engine: &Engine| {
                engine.documents.iter().map(Documents::touched).sum::<usize>()
                    + engine.fanouts.pending() * limit
            };
            let before = touched(self);
            for slot in 0..table.slots() {
                if touched(self) - before > limit {
                    break;
                }
                if self.tables[usize::from(id.0)].row(slot).is_some() {
                    self.remove(id, slot);
                }
            }
        }
        if self.rows(id) == 0 {
            return;
        }
        let groups = self.groupings[usize::from(id.0)].iter().map(|grouped| grouped.groups);
        let emptied: Vec<TableId> = groups.chain([id]).collect();
        emptied.iter().for_each(|id| self.tables[usize::from(id.0)].clear());
        for (view, plan) in self.plan.views_with_ids() {
            if !plan.nodes.iter().any(|node| emptied.contains(&node.table)) {
                continue;
            }
            self.fanouts.forget(view);
            let documents = &mut self.documents[usize::from(view.0)];
            if emptied.contains(&plan.nodes[0].table) {
                documents.clear();
            }
            if documents.is_live() && !self.refills.contains(&view) {
                self.refills.push(view);
            }
        }
    }

    /// Touches what rows are part of that a fan-out being worked off may have missed.
    fn touch_promoted(&mut self, id: TableId) {
        let promoted = self.tables[usize::from(id.0)].take_promoted();
        if self.fanouts.is_walking() {
            promoted.into_iter().for_each(|slot| self.touch(id, slot, |_| true));
        }
    }

    /// Touches every document that the row in a slot is part of now, through the nodes that
    /// `concerned` chooses.
    fn touch(&mut self, id: TableId, slot: u32, concerned: impl Fn(&Watch) -> bool) {
        let Some(row) = self.tables[usize::from(id.0)].row(slot) else { return };
        for watch in &self.watches[usize::from(id.0)] {
            let documents = &mut self.documents[usize::from(watch.view.0)];
            if !documents.is_live() || !concerned(watch) {
                continue;
            }
            if watch.node.0 == 0 {
                documents.touch(slot);
            } else {
                let view = self.plan.view(watch.view);
                self.fanouts.touch(&self.tables, view, watch, row, documents);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Definitions, SourceFile, plan_views};
    use crate::value::RowWriter;

    #[test]
    fn one_document_is_told_again_though_it_is_what_it_was() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
        });
        let plan = Arc::new(plan.unwrap());
        let mut engine = Engine::new(Arc::clone(&plan));
        for number in 0..3 {
            let mut row = RowWriter::new(&plan.tables[0].layout);
            row.set_number(0, number);
            engine.apply(Change { table: TableId(0), op: Op::Upsert(row.finish()) });
        }
        let view = ViewId(0);
        let keys = engine.keys_after(view, None, 9);
        let told = |engine: &mut Engine| -> Vec<bool> {
            keys.iter().map(|key| engine.assemble(view, key).is_some()).collect()
        };
        assert_eq!(told(&mut engine), [true; 3]);
        assert_eq!(told(&mut engine), [false; 3]);
        engine.forget_published_as(view, &keys[1]);
        assert_eq!(told(&mut engine), [false, true, false]);
        engine.forget_published_as(view, &Key::new());
        assert_eq!(told(&mut engine), [false; 3]);
    }

    #[test]
    fn a_view_that_is_held_back_is_told_nothing_that_came_up_before() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let definitions = Definitions {
            tables: vec![file(
                "t.sql",
                "CREATE TABLE p (id int NOT NULL, PRIMARY KEY (id));
                 CREATE TABLE c (id int NOT NULL, p int NOT NULL, PRIMARY KEY (id));",
            )],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT c.id FROM c JOIN p ON p.id = c.p;")],
        };
        let plan = Arc::new(plan_views(&definitions).unwrap());
        let table = |name: &str| plan.tables_with_ids().find(|(_, t)| t.name == name).unwrap();
        let row = |name: &str, values: &[i64]| {
            let (id, table) = table(name);
            let mut row = RowWriter::new(&table.layout);
            values.iter().enumerate().for_each(|(at, value)| row.set_number(at, *value));
            Change { table: id, op: Op::Upsert(row.finish()) }
        };
        let view = ViewId(0);
        for (change, told) in
            [(row("p", &[1]), (1, 0)), (Change { table: table("c").0, op: Op::Truncate }, (0, 1))]
        {
            for live in [true, false] {
                let mut engine = Engine::with_fan_out_max(Arc::clone(&plan), 2);
                (0..5).for_each(|number| engine.apply(row("c", &[number, 1])));
                engine.set_live(view, true);
                engine.apply(change.clone());
                engine.set_live(view, live);
                let touched = engine.take_touched();
                let expected = if live { told } else { (0, 0) };
                assert_eq!((touched.fanouts.len(), touched.refills.len()), expected);
            }
        }
    }
}
