//! Maintains every view: rows in memory, the documents that a change touches, and their content.
//!
//! Pure and synchronous: no I/O, no clock, nothing that can fail. What MySQL would answer with an
//! error becomes an error document. State is a function of the changes applied, in their order
//! per table; documents are a function of state.

mod document;

pub use document::{Document, Fanout, Touched};
