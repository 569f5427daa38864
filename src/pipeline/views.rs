//! Which views may be published: a view waits for its tables, then is filled, then is complete.

use std::collections::BTreeMap;

use crate::keyspace::ViewState;
use crate::sink::Meta;
use crate::source::record::{PartitionSpec, Role};
use crate::sql::plan::{Plan, TableId, View, ViewId};
use crate::telemetry::Readiness;

/// How far a view has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Some of its tables are not complete: nothing of it is published.
    Waiting,
    /// Its documents are being published; some may be missing.
    Filling,
    /// All its documents are there.
    Complete,
}

/// All views with their stages; says in readiness what is not complete.
#[derive(Debug)]
pub(super) struct Views {
    views: Vec<Status>,
    readiness: Readiness,
}

#[derive(Debug)]
struct Status {
    name: String,
    fingerprint: String,
    /// The tables it reads, and whether each is complete.
    tables: BTreeMap<TableId, bool>,
    stage: Stage,
}

/// A former run published a view of this definition, which none does before all events of its
/// streams were applied: what came since need not be there first.
pub(super) fn trust_former_run<'a>(
    specs: impl IntoIterator<Item = &'a mut PartitionSpec>,
    plan: &Plan,
    meta: &Meta,
) {
    let is_published =
        |view: &View| meta.views.get(&view.name).is_some_and(|s| s.fingerprint == view.fingerprint);
    for spec in specs {
        let (Role::Stream(table), Some(target)) = (spec.role, spec.target) else { continue };
        let reads = |view: &View| view.nodes.iter().any(|node| node.table == table);
        if plan.views.iter().any(|view| reads(view) && is_published(view)) {
            spec.end_at_start = spec.end_at_start.min(target.next_offset);
        }
    }
}

impl Views {
    /// All views of a plan, waiting for all their tables.
    pub(super) fn new(plan: &Plan, readiness: Readiness) -> Views {
        let status = |view: &View| Status {
            name: view.name.clone(),
            fingerprint: view.fingerprint.clone(),
            tables: view.nodes.iter().map(|node| (node.table, false)).collect(),
            stage: Stage::Waiting,
        };
        let views = Views { views: plan.views.iter().map(status).collect(), readiness };
        views.views.iter().for_each(|view| view.tell(&views.readiness));
        views
    }

    /// Notes that a table became complete, or is filling again. Returns the views that must no
    /// longer be published.
    pub(super) fn table(&mut self, table: TableId, complete: bool) -> Vec<ViewId> {
        let mut held_back = Vec::new();
        for (at, view) in self.views.iter_mut().enumerate() {
            let Some(known) = view.tables.get_mut(&table) else { continue };
            *known = complete;
            if !complete && view.stage != Stage::Waiting {
                view.stage = Stage::Waiting;
                held_back.push(ViewId(at as u16));
            }
            view.tell(&self.readiness);
        }
        held_back
    }

    /// The views that wait although all their tables are complete.
    pub(super) fn due(&self) -> Vec<ViewId> {
        let due = |view: &Status| view.stage == Stage::Waiting && view.tables.values().all(|c| *c);
        let views = self.views.iter().enumerate().filter(|(_, view)| due(view));
        views.map(|(at, _)| ViewId(at as u16)).collect()
    }

    /// Whether nothing of a view is published.
    pub(super) fn is_waiting(&self, view: ViewId) -> bool {
        self.views[usize::from(view.0)].stage == Stage::Waiting
    }

    /// The views that are published, whether filled to the end or not.
    pub(super) fn published(&self) -> Vec<ViewId> {
        let views = self.views.iter().enumerate().filter(|(_, view)| view.stage != Stage::Waiting);
        views.map(|(at, _)| ViewId(at as u16)).collect()
    }

    /// Moves a view to a stage.
    pub(super) fn set(&mut self, view: ViewId, stage: Stage) {
        let view = &mut self.views[usize::from(view.0)];
        view.stage = stage;
        view.tell(&self.readiness);
    }

    /// Whether what Redis holds of a view is of the view's present definition.
    pub(super) fn is_current(&self, view: ViewId, stored: &ViewState) -> bool {
        stored.fingerprint == self.views[usize::from(view.0)].fingerprint
    }
}

impl Status {
    fn tell(&self, readiness: &Readiness) {
        let part = format!("view {}", self.name);
        match self.stage {
            Stage::Complete => readiness.clear(&part),
            Stage::Filling => readiness.block(&part, "healing: its documents are being published"),
            Stage::Waiting => {
                let complete = self.tables.values().filter(|complete| **complete).count();
                let all = self.tables.len();
                readiness.block(&part, format!("filling: {complete} of {all} tables are complete"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Partition, Position};
    use crate::sql::{Definitions, SourceFile, plan_views};

    #[test]
    fn a_stream_of_a_published_view_need_not_be_read_further_than_it_was() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
        })
        .unwrap();
        let spec = PartitionSpec {
            partition: Partition { topic: "events".into(), number: 0 },
            role: Role::Stream(TableId(0)),
            start: Position::default(),
            target: Some(Position { next_offset: 5, fingerprint: 1 }),
            end_at_start: 9,
        };
        let end = |fingerprint: &str, target: Option<Position>| {
            let state = ViewState { complete: false, fingerprint: fingerprint.into() };
            let meta = Meta { views: [("v".to_owned(), state)].into(), ..Meta::default() };
            let mut specs = [PartitionSpec { target, ..spec.clone() }];
            trust_former_run(&mut specs, &plan, &meta);
            specs[0].end_at_start
        };
        assert_eq!(end(&plan.views[0].fingerprint, spec.target), 5);
        assert_eq!(end("other", spec.target), 9);
        assert_eq!(end(&plan.views[0].fingerprint, None), 9);
    }
}
