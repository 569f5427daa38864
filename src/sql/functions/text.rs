//! Functions of text.

use super::super::expr::{Expr, ExprKind};
use super::super::operators::joined_text;
use super::{Function, MANY};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "CONCAT", arity: 1..=MANY, build: concat },
    Function { name: "CONCAT_WS", arity: 2..=MANY, build: concat_separated },
];

fn concat(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = joined_text(&arguments)?;
    let nullable = arguments.iter().any(|argument| argument.nullable);
    Ok(Expr::new(ExprKind::Concat(arguments), ty, nullable))
}

fn concat_separated(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = joined_text(&arguments)?;
    let nullable = arguments[0].nullable;
    Ok(Expr::new(ExprKind::ConcatSeparated(arguments), ty, nullable))
}
