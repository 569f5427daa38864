//! Every kind of expression, evaluated here and by MySQL itself over the same rows: the type, the
//! value as a document shows it, as text, and as an element of JSON have to be the same, and so
//! has the error.

mod cases;
mod strings;
mod texts;
mod views;

use viewtide::engine::{Document, Engine};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::sql::{Definitions, SourceFile, plan_views};
use viewtide::value::{Collation, Key, Type, Value};

use crate::support::filled::filled;
use crate::support::mysql::{Answer, Server, kind};

#[tokio::test]
async fn expressions_are_what_mysql_says() {
    compare("viewtide_expressions", cases::TABLES, cases::ROWS, cases::EXPRESSIONS).await;
}

#[tokio::test]
async fn strings_are_what_mysql_says() {
    compare("viewtide_strings", strings::TABLES, strings::ROWS, strings::EXPRESSIONS).await;
}

/// Compares every expression in every row of the table `x`.
async fn compare(database: &str, tables: &str, rows: &str, expressions: &str) {
    let mut server = Server::start(database).await;
    for sql in tables.split(';').chain(rows.split(";\n")) {
        if !sql.trim().is_empty() {
            server.run(sql).await;
        }
    }
    let ids = server.rows("SELECT id FROM x ORDER BY id").await;
    let ids: Vec<i64> = ids
        .into_iter()
        .map(|row| String::from_utf8(row[0].clone().unwrap()).unwrap().parse().unwrap())
        .collect();
    let mut differences = Vec::new();
    let mut compared = 0;
    for case in expressions.lines().map(str::trim) {
        if case.is_empty() || case.starts_with('#') {
            continue;
        }
        let (alone, expression) = match case.strip_prefix("alone: ") {
            Some(expression) => (true, expression),
            None => (false, case),
        };
        let columns = if alone {
            format!("{expression} AS v")
        } else {
            format!("{expression} AS v, CONCAT({expression}) AS t, JSON_ARRAY({expression}) AS j")
        };
        let plan = match plan_views(&definitions(tables, &columns)) {
            Ok(plan) => plan,
            Err(error) => {
                differences.push(format!("{expression}: {error}"));
                continue;
            }
        };
        if let Type::Text(collation) = plan.views[0].outputs[1].expr.ty {
            let sql = format!("SELECT COLLATION({expression}) FROM x LIMIT 1");
            let theirs = server.rows(&sql).await.remove(0).remove(0).unwrap();
            let theirs = String::from_utf8(theirs).unwrap();
            // NULL alone has none; hexadecimal digits of ASCII meet others as those of utf8mb4.
            let is_open = ["binary", "ascii_general_ci"].contains(&theirs.as_str());
            if !is_open && Collation::named(&theirs) != collation {
                differences.push(format!("{expression} is {collation:?}, in MySQL {theirs}"));
            }
        }
        let mut engine = filled(&plan, &mut server).await;
        for &id in &ids {
            let ours = ours(&plan, &mut engine, id);
            let sql = format!("SELECT {columns} FROM x WHERE x.id = {id}");
            let theirs = match server.answers(&sql).await {
                Ok(answers) => answers,
                Err(code) => vec![Answer::Error(code)],
            };
            compared += theirs.len();
            if !same(&ours, &theirs) {
                differences.push(format!(
                    "{expression} in row {id}:\n  ours  {ours:?}\n  MySQL {theirs:?}"
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 2000, "only {compared} values were compared");
}

fn definitions(tables: &str, columns: &str) -> Definitions {
    let file = |path: &str, text: String| SourceFile { path: path.to_owned(), text };
    Definitions {
        tables: vec![file("schema.sql", tables.to_owned())],
        streams: Vec::new(),
        views: vec![file(
            "v.sql",
            format!("CREATE VIEW v AS SELECT x.id AS id, {columns} FROM x;"),
        )],
    }
}

fn ours(plan: &Plan, engine: &mut Engine, id: i64) -> Vec<Answer> {
    let mut key = Key::new();
    key.push(&Value::Int(id));
    match engine.assemble(ViewId(0), &key) {
        Some(Document::Present { body, .. }) => {
            let outputs = &plan.views[0].outputs[1..];
            let parts = raw_values(&body);
            outputs
                .iter()
                .zip(&parts[1..])
                .map(|(o, part)| Answer::Value(o.expr.ty, part.clone()))
                .collect()
        }
        Some(Document::Error { code, .. }) => vec![Answer::Error(code)],
        other => panic!("no document {id}: {other:?}"),
    }
}

/// The values of a JSON object, as written.
fn raw_values(body: &[u8]) -> Vec<String> {
    let raw: Vec<(String, Box<serde_json::value::RawValue>)> =
        serde_json::from_slice::<Members>(body).unwrap().0;
    raw.into_iter().map(|(_, value)| value.get().to_owned()).collect()
}

struct Members(Vec<(String, Box<serde_json::value::RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn same(ours: &[Answer], theirs: &[Answer]) -> bool {
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|pair| match pair {
            (Answer::Value(a, x), Answer::Value(b, y)) => kind(*a) == kind(*b) && x == y,
            (a, b) => a == b,
        })
}
