//! The functions that views can use. To add one: a row in the table of its kind, and a kernel in
//! `expr/kernels` if it is a plain function of its arguments' values.

mod choice;
mod dates;
mod hashes;
mod json;
mod numbers;
mod text;

use std::ops::RangeInclusive;

pub(super) use json::json_of;
pub(super) use text::{like, trim};

use super::expr::{Compute, Expr, ExprKind, Kernel};
use super::typing::BIGINT;
use crate::value::{Type, Value};

/// A function of SQL.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How many arguments it takes.
    pub(super) arity: RangeInclusive<usize>,
    /// Types a call, or says why it cannot. `sql` is the call as written.
    pub(super) build: fn(Vec<Expr>, sql: String) -> Result<Expr, String>,
}

const MANY: usize = 1000;

/// All of them.
const KINDS: [&[Function]; 6] = [
    choice::FUNCTIONS,
    dates::FUNCTIONS,
    hashes::FUNCTIONS,
    json::FUNCTIONS,
    numbers::FUNCTIONS,
    text::FUNCTIONS,
];

/// The function of this name, in upper case.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    KINDS.into_iter().flatten().find(|function| function.name == name)
}

/// The names of all functions, in order.
pub(super) fn function_names() -> Vec<&'static str> {
    let mut names: Vec<_> = KINDS.into_iter().flatten().map(|function| function.name).collect();
    names.sort_unstable();
    names
}

/// A call of a function that is NULL when an argument is.
pub(super) fn kernel(name: &'static str, compute: Compute, arguments: Vec<Expr>, ty: Type) -> Expr {
    let nullable = arguments.iter().any(|argument| argument.nullable);
    Expr::new(ExprKind::Call(Kernel { name, compute }, arguments), ty, nullable)
}

/// A whole number that a function needs to know beside its arguments.
pub(super) fn constant(number: i64) -> Expr {
    Expr::new(ExprKind::Literal(Value::Int(number)), BIGINT, false)
}
