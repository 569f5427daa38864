//! How deeply a file's expressions are nested, told from its tokens, before anything is parsed.
//!
//! `a + a + …` parses as a tree that is as deep as the chain is long, and the parser, the planner
//! and every evaluation go down it: a file must not be able to exhaust the stack. The parser bounds
//! parentheses itself, not chains.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::error::{Refusal, Refused};

/// Operators on the way down to one operand, at most.
const OPERATORS_MAX: usize = 256;

/// Words that make a tree deeper, as signs do.
const OPERATORS: [&str; 25] = [
    "AND",
    "AT",
    "BETWEEN",
    "COLLATE",
    "DIV",
    "EXCEPT",
    "GLOB",
    "ILIKE",
    "IN",
    "INTERSECT",
    "IS",
    "ISNULL",
    "LIKE",
    "MATCH",
    "MEMBER",
    "MINUS",
    "MOD",
    "NOT",
    "NOTNULL",
    "OR",
    "OVERLAPS",
    "REGEXP",
    "RLIKE",
    "SIMILAR",
    "XOR",
];
/// Words behind which another expression of the same level begins.
const SEPARATORS: [&str; 14] = [
    "BY", "ELSE", "FROM", "GROUP", "HAVING", "JOIN", "LIMIT", "ON", "ORDER", "SELECT", "THEN",
    "VALUES", "WHEN", "WHERE",
];

/// Refuses a file with an expression that is nested too deeply.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Refused<()> {
    // Operators so far of each level of parentheses, and all of them.
    let (mut levels, mut depth) = (vec![0], 0);
    let mut unions = 0;
    for TokenWithSpan { token, span } in tokens {
        match kind(token) {
            Kind::Open => levels.push(0),
            Kind::Close => depth -= levels.pop().unwrap_or(0),
            Kind::Operator => {
                depth += 1;
                levels.last_mut().into_iter().for_each(|level| *level += 1);
            }
            Kind::Separator => {
                depth -= levels.last().copied().unwrap_or(0);
                levels.last_mut().into_iter().for_each(|level| *level = 0);
            }
            // SELECTs make one tree, however many expressions are between.
            Kind::Union => unions += 1,
            Kind::Other => {}
        }
        if depth + unions > OPERATORS_MAX {
            return Err(too_deep(span.start));
        }
    }
    Ok(())
}

enum Kind {
    Open,
    Close,
    Operator,
    Separator,
    Union,
    Other,
}

fn kind(token: &Token) -> Kind {
    let is_among =
        |words: &[&str], word: &str| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    match token {
        Token::LParen => Kind::Open,
        Token::RParen => Kind::Close,
        Token::Comma | Token::SemiColon => Kind::Separator,
        Token::Word(word) if word.quote_style.is_none() => match word.value.as_str() {
            union if union.eq_ignore_ascii_case("UNION") => Kind::Union,
            word if is_among(&OPERATORS, word) => Kind::Operator,
            word if is_among(&SEPARATORS, word) => Kind::Separator,
            _ => Kind::Other,
        },
        Token::Word(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::HexStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Whitespace(_)
        | Token::Period
        | Token::EOF => Kind::Other,
        // Whatever sign it is.
        _ => Kind::Operator,
    }
}

fn too_deep(at: Location) -> Refusal {
    let message = format!(
        "more than {OPERATORS_MAX} operators within one expression: divide it, by columns of \
         their own or by CONCAT, COALESCE, GREATEST and IN, which take lists"
    );
    Refusal::at(at, message)
}

#[cfg(test)]
mod tests {
    use crate::sql::{Definitions, SourceFile, plan_views};

    fn planned(select: &str) -> Result<(), String> {
        let file = |path: &str, text: String| SourceFile { path: path.into(), text };
        let table = "CREATE TABLE t (id int NOT NULL, a int, PRIMARY KEY (id));";
        let definitions = Definitions {
            tables: vec![file("t.sql", table.to_owned())],
            streams: Vec::new(),
            views: vec![file("v.sql", format!("CREATE VIEW v AS {select};"))],
        };
        plan_views(&definitions).map(drop).map_err(|error| error.to_string())
    }

    /// Tests have the stack that a runtime's workers have: 2 MiB.
    #[test]
    fn what_is_nested_too_deeply_is_refused_and_what_is_not_is_planned() {
        for (link, end) in [
            ("a + ", "a"),
            ("a = ", "a"),
            ("a OR ", "a"),
            ("NOT ", "a"),
            ("- ", "a"),
            ("a IS NULL AND ", "a"),
            ("a IN (1, 2) + ", "a"),
            ("a COLLATE x COLLATE ", "x"),
        ] {
            let chain =
                |links: usize| format!("SELECT id, {}{end} AS b FROM t", link.repeat(links));
            let text = planned(&chain(20_000)).unwrap_err();
            assert!(text.contains("more than 256 operators within one expression"), "{text}");
        }
        let unions = format!("SELECT id FROM t{}", " UNION SELECT id FROM t".repeat(20_000));
        assert!(planned(&unions).is_err());
        let text = planned(&format!(
            "SELECT id, {}a{} AS b FROM t",
            "(".repeat(20_000),
            ")".repeat(20_000)
        ));
        let text = text.unwrap_err();
        assert!(text.contains("nested too deeply"), "{text}");
        let calls = "IF(a, a + ".repeat(10_000);
        assert!(planned(&format!("SELECT id, {calls} AS b FROM t")).is_err());

        assert_eq!(planned(&format!("SELECT id, {}0 AS b FROM t", "1 + ".repeat(255))), Ok(()));
        let days = " + INTERVAL 1 DAY".repeat(255);
        assert_eq!(planned(&format!("SELECT id, DATE'2024-01-01'{days} AS b FROM t")), Ok(()));
        // What is side by side is not deep.
        let lists = "a IN (1, 2), a + 1, CASE WHEN a = 1 AND a > 0 THEN 1 ELSE 2 END";
        let columns: Vec<String> =
            (0..200).map(|at| format!("COALESCE({lists}) AS c{at}, a - 1 AS d{at}")).collect();
        assert_eq!(planned(&format!("SELECT id, {} FROM t", columns.join(", "))), Ok(()));
        let whens = "WHEN a = 1 AND a > 0 THEN a + 1 ".repeat(500);
        assert_eq!(planned(&format!("SELECT id, CASE {whens} END AS b FROM t")), Ok(()));
        let values = (0..10_000).map(|at| format!("-{at}")).collect::<Vec<_>>().join(", ");
        assert_eq!(planned(&format!("SELECT id, a IN ({values}) AS b FROM t")), Ok(()));
    }
}
