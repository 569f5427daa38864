//! Why a document is not explained.

use std::io;

use crate::config::Config;
use crate::dial::DialError;
use crate::verify::VerifyError;

/// Why a document is not explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A view that does not exist.
    #[error("no view is called `{name}`: there are {known}")]
    UnknownView {
        /// As given.
        name: String,
        /// The views' names.
        known: String,
    },
    /// A key that is none of the view's.
    #[error(
        "{reason}; a key of view {view} is {columns}: percent-encoded, with commas between columns, `~` for NULL"
    )]
    Key {
        /// The view.
        view: String,
        /// Its key's columns.
        columns: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such document.
    #[error(
        "view {view} has no document {key}; whether it should, `viewtide verify --view {view} --keys {key}` tells"
    )]
    Absent {
        /// The view.
        view: String,
        /// The key, as given.
        key: String,
    },
    /// A view that is not published yet.
    #[error("view {view} is not complete yet; /readyz of the pipeline says why")]
    NotComplete {
        /// The view.
        view: String,
    },
    /// Documents of another definition of the view.
    #[error(
        "redis holds documents of another definition of view {view}: send the pipeline SIGHUP, so that it follows these files"
    )]
    OtherDefinition {
        /// The view.
        view: String,
    },
    /// Nothing to explain.
    #[error(
        "redis at {address} holds nothing of pipeline {pipeline}: start `viewtide run`, or correct redis.url or pipeline.name"
    )]
    NoPipeline {
        /// Where.
        address: String,
        /// The pipeline's name.
        pipeline: String,
    },
    /// Kafka refused or broke off.
    #[error("kafka at {brokers}: {reason}")]
    Kafka {
        /// The brokers.
        brokers: String,
        /// What the client said.
        reason: String,
    },
    /// The registry cannot be asked.
    #[error("registry: {0}")]
    Registry(String),
    /// No connection to Redis.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Redis refused or broke off.
    #[error("redis at {address}: {reason}")]
    Redis {
        /// Host and port.
        address: String,
        /// What it said.
        reason: String,
    },
    /// MySQL refused or broke off, or its rows cannot be read.
    #[error(transparent)]
    Read(VerifyError),
    /// The report cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl ExplainError {
    /// Names who did not answer.
    pub(super) fn of(config: &Config, error: VerifyError) -> ExplainError {
        match error {
            VerifyError::Kafka { reason } => ExplainError::kafka(config, reason),
            VerifyError::Redis { reason } => {
                ExplainError::Redis { address: config.redis.address(), reason }
            }
            VerifyError::Dial(error) => ExplainError::Dial(error),
            other => ExplainError::Read(other),
        }
    }

    pub(super) fn kafka(config: &Config, reason: impl ToString) -> ExplainError {
        let brokers = config.kafka.brokers.clone();
        ExplainError::Kafka { brokers, reason: reason.to_string() }
    }

    /// Whether what was asked for is wrong, rather than what became of it.
    pub fn is_usage(&self) -> bool {
        matches!(self, ExplainError::UnknownView { .. } | ExplainError::Key { .. })
    }
}
