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
    let mut command = shop.command(&["resnapshot", "orders", "users", "--beside", "--wait", "120"]);
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
    shop.eventually_metric(&stale, |stale| stale == 0.0).await;
    shop.assert_verified();

    let (code, text) = shop.told(&["resnapshot", "order_updates"]);
    assert!(code == Some(2) && text.contains("no view reads a table `order_updates`"), "{text}");
}

/// A row that is deleted without a word in the binary log stays in documents, until its table is
/// read anew; meanwhile readers read what they read before.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_unnoticed_goes_when_a_table_is_read_anew() {
    let mut shop = Deployment::new("ghosts", &repository().join("sql"), None).await;
    shop.execute(
        "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');
         INSERT INTO orders (order_id, user_id, total)
           VALUES (1, 1, 1.00), (2, 1, 2.00), (3, 1, 3.00);
         INSERT INTO order_items (order_id, quantity, price) VALUES (1, 1, 1.00);\n",
    )
    .await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.execute(
        "SET SESSION sql_log_bin = 0; DELETE FROM orders WHERE order_id = 2; DELETE FROM order_items;\n",
    )
    .await;
    let (code, text) = shop.told(&["verify"]);
    assert!(code == Some(1) && text.contains("1 extra"), "{text}");
    // Debezium's session then has not looked into the database before.
    shop.restart_connector().await;
    let mut mysql = shop.mysql().await;
    let mut command = shop.command(&["resnapshot", "orders", "order_items", "--wait", "120"]);
    let snapshot = tokio::task::spawn_blocking(move || command.output().unwrap());
    let mut total = 10;
    while !snapshot.is_finished() {
        total += 1;
        let change = format!("UPDATE orders SET total = {total} WHERE order_id = 3");
        mysql.query_drop(change).await.unwrap();
        assert_eq!(shop.get("/orders/1").await.0, 200);
        let (status, body) = shop.get("/orders/2").await;
        assert!(matches!(status, 200 | 404), "{status} {body}");
    }
    let output = snapshot.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for wanted in ["to read order_items, orders anew", ".order_items: all 0 rows", "done: "] {
        assert!(text.contains(wanted), "{wanted:?} not in\n{text}");
    }
    shop.assert_verified();
    assert_eq!(shop.get("/orders/2").await.0, 404);
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
