//! What operators do beside a running pipeline: look at dead letters, settle them, have tables
//! read again, have documents written again, have another view answer.
//!
//! Nothing here touches documents. What changes them is written as a command (see
//! [`crate::source::command`]), and Redis tells when the pipeline has obeyed.

mod commands;
mod dlq;
mod letters;
mod print;
mod republish;
mod resnapshot;
mod switch;
mod wanted;

use std::io;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::config::Config;
use crate::dial::{DialError, Dialer};
use crate::keyspace::Keyspace;
use crate::sink::{Meta, Sink};
use crate::sql::plan::Plan;
use crate::sql::{CannotAnswer, Unanswered};

pub use dlq::{Choice, Filter, Since, drop, list, replay, show};
pub use letters::Coordinates;
pub(crate) use republish::republish;
pub use resnapshot::{How, resnapshot};
pub use switch::{answering, may_follow, switch};
pub use wanted::read_wanted;

/// How long one answer of a broker may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How often Redis is asked how far the pipeline is.
const POLL: Duration = Duration::from_millis(50);

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// Kafka cannot be asked.
    #[error("kafka at {brokers}: {source}")]
    Kafka {
        /// The brokers.
        brokers: String,
        /// What the client said.
        source: KafkaError,
    },
    /// The Redis URL is not usable.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Redis cannot be asked.
    #[error("redis: {0}")]
    Redis(String),
    /// A topic is not as it has to be.
    #[error("topic `{topic}` {problem}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
    /// The registry cannot be asked.
    #[error("registry: {0}")]
    Registry(String),
    /// There is no such table.
    #[error("no view reads a table `{table}`; allowed: {tables}")]
    NoTable {
        /// As given.
        table: String,
        /// Those there are.
        tables: String,
    },
    /// A view cannot answer for a name.
    #[error(transparent)]
    CannotAnswer(#[from] CannotAnswer),
    /// A view that answers for a name could not by other files.
    #[error(transparent)]
    Unanswered(#[from] Box<Unanswered>),
    /// A view is to answer for a name, and not all of its documents are there.
    #[error("view `{view}` cannot answer for `{name}` yet: {progress}")]
    NotFilled {
        /// The name.
        name: String,
        /// The view.
        view: String,
        /// How far it has come.
        progress: String,
    },
    /// There is no such dead letter.
    #[error(
        "topic `{topic}` has no dead letter {coordinates}: `viewtide dlq list` shows those there are"
    )]
    NoLetter {
        /// The dead-letter topic.
        topic: String,
        /// Where the record lies.
        coordinates: Coordinates,
    },
    /// A record is too large to be written.
    #[error(
        "dead letter {coordinates} is too large for a command: `viewtide resnapshot TABLE` reads its row again"
    )]
    TooLarge {
        /// Where the record lies.
        coordinates: Coordinates,
    },
    /// The report cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

/// How far the pipeline is, as Redis tells.
struct Progress {
    sink: Sink,
}

impl Progress {
    fn new(config: &Config, plan: &Plan) -> Result<Progress, OperateError> {
        let dialer = Dialer::new(config.redis.url.expose())?;
        Ok(Progress { sink: Sink::new(dialer, &Keyspace::new(&config.pipeline.name), plan) })
    }

    async fn meta(&mut self) -> Result<Meta, OperateError> {
        self.sink.read_meta().await.map_err(|error| OperateError::Redis(error.to_string()))
    }

    /// Waits until `holds`; `None` if that takes longer than `patience`. A Redis that does not answer
    /// may have longer than the question, too.
    async fn wait_for(
        &mut self,
        patience: Duration,
        holds: impl Fn(&Meta) -> bool,
    ) -> Result<Option<Meta>, OperateError> {
        let deadline = Instant::now() + patience;
        loop {
            let is_over = Instant::now() >= deadline;
            match self.meta().await {
                Ok(meta) if holds(&meta) => return Ok(Some(meta)),
                Ok(_) if is_over => return Ok(None),
                Err(error) if is_over => return Err(error),
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn client(config: &Config) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.kafka.brokers)
        .set("client.id", "viewtide-operator")
        .set("log_level", "0");
    client
}

fn kafka(config: &Config) -> impl Fn(KafkaError) -> OperateError + use<> {
    let brokers = config.kafka.brokers.clone();
    move |source| OperateError::Kafka { brokers: brokers.clone(), source }
}
