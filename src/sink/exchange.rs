//! One exchange with Redis after another: connecting when need be, loading scripts, counting
//! failures in a row.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline};

use super::error::{Failure, SinkError};
use super::scripts::{Reply, Script};
use crate::dial::Dialer;

/// How long Redis may take to answer; a large step takes it some 50 ms.
const RESPONSE_WAIT: Duration = Duration::from_secs(5);

/// Wait after the first failure in a row; it doubles with each, up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(25);

/// Longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Exchange {
    dialer: Dialer,
    connection: Option<MultiplexedConnection>,
    failures: u32,
}

impl Exchange {
    pub(super) fn new(dialer: Dialer) -> Exchange {
        Exchange { dialer, connection: None, failures: 0 }
    }

    /// Runs a script, loading it if Redis does not know it.
    pub(super) async fn run(&mut self, script: &Script, call: &Cmd) -> Result<Reply, Failure> {
        let answer: redis::Value = match self.query(call).await {
            Err(Failure::NoScript) => {
                self.load(script).await?;
                self.query(call).await?
            }
            answer => answer?,
        };
        let broken = || Failure::Fatal(format!("redis answers a script with {answer:?}"));
        Reply::read(&answer).ok_or_else(broken)
    }

    /// Sends one command.
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Failure> {
        let answer = command.query_async(self.connection().await?).await;
        self.note(answer)
    }

    /// Sends several commands.
    pub(super) async fn query_all<T: FromRedisValue>(
        &mut self,
        commands: &Pipeline,
    ) -> Result<T, Failure> {
        let answer = commands.query_async(self.connection().await?).await;
        self.note(answer)
    }

    /// The failure as the pipeline hears of it, with the time to wait.
    pub(super) fn report(&mut self, failure: Failure) -> SinkError {
        let reason = match failure {
            Failure::NoReply(reason) | Failure::NotNow(reason) | Failure::OutOfMemory(reason) => {
                reason
            }
            Failure::NoScript => "redis forgets scripts as soon as they are loaded".to_owned(),
            Failure::Fatal(reason) => return SinkError::Fatal { reason },
        };
        let after = RETRY_MIN.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
        self.failures += 1;
        SinkError::Retry { reason, after }
    }

    async fn load(&mut self, script: &Script) -> Result<(), Failure> {
        match self.query::<String>(&script.load()).await {
            Ok(_) => Ok(()),
            Err(Failure::Fatal(reason)) => {
                Err(Failure::Fatal(format!("{reason}; redis 7.0 or later is needed")))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn connection(&mut self) -> Result<&mut MultiplexedConnection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.dialer.connect(RESPONSE_WAIT).await?,
        };
        Ok(self.connection.insert(connection))
    }

    fn note<T>(&mut self, answer: redis::RedisResult<T>) -> Result<T, Failure> {
        match answer.map_err(Failure::from) {
            Ok(answer) => {
                self.failures = 0;
                Ok(answer)
            }
            Err(failure) => {
                // A server that turned replica, or is about to go, is best looked up anew.
                if matches!(failure, Failure::NoReply(_) | Failure::NotNow(_)) {
                    self.connection = None;
                }
                Err(failure)
            }
        }
    }
}
