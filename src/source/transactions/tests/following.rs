//! Following a run that goes on elsewhere, and taking over where it ended.

use super::*;

/// The positions of a run that has applied so many records of these partitions.
fn reached(counts: &[(PartitionId, i64)]) -> Positions {
    let position = |&(id, next_offset): &(PartitionId, i64)| {
        let fingerprint = next_offset as u64 + 999;
        (specs()[id.index()].partition.clone(), Position { next_offset, fingerprint })
    };
    counts.iter().map(position).collect()
}

/// Two transactions and two events are there, and nothing may be applied yet.
fn follower() -> World {
    let mut world = World::new();
    world.sequencer.follow(&Positions::new());
    for number in 1..=2 {
        world.push(ORDERS, row(number, 1, 1, upsert(0, number)));
        world.push(EVENTS, event(10 + number));
        world.push(TRANSACTIONS, end(number, &[(ORDERS, 1)]));
    }
    world
}

#[test]
fn nothing_is_applied_that_the_run_followed_has_not() {
    let mut world = follower();
    assert!(world.changes().is_empty());
    assert!(world.sequencer.has_caught_up() && world.sequencer.is_replaying());
    world.sequencer.follow(&reached(&[(ORDERS, 1), (TRANSACTIONS, 1)]));
    assert!(!world.sequencer.has_caught_up());
    assert_eq!(world.changes(), [1]);
    assert!(world.sequencer.has_caught_up() && world.sequencer.is_replaying());
    world.sequencer.follow(&reached(&[(ORDERS, 1), (TRANSACTIONS, 1), (EVENTS, 1)]));
    assert_eq!(world.changes(), [11]);
    assert_eq!(world.sequencer.watermarks().number(&gtid(1).server), 1);
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    let mut world = World::new();
    world.sequencer.follow(&reached(&[(ORDERS, 1), (TRANSACTIONS, 1)]));
    assert!(world.changes().is_empty() && !world.sequencer.has_caught_up());
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 1)]));
    assert!(world.changes().is_empty());
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
    assert_eq!(world.changes(), [1]);
    assert!(world.sequencer.has_caught_up());
}

#[test]
fn a_transaction_is_followed_in_parts_and_without_what_was_lost() {
    let mut world = World::new();
    world.sequencer.follow(&Positions::new());
    world.push(TRANSACTIONS, end(1, &[(ORDERS, 3)]));
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1))).push(ORDERS, row(1, 2, 2, upsert(0, 2)));
    assert!(world.changes().is_empty());
    world.sequencer.follow(&reached(&[(ORDERS, 1)]));
    assert_eq!(world.changes(), [1], "a part of it, for its end was not applied");
    assert_eq!(world.sequencer.watermarks(), &Watermarks::default());
    world.sequencer.follow(&reached(&[(ORDERS, 2), (TRANSACTIONS, 1)]));
    assert_eq!(world.changes(), [2]);
    assert_eq!((world.released.incomplete, world.sequencer.has_caught_up()), (1, true));
    assert_eq!(world.sequencer.watermarks().number(&gtid(1).server), 1);
}

#[test]
fn who_succeeds_replays_to_where_the_run_ended_and_goes_on() {
    let mut world = follower();
    world.sequencer.succeed(&reached(&[(ORDERS, 1), (TRANSACTIONS, 1)]));
    assert!(world.sequencer.is_replaying());
    let mut first = Released::default();
    while world.sequencer.is_replaying() {
        assert!(world.sequencer.release(&mut first).unwrap());
    }
    let numbers: Vec<u64> = first.changes.iter().map(number_of).collect();
    assert!(numbers.contains(&1) && !numbers.contains(&2), "{numbers:?}");
    let mut rest = world.changes();
    rest.extend(numbers);
    rest.sort_unstable();
    assert_eq!(rest, [1, 2, 11, 12]);
}

#[test]
fn who_has_caught_up_succeeds_at_once() {
    let mut world = follower();
    let targets = reached(&[(ORDERS, 1), (TRANSACTIONS, 1)]);
    world.sequencer.follow(&targets);
    assert_eq!(world.changes(), [1]);
    world.sequencer.succeed(&targets);
    assert!(!world.sequencer.is_replaying());
    let mut numbers = world.changes();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 11, 12]);
}

#[test]
fn a_table_that_the_run_does_not_read_is_followed_with_its_transactions() {
    const TRANSACTIONS_READ: u64 = 100;
    let mut world = World::new();
    let targets = reached(&[(TRANSACTIONS, TRANSACTIONS_READ as i64)]);
    world.sequencer.follow(&targets);
    for number in 1..=TRANSACTIONS_READ + 1 {
        world.push(TRANSACTIONS, end(number, &[(ORDERS, 1)]));
    }
    assert!(world.changes().is_empty(), "its changes are waited for");
    for number in 1..=TRANSACTIONS_READ + 1 {
        world.push(ORDERS, row(number, 1, 1, upsert(0, number)));
    }
    assert_eq!(world.changes(), (1..=TRANSACTIONS_READ).collect::<Vec<_>>());
    assert_eq!(world.released.incomplete, 0);
    world.sequencer.succeed(&targets);
    assert_eq!(world.changes(), [TRANSACTIONS_READ + 1]);
}

/// Of a transaction that has no end a change came late: the run followed had not seen it.
#[test]
fn what_came_later_does_not_stop_the_transaction_before_which_it_was_made() {
    let mut world = World::new();
    world.sequencer.follow(&reached(&[(ORDERS, 0), (ITEMS, 1), (TRANSACTIONS, 1)]));
    world.push(ORDERS, row(1, 1, 1, upsert(0, 1)));
    world.push(ITEMS, row(2, 1, 1, upsert(1, 2)));
    world.push(TRANSACTIONS, end(2, &[(ITEMS, 1)]));
    assert_eq!(world.changes(), [2]);
    assert!(world.sequencer.has_caught_up());
}
