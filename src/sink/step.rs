//! What one atomic step changes: documents of some views, and fields of `meta`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use redis::Cmd;

use crate::change::{Partition, Position};
use crate::engine::Document;
use crate::gtid::Watermarks;
use crate::keyspace::{
    ErrorDocument, Generation, Generations, StaleRow, StepTrace, Unfollowed, ViewFields,
    index_prefix, meta,
};
use crate::sql::plan::ViewId;
use crate::value::Key;

/// Most documents that one step may write or remove: Redis serves nobody else meanwhile.
pub const STEP_DOCUMENTS_MAX: usize = 16_384;

/// Most bytes of documents, keys and index entries in one step. A step holds what the pipeline
/// puts together (4 MiB) and whatever a last document adds (8 MiB).
pub const STEP_BYTES_MAX: usize = 32 << 20;

/// The last steps of which Redis keeps what they moved: some 2 MB.
pub const STEPS_TRACED_MAX: usize = 10_000;

/// Most partitions and views in what is kept of one step; of one with more nothing is.
const TRACE_FIELDS_MAX: usize = 1000;

/// One atomic step, put together from current state: a key that is named twice must come with the
/// same content.
#[derive(Debug)]
pub struct Step {
    pub(super) id: u64,
    pub(super) views: BTreeMap<Target, ViewStep>,
    /// Generations of which nothing is left, by name of the view and number.
    pub(super) dropped: BTreeSet<(String, u64)>,
    /// Fields of `meta` that change; `None` removes.
    fields: BTreeMap<String, Option<String>>,
    /// What is kept of it among the last steps; empty for nothing.
    trace: Vec<(String, String)>,
    documents: usize,
    bytes: usize,
}

/// A generation of a view, to be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The view.
    pub view: ViewId,
    /// Number of the generation.
    pub generation: u64,
}

/// What changes in one generation of a view.
#[derive(Clone, Debug, Default)]
pub struct ViewStep {
    /// Documents written.
    pub puts: Vec<Put>,
    /// Documents removed, behind those written.
    pub removed: Vec<Key>,
    /// Ranges in which nothing but the documents written is left.
    pub ranges: Vec<KeyRange>,
}

/// A document written.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its key.
    pub key: Key,
    /// As it is stored.
    pub body: Vec<u8>,
    /// Its index members, each after its length (4 bytes, big-endian).
    pub entries: Vec<u8>,
}

/// The keys above `after` up to and with `until`; `None` is open.
#[derive(Clone, Debug)]
pub struct KeyRange {
    /// Below the first.
    pub after: Option<Key>,
    /// The last.
    pub until: Option<Key>,
}

impl Step {
    /// A step that changes nothing yet.
    pub fn new() -> Step {
        // Ids tell a step that is sent again from another one with the same number.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Step {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            views: BTreeMap::new(),
            dropped: BTreeSet::new(),
            fields: BTreeMap::new(),
            trace: Vec::new(),
            documents: 0,
            bytes: 0,
        }
    }

    /// Documents written and removed so far; at most [`STEP_DOCUMENTS_MAX`].
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Bytes of documents, keys and index entries so far; at most [`STEP_BYTES_MAX`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.views.is_empty() && self.fields.is_empty()
    }

    /// Whether it frees memory and takes none: one that a server does though its memory is full.
    pub fn only_drops(&self) -> bool {
        self.views.is_empty() && !self.dropped.is_empty()
    }

    /// What changes in each generation.
    pub fn views(&self) -> &BTreeMap<Target, ViewStep> {
        &self.views
    }

    /// Generations of which nothing is left, by name of the view and number.
    pub fn dropped(&self) -> &BTreeSet<(String, u64)> {
        &self.dropped
    }

    /// Fields of `meta` that change; `None` removes.
    pub fn fields(&self) -> &BTreeMap<String, Option<String>> {
        &self.fields
    }

    /// Sets what stands under a key. Error documents are not found by index.
    pub fn set(&mut self, target: Target, key: Key, document: Document) {
        let (body, entries) = match document {
            Document::Present { body, index_values } => (body, pack_entries(&key, &index_values)),
            Document::Error { code, column, message } => {
                (ErrorDocument { code, column, message }.to_stored(), Vec::new())
            }
            Document::Absent => {
                self.documents += 1;
                self.bytes += key.as_bytes().len();
                self.target(target).removed.push(key);
                return;
            }
        };
        self.documents += 1;
        self.bytes += key.as_bytes().len() + body.len() + entries.len();
        self.target(target).puts.push(Put { key, body, entries });
    }

    /// Removes every document with a key above `after` (`None`: from the first) up to and with
    /// `until` (`None`: to the last) that this step does not write.
    pub fn replace(&mut self, target: Target, after: Option<Key>, until: Option<Key>) {
        self.target(target).ranges.push(KeyRange { after, until });
    }

    /// What there is of a view from now on. The documents of what is there no more are dropped
    /// besides ([`Step::drop_generation`]).
    pub fn generations(&mut self, view: &str, generations: &Generations) {
        let ViewFields { current, next, behind: _ } = ViewFields::new(view);
        let value = |generation: &Option<Generation>| generation.as_ref().map(Generation::to_field);
        self.fields.insert(current, value(&generations.current));
        self.fields.insert(next, value(&generations.next));
    }

    /// All documents of a generation go. However many they are, the step is not longer for it:
    /// Redis frees them on a thread of its own.
    pub fn drop_generation(&mut self, view: &str, number: u64) {
        self.dropped.insert((view.to_owned(), number));
    }

    /// There is no view of this name any more: all that Redis holds of it goes.
    pub fn drop_view(&mut self, name: &str, held: &Generations) {
        self.generations(name, &Generations::default());
        self.behind(name, None);
        held.all().for_each(|generation| self.drop_generation(name, generation.number));
    }

    /// A partition has been applied up to here.
    pub fn position(&mut self, partition: &Partition, position: Position) {
        let field = format!("{}{}:{}", meta::POSITION, partition.topic, partition.number);
        let value = format!("{}:{:016x}", position.next_offset, position.fingerprint);
        self.fields.insert(field, Some(value));
    }

    /// The partition is not read any more. If it is again, then from its first record.
    pub fn forget_position(&mut self, partition: &Partition) {
        let field = format!("{}{}:{}", meta::POSITION, partition.topic, partition.number);
        self.fields.insert(field, None);
    }

    /// The record at this offset could not be read, and this row is stale since; `None` when it is
    /// no more.
    pub fn stale_row(&mut self, partition: &Partition, offset: i64, row: Option<StaleRow>) {
        let Partition { topic, number } = partition;
        let field = format!("{}{topic}:{number}:{offset}", meta::STALE);
        let value = row.map(|row| serde_json::to_string(&row).unwrap_or_default());
        self.fields.insert(field, value);
    }

    /// So many more rows are stale; `None` when none is.
    pub fn unfollowed(&mut self, partition: &Partition, more: Option<Unfollowed>) {
        let Partition { topic, number } = partition;
        let value = more.map(|more| format!("{}:{}", more.from, more.count));
        self.fields.insert(format!("{}{topic}:{number}", meta::UNFOLLOWED), value);
    }

    /// These transactions have been applied, and no others.
    pub fn applied(&mut self, applied: &Watermarks) {
        self.fields.insert(meta::APPLIED.to_owned(), Some(applied.to_string()));
    }

    /// All of these transactions, a set of MySQL's, have been applied or lie before the snapshot.
    pub fn executed(&mut self, set: &str) {
        self.fields.insert(meta::EXECUTED.to_owned(), Some(set.to_owned()));
    }

    /// The newest change was committed then, in microseconds since 1970.
    pub fn committed(&mut self, micros: i64) {
        self.fields.insert(meta::COMMITTED.to_owned(), Some(micros.to_string()));
    }

    /// For certain readers of a view see no more than this ([`crate::keyspace::Contained::to_field`]),
    /// for documents of it are due, or what they read is not written any more; `None` when neither
    /// is so.
    pub fn behind(&mut self, view: &str, contained: Option<String>) {
        self.fields.insert(ViewFields::new(view).behind, contained);
    }

    /// This view answers for a name from here on; `None` for the view of this name itself.
    pub fn served(&mut self, name: &str, view: Option<&str>) {
        let field = format!("{}{name}", meta::SERVED);
        self.fields.insert(field, view.map(str::to_owned));
    }

    /// The work that is not yet published; `None` when there is none.
    pub fn backlog(&mut self, backlog: Option<String>) {
        self.fields.insert(meta::BACKLOG.to_owned(), backlog);
    }

    /// What is to be kept of this step among the last [`STEPS_TRACED_MAX`].
    pub fn trace(&mut self, trace: &StepTrace) {
        self.trace = trace.to_fields();
        if self.trace.len() > TRACE_FIELDS_MAX {
            self.trace.clear();
        }
    }

    /// What is to be kept of this step, if anything.
    pub fn traced(&self) -> Option<StepTrace> {
        (!self.trace.is_empty()).then(|| StepTrace::from_fields(self.trace.iter().cloned()))
    }

    /// Adds what is kept of it to the arguments of the step script.
    pub(super) fn push_trace(&self, call: &mut Cmd) {
        call.arg(STEPS_TRACED_MAX).arg(self.trace.len());
        for (name, value) in &self.trace {
            call.arg(name).arg(value);
        }
    }

    /// Adds the fields to the arguments of the step script.
    pub(super) fn push_fields(&self, call: &mut Cmd) {
        let (set, unset): (Vec<_>, Vec<_>) = self.fields.iter().partition(|(_, v)| v.is_some());
        call.arg(set.len());
        for (name, value) in set {
            call.arg(name).arg(value);
        }
        call.arg(unset.len());
        for (name, _) in unset {
            call.arg(name);
        }
    }

    fn target(&mut self, target: Target) -> &mut ViewStep {
        self.views.entry(target).or_default()
    }
}

impl ViewStep {
    /// Adds the view's changes to the arguments of the step script.
    pub(super) fn push_to(&self, call: &mut Cmd, indexed: bool) {
        call.arg(u8::from(indexed));
        call.arg(self.puts.len());
        for put in &self.puts {
            call.arg(put.key.as_bytes()).arg(put.body.as_slice());
        }
        if indexed {
            for put in &self.puts {
                call.arg(put.entries.as_slice());
            }
        }
        call.arg(self.removed.len());
        for key in &self.removed {
            call.arg(key.as_bytes());
        }
        call.arg(self.ranges.len());
        for range in &self.ranges {
            let given = self.puts.iter().map(|put| &put.key).filter(|key| range.contains(key));
            let given = given.collect::<BTreeSet<_>>().len();
            let (lower, upper) = range.bounds();
            call.arg(lower).arg(upper).arg(given);
        }
    }
}

impl Default for Step {
    fn default() -> Step {
        Step::new()
    }
}

impl KeyRange {
    /// The range as ZRANGEBYLEX takes it.
    pub(super) fn bounds(&self) -> (Vec<u8>, Vec<u8>) {
        let bound = |mark: u8, key: &Key| [&[mark], key.as_bytes()].concat();
        (
            self.after.as_ref().map_or(b"-".to_vec(), |key| bound(b'(', key)),
            self.until.as_ref().map_or(b"+".to_vec(), |key| bound(b'[', key)),
        )
    }

    /// Whether a key is in it.
    pub fn contains(&self, key: &Key) -> bool {
        self.after.as_ref().is_none_or(|after| key > after)
            && self.until.as_ref().is_none_or(|until| key <= until)
    }
}

/// A document's index members, each after its length.
fn pack_entries(key: &Key, index_values: &[Key]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (index, values) in index_values.iter().enumerate() {
        let mut member = index_prefix(index as u8, values);
        member.extend_from_slice(key.as_bytes());
        packed.extend_from_slice(&(member.len() as u32).to_be_bytes());
        packed.append(&mut member);
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn key(number: i64) -> Key {
        let mut key = Key::new();
        key.push(&Value::Int(number));
        key
    }

    #[test]
    fn ranges_leave_out_their_lower_end() {
        let range = KeyRange { after: Some(key(1)), until: Some(key(3)) };
        assert_eq!(
            [0, 1, 2, 3, 4].map(|n| range.contains(&key(n))),
            [false, false, true, true, false]
        );
        let open = KeyRange { after: None, until: None };
        assert!(open.contains(&key(i64::MIN)) && open.contains(&key(i64::MAX)));
        assert_eq!(open.bounds(), (b"-".to_vec(), b"+".to_vec()));
    }

    #[test]
    fn a_step_counts_what_it_holds() {
        let mut step = Step::new();
        assert!(step.is_empty());
        let present = Document::Present { body: "{}".into(), index_values: Vec::new() };
        let target = Target { view: ViewId(0), generation: 1 };
        step.set(target, key(1), present);
        step.set(target, key(2), Document::Absent);
        assert_eq!((step.documents(), step.bytes()), (2, 9 + 2 + 9));
        assert_ne!(step.id, Step::new().id);
    }
}
