//! MySQL is the judge: random tables, random SELECTs of what `docs/sql.md` says, random changes. The
//! same statements go into the real MySQL and, as the rows that MySQL then holds, into the real
//! engine by the real planner; after each step every document has to be what MySQL answers.
//!
//! ```sh
//! cargo test --test judge                                  # the short run, and the mutants
//! cargo test --test judge -- --views 10000                 # a long one
//! cargo test --test judge -- --seed 42 --views 1           # one case, again
//! cargo test --test judge -- --mutants                     # mistakes made in plans and changes
//! cargo test --test judge -- --patches                     # mistakes made in the source
//! ```
//!
//! A case is its seed. One that fails is made smaller and printed as a file for `tests/scenarios`,
//! where every mended difference stays.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod aggregates;
mod case;
mod changes;
mod expressions;
mod forms;
mod groups;
mod maintained;
mod mutants;
mod patches;
mod run;
mod scenario;
mod schema;
mod select;
mod shrink;
mod stack;
mod subqueries;
mod summary;
#[path = "../support/mod.rs"]
mod support;
mod tree;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;

use case::Case;
use mutants::Mutant;
use run::{Failure, Tally};
use summary::Summary;
use support::mysql::Server;
use support::stack::Place;

/// The services are those of the other tests.
const PLACE: Place = Place {
    variable: "VIEWTIDE_TEST_STACK_DIR",
    folder: ".local/test",
    settings: &[
        ("MYSQL_PORT", "13306"),
        ("KAFKA_PORT", "19092"),
        ("KAFKA_CONTROLLER_PORT", "19093"),
        ("CONNECT_PORT", "18083"),
        ("REGISTRY_PORT", "18081"),
        ("REDIS_PORT", "16379"),
    ],
    services: &[],
};

/// Views of one case: they share its tables and changes.
const VIEWS: usize = 6;
/// Statements of one case.
const STATEMENTS: usize = 840;
/// Of so many cases one goes through the whole stack, too.
const STACK_EVERY: usize = 20;
/// Connections to MySQL, each with cases of its own: most of their time is waiting.
const WORKERS: usize = 4;

/// MySQL judges random views over random changes.
#[derive(Parser)]
struct Arguments {
    /// Views to try, at least
    #[arg(long, default_value_t = 300)]
    views: usize,
    /// The first case's seed; the next has the next
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Statements of a case: with fewer the same time is enough for more views
    #[arg(long, default_value_t = STATEMENTS)]
    statements: usize,
    /// Only show that mistakes are caught: each in a plan or in the stream of changes
    #[arg(long)]
    mutants: bool,
    /// Only show that mistakes are caught that are made in the product's source
    #[arg(long)]
    patches: bool,
    /// End at the first difference, as it is
    #[arg(long)]
    first: bool,
    /// Leave out the cases through the whole stack, every twentieth
    #[arg(long)]
    without_stack: bool,
    /// Show a SELECT for each kind of refusal
    #[arg(long)]
    refusals: bool,
    /// Print the tables and SELECTs of the cases, and run nothing
    #[arg(long)]
    show: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let begun = Instant::now();
    let cases = arguments.views.div_ceil(VIEWS) as u64;
    if arguments.show {
        show(arguments.seed, cases);
        return ExitCode::SUCCESS;
    }
    if arguments.patches {
        return if patches::hunt(arguments.seed) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut right = true;
    if !arguments.mutants {
        let mut summary = judge(&arguments, cases);
        if !arguments.without_stack {
            through_the_stack(arguments.seed, cases, &mut summary);
        }
        print!("{}", summary.text(begun.elapsed(), arguments.refusals));
        right &= summary.is_right();
    }
    if arguments.mutants || (arguments.views == 300 && !arguments.first) {
        right &= hunt(arguments.seed);
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(first: u64, cases: u64) {
    for seed in first..first + cases {
        let (case, _) = case::case(seed, VIEWS, STATEMENTS);
        case.tables.iter().for_each(|table| println!("{table};"));
        case.views
            .iter()
            .for_each(|view| println!("CREATE VIEW {} AS {};", view.name, view.select));
    }
}

/// Runs cases from a seed on, to the last or to the first that fails.
fn judge(arguments: &Arguments, cases: u64) -> Summary {
    let &Arguments { seed: first, statements, first: ends_at_first, .. } = arguments;
    let next = AtomicU64::new(first);
    let summary = Mutex::new(Summary::default());
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, summary) = (&next, &summary);
            let work = async move |server: &mut Server| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = ends_at_first && summary.lock().unwrap().has_failures();
                    if seed >= first + cases || is_over {
                        return;
                    }
                    let (case, refusals) = case::case(seed, VIEWS, statements);
                    let found = attempt(&case, server, !ends_at_first).await;
                    summary.lock().unwrap().add(case.views.len(), refusals, found);
                }
            };
            scope.spawn(move || with_server(worker, work));
        }
    });
    summary.into_inner().unwrap()
}

/// Runs every twentieth case once more, from MySQL to Redis.
fn through_the_stack(first: u64, cases: u64, summary: &mut Summary) {
    for seed in (first..first + cases).skip(STACK_EVERY - 1).step_by(STACK_EVERY) {
        let (case, _) = case::case(seed, VIEWS, STATEMENTS);
        let outcome = stack::run(&case);
        if let Err(report) = &outcome {
            println!("{report}");
        }
        summary.add_stack(outcome);
    }
}

/// Runs one case; one that fails is made smaller, if wanted, and printed.
async fn attempt(case: &Case, server: &mut Server, shrinks: bool) -> Result<Tally, Failure> {
    let seed = case.seed;
    let outcome = run::run(case, server, None, &mut Vec::new()).await;
    let report = match &outcome {
        Ok(_) => None,
        Err(failure) if !shrinks => Some(format!("seed {seed}: {}", failure.text)),
        Err(failure) => {
            let (small, failure, changes) =
                shrink::shrunk(case, failure.clone(), None, server).await;
            let text = scenario::scenario(&small, &failure, &changes);
            Some(format!("seed {seed}: {}\n{:?}\n{text}", failure.text, small.way))
        }
    };
    if let Some(report) = &report {
        println!("{report}");
    }
    outcome
}

/// Makes one mistake after the other until each is caught; whether all were.
fn hunt(seed: u64) -> bool {
    let mut all = true;
    println!("\n| mistake | caught |\n|---|---|");
    with_server(0, async |server: &mut Server| {
        for (mutant, what) in mutants::ALL {
            let caught = caught(*mutant, seed, server).await;
            let outcome = match caught {
                Some(views) => format!("within {views} views"),
                None => format!("NOT within {} views", mutants::VIEWS_MAX),
            };
            println!("| {} | {outcome} |", what.trim());
            all &= caught.is_some();
        }
    });
    all
}

/// Views tried until a mistake was seen.
async fn caught(mutant: Mutant, seed: u64, server: &mut Server) -> Option<usize> {
    let mut views = 0;
    for seed in seed.. {
        let (case, _) = case::case(seed, VIEWS, STATEMENTS);
        views += case.views.len();
        if run::run(&case, server, Some(mutant), &mut Vec::new()).await.is_err() {
            return Some(views);
        }
        if views >= mutants::VIEWS_MAX {
            break;
        }
    }
    None
}

/// Does something with a connection and a database of its own.
fn with_server(worker: usize, work: impl AsyncFnOnce(&mut Server)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut server = Server::start(&format!("viewtide_judge_{worker}")).await;
        // What is lost with MySQL is lost with the case.
        server.run("SET sql_log_bin = 0").await;
        work(&mut server).await;
    });
}
