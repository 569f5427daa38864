//! What Redis and its scripts do, in memory. A test drives it and the real ones alike and compares
//! everything that both hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use viewtide::sink::{KeyRange, LEASE, NewClaim, Owner, Ownership, Reply, Step, Sweep, ViewStep};
use viewtide::sql::plan::{Plan, View};

/// Everything that a server holds of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// The `meta` hash.
    pub(super) meta: BTreeMap<String, String>,
    /// By name of the view and number of the generation.
    pub(super) views: BTreeMap<(String, u64), StoredView>,
}

/// One generation of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StoredView {
    /// By key bytes.
    pub(super) documents: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Each document's members of the index, packed.
    pub(super) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Members of the index.
    pub(super) index: BTreeSet<Vec<u8>>,
}

impl Contents {
    /// A claim at this time of the server, in milliseconds.
    pub(super) fn claim(&mut self, claim: &NewClaim<'_>, now_ms: u64) -> Reply {
        let token = self.text("token").to_owned();
        let lease = self.number("lease").unwrap_or(0);
        if token != claim.token && token != claim.token_before && lease > now_ms {
            return Reply::Held { for_ms: lease - now_ms };
        }
        let mut epoch = self.number("epoch").unwrap_or(0);
        if token != claim.token {
            epoch = epoch.max(claim.epoch_min) + 1;
        }
        self.meta.entry("seq".to_owned()).or_insert_with(|| "0".to_owned());
        self.set("epoch", epoch);
        self.meta.insert("token".to_owned(), claim.token.to_owned());
        self.set("lease", now_ms + LEASE.as_millis() as u64);
        Reply::Claimed { epoch, seq: self.number("seq").unwrap_or(0) }
    }

    /// Who owns the pipeline.
    pub(super) fn ownership(&self) -> Ownership {
        Ownership {
            epoch: self.number("epoch"),
            token: self.text("token").to_owned(),
            seq: self.number("seq"),
        }
    }

    /// Whether the pipeline is this owner's at its `seq`.
    pub(super) fn is_owned_by(&self, owner: &Owner) -> bool {
        let Owner { epoch, token, seq } = owner;
        let found = self.ownership();
        (found.epoch, &found.token, found.seq) == (Some(*epoch), token, Some(*seq))
    }

    /// Lets the lease end then.
    pub(super) fn set_lease(&mut self, ends_ms: u64) {
        self.set("lease", ends_ms);
    }

    /// A step of the owner: refused as a whole when a range is too crowded.
    pub(super) fn step(
        &mut self,
        owner: &Owner,
        step: &Step,
        plan: &Plan,
        stale_max: usize,
        lease_ends_ms: u64,
    ) -> Reply {
        if let Some((view, range)) = self.crowded(step, plan, stale_max) {
            return Reply::Crowded { view, range };
        }
        for (target, changes) in step.views() {
            self.write(plan.view(target.view), target.generation, changes);
        }
        self.write_fields(step, owner.seq + 1, lease_ends_ms);
        Reply::Done
    }

    /// The first range of a step with too many keys in it, as places in the step.
    fn crowded(&self, step: &Step, plan: &Plan, stale_max: usize) -> Option<(usize, usize)> {
        for (view, (target, changes)) in step.views().iter().enumerate() {
            let name = plan.view(target.view).name.clone();
            let Some(stored) = self.views.get(&(name, target.generation)) else { continue };
            for (range, keys) in changes.ranges.iter().enumerate() {
                let held = stored.documents.range::<[u8], _>(bounds(keys)).count();
                if held > stale_max + changes.puts.len() {
                    return Some((view, range));
                }
            }
        }
        None
    }

    /// Writes the documents of the changes of a generation.
    pub(super) fn write(&mut self, view: &View, generation: u64, changes: &ViewStep) {
        let indexed = !view.indexes.is_empty();
        let view = self.views.entry((view.name.clone(), generation)).or_default();
        view.put(indexed, changes);
        changes.removed.iter().for_each(|key| view.remove(key.as_bytes()));
        for range in &changes.ranges {
            let given: BTreeSet<&[u8]> = changes.puts.iter().map(|p| p.key.as_bytes()).collect();
            let held = view.documents.range::<[u8], _>(bounds(range)).map(|(key, _)| key);
            let stale: Vec<Vec<u8>> =
                held.filter(|key| !given.contains(key.as_slice())).cloned().collect();
            stale.iter().for_each(|key| view.remove(key));
        }
    }

    /// Sets and removes the fields of a step, raises `seq`, and lets the lease end then.
    pub(super) fn write_fields(&mut self, step: &Step, seq: u64, lease_ends_ms: u64) {
        for dropped in step.dropped() {
            self.views.remove(dropped);
        }
        for (field, value) in step.fields() {
            match value {
                Some(value) => drop(self.meta.insert(field.clone(), value.clone())),
                None => drop(self.meta.remove(field)),
            }
        }
        self.set("seq", seq);
        self.set("lease", lease_ends_ms);
    }

    /// Removes what is stale among the first keys of a part of a range.
    pub(super) fn sweep(&mut self, name: &str, sweep: &Sweep<'_>, keys_max: usize) -> Reply {
        let view = self.views.entry((name.to_owned(), sweep.target.generation)).or_default();
        let lower = sweep.after.map_or(Bound::Unbounded, Bound::Excluded);
        let upper = sweep.until.map_or(Bound::Unbounded, Bound::Included);
        let held = view.documents.range::<[u8], _>((lower, upper)).map(|(key, _)| key.clone());
        let here: Vec<Vec<u8>> = held.take(keys_max).collect();
        let last = here.last().filter(|_| here.len() == keys_max).cloned();
        for key in here.iter().filter(|key| !sweep.given.contains(&key.as_slice())) {
            view.remove(key);
        }
        Reply::Swept(last.unwrap_or_default())
    }

    fn text(&self, field: &str) -> &str {
        self.meta.get(field).map_or("", String::as_str)
    }

    fn number(&self, field: &str) -> Option<u64> {
        self.text(field).parse().ok()
    }

    fn set(&mut self, field: &str, number: u64) {
        self.meta.insert(field.to_owned(), number.to_string());
    }
}

impl StoredView {
    fn put(&mut self, indexed: bool, changes: &ViewStep) {
        let mut come = Vec::new();
        for put in &changes.puts {
            let key = put.key.as_bytes();
            self.documents.insert(key.to_vec(), put.body.clone());
            if !indexed || self.entries.get(key) == Some(&put.entries) {
                continue;
            }
            let former = self.entries.insert(key.to_vec(), put.entries.clone());
            for member in former.iter().flat_map(|packed| unpack(packed)) {
                self.index.remove(member);
            }
            come.extend(unpack(&put.entries));
        }
        self.index.extend(come.into_iter().map(<[u8]>::to_vec));
    }

    fn remove(&mut self, key: &[u8]) {
        self.documents.remove(key);
        let former = self.entries.remove(key);
        for member in former.iter().flat_map(|packed| unpack(packed)) {
            self.index.remove(member);
        }
    }
}

fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (
        range.after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_bytes())),
        range.until.as_ref().map_or(Bound::Unbounded, |key| Bound::Included(key.as_bytes())),
    )
}

/// The index members of a packed entry, each after its length.
fn unpack(mut packed: &[u8]) -> Vec<&[u8]> {
    let mut members = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk() {
        let (member, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        members.push(member);
        packed = rest;
    }
    members
}
