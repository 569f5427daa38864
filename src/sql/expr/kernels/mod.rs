//! Functions that need the values of their arguments and nothing else. To add one: a function in
//! the module of its kind, and a row with its arity and type in `sql/functions`.

mod choice;
mod dates;
mod hashes;
mod json;
mod like;
mod numbers;
mod text;

pub(in crate::sql) use choice::*;
pub(in crate::sql) use dates::*;
pub(in crate::sql) use hashes::*;
pub(in crate::sql) use json::*;
pub(in crate::sql) use like::*;
pub(in crate::sql) use numbers::*;
use smallvec::SmallVec;
pub(in crate::sql) use text::*;

use super::arithmetic::at_most;
use super::{Bindings, EvalError, Expr};
use crate::value::{Type, Value};

/// Computes a function's value from those of its arguments, none of which is NULL.
pub type Compute = for<'v> fn(&[Value<'v>], Type) -> Result<Value<'v>, EvalError>;

/// A function that is NULL when an argument is.
#[derive(Clone, Copy)]
pub struct Kernel {
    /// As in SQL.
    pub name: &'static str,
    /// Its value in the expression's type.
    pub compute: Compute,
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Kernel) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Kernel {
    /// Whether it tells something that JSON functions take for `true` and `false`.
    pub(super) fn tells(&self) -> bool {
        matches!(self.name, "LIKE" | "STRCMP")
    }

    pub(in crate::sql::expr) fn call<'a, B: Bindings>(
        &self,
        arguments: &'a [Expr],
        bindings: &'a B,
        ty: Type,
    ) -> Result<Value<'a>, EvalError> {
        let mut values: SmallVec<[Value<'a>; 4]> = SmallVec::new();
        for argument in arguments {
            let value = argument.eval(bindings)?;
            if value.is_null() {
                return Ok(Value::Null);
            }
            values.push(value);
        }
        Ok(match ((self.compute)(&values, ty)?, ty) {
            (Value::Decimal(v), Type::Decimal { scale, .. }) => {
                Value::Decimal(at_most(v, scale).unwrap_or(v))
            }
            (value, _) => value,
        })
    }
}
