//! Hashes.

use super::super::expr::{Compute, Expr, ExprKind, kernels};
use super::super::typing::{BIGINT_UNSIGNED, has_text, type_name};
use super::{Function, constant, kernel};
use crate::value::{Collation, Type, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "CRC32", arity: 1..=1, build: crc32 },
    Function { name: "MD5", arity: 1..=1, build: |a, _| of_text("MD5", kernels::md5, a) },
    Function { name: "SHA", arity: 1..=1, build: |a, _| of_text("SHA1", kernels::sha1, a) },
    Function { name: "SHA1", arity: 1..=1, build: |a, _| of_text("SHA1", kernels::sha1, a) },
    Function { name: "SHA2", arity: 2..=2, build: sha2 },
];

const DIGITS: Type = Type::Text(Collation::CONNECTION);

fn crc32(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let arguments = arguments.into_iter().map(bytes_of).collect::<Result<Vec<_>, _>>()?;
    Ok(kernel("CRC32", kernels::crc32, arguments, BIGINT_UNSIGNED))
}

/// MD5 and SHA1 take nothing else since MySQL 9.6, where a component has them.
fn of_text(name: &'static str, compute: Compute, arguments: Vec<Expr>) -> Result<Expr, String> {
    match arguments[0].ty {
        Type::Text(_) => {
            has_text(&arguments[0])?;
            Ok(kernel(name, compute, arguments, DIGITS))
        }
        Type::Bytes => Ok(kernel(name, compute, arguments, DIGITS)),
        ty => Err(format!("hashes {}: write CAST(… AS CHAR) inside", type_name(ty))),
    }
}

fn sha2(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let bits = arguments.pop().map(|bits| bits.kind);
    let Some(ExprKind::Literal(Value::Int(bits @ (0 | 224 | 256 | 384 | 512)))) = bits else {
        return Err("has a length that is none of 224, 256, 384 and 512".to_owned());
    };
    if arguments.iter().any(is_extreme) {
        return Err("hashes text that GREATEST or LEAST finds, of which MySQL hashes another: write SHA2(CONCAT(…), …)".to_owned());
    }
    let mut arguments = arguments.into_iter().map(bytes_of).collect::<Result<Vec<_>, _>>()?;
    arguments.push(constant(bits));
    Ok(kernel("SHA2", kernels::sha2, arguments, DIGITS))
}

/// Whether it is what GREATEST or LEAST finds, as it is: MySQL's SHA2 overwrites one of their texts.
fn is_extreme(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Call(kernel, _) if matches!(kernel.name, "GREATEST" | "LEAST") => true,
        ExprKind::Concat(_) | ExprKind::Column { .. } | ExprKind::Compare(_) => false,
        _ => value.children().into_iter().any(is_extreme),
    }
}

/// Bytes as they are, anything else as text.
fn bytes_of(value: Expr) -> Result<Expr, String> {
    if value.ty == Type::Bytes {
        return Ok(value);
    }
    has_text(&value)?;
    if matches!(value.ty, Type::Text(_)) {
        return Ok(value);
    }
    let nullable = value.nullable;
    Ok(Expr::new(ExprKind::Text(Box::new(value), None), DIGITS, nullable))
}
