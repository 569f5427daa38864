//! Checkpoints written while random changes go on: whoever loads one and reads the topics from
//! where it began has, at every later position, the documents of the run that went on.

use std::sync::Arc;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use viewtide::change::{Change, Op, Partition, Position, Positions};
use viewtide::engine::{Document, Engine};
use viewtide::gtid::{Gtid, Watermarks};
use viewtide::source::record::{
    BinlogPlace, Content, Notice, PartitionId, PartitionSpec, Place, Record, Role, SnapshotMark,
    TransactionEnd,
};
use viewtide::source::transactions::{Applied, Bounds, Flow, Released, Sequencer};
use viewtide::sql::plan::{Plan, TableId, ViewId};
use viewtide::sql::{Definitions, SourceFile, plan_views};
use viewtide::state::{Header, Origin, RowDump, load, write};
use viewtide::value::{Key, RowWriter, Value};

use crate::support::plan::int;

const VIEW: ViewId = ViewId(0);
/// Partitions: tables first, then transactions, notifications.
const TABLES: usize = 3;
const TRANSACTIONS: usize = TABLES;
const NOTIFICATIONS: usize = TABLES + 1;
const PARTITIONS: usize = TABLES + 2;

/// Records count 100 bytes: queues of twenty, and one transaction of up to a hundred.
const BOUNDS: Bounds =
    Bounds { queue_bytes_max: 2_000, transaction_bytes_max: 10_000, run_records_max: 3 };

/// Every record of every partition.
type Topics = Vec<Vec<Content>>;

fn plan() -> Arc<Plan> {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let table = |name: &str| {
        let columns = "id int NOT NULL, parent int NOT NULL, n int, PRIMARY KEY (id)";
        format!("CREATE TABLE {name} ({columns});")
    };
    let definitions = Definitions {
        tables: vec![file("tables.sql", &["a", "b", "c"].map(table).concat())],
        streams: Vec::new(),
        views: vec![file(
            "v.sql",
            "CREATE VIEW v AS SELECT a.id, a.n, b.n AS m,
               (SELECT SUM(c.n) FROM c WHERE c.parent = a.id) AS total
             FROM a LEFT JOIN b ON b.id = a.parent;",
        )],
    };
    Arc::new(plan_views(&definitions).unwrap())
}

fn upsert(plan: &Plan, table: usize, id: i64, parent: i64, n: i64) -> Change {
    let table = TableId(table as u16);
    let held = plan.table(table);
    let mut row = RowWriter::new(&held.layout);
    for (at, column) in held.columns.iter().enumerate() {
        let value = match column.name.as_str() {
            "id" => id,
            "parent" => parent,
            _ => n,
        };
        assert!(row.set(at, &Value::Int(value)));
    }
    Change { table, op: Op::Upsert(row.finish()) }
}

/// A snapshot of every table, then transactions, empty tables, and snapshots from nothing.
fn topics(random: &mut StdRng, plan: &Plan) -> Topics {
    let mut topics: Topics = vec![Vec::new(); PARTITIONS];
    let server = "00000000-0000-0000-0000-000000000001".parse().unwrap();
    let gtid = |number| Gtid { server: Clone::clone(&server), number };
    (0..TABLES).for_each(|table| snapshot(random, plan, table, &mut topics));
    for number in 1..random.random_range(2..40) {
        let table = random.random_range(0..TABLES);
        match random.random_range(0..20) {
            0 => snapshot(random, plan, table, &mut topics),
            1 => {
                let table_id = TableId(table as u16);
                topics[table].push(Content::Truncate { table: table_id, gtid: gtid(number) });
            }
            _ => {
                let mut counts = [0; TABLES];
                for total_order in 1..=random.random_range(1..8) {
                    let table = random.random_range(0..TABLES);
                    counts[table] += 1;
                    let place =
                        Place { gtid: gtid(number), total_order, table_order: counts[table] };
                    let change = random_change(random, plan, table);
                    topics[table].push(Content::Row { place, change });
                }
                let counts = counts.iter().enumerate().filter(|(_, count)| **count > 0);
                let counts = counts.map(|(at, count)| (PartitionId(at as u16), *count)).collect();
                let end = TransactionEnd { gtid: gtid(number), counts };
                topics[TRANSACTIONS].push(Content::End(Box::new(end)));
            }
        }
    }
    topics
}

fn snapshot(random: &mut StdRng, plan: &Plan, table: usize, topics: &mut Topics) {
    let id = TableId(table as u16);
    let of = BinlogPlace::default();
    topics[NOTIFICATIONS].push(Content::Notice(Notice::Reading {
        of,
        tables: vec![id],
        contains: Watermarks::default(),
    }));
    let rows = random.random_range(1..6);
    for row in 0..rows {
        let mark = match row {
            _ if row == rows - 1 => SnapshotMark::Last,
            0 => SnapshotMark::First,
            _ => SnapshotMark::Inner,
        };
        let [parent, n] = [random.random_range(0..4), random.random_range(0..1000)];
        let change = upsert(plan, table, row, parent, n);
        topics[table].push(Content::Snapshot { change, mark, of });
    }
    topics[NOTIFICATIONS].push(Content::Notice(Notice::Read { of, table: id, rows: rows as u64 }));
}

fn random_change(random: &mut StdRng, plan: &Plan, table: usize) -> Change {
    let id = random.random_range(0..8);
    match random.random_range(0..3) {
        0 => Change { table: TableId(table as u16), op: Op::Delete(int(id)) },
        _ => {
            let [parent, n] = [random.random_range(0..4), random.random_range(0..1000)];
            upsert(plan, table, id, parent, n)
        }
    }
}

fn origin() -> Origin {
    Origin { pipeline: "p".into(), topic_prefix: "t".into(), database: "d".into() }
}

/// One process: it reads topics in random order and pieces and applies what is released.
struct Process<'t> {
    plan: Arc<Plan>,
    topics: &'t Topics,
    next: Vec<usize>,
    paused: Vec<bool>,
    sequencer: Sequencer,
    engine: Engine,
    /// Steps left, so that what is stuck fails.
    patience: u32,
}

impl<'t> Process<'t> {
    fn start(
        plan: &Arc<Plan>,
        topics: &'t Topics,
        engine: Engine,
        applied: &Applied,
        targets: &Positions,
    ) -> Process<'t> {
        let spec = |at: usize| {
            let partition = Partition { topic: format!("topic-{at}"), number: 0 };
            let known = applied.partitions.get(&partition);
            PartitionSpec {
                role: match at {
                    TRANSACTIONS => Role::Transactions,
                    NOTIFICATIONS => Role::Notifications,
                    table => Role::Table(TableId(table as u16)),
                },
                start: known.map(|known| known.position).unwrap_or_default(),
                target: targets.get(&partition).copied(),
                end_at_start: 0,
                lost: None,
                partition,
            }
        };
        let specs: Vec<PartitionSpec> = (0..PARTITIONS).map(spec).collect();
        Process {
            plan: Arc::clone(plan),
            topics,
            next: specs.iter().map(|spec| spec.start.next_offset as usize).collect(),
            paused: vec![false; PARTITIONS],
            sequencer: Sequencer::new(Arc::clone(plan), specs, applied, BOUNDS),
            engine,
            patience: 20_000,
        }
    }

    fn is_at_end(&self) -> bool {
        (0..PARTITIONS).all(|at| self.next[at] == self.topics[at].len())
    }

    fn step(&mut self, random: &mut StdRng) {
        self.patience -= 1;
        assert!(self.patience > 0, "stuck, waiting for {:?}", self.sequencer.waiting());
        let at = random.random_range(0..PARTITIONS);
        for _ in 0..random.random_range(1..4) {
            let Some(content) = self.topics[at].get(self.next[at]).filter(|_| !self.paused[at])
            else {
                break;
            };
            self.sequencer.push(Record {
                partition: PartitionId(at as u16),
                offset: self.next[at] as i64,
                fingerprint: 1 + self.next[at] as u64,
                committed_us: 0,
                bytes: 100,
                anew: None,
                lacks: None,
                content: content.clone(),
            });
            self.next[at] += 1;
            self.follow_flow();
        }
        if random.random_bool(0.5) {
            self.release();
        }
    }

    fn release(&mut self) -> bool {
        let mut released = Released::default();
        let any = self.sequencer.release(&mut released).unwrap();
        released.changes.into_iter().for_each(|change| self.engine.apply(change));
        self.follow_flow();
        any
    }

    fn follow_flow(&mut self) {
        for (id, flow) in self.sequencer.take_flow() {
            self.paused[id.index()] = flow == Flow::Pause;
        }
    }

    fn go_to_end(&mut self, random: &mut StdRng) {
        while !self.is_at_end() {
            self.step(random);
        }
        while self.release() {}
    }

    fn now(&mut self) -> Moment {
        let keys = self.engine.keys_after(VIEW, None, usize::MAX);
        let document = |key: Key| (self.engine.document(VIEW, &key), key);
        Moment {
            documents: keys.into_iter().map(document).collect(),
            applied: self.sequencer.applied(),
            complete: self
                .plan
                .tables_with_ids()
                .map(|(table, _)| self.sequencer.is_complete(table))
                .collect(),
        }
    }
}

/// All that must be the same at the same positions.
#[derive(Debug, PartialEq)]
struct Moment {
    documents: Vec<(Document, Key)>,
    applied: Applied,
    complete: Vec<bool>,
}

/// A checkpoint that is being written.
struct Writing {
    header: Header,
    dump: RowDump,
    blocks: Vec<Vec<u8>>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_start_from_a_checkpoint_is_as_if_the_run_had_gone_on(seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let plan = plan();
        let topics = topics(&mut random, &plan);
        let empty = || Engine::new(Arc::clone(&plan));
        let beginning = (Applied::default(), Positions::default());
        let mut run = Process::start(&plan, &topics, empty(), &beginning.0, &beginning.1);
        let mut writing: Option<Writing> = None;
        let mut files: Vec<Vec<u8>> = Vec::new();
        // How many files there were at each moment.
        let mut moments: Vec<(usize, Moment)> = Vec::new();
        while !run.is_at_end() {
            run.step(&mut random);
            match &mut writing {
                None if random.random_bool(0.1) => writing = Some(Writing {
                    header: Header::new(origin(), &plan, &run.sequencer),
                    dump: RowDump::with_block_bytes(&plan, 1),
                    blocks: Vec::new(),
                }),
                Some(Writing { dump, blocks, .. }) if random.random_bool(0.5) => {
                    match dump.next_block(&run.engine) {
                        Some(block) => blocks.push(block),
                        None => {
                            let Some(done) = writing.take() else { unreachable!() };
                            let trailer = done.dump.trailer(run.sequencer.positions());
                            let mut file = Vec::new();
                            write(&mut file, &done.header, done.blocks, trailer).unwrap();
                            files.push(file);
                            moments.push((files.len(), run.now()));
                        }
                    }
                }
                _ if random.random_bool(0.05) => moments.push((files.len(), run.now())),
                _ => {}
            }
        }
        while run.release() {}
        let end = run.now();
        for (written, moment) in moments {
            let Some(last) = written.checked_sub(1) else { continue };
            let file = &files[random.random_range(0..=last)];
            let loaded = load(file.as_slice(), &origin(), &plan, empty()).unwrap();
            let targets = moment.applied.positions();
            let is_reached = |(partition, position): (&Partition, &Position)| {
                targets[partition].next_offset >= position.next_offset
            };
            prop_assert!(loaded.end.iter().all(is_reached));
            let mut again =
                Process::start(&plan, &topics, loaded.engine, &loaded.applied, &targets);
            again.sequencer.report_completeness(&mut Released::default());
            while again.sequencer.is_replaying() {
                if again.is_at_end() {
                    prop_assert!(again.release(), "the replay got stuck");
                } else {
                    again.step(&mut random);
                }
            }
            prop_assert_eq!(again.now(), moment);
            again.go_to_end(&mut random);
            prop_assert_eq!(&again.now(), &end);
        }
    }
}
