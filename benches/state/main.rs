//! What the durable state costs and brings, with the real pipeline, state folder and Redis: the CPU
//! of checkpoints while steady changes are applied as fast as they can be, the longest pause of the
//! loop that they make, their size; and after `kill -9` just before a checkpoint would have been
//! complete, the time until the first right fresh document is read back from Redis.
//!
//! `cargo bench --bench state`, after `infra/install.sh`, takes 1M orders, `-- --orders N` as many
//! as given. Kafka and decoding are absent: changes are generated and packed ahead of the clock, as
//! in the other benchmark of the engine, so a replay is as fast as the pipeline takes it. So are
//! the start of the process and the time it takes to make its log: the process that recovers is
//! there before the other one is killed. All the rest counts, most of all the lease (3 s) that the
//! killed one leaves in Redis.
//!
//! Under such a load one checkpoint follows the other. For comparison the state folder is said to
//! be another's before each that is measured, so that the loop goes on without for 5 s: CPU of the
//! process for a change then, and while the checkpoint is written. The longest pause is the time
//! for which the loop's future does not give way in a poll that works on a checkpoint, whatever
//! else it does in it: by the clock, which on a busy machine counts others' time too, and of CPU.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod log;
mod process;
#[path = "../../tests/support/redis.rs"]
#[allow(dead_code)]
mod redis_server;
#[path = "../l1/workload.rs"]
#[allow(dead_code)]
mod workload;

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use viewtide::config::Config;
use viewtide::keyspace::{Generation, Keyspace, ViewFields};
use viewtide::sql::plan::Plan;
use viewtide::sql::{Definitions, SourceFile, plan_views};
use viewtide::value::Key;

use redis_server::RedisServer;

/// Checkpoints that are measured.
const CYCLES: usize = 5;

/// Steady changes made ahead, for each order; more than are needed.
const STEADY_PER_ORDER: u64 = 4;

/// Orders of which a document is to be fresh.
const MARKED: u64 = 100;

/// The status by which a document is fresh, and its time.
const MARK: &str = "restarted";
const MARK_AT: i64 = 1_893_456_000_000_000;
const MARK_AT_SHOWN: &str = "2030-01-01T00:00:00Z";

const PIPELINE: &str = "shop";
const VIEW: &str = "order_details_mv";

/// After so long something is wrong.
const WAIT_MAX: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, dir, url, orders] = arguments.as_slice()
        && let Ok(orders) = orders.parse()
    {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return match role.as_str() {
            "first" => runtime.block_on(process::first(Path::new(dir), url, orders)),
            _ => runtime.block_on(process::second(Path::new(dir), url, orders)),
        };
    }
    let given = arguments.iter().position(|argument| argument == "--orders");
    let orders = given.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(1_000_000);
    let dir = std::env::temp_dir().join(format!("viewtide-state-{}", std::process::id()));
    let redis = RedisServer::start();
    let mut first = Process::start("first", &dir, &redis, orders);
    first.line("loaded");
    let bytes = checkpoints(&mut first, orders);
    let mut second = Process::start("second", &dir, &redis, orders);
    second.line("ready");
    await_late_checkpoint(&dir, bytes);
    recovery(first, &mut second, &redis, orders);
    drop(second);
    fs::remove_dir_all(dir).unwrap();
}

/// Prints what checkpoints cost; the size of the last one, in bytes.
fn checkpoints(first: &mut Process, orders: u64) -> u64 {
    println!("checkpoints under load: CPU us a change (without, during one)");
    let (mut shares, mut longest, mut bytes) = (Vec::new(), [0f64; 2], 0.0);
    for _ in 0..CYCLES {
        let line = first.line("checkpoint");
        let [changes, without, during, size, seconds, pauses @ ..] = line.as_slice() else {
            panic!("{line:?}");
        };
        let share = 1.0 - without / during;
        println!(
            "  {without:.2} {during:.2}, share {share:.3}; {:.0} MiB in {seconds:.2} s and {changes} \
             changes; longest pause, ms of the clock and of CPU: {:.2} {:.2}, without {:.2} {:.2}",
            size / f64::from(1 << 20),
            pauses[0],
            pauses[1],
            pauses[2],
            pauses[3],
        );
        shares.push(share);
        longest = [longest[0].max(pauses[0]), longest[1].max(pauses[1])];
        bytes = *size;
    }
    shares.sort_by(f64::total_cmp);
    println!("  median share of the CPU {:.3} (target 0.20)", shares[CYCLES / 2]);
    println!("  longest pause {:.2} ms, {:.2} ms of CPU (target 50)", longest[0], longest[1]);
    println!("  size {bytes} bytes, {:.0} an order", bytes / orders as f64);
    bytes as u64
}

/// Waits until the next checkpoint is nearly complete: a process that is killed then has the most
/// to replay.
fn await_late_checkpoint(dir: &Path, bytes: u64) {
    let folder = dir.join(PIPELINE);
    wait_for(|| {
        let files = fs::read_dir(&folder).unwrap().filter_map(Result::ok);
        let mut aside = files.filter(|file| file.path().extension().is_some_and(|e| e == "tmp"));
        aside
            .any(|file| file.metadata().is_ok_and(|found| found.len() > bytes * 9 / 10))
            .then_some(())
    });
}

/// Kills one process, lets the other go on, and prints how long it takes.
fn recovery(mut first: Process, second: &mut Process, redis: &RedisServer, orders: u64) {
    let killed = Instant::now();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let docs = documents(redis);
    let mut expected = Vec::new();
    for order in marked(orders) {
        let mut key = Key::new();
        key.push(&viewtide::value::Value::Int(order));
        // What was deleted has no document, and a status makes none.
        if let Some(mut document) = read(redis, &docs, &key) {
            document["order_status"] = json!(MARK);
            document["last_order_update"] = json!(MARK_AT_SHOWN);
            expected.push((key, document));
        }
    }
    let mut told = serde_json::to_string(&positions(redis)).unwrap();
    told.push('\n');
    second.child.stdin.as_mut().unwrap().write_all(told.as_bytes()).unwrap();
    let is_right =
        |(key, document): &(Key, Value)| read(redis, &docs, key).as_ref() == Some(document);
    wait_for(|| is_right(&expected[0]).then_some(()));
    let took = killed.elapsed().as_secs_f64();
    wait_for(|| expected.iter().all(is_right).then_some(()));
    let loaded = second.line("loaded");
    println!("kill -9, just before a checkpoint was complete");
    println!("  tables loaded {:.2} s after the start, {} records to replay", loaded[0], loaded[1]);
    println!("  first right fresh document after {took:.2} s (target 10)");
    println!("  {} fresh documents right", expected.len());
}

/// The orders that are to be fresh.
fn marked(orders: u64) -> impl Iterator<Item = i64> {
    (0..MARKED).map(move |number| (1 + number * orders / MARKED) as i64)
}

/// The key of the documents that readers read.
fn documents(redis: &RedisServer) -> String {
    let keyspace = Keyspace::new(PIPELINE);
    let field = ViewFields::new(VIEW).current;
    let generation: String = redis.run(&["HGET", &keyspace.meta(), &field]);
    keyspace.view(VIEW, Generation::from_field(&generation).unwrap().number).docs
}

fn read(redis: &RedisServer, docs: &str, key: &Key) -> Option<Value> {
    let mut get = redis::cmd("HGET");
    get.arg(docs).arg(key.as_bytes());
    let document: Option<Vec<u8>> = redis.query(&get);
    document.map(|document| serde_json::from_slice(&document).unwrap())
}

/// How far Redis is, as JSON of the state's own types.
fn positions(redis: &RedisServer) -> Vec<Value> {
    let fields: Vec<(String, String)> = redis.run(&["HGETALL", &Keyspace::new(PIPELINE).meta()]);
    let position = |(field, value): (String, String)| {
        let (topic, number) = field.strip_prefix("position:")?.rsplit_once(':')?;
        let (next_offset, fingerprint) = value.split_once(':')?;
        let number: i32 = number.parse().ok()?;
        let next_offset: i64 = next_offset.parse().ok()?;
        let fingerprint = u64::from_str_radix(fingerprint, 16).ok()?;
        Some(json!([
            { "topic": topic, "number": number },
            { "next_offset": next_offset, "fingerprint": fingerprint }
        ]))
    };
    fields.into_iter().filter_map(position).collect()
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < WAIT_MAX, "nothing came in {} s", WAIT_MAX.as_secs());
        thread::sleep(Duration::from_millis(2));
    }
}

/// A process of this benchmark, killed when dropped.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str, dir: &Path, redis: &RedisServer, orders: u64) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(role)
            .arg(dir)
            .args([redis.url(), orders.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process { child, lines }
    }

    /// The numbers of the next line, which begins with this word.
    fn line(&mut self, word: &str) -> Vec<f64> {
        let line = self.lines.next().expect("the process goes on").unwrap();
        let rest = line.strip_prefix(word).unwrap_or_else(|| panic!("{line}"));
        rest.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(dir: &Path, url: &str) -> Config {
    let config = json!({
        "pipeline": { "name": PIPELINE },
        "kafka": { "brokers": "none:1" },
        "registry": { "url": "http://none" },
        "redis": { "url": url },
        "mysql": { "user": "none", "database": "shop" },
        "state": { "dir": dir, "checkpoint_interval_seconds": 5 },
    });
    serde_json::from_value(config).unwrap()
}

/// The shipped view over the shipped schema.
fn plan() -> Arc<Plan> {
    let file = |path: &str| {
        let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sql").join(path);
        SourceFile { path: path.to_owned(), text: fs::read_to_string(place).unwrap() }
    };
    let definitions = Definitions {
        tables: vec![file("schema.sql")],
        streams: vec![file("streams/order_updates.sql")],
        views: vec![file("views/order_details_mv.sql")],
    };
    Arc::new(plan_views(&definitions).unwrap())
}
