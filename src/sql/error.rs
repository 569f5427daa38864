//! Why SQL is not planned, and where.

use sqlparser::ast::Spanned;
use sqlparser::tokenizer::{Location, Span};

/// SQL that is not planned: where it stands, what it is, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}:{column}: {message}")]
pub struct PlanError {
    /// The file.
    pub path: String,
    /// Line in the file, from 1.
    pub line: u64,
    /// Character in the line, from 1.
    pub column: u64,
    /// The construct and the way out.
    pub message: String,
}

/// A [`PlanError`] before its file is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) at: Location,
    pub(super) message: String,
}

pub(super) type Refused<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn at(at: Location, message: impl Into<String>) -> Refusal {
        Refusal { at, message: message.into() }
    }

    /// At the start of a piece of SQL.
    pub(super) fn on(sql: &impl Spanned, message: impl Into<String>) -> Refusal {
        Refusal::at(sql.span().start, message)
    }

    /// The error in its file. What has no place of its own stands at `fallback`.
    pub(super) fn in_file(self, path: &str, fallback: Location) -> PlanError {
        let at = if self.at == Span::empty().start { fallback } else { self.at };
        PlanError {
            path: path.to_owned(),
            line: at.line.max(1),
            column: at.column.max(1),
            message: self.message,
        }
    }
}

/// `, did you mean …` for the most similar of some names; empty when none is close.
pub(super) fn did_you_mean<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let wrong = wrong.to_lowercase();
    let close = names
        .into_iter()
        .map(|name| (distance(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 2.min(name.chars().count().div_ceil(3)))
        .min();
    close.map_or_else(String::new, |(_, name)| format!(", did you mean `{name}`?"))
}

/// Names for a message: `` `a`, `b` and `c` ``.
pub(super) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
    }
}

/// Levenshtein distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_close() {
        let names = ["order_id", "user_id", "total"];
        assert_eq!(did_you_mean("orderid", names), ", did you mean `order_id`?");
        assert_eq!(did_you_mean("TOTAL", names), ", did you mean `total`?");
        assert_eq!(did_you_mean("price", names), "");
        assert_eq!(did_you_mean("x", ["y"]), ", did you mean `y`?");
    }

    #[test]
    fn lists_names() {
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
