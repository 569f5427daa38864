//! Dead letters for people, and as JSON for programs.

use std::collections::BTreeSet;
use std::io::{self, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::dlq::row_text;
use super::letters::Coordinates;
use crate::keyspace::StaleRow;
use crate::sink::Meta;
use crate::source::dead_letters::DeadLetter;

/// Bytes of a key or value that are shown unless all are wanted.
const SHOWN_BYTES: usize = 4096;

/// What a dead letter means to the documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its row keeps an older state.
    Open(StaleRow),
    /// The pipeline has not come to its place.
    Ahead,
    /// One of too many: its row may be stale.
    Unfollowed,
    /// It leaves nothing stale: superseded, replayed, dropped, or of no row.
    Settled,
}

/// A dead letter with what it means.
pub(super) struct Line {
    pub(super) place: Coordinates,
    pub(super) state: State,
    pub(super) letter: DeadLetter,
}

impl State {
    /// As Redis tells it.
    pub(super) fn of(meta: &Meta, place: &Coordinates) -> State {
        let Coordinates { partition, offset } = place;
        if let Some(row) = meta.stale_rows.get(&(partition.clone(), *offset)) {
            return State::Open(row.clone());
        }
        match (meta.positions.get(partition), meta.unfollowed.get(partition)) {
            (Some(at), _) if at.next_offset <= *offset => State::Ahead,
            (None, _) => State::Ahead,
            (_, Some(more)) if *offset >= more.from => State::Unfollowed,
            _ => State::Settled,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            State::Open(_) => "stale",
            State::Ahead => "ahead",
            State::Unfollowed => "unfollowed",
            State::Settled => "settled",
        }
    }

    fn row(&self) -> Option<&StaleRow> {
        match self {
            State::Open(row) => Some(row),
            _ => None,
        }
    }
}

/// A table of dead letters, and what is stale in all; or one JSON object a line.
pub(super) fn list(
    lines: &[Line],
    meta: &Meta,
    topics: &BTreeSet<String>,
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    if json {
        for line in lines {
            writeln!(out, "{}", summary(line))?;
        }
        return out.flush();
    }
    let mut cells = vec![["RECORD", "PUT ASIDE", "STATE", "ROW", "REASON"].map(str::to_owned)];
    for line in lines {
        let reason = one_line(&line.letter.reason);
        let reason = match line.state.row().and_then(|row| row.refused.as_deref()) {
            Some(refused) => format!("{reason} (replay refused: {})", one_line(refused)),
            None => reason,
        };
        cells.push([
            line.place.to_string(),
            time(line.letter.put_aside_ms),
            line.state.name().to_owned(),
            line.state.row().map(row_text).unwrap_or_default(),
            reason,
        ]);
    }
    let width =
        |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    if !lines.is_empty() {
        for row in &cells {
            for (cell, width) in row.iter().zip(widths) {
                write!(out, "{cell:width$}  ")?;
            }
            writeln!(out, "{}", row[4])?;
        }
    }
    for (partition, more) in meta.unfollowed.iter().filter(|(p, _)| topics.contains(&p.topic)) {
        writeln!(
            out,
            "{}: {} more from offset {} on are not followed row by row; read the table again",
            partition.topic, more.count, more.from
        )?;
    }
    let (shown, stale) = (lines.len(), meta.stale_rows.len());
    writeln!(out, "{shown} dead letters shown; stale in all: {stale}")?;
    out.flush()
}

/// One dead letter with its bytes.
pub(super) fn show(line: &Line, all: bool, json: bool, out: &mut impl Write) -> io::Result<()> {
    let DeadLetter { headers, key, value, .. } = &line.letter;
    if json {
        let base64 = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| BASE64_STANDARD.encode(b));
        let mut object = summary(line);
        let headers: Vec<Value> = headers
            .iter()
            .map(|(name, value)| json!({"name": name, "value": base64(value)}))
            .collect();
        object["headers"] = headers.into();
        object["key"] = json!({"schema": schema(key), "base64": base64(key)});
        object["value"] = json!({"schema": schema(value), "base64": base64(value)});
        writeln!(out, "{object}")?;
        return out.flush();
    }
    writeln!(out, "record     {}", line.place)?;
    writeln!(out, "state      {}", line.state.name())?;
    if let Some(row) = line.state.row() {
        writeln!(out, "row        {}", row_text(row))?;
        if let Some(refused) = &row.refused {
            writeln!(out, "refused    {}", one_line(refused))?;
        }
    }
    writeln!(out, "reason     {}", one_line(&line.letter.reason))?;
    writeln!(out, "written    {}", time(line.letter.written_ms))?;
    writeln!(out, "put aside  {}", time(line.letter.put_aside_ms))?;
    for (name, value) in headers {
        let value = value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        writeln!(out, "header     {}: {}", one_line(name), one_line(&value))?;
    }
    for (name, bytes) in [("key", key), ("value", value)] {
        let Some(bytes) = bytes else {
            writeln!(out, "{name}: none")?;
            continue;
        };
        write!(out, "{name}: {} bytes", bytes.len())?;
        if let Some(id) = schema(&Some(bytes.clone())) {
            write!(out, ", names schema {id}")?;
        }
        writeln!(out)?;
        let shown = &bytes[..if all { bytes.len() } else { bytes.len().min(SHOWN_BYTES) }];
        match std::str::from_utf8(shown).ok().filter(|text| is_plain(text)) {
            Some(text) => writeln!(out, "{text}")?,
            None => hex(shown, out)?,
        }
        if shown.len() < bytes.len() {
            writeln!(out, "… and {} bytes more (--all)", bytes.len() - shown.len())?;
        }
    }
    out.flush()
}

/// What came of a command about a dead letter.
pub(super) fn outcome(
    place: &Coordinates,
    before: &State,
    after: &State,
    out: &mut impl Write,
) -> io::Result<()> {
    match (before, after) {
        (_, State::Open(row)) => {
            let why = row.refused.as_deref().unwrap_or("another row than the command's");
            writeln!(out, "{place}: {} is still stale: {}", row_text(row), one_line(why))
        }
        (State::Open(row), _) => writeln!(out, "{place}: {} is no longer stale", row_text(row)),
        (State::Unfollowed, _) => {
            writeln!(out, "{place}: is one of too many; read its table again")
        }
        _ => writeln!(out, "{place}: was settled before; nothing changed"),
    }
}

fn summary(line: &Line) -> Value {
    let Line { place, state, letter } = line;
    json!({
        "record": place.to_string(),
        "topic": place.partition.topic,
        "partition": place.partition.number,
        "offset": place.offset,
        "state": state.name(),
        "table": state.row().map(|row| &row.table),
        "row": state.row().and_then(|row| row.key.as_ref()),
        "refused": state.row().and_then(|row| row.refused.as_ref()),
        "reason": letter.reason,
        "written": letter.written_ms.map(|ms| time(Some(ms))),
        "put_aside": letter.put_aside_ms.map(|ms| time(Some(ms))),
    })
}

/// The schema id that bytes in the Confluent wire format name.
fn schema(bytes: &Option<Vec<u8>>) -> Option<u32> {
    match bytes.as_deref()? {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

fn is_plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t')
}

/// Text of others on one line of a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn hex(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    for (at, row) in bytes.chunks(16).enumerate() {
        write!(out, "{:08x} ", at * 16)?;
        for byte in row {
            write!(out, " {byte:02x}")?;
        }
        let text = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' };
        let text: String = row.iter().map(text).collect();
        writeln!(out, "{:width$}  {text}", "", width = (16 - row.len()) * 3)?;
    }
    Ok(())
}

fn time(ms: Option<i64>) -> String {
    let at = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "unknown".to_owned(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Partition, Position};
    use crate::keyspace::Unfollowed;
    use crate::source::command::LetterPlace;

    fn place(offset: i64) -> Coordinates {
        Coordinates { partition: Partition { topic: "t".into(), number: 0 }, offset }
    }

    #[test]
    fn what_a_letter_means_follows_from_positions_and_stale_rows() {
        let mut meta = Meta::default();
        assert_eq!(State::of(&meta, &place(3)), State::Ahead, "nothing was read yet");
        let at = Position { next_offset: 9, fingerprint: 1 };
        meta.positions.insert(place(0).partition, at);
        meta.unfollowed.insert(place(0).partition, Unfollowed { from: 7, count: 1 });
        let row = StaleRow { table: "t".into(), ..StaleRow::default() };
        meta.stale_rows.insert((place(0).partition, 4), row.clone());
        for (offset, state) in
            [(3, State::Settled), (4, State::Open(row)), (7, State::Unfollowed), (9, State::Ahead)]
        {
            assert_eq!(State::of(&meta, &place(offset)), state);
        }
    }

    #[test]
    fn bytes_are_text_or_hex_and_name_their_schema() {
        let letter = DeadLetter {
            place: LetterPlace { partition: place(0).partition, offset: 3, fingerprint: 1 },
            written_ms: Some(1_725_290_973_123),
            put_aside_ms: None,
            reason: "no\u{1b}[31m good".into(),
            headers: vec![("trace".into(), Some(b"7f".to_vec()))],
            key: Some(vec![0, 0, 0, 1, 2, 8]),
            value: Some(b"{\"id\": ".to_vec()),
        };
        let line = Line { place: place(3), state: State::Settled, letter };
        let mut out = Vec::new();
        show(&line, false, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for wanted in [
            "record     t:0:3\n",
            "reason     no [31m good\n",
            "written    2024-09-02T15:29:33.123Z\n",
            "header     trace: 7f\n",
            "key: 6 bytes, names schema 258\n00000000  00 00 00 01 02 08 ",
            "  ......\n",
            "value: 7 bytes\n{\"id\": \n",
        ] {
            assert!(text.contains(wanted), "{wanted:?} not in\n{text}");
        }
    }
}
