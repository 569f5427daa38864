//! Steps, claims and their faults against a real Redis.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use viewtide::change::{Partition, Position};
use viewtide::dial::Dialer;
use viewtide::engine::Document;
use viewtide::keyspace::{Generations, Keyspace, StepTrace};
use viewtide::sink::{Claim, Meta, Sink, SinkError, Step, Target};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::value::Value;

use crate::support::generations::{current, filling};
use crate::support::plan::{INT, TEXT, add_view, int, key};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, free_port};

const ORDERS: Target = Target { view: ViewId(0), generation: 1 };
const PLAIN: Target = Target { view: ViewId(1), generation: 1 };
const META: &str = "{viewtide:test}:meta";

fn plan() -> Plan {
    let mut plan = Plan::default();
    add_view(&mut plan, "orders", &[("id", INT), ("status", TEXT)], 1, &[&[1]], false);
    add_view(&mut plan, "plain", &[("id", INT)], 1, &[], false);
    plan
}

fn sink_at(address: &str) -> Sink {
    let dialer = Dialer::new(&format!("redis://{address}")).unwrap();
    Sink::new(dialer, &Keyspace::new("test"), &plan())
}

async fn claimed(address: &str) -> Sink {
    let mut sink = sink_at(address);
    own(&mut sink).await;
    sink
}

async fn own(sink: &mut Sink) -> Meta {
    match sink.claim(0).await.unwrap() {
        Claim::Owned(meta) => *meta,
        Claim::Held { lease_left } => panic!("held for {lease_left:?}"),
    }
}

fn present(body: &str, status: &str) -> Document {
    let index_values = vec![key(&[Value::Text(status.to_owned().into())])];
    Document::Present { body: body.into(), index_values }
}

fn plain(number: i64) -> Step {
    let mut step = Step::new();
    let document =
        Document::Present { body: format!("{number}").into_bytes(), index_values: Vec::new() };
    step.set(PLAIN, int(number), document);
    step
}

fn docs(redis: &RedisServer, view: &str) -> BTreeMap<Vec<u8>, String> {
    redis.run(&["HGETALL", &format!("{{viewtide:test}}:{view}:1:docs")])
}

fn members(redis: &RedisServer, key: &str) -> Vec<Vec<u8>> {
    redis.run(&["ZRANGE", &format!("{{viewtide:test}}:{key}"), "0", "-1"])
}

fn seq(redis: &RedisServer) -> u64 {
    redis.run(&["HGET", META, "seq"])
}

/// Ends the owner's lease, as three seconds without a step do.
fn end_lease(redis: &RedisServer) {
    redis.run::<()>(&["HSET", META, "lease", "0"]);
}

#[tokio::test]
async fn a_view_that_is_dropped_leaves_nothing_and_only_by_its_owner() {
    let redis = RedisServer::start();
    let plan = plan();
    let mut former = claimed(&redis.address()).await;
    let mut step = plain(5);
    let orders = plan.view(ORDERS.view);
    step.set(ORDERS, int(1), present("{}", "new"));
    step.set(Target { generation: 2, ..ORDERS }, int(1), present("{}", "old"));
    let held = Generations { next: filling(orders, 2).next, ..current(orders, 1) };
    step.generations("orders", &held);
    step.behind("orders", Some(String::new()));
    former.commit(&step).await.unwrap();
    let kept = || redis.run::<Vec<String>>(&["KEYS", "{viewtide:test}:orders:*"]).len();
    assert_eq!(kept(), 8);

    // The view that is dropped is none of this plan.
    let mut one = Plan::default();
    add_view(&mut one, "plain", &[("id", INT)], 1, &[], false);
    let dialer = Dialer::new(&redis.url()).unwrap();
    let mut sink = Sink::new(dialer, &Keyspace::new("test"), &one);
    end_lease(&redis);
    assert_eq!(own(&mut sink).await.views["orders"], held);
    let mut late = Step::new();
    late.drop_view("orders", &held);
    assert!(matches!(former.commit(&late).await, Err(SinkError::Fenced { .. })));
    assert_eq!(kept(), 8);

    let mut step = Step::new();
    let plain = Target { view: ViewId(0), generation: 1 };
    step.set(plain, int(6), Document::Present { body: "6".into(), index_values: Vec::new() });
    step.drop_view("orders", &held);
    sink.commit(&step).await.unwrap();
    assert_eq!(kept(), 0);
    let meta = sink.read_meta().await.unwrap();
    assert!(meta.views.is_empty() && meta.behind.is_empty());
    assert_eq!(docs(&redis, "plain").into_values().collect::<Vec<_>>(), ["5", "6"]);
}

#[tokio::test]
async fn a_step_changes_documents_index_and_meta_together() {
    let redis = RedisServer::start();
    let plan = plan();
    let mut sink = claimed(&redis.address()).await;
    let partition = Partition { topic: "mysql.shop.orders".into(), number: 0 };
    let mut step = Step::new();
    let orders = plan.view(ORDERS.view);
    step.generations("orders", &filling(orders, 1));
    step.set(ORDERS, int(2), present("{\"id\":2}", "new"));
    step.set(ORDERS, int(1), present("{\"id\":1}", "new"));
    let message = "out of range".to_owned();
    step.set(ORDERS, int(3), Document::Error { code: 1690, column: Some("x".into()), message });
    step.position(&partition, Position { next_offset: 7, fingerprint: u64::MAX });
    step.applied(&"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9".parse().unwrap());
    step.backlog(Some("work".into()));
    sink.commit(&step).await.unwrap();

    assert_eq!(docs(&redis, "orders")[int(1).as_bytes()], "{\"id\":1}");
    assert!(docs(&redis, "orders")[int(3).as_bytes()].starts_with("!{\"code\":1690,"));
    let keys = members(&redis, "orders:1:keys");
    assert_eq!(keys, [1, 2, 3].map(|n| int(n).as_bytes().to_vec()));
    assert_eq!(members(&redis, "orders:1:index").len(), 2);
    let meta = sink.read_meta().await.unwrap();
    assert_eq!((meta.epoch, meta.seq), (1, 1));
    assert_eq!(meta.positions[&partition], Position { next_offset: 7, fingerprint: u64::MAX });
    assert_eq!(meta.applied.to_string(), "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9");
    assert_eq!(meta.backlog.as_deref(), Some("work"));
    assert_eq!(meta.views["orders"], filling(orders, 1));
    assert!(meta.lease_left > Duration::ZERO && meta.lease_left <= viewtide::sink::LEASE);

    let mut step = Step::new();
    step.set(ORDERS, int(1), Document::Absent);
    step.set(ORDERS, int(2), present("{\"id\":2,\"x\":1}", "old"));
    step.generations("orders", &current(orders, 1));
    step.backlog(None);
    sink.commit(&step).await.unwrap();
    assert_eq!(docs(&redis, "orders").len(), 2);
    assert_eq!(members(&redis, "orders:1:keys").len(), 2);
    let index = members(&redis, "orders:1:index");
    assert_eq!(index.len(), 1, "the entries of what the documents were are gone");
    assert!(index[0].starts_with(b"\0\x01old"));
    let entries: BTreeMap<Vec<u8>, Vec<u8>> =
        redis.run(&["HGETALL", "{viewtide:test}:orders:1:entries"]);
    assert_eq!(entries.len(), 2);
    let meta = sink.read_meta().await.unwrap();
    assert_eq!((meta.seq, meta.backlog), (2, None));
    assert_eq!(meta.views["orders"], current(orders, 1));
}

/// What is being filled does not touch what is read, whatever both hold; the switch drops the other.
#[tokio::test]
async fn generations_are_apart_until_one_is_dropped() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    let plan = plan();
    let orders = plan.view(ORDERS.view);
    let next = Target { generation: 2, ..ORDERS };
    let mut step = Step::new();
    step.set(ORDERS, int(1), present("{}", "new"));
    step.set(ORDERS, int(2), present("{}", "new"));
    step.generations("orders", &current(orders, 1));
    sink.commit(&step).await.unwrap();
    let mut step = Step::new();
    step.set(next, int(1), present("{\"x\":1}", "old"));
    step.replace(next, None, None);
    sink.commit(&step).await.unwrap();
    assert_eq!(docs(&redis, "orders").len(), 2);
    assert_eq!(members(&redis, "orders:1:index").len(), 2);
    assert!(members(&redis, "orders:2:index")[0].starts_with(b"\0\x01old"));
    let mut step = Step::new();
    step.generations("orders", &current(orders, 2));
    step.drop_generation("orders", 1);
    sink.commit(&step).await.unwrap();
    let mut left: Vec<String> = redis.run(&["KEYS", "{viewtide:test}:orders:*"]);
    left.sort();
    let kinds = ["docs", "entries", "index", "keys"];
    assert_eq!(left, kinds.map(|kind| format!("{{viewtide:test}}:orders:2:{kind}")));
}

#[tokio::test]
async fn only_one_claim_lives_and_the_older_is_fenced() {
    let redis = RedisServer::start();
    let mut first = claimed(&redis.address()).await;
    let mut second = sink_at(&redis.address());
    let Claim::Held { lease_left } = second.claim(40).await.unwrap() else {
        panic!("two claims live")
    };
    assert!(lease_left > Duration::ZERO && lease_left <= viewtide::sink::LEASE);
    first.renew().await.unwrap();

    end_lease(&redis);
    first.renew().await.unwrap();
    assert!(matches!(second.claim(40).await.unwrap(), Claim::Held { .. }), "renewed in time");
    end_lease(&redis);
    let Claim::Owned(meta) = second.claim(40).await.unwrap() else { panic!("the lease is over") };
    assert_eq!(meta.epoch, 41, "above what the claimer knew of");
    second.commit(&plain(1)).await.unwrap();
    for result in [first.commit(&plain(2)).await, first.renew().await, first.release().await] {
        assert!(matches!(result, Err(SinkError::Fenced { epoch: 41 })), "{result:?}");
    }
    assert_eq!(docs(&redis, "plain").len(), 1, "the fenced one wrote nothing");
    assert_eq!(seq(&redis), 1);
}

#[tokio::test]
async fn a_released_claim_is_free_at_once() {
    let redis = RedisServer::start();
    let mut first = claimed(&redis.address()).await;
    first.commit(&plain(1)).await.unwrap();
    first.release().await.unwrap();
    let mut second = sink_at(&redis.address());
    let meta = own(&mut second).await;
    assert_eq!((meta.epoch, meta.seq), (2, 1));
    assert!(matches!(first.commit(&plain(2)).await, Err(SinkError::Rewound { .. })));
}

#[tokio::test]
async fn a_step_whose_reply_is_lost_counts_once() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.address()).await;
    let mut sink = claimed(proxy.address()).await;
    for (number, bytes) in [(1, 0), (2, 1), (3, 7)] {
        sink.commit(&plain(100 + number)).await.unwrap();
        let before = seq(&redis);
        proxy.set(Fault::CutReplyAfter(bytes));
        sink.commit(&plain(number)).await.unwrap();
        assert_eq!(proxy.fault(), Fault::None, "the reply was cut");
        assert_eq!(seq(&redis), before + 1);
        assert!(docs(&redis, "plain").contains_key(int(number).as_bytes()));
    }
}

#[tokio::test]
async fn a_claim_whose_reply_is_lost_counts_once() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.address()).await;
    let mut sink = claimed(proxy.address()).await;
    // Cut further and further on, so that some cut falls into the reply to the claim itself.
    let mut lost_after_it_landed = 0;
    for bytes in (0..).step_by(8) {
        let epoch = redis.run::<u64>(&["HGET", META, "epoch"]);
        proxy.set(Fault::CutReplyAfter(bytes));
        match sink.claim(0).await {
            Err(SinkError::Retry { .. }) => {
                lost_after_it_landed += redis.run::<u64>(&["HGET", META, "epoch"]) - epoch;
                proxy.set(Fault::None);
                assert_eq!(own(&mut sink).await.epoch, epoch + 1, "cut after {bytes} bytes");
            }
            Ok(Claim::Owned(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(lost_after_it_landed > 0);
    proxy.set(Fault::None);
    sink.commit(&plain(1)).await.unwrap();
}

/// Commits a step as often as it takes, within reason.
async fn settle(sink: &mut Sink, step: &Step) {
    for _ in 0..10 {
        match sink.commit(step).await {
            Ok(()) => return,
            Err(SinkError::Retry { after, .. }) => tokio::time::sleep(after).await,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the step is never settled");
}

/// Waits for a condition.
async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_step_that_never_arrived_is_sent_again() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.address()).await;
    let mut sink = claimed(proxy.address()).await;
    sink.commit(&plain(1)).await.unwrap();
    proxy.cut_all();
    sink.commit(&plain(2)).await.unwrap();
    assert_eq!((seq(&redis), docs(&redis, "plain").len()), (2, 2));
}

#[tokio::test]
async fn an_abandoned_step_must_be_settled_first() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.address()).await;
    let mut sink = claimed(proxy.address()).await;
    sink.commit(&plain(1)).await.unwrap();
    let step = plain(2);
    proxy.set(Fault::SwallowReplies);
    tokio::select! {
        result = sink.commit(&step) => panic!("{result:?} without a reply"),
        () = until(|| seq(&redis) == 2) => {}
    }
    proxy.set(Fault::None);
    proxy.cut_all();
    assert!(matches!(sink.commit(&plain(3)).await, Err(SinkError::Rewound { .. })));
    // What is left of the old connection may have to fail first.
    settle(&mut sink, &step).await;
    assert_eq!(seq(&redis), 2, "it was not applied twice");
    sink.commit(&plain(3)).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_down_is_waited_for() {
    let mut redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut sink = claimed(&redis.address()).await;
    sink.commit(&plain(1)).await.unwrap();
    redis.kill();
    let step = plain(2);
    let mut waits = Vec::new();
    for _ in 0..8 {
        match sink.commit(&step).await {
            Err(SinkError::Retry { reason, after, .. }) => {
                assert!(reason.contains(&redis.address()) || reason.contains("reply"), "{reason}");
                waits.push(after);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(waits.is_sorted() && waits[0] < waits[4], "{waits:?}");
    assert_eq!(waits[7], Duration::from_secs(1), "bounded");
    redis.start_again();
    sink.commit(&step).await.unwrap();
    assert_eq!((seq(&redis), docs(&redis, "plain").len()), (2, 2));
}

#[tokio::test]
async fn what_a_step_moved_is_kept_with_it() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    let steps = "{viewtide:test}:steps";
    let partition = |number| Partition { topic: "t".into(), number };
    let trace = |from, next| StepTrace {
        moved: [(partition(0), (from, next))].into(),
        behind: ["plain".to_owned()].into(),
        ..StepTrace::default()
    };
    let kept = || -> Vec<StepTrace> {
        let entries: Vec<(String, Vec<String>)> = redis.run(&["XRANGE", steps, "-", "+"]);
        let pairs = |fields: &[String]| -> Vec<(String, String)> {
            fields.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
        };
        entries.iter().map(|(_, fields)| StepTrace::from_fields(pairs(fields))).collect()
    };
    let mut step = plain(1);
    step.trace(&trace(3, 5));
    sink.commit(&step).await.unwrap();
    sink.commit(&plain(2)).await.unwrap();
    assert_eq!(kept(), [trace(3, 5)]);

    let mut other = sink_at(&redis.address());
    redis.run::<()>(&["HSET", META, "lease", "0"]);
    own(&mut other).await;
    let mut step = plain(3);
    step.trace(&trace(5, 6));
    let result = sink.commit(&step).await;
    assert!(matches!(result, Err(SinkError::Fenced { .. })), "{result:?}");
    assert_eq!(kept(), [trace(3, 5)], "a step that writes nothing is not kept");

    // Of a step that moves all too much nothing is kept.
    let mut step = plain(4);
    let moved = (0..2000).map(|number| (partition(number), (0, 1))).collect();
    step.trace(&StepTrace { moved, ..StepTrace::default() });
    other.commit(&step).await.unwrap();
    assert_eq!(kept().len(), 1);
    redis.run::<()>(&["SET", steps, "another program's"]);
    let error = other.commit(&plain(5)).await.unwrap_err();
    assert!(error.to_string().contains("steps is a string of another program"), "{error}");
    assert_eq!(docs(&redis, "plain").len(), 3);
}

#[tokio::test]
async fn a_redis_that_lost_everything_is_noticed() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    sink.commit(&plain(1)).await.unwrap();
    redis.run::<()>(&["FLUSHALL"]);
    for result in [sink.renew().await, sink.commit(&plain(2)).await] {
        assert!(matches!(result, Err(SinkError::Rewound { .. })), "{result:?}");
    }
    let keys: Vec<String> = redis.run(&["KEYS", "*"]);
    assert!(keys.is_empty(), "{keys:?}");
    assert_eq!(own(&mut sink).await.epoch, 2, "above the one that was lost");
    sink.commit(&plain(2)).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_went_back_is_noticed() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    sink.commit(&plain(1)).await.unwrap();
    redis.run::<()>(&["COPY", META, "older"]);
    sink.commit(&plain(2)).await.unwrap();
    sink.commit(&plain(3)).await.unwrap();
    redis.run::<()>(&["COPY", "older", META, "REPLACE"]);
    let result = sink.commit(&plain(4)).await;
    assert!(matches!(result, Err(SinkError::Rewound { .. })), "{result:?}");
    assert_eq!(own(&mut sink).await.seq, 1);
    sink.commit(&plain(4)).await.unwrap();
    assert_eq!(seq(&redis), 2);
}

#[tokio::test]
async fn a_key_of_another_program_is_named_and_nothing_half_written() {
    for wrong in ["orders:1:docs", "orders:1:keys", "orders:1:entries", "orders:1:index", "meta"] {
        let redis = RedisServer::start();
        let mut sink = claimed(&redis.address()).await;
        let wrong = format!("{{viewtide:test}}:{wrong}");
        redis.run::<()>(&["SET", &wrong, "mine"]);
        let mut step = plain(1);
        step.set(ORDERS, int(1), present("{}", "new"));
        step.replace(ORDERS, None, None);
        let error = sink.commit(&step).await.unwrap_err();
        assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
        assert!(error.to_string().contains(&wrong), "{error}");
        assert!(docs(&redis, "plain").is_empty(), "{wrong}: half a step was written");
        if wrong.ends_with("meta") {
            let error = sink.read_meta().await.unwrap_err();
            assert!(error.to_string().contains(&wrong), "{error}");
            assert!(matches!(sink.claim(0).await, Err(SinkError::Fatal { .. })));
        }
    }
}

#[tokio::test]
async fn without_memory_a_step_waits_and_the_claim_lives() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    end_lease(&redis);
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let step = plain(1);
    let error = sink.commit(&step).await.unwrap_err();
    assert!(matches!(error, SinkError::Retry { .. }), "{error:?}");
    assert!(error.to_string().contains("maxmemory"), "{error}");
    assert!(docs(&redis, "plain").is_empty());
    assert!(sink.read_meta().await.unwrap().lease_left > Duration::ZERO);
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    sink.commit(&step).await.unwrap();
    assert_eq!(docs(&redis, "plain").len(), 1);
}

#[tokio::test]
async fn what_frees_memory_is_done_without_any() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    sink.commit(&plain(1)).await.unwrap();
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let mut step = Step::new();
    step.drop_generation("plain", 1);
    step.generations("plain", &Generations::default());
    sink.commit(&step).await.unwrap();
    assert!(redis.run::<Vec<String>>(&["KEYS", "{viewtide:test}:plain:*"]).is_empty());
    // It is as fenced as any other.
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.run::<()>(&["HSET", META, "token", "another's"]);
    let mut step = Step::new();
    step.drop_generation("plain", 2);
    assert!(matches!(sink.commit(&step).await, Err(SinkError::Fenced { .. })));
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused() {
    let redis = RedisServer::start();
    redis.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let error = sink_at(&redis.address()).claim(0).await.unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
    assert!(error.to_string().contains("noeviction"), "{error}");
}

#[tokio::test]
async fn scripts_that_were_flushed_are_loaded_again() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    sink.commit(&plain(1)).await.unwrap();
    redis.run::<()>(&["SCRIPT", "FLUSH"]);
    sink.commit(&plain(2)).await.unwrap();
    redis.run::<()>(&["SCRIPT", "FLUSH"]);
    sink.renew().await.unwrap();
    assert_eq!(docs(&redis, "plain").len(), 2);
}

#[tokio::test]
async fn a_replica_is_waited_for() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    redis.run::<()>(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    let step = plain(1);
    let error = sink.commit(&step).await.unwrap_err();
    assert!(matches!(error, SinkError::Retry { .. }), "{error:?}");
    assert!(error.to_string().contains("read-only"), "{error}");
    redis.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    sink.commit(&step).await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_not_do_all_of_it_does_not_begin() {
    let redis = RedisServer::start();
    redis.run::<()>(&["ACL", "SETUSER", "u", "on", ">p", "~*", "&*", "+@all", "-zrem"]);
    let mut sink = sink_at(&format!("u:p@{}", redis.address()));
    let error = sink.claim(0).await.unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
    let mut sink = sink_at(&format!("u:wrong@{}", redis.address()));
    let error = sink.claim(0).await.unwrap_err();
    assert!(matches!(error, SinkError::Fatal { .. }), "{error:?}");
    assert!(!error.to_string().contains("wrong@"), "{error}");
    assert!(!redis.run::<bool>(&["EXISTS", META]));
}

#[tokio::test]
async fn what_is_no_redis_is_recognised_and_named() {
    for (answer, named) in [
        (Some("HTTP/1.1 400 Bad Request\r\n\r\n"), "it speaks http and answers `HTTP/1.1 400 Bad"),
        (Some("\u{1}\u{2}5.7.1\n"), "it answers `\\x01\\x025.7.1`"),
        (Some(""), "hung up"),
        (None, "says nothing"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 64];
                let _ = stream.read(&mut request).await;
                match answer {
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None => held.push(stream),
                }
            }
        });
        let limit = Duration::from_secs(5);
        let claim = tokio::time::timeout(limit, async { sink_at(&address).claim(0).await });
        let error = claim.await.expect("recognised within 5 s").unwrap_err();
        assert!(matches!(error, SinkError::Retry { .. }), "{error:?}");
        assert!(error.to_string().contains(named), "{error}");
        assert!(error.to_string().contains(&address), "{error}");
        server.abort();
    }
}

#[tokio::test]
async fn a_step_above_the_bounds_is_refused() {
    let redis = RedisServer::start();
    let mut sink = claimed(&redis.address()).await;
    let mut step = Step::new();
    let body = "x".repeat(viewtide::sink::STEP_BYTES_MAX);
    step.set(
        PLAIN,
        int(1),
        Document::Present { body: body.into_bytes(), index_values: Vec::new() },
    );
    assert!(matches!(sink.commit(&step).await, Err(SinkError::Fatal { .. })));
    assert!(docs(&redis, "plain").is_empty());
    sink.commit(&plain(1)).await.unwrap();
}
