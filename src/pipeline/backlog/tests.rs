use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::change::{Change, Op};
use crate::sql::plan::{NodeId, TableId};
use crate::sql::{Definitions, SourceFile, plan_views};
use crate::telemetry::Readiness;
use crate::value::{RowWriter, Value};

const VIEW: ViewId = ViewId(0);

fn plan() -> Arc<Plan> {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let definitions = Definitions {
        tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
        streams: Vec::new(),
        views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
    };
    Arc::new(plan_views(&definitions).unwrap())
}

/// The view is filled into its first generation.
fn views(plan: &Plan) -> Views {
    let mut views = Views::new(plan, Readiness::new());
    views.start_fill(VIEW, plan.view(VIEW));
    views
}

fn key(number: i64) -> Key {
    let mut key = Key::new();
    key.push(&Value::Int(number));
    key
}

fn engine(plan: &Arc<Plan>, rows: i64) -> Engine {
    let mut engine = Engine::new(Arc::clone(plan));
    let mut row = RowWriter::new(&plan.tables[0].layout);
    for number in 0..rows {
        row.set_number(0, number);
        engine.apply(Change { table: TableId(0), op: Op::Upsert(row.finish()) });
    }
    engine
}

#[test]
fn too_many_fan_outs_are_a_fill() {
    let plan = plan();
    let mut backlog = Backlog::default();
    for number in 0..=FANOUTS_MAX as i64 {
        let fanout = Fanout { view: VIEW, node: NodeId(0), key: key(number), cursor: None };
        assert!(!backlog.fills(VIEW));
        assert_eq!(backlog.len(), number as usize);
        backlog.fan_out(&plan, fanout);
    }
    assert!(backlog.fills(VIEW));
    assert_eq!(backlog.len(), 1);
}

#[test]
fn a_fill_covers_every_key_in_adjoining_ranges_however_it_is_cut() {
    let plan = plan();
    for done in 1..=4 {
        let mut engine = engine(&plan, 10);
        let mut backlog = Backlog::default();
        backlog.fill(VIEW);
        let (mut keys, mut reached) = (Vec::new(), None);
        while let Some(mut chunk) = backlog.next_chunk(&mut engine, 4) {
            backlog.return_rest(&mut chunk, done);
            let range = chunk.range.unwrap();
            assert_eq!(range.after, reached);
            reached = range.until.clone();
            keys.extend(chunk.keys);
            assert_eq!(range.until.is_none(), backlog.is_empty());
        }
        assert_eq!(keys, (0..10).map(key).collect::<Vec<_>>());
    }
}

#[test]
fn entries_take_turns_and_a_fill_replaces_what_was_due() {
    let plan = plan();
    let mut engine = engine(&plan, 3);
    let mut backlog = Backlog::default();
    backlog.keys(VIEW, (0..3).map(key));
    backlog.applied("1-1");
    backlog.keys(VIEW, [key(7)]);
    assert_eq!(backlog.next_chunk(&mut engine, 2).unwrap().keys, [key(0), key(1)]);
    assert_eq!(backlog.next_chunk(&mut engine, 2).unwrap().keys, [key(7)]);
    backlog.fill(VIEW);
    assert_eq!((backlog.len(), backlog.fills(VIEW)), (1, true));
}

/// Of views with any number of entries, whatever their chunks cost.
#[test]
fn no_view_waits_for_more_than_the_others_have_had() {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let view = |name: &str| file(name, &format!("CREATE VIEW {name} AS SELECT id FROM t;"));
    let plan = plan_views(&Definitions {
        tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
        streams: Vec::new(),
        views: ["a", "b", "c"].map(view).into(),
    });
    let plan = Arc::new(plan.unwrap());
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut engine, mut backlog) = (engine(&plan, 1), Backlog::default());
        // Since both views were due last: the turns that each has had, and the dearest of them.
        let (mut turns, mut dearest) = ([0_u64; 3], 0);
        for number in 0..300 {
            for view in 0..3 {
                let is_always_due = view < 2;
                for _ in 0..if is_always_due { 1 } else { random.random_range(0..4) } {
                    backlog.applied(&number.to_string());
                    backlog.keys(ViewId(view), [key(number)]);
                }
            }
            let chunk = backlog.next_chunk(&mut engine, 1).unwrap();
            let cost = if random.random_bool(0.1) { random.random_range(1..50) } else { 1 };
            backlog.spent(&chunk, 1, cost);
            turns[usize::from(chunk.view.0)] += cost;
            dearest = dearest.max(cost);
            let ahead = turns[0].abs_diff(turns[1]);
            assert!(ahead <= dearest, "seed {seed}: {turns:?}, the dearest {dearest}");
            assert!(turns[2] <= turns[0].max(turns[1]) + dearest, "seed {seed}: {turns:?}");
        }
    }
}

#[test]
fn too_many_keys_become_a_fill() {
    let plan = plan();
    let mut engine = engine(&plan, 3);
    let mut backlog = Backlog::default();
    backlog.keys(VIEW, (0..KEYS_MAX as i64).map(key));
    backlog.fan_out(&plan, Fanout { view: VIEW, node: NodeId(0), key: key(5), cursor: None });
    assert_eq!((backlog.len(), backlog.fills(VIEW)), (2, false));
    backlog.keys(VIEW, [key(-1)]);
    assert_eq!((backlog.len(), backlog.fills(VIEW)), (1, true));
    let chunk = backlog.next_chunk(&mut engine, 4).unwrap();
    assert_eq!(chunk.keys, [key(0), key(1), key(2)]);
    assert_eq!(chunk.range, Some(KeyRange { after: None, until: None }));
}

#[test]
fn what_is_stored_is_taken_up_again_and_only_when_it_changed() {
    let plan = plan();
    let mut backlog = Backlog::at("1-3");
    assert_eq!(backlog.take_store(&plan, &views(&plan)), None);
    backlog.keys(VIEW, [key(1), key(2)]);
    backlog.fan_out(&plan, Fanout { view: VIEW, node: NodeId(0), key: key(5), cursor: Some(9) });
    let stored = backlog.take_store(&plan, &views(&plan)).unwrap().unwrap();
    assert_eq!(backlog.take_store(&plan, &views(&plan)), None);
    let again = Backlog::from_text(&stored, "1-9", &plan, |_| true).unwrap();
    let since = Moment { number: 0, applied: "1-3".into() };
    let fanout = Fanout { view: VIEW, node: NodeId(0), key: key(5), cursor: None };
    let keys = [key(1), key(2)].into();
    let keys = Work::Keys { view: VIEW, since: since.clone(), keys };
    assert_eq!(again.work, [keys, Work::Fanout { since, depth: 0, fanout }]);
    assert!(Backlog::from_text(&stored, "", &plan, |of| of.generation != 1).unwrap().is_empty());
    for other in [
        "[]",
        r#"{"moments": [], "work": [{"view": "v", "generation": 1, "since": 0, "keys": []}]}"#,
    ] {
        assert!(Backlog::from_text(other, "", &plan, |_| true).is_none());
    }
}

#[test]
fn what_is_certain_is_what_was_applied_before_the_oldest_entry_left() {
    let plan = plan();
    let mut engine = engine(&plan, 3);
    let mut backlog = Backlog::at("1-1");
    backlog.keys(VIEW, [key(0), key(1)]);
    backlog.applied("1-2");
    assert_eq!(backlog.certain(VIEW), Some("1-1"));
    // Something is due at all times, but never the same for long.
    for number in 2..60 {
        let applied = format!("1-{number}");
        backlog.applied(&applied);
        backlog.keys(VIEW, [key(number), key(number + 1)]);
        let mut chunk = backlog.next_chunk(&mut engine, 2).unwrap();
        backlog.return_rest(&mut chunk, 1);
        assert_eq!(backlog.certain(VIEW), Some(format!("1-{}", number - 1).as_str()));
        backlog.work.rotate_left(1);
        backlog.next_chunk(&mut engine, 2).unwrap();
        assert_eq!(backlog.certain(VIEW), Some(applied.as_str()));
    }
}

#[test]
fn what_leaves_a_fan_out_stays_due_since_the_fan_out_came() {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let table = |name: &str| {
        let text =
            format!("CREATE TABLE {name} (id int NOT NULL, up int NOT NULL, PRIMARY KEY (id));");
        SourceFile { path: format!("{name}.sql"), text }
    };
    let sql = "CREATE VIEW v AS SELECT a.id, b.up AS b_up, c.up AS c_up
        FROM a LEFT JOIN b ON b.id = a.up LEFT JOIN c ON c.id = b.up;";
    let plan = plan_views(&Definitions {
        tables: ["a", "b", "c"].map(table).into(),
        streams: Vec::new(),
        views: vec![file("v.sql", sql)],
    });
    let plan = plan.unwrap();
    let node_of = |table: &str| {
        let is_of = |node: &crate::sql::plan::Node| plan.table(node.table).name == table;
        NodeId(plan.view(VIEW).nodes.iter().position(is_of).unwrap() as u16)
    };
    let fanout =
        |table, number| Fanout { view: VIEW, node: node_of(table), key: key(number), cursor: None };
    let mut backlog = Backlog::at("1-1");
    let since = |backlog: &Backlog| backlog.work.back().unwrap().since().applied.to_string();
    backlog.fan_out(&plan, fanout("c", 1));
    backlog.applied("1-2");
    // A row of `c` moves nothing; one of `b` or `a` may move documents away from those of `c`.
    backlog.fan_out(&plan, fanout("c", 2));
    assert_eq!(since(&backlog), "1-2");
    backlog.fan_out(&plan, fanout("b", 3));
    assert_eq!(since(&backlog), "1-1");
    backlog.work.pop_front();
    backlog.work.pop_back();
    backlog.applied("1-3");
    backlog.keys(VIEW, [key(1)]);
    assert_eq!(since(&backlog), "1-2");
    backlog.work.clear();
    backlog.keys(VIEW, [key(1)]);
    assert_eq!(since(&backlog), "1-3");
}

#[test]
fn what_is_certain_is_known_again_after_a_restart() {
    let plan = plan();
    let mut engine = engine(&plan, 3);
    let mut backlog = Backlog::at("1-1");
    let fanout = Fanout { view: VIEW, node: NodeId(0), key: key(5), cursor: None };
    backlog.fan_out(&plan, fanout);
    backlog.applied("1-2");
    backlog.keys(VIEW, [key(1)]);
    backlog.applied("1-3");
    let stored = backlog.take_store(&plan, &views(&plan)).unwrap().unwrap();
    let mut backlog = Backlog::from_text(&stored, "1-3", &plan, |_| true).unwrap();
    assert_eq!(backlog.certain(VIEW), Some("1-1"));
    backlog.keys(VIEW, [key(2)]);
    backlog.work.pop_front();
    assert_eq!(backlog.certain(VIEW), Some("1-2"));
    backlog.next_chunk(&mut engine, 2);
    assert_eq!(backlog.certain(VIEW), Some("1-3"));
    backlog.next_chunk(&mut engine, 2);
    assert_eq!(backlog.certain(VIEW), None);
}

#[test]
fn moments_are_bounded_and_what_came_due_later_counts_as_due_earlier() {
    let plan = plan();
    let mut backlog = Backlog::at("0");
    for number in 0..1000 {
        backlog.keys(VIEW, [key(number)]);
        backlog.applied(&format!("1-{}", number + 1));
    }
    assert_eq!((backlog.moments().len(), backlog.len()), (MOMENTS_MAX, MOMENTS_MAX));
    assert_eq!(backlog.certain(VIEW), Some("0"));
    backlog.work.drain(..MOMENTS_MAX - 1);
    let last = format!("1-{}", MOMENTS_MAX - 1);
    assert_eq!(backlog.certain(VIEW), Some(last.as_str()));
    backlog.applied("1-1000");
    backlog.keys(VIEW, [key(0)]);
    backlog.work.pop_front();
    assert_eq!(backlog.certain(VIEW), Some("1-1000"));
    assert!(backlog.take_store(&plan, &views(&plan)).unwrap().unwrap().len() < 200);
}

#[test]
fn a_fill_goes_around_when_too_much_comes_due_and_so_ends() {
    let plan = plan();
    let mut engine = engine(&plan, 10);
    let mut backlog = Backlog::at("1-1");
    backlog.fill(VIEW);
    let flood = || (0..=KEYS_MAX as i64).map(key);
    let mut passed: Vec<(Vec<Key>, bool)> = Vec::new();
    let mut go_on = |backlog: &mut Backlog| {
        let stored = backlog.to_text(&plan, &views(&plan));
        *backlog = Backlog::from_text(&stored, "1-2", &plan, |_| true).unwrap();
        let mut chunk = backlog.next_chunk(&mut engine, 4).unwrap();
        backlog.return_rest(&mut chunk, 3);
        let ends = chunk.range.unwrap().until.is_none();
        passed.push((chunk.keys, ends));
    };
    go_on(&mut backlog);
    go_on(&mut backlog);
    backlog.applied("1-2");
    backlog.keys(VIEW, flood());
    assert_eq!((backlog.len(), backlog.certain(VIEW)), (1, Some("")));
    go_on(&mut backlog);
    go_on(&mut backlog);
    // Every key was passed: what was applied when more came due is certain.
    assert_eq!(backlog.certain(VIEW), Some("1-2"));
    go_on(&mut backlog);
    backlog.keys(VIEW, flood());
    assert_eq!((backlog.len(), backlog.certain(VIEW)), (1, Some("1-2")));
    while backlog.fills(VIEW) {
        go_on(&mut backlog);
    }
    let keys = |keys: std::ops::Range<i64>, ends| (keys.map(key).collect::<Vec<_>>(), ends);
    assert_eq!(
        passed,
        [
            keys(0..3, false),
            keys(3..6, false),
            keys(6..9, false),
            keys(9..10, true),
            keys(0..3, false),
            keys(3..6, false),
            keys(6..9, false),
            keys(9..10, true),
            keys(0..3, false),
        ]
    );
    assert_eq!(backlog.certain(VIEW), None);
}

#[test]
fn what_is_certain_rises_though_a_fill_never_ends() {
    let plan = plan();
    let mut engine = engine(&plan, 10);
    let mut backlog = Backlog::at("0");
    backlog.refill(VIEW);
    let mut told = Vec::new();
    for number in 1..=20 {
        // A step of three documents, and too much comes due again each time.
        backlog.next_chunk(&mut engine, 3).unwrap();
        let certain = backlog.certain(VIEW).unwrap().parse::<u64>().unwrap();
        let stored = backlog.to_text(&plan, &views(&plan));
        let again = Backlog::from_text(&stored, "-", &plan, |_| true).unwrap();
        assert_eq!(again.certain(VIEW), backlog.certain(VIEW));
        told.push(certain);
        backlog.applied(&number.to_string());
        backlog.refill(VIEW);
    }
    assert!(told.is_sorted() && *told.last().unwrap() >= 12, "{told:?}");
    // Between two rises it went around less than twice: 10 documents, 3 with each step.
    for number in 0..20 {
        assert!(told[number] + 8 > number as u64, "{told:?}");
    }
    while backlog.next_chunk(&mut engine, 3).is_some() {}
    assert_eq!(backlog.certain(VIEW), None);
}

/// However a fill is refilled, restarted, and given less room than it has keys.
#[test]
fn what_a_fill_tells_as_certain_it_has_brought() {
    let plan = plan();
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut engine, mut backlog) = (engine(&plan, 10), Backlog::at("0"));
        // The first transaction whose change of a document is not brought.
        let (mut missing, mut now) = ([Some(1); 10], 0);
        backlog.refill(VIEW);
        while now < 100 {
            if random.random_bool(0.3) {
                now += 1;
                backlog.applied(&now.to_string());
            }
            if random.random_bool(0.2) {
                missing.iter_mut().for_each(|first| *first = first.or(Some(now + 1)));
                backlog.refill(VIEW);
            }
            if random.random_bool(0.1) {
                let stored = backlog.to_text(&plan, &views(&plan));
                backlog = Backlog::from_text(&stored, &now.to_string(), &plan, |_| true).unwrap();
            }
            let max = random.random_range(1..5);
            let Some(mut chunk) = backlog.next_chunk(&mut engine, max) else { continue };
            let done = random.random_range(1..5);
            backlog.spent(&chunk, done, random.random_range(0..5));
            backlog.return_rest(&mut chunk, done);
            for (number, first) in missing.iter_mut().enumerate() {
                *first = first.filter(|_| !chunk.keys.contains(&key(number as i64)));
            }
            let certain = backlog.certain(VIEW).map_or(now, |certain| certain.parse().unwrap());
            let lacks = missing.iter().flatten().any(|first| *first <= certain);
            assert!(!lacks, "seed {seed}: {certain}, but {missing:?}");
        }
    }
}

#[test]
fn a_fill_that_has_passed_the_last_key_is_stored_at_once() {
    let plan = plan();
    let mut engine = engine(&plan, 10);
    let mut backlog = Backlog::at("1-1");
    backlog.fill(VIEW);
    backlog.next_chunk(&mut engine, 5).unwrap();
    backlog.refill(VIEW);
    backlog.take_store(&plan, &views(&plan)).unwrap();
    backlog.next_chunk(&mut engine, 2).unwrap();
    assert_eq!(backlog.take_store(&plan, &views(&plan)), None, "nothing that matters");
    backlog.next_chunk(&mut engine, 5).unwrap();
    assert_eq!(backlog.certain(VIEW), Some("1-1"));
    let stored = backlog.take_store(&plan, &views(&plan)).unwrap().unwrap();
    let again = Backlog::from_text(&stored, "1-1", &plan, |_| true).unwrap();
    assert_eq!(again.certain(VIEW), Some("1-1"), "not that documents may be missing");
}
