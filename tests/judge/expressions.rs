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
    fn compared_class(&mut self, names: &[Named]) -> Class {
        let able: Vec<&Named> =
            names.iter().filter(|name| COMPARED.contains(&name.class)).collect();
        match able.choose(self.random) {
            Some(named) if self.random.random_bool(0.9) => named.class,
            _ => Class::Number,
        }
    }

    /// A value of any class.
    pub(crate) fn any(&mut self, names: &[Named], depth: usize) -> Tree {
        let class = self.class(names);
        self.expression(class, names, depth)
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

    /// An expression of a class that can be compared: text whose collation nothing else decides.
    pub(crate) fn exact(&mut self, class: Class, names: &[Named], depth: usize) -> Tree {
        let value = self.expression(class, names, depth);
        if class != Class::Text {
            return value;
        }
        // Constants alone have no collation of their own.
        let named: Vec<&Named> = names.iter().filter(|name| name.class == class).collect();
        match named.choose(self.random) {
            Some(named) if !value.to_string().contains('.') => {
                Tree::Expression(class, parts![named.sql.clone()])
            }
            _ => Tree::Expression(class, parts!["(", value, " COLLATE utf8mb4_0900_bin)"]),
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
            Class::Text => &["'a'", "''", "'b'", "'x y'"],
            Class::Loose => &["'a'", "'É'", "''"],
            Class::Date => &["DATE'2024-01-01'", "DATE'2024-02-29'"],
            Class::Instant => {
                &["TIMESTAMP'2024-01-01 00:00:00'", "TIMESTAMP'1999-12-31 23:59:59.5'"]
            }
            Class::Time => &["TIME'10:20:30'", "TIME'-01:00:00.5'"],
            Class::Year | Class::Bit => &["1"],
            Class::Bytes => &["'a'"],
            Class::Json => &["JSON_ARRAY()", "JSON_OBJECT('a', 1)"],
            Class::Condition => &["TRUE", "FALSE"],
        };
        constants.choose(self.random).copied().unwrap_or("NULL")
    }

    fn composed(&mut self, class: Class, names: &[Named], depth: usize) -> Vec<Tree> {
        let roll = self.random.random_range(0..100);
        match class {
            Class::Condition => return self.compared(names, depth),
            // A choice among bytes, floats and years is refused, or prints in two ways.
            Class::Float | Class::Year | Class::Bit | Class::Bytes => {
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
        if roll < 45
            && let Some(parts) = self.subquery(class, names, depth)
        {
            return parts;
        }
        let mut of = |class| self.expression(class, names, depth - 1);
        match class {
            Class::Number => self.number(names, depth),
            Class::Floating => match roll % 5 {
                0 => parts![of(Class::Floating), " + ", of(Class::Number)].bracketed(),
                1 => parts![of(Class::Floating), " * ", of(Class::Floating)].bracketed(),
                2 => parts![of(Class::Floating), " / ", of(Class::Number)].bracketed(),
                3 => parts!["CAST(", of(Class::Number), " AS DOUBLE)"],
                _ => parts!["CAST(", of(Class::Float), " AS DOUBLE)"],
            },
            Class::Text => self.text(names, depth),
            Class::Loose => parts!["CONCAT(", of(Class::Loose), ", ", of(Class::Text), ")"],
            Class::Date => match roll % 2 {
                0 => parts!["DATE(", of(Class::Instant), ")"],
                _ => parts!["CAST(", of(Class::Instant), " AS DATE)"],
            },
            Class::Instant => {
                let digits = roll % 7;
                let from = if roll % 2 == 0 { Class::Date } else { Class::Instant };
                parts!["CAST(", of(from), format!(" AS DATETIME({digits}))")]
            }
            Class::Json => self.json(names, depth),
            _ => self.leaf(class, names),
        }
    }

    fn number(&mut self, names: &[Named], depth: usize) -> Vec<Tree> {
        // The operators before may go out of their type's range.
        let first = if self.is_calm { 16 } else { 0 };
        let roll = self.random.random_range(first..24);
        let digits = self.random.random_range(0..4);
        let mut of = |class| self.expression(class, names, depth - 1);
        let mut two =
            |op: &str| parts![of(Class::Number), format!(" {op} "), of(Class::Number)].bracketed();
        match roll {
            0..4 => two("+"),
            4..7 => two("-"),
            7..10 => two("*"),
            10..12 => two("/"),
            12 => two("DIV"),
            13 => two("%"),
            14 => parts!["(-", of(Class::Number), ")"],
            15 => parts!["ABS(", of(Class::Number), ")"],
            16 => parts!["FLOOR(", of(Class::Number), ")"],
            17 => parts!["CEIL(", of(Class::Number), ")"],
            18 => parts!["ROUND(", of(Class::Number), format!(", {digits})")],
            19 => parts!["MOD(", of(Class::Number), ", ", of(Class::Number), ")"],
            20 => parts!["CAST(", of(Class::Number), " AS SIGNED)"],
            21 => parts!["CAST(", of(Class::Number), " AS DECIMAL(20,4))"],
            22 => parts!["CAST(", of(Class::Floating), " AS DECIMAL(30,6))"],
            _ => parts!["(", of(Class::Condition), ")"],
        }
    }

    fn text(&mut self, names: &[Named], depth: usize) -> Vec<Tree> {
        let roll = self.random.random_range(0..7);
        let length = self.random.random_range(0..4);
        let mut of = |class| self.expression(class, names, depth - 1);
        match roll {
            0 => parts!["CONCAT(", of(Class::Text), ", ", of(Class::Number), ")"],
            1 => parts!["CONCAT(", of(Class::Text), ", '-', ", of(Class::Text), ")"],
            2 => parts![
                "CONCAT_WS('/', ",
                of(Class::Text),
                ", ",
                of(Class::Instant),
                ", ",
                of(Class::Date),
                ")"
            ],
            3 => parts!["CAST(", of(Class::Text), format!(" AS CHAR({length}))")],
            4 => parts!["(", of(Class::Loose), " COLLATE utf8mb4_0900_bin)"],
            5 => parts![
                "CONCAT(",
                of(Class::Text),
                ", ",
                of(Class::Time),
                ", ",
                of(Class::Floating),
                ")"
            ],
            _ => {
                let format =
                    ["%Y-%m-%d", "%H:%i:%s.%f", "%a %D %b %y %j %U %v %x", "%W %M %e %r %p"];
                let format = format[length];
                parts![
                    "CONCAT(",
                    of(Class::Text),
                    ", DATE_FORMAT(",
                    of(Class::Instant),
                    format!(", '{format}'))")
                ]
            }
        }
    }

    fn json(&mut self, names: &[Named], depth: usize) -> Vec<Tree> {
        let object = self.chance(0.6);
        let mut items = Vec::new();
        for at in 0..self.random.random_range(1..=3) {
            // Bytes and BIT do not go into JSON.
            let value = loop {
                let class = self.class(names);
                if class != Class::Bytes {
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
        let orders = matches!(
            class,
            Class::Number | Class::Text | Class::Date | Class::Instant | Class::Floating
        );
        let roll = self.random.random_range(0..if orders { 7 } else { 4 });
        if roll > 3 {
            let exact = self.exact(class, names, depth - 1);
            let other = self.expression(class, names, depth - 1);
            let name = ["NULLIF(", "GREATEST(", "LEAST("][roll - 4];
            return parts![name, exact, ", ", other, ")"];
        }
        let mut of = |class| self.expression(class, names, depth - 1);
        let condition = of(Class::Condition);
        match roll {
            0 => parts!["IF(", condition, ", ", of(class), ", ", of(class), ")"],
            1 => parts!["COALESCE(", of(class), ", ", of(class), ")"],
            2 => parts!["CASE WHEN ", condition, " THEN ", of(class), " END"],
            _ => parts!["CASE WHEN ", condition, " THEN ", of(class), " ELSE ", of(class), " END"],
        }
    }

    fn compared(&mut self, names: &[Named], depth: usize) -> Vec<Tree> {
        let class = self.compared_class(names);
        if depth > 0
            && self.chance(0.08)
            && let Some(exists) = self.exists(names)
        {
            return exists;
        }
        let op = *["=", "<>", "<", "<=", ">", ">=", "<=>"].choose(self.random).unwrap_or(&"=");
        let roll = self.random.random_range(0..if depth == 0 { 12 } else { 20 });
        let depth = depth.saturating_sub(1);
        if roll < 10 {
            let left = self.exact(class, names, depth);
            // MySQL takes both ends of BETWEEN, and an element of IN, or does not, as they come.
            let raises = roll < 8 && !self.is_calm;
            let mut of = |class| match raises {
                true => self.expression(class, names, depth),
                false => self.calm(|writer| writer.expression(class, names, depth)),
            };
            return match roll {
                8 => parts![left, " BETWEEN ", of(class), " AND ", of(class)].bracketed(),
                9 => parts![left, " IN (", of(class), ", ", of(class), ")"].bracketed(),
                _ => parts![left, format!(" {op} "), of(class)].bracketed(),
            };
        }
        let class = self.class(names);
        let mut of = |class| self.expression(class, names, depth);
        match roll {
            10 => parts![of(class), " IS NULL"].bracketed(),
            11 => parts![of(class), " IS NOT NULL"].bracketed(),
            12 => parts!["NOT ", of(Class::Condition)].bracketed(),
            13 => parts![of(Class::Condition), " IS TRUE"].bracketed(),
            14 => parts![of(Class::Condition), " IS NOT FALSE"].bracketed(),
            15..18 => parts![of(Class::Condition), " AND ", of(Class::Condition)].bracketed(),
            _ => parts![of(Class::Condition), " OR ", of(Class::Condition)].bracketed(),
        }
    }
}

trait Bracketed {
    /// In parentheses.
    fn bracketed(self) -> Self;
}

impl Bracketed for Vec<Tree> {
    fn bracketed(mut self) -> Vec<Tree> {
        self.insert(0, Tree::text("("));
        self.push(Tree::text(")"));
        self
    }
}
