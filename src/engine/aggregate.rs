//! Collections: one value out of many rows.

use std::cmp::Ordering;
use std::ops::Range;

use super::frame::{Frame, Ranked};
use crate::sql::expr::{self, EvalError, Expr};
use crate::sql::plan::{Aggregate, Collection, OrderBy, Scope};
use crate::value::{Decimal, Type, Value, compare, into_text};

/// Digits that AVG adds after the point: `div_precision_increment`.
const AVG_SCALE_ADDED: u8 = 4;

impl<'e> Frame<'e> {
    /// The value of a collection for the rows bound now.
    pub(super) fn aggregate(&self, collection: &'e Collection) -> Result<Value<'_>, EvalError> {
        let scope = &collection.scope;
        match &collection.aggregate {
            Aggregate::CountRows => {
                let mut count = 0;
                self.each(scope, |_| {
                    count += 1;
                    Ok(())
                })?;
                Ok(Value::Int(count))
            }
            Aggregate::Count(expr) => {
                let mut count = 0;
                self.each_value(scope, expr, |_| {
                    count += 1;
                    Ok(())
                })?;
                Ok(Value::Int(count))
            }
            Aggregate::Sum(expr) => self.sum(scope, expr).map(|(sum, _)| sum),
            Aggregate::Avg(expr) => self.average(scope, expr),
            Aggregate::Min(expr) => self.extreme(scope, expr, Ordering::Less),
            Aggregate::Max(expr) => self.extreme(scope, expr, Ordering::Greater),
            Aggregate::GroupConcat { .. } | Aggregate::JsonArray(_) => {
                let mut out = Vec::new();
                if !self.append_aggregate(collection, &mut out)? {
                    return Ok(Value::Null);
                }
                let text = into_text(out).into();
                Ok(match collection.aggregate {
                    Aggregate::JsonArray(_) => Value::Json(text),
                    _ => Value::Text(text),
                })
            }
            Aggregate::First { value, order_by } => {
                if self.pick(scope, order_by)? {
                    value.eval(self)
                } else {
                    Ok(Value::Null)
                }
            }
        }
    }

    /// Binds every row that counts, one after another.
    fn each(
        &self,
        scope: &'e Scope,
        mut then: impl FnMut(&'e [u8]) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        for row in self.children(scope.from) {
            if self.admit(scope, row)? {
                then(row)?;
            }
        }
        Ok(())
    }

    fn each_value<'s>(
        &'s self,
        scope: &'e Scope,
        expr: &'s Expr,
        mut then: impl FnMut(Value<'s>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        self.each(scope, |_| match expr.eval(self)? {
            Value::Null => Ok(()),
            value => then(value),
        })
    }

    /// The sum and how many values it has; NULL of none. It has the scale of its largest term, as in
    /// MySQL: the scale of its type comes when it is shown.
    fn sum(&self, scope: &'e Scope, expr: &'e Expr) -> Result<(Value<'_>, u64), EvalError> {
        let mut count = 0;
        let mut exact = Decimal::new(0, 0);
        let mut floating = 0.0;
        self.each_value(scope, expr, |value| {
            count += 1;
            match value {
                Value::Int(v) => exact = add(exact, Decimal::new(v, 0))?,
                Value::UInt(v) => exact = add(exact, Decimal::new(v, 0))?,
                Value::Decimal(v) => exact = add(exact, v)?,
                Value::Float(v) => floating += f64::from(v),
                Value::Double(v) => floating += v,
                _ => {}
            }
            Ok(())
        })?;
        let sum = match expr.ty {
            _ if count == 0 => Value::Null,
            Type::Float | Type::Double => Value::Double(floating),
            _ => Value::Decimal(exact),
        };
        Ok((sum, count))
    }

    fn average(&self, scope: &'e Scope, expr: &'e Expr) -> Result<Value<'_>, EvalError> {
        let (sum, count) = self.sum(scope, expr)?;
        Ok(match sum {
            Value::Decimal(sum) => {
                let average = expr::divide(sum, Decimal::new(count, 0), AVG_SCALE_ADDED);
                Value::Decimal(average.ok_or_else(out_of_range)?)
            }
            Value::Double(sum) => Value::Double(sum / count as f64),
            other => other,
        })
    }

    fn extreme(
        &self,
        scope: &'e Scope,
        expr: &'e Expr,
        wanted: Ordering,
    ) -> Result<Value<'_>, EvalError> {
        let mut best = Value::Null;
        self.each_value(scope, expr, |value| {
            if best.is_null() || compare(&value, &best) == wanted {
                best = value;
            }
            Ok(())
        })?;
        Ok(best)
    }

    /// Appends a collection's value that is text or JSON; `false`, and nothing appended, if it is
    /// NULL.
    pub(super) fn append_aggregate(
        &self,
        collection: &'e Collection,
        out: &mut Vec<u8>,
    ) -> Result<bool, EvalError> {
        let scope = &collection.scope;
        match &collection.aggregate {
            Aggregate::GroupConcat { value, order_by, separator } => {
                let append = |out: &mut Vec<u8>| value.append_text(self, out);
                match self.ordered_children(scope.from) {
                    Some(rows) => self.concatenate(scope, &rows, separator, out, append),
                    None => self.concatenate_by_values(scope, order_by, separator, out, append),
                }
            }
            Aggregate::JsonArray(expr) => {
                // The order of this node is that of its table's primary key.
                let rows = self.ordered_children(scope.from).unwrap_or_default();
                let start = out.len();
                out.push(b'[');
                let present = self.concatenate(scope, &rows, ", ", out, |out| {
                    expr.append_element(self, out).map(|()| true)
                })?;
                if present {
                    out.push(b']');
                } else {
                    out.truncate(start);
                }
                Ok(present)
            }
            _ => {
                let value = self.aggregate(collection)?;
                let (Value::Text(text) | Value::Json(text)) = value else { return Ok(false) };
                out.extend_from_slice(text.as_bytes());
                Ok(true)
            }
        }
    }

    /// Appends what `append` makes of each row that counts, with a separator between; whether
    /// there is any.
    fn concatenate(
        &self,
        scope: &'e Scope,
        rows: &[&'e [u8]],
        separator: &str,
        out: &mut Vec<u8>,
        append: impl Fn(&mut Vec<u8>) -> Result<bool, EvalError>,
    ) -> Result<bool, EvalError> {
        let mut any = false;
        for row in rows {
            if !self.admit(scope, row)? {
                continue;
            }
            let start = out.len();
            if any {
                out.extend_from_slice(separator.as_bytes());
            }
            if append(out)? {
                any = true;
            } else {
                out.truncate(start);
            }
        }
        Ok(any)
    }

    /// The same where the order of the rows takes expressions: they are made first, and then put
    /// in order.
    fn concatenate_by_values(
        &self,
        scope: &'e Scope,
        order_by: &'e [OrderBy],
        separator: &str,
        out: &mut Vec<u8>,
        append: impl Fn(&mut Vec<u8>) -> Result<bool, EvalError>,
    ) -> Result<bool, EvalError> {
        let mut texts = Vec::new();
        let mut parts: Vec<(Ranked<'e, '_>, Range<usize>)> = Vec::new();
        self.each(scope, |row| {
            let start = texts.len();
            if append(&mut texts)? {
                parts.push((self.ranked(scope.from, row, order_by)?, start..texts.len()));
            }
            Ok(())
        })?;
        parts.sort_by(|(a, _), (b, _)| self.compare_ranked(scope.from, order_by, a, b));
        for (i, (_, range)) in parts.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(separator.as_bytes());
            }
            out.extend_from_slice(&texts[range.clone()]);
        }
        Ok(!parts.is_empty())
    }
}

fn add(a: Decimal, b: Decimal) -> Result<Decimal, EvalError> {
    expr::add(a, b).ok_or_else(out_of_range)
}

fn out_of_range() -> EvalError {
    EvalError::new(1690, "DECIMAL value is out of range".to_owned())
}
