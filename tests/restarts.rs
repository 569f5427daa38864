//! Starts that follow something: a former run, a Redis that forgets, views that came and went.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::events::{push_event, push_in_transaction};
use crate::support::redis::{RedisServer, free_port};
use crate::support::stack::repository;

const USER: &str = "INSERT INTO users (user_id, name, email) VALUES (1, 'Ida', 'ida@shop.example')";
const ORDERS: u32 = 20;

/// Markers of transactions take offsets that nobody ever reads: streams are complete without.
/// A start after that publishes what came meanwhile, not everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_goes_on_where_the_former_run_stopped() {
    let redis = RedisServer::start();
    let mut shop = Deployment::new("restarts", &repository().join("sql"), Some(&redis.url())).await;
    let orders: Vec<_> = (1..=ORDERS).map(|order| format!("({order}, 1, 10)")).collect();
    shop.execute(USER).await;
    shop.execute(&format!(
        "INSERT INTO orders (order_id, user_id, total) VALUES {}",
        orders.join(", ")
    ))
    .await;
    let event = |id: u32, status: &str| json!({"id": id, "order_id": 7, "status": status, "updated_at": 1_900_000_000 + id});
    push_in_transaction(&shop, &event(1, "cooked")).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    let status = |wanted: &'static str| {
        move |_: u16, body: &serde_json::Value| body["order_status"] == wanted
    };
    shop.eventually("/order_details_mv/7", status("cooked")).await;

    shop.kill();
    push_event(&shop, &event(2, "delivered")).await;
    let meta = format!("{{viewtide:{}}}:meta", shop.name);
    for (field, value) in [("view:gone", "complete f"), ("position:gone:0", "5:0000000000000001")] {
        let _: i64 = redis.run(&["HSET", &meta, field, value]);
    }
    let gone = format!("{{viewtide:{}}}:gone", shop.name);
    let _: i64 = redis.run(&["HSET", &format!("{gone}:docs"), "k", "{}"]);
    let _: i64 = redis.run(&["ZADD", &format!("{gone}:keys"), "0", "k"]);
    shop.start();
    shop.eventually("/order_details_mv/7", status("delivered")).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    let published = "viewtide_documents_published_total{view=\"order_details_mv\"}";
    assert_eq!(shop.metric(published).await, Some(1.0));
    // What is not followed any more would be stale when it is taken up again.
    let left: Vec<Option<String>> = redis.run(&["HMGET", &meta, "view:gone", "position:gone:0"]);
    assert_eq!(left, [None, None]);
    assert!(redis.run::<Vec<String>>(&["KEYS", &format!("{gone}:*")]).is_empty());
    assert_eq!(shop.get("/gone/1").await.0, 404);
    shop.assert_verified();
}

/// What waits is told while nothing can be written, and nothing waits afterwards: the marker of
/// the last event's transaction is no record.
#[tokio::test(flavor = "multi_thread")]
async fn lag_is_told_while_redis_is_away_and_ends_at_nothing() {
    let mut redis = RedisServer::start();
    let mut shop = Deployment::new("lag", &repository().join("sql"), Some(&redis.url())).await;
    shop.execute(USER).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    redis.kill();
    let event = json!({"id": 1, "order_id": 7, "status": "cooked", "updated_at": 1_900_000_000});
    push_in_transaction(&shop, &event).await;
    lag_becomes(&shop, "so much", |lag| lag >= 1.0).await;
    redis.start_again();
    shop.eventually("/readyz", |status, _| status == 200).await;
    lag_becomes(&shop, "nothing", |lag| lag == 0.0).await;
}

/// Waits until the records of the event topic that are not applied are so many.
async fn lag_becomes(shop: &Deployment, what: &str, holds: impl Fn(f64) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut lag = 0.0;
        for partition in 0..3 {
            let labels = format!("{{topic=\"{}\",partition=\"{partition}\"}}", shop.event_topic());
            lag += shop.metric(&format!("viewtide_lag_records{labels}")).await.unwrap_or(0.0);
        }
        if holds(lag) {
            return;
        }
        assert!(Instant::now() < deadline, "the lag becomes not {what} but stays {lag}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_redis_that_forgets_while_kafka_is_away_is_claimed_again() {
    let redis = RedisServer::start();
    let mut viewtide = Command::new(env!("CARGO_BIN_EXE_viewtide"))
        .arg("process")
        .arg("--config")
        .arg(repository().join("viewtide.toml"))
        .env("VIEWTIDE_PIPELINE_NAME", "forgotten")
        .env("VIEWTIDE_KAFKA_BROKERS", format!("127.0.0.1:{}", free_port()))
        .env("VIEWTIDE_REDIS_URL", redis.url())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    for round in 0..2 {
        while redis.run::<i64>(&["EXISTS", "{viewtide:forgotten}:meta"]) == 0 {
            let ended = viewtide.try_wait().unwrap();
            assert_eq!(ended, None, "viewtide ended in round {round}");
            assert!(Instant::now() < deadline, "viewtide does not claim in round {round}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let _: String = redis.run(&["FLUSHALL"]);
    }
    viewtide.kill().unwrap();
    viewtide.wait().unwrap();
}
