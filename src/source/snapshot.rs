//! When a table is complete: its snapshot was read to the end, and every row of it is applied.
//!
//! Rows and Debezium's notifications say which snapshot they are of, so that attempts are never
//! mixed up, however the topics interleave: a connector that dies takes its snapshot again, and the
//! state that it reads then may contain transactions that no topic has. So the tables that one
//! snapshot reads belong together. As soon as anything is known of a new one, they are filling, and
//! all of them are complete only by that one: no document joins rows of before and after.
//!
//! Which tables a snapshot reads its first notification says. Rows may be here before it: until it
//! comes, the snapshot may be of all tables. A table's last row is marked as such, but not always:
//! the only row of the first table is marked as the first one, the last row may be unreadable, and
//! an empty table has none. Then the number of rows counts that the notification tells.
//!
//! A snapshot from nothing begins with emptying the table: a row that was deleted in between is in
//! no snapshot. Changes of transactions that it contains are void, and not waited for: of the last
//! ones before it some records may never come. Where it finds no row, its notification empties the
//! table. If it has rows of before and changed since, nobody can tell which are which: it stays
//! incomplete until it is read again.
//!
//! An incremental snapshot, which a signal asks for while changes go on, empties nothing: a table
//! that was complete stays so. It completes one that never was.
//!
//! An incremental snapshot may also read a table anew ([`super::anew`]): its first record in the
//! table's topic empties the table, which is complete again once a record follows that was written
//! after it, and as many are applied as it read.
//!
//! Where records are gone before they were read, what remains of them says nothing: the table is
//! lost. Until a snapshot that was asked for afterwards begins to read it anew, its records are
//! passed over, and what those were of is contained in that snapshot.
//!
//! A table may be added to those that are read. What was told of its snapshots so far has been passed,
//! so its rows say nothing of other tables, and it is complete only once a snapshot reads it anew that
//! says so from then on.
//!
//! A statement may rewrite a table without changes of its rows ([`super::rewrites`]). Then it is complete
//! only by a snapshot from nothing that contains the statement, or by one that reads the table anew
//! and began behind it: which transactions had been read then, its first notification tells.
//!
//! Absent: proof that an incremental snapshot is complete to the row, since Debezium leaves out
//! rows that changed while it read them; the changes of the table are counted in their place.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::anew::AnewId;
use super::record::{BinlogPlace, Content, SnapshotMark};
use crate::gtid::{Gtid, Server, Watermarks};

/// Snapshots remembered of a table: what comes of an older one is long behind.
const TOLD_MAX: usize = 8;

/// What is known of the snapshots of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// The latest from nothing of which a row was applied, or that found the table empty.
    latest: Option<BinlogPlace>,
    /// Rows of it that were applied, unreadable ones counted as rows.
    rows: u64,
    /// Its last row was seen.
    closed: bool,
    /// What an incremental snapshot read since.
    incremental: Incremental,
    /// Nobody can tell its older rows from its newer ones.
    in_doubt: bool,
    /// It was added to the tables that are read, and no snapshot is known to read it anew since.
    #[serde(default)]
    added: bool,
    /// Records of it are gone that no snapshot has made up for.
    lost: bool,
    /// Where the table's topic ended when that was found.
    lost_until: i64,
    /// What snapshots up to this number say means nothing: they were asked for before the loss.
    bound: AnewId,
    /// The snapshot that reads, or has read, the table anew since.
    anew: Option<Anew>,
    /// Such snapshots that are over, the latest last.
    over: Vec<AnewId>,
    held: Held,
    /// Notifications of snapshots from nothing that read the table, in their order.
    told: Vec<Told>,
    /// The transactions that they contain.
    contained: Watermarks,
    /// The last statement of each server that rewrote the table without changes of its rows.
    rewritten: Watermarks,
    /// Snapshots that were to read the table anew and said that they begin, the latest last.
    asked: Vec<Asked>,
}

/// What is known of incremental snapshots since the latest one from nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Incremental {
    /// Rows applied, and changes of the table in between.
    rows: u64,
    /// Rows that Debezium says it read.
    scanned: Option<u64>,
}

/// Why a table is not complete before it is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanting {
    /// Only a snapshot with a greater number than this makes it complete.
    After(AnewId),
    /// One has begun to read it, or is to be waited for.
    Reading {
        /// Rows of it that are applied, and changes in between.
        rows: u64,
    },
}

/// What is known of a snapshot that reads the table anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Anew {
    id: AnewId,
    /// How much of it was applied before the latest record that was written while it did not read:
    /// by then it was over, or had broken off.
    followed: Option<u64>,
    /// The table was lost when it began.
    after_loss: bool,
}

/// What is told of a snapshot that reads the table anew, apart from the table's own topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    id: AnewId,
    /// The transactions that had been read when it began: what they did is in what it reads.
    contains: Watermarks,
    /// Rows that it read, once it has read the table to its end.
    ended: Option<u64>,
}

/// What rows the table may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Held {
    /// None.
    #[default]
    Nothing,
    /// Only such as this transaction or later ones wrote.
    Since(Gtid),
    /// Any.
    Rows,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    of: BinlogPlace,
    /// Rows that Debezium says it read, once it has.
    rows: Option<u64>,
}

/// What a snapshot row does to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It joins the rows that are there.
    Joins,
    /// It is the first of a snapshot from nothing: the rows that are there go first.
    Replaces,
    /// It comes too late: a later snapshot found the table empty.
    Void,
}

impl Snapshot {
    /// Counts a snapshot row and says what it does.
    pub(super) fn row(&mut self, mark: SnapshotMark, of: BinlogPlace) -> Effect {
        if mark == SnapshotMark::Incremental {
            self.incremental.rows += 1;
            self.held = Held::Rows;
            return Effect::Joins;
        }
        if self.is_before_latest(of) || self.may_be_late(of) {
            return Effect::Void;
        }
        let begins = mark == SnapshotMark::First
            || self.closed
            || self.latest != Some(of)
            || self.incremental.rows > 0;
        if begins {
            self.end_anew();
            self.in_doubt = false;
            self.latest = Some(of);
            self.rows = 0;
            self.incremental = Incremental::default();
        }
        self.closed = mark == SnapshotMark::Last;
        self.rows += 1;
        let former = std::mem::replace(&mut self.held, Held::Rows);
        if begins && former != Held::Nothing { Effect::Replaces } else { Effect::Joins }
    }

    /// Whether a later snapshot is known to have found the table empty.
    fn is_before_latest(&self, of: BinlogPlace) -> bool {
        let place = |of| self.told.iter().position(|told| Some(told.of) == of);
        place(Some(of)).zip(place(self.latest)).is_some_and(|(of, latest)| of < latest)
    }

    /// Whether rows of a snapshot that nothing is told of are probably of one that broke off before
    /// the latest, which found the table empty; they may be of a later one, of another server.
    pub(super) fn may_be_late(&self, of: BinlogPlace) -> bool {
        let Some(latest) = self.latest.filter(|latest| of < *latest) else { return false };
        self.told.iter().all(|told| told.of != of)
            && self.told.iter().any(|told| told.of == latest && told.rows == Some(0))
    }

    /// Why the table is complete only once it is read anew, if so.
    pub(super) fn wanting(&self) -> Option<Wanting> {
        let reading = Some(Wanting::Reading { rows: self.incremental.rows });
        let after = Some(Wanting::After(self.bound));
        match &self.anew {
            _ if self.lost || self.added => after,
            _ if self.is_read_anew() => reading,
            None if self.in_doubt => after,
            _ if self.rewritten_since(|_| true).next().is_some() => after,
            // One that began behind the statement is under way, or comes.
            _ if self.rewritten_since(|asked| self.has_applied(asked)).next().is_some() => reading,
            _ => None,
        }
    }

    /// Whether a snapshot that is asked for when these transactions are applied begins behind all
    /// statements that rewrote the table, and says so.
    pub(super) fn may_be_asked_for(&self, applied: &Watermarks) -> bool {
        self.rewritten_since(|_| true).all(|(server, number)| applied.number(server) >= number)
    }

    /// A statement rewrote the table without changes of its rows.
    pub(super) fn rewritten(&mut self, gtid: &Gtid) {
        self.rewritten.raise(gtid);
    }

    /// Rows are held otherwise than the table has them: it is complete only once it is read anew.
    pub(super) fn doubt(&mut self) {
        self.end_anew();
        self.in_doubt = true;
    }

    /// The table is read from here on, though what was told of its snapshots has been passed.
    pub(super) fn add(&mut self) {
        self.added = true;
    }

    /// Whether it was added, and no snapshot is known to read it anew since.
    pub(super) fn is_added(&self) -> bool {
        self.added
    }

    /// An added table is like any other once a snapshot reads it anew of which that is told.
    fn settle(&mut self) {
        let is_told = |anew: &Anew| self.asked.iter().any(|asked| asked.id == anew.id);
        if self.added && self.anew.as_ref().is_some_and(is_told) {
            self.added = false;
            self.latest = None;
            (self.rows, self.closed) = (0, false);
        }
    }

    /// A snapshot begins that is to read the table anew, when these transactions had been read. Of
    /// several beginnings the first counts.
    pub(super) fn reading_anew(&mut self, id: AnewId, contains: &Watermarks) {
        if self.is_before_loss(Some(id)) {
            return;
        }
        if self.asked.iter().all(|asked| asked.id != id) {
            self.asked.push(Asked { id, contains: contains.clone(), ended: None });
            self.asked.drain(..self.asked.len().saturating_sub(TOLD_MAX));
            // Some changes of these transactions may be gone.
            if self.lost || self.anew.as_ref().is_some_and(|anew| anew.id == id && anew.after_loss)
            {
                self.contain(contains);
            }
            self.settle();
        }
    }

    /// The last statement of each server that rewrote the table, if no snapshot from nothing
    /// contains it, and none that `counts` of those that read it anew.
    fn rewritten_since(
        &self,
        counts: impl Fn(&Asked) -> bool,
    ) -> impl Iterator<Item = (&Server, u64)> {
        self.rewritten.iter().filter(move |(server, number)| {
            let has = |asked: &Asked| asked.contains.number(server) >= *number;
            self.contained.number(server) < *number
                && !self.asked.iter().any(|asked| has(asked) && counts(asked))
        })
    }

    /// Whether all that a snapshot read anew is applied.
    fn has_applied(&self, asked: &Asked) -> bool {
        let is_over = |anew: &Anew| anew.id == asked.id && self.is_over(anew);
        asked.ended.is_some()
            && (self.over.contains(&asked.id) || self.anew.as_ref().is_some_and(is_over))
    }

    /// A signal may be obeyed twice: the rows say which time the notification is of. One that comes
    /// while another snapshot runs takes over what that was reading: it does not begin.
    fn is_over(&self, anew: &Anew) -> bool {
        let ended = self.asked.iter().find(|asked| asked.id == anew.id).and_then(|of| of.ended);
        ended.is_some() && anew.followed >= ended
    }

    /// Whether a snapshot has begun to read the table anew that is not over.
    pub(super) fn is_read_anew(&self) -> bool {
        self.anew.as_ref().is_some_and(|anew| !self.is_over(anew))
    }

    /// Records of the table are gone that no snapshot up to this number makes up for; the topic
    /// ends there.
    pub(super) fn lose(&mut self, before: AnewId, until: i64) {
        self.end_anew();
        let known = self.over.iter().copied().chain(self.asked.iter().map(|asked| asked.id));
        self.bound = known.fold(self.bound.max(before), AnewId::max);
        (self.lost, self.lost_until) = (true, until);
        self.in_doubt = false;
        self.held = Held::Rows;
        self.latest = None;
        (self.rows, self.closed) = (0, false);
        self.told.clear();
        self.incremental = Incremental::default();
    }

    /// Whether records of the table mean nothing that were written while this snapshot read it anew,
    /// or while none did.
    pub(super) fn is_lost_to(&self, anew: Option<AnewId>) -> bool {
        self.lost && (anew.is_none() || self.is_before_loss(anew))
    }

    /// Passes over a change of a lost table: the snapshot that makes up for it reads the table later.
    pub(super) fn pass_over(&mut self, gtid: &Gtid) {
        self.contained.raise(gtid);
    }

    /// Whether a row that was written while this snapshot read is of one that was asked for before
    /// records were lost: the table may have been read to its end since.
    pub(super) fn is_before_loss(&self, anew: Option<AnewId>) -> bool {
        anew.is_some_and(|id| id <= self.bound)
    }

    /// Whether the snapshot has told that the table is empty: its rows are of an attempt before that
    /// broke off, or of one after, to which the changes since then have brought them.
    pub(super) fn was_found_empty_by(&self, anew: Option<AnewId>) -> bool {
        let is_so = |asked: &Asked| anew == Some(asked.id) && asked.ended == Some(0);
        self.asked.iter().any(is_so)
    }

    /// Whether something of before the loss is still to be passed over: so long nothing that is told
    /// of the table may make its records count.
    pub(super) fn is_within_loss(&self, next_offset: i64) -> bool {
        self.lost && next_offset < self.lost_until
    }

    /// Follows the table's topic past a record that counts, which was written while a snapshot read
    /// the table anew, or while none did. True when it is the first of such a snapshot: the rows of
    /// before must go.
    pub(super) fn follow(&mut self, anew: Option<AnewId>, content: &Content) -> bool {
        if anew.is_some_and(|id| self.is_old(id)) {
            return false;
        }
        let found_empty = self.was_found_empty_by(anew);
        match (anew, &mut self.anew) {
            (Some(id), Some(anew)) if anew.id == id => {
                // It goes on, or begins again.
                if matches!(content, Content::Snapshot { .. }) && !found_empty {
                    anew.followed = None;
                }
                false
            }
            (Some(id), _) => {
                self.begin_anew(id, None);
                std::mem::take(&mut self.held) != Held::Nothing
            }
            (None, Some(anew)) => {
                if !matches!(content, Content::Ignored) {
                    anew.followed = Some(self.incremental.rows);
                }
                false
            }
            (None, None) => false,
        }
    }

    /// Whether what a snapshot says comes too late: another has begun since, or it was asked for
    /// before records were lost.
    fn is_old(&self, id: AnewId) -> bool {
        self.is_before_loss(Some(id)) || self.over.contains(&id)
    }

    fn begin_anew(&mut self, id: AnewId, followed: Option<u64>) {
        self.end_anew();
        self.anew = Some(Anew { id, followed, after_loss: self.lost });
        (self.lost, self.in_doubt) = (false, false);
        self.incremental = Incremental::default();
        self.settle();
    }

    /// Records of the snapshot that come again later mean nothing.
    fn end_anew(&mut self) {
        self.over.extend(self.anew.take().map(|anew| anew.id));
        self.over.drain(..self.over.len().saturating_sub(TOLD_MAX));
    }

    /// Counts a row that is unreadable: it may have been a snapshot's.
    pub(super) fn hole(&mut self) {
        self.held = Held::Rows;
        if !self.closed {
            self.rows += 1;
        }
        self.count_beside();
    }

    /// Notes a change of the table outside of any snapshot. Those of a server come in order.
    pub(super) fn change(&mut self, gtid: &Gtid) {
        if self.held == Held::Nothing {
            self.held = Held::Since(gtid.clone());
        }
        self.count_beside();
    }

    /// Notes that all rows went, outside of any snapshot.
    pub(super) fn truncate(&mut self) {
        self.held = Held::Nothing;
        self.count_beside();
    }

    /// Debezium leaves rows out of an incremental snapshot that change meanwhile.
    fn count_beside(&mut self) {
        if self.incremental.rows > 0 || self.anew.is_some() {
            self.incremental.rows += 1;
        }
    }

    /// Whether a snapshot from nothing contains a transaction: what else comes of it is void.
    pub(super) fn contains(&self, gtid: &Gtid) -> bool {
        self.contained.covers(gtid)
    }

    /// The table is being read from nothing, as of these transactions.
    pub(super) fn reading(&mut self, of: BinlogPlace, contains: &Watermarks) {
        self.contain(contains);
        if self.told.last().is_none_or(|told| told.of != of) {
            self.told.retain(|told| told.of != of);
            self.told.push(Told { of, rows: None });
            self.end_anew();
            if self.latest != Some(of) {
                self.incremental = Incremental::default();
            }
            self.told.drain(..self.told.len().saturating_sub(TOLD_MAX));
        }
    }

    /// The table was read to its end from nothing; `seen` are the changes of it that were applied.
    /// True when it was empty but may have rows of before: those must go.
    pub(super) fn read(&mut self, of: BinlogPlace, rows: u64, seen: &Watermarks) -> bool {
        self.reading(of, &Watermarks::default());
        self.told.last_mut().into_iter().for_each(|told| told.rows = Some(rows));
        if rows > 0 || self.latest == Some(of) {
            return false;
        }
        // Of which no notification tells yet: its own is still to come, unless it was lost.
        if self.untold().is_some_and(|latest| latest > of) {
            return false;
        }
        let Some(empties) = self.empty(seen) else { return false };
        self.latest = Some(of);
        (self.rows, self.closed) = (0, false);
        self.incremental = Incremental::default();
        empties
    }

    /// A snapshot that contains what is `contained` found the table empty. Whether it has rows of
    /// before, which must go; `None` if nobody can tell them from those of after.
    fn empty(&mut self, seen: &Watermarks) -> Option<bool> {
        let has_older = match &self.held {
            Held::Nothing => false,
            Held::Since(gtid) => self.contained.covers(gtid),
            Held::Rows => true,
        };
        self.in_doubt = has_older && !self.contained.include(seen);
        if self.in_doubt {
            return None;
        }
        if has_older {
            self.held = Held::Nothing;
        }
        Some(has_older)
    }

    /// The table was read to its end anew, when these transactions had been read. True when it was
    /// empty but may have rows of before: those must go.
    pub(super) fn read_anew(
        &mut self,
        id: AnewId,
        rows: u64,
        contains: &Watermarks,
        seen: &Watermarks,
    ) -> bool {
        let Some(asked) = self.asked.iter_mut().find(|asked| asked.id == id) else { return false };
        asked.ended = Some(rows);
        // What was passed over may be of after it.
        let has_missed = self.lost && !contains.include(seen);
        if rows > 0 || has_missed || self.is_old(id) {
            return false;
        }
        let before = self.contained.clone();
        self.contain(contains);
        let emptied = self.empty(seen);
        if emptied.is_none() {
            // Changes count, as they did so far.
            self.contained = before;
        }
        match &mut self.anew {
            Some(anew) if anew.id == id => {
                // They are all there is of it since it has begun.
                anew.followed = Some(0);
                self.in_doubt = false;
            }
            // Else it is asked for again.
            _ if emptied.is_some() => self.begin_anew(id, Some(0)),
            _ => {}
        }
        emptied.unwrap_or(false)
    }

    fn contain(&mut self, contains: &Watermarks) {
        contains.iter().for_each(|(server, number)| {
            self.contained.raise(&Gtid { server: server.clone(), number });
        });
    }

    /// The table was read to its end by an incremental snapshot.
    pub(super) fn read_beside(&mut self, rows: u64) {
        self.incremental.scanned = Some(rows);
    }

    /// The snapshot that rows were applied of though no notification tells of it yet: nobody knows
    /// which other tables it reads. What was told of an added table's nobody will hear again; no view
    /// that reads it is published, and what others read says so itself.
    pub(super) fn untold(&self) -> Option<BinlogPlace> {
        let is_untold = |latest: &BinlogPlace| self.told.iter().all(|told| told.of != *latest);
        self.latest.filter(|latest| !self.added && is_untold(latest))
    }

    /// Whether everything that was read is applied, if of other tables rows of these snapshots
    /// were applied that no notification tells of yet.
    pub(super) fn is_complete(&self, untold: &[BinlogPlace]) -> bool {
        if untold.iter().any(|of| self.latest != Some(*of)) || self.wanting().is_some() {
            return false;
        }
        if self.anew.is_some() {
            return true;
        }
        let Incremental { rows, scanned } = self.incremental;
        if (rows > 0 || self.latest.is_none()) && scanned.is_some_and(|scanned| rows >= scanned) {
            return true;
        }
        match (self.told.last(), self.latest) {
            (Some(told), Some(latest)) if told.of == latest => {
                self.closed || told.rows.is_some_and(|rows| self.rows >= rows)
            }
            // Without notifications its marks have to do.
            (None, Some(_)) => self.closed,
            _ => false,
        }
    }
}
