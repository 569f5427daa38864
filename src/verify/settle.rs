//! Whether a difference is one, while both sides go on changing.
//!
//! A round: read the documents, then MySQL's answers, then what MySQL had executed; wait until the
//! pipeline has passed that. In between the pipeline was at the very state that MySQL answered
//! from, so a document that is ever equal to the answer is right, and one that stayed the same all
//! the time and differs is wrong. One that changed is looked at again. The order of events beside
//! transactions is the pipeline's own, and MySQL shows a transaction a moment before it counts it
//! as executed; so a difference is reported when two rounds in a row find the same.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::compare::{Answer, Difference};
use super::position::Target;
use super::{POLL, Verifier, VerifyError};
use crate::sink::Meta;
use crate::sql::plan::View;
use crate::value::Key;

/// How long a document may go on changing before it is left undecided.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// How long an origin of which no transaction is known may stay unknown.
const UNKNOWN_ORIGIN_WAIT: Duration = Duration::from_secs(5);

/// MySQL's answer and the document beside it, both as of a round in which they did not change.
type Pair = (Option<Answer>, Option<Vec<u8>>);

/// What came of candidates.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Those that are proven to differ.
    pub(super) differ: Vec<(Key, Difference)>,
    /// Those that changed whenever they were looked at.
    pub(super) undecided: Vec<Key>,
    /// How many of the others, and of those that differ, are documents.
    pub(super) documents: u64,
}

/// One candidate within a round.
struct Watched {
    key: Key,
    before: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
    changed: bool,
    agreed: bool,
}

/// What the pipeline has passed so far.
#[derive(Default)]
struct Passed {
    executed: bool,
    events: bool,
    backlog: bool,
}

impl Verifier<'_> {
    /// Looks at candidates until each is explained, proven or given up.
    pub(super) async fn settle(
        &mut self,
        view: &View,
        candidates: Vec<Key>,
    ) -> Result<Settled, VerifyError> {
        let mut settled = Settled::default();
        let comparer = self.comparer(view);
        let deadline = Instant::now() + SETTLE_MAX;
        let mut pending: BTreeMap<Key, Option<Pair>> =
            candidates.into_iter().map(|key| (key, None)).collect();
        while !pending.is_empty() {
            if Instant::now() > deadline {
                settled.undecided.extend(pending.into_keys());
                break;
            }
            self.truth.rest().await;
            let keys: Vec<Key> = pending.keys().cloned().collect();
            let stored = self.documents.get(&view.name, &keys).await?;
            self.truth.begin(view).await?;
            let mut answers = self.truth.answers(view, &keys).await?;
            let target = self.truth.position().await?;
            let watched = self.watch(view, keys, stored, &answers, &target).await?;
            for Watched { key, last, changed, agreed, .. } in watched {
                let pair = (answers.remove(&key), last);
                let earlier = pending.remove(&key).flatten();
                let there = u64::from(pair.1.is_some());
                if agreed {
                    settled.documents += there;
                    continue;
                }
                match comparer.compare(pair.0.as_ref(), pair.1.as_deref()) {
                    Some(difference) if !changed && earlier.as_ref() == Some(&pair) => {
                        settled.documents += there;
                        settled.differ.push((key, difference));
                    }
                    _ => drop(pending.insert(key, (!changed).then_some(pair))),
                }
            }
        }
        Ok(settled)
    }

    /// Watches documents until the pipeline has passed the target.
    async fn watch(
        &mut self,
        view: &View,
        keys: Vec<Key>,
        stored: Vec<Option<Vec<u8>>>,
        answers: &HashMap<Key, Answer>,
        target: &Target,
    ) -> Result<Vec<Watched>, VerifyError> {
        let comparer = self.comparer(view);
        let mut watched: Vec<Watched> = keys
            .iter()
            .zip(stored)
            .map(|(key, document)| {
                let agreed = comparer.compare(answers.get(key), document.as_deref()).is_none();
                let (before, last) = (document.clone(), document);
                Watched { key: key.clone(), before, last, changed: false, agreed }
            })
            .collect();
        let deadline = Instant::now() + self.options.patience;
        let mut passed = Passed::default();
        loop {
            let meta = self.documents.meta().await?;
            let missing = self.missing(&meta, target, &mut passed);
            let stored = self.documents.get(&view.name, &keys).await?;
            for (one, document) in watched.iter_mut().zip(stored) {
                one.changed |= document != one.before;
                if document != one.last {
                    let answer = answers.get(&one.key);
                    one.agreed |= comparer.compare(answer, document.as_deref()).is_none();
                    one.last = document;
                }
            }
            match missing {
                None => return Ok(watched),
                // Nothing is left to wait for.
                Some(_) if watched.iter().all(|one| one.agreed) => return Ok(watched),
                Some(missing) if Instant::now() > deadline => {
                    let seconds = self.options.patience.as_secs();
                    return Err(VerifyError::NotPassed { seconds, missing });
                }
                Some(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// What the pipeline has not passed yet; `None` once it has passed everything.
    fn missing(&self, meta: &Meta, target: &Target, passed: &mut Passed) -> Option<String> {
        if !passed.executed {
            let mut applied = meta.applied.clone();
            applied.retain(|server| !self.foreign.contains(server));
            let is_old = self.started.elapsed() > UNKNOWN_ORIGIN_WAIT;
            let known = is_old.then_some(&self.executed_at_start);
            passed.executed = target.executed.is_covered(&applied, known);
            if !passed.executed {
                return Some(format!("[{applied}] of [{}]", target.executed));
            }
        }
        if !passed.events
            && let Some(partition) = target.events_missing(&meta.positions)
        {
            return Some(format!("events of {} partition {}", partition.topic, partition.number));
        }
        passed.events = true;
        // What was passed is published when the backlog is seen empty after that.
        passed.backlog |= meta.backlog.as_deref().is_none_or(|text| matches!(text, "" | "[]"));
        (!passed.backlog).then(|| "documents that are still being published".to_owned())
    }
}
