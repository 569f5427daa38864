//! What there is of a view, as a pipeline tells it.

use viewtide::keyspace::{Generation, Generations};
use viewtide::sql::plan::View;

/// Readers read this generation of the view, and no other is being filled.
pub(crate) fn current(view: &View, number: u64) -> Generations {
    Generations { current: Some(Generation::of(view, number)), next: None }
}

/// This generation of the view is being filled, and there is no other to read.
pub(crate) fn filling(view: &View, number: u64) -> Generations {
    Generations { current: None, next: Some(Generation::of(view, number)) }
}
