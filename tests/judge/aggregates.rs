//! Calculations with aggregates.

use rand::Rng;

use super::expressions::parts;
use super::select::{Named, Scope, Writer, sql_of};
use super::tree::{Class, Tree};

impl Writer<'_> {
    /// A calculation with aggregates that has a value of the class.
    pub(crate) fn aggregate(&mut self, class: Class, scope: &Scope, depth: usize) -> Option<Tree> {
        let parts = match class {
            Class::Number => self.number_of(scope, depth),
            Class::Text => match self.random.random_range(0..8) {
                0..3 => {
                    let value = self.argument(Class::Text, scope, depth);
                    self.listed(value, scope)
                }
                // Numbers joined are text of no collation of its own.
                3 => {
                    let value = self.argument(Class::Number, scope, depth);
                    let list = self.listed(value, scope);
                    parts!["CONCAT('', ", Tree::Row(list), ")"]
                }
                4 => {
                    let class = if self.chance(0.5) { Class::Text } else { Class::Date };
                    let value = self.exact_argument(class, scope, depth);
                    let direction = if self.chance(0.4) { " DESC" } else { "" };
                    let head = parts!["GROUP_CONCAT(DISTINCT ", value.clone(), " ORDER BY "];
                    parts![Tree::Row(head), value, direction, ")"]
                }
                roll => self.extreme(Class::Text, roll % 2 == 0, scope, depth),
            },
            Class::Json => self.json_of(scope, depth),
            Class::Date | Class::Instant | Class::Time | Class::Floating => {
                let smallest = self.chance(0.5);
                self.extreme(class, smallest, scope, depth)
            }
            _ => return None,
        };
        Some(Tree::Row(parts))
    }

    fn number_of(&mut self, scope: &Scope, depth: usize) -> Vec<Tree> {
        let any = self.class(scope.own());
        let told_apart = match any {
            Class::Number | Class::Date | Class::Instant | Class::Time => any,
            _ => Class::Text,
        };
        let roll = self.random.random_range(0..22);
        let smallest = roll == 9;
        match roll {
            9..12 => return self.extreme(Class::Number, smallest, scope, depth),
            12..14 => {
                let value = self.exact_argument(told_apart, scope, depth);
                return parts!["COUNT(DISTINCT ", value, ")"];
            }
            14 => {
                let first = self.exact_argument(told_apart, scope, 0);
                let second = self.exact_argument(Class::Number, scope, 0);
                return parts!["COUNT(DISTINCT ", first, ", ", second, ")"];
            }
            _ => {}
        }
        let mut of = |class| self.argument(class, scope, depth);
        match roll {
            0 | 1 => parts!["COUNT(*)"],
            2..5 => parts!["COUNT(", of(any), ")"],
            5 | 6 => parts!["SUM(", of(Class::Number), ")"],
            7 => parts!["SUM(", of(Class::Condition), ")"],
            8 => parts!["AVG(", of(Class::Number), ")"],
            15 => parts!["COALESCE(SUM(", of(Class::Number), "), 0)"],
            16 => parts!["SUM(", of(Class::Number), ") - COUNT(", of(any), ")"],
            17 => parts!["SUM(DISTINCT ", of(Class::Number), ")"],
            18 => parts!["AVG(DISTINCT ", of(Class::Number), ")"],
            19 => parts!["BIT_OR(CAST(", of(Class::Number), " AS SIGNED))"],
            20 => parts!["BIT_AND(CAST(", of(Class::Number), " AS UNSIGNED))"],
            _ => parts!["BIT_XOR(", of(Class::Condition), ")"],
        }
    }

    fn extreme(&mut self, class: Class, smallest: bool, scope: &Scope, depth: usize) -> Vec<Tree> {
        let name = if smallest { "MIN(" } else { "MAX(" };
        parts![name, self.exact_argument(class, scope, depth), ")"]
    }

    fn json_of(&mut self, scope: &Scope, depth: usize) -> Vec<Tree> {
        let class = match self.class(scope.own()) {
            // Bytes and BIT do not go into JSON.
            Class::Bytes | Class::Bit => Class::Json,
            class => class,
        };
        let value = self.argument(class, scope, depth);
        match &scope.key[..] {
            // The names have to be a key of the rows.
            [key] if key.class == Class::Number && self.chance(0.3) => {
                parts!["JSON_OBJECTAGG(", key.sql.clone(), ", ", value, ")"]
            }
            _ => parts!["JSON_ARRAYAGG(", value, ")"],
        }
    }

    /// GROUP_CONCAT of a value, in an order that ends in the key.
    fn listed(&mut self, value: Tree, scope: &Scope) -> Vec<Tree> {
        let own = scope.own().to_vec();
        let term = if self.chance(0.5) { self.order_term(&own) } else { None };
        let direction = if self.chance(0.4) { " DESC, " } else { ", " };
        let terms = term.map(|term| Tree::Row(parts![term, direction]));
        let terms = Tree::list("", "", terms.into_iter().collect());
        let key = scope.key_terms().join(if self.chance(0.5) { " DESC, " } else { ", " });
        let separator = if self.chance(0.3) { " SEPARATOR '; '" } else { "" };
        parts!["GROUP_CONCAT(", value, " ORDER BY ", terms, key, separator, ")"]
    }

    /// What an aggregate is of.
    fn argument(&mut self, class: Class, scope: &Scope, depth: usize) -> Tree {
        self.argument_by(scope, depth, |writer, names, depth| {
            writer.expression(class, names, depth)
        })
    }

    /// What an aggregate is of that tells values apart.
    fn exact_argument(&mut self, class: Class, scope: &Scope, depth: usize) -> Tree {
        self.argument_by(scope, depth, |writer, names, depth| writer.exact(class, names, depth))
    }

    /// One whose names are all outside would be an aggregate of the SELECT around.
    fn argument_by(
        &mut self,
        scope: &Scope,
        depth: usize,
        write: impl Fn(&mut Self, &[Named], usize) -> Tree,
    ) -> Tree {
        let depth = if self.chance(0.5) { 0 } else { depth };
        if self.chance(0.25) {
            let value = write(self, &scope.names, depth);
            if let Some(value) = value.saying(sql_of(scope.own())) {
                return value;
            }
        }
        write(self, scope.own(), depth)
    }
}
