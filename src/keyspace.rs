//! Names of everything that viewtide keeps in Redis, shared by what writes it and what reads it.
//!
//! All keys of a pipeline carry one hash tag, so that they can change in one script:
//!
//! | key | type | content |
//! |---|---|---|
//! | `{viewtide:NAME}:meta` | hash | owner, `seq`, positions, watermarks, backlog, state of each view |
//! | `{viewtide:NAME}:VIEW:docs` | hash | key bytes → document |
//! | `{viewtide:NAME}:VIEW:keys` | sorted set, all scores 0 | key bytes: the documents in key order |
//! | `{viewtide:NAME}:VIEW:index:INDEX` | sorted set, all scores 0 | index values, then key bytes |
//! | `{viewtide:NAME}:VIEW:entries` | hash | key bytes → the document's index members, each with its length |
//!
//! Key bytes are those of [`crate::value::Key`]: their order is the order of the keys. A document
//! is JSON; an error document is `!` followed by JSON `{"code", "column", "message"}`.

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
    /// Sorted sets, in the order of the view's indexes.
    pub indexes: Vec<String>,
}

/// First byte of an error document.
pub const ERROR_MARK: u8 = b'!';

/// Fields of the `meta` hash.
pub mod meta {
    /// Who owns the pipeline: a number that every claim raises.
    pub const EPOCH: &str = "epoch";
    /// The owner's random token.
    pub const TOKEN: &str = "token";
    /// When the owner's lease ends: milliseconds since 1970 of Redis' own clock.
    pub const LEASE: &str = "lease";
    /// Number of the last step.
    pub const SEQ: &str = "seq";
    /// Work not yet published.
    pub const BACKLOG: &str = "backlog";
    /// Prefix of a partition's position: `position:TOPIC:PARTITION`, value `NEXT_OFFSET:FINGERPRINT` (hex).
    pub const POSITION: &str = "position:";
    /// Prefix of an applied watermark: `watermark:SERVER_UUID[:TAG]`, value the transaction number.
    pub const WATERMARK: &str = "watermark:";
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

    /// The keys of a view with these indexes.
    pub fn view<'a>(&self, view: &str, indexes: impl IntoIterator<Item = &'a str>) -> ViewKeys {
        let key = |kind: &str| format!("{}:{view}:{kind}", self.prefix);
        ViewKeys {
            docs: key("docs"),
            keys: key("keys"),
            entries: key("entries"),
            indexes: indexes.into_iter().map(|name| key(&format!("index:{name}"))).collect(),
        }
    }
}
