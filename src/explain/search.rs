//! The last record of a row in its table's topic, searched from the end backwards.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::ExplainError;
use crate::change::Partition;
use crate::config::{Config, without_password};
use crate::source::avro::{Failure, Origin, Side};
use crate::source::{RecordReader, range_reader, read_range};
use crate::sql::plan::{Plan, Table, TableId, TableSource};
use crate::value::{Key, Value};

/// How long one answer of a broker or the registry may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Records read at once in the beginning; twice as many each time, up to [`CHUNK_MAX`].
const CHUNK_MIN: i64 = 1000;

/// Most records read at once.
const CHUNK_MAX: i64 = 64_000;

/// What was found of a row's last record.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// It is this one.
    Record(Box<Last>),
    /// None from this offset on, which is where the topic begins: older ones are gone.
    Gone(Partition, i64),
    /// None from this offset on; what lies before was not searched.
    Beyond(Partition, i64),
    /// None in the whole topic.
    Nowhere(String),
}

/// A row's last record.
#[derive(Clone, Debug)]
pub(super) struct Last {
    pub(super) partition: Partition,
    pub(super) offset: i64,
    /// When it was written, as it says itself, in milliseconds since 1970.
    pub(super) written_ms: Option<i64>,
    /// Where its change comes from; of an event nothing.
    pub(super) origin: Option<Origin>,
}

impl Last {
    /// When its change was made, in microseconds since 1970, if it says so.
    pub(super) fn made_us(&self) -> Option<i64> {
        match &self.origin {
            None => self.written_ms.map(|ms| ms * 1000),
            Some(_) if self.is_of_snapshot() => None,
            Some(origin) => origin.at_us,
        }
    }

    /// Whether it tells the same change of the row as another record.
    fn repeats(&self, other: &Last) -> bool {
        let change = |last: &Last| {
            let Origin { op, gtid, file, position, at_us: _ } = last.origin.clone()?;
            Some((op, gtid?, file?, position?))
        };
        !self.is_of_snapshot() && change(self).is_some_and(|own| Some(own) == change(other))
    }

    /// Whether a snapshot read the row.
    pub(super) fn is_of_snapshot(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.op == "r")
    }
}

impl Found {
    /// The record, if there is one.
    pub(super) fn found(&self) -> Option<&Last> {
        match self {
            Found::Record(last) => Some(last),
            Found::Gone(..) | Found::Beyond(..) | Found::Nowhere(_) => None,
        }
    }
}

/// Searches topics.
pub(super) struct Search<'c> {
    config: &'c Config,
    records_max: i64,
    consumer: BaseConsumer,
    registry: SrSettings,
}

/// The search for some rows of one table.
struct Reading<'s> {
    search: &'s Search<'s>,
    reader: RecordReader,
    /// Schemas that the table's rows are not read by.
    unfit: HashSet<(Side, u32)>,
    partition: Partition,
    wanted: &'s BTreeSet<Key>,
    last: BTreeMap<Key, Last>,
    error: Option<ExplainError>,
}

impl<'c> Search<'c> {
    /// A search through the last so many records of each partition.
    pub(super) fn new(config: &'c Config, records_max: u32) -> Result<Search<'c>, ExplainError> {
        let client = range_reader(config, "viewtide-explain");
        let consumer = client.create().map_err(|error| ExplainError::kafka(config, error))?;
        let registry = SrSettings::new(config.registry.url.clone());
        Ok(Search { config, records_max: i64::from(records_max), consumer, registry })
    }

    /// The last record of each of these rows. Blocks.
    pub(super) fn table(
        &self,
        plan: &Plan,
        id: TableId,
        keys: BTreeSet<Key>,
    ) -> Result<BTreeMap<Key, Found>, ExplainError> {
        let (table, database) = (plan.table(id), &self.config.mysql.database);
        let topic = match &table.source {
            TableSource::Captured => self.config.kafka.table_topic(database, &table.name),
            TableSource::Stream(stream) => stream.topic.clone(),
        };
        let reader = || {
            RecordReader::new(plan, self.config.source.format, database, id)
                .map_err(|unfit| self.failed(unfit))
        };
        let mut found: BTreeMap<Key, Found> = BTreeMap::new();
        // Where each partition's search ended, and whether that is where it begins.
        let mut ends: Vec<(Partition, i64, i64)> = Vec::new();
        for number in self.partitions(&topic)? {
            let partition = Partition { topic: topic.clone(), number };
            let bounds = self.consumer.fetch_watermarks(&topic, number, ANSWER_WAIT);
            let (low, high) = bounds.map_err(|error| self.failed(error))?;
            let (here, from, to) = placed(table, &keys, number, (low, high), self.records_max);
            let mut reading = Reading {
                search: self,
                reader: reader()?,
                unfit: HashSet::new(),
                partition: partition.clone(),
                wanted: &here,
                last: BTreeMap::new(),
                error: None,
            };
            let searched = reading.backwards(from, to)?;
            ends.push((partition, searched, low));
            for (key, last) in reading.last {
                let is_later = |known: &Found| {
                    known.found().is_some_and(|known| known.written_ms < last.written_ms)
                };
                if found.get(&key).is_none_or(is_later) {
                    found.insert(key, Found::Record(Box::new(last)));
                }
            }
        }
        for key in keys {
            found.entry(key).or_insert_with(|| missing(&topic, &ends));
        }
        Ok(found)
    }

    fn partitions(&self, topic: &str) -> Result<Vec<i32>, ExplainError> {
        let metadata = self.consumer.fetch_metadata(Some(topic), ANSWER_WAIT);
        let metadata = metadata.map_err(|error| self.failed(error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map_or(&[][..], |found| found.partitions()).iter().map(|p| p.id()).collect())
    }

    fn failed(&self, error: impl ToString) -> ExplainError {
        ExplainError::kafka(self.config, error)
    }

    fn schema(&self, id: u32) -> Result<String, ExplainError> {
        let asked = timeout(ANSWER_WAIT, get_schema_by_id(id, &self.registry));
        let url = &self.config.registry.url;
        let reason = match Handle::current().block_on(asked) {
            Ok(Ok(found)) => return Ok(found.schema),
            Ok(Err(error)) => format!("{url} has no schema {id} to give: {error}"),
            Err(_) => format!("{url} does not answer within {} s", ANSWER_WAIT.as_secs()),
        };
        Err(ExplainError::Registry(without_password(&reason, url)))
    }
}

impl Reading<'_> {
    /// Searches the records from `from` on and below `to`, last ones first, until all rows are found;
    /// the offset down to which that took.
    fn backwards(&mut self, from: i64, to: i64) -> Result<i64, ExplainError> {
        let (search, partition) = (self.search, self.partition.clone());
        let (mut end, mut chunk) = (to, CHUNK_MIN);
        while end > from && self.last.len() < self.wanted.len() {
            let begin = (end - chunk).max(from);
            // Of a row's records in a part the last one counts, and those of later parts before it.
            let mut of_part: BTreeMap<Key, Vec<Last>> = BTreeMap::new();
            let read = read_range(&search.consumer, &partition, begin, end, |record| {
                if self.error.is_none() {
                    match self.look(record) {
                        Ok(Some((key, last))) => of_part.entry(key).or_default().push(last),
                        Ok(None) => {}
                        Err(error) => self.error = Some(error),
                    }
                }
            });
            read.map_err(|error: KafkaError| search.failed(error))?;
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            for (key, records) in of_part {
                let last = last_of(records, self.last.remove(&key));
                self.last.extend(last.map(|last| (key, last)));
            }
            end = begin;
            chunk = (chunk * 2).min(CHUNK_MAX);
        }
        Ok(end)
    }

    /// The record, if it is of a row that is searched for.
    fn look(&mut self, record: &BorrowedMessage<'_>) -> Result<Option<(Key, Last)>, ExplainError> {
        // A tombstone repeats that the row is gone.
        let (place, Some(value)) = ((record.partition(), record.offset()), record.payload()) else {
            return Ok(None);
        };
        let key = self.read(|reader| reader.row_key(place, record.key(), Some(value)))?.flatten();
        let Some(key) = key.filter(|key| self.wanted.contains(key)) else { return Ok(None) };
        let origin = match self.reader.is_of_events() {
            true => None,
            false => self.read(|reader| reader.origin(value))?,
        };
        let (partition, offset) = (self.partition.clone(), record.offset());
        let written_ms = record.timestamp().to_millis();
        Ok(Some((key, Last { partition, offset, written_ms, origin })))
    }

    /// Reads by the schemas that it takes; `None` of what cannot be read.
    fn read<T>(
        &mut self,
        mut read: impl FnMut(&mut RecordReader) -> Result<T, Failure>,
    ) -> Result<Option<T>, ExplainError> {
        loop {
            match read(&mut self.reader) {
                Ok(done) => return Ok(Some(done)),
                Err(Failure::Schema(side, id)) if !self.unfit.contains(&(side, id)) => {
                    let text = self.search.schema(id)?;
                    if self.reader.add_schema(side, id, &text).is_err() {
                        self.unfit.insert((side, id));
                    }
                }
                Err(_) => return Ok(None),
            }
        }
    }
}

/// The last of a row's records, of which one may be known that lies behind these. What the connector
/// wrote twice was applied by its first record.
fn last_of(mut records: Vec<Last>, later: Option<Last>) -> Option<Last> {
    let last = later.or_else(|| records.pop())?;
    Some(records.into_iter().find(|record| last.repeats(record)).unwrap_or(last))
}

/// The rows that a partition can have records of, and the offsets to search. Where a row is an event's
/// place, there is nothing to search.
fn placed(
    table: &Table,
    keys: &BTreeSet<Key>,
    partition: i32,
    (low, high): (i64, i64),
    records_max: i64,
) -> (BTreeSet<Key>, i64, i64) {
    let names: Vec<&str> = table.key.iter().map(|&at| table.columns[at].name.as_str()).collect();
    let is_stream = matches!(table.source, TableSource::Stream(_));
    if !is_stream || names != ["_partition", "_offset"] {
        return (keys.clone(), low.max(high - records_max), high);
    }
    let types: Vec<_> = table.key.iter().map(|&at| table.columns[at].ty).collect();
    let offset_of = |key: &Key| match key.values(&types)?[..] {
        [Value::Int(number), Value::Int(offset)] if number == i64::from(partition) => Some(offset),
        _ => None,
    };
    let offsets = || keys.iter().filter_map(offset_of);
    let here = keys.iter().filter(|key| offset_of(key).is_some()).cloned().collect();
    let from = offsets().min().unwrap_or(high).max(low);
    (here, from, offsets().max().map_or(from, |last| last + 1).min(high))
}

/// What is said of a row without a record.
fn missing(topic: &str, ends: &[(Partition, i64, i64)]) -> Found {
    let cut = ends.iter().find(|(_, searched, low)| searched > low);
    let gone = ends.iter().find(|(_, _, low)| *low > 0);
    match (cut, gone) {
        (Some((partition, searched, _)), _) => Found::Beyond(partition.clone(), *searched),
        (None, Some((partition, _, low))) => Found::Gone(partition.clone(), *low),
        (None, None) => Found::Nowhere(topic.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_was_written_twice_is_that_of_its_first_record() {
        let of = |offset, op: &str, gtid: Option<&str>, position| Last {
            partition: Partition { topic: "t".into(), number: 0 },
            offset,
            written_ms: None,
            origin: Some(Origin {
                op: op.to_owned(),
                at_us: Some(offset),
                gtid: gtid.map(str::to_owned),
                file: Some("binlog.1".to_owned()),
                position: Some(position),
            }),
        };
        let (one, two) = (Some("a:1"), Some("a:2"));
        let event = |offset| Last { origin: None, ..of(offset, "", None, 0) };
        let again =
            [of(3, "u", one, 7), of(4, "u", two, 9), of(8, "u", one, 7), of(9, "u", two, 9)];
        for (records, wanted) in [
            (&again[..], 4),
            (&again[..3], 3),
            (&[of(3, "u", one, 7), of(9, "u", two, 7)], 9),
            (&[of(3, "u", one, 7), of(9, "u", one, 8)], 9),
            (&[of(3, "d", one, 7), of(9, "c", one, 7)], 9),
            (&[of(3, "r", None, 7), of(9, "r", None, 7)], 9),
            (&[event(3), event(9)], 9),
        ] {
            let offset = |last: Option<Last>| last.map(|last| last.offset);
            assert_eq!(offset(last_of(records.to_vec(), None)), Some(wanted));
            let (later, before) = records.split_last().unwrap();
            assert_eq!(offset(last_of(before.to_vec(), Some(later.clone()))), Some(wanted));
        }
        assert!(last_of(Vec::new(), None).is_none());
    }

    #[test]
    fn a_row_without_a_record_is_told_by_where_the_search_ended() {
        let at = |searched, low| (Partition { topic: "t".into(), number: 0 }, searched, low);
        assert!(matches!(missing("t", &[at(0, 0)]), Found::Nowhere(_)));
        assert!(matches!(missing("t", &[at(0, 0), at(7, 7)]), Found::Gone(_, 7)));
        assert!(matches!(missing("t", &[at(7, 7), at(9, 7)]), Found::Beyond(_, 9)));
    }
}
