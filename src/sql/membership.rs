//! `x IN (SELECT y …)`, of rows of values too, and what says the same: `= ANY`, `= SOME`, `<> ALL`.
//!
//! It is TRUE where some row is equal, else NULL where a NULL leaves open whether some row is, else
//! FALSE. So it is made of two questions, each an EXISTS: whether there is an equal row, and
//! whether there is one that might be. The second is asked only where something can be NULL and
//! NULL is told from FALSE.

use sqlparser::ast::{
    self, BinaryOperator, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, TableAlias,
    TableFactor, TableWithJoins,
};

use super::aggregates::has_aggregate;
use super::build::{column, junction, not_if, operand_is_plain, refused, shown};
use super::clauses::view_select;
use super::error::{Refusal, Refused};
use super::expr::{CompareOp, Expr, ExprKind};
use super::grouping::{group_terms, named_item};
use super::names::Names;
use super::operators::compare;
use super::plan::Aggregate;
use super::subquery::{item_expr, item_name};
use super::tree::{PlannedScope, Planner, Rows, Tied, unnested};
use super::typing::{BIGINT, is_dated};
use crate::value::{Type, Value};

/// `value [NOT] IN (query)`.
pub(super) struct Membership<'s> {
    operand: &'s ast::Expr,
    pub(super) query: &'s Query,
    negated: bool,
}

/// What the rows of a SELECT are to be equal to.
pub(super) struct Sought<'s> {
    values: &'s [Expr],
    columns: &'s [&'s ast::Expr],
    /// By pair: whether it has to be equal, rather than not unequal.
    certain: &'s [bool],
}

/// A value outside and one of a SELECT's rows.
pub(super) struct Equality {
    pub(super) outside: Expr,
    pub(super) inside: Expr,
    /// Whether rows can be found by it.
    pub(super) ties: bool,
    /// What is asked of a row.
    pub(super) condition: Expr,
}

impl<'s> Membership<'s> {
    /// The question that an expression asks, if it asks this.
    pub(super) fn of(sql: &'s ast::Expr) -> Option<Membership<'s>> {
        let of = |operand, query, negated| Some(Membership { operand, query, negated });
        match sql {
            ast::Expr::InSubquery { expr, subquery, negated } => of(expr, subquery, *negated),
            ast::Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                of(left, subquery_of(right)?, false)
            }
            ast::Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => {
                of(left, subquery_of(right)?, true)
            }
            ast::Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => {
                let asked = Membership::of(unnested(expr))?;
                of(asked.operand, asked.query, !asked.negated)
            }
            _ => None,
        }
    }
}

fn subquery_of(sql: &ast::Expr) -> Option<&Query> {
    match unnested(sql) {
        ast::Expr::Subquery(query) => Some(query),
        _ => None,
    }
}

impl Planner<'_> {
    /// `[NOT] IN (SELECT …)`; `as_condition` if NULL is as good as FALSE.
    pub(super) fn membership(
        &mut self,
        sql: &ast::Expr,
        Membership { operand, query, negated }: Membership<'_>,
        as_condition: bool,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        operand_is_plain(operand)?;
        let operands: Vec<&ast::Expr> = match unnested(operand) {
            ast::Expr::Tuple(operands) => operands.iter().collect(),
            one => vec![one],
        };
        let select = member_select(query)?;
        if let Some(column) = lost_in_having(select) {
            let message = "is computed by GROUP BY behind IN, which MySQL takes neither with HAVING nor with an aggregate beside it: write IN (SELECT name FROM (SELECT … AS name … GROUP BY …) AS t)";
            return Err(Refusal::on(column, format!("{} {message}", shown(column))));
        }
        let grouped = (!group_terms(select).is_empty()).then(|| read_from(query, select));
        let select = grouped.as_ref().unwrap_or(select);
        let columns = columns_of(sql, select, operands.len())?;
        let values = operands.iter().map(|operand| self.expr(operand, names));
        let values = values.collect::<Refused<Vec<_>>>()?;
        if let ([aggregate], [value]) = (&columns[..], &values[..])
            && has_aggregate(aggregate)
        {
            // There is one row always.
            let only = self.scalar_subquery(query, names)?;
            let equal = compare(CompareOp::Equal, value.clone(), only);
            return Ok(not_if(negated, refused(sql, equal)?));
        }
        let all = vec![true; values.len()];
        let sought = Sought { values: &values, columns: &columns, certain: &all };
        let (equal, null_inside) = self.any_row(select, &sought, names)?;
        let null_outside: Vec<bool> = values.iter().map(|value| names.may_be_null(value)).collect();
        let nulls = null_outside.iter().zip(&null_inside);
        let certain: Vec<bool> = nulls.map(|(outside, inside)| !outside && !inside).collect();
        if (as_condition && !negated) || !certain.contains(&false) {
            return Ok(not_if(negated, equal));
        }
        let sought = Sought { certain: &certain, ..sought };
        // The rest of the SELECT was planned before: it is but that nothing ties it.
        let maybe = self.any_row(select, &sought, names).map_err(|_| {
            let beside = operands.iter().zip(&null_outside).filter(|(_, null)| **null);
            let beside = beside.map(|(operand, _)| format!("AND {operand} IS NOT NULL beside it"));
            let within = columns.iter().zip(&null_inside).filter(|(_, null)| **null);
            let within = within
                .map(|(column, _)| format!("AND {column} IS NOT NULL in the WHERE behind IN"));
            let ways_out: Vec<String> = match as_condition {
                true => beside.chain(within).collect(),
                false => vec!["(…) IS TRUE, which takes NULL for FALSE".to_owned()],
            };
            unknown(sql, &ways_out.join(", "), negated)
        });
        let (maybe, _) = maybe?;
        if as_condition {
            return Ok(not_if(true, maybe));
        }
        let null = Expr::new(ExprKind::Literal(Value::Null), BIGINT, true);
        let unknown = junction(ExprKind::And, vec![maybe, null]);
        Ok(not_if(negated, junction(ExprKind::Or, vec![equal, unknown])))
    }

    /// Whether a row is what is sought, and which of its columns may be NULL.
    fn any_row(
        &mut self,
        select: &Select,
        sought: &Sought<'_>,
        names: &Names<'_>,
    ) -> Refused<(Expr, Vec<bool>)> {
        let planned = self.scope(select, Tied::Among(names, sought), Rows::Many)?;
        let PlannedScope { scope, names: inside } = planned;
        let columns = sought.columns.iter();
        let null = columns.map(|column| Ok(inside.may_be_null(&self.expr(column, &inside)?)));
        let null = null.collect::<Refused<Vec<_>>>()?;
        let exists = self.collect(scope, Aggregate::Exists, BIGINT, false);
        let is_true = Expr::new(ExprKind::IsTrue(Box::new(exists)), BIGINT, false);
        Ok((is_true, null))
    }

    /// What is sought, of rows whose columns have these names.
    pub(super) fn equalities(
        &mut self,
        sought: &Sought<'_>,
        names: &Names<'_>,
    ) -> Refused<Vec<Equality>> {
        let mut equalities = Vec::new();
        for (at, (value, column)) in sought.values.iter().zip(sought.columns).enumerate() {
            let (outside, inside) = (value.clone(), self.expr(column, names)?);
            if matches!(outside.kind, ExprKind::Literal(Value::Text(_)))
                && (is_dated(inside.ty) || matches!(inside.ty, Type::Time { .. }))
            {
                let message = "is sought as text among instants: write DATE'…', TIME'…' or TIMESTAMP'…' before IN";
                return refused(*column, Err(message.to_owned()));
            }
            let equal = compare(CompareOp::Equal, outside.clone(), inside.clone());
            let equal = refused(*column, equal)?;
            let ties = sought.certain[at];
            let condition = if ties { equal } else { not_false(equal) };
            equalities.push(Equality { outside, inside, ties, condition });
        }
        Ok(equalities)
    }

    /// The values that are not NULL wherever all these conditions are true.
    pub(super) fn filled(&self, conditions: &[&ast::Expr], names: &Names<'_>) -> Vec<ExprKind> {
        let mut filled = Vec::new();
        for operand in conditions.iter().flat_map(|condition| operands_of(unnested(condition))) {
            let named = column(unnested(operand), names).ok();
            filled
                .extend(named.and_then(|named| named.value.as_ref().ok()).map(|v| v.kind.clone()));
        }
        filled
    }
}

fn not_false(condition: Expr) -> Expr {
    let is_false = ExprKind::IsTrue(Box::new(not_if(true, condition)));
    not_if(true, Expr::new(is_false, BIGINT, false))
}

/// What a condition compares, and so is not NULL where it is true.
fn operands_of(condition: &ast::Expr) -> Vec<&ast::Expr> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match condition {
        ast::Expr::BinaryOp { left, op: Eq | NotEq | Lt | LtEq | Gt | GtEq, right } => {
            vec![left, right]
        }
        ast::Expr::IsNotNull(operand)
        | ast::Expr::InList { expr: operand, .. }
        | ast::Expr::InSubquery { expr: operand, negated: false, .. }
        | ast::Expr::Between { expr: operand, .. }
        | ast::Expr::Like { expr: operand, .. } => vec![operand],
        _ => Vec::new(),
    }
}

/// The SELECT behind IN.
fn member_select(query: &Query) -> Refused<&Select> {
    if let Some(order_by) = &query.order_by {
        let message = "ORDER BY behind IN, which asks for any row: leave it out";
        return Err(Refusal::on(order_by, message));
    }
    if let Some(limit) = &query.limit_clause {
        let message = "LIMIT behind IN, which MySQL does not have: leave it out, or compare with (SELECT … ORDER BY … LIMIT 1)";
        return Err(Refusal::on(limit, message));
    }
    view_select(query)
}

/// A column behind IN that MySQL refuses: what has aggregates it asks in HAVING for what is sought,
/// and there it knows nothing that GROUP BY computes.
fn lost_in_having(select: &Select) -> Option<&ast::Expr> {
    let items = || select.projection.iter().filter_map(item_expr);
    let is_computed = |sql: &ast::Expr| {
        !matches!(unnested(sql), ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_))
            && !has_aggregate(sql)
    };
    let is_named =
        |term: &ast::Expr| is_computed(term) || named_item(term, select).is_some_and(is_computed);
    let asks_having = select.having.is_some() || items().any(has_aggregate);
    let computes = asks_having && group_terms(select).iter().any(is_named);
    items().find(|sql| computes && is_computed(sql))
}

/// The columns behind IN, as many as there are values before it.
fn columns_of<'s>(
    sql: &ast::Expr,
    select: &'s Select,
    wanted: usize,
) -> Refused<Vec<&'s ast::Expr>> {
    let columns = select.projection.iter().map(|item| {
        item_expr(item).ok_or_else(|| Refusal::on(item, "`*` behind IN: name the column"))
    });
    let columns = columns.collect::<Refused<Vec<_>>>()?;
    if columns.len() == wanted {
        return Ok(columns);
    }
    let message = format!(
        "IN of {wanted} value(s) and a SELECT of {}: write as many on both sides, as (a, b) IN (SELECT c, d …)",
        columns.len()
    );
    Err(Refusal::on(sql, message))
}

/// `SELECT columns FROM (the query)`: groups are rows to what reads them.
fn read_from(query: &Query, select: &Select) -> Select {
    let named = |name: &str| Ident::with_span(select.select_token.0.span, name);
    // Of equal rows any one is enough.
    let mut inner = Select { distinct: None, ..select.clone() };
    let mut outer = inner.clone();
    for (at, item) in inner.projection.iter_mut().enumerate() {
        let name = item_name(item).unwrap_or_else(|| format!("member {at}"));
        let Some(expr) = item_expr(item).cloned() else { continue };
        outer.projection[at] = SelectItem::UnnamedExpr(ast::Expr::Identifier(named(&name)));
        *item = SelectItem::ExprWithAlias { expr, alias: named(&name) };
    }
    let inner = Query { body: Box::new(SetExpr::Select(Box::new(inner))), ..query.clone() };
    let alias =
        TableAlias { explicit: true, name: named("members"), columns: Vec::new(), at: None };
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(inner),
        alias: Some(alias),
        sample: None,
    };
    outer.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    (outer.selection, outer.having) = (None, None);
    outer.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    outer
}

/// Why it is not known whether an untied row might be equal.
fn unknown(sql: &ast::Expr, way_out: &str, negated: bool) -> Refusal {
    let not = if negated { "NOT " } else { "" };
    let message = format!(
        "{} may be NULL, which follows from all rows behind IN together: write {way_out}, or {not}EXISTS (SELECT 1 FROM … WHERE … = …)",
        shown(sql)
    );
    Refusal::on(sql, message)
}
