//! A schema of Kafka Connect's: as it stands in JSON, as Avro has it, and a value of it in Avro.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value as Json, json};

use crate::value::Decimal;

/// One value's schema.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::source) struct Field {
    /// Whether null may stand for it.
    pub(super) optional: bool,
    /// Whether it may be left out, which is null then.
    pub(super) may_lack: bool,
    pub(super) kind: Kind,
    /// Connect's name of the type, as `io.debezium.time.ZonedTimestamp`.
    pub(super) name: Option<String>,
    /// What is noted beside it.
    pub(super) parameters: Map<String, Json>,
}

/// How a value is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    /// Text in which an escaped comma could be one of ENUM's.
    PlainText,
    /// Text of a number with digits after the point, which no base64 has.
    PointText,
    Bytes,
    Array(Box<Field>),
    Map(Box<Field>),
    Struct(Vec<(String, Field)>),
}

/// A value that is none of its schema: where, from the inside out, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Inexpressible {
    pub(super) path: Vec<String>,
    pub(super) reason: &'static str,
}

/// Connect's name of exact numbers, which are bytes and a scale.
const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";

/// Nested deeper than this, a schema is none.
const DEPTH_MAX: usize = 64;

impl Field {
    pub(super) fn new(kind: Kind) -> Field {
        Field { optional: false, may_lack: false, kind, name: None, parameters: Map::new() }
    }

    pub(super) fn optional(self) -> Field {
        Field { optional: true, ..self }
    }

    pub(super) fn named(self, name: &str) -> Field {
        Field { name: Some(name.to_owned()), ..self }
    }

    /// May be left out.
    pub(super) fn lacking(self) -> Field {
        Field { optional: true, may_lack: true, ..self }
    }
}

/// Reads a schema; what is none, as an error.
pub(super) fn read(json: &Json) -> Result<Field, String> {
    read_within(json, DEPTH_MAX)
}

fn read_within(json: &Json, depth: usize) -> Result<Field, String> {
    let wrong = || json.to_string().chars().take(64).collect::<String>();
    let depth = depth.checked_sub(1).ok_or_else(wrong)?;
    let inner = |name: &str| read_within(&json[name], depth).map(Box::new);
    let kind = match json["type"].as_str().ok_or_else(wrong)? {
        "boolean" => Kind::Boolean,
        "int8" | "int16" | "int32" => Kind::Int,
        "int64" => Kind::Long,
        "float" | "float32" => Kind::Float,
        "double" | "float64" => Kind::Double,
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        "array" => Kind::Array(inner("items")?),
        "map" => Kind::Map(inner("values")?),
        "struct" => {
            let mut fields: Vec<(String, Field)> = Vec::new();
            for field in json["fields"].as_array().ok_or_else(wrong)? {
                let name = field["field"].as_str().ok_or_else(wrong)?.to_owned();
                let mut field = read_within(field, depth)?;
                // The schema says that it is there.
                field.may_lack = field.optional;
                fields.push((name, field));
            }
            Kind::Struct(fields)
        }
        _ => return Err(wrong()),
    };
    Ok(Field {
        optional: json["optional"].as_bool().unwrap_or(false),
        may_lack: false,
        kind,
        name: json["name"].as_str().map(str::to_owned),
        parameters: json["parameters"].as_object().cloned().unwrap_or_default(),
    })
}

/// The same schema for Avro.
pub(super) fn to_avro(field: &Field) -> String {
    avro_of(field, &mut 0).to_string()
}

fn avro_of(field: &Field, records: &mut u32) -> Json {
    let mut avro = match &field.kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Int => json!({"type": "int"}),
        Kind::Long => json!({"type": "long"}),
        Kind::Float => json!({"type": "float"}),
        Kind::Double => json!({"type": "double"}),
        Kind::Text | Kind::PlainText | Kind::PointText => json!({"type": "string"}),
        Kind::Bytes => json!({"type": "bytes"}),
        Kind::Array(items) => json!({"type": "array", "items": avro_of(items, records)}),
        Kind::Map(values) => json!({"type": "map", "values": avro_of(values, records)}),
        Kind::Struct(fields) => {
            *records += 1;
            let name = format!("R{records}");
            let fields: Vec<Json> = fields
                .iter()
                .map(|(name, field)| json!({"name": name, "type": avro_of(field, records)}))
                .collect();
            json!({"type": "record", "name": name, "fields": fields})
        }
    };
    if let Some(name) = &field.name {
        avro["connect.name"] = json!(name);
    }
    if !field.parameters.is_empty() {
        avro["connect.parameters"] = Json::Object(field.parameters.clone());
    }
    match field.optional {
        true => json!(["null", avro]),
        false => avro,
    }
}

/// Writes a value as Avro by [`to_avro`]; `None` where it is left out.
pub(super) fn encode(
    field: &Field,
    value: Option<&Json>,
    out: &mut Vec<u8>,
) -> Result<(), Inexpressible> {
    let wrong = |reason| Err(Inexpressible { path: Vec::new(), reason });
    let value = match value {
        None if !field.may_lack => return wrong("is not there"),
        None | Some(Json::Null) if field.optional => {
            write_number(0, out);
            return Ok(());
        }
        None | Some(Json::Null) => return wrong("is null"),
        Some(value) => value,
    };
    if field.optional {
        write_number(1, out);
    }
    let number = || match value {
        Json::Number(number) => number.as_str().parse::<i64>().ok(),
        Json::Bool(truth) => Some(i64::from(*truth)),
        _ => None,
    };
    match (&field.kind, value) {
        (Kind::Boolean, Json::Bool(truth)) => out.push(u8::from(*truth)),
        (Kind::Int, _) => match number().filter(|number| i32::try_from(*number).is_ok()) {
            Some(number) => write_number(number, out),
            None => return wrong("is no whole number of 32 bits"),
        },
        (Kind::Long, _) => match number() {
            Some(number) => write_number(number, out),
            None => return wrong("is no whole number of 64 bits"),
        },
        (Kind::Float, Json::Number(number)) => match number.as_str().parse::<f32>() {
            Ok(number) if number.is_finite() => out.extend_from_slice(&number.to_le_bytes()),
            _ => return wrong("is out of range"),
        },
        (Kind::Double, Json::Number(number)) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => out.extend_from_slice(&number.to_le_bytes()),
            _ => return wrong("is out of range"),
        },
        (Kind::PlainText, Json::String(text)) if text.contains("\\,") => {
            return wrong(
                "has `\\,`, which the connector writes for a comma of an ENUM, too: only a schema tells",
            );
        }
        (Kind::PointText, Json::String(text)) if !text.contains('.') => {
            return wrong("is no decimal text: set decimal.handling.mode=string in the connector");
        }
        (Kind::PointText, Json::Number(_)) => {
            return wrong(
                "is a number, which may have been rounded: set decimal.handling.mode=string in the connector",
            );
        }
        (Kind::Text | Kind::PlainText | Kind::PointText, Json::String(text)) => {
            write_bytes(text.as_bytes(), out)
        }
        (Kind::Bytes, Json::String(text)) => match BASE64_STANDARD.decode(text) {
            Ok(bytes) => write_bytes(&bytes, out),
            Err(_) => return wrong("is no base64"),
        },
        // decimal.format=NUMERIC of the converter.
        (Kind::Bytes, Json::Number(number)) if field.name.as_deref() == Some(DECIMAL) => {
            match digits(field, number.as_str()) {
                Some(digits) => write_bytes(&digits, out),
                None => return wrong("is no number of its scale"),
            }
        }
        (Kind::Array(items), Json::Array(values)) => {
            if !values.is_empty() {
                write_number(values.len() as i64, out);
            }
            for (at, value) in values.iter().enumerate() {
                encode(items, Some(value), out).map_err(|wrong| wrong.within(&at.to_string()))?;
            }
            write_number(0, out);
        }
        (Kind::Map(kind), Json::Object(members)) => {
            if !members.is_empty() {
                write_number(members.len() as i64, out);
            }
            for (name, value) in members {
                write_bytes(name.as_bytes(), out);
                encode(kind, Some(value), out).map_err(|wrong| wrong.within(name))?;
            }
            write_number(0, out);
        }
        (Kind::Struct(fields), Json::Object(members)) => {
            for (name, field) in fields {
                encode(field, members.get(name), out).map_err(|wrong| wrong.within(name))?;
            }
        }
        _ => return wrong("is of another type"),
    }
    Ok(())
}

impl Inexpressible {
    fn within(mut self, member: &str) -> Inexpressible {
        self.path.push(member.to_owned());
        self
    }
}

/// The digits of an exact number at its field's scale.
fn digits(field: &Field, text: &str) -> Option<[u8; 32]> {
    let scale = field.parameters.get("scale")?.as_str()?.parse().ok()?;
    let number = Decimal::parse(text)?;
    let scaled = number.rescale(scale).filter(|scaled| *scaled == number)?;
    Some(scaled.unscaled().to_be_bytes())
}

/// Zigzag, seven bits a byte.
fn write_number(number: i64, out: &mut Vec<u8>) {
    let mut rest = (number.wrapping_shl(1) ^ (number >> 63)) as u64;
    while rest > 0x7F {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_number(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}
