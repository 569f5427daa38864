//! Evaluates expressions.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::arithmetic::at_most;
use super::convert::{cast, number_as, truth};
use super::{Bindings, CompareBy, CompareOp, Comparison, EvalError, Expr, ExprKind};
use crate::value::{
    JsonPath, Type, Value, compare, compare_as, into_text, write_double_within, write_float_within,
    write_json, write_json_element, write_json_string, write_json_text, write_text,
};

/// Characters that MySQL gives the text of a FLOAT column.
const FLOAT_COLUMN_WIDTH: usize = 12;
/// Characters that MySQL gives the text of a DOUBLE column.
const DOUBLE_COLUMN_WIDTH: usize = 24;
/// Characters that MySQL gives the text of a calculated DOUBLE.
const DOUBLE_WIDTH: usize = 22;

impl Expr {
    /// The value for the rows bound now. DECIMALs have the scale that MySQL calculates with, which
    /// may differ from the type's.
    ///
    /// # Errors
    /// Where MySQL raises one.
    #[inline]
    pub fn eval<'a, B: Bindings>(&'a self, bindings: &'a B) -> Result<Value<'a>, EvalError> {
        match &self.kind {
            ExprKind::Column { node, column } => Ok(bindings.column(*node, *column)),
            ExprKind::Literal(value) => Ok(value.borrowed()),
            _ => self.compute(bindings),
        }
    }

    /// The value of an expression that is more than a column or a constant.
    fn compute<'a, B: Bindings>(&'a self, bindings: &'a B) -> Result<Value<'a>, EvalError> {
        Ok(match &self.kind {
            ExprKind::Column { .. } | ExprKind::Literal(_) => self.eval(bindings)?,
            ExprKind::Boolean(value) => Value::Int(i64::from(*value)),
            ExprKind::Collection(i, j) => bindings.collection(*i, *j)?,
            ExprKind::IfPresent(node, inner) if bindings.is_present(*node) => {
                inner.eval(bindings)?
            }
            ExprKind::IfPresent(..) => Value::Null,
            ExprKind::Subquery(inner) | ExprKind::Collated(inner, _) => inner.eval(bindings)?,
            ExprKind::Cast(inner) => cast(inner.eval(bindings)?, self.ty),
            ExprKind::Text(..)
            | ExprKind::Concat(_)
            | ExprKind::ConcatSeparated(_)
            | ExprKind::DateFormat(..) => self.eval_text(bindings)?,
            ExprKind::JsonObject(_) | ExprKind::JsonObjectOf(_) | ExprKind::JsonArray(_) => {
                let mut out = Vec::new();
                self.append_element(bindings, &mut out)?;
                Value::Json(Cow::Owned(into_text(out)))
            }
            ExprKind::JsonExtract(inner, paths) => extract(inner.eval(bindings)?, paths),
            ExprKind::Arithmetic(arithmetic) => arithmetic.eval(bindings, self.ty)?,
            ExprKind::Compare(comparison) => boolean(comparison.eval(bindings)?),
            ExprKind::IsNull(inner) => boolean(Some(inner.is_null(bindings)?)),
            ExprKind::IsTrue(inner) => boolean(Some(inner.truth(bindings)? == Some(true))),
            ExprKind::Not(inner) => boolean(inner.truth(bindings)?.map(|truth| !truth)),
            ExprKind::Once(..) => boolean(self.truth(bindings)?),
            ExprKind::And(parts) => boolean(junction(parts, bindings, false)?),
            ExprKind::Every(parts) => boolean(Some(every(parts, bindings)?)),
            ExprKind::Or(parts) => boolean(junction(parts, bindings, true)?),
            ExprKind::Case { .. } => match self.branch(bindings)? {
                Some(result) => result.eval_as(bindings, self.ty)?,
                None => Value::Null,
            },
            ExprKind::Coalesce(parts) => {
                for part in parts {
                    match (part.eval_as(bindings, self.ty)?, self.ty) {
                        (Value::Null, _) => {}
                        (Value::Decimal(v), Type::Decimal { scale, .. }) => {
                            return Ok(Value::Decimal(at_most(v, scale).unwrap_or(v)));
                        }
                        (value, _) => return Ok(value),
                    }
                }
                Value::Null
            }
            ExprKind::Call(kernel, arguments) => kernel.call(arguments, bindings, self.ty)?,
        })
    }

    /// Whether the value is true; `None` for NULL.
    ///
    /// # Errors
    /// Where MySQL raises one.
    pub fn truth<B: Bindings>(&self, bindings: &B) -> Result<Option<bool>, EvalError> {
        match &self.kind {
            ExprKind::Compare(comparison) => comparison.eval(bindings),
            ExprKind::And(parts) => junction(parts, bindings, false),
            ExprKind::Every(parts) => every(parts, bindings).map(Some),
            ExprKind::Or(parts) => junction(parts, bindings, true),
            ExprKind::IsNull(inner) => Ok(Some(inner.is_null(bindings)?)),
            ExprKind::Not(inner) => Ok(inner.truth(bindings)?.map(|truth| !truth)),
            ExprKind::Once(number, inner) => bindings.once(*number, || inner.truth(bindings)),
            _ => Ok(truth(&self.eval(bindings)?)),
        }
    }

    /// The value as a column of the expression's type holds it: DECIMALs have the type's scale.
    ///
    /// # Errors
    /// Where MySQL raises one.
    pub fn eval_stored<'a, B: Bindings>(&'a self, bindings: &'a B) -> Result<Value<'a>, EvalError> {
        let value = self.eval(bindings)?;
        Ok(match (&value, self.ty) {
            (Value::Decimal(decimal), Type::Decimal { scale, .. }) if decimal.scale() != scale => {
                cast(value, self.ty)
            }
            _ => value,
        })
    }

    /// Appends the value as text, as CONCAT and GROUP_CONCAT see it; `false`, and nothing
    /// appended, if it is NULL.
    ///
    /// # Errors
    /// Where MySQL raises one; what was appended then means nothing.
    #[inline(always)]
    pub fn append_text<B: Bindings>(
        &self,
        bindings: &B,
        out: &mut Vec<u8>,
    ) -> Result<bool, EvalError> {
        match &self.kind {
            ExprKind::Literal(Value::Text(text)) => {
                out.extend_from_slice(text.as_bytes());
                Ok(true)
            }
            // A column holds what its type can hold.
            ExprKind::Column { node, column } if !matches!(self.ty, Type::Float | Type::Double) => {
                Ok(bindings.append_column((*node, *column), self.ty, false, out))
            }
            _ => self.append_made_text(bindings, out),
        }
    }

    /// Appends the text of an expression that is more than a plain column or a constant.
    fn append_made_text<B: Bindings>(
        &self,
        bindings: &B,
        out: &mut Vec<u8>,
    ) -> Result<bool, EvalError> {
        match &self.kind {
            ExprKind::Concat(parts) => {
                let start = out.len();
                for part in parts {
                    if !part.append_text(bindings, out)? {
                        out.truncate(start);
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            ExprKind::ConcatSeparated(parts) => concat_separated(parts, bindings, out),
            ExprKind::Collated(inner, _) => inner.append_text(bindings, out),
            ExprKind::Text(inner, limit) => {
                let start = out.len();
                let present = inner.append_text(bindings, out)?;
                if let Some(limit) = *limit {
                    out.truncate(start + bytes_of_characters(&out[start..], limit));
                }
                Ok(present)
            }
            ExprKind::DateFormat(inner, format) => {
                let value = inner.eval(bindings)?;
                Ok(format.append(&value, out))
            }
            ExprKind::Arithmetic(arithmetic) => match arithmetic.short_product(bindings, self.ty) {
                Some(product) if Some(product.scale()) == self.ty.scale() => {
                    product.push_to(out);
                    Ok(true)
                }
                _ => Ok(self.append_value(&self.eval_stored(bindings)?, out)),
            },
            ExprKind::IfPresent(node, inner) => {
                Ok(bindings.is_present(*node) && inner.append_text(bindings, out)?)
            }
            ExprKind::Collection(i, j) if matches!(self.ty, Type::Text(_)) => {
                bindings.append_collection((*i, *j), out)
            }
            ExprKind::Subquery(inner) if matches!(self.ty, Type::Text(_)) => {
                inner.append_text(bindings, out)
            }
            ExprKind::Case { .. } if !is_temporal(self.ty) => match self.branch(bindings)? {
                Some(result) => result.append_text(bindings, out),
                None => Ok(false),
            },
            ExprKind::Coalesce(parts) if matches!(self.ty, Type::Text(_)) => {
                for part in parts {
                    if part.append_text(bindings, out)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Ok(self.append_value(&self.eval_stored(bindings)?, out)),
        }
    }

    /// Appends the value as JSON as it stands in a document: DECIMALs with the scale of their
    /// column. MySQL prints a branch of CASE as it is or with the scale of all branches, by whether
    /// it keeps the result in a table on the way.
    ///
    /// # Errors
    /// Where MySQL raises one; what was appended then means nothing.
    pub fn append_document<B: Bindings>(
        &self,
        bindings: &B,
        out: &mut Vec<u8>,
    ) -> Result<(), EvalError> {
        match (&self.kind, self.ty) {
            (ExprKind::JsonObject(_) | ExprKind::JsonObjectOf(_) | ExprKind::JsonArray(_), _) => {
                self.append_element(bindings, out)?;
            }
            (ExprKind::Column { node, column }, _) => {
                if !bindings.append_column((*node, *column), self.ty, true, out) {
                    out.extend_from_slice(b"null");
                }
            }
            (ExprKind::Subquery(inner), Type::Json) => inner.append_document(bindings, out)?,
            (ExprKind::Collection(i, j), Type::Json) => {
                if !bindings.append_collection((*i, *j), out)? {
                    out.extend_from_slice(b"null");
                }
            }
            (_, Type::Text(_)) => write_json_text(out, |out| self.append_text(bindings, out))?,
            _ => write_json(out, &self.eval_stored(bindings)?, self.ty),
        }
        Ok(())
    }

    /// Appends the value as JSON as it stands inside of MySQL's JSON functions: DECIMALs are
    /// numbers, comparisons are `true` and `false`, instants have six fractional digits.
    ///
    /// # Errors
    /// Where MySQL raises one; what was appended then means nothing.
    pub fn append_element<B: Bindings>(
        &self,
        bindings: &B,
        out: &mut Vec<u8>,
    ) -> Result<(), EvalError> {
        match &self.kind {
            ExprKind::JsonObject(members) => {
                out.push(b'{');
                for (i, (name, member)) in members.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(b", ");
                    }
                    out.extend_from_slice(name);
                    out.extend_from_slice(b": ");
                    member.append_element(bindings, out)?;
                }
                out.push(b'}');
            }
            ExprKind::JsonObjectOf(parts) => object_of(parts, bindings, out)?,
            ExprKind::JsonArray(parts) => {
                out.push(b'[');
                for (i, part) in parts.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(b", ");
                    }
                    part.append_element(bindings, out)?;
                }
                out.push(b']');
            }
            ExprKind::Subquery(inner) if self.ty == Type::Json => {
                inner.append_element(bindings, out)?;
            }
            ExprKind::Collection(i, j) if self.ty == Type::Json => {
                if !bindings.append_collection((*i, *j), out)? {
                    out.extend_from_slice(b"null");
                }
            }
            _ if self.is_boolean() => out.extend_from_slice(match self.truth(bindings)? {
                Some(true) => b"true",
                Some(false) => b"false",
                None => b"null",
            }),
            _ => write_json_element(out, &self.eval(bindings)?, self.ty),
        }
        Ok(())
    }

    fn is_null<B: Bindings>(&self, bindings: &B) -> Result<bool, EvalError> {
        match &self.kind {
            ExprKind::Column { node, column } => Ok(bindings.is_null(*node, *column)),
            ExprKind::IfPresent(node, inner) => {
                Ok(!bindings.is_present(*node) || inner.is_null(bindings)?)
            }
            _ => Ok(self.eval(bindings)?.is_null()),
        }
    }

    /// Whether the value is a number by itself, without a look at its type: see
    /// [`CompareBy::Ordinal`].
    pub(in crate::sql) fn is_ordinal(&self) -> bool {
        match &self.kind {
            ExprKind::Column { .. } => self.ty.is_ordinal(),
            ExprKind::IfPresent(_, inner) => inner.is_ordinal(),
            _ => false,
        }
    }

    /// The number that stands for the value, where [`Expr::is_ordinal`]; `None` for NULL.
    fn ordinal<B: Bindings>(&self, bindings: &B) -> Option<i64> {
        match &self.kind {
            ExprKind::Column { node, column } => bindings.ordinal(*node, *column),
            ExprKind::IfPresent(node, inner) if bindings.is_present(*node) => {
                inner.ordinal(bindings)
            }
            _ => None,
        }
    }

    /// The digits and the scale of a column that is an exact number of at most 64 bits.
    pub(super) fn short<B: Bindings>(&self, bindings: &B) -> Option<(i64, u8)> {
        match &self.kind {
            ExprKind::Column { node, column } => bindings.short(*node, *column),
            _ => None,
        }
    }

    /// The value converted to the type of a CASE or COALESCE around it.
    fn eval_as<'a, B: Bindings>(
        &'a self,
        bindings: &'a B,
        ty: Type,
    ) -> Result<Value<'a>, EvalError> {
        match (ty, self.ty) {
            (Type::Text(_), Type::Text(_)) => self.eval(bindings),
            (Type::Text(_), _) => self.eval_text(bindings),
            _ => Ok(number_as(self.eval(bindings)?, ty)),
        }
    }

    fn eval_text<'a, B: Bindings>(&'a self, bindings: &'a B) -> Result<Value<'a>, EvalError> {
        let mut out = Vec::new();
        let present = self.append_text(bindings, &mut out)?;
        Ok(if present { Value::Text(Cow::Owned(into_text(out))) } else { Value::Null })
    }

    /// Appends a value of the expression as text; `false` for NULL.
    fn append_value(&self, value: &Value<'_>, out: &mut Vec<u8>) -> bool {
        match value {
            Value::Float(v) => write_float_within(out, *v, FLOAT_COLUMN_WIDTH),
            Value::Double(v) => write_double_within(out, *v, self.double_width()),
            // Of a date; a column's has four digits.
            Value::UInt(0) if matches!(self.kind, ExprKind::Call(..)) => out.push(b'0'),
            _ => write_text(out, value, self.ty),
        }
        !value.is_null()
    }

    fn double_width(&self) -> usize {
        match self.kind {
            ExprKind::Column { .. } | ExprKind::IfPresent(..) => DOUBLE_COLUMN_WIDTH,
            _ => DOUBLE_WIDTH,
        }
    }

    /// The result that a CASE comes to.
    fn branch<B: Bindings>(&self, bindings: &B) -> Result<Option<&Expr>, EvalError> {
        let ExprKind::Case { branches, otherwise } = &self.kind else { return Ok(None) };
        for (condition, result) in branches {
            if condition.truth(bindings)? == Some(true) {
                return Ok(Some(result));
            }
        }
        Ok(otherwise.as_deref())
    }
}

impl Comparison {
    fn eval<B: Bindings>(&self, bindings: &B) -> Result<Option<bool>, EvalError> {
        if self.by == CompareBy::Ordinal {
            let (left, right) = (self.left.ordinal(bindings), self.right.ordinal(bindings));
            return Ok(match (left, right) {
                (Some(left), Some(right)) => Some(self.op.holds(left.cmp(&right))),
                _ if self.op == CompareOp::NullSafeEqual => Some(left == right),
                _ => None,
            });
        }
        let left = self.left.eval(bindings)?;
        if left.is_null() && self.op != CompareOp::NullSafeEqual {
            return Ok(None);
        }
        let right = self.right.eval(bindings)?;
        if self.op == CompareOp::NullSafeEqual && (left.is_null() || right.is_null()) {
            return Ok(Some(left.is_null() && right.is_null()));
        }
        if right.is_null() {
            return Ok(None);
        }
        let order = match self.by {
            CompareBy::Double => {
                compare(&number_as(left, Type::Double), &number_as(right, Type::Double))
            }
            CompareBy::Collation(collation) => compare_as(Type::Text(collation), &left, &right),
            _ => compare(&comparable(left), &comparable(right)),
        };
        Ok(Some(self.op.holds(order)))
    }
}

impl CompareOp {
    /// Whether it is true of two sides in this order.
    fn holds(self, order: Ordering) -> bool {
        match self {
            CompareOp::Equal | CompareOp::NullSafeEqual => order.is_eq(),
            CompareOp::NotEqual => order.is_ne(),
            CompareOp::Less => order.is_lt(),
            CompareOp::LessOrEqual => order.is_le(),
            CompareOp::Greater => order.is_gt(),
            CompareOp::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// Appends an object whose names are known only now: in MySQL's order, the last of equal names.
fn object_of<B: Bindings>(
    parts: &[Expr],
    bindings: &B,
    out: &mut Vec<u8>,
) -> Result<(), EvalError> {
    let mut members: BTreeMap<(usize, Vec<u8>), Vec<u8>> = BTreeMap::new();
    for pair in parts.chunks_exact(2) {
        let (mut name, mut value) = (Vec::new(), Vec::new());
        if !pair[0].append_text(bindings, &mut name)? {
            let message = "JSON documents may not contain NULL member names".to_owned();
            return Err(EvalError::new(3158, message));
        }
        pair[1].append_element(bindings, &mut value)?;
        members.insert((name.len(), name), value);
    }
    out.push(b'{');
    for (i, ((_, name), value)) in members.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        write_json_string(out, name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
    }
    out.push(b'}');
    Ok(())
}

/// What paths lead to in JSON; NULL if to nothing.
fn extract<'a>(json: Value<'a>, paths: &[JsonPath]) -> Value<'a> {
    match json {
        Value::Json(Cow::Borrowed(json)) => Value::Json(match found(json, paths) {
            Some(found) => found,
            None => return Value::Null,
        }),
        Value::Json(Cow::Owned(json)) => match found(&json, paths) {
            Some(found) => Value::Json(Cow::Owned(found.into_owned())),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}

fn found<'t>(json: &'t str, paths: &[JsonPath]) -> Option<Cow<'t, str>> {
    let mut found: SmallVec<[&str; 4]> = SmallVec::new();
    paths.iter().for_each(|path| path.find(json, &mut |value| found.push(value)));
    match paths {
        [path] if !path.is_wild() => found.first().copied().map(Cow::Borrowed),
        _ if found.is_empty() => None,
        _ => Some(Cow::Owned(format!("[{}]", found.join(", ")))),
    }
}

/// Dates compare with instants as their midnights.
fn comparable(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Date(_) => number_as(value, Type::DateTime { fsp: 0 }),
        value => value,
    }
}

/// How many bytes the first characters of a text take.
fn bytes_of_characters(text: &[u8], characters: usize) -> usize {
    let starts = text.iter().enumerate().filter(|(_, byte)| (**byte & 0xC0) != 0x80);
    starts.map(|(at, _)| at).nth(characters).unwrap_or(text.len())
}

fn boolean(truth: Option<bool>) -> Value<'static> {
    truth.map_or(Value::Null, |truth| Value::Int(i64::from(truth)))
}

/// AND (`decisive` is false) or OR (true): decided by the first decisive part, else unknown if any
/// part is.
fn junction<B: Bindings>(
    parts: &[Expr],
    bindings: &B,
    decisive: bool,
) -> Result<Option<bool>, EvalError> {
    let mut result = Some(!decisive);
    for part in parts {
        match part.truth(bindings)? {
            Some(truth) if truth == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

/// Whether all parts are true, up to the first that is not.
fn every<B: Bindings>(parts: &[Expr], bindings: &B) -> Result<bool, EvalError> {
    for part in parts {
        if part.truth(bindings)? != Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn concat_separated<B: Bindings>(
    parts: &[Expr],
    bindings: &B,
    out: &mut Vec<u8>,
) -> Result<bool, EvalError> {
    let Some((separator, parts)) = parts.split_first() else { return Ok(false) };
    let separator = match &separator.kind {
        ExprKind::Literal(Value::Text(text)) => Cow::Borrowed(text.as_bytes()),
        _ => {
            let mut text = Vec::new();
            if !separator.append_text(bindings, &mut text)? {
                return Ok(false);
            }
            Cow::Owned(text)
        }
    };
    let mut first = true;
    for part in parts {
        let start = out.len();
        if !first {
            out.extend_from_slice(&separator);
        }
        if part.append_text(bindings, out)? {
            first = false;
        } else {
            out.truncate(start);
        }
    }
    Ok(true)
}

fn is_temporal(ty: Type) -> bool {
    matches!(ty, Type::Date | Type::Time { .. } | Type::DateTime { .. } | Type::Timestamp { .. })
}
