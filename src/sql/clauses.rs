//! Which clauses a SELECT may have.

use std::borrow::Cow;

use sqlparser::ast::{self, GroupByExpr, LimitClause, Query, Select, SetExpr, Spanned};
use sqlparser::tokenizer::Location;

use super::error::{Refusal, Refused};
use super::grouping::group_terms;
use super::subquery::item_expr;

/// A query that is one SELECT and nothing more; ORDER BY and LIMIT are the caller's.
pub(super) fn plain_select(query: &Query) -> Refused<&Select> {
    let select = ungrouped(view_select(query)?)?;
    if select.distinct.is_some() {
        let message = "SELECT DISTINCT in a subquery: leave it out, or write DISTINCT inside of an aggregate, as COUNT(DISTINCT …)";
        return Err(Refusal::on(&select.select_token.0, message));
    }
    Ok(select)
}

/// A SELECT without GROUP BY.
pub(super) fn ungrouped(select: &Select) -> Refused<&Select> {
    if let Some(term) = group_terms(select).first() {
        let message = "GROUP BY in a subquery: group in a view or a subquery in FROM, or tie the subquery to one group by WHERE";
        return Err(Refusal::on(term, message));
    }
    Ok(select)
}

/// A query that is one SELECT, which may have DISTINCT, GROUP BY and HAVING.
pub(super) fn view_select(query: &Query) -> Refused<&Select> {
    let select = match query.body.as_ref() {
        SetExpr::Select(select) => select,
        SetExpr::Query(inner) if query.order_by.is_none() && query.limit_clause.is_none() => {
            return view_select(inner);
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

/// SELECT DISTINCT as what it means: a row for each group of what it shows.
pub(super) fn distinct_as_groups(select: &Select) -> Refused<Cow<'_, Select>> {
    let refuse = |message: &str| Err(Refusal::on(&select.select_token.0, message));
    match &select.distinct {
        None => return Ok(Cow::Borrowed(select)),
        Some(ast::Distinct::Distinct) => {}
        Some(_) => return refuse("this DISTINCT is not MySQL: write SELECT or SELECT DISTINCT"),
    }
    if !group_terms(select).is_empty() {
        return refuse("SELECT DISTINCT beside GROUP BY: leave it out, and group by what is shown");
    }
    let mut terms = Vec::new();
    for item in &select.projection {
        match item_expr(item) {
            None => return Err(Refusal::on(item, "`*` beside DISTINCT: name the columns")),
            // What is the same in every row tells none apart.
            Some(ast::Expr::Value(_)) => {}
            Some(term) => terms.push(term.clone()),
        }
    }
    if terms.is_empty() {
        return refuse("SELECT DISTINCT of constants: show a column that documents are keyed by");
    }
    let group_by = GroupByExpr::Expressions(terms, Vec::new());
    Ok(Cow::Owned(Select { distinct: None, group_by, ..select.clone() }))
}

/// Where a query's text begins, its WITH included.
pub(super) fn beginning(query: &Query) -> Location {
    match (&query.with, query.body.as_ref()) {
        (Some(with), _) => with.with_token.0.span.start,
        (None, SetExpr::Query(inner)) => beginning(inner),
        (None, SetExpr::Select(select)) => select.select_token.0.span.start,
        (None, other) => other.span().start,
    }
}

fn supported_clauses(select: &Select) -> Refused<()> {
    let refuse = |message: &str| Err(Refusal::on(&select.select_token.0, message));
    match &select.group_by {
        GroupByExpr::Expressions(_, modifiers) if !modifiers.is_empty() => {
            return refuse("WITH ROLLUP: leave it out");
        }
        GroupByExpr::Expressions(..) => {}
        GroupByExpr::All(_) => return refuse("GROUP BY ALL: name the columns"),
    }
    if let (Some(having), []) = (&select.having, group_terms(select)) {
        let message = "HAVING without GROUP BY: write the condition in WHERE";
        return Err(Refusal::on(having, message));
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
pub(super) fn limit_one(query: &Query, required: bool) -> Refused<()> {
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
