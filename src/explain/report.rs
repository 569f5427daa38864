//! What a document is made of, for people: its rows in the tree of the view's tables.

use std::io::{self, Write};

use super::search::{Found, Last};
use super::steps::Seen;
use crate::change::Partition;
use crate::sql::plan::{NodeId, Plan, TableId, View};
use crate::value::{Key, Type};
use crate::verify::Format;
use crate::verify::topics::LeftOut;

/// What a document is made of.
pub(super) struct Report<'r> {
    pub(super) pipeline: &'r str,
    pub(super) plan: &'r Plan,
    pub(super) view: &'r View,
    pub(super) key: &'r Key,
    /// Whether the document is what its rows make.
    pub(super) from_rows: Option<bool>,
    /// What was not looked at of events.
    pub(super) unread: Vec<LeftOut>,
    /// By node, in the order of their keys.
    pub(super) rows: Vec<Row<'r>>,
    /// Nodes with more rows than were looked at.
    pub(super) cut: Vec<NodeId>,
    pub(super) rows_max: usize,
}

/// One of its rows.
pub(super) struct Row<'r> {
    pub(super) node: NodeId,
    pub(super) table: TableId,
    pub(super) key: &'r Key,
    pub(super) matters: Option<bool>,
    pub(super) outcome: &'r Found,
    /// When the record's change could be read.
    pub(super) seen: Option<Seen>,
}

impl Report<'_> {
    /// Writes it.
    pub(super) fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Text => self.write_text(out)?,
            Format::Json => self.write_json(out)?,
        }
        out.flush()
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let key = self.texts(self.view.node(NodeId(0)).table, self.key).join(",");
        let made = match self.from_rows {
            Some(true) => "the document is what these rows of MySQL's make",
            Some(false) => {
                "the document is not what these rows of MySQL's make: it is behind them, or wrong; \
                 `viewtide verify` tells"
            }
            None => "not all of its rows are shown",
        };
        writeln!(out, "{}/{key}: {made}\n", self.view.name)?;
        self.branch(NodeId(0), "", "", out)?;
        for LeftOut { partition: Partition { topic, number }, before, by_bytes } in &self.unread {
            write!(out, "\nEvents of {topic}:{number} before {before} were not looked at; ")?;
            writeln!(
                out,
                "{} looks further back.",
                if *by_bytes { "a higher limits.queue_bytes_max" } else { "--search" }
            )?;
        }
        writeln!(out, "\nCommitted is by MySQL's clock, visible by Redis' own.")
    }

    /// The rows of a node, and of those that hang on it.
    fn branch(&self, id: NodeId, first: &str, rest: &str, out: &mut impl Write) -> io::Result<()> {
        let node = self.view.node(id);
        let table = &self.plan.table(node.table).name;
        let name = match node.alias == *table {
            true => table.clone(),
            false => format!("{} ({table})", node.alias),
        };
        let rows: Vec<&Row<'_>> = self.rows.iter().filter(|row| row.node == id).collect();
        let what = match (self.plan.grouping(node.table), rows.len()) {
            (Some(_), _) => ": a group",
            (None, 0) => ": no row",
            _ => "",
        };
        writeln!(out, "{first}{name}{what}")?;
        let children: Vec<NodeId> = (0..self.view.nodes.len())
            .map(|at| NodeId(at as u16))
            .filter(|child| self.view.node(*child).edge.as_ref().is_some_and(|e| e.parent == id))
            .collect();
        let beside = if children.is_empty() { "" } else { "│" };
        for row in rows {
            for line in self.lines(row) {
                writeln!(out, "{rest}{beside:1}   {line}")?;
            }
        }
        if self.cut.contains(&id) {
            writeln!(out, "{rest}{beside:1}   … and more than these {} rows", self.rows_max)?;
        }
        for (at, child) in children.iter().enumerate() {
            let (corner, line) =
                if at + 1 == children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.branch(*child, &format!("{rest}{corner}"), &format!("{rest}{line}"), out)?;
        }
        Ok(())
    }

    fn lines(&self, row: &Row<'_>) -> Vec<String> {
        let place = |Partition { topic, number }: &Partition| format!("{topic}:{number}");
        let what = match row.outcome {
            Found::Record(last) => {
                format!("{}, {}:{}", happened(last), place(&last.partition), last.offset)
            }
            Found::Gone(partition, from) => format!(
                "before the topic's beginning: {} has no record of it from {from} on",
                place(partition)
            ),
            Found::Beyond(partition, from) => {
                format!("not in {} from {from} on; --search looks further back", place(partition))
            }
            Found::Nowhere(topic) => format!("{topic} has no record of it (yet)"),
        };
        let matters = match row.matters {
            Some(false) => "; without it the document would be the same",
            _ => "",
        };
        let mut lines =
            vec![format!("{}  {what}{matters}", self.texts(row.table, row.key).join(","))];
        if let Found::Record(last) = row.outcome {
            lines.extend(came_from(last).map(|text| format!("    {text}")));
            lines.push(format!("    {}", times(last, row.seen)));
        }
        lines
    }

    /// The columns of a key, as addresses have them.
    pub(super) fn texts(&self, table: TableId, key: &Key) -> Vec<String> {
        let table = self.plan.table(table);
        let types: Vec<Type> = table.key.iter().map(|&column| table.columns[column].ty).collect();
        key.texts(&types).unwrap_or_default()
    }
}

/// What a record says of its row.
fn happened(last: &Last) -> &str {
    match last.origin.as_ref().map(|origin| origin.op.as_str()) {
        None => "event",
        Some("c") => "insert",
        Some("u") => "update",
        Some("d") => "delete",
        Some("r") => "read by a snapshot",
        Some(other) => other,
    }
}

/// Its transaction and place in the binary log.
fn came_from(last: &Last) -> Option<String> {
    let origin = last.origin.as_ref()?;
    let transaction = origin.gtid.as_ref().map(|gtid| format!("transaction {gtid}"));
    let place = origin.file.as_ref().zip(origin.position);
    let place = place.map(|(file, position)| format!("{file}:{position}"));
    let parts: Vec<String> = transaction.into_iter().chain(place).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// When a record's change was made and could be read.
fn times(last: &Last, seen: Option<Seen>) -> String {
    let made = last.made_us();
    let mut text = match (&last.origin, made) {
        (Some(_), Some(us)) => format!("committed {}", time_us(us)),
        (None, Some(us)) => format!("written {}", time_us(us)),
        (Some(origin), None) => match origin.at_us {
            Some(us) => format!("read {}", time_us(us)),
            None => "no time is told".to_owned(),
        },
        (None, None) => "no time is told".to_owned(),
    };
    let after = |ms: i64| {
        made.map_or(String::new(), |us| {
            format!(", {:.1} ms after", (ms * 1000 - us) as f64 / 1000.0)
        })
    };
    text.push_str(&match seen {
        Some(Seen::At(ms)) => format!("; visible {}{}", time_ms(ms), after(ms)),
        Some(Seen::By(ms)) => format!("; visible by {}{} or less", time_ms(ms), after(ms)),
        Some(Seen::Due(ms)) => {
            let when = ms.map_or_else(String::new, |ms| format!(" {}", time_ms(ms)));
            format!("; applied{when}, documents of the view are due since")
        }
        Some(Seen::Earlier(Some(ms))) => {
            format!("; visible before {}, where the steps that are kept begin", time_ms(ms))
        }
        Some(Seen::Earlier(None)) => {
            "; visible, but no step is kept that tells since when".to_owned()
        }
        Some(Seen::NotApplied) => "; not applied yet".to_owned(),
        None => String::new(),
    });
    text
}

/// In RFC 3339.
pub(super) fn time_us(us: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(us);
    at.map_or_else(|_| "unknown".to_owned(), |at| format!("{at:.6}"))
}

/// In RFC 3339.
pub(super) fn time_ms(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms);
    at.map_or_else(|_| "unknown".to_owned(), |at| format!("{at:.3}"))
}
