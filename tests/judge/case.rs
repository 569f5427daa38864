//! One case: tables, views over them, statements that change rows, and how they come.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use viewtide::engine::LOOKED_THROUGH_MAX;
use viewtide::sql::plan::Plan;
use viewtide::sql::{Definitions, SourceFile, plan_views};

use super::changes::{Statement, statements};
use super::schema::{self, Table};
use super::select::{Written, select};
use super::tree::Tree;

/// SELECTs written for each view at most, until one is planned.
const TRIES_MAX: usize = 20;

/// What is tried.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) tables: Vec<Table>,
    pub(crate) views: Vec<View>,
    pub(crate) statements: Vec<Statement>,
    pub(crate) way: Way,
}

/// One view, which those behind it may read.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) select: Tree,
}

/// How changes reach the engine.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// Statements in each batch, over and over.
    pub(crate) batches: Vec<usize>,
    /// The batch before which the views go live.
    pub(crate) live_from: usize,
    /// Documents that one row touches at once.
    pub(crate) fan_out_max: usize,
    /// Rows that an aggregate or a pick looks through each time.
    pub(crate) looked_through_max: usize,
    /// Chunks of the backlog worked off behind a batch that is not compared.
    pub(crate) chunks: usize,
    /// Every so many batches documents are compared.
    pub(crate) compared: usize,
}

/// SELECTs that were not planned, by what the planner said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) planned: usize,
    /// How many, and one of them.
    pub(crate) by_message: BTreeMap<String, (usize, String)>,
    /// SELECTs on which the planner panicked.
    pub(crate) panics: Vec<String>,
}

impl Refusals {
    pub(crate) fn add(&mut self, other: Refusals) {
        self.planned += other.planned;
        self.panics.extend(other.panics);
        for (message, (count, example)) in other.by_message {
            self.by_message.entry(message).or_insert((0, example)).0 += count;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.by_message.values().map(|(count, _)| count).sum()
    }
}

/// The case of a seed, and what of its SELECTs was refused on the way.
pub(crate) fn case(seed: u64, views: usize, changes: usize) -> (Case, Refusals) {
    let mut random = StdRng::seed_from_u64(seed);
    let tables = schema::tables(&mut random);
    let mut refusals = Refusals::default();
    let (mut planned_views, mut readable): (Vec<View>, _) = (Vec::new(), tables.clone());
    for at in 0..views {
        let name = format!("v{at}");
        for _ in 0..TRIES_MAX {
            let Written { select, table } = select(&mut random, &readable, &name);
            planned_views.push(View { name: name.clone(), select: select.clone() });
            match planned(&tables, &planned_views) {
                Ok(_) => {
                    refusals.planned += 1;
                    readable.extend(table);
                    break;
                }
                Err(Unplanned::Refused(message)) => {
                    let example = || (0, format!("{message}: {select}"));
                    refusals.by_message.entry(outline(&message)).or_insert_with(example).0 += 1;
                }
                Err(Unplanned::Panicked) => {
                    refusals.panics.push(format!("seed {seed}: {select}"));
                }
            }
            planned_views.pop();
        }
    }
    let views = planned_views;
    let rare = if random.random_bool(0.3) { 0.03 } else { 0.0 };
    let statements = statements(&mut random, &tables, changes, rare);
    let one_by_one = random.random_bool(0.3);
    let batch = |_| if one_by_one { 1 } else { random.random_range(1..=8) };
    let batches = (0..10).map(batch).collect();
    let way = Way {
        batches,
        live_from: if random.random_bool(0.5) { 0 } else { random.random_range(0..10) },
        fan_out_max: random.random_range(1..=4),
        chunks: random.random_range(0..4),
        compared: if random.random_bool(0.7) { 1 } else { random.random_range(2..=4) },
        looked_through_max: [1, 3, LOOKED_THROUGH_MAX][random.random_range(0..3)],
    };
    (Case { seed, tables, views, statements, way }, refusals)
}

/// Why there is no plan.
pub(crate) enum Unplanned {
    Refused(String),
    Panicked,
}

/// The plan of some views.
pub(crate) fn planned(tables: &[Table], views: &[View]) -> Result<Plan, Unplanned> {
    let file = |path: String, text: String| SourceFile { path, text };
    let views = views.iter().map(|View { name, select }| {
        file(format!("{name}.sql"), format!("CREATE VIEW {name} AS {select};"))
    });
    let ddl: Vec<String> = tables.iter().map(Table::to_string).collect();
    let definitions = Definitions {
        tables: vec![file("tables.sql".to_owned(), ddl.join(";\n"))],
        streams: Vec::new(),
        views: views.collect(),
    };
    let plan = catch_unwind(AssertUnwindSafe(|| plan_views(&definitions)));
    plan.map_err(|_| Unplanned::Panicked)?.map_err(|error| Unplanned::Refused(error.to_string()))
}

/// A refusal without what it is about: its place and the SQL it quotes.
fn outline(message: &str) -> String {
    let words = message.splitn(4, ':').last().unwrap_or(message).trim();
    let outside = words.split('`').step_by(2);
    let text = outside.collect::<Vec<_>>().join("…");
    let digits = |c: char| c.is_ascii_digit();
    let text: String =
        text.split(digits).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#");
    text.chars().take(90).collect()
}
