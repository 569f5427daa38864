//! What the pipeline tells of itself in metrics.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tracing::warn;

use super::{Pipeline, stale};
use crate::sink::Store;
use crate::source::Records;
use crate::source::transactions::Released;
use crate::sql::plan::{Plan, ViewId};
use crate::state::CheckpointStorage;
use crate::telemetry::Metrics;

/// Metrics looked up once.
pub(super) struct Handles {
    /// By table.
    pub(super) applied: Vec<Counter>,
    /// By view.
    freshness: Vec<Histogram>,
    /// By view.
    filling: Vec<Gauge>,
    /// By view.
    standing_still: Vec<Gauge>,
    /// By view.
    switched: Vec<Gauge>,
    /// By view.
    behind: Vec<Gauge<f64, AtomicU64>>,
}

impl Handles {
    pub(super) fn new(plan: &Plan, metrics: &Metrics) -> Handles {
        Handles {
            applied: plan.tables.iter().map(|table| metrics.applied(&table.name)).collect(),
            freshness: plan.views.iter().map(|view| metrics.freshness(&view.name)).collect(),
            filling: plan.views.iter().map(|view| metrics.filling(&view.name)).collect(),
            standing_still: plan.views.iter().map(|v| metrics.standing_still(&v.name)).collect(),
            switched: plan.views.iter().map(|view| metrics.switched(&view.name)).collect(),
            behind: plan.views.iter().map(|view| metrics.behind(&view.name)).collect(),
        }
    }
}

impl<R: Records, S: Store, C: CheckpointStorage> Pipeline<R, S, C> {
    /// A step that took effect, with documents of these views.
    pub(super) fn observe(&self, released: &Released, fresh: &[ViewId]) {
        let metrics = &self.metrics;
        metrics.transactions.inc_by(released.transactions);
        metrics.duplicates.inc_by(released.duplicates);
        metrics.holes.inc_by(released.holes);
        stale::observe(metrics, &self.sequencer, released);
        self.observe_state();
        if released.incomplete > 0 {
            warn!(transactions = released.incomplete, "applied without changes that were lost");
            metrics.partial_transactions.inc_by(released.incomplete);
        }
        if released.parts > 0 {
            let gtid = self.sequencer.waiting().map(|waiting| waiting.gtid.to_string());
            warn!(gtid, "a transaction is larger than transaction_bytes_max: applied in parts");
            metrics.transaction_parts.inc_by(released.parts);
        }
        let (held, _) = self.sequencer.held();
        if held == 0 {
            metrics.lag_seconds.set(0.0);
        }
        if released.committed_us == 0 {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = now.as_secs_f64() - released.committed_us as f64 / 1e6;
        metrics.lag_seconds.set(if held > 0 { age } else { 0.0 });
        for view in fresh.iter().filter(|view| !self.views.generations(**view).is_frozen()) {
            self.handles.freshness[usize::from(view.0)].observe(age.max(0.0));
        }
    }

    /// What is held, whether it can be published now or not.
    pub(super) fn observe_state(&self) {
        let metrics = &self.metrics;
        metrics.incomplete_transactions.set(i64::from(self.sequencer.waiting().is_some()));
        metrics.backlog.set(self.publisher.backlog.len() as i64);
        let (_, bytes) = self.sequencer.held();
        metrics.queue_bytes.set(bytes as i64);
        metrics.rows.set(self.rows() as i64);
        let handles = self.handles.filling.iter().zip(&self.handles.standing_still);
        for ((id, _), (filling, standing_still)) in self.plan.views_with_ids().zip(handles) {
            filling.set(i64::from(self.views.generations(id).next.is_some()));
            standing_still.set(i64::from(self.views.stands_still(id)));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let handles = self.handles.switched.iter().zip(&self.handles.behind);
        for (view, (switched, behind)) in self.plan.views.iter().zip(handles) {
            switched.set(i64::from(self.switches.is_switched(&view.name)));
            let certain = self.behind.committed_us(&view.name).map(Duration::from_micros);
            behind.set(certain.map_or(0.0, |at| now.saturating_sub(at).as_secs_f64()));
        }
    }

    /// Rows held in all tables.
    pub(super) fn rows(&self) -> usize {
        self.publisher.engine.all_rows()
    }
}
