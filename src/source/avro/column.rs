//! How a column's value is read, decided once per writer schema by what is written and what the
//! column is declared as.

use std::borrow::Cow;
use std::str;

use super::cursor::{Cursor, Malformed};
use super::schema::{NodeId, Schema, Shape};
use crate::value::{Decimal, RowWriter, Type, Value, micros_from_iso, normalize_json};

/// Reads one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Boolean,
    /// A number within the column's range.
    Number {
        least: i64,
        most: i64,
    },
    /// YEAR; MySQL's year 0000 comes as 1900.
    Year,
    /// A number of units that are so many microseconds.
    Times(i64),
    /// A number of units of which so many are a microsecond.
    Per(i64),
    /// An exact number of scale 0 for an integer column.
    Whole {
        unsigned: bool,
        bytes: u8,
    },
    /// A little-endian number of at most so many bits.
    Bits(u8),
    Float,
    Double,
    FloatAsDouble,
    DoubleAsFloat,
    Decimal(Encoded, u8),
    DecimalText,
    /// A record of scale and digits.
    DecimalWithScale,
    Text,
    /// ENUM: the connector escapes commas in it.
    EnumText,
    /// An Avro enum.
    Symbol(Box<[Box<str>]>),
    Bytes(Encoded),
    /// ISO text of an instant or wall clock.
    Iso,
    Json,
}

/// How bytes are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoded {
    /// By their length.
    Sized,
    /// Always so many.
    Fixed(usize),
}

/// Why a well-formed value is none of its column's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// A value outside of the column's range.
    #[error("the value is out of range")]
    Range,
    /// Text that is no value of the column's type.
    #[error("`{0}` is no value of the type")]
    Text(String),
    /// JSON that is none, or nested too deeply.
    #[error("the text is no JSON, or nests too deeply")]
    Json,
}

/// What came of reading a column: malformed bytes end the record, a misfit only the column.
pub(super) enum Fault {
    Malformed(Malformed),
    Misfit(Misfit),
}

impl From<Malformed> for Fault {
    fn from(error: Malformed) -> Fault {
        Fault::Malformed(error)
    }
}

impl From<Misfit> for Fault {
    fn from(error: Misfit) -> Fault {
        Fault::Misfit(error)
    }
}

impl Read {
    /// How to read what `node` writes into a column of this type; `None` where that would lose or
    /// invent something.
    pub(super) fn plan(schema: &Schema, node: NodeId, ty: Type) -> Option<Read> {
        let written = schema.node(node);
        let meaning = written.meaning.as_deref().unwrap_or("");
        let encoded = match written.shape {
            Shape::Fixed(size) => Some(Encoded::Fixed(size)),
            Shape::Bytes => Some(Encoded::Sized),
            _ => None,
        };
        let decimal = matches!(meaning, "org.apache.kafka.connect.data.Decimal" | "decimal");
        let scale = written.scale.unwrap_or(0);
        match (ty, &written.shape) {
            (Type::Int { .. } | Type::Bit { bits: 1 }, Shape::Boolean) => Some(Read::Boolean),
            (Type::Int { bytes, unsigned }, Shape::Int | Shape::Long) if meaning.is_empty() => {
                Some(Read::integer(bytes, unsigned))
            }
            (Type::Int { bytes, unsigned }, Shape::Bytes) if decimal && scale == 0 => {
                Some(Read::Whole { unsigned, bytes })
            }
            (Type::Year, Shape::Int) => Some(Read::Year),
            (Type::Bit { bits }, Shape::Bytes) if meaning == "io.debezium.data.Bits" => {
                Some(Read::Bits(bits))
            }
            (Type::Decimal { scale: ours, .. }, Shape::Bytes | Shape::Fixed(_)) if decimal => {
                let scale = u8::try_from(scale).ok().filter(|scale| *scale <= ours)?;
                Some(Read::Decimal(encoded?, scale))
            }
            (Type::Decimal { .. }, Shape::String) => Some(Read::DecimalText),
            (Type::Decimal { .. }, Shape::Record(_))
                if meaning == "io.debezium.data.VariableScaleDecimal" =>
            {
                Some(Read::DecimalWithScale)
            }
            (Type::Float, Shape::Float) => Some(Read::Float),
            (Type::Float, Shape::Double) => Some(Read::DoubleAsFloat),
            (Type::Double, Shape::Double) => Some(Read::Double),
            (Type::Double, Shape::Float) => Some(Read::FloatAsDouble),
            (Type::Text(_), Shape::String) => Read::text(meaning),
            (Type::Text(_), Shape::Enum(symbols)) => {
                Some(Read::Symbol(symbols.iter().map(|s| s.as_str().into()).collect()))
            }
            (Type::Json, Shape::String) => Some(Read::Json),
            (Type::Bytes, _) if !decimal && meaning != "io.debezium.data.Bits" => {
                encoded.map(Read::Bytes)
            }
            (Type::Date, Shape::Int) => {
                let date = ["io.debezium.time.Date", "org.apache.kafka.connect.data.Date", "date"];
                date.contains(&meaning).then_some(Read::number_of(i32::MIN, i32::MAX))
            }
            (Type::Time { .. } | Type::DateTime { .. } | Type::Timestamp { .. }, _) => {
                Read::temporal(ty, &written.shape, meaning)
            }
            _ => None,
        }
    }

    fn number_of(least: i32, most: i32) -> Read {
        Read::Number { least: i64::from(least), most: i64::from(most) }
    }

    /// Whole numbers. A column that was made wider than it is declared goes on while its values
    /// are within the declared type.
    fn integer(bytes: u8, unsigned: bool) -> Read {
        let bits = 8 * u32::from(bytes);
        match (bytes, unsigned) {
            // With `bigint.unsigned.handling.mode=long` the upper half comes as negative numbers.
            (8, _) => Read::Number { least: i64::MIN, most: i64::MAX },
            (_, true) => Read::Number { least: 0, most: (1 << bits) - 1 },
            (_, false) => Read::Number { least: -(1 << (bits - 1)), most: (1 << (bits - 1)) - 1 },
        }
    }

    fn text(meaning: &str) -> Option<Read> {
        match meaning {
            "io.debezium.data.Enum" => Some(Read::EnumText),
            name if name.starts_with("io.debezium.time.") => None,
            _ => Some(Read::Text),
        }
    }

    fn temporal(ty: Type, shape: &Shape, meaning: &str) -> Option<Read> {
        let time = matches!(ty, Type::Time { .. });
        Some(match (meaning, shape) {
            ("io.debezium.time.MicroTime" | "time-micros", Shape::Long) if time => Read::Times(1),
            ("io.debezium.time.NanoTime", Shape::Long) if time => Read::Per(1000),
            (
                "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time" | "time-millis",
                Shape::Int,
            ) if time => Read::Times(1000),
            ("io.debezium.time.MicroTimestamp" | "timestamp-micros", Shape::Long) if !time => {
                Read::Times(1)
            }
            ("io.debezium.time.NanoTimestamp", Shape::Long) if !time => Read::Per(1000),
            (
                "io.debezium.time.Timestamp"
                | "org.apache.kafka.connect.data.Timestamp"
                | "timestamp-millis",
                Shape::Long,
            ) if !time => Read::Times(1000),
            ("io.debezium.time.ZonedTimestamp", Shape::String) if !time => Read::Iso,
            _ => return None,
        })
    }

    /// Reads the column's value into a row. A misfit leaves the cursor behind the value.
    #[inline]
    pub(super) fn read(
        &self,
        cursor: &mut Cursor<'_>,
        schema: &Schema,
        node: NodeId,
        row: &mut RowWriter,
        column: usize,
        ty: Type,
    ) -> Result<(), Fault> {
        match self {
            Read::Number { least, most } => {
                let number = cursor.number()?;
                if number < *least || number > *most {
                    return Err(Misfit::Range.into());
                }
                row.set_number(column, number);
            }
            Read::Text => {
                let bytes = cursor.bytes()?;
                str::from_utf8(bytes).map_err(|_| Misfit::Utf8)?;
                row.set_bytes(column, bytes);
            }
            Read::Decimal(encoded, scale) => {
                let bytes = encoded.take(cursor)?;
                let decimal = Decimal::from_be_bytes(bytes, *scale).ok_or(Misfit::Range)?;
                set_decimal(row, column, decimal, ty)?;
            }
            Read::Iso => {
                let text = cursor.bytes()?;
                let micros = micros_from_iso(text)
                    .ok_or_else(|| Misfit::Text(shortened(&String::from_utf8_lossy(text))))?;
                set_instant(row, column, micros, ty);
            }
            Read::Times(unit) => {
                let micros = cursor.number()?.checked_mul(*unit).ok_or(Misfit::Range)?;
                set_instant(row, column, micros, ty);
            }
            Read::Per(unit) => {
                let micros = cursor.number()?.div_euclid(*unit);
                set_instant(row, column, micros, ty);
            }
            _ => return self.read_rarer(cursor, schema, node, row, column, ty),
        }
        Ok(())
    }

    fn read_rarer(
        &self,
        cursor: &mut Cursor<'_>,
        schema: &Schema,
        node: NodeId,
        row: &mut RowWriter,
        column: usize,
        ty: Type,
    ) -> Result<(), Fault> {
        match self {
            Read::Boolean => row.set_number(column, i64::from(cursor.take(1)?[0] != 0)),
            Read::Year => match cursor.number()? {
                1900 => row.set_number(column, 0),
                year @ (0 | 1901..=2155) => row.set_number(column, year),
                _ => return Err(Misfit::Range.into()),
            },
            Read::Whole { unsigned, bytes } => {
                let number = whole(cursor.bytes()?, *unsigned, *bytes).ok_or(Misfit::Range)?;
                row.set_number(column, number);
            }
            Read::Bits(bits) => {
                let number = little_endian(cursor.bytes()?, *bits).ok_or(Misfit::Range)?;
                row.set_number(column, number as i64);
            }
            Read::Float => {
                let number = f32::from_le_bytes(cursor.array()?);
                set(row, column, Value::Float(number))?;
            }
            Read::DoubleAsFloat => {
                let number = f64::from_le_bytes(cursor.array()?);
                set(row, column, Value::Float(number as f32))?;
            }
            Read::Double => {
                let number = f64::from_le_bytes(cursor.array()?);
                set(row, column, Value::Double(number))?;
            }
            Read::FloatAsDouble => {
                let number = f32::from_le_bytes(cursor.array()?);
                set(row, column, Value::Double(f64::from(number)))?;
            }
            Read::DecimalText => {
                let text = utf8(cursor.bytes()?)?;
                let decimal = Decimal::parse(text).ok_or_else(|| Misfit::Text(shortened(text)))?;
                set_decimal(row, column, decimal, ty)?;
            }
            Read::DecimalWithScale => {
                let decimal = decimal_with_scale(cursor, schema, node)?;
                set_decimal(row, column, decimal, ty)?;
            }
            Read::EnumText => {
                let text = utf8(cursor.bytes()?)?;
                let text: Cow<'_, str> = match text.contains("\\,") {
                    true => text.replace("\\,", ",").into(),
                    false => text.into(),
                };
                row.set_bytes(column, text.as_bytes());
            }
            Read::Symbol(symbols) => {
                let at = usize::try_from(cursor.number()?).ok();
                let symbol = at.and_then(|at| symbols.get(at)).ok_or(Misfit::Range)?;
                row.set_bytes(column, symbol.as_bytes());
            }
            Read::Bytes(encoded) => row.set_bytes(column, encoded.take(cursor)?),
            Read::Json => {
                let text = utf8(cursor.bytes()?)?;
                row.set_bytes(column, normalize_json(text).ok_or(Misfit::Json)?.as_bytes());
            }
            // Read above.
            Read::Number { .. }
            | Read::Text
            | Read::Decimal(..)
            | Read::Iso
            | Read::Times(_)
            | Read::Per(_) => {}
        }
        Ok(())
    }
}

impl Encoded {
    fn take<'b>(self, cursor: &mut Cursor<'b>) -> Result<&'b [u8], Malformed> {
        match self {
            Encoded::Sized => cursor.bytes(),
            Encoded::Fixed(size) => cursor.take(size),
        }
    }
}

/// A record `{scale: int, value: bytes}`, its fields in any order.
fn decimal_with_scale(
    cursor: &mut Cursor<'_>,
    schema: &Schema,
    node: NodeId,
) -> Result<Decimal, Fault> {
    let (mut scale, mut digits) = (0, &[][..]);
    for field in schema.fields(node).unwrap_or_default() {
        match (field.name.as_str(), &schema.node(field.node).shape) {
            ("scale", Shape::Int) => scale = cursor.number()?,
            ("value", Shape::Bytes) => digits = cursor.bytes()?,
            _ => cursor.skip(schema, field.node)?,
        }
    }
    let scale = u8::try_from(scale).map_err(|_| Misfit::Range)?;
    Ok(Decimal::from_be_bytes(digits, scale).ok_or(Misfit::Range)?)
}

/// MySQL has no TIMESTAMP 0: it is how the connector writes a zero date (and a NULL whose column
/// has CURRENT_TIMESTAMP as its default).
fn set_instant(row: &mut RowWriter, column: usize, micros: i64, ty: Type) {
    if micros != 0 || !matches!(ty, Type::Timestamp { .. }) {
        row.set_number(column, micros);
    }
}

/// Digits that the column has no room for are refused, never rounded.
fn set_decimal(
    row: &mut RowWriter,
    column: usize,
    decimal: Decimal,
    ty: Type,
) -> Result<(), Misfit> {
    let exact = match ty {
        Type::Decimal { scale, .. } if decimal.scale() > scale => {
            decimal.rescale(scale).is_some_and(|rounded| rounded == decimal)
        }
        _ => true,
    };
    (exact && row.set_decimal(column, decimal)).then_some(()).ok_or(Misfit::Range)
}

fn set(row: &mut RowWriter, column: usize, value: Value<'_>) -> Result<(), Misfit> {
    row.set(column, &value).then_some(()).ok_or(Misfit::Range)
}

fn utf8(bytes: &[u8]) -> Result<&str, Misfit> {
    str::from_utf8(bytes).map_err(|_| Misfit::Utf8)
}

/// Text for an error: enough to recognise it by.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A big-endian two's-complement number of a column so many bytes wide; unsigned ones by their
/// bits.
fn whole(digits: &[u8], unsigned: bool, bytes: u8) -> Option<i64> {
    let number = Decimal::from_be_bytes(digits, 0)?.unscaled();
    let bits = 8 * u32::from(bytes);
    if unsigned {
        let number = u64::try_from(number).ok()?;
        (number <= u64::MAX >> (64 - bits)).then_some(number as i64)
    } else {
        let number = i64::try_from(number).ok()?;
        (number << (64 - bits) >> (64 - bits) == number).then_some(number)
    }
}

fn little_endian(bytes: &[u8], bits: u8) -> Option<u64> {
    let mut wide = [0; 8];
    let (low, high) = bytes.split_at(bytes.len().min(8));
    wide[..low.len()].copy_from_slice(low);
    let number = u64::from_le_bytes(wide);
    (high.iter().all(|byte| *byte == 0) && number <= u64::MAX >> (64 - bits.clamp(1, 64)))
        .then_some(number)
}

/// A type as it stands in DDL, for messages.
pub(in crate::source) fn ddl_of(ty: Type) -> String {
    let fraction = |name: &str, fsp: u8| match fsp {
        0 => name.to_owned(),
        fsp => format!("{name}({fsp})"),
    };
    match ty {
        Type::Int { bytes, unsigned } => {
            let name = match bytes {
                1 => "TINYINT",
                2 => "SMALLINT",
                3 => "MEDIUMINT",
                4 => "INT",
                _ => "BIGINT",
            };
            format!("{name}{}", if unsigned { " UNSIGNED" } else { "" })
        }
        Type::Year => "YEAR".to_owned(),
        Type::Bit { bits } => format!("BIT({bits})"),
        Type::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        Type::Float => "FLOAT".to_owned(),
        Type::Double => "DOUBLE".to_owned(),
        Type::Text(_) => "text".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        Type::Date => "DATE".to_owned(),
        Type::Time { fsp } => fraction("TIME", fsp),
        Type::DateTime { fsp } => fraction("DATETIME", fsp),
        Type::Timestamp { fsp } => fraction("TIMESTAMP", fsp),
        Type::Json => "JSON".to_owned(),
    }
}

/// What is written, for messages: `string (io.debezium.time.ZonedTimestamp, TIMESTAMP in MySQL)`.
pub(super) fn written_as(schema: &Schema, node: NodeId) -> String {
    let node = schema.node(node);
    let shape = match &node.shape {
        Shape::Null => "null",
        Shape::Boolean => "boolean",
        Shape::Int => "int",
        Shape::Long => "long",
        Shape::Float => "float",
        Shape::Double => "double",
        Shape::Bytes => "bytes",
        Shape::String => "string",
        Shape::Fixed(_) => "fixed",
        Shape::Enum(_) => "enum",
        Shape::Array(_) => "array",
        Shape::Map(_) => "map",
        Shape::Union(_) => "union",
        Shape::Record(_) => "record",
    };
    let scale = node.scale.map(|scale| format!("scale {scale}"));
    let mysql = node.column_type.as_ref().map(|ty| format!("{ty} in MySQL"));
    let notes: Vec<String> = [node.meaning.clone(), scale, mysql].into_iter().flatten().collect();
    match notes.is_empty() {
        true => shape.to_owned(),
        false => format!("{shape} ({})", notes.join(", ")),
    }
}
