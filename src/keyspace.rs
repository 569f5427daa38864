//! Names and forms of everything that viewtide keeps in Redis, shared by what writes it and what
//! reads it.
//!
//! All keys of a pipeline carry one hash tag, so that they can change in one script:
//!
//! | key | type | content |
//! |---|---|---|
//! | `{viewtide:NAME}:meta` | hash | owner, `seq`, positions, transactions applied, backlog, state of each view |
//! | `{viewtide:NAME}:VIEW:docs` | hash | key bytes → document |
//! | `{viewtide:NAME}:VIEW:keys` | sorted set, all scores 0 | key bytes: the documents in key order |
//! | `{viewtide:NAME}:VIEW:index` | sorted set, all scores 0 | number of the index (one byte), index values, key bytes |
//! | `{viewtide:NAME}:VIEW:entries` | hash | key bytes → the document's members of `index`, each after its length (4 bytes, big-endian) |
//!
//! Key bytes are those of [`crate::value::Key`]: their order is the order of the keys. A document
//! is JSON; an error document is `!` followed by JSON `{"code", "column", "message"}`. `index` and
//! `entries` exist only for views that declare indexes.

use serde::{Deserialize, Serialize};

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

/// The Redis keys of one view.
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
    /// Field of `meta` that holds the view's [`ViewState`].
    pub state: String,
    /// Field of `meta` that holds what the view contains while documents of it are due.
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
    /// Prefix of what a view contains for certain while documents of it are due: `behind:NAME`,
    /// value as of [`APPLIED`].
    pub const BEHIND: &str = "behind:";
    /// Prefix of a row whose last change could not be read, by where that change lies:
    /// `stale:TOPIC:PARTITION:OFFSET`, value a [`super::StaleRow`] in JSON.
    pub const STALE: &str = "stale:";
    /// Prefix of how many more there are that are not followed one by one:
    /// `unfollowed:TOPIC:PARTITION`, value `FROM:COUNT`.
    pub const UNFOLLOWED: &str = "unfollowed:";
    /// Prefix of a view's state: `view:NAME`, value `filling FINGERPRINT` or `complete FINGERPRINT`.
    pub const VIEW: &str = "view:";
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

    /// A key that exists only while a claim tries out what steps will need.
    pub fn scratch(&self) -> String {
        format!("{}:scratch", self.prefix)
    }

    /// The keys of a view.
    pub fn view(&self, view: &str) -> ViewKeys {
        let key = |kind: &str| format!("{}:{view}:{kind}", self.prefix);
        ViewKeys {
            docs: key("docs"),
            keys: key("keys"),
            entries: key("entries"),
            index: key("index"),
            state: format!("{}{view}", meta::VIEW),
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

/// Whether a view's documents are all there, and of which definition they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewState {
    /// Every document of the view has been published; before, one that is missing may yet come.
    pub complete: bool,
    /// [`crate::sql::plan::View::fingerprint`] of what is published.
    pub fingerprint: String,
}

impl ViewState {
    /// As it stands in `meta`.
    pub fn to_field(&self) -> String {
        format!("{} {}", if self.complete { "complete" } else { "filling" }, self.fingerprint)
    }

    /// Reads it from `meta`; `None` for text that is none.
    pub fn from_field(text: &str) -> Option<ViewState> {
        let (state, fingerprint) = text.split_once(' ')?;
        let complete = match state {
            "complete" => true,
            "filling" => false,
            _ => return None,
        };
        Some(ViewState { complete, fingerprint: fingerprint.to_owned() })
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

    #[test]
    fn states_read_back() {
        for complete in [true, false] {
            let state = ViewState { complete, fingerprint: "a b".to_owned() };
            assert_eq!(ViewState::from_field(&state.to_field()), Some(state));
        }
        assert_eq!(ViewState::from_field("done x"), None);
    }

    #[test]
    fn error_documents_read_back() {
        let error =
            ErrorDocument { code: 1690, column: Some("c".into()), message: "\"out\"".into() };
        assert_eq!(ErrorDocument::from_stored(&error.to_stored()), Some(error));
        assert_eq!(ErrorDocument::from_stored(b"{\"a\": 1}"), None);
    }
}
