//! The broker killed, records deleted, and records that nobody can read.

use std::fs;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::time::sleep;

use super::scene::Scene;
use super::services::Service;
use crate::support::stack::Stack;

/// How long the broker may take to acknowledge.
const BROKER_WAIT: Duration = Duration::from_secs(30);

/// The load writes to every topic within this time.
const UNREAD: Duration = Duration::from_secs(2);

pub(crate) async fn kill(scene: &mut Scene) {
    for number in 0..scene.extent.of(1, 22) {
        scene.wait_up_to(Duration::from_secs(2)).await;
        Service::Kafka.kill();
        scene.fault("kill -9 kafka");
        let long = scene.extent.of(Duration::from_secs(8), Duration::from_secs(60));
        sleep(if number == 0 { long } else { Duration::from_secs(2) }).await;
        Service::Kafka.start();
        scene.converge().await;
    }
}

/// What was not read yet is deleted of every topic that the connector writes, with the state folder
/// and without.
pub(crate) async fn cut_topics(scene: &mut Scene) {
    let prefix = format!("{}.", scene.deployment.name);
    let events = scene.deployment.event_topic();
    for round in 0..scene.extent.of(2, 6) {
        scene.wait_up_to(Duration::from_secs(2)).await;
        scene.kill_viewtide();
        if round % 2 == 1 {
            fs::remove_dir_all(scene.deployment.state_folder()).unwrap();
            scene.fault("state folder deleted");
        }
        sleep(UNREAD).await;
        let consumer: BaseConsumer = client().create().unwrap();
        let found = consumer.fetch_metadata(None, BROKER_WAIT).unwrap();
        let mut to_the_end = TopicPartitionList::new();
        for topic in found.topics().iter().map(MetadataTopic::name) {
            if topic.starts_with(&prefix) && topic != events {
                to_the_end.add_partition_offset(topic, 0, Offset::End).unwrap();
            }
        }
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let deleted = admin.delete_records(&to_the_end, &AdminOptions::new()).await.unwrap();
        assert!(deleted.elements().iter().all(|of| of.error().is_ok()), "{deleted:?}");
        scene.fault("topics cut to their ends");
        scene.deployment.start();
        scene.becomes_unready("filling").await;
        scene.converge().await;
    }
    scene.log_says("topics have lost records that were not read").await;
}

/// Each goes to the dead letters; readable ones around it go on.
pub(crate) async fn bad_events(scene: &mut Scene) {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let bad: [&[u8]; 7] = [
        b"",
        b"\0\0\0\0\x01avro",
        b"{\"id\": 1, \"order_id\": ",
        b"{\"id\": 1, \"order_id\": 1, \"order_id\": 2, \"status\": \"x\", \"updated_at\": 1}",
        b"{\"id\": 1, \"order_id\": 1, \"status\": \"\xff\xfe\", \"updated_at\": 1}",
        b"{\"id\": \"many\", \"order_id\": [1], \"status\": 1, \"updated_at\": {}}",
        deep.as_bytes(),
    ];
    let producer: FutureProducer = client().create().unwrap();
    let topic = scene.deployment.event_topic();
    for _ in 0..scene.extent.of(3, 30) {
        for payload in bad {
            let record: FutureRecord<'_, (), [u8]> = FutureRecord::to(&topic).payload(payload);
            producer.send(record, BROKER_WAIT).await.unwrap();
            scene.fault("unreadable event");
            scene.wait_up_to(Duration::from_millis(200)).await;
        }
    }
    scene.converge().await;
    let counted = format!("viewtide_dead_letters_total{{topic=\"{topic}\"}}");
    let sent = f64::from(scene.count("unreadable event"));
    assert_eq!(scene.deployment.metric(&counted).await, Some(sent), "dead letters");
}

fn client() -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", Stack::shared().brokers()).set("acks", "all");
    client
}
