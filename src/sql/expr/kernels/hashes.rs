//! Hashes of text and bytes, in lower-case hexadecimal digits.

use std::borrow::Cow;
use std::fmt::Write as _;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::super::EvalError;
use crate::value::{Type, Value};

type Answer<'v> = Result<Value<'v>, EvalError>;

/// MD5.
pub(in crate::sql) fn md5<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(hashed::<Md5>(&values[0]))
}

/// SHA1.
pub(in crate::sql) fn sha1<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(hashed::<Sha1>(&values[0]))
}

/// SHA2 of as many bits as the second argument says.
pub(in crate::sql) fn sha2<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(match &values[1] {
        Value::Int(224) => hashed::<Sha224>(&values[0]),
        Value::Int(0 | 256) => hashed::<Sha256>(&values[0]),
        Value::Int(384) => hashed::<Sha384>(&values[0]),
        Value::Int(512) => hashed::<Sha512>(&values[0]),
        _ => Value::Null,
    })
}

/// CRC32.
pub(in crate::sql) fn crc32<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    Ok(Value::UInt(u64::from(crc32fast::hash(bytes(&values[0])))))
}

fn hashed<D: Digest>(value: &Value<'_>) -> Value<'static> {
    let hash = D::digest(bytes(value));
    let mut digits = String::with_capacity(2 * hash.len());
    for byte in hash.iter() {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    Value::Text(Cow::Owned(digits))
}

fn bytes<'a>(value: &'a Value<'_>) -> &'a [u8] {
    match value {
        Value::Text(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        _ => &[],
    }
}
