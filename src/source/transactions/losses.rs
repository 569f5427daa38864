//! Random histories of which the topics have lost what nobody had read, and a connector that dies
//! while it reads all tables anew: in the end every table must hold what the database does, however
//! the topics are read, and wherever a replay begins and ends.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::simulation::{PARTITIONS, Reader, STREAM, Stop, TABLES, TRANSACTIONS, Topics, specs};
use super::tests::{BOUNDS, end, gtid, row, upsert};
use super::*;
use crate::source::anew::AnewId;
use crate::source::record::{BinlogPlace, Notice, SnapshotMark};

const NOTIFICATIONS: usize = PARTITIONS - 1;

/// What the start that found the losses holds for the latest snapshot that was asked for.
const BOUND: AnewId = 7;

/// Numbers of rows, by key. A number tells its key, so that a change is a number alone.
type Rows = BTreeMap<u64, u64>;
const KEYS: u64 = 3;

/// What the connector does, in order.
#[derive(Clone)]
enum Deed {
    /// It writes a record of a statement.
    Write(usize, Content),
    /// It reads what rows a table has then.
    Read(usize),
    /// It tells that it begins to read tables anew.
    Start(u64),
    /// It tells that it has read a table, and what of the log it had read by then.
    Tell(usize, u64),
}

/// A deed, and which statement and which snapshot it is of.
#[derive(Clone)]
struct Step {
    deed: Deed,
    statement: u64,
    anew: Option<AnewId>,
    /// What the tables hold once it is done.
    rows: [Rows; TABLES],
}

/// Statements of one server, and, from the one numbered `asked` on, a snapshot of all tables.
struct Source<'r> {
    random: &'r mut StdRng,
    statement: u64,
    anew: Option<AnewId>,
    rows: [Rows; TABLES],
    steps: Vec<Step>,
}

impl Source<'_> {
    fn deed(&mut self, deed: Deed) {
        let Source { statement, anew, rows, .. } = self;
        self.steps.push(Step { deed, statement: *statement, anew: *anew, rows: rows.clone() });
    }

    fn statement(&mut self) {
        self.statement += 1;
        let id = self.statement;
        if self.random.random_bool(0.1) {
            let table = self.random.random_range(0..TABLES);
            self.rows[table].clear();
            let content = Content::Truncate { table: TableId(table as u16), gtid: gtid(id) };
            return self.deed(Deed::Write(table, content));
        }
        let mut counts = [0; TABLES];
        for total in 1..=self.random.random_range(0..4) {
            let table = self.random.random_range(0..TABLES);
            counts[table] += 1;
            let number = id * 1000 + total;
            self.rows[table].insert(number % KEYS, number);
            let content = row(id, total, counts[table], upsert(table as u16, number));
            self.deed(Deed::Write(table, content));
        }
        let counts = counts.iter().enumerate().filter(|(_, n)| **n > 0);
        let counts: Vec<_> = counts.map(|(t, n)| (PartitionId(t as u16), *n)).collect();
        self.deed(Deed::Write(TRANSACTIONS, end(id, &counts)));
    }

    fn statements(&mut self, most: usize) {
        for _ in 0..self.random.random_range(0..=most) {
            self.statement();
        }
    }

    fn read_anew(&mut self, number: AnewId, tables: usize) {
        self.anew = Some(number);
        self.deed(Deed::Start(self.statement));
        self.statements(2);
        for table in 0..tables {
            self.deed(Deed::Read(table));
            self.deed(Deed::Tell(table, self.statement));
            self.statements(2);
        }
        self.anew = None;
    }
}

/// What a history left in the topics.
struct Left {
    topics: Topics,
    /// Where each partition begins, for the start that found the losses.
    begins: [usize; PARTITIONS],
    /// Where each ended then.
    ends: [usize; PARTITIONS],
    rows: [Rows; TABLES],
}

fn left(random: &mut StdRng) -> Left {
    let mut source = Source {
        random: &mut *random,
        statement: 0,
        anew: None,
        rows: Default::default(),
        steps: Vec::new(),
    };
    source.statements(6);
    if source.random.random_bool(0.3) {
        (0..TABLES).for_each(|table| source.deed(Deed::Read(table)));
        source.statements(2);
    }
    if source.random.random_bool(0.3) {
        // Somebody asked for one before, which goes on or breaks off.
        let tables = source.random.random_range(1..=TABLES);
        source.read_anew(BOUND, tables);
    }
    source.statements(3);
    let found = source.steps.len();
    source.statements(3);
    source.read_anew(BOUND + 1, TABLES);
    source.statements(3);
    // One row of each, which shows that it has come to an end.
    (0..TABLES).for_each(|table| source.deed(Deed::Read(table)));
    let Source { steps, rows, .. } = source;

    let contains = |read| [(gtid(1).server, read)].into_iter().collect::<Watermarks>();
    let mut topics: Topics = vec![Vec::new(); PARTITIONS];
    let mut ends = [0; PARTITIONS];
    let mut ended = 0;
    let (mut from, mut furthest) = (0, 0);
    // It dies now and then, once at the moment when the losses are found.
    let mut deaths: Vec<usize> =
        (0..random.random_range(0..3)).map(|_| random.random_range(0..=steps.len())).collect();
    deaths.push(found);
    deaths.sort_unstable();
    deaths.push(steps.len());
    for died_at in deaths {
        furthest = furthest.max(died_at);
        let now = &steps[..furthest].last().map(|step| step.rows.clone()).unwrap_or_default();
        let is_last = died_at == steps.len();
        let mut lost_from = died_at;
        for (partition, topic) in topics.iter_mut().enumerate() {
            let of_partition = |at: &usize| match &steps[*at].deed {
                Deed::Write(of, _) | Deed::Read(of) => *of == partition,
                Deed::Start(_) | Deed::Tell(..) => partition == NOTIFICATIONS,
            };
            let sent: Vec<usize> = (from.min(died_at)..died_at).filter(of_partition).collect();
            let lost = if is_last { 0 } else { random.random_range(0..=sent.len().min(2)) };
            let (kept, lost) = sent.split_at(sent.len() - lost);
            lost_from = lost_from.min(lost.first().copied().unwrap_or(died_at));
            // Absent: rows that are read beside, without being asked for anew, after the loss was found
            // and before the new snapshot begins, of a table that it finds empty.
            let is_beside = |at: usize| at < found && steps[at].anew.is_none();
            for at in kept {
                let Step { deed, anew, .. } = &steps[*at];
                match deed {
                    Deed::Write(_, content) => topic.push((content.clone(), *anew)),
                    Deed::Read(_) if ended > 0 && is_beside(*at) => {}
                    Deed::Read(table) => topic.extend(now[*table].values().map(|number| {
                        let change = upsert(*table as u16, *number);
                        let of = BinlogPlace::default();
                        (Content::Snapshot { change, mark: SnapshotMark::Incremental, of }, *anew)
                    })),
                    Deed::Start(read) => {
                        let (tables, contains) = ((0..TABLES as u16).map(TableId), contains(*read));
                        let tables = tables.collect();
                        let notice =
                            Notice::ReadingAnew { id: anew.unwrap_or(0), tables, contains };
                        topic.push((Content::Notice(notice), *anew));
                    }
                    Deed::Tell(table, read) => {
                        let contains = contains(*read);
                        let table = TableId(*table as u16);
                        let rows = now[usize::from(table.0)].len() as u64;
                        let notice = Notice::ReadBeside { table, rows, anew: *anew, contains };
                        topic.push((Content::Notice(notice), *anew));
                    }
                }
            }
        }
        if died_at == found && ended == 0 {
            ends = std::array::from_fn(|partition| topics[partition].len());
            ended = died_at;
        }
        let statement = steps.get(lost_from).map_or(u64::MAX, |step| step.statement);
        from = steps.iter().position(|step| step.statement >= statement).unwrap_or(died_at);
    }
    // Retention does not overtake the transaction that is being written.
    let begins = std::array::from_fn(|partition| match partition < TABLES {
        true => random.random_range(0..=ends[partition].saturating_sub(8)),
        false => ends[partition],
    });
    Left { topics, begins, ends, rows }
}

/// What these changes leave of a table.
fn rows_of(numbers: &[u64]) -> Rows {
    let mut rows = Rows::new();
    for number in numbers {
        match number {
            0 => rows.clear(),
            _ => drop(rows.insert(number % KEYS, *number)),
        }
    }
    rows
}

/// What is known at a start that finds these losses.
fn lossy(begins: &[usize; PARTITIONS], ends: &[usize; PARTITIONS]) -> Stop {
    let mut specs = specs(None);
    for (partition, spec) in specs.iter_mut().enumerate().filter(|(at, _)| *at != STREAM) {
        spec.start = Position { next_offset: begins[partition] as i64, fingerprint: 0 };
        spec.lost = (partition < TABLES).then_some(BOUND);
        spec.end_at_start = ends[partition] as i64;
    }
    let sequencer = Sequencer::new(Arc::default(), specs, &Applied::default(), BOUNDS);
    Stop { applied: sequencer.applied(), numbers: vec![Vec::new(); TABLES + 1] }
}

/// What is applied once every table is complete. Where a change was passed over that came after its
/// table was found empty, or fewer rows came than were told of, another snapshot is asked for.
fn whole(reader: Reader<'_>, rows: &[Rows; TABLES]) -> Stop {
    let wanting: Vec<_> = reader.sequencer.wanting().collect();
    let stop = reader.stop();
    if wanting.is_empty() {
        assert!((0..TABLES).all(|of| reader.sequencer.is_complete(TableId(of as u16))));
        return stop;
    }
    let mut topics: Topics = stop
        .applied
        .positions()
        .values()
        .map(|at| vec![(Content::Ignored, None); at.next_offset as usize])
        .collect();
    let number = Some(BOUND + 2);
    let all = || [(gtid(1).server, u64::MAX)].into_iter().collect::<Watermarks>();
    let tables = wanting.iter().map(|(table, _)| *table).collect();
    let started = Notice::ReadingAnew { id: BOUND + 2, tables, contains: Watermarks::default() };
    topics[NOTIFICATIONS].push((Content::Notice(started), number));
    for (table, _) in wanting {
        let held = &rows[usize::from(table.0)];
        let (anew, rows) = (number, held.len() as u64);
        let told = Notice::ReadBeside { table, rows, anew, contains: all() };
        topics[NOTIFICATIONS].push((Content::Notice(told), number));
        for (header, held) in [(number, held.clone()), (None, held.clone())] {
            topics[usize::from(table.0)].extend(held.values().map(|row| {
                let (change, mark) = (upsert(table.0, *row), SnapshotMark::Incremental);
                (Content::Snapshot { change, mark, of: BinlogPlace::default() }, header)
            }));
        }
    }
    let mut random = StdRng::seed_from_u64(1);
    let mut reader = Reader::new(&topics, &stop, None, (BOUNDS, true));
    reader.finish(&mut random, drop);
    assert_eq!(reader.sequencer.wanting().next(), None);
    reader.stop()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_was_lost_is_made_up_for(seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let Left { topics, begins, ends, rows } = left(&mut random);
        let beginning = lossy(&begins, &ends);
        let mut reader = Reader::new(&topics, &beginning, None, (BOUNDS, true));
        let mut stops = vec![beginning];
        reader.finish(&mut random, |stop| stops.push(stop));
        let ends_right = |reader: Reader<'_>| {
            let whole = whole(reader, &rows);
            let held: Vec<Rows> = whole.numbers[..TABLES].iter().map(|of| rows_of(of)).collect();
            held == rows
        };
        prop_assert_eq!(reader.sequencer.held(), (0, 0));
        prop_assert!(ends_right(reader));
        for (at, stop) in stops.iter().enumerate().skip(1) {
            let from = &stops[random.random_range(0..=at)];
            let positions = stop.applied.positions();
            let mut again = Reader::new(&topics, from, Some(&positions), (BOUNDS, true));
            again.replay(&mut random);
            prop_assert_eq!(&again.sequencer.positions(), &positions);
            // Until they are complete, the tables may differ: a table is told to be empty ahead of
            // the changes that made it so.
            again.finish(&mut random, drop);
            prop_assert!(ends_right(again));
        }
    }
}
