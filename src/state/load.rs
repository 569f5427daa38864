//! From the bytes of a checkpoint to the tables.

use std::io::Read;

use serde::de::DeserializeOwned;

use super::Unusable;
use super::block::{BlockReader, Kind};
use super::contents::{Fitted, Header, Origin, Trailer, Unfit};
use super::dump::rows_of;
use crate::change::{Change, Op, Positions};
use crate::engine::Engine;
use crate::source::transactions::Applied;
use crate::sql::plan::Plan;

/// A checkpoint that was read to its end.
#[derive(Debug)]
pub struct Loaded {
    /// Its rows: those of S1 once everything between S0 and S1 is applied again.
    pub engine: Engine,
    /// S0, as far as the plan reads it.
    pub applied: Applied,
    /// S1, likewise.
    pub end: Positions,
    /// Rows read.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
}

impl Loaded {
    /// What there is without a checkpoint: an engine without rows.
    pub fn nothing(engine: Engine) -> Loaded {
        let (applied, end) = (Applied::default(), Positions::default());
        Loaded { engine, applied, end, rows: 0, bytes: 0 }
    }
}

/// Reads a checkpoint into an engine that is empty and has no live view.
///
/// # Errors
/// Whatever keeps it from being used; the engine is gone with it.
pub fn load(
    from: impl Read,
    origin: &Origin,
    plan: &Plan,
    mut engine: Engine,
) -> Result<Loaded, Unusable> {
    let mut blocks = BlockReader::new(from)?;
    let header: Header = match blocks.read()? {
        (Kind::Header, body) => parse(body, "header")?,
        _ => return Err(Unfit::Content("header").into()),
    };
    let Fitted { mut tables, applied } = header.fit(origin, plan)?;
    let mut found = vec![0; tables.len()];
    let trailer: Trailer = loop {
        match blocks.read()? {
            (Kind::Rows, body) => {
                let unfit = || Unfit::Content("rows");
                let (at, mut rows) = rows_of(body).ok_or_else(unfit)?;
                let table = tables.get_mut(at).ok_or_else(unfit)?;
                while let Some(row) = rows.next().map_err(|_| unfit())? {
                    found[at] += 1;
                    let Some(table) = table else { continue };
                    let op = Op::Upsert(table.row(row).ok_or_else(unfit)?);
                    engine.apply(Change { table: table.table, op });
                }
            }
            (Kind::Trailer, body) => break parse(body, "trailer")?,
            (Kind::Header, _) => return Err(Unfit::Content("second header").into()),
        }
    };
    if trailer.rows() != found || !blocks.is_at_end()? {
        return Err(Unfit::Content("trailer").into());
    }
    let mut end = trailer.into_positions();
    end.retain(|partition, _| applied.partitions.contains_key(partition));
    let rows = plan.tables_with_ids().map(|(id, _)| engine.rows(id) as u64).sum();
    Ok(Loaded { engine, applied, end, rows, bytes: blocks.at() })
}

fn parse<T: DeserializeOwned>(body: &[u8], part: &'static str) -> Result<T, Unfit> {
    serde_json::from_slice(body).map_err(|_| Unfit::Content(part))
}
