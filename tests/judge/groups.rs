//! SELECTs with GROUP BY: a document for each group.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::expressions::{COMPARED, parts};
use super::schema::{Column, ColumnType, Table};
use super::select::{Named, Writer, Written};
use super::tree::{Class, Tree};

impl Writer<'_> {
    /// A SELECT over groups of a table: those of one or two columns, or its own rows.
    pub(crate) fn grouped(&mut self, table: usize, name: &str) -> Written {
        let mut scope = self.from(table, &[]);
        let own = scope.own().to_vec();
        self.joins(&mut scope, 2, true);
        if self.chance(0.35) {
            let condition = self.condition(&scope.names, 2);
            scope.conditions.push(condition);
        }
        let mut keys: Vec<Named> = own.iter().filter(|named| named.groups()).cloned().collect();
        keys.shuffle(self.random);
        keys.truncate(self.random.random_range(1..=2));
        if keys.is_empty() || self.chance(0.25) {
            keys = scope.key.clone();
        }
        let column = |named: &Named| {
            let name = named.sql.rsplit('.').next().unwrap_or_default().to_owned();
            Some(Column { name, ty: named.ty?, nullable: true })
        };
        let mut columns: Vec<Column> = keys.iter().filter_map(column).collect();
        let mut items: Vec<Tree> = keys.iter().map(|key| Tree::text(key.sql.clone())).collect();
        let least = items.len();
        for at in 0..self.random.random_range(1..=6) {
            let class = *COMPARED.choose(self.random).unwrap_or(&Class::Number);
            let value = match self.chance(0.75) {
                true => self.aggregate(class, &scope, 2),
                false => Some(self.expression(class, &keys, 2)),
            };
            let Some(value) = value else { continue };
            let name = format!("v{at}");
            items.push(Tree::Row(vec![value, Tree::text(format!(" AS {name}"))]));
            columns.push(Column { name, ty: ColumnType::computed(class), nullable: true });
        }
        let having = match self.random.random_range(0..8) {
            0 => Some(Tree::text(format!("COUNT(*) > {}", self.random.random_range(0..3)))),
            1 => Some(self.condition(&keys, 1)),
            2 => {
                let value = self.calm(|writer| writer.aggregate(Class::Number, &scope, 1));
                value.map(|value| Tree::Row(parts![value, " IS NOT NULL"]))
            }
            _ => None,
        };
        let terms: Vec<String> = keys.iter().map(|key| key.sql.clone()).collect();
        let select = Tree::Row(vec![
            Tree::text("SELECT "),
            Tree::List { before: "", between: ", ", least, items },
            scope.from.clone(),
            scope.filter(),
            Tree::text(format!(" GROUP BY {}", terms.join(", "))),
            Tree::list(" HAVING ", " AND ", having.into_iter().collect()),
        ]);
        let table = Table { name: name.to_owned(), columns, key: least, unique: Vec::new() };
        Written { select, table: self.is_calm.then_some(table) }
    }
}
