//! Events in JSON: one object each, with the declared columns by name.
//!
//! Members that are not declared are passed over, missing ones are NULL, and everything has to be
//! of its column's type: a text is no number, and a number that does not fit is refused rather
//! than cut. `_partition` and `_offset` are where the record lies, whatever the event says.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::avro::{Decoded, Failure, Reason, Side};
use super::record::Content;
use crate::change::{Change, Op};
use crate::sql::plan::{Table, TableId, TimestampUnit};
use crate::value::{
    Decimal, Key, MICROS_PER_SECOND, RowWriter, Type, Value, normalize_json, parse_text,
};

/// Values nested deeper than this are refused.
const DEPTH_MAX: usize = 128;
/// Microseconds of the first instant behind the year 9999, and of the year 1.
const INSTANTS: std::ops::Range<i64> =
    -62_135_596_800 * MICROS_PER_SECOND..253_402_300_800 * MICROS_PER_SECOND;

/// Why text is no event of its stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not UTF-8.
    #[error("the event is not UTF-8")]
    Utf8,
    /// Not one JSON object, or one with a member twice.
    #[error("the event is no JSON object: {0}")]
    Json(String),
    /// Nested too deeply.
    #[error("member `{0}` nests deeper than {DEPTH_MAX} levels")]
    Depth(String),
    /// A key column without a value.
    #[error("member `{0}` is missing or null, but is part of the key")]
    Key(String),
    /// A value that is none of its column's type.
    #[error("member `{member}` is {found}, not {wanted}")]
    Type {
        /// The member.
        member: String,
        /// Its value, shortened.
        found: String,
        /// What the column takes.
        wanted: String,
    },
}

/// Decodes the records of one event topic.
#[derive(Debug)]
pub struct EventDecoder {
    id: TableId,
    table: Table,
    timestamps: TimestampUnit,
    row: RowWriter,
    /// The columns that say where a record lies.
    partition: Option<usize>,
    offset: Option<usize>,
}

impl EventDecoder {
    /// A decoder of the events of a declared stream, whose instants count in this unit.
    pub fn new(id: TableId, table: &Table, timestamps: TimestampUnit) -> EventDecoder {
        let place = |name: &str| table.columns.iter().position(|column| column.name == name);
        EventDecoder {
            id,
            table: table.clone(),
            timestamps,
            row: RowWriter::new(&table.layout),
            partition: place("_partition"),
            offset: place("_offset"),
        }
    }

    /// Decodes the event at this offset of this partition.
    ///
    /// # Errors
    /// An event that is none of the stream's.
    pub fn decode(
        &mut self,
        value: Option<&[u8]>,
        partition: i32,
        offset: i64,
    ) -> Result<Decoded, Failure> {
        let Some(value) = value else {
            return Ok(Decoded { content: Content::Ignored, committed_us: 0 });
        };
        if value.is_empty() {
            return Err(Reason::Empty(Side::Value).into());
        }
        self.row.clear();
        self.read(value).map_err(Reason::from)?;
        for (column, number) in [(self.partition, i64::from(partition)), (self.offset, offset)] {
            if let Some(column) = column {
                self.row.set_number(column, number);
            }
        }
        let row = self.row.finish();
        for &column in &self.table.key {
            if self.table.layout.is_null(row.as_bytes(), column) {
                let name = self.table.columns[column].name.clone();
                return Err(Reason::from(EventError::Key(name)).into());
            }
        }
        let change = Change { table: self.id, op: Op::Upsert(row) };
        Ok(Decoded { content: Content::Event(change), committed_us: 0 })
    }

    /// The row that an event is, though it cannot be read; `None` if that much cannot either.
    pub fn row_key(&mut self, value: Option<&[u8]>, partition: i32, offset: i64) -> Option<Key> {
        self.row.clear();
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        let object: Option<Object<'_>> = text.and_then(|text| serde_json::from_str(text).ok());
        for &column in &self.table.key {
            let declared = &self.table.columns[column];
            if self.partition == Some(column) {
                self.row.set_number(column, i64::from(partition));
            } else if self.offset == Some(column) {
                self.row.set_number(column, offset);
            } else {
                let members = &object.as_ref()?.0;
                let (_, raw) = members.iter().find(|(name, _)| *name == declared.name)?;
                let raw = raw.get();
                if raw == "null" || depth(raw) > DEPTH_MAX {
                    return None;
                }
                set(&mut self.row, column, declared.ty, raw, self.timestamps)?;
            }
        }
        let row = self.row.finish();
        Some(Key::of_row(&self.table.layout, row.as_bytes(), &self.table.key))
    }

    fn read(&mut self, value: &[u8]) -> Result<(), EventError> {
        let text = std::str::from_utf8(value).map_err(|_| EventError::Utf8)?;
        let object: Object<'_> =
            serde_json::from_str(text).map_err(|error| EventError::Json(error.to_string()))?;
        for (name, raw) in &object.0 {
            let raw = raw.get();
            if depth(raw) > DEPTH_MAX {
                return Err(EventError::Depth(shortened(name)));
            }
            let column = self.table.columns.iter().position(|column| column.name == *name);
            let Some(column) = column else { continue };
            if self.partition == Some(column) || self.offset == Some(column) || raw == "null" {
                continue;
            }
            let ty = self.table.columns[column].ty;
            if set(&mut self.row, column, ty, raw, self.timestamps).is_none() {
                return Err(EventError::Type {
                    member: name.clone().into_owned(),
                    found: shortened(raw),
                    wanted: wanted(ty).to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// An object's members, each once.
struct Object<'j>(Vec<(Cow<'j, str>, &'j RawValue)>);

impl<'j> Deserialize<'j> for Object<'j> {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Object<'j>, D::Error> {
        struct Members;
        impl<'j> Visitor<'j> for Members {
            type Value = Object<'j>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'j>>(self, mut map: M) -> Result<Object<'j>, M::Error> {
                let mut members: Vec<(Cow<'j, str>, &'j RawValue)> = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry::<Name<'j>, &RawValue>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        let name = shortened(&name);
                        return Err(serde::de::Error::custom(format!("member `{name}` is twice")));
                    }
                    if members.len() == MEMBERS_MAX {
                        return Err(serde::de::Error::custom("too many members"));
                    }
                    members.push((name, value));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Members of an event above which it is refused: each is compared with all before it.
const MEMBERS_MAX: usize = 1024;

/// A member's name, borrowed where it has no escapes.
struct Name<'j>(Cow<'j, str>);

impl<'j> Deserialize<'j> for Name<'j> {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Name<'j>, D::Error> {
        struct Text;
        impl<'j> Visitor<'j> for Text {
            type Value = Name<'j>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'j str) -> Result<Name<'j>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'j>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Sets a column from a JSON value other than null; `None` if it is none of the type.
fn set(row: &mut RowWriter, column: usize, ty: Type, raw: &str, unit: TimestampUnit) -> Option<()> {
    let text = || serde_json::from_str::<Name<'_>>(raw).ok().map(|name| name.0);
    let is_text = raw.starts_with('"');
    let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    match ty {
        Type::Int { bytes: 1, .. } if raw == "true" || raw == "false" => {
            row.set_number(column, i64::from(raw == "true"));
        }
        Type::Timestamp { fsp } if is_number => row.set_number(column, instant(raw, unit, fsp)?),
        Type::Bit { bits } if is_number => {
            let number: u64 = raw.parse().ok()?;
            (number <= u64::MAX >> (64 - bits)).then(|| row.set_number(column, number as i64))?;
        }
        Type::Decimal { scale, .. } if is_number || is_text => {
            let decimal = Decimal::parse(&text().unwrap_or(Cow::Borrowed(raw)))?;
            let exact = decimal.rescale(scale).is_some_and(|rescaled| rescaled == decimal);
            (exact && row.set_decimal(column, decimal)).then_some(())?;
        }
        Type::Text(_) if is_text => row.set_bytes(column, text()?.as_bytes()),
        Type::Bytes if is_text => {
            row.set_bytes(column, &BASE64_STANDARD.decode(text()?.as_bytes()).ok()?);
        }
        Type::Json => row.set_bytes(column, normalize_json(raw)?.as_bytes()),
        Type::Date | Type::Time { .. } | Type::DateTime { .. } | Type::Timestamp { .. }
            if is_text =>
        {
            set_value(row, column, parse_text(ty, &text()?)?)?;
        }
        Type::Int { .. } | Type::Year | Type::Float | Type::Double if is_number => {
            set_value(row, column, parse_text(ty, raw)?)?;
        }
        _ => return None,
    }
    Some(())
}

fn set_value(row: &mut RowWriter, column: usize, value: Value<'_>) -> Option<()> {
    row.set(column, &value).then_some(())
}

/// The instant that a JSON number stands for, in microseconds, rounded to the column's digits.
fn instant(raw: &str, unit: TimestampUnit, fsp: u8) -> Option<i64> {
    let (mantissa, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let number = Decimal::parse(mantissa)?;
    let unit_digits = match unit {
        TimestampUnit::Seconds => 0,
        TimestampUnit::Milliseconds => 3,
        TimestampUnit::Microseconds => 6,
    };
    let scale = i32::from(number.scale()).checked_add(unit_digits)?.checked_sub(exponent)?;
    let seconds = match u8::try_from(scale) {
        Ok(scale) => Decimal::new(number.unscaled(), scale),
        Err(_) if (-18..0).contains(&scale) => {
            let raised =
                number.unscaled().checked_mul(ethnum::I256::new(10).pow(scale.unsigned_abs()))?;
            Decimal::new(raised, 0)
        }
        Err(_) => return None,
    };
    let micros = i64::try_from(seconds.rescale(fsp)?.rescale(6)?.unscaled()).ok()?;
    INSTANTS.contains(&micros).then_some(micros)
}

/// How deeply arrays and objects nest in valid JSON.
fn depth(raw: &str) -> usize {
    if !raw.starts_with(['[', '{']) {
        return 0;
    }
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn wanted(ty: Type) -> &'static str {
    match ty {
        Type::Int { bytes: 1, .. } => "a whole number within the column's range, or a boolean",
        Type::Int { .. } | Type::Year | Type::Bit { .. } => {
            "a whole number within the column's range"
        }
        Type::Decimal { .. } => "a decimal number that the column has room for",
        Type::Float | Type::Double => "a number",
        Type::Text(_) => "a text",
        Type::Bytes => "a text in base64",
        Type::Date => "a date as \"2024-09-02\"",
        Type::Time { .. } => "a time as \"17:21:02\"",
        Type::DateTime { .. } => "a date and time as \"2024-09-02T17:21:02\"",
        Type::Timestamp { .. } => {
            "an instant: a number in the declared unit, or a text as \"2024-09-02T17:21:02Z\""
        }
        Type::Json => "JSON",
    }
}

/// Text for an error: enough to recognise it by.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::plan::{Column, Stream, TableSource};
    use crate::value::{Collation, RowLayout};

    fn decoder(key: Vec<usize>) -> EventDecoder {
        let int = |bytes| Type::Int { bytes, unsigned: false };
        let columns = [
            ("order_id", int(8)),
            ("status", Type::Text(Collation::Binary)),
            ("updated_at", Type::Timestamp { fsp: 6 }),
            ("small", int(1)),
            ("price", Type::Decimal { precision: 10, scale: 2 }),
            ("extra", Type::Json),
            ("raw", Type::Bytes),
            ("_partition", int(4)),
            ("_offset", int(8)),
        ];
        let types: Vec<Type> = columns.iter().map(|(_, ty)| *ty).collect();
        let columns =
            columns.map(|(name, ty)| Column { name: name.to_owned(), ty, nullable: true });
        let timestamps = TimestampUnit::Seconds;
        let table = Table {
            name: "order_updates".to_owned(),
            source: TableSource::Stream(Stream { topic: "order_updates".to_owned(), timestamps }),
            columns: columns.into(),
            key,
            indexes: Vec::new(),
            computed: Vec::new(),
            layout: RowLayout::new(&types),
        };
        EventDecoder::new(TableId(3), &table, timestamps)
    }

    fn values(json: &str) -> Vec<Value<'static>> {
        let mut decoder = decoder(vec![7, 8]);
        let decoded = decoder.decode(Some(json.as_bytes()), 2, 77).unwrap();
        let Content::Event(Change { table: TableId(3), op: Op::Upsert(row) }) = decoded.content
        else {
            panic!("{decoded:?}")
        };
        let layout = &decoder.table.layout;
        (0..layout.len()).map(|i| layout.value(row.as_bytes(), i).into_owned()).collect()
    }

    fn reason(json: impl AsRef<[u8]>) -> String {
        match decoder(vec![7, 8]).decode(Some(json.as_ref()), 0, 0) {
            Err(Failure::Unreadable(unreadable)) => unreadable.reason.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn declared_members_by_name_and_the_record_s_own_place() {
        let got = values(
            r#" {"id": 1, "order_id": 17, "status": "re\u00e7u", "updated_at": 1725290973.123456, "small": true,
                "price": 21.5, "extra": {"bb": 1, "a": [1.50]}, "raw": "AP8=", "_offset": 3, "deep": [{"x": "]"}]} "#,
        );
        let want = [
            Value::Int(17),
            Value::Text("reçu".into()),
            Value::Timestamp(1_725_290_973_123_456),
            Value::Int(1),
            Value::Decimal(Decimal::parse("21.50").unwrap()),
            Value::Json(r#"{"a": [1.50], "bb": 1}"#.into()),
            Value::Bytes(vec![0, 255].into()),
            Value::Int(2),
            Value::Int(77),
        ];
        assert_eq!(got, want);
        assert_eq!(values(r#"{"status": null}"#)[..3], [Value::Null, Value::Null, Value::Null]);
    }

    #[test]
    fn instants_are_exact_to_the_microsecond() {
        for (raw, unit, fsp, want) in [
            ("1725290973", TimestampUnit::Seconds, 6, Some(1_725_290_973_000_000)),
            ("1725290973.9999996", TimestampUnit::Seconds, 6, Some(1_725_290_974_000_000)),
            ("1725290973.5", TimestampUnit::Seconds, 0, Some(1_725_290_974_000_000)),
            ("1.7252909731e9", TimestampUnit::Seconds, 6, Some(1_725_290_973_100_000)),
            ("17e8", TimestampUnit::Seconds, 6, Some(1_700_000_000_000_000)),
            ("1725290973001", TimestampUnit::Milliseconds, 6, Some(1_725_290_973_001_000)),
            ("1725290973000001", TimestampUnit::Microseconds, 6, Some(1_725_290_973_000_001)),
            ("-1.5", TimestampUnit::Seconds, 6, Some(-1_500_000)),
            ("1e300", TimestampUnit::Seconds, 6, None),
            ("1e-9999999999", TimestampUnit::Seconds, 6, None),
            ("253402300800", TimestampUnit::Seconds, 6, None),
        ] {
            assert_eq!(instant(raw, unit, fsp), want, "{raw}");
        }
        let text = values(r#"{"updated_at": "2024-09-02T17:21:02.5Z"}"#);
        assert_eq!(text[2], Value::Timestamp(1_725_297_662_500_000));
    }

    #[test]
    fn what_is_no_event_says_why() {
        let deep = format!(r#"{{"x": {}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for (json, want) in [
            ("", "the value is empty"),
            ("[1]", "no JSON object"),
            ("{", "no JSON object"),
            (r#"{"status": "a"} x"#, "no JSON object"),
            (r#"{"status": "a", "status": "b"}"#, "member `status` is twice"),
            (r#"{"order_id": "17"}"#, "member `order_id` is \"17\", not a whole number"),
            (r#"{"order_id": 1.5}"#, "member `order_id` is 1.5"),
            (r#"{"order_id": 9223372036854775808}"#, "member `order_id`"),
            (r#"{"small": 128}"#, "member `small` is 128"),
            (r#"{"price": 1.005}"#, "member `price` is 1.005"),
            (r#"{"status": 7}"#, "member `status` is 7, not a text"),
            (r#"{"updated_at": "yesterday"}"#, "not an instant"),
            (r#"{"raw": "%"}"#, "base64"),
            (&deep, "member `x` nests deeper"),
        ] {
            let reason = reason(json);
            assert!(reason.contains(want), "{reason}");
        }
        assert_eq!(reason(b"{\"status\": \"\xFF\"}"), "the event is not UTF-8");
        let mut keyed = decoder(vec![0]);
        let missing = keyed.decode(Some(b"{\"status\": \"a\"}"), 0, 0);
        let text = format!("{missing:?}");
        assert!(text.contains("Key(\"order_id\")"), "{text}");
        assert!(keyed.decode(None, 0, 0).is_ok_and(|event| event.content == Content::Ignored));
    }
}
