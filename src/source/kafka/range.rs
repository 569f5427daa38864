//! Part of a partition, read once.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::change::Partition;

/// How long the next record may take to come.
const RECORD_WAIT: Duration = Duration::from_secs(10);

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
