//! Keeps the connector running: asks Kafka Connect how it is, restarts what has failed, and tells
//! what no restart mends.
//!
//! A task of its own beside the pipeline, which it can neither delay nor stop. Connect being away
//! is told and waited out: nothing may come, but all that came is right. Restarts that do not help
//! wait longer each time; trouble that is known not to pass (see [`Trouble`]) is not tried again, but told in
//! readiness until somebody has mended it.

mod connect;
mod trouble;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::config;
use crate::telemetry::{Metrics, Part, Readiness};
pub use connect::{Connect, ConnectError, Health};
pub use trouble::Trouble;

/// How often Connect is asked.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// Wait between the first two restarts; doubled with each up to [`RESTART_WAIT_MAX`].
const RESTART_WAIT: Duration = Duration::from_secs(5);
/// Longest wait between two restarts.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(60);
/// So long a restarted connector must run before the waits begin anew: one that cannot run fails
/// sooner.
const SETTLED: Duration = Duration::from_secs(15);
/// So many restarts within [`TOLD_WITHIN`], and readiness says that they do not help.
const RESTARTS_TOLD: usize = 5;
const TOLD_WITHIN: Duration = Duration::from_secs(300);

/// Its name in readiness.
const PART: &str = "connector";

/// Watches over a connector until it is dropped.
pub async fn supervise(settings: &config::Connect, metrics: Arc<Metrics>, readiness: Readiness) {
    let connect = Connect::new(settings);
    let mut supervisor = Supervisor {
        name: settings.connector.clone(),
        metrics,
        readiness,
        restarts: Restarts::default(),
        said: String::new(),
    };
    loop {
        let health = connect.health().await;
        if supervisor.judge(health, Instant::now()) == Verdict::Restart {
            let outcome = connect.restart().await;
            supervisor.restarted(outcome, Instant::now());
        }
        sleep(ASK_EVERY).await;
    }
}

struct Supervisor {
    name: String,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    restarts: Restarts,
    /// What was logged last: the same is not said again.
    said: String,
}

/// Restarts so far.
#[derive(Default)]
struct Restarts {
    /// In a row, that did not help.
    in_a_row: u32,
    /// The last [`RESTARTS_TOLD`].
    last: VecDeque<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    Restart,
}

impl Restarts {
    /// Whether the next is due.
    fn is_due(&self, now: Instant) -> bool {
        let wait = RESTART_WAIT.saturating_mul(1 << self.in_a_row.saturating_sub(1).min(10));
        self.in_a_row == 0 || self.is_past(now, wait.min(RESTART_WAIT_MAX))
    }

    fn note(&mut self, now: Instant) {
        self.in_a_row += 1;
        self.last.push_back(now);
        if self.last.len() > RESTARTS_TOLD {
            self.last.pop_front();
        }
    }

    /// Whether the last is so long ago.
    fn is_past(&self, now: Instant, wait: Duration) -> bool {
        self.last.back().is_none_or(|last| now >= *last + wait)
    }

    /// Whether there were many of late.
    fn are_many(&self, now: Instant) -> bool {
        let first = self.last.front().filter(|_| self.last.len() == RESTARTS_TOLD);
        first.is_some_and(|first| now < *first + TOLD_WITHIN)
    }

    /// It runs: the next failure is a new one, if that lasts.
    fn runs(&mut self, now: Instant) {
        if self.is_past(now, SETTLED) {
            self.in_a_row = 0;
        }
    }
}

impl Supervisor {
    /// Tells what is so, and says what to do about it.
    fn judge(&mut self, health: Result<Health, ConnectError>, now: Instant) -> Verdict {
        self.metrics.connector_running.set(i64::from(matches!(health, Ok(Health::Running))));
        match health {
            Err(error) => {
                self.metrics.retries(Part::Connect).inc();
                self.say(&format!("cannot be asked: {error}"));
            }
            Ok(Health::Running) => {
                self.readiness.clear(PART);
                self.restarts.runs(now);
                if !std::mem::take(&mut self.said).is_empty() {
                    info!(connector = self.name, "the connector is running");
                }
            }
            Ok(Health::Resting(state)) => {
                // Whoever paused or stopped it knows; what it failed of before is no news any more.
                if ["PAUSED", "STOPPED"].contains(&state.as_str()) {
                    self.readiness.clear(PART);
                }
                self.say(&format!("is {state}"));
            }
            Ok(Health::Missing) => {
                let text = format!("connect has no connector `{}`: register it", self.name);
                self.readiness.block(PART, text);
                self.say("is not registered");
            }
            Ok(Health::Failed { trace }) => return self.judge_failure(&trace, now),
        }
        Verdict::Wait
    }

    fn judge_failure(&mut self, trace: &str, now: Instant) -> Verdict {
        let cause = trouble::root_cause(trace);
        self.say(&format!("has failed: {cause}"));
        if let Some(trouble) = Trouble::of(trace) {
            self.readiness.block(PART, format!("has failed and is not restarted: {trouble}"));
            return Verdict::Wait;
        }
        if self.restarts.are_many(now) {
            let text = format!("fails again and again, and restarts do not help: {cause}");
            self.readiness.block(PART, text);
        }
        if self.restarts.is_due(now) { Verdict::Restart } else { Verdict::Wait }
    }

    fn restarted(&mut self, outcome: Result<(), ConnectError>, now: Instant) {
        self.restarts.note(now);
        match outcome {
            Ok(()) => {
                self.metrics.connector_restarts.inc();
                info!(
                    connector = self.name,
                    in_a_row = self.restarts.in_a_row,
                    "restarted what had failed"
                );
            }
            Err(error) => self.say(&format!("cannot be restarted: {error}")),
        }
    }

    fn say(&mut self, text: &str) {
        if self.said != text {
            warn!(connector = self.name, "the connector {text}");
            text.clone_into(&mut self.said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor() -> Supervisor {
        Supervisor {
            name: "c".into(),
            metrics: Arc::new(Metrics::new()),
            readiness: Readiness::new(),
            restarts: Restarts::default(),
            said: String::new(),
        }
    }

    fn failed(trace: &str) -> Result<Health, ConnectError> {
        Ok(Health::Failed { trace: trace.into() })
    }

    #[test]
    fn restarts_wait_longer_each_time_and_are_told_when_they_do_not_help() {
        let mut supervisor = supervisor();
        let (mut now, mut waits) = (Instant::now(), Vec::new());
        for _ in 0..9 {
            let since = now;
            while supervisor.judge(failed("Access denied"), now) == Verdict::Wait {
                now += Duration::from_secs(1);
            }
            waits.push((now - since).as_secs());
            supervisor.restarted(Ok(()), now);
            let told = supervisor.readiness.reasons();
            assert_eq!(told.is_empty(), waits.len() <= RESTARTS_TOLD, "{told:?}");
        }
        assert_eq!(waits, [0, 5, 10, 20, 40, 60, 60, 60, 60]);
        assert_eq!(supervisor.judge(Ok(Health::Running), now), Verdict::Wait);
        assert!(supervisor.readiness.is_ready());
        // It fails again at once: that is no new trouble.
        assert_eq!(supervisor.judge(failed("Access denied"), now), Verdict::Wait);
        supervisor.judge(Ok(Health::Running), now + SETTLED);
        assert_eq!(supervisor.judge(failed("Access denied"), now + SETTLED), Verdict::Restart);
    }

    #[test]
    fn what_no_restart_mends_is_told_and_left_alone_until_it_runs_again() {
        let mut supervisor = supervisor();
        let trace = "x.RecordTooLargeException: The message is 99 bytes";
        for _ in 0..3 {
            assert_eq!(supervisor.judge(failed(trace), Instant::now()), Verdict::Wait);
        }
        let told = supervisor.readiness.reasons();
        assert!(
            told[0].starts_with("connector: has failed and is not restarted: a record"),
            "{told:?}"
        );
        // Connect away is no news of the connector.
        let away = Err(ConnectError::Away("refused".into()));
        supervisor.judge(away, Instant::now());
        assert_eq!(supervisor.readiness.reasons(), told);
        // Nor is it that its tasks are not assigned yet.
        supervisor.judge(Ok(Health::Resting("UNASSIGNED".into())), Instant::now());
        assert_eq!(supervisor.readiness.reasons(), told);
        supervisor.judge(Ok(Health::Resting("PAUSED".into())), Instant::now());
        assert!(supervisor.readiness.is_ready());
        supervisor.judge(failed(trace), Instant::now());
        assert_eq!(supervisor.readiness.reasons(), told);
        supervisor.judge(Ok(Health::Running), Instant::now());
        assert!(supervisor.readiness.is_ready());
        assert_eq!(supervisor.metrics.connector_restarts.get(), 0);
    }

    #[test]
    fn connect_away_is_not_the_pipelines_trouble() {
        let mut supervisor = supervisor();
        supervisor.judge(Err(ConnectError::Away("refused".into())), Instant::now());
        supervisor.judge(Ok(Health::Resting("PAUSED".into())), Instant::now());
        assert!(supervisor.readiness.is_ready());
        supervisor.judge(Ok(Health::Missing), Instant::now());
        assert!(!supervisor.readiness.is_ready());
    }
}
