//! What readers may rely on while documents of a view are due.
//!
//! Redis says once for all views which transactions are applied. While a view has a backlog, or
//! what is read of it is not written because another generation is being filled, documents are
//! older than that: until then it is told beside it what readers see for certain.

use std::collections::BTreeMap;

use super::backlog::Backlog;
use super::views::Views;
use crate::keyspace::Contained;
use crate::sink::{Meta, Step};
use crate::source::transactions::Released;
use crate::sql::plan::Plan;

/// What Redis was told of the views with documents due.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// What readers of each see for certain, by name, as of [`Contained::to_field`]: empty where
    /// nothing is certain.
    told: BTreeMap<String, String>,
    /// What readers of all others see, as the last step that took effect told.
    contained: Contained,
    /// The same as text.
    now: String,
}

impl Behind {
    /// What a former run told.
    pub(super) fn of_former_run(meta: &Meta) -> Behind {
        let contained = meta.contained();
        Behind { told: meta.behind.clone(), now: contained.to_field(), contained }
    }

    /// Tells in a step what the views contain for certain once it takes effect, where that changes.
    /// It is never less than was told before: a backlog that was stored a while ago may know less,
    /// as may one that has to take several moments for one.
    pub(super) fn tell(&mut self, plan: &Plan, views: &Views, backlog: &Backlog, step: &mut Step) {
        for (id, view) in plan.views_with_ids() {
            let generations = views.generations(id);
            let before = self.told.get(&view.name).unwrap_or(&self.now).as_str();
            let certain = if generations.current.is_none() {
                Some("")
            } else if generations.is_frozen() {
                // What was certain when it was written last.
                Some(before)
            } else {
                backlog
                    .certain(id)
                    .map(|certain| if rises(before, certain) { certain } else { before })
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

    /// Whether readers of one view see all that readers of another have seen, which stands still or
    /// not. One that does not shows changes before others that came earlier and are due: all that
    /// was applied may have been seen of it, events as well, which are told nowhere.
    pub(super) fn is_level(&self, view: &str, with: &str, stands_still: bool) -> bool {
        let told = |view: &str| self.told.get(view).map_or(self.now.as_str(), String::as_str);
        !self.told.contains_key(view) || (stands_still && rises(told(with), told(view)))
    }

    /// The views of which less was told than of all others.
    pub(super) fn views(&self) -> impl Iterator<Item = &String> {
        self.told.keys()
    }

    /// When the newest change was committed that readers of a view see for certain, of a view of which
    /// less was told than of all others.
    pub(super) fn committed_us(&self, view: &str) -> Option<u64> {
        Contained::from_field(self.told.get(view)?).committed_us
    }

    /// A step took effect that told this, and these transactions as applied; what views contain of
    /// which nothing is due.
    pub(super) fn landed(&mut self, applied: String, released: &Released) -> &str {
        self.contained.applied = applied;
        if let Some(executed) = &released.executed {
            executed.as_ref().clone_into(&mut self.contained.executed);
        }
        if let Some(committed_us) = u64::try_from(released.committed_us).ok().filter(|us| *us > 0) {
            self.contained.committed_us = Some(committed_us);
        }
        self.now = self.contained.to_field();
        &self.now
    }
}

/// Whether what is told after contains all that was told before.
fn rises(before: &str, after: &str) -> bool {
    before == after || Contained::from_field(after).includes(&Contained::from_field(before))
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

    fn plan() -> Plan {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        plan_views(&Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
        })
        .unwrap()
    }

    /// Transactions up to a number.
    fn set(number: u64) -> String {
        format!("f9922be6-e58e-11f1-8fa9-02fc00000001:1-{number}")
    }

    #[test]
    fn what_changes_is_told_once() {
        let plan = plan();
        let mut views = Views::new(&plan, Readiness::new());
        let mut backlog = Backlog::at(&set(5));
        let mut behind = Behind::of_former_run(&Meta {
            behind: [("v".to_owned(), set(3))].into(),
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
        assert_eq!(tell(&mut behind, &views, &backlog), told(&set(5)));
        backlog.applied(behind.landed(set(6), &Released::default()));
        backlog.keys(VIEW, [key(2)]);
        assert_eq!(tell(&mut behind, &views, &backlog), None);
        views.start_fill(VIEW, plan.view(VIEW));
        backlog.fill(VIEW);
        assert_eq!(tell(&mut behind, &views, &backlog), None, "it stays as it was");
        views.switch(VIEW);
        backlog.forget(VIEW);
        assert_eq!(tell(&mut behind, &views, &backlog), Some(None));
        assert_eq!(tell(&mut behind, &views, &backlog), None);
        behind.landed(set(7), &Released::default());
        views.start_fill(VIEW, plan.view(VIEW));
        assert_eq!(tell(&mut behind, &views, &backlog), told(&set(7)), "nothing was due");
    }

    #[test]
    fn a_view_is_never_told_to_contain_less_than_before() {
        let plan = plan();
        let mut views = Views::new(&plan, Readiness::new());
        views.start_fill(VIEW, plan.view(VIEW));
        views.switch(VIEW);
        let told = |behind: &Behind| behind.told.get("v").cloned();
        // A backlog that was stored while the view was filled for the first time.
        let mut backlog = Backlog::at(&set(2));
        backlog.fill(VIEW);
        let mut behind = Behind::of_former_run(&Meta {
            behind: [("v".to_owned(), set(3))].into(),
            ..Meta::default()
        });
        behind.tell(&plan, &views, &backlog, &mut Step::new());
        assert_eq!(told(&behind), Some(set(3)));
        backlog.forget(VIEW);
        behind.tell(&plan, &views, &backlog, &mut Step::new());
        assert_eq!(told(&behind), None);
        // What comes due counts as due since an earlier moment, for want of one of its own.
        behind.landed(set(9), &Released::default());
        backlog.keys(VIEW, [key(1)]);
        behind.tell(&plan, &views, &backlog, &mut Step::new());
        assert_eq!(told(&behind), Some(set(9)));
    }

    #[test]
    fn views_are_compared_by_what_their_readers_see_for_certain() {
        let of = |behind: &[(&str, u64)]| {
            let told = behind.iter().map(|(name, number)| ((*name).to_owned(), set(*number)));
            Behind { told: told.collect(), now: set(9), ..Behind::default() }
        };
        for (behind, of_standing, of_written) in [
            (&[][..], true, true),
            (&[("old", 3)], true, true),
            (&[("new", 3)], false, false),
            (&[("new", 9)], true, false),
            (&[("old", 3), ("new", 3)], true, false),
            (&[("old", 4), ("new", 3)], false, false),
        ] {
            let is_level = |stands_still| of(behind).is_level("new", "old", stands_still);
            assert_eq!([is_level(true), is_level(false)], [of_standing, of_written], "{behind:?}");
        }
    }

    #[test]
    fn how_old_a_view_is_follows_from_what_is_certain_of_it() {
        let told = ["", "a e 7", "a"].iter().enumerate();
        let told = told.map(|(at, field)| (format!("v{at}"), (*field).to_owned())).collect();
        let behind = Behind { told, now: "a e 9".to_owned(), ..Behind::default() };
        let committed = ["v0", "v1", "v2", "other"].map(|view| behind.committed_us(view));
        assert_eq!(committed, [None, Some(7), None, None]);
    }

    #[test]
    fn what_landed_is_what_a_view_contains_when_something_comes_due() {
        let mut behind = Behind::default();
        let released =
            Released { executed: Some("e".into()), committed_us: 7, ..Released::default() };
        assert_eq!(behind.landed("a".to_owned(), &released), "a e 7");
        assert_eq!(behind.landed("b".to_owned(), &Released::default()), "b e 7");
    }
}
