//! Records that cannot be read, on the real services.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::stack::{Stack, repository};

const DEAD_LETTERS: &str = "viewtide.dead-letters";
const WRITTEN_AT: i64 = 1_725_290_973_123;

/// Where it lay, when it was written and why it could not be read, and the record as it was.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_event_is_put_aside_with_all_that_tells_of_it() {
    let mut shop = Deployment::new("dead", &repository().join("sql"), None).await;
    let topic = shop.event_topic();
    let own = Header { key: "trace", value: Some("7f") };
    let record = FutureRecord::to(&topic)
        .partition(2)
        .key("k")
        .payload("{\"id\": ")
        .timestamp(WRITTEN_AT)
        .headers(OwnedHeaders::new().insert(own));
    let producer: FutureProducer = client().create().unwrap();
    producer.send(record, PATIENCE).await.unwrap();
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(shop.metric("viewtide_holes_total").await, Some(1.0));

    let letter = letter_of(&topic);
    let header = |name: &str| letter.get(name).map(String::as_str);
    assert_eq!(header("viewtide.partition"), Some("2"));
    assert_eq!(header("viewtide.offset"), Some("0"));
    assert_eq!(header("viewtide.timestamp"), Some("1725290973123"));
    assert_eq!(header("trace"), Some("7f"), "its own headers stay");
    assert_eq!((header("key"), header("value")), (Some("k"), Some("{\"id\": ")));
    assert!(header("viewtide.reason").unwrap().contains("EOF"), "{letter:?}");

    let record = format!("{topic}:2:0");
    let (code, listed) = shop.told(&["dlq", "list"]);
    assert!(code == Some(0) && listed.contains(&record) && listed.contains("EOF"), "{listed}");
    let (code, shown) = shop.told(&["dlq", "show", &record]);
    assert!(code == Some(0) && shown.contains("value: 7 bytes\n{\"id\": \n"), "{shown}");
    assert!(shown.contains("header     trace: 7f\n"), "{shown}");
    for none in ["dlq list --topic other", "dlq list --since 2999-01-01T00:00:00Z"] {
        let (code, listed) = shop.told(&none.split(' ').collect::<Vec<_>>());
        assert!(code == Some(0) && listed.starts_with("0 dead letters"), "{listed}");
    }
    let (code, told) = shop.told(&["dlq", "show", &format!("{topic}:2:1")]);
    assert!(code == Some(1) && told.contains("has no dead letter"), "{told}");
}

type Letter = std::collections::BTreeMap<String, String>;

/// The dead letter of a topic's only unreadable record: its headers, key and value.
fn letter_of(topic: &str) -> Letter {
    let consumer: BaseConsumer = client().set("group.id", "viewtide-tests").create().unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(DEAD_LETTERS, 0, Offset::Beginning).unwrap();
    consumer.assign(&partition).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no dead letter of {topic}");
        let Some(polled) = consumer.poll(Duration::from_millis(100)) else { continue };
        let letter = read(&polled.unwrap());
        if letter.get("viewtide.topic").is_some_and(|of| of == topic) {
            return letter;
        }
    }
}

fn read(polled: &BorrowedMessage<'_>) -> Letter {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into();
    let headers = polled.headers().unwrap().iter();
    let mut letter: Letter = headers.map(|h| (h.key.to_owned(), text(h.value))).collect();
    letter.insert("key".to_owned(), text(polled.key()));
    letter.insert("value".to_owned(), text(polled.payload()));
    letter
}

fn client() -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", Stack::shared().brokers()).set("acks", "all");
    client
}

/// The key and value of a table's newest record of a key.
pub(crate) type Bytes = (Vec<u8>, Vec<u8>);

/// Until it is certain again, the documents keep the last state of the row that could be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_stale_until_its_letter_is_superseded_replayed_or_dropped() {
    let mut shop = Deployment::new("stale", &repository().join("sql"), None).await;
    shop.execute(
        "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');
         INSERT INTO orders (order_id, user_id, total, order_status) VALUES (7, 1, 1.00, 'one');
         ",
    )
    .await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    let status = |wanted: &'static str| {
        move |_: u16, body: &serde_json::Value| body["order_status"] == wanted
    };
    shop.execute("UPDATE orders SET order_status = 'two' WHERE order_id = 7;\n").await;
    shop.eventually("/orders/7", status("two")).await;
    let topic = shop.table_topic("orders");
    let two = newest(&topic);
    let rubbish = [&two.1[..5], b"rubbish"].concat();

    // Listed with its row, and no replay makes it readable.
    let first = push(&topic, &two.0, &rubbish).await;
    let gauge = format!("viewtide_stale_rows{{topic=\"{topic}\"}}");
    shop.eventually_metric(&gauge, |stale| stale == 1.0).await;
    let (code, listed) = shop.told(&["dlq", "list", "--open", "--json"]);
    assert_eq!(code, Some(0), "{listed}");
    let line: serde_json::Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!((&line["record"], &line["state"]), (&first.as_str().into(), &"stale".into()));
    assert_eq!((&line["table"], &line["row"][0]), (&"orders".into(), &"7".into()));
    let (code, shown) = shop.told(&["dlq", "show", &first]);
    let schema = u32::from_be_bytes(two.1[1..5].try_into().unwrap());
    let wanted = format!("value: 12 bytes, names schema {schema}\n");
    assert!(code == Some(0) && shown.contains(&wanted), "{shown}");
    let (code, told) = shop.told(&["dlq", "replay", &first]);
    assert!(code == Some(1) && told.contains("orders 7 is still stale: "), "{told}");
    shop.eventually("/orders/7", status("two")).await;

    // A later change supersedes it, and then no replay takes the row back.
    shop.execute("UPDATE orders SET order_status = 'three' WHERE order_id = 7;\n").await;
    shop.eventually("/orders/7", status("three")).await;
    shop.eventually_metric(&gauge, |stale| stale == 0.0).await;
    obey(&mut shop, "replay", &first, Some(&two)).await;
    assert_eq!(shop.metric(&outcome("letter", "settled")).await, Some(1.0));
    let (code, told) = shop.told(&["dlq", "replay", &first]);
    assert!(code == Some(0) && told.contains("was settled before"), "{told}");
    shop.assert_verified();

    // Readable at last, it takes effect in its own place.
    let second = push(&topic, &two.0, &rubbish).await;
    shop.eventually_metric(&gauge, |stale| stale == 1.0).await;
    obey(&mut shop, "replay", &second, Some(&two)).await;
    shop.eventually("/orders/7", status("two")).await;
    shop.eventually_metric(&gauge, |stale| stale == 0.0).await;
    assert_eq!(shop.metric(&outcome("replay", "applied")).await, Some(1.0));

    // Given up, it is no longer listed; a command that cannot be read is put aside itself.
    let third = push(&topic, &two.0, &rubbish).await;
    shop.eventually_metric(&gauge, |stale| stale == 1.0).await;
    let command = push(&shop.command_topic(), b"", b"{\"version\": 1}").await;
    let (code, told) = shop.told(&["dlq", "drop", "--open"]);
    assert!(code == Some(0) && told.contains(&format!("{third}: orders 7 is no longer")), "{told}");
    let (_, listed) = shop.told(&["dlq", "list"]);
    assert!(listed.contains(&command) && listed.contains("stale in all: 0"), "{listed}");
    let (_, listed) = shop.told(&["dlq", "list", "--open", "--json"]);
    assert_eq!(listed, "");

    // Whoever reads it all again, commands among it, comes to the same.
    shop.kill();
    std::fs::remove_dir_all(shop.state_folder()).unwrap();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.execute("UPDATE users SET name = 'Eve' WHERE user_id = 1;\n").await;
    shop.eventually("/users/1", |_, body| body["name"] == "Eve").await;
    shop.eventually("/orders/7", status("two")).await;
    shop.eventually_metric(&gauge, |stale| stale == 0.0).await;
    shop.execute("UPDATE orders SET order_status = 'four' WHERE order_id = 7;\n").await;
    shop.eventually("/orders/7", status("four")).await;
    shop.assert_verified();
}

/// A command of a later version stops the pipeline, and says which it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_later_version_stops_the_pipeline() {
    let mut shop = Deployment::new("newer", &repository().join("sql"), None).await;
    shop.capture();
    push(&shop.command_topic(), b"", b"{\"version\": 2, \"dance\": true}").await;
    shop.start();
    let log = shop.ends_by_itself().await;
    assert!(log.contains("the command at offset 0 is of version 2"), "{log}");
}

/// Stopped by the circuit breaker, it says what to do, and goes on without loss after that.
#[tokio::test(flavor = "multi_thread")]
async fn many_unreadable_records_in_a_row_stop_it_and_a_start_goes_on_there() {
    let mut shop = Deployment::new("breaker", &repository().join("sql"), None).await;
    shop.execute(
        "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');
         INSERT INTO orders (order_id, user_id, total, order_status) VALUES (7, 1, 1.00, 'one');
         ",
    )
    .await;
    shop.capture();
    shop.set("VIEWTIDE_LIMITS_UNREADABLE_IN_A_ROW_MAX", "3");
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    let topic = shop.event_topic();
    let event = |at: u32| {
        format!("{{\"id\": 1, \"order_id\": 7, \"status\": \"cooked\", \"updated_at\": {at}}}")
    };
    let mut records = Vec::new();
    for _ in 0..3 {
        records.push(push(&topic, b"k", b"{\"id\": ").await);
    }
    let good = push(&topic, b"k", event(1_999_999_999).as_bytes()).await;
    let log = shop.ends_by_itself().await;
    for wanted in [
        "3 records in a row are unreadable",
        "correct the connector's converters",
        "dlq replay --open --topic",
    ] {
        assert!(log.contains(wanted), "{wanted:?} not in {log}");
    }
    shop.set("VIEWTIDE_LIMITS_UNREADABLE_IN_A_ROW_MAX", "4");
    shop.start();
    shop.eventually("/order_details_mv/7", |_, body| body["order_status"] == "cooked").await;
    let (_, listed) = shop.told(&["dlq", "list", "--open", "--oldest-first", "--json"]);
    let listed: Vec<serde_json::Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed: Vec<&str> = listed.iter().map(|line| line["record"].as_str().unwrap()).collect();
    assert_eq!(listed, records, "each once, and not {good}");
}

fn outcome(command: &str, outcome: &str) -> String {
    format!("viewtide_commands_total{{command=\"{command}\",outcome=\"{outcome}\"}}")
}

/// Writes a record and returns its coordinates.
pub(crate) async fn push(topic: &str, key: &[u8], value: &[u8]) -> String {
    let producer: FutureProducer = client().create().unwrap();
    let record: FutureRecord<'_, [u8], [u8]> =
        FutureRecord::to(topic).partition(0).key(key).payload(value).timestamp(WRITTEN_AT);
    let delivery = producer.send(record, PATIENCE).await.unwrap();
    format!("{topic}:{}:{}", delivery.partition, delivery.offset)
}

/// Writes a command about a letter with these bytes for it, as a version that can read it would
/// find them, and waits until it is obeyed.
async fn obey(shop: &mut Deployment, command: &str, record: &str, bytes: Option<&Bytes>) {
    let mut parts = record.rsplitn(3, ':');
    let (offset, partition) = (parts.next().unwrap(), parts.next().unwrap());
    let key = &bytes.unwrap().0;
    let fingerprint = xxhash_rust::xxh3::xxh3_64_with_seed(key, WRITTEN_AT as u64);
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
    let body = serde_json::json!({
        "version": 1,
        "pipeline": shop.name,
        "command": command,
        "topic": parts.next().unwrap(),
        "partition": partition.parse::<i32>().unwrap(),
        "offset": offset.parse::<i64>().unwrap(),
        "fingerprint": format!("{fingerprint:016x}"),
        "key": bytes.map(|(key, _)| base64(key)),
        "value": bytes.map(|(_, value)| base64(value)),
    });
    let topic = shop.command_topic();
    push(&topic, b"", body.to_string().as_bytes()).await;
    let lag = format!("viewtide_lag_records{{topic=\"{topic}\",partition=\"0\"}}");
    let consumed = format!("viewtide_records_consumed_total{{topic=\"{topic}\"}}");
    let end = end_of(&topic) as f64;
    shop.eventually_metric(&consumed, |read| read >= end).await;
    shop.eventually_metric(&lag, |lag| lag == 0.0).await;
}

fn end_of(topic: &str) -> i64 {
    let consumer: BaseConsumer = client().set("group.id", "viewtide-tests").create().unwrap();
    consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap().1
}

/// The newest record of a topic.
pub(crate) fn newest(topic: &str) -> Bytes {
    let consumer: BaseConsumer = client().set("group.id", "viewtide-tests").create().unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(topic, 0, Offset::Offset(end_of(topic) - 1)).unwrap();
    consumer.assign(&partition).unwrap();
    let record = consumer.poll(PATIENCE).unwrap().unwrap();
    (record.key().unwrap().to_vec(), record.payload().unwrap().to_vec())
}
