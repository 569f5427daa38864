//! Asks MySQL whether every document is right: each view's own SELECT beside Redis, both ways.
//!
//! Keys are walked in order, some at a time, in a consistent snapshot of MySQL. A difference found
//! on the way says nothing yet, since the pipeline follows MySQL at a distance: it is a candidate,
//! and `settle` looks at it again until it is explained or proven. So a busy pipeline raises no
//! false alarm. Event tables enter the SELECT as a JSON_TABLE of the events of the keys at hand,
//! read from Kafka. Nothing is written anywhere; MySQL grants of SELECT are enough.
//!
//! Not compared: look-up indexes, and the order of elements that MySQL leaves open.

mod compare;
mod database;
mod documents;
mod events;
mod position;
mod settle;
mod topics;
mod truth;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::RedisError;

pub use compare::{Answer, Comparer, Difference};

use crate::config::Config;
use crate::dial::DialError;
use crate::gtid::Server;
use crate::keyspace::{Generation, Generations};
use crate::sql::plan::{Plan, View};
use crate::value::Key;
use database::Database;
use documents::Documents;
use position::Executed;
use topics::Topics;
use truth::Truth;

/// Keys compared at a time.
const CHUNK_KEYS: usize = 1000;
/// Candidates looked at again at a time.
const CANDIDATES_MAX: usize = 1000;
/// Differences listed of a view, unless all are asked for.
const LISTED_MAX: usize = 20;
/// How long the pipeline may take to pass a position, unless told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a pipeline may take to notice that Redis has lost everything.
const HEAL_WAIT: Duration = Duration::from_secs(5);
/// How long MySQL may take from writing a transaction into the binlog to counting it as executed.
const COMMIT_WAIT: Duration = Duration::from_secs(1);
/// How long to wait between looks.
const POLL: Duration = Duration::from_millis(5);

/// What to verify.
#[derive(Clone, Debug)]
pub struct Options {
    /// This view alone.
    pub view: Option<String>,
    /// List every difference, not the first 20 of a view.
    pub all: bool,
    /// How long the pipeline may take to pass a position of MySQL's and Kafka's.
    pub patience: Duration,
}

/// What came of one view.
#[derive(Clone, Debug, Default)]
pub struct ViewReport {
    /// Its name.
    pub view: String,
    /// Documents seen in Redis.
    pub documents: u64,
    /// Rows of MySQL without a document.
    pub missing: u64,
    /// Documents without a row in MySQL.
    pub extra: u64,
    /// Documents that are not what MySQL answers.
    pub different: u64,
    /// Documents that changed whenever they were looked at.
    pub undecided: u64,
    /// The differences listed: key and what differs.
    pub differences: Vec<(String, Difference)>,
}

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
        "redis holds documents of another definition of view {view}: restart the pipeline with these files"
    )]
    OtherDefinition {
        /// The view.
        view: String,
    },
    /// A view whose documents were replaced meanwhile.
    #[error("the documents of view {view} were filled anew meanwhile: verify it again")]
    Renewed {
        /// The view.
        view: String,
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
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

/// Verifies the plan's views and writes one line for each, its differences and a total to `out`.
///
/// # Errors
/// Whatever stands in the way of a verdict; see [`VerifyError`].
pub async fn verify(
    config: &Config,
    plan: &Arc<Plan>,
    options: &Options,
    out: &mut (impl Write + Send),
) -> Result<Vec<ViewReport>, VerifyError> {
    let views = chosen_views(plan, options)?;
    let mut verifier = Verifier::connect(config, plan, options, &views).await?;
    let mut reports = Vec::new();
    for view in views {
        let report = verifier.view(view).await?;
        report.write(out)?;
        reports.push(report);
    }
    write_total(&reports, out)?;
    Ok(reports)
}

impl ViewReport {
    /// Whether every document is what MySQL answers.
    pub fn is_right(&self) -> bool {
        self.missing + self.extra + self.different + self.undecided == 0
    }

    fn count(&mut self, key: &Key, view: &View, difference: Difference, all: bool) {
        match difference {
            Difference::Missing => self.missing += 1,
            Difference::Extra => self.extra += 1,
            Difference::Different { .. } => self.different += 1,
        }
        if all || self.differences.len() < LISTED_MAX {
            self.differences.push((shown(key, view), difference));
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let ViewReport { view, documents, missing, extra, different, undecided, .. } = self;
        write!(out, "{view}: {documents} documents, {missing} missing, {extra} extra, ")?;
        write!(out, "{different} different")?;
        if *undecided > 0 {
            write!(out, ", {undecided} undecided: changing whenever they were looked at")?;
        }
        writeln!(out)?;
        for (key, difference) in &self.differences {
            writeln!(out, "  {view}/{key} {difference}")?;
        }
        let unlisted = missing + extra + different - self.differences.len() as u64;
        if unlisted > 0 {
            writeln!(out, "  … and {unlisted} more; --all lists them")?;
        }
        Ok(())
    }
}

fn write_total(reports: &[ViewReport], out: &mut impl Write) -> io::Result<()> {
    let sum = |count: fn(&ViewReport) -> u64| reports.iter().map(count).sum::<u64>();
    writeln!(
        out,
        "total: {} documents, {} missing, {} extra, {} different",
        sum(|r| r.documents),
        sum(|r| r.missing),
        sum(|r| r.extra),
        sum(|r| r.different)
    )?;
    out.flush()
}

fn chosen_views<'p>(plan: &'p Plan, options: &Options) -> Result<Vec<&'p View>, VerifyError> {
    let Some(name) = &options.view else { return Ok(plan.views.iter().collect()) };
    match plan.views.iter().find(|view| view.name == *name) {
        Some(view) => Ok(vec![view]),
        None => {
            let known: Vec<&str> = plan.views.iter().map(|view| view.name.as_str()).collect();
            Err(VerifyError::UnknownView { name: name.clone(), known: known.join(", ") })
        }
    }
}

/// Everything that a verdict is made of.
struct Verifier<'a> {
    options: &'a Options,
    truth: Truth<'a>,
    documents: Documents,
    document_bytes_max: u64,
    /// What MySQL had executed in the beginning.
    executed_at_start: Executed,
    started: Instant,
    /// Servers that this MySQL has not executed all applied transactions of.
    foreign: BTreeSet<Server>,
}

impl<'a> Verifier<'a> {
    async fn connect(
        config: &Config,
        plan: &'a Arc<Plan>,
        options: &'a Options,
        views: &[&View],
    ) -> Result<Verifier<'a>, VerifyError> {
        let mut documents = Documents::connect(config, plan).await?;
        let deadline = Instant::now() + HEAL_WAIT;
        let applied = loop {
            let applied = documents.meta().await?;
            if applied.epoch > 0 {
                break applied;
            }
            if Instant::now() > deadline {
                return Err(VerifyError::NoPipeline {
                    address: config.redis.address(),
                    pipeline: config.pipeline.name.clone(),
                });
            }
            tokio::time::sleep(POLL * 20).await;
        };
        let mut database = Database::connect(&config.mysql).await?;
        let topics = Topics::connect(config, plan, views)?;
        let executed_at_start = database.executed().await?;
        if executed_at_start.is_empty() {
            return Err(VerifyError::Gtids { text: String::new() });
        }
        let mut foreign = executed_at_start.lacking(&applied.applied);
        if !foreign.is_empty() {
            // A transaction is in the binlog a moment before it counts as executed.
            tokio::time::sleep(COMMIT_WAIT).await;
            foreign = database.executed().await?.lacking(&applied.applied);
        }
        if !foreign.is_empty() {
            let origins = foreign.iter().map(Server::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(origins, "transactions are applied that this mysql has not executed");
        }
        let truth = Truth::new(plan, database, topics);
        let started = Instant::now();
        let document_bytes_max = config.limits.document_bytes_max;
        Ok(Verifier {
            options,
            truth,
            documents,
            document_bytes_max,
            executed_at_start,
            started,
            foreign,
        })
    }

    fn comparer<'v>(&self, view: &'v View) -> Comparer<'v> {
        Comparer { view, document_bytes_max: self.document_bytes_max }
    }

    async fn view(&mut self, view: &View) -> Result<ViewReport, VerifyError> {
        self.wait_until_complete(view).await?;
        let mut report = ViewReport { view: view.name.clone(), ..ViewReport::default() };
        let comparer = self.comparer(view);
        let mut candidates = Vec::new();
        let mut after = None;
        while let Some(chunk) = self.next_keys(view, after.as_ref()).await? {
            let stored = self.documents.get(&view.name, &chunk).await?;
            let answers = self.truth.answers(view, &chunk).await?;
            for (key, stored) in chunk.iter().zip(&stored) {
                match comparer.compare(answers.get(key), stored.as_deref()) {
                    Some(_) => candidates.push(key.clone()),
                    None => report.documents += u64::from(stored.is_some()),
                }
            }
            if candidates.len() >= CANDIDATES_MAX {
                self.settle(view, std::mem::take(&mut candidates), &mut report).await?;
            }
            after = chunk.last().cloned();
        }
        self.settle(view, candidates, &mut report).await?;
        self.check_counts(view, &mut report).await?;
        if !self.documents.is_current(&view.name).await? {
            return Err(VerifyError::Renewed { view: view.name.clone() });
        }
        Ok(report)
    }

    /// The next keys that MySQL's root table or Redis has: all of both up to the last one. They
    /// are of the snapshot that the answers are then read in.
    async fn next_keys(
        &mut self,
        view: &View,
        after: Option<&Key>,
    ) -> Result<Option<Vec<Key>>, VerifyError> {
        self.truth.begin(view).await?;
        let ours = self.documents.keys_after(&view.name, after, CHUNK_KEYS).await?;
        let theirs = self.truth.keys_after(view, after, CHUNK_KEYS).await?;
        // A list that is full may go on: what lies behind its end is for the next chunk.
        let full = |keys: &Vec<Key>| keys.last().filter(|_| keys.len() == CHUNK_KEYS).cloned();
        let until = full(&ours).into_iter().chain(full(&theirs)).min();
        let is_in = |key: &Key| until.as_ref().is_none_or(|until| key <= until);
        let keys: BTreeSet<Key> = ours.into_iter().chain(theirs).filter(is_in).collect();
        Ok((!keys.is_empty()).then(|| keys.into_iter().collect()))
    }

    async fn wait_until_complete(&mut self, view: &View) -> Result<(), VerifyError> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            let meta = self.documents.meta().await?;
            let held = meta.views.get(&view.name).cloned().unwrap_or_default();
            let is_ours = |of: &Generation| of.fingerprint == view.fingerprint;
            let other = || VerifyError::OtherDefinition { view: view.name.clone() };
            match held {
                Generations { current: Some(current), next: None } if is_ours(&current) => {
                    self.documents.choose(&view.name, current.number);
                    return Ok(());
                }
                Generations { current: Some(_), next: None } => return Err(other()),
                _ if Instant::now() < deadline => tokio::time::sleep(POLL * 20).await,
                Generations { current: Some(current), .. } if !is_ours(&current) => {
                    return Err(other());
                }
                _ => {
                    let seconds = self.options.patience.as_secs();
                    return Err(VerifyError::NotComplete { view: view.name.clone(), seconds });
                }
            }
        }
    }

    /// The order of keys and the documents must be of one size: what is in one alone was not
    /// walked above.
    async fn check_counts(
        &mut self,
        view: &View,
        report: &mut ViewReport,
    ) -> Result<(), VerifyError> {
        let (documents, keys) = self.documents.counts(&view.name).await?;
        if documents != keys {
            let difference = Difference::Different {
                column: String::new(),
                mysql: "one view".to_owned(),
                document: format!("store holds {documents} documents for {keys} keys"),
            };
            report.different += 1;
            report.differences.push(("*".to_owned(), difference));
        }
        Ok(())
    }
}

impl VerifyError {
    fn mysql(error: mysql_async::Error) -> VerifyError {
        VerifyError::Mysql { reason: error.to_string() }
    }
}

impl From<RedisError> for VerifyError {
    fn from(error: RedisError) -> VerifyError {
        VerifyError::Redis { reason: error.to_string() }
    }
}

fn shown(key: &Key, view: &View) -> String {
    match key.texts(&view.key_types()) {
        Some(texts) => texts.join(","),
        None => format!("(key bytes {:02x?})", key.as_bytes()),
    }
}
