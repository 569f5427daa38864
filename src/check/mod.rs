//! `viewtide check`: what is wrong with the configuration, the views and every connection, and how
//! to mend it.
//!
//! Each finding is one line. No probe waits longer than [`PROBE_WAIT`], all go side by side, and
//! nothing is changed anywhere.

mod connect;
mod kafka;
mod mysql;
mod redis;
mod registry;
mod tables;

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use crate::config::Config;
use crate::source::is_carried;
use crate::sql::plan::Plan;
use crate::sql::{self, Catalog, Definitions};

pub use tables::{WriteError, write_tables};

/// How long one probe may take.
pub const PROBE_WAIT: Duration = Duration::from_secs(5);

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but not as well or as safely as it should.
    Warn,
    /// Does not work.
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// What it is about, as `kafka`.
    pub part: &'static str,
    /// What is so, and how to mend it.
    pub text: String,
}

impl Finding {
    fn ok(part: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, part, text: text.into() }
    }

    fn warn(part: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Warn, part, text: text.into() }
    }

    fn fail(part: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, part, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        write!(f, "{level:<5} {:<9} {}", self.part, self.text)
    }
}

/// Checks everything and writes a line for each finding; whether nothing failed.
///
/// # Errors
/// A report that cannot be written.
pub async fn check(config: &Config, out: &mut (impl Write + Send)) -> io::Result<bool> {
    let (catalog, plan, mut findings) = views(config);
    if let Some(Err(unfit)) = plan.as_ref().map(|plan| is_carried(plan, config.source.format)) {
        findings.push(Finding::fail("source", unfit.to_string()));
    }
    let empty = (Catalog::default(), Plan::default());
    let (catalog, plan) = (catalog.as_ref().unwrap_or(&empty.0), plan.as_ref().unwrap_or(&empty.1));
    let (redis, kafka, registry, mysql, connect) = tokio::join!(
        redis::probe(config, plan),
        kafka::probe(config, plan),
        registry::probe(config),
        mysql::probe(config, catalog, plan),
        connect::probe(config),
    );
    findings.extend([redis, kafka, registry, mysql, connect].into_iter().flatten());
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    out.flush()?;
    Ok(findings.iter().all(|finding| finding.level != Level::Fail))
}

/// Reads and plans the views.
fn views(config: &Config) -> (Option<Catalog>, Option<Plan>, Vec<Finding>) {
    let definitions: Definitions = match config.definitions() {
        Ok(definitions) => definitions,
        Err(error) => return (None, None, vec![Finding::fail("views", error.to_string())]),
    };
    let catalog = match sql::read_catalog(&definitions) {
        Ok(catalog) => catalog,
        Err(error) => return (None, None, vec![Finding::fail("views", error.to_string())]),
    };
    match sql::plan_or_refusals(&definitions) {
        Ok(plan) => {
            let (views, tables) = (plan.views.len(), plan.tables.len());
            let text = format!("{} over {}", counted(views, "view"), counted(tables, "table"));
            (Some(catalog), Some(plan), vec![Finding::ok("views", text)])
        }
        Err(refused) => {
            let finding = |error: &sql::PlanError| Finding::fail("views", error.to_string());
            (Some(catalog), None, refused.iter().map(finding).collect())
        }
    }
}

/// What the server or the system said, without the library's wrapping.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines() {
        for (finding, want) in [
            (Finding::ok("redis", "answers"), "ok    redis     answers"),
            (Finding::warn("kafka", "x"), "warn  kafka     x"),
            (Finding::fail("registry", "y"), "FAIL  registry  y"),
        ] {
            assert_eq!(finding.to_string(), want);
        }
    }
}
