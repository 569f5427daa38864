//! A view's SELECT becomes a [`plan`].

pub mod expr;
pub mod plan;
