//! Values as JSON: in documents, and as MySQL prints its own JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Type, Value, write_datetime, write_double, write_float, write_shown, write_time};

/// Appends a value as it stands in a document: decimals and instants as strings, bytes as base64,
/// JSON as itself. Text is escaped; numbers that JSON lacks become null.
pub fn write_json(out: &mut String, value: &Value<'_>, ty: Type) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Int(v) => out.push_str(itoa::Buffer::new().format(*v)),
        Value::UInt(v) => out.push_str(itoa::Buffer::new().format(*v)),
        Value::Float(v) if v.is_finite() => write_float(out, *v),
        Value::Double(v) if v.is_finite() => write_double(out, *v),
        Value::Float(_) | Value::Double(_) => out.push_str("null"),
        Value::Text(v) => write_json_string(out, v),
        Value::Json(v) => out.push_str(v),
        Value::Bytes(v) => {
            out.push('"');
            BASE64_STANDARD.encode_string(v, out);
            out.push('"');
        }
        Value::Decimal(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::DateTime(_)
        | Value::Timestamp(_) => {
            out.push('"');
            write_shown(out, value, ty);
            out.push('"');
        }
    }
}

/// Appends a value as MySQL makes it an element of JSON (in JSON_ARRAYAGG, JSON_OBJECT): decimals
/// are numbers, doubles keep a point, instants are strings with six fractional digits.
pub fn write_json_element(out: &mut String, value: &Value<'_>, ty: Type) {
    match value {
        Value::Decimal(_) => write_shown(out, value, ty),
        Value::Float(v) => write_json_double(out, f64::from(*v)),
        Value::Double(v) => write_json_double(out, *v),
        Value::Time(v) => {
            out.push('"');
            write_time(out, *v, 6);
            out.push('"');
        }
        Value::DateTime(v) | Value::Timestamp(v) => {
            out.push('"');
            write_datetime(out, *v, 6, ' ');
            out.push('"');
        }
        _ => write_json(out, value, ty),
    }
}

fn write_json_double(out: &mut String, number: f64) {
    let start = out.len();
    write_double(out, number);
    if out[start..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        out.push_str(".0");
    }
}

/// Appends a JSON string with the escapes that MySQL writes.
pub fn write_json_string(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let mut rest = text;
    while let Some(at) = first_to_escape(rest.as_bytes()) {
        let byte = rest.as_bytes()[at];
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        out.push('\\');
        match byte {
            b'"' | b'\\' => out.push(char::from(byte)),
            0x08 => out.push('b'),
            b'\t' => out.push('t'),
            b'\n' => out.push('n'),
            0x0C => out.push('f'),
            b'\r' => out.push('r'),
            _ => {
                out.push_str("u00");
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends a JSON string of the text that `append` appends, or null if that says there is none.
///
/// # Errors
/// Those of `append`; what was appended then means nothing.
pub fn write_json_text<E>(
    out: &mut String,
    append: impl FnOnce(&mut String) -> Result<bool, E>,
) -> Result<(), E> {
    let quote = out.len();
    out.push('"');
    if !append(out)? {
        out.truncate(quote);
        out.push_str("null");
    } else if first_to_escape(&out.as_bytes()[quote + 1..]).is_none() {
        out.push('"');
    } else {
        let text = out.split_off(quote + 1);
        out.truncate(quote);
        write_json_string(out, &text);
    }
    Ok(())
}

/// The first byte that a JSON string cannot hold as it is: eight at a time, as almost none is.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    let escaped = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let mut chunks = bytes.chunks_exact(8);
    let mut start = 0;
    for chunk in &mut chunks {
        if chunk.iter().fold(false, |any, byte| any | escaped(byte)) {
            return chunk.iter().position(escaped).map(|at| start + at);
        }
        start += 8;
    }
    chunks.remainder().iter().position(escaped).map(|at| start + at)
}

/// JSON text as MySQL prints it: `", "` and `": "` between, an object's keys by length and then
/// bytes, the last of equal keys. Number literals stay as they are. `None` if it is not JSON or
/// nested too deeply.
pub fn normalize_json(text: &str) -> Option<String> {
    let parsed: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len() + 16);
    write_normalized(&mut out, &parsed);
    Some(out)
}

fn write_normalized(out: &mut String, json: &serde_json::Value) {
    match json {
        serde_json::Value::Null => out.push_str("null"),
        serde_json::Value::Bool(true) => out.push_str("true"),
        serde_json::Value::Bool(false) => out.push_str("false"),
        // serde_json writes a plus before a positive exponent, MySQL does not.
        serde_json::Value::Number(number) => match number.as_str().split_once("e+") {
            Some((digits, exponent)) => {
                out.push_str(digits);
                out.push('e');
                out.push_str(exponent);
            }
            None => out.push_str(number.as_str()),
        },
        serde_json::Value::String(text) => write_json_string(out, text),
        serde_json::Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_normalized(out, item);
            }
            out.push(']');
        }
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| (name.len(), name.as_bytes()));
            out.push('{');
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_json_string(out, name);
                out.push_str(": ");
                write_normalized(out, member);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Collation, Decimal};
    use super::*;

    fn shown(value: Value<'_>, ty: Type) -> String {
        let mut out = String::new();
        write_json(&mut out, &value, ty);
        out
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
        for text in ["", "plain", "long enough for words, with a quote \" in the ninth"] {
            let mut out = String::from("before ");
            write_json_text(&mut out, |out| {
                out.push_str(text);
                Ok::<_, ()>(true)
            })
            .unwrap();
            assert_eq!(out, format!("before {}", shown(Value::Text(text.into()), Type::Json)));
        }
        let mut out = String::from("before ");
        write_json_text(&mut out, |_| Ok::<_, ()>(false)).unwrap();
        assert_eq!(out, "before null");
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
