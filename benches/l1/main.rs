//! The engine alone, in one process: load, steady changes with assembly, memory.
//!
//! `cargo bench --bench l1` runs 100k and 1M orders, `cargo bench --bench l1 -- --short` 100k
//! only, `--orders N` as many as given (for callgrind: N against 2N). Times are CPU time of the process (getrusage), without the making of the changes; memory
//! is what the process's resident set grew by while loading.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod workload;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use viewtide::change::Change;
use viewtide::engine::{Engine, READ_AHEAD};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::sql::{Definitions, SourceFile, plan_views};
use viewtide::value::Key;
use workload::{Keys, Workload};

/// Changes between two takings of what was touched.
const BATCH: usize = 256;
/// Changes made ahead of the clock.
const AHEAD: usize = 64 * BATCH;
const VIEW: ViewId = ViewId(0);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let given = arguments.iter().position(|argument| argument == "--orders");
    let sizes = match given.and_then(|at| arguments.get(at + 1)?.parse().ok()) {
        Some(orders) => vec![orders],
        None if arguments.iter().any(|argument| argument == "--short") => vec![100_000],
        None => vec![100_000, 1_000_000],
    };
    println!(
        "     orders  load µs/ev  fill µs/doc  bytes/order  uniform µs/ev  zipf µs/ev  longest ms"
    );
    let mut steady = Vec::new();
    for orders in sizes {
        steady.push(run(orders));
    }
    if let [small, large] = steady.as_slice() {
        println!(
            "growth 100k to 1M: {:.2} times the CPU an event (exponent {:.2})",
            large / small,
            (large / small).log10()
        );
    }
}

/// Measures one size; steady CPU in µs an event, keys uniform.
fn run(orders: u64) -> f64 {
    let plan = plan();
    let mut workload = Workload::new(&plan, orders);
    let before = resident_bytes();
    let mut engine = Engine::new(Arc::clone(&plan));
    let mut loading = Clock::default();
    let mut ahead: Vec<Change> = Vec::with_capacity(AHEAD);
    let mut changes = workload.load();
    loop {
        ahead.extend(changes.by_ref().take(AHEAD));
        if ahead.is_empty() {
            break;
        }
        loading.measure(ahead.len(), || engine.apply_all(std::mem::take(&mut ahead)));
    }
    drop(changes);
    engine.set_live(VIEW, true);
    let filling = fill(&mut engine);
    let bytes = (resident_bytes() - before) as f64 / orders as f64;
    let events = orders as usize;
    let (uniform, _) = steady(&mut engine, &mut workload, Keys::Uniform, events);
    let (zipf, longest) = steady(&mut engine, &mut workload, Keys::Zipf, events);
    println!(
        "{orders:>11}  {:>10.2}  {:>11.2}  {bytes:>11.0}  {:>13.2}  {:>10.2}  {:>10.2}",
        loading.micros_each(),
        filling.micros_each(),
        uniform.micros_each(),
        zipf.micros_each(),
        longest.as_secs_f64() * 1e3,
    );
    hot_user(&mut engine, &mut workload, orders as i64 / 10);
    uniform.micros_each()
}

/// One user owns many orders and changes: the change itself, then its documents in chunks.
fn hot_user(engine: &mut Engine, workload: &mut Workload, orders: i64) {
    for order in 1..=orders {
        engine.apply(workload.hand_over(order, 1));
    }
    engine.take_touched();
    let mut changing = Clock::default();
    let mut left = None;
    changing.measure(1, || {
        engine.apply(workload.change_user(1));
        left = engine.take_touched().fanouts.pop();
    });
    let (mut chunks, mut longest) = (Clock::default(), Duration::ZERO);
    while let Some(fanout) = left.take() {
        let mut keys = Vec::new();
        let took = chunks.measure(0, || {
            (keys, left) = engine.fanout_documents(&fanout, BATCH);
            keys.iter().for_each(|key| drop(black_box(engine.assemble(VIEW, key))));
        });
        chunks.events += keys.len();
        longest = longest.max(took);
    }
    println!(
        "             a user of {} orders changes: {:.2} ms, then chunks of {:.2} ms at most, {:.2} µs a document",
        chunks.events,
        changing.spent.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3,
        chunks.micros_each(),
    );
}

/// Assembles every document once, as the first fill does.
fn fill(engine: &mut Engine) -> Clock {
    let mut clock = Clock::default();
    let mut last: Option<Key> = None;
    loop {
        let mut keys = Vec::new();
        clock.measure(0, || {
            keys = engine.keys_after(VIEW, last.as_ref(), BATCH);
            keys.iter().for_each(|key| drop(black_box(engine.assemble(VIEW, key))));
        });
        clock.events += keys.len();
        match keys.pop() {
            Some(key) => last = Some(key),
            None => return clock,
        }
    }
}

/// Steady changes in batches, every touched document assembled; the clock and the longest batch.
fn steady(
    engine: &mut Engine,
    workload: &mut Workload,
    keys: Keys,
    events: usize,
) -> (Clock, Duration) {
    workload.choose(keys);
    let mut clock = Clock::default();
    let mut longest = Duration::ZERO;
    for _ in 0..events.div_ceil(AHEAD) {
        let mut ahead: Vec<Vec<Change>> = Vec::new();
        for _ in 0..AHEAD / BATCH {
            ahead.push((0..BATCH).map(|_| workload.next()).collect());
        }
        for batch in ahead {
            let took = clock.measure(batch.len(), || {
                engine.apply_all(batch);
                let touched = engine.take_touched();
                for documents in touched.documents.chunks(READ_AHEAD) {
                    engine.read_ahead(documents.iter().map(|(view, key)| (*view, key)));
                    for (view, key) in documents {
                        drop(black_box(engine.assemble(*view, key)));
                    }
                }
            });
            longest = longest.max(took);
        }
    }
    (clock, longest)
}

/// CPU time over a number of events.
#[derive(Default)]
struct Clock {
    spent: Duration,
    events: usize,
}

impl Clock {
    fn measure(&mut self, events: usize, work: impl FnOnce()) -> Duration {
        let before = cpu_time();
        work();
        let took = cpu_time() - before;
        self.spent += took;
        self.events += events;
        took
    }

    fn micros_each(&self) -> f64 {
        self.spent.as_secs_f64() * 1e6 / self.events as f64
    }
}

fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The shipped view over the shipped schema.
fn plan() -> Arc<Plan> {
    let file = |path: &str| {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/").to_owned() + path);
        SourceFile { path: path.to_owned(), text: text.unwrap() }
    };
    let definitions = Definitions {
        tables: vec![file("schema.sql")],
        streams: vec![file("streams/order_updates.sql")],
        views: vec![file("views/order_details_mv.sql")],
    };
    Arc::new(plan_views(&definitions).unwrap())
}
