//! The scenarios by name, and what sets each apart.

use clap::ValueEnum;

use super::load::Pace;
use super::outcome::Catch;
use super::scene::Scene;
use super::{connect, connector, ddl, kafka, limits, network, own_writes};
use super::{processor, redis, registry, reload, sabotage};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Short,
    Full,
}

impl Extent {
    /// One of the two.
    pub(crate) fn of<T>(self, short: T, full: T) -> T {
        match self {
            Extent::Short => short,
            Extent::Full => full,
        }
    }
}

/// One kind of trouble; each is a function of one of the modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    Kill,
    KillInParts,
    Terminate,
    Frozen,
    TwoProcessors,
    Standby,
    StateGone,
    OwnWrites,
    RedisKill,
    RedisRewind,
    RedisFlush,
    RedisFailover,
    RedisFull,
    RedisScripts,
    RedisStranger,
    KafkaKill,
    KafkaCut,
    ConnectKill,
    ConnectKillWide,
    ConnectKillEarly,
    ConnectorFailed,
    ConnectorTooLarge,
    ConnectorHistoryLost,
    MysqlKill,
    BinlogRotate,
    BinlogPurged,
    RegistryKill,
    RegistryEmpty,
    Truncate,
    Resnapshot,
    Alter,
    DdlRewrites,
    ColumnDropped,
    Reload,
    ReloadStandby,
    RedisNetwork,
    KafkaNetwork,
    RegistryNetwork,
    MysqlNetwork,
    ConnectNetwork,
    DiskFull,
    FileHandles,
    Clock,
    HotCustomer,
    BadEvents,
    SabotageEarlyCommit,
    SabotageNoFencing,
    SabotageTombstone,
    SabotageTorn,
}

impl Scenario {
    /// As on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().unwrap().get_name().to_owned()
    }

    /// Not part of a short run: long, or near to another one that is.
    pub(crate) fn is_long(self) -> bool {
        matches!(
            self,
            Scenario::Terminate
                | Scenario::StateGone
                | Scenario::RedisScripts
                | Scenario::RedisStranger
                | Scenario::BinlogRotate
                | Scenario::BinlogPurged
                | Scenario::RegistryKill
                | Scenario::RegistryNetwork
                | Scenario::MysqlNetwork
                | Scenario::FileHandles
                | Scenario::HotCustomer
                | Scenario::ConnectKill
                | Scenario::ConnectKillEarly
                | Scenario::ConnectNetwork
                | Scenario::ConnectorHistoryLost
                | Scenario::TwoProcessors
        )
    }

    /// Options of its Redis.
    pub(crate) fn redis_options(self) -> &'static [&'static str] {
        match self {
            // A rewind puts back a former dump, which only counts without a log.
            Scenario::RedisRewind => &[],
            _ => &["--appendonly", "yes"],
        }
    }

    /// Whether the proxy before Kafka is the connector's, not viewtide's.
    pub(crate) fn is_of_connects_network(self) -> bool {
        self == Scenario::ConnectNetwork
    }

    /// Settings of viewtide.
    pub(crate) fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Scenario::KillInParts => &[
                ("VIEWTIDE_LIMITS_QUEUE_BYTES_MAX", "1048576"),
                ("VIEWTIDE_LIMITS_TRANSACTION_BYTES_MAX", "1048576"),
            ],
            _ => &[],
        }
    }

    pub(crate) fn pace(self) -> Pace {
        let usual = Pace { clock_jumps: self == Scenario::Clock, ..Pace::default() };
        match self {
            Scenario::OwnWrites => {
                Pace { transactions_per_second: 60, events_per_second: 60, ..usual }
            }
            _ => usual,
        }
    }

    /// Who has to report a sabotage.
    pub(crate) fn caught_by(self) -> &'static [Catch] {
        match self {
            Scenario::SabotageEarlyCommit => &[Catch::Verify],
            Scenario::SabotageNoFencing => &[Catch::Backwards],
            Scenario::SabotageTombstone => &[Catch::Verify, Catch::Backwards],
            Scenario::SabotageTorn => &[Catch::Verify, Catch::Torn],
            _ => &[],
        }
    }

    /// Does to a scene what the scenario is about.
    pub(crate) async fn run(self, scene: &mut Scene) {
        match self {
            Scenario::Kill => processor::kill(scene).await,
            Scenario::KillInParts => processor::kill_in_parts(scene).await,
            Scenario::Terminate => processor::terminate(scene).await,
            Scenario::Frozen => processor::frozen(scene).await,
            Scenario::TwoProcessors => processor::two(scene).await,
            Scenario::Standby => processor::standby(scene).await,
            Scenario::StateGone => processor::state_gone(scene).await,
            Scenario::OwnWrites => own_writes::at_length(scene).await,
            Scenario::RedisKill => redis::kill(scene).await,
            Scenario::RedisRewind => redis::rewind(scene).await,
            Scenario::RedisFlush => redis::flush(scene).await,
            Scenario::RedisFailover => redis::failover(scene).await,
            Scenario::RedisFull => redis::full(scene).await,
            Scenario::RedisScripts => redis::scripts(scene).await,
            Scenario::RedisStranger => redis::stranger(scene).await,
            Scenario::KafkaKill => kafka::kill(scene).await,
            Scenario::KafkaCut => kafka::cut_topics(scene).await,
            Scenario::BadEvents => kafka::bad_events(scene).await,
            Scenario::ConnectKill => connect::kill(scene).await,
            Scenario::ConnectKillWide => connect::kill_in_a_wide_transaction(scene).await,
            Scenario::ConnectKillEarly => connect::kill_early(scene).await,
            Scenario::ConnectorFailed => connector::failed(scene).await,
            Scenario::ConnectorTooLarge => connector::too_large(scene).await,
            Scenario::ConnectorHistoryLost => connector::history_lost(scene).await,
            Scenario::MysqlKill => connect::kill_mysql(scene).await,
            Scenario::BinlogRotate => connect::rotate(scene).await,
            Scenario::BinlogPurged => connector::binlog_purged(scene).await,
            Scenario::RegistryKill => registry::kill(scene).await,
            Scenario::RegistryEmpty => registry::empty(scene).await,
            Scenario::Truncate => ddl::truncate(scene).await,
            Scenario::Resnapshot => ddl::resnapshot(scene).await,
            Scenario::Alter => ddl::alter(scene).await,
            Scenario::DdlRewrites => ddl::rewrites(scene).await,
            Scenario::ColumnDropped => ddl::column_dropped(scene).await,
            Scenario::Reload => reload::reload(scene).await,
            Scenario::ReloadStandby => reload::reload_standby(scene).await,
            Scenario::RedisNetwork => network::redis(scene).await,
            Scenario::KafkaNetwork => network::kafka(scene).await,
            Scenario::RegistryNetwork => network::registry(scene).await,
            Scenario::MysqlNetwork => network::mysql(scene).await,
            Scenario::ConnectNetwork => network::connect(scene).await,
            Scenario::DiskFull => limits::disk_full(scene).await,
            Scenario::FileHandles => limits::file_handles(scene).await,
            Scenario::Clock => limits::clock(scene).await,
            Scenario::HotCustomer => limits::hot_customer(scene).await,
            Scenario::SabotageEarlyCommit => sabotage::early_commit(scene).await,
            Scenario::SabotageNoFencing => sabotage::no_fencing(scene).await,
            Scenario::SabotageTombstone => sabotage::tombstone(scene).await,
            Scenario::SabotageTorn => sabotage::torn(scene).await,
        }
    }
}
