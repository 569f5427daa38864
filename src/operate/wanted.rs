//! Has tables read anew that the pipeline cannot complete otherwise, since nobody can tell older
//! rows of them from newer ones. Nobody has to ask for it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::resnapshot;
use crate::config::Config;
use crate::sql::plan::Plan;

/// How long one snapshot may take before another is asked for.
const PATIENCE: Duration = Duration::from_secs(600);
/// Wait after the first that failed, doubled with each up to [`PATIENCE`]: every one begins anew.
const AGAIN: Duration = Duration::from_secs(15);

/// Has tables read anew for as long as some are wanted, until nobody tells any more.
pub async fn read_wanted(
    config: Arc<Config>,
    plan: Arc<Plan>,
    mut wanted: watch::Receiver<BTreeSet<String>>,
) {
    let mut wait = AGAIN;
    loop {
        let tables: Vec<String> = match wanted.wait_for(|tables| !tables.is_empty()).await {
            Ok(tables) => tables.iter().cloned().collect(),
            Err(_) => return,
        };
        warn!(
            ?tables,
            "older rows of these tables cannot be told from newer ones: they are read anew"
        );
        // What is shown to an operator names keys: not for logs.
        let outcome = resnapshot(&config, &plan, &tables, true, PATIENCE, &mut io::sink()).await;
        match outcome {
            Ok(true) => {
                info!(?tables, "they are read");
                wait = AGAIN;
                continue;
            }
            Ok(false) => warn!(?tables, "they were not read to their ends; once more"),
            Err(error) => warn!(?tables, %error, "they cannot be read anew yet"),
        }
        sleep(wait).await;
        wait = (wait * 2).min(PATIENCE);
    }
}
