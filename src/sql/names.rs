//! Which column a name means.

use sqlparser::ast::Ident;

use super::aggregates::Aggregated;
use super::error::{Refusal, Refused, did_you_mean, listed};
use super::expr::{Expr, ExprKind};
use super::order::text_of;
use super::plan::NodeId;
use super::using::Nameless;

/// The names that one SELECT sees: its own tables, then those of the SELECTs around it.
pub(super) struct Names<'o> {
    pub(super) relations: Vec<Relation>,
    pub(super) outer: Option<&'o Names<'o>>,
    /// The SELECT whose aggregates are being planned; its own columns are then visible only
    /// inside of them.
    pub(super) aggregated: Option<&'o Aggregated<'o>>,
    /// Columns that are not NULL in any row of the SELECT that counts.
    pub(super) filled: Vec<ExprKind>,
    /// The first of its nodes: those before are of the SELECTs around it.
    pub(super) first: NodeId,
    /// Columns that are not meant by their bare name.
    pub(super) nameless: Nameless,
}

/// A table or pick in a FROM.
pub(super) struct Relation {
    /// What its columns are qualified by.
    pub(super) alias: String,
    pub(super) columns: Vec<NamedColumn>,
}

/// A column of a relation.
pub(super) struct NamedColumn {
    pub(super) name: String,
    pub(super) value: Result<Expr, String>,
    /// Left out of `SELECT *`.
    pub(super) hidden: bool,
    /// Printed with leading zeros.
    pub(super) zerofill: bool,
}

impl Relation {
    /// Whether a name, in lower case, means a column of it.
    fn has(&self, qualifier: Option<&Ident>, name: &str) -> bool {
        qualifier.is_none_or(|qualifier| qualifier.value == self.alias)
            && self.columns.iter().any(|column| column.name.to_lowercase() == name)
    }
}

impl<'o> Names<'o> {
    pub(super) fn inside(outer: Option<&'o Names<'o>>) -> Names<'o> {
        Names {
            relations: Vec::new(),
            outer,
            aggregated: None,
            filled: Vec::new(),
            first: NodeId(0),
            nameless: Vec::new(),
        }
    }

    /// Beside the aggregates of a SELECT.
    pub(super) fn beside(aggregated: &'o Aggregated<'o>) -> Names<'o> {
        Names { aggregated: Some(aggregated), ..Names::inside(aggregated.names.outer) }
    }

    /// Adds a table or pick; its alias must be new in this SELECT.
    pub(super) fn add(&mut self, alias: &Ident, columns: Vec<NamedColumn>) -> Refused<()> {
        if self.relations.iter().any(|relation| relation.alias == alias.value) {
            let message = format!(
                "two tables are called `{0}` here: give one an alias, as `{0} AS {0}2`",
                alias.value
            );
            return Err(Refusal::at(alias.span.start, message));
        }
        self.relations.push(Relation { alias: alias.value.clone(), columns });
        Ok(())
    }

    /// Adds the columns of a SELECT list, which HAVING sees beside what is grouped by.
    pub(super) fn add_listed(&mut self, columns: Vec<NamedColumn>) {
        self.relations.push(Relation { alias: String::new(), columns });
    }

    /// The column that `name` or `qualifier.name` means, in the innermost SELECT that has it.
    pub(super) fn column(&self, qualifier: Option<&Ident>, name: &Ident) -> Refused<&NamedColumn> {
        let wanted = name.value.to_lowercase();
        let mut scope = Some(self);
        let mut known_qualifier = None;
        while let Some(names) = scope {
            let listed_too = names.listed(qualifier, &wanted);
            if let Some(inside) = names.aggregated
                && inside.names.relations.iter().any(|relation| relation.has(qualifier, &wanted))
            {
                let own = inside.names.column(qualifier, name)?;
                let own = own.value.as_ref().ok();
                let key = inside.keys.iter().find(|key| own.is_some_and(|own| key.is(own)));
                match (key, listed_too) {
                    (Some(key), None) => {
                        if names.list().is_none_or(|list| key.is_known_to_having(&list.columns)) {
                            return Ok(&key.beside);
                        }
                        let message = format!(
                            "HAVING knows no column `{}` that neither GROUP BY nor the SELECT list names: add it there",
                            name.value
                        );
                        return Err(Refusal::at(qualifier.unwrap_or(name).span.start, message));
                    }
                    (Some(key), Some(item)) if item.value == key.beside.value => {
                        return Ok(&key.beside);
                    }
                    (None, Some(item)) => return Ok(item),
                    (Some(_), Some(_)) => {
                        let message = format!(
                            "`{}` is a column and another one of the SELECT list: give that another name",
                            name.value
                        );
                        return Err(Refusal::at(name.span.start, message));
                    }
                    (None, None) => {}
                }
                let message = if inside.keys.is_empty() {
                    format!(
                        "column `{}` of one of many rows stands beside an aggregate: put it inside of one, as MIN({0})",
                        name.value
                    )
                } else if let Some(made) =
                    own.and_then(|own| inside.keys.iter().find_map(|key| key.made_of(own)))
                {
                    format!(
                        "column `{}` is not what GROUP BY names, but `{made}`, which MySQL knows as a whole column of the SELECT list alone, and in HAVING by its name there: make more of it in a SELECT around this one",
                        name.value
                    )
                } else {
                    format!(
                        "column `{}` is not what GROUP BY names, and differs from row to row: put it inside of an aggregate, as MIN({0}), or name it there",
                        name.value
                    )
                };
                return Err(Refusal::at(qualifier.unwrap_or(name).span.start, message));
            }
            let relations = names
                .relations
                .iter()
                .filter(|relation| qualifier.is_none_or(|q| q.value == relation.alias));
            let mut found = Vec::new();
            for relation in relations {
                known_qualifier = known_qualifier.or(qualifier.map(|_| relation));
                if qualifier.is_none() && names.is_nameless(relation, &wanted) {
                    continue;
                }
                let same = relation.columns.iter().filter(|c| c.name.to_lowercase() == wanted);
                found.extend(same.map(|column| (relation, column)));
            }
            match found.as_slice() {
                [] => scope = names.outer,
                [(_, column)] => return Ok(column),
                several => {
                    let full: Vec<String> = several
                        .iter()
                        .map(|(relation, c)| format!("{}.{}", relation.alias, c.name))
                        .collect();
                    let message = format!(
                        "column `{}` is ambiguous: write {}",
                        name.value,
                        listed(full.iter().map(String::as_str)).replace(" and ", " or ")
                    );
                    return Err(Refusal::at(name.span.start, message));
                }
            }
        }
        Err(self.unknown(qualifier, name, known_qualifier))
    }

    /// The columns of the SELECT list, which HAVING sees.
    fn list(&self) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.alias.is_empty())
    }

    /// The column of the SELECT list, which HAVING sees, that an unqualified name means.
    fn listed(&self, qualifier: Option<&Ident>, wanted: &str) -> Option<&NamedColumn> {
        let list = self.list()?;
        let is_it =
            |column: &&NamedColumn| qualifier.is_none() && column.name.to_lowercase() == wanted;
        list.columns.iter().find(is_it)
    }

    fn is_nameless(&self, relation: &Relation, wanted: &str) -> bool {
        self.nameless.iter().any(|(alias, name)| *alias == relation.alias && name == wanted)
    }

    /// Whether a value may be NULL in a row that counts.
    pub(super) fn may_be_null(&self, value: &Expr) -> bool {
        let mut scopes = std::iter::successors(Some(self), |names| names.outer);
        value.nullable && !scopes.any(|names| names.filled.contains(&value.kind))
    }

    /// What a column of a node is called in this SELECT, if it has a name here.
    pub(super) fn called(&self, node: NodeId, column: usize) -> Option<String> {
        let is_it = |named: &NamedColumn| {
            let value = named.value.as_ref().ok();
            value.and_then(text_of) == Some((node, column))
        };
        self.relations.iter().find_map(|relation| {
            let named = relation.columns.iter().find(|named| is_it(named))?;
            Some(format!("{}.{}", relation.alias, named.name))
        })
    }

    fn unknown(
        &self,
        qualifier: Option<&Ident>,
        name: &Ident,
        relation: Option<&Relation>,
    ) -> Refusal {
        let at = qualifier.unwrap_or(name).span.start;
        if let (Some(qualifier), Some(relation)) = (qualifier, relation) {
            let hint = did_you_mean(&name.value, relation.columns.iter().map(|c| c.name.as_str()));
            return Refusal::at(
                at,
                format!("unknown column `{}.{}`{hint}", qualifier.value, name.value),
            );
        }
        if let Some(qualifier) = qualifier {
            let hint = did_you_mean(&qualifier.value, self.all().map(|r| r.alias.as_str()));
            let known = listed(self.all().map(|r| r.alias.as_str()));
            return Refusal::at(
                at,
                format!("unknown table `{}`{hint} (known here: {known})", qualifier.value),
            );
        }
        let columns = self.all().flat_map(|r| r.columns.iter().map(|c| c.name.as_str()));
        // USING takes the bare name from one that has it.
        let others = columns.filter(|column| !column.eq_ignore_ascii_case(&name.value));
        let hint = did_you_mean(&name.value, others);
        Refusal::at(at, format!("unknown column `{}`{hint}", name.value))
    }

    /// The relations of this SELECT and those around it.
    fn all(&self) -> impl Iterator<Item = &Relation> {
        let scopes = std::iter::successors(Some(self), |names| names.outer);
        scopes.flat_map(|names| names.relations.iter())
    }
}
