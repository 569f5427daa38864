//! Who writes to MySQL and then reads sees that write, however busy the pipeline is.

use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use crate::support::deployment::Deployment;
use crate::support::http;
use crate::support::stack::repository;

const WRITERS: u32 = 4;
const WRITES: u32 = 50;
/// Orders of each writer: more than a step takes, so that most of them are due for a while.
const ORDERS: u32 = 40;

/// Every writer changes what several tables say of orders of its own, in turn. What it writes is
/// nowhere else, so that an answer without it is stale.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_after_a_write_sees_it() {
    let mut shop = Deployment::new("own_writes", &repository().join("sql"), None).await;
    shop.set("VIEWTIDE_LIMITS_FAN_OUT_MAX", "4");
    shop.set("VIEWTIDE_LIMITS_CHUNK_DOCUMENTS_MAX", "1");
    for id in 1..=WRITERS {
        let orders = (0..ORDERS).map(|order| format!("({}, {id}, 1)", id * 1000 + order));
        let orders = orders.collect::<Vec<_>>().join(", ");
        shop.execute(&format!(
            "INSERT INTO users (user_id, name, email) VALUES ({id}, 'U', '{id}@shop.example');
             INSERT INTO orders (order_id, user_id, total) VALUES {orders};"
        ))
        .await;
    }
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;

    let mut writers = JoinSet::new();
    for id in 1..=WRITERS {
        let mut mysql = shop.mysql().await;
        let address = shop.address();
        writers.spawn(async move {
            for write in 1..=WRITES {
                let order = id * 1000 + (ORDERS - write % ORDERS - 1);
                let (statement, column) = if write.is_multiple_of(2) {
                    let set = format!("phone = '{write}' WHERE user_id = {id}");
                    (format!("UPDATE users SET {set}"), "user_phone")
                } else {
                    let set = format!("total = {write} WHERE order_id = {order}");
                    (format!("UPDATE orders SET {set}"), "total")
                };
                mysql.query_drop(&statement).await.unwrap();
                let executed: Option<String> =
                    mysql.query_first("SELECT @@GLOBAL.gtid_executed").await.unwrap();
                let after = executed.unwrap().replace(['\n', ' '], "");
                let path = format!("/order_details_mv/{order}?after={after}&wait=10000");
                let answer = http::get(&address, &path).await;
                assert_eq!(answer.status, 200, "{path}: {:?}", answer.headers);
                let read = answer.json()[column].as_str().map(str::to_owned).unwrap();
                assert_eq!(read.trim_end_matches(".00"), write.to_string(), "{statement}; {path}");
            }
        });
    }
    writers.join_all().await;
    // A database that nobody follows: the heartbeat tells that nothing of it is missing.
    let mut mysql = shop.mysql().await;
    mysql.query_drop(format!("CREATE DATABASE {}_other", shop.name)).await.unwrap();
    let executed: Option<String> =
        mysql.query_first("SELECT @@GLOBAL.gtid_executed").await.unwrap();
    let after = executed.unwrap().replace(['\n', ' '], "");
    shop.eventually(&format!("/order_details_mv/1000?after={after}&wait=10000"), |status, _| {
        status == 200
    })
    .await;
    mysql.query_drop(format!("DROP DATABASE {}_other", shop.name)).await.unwrap();
}
