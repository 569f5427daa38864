//! Random histories, written by a connector that dies and begins again, read in random order:
//! every table must see its changes once and in order, every transaction whole; and a replay to
//! any former positions, from the beginning or from positions before, must pass exactly what was
//! applied there.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::tests::{BOUNDS, end, gtid, hole, number_of, record, row, upsert};
use super::*;
use crate::source::anew::AnewId;
use crate::source::record::{BinlogPlace, SnapshotMark};

/// Partitions: tables first, then one stream, transactions, notifications.
pub(super) const TABLES: usize = 3;
pub(super) const STREAM: usize = TABLES;
pub(super) const TRANSACTIONS: usize = TABLES + 1;
pub(super) const PARTITIONS: usize = TABLES + 3;

/// What the connector writes, in order: partition and content, and which statement it is of.
struct Write {
    partition: usize,
    statement: usize,
    content: Content,
}

/// Every record of every partition, with the snapshot that was reading tables anew meanwhile.
pub(super) type Topics = Vec<Vec<(Content, Option<AnewId>)>>;

/// A history as the connector writes it when nothing goes wrong, and each table's changes.
fn history(random: &mut StdRng) -> (Vec<Write>, Vec<Vec<u64>>) {
    let mut writes = Vec::new();
    let mut expected = vec![Vec::new(); TABLES];
    for (table, numbers) in expected.iter_mut().enumerate() {
        let rows = random.random_range(0..4);
        for n in 1..=rows {
            let mark = if n == rows {
                SnapshotMark::Last
            } else if n == 1 {
                SnapshotMark::First
            } else {
                SnapshotMark::Inner
            };
            let of = BinlogPlace::default();
            let content = Content::Snapshot { change: upsert(table as u16, n), mark, of };
            numbers.push(n);
            writes.push(Write { partition: table, statement: 0, content });
        }
    }
    for statement in 1..random.random_range(2..12) {
        let mut write = |partition, content| writes.push(Write { partition, statement, content });
        let id = statement as u64;
        if random.random_bool(0.15) {
            let table = random.random_range(0..TABLES);
            expected[table].push(0);
            write(table, Content::Truncate { table: TableId(table as u16), gtid: gtid(id) });
            continue;
        }
        write(TRANSACTIONS, Content::Ignored);
        let mut counts = [0; TABLES];
        for total in 1..=random.random_range(0..5) {
            let table = random.random_range(0..TABLES);
            counts[table] += 1;
            let number = id * 1000 + total;
            expected[table].push(number);
            write(table, row(id, total, counts[table], upsert(table as u16, number)));
            if random.random_bool(0.2) {
                write(table, Content::Ignored);
            }
        }
        let counts = counts.iter().enumerate().filter(|(_, n)| **n > 0);
        let counts: Vec<_> = counts.map(|(t, n)| (PartitionId(t as u16), *n)).collect();
        write(TRANSACTIONS, end(id, &counts));
    }
    (writes, expected)
}

/// What arrives in the topics: the connector dies up to three times. Each time the last writes of
/// each partition are lost, and it begins again with a statement that it had not finished. With
/// `junk`, tables get records of nobody that are unreadable.
fn produce(random: &mut StdRng, writes: &[Write], junk: bool) -> Topics {
    let mut topics: Topics = vec![Vec::new(); PARTITIONS];
    let after_snapshot = writes.iter().position(|w| w.statement > 0).unwrap_or(writes.len());
    let mut from = 0;
    for _ in 0..random.random_range(0..4) {
        let died_at = random.random_range(from.max(after_snapshot)..=writes.len());
        let mut again_from = died_at;
        for (partition, topic) in topics.iter_mut().enumerate() {
            let of_partition = |at: &usize| writes[*at].partition == partition;
            let sent: Vec<usize> = (from..died_at).filter(of_partition).collect();
            let arrived = sent.len() - random.random_range(0..=sent.len().min(3));
            // The snapshot is over: its rows have arrived.
            let snapshot = sent.iter().filter(|at| **at < after_snapshot).count();
            let (kept, lost) = sent.split_at(arrived.max(snapshot));
            topic.extend(kept.iter().map(|at| (writes[*at].content.clone(), None)));
            again_from = again_from.min(lost.first().copied().unwrap_or(died_at));
        }
        let back = again_from - random.random_range(0..=(again_from - after_snapshot).min(8));
        let statement = writes.get(back).map_or(usize::MAX, |w| w.statement);
        from = writes.iter().position(|w| w.statement >= statement).unwrap_or(writes.len());
    }
    for write in &writes[from..] {
        topics[write.partition].push((write.content.clone(), None));
    }
    if junk {
        for topic in &mut topics[..TABLES] {
            let is_snapshot = |content: &Content| matches!(content, Content::Snapshot { .. });
            let from = topic.iter().take_while(|(content, _)| is_snapshot(content)).count();
            for _ in 0..random.random_range(0..3) {
                topic.insert(random.random_range(from..=topic.len()), (hole(None), None));
            }
        }
    }
    for number in 0..random.random_range(0..5) {
        topics[STREAM].push((Content::Event(upsert(STREAM as u16, number)), None));
    }
    topics
}

/// The partitions, with where a former run had come.
pub(super) fn specs(targets: Option<&Positions>) -> Vec<PartitionSpec> {
    let role = |partition: usize| match partition {
        STREAM => Role::Stream(TableId(partition as u16)),
        TRANSACTIONS => Role::Transactions,
        table if table < TABLES => Role::Table(TableId(table as u16)),
        _ => Role::Notifications,
    };
    let spec = |partition: usize| {
        let name = Partition { topic: format!("topic-{partition}"), number: 0 };
        PartitionSpec {
            target: targets.and_then(|targets| targets.get(&name).copied()),
            partition: name,
            role: role(partition),
            start: Position::default(),
            end_at_start: 0,
            lost: None,
        }
    };
    (0..PARTITIONS).map(spec).collect()
}

/// What was applied at some moment of a run.
#[derive(Clone, Default)]
pub(super) struct Stop {
    pub(super) applied: Applied,
    /// Numbers of each table's changes.
    pub(super) numbers: Vec<Vec<u64>>,
}

/// Reads topics in random order and pieces, as far as the queues let it.
pub(super) struct Reader<'a> {
    topics: &'a Topics,
    next: Vec<usize>,
    paused: Vec<bool>,
    pub(super) sequencer: Sequencer,
    /// Numbers of each table's changes, as applied.
    pub(super) applied: Vec<Vec<u64>>,
    /// Transactions may be released in parts.
    torn: bool,
    /// Steps left, so that what is stuck fails.
    patience: u32,
}

impl<'a> Reader<'a> {
    /// Goes on from a stop; everything up to the targets is a replay.
    pub(super) fn new(
        topics: &'a Topics,
        from: &Stop,
        targets: Option<&Positions>,
        (bounds, torn): (Bounds, bool),
    ) -> Reader<'a> {
        let sequencer = Sequencer::new(Arc::default(), specs(targets), &from.applied, bounds);
        let positions = sequencer.positions();
        let next = sequencer.specs().map(|spec| positions[&spec.partition].next_offset as usize);
        Reader {
            topics,
            next: next.collect(),
            paused: vec![false; PARTITIONS],
            sequencer,
            applied: from.numbers.clone(),
            torn,
            patience: 20_000,
        }
    }

    pub(super) fn stop(&self) -> Stop {
        Stop { applied: self.sequencer.applied(), numbers: self.applied.clone() }
    }

    fn is_at_end(&self) -> bool {
        (0..PARTITIONS).all(|p| self.next[p] == self.topics[p].len())
    }

    fn read_some(&mut self, random: &mut StdRng) {
        let partition = random.random_range(0..PARTITIONS);
        for _ in 0..random.random_range(1..4) {
            let at = self.next[partition];
            if self.paused[partition] || at == self.topics[partition].len() {
                return;
            }
            let (content, anew) = self.topics[partition][at].clone();
            self.next[partition] += 1;
            let record = record(PartitionId(partition as u16), at as i64, content);
            self.sequencer.push(Record { anew, ..record });
            self.follow_flow();
        }
    }

    fn follow_flow(&mut self) {
        for (id, flow) in self.sequencer.take_flow() {
            self.paused[id.index()] = flow == Flow::Pause;
        }
    }

    /// One release; false when there was none.
    fn release(&mut self) -> bool {
        let mut released = Released::default();
        let any = self.sequencer.release(&mut released).unwrap();
        self.follow_flow();
        let numbers: Vec<u64> = released.changes.iter().map(number_of).collect();
        let of: Vec<u64> = numbers.iter().filter(|n| **n >= 1000).copied().collect();
        if !self.torn {
            assert_eq!((released.incomplete, released.parts), (0, 0));
            assert!(released.transactions == 1 || of.is_empty(), "only transactions: {of:?}");
            let whole = of.iter().zip(1..).all(|(n, i)| *n == of[0] / 1000 * 1000 + i);
            assert!(whole, "a transaction is released at once and in order: {of:?}");
        }
        for (change, number) in released.changes.iter().zip(numbers) {
            self.applied[usize::from(change.table.0)].push(number);
        }
        any
    }

    /// Reads and releases all that there is; now and then, tells where that has come.
    pub(super) fn finish(&mut self, random: &mut StdRng, mut now_and_then: impl FnMut(Stop)) {
        while !self.is_at_end() {
            self.step(random);
            if random.random_bool(0.1) {
                now_and_then(self.stop());
            }
        }
        while self.release() {}
    }

    /// Reads and releases what a former run had applied.
    pub(super) fn replay(&mut self, random: &mut StdRng) {
        while self.sequencer.is_replaying() {
            if self.is_at_end() {
                assert!(self.release(), "the replay got stuck");
            } else {
                self.step(random);
            }
        }
    }

    fn step(&mut self, random: &mut StdRng) {
        self.patience -= 1;
        assert!(self.patience > 0, "stuck, waiting for {:?}", self.sequencer.waiting());
        self.read_some(random);
        if random.random_bool(0.5) {
            self.release();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_applies_the_history_once(seed: u64, size in 0..3, junk: bool) {
        let mut random = StdRng::seed_from_u64(seed);
        let (writes, mut expected) = history(&mut random);
        let topics = produce(&mut random, &writes, junk);
        expected.push((0..topics[STREAM].len() as u64).collect());
        // Records count 100 bytes: queues of five, which the largest transaction just exceeds, and
        // of two, beyond which it goes in parts.
        let bounds = |queue_bytes_max, transaction_bytes_max| {
            Bounds { queue_bytes_max, transaction_bytes_max, run_records_max: 2 }
        };
        let bounds = match size {
            0 => (bounds(200, 200), true),
            1 => (bounds(500, 5000), false),
            _ => (BOUNDS, false),
        };
        let beginning = Stop { numbers: vec![Vec::new(); TABLES + 1], ..Stop::default() };
        let mut reader = Reader::new(&topics, &beginning, None, bounds);
        let mut stops = vec![beginning];
        reader.finish(&mut random, |stop| stops.push(stop));
        prop_assert_eq!(&reader.applied, &expected);
        prop_assert_eq!(reader.sequencer.held(), (0, 0));

        for (at, stop) in stops.iter().enumerate().skip(1) {
            let from = &stops[random.random_range(0..=at)];
            let positions = stop.applied.positions();
            let mut again = Reader::new(&topics, from, Some(&positions), bounds);
            again.replay(&mut random);
            // What ended the replay is the last that it applied.
            prop_assert_eq!(again.sequencer.applied(), stop.applied.clone());
            prop_assert_eq!(&again.applied, &stop.numbers);
            again.finish(&mut random, drop);
            prop_assert_eq!(&again.applied, &expected);
        }
    }
}
