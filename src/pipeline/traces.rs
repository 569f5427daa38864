//! What Redis keeps of the last steps: which records of rows each applied, and which views did not
//! show all of that yet. `viewtide explain` tells by it when a change could be read.

use std::collections::{BTreeMap, BTreeSet};

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
}

impl Traces {
    /// Where a former run stopped.
    pub(super) fn of_former_run(meta: &Meta) -> Traces {
        let reached =
            meta.positions.iter().map(|(at, position)| (at.clone(), position.next_offset));
        let behind = meta.behind.keys().cloned().collect();
        Traces { reached: reached.collect(), behind, next: BTreeMap::new() }
    }

    /// The next step applies a partition up to here.
    pub(super) fn moved(&mut self, partition: &Partition, role: Role, position: Position) {
        if role.table().is_none() {
            return;
        }
        let reached = self.reached.entry(partition.clone()).or_default();
        if *reached < position.next_offset {
            let moved = self.next.entry(partition.clone()).or_insert((*reached, 0));
            moved.1 = position.next_offset;
        }
        *reached = position.next_offset;
    }

    /// Has the step kept, after which these views are behind, if there is anything to keep of it.
    pub(super) fn tell<'b>(&mut self, behind: impl Iterator<Item = &'b String>, step: &mut Step) {
        let behind: BTreeSet<String> = behind.cloned().collect();
        if self.next.is_empty() && behind == self.behind {
            return;
        }
        let trace = StepTrace { moved: std::mem::take(&mut self.next), behind };
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
            traces.tell(behind.iter(), &mut step);
            step.traced()
        };
        let moved = |topic: &str, from, next| (partition(topic), (from, next));
        let trace = |moved: &[(Partition, (i64, i64))], behind: &[&str]| {
            let behind = behind.iter().map(|view| (*view).to_owned()).collect();
            Some(StepTrace { moved: moved.iter().cloned().collect(), behind })
        };
        // All positions are told once, whether they move or not.
        let told = [("t", rows, 3), ("t", rows, 4), ("t", rows, 7), ("u", rows, 1)];
        assert_eq!(kept(&told, &[]), trace(&[moved("t", 3, 7), moved("u", 0, 1)], &[]));
        assert_eq!(kept(&[("heartbeats", Role::Heartbeats, 9)], &[]), None);
        assert_eq!(kept(&[("t", rows, 8)], &["v"]), trace(&[moved("t", 7, 8)], &["v"]));
        assert_eq!(kept(&[], &["v"]), None);
        assert_eq!(kept(&[], &[]), trace(&[], &[]));
    }
}
