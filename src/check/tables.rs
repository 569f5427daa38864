//! Fetches the tables' DDL from the server, so that nobody has to write it down.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mysql_async::prelude::Queryable as _;
use tokio::time::timeout;

use super::{PROBE_WAIT, mysql};
use crate::config::Config;
use crate::mysql::connect;
use crate::sql::{self, Definitions};

/// Why the DDL was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// MySQL refused or broke off.
    #[error("mysql: {0}")]
    Mysql(#[from] mysql_async::Error),
    /// MySQL does not answer.
    #[error("mysql does not answer within 5 s")]
    Silent,
    /// A declared table that the server does not have.
    #[error("mysql: table {table}: {reason}")]
    Table {
        /// Its name.
        table: String,
        /// What the server said.
        reason: String,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes what SHOW CREATE TABLE prints into `pipeline.tables`: the file, or one file a table if it
/// is a folder. The tables already declared there are taken and those that views name, or all of the
/// database if none is declared. Returns the files written.
///
/// # Errors
/// See [`WriteError`]; files are replaced as a whole or not at all.
pub async fn write_tables(config: &Config) -> Result<Vec<PathBuf>, WriteError> {
    let tables = timeout(PROBE_WAIT, fetch(config)).await.map_err(|_| WriteError::Silent)??;
    let path = config.tables_path();
    if !path.is_dir() {
        let all: Vec<&str> = tables.iter().map(|(_, ddl)| ddl.as_str()).collect();
        replace(&path, &all.join("\n"))?;
        return Ok(vec![path]);
    }
    let mut written = Vec::new();
    for (name, ddl) in &tables {
        let file = path.join(format!("{}.sql", name.replace(['/', '\0'], "_")));
        replace(&file, ddl)?;
        written.push(file);
    }
    Ok(written)
}

/// Names and DDL.
async fn fetch(config: &Config) -> Result<Vec<(String, String)>, WriteError> {
    let mut connection = connect(&config.mysql).await?;
    let sql = "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'";
    let all: Vec<(String, String)> = connection.query(sql).await?;
    let all = all.into_iter().map(|(name, _)| name);
    let names = match config.definitions().ok() {
        Some(definitions) => wanted(&definitions, all),
        None => all.collect(),
    };
    let mut tables = Vec::new();
    for table in names {
        match mysql::show_create(&mut connection, &table).await? {
            Ok(ddl) => tables.push((table, statement(&ddl))),
            Err(reason) => return Err(WriteError::Table { table, reason }),
        }
    }
    let _ = connection.disconnect().await;
    Ok(tables)
}

/// Of all tables those that are declared or that a view's file has the name of, besides what is
/// declared only; all where none is.
fn wanted(definitions: &Definitions, all: impl Iterator<Item = String>) -> Vec<String> {
    let catalog = sql::read_catalog(definitions).ok();
    let declared = catalog.iter().flat_map(|catalog| &catalog.tables);
    let captured = declared.filter(|table| table.source == sql::plan::TableSource::Captured);
    let mut names: Vec<String> = captured.map(|table| table.name.clone()).collect();
    if names.is_empty() {
        return all.collect();
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let words: HashSet<&str> =
        definitions.views.iter().flat_map(|file| file.text.split(|c| !is_part(c))).collect();
    let named: Vec<String> =
        all.filter(|name| words.contains(name.as_str()) && !names.contains(name)).collect();
    names.extend(named);
    names
}

/// A statement that can be repeated, without ` AUTO_INCREMENT=42`, which changes with every row.
fn statement(ddl: &str) -> String {
    let ddl = ddl.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1);
    let end = ddl.rfind(')').unwrap_or(0);
    let (columns, options) = ddl.split_at(end);
    let is_counter = |option: &&str| option.starts_with("AUTO_INCREMENT=");
    let kept: Vec<&str> = options.split(' ').filter(|option| !is_counter(option)).collect();
    format!("{columns}{};\n", kept.join(" "))
}

fn replace(path: &Path, text: &str) -> Result<(), WriteError> {
    let new = path.with_extension("sql.new");
    let fail = |source| WriteError::File { path: path.to_owned(), source };
    fs::write(&new, text).map_err(fail)?;
    fs::rename(&new, path).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_can_be_repeated() {
        let ddl = "CREATE TABLE `t` (\n  `a` int COMMENT 'AUTO_INCREMENT=1 x'\n) ENGINE=InnoDB \
                   AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4";
        let want = "CREATE TABLE IF NOT EXISTS `t` (\n  `a` int COMMENT 'AUTO_INCREMENT=1 x'\n) \
                    ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n";
        assert_eq!(statement(ddl), want);
    }
}
