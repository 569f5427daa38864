//! Random SELECTs of what `docs/sql.md` says: a root with joins and picks, a condition, columns of
//! every class. `expressions` makes the columns.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::schema::{Column, ColumnType, Table};
use super::tree::{Class, Tree};

/// Pieces that a SELECT is made of at most, about: then only the plainest are chosen.
const SIZE_MAX: usize = 60;

/// Writes SELECTs over some tables.
pub(crate) struct Writer<'t> {
    pub(crate) random: &'t mut StdRng,
    /// Tables, and views that can be read like one.
    pub(crate) tables: &'t [Table],
    pub(crate) aliases: usize,
    /// What WITH names, before the whole SELECT.
    pub(crate) named: Vec<NamedSelect>,
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
    pub(crate) ty: Option<ColumnType>,
}

impl Named {
    /// Whether rows are grouped by it: columns that can be tied to are exact.
    pub(crate) fn groups(&self) -> bool {
        self.ty.is_some_and(|ty| ty.ties != 0)
    }
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
    /// What tells its rows apart: the key of its first table, and of those that find several rows.
    pub(crate) key: Vec<Named>,
}

/// A SELECT that WITH names.
#[derive(Clone)]
pub(crate) struct NamedSelect {
    name: String,
    /// The table whose key it shows.
    of: usize,
    /// Its columns, by their names alone.
    columns: Vec<Named>,
    select: Tree,
}

/// A SELECT that was written.
pub(crate) struct Written {
    pub(crate) select: Tree,
    /// What it is to others that read it like a table; none should where it may raise errors.
    pub(crate) table: Option<Table>,
}

impl Named {
    /// Whether equal values are the same text.
    pub(crate) fn is_exact(&self) -> bool {
        self.ty.is_some_and(|ty| ty.class == Class::Text && ty.sql.ends_with("0900_bin"))
    }

    /// Whether it can be tied to a column of this type by equality.
    pub(crate) fn ties(&self, ty: ColumnType) -> bool {
        ty.ties != 0 && self.ty.is_some_and(|other| other.ties == ty.ties)
    }
}

impl NamedSelect {
    /// Its columns where it is called so.
    fn by(&self, alias: &str) -> Vec<Named> {
        let column =
            |named: &Named| Named { sql: format!("{alias}.{}", named.sql), ..named.clone() };
        self.columns.iter().map(column).collect()
    }
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

    /// The SQL of its key.
    pub(crate) fn key_terms(&self) -> Vec<String> {
        sql_of(&self.key)
    }

    pub(crate) fn push_join(&mut self, join: Tree) {
        if let Tree::Row(parts) = &mut self.from
            && let Some(Tree::List { items, .. }) = parts.last_mut()
        {
            items.push(join);
        }
    }
}

/// Names as SQL says them.
pub(crate) fn sql_of(names: &[Named]) -> Vec<String> {
    names.iter().map(|name| name.sql.clone()).collect()
}

/// A random SELECT over the tables, for a view of this name.
pub(crate) fn select(random: &mut StdRng, tables: &[Table], name: &str) -> Written {
    let mut writer =
        Writer { random, tables, aliases: 0, named: Vec::new(), size: 0, is_calm: false };
    writer.is_calm = writer.chance(0.3);
    let mut written = writer.view(name);
    let named = writer.named.into_iter();
    let items: Vec<Tree> = named
        .map(|named| Tree::Row(vec![Tree::text(format!("{} AS ", named.name)), named.select]))
        .collect();
    if !items.is_empty() {
        let with = Tree::List { before: "WITH ", between: ", ", least: items.len(), items };
        written.select = Tree::Row(vec![with, Tree::text(" "), written.select]);
    }
    written
}

impl Writer<'_> {
    fn view(&mut self, name: &str) -> Written {
        let table = self.random.random_range(0..self.tables.len());
        if self.chance(0.2) {
            return self.grouped(table, name);
        }
        let mut scope = self.from(table, &[]);
        self.joins(&mut scope, 3, true);
        if self.chance(0.35) {
            let condition = self.condition(&scope.names, 2);
            scope.conditions.push(condition);
        }
        let key = &self.tables[table].columns[..self.tables[table].key];
        let mut columns: Vec<Column> = key.to_vec();
        let mut items: Vec<Tree> = scope.key_terms().into_iter().map(Tree::Text).collect();
        let least = items.len();
        for at in 0..self.random.random_range(2..=7) {
            let (value, ty) = self.any(&scope.names, 3);
            let name = format!("v{at}");
            let varying = value.clone().saying(sql_of(scope.own())).filter(|_| self.is_calm);
            let varies = varying.is_some();
            let value = varying.unwrap_or(value);
            items.push(Tree::Row(vec![value, Tree::text(format!(" AS {name}"))]));
            // MySQL 9.7 loses one of several BIT columns of a view that it keeps apart.
            if varies && ty.class != Class::Bit {
                columns.push(Column { name, ty, nullable: true });
            }
        }
        let items = Tree::List { before: "", between: ", ", least, items };
        let filter = scope.filter();
        let select = Tree::Row(vec![Tree::text("SELECT "), items, scope.from, filter]);
        let table = Table { name: name.to_owned(), columns, key: least, unique: Vec::new() };
        Written { select, table: self.is_calm.then_some(table) }
    }

    /// A value of any class, and its type as far as it is that of a table's column.
    pub(crate) fn any(&mut self, names: &[Named], depth: usize) -> (Tree, ColumnType) {
        let named = if self.chance(0.25) { names.choose(self.random) } else { None };
        if let Some(named) = named {
            let ty = named.ty.unwrap_or(ColumnType::computed(named.class));
            return (Tree::Expression(named.class, vec![Tree::text(named.sql.clone())]), ty);
        }
        let class = self.class(names);
        (self.expression(class, names, depth), ColumnType::computed(class))
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

    pub(crate) fn from(&mut self, table: usize, outer: &[Named]) -> Scope {
        let (source, alias, own) = self.relation(table, &[]);
        let key = own[..self.tables[table].key].to_vec();
        let from = vec![
            Tree::text(" FROM "),
            source,
            Tree::text(format!(" AS {alias}")),
            Tree::list("", "", Vec::new()),
        ];
        Scope {
            from: Tree::Row(from),
            conditions: Vec::new(),
            names: [outer, &own].concat(),
            outside: outer.len(),
            key,
        }
    }

    /// A table, as itself or as a SELECT between parentheses that keeps the key and these columns;
    /// an alias for it, and its columns by that, the key's first. A column of such a SELECT, or of a
    /// view that is read, is no calculation with constants alone: of an outer join's MySQL 9.7 takes
    /// it for what it is with a row even where there is none.
    pub(crate) fn relation(&mut self, of: usize, kept: &[String]) -> (Tree, String, Vec<Named>) {
        let alias = format!("a{}", self.aliases);
        self.aliases += 1;
        let tables = self.tables;
        let table = &tables[of];
        let named = |column: &Column| Named {
            sql: format!("{alias}.{}", column.name),
            class: column.ty.class,
            ty: Some(column.ty),
        };
        if self.is_full() || self.chance(0.88) {
            let columns = table.columns.iter().map(named).collect();
            return (Tree::text(table.name.clone()), alias, columns);
        }
        let known = self.named.iter().find(|named| {
            let has = |kept: &String| named.columns.iter().any(|column| column.sql == *kept);
            named.of == of && kept.iter().all(has)
        });
        if let Some(known) = known.filter(|_| self.random.random_bool(0.7)) {
            return (Tree::text(known.name.clone()), alias.clone(), known.by(&alias));
        }
        let inside = self.aliases;
        self.aliases += 1;
        self.size += 2;
        let (mut columns, mut items) = (Vec::new(), Vec::new());
        let names: Vec<Named> = table
            .columns
            .iter()
            .map(|column| Named { sql: format!("a{inside}.{}", column.name), ..named(column) })
            .collect();
        for (at, column) in table.columns.iter().enumerate() {
            if at < table.key || kept.contains(&column.name) || self.chance(0.5) {
                items.push(Tree::text(names[at].sql.clone()));
                columns.push(named(column));
            }
        }
        let least = items.len();
        for at in 0..self.random.random_range(0..=2) {
            let class = self.class(&names);
            let value = self.calm(|writer| writer.expression(class, &names, 1));
            let Some(value) = value.saying(sql_of(&names)) else { continue };
            items.push(Tree::Row(vec![value, Tree::text(format!(" AS x{at}"))]));
            columns.push(Named { sql: format!("{alias}.x{at}"), class, ty: None });
        }
        let conditions = match self.chance(0.4) {
            true => vec![self.condition(&names, 1)],
            false => Vec::new(),
        };
        let select = vec![
            Tree::text("(SELECT "),
            Tree::List { before: "", between: ", ", least, items },
            Tree::text(format!(" FROM {} AS a{inside}", table.name)),
            Tree::list(" WHERE ", " AND ", conditions),
            Tree::text(")"),
        ];
        let select = Tree::Row(select);
        if !self.chance(0.5) {
            return (select, alias, columns);
        }
        let bare = |named: Named| Named {
            sql: named.sql.rsplit('.').next().unwrap_or_default().to_owned(),
            ..named
        };
        let name = format!("n{inside}");
        let bare = columns.iter().cloned().map(bare).collect();
        self.named.push(NamedSelect { name: name.clone(), of, columns: bare, select });
        (Tree::text(name), alias, columns)
    }

    /// Joins up to `most` tables and, if wanted, picks.
    pub(crate) fn joins(&mut self, scope: &mut Scope, most: usize, picks: bool) {
        for _ in 0..self.random.random_range(0..=most) {
            if self.is_full() {
                return;
            }
            let looks_up = !picks || self.chance(0.7);
            let join = if looks_up { self.lookup(scope) } else { self.calm(|w| w.pick(scope)) };
            if let Some(join) = join {
                scope.push_join(join);
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
        let kind = if self.chance(0.5) { " JOIN " } else { " LEFT JOIN " };
        Some(self.joined(scope, table, &pairs, kind))
    }

    /// A join of a table on pairs of its columns and values outside.
    pub(crate) fn joined(
        &mut self,
        scope: &mut Scope,
        table: usize,
        pairs: &[(String, String)],
        kind: &str,
    ) -> Tree {
        self.size += 1;
        let kept: Vec<String> = pairs.iter().map(|(column, _)| column.clone()).collect();
        let (source, alias, columns) = self.relation(table, &kept);
        let equal =
            |(column, value): &(String, String)| Tree::text(format!("{alias}.{column} = {value}"));
        let mut on: Vec<Tree> = pairs.iter().map(equal).collect();
        let least = on.len();
        scope.names.extend(columns);
        if self.chance(0.2) {
            on.push(self.condition(scope.own(), 1));
        }
        on.swap(0, least - 1);
        let on = Tree::List { before: " ON ", between: " AND ", least, items: on };
        Tree::Row(vec![Tree::text(kind), source, Tree::text(format!(" AS {alias}")), on])
    }

    /// What each column of a key of the table can be equal to.
    fn key_pairs(&mut self, table: usize, names: &[Named]) -> Option<Vec<(String, String)>> {
        let tables = self.tables;
        let table = &tables[table];
        let unique: Vec<usize> = table.unique.iter().filter_map(|c| table.place(c)).collect();
        let is_unique = !unique.is_empty() && self.chance(0.4);
        let key = if is_unique { unique } else { (0..table.key).collect() };
        let mut pairs = Vec::new();
        for &at in &key {
            let column = &table.columns[at];
            let able: Vec<&Named> = names.iter().filter(|name| name.ties(column.ty)).collect();
            let constant = key.len() > 1 && self.chance(0.15) && !pairs.is_empty();
            let constant = constant && !column.ty.is_computed();
            let value = match able.choose(self.random) {
                Some(name) if !constant => name.sql.clone(),
                _ if constant => column.ty.value(self.random, 0.0).to_owned(),
                _ => return None,
            };
            pairs.push((column.name.clone(), value));
        }
        Some(pairs)
    }
}
