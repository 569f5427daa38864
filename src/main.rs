//! The command line: parse, log, call the library.
//!
//! Exit codes: 0 all is well; 1 differences, a failed check, or a failure at work; 2 wrong usage,
//! configuration or views; 3 another instance took over the pipeline.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info};
use viewtide::api::{Api, Changeover};
use viewtide::check;
use viewtide::config::{Config, DEFAULT_FILE};
use viewtide::dial::Dialer;
use viewtide::explain::{self, ExplainError};
use viewtide::keyspace::Keyspace;
use viewtide::operate::{self, Choice, Coordinates, Filter, How, OperateError, Since};
use viewtide::pipeline::{self, PipelineError, Plans};
use viewtide::source::Wanting;
use viewtide::sql;
use viewtide::sql::plan::Plan;
use viewtide::supervisor::supervise;
use viewtide::telemetry::{self, Metrics, Readiness};
use viewtide::verify::{self, Format, Pick, Share, VerifyError, ViewReport};

/// Keeps joined, keyed documents in Redis true to MySQL.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 all is well; 1 differences, a failed check, or a failure at work; \
                  2 wrong usage, configuration or views; 3 another instance took over.\n\
                  VIEWTIDE_LOG says what is logged (info), VIEWTIDE_LOG_FORMAT how: text or json."
)]
struct Arguments {
    /// Configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "VIEWTIDE_CONFIG",
        default_value = DEFAULT_FILE
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Process changes and serve documents, in one process
    Run,
    /// Process changes only
    Process,
    /// Serve documents only
    Serve,
    /// Check configuration, views and every connection, and say how to mend what is wrong
    Check {
        /// First fetch the DDL of the tables that are declared or that views name from MySQL into pipeline.tables
        #[arg(long)]
        write_tables: bool,
    },
    /// Compare every document with MySQL's own answer
    Verify(Verify),
    /// Have Debezium read tables anew while everything runs. Documents keep their last state until
    /// all is read
    Resnapshot {
        /// Tables that views read
        #[arg(required = true, value_name = "TABLE")]
        tables: Vec<String>,
        /// Read beside the rows that are known, while documents go on being written: what was deleted
        /// unnoticed stays, and documents may be ahead of others for a moment
        #[arg(long)]
        beside: bool,
        /// Seconds that all of it may take
        #[arg(long, value_name = "SECONDS", default_value_t = 600,
              value_parser = clap::value_parser!(u64).range(1..=86_400))]
        wait: u64,
    },
    /// Show how a view's documents are put together, and which of them a change concerns; or which
    /// records a document is made of, and when each could be read
    Explain(Explain),
    /// Have readers of a view's name get another view's documents from one moment on; by the name
    /// itself, its own again. Without arguments: list which view answers for each name
    Switch {
        /// What readers ask for
        #[arg(requires = "view")]
        name: Option<String>,
        /// The view whose documents they get: filled, and with a key like the name's own
        view: Option<String>,
        /// Seconds that the pipeline may take to obey
        #[arg(long, value_name = "SECONDS", default_value_t = 30,
              value_parser = clap::value_parser!(u64).range(1..=86_400))]
        wait: u64,
    },
    /// Look at records that could not be read, and settle them
    #[command(subcommand)]
    Dlq(Dlq),
}

#[derive(Subcommand)]
enum Dlq {
    /// List dead letters, newest first, and which rows they leave stale
    List {
        /// Of this topic alone
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
        /// Put aside since then: 90s, 15m, 2h, 3d before now, or 2026-11-21T10:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Since>,
        /// Only those whose rows are stale
        #[arg(long)]
        open: bool,
        /// In the order in which they were put aside
        #[arg(long)]
        oldest_first: bool,
        /// So many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 50,
              value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one dead letter: reason, headers, key and value
    Show {
        /// TOPIC:PARTITION:OFFSET
        record: Coordinates,
        /// All bytes, not the first 4096
        #[arg(long)]
        all: bool,
        /// As JSON, bytes in base64
        #[arg(long)]
        json: bool,
    },
    /// Decode dead letters again and apply them in their places
    Replay(Settle),
    /// Give dead letters up: their rows are no longer listed as stale
    Drop(Settle),
}

#[derive(clap::Args)]
struct Explain {
    /// A view
    view: String,
    /// One of its documents, as an address names it: 7, or a,b for a key of two columns,
    /// percent-encoded, ~ for NULL
    #[arg(allow_hyphen_values = true)]
    key: Option<String>,
    /// How the report about a document is written; json is one object a line
    #[arg(long, value_enum, default_value_t = ReportFormat::Text, requires = "key")]
    format: ReportFormat,
    /// Search the last so many records of each partition
    #[arg(long, value_name = "RECORDS", default_value_t = explain::RECORDS_MAX, requires = "key",
          value_parser = clap::value_parser!(u32).range(1..))]
    search: u32,
}

#[derive(clap::Args)]
struct Verify {
    /// This view alone
    #[arg(long, value_name = "NAME")]
    view: Option<String>,
    /// These documents of the view alone, by the columns of their keys as addresses have them: 1,2,3
    #[arg(
        long,
        value_name = "KEY,…",
        requires = "view",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    keys: Option<Vec<String>>,
    /// A random sample of each view: so many documents, or so many of a hundred
    #[arg(long, value_name = "NUMBER|PERCENT%", conflicts_with = "keys")]
    sample: Option<Share>,
    /// Which sample, as an earlier report names it
    #[arg(long, value_name = "NUMBER", requires = "sample")]
    seed: Option<u64>,
    /// List every difference, not the first 20 of a view
    #[arg(long)]
    all: bool,
    /// Have the pipeline write again what is wrong, and say what that does not mend
    #[arg(long)]
    repair: bool,
    /// How the report is written; json is one object a line
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// Seconds that the pipeline may take to catch up
    #[arg(long, value_name = "SECONDS", default_value_t = verify::PATIENCE.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

impl Verify {
    fn options(self) -> verify::Options {
        let pick = match (self.keys, self.sample) {
            (Some(columns), _) => Pick::Keys(columns),
            (None, Some(share)) => Pick::Sample {
                share,
                seed: self.seed.unwrap_or_else(|| rand::random::<u32>().into()),
            },
            (None, None) => Pick::All,
        };
        verify::Options {
            view: self.view,
            pick,
            all: self.all,
            repair: self.repair,
            patience: Duration::from_secs(self.wait),
            format: self.format.into(),
        }
    }
}

impl From<ReportFormat> for Format {
    fn from(format: ReportFormat) -> Format {
        match format {
            ReportFormat::Text => Format::Text,
            ReportFormat::Json => Format::Json,
        }
    }
}

#[derive(clap::Args)]
struct Settle {
    /// TOPIC:PARTITION:OFFSET
    #[arg(required_unless_present = "open", conflicts_with = "open")]
    records: Vec<Coordinates>,
    /// All whose rows are stale
    #[arg(long)]
    open: bool,
    /// With --open: of this topic alone
    #[arg(long, value_name = "TOPIC", requires = "open")]
    topic: Option<String>,
    /// Seconds that the pipeline may take to obey
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
}

impl Settle {
    fn choice(self) -> (Choice, Duration) {
        let choice = match self.open {
            true => Choice::Open { topic: self.topic },
            false => Choice::These(self.records),
        };
        (choice, Duration::from_secs(self.wait))
    }
}

/// Differences, a failed check, or a failure at work.
const EXIT_FAILURE: u8 = 1;
/// Wrong usage or configuration; clap exits with the same.
const EXIT_CONFIGURATION: u8 = 2;
/// Another instance took over the pipeline.
const EXIT_FENCED: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = telemetry::init() {
        return refuse(&error);
    }
    let config = match Config::load(Some(&arguments.config)) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    let code = runtime.block_on(obey(arguments.command, &config));
    // Nothing that still runs may hold the process back.
    runtime.shutdown_background();
    code
}

async fn obey(command: Command, config: &Config) -> ExitCode {
    if let Command::Check { write_tables } = command {
        return check(config, write_tables).await;
    }
    let definitions = match config.definitions() {
        Ok(definitions) => definitions,
        Err(error) => return refuse(&error),
    };
    let plan = match sql::plan_views(&definitions) {
        Ok(plan) => Arc::new(plan),
        Err(error) => return refuse(&error),
    };
    match command {
        Command::Run => run(config, plan, true, true).await,
        Command::Process => run(config, plan, true, false).await,
        Command::Serve | Command::Check { .. } => run(config, plan, false, true).await,
        Command::Verify(verified) => verify(config, &plan, &verified.options()).await,
        Command::Resnapshot { tables, beside, wait } => {
            let (patience, out) = (Duration::from_secs(wait), &mut io::stdout());
            let how = if beside { How::Beside } else { How::Anew { after: 0 } };
            told(operate::resnapshot(config, &plan, &tables, how, patience, out).await)
        }
        Command::Explain(explained) => explain(config, &plan, explained).await,
        Command::Switch { name, view, wait } => {
            let out = &mut io::stdout();
            told(match name.zip(view) {
                None => operate::answering(config, &plan, out).await.map(|()| true),
                Some((name, view)) => {
                    let patience = Duration::from_secs(wait);
                    operate::switch(config, &plan, &name, &view, patience, out).await
                }
            })
        }
        Command::Dlq(command) => told(dlq(config, &plan, command).await),
    }
}

async fn check(config: &Config, write_tables: bool) -> ExitCode {
    let result = async {
        if write_tables {
            for file in check::write_tables(config).await? {
                writeln!(io::stdout(), "wrote {}", file.display())?;
            }
        }
        anyhow::Ok(check::check(config, &mut io::stdout()).await?)
    };
    match result.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(error) => fail(&error.to_string()),
    }
}

async fn verify(config: &Config, plan: &Arc<Plan>, options: &verify::Options) -> ExitCode {
    match verify::verify(config, plan, options, &mut io::stdout()).await {
        Ok(reports) if reports.iter().all(ViewReport::is_right) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_FAILURE),
        Err(error @ (VerifyError::UnknownView { .. } | VerifyError::Keys { .. })) => refuse(&error),
        Err(error) => fail(&error.to_string()),
    }
}

async fn explain(config: &Config, plan: &Arc<Plan>, explained: Explain) -> ExitCode {
    let Explain { view, key, format, search } = explained;
    let out = &mut io::stdout();
    let outcome = match key {
        None => explain::find_view(plan, &view)
            .and_then(|view| Ok(out.write_all(sql::explain(plan, view).as_bytes())?)),
        Some(key) => {
            let (records_max, format) = (search, format.into());
            let options = explain::Options { view, key, records_max, format };
            explain::explain(config, plan, &options, out).await
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closes the output has seen enough.
        Err(ExplainError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) if error.is_usage() => refuse(&error),
        Err(error) => fail(&error.to_string()),
    }
}

async fn dlq(config: &Config, plan: &Plan, command: Dlq) -> Result<bool, OperateError> {
    let out = &mut io::stdout();
    match command {
        Dlq::List { topic, since, open, oldest_first, limit, json } => {
            let limit = usize::from(limit);
            let filter = Filter { topic, since, open, oldest_first, limit };
            operate::list(config, plan, &filter, json, out).await.map(|()| true)
        }
        Dlq::Show { record, all, json } => {
            operate::show(config, plan, &record, all, json, out).await.map(|()| true)
        }
        Dlq::Replay(settle) => {
            let (choice, patience) = settle.choice();
            operate::replay(config, plan, &choice, patience, out).await
        }
        Dlq::Drop(settle) => {
            let (choice, patience) = settle.choice();
            operate::drop(config, plan, &choice, patience, out).await
        }
    }
}

/// The exit code of what was done: whether all is well, or why it could not be.
fn told(outcome: Result<bool, OperateError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        // Whoever read the output has seen enough.
        Err(OperateError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error @ (OperateError::NoTable { .. } | OperateError::CannotAnswer(_))) => {
            refuse(&error)
        }
        Err(error) => fail(&error.to_string()),
    }
}

/// Runs the processor, the API or both until a signal, or until the processor fails.
async fn run(config: &Config, plan: Arc<Plan>, process: bool, serve: bool) -> ExitCode {
    let metrics = Arc::new(Metrics::new());
    let readiness = Readiness::new();
    if process {
        // Before the API listens: what Redis holds may be of another definition.
        readiness.block("pipeline", "starting");
    }
    let (end, ending) = watch::channel(false);
    let signalled = match signals() {
        Ok(signalled) => tokio::spawn(signalled),
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let (plans, planned) = watch::channel(Arc::clone(&plan));
    let hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let mut changeover = None;
    let api = if serve {
        match bind(config, &plan, &readiness, &metrics).await {
            Ok((api, listener)) => {
                changeover = Some(api.changeover());
                Some(tokio::spawn(api.serve(listener, ended(ending.clone()))))
            }
            Err(error) => return fail(&format!("{error:#}")),
        }
    } else {
        None
    };
    // Ends with the runtime.
    tokio::spawn(reload(config.clone(), hangups, plans, changeover));
    let code = if process {
        if let Some(connect) = config.connect.clone() {
            let (metrics, readiness) = (Arc::clone(&metrics), readiness.clone());
            // Ends with the runtime.
            tokio::spawn(async move { supervise(&connect, metrics, readiness).await });
        }
        let (wanted, wanting) = watch::channel(BTreeMap::new());
        let settings = Arc::new(config.clone());
        tokio::spawn(work_beside(settings, planned.clone(), wanting, Arc::clone(&metrics)));
        let shutdown = Box::pin(ended(ending.clone()));
        let processing = pipeline::run(config, planned, metrics, readiness, wanted, shutdown);
        tokio::pin!(processing);
        let outcome = tokio::select! {
            outcome = &mut processing => outcome,
            _ = signalled => {
                end.send_replace(true);
                processing.await
            }
        };
        exit_code(outcome)
    } else {
        let _ = signalled.await;
        info!("stopped");
        ExitCode::SUCCESS
    };
    end.send_replace(true);
    if let Some(api) = api {
        let _ = api.await;
    }
    code
}

/// What goes on beside a pipeline, for the plan that it follows.
async fn work_beside(
    config: Arc<Config>,
    mut plans: Plans,
    wanting: watch::Receiver<BTreeMap<String, Wanting>>,
    metrics: Arc<Metrics>,
) {
    loop {
        let plan = Arc::clone(&plans.borrow_and_update());
        let reading = operate::read_wanted(Arc::clone(&config), Arc::clone(&plan), wanting.clone());
        let comparing = verify::watch(Arc::clone(&config), plan, Arc::clone(&metrics));
        tokio::select! {
            _ = async { tokio::join!(reading, comparing) } => return,
            changed = plans.changed() => if changed.is_err() { return },
        }
    }
}

/// Follows the files of SQL as they are at each SIGHUP. Files that cannot be followed change nothing.
async fn reload(
    config: Config,
    mut hangups: Signal,
    plans: watch::Sender<Arc<Plan>>,
    changeover: Option<Changeover>,
) {
    while hangups.recv().await.is_some() {
        let former = Arc::clone(&plans.borrow());
        match changed_plan(&config, &former).await {
            Ok(None) => info!("SIGHUP: no table or view is defined otherwise than before"),
            Ok(Some(plan)) => match changeover.as_ref().map_or(Ok(()), |api| api.change(&plan)) {
                Ok(()) => {
                    info!(views = plan.views.len(), "SIGHUP: following changed definitions");
                    plans.send_replace(Arc::new(plan));
                }
                Err(error) => error!("SIGHUP: going on as before: {error}"),
            },
            Err(error) => error!("SIGHUP: going on as before: {error:#}"),
        }
    }
}

/// The plan that the files make now, if it is another.
async fn changed_plan(config: &Config, former: &Plan) -> anyhow::Result<Option<Plan>> {
    let plan = sql::plan_views(&config.definitions()?)?;
    if plan.is_like(former) {
        return Ok(None);
    }
    if let Some(reason) = pipeline::needs_start(former, &plan) {
        bail!(reason);
    }
    operate::may_follow(config, former, &plan).await?;
    Ok(Some(plan))
}

async fn bind(
    config: &Config,
    plan: &Plan,
    readiness: &Readiness,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<(Api, TcpListener)> {
    let dialer = Dialer::new(config.redis.url.expose())?;
    let keyspace = Keyspace::new(&config.pipeline.name);
    let api = Api::new(&dialer, &keyspace, plan, readiness.clone(), Arc::clone(metrics))?;
    let connections = usize::try_from(config.limits.connections_max).unwrap_or(usize::MAX);
    let address = config.api.listen;
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!("{address} is taken: stop what listens there, or set api.listen to another port")
        }
        Err(error) => return Err(error).with_context(|| format!("cannot listen at {address}")),
    };
    info!(address = %listener.local_addr()?, "serving");
    Ok((api.with_connections_max(connections), listener))
}

fn exit_code(outcome: Result<(), PipelineError>) -> ExitCode {
    match outcome {
        Ok(()) => {
            info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!("{error}");
            ExitCode::from(match error {
                PipelineError::Fenced { .. } => EXIT_FENCED,
                PipelineError::Dial(_) | PipelineError::Unanswered(_) => EXIT_CONFIGURATION,
                PipelineError::Redis(_)
                | PipelineError::Estranged
                | PipelineError::State(_)
                | PipelineError::Source(_)
                | PipelineError::Sequence(_) => EXIT_FAILURE,
            })
        }
    }
}

async fn ended(mut ending: watch::Receiver<bool>) {
    drop(ending.wait_for(|end| *end).await);
}

/// Listens for SIGTERM and SIGINT from here on; completes with the first.
fn signals() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: stopping"),
            _ = interrupt.recv() => info!("interrupted: stopping"),
        }
    })
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("viewtide: {reason}");
    ExitCode::from(EXIT_FAILURE)
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("viewtide: {error}");
    ExitCode::from(EXIT_CONFIGURATION)
}
