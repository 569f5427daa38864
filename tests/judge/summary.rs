//! What a run came to.

use std::fmt::Write as _;
use std::time::Duration;

use super::case::Refusals;
use super::run::{Failure, Kind, Tally};

/// SELECTs that may be refused, of all that are written: the generator is to write what is
/// supported. In percent.
const REFUSED_MAX: usize = 25;

#[derive(Debug, Default)]
pub(crate) struct Summary {
    cases: usize,
    views: usize,
    changes: usize,
    comparisons: usize,
    through_stack: usize,
    refusals: Refusals,
    differences: Vec<String>,
    panics: Vec<String>,
}

impl Summary {
    pub(crate) fn add(
        &mut self,
        views: usize,
        refusals: Refusals,
        outcome: Result<Tally, Failure>,
    ) {
        self.cases += 1;
        self.views += views;
        self.refusals.add(refusals);
        match outcome {
            Ok(tally) => {
                self.changes += tally.changes;
                self.comparisons += tally.comparisons;
            }
            Err(failure) if failure.kind == Kind::Panic => self.panics.push(failure.text),
            Err(failure) => self.differences.push(failure.text),
        }
    }

    pub(crate) fn add_stack(&mut self, outcome: Result<(), String>) {
        self.through_stack += 1;
        self.differences.extend(outcome.err());
    }

    pub(crate) fn is_right(&self) -> bool {
        !self.has_failures() && self.refused_percent() <= REFUSED_MAX
    }

    /// Whether something differed or panicked.
    pub(crate) fn has_failures(&self) -> bool {
        let panics = self.panics.len() + self.refusals.panics.len();
        !self.differences.is_empty() || panics > 0
    }

    fn refused_percent(&self) -> usize {
        let refused = self.refusals.count();
        refused * 100 / (refused + self.refusals.planned).max(1)
    }

    pub(crate) fn text(&self, took: Duration, examples: bool) -> String {
        let mut text = String::new();
        let mut by_count: Vec<_> = self.refusals.by_message.iter().collect();
        by_count.sort_by_key(|(message, (count, _))| (std::cmp::Reverse(*count), *message));
        for (message, (count, example)) in by_count {
            let _ = writeln!(text, "{count:6} refused: {message}");
            if examples {
                let _ = writeln!(text, "       {example}");
            }
        }
        for panic in &self.refusals.panics {
            let _ = writeln!(text, "the planner panicked: {panic}");
        }
        let _ = writeln!(
            text,
            "{} cases ({} through the whole stack), {} views, {} changes, {} comparisons; {} refused ({} %, at most {REFUSED_MAX}); {} differences, {} panics; {:.1} s",
            self.cases,
            self.through_stack,
            self.views,
            self.changes,
            self.comparisons,
            self.refusals.count(),
            self.refused_percent(),
            self.differences.len(),
            self.panics.len() + self.refusals.panics.len(),
            took.as_secs_f64(),
        );
        text
    }
}
