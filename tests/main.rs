//! All tests that need more than one module, in one binary.

#![allow(clippy::unwrap_used)]

mod altering;
mod checkpoints;
mod collations;
mod command_line;
mod computed_groups;
mod crashes;
mod dead_letters;
mod documented;
mod engine;
mod examples;
mod explaining;
mod expressions;
mod generations;
mod http_api;
mod http_limits;
mod http_positions;
mod http_switches;
mod json_sources;
mod orders;
mod own_writes;
mod planning;
mod redis_ranges;
mod redis_sink;
mod refusals;
mod reloading;
mod resnapshots;
mod restarts;
mod rewrites;
mod scenarios;
mod schemas;
mod simulation;
mod snapshots;
mod standby;
mod supervision;
mod support;
mod switching;
mod tidy;
mod topics;
mod verifying;

use support::stack::Place;

/// The services that tests share.
const PLACE: Place = Place {
    variable: "VIEWTIDE_TEST_STACK_DIR",
    folder: ".local/test",
    settings: &[
        ("MYSQL_PORT", "13306"),
        ("KAFKA_PORT", "19092"),
        ("KAFKA_CONTROLLER_PORT", "19093"),
        ("CONNECT_PORT", "18083"),
        ("REGISTRY_PORT", "18081"),
        ("REDIS_PORT", "16379"),
    ],
    services: &[],
};
