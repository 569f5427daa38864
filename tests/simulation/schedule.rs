//! What befalls a pipeline in one schedule, from a seed.

use super::disk::Fate;
use super::history::PARTITIONS;
use super::random::Random;

/// Most processes at once.
pub(super) const PROCESSES_MAX: usize = 3;

/// Machines, each with a disk.
pub(super) const MACHINES: usize = 2;

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
    /// The views are defined by other statements, for processes that start from now on.
    Redefine,
    /// A process is told how the views are defined now.
    Reload { process: usize },
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

impl Case {
    /// The schedule of a seed.
    pub(super) fn new(seed: u64, sabotage: Option<Sabotage>) -> Case {
        let random = &mut Random::new(seed);
        let mut events = vec![Event::Start { machine: 0 }];
        if random.percent(50) {
            // What follows befalls a pipeline that has come far, perhaps since the server was saved.
            for saved in [false, random.percent(50)] {
                if saved {
                    events.push(Event::Snapshot);
                }
                for partition in 0..PARTITIONS {
                    events.push(Event::Arrive { partition, count: random.one(&[3, 5, 9, 30]) });
                }
                events.push(Event::Run { process: 0, polls: random.one(&[20, 60]) });
            }
        }
        let count = events.len() + random.between(3, 25);
        // In some schedules much goes wrong, in some nothing.
        let trouble = random.one(&[0, 10, 25, 50]);
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
        let last = match random.below(38) {
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
            32..35 => {
                events.push(Event::Redefine);
                if random.percent(70) {
                    events.push(Event::Crash { process, fate: Fate::Kept });
                }
                Event::Start { machine }
            }
            35..38 => {
                if random.percent(50) {
                    events.push(Event::Redefine);
                }
                events.push(Event::Reload { process });
                Event::Run { process, polls: random.between(1, 30) }
            }
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
        if matches!(last, Event::Crash { .. } | Event::Freeze { .. }) && random.percent(60) {
            // In the midst of work.
            let count = random.one(&[4, 30]);
            let arrive = |partition| Event::Arrive { partition, count };
            events.extend((0..PARTITIONS).map(arrive));
            events.push(Event::Run { process, polls: random.between(1, 20) });
        }
        events.push(last);
    }
}
