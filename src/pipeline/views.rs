//! Which views may be published, and to where: a view waits for its tables, then is filled, then is
//! complete. Where a table is not written any more as a view reads it, that view stands still.
//!
//! Readers never see a view half filled if it was whole before. Whatever is to be filled as a
//! whole (a new definition, tables that were read anew, a Redis that went back) is filled into a
//! generation of its own, beside the one that readers read and that is not written meanwhile. The
//! step that ends the fill lets them read the new one and drops the other. Memory has to hold both
//! until then, so such views are filled one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::keyspace::Generations;
use crate::sink::{Step, Target};
use crate::source::record::Lacks;
use crate::sql::plan::{Node, Plan, TableId, View, ViewId};
use crate::telemetry::Readiness;

/// How far a view has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Some of its tables are not complete, or lack columns that it reads: nothing of it is published.
    Waiting,
    /// Its documents are being published; some may be missing.
    Filling,
    /// All its documents are there.
    Complete,
}

/// All views with their stages and generations; says in readiness what is not complete.
#[derive(Debug)]
pub(super) struct Views {
    views: Vec<Status>,
    readiness: Readiness,
}

#[derive(Debug)]
struct Status {
    name: String,
    /// [`View::fingerprint`] of its definition.
    fingerprint: String,
    /// The tables it reads, and whether each is complete.
    tables: BTreeMap<TableId, bool>,
    /// The columns it reads.
    columns: BTreeSet<(TableId, String)>,
    /// Why it cannot have each of them that it cannot.
    lacks: BTreeMap<(TableId, String), String>,
    stage: Stage,
    generations: Generations,
    /// What Redis holds of them.
    held: Generations,
    /// Redis is to be told of them, whatever it holds.
    untold: bool,
}

impl Views {
    /// All views of a plan, waiting for all their tables.
    pub(super) fn new(plan: &Plan, readiness: Readiness) -> Views {
        let columns = |view: &View| {
            let of_node = |node: &Node| {
                let (id, table) = (node.table, plan.table(node.table));
                let held = table.held(&node.reads).into_iter();
                held.map(|at| (id, table.columns[at].name.clone())).collect::<Vec<_>>()
            };
            view.nodes.iter().flat_map(of_node).collect()
        };
        let status = |view: &View| Status {
            name: view.name.clone(),
            fingerprint: view.fingerprint.clone(),
            // Groups are complete with the rows that they are of.
            tables: view
                .nodes
                .iter()
                .filter(|node| plan.grouping(node.table).is_none())
                .map(|node| (node.table, false))
                .collect(),
            columns: columns(view),
            lacks: BTreeMap::new(),
            stage: Stage::Waiting,
            generations: Generations::default(),
            held: Generations::default(),
            untold: true,
        };
        let views = Views { views: plan.views.iter().map(status).collect(), readiness };
        views.views.iter().for_each(|view| view.tell(&views.readiness));
        views
    }

    /// Notes that a table became complete, or is filling again. Returns the views that must no
    /// longer be published.
    pub(super) fn table(&mut self, table: TableId, complete: bool) -> Vec<ViewId> {
        self.change(|view| match view.tables.get_mut(&table) {
            Some(known) => {
                *known = complete;
                true
            }
            None => false,
        })
    }

    /// Notes what rows of a table lack. Returns the views that must no longer be published.
    pub(super) fn lacks(&mut self, table: TableId, lacks: &Lacks) -> Vec<ViewId> {
        self.change(|view| {
            view.lacks.retain(|(of, _), _| *of != table);
            for (column, why) in lacks {
                let column = (table, column.to_string());
                if view.columns.contains(&column) {
                    view.lacks.insert(column, why.to_string());
                }
            }
            view.tables.contains_key(&table)
        })
    }

    /// Changes what is known of views' tables; `change` says of which. Returns the views that must no
    /// longer be published.
    fn change(&mut self, mut change: impl FnMut(&mut Status) -> bool) -> Vec<ViewId> {
        let mut held_back = Vec::new();
        for (at, view) in self.views.iter_mut().enumerate() {
            if !change(view) {
                continue;
            }
            if !view.may_be_published() && view.stage != Stage::Waiting {
                view.stage = Stage::Waiting;
                held_back.push(ViewId(at as u16));
            }
            view.tell(&self.readiness);
        }
        held_back
    }

    /// Whether a view stands still since columns that it reads are lacking.
    pub(super) fn stands_still(&self, view: ViewId) -> bool {
        !self.views[usize::from(view.0)].lacks.is_empty()
    }

    /// The views that wait although all that they read is there.
    pub(super) fn due(&self) -> Vec<ViewId> {
        let due = |view: &Status| view.stage == Stage::Waiting && view.may_be_published();
        let views = self.views.iter().enumerate().filter(|(_, view)| due(view));
        views.map(|(at, _)| ViewId(at as u16)).collect()
    }

    /// The views to fill from now on: all due of which nothing is read yet, and one at a time of the
    /// others, for the documents of those are there twice meanwhile.
    pub(super) fn to_fill(&self) -> Vec<ViewId> {
        let is_renewed =
            |view: &Status| view.stage == Stage::Filling && view.generations.is_frozen();
        let mut is_taken = self.views.iter().any(is_renewed);
        let mut due = self.due();
        due.retain(|view| {
            self.generations(*view).current.is_none() || !mem::replace(&mut is_taken, true)
        });
        due
    }

    /// The views that are published, whether filled to the end or not.
    pub(super) fn published(&self) -> Vec<ViewId> {
        let views = self.views.iter().enumerate().filter(|(_, view)| view.stage != Stage::Waiting);
        views.map(|(at, _)| ViewId(at as u16)).collect()
    }

    /// Whether a view is published, filled to the end or not.
    pub(super) fn is_published(&self, view: ViewId) -> bool {
        self.views[usize::from(view.0)].stage != Stage::Waiting
    }

    /// Moves a view to a stage.
    pub(super) fn set(&mut self, view: ViewId, stage: Stage) {
        let view = &mut self.views[usize::from(view.0)];
        view.stage = stage;
        view.tell(&self.readiness);
    }

    /// Takes over what a former run left of each view, but for what it filled of other definitions.
    pub(super) fn take_generations(&mut self, held: &BTreeMap<String, Generations>) {
        for view in &mut self.views {
            view.held = held.get(&view.name).cloned().unwrap_or_default();
            view.generations = view.held.clone();
            view.generations.abandon_others(&view.fingerprint);
            view.untold = true;
            view.tell(&self.readiness);
        }
    }

    /// What there is of a view.
    pub(super) fn generations(&self, view: ViewId) -> &Generations {
        &self.views[usize::from(view.0)].generations
    }

    /// Where documents of a view are written; a view that is published has a place for them.
    pub(super) fn target(&self, view: ViewId) -> Option<Target> {
        let written = self.generations(view).written()?;
        Some(Target { view, generation: written.number })
    }

    /// From here on the view is filled into a generation beside the one that readers read.
    pub(super) fn start_fill(&mut self, id: ViewId, view: &View) {
        self.views[usize::from(id.0)].generations.prepare(view);
        self.set(id, Stage::Filling);
    }

    /// The view is filled: readers read what was filled beside the one that they read so far.
    pub(super) fn switch(&mut self, view: ViewId) {
        self.views[usize::from(view.0)].generations.switch();
    }

    /// Adds to a step, which may come before any document, that generations are dropped which were to
    /// be read and will not: memory for others.
    pub(super) fn drop_abandoned(&mut self, step: &mut Step) {
        for view in &mut self.views {
            let is_kept = |number| view.generations.all().any(|of| of.number == number);
            if view.held.next.as_ref().is_some_and(|next| !is_kept(next.number)) {
                view.record(step);
            }
        }
    }

    /// Adds to a step what there is of each view once it takes effect, where Redis knows something
    /// else. What is read of a view that waits for its tables stays as it is from there on. The views
    /// of which readers read another definition from there on, or anything for the first time.
    pub(super) fn record(&mut self, step: &mut Step) -> BTreeSet<String> {
        let mut filled = BTreeSet::new();
        for view in &mut self.views {
            if view.stage == Stage::Waiting {
                view.generations.freeze();
            }
            let fingerprint =
                |of: &Generations| of.current.as_ref().map(|of| of.fingerprint.clone());
            let read = fingerprint(&view.generations);
            if read.is_some() && read != fingerprint(&view.held) {
                filled.insert(view.name.clone());
            }
            if view.untold || view.held != view.generations {
                view.record(step);
            }
        }
        filled
    }
}

impl Status {
    fn may_be_published(&self) -> bool {
        self.lacks.is_empty() && self.tables.values().all(|complete| *complete)
    }

    fn record(&mut self, step: &mut Step) {
        let numbers = |all: &Generations| all.all().map(|of| of.number).collect::<BTreeSet<_>>();
        for number in numbers(&self.held).difference(&numbers(&self.generations)) {
            step.drop_generation(&self.name, *number);
        }
        step.generations(&self.name, &self.generations);
        self.held.clone_from(&self.generations);
        self.untold = false;
    }

    fn tell(&self, readiness: &Readiness) {
        let part = format!("view {}", self.name);
        match self.stage {
            Stage::Complete => readiness.clear(&part),
            Stage::Filling if self.generations.is_frozen() => {
                let text = "healing: filled anew; its documents are those of before until then";
                readiness.block(&part, text);
            }
            Stage::Filling => readiness.block(&part, "healing: its documents are being published"),
            Stage::Waiting if !self.lacks.is_empty() => {
                let why: Vec<&str> = self.lacks.values().map(String::as_str).collect();
                readiness.block(&part, format!("standing still: {}", why.join("; ")));
            }
            Stage::Waiting => {
                let complete = self.tables.values().filter(|complete| **complete).count();
                let all = self.tables.len();
                if complete == all {
                    readiness.block(&part, "healing: filled anew after another view");
                    return;
                }
                readiness.block(&part, format!("filling: {complete} of {all} tables are complete"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Generation;
    use crate::sql::{Definitions, SourceFile, plan_views};

    /// Views of these names, each of one table.
    fn plan(views: &[&str]) -> Plan {
        let file = |path: &str, text: String| SourceFile { path: path.into(), text };
        let view = |name: &&str| file(name, format!("CREATE VIEW {name} AS SELECT id FROM t;"));
        let table = "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));";
        plan_views(&Definitions {
            tables: vec![file("t.sql", table.to_owned())],
            streams: Vec::new(),
            views: views.iter().map(view).collect(),
        })
        .unwrap()
    }

    #[test]
    fn a_view_stands_still_while_a_column_that_it_reads_is_lacking() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let table = "CREATE TABLE t (id int NOT NULL, A int, b int, PRIMARY KEY (id));";
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", table)],
            streams: Vec::new(),
            views: vec![
                file("one.sql", "CREATE VIEW one AS SELECT id, a FROM t;"),
                file("other.sql", "CREATE VIEW other AS SELECT id FROM t WHERE b > 1;"),
            ],
        })
        .unwrap();
        let readiness = Readiness::new();
        let mut views = Views::new(&plan, readiness.clone());
        let (one, other) = (ViewId(0), ViewId(1));
        views.table(TableId(0), true);
        assert_eq!(views.due(), [one, other]);
        for view in [one, other] {
            views.start_fill(view, plan.view(view));
            views.switch(view);
            views.set(view, Stage::Complete);
        }
        let lacks: Lacks =
            [("A".into(), "it is gone".into()), ("c".into(), "nobody reads".into())].into();
        assert_eq!(views.lacks(TableId(0), &lacks), [one]);
        assert_eq!(views.lacks(TableId(0), &lacks), [], "that is known");
        assert_eq!(readiness.reasons(), ["view one: standing still: it is gone"]);
        assert!(views.stands_still(one) && !views.stands_still(other));
        assert_eq!(views.table(TableId(0), false), [other]);
        views.table(TableId(0), true);
        assert_eq!(views.due(), [other]);
        views.record(&mut Step::new());
        assert!(views.generations(one).is_frozen(), "what readers read is told to stand still");
        views.lacks(TableId(0), &Lacks::new());
        assert_eq!(views.due(), [one, other]);
    }

    #[test]
    fn views_that_are_there_twice_meanwhile_are_filled_one_at_a_time() {
        let plan = plan(&["a", "b", "new"]);
        let ids: Vec<ViewId> = plan.views_with_ids().map(|(id, _)| id).collect();
        let of = |id: &ViewId, number| Some(Generation::of(plan.view(*id), number));
        let held = ids[..2].iter().map(|id| {
            let held = Generations { current: of(id, 1), next: of(id, 2) };
            (plan.view(*id).name.clone(), held)
        });
        let mut views = Views::new(&plan, Readiness::new());
        views.take_generations(&held.collect());
        assert!(views.to_fill().is_empty(), "its table is not complete");
        views.table(TableId(0), true);
        assert_eq!(views.to_fill(), [ids[0], ids[2]]);
        views.start_fill(ids[0], plan.view(ids[0]));
        assert_eq!(views.to_fill(), [ids[2]]);
        views.start_fill(ids[2], plan.view(ids[2]));
        assert!(views.to_fill().is_empty());
        let former = |view: &mut Status| {
            view.generations.current.as_mut().unwrap().fingerprint = "former".into();
            view.held.clone_from(&view.generations);
        };
        former(&mut views.views[1]);
        assert_eq!(views.record(&mut Step::new()), [].into());
        views.switch(ids[2]);
        assert_eq!(views.record(&mut Step::new()), ["new".to_owned()].into());
        assert_eq!(views.record(&mut Step::new()), [].into(), "once");
        // Readers read what was filled, and the other generation is dropped.
        views.switch(ids[0]);
        assert_eq!(views.record(&mut Step::new()), [].into(), "it is defined as before");
        assert_eq!(views.to_fill(), [ids[1]]);
        views.start_fill(ids[1], plan.view(ids[1]));
        views.switch(ids[1]);
        assert_eq!(views.record(&mut Step::new()), ["b".to_owned()].into());
    }

    #[test]
    fn what_was_filled_for_nothing_is_dropped_before_anything_else_is_written() {
        let plan = plan(&["v"]);
        let (id, view) = plan.views_with_ids().next().unwrap();
        let other = Generation { fingerprint: "other".into(), ..Generation::of(view, 2) };
        let held = Generations { current: Some(Generation::of(view, 1)), next: Some(other) };
        let mut views = Views::new(&plan, Readiness::new());
        views.take_generations(&[("v".to_owned(), held)].into());
        let drops = |views: &mut Views| {
            let mut step = Step::new();
            views.drop_abandoned(&mut step);
            (step.only_drops(), step.dropped().iter().map(|(_, number)| *number).collect())
        };
        assert_eq!(drops(&mut views), (true, vec![2]));
        assert_eq!(drops(&mut views), (false, Vec::new()));
        assert!(views.generations(id).is_frozen(), "what is read stands still all the same");
        views.start_fill(id, view);
        assert_eq!(drops(&mut views), (false, Vec::new()), "it is filled on");
        views.switch(id);
        assert_eq!(drops(&mut views), (false, Vec::new()), "that goes with what is read instead");
    }
}
