//! A table that is read anew while its views are served.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::support::deployment::Deployment;
use crate::support::stack::{Stack, repository};

/// How long the broker may take.
const BROKER_WAIT: Duration = Duration::from_secs(30);

/// The first and the last row of a snapshot.
const USERS: &str = "INSERT INTO users (user_id, name, email) VALUES \
    (1, 'Ida', 'ida@shop.example'), (2, 'Ole', 'ole@shop.example')";

/// From a new snapshot's first row on nobody can tell whether a document is missing, until its
/// last row is there: until then readers read what they read before.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_held_back_while_its_table_is_read_anew() {
    let mut shop = Deployment::new("anew", &repository().join("sql"), None).await;
    shop.execute(USERS).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(shop.get("/users/9").await.0, 404);

    let topic = format!("{}.{}.users", shop.name, shop.name);
    send_again(&topic, 0).await;
    shop.eventually("/readyz", |status, _| status == 503).await;
    assert_eq!(shop.get("/users/2").await.0, 200, "what was published stays meanwhile");
    assert_eq!(shop.get("/users/9").await.0, 404);
    send_again(&topic, 1).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
}

/// Appends a copy of a topic's record to it, as a connector does that reads the table once more.
async fn send_again(topic: &str, offset: i64) {
    let record = record_at(topic, offset);
    let producer: FutureProducer = client().create().unwrap();
    let copy =
        FutureRecord::to(topic).key(record.key().unwrap()).payload(record.payload().unwrap());
    producer.send(copy, BROKER_WAIT).await.unwrap();
}

fn record_at(topic: &str, offset: i64) -> OwnedMessage {
    let consumer: BaseConsumer = client().set("group.id", "viewtide-tests").create().unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    consumer.assign(&partition).unwrap();
    consumer.poll(BROKER_WAIT).expect("a record").unwrap().detach()
}

fn client() -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", Stack::shared().brokers()).set("acks", "all");
    client
}
