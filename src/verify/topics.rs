//! Event topics, read from Kafka from their beginning, and again to their ends at every call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::VerifyError;
use super::events::Events;
use crate::change::Partition;
use crate::config::Config;
use crate::source::avro::Failure;
use crate::source::json::EventDecoder;
use crate::source::range_reader;
use crate::source::record::Content;
use crate::sql::plan::{Plan, TableSource, View};

/// How long the brokers may take for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long one poll waits.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// How long a partition must stay silent at its end before what is missing there counts as no
/// record: offsets that transactions of producers take.
const SILENCE: Duration = Duration::from_millis(300);

/// The events of the streams that some views read.
pub(crate) struct Topics {
    pub(crate) events: Events,
    topics: Vec<Topic>,
}

/// One event topic, with a consumer of its own: what tells that a partition is at its end does not
/// name the topic.
struct Topic {
    name: String,
    decoder: EventDecoder,
    consumer: BaseConsumer,
    /// Asks for ends on a connection of its own: behind a fetch that waits for records an answer
    /// takes half a second.
    asker: BaseConsumer,
    partitions: BTreeMap<i32, Progress>,
    /// Of each partition the last so many offsets are read.
    offsets_max: i64,
    unreadable: u64,
}

#[derive(Default)]
struct Progress {
    /// What lies before this offset was left out.
    left_out_before: Option<i64>,
    /// First offset behind the last record read.
    read: i64,
    /// Up to here there is nothing more.
    reached: i64,
    is_at_end: bool,
}

impl Topics {
    /// Prepares to read the streams of these views; connects when it reads.
    pub(crate) fn connect(
        config: &Config,
        plan: &Arc<Plan>,
        views: &[&View],
    ) -> Result<Topics, VerifyError> {
        Topics::of_the_last(i64::MAX, config, plan, views)
    }

    /// The same of the last so many offsets of each partition.
    pub(crate) fn of_the_last(
        offsets_max: i64,
        config: &Config,
        plan: &Arc<Plan>,
        views: &[&View],
    ) -> Result<Topics, VerifyError> {
        let events = Events::new(Arc::clone(plan), views.iter().copied());
        let mut topics = Vec::new();
        for id in events.tables() {
            let table = plan.table(id);
            let TableSource::Stream(stream) = &table.source else { continue };
            let client = range_reader(config, "viewtide-verify");
            topics.push(Topic {
                name: stream.topic.clone(),
                decoder: EventDecoder::new(id, table, stream.timestamps),
                consumer: client.create()?,
                asker: client.create()?,
                partitions: BTreeMap::new(),
                offsets_max,
                unreadable: 0,
            });
        }
        Ok(Topics { events, topics })
    }

    /// How many records the topics hold now, at most. Blocks.
    pub(super) fn events_there(&self) -> Result<u64, VerifyError> {
        let mut events = 0;
        for topic in &self.topics {
            let metadata = topic.asker.fetch_metadata(Some(&topic.name), ANSWER_WAIT)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic.name);
            for partition in found.map_or(&[][..], |found| found.partitions()) {
                let (first, end) =
                    topic.asker.fetch_watermarks(&topic.name, partition.id(), ANSWER_WAIT)?;
                events += u64::try_from(end - first).unwrap_or_default();
            }
        }
        Ok(events)
    }

    /// The partitions of which not all was read, each with where reading began.
    pub(crate) fn left_out(&self) -> Vec<(Partition, i64)> {
        let of_topic = |topic: &Topic| -> Vec<(Partition, i64)> {
            let of = |(number, progress): (&i32, &Progress)| {
                let partition = Partition { topic: topic.name.clone(), number: *number };
                Some((partition, progress.left_out_before?))
            };
            topic.partitions.iter().filter_map(of).collect()
        };
        self.topics.iter().flat_map(of_topic).collect()
    }

    /// Reads everything that the topics hold now; first offset not read, by partition. Blocks.
    pub(crate) fn read_to_end(&mut self) -> Result<BTreeMap<Partition, i64>, VerifyError> {
        let mut positions = BTreeMap::new();
        for topic in &mut self.topics {
            topic.read_to_end(&mut self.events)?;
            for (number, progress) in &topic.partitions {
                let partition = Partition { topic: topic.name.clone(), number: *number };
                positions.insert(partition, progress.read);
            }
        }
        Ok(positions)
    }
}

impl Topic {
    fn read_to_end(&mut self, events: &mut Events) -> Result<(), VerifyError> {
        if self.partitions.is_empty() {
            self.assign()?;
        }
        let mut ends = BTreeMap::new();
        for number in self.partitions.keys() {
            let (_, end) = self.asker.fetch_watermarks(&self.name, *number, ANSWER_WAIT)?;
            ends.insert(*number, end);
        }
        let mut last_record = Instant::now();
        while !self.has_reached(&ends, last_record.elapsed()) {
            match self.consumer.poll(POLL_WAIT) {
                Some(Ok(message)) => {
                    let number = message.partition();
                    let progress = self.partitions.entry(number).or_default();
                    progress.read = message.offset() + 1;
                    progress.is_at_end = false;
                    last_record = Instant::now();
                    if let Err(reason) = apply(&mut self.decoder, &message, events) {
                        let offset = message.offset();
                        tracing::debug!(
                            topic = self.name,
                            number,
                            offset,
                            ?reason,
                            "unreadable event"
                        );
                        self.unreadable += 1;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    self.partitions.entry(number).or_default().is_at_end = true;
                }
                Some(Err(error)) if last_record.elapsed() > ANSWER_WAIT => return Err(error.into()),
                None if last_record.elapsed() > ANSWER_WAIT => {
                    let reason = format!("topic {} is not read to its end", self.name);
                    return Err(VerifyError::Kafka { reason });
                }
                Some(Err(_)) | None => {}
            }
        }
        for (number, end) in ends {
            let progress = self.partitions.entry(number).or_default();
            progress.reached = progress.reached.max(end);
        }
        Ok(())
    }

    fn assign(&mut self) -> Result<(), VerifyError> {
        let metadata = self.asker.fetch_metadata(Some(&self.name), ANSWER_WAIT)?;
        let found = metadata.topics().iter().find(|topic| topic.name() == self.name);
        let partitions = found.map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            let reason = format!("topic {} does not exist", self.name);
            return Err(VerifyError::Kafka { reason });
        }
        let mut assignment = TopicPartitionList::new();
        for partition in partitions {
            let (first, end) =
                self.asker.fetch_watermarks(&self.name, partition.id(), ANSWER_WAIT)?;
            let from = first.max(end.saturating_sub(self.offsets_max));
            assignment.add_partition_offset(&self.name, partition.id(), Offset::Offset(from))?;
            let left_out_before = (from > first).then_some(from);
            let progress = Progress { left_out_before, ..Progress::default() };
            self.partitions.insert(partition.id(), progress);
        }
        self.consumer.assign(&assignment)?;
        Ok(())
    }

    fn has_reached(&self, ends: &BTreeMap<i32, i64>, silence: Duration) -> bool {
        self.partitions.iter().all(|(number, progress)| {
            let end = ends.get(number).copied().unwrap_or(0);
            let is_silent = progress.is_at_end && silence > SILENCE;
            end == 0 || progress.read.max(progress.reached) >= end || is_silent
        })
    }
}

fn apply(
    decoder: &mut EventDecoder,
    message: &BorrowedMessage<'_>,
    events: &mut Events,
) -> Result<(), Failure> {
    let decoded = decoder.decode(message.payload(), message.partition(), message.offset())?;
    if let Content::Event(change) = decoded.content {
        events.apply(change);
    }
    Ok(())
}

impl From<KafkaError> for VerifyError {
    fn from(error: KafkaError) -> VerifyError {
        VerifyError::Kafka { reason: error.to_string() }
    }
}
