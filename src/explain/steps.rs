//! What Redis keeps of the last steps, and when a record could be read by that.

use std::time::Duration;

use super::ExplainError;
use crate::change::Partition;
use crate::config::Config;
use crate::dial::Dialer;
use crate::keyspace::{Keyspace, StepTrace};
use crate::sink::STEPS_TRACED_MAX;

/// How long a reply may take.
const REPLY_WAIT: Duration = Duration::from_secs(10);

/// Steps read at once.
const AT_ONCE: usize = 1000;

/// The steps that are kept, oldest first, each with its time by Redis' clock in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Steps(Vec<(i64, StepTrace)>);

/// When a record's change could be read in the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// From the step on that applied it.
    At(i64),
    /// At this time at the latest: documents of the view were due when it was applied, or were filled
    /// in since as it is defined now.
    By(i64),
    /// It was applied then, or before the first step that is kept, but documents of the view are due
    /// since.
    Due(Option<i64>),
    /// It was applied before the first step that is kept, which is of this time; `None` where no step
    /// tells when it was.
    Earlier(Option<i64>),
    /// It is not applied yet.
    NotApplied,
}

impl Seen {
    /// The same of a row that a snapshot read: it may have been there before.
    pub(super) fn or_before(self) -> Seen {
        match self {
            Seen::At(ms) => Seen::By(ms),
            seen => seen,
        }
    }
}

impl Steps {
    /// Reads what Redis keeps.
    pub(super) async fn read(config: &Config, keyspace: &Keyspace) -> Result<Steps, ExplainError> {
        let dialer = Dialer::new(config.redis.url.expose())?;
        let mut connection = dialer.connect(REPLY_WAIT).await?;
        let mut steps: Vec<(i64, StepTrace)> = Vec::new();
        let mut from = "-".to_owned();
        // Redis keeps a few more than it is told to.
        while steps.len() < 2 * STEPS_TRACED_MAX {
            let mut ask = redis::cmd("XRANGE");
            ask.arg(keyspace.steps()).arg(&from).arg("+").arg("COUNT").arg(AT_ONCE);
            let answer = ask.query_async::<Vec<(String, Vec<String>)>>(&mut connection).await;
            let entries = answer.map_err(|error| {
                let (address, reason) = (dialer.address().to_owned(), error.to_string());
                ExplainError::Redis { address, reason }
            })?;
            let Some((last, _)) = entries.last() else { break };
            from = format!("({last}");
            steps.extend(entries.into_iter().filter_map(read_entry));
        }
        Ok(Steps(steps))
    }

    /// When the change of this record could be read in a view; `next_offset` is the first of its
    /// partition that is not applied.
    pub(super) fn seen(
        &self,
        view: &str,
        partition: &Partition,
        offset: i64,
        next_offset: i64,
    ) -> Seen {
        // A former topic of this name may have had records under the same offsets.
        if next_offset <= offset {
            return Seen::NotApplied;
        }
        let letter = (partition.clone(), offset);
        let applies = |(_, step): &(i64, StepTrace)| {
            let moved = step.moved.get(partition);
            moved.is_some_and(|(from, next)| (*from..*next).contains(&offset))
                || step.replayed.contains(&letter)
        };
        let at = self.0.iter().rposition(applies);
        let unkept = if at.is_none() { self.unkept(partition, offset) } else { None };
        if let Some(None) = unkept {
            return Seen::Earlier(None);
        }
        // What was read before was of no definition that this document is of.
        let filled = self.0.iter().rposition(|(_, step)| step.filled.contains(view));
        let Some(first) = at.or(unkept.flatten()).max(filled) else {
            return Seen::Earlier(self.0.first().map(|(time, _)| *time));
        };
        let shows = |(_, step): &(i64, StepTrace)| !step.behind.contains(view);
        match self.0[first..].iter().position(shows) {
            None => Seen::Due(at.map(|at| self.0[at].0)),
            Some(0) if at == Some(first) => Seen::At(self.0[first].0),
            Some(later) => Seen::By(self.0[first + later].0),
        }
    }
}

impl Steps {
    /// Whether a record was applied between steps that are kept, by one that is not: a version of the
    /// program that keeps none may have run in between. The first step after it, if there is one.
    fn unkept(&self, partition: &Partition, offset: i64) -> Option<Option<usize>> {
        let moved = |(_, step): &(i64, StepTrace)| step.moved.get(partition).copied();
        let ends_before = |step| moved(step).is_some_and(|(_, next)| next <= offset);
        let begins_behind = |step| moved(step).is_some_and(|(from, _)| from > offset);
        let before = self.0.iter().rposition(ends_before)?;
        let later = self.0[before..].iter().position(begins_behind);
        Some(later.map(|later| before + later))
    }
}

/// A step's time, and what it moved.
fn read_entry((id, fields): (String, Vec<String>)) -> Option<(i64, StepTrace)> {
    let time = id.split_once('-')?.0.parse().ok()?;
    let (mut pairs, mut fields) = (Vec::new(), fields.into_iter());
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        pairs.push((name, value));
    }
    Some((time, StepTrace::from_fields(pairs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(
        time: i64,
        number: i32,
        range: Option<(i64, i64)>,
        behind: &[&str],
    ) -> (i64, StepTrace) {
        let moved = range.map(|range| (partition(number), range)).into_iter().collect();
        let behind = behind.iter().map(|view| (*view).to_owned()).collect();
        (time, StepTrace { moved, behind, ..StepTrace::default() })
    }

    fn partition(number: i32) -> Partition {
        Partition { topic: "t".into(), number }
    }

    #[test]
    fn a_record_can_be_read_from_the_step_on_that_leaves_nothing_due() {
        let steps = Steps(vec![
            step(10, 0, Some((3, 5)), &[]),
            step(20, 1, Some((0, 9)), &[]),
            step(30, 0, Some((5, 6)), &["v"]),
            step(40, 0, Some((6, 7)), &["v", "w"]),
            step(50, 0, None, &["w"]),
            step(60, 0, Some((7, 8)), &["w"]),
        ]);
        let seen = |view, offset| steps.seen(view, &partition(0), offset, 8);
        for (offset, want) in [
            (2, Seen::Earlier(Some(10))),
            (3, Seen::At(10)),
            (4, Seen::At(10)),
            (5, Seen::By(50)),
            (6, Seen::By(50)),
            (7, Seen::At(60)),
            (8, Seen::NotApplied),
        ] {
            assert_eq!(seen("v", offset), want, "{offset}");
        }
        assert_eq!((seen("w", 5), seen("w", 6)), (Seen::At(30), Seen::Due(Some(40))));
        assert_eq!(Steps::default().seen("v", &partition(0), 3, 4), Seen::Earlier(None));
    }

    #[test]
    fn what_was_applied_between_steps_that_are_kept_is_not_told_as_earlier() {
        let mut filled = step(5, 0, None, &[]);
        filled.1.filled.insert("v".to_owned());
        let mut steps = Steps(vec![
            filled,
            step(10, 0, Some((3, 5)), &[]),
            // A version that keeps no steps applied up to 8.
            step(20, 1, Some((0, 1)), &["v"]),
            step(30, 0, Some((8, 9)), &["v"]),
            step(40, 1, Some((1, 2)), &[]),
        ]);
        let seen = |steps: &Steps, offset| steps.seen("v", &partition(0), offset, 12);
        for (offset, want) in [
            (2, Seen::By(5)),
            (4, Seen::At(10)),
            (6, Seen::By(40)),
            (8, Seen::By(40)),
            // Nor does any step tell what another version applied last.
            (10, Seen::Earlier(None)),
        ] {
            assert_eq!(seen(&steps, offset), want, "{offset}");
        }
        steps.0.truncate(4);
        assert_eq!(seen(&steps, 6), Seen::Due(None));
    }

    #[test]
    fn nothing_could_be_read_before_the_view_was_filled_as_it_is_defined() {
        let mut filled = step(30, 0, None, &[]);
        filled.1.filled.insert("v".to_owned());
        let mut due = filled.clone();
        due.1.behind.insert("v".to_owned());
        let steps = |filled| {
            let before = step(20, 0, Some((3, 5)), &["v"]);
            Steps(vec![
                step(10, 0, Some((2, 3)), &[]),
                before,
                filled,
                step(40, 0, Some((5, 6)), &[]),
            ])
        };
        let seen = |filled: &(i64, StepTrace), view, offset| {
            steps(filled.clone()).seen(view, &partition(0), offset, 6)
        };
        for (offset, of_filled, of_due) in [
            (1, Seen::By(30), Seen::By(40)),
            (2, Seen::By(30), Seen::By(40)),
            (3, Seen::By(30), Seen::By(40)),
            (5, Seen::At(40), Seen::At(40)),
        ] {
            assert_eq!(seen(&filled, "v", offset), of_filled, "{offset}");
            assert_eq!(seen(&due, "v", offset), of_due, "{offset}");
        }
        assert_eq!(seen(&filled, "w", 2), Seen::At(10), "another view");
        let still = |offset| Steps(vec![due.clone()]).seen("v", &partition(0), offset, 6);
        assert_eq!(still(2), Seen::Due(None));
    }

    #[test]
    fn what_was_replayed_counts_from_then_on_and_reused_offsets_not_from_before() {
        let mut replayed = step(30, 0, None, &[]);
        replayed.1.replayed.insert((partition(0), 3));
        let steps = Steps(vec![step(10, 0, Some((0, 9)), &[]), replayed]);
        let seen = |offset, next_offset| steps.seen("v", &partition(0), offset, next_offset);
        assert_eq!([seen(3, 9), seen(4, 9)], [Seen::At(30), Seen::At(10)]);
        assert_eq!(seen(4, 2), Seen::NotApplied);
    }

    #[test]
    fn entries_are_read_by_their_ids() {
        let fields = ["position:t:0", "3:5", "behind", "[\"v\"]"].map(str::to_owned).to_vec();
        let read = read_entry(("1795255200000-1".to_owned(), fields));
        assert_eq!(read, Some(step(1_795_255_200_000, 0, Some((3, 5)), &["v"])));
        assert_eq!(read_entry(("x".to_owned(), Vec::new())), None);
    }
}
