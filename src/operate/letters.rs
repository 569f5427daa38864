//! The dead-letter topic, read from its end backwards.

use std::fmt;
use std::str::FromStr;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::BorrowedMessage;

use super::{ANSWER_WAIT, OperateError, client, kafka};
use crate::change::Partition;
use crate::config::Config;
use crate::source::dead_letters::DeadLetter;
use crate::source::read_range;

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
    let partition = Partition { topic: topic.clone(), number: 0 };
    let mut next = if newest_first { high } else { low };
    while if newest_first { next > low } else { next < high } {
        let (from, to) = match newest_first {
            true => ((next - CHUNK_RECORDS).max(low), next),
            false => (next, (next + CHUNK_RECORDS).min(high)),
        };
        let mut letters = Vec::new();
        let keep = |record: &BorrowedMessage<'_>| letters.extend(DeadLetter::of(record));
        read_range(&consumer, &partition, from, to, keep).map_err(&failed)?;
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
