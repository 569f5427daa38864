//! Range replacement and index entries against a model, over random steps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use viewtide::dial::Dialer;
use viewtide::engine::Document;
use viewtide::keyspace::Keyspace;
use viewtide::sink::{Claim, Sink, Step, Target};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::value::{Key, Value};

use crate::support::plan::{INT, TEXT, add_view, int, key};
use crate::support::redis::RedisServer;

const VIEW: Target = Target { view: ViewId(0), generation: 3 };

/// One document as the model has it: its body and the value of each index.
type Content = (u8, Option<String>, i64);

fn plan() -> Plan {
    let mut plan = Plan::default();
    let columns = [("id", INT), ("a", TEXT), ("b", INT)];
    add_view(&mut plan, "v", &columns, 1, &[&[1], &[2, 1]], false);
    plan
}

fn index_values((_, a, b): &Content) -> Vec<Key> {
    let a = a.clone().map_or(Value::Null, |a| Value::Text(a.into()));
    vec![key(std::slice::from_ref(&a)), key(&[Value::Int(*b), a])]
}

async fn claimed(redis: &RedisServer) -> Sink {
    let mut sink = Sink::new(Dialer::new(&redis.url()).unwrap(), &Keyspace::new("test"), &plan());
    assert!(matches!(sink.claim(0).await.unwrap(), Claim::Owned(_)));
    sink
}

fn set(step: &mut Step, number: i64, content: &Content) {
    let body = format!("{{\"n\":{}}}", content.0).into_bytes();
    step.set(VIEW, int(number), Document::Present { body, index_values: index_values(content) });
}

/// Everything of the view in Redis.
#[derive(Debug, PartialEq)]
struct Stored {
    docs: BTreeMap<Vec<u8>, String>,
    keys: Vec<Vec<u8>>,
    index: Vec<Vec<u8>>,
    entries: Vec<Vec<u8>>,
}

fn stored(redis: &RedisServer) -> Stored {
    let mut entries: Vec<Vec<u8>> = redis.run(&["HKEYS", "{viewtide:test}:v:3:entries"]);
    entries.sort();
    Stored {
        docs: redis.run(&["HGETALL", "{viewtide:test}:v:3:docs"]),
        keys: redis.run(&["ZRANGE", "{viewtide:test}:v:3:keys", "0", "-1"]),
        index: redis.run(&["ZRANGE", "{viewtide:test}:v:3:index", "0", "-1"]),
        entries,
    }
}

fn expected(model: &BTreeMap<i64, Content>) -> Stored {
    let keys: Vec<Vec<u8>> = model.keys().map(|n| int(*n).as_bytes().to_vec()).collect();
    let mut index: Vec<Vec<u8>> = model
        .iter()
        .flat_map(|(number, content)| {
            let key = int(*number);
            let member = move |(at, values): (usize, Key)| {
                [&[at as u8], values.as_bytes(), key.as_bytes()].concat()
            };
            index_values(content).into_iter().enumerate().map(member).collect::<Vec<_>>()
        })
        .collect();
    index.sort();
    Stored {
        docs: model
            .iter()
            .map(|(n, c)| (int(*n).as_bytes().to_vec(), format!("{{\"n\":{}}}", c.0)))
            .collect(),
        keys: keys.clone(),
        index,
        entries: keys,
    }
}

/// One step: documents set or removed, then ranges in which nothing else is left.
#[derive(Clone, Debug)]
struct Change {
    set: BTreeMap<i64, Content>,
    remove: Vec<i64>,
    ranges: Vec<(Option<i64>, Option<i64>)>,
}

fn change() -> impl Strategy<Value = Change> {
    let number = -12i64..12;
    let content = (any::<u8>(), proptest::option::of("[a\\x00]{0,2}"), -2i64..2);
    let bound = || proptest::option::weighted(0.8, -12i64..12);
    (
        proptest::collection::btree_map(number.clone(), content, 0..8),
        proptest::collection::vec(number, 0..4),
        proptest::collection::vec((bound(), bound()), 0..2),
    )
        .prop_map(|(set, remove, ranges)| Change { set, remove, ranges })
}

fn apply(model: &mut BTreeMap<i64, Content>, change: &Change) -> Step {
    let mut step = Step::new();
    for (number, content) in &change.set {
        set(&mut step, *number, content);
        model.insert(*number, content.clone());
    }
    for number in change.remove.iter().filter(|number| !change.set.contains_key(number)) {
        step.set(VIEW, int(*number), Document::Absent);
        model.remove(number);
    }
    for (after, until) in &change.ranges {
        step.replace(VIEW, after.map(int), until.map(int));
        model.retain(|number, _| {
            let inside =
                after.is_none_or(|after| *number > after) && until.is_none_or(|u| *number <= u);
            !inside || change.set.contains_key(number)
        });
    }
    step
}

#[test]
fn steps_leave_what_the_model_has() {
    let redis = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases: 64, ..ProptestConfig::default() };
    proptest!(config, |(changes in proptest::collection::vec(change(), 1..8))| {
        redis.run::<()>(&["FLUSHALL"]);
        runtime.block_on(async {
            let mut sink = claimed(&redis).await;
            let mut model = BTreeMap::new();
            for change in &changes {
                let step = apply(&mut model, change);
                sink.commit(&step).await.unwrap();
                prop_assert_eq!(stored(&redis), expected(&model));
            }
            Ok(())
        })?;
    });
}

#[tokio::test]
async fn a_crowded_range_is_swept_in_parts() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis).await;
    let all = 30_000i64;
    for from in (0..all).step_by(10_000) {
        let mut step = Step::new();
        for number in from..from + 10_000 {
            set(&mut step, number, &(1, Some("old".into()), number % 7));
        }
        sink.commit(&step).await.unwrap();
    }
    let mut model: BTreeMap<i64, Content> =
        (0..10).map(|number| (number, (1, Some("old".to_owned()), number % 7))).collect();
    let mut step = Step::new();
    for number in (10..all).step_by(1000) {
        let content = (2, Some("new".to_owned()), 3);
        set(&mut step, number, &content);
        model.insert(number, content);
    }
    step.replace(VIEW, Some(int(9)), None);
    // Meanwhile a reader looks for a document that is there before and after.
    let (client, done) = (redis.client(), Arc::new(AtomicBool::new(false)));
    let reader = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let mut connection = client.get_connection().unwrap();
            let mut look = redis::cmd("HEXISTS");
            look.arg("{viewtide:test}:v:3:docs").arg(int(10).as_bytes());
            let mut always = true;
            while !done.load(Ordering::Relaxed) {
                always &= look.query::<bool>(&mut connection).unwrap();
            }
            always
        }
    });
    sink.commit(&step).await.unwrap();
    done.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap(), "what stays is never gone");
    assert_eq!(stored(&redis), expected(&model));
    let meta = sink.read_meta().await.unwrap();
    assert_eq!(meta.seq, 4, "sub-steps are no steps");
}
