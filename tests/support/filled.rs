//! The engine filled with MySQL's rows, and its documents beside MySQL's answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use viewtide::change::{Change, Op};
use viewtide::engine::{Document, Engine};
use viewtide::keyspace::ErrorDocument;
use viewtide::sql::plan::{Plan, View, ViewId};
use viewtide::value::{Key, RowWriter};
use viewtide::verify::{Answer, Comparer};

use super::mysql::{Server, value};

/// An engine with the rows that MySQL has.
pub(crate) async fn filled(plan: &Plan, server: &mut Server) -> Engine {
    let mut engine = Engine::new(Arc::new(plan.clone()));
    plan.views_with_ids().for_each(|(view, _)| engine.set_live(view, true));
    for (id, table) in plan.tables_with_ids() {
        let names: Vec<String> = table.columns.iter().map(|c| format!("`{}`", c.name)).collect();
        let rows = server.rows(&format!("SELECT {} FROM {}", names.join(", "), table.name)).await;
        let mut writer = RowWriter::new(&table.layout);
        for row in rows {
            for (i, bytes) in row.into_iter().enumerate() {
                assert!(writer.set(i, &value(table.columns[i].ty, bytes)));
            }
            engine.apply(Change { table: id, op: Op::Upsert(writer.finish()) });
        }
    }
    engine
}

/// All documents of a view, as they are stored.
pub(crate) fn documents(engine: &mut Engine, view: ViewId) -> BTreeMap<Key, Vec<u8>> {
    let keys = engine.keys_after(view, None, usize::MAX);
    let document = |key: Key| {
        let stored = stored(engine.document(view, &key))?;
        Some((key, stored))
    };
    keys.into_iter().filter_map(document).collect()
}

/// A document as it is stored; `None` if there is none.
pub(crate) fn stored(document: Document) -> Option<Vec<u8>> {
    match document {
        Document::Absent => None,
        Document::Present { body, .. } => Some(body),
        Document::Error { code, column, message } => {
            Some(ErrorDocument { code, column, message }.to_stored())
        }
    }
}

/// The first document that differs from MySQL's answer, by the comparison of `viewtide verify`.
pub(crate) fn difference(
    view: &View,
    ours: &BTreeMap<Key, Vec<u8>>,
    theirs: &BTreeMap<Key, Answer>,
) -> Option<String> {
    let comparer = Comparer { view, document_bytes_max: u64::MAX };
    let keys: BTreeSet<&Key> = ours.keys().chain(theirs.keys()).collect();
    keys.into_iter().find_map(|key| {
        let difference = comparer.compare(theirs.get(key), ours.get(key).map(Vec::as_slice))?;
        let shown = key.texts(&view.key_types()).unwrap_or_default().join(",");
        Some(format!("{shown} {difference}"))
    })
}
