//! `viewtide dlq`: what could not be read, what it leaves stale, and what to do about it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::commands::Commands;
use super::letters::{self, Coordinates};
use super::print::{self, Line, State};
use super::{OperateError, Progress};
use crate::config::Config;
use crate::keyspace::StaleRow;
use crate::sink::Meta;
use crate::source::command::Order;
use crate::source::dead_letters::DeadLetter;
use crate::sql::plan::{Plan, TableSource};

/// Which dead letters to list.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of this topic alone.
    pub topic: Option<String>,
    /// Put aside since then.
    pub since: Option<Since>,
    /// Only those whose rows are stale.
    pub open: bool,
    /// The first ones first.
    pub oldest_first: bool,
    /// So many at most.
    pub limit: usize,
}

/// A point in time, given as `90s`, `15m`, `2h`, `3d` before now or in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Milliseconds since 1970.
    pub ms: i64,
}

/// Which dead letters to settle.
#[derive(Clone, Debug)]
pub enum Choice {
    /// These.
    These(Vec<Coordinates>),
    /// All whose rows are stale, or those of one topic.
    Open {
        /// The topic.
        topic: Option<String>,
    },
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Since, String> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Since { ms: at.as_millisecond() });
        }
        let split = text.len().saturating_sub(1);
        let seconds = match text.get(split..) {
            Some("s") => 1,
            Some("m") => 60,
            Some("h") => 3600,
            Some("d") => 86_400,
            _ => 0,
        };
        let number = text.get(..split).and_then(|number| number.parse::<i64>().ok());
        match number.and_then(|number| number.checked_mul(seconds * 1000)) {
            Some(back) if seconds > 0 && back >= 0 => Ok(Since { ms: now_ms() - back }),
            _ => Err("allowed: 90s, 15m, 2h, 3d, or a time as 2026-11-21T10:00:00Z".to_owned()),
        }
    }
}

/// Lists dead letters of the topics that the pipeline reads, each once.
///
/// # Errors
/// Kafka or Redis that cannot be asked.
pub async fn list(
    config: &Config,
    plan: &Plan,
    filter: &Filter,
    json: bool,
    out: &mut impl Write,
) -> Result<(), OperateError> {
    let meta = Progress::new(config, plan)?.meta().await?;
    let topics = topics(config, plan);
    let mut lines = Vec::new();
    let mut seen = HashSet::new();
    tokio::task::block_in_place(|| {
        letters::visit(config, !filter.oldest_first, |letter| {
            let place = Coordinates::of(&letter);
            let is_older = |since: Since| letter.put_aside_ms.is_some_and(|ms| ms < since.ms);
            if filter.since.is_some_and(is_older) {
                return filter.oldest_first;
            }
            let topic = &place.partition.topic;
            let wanted = match &filter.topic {
                Some(wanted) => wanted == topic,
                None => topics.contains(topic),
            };
            let state = State::of(&meta, &place);
            if wanted
                && (!filter.open || matches!(state, State::Open(_)))
                && seen.insert(place.clone())
            {
                lines.push(Line { place, state, letter: without_body(letter) });
            }
            lines.len() < filter.limit
        })
    })?;
    print::list(&lines, &meta, &topics, json, out)?;
    Ok(())
}

/// Shows one dead letter; `all` of its bytes, however many.
///
/// # Errors
/// There is none of a record at this place; Kafka or Redis that cannot be asked.
pub async fn show(
    config: &Config,
    plan: &Plan,
    place: &Coordinates,
    all: bool,
    json: bool,
    out: &mut impl Write,
) -> Result<(), OperateError> {
    let meta = Progress::new(config, plan)?.meta().await?;
    let wanted = BTreeSet::from([place.clone()]);
    let letter = find(config, &wanted)?.remove(place).ok_or_else(|| no_letter(config, place))?;
    let line = Line { place: place.clone(), state: State::of(&meta, place), letter };
    print::show(&line, all, json, out)?;
    Ok(())
}

/// Has dead letters decoded again and applied in their places; whether none of their rows is stale
/// any more.
///
/// # Errors
/// There is no such dead letter, or one is too large; Kafka or Redis that cannot be asked.
pub async fn replay(
    config: &Config,
    plan: &Plan,
    choice: &Choice,
    patience: Duration,
    out: &mut impl Write,
) -> Result<bool, OperateError> {
    let order = |letter: DeadLetter| Order::Replay {
        letter: letter.place,
        key: letter.key,
        value: letter.value,
    };
    settle(config, plan, choice, patience, out, order).await
}

/// Says of dead letters that nothing is to be done about them; whether none of their rows is stale
/// any more.
///
/// # Errors
/// There is no such dead letter; Kafka or Redis that cannot be asked.
pub async fn drop(
    config: &Config,
    plan: &Plan,
    choice: &Choice,
    patience: Duration,
    out: &mut impl Write,
) -> Result<bool, OperateError> {
    let order = |letter: DeadLetter| Order::Drop { letter: letter.place };
    settle(config, plan, choice, patience, out, order).await
}

/// Writes a command for each letter and tells what came of it.
async fn settle(
    config: &Config,
    plan: &Plan,
    choice: &Choice,
    patience: Duration,
    out: &mut impl Write,
    order: impl Fn(DeadLetter) -> Order,
) -> Result<bool, OperateError> {
    let mut progress = Progress::new(config, plan)?;
    let before = progress.meta().await?;
    let places = match choice {
        Choice::These(places) => places.iter().cloned().collect(),
        Choice::Open { topic } => open_places(&before, topic.as_deref()),
    };
    let mut commands = Commands::open(config).await?;
    // In portions, so that never more than these lie in memory with all their bytes.
    let mut rest: Vec<&Coordinates> = places.iter().collect();
    while !rest.is_empty() {
        let portion: BTreeSet<Coordinates> =
            rest.drain(..rest.len().min(PORTION)).cloned().collect();
        let mut found = find(config, &portion)?;
        for place in &portion {
            let letter = found.remove(place).ok_or_else(|| no_letter(config, place))?;
            if !commands.write(&order(letter)).await? {
                return Err(OperateError::TooLarge { coordinates: place.clone() });
            }
        }
    }
    if places.is_empty() {
        writeln!(out, "no row is stale: there is nothing to do")?;
        return Ok(true);
    }
    let Some(after) = commands.obeyed(&mut progress, patience).await? else {
        let seconds = patience.as_secs();
        writeln!(
            out,
            "written, but pipeline {} has not obeyed within {seconds} s; it will when it runs and has read that far",
            config.pipeline.name
        )?;
        return Ok(false);
    };
    let mut all = true;
    for place in &places {
        let state = State::of(&after, place);
        all &= !matches!(state, State::Open(_));
        print::outcome(place, &State::of(&before, place), &state, out)?;
    }
    Ok(all)
}

/// Letters held in memory at once.
const PORTION: usize = 16;

/// The letters of records at these places; those that are not there are left out.
fn find(
    config: &Config,
    places: &BTreeSet<Coordinates>,
) -> Result<BTreeMap<Coordinates, DeadLetter>, OperateError> {
    let mut found = BTreeMap::new();
    tokio::task::block_in_place(|| {
        letters::visit(config, true, |letter| {
            let place = Coordinates::of(&letter);
            if places.contains(&place) {
                found.insert(place, letter);
            }
            found.len() < places.len()
        })
    })?;
    Ok(found)
}

fn open_places(meta: &Meta, topic: Option<&str>) -> BTreeSet<Coordinates> {
    let place = |(partition, offset): &(_, i64)| Coordinates {
        partition: Clone::clone(partition),
        offset: *offset,
    };
    let wanted = |place: &Coordinates| topic.is_none_or(|topic| topic == place.partition.topic);
    meta.stale_rows.keys().map(place).filter(wanted).collect()
}

fn no_letter(config: &Config, place: &Coordinates) -> OperateError {
    let topic = config.kafka.dead_letter_topic.clone();
    OperateError::NoLetter { topic, coordinates: place.clone() }
}

/// Every topic that the pipeline reads: several pipelines may share one dead-letter topic.
fn topics(config: &Config, plan: &Plan) -> BTreeSet<String> {
    let kafka = &config.kafka;
    let rows = plan.tables.iter().map(|table| match &table.source {
        TableSource::Captured => kafka.table_topic(&config.mysql.database, &table.name),
        TableSource::Stream(stream) => stream.topic.clone(),
    });
    let others = [
        kafka.transaction_topic(),
        kafka.notification_topic(),
        kafka.heartbeat_topic(&config.mysql.database),
        kafka.command_topic.clone(),
    ];
    rows.chain(others).collect()
}

/// A list needs no bytes.
fn without_body(letter: DeadLetter) -> DeadLetter {
    DeadLetter { headers: Vec::new(), key: None, value: None, ..letter }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// A row for people: `orders 17`.
pub(super) fn row_text(row: &StaleRow) -> String {
    match &row.key {
        Some(key) => format!("{} {}", row.table, key.join(",")),
        None => format!("{} (unknown row)", row.table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_before_now_or_in_full() {
        assert_eq!("2026-11-21T10:00:00Z".parse::<Since>(), Ok(Since { ms: 1_795_255_200_000 }));
        for (text, seconds) in [("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 259_200)] {
            let back = now_ms() - text.parse::<Since>().unwrap().ms;
            assert!((seconds * 1000..seconds * 1000 + 60_000).contains(&back), "{text}");
        }
        for text in ["", "h", "-1h", "1w", "99999999999999999d", "ä"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
