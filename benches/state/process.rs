//! A process of its own that runs the real pipeline between the generated log, a Redis and a state
//! folder, and tells on its output what it sees.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future;
use std::io::{self, BufRead as _};
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::sync::watch;
use viewtide::change::Positions;
use viewtide::config::Config;
use viewtide::engine::Engine;
use viewtide::pipeline::{Ends, run_between};
use viewtide::sink::Redis;
use viewtide::sql::plan::Plan;
use viewtide::state::{
    CheckpointStorage, CheckpointWriter, Folder, Header, Loaded, Origin, Outcome, StateError,
    Trailer, Writing,
};
use viewtide::telemetry::{Metrics, Readiness};

use super::log::Generator;
use super::{CYCLES, MARK, MARK_AT, STEADY_PER_ORDER, config, marked, plan};

/// Runs the pipeline from an empty Redis on: snapshot, fill, and steady changes until it is killed.
pub(crate) async fn first(dir: &Path, url: &str, orders: u64) {
    let plan = plan();
    let mut generator = Generator::new(&plan, orders);
    let mut records = generator.snapshot();
    let snapshot = records.len();
    records.append(&mut generator.steady(orders * STEADY_PER_ORDER));
    let meter = Rc::new(Meter::new());
    let log = generator.log(records, snapshot, &meter);
    run(log, dir, url, &plan, &meter).await;
}

/// Makes the same log, waits to be told how far Redis is (a line of JSON), and runs the pipeline
/// over what lies before that and one status for each marked order behind it.
pub(crate) async fn second(dir: &Path, url: &str, orders: u64) {
    let plan = plan();
    let mut generator = Generator::new(&plan, orders);
    drop(generator.snapshot());
    let mut records: VecDeque<_> = generator.steady(orders * STEADY_PER_ORDER);
    println!("ready");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).unwrap();
    let meter = Rc::new(Meter::new());
    let ends: Vec<_> = serde_json::from_str(&line).unwrap();
    generator.cut(&mut records, &Positions::from_iter(ends));
    records.extend(marked(orders).map(|order| generator.status(order, MARK, MARK_AT)));
    let log = generator.log(records, 0, &meter);
    run(log, dir, url, &plan, &meter).await;
}

async fn run(
    log: super::log::Generated,
    dir: &Path,
    url: &str,
    plan: &Arc<Plan>,
    meter: &Rc<Meter>,
) {
    let config: Config = config(dir, url);
    let dialer = viewtide::dial::Dialer::new(url).unwrap();
    let keyspace = viewtide::keyspace::Keyspace::new(&config.pipeline.name);
    let origin = Origin {
        pipeline: config.pipeline.name.clone(),
        topic_prefix: config.kafka.topic_prefix.clone(),
        database: config.mysql.database.clone(),
    };
    let storage = Metered { folder: Folder::open(dir, origin).unwrap(), meter: Rc::clone(meter) };
    let ends = Ends { log, store: Redis::new(dialer, &keyspace, plan), storage };
    let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
    let wanted = watch::Sender::default();
    let never = Box::pin(future::pending());
    let plans = watch::channel(Arc::clone(plan)).1;
    let running = run_between(ends, &config, plans, metrics, readiness, wanted, never);
    let running = Timed { future: pin!(running), meter: Rc::clone(meter) };
    panic!("the pipeline ended: {:?}", running.await);
}

/// What is measured inside of the process.
pub(crate) struct Meter {
    begun: Instant,
    /// Steady changes are being handed over.
    pub(crate) is_steady: Cell<bool>,
    /// Steady changes handed over.
    pub(crate) changes: Cell<u64>,
    /// Checkpoints told of.
    told: Cell<usize>,
    /// A checkpoint was worked on since the loop last gave way.
    is_at_checkpoint: Cell<bool>,
    /// The longest the loop did not give way since the last checkpoint ended: with work on a
    /// checkpoint, and without.
    longest: Cell<[Pause; 2]>,
    /// When the last rest and the present checkpoint began.
    rest: Cell<Option<Mark>>,
    checkpoint: Cell<Option<Mark>>,
}

/// CPU time of the process and steady changes so far.
#[derive(Clone, Copy)]
struct Mark {
    cpu: Duration,
    changes: u64,
}

/// The longest of some times for which the loop did not give way.
#[derive(Clone, Copy, Default)]
struct Pause {
    wall: Duration,
    cpu: Duration,
}

impl Meter {
    fn new() -> Meter {
        Meter {
            begun: Instant::now(),
            is_steady: Cell::new(false),
            changes: Cell::new(0),
            told: Cell::new(0),
            is_at_checkpoint: Cell::new(false),
            longest: Cell::default(),
            rest: Cell::default(),
            checkpoint: Cell::default(),
        }
    }

    /// The tables are loaded, and so many records follow.
    pub(crate) fn loaded(&self, records: usize) {
        println!("loaded {} {records}", self.begun.elapsed().as_secs_f64());
    }

    /// Whether a checkpoint is to be put off, so that it is seen what changes cost without.
    fn rests(&self) -> bool {
        let rests = self.is_steady.get() && self.told.get() < CYCLES && self.rest.get().is_none();
        if rests {
            self.rest.set(Some(self.mark()));
        }
        rests
    }

    /// Tells of a checkpoint what a change cost in µs of CPU, in the rest before it and during it.
    fn checkpoint_ends(&self, outcome: &Outcome) {
        let [without, with] = self.longest.take();
        let now = self.mark();
        let (rest, begun) = (self.rest.take(), self.checkpoint.take());
        let (Some(rest), Some(begun)) = (rest, begun) else { return };
        let each = |from: Mark, to: Mark| {
            (to.cpu - from.cpu).as_secs_f64() * 1e6 / (to.changes - from.changes) as f64
        };
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "checkpoint {} {} {} {} {} {} {} {} {}",
            now.changes - begun.changes,
            each(rest, begun),
            each(begun, now),
            outcome.bytes,
            outcome.took.as_secs_f64(),
            millis(with.wall),
            millis(with.cpu),
            millis(without.wall),
            millis(without.cpu),
        );
        self.told.set(self.told.get() + 1);
    }

    fn mark(&self) -> Mark {
        Mark { cpu: cpu_time(UsageWho::RUSAGE_SELF), changes: self.changes.get() }
    }
}

/// Measures how long a future does not give way.
struct Timed<'f, F> {
    future: Pin<&'f mut F>,
    meter: Rc<Meter>,
}

impl<F: Future> Future for Timed<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (since, cpu) = (Instant::now(), cpu_time(UsageWho::RUSAGE_THREAD));
        let polled = self.future.as_mut().poll(cx);
        let cpu = cpu_time(UsageWho::RUSAGE_THREAD) - cpu;
        let mut longest = self.meter.longest.get();
        let pause = &mut longest[usize::from(self.meter.is_at_checkpoint.take())];
        *pause = Pause { wall: pause.wall.max(since.elapsed()), cpu: pause.cpu.max(cpu) };
        self.meter.longest.set(longest);
        polled
    }
}

/// The real folder, and when it is used.
struct Metered {
    folder: Folder,
    meter: Rc<Meter>,
}

struct MeteredWriting {
    writing: Writing,
    meter: Rc<Meter>,
}

impl CheckpointStorage for Metered {
    type Writer = MeteredWriting;

    async fn load(
        &mut self,
        plan: Arc<Plan>,
        empty: impl Fn() -> Engine + Send + 'static,
    ) -> Result<Option<Loaded>, StateError> {
        self.folder.load(plan, empty).await
    }

    fn lock(&mut self) -> io::Result<bool> {
        if self.meter.rests() { Ok(false) } else { self.folder.lock() }
    }

    fn begin(&mut self, header: Header) -> MeteredWriting {
        self.meter.is_at_checkpoint.set(true);
        self.meter.checkpoint.set(Some(self.meter.mark()));
        MeteredWriting { writing: self.folder.begin(header), meter: Rc::clone(&self.meter) }
    }

    async fn finish(&mut self, writing: MeteredWriting) -> io::Result<Outcome> {
        self.meter.is_at_checkpoint.set(true);
        let outcome = self.folder.finish(writing.writing).await?;
        self.meter.is_at_checkpoint.set(true);
        self.meter.checkpoint_ends(&outcome);
        Ok(outcome)
    }

    fn place(&self) -> String {
        self.folder.place()
    }
}

impl CheckpointWriter for MeteredWriting {
    fn has_room(&self) -> bool {
        self.writing.has_room()
    }

    async fn room(&self) {
        self.writing.room().await;
    }

    fn rows(&mut self, block: Vec<u8>) {
        self.meter.is_at_checkpoint.set(true);
        self.writing.rows(block);
    }

    fn end(&mut self, trailer: Trailer) {
        self.meter.is_at_checkpoint.set(true);
        self.writing.end(trailer);
    }

    fn is_over(&self) -> bool {
        self.writing.is_over()
    }

    async fn over(&self) {
        self.writing.over().await;
    }
}

fn cpu_time(of: UsageWho) -> Duration {
    let usage = getrusage(of).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}
