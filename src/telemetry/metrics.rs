//! Counters, gauges and histograms in Prometheus' text format.
//!
//! Handles are cheap to clone and to count with; looking one up by its labels costs a lock and a
//! hash, so what counts single records keeps its handle.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

/// Buckets of the commit-to-visible histogram, in seconds.
const FRESHNESS_BUCKETS: [f64; 16] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Buckets of the HTTP histogram, in seconds.
const HTTP_BUCKETS: [f64; 10] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1.0, 5.0];

/// What documents can be that are not as MySQL answers, or of which that is not known.
pub const DIFFERENCES: [&str; 4] = ["missing", "extra", "different", "undecided"];

/// A part of the pipeline that can be waited for or tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The brokers.
    Kafka,
    /// The schema registry.
    Registry,
    /// Redis.
    Redis,
    /// Kafka Connect.
    Connect,
}

impl Part {
    /// Its name in labels, log lines and readiness.
    pub fn name(self) -> &'static str {
        match self {
            Part::Kafka => "kafka",
            Part::Registry => "registry",
            Part::Redis => "redis",
            Part::Connect => "connect",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabel {
    topic: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabel {
    topic: String,
    partition: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViewLabel {
    view: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    view: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabel {
    command: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

type PerView<M> = Family<ViewLabel, M>;
type PerTopic<M> = Family<TopicLabel, M>;
type PerPart<M> = Family<PartLabel, M>;

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    consumed: PerTopic<Counter>,
    applied: PerTopic<Counter>,
    dead_letters: PerTopic<Counter>,
    stale_rows: PerTopic<Gauge>,
    commands: Family<CommandLabel, Counter>,
    lag_records: Family<PartitionLabel, Gauge>,
    published: PerView<Counter>,
    deleted: PerView<Counter>,
    unchanged: PerView<Counter>,
    error_documents: PerView<Counter>,
    filling: PerView<Gauge>,
    standing_still: PerView<Gauge>,
    switched: PerView<Gauge>,
    behind: PerView<Gauge<f64, AtomicU64>>,
    freshness: Family<ViewLabel, Histogram, fn() -> Histogram>,
    verify_documents: PerView<Counter>,
    verify_differences: Family<KindLabel, Gauge>,
    verify_age: PerView<Gauge<f64, AtomicU64>>,
    retries: PerPart<Counter>,
    wait_seconds: PerPart<Counter<f64, AtomicU64>>,
    http_requests: Family<StatusLabel, Counter>,
    http_seconds: Histogram,
    /// 1 while the watched connector and all its tasks are running.
    pub connector_running: Gauge,
    /// Times that something failed of the connector was started again.
    pub connector_restarts: Counter,
    /// HTTP connections open.
    pub http_connections: Gauge,
    /// 1 while another process runs the pipeline and this one follows it.
    pub standing_by: Gauge,
    /// Records that had been applied before and were dropped.
    pub duplicates: Counter,
    /// Unreadable records passed on the way.
    pub holes: Counter,
    /// Transactions applied.
    pub transactions: Counter,
    /// Transactions applied although some of their changes were unreadable or lost.
    pub partial_transactions: Counter,
    /// Parts of transactions that were too large to be held until they were complete.
    pub transaction_parts: Counter,
    /// Transactions begun and not yet complete.
    pub incomplete_transactions: Gauge,
    /// Seconds between now and the commit of the newest change applied; 0 when nothing waits.
    pub lag_seconds: Gauge<f64, AtomicU64>,
    /// Steps committed to Redis.
    pub steps: Counter,
    /// Transactions and fan-outs whose documents did not fit one atomic step.
    pub split_steps: Counter,
    /// Pieces of work not yet published: fills and wide fan-outs.
    pub backlog: Gauge,
    /// Bytes of records held in queues.
    pub queue_bytes: Gauge,
    /// Rows held in memory.
    pub rows: Gauge,
    /// Checkpoints written.
    pub checkpoints: Counter,
    /// Checkpoints that could not be written.
    pub checkpoint_failures: Counter,
    /// Seconds from the beginning of the last checkpoint until it was on the disk.
    pub checkpoint_seconds: Gauge<f64, AtomicU64>,
    /// Length of the last checkpoint, in bytes.
    pub checkpoint_bytes: Gauge,
    /// Rows of the last checkpoint.
    pub checkpoint_rows: Gauge,
    /// Records applied that no checkpoint covers: a start would read them again.
    pub uncovered_records: Gauge,
    /// Rows that the last start loaded from a checkpoint; 0 if it read the topics from the
    /// beginning.
    pub loaded_rows: Gauge,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("viewtide");
        let freshness: Family<ViewLabel, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(FRESHNESS_BUCKETS));
        let http_seconds = Histogram::new(HTTP_BUCKETS);
        let r = &mut registry;
        let metrics = Metrics {
            consumed: add(r, "records_consumed", "Records read from Kafka"),
            applied: add(r, "records_applied", "Records applied to tables"),
            dead_letters: add(r, "dead_letters", "Unreadable records put aside"),
            stale_rows: add(r, "stale_rows", "Rows whose last change could not be read"),
            commands: add(r, "commands", "Commands obeyed, by what came of them"),
            lag_records: add(r, "lag_records", "Records in a partition not yet applied"),
            published: add(r, "documents_published", "Documents written to Redis"),
            deleted: add(r, "documents_deleted", "Documents deleted from Redis"),
            unchanged: add(r, "documents_unchanged", "Documents assembled and found unchanged"),
            error_documents: add(r, "error_documents", "Documents published as an error"),
            filling: add(
                r,
                "filling",
                "1 while other documents are to replace those that are read",
            ),
            standing_still: add(
                r,
                "standing_still",
                "1 while columns that the view reads are not written as they are declared",
            ),
            switched: add(
                r,
                "switched",
                "1 while readers of the view's name are answered with another view's documents",
            ),
            behind: add(
                r,
                "behind_seconds",
                "Age of the newest commit that the view's documents contain for certain, if some are due",
            ),
            freshness: freshness.clone(),
            verify_documents: add(r, "verify_documents", "Documents compared with MySQL"),
            verify_differences: add(
                r,
                "verify_differences",
                "Documents that are not what MySQL answers, as the last lap over all found them",
            ),
            verify_age: add(
                r,
                "verify_age_seconds",
                "Seconds since all documents were compared with MySQL or, before that, since the start",
            ),
            retries: add(r, "retries", "Calls tried again"),
            wait_seconds: add(r, "wait_seconds", "Seconds spent waiting for a part"),
            http_requests: add(r, "http_requests", "HTTP requests answered"),
            http_seconds: http_seconds.clone(),
            connector_running: add(r, "connector_running", "1 while the connector is running"),
            connector_restarts: add(r, "connector_restarts", "Restarts of failed connector tasks"),
            http_connections: add(r, "http_connections", "HTTP connections open"),
            standing_by: add(r, "standing_by", "1 while another process runs the pipeline"),
            duplicates: add(r, "duplicates_dropped", "Records applied before and dropped"),
            holes: add(r, "holes", "Unreadable records passed on the way"),
            transactions: add(r, "transactions_applied", "Transactions applied"),
            partial_transactions: add(
                r,
                "partial_transactions",
                "Transactions applied without changes that were lost",
            ),
            transaction_parts: add(
                r,
                "transaction_parts",
                "Parts of transactions above transaction_bytes_max, applied before the rest",
            ),
            incomplete_transactions: add(
                r,
                "incomplete_transactions",
                "Transactions begun and not yet complete",
            ),
            lag_seconds: add(r, "lag_seconds", "Age of the newest change applied, if more wait"),
            steps: add(r, "steps", "Atomic steps committed to Redis"),
            split_steps: add(r, "split_steps", "Changes whose documents exceeded one step"),
            backlog: add(r, "backlog", "Fills and fan-outs not yet published"),
            queue_bytes: add(r, "queue_bytes", "Bytes of records held in queues"),
            rows: add(r, "rows", "Rows held in memory"),
            checkpoints: add(r, "state_checkpoints", "Checkpoints written"),
            checkpoint_failures: add(r, "state_failures", "Checkpoints that failed"),
            checkpoint_seconds: add(r, "state_seconds", "Seconds that the last checkpoint took"),
            checkpoint_bytes: add(r, "state_bytes", "Bytes of the last checkpoint"),
            checkpoint_rows: add(r, "state_rows", "Rows of the last checkpoint"),
            uncovered_records: add(
                r,
                "state_uncovered_records",
                "Records applied since the last checkpoint",
            ),
            loaded_rows: add(r, "state_loaded_rows", "Rows that the start took from a checkpoint"),
            registry: Registry::default(),
        };
        let help = "Seconds from a change's commit until its document was readable";
        registry.register("commit_to_visible_seconds", help, freshness);
        let help = "Seconds from an HTTP request's head until its answer";
        registry.register("http_request_seconds", help, http_seconds);
        Metrics { registry, ..metrics }
    }

    /// Records read from a topic; keep the handle.
    pub fn consumed(&self, topic: &str) -> Counter {
        self.consumed.get_or_create_owned(&TopicLabel { topic: topic.to_owned() })
    }

    /// Records of a topic applied to tables; keep the handle.
    pub fn applied(&self, topic: &str) -> Counter {
        self.applied.get_or_create_owned(&TopicLabel { topic: topic.to_owned() })
    }

    /// Unreadable records of a topic.
    pub fn dead_letters(&self, topic: &str) -> Counter {
        self.dead_letters.get_or_create_owned(&TopicLabel { topic: topic.to_owned() })
    }

    /// Rows of a topic whose last change could not be read, and that nothing has made certain since.
    pub fn stale_rows(&self, topic: &str) -> Gauge {
        self.stale_rows.get_or_create_owned(&TopicLabel { topic: topic.to_owned() })
    }

    /// Commands with this outcome.
    pub fn commands(&self, command: &'static str, outcome: &'static str) -> Counter {
        self.commands.get_or_create_owned(&CommandLabel { command, outcome })
    }

    /// Records of a partition not yet applied.
    pub fn lag_records(&self, topic: &str, partition: i32) -> Gauge {
        let label = PartitionLabel { topic: topic.to_owned(), partition };
        self.lag_records.get_or_create_owned(&label)
    }

    /// Documents of a view written; keep the handle.
    pub fn published(&self, view: &str) -> Counter {
        self.published.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// Documents of a view deleted; keep the handle.
    pub fn deleted(&self, view: &str) -> Counter {
        self.deleted.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// Documents of a view assembled and found unchanged; keep the handle.
    pub fn unchanged(&self, view: &str) -> Counter {
        self.unchanged.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// Documents of a view published as an error.
    pub fn error_documents(&self, view: &str) -> Counter {
        self.error_documents.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// 1 while a generation of a view's documents is being filled, or is to be once its tables are
    /// complete.
    pub fn filling(&self, view: &str) -> Gauge {
        self.filling.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// 1 while a view stands still, since columns that it reads are not written as they are declared.
    pub fn standing_still(&self, view: &str) -> Gauge {
        self.standing_still.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// 1 while readers of the view's name are answered with another view's documents.
    pub fn switched(&self, view: &str) -> Gauge {
        self.switched.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// While documents of a view are due, seconds since the commit of the newest change before all of
    /// which none is; 0 when nothing is due. Keep the handle.
    pub fn behind(&self, view: &str) -> Gauge<f64, AtomicU64> {
        self.behind.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// Seconds from a change's commit until its document of this view was readable; keep the
    /// handle.
    pub fn freshness(&self, view: &str) -> Histogram {
        self.freshness.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// Documents of a view compared with MySQL; keep the handle.
    pub fn verify_documents(&self, view: &str) -> Counter {
        self.verify_documents.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// Differences between a view and MySQL, as of [`DIFFERENCES`]; keep the handles.
    pub fn verify_differences(&self, view: &str) -> [Gauge; DIFFERENCES.len()] {
        let of = |kind| KindLabel { view: view.to_owned(), kind };
        DIFFERENCES.map(|kind| self.verify_differences.get_or_create_owned(&of(kind)))
    }

    /// Seconds since the last comparison of all of a view's documents began; keep the handle.
    pub fn verify_age(&self, view: &str) -> Gauge<f64, AtomicU64> {
        self.verify_age.get_or_create_owned(&ViewLabel { view: view.to_owned() })
    }

    /// Shows nothing more of a view that is not there any more. What counts by handles of before is
    /// shown nowhere.
    pub fn forget_view(&self, view: &str) {
        let label = ViewLabel { view: view.to_owned() };
        let counted = [&self.published, &self.deleted, &self.unchanged, &self.error_documents];
        for counter in counted.into_iter().chain([&self.verify_documents]) {
            counter.remove(&label);
        }
        for gauge in [&self.filling, &self.standing_still, &self.switched] {
            gauge.remove(&label);
        }
        for gauge in [&self.behind, &self.verify_age] {
            gauge.remove(&label);
        }
        self.freshness.remove(&label);
        for kind in DIFFERENCES {
            self.verify_differences.remove(&KindLabel { view: view.to_owned(), kind });
        }
    }

    /// Shows no more how far a partition is that is not read any more, nor that rows of it are stale.
    pub fn forget_partition(&self, topic: &str, partition: i32) {
        self.lag_records.remove(&PartitionLabel { topic: topic.to_owned(), partition });
        self.stale_rows.remove(&TopicLabel { topic: topic.to_owned() });
    }

    /// Calls to a part that were tried again.
    pub fn retries(&self, part: Part) -> Counter {
        self.retries.get_or_create_owned(&PartLabel { part: part.name() })
    }

    /// Seconds spent waiting for a part.
    pub fn wait_seconds(&self, part: Part) -> Counter<f64, AtomicU64> {
        self.wait_seconds.get_or_create_owned(&PartLabel { part: part.name() })
    }

    /// An HTTP request was answered with this status, so long after its head had arrived.
    pub fn http_request(&self, status: u16, after: Duration) {
        self.http_requests.get_or_create(&StatusLabel { status }).inc();
        self.http_seconds.observe(after.as_secs_f64());
    }

    /// Everything in OpenMetrics' text format
    /// (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.consumed("mysql.shop.orders").inc_by(3);
        metrics.published("orders").inc();
        metrics.freshness("orders").observe(0.004);
        metrics.retries(Part::Redis).inc();
        metrics.lag_records("mysql.shop.orders", 0).set(7);
        metrics.lag_seconds.set(1.5);
        let text = metrics.encode();
        for line in [
            "viewtide_records_consumed_total{topic=\"mysql.shop.orders\"} 3",
            "viewtide_documents_published_total{view=\"orders\"} 1",
            "viewtide_commit_to_visible_seconds_bucket{le=\"0.005\",view=\"orders\"} 1",
            "viewtide_retries_total{part=\"redis\"} 1",
            "viewtide_lag_records{topic=\"mysql.shop.orders\",partition=\"0\"} 7",
            "viewtide_lag_seconds 1.5",
            "viewtide_steps_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
    }

    #[test]
    fn of_what_is_gone_nothing_is_shown() {
        let metrics = Metrics::new();
        for view in ["kept", "gone"] {
            let counters = [
                Metrics::published,
                Metrics::deleted,
                Metrics::unchanged,
                Metrics::error_documents,
            ];
            for counter in counters {
                counter(&metrics, view).inc();
            }
            metrics.verify_documents(view).inc();
            for gauge in [Metrics::filling, Metrics::standing_still, Metrics::switched] {
                gauge(&metrics, view).set(1);
            }
            metrics.freshness(view).observe(0.1);
            metrics.behind(view).set(1.0);
            metrics.verify_age(view).set(1.0);
            for gauge in metrics.verify_differences(view) {
                gauge.set(1);
            }
            metrics.lag_records(view, 0).set(1);
            metrics.stale_rows(view).set(1);
        }
        let shown = |of: &str| {
            let text = metrics.encode();
            text.lines().filter(|line| line.contains(&format!("\"{of}\""))).count()
        };
        let before = shown("kept");
        assert_eq!(shown("gone"), before);
        metrics.forget_view("gone");
        metrics.forget_partition("gone", 0);
        assert_eq!((shown("gone"), shown("kept")), (0, before));
    }
}
