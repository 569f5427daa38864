//! MySQL's side: a database of the test's own, its rows, and what it answers.

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Value as Wire};
use viewtide::value::{Collation, Type, Value, parse_text, write_json, write_json_string};

use crate::support::stack::Stack;

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
            "SET time_zone = '+00:00', group_concat_max_len = 4294967295".to_owned(),
        ] {
            server.run(&sql).await;
        }
        server
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        self.conn.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// All rows of a table as text by column, NULL as `None`; bytes as they are.
    pub(crate) async fn rows(&mut self, sql: &str) -> Vec<Vec<Option<Vec<u8>>>> {
        let rows: Vec<mysql_async::Row> = self.conn.query(sql).await.unwrap();
        rows.into_iter().map(|row| row.unwrap().into_iter().map(bytes).collect()).collect()
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

    async fn try_table(&mut self, sql: &str) -> Result<Vec<Vec<Answer>>, u16> {
        let code = |error| match error {
            mysql_async::Error::Server(error) => error.code,
            other => panic!("{sql}: {other}"),
        };
        let mut result = self.conn.query_iter(sql).await.map_err(code)?;
        let columns = result.columns_ref().to_vec();
        let rows: Vec<mysql_async::Row> = result.collect().await.map_err(code)?;
        let answers = |row: mysql_async::Row| {
            let values = columns.iter().zip(row.unwrap());
            values.map(|(column, value)| answer(type_of(column), bytes(value))).collect()
        };
        Ok(rows.into_iter().map(answers).collect())
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
    match (ty, bytes) {
        // As MySQL prints it, not as a number of the type's scale would.
        (Type::Decimal { .. }, Some(digits)) => {
            write_json_string(&mut json, digits);
        }
        (ty, bytes) => write_json(&mut json, &value(ty, bytes), ty),
    }
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
