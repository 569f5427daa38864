//! The reading thread: poll, decode, hand over.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc as commands;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{debug, info};

use super::incoming::{Incoming, Reading};
use super::lag::Lag;
use super::patience::{Ending, FIRST_WAIT, Patience};
use super::topics::{self, NotYet};
use super::trouble::Trouble;
use super::watch::{Context, LastRead, Sighting, Watch};
use crate::change::Partition;
use crate::source::dead_letters::DeadLetters;
use crate::source::decode::Decoder;
use crate::source::record::{PartitionId, PartitionSpec, Record, Role};
use crate::source::registry::Registry;
use crate::source::transactions::Flow;
use crate::source::{Former, Settings, SourceError};
use crate::sql::plan::Plan;
use crate::telemetry::{Metrics, Part, Readiness};

/// Longest wait for a record before commands are looked at again.
const POLL_WAIT: Duration = Duration::from_millis(20);

/// How often a broker is asked again for a topic that it does not know although records of it
/// were applied: one that has just started does not know all of them. With the waits in between,
/// some 10 s.
const GONE_TRIES: u32 = 10;

/// How long the client may take to go back to a record.
const SEEK_WAIT: Duration = Duration::from_secs(10);

/// Bytes of records after which a batch is handed over.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// The reading thread's state.
pub(super) struct Thread {
    consumer: BaseConsumer<Context>,
    partitions: Vec<Reading>,
    watch: Watch,
    trouble: Trouble,
    lag: Arc<Lag>,
    registry: Registry,
    dead_letters: DeadLetters,
    settings: Settings,
    patience: Patience,
    /// The next batch.
    batch: Vec<Record>,
}

/// A thread that is ready to read these partitions.
pub(super) type Started = (Thread, Vec<PartitionSpec>, Arc<Lag>);

impl Thread {
    /// Waits for the broker, finds and checks the partitions, and assigns them. `None` when the
    /// thread is to end.
    pub(super) fn start(
        settings: Settings,
        plan: Arc<Plan>,
        former: &Former,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        stop: Arc<AtomicBool>,
        runtime: Handle,
    ) -> Result<Option<Started>, SourceError> {
        let patience = Patience { stop, runtime, readiness, metrics: Arc::clone(&metrics) };
        let fatal = |error: KafkaError| SourceError::Kafka(error.to_string());
        let asking = topics::asking(client_config(&settings)).map_err(fatal)?;
        let mut wait = FIRST_WAIT;
        let mut gone = 0;
        let specs = loop {
            let reason = match topics::partitions(&asking, &settings, &plan, former) {
                Ok(specs) => break specs,
                Err(NotYet::Stop(error)) => return Err(error),
                Err(NotYet::Gone(error)) if gone >= GONE_TRIES => return Err(error),
                Err(NotYet::Gone(error)) => {
                    gone += 1;
                    error.to_string()
                }
                Err(NotYet::Wait(reason)) => reason,
            };
            if patience.wait_for(Part::Kafka, reason, &mut wait).is_err() {
                return Ok(None);
            }
        };
        patience.readiness.clear(Part::Kafka.name());
        let lag = Arc::new(Lag::new(&specs, &metrics));
        let readiness = patience.readiness.clone();
        let context = Context::new(Arc::clone(&lag), specs.clone(), readiness);
        let consumer: BaseConsumer<Context> =
            client_config(&settings).create_with_context(context).map_err(fatal)?;
        consumer.assign(&assignment(&specs).map_err(fatal)?).map_err(fatal)?;
        let decoders =
            Decoder::all(&plan, settings.format, &settings.pipeline, &settings.database, &specs)?;
        let reading = |(spec, decoder): (&PartitionSpec, Decoder)| Reading {
            consumed: metrics.consumed(&spec.partition.topic),
            dead: metrics.dead_letters(&spec.partition.topic),
            table: match spec.role {
                Role::Table(table) => Some(plan.table(table).name.clone()),
                _ => None,
            },
            spec: spec.clone(),
            decoder,
            unconfirmed: Vec::new(),
            unreadable_in_a_row: 0,
            last: LastRead::before(spec.start),
        };
        let thread = Thread {
            watch: Watch::new(&specs),
            trouble: Trouble::default(),
            lag: Arc::clone(&lag),
            partitions: specs.iter().zip(decoders).map(reading).collect(),
            registry: Registry::new(&settings),
            dead_letters: DeadLetters::new(&settings),
            consumer,
            settings,
            patience,
            batch: Vec::new(),
        };
        Ok(Some((thread, specs, lag)))
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
            self.watch_topics()?;
            let wait = if self.batch.is_empty() { POLL_WAIT } else { Duration::ZERO };
            // Taken out of `self`, so that the record and the decoder can be borrowed at once.
            let Thread { consumer, partitions, registry, dead_letters, trouble, .. } = self;
            let polled = match consumer.poll(wait) {
                None => break,
                Some(Err(error)) => {
                    note_error(&error, &self.patience, trouble)?;
                    // What was seen before the error may say that all is well.
                    drop(consumer.context().take_seen());
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
                    self.lag.take_read(record.partition, record.offset);
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

    /// Looks whether the topics are still there, each time that the client tells.
    fn watch_topics(&mut self) -> Result<(), SourceError> {
        let Some(seen) = self.consumer.context().take_seen() else { return Ok(()) };
        if seen.answered() {
            self.trouble.end(Instant::now());
        }
        let partitions = &self.partitions;
        let was_read = |topic: &str| {
            let mut of_topic = partitions.iter().filter(|r| r.spec.partition.topic == topic);
            of_topic.any(|r| {
                r.last.offset().is_some() || r.spec.target.is_some_and(|t| t.next_offset > 0)
            })
        };
        for sighting in self.watch.look(&seen, Instant::now(), was_read)? {
            match sighting {
                Sighting::Gone(topic) => {
                    let reason = "it is gone, and nothing is read of it until it is back";
                    self.patience.readiness.block(&part_of(&topic), reason);
                }
                Sighting::Back(topic) => match self.read_last_again(&topic) {
                    Ok(()) => {
                        info!(topic, "the topic is back");
                        self.watch.settle(&topic);
                        self.patience.readiness.clear(&part_of(&topic));
                    }
                    Err(error) => debug!(topic, %error, "the topic is not back yet"),
                },
            }
        }
        Ok(())
    }

    /// Goes back to the last record of each partition, which must be the same as before.
    fn read_last_again(&mut self, topic: &str) -> Result<(), KafkaError> {
        for reading in &mut self.partitions {
            let Partition { topic: name, number } = &reading.spec.partition;
            if let (true, Some(offset)) = (name == topic, reading.last.offset()) {
                self.consumer.seek(name, *number, Offset::Offset(offset), SEEK_WAIT)?;
                reading.last.expect_again();
            }
        }
        Ok(())
    }
}

/// Sorts the client's errors: what it mends by itself, and what it cannot.
fn note_error(
    error: &KafkaError,
    patience: &Patience,
    trouble: &mut Trouble,
) -> Result<(), SourceError> {
    let code = error.rdkafka_error_code();
    match code {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition) => {
            debug!(%error, "a topic is not there");
            Ok(())
        }
        Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
            Err(SourceError::Kafka(format!(
                "records that were not read yet are gone ({error}): topics need unlimited retention"
            )))
        }
        Some(RDKafkaErrorCode::Fatal) => Err(SourceError::Kafka(error.to_string())),
        _ => {
            trouble.note(error, Instant::now());
            patience.readiness.block(Part::Kafka.name(), error.to_string());
            patience.metrics.retries(Part::Kafka).inc();
            Ok(())
        }
    }
}

/// A topic's name in readiness.
fn part_of(topic: &str) -> String {
    format!("topic {topic}")
}

fn find(partitions: &[Reading], polled: &BorrowedMessage<'_>) -> Option<usize> {
    partitions.iter().position(|reading| {
        let partition = &reading.spec.partition;
        partition.number == polled.partition() && partition.topic == polled.topic()
    })
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
        // A topic that is back is read at once.
        .set("topic.metadata.propagation.max.ms", "1000")
        .set("reconnect.backoff.max.ms", "2000")
        // A peer that is gone without a word is given up; a fetch is answered within half a second.
        .set("socket.timeout.ms", "10000")
        .set("socket.nagle.disable", "true")
        .set("statistics.interval.ms", "1000")
        .set("log_level", "3");
    config
}
