//! The simulated server against Redis with the real scripts: the same claims and steps by the
//! real sink, then everything that both hold.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use viewtide::change::{Partition, Position};
use viewtide::dial::Dialer;
use viewtide::engine::Document;
use viewtide::keyspace::{Generation, Generations, Keyspace};
use viewtide::sink::{
    Claim, Failure, LEASE, Meta, NewClaim, Owner, Ownership, Redis, Reply, Sink, SinkError, Step,
    Store, Sweep, Target,
};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::value::Value;

use super::random::Random;
use super::store::{Contents, StoredView};
use crate::support::plan::{INT, TEXT, add_view, int, key};
use crate::support::redis::RedisServer;

/// Most stale keys that a step removes from one range.
const STALE_KEYS_MAX: usize = 3;

/// Runs, each from an empty server, and operations of each.
const RUNS: u64 = 40;
const OPERATIONS: usize = 60;

/// The lease of a claim that shall live until it is ended by hand.
const NEVER_MS: u64 = 1 << 45;

const META: &str = "{viewtide:test}:meta";
const VIEWS: [&str; 2] = ["indexed", "plain"];
const INDEXED: ViewId = ViewId(0);
const PLAIN: ViewId = ViewId(1);
/// Generations of each view.
const GENERATIONS: usize = 3;

/// The simulated server, without trouble.
#[derive(Clone)]
struct Simulated {
    contents: Rc<RefCell<Contents>>,
    plan: Arc<Plan>,
}

impl Simulated {
    /// Does something for the owner, whose lease then ends at this time.
    fn own(&self, owner: &Owner, ends: u64, work: impl FnOnce(&mut Contents) -> Reply) -> Reply {
        let contents = &mut *self.contents.borrow_mut();
        if !contents.is_owned_by(owner) {
            return Reply::Owner(contents.ownership());
        }
        contents.set_lease(ends);
        work(contents)
    }
}

impl Store for Simulated {
    fn replan(&mut self, _: &viewtide::sql::plan::Plan) {
        unreachable!("there is one plan");
    }

    async fn check(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn claim(&mut self, claim: &NewClaim<'_>) -> Result<Reply, Failure> {
        Ok(self.contents.borrow_mut().claim(claim, 1))
    }

    async fn renew(&mut self, owner: &Owner, lease: Duration) -> Result<Reply, Failure> {
        Ok(self.own(owner, lease.as_millis() as u64, |_| Reply::Done))
    }

    async fn step(&mut self, owner: &Owner, step: &Step) -> Result<Reply, Failure> {
        let ends = LEASE.as_millis() as u64;
        let work =
            |contents: &mut Contents| contents.step(owner, step, &self.plan, STALE_KEYS_MAX, ends);
        Ok(self.own(owner, ends, work))
    }

    async fn sweep(&mut self, owner: &Owner, sweep: &Sweep<'_>) -> Result<Reply, Failure> {
        let view = &self.plan.view(sweep.target.view).name;
        let work = |contents: &mut Contents| contents.sweep(view, sweep, STALE_KEYS_MAX);
        Ok(self.own(owner, LEASE.as_millis() as u64, work))
    }

    async fn ownership(&mut self) -> Result<Ownership, Failure> {
        Ok(self.contents.borrow().ownership())
    }

    async fn meta(&mut self) -> Result<Meta, Failure> {
        Ok(Meta::from_fields(self.contents.borrow().meta.clone(), 0).unwrap())
    }
}

#[tokio::test]
async fn the_simulated_server_does_what_the_scripts_do() {
    let redis = RedisServer::start();
    let plan = Arc::new(plan());
    for seed in 0..RUNS {
        redis.run::<()>(&["FLUSHALL"]);
        let contents = Rc::new(RefCell::new(Contents::default()));
        let simulated = Simulated { contents, plan: Arc::clone(&plan) };
        run(&redis, &simulated, &mut Random::new(seed)).await;
    }
}

/// Two processes on both servers, one operation after another.
async fn run(redis: &RedisServer, simulated: &Simulated, random: &mut Random) {
    let plan = &simulated.plan;
    let real = || {
        let dialer = Dialer::new(&redis.url()).unwrap();
        let server = Redis::new(dialer, &Keyspace::new("test"), plan);
        Sink::on(server.with_stale_keys_max(STALE_KEYS_MAX))
    };
    let mut processes = [(); 2].map(|()| (real(), Sink::on(simulated.clone())));
    let mut kept = None;
    for operation in 0..OPERATIONS {
        let (real, simulation) = &mut processes[usize::from(random.percent(25))];
        let (found, wanted) = match random.below(20) {
            0..3 => {
                // Time is not compared: leases end, or do not, by hand.
                let lease = if random.percent(60) { 0 } else { NEVER_MS };
                redis.run::<()>(&["HSET", META, "lease", &lease.to_string()]);
                simulated.contents.borrow_mut().set_lease(lease);
                let epoch_min = random.below(4) as u64;
                (claimed(real.claim(epoch_min).await), claimed(simulation.claim(epoch_min).await))
            }
            3 => (done(real.renew().await), done(simulation.renew().await)),
            4 => (done(real.release().await), done(simulation.release().await)),
            5 if random.percent(30) => {
                redis.run::<()>(&["FLUSHALL"]);
                *simulated.contents.borrow_mut() = Contents::default();
                Default::default()
            }
            5 => {
                kept = Some((dump(redis), simulated.contents.borrow().clone()));
                Default::default()
            }
            6 => {
                if let Some((real, contents)) = &kept {
                    restore(redis, real);
                    simulated.contents.borrow_mut().clone_from(contents);
                }
                Default::default()
            }
            _ => {
                let step = any_step(random, plan);
                (done(real.commit(&step).await), done(simulation.commit(&step).await))
            }
        };
        assert_eq!(found, wanted, "operation {operation} of {random:?}");
        let contents = simulated.contents.borrow();
        assert_eq!(held(redis), comparable(&contents), "operation {operation} of {random:?}");
    }
}

fn plan() -> Plan {
    let mut plan = Plan::default();
    let columns = [("id", INT), ("a", TEXT), ("b", INT)];
    add_view(&mut plan, "indexed", &columns, 1, &[&[1], &[2, 1]], false);
    add_view(&mut plan, "plain", &[("id", INT)], 1, &[], false);
    plan
}

/// A step with something of everything that a step can do.
fn any_step(random: &mut Random, plan: &Plan) -> Step {
    let mut step = Step::new();
    for view in [INDEXED, PLAIN] {
        let name = &plan.view(view).name;
        if random.percent(20) {
            let mut one = |percent| {
                let number = random.between(1, GENERATIONS) as u64;
                random.percent(percent).then(|| Generation::of(plan.view(view), number))
            };
            step.generations(name, &Generations { current: one(70), next: one(30) });
        }
        if random.percent(15) {
            step.drop_generation(name, random.between(1, GENERATIONS) as u64);
        }
        let generation = random.between(1, GENERATIONS) as u64;
        let target = Target { view, generation };
        for number in 0..14 {
            if random.percent(25) {
                step.set(target, int(number), document(random, view));
            }
        }
        for _ in 0..random.below(10).saturating_sub(7) {
            let (after, length) = (random.below(14) as i64, random.between(1, 9) as i64);
            let after = random.percent(70).then_some(after);
            let until = random.percent(70).then(|| int(after.unwrap_or(0) + length));
            step.replace(target, after.map(int), until);
        }
    }
    let partition = Partition { topic: "t".into(), number: random.below(3) as i32 };
    match random.below(6) {
        0 => step.forget_position(&partition),
        1 => step.backlog(random.percent(50).then(|| "work".to_owned())),
        2 => step.behind("plain", random.percent(50).then(String::new)),
        3 => {
            // Of no plan: only what is held of it is known.
            let held = Generation::of(plan.view(PLAIN), 1);
            step.drop_view("plain", &Generations { current: Some(held), next: None });
        }
        _ => {
            let next_offset = random.below(100) as i64;
            step.position(&partition, Position { next_offset, fingerprint: random.next() });
        }
    }
    step
}

fn document(random: &mut Random, view: ViewId) -> Document {
    if random.percent(30) {
        return Document::Absent;
    }
    if random.percent(10) {
        return Document::Error { code: 1690, column: None, message: "out of range".into() };
    }
    let (a, b) = (random.below(3), random.below(2) as i64);
    let a = || Value::Text("a".repeat(a).into());
    let index_values = match view {
        INDEXED => vec![key(&[a()]), key(&[Value::Int(b), a()])],
        _ => Vec::new(),
    };
    Document::Present { body: format!("{{\"n\":{}}}", random.below(5)).into(), index_values }
}

/// What came of a claim, but for what depends on the time.
fn claimed(outcome: Result<Claim, SinkError>) -> String {
    match outcome {
        Ok(Claim::Owned(meta)) => {
            let (token, lease_left, is_given_back) = Default::default();
            format!("{:?}", Meta { token, lease_left, is_given_back, ..*meta })
        }
        Ok(Claim::Held { .. }) => "held".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn done(outcome: Result<(), SinkError>) -> String {
    format!("{outcome:?}")
}

/// Everything that Redis holds, but for what depends on the time and the claims' own tokens.
fn held(redis: &RedisServer) -> Contents {
    let meta: BTreeMap<String, String> = redis.run(&["HGETALL", META]);
    let mut contents = Contents { meta, views: BTreeMap::new() };
    for (view, generation) in
        VIEWS.iter().flat_map(|view| (1..=GENERATIONS as u64).map(move |n| (view, n)))
    {
        let name = |kind: &str| format!("{{viewtide:test}}:{view}:{generation}:{kind}");
        let documents: BTreeMap<Vec<u8>, Vec<u8>> = redis.run(&["HGETALL", &name("docs")]);
        let keys: Vec<Vec<u8>> = redis.run(&["ZRANGE", &name("keys"), "0", "-1"]);
        assert!(keys.iter().eq(documents.keys()), "documents and their keys go together");
        let entries = redis.run(&["HGETALL", &name("entries")]);
        let index: Vec<Vec<u8>> = redis.run(&["ZRANGE", &name("index"), "0", "-1"]);
        let index = BTreeSet::from_iter(index);
        let stored = StoredView { documents, entries, index };
        contents.views.insert(((*view).to_owned(), generation), stored);
    }
    comparable(&contents)
}

fn comparable(contents: &Contents) -> Contents {
    let mut contents = contents.clone();
    contents.meta.remove("token");
    contents.meta.remove("lease");
    contents.views.retain(|_, view| *view != StoredView::default());
    contents
}

fn dump(redis: &RedisServer) -> Vec<(String, Vec<u8>)> {
    let keys: Vec<String> = redis.run(&["KEYS", "*"]);
    let value = |key: String| (key.clone(), redis.run(&["DUMP", &key]));
    keys.into_iter().map(value).collect()
}

fn restore(redis: &RedisServer, dumped: &[(String, Vec<u8>)]) {
    redis.run::<()>(&["FLUSHALL"]);
    for (key, value) in dumped {
        redis.query::<()>(redis::cmd("RESTORE").arg(key).arg(0).arg(value.as_slice()));
    }
}
