//! Where a run takes up what was before it: another's that it followed, a former one's, or its own
//! when Redis lost data or went back.

use tokio::time::Instant;
use tracing::{info, warn};

use super::backlog::Backlog;
use super::behind::Behind;
use super::lookout::{LEASE_LOOK, Standing};
use super::start::Course;
use super::traces::Traces;
use super::views::Stage;
use super::writer::Settled;
use super::{Pipeline, PipelineError, replan, stale, start};
use crate::change::{Partition, Positions};
use crate::sink::{Meta, Step, Store, Target};
use crate::source::Records;
use crate::source::record::{PartitionSpec, Role};
use crate::source::transactions::Released;
use crate::sql::plan::{Plan, View, ViewId};
use crate::state::CheckpointStorage;

impl<R: Records, S: Store, C: CheckpointStorage> Pipeline<R, S, C> {
    /// While another process holds the pipeline, looks now and then how far it has come, and takes
    /// over where it ended. False when the process is to end.
    pub(super) async fn look_if_due(&mut self) -> Result<bool, PipelineError> {
        if self.look_at.is_none_or(|at| Instant::now() < at) {
            return Ok(true);
        }
        let Some(standing) = self.writer.stand().await? else { return Ok(false) };
        let is_owner = matches!(standing, Standing::Owner(_));
        let (Standing::Owner(meta) | Standing::Standby(meta)) = standing;
        let Some(Course { targets, leads }) =
            Course::find(&self.reached(&meta.positions), &meta.positions)
        else {
            return Err(PipelineError::Estranged);
        };
        self.claimed = meta;
        if !is_owner {
            self.sequencer.follow(&targets);
            self.look_at = Some(Instant::now() + LEASE_LOOK);
            return Ok(true);
        }
        info!(epoch = self.claimed.epoch, step = self.claimed.seq, "claimed the pipeline");
        if leads {
            warn!("redis is behind what was followed: every view is filled from there");
            start::distrust(&mut self.claimed);
        }
        self.look_at = None;
        self.sequencer.succeed(&targets);
        trust_former_run(self.sequencer.specs_mut(), &self.plan, &self.claimed);
        if !self.sequencer.is_replaying() {
            self.take_over()?;
        }
        Ok(true)
    }

    /// What the owner, which told this, has to have applied. A table that it does not read is followed
    /// with its transactions.
    fn reached(&self, told: &Positions) -> Positions {
        let applied = self.sequencer.told_positions();
        let is_table = |of: &Partition| {
            let is =
                |spec: &PartitionSpec| matches!(spec.role, Role::Table(_)) && spec.partition == *of;
            self.sequencer.specs().any(is)
        };
        let mut reached = applied.clone();
        for (partition, end) in &self.loaded {
            let at = reached.entry(partition.clone()).or_default();
            *at = if at.next_offset < end.next_offset { *end } else { *at };
        }
        reached.retain(|of, at| {
            let is_unread = !told.is_empty() && !told.contains_key(of) && is_table(of);
            at.next_offset > 0 && !(is_unread && applied.get(of) == Some(at))
        });
        reached
    }

    /// The state is what Redis' positions say: goes on where the former run stopped. Views whose
    /// documents are of another definition, or were never published, are filled by the next step.
    ///
    /// # Errors
    /// A view that answers for a name is not there any more, or is another.
    pub(super) fn take_over(&mut self) -> Result<(), PipelineError> {
        let Pipeline { switches, sequencer, claimed, .. } = self;
        if let Err(unanswered) = switches.take_over(claimed, sequencer.served(), &self.plan) {
            // What this process stood by with may be older than what the owner followed. The plan that
            // is wanted by now is followed before anything of this one is published.
            let wanted = replan::other(&self.plans, &self.plan, self.refused.as_ref());
            let wanted = wanted.ok_or_else(|| unanswered.clone())?;
            let taken = switches.take_over(claimed, sequencer.served(), &wanted);
            taken.map_err(|_| unanswered)?;
        }
        let mended = stale::mended(&self.plan, &self.sequencer, &self.claimed);
        let mut due: Vec<ViewId> = self.views.due();
        due.retain(|view| !mended.contains(view));
        let mut left = Left::find(&self.plan, &due, &self.claimed);
        if left.is_none() {
            warn!("the stored backlog is not readable; every view is filled again");
            start::distrust(&mut self.claimed);
            left = Left::find(&self.plan, &due, &self.claimed);
        }
        let Left { backlog, stages } = left.unwrap_or_default();
        self.publisher.backlog = backlog;
        self.views.take_generations(&self.claimed.views);
        for (view, stage) in stages {
            self.publisher.engine.set_live(view, true);
            self.views.set(view, stage);
        }
        self.behind = Behind::of_former_run(&self.claimed);
        self.traces = Traces::of_former_run(&self.claimed);
        self.tell_all = true;
        stale::count(&self.metrics, &self.sequencer);
        let (rows, positions) = (self.rows(), self.sequencer.positions().len());
        info!(rows, positions, "the state is where redis is; publishing from here on");
        Ok(())
    }

    /// After Redis lost data or went back: claims it again, tells it where the state is, and fills
    /// every view that may be published. False when the process is to end.
    pub(super) async fn refill(&mut self) -> Result<bool, PipelineError> {
        let Some(meta) = self.writer.claim(self.claimed.epoch).await? else { return Ok(false) };
        if self.is_overtaken(&meta) {
            return Err(PipelineError::Fenced { epoch: meta.epoch - 1 });
        }
        self.claimed = meta;
        start::distrust(&mut self.claimed);
        if self.sequencer.is_replaying() {
            return Ok(true);
        }
        let mut step = Step::new();
        self.traces = Traces::of_former_run(&self.claimed);
        self.tell_all(&mut step);
        self.views.take_generations(&self.claimed.views);
        for view in self.views.published() {
            self.views.set(view, Stage::Waiting);
            self.publisher.hold_back(view);
        }
        self.drop_unread(&mut step);
        let renewed = self.views.record(&mut step);
        step.backlog(self.publisher.backlog.take_store(&self.plan, &self.views).flatten());
        self.behind = Behind::of_former_run(&self.claimed);
        self.behind.tell(&self.plan, &self.views, &self.publisher.backlog, &mut step);
        self.switches.take_over(&self.claimed, self.sequencer.served(), &self.plan)?;
        let wanted = self.sequencer.served();
        self.switches.tell(wanted, &self.plan, &self.views, &self.behind, &mut step);
        self.traces.tell(self.behind.views(), renewed, &mut step);
        match self.writer.commit(&step).await? {
            Settled::Landed => {
                self.note_applied(&Released::default());
                self.note_all_positions();
                Ok(true)
            }
            Settled::Ending | Settled::GivenUp => Ok(false),
            // It went back once more: the caller's next step or renewal finds the same.
            Settled::Rewound => Ok(true),
        }
    }

    /// Whether Redis was told of records that are neither applied here nor on their way. It went
    /// back behind the claim of this process, and a former owner, to whom it belonged again, went
    /// further: what readers saw of that must not be taken back.
    fn is_overtaken(&self, meta: &Meta) -> bool {
        let positions = self.sequencer.positions();
        let mut told = self.sequencer.specs().filter_map(|spec| {
            let told = meta.positions.get(&spec.partition)?.next_offset;
            let applied = positions.get(&spec.partition)?.next_offset;
            Some((told, applied.max(spec.target.map_or(0, |target| target.next_offset))))
        });
        told.any(|(told, reached)| told > reached)
    }

    /// Tells Redis where the state is, and takes back what it knows of that is not followed any
    /// more: taken up again later, it must not be believed.
    pub(super) fn tell_all(&mut self, step: &mut Step) {
        let positions = self.sequencer.told_positions();
        for (partition, position) in &positions {
            step.position(partition, *position);
        }
        for spec in self.sequencer.specs() {
            if let Some(position) = positions.get(&spec.partition) {
                self.traces.moved(&spec.partition, spec.role, *position);
            }
        }
        for partition in self.claimed.positions.keys() {
            if !positions.contains_key(partition) {
                step.forget_position(partition);
            }
        }
        for name in self.claimed.behind.keys() {
            if !self.plan.views.iter().any(|view| view.name == *name) {
                step.behind(name, None);
            }
        }
        stale::tell_all(&self.plan, &self.sequencer, &self.claimed, step);
        step.applied(self.sequencer.watermarks());
    }

    /// Drops the views that there are no more.
    pub(super) fn drop_unread(&mut self, step: &mut Step) {
        let Pipeline { plan, claimed, .. } = self;
        claimed.views.retain(|name, held| {
            let is_read = plan.views.iter().any(|view| view.name == *name);
            if !is_read {
                step.drop_view(name, held);
            }
            is_read
        });
    }
}

/// A former run published a view as it is defined and followed its tables, which none does before all
/// events of its streams were applied: what came since need not be there first. One that stands still
/// may be of other positions: its streams may have been read from their beginnings since.
pub(super) fn trust_former_run<'a>(
    specs: impl IntoIterator<Item = &'a mut PartitionSpec>,
    plan: &Plan,
    meta: &Meta,
) {
    let views: Vec<ViewId> = plan.views_with_ids().map(|(id, _)| id).collect();
    let left = Left::find(plan, &views, meta).unwrap_or_default();
    for spec in specs {
        let (Role::Stream(table), Some(target)) = (spec.role, spec.target) else { continue };
        let reads = |view: &View| view.nodes.iter().any(|node| node.table == table);
        if left.stages.iter().any(|(view, _)| reads(plan.view(*view))) {
            spec.end_at_start = spec.end_at_start.min(target.next_offset);
        }
    }
}

/// What a former run left to go on with.
#[derive(Debug, Default)]
struct Left {
    backlog: Backlog,
    /// The views that it published.
    stages: Vec<(ViewId, Stage)>,
}

impl Left {
    /// What it left of these views, where that is of their present definition. `None` if it cannot
    /// be read.
    fn find(plan: &Plan, views: &[ViewId], claimed: &Meta) -> Option<Left> {
        let held = |view: ViewId| claimed.views.get(&plan.view(view).name);
        let written = |view: ViewId| {
            let written = held(view)?.written()?;
            (written.fingerprint == plan.view(view).fingerprint).then_some(written.number)
        };
        let keep = |of: Target| views.contains(&of.view) && written(of.view) == Some(of.generation);
        let applied = claimed.contained().to_field();
        let backlog = match &claimed.backlog {
            Some(text) => Backlog::from_text(text, &applied, plan, keep)?,
            None => Backlog::at(&applied),
        };
        let stage = |&view: &ViewId| {
            written(view)?;
            let is_whole = held(view)?.next.is_none();
            match backlog.fills(view) {
                true => Some((view, Stage::Filling)),
                false => is_whole.then_some((view, Stage::Complete)),
            }
        };
        let stages = views.iter().filter_map(stage).collect();
        Some(Left { backlog, stages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Position;
    use crate::keyspace::{Generation, Generations};
    use crate::sql::plan::TableId;
    use crate::sql::{Definitions, SourceFile, plan_views};

    #[test]
    fn what_counts_is_of_the_present_definition_and_of_views_that_can_be_published() {
        let file = |path: &str, text: String| SourceFile { path: path.into(), text };
        let view = |name: &&str| file(name, format!("CREATE VIEW {name} AS SELECT id FROM t;"));
        let names = ["whole", "filling", "unbegun", "changed", "waiting", "new"];
        let table = "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));";
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", table.to_owned())],
            streams: Vec::new(),
            views: names.iter().map(view).collect(),
        })
        .unwrap();
        let id = |name: &str| {
            plan.views_with_ids().find(|(_, view)| view.name == name).map(|(id, _)| id).unwrap()
        };
        let of = |name: &str, number| Some(Generation::of(plan.view(id(name)), number));
        let changed = of("changed", 1).map(|g| Generation { fingerprint: "other".into(), ..g });
        let held = [
            ("whole", Generations { current: of("whole", 1), next: None }),
            ("filling", Generations { current: of("filling", 1), next: of("filling", 2) }),
            ("unbegun", Generations { current: of("unbegun", 1), next: of("unbegun", 2) }),
            ("changed", Generations { current: changed, next: None }),
            ("waiting", Generations { current: of("waiting", 1), next: None }),
        ];
        let fill = |view: &str, generation: u64| {
            format!(
                r#"{{"view": "{view}", "generation": {generation}, "since": 0, "fill":
                {{"is_first": true, "after": null, "until": null, "around_to": null}}}}"#
            )
        };
        let work = [fill("filling", 2), fill("unbegun", 1), fill("changed", 1), fill("waiting", 1)];
        let mut claimed = Meta {
            backlog: Some(format!(r#"{{"moments": [""], "work": [{}]}}"#, work.join(", "))),
            views: held.map(|(name, held)| (name.to_owned(), held)).into(),
            ..Meta::default()
        };
        let due = ["whole", "filling", "unbegun", "changed", "new"].map(id);
        let Left { backlog, stages } = Left::find(&plan, &due, &claimed).unwrap();
        assert_eq!(stages, [(id("whole"), Stage::Complete), (id("filling"), Stage::Filling)]);
        assert_eq!((backlog.len(), backlog.fills(id("filling"))), (1, true));
        claimed.backlog = Some("?".to_owned());
        assert!(Left::find(&plan, &due, &claimed).is_none());
        claimed.backlog = None;
        let Left { backlog, stages } = Left::find(&plan, &due, &claimed).unwrap();
        assert!(backlog.is_empty());
        assert_eq!(stages, [(id("whole"), Stage::Complete)]);
    }

    #[test]
    fn a_stream_of_a_view_that_is_followed_need_not_be_read_further_than_it_was() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let plan = plan_views(&Definitions {
            tables: Vec::new(),
            streams: vec![file("e.sql", "CREATE TABLE e (n int) COMMENT 'topic=e; format=json';")],
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT _partition, _offset, n FROM e;")],
        })
        .unwrap();
        let spec = PartitionSpec {
            partition: Partition { topic: "e".into(), number: 0 },
            role: Role::Stream(TableId(0)),
            start: Position::default(),
            target: Some(Position { next_offset: 5, fingerprint: 1 }),
            end_at_start: 9,
            lost: None,
        };
        let view = &plan.views[0];
        let of = |number| Some(Generation::of(view, number));
        let other = of(1).map(|of| Generation { fingerprint: "other".into(), ..of });
        let end = |current, next, fills: Option<u64>, target| {
            let fill = fills.map(|generation| {
                format!(
                    r#"{{"moments": [""], "work": [{{"view": "v", "generation": {generation},
                    "since": 0, "fill": {{"is_first": true, "after": null, "until": null,
                    "around_to": null}}}}]}}"#
                )
            });
            let views = [("v".to_owned(), Generations { current, next })].into();
            let meta = Meta { views, backlog: fill, ..Meta::default() };
            let mut specs = [PartitionSpec { target, ..spec.clone() }];
            trust_former_run(&mut specs, &plan, &meta);
            specs[0].end_at_start
        };
        assert_eq!(end(of(1), None, None, spec.target), 5);
        assert_eq!(end(None, of(1), Some(1), spec.target), 5);
        assert_eq!(end(other.clone(), of(2), Some(2), spec.target), 5);
        assert_eq!(end(of(1), None, None, None), 9, "nothing of it was read");
        assert_eq!(end(other.clone(), None, None, spec.target), 9);
        // A change was taken back: what is read is of this definition, and stands still.
        assert_eq!(end(of(1), other.clone(), Some(1), spec.target), 9);
        assert_eq!(end(of(1), of(2), None, spec.target), 9);
        assert_eq!(end(None, of(1), None, spec.target), 9);
    }
}
