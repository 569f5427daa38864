//! Views that are defined anew, come and go while everything runs, on the real services.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::http;
use crate::support::redis::RedisServer;
use crate::support::stack::repository;

const VIEW: &str = "order_details_mv";
const ORDERS: usize = 1500;

/// What readers saw.
#[derive(Debug, Default)]
struct Seen {
    reads: u64,
    /// Columns of the documents, one set after the other.
    forms: Vec<BTreeSet<String>>,
}

/// Reads the same documents, one by one and as lists, until told to stop. They are always there, as
/// a list all of one form, and never go back: neither their content nor the position they tell nor
/// their form.
async fn read_on(address: String, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut totals = vec![0.0; ORDERS + 1];
    let mut position = 0;
    for turn in 0.. {
        // What was there when it is told to stop is read.
        let is_last = stop.load(Ordering::Relaxed);
        let order = 1 + turn * 7 % ORDERS;
        let path = match turn % 50 {
            0 => format!("/{VIEW}?limit={ORDERS}"),
            1 => format!("/{VIEW}?user_id=1&limit={ORDERS}"),
            _ => format!("/{VIEW}/{order}"),
        };
        let answer = http::get(&address, &path).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{path}: {text} after {} reads", seen.reads);
        let told = answer.headers["viewtide-position"].rsplit_once('-');
        let told: u64 = told.map_or(0, |(_, last)| last.parse().unwrap());
        assert!(told >= position, "{path}: the position went back from {position} to {told}");
        position = told;
        let documents = match answer.json() {
            Value::Array(documents) => {
                assert_eq!(documents.len(), ORDERS, "{path}");
                documents
            }
            document => vec![document],
        };
        for document in documents {
            let columns = document.as_object().unwrap().keys().cloned().collect();
            if seen.forms.last() != Some(&columns) {
                assert!(
                    !seen.forms.contains(&columns),
                    "{path}: {columns:?} after {:?}",
                    seen.forms
                );
                seen.forms.push(columns);
            }
            let id = document["order_id"].as_u64().unwrap() as usize;
            let total: f64 = document["total"].as_str().unwrap().parse().unwrap();
            assert!(total >= totals[id], "order {id} went back from {} to {total}", totals[id]);
            totals[id] = total;
        }
        seen.reads += 1;
        if is_last {
            break;
        }
    }
    seen
}

async fn filled_shop(redis: &RedisServer) -> Deployment {
    let mut shop = Deployment::new("anew", &repository().join("sql"), Some(&redis.url())).await;
    shop.set("VIEWTIDE_LIMITS_CHUNK_DOCUMENTS_MAX", "1");
    shop.add_orders(ORDERS).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop
}

/// The view with another column.
fn with_column(column: &str) -> String {
    let text = std::fs::read_to_string(repository().join("sql/views/order_details_mv.sql"));
    let text = text.unwrap();
    let changed =
        text.replacen("  o.total,\n", &format!("  o.total,\n  o.total AS {column},\n"), 1);
    assert_ne!(changed, text);
    changed
}

/// Numbers of the generations of a view that Redis holds documents of.
fn generations(redis: &RedisServer, shop: &Deployment, view: &str) -> BTreeSet<String> {
    let prefix = format!("{{viewtide:{}}}:{view}:", shop.name);
    let keys: Vec<String> = redis.run(&["KEYS", &format!("{prefix}*")]);
    let number = |key: &String| key[prefix.len()..].split(':').next().unwrap().to_owned();
    keys.iter().map(number).collect()
}

/// A changed statement is filled beside the old one, also when the process dies meanwhile and comes
/// back with a third one; readers see one after the other and always all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_defined_anew_while_it_is_read_and_written() {
    let redis = RedisServer::start();
    let mut shop = filled_shop(&redis).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = shop.raise_totals(ORDERS, Arc::clone(&stop)).await;
    let api = shop.serve().await;
    let reading = tokio::spawn(read_on(api.address.clone(), Arc::clone(&stop)));
    let meta = format!("{{viewtide:{}}}:meta", shop.name);
    let is_filling = || redis.run::<bool>(&["HEXISTS", &meta, &format!("next:{VIEW}")]);

    shop.kill();
    shop.redefine(VIEW, Some(&with_column("amount")));
    shop.start();
    let deadline = Instant::now() + PATIENCE;
    while !is_filling() {
        assert!(Instant::now() < deadline, "nothing is filled");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (code, text) = shop.told(&["check"]);
    assert!(code == Some(0) || code == Some(1), "{text}");
    assert!(text.contains(&format!("view {VIEW} is being filled anew")), "{text}");
    shop.kill();
    assert!(is_filling(), "the fill ended too early to be broken off");

    shop.redefine(VIEW, Some(&with_column("sum")));
    shop.start();
    let filling = format!("viewtide_filling{{view=\"{VIEW}\"}}");
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(shop.metric(&filling).await, Some(0.0));
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);
    let seen = reading.await.unwrap();
    let names: Vec<_> = ["amount", "sum"]
        .map(|name| seen.forms.iter().any(|form| form.contains(name)))
        .into_iter()
        .collect();
    assert_eq!((seen.forms.len(), names), (2, vec![false, true]), "{seen:?}");
    assert_eq!(generations(&redis, &shop, VIEW).len(), 1);
    shop.assert_verified();
}

/// What is not defined any more leaves nothing; what is again is filled, and right.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_goes_and_comes_back() {
    let redis = RedisServer::start();
    let mut shop = filled_shop(&redis).await;
    let orders = std::fs::read_to_string(repository().join("sql/views/orders.sql")).unwrap();
    assert_eq!(generations(&redis, &shop, "orders").len(), 1);
    shop.kill();
    shop.redefine("orders", None);
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(shop.get("/orders/1").await.0, 404);
    assert_eq!(shop.get("/orders").await.0, 404);
    assert_eq!(shop.get(&format!("/{VIEW}/1")).await.0, 200);
    let deadline = Instant::now() + PATIENCE;
    while !generations(&redis, &shop, "orders").is_empty() {
        assert!(Instant::now() < deadline, "documents of a view that is gone are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.execute("UPDATE orders SET total = 7 WHERE order_id = 1").await;
    shop.kill();
    shop.redefine("orders", Some(&orders));
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.eventually("/orders/1", |_, order| order["total"] == "7.00").await;
    shop.assert_verified();
}
