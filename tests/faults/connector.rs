//! A connector that fails: what passes is restarted by viewtide, what does not is told.

use std::time::Duration;

use mysql_async::Row;
use mysql_async::prelude::Queryable as _;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use tokio::time::sleep;

use super::connect::snapshot_is_stored;
use super::scene::Scene;
use super::services::Service;
use crate::support::stack::Stack;

/// The longest time between two faults.
const WITHIN: Duration = Duration::from_secs(3);

/// What the connector's producer takes, in bytes, and what is written then.
const SMALL: &str = "producer.override.max.request.size=65536";
const LARGE: &str = "producer.override.max.request.size=16777216";
const NOTE_BYTES: u32 = 200_000;

/// How long the broker may take to delete a topic.
const BROKER_WAIT: Duration = Duration::from_secs(30);

/// A database user that loses its password and gets it back: nobody else restarts anything.
pub(crate) async fn failed(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    let name = scene.deployment.name.clone();
    let user = format!("'{name}'@'%'");
    scene
        .deployment
        .execute(&format!(
            "CREATE USER {user} IDENTIFIED BY 'right';
             GRANT REPLICATION SLAVE, REPLICATION CLIENT, FLUSH_TABLES ON *.* TO {user};
             GRANT SELECT ON `{name}`.* TO {user};
             GRANT INSERT, UPDATE ON `{name}`.`viewtide_heartbeat` TO {user}"
        ))
        .await;
    let login = [format!("database.user={name}"), "database.password=right".to_owned()];
    scene.reconfigure(&login.each_ref().map(String::as_str));
    scene.converge().await;
    for _ in 0..scene.extent.of(1, 4) {
        scene.deployment.execute(&format!("ALTER USER {user} IDENTIFIED BY 'other'")).await;
        scene.deployment.restart_connector().await;
        scene.fault("connector task FAILED");
        let running = "viewtide_connector_running";
        scene.deployment.eventually_metric(running, |running| running == 0.0).await;
        scene.wait_up_to(WITHIN).await;
        scene.deployment.execute(&format!("ALTER USER {user} IDENTIFIED BY 'right'")).await;
        scene.converge().await;
        scene.deployment.eventually_metric(running, |running| running == 1.0).await;
    }
    scene.reconfigure(&[]);
    scene.deployment.execute(&format!("DROP USER {user}")).await;
}

/// A record that the producer does not take is told, until an operator has it take more.
pub(crate) async fn too_large(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    scene.deployment.execute("ALTER TABLE customers ADD COLUMN note MEDIUMTEXT").await;
    for _ in 0..scene.extent.of(1, 4) {
        scene.reconfigure(&[SMALL]);
        scene.converge().await;
        let note = format!("UPDATE customers SET note = REPEAT('x', {NOTE_BYTES})");
        scene.deployment.execute(&format!("{note} WHERE customer_id = 1")).await;
        scene.fault("record too large");
        scene.becomes_unready("a record is larger than producer, broker or topic takes").await;
        scene.wait_up_to(WITHIN).await;
        scene.reconfigure(&[LARGE]);
        scene.converge().await;
        scene.deployment.execute("UPDATE customers SET note = NULL").await;
        scene.converge().await;
    }
}

/// MySQL throws away what the connector has not read: told, until an operator has it take a new
/// snapshot, which contains what no topic has.
pub(crate) async fn binlog_purged(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    for _ in 0..scene.extent.of(1, 4) {
        Service::Connect.kill();
        scene.fault("kill -9 connect");
        sleep(WITHIN).await;
        let mut mysql = scene.deployment.mysql().await;
        mysql.query_drop("FLUSH BINARY LOGS").await.unwrap();
        let logs: Vec<Row> = mysql.query("SHOW BINARY LOGS").await.unwrap();
        let newest: String = logs.last().unwrap().get(0).unwrap();
        mysql.query_drop(format!("PURGE BINARY LOGS TO '{newest}'")).await.unwrap();
        scene.fault("binlog purged");
        Service::Connect.start();
        scene.becomes_unready("mysql has purged the binlog that comes next").await;
        scene.reconfigure(&["snapshot.mode=when_needed"]);
        scene.converge().await;
        scene.reconfigure(&[]);
        scene.converge().await;
    }
}

/// The connector's schema history is gone: told, until an operator has it recovered.
pub(crate) async fn history_lost(scene: &mut Scene) {
    snapshot_is_stored(scene).await;
    let topic = format!("{}.schema-history", scene.deployment.name);
    let brokers = Stack::shared().brokers();
    let client: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(BROKER_WAIT));
    for _ in 0..scene.extent.of(1, 2) {
        Service::Connect.kill();
        scene.fault("kill -9 connect");
        client.delete_topics(&[&topic], &options).await.unwrap().remove(0).unwrap();
        Service::Connect.start();
        scene.fault("schema history lost");
        scene.becomes_unready("its schema history is lost").await;
        sleep(WITHIN).await;
        scene.reconfigure(&["snapshot.mode=recovery"]);
        scene.converge().await;
        scene.reconfigure(&[]);
        scene.converge().await;
    }
}
