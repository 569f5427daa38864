//! Rows with what is computed of them, which only the engine holds.

use crate::sql::plan::{Computed, Table};
use crate::value::{Row, RowLayout, RowWriter};

/// How rows of a table become wide ones.
#[derive(Debug)]
pub(super) struct Widening {
    narrow: RowLayout,
    computed: Vec<Computed>,
    writer: RowWriter,
}

impl Widening {
    /// `None` of a table of which nothing is computed.
    pub(super) fn of(table: &Table) -> Option<Box<Widening>> {
        (!table.computed.is_empty()).then(|| {
            Box::new(Widening {
                narrow: table.layout.clone(),
                computed: table.computed.clone(),
                writer: RowWriter::new(&table.wide_layout()),
            })
        })
    }

    /// The row with what is computed of it behind it.
    pub(super) fn widen(&mut self, row: &[u8]) -> Row {
        for column in 0..self.narrow.len() {
            self.writer.set(column, &self.narrow.value(row, column));
        }
        for (at, computed) in self.computed.iter().enumerate() {
            let fits = self.writer.set(self.narrow.len() + at, &computed.value(&self.narrow, row));
            debug_assert!(fits, "{} is of its type", computed.sql);
        }
        self.writer.finish()
    }
}

/// Makes wide rows narrow again, as they came.
#[derive(Debug)]
pub(super) struct Narrowing {
    wide: RowLayout,
    writer: RowWriter,
    columns: usize,
}

impl Narrowing {
    /// `None` of a table of which nothing is computed.
    pub(super) fn of(table: &Table) -> Option<Narrowing> {
        (!table.computed.is_empty()).then(|| Narrowing {
            wide: table.wide_layout(),
            writer: RowWriter::new(&table.layout),
            columns: table.columns.len(),
        })
    }

    /// The row without what is computed of it.
    pub(super) fn narrow(&mut self, row: &[u8]) -> Row {
        for column in 0..self.columns {
            self.writer.set(column, &self.wide.value(row, column));
        }
        self.writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::change::{Change, Op};
    use crate::engine::{Document, DumpCursor, Engine, Held};
    use crate::sql::plan::{Plan, TableId, ViewId};
    use crate::sql::{Definitions, SourceFile, plan_views};
    use crate::value::{Row, RowWriter};

    fn plan(select: &str) -> Arc<Plan> {
        let file = |text: String| vec![SourceFile { path: "x.sql".into(), text }];
        let definitions = Definitions {
            tables: file("CREATE TABLE t (id INT PRIMARY KEY, a INT);".to_owned()),
            streams: Vec::new(),
            views: file(format!("CREATE VIEW v AS SELECT {select};")),
        };
        Arc::new(plan_views(&definitions).unwrap())
    }

    fn row(plan: &Plan, id: i64, a: i64) -> Row {
        let mut writer = RowWriter::new(&plan.tables[0].layout);
        writer.set_number(0, id);
        writer.set_number(1, a);
        writer.finish()
    }

    fn shown(engine: &mut Engine) -> Vec<String> {
        let keys = engine.keys_after(ViewId(0), None, 9);
        let documents = keys.iter().map(|key| match engine.document(ViewId(0), key) {
            Document::Present { body, .. } => String::from_utf8(body.to_vec()).unwrap(),
            other => format!("{other:?}"),
        });
        documents.collect()
    }

    /// Rows leave as they came, and go over to plans that compute something else of them, or nothing.
    #[test]
    fn what_is_computed_stays_with_the_plan() {
        let grouped = |by: u8| {
            plan(&format!("a DIV {by} AS g, COUNT(*) AS n, MAX(id) AS last FROM t GROUP BY g"))
        };
        let halves = grouped(2);
        let rows: Vec<Row> = [(1, 1), (2, 2), (3, 3)].map(|(id, a)| row(&halves, id, a)).into();
        let mut engine = Engine::new(Arc::clone(&halves));
        let change = |row: &Row| Change { table: TableId(0), op: Op::Upsert(row.clone()) };
        engine.apply(change(&rows[0]));
        engine.apply_all(rows[1..].iter().map(change).collect());
        assert_eq!(shown(&mut engine), [r#"{"g":0,"n":1,"last":1}"#, r#"{"g":1,"n":2,"last":3}"#]);

        let (mut cursor, mut dumped) = (DumpCursor::default(), Vec::new());
        while engine
            .dump(&mut cursor, |row| {
                dumped.push(row.to_vec());
                false
            })
            .is_some()
        {}
        assert_eq!(dumped, rows.iter().map(|row| row.as_bytes().to_vec()).collect::<Vec<_>>());

        let mut replanned = engine.replan(grouped(3));
        assert_eq!(replanned.held, [Held::Whole]);
        let thirds = [r#"{"g":0,"n":2,"last":2}"#, r#"{"g":1,"n":1,"last":3}"#];
        assert_eq!(shown(&mut replanned.engine), thirds);
        replanned.engine.apply(change(&row(&halves, 3, 2)));
        assert_eq!(shown(&mut replanned.engine), [r#"{"g":0,"n":3,"last":3}"#]);
        let mut replanned = replanned.engine.replan(plan("id, a FROM t"));
        let plain = [r#"{"id":1,"a":1}"#, r#"{"id":2,"a":2}"#, r#"{"id":3,"a":2}"#];
        assert_eq!(shown(&mut replanned.engine), plain);
        let mut replanned = replanned.engine.replan(grouped(2));
        let halves = [r#"{"g":0,"n":1,"last":1}"#, r#"{"g":1,"n":2,"last":3}"#];
        assert_eq!(shown(&mut replanned.engine), halves);
    }
}
