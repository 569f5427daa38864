//! `+ - * / DIV %` with MySQL's ranges and scales.

use ethnum::I256;

use super::convert::{as_decimal, as_double};
use super::{Arithmetic, ArithmeticOp, Bindings, EvalError};
use crate::value::{Decimal, Type, Value};

/// Digits that a division adds after the point: `div_precision_increment`.
const DIVISION_SCALE_ADDED: u8 = 4;
/// MySQL calculates decimals in words of this many digits, and a division stops at a whole word.
const DIGITS_PER_WORD: u8 = 9;
/// Words that a calculated decimal may have.
const WORDS_MAX: u32 = 9;

impl Arithmetic {
    /// The result in the expression's type; NULL if a side is, or for a division by zero.
    pub(super) fn eval<B: Bindings>(
        &self,
        bindings: &B,
        ty: Type,
    ) -> Result<Value<'static>, EvalError> {
        if let Some(product) = self.short_product(bindings, ty) {
            return Ok(Value::Decimal(product));
        }
        let left = self.left.eval(bindings)?;
        // Nor does MySQL look further in a calculation with DECIMALs, where errors may be.
        if left.is_null() && !self.is_whole() && ty != Type::Double {
            return Ok(Value::Null);
        }
        let right = self.right.eval(bindings)?;
        if left.is_null() || right.is_null() {
            return Ok(Value::Null);
        }
        let result = match ty {
            Type::Double => self.double(&left, &right)?,
            Type::Decimal { scale, .. } => self.decimal(&left, &right, scale)?,
            Type::Int { unsigned, .. } => self.whole(&left, &right, unsigned)?,
            _ => None,
        };
        Ok(result.unwrap_or(Value::Null))
    }

    /// Whether both sides are integers.
    fn is_whole(&self) -> bool {
        self.left.ty.is_integer() && self.right.ty.is_integer()
    }

    fn double(
        &self,
        left: &Value<'_>,
        right: &Value<'_>,
    ) -> Result<Option<Value<'static>>, EvalError> {
        let (Some(a), Some(b)) = (as_double(left), as_double(right)) else { return Ok(None) };
        let result = match self.op {
            ArithmeticOp::Add => a + b,
            ArithmeticOp::Subtract => a - b,
            ArithmeticOp::Multiply => a * b,
            ArithmeticOp::Divide | ArithmeticOp::Remainder | ArithmeticOp::DivideWhole
                if b == 0.0 =>
            {
                return Ok(None);
            }
            ArithmeticOp::Divide | ArithmeticOp::DivideWhole => a / b,
            ArithmeticOp::Remainder => a % b,
        };
        if result.is_finite() {
            Ok(Some(Value::Double(result)))
        } else {
            Err(EvalError::out_of_range("DOUBLE", &self.sql))
        }
    }

    fn decimal(
        &self,
        left: &Value<'_>,
        right: &Value<'_>,
        scale: u8,
    ) -> Result<Option<Value<'static>>, EvalError> {
        let (Some(a), Some(b)) = (as_decimal(left), as_decimal(right)) else { return Ok(None) };
        let by_zero = b.unscaled() == I256::ZERO;
        let result = match self.op {
            ArithmeticOp::Add => add(a, b),
            ArithmeticOp::Subtract => subtract(a, b),
            ArithmeticOp::Multiply => a.checked_mul(b).map(plain_zero),
            _ if by_zero => return Ok(None),
            ArithmeticOp::Divide | ArithmeticOp::DivideWhole => divide(a, b, DIVISION_SCALE_ADDED),
            ArithmeticOp::Remainder => remainder(a, b).map(plain_zero),
        };
        result
            .filter(|result| words(*result) <= WORDS_MAX)
            .and_then(|result| at_most(result, scale))
            .map(|result| Some(Value::Decimal(result)))
            .ok_or_else(|| EvalError::out_of_range("DECIMAL", &self.sql))
    }

    /// The product of two columns that are short numbers, if it is short itself: what most
    /// calculations are. `None` if it takes the long way, NULL included.
    pub(super) fn short_product<B: Bindings>(&self, bindings: &B, ty: Type) -> Option<Decimal> {
        let (ArithmeticOp::Multiply, Type::Decimal { scale, .. }) = (self.op, ty) else {
            return None;
        };
        let (a, scale_a) = self.left.short(bindings)?;
        let (b, scale_b) = self.right.short(bindings)?;
        let product = a.checked_mul(b)?;
        let product_scale = scale_a + scale_b;
        (product != 0 && product_scale <= scale).then(|| Decimal::new(product, product_scale))
    }

    /// Whole numbers: signed or unsigned by the expression's type. DIV takes DECIMALs too.
    fn whole(
        &self,
        left: &Value<'_>,
        right: &Value<'_>,
        unsigned: bool,
    ) -> Result<Option<Value<'static>>, EvalError> {
        let (Some(a), Some(b)) = (as_decimal(left), as_decimal(right)) else { return Ok(None) };
        let (exact_a, exact_b) = (a, b);
        let (a, b) = (a.unscaled(), b.unscaled());
        let result = match self.op {
            ArithmeticOp::Add => a.checked_add(b),
            ArithmeticOp::Subtract => a.checked_sub(b),
            ArithmeticOp::Multiply => a.checked_mul(b),
            _ if b == I256::ZERO => return Ok(None),
            ArithmeticOp::Divide | ArithmeticOp::DivideWhole => whole_quotient(exact_a, exact_b),
            ArithmeticOp::Remainder => a.checked_rem(b),
        };
        let fitting = result.and_then(|result| {
            if unsigned {
                u64::try_from(result).ok().map(Value::UInt)
            } else {
                i64::try_from(result).ok().map(Value::Int)
            }
        });
        let kind = if unsigned { "BIGINT UNSIGNED" } else { "BIGINT" };
        fitting.map(Some).ok_or_else(|| EvalError::out_of_range(kind, &self.sql))
    }
}

/// The sum with the larger scale; numbers that cancel out come to a zero without one, as in
/// MySQL, where only printing gives it the scale of its type. `None` on overflow.
pub fn add(a: Decimal, b: Decimal) -> Option<Decimal> {
    let sum = a.checked_add(b)?;
    Some(if a.is_negative() != b.is_negative() { plain_zero(sum) } else { sum })
}

fn subtract(a: Decimal, b: Decimal) -> Option<Decimal> {
    let difference = a.checked_sub(b)?;
    Some(if a.is_negative() == b.is_negative() { plain_zero(difference) } else { difference })
}

/// The quotient as MySQL's decimals have it: cut, not rounded, behind the last whole word of
/// digits. `2.00000 / 3` is `0.666666666`. `None` by zero or on overflow.
pub fn divide(a: Decimal, b: Decimal, scale_added: u8) -> Option<Decimal> {
    if a == Decimal::new(0, 0) {
        return (b != Decimal::new(0, 0)).then_some(Decimal::new(0, 0));
    }
    let padded = |scale: u8| scale.div_ceil(DIGITS_PER_WORD) * DIGITS_PER_WORD;
    let (padded_a, padded_b) = (padded(a.scale()), padded(b.scale()));
    let padding = (padded_a - a.scale()) + (padded_b - b.scale());
    let digits = padded_a + padded_b + scale_added.saturating_sub(padding);
    a.checked_div_cut(b, padded(digits))
}

/// The number, rounded if it has more than `scale` digits after the point.
pub(super) fn at_most(value: Decimal, scale: u8) -> Option<Decimal> {
    if value.scale() > scale { value.rescale(scale) } else { Some(value) }
}

pub(super) fn negated(value: Decimal) -> Decimal {
    Decimal::new(-value.unscaled(), value.scale())
}

fn plain_zero(value: Decimal) -> Decimal {
    if value.unscaled() == I256::ZERO { Decimal::new(0, 0) } else { value }
}

/// The remainder with the larger scale; the sign is the left number's.
fn remainder(a: Decimal, b: Decimal) -> Option<Decimal> {
    let scale = a.scale().max(b.scale());
    let (a, b) = (a.rescale(scale)?, b.rescale(scale)?);
    Some(Decimal::new(a.unscaled().checked_rem(b.unscaled())?, scale))
}

fn whole_quotient(a: Decimal, b: Decimal) -> Option<I256> {
    let scale = a.scale().max(b.scale());
    a.rescale(scale)?.unscaled().checked_div(b.rescale(scale)?.unscaled())
}

/// Words of digits that a decimal takes at most, those before and after the point apart.
fn words(value: Decimal) -> u32 {
    let scale = u32::from(value.scale());
    if value.small().is_some() {
        return 3 + scale.div_ceil(u32::from(DIGITS_PER_WORD));
    }
    let digits = value.digits();
    let per_word = u32::from(DIGITS_PER_WORD);
    digits.saturating_sub(scale).div_ceil(per_word) + scale.div_ceil(per_word)
}
