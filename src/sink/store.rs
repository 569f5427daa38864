//! What the sink needs of the server: a few operations, each of which takes effect at once and as
//! a whole, or not at all.
//!
//! [`super::Redis`] is the one that documents are kept in. The pipeline's simulation brings one of
//! its own, which tests hold to what Redis does.

use std::time::Duration;

use super::error::Failure;
use super::{Meta, Step, Target};
use crate::sql::plan::Plan;

/// How long a claim lasts beyond its last step or renewal.
pub const LEASE: Duration = Duration::from_secs(3);

/// The server. Leases are set and judged by its clock alone.
///
/// Whatever is refused changes nothing. After [`Failure::NoReply`] nobody knows whether the
/// operation took effect, or still will.
pub trait Store {
    /// From here on views are those of another plan.
    fn replan(&mut self, plan: &Plan);

    /// Whether it keeps what it is given; to be asked before a claim.
    fn check(&mut self) -> impl Future<Output = Result<(), Failure>>;

    /// Claims the pipeline unless another's lease lives: [`Reply::Claimed`] or [`Reply::Held`].
    fn claim(&mut self, claim: &NewClaim<'_>) -> impl Future<Output = Result<Reply, Failure>>;

    /// Lets the lease end so long from now, or gives the pipeline back when that is zero:
    /// [`Reply::Done`], or [`Reply::Owner`] unless the
    /// pipeline is the owner's at its `seq`.
    fn renew(
        &mut self,
        owner: &Owner,
        lease: Duration,
    ) -> impl Future<Output = Result<Reply, Failure>>;

    /// Applies a step, raises `seq` by one and renews the lease: [`Reply::Done`], or
    /// [`Reply::Owner`] unless the pipeline is the owner's at its `seq`, or [`Reply::Crowded`]
    /// when a range has more stale keys than the server removes at once. Where memory is full, only
    /// one that [`Step::only_drops`] takes effect.
    fn step(&mut self, owner: &Owner, step: &Step) -> impl Future<Output = Result<Reply, Failure>>;

    /// Removes what is stale in a part of a range: [`Reply::Swept`], or [`Reply::Owner`] unless
    /// the pipeline is the owner's at its `seq`.
    fn sweep(
        &mut self,
        owner: &Owner,
        sweep: &Sweep<'_>,
    ) -> impl Future<Output = Result<Reply, Failure>>;

    /// Who owns the pipeline, and the last step.
    fn ownership(&mut self) -> impl Future<Output = Result<Ownership, Failure>>;

    /// All of `meta` in one instant.
    fn meta(&mut self) -> impl Future<Output = Result<Meta, Failure>>;
}

/// A process that claims the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct NewClaim<'c> {
    /// What it will be recognised by. The same claim once more changes nothing.
    pub token: &'c str,
    /// Of its former claim, which this one replaces whether its lease lives or not; empty if none.
    pub token_before: &'c str,
    /// The epoch will be above this and the server's own.
    pub epoch_min: u64,
}

/// A claim and the last step made under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Number of the claim.
    pub epoch: u64,
    /// What it is recognised by.
    pub token: String,
    /// Number of the last step.
    pub seq: u64,
}

/// Who owns the pipeline, and its last step; empty fields are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Number of the claim.
    pub epoch: Option<u64>,
    /// What it is recognised by.
    pub token: String,
    /// Number of the last step.
    pub seq: Option<u64>,
}

/// What is stale in a part of a range: the keys above `after` up to and with `until`, `None` being
/// open, that are not among those given.
#[derive(Clone, Debug)]
pub struct Sweep<'s> {
    /// The generation of a view.
    pub target: Target,
    /// Key bytes below the part.
    pub after: Option<&'s [u8]>,
    /// Key bytes at its end.
    pub until: Option<&'s [u8]>,
    /// Key bytes of what stays.
    pub given: &'s [&'s [u8]],
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It took effect.
    Done,
    /// The pipeline is not ours at the expected `seq`; this is what `meta` says.
    Owner(Ownership),
    /// A key is of another type than ours.
    WrongType {
        /// The key.
        key: String,
        /// Its type.
        found: String,
    },
    /// Too many keys in a range for one step: a sweep must come first.
    Crowded {
        /// Place of the generation in the step.
        view: usize,
        /// Place of the range in the generation's.
        range: usize,
    },
    /// A range has been swept up to this key; empty when to its end.
    Swept(Vec<u8>),
    /// The pipeline is ours.
    Claimed {
        /// Number of the claim.
        epoch: u64,
        /// Number of the last step.
        seq: u64,
    },
    /// Another's lease still lasts so many milliseconds.
    Held {
        /// Milliseconds.
        for_ms: u64,
    },
}
