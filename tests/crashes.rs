//! What survives: kills of viewtide under load, and a Redis that forgets.

use std::process::{Command, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use redis::Cmd;

use crate::support::deployment::Deployment;
use crate::support::redis::RedisServer;
use crate::support::stack::{Stack, repository};

/// Times that viewtide is killed.
const KILLS: usize = 5;

/// Events that are pushed meanwhile, at this rate, with as many row changes beside them.
const EVENTS: &str = "1500";
const RATE: &str = "100";

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_it_goes_on_where_it_was() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut shop = seeded("killed", None).await;
    let mut pusher = push(&shop);
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..2500))).await;
        shop.kill();
        shop.start();
    }
    assert!(pusher.wait().unwrap().success());
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgets_is_filled_again() {
    let redis = RedisServer::start();
    let mut shop = seeded("forgotten", Some(&redis.url())).await;
    let before = shop.get("/order_details_mv/1").await.1;
    let mut pusher = push(&shop);
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for _ in 0..3 {
        Cmd::new().arg("FLUSHALL").exec_async(&mut connection).await.unwrap();
        shop.eventually("/order_details_mv/1", |status, _| status == 200).await;
    }
    pusher.kill().unwrap();
    pusher.wait().unwrap();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop.assert_verified();
    let after = shop.get("/order_details_mv/1").await.1;
    assert_eq!(before["order_id"], after["order_id"]);
}

/// The shop with its seed rows, all published.
async fn seeded(purpose: &str, redis_url: Option<&str>) -> Deployment {
    let mut shop = Deployment::new(purpose, &repository().join("sql"), redis_url).await;
    shop.set("VIEWTIDE_STATE_CHECKPOINT_RECORDS", "20");
    let rows = std::fs::read_to_string(repository().join("sql/seed.sql")).unwrap();
    shop.execute(&rows).await;
    shop.capture();
    shop.start();
    shop.eventually("/readyz", |status, _| status == 200).await;
    shop
}

/// Events and row changes in the background.
fn push(shop: &Deployment) -> std::process::Child {
    let stack = Stack::shared();
    Command::new(env!("CARGO_BIN_EXE_event-pusher"))
        .args(["1", "42", "--rate", RATE, "--count", EVENTS, "--jitter", "10s"])
        .args(["--brokers", &stack.brokers(), "--topic", &shop.event_topic()])
        .arg(format!("--mysql={}", shop.mysql_url()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
