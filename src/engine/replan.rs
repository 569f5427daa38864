//! Takes an engine's rows over to another plan.
//!
//! A table that is held as before moves as it is, with the indexes that are still of use; rows of
//! other columns are packed anew one by one. What the former plan did not hold is NULL, and told: it
//! has to be read anew, unless there is no row that could have it. What is computed is computed anew
//! where it is not the same. Of views nothing goes over: none is live, as after a start.
//!
//! Until the rows of a table are packed anew, memory has to hold them twice.

use std::sync::Arc;

use super::Engine;
use super::table::Table;
use super::widen::Widening;
use crate::sql::plan::{self, Plan};
use crate::value::{RowWriter, Type};

/// An engine of another plan.
#[derive(Debug)]
pub struct Replanned {
    /// The engine, none of whose views is live.
    pub engine: Engine,
    /// By table of the plan: what it has of its rows.
    pub held: Vec<Held>,
}

/// What an engine has of a table's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of them.
    Whole,
    /// All of them, but these columns, which are NULL; places in [`plan::Table::columns`].
    Without(Vec<usize>),
    /// None: there was no such table, or its rows had other keys.
    Nothing,
}

impl Engine {
    /// The same rows as another plan holds them.
    pub fn replan(self, plan: Arc<Plan>) -> Replanned {
        let (fan_out_max, looked_through_max) = (self.fanouts.max(), self.looked_through_max);
        let mut engine = Engine::with_limits(Arc::clone(&plan), fan_out_max, looked_through_max);
        let mut former: Vec<(&plan::Table, Option<Table>)> =
            self.plan.tables.iter().zip(self.tables.into_iter().map(Some)).collect();
        let mut held = Vec::new();
        let tables = engine.tables.iter_mut().zip(&mut engine.widenings);
        for (now, (rows, widening)) in plan.tables.iter().zip(tables) {
            let found = former.iter_mut().find(|(before, _)| has_rows_of(before, now));
            let found = found.and_then(|(before, rows)| Some((*before, rows.take()?)));
            held.push(match found {
                None => Held::Nothing,
                Some((before, taken)) => take_rows((rows, widening), now, before, taken),
            });
        }
        engine.gather_groups();
        Replanned { engine, held }
    }
}

/// Whether rows of a table before are, by their keys, rows of a table now.
fn has_rows_of(before: &plan::Table, now: &plan::Table) -> bool {
    let is_key = |(&before_at, &now_at): (&usize, &usize)| {
        is_kept(&before.columns[before_at], &now.columns[now_at])
    };
    before.name == now.name
        && before.source == now.source
        && before.key.len() == now.key.len()
        && before.key.iter().zip(&now.key).all(is_key)
}

/// Whether a column's values are values of a column of the other plan.
fn is_kept(before: &plan::Column, now: &plan::Column) -> bool {
    before.name == now.name && has_values_of(before.ty, now.ty)
}

/// Whether every value of a type is the same as a value of another.
fn has_values_of(before: Type, now: Type) -> bool {
    match (before, now) {
        (Type::Int { bytes: a, unsigned: x }, Type::Int { bytes: b, unsigned: y }) => {
            a <= b && x == y
        }
        (Type::Decimal { precision: a, scale: x }, Type::Decimal { precision: b, scale: y }) => {
            a <= b && x == y
        }
        // How text compares is no part of it.
        (Type::Text(_), Type::Text(_)) => true,
        _ => before == now,
    }
}

/// Fills a table, which is empty, with the rows of before.
fn take_rows(
    (rows, widening): (&mut Table, &mut Option<Box<Widening>>),
    now: &plan::Table,
    before: &plan::Table,
    former: Table,
) -> Held {
    let place = |now: &plan::Column| before.columns.iter().position(|before| is_kept(before, now));
    let places: Vec<Option<usize>> = now.columns.iter().map(place).collect();
    let types = |table: &plan::Table| table.columns.iter().map(|c| c.ty).collect::<Vec<_>>();
    let is_same = types(before) == types(now)
        && before.key == now.key
        && before.computed.iter().map(|c| &c.expr).eq(now.computed.iter().map(|c| &c.expr))
        && places.iter().copied().eq((0..before.columns.len()).map(Some));
    if is_same && rows.is_found_like(&former) {
        rows.take_over(former);
        return Held::Whole;
    }
    let mut writer = RowWriter::new(&now.layout);
    let mut is_empty = true;
    for row in (0..former.slots()).filter_map(|slot| former.row(slot)) {
        for (column, place) in places.iter().enumerate() {
            if let Some(place) = place {
                // It fits: the types were compared.
                writer.set(column, &former.rows.layout.value(row, *place));
            }
        }
        let row = writer.finish();
        rows.insert(match widening {
            None => row,
            Some(widening) => widening.widen(row.as_bytes()),
        });
        is_empty = false;
    }
    let without: Vec<usize> =
        (0..places.len()).filter(|&column| places[column].is_none()).collect();
    if is_empty || without.is_empty() { Held::Whole } else { Held::Without(without) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Op};
    use crate::engine::Document;
    use crate::sql::plan::{TableId, ViewId};
    use crate::sql::{Definitions, SourceFile, plan_views};

    fn plan(table: &str, view: &str) -> Arc<Plan> {
        let file = |path: &str, text: String| SourceFile { path: path.into(), text };
        let definitions = Definitions {
            tables: vec![file("t.sql", format!("CREATE TABLE {table};"))],
            streams: Vec::new(),
            views: vec![file("v.sql", format!("CREATE VIEW v AS SELECT {view};"))],
        };
        Arc::new(plan_views(&definitions).unwrap())
    }

    /// What goes over from a row (1, 2, 3.45) of `id`, `a` and `d`.
    #[test]
    fn rows_keep_what_both_plans_hold_alike() {
        let before = plan(
            "t (id int NOT NULL, a smallint, d decimal(5,2), PRIMARY KEY (id))",
            "id, a, d FROM t",
        );
        for (table, view, held, shown) in [
            (
                "t (id int, a smallint, d decimal(5,2), PRIMARY KEY (id))",
                "a, SUM(d) AS d FROM t GROUP BY a",
                Held::Whole,
                r#"{"a":2,"d":"3.45"}"#,
            ),
            (
                "t (id int, a smallint, d decimal(5,2), PRIMARY KEY (id))",
                "id, d, a FROM t",
                Held::Whole,
                r#"{"id":1,"d":"3.45","a":2}"#,
            ),
            (
                "t (d decimal(9,2), a bigint, id bigint, PRIMARY KEY (id))",
                "id, a, d FROM t",
                Held::Whole,
                r#"{"id":1,"a":2,"d":"3.45"}"#,
            ),
            (
                "t (id int, a tinyint, d decimal(5,3), PRIMARY KEY (id))",
                "id, a, d FROM t",
                Held::Without(vec![1, 2]),
                r#"{"id":1,"a":null,"d":null}"#,
            ),
            (
                "t (id int, b int, d decimal(5,2), PRIMARY KEY (id))",
                "id, b, d FROM t",
                Held::Without(vec![1]),
                r#"{"id":1,"b":null,"d":"3.45"}"#,
            ),
            ("t (id int unsigned, a int, PRIMARY KEY (id))", "id, a FROM t", Held::Nothing, ""),
            ("t (id int, a smallint NOT NULL, PRIMARY KEY (a))", "id, a FROM t", Held::Nothing, ""),
            ("u (id int, a smallint, PRIMARY KEY (id))", "id, a FROM u", Held::Nothing, ""),
        ] {
            let mut engine = Engine::new(Arc::clone(&before));
            let mut row = RowWriter::new(&before.tables[0].layout);
            let decimal = crate::value::Decimal::from_be_bytes(&[1, 89], 2).unwrap();
            row.set_number(0, 1);
            row.set_number(1, 2);
            assert!(row.set_decimal(2, decimal));
            engine.apply(Change { table: TableId(0), op: Op::Upsert(row.finish()) });
            let mut replanned = engine.replan(plan(table, view));
            assert_eq!(replanned.held, [held], "{table}");
            let keys = replanned.engine.keys_after(ViewId(0), None, 9);
            let documents = keys.iter().map(|key| replanned.engine.document(ViewId(0), key));
            let shown_now: Vec<String> = documents
                .map(|document| match document {
                    Document::Present { body, .. } => String::from_utf8(body.to_vec()).unwrap(),
                    other => format!("{other:?}"),
                })
                .collect();
            assert_eq!(shown_now.concat(), shown, "{table}");
        }
    }

    /// A column that is read from here on is missing in no row where there is none.
    #[test]
    fn an_empty_table_lacks_nothing() {
        let before = plan("t (id int, a int, PRIMARY KEY (id))", "id FROM t");
        let now = plan("t (id int, a int, PRIMARY KEY (id))", "id, a FROM t");
        let mut engine = Engine::new(Arc::clone(&before));
        assert_eq!(Engine::new(before).replan(Arc::clone(&now)).held, [Held::Whole]);
        let mut row = RowWriter::new(&engine.plan.tables[0].layout);
        row.set_number(0, 1);
        engine.apply(Change { table: TableId(0), op: Op::Upsert(row.finish()) });
        assert_eq!(engine.replan(now).held, [Held::Without(vec![1])]);
    }
}
