//! Tables that are read again by command while everything runs, on the real services.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mysql_async::prelude::Queryable as _;

use crate::dead_letters::{newest, push};
use crate::support::deployment::Deployment;
use crate::support::stack::repository;

/// Under writes; documents are there all the time, and right in the end.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_read_again_under_load_while_documents_stay_readable() {
    let mut shop = Deployment::new("again", &repository().join("sql"), None).await;
    shop.execute(
        "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');\n",
    )
    .await;
    let mut mysql = shop.mysql().await;
    let orders = "INSERT INTO orders (user_id, total) WITH RECURSIVE n (i) AS \
                  (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT 1, i FROM n";
    mysql.query_drop(orders).await.unwrap();
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    // A change of a row that nothing else touches cannot be read.
    let topic = shop.table_topic("users");
    let (key, value) = newest(&topic);
    push(&topic, &key, &[&value[..5], b"rubbish"].concat()).await;
    let stale = format!("viewtide_stale_rows{{topic=\"{topic}\"}}");
    shop.eventually_metric(&stale, |stale| stale == 1.0).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut number = 0u32;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let id = 1 + number % 900;
                let change = match number % 5 {
                    0 => format!("DELETE FROM orders WHERE order_id = {id}"),
                    1 => "INSERT INTO orders (user_id, total) VALUES (1, 5.00)".to_owned(),
                    _ => format!("UPDATE orders SET total = total + 1 WHERE order_id = {id}"),
                };
                mysql.query_drop(change).await.unwrap();
            }
            number
        }
    });
    let mut command = shop.command(&["resnapshot", "orders", "users", "--wait", "120"]);
    let snapshot = tokio::task::spawn_blocking(move || command.output().unwrap());
    while !snapshot.is_finished() {
        // A complete view says 404 of what is not there; one that is filling says 503.
        assert_eq!(shop.get("/orders/4000000").await.0, 404);
        assert_eq!(shop.get("/users/1").await.0, 200);
    }
    let output = snapshot.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for wanted in ["asked debezium to read orders, users again", ".users: all 1 rows", "done: "] {
        assert!(text.contains(wanted), "{wanted:?} not in\n{text}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);
    let resyncs = "viewtide_commands_total{command=\"resync\",outcome=\"applied\"}";
    shop.eventually_metric(resyncs, |count| count == 2.0).await;
    shop.eventually_metric(&stale, |stale| stale == 0.0).await;
    shop.assert_verified();

    let (code, text) = shop.told(&["resnapshot", "order_updates"]);
    assert!(code == Some(2) && text.contains("no view reads a table `order_updates`"), "{text}");
}

/// Nobody reads the signal: it is told what may be wrong, in bounded time.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_nobody_takes_ends_in_time() {
    let mut shop = Deployment::new("nobody", &repository().join("sql"), None).await;
    shop.capture_with(&["signal.enabled.channels=source"]);
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    let (code, text) = shop.told(&["resnapshot", "orders", "--wait", "3"]);
    assert!(code == Some(1) && text.contains("has not come to an end in time"), "{text}");
}
