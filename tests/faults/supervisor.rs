//! Restarts a FAILED connector task, as an operator would: Connect itself never does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::task::JoinHandle;

/// Between two looks at the connector.
const LOOK: Duration = Duration::from_secs(1);

/// A watch over one connector.
pub(crate) struct Supervisor {
    restarts: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Watches a connector of the worker at this address.
    pub(crate) fn start(connect: String, connector: String) -> Supervisor {
        let restarts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&restarts);
        let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let url = format!("http://{connect}/connectors/{connector}");
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if has_failed(&client, &url).await == Some(true) {
                    let again = format!("{url}/restart?includeTasks=true&onlyFailed=true");
                    if client.post(again).send().await.is_ok_and(|a| a.status().is_success()) {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Supervisor { restarts, task }
    }

    /// Times that it had to.
    pub(crate) fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Nothing while the worker does not answer.
async fn has_failed(client: &Client, url: &str) -> Option<bool> {
    let answer = client.get(format!("{url}/status")).send().await.ok()?.bytes().await.ok()?;
    let status: Value = serde_json::from_slice(&answer).ok()?;
    let tasks = status["tasks"].as_array()?;
    Some(tasks.iter().chain([&status["connector"]]).any(|part| part["state"] == "FAILED"))
}
