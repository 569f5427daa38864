//! Asks MySQL whether every document is right: each view's own SELECT beside Redis, both ways.
//!
//! Keys are walked in order, some at a time, in a consistent snapshot of MySQL. A difference found
//! on the way says nothing yet, since the pipeline follows MySQL at a distance: it is a candidate,
//! and `settle` looks at it again until it is explained or proven. So a busy pipeline raises no
//! false alarm. Event tables enter the SELECT as a JSON_TABLE of the events of the keys at hand,
//! read from Kafka. Nothing is written here, unless differences are to be mended, and then by the
//! pipeline (`repair`); MySQL grants of SELECT are enough. The same goes on without end beside a
//! pipeline (`background`).
//!
//! Not compared: look-up indexes, and the order of elements that MySQL leaves open.

mod background;
mod compare;
pub(crate) mod database;
pub(crate) mod documents;
mod error;
pub(crate) mod events;
mod pace;
mod pick;
mod position;
mod repair;
mod report;
mod settle;
pub(crate) mod topics;
mod truth;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use background::watch;
pub use compare::{Answer, Comparer, Difference};
pub use error::VerifyError;
pub use pick::{Pick, Share};
pub use report::{Counts, Format, Found, ViewReport};

use crate::config::Config;
use crate::gtid::Server;
use crate::keyspace::{Generation, Generations};
use crate::sql::plan::{Plan, View};
use crate::value::Key;
use database::Database;
use documents::Documents;
use pace::Pace;
use position::Executed;
use topics::Topics;
use truth::Truth;

/// Keys compared at a time.
const CHUNK_KEYS: usize = 1000;
/// Candidates looked at again at a time.
const CANDIDATES_MAX: usize = 1000;
/// Generations of a view's documents that are tried, where each is replaced meanwhile.
const GENERATIONS_MAX: u32 = 3;
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
    /// Which of its documents.
    pub pick: Pick,
    /// List every difference, not the first 20 of a view.
    pub all: bool,
    /// Have the pipeline write again what is wrong.
    pub repair: bool,
    /// How long the pipeline may take to pass a position of MySQL's and Kafka's.
    pub patience: Duration,
    /// How the report is written.
    pub format: Format,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            view: None,
            pick: Pick::All,
            all: false,
            repair: false,
            patience: PATIENCE,
            format: Format::Text,
        }
    }
}

/// Verifies the plan's views and writes to `out` what came of each, its differences and a total, as
/// of [`Format`]. A view without a verdict says why; the others are verified.
///
/// # Errors
/// Whatever stands in the way of all verdicts; see [`VerifyError`].
pub async fn verify(
    config: &Config,
    plan: &Arc<Plan>,
    options: &Options,
    out: &mut (impl Write + Send),
) -> Result<Vec<ViewReport>, VerifyError> {
    let views = chosen_views(plan, options)?;
    let mut verifier = Verifier::connect(config, plan, options, &views, Pace::default()).await?;
    options.format.start(&config.pipeline.name, options, out)?;
    let mut reports = Vec::new();
    for view in views {
        let report = verifier.view(view).await?;
        options.format.view(&report, out)?;
        reports.push(report);
    }
    options.format.total(&reports, out)?;
    Ok(reports)
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
    config: &'a Config,
    plan: &'a Plan,
    options: &'a Options,
    truth: Truth<'a>,
    documents: Documents,
    /// What MySQL had executed in the beginning.
    executed_at_start: Executed,
    started: Instant,
    /// Servers that this MySQL has not executed all applied transactions of.
    foreign: BTreeSet<Server>,
}

impl<'a> Verifier<'a> {
    async fn connect(
        config: &'a Config,
        plan: &'a Arc<Plan>,
        options: &'a Options,
        views: &[&View],
        pace: Pace,
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
        Ok(Verifier {
            config,
            plan,
            options,
            truth: Truth::new(plan, database, topics, pace),
            documents,
            executed_at_start,
            started: Instant::now(),
            foreign,
        })
    }

    fn comparer<'v>(&self, view: &'v View) -> Comparer<'v> {
        Comparer { view, document_bytes_max: self.config.limits.document_bytes_max }
    }

    /// The verdict on a view, or why there is none.
    async fn view(&mut self, view: &View) -> Result<ViewReport, VerifyError> {
        match self.verdict(view).await {
            Err(error) if error.is_of_one_view() => Ok(ViewReport::without_verdict(view, &error)),
            outcome => outcome,
        }
    }

    /// The verdict on a view, of one generation of its documents.
    async fn verdict(&mut self, view: &View) -> Result<ViewReport, VerifyError> {
        for _ in 0..GENERATIONS_MAX {
            let report = self.generation(view).await?;
            if self.documents.is_current(&view.name).await? {
                return Ok(report);
            }
            tracing::info!(
                view = view.name,
                "its documents were filled anew meanwhile: verifying the new ones"
            );
        }
        Err(VerifyError::Renewed { view: view.name.clone(), times: GENERATIONS_MAX })
    }

    /// What is found while nothing replaces the documents that readers read.
    async fn generation(&mut self, view: &View) -> Result<ViewReport, VerifyError> {
        let keys = match &self.options.pick {
            Pick::Keys(columns) => pick::parse_keys(view, columns)?,
            Pick::All | Pick::Sample { .. } => Vec::new(),
        };
        self.wait_until_complete(view).await?;
        let mut report = ViewReport::of(view);
        match self.options.pick {
            Pick::All => {
                self.walk(view, &mut report).await?;
                self.check_counts(view, &mut report).await?;
            }
            Pick::Sample { share, seed } => self.sample(view, share, seed, &mut report).await?,
            Pick::Keys(_) => self.given(view, &keys, &mut report).await?,
        }
        Ok(report)
    }

    /// All documents and rows, in the order of their keys.
    async fn walk(&mut self, view: &View, report: &mut ViewReport) -> Result<(), VerifyError> {
        let mut candidates = Vec::new();
        let mut after = None;
        while let Some(chunk) = self.next_keys(view, after.as_ref(), CHUNK_KEYS).await? {
            candidates.extend(self.compare(view, &chunk, &mut report.counts).await?);
            if candidates.len() >= CANDIDATES_MAX {
                self.conclude(view, std::mem::take(&mut candidates), report).await?;
            }
            after = chunk.last().cloned();
        }
        self.conclude(view, candidates, report).await
    }

    /// Some, in runs of neighbours.
    async fn sample(
        &mut self,
        view: &View,
        share: Share,
        seed: u64,
        report: &mut ViewReport,
    ) -> Result<(), VerifyError> {
        let (_, keys) = self.documents.counts(&view.name).await?;
        let runs = share.runs(keys, seed);
        let mut candidates = Vec::new();
        for rank in runs.ranks {
            let after = match rank.checked_sub(1) {
                Some(before) => self.documents.key_at(&view.name, before).await?,
                None => None,
            };
            if let Some(run) = self.next_keys(view, after.as_ref(), runs.length).await? {
                candidates.extend(self.compare(view, &run, &mut report.counts).await?);
            }
            if candidates.len() >= CANDIDATES_MAX {
                self.conclude(view, std::mem::take(&mut candidates), report).await?;
            }
        }
        self.conclude(view, candidates, report).await
    }

    /// These, whether there are documents or rows of them or not.
    async fn given(
        &mut self,
        view: &View,
        keys: &[Key],
        report: &mut ViewReport,
    ) -> Result<(), VerifyError> {
        for chunk in keys.chunks(CHUNK_KEYS) {
            self.truth.begin(view).await?;
            let candidates = self.compare(view, chunk, &mut report.counts).await?;
            self.conclude(view, candidates, report).await?;
        }
        Ok(())
    }

    /// The next keys that MySQL's root table or Redis has: all of both up to the last one. They
    /// are of the snapshot that the answers are then read in.
    async fn next_keys(
        &mut self,
        view: &View,
        after: Option<&Key>,
        count: usize,
    ) -> Result<Option<Vec<Key>>, VerifyError> {
        self.truth.rest().await;
        self.truth.begin(view).await?;
        let ours = self.documents.keys_after(&view.name, after, count).await?;
        let theirs = self.truth.keys_after(view, after, count).await?;
        // A list that is full may go on: what lies behind its end is for the next chunk.
        let full = |keys: &Vec<Key>| keys.last().filter(|_| keys.len() == count).cloned();
        let until = full(&ours).into_iter().chain(full(&theirs)).min();
        let is_in = |key: &Key| until.as_ref().is_none_or(|until| key <= until);
        let keys: BTreeSet<Key> = ours.into_iter().chain(theirs).filter(is_in).collect();
        Ok((!keys.is_empty()).then(|| keys.into_iter().collect()))
    }

    /// The keys at which documents differ from what MySQL answers in the snapshot that was begun,
    /// and ends with this. Documents that agree are counted.
    async fn compare(
        &mut self,
        view: &View,
        keys: &[Key],
        counts: &mut Counts,
    ) -> Result<Vec<Key>, VerifyError> {
        let comparer = self.comparer(view);
        let stored = self.documents.get(&view.name, keys).await?;
        let answers = self.truth.answers(view, keys).await?;
        self.truth.end().await?;
        let mut candidates = Vec::new();
        for (key, stored) in keys.iter().zip(&stored) {
            match comparer.compare(answers.get(key), stored.as_deref()) {
                Some(_) => candidates.push(key.clone()),
                None => counts.documents += u64::from(stored.is_some()),
            }
        }
        Ok(candidates)
    }

    /// Settles candidates, mends what differs if that is asked for, and reports it.
    async fn conclude(
        &mut self,
        view: &View,
        candidates: Vec<Key>,
        report: &mut ViewReport,
    ) -> Result<(), VerifyError> {
        let settled = self.settle(view, candidates).await?;
        report.counts.documents += settled.documents;
        report.counts.undecided += settled.undecided.len() as u64;
        let repaired = self.repair(view, &settled.differ, report).await?;
        for (key, difference) in settled.differ {
            let found = Found {
                repaired: repaired.contains(&key),
                key: Some(report::texts(&key, view)),
                difference,
            };
            report.add(found, self.options.all);
        }
        Ok(())
    }

    async fn wait_until_complete(&mut self, view: &View) -> Result<(), VerifyError> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            let held = self.held(view).await?;
            let current = held.current.as_ref();
            if self.choose(view, &held)? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(match current {
                    Some(current) if current.fingerprint != view.fingerprint => {
                        VerifyError::OtherDefinition { view: view.name.clone() }
                    }
                    _ => {
                        let seconds = self.options.patience.as_secs();
                        VerifyError::NotComplete { view: view.name.clone(), seconds }
                    }
                });
            }
            tokio::time::sleep(POLL * 20).await;
        }
    }

    async fn held(&mut self, view: &View) -> Result<Generations, VerifyError> {
        let meta = self.documents.meta().await?;
        Ok(meta.views.get(&view.name).cloned().unwrap_or_default())
    }

    /// Whether the view is complete: then the generation that readers read is compared.
    fn choose(&mut self, view: &View, held: &Generations) -> Result<bool, VerifyError> {
        let is_ours = |of: &Generation| of.fingerprint == view.fingerprint;
        match held {
            Generations { current: Some(current), next: None } if is_ours(current) => {
                self.documents.choose(&view.name, current.number);
                Ok(true)
            }
            Generations { current: Some(_), next: None } => {
                Err(VerifyError::OtherDefinition { view: view.name.clone() })
            }
            _ => Ok(false),
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
            let difference = Difference::Uneven { documents, keys };
            report.add(Found { key: None, difference, repaired: false }, true);
        }
        Ok(())
    }
}
