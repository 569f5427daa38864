//! Views that answer for each other's names, on the real services.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::http;
use crate::support::redis::RedisServer;
use crate::support::stack::repository;

const VIEW: &str = "order_details_mv";
const NEWER: &str = "order_details_v2";
const ORDERS: usize = 300;

async fn shop(purpose: &str, redis: &RedisServer) -> Deployment {
    let mut shop = Deployment::new(purpose, &repository().join("sql"), Some(&redis.url())).await;
    shop.add_orders(ORDERS).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop
}

/// The second version of the view, beside the first: a column more.
fn add_newer(shop: &Deployment) {
    let text = std::fs::read_to_string(repository().join(format!("sql/views/{VIEW}.sql"))).unwrap();
    let changed = text.replace(VIEW, NEWER);
    let changed = changed.replacen("  o.total,\n", "  o.total,\n  o.total AS amount,\n", 1);
    assert!(changed.contains("amount") && changed.contains(NEWER));
    shop.redefine(NEWER, Some(&changed));
}

/// What `viewtide switch` said, which has to have done it.
fn switch(shop: &Deployment, name: &str, view: &str) -> String {
    let (code, text) = shop.told(&["switch", name, view]);
    assert_eq!(code, Some(0), "{text}");
    text
}

/// Which version answers (1 or 2), by the content and by what the answer says of itself.
fn version(answer: &http::Answer) -> u8 {
    let newer = |document: &Value| document.get("amount").is_some();
    let is_newer = match answer.json() {
        Value::Array(list) => {
            assert_eq!(list.len(), ORDERS);
            let first = newer(&list[0]);
            assert!(list.iter().all(|document| newer(document) == first), "a mixture");
            first
        }
        document => newer(&document),
    };
    let told = &answer.headers["viewtide-view"];
    assert_eq!(told, if is_newer { NEWER } else { VIEW });
    if is_newer { 2 } else { 1 }
}

/// Reads by the name until told to stop. Everything is always there and never goes back, whichever
/// view it is of; which ones answered, one after the other.
async fn read_on(address: String, stop: Arc<AtomicBool>) -> Vec<u8> {
    let mut versions = Vec::new();
    let mut totals = BTreeMap::new();
    let mut position = 0;
    for turn in 0.. {
        let is_last = stop.load(Ordering::Relaxed);
        let path = match turn % 20 {
            0 => format!("/{VIEW}?limit={ORDERS}"),
            1 => format!("/{VIEW}?user_id=1&limit={ORDERS}"),
            _ => format!("/{VIEW}/{}", 1 + turn * 7 % ORDERS),
        };
        let answer = http::get(&address, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        let told = answer.headers["viewtide-position"].rsplit_once('-');
        let told: u64 = told.map_or(0, |(_, last)| last.parse().unwrap());
        assert!(told >= position, "{path}: the position went back from {position} to {told}");
        position = told;
        let documents = match answer.json() {
            Value::Array(documents) => documents,
            document => vec![document],
        };
        for document in documents {
            let total: f64 = document["total"].as_str().unwrap().parse().unwrap();
            let id = document["order_id"].as_u64().unwrap();
            let known = totals.insert(id, total).unwrap_or(0.0);
            assert!(total >= known, "order {id} went back from {known} to {total}");
        }
        let version = version(&answer);
        if versions.last() != Some(&version) {
            versions.push(version);
        }
        if is_last {
            break;
        }
    }
    versions
}

/// Generations of a view that were ever made, as their number tells.
fn generation(redis: &RedisServer, shop: &Deployment, view: &str) -> String {
    let meta = format!("{{viewtide:{}}}:meta", shop.name);
    redis.run(&["HGET", &meta, &format!("view:{view}")])
}

async fn which(address: &str) -> u8 {
    version(&http::get(address, &format!("/{VIEW}/1")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_switched_to_another_version_and_back_at_once() {
    let redis = RedisServer::start();
    let mut shop = shop("switched", &redis).await;
    let api = shop.serve().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = shop.raise_totals(ORDERS, Arc::clone(&stop)).await;
    let reading = tokio::spawn(read_on(shop.address(), Arc::clone(&stop)));
    let elsewhere = tokio::spawn(read_on(api.address.clone(), Arc::clone(&stop)));

    let (code, text) = shop.told(&["switch", VIEW, NEWER]);
    assert!(code == Some(2) && text.contains(&format!("there is no view `{NEWER}`")), "{text}");
    add_newer(&shop);
    shop.signal("-HUP");
    // The other API does not know the file, and reads what it names all the same.
    shop.eventually(&format!("/{NEWER}/1"), |_, document| document["amount"] != Value::Null).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    let filled = [VIEW, NEWER].map(|view| generation(&redis, &shop, view));
    let published = format!("viewtide_documents_published_total{{view=\"{NEWER}\"}}");
    assert_eq!(which(&shop.address()).await, 1, "nobody asked for it yet");

    let text = switch(&shop, VIEW, NEWER);
    assert!(
        text.contains(&format!("readers of {VIEW} get the documents of view {NEWER}")),
        "{text}"
    );
    assert_eq!([which(&shop.address()).await, which(&api.address).await], [2, 2]);
    let (code, text) = shop.told(&["switch"]);
    let line = |text: &str| text.lines().any(|l| l.starts_with(VIEW) && l.ends_with(NEWER));
    assert!(code == Some(0) && line(&text), "{text}");
    shop.eventually_metric(&format!("viewtide_switched{{view=\"{VIEW}\"}}"), |on| on == 1.0).await;

    // Commits are in both, and back is at once: nothing is filled for it.
    shop.execute("UPDATE users SET name = 'Eve', phone = '7';\n").await;
    for name in [VIEW, NEWER] {
        shop.eventually(&format!("/{name}/1"), |_, order| order["user_phone"] == "7").await;
    }
    switch(&shop, VIEW, VIEW);
    assert_eq!([which(&shop.address()).await, which(&api.address).await], [1, 1]);
    shop.eventually(&format!("/{VIEW}/1"), |_, order| order["user_phone"] == "7").await;
    shop.eventually_metric(&format!("viewtide_switched{{view=\"{VIEW}\"}}"), |on| on == 0.0).await;
    switch(&shop, VIEW, NEWER);
    assert!(shop.metric(&published).await.unwrap() >= ORDERS as f64);

    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);
    assert_eq!(reading.await.unwrap(), [1, 2, 1, 2]);
    assert_eq!(elsewhere.await.unwrap(), [1, 2, 1, 2]);
    assert_eq!([VIEW, NEWER].map(|view| generation(&redis, &shop, view)), filled, "it was filled");
    shop.assert_verified();

    // Files without it are not followed, by a signal or a start.
    shop.redefine(NEWER, None);
    shop.signal("-HUP");
    let refused = format!("first `viewtide switch {VIEW} {VIEW}`");
    logs(&shop, &refused).await;
    assert_eq!(which(&shop.address()).await, 2);
    let (code, text) = shop.told(&["check"]);
    assert!(code == Some(1) && text.contains(&refused), "{text}");
    shop.kill();
    shop.start();
    assert!(shop.ends_by_itself().await.contains(&refused));
    assert_eq!(which(&api.address).await, 2, "it was not dropped");
    add_newer(&shop);
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!([which(&shop.address()).await, which(&api.address).await], [2, 2]);
    switch(&shop, VIEW, VIEW);
    shop.redefine(NEWER, None);
    shop.signal("-HUP");
    shop.eventually(&format!("/{NEWER}/1"), |status, _| status == 404).await;
    assert_eq!(which(&shop.address()).await, 1);
    shop.assert_verified();
}

async fn logs(shop: &Deployment, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(shop.log()).unwrap().contains(text) {
        assert!(Instant::now() < deadline, "{text:?} is not in {}", shop.log().display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What was switched is known by the commands: whatever is lost, readers do not go back to the other
/// version.
#[tokio::test(flavor = "multi_thread")]
async fn a_switch_outlives_redis_the_process_and_its_state() {
    let redis = RedisServer::start();
    let mut shop = shop("kept", &redis).await;
    add_newer(&shop);
    shop.signal("-HUP");
    shop.eventually(&format!("/{NEWER}/1"), |status, _| status == 200).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    switch(&shop, VIEW, NEWER);

    let _: String = redis.run(&["FLUSHALL"]);
    let refilled = |status, document: &Value| {
        assert!(status != 404 && (status != 200 || document.get("amount").is_some()), "{document}");
        status == 200
    };
    shop.eventually(&format!("/{VIEW}/1"), refilled).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(which(&shop.address()).await, 2);

    // Neither Redis nor a checkpoint: the commands are read from their beginning.
    shop.kill();
    let _: String = redis.run(&["FLUSHALL"]);
    std::fs::remove_dir_all(shop.state_folder()).unwrap();
    shop.start();
    shop.eventually(&format!("/{VIEW}/1"), refilled).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(which(&shop.address()).await, 2);

    // A process that takes over knows it, too.
    let mut second = shop.twin();
    second.start();
    second.eventually("/healthz", |status, _| status == 200).await;
    second.eventually_metric("viewtide_standing_by", |standing_by| standing_by == 1.0).await;
    switch(&shop, VIEW, VIEW);
    switch(&shop, VIEW, NEWER);
    shop.kill();
    second.eventually("/readyz", |status, _| status == 200).await;
    let _: String = redis.run(&["FLUSHALL"]);
    second.eventually(&format!("/{VIEW}/1"), refilled).await;
    second.eventually("/readyz", |status, _| status == 200).await;
    second.assert_verified();
}

/// A process that stood by with the files of before takes over by those of now: what it followed so far
/// knows no view that answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stood_by_before_the_switch_takes_over() {
    let redis = RedisServer::start();
    let mut shop = shop("older", &redis).await;
    let mut second = shop.twin();
    second.start();
    second.eventually("/healthz", |status, _| status == 200).await;
    second.eventually_metric("viewtide_standing_by", |standing_by| standing_by == 1.0).await;
    add_newer(&shop);
    for process in [&shop, &second] {
        process.signal("-HUP");
        logs(process, "SIGHUP: following changed definitions").await;
    }
    shop.eventually(&format!("/{NEWER}/1"), |status, _| status == 200).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    switch(&shop, VIEW, NEWER);
    let filled = generation(&redis, &shop, NEWER);
    shop.kill();
    second.eventually_metric("viewtide_standing_by", |standing_by| standing_by == 0.0).await;
    second.eventually("/readyz", |status, _| status == 200).await;
    assert_eq!(which(&second.address()).await, 2);
    assert_eq!(generation(&redis, &shop, NEWER), filled, "it was filled anew");
    second.assert_verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_answer_is_refused_in_words() {
    let redis = RedisServer::start();
    let mut shop = shop("unfit", &redis).await;
    add_newer(&shop);
    let pair = "CREATE VIEW pair AS SELECT user_id, total, COUNT(*) AS n FROM orders
                GROUP BY user_id, total;";
    shop.redefine("pair", Some(pair));
    let (code, text) = shop.told(&["switch", VIEW, NEWER]);
    assert_eq!(code, Some(1), "{text}");
    let reason = format!("view `{NEWER}` cannot answer for `{VIEW}` yet: nothing of it is there");
    assert!(text.contains(&reason), "{text}");
    for (arguments, code, reason) in [
        (
            &[VIEW, "pair"][..],
            2,
            "has the key (order_id INT), view `pair` has (user_id INT, total DEC",
        ),
        (&["none", VIEW], 2, "there is no view `none`; there are: "),
        (&[VIEW], 2, "required arguments were not provided"),
    ] {
        let told = shop.told(&[&["switch"], arguments].concat());
        assert!(told.0 == Some(code) && told.1.contains(reason), "{arguments:?}: {told:?}");
    }
    shop.signal("-HUP");
    shop.eventually(&format!("/{NEWER}/1"), |status, _| status == 200).await;
    shop.eventually("/readyz", |status, _| status == 200).await;
    // Being filled anew, it is not what readers of the other version have.
    shop.kill();
    shop.set("VIEWTIDE_LIMITS_CHUNK_DOCUMENTS_MAX", "1");
    shop.edit(&format!("views/{NEWER}.sql"), "amount", "sum");
    let (code, text) = shop.told(&["switch", VIEW, NEWER]);
    assert!(code == Some(1) && text.contains("of another definition; SIGHUP"), "{text}");
    let meta = format!("{{viewtide:{}}}:meta", shop.name);
    shop.start();
    let deadline = Instant::now() + PATIENCE;
    while !redis.run::<bool>(&["HEXISTS", &meta, &format!("next:{NEWER}")]) {
        assert!(Instant::now() < deadline, "nothing is filled");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    shop.kill();
    let (code, text) = shop.told(&["switch", VIEW, NEWER]);
    assert!(code == Some(1) && text.contains("documents so far (300 before)"), "{text}");
    let offsets = shop.told(&["switch"]);
    assert!(offsets.1.contains("it is being filled anew, "), "{offsets:?}");
}
