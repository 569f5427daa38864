//! What a wrong product would leave behind, made by hand: the judges have to report each.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::load::{OWN_ORDERS, change_order};
use super::own_writes::{Answer, Author};
use super::processor::owner_changes;
use super::scene::Scene;
use super::witness::{Seen, VIEW};
use crate::support::proxy::Fault;
use crate::support::redis::free_port;

/// How long something may take to be seen.
const SEEN_WAIT: Duration = Duration::from_secs(60);

/// Field prefixes of `meta` that say what is applied.
const APPLIED: [&str; 4] = ["position:", "applied", "executed", "committed"];

/// Positions are stored before their documents are: as if it died between the two.
pub(crate) async fn early_commit(scene: &mut Scene) {
    scene.load.stop().await;
    scene.converge().await;
    scene.kill_viewtide();
    let changes: String = (1..10).map(|order| change_order(order, 0, 7)).collect();
    scene.deployment.execute(&changes).await;
    // Another pipeline over the same topics comes to where ours is said to be.
    let ahead = format!("{}_ahead", scene.deployment.name);
    let address = format!("127.0.0.1:{}", free_port());
    let log = File::create(scene.deployment.log().with_extension("ahead.log")).unwrap();
    let mut other = scene.deployment.command(&["run"]);
    other.env("VIEWTIDE_PIPELINE_NAME", &ahead).env("VIEWTIDE_API_LISTEN", &address);
    let mut other = other.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let mut author = Author::new(&scene.deployment.mysql_url(), &address, OWN_ORDERS[2]);
    let write = author.write().await.unwrap();
    let deadline = Instant::now() + SEEN_WAIT;
    while author.read(&write).await != Answer::Fresh {
        assert!(Instant::now() < deadline, "the other pipeline does not get there");
        sleep(Duration::from_millis(50)).await;
    }
    other.kill().unwrap();
    other.wait().unwrap();
    let theirs: BTreeMap<String, String> =
        scene.redis.run(&["HGETALL", &format!("{{viewtide:{ahead}}}:meta")]);
    let mut set = vec!["HSET".to_owned(), scene.meta()];
    for (field, value) in theirs {
        if APPLIED.iter().any(|prefix| field.starts_with(prefix)) {
            set.extend([field, value]);
        }
    }
    let _: i64 = scene.redis.run(&set.iter().map(String::as_str).collect::<Vec<_>>());
    scene.fault("positions stored before documents");
    scene.deployment.start();
}

/// A processor that was frozen while another went on may write again.
pub(crate) async fn no_fencing(scene: &mut Scene) {
    scene.deployment.signal("-STOP");
    // A step that is on its way arrives.
    sleep(Duration::from_millis(500)).await;
    let meta = scene.meta();
    let owner: Vec<String> = scene.redis.run(&["HMGET", &meta, "epoch", "token", "seq"]);
    let mut second = scene.deployment.twin();
    second.set("VIEWTIDE_REDIS_URL", scene.redis.url());
    second.start();
    owner_changes(scene).await;
    sleep(Duration::from_secs(6)).await;
    drop(second);
    // Slowly, so that what it writes can be seen before it is where the other was.
    scene.to_redis.set(Fault::Delay(Duration::from_millis(200)));
    let [epoch, token, seq] = &owner[..] else { panic!("{owner:?}") };
    let _: i64 = scene.redis.run(&["HSET", &meta, "epoch", epoch, "token", token, "seq", seq]);
    scene.fault("writes of a former owner");
    scene.deployment.signal("-CONT");
    is_seen(scene, |seen| seen.backwards > 0).await;
    scene.to_redis.set(Fault::None);
}

/// A delete is ignored: the document is there again.
pub(crate) async fn tombstone(scene: &mut Scene) {
    scene.load.stop().await;
    scene.converge().await;
    let (key, document) = document(scene, OWN_ORDERS[2]);
    scene
        .deployment
        .execute(&format!("DELETE FROM orders WHERE order_id = {}", OWN_ORDERS[2]))
        .await;
    let gone = format!("/{VIEW}/{}", OWN_ORDERS[2]);
    scene.deployment.eventually(&gone, |status, _| status == 404).await;
    // The witness has to know that it is gone.
    let reads = scene.witness.seen().reads;
    is_seen(scene, |seen| seen.reads > reads + 100).await;
    put(scene, &key, &document);
    scene.fault("document of a deleted row");
    is_seen(scene, |seen| seen.backwards > 0).await;
}

/// A document shows one table as of before a transaction, the other as of after it.
pub(crate) async fn torn(scene: &mut Scene) {
    scene.load.stop().await;
    scene.converge().await;
    let (key, document) = document(scene, OWN_ORDERS[2]);
    let document = String::from_utf8(document).unwrap();
    let (before, after) = document.split_once("\"total\":\"").unwrap();
    put(scene, &key, format!("{before}\"total\":\"7{after}").as_bytes());
    scene.fault("half a transaction");
    is_seen(scene, |seen| seen.torn > 0).await;
}

/// Key bytes and document of an order, as Redis has them.
fn document(scene: &Scene, order: i64) -> (Vec<u8>, Vec<u8>) {
    let documents: Vec<(Vec<u8>, Vec<u8>)> = scene.redis.run(&["HGETALL", &scene.key("docs")]);
    let wanted = format!("{{\"order_id\":{order},");
    documents.into_iter().find(|(_, document)| document.starts_with(wanted.as_bytes())).unwrap()
}

fn put(scene: &Scene, key: &[u8], document: &[u8]) {
    let mut set = ::redis::cmd("HSET");
    let _: i64 = scene.redis.query(set.arg(scene.key("docs")).arg(key).arg(document));
    let mut add = ::redis::cmd("ZADD");
    let _: i64 = scene.redis.query(add.arg(scene.key("keys")).arg(0).arg(key));
}

/// Waits until the witness has seen it.
async fn is_seen(scene: &Scene, holds: impl Fn(&Seen) -> bool) {
    let deadline = Instant::now() + SEEN_WAIT;
    while !holds(&scene.witness.seen()) {
        assert!(
            Instant::now() < deadline,
            "the witness does not see it: {:?}",
            scene.witness.seen()
        );
        sleep(Duration::from_millis(20)).await;
    }
}
