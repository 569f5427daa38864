//! Unreadable records, put aside where they can be listed, mended and replayed.
//!
//! A dead letter is the record's own key, value and headers, byte for byte, with further headers
//! that say where it lay, when it was written and why it could not be read. It is acknowledged by all replicas before the record's
//! position may pass. Dead letters are at least once: equal coordinates are one.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{
    BorrowedHeaders, BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders,
};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::Settings;
use super::command::LetterPlace;
use super::kafka::fingerprint_of;
use crate::change::Partition;

/// How long the broker may take to acknowledge one dead letter, before it is tried again.
const ACKNOWLEDGE_WAIT: Duration = Duration::from_secs(30);

/// How long the broker may take to make the topic.
const CREATE_WAIT: Duration = Duration::from_secs(10);

/// Bytes of a record that its dead letter has for coordinates and reason on top.
const HEADER_BYTES: usize = 64 * 1024;

const TOPIC: &str = "viewtide.topic";
const PARTITION: &str = "viewtide.partition";
const OFFSET: &str = "viewtide.offset";
const TIMESTAMP: &str = "viewtide.timestamp";
const REASON: &str = "viewtide.reason";
/// Headers of ours, behind those of the record.
const HEADERS: usize = 5;

/// A dead letter, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the record lies that could not be read, and which it is.
    pub place: LetterPlace,
    /// When it was written, in milliseconds since 1970; `None` if it does not say.
    pub written_ms: Option<i64>,
    /// When it was put aside, likewise.
    pub put_aside_ms: Option<i64>,
    /// Why it could not be read.
    pub reason: String,
    /// Its own headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl DeadLetter {
    /// Reads a record of the dead-letter topic; `None` if it is none of ours.
    pub fn of(record: &BorrowedMessage<'_>) -> Option<DeadLetter> {
        let headers = record.headers()?;
        let own = headers.count().checked_sub(HEADERS)?;
        let text = |at: usize, name: &str| {
            let header = headers.try_get(own + at).filter(|header| header.key == name)?;
            Some(header.value.map(String::from_utf8_lossy))
        };
        let number = |at, name| text(at, name)??.parse::<i64>().ok();
        let topic = text(0, TOPIC)??.into_owned();
        let partition = Partition { topic, number: i32::try_from(number(1, PARTITION)?).ok()? };
        let written_ms = text(3, TIMESTAMP)?.and_then(|ms| ms.parse().ok());
        let reason = text(4, REASON)??.into_owned();
        let fingerprint = fingerprint_of(record.key(), written_ms);
        let header =
            |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
        Some(DeadLetter {
            place: LetterPlace { partition, offset: number(2, OFFSET)?, fingerprint },
            written_ms,
            put_aside_ms: record.timestamp().to_millis(),
            reason,
            headers: headers.iter().take(own).map(header).collect(),
            key: record.key().map(<[u8]>::to_vec),
            value: record.payload().map(<[u8]>::to_vec),
        })
    }
}

/// The writing end of the dead-letter topic.
pub(super) struct DeadLetters {
    config: ClientConfig,
    topic: String,
    record_bytes_max: usize,
    producer: Option<FutureProducer>,
}

impl DeadLetters {
    /// Nothing is connected before the first dead letter.
    pub(super) fn new(settings: &Settings) -> DeadLetters {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &settings.brokers)
            .set("client.id", "viewtide-dead-letters")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", ACKNOWLEDGE_WAIT.as_millis().to_string())
            .set("message.max.bytes", (settings.record_bytes_max + HEADER_BYTES).to_string())
            .set("log_level", "3");
        DeadLetters {
            config,
            topic: settings.dead_letter_topic.clone(),
            record_bytes_max: settings.record_bytes_max + HEADER_BYTES,
            producer: None,
        }
    }

    /// Puts a record aside.
    ///
    /// # Errors
    /// When the broker did not acknowledge it in time; it may be there all the same.
    pub(super) async fn put(
        &mut self,
        record: &BorrowedMessage<'_>,
        reason: &str,
    ) -> Result<(), KafkaError> {
        let headers = headers(record, reason);
        let producer = match &self.producer {
            Some(producer) => producer,
            None => {
                self.make_topic().await?;
                self.producer.insert(self.config.create()?)
            }
        };
        let mut letter: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&self.topic).headers(headers);
        letter.key = record.key();
        letter.payload = record.payload();
        producer.send(letter, ACKNOWLEDGE_WAIT).await.map(drop).map_err(|(error, _)| error)
    }

    /// Makes the topic unless it is there: one partition, nothing ever removed.
    async fn make_topic(&self) -> Result<(), KafkaError> {
        let admin: AdminClient<DefaultClientContext> = self.config.create()?;
        let bytes_max = self.record_bytes_max.to_string();
        let topic = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(-1))
            .set("cleanup.policy", "delete")
            .set("retention.ms", "-1")
            .set("max.message.bytes", &bytes_max);
        let options = AdminOptions::new().operation_timeout(Some(CREATE_WAIT));
        for made in admin.create_topics([&topic], &options).await? {
            match made {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(KafkaError::AdminOp(code)),
            }
        }
        Ok(())
    }
}

fn headers(record: &BorrowedMessage<'_>, reason: &str) -> OwnedHeaders {
    let number = |n: i64| n.to_string();
    let timestamp = record.timestamp().to_millis().map(number);
    let fields = [
        (TOPIC, Some(record.topic().to_owned())),
        (PARTITION, Some(number(record.partition().into()))),
        (OFFSET, Some(number(record.offset()))),
        (TIMESTAMP, timestamp),
        (REASON, Some(reason.to_owned())),
    ];
    let own = record.headers().map_or_else(OwnedHeaders::new, BorrowedHeaders::detach);
    fields
        .iter()
        .fold(own, |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }))
}
