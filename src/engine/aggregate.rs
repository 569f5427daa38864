//! Collections: one value out of many rows.

use std::cmp::Ordering;
use std::ops::Range;

use smallvec::SmallVec;

use super::frame::{Frame, Ranked};
use crate::sql::expr::{self, EvalError, Expr};
use crate::sql::plan::{Aggregate, Collection, Scope};
use crate::value::{Decimal, Type, Value, compare};

/// Digits that AVG adds after the point: `div_precision_increment`.
const AVG_SCALE_ADDED: u8 = 4;

/// What the texts of a collection usually take together.
const TEXTS_BYTES: usize = 256;

/// Parts of a text, each with the row that it was made of.
type Parts<'e, 'f> = SmallVec<[(Ranked<'e, 'f>, Range<usize>); 4]>;

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
            Aggregate::GroupConcat { .. } => {
                let mut out = String::new();
                let present = self.append_aggregate(collection, &mut out)?;
                Ok(if present { Value::Text(out.into()) } else { Value::Null })
            }
            Aggregate::JsonArray(expr) => self.json_array(scope, expr),
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

    /// Appends a collection's value that is text; `false`, and nothing appended, if it is NULL.
    pub(super) fn append_aggregate(
        &self,
        collection: &'e Collection,
        out: &mut String,
    ) -> Result<bool, EvalError> {
        let scope = &collection.scope;
        let Aggregate::GroupConcat { value, order_by, separator } = &collection.aggregate else {
            let Value::Text(text) = self.aggregate(collection)? else { return Ok(false) };
            out.push_str(&text);
            return Ok(true);
        };
        let mut texts = String::with_capacity(TEXTS_BYTES);
        let mut parts: Parts<'e, '_> = SmallVec::new();
        self.each(scope, |row| {
            let start = texts.len();
            if value.append_text(self, &mut texts)? {
                parts.push((self.ranked(scope.from, row, order_by)?, start..texts.len()));
            }
            Ok(())
        })?;
        parts.sort_by(|(a, _), (b, _)| self.compare_ranked(scope.from, order_by, a, b));
        let present = !parts.is_empty();
        join(out, &texts, separator, parts.into_iter().map(|(_, range)| range));
        Ok(present)
    }

    fn json_array(&self, scope: &'e Scope, expr: &'e Expr) -> Result<Value<'_>, EvalError> {
        let mut texts = String::with_capacity(TEXTS_BYTES);
        let mut parts: Parts<'e, '_> = SmallVec::new();
        self.each(scope, |row| {
            let start = texts.len();
            expr.append_element(self, &mut texts)?;
            parts.push((self.ranked(scope.from, row, &[])?, start..texts.len()));
            Ok(())
        })?;
        if parts.is_empty() {
            return Ok(Value::Null);
        }
        // The order of this node is that of its table's primary key.
        parts.sort_by(|(a, _), (b, _)| self.compare_ranked(scope.from, &[], a, b));
        let mut array = String::with_capacity(texts.len() + 2 * parts.len() + 2);
        array.push('[');
        join(&mut array, &texts, ", ", parts.into_iter().map(|(_, range)| range));
        array.push(']');
        Ok(Value::Json(array.into()))
    }
}

/// Appends parts of a text with a separator between.
fn join(out: &mut String, texts: &str, separator: &str, parts: impl Iterator<Item = Range<usize>>) {
    for (i, range) in parts.enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(&texts[range]);
    }
}

fn add(a: Decimal, b: Decimal) -> Result<Decimal, EvalError> {
    expr::add(a, b).ok_or_else(out_of_range)
}

fn out_of_range() -> EvalError {
    EvalError { code: 1690, message: "DECIMAL value is out of range".to_owned() }
}
