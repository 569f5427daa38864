//! Which collation texts have together: MySQL's rules of coercibility.
//!
//! A text holds on to its collation more or less: most where COLLATE gives it, less where a column
//! has it, least where it is a constant or made of another type. The strongest decides. Of two that
//! are equally strong one that orders by code point does; otherwise MySQL raises error 1267, and
//! the planner refuses.

use super::expr::{Derivation, Expr, ExprKind};
use crate::value::{Collation, Type, Value};

/// Functions whose text is made by them, whatever the collation of their arguments.
const MAKERS: [&str; 7] =
    ["BIN_TO_UUID", "HEX", "JSON_QUOTE", "JSON_UNQUOTE", "MD5", "SHA1", "SHA2"];

/// What a collation that is not known means, and what to do.
const COLLATION_WAY_OUT: &str = "collation is not exact here, as utf8mb4_0900_ai_ci, utf8mb4_0900_bin and utf8mb4_bin are: write … COLLATE with one of these, or declare the column so";

/// What text of another character set than utf8mb4 means, and what to do.
const CHARACTER_SET_WAY_OUT: &str =
    "of another character set than utf8mb4: write CONVERT(… USING utf8mb4)";

/// Why text does not compare or order as it does in MySQL; `what` would.
pub(super) fn inexact(what: &str, collation: Collation) -> Option<String> {
    match collation {
        Collation::Other => Some(format!("{what} text whose {COLLATION_WAY_OUT}")),
        Collation::Foreign => Some(format!("{what} text {CHARACTER_SET_WAY_OUT}")),
        _ => None,
    }
}

/// A value's collation as text, and how much it holds on to that; `None` of what follows others.
fn strength(expr: &Expr) -> Option<(Collation, Derivation)> {
    let collation = match expr.ty {
        _ if expr.is_null_literal() => return None,
        Type::Text(collation) => collation,
        Type::Json => return Some((Collation::Padded, Derivation::Implicit)),
        _ => return None,
    };
    let derivation = match &expr.kind {
        ExprKind::Literal(_) => Derivation::Coercible,
        ExprKind::Column { .. } | ExprKind::IfPresent(..) | ExprKind::Collection(..) => {
            Derivation::Implicit
        }
        ExprKind::Collated(_, derivation) => *derivation,
        ExprKind::Call(kernel, _) if MAKERS.contains(&kernel.name) => Derivation::Coercible,
        _ => {
            let children = expr.children().into_iter().filter_map(strength);
            let own = children.filter(|(other, _)| *other == collation);
            own.map(|(_, derivation)| derivation).min().unwrap_or(Derivation::Coercible)
        }
    };
    Some((collation, derivation))
}

/// The collation of several values together as text.
pub(super) fn joint_collation(parts: &[&Expr]) -> Result<Collation, String> {
    let mut joint: Option<(Collation, Derivation)> = None;
    for this in parts.iter().filter_map(|part| strength(part)) {
        joint = Some(match joint {
            None => this,
            Some(others) => (met(others, this)?, others.1.min(this.1)),
        });
    }
    Ok(joint.map_or(Collation::CONNECTION, |(collation, _)| collation))
}

/// Text that an aggregate or a subquery makes of these: it holds on to its collation as they do.
pub(super) fn held_alike(text: Expr, values: &[Expr]) -> Expr {
    let strengths = values.iter().filter_map(strength).map(|(_, derivation)| derivation);
    match (text.ty, strengths.min().unwrap_or(Derivation::Coercible)) {
        (Type::Text(collation), derivation) if derivation != Derivation::Implicit => {
            held(text, collation, derivation)
        }
        _ => text,
    }
}

/// The collation that values are compared by.
pub(super) fn compared_collation(parts: &[&Expr]) -> Result<Collation, String> {
    let collation = joint_collation(parts)?;
    let beyond = |part: &&&Expr| matches!(&part.kind, ExprKind::Literal(Value::Text(text)) if text.chars().any(|c| c > '\u{FFFF}'));
    if collation == Collation::NarrowPadded
        && let Some(part) = parts.iter().find(beyond)
    {
        let what = if let ExprKind::Literal(Value::Text(text)) = &part.kind { text } else { "" };
        return Err(format!(
            "compares utf8mb3 with '{what}', which it does not have: leave it out"
        ));
    }
    Ok(collation)
}

fn met(
    (a, strength): (Collation, Derivation),
    (b, other): (Collation, Derivation),
) -> Result<Collation, String> {
    use Collation::{Binary, Foreign, Insensitive, NarrowPadded, Other, Padded};
    if a == b || strength < other {
        return Ok(a);
    }
    if other < strength {
        return Ok(b);
    }
    match (a, b) {
        (Binary | Padded, Binary | Padded) => Err(mixed()),
        _ if strength == Derivation::Explicit => Err(mixed()),
        (Foreign, _) | (_, Foreign) => Ok(Foreign),
        (Other, _) | (_, Other) => Ok(Other),
        // What utf8mb3 holds, utf8mb4 does.
        (NarrowPadded, wide) | (wide, NarrowPadded) => Ok(wide),
        (Insensitive, binary) | (binary, Insensitive) => Ok(binary),
    }
}

fn mixed() -> String {
    "mixes two collations, which is MySQL's error 1267: write … COLLATE utf8mb4_0900_bin or another behind one side".to_owned()
}

/// `expr COLLATE …`.
pub(super) fn collated(value: Expr, name: &str) -> Result<Expr, String> {
    let Type::Text(from) = value.ty else {
        return Err(format!("collates {}: leave COLLATE out", super::typing::type_name(value.ty)));
    };
    let collation = Collation::named(name.trim_matches('`'));
    if is_ascii(&value) {
        return Err(
            "collates text of the character set ascii: write CONVERT(… USING utf8mb4) before COLLATE"
                .to_owned(),
        );
    }
    match (from, collation) {
        (Collation::Foreign, _) => {
            return Err(format!("collates text {CHARACTER_SET_WAY_OUT} before COLLATE"));
        }
        (_, Collation::Other | Collation::Foreign) => {
            return Err("has a collation that is not exact here: write COLLATE utf8mb4_0900_ai_ci, utf8mb4_0900_bin or utf8mb4_bin".to_owned());
        }
        (Collation::NarrowPadded, Collation::NarrowPadded) => {}
        (Collation::NarrowPadded, _) | (_, Collation::NarrowPadded) => {
            return Err(
                "has a collation of another character set: declare the column utf8mb4".to_owned()
            );
        }
        _ => {}
    }
    Ok(held(value, collation, Derivation::Explicit))
}

/// Whether MySQL has a text in the character set ascii: the component's functions give it, and what
/// makes text of nothing else keeps it.
fn is_ascii(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Call(kernel, _) if MAKERS.contains(&kernel.name) => {
            ["MD5", "SHA1"].contains(&kernel.name)
        }
        ExprKind::Collated(..) | ExprKind::Text(..) => false,
        _ => {
            let is_text =
                |part: &&&Expr| matches!(part.ty, Type::Text(_)) && !part.is_null_literal();
            let children = value.children();
            let mut texts = children.iter().filter(is_text).peekable();
            texts.peek().is_some() && texts.all(|part| is_ascii(part))
        }
    }
}

/// A text with a collation of its own.
pub(super) fn held(value: Expr, collation: Collation, derivation: Derivation) -> Expr {
    let nullable = value.nullable;
    Expr::new(ExprKind::Collated(Box::new(value), derivation), Type::Text(collation), nullable)
}
