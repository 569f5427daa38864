//! The dead-letter topic, read from its end backwards.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::{ANSWER_WAIT, OperateError, client, kafka};
use crate::change::Partition;
use crate::config::Config;
use crate::source::dead_letters::DeadLetter;

/// Records read at once; they are held in memory until they were looked at.
const CHUNK_RECORDS: i64 = 256;

/// Where a record lies, written `TOPIC:PARTITION:OFFSET`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinates {
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: i64,
}

/// Text that is no [`Coordinates`].
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "`{0}` is no place of a record; write TOPIC:PARTITION:OFFSET, as `viewtide dlq list` shows it"
)]
pub struct NoCoordinates(String);

impl FromStr for Coordinates {
    type Err = NoCoordinates;

    fn from_str(text: &str) -> Result<Coordinates, NoCoordinates> {
        let read = || {
            let (rest, offset) = text.rsplit_once(':')?;
            let (topic, number) = rest.rsplit_once(':').filter(|(topic, _)| !topic.is_empty())?;
            let (number, offset) = (number.parse::<u16>().ok()?, offset.parse::<u64>().ok()?);
            let partition = Partition { topic: topic.to_owned(), number: number.into() };
            Some(Coordinates { partition, offset: i64::try_from(offset).ok()? })
        };
        read().ok_or_else(|| NoCoordinates(text.to_owned()))
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Partition { topic, number } = &self.partition;
        write!(f, "{topic}:{number}:{}", self.offset)
    }
}

impl Coordinates {
    /// Where a dead letter's record lies.
    pub(super) fn of(letter: &DeadLetter) -> Coordinates {
        Coordinates { partition: letter.place.partition.clone(), offset: letter.place.offset }
    }
}

/// Goes through the dead letters until `look` says that it has seen enough (false): newest first,
/// or oldest first. Blocks.
pub(super) fn visit(
    config: &Config,
    newest_first: bool,
    mut look: impl FnMut(DeadLetter) -> bool,
) -> Result<(), OperateError> {
    let failed = kafka(config);
    let topic = &config.kafka.dead_letter_topic;
    let consumer: BaseConsumer = client(config)
        .set("group.id", "viewtide-operator")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("allow.auto.create.topics", "false")
        .set("fetch.message.max.bytes", config.limits.record_bytes_max.to_string())
        .create()
        .map_err(&failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT).map_err(&failed)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found.map_or(0, |found| found.partitions().len()) {
        // It is made with the first dead letter.
        0 => return Ok(()),
        1 => {}
        count => {
            let problem = format!("has {count} partitions; it must have one");
            return Err(OperateError::Topic { topic: topic.clone(), problem });
        }
    }
    let (low, high) = consumer.fetch_watermarks(topic, 0, ANSWER_WAIT).map_err(&failed)?;
    let mut next = if newest_first { high } else { low };
    while if newest_first { next > low } else { next < high } {
        let (from, to) = match newest_first {
            true => ((next - CHUNK_RECORDS).max(low), next),
            false => (next, (next + CHUNK_RECORDS).min(high)),
        };
        let mut letters = read(&consumer, topic, from, to).map_err(&failed)?;
        if newest_first {
            letters.reverse();
        }
        for letter in letters {
            if !look(letter) {
                return Ok(());
            }
        }
        next = if newest_first { from } else { to };
    }
    Ok(())
}

/// The dead letters at offsets of this range, in their order.
fn read(
    consumer: &BaseConsumer,
    topic: &str,
    from: i64,
    to: i64,
) -> Result<Vec<DeadLetter>, KafkaError> {
    let mut range = TopicPartitionList::new();
    range.add_partition_offset(topic, 0, Offset::Offset(from))?;
    consumer.assign(&range)?;
    let mut letters = Vec::new();
    let mut deadline = Instant::now() + ANSWER_WAIT;
    loop {
        match consumer.poll(ANSWER_WAIT) {
            Some(Ok(record)) => {
                if record.offset() < to {
                    letters.extend(DeadLetter::of(&record));
                }
                if record.offset() >= to - 1 {
                    return Ok(letters);
                }
                deadline = Instant::now() + ANSWER_WAIT;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(letters),
            Some(Err(error)) if Instant::now() >= deadline => return Err(error),
            None if Instant::now() >= deadline => {
                return Err(KafkaError::MessageConsumption(
                    rdkafka::types::RDKafkaErrorCode::OperationTimedOut,
                ));
            }
            Some(Err(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_read_back() {
        for text in ["mysql.shop.orders:0:17", "a:b:2:0"] {
            assert_eq!(text.parse::<Coordinates>().unwrap().to_string(), text);
        }
        for text in ["", "t", "t:1", ":0:1", "t:x:1", "t:0:-1", "t:70000:1"] {
            assert!(text.parse::<Coordinates>().is_err(), "{text}");
        }
    }
}
