//! Generated SQL as a tree, so that what is too much of it can be taken away.

use std::fmt::{self, Display};

/// What an expression is, as far as another can stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Exact numbers.
    Number,
    /// DOUBLE.
    Floating,
    /// FLOAT, which prints in two ways: shown as it is, and cast.
    Float,
    /// Text of the collations that are known.
    Text,
    /// Text of every other collation: shown, cast and joined.
    Loose,
    /// ENUM and SET: equal to text.
    Listed,
    Date,
    /// DATETIME and TIMESTAMP.
    Instant,
    Time,
    Year,
    Bit,
    Bytes,
    Json,
    /// What is true, false or NULL.
    Condition,
}

impl Class {
    /// The class of this name.
    pub(crate) fn named(name: &str) -> Option<Class> {
        Some(match name {
            "Number" => Class::Number,
            "Floating" => Class::Floating,
            "Float" => Class::Float,
            "Text" => Class::Text,
            "Loose" => Class::Loose,
            "Listed" => Class::Listed,
            "Date" => Class::Date,
            "Instant" => Class::Instant,
            "Time" => Class::Time,
            "Year" => Class::Year,
            "Bit" => Class::Bit,
            "Bytes" => Class::Bytes,
            "Json" => Class::Json,
            "Condition" => Class::Condition,
            _ => return None,
        })
    }
}

/// A piece of SQL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    /// SQL as it stands.
    Text(String),
    /// Pieces one behind another that make one expression.
    Expression(Class, Vec<Tree>),
    /// Pieces one behind another.
    Row(Vec<Tree>),
    /// A piece that, however small, says one of these names.
    Saying(Vec<String>, Box<Tree>),
    /// What any of which can be left out, down to `least`.
    List { before: &'static str, between: &'static str, least: usize, items: Vec<Tree> },
}

impl Tree {
    pub(crate) fn text(text: impl Into<String>) -> Tree {
        Tree::Text(text.into())
    }

    /// Items that all can be left out.
    pub(crate) fn list(before: &'static str, between: &'static str, items: Vec<Tree>) -> Tree {
        Tree::List { before, between, least: 0, items }
    }

    /// A piece that has to say one of these names; `None` if it says none.
    pub(crate) fn saying(self, names: Vec<String>) -> Option<Tree> {
        self.says(&names).then(|| Tree::Saying(names, Box::new(self)))
    }

    fn says(&self, names: &[String]) -> bool {
        let text = self.to_string();
        names.iter().any(|name| text.contains(name))
    }

    /// Every tree that is smaller by one step, those smaller by much first.
    pub(crate) fn smaller(&self) -> Vec<Tree> {
        let mut all = Vec::new();
        match self {
            Tree::Text(_) => {}
            Tree::Expression(class, parts) => {
                let mut inner = Vec::new();
                parts.iter().for_each(|part| part.of_class(*class, &mut inner));
                all.extend(inner);
                let simplest = Tree::text(simplest(*class));
                if parts.as_slice() != [simplest.clone()] {
                    all.push(Tree::Expression(*class, vec![simplest]));
                }
                all.extend(inside(parts).map(|parts| Tree::Expression(*class, parts)));
            }
            Tree::Row(parts) => all.extend(inside(parts).map(Tree::Row)),
            Tree::Saying(names, piece) => {
                let smaller = piece.smaller().into_iter();
                all.extend(smaller.filter_map(|piece| piece.saying(names.clone())));
            }
            Tree::List { before, between, least, items } => {
                let list = |items| Tree::List { before, between, least: *least, items };
                if items.len() > least + 1 {
                    all.push(list(items[..*least].to_vec()));
                }
                if items.len() > *least {
                    for at in (0..items.len()).rev() {
                        let mut fewer = items.clone();
                        fewer.remove(at);
                        all.push(list(fewer));
                    }
                }
                all.extend(inside(items).map(list));
            }
        }
        all
    }

    /// The outermost expressions of a class within.
    fn of_class(&self, wanted: Class, found: &mut Vec<Tree>) {
        match self {
            Tree::Text(_) => {}
            Tree::Expression(class, _) if *class == wanted => found.push(self.clone()),
            Tree::Saying(_, piece) => piece.of_class(wanted, found),
            Tree::Expression(_, parts) | Tree::Row(parts) | Tree::List { items: parts, .. } => {
                parts.iter().for_each(|part| part.of_class(wanted, found));
            }
        }
    }
}

/// The parts with one of them smaller.
fn inside(parts: &[Tree]) -> impl Iterator<Item = Vec<Tree>> {
    parts.iter().enumerate().flat_map(move |(at, part)| {
        part.smaller().into_iter().map(move |smaller| {
            let mut parts = parts.to_vec();
            parts[at] = smaller;
            parts
        })
    })
}

/// The plainest expression of a class.
fn simplest(class: Class) -> &'static str {
    match class {
        Class::Number | Class::Year | Class::Bit => "1",
        Class::Floating | Class::Float => "1e0",
        Class::Text | Class::Loose | Class::Listed => "'a'",
        Class::Bytes => "X'61'",
        Class::Date => "DATE'2024-01-01'",
        Class::Instant => "TIMESTAMP'2024-01-01 00:00:00'",
        Class::Time => "TIME'10:00:00'",
        Class::Json => "JSON_ARRAY()",
        Class::Condition => "TRUE",
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Text(text) => f.write_str(text),
            Tree::Saying(_, piece) => piece.fmt(f),
            Tree::Expression(_, parts) | Tree::Row(parts) => {
                parts.iter().try_for_each(|part| part.fmt(f))
            }
            Tree::List { items, .. } if items.is_empty() => Ok(()),
            Tree::List { before, between, items, .. } => {
                f.write_str(before)?;
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        f.write_str(between)?;
                    }
                    item.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}
