//! Compares all documents with MySQL over and over, beside a running pipeline.
//!
//! Views take turns, some keys of each at a time, each lap in the order of the keys; behind the last
//! it begins anew. What it costs MySQL is bounded by a share of the time and a number of rows a
//! second, and no snapshot is left open while it rests. What is found is counted and logged, without
//! keys: `viewtide verify --view NAME` lists and mends it. How far it has come is not kept: a start
//! begins with the first key.
//!
//! A process that stands by waits. Views over more events than may be held in memory are left out,
//! and said so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, interval, sleep};
use tracing::{info, warn};

use super::pace::Pace;
use super::{CHUNK_KEYS, Counts, Options, Topics, Verifier, VerifyError};
use crate::config::Config;
use crate::sql::plan::{Plan, TableSource, View, ViewId};
use crate::telemetry::Metrics;
use crate::value::Key;

/// How long to wait after trouble, and while nothing can be compared.
const AGAIN: Duration = Duration::from_secs(30);
/// How often the ages are told.
const TICK: Duration = Duration::from_secs(1);

/// How far the comparison of one view has come.
struct Lap {
    view: ViewId,
    began: Instant,
    /// Not before this.
    again_at: Instant,
    /// The key passed last.
    after: Option<Key>,
    /// What was found in this lap so far.
    counts: Counts,
    /// What the last lap found.
    last: Counts,
    told: Told,
}

/// The metrics of one view.
struct Told {
    documents: Counter,
    /// By kind of difference: missing, extra, different, undecided.
    differences: [Gauge; 4],
    age: Gauge<f64, std::sync::atomic::AtomicU64>,
}

/// Compares for as long as the process runs, if the configuration asks for it.
pub async fn watch(config: Arc<Config>, plan: Arc<Plan>, metrics: Arc<Metrics>) {
    if !config.verify.background {
        return;
    }
    let new = |(view, of): (ViewId, &View)| Lap::new(view, Told::new(&metrics, &of.name));
    let mut laps: Vec<Lap> = plan.views_with_ids().map(new).collect();
    let ages: Vec<_> = laps.iter().map(|lap| lap.told.age.clone()).collect();
    let growing = async move {
        let mut ticks = interval(TICK);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            for age in &ages {
                age.inc_by(TICK.as_secs_f64());
            }
        }
    };
    let comparing = async {
        loop {
            if metrics.standing_by.get() == 0
                && let Err(error) = compare(&config, &plan, &metrics, &mut laps).await
            {
                warn!(%error, "documents cannot be compared with mysql now; trying again");
            }
            sleep(AGAIN).await;
        }
    };
    tokio::join!(growing, comparing);
}

/// Compares until something stands in the way, or another process runs the pipeline.
async fn compare(
    config: &Config,
    plan: &Arc<Plan>,
    metrics: &Metrics,
    laps: &mut [Lap],
) -> Result<(), VerifyError> {
    let settings = &config.verify;
    let chunk = usize::try_from(settings.rows_per_second_max).unwrap_or(CHUNK_KEYS);
    let chunk = chunk.clamp(1, CHUNK_KEYS);
    let (views, left_out) = views_within(config, plan).await?;
    for view in &left_out {
        let name = &plan.view(*view).name;
        warn!(
            view = name,
            "reads more events than verify.events_max: not compared beside the pipeline"
        );
    }
    let of_plan: Vec<&View> = views.iter().map(|view| plan.view(*view)).collect();
    let pace = Pace::new(settings.load_percent_max, settings.rows_per_second_max);
    let options = Options::default();
    let mut verifier = Verifier::connect(config, plan, &options, &of_plan, pace).await?;
    info!(views = of_plan.len(), "comparing documents with mysql");
    while metrics.standing_by.get() == 0 {
        let mut any = false;
        let now = Instant::now();
        let due = |lap: &&mut Lap| views.contains(&lap.view) && lap.again_at <= now;
        for lap in laps.iter_mut().filter(due) {
            let view = plan.view(lap.view);
            match lap.go_on(&mut verifier, view, chunk).await {
                // Whoever else may have run the pipeline meanwhile is asked for anew.
                Err(error @ VerifyError::NotPassed { .. }) => return Err(error),
                Err(error) if error.is_of_one_view() => {
                    let view = &view.name;
                    warn!(view, %error, "a view cannot be compared with mysql now; trying again");
                    lap.again_at = Instant::now() + AGAIN;
                    verifier.truth.end().await?;
                }
                went_on => any |= went_on?,
            }
        }
        if !any {
            sleep(AGAIN).await;
        }
    }
    Ok(())
}

/// The views whose event topics are within the bound, and those whose are not.
async fn views_within(
    config: &Config,
    plan: &Arc<Plan>,
) -> Result<(BTreeSet<ViewId>, Vec<ViewId>), VerifyError> {
    let (mut within, mut beyond) = (BTreeSet::new(), Vec::new());
    for (id, view) in plan.views_with_ids() {
        let is_captured = |at| plan.table(at).source == TableSource::Captured;
        let events = match view.nodes.iter().all(|node| is_captured(node.table)) {
            true => 0,
            false => {
                let topics = Topics::connect(config, plan, &[view])?;
                let asked = tokio::task::spawn_blocking(move || topics.events_there()).await;
                asked.map_err(|error| VerifyError::Kafka { reason: error.to_string() })??
            }
        };
        if events <= config.verify.events_max {
            within.insert(id);
        } else {
            beyond.push(id);
        }
    }
    Ok((within, beyond))
}

impl Lap {
    fn new(view: ViewId, told: Told) -> Lap {
        let now = Instant::now();
        Lap {
            view,
            began: now,
            again_at: now,
            after: None,
            counts: Counts::default(),
            last: Counts::default(),
            told,
        }
    }

    /// Compares the next keys; false if the view is not complete now.
    async fn go_on(
        &mut self,
        verifier: &mut Verifier<'_>,
        view: &View,
        chunk: usize,
    ) -> Result<bool, VerifyError> {
        let held = verifier.held(view).await?;
        if !verifier.choose(view, &held)? {
            return Ok(false);
        }
        let mut counts = Counts::default();
        let keys = verifier.next_keys(view, self.after.as_ref(), chunk).await?;
        if let Some(keys) = &keys {
            let candidates = verifier.compare(view, keys, &mut counts).await?;
            let settled = verifier.settle(view, candidates).await?;
            counts.documents += settled.documents;
            counts.undecided += settled.undecided.len() as u64;
            settled.differ.iter().for_each(|(_, difference)| counts.add(difference, false));
        } else {
            verifier.truth.end().await?;
        }
        // Documents of a generation that was replaced meanwhile say nothing.
        if verifier.documents.is_current(&view.name).await? {
            self.note(view, counts, keys.and_then(|keys| keys.last().cloned()));
        }
        Ok(true)
    }

    /// Notes what came of the keys up to `until`; `None` ends the lap.
    fn note(&mut self, view: &View, counts: Counts, until: Option<Key>) {
        self.told.documents.inc_by(counts.documents);
        if counts.left() > 0 {
            let Counts { missing, extra, different, .. } = counts;
            warn!(
                view = view.name,
                missing,
                extra,
                different,
                "documents are not what mysql answers: `viewtide verify --view` lists them"
            );
        }
        self.counts = self.counts.plus(counts);
        self.after = until;
        if self.after.is_none() {
            let now = Instant::now();
            self.told.age.set((now - self.began).as_secs_f64());
            self.last = std::mem::take(&mut self.counts);
            self.began = now;
        }
        self.told.differences(self.last, self.counts);
    }
}

impl Told {
    fn new(metrics: &Metrics, view: &str) -> Told {
        Told {
            documents: metrics.verify_documents(view),
            differences: metrics.verify_differences(view),
            age: metrics.verify_age(view),
        }
    }

    /// What the last lap found; more, if this one has found more already.
    fn differences(&self, last: Counts, now: Counts) {
        let kinds = |of: Counts| [of.missing, of.extra, of.different, of.undecided];
        for ((gauge, last), now) in self.differences.iter().zip(kinds(last)).zip(kinds(now)) {
            gauge.set(i64::try_from(last.max(now)).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Definitions, SourceFile, plan_views};
    use crate::value::Value;

    #[tokio::test(start_paused = true)]
    async fn a_difference_is_told_until_a_lap_does_not_find_it() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
        })
        .unwrap();
        let metrics = Metrics::new();
        let mut lap = Lap::new(ViewId(0), Told::new(&metrics, "v"));
        let key = || {
            let mut key = Key::new();
            key.push(&Value::Int(1));
            Some(key)
        };
        let found = |missing| Counts { documents: 3, missing, ..Counts::default() };
        let shows = |line: &str| {
            let text = metrics.encode();
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        };
        for (counts, until, missing) in [
            (found(2), key(), 2),
            (found(0), None, 2),
            (found(0), key(), 2),
            (found(1), None, 1),
            (found(0), None, 0),
        ] {
            tokio::time::advance(Duration::from_secs(2)).await;
            lap.note(&plan.views[0], counts, until);
            shows(&format!("viewtide_verify_differences{{view=\"v\",kind=\"missing\"}} {missing}"));
        }
        shows("viewtide_verify_documents_total{view=\"v\"} 15");
        shows("viewtide_verify_age_seconds{view=\"v\"} 2.0");
    }
}
