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
use crate::change::{Change, Op, Partition};
use crate::config::Config;
use crate::source::avro::Failure;
use crate::source::json::EventDecoder;
use crate::source::range_reader;
use crate::source::record::Content;
use crate::sql::plan::{Plan, TableId, TableSource, View};

/// How long the brokers may take for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long one poll waits.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// How long a partition must stay silent at its end before what is missing there counts as no
/// record: offsets that transactions of producers take.
const SILENCE: Duration = Duration::from_millis(300);
/// What is held of an event besides the bytes of its record: its key in every index, and their nodes.
const EVENT_BYTES: u64 = 256;

/// The events of the streams that some views read.
pub(crate) struct Topics {
    pub(crate) events: Events,
    topics: Vec<Topic>,
}

/// One event topic, with a consumer of its own: what tells that a partition is at its end does not
/// name the topic.
struct Topic {
    name: String,
    table: TableId,
    decoder: EventDecoder,
    consumer: BaseConsumer,
    /// Asks for ends on a connection of its own: behind a fetch that waits for records an answer
    /// takes half a second.
    asker: BaseConsumer,
    partitions: BTreeMap<i32, Progress>,
    bounds: Bounds,
    unreadable: u64,
}

/// What is read of each partition: the end of it.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// So many offsets.
    pub(crate) offsets: i64,
    /// Bytes of events held.
    pub(crate) bytes: u64,
}

/// What was left out of a partition.
#[derive(Clone)]
pub(crate) struct LeftOut {
    pub(crate) partition: Partition,
    /// Everything before this offset.
    pub(crate) before: i64,
    /// Since more bytes would be held otherwise, not more offsets read.
    pub(crate) by_bytes: bool,
}

#[derive(Default)]
struct Progress {
    /// Where reading began.
    from: i64,
    /// Bytes held of what was read since.
    bytes: u64,
    /// What lies before this offset was left out.
    left_out_before: Option<i64>,
    /// Since it would have been too much to hold.
    left_out_by_bytes: bool,
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
        Topics::within(Bounds { offsets: i64::MAX, bytes: u64::MAX }, config, plan, views)
    }

    /// The same of no more than the end of each partition.
    pub(crate) fn within(
        bounds: Bounds,
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
                table: id,
                decoder: EventDecoder::new(id, table, stream.timestamps),
                consumer: client.create()?,
                asker: client.create()?,
                partitions: BTreeMap::new(),
                bounds,
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

    /// What was left out of each partition of which not all was read.
    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        let of_topic = |topic: &Topic| -> Vec<LeftOut> {
            let of = |(number, progress): (&i32, &Progress)| {
                let partition = Partition { topic: topic.name.clone(), number: *number };
                let by_bytes = progress.left_out_by_bytes;
                Some(LeftOut { partition, before: progress.left_out_before?, by_bytes })
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
                    progress.bytes += message.payload().map_or(0, <[u8]>::len) as u64 + EVENT_BYTES;
                    let is_too_much = progress.bytes > self.bounds.bytes;
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
                    let end = ends.get(&number).copied().unwrap_or(0);
                    if is_too_much {
                        drop(message);
                        self.leave_out_more(number, end, events)?;
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
            let from = first.max(end.saturating_sub(self.bounds.offsets));
            assignment.add_partition_offset(&self.name, partition.id(), Offset::Offset(from))?;
            let left_out_before = (from > first).then_some(from);
            let progress = Progress { from, left_out_before, ..Progress::default() };
            self.partitions.insert(partition.id(), progress);
        }
        self.consumer.assign(&assignment)?;
        Ok(())
    }

    /// Reads the topic anew, of one partition only the later half of what there was to read: more than
    /// may be held came before its end.
    fn leave_out_more(
        &mut self,
        number: i32,
        end: i64,
        events: &mut Events,
    ) -> Result<(), VerifyError> {
        events.apply(Change { table: self.table, op: Op::Truncate });
        self.unreadable = 0;
        let mut assignment = TopicPartitionList::new();
        for (&of, progress) in &mut self.partitions {
            let Progress { mut from, mut left_out_before, mut left_out_by_bytes, .. } = *progress;
            if of == number {
                // At least the record that was one too many.
                from = (from + (end - from).max(2) / 2).max(from + 1);
                (left_out_before, left_out_by_bytes) = (Some(from), true);
            }
            assignment.add_partition_offset(&self.name, of, Offset::Offset(from))?;
            *progress =
                Progress { from, left_out_before, left_out_by_bytes, ..Progress::default() };
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
