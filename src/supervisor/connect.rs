//! Kafka Connect's REST API, as far as one connector is concerned.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;

use crate::config;

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Asks for one connector.
#[derive(Clone, Debug)]
pub struct Connect {
    client: Client,
    url: String,
}

/// How a connector is, its tasks included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It and all its tasks are running.
    Running,
    /// It, or a task, is in a state that is no failure: paused, stopped, not assigned yet.
    Resting(String),
    /// It, or a task, has failed.
    Failed {
        /// The stack trace.
        trace: String,
    },
    /// There is none of this name.
    Missing,
}

/// Why Connect did not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// It does not answer.
    #[error("{0}")]
    Away(String),
    /// It answers something else.
    #[error("it answers {0}")]
    Answer(String),
}

#[derive(Deserialize)]
struct Status {
    connector: Part,
    tasks: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    state: String,
    #[serde(default)]
    trace: String,
}

impl Connect {
    /// Nothing is connected yet.
    pub fn new(settings: &config::Connect) -> Connect {
        let name = utf8_percent_encode(&settings.connector, NON_ALPHANUMERIC);
        Connect { client: Client::new(), url: format!("{}/connectors/{name}", settings.url) }
    }

    /// How the connector is.
    ///
    /// # Errors
    /// Connect does not answer in time, or not as Connect does.
    pub async fn health(&self) -> Result<Health, ConnectError> {
        let (status, body) = self.ask(Method::GET, "/status").await?;
        match status {
            StatusCode::OK => health_of(&body),
            StatusCode::NOT_FOUND => Ok(Health::Missing),
            other => Err(ConnectError::Answer(other.to_string())),
        }
    }

    /// Has what has failed of it started again.
    ///
    /// # Errors
    /// Connect does not answer in time, or refuses.
    pub async fn restart(&self) -> Result<(), ConnectError> {
        let path = "/restart?includeTasks=true&onlyFailed=true";
        let (status, _) = self.ask(Method::POST, path).await?;
        if status.is_success() { Ok(()) } else { Err(ConnectError::Answer(status.to_string())) }
    }

    async fn ask(&self, method: Method, path: &str) -> Result<(StatusCode, Vec<u8>), ConnectError> {
        let url = format!("{}{path}", self.url);
        let away = |error: reqwest::Error| {
            let mut text = error.to_string();
            let mut cause: &dyn std::error::Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            text.push_str(&format!(": {cause}"));
            ConnectError::Away(text)
        };
        let request = self.client.request(method, url).timeout(ANSWER_WAIT);
        let mut answer = request.send().await.map_err(away)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(ConnectError::Answer("more than 1 MiB".to_owned()));
            }
        }
        Ok((answer.status(), body))
    }
}

fn health_of(body: &[u8]) -> Result<Health, ConnectError> {
    let status: Status = serde_json::from_slice(body)
        .map_err(|error| ConnectError::Answer(format!("what is no status: {error}")))?;
    let parts = || status.tasks.iter().chain([&status.connector]);
    if let Some(failed) = parts().find(|part| part.state == "FAILED") {
        return Ok(Health::Failed { trace: failed.trace.clone() });
    }
    if let Some(resting) = parts().find(|part| part.state != "RUNNING") {
        return Ok(Health::Resting(resting.state.clone()));
    }
    match status.tasks.is_empty() {
        true => Ok(Health::Resting("without a task".to_owned())),
        false => Ok(Health::Running),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_is_as_well_as_the_worst_of_its_parts() {
        let status = |connector: &str, tasks: &str| {
            let body = format!(
                r#"{{"name":"c","connector":{{"state":"{connector}","worker_id":"w"}},"tasks":[{tasks}],"type":"source"}}"#
            );
            health_of(body.as_bytes()).unwrap()
        };
        let running = r#"{"id":0,"state":"RUNNING","worker_id":"w"}"#;
        let failed = r#"{"id":0,"state":"FAILED","worker_id":"w","trace":"why"}"#;
        assert_eq!(status("RUNNING", running), Health::Running);
        assert_eq!(status("RUNNING", failed), Health::Failed { trace: "why".into() });
        assert_eq!(status("PAUSED", running), Health::Resting("PAUSED".into()));
        assert!(matches!(status("RUNNING", ""), Health::Resting(_)));
        assert!(matches!(health_of(b"<html>"), Err(ConnectError::Answer(_))));
    }
}
