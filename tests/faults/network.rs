//! What networks do between any two parts.

use std::time::Duration;

use tokio::time::sleep;

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

/// A process that starts asks the registry; one that runs does not.
pub(crate) async fn registry(scene: &mut Scene) {
    for (name, fault) in faults(50) {
        scene.to_registry.set(fault);
        scene.fault(name);
        scene.kill_viewtide();
        scene.deployment.start();
        sleep(Duration::from_secs(3)).await;
        scene.to_registry.set(Fault::None);
        scene.converge().await;
    }
}

pub(crate) async fn mysql(scene: &mut Scene) {
    suffer(scene, |scene| &scene.to_mysql, 10).await;
}

async fn suffer(scene: &mut Scene, link: impl Fn(&Scene) -> &Proxy, percent: u8) {
    let hold = scene.extent.of(Duration::from_secs(2), Duration::from_secs(20));
    for _ in 0..scene.extent.of(1, 2) {
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
}
