//! The COMMENT of a stream declaration: `topic=order_updates; format=json; timestamps=seconds`.

use super::error::listed;
use super::plan::{Stream, TimestampUnit};

const OPTIONS: [&str; 3] = ["topic", "format", "timestamps"];

/// Reads a stream's COMMENT. `instants`: whether the table has columns that need a unit.
pub(super) fn options(
    comment: Option<&str>,
    instants: bool,
    table: &str,
) -> Result<Stream, String> {
    let example = "write COMMENT 'topic=NAME; format=json; timestamps=seconds'";
    let comment = comment.ok_or_else(|| {
        format!("stream `{table}` has no COMMENT that names its topic: {example}")
    })?;
    let (mut topic, mut format, mut timestamps) = (None, None, None);
    for option in comment.split(';').map(str::trim).filter(|option| !option.is_empty()) {
        let (name, value) =
            option.split_once('=').map(|(name, value)| (name.trim(), value.trim())).ok_or_else(
                || format!("`{option}` in the COMMENT of stream `{table}` is no option: {example}"),
            )?;
        let slot = match name {
            "topic" => &mut topic,
            "format" => &mut format,
            "timestamps" => &mut timestamps,
            _ => {
                let known = listed(OPTIONS);
                return Err(format!(
                    "stream `{table}` has an unknown option `{name}`: there are {known}"
                ));
            }
        };
        if slot.replace(value).is_some() {
            return Err(format!("stream `{table}` has the option `{name}` twice: remove one"));
        }
    }
    let topic = topic
        .filter(|topic| !topic.is_empty())
        .ok_or_else(|| format!("the COMMENT of stream `{table}` names no topic: {example}"))?;
    match format {
        Some("json") => {}
        Some(other) => {
            return Err(format!("stream `{table}` has format `{other}`: only `json` is read"));
        }
        None => return Err(format!("the COMMENT of stream `{table}` names no format: {example}")),
    }
    let timestamps = match timestamps {
        Some("seconds") => TimestampUnit::Seconds,
        Some("milliseconds") => TimestampUnit::Milliseconds,
        Some("microseconds") => TimestampUnit::Microseconds,
        Some(other) => {
            let units = listed(["seconds", "milliseconds", "microseconds"]);
            return Err(format!(
                "stream `{table}` counts timestamps in `{other}`: the units are {units}"
            ));
        }
        None if instants => {
            return Err(format!(
                "the COMMENT of stream `{table}` does not say the unit of its timestamps: {example}"
            ));
        }
        None => TimestampUnit::Seconds,
    };
    Ok(Stream { topic: topic.to_owned(), timestamps })
}
