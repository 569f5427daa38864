//! Writing commands, and waiting until the pipeline has obeyed.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{ANSWER_WAIT, OperateError, Progress, client, kafka};
use crate::change::Partition;
use crate::config::Config;
use crate::sink::Meta;
use crate::source::command::Order;

/// How long the broker may take to acknowledge one command.
const ACKNOWLEDGE_WAIT: Duration = Duration::from_secs(30);

/// The writing end of the commands topic.
pub(super) struct Commands<'c> {
    config: &'c Config,
    producer: FutureProducer,
    partition: Partition,
    /// Behind the last one written.
    end: i64,
}

impl Commands<'_> {
    /// Looks whether the topic is as it has to be, and makes it if it is not there.
    pub(super) async fn open(config: &Config) -> Result<Commands<'_>, OperateError> {
        let topic = config.kafka.command_topic.clone();
        let failed = kafka(config);
        let mut client = client(config);
        let bytes_max = config.limits.record_bytes_max.to_string();
        client.set("message.max.bytes", &bytes_max);
        let asking: BaseConsumer = client
            .clone()
            .set("group.id", "viewtide-operator")
            .set("allow.auto.create.topics", "false")
            .create()
            .map_err(&failed)?;
        let metadata = asking.fetch_metadata(Some(&topic), ANSWER_WAIT).map_err(&failed)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map_or(0, |found| found.partitions().len()) {
            0 => make_topic(&client, &topic, &bytes_max).await.map_err(&failed)?,
            1 => {}
            count => {
                let problem = format!("has {count} partitions; make it with one, order matters");
                return Err(OperateError::Topic { topic, problem });
            }
        }
        let producer = client.set("enable.idempotence", "true").create().map_err(&failed)?;
        let partition = Partition { topic, number: 0 };
        Ok(Commands { config, producer, partition, end: 0 })
    }

    /// Writes a command; false if it is too large.
    pub(super) async fn write(&mut self, order: &Order) -> Result<bool, OperateError> {
        let body = order.to_json(&self.config.pipeline.name);
        let record: FutureRecord<'_, (), [u8]> =
            FutureRecord::to(&self.partition.topic).partition(0).payload(&body);
        match self.producer.send(record, ACKNOWLEDGE_WAIT).await {
            Ok(delivery) => {
                self.end = delivery.offset + 1;
                Ok(true)
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                Ok(false)
            }
            Err((error, _)) => Err(kafka(self.config)(error)),
        }
    }

    /// Waits until the pipeline has obeyed what was written; `None` if that takes longer.
    pub(super) async fn obeyed(
        &self,
        progress: &mut Progress,
        patience: Duration,
    ) -> Result<Option<Meta>, OperateError> {
        progress.wait_for(patience, |meta| self.is_obeyed(meta)).await
    }

    /// Whether the pipeline has obeyed what was written.
    pub(super) fn is_obeyed(&self, meta: &Meta) -> bool {
        meta.positions.get(&self.partition).is_some_and(|at| at.next_offset >= self.end)
    }
}

/// One partition, nothing ever removed: a pipeline that starts anew repeats all commands.
async fn make_topic(
    client: &rdkafka::ClientConfig,
    topic: &str,
    bytes_max: &str,
) -> Result<(), KafkaError> {
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(-1))
        .set("cleanup.policy", "delete")
        .set("retention.ms", "-1")
        .set("max.message.bytes", bytes_max);
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_WAIT));
    for made in admin.create_topics([&topic], &options).await? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    Ok(())
}
