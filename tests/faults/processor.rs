//! The processor killed, ended, frozen, doubled, and without its state.

use std::fs;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::scene::Scene;
use crate::support::deployment::Deployment;

/// The longest time between two kills.
const KILL_WITHIN: Duration = Duration::from_millis(2500);

/// Rows of a transaction that is larger than 1 MiB, the least bound there is.
const WIDE: u32 = 20_000;

/// Customers without orders.
const WIDE_FROM: u32 = 1_000_000;

/// Such a transaction is on its way for so long.
const WIDE_WITHIN: Duration = Duration::from_millis(1500);

/// How long an end by SIGTERM may take.
const END_WAIT: Duration = Duration::from_secs(5);

/// A lease, and some more.
pub(crate) const TAKE_OVER_WAIT: Duration = Duration::from_secs(60);

pub(crate) async fn kill(scene: &mut Scene) {
    for number in 1..=scene.extent.of(6, 110) {
        scene.wait_up_to(KILL_WITHIN).await;
        scene.kill_viewtide();
        scene.deployment.start();
        if number % 10 == 0 {
            scene.converge().await;
        }
    }
}

/// Killed within transactions that are applied in parts, since they exceed their bound.
pub(crate) async fn kill_in_parts(scene: &mut Scene) {
    scene
        .deployment
        .execute(&format!(
            "SET cte_max_recursion_depth = {WIDE};
             INSERT INTO customers
               WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {WIDE})
               SELECT {WIDE_FROM} + i, '0', 0 FROM n"
        ))
        .await;
    scene.converge().await;
    let mut parts = 0.0;
    for _ in 0..scene.extent.of(3, 20) {
        let change = "UPDATE customers SET version = version + 1 WHERE customer_id > ";
        scene.deployment.execute(&format!("{change}{WIDE_FROM}")).await;
        scene.wait_up_to(WIDE_WITHIN).await;
        let counted = scene.deployment.metric("viewtide_transaction_parts_total").await;
        parts += counted.unwrap_or(0.0);
        scene.kill_viewtide();
        scene.deployment.start();
        scene.converge().await;
    }
    scene.notes.push(format!("{parts} parts were applied by processes that were then killed"));
}

pub(crate) async fn terminate(scene: &mut Scene) {
    for _ in 0..scene.extent.of(3, 20) {
        scene.wait_up_to(KILL_WITHIN).await;
        // One that still starts may wait for its tables; that is another matter.
        scene.deployment.eventually("/readyz", |status, _| status == 200).await;
        scene.deployment.signal("-TERM");
        scene.fault("SIGTERM");
        let begun = Instant::now();
        let status = ended(scene).await;
        let took = begun.elapsed();
        assert!(status.success() && took < END_WAIT, "SIGTERM: {status} after {took:?}");
        scene.deployment.start();
    }
}

pub(crate) async fn frozen(scene: &mut Scene) {
    for _ in 0..scene.extent.of(1, 2) {
        let mut second = scene.deployment.twin();
        second.start();
        stands_by(&mut second).await;
        scene.deployment.signal("-STOP");
        scene.fault("SIGSTOP of viewtide");
        owner_changes(scene).await;
        sleep(scene.extent.of(Duration::from_secs(2), Duration::from_secs(60))).await;
        scene.deployment.signal("-CONT");
        let status = ended(scene).await;
        assert_eq!(status.code(), Some(3), "the frozen one is to be fenced: {status}");
        drop(second);
        scene.deployment.start();
        scene.converge().await;
    }
}

pub(crate) async fn two(scene: &mut Scene) {
    for _ in 0..scene.extent.of(1, 10) {
        let mut second = scene.deployment.twin();
        second.start();
        stands_by(&mut second).await;
        let before = owner(scene);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(owner(scene), before, "the standby takes what is not free");
        scene.kill_viewtide();
        owner_changes(scene).await;
        scene.deployment.start();
        stands_by(&mut scene.deployment).await;
        drop(second);
        scene.fault("kill -9 of the other viewtide");
        scene.converge().await;
    }
}

/// The owner is killed again and again; the other takes over each time, and it comes back as the
/// standby.
pub(crate) async fn standby(scene: &mut Scene) {
    let mut other = scene.deployment.twin();
    let mut longest = Duration::ZERO;
    let rounds = scene.extent.of(4, 20);
    for _ in 0..rounds {
        other.start();
        stands_by(&mut other).await;
        scene.wait_up_to(KILL_WITHIN).await;
        scene.kill_viewtide();
        let begun = Instant::now();
        owner_changes(scene).await;
        longest = longest.max(begun.elapsed());
        std::mem::swap(&mut scene.deployment, &mut other);
        scene.converge().await;
    }
    let longest = longest.as_secs_f64();
    scene.notes.push(format!("{rounds} takeovers, the longest after {longest:.1} s"));
}

pub(crate) async fn state_gone(scene: &mut Scene) {
    for _ in 0..scene.extent.of(1, 5) {
        scene.wait_up_to(KILL_WITHIN).await;
        scene.kill_viewtide();
        fs::remove_dir_all(scene.deployment.state_folder()).unwrap();
        scene.fault("state folder deleted");
        scene.deployment.start();
        scene.converge().await;
    }
}

/// Waits until viewtide has ended.
async fn ended(scene: &mut Scene) -> ExitStatus {
    let deadline = Instant::now() + TAKE_OVER_WAIT;
    loop {
        if let Some(status) = scene.deployment.process().try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "viewtide does not end");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Epoch and token in Redis.
pub(crate) fn owner(scene: &Scene) -> Vec<String> {
    scene.redis.run(&["HMGET", &scene.meta(), "epoch", "token"])
}

/// Waits until another instance has claimed the pipeline.
pub(crate) async fn owner_changes(scene: &Scene) {
    let before = owner(scene);
    let deadline = Instant::now() + TAKE_OVER_WAIT;
    while owner(scene) == before {
        assert!(Instant::now() < deadline, "nobody takes over");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a process says that it stands by.
pub(crate) async fn stands_by(deployment: &mut Deployment) {
    let says = |_: u16, body: &Value| body.to_string().contains("standing by");
    deployment.eventually("/readyz", says).await;
}
