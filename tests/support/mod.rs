//! What tests start and build.

#![allow(dead_code, reason = "each of the test binaries uses its part")]

pub(crate) mod deployment;
pub(crate) mod events;
pub(crate) mod filled;
pub(crate) mod generations;
pub(crate) mod http;
pub(crate) mod mysql;
pub(crate) mod plan;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod service;
pub(crate) mod stack;
