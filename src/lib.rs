//! viewtide keeps joined, keyed documents in Redis true to MySQL, within milliseconds of each commit.
//!
//! ```text
//! MySQL ── binlog ─▶ Debezium ─▶ Kafka ─▶ source ─▶ engine ─▶ sink ─▶ Redis ─▶ api ─▶ HTTP
//!                                         decode    pure      one              warp
//!                                         order     state     atomic step
//! ```
//!
//! Modules in reading order: [`value`], [`change`] and [`gtid`] are the vocabulary; [`sql`] plans a
//! view; [`engine`] maintains it; [`source`] and [`sink`] are its two ends, [`state`] keeps its
//! tables over restarts, and [`pipeline`] is the loop between them; [`supervisor`] keeps the
//! connector running; [`api`] serves; [`verify`] asks
//! MySQL whether all that was right, and [`explain`] where a document comes from.

pub mod value;

pub mod change;
pub mod gtid;
pub mod sql;

pub mod engine;

pub mod dial;
pub mod keyspace;
pub mod sink;
pub mod source;

pub mod state;

pub mod pipeline;

pub mod supervisor;

pub mod api;

pub mod check;
pub mod explain;
mod mysql;
pub mod operate;
pub mod verify;

pub mod config;
pub mod telemetry;
