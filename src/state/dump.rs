//! Row blocks: put together from the engine, taken apart again.

use super::BLOCK_BYTES;
use super::contents::Trailer;
use crate::change::Positions;
use crate::engine::{DumpCursor, Engine};
use crate::sql::plan::Plan;

/// Bytes of a row block before its rows: table and number of rows.
const PREFIX: usize = 2 + 4;

/// Walks through all rows, a block at a time.
#[derive(Debug)]
pub struct RowDump {
    cursor: DumpCursor,
    block_bytes: usize,
    /// Rows of each table so far.
    rows: Vec<u64>,
}

impl RowDump {
    /// A dump of all tables of a plan that begins now.
    pub fn new(plan: &Plan) -> RowDump {
        RowDump::with_block_bytes(plan, BLOCK_BYTES)
    }

    /// The same with another limit than [`BLOCK_BYTES`].
    pub fn with_block_bytes(plan: &Plan, block_bytes: usize) -> RowDump {
        RowDump { cursor: DumpCursor::default(), block_bytes, rows: vec![0; plan.tables.len()] }
    }

    /// The next block of rows, of some [`BLOCK_BYTES`] at most; empty if the slots looked at have
    /// none, `None` when all were.
    pub fn next_block(&mut self, engine: &Engine) -> Option<Vec<u8>> {
        let mut block = Vec::new();
        let (mut count, limit) = (0u32, self.block_bytes);
        let table = engine.dump(&mut self.cursor, |row| {
            if block.is_empty() {
                block.reserve(limit + limit / 16);
                block.resize(PREFIX, 0);
            }
            // A row lies in one Kafka record, which is far smaller than this.
            let length = u32::try_from(row.len()).unwrap_or(u32::MAX);
            block.extend_from_slice(&length.to_le_bytes());
            block.extend_from_slice(row);
            count += 1;
            block.len() >= limit
        })?;
        if let Some(prefix) = block.get_mut(..PREFIX) {
            prefix[..2].copy_from_slice(&table.0.to_le_bytes());
            prefix[2..].copy_from_slice(&count.to_le_bytes());
        }
        self.rows[usize::from(table.0)] += u64::from(count);
        Some(block)
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// What ends a dump that saw all rows when these positions were applied.
    pub fn trailer(&self, positions: Positions) -> Trailer {
        Trailer::new(positions, self.rows.clone())
    }
}

/// The table of a block of rows (its place in the header) and the rows.
pub(super) fn rows_of(body: &[u8]) -> Option<(usize, Rows<'_>)> {
    let (table, rest) = body.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let rows = Rows { left: u32::from_le_bytes(*count), rest };
    Some((usize::from(u16::from_le_bytes(*table)), rows))
}

/// The rows of a block.
pub(super) struct Rows<'b> {
    left: u32,
    rest: &'b [u8],
}

impl<'b> Rows<'b> {
    /// The next row, `None` behind the last; an error if the block is not as long as it says.
    pub(super) fn next(&mut self) -> Result<Option<&'b [u8]>, TooShort> {
        if self.left == 0 {
            return if self.rest.is_empty() { Ok(None) } else { Err(TooShort) };
        }
        self.left -= 1;
        let (length, rest) = self.rest.split_first_chunk().ok_or(TooShort)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (row, rest) = rest.split_at_checked(length).ok_or(TooShort)?;
        self.rest = rest;
        Ok(Some(row))
    }
}

/// A block is not as long as it says.
#[derive(Debug)]
pub(super) struct TooShort;
