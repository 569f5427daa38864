//! Functions of JSON.

use super::super::expr::{Expr, ExprKind};
use super::super::typing::has_element;
use super::{Function, MANY};
use crate::value::{Type, Value, write_json_string};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "JSON_ARRAY", arity: 0..=MANY, build: json_array },
    Function { name: "JSON_OBJECT", arity: 0..=MANY, build: json_object },
];

fn json_array(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    arguments.iter().try_for_each(has_element)?;
    Ok(Expr::new(ExprKind::JsonArray(arguments), Type::Json, false))
}

/// MySQL orders an object's names by length, then bytes, and keeps the last of equal names.
fn json_object(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    if arguments.len() % 2 == 1 {
        return Err("has a name without a value: write names and values in turn".to_owned());
    }
    let mut members: Vec<(String, Expr)> = Vec::new();
    let mut arguments = arguments.into_iter();
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        let ExprKind::Literal(Value::Text(name)) = &name.kind else {
            return Err("has a name that is no string constant: write 'name'".to_owned());
        };
        has_element(&value)?;
        members.retain(|(other, _)| other != name);
        members.push((name.to_string(), value));
    }
    members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    let members = members.into_iter().map(|(name, value)| {
        let mut json = Vec::new();
        write_json_string(&mut json, name);
        (json, value)
    });
    Ok(Expr::new(ExprKind::JsonObject(members.collect()), Type::Json, false))
}
