//! What a document is made of, for programs: one JSON object a line. Its members stay as they are;
//! further ones may come.
//!
//! | `type` | members |
//! |---|---|
//! | `document` | `pipeline`, `version` (1), `view`, `key` (the text of each column, as addresses have it), `from_rows` (whether the document is what its rows make; null where rows were left out), `unread` (events that were not looked at: `topic`, `partition`, `before_offset`, `bound`: `records` or `bytes`) |
//! | `row` | `node` (what the SELECT calls the table), `table`, `key`, `matters` (whether the document would be another without it; null unless the document is what its rows make), `record`, `missing`, `visible` |
//! | `end` | `rows`, `cut` (nodes with more rows than are looked at) |
//!
//! `record` is null, or `topic`, `partition`, `offset`, `written`, `op` (`c`, `u`, `d`, `r`), `gtid`,
//! `file`, `position`, `committed`, `read` (instead of it, of a row that a snapshot read). `missing` is null,
//! or `reason` (`gone`, `not_searched`, `none`), `topic`, `partition`, `from_offset`. `visible` is null, or
//! `state` (`at`, `by`, `due`, `earlier`, `not_applied`), `time`, `after_ms` (since `committed` or, of an event,
//! `written`). Times are in RFC 3339.

use std::io::{self, Write};

use serde::Serialize;

use super::report::{Report, Row, time_ms, time_us};
use super::search::{Found, Last};
use super::steps::Seen;
use crate::change::Partition;
use crate::source::avro::Origin;
use crate::sql::plan::NodeId;

/// Version of the JSON form: rises where a member goes or changes its meaning.
const VERSION: u32 = 1;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'l> {
    Document {
        pipeline: &'l str,
        version: u32,
        view: &'l str,
        key: Vec<String>,
        from_rows: Option<bool>,
        unread: Vec<Unread<'l>>,
    },
    Row {
        node: &'l str,
        table: &'l str,
        key: Vec<String>,
        matters: Option<bool>,
        record: Option<Box<Record<'l>>>,
        missing: Option<Missing<'l>>,
        visible: Option<Visible>,
    },
    End {
        rows: usize,
        cut: Vec<&'l str>,
    },
}

#[derive(Serialize)]
struct Unread<'l> {
    topic: &'l str,
    partition: i32,
    before_offset: i64,
    bound: &'static str,
}

#[derive(Serialize)]
struct Record<'l> {
    topic: &'l str,
    partition: i32,
    offset: i64,
    written: Option<String>,
    op: Option<&'l str>,
    gtid: Option<&'l str>,
    file: Option<&'l str>,
    position: Option<i64>,
    committed: Option<String>,
    read: Option<String>,
}

#[derive(Serialize)]
struct Missing<'l> {
    reason: &'static str,
    topic: &'l str,
    partition: Option<i32>,
    from_offset: Option<i64>,
}

#[derive(Serialize)]
struct Visible {
    state: &'static str,
    time: Option<String>,
    after_ms: Option<f64>,
}

impl Report<'_> {
    /// Writes it for programs.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let Report { pipeline, view, from_rows, .. } = *self;
        let key = self.texts(view.node(NodeId(0)).table, self.key);
        let unread = self.unread.iter().map(|left_out| Unread {
            topic: &left_out.partition.topic,
            partition: left_out.partition.number,
            before_offset: left_out.before,
            bound: if left_out.by_bytes { "bytes" } else { "records" },
        });
        let document = Line::Document {
            pipeline,
            version: VERSION,
            view: &view.name,
            key,
            from_rows,
            unread: unread.collect(),
        };
        write_line(&document, out)?;
        for row in &self.rows {
            write_line(&self.row(row), out)?;
        }
        let cut = self.cut.iter().map(|&node| view.node(node).alias.as_str()).collect();
        write_line(&Line::End { rows: self.rows.len(), cut }, out)
    }

    fn row<'l>(&'l self, row: &'l Row<'_>) -> Line<'l> {
        Line::Row {
            node: &self.view.node(row.node).alias,
            table: &self.plan.table(row.table).name,
            key: self.texts(row.table, row.key),
            matters: row.matters,
            record: row.outcome.found().map(record).map(Box::new),
            missing: missing(row.outcome),
            visible: row.seen.map(|seen| visible(seen, row.outcome)),
        }
    }
}

fn record(last: &Last) -> Record<'_> {
    let Last { partition: Partition { topic, number }, offset, written_ms, origin } = last;
    let text = |of: fn(&Origin) -> &Option<String>| origin.as_ref().and_then(|o| of(o).as_deref());
    let at = |is_read: bool| {
        let origin = origin.as_ref().filter(|origin| (origin.op == "r") == is_read)?;
        origin.at_us.map(time_us)
    };
    Record {
        topic,
        partition: *number,
        offset: *offset,
        written: written_ms.map(time_ms),
        op: origin.as_ref().map(|origin| origin.op.as_str()),
        gtid: text(|origin| &origin.gtid),
        file: text(|origin| &origin.file),
        position: origin.as_ref().and_then(|origin| origin.position),
        committed: at(false),
        read: at(true),
    }
}

fn missing(found: &Found) -> Option<Missing<'_>> {
    fn of<'l>(reason: &'static str, partition: &'l Partition, from: i64) -> Missing<'l> {
        let Partition { topic, number } = partition;
        Missing { reason, topic, partition: Some(*number), from_offset: Some(from) }
    }
    match found {
        Found::Record(_) => None,
        Found::Gone(partition, from) => Some(of("gone", partition, *from)),
        Found::Beyond(partition, from) => Some(of("not_searched", partition, *from)),
        Found::Nowhere(topic) => {
            Some(Missing { reason: "none", topic, partition: None, from_offset: None })
        }
    }
}

fn visible(seen: Seen, found: &Found) -> Visible {
    let (state, time) = match seen {
        Seen::At(ms) => ("at", Some(ms)),
        Seen::By(ms) => ("by", Some(ms)),
        Seen::Due(ms) => ("due", ms),
        Seen::Earlier(ms) => ("earlier", ms),
        Seen::NotApplied => ("not_applied", None),
    };
    let made = found.found().and_then(Last::made_us);
    let is_known = matches!(seen, Seen::At(_) | Seen::By(_));
    let after =
        time.zip(made).filter(|_| is_known).map(|(ms, us)| (ms * 1000 - us) as f64 / 1000.0);
    Visible { state, time: time.map(time_ms), after_ms: after }
}

fn write_line(line: &Line<'_>, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    writeln!(out)
}
