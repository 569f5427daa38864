//! `viewtide explain VIEW KEY`: which rows a document is made of, which record in Kafka said each of
//! them last, and when that could be read.
//!
//! Nothing is stamped for it. Which rows they are MySQL tells, asked along the plan's edges (`rows`);
//! an engine of its own, with these rows alone, tells which of them matter (`influence`). Their
//! records are searched for in the topics, from the ends backwards (`search`). When a step applied a
//! record Redis tells, which keeps what its last steps moved (`steps`).
//!
//! Absent: rows that are gone. A document is another without them, too, but nothing names them.

mod error;
mod influence;
mod json;
mod report;
mod rows;
mod search;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

pub use error::ExplainError;

use crate::config::Config;
use crate::keyspace::{Generations, Keyspace};
use crate::sql::plan::{Plan, TableId, View};
use crate::value::Key;
use crate::verify::database::Database;
use crate::verify::documents::Documents;
use crate::verify::topics::{Bounds, LeftOut, Topics};
use crate::verify::{Format, VerifyError};
use influence::Influence;
use report::{Report, Row};
use rows::NodeRows;
use search::{Found, Search};
use steps::Steps;

/// Most rows of one table reference that are looked at.
const ROWS_MAX: usize = 500;

/// Records of each partition that are searched, unless told otherwise.
pub const RECORDS_MAX: u32 = 1_000_000;

/// Which document to explain.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its view.
    pub view: String,
    /// Its key as addresses have it: columns with commas between, percent-encoded, `~` for NULL.
    pub key: String,
    /// Of each partition the last so many records are searched.
    pub records_max: u32,
    /// How the report is written.
    pub format: Format,
}

/// Explains a document and writes that to `out`.
///
/// # Errors
/// No such view or document; MySQL, Kafka, the registry or Redis that cannot be asked.
pub async fn explain(
    config: &Config,
    plan: &Arc<Plan>,
    options: &Options,
    out: &mut (impl Write + Send),
) -> Result<(), ExplainError> {
    let view = find_view(plan, &options.view)?;
    let key = parse_key(view, &options.key)?;
    let failed = |error| ExplainError::of(config, error);
    let mut documents = Documents::connect(config, plan).await.map_err(failed)?;
    let meta = documents.meta().await.map_err(failed)?;
    if meta.epoch == 0 {
        let (address, pipeline) = (config.redis.address(), config.pipeline.name.clone());
        return Err(ExplainError::NoPipeline { address, pipeline });
    }
    let held = meta.views.get(&view.name).cloned().unwrap_or_default();
    documents.choose(&view.name, generation(view, &held)?);
    let keys = std::slice::from_ref(&key);
    let stored = documents.get(&view.name, keys).await.map_err(failed)?.pop().flatten();
    let Some(stored) = stored else {
        return Err(ExplainError::Absent { view: view.name.clone(), key: options.key.clone() });
    };

    let read = read_rows(config, plan, view, &key, options).await;
    let (nodes, unread) = read.map_err(failed)?;
    let is_whole = unread.is_empty() && nodes.iter().all(|of_node| !of_node.cut);
    let influence = is_whole.then(|| Influence::find(plan, view, &key, &nodes)).flatten();
    // A change may have come between the document and the rows.
    let later = documents.get(&view.name, keys).await.map_err(failed)?.pop().flatten();
    let is_stored = |made: &[u8]| stored == made || later.as_deref() == Some(made);
    let from_rows = influence.as_ref().map(|influence| is_stored(&influence.stored));

    let found = search_records(config, plan, &nodes, options)?;
    let meta = documents.meta().await.map_err(failed)?;
    let steps = Steps::read(config, &Keyspace::new(&config.pipeline.name)).await?;
    let mut rows = Vec::new();
    for of_node in &nodes {
        for row in &of_node.rows {
            let place = (row.table, row.key.clone());
            let Some(outcome) = found.get(&place) else { continue };
            let applied = outcome.found().and_then(|found| meta.positions.get(&found.partition));
            let next_offset = applied.map_or(0, |position| position.next_offset);
            let seen = outcome.found().map(|found| {
                let seen = steps.seen(&view.name, &found.partition, found.offset, next_offset);
                if found.is_of_snapshot() { seen.or_before() } else { seen }
            });
            // Of a document that these rows do not make they tell nothing.
            let influence = influence.as_ref().filter(|_| from_rows == Some(true));
            let matters = influence.map(|influence| influence.matters.contains(&place));
            rows.push(Row {
                node: of_node.node,
                table: row.table,
                key: &row.key,
                matters,
                outcome,
                seen,
            });
        }
    }
    let report = Report {
        pipeline: &config.pipeline.name,
        plan,
        view,
        key: &key,
        from_rows,
        unread,
        rows,
        cut: nodes.iter().filter(|of_node| of_node.cut).map(|of_node| of_node.node).collect(),
        rows_max: ROWS_MAX,
    };
    report.write(options.format, out)?;
    Ok(())
}

/// The view of this name.
///
/// # Errors
/// There is none.
pub fn find_view<'p>(plan: &'p Plan, name: &str) -> Result<&'p View, ExplainError> {
    plan.views.iter().find(|view| view.name == name).ok_or_else(|| {
        let known: Vec<&str> = plan.views.iter().map(|view| view.name.as_str()).collect();
        ExplainError::UnknownView { name: name.to_owned(), known: known.join(", ") }
    })
}

fn parse_key(view: &View, text: &str) -> Result<Key, ExplainError> {
    let types = view.key_types();
    let names: Vec<&str> = view.key.iter().map(|&at| view.outputs[at].name.as_str()).collect();
    let wrong = |reason: String| ExplainError::Key {
        view: view.name.clone(),
        columns: names.join(","),
        reason,
    };
    let decode = |part: &str| match percent_encoding::percent_decode_str(part).decode_utf8() {
        Ok(part) => Ok(part.into_owned()),
        Err(_) => Err(wrong(format!("`{part}` is not percent-encoded utf-8"))),
    };
    let parts = text.split(',').map(decode).collect::<Result<Vec<_>, _>>()?;
    Key::parse(&types, &parts).map_err(|error| wrong(error.to_string()))
}

/// Number of the generation that readers read.
fn generation(view: &View, held: &Generations) -> Result<u64, ExplainError> {
    let view_name = || view.name.clone();
    match &held.current {
        None => Err(ExplainError::NotComplete { view: view_name() }),
        Some(current) if current.fingerprint != view.fingerprint => {
            Err(ExplainError::OtherDefinition { view: view_name() })
        }
        Some(current) => Ok(current.number),
    }
}

/// The rows that the document can have, all of one moment of MySQL's, and the partitions of events of
/// which only the end was read.
async fn read_rows(
    config: &Config,
    plan: &Arc<Plan>,
    view: &View,
    key: &Key,
    options: &Options,
) -> Result<(Vec<NodeRows>, Vec<LeftOut>), VerifyError> {
    let bounds =
        Bounds { offsets: i64::from(options.records_max), bytes: config.limits.queue_bytes_max };
    let mut topics = Topics::within(bounds, config, plan, &[view])?;
    tokio::task::block_in_place(|| topics.read_to_end())?;
    let mut database = Database::connect(&config.mysql).await?;
    database.begin_snapshot().await?;
    let nodes = rows::collect(plan, view, key, &mut database, &topics.events).await?;
    database.end_snapshot().await?;
    Ok((nodes, topics.left_out()))
}

/// What is found of each row's last record.
fn search_records(
    config: &Config,
    plan: &Plan,
    nodes: &[NodeRows],
    options: &Options,
) -> Result<BTreeMap<(TableId, Key), Found>, ExplainError> {
    let mut wanted: BTreeMap<TableId, BTreeSet<Key>> = BTreeMap::new();
    for row in nodes.iter().flat_map(|of_node| &of_node.rows) {
        if plan.grouping(row.table).is_none() {
            wanted.entry(row.table).or_default().insert(row.key.clone());
        }
    }
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let search = Search::new(config, options.records_max)?;
    for (table, keys) in wanted {
        let of_table = tokio::task::block_in_place(|| search.table(plan, table, keys))?;
        found.extend(of_table.into_iter().map(|(key, outcome)| ((table, key), outcome)));
    }
    Ok(found)
}
