//! What is wrong with a configuration, told to whoever has to mend it.

use std::io;
use std::path::{Path, PathBuf};

use figment::error::Kind;

use super::environment::Environment;
use super::{Problem, Secret};

/// Why there is no configuration. The program ends with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}; name one by --config FILE", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{}:{line}: not TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key or section that does not exist.
    #[error("{place}: unknown key `{key}`; allowed: {allowed}")]
    UnknownKey {
        /// File and line, or variable.
        place: String,
        /// Section and key.
        key: String,
        /// Keys that exist there.
        allowed: String,
    },
    /// A required key that is given nowhere.
    #[error("{}: `{key}` is missing: set it there or as {variable}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Section and key.
        key: String,
        /// The variable that can give it.
        variable: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{place}: `{key}` is {given}; allowed: {allowed}")]
    Value {
        /// File and line, or variable.
        place: String,
        /// Section and key.
        key: String,
        /// What was given.
        given: String,
        /// What could be.
        allowed: String,
    },
    /// An environment variable that names no section.
    #[error(
        "environment variable {variable}: no setting has this name; settings are named VIEWTIDE_SECTION_KEY, as VIEWTIDE_KAFKA_BROKERS"
    )]
    NoSection {
        /// Its name.
        variable: String,
    },
    /// An environment variable that is no text.
    #[error("environment variable {variable}: its value is not UTF-8")]
    NotText {
        /// Its name.
        variable: String,
    },
    /// A secret given by value and by file.
    #[error("environment variables {one} and {other} set the same key: unset one of them")]
    Twice {
        /// One variable.
        one: String,
        /// The other.
        other: String,
    },
    /// A secret's file cannot be read.
    #[error("environment variable {variable}: cannot read {}: {source}", path.display())]
    SecretFile {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder of SQL cannot be read.
    #[error("{} (`{key}`): {source}", path.display())]
    Sql {
        /// The key that names it.
        key: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder without SQL.
    #[error("{} (`{key}`): no .sql file in this folder: {}", path.display(), what_is_missing(key))]
    NoSql {
        /// The key that names it.
        key: &'static str,
        /// The folder.
        path: PathBuf,
    },
}

/// What a folder of SQL should have, by the key that names it.
fn what_is_missing(key: &str) -> &'static str {
    match key {
        "pipeline.tables" => "put the CREATE TABLE statements of the captured tables there",
        "pipeline.views" => "put a CREATE VIEW name AS SELECT … there, one a file",
        _ => "leave the key out if no event topics are read",
    }
}

/// The configuration file, to tell where in it a key stands.
pub(super) struct Text<'a> {
    pub(super) path: &'a Path,
    pub(super) content: &'a str,
}

impl ConfigError {
    /// What figment found, with where it was given.
    pub(super) fn of_figment(
        error: figment::Error,
        text: &Text<'_>,
        environment: &Environment,
    ) -> ConfigError {
        let mut path = error.path.clone();
        match error.kind {
            Kind::UnknownField(name, allowed) => {
                // The path ends in the unknown key's name, except where figment lost track of it.
                if path.last() != Some(&name) {
                    path.push(name);
                }
                let key = path.join(".");
                let mut allowed = allowed.to_vec();
                allowed.sort_unstable();
                let allowed = allowed.join(", ");
                ConfigError::UnknownKey { place: place(&key, text, environment), key, allowed }
            }
            Kind::MissingField(name) => {
                path.push(name.into_owned());
                let key = missing_key(path);
                let variable = format!("VIEWTIDE_{}", key.replace('.', "_").to_uppercase());
                ConfigError::Missing { path: text.path.to_owned(), key, variable }
            }
            Kind::InvalidType(given, expected) | Kind::InvalidValue(given, expected) => {
                let key = path.join(".");
                let given = shown(&key, given.to_string());
                ConfigError::value(key, given, allowed(&expected), text, environment)
            }
            Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => {
                let allowed = "a whole number that is not negative".to_owned();
                ConfigError::value(
                    path.join("."),
                    "out of range".into(),
                    allowed,
                    text,
                    environment,
                )
            }
            kind if path.is_empty() => syntax(&kind.to_string(), text),
            kind => {
                let key = path.join(".");
                let given = shown(&key, kind.to_string());
                let allowed = if key == "api.listen" { LISTEN } else { "see viewtide.toml" };
                ConfigError::value(key, given, allowed.to_owned(), text, environment)
            }
        }
    }

    fn value(
        key: String,
        given: String,
        allowed: String,
        text: &Text<'_>,
        environment: &Environment,
    ) -> ConfigError {
        ConfigError::Value { place: place(&key, text, environment), key, given, allowed }
    }
}

impl Problem {
    pub(super) fn located(self, text: &Text<'_>, environment: &Environment) -> ConfigError {
        ConfigError::value(self.key.to_owned(), self.given, self.allowed, text, environment)
    }
}

const LISTEN: &str = "an address and a port, as `127.0.0.1:8001`";

/// The variable or the line that gives a key.
fn place(key: &str, text: &Text<'_>, environment: &Environment) -> String {
    if let Some(variable) = environment.variable(key) {
        return format!("environment variable {variable}");
    }
    match line_of(key, text.content) {
        Some(line) => format!("{}:{line}", text.path.display()),
        None => text.path.display().to_string(),
    }
}

/// The line, from 1, of `key = …` under `[section]`, or of a section's header.
fn line_of(key: &str, content: &str) -> Option<usize> {
    let (section, key) = key.split_once('.').unwrap_or((key, ""));
    let mut current = "";
    for (at, line) in content.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            current = header.split(']').next().unwrap_or("").trim();
            if key.is_empty() && current == section {
                return Some(at + 1);
            }
        }
        let name = line.split_once('=').map_or("", |(name, _)| name.trim());
        if !name.is_empty() && current == section && name == key
            || current.is_empty() && key.is_empty() && name == section
        {
            return Some(at + 1);
        }
    }
    None
}

/// A missing section is missing its required key.
fn missing_key(path: Vec<String>) -> String {
    let key = path.join(".");
    match key.as_str() {
        "kafka" => "kafka.brokers".to_owned(),
        "registry" => "registry.url".to_owned(),
        "redis" => "redis.url".to_owned(),
        "mysql" => "mysql.user".to_owned(),
        _ => key,
    }
}

fn shown(key: &str, given: String) -> String {
    if matches!(key, "mysql.password" | "redis.url") {
        return Secret::SHOWN.to_owned();
    }
    given.replace("unsigned int", "number").replace("signed int", "number")
}

fn allowed(expected: &str) -> String {
    match expected {
        "u64" => "a whole number that is not negative".to_owned(),
        "u16" => "1 to 65535".to_owned(),
        "a string" | "string" | "path string" => "text in quotes".to_owned(),
        "socket address" => LISTEN.to_owned(),
        other => match other.strip_prefix("struct ") {
            Some(section) => format!("a section, as `[{}]`", section.to_lowercase()),
            None => other.to_owned(),
        },
    }
}

/// The line and the last line of what the TOML parser says.
fn syntax(message: &str, text: &Text<'_>) -> ConfigError {
    let line = message
        .split_once("at line ")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    let last = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(message);
    ConfigError::Syntax {
        path: text.path.to_owned(),
        line: line.unwrap_or(1),
        message: last.trim().to_owned(),
    }
}
