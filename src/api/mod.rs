//! The HTTP API: documents from Redis, and nothing else.
//!
//! | path | answer |
//! |---|---|
//! | `/{view}` | a page of documents in key order: `?limit=` (1 to 10000, default 1000), the next page's address in `Link: <…>; rel="next"` |
//! | `/{view}?column=value[&column2=…]` | those of them with these values, by an index declared on exactly these columns |
//! | `/{view}/{key}` | one document; `a,b` for a key of two columns, percent-encoded, `~` for NULL, BINARY as base64 |
//! | `/healthz` `/readyz` `/metrics` `/` | that the process lives; whether all can be served, and why not; Prometheus; a page for people |
//!
//! Every answer of a view tells in `Viewtide-Position` which of MySQL's transactions it contains (a
//! GTID set, and perhaps more), and in `Viewtide-Age` how many seconds ago the newest of them was
//! committed. `Viewtide-View` names the view that it is of, which another may answer for
//! (`viewtide switch`). `?after=` or the header `Viewtide-After` names transactions that the answer must
//! contain: it waits for them, at most `?wait=` milliseconds (0 to 10000, default 1000), and is a
//! 504 if they have not come.
//!
//! A list is an array; that of a view which shows one table under its own name as it is stands in
//! an object under that name, `{"orders": [...]}`. Documents carry a strong `ETag`. Errors are
//! `{"error": "…"}`: 400 for what cannot be read, 404 only for what a complete view does not have
//! (before it is complete, 503 with `Retry-After`), 405, 413 (requests carry no body), 414, 422 for
//! a row whose document MySQL itself cannot compute. In a list such a row keeps its place:
//! `{"order_id": 7, "error": {"code", "column", "message"}}`. A page ends early when its documents
//! reach 8 MiB; only the missing `Link` says that it is the last. Views named like one of the API's
//! own paths are refused at start.
//!
//! It knows nothing of the processor: any number of these can run, with or without one beside it.
//! What is absent: writes, CORS, authentication, HTTP/2.

mod budget;
mod handlers;
mod lookups;
mod page;
mod position;
mod reader;
mod reply;
mod request;
mod server;
mod views;

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use warp::Filter;
use warp::http::StatusCode;
use warp::http::header::HeaderValue;
use warp::path::FullPath;
use warp::reply::Response;

use crate::dial::Dialer;
use crate::keyspace::Keyspace;
use crate::sql::plan::Plan;
use crate::telemetry::{Metrics, Readiness};
use budget::Budget;
use handlers::Handlers;
use lookups::Gatherer;
use position::{AFTER, Waiting};
use reader::Reader;
use request::Headers;
#[cfg(fuzzing)]
pub use request::Requests;
use server::Connections;
use views::Views;

pub use views::ApiError;

/// HTTP connections at once; when they are taken, the one idle longest makes room for a new one.
pub const CONNECTIONS_MAX: usize = 1024;

/// The API of one pipeline.
#[derive(Debug)]
pub struct Api {
    current: Current,
    gatherers: Vec<Gatherer>,
    connections_max: usize,
    changeover: Changeover,
}

/// Has an API answer for other views while it serves.
#[derive(Clone, Debug)]
pub struct Changeover {
    dialer: Dialer,
    keyspace: Keyspace,
    current: Current,
}

/// The handlers of requests that come now.
#[derive(Clone, Debug)]
struct Current(Arc<RwLock<Arc<Handlers>>>);

impl Api {
    /// The API for a plan's views. `readiness` and `metrics` are those of the process. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// A view that cannot be served.
    pub fn new(
        dialer: &Dialer,
        keyspace: &Keyspace,
        plan: &Plan,
        readiness: Readiness,
        metrics: Arc<Metrics>,
    ) -> Result<Api, ApiError> {
        let views = Arc::new(Views::new(plan)?);
        let (reader, gatherers) = Reader::new(dialer, keyspace, &views);
        let handlers = Handlers {
            views,
            reader,
            readiness,
            metrics,
            budget: Budget::new(),
            waiting: Waiting::default(),
        };
        let current = Current(Arc::new(RwLock::new(Arc::new(handlers))));
        let (dialer, keyspace) = (dialer.clone(), keyspace.clone());
        let changeover = Changeover { dialer, keyspace, current: current.clone() };
        Ok(Api { current, gatherers, connections_max: CONNECTIONS_MAX, changeover })
    }

    /// What has it answer for other views.
    pub fn changeover(&self) -> Changeover {
        self.changeover.clone()
    }

    /// Allows another number of connections at once than [`CONNECTIONS_MAX`]; at least 1. Each
    /// takes a file handle and, at the very most, 80 KiB for a request's head.
    pub fn with_connections_max(self, connections_max: usize) -> Api {
        Api { connections_max: connections_max.max(1), ..self }
    }

    /// Serves until `shutdown`, then lets requests under way finish for at most 4 s.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let metrics = Arc::clone(&self.current.get().metrics);
        let connections = Connections::new(self.connections_max);
        // Ended with this set, after the last request.
        let _gathering: JoinSet<()> = self.gatherers.into_iter().map(Gatherer::run).collect();
        let service = warp::service(routes(self.current));
        server::serve(listener, connections, service, metrics, shutdown).await;
    }
}

impl Changeover {
    /// From here on requests are answered for the views of this plan; those under way, for those of
    /// before. To be called in a runtime.
    ///
    /// # Errors
    /// A view that cannot be served; then nothing changes.
    pub fn change(&self, plan: &Plan) -> Result<(), ApiError> {
        let views = Arc::new(Views::new(plan)?);
        let (reader, gatherers) = Reader::new(&self.dialer, &self.keyspace, &views);
        let former = self.current.get();
        self.current.set(Handlers {
            views,
            reader,
            readiness: former.readiness.clone(),
            metrics: Arc::clone(&former.metrics),
            budget: former.budget.clone(),
            waiting: Waiting::default(),
        });
        // Each ends with the last request that looks up by it.
        gatherers.into_iter().for_each(|gatherer| drop(tokio::spawn(gatherer.run())));
        Ok(())
    }
}

impl Current {
    fn get(&self) -> Arc<Handlers> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, handlers: Handlers) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(handlers);
    }
}

fn routes(current: Current) -> impl Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    let own = own_routes(&current).boxed();
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path::full()
        .and(query)
        .and(header("if-none-match"))
        .and(header(AFTER))
        .and_then(move |path: FullPath, query: String, if_none_match, after| {
            let headers = Headers { if_none_match, after };
            let handlers = current.get();
            // Boxed: what the filters around it hand on by value is small then.
            Box::pin(async move {
                let path = path.as_str().strip_prefix('/').unwrap_or_default();
                let first = path.split_once('/').map_or(path, |(first, _)| first);
                if views::is_reserved(first) {
                    return Err(warp::reject::not_found());
                }
                Ok(handlers.view(path, &query, &headers).await)
            })
        })
        .or(own)
        .unify()
}

/// A header as it stands, if it is there.
fn header(
    name: &'static str,
) -> impl Filter<Extract = (Option<HeaderValue>,), Error = Infallible> + Clone {
    warp::header::value(name).map(Some).or(warp::any().map(|| None)).unify()
}

/// What is not a view.
fn own_routes(
    current: &Current,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + 'static {
    let with = |current: &Current| {
        let current = current.clone();
        warp::any().map(move || current.get())
    };
    let health = warp::path!("healthz").and(with(current)).map(|h: Arc<Handlers>| h.health());
    let metrics = warp::path!("metrics").and(with(current)).map(|h: Arc<Handlers>| h.metrics());
    let ready = warp::path!("readyz")
        .and(with(current))
        .then(|h: Arc<Handlers>| async move { h.ready().await });
    let front = warp::path::end()
        .and(with(current))
        .then(|h: Arc<Handlers>| async move { h.front_page().await });
    let nothing = warp::any().map(|| reply::error(StatusCode::NOT_FOUND, "no such path"));
    health.or(metrics).unify().or(ready).unify().or(front).unify().or(nothing).unify()
}
