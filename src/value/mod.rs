//! What a column can hold: [`Type`] as declared in MySQL, [`Value`] as computed with, [`Row`] as
//! kept in memory, [`Key`] as ordered and addressed by.
//!
//! Everything here is exact: decimals are integers with a scale, instants are whole microseconds,
//! text is bytes. Nothing here does I/O, knows a time zone but UTC, or reads a clock.

mod collation;
mod compare;
mod decimal;
mod json;
mod json_path;
mod key;
mod row;
mod temporal;
mod text;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use collation::Collation;
pub use compare::{compare, compare_as};
pub use decimal::{Decimal, MAX_PRECISION};
pub use json::{
    json_from_text, normalize_json, write_json, write_json_element, write_json_string,
    write_json_text,
};
pub use json_path::JsonPath;
pub(crate) use json_path::{json_length, members};
pub use key::{Key, KeyError};
pub use row::{Row, RowLayout, RowWriter};
pub use temporal::{
    MICROS_PER_DAY, MICROS_PER_SECOND, days_from_date, micros_from_iso, write_date, write_datetime,
    write_time,
};
pub(crate) use temporal::{TIME_MAX, civil_from_days, push_two};
pub(crate) use text::into_text;
use text::write_shown;
pub use text::{
    parse_text, to_text, write_double, write_double_within, write_float, write_float_within,
    write_text,
};

/// A MySQL column or expression type, reduced to what decides storage, comparison and printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Type {
    /// TINYINT to BIGINT (BOOLEAN too): `bytes` is 1, 2, 3, 4 or 8.
    Int {
        /// Storage width in MySQL, in bytes.
        bytes: u8,
        /// Declared UNSIGNED.
        unsigned: bool,
    },
    /// YEAR.
    Year,
    /// BIT(n), an unsigned number of `bits` bits (1 to 64).
    Bit {
        /// Declared width, in bits.
        bits: u8,
    },
    /// DECIMAL(precision, scale).
    Decimal {
        /// Digits in all, at most [`MAX_PRECISION`].
        precision: u8,
        /// Digits after the point, at most 30.
        scale: u8,
    },
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// CHAR, VARCHAR, TEXT, ENUM, SET: UTF-8 text.
    Text(Collation),
    /// BINARY, VARBINARY, BLOB.
    Bytes,
    /// DATE.
    Date,
    /// TIME with `fsp` fractional digits (0 to 6).
    Time {
        /// Fractional second digits.
        fsp: u8,
    },
    /// DATETIME with `fsp` fractional digits (0 to 6): no time zone.
    DateTime {
        /// Fractional second digits.
        fsp: u8,
    },
    /// TIMESTAMP with `fsp` fractional digits (0 to 6): an instant, shown in UTC.
    Timestamp {
        /// Fractional second digits.
        fsp: u8,
    },
    /// JSON.
    Json,
}

impl Type {
    /// The same type, text ordered by its bytes.
    pub(crate) fn by_bytes(self) -> Type {
        match self {
            Type::Text(_) => Type::Text(Collation::Binary),
            other => other,
        }
    }

    /// Whether values are equal only where their bytes are, so that a row's key finds it.
    pub(crate) fn is_told_by_bytes(self) -> bool {
        !matches!(self, Type::Text(collation) if !collation.is_exact())
    }

    /// Whether values of this type order as 64-bit numbers that stand for them.
    pub(crate) fn is_ordinal(self) -> bool {
        self.is_integer() || self.is_instant() || self == Type::Date
    }

    /// Whether the same numbers stand for values of both types, which are ordinal.
    pub(crate) fn orders_with(self, other: Type) -> bool {
        match (self, other) {
            (Type::Int { unsigned: a, .. }, Type::Int { unsigned: b, .. }) => a == b,
            _ => std::mem::discriminant(&self) == std::mem::discriminant(&other),
        }
    }

    /// Digits after the point of a DECIMAL.
    pub(crate) fn scale(self) -> Option<u8> {
        match self {
            Type::Decimal { scale, .. } => Some(scale),
            _ => None,
        }
    }

    fn is_instant(self) -> bool {
        matches!(self, Type::Time { .. } | Type::DateTime { .. } | Type::Timestamp { .. })
    }

    /// Whether values of this type are whole numbers (integers, YEAR, BIT).
    pub fn is_integer(self) -> bool {
        matches!(self, Type::Int { .. } | Type::Year | Type::Bit { .. })
    }
}

/// One SQL value, borrowing text and bytes from the row it was read from where it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// A signed integer.
    Int(i64),
    /// An unsigned integer (BIGINT UNSIGNED, BIT, YEAR).
    UInt(u64),
    /// An exact decimal.
    Decimal(Decimal),
    /// A FLOAT.
    Float(f32),
    /// A DOUBLE.
    Double(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds, negative before midnight, within ±838:59:59.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00 as a wall clock without a zone.
    DateTime(i64),
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    Timestamp(i64),
    /// JSON text as [`normalize_json`] prints it.
    Json(Cow<'a, str>),
}

impl Value<'_> {
    /// Whether this is SQL NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The number that values of a type that [`Type::is_ordinal`] compare by, `None` for others.
    /// Unsigned numbers are moved by half their range.
    pub(crate) fn ordinal(&self) -> Option<i64> {
        match self {
            Value::Int(v) | Value::Time(v) | Value::DateTime(v) | Value::Timestamp(v) => Some(*v),
            Value::UInt(v) => Some((v ^ (1 << 63)) as i64),
            Value::Date(v) => Some(i64::from(*v)),
            _ => None,
        }
    }

    /// The same value, borrowing its text and bytes from this one.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Int(v) => Value::Int(*v),
            Value::UInt(v) => Value::UInt(*v),
            Value::Decimal(v) => Value::Decimal(*v),
            Value::Float(v) => Value::Float(*v),
            Value::Double(v) => Value::Double(*v),
            Value::Text(v) => Value::Text(Cow::Borrowed(v)),
            Value::Bytes(v) => Value::Bytes(Cow::Borrowed(v)),
            Value::Date(v) => Value::Date(*v),
            Value::Time(v) => Value::Time(*v),
            Value::DateTime(v) => Value::DateTime(*v),
            Value::Timestamp(v) => Value::Timestamp(*v),
            Value::Json(v) => Value::Json(Cow::Borrowed(v)),
        }
    }

    /// The same value, owning its text and bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Int(v) => Value::Int(v),
            Value::UInt(v) => Value::UInt(v),
            Value::Decimal(v) => Value::Decimal(v),
            Value::Float(v) => Value::Float(v),
            Value::Double(v) => Value::Double(v),
            Value::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
            Value::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            Value::Date(v) => Value::Date(v),
            Value::Time(v) => Value::Time(v),
            Value::DateTime(v) => Value::DateTime(v),
            Value::Timestamp(v) => Value::Timestamp(v),
            Value::Json(v) => Value::Json(Cow::Owned(v.into_owned())),
        }
    }
}
