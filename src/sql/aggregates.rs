//! SELECTs of aggregates: one collection each, to which every call of an aggregate function adds.

use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, Select,
};

use super::build::refused;
use super::collations::held_alike;
use super::conditions::{is_fixed, is_never_null};
use super::error::{Refusal, Refused};
use super::expr::{Expr, ExprKind};
use super::grouping::GroupKey;
use super::names::Names;
use super::operators::joined_text;
use super::order::is_descending;
use super::plan::{Aggregate, BitOp, Collection, OrderBy, Scope};
use super::tokens::unquote;
use super::tree::{PlannedScope, Planner, Rows, Tied};
use super::typing::{
    BIGINT, BIGINT_UNSIGNED, average, extreme, has_element, has_text, is_dated, is_floating,
    orderable, sum, type_name,
};
use crate::value::{Type, Value};

/// Aggregates that collections are made of.
pub(super) const AGGREGATES: [&str; 11] = [
    "AVG",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "COUNT",
    "GROUP_CONCAT",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "MAX",
    "MIN",
    "SUM",
];

/// A SELECT whose rows become one: its collection, and what stands inside of its aggregates.
pub(super) struct Aggregated<'o> {
    /// Place of its collection, to which the aggregates are added.
    pub(super) collection: usize,
    pub(super) names: Names<'o>,
    /// What may stand beside the aggregates, too.
    pub(super) keys: Vec<GroupKey>,
}

impl Planner<'_> {
    /// A SELECT of aggregates, whose FROM and WHERE are planned once.
    pub(super) fn aggregated<'n>(
        &mut self,
        select: &Select,
        outer: &'n Names<'n>,
    ) -> Refused<Aggregated<'n>> {
        let planned = self.scope(select, Tied::Outer(outer), Rows::Many)?;
        Ok(self.aggregated_scope(planned))
    }

    /// The collection of a scope's rows, of which nothing is made yet.
    pub(super) fn aggregated_scope<'n>(&mut self, planned: PlannedScope<'n>) -> Aggregated<'n> {
        let PlannedScope { scope, names } = planned;
        self.collections.push(Collection { scope, aggregates: Vec::new() });
        Aggregated { collection: self.collections.len() - 1, names, keys: Vec::new() }
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
                "{name} outside of a subquery: write (SELECT {name}(…) FROM … WHERE …), a document is one row; or GROUP BY what documents are keyed by"
            );
            return Err(Refusal::on(sql, message));
        };
        let FunctionArguments::List(list) = &call.args else {
            return Err(Refusal::on(sql, format!("{name} without arguments: write {name}(…)")));
        };
        let distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
        let values = self.arguments(sql, name, list, &inside.names)?;
        if name == "GROUP_CONCAT" {
            return self.group_concat(sql, list, values, distinct, inside);
        }
        if let Some(clause) = list.clauses.first() {
            return Err(Refusal::on(sql, format!("`{clause}` inside of {name}: leave it out")));
        }
        if matches!(name, "MIN" | "MAX") && values.iter().any(|value| self.is_by_index(value)) {
            let message = format!(
                "takes the {name} of an ENUM or SET: write {name}(CAST(… AS CHAR) COLLATE utf8mb4_0900_bin)"
            );
            return refused(sql, Err(message));
        }
        let count = values.len();
        let (aggregate, ty) = match (name, <[Expr; 1]>::try_from(values)) {
            ("COUNT", Err(none)) if none.is_empty() && list.args.len() == 1 && !distinct => {
                (Aggregate::CountRows, BIGINT)
            }
            ("COUNT", Err(values)) if distinct && count > 1 => {
                refused(sql, values.iter().try_for_each(distinguishable))?;
                (Aggregate::CountDistinct(values), BIGINT)
            }
            ("JSON_OBJECTAGG", Err(values)) if count == 2 && !distinct => {
                self.json_object(sql, values, inside)?
            }
            ("JSON_OBJECTAGG", _) => {
                let message = format!("{name} takes a name and a value, not {count} argument(s)");
                return Err(Refusal::on(sql, message));
            }
            (_, Ok([value])) if distinct => refused(sql, distinct_of(name, value))?,
            (_, Ok([value])) => refused(sql, aggregate_of(name, value))?,
            (_, Err(_)) => {
                let message = format!("{name} takes one argument, not {}", list.args.len());
                return Err(Refusal::on(sql, message));
            }
        };
        let nullable = name != "COUNT" && !matches!(aggregate, Aggregate::Bits(..));
        let read = match &aggregate {
            Aggregate::Min(value) | Aggregate::Max(value) => vec![value.clone()],
            _ => Vec::new(),
        };
        Ok(held_alike(self.among(inside.collection, aggregate, ty, nullable), &read))
    }

    /// JSON_OBJECTAGG, whose names have to differ: of equal ones MySQL keeps any.
    fn json_object(
        &mut self,
        sql: &ast::Expr,
        values: Vec<Expr>,
        inside: &Aggregated<'_>,
    ) -> Refused<(Aggregate, Type)> {
        let Ok([name, value]) = <[Expr; 2]>::try_from(values) else {
            return Err(Refusal::on(sql, "JSON_OBJECTAGG takes a name and a value"));
        };
        refused(sql, has_text(&name).and_then(|()| has_element(&value)))?;
        let scope = self.collections[inside.collection].scope.clone();
        if !self.is_key(&scope, &[&name]) {
            let key = self.key_text(&scope, &inside.names);
            let message = format!(
                "JSON_OBJECTAGG of names that may be equal, of which MySQL keeps any: take {key} for the name, or write JSON_ARRAYAGG(JSON_OBJECT('name', …, 'value', …))"
            );
            return Err(Refusal::on(sql, message));
        }
        Ok((Aggregate::JsonObject { name, value }, Type::Json))
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
        distinct: bool,
        inside: &Aggregated<'_>,
    ) -> Refused<Expr> {
        let ty = refused(sql, joined_text(&values))?;
        let read = values.clone();
        let (terms, separator) = group_concat_clauses(sql, list)?;
        if distinct {
            let aggregate = self.concat_distinct(sql, values, (terms, separator), inside)?;
            let text = self.among(inside.collection, aggregate, ty, true);
            return Ok(held_alike(text, &read));
        }
        // It reads its arguments, unless they are constants, as columns of their types.
        for value in &mut values {
            if let (ExprKind::Case { .. }, Type::Decimal { .. }) = (&value.kind, value.ty)
                && !is_constant(value)
            {
                let (ty, nullable) = (value.ty, value.nullable);
                *value = Expr::new(ExprKind::Cast(Box::new(value.clone())), ty, nullable);
            }
        }
        let value = match values.len() {
            1 => values.remove(0),
            _ => {
                let nullable = values.iter().any(|value| value.nullable);
                Expr::new(ExprKind::Concat(values), ty, nullable)
            }
        };
        let (scope, names) = (self.collections[inside.collection].scope.clone(), &inside.names);
        let order_by = match terms {
            Some(terms) => {
                let what = "the ORDER BY of GROUP_CONCAT";
                let terms = self.order(terms, &scope, names, &[], what)?;
                if terms.iter().any(|term| is_fixed(&term.expr)) {
                    let message = "GROUP_CONCAT orders by what is the same in every row, behind which MySQL forgets the other terms: leave it out";
                    return Err(Refusal::on(sql, message));
                }
                terms.into_iter().map(with_null_as_zero).collect()
            }
            None if self.has_one_row(&scope) => self.order_of_one(scope.from),
            None => {
                let key = self.key_text(&scope, names);
                let message = format!(
                    "GROUP_CONCAT without ORDER BY comes in any order: write GROUP_CONCAT(… ORDER BY …), ending in {key}"
                );
                return Err(Refusal::on(sql, message));
            }
        };
        let aggregate = Aggregate::GroupConcat { value, order_by, separator };
        Ok(held_alike(self.among(inside.collection, aggregate, ty, true), &read))
    }

    /// GROUP_CONCAT(DISTINCT …), whose order has to be that of its values: MySQL leaves open which
    /// of equal ones it keeps.
    fn concat_distinct(
        &mut self,
        sql: &ast::Expr,
        values: Vec<Expr>,
        (terms, separator): (Option<&[ast::OrderByExpr]>, String),
        inside: &Aggregated<'_>,
    ) -> Refused<Aggregate> {
        let Ok([value]) = <[Expr; 1]>::try_from(values) else {
            let message = "GROUP_CONCAT(DISTINCT …) of several arguments: write one, as CONCAT(…)";
            return Err(Refusal::on(sql, message));
        };
        refused(sql, distinguishable(&value).and_then(|()| prints_alike(&value)))?;
        if self.is_by_index(&value) {
            let message = "orders by an ENUM or SET, which MySQL orders by the place of its value in the declaration: write CAST(… AS CHAR) to order by text";
            return refused(sql, Err(message.to_owned()));
        }
        if let Some([term]) = terms
            && self.expr(&term.expr, &inside.names)? == value
        {
            let descending = is_descending(term)?;
            return Ok(Aggregate::ConcatDistinct { value, descending, separator });
        }
        let message = "GROUP_CONCAT(DISTINCT …) in another order than that of its values, of which MySQL keeps any: write GROUP_CONCAT(DISTINCT x ORDER BY x)";
        Err(Refusal::on(sql, message))
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
    pub(super) fn among(
        &mut self,
        collection: usize,
        aggregate: Aggregate,
        ty: Type,
        nullable: bool,
    ) -> Expr {
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
    let ty = value.ty;
    Ok(match name {
        // What is never NULL is not found out to count it.
        "COUNT" if is_never_null(&value) => (Aggregate::CountRows, BIGINT),
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
            (if name == "MIN" { Aggregate::Min(value) } else { Aggregate::Max(value) }, ty)
        }
        "BIT_AND" | "BIT_OR" | "BIT_XOR" if !ty.is_integer() => {
            let ty = type_name(ty);
            return Err(format!("takes the bits of {ty}: CAST(… AS UNSIGNED) inside"));
        }
        "BIT_AND" => (Aggregate::Bits(BitOp::And, value), BIGINT_UNSIGNED),
        "BIT_OR" => (Aggregate::Bits(BitOp::Or, value), BIGINT_UNSIGNED),
        "BIT_XOR" => (Aggregate::Bits(BitOp::Xor, value), BIGINT_UNSIGNED),
        _ => {
            has_element(&value)?;
            (Aggregate::JsonArray(value), Type::Json)
        }
    })
}

fn distinct_of(name: &str, value: Expr) -> Result<(Aggregate, Type), String> {
    Ok(match name {
        "COUNT" => {
            distinguishable(&value)?;
            (Aggregate::CountDistinct(vec![value]), BIGINT)
        }
        "SUM" => {
            let ty = sum(&value)?;
            (Aggregate::SumDistinct(value), ty)
        }
        "AVG" => {
            let ty = average(&value)?;
            (Aggregate::AvgDistinct(value), ty)
        }
        "MIN" | "MAX" => aggregate_of(name, value)?,
        _ => return Err("has a DISTINCT that is not MySQL: leave it out".to_owned()),
    })
}

/// Whether a value follows from no row.
fn is_constant(value: &Expr) -> bool {
    let mut is_constant = true;
    value.each(&mut |expr| {
        is_constant &= !matches!(expr.kind, ExprKind::Column { .. } | ExprKind::Collection(..));
    });
    is_constant
}

/// Why values cannot be told apart: of text, those that only a collation calls equal.
fn distinguishable(value: &Expr) -> Result<(), String> {
    match value.ty {
        Type::Text(collation) if !collation.is_exact() => Err(
            "tells apart text of which several spellings are equal: write … COLLATE utf8mb4_0900_bin inside"
                .to_owned(),
        ),
        _ => orderable(value, "tells apart"),
    }
}

/// Why equal values may print differently.
fn prints_alike(value: &Expr) -> Result<(), String> {
    if is_floating(value.ty) {
        return Err("joins FLOAT or DOUBLE, whose zeros are equal and print in two ways: CAST to DECIMAL inside".to_owned());
    }
    Ok(())
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
        | ast::Expr::IsNotFalse(inner)
        | ast::Expr::InSubquery { expr: inner, .. }
        | ast::Expr::AnyOp { left: inner, .. }
        | ast::Expr::AllOp { left: inner, .. } => has_aggregate(inner),
        _ => false,
    }
}

/// A term of the ORDER BY of GROUP_CONCAT, where MySQL lets NULL stand where 0 and the empty text
/// stand. No date stands before NULL.
fn with_null_as_zero(term: OrderBy) -> OrderBy {
    let OrderBy { expr, descending } = term;
    let ty = expr.ty;
    let zero = match ty {
        Type::Text(_) => Value::Text("".into()),
        Type::Bytes => Value::Bytes(Vec::new().into()),
        Type::Time { .. } => Value::Time(0),
        _ if is_dated(ty) => Value::Null,
        _ => Value::Int(0),
    };
    if !expr.nullable || zero.is_null() {
        return OrderBy { expr, descending };
    }
    let zero = Expr::new(ExprKind::Literal(zero), ty, false);
    let expr = Expr::new(ExprKind::Coalesce(vec![expr, zero]), ty, false);
    OrderBy { expr, descending }
}
