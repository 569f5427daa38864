//! From touched rows to a step: what is published now, and what goes to the backlog.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::backlog::{Backlog, Chunk};
use super::views::Views;
use crate::config::Limits;
use crate::engine::{Document, Engine, READ_AHEAD};
use crate::sink::{Step, Target};
use crate::sql::plan::{Plan, ViewId};
use crate::telemetry::Metrics;
use crate::value::Key;

/// MySQL's number for a result above `max_allowed_packet`: what comes closest to a document that
/// is too large.
const ER_RESULT_TOO_LARGE: u16 = 1301;

/// Assembles documents into steps, within the bounds of a step.
#[derive(Debug)]
pub(super) struct Publisher {
    plan: Arc<Plan>,
    /// The tables and documents.
    pub(super) engine: Engine,
    /// What is due.
    pub(super) backlog: Backlog,
    bounds: Bounds,
    metrics: Arc<Metrics>,
    /// By [`ViewId`].
    counters: Vec<Counters>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    step_documents: usize,
    step_bytes: usize,
    chunk_documents: usize,
    document_bytes: usize,
}

#[derive(Debug)]
struct Counters {
    published: Counter,
    deleted: Counter,
    unchanged: Counter,
    errors: Counter,
}

impl Publisher {
    /// A publisher of a plan's views.
    pub(super) fn new(
        engine: Engine,
        plan: Arc<Plan>,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Publisher {
        let bound = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let counters = plan.views.iter().map(|view| Counters {
            published: metrics.published(&view.name),
            deleted: metrics.deleted(&view.name),
            unchanged: metrics.unchanged(&view.name),
            errors: metrics.error_documents(&view.name),
        });
        Publisher {
            counters: counters.collect(),
            engine,
            backlog: Backlog::default(),
            bounds: Bounds {
                step_documents: bound(limits.atomic_documents_max),
                step_bytes: bound(limits.atomic_bytes_max),
                chunk_documents: bound(limits.chunk_documents_max),
                document_bytes: bound(limits.document_bytes_max),
            },
            plan,
            metrics,
        }
    }

    /// Starts to fill a view: from here on it follows changes, and everything it has goes out.
    pub(super) fn start_fill(&mut self, view: ViewId) {
        self.engine.set_live(view, true);
        self.engine.forget_published(view);
        self.backlog.fill(view);
    }

    /// Documents of a view are due whether they are what they were or not: what was written is not
    /// what is there.
    pub(super) fn publish_again(&mut self, view: ViewId, keys: &[Key]) {
        keys.iter().for_each(|key| self.engine.forget_published_as(view, key));
        self.backlog.keys(view, keys.iter().cloned());
    }

    /// Nothing of a view is published until it is filled again.
    pub(super) fn hold_back(&mut self, view: ViewId) {
        self.engine.set_live(view, false);
        self.backlog.forget(view);
    }

    /// Puts every document that changes have touched into the step, and what has no room into the
    /// backlog. Returns the views with documents in the step.
    pub(super) fn publish_touched(&mut self, views: &Views, step: &mut Step) -> Vec<ViewId> {
        let touched = self.engine.take_touched();
        for view in touched.refills {
            self.engine.forget_published(view);
            self.backlog.refill(view);
        }
        for fanout in touched.fanouts {
            self.metrics.split_steps.inc();
            self.backlog.fan_out(&self.plan, fanout);
        }
        let mut fresh = Vec::new();
        let mut rest: BTreeMap<ViewId, Vec<Key>> = BTreeMap::new();
        for (at, (view, key)) in touched.documents.iter().enumerate() {
            if at.is_multiple_of(READ_AHEAD) {
                let next = touched.documents[at..].iter().take(READ_AHEAD);
                self.engine.read_ahead(next.map(|(view, key)| (*view, key)));
            }
            if !self.has_room(step) {
                rest.entry(*view).or_default().push(key.clone());
            } else if let Some(target) = views.target(*view)
                && self.publish(target, key.clone(), step)
                && fresh.last() != Some(view)
            {
                fresh.push(*view);
            }
        }
        if !rest.is_empty() {
            self.metrics.split_steps.inc();
        }
        for (view, keys) in rest {
            self.backlog.keys(view, keys);
        }
        fresh
    }

    /// Puts the next chunk of the backlog into the step. Returns the view whose fill that ends.
    pub(super) fn publish_backlog(&mut self, views: &mut Views, step: &mut Step) -> Option<ViewId> {
        if !self.has_room(step) {
            return None;
        }
        let max = self.bounds.chunk_documents;
        let mut chunk = self.backlog.next_chunk(&mut self.engine, max)?;
        let target = views.target(chunk.view)?;
        let mut done = 0;
        while done < chunk.keys.len() && self.has_room(step) {
            if done.is_multiple_of(READ_AHEAD) {
                self.engine.read_ahead(chunk.keys[done..].iter().map(|key| (chunk.view, key)));
            }
            self.publish_due(&chunk, target, &chunk.keys[done], step);
            done += 1;
        }
        self.backlog.return_rest(&mut chunk, done);
        let range = chunk.range?;
        if range.until.is_none() {
            // No key is left that was never passed, though some may be passed once more.
            views.switch(chunk.view);
        }
        step.replace(target, range.after, range.until);
        (!self.backlog.fills(chunk.view)).then_some(chunk.view)
    }

    /// A fill replaces ranges, so what is unchanged must be in it too.
    fn publish_due(&mut self, chunk: &Chunk, target: Target, key: &Key, step: &mut Step) {
        if chunk.range.is_some() {
            let document = self.engine.document(chunk.view, key);
            self.put(target, key.clone(), document, step);
        } else {
            self.publish(target, key.clone(), step);
        }
    }

    fn has_room(&self, step: &Step) -> bool {
        step.documents() < self.bounds.step_documents && step.bytes() < self.bounds.step_bytes
    }

    /// Puts a document into the step unless it is what it was.
    fn publish(&mut self, target: Target, key: Key, step: &mut Step) -> bool {
        match self.engine.assemble(target.view, &key) {
            Some(document) => self.put(target, key, document, step),
            None => {
                self.counters[usize::from(target.view.0)].unchanged.inc();
                return false;
            }
        };
        true
    }

    fn put(&mut self, target: Target, key: Key, document: Document, step: &mut Step) {
        let max = self.bounds.document_bytes;
        let document = match document {
            Document::Present { body, .. } if body.len() > max => Document::Error {
                code: ER_RESULT_TOO_LARGE,
                column: None,
                message: format!(
                    "the document has {} bytes, more than document_bytes_max ({max})",
                    body.len()
                ),
            },
            document => document,
        };
        let counters = &self.counters[usize::from(target.view.0)];
        match &document {
            Document::Absent => counters.deleted.inc(),
            Document::Present { .. } => counters.published.inc(),
            Document::Error { .. } => counters.errors.inc(),
        };
        step.set(target, key, document);
    }
}
