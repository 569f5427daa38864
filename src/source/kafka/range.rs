//! Part of a partition, read once.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::change::Partition;
use crate::config::Config;

/// How long the next record may take to come.
const RECORD_WAIT: Duration = Duration::from_secs(10);

/// The settings of a consumer that reads parts of partitions under this name, and changes nothing.
pub(crate) fn range_reader(config: &Config, name: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.kafka.brokers)
        .set("client.id", name)
        .set("group.id", name)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("allow.auto.create.topics", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.message.max.bytes", config.limits.record_bytes_max.to_string())
        .set("log_level", "0");
    client
}

/// Goes through the records from offset `from` on and below `to`, in their order. The consumer has no
/// other use meanwhile, and is told of the ends of partitions (`enable.partition.eof`). Blocks.
///
/// # Errors
/// A broker from which nothing comes for ten seconds.
pub(crate) fn read_range(
    consumer: &BaseConsumer,
    partition: &Partition,
    from: i64,
    to: i64,
    mut look: impl FnMut(&BorrowedMessage<'_>),
) -> Result<(), KafkaError> {
    let mut range = TopicPartitionList::new();
    range.add_partition_offset(&partition.topic, partition.number, Offset::Offset(from))?;
    consumer.assign(&range)?;
    let mut deadline = Instant::now() + RECORD_WAIT;
    loop {
        match consumer.poll(RECORD_WAIT) {
            Some(Ok(record)) => {
                if record.offset() < to {
                    look(&record);
                }
                if record.offset() >= to - 1 {
                    return Ok(());
                }
                deadline = Instant::now() + RECORD_WAIT;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) if Instant::now() >= deadline => return Err(error),
            None if Instant::now() >= deadline => {
                return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
            }
            Some(Err(_)) | None => {}
        }
    }
}
