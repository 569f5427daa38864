//! From a schedule that fails to a short one that does.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::{Builder, Runtime};

use super::schedule::Case;
use super::world::run;

/// Schedules run at most to make one shorter.
const TRIES_MAX: usize = 300;

thread_local! {
    /// One for all schedules of a thread: making one takes longer than a schedule.
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// What comes of a schedule; a panic is what is wrong, too.
pub(super) fn outcome(case: &Case) -> Result<(), String> {
    RUNTIME.with_borrow_mut(|runtime| {
        let paused = || Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.get_or_insert_with(|| paused().unwrap());
        let schedule = || runtime.block_on(tokio::task::unconstrained(run(case)));
        catch_unwind(AssertUnwindSafe(schedule)).unwrap_or_else(|panicked| {
            let text = panicked.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panicked.downcast_ref::<&str>().copied());
            Err(text.unwrap_or("a panic").to_owned())
        })
    })
}

/// The schedule with as few events and statements as still fail, as far as that can be found out
/// soon.
pub(super) fn shrunk(case: &Case) -> Case {
    let mut case = case.clone();
    let mut size = case.events.len();
    let mut tries = TRIES_MAX;
    while size > 0 && tries > 0 {
        let mut from = 0;
        while from < case.events.len() && tries > 0 {
            tries -= 1;
            let mut fewer = case.clone();
            fewer.events.drain(from..(from + size).min(case.events.len()));
            if outcome(&fewer).is_err() {
                case = fewer;
            } else {
                from += size;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    for statements in 0..10 {
        let fewer = Case { statements, ..case.clone() };
        if outcome(&fewer).is_err() {
            return fewer;
        }
    }
    case
}

/// What there is to say of a schedule that fails.
pub(super) fn report(case: &Case) -> String {
    let small = shrunk(case);
    let seed = case.seed;
    let wrong = outcome(&small).err().unwrap_or_default();
    format!(
        "seed {seed} fails (SIMULATION_SEED={seed} SIMULATION_SCHEDULES=1 runs it alone); \
         as short as it gets: {small:#?}\n{wrong}"
    )
}
