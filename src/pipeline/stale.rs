//! Rows whose last change could not be read, told beside the positions: what operators list, and
//! what a later start compares with what it reads itself.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use crate::keyspace::{StaleRow, Unfollowed};
use crate::sink::{Meta, Step};
use crate::source::letters::Letter;
use crate::source::record::PartitionId;
use crate::source::transactions::{Obeyed, Released, SERVED_MAX, Sequencer};
use crate::sql::plan::{Node, Plan, ViewId};
use crate::telemetry::Metrics;
use crate::value::Type;

/// Adds to a step what a release changed.
pub(super) fn tell(plan: &Plan, sequencer: &Sequencer, released: &Released, step: &mut Step) {
    for ((id, offset), letter) in &released.letters {
        let row = letter.as_ref().map(|letter| stale_row(plan, sequencer, *id, letter));
        step.stale_row(sequencer.partition(*id), *offset, row);
    }
    for &id in &released.beyond {
        step.unfollowed(sequencer.partition(id), unfollowed(sequencer, id));
    }
}

/// Adds everything to a step, and takes back what Redis holds besides.
pub(super) fn tell_all(plan: &Plan, sequencer: &Sequencer, held: &Meta, step: &mut Step) {
    for (partition, offset) in held.stale_rows.keys() {
        step.stale_row(partition, *offset, None);
    }
    for partition in held.unfollowed.keys() {
        step.unfollowed(partition, None);
    }
    for (id, letters) in sequencer.letters() {
        for (offset, letter) in letters.open() {
            let row = stale_row(plan, sequencer, id, letter);
            step.stale_row(sequencer.partition(id), *offset, Some(row));
        }
        if letters.beyond().is_some() {
            step.unfollowed(sequencer.partition(id), unfollowed(sequencer, id));
        }
    }
}

/// The views whose documents lack what the state has: rows that are stale by what Redis holds,
/// and that this program could read on its way there.
pub(super) fn mended(plan: &Plan, sequencer: &Sequencer, held: &Meta) -> BTreeSet<ViewId> {
    let mut tables = BTreeSet::new();
    for ((id, letters), spec) in sequencer.letters().zip(sequencer.specs()) {
        let is_closed = |(partition, offset): &(_, i64)| {
            *partition == spec.partition && !letters.open().contains_key(offset)
        };
        let was_beyond = held.unfollowed.get(sequencer.partition(id));
        let is_beyond = unfollowed(sequencer, id);
        if held.stale_rows.keys().any(is_closed)
            || was_beyond.is_some_and(|b| Some(b) != is_beyond.as_ref())
        {
            tables.extend(spec.role.table());
        }
    }
    let reads = |nodes: &[Node]| nodes.iter().any(|n| tables.contains(&n.table));
    plan.views_with_ids().filter(|(_, view)| reads(&view.nodes)).map(|(id, _)| id).collect()
}

/// Counts and logs what came of commands, and how many rows are stale.
pub(super) fn observe(metrics: &Metrics, sequencer: &Sequencer, released: &Released) {
    for obeyed in &released.commands {
        let (command, outcome) = match obeyed {
            Obeyed::Replayed(letter) => {
                let topic = &sequencer.partition(letter.partition).topic;
                info!(topic, offset = letter.offset, "replayed a dead letter");
                ("replay", "applied")
            }
            Obeyed::Refused(letter, reason) => {
                let topic = &sequencer.partition(letter.partition).topic;
                warn!(topic, offset = letter.offset, reason, "a dead letter cannot be replayed");
                ("replay", "refused")
            }
            Obeyed::Dropped(letter) => {
                let topic = &sequencer.partition(letter.partition).topic;
                info!(topic, offset = letter.offset, "dropped a dead letter");
                ("drop", "applied")
            }
            Obeyed::Settled(letter) => {
                let topic = &sequencer.partition(letter.partition).topic;
                info!(topic, offset = letter.offset, "the dead letter was settled before");
                ("letter", "settled")
            }
            Obeyed::Republished { keys, .. } => {
                info!(documents = keys.len(), "documents are written again");
                ("republish", "applied")
            }
            Obeyed::Switched { name, view } => {
                info!(name, view, "the view is to answer for this name");
                ("switch", "applied")
            }
            Obeyed::OneTooMany { name } => {
                warn!(
                    name,
                    "the name is not switched: {SERVED_MAX} others are remembered, and no further one; \
                     change the view in its own file, and send SIGHUP"
                );
                ("switch", "refused")
            }
        };
        metrics.commands(command, outcome).inc();
    }
    if !released.letters.is_empty() || !released.beyond.is_empty() {
        count(metrics, sequencer);
    }
}

/// Sets how many rows are stale.
pub(super) fn count(metrics: &Metrics, sequencer: &Sequencer) {
    let mut by_topic = BTreeMap::new();
    for (id, letters) in sequencer.letters() {
        let beyond = letters.beyond().map_or(0, |beyond| beyond.count);
        let count = letters.open().len() as u64 + beyond;
        *by_topic.entry(&sequencer.partition(id).topic).or_insert(0) += count;
    }
    for (topic, count) in by_topic {
        metrics.stale_rows(topic).set(count as i64);
    }
}

fn unfollowed(sequencer: &Sequencer, id: PartitionId) -> Option<Unfollowed> {
    let (_, letters) = sequencer.letters().nth(id.index())?;
    letters.beyond().map(|beyond| Unfollowed { from: beyond.from, count: beyond.count })
}

fn stale_row(plan: &Plan, sequencer: &Sequencer, id: PartitionId, letter: &Letter) -> StaleRow {
    let spec = sequencer.specs().nth(id.index());
    let table = spec.and_then(|spec| spec.role.table()).map(|table| plan.table(table));
    let texts = table.zip(letter.key.as_ref()).and_then(|(table, key)| {
        let types: Vec<Type> = table.key.iter().map(|&at| table.columns[at].ty).collect();
        key.texts(&types)
    });
    StaleRow {
        table: table.map(|table| table.name.clone()).unwrap_or_default(),
        key: texts,
        refused: letter.refused.as_deref().map(str::to_owned),
    }
}
