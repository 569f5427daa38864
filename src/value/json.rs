//! Values as JSON: in documents, and as MySQL prints its own JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Type, Value, write_datetime, write_double, write_float, write_shown, write_time};

/// How deep arrays and objects may be nested in JSON that MySQL reads.
const JSON_DEPTH_MAX: usize = 100;

/// Appends a value as it stands in a document: decimals and instants as strings, bytes as base64,
/// JSON as itself. Text is escaped; numbers that JSON lacks become null.
pub fn write_json(out: &mut Vec<u8>, value: &Value<'_>, ty: Type) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Int(v) => out.extend_from_slice(itoa::Buffer::new().format(*v).as_bytes()),
        Value::UInt(v) => out.extend_from_slice(itoa::Buffer::new().format(*v).as_bytes()),
        Value::Float(v) if v.is_finite() => write_float(out, *v),
        Value::Double(v) if v.is_finite() => write_double(out, *v),
        Value::Float(_) | Value::Double(_) => out.extend_from_slice(b"null"),
        Value::Text(v) => write_json_string(out, v.as_bytes()),
        Value::Json(v) => out.extend_from_slice(v.as_bytes()),
        Value::Bytes(v) => {
            out.push(b'"');
            out.extend_from_slice(BASE64_STANDARD.encode(v).as_bytes());
            out.push(b'"');
        }
        Value::Decimal(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::DateTime(_)
        | Value::Timestamp(_) => {
            out.push(b'"');
            write_shown(out, value, ty);
            out.push(b'"');
        }
    }
}

/// Appends a value as MySQL makes it an element of JSON (in JSON_ARRAYAGG, JSON_OBJECT): decimals
/// are numbers, doubles keep a point, instants are strings with six fractional digits.
pub fn write_json_element(out: &mut Vec<u8>, value: &Value<'_>, ty: Type) {
    match value {
        Value::Decimal(_) => write_shown(out, value, ty),
        Value::Float(v) => write_json_double(out, f64::from(*v)),
        Value::Double(v) => write_json_double(out, *v),
        Value::Time(v) => {
            out.push(b'"');
            write_time(out, *v, 6);
            out.push(b'"');
        }
        Value::DateTime(v) | Value::Timestamp(v) => {
            out.push(b'"');
            write_datetime(out, *v, 6, b' ');
            out.push(b'"');
        }
        _ => write_json(out, value, ty),
    }
}

fn write_json_double(out: &mut Vec<u8>, number: f64) {
    let start = out.len();
    write_double(out, number);
    if out[start..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
        out.extend_from_slice(b".0");
    }
}

/// Appends a JSON string of UTF-8 text with the escapes that MySQL writes.
pub fn write_json_string(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_ref();
    while let Some(at) = first_to_escape(rest) {
        let byte = rest[at];
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        out.push(b'\\');
        match byte {
            b'"' | b'\\' => out.push(byte),
            0x08 => out.push(b'b'),
            b'\t' => out.push(b't'),
            b'\n' => out.push(b'n'),
            0x0C => out.push(b'f'),
            b'\r' => out.push(b'r'),
            _ => {
                out.extend_from_slice(b"u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a JSON string of the text that `append` appends, or null if that says there is none.
///
/// # Errors
/// Those of `append`; what was appended then means nothing.
pub fn write_json_text<E>(
    out: &mut Vec<u8>,
    append: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
) -> Result<(), E> {
    let quote = out.len();
    out.push(b'"');
    if !append(out)? {
        out.truncate(quote);
        out.extend_from_slice(b"null");
    } else if first_to_escape(&out[quote + 1..]).is_none() {
        out.push(b'"');
    } else {
        let text = out.split_off(quote + 1);
        out.truncate(quote);
        write_json_string(out, text);
    }
    Ok(())
}

/// The first byte that a JSON string cannot hold as it is. Almost no text has one, so the whole is
/// asked first, eight bytes at a time and without a branch.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let any = words.iter().fold(0, |any, word| any | marks_to_escape(u64::from_le_bytes(*word)));
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    if any | marks_to_escape(u64::from_le_bytes(last)) == 0 {
        return None;
    }
    bytes.iter().position(|byte| *byte < b' ' || *byte == b'"' || *byte == b'\\')
}

/// Not zero if one of eight bytes is a control character, a quote or a backslash. Subtracting from
/// all bytes at once sets the highest bit of a byte that borrows, and that had it not set before.
fn marks_to_escape(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, b' ') | equal(b'"') | equal(b'\\')) & HIGHEST
}

/// JSON text as MySQL prints it: `", "` and `": "` between, an object's keys by length and then
/// bytes, the last of equal keys. Number literals stay as they are. `None` if it is not JSON or
/// nested too deeply.
pub fn normalize_json(text: &str) -> Option<String> {
    let parsed: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut out = Vec::with_capacity(text.len() + 16);
    write_normalized(&mut out, &parsed);
    String::from_utf8(out).ok()
}

/// JSON text as MySQL reads it into its own form and prints that: as [`normalize_json`], and
/// numbers with a point or an exponent are DOUBLEs, as are those beyond 64 bits. `None` if MySQL
/// refuses it.
pub fn json_from_text(text: &str) -> Option<String> {
    let mut parsed: serde_json::Value = serde_json::from_str(text).ok()?;
    read_numbers(&mut parsed, 0)?;
    let mut out = Vec::with_capacity(text.len() + 16);
    write_normalized(&mut out, &parsed);
    String::from_utf8(out).ok()
}

fn read_numbers(json: &mut serde_json::Value, depth: usize) -> Option<()> {
    match json {
        serde_json::Value::Number(number) => {
            let digits = number.as_str();
            let floating = digits.contains(['.', 'e', 'E']);
            if digits == "-0" {
                *number = 0.into();
            } else if floating || digits.parse::<i64>().is_err() && digits.parse::<u64>().is_err() {
                let read = digits.parse().ok().filter(|read: &f64| read.is_finite())?;
                let mut out = Vec::new();
                write_json_double(&mut out, read);
                *number = serde_json::Number::from_string_unchecked(String::from_utf8(out).ok()?);
            }
            Some(())
        }
        serde_json::Value::Array(_) | serde_json::Value::Object(_) if depth == JSON_DEPTH_MAX => {
            None
        }
        serde_json::Value::Array(items) => {
            items.iter_mut().try_for_each(|item| read_numbers(item, depth + 1))
        }
        serde_json::Value::Object(members) => {
            members.values_mut().try_for_each(|member| read_numbers(member, depth + 1))
        }
        _ => Some(()),
    }
}

fn write_normalized(out: &mut Vec<u8>, json: &serde_json::Value) {
    match json {
        serde_json::Value::Null => out.extend_from_slice(b"null"),
        serde_json::Value::Bool(true) => out.extend_from_slice(b"true"),
        serde_json::Value::Bool(false) => out.extend_from_slice(b"false"),
        // serde_json writes a plus before a positive exponent, MySQL does not.
        serde_json::Value::Number(number) => match number.as_str().split_once("e+") {
            Some((digits, exponent)) => {
                out.extend_from_slice(digits.as_bytes());
                out.push(b'e');
                out.extend_from_slice(exponent.as_bytes());
            }
            None => out.extend_from_slice(number.as_str().as_bytes()),
        },
        serde_json::Value::String(text) => write_json_string(out, text),
        serde_json::Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                write_normalized(out, item);
            }
            out.push(b']');
        }
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| (name.len(), name.as_bytes()));
            out.push(b'{');
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                write_json_string(out, name);
                out.extend_from_slice(b": ");
                write_normalized(out, member);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Collation, Decimal};
    use super::*;

    fn shown(value: Value<'_>, ty: Type) -> String {
        let mut out = Vec::new();
        write_json(&mut out, &value, ty);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn documents_show_types_as_documented() {
        let decimal = Type::Decimal { precision: 10, scale: 2 };
        let text = Type::Text(Collation::Other);
        for (value, ty, want) in [
            (Value::UInt(u64::MAX), Type::Int { bytes: 8, unsigned: true }, "18446744073709551615"),
            (Value::Decimal(Decimal::parse("21.50").unwrap()), decimal, r#""21.50""#),
            (Value::Timestamp(1_500_000), Type::Timestamp { fsp: 0 }, r#""1970-01-01T00:00:01Z""#),
            (Value::DateTime(1_500_000), Type::DateTime { fsp: 1 }, r#""1970-01-01T00:00:01.5""#),
            (Value::Date(1), Type::Date, r#""1970-01-02""#),
            (Value::Time(-1_000_000), Type::Time { fsp: 0 }, r#""-00:00:01""#),
            (Value::Bytes((&b"\xFF"[..]).into()), Type::Bytes, r#""/w==""#),
            (Value::Json("[1, 2]".into()), Type::Json, "[1, 2]"),
            (Value::Text("</script>\u{1}\"é".into()), text, "\"</script>\\u0001\\\"é\""),
            (Value::Null, text, "null"),
        ] {
            assert_eq!(shown(value, ty), want);
        }
    }

    #[test]
    fn appended_text_is_escaped_only_where_it_must_be() {
        for text in [
            "",
            "plain",
            "long enough for words, with a quote \" in the ninth",
            "as long, with a control character in the last \u{1f}",
            "ünïcödé and nothing else",
            "one \\ and one \"",
        ] {
            let mut out = b"before ".to_vec();
            write_json_text(&mut out, |out| {
                out.extend_from_slice(text.as_bytes());
                Ok::<_, ()>(true)
            })
            .unwrap();
            let want = format!("before {}", shown(Value::Text(text.into()), Type::Json));
            assert_eq!(out, want.as_bytes());
        }
        let mut out = b"before ".to_vec();
        write_json_text(&mut out, |_| Ok::<_, ()>(false)).unwrap();
        assert_eq!(out, b"before null");
    }

    #[test]
    fn json_is_normalized_as_mysql_does() {
        let text = r#"{"bb":1,"a":[1.50,null,true,"x"],"bb":{"c":{}}}"#;
        let want = r#"{"a": [1.50, null, true, "x"], "bb": {"c": {}}}"#;
        assert_eq!(normalize_json(text).unwrap(), want);
        assert_eq!(normalize_json("[1e20,-1.5e-7]").unwrap(), "[1e20, -1.5e-7]");
        assert_eq!(normalize_json("{"), None);
        assert_eq!(normalize_json(&"[".repeat(10_000)), None);
    }
}
