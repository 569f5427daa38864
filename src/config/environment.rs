//! Settings from the environment: `VIEWTIDE_MYSQL_PASSWORD` is `password` of `[mysql]`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::ConfigError;

const PREFIX: &str = "VIEWTIDE_";
/// Variables that are no settings: those of the binaries, and all that begin with [`TEST_PREFIX`].
const RESERVED: [&str; 3] = ["VIEWTIDE_CONFIG", "VIEWTIDE_LOG", "VIEWTIDE_LOG_FORMAT"];
/// What tests tell each other.
const TEST_PREFIX: &str = "VIEWTIDE_TEST_";
/// Keys whose value can also be given by a file.
const SECRETS: [&str; 2] = ["mysql.password", "redis.url"];

/// What the environment sets.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Section and key to value and the variable that gave it.
    values: BTreeMap<(String, String), (String, String)>,
}

impl Environment {
    /// Takes the settings among these variables, and the files that some of them name.
    ///
    /// # Errors
    /// A name without a section, a value that is no UTF-8, a secret given twice, a file that
    /// cannot be read.
    pub(super) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Environment, ConfigError> {
        let mut environment = Environment::default();
        for (variable, value) in variables {
            let Some(variable) = variable.to_str().filter(|v| v.starts_with(PREFIX)) else {
                continue;
            };
            if RESERVED.contains(&variable) || variable.starts_with(TEST_PREFIX) {
                continue;
            }
            let name = variable[PREFIX.len()..].to_ascii_lowercase();
            let value = value
                .into_string()
                .map_err(|_| ConfigError::NotText { variable: variable.to_owned() })?;
            environment.take(variable, &name, value)?;
        }
        Ok(environment)
    }

    /// The variable that sets a key (`mysql.port`), if one does.
    pub(super) fn variable(&self, key: &str) -> Option<&str> {
        let (section, key) = key.split_once('.').unwrap_or((key, ""));
        let given = self.values.get(&(section.to_owned(), key.to_owned()))?;
        Some(&given.1)
    }

    fn take(&mut self, variable: &str, name: &str, value: String) -> Result<(), ConfigError> {
        let Some((section, key)) = name.split_once('_') else {
            return Err(ConfigError::NoSection { variable: variable.to_owned() });
        };
        let secret = key
            .strip_suffix("_file")
            .filter(|key| SECRETS.contains(&format!("{section}.{key}").as_str()));
        let (key, value) = match secret {
            Some(key) => (key, read_secret(variable, &value)?),
            None => (key, value),
        };
        let place = (section.to_owned(), key.to_owned());
        match self.values.insert(place, (value, variable.to_owned())) {
            None => Ok(()),
            Some((_, other)) => Err(ConfigError::Twice { one: variable.to_owned(), other }),
        }
    }
}

/// A secret's file, without the line break at its end.
fn read_secret(variable: &str, path: &str) -> Result<String, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::SecretFile {
        variable: variable.to_owned(),
        path: path.into(),
        source,
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

impl Provider for &Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut sections: BTreeMap<String, Dict> = BTreeMap::new();
        for ((section, key), (text, _)) in &self.values {
            // Text stays text (a password may be `007`); only numbers and a switch are read as such.
            let is_number = match section.as_str() {
                "limits" => true,
                "mysql" => key == "port",
                "state" => key != "dir",
                "verify" => key != "background",
                _ => false,
            };
            let is_switch = section == "verify" && key == "background";
            let number = text.parse::<u64>().ok().filter(|_| is_number);
            let switch = text.parse::<bool>().ok().filter(|_| is_switch);
            let value = match (number, switch) {
                (Some(number), _) => Value::from(number),
                (_, Some(switch)) => Value::from(switch),
                (None, None) => Value::from(text.as_str()),
            };
            sections.entry(section.clone()).or_default().insert(key.clone(), value);
        }
        let dict: Dict = sections.into_iter().map(|(s, keys)| (s, Value::from(keys))).collect();
        Ok(Profile::Default.collect(dict))
    }
}
