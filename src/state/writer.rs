//! Writes a checkpoint on a thread of its own, behind a bounded channel: the pipeline never waits
//! for the disk.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::block::{BlockWriter, Kind};
use super::folder::Next;
use super::{CheckpointWriter, Header, Trailer};

/// Blocks that wait to be written; then there is no room for more.
const BLOCKS_WAITING_MAX: usize = 8;

/// What follows a header.
#[derive(Debug)]
enum Part {
    Rows(Vec<u8>),
    End(Trailer),
}

/// A checkpoint that is being written to a folder.
#[derive(Debug)]
pub struct Writing {
    parts: mpsc::Sender<Part>,
    done: JoinHandle<io::Result<Option<(u64, u64)>>>,
    since: Instant,
}

/// A checkpoint that is complete on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its number.
    pub number: u64,
    /// Its length.
    pub bytes: u64,
    /// How long it took from its beginning.
    pub took: Duration,
}

impl Writing {
    /// Begins to write.
    pub(super) fn start(next: Next, header: Header) -> Writing {
        let (parts, mut waiting) = mpsc::channel(BLOCKS_WAITING_MAX);
        let done = tokio::task::spawn_blocking(move || {
            let parts = std::iter::from_fn(|| waiting.blocking_recv());
            write_file(next, &header, parts)
        });
        Writing { parts, done, since: Instant::now() }
    }

    /// What came of it, once it is over.
    pub(super) async fn outcome(self) -> io::Result<Outcome> {
        drop(self.parts);
        let cut_off = || io::Error::other("it was not written to its end");
        let (number, bytes) = self.done.await.map_err(io::Error::other)??.ok_or_else(cut_off)?;
        Ok(Outcome { number, bytes, took: self.since.elapsed() })
    }
}

impl CheckpointWriter for Writing {
    fn has_room(&self) -> bool {
        self.parts.capacity() > 0
    }

    async fn room(&self) {
        drop(self.parts.reserve().await);
    }

    fn rows(&mut self, block: Vec<u8>) {
        drop(self.parts.try_send(Part::Rows(block)));
    }

    fn end(&mut self, trailer: Trailer) {
        drop(self.parts.try_send(Part::End(trailer)));
    }

    fn is_over(&self) -> bool {
        self.parts.is_closed()
    }

    async fn over(&self) {
        self.parts.closed().await;
    }
}

/// Writes a checkpoint: the header, blocks of rows, and the trailer. The bytes written.
///
/// # Errors
/// Whatever `to` says.
pub fn write(
    to: impl Write,
    header: &Header,
    blocks: impl IntoIterator<Item = Vec<u8>>,
    trailer: Trailer,
) -> io::Result<u64> {
    let blocks = blocks.into_iter().map(Part::Rows);
    let written = write_parts(to, header, blocks.chain([Part::End(trailer)]))?;
    Ok(written.map_or(0, |(_, bytes)| bytes))
}

/// Number and length of the file; `None` if the parts end without a trailer.
fn write_file(
    next: Next,
    header: &Header,
    parts: impl Iterator<Item = Part>,
) -> io::Result<Option<(u64, u64)>> {
    let (aside, file) = next.create()?;
    let written = write_parts(BufWriter::new(file), header, parts)?;
    let Some((to, bytes)) = written else { return Ok(None) };
    let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(Some((aside.publish(&file)?, bytes)))
}

fn write_parts<W: Write>(
    to: W,
    header: &Header,
    parts: impl Iterator<Item = Part>,
) -> io::Result<Option<(W, u64)>> {
    let mut blocks = BlockWriter::new(to)?;
    blocks.write(Kind::Header, &serde_json::to_vec(header)?)?;
    for part in parts {
        match part {
            Part::Rows(rows) if rows.is_empty() => {}
            Part::Rows(rows) => blocks.write(Kind::Rows, &rows)?,
            Part::End(trailer) => {
                blocks.write(Kind::Trailer, &serde_json::to_vec(&trailer)?)?;
                let written = blocks.written();
                return Ok(Some((blocks.into_inner(), written)));
            }
        }
    }
    Ok(None)
}
