//! Collections: one row out of many.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::frame::Frame;
use super::group::{Levels, Partials, Summary};
use super::order::Kept;
use super::tally::Tally;
use crate::sql::expr::EvalError;
use crate::sql::plan::{Aggregate, Collection};
use crate::value::Value;

/// The values of a collection of several aggregates, as they were last made: all of them in one
/// pass, to be asked for one by one.
#[derive(Debug)]
pub(super) struct Known<'e> {
    /// The rows outside that they follow from.
    outside: SmallVec<[Option<&'e [u8]>; 2]>,
    values: Vec<Value<'static>>,
}

impl<'e> Frame<'e> {
    /// The value of an aggregate of a collection for the rows bound now.
    pub(super) fn aggregate(
        &self,
        collection: usize,
        aggregate: usize,
    ) -> Result<Value<'_>, EvalError> {
        let Collection { scope, aggregates } = &self.view().collections[collection];
        match aggregates.as_slice() {
            [Aggregate::First { value, order_by }] => {
                if self.pick(scope, order_by)? {
                    value.eval(self)
                } else {
                    Ok(Value::Null)
                }
            }
            [Aggregate::Exists] => {
                let found = self.each(scope, false, &mut || Ok(ControlFlow::Break(())))?;
                Ok(Value::Int(found.is_break().into()))
            }
            [_] => {
                let mut tally = self.tallied(collection)?;
                tally.pop().map_or(Ok(Value::Null), Tally::finish)
            }
            _ => self.known(collection, |values| values[aggregate].clone()),
        }
    }

    /// Appends an aggregate's value that is text or JSON; `false`, and nothing appended, if it is
    /// NULL.
    pub(super) fn append_aggregate(
        &self,
        (collection, aggregate): (usize, usize),
        out: &mut Vec<u8>,
    ) -> Result<bool, EvalError> {
        let value = match self.view().collections[collection].aggregates.as_slice() {
            // Written where it is to stand.
            [
                Aggregate::GroupConcat { .. }
                | Aggregate::ConcatDistinct { .. }
                | Aggregate::JsonArray(_)
                | Aggregate::JsonObject { .. },
            ] => {
                let mut tally = self.tallies(collection, std::mem::take(out));
                self.pass(collection, &mut tally)?;
                let (text, present) = tally.pop().map_or((Vec::new(), false), Tally::into_text);
                *out = text;
                return Ok(present);
            }
            [_] => self.aggregate(collection, aggregate)?,
            _ => {
                return self.known(collection, |values| match &values[aggregate] {
                    Value::Text(text) | Value::Json(text) => {
                        out.extend_from_slice(text.as_bytes());
                        true
                    }
                    _ => false,
                });
            }
        };
        let (Value::Text(text) | Value::Json(text)) = value else { return Ok(false) };
        out.extend_from_slice(text.as_bytes());
        Ok(true)
    }

    /// Empty tallies of a collection; a text is appended to `out`.
    fn tallies(&self, collection: usize, out: Vec<u8>) -> SmallVec<[Tally<'_>; 1]> {
        let in_order = &self.orders().collections[collection].in_order;
        let aggregates = &self.view().collections[collection].aggregates;
        let mut out = Some(out);
        let tally = |(aggregate, in_order): (_, &bool)| {
            Tally::new(aggregate, *in_order, out.take().unwrap_or_default())
        };
        aggregates.iter().zip(in_order).filter_map(tally).collect()
    }

    /// The tallies of a collection for the rows bound now.
    fn tallied(&self, collection: usize) -> Result<SmallVec<[Tally<'_>; 1]>, EvalError> {
        let mut tallies = self.tallies(collection, Vec::new());
        match self.kept(collection) {
            Some(partials) => {
                let mut merged = tallies.iter_mut().zip(partials);
                merged.try_for_each(|(tally, partial)| tally.merge(&partial));
            }
            None => self.pass(collection, &mut tallies)?,
        }
        Ok(tallies)
    }

    /// What is kept of a collection whose rows are a group; `None` if nothing is, or a row raises
    /// an error.
    fn kept(&self, collection: usize) -> Option<Partials> {
        let scope = &self.view().collections[collection].scope;
        if self.orders().nodes[usize::from(scope.from.0)].kept != Kept::Values {
            return None;
        }
        let group = self.group(scope.from)?;
        let mut levels = match group.take(self.of_view(scope.from)) {
            Some(Summary::Values(levels)) => levels,
            _ => Levels::default(),
        };
        let tallies = || self.tallies(collection, Vec::new());
        let partials = |tallies: SmallVec<[Tally<'_>; 1]>| {
            tallies.into_iter().map(Tally::partial).collect::<Option<Partials>>()
        };
        let of_rows = |slots: &[u32]| {
            let mut tallies = tallies();
            self.table(scope.from).read_all(slots);
            for &slot in slots {
                if self.admit(scope, self.table(scope.from).row(slot)?).ok()? {
                    tallies.iter_mut().try_for_each(|tally| tally.add(self)).ok()?;
                }
            }
            partials(tallies)
        };
        let of_summaries = |summaries: &[Option<Partials>]| {
            let mut tallies = tallies();
            for summary in summaries {
                let mut merged = tallies.iter_mut().zip(summary.as_ref()?);
                merged.try_for_each(|(tally, partial)| tally.merge(partial))?;
            }
            partials(tallies)
        };
        let whole = levels.refresh(group.members(), of_rows, of_summaries).cloned().flatten();
        let columns = &self.orders().nodes[usize::from(scope.from.0)].columns;
        group.keep(self.of_view(scope.from), columns, Summary::Values(levels));
        whole
    }

    /// Adds every row of a collection that counts to its tallies.
    fn pass<'f>(&'f self, collection: usize, tallies: &mut [Tally<'f>]) -> Result<(), EvalError> {
        let ordered = self.orders().collections[collection].in_order.contains(&true);
        let scope = &self.view().collections[collection].scope;
        let add = &mut || {
            tallies.iter_mut().try_for_each(|tally| tally.add(self))?;
            Ok(ControlFlow::Continue(()))
        };
        self.each(scope, ordered, add).map(drop)
    }

    /// What `take` takes of the values of a collection of several aggregates.
    fn known<T>(
        &self,
        collection: usize,
        take: impl FnOnce(&[Value<'static>]) -> T,
    ) -> Result<T, EvalError> {
        let outside = self.orders().collections[collection].outside.iter();
        let outside = outside.map(|&node| self.row(node)).collect::<SmallVec<[_; 2]>>();
        let same_row = |(a, b): (&Option<&[u8]>, &Option<&[u8]>)| match (a, b) {
            (Some(a), Some(b)) => std::ptr::eq(*a, *b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let cell = self.remembered(collection);
        if let Some(known) = &*cell.borrow()
            && known.outside.iter().zip(&outside).all(same_row)
        {
            return Ok(take(&known.values));
        }
        let values = self
            .tallied(collection)?
            .into_iter()
            .map(|tally| tally.finish().map(Value::into_owned));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let taken = take(&values);
        cell.replace(Some(Known { outside, values }));
        Ok(taken)
    }
}
