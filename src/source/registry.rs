//! Writer schemas from a Confluent-compatible registry, each asked for once.

use std::collections::HashMap;
use std::time::Duration;

use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id};
use schema_registry_converter::error::SRCError;
use tokio::time::timeout;

use super::Settings;

/// Why there is no schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RegistryError {
    /// The registry does not answer, or not in a way that can be used: it may later.
    Unavailable(String),
    /// The registry answers that it has no schema with this id.
    Unknown,
}

/// The registry, and what it said.
#[derive(Debug)]
pub(super) struct Registry {
    settings: SrSettings,
    url: String,
    wait: Duration,
    known: HashMap<u32, String>,
}

impl Registry {
    pub(super) fn new(settings: &Settings) -> Registry {
        Registry {
            settings: SrSettings::new(settings.registry_url.clone()),
            url: settings.registry_url.clone(),
            wait: settings.registry_timeout,
            known: HashMap::new(),
        }
    }

    /// The text of a schema.
    pub(super) async fn schema(&mut self, id: u32) -> Result<String, RegistryError> {
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        match timeout(self.wait, get_schema_by_id(id, &self.settings)).await {
            Ok(Ok(found)) => {
                self.known.insert(id, found.schema.clone());
                Ok(found.schema)
            }
            Ok(Err(error)) if says_unknown(&error) => Err(RegistryError::Unknown),
            Ok(Err(error)) => {
                Err(RegistryError::Unavailable(format!("{} does not answer: {error}", self.url)))
            }
            Err(_) => {
                let seconds = self.wait.as_secs();
                let reason = format!("{} does not answer within {seconds} s", self.url);
                Err(RegistryError::Unavailable(reason))
            }
        }
    }
}

/// The client tells the status only in words.
fn says_unknown(error: &SRCError) -> bool {
    let said = |text: &str| text.contains("status 404");
    said(&error.error) || error.cause.as_deref().is_some_and(said)
}
