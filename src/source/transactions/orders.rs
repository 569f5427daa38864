//! Which changes of a transaction in one table are there.

use serde::{Deserialize, Serialize};

use crate::gtid::Gtid;
use crate::source::record::Place;

/// Numbers from 1, each counted once: runs of them, ascending, with gaps in between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Orders(Vec<(u64, u64)>);

impl Orders {
    /// False if the number was in already.
    pub(super) fn insert(&mut self, order: u64) -> bool {
        let at = self.0.partition_point(|&(_, last)| last.saturating_add(1) < order);
        let follows =
            self.0.get(at + 1).is_some_and(|&(first, _)| first == order.saturating_add(1));
        match self.0.get_mut(at) {
            Some((first, last)) if (*first..=*last).contains(&order) => return false,
            Some((_, last)) if *last + 1 == order && follows => {
                let (_, end) = self.0.remove(at + 1);
                self.0[at].1 = end;
            }
            Some((_, last)) if *last + 1 == order => *last = order,
            Some((first, _)) if *first == order.saturating_add(1) => *first = order,
            _ => self.0.insert(at, (order, order)),
        }
        true
    }

    pub(super) fn contains(&self, order: u64) -> bool {
        let at = self.0.partition_point(|&(_, last)| last < order);
        self.0.get(at).is_some_and(|&(first, _)| first <= order)
    }

    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }
}

/// Most transactions remembered that went without changes of a table. Each is followed by another
/// change in the topic, so what comes of an older one was sent again.
const INCOMPLETE_MAX: usize = 64;

/// Which changes of a table are applied, transaction by transaction: of the latest one, and of those
/// before it that went without some. A topic is in order, so what follows a change in it says
/// that nothing new comes of the transactions before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Latest(Vec<(Gtid, Orders)>);

impl Latest {
    /// Notes a change as applied.
    pub(super) fn note(&mut self, place: &Place) {
        match self.0.iter().position(|(gtid, _)| *gtid == place.gtid) {
            Some(0) => {}
            Some(at) => drop(self.0.drain(..at)),
            None => {
                self.0.clear();
                self.0.push((place.gtid.clone(), Orders::default()));
            }
        }
        self.0[0].1.insert(place.table_order);
    }

    /// Notes that a transaction goes without some of its changes.
    pub(super) fn miss(&mut self, gtid: &Gtid) {
        if self.orders(gtid).is_none() {
            self.0.push((gtid.clone(), Orders::default()));
        }
        self.0.drain(..self.0.len().saturating_sub(INCOMPLETE_MAX));
    }

    /// What is applied of a transaction, if it is one of these.
    pub(super) fn orders(&self, gtid: &Gtid) -> Option<&Orders> {
        self.0.iter().find(|(of, _)| of == gtid).map(|(_, orders)| orders)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_a_set(orders in proptest::collection::vec(1u64..20, 0..40)) {
            let (mut runs, mut set) = (Orders::default(), BTreeSet::new());
            for order in orders {
                prop_assert_eq!(runs.insert(order), set.insert(order));
                prop_assert_eq!(runs.len(), set.len() as u64);
                prop_assert!((0..21).all(|order| runs.contains(order) == set.contains(&order)));
                let apart = runs.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0);
                prop_assert!(apart, "{:?}", runs);
            }
        }
    }
}
