//! JOIN … USING as JOIN … ON. By its bare name a column in USING is that of the table before: the
//! other's has none here.

use std::borrow::Cow;

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Select,
    SelectItem, TableFactor, TableWithJoins,
};

use super::error::{Refusal, Refused};

/// The columns that have no bare name: each by what qualifies it, and in lower case.
pub(super) type Nameless = Vec<(String, String)>;

/// A SELECT whose joins say ON, and what has no bare name in it.
pub(super) fn using_as_on(select: &Select) -> Refused<(Cow<'_, Select>, Nameless)> {
    let mut nameless = Vec::new();
    let joins = |from: &TableWithJoins| from.joins.iter().any(|join| using(join).is_some());
    if !select.from.iter().any(joins) {
        return Ok((Cow::Borrowed(select), nameless));
    }
    let all = select.projection.iter().find(|item| matches!(item, SelectItem::Wildcard(_)));
    if let Some(all) = all {
        return Err(Refusal::on(all, "`*` beside JOIN … USING: name the columns"));
    }
    let mut select = select.clone();
    for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
        let Some(columns) = using(join) else { continue };
        let alias = alias_of(&join.relation)?;
        let equal = columns.iter().map(|name| {
            let column = column_of(name)?;
            nameless.push((alias.value.clone(), column.value.to_lowercase()));
            Ok(Expr::BinaryOp {
                left: Box::new(Expr::Identifier(column.clone())),
                op: BinaryOperator::Eq,
                right: Box::new(Expr::CompoundIdentifier(vec![alias.clone(), column.clone()])),
            })
        });
        let equal = equal.collect::<Refused<Vec<Expr>>>()?;
        let both = |left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::And,
            right: Box::new(right),
        };
        let on = equal.into_iter().reduce(both);
        let on = on.map_or(JoinConstraint::None, JoinConstraint::On);
        if let Some(constraint) = constraint_mut(join) {
            *constraint = on;
        }
    }
    Ok((Cow::Owned(select), nameless))
}

fn using(join: &Join) -> Option<&[ObjectName]> {
    match &join.join_operator {
        JoinOperator::Join(JoinConstraint::Using(columns))
        | JoinOperator::Inner(JoinConstraint::Using(columns))
        | JoinOperator::CrossJoin(JoinConstraint::Using(columns))
        | JoinOperator::Left(JoinConstraint::Using(columns))
        | JoinOperator::LeftOuter(JoinConstraint::Using(columns)) => Some(columns),
        _ => None,
    }
}

fn constraint_mut(join: &mut Join) -> Option<&mut JoinConstraint> {
    match &mut join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint) => Some(constraint),
        _ => None,
    }
}

/// What qualifies the columns of a joined table.
fn alias_of(factor: &TableFactor) -> Refused<Ident> {
    let (alias, name) = match factor {
        TableFactor::Table { alias, name, .. } => (alias, name.0.last()),
        TableFactor::Derived { alias, lateral: false, .. } => (alias, None),
        _ => (&None, None),
    };
    let name = alias.as_ref().map(|alias| &alias.name).or(name.and_then(|name| name.as_ident()));
    name.cloned()
        .ok_or_else(|| Refusal::on(factor, "JOIN … USING here: write ON with both columns"))
}

fn column_of(name: &ObjectName) -> Refused<&Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident(),
        _ => None,
    }
    .ok_or_else(|| Refusal::on(name, "USING takes the names of columns alone"))
}
