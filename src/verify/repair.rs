//! Mends documents that are proven wrong, by the pipeline itself.
//!
//! The pipeline is told by a command which documents to write again; it writes what its own state
//! has, through the fenced step that all documents go through. MySQL's answer is never written: it
//! is of a moment that is in no position, and could overwrite a newer one. Then these documents are
//! compared once more. What still differs was made from rows that are not MySQL's, and only reading
//! those anew helps: the report names their tables. That is left to the operator, for it costs
//! MySQL a reading of whole tables.

use std::collections::BTreeSet;

use super::report::{ViewReport, texts};
use super::{CHUNK_KEYS, Difference, Verifier, VerifyError};
use crate::operate;
use crate::sql::plan::{TableSource, View};
use crate::value::Key;

impl Verifier<'_> {
    /// Has documents written again, if that is asked for; those that are right afterwards.
    pub(super) async fn repair(
        &mut self,
        view: &View,
        differ: &[(Key, Difference)],
        report: &mut ViewReport,
    ) -> Result<BTreeSet<Key>, VerifyError> {
        let mut repaired = BTreeSet::new();
        if !self.options.repair || differ.is_empty() {
            return Ok(repaired);
        }
        // Documents that readers do not read any more are not wrong, they are gone. The verdict is found
        // anew then, of those that took their place.
        if !self.documents.is_current(&view.name).await? {
            return Ok(repaired);
        }
        let keys: Vec<Key> = differ.iter().map(|(key, _)| key.clone()).collect();
        for chunk in keys.chunks(CHUNK_KEYS) {
            let chunk = chunk.iter().map(|key| texts(key, view)).collect();
            let patience = self.options.patience;
            if !operate::republish(self.config, self.plan, &view.name, chunk, patience).await? {
                return Err(VerifyError::NotObeyed {
                    pipeline: self.config.pipeline.name.clone(),
                    seconds: patience.as_secs(),
                });
            }
        }
        repaired.extend(keys.iter().cloned());
        let again = self.settle(view, keys).await?;
        for key in again.differ.iter().map(|(key, _)| key).chain(&again.undecided) {
            repaired.remove(key);
        }
        if !again.differ.is_empty() {
            report.resnapshot = self.captured_tables(view);
        }
        Ok(repaired)
    }

    /// The tables of MySQL that a view reads, each once.
    fn captured_tables(&self, view: &View) -> Vec<String> {
        let tables = view.nodes.iter().map(|node| self.plan.table(node.table));
        let captured = tables.filter(|table| table.source == TableSource::Captured);
        let names: BTreeSet<&str> = captured.map(|table| table.name.as_str()).collect();
        names.into_iter().map(str::to_owned).collect()
    }
}
