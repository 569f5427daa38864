//! What readers may rely on while documents of a view are due.
//!
//! Redis says once for all views which transactions are applied. While a view has a backlog, some
//! of its documents are older than that: until then it is told beside it what the view contains
//! for certain.

use std::collections::BTreeMap;

use super::backlog::Backlog;
use super::views::Views;
use crate::sink::Step;
use crate::sql::plan::{Plan, ViewId};

/// The views with documents due, and what each contains for certain: a set of transactions as
/// text, empty where nothing is certain.
#[derive(Debug, Default)]
pub(super) struct Behind {
    views: BTreeMap<ViewId, String>,
    /// What the last step that took effect told as applied.
    applied: String,
}

impl Behind {
    /// What a former run left behind, by name of the view.
    pub(super) fn of_former_run(
        plan: &Plan,
        left: &BTreeMap<String, String>,
        applied: String,
    ) -> Behind {
        let of = |(id, name): (ViewId, &String)| Some((id, left.get(name)?.clone()));
        let views = plan.views_with_ids().map(|(id, view)| (id, &view.name));
        Behind { views: views.filter_map(of).collect(), applied }
    }

    /// Tells in a step which views are behind once it takes effect, where that changes.
    pub(super) fn tell(&mut self, plan: &Plan, views: &Views, backlog: &Backlog, step: &mut Step) {
        for (id, view) in plan.views_with_ids() {
            let certain = if views.is_waiting(id) || backlog.fills(id) {
                Some(String::new())
            } else if backlog.concerns(id) {
                Some(self.views.get(&id).unwrap_or(&self.applied).clone())
            } else {
                None
            };
            if self.views.get(&id) != certain.as_ref() {
                step.behind(&view.name, certain.clone());
                match certain {
                    Some(certain) => drop(self.views.insert(id, certain)),
                    None => drop(self.views.remove(&id)),
                }
            }
        }
    }

    /// A step took effect that told these transactions as applied.
    pub(super) fn applied(&mut self, applied: String) {
        self.applied = applied;
    }

    /// Redis forgot what it was told.
    pub(super) fn forget(&mut self) {
        self.views.clear();
    }
}
