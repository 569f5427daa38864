//! Which partitions to read, and whether they still hold what a former run saw.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;

use crate::change::{Partition, Position, Positions};
use crate::source::record::{PartitionSpec, Role};
use crate::source::{Settings, SourceError};
use crate::sql::plan::{Plan, TableId, TableSource};

/// How long the broker may take to answer one question.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Why the partitions are not known yet.
#[derive(Debug)]
pub(super) enum NotYet {
    /// It will pass: ask again.
    Wait(String),
    /// It will not.
    Stop(SourceError),
}

/// Asks the broker for every partition that a plan reads. A table's topic need not exist:
/// Debezium makes it with the first row.
pub(super) fn partitions<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    settings: &Settings,
    plan: &Plan,
    positions: &Positions,
) -> Result<Vec<PartitionSpec>, NotYet> {
    let mut specs = Vec::new();
    for (topic, role) in topics(settings, plan) {
        let count = partition_count(consumer, &topic)?;
        let numbers = match (role, count) {
            (Role::Stream(_), 0) => {
                return Err(NotYet::Wait(format!("topic `{topic}` does not exist yet")));
            }
            (Role::Stream(_), count) => 0..count,
            (_, 0 | 1) => 0..1,
            (_, count) => return Err(NotYet::Stop(too_many_partitions(topic, count))),
        };
        for number in numbers {
            let partition = Partition { topic: topic.clone(), number };
            let target = positions.get(&partition).copied();
            let held = if count == 0 { None } else { Some(watermarks(consumer, &partition)?) };
            check(&partition, target, held).map_err(NotYet::Stop)?;
            specs.push(PartitionSpec {
                partition,
                role,
                start: Position::default(),
                target,
                end_at_start: held.map_or(0, |(_, high)| high),
            });
        }
    }
    Ok(specs)
}

/// Every topic that a plan reads, with what is in it.
fn topics(settings: &Settings, plan: &Plan) -> Vec<(String, Role)> {
    let table = |(id, table): (TableId, &crate::sql::plan::Table)| match &table.source {
        TableSource::Captured => {
            let Settings { topic_prefix, database, .. } = settings;
            (format!("{topic_prefix}.{database}.{}", table.name), Role::Table(id))
        }
        TableSource::Stream(stream) => (stream.topic.clone(), Role::Stream(id)),
    };
    let mut topics: Vec<_> = plan.tables_with_ids().map(table).collect();
    topics.push((format!("{}.transaction", settings.topic_prefix), Role::Transactions));
    topics.push((format!("{}.notifications", settings.topic_prefix), Role::Notifications));
    topics
}

/// Reading begins at the first record, so it must still be there, and so must the last one that
/// a former run applied.
fn check(
    partition: &Partition,
    target: Option<Position>,
    held: Option<(i64, i64)>,
) -> Result<(), SourceError> {
    let topic = || partition.topic.clone();
    let applied = target.map_or(0, |target| target.next_offset);
    match held {
        None if applied > 0 => Err(SourceError::Topic {
            topic: topic(),
            problem: format!("it is gone, though {applied} of its records were applied"),
            remedy: "start with an empty Redis and new topics",
        }),
        Some((_, high)) if high < applied => Err(SourceError::Topic {
            topic: topic(),
            problem: format!(
                "partition {} ends at offset {high}, though {applied} was reached before: it was re-created or lost records",
                partition.number
            ),
            remedy: "start with an empty Redis and new topics",
        }),
        Some((low, _)) if low > 0 => Err(SourceError::Topic {
            topic: topic(),
            problem: format!(
                "partition {} begins at offset {low}: its first records are gone",
                partition.number
            ),
            remedy: "set retention.ms=-1 and cleanup.policy=delete, and take a new snapshot into new topics",
        }),
        _ => Ok(()),
    }
}

fn too_many_partitions(topic: String, count: i32) -> SourceError {
    SourceError::Topic {
        topic,
        problem: format!("it has {count} partitions, which loses the order of changes"),
        remedy: "make Debezium's topics with one partition (topic.creation.default.partitions=1)",
    }
}

/// Partitions of a topic; 0 when there is no such topic.
fn partition_count<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> Result<i32, NotYet> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT).map_err(wait)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(found.map_or(0, |found| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)))
}

fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partition: &Partition,
) -> Result<(i64, i64), NotYet> {
    consumer.fetch_watermarks(&partition.topic, partition.number, ANSWER_WAIT).map_err(wait)
}

fn wait(error: KafkaError) -> NotYet {
    NotYet::Wait(format!("the broker does not answer: {error}"))
}
