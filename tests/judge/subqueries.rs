//! SELECTs inside of others, tied to them: picks, the first row by an order, aggregates, EXISTS.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::expressions::{COMPARED, parts};
use super::schema::ColumnType;
use super::select::{Named, Scope, Writer};
use super::tree::{Class, Tree};

/// What a SELECT inside of another may join.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Joins {
    /// Single rows. MySQL 9.7 gives wrong rows of a correlated SELECT with a LATERAL join and
    /// ORDER BY … DESC LIMIT 1.
    LookUps,
    /// Any number of rows, and picks.
    All,
}

impl Writer<'_> {
    /// `JOIN LATERAL (SELECT …) AS …`: the first row, or aggregates.
    pub(crate) fn pick(&mut self, scope: &mut Scope) -> Option<Tree> {
        let gathers = self.chance(0.4);
        let joins = if gathers { Joins::All } else { Joins::LookUps };
        // Inside of another SELECT MySQL 9.7 finds no plan for some that are tied outside of that.
        let inner = self.tied(scope.own(), 1, joins)?;
        let alias = format!("p{}", self.aliases);
        self.aliases += 1;
        let (mut items, mut named) = (Vec::new(), Vec::new());
        for at in 0..self.random.random_range(1..=3) {
            let (value, class, ty) = if gathers {
                let class = *COMPARED.choose(self.random).unwrap_or(&Class::Number);
                let Some(value) = self.aggregate(class, &inner, 1) else { continue };
                (value, class, None)
            } else {
                self.picked(&inner)
            };
            items.push(Tree::Row(vec![value, Tree::text(format!(" AS w{at}"))]));
            named.push(Named { sql: format!("{alias}.w{at}"), class, ty });
        }
        if items.is_empty() {
            return None;
        }
        scope.names.extend(named);
        let kind = if self.chance(0.3) { "JOIN" } else { "LEFT JOIN" };
        let order = match gathers {
            true => Tree::text(""),
            false => Tree::Row(vec![self.order(&inner), Tree::text(" LIMIT 1")]),
        };
        Some(Tree::Row(vec![
            Tree::text(format!(" {kind} LATERAL (SELECT ")),
            Tree::List { before: "", between: ", ", least: 1, items },
            inner.from.clone(),
            inner.filter(),
            order,
            Tree::text(format!(") AS {alias} ON TRUE")),
        ]))
    }

    /// What a pick shows: a column, or any value.
    fn picked(&mut self, inner: &Scope) -> (Tree, Class, Option<ColumnType>) {
        let own = inner.own().to_vec();
        match own.choose(self.random).filter(|_| self.random.random_bool(0.6)) {
            Some(named) => (Tree::text(named.sql.clone()), named.class, named.ty),
            None => {
                // What is no plain column is tied to by nothing.
                let class = self.class(&inner.names);
                (self.expression(class, &inner.names, 1), class, None)
            }
        }
    }

    /// `(SELECT …)` with a value of the class.
    pub(crate) fn subquery(
        &mut self,
        class: Class,
        names: &[Named],
        depth: usize,
    ) -> Option<Vec<Tree>> {
        if !self.chance(0.25) {
            let scope = self.tied(names, 2, Joins::All)?;
            let value = self.aggregate(class, &scope, depth - 1)?;
            return Some(parts!["(SELECT ", value, scope.from.clone(), scope.filter(), ")"]);
        }
        let scope = self.tied(names, 2, Joins::LookUps)?;
        // Where it puts joined rows in order, MySQL raises the errors of those that it does not take.
        let value = self.calm(|writer| writer.expression(class, &scope.names, depth - 1));
        let order = self.order(&scope);
        Some(parts!["(SELECT ", value, scope.from.clone(), scope.filter(), order, " LIMIT 1)"])
    }

    /// `[NOT] EXISTS (SELECT …)`.
    pub(crate) fn exists(&mut self, names: &[Named]) -> Option<Vec<Tree>> {
        let scope = self.tied(names, 1, Joins::All)?;
        let head = if self.chance(0.3) { "(NOT EXISTS (SELECT 1" } else { "(EXISTS (SELECT 1" };
        Some(parts![head, scope.from.clone(), scope.filter(), "))"])
    }

    /// `… [NOT] IN (SELECT …)`, with all of its values for NULL too.
    pub(crate) fn member(&mut self, names: &[Named], depth: usize) -> Option<Vec<Tree>> {
        if self.chance(0.4) {
            return self.loose_member(names);
        }
        let scope = self.tied(names, 1, Joins::All)?;
        let (mut sought, mut columns) = (Vec::new(), Vec::new());
        for _ in 0..if self.chance(0.3) { 2 } else { 1 } {
            let class = self.compared_class(&scope.names);
            sought.push(self.calm(|writer| writer.expression(class, names, depth.min(1))));
            columns.push(self.calm(|writer| writer.expression(class, &scope.names, depth.min(1))));
        }
        let head = self.asks(sought);
        let columns = Tree::Row(comma_separated(columns));
        Some(parts![head, columns, scope.from.clone(), scope.filter(), "))"])
    }

    /// The same of columns that nothing else ties, where NULL is as good as FALSE.
    fn loose_member(&mut self, names: &[Named]) -> Option<Vec<Tree>> {
        let table = self.random.random_range(0..self.tables.len());
        self.size += 2;
        let mut scope = self.from(table, &[]);
        self.joins(&mut scope, 1, false);
        let pairs = |own: &Named| {
            let able = names.iter().filter(|name| own.ty.is_some_and(|ty| name.ties(ty)));
            able.map(|name| (name.sql.clone(), own.clone())).collect::<Vec<_>>()
        };
        let pairs: Vec<(String, Named)> = scope.own().iter().flat_map(pairs).collect();
        let (sought, column) = pairs.choose(self.random)?.clone();
        if self.chance(0.3) {
            let condition = self.condition(&scope.names, 1);
            scope.conditions.push(condition);
        }
        let groups = self.chance(0.4) && scope.own()[..].iter().any(|name| name.groups());
        let (from, sql) = (scope.from.clone(), column.sql);
        if self.chance(0.3) {
            // No NULL on either side.
            scope.conditions.push(Tree::text(format!("{sql} IS NOT NULL")));
            let head = format!("({sought} IS NOT NULL AND {sought} NOT IN (SELECT {sql}");
            return Some(parts![head, from, scope.filter(), "))"]);
        }
        let groups = match groups && scope.names.iter().any(|name| name.sql == sql && name.groups())
        {
            true => format!(" GROUP BY {sql} HAVING COUNT(*) > 1"),
            false => String::new(),
        };
        let any = if self.chance(0.3) { "= ANY" } else { "IN" };
        let is = if self.chance(0.7) { "IS TRUE" } else { "IS NOT TRUE" };
        let head = format!("({sought} {any} (SELECT {sql}");
        Some(parts![head, from, scope.filter(), groups, format!(") {is})")])
    }

    /// `(values [NOT] IN (SELECT `.
    fn asks(&mut self, values: Vec<Tree>) -> Tree {
        let ways = ["IN", "IN", "NOT IN", "NOT IN", "= ANY", "= SOME", "<> ALL"];
        let ways = if values.len() == 1 { &ways[..] } else { &ways[..4] };
        let (open, close) = if values.len() == 1 { ("(", "") } else { ("((", ")") };
        let way = *ways.choose(self.random).unwrap_or(&"IN");
        let values = Tree::Row(comma_separated(values));
        Tree::Row(parts![open, values, format!("{close} {way} (SELECT ")])
    }

    /// ` ORDER BY …`, ending in the scope's key.
    pub(crate) fn order(&mut self, scope: &Scope) -> Tree {
        let own = scope.own().to_vec();
        let mut first = Vec::new();
        for _ in 0..self.random.random_range(0..=2) {
            let direction = if self.chance(0.4) { " DESC, " } else { ", " };
            let term = self.order_term(&own);
            first.extend(term.map(|term| Tree::Row(parts![term, direction])));
        }
        let mut key = Vec::new();
        for term in scope.key_terms() {
            key.push(Tree::text(term + if self.chance(0.4) { " DESC" } else { "" }));
        }
        Tree::Row(parts![
            " ORDER BY ",
            Tree::list("", "", first),
            Tree::List { before: "", between: ", ", least: key.len(), items: key },
        ])
    }

    /// Something to order by; a constant would be the place of a column.
    pub(crate) fn order_term(&mut self, names: &[Named]) -> Option<Tree> {
        let able: Vec<&Named> =
            names.iter().filter(|name| COMPARED.contains(&name.class)).collect();
        let named = (*able.choose(self.random)?).clone();
        let parts = match self.chance(0.3) {
            false => parts![named.sql],
            true => {
                let other = self.calm(|writer| writer.expression(named.class, names, 1));
                parts![format!("COALESCE({}, ", named.sql), other, ")"]
            }
        };
        Some(Tree::Expression(named.class, parts))
    }

    /// A SELECT's FROM and WHERE inside of another, tied to it; `None` if nothing can be.
    pub(crate) fn tied(&mut self, outer: &[Named], most: usize, joins: Joins) -> Option<Scope> {
        let mut order: Vec<usize> = (0..self.tables.len()).collect();
        order.shuffle(self.random);
        let tables = self.tables;
        let is_able = |table: &usize| {
            let mut columns = tables[*table].columns.iter();
            columns.any(|column| outer.iter().any(|name| name.ties(column.ty)))
        };
        let table = order.into_iter().find(is_able)?;
        self.size += 2;
        let mut scope = self.from(table, outer);
        let mut tied = scope.own().to_vec();
        if joins == Joins::All && !self.is_full() && self.chance(0.4) {
            tied.extend(self.several(&mut scope));
        }
        let pairs = |own: &Named| {
            let able = outer.iter().filter(|name| own.ty.is_some_and(|ty| name.ties(ty)));
            able.map(|name| (own.sql.clone(), name.sql.clone())).collect::<Vec<_>>()
        };
        let pairs: Vec<(String, String)> = tied.iter().flat_map(pairs).collect();
        let count = if self.chance(0.25) { 2 } else { 1 };
        if pairs.is_empty() {
            return None;
        }
        for (left, right) in pairs.choose_multiple(self.random, count) {
            let (left, right) =
                if self.random.random_bool(0.5) { (left, right) } else { (right, left) };
            scope.conditions.push(Tree::text(format!("{left} = {right}")));
        }
        self.joins(&mut scope, most, joins == Joins::All);
        if self.chance(0.3) {
            let condition = self.condition(&scope.names, 1);
            scope.conditions.push(condition);
        }
        Some(scope)
    }

    /// Joins a table by any equal columns: several rows may be found. The names that its rows may be
    /// tied outside by: those of an inner join.
    fn several(&mut self, scope: &mut Scope) -> Vec<Named> {
        let own = scope.own().to_vec();
        let table = self.random.random_range(0..self.tables.len());
        let tables = self.tables;
        let columns = tables[table].columns.iter();
        let pairs = columns.flat_map(|column| {
            let able = own.iter().filter(|name| name.ties(column.ty));
            able.map(|name| (column.name.clone(), name.sql.clone()))
        });
        let pairs: Vec<(String, String)> = pairs.collect();
        let Some(pair) = pairs.choose(self.random) else { return Vec::new() };
        let is_inner = self.random.random_bool(0.5);
        let kind = if is_inner { " JOIN " } else { " LEFT JOIN " };
        let before = scope.names.len();
        let join = self.joined(scope, table, std::slice::from_ref(pair), kind);
        let joined = scope.names[before..].to_vec();
        scope.key.extend_from_slice(&joined[..tables[table].key]);
        scope.push_join(join);
        if is_inner { joined } else { Vec::new() }
    }
}

fn comma_separated(values: Vec<Tree>) -> Vec<Tree> {
    let mut parts = Vec::new();
    for value in values {
        if !parts.is_empty() {
            parts.push(Tree::text(", "));
        }
        parts.push(value);
    }
    parts
}
