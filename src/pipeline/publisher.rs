//! From touched rows to a step: what is published now, and what goes to the backlog.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::backlog::{Backlog, Chunk};
use super::views::Views;
use crate::config::Limits;
use crate::engine::{Document, Engine, READ_AHEAD};
use crate::sink::{Step, Target};
use crate::sql::plan::{Plan, ViewId};
use crate::telemetry::Metrics;
use crate::value::Key;

/// MySQL's number for a result above `max_allowed_packet`: what comes closest to a document that
/// is too large.
const ER_RESULT_TOO_LARGE: u16 = 1301;

/// Assembles documents into steps, within the bounds of a step.
#[derive(Debug)]
pub(super) struct Publisher {
    plan: Arc<Plan>,
    /// The tables and documents.
    pub(super) engine: Engine,
    /// What is due.
    pub(super) backlog: Backlog,
    bounds: Bounds,
    /// A step was full before a chunk of the backlog came to it.
    owes_chunk: bool,
    metrics: Arc<Metrics>,
    /// By [`ViewId`].
    counters: Vec<Counters>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    step_documents: usize,
    step_bytes: usize,
    step_rows: u64,
    chunk_documents: usize,
    chunk_rows: u64,
    document_bytes: usize,
}

#[derive(Debug)]
struct Counters {
    published: Counter,
    deleted: Counter,
    unchanged: Counter,
    errors: Counter,
}

impl Publisher {
    /// A publisher of a plan's views.
    pub(super) fn new(
        engine: Engine,
        plan: Arc<Plan>,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Publisher {
        let bound = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let counters = plan.views.iter().map(|view| Counters {
            published: metrics.published(&view.name),
            deleted: metrics.deleted(&view.name),
            unchanged: metrics.unchanged(&view.name),
            errors: metrics.error_documents(&view.name),
        });
        Publisher {
            counters: counters.collect(),
            engine,
            backlog: Backlog::default(),
            bounds: Bounds {
                step_documents: bound(limits.atomic_documents_max),
                step_bytes: bound(limits.atomic_bytes_max),
                step_rows: limits.atomic_rows_max,
                chunk_documents: bound(limits.chunk_documents_max),
                chunk_rows: limits.chunk_rows_max,
                document_bytes: bound(limits.document_bytes_max),
            },
            owes_chunk: false,
            plan,
            metrics,
        }
    }

    /// Whether the next step is to be of backlog alone, since the last had no room for any. What
    /// changes fills step after step under load, and what is due would never be done.
    pub(super) fn owes_chunk(&self) -> bool {
        self.owes_chunk
    }

    /// Starts to fill a view: from here on it follows changes, and everything it has goes out.
    pub(super) fn start_fill(&mut self, view: ViewId) {
        self.engine.set_live(view, true);
        self.engine.forget_published(view);
        self.backlog.fill(view);
    }

    /// Documents of a view are due whether they are what they were or not: what was written is not
    /// what is there.
    pub(super) fn publish_again(&mut self, view: ViewId, keys: &[Key]) {
        keys.iter().for_each(|key| self.engine.forget_published_as(view, key));
        self.backlog.keys(view, keys.iter().cloned());
    }

    /// Nothing of a view is published until it is filled again.
    pub(super) fn hold_back(&mut self, view: ViewId) {
        self.engine.set_live(view, false);
        self.backlog.forget(view);
    }

    /// Puts every document that changes have touched into the step, and what has no room into the
    /// backlog. Returns the views with documents in the step.
    pub(super) fn publish_touched(&mut self, views: &Views, step: &mut Step) -> Vec<ViewId> {
        let touched = self.engine.take_touched();
        for view in touched.refills {
            self.engine.forget_published(view);
            self.backlog.refill(view);
        }
        for fanout in touched.fanouts {
            self.metrics.split_steps.inc();
            self.backlog.fan_out(&self.plan, fanout);
        }
        let mut fresh = Vec::new();
        let mut rest: BTreeMap<ViewId, Vec<Key>> = BTreeMap::new();
        let views_touched = touched.documents.chunk_by(|(a, _), (b, _)| a == b).count();
        let share = (self.bounds.step_rows / views_touched.max(1) as u64).max(1);
        let (mut of, mut rows_until) = (None, 0);
        for (at, (view, key)) in touched.documents.iter().enumerate() {
            if at.is_multiple_of(READ_AHEAD) {
                let next = touched.documents[at..].iter().take(READ_AHEAD);
                self.engine.read_ahead(next.map(|(view, key)| (*view, key)));
            }
            if of.replace(*view) != Some(*view) {
                rows_until = self.engine.rows_looked_at() + share;
            }
            if !self.has_room(step) || self.engine.rows_looked_at() >= rows_until {
                rest.entry(*view).or_default().push(key.clone());
            } else if let Some(target) = views.target(*view)
                && self.publish(target, key.clone(), step)
                && fresh.last() != Some(view)
            {
                fresh.push(*view);
            }
        }
        if !rest.is_empty() {
            self.metrics.split_steps.inc();
        }
        for (view, keys) in rest {
            self.backlog.keys(view, keys);
        }
        fresh
    }

    /// Puts the next chunk of the backlog into the step. Returns the view whose fill that ends.
    pub(super) fn publish_backlog(&mut self, views: &mut Views, step: &mut Step) -> Option<ViewId> {
        self.owes_chunk = !self.has_room(step) && !self.backlog.is_empty();
        if !self.has_room(step) {
            return None;
        }
        let max = self.bounds.chunk_documents;
        let mut chunk = self.backlog.next_chunk(&mut self.engine, max)?;
        let target = views.target(chunk.view)?;
        let mut done = 0;
        let before = self.engine.rows_looked_at();
        let looked_at = |engine: &Engine| engine.rows_looked_at() - before;
        while done < chunk.keys.len()
            && self.has_room(step)
            && looked_at(&self.engine) < self.bounds.chunk_rows
        {
            if done.is_multiple_of(READ_AHEAD) {
                self.engine.read_ahead(chunk.keys[done..].iter().map(|key| (chunk.view, key)));
            }
            self.publish_due(&chunk, target, &chunk.keys[done], step);
            done += 1;
        }
        let turns = looked_at(&self.engine).div_ceil(self.bounds.chunk_rows);
        self.backlog.spent(&chunk, done, turns);
        self.backlog.return_rest(&mut chunk, done);
        let range = chunk.range?;
        if range.until.is_none() {
            // No key is left that was never passed, though some may be passed once more.
            views.switch(chunk.view);
        }
        step.replace(target, range.after, range.until);
        (!self.backlog.fills(chunk.view)).then_some(chunk.view)
    }

    /// A fill replaces ranges, so what is unchanged must be in it too.
    fn publish_due(&mut self, chunk: &Chunk, target: Target, key: &Key, step: &mut Step) {
        if chunk.range.is_some() {
            let document = self.engine.document(chunk.view, key);
            self.put(target, key.clone(), document, step);
        } else {
            self.publish(target, key.clone(), step);
        }
    }

    fn has_room(&self, step: &Step) -> bool {
        step.documents() < self.bounds.step_documents && step.bytes() < self.bounds.step_bytes
    }

    /// Puts a document into the step unless it is what it was.
    fn publish(&mut self, target: Target, key: Key, step: &mut Step) -> bool {
        match self.engine.assemble(target.view, &key) {
            Some(document) => self.put(target, key, document, step),
            None => {
                self.counters[usize::from(target.view.0)].unchanged.inc();
                return false;
            }
        };
        true
    }

    fn put(&mut self, target: Target, key: Key, document: Document, step: &mut Step) {
        let max = self.bounds.document_bytes;
        let document = match document {
            Document::Present { body, .. } if body.len() > max => Document::Error {
                code: ER_RESULT_TOO_LARGE,
                column: None,
                message: format!(
                    "the document has {} bytes, more than document_bytes_max ({max})",
                    body.len()
                ),
            },
            document => document,
        };
        let counters = &self.counters[usize::from(target.view.0)];
        match &document {
            Document::Absent => counters.deleted.inc(),
            Document::Present { .. } => counters.published.inc(),
            Document::Error { .. } => counters.errors.inc(),
        };
        step.set(target, key, document);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Op};
    use crate::sql::{Definitions, SourceFile, plan_views};
    use crate::telemetry::Readiness;
    use crate::value::RowWriter;

    const CHEAP: ViewId = ViewId(0);
    const COSTLY: ViewId = ViewId(1);

    /// Entries of one account: for each document of the costly view all of them are looked at.
    const ENTRIES: i64 = 50;
    /// Rows looked at for one of them.
    const COST: u64 = ENTRIES as u64 + 1;

    struct Run {
        plan: Arc<Plan>,
        publisher: Publisher,
        views: Views,
    }

    impl Run {
        /// With so many rows of which each is a document of the cheap view; both are to be filled.
        fn new(limits: &Limits, rows: i64) -> Run {
            let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
            let tables = "CREATE TABLE e (id int NOT NULL, a int NOT NULL, PRIMARY KEY (id));
                CREATE TABLE t (id int NOT NULL, v int NOT NULL, PRIMARY KEY (id));";
            let total = "CREATE VIEW total AS SELECT e.id,
                (SELECT SUM(o.a) FROM e AS o WHERE o.a = e.a AND o.id <= e.id) AS sum FROM e;";
            let plan = plan_views(&Definitions {
                tables: vec![file("t.sql", tables)],
                streams: Vec::new(),
                views: vec![
                    file("cheap.sql", "CREATE VIEW cheap AS SELECT id, v FROM t;"),
                    file("total.sql", total),
                ],
            });
            let plan = Arc::new(plan.unwrap());
            let (engine, metrics) = (Engine::new(Arc::clone(&plan)), Arc::new(Metrics::new()));
            let publisher = Publisher::new(engine, Arc::clone(&plan), limits, metrics);
            let views = Views::new(&plan, Readiness::new());
            let mut run = Run { plan, publisher, views };
            (0..ENTRIES).for_each(|id| run.change("e", [id, 7]));
            (0..rows).for_each(|id| run.change("t", [id, 0]));
            for view in [COSTLY, CHEAP] {
                run.views.start_fill(view, run.plan.view(view));
                run.publisher.start_fill(view);
            }
            run
        }

        fn change(&mut self, table: &str, values: [i64; 2]) {
            let (table, of) = self.plan.tables_with_ids().find(|(_, of)| of.name == table).unwrap();
            let mut row = RowWriter::new(&of.layout);
            values.iter().enumerate().for_each(|(at, value)| row.set_number(at, *value));
            self.publisher.engine.apply(Change { table, op: Op::Upsert(row.finish()) });
        }

        /// A step of what changed and of a chunk: the documents of each view in it, and rows looked
        /// at.
        fn step(&mut self) -> ([usize; 2], u64) {
            let (mut step, before) = (Step::new(), self.publisher.engine.rows_looked_at());
            self.publisher.publish_touched(&self.views, &mut step);
            self.publisher.publish_backlog(&mut self.views, &mut step);
            let of = |view| step.views().iter().filter(move |(target, _)| target.view == view);
            let documents = |view| of(view).map(|(_, changes)| changes.puts.len()).sum();
            let looked_at = self.publisher.engine.rows_looked_at() - before;
            ([documents(CHEAP), documents(COSTLY)], looked_at)
        }

        /// Until nothing is due.
        fn drain(&mut self) {
            while !self.publisher.backlog.is_empty() {
                self.step();
            }
        }
    }

    #[test]
    fn a_chunk_ends_when_it_has_cost_enough_and_divides_no_document() {
        for (chunk_rows_max, documents) in [(1, 1), (COST, 1), (COST + 1, 2), (3 * COST, 3)] {
            let mut run = Run::new(&Limits { chunk_rows_max, ..Limits::default() }, 0);
            let (mut all, mut steps) = (0, 0);
            while !run.publisher.backlog.is_empty() {
                let ([_, of_costly], looked_at) = run.step();
                assert!(of_costly <= documents && looked_at <= documents as u64 * COST);
                (all, steps) = (all + of_costly, steps + 1);
            }
            assert_eq!(all, ENTRIES as usize);
            // Two more find that nothing is left.
            assert!(steps <= all.div_ceil(documents) + 2, "{steps} for chunks of {documents}");
        }
    }

    #[test]
    fn views_take_turns_by_what_their_documents_cost() {
        let limits = Limits { chunk_rows_max: 10, chunk_documents_max: 5, ..Limits::default() };
        let mut run = Run::new(&limits, 60);
        let (mut cheap, mut costly) = (0, 0);
        while cheap < 60 {
            let ([of_cheap, of_costly], _) = run.step();
            assert_eq!(of_cheap.min(1) + of_costly, 1, "a turn is one view's");
            (cheap, costly) = (cheap + of_cheap, costly + of_costly);
        }
        // Of 12 turns of five documents each passed for each document that cost six.
        assert_eq!(costly, 2);
        // One that comes later has no claim to the turns that it did not need, and one that waited
        // has none to those of before.
        for id in 0..5 {
            run.step();
            run.change("t", [id, 1]);
            run.publisher.publish_again(CHEAP, &run.publisher.engine.keys_after(CHEAP, None, 5));
            let turns = (0..2).map(|_| run.step().0).collect::<Vec<_>>();
            assert!(turns.iter().any(|[of_cheap, _]| *of_cheap > 0), "{turns:?}");
        }
    }

    #[test]
    fn what_changes_of_one_view_leaves_room_for_that_of_another() {
        let mut run = Run::new(&Limits { atomic_rows_max: 4 * COST, ..Limits::default() }, 5);
        run.drain();
        // All totals, and one document of the other view.
        run.change("e", [-1, 7]);
        run.change("t", [3, 1]);
        let mut step = Step::new();
        run.publisher.publish_touched(&run.views, &mut step);
        let documents = |view| {
            let of_view = step.views().iter().filter(move |(target, _)| target.view == view);
            of_view.map(|(_, changes)| changes.puts.len()).sum::<usize>()
        };
        assert_eq!((documents(CHEAP), documents(COSTLY)), (1, 2));
        assert_eq!(run.publisher.backlog.certain(CHEAP), None);
        assert!(run.publisher.backlog.certain(COSTLY).is_some());
    }

    #[test]
    fn what_is_due_has_its_turn_however_much_changes() {
        let limits = Limits { atomic_documents_max: 3, ..Limits::default() };
        let mut run = Run::new(&limits, 9);
        run.drain();
        let mut steps = 0;
        run.publisher.publish_again(COSTLY, &run.publisher.engine.keys_after(COSTLY, None, 4));
        while run.publisher.backlog.certain(COSTLY).is_some() {
            steps += 1;
            assert!(steps < 20, "it is never done");
            if !run.publisher.owes_chunk() {
                (0..9).for_each(|id| run.change("t", [id, steps]));
            }
            run.step();
        }
    }
}
