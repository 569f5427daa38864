//! Events into a deployment's topics, acknowledged before a test goes on.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use serde_json::Value;

use super::deployment::Deployment;
use super::stack::Stack;

/// How long the broker may take.
const BROKER_WAIT: Duration = Duration::from_secs(30);

/// Sends one event to the deployment's `order_updates` and waits until the broker has it.
pub(crate) async fn push_event(deployment: &Deployment, event: &Value) {
    send(deployment, event, &client().create().unwrap()).await;
}

/// The same in a transaction, which leaves a marker behind the event.
pub(crate) async fn push_in_transaction(deployment: &Deployment, event: &Value) {
    let producer: FutureProducer =
        client().set("transactional.id", &deployment.name).create().unwrap();
    producer.init_transactions(BROKER_WAIT).unwrap();
    producer.begin_transaction().unwrap();
    send(deployment, event, &producer).await;
    producer.commit_transaction(BROKER_WAIT).unwrap();
}

fn client() -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", Stack::shared().brokers()).set("acks", "all");
    client
}

async fn send(deployment: &Deployment, event: &Value, producer: &FutureProducer) {
    let body = event.to_string();
    let topic = deployment.event_topic();
    let record: FutureRecord<'_, (), String> = FutureRecord::to(&topic).payload(&body);
    producer.send(record, BROKER_WAIT).await.unwrap();
}
