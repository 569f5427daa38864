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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::views::Stage;
    use crate::sql::plan::ViewId;
    use crate::sql::{Definitions, SourceFile, plan_views};
    use crate::telemetry::Readiness;
    use crate::value::{Key, Value};

    const VIEW: ViewId = ViewId(0);

    fn key(number: i64) -> Key {
        let mut key = Key::new();
        key.push(&Value::Int(number));
        key
    }

    #[test]
    fn what_changes_is_told_once() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
        })
        .unwrap();
        let mut views = Views::new(&plan, Readiness::new());
        let mut backlog = Backlog::at("1-5");
        let mut behind = Behind::of_former_run(&[("v".to_owned(), "1-3".to_owned())].into());
        let tell = |behind: &mut Behind, views: &Views, backlog: &Backlog| {
            let mut step = Step::new();
            behind.tell(&plan, views, backlog, &mut step);
            step.fields().get("behind:v").cloned()
        };
        let told = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(tell(&mut behind, &views, &backlog), told(""), "nothing of it is published");
        views.set(VIEW, Stage::Filling);
        backlog.fill(VIEW);
        assert_eq!(tell(&mut behind, &views, &backlog), None);
        backlog.forget(VIEW);
        backlog.keys(VIEW, [key(1)]);
        assert_eq!(tell(&mut behind, &views, &backlog), told("1-5"));
        backlog.applied("1-6");
        backlog.keys(VIEW, [key(2)]);
        assert_eq!(tell(&mut behind, &views, &backlog), None);
        behind.forget();
        assert_eq!(tell(&mut behind, &views, &backlog), told("1-5"));
        backlog.forget(VIEW);
        assert_eq!(tell(&mut behind, &views, &backlog), Some(None));
        assert_eq!(tell(&mut behind, &views, &backlog), None);
    }
}
