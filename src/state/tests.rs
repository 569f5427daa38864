//! The form of a file, whatever becomes of its bytes; what fits which plan; which files are kept.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::change::{Change, Op, Partition, Position, Positions};
use crate::engine::Engine;
use crate::source::record::{PartitionSpec, Role};
use crate::source::transactions::{Applied, Bounds, Sequencer};
use crate::sql::plan::{Plan, TableId};
use crate::sql::{Definitions, SourceFile, plan_views};
use crate::value::{RowWriter, Value};

const BOUNDS: Bounds = Bounds { queue_bytes_max: 1, transaction_bytes_max: 1, run_records_max: 1 };

fn plan_of(tables: &str, views: &str) -> Arc<Plan> {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let definitions = Definitions {
        tables: vec![file("t.sql", tables)],
        streams: Vec::new(),
        views: views.split_inclusive(';').map(|view| file("v.sql", view)).collect(),
    };
    Arc::new(plan_views(&definitions).unwrap())
}

const TABLES: &str = "CREATE TABLE a (id int NOT NULL, n bigint, t text, PRIMARY KEY (id));
     CREATE TABLE b (id int NOT NULL, t text, PRIMARY KEY (id));";
const VIEWS: &str =
    "CREATE VIEW v AS SELECT id, n, t FROM a; CREATE VIEW w AS SELECT id, t FROM b;";

fn plan() -> Arc<Plan> {
    plan_of(TABLES, VIEWS)
}

fn origin(pipeline: &str) -> Origin {
    Origin { pipeline: pipeline.into(), topic_prefix: "mysql".into(), database: "shop".into() }
}

fn partition(number: i32) -> Partition {
    Partition { topic: "topic".into(), number }
}

fn sequencer(plan: &Arc<Plan>) -> Sequencer {
    let roles = plan.tables_with_ids().map(|(id, _)| Role::Table(id));
    let spec = |(number, role)| PartitionSpec {
        partition: partition(number),
        role,
        start: Position::default(),
        target: None,
        end_at_start: i64::from(number),
        lost: None,
    };
    let specs = (0..).zip(roles.chain([Role::Transactions])).map(spec).collect();
    Sequencer::new(Arc::clone(plan), specs, &Applied::default(), BOUNDS)
}

fn upsert(plan: &Plan, table: u16, values: &[Value<'_>]) -> Change {
    let mut writer = RowWriter::new(&plan.table(TableId(table)).layout);
    values.iter().enumerate().for_each(|(at, value)| assert!(writer.set(at, value)));
    Change { table: TableId(table), op: Op::Upsert(writer.finish()) }
}

fn engine(plan: &Arc<Plan>, texts: &[Option<String>]) -> Engine {
    let mut engine = Engine::new(Arc::clone(plan));
    for (id, text) in (0..).zip(texts) {
        let text = text.as_ref().map_or(Value::Null, |text| Value::Text(text.into()));
        engine.apply(upsert(plan, 0, &[Value::Int(id), Value::Int(id << 40), text.clone()]));
        if id % 3 == 0 {
            engine.apply(upsert(plan, 1, &[Value::Int(-id), text]));
        }
    }
    engine
}

/// Every row of every table, in the order of slots.
fn rows(plan: &Plan, engine: &Engine) -> Vec<Vec<u8>> {
    let mut dump = RowDump::new(plan);
    let blocks = std::iter::from_fn(|| dump.next_block(engine));
    blocks.filter(|block| !block.is_empty()).collect()
}

fn end() -> Positions {
    let position = |number| Position { next_offset: 7, fingerprint: u64::MAX - number as u64 };
    (0..3).map(|number| (partition(number), position(number))).collect()
}

fn write_all(plan: &Arc<Plan>, engine: &Engine) -> Vec<u8> {
    let mut dump = RowDump::new(plan);
    let blocks: Vec<_> = std::iter::from_fn(|| dump.next_block(engine)).collect();
    let mut file = Vec::new();
    let header = Header::new(origin("p"), plan, &sequencer(plan));
    let bytes = write(&mut file, &header, blocks, dump.trailer(end())).unwrap();
    assert_eq!(bytes, file.len() as u64);
    file
}

fn read(file: &[u8], pipeline: &str, plan: &Arc<Plan>) -> Result<Loaded, Unusable> {
    load(file, &origin(pipeline), plan, Engine::new(Arc::clone(plan)))
}

proptest! {
    #[test]
    fn what_is_written_is_read(texts in prop::collection::vec(any::<Option<String>>(), 0..50)) {
        let plan = plan();
        let engine = engine(&plan, &texts);
        let file = write_all(&plan, &engine);
        let loaded = read(&file, "p", &plan).unwrap();
        prop_assert_eq!(rows(&plan, &loaded.engine), rows(&plan, &engine));
        prop_assert_eq!(loaded.applied, sequencer(&plan).applied());
        prop_assert_eq!(loaded.end, end());
        prop_assert_eq!(loaded.rows as usize, texts.len() + texts.len().div_ceil(3));
        prop_assert_eq!(loaded.bytes, file.len() as u64);
    }
}

fn small_file() -> (Arc<Plan>, Vec<u8>) {
    let plan = plan();
    let file = write_all(&plan, &engine(&plan, &[Some("text".into()), None]));
    (plan, file)
}

#[test]
fn every_changed_byte_is_recognised() {
    let (plan, file) = small_file();
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert!(read(&changed, "p", &plan).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn every_other_length_is_recognised() {
    let (plan, mut file) = small_file();
    for length in 0..file.len() {
        let error = read(&file[..length], "p", &plan).unwrap_err();
        assert!(matches!(error, Unusable::CutOff { at } if at == length as u64), "{error}");
    }
    file.push(0);
    assert!(read(&file, "p", &plan).is_err());
}

#[test]
fn blocks_that_are_missing_doubled_or_swapped_are_recognised() {
    let plan = plan();
    let file = write_all(&plan, &engine(&plan, &[Some("x".repeat(BLOCK_BYTES)), None, None]));
    let preamble = 0..12;
    let mut blocks = vec![preamble];
    while let Some(last) = blocks.last().filter(|last| last.end < file.len()) {
        let length = u32::from_le_bytes(file[last.end + 1..last.end + 5].try_into().unwrap());
        blocks.push(last.end..last.end + 21 + length as usize);
    }
    assert!(blocks.len() >= 6, "header, three of rows, trailer");
    let read_blocks = |order: &[usize]| {
        let file: Vec<u8> =
            order.iter().flat_map(|&at| file[blocks[at].clone()].to_vec()).collect();
        read(&file, "p", &plan)
    };
    let order: Vec<usize> = (0..blocks.len()).collect();
    assert!(read_blocks(&order).is_ok());
    for at in 1..order.len() {
        let (mut without, mut twice, mut swapped) = (order.clone(), order.clone(), order.clone());
        without.remove(at);
        twice.insert(at, at);
        swapped.swap(at - 1, at);
        for wrong in [without, twice, swapped] {
            assert!(read_blocks(&wrong).is_err(), "{wrong:?}");
        }
    }
}

#[test]
fn what_is_of_others_is_told() {
    let (plan, mut file) = small_file();
    let message = |file: &[u8], pipeline| read(file, pipeline, &plan).unwrap_err().to_string();
    assert_eq!(message(&file, "q"), "does not fit: it is of pipeline `p` on `mysql.shop`");
    file[8] = 9;
    assert_eq!(message(&file, "p"), "is of format 9, this version reads format 3");
    assert_eq!(message(b"{\"no\": \"checkpoint\"}", "p"), "is no checkpoint");
}

#[test]
fn fewer_tables_and_columns_are_taken_from_more() {
    let (plan, file) = small_file();
    let fewer = plan_of(TABLES, "CREATE VIEW v AS SELECT t, id FROM a;");
    let loaded = read(&file, "p", &fewer).unwrap();
    assert_eq!(loaded.rows, 2);
    let partitions: Vec<_> = loaded.end.into_keys().collect();
    assert_eq!(partitions, [partition(0), partition(2)]);
    let mut expected = Engine::new(Arc::clone(&fewer));
    for (id, text) in [(0, Value::Text("text".into())), (1, Value::Null)] {
        expected.apply(upsert(&fewer, 0, &[Value::Int(id), text]));
    }
    assert_eq!(rows(&fewer, &loaded.engine), rows(&fewer, &expected));

    let small = write_all(&fewer, &expected);
    let error = read(&small, "p", &plan).unwrap_err().to_string();
    assert_eq!(error, "does not fit: its table `a` has no column `n` as the views need it");
    for (from, to, problem) in [
        ("n bigint", "n int", "its table `a` has no column `n` as the views need it"),
        ("TABLE b (id int", "TABLE b (id bigint", "its table `b` has no column `id` as"),
        ("t text, PRIMARY KEY (id));", "t text, PRIMARY KEY (id, n));", "it has no table `a` as"),
        ("TABLE b", "TABLE c", "it has no table `c` as the views need it"),
    ] {
        let views = VIEWS.replace("FROM b", if to == "TABLE c" { "FROM c" } else { "FROM b" });
        let other = plan_of(
            &TABLES.replacen(from, to, 1).replace("n bigint,", "n bigint NOT NULL,"),
            &views,
        );
        let error = read(&file, "p", &other).unwrap_err().to_string();
        assert!(error.starts_with(&format!("does not fit: {problem}")), "{error}");
    }
}

/// A folder of its own, gone with the value.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        Dir(std::env::temp_dir().join(format!("viewtide-state-{:016x}", rand::random::<u64>())))
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.join("p")).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn load_rows(folder: &mut Folder, plan: &Arc<Plan>) -> Option<u64> {
    let of_plan = Arc::clone(plan);
    let loaded = folder.load(Arc::clone(plan), move || Engine::new(Arc::clone(&of_plan)));
    loaded.await.unwrap().map(|loaded| loaded.rows)
}

async fn checkpoint(folder: &mut Folder, plan: &Arc<Plan>, engine: &Engine) -> u64 {
    assert!(folder.lock().unwrap());
    let mut writing = folder.begin(Header::new(origin("p"), plan, &sequencer(plan)));
    let mut dump = RowDump::new(plan);
    while let Some(block) = dump.next_block(engine) {
        writing.room().await;
        writing.rows(block);
    }
    writing.room().await;
    writing.end(dump.trailer(end()));
    writing.over().await;
    folder.finish(writing).await.unwrap().number
}

#[tokio::test]
async fn the_newest_that_is_whole_is_loaded_and_kept_beside_the_next() {
    let (dir, plan) = (Dir::new(), plan());
    let mut folder = Folder::open(&dir.0, origin("p")).unwrap();
    let load = async |folder: &mut Folder| load_rows(folder, &plan).await;
    assert_eq!(load(&mut folder).await, None);
    for count in 1..4 {
        let number = checkpoint(&mut folder, &plan, &engine(&plan, &vec![None; count])).await;
        assert_eq!(number, count as u64);
    }
    assert_eq!(dir.files(), ["checkpoint-2.state", "checkpoint-3.state", "lock"]);
    assert_eq!(load(&mut folder).await, Some(4));

    let newest = dir.0.join("p/checkpoint-3.state");
    let half = fs::read(&newest).unwrap().len() / 2;
    fs::File::options().write(true).open(&newest).unwrap().set_len(half as u64).unwrap();
    assert_eq!(load(&mut folder).await, Some(3));
    fs::write(dir.0.join("p/checkpoint-9.tmp"), "of a process that died").unwrap();
    checkpoint(&mut folder, &plan, &engine(&plan, &[])).await;
    assert_eq!(dir.files(), ["checkpoint-2.state", "checkpoint-4.state", "lock"]);
    assert_eq!(load(&mut folder).await, Some(0));
}

#[tokio::test]
async fn who_takes_over_keeps_what_the_former_owner_wrote_last() {
    let (dir, plan) = (Dir::new(), plan());
    let mut owner = Folder::open(&dir.0, origin("p")).unwrap();
    checkpoint(&mut owner, &plan, &engine(&plan, &[])).await;
    let mut follower = Folder::open(&dir.0, origin("p")).unwrap();
    assert_eq!(load_rows(&mut follower, &plan).await, Some(0));
    checkpoint(&mut owner, &plan, &engine(&plan, &[None])).await;
    checkpoint(&mut owner, &plan, &engine(&plan, &[None, None])).await;
    assert!(!follower.lock().unwrap());
    drop(owner);
    checkpoint(&mut follower, &plan, &engine(&plan, &[None, None, None])).await;
    assert_eq!(dir.files(), ["checkpoint-3.state", "checkpoint-4.state", "lock"]);

    // What was there and found damaged is no more than it was.
    drop(follower);
    let newest = dir.0.join("p/checkpoint-4.state");
    fs::File::options().write(true).open(&newest).unwrap().set_len(9).unwrap();
    let mut next = Folder::open(&dir.0, origin("p")).unwrap();
    assert_eq!(load_rows(&mut next, &plan).await, Some(3));
    checkpoint(&mut next, &plan, &engine(&plan, &[])).await;
    assert_eq!(dir.files(), ["checkpoint-3.state", "checkpoint-5.state", "lock"]);
}

#[tokio::test]
async fn what_is_not_written_to_its_end_leaves_nothing() {
    let (dir, plan) = (Dir::new(), plan());
    let mut folder = Folder::open(&dir.0, origin("p")).unwrap();
    let mut writing = folder.begin(Header::new(origin("p"), &plan, &sequencer(&plan)));
    writing.rows(vec![1]);
    assert!(folder.finish(writing).await.is_err());
    assert!(dir.files().is_empty());
}

#[test]
fn one_process_writes_at_a_time() {
    let dir = Dir::new();
    let mut one = Folder::open(&dir.0, origin("p")).unwrap();
    let mut other = Folder::open(&dir.0, origin("p")).unwrap();
    assert!(one.lock().unwrap() && !other.lock().unwrap() && one.lock().unwrap());
    drop(one);
    assert!(other.lock().unwrap());
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let dir = Dir::new();
    fs::write(&dir.0, "a file").unwrap();
    let error = Folder::open(&dir.0, origin("p")).unwrap_err().to_string();
    let place = format!("state folder {}/p: ", dir.0.display());
    assert!(
        error.starts_with(&place) && error.ends_with("`state.dir` names where it is"),
        "{error}"
    );
    fs::remove_file(&dir.0).unwrap();
}
