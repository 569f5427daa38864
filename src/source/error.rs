//! Why reading stops by itself. What passes (broker away, registry away) is waited out instead.

use super::avro::{Side, Unfit};

/// Nothing that waiting mends: going on would lose changes or guess.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A topic is not as it has to be.
    #[error("topic `{topic}`: {problem}; {remedy}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The Kafka client cannot be used as configured.
    #[error("kafka: {0}")]
    Kafka(String),
    /// The registry answers, but has no such schema.
    #[error(
        "topic `{topic}`: offset {offset} was written with schema {id}, which the registry does not know; is it the registry that the connector uses, and did it keep its ids?"
    )]
    UnknownSchema {
        /// The topic.
        topic: String,
        /// Offset of the record.
        offset: i64,
        /// The schema's id.
        id: u32,
    },
    /// A record that is not to be read by the copy of its schema: the registry has another.
    #[error(
        "topic `{topic}`: the {side} at offset {offset} is of schema {id}, under which the registry has another than earlier records were written with: it was emptied and gives ids out anew; restore its schemas (copies are in {copies}), or capture to topics of another prefix"
    )]
    OtherSchema {
        /// The topic.
        topic: String,
        /// Offset of the record.
        offset: i64,
        /// Key or value.
        side: Side,
        /// The schema's id.
        id: u32,
        /// Where the copies are.
        copies: String,
    },
    /// A command of a later version.
    #[error(
        "topic `{topic}`: the command at offset {offset} is of version {version}, this program knows {}: start the version of viewtide that wrote it",
        super::command::VERSION
    )]
    NewerCommand {
        /// The topic.
        topic: String,
        /// Offset of the command.
        offset: i64,
        /// Its version.
        version: u32,
    },
    /// A writer schema that does not fit what the views read.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Too many records in a row that cannot be read: a wrong format rather than bad records.
    #[error(
        "topic `{topic}`: {count} records in a row are unreadable, the last at offset {offset}: {reason}; that is a wrong format, not bad records: correct the connector's converters or the declared columns and start again, which goes on at this record; those before it are dead letters: `viewtide dlq list --topic {topic}`, then `viewtide dlq replay --open --topic {topic}`"
    )]
    WrongFormat {
        /// The topic.
        topic: String,
        /// How many in a row.
        count: u32,
        /// Offset of the last of them.
        offset: i64,
        /// Why that one is unreadable.
        reason: String,
    },
    /// The reading thread ended without a word.
    #[error("the reading thread ended unexpectedly")]
    Ended,
}
