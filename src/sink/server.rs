//! Redis: what the sink asks for, as scripts and commands.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Cmd;

use super::error::Failure;
use super::exchange::Exchange;
use super::scripts::{Script, Scripts};
use super::store::{LEASE, NewClaim, Owner, Ownership, Reply, Store, Sweep};
use super::{Meta, Step, Target};
use crate::dial::Dialer;
use crate::keyspace::meta as field;
use crate::keyspace::{Keyspace, ViewKeys};
use crate::sql::plan::{Plan, View};

/// Most stale keys that a step removes from one range. Ranges with more are swept in sub-steps of
/// so many keys first, so that Redis is never held for long.
const STALE_KEYS_MAX: usize = 8192;

/// The Redis that keeps one pipeline.
#[derive(Debug)]
pub struct Redis {
    exchange: Exchange,
    scripts: Scripts,
    keyspace: Keyspace,
    meta: String,
    scratch: String,
    /// By [`crate::sql::plan::ViewId`].
    views: Vec<StoredView>,
    stale_keys_max: usize,
}

#[derive(Debug)]
struct StoredView {
    name: String,
    indexed: bool,
}

impl StoredView {
    fn all(plan: &Plan) -> Vec<StoredView> {
        let view =
            |view: &View| StoredView { name: view.name.clone(), indexed: !view.indexes.is_empty() };
        plan.views.iter().map(view).collect()
    }
}

impl Redis {
    /// Where a plan's views are kept. Nothing is connected yet.
    pub fn new(dialer: Dialer, keyspace: &Keyspace, plan: &Plan) -> Redis {
        Redis {
            exchange: Exchange::new(dialer),
            scripts: Scripts::new(),
            keyspace: keyspace.clone(),
            meta: keyspace.meta(),
            scratch: keyspace.scratch(),
            views: StoredView::all(plan),
            stale_keys_max: STALE_KEYS_MAX,
        }
    }

    /// The same with another bound of stale keys that a step removes from one range.
    pub fn with_stale_keys_max(self, stale_keys_max: usize) -> Redis {
        Redis { stale_keys_max, ..self }
    }

    fn view(&self, target: Target) -> &StoredView {
        &self.views[usize::from(target.view.0)]
    }

    /// The keys of a generation as scripts take them.
    fn keys(&self, target: Target) -> Vec<String> {
        let StoredView { name, indexed } = self.view(target);
        let ViewKeys { docs, keys, entries, index } = self.keyspace.view(name, target.generation);
        let mut taken = vec![docs, keys];
        if *indexed {
            taken.extend([entries, index]);
        }
        taken
    }

    fn step_call(&self, script: &Script, owner: &Owner, step: &Step) -> Cmd {
        let mut keys = vec![self.meta.clone(), self.keyspace.steps()];
        for &target in step.views.keys() {
            keys.extend(self.keys(target));
        }
        for (view, generation) in &step.dropped {
            let ViewKeys { docs, keys: order, entries, index } =
                self.keyspace.view(view, *generation);
            keys.extend([docs, order, entries, index]);
        }
        let mut call = script.call(&keys);
        call.arg(owner.epoch).arg(&owner.token).arg(owner.seq).arg(owner.seq + 1);
        call.arg(millis(LEASE)).arg(self.stale_keys_max);
        step.push_trace(&mut call);
        step.push_fields(&mut call);
        call.arg(step.views.len());
        for (&target, changes) in &step.views {
            changes.push_to(&mut call, self.view(target).indexed);
        }
        call
    }

    /// Says which key is meant where it is not ours.
    fn of_meta(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Fatal(reason) => Failure::Fatal(format!("redis key {}: {reason}", self.meta)),
            failure => failure,
        }
    }
}

impl Store for Redis {
    fn replan(&mut self, plan: &Plan) {
        self.views = StoredView::all(plan);
    }

    /// Refuses a Redis that would drop documents by itself when memory runs short.
    async fn check(&mut self) -> Result<(), Failure> {
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        let info: String = match self.exchange.query(&ask).await {
            Ok(info) => info,
            // A user who may not ask is not told.
            Err(Failure::Fatal(_)) => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        match policy {
            Some(policy) if policy.starts_with("allkeys-") => Err(Failure::Fatal(format!(
                "redis drops documents when memory runs short: its maxmemory-policy is {policy}; set noeviction"
            ))),
            _ => Ok(()),
        }
    }

    async fn claim(&mut self, claim: &NewClaim<'_>) -> Result<Reply, Failure> {
        let mut call = self.scripts.claim.call(&[self.meta.clone(), self.scratch.clone()]);
        call.arg(claim.token).arg(claim.token_before).arg(claim.epoch_min).arg(millis(LEASE));
        self.exchange.run(&self.scripts.claim, &call).await
    }

    async fn renew(&mut self, owner: &Owner, lease: Duration) -> Result<Reply, Failure> {
        let mut call = self.scripts.renew.call(std::slice::from_ref(&self.meta));
        call.arg(owner.epoch).arg(&owner.token).arg(owner.seq).arg(millis(lease));
        self.exchange.run(&self.scripts.renew, &call).await
    }

    async fn step(&mut self, owner: &Owner, step: &Step) -> Result<Reply, Failure> {
        let Scripts { step: write, drop, .. } = &self.scripts;
        let script = if step.only_drops() { drop } else { write };
        let call = self.step_call(script, owner, step);
        self.exchange.run(script, &call).await
    }

    async fn sweep(&mut self, owner: &Owner, sweep: &Sweep<'_>) -> Result<Reply, Failure> {
        let mut keys = vec![self.meta.clone()];
        keys.extend(self.keys(sweep.target));
        let bound = |mark: u8, key: &[u8]| [&[mark], key].concat();
        let mut call = self.scripts.sweep.call(&keys);
        call.arg(owner.epoch).arg(&owner.token).arg(owner.seq).arg(millis(LEASE));
        call.arg(sweep.after.map_or(b"-".to_vec(), |key| bound(b'(', key)));
        call.arg(sweep.until.map_or(b"+".to_vec(), |key| bound(b'[', key)));
        call.arg(self.stale_keys_max).arg(sweep.given);
        self.exchange.run(&self.scripts.sweep, &call).await
    }

    async fn ownership(&mut self) -> Result<Ownership, Failure> {
        let mut ask = redis::cmd("HMGET");
        ask.arg(&self.meta).arg(&[field::EPOCH, field::TOKEN, field::SEQ]);
        let answer = self.exchange.query(&ask).await;
        let (epoch, token, seq): (_, Option<String>, _) =
            answer.map_err(|failure| self.of_meta(failure))?;
        Ok(Ownership { epoch, token: token.unwrap_or_default(), seq })
    }

    async fn meta(&mut self) -> Result<Meta, Failure> {
        // No MULTI, which Redis refuses when it is out of memory; HGETALL alone is one instant.
        let mut both = redis::pipe();
        both.cmd("TIME").cmd("HGETALL").arg(&self.meta);
        let read = self.exchange.query_all(&both).await;
        let ((seconds, micros), fields): ((u64, u64), BTreeMap<String, String>) =
            read.map_err(|failure| self.of_meta(failure))?;
        let not_ours =
            |e| Failure::Fatal(format!("redis key {} is not of this program: {e}", self.meta));
        Meta::from_fields(fields, seconds * 1000 + micros / 1000).map_err(not_ours)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
