//! Which row comes first: ORDER BY, which has to end in a unique key.

use sqlparser::ast::{self, OrderByKind, OrderBySort, Query, Select};
use sqlparser::tokenizer::Span;

use super::build::refused;
use super::clauses::limit_one;
use super::error::{Refusal, Refused, listed};
use super::expr::{Expr, ExprKind};
use super::names::Names;
use super::plan::{Aggregate, Join, JoinKind, NodeId, OrderBy, Scope};
use super::subquery::Item;
use super::tree::Planner;
use super::typing::orderable;
use crate::value::{Collation, Type};

impl Planner<'_> {
    /// ORDER BY … LIMIT 1: which row is taken. A subquery tied by its table's primary key finds at
    /// most one and needs neither.
    pub(super) fn first_row(
        &mut self,
        query: &Query,
        select: &Select,
        scope: &Scope,
        names: &Names<'_>,
        items: &[Item],
    ) -> Refused<Vec<OrderBy>> {
        let single = self.has_one_row(scope);
        limit_one(query, !single)?;
        let Some(order_by) = &query.order_by else {
            if single {
                return Ok(self.order_of_one(scope.from));
            }
            let message = format!(
                "LIMIT 1 without ORDER BY takes any row: write ORDER BY …, ending in {}",
                self.key_text(scope, names)
            );
            return Err(Refusal::on(&select.select_token.0, message));
        };
        let OrderByKind::Expressions(terms) = &order_by.kind else {
            return Err(Refusal::on(order_by, "ORDER BY ALL: name the columns"));
        };
        self.order(terms, scope, names, items, "ORDER BY … LIMIT 1")
    }

    /// The order of the rows of a node that finds one by its primary key. Text in the key may be
    /// spelled in two ways while a table is being read from two moments.
    pub(super) fn order_of_one(&self, node: NodeId) -> Vec<OrderBy> {
        let by_bytes =
            |&column: &usize| self.column_type(node, column).is_some_and(Type::is_told_by_bytes);
        if self.key(node).iter().all(by_bytes) { Vec::new() } else { self.by_key(node) }
    }

    /// The terms of an ORDER BY, which must end in a unique key of the scope's rows.
    pub(super) fn order(
        &mut self,
        terms: &[ast::OrderByExpr],
        scope: &Scope,
        names: &Names<'_>,
        items: &[Item],
        what: &str,
    ) -> Refused<Vec<OrderBy>> {
        let mut order_by = Vec::new();
        for term in terms {
            if matches!(&term.expr, ast::Expr::Value(_)) {
                return Err(Refusal::on(&term.expr, "ORDER BY a position: name the column"));
            }
            let descending = is_descending(term)?;
            // An output column's name comes first, as MySQL has it.
            let own = match &term.expr {
                ast::Expr::Identifier(name) => {
                    let lower = name.value.to_lowercase();
                    items.iter().find(|item| item.name.to_lowercase() == lower)
                }
                _ => None,
            };
            let expr = match own {
                Some(item) => item.value.clone(),
                None => self.expr(&term.expr, names)?,
            };
            refused(&term.expr, orderable(&expr, "orders by"))?;
            if self.is_by_index(&expr) {
                let message = "orders by an ENUM or SET, which MySQL orders by the place of its value in the declaration: write CAST(… AS CHAR) to order by text";
                return refused(&term.expr, Err(message.to_owned()));
            }
            order_by.push(OrderBy { expr, descending });
        }
        let by: Vec<&Expr> = order_by.iter().map(|term| &term.expr).collect();
        if self.is_key(scope, &by) {
            return Ok(order_by);
        }
        let message = format!(
            "{what} leaves open which of equal rows comes first: end it in {}",
            self.key_text(scope, names)
        );
        Err(terms.last().map_or_else(
            || Refusal::at(Span::empty().start, message.clone()),
            |last| Refusal::on(&last.expr, message.clone()),
        ))
    }

    /// Whether no two rows of a scope have these values in common.
    pub(super) fn is_key(&self, scope: &Scope, values: &[&Expr]) -> bool {
        let has = |of: (NodeId, usize)| {
            values.iter().any(|value| match value.kind {
                ExprKind::Column { node, column } => {
                    (node, column) == of || self.equals(scope, (node, column), of)
                }
                // The bytes of a column tell apart what the column does.
                _ => value.ty == Type::Text(Collation::Binary) && text_of(value) == Some(of),
            })
        };
        let nodes = scope.row_nodes();
        nodes.iter().all(|&node| self.rest_of_key(node).iter().all(|&column| has((node, column))))
    }

    /// Whether a column of a joined row is always equal to the column of another that it is found
    /// by.
    fn equals(&self, scope: &Scope, (node, column): (NodeId, usize), of: (NodeId, usize)) -> bool {
        let is_it = |join: &&Join| match &join.kind {
            JoinKind::Lookup { node: joined, .. } => *joined == node,
            JoinKind::Each { scope } | JoinKind::Pick { scope, .. } => scope.from == node,
        };
        let edge = self.nodes[usize::from(node.0)].edge.as_ref();
        scope.joins.iter().find(is_it).is_some_and(|join| join.required)
            && edge.is_some_and(|edge| {
                let mut pairs = edge.parent_columns.iter().zip(&edge.child_columns);
                pairs.any(|(&parent, &child)| child == column && (edge.parent, parent) == of)
            })
    }

    /// Whether a scope has one row at most.
    pub(super) fn has_one_row(&self, scope: &Scope) -> bool {
        scope.row_nodes().iter().all(|&node| self.rest_of_key(node).is_empty())
    }

    /// Whether MySQL orders values by their index: those of an ENUM or SET column.
    pub(super) fn is_by_index(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Column { node, column } => {
                let definition = self.definition(*node);
                definition.columns.get(*column).is_some_and(|column| column.by_index)
            }
            ExprKind::IfPresent(_, inner) | ExprKind::Subquery(inner) => self.is_by_index(inner),
            ExprKind::Collection(i, j) => match &self.collections[*i].aggregates[*j] {
                Aggregate::First { value, .. } => self.is_by_index(value),
                _ => false,
            },
            _ => false,
        }
    }

    /// The columns of a node's key that its edge does not fix.
    fn rest_of_key(&self, node: NodeId) -> Vec<usize> {
        let edge = self.nodes[usize::from(node.0)].edge.as_ref();
        let fixed = edge.map_or(&[][..], |edge| &edge.child_columns);
        self.key(node).iter().copied().filter(|column| !fixed.contains(column)).collect()
    }

    /// The columns that make a scope's rows differ, as they are written.
    pub(super) fn key_text(&self, scope: &Scope, names: &Names<'_>) -> String {
        let mut key = Vec::new();
        let mut is_hidden = false;
        for node in scope.row_nodes() {
            for place in self.rest_of_key(node) {
                is_hidden |= names.called(node, place).is_none();
                key.push(self.called(node, place, names));
            }
        }
        let hidden = if is_hidden { ", which the SELECT in FROM has to show" } else { "" };
        format!("{}{hidden}", listed([key.join(", ").as_str()]))
    }

    /// What a column of a node is called, in this SELECT or else in its table.
    pub(super) fn called(&self, node: NodeId, column: usize, names: &Names<'_>) -> String {
        let own = || {
            let (table, known) =
                (self.nodes[usize::from(node.0)].table, &self.definition(node).columns);
            match column.checked_sub(known.len()) {
                None => known[column].name.clone(),
                Some(computed) => self.computed[table][computed].column.name.clone(),
            }
        };
        names.called(node, column).unwrap_or_else(own)
    }
}

/// The column that a value has the text of, whatever its collation.
pub(super) fn text_of(value: &Expr) -> Option<(NodeId, usize)> {
    match &value.kind {
        ExprKind::Column { node, column } => Some((*node, *column)),
        ExprKind::Collated(inner, _)
        | ExprKind::IfPresent(_, inner)
        | ExprKind::Subquery(inner) => text_of(inner),
        _ => None,
    }
}

/// Whether a term of an ORDER BY puts the largest first.
pub(super) fn is_descending(term: &ast::OrderByExpr) -> Refused<bool> {
    if term.options.nulls_first.is_some() {
        let message = "NULLS FIRST and NULLS LAST are not MySQL: leave it out";
        return Err(Refusal::on(&term.expr, message));
    }
    match &term.options.sort {
        None | Some(OrderBySort::Asc) => Ok(false),
        Some(OrderBySort::Desc) => Ok(true),
        Some(_) => Err(Refusal::on(&term.expr, "ORDER BY … USING: write ASC or DESC")),
    }
}
