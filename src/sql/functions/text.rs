//! Functions of text. Numbers, dates and JSON become text where text is wanted, as MySQL has it;
//! numbers become whole ones where places and lengths are.

use sqlparser::ast::TrimWhereField;

use super::super::collations::{compared_collation, inexact, joint_collation};
use super::super::expr::{CompareOp, Compute, Expr, ExprKind, kernels};
use super::super::operators::{case, compare_by, equal_bits, joined_text};
use super::super::typing::{BIGINT, BOOLEAN, has_text, is_numeric, type_name};
use super::{Function, MANY, constant, kernel};
use crate::value::{Collation, Type, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "ASCII", arity: 1..=1, build: ascii },
    Function { name: "BIN_TO_UUID", arity: 1..=2, build: uuid_text },
    Function { name: "BIT_LENGTH", arity: 1..=1, build: bit_length },
    Function { name: "CHARACTER_LENGTH", arity: 1..=1, build: char_length },
    Function { name: "CHAR_LENGTH", arity: 1..=1, build: char_length },
    Function { name: "CONCAT", arity: 1..=MANY, build: concat },
    Function { name: "CONCAT_WS", arity: 2..=MANY, build: concat_separated },
    Function { name: "ELT", arity: 2..=MANY, build: elt },
    Function { name: "FIELD", arity: 2..=MANY, build: field },
    Function { name: "HEX", arity: 1..=1, build: hex },
    Function { name: "INSERT", arity: 4..=4, build: insert },
    Function { name: "INSTR", arity: 2..=2, build: instr },
    Function { name: "LCASE", arity: 1..=1, build: lower },
    Function { name: "LEFT", arity: 2..=2, build: left },
    Function { name: "LENGTH", arity: 1..=1, build: length },
    Function { name: "LOCATE", arity: 2..=3, build: locate },
    Function { name: "LOWER", arity: 1..=1, build: lower },
    Function { name: "LPAD", arity: 3..=3, build: pad_left },
    Function { name: "LTRIM", arity: 1..=1, build: trim_left },
    Function { name: "MID", arity: 3..=3, build: substring },
    Function { name: "OCTET_LENGTH", arity: 1..=1, build: length },
    Function { name: "ORD", arity: 1..=1, build: ord },
    Function { name: "REPEAT", arity: 2..=2, build: repeat },
    Function { name: "REPLACE", arity: 3..=3, build: replace },
    Function { name: "REVERSE", arity: 1..=1, build: reverse },
    Function { name: "RIGHT", arity: 2..=2, build: right },
    Function { name: "RPAD", arity: 3..=3, build: pad_right },
    Function { name: "RTRIM", arity: 1..=1, build: trim_right },
    Function { name: "SPACE", arity: 1..=1, build: space },
    Function { name: "STRCMP", arity: 2..=2, build: strcmp },
    Function { name: "SUBSTR", arity: 2..=3, build: substring },
    Function { name: "SUBSTRING", arity: 2..=3, build: substring },
    Function { name: "SUBSTRING_INDEX", arity: 3..=3, build: substring_index },
    Function { name: "TRIM", arity: 1..=1, build: trim_spaces },
    Function { name: "UCASE", arity: 1..=1, build: upper },
    Function { name: "UPPER", arity: 1..=1, build: upper },
];

/// What an argument is.
#[derive(Clone, Copy)]
enum Takes {
    Text,
    Whole,
}
use Takes::{Text, Whole};

fn concat(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = joined_text(&arguments)?;
    let nullable = arguments.iter().any(|argument| argument.nullable);
    Ok(Expr::new(ExprKind::Concat(arguments), ty, nullable))
}

fn concat_separated(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let ty = joined_text(&arguments)?;
    let nullable = arguments[0].nullable;
    Ok(Expr::new(ExprKind::ConcatSeparated(arguments), ty, nullable))
}

fn upper(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    cased("UPPER", kernels::upper, arguments)
}

fn lower(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    cased("LOWER", kernels::lower, arguments)
}

/// Which letters have a case depends on the collation, too.
fn cased(name: &'static str, compute: Compute, arguments: Vec<Expr>) -> Result<Expr, String> {
    let made = made(name, compute, arguments, &[Text])?;
    let Type::Text(collation) = made.ty else { return Ok(made) };
    inexact("takes the case of", collation).map_or(Ok(made), Err)
}

fn left(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    made("LEFT", kernels::left, arguments, &[Text, Whole])
}

fn right(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    made("RIGHT", kernels::right, arguments, &[Text, Whole])
}

fn substring(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    made("SUBSTRING", kernels::substring, arguments, &[Text, Whole, Whole])
}

fn substring_index(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    made("SUBSTRING_INDEX", kernels::substring_index, arguments, &[Text, Text, Whole])
}

fn replace(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    made("REPLACE", kernels::replace, arguments, &[Text, Text, Text])
}

fn insert(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    made("INSERT", kernels::insert, arguments, &[Text, Whole, Whole, Text])
}

fn reverse(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    made("REVERSE", kernels::reverse, arguments, &[Text])
}

fn repeat(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let repeated = made("REPEAT", kernels::repeat, arguments, &[Text, Whole])?;
    Ok(Expr { nullable: true, ..repeated })
}

fn space(mut arguments: Vec<Expr>, sql: String) -> Result<Expr, String> {
    let space = ExprKind::Literal(Value::Text(" ".into()));
    arguments.insert(0, Expr::new(space, Type::Text(Collation::CONNECTION), false));
    repeat(arguments, sql)
}

fn pad_left(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let padded = made("LPAD", kernels::pad_left, arguments, &[Text, Whole, Text])?;
    Ok(Expr { nullable: true, ..padded })
}

fn pad_right(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let padded = made("RPAD", kernels::pad_right, arguments, &[Text, Whole, Text])?;
    Ok(Expr { nullable: true, ..padded })
}

fn trim_left(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    trim(Some(TrimWhereField::Leading), arguments)
}

fn trim_right(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    trim(Some(TrimWhereField::Trailing), arguments)
}

fn trim_spaces(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    trim(None, arguments)
}

/// `TRIM(side what FROM text)` of the text and what is taken from it, spaces without.
pub(in crate::sql) fn trim(
    side: Option<TrimWhereField>,
    arguments: Vec<Expr>,
) -> Result<Expr, String> {
    let (name, compute): (_, Compute) = match side {
        Some(TrimWhereField::Leading) => ("LTRIM", kernels::trim_left),
        Some(TrimWhereField::Trailing) => ("RTRIM", kernels::trim_right),
        Some(TrimWhereField::Both) | None => ("TRIM", kernels::trim),
    };
    made(name, compute, arguments, &[Text, Text])
}

fn char_length(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    counted("CHAR_LENGTH", kernels::characters, arguments)
}

fn length(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    counted("LENGTH", kernels::octets, arguments)
}

fn bit_length(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    counted("BIT_LENGTH", kernels::bits, arguments)
}

fn ascii(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    counted("ASCII", kernels::ascii, arguments)
}

fn ord(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    counted("ORD", kernels::ord, arguments)
}

fn counted(name: &'static str, compute: Compute, arguments: Vec<Expr>) -> Result<Expr, String> {
    Ok(kernel(name, compute, converted(arguments, &[Text])?, BIGINT))
}

fn hex(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let takes = match arguments[0].ty {
        Type::Float | Type::Double => {
            return Err("takes the digits of FLOAT or DOUBLE: CAST to SIGNED first".to_owned());
        }
        ty if is_numeric(ty) && !matches!(ty, Type::Bit { .. }) => Whole,
        _ => Text,
    };
    let arguments = match arguments[0].ty {
        Type::Bytes => arguments,
        _ => converted(arguments, &[takes])?,
    };
    Ok(kernel("HEX", kernels::hex, arguments, Type::Text(Collation::CONNECTION)))
}

/// BIN_TO_UUID: the text of a UUID, of bytes whose parts of time may be swapped.
fn uuid_text(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    if arguments[0].ty != Type::Bytes {
        let ty = type_name(arguments[0].ty);
        return Err(format!("takes {ty} for the bytes of a UUID: write a BINARY(16)"));
    }
    let swapped = match arguments.get(1).map(|swapped| &swapped.kind) {
        None | Some(ExprKind::Literal(Value::Int(0)) | ExprKind::Boolean(false)) => 0,
        Some(ExprKind::Literal(Value::Int(1)) | ExprKind::Boolean(true)) => 1,
        Some(_) => return Err("has a second argument that is neither 0 nor 1".to_owned()),
    };
    arguments.truncate(1);
    arguments.push(constant(swapped));
    Ok(kernel("BIN_TO_UUID", kernels::uuid_text, arguments, Type::Text(Collation::CONNECTION)))
}

fn strcmp(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let arguments = converted(arguments, &[Text, Text])?;
    let compute: Compute = match known_collation(&arguments)? {
        Collation::Insensitive => kernels::compared::<kernels::Letters>,
        Collation::Padded | Collation::NarrowPadded => kernels::compared::<kernels::Filled>,
        _ => kernels::compared::<kernels::Bytes>,
    };
    Ok(kernel("STRCMP", compute, arguments, BOOLEAN))
}

fn instr(mut arguments: Vec<Expr>, sql: String) -> Result<Expr, String> {
    arguments.swap(0, 1);
    locate(arguments, sql)
}

fn locate(arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let arguments = converted(arguments, &[Text, Text, Whole])?;
    known_collation(&arguments[..2])?;
    // MySQL compares as the text does that is searched, whichever of the two collations is stronger.
    let compute: Compute = match known_collation(&arguments[1..2])? {
        Collation::Insensitive => kernels::locate::<kernels::Letters>,
        _ => kernels::locate::<kernels::Bytes>,
    };
    Ok(kernel("LOCATE", compute, arguments, BIGINT))
}

/// `text LIKE pattern ESCAPE escape`; an escape of `None` is none.
pub(in crate::sql) fn like(
    text: Expr,
    pattern: Expr,
    escape: Option<char>,
) -> Result<Expr, String> {
    let mut arguments = converted(vec![text, pattern], &[Text, Text])?;
    let compute: Compute = match known_collation(&arguments)? {
        Collation::Insensitive => kernels::like::<kernels::Letters>,
        _ => kernels::like::<kernels::Bytes>,
    };
    let escape = Value::Text(escape.map_or_else(String::new, String::from).into());
    let ty = Type::Text(Collation::CONNECTION);
    arguments.push(Expr::new(ExprKind::Literal(escape), ty, false));
    Ok(kernel("LIKE", compute, arguments, BOOLEAN))
}

/// FIELD: the place of the first among the others, 0 for none.
fn field(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let wanted = arguments.remove(0);
    // Unlike other comparisons, by the collation of the first alone.
    let collation = match wanted.ty {
        Type::Text(collation) => collation,
        _ => Collation::CONNECTION,
    };
    let all_whole = wanted.ty.is_integer() && arguments.iter().all(|other| other.ty.is_integer());
    let branches = arguments.into_iter().zip(1..).map(|(other, place)| {
        let equal = match all_whole {
            true => equal_bits(wanted.clone(), other, collation)?,
            false => compare_by(CompareOp::Equal, wanted.clone(), other, collation)?,
        };
        Ok((equal, constant(place)))
    });
    case(branches.collect::<Result<_, String>>()?, Some(constant(0)))
}

/// ELT: one of the others, by its place.
fn elt(mut arguments: Vec<Expr>, _: String) -> Result<Expr, String> {
    let place = whole(arguments.remove(0))?;
    let ty = joined_text(&arguments)?;
    let branches = arguments.into_iter().zip(1..).map(|(text, number)| {
        let equal =
            compare_by(CompareOp::Equal, place.clone(), constant(number), Collation::Binary)?;
        Ok((equal, as_text(text)?))
    });
    let chosen = case(branches.collect::<Result<_, String>>()?, None)?;
    Ok(Expr { ty, ..chosen })
}

/// A call of a function whose text has the collation of its first argument.
fn made(
    name: &'static str,
    compute: Compute,
    arguments: Vec<Expr>,
    takes: &[Takes],
) -> Result<Expr, String> {
    let arguments = converted(arguments, takes)?;
    let texts: Vec<&Expr> = arguments
        .iter()
        .zip(takes)
        .filter(|(_, takes)| matches!(takes, Text))
        .map(|a| a.0)
        .collect();
    joint_collation(&texts)?;
    let ty =
        if texts[0].is_null_literal() { Type::Text(Collation::CONNECTION) } else { texts[0].ty };
    Ok(kernel(name, compute, arguments, ty))
}

/// The collation that texts are compared by, if it is one that can be.
fn known_collation(texts: &[Expr]) -> Result<Collation, String> {
    let texts: Vec<&Expr> = texts.iter().collect();
    let collation = compared_collation(&texts)?;
    inexact("compares", collation).map_or(Ok(collation), Err)
}

fn converted(arguments: Vec<Expr>, takes: &[Takes]) -> Result<Vec<Expr>, String> {
    let converted = arguments.into_iter().zip(takes).map(|(argument, takes)| match takes {
        Text => as_text(argument),
        Whole => whole(argument),
    });
    converted.collect()
}

/// An argument as text.
fn as_text(argument: Expr) -> Result<Expr, String> {
    has_text(&argument)?;
    if matches!(argument.ty, Type::Text(_)) {
        return Ok(argument);
    }
    let ty = Type::Text(joint_collation(&[&argument])?);
    let nullable = argument.nullable;
    Ok(Expr::new(ExprKind::Text(Box::new(argument), None), ty, nullable))
}

/// An argument as a whole number, rounded as MySQL rounds it.
fn whole(argument: Expr) -> Result<Expr, String> {
    if argument.ty.is_integer() || argument.is_null_literal() {
        return Ok(argument);
    }
    if !is_numeric(argument.ty) {
        let ty = type_name(argument.ty);
        return Err(format!("takes {ty} for a number of characters: write a number, or CAST"));
    }
    let nullable = argument.nullable;
    Ok(Expr::new(ExprKind::Cast(Box::new(argument)), BIGINT, nullable))
}
