//! The order of values, as ORDER BY, MIN and MAX see it.

use std::cmp::Ordering;

use super::{Type, Value};

/// Orders two values of a type as [`compare`] does, text by the type's collation.
#[inline]
pub fn compare_as(ty: Type, a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (ty, a, b) {
        (Type::Text(collation), Value::Text(a), Value::Text(b)) => collation.compare(a, b),
        _ => compare(a, b),
    }
}

/// Orders two values of one type: NULL first, numbers by number whatever their type, text and
/// bytes by their bytes, instants by time. Total: values whose types do not compare in MySQL order
/// by their kind.
pub fn compare(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::UInt(a), Value::UInt(b)) => a.cmp(b),
        (Value::Int(a), Value::UInt(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (Value::UInt(a), Value::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Text(a) | Value::Json(a), Value::Text(b) | Value::Json(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::DateTime(a) | Value::Timestamp(a), Value::DateTime(b) | Value::Timestamp(b)) => {
            a.cmp(b)
        }
        _ => match (exact(a), exact(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => match (floating(a), floating(b)) {
                (Some(a), Some(b)) => by_number(a, b),
                _ => kind(a).cmp(&kind(b)),
            },
        },
    }
}

fn exact(value: &Value<'_>) -> Option<super::Decimal> {
    match value {
        Value::Int(v) => Some(super::Decimal::new(*v, 0)),
        Value::UInt(v) => Some(super::Decimal::new(*v, 0)),
        Value::Decimal(v) => Some(*v),
        _ => None,
    }
}

fn floating(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(v) => Some(*v as f64),
        Value::UInt(v) => Some(*v as f64),
        Value::Decimal(v) => v.to_string().parse().ok(),
        Value::Float(v) => Some(f64::from(*v)),
        Value::Double(v) => Some(*v),
        _ => None,
    }
}

/// Both zeros are equal; what is not a number, which MySQL does not store, has its own place.
fn by_number(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))
}

fn kind(value: &Value<'_>) -> u8 {
    match value {
        Value::Null => 0,
        Value::Int(_) | Value::UInt(_) | Value::Decimal(_) | Value::Float(_) | Value::Double(_) => {
            1
        }
        Value::Date(_) => 2,
        Value::Time(_) => 3,
        Value::DateTime(_) | Value::Timestamp(_) => 4,
        Value::Text(_) | Value::Json(_) => 5,
        Value::Bytes(_) => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decimal;
    use super::*;

    #[test]
    fn values_order_as_mysql_orders_them() {
        let decimal = |text: &str| Value::Decimal(Decimal::parse(text).unwrap());
        for ordered in [
            vec![Value::Null, Value::Int(-1), Value::UInt(0), Value::UInt(u64::MAX)],
            vec![
                Value::Int(-2),
                decimal("-1.99"),
                Value::Float(-1.5),
                Value::UInt(3),
                decimal("3.01"),
            ],
            vec![
                Value::Null,
                Value::Text("".into()),
                Value::Text("Z".into()),
                Value::Text("a".into()),
            ],
            vec![Value::Null, Value::Timestamp(-5), Value::Timestamp(7)],
        ] {
            for (i, a) in ordered.iter().enumerate() {
                for (j, b) in ordered.iter().enumerate() {
                    assert_eq!(compare(a, b), i.cmp(&j), "{a:?} {b:?}");
                }
            }
        }
        assert_eq!(compare(&decimal("21.50"), &decimal("21.5")), Ordering::Equal);
        assert_eq!(compare(&Value::Double(0.0), &Value::Double(-0.0)), Ordering::Equal);
    }
}
