//! What can come of an operation on Redis, sorted by what the pipeline does about it.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

use crate::dial::DialError;

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Redis cannot do it now. Do the same again after `after`; a step until it is settled, for
    /// whether it took effect may be unknown.
    #[error("{reason}")]
    Retry {
        /// What is the matter, for people.
        reason: String,
        /// How long to wait: grows with each failure in a row, up to a second.
        after: Duration,
        /// It has no memory left.
        is_full: bool,
    },
    /// Another process has claimed the pipeline: this one must write nothing more.
    #[error("another process has claimed the pipeline (epoch {epoch})")]
    Fenced {
        /// The other's epoch.
        epoch: u64,
    },
    /// Redis lost data or went back to an older state: claim again, then fill every view.
    #[error("redis went back: {found}")]
    Rewound {
        /// What was found, and expected.
        found: String,
    },
    /// Nothing that waiting mends.
    #[error("{reason}")]
    Fatal {
        /// What is wrong and how to mend it.
        reason: String,
    },
}

/// How one exchange with the server failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no reply: it may have taken effect.
    NoReply(String),
    /// Redis said no, as a whole, and may say yes later.
    NotNow(String),
    /// Redis has no memory left.
    OutOfMemory(String),
    /// Redis does not know the script.
    NoScript,
    /// Nothing that waiting mends.
    Fatal(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Failure {
        let said = || format!("redis answers `{error}`");
        match error.code() {
            Some("NOSCRIPT") => return Failure::NoScript,
            Some("OOM") => {
                let hint = "raise maxmemory or make room";
                return Failure::OutOfMemory(format!("redis is out of memory; {hint}"));
            }
            Some("READONLY") => {
                let hint = "the server is a replica, waiting for a primary";
                return Failure::NotNow(format!("redis is read-only; {hint}"));
            }
            Some(
                "LOADING" | "MISCONF" | "BUSY" | "NOREPLICAS" | "MASTERDOWN" | "TRYAGAIN"
                | "CLUSTERDOWN" | "UNKILLABLE",
            ) => return Failure::NotNow(said()),
            Some("MOVED" | "ASK" | "CROSSSLOT") => {
                let hint = "name a server that is not part of a cluster";
                return Failure::Fatal(format!("{}; {hint}", said()));
            }
            _ => {}
        }
        match error.kind() {
            ErrorKind::Io => Failure::NoReply(format!("no reply from redis: {error}")),
            ErrorKind::Parse => Failure::NoReply(format!("broken reply from redis: {error}")),
            _ if is_passing(&error) => Failure::NotNow(said()),
            _ => Failure::Fatal(said()),
        }
    }
}

/// Errors that Redis words without a code of their own.
fn is_passing(error: &RedisError) -> bool {
    let detail = error.detail().unwrap_or_default();
    detail.contains("max number of clients") || detail.contains("Script killed by user")
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Failure {
        match error {
            DialError::Url { .. } => Failure::Fatal(error.to_string()),
            DialError::Unreachable { .. } | DialError::NotRedis { .. } => {
                Failure::NotNow(error.to_string())
            }
            DialError::Refused { ref source, .. } => match source.kind() {
                ErrorKind::AuthenticationFailed => Failure::Fatal(error.to_string()),
                _ => Failure::NotNow(error.to_string()),
            },
        }
    }
}
