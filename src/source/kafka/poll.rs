//! The reading thread: poll, decode, hand over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc as commands;
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Ends;
use super::topics::{self, NotYet};
use crate::change::{Partition, Positions};
use crate::source::avro::{Decoded, Failure, Side};
use crate::source::dead_letters::DeadLetters;
use crate::source::decode::Decoder;
use crate::source::record::{Content, PartitionId, PartitionSpec, Record};
use crate::source::registry::{Registry, RegistryError};
use crate::source::transactions::Flow;
use crate::source::{Settings, SourceError};
use crate::sql::plan::Plan;
use crate::telemetry::{Metrics, Part, Readiness};

/// Longest wait for a record before commands are looked at again.
const POLL_WAIT: Duration = Duration::from_millis(20);

/// Waits between two tries of what failed: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(2);

/// How often a registry that answers is asked for a schema that it does not know: the connector
/// may have written the record a moment before.
const UNKNOWN_SCHEMA_TRIES: u32 = 5;

/// Bytes of records after which a batch is handed over.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Bytes of a record besides its key and value, towards the bound of its queue.
const RECORD_OVERHEAD: usize = 128;

/// The reading thread's state.
pub(super) struct Thread {
    consumer: BaseConsumer<Context>,
    partitions: Vec<Reading>,
    registry: Registry,
    dead_letters: DeadLetters,
    settings: Settings,
    patience: Patience,
    /// The next batch.
    batch: Vec<Record>,
}

/// One partition.
struct Reading {
    spec: PartitionSpec,
    decoder: Decoder,
    consumed: Counter,
    dead: Counter,
    /// Unreadable records since the last readable one.
    unreadable_in_a_row: u32,
}

/// A thread that is ready to read these partitions.
pub(super) type Started = (Thread, Vec<PartitionSpec>, Arc<Ends>);

/// Waits, unless the thread is to end.
struct Patience {
    stop: Arc<AtomicBool>,
    runtime: Handle,
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

/// The thread is to end.
struct Ending;

/// Takes what the client tells between records.
struct Context {
    ends: Arc<Ends>,
    specs: Vec<PartitionSpec>,
    readiness: Readiness,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        // Where nothing changes no record tells that trouble has passed.
        if statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            self.readiness.clear(Part::Kafka.name());
        }
        for (spec, end) in self.specs.iter().zip(&self.ends.0) {
            let topic = statistics.topics.get(&spec.partition.topic);
            let partition = topic.and_then(|t| t.partitions.get(&spec.partition.number));
            if let Some(partition) = partition.filter(|p| p.hi_offset >= 0) {
                end.store(partition.hi_offset, Ordering::Relaxed);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Context {}

impl Thread {
    /// Waits for the broker, finds and checks the partitions, and assigns them. `None` when the
    /// thread is to end.
    pub(super) fn start(
        settings: Settings,
        plan: Arc<Plan>,
        positions: &Positions,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        stop: Arc<AtomicBool>,
        runtime: Handle,
    ) -> Result<Option<Started>, SourceError> {
        let patience = Patience { stop, runtime, readiness, metrics: Arc::clone(&metrics) };
        let fatal = |error: KafkaError| SourceError::Kafka(error.to_string());
        let asking = topics::asking(client_config(&settings)).map_err(fatal)?;
        let mut wait = FIRST_WAIT;
        let specs = loop {
            match topics::partitions(&asking, &settings, &plan, positions) {
                Ok(specs) => break specs,
                Err(NotYet::Stop(error)) => return Err(error),
                Err(NotYet::Wait(reason)) => {
                    if patience.wait_for(Part::Kafka, reason, &mut wait).is_err() {
                        return Ok(None);
                    }
                }
            }
        };
        patience.readiness.clear(Part::Kafka.name());
        let ends = specs.iter().map(|spec| AtomicI64::new(spec.end_at_start)).collect();
        let ends = Arc::new(Ends(ends));
        let readiness = patience.readiness.clone();
        let context = Context { ends: Arc::clone(&ends), specs: specs.clone(), readiness };
        let consumer: BaseConsumer<Context> =
            client_config(&settings).create_with_context(context).map_err(fatal)?;
        consumer.assign(&assignment(&specs).map_err(fatal)?).map_err(fatal)?;
        let decoders = Decoder::all(&plan, &settings.database, &specs);
        let reading = |(spec, decoder): (&PartitionSpec, Decoder)| Reading {
            consumed: metrics.consumed(&spec.partition.topic),
            dead: metrics.dead_letters(&spec.partition.topic),
            spec: spec.clone(),
            decoder,
            unreadable_in_a_row: 0,
        };
        let thread = Thread {
            partitions: specs.iter().zip(decoders).map(reading).collect(),
            registry: Registry::new(&settings),
            dead_letters: DeadLetters::new(&settings),
            consumer,
            settings,
            patience,
            batch: Vec::new(),
        };
        Ok(Some((thread, specs, ends)))
    }

    /// Reads until told to end, or until nobody takes the batches.
    pub(super) fn run(
        mut self,
        batches: &mpsc::Sender<Result<Vec<Record>, SourceError>>,
        flow: &commands::Receiver<(PartitionId, Flow)>,
    ) {
        loop {
            let outcome = self.fill_batch(flow);
            let batch = std::mem::take(&mut self.batch);
            if !batch.is_empty() && batches.blocking_send(Ok(batch)).is_err() {
                return;
            }
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(Ending)) => return,
                Err(error) => return drop(batches.blocking_send(Err(error))),
            }
        }
    }

    /// Polls until there is nothing more, or the batch is full.
    fn fill_batch(
        &mut self,
        flow: &commands::Receiver<(PartitionId, Flow)>,
    ) -> Result<Result<(), Ending>, SourceError> {
        let mut bytes = 0;
        while self.batch.len() < self.settings.batch_records_max && bytes < BATCH_BYTES_MAX {
            if self.patience.is_over() {
                return Ok(Err(Ending));
            }
            while let Ok((partition, flow)) = flow.try_recv() {
                self.steer(partition, flow)?;
            }
            let wait = if self.batch.is_empty() { POLL_WAIT } else { Duration::ZERO };
            // Taken out of `self`, so that the record and the decoder can be borrowed at once.
            let Thread { consumer, partitions, registry, dead_letters, .. } = self;
            let polled = match consumer.poll(wait) {
                None => break,
                Some(Err(error)) => {
                    note_error(&error, &self.patience)?;
                    continue;
                }
                Some(Ok(polled)) => polled,
            };
            let Some(at) = find(partitions, &polled) else { continue };
            let mut incoming = Incoming {
                id: PartitionId(at as u16),
                reading: &mut partitions[at],
                registry,
                dead_letters,
                patience: &self.patience,
                unreadable_max: self.settings.unreadable_in_a_row_max,
            };
            match incoming.read(&polled)? {
                Ok(record) => {
                    if self.batch.is_empty() {
                        self.patience.readiness.clear(Part::Kafka.name());
                    }
                    bytes += record.bytes as usize;
                    self.batch.push(record);
                }
                Err(Ending) => return Ok(Err(Ending)),
            }
        }
        Ok(Ok(()))
    }

    fn steer(&self, id: PartitionId, flow: Flow) -> Result<(), SourceError> {
        let partition = &self.partitions[id.index()].spec.partition;
        let mut list = TopicPartitionList::new();
        list.add_partition(&partition.topic, partition.number);
        let done = match flow {
            Flow::Pause => self.consumer.pause(&list),
            Flow::Resume => self.consumer.resume(&list),
        };
        done.map_err(|error| SourceError::Kafka(error.to_string()))
    }
}

/// A record being read, with all that it takes.
struct Incoming<'t> {
    id: PartitionId,
    reading: &'t mut Reading,
    registry: &'t mut Registry,
    dead_letters: &'t mut DeadLetters,
    patience: &'t Patience,
    unreadable_max: u32,
}

impl Incoming<'_> {
    fn read(
        &mut self,
        polled: &BorrowedMessage<'_>,
    ) -> Result<Result<Record, Ending>, SourceError> {
        self.reading.consumed.inc();
        let fingerprint = fingerprint(polled);
        self.check_fingerprint(polled.offset(), fingerprint)?;
        let Decoded { content, committed_us } = match self.decode(polled)? {
            Ok(decoded) => decoded,
            Err(Ending) => return Ok(Err(Ending)),
        };
        let bytes = polled.payload_len() + polled.key_len() + RECORD_OVERHEAD;
        Ok(Ok(Record {
            partition: self.id,
            offset: polled.offset(),
            fingerprint,
            committed_us,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            content,
        }))
    }

    fn decode(
        &mut self,
        polled: &BorrowedMessage<'_>,
    ) -> Result<Result<Decoded, Ending>, SourceError> {
        loop {
            let (key, value) = (polled.key(), polled.payload());
            match self.reading.decoder.decode(polled.partition(), polled.offset(), key, value) {
                Ok(decoded) => {
                    self.reading.unreadable_in_a_row = 0;
                    return Ok(Ok(decoded));
                }
                Err(Failure::Schema(side, id)) => {
                    if let Err(Ending) = self.fetch_schema(side, id, polled)? {
                        return Ok(Err(Ending));
                    }
                }
                Err(Failure::Unreadable(unreadable)) => {
                    if let Err(Ending) = self.put_aside(polled, &unreadable.reason.to_string())? {
                        return Ok(Err(Ending));
                    }
                    let content = match unreadable.place {
                        Some(place) => Content::Row { place, change: None },
                        None => Content::Hole,
                    };
                    return Ok(Ok(Decoded { content, committed_us: 0 }));
                }
            }
        }
    }

    fn fetch_schema(
        &mut self,
        side: Side,
        id: u32,
        polled: &BorrowedMessage<'_>,
    ) -> Result<Result<(), Ending>, SourceError> {
        let mut wait = FIRST_WAIT;
        let mut unknown = 0;
        loop {
            let reason = match self.patience.runtime.block_on(self.registry.schema(id)) {
                Ok(schema) => {
                    self.patience.readiness.clear(Part::Registry.name());
                    self.reading.decoder.add_schema(side, id, &schema)?;
                    return Ok(Ok(()));
                }
                Err(RegistryError::Unknown) if unknown >= UNKNOWN_SCHEMA_TRIES => {
                    return Err(SourceError::UnknownSchema {
                        topic: polled.topic().to_owned(),
                        offset: polled.offset(),
                        id,
                    });
                }
                Err(RegistryError::Unknown) => {
                    unknown += 1;
                    format!("it does not know schema {id}")
                }
                Err(RegistryError::Unavailable(reason)) => {
                    unknown = 0;
                    reason
                }
            };
            if self.patience.wait_for(Part::Registry, reason, &mut wait).is_err() {
                return Ok(Err(Ending));
            }
        }
    }

    /// Makes a dead letter of the record, however long that takes. What a former run passed is
    /// one already.
    fn put_aside(
        &mut self,
        polled: &BorrowedMessage<'_>,
        reason: &str,
    ) -> Result<Result<(), Ending>, SourceError> {
        let (topic, offset) = (polled.topic(), polled.offset());
        if self.reading.spec.target.is_some_and(|target| offset < target.next_offset) {
            return Ok(Ok(()));
        }
        warn!(topic, partition = polled.partition(), offset, reason, "unreadable record put aside");
        let mut wait = FIRST_WAIT;
        while let Err(error) = self.patience.runtime.block_on(self.dead_letters.put(polled, reason))
        {
            let reason = format!("cannot put an unreadable record aside: {error}");
            if self.patience.wait_for(Part::Kafka, reason, &mut wait).is_err() {
                return Ok(Err(Ending));
            }
        }
        self.reading.dead.inc();
        self.reading.unreadable_in_a_row += 1;
        if self.reading.unreadable_in_a_row >= self.unreadable_max {
            return Err(SourceError::WrongFormat {
                topic: topic.to_owned(),
                count: self.reading.unreadable_in_a_row,
                offset,
                reason: reason.to_owned(),
            });
        }
        Ok(Ok(()))
    }

    /// The last record that a former run applied must be the same one still.
    fn check_fingerprint(&self, offset: i64, found: u64) -> Result<(), SourceError> {
        let Some(target) = self.reading.spec.target else { return Ok(()) };
        if offset + 1 != target.next_offset
            || target.fingerprint == 0
            || target.fingerprint == found
        {
            return Ok(());
        }
        Err(SourceError::Topic {
            topic: self.reading.spec.partition.topic.clone(),
            problem: format!("another record than before is at offset {offset}: it was re-created"),
            remedy: "start with an empty Redis",
        })
    }
}

impl Patience {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Says why, and waits longer each time.
    fn wait_for(&self, part: Part, reason: String, wait: &mut Duration) -> Result<(), Ending> {
        if *wait == FIRST_WAIT {
            info!(part = part.name(), reason, "waiting");
        }
        self.readiness.block(part.name(), reason);
        self.metrics.retries(part).inc();
        self.metrics.wait_seconds(part).inc_by(wait.as_secs_f64());
        let mut left = *wait;
        while !left.is_zero() && !self.is_over() {
            let slice = left.min(FIRST_WAIT);
            thread::sleep(slice);
            left -= slice;
        }
        *wait = (*wait * 2).min(LAST_WAIT);
        if self.is_over() { Err(Ending) } else { Ok(()) }
    }
}

/// Sorts the client's errors: what it mends by itself, and what it cannot.
fn note_error(error: &KafkaError, patience: &Patience) -> Result<(), SourceError> {
    let code = error.rdkafka_error_code();
    match code {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition) => {
            debug!(%error, "a topic does not exist yet");
            Ok(())
        }
        Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
            Err(SourceError::Kafka(format!(
                "records that were not read yet are gone ({error}): topics need unlimited retention"
            )))
        }
        Some(RDKafkaErrorCode::Fatal) => Err(SourceError::Kafka(error.to_string())),
        _ => {
            warn!(%error, "kafka has trouble; going on when it passes");
            patience.readiness.block(Part::Kafka.name(), error.to_string());
            patience.metrics.retries(Part::Kafka).inc();
            Ok(())
        }
    }
}

fn find(partitions: &[Reading], polled: &BorrowedMessage<'_>) -> Option<usize> {
    partitions.iter().position(|reading| {
        let partition = &reading.spec.partition;
        partition.number == polled.partition() && partition.topic == polled.topic()
    })
}

/// Recognises a record by its timestamp and key; never 0.
fn fingerprint(polled: &BorrowedMessage<'_>) -> u64 {
    let timestamp = polled.timestamp().to_millis().unwrap_or(0);
    xxh3_64_with_seed(polled.key().unwrap_or_default(), timestamp as u64).max(1)
}

fn assignment(specs: &[PartitionSpec]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for spec in specs {
        let Partition { topic, number } = &spec.partition;
        list.add_partition_offset(topic, *number, Offset::Offset(spec.start.next_offset))?;
    }
    Ok(list)
}

fn client_config(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "viewtide")
        // The client wants a group to assign partitions by hand; nothing is ever committed to it.
        .set("group.id", format!("viewtide-{}", settings.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("fetch.message.max.bytes", settings.record_bytes_max.to_string())
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100")
        .set("queued.max.messages.kbytes", "32768")
        // A table's topic appears with the table's first row.
        .set("topic.metadata.refresh.interval.ms", "1000")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.nagle.disable", "true")
        .set("statistics.interval.ms", "1000")
        .set("log_level", "3");
    config
}
