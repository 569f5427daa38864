//! One schedule: processes of the real pipeline between a simulated log, server and disks, and
//! what befalls them, one event after another.
//!
//! Everything happens in one thread. A process is a future that is polled when the schedule says
//! so, and not at all while it is frozen; every request, reply and piece of work at the disk is a
//! point at which it may be left. Time is the runtime's paused clock, which moves only when the
//! schedule, or at the end idleness, moves it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::advance;
use viewtide::config::{Config, Limits};
use viewtide::pipeline::{Ends, PipelineError, run_between};
use viewtide::sql::plan::Plan;
use viewtide::telemetry::{Metrics, Readiness};

use super::bank::{Definition, Schema};
use super::check::Readers;
use super::disk::{Disk, Drive, Fate};
use super::history::{History, Said};
use super::log::{SimulatedLog, Topics};
use super::random::Random;
use super::schedule::{Case, Event, MACHINES, PROCESSES_MAX, Sabotage};
use super::server::{Link, Server};

/// How often everything may be idle before what is left to do counts as stuck; half a second each.
const IDLE_MAX: usize = 120;

/// Rounds of polls after which processes that never rest count as stuck.
const ROUNDS_MAX: usize = 3_000;

/// What all parts of a simulation share: whether anything happens, and what is done wrong.
#[derive(Debug)]
pub(super) struct Clockwork {
    happened: Cell<u64>,
    pub(super) sabotage: Option<Sabotage>,
}

impl Clockwork {
    /// Something happened.
    pub(super) fn go_on(&self) {
        self.happened.set(self.happened.get() + 1);
    }

    /// A point at which a process may be left.
    pub(super) async fn pass(&self) {
        let mut left = false;
        poll_fn(|_| {
            self.go_on();
            if std::mem::replace(&mut left, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), PipelineError>>>>;

struct Process {
    number: usize,
    machine: usize,
    future: Running,
    definition: Definition,
    plans: watch::Sender<Arc<Plan>>,
    stop: Arc<AtomicBool>,
    frozen: bool,
}

struct World {
    clockwork: Rc<Clockwork>,
    random: Random,
    config: Rc<Config>,
    topics: Rc<RefCell<Topics>>,
    server: Rc<RefCell<Server>>,
    disks: [Rc<RefCell<Disk>>; MACHINES],
    processes: Vec<Process>,
    started: usize,
    reloaded: usize,
    /// Of the views, for processes that start.
    definition: Definition,
}

/// Runs a schedule, lets everything settle, and says what was wrong. The runtime's clock is paused.
pub(super) async fn run(case: &Case) -> Result<(), String> {
    // What follows from the seed here does not change when events are left out.
    let mut random = Random::new(case.seed ^ 0x5EED);
    let history = History::new(&mut random, case.statements);
    let mut world = World::new(random, history.topics, case.sabotage);
    for event in &case.events {
        world.take(event).await?;
    }
    world.settle().await?;
    let server = world.server.borrow();
    let epoch = server.contents.ownership().epoch.unwrap_or(0);
    let reasons = world.started + world.reloaded;
    if epoch > reasons as u64 + server.losses + server.untold_claims {
        return Err(format!("claimed {epoch} times, though nothing was lost"));
    }
    let found = server.readers.bank();
    if *found == history.truth {
        Ok(())
    } else {
        Err(format!("the log does not lead to what the database holds: {found:#?}"))
    }
}

impl World {
    fn new(mut random: Random, topics: Vec<Vec<Said>>, sabotage: Option<Sabotage>) -> World {
        let topics = Rc::new(RefCell::new(Topics::new(topics)));
        let readers = Readers::new(Rc::clone(&topics));
        World {
            clockwork: Rc::new(Clockwork { happened: Cell::new(0), sabotage }),
            config: Rc::new(config(&mut random)),
            server: Rc::new(RefCell::new(Server::new(readers))),
            disks: Default::default(),
            processes: Vec::new(),
            started: 0,
            reloaded: 0,
            definition: Definition::default(),
            topics,
            random,
        }
    }

    async fn take(&mut self, event: &Event) -> Result<(), String> {
        let count = self.processes.len().max(1);
        match *event {
            Event::Arrive { partition, count } => {
                self.topics.borrow_mut().produce(partition, count);
            }
            Event::Run { process, polls } => {
                for _ in 0..polls {
                    self.poll(process % count)?;
                }
            }
            Event::Wait { ms } => advance(Duration::from_millis(ms)).await,
            Event::Start { machine } => self.start(machine),
            Event::Crash { process, fate } => self.end(process % count, fate),
            Event::Stop { process } => {
                if let Some(process) = self.processes.get(process % count) {
                    process.stop.store(true, Ordering::Relaxed);
                }
            }
            Event::Freeze { process } => self.freeze(process % count, true),
            Event::Wake { process } => self.freeze(process % count, false),
            Event::Lose { requests, replies } => {
                let trouble = &mut self.server.borrow_mut().trouble;
                (trouble.lost_requests, trouble.lost_replies) = (requests, replies);
            }
            Event::Refuse { count } => self.server.borrow_mut().trouble.refusals = count,
            Event::Memory { full } => self.server.borrow_mut().trouble.full = full,
            Event::Snapshot => self.server.borrow_mut().keep_snapshot(),
            Event::Rewind { snapshot } => {
                let server = &mut *self.server.borrow_mut();
                if let Some(at) = snapshot.checked_rem(server.snapshots.len()) {
                    let contents = server.snapshots[at].clone();
                    // What came behind it never was.
                    server.snapshots.truncate(at + 1);
                    server.go_back(contents);
                }
            }
            Event::Flush => {
                let server = &mut *self.server.borrow_mut();
                server.snapshots.clear();
                server.go_back(Default::default());
            }
            Event::Redefine => {
                self.definition = match self.definition {
                    Definition::One => Definition::Other,
                    Definition::Other => Definition::One,
                };
            }
            Event::Reload { process } => self.reload(process % count),
            Event::Disk { machine, full } => self.disks[machine].borrow_mut().is_full = full,
            Event::BackUp { machine } => self.disks[machine].borrow_mut().back_up(),
        }
        self.verdict()
    }

    /// Without further trouble everything comes to its end.
    async fn settle(&mut self) -> Result<(), String> {
        self.topics.borrow_mut().produce_all();
        self.server.borrow_mut().trouble = Default::default();
        self.processes.iter_mut().for_each(|process| process.frozen = false);
        let (mut idle, mut rounds) = (0, 0);
        loop {
            if self.processes.is_empty() {
                self.start(0);
            }
            let before = self.clockwork.happened.get();
            for at in (0..self.processes.len()).rev() {
                self.poll(at)?;
            }
            self.verdict()?;
            rounds += 1;
            if self.clockwork.happened.get() == before {
                if self.is_settled() {
                    return Ok(());
                }
                idle += 1;
                advance(Duration::from_millis(500)).await;
            }
            if idle > IDLE_MAX || rounds > ROUNDS_MAX {
                return Err(self.stuck());
            }
        }
    }

    fn is_settled(&self) -> bool {
        let server = self.server.borrow();
        server.readers.is_settled(&server.contents)
    }

    fn verdict(&self) -> Result<(), String> {
        self.server.borrow().readers.wrong.clone().map_or(Ok(()), Err)
    }

    fn stuck(&self) -> String {
        let mut text = "stuck".to_owned();
        for (field, value) in &self.server.borrow().contents.meta {
            let _ = write!(text, "\n  {field} {value}");
        }
        let topics = self.topics.borrow();
        for partition in 0..super::history::PARTITIONS {
            let _ = write!(text, "\n  {partition}: {:?}", topics.said(partition));
        }
        text
    }

    fn start(&mut self, machine: usize) {
        if self.processes.len() == PROCESSES_MAX {
            return;
        }
        static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
        let metrics = Arc::clone(METRICS.get_or_init(|| Arc::new(Metrics::new())));
        self.started += 1;
        let number = self.started;
        let schema = Schema::get(self.definition);
        let plan = Arc::clone(&schema.plan);
        let ends = Ends {
            log: SimulatedLog {
                schema,
                topics: Rc::clone(&self.topics),
                clockwork: Rc::clone(&self.clockwork),
                random: RefCell::new(Random::new(self.random.next())),
                batch_records_max: self.config.limits.batch_records_max as usize,
            },
            store: Link {
                server: Rc::clone(&self.server),
                clockwork: Rc::clone(&self.clockwork),
                plan: Arc::clone(&plan),
            },
            storage: Drive {
                disk: Rc::clone(&self.disks[machine]),
                clockwork: Rc::clone(&self.clockwork),
                process: number,
                good: None,
                seen: 0,
            },
        };
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let shutdown = Box::pin(poll_fn(move |_| match told.load(Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }));
        let config = Rc::clone(&self.config);
        let (plans, planned) = watch::channel(Arc::clone(&plan));
        let future = Box::pin(async move {
            let wanted = watch::channel(BTreeMap::new()).0;
            run_between(ends, &config, planned, metrics, Readiness::new(), wanted, shutdown).await
        });
        let (definition, frozen) = (self.definition, false);
        let process = Process { number, machine, future, definition, plans, stop, frozen };
        self.processes.push(process);
    }

    /// A process follows the views as they are defined now, or its own once more: nobody reads anew
    /// what the first statements need besides.
    fn reload(&mut self, at: usize) {
        let Some(process) = self.processes.get_mut(at) else { return };
        if process.definition == Definition::One {
            process.definition = self.definition;
        }
        self.reloaded += 1;
        let plan = Plan::clone(&Schema::get(process.definition).plan);
        process.plans.send_replace(Arc::new(plan));
    }

    /// Lets a process get on a bit; takes it away when it has ended.
    fn poll(&mut self, at: usize) -> Result<(), String> {
        let Some(process) = self.processes.get_mut(at) else { return Ok(()) };
        if process.frozen {
            return Ok(());
        }
        self.disks[process.machine].borrow_mut().go_on(&self.clockwork);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(outcome) = process.future.as_mut().poll(&mut context) else {
            return Ok(());
        };
        self.clockwork.go_on();
        let told = process.stop.load(Ordering::Relaxed);
        self.end(at, Fate::Kept);
        match outcome {
            Ok(()) if told => Ok(()),
            Err(PipelineError::Fenced { .. }) => Ok(()),
            other => Err(format!("a process ends with {other:?}")),
        }
    }

    fn freeze(&mut self, at: usize, frozen: bool) {
        if let Some(process) = self.processes.get_mut(at) {
            process.frozen = frozen;
        }
    }

    fn end(&mut self, at: usize, fate: Fate) {
        if at < self.processes.len() {
            let process = self.processes.remove(at);
            drop(process.future);
            self.disks[process.machine].borrow_mut().survive(process.number, fate);
        }
    }
}

/// Bounds so small that everything comes up against them, or ample ones.
fn config(random: &mut Random) -> Config {
    static AMPLE: OnceLock<Config> = OnceLock::new();
    let ample = AMPLE.get_or_init(|| {
        let text = r#"{"pipeline": {"name": "simulated"}, "kafka": {"brokers": "b:1", "topic_prefix": "p"},
            "registry": {"url": "http://r"}, "redis": {"url": "redis://s"},
            "mysql": {"user": "u", "database": "d"}}"#;
        serde_json::from_str(text).unwrap()
    });
    let mut config = ample.clone();
    let limits = &mut config.limits;
    limits.batch_records_max = random.between(1, 12) as u64;
    limits.chunk_documents_max = random.between(1, 2) as u64;
    if random.percent(50) {
        limits.chunk_rows_max = random.between(1, 4) as u64;
        limits.atomic_rows_max = random.between(1, 12) as u64;
    }
    if random.percent(70) {
        *limits = Limits {
            atomic_documents_max: random.between(1, 3) as u64,
            fan_out_max: random.between(1, 3) as u64,
            ..limits.clone()
        };
    }
    if random.percent(50) {
        limits.queue_bytes_max = random.between(3, 12) as u64 * 100;
        limits.transaction_bytes_max = 6000;
    }
    config.state.checkpoint_records = random.between(2, 20) as u64;
    config.state.checkpoint_interval_seconds = random.between(1, 5) as u64;
    config
}
