//! SELECTs inside of a SELECT: picks, collections, and single values.

use sqlparser::ast::{self, Query, Select, SelectItem, Spanned};
use sqlparser::tokenizer::Span;

use super::aggregates::aggregate_in;
use super::build::{column, value_of};
use super::clauses::{limit_one, plain_select};
use super::error::{Refusal, Refused, listed};
use super::expr::{Expr, ExprKind};
use super::names::{NamedColumn, Names};
use super::plan::{Aggregate, JoinKind, NodeId};
use super::select_text::Edit;
use super::tree::Planner;
use crate::value::Type;

/// One column of a SELECT list.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) value: Expr,
    pub(super) zerofill: bool,
}

impl Planner<'_> {
    /// `JOIN LATERAL (SELECT … ORDER BY … LIMIT 1) AS alias`.
    pub(super) fn pick(
        &mut self,
        query: &Query,
        alias: &ast::TableAlias,
        required: bool,
        names: &mut Names<'_>,
    ) -> Refused<JoinKind> {
        let select = plain_select(query)?;
        if !alias.columns.is_empty() {
            let message =
                "column names behind the subquery's alias: name the columns in its SELECT";
            return Err(Refusal::at(alias.name.span.start, message));
        }
        if let Some(call) =
            select.projection.iter().find_map(|item| item_expr(item).and_then(aggregate_in))
        {
            let message = "an aggregate in JOIN LATERAL: write it as a subquery in the SELECT list, (SELECT … FROM …) AS name";
            return Err(Refusal::on(call, message));
        }
        let (scope, items, order_by) = {
            let planned = self.scope(select, Some(names))?;
            let items = self.items(select, &planned.names)?;
            let order_by = self.first_row(query, select, &planned.scope, &planned.names, &items)?;
            (planned.scope, items, order_by)
        };
        let from = scope.from;
        let columns = items.into_iter().map(|item| {
            let value = handed_out(item.value, from, required);
            NamedColumn {
                name: item.name,
                value: Ok(value),
                hidden: false,
                zerofill: item.zerofill,
            }
        });
        let columns: Vec<NamedColumn> = columns.collect();
        names.add(&alias.name, columns)?;
        Ok(JoinKind::Pick { scope, order_by })
    }

    /// `(SELECT …)` as a value.
    pub(super) fn scalar_subquery(&mut self, query: &Query, names: &Names<'_>) -> Refused<Expr> {
        let select = plain_select(query)?;
        let [item] = select.projection.as_slice() else {
            return Err(Refusal::on(
                &select.projection[1],
                "a subquery with several columns: write one subquery per column, or JSON_OBJECT(…)",
            ));
        };
        let Some(sql) = item_expr(item) else {
            return Err(Refusal::on(item, "`*` in a subquery: name the column"));
        };
        if aggregate_in(sql).is_some() {
            if let Some(order_by) = &query.order_by {
                let message = "ORDER BY beside an aggregate, which gives a single row: leave it out, or order inside of GROUP_CONCAT";
                return Err(Refusal::on(order_by, message));
            }
            limit_one(query, false)?;
            let inside =
                Names { relations: Vec::new(), outer: Some(names), aggregated: Some(select) };
            let value = self.expr(sql, &inside)?;
            return Ok(as_subquery(value));
        }
        let planned = self.scope(select, Some(names))?;
        let value = match column(sql, &planned.names) {
            Ok(named) if !named.zerofill => value_of(sql, named)?,
            _ => self.expr(sql, &planned.names)?,
        };
        let items =
            vec![Item { name: item_name(item).unwrap_or_default(), value, zerofill: false }];
        let order_by = self.first_row(query, select, &planned.scope, &planned.names, &items)?;
        let scope = planned.scope;
        let value = items.into_iter().map(|item| item.value).next();
        let value = value.ok_or_else(|| Refusal::on(sql, "a subquery without a column"))?;
        let ty = value.ty;
        Ok(self.collect(scope, Aggregate::First { value, order_by }, ty, true))
    }

    /// The columns of a SELECT list, `*` expanded.
    pub(super) fn items(&mut self, select: &Select, names: &Names<'_>) -> Refused<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        for item in &select.projection {
            let new = match item {
                SelectItem::Wildcard(options) => {
                    let relations = names.relations.iter().map(|relation| relation.alias.as_str());
                    self.expand(item, relations.collect(), names, options.wildcard_token.0.span)?
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let alias = kind.to_string();
                    let alias = alias.trim_end_matches(".*").trim_matches('`');
                    let known = names.relations.iter().map(|relation| relation.alias.as_str());
                    if !names.relations.iter().any(|relation| relation.alias == alias) {
                        let message = format!(
                            "unknown table `{alias}` before `.*` (known here: {})",
                            listed(known)
                        );
                        return Err(Refusal::on(item, message));
                    }
                    let span = item.span().union(&options.wildcard_token.0.span);
                    self.expand(item, vec![alias], names, span)?
                }
                SelectItem::UnnamedExpr(sql) | SelectItem::ExprWithAlias { expr: sql, .. } => {
                    let name = item_name(item).ok_or_else(|| {
                        Refusal::on(
                            item,
                            format!("`{sql}` has no name of its own: write AS name behind it"),
                        )
                    })?;
                    // A column by itself is shown as it is, whatever calculating with it means.
                    let (value, zerofill) = match column(sql, names) {
                        Ok(named) => (value_of(sql, named)?, named.zerofill),
                        Err(_) => (self.expr(sql, names)?, false),
                    };
                    vec![Item { name, value, zerofill }]
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(Refusal::on(item, "several names for one column: write one"));
                }
            };
            for new in new {
                let lower = new.name.to_lowercase();
                if items.iter().any(|other| other.name.to_lowercase() == lower) {
                    let message = format!(
                        "two columns are called `{0}`: give one another name, as AS other_{0}",
                        new.name
                    );
                    return Err(Refusal::on(item, message));
                }
                items.push(new);
            }
        }
        Ok(items)
    }

    fn expand(
        &mut self,
        item: &SelectItem,
        aliases: Vec<&str>,
        names: &Names<'_>,
        span: Span,
    ) -> Refused<Vec<Item>> {
        let mut items = Vec::new();
        let mut texts = Vec::new();
        let relations = names.relations.iter().filter(|r| aliases.contains(&r.alias.as_str()));
        for relation in relations {
            for named in relation.columns.iter().filter(|column| !column.hidden) {
                let value = named.value.clone().map_err(|why| {
                    Refusal::on(item, format!("column `{}.{}` {why}", relation.alias, named.name))
                })?;
                texts.push(format!("{}.{}", quoted(&relation.alias), quoted(&named.name)));
                items.push(Item { name: named.name.clone(), value, zerofill: named.zerofill });
            }
        }
        self.edits.push(Edit { span, with: texts.join(", ") });
        Ok(items)
    }
}

/// What a pick's column is to the SELECT around it: a column of a temporary table, so DECIMALs
/// have the scale of their type and comparisons are numbers.
fn handed_out(value: Expr, from: NodeId, required: bool) -> Expr {
    let nullable = value.nullable || !required;
    let ty = value.ty;
    if matches!(value.kind, ExprKind::Column { .. }) {
        return Expr { nullable, ..value };
    }
    let stored = match ty {
        Type::Decimal { .. } => Expr::new(ExprKind::Cast(Box::new(value)), ty, nullable),
        _ => value,
    };
    Expr::new(ExprKind::IfPresent(from, Box::new(stored)), ty, nullable)
}

/// What a subquery's value is to the SELECT around it: comparisons are numbers, and DECIMALs print
/// with the scale of their type.
fn as_subquery(value: Expr) -> Expr {
    let (ty, nullable) = (value.ty, value.nullable);
    if value.is_boolean() || matches!(value.kind, ExprKind::Case { .. }) {
        return Expr::new(ExprKind::Subquery(Box::new(value)), ty, nullable);
    }
    value
}

/// The expression of a SELECT item.
fn item_expr(item: &SelectItem) -> Option<&ast::Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// What a SELECT item is called: its alias, or the column that it is.
fn item_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(ast::Expr::Identifier(name)) => Some(name.value.clone()),
        SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(parts)) => {
            parts.last().map(|name| name.value.clone())
        }
        _ => None,
    }
}

/// A name in backquotes.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
