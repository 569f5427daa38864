//! What the pipeline needs of the place where checkpoints are kept: here a [`super::Folder`], in the
//! pipeline's simulation a disk of its own that breaks.

use std::io;
use std::sync::Arc;

use super::{Header, Loaded, Outcome, StateError, Trailer};
use crate::engine::Engine;
use crate::sql::plan::Plan;

/// Where the checkpoints of one pipeline are kept. One that was not written to its end does not
/// count, and the one before it stays until then.
pub trait CheckpointStorage {
    /// A checkpoint that is being written.
    type Writer: CheckpointWriter;

    /// Reads the newest checkpoint that can be used into an engine made by `empty`, while the
    /// caller does other things.
    fn load(
        &mut self,
        plan: Arc<Plan>,
        empty: impl Fn() -> Engine + Send + 'static,
    ) -> impl Future<Output = Result<Option<Loaded>, StateError>>;

    /// Makes sure that nobody else writes here. False while another process does.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn lock(&mut self) -> io::Result<bool>;

    /// Begins the next checkpoint. The lock is held.
    fn begin(&mut self, header: Header) -> Self::Writer;

    /// What came of a checkpoint that [is over](CheckpointWriter::is_over); an error says why
    /// there is none.
    fn finish(&mut self, writer: Self::Writer) -> impl Future<Output = io::Result<Outcome>>;

    /// Where it is, for people.
    fn place(&self) -> String;
}

/// A checkpoint that is being written behind the caller's back. Dropped before its end, it leaves
/// nothing behind.
pub trait CheckpointWriter {
    /// Whether a block or the trailer can be taken now.
    fn has_room(&self) -> bool;

    /// Completes when there is room, or when the writing is over.
    fn room(&self) -> impl Future<Output = ()>;

    /// Takes a block of rows, which may be empty. There is room, or it has failed, which
    /// [`CheckpointStorage::finish`] tells.
    fn rows(&mut self, block: Vec<u8>);

    /// Takes the trailer, for which there is room.
    fn end(&mut self, trailer: Trailer);

    /// Whether it is written, or has failed.
    fn is_over(&self) -> bool;

    /// Completes when it [is over](CheckpointWriter::is_over).
    fn over(&self) -> impl Future<Output = ()>;
}
