//! Functions of text. Their arguments are texts and whole numbers: the planner converts others.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::super::EvalError;
use crate::value::{Collation, Type, Value};

/// The longest text that REPEAT makes, in bytes: NULL beyond, as MySQL has it with its default
/// `max_allowed_packet`.
const REPEATED_MAX: usize = 64 << 20;
/// The longest text that LPAD and RPAD make, in characters: NULL beyond.
const PADDED_MAX: usize = 16 << 20;

/// UPPER.
pub(in crate::sql) fn upper<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    Ok(owned(collation(ty).upper(text(&values[0]))))
}

/// LOWER.
pub(in crate::sql) fn lower<'v>(values: &[Value<'v>], ty: Type) -> Result<Value<'v>, EvalError> {
    Ok(owned(collation(ty).lower(text(&values[0]))))
}

/// CHAR_LENGTH.
pub(in crate::sql) fn characters<'v>(
    values: &[Value<'v>],
    _: Type,
) -> Result<Value<'v>, EvalError> {
    Ok(number(text(&values[0]).chars().count()))
}

/// LENGTH.
pub(in crate::sql) fn octets<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    Ok(number(text(&values[0]).len()))
}

/// BIT_LENGTH.
pub(in crate::sql) fn bits<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    Ok(number(text(&values[0]).len() * 8))
}

/// ASCII: the first byte.
pub(in crate::sql) fn ascii<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    Ok(number(text(&values[0]).bytes().next().map_or(0, usize::from)))
}

/// ORD: the bytes of the first character as one number.
pub(in crate::sql) fn ord<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let text = text(&values[0]);
    let first = &text.as_bytes()[..place(text, 1)];
    Ok(number(first.iter().fold(0, |bytes, byte| bytes << 8 | usize::from(*byte))))
}

/// HEX of text, bytes, or a whole number.
pub(in crate::sql) fn hex<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let of_bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(owned(match &values[0] {
        Value::Int(v) => format!("{v:X}"),
        Value::UInt(v) => format!("{v:X}"),
        Value::Bytes(bytes) => of_bytes(bytes),
        value => of_bytes(text(value).as_bytes()),
    }))
}

/// BIN_TO_UUID, of bytes that have the parts of time as in the text, or the slowest first.
pub(in crate::sql) fn uuid_text<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let (Value::Bytes(bytes), swapped) = (&values[0], whole(&values[1]) == 1) else {
        return Ok(Value::Null);
    };
    let Ok(bytes) = <[u8; 16]>::try_from(&bytes[..]) else {
        let reason = format!("{} bytes are no UUID", bytes.len());
        return Err(EvalError::new(1411, reason));
    };
    let parts = if swapped { [4..8, 2..4, 0..2] } else { [0..4, 4..6, 6..8] };
    let parts = parts.into_iter().chain([8..10, 10..16]);
    let digits = |part: std::ops::Range<usize>| {
        bytes[part].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    Ok(owned(parts.map(digits).collect::<Vec<_>>().join("-")))
}

/// REVERSE.
pub(in crate::sql) fn reverse<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    Ok(owned(text(&values[0]).chars().rev().collect()))
}

/// LEFT.
pub(in crate::sql) fn left<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let end = place(text(&values[0]), count(&values[1]));
    Ok(part(&values[0], 0, end))
}

/// RIGHT.
pub(in crate::sql) fn right<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let text = text(&values[0]);
    Ok(part(&values[0], place_from_end(text, count(&values[1])), text.len()))
}

/// SUBSTRING: from a place counted from 1, or from the end where it is negative; perhaps so many
/// characters.
pub(in crate::sql) fn substring<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let text = text(&values[0]);
    let start = match whole(&values[1]) {
        0 => text.len(),
        from @ 1.. => place(text, usize::try_from(from - 1).unwrap_or(usize::MAX)),
        from => {
            let back = usize::try_from(from.unsigned_abs()).unwrap_or(usize::MAX);
            // What begins before the text is empty.
            if text.chars().count() < back { text.len() } else { place_from_end(text, back) }
        }
    };
    let length = values.get(2).map_or(usize::MAX, count);
    Ok(part(&values[0], start, start + place(&text[start..], length)))
}

/// LPAD.
pub(in crate::sql) fn pad_left<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    Ok(padded(values, |text, padding| format!("{padding}{text}")))
}

/// RPAD.
pub(in crate::sql) fn pad_right<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    Ok(padded(values, |text, padding| format!("{text}{padding}")))
}

/// REPEAT.
pub(in crate::sql) fn repeat<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let (text, times) = (text(&values[0]), count(&values[1]));
    if text.is_empty() || times == 0 {
        return Ok(owned(String::new()));
    }
    let fits = text.len().checked_mul(times).is_some_and(|bytes| bytes <= REPEATED_MAX);
    Ok(if fits { owned(text.repeat(times)) } else { Value::Null })
}

/// INSERT: so many characters from a place on, exchanged.
pub(in crate::sql) fn insert<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let (text, from, new) = (text(&values[0]), whole(&values[1]), text(&values[3]));
    let start = usize::try_from(from).ok().filter(|from| (1..=text.chars().count()).contains(from));
    let Some(start) = start.map(|from| place(text, from - 1)) else { return Ok(values[0].clone()) };
    // A negative number of characters is all of them.
    let length = usize::try_from(whole(&values[2])).unwrap_or(usize::MAX);
    let end = start + place(&text[start..], length);
    Ok(owned([&text[..start], new, &text[end..]].concat()))
}

/// REPLACE, whatever the collation by bytes.
pub(in crate::sql) fn replace<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let (all, from) = (text(&values[0]), text(&values[1]));
    if from.is_empty() || !all.contains(from) {
        return Ok(values[0].clone());
    }
    Ok(owned(all.replace(from, text(&values[2]))))
}

/// LTRIM, and TRIM of what is before.
pub(in crate::sql) fn trim_left<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let (all, what) = trimmed(values);
    Ok(part(&values[0], all.len() - all.trim_start_matches(what).len(), all.len()))
}

/// RTRIM, and TRIM of what is behind.
pub(in crate::sql) fn trim_right<'v>(
    values: &[Value<'v>],
    _: Type,
) -> Result<Value<'v>, EvalError> {
    let (all, what) = trimmed(values);
    Ok(part(&values[0], 0, all.trim_end_matches(what).len()))
}

/// TRIM of both sides.
pub(in crate::sql) fn trim<'v>(values: &[Value<'v>], _: Type) -> Result<Value<'v>, EvalError> {
    let (all, what) = trimmed(values);
    let start = all.len() - all.trim_start_matches(what).len();
    let end = start + all[start..].trim_end_matches(what).len();
    Ok(part(&values[0], start, end))
}

/// SUBSTRING_INDEX: what is before so many delimiters, or behind so many counted from the end.
pub(in crate::sql) fn substring_index<'v>(
    values: &[Value<'v>],
    _: Type,
) -> Result<Value<'v>, EvalError> {
    let (all, delimiter, wanted) = (text(&values[0]), text(&values[1]), whole(&values[2]));
    if delimiter.is_empty() || wanted == 0 {
        return Ok(owned(String::new()));
    }
    let nth = |number: i64| {
        let before = usize::try_from(number - 1).ok()?;
        all.match_indices(delimiter).nth(before).map(|(at, _)| at)
    };
    if wanted > 0 {
        return Ok(part(&values[0], 0, nth(wanted).unwrap_or(all.len())));
    }
    // They are counted from the front all the same.
    let all_of_them = all.matches(delimiter).count() as i64;
    let start = nth(all_of_them.saturating_add(wanted).saturating_add(1));
    Ok(part(&values[0], start.map_or(0, |at| at + delimiter.len()), all.len()))
}

/// Texts that compare by a collation.
pub(in crate::sql) trait By {
    /// The collation.
    const COLLATION: Collation;
}

/// By letters, whatever their case and accents.
pub(in crate::sql) struct Letters;
/// By bytes, filled up with spaces.
pub(in crate::sql) struct Filled;
/// By bytes.
pub(in crate::sql) struct Bytes;

impl By for Letters {
    const COLLATION: Collation = Collation::Insensitive;
}

impl By for Filled {
    const COLLATION: Collation = Collation::Padded;
}

impl By for Bytes {
    const COLLATION: Collation = Collation::Binary;
}

/// STRCMP.
pub(in crate::sql) fn compared<'v, C: By>(
    values: &[Value<'v>],
    _: Type,
) -> Result<Value<'v>, EvalError> {
    let order = C::COLLATION.compare(text(&values[0]), text(&values[1]));
    Ok(Value::Int(match order {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

/// LOCATE: where the first text is found in the second, perhaps from a place on; counted from 1,
/// 0 for nowhere.
pub(in crate::sql) fn locate<'v, C: By>(
    values: &[Value<'v>],
    _: Type,
) -> Result<Value<'v>, EvalError> {
    let (wanted, all) = (text(&values[0]), text(&values[1]));
    let from = values.get(2).map_or(1, whole);
    let characters = all.chars().count();
    let before = usize::try_from(from).ok().and_then(|from| from.checked_sub(1));
    let Some(before) = before.filter(|before| *before <= characters) else {
        return Ok(Value::Int(0));
    };
    let start = place(all, before);
    let found = C::COLLATION.find(wanted, &all[start..]);
    Ok(number(found.map_or(0, |at| before + all[start..start + at].chars().count() + 1)))
}

fn padded<'v>(values: &[Value<'v>], join: impl Fn(&str, &str) -> String) -> Value<'v> {
    let (all, pad) = (text(&values[0]), text(&values[2]));
    let Ok(wanted) = usize::try_from(whole(&values[1])) else { return Value::Null };
    let characters = all.chars().count();
    if wanted <= characters || pad.is_empty() {
        return part(&values[0], 0, place(all, wanted));
    }
    if wanted > PADDED_MAX {
        return Value::Null;
    }
    let padding: String = pad.chars().cycle().take(wanted - characters).collect();
    owned(join(all, &padding))
}

/// A text and what is to be taken from its ends: a space if nothing is said.
fn trimmed<'s>(values: &'s [Value<'_>]) -> (&'s str, &'s str) {
    (text(&values[0]), values.get(1).map_or(" ", text))
}

fn text<'s>(value: &'s Value<'_>) -> &'s str {
    match value {
        Value::Text(text) | Value::Json(text) => text,
        _ => "",
    }
}

/// A part of a text, which is not copied if the text is not this value's own.
fn part<'v>(value: &Value<'v>, start: usize, end: usize) -> Value<'v> {
    Value::Text(match value {
        Value::Text(Cow::Borrowed(text)) => Cow::Borrowed(&text[start..end]),
        value => Cow::Owned(text(value)[start..end].to_owned()),
    })
}

/// Where a text's nth character begins, from 0; its end beyond the last.
fn place(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

/// Where the last characters of a text begin; its start if it has not so many.
fn place_from_end(text: &str, characters: usize) -> usize {
    match characters.checked_sub(1) {
        None => text.len(),
        Some(before) => text.char_indices().rev().nth(before).map_or(0, |(at, _)| at),
    }
}

fn whole(value: &Value<'_>) -> i64 {
    match value {
        Value::Int(v) => *v,
        Value::UInt(v) => i64::try_from(*v).unwrap_or(i64::MAX),
        _ => 0,
    }
}

/// A number of characters; none if it is negative.
fn count(value: &Value<'_>) -> usize {
    usize::try_from(whole(value)).unwrap_or(0)
}

fn collation(ty: Type) -> Collation {
    match ty {
        Type::Text(collation) => collation,
        _ => Collation::Other,
    }
}

fn number(value: usize) -> Value<'static> {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn owned(text: String) -> Value<'static> {
    Value::Text(Cow::Owned(text))
}
