//! What the API reads from Redis.
//!
//! Connections are shared by all requests and made anew when they break; a request waits for one
//! a bounded time only. Pages have a connection of their own, so that single documents do not wait
//! behind them.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::position::Position;
use super::request::ListRequest;
use super::views::{Served, Views};
use crate::dial::{DialError, Dialer};
use crate::keyspace::{Generation, Keyspace, meta};
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

/// What was read, and where the view was at that moment.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) position: Position,
    pub(super) found: T,
}

/// A document, or why there is none.
#[derive(Debug)]
pub(super) enum Found {
    Document(Vec<u8>),
    /// All documents of the view are there, and this one is not.
    Absent,
    /// Nobody can tell.
    Unknown(Standing),
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
    /// Another generation is being filled; until then the documents of before are read.
    Renewing,
    /// What is read was made by another definition of the view, and nothing else is being filled.
    OtherDefinition,
    /// What there is was made by another definition, under which keys or indexes mean something
    /// else: it cannot be read.
    OtherForm,
    /// The first documents are being filled in.
    Filling,
    /// Nothing has been written yet.
    Empty,
}

/// The generations of a view that there are.
struct There {
    /// What readers read.
    current: Option<Generation>,
    /// What is being filled.
    next: Option<Generation>,
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

    /// One document. While a view is filled for the first time, there may be some already.
    pub(super) async fn document(
        &self,
        view: &Served,
        key: &Key,
    ) -> Result<At<Found>, Unavailable> {
        let mut call = self.document_script.call(&self.meta);
        call.arg(&view.prefix).arg(key.as_bytes()).arg(fields(view));
        let [told, document] = into_parts(self.documents.run(&self.document_script, &call).await?)?;
        let (there, position) = there(told)?;
        let read = there.current.as_ref().or(there.next.as_ref());
        let is_readable = read.is_some_and(|read| read.key_form == view.key_form);
        let found = match document {
            Value::BulkString(document) if is_readable => Found::Document(document),
            Value::BulkString(_) => Found::Unknown(Standing::OtherForm),
            Value::Nil if is_readable && there.current.is_some() => Found::Absent,
            Value::Nil => Found::Unknown(there.standing(view)),
            other => return Err(unexpected(&other)),
        };
        Ok(At { position, found })
    }

    /// A page of a list or look-up, or why there is none.
    pub(super) async fn page(
        &self,
        view: &Served,
        request: &ListRequest,
    ) -> Result<At<Result<Page, Standing>>, Unavailable> {
        let is_lookup = !request.prefix.is_empty();
        let (lower, upper) = request.bounds();
        let mut call = self.page_script.call(&self.meta);
        call.arg(&view.prefix).arg(if is_lookup { "index" } else { "keys" });
        call.arg(lower).arg(upper);
        call.arg(request.limit).arg(PAGE_BYTES_MAX).arg(request.prefix.len());
        call.arg(fields(view));
        let answer = self.pages.run(&self.page_script, &call).await?;
        let [told, more, keys, documents] = into_parts(answer)?;
        let (there, position) = there(told)?;
        let has_form = |read: &Generation| {
            read.key_form == view.key_form && (!is_lookup || read.index_form == view.index_form)
        };
        match &there.current {
            Some(current) if has_form(current) => {}
            Some(_) => return Ok(At { position, found: Err(Standing::OtherForm) }),
            None => return Ok(At { position, found: Err(there.standing(view)) }),
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
        Ok(At { position, found: Ok(page) })
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
            ask.arg(&[&view.fields.current, &view.fields.next]);
        }
        match self.documents.query(&ask).await? {
            Value::Array(told) => {
                let pairs = told.get(1..).unwrap_or_default().chunks(2);
                let of = |(view, pair)| (view, There::read(pair).standing(view));
                Ok(views.iter().zip(pairs).map(of).collect())
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// The fields of `meta` that scripts answer with: two of the generations, the rest of the position.
fn fields(view: &Served) -> Vec<&str> {
    let mut fields = vec![view.fields.current.as_str(), &view.fields.next];
    fields.extend(Position::fields(view));
    fields
}

/// What a script answers of [`fields`].
fn there(told: Value) -> Result<(There, Position), Unavailable> {
    let Value::Array(told) = told else { return Err(unexpected(&told)) };
    let (generations, position) = told.split_at_checked(2).unwrap_or_default();
    Ok((There::read(generations), Position::read(position)))
}

impl There {
    /// Reads the fields of the generation that is read, and of the one that is filled.
    fn read(fields: &[Value]) -> There {
        let read = |at| match fields.get(at) {
            Some(Value::BulkString(text)) => {
                std::str::from_utf8(text).ok().and_then(Generation::from_field)
            }
            _ => None,
        };
        There { current: read(0), next: read(1) }
    }

    fn standing(&self, view: &Served) -> Standing {
        match (&self.current, &self.next) {
            (None, None) => Standing::Empty,
            (None, Some(next)) if next.key_form == view.key_form => Standing::Filling,
            (None, Some(_)) => Standing::OtherForm,
            (Some(current), _) if current.key_form != view.key_form => Standing::OtherForm,
            (Some(_), Some(_)) => Standing::Renewing,
            (Some(current), None) if current.fingerprint == view.fingerprint => Standing::Complete,
            (Some(_), None) => Standing::OtherDefinition,
        }
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

    /// A call with the key of `meta`; arguments are added to it.
    fn call(&self, meta: &str) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(1).arg(meta);
        call
    }
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
        match self.try_query(call).await? {
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
        self.try_query(command).await?.map_err(refused)
    }

    /// Sends a command; once more, over a new connection, if the old one turns out to be gone.
    /// What Redis itself says against it is the inner error.
    async fn try_query(&self, command: &Cmd) -> Result<Result<Value, RedisError>, Unavailable> {
        let mut again = true;
        loop {
            let (number, mut connection) = self.connection().await?;
            match command.query_async(&mut connection).await {
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
