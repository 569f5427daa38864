//! Failures of a connector that no restart mends, recognised from the trace.

use std::fmt;

/// What will not pass by itself, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A record exceeds what producer, broker or topic takes.
    TooLarge,
    /// MySQL has removed the binlog that comes next.
    Purged,
    /// The connector does not know the tables of the past any more.
    HistoryLost,
    /// A topic takes no records without a key.
    Compacted,
}

/// What the traces say. Sources: Kafka's exceptions, MySQL's error 1236, Debezium's messages.
const SIGNS: [(&str, Trouble); 10] = [
    ("RecordTooLargeException", Trouble::TooLarge),
    ("MessageSizeTooLargeException", Trouble::TooLarge),
    ("purged required binary logs", Trouble::Purged),
    ("Could not find first log file name in binary log index file", Trouble::Purged),
    ("but this is no longer available on the server", Trouble::Purged),
    ("binlog file is no longer available", Trouble::Purged),
    ("history topic is missing", Trouble::HistoryLost),
    ("history topic or its content is fully or partially missing", Trouble::HistoryLost),
    ("schema isn't known to this connector", Trouble::HistoryLost),
    ("Compacted topic cannot accept message without key", Trouble::Compacted),
];

impl Trouble {
    /// The trouble that a trace tells of, if it is one.
    pub fn of(trace: &str) -> Option<Trouble> {
        SIGNS.iter().find(|(sign, _)| trace.contains(sign)).map(|(_, trouble)| *trouble)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trouble::TooLarge => {
                "a record is larger than producer, broker or topic takes; raise \
                 producer.override.max.request.size and max.message.bytes alike, then restart it"
            }
            Trouble::Purged => {
                "mysql has purged the binlog that comes next; changes are lost: have the connector \
                 take a new snapshot (snapshot.mode=when_needed), and keep binlogs for longer"
            }
            Trouble::HistoryLost => {
                "its schema history is lost; have it recovered (snapshot.mode=recovery), or take a \
                 new snapshot"
            }
            Trouble::Compacted => {
                "a topic is compacted and takes no TRUNCATE; set cleanup.policy=delete, then \
                 restart it"
            }
        })
    }
}

/// The first line of the innermost cause in a trace.
pub(super) fn root_cause(trace: &str) -> &str {
    let mut causes = trace.lines().rev().filter_map(|line| line.strip_prefix("Caused by: "));
    let line = causes.next().or_else(|| trace.lines().next()).unwrap_or("no trace");
    match line.char_indices().nth(CAUSE_CHARS) {
        Some((end, _)) => &line[..end],
        None => line,
    }
}

/// Longest cause that is told, in characters.
const CAUSE_CHARS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_tell_what_will_not_pass() {
        let too_large = "org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception from producer send callback\n\tat x\nCaused by: org.apache.kafka.common.errors.RecordTooLargeException: The message is 65931 bytes when serialized";
        let purged = "io.debezium.DebeziumException: Cannot replicate because the source purged required binary logs. Error code: 1236; SQLSTATE: HY000.";
        let not_there = "io.debezium.DebeziumException: The connector is trying to read change stream starting at BinlogOffsetContext [x], but this is no longer available on the server. Reconfigure the connector to use a snapshot mode when needed.";
        let history = "io.debezium.DebeziumException: The db history topic or its content is fully or partially missing. Please check database schema history topic configuration and re-execute the snapshot.";
        let topic = "io.debezium.DebeziumException: The db history topic is missing. You may attempt to recover it by reconfiguring the connector to recovery.";
        for (trace, trouble) in [
            (topic, Some(Trouble::HistoryLost)),
            (too_large, Some(Trouble::TooLarge)),
            (purged, Some(Trouble::Purged)),
            (not_there, Some(Trouble::Purged)),
            (history, Some(Trouble::HistoryLost)),
            ("Access denied for user 'debezium'@'localhost' (using password: YES)", None),
            (
                "com.mysql.cj.exceptions.CJCommunicationsException: Communications link failure",
                None,
            ),
        ] {
            assert_eq!(Trouble::of(trace), trouble, "{trace}");
        }
        let cause = root_cause(too_large);
        assert!(cause.starts_with("org.apache.kafka.common.errors.RecordTooLarge"), "{cause}");
        assert_eq!(root_cause(""), "no trace");
    }
}
