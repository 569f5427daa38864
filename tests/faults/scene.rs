//! One pipeline of its own with everything between its parts, under load and watched.
//!
//! ```text
//! MySQL ─ proxy ─▶ Connect ───▶ Kafka ─ proxy ─▶ viewtide run ─ proxy ─▶ Redis ─ proxy ─▶ viewtide serve ─▶ witness
//!          registry ─ proxy ─┘ └─ proxy ─┘   registry ─ proxy ─┘ └─ proxy ─▶ Connect (supervised)
//! ```
//!
//! There is one proxy before Kafka: a scenario leads either viewtide or the connector through it.
//!
//! The API that the witness reads is a process of its own, so that there are answers while the
//! processor is dead.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::load::{Load, OWN_ORDERS, Target, first_rows};
use super::outcome::{Outcome, Verified};
use super::own_writes::{Answer, Author, OwnWrites, Read};
use super::scenario::{Extent, Scenario};
use super::services::{Service, Services};
use super::witness::{VIEW, Witness};

use crate::support::deployment::Deployment;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, free_port};
use crate::support::stack::{Stack, repository};

/// How long a pipeline may take to be right again.
const CONVERGE_WAIT: Duration = Duration::from_secs(240);

/// A pipeline with its witness.
pub(crate) struct Scene {
    pub(crate) deployment: Deployment,
    pub(crate) redis: RedisServer,
    pub(crate) services: Arc<Services>,
    /// Between the processor and Redis.
    pub(crate) to_redis: Proxy,
    /// Between the API that the witness reads and Redis.
    pub(crate) readers_to_redis: Proxy,
    pub(crate) to_registry: Proxy,
    /// Between viewtide and Connect's REST API.
    pub(crate) to_connect: Proxy,
    /// Between Connect and MySQL.
    pub(crate) to_mysql: Proxy,
    /// Between Connect and the registry.
    pub(crate) connect_to_registry: Proxy,
    pub(crate) witness: Witness,
    pub(crate) load: Load,
    pub(crate) random: StdRng,
    pub(crate) extent: Extent,
    /// Settings of the connector.
    connector: Vec<String>,
    /// Said beside the verdict.
    pub(crate) notes: Vec<String>,
    scenario: Scenario,
    seed: u64,
    begun: Instant,
    own_writes: OwnWrites,
    prober: Author,
    /// Where the witness reads: host and port.
    address: String,
    /// Of writers besides the one that is always there.
    further: Read,
    faults: BTreeMap<&'static str, u32>,
    converged: Duration,
    server: Child,
}

impl Scene {
    /// Makes database, connector, Redis and proxies, starts viewtide, and, when all is published,
    /// load and witness.
    pub(crate) async fn open(
        services: Arc<Services>,
        scenario: Scenario,
        extent: Extent,
        seed: u64,
    ) -> Scene {
        let begun = Instant::now();
        Service::ALL.iter().for_each(|service| service.start());
        services.kafka.set(Fault::None);
        delete_connectors().await;
        let stack = Stack::shared();
        let local = |variable: &str| format!("127.0.0.1:{}", stack.port(variable));
        let redis = RedisServer::start_with(scenario.redis_options());
        let to_redis = Proxy::start(redis.address()).await;
        let readers_to_redis = Proxy::start(redis.address()).await;
        let to_registry = Proxy::start(local("REGISTRY_PORT")).await;
        let to_connect = Proxy::start(local("CONNECT_PORT")).await;
        let to_mysql = Proxy::start(local("MYSQL_PORT")).await;
        let connect_to_registry = Proxy::start(local("REGISTRY_PORT")).await;

        let definitions = repository().join("tests/fixtures/faults");
        let url = format!("redis://{}", to_redis.address());
        let mut deployment = Deployment::new("faults", &definitions, Some(&url)).await;
        if !scenario.is_of_connects_network() {
            deployment.set("VIEWTIDE_KAFKA_BROKERS", services.kafka.address());
        }
        let registry = format!("http://{}/apis/ccompat/v7", to_registry.address());
        deployment.set("VIEWTIDE_REGISTRY_URL", registry);
        deployment.set("VIEWTIDE_STATE_CHECKPOINT_RECORDS", "400");
        deployment.set("VIEWTIDE_CONNECT_URL", format!("http://{}", to_connect.address()));
        deployment.set("VIEWTIDE_CONNECT_CONNECTOR", deployment.name.clone());
        for (variable, value) in scenario.settings() {
            deployment.set(variable, *value);
        }
        deployment.execute(&first_rows()).await;
        let (_, port) = to_mysql.address().rsplit_once(':').unwrap();
        let registry = format!("http://{}/apis/registry/v2", connect_to_registry.address());
        let mut connector = vec![
            format!("database.port={port}"),
            format!("key.converter.apicurio.registry.url={registry}"),
            format!("value.converter.apicurio.registry.url={registry}"),
        ];
        if scenario.is_of_connects_network() {
            let brokers = services.kafka.address();
            connector.push(format!("producer.override.bootstrap.servers={brokers}"));
        }
        let settings: Vec<&str> = connector.iter().map(String::as_str).collect();
        block_in_place(|| deployment.capture_with(&settings));

        let address = format!("127.0.0.1:{}", free_port());
        let server = {
            let mut serve = deployment.command(&["serve"]);
            serve.env("VIEWTIDE_API_LISTEN", &address);
            serve.env("VIEWTIDE_REDIS_URL", format!("redis://{}", readers_to_redis.address()));
            let log = File::create(deployment.log().with_extension("serve.log")).unwrap();
            serve.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
        };
        deployment.start();
        deployment.eventually("/readyz", |status, _| status == 200).await;

        let target = Target {
            mysql_url: deployment.mysql_url(),
            brokers: stack.brokers(),
            event_topic: deployment.event_topic(),
        };
        let author = |order| Author::new(&target.mysql_url, &address, order);
        Scene {
            witness: Witness::start(&address, seed),
            load: Load::start(&target, seed, scenario.pace()),
            own_writes: OwnWrites::start(author(OWN_ORDERS[0])),
            prober: author(OWN_ORDERS[1]),
            address,
            connector,
            further: Read::default(),
            random: StdRng::seed_from_u64(seed),
            faults: BTreeMap::new(),
            converged: Duration::ZERO,
            notes: Vec::new(),
            deployment,
            redis,
            services,
            to_redis,
            readers_to_redis,
            to_registry,
            to_connect,
            to_mysql,
            connect_to_registry,
            extent,
            scenario,
            seed,
            begun,
            server,
        }
    }

    /// Gives the connector its settings with these besides.
    pub(crate) fn reconfigure(&self, further: &[&str]) {
        let own = self.connector.iter().map(String::as_str);
        let settings: Vec<&str> = own.chain(further.iter().copied()).collect();
        block_in_place(|| self.deployment.capture_with(&settings));
    }

    /// Someone who writes to an order and reads it where the witness reads.
    pub(crate) fn author(&self, order: i64) -> Author {
        Author::new(&self.deployment.mysql_url(), &self.address, order)
    }

    /// Counts what further writers read.
    pub(crate) fn count_own_writes(&mut self, read: Read) {
        self.further = self.further + read;
    }

    /// The pipeline's `meta`.
    pub(crate) fn meta(&self) -> String {
        format!("{{viewtide:{}}}:meta", self.deployment.name)
    }

    /// A key of the view that the witness reads.
    pub(crate) fn key(&self, kind: &str) -> String {
        let name = &self.deployment.name;
        let meta = format!("{{viewtide:{name}}}:meta");
        let read: String = self.redis.run(&["HGET", &meta, &format!("view:{VIEW}")]);
        let generation = read.split(' ').next().unwrap();
        format!("{{viewtide:{name}}}:{VIEW}:{generation}:{kind}")
    }

    /// Waits until the processor's log has a text.
    pub(crate) async fn log_says(&self, text: &str) {
        let (log, begun) = (self.deployment.log(), Instant::now());
        while !fs::read_to_string(&log).unwrap().contains(text) {
            assert!(begun.elapsed() < CONVERGE_WAIT, "nothing of `{text}` in {}", log.display());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Counts a fault.
    pub(crate) fn fault(&mut self, what: &'static str) {
        *self.faults.entry(what).or_default() += 1;
    }

    /// How often this fault was counted.
    pub(crate) fn count(&self, what: &'static str) -> u32 {
        self.faults.get(what).copied().unwrap_or(0)
    }

    /// Waits a random time up to so long.
    pub(crate) async fn wait_up_to(&mut self, most: Duration) {
        let wait = self.random.random_range(Duration::ZERO..=most);
        sleep(wait).await;
    }

    /// `kill -9` of the processor.
    pub(crate) fn kill_viewtide(&mut self) {
        self.deployment.kill();
        self.fault("kill -9 viewtide");
    }

    /// What has been read of the processor's `/readyz`, as one text.
    pub(crate) async fn readiness(&self) -> (u16, String) {
        let (status, body) = self.deployment.get("/readyz").await;
        (status, body.to_string())
    }

    /// Waits until readiness says this.
    pub(crate) async fn becomes_unready(&mut self, why: &str) {
        self.deployment
            .eventually("/readyz", |status, body| status == 503 && body.to_string().contains(why))
            .await;
    }

    /// Waits until the processor is ready and a write made after that is served; how long all took.
    pub(crate) async fn converge(&mut self) -> Duration {
        let begun = Instant::now();
        loop {
            let state = match self.prober.write().await {
                Err(error) => error.to_string(),
                Ok(write) => match self.prober.read(&write).await {
                    Answer::Fresh if self.readiness().await.0 == 200 => break,
                    answer => format!("{answer:?}, {:?}", self.readiness().await),
                },
            };
            if let Some(status) = self.deployment.process().try_wait().unwrap() {
                let log = self.deployment.log();
                panic!("viewtide ended with {status}; log: {}", log.display());
            }
            let waited = begun.elapsed();
            let log = self.deployment.log();
            assert!(
                waited < CONVERGE_WAIT,
                "not right after {waited:.0?}: {state}; log: {}",
                log.display()
            );
            sleep(Duration::from_millis(50)).await;
        }
        let took = begun.elapsed();
        self.converged = self.converged.max(took);
        took
    }

    /// Asks MySQL about every document.
    pub(crate) fn verify(&self) -> Verified {
        Verified::read(&block_in_place(|| self.deployment.verify()))
    }

    /// Lets things settle and gives the verdict.
    pub(crate) async fn close(mut self) -> Outcome {
        self.converge().await;
        self.load.stop().await;
        let verified = self.verify();
        // What verify has seen, readers see too.
        let reads = self.witness.seen().reads;
        while self.witness.seen().reads < reads + 50 {
            sleep(Duration::from_millis(20)).await;
        }
        let seen = self.witness.seen();
        let restarts = self.deployment.metric("viewtide_connector_restarts_total").await;
        if let Some(restarts) = restarts.filter(|restarts| *restarts > 0.0) {
            self.notes.push(format!("viewtide restarted a FAILED connector task {restarts} times"));
        }
        Outcome {
            scenario: self.scenario,
            seed: self.seed,
            faults: std::mem::take(&mut self.faults),
            written: self.load.written(),
            took: self.begun.elapsed(),
            converged: self.converged,
            verified,
            seen,
            own: self.own_writes.read() + self.further,
            log: self.deployment.log(),
            notes: std::mem::take(&mut self.notes),
        }
    }
}

/// Those of scenarios that broke off while Connect was dead.
async fn delete_connectors() {
    let connectors =
        format!("http://127.0.0.1:{}/connectors", Stack::shared().port("CONNECT_PORT"));
    let client = reqwest::Client::new();
    let names = client.get(&connectors).send().await.unwrap().bytes().await.unwrap();
    for name in serde_json::from_slice::<Vec<String>>(&names).unwrap() {
        // What is left is a burden, not a fault.
        let _ = client.delete(format!("{connectors}/{name}")).send().await;
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        self.services.kafka.set(Fault::None);
    }
}
