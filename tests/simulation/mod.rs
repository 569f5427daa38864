//! The pipeline's delivery protocol under everything that can befall it, from a seed.
//!
//! The real pipeline runs between a simulated log, server and disk ([`world`]). A schedule lets
//! records arrive in any order between partitions, twice where the connector died; processes
//! crash, freeze and wake up when another has long taken over; requests and replies get lost, the
//! server goes back, forgets or is full; disks are lost, old or damaged. Readers look after every
//! change ([`check`]), and in the end everything must come to rest with the right documents.
//!
//! `cargo test --test tests simulation` runs 100,000 schedules. More, or certain ones:
//!
//! ```text
//! SIMULATION_SCHEDULES=10000000 SIMULATION_SEED=1 cargo test --release --test tests simulation::schedules -- --nocapture
//! ```

mod bank;
mod check;
mod disk;
mod history;
mod likeness;
mod log;
mod random;
mod schedule;
mod server;
mod shrink;
mod store;
mod world;

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use schedule::{Case, Sabotage};

/// Schedules when nothing else is said.
const SCHEDULES: u64 = 100_000;

/// The first seed when nothing else is said.
const SEED: u64 = 1;

/// Schedules within which a sabotaged pipeline must be found out.
const CAUGHT_WITHIN: u64 = 3000;

#[test]
fn schedules_end_in_the_documents_of_their_log() {
    let (first, count) = (given("SIMULATION_SEED", SEED), given("SIMULATION_SCHEDULES", SCHEDULES));
    let since = Instant::now();
    if let Some(case) = first_failure(first, count, None) {
        panic!("{}", shrink::report(&case));
    }
    let took = since.elapsed().as_secs_f64();
    eprintln!("{count} schedules from seed {first} in {took:.1} s");
}

#[test]
fn sabotage_is_found_out() {
    for sabotage in
        [Sabotage::EarlyCommit, Sabotage::NoFencing, Sabotage::DeletesIgnored, Sabotage::TornStep]
    {
        let case = first_failure(SEED, CAUGHT_WITHIN, Some(sabotage));
        let case = case.unwrap_or_else(|| panic!("{sabotage:?} goes unnoticed"));
        assert!(shrink::outcome(&Case { sabotage: None, ..case.clone() }).is_ok());
        let small = shrink::shrunk(&case);
        eprintln!("{sabotage:?}: seed {}, {} events", case.seed, small.events.len());
    }
}

/// The first of some seeds whose schedule fails. Every thread runs schedules of its own.
fn first_failure(first: u64, count: u64, sabotage: Option<Sabotage>) -> Option<Case> {
    let next = AtomicU64::new(first);
    let failed = AtomicBool::new(false);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let search = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            let case = Case::new(seed, sabotage);
            if shrink::outcome(&case).is_err() {
                failed.store(true, Ordering::Relaxed);
                return Some(case);
            }
        }
        None
    };
    thread::scope(|scope| {
        let searches: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        let found = searches.into_iter().filter_map(|search| search.join().unwrap());
        found.min_by_key(|case| case.seed)
    })
}

fn given(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}
