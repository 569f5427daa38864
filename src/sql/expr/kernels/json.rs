//! Functions of JSON, whose values are its normalized text.

use std::borrow::Cow;

use super::super::EvalError;
use crate::value::{
    Type, Value, into_text, json_from_text, json_length, members, write_json_string,
};

type Answer<'v> = Result<Value<'v>, EvalError>;

/// Text read as JSON: CAST(… AS JSON), and what JSON functions do by themselves.
pub(in crate::sql) fn parse_json<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    match &values[0] {
        Value::Text(text) => match json_from_text(text) {
            Some(json) => Ok(Value::Json(Cow::Owned(json))),
            None => Err(EvalError::new(3141, "invalid JSON text".to_owned())),
        },
        value => Ok(value.clone()),
    }
}

/// JSON_VALID.
pub(in crate::sql) fn is_json<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let valid = match &values[0] {
        Value::Json(_) => true,
        Value::Text(text) => json_from_text(text).is_some(),
        _ => false,
    };
    Ok(Value::Int(i64::from(valid)))
}

/// JSON_UNQUOTE: the text of a JSON string; other values are their own text.
pub(in crate::sql) fn unquote_json<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let (Value::Json(text) | Value::Text(text)) = &values[0] else { return Ok(Value::Null) };
    let quoted = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    if !quoted {
        return Ok(Value::Text(text.clone()));
    }
    match serde_json::from_str::<String>(text) {
        Ok(unquoted) => Ok(Value::Text(Cow::Owned(unquoted))),
        Err(_) => Err(EvalError::new(3141, "invalid JSON text".to_owned())),
    }
}

/// JSON_QUOTE.
pub(in crate::sql) fn quote_json<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let Value::Text(text) = &values[0] else { return Ok(Value::Null) };
    let mut json = Vec::with_capacity(text.len() + 2);
    write_json_string(&mut json, text.as_bytes());
    Ok(Value::Text(Cow::Owned(into_text(json))))
}

/// JSON_LENGTH.
pub(in crate::sql) fn length_of_json<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let Value::Json(json) = &values[0] else { return Ok(Value::Null) };
    Ok(Value::Int(json_length(json) as i64))
}

/// JSON_KEYS: NULL of what is no object.
pub(in crate::sql) fn json_keys<'v>(values: &[Value<'v>], _: Type) -> Answer<'v> {
    let json = match &values[0] {
        Value::Json(json) if json.starts_with('{') => json,
        _ => return Ok(Value::Null),
    };
    let names: Vec<&str> = members(json).map(|(name, _)| name).collect();
    Ok(Value::Json(Cow::Owned(format!("[{}]", names.join(", ")))))
}
