//! A column's declared type.

use sqlparser::tokenizer::Token;

use super::catalog::Unreadable;
use super::tokens::Lexeme;
use crate::value::{Collation, Type};

/// A type as declared.
pub(super) struct DeclaredType {
    /// As MySQL's `COLUMN_TYPE` spells it.
    pub(super) declared: String,
    pub(super) kind: Result<Type, Unreadable>,
    pub(super) zerofill: bool,
    /// ENUM and SET, which order by the index of their values.
    pub(super) by_index: bool,
}

/// Reads the type that a column's declaration begins with; `None` if MySQL has no such type.
pub(super) fn read(lexemes: &[Lexeme]) -> Option<DeclaredType> {
    let word = lexemes.first()?.word()?;
    let mut rest = &lexemes[1..];
    let mut take = |word: &str| {
        let there = rest.first().is_some_and(|lexeme| lexeme.is_word(word));
        if there {
            rest = &rest[1..];
        }
        there
    };
    let mut name = word.to_lowercase();
    match word.as_str() {
        "DOUBLE" => drop(take("PRECISION")),
        "CHAR" | "CHARACTER" | "NCHAR" if take("VARYING") => name = "varchar".to_owned(),
        "LONG" => {
            name = if take("VARBINARY") { "mediumblob" } else { "mediumtext" }.to_owned();
            take("VARCHAR");
        }
        "NATIONAL" => {
            name = if take("VARCHAR") { "varchar" } else { "char" }.to_owned();
            if take("CHAR") && take("VARYING") {
                name = "varchar".to_owned();
            }
        }
        _ => {}
    }
    let arguments = arguments(rest);
    let attribute = |word: &str| rest.iter().take(8).any(|lexeme| lexeme.is_word(word));
    let zerofill = attribute("ZEROFILL");
    let unsigned = attribute("UNSIGNED") || zerofill || name == "serial";
    let numbers: Vec<u8> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let (canonical, kind) = kind(&name, &numbers, unsigned)?;
    let mut declared = canonical.to_owned();
    if shows_arguments(canonical, &kind) && !arguments.is_empty() {
        declared = format!("{declared}({})", arguments.join(","));
    } else if canonical == "decimal" {
        declared.push_str("(10,0)");
    }
    for (word, there) in [("unsigned", unsigned && is_number(&kind)), ("zerofill", zerofill)] {
        if there {
            declared = format!("{declared} {word}");
        }
    }
    Some(DeclaredType { declared, kind, zerofill, by_index: matches!(canonical, "enum" | "set") })
}

/// MySQL's own name of a type, and the type.
fn kind(
    name: &str,
    arguments: &[u8],
    unsigned: bool,
) -> Option<(&'static str, Result<Type, Unreadable>)> {
    let int = |bytes| Ok(Type::Int { bytes, unsigned });
    let fsp = arguments.first().copied().unwrap_or(0).min(6);
    let text = Ok(Type::Text(Collation::Other));
    Some(match name {
        "tinyint" | "int1" | "bool" | "boolean" => ("tinyint", int(1)),
        "smallint" | "int2" => ("smallint", int(2)),
        "mediumint" | "int3" | "middleint" => ("mediumint", int(3)),
        "int" | "integer" | "int4" => ("int", int(4)),
        "bigint" | "int8" | "serial" => ("bigint", int(8)),
        "decimal" | "numeric" | "dec" | "fixed" => {
            let precision = arguments.first().copied().unwrap_or(10);
            let scale = arguments.get(1).copied().unwrap_or(0);
            ("decimal", Ok(Type::Decimal { precision, scale }))
        }
        "float" | "float4" | "double" | "float8" | "real" if arguments.len() > 1 => {
            ("double", Err(Unreadable::FixedDigits))
        }
        "float" if arguments.first().is_some_and(|p| *p > 24) => ("double", Ok(Type::Double)),
        "float" | "float4" => ("float", Ok(Type::Float)),
        "double" | "float8" | "real" => ("double", Ok(Type::Double)),
        "bit" => ("bit", Ok(Type::Bit { bits: arguments.first().copied().unwrap_or(1) })),
        "char" | "character" | "nchar" => ("char", text),
        "varchar" | "varcharacter" | "nvarchar" => ("varchar", text),
        "tinytext" => ("tinytext", text),
        "text" => ("text", text),
        "mediumtext" => ("mediumtext", text),
        "longtext" => ("longtext", text),
        "enum" => ("enum", text),
        "set" => ("set", text),
        "binary" => ("binary", Ok(Type::Bytes)),
        "varbinary" => ("varbinary", Ok(Type::Bytes)),
        "tinyblob" => ("tinyblob", Ok(Type::Bytes)),
        "blob" => ("blob", Ok(Type::Bytes)),
        "mediumblob" => ("mediumblob", Ok(Type::Bytes)),
        "longblob" => ("longblob", Ok(Type::Bytes)),
        "date" => ("date", Ok(Type::Date)),
        "time" => ("time", Ok(Type::Time { fsp })),
        "datetime" => ("datetime", Ok(Type::DateTime { fsp })),
        "timestamp" => ("timestamp", Ok(Type::Timestamp { fsp })),
        "year" => ("year", Ok(Type::Year)),
        "json" => ("json", Ok(Type::Json)),
        "vector" => ("vector", Err(Unreadable::NoForm)),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geometrycollection" | "geomcollection" => {
            ("geometry", Err(Unreadable::NoForm))
        }
        _ => return None,
    })
}

fn is_number(kind: &Result<Type, Unreadable>) -> bool {
    matches!(
        kind,
        Ok(Type::Int { .. } | Type::Decimal { .. } | Type::Float | Type::Double)
            | Err(Unreadable::FixedDigits)
    )
}

/// Display widths are no part of a type, except that of TINYINT(1), which MySQL still shows.
fn shows_arguments(name: &str, kind: &Result<Type, Unreadable>) -> bool {
    !matches!(kind, Ok(Type::Int { .. } | Type::Year | Type::Float | Type::Double))
        && !matches!(name, "text" | "blob")
}

/// The texts between the parentheses behind a type's name.
fn arguments(rest: &[Lexeme]) -> Vec<String> {
    if rest.first().is_none_or(|lexeme| lexeme.token != Token::LParen) {
        return Vec::new();
    }
    let inside = rest[1..].iter().take_while(|lexeme| lexeme.token != Token::RParen);
    inside
        .filter_map(|lexeme| match &lexeme.token {
            Token::Number(digits, _) => Some(digits.clone()),
            Token::SingleQuotedString(raw) => Some(format!("'{raw}'")),
            _ => None,
        })
        .collect()
}
