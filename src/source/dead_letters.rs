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
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::Settings;

/// How long the broker may take to acknowledge one dead letter, before it is tried again.
const ACKNOWLEDGE_WAIT: Duration = Duration::from_secs(30);

/// How long the broker may take to make the topic.
const CREATE_WAIT: Duration = Duration::from_secs(10);

/// Bytes of a record that its dead letter has for coordinates and reason on top.
const HEADER_BYTES: usize = 64 * 1024;

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
        ("viewtide.topic", Some(record.topic().to_owned())),
        ("viewtide.partition", Some(number(record.partition().into()))),
        ("viewtide.offset", Some(number(record.offset()))),
        ("viewtide.timestamp", timestamp),
        ("viewtide.reason", Some(reason.to_owned())),
    ];
    let own = record.headers().map_or_else(OwnedHeaders::new, BorrowedHeaders::detach);
    fields
        .iter()
        .fold(own, |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }))
}
