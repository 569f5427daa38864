//! The shipped shop on the real services: from a commit in MySQL to the document over HTTP.

use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::events::push_event;
use crate::support::stack::repository;

/// Two users, one order with two items, committed before the connector's snapshot.
const ROWS: &str = "
INSERT INTO users (user_id, name, email, phone) VALUES
  (1, 'Ida Berg', 'ida@shop.example', '0301'), (2, 'Ole Dahl', 'ole@shop.example', NULL);
INSERT INTO addresses (address_id, user_id, street, city, state, postal_code, country) VALUES
  (1, 1, '1 Elm Row', 'Nealview', NULL, '11434', 'Norway');
INSERT INTO orders (order_id, user_id, total, order_date, order_status, updated_date) VALUES
  (7, 1, 25.50, '2024-09-02 17:21:02', 'Created', '2024-09-02 17:21:02');
INSERT INTO order_items (id, order_id, name, quantity, price) VALUES
  (1, 7, 'Cotton Hat', 2, 10.25), (2, 7, 'Sleek | \"Hat\"', 1, 5.00);
";

/// One deployment takes every kind of change in turn, each to be seen and right.
#[tokio::test(flavor = "multi_thread")]
async fn every_change_to_an_order_reaches_its_document() {
    let mut shop = Deployment::new("shop", &repository().join("sql"), None).await;
    shop.execute(ROWS).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;

    let document = shop.eventually("/order_details_mv/7", |status, _| status == 200).await;
    assert_eq!(
        document,
        json!({
            "order_id": 7, "total": "25.50", "order_date": "2024-09-02T17:21:02Z",
            "order_status": "Created", "last_order_update": "2024-09-02T17:21:02Z",
            "user_id": 1, "user_phone": "0301",
            "full_address": "1 Elm Row, Nealview, 11434, Norway",
            "order_items_details": "Cotton Hat (Qty: 2, Price: 10.25, Total: 20.50) | \
                Sleek | \"Hat\" (Qty: 1, Price: 5.00, Total: 5.00)",
        })
    );
    assert_eq!(shop.get("/order_details_mv/8").await.0, 404);

    for (change, column, expected) in [
        ("UPDATE users SET phone = '0302' WHERE user_id = 1", "user_phone", json!("0302")),
        (
            "INSERT INTO addresses (address_id, user_id, street, city, country) \
             VALUES (2, 1, '2 Oak Row', 'Farview', 'Chile')",
            "full_address",
            json!("2 Oak Row, Farview, Chile"),
        ),
        ("UPDATE orders SET total = 30 WHERE order_id = 7", "total", json!("30.00")),
        (
            "DELETE FROM order_items WHERE id = 2",
            "order_items_details",
            json!("Cotton Hat (Qty: 2, Price: 10.25, Total: 20.50)"),
        ),
        (
            "UPDATE order_items SET price = 0.99 WHERE id = 1",
            "order_items_details",
            json!("Cotton Hat (Qty: 2, Price: 0.99, Total: 1.98)"),
        ),
        (
            "DELETE FROM addresses WHERE address_id = 2",
            "full_address",
            json!("1 Elm Row, Nealview, 11434, Norway"),
        ),
        ("UPDATE orders SET user_id = 2 WHERE order_id = 7", "user_phone", json!(null)),
        ("UPDATE users SET name = 'Ole D.' WHERE user_id = 2", "full_address", json!(null)),
        ("TRUNCATE TABLE order_items", "order_items_details", json!(null)),
    ] {
        shop.execute(change).await;
        column_becomes(&mut shop, column, &expected).await;
    }

    // The later timestamp wins, whatever arrives last.
    let event =
        |status: &str, at: f64| json!({"id": 1, "order_id": 7, "status": status, "updated_at": at});
    push_event(&shop, &event("cooked", 1_900_000_002.25)).await;
    column_becomes(&mut shop, "order_status", &json!("cooked")).await;
    push_event(&shop, &event("preparing", 1_900_000_001.0)).await;
    push_event(&shop, &event("delivered", 1_900_000_003.75)).await;
    column_becomes(&mut shop, "order_status", &json!("delivered")).await;
    column_becomes(&mut shop, "last_order_update", &json!("2030-03-17T17:46:43Z")).await;

    shop.execute("UPDATE orders SET order_id = 9 WHERE order_id = 7").await;
    shop.eventually("/order_details_mv/7", |status, _| status == 404).await;
    shop.eventually("/order_details_mv/9", |status, _| status == 200).await;
    shop.execute("DELETE FROM users WHERE user_id = 2").await;
    shop.eventually("/order_details_mv/9", |status, _| status == 404).await;
    shop.assert_verified();
}

/// Several changes in one transaction show together: readers never see the order without items.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_over_two_tables_shows_as_one() {
    let mut shop = Deployment::new("together", &repository().join("sql"), None).await;
    shop.execute(ROWS).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.eventually("/order_details_mv/7", |status, _| status == 200).await;
    for order in 100..140 {
        shop.execute(&format!(
            "BEGIN;
             INSERT INTO orders (order_id, user_id, total) VALUES ({order}, 1, 10);
             INSERT INTO order_items (order_id, name, quantity, price) VALUES ({order}, 'Hat', 1, 4);
             INSERT INTO order_items (order_id, name, quantity, price) VALUES ({order}, 'Cap', 2, 3);
             COMMIT"
        ))
        .await;
        let path = format!("/order_details_mv/{order}");
        let first_seen = shop.eventually(&path, |status, _| status == 200).await;
        assert_eq!(
            first_seen["order_items_details"],
            "Hat (Qty: 1, Price: 4.00, Total: 4.00) | Cap (Qty: 2, Price: 3.00, Total: 6.00)"
        );
    }
}

async fn column_becomes(shop: &mut Deployment, column: &str, expected: &Value) {
    shop.eventually("/order_details_mv/7", |_, body| &body[column] == expected).await;
}
