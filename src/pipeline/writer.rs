//! The sink with patience: waits out what passes, keeps the lease, ends when told to.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{info, warn};

use super::lookout::{LEASE_LOOK, Lookout, Standing};
use super::{PipelineError, Shutdown};
use crate::sink::{Claim, Meta, Sink, SinkError, Step, Store};
use crate::sql::plan::Plan;
use crate::telemetry::{Metrics, Part, Readiness};

/// Longest time without a word to Redis: renews the lease, and notices lost data.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// How long Redis may still take to answer when the process is to end.
const ENDING_WAIT: Duration = Duration::from_secs(2);

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It took effect.
    Landed,
    /// Redis lost data or went back; the step did not take effect or does not matter.
    Rewound,
    /// The process is to end; whether it took effect is unknown.
    Ending,
    /// Redis has no memory for it, and it is not wanted any more. Only a claim may follow.
    GivenUp,
}

/// The writing end of the pipeline.
pub(super) struct Writer<S> {
    sink: Sink<S>,
    owns: bool,
    lookout: Lookout,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    ending: Ending,
    renew_at: Instant,
    rewound: bool,
}

/// The end of the process.
struct Ending {
    shutdown: Shutdown,
    /// Set when it has come: until when work may go on.
    deadline: Option<Instant>,
}

impl<S: Store> Writer<S> {
    pub(super) fn new(
        sink: Sink<S>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        shutdown: Shutdown,
    ) -> Writer<S> {
        let renew_at = Instant::now() + RENEW_AFTER;
        let ending = Ending { shutdown, deadline: None };
        Writer {
            sink,
            owns: false,
            lookout: Lookout::default(),
            metrics,
            readiness,
            ending,
            renew_at,
            rewound: false,
        }
    }

    /// Claims the pipeline unless another process holds it, however long Redis is away; `None`
    /// when the process is to end.
    pub(super) async fn stand(&mut self) -> Result<Option<Standing>, PipelineError> {
        loop {
            let Some(outcome) = self.ending.bound(self.lookout.look(&mut self.sink)).await else {
                return Ok(None);
            };
            let wait = match outcome {
                Ok(Standing::Owner(meta)) => {
                    self.own();
                    return Ok(Some(Standing::Owner(meta)));
                }
                Ok(Standing::Standby(meta)) => {
                    self.readiness.clear(Part::Redis.name());
                    self.readiness.block("pipeline", "standing by: another process runs it");
                    self.metrics.standing_by.set(1);
                    return Ok(Some(Standing::Standby(meta)));
                }
                Err(error) => self.judge(error)?.unwrap_or(LEASE_LOOK),
            };
            if !self.pause(wait).await {
                return Ok(None);
            }
        }
    }

    /// From here on steps are of another plan's views.
    pub(super) fn replan(&mut self, plan: &Plan) {
        self.sink.replan(plan);
    }

    /// Claims again what this process had claimed with the epoch `former`, however long Redis is
    /// away; `None` when the process is to end.
    ///
    /// # Errors
    /// Besides Redis' own: another process has claimed it since, and may have gone further.
    pub(super) async fn claim(&mut self, former: u64) -> Result<Option<Meta>, PipelineError> {
        loop {
            let Some(outcome) = self.ending.bound(self.sink.claim(former)).await else {
                return Ok(None);
            };
            let wait = match outcome {
                Ok(Claim::Owned(meta)) if meta.epoch > former + 1 => {
                    return Err(PipelineError::Fenced { epoch: meta.epoch - 1 });
                }
                Ok(Claim::Held { .. }) => {
                    return Err(PipelineError::Fenced { epoch: former + 1 });
                }
                Ok(Claim::Owned(meta)) => {
                    self.own();
                    return Ok(Some(*meta));
                }
                Err(error) => self.judge(error)?.unwrap_or(LEASE_LOOK),
            };
            if !self.pause(wait).await {
                return Ok(None);
            }
        }
    }

    fn own(&mut self) {
        self.readiness.clear(Part::Redis.name());
        self.readiness.clear("pipeline");
        self.metrics.standing_by.set(0);
        (self.owns, self.rewound) = (true, false);
        self.renew_at = Instant::now() + RENEW_AFTER;
    }

    /// Commits a step, however long it takes.
    pub(super) async fn commit(&mut self, step: &Step) -> Result<Settled, PipelineError> {
        self.commit_unless(step, || false).await
    }

    /// The same, but while Redis has no memory for it, it may be of no use any more.
    pub(super) async fn commit_unless(
        &mut self,
        step: &Step,
        is_useless: impl Fn() -> bool,
    ) -> Result<Settled, PipelineError> {
        loop {
            let Some(outcome) = self.ending.bound(self.sink.commit(step)).await else {
                return Ok(Settled::Ending);
            };
            let error = match outcome {
                Ok(()) => {
                    self.readiness.clear(Part::Redis.name());
                    self.renew_at = Instant::now() + RENEW_AFTER;
                    self.metrics.steps.inc();
                    return Ok(Settled::Landed);
                }
                Err(error) => error,
            };
            let is_full = matches!(error, SinkError::Retry { is_full: true, .. });
            match self.judge(error)? {
                None => return Ok(Settled::Rewound),
                Some(_) if is_full && is_useless() => return Ok(Settled::GivenUp),
                Some(wait) if self.pause(wait).await => {}
                Some(_) => return Ok(Settled::Ending),
            }
        }
    }

    /// Waits for something while keeping the lease. `None` when the process is to end, or when
    /// Redis went back meanwhile ([`Writer::is_rewound`]).
    pub(super) async fn keep_alive<T, E: Into<PipelineError>>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<T>, PipelineError> {
        let mut work = pin!(work);
        while !self.is_ending() && !self.rewound {
            tokio::select! {
                biased;
                () = self.ending.come() => {}
                done = &mut work => return done.map(Some).map_err(Into::into),
                () = sleep_until(self.renew_at), if self.owns => self.renew().await?,
            }
        }
        Ok(None)
    }

    /// Renews the lease if it is time.
    pub(super) async fn renew_if_due(&mut self) -> Result<(), PipelineError> {
        if self.owns && Instant::now() >= self.renew_at { self.renew().await } else { Ok(()) }
    }

    /// Whether the process is to end.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.deadline.is_some()
    }

    /// Whether Redis was found to have lost data or gone back.
    pub(super) fn is_rewound(&self) -> bool {
        self.rewound
    }

    /// Gives the pipeline back, if Redis is there to hear it; the lease ends by itself otherwise.
    pub(super) async fn release(&mut self) {
        if let Some(Err(error)) = self.ending.bound(self.sink.release()).await {
            info!(%error, "the lease was not given back and ends by itself");
        }
    }

    async fn renew(&mut self) -> Result<(), PipelineError> {
        self.renew_at = Instant::now() + RENEW_AFTER;
        match self.ending.bound(self.sink.renew()).await {
            None => {}
            Some(Ok(())) => self.readiness.clear(Part::Redis.name()),
            Some(Err(error)) => {
                self.rewound = self.judge(error)?.is_none();
            }
        }
        Ok(())
    }

    /// How long to wait before the same again; `None` when Redis went back.
    fn judge(&mut self, error: SinkError) -> Result<Option<Duration>, PipelineError> {
        match error {
            SinkError::Retry { reason, after, is_full: _ } => {
                warn!(%reason, "redis cannot do it now; trying again");
                self.readiness.block(Part::Redis.name(), reason);
                self.metrics.retries(Part::Redis).inc();
                self.metrics.wait_seconds(Part::Redis).inc_by(after.as_secs_f64());
                Ok(Some(after))
            }
            SinkError::Rewound { found } => {
                warn!(%found, "redis lost data or went back; claiming again to fill every view");
                Ok(None)
            }
            SinkError::Fenced { epoch } => Err(PipelineError::Fenced { epoch }),
            SinkError::Fatal { reason } => Err(PipelineError::Redis(reason)),
        }
    }

    /// Waits; false when the process is to end.
    async fn pause(&mut self, wait: Duration) -> bool {
        if !self.is_ending() {
            tokio::select! {
                biased;
                () = self.ending.come() => {}
                () = sleep(wait) => {}
            }
        }
        !self.is_ending()
    }
}

impl Ending {
    /// Completes when the end has come.
    async fn come(&mut self) {
        if self.deadline.is_none() {
            (&mut self.shutdown).await;
            self.deadline = Some(Instant::now() + ENDING_WAIT);
        }
    }

    /// What comes of some work; `None` if that takes too long when the process is to end.
    async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            () = self.come() => {}
            done = &mut work => return Some(done),
        }
        timeout_at(self.deadline?, work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn work_may_go_on_until_the_deadline() {
        let mut ending = Ending { shutdown: Box::pin(pending()), deadline: None };
        assert_eq!(ending.bound(ready(1)).await, Some(1));
        assert!(ending.deadline.is_none());
        ending.deadline = Some(Instant::now());
        assert_eq!(ending.bound(pending::<()>()).await, None);
        assert_eq!(ending.bound(ready(1)).await, Some(1), "what is done at once still counts");
    }

    #[tokio::test]
    async fn an_end_is_noticed_though_all_work_is_done_at_once() {
        let mut ending = Ending { shutdown: Box::pin(ready(())), deadline: None };
        assert_eq!(ending.bound(ready(())).await, Some(()));
        assert!(ending.deadline.is_some());
    }
}
