//! Functions of days and instants.

use super::super::expr::{DateFormat, Expr, ExprKind};
use super::super::typing::{is_dated, type_name};
use super::Function;
use crate::value::{Collation, Type, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "DATE", arity: 1..=1, build: date },
    Function { name: "DATE_FORMAT", arity: 2..=2, build: date_format },
];

fn date(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let argument = arguments.remove(0);
    if !is_dated(argument.ty) {
        return Err(format!(
            "takes the date of {}: write a DATE, DATETIME or TIMESTAMP",
            type_name(argument.ty)
        ));
    }
    let nullable = argument.nullable;
    Ok(Expr::new(ExprKind::Cast(Box::new(argument)), Type::Date, nullable))
}

fn date_format(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let (format, value) = (arguments.pop(), arguments.pop());
    let (Some(value), Some(format)) = (value, format) else {
        return Err("takes an instant and a format".to_owned());
    };
    let ExprKind::Literal(Value::Text(format)) = &format.kind else {
        return Err("has a format that is no constant: write it as '%Y-%m-%d'".to_owned());
    };
    if format.is_empty() {
        return Err("has an empty format, which gives NULL: write it as '%Y-%m-%d'".to_owned());
    }
    if !is_dated(value.ty) {
        return Err(format!(
            "formats {}: write a DATE, DATETIME or TIMESTAMP",
            type_name(value.ty)
        ));
    }
    let nullable = value.nullable;
    let kind = ExprKind::DateFormat(Box::new(value), DateFormat::parse(format));
    Ok(Expr::new(kind, Type::Text(Collation::Other), nullable))
}
