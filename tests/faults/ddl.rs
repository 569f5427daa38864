//! Tables emptied, read again and changed in form, while everything is written to.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::connect::snapshot_is_stored;
use super::scene::Scene;

/// The longest time between two faults.
const WITHIN: Duration = Duration::from_millis(1500);

/// Between two statements of the writer.
const PAUSE: Duration = Duration::from_millis(20);

/// MySQL's error number.
const DEADLOCK: u16 = 1213;

/// How long a new snapshot of a table may take, in seconds.
const SNAPSHOT_WAIT: &str = "200";

/// How long viewtide may take until it asks for nothing any more.
const ASKED_WAIT: Duration = Duration::from_secs(240);

/// The tables that are read again.
const READ_AGAIN: [&[&str]; 3] = [&["order_items"], &["orders", "customers"], &["marks"]];

/// Forms that `customers` takes: of columns that no view reads, and of their order.
const UNREAD: [&str; 5] = [
    "ALTER TABLE customers ADD COLUMN note VARCHAR(50)",
    "UPDATE customers SET note = phone",
    "ALTER TABLE customers RENAME COLUMN note TO remark",
    "ALTER TABLE customers ADD COLUMN foremost INT NOT NULL DEFAULT 7 FIRST",
    "ALTER TABLE customers DROP COLUMN remark, DROP COLUMN foremost",
];

/// Columns that are read become wider, take what only then fits, and are made narrow again.
const WIDER: [&str; 5] = [
    "ALTER TABLE marks MODIFY n BIGINT NOT NULL",
    "ALTER TABLE marks MODIFY label VARCHAR(200)",
    "INSERT INTO marks (order_id, n, label) VALUES (1, 2147483647, REPEAT('long ', 40))",
    // The writer may have changed the label of the row that was added, or its number.
    "DELETE FROM marks WHERE CHAR_LENGTH(label) > 10 OR n >= 2147483647",
    "ALTER TABLE marks MODIFY n INT NOT NULL, MODIFY label VARCHAR(10)",
];

/// What changes rows of `marks` without row events: all values of a column, some rows, all of them.
const REWRITES: [&[&str]; 3] = [
    &["ALTER TABLE marks DROP COLUMN label, ADD COLUMN label VARCHAR(10) DEFAULT 'fresh'"],
    &[
        "ALTER TABLE marks PARTITION BY HASH (id) PARTITIONS 4",
        "ALTER TABLE marks TRUNCATE PARTITION p1",
        "ALTER TABLE marks REMOVE PARTITIONING",
    ],
    &[
        "CREATE TABLE new_marks LIKE marks",
        "INSERT INTO new_marks (id, order_id, n, label) SELECT id, order_id, n + 1000, 'copied' FROM marks",
        "RENAME TABLE marks TO old_marks, new_marks TO marks",
        "DROP TABLE old_marks",
    ],
];

/// Writes to `marks`, which has no part in what the witness holds against itself.
pub(crate) struct Marks {
    stopped: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Marks {
    pub(crate) async fn start(scene: &mut Scene) -> Marks {
        let mut mysql = scene.deployment.mysql().await;
        let mut random = StdRng::seed_from_u64(scene.random.random());
        let (stopped, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (Arc::clone(&stopped), Arc::clone(&written));
        let task = tokio::spawn(async move {
            while !until.load(Ordering::Relaxed) {
                change(&mut mysql, &mut random).await;
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Marks { stopped, written, task }
    }

    /// Ends it after what it is at; how many statements there were.
    pub(crate) async fn stop(self) -> u64 {
        self.stopped.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.written.load(Ordering::Relaxed)
    }
}

async fn change(mysql: &mut Conn, random: &mut StdRng) {
    let statement = match random.random_range(0..4) {
        0 | 1 => {
            "INSERT INTO marks (order_id, n, label) \
             SELECT order_id, version, 'new' FROM orders ORDER BY RAND() LIMIT 8"
        }
        2 => "UPDATE marks SET n = n + 1, label = 'changed' ORDER BY RAND() LIMIT 8",
        _ => "DELETE FROM marks ORDER BY RAND() LIMIT 4",
    };
    match mysql.query_drop(statement).await {
        // The load may hold what is wanted.
        Err(mysql_async::Error::Server(error)) if error.code == DEADLOCK => {}
        outcome => outcome.unwrap(),
    }
}

pub(crate) async fn truncate(scene: &mut Scene) {
    let marks = Marks::start(scene).await;
    for number in 0..scene.extent.of(4, 40) {
        scene.wait_up_to(WITHIN).await;
        scene.deployment.execute("TRUNCATE TABLE marks").await;
        scene.fault("TRUNCATE");
        if number % 2 == 1 {
            scene.wait_up_to(WITHIN / 5).await;
            scene.kill_viewtide();
            scene.deployment.start();
        }
        if number % 4 == 3 {
            scene.converge().await;
        }
    }
    let written = marks.stop().await;
    scene.notes.push(format!("{written} statements wrote to the table that was emptied"));
}

/// From the second on viewtide is killed while the tables are read.
pub(crate) async fn resnapshot(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    let marks = Marks::start(scene).await;
    for number in 0..scene.extent.of(2, 12) {
        let tables = READ_AGAIN[number % READ_AGAIN.len()];
        let arguments = [&["resnapshot"], tables, &["--wait", SNAPSHOT_WAIT]].concat();
        let mut command = scene.deployment.command(&arguments);
        let command = tokio::task::spawn_blocking(move || command.output().unwrap());
        scene.fault("table read again");
        if number > 0 {
            scene.wait_up_to(WITHIN).await;
            scene.kill_viewtide();
            scene.deployment.start();
        }
        let output = command.await.unwrap();
        let printed =
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "resnapshot {tables:?}: {}: {printed}", output.status);
        scene.converge().await;
    }
    marks.stop().await;
}

pub(crate) async fn alter(scene: &mut Scene) {
    let marks = Marks::start(scene).await;
    for _ in 0..scene.extent.of(1, 4) {
        for statement in UNREAD.into_iter().chain(WIDER) {
            scene.wait_up_to(WITHIN / 2).await;
            scene.deployment.execute(statement).await;
            scene.fault("DDL");
        }
        scene.converge().await;
        scene.kill_viewtide();
        scene.deployment.start();
        scene.converge().await;
    }
    marks.stop().await;
}

/// Nobody asks for anything. In the last round viewtide is killed while the table is read anew.
pub(crate) async fn rewrites(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    let marks = Marks::start(scene).await;
    for round in 0..scene.extent.of(1, 4) {
        for (number, statements) in REWRITES.into_iter().enumerate() {
            scene.wait_up_to(WITHIN).await;
            for statement in statements {
                scene.deployment.execute(statement).await;
            }
            scene.fault("rewriting DDL");
            if (round + number) % 3 == 2 {
                scene.wait_up_to(WITHIN).await;
                scene.kill_viewtide();
                scene.deployment.start();
            }
            scene.converge().await;
            nothing_is_asked_for(scene).await;
            let verified = scene.verify();
            assert!(verified.is_right(), "{}", verified.printed);
        }
    }
    marks.stop().await;
}

/// Until then the table may be read once more, and views be filled from it while they are verified.
async fn nothing_is_asked_for(scene: &mut Scene) {
    let deadline = Instant::now() + ASKED_WAIT;
    loop {
        let log = fs::read_to_string(scene.deployment.log()).unwrap();
        let marks = ["asking for it", "they are read tables", "serving address"];
        let last =
            log.lines().rev().find_map(|line| marks.iter().find(|mark| line.contains(**mark)));
        if last != Some(&"asking for it") {
            return;
        }
        assert!(Instant::now() < deadline, "still asked for: {}", scene.deployment.log().display());
        scene.converge().await;
    }
}

/// A column that a view reads is gone: the view stands still and says so, until an operator has taken
/// the column out of the definitions.
pub(crate) async fn column_dropped(scene: &mut Scene) {
    let marks = Marks::start(scene).await;
    scene.converge().await;
    marks.stop().await;
    scene.deployment.execute("ALTER TABLE marks DROP COLUMN n").await;
    scene.fault("required column dropped");
    scene.deployment.execute("INSERT INTO marks (order_id, label) VALUES (1, 'without')").await;
    let why = "standing still: column `n` of table `marks` is not in";
    let says_so = |status, body: &Value| status == 503 && body.to_string().contains(why);
    scene.deployment.eventually("/readyz", says_so).await;
    scene.deployment.edit("schema.sql", "  n INT NOT NULL,\n", "");
    scene.deployment.signal("-HUP");
    scene.converge().await;
}
