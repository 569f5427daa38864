//! Statements that change rows without change events, on the real services.

use std::fs;

use crate::support::deployment::Deployment;
use crate::support::stack::repository;

const READ_ANEW: &str = "these tables are complete only once they are read anew: asking for it";

/// Nobody asks for it; what changes no row asks for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_a_statement_rewrote_is_read_anew_by_itself() {
    let mut shop = Deployment::new("rewritten", &repository().join("sql"), None).await;
    shop.execute(
        "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');
         INSERT INTO orders (order_id, user_id, total) VALUES (1, 1, 1.25), (2, 1, 2.00);
         INSERT INTO order_items (order_id, name, price) VALUES (1, 'Hat', 1.25);\n",
    )
    .await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;

    // Values are rounded, and stay so. Beside it, what changes no row.
    shop.execute(
        "ALTER TABLE users ADD INDEX by_name (name), MODIFY name VARCHAR(120) NOT NULL;
         ALTER TABLE addresses COMMENT = 'where users live', ADD COLUMN note INT NOT NULL DEFAULT 7;
         CREATE TABLE IF NOT EXISTS order_items (id INT PRIMARY KEY);
         ALTER TABLE orders MODIFY total DECIMAL(10,1) NOT NULL;
         ALTER TABLE orders MODIFY total DECIMAL(10,2) NOT NULL;
         INSERT INTO orders (order_id, user_id, total) VALUES (3, 1, 3.00);\n",
    )
    .await;
    shop.eventually("/order_details_mv/1", |_, body| body["total"] == "1.30").await;
    shop.eventually("/order_details_mv/3", |status, _| status == 200).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();

    // Another table takes the name, with other rows; the former one goes.
    shop.execute(
        "CREATE TABLE items_new LIKE order_items;
         INSERT INTO items_new SELECT id + 1, order_id + 1, 'Cap', quantity, price FROM order_items;
         RENAME TABLE order_items TO items_old, items_new TO order_items;
         DROP TABLE items_old;\n",
    )
    .await;
    let details = |body: &serde_json::Value| body["order_items_details"].to_string();
    shop.eventually("/order_details_mv/2", |_, body| details(body).contains("Cap")).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();

    // A restart finds nothing more to do in what it reads again.
    shop.kill();
    fs::remove_dir_all(shop.state_folder()).unwrap();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();

    let log = fs::read_to_string(shop.log()).unwrap();
    let asked: Vec<&str> = log.lines().filter(|line| line.contains(READ_ANEW)).collect();
    for (table, wanted) in
        [("\"orders\"", true), ("\"order_items\"", true), ("users", false), ("addresses", false)]
    {
        assert_eq!(asked.iter().any(|line| line.contains(table)), wanted, "{table}: {asked:#?}");
    }
}
