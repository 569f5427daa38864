//! Tables that are altered while views follow them, on the real services.

use std::fs;

use serde_json::Value;

use crate::support::deployment::Deployment;
use crate::support::stack::repository;

const DETAILS: &str = "order_details_mv";

/// The shop, with a view of addresses that leaves out when they were made.
async fn shop(purpose: &str) -> Deployment {
    let mut shop = Deployment::new(purpose, &repository().join("sql"), None).await;
    shop.redefine(
        "addresses",
        Some("CREATE VIEW addresses AS SELECT address_id, user_id, city FROM addresses;"),
    );
    shop.execute(
        "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');
         INSERT INTO addresses (address_id, user_id, street, city, country)
           VALUES (1, 1, 'Via A', 'Rome', 'Italy');
         INSERT INTO orders (order_id, user_id, total) VALUES (1, 1, 1.25);
         INSERT INTO order_items (order_id, name, quantity, price) VALUES (1, 'Hat', 2, 1.25);\n",
    )
    .await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop
}

fn shows(document: &Value, text: &str) -> bool {
    document.to_string().contains(text)
}

/// Nothing stands still, nothing is read anew, and nobody has to do anything.
#[tokio::test(flavor = "multi_thread")]
async fn columns_that_come_go_move_or_grow_beside_those_that_are_read_are_followed() {
    let mut shop = shop("altered").await;
    for (number, statement) in [
        "ALTER TABLE addresses ADD COLUMN note VARCHAR(10) DEFAULT 'x' FIRST, ADD COLUMN floor INT",
        "ALTER TABLE addresses DROP COLUMN created_at",
        "ALTER TABLE addresses MODIFY country VARCHAR(100) NOT NULL AFTER user_id, \
         MODIFY city VARCHAR(100) NOT NULL FIRST",
        "ALTER TABLE addresses MODIFY street VARCHAR(500) NOT NULL, \
         MODIFY city VARCHAR(300) NOT NULL",
        "ALTER TABLE addresses DROP COLUMN note, RENAME COLUMN floor TO level",
    ]
    .into_iter()
    .enumerate()
    {
        let (id, street) = (number + 2, format!("Street {number}"));
        let insert = format!(
            "INSERT INTO addresses (address_id, user_id, street, city, country)
               VALUES ({id}, 1, '{street}', 'Oslo', 'Norway');"
        );
        shop.execute(&format!("{statement};\n{insert}\n")).await;
        shop.eventually(&format!("/{DETAILS}/1"), |_, document| shows(document, &street)).await;
        assert_eq!(shop.get("/readyz").await.0, 200, "{statement}");
    }
    shop.execute(
        "ALTER TABLE order_items MODIFY quantity BIGINT DEFAULT 1;
         UPDATE order_items SET quantity = 2147483647;\n",
    )
    .await;
    shop.eventually(&format!("/{DETAILS}/1"), |_, document| shows(document, "2147483647")).await;
    assert_eq!(shop.get("/readyz").await.0, 200);
    let log = fs::read_to_string(shop.log()).unwrap();
    assert!(!log.contains("read anew"), "{log}");
    // Computed from columns of other types, MySQL's own texts are the same.
    shop.assert_verified();
}

/// The views that read the column stand still and say why; all others go on, also after restarts.
/// With the column back the table is read anew, and they go on, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_column_is_gone_stands_still_until_it_is_back() {
    let mut shop = shop("lacking").await;
    let why = "standing still: column `city` of table `addresses` is not in schema";
    let stands_still = |view: &str| format!("viewtide_standing_still{{view=\"{view}\"}}");
    for (number, restart) in ["no", "kept", "lost"].into_iter().enumerate() {
        if restart != "no" {
            shop.kill();
        }
        if restart == "lost" {
            fs::remove_dir_all(shop.state_folder()).unwrap();
        }
        let street = format!("Street {number}");
        let alter = if restart == "no" {
            "ALTER TABLE addresses RENAME COLUMN city TO town;\n"
        } else {
            ""
        };
        shop.execute(&format!(
            "{alter}INSERT INTO addresses (user_id, street, town, country)
               VALUES (1, '{street}', 'Oslo', 'Norway');
             UPDATE orders SET total = {number}.50;\n"
        ))
        .await;
        if restart != "no" {
            shop.start();
        }
        shop.eventually("/readyz", |status, body| status == 503 && shows(body, why)).await;
        let total = format!("{number}.50");
        shop.eventually("/orders/1", |_, order| order["total"] == *total).await;
        for (view, expected) in [(DETAILS, 1.0), ("addresses", 1.0), ("orders", 0.0)] {
            shop.eventually_metric(&stands_still(view), |found| found == expected).await;
        }
        let (status, details) = shop.get(&format!("/{DETAILS}/1")).await;
        assert_eq!((status, &details["total"]), (200, &Value::from("1.25")), "{details}");
        assert!(shows(&details, "Rome"), "{details}");
        let (code, text) = shop.told(&["verify", "--view", "orders"]);
        assert_eq!(code, Some(0), "{text}");
    }
    shop.execute(
        "ALTER TABLE addresses RENAME COLUMN town TO city;
         INSERT INTO addresses (user_id, street, city, country) VALUES (1, 'Last', 'Bern', 'CH');\n",
    )
    .await;
    shop.eventually(&format!("/{DETAILS}/1"), |_, document| shows(document, "Bern")).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.eventually_metric(&stands_still(DETAILS), |found| found == 0.0).await;
    shop.assert_verified();
}
