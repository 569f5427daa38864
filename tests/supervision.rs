//! A connector that fails while viewtide watches over it, on the real services.

use mysql_async::prelude::Queryable as _;
use serde_json::Value;

use crate::support::deployment::Deployment;
use crate::support::stack::repository;

const ROWS: &str = "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');
     INSERT INTO orders (order_id, user_id, total, order_status) VALUES (7, 1, 1.00, 'one');
     ";

/// A database user that loses its password and gets it back: nobody has to restart anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_task_is_restarted_until_it_runs() {
    let mut shop = Deployment::new("locked", &repository().join("sql"), None).await;
    let user = format!("'{}'@'%'", &shop.name);
    shop.execute(&format!(
        "{ROWS}CREATE USER {user} IDENTIFIED BY 'right';
         GRANT REPLICATION SLAVE, REPLICATION CLIENT, FLUSH_TABLES ON *.* TO {user};
         GRANT SELECT ON `{0}`.* TO {user};
         GRANT INSERT, UPDATE ON `{0}`.`viewtide_heartbeat` TO {user};
         ",
        shop.name
    ))
    .await;
    shop.capture_with(&[&format!("database.user={}", shop.name), "database.password=right"]);
    shop.supervise();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.eventually_metric("viewtide_connector_running", |running| running == 1.0).await;
    shop.execute(&format!("ALTER USER {user} IDENTIFIED BY 'other';\n")).await;
    shop.restart_connector().await;
    shop.eventually_metric("viewtide_connector_restarts_total", |count| count >= 2.0).await;
    shop.eventually_metric("viewtide_connector_running", |running| running == 0.0).await;
    shop.execute(&format!(
        "ALTER USER {user} IDENTIFIED BY 'right';
         UPDATE orders SET order_status = 'two' WHERE order_id = 7;
         "
    ))
    .await;
    assert_eq!(shop.get("/orders/7").await.0, 200, "what was published is served meanwhile");
    let is_two = |_: u16, body: &Value| body["order_status"] == "two";
    shop.eventually("/orders/7", is_two).await;
    shop.eventually_metric("viewtide_connector_running", |running| running == 1.0).await;
    shop.assert_verified();
    shop.execute(&format!("DROP USER {user};\n")).await;
}

/// A record that is too large stays too large: that is told, and not tried for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_restart_mends_is_told_and_left_alone() {
    let mut shop = Deployment::new("large", &repository().join("sql"), None).await;
    shop.execute("ALTER TABLE orders MODIFY order_status MEDIUMTEXT;\n").await;
    shop.execute(ROWS).await;
    shop.capture_with(&["producer.override.max.request.size=32768"]);
    shop.supervise();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    let mut mysql = shop.mysql().await;
    mysql.query_drop("UPDATE orders SET order_status = REPEAT('x', 65536)").await.unwrap();
    let is_told = |_: u16, body: &Value| body.to_string().contains("a record is larger than");
    shop.eventually("/readyz", is_told).await;
    assert_eq!(shop.metric("viewtide_connector_restarts_total").await, Some(0.0));
    assert_eq!(shop.get("/orders/7").await.0, 200);
    // Somebody mends it.
    shop.capture_with(&["producer.override.max.request.size=16777216"]);
    shop.eventually("/readyz", |status, _| status == 200).await;
    let is_large = |_: u16, body: &Value| body["order_status"].as_str().unwrap().len() == 65536;
    shop.eventually("/orders/7", is_large).await;
    shop.assert_verified();
}
