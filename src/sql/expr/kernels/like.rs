//! LIKE: `%` stands for any characters, `_` for one, and what is behind the escape for itself.

use std::str::Chars;

use super::super::EvalError;
use super::text::By;
use crate::value::{Type, Value};

/// LIKE of a text, a pattern, and the escape: a character, or empty for none.
pub(in crate::sql) fn like<'v, C: By>(
    values: &[Value<'v>],
    _: Type,
) -> Result<Value<'v>, EvalError> {
    let [Value::Text(text), Value::Text(pattern), Value::Text(escape)] = values else {
        return Ok(Value::Null);
    };
    let same = |a, b| C::COLLATION.same_character(a, b);
    let matches = matches(text.chars(), pattern.chars(), escape.chars().next(), same);
    Ok(Value::Int(i64::from(matches)))
}

fn matches(
    mut text: Chars<'_>,
    mut pattern: Chars<'_>,
    escape: Option<char>,
    same: impl Fn(char, char) -> bool,
) -> bool {
    // Behind the last `%`: where the rest of the pattern was tried last, and that rest.
    let mut tried: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let fits = match pattern.next() {
            None if text.as_str().is_empty() => return true,
            None => false,
            Some('%') => {
                tried = Some((text.clone(), pattern.clone()));
                true
            }
            Some(c) => {
                let escaped = if Some(c) == escape { pattern.next() } else { None };
                match (text.next(), escaped) {
                    (None, _) => false,
                    (Some(_), None) if c == '_' => true,
                    (Some(found), escaped) => same(found, escaped.unwrap_or(c)),
                }
            }
        };
        if !fits {
            let Some((from, rest)) = &mut tried else { return false };
            if from.next().is_none() {
                return false;
            }
            (text, pattern) = (from.clone(), rest.clone());
        }
    }
}
