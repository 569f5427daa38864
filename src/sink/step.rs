//! What one atomic step changes: documents of some views, and fields of `meta`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use redis::Cmd;

use crate::change::{Partition, Position};
use crate::engine::Document;
use crate::gtid::Watermarks;
use crate::keyspace::{ErrorDocument, StaleRow, Unfollowed, ViewState, index_prefix, meta};
use crate::sql::plan::{View, ViewId};
use crate::value::Key;

/// Most documents that one step may write or remove: Redis serves nobody else meanwhile.
pub const STEP_DOCUMENTS_MAX: usize = 16_384;

/// Most bytes of documents, keys and index entries in one step. A step holds what the pipeline
/// puts together (4 MiB) and whatever a last document adds (8 MiB).
pub const STEP_BYTES_MAX: usize = 32 << 20;

/// One atomic step, put together from current state: a key that is named twice must come with the
/// same content.
#[derive(Debug)]
pub struct Step {
    pub(super) id: u64,
    pub(super) views: BTreeMap<ViewId, ViewStep>,
    /// Views of which nothing is left, by name; none of the plan's.
    pub(super) dropped: BTreeSet<String>,
    /// Fields of `meta` that change; `None` removes.
    fields: BTreeMap<String, Option<String>>,
    documents: usize,
    bytes: usize,
}

/// What changes in one view.
#[derive(Clone, Debug, Default)]
pub struct ViewStep {
    /// Documents written.
    pub puts: Vec<Put>,
    /// Documents removed, behind those written.
    pub removed: Vec<Key>,
    /// Ranges in which nothing but the documents written is left.
    pub ranges: Vec<KeyRange>,
    /// All index entries go first.
    pub drops_index: bool,
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

    /// What changes in each view.
    pub fn views(&self) -> &BTreeMap<ViewId, ViewStep> {
        &self.views
    }

    /// Views of which nothing is left, by name.
    pub fn dropped(&self) -> &BTreeSet<String> {
        &self.dropped
    }

    /// Fields of `meta` that change; `None` removes.
    pub fn fields(&self) -> &BTreeMap<String, Option<String>> {
        &self.fields
    }

    /// Sets what stands under a key of a view. Error documents are not found by index.
    pub fn set(&mut self, view: ViewId, key: Key, document: Document) {
        let (body, entries) = match document {
            Document::Present { body, index_values } => (body, pack_entries(&key, &index_values)),
            Document::Error { code, column, message } => {
                (ErrorDocument { code, column, message }.to_stored(), Vec::new())
            }
            Document::Absent => {
                self.documents += 1;
                self.bytes += key.as_bytes().len();
                self.view(view).removed.push(key);
                return;
            }
        };
        self.documents += 1;
        self.bytes += key.as_bytes().len() + body.len() + entries.len();
        self.view(view).puts.push(Put { key, body, entries });
    }

    /// Removes every document with a key above `after` (`None`: from the first) up to and with
    /// `until` (`None`: to the last) that this step does not write.
    pub fn replace(&mut self, view: ViewId, after: Option<Key>, until: Option<Key>) {
        self.view(view).ranges.push(KeyRange { after, until });
    }

    /// From now on documents of the view may be missing: a fill begins. Its index entries are
    /// dropped, for they may be of another definition; the fill brings them back.
    pub fn start_fill(&mut self, id: ViewId, view: &View) {
        self.view(id).drops_index = true;
        self.set_state(view, false);
    }

    /// Every document of the view is there.
    pub fn complete_fill(&mut self, view: &View) {
        self.set_state(view, true);
    }

    /// There is no view of this name any more: all that Redis holds of it goes. However much that
    /// is, the step is not longer for it: Redis frees it on a thread of its own.
    pub fn drop_view(&mut self, name: &str) {
        self.fields.insert(format!("{}{name}", meta::VIEW), None);
        self.fields.insert(format!("{}{name}", meta::BEHIND), None);
        self.dropped.insert(name.to_owned());
    }

    /// The documents of a view stay as they are for now, and some may be missing.
    pub fn suspend_view(&mut self, view: &View) {
        self.set_state(view, false);
    }

    /// The documents of a view, of whatever definition, no longer follow the positions.
    pub fn distrust_view(&mut self, name: &str, stored: &ViewState) {
        let state = ViewState { complete: false, ..stored.clone() };
        self.fields.insert(format!("{}{name}", meta::VIEW), Some(state.to_field()));
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

    /// For certain a view contains only the changes of these transactions, for documents of it are
    /// due; `None` when none is.
    pub fn behind(&mut self, view: &str, applied: Option<String>) {
        self.fields.insert(format!("{}{view}", meta::BEHIND), applied);
    }

    /// The work that is not yet published; `None` when there is none.
    pub fn backlog(&mut self, backlog: Option<String>) {
        self.fields.insert(meta::BACKLOG.to_owned(), backlog);
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

    fn set_state(&mut self, view: &View, complete: bool) {
        let state = ViewState { complete, fingerprint: view.fingerprint.clone() };
        self.fields.insert(format!("{}{}", meta::VIEW, view.name), Some(state.to_field()));
    }

    fn view(&mut self, view: ViewId) -> &mut ViewStep {
        self.views.entry(view).or_default()
    }
}

impl ViewStep {
    /// Adds the view's changes to the arguments of the step script.
    pub(super) fn push_to(&self, call: &mut Cmd, indexed: bool) {
        call.arg(u8::from(indexed)).arg(u8::from(self.drops_index));
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
        step.set(ViewId(0), key(1), present);
        step.set(ViewId(0), key(2), Document::Absent);
        assert_eq!((step.documents(), step.bytes()), (2, 9 + 2 + 9));
        assert_ne!(step.id, Step::new().id);
    }
}
