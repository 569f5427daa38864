//! `viewtide resnapshot`: has Debezium read tables again while everything runs.
//!
//! The signal goes through a Kafka topic, so that nobody needs to write to MySQL, and the snapshot
//! is an incremental one: Debezium reads in chunks beside the binlog, and a row that changes
//! meanwhile is told by its change. Documents stay readable all the while.
//!
//! A table is read *anew* ([`crate::source::anew`]): its rows are forgotten where the snapshot begins
//! in its topic, and its views keep their last state until all of it is read. So rows go that were
//! deleted unnoticed, which are in no snapshot. Where in the topic it ends only a record behind it
//! tells; so one row is read once more.
//!
//! Or *beside* the rows that are known, which views show at once.
//!
//! The signal is viewtide's own (`infra/connect-plugin`): Debezium's reads the first chunk on the
//! thread that took it, beside the one that follows the binlog, and on a busy machine rows then come
//! in the wrong order, or a table counts as read that was not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{ANSWER_WAIT, OperateError, Progress, client, kafka};
use crate::change::Partition;
use crate::config::{Config, without_password};
use crate::keyspace::Generations;
use crate::sink::Meta;
use crate::source::anew::{AnewId, number_after, one_row, signal_id};
use crate::source::avro::{Failure, INCREMENTAL, News};
use crate::source::{NewsDecoder, readable_end};
use crate::sql::plan::{Plan, Table, TableSource, View};

/// Debezium's `execute-snapshot`, but read by the thread that follows the binlog.
const SIGNAL: &str = "viewtide-snapshot";

/// How often Debezium is asked while it cannot read a table: one error of a statement makes it
/// leave the table out.
const TRIES: usize = 3;

/// How long Debezium may take to say that it has begun, before it is told what may be wrong.
const BEGIN_WAIT: Duration = Duration::from_secs(30);

/// How long one wait for a notification lasts before the time is looked at.
const POLL_WAIT: Duration = Duration::from_millis(200);

/// How Debezium tells bytes in a key: as Java's name of the array, and its address.
const JAVA_BYTES: &str = "[B@";

/// How tables are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Beside the rows that are known.
    Beside,
    /// Instead of them.
    Anew {
        /// What the snapshot's number has to be greater than.
        after: AnewId,
    },
}

/// Has tables read again, and waits until documents contain what was read; whether it came to that.
///
/// # Errors
/// A table that no view reads; Kafka, the registry or Redis that cannot be asked.
pub async fn resnapshot(
    config: &Config,
    plan: &Plan,
    tables: &[String],
    how: How,
    patience: Duration,
    out: &mut impl Write,
) -> Result<bool, OperateError> {
    let deadline = Instant::now() + patience;
    let tables = known(plan, tables)?;
    let news = NewsReader::at_the_end(config)?;
    let id = |tables: &BTreeSet<String>| match how {
        How::Anew { after } => signal_id(number_after(after), tables.iter().map(String::as_str)),
        How::Beside => plain_id(),
    };
    let (anew, word) = match how {
        How::Anew { .. } => (true, "anew"),
        How::Beside => (false, "again"),
    };
    let asked = format!("asked debezium to read {} {word}", list(&tables));
    let mut asking = Asking { config, tables: &tables, news, deadline };
    let outcome = asking.read(&asked, id, &[], out).await?;
    // Where a table cannot be read, the others that were have come to an end.
    if anew && outcome != Outcome::Late {
        let one_row_of: Vec<&Table> =
            plan.tables.iter().filter(|table| tables.contains(&table.name)).collect();
        let asked = "asked debezium for one row more of each, to see where that ends";
        if asking.read(asked, |_| plain_id(), &one_row_of, out).await? != Outcome::Complete {
            return Ok(false);
        }
    }
    if outcome != Outcome::Complete {
        return Ok(false);
    }
    let news = asking.news;
    let mut ends: BTreeMap<Partition, i64> = BTreeMap::new();
    for table in &tables {
        let partition = Partition { topic: topic_of(config, table), number: 0 };
        let end = news.end_of(&partition)?;
        ends.insert(partition, end);
    }
    let reads = |view: &View| view.nodes.iter().any(|n| tables.contains(&plan.table(n.table).name));
    let views: Vec<&str> =
        plan.views.iter().filter(|view| reads(view)).map(|view| view.name.as_str()).collect();
    let is_past = |meta: &Meta| {
        let is_whole = |name: &&str| meta.views.get(*name).is_some_and(Generations::is_whole);
        ends.iter().all(|(partition, end)| {
            *end == 0 || meta.positions.get(partition).is_some_and(|at| at.next_offset >= *end)
        }) && (!anew || views.iter().all(is_whole))
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if Progress::new(config, plan)?.wait_for(left, is_past).await?.is_none() {
        writeln!(out, "the pipeline has not applied it within {} s", patience.as_secs())?;
        return Ok(false);
    }
    writeln!(out, "done: the documents contain what was read")?;
    Ok(true)
}

/// Asking Debezium for tables.
struct Asking<'c> {
    config: &'c Config,
    tables: &'c BTreeSet<String>,
    news: NewsReader<'c>,
    deadline: Instant,
}

impl Asking<'_> {
    /// Has the tables read, or one row of some of them; those that could not be, another time.
    async fn read(
        &mut self,
        asked: &str,
        id: impl Fn(&BTreeSet<String>) -> String,
        one_row_of: &[&Table],
        out: &mut impl Write,
    ) -> Result<Outcome, OperateError> {
        let mut left = self.tables.clone();
        for _ in 0..TRIES {
            let id = id(&left);
            let one_row_of: Vec<&Table> =
                one_row_of.iter().copied().filter(|table| left.contains(&table.name)).collect();
            signal(self.config, &left, &id, &one_row_of).await?;
            writeln!(out, "{asked}")?;
            out.flush()?;
            let Asking { config, news, deadline, .. } = self;
            let reading = Reading::of(&config.mysql.database, left);
            let followed = || follow(news, &id, reading, *deadline, out);
            let (outcome, unread) = tokio::task::block_in_place(followed)?;
            if outcome != Outcome::Broken {
                return Ok(outcome);
            }
            left = unread;
        }
        Ok(Outcome::Broken)
    }
}

/// What came of the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// All tables were read to their ends.
    Complete,
    /// Some could not be read; they may be another time.
    Broken,
    /// It takes longer than is waited.
    Late,
}

/// What a snapshot has told so far.
#[derive(Debug, Default)]
struct Reading {
    database: String,
    begun: bool,
    /// It began by itself. One that comes while another runs takes over what that was reading.
    started: bool,
    /// The tables that it has not told to be read.
    unread: BTreeSet<String>,
}

impl Reading {
    /// Nothing yet of a snapshot of these tables.
    fn of(database: &str, unread: BTreeSet<String>) -> Reading {
        Reading { database: database.to_owned(), unread, ..Reading::default() }
    }

    /// Takes a notification; a line to show, and the outcome once that is certain.
    fn take(&mut self, news: &News) -> (Option<String>, Option<Outcome>) {
        self.begun = true;
        let data = |name: &str| news.data.get(name).map_or("", String::as_str);
        match news.kind.as_str() {
            "IN_PROGRESS" => {
                let table = data("current_collection_in_progress");
                let (last, max) = (data("last_processed_key"), data("maximum_key"));
                let line = match [last, max].iter().any(|key| key.contains(JAVA_BYTES)) {
                    true => format!("{table}: being read"),
                    false => format!("{table}: read up to {last} of {max}"),
                };
                (Some(line), None)
            }
            "TABLE_SCAN_COMPLETED" => {
                let (table, rows) = (data("scanned_collection"), data("total_rows_scanned"));
                let line = match data("status") {
                    "SUCCEEDED" | "EMPTY" => {
                        let name = table.strip_prefix(&self.database);
                        let name = name.and_then(|rest| rest.strip_prefix('.'));
                        self.unread.remove(name.unwrap_or(table));
                        format!("{table}: all {rows} rows are read")
                    }
                    status => format!("{table}: debezium cannot read it: {status}"),
                };
                (Some(line), None)
            }
            "STARTED" => {
                self.started = true;
                (None, None)
            }
            "COMPLETED" if !self.started => {
                let text = "another snapshot was running, which this one cut short";
                (Some(text.to_owned()), Some(Outcome::Broken))
            }
            "COMPLETED" if self.unread.is_empty() => (None, Some(Outcome::Complete)),
            "COMPLETED" => (None, Some(Outcome::Broken)),
            "ABORTED" => (Some("debezium gave it up".to_owned()), Some(Outcome::Broken)),
            _ => (None, None),
        }
    }
}

/// Shows what Debezium tells until it has come to an end; the tables that it did not read.
fn follow(
    news: &mut NewsReader<'_>,
    id: &str,
    mut reading: Reading,
    deadline: Instant,
    out: &mut impl Write,
) -> Result<(Outcome, BTreeSet<String>), OperateError> {
    let (asked, mut warned, mut shown) = (Instant::now(), false, String::new());
    while Instant::now() < deadline {
        if let Some(news) = news.next(deadline)?.filter(|n| n.id == id && n.about == INCREMENTAL) {
            let (line, outcome) = reading.take(&news);
            if let Some(line) = line.filter(|line| *line != shown) {
                writeln!(out, "{line}")?;
                out.flush()?;
                shown = line;
            }
            if let Some(outcome) = outcome {
                return Ok((outcome, reading.unread));
            }
        }
        if !reading.begun && !warned && asked.elapsed() > BEGIN_WAIT {
            writeln!(
                out,
                "debezium has not begun: is the connector running, with viewtide's classes among its own (infra/connect-plugin), does it read signals from this topic (signal.enabled.channels=kafka, read.only=true), and does it write heartbeats?"
            )?;
            out.flush()?;
            warned = true;
        }
    }
    writeln!(out, "debezium has not come to an end in time; it goes on, and so does the pipeline")?;
    Ok((Outcome::Late, reading.unread))
}

/// The tables by their declared names.
fn known(plan: &Plan, tables: &[String]) -> Result<BTreeSet<String>, OperateError> {
    let captured = || plan.tables.iter().filter(|table| table.source == TableSource::Captured);
    let find = |wanted: &String| {
        captured().find(|table| table.name == *wanted).map(|table| table.name.clone()).ok_or_else(
            || OperateError::NoTable {
                table: wanted.clone(),
                tables: list(&captured().map(|table| table.name.clone()).collect()),
            },
        )
    };
    tables.iter().map(find).collect()
}

/// The id of a signal that has tables read beside the rows that are known.
fn plain_id() -> String {
    format!("viewtide-{:032x}", rand::random::<u128>())
}

/// Writes the signal; of tables named a second time it asks for one row alone.
async fn signal(
    config: &Config,
    tables: &BTreeSet<String>,
    id: &str,
    one_row_of: &[&Table],
) -> Result<(), OperateError> {
    let database = &config.mysql.database;
    let collections: Vec<String> =
        tables.iter().map(|table| format!("{}.{}", literal(database), literal(table))).collect();
    let condition = |table: &&Table| {
        let collection = format!("{}.{}", literal(database), literal(&table.name));
        json!({"data-collection": collection, "filter": one_row(database, table)})
    };
    let conditions: Vec<Value> = one_row_of.iter().map(condition).collect();
    let body = json!({
        "id": id,
        "type": SIGNAL,
        "data": {
            "data-collections": collections,
            "type": "INCREMENTAL",
            "additional-conditions": conditions,
        },
    });
    let failed = kafka(config);
    let producer: FutureProducer =
        client(config).set("enable.idempotence", "true").create().map_err(&failed)?;
    let (topic, body) = (config.kafka.signal_topic(), body.to_string());
    let record =
        FutureRecord::to(&topic).partition(0).key(&config.kafka.topic_prefix).payload(&body);
    match producer.send(record, ANSWER_WAIT).await {
        Ok(_) => Ok(()),
        Err((error, _)) => Err(failed(error)),
    }
}

/// Debezium takes names as regular expressions.
fn literal(name: &str) -> String {
    let escape = |c: char| match c.is_ascii_alphanumeric() || c == '_' {
        true => c.to_string(),
        false => format!("\\{c}"),
    };
    name.chars().map(escape).collect()
}

fn topic_of(config: &Config, table: &str) -> String {
    config.kafka.table_topic(&config.mysql.database, table)
}

fn list(tables: &BTreeSet<String>) -> String {
    tables.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Reads Debezium's notifications.
struct NewsReader<'c> {
    config: &'c Config,
    consumer: BaseConsumer,
    /// Asks for the ends of other topics.
    asking: BaseConsumer,
    decoder: NewsDecoder,
    registry: SrSettings,
}

impl NewsReader<'_> {
    /// From the end of the topic on.
    fn at_the_end(config: &Config) -> Result<NewsReader<'_>, OperateError> {
        let failed = kafka(config);
        let topic = config.kafka.notification_topic();
        let mut client = client(config);
        client
            .set("group.id", "viewtide-operator")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false");
        let consumer: BaseConsumer = client.create().map_err(&failed)?;
        let (_, end) = consumer.fetch_watermarks(&topic, 0, ANSWER_WAIT).map_err(&failed)?;
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(&topic, 0, Offset::Offset(end)).map_err(&failed)?;
        consumer.assign(&from).map_err(&failed)?;
        let asking = client.set("enable.partition.eof", "true").create().map_err(&failed)?;
        Ok(NewsReader {
            config,
            consumer,
            asking,
            decoder: NewsDecoder::new(config.source.format),
            registry: SrSettings::new(config.registry.url.clone()),
        })
    }

    /// The offset behind the last record of a partition; 0 where there is no topic.
    fn end_of(&self, partition: &Partition) -> Result<i64, OperateError> {
        readable_end(&self.asking, partition)
            .map_err(|problem| OperateError::Topic { topic: partition.topic.clone(), problem })
    }

    /// The next notification, if one comes soon. A registry that does not answer is asked again until
    /// the deadline: the snapshot goes on meanwhile.
    fn next(&mut self, deadline: Instant) -> Result<Option<News>, OperateError> {
        let record = match self.consumer.poll(POLL_WAIT) {
            None => return Ok(None),
            Some(Ok(record)) => record,
            // A broker that is away for a while is waited out.
            Some(Err(error @ KafkaError::NoMessageReceived)) => {
                return Err(kafka(self.config)(error));
            }
            Some(Err(_)) => return Ok(None),
        };
        loop {
            let unreadable = |why: String| OperateError::Topic {
                topic: record.topic().to_owned(),
                problem: format!("has a notification that cannot be read: {why}"),
            };
            match self.decoder.news(record.payload()) {
                Ok(news) => return Ok(news),
                Err(Failure::Schema(_, id)) => {
                    let asked = get_schema_by_id(id, &self.registry);
                    let schema = match Handle::current().block_on(asked) {
                        Ok(schema) => schema,
                        Err(_) if Instant::now() < deadline => {
                            thread::sleep(POLL_WAIT);
                            continue;
                        }
                        Err(error) => {
                            let url = &self.config.registry.url;
                            let reason = without_password(&error.to_string(), url);
                            return Err(OperateError::Registry(reason));
                        }
                    };
                    self.decoder
                        .add_schema(id, &schema.schema)
                        .map_err(|unfit| unreadable(unfit.to_string()))?;
                }
                Err(Failure::Unreadable(it)) => return Err(unreadable(it.reason.to_string())),
                Err(Failure::Newer(version)) => return Err(unreadable(format!("{version}"))),
                Err(Failure::Unfit(unfit)) => return Err(unreadable(unfit.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(kind: &str, data: &[(&str, &str)]) -> News {
        let data = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        News { kind: kind.to_owned(), data, ..News::default() }
    }

    #[test]
    fn a_snapshot_is_complete_only_if_every_table_was_read() {
        let scan = |table, status| {
            news("TABLE_SCAN_COMPLETED", &[("scanned_collection", table), ("status", status)])
        };
        let reading = || Reading::of("d", BTreeSet::from(["t".to_owned(), "u".to_owned()]));
        for (status, outcome, unread) in [
            ("SUCCEEDED", Outcome::Complete, None),
            ("EMPTY", Outcome::Complete, None),
            ("NO_PRIMARY_KEY", Outcome::Broken, Some("t")),
        ] {
            let mut reading = reading();
            assert_eq!(reading.take(&news("STARTED", &[])), (None, None));
            assert_eq!(reading.take(&scan("d.u", "SUCCEEDED")).1, None);
            assert_eq!(reading.take(&scan("d.t", status)).1, None);
            assert_eq!(reading.take(&news("COMPLETED", &[])).1, Some(outcome));
            assert!(reading.unread.iter().map(String::as_str).eq(unread));
        }
        let mut skipped = reading();
        skipped.take(&news("STARTED", &[]));
        skipped.take(&scan("d.u", "SUCCEEDED"));
        assert_eq!(skipped.take(&news("COMPLETED", &[])).1, Some(Outcome::Broken));
        let tacked_on = Reading::default().take(&news("COMPLETED", &[]));
        assert_eq!(tacked_on.1, Some(Outcome::Broken));
        let aborted = Reading::default().take(&news("ABORTED", &[]));
        assert_eq!(aborted.1, Some(Outcome::Broken));
    }

    #[test]
    fn keys_are_shown_where_they_can_be_read() {
        for (last, max, want) in [
            ("7", "30", "d.t: read up to 7 of 30"),
            ("[B@63f68b27", "[B@1c2d3e4f", "d.t: being read"),
            ("1, [B@63f68b27", "9, [B@1c2d3e4f", "d.t: being read"),
        ] {
            let told = news(
                "IN_PROGRESS",
                &[
                    ("current_collection_in_progress", "d.t"),
                    ("last_processed_key", last),
                    ("maximum_key", max),
                ],
            );
            assert_eq!(Reading::default().take(&told), (Some(want.to_owned()), None));
        }
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(literal("order_items"), "order_items");
        assert_eq!(literal("a.b$"), "a\\.b\\$");
    }
}
