//! A SELECT in the place of a table, a view's or one between parentheses: it is planned where it
//! stands.
//!
//! The outer view's documents then follow from the tables directly, in one step and at one
//! position. The other way, rows of the inner view kept as a table of their own, costs the memory
//! of its documents and lets readers of the outer one see some of them older than others while a
//! large change is worked off.

use std::borrow::Cow;

use sqlparser::ast::{Ident, ObjectName, Query, Spanned, TableAliasColumnDef};

use super::clauses::{beginning, distinct_as_groups, view_select};
use super::conditions::is_fixed;
use super::error::{Refusal, Refused};
use super::expr::{Expr, ExprKind};
use super::grouping::{Grouped, group_terms};
use super::names::NamedColumn;
use super::plan::{NodeId, Scope};
use super::select_text::{Edit, normalized};
use super::subquery::picked;
use super::tokens;
use super::tree::{PlannedScope, Planner, Rows, Source, Tied};
use super::view_file::ViewSource;
use super::with::{NamedSelect, named_alike, renamed};
use crate::value::Value;

impl<'c> Planner<'c> {
    /// What `FROM view` or `JOIN view` stands for.
    pub(super) fn inlined(
        &mut self,
        view: &'c ViewSource<'c>,
        (name, ident): (&ObjectName, &Ident),
        alias: Ident,
        optional: bool,
    ) -> Refused<Source> {
        if self.reading.contains(&view.name()) {
            let circle: Vec<&str> = self.reading.iter().copied().chain([view.name()]).collect();
            let message = format!(
                "`{}` reads `{}`: no view can be part of itself, write its tables instead",
                circle[0],
                circle[1..].join("`, which reads `")
            );
            return Err(Refusal::on(name, message));
        }
        // The view's text is to stand here.
        let is_table = |named: &&NamedSelect| self.catalog.table(named.name()).is_some();
        if let Some(hiding) = self.named.iter().find(is_table) {
            let message = format!(
                "view `{}` is read where WITH hides the table `{}`: give what WITH names another name",
                view.name(),
                hiding.name()
            );
            return Err(Refusal::on(name, message));
        }
        self.reading.push(view.name());
        let outer_edits = std::mem::take(&mut self.edits);
        let outer_named = std::mem::take(&mut self.named);
        let query = &view.file.query;
        let read = self.with(query, |planner| planner.read_select(query, ident.clone(), optional));
        self.named = outer_named;
        let edits = std::mem::replace(&mut self.edits, outer_edits);
        self.reading.pop();
        let read = read.map_err(|refusal| {
            let message = format!(
                "view `{}` ({}:{}:{}): {}",
                view.name(),
                view.path,
                refusal.at.line,
                refusal.at.column,
                refusal.message
            );
            Refusal::on(name, message)
        })?;
        let select = view.select_text(&edits)?;
        let name_after = match alias.span == ident.span {
            true => format!(" AS {ident}"),
            false => String::new(),
        };
        let span = name.span().union(&ident.span);
        self.edits.push(Edit { span, with: format!("({select}){name_after}") });
        Ok(Source { alias, ..read })
    }

    /// What `(SELECT …) AS alias` in a FROM stands for.
    pub(super) fn derived(
        &mut self,
        query: &Query,
        (alias, columns): (&Ident, &[TableAliasColumnDef]),
        optional: bool,
    ) -> Refused<Source> {
        if let Some(order_by) = &query.order_by {
            let message =
                "ORDER BY of a subquery in FROM, which orders nothing outside: leave it out";
            return Err(Refusal::on(order_by, message));
        }
        if let Some(limit) = &query.limit_clause {
            let message = "LIMIT of a subquery in FROM: write JOIN LATERAL (… ORDER BY … LIMIT 1) AS name ON TRUE";
            return Err(Refusal::on(limit, message));
        }
        let query = match columns {
            [] => Cow::Borrowed(query),
            list => Cow::Owned(named_alike(query, list)),
        };
        let read =
            self.with(&query, |planner| planner.read_select(&query, alias.clone(), optional))?;
        Ok(Source { columns: renamed(read.columns, columns)?, ..read })
    }

    fn read_select(&mut self, query: &Query, alias: Ident, optional: bool) -> Refused<Source> {
        let select = &*distinct_as_groups(view_select(query)?)?;
        let (scope, items, merged, filled) = if group_terms(select).is_empty() {
            let PlannedScope { scope, names } = self.scope(select, Tied::Nothing, Rows::One)?;
            let collections = self.collections.len();
            let items = self.items(select, &names)?;
            // MySQL keeps a result with a subquery in its columns apart, and merges all others.
            let merged = self.collections.len() == collections;
            (scope, items, merged, names.filled)
        } else {
            let Grouped { scope, items, filled, .. } = self.grouped(select)?;
            (scope, items, false, filled)
        };
        let columns = items.into_iter().map(|item| NamedColumn {
            name: item.name,
            value: match optional && merged && is_there_anyway(&item.value) {
                true => Err(THERE_ANYWAY.to_owned()),
                false => Ok(shown(item.value, scope.from, optional, merged)),
            },
            hidden: false,
            zerofill: item.zerofill,
        });
        let columns = columns.collect();
        let Scope { from, joins, filter } = scope;
        Ok(Source { from, joins, filter, alias, columns, filled })
    }
}

impl ViewSource<'_> {
    /// The view's SELECT as MySQL runs it.
    pub(super) fn select_text(&self, edits: &[Edit]) -> Refused<String> {
        let lexemes = tokens::lexemes(self.text)?;
        Ok(normalized(self.text, &lexemes, beginning(&self.file.query), edits))
    }
}

const THERE_ANYWAY: &str = "of a SELECT in FROM is the same in every row, and there in MySQL though an outer join finds no row: write it in the SELECT around that one, beside what tells whether there is a row";

/// Whether MySQL finds it out without a row. What is written out as it is it does not.
fn is_there_anyway(value: &Expr) -> bool {
    let is_written = match &value.kind {
        ExprKind::Literal(Value::Int(number)) => *number >= 0,
        ExprKind::Literal(_) | ExprKind::Boolean(_) => true,
        _ => false,
    };
    is_fixed(value) && !is_written
}

/// What a column is to the SELECT around it. Merged, it is the expression itself, but for
/// comparisons, which are numbers then.
fn shown(value: Expr, from: NodeId, optional: bool, merged: bool) -> Expr {
    let plain = matches!(value.kind, ExprKind::Column { .. });
    if !merged || plain {
        return picked(value, from, !optional);
    }
    if !optional && !value.is_boolean() {
        return value;
    }
    let (ty, nullable) = (value.ty, value.nullable || optional);
    Expr::new(ExprKind::IfPresent(from, Box::new(value)), ty, nullable)
}
