//! When a checkpoint is written, and how fast.
//!
//! What it may cost is bounded by what it saves: records applied, and a little by time, pay for
//! the bytes that are written. So however large the tables and however busy the topics, writing
//! takes a small, constant share of what applying takes, and reading again what came since a
//! checkpoint never takes much longer than loading it. Within a checkpoint, steps come first: a
//! block of rows is put together after as many records, or while there is nothing else to do.
//!
//! One of another plan is begun at once, whatever it costs: the last may lack what that plan needs.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::config::Config;
use crate::engine::Engine;
use crate::source::transactions::Sequencer;
use crate::sql::plan::Plan;
use crate::state::{CheckpointStorage, CheckpointWriter, Header, Origin, Outcome, RowDump};
use crate::telemetry::Metrics;

/// Bytes of a checkpoint that applying one record pays for. Copying and writing them takes about
/// a microsecond, a record many.
const BYTES_PER_RECORD: u64 = 1 << 10;

/// Bytes of a checkpoint that a second pays for.
const BYTES_PER_SECOND: u64 = 1 << 20;

/// Records applied after which a step may be followed by a block of rows.
const RECORDS_PER_BLOCK: u64 = 128;

/// Writes checkpoints of one pipeline.
#[derive(Debug)]
pub(super) struct Checkpoints<C: CheckpointStorage> {
    plan: Arc<Plan>,
    origin: Origin,
    storage: C,
    metrics: Arc<Metrics>,
    records_between: u64,
    interval: Duration,
    /// Length of the last, in bytes.
    bytes: u64,
    /// Records applied since the last was begun.
    records: u64,
    /// When the last was begun.
    since: Instant,
    /// After a failure.
    not_before: Instant,
    /// The last is of another plan.
    hurries: bool,
    current: Option<Current<C::Writer>>,
}

/// A checkpoint that is being written.
#[derive(Debug)]
struct Current<W> {
    writing: W,
    dump: RowDump,
    /// All rows were copied.
    ended: bool,
    /// Records applied between the one before and the beginning of this.
    covers: u64,
    /// Records applied since the last block.
    records: u64,
}

impl<C: CheckpointStorage> Checkpoints<C> {
    /// Of a pipeline that has just started; `loaded` are the bytes of the checkpoint it took.
    pub(super) fn new(
        config: &Config,
        storage: C,
        plan: Arc<Plan>,
        metrics: Arc<Metrics>,
        loaded: u64,
    ) -> Checkpoints<C> {
        Checkpoints {
            plan,
            origin: super::start::origin(config),
            storage,
            metrics,
            records_between: config.state.checkpoint_records,
            interval: Duration::from_secs(config.state.checkpoint_interval_seconds),
            bytes: loaded,
            records: 0,
            since: Instant::now(),
            not_before: Instant::now(),
            hurries: false,
            current: None,
        }
    }

    /// The next is due now: the last is of another plan.
    pub(super) fn hurry(&mut self) {
        self.hurries = true;
    }

    /// Where they are written, and the bytes of the last; one that is being written is given up.
    pub(super) fn into_storage(self) -> (C, u64) {
        (self.storage, self.bytes)
    }

    /// Notes records as applied.
    pub(super) fn note(&mut self, records: u64) {
        self.records += records;
        if let Some(current) = &mut self.current {
            current.records += records;
        }
        self.metrics.uncovered_records.inc_by(records as i64);
    }

    /// Goes on after a step that is committed, as far as that is due.
    pub(super) async fn follow(&mut self, engine: &Engine, sequencer: &Sequencer) {
        let is_due = match &self.current {
            None => Instant::now() >= self.due_at(),
            Some(current) if current.ended => current.writing.is_over(),
            Some(current) => current.records >= RECORDS_PER_BLOCK,
        };
        if is_due {
            self.go_on(engine, sequencer).await;
        }
    }

    /// Completes when there is something to do while nothing else is.
    pub(super) async fn idle(&self) {
        match &self.current {
            None if self.records == 0 && !self.hurries => future::pending().await,
            None => sleep_until(self.due_at()).await,
            Some(current) if current.ended => current.writing.over().await,
            Some(current) => current.writing.room().await,
        }
    }

    /// Does the next bit: begins, copies a block, or notes what came of it. The state is as Redis
    /// has it.
    pub(super) async fn go_on(&mut self, engine: &Engine, sequencer: &Sequencer) {
        let Some(mut current) = self.current.take() else { return self.begin(sequencer) };
        if current.writing.is_over() {
            return self.finish(current).await;
        }
        if !current.ended && current.writing.has_room() {
            current.records = 0;
            match current.dump.next_block(engine) {
                Some(block) => current.writing.rows(block),
                None => {
                    current.writing.end(current.dump.trailer(sequencer.positions()));
                    current.ended = true;
                }
            }
        }
        self.current = Some(current);
    }

    /// When the next checkpoint is to begin, if nothing more is applied.
    fn due_at(&self) -> Instant {
        if self.hurries {
            return self.not_before;
        }
        if self.records == 0 {
            return Instant::now() + self.interval;
        }
        let paid = self.records.saturating_mul(BYTES_PER_RECORD);
        let unpaid = self.bytes.saturating_sub(paid);
        let pays = Duration::from_millis(unpaid.saturating_mul(1000) / BYTES_PER_SECOND);
        let comes =
            if self.records < self.records_between { self.interval } else { Duration::ZERO };
        self.not_before.max(self.since + comes.max(pays))
    }

    fn begin(&mut self, sequencer: &Sequencer) {
        match self.storage.lock() {
            Ok(true) => {}
            Ok(false) => return self.fail("another process writes to the state folder"),
            Err(error) => return self.fail(&error.to_string()),
        }
        self.since = Instant::now();
        let header = Header::new(self.origin.clone(), &self.plan, sequencer);
        self.current = Some(Current {
            writing: self.storage.begin(header),
            dump: RowDump::new(&self.plan),
            ended: false,
            covers: std::mem::take(&mut self.records),
            records: 0,
        });
    }

    async fn finish(&mut self, current: Current<C::Writer>) {
        let rows = current.dump.rows();
        match self.storage.finish(current.writing).await {
            Ok(Outcome { number, bytes, took }) => {
                info!(number, rows, bytes, seconds = took.as_secs_f64(), "wrote a checkpoint");
                self.bytes = bytes;
                self.hurries = false;
                self.metrics.uncovered_records.set(self.records as i64);
                self.metrics.checkpoints.inc();
                self.metrics.checkpoint_seconds.set(took.as_secs_f64());
                self.metrics.checkpoint_bytes.set(bytes as i64);
                self.metrics.checkpoint_rows.set(rows as i64);
            }
            Err(error) => {
                self.records += current.covers;
                self.fail(&error.to_string());
            }
        }
    }

    /// The one before serves until the next try.
    fn fail(&mut self, reason: &str) {
        warn!(place = self.storage.place(), reason, "no checkpoint could be written");
        self.metrics.checkpoint_failures.inc();
        self.not_before = Instant::now() + self.interval;
    }
}
