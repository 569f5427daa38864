//! Which partitions to read, and whether they still hold what a former run saw.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

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
    /// It passes if the broker has only just started.
    Gone(SourceError),
    /// It will not.
    Stop(SourceError),
}

/// A consumer to ask with.
///
/// # Errors
/// When it cannot be made of this configuration.
pub(super) fn asking(mut config: ClientConfig) -> Result<BaseConsumer, KafkaError> {
    config.set("enable.partition.eof", "true").create()
}

/// Asks the broker for every partition that a plan reads. A table's topic need not exist:
/// Debezium makes it with the first row.
pub(super) fn partitions(
    consumer: &BaseConsumer,
    settings: &Settings,
    plan: &Plan,
    positions: &Positions,
) -> Result<Vec<PartitionSpec>, NotYet> {
    let mut specs = Vec::new();
    for (topic, role) in topics(settings, plan) {
        let count = partition_count(consumer, &topic)?;
        let numbers = match (role, count) {
            (Role::Stream(_), 0) => return Err(no_events(topic, positions)),
            (Role::Stream(_), count) => 0..i32::try_from(count).unwrap_or(i32::MAX),
            (_, 0 | 1) => 0..1,
            (_, count) => return Err(NotYet::Stop(too_many_partitions(topic, count))),
        };
        for number in numbers {
            let partition = Partition { topic: topic.clone(), number };
            let target = positions.get(&partition).copied();
            let held = if count == 0 { None } else { Some(watermarks(consumer, &partition)?) };
            check(&partition, target, held)?;
            let end_at_start = match (role, held) {
                (Role::Stream(_), Some((low, high))) => {
                    readable_end(consumer, &partition, low, high)?
                }
                (_, held) => held.map_or(0, |(_, high)| high),
            };
            specs.push(PartitionSpec {
                partition,
                role,
                start: Position::default(),
                target,
                end_at_start,
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

/// What a missing event topic means: it is yet to be made, unless a former run read it.
fn no_events(topic: String, positions: &Positions) -> NotYet {
    let held = positions.iter().filter(|(partition, _)| partition.topic == topic);
    for (partition, &position) in held {
        if let Err(gone) = check(partition, Some(position), None) {
            return gone;
        }
    }
    NotYet::Wait(format!("topic `{topic}` does not exist yet"))
}

/// Reading begins at the first record, so it must still be there, and so must the last one that
/// a former run applied.
fn check(
    partition: &Partition,
    target: Option<Position>,
    held: Option<(i64, i64)>,
) -> Result<(), NotYet> {
    let number = partition.number;
    let error =
        |problem, remedy| SourceError::Topic { topic: partition.topic.clone(), problem, remedy };
    let applied = target.map_or(0, |target| target.next_offset);
    match held {
        None if applied > 0 => Err(NotYet::Gone(error(
            format!("it is gone, though {applied} of its records were applied"),
            "start with an empty Redis and new topics",
        ))),
        Some((_, high)) if high < applied => Err(NotYet::Stop(error(
            format!(
                "partition {number} ends at offset {high}, though {applied} was reached before: it was re-created or lost records"
            ),
            "start with an empty Redis and new topics",
        ))),
        Some((low, _)) if low > 0 => Err(NotYet::Stop(error(
            format!("partition {number} begins at offset {low}: its first records are gone"),
            "set retention.ms=-1 and cleanup.policy=delete, and take a new snapshot into new topics",
        ))),
        _ => Ok(()),
    }
}

pub(super) fn too_many_partitions(topic: String, count: usize) -> SourceError {
    SourceError::Topic {
        topic,
        problem: format!("it has {count} partitions, which loses the order of changes"),
        remedy: "make Debezium's topics with one partition (topic.creation.default.partitions=1)",
    }
}

/// Partitions of a topic; 0 when there is no such topic.
fn partition_count(consumer: &BaseConsumer, topic: &str) -> Result<usize, NotYet> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT).map_err(wait)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let trouble = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from);
    if let Some(code) = trouble.filter(|c| *c != RDKafkaErrorCode::UnknownTopicOrPartition) {
        return Err(NotYet::Wait(format!("topic `{topic}` cannot be looked up: {code}")));
    }
    Ok(found.map_or(0, |found| found.partitions().len()))
}

fn watermarks(consumer: &BaseConsumer, partition: &Partition) -> Result<(i64, i64), NotYet> {
    consumer.fetch_watermarks(&partition.topic, partition.number, ANSWER_WAIT).map_err(wait)
}

/// The offset behind the last record below `high` that can be read: the markers of transactions
/// and what was aborted take offsets too, and nobody ever gets there. Looks further back each time.
fn readable_end(
    consumer: &BaseConsumer,
    partition: &Partition,
    low: i64,
    high: i64,
) -> Result<i64, NotYet> {
    let mut back = 1;
    let mut from = high;
    while from > low {
        from = (high - back).max(low);
        back *= 2;
        if let Some(last) = last_between(consumer, partition, from, high)? {
            return Ok(last + 1);
        }
    }
    Ok(low)
}

/// The offset of the last record from `from` on and below `high`.
fn last_between(
    consumer: &BaseConsumer,
    partition: &Partition,
    from: i64,
    high: i64,
) -> Result<Option<i64>, NotYet> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(from))
        .and_then(|()| consumer.assign(&list))
        .map_err(wait)?;
    let mut last = None;
    loop {
        match consumer.poll(ANSWER_WAIT) {
            None => return Err(NotYet::Wait("the broker does not answer".to_owned())),
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => return Err(wait(error)),
            Some(Ok(record)) => {
                if record.offset() < high {
                    last = Some(record.offset());
                }
                if record.offset() >= high - 1 {
                    break;
                }
            }
        }
    }
    consumer.unassign().map_err(wait)?;
    Ok(last)
}

fn wait(error: KafkaError) -> NotYet {
    NotYet::Wait(format!("the broker does not answer: {error}"))
}
