//! The way to a running pipeline: claim, load, find where Redis stands to what was loaded, read.
//! While another process holds the pipeline, all the same without the claim, which follows.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::behind::Behind;
use super::checkpoints::Checkpoints;
use super::lookout::Standing;
use super::observe::Handles;
use super::publisher::Publisher;
use super::succession::trust_former_run;
use super::switches::Switches;
use super::traces::Traces;
use super::views::Views;
use super::writer::Writer;
use super::{Outside, Pipeline, PipelineError, STEP_CHANGES};
use crate::change::Positions;
use crate::config::Config;
use crate::engine::Engine;
use crate::keyspace::Generations;
use crate::sink::{Meta, Store};
use crate::source::record::PartitionSpec;
use crate::source::transactions::{Applied, Bounds, Sequencer};
use crate::source::{Former, Log, Settings};
use crate::sql::plan::Plan;
use crate::state::{CheckpointStorage, Loaded, Origin};

/// How long one answer of the registry may take.
const REGISTRY_WAIT: Duration = Duration::from_secs(5);

/// Folder of the copies of writer schemas, beside the checkpoints.
const SCHEMAS: &str = "schemas";

/// Up to where changes that former runs applied are replayed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) targets: Positions,
    /// Redis is not as far as that.
    pub(super) leads: bool,
}

/// Claims the pipeline if it is free, loads the newest checkpoint and begins to read behind it.
/// `None` when the process is to end.
pub(super) async fn start<L: Log, S: Store, C: CheckpointStorage>(
    log: &mut L,
    mut writer: Writer<S>,
    mut storage: C,
    config: &Config,
    mut outside: Outside,
) -> Result<Option<Pipeline<L::Records, S, C>>, PipelineError> {
    let plan = Arc::clone(&outside.plans.borrow_and_update());
    // They were made when another may have been the newest.
    log.replan(Arc::clone(&plan));
    writer.replan(&plan);
    let views = Views::new(&plan, outside.readiness.clone());
    let (mut meta, standing_by) = match writer.stand().await? {
        None => return Ok(None),
        Some(Standing::Owner(meta)) => {
            info!(epoch = meta.epoch, step = meta.seq, "claimed the pipeline");
            (meta, false)
        }
        Some(Standing::Standby(meta)) => {
            info!(
                epoch = meta.epoch,
                "another process runs the pipeline, or was killed a moment ago: standing by until its lease is over"
            );
            (meta, true)
        }
    };
    let empty = empty(config, &plan);
    let mut loading = Box::pin(storage.load(Arc::clone(&plan), empty.clone()));
    let loaded = claimed(&mut writer, &mut meta, async |_| Ok((&mut loading).await?)).await?;
    drop(loading);
    let Some(loaded) = loaded else { return Ok(None) };
    let loaded = loaded.unwrap_or_else(|| Loaded::nothing(empty()));
    let claimed = Claimed { plan, views: Some(views), writer, storage, meta, standing_by, outside };
    claimed.read_on(log, config, loaded, |_, _| {}).await
}

/// A pipeline that knows where Redis is, but does not read yet.
pub(super) struct Claimed<S, C> {
    pub(super) plan: Arc<Plan>,
    /// What is told of views already.
    pub(super) views: Option<Views>,
    pub(super) writer: Writer<S>,
    pub(super) storage: C,
    pub(super) meta: Meta,
    /// Another process has it.
    pub(super) standing_by: bool,
    pub(super) outside: Outside,
}

impl<S: Store, C: CheckpointStorage> Claimed<S, C> {
    /// Begins to read behind what is loaded. `amend` is told which partitions that are, and may change
    /// what counts as applied of them. `None` when the process is to end.
    pub(super) async fn read_on<L: Log>(
        self,
        log: &L,
        config: &Config,
        mut loaded: Loaded,
        amend: impl Fn(&[PartitionSpec], &mut Applied),
    ) -> Result<Option<Pipeline<L::Records, S, C>>, PipelineError> {
        let Claimed { plan, views, mut writer, storage, mut meta, standing_by, outside } = self;
        let Outside { metrics, readiness, wanted, plans } = outside;
        let empty = empty(config, &plan);
        loaded.end.retain(|partition, _| !loaded.applied.is_added(partition));
        let reading = claimed(&mut writer, &mut meta, async |meta| {
            let course = Course::find(&loaded.end, &meta.positions).unwrap_or_else(|| {
                warn!(
                    "the checkpoint has tables that redis is not told of; reading all from the \
                     topics"
                );
                loaded = Loaded::nothing(empty());
                Course { targets: meta.positions.clone(), leads: false }
            });
            let Course { targets, leads } = course;
            let former = Former { applied: loaded.applied.clone(), targets: targets.clone() };
            let (reader, specs) = log.read(former).await?;
            Ok((targets, leads, reader, specs))
        });
        let Some((targets, leads, reader, mut specs)) = reading.await? else { return Ok(None) };
        if specs.iter().any(|spec| spec.lost.is_some()) {
            warn!(
                "topics have lost records that were not read: all tables are read anew, and \
                 documents stay what they are until then"
            );
            distrust(&mut meta);
        }
        if leads {
            info!("redis is behind the checkpoint: every view is filled from there");
            distrust(&mut meta);
        }
        trust_former_run(&mut specs, &plan, &meta);
        metrics.loaded_rows.set(loaded.rows as i64);
        let (of_plan, counted) = (Arc::clone(&plan), Arc::clone(&metrics));
        amend(&specs, &mut loaded.applied);
        let engine = loaded.engine;
        let mut sequencer =
            Sequencer::new(Arc::clone(&plan), specs, &loaded.applied, bounds(config));
        if standing_by {
            sequencer.follow(&targets);
        }
        Ok(Some(Pipeline {
            look_at: standing_by.then(Instant::now),
            loaded: loaded.end,
            misfit: None,
            refused: None,
            wanted,
            plans,
            views: views.unwrap_or_else(|| Views::new(&plan, readiness.clone())),
            publisher: Publisher::new(
                engine,
                Arc::clone(&plan),
                &config.limits,
                Arc::clone(&metrics),
            ),
            sequencer,
            handles: Handles::new(&plan, &metrics),
            checkpoints: Checkpoints::new(config, storage, of_plan, counted, loaded.bytes),
            behind: Behind::default(),
            switches: Switches::new(readiness.clone()),
            readiness,
            traces: Traces::default(),
            claimed: meta,
            tell_all: true,
            plan,
            metrics,
            reader,
            writer,
        }))
    }
}

/// Makes an engine without rows.
fn empty(config: &Config, plan: &Arc<Plan>) -> impl Fn() -> Engine + Send + Clone + 'static {
    let plan = Arc::clone(plan);
    let fan_out_max = usize::try_from(config.limits.fan_out_max).unwrap_or(usize::MAX);
    move || Engine::with_fan_out_max(Arc::clone(&plan), fan_out_max)
}

/// What Redis holds of views is of other positions than the state: nothing of it is written on.
pub(super) fn distrust(meta: &mut Meta) {
    meta.backlog = None;
    meta.views.values_mut().for_each(Generations::freeze);
}

/// Does something while the pipeline is claimed; once more, under a new claim, if Redis goes back
/// meanwhile. `None` when the process is to end.
pub(super) async fn claimed<S: Store, T>(
    writer: &mut Writer<S>,
    meta: &mut Meta,
    mut work: impl AsyncFnMut(&Meta) -> Result<T, PipelineError>,
) -> Result<Option<T>, PipelineError> {
    loop {
        if let Some(done) = writer.keep_alive(work(meta)).await? {
            return Ok(Some(done));
        }
        if !writer.is_rewound() {
            writer.release().await;
            return Ok(None);
        }
        let Some(again) = writer.claim(meta.epoch).await? else { return Ok(None) };
        *meta = again;
    }
}

impl Course {
    /// The course from a checkpoint that ended at `end` (empty: there is none) when Redis has
    /// these positions. No partition goes back behind either, and no transaction is torn: both
    /// hold whole ones.
    ///
    /// `None` if Redis is further, but lacks partitions: a run without some of the tables came in
    /// between. What those had of its transactions must not count as applied.
    pub(super) fn find(end: &Positions, redis: &Positions) -> Option<Course> {
        let mut targets = redis.clone();
        let (mut leads, mut lacks, mut is_further) = (false, false, false);
        for (partition, end) in end {
            let target = targets.entry(partition.clone()).or_default();
            lacks |= !redis.contains_key(partition);
            is_further |= target.next_offset > end.next_offset;
            if target.next_offset < end.next_offset || !redis.contains_key(partition) {
                *target = *end;
                leads = true;
            }
        }
        (!(lacks && is_further)).then_some(Course { targets, leads })
    }
}

/// What the reader has to know, from the configuration.
pub(super) fn settings(config: &Config) -> Settings {
    let limits = &config.limits;
    let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    Settings {
        brokers: config.kafka.brokers.clone(),
        topic_prefix: config.kafka.topic_prefix.clone(),
        database: config.mysql.database.clone(),
        format: config.source.format,
        registry_url: config.registry.url.clone(),
        registry_timeout: REGISTRY_WAIT,
        schema_folder: config.state_path().join(&config.pipeline.name).join(SCHEMAS),
        pipeline: config.pipeline.name.clone(),
        command_topic: config.kafka.command_topic.clone(),
        dead_letter_topic: config.kafka.dead_letter_topic.clone(),
        unreadable_in_a_row_max: u32::try_from(limits.unreadable_in_a_row_max).unwrap_or(u32::MAX),
        record_bytes_max: size(limits.record_bytes_max),
        batch_records_max: size(limits.batch_records_max),
    }
}

fn bounds(config: &Config) -> Bounds {
    let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    Bounds {
        queue_bytes_max: size(config.limits.queue_bytes_max),
        transaction_bytes_max: size(config.limits.transaction_bytes_max),
        run_records_max: STEP_CHANGES,
    }
}

/// Whose the checkpoints are, from the configuration.
pub(super) fn origin(config: &Config) -> Origin {
    Origin {
        pipeline: config.pipeline.name.clone(),
        topic_prefix: config.kafka.topic_prefix.clone(),
        database: config.mysql.database.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Partition, Position};

    fn positions(offsets: &[(&str, i64)]) -> Positions {
        let position = |&(topic, next_offset): &(&str, i64)| {
            let partition = Partition { topic: topic.to_owned(), number: 0 };
            (partition, Position { next_offset, fingerprint: next_offset as u64 })
        };
        offsets.iter().map(position).collect()
    }

    #[test]
    fn no_partition_goes_back_behind_redis_or_the_checkpoint() {
        let end = [("a", 5), ("b", 3)];
        for (redis, targets, leads) in [
            (&[("a", 5), ("b", 3)][..], &[("a", 5), ("b", 3)][..], false),
            (&[("a", 9), ("b", 3), ("c", 1)], &[("a", 9), ("b", 3), ("c", 1)], false),
            (&[], &end, true),
            (&[("a", 4)], &end, true),
            (&[("a", 4), ("b", 8)], &[("a", 5), ("b", 8)], true),
        ] {
            let course = Course { targets: positions(targets), leads };
            assert_eq!(Course::find(&positions(&end), &positions(redis)), Some(course));
        }
        let redis = positions(&[("a", 2)]);
        let course = Course { targets: redis.clone(), leads: false };
        assert_eq!(Course::find(&Positions::new(), &redis), Some(course));
    }

    #[test]
    fn a_run_without_some_tables_in_between_makes_a_checkpoint_useless() {
        let end = positions(&[("a", 5), ("b", 3)]);
        assert_eq!(Course::find(&end, &positions(&[("a", 6)])), None);
    }
}
