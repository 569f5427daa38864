//! Redis killed, rewound, flushed, failed over, full, and something else in its place.

use std::fs;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::scene::Scene;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::RedisServer;

/// The longest time between two faults.
const WITHIN: Duration = Duration::from_millis(2500);

/// How long Redis may take to follow another.
const SYNC_WAIT: Duration = Duration::from_secs(30);

pub(crate) async fn kill(scene: &mut Scene) {
    for _ in 0..scene.extent.of(3, 25) {
        scene.wait_up_to(WITHIN).await;
        scene.redis.kill();
        scene.fault("kill -9 redis");
        scene.wait_up_to(WITHIN).await;
        scene.redis.start_again();
        scene.converge().await;
    }
}

pub(crate) async fn rewind(scene: &mut Scene) {
    for _ in 0..scene.extent.of(1, 5) {
        let _: String = scene.redis.run(&["SAVE"]);
        let dump = scene.redis.folder().join("dump.rdb");
        let kept = fs::read(&dump).unwrap();
        sleep(Duration::from_secs(2)).await;
        scene.witness.expect_rewind(true);
        scene.redis.kill();
        fs::write(&dump, kept).unwrap();
        scene.redis.start_again();
        scene.fault("redis restored from a dump 2 s old");
        scene.converge().await;
        scene.witness.expect_rewind(false);
    }
}

pub(crate) async fn flush(scene: &mut Scene) {
    for _ in 0..scene.extent.of(3, 20) {
        scene.wait_up_to(WITHIN).await;
        scene.witness.expect_rewind(true);
        let _: String = scene.redis.run(&["FLUSHALL"]);
        scene.fault("FLUSHALL");
        scene.converge().await;
        scene.witness.expect_rewind(false);
    }
}

/// The replica lags behind when it becomes the primary.
pub(crate) async fn failover(scene: &mut Scene) {
    for _ in 0..scene.extent.of(1, 5) {
        let link = Proxy::start(scene.redis.address()).await;
        let (host, port) = link.address().split_once(':').unwrap();
        let options = ["--appendonly", "yes", "--replicaof", host, port];
        let replica = RedisServer::start_with(&options);
        let deadline = Instant::now() + SYNC_WAIT;
        while !replica.run::<String>(&["INFO", "replication"]).contains("master_link_status:up") {
            assert!(Instant::now() < deadline, "the replica does not get in sync");
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_secs(1)).await;
        link.set(Fault::HalfOpen);
        sleep(Duration::from_secs(2)).await;
        scene.witness.expect_rewind(true);
        let _: String = replica.run(&["REPLICAOF", "NO", "ONE"]);
        let (host, port) =
            replica.address().split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
        let _: String = scene.redis.run(&["REPLICAOF", &host, &port]);
        scene.to_redis.lead_to(replica.address());
        scene.readers_to_redis.lead_to(replica.address());
        scene.readers_to_redis.cut_all();
        scene.fault("failover to a replica 2 s behind");
        // The former primary lives on as a replica until the verdict.
        let former = std::mem::replace(&mut scene.redis, replica);
        scene.converge().await;
        scene.witness.expect_rewind(false);
        drop(former);
    }
}

pub(crate) async fn full(scene: &mut Scene) {
    for _ in 0..scene.extent.of(1, 5) {
        let _: String = scene.redis.run(&["CONFIG", "SET", "maxmemory", "1mb"]);
        scene.fault("redis without memory");
        scene.becomes_unready("memory").await;
        sleep(Duration::from_secs(2)).await;
        let _: String = scene.redis.run(&["CONFIG", "SET", "maxmemory", "0"]);
        scene.converge().await;
    }
}

pub(crate) async fn scripts(scene: &mut Scene) {
    for _ in 0..scene.extent.of(5, 40) {
        scene.wait_up_to(Duration::from_millis(500)).await;
        let _: String = scene.redis.run(&["SCRIPT", "FLUSH"]);
        let _: String = scene.redis.run(&["FUNCTION", "FLUSH"]);
        scene.fault("SCRIPT FLUSH, FUNCTION FLUSH");
    }
}

/// What answers in Redis' place.
const STRANGERS: [(&str, &[u8]); 3] = [
    ("http", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    ("garbage", b"\xff\xfe\x00\x01garbage"),
    ("nothing", b""),
];

pub(crate) async fn stranger(scene: &mut Scene) {
    for (name, answer) in STRANGERS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let listening = tokio::spawn(answer_with(listener, answer));
        scene.to_redis.lead_to(address);
        scene.to_redis.cut_all();
        scene.fault("something else at the redis port");
        let begun = Instant::now();
        scene.becomes_unready("does not speak redis").await;
        let took = begun.elapsed().as_secs_f64();
        let (alive, _) = scene.deployment.get("/healthz").await;
        assert_eq!(alive, 200, "not ready, but alive");
        let (_, said) = scene.readiness().await;
        scene.notes.push(format!("{name} recognised after {took:.1} s: {said}"));
        scene.to_redis.lead_to(scene.redis.address());
        scene.to_redis.cut_all();
        listening.abort();
        scene.converge().await;
    }
}

async fn answer_with(listener: TcpListener, answer: &'static [u8]) {
    let mut silent = Vec::new();
    while let Ok((mut client, _)) = listener.accept().await {
        if answer.is_empty() {
            silent.push(client);
            continue;
        }
        tokio::spawn(async move {
            let _ = client.read(&mut [0; 64]).await;
            let _ = client.write_all(answer).await;
        });
    }
}
