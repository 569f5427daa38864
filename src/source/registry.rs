//! Writer schemas from a Confluent-compatible registry, each asked for once and kept for good.

use std::path::Path;
use std::time::{Duration, Instant};

use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_schema_by_id, get_schema_by_subject,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::SubjectNameStrategy;
use serde_json::Value;
use tokio::time::timeout;

use super::Settings;
use super::avro::Side;
use super::copies::{Copies, Met};
use crate::config::without_password;

/// How long the registry may take to confirm a copy: readers wait meanwhile.
const CONFIRM_WAIT: Duration = Duration::from_secs(1);

/// How long it is not asked to confirm any after it did not answer.
const CONFIRM_PAUSE: Duration = Duration::from_secs(30);

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
    /// Until then it is not asked to confirm copies.
    pause_until: Option<Instant>,
}

impl Registry {
    pub(super) fn new(settings: &Settings) -> Registry {
        Registry {
            settings: SrSettings::new(settings.registry_url.clone()),
            url: settings.registry_url.clone(),
            wait: settings.registry_timeout,
            copies: Copies::open(&settings.schema_folder),
            pause_until: None,
        }
    }

    /// The text of a schema: the copy that earlier records of this kind were read by, or what the
    /// registry has under its id.
    pub(super) async fn schema(&self, met: &Met) -> Result<String, RegistryError> {
        match self.copies.get(met) {
            Some(copy) => Ok(copy.to_owned()),
            None => self.ask(met.id).await,
        }
    }

    /// Records of this kind are read by this text from now on: makes a copy of it. False when it
    /// is one.
    pub(super) fn keep(&mut self, met: &Met, text: &str) -> bool {
        let is_new = self.copies.get(met) != Some(text);
        if is_new {
            self.copies.keep(met.clone(), text);
        }
        is_new
    }

    /// Whether a copy is still what the registry has; `None` when it does not tell for now. It is
    /// another's schema if the registry gave the id again, to one of the same topic and half. One
    /// that gave it to other topics says nothing against older records of this one.
    pub(super) async fn confirms(&mut self, met: &Met) -> Option<bool> {
        let copy = self.copies.get(met)?;
        if self.pause_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let of = SubjectNameStrategy::TopicNameStrategy(met.topic.clone(), met.side == Side::Key);
        let told = match timeout(CONFIRM_WAIT, get_schema_by_subject(&self.settings, &of)).await {
            Ok(Ok(found)) => Some(found.id != met.id || is_same(copy, &found.schema)),
            Ok(Err(error)) if says_unknown(&error) => Some(true),
            _ => None,
        };
        self.pause_until = told.is_none().then(|| Instant::now() + CONFIRM_PAUSE);
        told
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
            Ok(Err(error)) => Err(self.unavailable(&format!(": {error}"))),
            Err(_) => Err(self.unavailable(&format!(" within {} s", self.wait.as_secs()))),
        }
    }

    fn unavailable(&self, how: &str) -> RegistryError {
        let reason = format!("{} does not answer{how}", self.url);
        RegistryError::Unavailable(without_password(&reason, &self.url))
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
                        Some(schema) => {
                            let body = serde_json::json!({"id": 1, "version": 1, "schema": schema});
                            ("200 OK", body)
                        }
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
                pause_until: None,
            }
        }
    }

    #[tokio::test]
    async fn copies_serve_when_the_registry_was_emptied() {
        let (played, folder) = (Played::start().await, Folder::new("emptied"));
        let (known, other) = (met("t", Side::Value, 1), met("u", Side::Value, 1));
        const INT: &str = r#"{"type": "int"}"#;
        played.has(Some(INT));
        let mut registry = played.registry(&folder);
        assert_eq!(registry.schema(&known).await.unwrap(), INT);
        assert_eq!(registry.confirms(&known).await, None, "there is no copy before it is read by");
        assert!(registry.keep(&known, INT) && !registry.keep(&known, INT));
        assert_eq!(registry.contradicts(&known).await, Ok(false));

        played.has(None);
        let mut registry = played.registry(&folder);
        assert_eq!(registry.schema(&known).await.unwrap(), INT);
        assert_eq!(registry.contradicts(&known).await, Ok(false));
        assert_eq!(registry.confirms(&known).await, Some(true));
        assert_eq!(registry.schema(&other).await, Err(RegistryError::Unknown));

        // The same id means another schema in another topic.
        played.has(Some(r#"{"type": "long"}"#));
        let text = registry.schema(&other).await.unwrap();
        registry.keep(&other, &text);
        assert_eq!(registry.schema(&known).await.unwrap(), INT);
        assert_eq!(registry.contradicts(&known).await, Ok(true));
        assert_eq!(registry.contradicts(&other).await, Ok(false));
        played.has(Some(r#"{ "type":"int" }"#));
        assert_eq!(registry.contradicts(&known).await, Ok(false), "written otherwise");
    }

    #[tokio::test]
    async fn a_copy_is_not_believed_once_its_id_is_anothers_of_the_same_topic() {
        let (mut played, folder) = (Played::start().await, Folder::new("again"));
        let (known, older) = (met("t", Side::Value, 1), met("t", Side::Value, 2));
        let mut registry = played.registry(&folder);
        let decimal = |scale| format!(r#"{{"type": "bytes", "scale": {scale}}}"#);
        registry.keep(&known, &decimal(2));
        registry.keep(&older, &decimal(2));
        played.has(Some(r#"{"type": "bytes", "scale": 4}"#));
        assert_eq!(registry.confirms(&known).await, Some(false));
        assert_eq!(registry.confirms(&older).await, Some(true), "the subject has another id now");
        played.has(Some(r#"{"type": "bytes", "scale": 2}"#));
        assert_eq!(registry.confirms(&known).await, Some(true));

        // Where nothing listens it is not asked again at once, and the password is not told.
        let url = std::mem::replace(&mut played.url, "http://me:secret@127.0.0.1:1".to_owned());
        let mut registry = played.registry(&folder);
        let Err(RegistryError::Unavailable(reason)) =
            registry.schema(&met("u", Side::Key, 1)).await
        else {
            panic!("nothing listens there");
        };
        assert!(reason.starts_with("http://me:***@127.0.0.1:1 does not answer"), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
        assert_eq!(registry.confirms(&known).await, None);
        registry.settings = SrSettings::new(url);
        assert_eq!(registry.confirms(&known).await, None);
        registry.pause_until = None;
        assert_eq!(registry.confirms(&known).await, Some(true));
    }
}
