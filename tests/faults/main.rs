//! The fault suite: real services, real faults, and two judges. `viewtide verify` asks MySQL about
//! every document afterwards; a witness reads during all of it and holds answers against each other.
//!
//! ```sh
//! cargo test --test faults -- --short                        # every change: some minutes
//! cargo test --test faults -- --full --report docs/faults.md # at least an hour
//! cargo test --test faults -- --scenario kill --seed 7       # one of them, again
//! ```
//!
//! It has a stack of its own under `.local/faults`, which it kills and starts at will. Each scenario
//! has a database, connector, Redis and viewtide of its own in it, and a proxy between any two parts
//! (`scene`). A seed decides what the load writes and when faults come; the machine does the rest,
//! so the same seed is the same attempt, not the same run.
//!
//! | fault | where |
//! |---|---|
//! | viewtide killed at random points | `kill` |
//! | a failpoint around each durable step | the simulation |
//! | SIGTERM in mid-batch | `terminate` |
//! | frozen while another takes over | `frozen` |
//! | two processors · a standby takes over | `two-processors`, `standby` |
//! | Redis killed · rewound · flushed · failed over · full | `redis-kill`, `redis-rewind`, `redis-flush`, `redis-failover`, `redis-full` |
//! | scripts flushed | `redis-scripts` |
//! | the Redis port answers something else | `redis-stranger` |
//! | broker killed | `kafka-kill` |
//! | topics trimmed before they were read, with and without state | `kafka-cut`, `tests/restarts.rs` |
//! | topic deleted, re-created | `tests/topics.rs` |
//! | Connect killed, also inside a wide transaction | `connect-kill`, `connect-kill-wide` |
//! | … before it has stored that its snapshot is done | `connect-kill-early` |
//! | connector task FAILED | `connector-failed` |
//! | what a connector cannot pass: record too large · history lost | `connector-too-large`, `connector-history-lost` |
//! | MySQL killed · binlog rotated | `mysql-kill`, `binlog-rotate` |
//! | binlog purged | `binlog-purged` |
//! | registry down · slow | `registry-kill`, `registry-network` |
//! | registry empty after a restart | `registry-empty` |
//! | new snapshot by command · TRUNCATE · ALTER TABLE | `resnapshot`, `truncate`, `alter`, `column-dropped` |
//! | DDL that changes or removes rows without row events | `ddl-rewrites`, `tests/rewrites.rs` |
//! | definitions changed, added and taken back by SIGHUP, with kills · with takeovers | `reload`, `reload-standby`, `tests/reloading.rs` |
//! | latency, cuts, half-open, lost replies, resets | `redis-network`, `kafka-network`, `registry-network`, `mysql-network`, `connect-network` |
//! | a registry that takes the connector's requests and never answers | open: its client waits for good, and the connector is said to run |
//! | disk full · file handles · clock | `disk-full`, `file-handles`, `clock` (MySQL's) |
//! | state folder deleted | `state-gone`; of another pipeline: `src/state/tests.rs`; topics too short: `kafka-cut` |
//! | one user with very many orders | `hot-customer` |
//! | read your writes, 10,000 times | `own-writes` |
//! | killed within a transaction that is applied in parts | `kill-in-parts` |
//! | bad input | events: `bad-events`, `tests/dead_letters.rs`; Avro and envelopes: `src/source`; types: `tests/schemas.rs`; HTTP: `tests/http_api.rs`, `tests/http_limits.rs`; configuration: `tests/command_line.rs`, `tests/refusals.rs`; order of arrival: `tests/scenarios` |
//!
//! A suite that finds nothing has to show that it would: the `sabotage-…` scenarios make by hand what
//! a wrong product would make, and pass only if the judges report it.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod connect;
mod connector;
mod ddl;
mod kafka;
mod limits;
mod load;
mod network;
mod outcome;
mod own_writes;
mod processor;
mod redis;
mod registry;
mod reload;
mod sabotage;
mod scenario;
mod scene;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod witness;

use std::any::Any;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Parser, ValueEnum as _};

use scenario::{Extent, Scenario};
use scene::Scene;
use services::Services;
use support::stack::Place;
use table::{HEAD, Line, Run, Table};

/// The services of this suite alone: they are killed.
const PLACE: Place = Place {
    variable: "VIEWTIDE_TEST_FAULTS_STACK_DIR",
    folder: ".local/faults",
    settings: &[
        ("MYSQL_PORT", "14306"),
        ("KAFKA_PORT", "14092"),
        ("KAFKA_CONTROLLER_PORT", "14093"),
        ("KAFKA_DETOUR", "14094:14095"),
        ("CONNECT_PORT", "14083"),
        ("REGISTRY_PORT", "14081"),
    ],
    services: &["mysql", "kafka", "registry", "connect"],
};

/// How long a full run lasts at least.
const FULL_RUN: Duration = Duration::from_secs(3600);

/// Faults under load against the real services.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    what: What,
    /// Decides what is written and when faults come; each scenario's own is printed
    #[arg(long)]
    seed: Option<u64>,
    /// Write the table to this file too
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Leave the services running
    #[arg(long)]
    keep: bool,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct What {
    /// Every scenario at length, and then from the first again, for at least an hour
    #[arg(long, conflicts_with = "short")]
    full: bool,
    /// The scenarios of every change
    #[arg(long)]
    short: bool,
    /// These alone, at the length of a short run unless --full is given
    #[arg(long, value_name = "NAME")]
    scenario: Vec<Scenario>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Scripts are waited for on worker threads, and proxies must go on meanwhile.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(6).enable_all().build();
    runtime.unwrap().block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let What { full, scenario, .. } = &arguments.what;
    let extent = if *full { Extent::Full } else { Extent::Short };
    let chosen: Vec<Scenario> = match &scenario[..] {
        [] => Scenario::value_variants().to_vec(),
        named => named.to_vec(),
    };
    let goes_on = *full && scenario.is_empty();
    let services = Arc::new(Services::start().await);
    let mut table = Table::default();
    println!("{HEAD}");
    let first = arguments.seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
    let left_out = |one: Scenario| extent == Extent::Short && scenario.is_empty() && one.is_long();
    let chosen: Vec<Scenario> = chosen.into_iter().filter(|one| !left_out(*one)).collect();
    // A pass that was shorter than a full run is followed by as much of another as it lacks.
    for (number, &one) in chosen.iter().cycle().enumerate() {
        let lacks = goes_on && begun.elapsed() < FULL_RUN;
        if number >= chosen.len() && !lacks {
            break;
        }
        table.add(attempt(&services, one, extent, first + number as u64).await);
    }
    let run = Run { extent, seed: first, took: begun.elapsed() };
    println!("\n{}", table.totals(&run));
    if let Some(file) = &arguments.report {
        let report = table.report(&run);
        let written =
            fs::create_dir_all(file.parent().unwrap()).and_then(|()| fs::write(file, report));
        written.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
    if !arguments.keep {
        Services::stop();
    }
    if table.is_all_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a scenario to its verdict, or to where it panicked.
async fn attempt(services: &Arc<Services>, scenario: Scenario, extent: Extent, seed: u64) -> Line {
    let services = Arc::clone(services);
    let attempt = tokio::spawn(async move {
        let mut scene = Scene::open(services, scenario, extent, seed).await;
        scenario.run(&mut scene).await;
        scene.close().await
    });
    match attempt.await {
        Ok(outcome) => Line::of(&outcome),
        Err(error) => Line::broken(scenario, seed, &message(&*error.into_panic())),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
