//! The broker killed, and records that nobody can read.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::sleep;

use super::scene::Scene;
use super::services::Service;
use crate::support::stack::Stack;

/// How long the broker may take to acknowledge.
const BROKER_WAIT: Duration = Duration::from_secs(30);

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
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", Stack::shared().brokers()).set("acks", "all");
    let producer: FutureProducer = client.create().unwrap();
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
