//! One exchange with Redis after another: connecting when need be, loading scripts.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline};

use super::error::Failure;
use super::scripts::Script;
use super::store::Reply;
use crate::dial::Dialer;

/// How long Redis may take to answer; a large step takes it some 50 ms.
const RESPONSE_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Exchange {
    dialer: Dialer,
    connection: Option<MultiplexedConnection>,
}

impl Exchange {
    pub(super) fn new(dialer: Dialer) -> Exchange {
        Exchange { dialer, connection: None }
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
        let answer = answer.map_err(Failure::from);
        // A server that turned replica, or is about to go, is best looked up anew.
        if let Err(Failure::NoReply(_) | Failure::NotNow(_)) = answer {
            self.connection = None;
        }
        answer
    }
}
