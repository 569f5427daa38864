//! CAST.

use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo};

use super::collations::held;
use super::expr::{Derivation, Expr, ExprKind};
use super::functions::json_of;
use super::typing::{
    BIGINT, BIGINT_UNSIGNED, has_text, is_cut_off, is_dated, is_numeric, type_name,
};
use crate::value::{Collation, Type};

/// CAST.
pub(super) fn cast(value: Expr, data_type: &DataType) -> Result<Expr, String> {
    let nullable = value.nullable;
    let numeric =
        is_numeric(value.ty) || matches!(value.ty, Type::Text(_)) || value.is_null_literal();
    let dated = is_dated(value.ty) || value.is_null_literal();
    let from = type_name(value.ty);
    let (ty, fits) = match data_type {
        DataType::Char(length) | DataType::Character(length) => {
            // Converting is what text of another character set is good for.
            if value.ty != Type::Text(Collation::Foreign) {
                has_text(&value)?;
            }
            let limit = match length {
                None => None,
                Some(CharacterLength::IntegerLength { length, .. }) => {
                    usize::try_from(*length).ok()
                }
                Some(CharacterLength::Max) => {
                    return Err(
                        "casts to CHAR(MAX), which MySQL does not have: write CHAR".to_owned()
                    );
                }
            };
            let kind = ExprKind::Text(Box::new(value), limit);
            let text = Expr::new(kind, Type::Text(Collation::CONNECTION), nullable);
            return Ok(held(text, Collation::CONNECTION, Derivation::Implicit));
        }
        DataType::JSON => return json_of(value),
        DataType::Signed | DataType::SignedInteger => (BIGINT, numeric),
        DataType::Unsigned | DataType::UnsignedInteger => (BIGINT_UNSIGNED, numeric),
        DataType::Decimal(info) => (decimal_type(info)?, numeric),
        DataType::Double(ExactNumberInfo::None) | DataType::Real => (Type::Double, numeric),
        DataType::Datetime(fsp) => (Type::DateTime { fsp: fsp.unwrap_or(0).min(6) as u8 }, dated),
        DataType::Timestamp(fsp, TimezoneInfo::None) => {
            (Type::DateTime { fsp: fsp.unwrap_or(0).min(6) as u8 }, dated)
        }
        DataType::Date => (Type::Date, dated),
        DataType::Time(fsp, TimezoneInfo::None) => {
            let timed = dated || matches!(value.ty, Type::Time { .. });
            (Type::Time { fsp: fsp.unwrap_or(0).min(6) as u8 }, timed)
        }
        other => {
            return Err(format!(
                "casts to {other}, which is not supported: there are CHAR, SIGNED, UNSIGNED, DECIMAL(p,s), DOUBLE, DATE, TIME, DATETIME and JSON"
            ));
        }
    };
    if ty.is_integer() && is_cut_off(&value) {
        return Err("casts UNIX_TIMESTAMP with a fraction to a whole number, which MySQL cuts off where it rounds others: write FLOOR(…)".to_owned());
    }
    if !fits {
        return Err(format!(
            "casts {from} to {}, which is not supported: cast a value that is closer to it",
            type_name(ty)
        ));
    }
    // Rounding may go past the last instant.
    let nullable = nullable || matches!(ty, Type::DateTime { .. });
    Ok(Expr::new(ExprKind::Cast(Box::new(value)), ty, nullable))
}

/// What `CONVERT(value, type)` or `CONVERT(value USING charset)` makes of a value.
pub(super) fn converted_type(
    data_type: Option<&DataType>,
    charset: Option<&ObjectName>,
) -> Result<DataType, String> {
    match charset.map(ToString::to_string) {
        Some(name) if !name.trim_matches('`').eq_ignore_ascii_case("utf8mb4") => Err(format!(
            "converts to the character set {name}, which is not supported: write utf8mb4"
        )),
        _ => Ok(data_type.cloned().unwrap_or(DataType::Char(None))),
    }
}

fn decimal_type(info: &ExactNumberInfo) -> Result<Type, String> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (10, 0),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..=65), Ok(scale @ 0..=30)) if scale <= precision => {
            Ok(Type::Decimal { precision, scale })
        }
        _ => Err(format!(
            "casts to DECIMAL({precision},{scale}), which MySQL does not have: at most 65 digits, at most 30 after the point"
        )),
    }
}
