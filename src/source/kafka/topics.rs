//! Which partitions to read, and whether they still hold what a former run saw.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::incoming::fingerprint;
use crate::change::{Partition, Position};
use crate::source::anew::latest_until_now;
use crate::source::avro::HEARTBEAT_TABLE;
use crate::source::record::{PartitionSpec, Role};
use crate::source::{Former, Settings, SourceError};
use crate::sql::plan::{Plan, TableId, TableSource};

/// How long the broker may take to answer one question.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// What helps where a topic is not the one that was read before.
pub(super) const ANEW: &str = "start with an empty Redis, an empty state folder and new topics";

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
    // A partition is asked only after the broker has answered for the one before.
    config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10").create()
}

/// A partition that is there, or will be.
struct Found {
    partition: Partition,
    role: Role,
    /// The first offset that is there and the one behind the last; `None` where there is no topic.
    held: Option<(i64, i64)>,
}

/// Asks the broker for every partition that a plan reads. A table's topic need not exist:
/// Debezium makes it with the first row.
///
/// Where records of tables, of their transactions or of statements that changed them are gone that the state at hand lacks, MySQL has
/// what they told: all tables are read anew. What their topics still have is read for the record;
/// transactions, notifications and heartbeats are read from their ends on, as those of before belong
/// to nothing any more. What is gone of a table that the state at hand does not know concerns that
/// table alone, which is read anew anyway.
pub(super) fn partitions(
    consumer: &BaseConsumer,
    settings: &Settings,
    plan: &Plan,
    former: &Former,
) -> Result<Vec<PartitionSpec>, NotYet> {
    let found = found(consumer, settings, plan, former)?;
    let known = |of: &Found| former.applied.partitions.get(&of.partition);
    let start = |of: &Found| known(of).map(|known| known.position).unwrap_or_default();
    let is_cut = |of: &Found| of.held.is_some_and(|(low, _)| low > start(of).next_offset);
    let lost = found.iter().any(|of| is_loss(of, former)).then(latest_until_now);
    let mut specs = Vec::new();
    for of in found {
        let unknown = |next_offset| Position { next_offset, fingerprint: 0 };
        let start = match (of.role, of.held) {
            (Role::Heartbeats, Some((low, _))) if lost.is_none() && is_cut(&of) => unknown(low),
            (Role::Table(_) | Role::SchemaChanges, Some((low, _))) if is_cut(&of) => unknown(low),
            (Role::Transactions | Role::Notifications | Role::Heartbeats, Some((_, high)))
                if lost.is_some() =>
            {
                unknown(high)
            }
            _ => start(&of),
        };
        let known = known(&of);
        let Found { partition, role, held } = of;
        let target = former.targets.get(&partition).copied();
        check(&partition, start, target, held)?;
        if let Some((low, _)) = held {
            check_last(consumer, &partition, start, low)?;
        }
        let end_at_start = match (role, held) {
            // Up to there it is waited.
            (Role::Stream(_), Some((low, high))) => readable_end(consumer, &partition, low, high)?,
            (Role::Table(_), Some((low, high))) if lost.is_some() => {
                readable_end(consumer, &partition, low, high)?
            }
            (_, held) => held.map_or(0, |(_, high)| high),
        };
        let end_at_start = role.end_at_start(end_at_start, known.map(|k| k.end_at_start));
        let lost = lost.filter(|_| matches!(role, Role::Table(_)));
        specs.push(PartitionSpec { partition, role, start, target, end_at_start, lost });
    }
    Ok(specs)
}

/// Whether records that all tables depend on are gone before they were read.
fn is_loss(of: &Found, former: &Former) -> bool {
    let Some((low, _)) = of.held else { return false };
    let known = &former.applied.partitions;
    match (of.role, known.get(&of.partition)) {
        (Role::Stream(_) | Role::Heartbeats | Role::Commands, _) => false,
        (_, Some(known)) => low > known.position.next_offset,
        // It is added to those that are read.
        (Role::Table(_), None) if !known.is_empty() => false,
        (_, None) => low > 0,
    }
}

/// Every partition that a plan reads.
fn found(
    consumer: &BaseConsumer,
    settings: &Settings,
    plan: &Plan,
    former: &Former,
) -> Result<Vec<Found>, NotYet> {
    let mut found = Vec::new();
    for (topic, role) in topics(settings, plan) {
        let count = partition_count(consumer, &topic)?;
        let numbers = match (role, count) {
            (Role::Stream(_), 0) => return Err(no_events(topic, former)),
            (Role::Stream(_), count) => 0..i32::try_from(count).unwrap_or(i32::MAX),
            (_, 0 | 1) => 0..1,
            (_, count) => return Err(NotYet::Stop(too_many_partitions(topic, count))),
        };
        for number in numbers {
            let partition = Partition { topic: topic.clone(), number };
            let held = if count == 0 { None } else { Some(watermarks(consumer, &partition)?) };
            found.push(Found { partition, role, held });
        }
    }
    Ok(found)
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
    let Settings { topic_prefix, database, .. } = settings;
    topics.push((format!("{topic_prefix}.{database}.{HEARTBEAT_TABLE}"), Role::Heartbeats));
    topics.push((settings.command_topic.clone(), Role::Commands));
    topics.push((topic_prefix.clone(), Role::SchemaChanges));
    topics
}

/// What a missing event topic means: it is yet to be made, unless a former run read it.
fn no_events(topic: String, former: &Former) -> NotYet {
    let held = former.targets.iter().filter(|(partition, _)| partition.topic == topic);
    for (partition, &position) in held {
        if let Err(gone) = check(partition, Position::default(), Some(position), None) {
            return gone;
        }
    }
    NotYet::Wait(format!("topic `{topic}` does not exist yet"))
}

/// What begins behind `start` must still be there, and so must the last record that a former run
/// applied.
fn check(
    partition: &Partition,
    start: Position,
    target: Option<Position>,
    held: Option<(i64, i64)>,
) -> Result<(), NotYet> {
    let error =
        |problem, remedy| SourceError::Topic { topic: partition.topic.clone(), problem, remedy };
    let (number, start) = (partition.number, start.next_offset);
    let applied = target.map_or(start, |target| target.next_offset.max(start));
    match held {
        None if applied > 0 => Err(NotYet::Gone(error(
            format!("it is gone, though {applied} of its records were applied"),
            ANEW,
        ))),
        Some((_, high)) if high < applied => Err(NotYet::Stop(error(
            format!(
                "partition {number} ends at offset {high}, though {applied} was reached before: it was re-created or lost records"
            ),
            ANEW,
        ))),
        Some((low, _)) if low > start => Err(NotYet::Stop(error(
            format!(
                "partition {number} begins at offset {low}, and the state folder has no checkpoint of what came before (only up to {start})"
            ),
            "what it had is nowhere else: set retention.ms=-1 and cleanup.policy=delete, and start with an empty Redis, an empty state folder and a new topic",
        ))),
        _ => Ok(()),
    }
}

/// The last record that the state holds must be the same one still, if it is still there.
fn check_last(
    consumer: &BaseConsumer,
    partition: &Partition,
    start: Position,
    low: i64,
) -> Result<(), NotYet> {
    let last = start.next_offset - 1;
    if start.fingerprint == 0 || last < low {
        return Ok(());
    }
    consumer.assign(&from_offset(partition, last)?).map_err(wait)?;
    let found = match consumer.poll(ANSWER_WAIT) {
        None => return Err(NotYet::Wait("the broker does not answer".to_owned())),
        Some(Err(KafkaError::PartitionEOF(_))) => None,
        Some(Err(error)) => return Err(wait(error)),
        Some(Ok(record)) => (record.offset() == last).then(|| fingerprint(&record)),
    };
    consumer.unassign().map_err(wait)?;
    if found == Some(start.fingerprint) {
        return Ok(());
    }
    Err(NotYet::Stop(re_created(partition, last)))
}

/// The record that a former run applied is another one now.
pub(super) fn re_created(partition: &Partition, offset: i64) -> SourceError {
    SourceError::Topic {
        topic: partition.topic.clone(),
        problem: format!("another record than before is at offset {offset}: it was re-created"),
        remedy: ANEW,
    }
}

pub(super) fn too_many_partitions(topic: String, count: usize) -> SourceError {
    SourceError::Topic {
        topic,
        problem: format!("it has {count} partitions, which loses the order of changes"),
        remedy: "make it with one (Debezium's by topic.creation.default.partitions=1)",
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

/// The offset behind the last record of a partition that can be read, 0 where there is no topic;
/// else why that cannot be told. The consumer is one to ask with.
pub(crate) fn end_of(consumer: &BaseConsumer, partition: &Partition) -> Result<i64, String> {
    let end = || {
        if partition_count(consumer, &partition.topic)? == 0 {
            return Ok(0);
        }
        let (low, high) = watermarks(consumer, partition)?;
        readable_end(consumer, partition, low, high)
    };
    end().map_err(|not_yet| match not_yet {
        NotYet::Wait(reason) => reason,
        NotYet::Gone(error) | NotYet::Stop(error) => error.to_string(),
    })
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
    consumer.assign(&from_offset(partition, from)?).map_err(wait)?;
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

fn from_offset(partition: &Partition, offset: i64) -> Result<TopicPartitionList, NotYet> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(offset))
        .map_err(wait)?;
    Ok(list)
}

fn wait(error: KafkaError) -> NotYet {
    NotYet::Wait(format!("the broker does not answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::transactions::Applied;

    #[test]
    fn a_table_that_is_added_loses_nothing_of_others() {
        let found = |topic: &str, role, low| Found {
            partition: Partition { topic: topic.to_owned(), number: 0 },
            role,
            held: Some((low, 9)),
        };
        let (table, transactions) = (Role::Table(TableId(0)), Role::Transactions);
        let mut former = Former::default();
        let is_lost = |former: &Former| {
            [("t", table, 2), ("t", table, 0), ("added", table, 2), ("x", transactions, 2)]
                .map(|(topic, role, low)| is_loss(&found(topic, role, low), former))
        };
        assert_eq!(is_lost(&former), [true, false, true, true], "all are read from the beginning");
        let mut applied = Applied::default();
        applied.want_anew(&found("t", table, 0).partition, Default::default());
        former.applied = applied;
        assert_eq!(is_lost(&former), [true, false, false, true]);
    }
}
