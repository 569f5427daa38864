//! Whether the pipeline has passed a point that MySQL and the event topics had reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::change::{Partition, Positions};
use crate::gtid::{GtidError, Server, Watermarks};

/// The highest transaction of each server (and tag) that a server had executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Executed(Watermarks);

/// A point to wait for.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    /// What MySQL had executed.
    pub(super) executed: Executed,
    /// First offset not read, by partition of an event topic.
    pub(super) events: BTreeMap<Partition, i64>,
}

impl Executed {
    /// Whether there is none: GTIDs are off, or the server is new.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().next().is_none()
    }

    /// The servers whose transactions are applied beyond what this one has executed.
    pub(super) fn lacking(&self, applied: &Watermarks) -> BTreeSet<Server> {
        let is_beyond = |(server, applied): &(&Server, u64)| *applied > self.0.number(server);
        applied.iter().filter(is_beyond).map(|(server, _)| server.clone()).collect()
    }

    /// Whether what is applied contains all of this.
    ///
    /// Either by number, or because something is applied that is not part of this: transactions
    /// are applied in the order of one binlog, so that whatever was executed earlier is applied,
    /// or lies before the snapshot. That covers what never gets a watermark of its own: DDL,
    /// servers of the past, transactions before the snapshot. `known_before` is what had been
    /// executed some time ago; servers that nothing is known of and that did not move since are
    /// then taken as lying before the snapshot.
    pub(super) fn is_covered(&self, applied: &Watermarks, known_before: Option<&Executed>) -> bool {
        if !self.lacking(applied).is_empty() {
            return true;
        }
        self.0.iter().all(|(server, executed)| match applied.number(server) {
            0 => known_before.is_some_and(|before| before.0.number(server) == executed),
            applied => applied >= executed,
        })
    }
}

impl Target {
    /// The first event partition that is not yet applied so far.
    pub(super) fn events_missing<'a>(&'a self, positions: &Positions) -> Option<&'a Partition> {
        let is_behind = |(partition, end): &(&Partition, &i64)| {
            **end > 0 && positions.get(partition).is_none_or(|at| at.next_offset < **end)
        };
        self.events.iter().find(is_behind).map(|(partition, _)| partition)
    }
}

/// Reads `@@gtid_executed`: `UUID:1-5:7:TAG:1-3,UUID:…`.
impl FromStr for Executed {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Executed, GtidError> {
        text.parse().map(Executed)
    }
}

/// As a set of all transactions up to each.
impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Position;

    const A: &str = "7e897c59-e58f-11f1-b52e-02fc00000001";
    const B: &str = "00000000-0000-0000-0000-000000000002";

    fn executed(text: &str) -> Executed {
        text.parse().unwrap()
    }

    fn applied(items: &[(&str, u64)]) -> Watermarks {
        items.iter().map(|(server, number)| (server.parse().unwrap(), *number)).collect()
    }

    #[test]
    fn sets_are_read() {
        let set = executed(&format!("{A}:1-305:307:tag:1-3,\n{}:5", B.to_uppercase()));
        assert_eq!(set.to_string(), format!("{B}:1-5,{A}:1-307,{A}:tag:1-3"));
        assert!(executed("").is_empty());
        assert!("x:y-z:1-q".parse::<Executed>().is_err());
    }

    #[test]
    fn covered_by_number_or_by_anything_later() {
        let set = executed(&format!("{A}:1-10,{B}:1-4"));
        assert!(set.is_covered(&applied(&[(A, 10), (B, 4)]), None));
        assert!(!set.is_covered(&applied(&[(A, 9), (B, 4)]), None));
        // B is history that no watermark will ever name: a later transaction proves it passed.
        assert!(!set.is_covered(&applied(&[(A, 10)]), None));
        assert!(set.is_covered(&applied(&[(A, 11)]), None));
        let tagged = format!("{A}:tag");
        assert!(set.is_covered(&applied(&[(A, 3), (&tagged, 1)]), None));
        // Nothing comes later on an idle server without heartbeats.
        assert!(set.is_covered(&applied(&[(A, 10)]), Some(&executed(&format!("{B}:1-4")))));
        assert!(!set.is_covered(&applied(&[(A, 10)]), Some(&executed(&format!("{B}:1-3")))));
        assert!(!set.is_covered(&applied(&[(A, 9)]), Some(&set)));
    }

    #[test]
    fn events_count_by_partition() {
        let partition = |number| Partition { topic: "events".into(), number };
        let target = Target {
            executed: Executed::default(),
            events: [(partition(0), 5), (partition(1), 0)].into(),
        };
        let at = |next_offset| -> Positions {
            [(partition(0), Position { next_offset, fingerprint: 0 })].into()
        };
        assert_eq!(target.events_missing(&at(4)), Some(&partition(0)));
        assert_eq!(target.events_missing(&at(5)), None);
        assert_eq!(target.events_missing(&Positions::new()), Some(&partition(0)));
    }
}
