//! A failing case as a file for `tests/scenarios`.

use std::collections::BTreeMap;

use viewtide::sql::plan::{Plan, Table, View};
use viewtide::value::{Key, Type, write_json, write_json_string};
use viewtide::verify::Answer;

use super::case::{Case, View as Written, planned};
use super::run::Failure;
use super::support::mysql::{Wires, value};

/// The scenario of a case that fails so; `changes` are its lines.
pub(crate) fn scenario(case: &Case, failure: &Failure, changes: &[String]) -> String {
    let tables: Vec<String> = case.tables.iter().map(|table| format!("{table};")).collect();
    let views = case
        .views
        .iter()
        .map(|Written { name, select }| format!("== views\nCREATE VIEW {name} AS\n{select};\n"));
    let mut text = format!(
        "Found by seed {}.\n\n== tables\n{}\n\n{}\n== changes\n{}\n",
        case.seed,
        tables.join("\n"),
        views.collect::<Vec<_>>().join("\n"),
        changes.join("\n"),
    );
    if let (Some(at), Ok(plan)) = (failure.view, planned(&case.tables, &case.views)) {
        text.push_str(&documents(&plan, at, &failure.answers));
    }
    text
}

fn documents(plan: &Plan, at: usize, answers: &BTreeMap<Key, Answer>) -> String {
    let view = &plan.views[at];
    let mut lines = format!("\n== documents {}\n", view.name);
    for (of, answer) in answers {
        let body = match answer {
            Answer::Row(_) => body(view, answer),
            Answer::Error { code, .. } => format!("error {code} in ?"),
        };
        lines.push_str(&format!("{} {body}\n", key(of, &view.key_types())));
    }
    lines
}

fn body(view: &View, answer: &Answer) -> String {
    let Answer::Row(values) = answer else { return String::new() };
    let mut body = Vec::new();
    for (output, value) in view.outputs.iter().zip(values) {
        body.push(if body.is_empty() { b'{' } else { b',' });
        write_json_string(&mut body, &output.name);
        body.push(b':');
        write_json(&mut body, value, output.expr.ty);
    }
    body.push(b'}');
    String::from_utf8_lossy(&body).into_owned()
}

/// A key, as a scenario's lines have it.
pub(crate) fn key(key: &Key, types: &[Type]) -> String {
    key.texts(types).unwrap_or_default().join(",")
}

/// A row of MySQL's, as a scenario's lines have it: NULLs are left out.
pub(crate) fn row(table: &Table, row: &Wires) -> String {
    let mut json = Vec::new();
    for (column, bytes) in table.columns.iter().zip(row) {
        let Some(bytes) = bytes else { continue };
        json.push(if json.is_empty() { b'{' } else { b',' });
        write_json_string(&mut json, &column.name);
        json.push(b':');
        write_json(&mut json, &value(column.ty, Some(bytes.clone())), column.ty);
    }
    json.push(b'}');
    String::from_utf8_lossy(&json).into_owned()
}
