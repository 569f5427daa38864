//! Definitions that are changed while the process runs, on the real services.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mysql_async::prelude::Queryable as _;
use serde_json::Value;

use crate::support::deployment::Deployment;
use crate::support::http;
use crate::support::stack::repository;

const ROWS: usize = 500;

async fn shop(purpose: &str) -> Deployment {
    let mut shop = Deployment::new(purpose, &repository().join("sql"), None).await;
    let orders: Vec<_> = (1..=ROWS).map(|order| format!("({order}, 1, 1)")).collect();
    shop.execute(&format!(
        "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');
         INSERT INTO orders (order_id, user_id, total) VALUES {};\n",
        orders.join(", ")
    ))
    .await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop
}

fn logged(shop: &Deployment, text: &str) -> usize {
    fs::read_to_string(shop.log()).unwrap().matches(text).count()
}

/// The process stays, and so do the documents of all views: one is defined anew, one comes, one goes.
#[tokio::test(flavor = "multi_thread")]
async fn views_are_defined_anew_without_a_restart() {
    let mut shop = shop("reloaded").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (mut mysql, stop) = (shop.mysql().await, Arc::clone(&stop));
        tokio::spawn(async move {
            for number in 1.. {
                let id = 1 + number * 13 % ROWS;
                let raise = format!("UPDATE orders SET total = total + 1 WHERE order_id = {id}");
                mysql.query_drop(raise).await.unwrap();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        })
    };
    let reading = {
        let (address, stop) = (shop.address(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut totals = [0.0; ROWS + 1];
            for turn in 0.. {
                let id = 1 + turn * 7 % ROWS;
                let answer = http::get(&address, &format!("/order_details_mv/{id}")).await;
                assert_eq!(answer.status, 200, "order {id}");
                let total: f64 = answer.json()["total"].as_str().unwrap().parse().unwrap();
                assert!(total >= totals[id], "order {id} went back to {total}");
                totals[id] = total;
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        })
    };
    let path = "sql/views/order_details_mv.sql";
    let text = fs::read_to_string(repository().join(path)).unwrap();
    for (column, view) in [("amount", "one"), ("sum", "two")] {
        let changed =
            text.replacen("  o.total,\n", &format!("  o.total,\n  o.total AS {column},\n"), 1);
        shop.redefine("order_details_mv", Some(&changed));
        shop.redefine(
            view,
            Some(&format!("CREATE VIEW {view} AS SELECT user_id, name FROM users;")),
        );
        if view == "two" {
            shop.redefine("one", None);
        }
        shop.signal("-HUP");
        let has_column = |document: &Value| document.get(column).is_some();
        shop.eventually("/order_details_mv/1", |_, document| has_column(document)).await;
        shop.eventually(&format!("/{view}/1"), |_, user| user["name"] == "Ada").await;
        shop.eventually("/readyz", |status, _| status == 200).await;
    }
    assert_eq!(shop.get("/one/1").await.0, 404);
    // What cannot be planned changes nothing.
    shop.redefine("three", Some("CREATE VIEW three AS SELECT NOW() FROM users;"));
    shop.signal("-HUP");
    shop.execute("UPDATE users SET name = 'Eve';\n").await;
    shop.eventually("/two/1", |_, user| user["name"] == "Eve").await;
    shop.redefine("three", None);
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    reading.await.unwrap();
    shop.assert_verified();
    assert_eq!(logged(&shop, "claimed the pipeline"), 1, "it was restarted");
    assert_eq!(logged(&shop, "following changed definitions"), 4);
    assert_eq!(logged(&shop, "read anew: asking for it"), 0);
}

/// Columns and tables that were not held are read anew; views of other tables go on meanwhile, and
/// all of it is there after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn columns_and_tables_that_come_later_are_taken_up_without_a_restart() {
    let mut shop = shop("taken_up").await;
    shop.execute(
        "ALTER TABLE orders ADD COLUMN note VARCHAR(20) NOT NULL DEFAULT 'old';
         CREATE TABLE reviews (id INT PRIMARY KEY, order_id INT NOT NULL, stars INT NOT NULL);
         INSERT INTO reviews VALUES (1, 1, 5), (2, 1, 3), (3, 2, 4);
         DELETE FROM reviews WHERE id = 3;
         UPDATE orders SET note = 'new' WHERE order_id = 2;\n",
    )
    .await;
    let (code, text) = shop.told(&["check", "--write-tables"]);
    assert!(code.is_some(), "{text}");
    let users = "CREATE TABLE IF NOT EXISTS `users`";
    let reviews =
        "CREATE TABLE reviews (id INT PRIMARY KEY, order_id INT NOT NULL, stars INT NOT NULL)";
    shop.edit("schema.sql", users, &format!("{reviews};\n{users}"));
    shop.redefine(
        "reviewed",
        Some(
            "CREATE VIEW reviewed AS SELECT order_id, note,
               (SELECT SUM(stars) FROM reviews AS r WHERE r.order_id = o.order_id) AS stars
             FROM orders AS o;",
        ),
    );
    shop.signal("-HUP");
    shop.eventually("/reviewed/1", |_, order| order["stars"] == "8" && order["note"] == "old")
        .await;
    shop.eventually("/reviewed/2", |_, order| order["note"] == "new").await;
    shop.eventually("/orders/2", |_, order| order["note"] == "new").await;
    shop.execute("UPDATE reviews SET stars = 1 WHERE id = 1;\nUPDATE users SET name = 'Eve';\n")
        .await;
    shop.eventually("/reviewed/1", |_, order| order["stars"] == "4").await;
    shop.eventually("/users/1", |_, user| user["name"] == "Eve").await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
    assert_eq!(logged(&shop, "claimed the pipeline"), 1, "it was restarted");
    shop.kill();
    shop.execute("UPDATE reviews SET stars = 2 WHERE id = 1;\n").await;
    shop.start();
    shop.eventually("/reviewed/1", |_, order| order["stars"] == "5").await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
}

/// What the wider column takes is a dead letter until the declaration says so; its rows stay held.
#[tokio::test(flavor = "multi_thread")]
async fn a_wider_column_is_declared_without_a_restart() {
    let mut shop = shop("widened").await;
    shop.execute(
        "INSERT INTO order_items (order_id, name, quantity, price)
           VALUES (1, 'Hat', 2, 1.00), (2, 'Cap', 2, 1.00);
         ALTER TABLE order_items MODIFY quantity BIGINT DEFAULT 1;
         UPDATE order_items SET quantity = 3000000000 WHERE name = 'Hat';\n",
    )
    .await;
    let stale = format!("viewtide_stale_rows{{topic=\"{}\"}}", shop.table_topic("order_items"));
    shop.eventually_metric(&stale, |rows| rows == 1.0).await;
    shop.edit("schema.sql", "`quantity` int DEFAULT '1'", "`quantity` bigint DEFAULT '1'");
    shop.signal("-HUP");
    let shows = |document: &Value, text: &str| document.to_string().contains(text);
    shop.execute("UPDATE order_items SET quantity = 4000000000 WHERE name = 'Cap';\n").await;
    shop.eventually("/order_details_mv/2", |_, order| shows(order, "4000000000")).await;
    let (code, text) = shop.told(&["dlq", "replay", "--open"]);
    assert_eq!(code, Some(0), "{text}");
    shop.eventually("/order_details_mv/1", |_, order| shows(order, "3000000000")).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
    assert_eq!(logged(&shop, "read anew: asking for it"), 0);
}
