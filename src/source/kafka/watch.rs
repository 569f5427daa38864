//! What the client tells between records: where partitions end, and whether the topics are still
//! as they were when reading began.
//!
//! A topic that is gone may be back in a moment (a broker that has just started does not know all
//! of its topics), so that is waited out, within a bound; whether it is the same topic then, its
//! last record tells. Partitions that are added are never read without a new start: what they
//! mean for completeness and positions is decided there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::statistics::{Statistics, Topic};
use tracing::debug;

use super::lag::Lag;
use super::topics;
use crate::change::Position;
use crate::source::SourceError;
use crate::source::record::{PartitionId, PartitionSpec, Role};
use crate::telemetry::{Part, Readiness};

/// How long a topic of which records were read may be gone.
const GONE_WAIT: Duration = Duration::from_secs(60);

/// Takes what the client tells between records.
pub(super) struct Context {
    lag: Arc<Lag>,
    specs: Vec<PartitionSpec>,
    readiness: Readiness,
    seen: Mutex<Option<Seen>>,
}

/// What the client knows of the topics at one moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Some broker is connected.
    answered: bool,
    /// Partitions that there are, by topic; 0 when it is not there.
    partitions: BTreeMap<String, usize>,
}

/// The topics that are read, compared with what is there.
#[derive(Debug)]
pub(super) struct Watch {
    topics: BTreeMap<String, Watched>,
}

#[derive(Debug)]
struct Watched {
    role: Role,
    partitions: usize,
    gone_since: Option<Instant>,
}

/// A topic that is not as it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// It is not there, though records of it were read.
    Gone(String),
    /// It is there again, until [`Watch::settle`]: perhaps another one.
    Back(String),
}

/// The last record read of a partition, by which its topic is recognised.
#[derive(Debug, Default)]
pub(super) struct LastRead {
    /// Its offset and fingerprint.
    record: Option<(i64, u64)>,
    /// It is to be read once more.
    again: bool,
}

impl Context {
    pub(super) fn new(lag: Arc<Lag>, specs: Vec<PartitionSpec>, readiness: Readiness) -> Context {
        Context { lag, specs, readiness, seen: Mutex::default() }
    }

    /// What was seen since the last call.
    pub(super) fn take_seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Seen {
    /// Whether some broker is connected.
    pub(super) fn answered(&self) -> bool {
        self.answered
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let is_up = |state: &str| state == "UP";
        let answered = statistics.brokers.values().any(|b| b.nodeid >= 0 && is_up(&b.state));
        // Where nothing changes no record tells that trouble has passed.
        if answered {
            self.readiness.clear(Part::Kafka.name());
        }
        for (at, spec) in self.specs.iter().enumerate() {
            let topic = statistics.topics.get(&spec.partition.topic);
            let partition = topic.and_then(|t| t.partitions.get(&spec.partition.number));
            if let Some(partition) = partition {
                self.lag.take_end(PartitionId(at as u16), partition);
            }
        }
        let there = |spec: &PartitionSpec| {
            let name = &spec.partition.topic;
            (name.clone(), statistics.topics.get(name).map_or(0, partition_count))
        };
        let seen = Seen { answered, partitions: self.specs.iter().map(there).collect() };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Context {}

/// Partitions that the brokers know; the client lists others, too.
fn partition_count(topic: &Topic) -> usize {
    topic.partitions.values().filter(|p| p.partition >= 0 && !p.unknown).count()
}

impl Watch {
    /// Expects the topics as they are read.
    pub(super) fn new(specs: &[PartitionSpec]) -> Watch {
        let mut topics: BTreeMap<String, Watched> = BTreeMap::new();
        for spec in specs {
            let new = || Watched { role: spec.role, partitions: 0, gone_since: None };
            topics.entry(spec.partition.topic.clone()).or_insert_with(new).partitions += 1;
        }
        Watch { topics }
    }

    /// Compares. `was_read` says whether any record of a topic was, by this run or a former one;
    /// if none was, the topic may be one that is yet to be made.
    ///
    /// # Errors
    /// More partitions than are read, or a topic that has been gone for too long.
    pub(super) fn look(
        &mut self,
        seen: &Seen,
        now: Instant,
        was_read: impl Fn(&str) -> bool,
    ) -> Result<Vec<Sighting>, SourceError> {
        let mut sightings = Vec::new();
        for (name, watched) in &mut self.topics {
            let there = seen.partitions.get(name).copied().unwrap_or(0);
            if there > watched.partitions {
                return Err(more_partitions(name, watched, there));
            }
            if there > 0 {
                sightings.extend(watched.gone_since.map(|_| Sighting::Back(name.clone())));
            } else if !seen.answered {
                // Nobody can tell; the time that counts begins anew.
                watched.gone_since = watched.gone_since.map(|_| now);
            } else if was_read(name) {
                let since = *watched.gone_since.get_or_insert(now);
                if now.duration_since(since) >= GONE_WAIT {
                    return Err(gone(name));
                }
                sightings.push(Sighting::Gone(name.clone()));
            }
        }
        Ok(sightings)
    }

    /// Believes that a topic is back.
    pub(super) fn settle(&mut self, topic: &str) {
        if let Some(watched) = self.topics.get_mut(topic) {
            watched.gone_since = None;
        }
    }
}

impl LastRead {
    /// The one before where reading begins, which a former run read.
    pub(super) fn before(start: Position) -> LastRead {
        let is_known = start.fingerprint != 0;
        let record = is_known.then_some((start.next_offset - 1, start.fingerprint));
        LastRead { record, again: false }
    }

    pub(super) fn offset(&self) -> Option<i64> {
        self.record.map(|(offset, _)| offset)
    }

    /// The next record must be the last one again.
    pub(super) fn expect_again(&mut self) {
        self.again = true;
    }

    /// Notes a record; false if it should have been the last one again and is another.
    pub(super) fn note(&mut self, offset: i64, fingerprint: u64) -> bool {
        let before = self.record.replace((offset, fingerprint));
        !std::mem::take(&mut self.again) || before == self.record
    }
}

fn more_partitions(topic: &str, watched: &Watched, there: usize) -> SourceError {
    match watched.role {
        Role::Stream(_) => SourceError::Topic {
            topic: topic.to_owned(),
            problem: format!(
                "it has {there} partitions now, of which {} are read",
                watched.partitions
            ),
            remedy: "start again to read all of them",
        },
        _ => topics::too_many_partitions(topic.to_owned(), there),
    }
}

fn gone(topic: &str) -> SourceError {
    let seconds = GONE_WAIT.as_secs();
    SourceError::Topic {
        topic: topic.to_owned(),
        problem: format!("it has been gone for {seconds} s, though records of it were applied"),
        remedy: topics::ANEW,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Partition;
    use crate::sql::plan::TableId;

    fn watch() -> Watch {
        let spec = |topic: &str, number, role| PartitionSpec {
            partition: Partition { topic: topic.to_owned(), number },
            role,
            start: Position::default(),
            target: None,
            end_at_start: 0,
            lost: None,
        };
        let (table, stream) = (Role::Table(TableId(0)), Role::Stream(TableId(1)));
        Watch::new(&[spec("t", 0, table), spec("e", 0, stream), spec("e", 1, stream)])
    }

    fn seen(table: usize, events: usize) -> Seen {
        let partitions = [("t".to_owned(), table), ("e".to_owned(), events)].into();
        Seen { answered: true, partitions }
    }

    #[test]
    fn added_partitions_stop_and_say_what_to_do() {
        let now = Instant::now();
        assert_eq!(watch().look(&seen(1, 2), now, |_| true), Ok(Vec::new()));
        let error = watch().look(&seen(1, 5), now, |_| true).unwrap_err().to_string();
        let want = "topic `e`: it has 5 partitions now, of which 2 are read; start again to";
        assert!(error.contains(want), "{error}");
        let error = watch().look(&seen(2, 2), now, |_| true).unwrap_err().to_string();
        assert!(error.contains("topic `t`") && error.contains("order"), "{error}");
    }

    #[test]
    fn a_topic_that_was_read_may_be_gone_for_so_long() {
        let (mut watch, start) = (watch(), Instant::now());
        let gone = || Ok(vec![Sighting::Gone("e".to_owned())]);
        assert_eq!(watch.look(&seen(0, 0), start, |_| false), Ok(Vec::new()));
        assert_eq!(watch.look(&seen(0, 0), start, |topic| topic == "e"), gone());
        // While no broker answers nobody knows.
        let later = start + GONE_WAIT * 2;
        assert_eq!(watch.look(&Seen::default(), later, |_| true), Ok(Vec::new()));
        assert_eq!(watch.look(&seen(1, 0), later, |_| true), gone());
        let error = watch.look(&seen(1, 0), later + GONE_WAIT, |_| true).unwrap_err();
        assert!(error.to_string().contains("topic `e`: it has been gone for 60 s"), "{error}");
    }

    #[test]
    fn another_record_where_the_last_one_was_is_noticed() {
        for (again, same) in [((4, 70), true), ((4, 71), false), ((5, 70), false)] {
            let mut last = LastRead::default();
            assert!(last.note(3, 60) && last.note(4, 70));
            last.expect_again();
            assert_eq!(last.note(again.0, again.1), same);
            assert!(last.note(6, 80), "once only");
        }
    }

    #[test]
    fn what_a_former_run_read_last_is_recognised() {
        for (fingerprint, same) in [(70, true), (71, false)] {
            let mut last = LastRead::before(Position { next_offset: 5, fingerprint: 70 });
            assert_eq!(last.offset(), Some(4));
            last.expect_again();
            assert_eq!(last.note(4, fingerprint), same);
        }
        assert_eq!(LastRead::before(Position::default()).offset(), None);
    }

    #[test]
    fn a_topic_is_back_until_that_is_believed() {
        let (mut watch, now) = (watch(), Instant::now());
        watch.look(&seen(1, 0), now, |_| true).unwrap();
        let back = Ok(vec![Sighting::Back("e".to_owned())]);
        assert_eq!(watch.look(&seen(1, 2), now + GONE_WAIT, |_| true), back);
        watch.settle("e");
        assert_eq!(watch.look(&seen(1, 2), now, |_| true), Ok(Vec::new()));
    }
}
