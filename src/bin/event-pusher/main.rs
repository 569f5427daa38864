//! Simulates the services around an order: random orders go through their statuses as events of a
//! Kafka topic, and, if asked, the shop's rows change in MySQL beside them.
//!
//! It tells what was acknowledged, and its exit code says whether everything was: 0 yes, 1 no,
//! 2 wrong usage. SIGINT and SIGTERM end it cleanly.

mod events;
mod rows;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::watch;

use events::{Events, Sender};

/// Most orders in a range: one byte of status is kept for each.
const ORDERS_MAX: i64 = 10_000_000;
/// How long to wait at the end for what is not yet acknowledged.
const LAST_WAIT: Duration = Duration::from_secs(60);
/// The same after SIGINT or SIGTERM.
const LAST_WAIT_WHEN_STOPPED: Duration = Duration::from_secs(5);
/// Row changes for one event, with `--mysql`.
const CHANGES_PER_EVENT: f64 = 0.25;

/// Send random orders of FIRST ≤ id < LAST through their statuses:
/// received, preparing, cooked, delivered, finished, and again.
#[derive(Debug, Parser)]
#[command(name = "event-pusher", version)]
struct Arguments {
    /// First order
    first: i64,
    /// The order after the last
    last: i64,
    /// Events a second
    #[arg(long, default_value = "1", value_parser = parse_rate)]
    rate: f64,
    /// Events in all; without it, until stopped
    #[arg(long)]
    count: Option<u64>,
    /// How far timestamps lie back at random, as `10s`: they arrive out of order
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    jitter: Duration,
    /// Also change rows in MySQL; the address is mysql://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true,
          default_missing_value = "")]
    mysql: Option<String>,
    /// Kafka brokers
    #[arg(long, env = "VIEWTIDE_KAFKA_BROKERS", default_value = "127.0.0.1:29092")]
    brokers: String,
    /// Topic of the events
    #[arg(long, default_value = "order_updates")]
    topic: String,
    /// Seed of all randomness, to repeat a run
    #[arg(long)]
    seed: Option<u64>,
}

/// What has been done so far.
#[derive(Debug, Default)]
struct Tally {
    events_sent: AtomicU64,
    events_acknowledged: AtomicU64,
    events_failed: AtomicU64,
    transactions_committed: AtomicU64,
    transactions_rolled_back: AtomicU64,
    transactions_failed: AtomicU64,
}

impl Tally {
    /// Whether events are neither acknowledged nor failed yet.
    fn is_waiting_for_events(&self) -> bool {
        let [sent, acknowledged, failed] =
            [&self.events_sent, &self.events_acknowledged, &self.events_failed]
                .map(|counter| counter.load(Ordering::Relaxed));
        acknowledged + failed < sent
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(arguments)));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("event-pusher: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything was acknowledged.
async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let Arguments { first, last, .. } = arguments;
    if first >= last || last - first > ORDERS_MAX {
        bail!("FIRST {first} must lie below LAST {last}, by at most {ORDERS_MAX}");
    }
    let seed = arguments.seed.unwrap_or_else(rand::random);
    eprintln!("event-pusher: seed {seed}");
    let tally = Arc::new(Tally::default());
    let sender = Sender::new(&arguments.brokers, &arguments.topic, Arc::clone(&tally))?;
    let (stop, stopped) = watch::channel(false);
    let signals = tokio::spawn(wait_for_signal(stop.clone()));
    let progress = tokio::spawn(show_progress(Arc::clone(&tally)));
    let rows = match &arguments.mysql {
        None => None,
        Some(url) => {
            let options = mysql_options(url)?;
            let random = StdRng::seed_from_u64(seed ^ 1);
            let rate = arguments.rate * CHANGES_PER_EVENT;
            let changer = rows::Changer::new(options, first..last, random, Arc::clone(&tally));
            Some(tokio::spawn(changer.run(rate, stopped.clone())))
        }
    };
    let mut events = Events::new(first..last, arguments.jitter, StdRng::seed_from_u64(seed));
    push(&arguments, &mut events, &sender, &tally, stopped.clone()).await?;
    let wait = if *stopped.borrow() { LAST_WAIT_WHEN_STOPPED } else { LAST_WAIT };
    stop.send_replace(true);
    if let Some(rows) = rows {
        rows.await.context("the task that changes rows")?;
    }
    sender.wait_until_acknowledged(wait).await;
    progress.abort();
    signals.abort();
    Ok(summarize(&tally))
}

/// Sends events at the given rate until the count is reached or a signal came. A rate that could
/// not be kept for a while is caught up with.
async fn push(
    arguments: &Arguments,
    events: &mut Events,
    sender: &Sender,
    tally: &Tally,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut sent = 0;
    while arguments.count.is_none_or(|count| sent < count) && !*stopped.borrow() {
        let due = begin + Duration::from_secs_f64(sent as f64 / arguments.rate);
        if due > Instant::now() {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                _ = stopped.changed() => continue,
            }
        }
        let event = events.next_event();
        // A full queue is the bound: wait for the brokers, as long as nobody says stop.
        while !sender.send(&event)? {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
                _ = stopped.changed() => return Ok(()),
            }
        }
        sent += 1;
        tally.events_sent.store(sent, Ordering::Relaxed);
    }
    Ok(())
}

async fn wait_for_signal(stop: watch::Sender<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    stop.send_replace(true);
}

/// One line that is written over on a terminal, one every ten seconds elsewhere.
async fn show_progress(tally: Arc<Tally>) {
    let is_terminal = io::stderr().is_terminal();
    let period = Duration::from_secs(if is_terminal { 1 } else { 10 });
    loop {
        tokio::time::sleep(period).await;
        if is_terminal {
            eprint!("\r{tally}\x1b[K");
        } else {
            eprintln!("{tally}");
        }
    }
}

/// Prints what was done; whether all of it was acknowledged.
fn summarize(tally: &Tally) -> bool {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    // Nobody reads a closed standard output.
    let _ = writeln!(io::stdout(), "{tally}");
    let [sent, acknowledged, failed] =
        [&tally.events_sent, &tally.events_acknowledged, &tally.transactions_failed]
            .map(|counter| counter.load(Ordering::Relaxed));
    if acknowledged < sent {
        eprintln!("event-pusher: {} event(s) were not acknowledged", sent - acknowledged);
    }
    if failed > 0 {
        eprintln!("event-pusher: {failed} transaction(s) failed or ended without an answer");
    }
    acknowledged == sent && failed == 0
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, acknowledged) = (load(&self.events_sent), load(&self.events_acknowledged));
        write!(f, "{sent} events sent, {acknowledged} acknowledged")?;
        let failed = load(&self.events_failed);
        if failed > 0 {
            write!(f, ", {failed} failed")?;
        }
        let committed = load(&self.transactions_committed);
        let rolled_back = load(&self.transactions_rolled_back);
        let failed = load(&self.transactions_failed);
        if committed + rolled_back + failed > 0 {
            write!(f, " · {committed} transactions committed, {rolled_back} rolled back")?;
            if failed > 0 {
                write!(f, ", {failed} failed")?;
            }
        }
        Ok(())
    }
}

/// The address given, or the demo's at the host and port that viewtide itself would use.
fn mysql_options(url: &str) -> anyhow::Result<mysql_async::Opts> {
    let demo;
    let url = if url.is_empty() {
        let variable = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
        let host = variable("VIEWTIDE_MYSQL_HOST", "127.0.0.1");
        let port = variable("VIEWTIDE_MYSQL_PORT", "3306");
        demo = format!("mysql://shop:shop@{host}:{port}/shop");
        &demo
    } else {
        url
    };
    mysql_async::Opts::from_url(url)
        .context("--mysql wants mysql://USER:PASSWORD@HOST:PORT/DATABASE")
}

fn parse_rate(text: &str) -> Result<f64, &'static str> {
    let rate: f64 = text.parse().map_err(|_| "not a number")?;
    let in_range = (0.001..=1_000_000.0).contains(&rate);
    if in_range { Ok(rate) } else { Err("allowed: 0.001 to 1000000 events a second") }
}

fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const ALLOWED: &str = "allowed: a number with a unit, as 500ms, 10s, 1m 30s, up to 24h";
    let duration: jiff::SignedDuration = text.parse().map_err(|_| ALLOWED)?;
    let duration = Duration::try_from(duration).map_err(|_| ALLOWED)?;
    if duration <= Duration::from_secs(24 * 3600) { Ok(duration) } else { Err(ALLOWED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' '))
    }

    #[test]
    fn arguments_are_read() {
        let arguments = parse("event-pusher 1 42").unwrap();
        assert_eq!((arguments.first, arguments.last, arguments.rate), (1, 42, 1.0));
        assert_eq!((arguments.count, arguments.jitter), (None, Duration::ZERO));
        assert!(arguments.mysql.is_none());
        let line = "event-pusher 1 42 --rate 200 --count 5000 --jitter 10s --mysql --topic t";
        let arguments = parse(line).unwrap();
        assert_eq!((arguments.rate, arguments.count), (200.0, Some(5000)));
        assert_eq!(arguments.jitter, Duration::from_secs(10));
        assert_eq!(arguments.mysql.as_deref(), Some(""));
        let arguments = parse("event-pusher --mysql=mysql://a:b@c:1/d 1 42").unwrap();
        assert_eq!(mysql_options(&arguments.mysql.unwrap()).unwrap().tcp_port(), 1);
    }

    #[test]
    fn wrong_arguments_are_explained() {
        for (line, want) in [
            ("event-pusher 1", "<LAST>"),
            ("event-pusher 1 x", "'x' for '<LAST>'"),
            ("event-pusher 1 2 --rate 0", "allowed: 0.001 to 1000000 events a second"),
            ("event-pusher 1 2 --rate fast", "not a number"),
            ("event-pusher 1 2 --jitter 10", "as 500ms, 10s"),
            ("event-pusher 1 2 --jitter=-10s", "as 500ms, 10s"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(want), "{error}");
        }
        assert!(mysql_options("http://x").is_err());
    }

    #[test]
    fn durations_have_units() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("1m 30s", 90_000), ("1.5s", 1500)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert!(parse_duration("25h").is_err());
    }
}
