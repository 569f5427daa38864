//! What Redis keeps of the last steps: which records of rows each applied, and which views did not
//! show all of that yet. `viewtide explain` tells by it when a change could be read.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::change::{Partition, Position};
use crate::keyspace::StepTrace;
use crate::sink::{Meta, Step};
use crate::source::record::Role;

/// What was kept so far, and what is to be of the next step.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// The first offset that was not applied yet, by partition with rows.
    reached: BTreeMap<Partition, i64>,
    behind: BTreeSet<String>,
    next: BTreeMap<Partition, (i64, i64)>,
    replayed: BTreeSet<(Partition, i64)>,
}

impl Traces {
    /// Where a former run stopped.
    pub(super) fn of_former_run(meta: &Meta) -> Traces {
        let reached =
            meta.positions.iter().map(|(at, position)| (at.clone(), position.next_offset));
        let behind = meta.behind.keys().cloned().collect();
        Traces { reached: reached.collect(), behind, ..Traces::default() }
    }

    /// The next step applies a partition up to here.
    pub(super) fn moved(&mut self, partition: &Partition, role: Role, position: Position) {
        if role.table().is_none() {
            return;
        }
        let reached = self.reached.entry(partition.clone()).or_default();
        if position.next_offset < *reached {
            // The topic was made anew: its offsets have other records now.
            *reached = 0;
        }
        if *reached < position.next_offset {
            let moved = self.next.entry(partition.clone()).or_insert((*reached, 0));
            moved.1 = position.next_offset;
        }
        *reached = position.next_offset;
    }

    /// The next step applies a dead letter.
    pub(super) fn replayed(&mut self, partition: &Partition, offset: i64) {
        self.replayed.insert((partition.clone(), offset));
    }

    /// Has the step kept, after which these views are behind and by which those are filled, if there
    /// is anything to keep of it.
    pub(super) fn tell<'b>(
        &mut self,
        behind: impl Iterator<Item = &'b String>,
        filled: BTreeSet<String>,
        step: &mut Step,
    ) {
        let behind: BTreeSet<String> = behind.cloned().collect();
        let moves_rows = !self.next.is_empty() || !self.replayed.is_empty();
        if !moves_rows && filled.is_empty() && behind == self.behind {
            return;
        }
        let (moved, replayed) = (mem::take(&mut self.next), mem::take(&mut self.replayed));
        let trace = StepTrace { moved, behind, filled, replayed };
        step.trace(&trace);
        self.behind = trace.behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::plan::TableId;

    #[test]
    fn steps_that_move_rows_are_kept_and_those_after_which_a_view_shows_more() {
        let partition = |topic: &str| Partition { topic: topic.into(), number: 0 };
        let at = |next_offset| Position { next_offset, fingerprint: 1 };
        let meta = Meta { positions: [(partition("t"), at(3))].into(), ..Meta::default() };
        let mut traces = Traces::of_former_run(&meta);
        let rows = Role::Table(TableId(0));
        let mut kept = |moves: &[(&str, Role, i64)], behind: &[&str]| {
            for (topic, role, next_offset) in moves {
                traces.moved(&partition(topic), *role, at(*next_offset));
            }
            let behind: Vec<String> = behind.iter().map(|view| (*view).to_owned()).collect();
            let mut step = Step::new();
            traces.tell(behind.iter(), BTreeSet::new(), &mut step);
            step.traced()
        };
        let moved = |topic: &str, from, next| (partition(topic), (from, next));
        let trace = |moved: &[(Partition, (i64, i64))], behind: &[&str]| {
            let behind = behind.iter().map(|view| (*view).to_owned()).collect();
            let moved = moved.iter().cloned().collect();
            Some(StepTrace { moved, behind, ..StepTrace::default() })
        };
        // All positions are told once, whether they move or not.
        let told = [("t", rows, 3), ("t", rows, 4), ("t", rows, 7), ("u", rows, 1)];
        assert_eq!(kept(&told, &[]), trace(&[moved("t", 3, 7), moved("u", 0, 1)], &[]));
        assert_eq!(kept(&[("heartbeats", Role::Heartbeats, 9)], &[]), None);
        assert_eq!(kept(&[("t", rows, 8)], &["v"]), trace(&[moved("t", 7, 8)], &["v"]));
        assert_eq!(kept(&[], &["v"]), None);
        assert_eq!(kept(&[], &[]), trace(&[], &[]));
        assert_eq!(kept(&[("t", rows, 2)], &[]), trace(&[moved("t", 0, 2)], &[]), "made anew");
        assert_eq!(kept(&[("t", rows, 5)], &[]), trace(&[moved("t", 2, 5)], &[]));
    }

    #[test]
    fn what_was_filled_or_replayed_is_kept_once() {
        let mut traces = Traces::default();
        let letter = Partition { topic: "t".into(), number: 1 };
        traces.replayed(&letter, 7);
        let mut kept = |filled: &[&str]| {
            let mut step = Step::new();
            let filled = filled.iter().map(|view| (*view).to_owned()).collect();
            traces.tell([].into_iter(), filled, &mut step);
            step.traced()
        };
        let replayed = StepTrace { replayed: [(letter.clone(), 7)].into(), ..StepTrace::default() };
        assert_eq!(kept(&[]), Some(replayed));
        let filled = StepTrace { filled: ["v".to_owned()].into(), ..StepTrace::default() };
        assert_eq!(kept(&["v"]), Some(filled));
        assert_eq!(kept(&[]), None);
    }
}
