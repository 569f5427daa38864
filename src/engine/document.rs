//! What the engine says about a document, and which documents it has to speak of.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::frame::Frame;
use crate::sql::expr::EvalError;
use crate::sql::plan::{NodeId, Output, View, ViewId};
use crate::value::{Key, write_json_string};

/// A document as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// The view has no row with this key.
    Absent,
    /// The view has this row.
    Present {
        /// A JSON object, compact: the view's columns by name, in order.
        body: Vec<u8>,
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

/// Writes documents of one view; what does not change from one to the next is prepared.
#[derive(Debug)]
pub(super) struct Writer {
    /// What stands before each column's value: `{"order_id":`, `,"total":`.
    names: Vec<Vec<u8>>,
    /// Reused for every document.
    body: Vec<u8>,
    index_values: Vec<Key>,
}

/// What stands for the hash of a document that is not there.
const ABSENT: u64 = 2;

impl Writer {
    /// A writer of documents of this view.
    pub(super) fn new(view: &View) -> Writer {
        let name = |(i, output): (usize, &Output)| {
            let mut text = vec![if i == 0 { b'{' } else { b',' }];
            write_json_string(&mut text, &output.name);
            text.push(b':');
            text
        };
        Writer {
            names: view.outputs.iter().enumerate().map(name).collect(),
            body: Vec::new(),
            index_values: Vec::new(),
        }
    }

    /// Makes the document of a root row. `publish` is given its hash and says whether it is
    /// wanted; `None` if not.
    pub(super) fn write<'e>(
        &mut self,
        frame: &Frame<'e>,
        root: &'e [u8],
        publish: impl FnOnce(u64) -> bool,
    ) -> Option<Document> {
        match self.fill(frame, root) {
            Ok(true) => publish(xxh3_64(&self.body)).then(|| Document::Present {
                body: self.body.clone(),
                index_values: self.index_values.drain(..).collect(),
            }),
            Ok(false) => publish(ABSENT).then_some(Document::Absent),
            Err((error, column)) => {
                let hash = xxh3_64(format!("{column:?} {error}").as_bytes());
                let column = column.map(|column| frame.view().outputs[column].name.clone());
                let (code, message) = error.into_parts();
                publish(hash).then_some(Document::Error { code, column, message })
            }
        }
    }

    /// Writes the body and the index values; whether the view has the row. An error comes with
    /// the column that it arose in.
    fn fill<'e>(
        &mut self,
        frame: &Frame<'e>,
        root: &'e [u8],
    ) -> Result<bool, (EvalError, Option<usize>)> {
        self.body.clear();
        self.index_values.clear();
        let view = frame.view();
        if !frame.admit(&view.scope, root).map_err(|error| (error, None))? {
            return Ok(false);
        }
        for (column, name) in self.names.iter().enumerate() {
            self.body.extend_from_slice(name);
            let shown = view.outputs[column].expr.append_document(frame, &mut self.body);
            shown.map_err(|error| (error, Some(column)))?;
        }
        self.body.push(b'}');
        for index in &view.indexes {
            let mut key = Key::new();
            for &column in &index.columns {
                let value = view.outputs[column].expr.eval_stored(frame);
                key.push(&value.map_err(|error| (error, Some(column)))?);
            }
            self.index_values.push(key);
        }
        Ok(true)
    }
}
