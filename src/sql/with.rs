//! WITH: SELECTs that have a name, each of which is planned where the name stands, as a subquery
//! in FROM is.

use std::rc::Rc;

use sqlparser::ast::{Cte, Ident, Query, SelectItem, SetExpr, TableAliasColumnDef};

use super::error::{Refusal, Refused};
use super::names::NamedColumn;
use super::subquery::{item_expr, item_name};
use super::tree::{Planner, Source};

/// A SELECT with a name, which hides a table of that name.
pub(super) struct NamedSelect(Rc<Cte>);

impl NamedSelect {
    pub(super) fn name(&self) -> &str {
        &self.0.alias.name.value
    }
}

impl Planner<'_> {
    /// What is made of a query where the SELECTs that its WITH names are known.
    pub(super) fn with<T>(
        &mut self,
        query: &Query,
        make: impl FnOnce(&mut Self) -> Refused<T>,
    ) -> Refused<T> {
        let known = self.named.len();
        let made = self.name_selects(query).and_then(|()| make(self));
        self.named.truncate(known);
        made
    }

    fn name_selects(&mut self, query: &Query) -> Refused<()> {
        let known = self.named.len();
        for select in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = &select.alias.name;
            if self.named[known..].iter().any(|other| other.name() == name.value) {
                let message = format!("two SELECTs are called `{}` by WITH", name.value);
                let way_out = "give one another name";
                return Err(Refusal::at(name.span.start, format!("{message}: {way_out}")));
            }
            if select.from.is_some() {
                let message = "a clause of WITH that is not MySQL: write WITH name AS (SELECT …)";
                return Err(Refusal::at(name.span.start, message));
            }
            self.named.push(NamedSelect(Rc::new(select.clone())));
        }
        if let Some(with) = query.with.as_ref().filter(|with| with.recursive) {
            let message = "WITH RECURSIVE, which reads itself to any depth: join the table to itself once for each level, or keep each row's path in a column";
            return Err(Refusal::on(with, message));
        }
        match query.body.as_ref() {
            SetExpr::Query(inner) => self.name_selects(inner),
            _ => Ok(()),
        }
    }

    /// What a name in FROM stands for, if WITH gives it: it was written where only what was named
    /// before was known.
    pub(super) fn named_select(
        &mut self,
        name: &Ident,
        alias: &Ident,
        optional: bool,
    ) -> Option<Refused<Source>> {
        let place = self.named.iter().rposition(|named| named.name() == name.value)?;
        let later = self.named.split_off(place);
        let select = Rc::clone(&later[0].0);
        let read = self.derived(&select.query, (alias, &select.alias.columns), optional);
        self.named.extend(later);
        Some(read)
    }
}

/// A query whose columns have names of their own: what has none is called as the list says.
pub(super) fn named_alike(query: &Query, list: &[TableAliasColumnDef]) -> Query {
    let mut query = query.clone();
    match query.body.as_mut() {
        SetExpr::Select(select) => {
            for (item, column) in select.projection.iter_mut().zip(list) {
                if let (None, Some(expr)) = (item_name(item), item_expr(item).cloned()) {
                    *item = SelectItem::ExprWithAlias { expr, alias: column.name.clone() };
                }
            }
        }
        SetExpr::Query(inner) => **inner = named_alike(inner, list),
        _ => {}
    }
    query
}

/// Columns by the names that a list gives them.
pub(super) fn renamed(
    columns: Vec<NamedColumn>,
    list: &[TableAliasColumnDef],
) -> Refused<Vec<NamedColumn>> {
    let [.., last] = list else { return Ok(columns) };
    if list.len() != columns.len() {
        let message =
            format!("{} column name(s) for {} column(s): write as many", list.len(), columns.len());
        return Err(Refusal::at(last.name.span.start, message));
    }
    let lower = |column: &TableAliasColumnDef| column.name.value.to_lowercase();
    let is_twice = |at: &usize| list[..*at].iter().any(|other| lower(other) == lower(&list[*at]));
    if let Some(twice) = (0..list.len()).find(is_twice) {
        let name = &list[twice].name;
        let message = format!("two columns are called `{}`: give one another name", name.value);
        return Err(Refusal::at(name.span.start, message));
    }
    let renamed = columns.into_iter().zip(list);
    Ok(renamed.map(|(column, to)| NamedColumn { name: to.name.value.clone(), ..column }).collect())
}
