//! Who writes and then asks for an answer that contains the write must get it, or none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::load::change_order;
use super::witness::VIEW;

/// How long the API may wait for the transaction, in milliseconds.
const WAIT_MS: u32 = 2_000;

/// How long an answer may take altogether.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(100);

/// Writes to one order and reads it.
pub(crate) struct Author {
    mysql_url: String,
    /// Host and port of the API.
    address: String,
    order: i64,
    connection: Option<Conn>,
    client: Client,
}

/// A committed write.
#[derive(Debug)]
pub(crate) struct Write {
    version: i64,
    /// What MySQL had executed right after it.
    executed: String,
}

/// What came back for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It contains the write.
    Fresh,
    /// It was promised to contain it and does not.
    Stale,
    /// There was none, or 504.
    Late,
}

impl Author {
    pub(crate) fn new(mysql_url: &str, address: &str, order: i64) -> Author {
        Author {
            mysql_url: mysql_url.to_owned(),
            address: address.to_owned(),
            order,
            connection: None,
            client: Client::builder().timeout(ANSWER_WAIT).build().unwrap(),
        }
    }

    /// Commits a change, or tells why not.
    pub(crate) async fn write(&mut self) -> mysql_async::Result<Write> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Conn::from_url(&self.mysql_url).await?,
        };
        let changes = change_order(self.order, 0, 1);
        connection.query_drop(format!("BEGIN;\n{changes}COMMIT")).await?;
        let asked = format!("SELECT version FROM orders WHERE order_id = {}", self.order);
        let version: Option<i64> = connection.query_first(asked).await?;
        let executed: Option<String> =
            connection.query_first("SELECT @@GLOBAL.gtid_executed").await?;
        self.connection = Some(connection);
        let executed = executed.unwrap_or_default().replace(['\n', ' '], "");
        Ok(Write { version: version.unwrap_or(0), executed })
    }

    /// Asks for the order as of a write or later.
    pub(crate) async fn read(&self, write: &Write) -> Answer {
        let (address, order, executed) = (&self.address, self.order, &write.executed);
        let url = format!("http://{address}/{VIEW}/{order}?after={executed}&wait={WAIT_MS}");
        let answer = async {
            let answer = self.client.get(url).send().await.ok()?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Some(Answer::Stale);
            }
            if answer.status() != StatusCode::OK {
                return None;
            }
            let body: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
            let is_fresh = body["version"].as_i64() >= Some(write.version);
            Some(if is_fresh { Answer::Fresh } else { Answer::Stale })
        };
        answer.await.unwrap_or(Answer::Late)
    }
}

/// What came of writes followed by reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    pub(crate) fresh: u64,
    pub(crate) stale: u64,
    pub(crate) late: u64,
}

/// An author at work.
pub(crate) struct OwnWrites {
    read: Arc<Mutex<Read>>,
    task: JoinHandle<()>,
}

impl OwnWrites {
    /// Starts writing and reading.
    pub(crate) fn start(mut author: Author) -> OwnWrites {
        let read = Arc::new(Mutex::new(Read::default()));
        let counts = Arc::clone(&read);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                // MySQL may be what is killed.
                let Ok(write) = author.write().await else { continue };
                let answer = author.read(&write).await;
                let mut counts = counts.lock().unwrap();
                match answer {
                    Answer::Fresh => counts.fresh += 1,
                    Answer::Stale => counts.stale += 1,
                    Answer::Late => counts.late += 1,
                }
            }
        });
        OwnWrites { read, task }
    }

    /// So far.
    pub(crate) fn read(&self) -> Read {
        *self.read.lock().unwrap()
    }
}

impl Drop for OwnWrites {
    fn drop(&mut self) {
        self.task.abort();
    }
}
