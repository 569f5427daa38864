//! Checkpoints on the disk: what the pipeline's thread spends on one, how long its longest block
//! takes, the whole until it is on the disk, and loading it again.
//!
//! `cargo bench --bench state` takes 100k orders, `-- --orders N` as many as given. Times are wall
//! time but for the CPU time of the process, which counts the writing thread too.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "l1/workload.rs"]
#[allow(dead_code)]
mod workload;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use viewtide::change::{Partition, Position};
use viewtide::engine::Engine;
use viewtide::source::record::{PartitionSpec, Role};
use viewtide::source::transactions::{Applied, Bounds, Sequencer};
use viewtide::sql::plan::Plan;
use viewtide::sql::{Definitions, SourceFile, plan_views};
use viewtide::state::{CheckpointStorage, CheckpointWriter, Folder, Header, Origin, RowDump};
use workload::Workload;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let given = arguments.iter().position(|argument| argument == "--orders");
    let orders = given.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(100_000);
    let plan = plan();
    let mut engine = Engine::new(Arc::clone(&plan));
    Workload::new(&plan, orders).load().for_each(|change| engine.apply(change));
    let dir = std::env::temp_dir().join(format!("viewtide-state-{}", std::process::id()));
    let mut folder = Folder::open(&dir, origin()).unwrap();
    assert!(folder.lock().unwrap());

    let cpu = cpu_time();
    let header = Header::new(origin(), &plan, &sequencer(&plan));
    let mut writing = folder.begin(header);
    let mut dump = RowDump::new(&plan);
    let (mut blocks, mut longest) = (Duration::ZERO, Duration::ZERO);
    loop {
        writing.room().await;
        let since = Instant::now();
        let block = dump.next_block(&engine);
        let took = since.elapsed();
        (blocks, longest) = (blocks + took, longest.max(took));
        match block {
            Some(block) => writing.rows(block),
            None => break writing.end(dump.trailer(Default::default())),
        }
    }
    writing.over().await;
    let written = folder.finish(writing).await.unwrap();
    let (rows, cpu) = (dump.rows(), cpu_time() - cpu);
    let each = |time: Duration, count: u64| time.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{orders} orders, {rows} rows, {} bytes an order\n\
         written in {:.2} s, of which the pipeline's thread {:.3} s ({:.3} µs a row), longest block {:.2} ms\n\
         CPU {:.3} s: {:.2} µs a KiB",
        written.bytes / orders,
        written.took.as_secs_f64(),
        blocks.as_secs_f64(),
        each(blocks, rows),
        longest.as_secs_f64() * 1e3,
        cpu.as_secs_f64(),
        each(cpu, written.bytes / 1024),
    );
    drop(engine);
    let since = Instant::now();
    let of_plan = Arc::clone(&plan);
    let empty = move || Engine::new(Arc::clone(&of_plan));
    let loaded = folder.load(Arc::clone(&plan), empty).await.unwrap().unwrap();
    let took = since.elapsed();
    assert_eq!(loaded.rows, rows);
    println!("loaded in {:.2} s ({:.2} µs a row)", took.as_secs_f64(), each(took, rows));
    fs::remove_dir_all(dir).unwrap();
}

fn origin() -> Origin {
    Origin { pipeline: "p".into(), topic_prefix: "mysql".into(), database: "shop".into() }
}

fn sequencer(plan: &Arc<Plan>) -> Sequencer {
    let spec = |(number, role): (i32, Role)| PartitionSpec {
        partition: Partition { topic: "topic".into(), number },
        role,
        start: Position::default(),
        target: None,
        end_at_start: 0,
        lost: None,
    };
    let roles = plan.tables_with_ids().map(|(id, _)| Role::Table(id));
    let bounds = Bounds { queue_bytes_max: 1, transaction_bytes_max: 1, run_records_max: 1 };
    Sequencer::new(
        Arc::clone(plan),
        (0..).zip(roles).map(spec).collect(),
        &Applied::default(),
        bounds,
    )
}

fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}

/// The shipped view over the shipped schema.
fn plan() -> Arc<Plan> {
    let file = |path: &str| {
        let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sql").join(path);
        SourceFile { path: path.to_owned(), text: fs::read_to_string(place).unwrap() }
    };
    let definitions = Definitions {
        tables: vec![file("schema.sql")],
        streams: vec![file("streams/order_updates.sql")],
        views: vec![file("views/order_details_mv.sql")],
    };
    Arc::new(plan_views(&definitions).unwrap())
}
