//! Random expressions of each class, of names, constants, operators, functions and subqueries.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::select::{Named, Writer};
use super::tree::{Class, Tree};

/// What can be compared and ordered.
pub(crate) const COMPARED: [Class; 6] =
    [Class::Number, Class::Text, Class::Date, Class::Instant, Class::Time, Class::Floating];

/// Pieces of an expression.
macro_rules! parts {
    ($($part:expr),* $(,)?) => { vec![$(Tree::from($part)),*] };
}

pub(crate) use parts;

impl From<&str> for Tree {
    fn from(text: &str) -> Tree {
        Tree::text(text)
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Tree {
        Tree::Text(text)
    }
}

impl Writer<'_> {
    /// The class of a value: mostly one that there is a name of.
    pub(crate) fn class(&mut self, names: &[Named]) -> Class {
        let made = if self.chance(0.4) { Class::Json } else { Class::Condition };
        match names.choose(self.random) {
            Some(named) if self.random.random_bool(0.7) => named.class,
            _ if self.chance(0.5) => made,
            _ => *COMPARED.choose(self.random).unwrap_or(&Class::Number),
        }
    }

    /// The class of values to compare: mostly one that there is a name of.
    pub(crate) fn compared_class(&mut self, names: &[Named]) -> Class {
        let able: Vec<&Named> =
            names.iter().filter(|name| COMPARED.contains(&name.class)).collect();
        match able.choose(self.random) {
            Some(named) if self.random.random_bool(0.9) => named.class,
            _ => Class::Number,
        }
    }

    /// A condition.
    pub(crate) fn condition(&mut self, names: &[Named], depth: usize) -> Tree {
        self.calm(|writer| writer.expression(Class::Condition, names, depth))
    }

    /// An expression of a class: plain at depth 0.
    pub(crate) fn expression(&mut self, class: Class, names: &[Named], depth: usize) -> Tree {
        self.size += 1;
        let depth = if self.is_full() { 0 } else { depth };
        let plain = class != Class::Condition && (depth == 0 || self.chance(0.35));
        let parts =
            if plain { self.leaf(class, names) } else { self.composed(class, names, depth) };
        Tree::Expression(class, parts)
    }

    /// An expression of a class, of which equal values are the same: text is told apart by its bytes.
    pub(crate) fn exact(&mut self, class: Class, names: &[Named], depth: usize) -> Tree {
        if class != Class::Text {
            return self.expression(class, names, depth);
        }
        let exact: Vec<&Named> = names.iter().filter(|name| name.is_exact()).collect();
        match exact.choose(self.random) {
            Some(name) if self.random.random_bool(0.5) => {
                Tree::Expression(class, parts![name.sql.clone()])
            }
            _ => {
                let value = self.expression(class, names, depth);
                Tree::Expression(class, parts!["(", value, " COLLATE utf8mb4_0900_bin)"])
            }
        }
    }

    /// A name or a constant.
    fn leaf(&mut self, class: Class, names: &[Named]) -> Vec<Tree> {
        let able: Vec<&Named> = names.iter().filter(|name| name.class == class).collect();
        match able.choose(self.random) {
            Some(name) if !self.random.random_bool(0.15) => parts![name.sql.clone()],
            _ => parts![self.constant(class)],
        }
    }

    fn constant(&mut self, class: Class) -> &'static str {
        let constants: &[&str] = match class {
            Class::Number => &["0", "1", "2", "-1", "7", "1.50", "0.5", "-2.25", "100", "TRUE"],
            Class::Floating | Class::Float => &["1e0", "2.5e0", "1e10", "0e0"],
            Class::Text => &["'a'", "''", "'b'", "'x y'", "'É'", "'A '"],
            Class::Loose | Class::Listed => &["'a'", "'É'", "''"],
            Class::Date => &["DATE'2024-01-01'", "DATE'2024-02-29'"],
            Class::Instant => {
                &["TIMESTAMP'2024-01-01 00:00:00'", "TIMESTAMP'1999-12-31 23:59:59.5'"]
            }
            Class::Time => &["TIME'10:20:30'", "TIME'-01:00:00.5'"],
            Class::Year | Class::Bit => &["1"],
            Class::Bytes => &["X'00FF'", "X'6162'"],
            Class::Json => &["JSON_ARRAY()", "JSON_OBJECT('a', 1)"],
            Class::Condition => &["TRUE", "FALSE"],
        };
        constants.choose(self.random).copied().unwrap_or("NULL")
    }

    fn composed(&mut self, class: Class, names: &[Named], depth: usize) -> Vec<Tree> {
        let roll = self.random.random_range(0..100);
        match class {
            Class::Condition => return self.asked(names, depth),
            // A choice among bytes, floats and years is refused, or prints in two ways.
            Class::Float | Class::Year | Class::Bit | Class::Bytes | Class::Listed => {
                return self.leaf(class, names);
            }
            _ => {}
        }
        if self.is_calm && class == Class::Floating {
            return self.leaf(class, names);
        }
        if roll < 20 {
            return self.chosen(class, names, depth);
        }
        if roll < 40
            && let Some(parts) = self.subquery(class, names, depth)
        {
            return parts;
        }
        if class == Class::Json && roll < 80 {
            return self.json(names, depth);
        }
        self.form(class, names, depth).unwrap_or_else(|| self.leaf(class, names))
    }

    /// An object or an array of any values.
    fn json(&mut self, names: &[Named], depth: usize) -> Vec<Tree> {
        let object = self.chance(0.6);
        let mut items = Vec::new();
        for at in 0..self.random.random_range(1..=3) {
            // Bytes and BIT do not go into JSON.
            let value = loop {
                let class = self.class(names);
                if !matches!(class, Class::Bytes | Class::Bit) {
                    break self.expression(class, names, depth - 1);
                }
            };
            let name =
                if object { format!("'{}', ", ["k", "é\"", "long"][at]) } else { String::new() };
            items.push(Tree::Row(vec![Tree::Text(name), value]));
        }
        let head = if object { "JSON_OBJECT(" } else { "JSON_ARRAY(" };
        parts![head, Tree::list("", ", ", items), ")"]
    }

    /// One of several values of the class.
    fn chosen(&mut self, class: Class, names: &[Named], depth: usize) -> Vec<Tree> {
        let orders = COMPARED.contains(&class) && class != Class::Time;
        let roll = self.random.random_range(0..if orders { 8 } else { 5 });
        let mut of = |class| self.expression(class, names, depth - 1);
        match roll {
            0 => {
                let condition = of(Class::Condition);
                parts!["IF(", condition, ", ", of(class), ", ", of(class), ")"]
            }
            1 => parts!["COALESCE(", of(class), ", ", of(class), ")"],
            2 => parts!["CASE WHEN ", of(Class::Condition), " THEN ", of(class), " END"],
            3 => {
                let condition = of(Class::Condition);
                parts!["CASE WHEN ", condition, " THEN ", of(class), " ELSE ", of(class), " END"]
            }
            4 => {
                let case = self.compared_class(names);
                let mut of = |class| self.expression(class, names, depth - 1);
                let head = parts!["CASE ", of(case), " WHEN ", of(case), " THEN ", of(class)];
                let second = parts![" WHEN ", of(case), " THEN ", of(class)];
                let second = Tree::list("", "", vec![Tree::Row(second)]);
                parts![Tree::Row(head), second, " ELSE ", of(class), " END"]
            }
            _ => {
                let name = ["NULLIF(", "GREATEST(", "LEAST("][roll - 5];
                parts![name, of(class), ", ", of(class), ")"]
            }
        }
    }

    /// What is true, false or NULL.
    fn asked(&mut self, names: &[Named], depth: usize) -> Vec<Tree> {
        let inner = depth.saturating_sub(1);
        match self.random.random_range(0..if depth == 0 { 12 } else { 29 }) {
            0..10 => self.compared(names, inner),
            roll @ (10 | 11) => {
                let class = self.class(names);
                let is = if roll == 10 { " IS NULL)" } else { " IS NOT NULL)" };
                parts!["(", self.expression(class, names, inner), is]
            }
            12..19 => match self.form(Class::Condition, names, inner) {
                Some(parts) => parts,
                None => self.compared(names, inner),
            },
            19 | 20 => match self.exists(names) {
                Some(exists) => exists,
                None => self.compared(names, inner),
            },
            26..29 => match self.member(names, inner) {
                Some(member) => member,
                None => self.compared(names, inner),
            },
            21 => parts!["(NOT ", self.expression(Class::Condition, names, inner), ")"],
            roll => {
                let mut of = |class| self.expression(class, names, inner);
                let between = if roll < 24 { " AND " } else { " OR " };
                parts!["(", of(Class::Condition), between, of(Class::Condition), ")"]
            }
        }
    }

    fn compared(&mut self, names: &[Named], depth: usize) -> Vec<Tree> {
        let class = self.compared_class(names);
        let op = *["=", "<>", "<", "<=", ">", ">=", "<=>"].choose(self.random).unwrap_or(&"=");
        let roll = self.random.random_range(0..10);
        let not = if self.chance(0.2) { " NOT" } else { "" };
        let left = self.expression(class, names, depth);
        // MySQL takes both ends of BETWEEN, and an element of IN, or does not, as they come.
        let raises = roll < 8 && !self.is_calm;
        let mut of = |class| match raises {
            true => self.expression(class, names, depth),
            false => self.calm(|writer| writer.expression(class, names, depth)),
        };
        match roll {
            8 => parts!["(", left, not, " BETWEEN ", of(class), " AND ", of(class), ")"],
            9 => parts!["(", left, not, " IN (", of(class), ", ", of(class), "))"],
            _ => parts!["(", left, format!(" {op} "), of(class), ")"],
        }
    }
}
