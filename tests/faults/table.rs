//! The table of outcomes, as it is printed and kept.

use std::fmt::Write as _;
use std::time::Duration;

use super::outcome::{Outcome, Verified};
use super::scenario::{Extent, Scenario};

/// What a scenario adds.
pub(crate) struct Line {
    row: String,
    /// Measured or seen on the way.
    notes: String,
    /// What to look at when it is not as it should be.
    details: Option<String>,
}

impl Line {
    /// Of a scenario that went to its end.
    pub(crate) fn of(outcome: &Outcome) -> Line {
        let Outcome { scenario, seed, verified, seen, .. } = outcome;
        let mut notes = String::new();
        for note in &outcome.notes {
            writeln!(notes, "- {} (seed {seed}): {note}", scenario.name()).unwrap();
        }
        let details = || {
            let examples = seen.examples.join("\n");
            format!("{}\n{examples}\nlog: {}", verified.printed, outcome.log.display())
        };
        let details = (!outcome.is_as_expected()).then(details);
        Line { row: row(outcome), notes, details }
    }

    /// Of one that broke off.
    pub(crate) fn broken(scenario: Scenario, seed: u64, why: &str) -> Line {
        Line {
            row: broken_row(scenario, seed, why),
            notes: String::new(),
            details: Some(why.to_owned()),
        }
    }
}

pub(crate) struct Table {
    rows: String,
    notes: String,
    pub(crate) all_right: bool,
}

impl Default for Table {
    fn default() -> Table {
        Table { rows: String::new(), notes: String::new(), all_right: true }
    }
}

impl Table {
    /// Prints a line and keeps it.
    pub(crate) fn add(&mut self, line: Line) {
        println!("{}", line.row);
        print!("{}", line.notes);
        if let Some(details) = line.details {
            println!("{details}");
            self.all_right = false;
        }
        self.rows.push_str(&line.row);
        self.rows.push('\n');
        self.notes.push_str(&line.notes);
    }

    /// As a page of the documentation.
    pub(crate) fn report(&self, extent: Extent, took: Duration) -> String {
        let [run, minutes] =
            [extent.of("short", "full").to_owned(), (took.as_secs() / 60).to_string()];
        format!(
            "# Faults\n\n\
             What `cargo test --test faults -- --{run} --report docs/faults.md` printed, a {run} run of \
             {minutes} minutes. `tests/faults/main.rs` says what is tried where, and what is open.\n\n\
             {HEAD}\n{}\n{}",
            self.rows, self.notes
        )
    }
}

/// The columns of [`row`].
pub(crate) const HEAD: &str = "\
| scenario | seed | faults | load (transactions + events) | converged in | missing / extra / different | \
reads (+ unanswered) | backwards | torn | own writes read (stale) | took | verdict |
|---|---|---|---|---|---|---|---|---|---|---|---|";

/// A line of the table for a scenario that has an outcome.
fn row(outcome: &Outcome) -> String {
    let Outcome { scenario, seed, faults, written, took, converged, verified, seen, own, .. } =
        outcome;
    let mut line =
        format!("| {} | {seed} | {faults} | {} + {}", scenario.name(), written.0, written.1);
    write!(line, " | {:.1} s", converged.as_secs_f64()).unwrap();
    let Verified { missing, extra, different, .. } = verified;
    write!(line, " | {missing} / {extra} / {different}").unwrap();
    write!(line, " | {} (+ {}) | {}", seen.reads, seen.unanswered, seen.backwards).unwrap();
    if seen.rewound > 0 {
        write!(line, " (+ {} while Redis was)", seen.rewound).unwrap();
    }
    write!(line, " | {} | {} ({}) | {:.0} s", seen.torn, own.fresh, own.stale, took.as_secs_f64())
        .unwrap();
    line + &format!(" | {} |", outcome.verdict())
}

/// The same for one that broke off.
fn broken_row(scenario: Scenario, seed: u64, why: &str) -> String {
    let why = why.lines().next().unwrap_or_default().replace('|', "/");
    let why = why.split("; log: ").next().unwrap_or_default();
    format!("| {} | {seed} | | | | | | | | | | **broke off**: {why} |", scenario.name())
}
