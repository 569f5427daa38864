//! Functions whose value is one of their arguments.

use std::cmp::Ordering;

use super::super::EvalError;
use super::super::convert::number_as;
use crate::value::{Type, Value, compare_as};

/// GREATEST: of equal values the last.
pub(in crate::sql) fn greatest<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    Ok(extreme(values, ty, Ordering::is_ge))
}

/// LEAST: of equal values the first.
pub(in crate::sql) fn least<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    Ok(extreme(values, ty, Ordering::is_lt))
}

fn extreme<'v>(values: &[Value<'v>], ty: Type, wanted: fn(Ordering) -> bool) -> Value<'v> {
    let mut best: Option<Value<'v>> = None;
    for value in values {
        let value = number_as(value.clone(), ty);
        if best.as_ref().is_none_or(|best| wanted(compare_as(ty, &value, best))) {
            best = Some(value);
        }
    }
    best.unwrap_or(Value::Null)
}
