//! The schema registry: whether it speaks the Confluent API at this address.

use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_all_subjects};
use tokio::time::timeout;

use super::{Finding, PROBE_WAIT, counted, innermost};
use crate::config::{Config, without_password};
use crate::source::Format;

const PART: &str = "registry";

pub(super) async fn probe(config: &Config) -> Vec<Finding> {
    if config.source.format != Format::Avro {
        return Vec::new();
    }
    let url = &config.registry.url;
    let settings = match SrSettings::new_builder(url.clone()).set_timeout(PROBE_WAIT).build() {
        Ok(settings) => settings,
        Err(error) => {
            let text = without_password(&format!("{url}: {error}"), url);
            return vec![Finding::fail(PART, text)];
        }
    };
    let shown = without_password(url, url);
    let finding = match timeout(PROBE_WAIT, get_all_subjects(&settings)).await {
        Ok(Ok(subjects)) => {
            Finding::ok(PART, format!("{shown} answers, {}", counted(subjects.len(), "subject")))
        }
        Ok(Err(error)) => {
            let reason = innermost(&error);
            let mend = "start it, or correct registry.url";
            let text = format!(
                "{url} does not answer as a Confluent-compatible registry: {reason}; {mend}"
            );
            Finding::fail(PART, without_password(&text, url))
        }
        Err(_) => Finding::fail(PART, format!("{shown} does not answer within 5 s")),
    };
    vec![finding]
}
