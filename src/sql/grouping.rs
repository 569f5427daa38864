//! GROUP BY: a row per group.
//!
//! The groups are a table of their own, and everything else is found from there as in a subquery of
//! aggregates that is tied to it. Grouped by its primary key a table's groups are its rows, and the
//! table stands for them itself.

use sqlparser::ast::{self, GroupByExpr, Ident, Select, SelectItem};
use sqlparser::tokenizer::Token;

use super::aggregates::{Aggregated, has_aggregate};
use super::build::{column, refused, value_of};
use super::computed::unwritten;
use super::conditions::{choosing, deciding};
use super::error::{Refusal, Refused};
use super::expr::{CompareOp, Expr, ExprKind};
use super::group_values::{has_one_form, is_told_by_bytes};
use super::joins::Loose;
use super::names::{NamedColumn, Names};
use super::plan::{Column, Computed, Join, NodeId, Scope};
use super::subquery::{Item, item_expr};
use super::tokens::lexemes;
use super::tree::{DraftEdge, DraftNode, Planner, Rows, Tied, both, unnested};
use super::typing::{is_floating, type_name};
use crate::value::{Collation, Type};

/// Words that are units, types and operators by where they stand, and names elsewhere.
const SYNTAX: &[&str] = &[
    "DATE",
    "DATETIME",
    "DAY",
    "ESCAPE",
    "HOUR",
    "JSON",
    "MICROSECOND",
    "MINUTE",
    "MONTH",
    "QUARTER",
    "SECOND",
    "SIGNED",
    "TIME",
    "TIMESTAMP",
    "UNKNOWN",
    "WEEK",
    "YEAR",
];

/// What rows are grouped by.
pub(super) struct GroupKey {
    /// Inside of the aggregates.
    inside: Expr,
    /// Beside them.
    pub(super) beside: NamedColumn,
    /// Whether GROUP BY names it; otherwise it follows from what does.
    is_named: bool,
    /// How it is written, where it is computed.
    written: Option<String>,
}

/// A term of GROUP BY.
struct Term {
    /// What it means inside of the aggregates.
    value: Expr,
    /// The table whose rows it is of.
    node: NodeId,
    /// Place of its column there; `None` if it is computed of several, or otherwise.
    column: Option<usize>,
    /// It as SQL over that table alone, where it is computed.
    sql: Refused<String>,
}

/// A SELECT with GROUP BY, planned.
pub(super) struct Grouped {
    pub(super) scope: Scope,
    pub(super) items: Vec<Item>,
    /// What tells the groups apart: each value, and what it is called.
    pub(super) key: Vec<(Expr, String)>,
    /// What of it is never NULL.
    pub(super) filled: Vec<ExprKind>,
}

impl GroupKey {
    /// Whether this is its value inside of the aggregates.
    pub(super) fn is(&self, value: &Expr) -> bool {
        self.inside == *value
    }

    /// What it is called where it is computed of this value, among others.
    pub(super) fn made_of(&self, value: &Expr) -> Option<&str> {
        let mut is_in = false;
        self.inside.each(&mut |inside| is_in |= inside == value);
        self.written.as_deref().filter(|_| is_in)
    }

    /// Whether HAVING may say it, beside these columns of the SELECT list.
    pub(super) fn is_known_to_having(&self, list: &[NamedColumn]) -> bool {
        self.is_named || list.iter().any(|item| item.value == self.beside.value)
    }
}

/// The terms of a SELECT's GROUP BY.
pub(super) fn group_terms(select: &Select) -> &[ast::Expr] {
    match &select.group_by {
        GroupByExpr::Expressions(terms, _) => terms,
        GroupByExpr::All(_) => &[],
    }
}

impl Planner<'_> {
    /// Plans a SELECT that has a GROUP BY.
    pub(super) fn grouped(&mut self, select: &Select) -> Refused<Grouped> {
        if let Some(all) = select.projection.iter().find(|item| item_expr(item).is_none()) {
            return Err(Refusal::on(all, "`*` beside GROUP BY: name the columns"));
        }
        let terms = group_terms(select);
        let Ok(groups) = u16::try_from(self.nodes.len()).map(NodeId) else {
            return Err(Refusal::on(&terms[0], "more than 65535 tables in one view: split it"));
        };
        // What they are of, and by what, is known once FROM is.
        self.nodes.push(DraftNode { alias: String::new(), table: 0, groups: None, edge: None });
        let planned = self.scope(select, Tied::Groups(groups, terms), Rows::Many)?;
        let written = terms.iter().map(|term| self.group_term(term, select, &planned.names));
        let written = written.collect::<Refused<Vec<_>>>()?;
        let may_be_empty = planned.scope.filter.is_some()
            || planned.scope.joins.iter().any(|join: &Join| join.required);
        let mut inside = self.aggregated_scope(planned);
        inside.keys = self.group_keys(groups, &written);
        let items = self.items(select, &Names::beside(&inside))?;
        let key = self.key_of_groups(groups, &written);
        let mut filter = match &select.having {
            None => None,
            Some(having) => {
                let truth = self.truth(having, &having_names(&inside, &items))?;
                Some(choosing(deciding(truth), groups))
            }
        };
        // Rows that have the values may all be left out. Where nothing else looks at them they are
        // what the group is.
        let is_asked = filter.is_none() && items.iter().any(|item| inside.is_asked_by(&item.value));
        if may_be_empty
            || self.collections[inside.collection].aggregates.is_empty()
            || !is_asked && self.may_raise(&inside)
        {
            let some = refused(&terms[0], self.row_count(&inside, CompareOp::Greater))?;
            filter = both(Some(some), filter);
        }
        let filled = inside.keys.iter().filter(|key| !inside.names.may_be_null(&key.inside));
        let filled = filled.filter_map(|key| Some(key.beside.value.as_ref().ok()?.kind.clone()));
        let filled = filled.collect();
        let scope = Scope { from: groups, joins: Vec::new(), filter };
        Ok(Grouped { scope, items, key, filled })
    }

    /// Hangs the table whose columns the rows are grouped by on the groups; which it is.
    pub(super) fn tie_groups(
        &mut self,
        (groups, terms): (NodeId, &[ast::Expr]),
        select: &Select,
        loose: &[Loose<'_>],
        names: &Names<'_>,
    ) -> Refused<usize> {
        let mut written = Vec::new();
        let mut begins = None;
        for term in terms {
            let read = self.group_term(term, select, names)?;
            let place = loose.iter().position(|table| table.from() == read.node);
            let Some(place) = place else {
                let message = format!(
                    "groups by a column of `{}`, whose rows an outer join or a view adds: start FROM it",
                    self.nodes[usize::from(read.node.0)].alias
                );
                return refused(term, Err(message));
            };
            if begins.is_some_and(|other| other != place) {
                let first = loose[begins.unwrap_or(place)].from();
                return refused(term, Err(self.of_two_tables(first, read.node)));
            }
            begins = Some(place);
            written.push(read);
        }
        let begins = begins.unwrap_or(0);
        let from = loose[begins].from();
        let key = self.key(from).to_vec();
        let plain: Vec<usize> = written.iter().filter_map(|term| term.column).collect();
        // Groups of groups are known by what is written here, in this order.
        let is_row = match self.nodes[usize::from(from.0)].groups {
            None => key.iter().all(|column| plain.contains(column)),
            Some(_) => plain.starts_with(&key),
        };
        let mut columns = if is_row { key } else { Vec::new() };
        // A row is known by its key, whatever else is named.
        for (sql, term) in terms.iter().zip(&written).filter(|_| !is_row) {
            self.groups_exactly(sql, term)?;
            let column = self.place_of(sql, term)?;
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let DraftNode { alias, table, groups: own, .. } = &self.nodes[usize::from(from.0)];
        self.nodes[usize::from(groups.0)] = DraftNode {
            alias: alias.clone(),
            table: *table,
            groups: if is_row { own.clone() } else { Some(columns.clone()) },
            edge: None,
        };
        self.nodes[usize::from(from.0)].edge = Some(DraftEdge {
            parent: groups,
            parent_columns: columns.clone(),
            child_columns: columns,
            as_groups: true,
        });
        Ok(begins)
    }

    /// A term of GROUP BY, read.
    fn group_term(
        &mut self,
        term: &ast::Expr,
        select: &Select,
        names: &Names<'_>,
    ) -> Refused<Term> {
        let mut written = unnested(term);
        let value = match written {
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => {
                // Columns come first, then what the SELECT list calls so, as MySQL has it.
                match (column(written, names), named_item(written, select)) {
                    (Ok(column), _) => value_of(written, column)?,
                    (Err(_), Some(item)) => {
                        written = unnested(item);
                        self.group_value(written, names)?
                    }
                    (Err(unknown), None) => return Err(unknown),
                }
            }
            other => self.group_value(other, names)?,
        };
        if let Some((node, column)) = grouped_column(&value) {
            return Ok(Term { value, node, column: Some(column), sql: Ok(String::new()) });
        }
        let node = refused(term, self.node_of(&value))?;
        let sql = self.over_table(written, names);
        Ok(Term { value: unwritten(value), node, column: None, sql })
    }

    fn group_value(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Refused<Expr> {
        if let ast::Expr::Value(_) = sql {
            return Err(Refusal::on(sql, "GROUP BY a position or constant: name the column"));
        }
        if has_aggregate(sql) {
            let message = "GROUP BY an aggregate, which is made of groups: GROUP BY what is to be in one, and write the condition in HAVING";
            return Err(Refusal::on(sql, message));
        }
        self.expr(sql, names)
    }

    /// The node whose columns what is grouped by is computed of.
    fn node_of(&self, value: &Expr) -> Result<NodeId, String> {
        let (mut first, mut other, mut is_of_rows) = (None, None, true);
        value.each(&mut |expr| match expr.kind {
            ExprKind::Column { node, .. } if first.is_none_or(|first| first == node) => {
                first = Some(node);
            }
            ExprKind::Column { node, .. } => other = Some(node),
            ExprKind::IfPresent(..) | ExprKind::Collection(..) | ExprKind::Subquery(_) => {
                is_of_rows = false;
            }
            _ => {}
        });
        if !is_of_rows {
            return Err("groups by what follows from a subquery or an outer join: start FROM its table, and group by its columns".to_owned());
        }
        match (first, other) {
            (None, _) => Err("groups by a constant: name a column in it".to_owned()),
            (Some(first), Some(other)) => Err(self.of_two_tables(first, other)),
            (Some(first), None) => Ok(first),
        }
    }

    fn of_two_tables(&self, first: NodeId, other: NodeId) -> String {
        format!(
            "groups by columns of two tables, `{}` and `{}`: group by those of one, and write a subquery in the SELECT list for the other's",
            self.nodes[usize::from(first.0)].alias,
            self.nodes[usize::from(other.0)].alias
        )
    }

    /// Whether rows that have equal values are told from others by their bytes.
    fn groups_exactly(&self, sql: &ast::Expr, term: &Term) -> Refused<()> {
        let value = &term.value;
        let by_index = term.column.is_some_and(|column| {
            let definition = self.definition(term.node);
            definition.columns.get(column).is_some_and(|column| column.by_index)
        });
        match value.ty {
            Type::Text(Collation::Binary) => {}
            Type::Text(_) if by_index && !matches!(value.kind, ExprKind::Collated(..)) => {}
            Type::Text(_) if is_told_by_bytes(value) => {}
            Type::Text(Collation::Foreign) => {
                let message = "groups by text of another character set than utf8mb4: declare the column utf8mb4";
                return refused(sql, Err(message.to_owned()));
            }
            Type::Text(_) => {
                let message = "groups text of which several spellings are equal, and MySQL shows any: write … COLLATE utf8mb4_0900_bin, in the SELECT list too";
                return refused(sql, Err(message.to_owned()));
            }
            ty if is_floating(ty) || ty == Type::Json => {
                let way_out = match term.column {
                    Some(_) => "group by a column that is exact",
                    None => "CAST it to what is exact, in the SELECT list too",
                };
                return refused(sql, Err(format!("groups by {}: {way_out}", type_name(ty))));
            }
            _ => {}
        }
        refused(sql, has_one_form(value))
    }

    /// The place of what is grouped by among the columns of its table; of what is computed, behind
    /// them.
    fn place_of(&mut self, sql: &ast::Expr, term: &Term) -> Refused<usize> {
        if let Some(column) = term.column {
            return Ok(column);
        }
        let from = &self.nodes[usize::from(term.node.0)];
        if from.groups.is_some() {
            let message = "groups groups by what is computed of them: compute it in the SELECT inside, and GROUP BY it there";
            return refused(sql, Err(message.to_owned()));
        }
        let mut expr = term.value.clone();
        put(&mut expr, NodeId(0));
        let (ty, nullable) = (expr.ty, expr.nullable);
        let written = term.sql.clone()?;
        let column = Column { name: written.replace('`', ""), ty, nullable };
        let computed = Computed { column, sql: written, expr };
        let (table, behind) = (from.table, self.definition(term.node).columns.len());
        let all = &mut self.computed[table];
        let known = all.iter().position(|known| known.expr == computed.expr);
        Ok(behind
            + known.unwrap_or_else(|| {
                all.push(computed);
                all.len() - 1
            }))
    }

    /// What is written, with a table's own names for its columns and without those of tables.
    fn over_table(&self, sql: &ast::Expr, names: &Names<'_>) -> Refused<String> {
        let text = sql.to_string();
        let lexemes = lexemes(&text)?;
        let token = |at: usize| lexemes.get(at).map(|lexeme| &lexeme.token);
        let word = |at: usize| lexemes.get(at)?.name().map(Ident::new);
        let (mut out, mut done, mut at) = (String::new(), 0, 0);
        while at < lexemes.len() {
            let first = at;
            let (qualifier, name) = match token(at + 1) {
                Some(Token::Period) => (word(at), word(at + 2)),
                _ => (None, word(at)),
            };
            at += if qualifier.is_some() { 3 } else { 1 };
            // Other words than names are left as they are.
            let name = name.filter(|_| token(at) != Some(&Token::LParen));
            let Some(name) = name else { continue };
            let Ok(column) = names.column(qualifier.as_ref(), &name) else { continue };
            let own = self.own_name(column);
            let is_renamed = own.is_none_or(|own| !own.eq_ignore_ascii_case(&name.value));
            if is_renamed
                && qualifier.is_none()
                && lexemes[first].word().is_some_and(|word| SYNTAX.contains(&&*word))
            {
                let message = format!(
                    "groups by what is computed with `{}`, a word of SQL that a column of the SELECT in FROM is called by: give that column another name",
                    name.value
                );
                return refused(sql, Err(message));
            }
            let Some(own) = own else {
                let message = format!(
                    "groups by what is computed in another SELECT as `{}`: start FROM its table, and write it here",
                    name.value
                );
                return refused(sql, Err(message));
            };
            if qualifier.is_some() || is_renamed {
                out.push_str(&text[done..lexemes[first].bytes.start]);
                out.push_str(&format!("`{}`", own.replace('`', "``")));
                done = lexemes[at - 1].bytes.end;
            }
        }
        out.push_str(&text[done..]);
        Ok(out)
    }

    /// What a table calls a column of it.
    fn own_name(&self, column: &NamedColumn) -> Option<&str> {
        let value = column.value.as_ref().ok()?;
        let (node, place) = grouped_column(value)?;
        Some(&self.definition(node).columns.get(place)?.name)
    }

    /// The value beside the aggregates of a column of the SELECT list that is grouped by as it is
    /// written. MySQL knows it nowhere else.
    pub(super) fn group_key(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Option<Expr> {
        let inside = names.aggregated.filter(|inside| !inside.keys.is_empty())?;
        let sql = unnested(sql);
        let is_collated = matches!(sql, ast::Expr::Collate { .. });
        if !is_collated && inside.keys.iter().all(|key| key.written.is_none()) {
            return None;
        }
        let written = self.over_table(sql, &inside.names).ok().map(|sql| as_compared(&sql));
        let is_it = |key: &GroupKey| match &key.written {
            None => is_collated,
            Some(_) => key.written == written,
        };
        if !inside.keys.iter().any(is_it) {
            return None;
        }
        let value = unwritten(self.expr(sql, &inside.names).ok()?);
        let key = inside.keys.iter().find(|key| is_it(key) && key.inside == value)?;
        key.beside.value.clone().ok()
    }

    /// What stands beside the aggregates: what is grouped by, and what follows from it.
    fn group_keys(&self, groups: NodeId, terms: &[Term]) -> Vec<GroupKey> {
        let mut keys: Vec<GroupKey> = Vec::new();
        let Some(from) = terms.first().map(|term| term.node) else { return keys };
        let key = |inside: Expr, beside: Expr, name: &str, zerofill| GroupKey {
            inside,
            beside: NamedColumn {
                name: name.to_owned(),
                value: Ok(beside),
                hidden: false,
                zerofill,
            },
            is_named: true,
            written: None,
        };
        let moved = |value: &Expr| {
            let mut beside = value.clone();
            put(&mut beside, groups);
            beside
        };
        let columns = self.columns_of(from, false);
        for term in terms {
            let value = term.value.clone();
            let beside = self.beside(groups, term).unwrap_or_else(|| moved(&value));
            match term.column.and_then(|column| columns.get(column)) {
                Some(column) => keys.push(key(value, beside, &column.name, column.zerofill)),
                None => {
                    // A row's are computed of its columns, as anything is.
                    let is_row = self.nodes[usize::from(groups.0)].groups.is_none();
                    let written =
                        term.sql.as_ref().ok().filter(|_| term.column.is_none() && !is_row);
                    let written = written.map(|sql| as_compared(sql));
                    keys.push(GroupKey { written, ..key(value, beside, "", false) });
                }
            }
        }
        // A row's own columns follow from its key.
        if self.nodes[usize::from(groups.0)].groups.is_none() {
            for column in &columns {
                if let Ok(value) = &column.value
                    && keys.iter().all(|known| known.inside != *value)
                {
                    let follows = key(value.clone(), moved(value), &column.name, column.zerofill);
                    keys.push(GroupKey { is_named: false, ..follows });
                }
            }
        }
        keys
    }

    /// What is computed of rows as a column of their groups; `None` of a column, or where the groups
    /// are the rows.
    fn beside(&self, groups: NodeId, term: &Term) -> Option<Expr> {
        let node = &self.nodes[usize::from(groups.0)];
        node.groups.as_ref().filter(|_| term.column.is_none())?;
        let mut value = term.value.clone();
        put(&mut value, NodeId(0));
        let known = self.computed[node.table].iter().position(|known| known.expr == value)?;
        let column = self.definition(groups).columns.len() + known;
        Some(Expr::new(ExprKind::Column { node: groups, column }, value.ty, value.nullable))
    }

    /// What tells groups apart, in the order of their key: a row's primary key, or the columns that
    /// rows are grouped by.
    fn key_of_groups(&self, groups: NodeId, terms: &[Term]) -> Vec<(Expr, String)> {
        let definition = self.definition(groups);
        let columns = self.columns_of(groups, false);
        let Some(key) = &self.nodes[usize::from(groups.0)].groups else {
            let of = |&column: &usize| {
                let value = columns[column].value.clone().ok()?;
                Some((value, columns[column].name.clone()))
            };
            return definition.key.iter().filter_map(of).collect();
        };
        let of = |&column: &usize| {
            let is_it = |term: &&Term| term.column == Some(column);
            if let Some(term) = terms.iter().find(is_it) {
                let mut value = term.value.clone();
                put(&mut value, groups);
                let named = definition.columns.get(column);
                return Some((value, named.map_or(String::new(), |named| named.name.clone())));
            }
            terms.iter().find_map(|term| {
                let value = self.beside(groups, term)?;
                let is_it = value.column_of(groups) == Some(column);
                let written = term.sql.as_ref().ok().filter(|_| is_it)?;
                Some((value, written.replace('`', "")))
            })
        };
        key.iter().filter_map(of).collect()
    }
}

/// What HAVING sees: the aggregates and what is grouped by, and the columns of the SELECT list.
fn having_names<'n>(inside: &'n Aggregated<'n>, items: &[Item]) -> Names<'n> {
    let columns = items.iter().map(|item| NamedColumn {
        name: item.name.clone(),
        value: Ok(item.value.clone()),
        hidden: false,
        zerofill: item.zerofill,
    });
    let mut names = Names::beside(inside);
    names.add_listed(columns.collect());
    names
}

/// The column that is grouped by.
fn grouped_column(value: &Expr) -> Option<(NodeId, usize)> {
    match &value.kind {
        ExprKind::Column { node, column } => Some((*node, *column)),
        ExprKind::Collated(inner, _) => match inner.kind {
            ExprKind::Column { node, column } => Some((node, column)),
            _ => None,
        },
        _ => None,
    }
}

/// Makes an expression over one node one over another.
fn put(value: &mut Expr, at: NodeId) {
    if let ExprKind::Column { node, .. } = &mut value.kind {
        *node = at;
    }
    value.children_mut().into_iter().for_each(|child| put(child, at));
}

/// What the SELECT list calls by this name.
pub(super) fn named_item<'s>(name: &ast::Expr, select: &'s Select) -> Option<&'s ast::Expr> {
    let ast::Expr::Identifier(name) = name else { return None };
    select.projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } => {
            (alias.value.to_lowercase() == name.value.to_lowercase()).then_some(expr)
        }
        _ => None,
    })
}

/// SQL as MySQL compares it, whichever of its names are quoted.
fn as_compared(sql: &str) -> String {
    sql.replace('`', "").to_lowercase()
}
