//! What lies before Kafka: MySQL and Connect, killed.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use serde_json::Value;
use tokio::time::sleep;

use super::load::{in_one_transaction, new_order};
use super::scene::Scene;
use super::services::Service;
use crate::support::stack::Stack;

/// The longest time between two faults.
const WITHIN: Duration = Duration::from_secs(3);

/// Rows of one transaction.
const WIDE: u32 = 10_000;

/// The order that has them.
const WIDE_ORDER: i64 = 2_000_000;

/// How long Connect may take to store a connector's offsets: it does so every 5 s.
const STORE_WAIT: Duration = Duration::from_secs(60);

/// Waits until Connect knows that the first snapshot is behind it; before, it would take another.
pub(crate) async fn snapshot_is_stored(scene: &Scene) {
    let connect = Stack::shared().port("CONNECT_PORT");
    let url = format!("http://127.0.0.1:{connect}/connectors/{}/offsets", scene.deployment.name);
    let begun = Instant::now();
    loop {
        let answer = reqwest::get(&url).await.unwrap().bytes().await.unwrap();
        let stored: Value = serde_json::from_slice(&answer).unwrap();
        let offset = &stored["offsets"][0]["offset"];
        if offset["gtids"].is_string() && offset["snapshot"].is_null() {
            return;
        }
        assert!(begun.elapsed() < STORE_WAIT, "connect stores no offsets: {stored}");
        sleep(Duration::from_millis(200)).await;
    }
}

pub(crate) async fn kill(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    for _ in 0..scene.extent.of(2, 13) {
        scene.wait_up_to(WITHIN).await;
        Service::Connect.kill();
        scene.fault("kill -9 connect");
        scene.wait_up_to(WITHIN).await;
        Service::Connect.start();
        scene.converge().await;
    }
}

/// Connect dies while it writes the rows of one transaction, and writes some of them again.
pub(crate) async fn kill_in_a_wide_transaction(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    scene.deployment.execute(&in_one_transaction(&new_order(WIDE_ORDER, 1))).await;
    for _ in 0..scene.extent.of(1, 8) {
        let mut mysql = scene.deployment.mysql().await;
        mysql
            .query_drop(format!(
                "SET cte_max_recursion_depth = {WIDE};
                 BEGIN;
                 UPDATE orders SET version = version + 1 WHERE order_id = {WIDE_ORDER};
                 DELETE FROM order_items WHERE order_id = {WIDE_ORDER};
                 INSERT INTO order_items (order_id, quantity, price, version)
                   WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {WIDE})
                   SELECT {WIDE_ORDER}, 1, i, (SELECT version FROM orders WHERE order_id = {WIDE_ORDER}) FROM n;
                 UPDATE orders SET total = (SELECT SUM(quantity * price) FROM order_items AS i
                   WHERE i.order_id = {WIDE_ORDER}) WHERE order_id = {WIDE_ORDER};
                 COMMIT"
            ))
            .await
            .unwrap();
        scene.wait_up_to(Duration::from_millis(600)).await;
        Service::Connect.kill();
        scene.fault("kill -9 connect in 10,000 rows");
        Service::Connect.start();
        scene.converge().await;
    }
    let duplicates =
        scene.deployment.metric("viewtide_duplicates_dropped_total").await.unwrap_or(0.0);
    scene.notes.push(format!("{duplicates} records that Connect wrote twice were dropped"));
}

pub(crate) async fn kill_mysql(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    for _ in 0..scene.extent.of(2, 22) {
        scene.wait_up_to(WITHIN).await;
        Service::Mysql.kill();
        scene.fault("kill -9 mysql");
        scene.wait_up_to(WITHIN).await;
        Service::Mysql.start();
        scene.converge().await;
    }
}

/// Connect dies before it has stored that its snapshot is done, and takes it once more.
pub(crate) async fn kill_early(scene: &mut Scene) {
    Service::Connect.kill();
    scene.fault("kill -9 connect right after the snapshot");
    Service::Connect.start();
    scene.converge().await;
}

pub(crate) async fn rotate(scene: &mut Scene) {
    for _ in 0..scene.extent.of(10, 60) {
        scene.wait_up_to(Duration::from_millis(500)).await;
        scene.deployment.execute("FLUSH BINARY LOGS").await;
        scene.fault("binlog rotated");
    }
}
