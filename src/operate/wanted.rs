//! Has tables read anew that the pipeline cannot complete otherwise: changes of them are nowhere to
//! be read any more. Nobody has to ask for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::resnapshot;
use crate::config::Config;
use crate::sql::plan::Plan;

/// How long one snapshot may take before another is asked for.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Wait between two of them.
const AGAIN: Duration = Duration::from_secs(15);

/// Has tables read anew for as long as some are wanted, until nobody tells any more.
pub async fn read_wanted(
    config: Arc<Config>,
    plan: Arc<Plan>,
    mut wanted: watch::Receiver<BTreeSet<String>>,
) {
    loop {
        let tables: Vec<String> = match wanted.wait_for(|tables| !tables.is_empty()).await {
            Ok(tables) => tables.iter().cloned().collect(),
            Err(_) => return,
        };
        warn!(?tables, "changes of these tables are nowhere to be read: they are read anew");
        let mut told = Vec::new();
        let outcome = resnapshot(&config, &plan, &tables, true, PATIENCE, &mut told).await;
        for line in String::from_utf8_lossy(&told).lines() {
            info!("{line}");
        }
        match outcome {
            Ok(true) => continue,
            Ok(false) => warn!(?tables, "they were not read to their ends; once more"),
            Err(error) => warn!(?tables, %error, "they cannot be read anew yet"),
        }
        sleep(AGAIN).await;
    }
}
