//! Events into a deployment's topics, acknowledged before a test goes on.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::Value;

use super::deployment::Deployment;
use super::stack::Stack;

/// Sends one event to the deployment's `order_updates` and waits until the broker has it.
pub(crate) async fn push_event(deployment: &Deployment, event: &Value) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", Stack::shared().brokers())
        .set("acks", "all")
        .create()
        .unwrap();
    let body = event.to_string();
    let topic = deployment.event_topic();
    let record: FutureRecord<'_, (), String> = FutureRecord::to(&topic).payload(&body);
    producer.send(record, Duration::from_secs(30)).await.unwrap();
}
