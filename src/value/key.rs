//! Keys as bytes whose order is the order of the values: what a document is stored, paged and
//! found by.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use smallvec::SmallVec;

use super::{RowLayout, Type, Value, parse_text, write_shown};

/// The values of one or more columns as order-preserving bytes: comparing two keys of the same
/// column types byte by byte compares their values column by column (text by its bytes).
///
/// Per column: a byte `0` for NULL or `1` for a value, then integers as 8 bytes big-endian (signed ones with the
/// sign bit flipped), instants likewise, decimals as 32 such bytes, floating-point numbers by
/// their sortable bits, text and bytes with `00` as `00 FF`, ended by `00 00`.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(from = "Vec<u8>", into = "Vec<u8>")]
pub struct Key(SmallVec<[u8; 24]>);

/// Why text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another number of parts than the key has columns.
    #[error("the key has {expected} column(s), {found} given")]
    Parts {
        /// Columns of the key.
        expected: usize,
        /// Parts in the text.
        found: usize,
    },
    /// A part that is no value of its column's type.
    #[error("`{text}` is no value of key column {column}")]
    Value {
        /// Place of the column in the key, from 1.
        column: usize,
        /// The part as given.
        text: String,
    },
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Key {
        Key(SmallVec::from_vec(bytes))
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Vec<u8> {
        key.0.into_vec()
    }
}

impl Key {
    /// An empty key to push values on.
    pub fn new() -> Key {
        Key::default()
    }

    /// The key of the given columns of a row.
    pub fn of_row(layout: &RowLayout, row: &[u8], columns: &[usize]) -> Key {
        let mut key = Key::new();
        for &column in columns {
            key.push(&layout.value(row, column));
        }
        key
    }

    /// Reads a key from one text per column, as it stands in a request's path: values as documents
    /// show them (bytes in base64), `~` for NULL, and `~~`, `~~~` … for the text `~`, `~~` …
    ///
    /// # Errors
    /// Another number of parts, or a part that is no value of its column's type.
    pub fn parse(types: &[Type], parts: &[impl AsRef<str>]) -> Result<Key, KeyError> {
        if types.len() != parts.len() {
            return Err(KeyError::Parts { expected: types.len(), found: parts.len() });
        }
        let mut key = Key::new();
        for (i, (ty, part)) in types.iter().zip(parts).enumerate() {
            let text = part.as_ref();
            match parse_part(*ty, text) {
                Some(value) => key.push(&value),
                None => {
                    return Err(KeyError::Value { column: i + 1, text: text.to_owned() });
                }
            }
        }
        Ok(key)
    }

    /// A key from its bytes, as stored.
    pub fn from_bytes(bytes: &[u8]) -> Key {
        Key(SmallVec::from_slice(bytes))
    }

    /// The order-preserving bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends one column's value.
    pub fn push(&mut self, value: &Value<'_>) {
        let bytes = &mut self.0;
        if value.is_null() {
            bytes.push(0);
            return;
        }
        bytes.push(1);
        match value {
            Value::Null => {}
            Value::Int(v) => push_signed(bytes, *v),
            Value::UInt(v) => bytes.extend_from_slice(&v.to_be_bytes()),
            Value::Date(v) => push_signed(bytes, i64::from(*v)),
            Value::Time(v) | Value::DateTime(v) | Value::Timestamp(v) => push_signed(bytes, *v),
            Value::Float(v) => bytes.extend_from_slice(&sortable(f64::from(*v))),
            Value::Double(v) => bytes.extend_from_slice(&sortable(*v)),
            Value::Decimal(v) => {
                let mut wide = v.unscaled().to_be_bytes();
                wide[0] ^= 0x80;
                bytes.extend_from_slice(&wide);
            }
            Value::Text(v) | Value::Json(v) => push_escaped(bytes, v.as_bytes()),
            Value::Bytes(v) => push_escaped(bytes, v),
        }
    }

    /// The values of a key of these column types; `None` if the bytes are no such key.
    pub fn values(&self, types: &[Type]) -> Option<Vec<Value<'static>>> {
        let mut rest = self.as_bytes();
        let values = types.iter().map(|ty| take_value(&mut rest, *ty)).collect::<Option<_>>()?;
        rest.is_empty().then_some(values)
    }

    /// The parts of the key as text, each as [`Key::parse`] reads it; `None` if the bytes are no
    /// key of these types.
    pub fn texts(&self, types: &[Type]) -> Option<Vec<String>> {
        let values = self.values(types)?;
        let text = |(value, ty): (&Value<'_>, &Type)| match value {
            Value::Null => "~".to_owned(),
            Value::Bytes(bytes) => BASE64_STANDARD.encode(bytes),
            Value::Text(text) if is_tildes(text) => format!("~{text}"),
            value => {
                let mut out = Vec::new();
                write_shown(&mut out, value, *ty);
                String::from_utf8_lossy(&out).into_owned()
            }
        };
        Some(values.iter().zip(types).map(text).collect())
    }
}

fn parse_part(ty: Type, text: &str) -> Option<Value<'static>> {
    match ty {
        _ if text == "~" => Some(Value::Null),
        Type::Bytes => BASE64_STANDARD.decode(text).ok().map(|bytes| Value::Bytes(bytes.into())),
        Type::Text(_) if is_tildes(text) => Some(Value::Text(text[1..].to_owned().into())),
        _ => parse_text(ty, text),
    }
}

/// Text that could be taken for the sign of NULL.
fn is_tildes(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'~')
}

fn push_signed(bytes: &mut SmallVec<[u8; 24]>, number: i64) {
    bytes.extend_from_slice(&((number as u64) ^ (1 << 63)).to_be_bytes());
}

fn push_escaped(bytes: &mut SmallVec<[u8; 24]>, text: &[u8]) {
    let mut parts = text.split(|byte| *byte == 0);
    bytes.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        bytes.extend_from_slice(&[0, 0xFF]);
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(&[0, 0]);
}

fn sortable(number: f64) -> [u8; 8] {
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    let flipped = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    flipped.to_be_bytes()
}

fn take_value(rest: &mut &[u8], ty: Type) -> Option<Value<'static>> {
    let marker = take::<1>(rest)?[0];
    if marker == 0 {
        return Some(Value::Null);
    }
    let signed = |bytes: [u8; 8]| (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64;
    Some(match ty {
        Type::Int { unsigned: false, .. } => Value::Int(signed(take(rest)?)),
        Type::Int { unsigned: true, .. } | Type::Year | Type::Bit { .. } => {
            Value::UInt(u64::from_be_bytes(take(rest)?))
        }
        Type::Date => Value::Date(i32::try_from(signed(take(rest)?)).ok()?),
        Type::Time { .. } => Value::Time(signed(take(rest)?)),
        Type::DateTime { .. } => Value::DateTime(signed(take(rest)?)),
        Type::Timestamp { .. } => Value::Timestamp(signed(take(rest)?)),
        Type::Float => Value::Float(unsortable(take(rest)?) as f32),
        Type::Double => Value::Double(unsortable(take(rest)?)),
        Type::Decimal { scale, .. } => {
            let mut wide: [u8; 32] = take(rest)?;
            wide[0] ^= 0x80;
            Value::Decimal(super::Decimal::new(ethnum::I256::from_be_bytes(wide), scale))
        }
        Type::Bytes => Value::Bytes(take_escaped(rest)?.into()),
        Type::Text(_) => Value::Text(String::from_utf8(take_escaped(rest)?).ok()?.into()),
        Type::Json => Value::Json(String::from_utf8(take_escaped(rest)?).ok()?.into()),
    })
}

fn unsortable(bytes: [u8; 8]) -> f64 {
    let bits = u64::from_be_bytes(bytes);
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_escaped(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        match take::<1>(rest)?[0] {
            0 => match take::<1>(rest)?[0] {
                0 => return Some(out),
                0xFF => out.push(0),
                _ => return None,
            },
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Collation, Decimal};
    use super::*;

    const TEXT: Type = Type::Text(Collation::Binary);
    const INT: Type = Type::Int { bytes: 4, unsigned: false };

    fn key(values: &[Value<'_>]) -> Key {
        let mut key = Key::new();
        values.iter().for_each(|v| key.push(v));
        key
    }

    #[test]
    fn bytes_order_as_values_do() {
        let ordered = [
            vec![Value::Null, Value::Int(0)],
            vec![Value::Text("".into()), Value::Int(9)],
            vec![Value::Text("\0".into()), Value::Int(9)],
            vec![Value::Text("a".into()), Value::Int(-5)],
            vec![Value::Text("a".into()), Value::Int(5)],
            vec![Value::Text("a\0".into()), Value::Int(-9)],
            vec![Value::Text("ab".into()), Value::Int(-9)],
        ];
        let keys: Vec<Key> = ordered.iter().map(|v| key(v)).collect();
        assert!(keys.is_sorted());
        let decimals = ["-2.00", "-1.99", "0.00", "3.10"].map(|t| Decimal::parse(t).unwrap());
        assert!(decimals.map(|d| key(&[Value::Decimal(d)])).is_sorted());
        assert!([f64::MIN, -1.0, 0.0, 1.5].map(|d| key(&[Value::Double(d)])).is_sorted());
    }

    #[test]
    fn texts_read_back() {
        let types =
            [INT, TEXT, Type::Timestamp { fsp: 3 }, Type::Decimal { precision: 9, scale: 2 }];
        let parts = ["-7", "a,{}:\n\0é", "2024-09-02T17:21:02.500Z", "-0.50"];
        let parsed = Key::parse(&types, &parts).unwrap();
        assert_eq!(parsed.texts(&types).unwrap(), parts);
        let types = [TEXT, TEXT, Type::Bytes];
        let parts = ["~~", "~a", "AP8="];
        let parsed = Key::parse(&types, &parts).unwrap();
        let values = parsed.values(&types).unwrap();
        assert_eq!(values[0], Value::Text("~".into()));
        assert_eq!(values[2], Value::Bytes(vec![0, 0xFF].into()));
        assert_eq!(parsed.texts(&types).unwrap(), parts);
        let null = Key::parse(&[INT], &["~"]).unwrap();
        assert_eq!(null.texts(&[INT]).unwrap(), ["~"]);
    }

    #[test]
    fn wrong_text_is_named() {
        let error = Key::parse(&[INT], &["1; DROP"]).unwrap_err();
        assert_eq!(error.to_string(), "`1; DROP` is no value of key column 1");
        assert!(matches!(Key::parse(&[INT], &["1", "2"]), Err(KeyError::Parts { .. })));
    }
}
