//! SELECTs inside of a SELECT: picks, collections, and single values.

use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr,
    LimitClause, OrderByKind, OrderBySort, Query, Select, SelectItem, SetExpr, Spanned,
};

use super::build::{column, refused, value_of};
use super::error::{Refusal, Refused, listed};
use super::expr::{Expr, ExprKind};
use super::functions::joined_text;
use super::names::{NamedColumn, Names};
use super::plan::{Aggregate, Collection, JoinKind, NodeId, OrderBy, Scope};
use super::select_text::Edit;
use super::tree::Planner;
use super::typing::{BIGINT, average, extreme, has_element, orderable, sum};
use crate::value::Type;

/// Aggregates that collections are made of.
pub(super) const AGGREGATES: [&str; 7] =
    ["AVG", "COUNT", "GROUP_CONCAT", "JSON_ARRAYAGG", "MAX", "MIN", "SUM"];

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
        span: sqlparser::tokenizer::Span,
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

    /// ORDER BY … LIMIT 1: which row is taken. A subquery tied by its table's primary key finds at
    /// most one and needs neither.
    fn first_row(
        &mut self,
        query: &Query,
        select: &Select,
        scope: &Scope,
        names: &Names<'_>,
        items: &[Item],
    ) -> Refused<Vec<OrderBy>> {
        let single = self.rest_of_key(scope.from).is_empty();
        limit_one(query, !single)?;
        let Some(order_by) = &query.order_by else {
            if single {
                return Ok(Vec::new());
            }
            let message = format!(
                "LIMIT 1 without ORDER BY takes any row: write ORDER BY …, ending in {}",
                self.key_text(scope.from, names)
            );
            return Err(Refusal::on(&select.select_token.0, message));
        };
        let OrderByKind::Expressions(terms) = &order_by.kind else {
            return Err(Refusal::on(order_by, "ORDER BY ALL: name the columns"));
        };
        self.order(terms, scope.from, names, items, "ORDER BY … LIMIT 1")
    }

    /// The terms of an ORDER BY, which must end in a unique key of `from`'s rows.
    fn order(
        &mut self,
        terms: &[ast::OrderByExpr],
        from: NodeId,
        names: &Names<'_>,
        items: &[Item],
        what: &str,
    ) -> Refused<Vec<OrderBy>> {
        let mut order_by = Vec::new();
        for term in terms {
            if matches!(&term.expr, ast::Expr::Value(_)) {
                return Err(Refusal::on(&term.expr, "ORDER BY a position: name the column"));
            }
            if term.options.nulls_first.is_some() {
                return Err(Refusal::on(
                    &term.expr,
                    "NULLS FIRST and NULLS LAST are not MySQL: leave it out",
                ));
            }
            let descending = match &term.options.sort {
                None | Some(OrderBySort::Asc) => false,
                Some(OrderBySort::Desc) => true,
                Some(_) => {
                    return Err(Refusal::on(&term.expr, "ORDER BY … USING: write ASC or DESC"));
                }
            };
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
            refused(&term.expr, orderable(&expr, "ORDER BY"))?;
            order_by.push(OrderBy { expr, descending });
        }
        let ordered = |column: &usize| {
            order_by.iter().any(|term| {
                matches!(term.expr.kind, ExprKind::Column { node, column: c } if node == from && c == *column)
            })
        };
        if self.rest_of_key(from).iter().all(ordered) {
            return Ok(order_by);
        }
        let message = format!(
            "{what} leaves open which of equal rows comes first: end it in {}",
            self.key_text(from, names)
        );
        Err(terms.last().map_or_else(
            || Refusal::at(sqlparser::tokenizer::Span::empty().start, message.clone()),
            |last| Refusal::on(&last.expr, message.clone()),
        ))
    }

    /// The columns of a node's key that its edge does not fix.
    fn rest_of_key(&self, node: NodeId) -> Vec<usize> {
        let edge = self.nodes[usize::from(node.0)].edge.as_ref();
        let fixed = edge.map_or(&[][..], |edge| &edge.child_columns);
        let key = &self.definition(node).key;
        key.iter().copied().filter(|column| !fixed.contains(column)).collect()
    }

    fn key_text(&self, node: NodeId, names: &Names<'_>) -> String {
        let columns = &self.definition(node).columns;
        let alias = names.relations.first().map_or("", |relation| relation.alias.as_str());
        let rest = self.rest_of_key(node);
        let key: Vec<String> =
            rest.iter().map(|&place| format!("{alias}.{}", columns[place].name)).collect();
        listed([key.join(", ").as_str()])
    }

    /// A call of an aggregate function, in a subquery made for it.
    pub(super) fn aggregate(
        &mut self,
        sql: &ast::Expr,
        name: &str,
        call: &ast::Function,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let Some(select) = names.aggregated else {
            let message = format!(
                "{name} outside of a subquery: write (SELECT {name}(…) FROM … WHERE …), a document is one row"
            );
            return Err(Refusal::on(sql, message));
        };
        let FunctionArguments::List(list) = &call.args else {
            return Err(Refusal::on(sql, format!("{name} without arguments: write {name}(…)")));
        };
        if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct) {
            let message = format!(
                "{name}(DISTINCT …) is not supported: aggregate a table that has each value once"
            );
            return Err(Refusal::on(sql, message));
        }
        let planned = self.scope(select, names.outer)?;
        let names = &planned.names;
        let mut values = Vec::new();
        for argument in &list.args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => {
                    values.push(self.expr(argument, names)?);
                }
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "COUNT" => {}
                _ => {
                    return Err(Refusal::on(
                        sql,
                        format!("this argument of {name}: write an expression"),
                    ));
                }
            }
        }
        if name == "GROUP_CONCAT" {
            let ty = refused(sql, joined_text(&values))?;
            let value = match values.len() {
                1 => values.remove(0),
                _ => {
                    let nullable = values.iter().any(|value| value.nullable);
                    Expr::new(ExprKind::Concat(values), ty, nullable)
                }
            };
            let (terms, separator) = group_concat_clauses(sql, list)?;
            let from = planned.scope.from;
            let order_by = match terms {
                Some(terms) => {
                    self.order(terms, from, names, &[], "the ORDER BY of GROUP_CONCAT")?
                }
                None if self.rest_of_key(from).is_empty() => Vec::new(),
                None => {
                    let message = format!(
                        "GROUP_CONCAT without ORDER BY comes in any order: write GROUP_CONCAT(… ORDER BY {})",
                        self.key_text(from, names).trim_matches('`')
                    );
                    return Err(Refusal::on(sql, message));
                }
            };
            let aggregate = Aggregate::GroupConcat { value, order_by, separator };
            return Ok(self.collect(planned.scope, aggregate, ty, true));
        }
        if let Some(clause) = list.clauses.first() {
            return Err(Refusal::on(sql, format!("`{clause}` inside of {name}: leave it out")));
        }
        if name == "COUNT" && values.is_empty() && list.args.len() == 1 {
            return Ok(self.collect(planned.scope, Aggregate::CountRows, BIGINT, false));
        }
        if values.len() != 1 {
            return Err(Refusal::on(
                sql,
                format!("{name} takes one argument, not {}", values.len()),
            ));
        }
        let value = values.remove(0);
        let (aggregate, ty) = refused(sql, aggregate_of(name, value))?;
        let nullable = name != "COUNT";
        Ok(self.collect(planned.scope, aggregate, ty, nullable))
    }

    fn collect(&mut self, scope: Scope, aggregate: Aggregate, ty: Type, nullable: bool) -> Expr {
        self.collections.push(Collection { scope, aggregate });
        Expr::new(ExprKind::Collection(self.collections.len() - 1), ty, nullable)
    }
}

fn aggregate_of(name: &str, value: Expr) -> Result<(Aggregate, Type), String> {
    Ok(match name {
        "COUNT" => (Aggregate::Count(value), BIGINT),
        "SUM" => {
            let ty = sum(&value)?;
            (Aggregate::Sum(value), ty)
        }
        "AVG" => {
            let ty = average(&value)?;
            (Aggregate::Avg(value), ty)
        }
        "MIN" | "MAX" => {
            extreme(name, &value)?;
            let ty = value.ty;
            (if name == "MIN" { Aggregate::Min(value) } else { Aggregate::Max(value) }, ty)
        }
        _ => {
            has_element(&value)?;
            (Aggregate::JsonArray(value), Type::Json)
        }
    })
}

fn group_concat_clauses<'a>(
    sql: &ast::Expr,
    list: &'a ast::FunctionArgumentList,
) -> Refused<(Option<&'a [ast::OrderByExpr]>, String)> {
    let (mut terms, mut separator) = (None, ",".to_owned());
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(order_by) => terms = Some(order_by.as_slice()),
            FunctionArgumentClause::Separator(value) => match &value.value {
                ast::Value::SingleQuotedString(raw) => {
                    separator = super::tokens::unquote(raw, '\'')
                }
                ast::Value::DoubleQuotedString(raw) => separator = super::tokens::unquote(raw, '"'),
                other => {
                    return Err(Refusal::on(
                        sql,
                        format!("the separator `{other}`: write a 'string'"),
                    ));
                }
            },
            other => {
                return Err(Refusal::on(
                    sql,
                    format!("`{other}` inside of GROUP_CONCAT: leave it out"),
                ));
            }
        }
    }
    Ok((terms, separator))
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

/// A query that is one SELECT and nothing more; ORDER BY and LIMIT are the caller's.
pub(super) fn plain_select(query: &Query) -> Refused<&Select> {
    if let Some(with) = &query.with {
        return Err(Refusal::on(with, "WITH: write the subquery where it is used"));
    }
    let select = match query.body.as_ref() {
        SetExpr::Select(select) => select,
        SetExpr::Query(inner) if query.order_by.is_none() && query.limit_clause.is_none() => {
            return plain_select(inner);
        }
        SetExpr::SetOperation { op, right, .. } => {
            let message = format!("{op}: a view's rows come from one table, write a view for each");
            return Err(Refusal::on(right.as_ref(), message));
        }
        other => return Err(Refusal::on(other, "this is no SELECT: write SELECT … FROM …")),
    };
    if query.fetch.is_some() || !query.locks.is_empty() {
        return Err(Refusal::on(query, "FETCH or FOR UPDATE: leave it out"));
    }
    supported_clauses(select)?;
    Ok(select)
}

fn supported_clauses(select: &Select) -> Refused<()> {
    let refuse = |message: &str| Err(Refusal::on(&select.select_token.0, message));
    if select.distinct.is_some() {
        return refuse(
            "SELECT DISTINCT: a document is one row per key of the first table, leave it out",
        );
    }
    if let GroupByExpr::Expressions(terms, modifiers) = &select.group_by {
        if let Some(term) = terms.first() {
            let message = "GROUP BY: start FROM the table that has one row per group, and aggregate in a subquery (SELECT SUM(…) FROM … WHERE …)";
            return Err(Refusal::on(term, message));
        }
        if !modifiers.is_empty() {
            return refuse("WITH ROLLUP: leave it out");
        }
    } else {
        return refuse("GROUP BY ALL: leave it out");
    }
    if let Some(having) = &select.having {
        return Err(Refusal::on(having, "HAVING: write the condition in WHERE"));
    }
    if let Some(window) = select.named_window.first() {
        return Err(Refusal::at(
            window.0.span.start,
            "WINDOW: number and rank rows where they are read",
        ));
    }
    if select.into.is_some() || select.top.is_some() || select.qualify.is_some() {
        return refuse(
            "this SELECT has a clause that is not supported: keep SELECT, FROM, JOIN and WHERE",
        );
    }
    if select.select_modifiers.is_some() || !select.optimizer_hints.is_empty() {
        return refuse("a SELECT modifier or optimizer hint: leave it out");
    }
    Ok(())
}

/// LIMIT 1, or none where that is not required.
fn limit_one(query: &Query, required: bool) -> Refused<()> {
    let one = |limit: &ast::Expr| matches!(limit, ast::Expr::Value(value) if matches!(&value.value, ast::Value::Number(digits, _) if digits == "1"));
    match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) if one(limit) => {
            Ok(())
        }
        Some(limit) => Err(Refusal::on(
            limit,
            "a LIMIT other than LIMIT 1: write LIMIT 1, or collect all rows with JSON_ARRAYAGG or GROUP_CONCAT",
        )),
        None if required => Err(Refusal::on(
            query,
            "a subquery that may have several rows: write ORDER BY … LIMIT 1, or an aggregate such as JSON_ARRAYAGG",
        )),
        None => Ok(()),
    }
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

/// The first call of an aggregate in an expression, not counting those of subqueries in it.
fn aggregate_in(sql: &ast::Expr) -> Option<&ast::Expr> {
    match sql {
        ast::Expr::Function(call) => {
            let name = call.name.to_string().to_uppercase();
            if call.over.is_none() && AGGREGATES.contains(&name.as_str()) {
                return Some(sql);
            }
            let FunctionArguments::List(list) = &call.args else { return None };
            list.args.iter().find_map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) => aggregate_in(inner),
                _ => None,
            })
        }
        ast::Expr::BinaryOp { left, right, .. } => {
            aggregate_in(left).or_else(|| aggregate_in(right))
        }
        ast::Expr::Between { expr, low, high, .. } => {
            aggregate_in(expr).or_else(|| aggregate_in(low)).or_else(|| aggregate_in(high))
        }
        ast::Expr::InList { expr, list, .. } => {
            aggregate_in(expr).or_else(|| list.iter().find_map(aggregate_in))
        }
        ast::Expr::Case { operand, conditions, else_result, .. } => operand
            .as_deref()
            .and_then(aggregate_in)
            .or_else(|| {
                conditions.iter().find_map(|when| {
                    aggregate_in(&when.condition).or_else(|| aggregate_in(&when.result))
                })
            })
            .or_else(|| else_result.as_deref().and_then(aggregate_in)),
        ast::Expr::Nested(inner)
        | ast::Expr::UnaryOp { expr: inner, .. }
        | ast::Expr::Cast { expr: inner, .. }
        | ast::Expr::Collate { expr: inner, .. }
        | ast::Expr::Ceil { expr: inner, .. }
        | ast::Expr::Floor { expr: inner, .. }
        | ast::Expr::IsNull(inner)
        | ast::Expr::IsNotNull(inner)
        | ast::Expr::IsTrue(inner)
        | ast::Expr::IsNotTrue(inner)
        | ast::Expr::IsFalse(inner)
        | ast::Expr::IsNotFalse(inner) => aggregate_in(inner),
        _ => None,
    }
}

/// A name in backquotes.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
