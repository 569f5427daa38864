//! Random statements that change rows.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::schema::{Column, Table};

/// Rows of a table at most, so that asking MySQL stays cheap.
const ROWS_MAX: usize = 9;
/// How often a value that can be NULL is.
const NULLS: f64 = 0.15;

/// One statement; columns that its table has not are left out of it.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// Place of the table.
    pub(crate) table: usize,
    pub(crate) what: What,
}

/// Values by column, as constants of SQL.
type Values = BTreeMap<String, &'static str>;

#[derive(Clone, Debug)]
pub(crate) enum What {
    Insert(Values),
    /// Sets these in the rows that have those.
    Update(Values, Values),
    /// The rows that have these.
    Delete(Values),
    Truncate,
}

impl Statement {
    /// The statement for its table as it is; `None` if nothing of it is left.
    pub(crate) fn sql(&self, tables: &[Table]) -> Option<String> {
        let table = &tables[self.table];
        let held = |values: &Values, between: &str, equal: &str| {
            let held = values.iter().filter(|(column, _)| table.place(column).is_some());
            let terms: Vec<String> =
                held.map(|(column, value)| format!("{column} {equal} {value}")).collect();
            (!terms.is_empty()).then(|| terms.join(between))
        };
        let name = &table.name;
        Some(match &self.what {
            What::Insert(values) => format!("INSERT INTO {name} SET {}", held(values, ", ", "=")?),
            What::Update(set, rows) => format!(
                "UPDATE {name} SET {} WHERE {}",
                held(set, ", ", "=")?,
                held(rows, " AND ", "<=>")?
            ),
            What::Delete(rows) => {
                format!("DELETE FROM {name} WHERE {}", held(rows, " AND ", "<=>")?)
            }
            What::Truncate => format!("TRUNCATE TABLE {name}"),
        })
    }
}

/// Random statements over these tables; `rare` is how often a value is one of the ends of its type.
/// Few miss their row, or hit a key that is taken.
pub(crate) fn statements(
    random: &mut StdRng,
    tables: &[Table],
    count: usize,
    rare: f64,
) -> Vec<Statement> {
    // The keys of the rows there are, as far as that can be told here.
    let mut keys: Vec<Vec<Values>> = vec![Vec::new(); tables.len()];
    let mut maker = Maker { random, rare };
    let statement = |_| {
        let at = maker.random.random_range(0..tables.len());
        Statement { table: at, what: maker.what(&tables[at], &mut keys[at]) }
    };
    (0..count).map(statement).collect()
}

struct Maker<'r> {
    random: &'r mut StdRng,
    rare: f64,
}

impl Maker<'_> {
    fn what(&mut self, table: &Table, keys: &mut Vec<Values>) -> What {
        let Some(row) = keys.choose(self.random).cloned() else { return self.insert(table, keys) };
        match self.random.random_range(0..200) {
            0..80 if keys.len() < ROWS_MAX => self.insert(table, keys),
            0..140 => What::Update(self.some_columns(table), row),
            140..150 => {
                let set = self.some_columns(table);
                let column = table.columns.choose(self.random);
                let rows = column.map(|column| (column.name.clone(), self.value(column)));
                What::Update(set, rows.into_iter().collect())
            }
            150..166 => {
                let mut set = self.key(table);
                let moved = set.clone();
                if self.random.random_bool(0.5) {
                    set.extend(self.some_columns(table));
                }
                keys.retain(|other| *other != row && *other != moved);
                keys.push(moved);
                What::Update(set, row)
            }
            199 => {
                keys.clear();
                What::Truncate
            }
            _ => {
                keys.retain(|other| *other != row);
                What::Delete(row)
            }
        }
    }

    fn insert(&mut self, table: &Table, keys: &mut Vec<Values>) -> What {
        let key = self.key(table);
        let mut row = key.clone();
        for column in &table.columns[table.key..] {
            row.insert(column.name.clone(), self.value(column));
        }
        if !keys.contains(&key) {
            keys.push(key);
        }
        What::Insert(row)
    }

    fn key(&mut self, table: &Table) -> Values {
        let columns = table.columns[..table.key].iter();
        columns.map(|column| (column.name.clone(), self.value(column))).collect()
    }

    /// Values for one to three columns that are no key.
    fn some_columns(&mut self, table: &Table) -> Values {
        let count = self.random.random_range(1..=3);
        let columns: Vec<&Column> =
            table.columns[table.key..].choose_multiple(self.random, count).collect();
        columns.into_iter().map(|column| (column.name.clone(), self.value(column))).collect()
    }

    fn value(&mut self, column: &Column) -> &'static str {
        if column.nullable && self.random.random_bool(NULLS) {
            return "NULL";
        }
        column.ty.value(self.random, self.rare)
    }
}
