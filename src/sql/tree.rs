//! FROM, JOIN and WHERE become a tree of nodes, one per table reference, each hanging on another
//! by an equality of columns.

use sqlparser::ast::{
    self, BinaryOperator, Ident, JoinConstraint, JoinOperator, ObjectName, Select, TableAlias,
    TableFactor, TableWithJoins,
};

use super::build::{column, is_xor, junction};
use super::catalog::{Catalog, TableDefinition};
use super::conditions::{choosing, deciding};
use super::edges::{self, Pair};
use super::error::{Refusal, Refused, did_you_mean, listed};
use super::expr::{Expr, ExprKind};
use super::joins::{Finds, Loose, settle, untied};
use super::literals::literal;
use super::membership::Sought;
use super::names::{NamedColumn, Names};
use super::plan::{Collection, Computed, Join, JoinKind, NodeId, OrderBy, Scope};
use super::select_text::Edit;
use super::using::using_as_on;
use super::view_file::ViewSource;
use super::with::NamedSelect;
use crate::value::Type;

/// Plans one view.
pub(super) struct Planner<'c> {
    pub(super) catalog: &'c Catalog,
    /// By table of the catalog: what is computed of its rows, in places behind its columns.
    pub(super) computed: &'c mut [Vec<Computed>],
    /// All views as written.
    pub(super) views: &'c [ViewSource<'c>],
    /// The views whose SELECTs are being read, from the outermost.
    pub(super) reading: Vec<&'c str>,
    pub(super) nodes: Vec<DraftNode>,
    pub(super) collections: Vec<Collection>,
    /// What WITH names, the innermost last.
    pub(super) named: Vec<NamedSelect>,
    /// What of the SELECT's text is to be rewritten before MySQL runs it.
    pub(super) edits: Vec<Edit>,
}

/// A node whose columns are still places in its table's definition.
pub(super) struct DraftNode {
    pub(super) alias: String,
    /// Place in [`Catalog::tables`].
    pub(super) table: usize,
    /// The columns by which it is the groups of the table, rather than the table.
    pub(super) groups: Option<Vec<usize>>,
    pub(super) edge: Option<DraftEdge>,
}

/// `child = parent`, pairwise.
pub(super) struct DraftEdge {
    pub(super) parent: NodeId,
    pub(super) parent_columns: Vec<usize>,
    pub(super) child_columns: Vec<usize>,
    /// Whether values are told apart as groups are: NULL equals NULL, text goes by its bytes.
    pub(super) as_groups: bool,
}

/// What a table reference stands for.
pub(super) struct Source {
    pub(super) from: NodeId,
    /// What belongs to each of its rows: the joins of a view.
    pub(super) joins: Vec<Join>,
    /// The WHERE of a view.
    pub(super) filter: Option<Expr>,
    /// What qualifies its columns.
    pub(super) alias: Ident,
    pub(super) columns: Vec<NamedColumn>,
    /// What is not NULL in any of its rows.
    pub(super) filled: Vec<ExprKind>,
}

impl DraftEdge {
    /// The edge that these equalities, all with one parent and at least one, make.
    pub(super) fn of(pairs: &[&Pair]) -> DraftEdge {
        DraftEdge {
            parent: pairs[0].parent,
            parent_columns: pairs.iter().map(|pair| pair.parent_column).collect(),
            child_columns: pairs.iter().map(|pair| pair.child_column).collect(),
            as_groups: false,
        }
    }
}

/// What becomes of a SELECT's rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Each row of the first table stays one.
    One,
    /// They are made one value, so that joins may find several.
    Many,
}

/// What the rows of a SELECT are found from.
#[derive(Clone, Copy)]
pub(super) enum Tied<'n> {
    /// Nothing: they are a view's own.
    Nothing,
    /// The row of the SELECT around it, by equalities in WHERE.
    Outer(&'n Names<'n>),
    /// The same, or by what is sought of the rows.
    Among(&'n Names<'n>, &'n Sought<'n>),
    /// The groups at this node, by what GROUP BY says.
    Groups(NodeId, &'n [ast::Expr]),
}

/// A SELECT's FROM and WHERE, and what its columns are called.
pub(super) struct PlannedScope<'n> {
    pub(super) scope: Scope,
    pub(super) names: Names<'n>,
}

impl Planner<'_> {
    /// Plans FROM and WHERE of a SELECT; one inside of another hangs on it by its WHERE.
    pub(super) fn scope<'n>(
        &mut self,
        select: &Select,
        tied: Tied<'n>,
        rows: Rows,
    ) -> Refused<PlannedScope<'n>> {
        let (select, nameless) = using_as_on(select)?;
        let select = &*select;
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else {
            return Err(match select.from.get(1) {
                Some(second) => {
                    Refusal::on(&second.relation, "a comma between tables: write JOIN … ON …")
                }
                None => Refusal::on(
                    &select.select_token.0,
                    "a SELECT without FROM: write the value itself",
                ),
            });
        };
        let first_node = self.nodes.len();
        let mut names = Names::inside(match tied {
            Tied::Outer(outer) | Tied::Among(outer, _) => Some(outer),
            Tied::Nothing | Tied::Groups(..) => None,
        });
        names.nameless = nameless;
        names.first = NodeId(first_node as u16);
        let (mut loose, mut on) = (Vec::new(), Vec::new());
        loose.push(Loose::read(self, relation, &mut names)?);
        // Tables that inner joins bring together commute where no row has to stay one.
        let inner: Vec<_> = match rows {
            Rows::One => Vec::new(),
            Rows::Many => joins.iter().map_while(Loose::of).collect(),
        };
        for (factor, condition) in &inner {
            loose.push(Loose::read(self, factor, &mut names)?);
            condition.iter().for_each(|condition| conjuncts(condition, &mut on));
        }
        let mut others = Vec::new();
        for join in joins.iter().skip(inner.len()) {
            others.extend(self.join(join, rows, &mut names)?);
        }
        let mut conditions = Vec::new();
        if let Some(selection) = &select.selection {
            conjuncts(selection, &mut conditions);
        }
        let inner = joins.iter().filter_map(|join| Loose::of(join)?.1);
        let mut never_null = conditions.clone();
        inner.for_each(|condition| conjuncts(condition, &mut never_null));
        let filled = self.filled(&never_null, &names);
        names.filled.extend(filled);
        let mut equalities = match tied {
            Tied::Among(_, sought) => self.equalities(sought, &names)?,
            _ => Vec::new(),
        };
        let begins = match tied {
            Tied::Nothing => 0,
            Tied::Outer(_) | Tied::Among(..) => {
                self.tie_one(first_node, &loose, (&mut conditions, &mut equalities), &names)?
            }
            Tied::Groups(groups, terms) => {
                self.tie_groups((groups, terms), select, &loose, &names)?
            }
        };
        let mut scope = self.arrange(first_node, loose, begins, on, &names)?;
        scope.joins.extend(others);
        let mut rest = self.choosing(&conditions, &names)?;
        rest.extend(equalities.into_iter().map(|equality| equality.condition));
        if scope.joins.iter().any(|join| matches!(join.kind, JoinKind::Each { .. })) {
            rest = settle(&mut scope.joins, rest, false);
        }
        scope.filter = both(scope.filter, all_of(rest));
        Ok(PlannedScope { scope, names })
    }

    /// The definition of a node's table.
    pub(super) fn definition(&self, node: NodeId) -> &TableDefinition {
        &self.catalog.tables[self.nodes[usize::from(node.0)].table]
    }

    /// The type of a column of a node's table, or of what is computed of its rows; `None` if it cannot
    /// be read.
    pub(super) fn column_type(&self, node: NodeId, column: usize) -> Option<Type> {
        let definition = self.definition(node);
        match column.checked_sub(definition.columns.len()) {
            None => definition.columns[column].ty.ok(),
            Some(computed) => {
                let table = self.nodes[usize::from(node.0)].table;
                Some(self.computed[table][computed].column.ty)
            }
        }
    }

    /// The columns that a node's rows are known by: its table's primary key, or what it is grouped by.
    pub(super) fn key(&self, node: NodeId) -> &[usize] {
        let groups = self.nodes[usize::from(node.0)].groups.as_deref();
        groups.unwrap_or(&self.definition(node).key)
    }

    /// What a table reference stands for: a table, or the SELECT of another view or between
    /// parentheses. `optional` if its columns are NULL where nothing is found.
    pub(super) fn source(&mut self, factor: &TableFactor, optional: bool) -> Refused<Source> {
        if let TableFactor::Derived { lateral: false, subquery, alias, .. } = factor {
            let alias = named(subquery, alias.as_ref())?;
            return self.derived(subquery, (&alias.name, &alias.columns), optional);
        }
        let TableFactor::Table { name, alias, args, with_hints, partitions, index_hints, .. } =
            factor
        else {
            return Err(not_a_table(factor));
        };
        if args.is_some() || !with_hints.is_empty() {
            return Err(not_a_table(factor));
        }
        if !partitions.is_empty() || !index_hints.is_empty() {
            let message = "a PARTITION or INDEX hint on a table: leave it out";
            return Err(Refusal::on(name, message));
        }
        let ident = self.table_name(name)?;
        let alias = alias_of(alias.as_ref(), &ident)?;
        if let Some(read) = self.named_select(&ident, &alias, optional) {
            return read;
        }
        let table = self.catalog.tables.iter().position(|table| table.name == ident.value);
        let Some(table) = table else {
            return match self.views.iter().find(|view| view.name() == ident.value) {
                Some(view) => self.inlined(view, (name, &ident), alias, optional),
                None => Err(self.unknown_table(&ident)),
            };
        };
        if self.catalog.tables[table].key.is_empty() {
            let message = format!(
                "table `{}` has no primary key: add one, for without it its rows cannot be told apart",
                ident.value
            );
            return Err(Refusal::at(ident.span.start, message));
        }
        let Ok(id) = u16::try_from(self.nodes.len()) else {
            return Err(Refusal::on(name, "more than 65535 tables in one view: split it"));
        };
        let from = NodeId(id);
        self.nodes.push(DraftNode { alias: alias.value.clone(), table, groups: None, edge: None });
        let columns = self.columns_of(from, optional);
        Ok(Source { from, joins: Vec::new(), filter: None, alias, columns, filled: Vec::new() })
    }

    fn table_name(&self, name: &ObjectName) -> Refused<Ident> {
        match name.0.as_slice() {
            [part] => part.as_ident().cloned(),
            _ => {
                let message = format!("`{name}` names a database: write the table's name alone");
                return Err(Refusal::on(name, message));
            }
        }
        .ok_or_else(|| Refusal::on(name, "a table's name is missing here"))
    }

    fn unknown_table(&self, name: &Ident) -> Refusal {
        let tables = self.catalog.tables.iter().map(|table| table.name.as_str());
        let hint = did_you_mean(&name.value, tables.clone());
        let message =
            format!("unknown table `{}`{hint} (declared: {})", name.value, listed(tables));
        Refusal::at(name.span.start, message)
    }

    /// The columns that a node gives to its SELECT.
    pub(super) fn columns_of(&self, node: NodeId, optional: bool) -> Vec<NamedColumn> {
        let definition = self.definition(node);
        let columns = definition.columns.iter().enumerate().map(|(place, column)| NamedColumn {
            name: column.name.clone(),
            value: match column.ty {
                Ok(ty) => Ok(Expr::new(
                    ExprKind::Column { node, column: place },
                    ty,
                    column.nullable || optional,
                )),
                Err(unreadable) => Err(unreadable.to_string()),
            },
            hidden: column.invisible,
            zerofill: column.zerofill,
        });
        columns.collect()
    }

    /// What a JOIN adds to each row; `None` if but names.
    fn join(
        &mut self,
        join: &ast::Join,
        rows: Rows,
        names: &mut Names<'_>,
    ) -> Refused<Option<Join>> {
        let (required, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (true, constraint),
            JoinOperator::CrossJoin(constraint) => (true, constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                (false, constraint)
            }
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
                let message = "RIGHT JOIN: start FROM the other table and write LEFT JOIN";
                return Err(Refusal::on(&join.relation, message));
            }
            _ => {
                return Err(Refusal::on(
                    &join.relation,
                    "this kind of join: write JOIN or LEFT JOIN",
                ));
            }
        };
        let on = match constraint {
            JoinConstraint::On(on) => Some(on),
            JoinConstraint::None => None,
            // What was to be written as ON is.
            JoinConstraint::Using(_) | JoinConstraint::Natural => {
                return Err(Refusal::on(
                    &join.relation,
                    "NATURAL JOIN: write ON with both columns",
                ));
            }
        };
        let kind = match &join.relation {
            TableFactor::Derived { lateral: true, subquery, alias, .. } => {
                if on.is_some_and(|on| !is_true(on)) {
                    let message = "a condition on JOIN LATERAL: move it into the WHERE inside, and write ON TRUE";
                    return Err(on.map_or_else(
                        || Refusal::on(subquery.as_ref(), message),
                        |on| Refusal::on(on, message),
                    ));
                }
                let alias = named(subquery, alias.as_ref())?;
                self.with(subquery, |planner| planner.lateral(subquery, alias, required, names))?
            }
            other => Some(self.table_join(other, required, on, rows, names)?),
        };
        Ok(kind.map(|kind| Join { kind, required }))
    }

    /// A join of a table by what ON says.
    fn table_join(
        &mut self,
        factor: &TableFactor,
        required: bool,
        on: Option<&ast::Expr>,
        rows: Rows,
        names: &mut Names<'_>,
    ) -> Refused<JoinKind> {
        let first_node = self.nodes.len();
        let mut source = self.source(factor, !required)?;
        names.add(&source.alias, std::mem::take(&mut source.columns))?;
        let mut conditions = Vec::new();
        if let Some(on) = on {
            conjuncts(on, &mut conditions);
        }
        let known = |other: NodeId| usize::from(other.0) < first_node;
        let way = self.way(source.from, &conditions, names, known);
        let (edge, used, finds) = match (way, rows) {
            (Some((.., Finds::Many)) | None, Rows::One) => {
                let pairs = self.pairs(source.from, &conditions, names, known);
                return Err(self.no_lookup(&source, factor, names, (&conditions, &pairs)));
            }
            (None, Rows::Many) => {
                let pairs = self.pairs(source.from, &conditions, names, known);
                return Err(untied(factor, &source.alias, &pairs));
            }
            (Some(way), _) => way,
        };
        self.nodes[usize::from(source.from.0)].edge = Some(edge);
        let rest: Vec<&ast::Expr> = conditions
            .iter()
            .enumerate()
            .filter(|(i, condition)| !used.contains(i) && !is_true(condition))
            .map(|(_, condition)| *condition)
            .collect();
        let on = match required {
            true => self.choosing(&rest, names)?,
            false => self.conditions(&rest, names)?,
        };
        let on = all_of(on);
        Ok(self.joined(source, finds, on))
    }

    /// The columns of a node that the conditions set equal to a constant.
    pub(super) fn constant_columns(
        &self,
        node: NodeId,
        conditions: &[&ast::Expr],
        names: &Names<'_>,
    ) -> Vec<usize> {
        let constant = |sql: &&ast::Expr| {
            let ast::Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = unnested(sql) else {
                return None;
            };
            [(left, right), (right, left)].into_iter().find_map(|(here, there)| {
                let here = column(unnested(here), names).ok()?.value.as_ref().ok()?;
                let ast::Expr::Value(there) = unnested(there) else { return None };
                let there = literal(there).ok()?;
                match here.kind {
                    ExprKind::Column { node: other, column } if other == node => {
                        edges::fixes(here.ty, there.ty).then_some(column)
                    }
                    _ => None,
                }
            })
        };
        conditions.iter().filter_map(constant).collect()
    }

    /// The order of a node's rows by their primary key, text by its bytes.
    pub(super) fn by_key(&self, node: NodeId) -> Vec<OrderBy> {
        let term = |&column: &usize| {
            // A key's columns are of types that can be read, or no key would be.
            let ty = self.column_type(node, column)?.by_bytes();
            let expr = Expr::new(ExprKind::Column { node, column }, ty, false);
            Some(OrderBy { expr, descending: false })
        };
        self.key(node).iter().filter_map(term).collect()
    }

    /// Why a join is no lookup.
    fn no_lookup(
        &self,
        source: &Source,
        factor: &TableFactor,
        names: &Names<'_>,
        (conditions, pairs): (&[&ast::Expr], &[Pair]),
    ) -> Refusal {
        let (node, alias) = (source.from, &source.alias);
        let definition = self.definition(node);
        let unusable = pairs
            .iter()
            .filter(|pair| self.key(node).contains(&pair.child_column))
            .find_map(|pair| pair.obstacle.as_ref());
        if let Some(why) = unusable {
            return Refusal::on(factor, format!("the join of `{}` {why}", alias.value));
        }
        if let Some(made) = conditions.iter().find_map(|sql| self.made(node, sql, names)) {
            let message = format!(
                "the join of `{}` is by `{made}`, which is no column of a table, so that no index finds its rows: join by columns, or take one row by \
                 JOIN LATERAL (SELECT … ORDER BY … LIMIT 1)",
                alias.value
            );
            return Refusal::on(factor, message);
        }
        let equal = |&column: &usize| format!("{} = …", self.called(node, column, names));
        let conditions: Vec<String> = self.key(node).iter().map(equal).collect();
        let table = match factor {
            TableFactor::Table { name, .. } => name.to_string(),
            _ => definition.name.clone(),
        };
        let message = format!(
            "the join of `{}` may find several rows: join on its primary key (ON {}) or a unique one, or take one row by \
             JOIN LATERAL (SELECT … ORDER BY … LIMIT 1), or all of them by a subquery such as \
             (SELECT JSON_ARRAYAGG(…) FROM {table} …)",
            alias.value,
            conditions.join(" AND "),
        );
        Refusal::on(factor, message)
    }

    /// What a condition sets a column of a node's key equal to, where that is made of columns.
    fn made(&self, node: NodeId, condition: &ast::Expr, names: &Names<'_>) -> Option<String> {
        let ast::Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = unnested(condition)
        else {
            return None;
        };
        let plain = |side: &ast::Expr| {
            let value = column(unnested(side), names).ok()?.value.clone().ok()?;
            match value.kind {
                ExprKind::Column { node, column } => Some((node, column)),
                _ => None,
            }
        };
        [(left, right), (right, left)].into_iter().find_map(|(here, there)| {
            let (of, column) = plain(here)?;
            let is_key = of == node && self.key(node).contains(&column);
            let is_constant = matches!(unnested(there), ast::Expr::Value(_));
            (is_key && !is_constant && plain(there).is_none()).then(|| there.to_string())
        })
    }

    /// Types conditions that choose rows.
    pub(super) fn choosing(&mut self, sql: &[&ast::Expr], names: &Names<'_>) -> Refused<Vec<Expr>> {
        let conditions = self.conditions(sql, names)?.into_iter();
        Ok(conditions.map(|condition| choosing(condition, names.first)).collect())
    }

    /// Types conditions.
    fn conditions(&mut self, sql: &[&ast::Expr], names: &Names<'_>) -> Refused<Vec<Expr>> {
        sql.iter().map(|condition| Ok(deciding(self.truth(condition, names)?))).collect()
    }
}

/// AND of all; `None` of none.
fn all_of(mut conditions: Vec<Expr>) -> Option<Expr> {
    match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => Some(junction(ExprKind::Every, conditions)),
    }
}

/// The name of a subquery in FROM.
fn named<'a>(subquery: &ast::Query, alias: Option<&'a TableAlias>) -> Refused<&'a TableAlias> {
    let Some(alias) = alias else {
        return Err(Refusal::on(subquery, "a subquery without a name: write AS name behind it"));
    };
    Ok(alias)
}

/// The condition that both are true.
pub(super) fn both(first: Option<Expr>, second: Option<Expr>) -> Option<Expr> {
    match (first, second) {
        (Some(first), Some(second)) => Some(junction(ExprKind::Every, vec![first, second])),
        (first, second) => first.or(second),
    }
}

/// The name that qualifies a table's columns.
fn alias_of(alias: Option<&TableAlias>, name: &Ident) -> Refused<Ident> {
    match alias {
        None => Ok(name.clone()),
        Some(alias) => match alias.columns.first() {
            None => Ok(alias.name.clone()),
            Some(column) => Err(Refusal::at(
                column.name.span.start,
                "column names behind a table's alias: name the columns in the SELECT",
            )),
        },
    }
}

/// The conditions that AND joins.
pub(super) fn conjuncts<'a>(sql: &'a ast::Expr, out: &mut Vec<&'a ast::Expr>) {
    match sql {
        ast::Expr::BinaryOp { left, op: BinaryOperator::And, right }
            if !is_xor(left) && !is_xor(right) =>
        {
            conjuncts(left, out);
            conjuncts(right, out);
        }
        ast::Expr::Nested(inner) if matches!(unnested(inner), ast::Expr::BinaryOp { .. }) => {
            conjuncts(inner, out);
        }
        other => out.push(other),
    }
}

pub(super) fn unnested(sql: &ast::Expr) -> &ast::Expr {
    match sql {
        ast::Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

pub(super) fn is_true(sql: &ast::Expr) -> bool {
    matches!(unnested(sql), ast::Expr::Value(value) if value.value == ast::Value::Boolean(true))
}

fn not_a_table(factor: &TableFactor) -> Refusal {
    Refusal::on(factor, format!("`{factor}` is no table: write the name of a declared table"))
}
