//! MySQL's side: a database of the test's own, its rows, and what it answers.

use std::collections::BTreeMap;

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, ServerError, Value as Wire};
use viewtide::sql::plan::{Plan, View};
use viewtide::value::{Collation, Key, Type, Value, parse_text, write_json};
use viewtide::verify::Answer as RowAnswer;

use super::stack::Stack;

/// A connection to a fresh database.
pub(crate) struct Server {
    conn: Conn,
}

/// MySQL's answer for one value.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// Its type and its JSON as a document shows it.
    Value(Type, String),
    /// MySQL's error number.
    Error(u16),
}

impl Server {
    pub(crate) async fn start(database: &str) -> Server {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(Stack::mysql().port("MYSQL_PORT"))
            .user(Some("root"))
            .pass(Some("debezium"));
        let mut server = Server { conn: Conn::new(options).await.unwrap() };
        for sql in [
            format!("DROP DATABASE IF EXISTS {database}"),
            format!("CREATE DATABASE {database}"),
            format!("USE {database}"),
            "SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci".to_owned(),
            // As `viewtide verify` asks.
            "SET time_zone = '+00:00', group_concat_max_len = 4294967295, \
             optimizer_switch = 'semijoin=off'"
                .to_owned(),
        ] {
            server.run(&sql).await;
        }
        // Where MD5 and SHA1 are not built in, since 9.6. Elsewhere, and the second time, it fails.
        let _ =
            server.conn.query_drop("INSTALL COMPONENT 'file://component_classic_hashing'").await;
        server
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        self.try_run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs a statement that MySQL may not take.
    ///
    /// # Errors
    /// MySQL's.
    pub(crate) async fn try_run(&mut self, sql: &str) -> Result<(), ServerError> {
        self.conn.query_drop(sql).await.map_err(|error| match error {
            mysql_async::Error::Server(error) => error,
            other => panic!("{sql}: {other}"),
        })
    }

    /// Drops the database's tables.
    pub(crate) async fn clear(&mut self) {
        let tables = self.rows("SHOW TABLES").await;
        for table in tables.iter().flatten().flatten() {
            self.run(&format!("DROP TABLE {}", String::from_utf8_lossy(table))).await;
        }
    }

    /// All rows of a table as text by column, NULL as `None`; bytes as they are.
    pub(crate) async fn rows(&mut self, sql: &str) -> Vec<Wires> {
        let rows: Vec<mysql_async::Row> = self.conn.query(sql).await.unwrap();
        rows.into_iter().map(wires).collect()
    }

    /// What a SELECT of one row answers, by column.
    pub(crate) async fn answers(&mut self, sql: &str) -> Result<Vec<Answer>, u16> {
        let mut rows = self.try_table(sql).await?;
        assert_eq!(rows.len(), 1, "{sql}");
        Ok(rows.remove(0))
    }

    /// What a SELECT answers, by row and column.
    pub(crate) async fn table(&mut self, sql: &str) -> Vec<Vec<Answer>> {
        self.try_table(sql).await.unwrap_or_else(|code| panic!("{sql}: error {code}"))
    }

    /// What a view's own SELECT answers for every key. Where a row raises an error, the SELECT
    /// fails as a whole, so each key of the first table is asked for alone.
    ///
    /// # Errors
    /// A column whose type is not the one planned; a SELECT that MySQL does not take.
    pub(crate) async fn view(
        &mut self,
        plan: &Plan,
        view: &View,
    ) -> Result<BTreeMap<Key, RowAnswer>, String> {
        match self.select(&view.select).await {
            Ok((types, rows)) => {
                planned(view, &types)?;
                Ok(rows.into_iter().map(|row| read(view, row)).collect())
            }
            Err(error) if raised_by_a_row(&error) => self.view_by_key(plan, view).await,
            Err(error) => Err(format!("MySQL does not take the SELECT: {error}")),
        }
    }

    async fn view_by_key(
        &mut self,
        plan: &Plan,
        view: &View,
    ) -> Result<BTreeMap<Key, RowAnswer>, String> {
        let id = view.nodes[0].table;
        let root = plan.table(id);
        let column = |&at: &usize| match plan.computed(id, at) {
            Some(computed) => computed.sql.clone(),
            None => format!("`{}`", root.columns[at].name),
        };
        let columns: Vec<String> = root.key.iter().map(column).collect();
        let types = view.key_types();
        // Many rows are one group, and its values can be NULL.
        let keys = format!("SELECT DISTINCT {} FROM {}", columns.join(", "), root.name);
        let keys = self.rows(&keys).await;
        let mut answers = BTreeMap::new();
        for key in keys {
            let conditions = view.key.iter().zip(&types).zip(&key).map(|((&at, ty), bytes)| {
                let value = bytes.as_ref().map_or("NULL".to_owned(), |bytes| literal(*ty, bytes));
                format!("`{}` <=> {value}", view.outputs[at].name)
            });
            let conditions: Vec<String> = conditions.collect();
            let sql =
                format!("SELECT * FROM ({}) AS v WHERE {}", view.select, conditions.join(" AND "));
            match self.select(&sql).await {
                Ok((types, rows)) => {
                    planned(view, &types)?;
                    answers.extend(rows.into_iter().map(|row| read(view, row)));
                }
                Err(error) if raised_by_a_row(&error) => {
                    let mut of = Key::new();
                    types.iter().zip(key).for_each(|(ty, bytes)| of.push(&value(*ty, bytes)));
                    let ServerError { code, message, .. } = error;
                    answers.insert(of, RowAnswer::Error { code, message });
                }
                Err(error) => return Err(format!("MySQL does not take {sql}: {error}")),
            }
        }
        Ok(answers)
    }

    async fn try_table(&mut self, sql: &str) -> Result<Vec<Vec<Answer>>, u16> {
        let (types, rows) = self.select(sql).await.map_err(|error| error.code)?;
        let answers =
            |row: Wires| types.iter().zip(row).map(|(ty, value)| answer(*ty, value)).collect();
        Ok(rows.into_iter().map(answers).collect())
    }

    /// The types of a SELECT's columns, and its rows.
    async fn select(&mut self, sql: &str) -> Result<(Vec<Type>, Vec<Wires>), ServerError> {
        let server = |error| match error {
            mysql_async::Error::Server(error) => error,
            other => panic!("{sql}: {other}"),
        };
        let mut result = self.conn.query_iter(sql).await.map_err(server)?;
        let types = result.columns_ref().iter().map(type_of).collect();
        let rows: Vec<mysql_async::Row> = result.collect().await.map_err(server)?;
        Ok((types, rows.into_iter().map(wires).collect()))
    }
}

/// One row of the text protocol: NULL is `None`.
pub(crate) type Wires = Vec<Option<Vec<u8>>>;

fn wires(row: mysql_async::Row) -> Wires {
    row.unwrap().into_iter().map(bytes).collect()
}

/// SQLSTATE class 22: a value of some row that the expression cannot take.
fn raised_by_a_row(error: &ServerError) -> bool {
    error.state.starts_with("22")
}

/// One row of a view, with its key.
fn read(view: &View, row: Wires) -> (Key, RowAnswer) {
    let types = view.outputs.iter().map(|output| output.expr.ty);
    let values: Vec<Value<'static>> = types.zip(row).map(|(ty, bytes)| value(ty, bytes)).collect();
    let mut key = Key::new();
    view.key.iter().for_each(|&at| key.push(&values[at]));
    (key, RowAnswer::Row(values))
}

/// Whether MySQL gives the columns the types that were planned. Of UNSIGNED and signed numbers
/// together MySQL makes a BIGINT or a DECIMAL by the digits that a column of a view can have: as
/// documents both are the same.
fn planned(view: &View, types: &[Type]) -> Result<(), String> {
    for (output, ty) in view.outputs.iter().zip(types) {
        let (planned, given) = (kind(output.expr.ty), kind(*ty));
        let is_narrowed = matches!(planned, Type::Decimal { scale: 0, .. })
            && given == Type::Int { bytes: 8, unsigned: false };
        if planned != given && !is_narrowed {
            let (name, planned) = (&output.name, output.expr.ty);
            return Err(format!("column {name} is {ty:?} in MySQL and planned as {planned:?}"));
        }
    }
    Ok(())
}

/// A type without what makes no difference to a document.
pub(crate) fn kind(ty: Type) -> Type {
    match ty {
        Type::Int { unsigned, .. } => Type::Int { bytes: 8, unsigned },
        // What GROUP BY computes is one or the other, by how MySQL finds the groups.
        Type::Year => Type::Int { bytes: 8, unsigned: true },
        Type::Decimal { scale, .. } => Type::Decimal { precision: 65, scale },
        Type::Text(_) => Type::Text(Collation::Other),
        other => other,
    }
}

/// A value as MySQL's text protocol sends it, as a constant.
fn literal(ty: Type, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match ty {
        Type::Text(_) => format!("_utf8mb4 x'{hex}'"),
        Type::Bytes | Type::Bit { .. } => format!("x'{hex}'"),
        Type::Int { .. } | Type::Year | Type::Decimal { .. } => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        _ => format!("'{}'", String::from_utf8_lossy(bytes)),
    }
}

fn bytes(value: Wire) -> Option<Vec<u8>> {
    match value {
        Wire::NULL => None,
        Wire::Bytes(bytes) => Some(bytes),
        other => panic!("not of the text protocol: {other:?}"),
    }
}

/// A column's value from MySQL's text.
pub(crate) fn value(ty: Type, bytes: Option<Vec<u8>>) -> Value<'static> {
    let Some(bytes) = bytes else { return Value::Null };
    match ty {
        Type::Bytes => Value::Bytes(bytes.into()),
        Type::Bit { .. } => {
            Value::UInt(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
        }
        _ => {
            let text = String::from_utf8(bytes).unwrap();
            parse_text(ty, &text).unwrap_or_else(|| panic!("{ty:?}: {text}"))
        }
    }
}

fn answer(ty: Type, bytes: Option<Vec<u8>>) -> Answer {
    let mut json = Vec::new();
    write_json(&mut json, &value(ty, bytes), ty);
    Answer::Value(ty, String::from_utf8(json).unwrap())
}

fn type_of(column: &mysql_async::Column) -> Type {
    let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
    let int = |bytes| Type::Int { bytes, unsigned };
    let decimals = column.decimals();
    match column.column_type() {
        ColumnType::MYSQL_TYPE_TINY => int(1),
        ColumnType::MYSQL_TYPE_SHORT => int(2),
        ColumnType::MYSQL_TYPE_INT24 => int(3),
        ColumnType::MYSQL_TYPE_LONG => int(4),
        ColumnType::MYSQL_TYPE_LONGLONG => int(8),
        ColumnType::MYSQL_TYPE_YEAR => Type::Year,
        ColumnType::MYSQL_TYPE_BIT => Type::Bit { bits: column.column_length() as u8 },
        ColumnType::MYSQL_TYPE_NEWDECIMAL => Type::Decimal { precision: 65, scale: decimals },
        ColumnType::MYSQL_TYPE_FLOAT => Type::Float,
        ColumnType::MYSQL_TYPE_DOUBLE => Type::Double,
        ColumnType::MYSQL_TYPE_DATE => Type::Date,
        ColumnType::MYSQL_TYPE_TIME => Type::Time { fsp: decimals },
        ColumnType::MYSQL_TYPE_DATETIME => Type::DateTime { fsp: decimals },
        ColumnType::MYSQL_TYPE_TIMESTAMP => Type::Timestamp { fsp: decimals },
        ColumnType::MYSQL_TYPE_JSON => Type::Json,
        ColumnType::MYSQL_TYPE_NULL => Type::Text(Collation::Other),
        // Character set 63 is binary.
        _ if column.character_set() == 63 => Type::Bytes,
        _ => Type::Text(Collation::Other),
    }
}
