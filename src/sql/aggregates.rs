//! SELECTs of aggregates: one collection each, to which every call of an aggregate function adds.

use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, Select,
};

use super::build::refused;
use super::error::{Refusal, Refused};
use super::expr::{Expr, ExprKind};
use super::names::Names;
use super::operators::joined_text;
use super::plan::{Aggregate, Collection, Scope};
use super::tokens::unquote;
use super::tree::{PlannedScope, Planner, Rows};
use super::typing::{BIGINT, average, extreme, has_element, sum};
use crate::value::Type;

/// Aggregates that collections are made of.
pub(super) const AGGREGATES: [&str; 7] =
    ["AVG", "COUNT", "GROUP_CONCAT", "JSON_ARRAYAGG", "MAX", "MIN", "SUM"];

/// A SELECT whose rows become one: its collection, and what stands inside of its aggregates.
pub(super) struct Aggregated<'o> {
    /// Place of its collection, to which the aggregates are added.
    collection: usize,
    pub(super) names: Names<'o>,
}

impl Planner<'_> {
    /// A SELECT of aggregates, whose FROM and WHERE are planned once.
    pub(super) fn aggregated<'n>(
        &mut self,
        select: &Select,
        outer: &'n Names<'n>,
    ) -> Refused<Aggregated<'n>> {
        let PlannedScope { scope, names } = self.scope(select, Some(outer), Rows::Many)?;
        self.collections.push(Collection { scope, aggregates: Vec::new() });
        Ok(Aggregated { collection: self.collections.len() - 1, names })
    }

    /// A call of an aggregate function.
    pub(super) fn aggregate(
        &mut self,
        sql: &ast::Expr,
        name: &str,
        call: &ast::Function,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let Some(inside) = names.aggregated else {
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
        let mut values = self.arguments(sql, name, list, &inside.names)?;
        if name == "GROUP_CONCAT" {
            return self.group_concat(sql, list, values, inside);
        }
        if let Some(clause) = list.clauses.first() {
            return Err(Refusal::on(sql, format!("`{clause}` inside of {name}: leave it out")));
        }
        if name == "COUNT" && values.is_empty() && list.args.len() == 1 {
            return Ok(self.among(inside.collection, Aggregate::CountRows, BIGINT, false));
        }
        let (Some(value), true) = (values.pop(), values.is_empty()) else {
            let message = format!("{name} takes one argument, not {}", list.args.len());
            return Err(Refusal::on(sql, message));
        };
        let (aggregate, ty) = refused(sql, aggregate_of(name, value))?;
        let nullable = name != "COUNT";
        Ok(self.among(inside.collection, aggregate, ty, nullable))
    }

    /// The arguments of a call; `*` of COUNT(*) is none.
    fn arguments(
        &mut self,
        sql: &ast::Expr,
        name: &str,
        list: &FunctionArgumentList,
        names: &Names<'_>,
    ) -> Refused<Vec<Expr>> {
        let mut values = Vec::new();
        for argument in &list.args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => {
                    values.push(self.expr(argument, names)?);
                }
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "COUNT" => {}
                _ => {
                    let message = format!("this argument of {name}: write an expression");
                    return Err(Refusal::on(sql, message));
                }
            }
        }
        Ok(values)
    }

    fn group_concat(
        &mut self,
        sql: &ast::Expr,
        list: &FunctionArgumentList,
        mut values: Vec<Expr>,
        inside: &Aggregated<'_>,
    ) -> Refused<Expr> {
        let ty = refused(sql, joined_text(&values))?;
        let value = match values.len() {
            1 => values.remove(0),
            _ => {
                let nullable = values.iter().any(|value| value.nullable);
                Expr::new(ExprKind::Concat(values), ty, nullable)
            }
        };
        let (terms, separator) = group_concat_clauses(sql, list)?;
        let (scope, names) = (self.collections[inside.collection].scope.clone(), &inside.names);
        let order_by = match terms {
            Some(terms) => self.order(terms, &scope, names, &[], "the ORDER BY of GROUP_CONCAT")?,
            None if self.has_one_row(&scope) => Vec::new(),
            None => {
                let key = self.key_text(&scope, names);
                let message = format!(
                    "GROUP_CONCAT without ORDER BY comes in any order: write GROUP_CONCAT(… ORDER BY {})",
                    key.trim_matches('`')
                );
                return Err(Refusal::on(sql, message));
            }
        };
        let aggregate = Aggregate::GroupConcat { value, order_by, separator };
        Ok(self.among(inside.collection, aggregate, ty, true))
    }

    /// The value of a new collection of one aggregate.
    pub(super) fn collect(
        &mut self,
        scope: Scope,
        aggregate: Aggregate,
        ty: Type,
        nullable: bool,
    ) -> Expr {
        self.collections.push(Collection { scope, aggregates: vec![aggregate] });
        Expr::new(ExprKind::Collection(self.collections.len() - 1, 0), ty, nullable)
    }

    /// The value of an aggregate of a collection, which is asked for it once.
    fn among(&mut self, collection: usize, aggregate: Aggregate, ty: Type, nullable: bool) -> Expr {
        let aggregates = &mut self.collections[collection].aggregates;
        let known = aggregates.iter().position(|other| *other == aggregate);
        let place = known.unwrap_or_else(|| {
            aggregates.push(aggregate);
            aggregates.len() - 1
        });
        Expr::new(ExprKind::Collection(collection, place), ty, nullable)
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
    list: &'a FunctionArgumentList,
) -> Refused<(Option<&'a [ast::OrderByExpr]>, String)> {
    let (mut terms, mut separator) = (None, ",".to_owned());
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(order_by) => terms = Some(order_by.as_slice()),
            FunctionArgumentClause::Separator(value) => match &value.value {
                ast::Value::SingleQuotedString(raw) => separator = unquote(raw, '\''),
                ast::Value::DoubleQuotedString(raw) => separator = unquote(raw, '"'),
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

/// Whether an expression calls an aggregate, not counting those of subqueries in it.
pub(super) fn has_aggregate(sql: &ast::Expr) -> bool {
    match sql {
        ast::Expr::Function(call) => {
            let name = call.name.to_string().to_uppercase();
            if call.over.is_none() && AGGREGATES.contains(&name.as_str()) {
                return true;
            }
            let FunctionArguments::List(list) = &call.args else { return false };
            list.args.iter().any(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) => has_aggregate(inner),
                _ => false,
            })
        }
        ast::Expr::BinaryOp { left, right, .. } => has_aggregate(left) || has_aggregate(right),
        ast::Expr::Between { expr, low, high, .. } => {
            [expr, low, high].into_iter().any(|inner| has_aggregate(inner))
        }
        ast::Expr::InList { expr, list, .. } => {
            has_aggregate(expr) || list.iter().any(has_aggregate)
        }
        ast::Expr::Case { operand, conditions, else_result, .. } => {
            operand.as_deref().is_some_and(has_aggregate)
                || conditions
                    .iter()
                    .any(|when| has_aggregate(&when.condition) || has_aggregate(&when.result))
                || else_result.as_deref().is_some_and(has_aggregate)
        }
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
        | ast::Expr::IsNotFalse(inner) => has_aggregate(inner),
        _ => false,
    }
}
