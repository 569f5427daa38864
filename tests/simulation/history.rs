//! What happens in the database, and how a connector that dies writes it into topics.
//!
//! The connector takes a snapshot, perhaps in several attempts, and then follows the transactions.
//! When it dies, the last records of each partition are lost, and it begins again with a statement
//! that it had not finished: what had arrived comes twice, with new offsets. It may lose its
//! offsets and take a new snapshot of everything, which contains transactions of which no topic has
//! anything, or not all.
//!
//! Absent, for the pipeline is known not to master it: a table that a new snapshot found empty
//! changes again before the notification of that is read.

use std::collections::BTreeMap;

use super::bank::{ACCOUNTS, Bank, ENTRIES, NOTES, OWNERS, Row, TABLES, VIEWS};
use super::random::Random;

/// The partitions: the tables in their order, then these.
pub(super) const MARKS: usize = TABLES;
pub(super) const MARK_PARTITIONS: usize = 2;
pub(super) const TRANSACTIONS: usize = MARKS + MARK_PARTITIONS;
pub(super) const NOTIFICATIONS: usize = TRANSACTIONS + 1;
pub(super) const HEARTBEATS: usize = TRANSACTIONS + 2;
pub(super) const COMMANDS: usize = TRANSACTIONS + 3;
pub(super) const PARTITIONS: usize = TRANSACTIONS + 4;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A row changed in a transaction: its place in it and among those of its table.
    Row { gtid: u64, total: u64, order: u64, id: i64, row: Option<Row> },
    /// A row of a snapshot attempt, its number from 1, of so many of its table, as of a transaction.
    Snapshot { attempt: u32, number: u64, rows: u64, row: Row, gtid: u64 },
    /// All rows went.
    Truncate { gtid: u64 },
    /// An event.
    Mark { account: i64, n: i64 },
    /// A transaction ended, with so many changes of each table.
    End { gtid: u64, counts: [u64; TABLES] },
    /// All tables are being read, as of this transaction.
    Reading { attempt: u32, gtid: u64 },
    /// A table was read, as of this transaction.
    Read { attempt: u32, table: usize, rows: u64, gtid: u64 },
    /// The server had executed all before this transaction.
    Executed { gtid: u64 },
    /// A view is to answer for the name of a view.
    Switch { name: usize, view: usize },
    /// A tombstone, or the beginning of a transaction.
    Nothing,
}

/// The records of all partitions, and what the database holds in the end.
#[derive(Debug)]
pub(super) struct History {
    pub(super) topics: Vec<Vec<Said>>,
    pub(super) truth: Bank,
}

/// A record to be written, and of which statement it is.
struct Write {
    partition: usize,
    statement: u64,
    said: Said,
}

impl History {
    /// A history of at most so many statements.
    pub(super) fn new(random: &mut Random, statements: usize) -> History {
        let mut source = Source { bank: Bank::default(), gtid: 0, attempt: 0 };
        for _ in 0..random.below(9) {
            // Before the snapshot: nobody hears of it.
            source.transaction(random);
        }
        let mut topics = vec![Vec::new(); PARTITIONS];
        let statements = random.between(1, 7).min(statements);
        let mut left = statements;
        loop {
            source.snapshots(random, &mut topics);
            if source.attempt > 1 && source.has_empty_tables() {
                break;
            }
            if left == 0 || random.percent(75) {
                source.run(random, left, false, &mut topics);
                break;
            }
            let count = random.below(left + 1);
            source.run(random, count, true, &mut topics);
            source.unheard(random);
            left -= count;
        }
        for _ in 0..random.below(6) {
            let (account, n) = (random.between(1, 4) as i64, random.between(1, 9) as i64);
            source.bank.mark(account, n);
            let partition = MARKS + random.below(MARK_PARTITIONS);
            topics[partition].push(Said::Mark { account, n });
        }
        for _ in 0..random.below(5) {
            let (name, view) = (random.below(VIEWS.len()), random.below(VIEWS.len()));
            topics[COMMANDS].push(Said::Switch { name, view });
        }
        History { topics, truth: source.bank }
    }
}

/// The database.
struct Source {
    bank: Bank,
    gtid: u64,
    attempt: u32,
}

impl Source {
    /// Attempts at a snapshot of what there is now; the last one succeeds.
    fn snapshots(&mut self, random: &mut Random, topics: &mut [Vec<Said>]) {
        let failing = if random.percent(20) { random.between(1, 2) } else { 0 };
        for attempt in 0..=failing {
            self.attempt += 1;
            let mut writes = self.snapshot();
            if attempt < failing {
                writes.truncate(random.below(writes.len() + 1));
                lose_some(random, &mut writes);
            }
            writes.into_iter().for_each(|write| topics[write.partition].push(write.said));
            if attempt < failing {
                self.unheard(random);
            }
        }
    }

    /// Transactions of which no topic has anything.
    fn unheard(&mut self, random: &mut Random) {
        for _ in 0..random.below(3) {
            self.transaction(random);
        }
    }

    /// Executes statements, which the connector follows; if it is `lost` then, it loses the last.
    fn run(
        &mut self,
        random: &mut Random,
        statements: usize,
        lost: bool,
        topics: &mut [Vec<Said>],
    ) {
        let writes: Vec<Write> = (0..statements).flat_map(|_| self.statement(random)).collect();
        follow(random, &writes, lost, topics);
    }

    fn has_empty_tables(&self) -> bool {
        self.bank.tables.iter().any(BTreeMap::is_empty)
    }

    fn snapshot(&self) -> Vec<Write> {
        let mut writes = Vec::new();
        let mut write = |partition, said| writes.push(Write { partition, statement: 0, said });
        let Source { attempt, gtid, .. } = *self;
        for (table, held) in self.bank.tables.iter().enumerate() {
            let rows = held.len() as u64;
            write(NOTIFICATIONS, Said::Reading { attempt, gtid });
            for (number, row) in (1..).zip(held.values()) {
                write(table, Said::Snapshot { attempt, number, rows, row: *row, gtid });
            }
            write(NOTIFICATIONS, Said::Read { attempt, table, rows, gtid });
        }
        writes
    }

    /// Executes a statement; what the connector writes of it.
    fn statement(&mut self, random: &mut Random) -> Vec<Write> {
        let mut writes = Vec::new();
        let statement = self.gtid + 1;
        let mut write = |partition, said| writes.push(Write { partition, statement, said });
        if random.percent(8) {
            self.gtid += 1;
            self.bank.tables[NOTES].clear();
            write(NOTES, Said::Truncate { gtid: self.gtid });
            return writes;
        }
        write(TRANSACTIONS, Said::Nothing);
        let mut counts = [0; TABLES];
        if random.percent(12) {
            self.gtid += 1;
            write(HEARTBEATS, Said::Executed { gtid: self.gtid });
        } else if random.percent(5) {
            // Of no table of ours.
            self.gtid += 1;
        } else {
            let changes = self.transaction(random);
            for (total, (table, id, row)) in (1..).zip(changes) {
                counts[table] += 1;
                let order = counts[table];
                write(table, Said::Row { gtid: self.gtid, total, order, id, row });
                if row.is_none() {
                    write(table, Said::Nothing);
                }
            }
        }
        write(TRANSACTIONS, Said::End { gtid: self.gtid, counts });
        writes
    }

    /// Changes some rows in one transaction.
    fn transaction(&mut self, random: &mut Random) -> Vec<(usize, i64, Option<Row>)> {
        self.gtid += 1;
        let mut open = Transaction { bank: &mut self.bank, v: self.gtid as i64, changes: vec![] };
        for _ in 0..random.between(1, 3) {
            open.change(random);
        }
        open.changes
    }
}

/// A transaction that is being made.
struct Transaction<'b> {
    bank: &'b mut Bank,
    v: i64,
    changes: Vec<(usize, i64, Option<Row>)>,
}

impl Transaction<'_> {
    fn change(&mut self, random: &mut Random) {
        let account = random.between(1, 6) as i64;
        let other = random.between(1, 6) as i64;
        let owner = random.between(1, 2) as i64;
        let (entry, note) = (random.between(1, 7) as i64, random.between(1, 4) as i64);
        match random.below(24) {
            0..4 => self.post(entry, account),
            4..6 => self.remove_entry(entry),
            6..8 => self.move_entry(entry, account),
            8..12 => self.open(account, owner),
            12 => self.close(account),
            13 => self.rekey(account, other),
            14 => self.set(ACCOUNTS, account, |row| row[1] = owner),
            15 => self.set(ACCOUNTS, account, |_| {}),
            16..21 => self.write(OWNERS, owner, Some([owner, self.v, 0, 0])),
            21 => self.write(OWNERS, owner, None),
            22 => self.write(NOTES, note, Some([note, account, 0, 0])),
            _ => self.write(NOTES, note, None),
        }
    }

    fn open(&mut self, account: i64, owner: i64) {
        if !self.has(ACCOUNTS, account) {
            self.write(ACCOUNTS, account, Some([account, owner, 0, self.v]));
        }
        if !self.has(OWNERS, owner) {
            self.write(OWNERS, owner, Some([owner, self.v, 0, 0]));
        }
    }

    fn post(&mut self, entry: i64, account: i64) {
        if !self.has(ENTRIES, entry) && self.has(ACCOUNTS, account) {
            self.write(ENTRIES, entry, Some([entry, account, self.v, 0]));
            self.set(ACCOUNTS, account, |row| row[2] += 1);
        }
    }

    fn remove_entry(&mut self, entry: i64) {
        if let Some(row) = self.bank.tables[ENTRIES].get(&entry).copied() {
            self.set(ACCOUNTS, row[1], |row| row[2] -= 1);
            self.write(ENTRIES, entry, None);
        }
    }

    fn move_entry(&mut self, entry: i64, to: i64) {
        let Some(row) = self.bank.tables[ENTRIES].get(&entry).copied() else { return };
        if self.has(ACCOUNTS, to) {
            self.set(ACCOUNTS, row[1], |row| row[2] -= 1);
            self.write(ENTRIES, entry, Some([entry, to, self.v, 0]));
            self.set(ACCOUNTS, to, |row| row[2] += 1);
        }
    }

    fn close(&mut self, account: i64) {
        for entry in self.entries_of(account) {
            self.write(ENTRIES, entry, None);
        }
        self.write(ACCOUNTS, account, None);
    }

    /// A primary key changes: its row goes and comes with another.
    fn rekey(&mut self, account: i64, to: i64) {
        let Some(row) = self.bank.tables[ACCOUNTS].get(&account).copied() else { return };
        if self.has(ACCOUNTS, to) {
            return;
        }
        self.write(ACCOUNTS, account, None);
        self.write(ACCOUNTS, to, Some([to, row[1], row[2], self.v]));
        for entry in self.entries_of(account) {
            self.write(ENTRIES, entry, Some([entry, to, self.v, 0]));
        }
    }

    fn entries_of(&self, account: i64) -> Vec<i64> {
        let entries = self.bank.tables[ENTRIES].values();
        entries.filter(|entry| entry[1] == account).map(|entry| entry[0]).collect()
    }

    fn has(&self, table: usize, id: i64) -> bool {
        self.bank.tables[table].contains_key(&id)
    }

    /// Changes an account, if there is one.
    fn set(&mut self, table: usize, id: i64, change: impl FnOnce(&mut Row)) {
        if let Some(mut row) = self.bank.tables[table].get(&id).copied() {
            change(&mut row);
            row[3] = self.v;
            self.write(table, id, Some(row));
        }
    }

    fn write(&mut self, table: usize, id: i64, row: Option<Row>) {
        if row.is_some() || self.has(table, id) {
            self.bank.set(table, id, row);
            self.changes.push((table, id, row));
        }
    }
}

/// What arrives of these writes: the connector dies up to three times and rewinds, the last time
/// perhaps for good.
fn follow(random: &mut Random, writes: &[Write], lost: bool, topics: &mut [Vec<Said>]) {
    let mut from = 0;
    let deaths = if random.percent(60) { usize::from(lost) } else { random.between(1, 3) };
    for _ in 0..deaths {
        let died_at = random.between(from, writes.len());
        let mut again_from = died_at;
        for (partition, topic) in topics.iter_mut().enumerate() {
            let sent: Vec<usize> =
                (from..died_at).filter(|at| writes[*at].partition == partition).collect();
            let lost = random.below(sent.len().min(3) + 1);
            let (arrived, lost) = sent.split_at(sent.len() - lost);
            topic.extend(arrived.iter().map(|at| writes[*at].said.clone()));
            again_from = again_from.min(lost.first().copied().unwrap_or(died_at));
        }
        let back = again_from - random.below(again_from.min(8) + 1);
        let statement = writes.get(back).map_or(u64::MAX, |write| write.statement);
        let begins = |write: &Write| write.statement >= statement;
        from = writes.iter().position(begins).unwrap_or(writes.len());
    }
    for write in writes[from..].iter().filter(|_| !lost) {
        topics[write.partition].push(write.said.clone());
    }
}

/// The last writes of each partition do not arrive.
fn lose_some(random: &mut Random, writes: &mut Vec<Write>) {
    let mut lost: BTreeMap<usize, usize> =
        (0..PARTITIONS).map(|partition| (partition, random.below(3))).collect();
    let mut kept = Vec::new();
    while let Some(write) = writes.pop() {
        match lost.get_mut(&write.partition) {
            Some(left) if *left > 0 => *left -= 1,
            _ => kept.push(write),
        }
    }
    kept.reverse();
    *writes = kept;
}
