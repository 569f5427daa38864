//! Whether rows can be grouped by what is computed of them: each value has one form, and no row
//! raises an error.

use super::expr::{Arithmetic, ArithmeticOp, Expr, ExprKind};
use super::typing::{digits, is_dated, is_floating, type_name};
use crate::value::{Collation, MAX_PRECISION, Type, Value};

/// Branches of a CASE whose texts are looked at one by one.
const FEW: usize = 100;
/// Words of nine digits that a calculated DECIMAL can have.
const WORDS_MAX: u32 = 9;
/// Greatest whole number among fields of instants, days and seconds between them.
const IN_TIME_MAX: i128 = 9_999_999;
/// Digits behind the point that it can have.
const SCALE_MAX: u32 = 30;

/// Why values of what is grouped by would have several forms, or none.
pub(super) fn has_one_form(value: &Expr) -> Result<(), String> {
    if let Some(why) = error_of(value) {
        return Err(format!("groups by what {why}"));
    }
    match value.ty {
        Type::Decimal { .. } if !has_its_scale(value) => Err(format!(
            "groups by {} that MySQL may calculate with more digits than it shows: CAST it to a DECIMAL, in the SELECT list too",
            type_name(value.ty)
        )),
        _ => Ok(()),
    }
}

/// Whether a DECIMAL is calculated with the digits of its type.
fn has_its_scale(value: &Expr) -> bool {
    let ExprKind::Arithmetic(arithmetic) = &value.kind else {
        return matches!(value.kind, ExprKind::Column { .. } | ExprKind::Cast(_))
            || value.ty.is_integer()
            || matches!(value.kind, ExprKind::Literal(_))
            || matches!(value.ty, Type::Decimal { scale: 0, .. });
    };
    let Arithmetic { op, left, right, .. } = &**arithmetic;
    *op != ArithmeticOp::Divide && has_its_scale(left) && has_its_scale(right)
}

/// Whether an expression may raise an error of MySQL's, those inside of it aside.
pub(super) fn may_raise(value: &Expr) -> bool {
    own_error_of(value).is_some()
}

/// The MySQL error that a value may raise instead of being one, and what to do.
fn error_of(value: &Expr) -> Option<&'static str> {
    own_error_of(value).or_else(|| value.children().into_iter().find_map(error_of))
}

fn own_error_of(value: &Expr) -> Option<&'static str> {
    let overflow = "may be out of range, which is an error of MySQL's for every group: CAST its parts to wider types";
    let json = "may be no JSON, which is an error of MySQL's for every group: group by a column";
    match &value.kind {
        ExprKind::Arithmetic(arithmetic) => overflows(arithmetic, value.ty).then_some(overflow),
        ExprKind::Call(kernel, arguments) => match kernel.name {
            "ABS" | "-" if value.ty.is_integer() && range(value).is_none() => Some(overflow),
            "ROUND" | "TRUNCATE" if !keeps_digits(arguments) => Some(overflow),
            "CAST AS JSON" => Some(json),
            "JSON_UNQUOTE" if arguments[0].ty != Type::Json => Some(json),
            "BIN_TO_UUID" => Some(
                "may be no UUID, which is an error of MySQL's for every group: group by the bytes",
            ),
            _ => None,
        },
        ExprKind::JsonObjectOf(_) => Some(json),
        _ => None,
    }
}

/// Whether a calculation may leave the range of its type.
fn overflows(arithmetic: &Arithmetic, ty: Type) -> bool {
    let Arithmetic { op, left, right, .. } = arithmetic;
    let ((p1, s1), (p2, s2)) = (digits(left), digits(right));
    let [p1, s1, p2, s2] = [p1, s1, p2, s2].map(u32::from);
    let words = |whole: u32, scale: u32| whole.div_ceil(9) + scale.div_ceil(9);
    match (ty, op) {
        _ if is_floating(left.ty) || is_floating(right.ty) => true,
        (Type::Int { unsigned, .. }, ArithmeticOp::DivideWhole) if s1 > 0 || s2 > 0 => {
            unsigned || p1 - s1 + s2 > 18 || !has_its_scale(left) || !has_its_scale(right)
        }
        (Type::Int { .. }, _) => calculated(arithmetic).is_none_or(|range| !within(range, ty)),
        (Type::Decimal { .. }, ArithmeticOp::Divide) => {
            let is_long =
                |side: &Expr| matches!(side.ty, Type::Decimal { .. }) && !has_its_scale(side);
            is_long(left) || is_long(right) || words(p1 - s1 + s2, s1 + s2 + 22) > WORDS_MAX
        }
        (Type::Decimal { .. }, ArithmeticOp::Multiply) => {
            p1 + p2 > u32::from(MAX_PRECISION) || s1 + s2 > SCALE_MAX
        }
        (Type::Decimal { .. }, _) => {
            (p1 - s1).max(p2 - s2) + 1 + s1.max(s2) > u32::from(MAX_PRECISION)
        }
        _ => true,
    }
}

/// The least and the greatest integer that a value can be; `None` if that is in no type.
fn range(value: &Expr) -> Option<(i128, i128)> {
    let of_type = of_type(value.ty)?;
    let own = match &value.kind {
        ExprKind::Literal(Value::Int(v)) => (i128::from(*v), i128::from(*v)),
        ExprKind::Literal(Value::UInt(v)) => (i128::from(*v), i128::from(*v)),
        ExprKind::Arithmetic(arithmetic) => calculated(arithmetic).unwrap_or(of_type),
        ExprKind::Call(kernel, arguments) if matches!(kernel.name, "-" | "ABS") => {
            let (least, greatest) = range(&arguments[0])?;
            match kernel.name {
                "-" => (-greatest, -least),
                _ => (0, least.abs().max(greatest.abs())),
            }
        }
        ExprKind::Call(kernel, arguments) => match kernel.name {
            "QUARTER" | "WEEK" | "WEEKDAY" | "DAYOFWEEK" | "DAYOFYEAR" | "TO_DAYS" => {
                (0, IN_TIME_MAX)
            }
            "EXTRACT" if value.ty == Type::Year => of_type,
            "EXTRACT" if is_dated(arguments[0].ty) => (0, IN_TIME_MAX),
            "EXTRACT" | "DATEDIFF" | "TIME_TO_SEC" => (-IN_TIME_MAX, IN_TIME_MAX),
            "FLOOR" | "CEIL" if matches!(arguments[0].ty, Type::Decimal { .. }) => {
                let (precision, scale) = digits(&arguments[0]);
                let greatest = 10i128.pow(u32::from(precision - scale));
                (-greatest, greatest)
            }
            _ => of_type,
        },
        _ => of_type,
    };
    within(own, value.ty).then_some(own)
}

/// The same of a calculation with integers, whatever its type can hold.
fn calculated(arithmetic: &Arithmetic) -> Option<(i128, i128)> {
    let ((a, b), (c, d)) = (range(&arithmetic.left)?, range(&arithmetic.right)?);
    let greatest = a.abs().max(b.abs());
    let products = || [(a, c), (a, d), (b, c), (b, d)].map(|(x, y)| x.checked_mul(y));
    Some(match arithmetic.op {
        ArithmeticOp::Add => (a.checked_add(c)?, b.checked_add(d)?),
        ArithmeticOp::Subtract => (a.checked_sub(d)?, b.checked_sub(c)?),
        ArithmeticOp::Multiply => {
            let products: Vec<i128> = products().into_iter().collect::<Option<_>>()?;
            (*products.iter().min()?, *products.iter().max()?)
        }
        // By one at least, or NULL.
        _ if c >= 0 => (a.min(0), b.max(0)),
        ArithmeticOp::Remainder => (a.min(0), b.max(0)),
        _ => (-greatest, greatest),
    })
}

fn of_type(ty: Type) -> Option<(i128, i128)> {
    match ty {
        Type::Int { bytes, unsigned: true } => Some((0, (1 << (8 * u32::from(bytes))) - 1)),
        Type::Int { bytes, unsigned: false } => {
            let half = 1i128 << (8 * u32::from(bytes) - 1);
            Some((-half, half - 1))
        }
        // A column's end in 2155, those of days do not.
        Type::Year => Some((0, 9999)),
        Type::Bit { bits } => Some((0, (1 << u32::from(bits)) - 1)),
        _ => None,
    }
}

fn within((least, greatest): (i128, i128), ty: Type) -> bool {
    let wide = match ty {
        Type::Int { unsigned, .. } => of_type(Type::Int { bytes: 8, unsigned }),
        ty => of_type(ty),
    };
    wide.is_some_and(|(from, to)| from <= least && greatest <= to)
}

/// Whether ROUND and TRUNCATE of these stay in their type.
fn keeps_digits(arguments: &[Expr]) -> bool {
    let (precision, scale) = digits(&arguments[0]);
    match arguments.get(1).map(|digits| &digits.kind) {
        None | Some(ExprKind::Literal(Value::Int(0..))) => true,
        Some(ExprKind::Literal(Value::Int(_))) => precision - scale < 18,
        _ => false,
    }
}

/// Whether texts that are made are equal by their collation only where their bytes are.
pub(super) fn is_told_by_bytes(value: &Expr) -> bool {
    let differ = |a: &String, b: &String| a == b || Collation::CONNECTION.compare(a, b).is_ne();
    value.ty == Type::Text(Collation::CONNECTION)
        && match texts(value) {
            Some(Texts::Letters(letters)) => !letters.in_both_cases(),
            Some(Texts::Told) => true,
            Some(Texts::Few(few)) => few
                .iter()
                .enumerate()
                .all(|(at, text)| few[..at].iter().all(|other| differ(text, other))),
            None => false,
        }
}

/// What texts an expression makes.
#[derive(Clone)]
enum Texts {
    /// One of these.
    Few(Vec<String>),
    /// Of ASCII, with letters of these cases.
    Letters(Letters),
    /// Such that their bytes tell them apart; parts of them may not.
    Told,
}

/// Which letters a text may have.
#[derive(Clone, Copy, Default)]
struct Letters {
    lower: bool,
    upper: bool,
}

impl Letters {
    /// Those of a text; `None` if it is not all of printable ASCII, each of which is told from others.
    fn of(text: &str) -> Option<Letters> {
        text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then(|| Letters {
            lower: text.bytes().any(|byte| byte.is_ascii_lowercase()),
            upper: text.bytes().any(|byte| byte.is_ascii_uppercase()),
        })
    }

    fn and(self, other: Letters) -> Letters {
        Letters { lower: self.lower || other.lower, upper: self.upper || other.upper }
    }

    fn in_both_cases(self) -> bool {
        self.lower && self.upper
    }

    fn is_none(self) -> bool {
        !self.lower && !self.upper
    }
}

impl Texts {
    fn letters(&self) -> Option<Letters> {
        match self {
            Texts::Few(few) => few
                .iter()
                .try_fold(Letters::default(), |all, text| Some(all.and(Letters::of(text)?))),
            Texts::Letters(letters) => Some(*letters),
            Texts::Told => None,
        }
    }
}

/// `None` of any.
fn texts(value: &Expr) -> Option<Texts> {
    match &value.kind {
        ExprKind::Literal(Value::Text(text)) => Some(Texts::Few(vec![text.to_string()])),
        ExprKind::Literal(Value::Null) => Some(Texts::Few(Vec::new())),
        ExprKind::Case { branches, otherwise } => {
            one_of(branches.iter().map(|(_, result)| result).chain(otherwise.as_deref()))
        }
        ExprKind::Coalesce(parts) => one_of(parts.iter()),
        ExprKind::Concat(parts) => joined(parts.iter().map(texts)),
        ExprKind::DateFormat(_, format) => {
            joined(format.parts().map(|part| Some(Texts::Few(part))))
        }
        ExprKind::Collated(inner, _) => texts(inner),
        ExprKind::Text(inner, _) => texts(inner)?.letters().map(Texts::Letters),
        ExprKind::Call(kernel, arguments) => match kernel.name {
            "LEFT" | "RIGHT" | "SUBSTRING" => texts(&arguments[0])?.letters().map(Texts::Letters),
            "LPAD" | "RPAD" => {
                let (text, filling) = (texts(&arguments[0])?, texts(&arguments[2])?);
                Some(Texts::Letters(text.letters()?.and(filling.letters()?)))
            }
            "HEX" => Some(Texts::Letters(Letters { lower: false, upper: true })),
            "MD5" | "SHA1" | "SHA2" | "BIN_TO_UUID" => {
                Some(Texts::Letters(Letters { lower: true, upper: false }))
            }
            _ => None,
        },
        _ => {
            let is_plain = value.ty.is_integer()
                || is_dated(value.ty)
                || matches!(value.ty, Type::Year | Type::Decimal { .. } | Type::Time { .. });
            is_plain.then(|| Texts::Letters(Letters::default()))
        }
    }
}

/// What one of several expressions makes.
fn one_of<'e>(results: impl Iterator<Item = &'e Expr>) -> Option<Texts> {
    let all: Vec<Texts> = results.map(texts).collect::<Option<_>>()?;
    let few = all.iter().map(|texts| match texts {
        Texts::Few(few) => Some(few.clone()),
        _ => None,
    });
    match few.collect::<Option<Vec<_>>>() {
        Some(few) if few.len() <= FEW => Some(Texts::Few(few.concat())),
        _ => {
            let letters = all.iter().map(Texts::letters).collect::<Option<Vec<_>>>()?;
            Some(Texts::Letters(letters.into_iter().fold(Letters::default(), Letters::and)))
        }
    }
}

/// What texts make one behind the other.
fn joined(parts: impl Iterator<Item = Option<Texts>>) -> Option<Texts> {
    let parts: Vec<Texts> = parts.collect::<Option<_>>()?;
    let letters = parts.iter().map(Texts::letters).collect::<Option<Vec<_>>>()?;
    let all = letters.iter().copied().fold(Letters::default(), Letters::and);
    if !all.in_both_cases() {
        return Some(Texts::Letters(all));
    }
    // Constants have the same letters in the same order in all of the texts, where no others have any.
    let is_constant = |texts: &Texts| matches!(texts, Texts::Few(few) if few.len() == 1);
    let of_constants =
        parts.iter().zip(&letters).all(|(texts, l)| is_constant(texts) || l.is_none());
    // So has one word that is all of the letters, and differs from others by more than their case.
    let words: Vec<&Texts> = parts
        .iter()
        .zip(&letters)
        .filter(|(_, letters)| !letters.is_none())
        .map(|(texts, _)| texts)
        .collect();
    let of_a_word = matches!(words.as_slice(), [Texts::Few(words)] if are_words(words));
    (of_constants || of_a_word).then_some(Texts::Told)
}

/// Whether these are all letters, and differ by more than their case.
fn are_words(texts: &[String]) -> bool {
    let mut seen: Vec<String> = texts.iter().map(|text| text.to_ascii_lowercase()).collect();
    seen.sort_unstable();
    let all = seen.len();
    seen.dedup();
    seen.len() == all && seen.iter().all(|text| text.bytes().all(|byte| byte.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use crate::sql::{Definitions, SourceFile, plan_views};

    const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, i INT, u INT UNSIGNED, b BIGINT,
        d DECIMAL(10,2), wide DECIMAL(65,30), at DATETIME(3), f DOUBLE, s VARCHAR(9), data JSON,
        raw VARBINARY(16), exact VARCHAR(9) COLLATE utf8mb4_0900_bin);";

    /// What the plan calls that it groups by.
    fn grouped_by(sql: &str) -> Result<String, String> {
        let file = |text: String| vec![SourceFile { path: "x.sql".into(), text }];
        let view = format!(
            "CREATE VIEW v AS SELECT {sql} AS x, COUNT(*) AS n FROM t AS a GROUP BY {sql};"
        );
        let (tables, views) = (file(TABLE.to_owned()), file(view));
        let plan = plan_views(&Definitions { tables, streams: Vec::new(), views });
        let plan = plan.map_err(|error| error.message)?;
        Ok(plan.tables[0].computed.iter().map(|computed| computed.sql.clone()).collect())
    }

    #[test]
    fn what_has_one_form_for_every_row_is_grouped_by() {
        for sql in [
            "i DIV 10",
            "b DIV 10",
            "u DIV 10",
            "i * 2 + 1",
            "u * 2 + 1",
            "b % 7",
            "ABS(i)",
            "-u",
            "ROUND(d)",
            "ROUND(i, -1)",
            "FLOOR(d / 100)",
            "FLOOR(i / 10) * 10",
            "CEIL(d) + 1",
            "HOUR(at)",
            "HOUR(at) * 60 + MINUTE(at)",
            "YEAR(at) * 100 + MONTH(at)",
            "WEEKDAY(at) + 1",
            "d * 1.10",
            "d + i",
            "CAST(d / 3 AS DECIMAL(10,4))",
            "f > 1",
            "CASE i WHEN 1 THEN 'One' WHEN 2 THEN 'two' ELSE 'more' END",
            "IF(i > 1, 'é', 'e\u{301}f')",
            "CONCAT('No ', i, ' of Those')",
            "CONCAT(at, '')",
            "CAST(at AS CHAR)",
            "LEFT(at, 7)",
            "LPAD(i, 5, '0')",
            "DATE_FORMAT(at, '%Y-W%v')",
            "DATE_FORMAT(at, '%Y-%m-%dT%H:%i')",
            "DATE_FORMAT(at, '%b %Y')",
            "MONTHNAME(at)",
            "CONCAT('week of ', DATE(at))",
            "HEX(i)",
            "UPPER(exact)",
            "UPPER(s) COLLATE utf8mb4_0900_bin",
            "data->>'$.kind' COLLATE utf8mb4_0900_bin",
            "at + INTERVAL 1 DAY",
            "i IS NULL",
            "s LIKE 'it''s \\'%'",
            "raw = X'00'",
        ] {
            assert_eq!(grouped_by(sql).map(|_| ()), Ok(()), "{sql}");
        }
    }

    #[test]
    fn what_has_several_forms_or_none_is_refused() {
        for (sql, why) in [
            ("b + 1", "out of range"),
            ("u - i", "out of range"),
            ("u + i", "out of range"),
            ("-b", "out of range"),
            ("ABS(b)", "out of range"),
            ("b DIV -1", "out of range"),
            ("i DIV 0.001", ""),
            ("wide + d", "out of range"),
            ("ROUND(b, -1)", "out of range"),
            ("ROUND(d, i)", "out of range"),
            ("3000 - YEAR(at)", "out of range"),
            ("CEIL(d) * 1000000000000", "out of range"),
            ("f * 2 > 1", "out of range"),
            ("d / 3", "more digits"),
            ("IF(i > 1, d, 1)", "more digits"),
            ("f + 1", "DOUBLE"),
            ("f", "DOUBLE"),
            ("JSON_LENGTH(CAST(s AS JSON))", "no JSON"),
            ("LENGTH(BIN_TO_UUID(raw))", "no UUID"),
            ("s", "several spellings"),
            ("LEFT(s, 1)", "several spellings"),
            ("CONCAT(s, i)", "several spellings"),
            ("IF(i > 1, 'one', 'ONE')", "several spellings"),
            ("IF(i > 1, 'a', CONCAT('A', ''))", "several spellings"),
            ("DATE_FORMAT(at, '%b %p')", "several spellings"),
            ("CONCAT(IF(i > 1, 'Ab', 'aB'), i)", "several spellings"),
            ("CONCAT(MONTHNAME(at), DAYNAME(at))", "several spellings"),
            ("LEFT(MONTHNAME(at), 1)", "several spellings"),
            ("data->'$.a'", "JSON"),
        ] {
            match grouped_by(sql) {
                Err(message) => assert!(message.contains(why), "{sql}: {message}"),
                Ok(_) => assert_eq!(why, "", "{sql}"),
            }
        }
    }

    /// MySQL is asked for it over the table alone.
    #[test]
    fn the_names_of_tables_are_left_out() {
        for (sql, own) in [
            ("a.i DIV 10", "`i` DIV 10"),
            ("YEAR(at)", "YEAR(at)"),
            ("a.`at` + INTERVAL 1 DAY", "`at` + INTERVAL 1 DAY"),
            ("CONCAT('a.i', a.i, '\\'')", "CONCAT('a.i', `i`, '\\'')"),
            ("EXTRACT(YEAR FROM a.at)", "EXTRACT(YEAR FROM `at`)"),
            ("CAST(a.d AS CHAR)", "CAST(`d` AS CHAR)"),
        ] {
            assert_eq!(grouped_by(sql).as_deref(), Ok(own), "{sql}");
        }
    }
}
