//! Kafka Connect: whether the watched connector is there and running.

use super::Finding;
use crate::config::Config;
use crate::supervisor::{Connect, Health, Trouble};

const PART: &str = "connect";

pub(super) async fn probe(config: &Config) -> Vec<Finding> {
    let Some(settings) = &config.connect else { return Vec::new() };
    let (url, name) = (&settings.url, &settings.connector);
    let finding = match Connect::new(settings).health().await {
        Ok(Health::Running) => Finding::ok(PART, format!("connector {name} is running")),
        Ok(Health::Resting(state)) => {
            Finding::warn(PART, format!("connector {name} is {state}: no changes come"))
        }
        Ok(Health::Missing) => {
            let text =
                format!("{url} has no connector {name}: register it, or correct connect.connector");
            Finding::fail(PART, text)
        }
        Ok(Health::Failed { trace }) => {
            let why = match Trouble::of(&trace) {
                Some(trouble) => trouble.to_string(),
                None => "it is restarted while viewtide runs; connect's log says why".to_owned(),
            };
            Finding::fail(PART, format!("connector {name} has failed: {why}"))
        }
        Err(error) => {
            let text = format!("{url}: {error}; start it, or correct connect.url");
            Finding::warn(PART, text)
        }
    };
    vec![finding]
}
