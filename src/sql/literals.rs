//! Constants.

use sqlparser::ast::{self, DataType, ValueWithSpan};

use super::error::{Refusal, Refused};
use super::expr::{Expr, ExprKind};
use super::tokens::unquote;
use super::typing::{BIGINT, BIGINT_UNSIGNED, example, type_name};
use crate::value::{Collation, Decimal, Type, Value, parse_text};

/// A constant.
pub(super) fn literal(value: &ValueWithSpan) -> Refused<Expr> {
    let made = |value, ty| Ok(Expr::new(ExprKind::Literal(value), ty, false));
    match &value.value {
        ast::Value::Null => {
            Ok(Expr::new(ExprKind::Literal(Value::Null), Type::Text(Collation::Binary), true))
        }
        ast::Value::Boolean(truth) => Ok(Expr::new(ExprKind::Boolean(*truth), BIGINT, false)),
        ast::Value::SingleQuotedString(raw) => {
            made(Value::Text(unquote(raw, '\'').into()), Type::Text(Collation::CONNECTION))
        }
        ast::Value::DoubleQuotedString(raw) => {
            made(Value::Text(unquote(raw, '"').into()), Type::Text(Collation::CONNECTION))
        }
        ast::Value::Number(digits, _) => number(digits).ok_or_else(|| {
            Refusal::at(value.span.start, format!("the number `{digits}` is too large for MySQL"))
        }),
        ast::Value::HexStringLiteral(digits) => bytes(digits, 16)
            .ok_or_else(|| {
                let message = format!(
                    "X'{digits}' is no hexadecimal constant: write an even number of digits 0 to F"
                );
                Refusal::at(value.span.start, message)
            })
            .and_then(|bytes| made(Value::Bytes(bytes.into()), Type::Bytes)),
        ast::Value::SingleQuotedByteStringLiteral(digits) => bytes(digits, 2)
            .ok_or_else(|| {
                let message = format!("B'{digits}' is no binary constant: write digits 0 and 1");
                Refusal::at(value.span.start, message)
            })
            .and_then(|bytes| made(Value::Bytes(bytes.into()), Type::Bytes)),
        other => Err(Refusal::at(
            value.span.start,
            format!("the constant `{other}` is not supported: write a number or a 'string'"),
        )),
    }
}

/// The bytes of a constant in digits of a radix, 16 or 2; bits that are missing in front are zero.
fn bytes(digits: &str, radix: u32) -> Option<Vec<u8>> {
    let per_byte = if radix == 16 { 2 } else { 8 };
    if radix == 16 && digits.len() % 2 == 1 || !digits.is_ascii() {
        return None;
    }
    let chunks = digits.as_bytes().rchunks(per_byte).rev();
    let byte = |chunk: &[u8]| {
        chunk.iter().try_fold(0u8, |byte, digit| {
            let digit = char::from(*digit).to_digit(radix)? as u8;
            Some(byte.wrapping_mul(radix as u8) + digit)
        })
    };
    chunks.map(byte).collect()
}

fn number(digits: &str) -> Option<Expr> {
    let (value, ty) = if digits.contains(['e', 'E']) {
        (Value::Double(digits.parse().ok().filter(|v: &f64| v.is_finite())?), Type::Double)
    } else if let Ok(signed) = digits.parse::<i64>() {
        (Value::Int(signed), BIGINT)
    } else if let Ok(unsigned) = digits.parse::<u64>() {
        (Value::UInt(unsigned), BIGINT_UNSIGNED)
    } else {
        let decimal = Decimal::parse(digits)?;
        let scale = decimal.scale();
        let whole = digits.split('.').next().unwrap_or_default().trim_start_matches('0').len();
        let precision = (u8::try_from(whole).ok()? + scale).max(1);
        (Value::Decimal(decimal), Type::Decimal { precision, scale })
    };
    Some(Expr::new(ExprKind::Literal(value), ty, false))
}

/// `DATE '…'`, `TIME '…'`, `TIMESTAMP '…'`.
pub(super) fn typed_literal(data_type: &DataType, value: &ValueWithSpan) -> Refused<Expr> {
    let text = match &value.value {
        ast::Value::SingleQuotedString(raw) => unquote(raw, '\''),
        other => other.to_string(),
    };
    let fsp = text.split_once('.').map_or(0, |(_, fraction)| fraction.len().min(6) as u8);
    let ty = match data_type {
        DataType::Date => Type::Date,
        DataType::Time(..) => Type::Time { fsp },
        DataType::Timestamp(..) | DataType::Datetime(_) => Type::DateTime { fsp },
        other => {
            let message = format!(
                "the constant {other} '{text}' is not supported: there are DATE, TIME and TIMESTAMP"
            );
            return Err(Refusal::at(value.span.start, message));
        }
    };
    match parse_text(ty, &text) {
        Some(parsed) => Ok(Expr::new(ExprKind::Literal(parsed), ty, false)),
        None => Err(Refusal::at(
            value.span.start,
            format!("'{text}' is no {}: write it as {}", type_name(ty), example(ty)),
        )),
    }
}
