//! What tests start and build.

pub(crate) mod plan;
pub(crate) mod proxy;
pub(crate) mod redis;
