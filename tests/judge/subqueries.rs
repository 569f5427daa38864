//! Subqueries with a single value: aggregates, and the first row by an order.

use rand::Rng;

use super::expressions::parts;
use super::select::{Named, Scope, Writer};
use super::tree::{Class, Tree};

impl Writer<'_> {
    /// `(SELECT …)` with a value of the class.
    pub(crate) fn subquery(
        &mut self,
        class: Class,
        names: &[Named],
        depth: usize,
    ) -> Option<Vec<Tree>> {
        let first = self.chance(0.25);
        let scope = self.tied(names, 2, !first)?;
        let aggregate = if first { None } else { self.aggregate(class, &scope, depth - 1) };
        Some(match aggregate {
            Some(value) => parts!["(SELECT ", value, scope.from.clone(), scope.filter(), ")"],
            None => {
                let value = self.expression(class, &scope.names, depth - 1);
                let order = self.order(&scope);
                parts!["(SELECT ", value, scope.from.clone(), scope.filter(), order, " LIMIT 1)"]
            }
        })
    }

    /// `[NOT] EXISTS (SELECT …)`.
    pub(crate) fn exists(&mut self, names: &[Named]) -> Option<Vec<Tree>> {
        let scope = self.tied(names, 1, true)?;
        let head = if self.chance(0.3) { "(NOT EXISTS (SELECT 1" } else { "(EXISTS (SELECT 1" };
        Some(parts![head, scope.from.clone(), scope.filter(), "))"])
    }

    /// A calculation with aggregates that has a value of the class.
    pub(crate) fn aggregate(&mut self, class: Class, scope: &Scope, depth: usize) -> Option<Tree> {
        let roll = self.random.random_range(0..14);
        let any = self.class(scope.own());
        let mut of = |class| self.argument(class, scope, depth);
        let parts = match class {
            Class::Number => match roll {
                0 | 1 => parts!["COUNT(*)"],
                2..5 => parts!["COUNT(", of(any), ")"],
                5 | 6 => parts!["SUM(", of(Class::Number), ")"],
                7 => parts!["SUM(", of(Class::Condition), ")"],
                8 => parts!["AVG(", of(Class::Number), ")"],
                9 | 10 => parts!["MIN(", of(Class::Number), ")"],
                11 => parts!["MAX(", of(Class::Number), ")"],
                12 => parts!["COALESCE(SUM(", of(Class::Number), "), 0)"],
                _ => parts!["SUM(", of(Class::Number), ") - COUNT(", of(any), ")"],
            },
            Class::Text if roll < 7 => {
                let value = of(if roll < 4 { Class::Text } else { Class::Number });
                let text = self.joined(value, scope);
                // Numbers joined are text of no collation of its own.
                if roll < 4 { text } else { parts!["CONCAT('', ", Tree::Row(text), ")"] }
            }
            Class::Json => {
                let any = if any == Class::Bytes { Class::Json } else { any };
                parts!["JSON_ARRAYAGG(", of(any), ")"]
            }
            Class::Text | Class::Date | Class::Instant | Class::Time | Class::Floating => {
                let name = if roll % 2 == 0 { "MIN(" } else { "MAX(" };
                parts![name, of(class), ")"]
            }
            _ => return None,
        };
        Some(Tree::Row(parts))
    }

    /// GROUP_CONCAT of a value, in an order that ends in the key.
    fn joined(&mut self, value: Tree, scope: &Scope) -> Vec<Tree> {
        let own = scope.own().to_vec();
        let term = if self.chance(0.5) { self.order_term(&own) } else { None };
        let direction = if self.chance(0.4) { " DESC, " } else { ", " };
        let terms = term.map(|term| Tree::Row(parts![term, direction]));
        let terms = Tree::list("", "", terms.into_iter().collect());
        let key = scope.key.join(if self.chance(0.5) { " DESC, " } else { ", " });
        let separator = if self.chance(0.3) { " SEPARATOR '; '" } else { "" };
        parts!["GROUP_CONCAT(", value, " ORDER BY ", terms, key, separator, ")"]
    }

    /// What an aggregate is of. One whose names are all outside would be an aggregate of the
    /// SELECT around.
    fn argument(&mut self, class: Class, scope: &Scope, depth: usize) -> Tree {
        let depth = if self.chance(0.5) { 0 } else { depth };
        if self.chance(0.25) {
            let value = self.exact(class, &scope.names, depth);
            let text = value.to_string();
            if scope.own().iter().any(|name| text.contains(&name.sql)) {
                return value;
            }
        }
        self.exact(class, scope.own(), depth)
    }
}
