//! SELECTs with GROUP BY: a document for each group, by columns and by what is computed of them.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::expressions::{COMPARED, parts};
use super::schema::{Column, ColumnType, Table};
use super::select::{Named, Writer, Written};
use super::tree::{Class, Tree};

const OF_NUMBERS: &[(Class, &str)] = &[
    (Class::Number, "$ DIV 2"),
    (Class::Number, "$ % 3"),
    (Class::Number, "$ > 2"),
    (Class::Number, "CAST($ AS DECIMAL(12,1))"),
    (Class::Number, "COALESCE($ DIV 3, -1)"),
    (Class::Number, "FLOOR($ / 2)"),
    (Class::Number, "IF($ > 1, 1, NULL)"),
    (Class::Text, "CASE WHEN $ > 2 THEN 'many' WHEN $ > 0 THEN 'few' END"),
    (Class::Text, "CONCAT('No ', $)"),
    (Class::Text, "CAST($ AS CHAR)"),
];
const OF_TEXT: &[(Class, &str)] = &[
    (Class::Text, "LEFT($, 1) COLLATE utf8mb4_0900_bin"),
    (Class::Text, "UPPER($) COLLATE utf8mb4_0900_bin"),
    (Class::Text, "IF($ = 'a', 'A', 'other')"),
    (Class::Number, "CHAR_LENGTH($)"),
    (Class::Number, "$ = 'a'"),
];
const OF_DATES: &[(Class, &str)] = &[
    (Class::Date, "DATE($)"),
    (Class::Date, "LAST_DAY($)"),
    (Class::Number, "YEAR($)"),
    (Class::Number, "MONTH($)"),
    (Class::Number, "YEARWEEK($, 3)"),
    (Class::Text, "DATE_FORMAT($, '%Y-%m')"),
    (Class::Text, "DATE_FORMAT($, '%b %Y')"),
    (Class::Text, "DAYNAME($)"),
    (Class::Text, "CONCAT(YEAR($), '-Q', QUARTER($))"),
    (Class::Text, "LEFT($, 7)"),
];

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
        if self.chance(0.5) {
            let computed: Vec<Named> = (0..=self.random.random_range(0..2))
                .filter_map(|_| self.computed_key(&own))
                .collect();
            if self.chance(0.6) && !computed.is_empty() {
                keys.clear();
            }
            keys.extend(computed);
        }
        let (mut columns, mut items, mut terms) = (Vec::new(), Vec::new(), Vec::new());
        for (at, key) in keys.iter().enumerate() {
            let (name, item) = match key.ty {
                Some(_) => {
                    (key.sql.rsplit('.').next().unwrap_or_default().to_owned(), key.sql.clone())
                }
                None => (format!("g{at}"), format!("{} AS g{at}", key.sql)),
            };
            let by_name = key.ty.is_none() && self.chance(0.4);
            terms.push(if by_name { name.clone() } else { key.sql.clone() });
            let ty = key.ty.unwrap_or(ColumnType::computed(key.class));
            columns.push(Column { name, ty, nullable: true });
            items.push(Tree::text(item));
        }
        let least = items.len();
        // What is computed is known as a column of the SELECT list alone, and to HAVING by its name.
        let plain: Vec<Named> = keys.iter().filter(|key| key.ty.is_some()).cloned().collect();
        let by_name = |(at, key): (usize, &Named)| match key.ty {
            Some(_) => key.clone(),
            None => Named { sql: format!("g{at}"), ..key.clone() },
        };
        let named: Vec<Named> = keys.iter().enumerate().map(by_name).collect();
        // Which shows nothing but what tells groups apart.
        let is_distinct = self.chance(0.15);
        let more = if is_distinct { 0 } else { self.random.random_range(1..=6) };
        for at in 0..more {
            let class = *COMPARED.choose(self.random).unwrap_or(&Class::Number);
            let value = match plain.is_empty() || self.chance(0.75) {
                true => self.aggregate(class, &scope, 2),
                false => Some(self.expression(class, &plain, 2)),
            };
            let Some(value) = value else { continue };
            let name = format!("v{at}");
            items.push(Tree::Row(vec![value, Tree::text(format!(" AS {name}"))]));
            columns.push(Column { name, ty: ColumnType::computed(class), nullable: true });
        }
        let having = match self.random.random_range(0..8) {
            _ if is_distinct => None,
            0 => Some(Tree::text(format!("COUNT(*) > {}", self.random.random_range(0..3)))),
            1 => Some(self.condition(&named, 1)),
            2 => {
                let value = self.calm(|writer| writer.aggregate(Class::Number, &scope, 1));
                value.map(|value| Tree::Row(parts![value, " IS NOT NULL"]))
            }
            _ => None,
        };
        let group_by = match is_distinct {
            true => String::new(),
            false => format!(" GROUP BY {}", terms.join(", ")),
        };
        let select = Tree::Row(vec![
            Tree::text(if is_distinct { "SELECT DISTINCT " } else { "SELECT " }),
            Tree::List { before: "", between: ", ", least, items },
            scope.from.clone(),
            scope.filter(),
            Tree::text(group_by),
            Tree::list(" HAVING ", " AND ", having.into_iter().collect()),
        ]);
        let table = Table { name: name.to_owned(), columns, key: least, unique: Vec::new() };
        Written { select, table: self.is_calm.then_some(table) }
    }

    /// Something that is computed of a column and can be grouped by.
    fn computed_key(&mut self, own: &[Named]) -> Option<Named> {
        let of_table = |named: &&Named| {
            named.ty.is_some_and(|ty| !ty.is_computed() && !ty.sql.contains("utf8mb3"))
        };
        let columns: Vec<&Named> = own.iter().filter(of_table).collect();
        let column = columns.choose(self.random)?;
        let forms: &[(Class, &str)] = match column.class {
            Class::Number => OF_NUMBERS,
            Class::Text => OF_TEXT,
            Class::Date | Class::Instant => OF_DATES,
            Class::Time => &[(Class::Number, "HOUR($)"), (Class::Number, "SECOND($)")],
            _ => &[(Class::Number, "$ IS NULL")],
        };
        let (class, form) = forms.choose(self.random)?;
        Some(Named { sql: form.replace('$', &column.sql), class: *class, ty: None })
    }
}
