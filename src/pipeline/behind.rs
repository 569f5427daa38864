//! What readers may rely on while documents of a view are due.
//!
//! Redis says once for all views which transactions are applied. While a view has a backlog, some
//! of its documents are older than that: until then it is told beside it what the view contains
//! for certain.

use std::collections::BTreeMap;

use super::backlog::Backlog;
use super::views::Views;
use crate::sink::Step;
use crate::sql::plan::Plan;

/// What Redis was told of the views with documents due, by name: what each contains for certain, a
/// set of transactions as text, empty where nothing is certain.
#[derive(Debug, Default)]
pub(super) struct Behind {
    told: BTreeMap<String, String>,
}

impl Behind {
    /// What a former run told.
    pub(super) fn of_former_run(told: &BTreeMap<String, String>) -> Behind {
        Behind { told: told.clone() }
    }

    /// Tells in a step what the views contain for certain once it takes effect, where that changes.
    pub(super) fn tell(&mut self, plan: &Plan, views: &Views, backlog: &Backlog, step: &mut Step) {
        for (id, view) in plan.views_with_ids() {
            let certain = if views.is_waiting(id) { Some("") } else { backlog.certain(id) };
            if self.told.get(&view.name).map(String::as_str) == certain {
                continue;
            }
            let certain = certain.map(str::to_owned);
            step.behind(&view.name, certain.clone());
            match certain {
                Some(certain) => drop(self.told.insert(view.name.clone(), certain)),
                None => drop(self.told.remove(&view.name)),
            }
        }
    }

    /// Redis forgot what it was told.
    pub(super) fn forget(&mut self) {
        self.told.clear();
    }
}
