//! SELECTs inside of a SELECT: picks, collections, and single values.

use sqlparser::ast::{self, Query, Select, SelectItem, Spanned};
use sqlparser::tokenizer::Span;

use super::aggregates::has_aggregate;
use super::build::{column, refused, value_of};
use super::clauses::{limit_one, plain_select, ungrouped, view_select};
use super::collations::{held, held_alike};
use super::error::{Refusal, Refused, listed};
use super::expr::{Derivation, Expr, ExprKind};
use super::names::{NamedColumn, Names};
use super::plan::{Aggregate, JoinKind, NodeId};
use super::select_text::Edit;
use super::tree::{Planner, Rows, Tied};
use super::typing::BIGINT;
use crate::value::Type;

/// One column of a SELECT list.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) value: Expr,
    pub(super) zerofill: bool,
}

impl Planner<'_> {
    /// `JOIN LATERAL (SELECT …) AS alias`: the first row of many, or the one row that aggregates
    /// make of them, which takes no join.
    pub(super) fn lateral(
        &mut self,
        query: &Query,
        alias: &ast::TableAlias,
        required: bool,
        names: &mut Names<'_>,
    ) -> Refused<Option<JoinKind>> {
        if let Some(column) = alias.columns.first() {
            let message =
                "column names behind the alias of JOIN LATERAL: name the columns in its SELECT";
            return Err(Refusal::at(column.name.span.start, message));
        }
        let select = plain_select(query)?;
        let aggregated = select.projection.iter().any(|i| item_expr(i).is_some_and(has_aggregate));
        let (kind, items) = if aggregated {
            (None, self.aggregated_items(query, select, names)?)
        } else {
            let first = self.nodes.len();
            let planned = self.scope(select, Tied::Outer(names), Rows::One)?;
            let mut items = self.items(select, &planned.names)?;
            let order_by = self.first_row(query, select, &planned.scope, &planned.names, &items)?;
            let scope = planned.scope;
            for item in &mut items {
                let value = item.value.clone();
                // A column from outside is there although the subquery finds no row.
                item.value = match value.kind {
                    ExprKind::Column { node, .. } if usize::from(node.0) < first => {
                        if_present(value, scope.from, required)
                    }
                    _ => picked(value, scope.from, required),
                };
            }
            (Some(JoinKind::Pick { scope, order_by }), items)
        };
        let columns = items.into_iter().map(|Item { name, value, zerofill }| NamedColumn {
            name,
            value: Ok(value),
            hidden: false,
            zerofill,
        });
        names.add(&alias.name, columns.collect())?;
        Ok(kind)
    }

    /// The columns of the one row that aggregates make of many.
    fn aggregated_items(
        &mut self,
        query: &Query,
        select: &Select,
        names: &Names<'_>,
    ) -> Refused<Vec<Item>> {
        one_row(query)?;
        if let Some(all) = select.projection.iter().find(|item| item_expr(item).is_none()) {
            return Err(Refusal::on(all, "`*` beside an aggregate: name the columns outside"));
        }
        let inside = self.aggregated(select, names)?;
        let mut items = self.items(select, &Names::beside(&inside))?;
        for item in &mut items {
            let value = refused(query, self.eager(&inside, item.value.clone()))?;
            item.value = stored(value);
        }
        Ok(items)
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
        if has_aggregate(sql) {
            one_row(query)?;
            let inside = self.aggregated(select, names)?;
            let value = as_subquery(self.expr(sql, &Names::beside(&inside))?);
            return refused(sql, self.eager(&inside, value));
        }
        let planned = self.scope(select, Tied::Outer(names), Rows::One)?;
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
        let read = [value.clone()];
        let first = self.collect(scope, Aggregate::First { value, order_by }, ty, true);
        Ok(held_alike(first, &read))
    }

    /// `EXISTS (SELECT …)`, whose SELECT list means nothing.
    pub(super) fn exists(&mut self, query: &Query, names: &Names<'_>) -> Refused<Expr> {
        // Of equal rows any one is enough.
        let select = ungrouped(view_select(query)?)?;
        if let Some(order_by) = &query.order_by {
            let message = "ORDER BY inside of EXISTS, which asks for any row: leave it out";
            return Err(Refusal::on(order_by, message));
        }
        limit_one(query, false)?;
        let planned = self.scope(select, Tied::Outer(names), Rows::Many)?;
        for sql in select.projection.iter().filter_map(item_expr) {
            if has_aggregate(sql) {
                let message = "EXISTS of an aggregate, which always has a row: write (SELECT …) and compare its value";
                return Err(Refusal::on(sql, message));
            }
            // MySQL wants its names to be known.
            self.expr(sql, &planned.names)?;
        }
        let exists = self.collect(planned.scope, Aggregate::Exists, BIGINT, false);
        // In JSON it is true or false.
        Ok(Expr::new(ExprKind::IsTrue(Box::new(exists)), BIGINT, false))
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
                        Err(_) => match self.group_key(sql, names) {
                            Some(key) => (key, false),
                            None => (self.expr(sql, names)?, false),
                        },
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

/// What a column of a result of its own is to the SELECT around it: nothing where there is no row.
pub(super) fn picked(value: Expr, from: NodeId, required: bool) -> Expr {
    match value.kind {
        ExprKind::Column { .. } => Expr { nullable: value.nullable || !required, ..value },
        _ => if_present(stored(value), from, required),
    }
}

fn if_present(value: Expr, from: NodeId, required: bool) -> Expr {
    let (ty, nullable) = (value.ty, value.nullable || !required);
    Expr::new(ExprKind::IfPresent(from, Box::new(value)), ty, nullable)
}

/// A column of a temporary table: DECIMALs have the scale of their type, comparisons are numbers,
/// constants are no longer known, and text holds on to its collation as a column does.
fn stored(value: Expr) -> Expr {
    let (ty, nullable) = (value.ty, value.nullable);
    let kind = match (&value.kind, ty) {
        (ExprKind::Column { .. }, _) => return value,
        (_, Type::Decimal { .. }) => ExprKind::Cast(Box::new(value)),
        _ => ExprKind::Subquery(Box::new(value)),
    };
    let column = Expr::new(kind, ty, nullable);
    match ty {
        Type::Text(collation) => held(column, collation, Derivation::Implicit),
        _ => column,
    }
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

/// Neither ORDER BY nor a LIMIT but 1, for a SELECT of aggregates.
fn one_row(query: &Query) -> Refused<()> {
    if let Some(order_by) = &query.order_by {
        let message = "ORDER BY beside an aggregate, which gives a single row: leave it out, or order inside of GROUP_CONCAT";
        return Err(Refusal::on(order_by, message));
    }
    limit_one(query, false)
}

/// The expression of a SELECT item.
pub(super) fn item_expr(item: &SelectItem) -> Option<&ast::Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// What a SELECT item is called: its alias, or the column that it is.
pub(super) fn item_name(item: &SelectItem) -> Option<String> {
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
