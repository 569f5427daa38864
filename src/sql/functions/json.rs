//! Functions of JSON.

use super::super::expr::{CompareOp, Expr, ExprKind, kernels};
use super::super::operators::compare;
use super::super::typing::{BIGINT, BOOLEAN, has_element, has_text, type_name};
use super::{Function, MANY, constant, kernel};
use crate::value::{Collation, JsonPath, Type, Value, write_json_string};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "JSON_ARRAY", arity: 0..=MANY, build: json_array },
    Function { name: "JSON_EXTRACT", arity: 2..=MANY, build: json_extract },
    Function { name: "JSON_KEYS", arity: 1..=2, build: json_keys },
    Function { name: "JSON_LENGTH", arity: 1..=2, build: json_length },
    Function { name: "JSON_OBJECT", arity: 0..=MANY, build: json_object },
    Function { name: "JSON_QUOTE", arity: 1..=1, build: json_quote },
    Function { name: "JSON_UNQUOTE", arity: 1..=1, build: json_unquote },
    Function { name: "JSON_VALID", arity: 1..=1, build: json_valid },
];

/// Text that comes out of JSON, of the collation utf8mb4_bin.
const TEXT: Type = Type::Text(Collation::Padded);

fn json_array(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    arguments.iter().try_for_each(has_element)?;
    Ok(Expr::new(ExprKind::JsonArray(arguments), Type::Json, false))
}

fn json_object(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    if arguments.len() % 2 == 1 {
        return Err("has a name without a value: write names and values in turn".to_owned());
    }
    for pair in arguments.chunks_exact(2) {
        has_text(&pair[0])?;
        has_element(&pair[1])?;
    }
    let names = arguments.iter().step_by(2);
    let constant = |name: &Expr| matches!(name.kind, ExprKind::Literal(Value::Text(_)));
    let kind = match names.clone().all(constant) {
        true => ExprKind::JsonObject(named_members(arguments)),
        false => ExprKind::JsonObjectOf(arguments),
    };
    Ok(Expr::new(kind, Type::Json, false))
}

/// MySQL orders an object's names by length, then bytes, and keeps the last of equal names.
fn named_members(arguments: Vec<Expr>) -> Vec<(Vec<u8>, Expr)> {
    let mut members: Vec<(String, Expr)> = Vec::new();
    let mut arguments = arguments.into_iter();
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        let ExprKind::Literal(Value::Text(name)) = name.kind else { continue };
        members.retain(|(other, _)| *other != name);
        members.push((name.into_owned(), value));
    }
    members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    let members = members.into_iter().map(|(name, value)| {
        let mut json = Vec::new();
        write_json_string(&mut json, name);
        (json, value)
    });
    members.collect()
}

fn json_extract(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let paths = arguments.split_off(1);
    extracted(arguments.remove(0), &paths)
}

fn json_keys(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let inside = inside(arguments)?;
    if let ExprKind::JsonExtract(_, paths) = &inside.kind
        && paths.iter().any(JsonPath::is_wild)
    {
        return Err("asks several values for their names, which is MySQL's error 3149: write a path without *".to_owned());
    }
    let keys = kernel("JSON_KEYS", kernels::json_keys, vec![inside], Type::Json);
    Ok(Expr { nullable: true, ..keys })
}

fn json_length(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    Ok(kernel("JSON_LENGTH", kernels::length_of_json, vec![inside(arguments)?], BIGINT))
}

fn json_quote(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    match arguments[0].ty {
        Type::Text(_) => Ok(kernel("JSON_QUOTE", kernels::quote_json, arguments, TEXT)),
        ty => Err(format!("quotes {}: write text, or CAST(… AS CHAR)", type_name(ty))),
    }
}

fn json_unquote(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    match arguments[0].ty {
        Type::Text(_) | Type::Json => {
            Ok(kernel("JSON_UNQUOTE", kernels::unquote_json, arguments, TEXT))
        }
        ty => Err(format!("unquotes {}: write JSON or text", type_name(ty))),
    }
}

fn json_valid(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    match arguments[0].ty {
        Type::Text(_) | Type::Json => {
            let valid = kernel("JSON_VALID", kernels::is_json, arguments, BIGINT);
            compare(CompareOp::Equal, valid, constant(1))
        }
        // Whatever its value, NULL included.
        _ => Ok(Expr::new(ExprKind::Boolean(false), BOOLEAN, false)),
    }
}

/// JSON, or what a path leads to in it.
fn inside(mut arguments: Vec<Expr>) -> Result<Expr, String> {
    let paths = arguments.split_off(1);
    let json = arguments.remove(0);
    if paths.is_empty() { json_of(json) } else { extracted(json, &paths) }
}

fn extracted(json: Expr, paths: &[Expr]) -> Result<Expr, String> {
    let paths = paths.iter().map(path).collect::<Result<Vec<_>, _>>()?;
    let kind = ExprKind::JsonExtract(Box::new(json_of(json)?), paths);
    Ok(Expr::new(kind, Type::Json, true))
}

fn path(path: &Expr) -> Result<JsonPath, String> {
    match &path.kind {
        ExprKind::Literal(Value::Text(path)) => {
            JsonPath::parse(path).map_err(|why| format!("has the path '{path}', which {why}"))
        }
        _ => Err("has a path that is no constant: write it as '$.name'".to_owned()),
    }
}

/// JSON, also read from text.
pub(in super::super) fn json_of(value: Expr) -> Result<Expr, String> {
    match value.ty {
        _ if value.is_null_literal() => Err("takes NULL for JSON: write NULL itself".to_owned()),
        Type::Json => Ok(value),
        Type::Text(_) => Ok(kernel("CAST AS JSON", kernels::parse_json, vec![value], Type::Json)),
        ty => Err(format!("takes {} for JSON: write a JSON column, or text", type_name(ty))),
    }
}
