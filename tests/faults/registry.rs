//! The registry dead, and a registry that has forgotten everything.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use super::scene::Scene;
use super::services::Service;
use crate::support::stack::Stack;

/// The longest time between two faults.
const WITHIN: Duration = Duration::from_secs(3);

/// By then the load has done all that it does.
const MET: Duration = Duration::from_secs(8);

/// The connector asks the registry anew for what it knows longer than 30 s.
const FORGOTTEN: Duration = Duration::from_secs(40);

/// Whoever starts without the registry reads by its own copies of schemas; without copies it waits.
pub(crate) async fn kill(scene: &mut Scene) {
    schemas_are_met(scene).await;
    for number in 0..scene.extent.of(3, 22) {
        scene.wait_up_to(WITHIN).await;
        Service::Registry.kill();
        scene.fault("kill -9 registry");
        match number % 5 {
            0 => {
                scene.kill_viewtide();
                scene.deployment.start();
                scene.deployment.eventually("/readyz", |status, _| status == 200).await;
            }
            1 => {
                scene.kill_viewtide();
                fs::remove_dir_all(scene.deployment.state_folder()).unwrap();
                scene.fault("state folder deleted");
                scene.deployment.start();
                scene.becomes_unready("registry").await;
            }
            _ => scene.wait_up_to(WITHIN).await,
        }
        Service::Registry.start();
        if number % 5 < 2 {
            scene.converge().await;
        }
    }
}

/// The registry comes back empty, and all records are read again: by the copies of their schemas.
pub(crate) async fn empty(scene: &mut Scene) {
    schemas_are_met(scene).await;
    for _ in 0..scene.extent.of(1, 2) {
        Service::Registry.kill();
        let folder = PathBuf::from(Stack::shared().setting("STACK_DIR")).join("registry");
        fs::remove_dir_all(folder).unwrap();
        Service::Registry.start();
        scene.fault("registry emptied");
        scene.kill_viewtide();
        delete_checkpoints(scene);
        scene.deployment.start();
        scene.converge().await;
        // Until the connector has schemas registered again, and a start thereafter.
        sleep(scene.extent.of(Duration::ZERO, FORGOTTEN)).await;
        scene.converge().await;
        scene.kill_viewtide();
        scene.deployment.start();
        scene.converge().await;
    }
}

/// Waits until every kind of record was read once: of a schema never met there is no copy.
async fn schemas_are_met(scene: &mut Scene) {
    sleep(MET).await;
    scene.converge().await;
}

/// All but the copies of schemas.
fn delete_checkpoints(scene: &Scene) {
    for entry in fs::read_dir(scene.deployment.state_folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
}
