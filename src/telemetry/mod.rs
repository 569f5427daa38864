//! What a running pipeline tells about itself: log lines, [`Metrics`] and [`Readiness`].
//!
//! All three are handed to the parts as parameters; there is no global but the log.

mod metrics;
mod readiness;

use std::env;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

pub use metrics::{DIFFERENCES, Metrics, Part};
pub use readiness::Readiness;

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A filter that is none.
    #[error(
        "environment variable {variable} is `{given}`: {reason}; allowed: error, warn, info, debug, trace, or module=level with commas between"
    )]
    Filter {
        /// VIEWTIDE_LOG or RUST_LOG.
        variable: &'static str,
        /// Its value.
        given: String,
        /// Why it is no filter.
        reason: String,
    },
    /// A format that is none.
    #[error("environment variable VIEWTIDE_LOG_FORMAT is `{0}`; allowed: text, json")]
    Format(String),
}

/// Starts logging to standard error. VIEWTIDE_LOG (or RUST_LOG) says what (`info` unless set),
/// VIEWTIDE_LOG_FORMAT whether as `text` or as `json`, one object a line.
///
/// # Errors
/// A variable that holds something else.
pub fn init() -> Result<(), LogError> {
    let filter = filter()?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match env::var("VIEWTIDE_LOG_FORMAT").as_deref() {
        Err(_) | Ok("" | "text") => log.with_ansi(io::stderr().is_terminal()).init(),
        Ok("json") => log.json().flatten_event(true).init(),
        Ok(other) => return Err(LogError::Format(other.to_owned())),
    }
    Ok(())
}

fn filter() -> Result<EnvFilter, LogError> {
    for variable in ["VIEWTIDE_LOG", "RUST_LOG"] {
        let Some(given) = env::var(variable).ok().filter(|given| !given.is_empty()) else {
            continue;
        };
        return EnvFilter::builder().parse(&given).map_err(|error| LogError::Filter {
            variable,
            given,
            reason: error.to_string(),
        });
    }
    Ok(EnvFilter::new("info"))
}
