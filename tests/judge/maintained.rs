//! The product's engine with a publisher around it, as the pipeline has one: batches are applied,
//! touched documents published, wide fan-outs and refills worked off between.

use std::collections::BTreeMap;
use std::sync::Arc;

use viewtide::change::Change;
use viewtide::engine::{Engine, Fanout};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::value::Key;

use super::case::Way;
use super::mutants::Mutant;
use super::support::filled::stored;

/// Documents of a fan-out that are worked off at a time.
const CHUNK: usize = 2;

pub(crate) struct Maintained {
    plan: Arc<Plan>,
    engine: Engine,
    /// By view: what a reader would find, as it is stored.
    pub(crate) published: Vec<BTreeMap<Key, Vec<u8>>>,
    fanouts: Vec<Fanout>,
    refills: Vec<ViewId>,
    mutant: Option<Mutant>,
}

impl Maintained {
    pub(crate) fn new(plan: Arc<Plan>, way: &Way, mutant: Option<Mutant>) -> Maintained {
        Maintained {
            engine: Engine::with_limits(Arc::clone(&plan), way.fan_out_max, way.looked_through_max),
            published: vec![BTreeMap::new(); plan.views.len()],
            fanouts: Vec::new(),
            refills: Vec::new(),
            plan,
            mutant,
        }
    }

    /// Makes every view live; each is to be filled.
    pub(crate) fn go_live(&mut self) {
        for (view, _) in self.plan.views_with_ids() {
            self.engine.set_live(view, true);
            self.refills.push(view);
        }
    }

    /// Applies a batch and publishes what it touched.
    pub(crate) fn apply(&mut self, batch: Vec<Change>) {
        self.engine.apply_all(batch);
        let touched = self.engine.take_touched();
        touched.documents.iter().for_each(|(view, key)| self.publish(*view, key));
        if self.mutant != Some(Mutant::FanoutsLost) {
            self.fanouts.extend(touched.fanouts);
        }
        if self.mutant != Some(Mutant::RefillsLost) {
            self.refills.extend(touched.refills);
        }
    }

    /// Works off a part of the backlog; whether there was any.
    pub(crate) fn work_off(&mut self) -> bool {
        if let Some(view) = self.refills.pop() {
            let keys = self.engine.keys_after(view, None, usize::MAX);
            self.published[usize::from(view.0)].retain(|key, _| keys.contains(key));
            keys.iter().for_each(|key| self.publish(view, key));
        } else if let Some(fanout) = self.fanouts.pop() {
            let (keys, rest) = self.engine.fanout_documents(&fanout, CHUNK);
            keys.iter().for_each(|key| self.publish(fanout.view, key));
            self.fanouts.extend(rest);
        } else {
            return false;
        }
        true
    }

    fn publish(&mut self, view: ViewId, key: &Key) {
        let Some(document) = self.engine.assemble(view, key) else { return };
        let published = &mut self.published[usize::from(view.0)];
        match stored(document) {
            None => drop(published.remove(key)),
            Some(stored) => drop(published.insert(key.clone(), stored)),
        }
    }
}
