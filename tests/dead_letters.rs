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
