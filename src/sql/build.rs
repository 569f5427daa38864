//! SQL expressions become typed ones.

use std::fmt::Display;
use std::iter;

use sqlparser::ast::{
    self, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, Spanned, UnaryOperator,
};

use super::calls::unit_of;
use super::casts::{cast, converted_type};
use super::collations::{collated, compared_collation};
use super::conditions::is_null;
use super::error::{Refusal, Refused};
use super::expr::{ArithmeticOp, CompareOp, Expr, ExprKind};
use super::functions::{like, trim};
use super::intervals::{add_interval, interval_unit};
use super::literals::{literal, typed_literal};
use super::membership::Membership;
use super::names::{NamedColumn, Names};
use super::operators::{calculate, case, compare, compare_by, equal_bits, negative};
use super::tree::Planner;
use super::typing::{BIGINT, BOOLEAN, is_condition, is_constant};
use crate::value::Value;

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
                let within = self.between(sql, expr, low, high, names)?;
                Ok(not_if(*negated, within))
            }
            ast::Expr::InList { expr, list, negated } => {
                Ok(not_if(*negated, self.in_list(expr, list, names)?))
            }
            ast::Expr::Case { operand, conditions, else_result, .. } => {
                self.case(sql, operand.as_deref(), conditions, else_result.as_deref(), names)
            }
            ast::Expr::Cast { kind: CastKind::Cast, expr, data_type, .. } => {
                self.cast_to(sql, expr, data_type, names)
            }
            ast::Expr::Convert { expr, data_type, charset, .. } => {
                let data_type = refused(sql, converted_type(data_type.as_ref(), charset.as_ref()))?;
                self.cast_to(sql, expr, &data_type, names)
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
            ast::Expr::Like { .. }
            | ast::Expr::RLike { .. }
            | ast::Expr::Substring { .. }
            | ast::Expr::Trim { .. }
            | ast::Expr::Position { .. } => self.text_form(sql, names),
            ast::Expr::Extract { field, expr, .. } => self.extract(sql, field, expr, names),
            ast::Expr::Function(function) => self.function(sql, function, names),
            ast::Expr::Subquery(query) => {
                self.with(query, |planner| planner.scalar_subquery(query, names))
            }
            ast::Expr::Exists { subquery, negated } => {
                let exists = self.with(subquery, |planner| planner.exists(subquery, names))?;
                Ok(not_if(*negated, exists))
            }
            ast::Expr::InSubquery { .. } | ast::Expr::AnyOp { .. } | ast::Expr::AllOp { .. } => {
                match Membership::of(sql) {
                    Some(asked) => self
                        .with(asked.query, |planner| planner.membership(sql, asked, false, names)),
                    None => Err(unsupported(sql)),
                }
            }
            other => Err(unsupported(other)),
        }
    }

    /// A condition: an expression whose truth is asked.
    pub(super) fn condition(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Refused<Expr> {
        let condition = self.expr(sql, names)?;
        refused(sql, is_condition(&condition))?;
        Ok(condition)
    }

    /// A condition of which NULL is as good as FALSE.
    pub(super) fn truth(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Refused<Expr> {
        if let Some(asked) = Membership::of(sql) {
            return self.with(asked.query, |planner| planner.membership(sql, asked, true, names));
        }
        match sql {
            ast::Expr::Nested(inner) => self.truth(inner, names),
            ast::Expr::BinaryOp {
                left,
                op: op @ (BinaryOperator::And | BinaryOperator::Or),
                right,
            } => {
                let operator = operator(sql, left, op, right)?;
                let (left, right) = (self.truth(left, names)?, self.truth(right, names)?);
                combined(sql, operator, left, right)
            }
            _ => self.condition(sql, names),
        }
    }

    fn cast_to(
        &mut self,
        sql: &ast::Expr,
        value: &ast::Expr,
        data_type: &DataType,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let value = self.expr(value, names)?;
        let to_text = matches!(data_type, DataType::Char(_) | DataType::Character(_));
        if !to_text && self.is_by_index(&value) {
            let message =
                "casts an ENUM or SET, of which MySQL takes the index: CAST(… AS CHAR) inside";
            return refused(sql, Err(message.to_owned()));
        }
        refused(sql, cast(value, data_type))
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
                ExprKind::Literal(Value::Int(v)) if *v >= 0 => {
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

    /// Every level of a chain of operators passes here, so that it keeps little on the stack.
    fn binary(
        &mut self,
        sql: &ast::Expr,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        if let Some((value, sign, interval)) = interval_sum(left, op, right) {
            let (value, n) = (self.expr(value, names)?, self.expr(&interval.value, names)?);
            return refused(sql, add_written_interval(value, n, interval, sign));
        }
        let operator = operator(sql, left, op, right)?;
        let (left, right) = match operator {
            Operator::Junction(_) | Operator::Xor => {
                (self.condition(left, names)?, self.condition(right, names)?)
            }
            _ => (self.expr(left, names)?, self.expr(right, names)?),
        };
        combined(sql, operator, left, right)
    }

    fn between(
        &mut self,
        sql: &ast::Expr,
        value: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        operand_is_plain(value)?;
        let value = self.expr(value, names)?;
        let (low, high) = (self.expr(low, names)?, self.expr(high, names)?);
        let collation = refused(sql, compared_collation(&[&value, &low, &high]))?;
        let above = compare_by(CompareOp::GreaterOrEqual, value.clone(), low, collation);
        let below = compare_by(CompareOp::LessOrEqual, value, high, collation);
        Ok(junction(ExprKind::And, vec![refused(sql, above)?, refused(sql, below)?]))
    }

    fn in_list(
        &mut self,
        value: &ast::Expr,
        list: &[ast::Expr],
        names: &Names<'_>,
    ) -> Refused<Expr> {
        operand_is_plain(value)?;
        let operand = self.expr(value, names)?;
        let items = list.iter().map(|item| self.expr(item, names)).collect::<Refused<Vec<_>>>()?;
        let all: Vec<&Expr> = iter::once(&operand).chain(&items).collect();
        let collation = refused(value, compared_collation(&all))?;
        // A list of one is `=`, and whole numbers that are all constants are looked up by their value.
        let is_sorted = items
            .iter()
            .all(|item| item.is_null_literal() || item.ty.is_integer() && is_constant(item));
        let by_bits = items.len() > 1 && !is_sorted;
        let equal = list.iter().zip(items).map(|(sql, item)| {
            let equal = match by_bits {
                true => equal_bits(operand.clone(), item, collation),
                false => compare_by(CompareOp::Equal, operand.clone(), item, collation),
            };
            refused(sql, equal)
        });
        Ok(junction(ExprKind::Or, equal.collect::<Refused<Vec<_>>>()?))
    }

    /// What asks for text, or takes it apart, in a form of its own.
    fn text_form(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Refused<Expr> {
        match sql {
            ast::Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                let like = self.like(sql, (expr, pattern), escape_char.as_deref(), names)?;
                Ok(not_if(*negated, like))
            }
            ast::Expr::RLike { expr, .. } => {
                let message =
                    "REGEXP is not supported: write LIKE, or match where the document is read";
                Err(Refusal::on(&**expr, message))
            }
            ast::Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => {
                let parts = [&**expr, &**from].into_iter().chain(substring_for.as_deref());
                self.named_function(sql, "SUBSTRING", &parts.collect::<Vec<_>>(), names)
            }
            ast::Expr::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                let parts = iter::once(expr).chain(trim_what).map(|part| self.expr(part, names));
                refused(sql, trim(*trim_where, parts.collect::<Refused<_>>()?))
            }
            ast::Expr::Position { expr, r#in } => {
                self.named_function(sql, "LOCATE", &[expr, r#in], names)
            }
            other => Err(unsupported(other)),
        }
    }

    /// `text LIKE pattern ESCAPE 'c'`.
    fn like(
        &mut self,
        sql: &ast::Expr,
        (text, pattern): (&ast::Expr, &ast::Expr),
        escape: Option<&ast::Expr>,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        operand_is_plain(text)?;
        operand_is_plain(pattern)?;
        let written = escape.map(|escape| self.expr(escape, names)).transpose()?;
        let escape = match written.map(|escape| escape.kind) {
            None | Some(ExprKind::Literal(Value::Null)) => Some('\\'),
            Some(ExprKind::Literal(Value::Text(text))) if text.is_empty() => None,
            Some(ExprKind::Literal(Value::Text(text)))
                if text.len() == 1 && !matches!(&*text, "%" | "_") =>
            {
                text.chars().next()
            }
            _ => {
                let message =
                    "ESCAPE takes one character that is a constant of ASCII, and neither % nor _";
                return Err(Refusal::on(sql, message));
            }
        };
        let (text, pattern) = (self.expr(text, names)?, self.expr(pattern, names)?);
        refused(sql, like(text, pattern, escape))
    }

    fn is_null(&mut self, inner: &ast::Expr, negated: bool, names: &Names<'_>) -> Refused<Expr> {
        xor_stands_alone(inner)?;
        let value = match inner {
            // What a column holds does not matter here, so none is refused.
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => {
                value_of(inner, column(inner, names)?)?
            }
            _ => self.expr(inner, names)?,
        };
        // IS NOT NULL finds out whatever it is.
        Ok(match negated {
            true => not_if(true, Expr::new(ExprKind::IsNull(Box::new(value)), BOOLEAN, false)),
            false => is_null(value),
        })
    }

    /// `IS [NOT] TRUE` and `IS [NOT] FALSE`.
    fn is_truth(
        &mut self,
        inner: &ast::Expr,
        truth: bool,
        negated: bool,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        xor_stands_alone(inner)?;
        let value = match truth {
            true => self.truth(inner, names)?,
            false => not_if(true, self.condition(inner, names)?),
        };
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
        let whens = conditions.iter().map(|when| match operand {
            Some(_) => self.expr(&when.condition, names),
            None => self.truth(&when.condition, names),
        });
        let whens = whens.collect::<Refused<Vec<_>>>()?;
        let all: Vec<&Expr> = operand.iter().chain(&whens).collect();
        let collation = refused(sql, compared_collation(&all))?;
        let branches = conditions.iter().zip(whens).map(|(when, condition)| {
            let condition = match &operand {
                Some(operand) => {
                    refused(&when.condition, equal_bits(operand.clone(), condition, collation))?
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

/// What an operator does.
enum Operator {
    /// AND, OR.
    Junction(fn(Vec<Expr>) -> ExprKind),
    Xor,
    Compare(CompareOp),
    Calculate(ArithmeticOp),
}

fn operator(
    sql: &ast::Expr,
    left: &ast::Expr,
    op: &BinaryOperator,
    right: &ast::Expr,
) -> Refused<Operator> {
    if !matches!(op, BinaryOperator::Or | BinaryOperator::Xor) {
        xor_stands_alone(left)?;
        xor_stands_alone(right)?;
    }
    Ok(match op {
        BinaryOperator::And => Operator::Junction(ExprKind::And),
        BinaryOperator::Or => Operator::Junction(ExprKind::Or),
        BinaryOperator::Xor => Operator::Xor,
        BinaryOperator::Eq => Operator::Compare(CompareOp::Equal),
        BinaryOperator::Spaceship => Operator::Compare(CompareOp::NullSafeEqual),
        BinaryOperator::NotEq => Operator::Compare(CompareOp::NotEqual),
        BinaryOperator::Lt => Operator::Compare(CompareOp::Less),
        BinaryOperator::LtEq => Operator::Compare(CompareOp::LessOrEqual),
        BinaryOperator::Gt => Operator::Compare(CompareOp::Greater),
        BinaryOperator::GtEq => Operator::Compare(CompareOp::GreaterOrEqual),
        BinaryOperator::Plus => Operator::Calculate(ArithmeticOp::Add),
        BinaryOperator::Minus => Operator::Calculate(ArithmeticOp::Subtract),
        BinaryOperator::Multiply => Operator::Calculate(ArithmeticOp::Multiply),
        BinaryOperator::Divide => Operator::Calculate(ArithmeticOp::Divide),
        BinaryOperator::MyIntegerDivide => Operator::Calculate(ArithmeticOp::DivideWhole),
        BinaryOperator::Modulo => Operator::Calculate(ArithmeticOp::Remainder),
        _ => {
            let way_out = match op {
                BinaryOperator::StringConcat => {
                    "MySQL reads it as OR: write OR, or CONCAT(…) for text"
                }
                BinaryOperator::Arrow | BinaryOperator::LongArrow => {
                    "write column->'$.name', or JSON_EXTRACT(…, '$.name')"
                }
                _ => "there are + - * / DIV % = <=> <> < <= > >= AND OR XOR NOT",
            };
            let message = format!("the operator `{op}` is not supported: {way_out}");
            return Err(Refusal::on(sql, message));
        }
    })
}

fn combined(sql: &ast::Expr, operator: Operator, left: Expr, right: Expr) -> Refused<Expr> {
    match operator {
        Operator::Junction(kind) => Ok(junction(kind, vec![left, right])),
        Operator::Xor => {
            let (left, right) = (not_if(true, left), not_if(true, right));
            refused(sql, compare(CompareOp::NotEqual, left, right))
        }
        Operator::Compare(op) => refused(sql, compare(op, left, right)),
        Operator::Calculate(op) => refused(sql, calculate(op, left, right, sql.to_string())),
    }
}

/// `value ± INTERVAL n unit`, in either order: the value, the sign and the INTERVAL.
fn interval_sum<'s>(
    left: &'s ast::Expr,
    op: &BinaryOperator,
    right: &'s ast::Expr,
) -> Option<(&'s ast::Expr, i64, &'s ast::Interval)> {
    match (left, op, right) {
        (value, BinaryOperator::Plus, ast::Expr::Interval(interval)) => Some((value, 1, interval)),
        (value, BinaryOperator::Minus, ast::Expr::Interval(interval)) => {
            Some((value, -1, interval))
        }
        (ast::Expr::Interval(interval), BinaryOperator::Plus, value) => Some((value, 1, interval)),
        _ => None,
    }
}

/// Apart, so that a chain of them needs no more of the stack.
fn add_written_interval(
    value: Expr,
    n: Expr,
    interval: &ast::Interval,
    sign: i64,
) -> Result<Expr, String> {
    add_interval(value, n, interval_unit(&unit_of(interval))?, sign)
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

/// A reason, which begins with a verb, with its place and what it is said of.
pub(super) fn refused<T>(sql: &(impl Spanned + Display), result: Result<T, String>) -> Refused<T> {
    result.map_err(|why| Refusal::on(sql, format!("{} {why}", shown(sql))))
}

/// SQL in a message, cut short.
pub(super) fn shown(sql: &impl Display) -> String {
    const CHARS_MAX: usize = 60;
    let text = sql.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        None => format!("`{text}`"),
        Some((end, _)) => format!("`{} …`", text[..end].trim_end()),
    }
}

/// AND or OR, flattened.
pub(super) fn junction(kind: fn(Vec<Expr>) -> ExprKind, parts: Vec<Expr>) -> Expr {
    let nullable = parts.iter().any(|part| part.nullable);
    Expr::new(kind(parts), BOOLEAN, nullable)
}

pub(super) fn not_if(negated: bool, value: Expr) -> Expr {
    if !negated {
        return value;
    }
    let nullable = value.nullable;
    Expr::new(ExprKind::Not(Box::new(value)), BOOLEAN, nullable)
}

/// `a = b IN (…)` groups differently in MySQL than it reads here.
pub(super) fn operand_is_plain(operand: &ast::Expr) -> Refused<()> {
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
            "a comparison before IN, BETWEEN or LIKE, or behind LIKE: put parentheses around what belongs together",
        )),
        _ => xor_stands_alone(operand),
    }
}

/// So does `a = b XOR c`: MySQL compares first.
fn xor_stands_alone(operand: &ast::Expr) -> Refused<()> {
    if is_xor(operand) {
        let message = "XOR beside another operator: put parentheses around both of its sides";
        return Err(Refusal::on(operand, message));
    }
    Ok(())
}

pub(super) fn is_xor(sql: &ast::Expr) -> bool {
    matches!(sql, ast::Expr::BinaryOp { op: BinaryOperator::Xor, .. })
}

fn unsupported(sql: &ast::Expr) -> Refusal {
    let message = match sql {
        ast::Expr::AnyOp { .. } | ast::Expr::AllOp { .. } => {
            "ANY or ALL of what is no = ANY (SELECT …) or <> ALL (SELECT …): compare with (SELECT MIN(…) …) or (SELECT MAX(…) …)".to_owned()
        }
        ast::Expr::Interval(_) => {
            "an INTERVAL by itself: write … + INTERVAL 1 DAY, or DATE_ADD(…, INTERVAL 1 DAY)"
                .to_owned()
        }
        other => {
            let sql = shown(other);
            format!("{sql} is not supported in a view: select the columns it needs instead")
        }
    };
    Refusal::on(sql, message)
}
