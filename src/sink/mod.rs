//! Documents into Redis: one atomic, fenced step at a time.
//!
//! What a [`Sink`] promises:
//!
//! - A [`Step`] takes effect as a whole, documents, index entries and `meta` together, or not at
//!   all; and once, however often its reply is lost and it is sent again.
//! - Nothing is written by a process whose claim another has taken over.
//! - A Redis that lost data, or went back to an older state, is recognised by the next step or
//!   renewal ([`SinkError::Rewound`]).
//!
//! There is no queue and no task in here: the pipeline calls, and decides by the [`SinkError`]
//! what follows. Time is Redis' own: leases are set and judged by its clock alone.

mod error;
mod exchange;
mod meta;
mod scripts;
mod server;
mod step;
mod store;

use std::time::Duration;

pub use error::{Failure, SinkError};
pub use meta::{Meta, MetaError};
pub use server::Redis;
pub use step::{
    KeyRange, Put, STEP_BYTES_MAX, STEP_DOCUMENTS_MAX, STEPS_TRACED_MAX, Step, Target, ViewStep,
};
pub use store::{LEASE, NewClaim, Owner, Ownership, Reply, Store, Sweep};

use crate::dial::Dialer;
use crate::keyspace::Keyspace;
use crate::sql::plan::Plan;
use crate::value::Key;

/// How often one call sends a step whose reply it lost, before it leaves the wait to its caller.
const SENDS_MAX: usize = 2;

/// Wait after the first failure in a row; it doubles with each, up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(25);

/// Longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// The writing end of one pipeline.
#[derive(Debug)]
pub struct Sink<S = Redis> {
    store: S,
    owner: Option<Owner>,
    /// Token of a claim whose outcome is unknown.
    claiming: Option<String>,
    /// The step that was sent and whose outcome is unknown.
    unsettled: Option<u64>,
    /// Failures in a row.
    failures: u32,
}

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The pipeline is ours from this state on.
    Owned(Box<Meta>),
    /// Another process holds it.
    Held {
        /// How long its lease lasts unless it is renewed.
        lease_left: Duration,
    },
}

/// Whether a step that we sent took effect.
enum Outcome {
    Landed,
    NotYet,
}

impl Sink {
    /// The writing end for a plan's views in Redis. Nothing is connected yet.
    pub fn new(dialer: Dialer, keyspace: &Keyspace, plan: &Plan) -> Sink {
        Sink::on(Redis::new(dialer, keyspace, plan))
    }
}

impl<S: Store> Sink<S> {
    /// The writing end on a store.
    pub fn on(store: S) -> Sink<S> {
        Sink { store, owner: None, claiming: None, unsettled: None, failures: 0 }
    }

    /// From here on views are those of another plan. Steps of the former one must not come any more.
    pub fn replan(&mut self, plan: &Plan) {
        self.store.replan(plan);
    }

    /// Claims the pipeline with an epoch above Redis' own and `epoch_min` (the highest that this
    /// process knows of), unless another's lease lives. Ours, if we had one, is replaced: whatever
    /// we sent under it takes no more effect.
    ///
    /// # Errors
    /// [`SinkError::Retry`] and [`SinkError::Fatal`].
    pub async fn claim(&mut self, epoch_min: u64) -> Result<Claim, SinkError> {
        let kept = self.store.check().await;
        self.hear(kept)?;
        let new_token = || format!("{:032x}", rand::random::<u128>());
        let token = self.claiming.get_or_insert_with(new_token).clone();
        let (token_before, epoch_before) =
            self.owner.as_ref().map_or(("", 0), |owner| (owner.token.as_str(), owner.epoch));
        let epoch_min = epoch_before.max(epoch_min);
        let claim = NewClaim { token: &token, token_before, epoch_min };
        let answer = self.store.claim(&claim).await;
        let (epoch, seq) = match self.hear(answer)? {
            Reply::Claimed { epoch, seq } => (epoch, seq),
            Reply::Held { for_ms } => {
                self.claiming = None;
                return Ok(Claim::Held { lease_left: Duration::from_millis(for_ms) });
            }
            reply => return Err(unexpected(&reply)),
        };
        let meta = self.read_meta().await?;
        self.owner = Some(Owner { epoch, token, seq });
        self.claiming = None;
        self.unsettled = None;
        Ok(Claim::Owned(Box::new(meta)))
    }

    /// Whether a claim with this token is ours though nobody has told us of its outcome.
    pub fn is_claiming_as(&self, token: &str) -> bool {
        self.claiming.as_deref() == Some(token)
    }

    /// Reads all of `meta` in one instant, with or without a claim.
    ///
    /// # Errors
    /// [`SinkError::Retry`], and [`SinkError::Fatal`] when what is there is not ours.
    pub async fn read_meta(&mut self) -> Result<Meta, SinkError> {
        let meta = self.store.meta().await;
        self.hear(meta)
    }

    /// Applies a step. After [`SinkError::Retry`] the same step must be given again until it is
    /// settled: whether it has taken effect may be unknown. Another one is refused as
    /// [`SinkError::Rewound`], for only a new claim makes sure that the first cannot land late.
    /// A call that is dropped half-way leaves the same state as `Retry`.
    ///
    /// # Errors
    /// Every [`SinkError`].
    pub async fn commit(&mut self, step: &Step) -> Result<(), SinkError> {
        check_bounds(step)?;
        if self.unsettled.is_some_and(|id| id != step.id) {
            let found = "nobody knows whether an earlier step took effect";
            return Err(SinkError::Rewound { found: found.to_owned() });
        }
        let mut sends = 0;
        loop {
            if self.unsettled.is_some()
                && let Outcome::Landed = self.ask_outcome().await?
            {
                self.advance();
                return Ok(());
            }
            self.unsettled = Some(step.id);
            sends += 1;
            match self.send(step).await {
                Ok(Outcome::Landed) => {
                    self.advance();
                    return Ok(());
                }
                Ok(Outcome::NotYet) if sends < SENDS_MAX => {}
                Ok(Outcome::NotYet) => {
                    let lost = Failure::NoReply("redis does not reply to a step".to_owned());
                    return Err(self.report(lost));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Renews the lease; to be called when there has been no step for a second. It also notices a
    /// Redis that lost its data.
    ///
    /// # Errors
    /// Every [`SinkError`].
    pub async fn renew(&mut self) -> Result<(), SinkError> {
        self.set_lease(LEASE).await
    }

    /// Ends the lease, so that another process need not wait for it. Nothing can be written
    /// afterwards without a new claim.
    ///
    /// # Errors
    /// Every [`SinkError`]; the lease then ends by itself.
    pub async fn release(&mut self) -> Result<(), SinkError> {
        if self.owner.is_some() {
            self.set_lease(Duration::ZERO).await?;
            self.owner = None;
        }
        Ok(())
    }

    fn advance(&mut self) {
        self.unsettled = None;
        if let Some(owner) = &mut self.owner {
            owner.seq += 1;
        }
    }

    async fn set_lease(&mut self, lease: Duration) -> Result<(), SinkError> {
        let owner = self.owner.as_ref().ok_or_else(unclaimed)?;
        let answer = self.store.renew(owner, lease).await;
        match self.hear(answer)? {
            Reply::Done => Ok(()),
            Reply::Owner(found) => self.judge(&found).map(|_| ()),
            reply => Err(unexpected(&reply)),
        }
    }

    /// What `meta` says of our claim, and of the step that we sent.
    fn judge(&self, found: &Ownership) -> Result<Outcome, SinkError> {
        let owner = self.owner.as_ref().ok_or_else(unclaimed)?;
        let epoch = found.epoch.unwrap_or(0);
        if epoch > owner.epoch || (epoch == owner.epoch && found.token != owner.token) {
            return Err(SinkError::Fenced { epoch });
        }
        if epoch == owner.epoch && found.seq == Some(owner.seq) {
            return Ok(Outcome::NotYet);
        }
        if epoch == owner.epoch && found.seq == Some(owner.seq + 1) && self.unsettled.is_some() {
            return Ok(Outcome::Landed);
        }
        let at = match found.seq {
            Some(seq) => format!("it is at step {seq} of epoch {epoch}"),
            None => "it knows nothing of this pipeline".to_owned(),
        };
        let found = format!("{at}, not at step {} of epoch {}", owner.seq, owner.epoch);
        Err(SinkError::Rewound { found })
    }

    async fn ask_outcome(&mut self) -> Result<Outcome, SinkError> {
        let found = self.store.ownership().await;
        let found = self.hear(found)?;
        self.judge(&found)
    }

    /// Sends a step once. A lost reply counts as [`Outcome::NotYet`]: `meta` will tell.
    async fn send(&mut self, step: &Step) -> Result<Outcome, SinkError> {
        loop {
            let owner = self.owner.as_ref().ok_or_else(unclaimed)?;
            match self.store.step(owner, step).await {
                Err(Failure::NoReply(_)) => return Ok(Outcome::NotYet),
                Err(failure) => {
                    if let Failure::OutOfMemory(_) = failure {
                        // Waiting for memory must not cost the claim.
                        self.renew().await?;
                    }
                    return Err(self.report(failure));
                }
                answer => match self.hear(answer)? {
                    Reply::Done => return Ok(Outcome::Landed),
                    Reply::Owner(found) => return self.judge(&found),
                    Reply::Crowded { view, range } => self.sweep(step, view, range).await?,
                    reply => return Err(unexpected(&reply)),
                },
            }
        }
    }

    /// Removes what is stale in a range in bounded sub-steps, so that few enough keys are left for
    /// the step itself. They change no position: such a range is being filled, so whatever happens
    /// in between, it will be replaced again.
    async fn sweep(&mut self, step: &Step, view: usize, range: usize) -> Result<(), SinkError> {
        let changes = step.views.iter().nth(view);
        let Some((&target, changes, range)) =
            changes.and_then(|(of, changes)| Some((of, changes, changes.ranges.get(range)?)))
        else {
            return Err(unexpected(&Reply::Crowded { view, range }));
        };
        let given: Vec<&[u8]> = changes.puts.iter().map(|put| put.key.as_bytes()).collect();
        let until = range.until.as_ref().map(Key::as_bytes);
        let mut swept: Option<Vec<u8>> = range.after.as_ref().map(|key| key.as_bytes().to_vec());
        loop {
            let owner = self.owner.as_ref().ok_or_else(unclaimed)?;
            let sweep = Sweep { target, after: swept.as_deref(), until, given: &given };
            let answer = self.store.sweep(owner, &sweep).await;
            match self.hear(answer)? {
                Reply::Swept(last) if last.is_empty() => return Ok(()),
                Reply::Swept(last) => swept = Some(last),
                Reply::Owner(found) => match self.judge(&found)? {
                    // The step itself has landed after all; sending it again will say so.
                    Outcome::Landed => return Ok(()),
                    Outcome::NotYet => {}
                },
                reply => return Err(unexpected(&reply)),
            }
        }
    }

    /// What the server says, or the failure as the pipeline hears of it.
    fn hear<T>(&mut self, answer: Result<T, Failure>) -> Result<T, SinkError> {
        match answer {
            Ok(answer) => {
                self.failures = 0;
                Ok(answer)
            }
            Err(failure) => Err(self.report(failure)),
        }
    }

    /// The failure as the pipeline hears of it, with the time to wait.
    fn report(&mut self, failure: Failure) -> SinkError {
        let is_full = matches!(failure, Failure::OutOfMemory(_));
        let reason = match failure {
            Failure::NoReply(reason) | Failure::NotNow(reason) | Failure::OutOfMemory(reason) => {
                reason
            }
            Failure::NoScript => "redis forgets scripts as soon as they are loaded".to_owned(),
            Failure::Fatal(reason) => return SinkError::Fatal { reason },
        };
        let after = RETRY_MIN.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
        self.failures += 1;
        SinkError::Retry { reason, after, is_full }
    }
}

fn unclaimed() -> SinkError {
    SinkError::Rewound { found: "nothing is claimed".to_owned() }
}

fn check_bounds(step: &Step) -> Result<(), SinkError> {
    let (documents, bytes) = (step.documents(), step.bytes());
    if documents <= STEP_DOCUMENTS_MAX && bytes <= STEP_BYTES_MAX {
        return Ok(());
    }
    let reason = format!(
        "a step of {documents} documents and {bytes} bytes is above the bound of {STEP_DOCUMENTS_MAX} documents or {STEP_BYTES_MAX} bytes"
    );
    Err(SinkError::Fatal { reason })
}

fn unexpected(reply: &Reply) -> SinkError {
    let reason = match reply {
        Reply::WrongType { key, found } => format!(
            "redis key {key} is a {found} of another program; remove it or name the pipeline otherwise"
        ),
        other => format!("redis answers a script with {other:?}"),
    };
    SinkError::Fatal { reason }
}
