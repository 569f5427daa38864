//! The documents in Redis, and how far the pipeline says it has come.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::VerifyError;
use crate::config::Config;
use crate::dial::Dialer;
use crate::keyspace::{Keyspace, ViewKeys};
use crate::sink::{Meta, Sink};
use crate::sql::plan::Plan;
use crate::value::Key;

/// How long a reply may take.
const REPLY_WAIT: Duration = Duration::from_secs(10);

/// Reads documents; the sink is used to read `meta` alone.
pub(crate) struct Documents {
    connection: MultiplexedConnection,
    keyspace: Keyspace,
    sink: Sink,
    /// Number of the generation that is compared, by view.
    generations: BTreeMap<String, u64>,
}

impl Documents {
    pub(crate) async fn connect(config: &Config, plan: &Plan) -> Result<Documents, VerifyError> {
        let dialer = Dialer::new(config.redis.url.expose())?;
        let connection = dialer.connect(REPLY_WAIT).await?;
        let keyspace = Keyspace::new(&config.pipeline.name);
        let sink = Sink::new(dialer, &keyspace, plan);
        Ok(Documents { connection, keyspace, sink, generations: BTreeMap::new() })
    }

    /// How far the pipeline has come. Documents read later are at least as new.
    pub(crate) async fn meta(&mut self) -> Result<Meta, VerifyError> {
        self.sink
            .read_meta()
            .await
            .map_err(|error| VerifyError::Redis { reason: error.to_string() })
    }

    /// From now on documents of this generation of a view are read.
    pub(crate) fn choose(&mut self, view: &str, generation: u64) {
        self.generations.insert(view.to_owned(), generation);
    }

    /// Whether readers still read the generation that was chosen, and it is still written.
    pub(super) async fn is_current(&mut self, view: &str) -> Result<bool, VerifyError> {
        let meta = self.meta().await?;
        let held = meta.views.get(view).filter(|held| !held.is_frozen());
        let current = held.and_then(|held| held.current.as_ref());
        Ok(current.map(|current| current.number) == self.generations.get(view).copied())
    }

    /// The documents of these keys, in their order.
    pub(crate) async fn get(
        &mut self,
        view: &str,
        keys: &[Key],
    ) -> Result<Vec<Option<Vec<u8>>>, VerifyError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys_of(view).docs);
        for key in keys {
            command.arg(key.as_bytes());
        }
        Ok(command.query_async(&mut self.connection).await?)
    }

    /// The first `count` keys above `after`.
    pub(super) async fn keys_after(
        &mut self,
        view: &str,
        after: Option<&Key>,
        count: usize,
    ) -> Result<Vec<Key>, VerifyError> {
        let from = match after {
            Some(key) => [b"(", key.as_bytes()].concat(),
            None => b"-".to_vec(),
        };
        let mut command = redis::cmd("ZRANGEBYLEX");
        command.arg(self.keys_of(view).keys).arg(from).arg("+");
        command.arg("LIMIT").arg(0).arg(count);
        let members: Vec<Vec<u8>> = command.query_async(&mut self.connection).await?;
        Ok(members.iter().map(|member| Key::from_bytes(member)).collect())
    }

    /// The key of this rank among all, from 0; `None` behind the last.
    pub(super) async fn key_at(
        &mut self,
        view: &str,
        rank: usize,
    ) -> Result<Option<Key>, VerifyError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.keys_of(view).keys).arg(rank).arg(rank);
        let members: Vec<Vec<u8>> = command.query_async(&mut self.connection).await?;
        Ok(members.first().map(|member| Key::from_bytes(member)))
    }

    /// How many documents a view has, and how many keys in its order; equal unless Redis is broken.
    pub(super) async fn counts(&mut self, view: &str) -> Result<(u64, u64), VerifyError> {
        let keys = self.keys_of(view);
        let mut both = redis::pipe();
        both.atomic().cmd("HLEN").arg(&keys.docs).cmd("ZCARD").arg(&keys.keys);
        Ok(both.query_async(&mut self.connection).await?)
    }

    fn keys_of(&self, view: &str) -> ViewKeys {
        self.keyspace.view(view, self.generations.get(view).copied().unwrap_or_default())
    }
}
