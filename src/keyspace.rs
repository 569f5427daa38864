//! Names and forms of everything that viewtide keeps in Redis, shared by what writes it and what
//! reads it.
//!
//! All keys of a pipeline carry one hash tag, so that they can change in one script:
//!
//! | key | type | content |
//! |---|---|---|
//! | `{viewtide:NAME}:meta` | hash | owner, `seq`, positions, transactions applied, backlog, generations of each view |
//! | `{viewtide:NAME}:steps` | stream | what the last steps moved ([`StepTrace`]), each under its time by Redis' clock |
//! | `{viewtide:NAME}:VIEW:GENERATION:docs` | hash | key bytes → document |
//! | `{viewtide:NAME}:VIEW:GENERATION:keys` | sorted set, all scores 0 | key bytes: the documents in key order |
//! | `{viewtide:NAME}:VIEW:GENERATION:index` | sorted set, all scores 0 | number of the index (one byte), index values, key bytes |
//! | `{viewtide:NAME}:VIEW:GENERATION:entries` | hash | key bytes → the document's members of `index`, each after its length (4 bytes, big-endian) |
//!
//! Key bytes are those of [`crate::value::Key`]: their order is the order of the keys. A document
//! is JSON; an error document is `!` followed by JSON `{"code", "column", "message"}`. `index` and
//! `entries` exist only for views that declare indexes.
//!
//! A view is filled as a whole into a [`Generation`] of its own, beside the one that readers read;
//! `meta` says which is which ([`Generations`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::change::Partition;
use crate::gtid::{GtidSet, Watermarks};
use crate::sql::plan::View;
use crate::value::Key;

/// Most indexes a view can have: their number is one byte of an index member.
pub const INDEXES_MAX: usize = 255;

/// First byte of an error document.
const ERROR_MARK: u8 = b'!';

/// The Redis keys of one pipeline.
#[derive(Clone, Debug)]
pub struct Keyspace {
    prefix: String,
}

/// The Redis keys of one generation of a view.
#[derive(Clone, Debug)]
pub struct ViewKeys {
    /// Hash of documents.
    pub docs: String,
    /// Sorted set of keys.
    pub keys: String,
    /// Hash of each document's index members.
    pub entries: String,
    /// Sorted set of index members.
    pub index: String,
}

/// Fields of `meta` that tell of one view.
#[derive(Clone, Debug)]
pub struct ViewFields {
    /// The [`Generation`] that readers read.
    pub current: String,
    /// The [`Generation`] that takes its place once it is filled.
    pub next: String,
    /// What `current` contains for certain while documents of it are due, or it is not written.
    pub behind: String,
}

/// Fields of the `meta` hash.
pub mod meta {
    /// Who owns the pipeline: a number that every claim raises.
    pub const EPOCH: &str = "epoch";
    /// The owner's random token.
    pub const TOKEN: &str = "token";
    /// When the owner's lease ends: milliseconds since 1970 of Redis' own clock; 0 when it gave the
    /// pipeline back.
    pub const LEASE: &str = "lease";
    /// Number of the last step.
    pub const SEQ: &str = "seq";
    /// Work not yet published.
    pub const BACKLOG: &str = "backlog";
    /// Prefix of a partition's position: `position:TOPIC:PARTITION`, value `NEXT_OFFSET:FINGERPRINT` (hex).
    pub const POSITION: &str = "position:";
    /// The transactions that are applied, as a set of MySQL's: `SERVER_UUID[:TAG]:1-NUMBER,…`.
    pub const APPLIED: &str = "applied";
    /// Further transactions that are contained, as a server told: those that it had executed.
    pub const EXECUTED: &str = "executed";
    /// Commit time of the newest change applied, in microseconds since 1970.
    pub const COMMITTED: &str = "committed";
    /// Prefix of what readers of a view see for certain while documents of it are due, or while
    /// another generation is being filled: `behind:NAME`, value a [`super::Contained`].
    pub const BEHIND: &str = "behind:";
    /// Prefix of a row whose last change could not be read, by where that change lies:
    /// `stale:TOPIC:PARTITION:OFFSET`, value a [`super::StaleRow`] in JSON.
    pub const STALE: &str = "stale:";
    /// Prefix of how many more there are that are not followed one by one:
    /// `unfollowed:TOPIC:PARTITION`, value `FROM:COUNT`.
    pub const UNFOLLOWED: &str = "unfollowed:";
    /// Prefix of the generation of a view that readers read, all of whose documents are there:
    /// `view:NAME`, value a [`super::Generation`].
    pub const VIEW: &str = "view:";
    /// Prefix of the generation of a view that is being filled, or will be once all tables are
    /// complete again: `next:NAME`, value a [`super::Generation`]. While there is one, nothing is
    /// written to the one that readers read.
    pub const NEXT: &str = "next:";
    /// Prefix of the view that answers for a name, where that is not the view of this name itself:
    /// `served:NAME`, value the name of the view.
    pub const SERVED: &str = "served:";
}

impl Keyspace {
    /// The keys of the pipeline with this name.
    pub fn new(pipeline: &str) -> Keyspace {
        Keyspace { prefix: format!("{{viewtide:{pipeline}}}") }
    }

    /// The hash of owner, positions and states.
    pub fn meta(&self) -> String {
        format!("{}:meta", self.prefix)
    }

    /// The stream of what the last steps moved.
    pub fn steps(&self) -> String {
        format!("{}:steps", self.prefix)
    }

    /// A key that exists only while a claim tries out what steps will need.
    pub fn scratch(&self) -> String {
        format!("{}:scratch", self.prefix)
    }

    /// What the keys of all views begin with; the view's name, the number of a generation and the
    /// kind follow, with `:` between them.
    pub fn views_prefix(&self) -> String {
        format!("{}:", self.prefix)
    }

    /// The keys of a generation of a view.
    pub fn view(&self, view: &str, generation: u64) -> ViewKeys {
        let key = |kind: &str| format!("{}{view}:{generation}:{kind}", self.views_prefix());
        ViewKeys {
            docs: key("docs"),
            keys: key("keys"),
            entries: key("entries"),
            index: key("index"),
        }
    }
}

impl ViewFields {
    /// The fields of the view with this name.
    pub fn new(view: &str) -> ViewFields {
        ViewFields {
            current: format!("{}{view}", meta::VIEW),
            next: format!("{}{view}", meta::NEXT),
            behind: format!("{}{view}", meta::BEHIND),
        }
    }
}

/// What all members of an index with these values begin with; the document's key follows.
pub fn index_prefix(index: u8, values: &Key) -> Vec<u8> {
    let mut member = Vec::with_capacity(1 + values.as_bytes().len() + 24);
    member.push(index);
    member.extend_from_slice(values.as_bytes());
    member
}

/// Documents of a view that were filled together, of one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Tells its keys from those of others; it only rises while the view is there.
    pub number: u64,
    /// [`View::fingerprint`] of the definition.
    pub fingerprint: String,
    /// [`View::key_form`]: by it readers know whether they name documents alike.
    pub key_form: String,
    /// [`View::index_form`]: by it readers know whether they look up alike.
    pub index_form: String,
}

/// What there is of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// What readers read: every document is there. While there is another to come, it is not
    /// written any more.
    pub current: Option<Generation>,
    /// What is being filled, or is to be, to be read then.
    pub next: Option<Generation>,
}

impl Generation {
    /// A generation of a view as it is defined.
    pub fn of(view: &View, number: u64) -> Generation {
        Generation {
            number,
            fingerprint: view.fingerprint.clone(),
            key_form: view.key_form(),
            index_form: view.index_form(),
        }
    }

    /// As it stands in `meta`: its number first, which scripts of readers take from there.
    pub fn to_field(&self) -> String {
        let Generation { number, fingerprint, key_form, index_form } = self;
        format!("{number} {fingerprint} {key_form} {index_form}")
    }

    /// Reads it from `meta`; `None` for text that is none.
    pub fn from_field(text: &str) -> Option<Generation> {
        let mut words = text.split(' ');
        let number = words.next()?.parse().ok()?;
        let mut word = || words.next().map(str::to_owned);
        let generation =
            Generation { number, fingerprint: word()?, key_form: word()?, index_form: word()? };
        words.next().is_none().then_some(generation)
    }
}

impl Generations {
    /// Whether readers read all there is, and nothing newer is being filled.
    pub fn is_whole(&self) -> bool {
        self.current.is_some() && self.next.is_none()
    }

    /// All there are.
    pub fn all(&self) -> impl Iterator<Item = &Generation> {
        self.current.iter().chain(&self.next)
    }

    /// The one that documents are written to.
    pub fn written(&self) -> Option<&Generation> {
        self.next.as_ref().or(self.current.as_ref())
    }

    /// Whether what readers read is not written any more.
    pub fn is_frozen(&self) -> bool {
        self.current.is_some() && self.next.is_some()
    }

    /// What readers read follows the tables no longer: it stays as it is until another one, of the
    /// same definition so far, is filled.
    pub fn freeze(&mut self) {
        if let (Some(current), None) = (&self.current, &self.next) {
            self.next = Some(Generation { number: current.number + 1, ..current.clone() });
        }
    }

    /// The next one is to be of this definition. What was filled of it so far is kept.
    pub fn prepare(&mut self, view: &View) {
        if self.next.as_ref().is_none_or(|next| next.fingerprint != view.fingerprint) {
            let last = self.all().map(|generation| generation.number).max();
            self.next = Some(Generation::of(view, last.unwrap_or(0) + 1));
        }
    }

    /// The next one is given up if it is of another definition than this.
    pub fn abandon_others(&mut self, fingerprint: &str) {
        if let Some(next) = self.next.take_if(|next| next.fingerprint != fingerprint) {
            let renamed =
                |current: &Generation| Generation { number: next.number + 1, ..current.clone() };
            self.next = self.current.as_ref().map(renamed);
        }
    }

    /// The next one is filled: from here on it is read.
    pub fn switch(&mut self) {
        if let Some(next) = self.next.take() {
            self.current = Some(next);
        }
    }
}

/// What documents contain for certain, as told in `meta`; sets of transactions are text of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contained {
    /// As of [`meta::APPLIED`].
    pub applied: String,
    /// As of [`meta::EXECUTED`].
    pub executed: String,
    /// As of [`meta::COMMITTED`]; `None` when nothing is known of it.
    pub committed_us: Option<u64>,
}

impl Contained {
    /// As it stands in `meta` for a view: `APPLIED EXECUTED COMMITTED`, empty if it is nothing.
    pub fn to_field(&self) -> String {
        let Contained { applied, executed, committed_us } = self;
        let committed = committed_us.map(|micros| micros.to_string()).unwrap_or_default();
        format!("{applied} {executed} {committed}").trim_end().to_owned()
    }

    /// Reads it from `meta`; what is missing is nothing.
    pub fn from_field(text: &str) -> Contained {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (applied, executed) = (word(), word());
        Contained { applied, executed, committed_us: word().parse().ok() }
    }

    /// Whether all transactions of a set are contained.
    pub fn contains(&self, set: &GtidSet) -> bool {
        let applied = self.applied.parse::<Watermarks>().unwrap_or_default();
        let executed = self.executed.parse::<GtidSet>().unwrap_or_default();
        set.is_contained(&applied, &executed)
    }

    /// Whether all that another contains is contained.
    pub fn includes(&self, other: &Contained) -> bool {
        let contains = |text: &str| text.parse().is_ok_and(|set| self.contains(&set));
        contains(&other.applied) && contains(&other.executed)
    }
}

/// A row whose documents keep an older state than the last change of it, which is a dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleRow {
    /// Its table.
    pub table: String,
    /// Its primary key, a text for each column; `None` where it could not be read either.
    pub key: Option<Vec<String>>,
    /// Why a replay was not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What a step moved, as Redis keeps it of the last ones: by it is told when a record's change could
/// be read. Only partitions with rows are in it, and only steps that moved one, or after which another
/// view was behind than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepTrace {
    /// By partition: the first offset that was applied by the step, and the first that was not.
    pub moved: BTreeMap<Partition, (i64, i64)>,
    /// The views of which documents were due after the step, or that readers read another generation
    /// of than the one that is written.
    pub behind: BTreeSet<String>,
    /// The views of which readers read another definition's documents from the step on, or the first
    /// there are.
    pub filled: BTreeSet<String>,
    /// Dead letters that were applied by the step, though their partitions had passed them long ago.
    pub replayed: BTreeSet<(Partition, i64)>,
}

/// Name of what is in every [`StepTrace`].
const TRACE_BEHIND: &str = "behind";

/// Name of the views that were filled.
const TRACE_FILLED: &str = "filled";

/// Prefix of a dead letter that was applied.
const TRACE_REPLAYED: &str = "replayed:";

impl StepTrace {
    /// As names and values: `position:TOPIC:PARTITION`, `FROM:NEXT`; `replayed:TOPIC:PARTITION:OFFSET`,
    /// nothing; `filled`, if any are, and last `behind`, names in JSON.
    pub fn to_fields(&self) -> Vec<(String, String)> {
        let moved = self.moved.iter().map(|(Partition { topic, number }, (from, next))| {
            (format!("{}{topic}:{number}", meta::POSITION), format!("{from}:{next}"))
        });
        let replayed = self.replayed.iter().map(|(Partition { topic, number }, offset)| {
            (format!("{TRACE_REPLAYED}{topic}:{number}:{offset}"), String::new())
        });
        let names = |name: &str, views: &BTreeSet<String>| {
            (name.to_owned(), serde_json::to_string(views).unwrap_or_default())
        };
        let filled = (!self.filled.is_empty()).then(|| names(TRACE_FILLED, &self.filled));
        moved.chain(replayed).chain(filled).chain([names(TRACE_BEHIND, &self.behind)]).collect()
    }

    /// Reads what [`StepTrace::to_fields`] wrote; what cannot be read is left out.
    pub fn from_fields(fields: impl IntoIterator<Item = (String, String)>) -> StepTrace {
        let mut trace = StepTrace::default();
        for (name, value) in fields {
            if name == TRACE_BEHIND {
                trace.behind = serde_json::from_str(&value).unwrap_or_default();
            } else if name == TRACE_FILLED {
                trace.filled = serde_json::from_str(&value).unwrap_or_default();
            } else if let Some((place, range)) = read_moved(&name, &value) {
                trace.moved.insert(place, range);
            } else if let Some(place) = read_replayed(&name) {
                trace.replayed.insert(place);
            }
        }
        trace
    }
}

fn read_moved(name: &str, value: &str) -> Option<(Partition, (i64, i64))> {
    let (from, next) = value.split_once(':')?;
    let partition = read_partition(name.strip_prefix(meta::POSITION)?)?;
    Some((partition, (from.parse().ok()?, next.parse().ok()?)))
}

fn read_replayed(name: &str) -> Option<(Partition, i64)> {
    let (partition, offset) = name.strip_prefix(TRACE_REPLAYED)?.rsplit_once(':')?;
    Some((read_partition(partition)?, offset.parse().ok()?))
}

fn read_partition(place: &str) -> Option<Partition> {
    let (topic, number) = place.rsplit_once(':')?;
    Some(Partition { topic: topic.to_owned(), number: number.parse().ok()? })
}

/// Stale rows of a partition beyond those that are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfollowed {
    /// Offset of the first of their dead letters.
    pub from: i64,
    /// How many.
    pub count: u64,
}

/// What stands in a document's place when MySQL itself would raise an error for its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDocument {
    /// MySQL's error number.
    pub code: u16,
    /// The column of the document that could not be computed; `None` for a join or a filter.
    pub column: Option<String>,
    /// MySQL's message.
    pub message: String,
}

impl ErrorDocument {
    /// As it is stored.
    pub fn to_stored(&self) -> Vec<u8> {
        let mut stored = vec![ERROR_MARK];
        // Numbers and strings always have a JSON form, and a Vec takes any number of bytes.
        let _ = serde_json::to_writer(&mut stored, self);
        stored
    }

    /// Reads a stored document: `None` if it is an ordinary one.
    pub fn from_stored(stored: &[u8]) -> Option<ErrorDocument> {
        let json = stored.strip_prefix(&[ERROR_MARK])?;
        Some(serde_json::from_slice(json).unwrap_or_else(|_| ErrorDocument {
            code: 0,
            column: None,
            message: "unreadable error document".to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Definitions, SourceFile, plan_views};

    fn generation(number: u64, fingerprint: &str) -> Generation {
        let (key_form, index_form) = ("k".to_owned(), "i".to_owned());
        Generation { number, fingerprint: fingerprint.to_owned(), key_form, index_form }
    }

    #[test]
    fn generations_read_back() {
        let one = generation(7, "f");
        assert_eq!(Generation::from_field(&one.to_field()), Some(one));
        for text in ["", "complete f", "x f k i", "7 f k", "7 f k i j"] {
            assert_eq!(Generation::from_field(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_read_stays_until_another_generation_is_filled() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
        });
        let mut view = View { fingerprint: "f".into(), ..plan.unwrap().views[0].clone() };
        let mut generations = Generations::default();
        generations.freeze();
        assert_eq!(generations, Generations::default(), "nothing is read, nothing stays");
        generations.prepare(&view);
        generations.prepare(&view);
        assert_eq!(generations.written().map(|of| of.number), Some(1), "the fill goes on");
        generations.switch();
        assert!(generations.current.is_some() && !generations.is_frozen());
        generations.freeze();
        assert_eq!(generations.next.as_ref().map(|of| of.number), Some(2));
        view.fingerprint = "g".into();
        generations.prepare(&view);
        let numbers: Vec<_> = generations.all().map(|of| (of.number, &*of.fingerprint)).collect();
        assert_eq!(numbers, [(1, "f"), (3, "g")], "what is of another definition is not reused");
        generations.switch();
        assert_eq!(generations.written().map(|of| of.number), Some(3));
    }

    #[test]
    fn what_is_contained_reads_back_and_compares() {
        const A: &str = "f9922be6-e58e-11f1-8fa9-02fc00000001";
        const B: &str = "f9922be6-e58e-11f1-8fa9-02fc00000002";
        let of = |applied: &str, executed: &str, committed_us| Contained {
            applied: applied.to_owned(),
            executed: executed.to_owned(),
            committed_us,
        };
        let (some, more) = (format!("{A}:1-4"), format!("{A}:1-5"));
        let other = format!("{B}:1-2");
        for one in [of(&some, &other, Some(7)), of(&some, "", None), of("", &other, None)] {
            assert_eq!(Contained::from_field(&one.to_field()), one);
            assert!(one.includes(&one) && one.includes(&Contained::default()));
            assert!(!Contained::default().includes(&one));
        }
        assert_eq!(Contained::default().to_field(), "");
        assert_eq!(Contained::from_field(""), Contained::default());
        assert!(of(&more, &other, None).includes(&of(&some, "", None)));
        assert!(!of(&more, "", None).includes(&of(&some, &other, None)));
        assert!(of("", &more, None).includes(&of(&some, "", None)), "wherever it is told");
    }

    #[test]
    fn traces_read_back() {
        let partition = |number| Partition { topic: "mysql.shop:orders".into(), number };
        let trace = StepTrace {
            moved: [(partition(0), (0, 7)), (partition(1), (12, 13))].into(),
            behind: ["a:b".to_owned()].into(),
            filled: ["c".to_owned()].into(),
            replayed: [(partition(0), 3), (partition(1), 3), (partition(1), 4)].into(),
        };
        assert_eq!(StepTrace::from_fields(trace.to_fields()), trace);
        assert_eq!(StepTrace::default().to_fields(), [("behind".to_owned(), "[]".to_owned())]);
        let other = [("position:t:0", "7"), ("position:t", "1:2"), ("replayed:t:1", ""), ("?", "")];
        let other = other.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(StepTrace::from_fields(other), StepTrace::default());
    }

    #[test]
    fn error_documents_read_back() {
        let error =
            ErrorDocument { code: 1690, column: Some("c".into()), message: "\"out\"".into() };
        assert_eq!(ErrorDocument::from_stored(&error.to_stored()), Some(error));
        assert_eq!(ErrorDocument::from_stored(b"{\"a\": 1}"), None);
    }
}
