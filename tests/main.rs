//! All tests that need more than one module, in one binary.

#![allow(clippy::unwrap_used)]

mod tidy;
