//! Topics that change while they are read.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::events::push_event;
use crate::support::stack::{Stack, repository};

/// How long the broker may take.
const BROKER_WAIT: Duration = Duration::from_secs(30);

const EVENTS: i32 = 3;

/// A shop that has read its events, of which every partition has one.
async fn reading(purpose: &str) -> Deployment {
    let mut shop = Deployment::new(purpose, &repository().join("sql"), None).await;
    for id in 0..EVENTS * 8 {
        push_event(&shop, &event(id)).await;
    }
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop
}

fn event(id: i32) -> Value {
    json!({"id": id, "order_id": 7, "status": "cooked", "updated_at": 1_900_000_000 + id})
}

fn admin() -> (AdminClient<DefaultClientContext>, AdminOptions) {
    let client = ClientConfig::new().set("bootstrap.servers", Stack::shared().brokers()).create();
    (client.unwrap(), AdminOptions::new().operation_timeout(Some(BROKER_WAIT)))
}

/// Nobody would read them before the next start otherwise, and nobody would know.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_while_running_stop_it_with_words() {
    let mut shop = reading("added").await;
    let (client, options) = admin();
    let topic = shop.event_topic();
    let more = NewPartitions::new(&topic, 5);
    client.create_partitions([&more], &options).await.unwrap().remove(0).unwrap();
    let log = shop.ends_by_itself().await;
    let want =
        format!("topic `{topic}`: it has 5 partitions now, of which 3 are read; start again");
    assert!(log.contains(&want), "{log}");
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
}

/// Another topic of the same name must not be read on as if it were the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_while_running_stops_it() {
    let mut shop = reading("made_again").await;
    let (client, options) = admin();
    let topic = shop.event_topic();
    client.delete_topics(&[&topic], &options).await.unwrap().remove(0).unwrap();
    let gone = format!("topic {topic}: it is gone");
    shop.eventually("/readyz", |status, body| status == 503 && body.to_string().contains(&gone))
        .await;
    let made = NewTopic::new(&topic, EVENTS, TopicReplication::Fixed(1));
    client.create_topics([&made], &options).await.unwrap().remove(0).unwrap();
    for id in 0..EVENTS * 16 {
        push_event(&shop, &event(1000 + id)).await;
    }
    let log = shop.ends_by_itself().await;
    assert!(log.contains("it was re-created") || log.contains("are gone"), "{log}");
}
