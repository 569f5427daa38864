//! SQL expressions become typed ones.

use sqlparser::ast::{
    self, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, CharacterLength, DataType,
    ExactNumberInfo, Spanned, TimezoneInfo, UnaryOperator, ValueWithSpan,
};

use super::error::{Refusal, Refused};
use super::expr::{ArithmeticOp, CompareOp, Expr, ExprKind};
use super::functions::{calculate, case, compare, negative};
use super::names::{NamedColumn, Names};
use super::tokens::unquote;
use super::tree::Planner;
use super::typing::{
    BIGINT, BIGINT_UNSIGNED, BOOLEAN, has_text, is_condition, is_dated, is_numeric, text_collation,
    type_name,
};
use crate::value::{Collation, Decimal, Type, Value, parse_text};

impl Planner<'_> {
    /// Types an expression.
    pub(super) fn expr(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Refused<Expr> {
        match sql {
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => {
                let column = column(sql, names)?;
                if column.zerofill {
                    let message = format!(
                        "column `{}` is ZEROFILL, which MySQL prints with leading zeros: declare it without",
                        column.name
                    );
                    return Err(Refusal::on(sql, message));
                }
                value_of(sql, column)
            }
            ast::Expr::Nested(inner) => self.expr(inner, names),
            ast::Expr::Value(value) => literal(value),
            ast::Expr::TypedString(typed) => typed_literal(&typed.data_type, &typed.value),
            ast::Expr::Prefixed { prefix, value }
                if prefix.value.eq_ignore_ascii_case("_utf8mb4") =>
            {
                self.expr(value, names)
            }
            ast::Expr::UnaryOp { op, expr } => self.unary(sql, *op, expr, names),
            ast::Expr::BinaryOp { left, op, right } => self.binary(sql, left, op, right, names),
            ast::Expr::IsNull(inner) => self.is_null(inner, false, names),
            ast::Expr::IsNotNull(inner) => self.is_null(inner, true, names),
            ast::Expr::IsTrue(inner) => self.is_truth(inner, true, false, names),
            ast::Expr::IsNotTrue(inner) => self.is_truth(inner, true, true, names),
            ast::Expr::IsFalse(inner) => self.is_truth(inner, false, false, names),
            ast::Expr::IsNotFalse(inner) => self.is_truth(inner, false, true, names),
            ast::Expr::IsUnknown(inner) => self.is_null(inner, false, names),
            ast::Expr::IsNotUnknown(inner) => self.is_null(inner, true, names),
            ast::Expr::Between { expr, negated, low, high } => {
                operand_is_plain(expr)?;
                let value = self.expr(expr, names)?;
                let (low, high) = (self.expr(low, names)?, self.expr(high, names)?);
                let above = compare(CompareOp::GreaterOrEqual, value.clone(), low);
                let below = compare(CompareOp::LessOrEqual, value, high);
                let (above, below) = (refused(sql, above)?, refused(sql, below)?);
                Ok(not_if(*negated, junction(ExprKind::And, vec![above, below])))
            }
            ast::Expr::InList { expr, list, negated } => {
                operand_is_plain(expr)?;
                let value = self.expr(expr, names)?;
                let equal = list.iter().map(|item| {
                    let right = self.expr(item, names)?;
                    refused(item, compare(CompareOp::Equal, value.clone(), right))
                });
                let equal = equal.collect::<Refused<Vec<_>>>()?;
                Ok(not_if(*negated, junction(ExprKind::Or, equal)))
            }
            ast::Expr::Case { operand, conditions, else_result, .. } => {
                self.case(sql, operand.as_deref(), conditions, else_result.as_deref(), names)
            }
            ast::Expr::Cast { kind: CastKind::Cast, expr, data_type, .. } => {
                let value = self.expr(expr, names)?;
                refused(sql, cast(value, data_type))
            }
            ast::Expr::Collate { expr, collation } => {
                let value = self.expr(expr, names)?;
                refused(sql, collated(value, &collation.to_string()))
            }
            ast::Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(_) } => {
                self.named_function(sql, "CEIL", &[expr], names)
            }
            ast::Expr::Floor { expr, field: CeilFloorKind::DateTimeField(_) } => {
                self.named_function(sql, "FLOOR", &[expr], names)
            }
            ast::Expr::Function(function) => self.function(sql, function, names),
            ast::Expr::Subquery(query) => self.scalar_subquery(query, names),
            other => Err(unsupported(other)),
        }
    }

    /// A condition: an expression whose truth is asked.
    pub(super) fn condition(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Refused<Expr> {
        let condition = self.expr(sql, names)?;
        refused(sql, is_condition(&condition))?;
        Ok(condition)
    }

    fn unary(
        &mut self,
        sql: &ast::Expr,
        op: UnaryOperator,
        inner: &ast::Expr,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let value = self.expr(inner, names)?;
        match op {
            UnaryOperator::Plus => Ok(value),
            UnaryOperator::Not => {
                refused(inner, is_condition(&value))?;
                Ok(not_if(true, value))
            }
            UnaryOperator::Minus => match &value.kind {
                // 2^63 has no positive BIGINT, but a negative one.
                ExprKind::Literal(Value::UInt(v)) if *v == 1 << 63 => {
                    Ok(Expr::new(ExprKind::Literal(Value::Int(i64::MIN)), BIGINT, false))
                }
                ExprKind::Literal(Value::Int(v)) => {
                    Ok(Expr::new(ExprKind::Literal(Value::Int(-v)), BIGINT, false))
                }
                _ => refused(sql, negative(value)),
            },
            other => Err(Refusal::on(
                inner,
                format!(
                    "the operator `{other}` is not supported: write NOT for `!`, or leave it out"
                ),
            )),
        }
    }

    fn binary(
        &mut self,
        sql: &ast::Expr,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            let (left, right) = (self.condition(left, names)?, self.condition(right, names)?);
            let kind = if *op == BinaryOperator::And { ExprKind::And } else { ExprKind::Or };
            return Ok(junction(kind, vec![left, right]));
        }
        let comparison = match op {
            BinaryOperator::Eq => Some(CompareOp::Equal),
            BinaryOperator::Spaceship => Some(CompareOp::NullSafeEqual),
            BinaryOperator::NotEq => Some(CompareOp::NotEqual),
            BinaryOperator::Lt => Some(CompareOp::Less),
            BinaryOperator::LtEq => Some(CompareOp::LessOrEqual),
            BinaryOperator::Gt => Some(CompareOp::Greater),
            BinaryOperator::GtEq => Some(CompareOp::GreaterOrEqual),
            _ => None,
        };
        let arithmetic = match op {
            BinaryOperator::Plus => Some(ArithmeticOp::Add),
            BinaryOperator::Minus => Some(ArithmeticOp::Subtract),
            BinaryOperator::Multiply => Some(ArithmeticOp::Multiply),
            BinaryOperator::Divide => Some(ArithmeticOp::Divide),
            BinaryOperator::MyIntegerDivide => Some(ArithmeticOp::DivideWhole),
            BinaryOperator::Modulo => Some(ArithmeticOp::Remainder),
            _ => None,
        };
        if comparison.is_none() && arithmetic.is_none() {
            let way_out = match op {
                BinaryOperator::StringConcat => {
                    "MySQL reads it as OR: write OR, or CONCAT(…) for text"
                }
                BinaryOperator::Arrow | BinaryOperator::LongArrow => {
                    "taking JSON apart comes later: store what is needed in a column of its own"
                }
                _ => "there are + - * / DIV % = <=> <> < <= > >= AND OR NOT",
            };
            return Err(Refusal::on(
                sql,
                format!("the operator `{op}` is not supported: {way_out}"),
            ));
        }
        let (left, right) = (self.expr(left, names)?, self.expr(right, names)?);
        match (comparison, arithmetic) {
            (Some(op), _) => refused(sql, compare(op, left, right)),
            (_, Some(op)) => refused(sql, calculate(op, left, right, sql.to_string())),
            (None, None) => Err(unsupported(sql)),
        }
    }

    fn is_null(&mut self, inner: &ast::Expr, negated: bool, names: &Names<'_>) -> Refused<Expr> {
        let value = match inner {
            // What a column holds does not matter here, so none is refused.
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => {
                value_of(inner, column(inner, names)?)?
            }
            _ => self.expr(inner, names)?,
        };
        let is_null = Expr::new(ExprKind::IsNull(Box::new(value)), BOOLEAN, false);
        Ok(not_if(negated, is_null))
    }

    /// `IS [NOT] TRUE` and `IS [NOT] FALSE`.
    fn is_truth(
        &mut self,
        inner: &ast::Expr,
        truth: bool,
        negated: bool,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let value = not_if(!truth, self.condition(inner, names)?);
        let is_true = Expr::new(ExprKind::IsTrue(Box::new(value)), BOOLEAN, false);
        Ok(not_if(negated, is_true))
    }

    fn case(
        &mut self,
        sql: &ast::Expr,
        operand: Option<&ast::Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&ast::Expr>,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let operand = operand.map(|operand| self.expr(operand, names)).transpose()?;
        let branches = conditions.iter().map(|when| {
            let condition = self.expr(&when.condition, names)?;
            let condition = match &operand {
                Some(operand) => {
                    let equal = compare(CompareOp::Equal, operand.clone(), condition);
                    refused(&when.condition, equal)?
                }
                None => condition,
            };
            Ok((condition, self.expr(&when.result, names)?))
        });
        let branches = branches.collect::<Refused<Vec<_>>>()?;
        let otherwise = otherwise.map(|otherwise| self.expr(otherwise, names)).transpose()?;
        refused(sql, case(branches, otherwise))
    }
}

/// The column that an expression names, if it is but a name.
pub(super) fn column<'n>(sql: &ast::Expr, names: &'n Names<'_>) -> Refused<&'n NamedColumn> {
    match sql {
        ast::Expr::Identifier(name) if name.value.starts_with('@') => Err(Refusal::on(
            sql,
            format!(
                "the variable `{}` changes without any row changing: write a constant or a column",
                name.value
            ),
        )),
        ast::Expr::Identifier(name) => names.column(None, name),
        ast::Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [qualifier, name] => names.column(Some(qualifier), name),
            _ => Err(Refusal::on(sql, format!("`{sql}` names a database: write table.column"))),
        },
        _ => Err(unsupported(sql)),
    }
}

/// The value of a named column, unless views cannot read it.
pub(super) fn value_of(sql: &ast::Expr, column: &NamedColumn) -> Refused<Expr> {
    column.value.clone().map_err(|why| Refusal::on(sql, format!("column `{}` {why}", column.name)))
}

/// A reason with its place.
pub(super) fn refused<T>(sql: &impl Spanned, result: Result<T, String>) -> Refused<T> {
    result.map_err(|why| Refusal::on(sql, why))
}

/// AND or OR, flattened.
pub(super) fn junction(kind: fn(Vec<Expr>) -> ExprKind, parts: Vec<Expr>) -> Expr {
    let nullable = parts.iter().any(|part| part.nullable);
    Expr::new(kind(parts), BOOLEAN, nullable)
}

fn not_if(negated: bool, value: Expr) -> Expr {
    if !negated {
        return value;
    }
    let nullable = value.nullable;
    Expr::new(ExprKind::Not(Box::new(value)), BOOLEAN, nullable)
}

/// `a = b IN (…)` groups differently in MySQL than it reads here.
fn operand_is_plain(operand: &ast::Expr) -> Refused<()> {
    match operand {
        ast::Expr::BinaryOp {
            op:
                BinaryOperator::Eq
                | BinaryOperator::Spaceship
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq,
            ..
        } => Err(Refusal::on(
            operand,
            "a comparison before IN or BETWEEN: put parentheses around what belongs together",
        )),
        _ => Ok(()),
    }
}

fn unsupported(sql: &ast::Expr) -> Refusal {
    let message = match sql {
        ast::Expr::Exists { .. } => {
            "EXISTS is not supported: write (SELECT COUNT(*) FROM … WHERE …) > 0".to_owned()
        }
        ast::Expr::InSubquery { .. } => {
            "IN (SELECT …) is not supported: write (SELECT COUNT(*) FROM … WHERE …) > 0".to_owned()
        }
        ast::Expr::Like { .. } | ast::Expr::RLike { .. } | ast::Expr::ILike { .. } => {
            "LIKE and REGEXP depend on a collation that is not exact here yet: compare a number, or text COLLATE utf8mb4_0900_bin with =".to_owned()
        }
        ast::Expr::Interval(_) => {
            "INTERVAL is not supported: select the instant, and calculate where it is read".to_owned()
        }
        other => format!("`{other}` is not supported in a view: select the columns it needs instead"),
    };
    Refusal::on(sql, message)
}

/// A constant.
fn literal(value: &ValueWithSpan) -> Refused<Expr> {
    let made = |value, ty| Ok(Expr::new(ExprKind::Literal(value), ty, false));
    match &value.value {
        ast::Value::Null => {
            Ok(Expr::new(ExprKind::Literal(Value::Null), Type::Text(Collation::Binary), true))
        }
        ast::Value::Boolean(truth) => Ok(Expr::new(ExprKind::Boolean(*truth), BIGINT, false)),
        ast::Value::SingleQuotedString(raw) => {
            made(Value::Text(unquote(raw, '\'').into()), Type::Text(Collation::Other))
        }
        ast::Value::DoubleQuotedString(raw) => {
            made(Value::Text(unquote(raw, '"').into()), Type::Text(Collation::Other))
        }
        ast::Value::Number(digits, _) => number(digits).ok_or_else(|| {
            Refusal::at(value.span.start, format!("the number `{digits}` is too large for MySQL"))
        }),
        other => Err(Refusal::at(
            value.span.start,
            format!("the constant `{other}` is not supported: write a number or a 'string'"),
        )),
    }
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
fn typed_literal(data_type: &DataType, value: &ValueWithSpan) -> Refused<Expr> {
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
            format!("'{text}' is no {}: write it as '2024-09-02 17:21:02'", type_name(ty)),
        )),
    }
}

/// CAST.
fn cast(value: Expr, data_type: &DataType) -> Result<Expr, String> {
    let nullable = value.nullable;
    let numeric = is_numeric(value.ty) || value.is_null_literal();
    let dated = is_dated(value.ty) || value.is_null_literal();
    let from = type_name(value.ty);
    let (ty, fits) = match data_type {
        DataType::Char(length) | DataType::Character(length) => {
            has_text(&value)?;
            let limit = match length {
                None => None,
                Some(CharacterLength::IntegerLength { length, .. }) => {
                    usize::try_from(*length).ok()
                }
                Some(CharacterLength::Max) => {
                    return Err("CHAR(MAX) is not MySQL: write CHAR".to_owned());
                }
            };
            let collation = text_collation(&[&value]);
            let kind = ExprKind::Text(Box::new(value), limit);
            return Ok(Expr::new(kind, Type::Text(collation), nullable));
        }
        DataType::Signed | DataType::SignedInteger => (BIGINT, numeric),
        DataType::Unsigned | DataType::UnsignedInteger => (BIGINT_UNSIGNED, numeric),
        DataType::Decimal(info) => {
            (decimal_type(info)?, numeric && !matches!(value.ty, Type::Float | Type::Double))
        }
        DataType::Double(ExactNumberInfo::None) | DataType::Real => (Type::Double, numeric),
        DataType::Datetime(fsp) => (Type::DateTime { fsp: fsp.unwrap_or(0).min(6) as u8 }, dated),
        DataType::Timestamp(fsp, TimezoneInfo::None) => {
            (Type::DateTime { fsp: fsp.unwrap_or(0).min(6) as u8 }, dated)
        }
        DataType::Date => (Type::Date, dated),
        other => {
            return Err(format!(
                "CAST to {other} is not supported: there are CHAR, SIGNED, UNSIGNED, DECIMAL(p,s), DOUBLE, DATE and DATETIME"
            ));
        }
    };
    if !fits {
        return Err(format!(
            "CAST of {from} to {} is not supported: cast a value that is closer to it",
            type_name(ty)
        ));
    }
    Ok(Expr::new(ExprKind::Cast(Box::new(value)), ty, nullable))
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
            "DECIMAL({precision},{scale}) is none of MySQL's: at most 65 digits, at most 30 after the point"
        )),
    }
}

/// `expr COLLATE …`.
fn collated(value: Expr, collation: &str) -> Result<Expr, String> {
    if !matches!(value.ty, Type::Text(_)) {
        return Err(format!("COLLATE on {}: leave it out", type_name(value.ty)));
    }
    if !collation.trim_matches('`').eq_ignore_ascii_case("utf8mb4_0900_bin") {
        return Err(format!(
            "COLLATE {collation} is not exact here yet: write COLLATE utf8mb4_0900_bin"
        ));
    }
    let nullable = value.nullable;
    let ty = Type::Text(Collation::Binary);
    Ok(Expr::new(ExprKind::Text(Box::new(value), None), ty, nullable))
}
