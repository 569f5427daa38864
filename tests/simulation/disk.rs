//! A machine's disk: checkpoints that take their time, and what a crash leaves of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use viewtide::engine::Engine;
use viewtide::sql::plan::Plan;
use viewtide::state::{
    CheckpointStorage, CheckpointWriter, Header, Loaded, Origin, Outcome, StateError, Trailer,
    load, write,
};

use super::world::Clockwork;

/// Parts of a checkpoint that wait to be written; then there is no room for more.
const PARTS_WAITING_MAX: usize = 2;

/// Bytes of a checkpoint besides its rows, about.
const HEADER_BYTES: u64 = 2000;

/// What survives processes.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Checkpoints by number.
    files: BTreeMap<u64, File>,
    /// What a backup has of them.
    backup: BTreeMap<u64, File>,
    /// The process that may write.
    locked_by: Option<usize>,
    writing: Option<Writing>,
    /// Nothing can be written.
    pub(super) is_full: bool,
}

/// A checkpoint, from which its bytes are made when it is read: most never are.
#[derive(Clone, Debug)]
struct File {
    parts: Rc<(Header, Vec<Vec<u8>>, Trailer)>,
    damaged: bool,
}

/// A checkpoint that is being written.
#[derive(Debug)]
struct Writing {
    of: usize,
    header: Option<Header>,
    waiting: VecDeque<Part>,
    blocks: Vec<Vec<u8>>,
    previous: Option<u64>,
    /// Its number, or nothing if it failed, once it is over.
    outcome: Option<Option<(u64, u64)>>,
}

#[derive(Debug)]
enum Part {
    Rows(Vec<u8>),
    End(Trailer),
}

/// What becomes of a disk when its process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Everything written is there.
    Kept,
    /// It is empty.
    Lost,
    /// It is as in the last backup.
    Old,
    /// The newest file is damaged.
    Damaged,
}

impl Disk {
    /// Writes a part that waits; all but the last of them takes no place of its own.
    pub(super) fn go_on(&mut self, clockwork: &Clockwork) {
        let Some(writing) = &mut self.writing else { return };
        let Some(part) = writing.waiting.pop_front() else { return };
        clockwork.go_on();
        if self.is_full {
            writing.outcome = Some(None);
            return;
        }
        match part {
            Part::Rows(block) => writing.blocks.push(block),
            Part::End(trailer) => {
                let Some(header) = writing.header.take() else { return };
                let blocks = std::mem::take(&mut writing.blocks);
                let bytes = HEADER_BYTES + blocks.iter().map(|b| b.len() as u64).sum::<u64>();
                let number = self.files.keys().last().map_or(1, |last| last + 1);
                let previous = writing.previous;
                writing.outcome = Some(Some((number, bytes)));
                self.files.retain(|number, _| Some(*number) == previous);
                let parts = Rc::new((header, blocks, trailer));
                self.files.insert(number, File { parts, damaged: false });
            }
        }
    }

    /// What is there now goes to the backup.
    pub(super) fn back_up(&mut self) {
        self.backup = self.files.clone();
    }

    /// A process that used it is gone.
    pub(super) fn survive(&mut self, process: usize, fate: Fate) {
        if self.locked_by == Some(process) {
            self.locked_by = None;
        }
        self.writing.take_if(|writing| writing.of == process);
        match fate {
            Fate::Kept => {}
            Fate::Lost => self.files.clear(),
            Fate::Old => self.files = self.backup.clone(),
            Fate::Damaged => {
                if let Some(mut newest) = self.files.last_entry() {
                    newest.get_mut().damaged = true;
                }
            }
        }
    }
}

impl File {
    fn bytes(&self) -> Vec<u8> {
        let (header, blocks, trailer) = &*self.parts;
        let mut bytes = Vec::new();
        write(&mut bytes, header, blocks.iter().cloned(), trailer.clone()).unwrap();
        if self.damaged {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        bytes
    }
}

/// A process's way to its machine's disk.
pub(super) struct Drive {
    pub(super) disk: Rc<RefCell<Disk>>,
    pub(super) clockwork: Rc<Clockwork>,
    pub(super) process: usize,
    /// As of the real folder: the newest that is whole, and the newest there was.
    pub(super) good: Option<u64>,
    pub(super) seen: u64,
}

/// A process's way to the checkpoint that it is writing.
pub(super) struct Writer {
    disk: Rc<RefCell<Disk>>,
    process: usize,
}

impl CheckpointStorage for Drive {
    type Writer = Writer;

    async fn load(
        &mut self,
        plan: Arc<Plan>,
        empty: impl Fn() -> Engine + Send + 'static,
    ) -> Result<Option<Loaded>, StateError> {
        self.clockwork.pass().await;
        let files = self.disk.borrow().files.clone();
        self.seen = files.keys().last().copied().unwrap_or(0);
        for (number, file) in files.into_iter().rev() {
            self.clockwork.pass().await;
            if let Ok(loaded) = load(file.bytes().as_slice(), &origin(), &plan, empty()) {
                self.good = Some(number);
                return Ok(Some(loaded));
            }
        }
        Ok(None)
    }

    fn lock(&mut self) -> io::Result<bool> {
        let mut disk = self.disk.borrow_mut();
        if disk.locked_by.is_none() {
            disk.locked_by = Some(self.process);
            let newest = disk.files.keys().last().copied();
            self.good = newest.filter(|newest| *newest > self.seen).or(self.good);
        }
        Ok(disk.locked_by == Some(self.process))
    }

    fn begin(&mut self, header: Header) -> Writer {
        self.disk.borrow_mut().writing = Some(Writing {
            of: self.process,
            header: Some(header),
            waiting: VecDeque::new(),
            blocks: Vec::new(),
            previous: self.good,
            outcome: None,
        });
        Writer { disk: Rc::clone(&self.disk), process: self.process }
    }

    async fn finish(&mut self, _: Writer) -> io::Result<Outcome> {
        let writing = self.disk.borrow_mut().writing.take();
        let outcome = writing.and_then(|writing| writing.outcome.flatten());
        let (number, bytes) = outcome.ok_or_else(|| io::Error::other("the disk is full"))?;
        self.good = Some(number);
        Ok(Outcome { number, bytes, took: Duration::ZERO })
    }

    fn place(&self) -> String {
        "a disk".to_owned()
    }
}

impl CheckpointWriter for Writer {
    fn has_room(&self) -> bool {
        self.with(|writing| writing.waiting.len() < PARTS_WAITING_MAX)
    }

    async fn room(&self) {
        self.until(|writing| {
            writing.waiting.len() < PARTS_WAITING_MAX || writing.outcome.is_some()
        })
        .await;
    }

    fn rows(&mut self, block: Vec<u8>) {
        self.push(Part::Rows(block));
    }

    fn end(&mut self, trailer: Trailer) {
        self.push(Part::End(trailer));
    }

    fn is_over(&self) -> bool {
        self.with(|writing| writing.outcome.is_some())
    }

    async fn over(&self) {
        self.until(|writing| writing.outcome.is_some()).await;
    }
}

impl Writer {
    fn with(&self, ask: impl FnOnce(&Writing) -> bool) -> bool {
        let disk = self.disk.borrow();
        disk.writing.as_ref().is_some_and(|writing| writing.of == self.process && ask(writing))
    }

    async fn until(&self, holds: impl Fn(&Writing) -> bool) {
        poll_fn(|_| if self.with(&holds) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn push(&mut self, part: Part) {
        if let Some(writing) = &mut self.disk.borrow_mut().writing {
            writing.waiting.push_back(part);
        }
    }
}

/// Whose the checkpoints are.
pub(super) fn origin() -> Origin {
    Origin { pipeline: "simulated".into(), topic_prefix: "p".into(), database: "d".into() }
}
