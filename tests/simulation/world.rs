//! One schedule: processes of the real pipeline between a simulated log, server and disks, and
//! what befalls them, one event after another.
//!
//! Everything happens in one thread. A process is a future that is polled when the schedule says
//! so, and not at all while it is frozen; every request, reply and piece of work at the disk is a
//! point at which it may be left. Time is the runtime's paused clock, which moves only when the
//! schedule, or at the end idleness, moves it.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::advance;
use viewtide::config::{Config, Limits};
use viewtide::pipeline::{Ends, PipelineError, run_between};
use viewtide::telemetry::{Metrics, Readiness};

use super::bank::Schema;
use super::check::Readers;
use super::disk::{Disk, Drive, Fate};
use super::history::{History, PARTITIONS};
use super::log::{SimulatedLog, Topics};
use super::random::Random;
use super::server::{Link, Server};

/// Most processes at once.
const PROCESSES_MAX: usize = 3;

/// Machines, each with a disk.
const MACHINES: usize = 2;

/// How often everything may be idle before what is left to do counts as stuck; half a second each.
const IDLE_MAX: usize = 120;

/// Polls after which a process that never rests counts as stuck.
const POLLS_MAX: usize = 20_000;

/// What a pipeline does wrong in a schedule that must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// Positions are written ahead of the documents.
    EarlyCommit,
    /// Whoever writes is not asked whether it still may.
    NoFencing,
    /// Deletes are passed over.
    DeletesIgnored,
    /// What belongs together is written in two steps.
    TornStep,
}

/// What befalls the processes and what is around them. Numbers that are too large wrap around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Records of a partition arrive.
    Arrive { partition: usize, count: usize },
    /// A process gets on.
    Run { process: usize, polls: usize },
    /// Time passes.
    Wait { ms: u64 },
    /// A process starts on a machine.
    Start { machine: usize },
    /// A process is gone.
    Crash { process: usize, fate: Fate },
    /// A process is told to end.
    Stop { process: usize },
    /// A process stands still.
    Freeze { process: usize },
    /// One that stood still wakes up.
    Wake { process: usize },
    /// Requests to the server are lost, or their replies.
    Lose { requests: u32, replies: u32 },
    /// The server refuses for a while.
    Refuse { count: u32 },
    /// The server has no memory left, or has some again.
    Memory { full: bool },
    /// The server keeps what it holds now.
    Snapshot,
    /// The server goes back to what it kept.
    Rewind { snapshot: usize },
    /// The server loses everything.
    Flush,
    /// A disk is full, or has room again.
    Disk { machine: usize, full: bool },
    /// A disk's files go to its backup.
    BackUp { machine: usize },
}

/// One schedule.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) seed: u64,
    /// Statements of its history, at most.
    pub(super) statements: usize,
    pub(super) events: Vec<Event>,
    pub(super) sabotage: Option<Sabotage>,
}

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

impl Case {
    /// The schedule of a seed.
    pub(super) fn new(seed: u64, sabotage: Option<Sabotage>) -> Case {
        let random = &mut Random::new(seed);
        let mut events = vec![Event::Start { machine: 0 }];
        if random.percent(50) {
            // What follows befalls a pipeline that has come far.
            for partition in 0..PARTITIONS {
                events.push(Event::Arrive { partition, count: random.one(&[3, 9, 30, 30]) });
            }
            events.push(Event::Run { process: 0, polls: random.one(&[20, 60]) });
        }
        let count = random.between(4, 30);
        // In some schedules much goes wrong, in some nothing.
        let trouble = random.one(&[0, 5, 15, 30]);
        while events.len() < count {
            if random.percent(trouble) {
                Event::trouble(random, &mut events);
            } else {
                events.push(Event::progress(random));
            }
        }
        Case { seed, statements: usize::MAX, events, sabotage }
    }
}

impl Event {
    /// Something gets on.
    fn progress(random: &mut Random) -> Event {
        match random.below(20) {
            0..9 => {
                let process = random.below(PROCESSES_MAX);
                Event::Run { process, polls: random.one(&[1, 2, 3, 5, 8, 30]) }
            }
            9..18 => {
                let partition = random.below(PARTITIONS);
                Event::Arrive { partition, count: random.one(&[1, 2, 4, 9, 30]) }
            }
            _ => Event::Wait { ms: random.one(&[30, 300, 1100, 3100]) },
        }
    }

    /// Something goes wrong, or two things that belong together.
    fn trouble(random: &mut Random, events: &mut Vec<Event>) {
        let process = random.below(PROCESSES_MAX);
        let machine = random.below(MACHINES);
        let last = match random.below(32) {
            0..3 => Event::Start { machine },
            3..6 => Event::Crash { process, fate: Fate::Kept },
            6 => Event::Crash { process, fate: Fate::Lost },
            7 => Event::Crash { process, fate: Fate::Old },
            8 => Event::Crash { process, fate: Fate::Damaged },
            9 => Event::Stop { process },
            10 => Event::Freeze { process },
            11..13 => Event::Wake { process },
            13..15 => {
                // Another takes over from one that stands still.
                events.push(Event::Freeze { process });
                events.push(Event::Wait { ms: 3100 });
                Event::Start { machine }
            }
            15..17 => Event::Lose { requests: random.one(&[1, 1, 2, 4]), replies: 0 },
            17..19 => Event::Lose { requests: 0, replies: random.one(&[1, 1, 2, 4]) },
            19 => Event::Refuse { count: random.between(1, 4) as u32 },
            20..22 => Event::Memory { full: random.percent(50) },
            22..25 => Event::Snapshot,
            25..27 => {
                let machine = random.below(MACHINES);
                Event::Disk { machine, full: random.percent(50) }
            }
            27 => Event::BackUp { machine },
            loss => {
                if random.percent(50) {
                    // While nobody is there to notice.
                    let gone = Event::Crash { process: 0, fate: Fate::Kept };
                    events.extend(vec![gone; PROCESSES_MAX]);
                }
                match loss {
                    28..31 => Event::Rewind { snapshot: random.below(4) },
                    _ => Event::Flush,
                }
            }
        };
        events.push(last);
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), PipelineError>>>>;

struct Process {
    number: usize,
    machine: usize,
    future: Running,
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
    let found = server.readers.bank();
    if *found == history.truth {
        Ok(())
    } else {
        Err(format!("the log does not lead to what the database holds: {found:#?}"))
    }
}

impl World {
    fn new(
        mut random: Random,
        topics: Vec<Vec<super::history::Said>>,
        sabotage: Option<Sabotage>,
    ) -> World {
        let topics = Rc::new(RefCell::new(Topics::new(topics)));
        let readers = Readers::new(Rc::clone(&topics));
        World {
            clockwork: Rc::new(Clockwork { happened: Cell::new(0), sabotage }),
            config: Rc::new(config(&mut random)),
            server: Rc::new(RefCell::new(Server::new(readers))),
            disks: Default::default(),
            processes: Vec::new(),
            started: 0,
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
        let (mut idle, mut polls) = (0, 0);
        loop {
            if self.processes.is_empty() {
                self.start(0);
            }
            let before = self.clockwork.happened.get();
            for at in (0..self.processes.len()).rev() {
                self.poll(at)?;
            }
            self.verdict()?;
            polls += 1;
            if self.clockwork.happened.get() == before {
                if self.is_settled() {
                    return Ok(());
                }
                idle += 1;
                advance(Duration::from_millis(500)).await;
            }
            if idle > IDLE_MAX || polls > POLLS_MAX {
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
        let plan = Arc::clone(&Schema::get().plan);
        let ends = Ends {
            log: SimulatedLog {
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
            },
        };
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let shutdown = Box::pin(poll_fn(move |_| match told.load(Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }));
        let config = Rc::clone(&self.config);
        let future = Box::pin(async move {
            run_between(ends, &config, plan, metrics, Readiness::new(), shutdown).await
        });
        self.processes.push(Process { number, machine, future, stop, frozen: false });
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
    limits.chunk_documents_max = random.between(1, 4) as u64;
    if random.percent(70) {
        *limits = Limits {
            atomic_documents_max: random.between(1, 6) as u64,
            fan_out_max: random.between(1, 4) as u64,
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
