//! What runs out, and what is too much: disk, file handles, a clock, one customer's orders.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::load::OWN_ORDERS;
use super::own_writes::Author;
use super::scene::Scene;
use super::witness::VIEW;

/// A state folder that holds no checkpoint.
const SMALL_DISK: &str = "8k";

/// Open files of a process that needs some 40.
const FILES: u32 = 60;

/// How long a wide change may take.
const CHANGE_WAIT: Duration = Duration::from_secs(600);

/// Orders inserted by one statement.
const RUN: u32 = 10_000;

/// The hot customer's orders begin here.
const HOT_FROM: u32 = 10_000_000;

/// Checkpoints fail for want of space; nothing else does.
pub(crate) async fn disk_full(scene: &mut Scene) {
    let folder = scene.deployment.state_folder();
    let mount = format!("mount -t tmpfs -o size={SMALL_DISK} tmpfs '{}'", folder.display());
    scene.kill_viewtide();
    scene.deployment.start_by(&[
        "unshare",
        "--map-root-user",
        "--mount",
        "bash",
        "-c",
        &format!("{mount} && exec \"$@\""),
        "viewtide",
    ]);
    scene.fault("disk full");
    scene.converge().await;
    scene.log_says("No space left").await;
    scene.log_says("no checkpoint could be written").await;
    sleep(scene.extent.of(Duration::from_secs(3), Duration::from_secs(60))).await;
    scene.converge().await;
    scene.kill_viewtide();
    scene.deployment.start();
    scene.converge().await;
}

/// Readers take what handles there are; the processor goes on.
pub(crate) async fn file_handles(scene: &mut Scene) {
    scene.kill_viewtide();
    scene.deployment.start_by(&[
        "bash",
        "-c",
        &format!("ulimit -n {FILES} && exec \"$@\""),
        "viewtide",
    ]);
    scene.deployment.eventually("/readyz", |status, _| status == 200).await;
    for _ in 0..scene.extent.of(1, 5) {
        let mut silent = Vec::new();
        for _ in 0..2 * FILES {
            silent.extend(TcpStream::connect(scene.deployment.address()).await);
        }
        scene.fault("file handles used up");
        scene.log_says("Too many open files").await;
        sleep(Duration::from_secs(3)).await;
        drop(silent);
        scene.converge().await;
    }
    scene.kill_viewtide();
    scene.deployment.start();
}

/// MySQL's clock jumps with every transaction (see the load); order is the binlog's.
pub(crate) async fn clock(scene: &mut Scene) {
    for _ in 0..scene.extent.of(2, 20) {
        sleep(Duration::from_secs(3)).await;
        scene.fault("3 s of a clock that jumps by up to an hour");
    }
}

/// One customer with very many orders changes the phone, and others go on.
pub(crate) async fn hot_customer(scene: &mut Scene) {
    let orders = scene.extent.of(30_000, 200_000);
    scene.deployment.execute("INSERT INTO customers VALUES (1000, '0', 0)").await;
    let mut mysql = scene.deployment.mysql().await;
    mysql.query_drop(format!("SET cte_max_recursion_depth = {RUN}")).await.unwrap();
    for run in 0..orders / RUN {
        let from = HOT_FROM + run * RUN;
        mysql
            .query_drop(format!(
                "BEGIN;
                 INSERT INTO orders
                   WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {RUN} - 1)
                   SELECT {from} + i, 1000, 1, 0, 0 FROM n;
                 INSERT INTO order_items (order_id, quantity, price, version)
                   SELECT order_id, 1, 1, 0 FROM orders WHERE order_id >= {from};
                 COMMIT"
            ))
            .await
            .unwrap();
        scene.converge().await;
    }
    let usual = freshness(scene, Duration::from_secs(10)).await;
    let phone = "UPDATE customers SET version = version + 1, phone = '1' WHERE customer_id = 1000";
    scene.deployment.execute(phone).await;
    scene.fault("wide change");
    let base = format!("http://{}", scene.deployment.address());
    let changing = tokio::spawn(async move {
        let begun = Instant::now();
        shows(format!("{base}/{VIEW}/{}", HOT_FROM + orders - 1), "\"phone\":\"1\"").await;
        shows(format!("{base}/metrics"), "\nviewtide_backlog 0\n").await;
        begun.elapsed()
    });
    let meanwhile = freshness(scene, Duration::from_secs(10)).await;
    let took = changing.await.unwrap().as_secs_f64();
    let memory = resident_mib(scene.deployment.process().id());
    scene.notes.push(format!(
        "{orders} orders of one customer: all are changed after {took:.2} s; p99 of other writes until they \
         are read: usually {}, meanwhile {}; {memory} MiB resident",
        milliseconds(usual),
        milliseconds(meanwhile)
    ));
}

/// The p99 of the time from a commit until whoever reads without a position reads it, in
/// milliseconds; `None` if one was not read in time.
async fn freshness(scene: &Scene, during: Duration) -> Option<f64> {
    let (url, address) = (scene.deployment.mysql_url(), scene.deployment.address());
    let mut author = Author::new(&url, &address, OWN_ORDERS[2]);
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < during {
        let write = author.write().await.unwrap();
        let written = Instant::now();
        if !author.sees(&write, CHANGE_WAIT).await {
            return None;
        }
        times.push(written.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied()
}

fn milliseconds(time: Option<f64>) -> String {
    time.map_or_else(|| "none in time".to_owned(), |time| format!("{time:.0} ms"))
}

/// Waits until what is answered there holds this text.
async fn shows(url: String, text: &str) {
    let begun = Instant::now();
    loop {
        let answer = reqwest::get(&url).await.unwrap().text().await.unwrap();
        if answer.contains(text) {
            return;
        }
        assert!(begun.elapsed() < CHANGE_WAIT, "{url} answers {answer}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn resident_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
