//! Settings: `viewtide.toml`, overridden by the environment, validated once.
//!
//! Every key `key` of a section `[section]` can be given as `VIEWTIDE_SECTION_KEY`; a secret also
//! by `VIEWTIDE_SECTION_KEY_FILE`, a file that holds it. Whoever gets a [`Config`] can rely on it:
//! unknown keys, wrong types and values out of range have been refused with where they stand and
//! what is allowed. Nothing here connects anywhere; [`crate::check`] does.

mod environment;
mod error;
mod limits;
mod secret;
mod sql_files;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::Deserialize;

use crate::dial::Dialer;
use crate::source::Format;
use crate::source::avro::HEARTBEAT_TABLE;
use crate::sql::Definitions;
use environment::Environment;
pub use error::ConfigError;
use error::Text;
pub use limits::Limits;
use limits::within;
pub use secret::{Secret, without_password};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "viewtide.toml";

/// All settings of one pipeline.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the pipeline is and which SQL it maintains.
    #[serde(default)]
    pub pipeline: Pipeline,
    /// Where changes come from.
    pub kafka: Kafka,
    /// How they are written.
    #[serde(default)]
    pub source: Source,
    /// Where their schemas are.
    pub registry: Registry,
    /// Where documents go.
    pub redis: Redis,
    /// The database that the changes come from; only `check` and `verify` connect to it.
    pub mysql: Mysql,
    /// The connector to keep running; none is watched unless it is given.
    #[serde(default)]
    pub connect: Option<Connect>,
    /// Where the tables are kept between runs.
    #[serde(default)]
    pub state: State,
    /// The HTTP API.
    #[serde(default)]
    pub api: Api,
    /// Comparing documents with MySQL beside the pipeline.
    #[serde(default)]
    pub verify: Verify,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// The folder of the configuration file, which relative paths start from.
    #[serde(skip)]
    base: PathBuf,
}

/// `[pipeline]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pipeline {
    /// Its name, part of all its Redis keys: 1 to 64 letters, digits, `-`, `_` or `.`, the first
    /// no `.`.
    pub name: String,
    /// CREATE TABLE statements of the captured tables: a file, or a folder of `.sql` files.
    pub tables: PathBuf,
    /// CREATE TABLE statements of event topics. Unset: `sql/streams` if there is one.
    pub streams: Option<PathBuf>,
    /// Views, a file or a folder of `.sql` files.
    pub views: PathBuf,
}

/// `[kafka]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Bootstrap brokers, `host:port` with commas between.
    pub brokers: String,
    /// Debezium's `topic.prefix`: a table's topic is `PREFIX.DATABASE.TABLE`.
    #[serde(default = "default_topic_prefix")]
    pub topic_prefix: String,
    /// Where unreadable records go.
    #[serde(default = "default_dead_letter_topic")]
    pub dead_letter_topic: String,
    /// Where commands come from.
    #[serde(default = "default_command_topic")]
    pub command_topic: String,
}

/// `[source]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// How Debezium's records are written: `avro`, `json` (each with its schema) or
    /// `json_without_schemas`.
    pub format: Format,
}

/// `[registry]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Address of a Confluent-compatible API, without a slash at the end.
    pub url: String,
}

/// `[redis]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://[user:password@]host[:port][/database]`.
    pub url: Secret,
}

/// `[mysql]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mysql {
    /// Host name or address.
    #[serde(default = "default_mysql_host")]
    pub host: String,
    /// TCP port.
    #[serde(default = "default_mysql_port")]
    pub port: u16,
    /// A user that may SELECT from the tables.
    pub user: String,
    /// The user's password.
    #[serde(default)]
    pub password: Secret,
    /// The database that the tables are in.
    pub database: String,
}

/// `[connect]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// Address of Kafka Connect's REST API, without a slash at the end.
    pub url: String,
    /// Name of the connector.
    pub connector: String,
}

/// `[state]`: a checkpoint is begun when as many records were applied since the last one, or when
/// some were and the interval has passed; and not before what was applied since is worth it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// Folder of the checkpoints; each pipeline has one of its own in it.
    pub dir: PathBuf,
    /// Records applied between two checkpoints.
    pub checkpoint_records: u64,
    /// Seconds between two checkpoints, if fewer were.
    pub checkpoint_interval_seconds: u64,
}

/// `[api]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// `[verify]`: documents are compared with MySQL, over and over, while the pipeline runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// Whether they are.
    pub background: bool,
    /// How much of MySQL's time that may take: seconds of a hundred on one connection.
    pub load_percent_max: u64,
    /// Documents compared in a second, at most.
    pub rows_per_second_max: u64,
    /// Events held in memory for it, at most; views over more are left out.
    pub events_max: u64,
}

impl Config {
    /// Reads a configuration file (`viewtide.toml` in the working directory if none is named) and
    /// what the environment overrides.
    ///
    /// # Errors
    /// A file that is missing or no TOML, an unknown key, a wrong type, a value that is not
    /// allowed, a required key that is not given. All name the file or variable and the key.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        Config::load_with(path, std::env::vars_os())
    }

    /// Like [`Config::load`], with these variables for the environment.
    fn load_with(
        path: Option<&Path>,
        variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Config, ConfigError> {
        let path = path.unwrap_or(Path::new(DEFAULT_FILE));
        let content = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let text = Text { path, content: &content };
        let environment = Environment::read(variables)?;
        let figment = Figment::from(Toml::string(&content)).merge(&environment);
        let mut config: Config = figment
            .extract()
            .map_err(|error| ConfigError::of_figment(error, &text, &environment))?;
        config.base = path.parent().unwrap_or(Path::new("")).to_owned();
        config.validate().map_err(|problem| problem.located(&text, &environment))?;
        Ok(config)
    }

    /// Reads the files of SQL that the configuration names.
    ///
    /// # Errors
    /// A file or folder that is missing, cannot be read, is too large, or holds no SQL.
    pub fn definitions(&self) -> Result<Definitions, ConfigError> {
        let pipeline = &self.pipeline;
        let tables = sql_files::read("pipeline.tables", &self.base.join(&pipeline.tables))?;
        let views = sql_files::read("pipeline.views", &self.base.join(&pipeline.views))?;
        let streams = match &pipeline.streams {
            Some(path) => sql_files::read("pipeline.streams", &self.base.join(path))?,
            None => sql_files::read_if_there(&self.base.join("sql/streams"))?,
        };
        Ok(Definitions { tables, streams, views })
    }

    /// Where the captured tables' DDL is: a file or a folder.
    pub fn tables_path(&self) -> PathBuf {
        self.base.join(&self.pipeline.tables)
    }

    /// The folder of the checkpoints of all pipelines.
    pub fn state_path(&self) -> PathBuf {
        self.base.join(&self.state.dir)
    }

    fn validate(&self) -> Result<(), Problem> {
        let Config { pipeline, kafka, registry, redis, mysql, state, verify, limits, .. } = self;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name = |text: &str| (1..=64).contains(&text.len()) && text.chars().all(plain);
        let is_topic = |text: &str| (1..=200).contains(&text.len()) && text.chars().all(plain);
        let name = "1 to 64 letters, digits, `-`, `_` or `.`, the first no `.`";
        let topic = "1 to 200 letters, digits, `-`, `_` or `.`";
        // The name is a folder's, too.
        let is_plain = is_name(&pipeline.name) && !pipeline.name.starts_with('.');
        require(is_plain, "pipeline.name", &pipeline.name, name)?;
        let brokers = "`host:port`, several with commas between";
        require(are_brokers(&kafka.brokers), "kafka.brokers", &kafka.brokers, brokers)?;
        require(is_topic(&kafka.topic_prefix), "kafka.topic_prefix", &kafka.topic_prefix, topic)?;
        let dead = &kafka.dead_letter_topic;
        require(is_topic(dead), "kafka.dead_letter_topic", dead, topic)?;
        let commands = &kafka.command_topic;
        require(is_topic(commands), "kafka.command_topic", commands, topic)?;
        let url = "`http://host[:port][/path]` without a slash at the end";
        let shown = without_password(&registry.url, &registry.url);
        require(is_http_url(&registry.url), "registry.url", &shown, url)?;
        let url = "`redis://[user:password@]host[:port][/database]`";
        let is_redis = Dialer::new(redis.url.expose()).is_ok();
        require(is_redis, "redis.url", Secret::SHOWN, url)?;
        require(!mysql.host.is_empty(), "mysql.host", "", "a host name or address")?;
        require(mysql.port != 0, "mysql.port", "0", "1 to 65535")?;
        require(!mysql.user.is_empty(), "mysql.user", "", "a user's name")?;
        require(!mysql.database.is_empty(), "mysql.database", "", "a database's name")?;
        if let Some(Connect { url, connector }) = &self.connect {
            let allowed = "http://host:port without a slash at the end";
            let is_plain = is_http_url(url) && url.starts_with("http://");
            require(is_plain, "connect.url", url, allowed)?;
            require(!connector.is_empty(), "connect.connector", "", "a connector's name")?;
        }
        require(!state.dir.as_os_str().is_empty(), "state.dir", "", "a folder")?;
        let (records, seconds) = (state.checkpoint_records, state.checkpoint_interval_seconds);
        within("state.checkpoint_records", records, 1..=1_000_000_000, "records")?;
        within("state.checkpoint_interval_seconds", seconds, 1..=86_400, "seconds")?;
        let (percent, rows) = (verify.load_percent_max, verify.rows_per_second_max);
        within("verify.load_percent_max", percent, 1..=100, "percent")?;
        within("verify.rows_per_second_max", rows, 1..=1_000_000, "documents a second")?;
        within("verify.events_max", verify.events_max, 0..=1_000_000_000, "events")?;
        limits.validate()
    }
}

impl Redis {
    /// Host and port without credentials, for messages.
    pub fn address(&self) -> String {
        let dialer = Dialer::new(self.url.expose());
        dialer.map_or_else(|_| Secret::SHOWN.to_owned(), |dialer| dialer.address().to_owned())
    }
}

impl Kafka {
    /// The topic of a captured table.
    pub fn table_topic(&self, database: &str, table: &str) -> String {
        format!("{}.{database}.{table}", self.topic_prefix)
    }

    /// The topic of transaction boundaries.
    pub fn transaction_topic(&self) -> String {
        format!("{}.transaction", self.topic_prefix)
    }

    /// The topic by which Debezium takes signals.
    pub fn signal_topic(&self) -> String {
        format!("{}.signals", self.topic_prefix)
    }

    /// The topic of the rows that tell what the server has executed.
    pub fn heartbeat_topic(&self, database: &str) -> String {
        self.table_topic(database, HEARTBEAT_TABLE)
    }

    /// The topic of statements that changed tables.
    pub fn schema_change_topic(&self) -> String {
        self.topic_prefix.clone()
    }

    /// The topic of Debezium's notifications, which say when a snapshot is complete.
    pub fn notification_topic(&self) -> String {
        format!("{}.notifications", self.topic_prefix)
    }
}

impl Default for Pipeline {
    fn default() -> Pipeline {
        Pipeline {
            name: "shop".to_owned(),
            tables: "sql/schema.sql".into(),
            streams: None,
            views: "sql/views".into(),
        }
    }
}

impl Default for State {
    fn default() -> State {
        State {
            dir: ".local/state".into(),
            checkpoint_records: 100_000,
            checkpoint_interval_seconds: 60,
        }
    }
}

impl Default for Verify {
    fn default() -> Verify {
        Verify {
            background: false,
            load_percent_max: 5,
            rows_per_second_max: 1000,
            events_max: 1_000_000,
        }
    }
}

impl Default for Api {
    fn default() -> Api {
        Api { listen: SocketAddr::from(([127, 0, 0, 1], 8001)) }
    }
}

/// A value that is not allowed, before it is known where it was given.
struct Problem {
    key: &'static str,
    given: String,
    allowed: String,
}

fn require(holds: bool, key: &'static str, given: &str, allowed: &str) -> Result<(), Problem> {
    if holds {
        return Ok(());
    }
    let given = if given == Secret::SHOWN { given.to_owned() } else { format!("`{given}`") };
    Err(Problem { key, given, allowed: allowed.to_owned() })
}

fn are_brokers(text: &str) -> bool {
    text.split(',').all(|broker| {
        broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
        })
    })
}

fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_plain = |rest: &str| !rest.contains([' ', '?', '#']);
    rest.is_some_and(|r| !r.is_empty() && !r.starts_with('/') && !r.ends_with('/') && is_plain(r))
}

fn default_topic_prefix() -> String {
    "mysql".to_owned()
}

fn default_dead_letter_topic() -> String {
    "viewtide.dead-letters".to_owned()
}

fn default_command_topic() -> String {
    "viewtide.commands".to_owned()
}

fn default_mysql_host() -> String {
    "127.0.0.1".to_owned()
}

fn default_mysql_port() -> u16 {
    3306
}

#[cfg(test)]
mod tests;
