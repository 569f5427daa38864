//! The files of one pipeline: which there are, which process may write them, which are kept.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::load::{Loaded, load};
use super::{BLOCK_BYTES, CheckpointStorage, Header, Origin, Outcome, Unusable, Writing};
use crate::engine::Engine;
use crate::sql::plan::Plan;

/// The state folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("state folder {}: {source}; `state.dir` names where it is", path.display())]
pub struct StateError {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The folder of one pipeline's checkpoints.
///
/// Files are complete once they have their names, so any process may read them. Writing takes the
/// folder's lock, which the system takes back from a process that ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    origin: Origin,
    /// Held from the first write on.
    lock: Option<File>,
    /// The newest that is known to be whole.
    good: Option<u64>,
    /// The newest there was when one was loaded.
    seen: u64,
}

/// Where the next checkpoint goes.
#[derive(Debug)]
pub(super) struct Next {
    folder: PathBuf,
    /// Kept beside it.
    previous: Option<u64>,
}

/// A checkpoint that is not complete yet; without [`Aside::publish`] nothing of it stays.
#[derive(Debug)]
pub(super) struct Aside {
    next: Next,
    number: u64,
    published: bool,
}

impl Folder {
    /// The folder of a pipeline below `dir`; makes it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path, origin: Origin) -> Result<Folder, StateError> {
        let path = dir.join(&origin.pipeline);
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(Folder { path, origin, lock: None, good: None, seen: 0 }),
            Err(source) => Err(StateError { path, source }),
        }
    }
}

impl CheckpointStorage for Folder {
    type Writer = Writing;

    /// Says in the log which cannot be used and why.
    async fn load(
        &mut self,
        plan: Arc<Plan>,
        empty: impl Fn() -> Engine + Send + 'static,
    ) -> Result<Option<Loaded>, StateError> {
        let (path, origin) = (self.path.clone(), self.origin.clone());
        let loading = spawn_blocking(move || load_newest(&path, &origin, &plan, empty));
        let loaded = loading.await.unwrap_or_else(|failed| Err(io::Error::other(failed)));
        let loaded = loaded.map_err(|source| StateError { path: self.path.clone(), source })?;
        let (seen, loaded) = loaded;
        self.seen = seen;
        self.good = loaded.as_ref().map(|(number, _)| *number);
        Ok(loaded.map(|(_, loaded)| loaded))
    }

    /// Takes the folder's lock, if this process does not have it. Whoever had it may have written
    /// meanwhile, and what it wrote last is the one to be kept.
    fn lock(&mut self) -> io::Result<bool> {
        if self.lock.is_none() {
            let file = File::create(self.path.join("lock"))?;
            match file.try_lock() {
                Ok(()) => {
                    let newest = numbers(&self.path)?.pop();
                    self.good = newest.filter(|newest| *newest > self.seen).or(self.good);
                    self.lock = Some(file);
                }
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(true)
    }

    fn begin(&mut self, header: Header) -> Writing {
        let next = Next { folder: self.path.clone(), previous: self.good };
        Writing::start(next, header)
    }

    async fn finish(&mut self, writing: Writing) -> io::Result<Outcome> {
        let outcome = writing.outcome().await?;
        self.good = Some(outcome.number);
        Ok(outcome)
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

impl Next {
    /// Makes the file to write to.
    pub(super) fn create(self) -> io::Result<(Aside, File)> {
        let last = numbers(&self.folder)?.pop().unwrap_or(0);
        let aside = Aside { next: self, number: last.saturating_add(1), published: false };
        let file = File::create(aside.path())?;
        Ok((aside, file))
    }
}

impl Aside {
    /// Gives the file, which is written to its end, its name for good; deletes all but it and the
    /// previous one. Its number.
    pub(super) fn publish(mut self, written: &File) -> io::Result<u64> {
        written.sync_all()?;
        let folder = &self.next.folder;
        fs::rename(self.path(), file_path(folder, self.number))?;
        self.published = true;
        File::open(folder)?.sync_all()?;
        let kept = [Some(self.number), self.next.previous];
        for file in files(folder)? {
            let is_old = number_of(&file).is_some_and(|number| !kept.contains(&Some(number)));
            if is_old || file.ends_with(ASIDE) {
                fs::remove_file(folder.join(file))?;
            }
        }
        Ok(self.number)
    }

    fn path(&self) -> PathBuf {
        self.next.folder.join(format!("{PREFIX}{}{ASIDE}", self.number))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.published {
            // What stays is deleted with the next checkpoint.
            let _ = fs::remove_file(self.path());
        }
    }
}

/// The number of the newest checkpoint of a folder; and the newest that can be used, with its own.
fn load_newest(
    folder: &Path,
    origin: &Origin,
    plan: &Plan,
    empty: impl Fn() -> Engine,
) -> io::Result<(u64, Option<(u64, Loaded)>)> {
    let mut listed = numbers(folder)?;
    loop {
        let newest = listed.last().copied().unwrap_or(0);
        for number in listed.iter().rev().copied() {
            let path = file_path(folder, number);
            let opened = File::open(&path).map_err(Unusable::from);
            let loading = opened.and_then(|file| {
                load(BufReader::with_capacity(BLOCK_BYTES, file), origin, plan, empty())
            });
            let file = path.display();
            match loading {
                Ok(loaded) => {
                    let (rows, bytes) = (loaded.rows, loaded.bytes);
                    info!(%file, rows, bytes, "loaded the tables from a checkpoint");
                    return Ok((newest, Some((number, loaded))));
                }
                Err(reason) => warn!(%file, %reason, "a checkpoint is not used"),
            }
        }
        // Whoever writes may have put others in the place of those listed.
        let now = numbers(folder)?;
        if now == listed {
            return Ok((newest, None));
        }
        listed = now;
    }
}

const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".state";
/// A file that is not complete.
const ASIDE: &str = ".tmp";

fn file_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number}{SUFFIX}"))
}

fn number_of(file: &str) -> Option<u64> {
    file.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

/// Names of the files in a folder that are ours by their names.
fn files(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        found.extend(name.into_iter().filter(|name| name.starts_with(PREFIX)));
    }
    Ok(found)
}

/// Numbers of the files with a checkpoint's name, in order.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = files(folder)?.iter().filter_map(|file| number_of(file)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
