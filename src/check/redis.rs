//! Redis: the right service, new enough, that neither evicts nor forgets; and what it holds of the
//! views.

use std::collections::HashMap;

use tokio::time::timeout;

use super::{Finding, PROBE_WAIT};
use crate::config::Config;
use crate::dial::Dialer;
use crate::keyspace::Keyspace;
use crate::sink::{Meta, Sink};
use crate::sql::go_on_answering;
use crate::sql::plan::Plan;

const PART: &str = "redis";
/// The oldest version whose scripts refuse a step as a whole when memory is full.
const VERSION_MIN: u32 = 7;

pub(super) async fn probe(config: &Config, plan: &Plan) -> Vec<Finding> {
    match timeout(PROBE_WAIT, ask(config, plan)).await {
        Ok(Ok((info, meta))) => {
            let mut findings = judge(&config.redis.address(), &info);
            findings.extend(meta.iter().flat_map(|meta| views(plan, meta)));
            findings.extend(meta.iter().flat_map(|meta| switched(plan, meta)));
            findings
        }
        Ok(Err(text)) => vec![Finding::fail(PART, text)],
        Err(_) => {
            let address = config.redis.address();
            vec![Finding::fail(PART, format!("{address} does not answer within 5 s"))]
        }
    }
}

/// The fields of INFO, and what a pipeline has told if that can be read; or what to tell.
async fn ask(config: &Config, plan: &Plan) -> Result<(String, Option<Meta>), String> {
    let dialer = Dialer::new(config.redis.url.expose()).map_err(|error| error.to_string())?;
    let mut connection = dialer.connect(PROBE_WAIT).await.map_err(|error| error.to_string())?;
    let info = redis::cmd("INFO").query_async(&mut connection).await;
    let info = info.map_err(|error| format!("{} refuses INFO: {error}", dialer.address()))?;
    let mut sink = Sink::new(dialer, &Keyspace::new(&config.pipeline.name), plan);
    Ok((info, sink.read_meta().await.ok()))
}

/// Views of which readers see something else than what they are defined to be.
fn views(plan: &Plan, meta: &Meta) -> Vec<Finding> {
    let mut findings = Vec::new();
    for view in &plan.views {
        let Some(held) = meta.views.get(&view.name) else { continue };
        let name = &view.name;
        match (&held.current, &held.next) {
            (Some(_), Some(_)) => findings.push(Finding::warn(
                PART,
                format!("view {name} is being filled anew; until then readers see what was there"),
            )),
            (None, Some(_)) => {
                findings.push(Finding::warn(PART, format!("view {name} is being filled")));
            }
            (Some(current), None) if current.fingerprint != view.fingerprint => {
                let text = format!(
                    "view {name} holds documents of another definition: SIGHUP to the pipeline, or its next start, fills it anew"
                );
                findings.push(Finding::warn(PART, text));
            }
            _ => {}
        }
    }
    findings
}

/// Names of which readers get another view's documents.
fn switched(plan: &Plan, meta: &Meta) -> Vec<Finding> {
    let finding = |(name, view): (&String, &String)| match go_on_answering(plan, &meta.served) {
        Err(lost) if lost.name == *name => Finding::fail(PART, lost.to_string()),
        _ => Finding::ok(PART, format!("readers of {name} get the documents of view {view}")),
    };
    meta.served.iter().map(finding).collect()
}

fn judge(address: &str, info: &str) -> Vec<Finding> {
    let fields: HashMap<&str, &str> =
        info.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or("");
    let version = field("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    let mut findings = Vec::new();
    if major.is_none_or(|major| major < VERSION_MIN) {
        findings.push(Finding::fail(
            PART,
            format!("{address} is version {version}: install version {VERSION_MIN} or later"),
        ));
    } else {
        findings.push(Finding::ok(PART, format!("{address} answers, version {version}")));
    }
    if field("role") == "slave" {
        let text = "is a replica and takes no writes: point redis.url at the primary";
        findings.push(Finding::fail(PART, text));
    }
    if field("cluster_enabled") == "1" {
        let text = "runs in cluster mode, which is not supported: use a single primary";
        findings.push(Finding::fail(PART, text));
    }
    let policy = field("maxmemory_policy");
    if policy != "noeviction" && field("maxmemory") != "0" {
        findings.push(Finding::fail(
            PART,
            format!("evicts documents when memory is full (maxmemory-policy {policy}): set maxmemory-policy noeviction"),
        ));
    } else if policy != "noeviction" {
        findings.push(Finding::warn(
            PART,
            format!("maxmemory-policy is {policy}, and would evict documents once maxmemory is set: set noeviction"),
        ));
    }
    if field("aof_enabled") == "0" {
        let text = "keeps no append-only file: what a restart loses is filled again from the topics, which takes its time; set appendonly yes";
        findings.push(Finding::warn(PART, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nmaxmemory:0\r\n\
        maxmemory_policy:noeviction\r\naof_enabled:1\r\ncluster_enabled:0\r\n";

    #[test]
    fn each_trouble_is_told() {
        let levels = |info: &str| judge("h:1", info).iter().map(|f| f.level).collect::<Vec<_>>();
        assert_eq!(levels(GOOD), [Level::Ok]);
        for (from, to, want) in [
            ("7.0.15", "6.2.1", vec![Level::Fail]),
            ("role:master", "role:slave", vec![Level::Ok, Level::Fail]),
            ("noeviction", "allkeys-lru", vec![Level::Ok, Level::Warn]),
            ("aof_enabled:1", "aof_enabled:0", vec![Level::Ok, Level::Warn]),
            ("cluster_enabled:0", "cluster_enabled:1", vec![Level::Ok, Level::Fail]),
        ] {
            assert_eq!(levels(&GOOD.replace(from, to)), want, "{to}");
        }
        let evicting =
            GOOD.replace("noeviction", "allkeys-lru").replace("maxmemory:0", "maxmemory:9");
        assert_eq!(levels(&evicting), [Level::Ok, Level::Fail]);
    }
}
