//! Who writes and then asks for an answer that contains the write must get it, or none.

use std::ops::Add;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};

use super::load::{change_order, in_one_transaction, new_order};
use super::scene::Scene;
use super::witness::VIEW;

/// How long the API may wait for the transaction, in milliseconds.
const WAIT_MS: u32 = 2_000;

/// How long an answer may take altogether.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Orders of those who write at length begin here.
const AT_LENGTH_FROM: i64 = 3_000_000;

/// So many write at once, each to an order of its own.
const AUTHORS: i64 = 8;

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
        match self.ask(&format!("?after={}&wait={WAIT_MS}", write.executed)).await {
            Some(version) if version >= Some(write.version) => Answer::Fresh,
            Some(_) => Answer::Stale,
            None => Answer::Late,
        }
    }

    /// Asks for the order, again and again, until a write is in it; whether that was in time.
    pub(crate) async fn sees(&self, write: &Write, wait: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < wait {
            if self.ask("").await.flatten() >= Some(write.version) {
                return true;
            }
        }
        false
    }

    /// The order's version, if there is an answer; `None` in it where there is no such order.
    async fn ask(&self, query: &str) -> Option<Option<i64>> {
        let url = format!("http://{}/{VIEW}/{}{query}", self.address, self.order);
        let answer = self.client.get(url).send().await.ok()?;
        match answer.status() {
            StatusCode::NOT_FOUND => Some(None),
            StatusCode::OK => {
                let body: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
                Some(body["version"].as_i64())
            }
            _ => None,
        }
    }
}

/// What came of writes followed by reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    pub(crate) fresh: u64,
    pub(crate) stale: u64,
    pub(crate) late: u64,
}

impl Add for Read {
    type Output = Read;

    fn add(self, other: Read) -> Read {
        Read {
            fresh: self.fresh + other.fresh,
            stale: self.stale + other.stale,
            late: self.late + other.late,
        }
    }
}

impl Read {
    fn count(&mut self, answer: Answer) {
        match answer {
            Answer::Fresh => self.fresh += 1,
            Answer::Stale => self.stale += 1,
            Answer::Late => self.late += 1,
        }
    }
}

/// Several write and read without a pause, beside the load.
pub(crate) async fn at_length(scene: &mut Scene) {
    let rounds = scene.extent.of(400, 10_000);
    for order in AT_LENGTH_FROM..AT_LENGTH_FROM + AUTHORS {
        scene.deployment.execute(&in_one_transaction(&new_order(order, 1))).await;
    }
    scene.converge().await;
    let begun = Instant::now();
    let mut authors = JoinSet::new();
    for order in AT_LENGTH_FROM..AT_LENGTH_FROM + AUTHORS {
        let mut author = scene.author(order);
        authors.spawn(async move {
            let mut read = Read::default();
            for _ in 0..rounds / AUTHORS {
                let write = author.write().await.unwrap();
                read.count(author.read(&write).await);
            }
            read
        });
    }
    let read = authors.join_all().await.into_iter().fold(Read::default(), Read::add);
    let Read { fresh, stale, late } = read;
    let took = begun.elapsed().as_secs_f64();
    scene.notes.push(format!(
        "{rounds} writes by {AUTHORS} beside the load, each read at once: {fresh} answers had the \
         write, {stale} were stale, {late} came late, in {took:.0} s"
    ));
    assert_eq!(late, 0, "nothing was wrong, and yet answers were late");
    scene.count_own_writes(read);
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
                counts.lock().unwrap().count(answer);
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
