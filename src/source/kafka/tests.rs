//! The reading thread against a cluster that the client library plays: what it does when topics
//! are not there for a while.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::*;
use crate::change::{Partition, Position};
use crate::sql::{Definitions, SourceFile, plan_views};

const EVENTS: &str = "events";

/// How long anything is waited for; generous, because machines are shared.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    cluster: MockCluster<'static, DefaultProducerContext>,
    readiness: Readiness,
}

impl World {
    /// A cluster with one event topic of one partition.
    fn new() -> World {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(EVENTS, 1, 1).unwrap();
        World { cluster, readiness: Readiness::new() }
    }

    /// Whether brokers know the event topic.
    fn set_known(&self, known: bool) {
        let error = match known {
            true => RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
            false => RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        };
        self.cluster.topic_error(EVENTS, error).unwrap();
    }

    async fn push(&self, number: u32) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .create()
            .unwrap();
        let body = format!("{{\"id\": {number}}}");
        let record: FutureRecord<'_, (), String> = FutureRecord::to(EVENTS).payload(&body);
        producer.send(record, PATIENCE).await.unwrap();
    }

    async fn start(&self, applied: i64) -> Result<Reader, SourceError> {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let stream = "CREATE TABLE events (id BIGINT) COMMENT 'topic=events; format=json';";
        let plan = plan_views(&Definitions {
            tables: Vec::new(),
            streams: vec![file("e.sql", stream)],
            views: vec![file(
                "v.sql",
                "CREATE VIEW v AS SELECT _partition, _offset, id FROM events;",
            )],
        })
        .unwrap();
        let settings = Settings {
            brokers: self.cluster.bootstrap_servers(),
            topic_prefix: "p".to_owned(),
            database: "d".to_owned(),
            format: crate::source::Format::Avro,
            registry_url: "http://127.0.0.1:1".to_owned(),
            registry_timeout: PATIENCE,
            schema_folder: "no/folder".into(),
            pipeline: "p".to_owned(),
            dead_letter_topic: "dead".to_owned(),
            command_topic: "commands".to_owned(),
            unreadable_in_a_row_max: 1,
            record_bytes_max: 1 << 20,
            batch_records_max: 10,
        };
        let partition = Partition { topic: EVENTS.to_owned(), number: 0 };
        let position = Position { next_offset: applied, fingerprint: 0 };
        let targets = [(partition, position)].into();
        let former = Former { targets, ..Former::default() };
        let metrics = Arc::new(Metrics::new());
        let reader =
            Reader::start(settings, Arc::new(plan), former, metrics, self.readiness.clone());
        Ok(reader.await?.0)
    }

    async fn wait_until(&self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reasons = self.readiness.reasons();
            if holds(&reasons) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {reasons:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Offsets of the next records, so many.
async fn offsets(reader: &mut Reader, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let batch = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap().unwrap();
        offsets.extend(batch.iter().map(|record| record.offset));
    }
    offsets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_gone_for_a_while_is_told_and_then_read_on() {
    let world = World::new();
    world.push(0).await;
    let mut reader = world.start(0).await.unwrap();
    assert_eq!(offsets(&mut reader, 1).await, [0]);
    world.set_known(false);
    let gone =
        |reasons: &[String]| reasons.iter().any(|r| r.starts_with("topic events: it is gone"));
    world.wait_until("it is gone", gone).await;
    world.set_known(true);
    world.wait_until("it is back", |reasons| reasons.is_empty()).await;
    world.push(1).await;
    assert_eq!(offsets(&mut reader, 2).await, [0, 1], "the last record is looked at again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_may_take_a_while_to_know_a_topic_that_was_read() {
    let world = World::new();
    world.push(0).await;
    world.set_known(false);
    let start = world.start(1);
    tokio::pin!(start);
    let told = world.wait_until("it is gone", |reasons| {
        reasons.iter().any(|r| r.contains("topic `events`: it is gone, though 1 of its records"))
    });
    tokio::select! {
        started = &mut start => panic!("started without the topic: {:?}", started.map(drop)),
        () = told => {}
    }
    world.set_known(true);
    let mut reader = start.await.unwrap();
    assert_eq!(offsets(&mut reader, 1).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_stays_unknown_stops_the_start() {
    let world = World::new();
    world.set_known(false);
    let error = world.start(3).await.unwrap_err().to_string();
    assert!(error.contains("it is gone, though 3 of its records were applied"), "{error}");
}

/// Keeps what the client last told of itself.
#[derive(Default)]
struct Told(Mutex<Statistics>);

impl ClientContext for Told {
    fn stats(&self, statistics: Statistics) {
        *self.0.lock().unwrap() = statistics;
    }
}

impl ConsumerContext for Told {}

impl Told {
    /// The leader of the event topic's partition.
    fn leader(&self) -> Option<i32> {
        Some(self.0.lock().unwrap().topics.get(EVENTS)?.partitions.get(&0)?.leader)
    }

    /// How often the brokers were asked for this, `Metadata` or `Fetch`.
    fn asked(&self, what: &str) -> i64 {
        let told = self.0.lock().unwrap();
        told.brokers.values().filter_map(|broker| broker.req.get(what)).sum()
    }
}

/// What librdkafka would make of them can end the process: see `leaders.c`.
#[test]
fn a_leader_that_an_answer_to_a_fetch_names_is_not_taken_over() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic(EVENTS, 1, 1).unwrap();
    cluster.partition_leader(EVENTS, 0, Some(1)).unwrap();
    let consumer: BaseConsumer<Told> = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "g")
        .set("statistics.interval.ms", "100")
        .create_with_context(Told::default())
        .unwrap();
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(EVENTS, 0, Offset::Offset(0)).unwrap();
    consumer.assign(&all).unwrap();
    let told = consumer.context();
    let poll_until = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            drop(consumer.poll(Duration::from_millis(10)));
        }
    };
    poll_until("records are fetched", &|| told.leader() == Some(1) && told.asked("Fetch") > 0);
    // From here on answers to fetches alone name the other leader, and each is a reason to ask.
    cluster.topic_error(EVENTS, RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE).unwrap();
    cluster.partition_leader(EVENTS, 0, Some(2)).unwrap();
    let before = told.asked("Metadata");
    poll_until("metadata is asked for", &|| told.asked("Metadata") >= before + 5);
    assert_eq!(told.leader(), Some(1));
    cluster.topic_error(EVENTS, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    poll_until("metadata is believed", &|| told.leader() == Some(2));
}
