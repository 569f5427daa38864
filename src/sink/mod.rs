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
mod step;

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Cmd;

pub use error::SinkError;
pub use meta::{Meta, MetaError};
pub use step::{STEP_BYTES_MAX, STEP_DOCUMENTS_MAX, Step};

use crate::dial::Dialer;
use crate::keyspace::meta as field;
use crate::keyspace::{Keyspace, ViewKeys};
use crate::sql::plan::{Plan, View, ViewId};
use error::Failure;
use exchange::Exchange;
use scripts::{Ownership, Reply, Scripts};

/// How long a claim lasts beyond its last step or renewal.
pub const LEASE: Duration = Duration::from_secs(3);

/// Most stale keys that a step removes from one range. Ranges with more are swept in sub-steps of
/// so many keys first, so that Redis is never held for long.
const STALE_KEYS_MAX: usize = 8192;

/// How often one call sends a step whose reply it lost, before it leaves the wait to its caller.
const SENDS_MAX: usize = 2;

/// The writing end of one pipeline.
#[derive(Debug)]
pub struct Sink {
    exchange: Exchange,
    scripts: Scripts,
    keyspace: Keyspace,
    meta: String,
    scratch: String,
    /// By [`ViewId`].
    views: Vec<SinkView>,
    owner: Option<Owner>,
    /// Token of a claim whose outcome is unknown.
    claiming: Option<String>,
    /// The step that was sent and whose outcome is unknown.
    unsettled: Option<u64>,
}

#[derive(Debug)]
struct SinkView {
    keys: ViewKeys,
    indexed: bool,
}

/// Our own claim.
#[derive(Clone, Debug)]
struct Owner {
    epoch: u64,
    token: String,
    seq: u64,
}

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The pipeline is ours from this state on.
    Owned(Meta),
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
    /// The writing end for a plan's views. Nothing is connected yet.
    pub fn new(dialer: Dialer, keyspace: &Keyspace, plan: &Plan) -> Sink {
        let view = |view: &View| SinkView {
            keys: keyspace.view(&view.name),
            indexed: !view.indexes.is_empty(),
        };
        Sink {
            exchange: Exchange::new(dialer),
            scripts: Scripts::new(),
            keyspace: keyspace.clone(),
            meta: keyspace.meta(),
            scratch: keyspace.scratch(),
            views: plan.views.iter().map(view).collect(),
            owner: None,
            claiming: None,
            unsettled: None,
        }
    }

    /// Claims the pipeline with an epoch above Redis' own and `epoch_min` (the highest that this
    /// process knows of), unless another's lease lives. Ours, if we had one, is replaced: whatever
    /// we sent under it takes no more effect.
    ///
    /// # Errors
    /// [`SinkError::Retry`] and [`SinkError::Fatal`].
    pub async fn claim(&mut self, epoch_min: u64) -> Result<Claim, SinkError> {
        self.check_eviction().await?;
        let new_token = || format!("{:032x}", rand::random::<u128>());
        let token = self.claiming.get_or_insert_with(new_token).clone();
        let (token_before, epoch_before) =
            self.owner.as_ref().map_or(("", 0), |owner| (owner.token.as_str(), owner.epoch));
        let mut call = self.scripts.claim.call(&[&self.meta, &self.scratch]);
        call.arg(&token).arg(token_before).arg(epoch_before.max(epoch_min)).arg(millis(LEASE));
        let (epoch, seq) = match self.exchange.run(&self.scripts.claim, &call).await {
            Ok(Reply::Claimed { epoch, seq }) => (epoch, seq),
            Ok(Reply::Held { for_ms }) => {
                self.claiming = None;
                return Ok(Claim::Held { lease_left: Duration::from_millis(for_ms) });
            }
            Ok(reply) => return Err(unexpected(&reply)),
            Err(failure) => return Err(self.exchange.report(failure)),
        };
        let meta = self.read_meta().await?;
        self.owner = Some(Owner { epoch, token, seq });
        self.claiming = None;
        self.unsettled = None;
        Ok(Claim::Owned(meta))
    }

    /// Reads all of `meta` in one instant, with or without a claim.
    ///
    /// # Errors
    /// [`SinkError::Retry`], and [`SinkError::Fatal`] when what is there is not ours.
    pub async fn read_meta(&mut self) -> Result<Meta, SinkError> {
        // No MULTI, which Redis refuses when it is out of memory; HGETALL alone is one instant.
        let mut both = redis::pipe();
        both.cmd("TIME").cmd("HGETALL").arg(&self.meta);
        let read = self.exchange.query_all(&both).await;
        let ((seconds, micros), fields): ((u64, u64), BTreeMap<String, String>) =
            read.map_err(|failure| self.meta_failed(failure))?;
        let not_ours = |e: MetaError| SinkError::Fatal {
            reason: format!("redis key {} is not of this program: {e}", self.meta),
        };
        Meta::from_fields(fields, seconds * 1000 + micros / 1000).map_err(not_ours)
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
                    return Err(self.exchange.report(lost));
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
        let owner = self.owner()?;
        let mut call = self.scripts.renew.call(&[&self.meta]);
        call.arg(owner.epoch).arg(&owner.token).arg(owner.seq).arg(millis(lease));
        match self.exchange.run(&self.scripts.renew, &call).await {
            Ok(Reply::Done) => Ok(()),
            Ok(Reply::Owner(found)) => self.judge(&found).map(|_| ()),
            Ok(reply) => Err(unexpected(&reply)),
            Err(failure) => Err(self.exchange.report(failure)),
        }
    }

    fn owner(&self) -> Result<&Owner, SinkError> {
        let unclaimed = || SinkError::Rewound { found: "nothing is claimed".to_owned() };
        self.owner.as_ref().ok_or_else(unclaimed)
    }

    /// What `meta` says of our claim, and of the step that we sent.
    fn judge(&self, found: &Ownership) -> Result<Outcome, SinkError> {
        let owner = self.owner()?;
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
        let mut ask = redis::cmd("HMGET");
        ask.arg(&self.meta).arg(&[field::EPOCH, field::TOKEN, field::SEQ]);
        let answer = self.exchange.query(&ask).await;
        let (epoch, token, seq): (_, Option<String>, _) =
            answer.map_err(|failure| self.meta_failed(failure))?;
        self.judge(&Ownership { epoch, token: token.unwrap_or_default(), seq })
    }

    /// Sends a step once. A lost reply counts as [`Outcome::NotYet`]: `meta` will tell.
    async fn send(&mut self, step: &Step) -> Result<Outcome, SinkError> {
        loop {
            let call = self.step_call(step)?;
            match self.exchange.run(&self.scripts.step, &call).await {
                Ok(Reply::Done) => return Ok(Outcome::Landed),
                Ok(Reply::Owner(found)) => return self.judge(&found),
                Ok(Reply::Crowded { view, range }) => self.sweep(step, view, range).await?,
                Ok(reply) => return Err(unexpected(&reply)),
                Err(Failure::NoReply(_)) => return Ok(Outcome::NotYet),
                Err(failure) => {
                    if let Failure::OutOfMemory(_) = failure {
                        // Waiting for memory must not cost the claim.
                        self.renew().await?;
                    }
                    return Err(self.exchange.report(failure));
                }
            }
        }
    }

    fn step_call(&self, step: &Step) -> Result<Cmd, SinkError> {
        let owner = self.owner()?;
        let mut keys = vec![self.meta.as_str()];
        for &id in step.views.keys() {
            keys.extend(self.view(id).keys());
        }
        let dropped: Vec<ViewKeys> = step.dropped.iter().map(|v| self.keyspace.view(v)).collect();
        for view in &dropped {
            keys.extend([&view.docs, &view.keys, &view.entries, &view.index].map(String::as_str));
        }
        let mut call = self.scripts.step.call(&keys);
        call.arg(owner.epoch).arg(&owner.token).arg(owner.seq).arg(owner.seq + 1);
        call.arg(millis(LEASE)).arg(STALE_KEYS_MAX);
        step.push_fields(&mut call);
        call.arg(step.views.len());
        for (&id, changes) in &step.views {
            changes.push_to(&mut call, self.view(id).indexed);
        }
        Ok(call)
    }

    /// Removes what is stale in a range in bounded sub-steps, so that few enough keys are left for
    /// the step itself. They change no position: such a range is being filled, so whatever happens
    /// in between, it will be replaced again.
    async fn sweep(&mut self, step: &Step, view: usize, range: usize) -> Result<(), SinkError> {
        let changes = step.views.iter().nth(view);
        let Some((&id, changes, range)) =
            changes.and_then(|(id, changes)| Some((id, changes, changes.ranges.get(range)?)))
        else {
            return Err(unexpected(&Reply::Crowded { view, range }));
        };
        let given: Vec<&[u8]> = changes.puts.iter().map(|put| put.key.as_bytes()).collect();
        let (mut lower, upper) = range.bounds();
        loop {
            let owner = self.owner()?;
            let mut keys = vec![self.meta.as_str()];
            keys.extend(self.view(id).keys());
            let mut call = self.scripts.sweep.call(&keys);
            call.arg(owner.epoch).arg(&owner.token).arg(owner.seq).arg(millis(LEASE));
            call.arg(&lower).arg(&upper).arg(STALE_KEYS_MAX).arg(&given);
            match self.exchange.run(&self.scripts.sweep, &call).await {
                Ok(Reply::Swept(last)) if last.is_empty() => return Ok(()),
                Ok(Reply::Swept(last)) => lower = [b"(", last.as_slice()].concat(),
                Ok(Reply::Owner(found)) => match self.judge(&found)? {
                    // The step itself has landed after all; sending it again will say so.
                    Outcome::Landed => return Ok(()),
                    Outcome::NotYet => {}
                },
                Ok(reply) => return Err(unexpected(&reply)),
                Err(failure) => return Err(self.exchange.report(failure)),
            }
        }
    }

    fn view(&self, id: ViewId) -> &SinkView {
        &self.views[usize::from(id.0)]
    }

    /// Refuses a Redis that would drop documents by itself when memory runs short.
    async fn check_eviction(&mut self) -> Result<(), SinkError> {
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        let info: String = match self.exchange.query(&ask).await {
            Ok(info) => info,
            // A user who may not ask is not told.
            Err(Failure::Fatal(_)) => return Ok(()),
            Err(failure) => return Err(self.exchange.report(failure)),
        };
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        match policy {
            Some(policy) if policy.starts_with("allkeys-") => Err(SinkError::Fatal {
                reason: format!(
                    "redis drops documents when memory runs short: its maxmemory-policy is {policy}; set noeviction"
                ),
            }),
            _ => Ok(()),
        }
    }

    fn meta_failed(&mut self, failure: Failure) -> SinkError {
        match failure {
            Failure::Fatal(reason) => {
                SinkError::Fatal { reason: format!("redis key {}: {reason}", self.meta) }
            }
            failure => self.exchange.report(failure),
        }
    }
}

impl SinkView {
    /// The view's keys as scripts take them.
    fn keys(&self) -> impl Iterator<Item = &str> {
        let (keys, indexed) = (&self.keys, self.indexed);
        let always = [keys.docs.as_str(), &keys.keys];
        always
            .into_iter()
            .chain(indexed.then_some([keys.entries.as_str(), &keys.index]).into_iter().flatten())
    }
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
