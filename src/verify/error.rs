//! Why there is no verdict.

use std::io;

use redis::RedisError;

use crate::check::innermost;
use crate::dial::DialError;
use crate::operate::OperateError;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A view that does not exist.
    #[error("no view {name}; there are: {known}")]
    UnknownView {
        /// As given.
        name: String,
        /// The views' names.
        known: String,
    },
    /// MySQL refused or broke off.
    #[error("mysql: {reason}")]
    Mysql {
        /// What it said.
        reason: String,
    },
    /// MySQL does not run a SELECT, or not to its end.
    #[error(
        "mysql refuses its SELECT: error {code}: {message}; `viewtide check` compares the tables with their DDL"
    )]
    Refused {
        /// MySQL's number.
        code: u16,
        /// MySQL's text.
        message: String,
    },
    /// A value that is not of the type that the view's column has.
    #[error(
        "mysql: column {column} is `{text}`, which is not of its type; compare the tables' DDL by `viewtide check`"
    )]
    Value {
        /// The column.
        column: String,
        /// MySQL's text.
        text: String,
    },
    /// No GTIDs, by which positions are told.
    #[error(
        "mysql: gtid_executed is `{text}`: positions cannot be told; set gtid_mode=ON and enforce_gtid_consistency=ON"
    )]
    Gtids {
        /// What the server has.
        text: String,
    },
    /// No connection to Redis.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Redis refused or broke off.
    #[error("redis: {reason}")]
    Redis {
        /// What it said.
        reason: String,
    },
    /// Kafka refused or broke off.
    #[error("kafka: {reason}")]
    Kafka {
        /// What it said.
        reason: String,
    },
    /// Nothing to compare with.
    #[error(
        "redis at {address} holds nothing of pipeline {pipeline}: start `viewtide run`, or correct redis.url or pipeline.name"
    )]
    NoPipeline {
        /// Where.
        address: String,
        /// The pipeline's name.
        pipeline: String,
    },
    /// Documents of another definition of the view.
    #[error(
        "redis holds documents of another definition of view {view}: send the pipeline SIGHUP, so that it follows these files"
    )]
    OtherDefinition {
        /// The view.
        view: String,
    },
    /// A view whose documents were replaced whenever they were verified.
    #[error(
        "the documents of view {view} were filled anew {times} times while they were verified: verify it when its definition and tables are at rest"
    )]
    Renewed {
        /// The view.
        view: String,
        /// How often.
        times: u32,
    },
    /// A view that is not published yet.
    #[error("view {view} is not complete after {seconds} s; /readyz of the pipeline says why")]
    NotComplete {
        /// The view.
        view: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The pipeline does not follow.
    #[error(
        "after {seconds} s the pipeline has not passed what MySQL and the event topics held: {missing}; is `viewtide run` running and the connector's heartbeat on?"
    )]
    NotPassed {
        /// How long was waited.
        seconds: u64,
        /// What it lacks.
        missing: String,
    },
    /// A key that is none of the view's.
    #[error("--keys: {reason}; a key of view {view} is {columns}")]
    Keys {
        /// The view.
        view: String,
        /// Its key's columns.
        columns: String,
        /// What is wrong.
        reason: String,
    },
    /// The pipeline cannot be told to write documents again.
    #[error(transparent)]
    Operate(#[from] OperateError),
    /// The pipeline was told to write documents again and did not.
    #[error(
        "pipeline {pipeline} has not written the documents again within {seconds} s; it will when it runs and has read that far"
    )]
    NotObeyed {
        /// The pipeline's name.
        pipeline: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

impl VerifyError {
    pub(super) fn mysql(error: mysql_async::Error) -> VerifyError {
        VerifyError::Mysql { reason: innermost(&error) }
    }

    /// Whether it stands in the way of one view's verdict alone, so that others can be verified.
    pub(super) fn is_of_one_view(&self) -> bool {
        match self {
            VerifyError::Refused { .. }
            | VerifyError::Value { .. }
            | VerifyError::OtherDefinition { .. }
            | VerifyError::Renewed { .. }
            | VerifyError::NotComplete { .. }
            | VerifyError::NotPassed { .. } => true,
            VerifyError::UnknownView { .. }
            | VerifyError::Mysql { .. }
            | VerifyError::Gtids { .. }
            | VerifyError::Dial(_)
            | VerifyError::Redis { .. }
            | VerifyError::Kafka { .. }
            | VerifyError::NoPipeline { .. }
            | VerifyError::Keys { .. }
            | VerifyError::Operate(_)
            | VerifyError::NotObeyed { .. }
            | VerifyError::Output(_) => false,
        }
    }
}

impl From<RedisError> for VerifyError {
    fn from(error: RedisError) -> VerifyError {
        VerifyError::Redis { reason: error.to_string() }
    }
}
