//! The loop: source, engine, sink; the one place that decides what an error means.
//!
//! A start claims the pipeline in Redis, loads the tables from a checkpoint, and applies what came
//! after silently up to the positions that Redis has; from there on every step publishes. Where
//! another process holds the pipeline, it is followed in the same silence, exactly up to its
//! positions, until its lease ends. A step is
//! what some released changes make: documents, positions and watermarks together. It is committed
//! before the next one is put together, so there is never more than one whose outcome is unknown.
//!
//! What an error means, here and nowhere else:
//!
//! | from | what | then |
//! |---|---|---|
//! | sink | `Retry` | the same step again, as long as it takes; readiness says why |
//! | sink | `Rewound` | claim again, fill every view from the state |
//! | sink | `Fenced`, `Fatal` | stop |
//! | sequencer, reader | any | stop: going on would lose or reorder changes |
//!
//! What passes by itself on the way in (broker, registry) is waited out by the reader, and what
//! cannot be read is a dead letter before it comes here.

mod backlog;
mod behind;
mod checkpoints;
mod lookout;
mod observe;
mod publisher;
mod replan;
mod stale;
mod start;
mod succession;
mod switches;
mod traces;
mod views;
mod writer;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::change::Positions;
use crate::config::Config;
use crate::dial::{DialError, Dialer};
use crate::gtid::Watermarks;
use crate::keyspace::Keyspace;
use crate::sink::{Meta, Redis, Sink, Step, Store};
use crate::source::record::PartitionId;
use crate::source::transactions::{Obeyed, Released, SequenceError, Sequencer};
use crate::source::{Kafka, Log, Records, SourceError, Wanting};
use crate::sql::Unanswered;
use crate::sql::plan::{Plan, ViewId};
use crate::state::{CheckpointStorage, Folder, StateError};
use crate::telemetry::{Metrics, Readiness};
use behind::Behind;
use checkpoints::Checkpoints;
use observe::Handles;
use publisher::Publisher;
pub use replan::needs_start;
use switches::Switches;
use traces::Traces;
use views::{Stage, Views};
use writer::{Settled, Writer};

/// Changes after which a step is closed: more cost readers freshness and save nothing.
const STEP_CHANGES: usize = 256;

/// Batches of records taken off the reader before a step, so that steps go on under load.
const BATCHES_PER_STEP: usize = 16;

/// How long a record that fits nowhere may wait for the notification that explains it: it may have
/// been written at about the same time, to another topic.
const MISFIT_WAIT: Duration = Duration::from_secs(10);

/// What readiness says of changed definitions that cannot be followed, by this name.
const DEFINITIONS: &str = "definitions";

/// Why the pipeline stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Another process has claimed the pipeline.
    #[error("another process has claimed the pipeline (epoch {epoch}); this one stops")]
    Fenced {
        /// The other's epoch.
        epoch: u64,
    },
    /// The Redis URL is not usable.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Redis cannot be used.
    #[error("redis: {0}")]
    Redis(String),
    /// What this process followed is not what it would go on from.
    #[error(
        "redis was told by another configuration, which reads other tables: what this process \
         has followed is of no use, start it again"
    )]
    Estranged,
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The topics cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What was read cannot be put in order.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// Readers would find nothing under a name, or something else.
    #[error(transparent)]
    Unanswered(#[from] Box<Unanswered>),
}

/// Is told which captured tables, by name, are complete only once they are read anew, and why.
pub type Wanted = watch::Sender<BTreeMap<String, Wanting>>;

/// The plan to follow. When it is another, it is followed from the next step on.
pub type Plans = watch::Receiver<Arc<Plan>>;

/// Completes when the process is to end.
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a pipeline until `shutdown` completes or going on would do harm. Waits, however long, for
/// Redis, Kafka and the registry; `readiness` tells for what.
///
/// # Errors
/// Every [`PipelineError`].
pub async fn run(
    config: &Config,
    plans: Plans,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    wanted: Wanted,
    shutdown: Shutdown,
) -> Result<(), PipelineError> {
    let dialer = Dialer::new(config.redis.url.expose())?;
    let (settings, plan) = (start::settings(config), Arc::clone(&plans.borrow()));
    let ends = Ends {
        log: Kafka::new(settings, Arc::clone(&plan), Arc::clone(&metrics), readiness.clone()),
        store: Redis::new(dialer, &Keyspace::new(&config.pipeline.name), &plan),
        storage: Folder::open(&config.state_path(), start::origin(config))?,
    };
    run_between(ends, config, plans, metrics, readiness, wanted, shutdown).await
}

/// What a pipeline runs between. With other ends than the real ones a simulation runs it, with
/// the clock of its runtime paused: there is no other clock, and no thread, in here.
#[derive(Debug)]
pub struct Ends<L, S, C> {
    /// Where changes come from.
    pub log: L,
    /// Where documents go.
    pub store: S,
    /// Where the tables are kept.
    pub storage: C,
}

/// The same as [`run`] between any ends.
///
/// # Errors
/// Every [`PipelineError`].
pub async fn run_between<L: Log, S: Store, C: CheckpointStorage>(
    ends: Ends<L, S, C>,
    config: &Config,
    plans: Plans,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    wanted: Wanted,
    shutdown: Shutdown,
) -> Result<(), PipelineError> {
    let Ends { mut log, store, storage } = ends;
    let writer = Writer::new(Sink::on(store), Arc::clone(&metrics), readiness.clone(), shutdown);
    let outside = Outside { metrics, readiness, wanted, plans };
    let mut running = start::start(&mut log, writer, storage, config, outside).await?;
    while let Some(mut pipeline) = running {
        running = match pipeline.run().await? {
            Some(plan) => {
                log.replan(Arc::clone(&plan));
                pipeline.replan(&log, config, plan).await?
            }
            None => {
                pipeline.writer.release().await;
                None
            }
        };
    }
    Ok(())
}

/// What a pipeline tells, and is told, whatever its plan.
#[derive(Clone)]
struct Outside {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    wanted: Wanted,
    plans: Plans,
}

struct Pipeline<R, S, C: CheckpointStorage> {
    plan: Arc<Plan>,
    metrics: Arc<Metrics>,
    reader: R,
    sequencer: Sequencer,
    publisher: Publisher,
    views: Views,
    behind: Behind,
    switches: Switches,
    traces: Traces,
    /// What Redis held when the pipeline was claimed.
    claimed: Meta,
    /// While another process holds the pipeline: when to look again whether it still does.
    look_at: Option<Instant>,
    readiness: Readiness,
    wanted: Wanted,
    plans: Plans,
    /// A plan that was wanted and cannot be followed.
    refused: Option<Arc<Plan>>,
    /// What cannot be put in order, and until when that may pass.
    misfit: Option<(SequenceError, Instant)>,
    /// Where the checkpoint ended that was loaded: before, the state is of no one moment.
    loaded: Positions,
    writer: Writer<S>,
    checkpoints: Checkpoints<C>,
    /// Redis is to be told every position, not only those that move: it may know others.
    tell_all: bool,
    handles: Handles,
}

impl<R: Records, S: Store, C: CheckpointStorage> Pipeline<R, S, C> {
    /// Runs until the process is to end, or returns another plan that is to be followed.
    async fn run(&mut self) -> Result<Option<Arc<Plan>>, PipelineError> {
        let mut known = Released::default();
        self.sequencer.report_completeness(&mut known);
        known.lacks.extend(self.sequencer.lacks().map(|(table, lacks)| (table, lacks.clone())));
        self.apply(&mut known);
        if !self.sequencer.is_replaying() {
            self.take_over()?;
        }
        // Redis may lack something though no record ever comes.
        loop {
            // Before each step: one that has just taken over publishes nothing of a former plan.
            if let Some(plan) = self.other_plan()? {
                return Ok(Some(plan));
            }
            if self.step().await? {
                continue;
            }
            for (partition, flow) in self.sequencer.take_flow() {
                self.reader.set_flow(partition, flow);
            }
            if !(self.take_records().await? && self.look_if_due().await?) {
                return Ok(None);
            }
        }
    }

    /// Another plan that can be followed from here on.
    ///
    /// # Errors
    /// There is none, and by the present one readers of a name would find nothing.
    fn other_plan(&mut self) -> Result<Option<Arc<Plan>>, PipelineError> {
        let can = self.look_at.is_none()
            && !self.sequencer.is_replaying()
            && !self.writer.is_ending()
            && !self.writer.is_rewound();
        let other = || replan::other(&self.plans, &self.plan, self.refused.as_ref());
        let Some(plan) = can.then(other).flatten() else { return Ok(None) };
        // Whoever sent it may have compared it with one in between, which was not followed.
        let reason = needs_start(&self.plan, &plan);
        if let Some(reason) = reason.or_else(|| self.switches.prevents(&plan)) {
            error!("changed definitions are not followed: {reason}");
            self.readiness.block(DEFINITIONS, reason);
            self.refused = Some(plan);
            self.switches.check(self.sequencer.served(), &self.plan)?;
            return Ok(None);
        }
        Ok(Some(plan))
    }

    /// Moves what was read into the sequencer; waits for it unless there is other work. False when
    /// the process is to end.
    async fn take_records(&mut self) -> Result<bool, PipelineError> {
        let replaying = self.sequencer.is_replaying();
        let is_due = !self.publisher.backlog.is_empty() || !self.views.to_fill().is_empty();
        if !is_due || replaying {
            let Pipeline { writer, reader, checkpoints, look_at, misfit, .. } = self;
            let Pipeline { plan, plans, refused, .. } = self;
            let misfit_until = misfit.as_ref().map(|(_, until)| *until);
            let waiting = async {
                tokio::select! {
                    biased;
                    batch = reader.next() => batch.map(Some),
                    () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {
                        Ok(None)
                    }
                    () = sleep_until(misfit_until.unwrap_or_else(Instant::now)), if misfit_until.is_some() => {
                        Ok(None)
                    }
                    () = replan::wait_for_other(plans, plan, refused.as_ref()), if !replaying => Ok(None),
                    () = checkpoints.idle(), if !replaying => Ok(None),
                }
            };
            match writer.keep_alive(waiting).await? {
                Some(Some(batch)) => {
                    batch.into_iter().for_each(|record| self.sequencer.push(record));
                }
                Some(None) if self.look_at.is_some() => {}
                Some(None) => {
                    self.checkpoints.go_on(&self.publisher.engine, &self.sequencer).await;
                    self.writer.renew_if_due().await?;
                }
                None if self.writer.is_rewound() => return self.refill().await,
                None => return Ok(false),
            }
        }
        for _ in 1..BATCHES_PER_STEP {
            let Some(batch) = self.reader.try_next()? else { break };
            batch.into_iter().for_each(|record| self.sequencer.push(record));
        }
        Ok(!self.writer.is_ending())
    }

    /// Applies what can be applied and publishes it, with a chunk of the backlog. False when there is
    /// nothing more to apply.
    async fn step(&mut self) -> Result<bool, PipelineError> {
        let replaying = self.sequencer.is_replaying();
        let added = self.sequencer.added();
        let mut released = Released::default();
        let owes_chunk = self.publisher.owes_chunk();
        while !owes_chunk
            && released.changes.len() < STEP_CHANGES
            && self.release(&mut released)?
            && self.sequencer.is_replaying() == replaying
        {}
        self.apply(&mut released);
        self.observe_state();
        self.tell_all |= self.sequencer.added() < added;
        self.checkpoints.note(released.records);
        if replaying {
            self.note_positions(&released);
            if !self.sequencer.is_replaying() {
                self.take_over()?;
            }
            self.writer.renew_if_due().await?;
            return Ok(!released.is_empty());
        }
        self.tell_wanted();
        let mut step = Step::new();
        if std::mem::take(&mut self.tell_all) {
            self.tell_all(&mut step);
        }
        let fresh = self.publisher.publish_touched(&self.views, &mut step);
        for obeyed in &released.commands {
            match obeyed {
                Obeyed::Republished { view, keys } if self.views.is_published(*view) => {
                    self.publisher.publish_again(*view, keys);
                }
                Obeyed::Replayed(letter) => {
                    let of = self.sequencer.partition(letter.partition);
                    self.traces.replayed(of, letter.offset);
                }
                _ => {}
            }
        }
        for view in self.views.published() {
            // A large table that was emptied.
            if self.publisher.backlog.fills(view) {
                self.views.set(view, Stage::Filling);
            }
        }
        for view in self.views.to_fill() {
            self.start_fill(view);
        }
        for (&partition, &position) in &released.positions {
            if !self.sequencer.is_added(partition) {
                let (of, role) =
                    (self.sequencer.partition(partition), self.sequencer.role(partition));
                step.position(of, position);
                self.traces.moved(of, role, position);
            }
        }
        stale::tell(&self.plan, &self.sequencer, &released, &mut step);
        if released.watermarks != Watermarks::default() {
            step.applied(self.sequencer.watermarks());
        }
        if released.committed_us > 0 {
            step.committed(released.committed_us);
        }
        if let Some(set) = &released.executed {
            step.executed(set);
        }
        self.publish(step, &released, &fresh).await?;
        if !self.writer.is_ending() {
            self.checkpoints.follow(&self.publisher.engine, &self.sequencer).await;
        }
        Ok((owes_chunk || !released.is_empty()) && !self.writer.is_ending())
    }

    /// Tells which tables have to be read anew.
    fn tell_wanted(&self) {
        let name = |table| self.plan.table(table).name.clone();
        let wanting: BTreeMap<String, Wanting> =
            self.sequencer.wanting().map(|(table, why)| (name(table), why)).collect();
        self.wanted.send_if_modified(|wanted| {
            let differs = *wanted != wanting;
            *wanted = wanting;
            differs
        });
    }

    /// Adds what can be applied next. False when nothing can.
    fn release(&mut self, released: &mut Released) -> Result<bool, SequenceError> {
        match self.sequencer.release(released) {
            Ok(any) => {
                self.misfit = if any { self.misfit.take() } else { None };
                Ok(any)
            }
            Err(error) => match self.misfit.take().filter(|(known, _)| known.is_about(&error)) {
                Some((_, until)) if Instant::now() >= until => Err(error),
                Some(known) => {
                    self.misfit = Some(known);
                    Ok(false)
                }
                None => {
                    info!(%error, "waiting for news of a snapshot that explains it");
                    self.misfit = Some((error, Instant::now() + MISFIT_WAIT));
                    Ok(false)
                }
            },
        }
    }

    /// Adds a chunk of the backlog to a step and commits it.
    async fn publish(
        &mut self,
        mut step: Step,
        released: &Released,
        fresh: &[ViewId],
    ) -> Result<(), PipelineError> {
        if !self.make_room().await? {
            return Ok(());
        }
        let filled = self.publisher.publish_backlog(&mut self.views, &mut step);
        let renewed = self.views.record(&mut step);
        if let Some(stored) = self.publisher.backlog.take_store(&self.plan, &self.views) {
            step.backlog(stored);
        }
        self.behind.tell(&self.plan, &self.views, &self.publisher.backlog, &mut step);
        let wanted = self.sequencer.served();
        if self.switches.tell(wanted, &self.plan, &self.views, &self.behind, &mut step) {
            // A plan without the view that answered so far may be followed by now.
            self.refused = None;
        }
        self.traces.tell(self.behind.views(), renewed, &mut step);
        if step.is_empty() {
            return Ok(());
        }
        let Pipeline { writer, plans, plan, refused, .. } = self;
        let is_other_wanted = || replan::other(plans, plan, refused.as_ref()).is_some();
        match writer.commit_unless(&step, is_other_wanted).await? {
            // What is due now is not what would be due then: the state is ahead of Redis.
            Settled::Ending | Settled::GivenUp => {}
            Settled::Rewound => drop(self.refill().await?),
            Settled::Landed => {
                self.note_applied(released);
                self.note_positions(released);
                if let Some(view) = filled {
                    self.views.set(view, Stage::Complete);
                    info!(view = self.plan.view(view).name, "all documents are published");
                }
                self.observe(released, fresh);
            }
        }
        Ok(())
    }

    /// Drops what nobody reads or fills any more, in a step of its own: Redis takes it though its
    /// memory is full. False when the step that was to follow is of no use any more.
    async fn make_room(&mut self) -> Result<bool, PipelineError> {
        let mut step = Step::new();
        self.views.drop_abandoned(&mut step);
        self.drop_unread(&mut step);
        if step.is_empty() {
            return Ok(true);
        }
        match self.writer.commit(&step).await? {
            Settled::Landed => Ok(true),
            Settled::Ending | Settled::GivenUp => Ok(false),
            Settled::Rewound => self.refill().await.map(|_| false),
        }
    }

    /// Applies what was released. Views whose tables are not complete any more, or lack what they read,
    /// are not published.
    fn apply(&mut self, released: &mut Released) {
        let changes = std::mem::take(&mut released.changes);
        for change in &changes {
            self.handles.applied[usize::from(change.table.0)].inc();
        }
        self.publisher.engine.apply_all(changes);
        for (table, complete) in released.completeness.drain(..) {
            let name = &self.plan.table(table).name;
            info!(table = name, complete, "the table's completeness changed");
            for view in self.views.table(table, complete) {
                self.publisher.hold_back(view);
            }
        }
        for (table, lacks) in std::mem::take(&mut released.lacks) {
            for view in self.views.lacks(table, &lacks) {
                let name = &self.plan.view(view).name;
                warn!(view = name, ?lacks, "the view stands still: its columns are not there");
                self.publisher.hold_back(view);
            }
        }
    }

    /// From here on a view is filled, and follows changes.
    fn start_fill(&mut self, id: ViewId) {
        self.views.start_fill(id, self.plan.view(id));
        self.publisher.start_fill(id);
    }

    /// Redis was told what is contained.
    fn note_applied(&mut self, released: &Released) {
        let applied = self.sequencer.watermarks().to_string();
        self.publisher.backlog.applied(self.behind.landed(applied, released));
    }

    /// Redis is where these changes are.
    fn note_positions(&self, released: &Released) {
        for (&partition, position) in &released.positions {
            self.reader.note_applied(partition, position.next_offset);
        }
    }

    /// Redis is where the state is.
    fn note_all_positions(&self) {
        let positions = self.sequencer.positions();
        for (at, spec) in self.sequencer.specs().enumerate() {
            if let Some(position) = positions.get(&spec.partition) {
                self.reader.note_applied(PartitionId(at as u16), position.next_offset);
            }
        }
    }
}
