//! Definitions that are changed while the process runs, on the real services.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use serde_json::Value;

use crate::restarts::delete_below;
use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::http;
use crate::support::redis::RedisServer;
use crate::support::stack::repository;

const ROWS: usize = 500;

async fn shop(purpose: &str) -> Deployment {
    shop_with(purpose, "", None).await
}

/// The same with further tables, and a Redis of its own.
async fn shop_with(purpose: &str, tables: &str, redis: Option<&RedisServer>) -> Deployment {
    let url = redis.map(RedisServer::url);
    let mut shop = Deployment::new(purpose, &repository().join("sql"), url.as_deref()).await;
    shop.execute(tables).await;
    shop.add_orders(ROWS).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop
}

fn logged(shop: &Deployment, text: &str) -> usize {
    fs::read_to_string(shop.log()).unwrap().matches(text).count()
}

/// Waits until the log has a text so many times.
async fn is_logged(shop: &Deployment, text: &str, times: usize) {
    let begun = Instant::now();
    while logged(shop, text) < times {
        assert!(begun.elapsed() < PATIENCE, "`{text}` is not in {}", shop.log().display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
    let metrics = http::get(&shop.address(), "/metrics").await.body;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("view=\"two\"") && !metrics.contains("view=\"one\""), "{metrics}");
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
    shop.redefine(
        "reviewed",
        Some(
            "CREATE VIEW reviewed AS SELECT order_id, note,
               (SELECT SUM(stars) FROM reviews AS r WHERE r.order_id = o.order_id) AS stars
             FROM orders AS o;",
        ),
    );
    // It fetches the table that the view names, too.
    let (code, text) = shop.told(&["check", "--write-tables"]);
    assert!(code.is_some(), "{text}");
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
    is_logged(&shop, "replan: following changed definitions", 1).await;
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

/// A table that the first snapshot has read is added to one that was read anew, twice; of its topic,
/// retention has taken something. Only views that read it wait, and a crash right after forgets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_added_table_holds_no_other_up() {
    let extras = "CREATE TABLE extras (id INT PRIMARY KEY, order_id INT NOT NULL, what VARCHAR(9))";
    let rows = "INSERT INTO extras VALUES (1, 1, 'bow'), (2, 2, 'card'), (3, 3, 'wrap')";
    let mut shop = shop_with("added", &format!("{extras};\n{rows};\n"), None).await;
    let reviews = "CREATE TABLE reviews (id INT PRIMARY KEY, order_id INT NOT NULL)";
    shop.execute(&format!("{reviews};\nINSERT INTO reviews VALUES (1, 1), (2, 1);\n")).await;
    let users = "CREATE TABLE IF NOT EXISTS `users`";
    shop.edit("schema.sql", users, &format!("{reviews};\n{extras};\n{users}"));
    let reviewed = "CREATE VIEW reviewed AS SELECT order_id,
        (SELECT COUNT(*) FROM reviews AS r WHERE r.order_id = o.order_id) AS reviews FROM orders AS o;";
    shop.redefine("reviewed", Some(reviewed));
    shop.signal("-HUP");
    shop.eventually("/reviewed/1", |_, order| order["reviews"] == 2).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    delete_below(&[(shop.table_topic("extras"), 2)].into()).await;
    let view = "CREATE VIEW extras AS SELECT id, what, order_id FROM extras;";
    for _ in 0..2 {
        shop.redefine("extras", Some(view));
        shop.signal("-HUP");
        let not_waiting = |_: u16, body: &Value| {
            let text = body.to_string();
            assert!(!text.contains("view reviewed"), "{text}");
            assert!(!text.contains("view order_details_mv: filling"), "{text}");
            body["ready"] == true
        };
        shop.eventually("/extras/3", |_, extra| extra["what"] == "wrap").await;
        shop.eventually("/readyz", not_waiting).await;
        shop.kill();
        shop.execute("UPDATE extras SET what = 'ribbon' WHERE id = 1;\n").await;
        shop.start();
        shop.eventually("/extras/1", |_, extra| extra["what"] == "ribbon").await;
        shop.eventually("/readyz", |status, _| status == 200).await;
        shop.assert_verified();
        shop.execute("UPDATE extras SET what = 'bow' WHERE id = 1;\n").await;
        shop.redefine("extras", None);
        shop.signal("-HUP");
        shop.eventually("/extras/1", |status, _| status == 404).await;
    }
    assert_eq!(logged(&shop, "lost records"), 0);
    assert_eq!(logged(&shop, "reading all from the topics"), 0);
}

/// A column that is read from here on, of a table without rows, is there at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_lacks_nothing() {
    let mut shop = shop_with("empty", "CREATE TABLE notes (id INT PRIMARY KEY, a INT)", None).await;
    let users = "CREATE TABLE IF NOT EXISTS `users`";
    let notes = "CREATE TABLE notes (id INT PRIMARY KEY, a INT)";
    shop.edit("schema.sql", users, &format!("{notes};\n{users}"));
    shop.redefine("notes", Some("CREATE VIEW notes AS SELECT id FROM notes;"));
    shop.signal("-HUP");
    shop.execute("INSERT INTO notes VALUES (1, 1);\n").await;
    shop.eventually("/notes/1", |status, _| status == 200).await;
    shop.execute("DELETE FROM notes;\n").await;
    shop.eventually("/notes/1", |status, _| status == 404).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    let asked = logged(&shop, "asking for it");
    shop.redefine("notes", Some("CREATE VIEW notes AS SELECT id, a FROM notes;"));
    shop.signal("-HUP");
    is_logged(&shop, "replan: following changed definitions", 2).await;
    shop.execute("INSERT INTO notes VALUES (2, 7);\n").await;
    shop.eventually("/notes/2", |_, note| note["a"] == 7).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
    assert_eq!(logged(&shop, "asking for it"), asked);
}

/// A change that fills Redis' memory up is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_there_is_no_memory_for_is_taken_back() {
    let redis = RedisServer::start();
    let mut shop = shop_with("no_memory", "", Some(&redis)).await;
    let info: String = redis.run(&["INFO", "memory"]);
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let bound = used.parse::<u64>().unwrap() + (4 << 20);
    let _: String = redis.run(&["CONFIG", "SET", "maxmemory", &bound.to_string()]);
    let large = "CREATE VIEW large AS SELECT order_id, REPEAT('x', 40000) AS text FROM orders;";
    shop.redefine("large", Some(large));
    shop.signal("-HUP");
    shop.eventually("/readyz", |_, body| body.to_string().contains("memory")).await;
    shop.redefine("large", None);
    shop.signal("-HUP");
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.execute("UPDATE users SET name = 'Eve';\n").await;
    shop.eventually("/users/1", |_, user| user["name"] == "Eve").await;
    shop.assert_verified();
    assert_eq!(logged(&shop, "claimed the pipeline"), 1, "it was restarted");
}

/// What takes a restart is told of what is followed, not of what was wanted in between.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_not_followed_by_a_detour() {
    let redis = RedisServer::start();
    let mut shop = shop_with("detour", "", Some(&redis)).await;
    let path = "sql/views/order_details_mv.sql";
    let details = fs::read_to_string(repository().join(path)).unwrap();
    let documents = fs::read_to_string(repository().join("sql/views/order_documents.sql")).unwrap();
    // A step is under way, and stays so.
    let _: String = redis.run(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    let consumed =
        format!("viewtide_records_consumed_total{{topic=\"{}\"}}", shop.table_topic("users"));
    let before = shop.metric(&consumed).await.unwrap();
    shop.execute("UPDATE users SET name = 'Eve';\n").await;
    shop.eventually_metric(&consumed, |now| now > before).await;
    let retries = "viewtide_retries_total{part=\"redis\"}";
    let so_far = shop.metric(retries).await.unwrap_or(0.0);
    shop.eventually_metric(retries, |now| now >= so_far + 3.0).await;
    let mut wanted = 0;
    let mut follow = async |shop: &mut Deployment| {
        wanted += 1;
        shop.signal("-HUP");
        is_logged(shop, "SIGHUP: following changed definitions", wanted).await;
    };
    shop.redefine("order_details_mv", None);
    shop.redefine("order_documents", None);
    follow(&mut shop).await;
    shop.edit("streams/order_updates.sql", "  status", "  note VARCHAR(20),\n  status");
    let noted = details.replace("e.status", "CONCAT(e.status, COALESCE(e.note, ''))");
    let noted = noted.replace("SELECT status, ", "SELECT status, note, ");
    shop.redefine("order_details_mv", Some(&noted));
    follow(&mut shop).await;
    let _: String = redis.run(&["CLIENT", "UNPAUSE"]);
    let says = |_: u16, body: &Value| body.to_string().contains("definitions: event topic");
    shop.eventually("/readyz", says).await;
    shop.eventually("/users/1", |_, user| user["name"] == "Eve").await;
    shop.edit("streams/order_updates.sql", "  note VARCHAR(20),\n", "");
    shop.redefine("order_details_mv", Some(&details));
    shop.redefine("order_documents", Some(&documents));
    shop.signal("-HUP");
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
}
