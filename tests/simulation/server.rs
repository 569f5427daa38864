//! The server that processes talk to: what it holds, what readers are let see, and what goes wrong
//! on the way. Sabotage is done here, on behalf of a pipeline that would do it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use viewtide::sink::{
    Failure, LEASE, Meta, NewClaim, Owner, Ownership, Reply, Step, Store, Sweep, Target, ViewStep,
};
use viewtide::sql::plan::Plan;

use super::check::Readers;
use super::schedule::Sabotage;
use super::store::Contents;
use super::world::Clockwork;

/// The server, with those who read from it.
pub(super) struct Server {
    pub(super) contents: Contents,
    pub(super) readers: Readers,
    /// Former contents, to go back to.
    pub(super) snapshots: Vec<Contents>,
    pub(super) trouble: Trouble,
    /// How often it lost something.
    pub(super) losses: u64,
    /// How many claims it granted whose owner was not told: another may end its lease unseen.
    pub(super) untold_claims: u64,
    since: Instant,
    /// Documents of a step that are not written yet.
    held_back: Vec<(Target, ViewStep)>,
}

/// What goes wrong with the next exchanges.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// So many do not arrive.
    pub(super) lost_requests: u32,
    /// So many take effect, but are not replied to.
    pub(super) lost_replies: u32,
    /// So many are refused for now.
    pub(super) refusals: u32,
    /// There is no memory left.
    pub(super) full: bool,
}

/// Milliseconds since 1970 when a simulation begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// Most stale keys that a step removes from one range.
const STALE_KEYS_MAX: usize = 2;

impl Server {
    pub(super) fn new(readers: Readers) -> Server {
        Server {
            contents: Contents::default(),
            readers,
            snapshots: Vec::new(),
            trouble: Trouble::default(),
            losses: 0,
            untold_claims: 0,
            since: Instant::now(),
            held_back: Vec::new(),
        }
    }

    /// Keeps what it holds now.
    pub(super) fn keep_snapshot(&mut self) {
        self.snapshots.push(self.contents.clone());
    }

    /// Goes back to other contents.
    pub(super) fn go_back(&mut self, contents: Contents) {
        self.contents = contents;
        self.losses += 1;
        self.held_back.clear();
        self.readers.look_again(&self.contents);
    }

    fn now_ms(&self) -> u64 {
        BEGINNING_MS + self.since.elapsed().as_millis() as u64
    }
}

/// A process's way to the server.
pub(super) struct Link {
    pub(super) server: Rc<RefCell<Server>>,
    pub(super) clockwork: Rc<Clockwork>,
    pub(super) plan: Arc<Plan>,
}

impl Link {
    /// Sends one request and waits for the reply. In between everything else may happen.
    async fn exchange<T>(
        &self,
        needs_memory: bool,
        work: impl FnOnce(&mut Server) -> T,
    ) -> Result<T, Failure> {
        self.clockwork.pass().await;
        let lost = Failure::NoReply("lost".to_owned());
        let reply = {
            let server = &mut *self.server.borrow_mut();
            let trouble = &mut server.trouble;
            if trouble.lost_requests > 0 {
                trouble.lost_requests -= 1;
                Err(lost)
            } else if trouble.refusals > 0 {
                trouble.refusals -= 1;
                Err(Failure::NotNow("loading".to_owned()))
            } else if trouble.full && needs_memory {
                Err(Failure::OutOfMemory("full".to_owned()))
            } else if trouble.lost_replies > 0 {
                trouble.lost_replies -= 1;
                work(server);
                Err(lost)
            } else {
                Ok(work(server))
            }
        };
        self.clockwork.pass().await;
        reply
    }

    fn apply(&self, server: &mut Server, owner: &Owner, step: &Step) -> Reply {
        let lease_ends = server.now_ms() + LEASE.as_millis() as u64;
        let contents = &mut server.contents;
        let sabotage = self.clockwork.sabotage;
        if sabotage != Some(Sabotage::NoFencing) && !contents.is_owned_by(owner) {
            return Reply::Owner(contents.ownership());
        }
        let mut views: Vec<(Target, ViewStep)> = match sabotage {
            Some(Sabotage::EarlyCommit | Sabotage::TornStep) => {
                step.views().iter().map(|(of, changes)| (*of, changes.clone())).collect()
            }
            _ => {
                let reply = contents.step(owner, step, &self.plan, STALE_KEYS_MAX, lease_ends);
                server.readers.look(&server.contents);
                return reply;
            }
        };
        if sabotage == Some(Sabotage::EarlyCommit) {
            std::mem::swap(&mut views, &mut server.held_back);
        } else {
            for (of, changes) in &mut views {
                let rest = second_half(changes);
                contents.write(self.plan.view(of.view), of.generation, changes);
                *changes = rest;
            }
            server.readers.look(contents);
        }
        for (of, changes) in &views {
            contents.write(self.plan.view(of.view), of.generation, changes);
        }
        contents.write_fields(step, owner.seq + 1, lease_ends);
        server.readers.look(contents);
        Reply::Done
    }
}

impl Store for Link {
    fn replan(&mut self, plan: &Plan) {
        self.plan = Arc::new(plan.clone());
    }

    async fn check(&mut self) -> Result<(), Failure> {
        self.exchange(false, |_| ()).await
    }

    async fn claim(&mut self, claim: &NewClaim<'_>) -> Result<Reply, Failure> {
        let granted = Cell::new(false);
        let claim = |server: &mut Server| {
            let reply = server.contents.claim(claim, server.now_ms());
            granted.set(matches!(reply, Reply::Claimed { .. }));
            reply
        };
        let outcome = self.exchange(false, claim).await;
        if outcome.is_err() && granted.get() {
            self.server.borrow_mut().untold_claims += 1;
        }
        outcome
    }

    async fn renew(&mut self, owner: &Owner, lease: Duration) -> Result<Reply, Failure> {
        let unfenced = self.clockwork.sabotage == Some(Sabotage::NoFencing);
        self.exchange(false, |server| {
            if !unfenced && !server.contents.is_owned_by(owner) {
                return Reply::Owner(server.contents.ownership());
            }
            let ends = server.now_ms() + lease.as_millis() as u64;
            server.contents.set_lease(if lease.is_zero() { 0 } else { ends });
            Reply::Done
        })
        .await
    }

    async fn step(&mut self, owner: &Owner, step: &Step) -> Result<Reply, Failure> {
        self.exchange(!step.only_drops(), |server| self.apply(server, owner, step)).await
    }

    async fn sweep(&mut self, owner: &Owner, sweep: &Sweep<'_>) -> Result<Reply, Failure> {
        let view = &self.plan.view(sweep.target.view).name;
        self.exchange(false, |server| {
            if !server.contents.is_owned_by(owner) {
                return Reply::Owner(server.contents.ownership());
            }
            let swept = server.contents.sweep(view, sweep, STALE_KEYS_MAX);
            let ends = server.now_ms() + LEASE.as_millis() as u64;
            server.contents.set_lease(ends);
            server.readers.look(&server.contents);
            swept
        })
        .await
    }

    async fn ownership(&mut self) -> Result<Ownership, Failure> {
        self.exchange(false, |server| server.contents.ownership()).await
    }

    async fn meta(&mut self) -> Result<Meta, Failure> {
        let read = |server: &mut Server| {
            Meta::from_fields(server.contents.meta.clone(), server.now_ms()).unwrap()
        };
        self.exchange(false, read).await
    }
}

/// Takes the second half of the documents away.
fn second_half(changes: &mut ViewStep) -> ViewStep {
    ViewStep {
        puts: changes.puts.split_off(changes.puts.len() / 2),
        removed: std::mem::take(&mut changes.removed),
        ranges: std::mem::take(&mut changes.ranges),
    }
}
