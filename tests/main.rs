//! All tests that need more than one module, in one binary.

#![allow(clippy::unwrap_used)]

mod engine;
mod http_api;
mod http_limits;
mod planning;
mod redis_ranges;
mod redis_sink;
mod support;
mod tidy;
