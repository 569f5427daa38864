//! A file of SQL: planned or refused. Statements before a line `--` are the tables; without it, the
//! whole file is a view over the demo's tables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use viewtide::sql::{Definitions, SourceFile, plan_views};

const TABLES: &str = include_str!("../../sql/schema.sql");
const STREAM: &str = include_str!("../../sql/streams/order_updates.sql");

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

fuzz_target!(|text: &str| {
    let (tables, view) = text.split_once("\n--\n").unwrap_or((TABLES, text));
    let definitions = Definitions {
        tables: vec![file("tables.sql", tables)],
        streams: vec![file("stream.sql", STREAM)],
        views: vec![file("view.sql", view)],
    };
    match plan_views(&definitions) {
        // What the plan says of itself must be there, and be told the same way twice.
        Ok(plan) => {
            for view in &plan.views {
                assert!(!view.key.is_empty() && !view.nodes.is_empty());
                assert_eq!(view.key.len(), view.key_types().len());
            }
            let again = plan_views(&definitions).expect("it was planned before");
            assert_eq!(again.views[0].fingerprint, plan.views[0].fingerprint);
        }
        Err(error) => {
            let file = if error.path == "view.sql" { view } else { tables };
            let lines = file.split('\n').count().max(STREAM.split('\n').count()) as u64;
            assert!(error.line <= lines + 1, "{error}");
            assert!(!error.message.is_empty());
        }
    }
});
