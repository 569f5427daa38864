//! Random SELECTs of what `docs/sql.md` says: a root with joins and picks, a condition, columns of
//! every class. `expressions` makes the columns.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::expressions::COMPARED;
use super::schema::{ColumnType, Table};
use super::tree::{Class, Tree};

/// Pieces that a SELECT is made of at most, about: then only the plainest are chosen.
const SIZE_MAX: usize = 60;

/// Writes SELECTs over some tables.
pub(crate) struct Writer<'t> {
    pub(crate) random: &'t mut StdRng,
    tables: &'t [Table],
    aliases: usize,
    /// Expressions and SELECTs written so far.
    pub(crate) size: usize,
    /// Whether errors are to be kept out: where MySQL raises them, or does not, as its plan has it.
    pub(crate) is_calm: bool,
}

/// A name that an expression may say.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) sql: String,
    pub(crate) class: Class,
    /// Of a table's own column.
    ty: Option<ColumnType>,
}

/// A FROM with its joins and its WHERE.
pub(crate) struct Scope {
    /// ` FROM … JOIN …`.
    pub(crate) from: Tree,
    /// ` WHERE …`, without what the SELECT asks for itself.
    pub(crate) conditions: Vec<Tree>,
    /// What its expressions may say: names outside of it, then its own.
    pub(crate) names: Vec<Named>,
    /// The names that are outside of it.
    pub(crate) outside: usize,
    /// The key of its first table.
    pub(crate) key: Vec<String>,
}

impl Scope {
    /// ` WHERE …`.
    pub(crate) fn filter(&self) -> Tree {
        Tree::list(" WHERE ", " AND ", self.conditions.clone())
    }

    /// The names of its own tables and picks.
    pub(crate) fn own(&self) -> &[Named] {
        &self.names[self.outside..]
    }
}

/// A random SELECT over the tables.
pub(crate) fn select(random: &mut StdRng, tables: &[Table]) -> Tree {
    let mut writer = Writer { random, tables, aliases: 0, size: 0, is_calm: false };
    writer.view()
}

impl Writer<'_> {
    fn view(&mut self) -> Tree {
        let table = self.random.random_range(0..self.tables.len());
        let mut scope = self.from(table, &[]);
        self.joins(&mut scope, 3, true);
        if self.chance(0.35) {
            let condition = self.condition(&scope.names, 2);
            scope.conditions.push(condition);
        }
        let key = scope.key.clone();
        let mut items: Vec<Tree> = key.into_iter().map(Tree::Text).collect();
        let least = items.len();
        for at in 0..self.random.random_range(2..=7) {
            let value = self.any(&scope.names, 3);
            items.push(Tree::Row(vec![value, Tree::text(format!(" AS v{at}"))]));
        }
        let items = Tree::List { before: "", between: ", ", least, items };
        let filter = scope.filter();
        Tree::Row(vec![Tree::text("SELECT "), items, scope.from, filter])
    }

    pub(crate) fn chance(&mut self, of: f64) -> bool {
        self.random.random_bool(of)
    }

    /// Whether the SELECT is large enough.
    pub(crate) fn is_full(&self) -> bool {
        self.size > SIZE_MAX
    }

    /// Writes what raises no error.
    pub(crate) fn calm<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.is_calm, true);
        let written = write(self);
        self.is_calm = before;
        written
    }

    fn from(&mut self, table: usize, outer: &[Named]) -> Scope {
        let (alias, own) = self.relation(table);
        let tables = self.tables;
        let table = &tables[table];
        let key = table.columns[..table.key].iter();
        Scope {
            from: Tree::Row(vec![
                Tree::text(format!(" FROM {} AS {alias}", table.name)),
                Tree::list("", "", Vec::new()),
            ]),
            conditions: Vec::new(),
            names: [outer, &own].concat(),
            outside: outer.len(),
            key: key.map(|column| format!("{alias}.{}", column.name)).collect(),
        }
    }

    /// A new alias of a table, and its columns by it.
    fn relation(&mut self, table: usize) -> (String, Vec<Named>) {
        let alias = format!("a{}", self.aliases);
        self.aliases += 1;
        let columns = self.tables[table].columns.iter().map(|column| Named {
            sql: format!("{alias}.{}", column.name),
            class: column.ty.class,
            ty: Some(column.ty),
        });
        let columns = columns.collect();
        (alias, columns)
    }

    /// Joins up to `most` tables and, if wanted, picks.
    fn joins(&mut self, scope: &mut Scope, most: usize, picks: bool) {
        for _ in 0..self.random.random_range(0..=most) {
            if self.is_full() {
                return;
            }
            let looks_up = !picks || self.chance(0.7);
            let join = if looks_up { self.lookup(scope) } else { self.calm(|w| w.pick(scope)) };
            if let (Some(join), Tree::Row(parts)) = (join, &mut scope.from)
                && let Some(Tree::List { items, .. }) = parts.last_mut()
            {
                items.push(join);
            }
        }
    }

    /// A join on a whole key of a table, if any can be tied to the names there are.
    fn lookup(&mut self, scope: &mut Scope) -> Option<Tree> {
        let mut order: Vec<usize> = (0..self.tables.len()).collect();
        order.shuffle(self.random);
        let own = scope.own().to_vec();
        let (table, pairs) =
            order.into_iter().find_map(|at| Some((at, self.key_pairs(at, &own)?)))?;
        self.size += 1;
        let (alias, columns) = self.relation(table);
        let equal =
            |(column, value): &(String, String)| Tree::text(format!("{alias}.{column} = {value}"));
        let mut on: Vec<Tree> = pairs.iter().map(equal).collect();
        let least = on.len();
        scope.names.extend(columns);
        if self.chance(0.2) {
            on.push(self.condition(scope.own(), 1));
        }
        on.swap(0, least - 1);
        let kind = if self.chance(0.5) { "JOIN" } else { "LEFT JOIN" };
        let head = Tree::text(format!(" {kind} {} AS {alias}", self.tables[table].name));
        let on = Tree::List { before: " ON ", between: " AND ", least, items: on };
        Some(Tree::Row(vec![head, on]))
    }

    /// What each column of a key of the table can be equal to.
    fn key_pairs(&mut self, table: usize, names: &[Named]) -> Option<Vec<(String, String)>> {
        let tables = self.tables;
        let table = &tables[table];
        let unique =
            table.unique.as_deref().filter(|_| self.chance(0.3)).and_then(|c| table.place(c));
        let key = unique.map_or((0..table.key).collect(), |at| vec![at]);
        let mut pairs = Vec::new();
        for &at in &key {
            let column = &table.columns[at];
            let able: Vec<&Named> = names.iter().filter(|name| ties(name, column.ty)).collect();
            let constant = key.len() > 1 && self.chance(0.15) && !pairs.is_empty();
            let value = match able.choose(self.random) {
                Some(name) if !constant => name.sql.clone(),
                _ if constant => column.ty.value(self.random, 0.0).to_owned(),
                _ => return None,
            };
            pairs.push((column.name.clone(), value));
        }
        Some(pairs)
    }

    /// `JOIN LATERAL (SELECT … ORDER BY … LIMIT 1) AS …`.
    fn pick(&mut self, scope: &mut Scope) -> Option<Tree> {
        let inner = self.tied(&scope.names.clone(), 1, false)?;
        let alias = format!("p{}", self.aliases);
        self.aliases += 1;
        let kind = if self.chance(0.3) { "JOIN" } else { "LEFT JOIN" };
        let head = Tree::text(format!(" {kind} LATERAL (SELECT "));
        let mut items = Vec::new();
        if self.chance(0.3) {
            for at in 0..self.random.random_range(1..=3) {
                let class = *COMPARED.choose(self.random).unwrap_or(&Class::Number);
                let Some(value) = self.aggregate(class, &inner, 1) else { continue };
                scope.names.push(Named { sql: format!("{alias}.w{at}"), class, ty: None });
                items.push(Tree::Row(vec![value, Tree::text(format!(" AS w{at}"))]));
            }
            let items = Tree::List { before: "", between: ", ", least: 1, items };
            let tail = Tree::text(format!(") AS {alias} ON TRUE"));
            return Some(Tree::Row(vec![head, items, inner.from.clone(), inner.filter(), tail]));
        }
        for at in 0..self.random.random_range(1..=3) {
            let own = inner.own().to_vec();
            let named = own.choose(self.random).filter(|_| self.random.random_bool(0.6)).cloned();
            let (value, named) = match named {
                Some(named) => (Tree::text(named.sql.clone()), named),
                None => {
                    let class = self.class(&inner.names);
                    let value = self.expression(class, &inner.names, 1);
                    let named = Named { sql: String::new(), class, ty: None };
                    (value, named)
                }
            };
            let name = format!("{alias}.w{at}");
            // What is no plain column is a column of a temporary table: tied to by nothing.
            scope.names.push(Named { sql: name, ..named });
            items.push(Tree::Row(vec![value, Tree::text(format!(" AS w{at}"))]));
        }
        let order = self.order(&inner);
        Some(Tree::Row(vec![
            head,
            Tree::List { before: "", between: ", ", least: 1, items },
            inner.from.clone(),
            inner.filter(),
            order,
            Tree::text(format!(" LIMIT 1) AS {alias} ON TRUE")),
        ]))
    }

    /// ` ORDER BY …`, ending in the key of the first table.
    pub(crate) fn order(&mut self, scope: &Scope) -> Tree {
        let mut terms = Vec::new();
        let own = scope.own().to_vec();
        for _ in 0..self.random.random_range(0..=2) {
            let direction = self.direction();
            let term = self.order_term(&own);
            terms.extend(term.map(|term| Tree::Row(vec![term, direction])));
        }
        let before = terms.len();
        for key in &scope.key {
            let direction = self.direction();
            terms.push(Tree::Row(vec![Tree::text(key.clone()), direction]));
        }
        terms.rotate_left(before);
        let least = terms.len() - before;
        // What must stay stands first in the list, and last in the SQL.
        let (key, first) = terms.split_at(least);
        Tree::Row(vec![
            Tree::text(" ORDER BY "),
            Tree::List {
                before: "",
                between: "",
                least: 0,
                items: first.iter().map(followed).collect(),
            },
            Tree::List { before: "", between: ", ", least, items: key.to_vec() },
        ])
    }

    /// Something to order by; a constant would be the place of a column.
    pub(crate) fn order_term(&mut self, names: &[Named]) -> Option<Tree> {
        let able: Vec<&Named> =
            names.iter().filter(|name| COMPARED.contains(&name.class)).collect();
        let named = (*able.choose(self.random)?).clone();
        let parts = match self.chance(0.3) {
            false => vec![Tree::text(named.sql)],
            true => {
                let other = self.calm(|writer| writer.expression(named.class, names, 1));
                let head = Tree::text(format!("COALESCE({}, ", named.sql));
                vec![head, other, Tree::text(")")]
            }
        };
        Some(Tree::Expression(named.class, parts))
    }

    fn direction(&mut self) -> Tree {
        Tree::text(if self.chance(0.4) { " DESC" } else { "" })
    }

    /// A SELECT's FROM and WHERE inside of another, tied to it; `None` if nothing can be. MySQL 9.7
    /// gives wrong rows of a correlated SELECT with a LATERAL join and ORDER BY … DESC LIMIT 1.
    pub(crate) fn tied(&mut self, outer: &[Named], joins: usize, picks: bool) -> Option<Scope> {
        let mut order: Vec<usize> = (0..self.tables.len()).collect();
        order.shuffle(self.random);
        let tables = self.tables;
        let pairs = |table: usize| {
            let columns = tables[table].columns.iter();
            let tied = columns.flat_map(|column| {
                let able = outer.iter().filter(|name| ties(name, column.ty));
                able.map(|name| (column.name.clone(), name.sql.clone()))
            });
            let pairs: Vec<(String, String)> = tied.collect();
            (!pairs.is_empty()).then_some((table, pairs))
        };
        let (table, pairs) = order.into_iter().find_map(pairs)?;
        self.size += 2;
        let mut scope = self.from(table, outer);
        let alias = scope.key[0].split('.').next().unwrap_or_default().to_owned();
        let count = if self.chance(0.25) { 2 } else { 1 };
        let chosen: Vec<_> = pairs.choose_multiple(self.random, count).cloned().collect();
        for (column, value) in &chosen {
            let (left, right) = (format!("{alias}.{column}"), value.clone());
            let (left, right) = if self.chance(0.5) { (left, right) } else { (right, left) };
            scope.conditions.push(Tree::text(format!("{left} = {right}")));
        }
        self.joins(&mut scope, joins, picks);
        if self.chance(0.3) {
            let condition = self.condition(&scope.names, 1);
            scope.conditions.push(condition);
        }
        Some(scope)
    }
}

/// A term with the comma behind it.
fn followed(term: &Tree) -> Tree {
    Tree::Row(vec![term.clone(), Tree::text(", ")])
}

/// Whether a name can be tied to a column of this type by equality.
fn ties(name: &Named, ty: ColumnType) -> bool {
    ty.ties != 0 && name.ty.is_some_and(|other| other.ties == ty.ties)
}
