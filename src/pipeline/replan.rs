//! Another plan for a pipeline that runs.
//!
//! It is followed from a step on as a start follows what a former run left, but for the rows: they go
//! over from one engine to the other, and the claim is kept. So documents of views that stay as they
//! are go on from where they were, and others are filled beside those that are read. What was not
//! held of a table so far is read anew, and only its views wait for that. What the reader had read
//! ahead is read again. Readers of documents notice nothing.
//!
//! Absent: columns of event topics that were not held so far. They would have to be read from their
//! beginnings, with everything else standing still: that takes a start.

use std::future;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::info;

use super::start::{Claimed, claimed};
use super::{DEFINITIONS, Outside, Pipeline, PipelineError, Plans};
use crate::change::Partition;
use crate::config::Config;
use crate::engine::{Engine, Held, Replanned};
use crate::sink::Store;
use crate::source::record::{Lacks, PartitionSpec, Role};
use crate::source::transactions::Applied;
use crate::source::{Log, Records};
use crate::sql::plan::{Plan, Table, TableSource};
use crate::state::{CheckpointStorage, Loaded};

/// So many rows go over in a few milliseconds.
const ROWS_AT_ONCE: usize = 1 << 14;

/// Why a plan can be followed only by a start, if it cannot be by a pipeline that follows another.
pub fn needs_start(former: &Plan, plan: &Plan) -> Option<String> {
    let topic = |table: &Table| match &table.source {
        TableSource::Stream(stream) => Some(stream.topic.clone()),
        TableSource::Captured => None,
    };
    let is_held = |table: &Table, known: &Table| {
        known.name == table.name
            && known.source == table.source
            && table.columns.iter().all(|column| known.columns.contains(column))
            && key_names(table).eq(key_names(known))
    };
    plan.tables.iter().filter(|table| topic(table).is_some()).find_map(|table| {
        // What was read of a topic is not read again for another table.
        let is_known = |known: &&Table| known.name == table.name || topic(known) == topic(table);
        let mut known = former.tables.iter().filter(is_known).peekable();
        let is_new = known.peek().is_none();
        (!is_new && !known.any(|known| is_held(table, known))).then(|| {
            format!(
                "event topic `{}` is read otherwise than before, from its beginning: start anew",
                table.name
            )
        })
    })
}

fn key_names(table: &Table) -> impl Iterator<Item = &str> {
    table.key.iter().map(|&column| table.columns[column].name.as_str())
}

/// The plan that is wanted, if it is neither the one that is followed nor the one that was refused.
pub(super) fn other(
    plans: &Plans,
    followed: &Arc<Plan>,
    refused: Option<&Arc<Plan>>,
) -> Option<Arc<Plan>> {
    let wanted = plans.borrow();
    is_other(&wanted, followed, refused).then(|| Arc::clone(&wanted))
}

/// Completes when there is such a plan.
pub(super) async fn wait_for_other(
    plans: &mut Plans,
    followed: &Arc<Plan>,
    refused: Option<&Arc<Plan>>,
) {
    if plans.wait_for(|wanted| is_other(wanted, followed, refused)).await.is_err() {
        // Nobody is left who could have another one.
        future::pending::<()>().await;
    }
}

fn is_other(wanted: &Arc<Plan>, followed: &Arc<Plan>, refused: Option<&Arc<Plan>>) -> bool {
    !Arc::ptr_eq(wanted, followed) && !refused.is_some_and(|refused| Arc::ptr_eq(wanted, refused))
}

impl<R: Records, S: Store, C: CheckpointStorage> Pipeline<R, S, C> {
    /// The same pipeline with another plan, for which the log is read by now. `None` when the process
    /// is to end.
    pub(super) async fn replan<L: Log<Records = R>>(
        self,
        log: &L,
        config: &Config,
        plan: Arc<Plan>,
    ) -> Result<Option<Pipeline<R, S, C>>, PipelineError> {
        let Pipeline { plan: former, sequencer, publisher, checkpoints, mut writer, .. } = self;
        let mut switches = self.switches;
        switches.give_up();
        let Pipeline { metrics, readiness, wanted, plans, reader, .. } = self;
        info!("following changed definitions");
        drop(reader);
        let Some(mut meta) = writer.claim(self.claimed.epoch).await? else {
            writer.release().await;
            return Ok(None);
        };
        writer.replan(&plan);
        let (applied, end) = (sequencer.applied(), sequencer.positions());
        let (engine, of_plan) = (publisher.engine, Arc::clone(&plan));
        let mut replanning = Box::pin(replanned(engine, of_plan));
        readiness.clear(DEFINITIONS);
        let replanned = claimed(&mut writer, &mut meta, async |_| Ok((&mut replanning).await));
        let replanned = replanned.await?;
        drop(replanning);
        let Some(Replanned { engine, held }) = replanned else { return Ok(None) };
        for view in &former.views {
            if plan.views.iter().all(|other| other.name != view.name) {
                readiness.clear(&format!("view {}", view.name));
                metrics.forget_view(&view.name);
            }
        }
        let read: Vec<Partition> = sequencer.specs().map(|spec| spec.partition.clone()).collect();
        let rows = engine.all_rows() as u64;
        let (storage, bytes) = checkpoints.into_storage();
        let loaded = Loaded { engine, applied, end, rows, bytes };
        let outside = Outside { metrics, readiness, wanted, plans };
        let (of_plan, views, standing_by) = (Arc::clone(&plan), None, false);
        let again = Claimed { plan, views, writer, storage, meta, standing_by, outside };
        let amend = |specs: &[PartitionSpec], applied: &mut Applied| {
            want_anew(&of_plan, &held, specs, applied);
        };
        let mut pipeline = again.read_on(log, config, loaded, amend).await?;
        if let Some(pipeline) = &mut pipeline {
            pipeline.checkpoints.hurry();
            let is_read =
                |of: &&Partition| pipeline.sequencer.specs().any(|spec| spec.partition == **of);
            for Partition { topic, number } in read.iter().filter(|of| !is_read(of)) {
                pipeline.metrics.forget_partition(topic, *number);
            }
        }
        Ok(pipeline)
    }
}

/// The rows as another plan holds them, while the caller does other things.
async fn replanned(engine: Engine, plan: Arc<Plan>) -> Replanned {
    if engine.all_rows() <= ROWS_AT_ONCE {
        return engine.replan(plan);
    }
    match spawn_blocking(move || engine.replan(plan)).await {
        Ok(replanned) => replanned,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends.
            Err(_) => future::pending().await,
        },
    }
}

/// Has tables read anew of which not all is held.
fn want_anew(plan: &Plan, held: &[Held], specs: &[PartitionSpec], applied: &mut Applied) {
    for spec in specs {
        let Role::Table(id) = spec.role else { continue };
        let table = plan.table(id);
        let lacks = |columns: &[usize]| -> Lacks {
            let lack = |&column: &usize| {
                let column = table.columns[column].name.as_str();
                let why = format!("column `{column}` of table `{}` is read anew", table.name);
                (column.into(), why.into())
            };
            columns.iter().map(lack).collect()
        };
        match &held[usize::from(id.0)] {
            Held::Whole => {}
            Held::Without(columns) => applied.want_anew(&spec.partition, lacks(columns)),
            Held::Nothing => applied.want_anew(&spec.partition, Lacks::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Definitions, SourceFile, plan_views};

    fn plan(streams: &[&str], view: &str) -> Plan {
        let file = |path: &str, text: String| SourceFile { path: path.into(), text };
        let of = |stream: &&str| file(stream, format!("CREATE TABLE {stream};"));
        plan_views(&Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int, PRIMARY KEY (id));".to_owned())],
            streams: streams.iter().map(of).collect(),
            views: vec![file("v.sql", format!("CREATE VIEW v AS SELECT {view};"))],
        })
        .unwrap()
    }

    /// Events that were applied are not read again: of what is read of their topic all has to be held.
    #[test]
    fn events_are_read_from_their_beginning_by_a_start_alone() {
        const TOPIC: &str = "COMMENT 'topic=e; format=json'";
        let count = "id, (SELECT COUNT(*) FROM e WHERE e.t = t.id) AS n FROM t";
        let held = format!("e (t int NOT NULL, n int NOT NULL) {TOPIC}");
        let former = plan(&[&held], count);
        for (stream, view, is_held) in [
            ("e (t int NOT NULL, n int NOT NULL)", count, true),
            ("e (t int NOT NULL, n int NOT NULL, PRIMARY KEY (t))", count, false),
            ("e (t int, n int NOT NULL)", count, false),
            ("e (t int NOT NULL, n int NOT NULL)", &count.replace("COUNT(*)", "MAX(n)"), false),
            (
                "f (t int NOT NULL, n int NOT NULL)",
                &count.replace("FROM e WHERE e.t", "FROM f WHERE f.t"),
                false,
            ),
        ] {
            let reason = needs_start(&former, &plan(&[&format!("{stream} {TOPIC}")], view));
            assert_eq!(reason.is_none(), is_held, "{stream} {view}: {reason:?}");
        }
        let other = format!("f (t int) {}", TOPIC.replace("=e", "=other"));
        let added = format!("{count} WHERE EXISTS (SELECT 1 FROM f WHERE f.t = t.id)");
        assert_eq!(needs_start(&former, &plan(&[&held, &other], &added)), None);
        assert_eq!(needs_start(&former, &plan(&[&held, &other], "id FROM t")), None);
    }
}
