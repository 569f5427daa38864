//! Starts that follow something: a former run, a Redis that forgets, views that came and went.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;

use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::events::{push_event, push_in_transaction};
use crate::support::redis::{RedisServer, free_port};
use crate::support::stack::{Stack, repository};

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
    for (field, value) in [
        ("view:gone", "4 f k i"),
        ("next:gone", "5 g k i"),
        ("position:gone:0", "5:0000000000000001"),
    ] {
        let _: i64 = redis.run(&["HSET", &meta, field, value]);
    }
    let gone = format!("{{viewtide:{}}}:gone", shop.name);
    for generation in ["4", "5"] {
        let _: i64 = redis.run(&["HSET", &format!("{gone}:{generation}:docs"), "k", "{}"]);
        let _: i64 = redis.run(&["ZADD", &format!("{gone}:{generation}:keys"), "0", "k"]);
    }
    shop.start();
    shop.eventually("/order_details_mv/7", status("delivered")).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    let published = "viewtide_documents_published_total{view=\"order_details_mv\"}";
    assert_eq!(shop.metric(published).await, Some(1.0));
    // What is not followed any more would be stale when it is taken up again.
    let fields = ["view:gone", "next:gone", "position:gone:0"];
    let left: Vec<Option<String>> = redis.run(&[&["HMGET", &meta], &fields[..]].concat());
    assert_eq!(left, [None, None, None]);
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

/// Every start begins where the newest usable checkpoint does; what is before need not be there.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_reads_only_what_its_checkpoint_lacks() {
    let redis = RedisServer::start();
    let mut shop =
        Deployment::new("checkpoints", &repository().join("sql"), Some(&redis.url())).await;
    shop.set("VIEWTIDE_STATE_CHECKPOINT_RECORDS", "1");
    let event = |id: u32, status: &str| json!({"id": id, "order_id": 7, "status": status, "updated_at": 1_900_000_000 + id});
    let orders: Vec<_> = (1..=ORDERS).map(|order| format!("({order}, 1, 10)")).collect();
    let orders =
        format!("INSERT INTO orders (order_id, user_id, total) VALUES {}", orders.join(", "));
    shop.execute(USER).await;
    shop.execute(&orders).await;
    push_in_transaction(&shop, &event(1, "cooked")).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(shop.metric("viewtide_state_loaded_rows").await, Some(0.0));
    let rows = f64::from(ORDERS + 2);

    // The topics keep nothing of what the checkpoint holds.
    is_covered(&mut shop).await;
    shop.kill();
    trim_topics(&shop, &redis).await;
    shop.execute("UPDATE orders SET total = 11 WHERE order_id = 7").await;
    shop.execute("DELETE FROM orders WHERE order_id = 8").await;
    push_event(&shop, &event(2, "delivered")).await;
    let is_current = |_: u16, body: &serde_json::Value| {
        body["order_status"] == "delivered" && body["total"] == "11.00"
    };
    shop.start();
    shop.eventually("/order_details_mv/7", is_current).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
    assert_eq!(shop.metric("viewtide_state_loaded_rows").await, Some(rows));
    let read = format!("viewtide_records_consumed_total{{topic=\"{0}.{0}.orders\"}}", shop.name);
    // An update, a delete with its tombstone.
    assert_eq!(shop.metric(&read).await, Some(3.0));
    let published = "viewtide_documents_published_total{view=\"order_details_mv\"}";
    assert!(shop.metric(published).await < Some(f64::from(ORDERS)), "it fills what is there");

    // The newest is damaged.
    is_covered(&mut shop).await;
    shop.kill();
    let newest = newest_checkpoint(&shop);
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    shop.execute("UPDATE orders SET total = 12 WHERE order_id = 9").await;
    shop.start();
    shop.eventually("/order_details_mv/9", |_, body| body["total"] == "12.00").await;
    assert!(shop.metric("viewtide_state_loaded_rows").await >= Some(rows - 1.0));
    shop.assert_verified();

    // Redis forgets while nobody is there.
    is_covered(&mut shop).await;
    shop.kill();
    let _: String = redis.run(&["FLUSHALL"]);
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.eventually("/order_details_mv/7", is_current).await;
    assert_eq!(shop.metric(published).await, Some(f64::from(ORDERS - 1)));
    shop.assert_verified();

    // Without its state it has the tables read anew; documents stay what they were meanwhile.
    shop.kill();
    std::fs::remove_dir_all(shop.state_folder()).unwrap();
    shop.execute("UPDATE orders SET total = 13 WHERE order_id = 10").await;
    shop.start();
    let mut reads = 0;
    while shop.get("/readyz").await.0 != 200 {
        let (status, body) = shop.get("/order_details_mv/7").await;
        if status != 0 {
            assert!(status == 200 && is_current(status, &body), "{status} {body}");
            reads += 1;
        }
    }
    assert!(reads > 0);
    assert_eq!(shop.get("/order_details_mv/10").await.1["total"], "13.00");
    shop.assert_verified();

    // So it does where the topics were trimmed behind its checkpoint while it was away.
    is_covered(&mut shop).await;
    shop.kill();
    shop.execute("UPDATE orders SET total = 14 WHERE order_id = 11").await;
    shop.execute("DELETE FROM orders WHERE order_id = 12").await;
    // An update, a delete with its tombstone.
    trim_unread(&shop, &redis, &format!("{0}.{0}.orders", shop.name), 3).await;
    shop.start();
    shop.eventually("/order_details_mv/11", |_, body| body["total"] == "14.00").await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(shop.get("/order_details_mv/12").await.0, 404);
    shop.assert_verified();
}

/// Waits until a checkpoint covers all that was applied.
async fn is_covered(shop: &mut Deployment) {
    shop.eventually_metric("viewtide_state_checkpoints_total", |written| written > 0.0).await;
    shop.eventually_metric("viewtide_state_uncovered_records", |records| records == 0.0).await;
}

fn newest_checkpoint(shop: &Deployment) -> PathBuf {
    let files = std::fs::read_dir(shop.state_folder()).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let number = |path: &PathBuf| -> Option<u64> {
        path.file_stem()?.to_str()?.strip_prefix("checkpoint-")?.parse().ok()
    };
    paths.max_by_key(number).unwrap()
}

/// Deletes every record that the pipeline has applied, but for events: those are what `verify`
/// compares with.
async fn trim_topics(shop: &Deployment, redis: &RedisServer) {
    let mut applied = applied(shop, redis);
    applied.retain(|topic, offset| *offset > 0 && *topic != shop.event_topic());
    assert!(applied.len() >= 3, "{applied:?}");
    delete_below(&applied).await;
}

/// Deletes what the pipeline has applied of a topic and as many records more, once they are there.
async fn trim_unread(shop: &Deployment, redis: &RedisServer, topic: &str, unread: i64) {
    let offset = applied(shop, redis)[topic] + unread;
    let consumer: BaseConsumer = client().create().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap().1 < offset {
        assert!(Instant::now() < deadline, "{topic} does not get to {offset}");
    }
    delete_below(&[(topic.to_owned(), offset)].into()).await;
}

/// How far every topic is applied; of one with several partitions, any of them.
fn applied(shop: &Deployment, redis: &RedisServer) -> BTreeMap<String, i64> {
    let meta = format!("{{viewtide:{}}}:meta", shop.name);
    let fields: BTreeMap<String, String> = redis.run(&["HGETALL", &meta]);
    let position = |(field, value): (&String, &String)| {
        let (topic, _) = field.strip_prefix("position:")?.rsplit_once(':')?;
        Some((topic.to_owned(), value.split_once(':')?.0.parse().ok()?))
    };
    fields.iter().filter_map(position).collect()
}

pub(crate) async fn delete_below(offsets: &BTreeMap<String, i64>) {
    let mut list = TopicPartitionList::new();
    for (topic, offset) in offsets {
        list.add_partition_offset(topic, 0, Offset::Offset(*offset)).unwrap();
    }
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let deleted = admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    let all = deleted.elements().iter().all(|of| of.error().is_ok());
    assert!(all, "{list:?}: {deleted:?}");
}

fn client() -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", Stack::shared().brokers());
    client
}

#[test]
fn a_redis_that_forgets_while_kafka_is_away_is_claimed_again() {
    let redis = RedisServer::start();
    let mut viewtide = Command::new(env!("CARGO_BIN_EXE_viewtide"))
        .arg("process")
        .arg("--config")
        .arg(repository().join("viewtide.toml"))
        .env("VIEWTIDE_STATE_DIR", repository().join("target/test-state"))
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
