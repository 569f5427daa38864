//! What the API reads from Redis.
//!
//! Connections are shared by all requests and made anew when they break; a request waits for one
//! a bounded time only. Pages have a connection of their own, so that single documents do not wait
//! behind them.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::position::Position;
use super::request::ListRequest;
use super::views::{Served, Views};
use crate::dial::{DialError, Dialer};
use crate::keyspace::{Keyspace, ViewState, meta};
use crate::value::Key;

/// How long Redis may take to answer.
const RESPONSE_WAIT: Duration = Duration::from_secs(2);

/// How long a request waits for a connection.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// For so long after a failure nobody tries to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// Most bytes of documents on a page, unless it holds a single one.
pub(super) const PAGE_BYTES_MAX: usize = 8 << 20;

/// Redis as the API sees it.
#[derive(Debug)]
pub(super) struct Reader {
    documents: Shared,
    pages: Shared,
    meta: String,
    document_script: Script,
    page_script: Script,
    /// Asks for the position of every view.
    positions: Cmd,
}

/// Redis does not answer, or not usefully; told to the client and gone when it passes.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unavailable(String);

impl Unavailable {
    /// Redis takes too long.
    pub(super) fn late() -> Unavailable {
        Unavailable("redis takes too long to answer".to_owned())
    }
}

/// What was read, and where the view was at that moment or before.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) position: Position,
    pub(super) found: T,
}

/// A document, or why there is none.
#[derive(Debug)]
pub(super) enum Found {
    Document(Vec<u8>),
    /// The view is complete and has no such document.
    Absent,
    /// The view is not complete, so nobody can tell.
    Unknown,
}

/// A page of documents.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) documents: Vec<(Key, Vec<u8>)>,
    pub(super) more_follow: bool,
}

/// How a view stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Complete,
    Filling,
    /// What is there was made by another definition of the view.
    OtherDefinition,
    /// Nothing has been written yet.
    Empty,
}

impl Reader {
    pub(super) fn new(dialer: &Dialer, keyspace: &Keyspace, views: &Views) -> Reader {
        Reader {
            documents: Shared::new(dialer.clone()),
            pages: Shared::new(dialer.clone()),
            meta: keyspace.meta(),
            document_script: Script::new(include_str!("document.lua")),
            page_script: Script::new(include_str!("page.lua")),
            positions: Position::ask_all(&keyspace.meta(), views),
        }
    }

    /// One document. Only when there is none is the view's state looked at.
    pub(super) async fn document(
        &self,
        view: &Served,
        key: &Key,
    ) -> Result<At<Found>, Unavailable> {
        let mut asked = redis::pipe();
        asked.add_command(Position::ask(&self.meta, view));
        asked.cmd("HGET").arg(&view.keys.docs).arg(key.as_bytes());
        let [position, document] =
            into_parts(Value::Array(self.documents.query_all(&asked).await?))?;
        let position = Position::read(&position);
        let found = match document {
            Value::BulkString(document) => Found::Document(document),
            Value::Nil => self.missing(view, key).await?,
            other => return Err(unexpected(&other)),
        };
        Ok(At { position, found })
    }

    /// Why there is no document; it may have come meanwhile.
    async fn missing(&self, view: &Served, key: &Key) -> Result<Found, Unavailable> {
        let mut call = self.document_script.call(&[&self.meta, &view.keys.docs]);
        call.arg(&view.keys.state).arg(key.as_bytes());
        let answer = self.documents.run(&self.document_script, &call).await?;
        match into_parts(answer)? {
            [_, Value::BulkString(document)] => Ok(Found::Document(document)),
            [state, Value::Nil] => match standing(view, &state) {
                Standing::Complete => Ok(Found::Absent),
                _ => Ok(Found::Unknown),
            },
            [_, other] => Err(unexpected(&other)),
        }
    }

    /// A page of a list or look-up; `None` while the view is not complete.
    pub(super) async fn page(
        &self,
        view: &Served,
        request: &ListRequest,
    ) -> Result<At<Option<Page>>, Unavailable> {
        let position = Position::read(&self.pages.query(&Position::ask(&self.meta, view)).await?);
        let members = if request.prefix.is_empty() { &view.keys.keys } else { &view.keys.index };
        let (lower, upper) = request.bounds();
        let mut call = self.page_script.call(&[&self.meta, members, &view.keys.docs]);
        call.arg(&view.keys.state).arg(lower).arg(upper);
        call.arg(request.limit).arg(PAGE_BYTES_MAX).arg(request.prefix.len());
        let answer = self.pages.run(&self.page_script, &call).await?;
        let [state, more, keys, documents] = into_parts(answer)?;
        if standing(view, &state) != Standing::Complete {
            return Ok(At { position, found: None });
        }
        let (Value::Array(keys), Value::Array(documents)) = (keys, documents) else {
            return Err(unexpected(&more));
        };
        let pair = |(key, document)| match (key, document) {
            (Value::BulkString(key), Value::BulkString(document)) => {
                Some((Key::from_bytes(&key), document))
            }
            _ => None,
        };
        let documents = keys.into_iter().zip(documents).filter_map(pair).collect();
        let page = Page { documents, more_follow: more == Value::Int(1) };
        Ok(At { position, found: Some(page) })
    }

    /// What every view contains, as [`Position::ask_all`] asks for it.
    pub(super) async fn positions(&self) -> Result<Vec<Value>, Unavailable> {
        match self.documents.query(&self.positions).await? {
            Value::Array(fields) => Ok(fields),
            other => Err(unexpected(&other)),
        }
    }

    /// How each view stands.
    pub(super) async fn standings<'v>(
        &self,
        views: &'v Views,
    ) -> Result<Vec<(&'v Served, Standing)>, Unavailable> {
        let mut ask = redis::cmd("HMGET");
        // A field of no view, so that there is always one to ask for.
        ask.arg(&self.meta).arg(meta::EPOCH);
        for view in views.iter() {
            ask.arg(&view.keys.state);
        }
        match self.documents.query(&ask).await? {
            Value::Array(states) => {
                let of = |(view, state)| (view, standing(view, state));
                Ok(views.iter().zip(states.iter().skip(1)).map(of).collect())
            }
            other => Err(unexpected(&other)),
        }
    }
}

fn standing(view: &Served, state: &Value) -> Standing {
    let Value::BulkString(state) = state else { return Standing::Empty };
    match std::str::from_utf8(state).ok().and_then(ViewState::from_field) {
        None => Standing::Empty,
        Some(state) if state.fingerprint != view.fingerprint => Standing::OtherDefinition,
        Some(state) if state.complete => Standing::Complete,
        Some(_) => Standing::Filling,
    }
}

fn into_parts<const N: usize>(answer: Value) -> Result<[Value; N], Unavailable> {
    match answer {
        Value::Array(parts) => {
            parts.try_into().map_err(|parts: Vec<Value>| unexpected(&Value::Array(parts)))
        }
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Value) -> Unavailable {
    let kind = match answer {
        Value::Array(_) => "a list",
        Value::BulkString(_) | Value::SimpleString(_) => "a string",
        Value::Int(_) => "a number",
        _ => "something",
    };
    Unavailable(format!("redis answers {kind} that is not expected"))
}

/// A script and the name Redis knows it by.
#[derive(Debug)]
struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    fn new(code: &'static str) -> Script {
        Script { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    fn call(&self, keys: &[&str]) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }
}

/// What is asked at once.
#[derive(Clone, Copy)]
enum Asked<'a> {
    One(&'a Cmd),
    All(&'a Pipeline),
}

/// A connection that many requests share.
#[derive(Debug)]
struct Shared {
    dialer: Dialer,
    /// With a number that tells it from those before.
    current: RwLock<Option<(u64, MultiplexedConnection)>>,
    /// Held while one of the requests connects for all.
    dialing: Mutex<Dialing>,
}

#[derive(Debug, Default)]
struct Dialing {
    connections: u64,
    last_failure: Option<(Instant, Unavailable)>,
}

impl Shared {
    fn new(dialer: Dialer) -> Shared {
        Shared { dialer, current: RwLock::new(None), dialing: Mutex::default() }
    }

    /// Runs a script, loading it if Redis does not know it.
    async fn run(&self, script: &Script, call: &Cmd) -> Result<Value, Unavailable> {
        match self.try_query(Asked::One(call)).await? {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                let mut load = redis::cmd("SCRIPT");
                load.arg("LOAD").arg(script.code);
                self.query(&load).await?;
                self.query(call).await
            }
            answer => answer.map_err(refused),
        }
    }

    async fn query(&self, command: &Cmd) -> Result<Value, Unavailable> {
        self.try_query(Asked::One(command)).await?.map_err(refused)
    }

    /// Sends several commands at once; the answer to each.
    async fn query_all(&self, commands: &Pipeline) -> Result<Vec<Value>, Unavailable> {
        match self.try_query(Asked::All(commands)).await?.map_err(refused)? {
            Value::Array(answers) => Ok(answers),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a command; once more, over a new connection, if the old one turns out to be gone.
    /// What Redis itself says against it is the inner error.
    async fn try_query(&self, asked: Asked<'_>) -> Result<Result<Value, RedisError>, Unavailable> {
        let mut again = true;
        loop {
            let (number, mut connection) = self.connection().await?;
            let answer = match asked {
                Asked::One(command) => command.query_async(&mut connection).await,
                Asked::All(commands) => {
                    commands.query_async(&mut connection).await.map(Value::Array)
                }
            };
            match answer {
                Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse) => {
                    self.forget(number);
                    if error.is_timeout() || !again {
                        return Err(Unavailable(format!("no answer from redis: {error}")));
                    }
                    again = false;
                }
                answer => return Ok(answer),
            }
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), Unavailable> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        match timeout(CONNECTION_WAIT, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(Unavailable("redis does not answer in time".to_owned())),
        }
    }

    async fn connect(&self) -> Result<(u64, MultiplexedConnection), Unavailable> {
        let mut dialing = self.dialing.lock().await;
        // Somebody else may have connected, or failed to, while we waited for our turn.
        if let Some(current) = self.current() {
            return Ok(current);
        }
        if let Some((when, failure)) = &dialing.last_failure
            && when.elapsed() < PAUSE
        {
            return Err(failure.clone());
        }
        match self.dialer.connect(RESPONSE_WAIT).await {
            Ok(connection) => {
                dialing.connections += 1;
                dialing.last_failure = None;
                let current = (dialing.connections, connection);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(current.clone());
                Ok(current)
            }
            Err(error) => {
                let failure = unreachable(&error);
                dialing.last_failure = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    fn current(&self) -> Option<(u64, MultiplexedConnection)> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nobody takes this connection any more.
    fn forget(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|(current, _)| *current == number) {
            *current = None;
        }
    }
}

fn unreachable(error: &DialError) -> Unavailable {
    Unavailable(error.to_string())
}

fn refused(error: RedisError) -> Unavailable {
    Unavailable(format!("redis answers `{error}`"))
}
