//! MySQL: logs what Debezium needs, and its tables are as declared.

use std::collections::HashMap;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};
use tokio::time::timeout;

use super::{Finding, PROBE_WAIT, innermost};
use crate::config::{Config, Mysql};
use crate::mysql::{UNREACHABLE, connect, quoted_name};
use crate::sql::plan::{Node, Plan, TableSource};
use crate::sql::{self, Catalog, Definitions, SourceFile, TableDefinition};
use crate::value::Type;

const PART: &str = "mysql";

/// What the server says of itself and its tables.
struct Found {
    version: String,
    variables: HashMap<String, String>,
    /// SHOW CREATE TABLE, or why there is none, by table.
    tables: Vec<(String, Result<String, String>)>,
    /// Foreign keys that change rows of these tables by themselves: constraint and table.
    cascades: Vec<(String, String)>,
    /// Views whose SELECT the server refuses, and what it says.
    refused: Vec<(String, String)>,
}

pub(super) async fn probe(config: &Config, catalog: &Catalog, plan: &Plan) -> Vec<Finding> {
    let Mysql { host, port, .. } = &config.mysql;
    let address = format!("{host}:{port}");
    let captured: Vec<String> = plan
        .tables
        .iter()
        .filter(|table| table.source == TableSource::Captured)
        .map(|table| table.name.clone())
        .collect();
    match timeout(PROBE_WAIT, ask(&config.mysql, &captured, plan)).await {
        Ok(Ok(found)) => {
            let mut findings = judge_server(&address, &found);
            findings.extend(judge_tables(catalog, &found));
            findings.extend(judge_zero_dates(&found, plan));
            findings.extend(found.refused.iter().map(|(view, reason)| {
                let text = format!("the server refuses the SELECT of view {view}: {reason}");
                Finding::fail(PART, text)
            }));
            findings
        }
        Ok(Err(error)) => {
            let text = format!("{address}: {}; {UNREACHABLE}", innermost(&error));
            vec![Finding::fail(PART, text)]
        }
        Err(_) => vec![Finding::fail(PART, format!("{address} does not answer within 5 s"))],
    }
}

/// What SHOW CREATE TABLE prints, or why it does not.
pub(super) async fn show_create(
    connection: &mut Conn,
    table: &str,
) -> Result<Result<String, String>, Error> {
    let sql = format!("SHOW CREATE TABLE {}", quoted_name(table));
    match connection.query_first::<(String, String), _>(sql).await {
        Ok(Some((_, ddl))) => Ok(Ok(ddl)),
        Ok(None) => Ok(Err("no answer to SHOW CREATE TABLE".to_owned())),
        Err(Error::Server(error)) => Ok(Err(error.message)),
        Err(error) => Err(error),
    }
}

/// The views over captured tables alone whose SELECT the server refuses. Nothing is run.
async fn refused_views(connection: &mut Conn, plan: &Plan) -> Result<Vec<(String, String)>, Error> {
    let is_captured = |node: &Node| plan.table(node.table).source == TableSource::Captured;
    let mut refused = Vec::new();
    for view in plan.views.iter().filter(|view| view.nodes.iter().all(is_captured)) {
        match connection.prep(view.select.as_str()).await {
            Ok(statement) => connection.close(statement).await?,
            Err(Error::Server(error)) => refused.push((view.name.clone(), error.message)),
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}

async fn ask(mysql: &Mysql, captured: &[String], plan: &Plan) -> Result<Found, Error> {
    let mut connection = connect(mysql).await?;
    let version: Option<String> = connection.query_first("SELECT VERSION()").await?;
    let names = "'gtid_mode', 'log_bin', 'binlog_format', 'binlog_row_image', \
                 'binlog_row_value_options', 'sql_mode', 'time_zone', 'system_time_zone'";
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})");
    let variables: Vec<(String, String)> = connection.query(sql).await?;
    let mut tables = Vec::new();
    for table in captured {
        tables.push((table.clone(), show_create(&mut connection, table).await?));
    }
    let cascades: Vec<(String, String)> = connection
        .exec(
            "SELECT CONSTRAINT_NAME, TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE CONSTRAINT_SCHEMA = ? AND (DELETE_RULE IN ('CASCADE', 'SET NULL') \
             OR UPDATE_RULE IN ('CASCADE', 'SET NULL')) ORDER BY TABLE_NAME, CONSTRAINT_NAME",
            (&mysql.database,),
        )
        .await?;
    let refused = refused_views(&mut connection, plan).await?;
    let _ = connection.disconnect().await;
    let cascades = cascades.into_iter().filter(|(_, table)| captured.contains(table)).collect();
    let variables = variables.into_iter().map(|(k, v)| (k.to_ascii_lowercase(), v)).collect();
    Ok(Found { version: version.unwrap_or_default(), variables, tables, cascades, refused })
}

fn judge_server(address: &str, found: &Found) -> Vec<Finding> {
    let variable = |name: &str| found.variables.get(name).map_or("", String::as_str);
    let zone = match variable("time_zone") {
        "SYSTEM" => format!("SYSTEM ({})", variable("system_time_zone")),
        zone => zone.to_owned(),
    };
    let version = &found.version;
    let mut findings = vec![Finding::ok(
        PART,
        format!("{address} answers, version {version}, time zone {zone}; documents are in UTC"),
    )];
    for (name, wanted, why) in [
        ("log_bin", "ON", "without a binlog there are no changes to follow"),
        ("gtid_mode", "ON", "duplicates are told by GTID"),
        ("binlog_format", "ROW", "statements do not tell rows"),
        ("binlog_row_image", "FULL", "partial rows lack columns"),
        ("binlog_row_value_options", "", "partial JSON updates lack the rest"),
    ] {
        let given = variable(name);
        if !given.eq_ignore_ascii_case(wanted) {
            let text = format!("{name} is {given}, and {why}: set {name}={wanted}");
            findings.push(Finding::fail(PART, text));
        }
    }
    if !found.cascades.is_empty() && version_below(version, (9, 6)) {
        let list: Vec<String> =
            found.cascades.iter().map(|(key, table)| format!("{table}.{key}")).collect();
        let text = format!(
            "before version 9.6 rows changed by a foreign key's CASCADE or SET NULL are not in the binlog ({}): upgrade, or delete the children yourself first",
            list.join(", ")
        );
        findings.push(Finding::warn(PART, text));
    }
    findings
}

/// A zero date is NULL to views, which is what the connector sends for it where the column can be
/// NULL. Elsewhere it sends 1970-01-01, which nobody can tell from that day.
fn judge_zero_dates(found: &Found, plan: &Plan) -> Option<Finding> {
    let mode = found.variables.get("sql_mode").map_or("", String::as_str);
    let refused = mode.split(',').any(|word| word == "NO_ZERO_DATE")
        && mode.split(',').any(|word| word.starts_with("STRICT_"));
    let tables = plan.tables.iter().filter(|table| table.source == TableSource::Captured);
    let columns = tables.flat_map(|table| {
        let dates = table.columns.iter().filter(|column| {
            !column.nullable && matches!(column.ty, Type::Date | Type::DateTime { .. })
        });
        dates.map(|column| format!("{}.{}", table.name, column.name))
    });
    let columns: Vec<String> = columns.collect();
    (!refused && !columns.is_empty()).then(|| {
        let text = format!(
            "sql_mode takes zero dates, and the connector sends 1970-01-01 for them where a column is NOT NULL ({}): declare it NULL, or set sql_mode with NO_ZERO_DATE and STRICT_TRANS_TABLES",
            columns.join(", ")
        );
        Finding::warn(PART, text)
    })
}

fn version_below(version: &str, wanted: (u32, u32)) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < wanted
}

fn judge_tables(catalog: &Catalog, found: &Found) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, ddl) in &found.tables {
        let Some(declared) = catalog.table(name) else { continue };
        let differences = match ddl {
            Ok(ddl) => match served_table(name, ddl) {
                Ok(served) => differences(declared, &served),
                Err(reason) => vec![reason],
            },
            Err(reason) => vec![reason.clone()],
        };
        if differences.is_empty() {
            findings.push(Finding::ok(PART, format!("table {name} is as declared")));
        }
        for difference in differences {
            let mend = "correct the declaration (`viewtide check --write-tables` fetches it)";
            findings.push(Finding::fail(PART, format!("table {name}: {difference}; {mend}")));
        }
    }
    findings
}

/// The table as the server declares it.
fn served_table(name: &str, ddl: &str) -> Result<TableDefinition, String> {
    let path = format!("SHOW CREATE TABLE {name}");
    let tables = vec![SourceFile { path, text: ddl.to_owned() }];
    let definitions = Definitions { tables, ..Definitions::default() };
    let catalog = sql::read_catalog(&definitions).map_err(|error| error.to_string())?;
    catalog.table(name).cloned().ok_or_else(|| "it is not a table".to_owned())
}

/// What differs in what documents depend on: columns with their types, and the keys.
fn differences(declared: &TableDefinition, served: &TableDefinition) -> Vec<String> {
    let mut differences = Vec::new();
    for column in &declared.columns {
        let name = &column.name;
        let Some(there) = served.column(name).map(|place| &served.columns[place]) else {
            differences.push(format!("column {name} is declared, but the server has none"));
            continue;
        };
        let null = |nullable| if nullable { "NULL" } else { "NOT NULL" };
        if !column.declared.eq_ignore_ascii_case(&there.declared) {
            differences.push(format!(
                "column {name} is declared {}, but is {}",
                column.declared, there.declared
            ));
        } else if column.ty != there.ty {
            differences.push(format!("column {name} has another collation than declared"));
        } else if column.nullable != there.nullable {
            differences.push(format!(
                "column {name} is declared {}, but is {}",
                null(column.nullable),
                null(there.nullable)
            ));
        }
    }
    for column in &served.columns {
        if declared.column(&column.name).is_none() {
            differences.push(format!("column {} is not declared", column.name));
        }
    }
    let names = |table: &TableDefinition, places: &[usize]| -> Vec<String> {
        places.iter().map(|&place| table.columns[place].name.to_lowercase()).collect()
    };
    let key = |table: &TableDefinition| names(table, &table.key).join(", ");
    if key(declared) != key(served) {
        differences.push(format!(
            "the primary key is declared ({}), but is ({})",
            key(declared),
            key(served)
        ));
    }
    // A join may rest on any unique key; one more than declared does no harm.
    let unique = |table: &TableDefinition| {
        let sorted = table.unique.iter().map(|places| {
            let mut key = names(table, places);
            key.sort_unstable();
            key
        });
        sorted.collect::<Vec<_>>()
    };
    let served_keys = unique(served);
    for key in unique(declared).iter().filter(|key| !served_keys.contains(key)) {
        let key = key.join(", ");
        differences.push(format!("({key}) is declared UNIQUE, but the server has no such key"));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const DDL: &str = "CREATE TABLE `t` (`a` int NOT NULL, `b` decimal(10,2) DEFAULT NULL, \
        `c` varchar(9) COLLATE utf8mb4_0900_bin, PRIMARY KEY (`a`), UNIQUE KEY `u` (`c`,`a`))";

    fn compared(served: &str) -> String {
        let table = |ddl| served_table("t", ddl).unwrap();
        differences(&table(DDL), &table(served)).join(" · ")
    }

    #[test]
    fn each_differing_column_is_named() {
        assert_eq!(compared(DDL), "");
        for (from, to, want) in [
            (
                "decimal(10,2)",
                "decimal(12,2)",
                "column b is declared decimal(10,2), but is decimal(12,2)",
            ),
            (
                "`b` decimal(10,2) DEFAULT NULL,",
                "",
                "column b is declared, but the server has none",
            ),
            (
                "`b`",
                "`x`",
                "column b is declared, but the server has none · column x is not declared",
            ),
            (
                "`b` decimal(10,2) DEFAULT NULL",
                "`b` decimal(10,2) NOT NULL",
                "column b is declared NULL, but is NOT NULL",
            ),
            (" COLLATE utf8mb4_0900_bin", "", "column c has another collation than declared"),
            (
                "(`a`)",
                "(`a`, `b`)",
                "column b is declared NULL, but is NOT NULL · the primary key is declared (a), but is (a, b)",
            ),
            ("(`c`,`a`)", "(`a`,`c`), UNIQUE KEY `w` (`b`)", ""),
            ("(`c`,`a`)", "(`c`)", "(a, c) is declared UNIQUE, but the server has no such key"),
        ] {
            assert_eq!(compared(&DDL.replace(from, to)), want);
        }
    }

    fn found(variables: &[(&str, &str)], version: &str) -> Found {
        let good = [
            ("log_bin", "ON"),
            ("gtid_mode", "ON"),
            ("binlog_format", "ROW"),
            ("binlog_row_image", "FULL"),
            ("binlog_row_value_options", ""),
        ];
        let all = good.iter().chain(variables);
        Found {
            version: version.to_owned(),
            variables: all.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            tables: Vec::new(),
            cascades: vec![("fk".to_owned(), "t".to_owned())],
            refused: Vec::new(),
        }
    }

    #[test]
    fn zero_dates_are_warned_of_where_they_cannot_be_told() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let table = "CREATE TABLE t (id int PRIMARY KEY, a date, b date NOT NULL, \
            c datetime(3) NOT NULL, d timestamp NOT NULL, e date NOT NULL)";
        let definitions = Definitions {
            tables: vec![file("t.sql", table)],
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id, a, b, c, d FROM t")],
            ..Definitions::default()
        };
        let plan = sql::plan_views(&definitions).unwrap();
        let judged = |mode| judge_zero_dates(&found(&[("sql_mode", mode)], "9.7.0"), &plan);
        assert_eq!(judged("STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE"), None);
        for mode in ["", "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE", "NO_ZERO_DATE"] {
            let finding = judged(mode).unwrap();
            assert_eq!(finding.level, Level::Warn);
            assert!(finding.text.contains("(t.b, t.c)"), "{}", finding.text);
        }
    }

    #[test]
    fn servers_are_judged() {
        let levels = |found: &Found| -> Vec<Level> {
            judge_server("h:1", found).iter().map(|finding| finding.level).collect()
        };
        assert_eq!(levels(&found(&[], "9.7.0")), [Level::Ok]);
        assert_eq!(levels(&found(&[], "8.4.3-log")), [Level::Ok, Level::Warn]);
        for variable in [("gtid_mode", "OFF"), ("binlog_format", "MIXED"), ("log_bin", "OFF")] {
            assert_eq!(levels(&found(&[variable], "9.7.0")), [Level::Ok, Level::Fail]);
        }
        assert!(version_below("9.5.1", (9, 6)) && !version_below("10.0", (9, 6)));
    }
}
