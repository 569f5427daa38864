//! The backlog as it is stored beside the positions.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Backlog, Fill, Mark, Moment, Work, depth};
use crate::engine::Fanout;
use crate::pipeline::views::Views;
use crate::sink::Target;
use crate::sql::plan::{NodeId, Plan};
use crate::value::Key;

/// All entries. Views go by name: ids are of one start only.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// What was applied at each moment, in order.
    moments: Vec<String>,
    work: Vec<StoredWork>,
}

/// An entry of documents that are due in a generation of a view; `since` is the place of its
/// moment.
#[derive(Serialize, Deserialize)]
struct StoredWork {
    view: String,
    generation: u64,
    since: usize,
    #[serde(flatten)]
    kind: StoredKind,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredKind {
    Fill {
        is_first: bool,
        after: Option<Key>,
        until: Option<Key>,
        around_to: Option<Key>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<StoredMark>,
    },
    Keys(VecDeque<Key>),
    Fanout {
        node: NodeId,
        key: Key,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredMark {
    until: Option<Key>,
    around_to: Option<Key>,
    since: usize,
}

impl Backlog {
    /// The entries as text.
    pub(super) fn to_text(&self, plan: &Plan, views: &Views) -> String {
        let all = self.moments();
        let place = |moment: &Moment| all.range(..moment.number).count();
        let moments = all.values().map(|moment| moment.applied.to_string()).collect();
        let mut stored = Vec::with_capacity(self.work.len());
        for work in &self.work {
            let Some(Target { view, generation }) = views.target(work.view()) else { continue };
            let since = place(work.since());
            let kind = match work.clone() {
                Work::Fill(Fill { is_first, after, until, around_to, mark, .. }) => {
                    let mark = mark.map(|Mark { until, around_to, since }| StoredMark {
                        until,
                        around_to,
                        since: place(&since),
                    });
                    StoredKind::Fill { is_first, after, until, around_to, mark }
                }
                Work::Keys { keys, .. } => StoredKind::Keys(keys),
                Work::Fanout { fanout: Fanout { node, key, .. }, .. } => {
                    StoredKind::Fanout { node, key }
                }
            };
            let view = plan.view(view).name.clone();
            stored.push(StoredWork { view, generation, since, kind });
        }
        serde_json::to_string(&Stored { moments, work: stored }).unwrap_or_default()
    }

    /// The entries of the generations for which `keep` holds, as stored where these transactions were
    /// applied; `None` if the text is no such entries.
    pub(in crate::pipeline) fn from_text(
        text: &str,
        applied: &str,
        plan: &Plan,
        keep: impl Fn(Target) -> bool,
    ) -> Option<Backlog> {
        let Stored { moments, work: stored } = serde_json::from_str(text).ok()?;
        let moment = |(number, applied): (u64, String)| Moment { number, applied: applied.into() };
        let moments: Vec<Moment> = (0..).zip(moments).map(moment).collect();
        let mut work = VecDeque::new();
        for StoredWork { view, generation, since, kind } in stored {
            let since = moments.get(since)?.clone();
            let named = plan.views_with_ids().find(|(_, of_plan)| of_plan.name == view);
            let Some((view, _)) =
                named.filter(|(view, _)| keep(Target { view: *view, generation }))
            else {
                continue;
            };
            work.push_back(match kind {
                StoredKind::Fill { is_first, after, until, around_to, mark: stored } => {
                    let mut mark = None;
                    if let Some(StoredMark { until, around_to, since }) = stored {
                        let since = moments.get(since)?.clone();
                        mark = Some(Mark { until, around_to, since });
                    }
                    Work::Fill(Fill { view, since, is_first, after, until, around_to, mark })
                }
                StoredKind::Keys(keys) => Work::Keys { view, since, keys },
                StoredKind::Fanout { node, key } => {
                    let fanout = Fanout { view, node, key, cursor: None };
                    Work::Fanout { since, depth: depth(plan.view(view), node), fanout }
                }
            });
        }
        let now = Moment { number: moments.len() as u64, applied: applied.into() };
        Some(Backlog { work, now, changed: true, ..Backlog::default() })
    }
}
