//! What the engine says about a document, and which documents it has to speak of.

use serde::{Deserialize, Serialize};

use crate::sql::plan::{NodeId, ViewId};
use crate::value::Key;

/// A document as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// The view has no row with this key.
    Absent,
    /// The view has this row.
    Present {
        /// A JSON object, compact: the view's columns by name, in order.
        body: String,
        /// Per [`crate::sql::plan::View::indexes`]: the values of its columns.
        index_values: Vec<Key>,
    },
    /// MySQL itself raises an error for this row.
    Error {
        /// MySQL's error number.
        code: u16,
        /// The column it arose in; `None` for a join or a filter.
        column: Option<String>,
        /// What happened.
        message: String,
    },
}

/// What the changes since the last asking can have changed, in live views only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Documents, each once.
    pub documents: Vec<(ViewId, Key)>,
    /// Rows that are part of too many documents to list here.
    pub fanouts: Vec<Fanout>,
    /// Views in which any document can have changed: a large table was emptied. They are to be
    /// filled again, range by range.
    pub refills: Vec<ViewId>,
}

/// The documents that the rows of one node with one edge value are part of: work to be done in
/// chunks, from whatever state is current then.
///
/// It can be stored and taken up again by another engine, which then starts from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fanout {
    /// The view.
    pub view: ViewId,
    /// The node whose row changed.
    pub node: NodeId,
    /// The values of that row's edge columns, by which its parents are found.
    pub key: Key,
    /// Recognises how far an engine has come with it; `None` before the first chunk.
    pub cursor: Option<u64>,
}
