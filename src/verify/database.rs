//! MySQL's own answers, read over the text protocol in consistent snapshots.

use std::collections::HashMap;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Row};

use super::VerifyError;
use super::compare::Answer;
use super::position::Executed;
use crate::check::innermost;
use crate::config::Mysql;
use crate::mysql::{self, UNREACHABLE, quoted_name};
use crate::sql::plan::{Plan, TableId, View};
use crate::value::{Key, Type, Value, parse_text, to_text};

/// What MySQL's answers depend on, set to what documents are defined by. Of EXISTS inside of an outer
/// join's ON, made a semijoin, MySQL 9.7 gives wrong rows.
const SESSION: [&str; 2] = [
    "SET time_zone = '+00:00', group_concat_max_len = 18446744073709551615, \
     max_sort_length = 8388608, \
     sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
     ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     optimizer_switch = 'derived_merge=on,semijoin=off'",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
];

/// A connection that reads and never writes.
pub(crate) struct Database {
    connection: Conn,
}

/// NULL as a literal.
const NULL: &str = "NULL";

/// Columns of a table or view that rows are addressed by.
pub(super) struct KeyColumns {
    /// As SQL says them.
    pub(super) terms: Vec<String>,
    pub(super) types: Vec<Type>,
}

/// What a SELECT came to.
enum Outcome {
    Rows(Vec<Row>),
    /// An error that one of the rows raised.
    RowError {
        code: u16,
        message: String,
    },
}

impl Database {
    /// Connects and sets what answers depend on.
    pub(crate) async fn connect(mysql: &Mysql) -> Result<Database, VerifyError> {
        let unreachable = |error: mysql_async::Error| VerifyError::Mysql {
            reason: format!("{}:{}: {}; {UNREACHABLE}", mysql.host, mysql.port, innermost(&error)),
        };
        let mut connection = mysql::connect(mysql).await.map_err(unreachable)?;
        for statement in SESSION {
            connection.query_drop(statement).await.map_err(VerifyError::mysql)?;
        }
        Ok(Database { connection })
    }

    /// Everything read from here on is of one instant, until the next call.
    pub(crate) async fn begin_snapshot(&mut self) -> Result<(), VerifyError> {
        self.end_snapshot().await?;
        self.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await
    }

    /// Ends the snapshot, if one was begun.
    pub(crate) async fn end_snapshot(&mut self) -> Result<(), VerifyError> {
        self.run("COMMIT").await
    }

    /// What the server has executed, which is at least what a snapshot read before shows.
    pub(super) async fn executed(&mut self) -> Result<Executed, VerifyError> {
        let text: Option<String> = self
            .connection
            .query_first("SELECT @@GLOBAL.gtid_executed")
            .await
            .map_err(VerifyError::mysql)?;
        let text = text.unwrap_or_default();
        text.parse().map_err(|_| VerifyError::Gtids { text })
    }

    /// The rows of a SELECT, each column read as the type given.
    pub(crate) async fn rows(
        &mut self,
        sql: &str,
        types: &[Type],
    ) -> Result<Vec<Vec<Value<'static>>>, VerifyError> {
        match self.select(sql).await? {
            Outcome::Rows(rows) => rows.iter().map(|row| read_row(row, types)).collect(),
            Outcome::RowError { code, message } => Err(VerifyError::Refused { code, message }),
        }
    }

    /// The first `count` keys of a table above `after`, in the order of [`Key`]s.
    pub(super) async fn keys_after(
        &mut self,
        table: &str,
        columns: &KeyColumns,
        after: Option<&Key>,
        count: usize,
    ) -> Result<Vec<Key>, VerifyError> {
        let (names, order) = (columns.list(), columns.ordered());
        let filter = after.map_or(String::new(), |key| format!(" WHERE {}", columns.above(key)));
        let table = quoted_name(table);
        let sql = format!(
            "SELECT {names} FROM {table}{filter} ORDER BY {} LIMIT {count}",
            order.join(", ")
        );
        let rows = self.rows(&sql, &columns.types).await?;
        Ok(rows.iter().map(|row| key_of(row.iter())).collect())
    }

    /// The same of the groups that a table's rows make by these columns.
    pub(super) async fn groups_after(
        &mut self,
        table: &str,
        columns: &KeyColumns,
        after: Option<&Key>,
        count: usize,
    ) -> Result<Vec<Key>, VerifyError> {
        let by = columns.ordered().join(", ");
        let filter = after.map_or(String::new(), |key| format!(" WHERE {}", columns.above(key)));
        let table = quoted_name(table);
        let sql =
            format!("SELECT {by} FROM {table}{filter} GROUP BY {by} ORDER BY {by} LIMIT {count}");
        let rows = self.rows(&sql, &columns.types).await?;
        Ok(rows.iter().map(|row| key_of(row.iter())).collect())
    }

    /// The view's rows of these keys. `with` precedes the SELECT: the events it needs. Where a row
    /// raises an error, the keys are divided until it stands alone.
    pub(super) async fn answers(
        &mut self,
        view: &View,
        columns: &KeyColumns,
        keys: &[Key],
        with: &str,
    ) -> Result<HashMap<Key, Answer>, VerifyError> {
        let types: Vec<Type> = view.outputs.iter().map(|output| output.expr.ty).collect();
        let mut answers = HashMap::with_capacity(keys.len());
        let mut parts = vec![keys];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let filter = columns.among(part);
            // The condition is pushed down into the SELECT, which has no LIMIT, and groups by these
            // columns if at all.
            let sql = format!("{with}SELECT * FROM ({}) AS v WHERE {filter}", view.select);
            match self.select(&sql).await? {
                Outcome::Rows(rows) => {
                    for row in &rows {
                        let values = read_row(row, &types)?;
                        let key = key_of(view.key.iter().map(|&place| &values[place]));
                        answers.insert(key, Answer::Row(values));
                    }
                }
                Outcome::RowError { code, message } => match part {
                    [key] => {
                        answers.insert(key.clone(), Answer::Error { code, message });
                    }
                    _ => {
                        let (left, right) = part.split_at(part.len() / 2);
                        parts.extend([left, right]);
                    }
                },
            }
        }
        Ok(answers)
    }

    async fn run(&mut self, sql: &str) -> Result<(), VerifyError> {
        self.connection.query_drop(sql).await.map_err(VerifyError::mysql)
    }

    async fn select(&mut self, sql: &str) -> Result<Outcome, VerifyError> {
        match self.connection.query::<Row, _>(sql).await {
            Ok(rows) => Ok(Outcome::Rows(rows)),
            // SQLSTATE class 22: a value of some row that the expression cannot take.
            Err(mysql_async::Error::Server(error)) if error.state.starts_with("22") => {
                Ok(Outcome::RowError { code: error.code, message: error.message })
            }
            // Class 08: the connection is lost.
            Err(mysql_async::Error::Server(error)) if !error.state.starts_with("08") => {
                Err(VerifyError::Refused { code: error.code, message: error.message })
            }
            Err(error) => Err(VerifyError::mysql(error)),
        }
    }
}

impl KeyColumns {
    fn list(&self) -> String {
        self.terms.join(", ")
    }

    /// Expressions whose order is that of [`Key`]s: text by its bytes, whatever its collation.
    fn ordered(&self) -> Vec<String> {
        let ordered = |(term, ty): (&String, &Type)| match ty {
            Type::Text(collation) if *collation != crate::value::Collation::Binary => {
                format!("CAST(CONVERT({term} USING utf8mb4) AS BINARY)")
            }
            _ => term.clone(),
        };
        self.terms.iter().zip(&self.types).map(ordered).collect()
    }

    /// `a > 1 OR a = 1 AND b > 2`, which MySQL finds by index where `(a, b) > (1, 2)` is not.
    fn above(&self, key: &Key) -> String {
        let (columns, values) = (self.ordered(), self.literals(key));
        let alternative = |last: usize| {
            let mut terms: Vec<String> =
                (0..last).map(|at| equals(&columns[at], &values[at])).collect();
            terms.push(match values[last].as_str() {
                NULL => format!("{} IS NOT NULL", columns[last]),
                value => format!("{} > {value}", columns[last]),
            });
            terms.join(" AND ")
        };
        let alternatives: Vec<String> = (0..columns.len()).map(alternative).collect();
        format!("({})", alternatives.join(" OR "))
    }

    fn among(&self, keys: &[Key]) -> String {
        among(&self.terms, keys.iter().map(|key| self.literals(key)))
    }

    fn literals(&self, key: &Key) -> Vec<String> {
        let values = key.values(&self.types).unwrap_or_default();
        values.iter().zip(&self.types).map(|(value, ty)| literal(value, *ty)).collect()
    }
}

/// A column of a table or of groups, as MySQL is asked for it.
pub(crate) fn asked(plan: &Plan, table: TableId, column: usize) -> String {
    match plan.computed(table, column) {
        None => quoted_name(&plan.table(table).columns[column].name),
        Some(computed) => format!("({})", computed.sql),
    }
}

/// `a IN (1, 2)`, or `(a = 1 AND b = 2 OR a = 3 AND b = 4)`: MySQL does not push a condition on
/// `(a, b)` down into a SELECT, and would compute all of its rows.
pub(crate) fn among(names: &[String], tuples: impl Iterator<Item = Vec<String>>) -> String {
    if let [name] = names {
        let (nulls, values): (Vec<String>, Vec<String>) =
            tuples.flatten().partition(|value| value == NULL);
        let values = format!("{name} IN ({})", values.join(", "));
        return match (nulls.is_empty(), values.ends_with("()")) {
            (true, _) => values,
            (false, true) => format!("{name} IS NULL"),
            (false, false) => format!("({values} OR {name} IS NULL)"),
        };
    }
    let both = |values: Vec<String>| {
        let terms = names.iter().zip(&values).map(|(name, value)| equals(name, value));
        terms.collect::<Vec<_>>().join(" AND ")
    };
    format!("({})", tuples.map(both).collect::<Vec<_>>().join(" OR "))
}

/// The condition that a column has a value, NULL included.
fn equals(name: &str, value: &str) -> String {
    if value == NULL { format!("{name} IS NULL") } else { format!("{name} = {value}") }
}

/// A value as a literal of MySQL's.
pub(crate) fn literal(value: &Value<'_>, ty: Type) -> String {
    match value {
        Value::Null => NULL.to_owned(),
        Value::Text(text) => format!("_utf8mb4 x'{}'", hex(text.as_bytes())),
        Value::Bytes(bytes) => format!("x'{}'", hex(bytes)),
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) | Value::Timestamp(_) => {
            format!("'{}'", to_text(value, ty))
        }
        _ => to_text(value, ty),
    }
}

/// A text as a literal of MySQL's, readable.
pub(super) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn key_of<'v>(values: impl Iterator<Item = &'v Value<'static>>) -> Key {
    let mut key = Key::new();
    values.for_each(|value| key.push(value));
    key
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_row(row: &Row, types: &[Type]) -> Result<Vec<Value<'static>>, VerifyError> {
    let read = |(place, ty): (usize, &Type)| match row.as_ref(place) {
        Some(mysql_async::Value::NULL) => Ok(Value::Null),
        Some(mysql_async::Value::Bytes(bytes)) => {
            read_value(*ty, bytes).ok_or_else(|| VerifyError::Value {
                column: row.columns_ref()[place].name_str().into_owned(),
                text: String::from_utf8_lossy(bytes).into_owned(),
            })
        }
        _ => Err(VerifyError::Mysql { reason: "a row with too few columns".to_owned() }),
    };
    types.iter().enumerate().map(read).collect()
}

/// A value from MySQL's text for it; BIT and bytes come as they are.
fn read_value(ty: Type, bytes: &[u8]) -> Option<Value<'static>> {
    match ty {
        Type::Bytes => return Some(Value::Bytes(bytes.to_vec().into())),
        Type::Bit { .. } => {
            let wide = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            return Some(Value::UInt(wide));
        }
        _ => {}
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match ty {
        // Zero dates are null in documents.
        Type::Date | Type::DateTime { .. } | Type::Timestamp { .. }
            if text.starts_with("0000-00-00") =>
        {
            Some(Value::Null)
        }
        _ => parse_text(ty, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Collation;

    const INT: Type = Type::Int { bytes: 4, unsigned: false };
    const TEXT: Type = Type::Text(Collation::Other);

    fn key(values: &[Value<'static>]) -> Key {
        key_of(values.iter())
    }

    #[test]
    fn keys_become_conditions() {
        let one = KeyColumns { terms: vec![quoted_name("id")], types: vec![INT] };
        assert_eq!(one.above(&key(&[Value::Int(-5)])), "(`id` > -5)");
        let keys = [key(&[Value::Int(1)]), key(&[Value::Int(2)])];
        assert_eq!(one.among(&keys), "`id` IN (1, 2)");
        let two =
            KeyColumns { terms: vec![quoted_name("a"), quoted_name("b`")], types: vec![INT, TEXT] };
        let nothing = key(&[Value::Null]);
        assert_eq!(one.above(&nothing), "(`id` IS NOT NULL)");
        assert_eq!(one.among(std::slice::from_ref(&nothing)), "`id` IS NULL");
        assert_eq!(one.among(&[nothing, keys[0].clone()]), "(`id` IN (1) OR `id` IS NULL)");
        let pair = key(&[Value::Int(1), Value::Text("é'".into())]);
        assert_eq!(
            two.above(&pair),
            "(`a` > 1 OR `a` = 1 AND CAST(CONVERT(`b``` USING utf8mb4) AS BINARY) > _utf8mb4 x'c3a927')"
        );
        let half = key(&[Value::Null, Value::Text("".into())]);
        assert_eq!(two.among(&[half]), "(`a` IS NULL AND `b``` = _utf8mb4 x'')");
        let other = key(&[Value::Int(2), Value::Text("".into())]);
        assert_eq!(
            two.among(&[pair, other]),
            "(`a` = 1 AND `b``` = _utf8mb4 x'c3a927' OR `a` = 2 AND `b``` = _utf8mb4 x'')"
        );
        assert_eq!(text_literal("a'b\\"), "'a''b\\\\'");
    }

    #[test]
    fn values_are_read_as_the_text_protocol_sends_them() {
        for (ty, bytes, want) in [
            (Type::Bit { bits: 9 }, &b"\x01\x02"[..], Value::UInt(258)),
            (Type::Bytes, b"\xff", Value::Bytes(b"\xff".to_vec().into())),
            (Type::DateTime { fsp: 0 }, b"0000-00-00 00:00:00", Value::Null),
            (INT, b"-7", Value::Int(-7)),
        ] {
            assert_eq!(read_value(ty, bytes), Some(want));
        }
        assert_eq!(read_value(INT, b"x"), None);
    }
}
