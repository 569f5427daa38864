//! Durable state: a start loads the tables from a checkpoint and replays only what came after.
//!
//! A checkpoint is a fuzzy dump: rows are copied in chunks between steps while changes go on. It
//! holds what was applied when the dump began (S0) and where the partitions stood when it ended
//! (S1). Rows change by key, so whoever loads it and applies everything from S0 to S1 again has
//! the tables as they were at S1; before that they are of no moment, and nothing is published.
//!
//! A file `checkpoint-NUMBER.state` is written aside by a thread of its own, renamed when it is on
//! the disk, and read back only if every byte of it is as it was written; else the one before, or
//! none. Nothing here says when to write one: the pipeline does.
//!
//! | part | content |
//! |---|---|
//! | `viewtide`, version | 12 bytes |
//! | header block | JSON: whose it is, the tables with the columns held, S0 |
//! | row blocks | table, number of rows, each row's length and packed bytes |
//! | trailer block | JSON: S1, rows of each table; nothing follows |
//!

mod block;
mod contents;
mod dump;
mod folder;
mod load;
mod storage;
#[cfg(test)]
mod tests;
mod writer;

use std::io;

pub use contents::{Header, Origin, Trailer, Unfit};
pub use dump::RowDump;
pub use folder::{Folder, StateError};
pub use load::{Loaded, load};
pub use storage::{CheckpointStorage, CheckpointWriter};
pub use writer::{Outcome, Writing, write};

/// Bytes of rows after which a block is closed; the last row may exceed it.
pub const BLOCK_BYTES: usize = 256 << 10;

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It does not begin as one.
    #[error("is no checkpoint")]
    NotOurs,
    /// It is of another version.
    #[error("is of format {found}, this version reads format {}", block::VERSION)]
    Version {
        /// What it says.
        found: u32,
    },
    /// Bytes are not as they were written.
    #[error("is damaged in the block at byte {at}")]
    Damaged {
        /// Where the block begins.
        at: u64,
    },
    /// It was not written to its end.
    #[error("ends at byte {at}, in the middle")]
    CutOff {
        /// Its length.
        at: u64,
    },
    /// It is whole, but not of what is needed.
    #[error("does not fit: {0}")]
    Unfit(#[from] Unfit),
}
