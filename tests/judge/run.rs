//! Runs a case: every statement goes to MySQL, what MySQL then holds goes to the engine, and the
//! documents have to be what MySQL answers to the views' own SELECTs.
//!
//! Forgiven is what `viewtide verify` forgives (`verify::Comparer`): the order of the elements of
//! JSON_ARRAYAGG, and how JSON is spelled. Beyond that:
//!
//! - errors of MySQL's that are about UNSIGNED DECIMALs ([`UNKNOWN`]): the planner does not know
//!   that a DECIMAL is one;
//! - the sign of what DIV makes of DECIMALs, which is not written, for the same reason.
//!
//! What the generator does not write, because MySQL's answer depends on its plan or is wrong, is
//! said where it does not (`Writer::calm`, `Writer::relation`, `Joins`).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use viewtide::change::{Change, Op};
use viewtide::sql::plan::{Plan, TableId, ViewId};
use viewtide::value::{Key, Row, RowWriter, Type};
use viewtide::verify::Answer;

use super::case::{Case, Unplanned, planned};
use super::changes::What;
use super::maintained::Maintained;
use super::mutants::Mutant;
use super::scenario;
use super::support::filled::difference;
use super::support::mysql::{Server, Wires, value};

/// How MySQL's errors begin that documents do not have.
const UNKNOWN: &str = "DECIMAL UNSIGNED value is out of range";

/// What a case came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Rows changed in MySQL and in the engine.
    pub(crate) changes: usize,
    /// Documents held beside MySQL's answer.
    pub(crate) comparisons: usize,
}

/// In which way something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The SELECTs are planned one by one, and not together.
    Unplanned,
    Panic,
    /// What is planned MySQL does not take, or gives other types.
    Unlike,
    /// A document is not what MySQL answers.
    Different,
}

/// What is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Place of the view, if it is about one.
    pub(crate) view: Option<usize>,
    /// Statements run by then.
    pub(crate) statements: usize,
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// What MySQL answers to the view then.
    pub(crate) answers: BTreeMap<Key, Answer>,
}

impl Failure {
    fn new(kind: Kind, view: Option<usize>, statements: usize, text: impl Into<String>) -> Failure {
        Failure { view, statements, kind, text: text.into(), answers: BTreeMap::new() }
    }
}

/// Runs a case, with a mutant in the engine's place or without; `record` is told every change as a
/// line of a scenario.
pub(crate) async fn run(
    case: &Case,
    server: &mut Server,
    mutant: Option<Mutant>,
    record: &mut Vec<String>,
) -> Result<Tally, Failure> {
    let plan = planned(&case.tables, &case.views).map_err(|unplanned| match unplanned {
        Unplanned::Refused(message) => Failure::new(Kind::Unplanned, None, 0, message),
        Unplanned::Panicked => Failure::new(Kind::Panic, None, 0, "the planner panicked"),
    })?;
    let mut mutated = plan.clone();
    if let Some(mutant) = mutant {
        mutant.change_plan(&mut mutated);
    }
    server.clear().await;
    for table in &case.tables {
        server.run(&table.to_string()).await;
    }
    let maintained = Maintained::new(Arc::new(mutated), &case.way, mutant);
    let mut run = Run {
        held: vec![BTreeMap::new(); plan.tables.len()],
        agreed: vec![Agreed::default(); plan.views.len()],
        stale: vec![true; plan.views.len()],
        tally: Tally::default(),
        plan,
        maintained,
        mutant,
        case,
    };
    run.statements(server, record).await?;
    Ok(run.tally)
}

struct Run<'c> {
    case: &'c Case,
    plan: Plan,
    maintained: Maintained,
    mutant: Option<Mutant>,
    /// By table of the plan: MySQL's rows by their keys.
    held: Vec<BTreeMap<Wires, Wires>>,
    /// By view: what was compared last, and was the same.
    agreed: Vec<Agreed>,
    /// By view: whether a table that it reads has changed since.
    stale: Vec<bool>,
    tally: Tally,
}

#[derive(Clone, Default)]
struct Agreed {
    ours: BTreeMap<Key, Vec<u8>>,
    theirs: BTreeMap<Key, Answer>,
}

impl Run<'_> {
    async fn statements(
        &mut self,
        server: &mut Server,
        record: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let way = &self.case.way;
        let mut statements = self.case.statements.iter();
        let mut done = 0;
        for (number, &size) in way.batches.iter().cycle().enumerate() {
            if number == way.live_from {
                self.maintained.go_live();
            }
            let mut batch = Vec::new();
            for statement in statements.by_ref().take(size) {
                done += 1;
                let Some(sql) = statement.sql(&self.case.tables) else { continue };
                let truncates = matches!(statement.what, What::Truncate);
                // A key that is taken, a NULL where none may be: then nothing has changed.
                if server.try_run(&sql).await.is_ok() {
                    let name = &self.case.tables[statement.table].name;
                    batch.extend(self.changes_of(server, name, truncates, record).await);
                }
            }
            self.tally.changes += batch.len();
            let batch = match self.mutant {
                Some(mutant) => mutant.change_batch(batch),
                None => batch,
            };
            let is_over = statements.as_slice().is_empty();
            if is_over && number < way.live_from {
                self.maintained.go_live();
            }
            let settles = is_over || (number + 1) % way.compared == 0;
            let chunks = if settles { usize::MAX } else { way.chunks };
            let maintained = &mut self.maintained;
            catch_unwind(AssertUnwindSafe(|| {
                maintained.apply(batch);
                (0..chunks).take_while(|_| maintained.work_off()).count()
            }))
            .map_err(|_| Failure::new(Kind::Panic, None, done, "the engine panicked"))?;
            if settles && (number >= way.live_from || is_over) {
                self.compare(server, done).await?;
            }
            if is_over {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What a statement has changed in a table, by MySQL's rows before and after it.
    async fn changes_of(
        &mut self,
        server: &mut Server,
        name: &str,
        truncates: bool,
        record: &mut Vec<String>,
    ) -> Vec<Change> {
        let mut tables = self.plan.tables_with_ids();
        let Some((id, table)) = tables.find(|(_, table)| table.name == name) else {
            return Vec::new();
        };
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let rows = server.rows(&format!("SELECT {} FROM {name}", columns.join(", "))).await;
        let key = |row: &Wires| table.key.iter().map(|&at| row[at].clone()).collect::<Wires>();
        let rows: BTreeMap<Wires, Wires> = rows.into_iter().map(|row| (key(&row), row)).collect();
        let before = std::mem::replace(&mut self.held[usize::from(id.0)], rows);
        let now = &self.held[usize::from(id.0)];
        let mut changes = Vec::new();
        if truncates {
            record.push(format!("{name} truncate"));
            changes.push(Change { table: id, op: Op::Truncate });
        } else {
            for key in before.keys().filter(|key| !now.contains_key(*key)) {
                let types: Vec<Type> = table.key.iter().map(|&at| table.columns[at].ty).collect();
                let key = packed_key(&types, key);
                record.push(format!("{name} - {}", scenario::key(&key, &types)));
                changes.push(Change { table: id, op: Op::Delete(key) });
            }
            for (_, row) in now.iter().filter(|(key, row)| before.get(*key) != Some(row)) {
                record.push(format!("{name} {}", scenario::row(table, row)));
                changes.push(Change { table: id, op: Op::Upsert(self.packed(id, row)) });
            }
        }
        for (stale, view) in self.stale.iter_mut().zip(&self.plan.views) {
            *stale |= view.nodes.iter().any(|node| node.table == id);
        }
        changes
    }

    fn packed(&self, id: TableId, row: &Wires) -> Row {
        let table = self.plan.table(id);
        let mut writer = RowWriter::new(&table.layout);
        for (at, bytes) in row.iter().enumerate() {
            let ty = table.columns[at].ty;
            assert!(writer.set(at, &value(ty, bytes.clone())), "{}", table.columns[at].name);
        }
        writer.finish()
    }

    /// Holds all documents of every view against MySQL's answer.
    async fn compare(&mut self, server: &mut Server, done: usize) -> Result<(), Failure> {
        for (ViewId(at), view) in self.plan.views_with_ids() {
            let at = usize::from(at);
            let (ours, agreed) = (&self.maintained.published[at], &mut self.agreed[at]);
            if !std::mem::take(&mut self.stale[at]) && agreed.ours == *ours {
                continue;
            }
            let wrong = |kind, text: String| Failure::new(kind, Some(at), done, text);
            let theirs = server.view(&self.plan, view).await;
            let theirs = theirs.map_err(|text| wrong(Kind::Unlike, text))?;
            let is_known = |answer: &Answer| matches!(answer, Answer::Error { message, .. } if message.starts_with(UNKNOWN));
            if theirs.values().any(is_known) {
                continue;
            }
            self.tally.comparisons += theirs.len().max(1);
            if agreed.ours == *ours && agreed.theirs == theirs {
                continue;
            }
            if let Some(difference) = difference(view, ours, &theirs) {
                return Err(Failure { answers: theirs, ..wrong(Kind::Different, difference) });
            }
            *agreed = Agreed { ours: ours.clone(), theirs };
        }
        Ok(())
    }
}

fn packed_key(types: &[Type], wires: &Wires) -> Key {
    let mut key = Key::new();
    types.iter().zip(wires).for_each(|(ty, bytes)| key.push(&value(*ty, bytes.clone())));
    key
}
