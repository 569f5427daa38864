//! What networks do between any two parts.

use std::fs;
use std::time::Duration;

use tokio::time::sleep;

use super::connect::snapshot_is_stored;
use super::scene::Scene;
use crate::support::proxy::{Fault, Proxy};

/// Everything a link can suffer; how often replies are reset depends on who is behind it.
fn faults(percent: u8) -> [(&'static str, Fault); 5] {
    [
        ("500 ms latency", Fault::Delay(Duration::from_millis(500))),
        ("half-open", Fault::HalfOpen),
        ("lost replies", Fault::SwallowReplies),
        ("resets in mid-reply", Fault::Reset { percent }),
        ("refused connections", Fault::Refuse),
    ]
}

/// A reply is cut after so many bytes.
const CUTS: [usize; 4] = [1, 40, 700, 30_000];

pub(crate) async fn redis(scene: &mut Scene) {
    suffer(scene, |scene| &scene.to_redis, 10).await;
    suffer(scene, |scene| &scene.readers_to_redis, 10).await;
}

pub(crate) async fn kafka(scene: &mut Scene) {
    suffer(scene, |scene| &scene.services.kafka, 10).await;
}

/// A process that starts without copies of schemas asks the registry; others do not.
pub(crate) async fn registry(scene: &mut Scene) {
    for (name, fault) in faults(50) {
        scene.to_registry.set(fault);
        scene.fault(name);
        scene.kill_viewtide();
        fs::remove_dir_all(scene.deployment.state_folder()).unwrap();
        scene.deployment.start();
        sleep(Duration::from_secs(3)).await;
        scene.to_registry.set(Fault::None);
        scene.converge().await;
    }
}

pub(crate) async fn mysql(scene: &mut Scene) {
    suffer(scene, |scene| &scene.to_mysql, 10).await;
}

/// The connector's ways to Kafka and the registry, and viewtide's to the connector. A registry that
/// never answers holds the connector's client up for good, which is not tried: it has no timeout.
pub(crate) async fn connect(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    suffer(scene, |scene| &scene.services.kafka, 10).await;
    suffer(scene, |scene| &scene.to_connect, 50).await;
    let passing =
        |(_, fault): &(_, Fault)| !matches!(fault, Fault::HalfOpen | Fault::SwallowReplies);
    for (number, (name, fault)) in faults(50).into_iter().filter(passing).enumerate() {
        scene.connect_to_registry.set(fault);
        // A new schema has to be registered.
        let change = if number % 2 == 0 { "ADD COLUMN note INT" } else { "DROP COLUMN note" };
        scene.deployment.execute(&format!("ALTER TABLE customers {change}")).await;
        scene.fault(name);
        sleep(scene.extent.of(Duration::from_secs(2), Duration::from_secs(6))).await;
        scene.connect_to_registry.set(Fault::None);
        scene.converge().await;
    }
}

async fn suffer(scene: &mut Scene, link: impl Fn(&Scene) -> &Proxy, percent: u8) {
    let hold = scene.extent.of(Duration::from_secs(2), Duration::from_secs(12));
    for (name, fault) in faults(percent) {
        link(scene).set(fault);
        if fault == Fault::Refuse {
            link(scene).cut_all();
        }
        scene.fault(name);
        scene.wait_up_to(hold).await;
        sleep(hold / 2).await;
        link(scene).set(Fault::None);
        scene.converge().await;
    }
    for bytes in CUTS {
        link(scene).set(Fault::CutReplyAfter(bytes));
        scene.fault("reply cut off");
        sleep(hold / 4).await;
    }
    link(scene).set(Fault::None);
    scene.converge().await;
}
