//! Collections: one row out of many.

use std::hint::black_box;
use std::mem::discriminant;
use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::frame::Frame;
use super::long_list::{Levels, LongList, Partials, Summary, Summing, block, blocks};
use super::order::Kept;
use super::tally::Tally;
use crate::sql::expr::EvalError;
use crate::sql::plan::{Aggregate, Collection, Scope};
use crate::value::Value;

/// The values of a collection of several aggregates, as they were last made: all of them in one
/// pass, to be asked for one by one.
#[derive(Debug)]
pub(super) struct Known<'e> {
    /// The rows outside that they follow from.
    outside: SmallVec<[Option<&'e [u8]>; 2]>,
    values: Vec<Value<'static>>,
}

/// How what the rows of long lists come to is put together, by these aggregates.
struct Merging<'e>(&'e [Aggregate]);

/// By aggregate: the value of a collection.
type Values<'f> = SmallVec<[Value<'f>; 1]>;

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
                // Where a row raises an error, another may be found before.
                if let Some(Ok(mut values)) = self.kept(collection) {
                    return Ok(values.pop().unwrap_or(Value::Null));
                }
                let found = self.each(scope, false, &mut || Ok(ControlFlow::Break(())))?;
                Ok(Value::Int(found.is_break().into()))
            }
            [_] => Ok(self.values(collection)?.pop().unwrap_or(Value::Null)),
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
            ] if self.long_list_of(collection).is_none() => {
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

    /// The values of a collection for the rows bound now.
    fn values(&self, collection: usize) -> Result<Values<'_>, EvalError> {
        if let Some(kept) = self.kept(collection) {
            return kept;
        }
        let mut tallies = self.tallies(collection, Vec::new());
        self.pass(collection, &mut tallies)?;
        tallies.into_iter().map(Tally::finish).collect()
    }

    /// The long list of a collection's rows, if they are one and something of it is kept.
    fn long_list_of(&self, collection: usize) -> Option<&'e LongList> {
        let from = self.view().collections[collection].scope.from;
        let is_kept = self.orders().nodes[usize::from(from.0)].kept == Kept::Values;
        if is_kept { self.long_list(from) } else { None }
    }

    /// The values of a collection of whose rows something is kept.
    fn kept(&self, collection: usize) -> Option<Result<Values<'_>, EvalError>> {
        let list = self.long_list_of(collection)?;
        let Collection { scope, aggregates } = &self.view().collections[collection];
        let tallies = || self.tallies(collection, Vec::new());
        let (mut levels, mut distinct) = match list.take(self.of_view(scope.from)) {
            Some(Summary::Values { levels, distinct }) => (levels, distinct),
            _ => (Levels::default(), tallies().iter().map(|_| Default::default()).collect()),
        };
        let of_block = |block: usize, slots: &[u32]| {
            let mut tallies = tallies();
            let added = self.add_rows(scope, slots, &mut tallies);
            let mut partials = tallies.into_iter().zip(&mut distinct);
            let partials = partials.try_fold(Partials::new(), |mut partials, (tally, distinct)| {
                partials.push(tally.partial(|seen| distinct.put(block, seen))?);
                Some(partials)
            });
            added.ok().and(partials)
        };
        let whole = levels.refresh(list.members(), of_block, &Merging(aggregates));
        distinct.iter_mut().for_each(|distinct| distinct.truncate(blocks(list.members().len())));
        let values = whole.and_then(Option::as_ref).map(|whole| {
            let kept = tallies().into_iter().zip(whole).zip(&distinct);
            kept.map(|((tally, partial), distinct)| tally.finish_kept(partial, distinct)).collect()
        });
        let wrong = levels.find(Option::is_none);
        let columns = &self.orders().nodes[usize::from(scope.from.0)].columns;
        list.keep(self.of_view(scope.from), columns, Summary::Values { levels, distinct });
        values.or_else(|| {
            let slots = block(list.members(), wrong?);
            self.add_rows(scope, slots, &mut tallies()).err().map(Err)
        })
    }

    /// Adds the rows in these slots that count.
    fn add_rows<'f>(
        &'f self,
        scope: &'e Scope,
        slots: &[u32],
        tallies: &mut [Tally<'f>],
    ) -> Result<(), EvalError> {
        let table = self.table(scope.from);
        table.read_all(slots);
        for row in slots.iter().filter_map(|slot| table.row(*slot)) {
            if self.admit(scope, row)? {
                tallies.iter_mut().try_for_each(|tally| tally.add(self))?;
            }
        }
        Ok(())
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
        let values = self.values(collection)?.into_iter().map(Value::into_owned);
        let values: Vec<_> = values.collect();
        let taken = take(&values);
        cell.replace(Some(Known { outside, values }));
        Ok(taken)
    }
}

impl Summing<Option<Partials>> for Merging<'_> {
    fn all(&self, summaries: &[Option<Partials>]) -> Option<Partials> {
        let (first, others) = summaries.split_first()?;
        let mut merged = first.clone()?;
        for other in others {
            let pairs = merged.iter_mut().zip(other.as_ref()?).zip(self.0);
            for ((merged, other), aggregate) in pairs {
                merged.merge(aggregate, other)?;
            }
        }
        Some(merged)
    }

    fn exchange(
        &self,
        whole: &mut Option<Partials>,
        exchanged: &[(&Option<Partials>, &Option<Partials>)],
    ) -> Option<bool> {
        let whole = whole.as_mut()?;
        exchanged.iter().try_fold(false, |is_changed, (old, new)| {
            let pairs = old.as_ref()?.iter().zip(new.as_ref()?);
            let mut all = whole.iter_mut().zip(pairs).zip(self.0);
            all.try_fold(is_changed, |is_changed, ((whole, (old, new)), aggregate)| {
                Some(whole.exchange(aggregate, old, new)? || is_changed)
            })
        })
    }

    fn read(&self, summary: &Option<Partials>) {
        for partial in summary.iter().flatten() {
            black_box(discriminant(partial));
        }
    }
}
