//! Kafka: every topic that the pipeline reads, with the partitions, retention and sizes it needs.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Finding, PROBE_WAIT, counted};
use crate::config::Config;
use crate::sql::plan::{Plan, TableSource};

const PART: &str = "kafka";
/// How long a broker may take to accept a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// A topic that the pipeline reads.
struct Topic {
    name: String,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A table's changes, written by Debezium from its first row on: one partition.
    Captured,
    /// Transactions and notifications, written by Debezium: one partition.
    Progress,
    /// Statements that changed tables, written by Debezium: one partition.
    SchemaChanges,
    /// Events: the record itself, any number of partitions.
    Events,
    /// What operators ask of the pipeline: one partition.
    Commands,
}

/// What the brokers say of a topic.
struct Found {
    /// Low watermark of each partition.
    begins: Vec<i64>,
    /// Its configuration.
    settings: HashMap<String, String>,
}

pub(super) async fn probe(config: &Config, plan: &Plan) -> Vec<Finding> {
    let topics = topics(config, plan);
    let brokers = &config.kafka.brokers;
    // The system says more plainly than the client library why there is no connection.
    if let Err(reason) = connect_to_any(brokers).await {
        let text = format!("{reason}: start it, or correct kafka.brokers");
        return vec![Finding::fail(PART, text)];
    }
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let client = client(brokers);
    let asked = {
        let (client, names) = (client.clone(), names.clone());
        tokio::task::spawn_blocking(move || ask_partitions(&client, &names))
    };
    let partitions = match timeout(PROBE_WAIT * 2, asked).await {
        Ok(Ok(Ok(partitions))) => partitions,
        Ok(Ok(Err(reason))) => {
            let text =
                format!("{brokers} does not answer ({reason}): start it, or correct kafka.brokers");
            return vec![Finding::fail(PART, text)];
        }
        _ => return vec![Finding::fail(PART, format!("{brokers} does not answer within 5 s"))],
    };
    let mut findings = vec![Finding::ok(PART, format!("{brokers} answers"))];
    let mut settings = match ask_settings(&client, &names, &partitions).await {
        Ok(settings) => settings,
        Err(reason) => {
            let text = format!("does not tell how topics are configured ({reason}): not checked");
            findings.push(Finding::warn(PART, text));
            HashMap::new()
        }
    };
    for topic in &topics {
        let found = partitions.get(&topic.name).map(|begins| Found {
            begins: begins.clone(),
            settings: settings.remove(&topic.name).unwrap_or_default(),
        });
        findings.extend(judge(topic, found.as_ref(), config.limits.record_bytes_max));
    }
    findings
}

/// Whether one of the brokers accepts a connection; why the last does not.
async fn connect_to_any(brokers: &str) -> Result<(), String> {
    let mut reason = String::new();
    for broker in brokers.split(',').map(str::trim) {
        match timeout(CONNECT_WAIT, TcpStream::connect(broker)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => reason = format!("{broker}: {error}"),
            Err(_) => reason = format!("{broker} does not answer within 2 s"),
        }
    }
    Err(reason)
}

fn topics(config: &Config, plan: &Plan) -> Vec<Topic> {
    let topic = |name: String, role: Role| Topic { name, role };
    let mut topics: Vec<Topic> = plan
        .tables
        .iter()
        .map(|table| match &table.source {
            TableSource::Captured => {
                let name = config.kafka.table_topic(&config.mysql.database, &table.name);
                topic(name, Role::Captured)
            }
            TableSource::Stream(stream) => topic(stream.topic.clone(), Role::Events),
        })
        .collect();
    if topics.iter().any(|topic| topic.role == Role::Captured) {
        topics.push(topic(config.kafka.transaction_topic(), Role::Progress));
        topics.push(topic(config.kafka.notification_topic(), Role::Progress));
        topics.push(topic(config.kafka.schema_change_topic(), Role::SchemaChanges));
    }
    topics.push(topic(config.kafka.command_topic.clone(), Role::Commands));
    topics
}

fn client(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).set("group.id", "viewtide-check");
    client.set("enable.auto.commit", "false").set("log_level", "0");
    client
}

/// Each partition's low watermark, by topic; topics that do not exist are left out.
fn ask_partitions(
    client: &ClientConfig,
    names: &[String],
) -> Result<HashMap<String, Vec<i64>>, String> {
    let consumer: BaseConsumer = client.create().map_err(|error| error.to_string())?;
    let metadata = consumer.fetch_metadata(None, PROBE_WAIT).map_err(|error| error.to_string())?;
    let mut topics = HashMap::new();
    for topic in metadata.topics().iter().filter(|topic| names.iter().any(|n| n == topic.name())) {
        let mut begins = Vec::new();
        for partition in topic.partitions() {
            let (low, _) = consumer
                .fetch_watermarks(topic.name(), partition.id(), PROBE_WAIT)
                .map_err(|error| error.to_string())?;
            begins.push(low);
        }
        topics.insert(topic.name().to_owned(), begins);
    }
    Ok(topics)
}

/// The configuration of each topic that exists.
async fn ask_settings(
    client: &ClientConfig,
    names: &[String],
    existing: &HashMap<String, Vec<i64>>,
) -> Result<HashMap<String, HashMap<String, String>>, String> {
    let admin: AdminClient<DefaultClientContext> =
        client.create().map_err(|error| error.to_string())?;
    let specifiers: Vec<ResourceSpecifier<'_>> = names
        .iter()
        .filter(|name| existing.contains_key(*name))
        .map(|name| ResourceSpecifier::Topic(name))
        .collect();
    if specifiers.is_empty() {
        return Ok(HashMap::new());
    }
    let options = AdminOptions::new().request_timeout(Some(PROBE_WAIT));
    let answers = timeout(PROBE_WAIT, admin.describe_configs(&specifiers, &options));
    let answers = answers.await.map_err(|_| "no answer within 5 s".to_owned())?;
    let resources: Vec<ConfigResource> = answers
        .map_err(|error| error.to_string())?
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|code| code.to_string())?;
    Ok(resources
        .into_iter()
        .filter_map(|resource| match resource.specifier {
            rdkafka::admin::OwnedResourceSpecifier::Topic(name) => {
                let entry = |entry: rdkafka::admin::ConfigEntry| Some((entry.name, entry.value?));
                Some((name, resource.entries.into_iter().filter_map(entry).collect()))
            }
            _ => None,
        })
        .collect())
}

fn judge(topic: &Topic, found: Option<&Found>, record_bytes_max: u64) -> Vec<Finding> {
    let name = &topic.name;
    let Some(found) = found else {
        let mend = match topic.role {
            Role::Captured => {
                let text = format!(
                    "topic {name} does not exist: it comes with the table's first row; if there are rows, check that the connector captures this table, and that its snapshot is done"
                );
                return vec![Finding::warn(PART, text)];
            }
            Role::Progress => {
                "check that the connector runs, and that topic.prefix, provide.transaction.metadata and notification.sink.topic.name are set"
            }
            Role::Events => "create it",
            Role::SchemaChanges => {
                let text = format!(
                    "topic {name} does not exist: what DDL changes without row events goes unnoticed; set include.schema.changes=true in the connector"
                );
                return vec![Finding::warn(PART, text)];
            }
            Role::Commands => {
                let text = format!(
                    "topic {name} does not exist: the first command makes it; better create it now, with one partition and retention.ms=-1"
                );
                return vec![Finding::warn(PART, text)];
            }
        };
        return vec![Finding::fail(PART, format!("topic {name} does not exist: {mend}"))];
    };
    let mut findings = Vec::new();
    let partitions = found.begins.len();
    if topic.role != Role::Events && partitions != 1 {
        let text = format!(
            "topic {name} has {partitions} partitions, and the order of its changes is lost: re-create it with one and take a new snapshot"
        );
        findings.push(Finding::fail(PART, text));
    }
    if found.begins.iter().any(|begin| *begin > 0) {
        let what = match topic.role {
            Role::Captured | Role::Progress | Role::SchemaChanges => {
                "a pipeline that starts without its state has the tables read anew"
            }
            Role::Events | Role::Commands => {
                "a pipeline that starts without its state ends with an error; set retention.ms=-1"
            }
        };
        let text = format!("topic {name} has lost its oldest records: {what}");
        findings.push(Finding::warn(PART, text));
    }
    findings.extend(judge_settings(topic, &found.settings, record_bytes_max));
    if findings.is_empty() {
        let partitions = counted(partitions, "partition");
        findings.push(Finding::ok(PART, format!("topic {name}, {partitions}")));
    }
    findings
}

fn judge_settings(
    topic: &Topic,
    settings: &HashMap<String, String>,
    record_bytes_max: u64,
) -> Vec<Finding> {
    let name = &topic.name;
    let setting = |key: &str| settings.get(key).map(String::as_str);
    let mut findings = Vec::new();
    if setting("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        let text = format!(
            "topic {name} is compacted: TRUNCATE stops the connector and history is lost; set cleanup.policy=delete"
        );
        findings.push(Finding::fail(PART, text));
    }
    for key in ["retention.ms", "retention.bytes"] {
        let Some(value) = setting(key).filter(|value| *value != "-1") else { continue };
        let why = match topic.role {
            Role::Captured | Role::Progress | Role::SchemaChanges => {
                let text = format!(
                    "topic {name} forgets ({key}={value}): let it keep more than the longest time that viewtide may be away, or all tables are read anew"
                );
                findings.push(Finding::warn(PART, text));
                continue;
            }
            Role::Events => "events exist nowhere else",
            Role::Commands => "a restart without state repeats all commands",
        };
        let text = format!("topic {name} forgets ({key}={value}), and {why}: set {key}=-1");
        findings.push(Finding::warn(PART, text));
    }
    let largest = setting("max.message.bytes").and_then(|bytes| bytes.parse::<u64>().ok());
    if largest.is_some_and(|bytes| bytes > record_bytes_max) {
        let text = format!(
            "topic {name} takes records of {} bytes, limits.record_bytes_max is {record_bytes_max}: set both to the same",
            largest.unwrap_or(0)
        );
        findings.push(Finding::warn(PART, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn topic(role: Role) -> Topic {
        Topic { name: "t".to_owned(), role }
    }

    fn found(begins: &[i64], settings: &[(&str, &str)]) -> Found {
        let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        Found { begins: begins.to_vec(), settings: settings.iter().map(owned).collect() }
    }

    fn levels(role: Role, found: Option<&Found>) -> Vec<Level> {
        judge(&topic(role), found, 1000).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn topics_are_judged_by_their_role() {
        let good =
            [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("max.message.bytes", "9")];
        assert_eq!(levels(Role::Captured, Some(&found(&[0], &good))), [Level::Ok]);
        assert_eq!(levels(Role::Events, Some(&found(&[0, 0, 0], &good))), [Level::Ok]);
        assert_eq!(levels(Role::Captured, Some(&found(&[0, 0], &good))), [Level::Fail]);
        // A table without rows has no topic yet, and its views are served all the same.
        assert_eq!(levels(Role::Captured, None), [Level::Warn]);
        assert_eq!(levels(Role::Progress, None), [Level::Fail]);
        assert_eq!(levels(Role::Progress, Some(&found(&[0, 0], &good))), [Level::Fail]);
        assert_eq!(levels(Role::Commands, Some(&found(&[0, 0], &good))), [Level::Fail]);
        assert_eq!(levels(Role::Commands, None), [Level::Warn]);
        assert_eq!(levels(Role::SchemaChanges, None), [Level::Warn]);
        assert_eq!(levels(Role::SchemaChanges, Some(&found(&[0, 0], &good))), [Level::Fail]);
        assert_eq!(levels(Role::Events, Some(&found(&[3], &good))), [Level::Warn]);
        for (setting, want) in [
            (("cleanup.policy", "compact,delete"), Level::Fail),
            (("retention.ms", "604800000"), Level::Warn),
            (("retention.bytes", "1"), Level::Warn),
            (("max.message.bytes", "1001"), Level::Warn),
        ] {
            assert_eq!(levels(Role::Events, Some(&found(&[0], &[setting]))), [want]);
        }
    }
}
