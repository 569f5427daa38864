//! `docs/sql.md` tells the truth: every SELECT and every expression of it is planned, filled from
//! MySQL and compared with MySQL's answer; what it shows is what comes out; what it calls refused
//! is refused, in those words. It says itself how its blocks are read.

use serde_json::Value as Json;
use viewtide::keyspace::ErrorDocument;
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::sql::{Definitions, SourceFile, plan_views};

use crate::support::filled::{difference, documents, filled};
use crate::support::mysql::Server;

const PAGE: &str = include_str!("../docs/sql.md");

/// A fenced block.
struct Block {
    /// What stands behind the fence.
    kind: &'static str,
    text: &'static str,
    /// The line that it begins in.
    line: usize,
}

#[tokio::test]
async fn the_documented_sql_is_what_mysql_says() {
    let blocks = blocks();
    let tables = statements(&blocks, "CREATE TABLE").join(";\n");
    let mut server = Server::start("viewtide_documented").await;
    for sql in tables.split(";\n").chain(statements(&blocks, "INSERT")) {
        server.run(sql).await;
    }
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (at, block) in blocks.iter().enumerate() {
        let shown = blocks.get(at + 1).filter(|next| next.kind == "json");
        let examples: Vec<Example> = match block.kind.split_once(" of ") {
            None if block.kind == "sql" => selects(block, shown),
            None if block.kind == "sql refused" => refused(block),
            None if block.kind == "json" => continue,
            Some(("sql expressions", table)) => expressions(block, table),
            _ => panic!("line {}: no such block: {}", block.line, block.kind),
        };
        tried += examples.len();
        for example in examples {
            if let Err(why) = example.check(&tables, &mut server).await {
                wrong.push(format!("line {}: {}\n  {why}", block.line, example.sql));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/sql.md:\n{}", wrong.join("\n"));
    assert!(tried > 100, "only {tried} examples were read");
}

#[test]
fn every_function_is_documented() {
    let tables = statements(&blocks(), "CREATE TABLE").join(";\n");
    let error = plan(&tables, "SELECT id, NONE(id) AS n FROM orders");
    let message = error.unwrap_err();
    let (_, listed) = message.split_once("there are ").unwrap();
    let words = listed.split([',', ' ']).filter(|word| word.chars().any(char::is_uppercase));
    let missing: Vec<&str> = words
        .filter(|name| !PAGE.contains(&format!("{name}(")) && !PAGE.contains(&format!("{name} ")))
        .collect();
    assert!(missing.is_empty(), "docs/sql.md has no example of {missing:?}");
}

/// Something that the page says.
struct Example {
    sql: String,
    says: Says,
}

enum Says {
    /// The SELECT gives MySQL's rows, and these documents are among them.
    Documents(Vec<&'static str>),
    /// The expression's value in the first row.
    Value(&'static str),
    /// It is refused so.
    Refused(&'static str),
}

impl Example {
    async fn check(&self, tables: &str, server: &mut Server) -> Result<(), String> {
        let plan = plan(tables, &self.sql);
        if let Says::Refused(words) = self.says {
            return match plan {
                Ok(_) => Err("is planned".to_owned()),
                Err(error) if error.ends_with(&format!(": {words}")) => Ok(()),
                Err(error) => Err(format!("is refused as: {error}")),
            };
        }
        let plan = plan?;
        let mut engine = filled(&plan, server).await;
        let ours = documents(&mut engine, ViewId(0));
        let theirs = server.view(&plan, &plan.views[0]).await?;
        if theirs.is_empty() {
            return Err("gives no document".to_owned());
        }
        if let Some(difference) = difference(&plan.views[0], &ours, &theirs) {
            return Err(difference);
        }
        let mut bodies = ours.values().map(|stored| body(stored));
        match &self.says {
            Says::Documents(shown) => {
                let bodies: Vec<String> = bodies.collect();
                let other = shown.iter().find(|shown| !bodies.iter().any(|body| body == *shown));
                let all = || format!("{} is none of\n  {}", other.unwrap(), bodies.join("\n  "));
                other.is_none().then_some(()).ok_or_else(all)
            }
            Says::Value(shown) => {
                let first = bodies.next().unwrap();
                let value = first.rsplit_once("\"value\":").map_or(first.as_str(), |(_, v)| v);
                let value = value.trim_end_matches('}');
                let same = value == shown.trim_end_matches('}');
                same.then_some(()).ok_or_else(|| format!("is {value} in the first row"))
            }
            Says::Refused(_) => unreachable!(),
        }
    }
}

/// A document as the page shows it; an error by its number alone.
fn body(stored: &[u8]) -> String {
    match ErrorDocument::from_stored(stored) {
        Some(error) => serde_json::json!({ "error": error.code }).to_string(),
        None => String::from_utf8_lossy(stored).into_owned(),
    }
}

fn plan(tables: &str, select: &str) -> Result<Plan, String> {
    let file = |text: String| vec![SourceFile { path: "sql".to_owned(), text }];
    let mut views = file(format!("CREATE VIEW v AS\n{select};"));
    let others = statements(&blocks(), "CREATE VIEW");
    views.extend(others.iter().flat_map(|sql| file(format!("{sql};"))));
    let definitions = Definitions { tables: file(tables.to_owned()), streams: Vec::new(), views };
    plan_views(&definitions).map_err(|error| error.to_string())
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut parts = PAGE.split("```");
    let mut line = 1 + parts.next().unwrap().matches('\n').count();
    while let (Some(block), Some(rest)) = (parts.next(), parts.next()) {
        let (kind, text) = block.split_once('\n').unwrap();
        blocks.push(Block { kind, text: text.trim(), line });
        line += (block.matches('\n').count()) + rest.matches('\n').count();
    }
    blocks
}

/// The statements of `sql` blocks that begin with a word.
fn statements(blocks: &[Block], word: &str) -> Vec<&'static str> {
    let sql = blocks.iter().filter(|block| block.kind == "sql");
    sql.flat_map(parts).filter(|sql| sql.starts_with(word)).collect()
}

/// The statements of a block.
fn parts(block: &Block) -> impl Iterator<Item = &'static str> + use<> {
    let ends = block.text.split(";\n").map(|sql| sql.trim().trim_end_matches(';'));
    ends.filter(|sql| !sql.is_empty())
}

fn selects(block: &Block, shown: Option<&Block>) -> Vec<Example> {
    let all: Vec<&str> = parts(block).filter(|sql| sql.starts_with("SELECT")).collect();
    let mut examples: Vec<Example> = all
        .into_iter()
        .map(|sql| Example { sql: sql.to_owned(), says: Says::Documents(Vec::new()) })
        .collect();
    if let (Some(last), Some(shown)) = (examples.last_mut(), shown) {
        let lines: Vec<&str> = shown.text.lines().collect();
        for line in &lines {
            assert!(serde_json::from_str::<Json>(line).is_ok(), "line {}: {line}", shown.line);
        }
        last.says = Says::Documents(lines);
    }
    examples
}

fn expressions(block: &Block, table: &str) -> Vec<Example> {
    let example = |line: &'static str| {
        let (sql, value) = line.rsplit_once(" -- ").unwrap_or_else(|| panic!("no value: {line}"));
        let sql = format!("SELECT {table}.*, {} AS value FROM {table}", sql.trim());
        Example { sql, says: Says::Value(value.trim()) }
    };
    block.text.lines().map(example).collect()
}

fn refused(block: &Block) -> Vec<Example> {
    let example = |case: &'static str| {
        let (sql, words) = case.split_once("\n-- ").unwrap_or_else(|| panic!("no words: {case}"));
        Example { sql: sql.to_owned(), says: Says::Refused(words.trim()) }
    };
    block.text.split("\n\n").map(example).collect()
}
