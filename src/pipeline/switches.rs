//! Which view answers for a name: what commands ask for, and what Redis was told.
//!
//! What is asked for follows from the commands' position alone. Redis is told once readers lose
//! nothing by it: the view is filled, and shows all that readers of the name have seen. Both are
//! maintained by the same steps, so that is seldom later than the command's own step. Where readers
//! of the name find nothing whole anyway, as after Redis lost its data, it is told at once.

use std::collections::BTreeMap;
use std::mem;

use tracing::info;

use super::behind::Behind;
use super::views::Views;
use crate::sink::{Meta, Step};
use crate::sql::plan::{Plan, ViewId};
use crate::sql::{Unanswered, can_answer, go_on_answering};
use crate::telemetry::Readiness;

/// What Redis was told.
#[derive(Debug)]
pub(super) struct Switches {
    /// The view that answers for a name, where it is another than the name's own.
    told: BTreeMap<String, String>,
    /// Names that wait to be answered by another view.
    waiting: Vec<String>,
    readiness: Readiness,
}

impl Switches {
    pub(super) fn new(readiness: Readiness) -> Switches {
        Switches { told: BTreeMap::new(), waiting: Vec::new(), readiness }
    }

    /// Whether another view answers for a name.
    pub(super) fn is_switched(&self, name: &str) -> bool {
        self.told.contains_key(name)
    }

    /// Goes on from what Redis holds.
    ///
    /// # Errors
    /// A view that answers for a name is not there any more, or has other keys, and no command of
    /// since says otherwise. It must not be dropped: readers would find nothing.
    pub(super) fn take_over<'a>(
        &mut self,
        held: &Meta,
        wanted: impl Iterator<Item = (&'a str, &'a str)>,
        plan: &Plan,
    ) -> Result<(), Box<Unanswered>> {
        can_go_on(&held.served, wanted, plan)?;
        self.told.clone_from(&held.served);
        Ok(())
    }

    /// Whether a plan can be followed with what was taken over.
    ///
    /// # Errors
    /// As of [`Switches::take_over`].
    pub(super) fn check<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a str, &'a str)>,
        plan: &Plan,
    ) -> Result<(), Box<Unanswered>> {
        can_go_on(&self.told, wanted, plan)
    }

    /// Says no more in readiness of what waits.
    pub(super) fn give_up(&mut self) {
        for name in mem::take(&mut self.waiting) {
            self.readiness.clear(&part(&name));
        }
    }

    /// Why another plan cannot be followed, if it lacks a view that answers for a name.
    pub(super) fn prevents(&self, plan: &Plan) -> Option<String> {
        go_on_answering(plan, &self.told).err().map(|lost| lost.to_string())
    }

    /// Tells in a step which view answers for each name of which a command said something, where that
    /// changes and readers lose nothing by it. `behind` is what the step tells besides. Whether anything
    /// was told.
    pub(super) fn tell<'a>(
        &mut self,
        wanted: impl Iterator<Item = (&'a str, &'a str)>,
        plan: &Plan,
        views: &Views,
        behind: &Behind,
        step: &mut Step,
    ) -> bool {
        self.give_up();
        let mut any = false;
        for (name, view) in wanted {
            let told = self.told.get(name).map_or(name, String::as_str);
            if told == view {
                continue;
            }
            if plan.views.iter().all(|view| view.name != name) {
                // Nobody can ask by a name that is no view's. A Redis that went back may have another
                // view answer for it: that would stand against every other plan.
                if self.told.remove(name).is_some() {
                    step.served(name, None);
                }
                continue;
            }
            if let Err(why) = may_switch(plan, views, behind, [name, told, view]) {
                let text = format!(
                    "to be answered by view {view}, still by {told}: {why}; `viewtide switch {name} \
                     {told}` takes it back"
                );
                self.readiness.block(&part(name), text);
                self.waiting.push(name.to_owned());
                continue;
            }
            info!(name, view, "readers of this name are answered by another view from here on");
            any = true;
            if view == name {
                self.told.remove(name);
                step.served(name, None);
            } else {
                self.told.insert(name.to_owned(), view.to_owned());
                step.served(name, Some(view));
            }
        }
        any
    }
}

/// Whether each view that answers for a name (`told`) can by a plan, unless a command of since says
/// otherwise of the name.
fn can_go_on<'a>(
    told: &BTreeMap<String, String>,
    wanted: impl Iterator<Item = (&'a str, &'a str)>,
    plan: &Plan,
) -> Result<(), Box<Unanswered>> {
    let mut kept = told.clone();
    for (name, view) in wanted {
        if kept.get(name).is_some_and(|told| told != view) {
            kept.remove(name);
        }
    }
    go_on_answering(plan, &kept)
}

/// What readiness calls a name.
fn part(name: &str) -> String {
    format!("name {name}")
}

/// Whether `view` may answer for `name` from this step on instead of the view that was `told`; why not.
fn may_switch(
    plan: &Plan,
    views: &Views,
    behind: &Behind,
    [name, told, view]: [&str; 3],
) -> Result<(), String> {
    can_answer(plan, name, view).map_err(|why| why.to_string())?;
    let find = |name: &str| plan.views_with_ids().find(|(_, v)| v.name == name).map(|(id, _)| id);
    let has = |id: Option<ViewId>| id.map(|id| views.generations(id));
    let former = has(find(told)).filter(|former| former.current.is_some());
    let Some(former) = former else { return Ok(()) };
    if !has(find(view)).is_some_and(|of| of.is_whole()) {
        return Err(format!("{view} is not filled"));
    }
    match behind.is_level(view, told, former.is_frozen()) {
        true => Ok(()),
        false => Err(format!("documents of {view} are due that {told} has")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::{Contained, Generation, Generations};
    use crate::sql::{Definitions, SourceFile, plan_views};

    const SET: &str = "f9922be6-e58e-11f1-8fa9-02fc00000001:1-";

    fn plan() -> Plan {
        let file = |path: &str, text: String| SourceFile { path: path.into(), text };
        let view = |(name, columns): (&str, &str)| {
            file(name, format!("CREATE VIEW {name} AS SELECT {columns} FROM t;"))
        };
        let table = "CREATE TABLE t (id int NOT NULL, b bigint NOT NULL, PRIMARY KEY (id, b));";
        let grouped = "CREATE VIEW keyed AS SELECT b, COUNT(*) AS n FROM t GROUP BY b;";
        let mut views: Vec<_> = [("a", "id, b"), ("a_2", "id, b")].map(view).into();
        views.push(file("keyed", grouped.to_owned()));
        plan_views(&Definitions {
            tables: vec![file("t.sql", table.to_owned())],
            streams: Vec::new(),
            views,
        })
        .unwrap()
    }

    /// Views of which these are there: (is read, is being filled).
    fn views(plan: &Plan, a: (bool, bool), a_2: (bool, bool)) -> Views {
        let mut views = Views::new(plan, Readiness::new());
        let held = |name: &str, (current, next): (bool, bool)| {
            let view = plan.views.iter().find(|view| view.name == name).unwrap();
            let current = current.then(|| Generation::of(view, 1));
            let next = next.then(|| Generation::of(view, 2));
            (name.to_owned(), Generations { current, next })
        };
        views.take_generations(&[held("a", a), held("a_2", a_2)].into());
        views
    }

    /// What a pipeline told before knows, with `a_2` behind or not.
    fn behind(a: Option<u64>, a_2: Option<u64>) -> Behind {
        let told = [("a", a), ("a_2", a_2)];
        let told = told.into_iter().filter_map(|(name, number)| {
            let contained =
                Contained { applied: format!("{SET}{}", number?), ..Default::default() };
            Some((name.to_owned(), contained.to_field()))
        });
        Behind::of_former_run(&Meta {
            behind: told.collect(),
            applied: format!("{SET}9").parse().unwrap(),
            ..Meta::default()
        })
    }

    const WHOLE: (bool, bool) = (true, false);
    const RENEWED: (bool, bool) = (true, true);
    const FILLING: (bool, bool) = (false, true);

    #[test]
    fn a_switch_waits_until_readers_lose_nothing_by_it() {
        let plan = plan();
        let told = |wanted: &str, a, a_2, at: Behind| {
            let readiness = Readiness::new();
            let mut switches = Switches::new(readiness.clone());
            let mut step = Step::new();
            let views = views(&plan, a, a_2);
            switches.tell([("a", wanted)].into_iter(), &plan, &views, &at, &mut step);
            let reasons = readiness.reasons();
            let waits =
                reasons.into_iter().map(|r| r.split_once("still by a: ").unwrap().1.to_owned());
            (step.fields().get("served:a").cloned(), waits.collect::<Vec<_>>())
        };
        let done = (Some(Some("a_2".to_owned())), Vec::new());
        let waits = |why: &str| (None, vec![format!("{why}; `viewtide switch a a` takes it back")]);
        assert_eq!(told("a", WHOLE, WHOLE, behind(None, None)), (None, Vec::new()));
        assert_eq!(told("a_2", WHOLE, WHOLE, behind(None, None)), done);
        assert_eq!(told("a_2", RENEWED, WHOLE, behind(Some(3), None)), done);
        let due = waits("documents of a_2 are due that a has");
        assert_eq!(told("a_2", WHOLE, WHOLE, behind(None, Some(4))), due);
        // What changes is published before what is due: readers may have seen any of it.
        assert_eq!(told("a_2", WHOLE, WHOLE, behind(Some(4), Some(4))), due);
        // Events are in no set of transactions.
        assert_eq!(told("a_2", WHOLE, WHOLE, behind(None, Some(9))), due);
        // What stands still shows no more than it was told to contain.
        assert_eq!(told("a_2", RENEWED, WHOLE, behind(Some(4), Some(4))), done);
        assert_eq!(told("a_2", RENEWED, WHOLE, behind(Some(4), Some(3))), due);
        for a_2 in [FILLING, RENEWED, (false, false)] {
            let filled = waits("a_2 is not filled");
            assert_eq!(told("a_2", WHOLE, a_2, behind(None, None)), filled);
        }
        // Nothing is lost where nothing was read.
        assert_eq!(told("a_2", FILLING, FILLING, behind(None, None)), done);
        assert_eq!(
            told("b", WHOLE, WHOLE, behind(None, None)),
            waits("there is no view `b`; there are: a, a_2, keyed")
        );
        let (told, why) = told("keyed", WHOLE, WHOLE, behind(None, None));
        assert!(told.is_none() && why[0].contains("to be alike"), "{told:?} {why:?}");
    }

    #[test]
    fn what_waits_is_told_when_it_can_be_and_the_way_back_too() {
        let (plan, readiness) = (plan(), Readiness::new());
        let mut switches = Switches::new(readiness.clone());
        let mut tell = |wanted: &str, a_2| {
            let mut step = Step::new();
            let views = views(&plan, WHOLE, a_2);
            let behind = behind(None, None);
            switches.tell([("a", wanted)].into_iter(), &plan, &views, &behind, &mut step);
            (step.fields().get("served:a").cloned(), switches.is_switched("a"))
        };
        assert_eq!(tell("a_2", FILLING), (None, false));
        assert!(!readiness.is_ready());
        switches.give_up();
        assert!(readiness.is_ready(), "another plan may have neither of them");
        let mut tell = |wanted: &str, a_2| {
            let mut step = Step::new();
            let views = views(&plan, WHOLE, a_2);
            let behind = behind(None, None);
            let any = switches.tell([("a", wanted)].into_iter(), &plan, &views, &behind, &mut step);
            assert_eq!(any, !step.is_empty());
            (step.fields().get("served:a").cloned(), switches.is_switched("a"))
        };
        assert_eq!(tell("a_2", WHOLE), (Some(Some("a_2".to_owned())), true));
        assert!(readiness.is_ready());
        assert_eq!(tell("a_2", WHOLE), (None, true), "it is told once");
        assert_eq!(tell("a", WHOLE), (Some(None), false));
    }

    #[test]
    fn files_without_a_view_that_answers_are_not_followed() {
        let plan = plan();
        let mut switches = Switches::new(Readiness::new());
        let held = |name: &str, view: &str| Meta {
            served: [(name.to_owned(), view.to_owned())].into(),
            ..Meta::default()
        };
        for (name, view) in [("a", "gone"), ("gone", "a"), ("a", "keyed")] {
            let wanted = [(name, view)].into_iter();
            let error = switches.take_over(&held(name, view), wanted, &plan);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&format!("`viewtide switch {name} {name}`")), "{error}");
        }
        assert!(!switches.is_switched("a"));
        // No command that is known said so: what it was is lost, and Redis is right.
        switches.take_over(&held("a", "a_2"), [].into_iter(), &plan).unwrap();
        assert!(switches.is_switched("a"));
        assert!(switches.prevents(&plan).is_none());
        let without = Plan { views: plan.views[..1].to_vec(), ..Clone::clone(&plan) };
        assert!(switches.prevents(&without).is_some_and(|why| why.contains("no view `a_2`")));
        assert!(switches.take_over(&held("a", "gone"), [].into_iter(), &plan).is_err());
        // Redis went back to before another command: what that says is told before anything is read.
        let wanted = [("a", "a_2")];
        switches.take_over(&held("a", "gone"), wanted.into_iter(), &plan).unwrap();
        let (mut step, views) = (Step::new(), views(&plan, WHOLE, WHOLE));
        switches.tell(wanted.into_iter(), &plan, &views, &behind(None, None), &mut step);
        assert_eq!(step.fields()["served:a"].as_deref(), Some("a_2"));
        // Or to before a view was removed that was answered by another: nobody asks by its name.
        let wanted = [("gone", "gone")];
        switches.take_over(&held("gone", "a"), wanted.into_iter(), &plan).unwrap();
        switches.check(wanted.into_iter(), &plan).unwrap();
        assert!(switches.prevents(&plan).is_some());
        let mut step = Step::new();
        switches.tell(wanted.into_iter(), &plan, &views, &behind(None, None), &mut step);
        assert_eq!(
            (step.fields().get("served:gone"), switches.prevents(&plan)),
            (Some(&None), None)
        );
    }
}
