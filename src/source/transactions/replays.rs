//! Dead letters that are replayed, dropped or superseded, in random histories: whatever the order
//! in which table and commands are read, and wherever a restart cuts, the rows are those that the
//! letters' own places make, and the letters that stay open are the same.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::tests::{BOUNDS, gtid, record};
use super::*;
use crate::change::Op;
use crate::source::record::{BinlogPlace, Command, Hole, LetterId, SnapshotMark};
use crate::sql::{Definitions, SourceFile, plan_views};
use crate::value::{Key, RowWriter, Value};

const ROWS: PartitionId = PartitionId(0);
const COMMANDS: PartitionId = PartitionId(1);

fn plan() -> Arc<Plan> {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let table = "CREATE TABLE t (id int NOT NULL, n bigint NOT NULL, PRIMARY KEY (id));";
    let definitions = Definitions {
        tables: vec![file("t.sql", table)],
        streams: Vec::new(),
        views: vec![file("v.sql", "CREATE VIEW v AS SELECT id, n FROM t;")],
    };
    Arc::new(plan_views(&definitions).unwrap())
}

fn specs() -> Vec<PartitionSpec> {
    let spec = |(topic, role): (&str, Role)| PartitionSpec {
        partition: Partition { topic: topic.to_owned(), number: 0 },
        role,
        start: Position::default(),
        target: None,
        end_at_start: 0,
        lost: None,
    };
    [("t", Role::Table(TableId(0))), ("commands", Role::Commands)].map(spec).into()
}

/// A row or its deletion (0), by its key.
fn change(plan: &Plan, id: i64, n: i64) -> Change {
    let op = match n {
        0 => Op::Delete(key(id)),
        _ => {
            let mut row = RowWriter::new(&plan.tables[0].layout);
            row.set_number(0, id);
            row.set_number(1, n);
            Op::Upsert(row.finish())
        }
    };
    Change { table: TableId(0), op }
}

fn key(id: i64) -> Key {
    let mut key = Key::new();
    key.push(&Value::Int(id));
    key
}

/// A record of the table.
#[derive(Clone, Copy, Debug)]
enum Written {
    Row { id: i64, n: i64 },
    Unreadable { id: i64, n: i64, with_key: bool },
    Truncate,
}

/// A command about the record at this offset.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Replay(usize),
    Drop(usize),
}

/// Rows by key, and the offsets of the letters that stand open.
type World = (BTreeMap<i64, i64>, BTreeSet<i64>);

fn history(random: &mut StdRng) -> (Vec<Written>, Vec<Asked>) {
    let written: Vec<Written> = (1..random.random_range(2..24))
        .map(|n| {
            let (id, n) = (random.random_range(0..4), if random.random_bool(0.2) { 0 } else { n });
            match random.random_range(0..20) {
                0 => Written::Truncate,
                1..9 => Written::Unreadable { id, n, with_key: random.random_bool(0.8) },
                _ => Written::Row { id, n },
            }
        })
        .collect();
    let asked = (0..random.random_range(0..12))
        .map(|_| {
            let at = random.random_range(0..written.len());
            if random.random_bool(0.7) { Asked::Replay(at) } else { Asked::Drop(at) }
        })
        .collect();
    (written, asked)
}

/// What must come of it: everything in the order of the table's own topic, a letter where the first
/// command about it is a replay.
fn expected(written: &[Written], asked: &[Asked]) -> World {
    let first = |at: usize| {
        asked.iter().find(|a| matches!(a, Asked::Replay(of) | Asked::Drop(of) if *of == at))
    };
    let (mut rows, mut open) = World::default();
    let mut of_key: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (at, record) in written.iter().enumerate() {
        let (id, n) = match *record {
            Written::Truncate => {
                rows.clear();
                open.clear();
                of_key.clear();
                continue;
            }
            Written::Unreadable { id, n, with_key } => match (first(at), with_key) {
                (Some(Asked::Replay(_)), true) => (id, n),
                (Some(Asked::Drop(_)), _) => continue,
                (first, _) => {
                    // A replay without a row is refused, but it may still be dropped.
                    let is_drop = |a: &Asked| matches!(a, Asked::Drop(of) if *of == at);
                    if first.is_none() || !asked.iter().any(is_drop) {
                        open.insert(at as i64);
                        if with_key {
                            of_key.entry(id).or_default().push(at as i64);
                        }
                    }
                    continue;
                }
            },
            Written::Row { id, n } => (id, n),
        };
        for closed in of_key.remove(&id).unwrap_or_default() {
            open.remove(&closed);
        }
        match n {
            0 => drop(rows.remove(&id)),
            _ => drop(rows.insert(id, n)),
        }
    }
    (rows, open)
}

/// Reads both topics in random order, restarting now and then.
fn run(random: &mut StdRng, written: &[Written], asked: &[Asked]) -> World {
    let plan = plan();
    let mut sequencer = Sequencer::new(Arc::clone(&plan), specs(), &Applied::default(), BOUNDS);
    let mut rows = BTreeMap::new();
    let (mut next, ends) = ([0, 0], [written.len(), asked.len()]);
    while next != ends {
        let at = random.random_range(0..2);
        if next[at] == ends[at] {
            continue;
        }
        let content = match at {
            0 => content(&plan, written[next[0]], next[0]),
            _ => command(&plan, written, asked[next[1]]),
        };
        sequencer.push(record(PartitionId(at as u16), next[at] as i64, content));
        next[at] += 1;
        let mut released = Released::default();
        while sequencer.release(&mut released).unwrap() {}
        for change in released.changes {
            apply(&plan, &mut rows, change);
        }
        if random.random_bool(0.1) {
            let applied = sequencer.applied();
            let stored: BTreeMap<_, _> = applied
                .partitions
                .into_iter()
                .map(|(partition, of)| {
                    let text = serde_json::to_string(&of).unwrap();
                    (partition, serde_json::from_str::<AppliedPartition>(&text).unwrap())
                })
                .collect();
            let applied = Applied { partitions: stored, ..applied };
            let position = |partition| applied.partitions[partition].position.next_offset as usize;
            let specs = specs();
            next = [position(&specs[0].partition), position(&specs[1].partition)];
            sequencer = Sequencer::new(Arc::clone(&plan), specs, &applied, BOUNDS);
        }
    }
    let (_, letters) = sequencer.letters().next().unwrap();
    (rows, letters.open().keys().copied().collect())
}

fn content(plan: &Plan, written: Written, offset: usize) -> Content {
    match written {
        Written::Row { id, n } => {
            let (mark, of) = (SnapshotMark::Incremental, BinlogPlace::default());
            Content::Snapshot { change: change(plan, id, n), mark, of }
        }
        Written::Unreadable { id, with_key, .. } => {
            Content::Hole(Box::new(Hole { place: None, key: with_key.then(|| key(id)) }))
        }
        Written::Truncate => Content::Truncate { table: TableId(0), gtid: gtid(offset as u64 + 1) },
    }
}

fn command(plan: &Plan, written: &[Written], asked: Asked) -> Content {
    let letter = |at: usize| LetterId {
        partition: ROWS,
        offset: at as i64,
        fingerprint: record(ROWS, at as i64, Content::Ignored).fingerprint,
    };
    Content::Command(Box::new(match asked {
        Asked::Drop(at) => Command::Drop { letter: letter(at) },
        Asked::Replay(at) => {
            let change = match written[at] {
                Written::Row { id, n } | Written::Unreadable { id, n, .. } => {
                    Ok(change(plan, id, n))
                }
                Written::Truncate => Err("it is a TRUNCATE".into()),
            };
            Command::Replay { letter: letter(at), change }
        }
    }))
}

fn apply(plan: &Plan, rows: &mut BTreeMap<i64, i64>, change: Change) {
    let layout = &plan.tables[0].layout;
    let number = |value: Value<'_>| match value {
        Value::Int(number) => number,
        other => panic!("{other:?}"),
    };
    match change.op {
        Op::Upsert(row) => {
            let value = |column| number(layout.value(row.as_bytes(), column));
            rows.insert(value(0), value(1));
        }
        Op::Delete(key) => {
            let ty = plan.tables[0].columns[0].ty;
            rows.remove(&number(key.values(&[ty]).unwrap().remove(0)));
        }
        Op::Truncate => rows.clear(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn replays_have_the_effect_of_their_own_places(seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let (written, asked) = history(&mut random);
        let expected = expected(&written, &asked);
        for _ in 0..4 {
            prop_assert_eq!(run(&mut random, &written, &asked), expected.clone());
        }
    }
}

/// A sequencer with one open letter at offset 0 of row 1, and what comes of a command about it.
fn obeyed(hole: Hole, letter: LetterId, change: Result<Change, Box<str>>) -> (Obeyed, bool) {
    let plan = plan();
    let mut sequencer = Sequencer::new(Arc::clone(&plan), specs(), &Applied::default(), BOUNDS);
    let mut released = Released::default();
    sequencer.push(record(ROWS, 0, Content::Hole(Box::new(hole))));
    let command = Command::Replay { letter, change };
    sequencer.push(record(COMMANDS, 0, Content::Command(Box::new(command))));
    while sequencer.release(&mut released).unwrap() {}
    let is_open = !sequencer.letters().next().unwrap().1.is_empty();
    (released.commands.remove(0), is_open)
}

#[test]
fn a_replay_is_applied_only_to_the_row_and_record_it_is_of() {
    let plan = plan();
    let letter = LetterId { partition: ROWS, offset: 0, fingerprint: 1000 };
    let of_row = || Hole { place: None, key: Some(key(1)) };
    let right = obeyed(of_row(), letter, Ok(change(&plan, 1, 5)));
    assert_eq!(right, (Obeyed::Replayed(letter), false));
    for (hole, change, why) in [
        (of_row(), Ok(change(&plan, 2, 5)), "another row"),
        (Hole::default(), Ok(change(&plan, 1, 5)), "nobody knows which row"),
        (of_row(), Err("still so".into()), "still so"),
    ] {
        let (refused, is_open) = obeyed(hole, letter, change);
        assert!(is_open);
        assert!(
            matches!(&refused, Obeyed::Refused(_, reason) if reason.contains(why)),
            "{refused:?}"
        );
    }
    let other = LetterId { fingerprint: 1001, ..letter };
    let settled = obeyed(of_row(), other, Ok(change(&plan, 1, 5)));
    assert_eq!(settled, (Obeyed::Settled(other), true));
}

#[test]
fn which_view_answers_for_a_name_is_what_the_last_command_says() {
    let mut sequencer = Sequencer::new(plan(), specs(), &Applied::default(), BOUNDS);
    let mut offset = 0;
    let mut obey = |sequencer: &mut Sequencer, name: &str, view: &str| {
        let command = Command::Switch { name: name.to_owned(), view: view.to_owned() };
        sequencer.push(record(COMMANDS, offset, Content::Command(Box::new(command))));
        offset += 1;
        let mut released = Released::default();
        while sequencer.release(&mut released).unwrap() {}
        released.commands.remove(0)
    };
    let of = |sequencer: &Sequencer| {
        let all = sequencer.served().map(|(name, view)| format!("{name} {view}"));
        all.collect::<Vec<_>>()
    };
    for (name, view) in [("a", "a_2"), ("b", "a_2"), ("a", "a_3")] {
        let (name, view) = (name.to_owned(), view.to_owned());
        assert_eq!(obey(&mut sequencer, &name, &view), Obeyed::Switched { name, view });
    }
    assert_eq!(of(&sequencer), ["a a_3", "b a_2"]);
    let stored = sequencer.applied();
    let text = serde_json::to_string(&stored.partitions[&specs()[1].partition]).unwrap();
    let read = serde_json::from_str::<AppliedPartition>(&text).unwrap();
    let applied = Applied { partitions: [(specs()[1].partition.clone(), read)].into(), ..stored };
    let mut sequencer = Sequencer::new(plan(), specs(), &applied, BOUNDS);
    assert_eq!(of(&sequencer), ["a a_3", "b a_2"]);
    obey(&mut sequencer, "a", "a");
    assert_eq!(of(&sequencer), ["a a", "b a_2"]);
    for number in 2..SERVED_MAX {
        obey(&mut sequencer, &format!("name {number}"), "a");
    }
    let name = "one too many".to_owned();
    assert_eq!(obey(&mut sequencer, &name, "a"), Obeyed::OneTooMany { name });
    obey(&mut sequencer, "b", "b");
    assert_eq!((of(&sequencer)[1].as_str(), of(&sequencer).len()), ("b b", SERVED_MAX));
}

#[test]
fn letters_beyond_the_bound_are_counted_until_the_table_is_read_anew() {
    use crate::source::letters::{Beyond, OPEN_MAX};
    let plan = plan();
    let mut sequencer = Sequencer::new(plan, specs(), &Applied::default(), BOUNDS);
    let mut released = Released::default();
    let mut push = |offset: usize, content| {
        sequencer.push(record(ROWS, offset as i64, content));
        while sequencer.release(&mut released).unwrap() {}
        let (_, letters) = sequencer.letters().next().unwrap();
        (letters.open().len(), letters.beyond())
    };
    let hole = || Content::Hole(Box::new(Hole { place: None, key: Some(key(1)) }));
    for offset in 0..=OPEN_MAX {
        push(offset, hole());
    }
    let from = OPEN_MAX as i64;
    assert_eq!(push(OPEN_MAX + 1, hole()), (OPEN_MAX, Some(Beyond { from, count: 2 })));
    let truncate = Content::Truncate { table: TableId(0), gtid: gtid(1) };
    assert_eq!(push(OPEN_MAX + 2, truncate), (0, None));
    assert_eq!(released.beyond, [ROWS; 3]);
}
