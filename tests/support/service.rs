//! A Redis with the API before it and the sink behind it.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use viewtide::api::Api;
use viewtide::dial::Dialer;
use viewtide::engine::Document;
use viewtide::keyspace::Keyspace;
use viewtide::sink::{Claim, Sink, Step, Target};
use viewtide::sql::plan::{Plan, ViewId};
use viewtide::telemetry::{Metrics, Readiness};
use viewtide::value::Key;

use super::generations::current;
use super::http::{Answer, get};
use super::redis::RedisServer;

/// Connections that the API takes at once here.
pub(crate) const CONNECTIONS_MAX: usize = 32;

pub(crate) struct Service {
    /// Ends with the rest.
    redis: RedisServer,
    pub(crate) sink: Sink,
    pub(crate) plan: Plan,
    pub(crate) readiness: Readiness,
    /// Host and port of the API.
    pub(crate) address: String,
    shutdown: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Service {
    /// Starts all three; no view is complete yet.
    pub(crate) async fn start(plan: Plan) -> Service {
        let redis = RedisServer::start();
        let url = redis.url();
        Service::start_behind(redis, &url, plan).await
    }

    /// The same with the API reaching Redis at another URL.
    pub(crate) async fn start_behind(redis: RedisServer, url: &str, plan: Plan) -> Service {
        let keyspace = Keyspace::new("test");
        let mut sink = Sink::new(Dialer::new(&redis.url()).unwrap(), &keyspace, &plan);
        assert!(matches!(sink.claim(0).await.unwrap(), Claim::Owned(_)));
        let readiness = Readiness::new();
        let metrics = Arc::new(Metrics::new());
        let dialer = Dialer::new(url).unwrap();
        let api = Api::new(&dialer, &keyspace, &plan, readiness.clone(), metrics).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (shutdown, ended) = oneshot::channel();
        let api = api.with_connections_max(CONNECTIONS_MAX);
        let serving = tokio::spawn(api.serve(listener, async move { drop(ended.await) }));
        Service { redis, sink, plan, readiness, address, shutdown: Some(shutdown), serving }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        get(&self.address, path).await
    }

    /// Publishes documents of a view's first generation.
    pub(crate) async fn publish(
        &mut self,
        view: ViewId,
        documents: impl IntoIterator<Item = (Key, Document)>,
    ) {
        let mut step = Step::new();
        for (key, document) in documents {
            step.set(Target { view, generation: 1 }, key, document);
        }
        self.sink.commit(&step).await.unwrap();
    }

    /// Says that the first generation of all views is complete.
    pub(crate) async fn complete(&mut self) {
        let mut step = Step::new();
        for view in &self.plan.views {
            step.generations(&view.name, &current(view, 1));
        }
        self.sink.commit(&step).await.unwrap();
    }

    /// Another API of the same Redis, by another plan; ends with the test. Its host and port.
    pub(crate) async fn serve(&self, plan: &Plan) -> String {
        let dialer = Dialer::new(&self.redis.url()).unwrap();
        let (readiness, metrics) = (Readiness::new(), Arc::new(Metrics::new()));
        let api = Api::new(&dialer, &Keyspace::new("test"), plan, readiness, metrics).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(api.serve(listener, std::future::pending()));
        address
    }

    /// Asks the server to end; the task that says when it has.
    pub(crate) fn shut_down(&mut self) -> &mut JoinHandle<()> {
        drop(self.shutdown.take());
        &mut self.serving
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A document with these values of the view's indexes.
pub(crate) fn present(body: impl Into<Vec<u8>>, index_values: &[Key]) -> Document {
    Document::Present { body: body.into(), index_values: index_values.to_vec() }
}
