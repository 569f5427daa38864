//! One record: recognised, decoded, or put aside.

use prometheus_client::metrics::counter::Counter;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::patience::{Ending, FIRST_WAIT, Patience};
use super::topics;
use super::watch::LastRead;
use crate::source::SourceError;
use crate::source::anew::{self, AnewId};
use crate::source::avro::{Decoded, Failure, Side, Unfit, schema_id};
use crate::source::copies::Met;
use crate::source::dead_letters::DeadLetters;
use crate::source::decode::Decoder;
use crate::source::record::{Content, Hole, PartitionId, PartitionSpec, Record};
use crate::source::registry::{Registry, RegistryError};
use crate::telemetry::Part;
use crate::value::Key;

/// How often a registry that answers is asked for a schema that it does not know: the connector
/// may have written the record a moment before.
const UNKNOWN_SCHEMA_TRIES: u32 = 5;

/// Bytes of a record besides its key and value, towards the bound of its queue.
const RECORD_OVERHEAD: usize = 128;

/// One partition.
pub(super) struct Reading {
    pub(super) spec: PartitionSpec,
    pub(super) decoder: Decoder,
    /// Name of the captured table that it is of.
    pub(super) table: Option<String>,
    pub(super) consumed: Counter,
    pub(super) dead: Counter,
    /// Schemas that it reads by copies of which the registry was not asked yet.
    pub(super) unconfirmed: Vec<(Side, u32)>,
    /// Unreadable records since the last readable one.
    pub(super) unreadable_in_a_row: u32,
    pub(super) last: LastRead,
}

/// A record being read, with all that it takes.
pub(super) struct Incoming<'t> {
    pub(super) id: PartitionId,
    pub(super) reading: &'t mut Reading,
    pub(super) registry: &'t mut Registry,
    pub(super) dead_letters: &'t mut DeadLetters,
    pub(super) patience: &'t Patience,
    pub(super) unreadable_max: u32,
}

impl Incoming<'_> {
    pub(super) fn read(
        &mut self,
        polled: &BorrowedMessage<'_>,
    ) -> Result<Result<Record, Ending>, SourceError> {
        self.reading.consumed.inc();
        let fingerprint = fingerprint(polled);
        self.check_fingerprint(polled.offset(), fingerprint)?;
        let Decoded { content, committed_us } = match self.decode(polled)? {
            Ok(decoded) => decoded,
            Err(Ending) => return Ok(Err(Ending)),
        };
        self.confirm_copies(polled)?;
        let bytes = polled.payload_len() + polled.key_len() + RECORD_OVERHEAD;
        Ok(Ok(Record {
            partition: self.id,
            offset: polled.offset(),
            fingerprint,
            committed_us,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            anew: self.anew(polled),
            lacks: self.reading.decoder.lacks().cloned(),
            content,
        }))
    }

    /// The snapshot that was reading the table anew when this was written.
    fn anew(&self, polled: &BorrowedMessage<'_>) -> Option<AnewId> {
        let (table, headers) = (self.reading.table.as_ref()?, polled.headers()?);
        let header = headers.iter().find(|header| header.key == anew::HEADER)?;
        anew::number_of(std::str::from_utf8(header.value?).ok()?, table)
    }

    fn decode(
        &mut self,
        polled: &BorrowedMessage<'_>,
    ) -> Result<Result<Decoded, Ending>, SourceError> {
        loop {
            let (key, value) = (polled.key(), polled.payload());
            match self.reading.decoder.decode(polled.partition(), polled.offset(), key, value) {
                Ok(decoded) => {
                    self.reading.unreadable_in_a_row = 0;
                    return Ok(Ok(decoded));
                }
                Err(Failure::Schema(side, id)) => {
                    let Ok(schema) = self.fetch_schema(side, id) else { return Ok(Err(Ending)) };
                    match schema {
                        Some(text) => {
                            if let Err(unfit) = self.add_schema(side, id, &text) {
                                let Ok(()) = self.check_copies(polled)? else {
                                    return Ok(Err(Ending));
                                };
                                return Err(unfit.into());
                            }
                        }
                        None if self.reading.decoder.does_without(side, id) => {}
                        None => {
                            let (topic, offset) = (polled.topic().to_owned(), polled.offset());
                            return Err(SourceError::UnknownSchema { topic, offset, id });
                        }
                    }
                }
                Err(Failure::Unreadable(unreadable)) => {
                    let Ok(()) = self.check_copies(polled)? else { return Ok(Err(Ending)) };
                    if let Err(Ending) = self.put_aside(polled, &unreadable.reason.to_string())? {
                        return Ok(Err(Ending));
                    }
                    let key = match unreadable.reason.doubts_key() {
                        true => Ok(None),
                        false => self.row_key(polled),
                    };
                    let Ok(key) = key else { return Ok(Err(Ending)) };
                    let content = Content::Hole(Box::new(Hole { place: unreadable.place, key }));
                    return Ok(Ok(Decoded { content, committed_us: 0 }));
                }
                Err(Failure::Unfit(unfit)) => return Err((*unfit).into()),
                Err(Failure::Newer(version)) => {
                    let (topic, offset) = (polled.topic().to_owned(), polled.offset());
                    return Err(SourceError::NewerCommand { topic, offset, version });
                }
            }
        }
    }

    /// The row that an unreadable record is about, if its key can be read.
    fn row_key(&mut self, polled: &BorrowedMessage<'_>) -> Result<Option<Key>, Ending> {
        loop {
            let (key, value) = (polled.key(), polled.payload());
            let decoder = &mut self.reading.decoder;
            match decoder.row_key(polled.partition(), polled.offset(), key, value) {
                Ok(key) => return Ok(key),
                Err(Failure::Schema(side, id)) => {
                    // What cannot be read must not stop the pipeline by its schema either.
                    let Some(text) = self.fetch_schema(side, id)? else { return Ok(None) };
                    if self.add_schema(side, id, &text).is_err() {
                        return Ok(None);
                    }
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// The text of a schema, however long the registry is away; `None` if it answers, again and
    /// again, that it has none.
    fn fetch_schema(&mut self, side: Side, id: u32) -> Result<Option<String>, Ending> {
        let met = self.met(side, id);
        let mut wait = FIRST_WAIT;
        let mut unknown = 0;
        loop {
            let reason = match self.patience.runtime.block_on(self.registry.schema(&met)) {
                Ok(schema) => {
                    self.patience.readiness.clear(Part::Registry.name());
                    return Ok(Some(schema));
                }
                Err(RegistryError::Unknown) if unknown >= UNKNOWN_SCHEMA_TRIES => {
                    self.patience.readiness.clear(Part::Registry.name());
                    return Ok(None);
                }
                Err(RegistryError::Unknown) => {
                    unknown += 1;
                    format!("it does not know schema {id}")
                }
                Err(RegistryError::Unavailable(reason)) => {
                    unknown = 0;
                    reason
                }
            };
            self.patience.wait_for(Part::Registry, reason, &mut wait)?;
        }
    }

    /// Gives the decoder a schema, and keeps a copy of what it takes.
    fn add_schema(&mut self, side: Side, id: u32, text: &str) -> Result<(), Unfit> {
        self.reading.decoder.add_schema(side, id, text)?;
        let met = self.met(side, id);
        if !self.registry.keep(&met, text) {
            self.reading.unconfirmed.push((side, id));
        }
        Ok(())
    }

    /// Bytes may fit a copy though they were written with another schema, which an emptied registry
    /// gave the same id. So it is asked once, when something new is to be read by a copy, and when
    /// it answers.
    fn confirm_copies(&mut self, polled: &BorrowedMessage<'_>) -> Result<(), SourceError> {
        if self.reading.unconfirmed.is_empty() || self.is_passed(polled.offset()) {
            return Ok(());
        }
        for (side, id) in schemas(polled) {
            let place = self.reading.unconfirmed.iter().position(|of| *of == (side, id));
            let Some(place) = place else { continue };
            let met = self.met(side, id);
            match self.patience.runtime.block_on(self.registry.confirms(&met)) {
                None => {}
                Some(true) => drop(self.reading.unconfirmed.swap_remove(place)),
                Some(false) => return Err(self.other_schema(met, polled.offset())),
            }
        }
        Ok(())
    }

    /// A record that cannot be read is no dead letter if it was written with another schema than
    /// the copy under its id: then reading stops. What a former run passed is one already.
    fn check_copies(
        &mut self,
        polled: &BorrowedMessage<'_>,
    ) -> Result<Result<(), Ending>, SourceError> {
        if self.is_passed(polled.offset()) {
            return Ok(Ok(()));
        }
        for (side, id) in schemas(polled) {
            let met = self.met(side, id);
            let mut wait = FIRST_WAIT;
            let contradicts = loop {
                match self.patience.runtime.block_on(self.registry.contradicts(&met)) {
                    Ok(contradicts) => break contradicts,
                    Err(RegistryError::Unknown) => break false,
                    Err(RegistryError::Unavailable(reason)) => {
                        if self.patience.wait_for(Part::Registry, reason, &mut wait).is_err() {
                            return Ok(Err(Ending));
                        }
                    }
                }
            };
            self.patience.readiness.clear(Part::Registry.name());
            if contradicts {
                return Err(self.other_schema(met, polled.offset()));
            }
        }
        Ok(Ok(()))
    }

    fn other_schema(&self, met: Met, offset: i64) -> SourceError {
        let Met { topic, side, id } = met;
        let copies = self.registry.copies().display().to_string();
        SourceError::OtherSchema { topic, offset, side, id, copies }
    }

    /// Whether a former run has applied the record at this offset.
    fn is_passed(&self, offset: i64) -> bool {
        self.reading.spec.target.is_some_and(|target| offset < target.next_offset)
    }

    fn met(&self, side: Side, id: u32) -> Met {
        Met { topic: self.reading.spec.partition.topic.clone(), side, id }
    }

    /// Makes a dead letter of the record, however long that takes. What a former run passed is
    /// one already.
    fn put_aside(
        &mut self,
        polled: &BorrowedMessage<'_>,
        reason: &str,
    ) -> Result<Result<(), Ending>, SourceError> {
        let (topic, offset) = (polled.topic(), polled.offset());
        if self.is_passed(offset) {
            return Ok(Ok(()));
        }
        warn!(topic, partition = polled.partition(), offset, reason, "unreadable record put aside");
        let mut wait = FIRST_WAIT;
        while let Err(error) = self.patience.runtime.block_on(self.dead_letters.put(polled, reason))
        {
            let reason = format!("cannot put an unreadable record aside: {error}");
            if self.patience.wait_for(Part::Kafka, reason, &mut wait).is_err() {
                return Ok(Err(Ending));
            }
        }
        self.reading.dead.inc();
        self.reading.unreadable_in_a_row += 1;
        if self.reading.unreadable_in_a_row >= self.unreadable_max {
            return Err(SourceError::WrongFormat {
                topic: topic.to_owned(),
                count: self.reading.unreadable_in_a_row,
                offset,
                reason: reason.to_owned(),
            });
        }
        Ok(Ok(()))
    }

    /// The last record that a former run applied must be the same one still, and so must the
    /// last one read before the topic was gone for a while.
    fn check_fingerprint(&mut self, offset: i64, found: u64) -> Result<(), SourceError> {
        if !self.reading.last.note(offset, found) {
            return Err(self.re_created(offset));
        }
        let Some(target) = self.reading.spec.target else { return Ok(()) };
        if offset + 1 != target.next_offset
            || target.fingerprint == 0
            || target.fingerprint == found
        {
            return Ok(());
        }
        Err(self.re_created(offset))
    }

    fn re_created(&self, offset: i64) -> SourceError {
        topics::re_created(&self.reading.spec.partition, offset)
    }
}

/// The schemas that a record was written with.
fn schemas(polled: &BorrowedMessage<'_>) -> impl Iterator<Item = (Side, u32)> {
    let halves = [(Side::Key, polled.key()), (Side::Value, polled.payload())];
    halves.into_iter().filter_map(|(side, bytes)| Some((side, schema_id(bytes?)?)))
}

/// Recognises a record by its timestamp and key; never 0.
pub(super) fn fingerprint(polled: &BorrowedMessage<'_>) -> u64 {
    fingerprint_of(polled.key(), polled.timestamp().to_millis())
}

/// The same of a record with this key, written so many milliseconds after 1970.
pub(crate) fn fingerprint_of(key: Option<&[u8]>, written_ms: Option<i64>) -> u64 {
    xxh3_64_with_seed(key.unwrap_or_default(), written_ms.unwrap_or(0) as u64).max(1)
}
