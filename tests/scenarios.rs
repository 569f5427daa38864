//! What views say, as data: each file in `tests/scenarios` is run by [`check`].
//!
//! A file is made of parts that begin with a line `== …`:
//!
//! ```text
//! == schema FILE …            SQL of the repository: tables, streams and views by their folder
//! == tables | streams | views inline SQL
//! == changes                  one a line: `TABLE {columns}`, `TABLE - KEY`, `TABLE truncate`
//! == documents VIEW           all documents then: `KEY {body}`, or `KEY error CODE in COLUMN`
//! ```
//!
//! Columns left out are NULL. Every file is run as it stands, in batches of one, cut in half (the
//! views go live between), with the changes of each part in another order of the tables, with
//! rows repeated, and with a fan-out limit so low that every row exceeds it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use viewtide::change::{Change, Op};
use viewtide::engine::{Document, Engine, FAN_OUT_MAX, Fanout, LOOKED_THROUGH_MAX};
use viewtide::sql::plan::{Plan, TableId, ViewId};
use viewtide::sql::{Definitions, SourceFile, plan_views};
use viewtide::value::{Key, RowWriter, parse_text};

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

scenarios![
    address,
    aggregates,
    arrival,
    asked_aggregates,
    compared_bits,
    computed_groups,
    deletes,
    errors,
    items,
    keys,
    lists_in_order,
    long_lists,
    lost_first,
    memberships,
    moves,
    named_selects,
    nested_groups,
    never_null,
    null_and_error,
    nulls,
    picks,
    rounding,
    searches,
    spellings,
    status,
    truncate,
    using
];

#[test]
fn every_file_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(files, NAMES);
}

/// Runs one file in every way.
fn check(name: &str) {
    let scenario = Scenario::read(name);
    let plain = Way { batch: usize::MAX, ..Way::default() };
    scenario.run("as it stands", &plain);
    scenario.run("in batches of one", &Way { batch: 1, ..plain });
    scenario.run("in batches of two", &Way { batch: 2, ..plain });
    scenario.run("live halfway", &Way { live_halfway: true, ..plain });
    scenario.run("other tables first", &Way { reversed: true, batch: 3, ..plain });
    scenario.run("everything twice", &Way { twice: true, ..plain });
    scenario.run("all by fan-out", &Way { fan_out_max: 0, ..plain });
    scenario.run("all lists long", &Way { looked_through_max: 1, ..plain });
}

/// A way to run a scenario.
#[derive(Clone, Copy)]
struct Way {
    /// Changes in a batch.
    batch: usize,
    /// The views go live in the middle of the changes, not before them.
    live_halfway: bool,
    /// Table by table, the last one of the plan first.
    reversed: bool,
    /// Every part's changes once more.
    twice: bool,
    fan_out_max: usize,
    looked_through_max: usize,
}

impl Default for Way {
    fn default() -> Way {
        Way {
            batch: 1,
            live_halfway: false,
            reversed: false,
            twice: false,
            fan_out_max: FAN_OUT_MAX,
            looked_through_max: LOOKED_THROUGH_MAX,
        }
    }
}

struct Scenario {
    name: String,
    plan: Arc<Plan>,
    parts: Vec<Part>,
}

enum Part {
    Changes(Vec<Change>),
    Documents(ViewId, BTreeMap<String, String>),
}

impl Scenario {
    fn read(name: &str) -> Scenario {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = root.join("tests/scenarios").join(format!("{name}.txt"));
        let text = std::fs::read_to_string(&path).unwrap();
        let mut definitions = Definitions::default();
        let mut rest = Vec::new();
        for part in text.split("\n== ").skip(1) {
            let (title, body) = part.split_once('\n').unwrap_or((part, ""));
            let inline = || SourceFile { path: path.display().to_string(), text: body.to_owned() };
            match title.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["schema", files @ ..] => files.iter().for_each(|f| add(&mut definitions, root, f)),
                ["tables"] => definitions.tables.push(inline()),
                ["streams"] => definitions.streams.push(inline()),
                ["views"] => definitions.views.push(inline()),
                title => rest.push((title.join(" "), body.to_owned())),
            }
        }
        let plan = plan_views(&definitions).unwrap_or_else(|error| panic!("{name}: {error}"));
        let parts = rest.iter().map(|(title, body)| part(&plan, title, body)).collect();
        Scenario { name: name.to_owned(), plan: Arc::new(plan), parts }
    }

    fn run(&self, way_name: &str, way: &Way) {
        let mut run = Run::new(&self.plan, way);
        let all = self.parts.iter().filter(|part| matches!(part, Part::Changes(_))).count();
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Changes(changes) => {
                    let mut changes = changes.clone();
                    if way.reversed {
                        changes.sort_by_key(|change| std::cmp::Reverse(change.table));
                    }
                    let half = if way.live_halfway { changes.len() / 2 } else { 0 };
                    run.apply(&changes[..half], way.batch);
                    run.go_live();
                    run.apply(&changes[half..], way.batch);
                    if way.twice {
                        run.apply(&changes, way.batch);
                    }
                }
                Part::Documents(view, wanted) => {
                    run.settle();
                    let found = &run.published[usize::from(view.0)];
                    let place = format!("{} {way_name}, part {} of {all}", self.name, i + 1);
                    assert_eq!(found, wanted, "{place}");
                }
            }
        }
    }
}

/// An engine and what it has published.
struct Run<'a> {
    plan: &'a Plan,
    engine: Engine,
    live: bool,
    published: Vec<BTreeMap<String, String>>,
    fanouts: Vec<Fanout>,
    refills: Vec<ViewId>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Arc<Plan>, way: &Way) -> Run<'a> {
        Run {
            plan,
            engine: Engine::with_limits(Arc::clone(plan), way.fan_out_max, way.looked_through_max),
            live: false,
            published: vec![BTreeMap::new(); plan.views.len()],
            fanouts: Vec::new(),
            refills: Vec::new(),
        }
    }

    fn go_live(&mut self) {
        if !std::mem::replace(&mut self.live, true) {
            for (view, _) in self.plan.views_with_ids() {
                self.engine.set_live(view, true);
                self.refills.push(view);
            }
        }
    }

    fn apply(&mut self, changes: &[Change], batch: usize) {
        for batch in changes.chunks(batch) {
            batch.iter().cloned().for_each(|change| self.engine.apply(change));
            let touched = self.engine.take_touched();
            touched.documents.iter().for_each(|(view, key)| self.publish(*view, key));
            self.fanouts.extend(touched.fanouts);
            self.refills.extend(touched.refills);
        }
    }

    /// Works off what is left to do.
    fn settle(&mut self) {
        for view in std::mem::take(&mut self.refills) {
            let keys = self.engine.keys_after(view, None, usize::MAX);
            let held: Vec<String> = keys.iter().map(|key| self.shown(view, key)).collect();
            self.published[usize::from(view.0)].retain(|key, _| held.contains(key));
            keys.iter().for_each(|key| self.publish(view, key));
        }
        while let Some(fanout) = self.fanouts.pop() {
            let (keys, rest) = self.engine.fanout_documents(&fanout, 2);
            keys.iter().for_each(|key| self.publish(fanout.view, key));
            self.fanouts.extend(rest);
        }
    }

    fn publish(&mut self, view: ViewId, key: &Key) {
        let shown = self.shown(view, key);
        let Some(document) = self.engine.assemble(view, key) else { return };
        let published = &mut self.published[usize::from(view.0)];
        match document {
            Document::Absent => drop(published.remove(&shown)),
            Document::Present { body, .. } => {
                drop(published.insert(shown, String::from_utf8(body).unwrap()))
            }
            Document::Error { code, column, .. } => {
                let error = format!("error {code} in {}", column.as_deref().unwrap_or("a join"));
                published.insert(shown, error);
            }
        }
    }

    fn shown(&self, view: ViewId, key: &Key) -> String {
        key.texts(&self.plan.view(view).key_types()).unwrap().join(",")
    }
}

fn add(definitions: &mut Definitions, root: &Path, file: &str) {
    let text = std::fs::read_to_string(root.join(file)).unwrap();
    let file = SourceFile { path: file.to_owned(), text };
    match file.path.split('/').nth(1) {
        Some("streams") => definitions.streams.push(file),
        Some("views") => definitions.views.push(file),
        _ => definitions.tables.push(file),
    }
}

fn part(plan: &Plan, title: &str, body: &str) -> Part {
    let lines =
        body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match title.strip_prefix("documents ") {
        None => {
            assert_eq!(title, "changes");
            Part::Changes(lines.map(|line| change(plan, line)).collect())
        }
        Some(name) => {
            let mut views = plan.views_with_ids();
            let (view, _) = views.find(|(_, view)| view.name == name).expect(name);
            let document = |line: &str| {
                let (key, document) = line.split_once(' ').unwrap();
                (key.to_owned(), document.to_owned())
            };
            Part::Documents(view, lines.map(document).collect())
        }
    }
}

fn change(plan: &Plan, line: &str) -> Change {
    let (name, what) = line.split_once(' ').unwrap();
    let (id, table) = plan.tables_with_ids().find(|(_, t)| t.name == name).expect(name);
    let types: Vec<_> = table.key.iter().map(|&column| table.columns[column].ty).collect();
    let op = match what.strip_prefix("- ") {
        Some(key) => Op::Delete(Key::parse(&types, &key.split(',').collect::<Vec<_>>()).unwrap()),
        None if what == "truncate" => Op::Truncate,
        None => Op::Upsert(row(plan, id, what)),
    };
    Change { table: id, op }
}

fn row(plan: &Plan, id: TableId, json: &str) -> viewtide::value::Row {
    let table = plan.table(id);
    let mut writer = RowWriter::new(&table.layout);
    let columns: BTreeMap<String, serde_json::Value> = serde_json::from_str(json).expect(json);
    for (name, value) in columns {
        // A column that no view reads is not held.
        let Some(place) = table.columns.iter().position(|c| c.name == name) else { continue };
        let text = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let value = parse_text(table.columns[place].ty, &text).expect(&text);
        assert!(writer.set(place, &value));
    }
    writer.finish()
}
