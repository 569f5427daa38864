//! What readers may rely on while documents of a view are due.
//!
//! Redis says once for all views which transactions are applied. While a view has a backlog, or
//! what is read of it is not written because another generation is being filled, documents are
//! older than that: until then it is told beside it what readers see for certain.

use std::collections::BTreeMap;

use super::backlog::Backlog;
use super::views::Views;
use crate::sink::{Meta, Step};
use crate::sql::plan::Plan;

/// What Redis was told of the views with documents due, by name: what readers of each see for
/// certain, a set of transactions as text, empty where nothing is certain.
#[derive(Debug, Default)]
pub(super) struct Behind {
    told: BTreeMap<String, String>,
    /// What the last step that took effect told as applied.
    applied: String,
}

impl Behind {
    /// What a former run told.
    pub(super) fn of_former_run(meta: &Meta) -> Behind {
        Behind { told: meta.behind.clone(), applied: meta.applied.to_string() }
    }

    /// Tells in a step what the views contain for certain once it takes effect, where that changes.
    pub(super) fn tell(&mut self, plan: &Plan, views: &Views, backlog: &Backlog, step: &mut Step) {
        for (id, view) in plan.views_with_ids() {
            let generations = views.generations(id);
            let certain = if generations.current.is_none() {
                Some("")
            } else if generations.is_frozen() {
                // What was certain when it was written last.
                Some(self.told.get(&view.name).map_or(self.applied.as_str(), String::as_str))
            } else {
                backlog.certain(id)
            };
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

    /// A step took effect that told these transactions as applied.
    pub(super) fn applied(&mut self, applied: String) {
        self.applied = applied;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let mut behind = Behind::of_former_run(&Meta {
            behind: [("v".to_owned(), "1-3".to_owned())].into(),
            ..Meta::default()
        });
        let tell = |behind: &mut Behind, views: &Views, backlog: &Backlog| {
            let mut step = Step::new();
            behind.tell(&plan, views, backlog, &mut step);
            step.fields().get("behind:v").cloned()
        };
        let told = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(tell(&mut behind, &views, &backlog), told(""), "nothing of it is published");
        views.start_fill(VIEW, plan.view(VIEW));
        backlog.fill(VIEW);
        assert_eq!(tell(&mut behind, &views, &backlog), None);
        views.switch(VIEW);
        backlog.forget(VIEW);
        backlog.keys(VIEW, [key(1)]);
        assert_eq!(tell(&mut behind, &views, &backlog), told("1-5"));
        backlog.applied("1-6");
        behind.applied("1-6".to_owned());
        backlog.keys(VIEW, [key(2)]);
        assert_eq!(tell(&mut behind, &views, &backlog), None);
        views.start_fill(VIEW, plan.view(VIEW));
        backlog.fill(VIEW);
        assert_eq!(tell(&mut behind, &views, &backlog), None, "it stays as it was");
        views.switch(VIEW);
        backlog.forget(VIEW);
        assert_eq!(tell(&mut behind, &views, &backlog), Some(None));
        assert_eq!(tell(&mut behind, &views, &backlog), None);
        behind.applied("1-7".to_owned());
        views.start_fill(VIEW, plan.view(VIEW));
        assert_eq!(tell(&mut behind, &views, &backlog), told("1-7"), "nothing was due");
    }
}
