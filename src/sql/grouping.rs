//! GROUP BY: a row per group.
//!
//! The groups are a table of their own, and everything else is found from there as in a subquery of
//! aggregates that is tied to it. Grouped by its primary key a table's groups are its rows, and the
//! table stands for them itself.

use sqlparser::ast::{self, GroupByExpr, Select, SelectItem};

use super::aggregates::Aggregated;
use super::build::{column, refused, value_of};
use super::error::{Refusal, Refused};
use super::expr::{CompareOp, Expr, ExprKind};
use super::joins::Loose;
use super::names::{NamedColumn, Names};
use super::operators::compare;
use super::plan::{Aggregate, Join, NodeId, Scope};
use super::subquery::{Item, item_expr};
use super::tree::{DraftEdge, DraftNode, Planner, Rows, Tied, both, unnested};
use super::typing::{BIGINT, is_floating, type_name};
use crate::value::{Collation, Type, Value};

/// What rows are grouped by.
pub(super) struct GroupKey {
    /// Inside of the aggregates.
    pub(super) inside: Expr,
    /// Beside them.
    pub(super) beside: NamedColumn,
}

/// A SELECT with GROUP BY, planned.
pub(super) struct Grouped {
    pub(super) scope: Scope,
    pub(super) items: Vec<Item>,
    /// What tells the groups apart: each value, and what it is called.
    pub(super) key: Vec<(Expr, String)>,
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
            Some(having) => Some(self.condition(having, &having_names(&inside, &items))?),
        };
        // Rows that have the values may all be left out. Where nothing else looks at them they are
        // what the group is.
        if may_be_empty || self.collections[inside.collection].aggregates.is_empty() {
            let rows = self.among(inside.collection, Aggregate::CountRows, BIGINT, false);
            let none = Expr::new(ExprKind::Literal(Value::Int(0)), BIGINT, false);
            let some = refused(&terms[0], compare(CompareOp::Greater, rows, none))?;
            filter = both(Some(some), filter);
        }
        Ok(Grouped { scope: Scope { from: groups, joins: Vec::new(), filter }, items, key })
    }

    /// Hangs the table whose columns the rows are grouped by on the groups; which it is.
    pub(super) fn tie_groups(
        &mut self,
        (groups, terms): (NodeId, &[ast::Expr]),
        select: &Select,
        loose: &[Loose<'_>],
        names: &Names<'_>,
    ) -> Refused<usize> {
        let mut columns: Vec<usize> = Vec::new();
        let mut begins = None;
        for term in terms {
            let value = self.group_term(term, select, names)?;
            let Some((node, column)) = grouped_column(&value) else {
                return Err(computed(term));
            };
            let place = loose.iter().position(|table| table.from() == node);
            let Some(place) = place else {
                let message = format!(
                    "groups by a column of `{}`, whose rows an outer join or a view adds: start FROM it",
                    self.nodes[usize::from(node.0)].alias
                );
                return refused(term, Err(message));
            };
            if begins.is_some_and(|other| other != place) {
                let message = format!(
                    "groups by columns of two tables, `{}` and `{}`: group by those of one, and write a subquery in the SELECT list for the other's",
                    self.nodes[usize::from(loose[begins.unwrap_or(place)].from().0)].alias,
                    self.nodes[usize::from(node.0)].alias
                );
                return refused(term, Err(message));
            }
            begins = Some(place);
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let begins = begins.unwrap_or(0);
        let from = loose[begins].from();
        let key = self.key(from).to_vec();
        // Groups of groups are known by what is written here, in this order.
        let is_row = match self.nodes[usize::from(from.0)].groups {
            None => key.iter().all(|column| columns.contains(column)),
            Some(_) => columns.starts_with(&key),
        };
        let columns = if is_row { key } else { columns };
        // A row is known by its key, whatever else is named.
        for term in terms.iter().filter(|_| !is_row) {
            let value = self.group_term(term, select, names)?;
            self.groups_exactly(term, &value)?;
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

    /// What a term of GROUP BY means inside of the aggregates: a column, or the bytes of one.
    fn group_term(
        &mut self,
        term: &ast::Expr,
        select: &Select,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let written = unnested(term);
        let value = match written {
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => {
                // Columns come first, then what the SELECT list calls so, as MySQL has it.
                match (column(written, names), named_item(written, select)) {
                    (Ok(column), _) => value_of(written, column)?,
                    (Err(_), Some(item)) => self.group_value(item, names)?,
                    (Err(unknown), None) => return Err(unknown),
                }
            }
            other => self.group_value(other, names)?,
        };
        match grouped_column(&value) {
            Some(_) => Ok(value),
            None => Err(computed(term)),
        }
    }

    /// Whether rows that have equal values are told from others by their bytes.
    fn groups_exactly(&self, term: &ast::Expr, value: &Expr) -> Refused<()> {
        let Some((node, column)) = grouped_column(value) else { return Err(computed(term)) };
        let by_index = self.definition(node).columns[column].by_index;
        match value.ty {
            Type::Text(Collation::Binary) => {}
            Type::Text(_) if by_index && !matches!(value.kind, ExprKind::Collated(..)) => {}
            Type::Text(Collation::Foreign) => {
                let message = "groups by text of another character set than utf8mb4: declare the column utf8mb4";
                return refused(term, Err(message.to_owned()));
            }
            Type::Text(_) => {
                let message = "groups text of which several spellings are equal, and MySQL shows any: write … COLLATE utf8mb4_0900_bin, in the SELECT list too";
                return refused(term, Err(message.to_owned()));
            }
            ty if is_floating(ty) || ty == Type::Json => {
                let message =
                    format!("groups by {}: group by a column that is exact", type_name(ty));
                return refused(term, Err(message));
            }
            _ => {}
        }
        Ok(())
    }

    fn group_value(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Refused<Expr> {
        match unnested(sql) {
            ast::Expr::Identifier(_)
            | ast::Expr::CompoundIdentifier(_)
            | ast::Expr::Collate { .. } => self.expr(sql, names),
            ast::Expr::Value(_) => {
                Err(Refusal::on(sql, "GROUP BY a position or constant: name the column"))
            }
            _ => Err(computed(sql)),
        }
    }

    /// The value beside the aggregates of something that is grouped by as it is written.
    pub(super) fn group_key(&mut self, sql: &ast::Expr, names: &Names<'_>) -> Option<Expr> {
        let inside = names.aggregated.filter(|inside| !inside.keys.is_empty())?;
        let value = self.expr(sql, &inside.names).ok()?;
        let key = inside.keys.iter().find(|key| key.inside == value)?;
        key.beside.value.clone().ok()
    }

    /// What stands beside the aggregates: what is grouped by, and what follows from it.
    fn group_keys(&self, groups: NodeId, written: &[Expr]) -> Vec<GroupKey> {
        let mut keys: Vec<GroupKey> = Vec::new();
        let Some((from, _)) = written.first().and_then(grouped_column) else { return keys };
        let key = |inside: Expr, name: &str, zerofill| {
            let mut beside = inside.clone();
            put(&mut beside, groups);
            let name = name.to_owned();
            GroupKey {
                inside,
                beside: NamedColumn { name, value: Ok(beside), hidden: false, zerofill },
            }
        };
        let columns = self.columns_of(from, false);
        for value in written {
            if let Some((_, column)) = grouped_column(value) {
                keys.push(key(value.clone(), &columns[column].name, columns[column].zerofill));
            }
        }
        // A row's own columns follow from its key.
        if self.nodes[usize::from(groups.0)].groups.is_none() {
            for column in &columns {
                if let Ok(value) = &column.value
                    && keys.iter().all(|known| known.inside != *value)
                {
                    keys.push(key(value.clone(), &column.name, column.zerofill));
                }
            }
        }
        keys
    }

    /// What tells groups apart, in the order of their key: a row's primary key, or the columns that
    /// rows are grouped by.
    fn key_of_groups(&self, groups: NodeId, written: &[Expr]) -> Vec<(Expr, String)> {
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
            let is_it = |value: &&Expr| grouped_column(value).is_some_and(|(_, it)| it == column);
            let mut value = written.iter().find(is_it)?.clone();
            put(&mut value, groups);
            Some((value, definition.columns[column].name.clone()))
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
fn named_item<'s>(name: &ast::Expr, select: &'s Select) -> Option<&'s ast::Expr> {
    let ast::Expr::Identifier(name) = name else { return None };
    select.projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } => {
            (alias.value.to_lowercase() == name.value.to_lowercase()).then_some(expr)
        }
        _ => None,
    })
}

fn computed(term: &ast::Expr) -> Refusal {
    let message = "GROUP BY of what is computed: add it to the table as a STORED generated column, and group by that";
    Refusal::on(term, message)
}
