//! What a record does that is released.

use super::queue::{Queue, Standing};
use super::{Obeyed, Released, SERVED_MAX, Sequencer};
use crate::change::{Change, Op};
use crate::source::letters::Letter;
use crate::source::record::{Command, Content, Lacks, LetterId, Notice, PartitionId, Role};
use crate::source::rewrites::SchemaChange;
use crate::source::snapshot::Effect;
use crate::sql::plan::{Plan, Table, TableId, TableSource};
use crate::value::Key;

impl Sequencer {
    /// Takes the head off a queue and applies it; `order` is its place among the changes that are
    /// released together.
    pub(super) fn take_head(&mut self, id: PartitionId, order: u64, into: &mut Released) {
        let queue = &mut self.queues[id.index()];
        let Some(record) = queue.pop() else { return };
        self.flow.extend(queue.flow(&self.bounds).map(|flow| (id, flow)));
        into.records += 1;
        into.positions.insert(id, queue.position);
        if let Role::Stream(_) = queue.spec.role {
            self.recheck |= queue.position.next_offset >= queue.spec.end_at_start;
        }
        let is_lost = queue.snapshot.is_lost_to(record.anew);
        if let Some(gtid) =
            record.content.gtid().filter(|gtid| is_lost || queue.snapshot.contains(gtid))
        {
            // Whether the notification that says so was read before or comes after.
            queue.seen.raise(gtid);
        }
        if is_lost {
            record.content.gtid().into_iter().for_each(|gtid| queue.snapshot.pass_over(gtid));
            return;
        }
        let is_applied = |place| queue.standing(place, &self.watermarks) == Standing::Applied;
        if record.content.place().is_some_and(is_applied) {
            into.duplicates += 1;
            return;
        }
        // Any record may be the one behind the snapshot that reads the table anew.
        self.recheck |= queue.snapshot.is_read_anew();
        if let Some(table) = queue.spec.role.table()
            && queue.snapshot.follow(record.anew, &record.content)
        {
            self.truncate(id, order, table, into);
            self.recheck = true;
        }
        let queue = &mut self.queues[id.index()];
        let (offset, committed_us) = (record.offset, record.committed_us);
        match record.content {
            Content::Row { place, change } => {
                queue.seen.raise(&place.gtid);
                queue.latest.note(&place);
                queue.snapshot.change(&place.gtid);
                self.note_lacks(id, record.lacks.as_deref(), &change, into);
                self.change(id, offset, order, change, into);
                into.committed_us = into.committed_us.max(committed_us);
            }
            Content::Snapshot { .. }
                if queue.snapshot.is_before_loss(record.anew)
                    || queue.snapshot.was_found_empty_by(record.anew) => {}
            Content::Snapshot { change, mark, of } => {
                self.recheck = true;
                match queue.snapshot.row(mark, of) {
                    Effect::Void => return,
                    Effect::Replaces => self.truncate(id, order, change.table, into),
                    Effect::Joins => {}
                }
                self.note_lacks(id, record.lacks.as_deref(), &change, into);
                self.change(id, offset, order, change, into);
                into.committed_us = into.committed_us.max(committed_us);
            }
            Content::Truncate { gtid, .. }
                if queue.seen.covers(&gtid) || queue.snapshot.contains(&gtid) =>
            {
                into.duplicates += 1;
            }
            Content::Truncate { table, gtid } => {
                queue.seen.raise(&gtid);
                queue.snapshot.truncate();
                self.truncate(id, order, table, into);
                into.committed_us = into.committed_us.max(committed_us);
            }
            Content::Event(event) => self.change(id, offset, order, event, into),
            Content::Hole(hole) => {
                into.holes += 1;
                match hole.place {
                    Some(place) => {
                        queue.seen.raise(&place.gtid);
                        queue.latest.note(&place);
                        queue.snapshot.change(&place.gtid);
                    }
                    None => {
                        queue.snapshot.hole();
                        self.recheck = true;
                    }
                }
                let letter =
                    Letter { fingerprint: record.fingerprint, key: hole.key, refused: None };
                self.open_letter(id, offset, letter, into);
            }
            Content::Command(command) => self.obey(id, *command, order, into),
            Content::SchemaChange(change) => self.alter(id, &change, into),
            Content::Notice(notice) => self.note(notice, order, into),
            Content::Executed { gtid, .. } if queue.seen.covers(&gtid) => into.duplicates += 1,
            Content::Executed { gtid, set } => {
                queue.seen.raise(&gtid);
                into.executed = Some(set);
                into.committed_us = into.committed_us.max(committed_us);
            }
            Content::End(_) | Content::Ignored => {}
        }
    }

    /// Releases a change of a partition, from this offset.
    fn change(
        &mut self,
        id: PartitionId,
        offset: i64,
        order: u64,
        change: Change,
        into: &mut Released,
    ) {
        let letters = &mut self.queues[id.index()].letters;
        if !letters.open().is_empty()
            && let Some(key) = key_of(&self.plan, &change)
        {
            let closed = letters.supersede(&key, offset);
            into.letters.extend(closed.into_iter().map(|at| ((id, at), None)));
        }
        self.scratch.push((order, change));
    }

    /// Notes what a row lacks that is about to be released.
    fn note_lacks(
        &mut self,
        id: PartitionId,
        lacks: Option<&Lacks>,
        change: &Change,
        into: &mut Released,
    ) {
        let (Some(lacks), Op::Upsert(_)) = (lacks, &change.op) else { return };
        let held = &mut self.queues[id.index()].lacks;
        if lacks.keys().any(|column| !held.contains_key(column)) {
            for (column, why) in lacks {
                held.entry(column.clone()).or_insert_with(|| why.clone());
            }
            into.lacks.insert(change.table, held.clone());
        }
    }

    /// Releases that all rows of a partition's table are gone.
    fn truncate(&mut self, id: PartitionId, order: u64, table: TableId, into: &mut Released) {
        let Queue { letters, lacks, .. } = &mut self.queues[id.index()];
        if !std::mem::take(lacks).is_empty() {
            into.lacks.insert(table, Lacks::new());
        }
        if letters.beyond().is_some() {
            into.beyond.push(id);
        }
        into.letters.extend(letters.clear().into_iter().map(|at| ((id, at), None)));
        self.scratch.push((order, Change { table, op: Op::Truncate }));
    }

    fn open_letter(&mut self, id: PartitionId, offset: i64, letter: Letter, into: &mut Released) {
        let queue = &mut self.queues[id.index()];
        if queue.spec.role.table().is_none() {
            return;
        }
        if queue.letters.put(offset, letter.clone()) {
            into.letters.insert((id, offset), Some(letter));
        } else {
            into.beyond.push(id);
        }
    }

    /// Does what a command of this partition says.
    fn obey(&mut self, of: PartitionId, command: Command, order: u64, into: &mut Released) {
        let (letter, change) = match command {
            Command::Drop { letter } => (letter, None),
            Command::Replay { letter, change } => (letter, Some(change)),
            Command::Republish { view, keys } => {
                return into.commands.push(Obeyed::Republished { view, keys });
            }
            Command::Switch { name, view } => {
                let served = &mut self.queues[of.index()].served;
                into.commands.push(if served.len() < SERVED_MAX || served.contains_key(&name) {
                    served.insert(name.clone(), view.clone());
                    Obeyed::Switched { name, view }
                } else {
                    Obeyed::OneTooMany { name }
                });
                return;
            }
        };
        let LetterId { partition: id, offset, fingerprint } = letter;
        let letters = &mut self.queues[id.index()].letters;
        let Some(open) = letters.get_mut(offset, fingerprint) else {
            return into.commands.push(Obeyed::Settled(letter));
        };
        let Some(change) = change else {
            letters.close(offset);
            into.letters.insert((id, offset), None);
            return into.commands.push(Obeyed::Dropped(letter));
        };
        let fitting = change.and_then(|change| match &open.key {
            None => Err("nobody knows which row it is about, nor what that has seen since".into()),
            key if *key != key_of(&self.plan, &change) => Err("it is of another row now".into()),
            Some(_) => Ok(change),
        });
        match fitting {
            Ok(change) => {
                self.change(id, offset, order, change, into);
                into.commands.push(Obeyed::Replayed(letter));
            }
            Err(reason) => {
                open.refused = Some(reason.clone());
                into.letters.insert((id, offset), Some(open.clone()));
                into.commands.push(Obeyed::Refused(letter, reason));
            }
        }
    }

    /// Marks the tables that a statement rewrote. One sent twice finds what came of later ones, so it
    /// says nothing any more; records of the same one belong together.
    fn alter(&mut self, id: PartitionId, change: &SchemaChange, into: &mut Released) {
        let queue = &mut self.queues[id.index()];
        if let Some(gtid) = &change.gtid {
            if queue.seen.number(&gtid.server) > gtid.number {
                into.duplicates += 1;
                return;
            }
            queue.seen.raise(gtid);
        }
        let captured = |(_, table): &(TableId, &Table)| table.source == TableSource::Captured;
        let rewritten = queue.forms.take(change, self.plan.tables_with_ids().filter(captured));
        for table in rewritten {
            if let (Some(id), Some(gtid)) = (self.captured(table), &change.gtid) {
                self.queues[id.index()].snapshot.rewritten(gtid);
                self.recheck = true;
            }
        }
    }

    fn note(&mut self, notice: Notice, order: u64, into: &mut Released) {
        self.recheck = true;
        match notice {
            Notice::Reading { of, tables, contains } => {
                let is_read = |queue: &&mut Queue| matches!(queue.spec.role, Role::Table(table) if tables.contains(&table));
                for queue in self.queues.iter_mut().filter(is_read) {
                    queue.snapshot.reading(of, &contains);
                }
            }
            Notice::ReadingAnew { id, tables, contains } => {
                for table in tables {
                    let Some(at) = self.captured(table) else { continue };
                    self.queues[at.index()].snapshot.reading_anew(id, &contains);
                }
            }
            Notice::Read { of, table, rows } => {
                let Some(id) = self.captured(table) else { return };
                let queue = &mut self.queues[id.index()];
                if queue.snapshot.read(of, rows, &queue.seen) {
                    self.truncate(id, order, table, into);
                }
            }
            Notice::ReadBeside { table, rows, anew, contains } => {
                let Some(id) = self.captured(table) else { return };
                let queue = &mut self.queues[id.index()];
                match anew {
                    None => queue.snapshot.read_beside(rows),
                    Some(anew) => {
                        if queue.snapshot.read_anew(anew, rows, &contains, &queue.seen) {
                            self.truncate(id, order, table, into);
                        }
                    }
                }
            }
        }
    }

    /// The partition of a captured table.
    pub(super) fn captured(&self, table: TableId) -> Option<PartitionId> {
        let is = |queue: &Queue| queue.spec.role == Role::Table(table);
        self.queues.iter().position(is).map(|at| PartitionId(at as u16))
    }
}

/// The row that a change is about.
fn key_of(plan: &Plan, change: &Change) -> Option<Key> {
    match &change.op {
        Op::Upsert(row) => {
            let table = plan.tables.get(usize::from(change.table.0))?;
            Some(Key::of_row(&table.layout, row.as_bytes(), &table.key))
        }
        Op::Delete(key) => Some(key.clone()),
        Op::Truncate => None,
    }
}
