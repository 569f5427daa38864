//! The transaction whose turn it is: what of it has arrived, and its release.

use super::orders::Orders;
use super::queue::Standing;
use super::{Released, SequenceError, Sequencer};
use crate::gtid::Gtid;
use crate::source::record::{Content, PartitionId};

/// The first transaction that has ended and is not applied.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) gtid: Gtid,
    /// Number of its END in the queue of the transaction topic.
    end: u64,
    needs: Vec<Need>,
}

/// What it takes from one table.
#[derive(Debug)]
struct Need {
    partition: PartitionId,
    /// Changes that END counts.
    count: u64,
    /// Those applied or in the queue.
    found: Orders,
    /// Number of the next record of the queue to look at.
    cursor: u64,
    /// Number behind the last record of the queue that belongs to the transaction.
    behind_last: u64,
    /// What is missing is not waited for.
    lost: bool,
}

/// What came of an attempt to release the front transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It was released.
    Released,
    /// It waits for records, or there is none.
    Blocked,
}

impl Front {
    /// The tables that lack changes, and how many.
    pub(super) fn missing(&self) -> impl Iterator<Item = (PartitionId, u64)> {
        self.needs.iter().filter(|need| need.is_open()).map(|need| (need.partition, need.lacks()))
    }
}

impl Need {
    fn lacks(&self) -> u64 {
        self.count.saturating_sub(self.found.len())
    }

    fn is_open(&self) -> bool {
        self.lacks() > 0 && !self.lost
    }
}

impl Sequencer {
    /// Releases the transaction whose turn it is, if all of it is there.
    pub(super) fn release_front(&mut self, into: &mut Released) -> Result<Progress, SequenceError> {
        let Some(topic) = self.transactions else { return Ok(Progress::Blocked) };
        if self.front.is_none() {
            self.front = self.find_front(topic);
        }
        let Some(mut front) = self.front.take() else { return Ok(Progress::Blocked) };
        let mut open = false;
        for need in &mut front.needs {
            self.look_for(&front.gtid, need, into)?;
            open |= need.is_open();
        }
        if open {
            self.front = Some(front);
            return Ok(Progress::Blocked);
        }
        self.check_order(&front.gtid)?;
        self.take_transaction(topic, front, into);
        Ok(Progress::Released)
    }

    /// No earlier transaction of the same server may be left: its end did not come. What lies behind
    /// the target had not come either when a former run released this one.
    fn check_order(&self, gtid: &Gtid) -> Result<(), SequenceError> {
        for queue in &self.queues {
            let Some(head) = queue.records.front().filter(|_| !queue.is_lost()) else { continue };
            if self.replaying && queue.is_beyond_target(head.offset) {
                continue;
            }
            if let Some(place) = head.content.place()
                && place.gtid.server == gtid.server
                && place.gtid.number < gtid.number
                && queue.standing(place, &self.watermarks) == Standing::New
            {
                return Err(queue.end_missing(place, head.offset, gtid));
            }
        }
        Ok(())
    }

    /// Whether the end of a transaction is there.
    fn has_end(&self, gtid: &Gtid) -> bool {
        let queue = self.transactions.map(|topic| &self.queues[topic.index()]);
        queue.is_some_and(|queue| {
            let mut records = queue.records.iter();
            records.any(|r| matches!(&r.content, Content::End(end) if end.gtid == *gtid))
        })
    }

    /// Makes room where a transaction waits for changes of a paused partition. Where there is none
    /// left, what has arrived of it is applied: it is larger than what is held in memory.
    pub(super) fn make_room(&mut self, into: &mut Released) {
        let Some(front) = self.front.take() else { return };
        for (id, _) in front.missing().collect::<Vec<_>>() {
            let queue = &mut self.queues[id.index()];
            if !queue.is_paused() {
                continue;
            }
            queue.extend();
            if queue.is_full(&self.bounds) {
                self.take_changes(&front, into);
                into.parts += 1;
            }
            self.update_flow(id);
            break;
        }
        self.front = Some(front);
    }

    fn find_front(&self, topic: PartitionId) -> Option<Front> {
        let queue = &self.queues[topic.index()];
        let ends = queue.records.iter().enumerate().filter_map(|(at, record)| {
            let Content::End(end) = &record.content else { return None };
            (!self.watermarks.covers(&end.gtid)).then_some((at, record.offset, end))
        });
        let (at, offset, end) = ends.take(1).next()?;
        if self.replaying && queue.is_beyond_target(offset) {
            return None;
        }
        let need = |&(partition, count): &(PartitionId, u64)| {
            let queue = &self.queues[partition.index()];
            let head = queue.head_number();
            Need {
                partition,
                count,
                found: queue.applied_of(&end.gtid),
                cursor: head,
                behind_last: head,
                lost: false,
            }
        };
        Some(Front {
            gtid: end.gtid.clone(),
            end: queue.head_number() + at as u64,
            needs: end.counts.iter().map(need).collect(),
        })
    }

    /// Looks through records of a table that arrived since for changes of a transaction.
    fn look_for(
        &mut self,
        gtid: &Gtid,
        need: &mut Need,
        into: &mut Released,
    ) -> Result<(), SequenceError> {
        let queue = &mut self.queues[need.partition.index()];
        if queue.snapshot.contains(gtid) {
            // Its changes are dropped as they come, if they come.
            need.count = 0;
            return Ok(());
        }
        // Whether the snapshot that makes up for it contains the transaction its first record tells.
        if queue.is_lost() {
            return Ok(());
        }
        need.cursor = need.cursor.max(queue.head_number());
        let mut follower = None;
        while need.is_open() {
            let record = queue.numbered(need.cursor);
            let offset = record.map_or(queue.end(), |record| record.offset);
            // A former run released the transaction with what it had up to there.
            if self.replaying && queue.is_beyond_target(offset) {
                need.lost = true;
                break;
            }
            let Some(record) = record else { break };
            if let Some(place) = record.content.place() {
                let same_server = place.gtid.server == gtid.server;
                match queue.standing(place, &self.watermarks) {
                    _ if place.gtid == *gtid && need.found.insert(place.table_order) => {
                        need.behind_last = need.cursor + 1;
                    }
                    Standing::New if place.gtid != *gtid => {
                        if same_server && place.gtid.number < gtid.number {
                            return Err(queue.end_missing(place, offset, gtid));
                        }
                        follower = Some(place.gtid.clone());
                        break;
                    }
                    // Dropped at the head, where it is told from what was never seen.
                    Standing::Applied if queue.snapshot.contains(&place.gtid) => {}
                    Standing::New | Standing::Applied => {
                        queue.ignore(need.cursor);
                        into.duplicates += 1;
                    }
                    Standing::Late => {}
                    Standing::Unended => return Err(queue.end_missing(place, offset, gtid)),
                }
            }
            need.cursor += 1;
        }
        // What follows in the binlog is here, so nothing before it comes any more. That another
        // server's change follows is known once its end is there, too.
        if let Some(follower) = follower {
            need.lost = follower.server == gtid.server || self.has_end(&follower);
        }
        self.update_flow(need.partition);
        Ok(())
    }

    /// Takes a transaction's changes that are there off all queues, with what lies between them.
    fn take_changes(&mut self, front: &Front, into: &mut Released) {
        for need in &front.needs {
            let mut order = 0;
            while self.queues[need.partition.index()].head_number() < need.behind_last {
                match self.head(need.partition).and_then(Content::place) {
                    Some(place) if place.gtid == front.gtid => order = place.total_order,
                    _ => {}
                }
                self.take_head(need.partition, order, into);
            }
        }
        // Stable, so that what lies between changes stays behind the change it followed.
        if !self.scratch.is_sorted_by_key(|(order, _)| *order) {
            self.scratch.sort_by_key(|(order, _)| *order);
        }
        into.changes.extend(self.scratch.drain(..).map(|(_, change)| change));
    }

    /// Takes a transaction with its end.
    fn take_transaction(&mut self, topic: PartitionId, front: Front, into: &mut Released) {
        self.take_changes(&front, into);
        for need in &front.needs {
            self.queues[need.partition.index()].end_transaction(&front.gtid, need.lacks() > 0);
            self.update_flow(need.partition);
        }
        while self.queues[topic.index()].head_number() <= front.end {
            self.take_head(topic, 0, into);
        }
        into.transactions += 1;
        into.incomplete += u64::from(front.needs.iter().any(|need| need.lacks() > 0));
        self.watermarks.raise(&front.gtid);
        into.watermarks.raise(&front.gtid);
    }

    fn head(&self, id: PartitionId) -> Option<&Content> {
        Some(&self.queues[id.index()].records.front()?.content)
    }
}
