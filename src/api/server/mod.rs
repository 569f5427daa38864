//! Connections: how many, how long, how much they may send.
//!
//! warp's own server waits for slow or silent clients for ever and reads bodies without end; this
//! one puts a bound on each. When all places are taken the connection that has been idle longest
//! makes room, so that no number of silent clients keeps others out.

mod connections;
mod stream;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service;
use tracing::{debug, warn};
use warp::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::reply;
use crate::telemetry::Metrics;
pub(super) use connections::Connections;
use connections::{Close, Place};
use stream::GuardedStream;

/// How long a request's head may take to arrive, and a connection be idle between requests.
const HEAD_WAIT: Duration = Duration::from_secs(30);

/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 80 << 10;

/// Most bytes of a path with its query.
const URI_BYTES_MAX: usize = 8 << 10;

/// A declared body up to this size is passed over by whoever sees a wrong method; more is refused.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// How long requests under way may take after a shutdown began.
const DRAIN_WAIT: Duration = Duration::from_secs(4);

/// How long a connection that makes room may still take to send what it has.
const EVICTION_WAIT: Duration = Duration::from_secs(1);

/// Pause after a connection could not be accepted, as when file handles run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a client hears when there is no place for it.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    retry-after: 1\r\nconnection: close\r\ncontent-length: 32\r\n\r\n{\"error\":\"too many connections\"}";

/// Serves until `shutdown`, then lets requests under way finish.
pub(super) async fn serve<S>(
    listener: TcpListener,
    connections: Connections,
    service: S,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let mut shutdown = pin!(shutdown);
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // File handles that run out come back when an idle connection goes.
                warn!(%error, "cannot accept a connection");
                connections.make_room();
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while tasks.try_join_next().is_some() {}
        match connections.place().await {
            Some(place) => {
                tasks.spawn(drive(stream, place, service.clone(), Arc::clone(&metrics)));
            }
            None => refuse(stream).await,
        }
    }
    drop(listener);
    connections.close_all();
    let drained = timeout(DRAIN_WAIT, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        warn!(left = tasks.len(), "connections are cut off at shutdown");
        tasks.shutdown().await;
    }
}

/// Serves one connection until it ends, makes room or shuts down.
async fn drive<S>(stream: TcpStream, mut place: Place, service: S, metrics: Arc<Metrics>)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let connection = place.connection();
    // An answer leaves as soon as it is written; only slower without, so an error does not matter.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(GuardedStream::new(stream, Arc::clone(&connection)));
    metrics.http_connections.inc();
    let handler = service_fn(|request: Request<Incoming>| {
        let mut service = service.clone();
        let connection = &connection;
        let metrics = &metrics;
        async move {
            connection.busy();
            let begun = Instant::now();
            let response = match refusal_of(&request, connection.has_conflicting_lengths()) {
                Some(refusal) => refusal,
                None => service.call(request).await?,
            };
            metrics.http_request(response.status().as_u16(), begun.elapsed());
            connection.idle();
            Ok::<Response, Infallible>(response)
        }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WAIT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(io, handler)
    );
    let closing = tokio::select! {
        ended = serving.as_mut() => {
            if let Err(error) = ended {
                debug!(%error, "connection ended");
            }
            None
        }
        close = place.asked_to_close() => Some(close),
    };
    // hyper would wait for the rest of a head that has begun to arrive.
    if let Some(close) = closing
        && connection.has_work()
    {
        serving.as_mut().graceful_shutdown();
        let wait = match close {
            Close::MakeRoom => EVICTION_WAIT,
            Close::Shutdown => DRAIN_WAIT,
        };
        let _ = timeout(wait, serving).await;
    }
    metrics.http_connections.dec();
}

/// The answer to what no route has to look at.
fn refusal_of(request: &Request<Incoming>, conflicting_lengths: bool) -> Option<Response> {
    if conflicting_lengths {
        let message = "content-length and transfer-encoding contradict each other";
        return Some(reply::closing(StatusCode::BAD_REQUEST, message));
    }
    if request.uri().path_and_query().map_or(0, |uri| uri.as_str().len()) > URI_BYTES_MAX {
        let message = format!("the address is longer than {URI_BYTES_MAX} bytes");
        return Some(reply::closing(StatusCode::URI_TOO_LONG, &message));
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers();
    let body_bytes = match headers.get(CONTENT_LENGTH) {
        _ if headers.contains_key(TRANSFER_ENCODING) => u64::MAX,
        Some(length) => length.to_str().ok().and_then(|l| l.parse().ok()).unwrap_or(u64::MAX),
        None => 0,
    };
    if body_bytes > BODY_BYTES_MAX || (is_read && body_bytes > 0) {
        let message = "requests carry no body here";
        return Some(reply::closing(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    (!is_read).then(|| reply::wrong_method(request.method()))
}

async fn refuse(mut stream: TcpStream) {
    // Whoever does not take so few bytes at once does not hear why.
    let _ = timeout(Duration::from_millis(10), stream.write_all(NO_PLACE)).await;
}

#[cfg(test)]
mod tests {
    use super::NO_PLACE;

    #[test]
    fn the_ready_made_answer_has_its_length() {
        let text = std::str::from_utf8(NO_PLACE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
    }
}
