//! Writer schemas from a Confluent-compatible registry, each asked for once and kept for good.

use std::path::Path;
use std::time::Duration;

use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id};
use schema_registry_converter::error::SRCError;
use serde_json::Value;
use tokio::time::timeout;

use super::Settings;
use super::copies::{Copies, Met};

/// Why there is no schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RegistryError {
    /// The registry does not answer, or not in a way that can be used: it may later.
    Unavailable(String),
    /// The registry answers that it has no schema with this id.
    Unknown,
}

/// The registry, and copies of what it said.
#[derive(Debug)]
pub(super) struct Registry {
    settings: SrSettings,
    url: String,
    wait: Duration,
    copies: Copies,
}

impl Registry {
    pub(super) fn new(settings: &Settings) -> Registry {
        Registry {
            settings: SrSettings::new(settings.registry_url.clone()),
            url: settings.registry_url.clone(),
            wait: settings.registry_timeout,
            copies: Copies::open(&settings.schema_folder),
        }
    }

    /// The text of a schema: the copy that earlier records of this kind were read by, or what the
    /// registry has under its id, of which a copy is made.
    pub(super) async fn schema(&mut self, met: &Met) -> Result<String, RegistryError> {
        if let Some(copy) = self.copies.get(met) {
            return Ok(copy.to_owned());
        }
        let text = self.ask(met.id).await?;
        self.copies.keep(met.clone(), &text);
        Ok(text)
    }

    /// Whether the registry has another schema than the copy under the same id. One that has none
    /// was emptied, and contradicts nothing.
    pub(super) async fn contradicts(&self, met: &Met) -> Result<bool, RegistryError> {
        let Some(copy) = self.copies.get(met) else { return Ok(false) };
        match self.ask(met.id).await {
            Ok(text) => Ok(!is_same(copy, &text)),
            Err(RegistryError::Unknown) => Ok(false),
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Where the copies are.
    pub(super) fn copies(&self) -> &Path {
        self.copies.folder()
    }

    async fn ask(&self, id: u32) -> Result<String, RegistryError> {
        match timeout(self.wait, get_schema_by_id(id, &self.settings)).await {
            Ok(Ok(found)) => Ok(found.schema),
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

/// Whether two texts are the same JSON.
fn is_same(one: &str, other: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == other || parsed(one).is_some_and(|one| Some(one) == parsed(other))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::source::avro::Side;
    use crate::source::copies::tests::{Folder, met};

    /// A registry that has one schema under every id, or none.
    struct Played {
        url: String,
        schema: Arc<Mutex<Option<&'static str>>>,
    }

    impl Played {
        async fn start() -> Played {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let schema = Arc::new(Mutex::new(None));
            let shown = Arc::clone(&schema);
            tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let _ = client.read(&mut [0; 4096]).await;
                    let (status, body) = match *shown.lock().unwrap() {
                        Some(schema) => ("200 OK", serde_json::json!({ "schema": schema })),
                        None => ("404 Not Found", serde_json::json!({"error_code": 40403})),
                    };
                    let body = body.to_string();
                    let head = format!(
                        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json"
                    );
                    let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    let _ = client.write_all(answer.as_bytes()).await;
                }
            });
            Played { url, schema }
        }

        fn has(&self, schema: Option<&'static str>) {
            *self.schema.lock().unwrap() = schema;
        }

        /// What a process that starts has of it.
        fn registry(&self, folder: &Folder) -> Registry {
            Registry {
                settings: SrSettings::new(self.url.clone()),
                url: self.url.clone(),
                wait: Duration::from_secs(60),
                copies: Copies::open(folder.path()),
            }
        }
    }

    #[tokio::test]
    async fn copies_serve_when_the_registry_was_emptied() {
        let (played, folder) = (Played::start().await, Folder::new("emptied"));
        let (known, other) = (met("t", Side::Value, 1), met("u", Side::Value, 1));
        played.has(Some(r#"{"type": "int"}"#));
        let mut registry = played.registry(&folder);
        assert_eq!(registry.schema(&known).await.unwrap(), r#"{"type": "int"}"#);
        assert_eq!(registry.contradicts(&known).await, Ok(false));

        played.has(None);
        let mut registry = played.registry(&folder);
        assert_eq!(registry.schema(&known).await.unwrap(), r#"{"type": "int"}"#);
        assert_eq!(registry.contradicts(&known).await, Ok(false));
        assert_eq!(registry.schema(&other).await, Err(RegistryError::Unknown));

        // The same id means another schema in another topic.
        played.has(Some(r#"{"type": "long"}"#));
        assert_eq!(registry.schema(&other).await.unwrap(), r#"{"type": "long"}"#);
        assert_eq!(registry.schema(&known).await.unwrap(), r#"{"type": "int"}"#);
        assert_eq!(registry.contradicts(&known).await, Ok(true));
        assert_eq!(registry.contradicts(&other).await, Ok(false));
        played.has(Some(r#"{ "type":"int" }"#));
        assert_eq!(registry.contradicts(&known).await, Ok(false), "written otherwise");
    }
}
