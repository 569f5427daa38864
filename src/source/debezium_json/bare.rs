//! What is in records that bring no schema: of a table's by its declaration, of the others by what
//! Debezium writes and is read of it.
//!
//! Without a schema a value means what its type is declared as, so only what has one meaning is
//! taken. Refused, by column: TIME and DATETIME (numbers of milliseconds, microseconds or
//! nanoseconds, as `time.precision.mode` says), BINARY and BLOB (base64 or hexadecimal, as
//! `binary.handling.mode` says), and DECIMAL without digits after the point (whose digits could be
//! base64). DECIMAL is text, as of `decimal.handling.mode=string`: base64 says nothing of its scale,
//! and a JSON number may have been rounded.

use super::schema::{Field, Kind};
use crate::source::avro::{Unfit, ddl_of};
use crate::sql::plan::Table;
use crate::value::Type;

/// A record of a table's changes.
///
/// # Errors
/// A column that has no one meaning.
pub(in crate::source) fn row_of(table: &Table) -> Result<Field, Unfit> {
    let columns: Vec<usize> = (0..table.columns.len()).collect();
    let row = columns_of(table, &columns)?;
    let text = || Field::new(Kind::Text);
    let long = || Field::new(Kind::Long);
    let source = record([
        ("ts_us", long().lacking()),
        ("gtid", text().lacking()),
        ("snapshot", text().lacking()),
        ("db", text()),
        ("table", text().lacking()),
        ("file", text().lacking()),
        ("pos", long().lacking()),
    ]);
    let transaction =
        record([("id", text()), ("total_order", long()), ("data_collection_order", long())]);
    Ok(record([
        ("before", row.clone().lacking()),
        ("after", row.lacking()),
        ("source", source),
        ("op", text()),
        ("transaction", transaction.lacking()),
    ]))
}

/// The key of a table's records.
///
/// # Errors
/// A column that has no one meaning.
pub(in crate::source) fn key_of(table: &Table) -> Result<Field, Unfit> {
    columns_of(table, &table.key)
}

/// A key that nobody reads.
pub(in crate::source) fn no_key() -> Field {
    Field::new(Kind::Struct(Vec::new()))
}

/// A record of the ends of transactions.
pub(in crate::source) fn transaction() -> Field {
    let text = || Field::new(Kind::Text);
    let collection = record([("data_collection", text()), ("event_count", Field::new(Kind::Long))]);
    record([
        ("status", text()),
        ("id", text()),
        ("data_collections", Field::new(Kind::Array(Box::new(collection))).lacking()),
    ])
}

/// A notification.
pub(in crate::source) fn notification() -> Field {
    let text = || Field::new(Kind::Text);
    let data = Field::new(Kind::Map(Box::new(text())));
    record([
        ("id", text()),
        ("aggregate_type", text()),
        ("type", text()),
        ("additional_data", data.lacking()),
    ])
}

/// A record of a statement that changed tables.
pub(in crate::source) fn schema_change() -> Field {
    let text = || Field::new(Kind::Text);
    let long = || Field::new(Kind::Long);
    let list = |of| Field::new(Kind::Array(Box::new(of)));
    let column = record([
        ("name", text()),
        ("typeName", text()),
        ("length", long().lacking()),
        ("scale", long().lacking()),
        ("charsetName", text().lacking()),
        ("enumValues", list(text()).lacking()),
        ("optional", Field::new(Kind::Boolean).lacking()),
    ]);
    let form = record([("columns", list(column))]);
    let change = record([("type", text()), ("id", text()), ("table", form.lacking())]);
    let source = record([("snapshot", text().lacking()), ("gtid", text().lacking())]);
    record([
        ("source", source),
        ("databaseName", text().lacking()),
        ("ddl", text().lacking()),
        ("tableChanges", list(change)),
    ])
}

fn columns_of(table: &Table, columns: &[usize]) -> Result<Field, Unfit> {
    let mut fields = Vec::with_capacity(columns.len());
    for &at in columns {
        let column = &table.columns[at];
        let field = column_of(column.ty).ok_or_else(|| Unfit::NotCarried {
            table: table.name.clone(),
            column: column.name.clone(),
            declared: ddl_of(column.ty),
        })?;
        // A key is never null; a column that is left out is none of the table any more.
        let field = if table.key.contains(&at) { field } else { field.optional() };
        fields.push((column.name.clone(), field));
    }
    Ok(Field::new(Kind::Struct(fields)))
}

/// How a column of this type is written; `None` if that depends on settings.
fn column_of(ty: Type) -> Option<Field> {
    Some(match ty {
        Type::Int { .. } => Field::new(Kind::Long),
        Type::Year => Field::new(Kind::Int),
        Type::Bit { bits: 1 } => Field::new(Kind::Boolean),
        Type::Bit { .. } => Field::new(Kind::Bytes).named("io.debezium.data.Bits"),
        Type::Decimal { scale, .. } if scale > 0 => Field::new(Kind::PointText),
        Type::Float => Field::new(Kind::Float),
        Type::Double => Field::new(Kind::Double),
        Type::Text(_) => Field::new(Kind::PlainText),
        Type::Json => Field::new(Kind::Text).named("io.debezium.data.Json"),
        Type::Date => Field::new(Kind::Int).named("io.debezium.time.Date"),
        Type::Timestamp { .. } => Field::new(Kind::Text).named("io.debezium.time.ZonedTimestamp"),
        Type::Decimal { .. } | Type::Bytes | Type::Time { .. } | Type::DateTime { .. } => {
            return None;
        }
    })
}

fn record<const N: usize>(fields: [(&str, Field); N]) -> Field {
    let fields = fields.into_iter().map(|(name, field)| (name.to_owned(), field));
    Field::new(Kind::Struct(fields.collect()))
}
