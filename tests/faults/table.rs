//! The table of outcomes and their sums, as it is printed and kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::outcome::{Outcome, Verified};
use super::scenario::{Extent, Scenario};

/// What a scenario adds.
pub(crate) struct Line {
    row: String,
    /// Measured or seen on the way.
    notes: String,
    /// What to look at when it is not as it should be.
    details: Option<String>,
    sums: Sums,
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
        Line { row: row(outcome), notes, details, sums: Sums::of(outcome) }
    }

    /// Of one that broke off.
    pub(crate) fn broken(scenario: Scenario, seed: u64, why: &str) -> Line {
        Line {
            row: broken_row(scenario, seed, why),
            notes: String::new(),
            details: Some(why.to_owned()),
            sums: Sums { broken: 1, ..Sums::default() },
        }
    }
}

/// A run, so that it can be repeated and compared.
pub(crate) struct Run {
    pub(crate) extent: Extent,
    /// Of the first scenario; each of the others has one more than the one before.
    pub(crate) seed: u64,
    pub(crate) took: Duration,
}

#[derive(Default)]
pub(crate) struct Table {
    rows: String,
    notes: String,
    sums: Sums,
    wrong: u32,
}

impl Table {
    /// Prints a line and keeps it.
    pub(crate) fn add(&mut self, line: Line) {
        println!("{}", line.row);
        print!("{}", line.notes);
        if let Some(details) = line.details {
            println!("{details}");
            self.wrong += 1;
        }
        self.rows.push_str(&line.row);
        self.rows.push('\n');
        self.notes.push_str(&line.notes);
        self.sums.add(line.sums);
    }

    /// Whether every scenario came out as it should.
    pub(crate) fn is_all_right(&self) -> bool {
        self.wrong == 0
    }

    /// What the run came to in sum.
    pub(crate) fn totals(&self, run: &Run) -> String {
        let minutes = run.took.as_secs() / 60;
        format!("{minutes} minutes, {} scenarios not right\n\n{}", self.wrong, self.sums.told())
    }

    /// As a page of the documentation.
    pub(crate) fn report(&self, run: &Run) -> String {
        let (extent, seed) = (run.extent.of("short", "full"), run.seed);
        let date = Timestamp::try_from(SystemTime::now() - run.took).unwrap();
        let date = date.strftime("%Y-%m-%d %H:%M UTC");
        let cores = available_parallelism().unwrap();
        format!(
            "# Faults\n\n\
             `cargo test --test faults -- --{extent} --seed {seed} --report docs/faults.md`, begun on {date} \
             on a machine of {cores} cores. `tests/faults/main.rs` says what is \
             tried where, and what is open.\n\n{}\n{HEAD}\n{}\n{}",
            self.totals(run),
            self.rows,
            self.notes
        )
    }
}

/// Sums over scenarios; those that are sabotaged have their own.
#[derive(Default)]
struct Sums {
    scenarios: u32,
    broken: u32,
    sabotages: u32,
    caught: u32,
    transactions: u64,
    events: u64,
    /// Missing, extra and different documents.
    wrong: [u64; 3],
    reads: u64,
    backwards: u64,
    torn: u64,
    own: u64,
    stale: u64,
    faults: BTreeMap<&'static str, u32>,
}

/// Processes that are killed, by how their faults begin.
const KILLED: [(&str, &str); 6] = [
    ("viewtide", "kill -9 viewtide"),
    ("MySQL", "kill -9 mysql"),
    ("the Kafka broker", "kill -9 kafka"),
    ("Connect", "kill -9 connect"),
    ("the registry", "kill -9 registry"),
    ("Redis", "kill -9 redis"),
];

impl Sums {
    fn of(outcome: &Outcome) -> Sums {
        let Outcome { verified, seen, own, written, .. } = outcome;
        if !outcome.scenario.caught_by().is_empty() {
            let caught = u32::from(outcome.is_as_expected());
            return Sums { sabotages: 1, caught, ..Sums::default() };
        }
        Sums {
            scenarios: 1,
            transactions: written.0,
            events: written.1,
            wrong: [verified.missing, verified.extra, verified.different],
            reads: seen.reads,
            backwards: seen.backwards,
            torn: seen.torn,
            own: own.fresh,
            stale: own.stale,
            faults: outcome.faults.clone(),
            ..Sums::default()
        }
    }

    fn add(&mut self, other: Sums) {
        self.scenarios += other.scenarios;
        self.broken += other.broken;
        self.sabotages += other.sabotages;
        self.caught += other.caught;
        self.transactions += other.transactions;
        self.events += other.events;
        for (sum, wrong) in self.wrong.iter_mut().zip(other.wrong) {
            *sum += wrong;
        }
        self.reads += other.reads;
        self.backwards += other.backwards;
        self.torn += other.torn;
        self.own += other.own;
        self.stale += other.stale;
        for (what, count) in other.faults {
            *self.faults.entry(what).or_default() += count;
        }
    }

    fn told(&self) -> String {
        let [missing, extra, different] = self.wrong;
        let killed = KILLED.map(|(process, begin)| {
            let of_it = self.faults.iter().filter(|(what, _)| what.starts_with(begin));
            format!("{process} {}", of_it.map(|(_, count)| count).sum::<u32>())
        });
        let faults: Vec<String> =
            self.faults.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let rows = [
            ("scenarios to their end", format!("{}; {} broke off", self.scenarios, self.broken)),
            ("sabotages caught", format!("{} of {}", self.caught, self.sabotages)),
            ("transactions + events written", format!("{} + {}", self.transactions, self.events)),
            ("documents missing / extra / different", format!("{missing} / {extra} / {different}")),
            ("reads by the witness", self.reads.to_string()),
            ("… that went back / were torn", format!("{} / {}", self.backwards, self.torn)),
            ("own writes read / stale", format!("{} / {}", self.own, self.stale)),
            ("`kill -9`", killed.join(", ")),
            ("all faults", faults.join(", ")),
        ];
        let rows = rows.map(|(what, sum)| format!("| {what} | {sum} |\n")).concat();
        format!("| in sum | |\n|---|---|\n{rows}")
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
    let faults: Vec<String> =
        faults.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let faults = faults.join(", ");
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
