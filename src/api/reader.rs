//! What the API reads from Redis.
//!
//! Connections are shared by all requests and made anew when they break; a request waits for one
//! a bounded time only. Pages have a connection of their own, so that single documents do not wait
//! behind them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::lookups::{Gatherer, Lookups};
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
    documents: Arc<Shared>,
    pages: Shared,
    /// By the places of the views.
    lookups: Vec<Lookups>,
    meta: String,
    page_script: Script,
    /// Asks for the position of every view.
    positions: Cmd,
}

/// Redis does not answer, or not usefully; told to the client and gone when it passes.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unavailable(String);

impl Unavailable {
    /// The process ends.
    pub(super) fn ending() -> Unavailable {
        Unavailable("the server is shutting down".to_owned())
    }

    /// Redis takes too long.
    pub(super) fn late() -> Unavailable {
        Unavailable("redis takes too long to answer".to_owned())
    }
}

/// What was read, and where the view was at that moment.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) position: Arc<Position>,
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
pub(super) struct There {
    /// What readers read.
    pub(super) current: Option<Generation>,
    /// What is being filled.
    pub(super) next: Option<Generation>,
}

impl Reader {
    /// A reader, and what looks its documents up: to be run as long as it is used.
    pub(super) fn new(
        dialer: &Dialer,
        keyspace: &Keyspace,
        views: &Views,
    ) -> (Reader, Vec<Gatherer>) {
        let documents = Arc::new(Shared::new(dialer.clone()));
        let of_view =
            |view: &Served| Lookups::new(Arc::clone(&documents), keyspace.meta(), view.clone());
        let (lookups, gatherers) = views.iter().map(of_view).unzip();
        let reader = Reader {
            documents,
            pages: Shared::new(dialer.clone()),
            lookups,
            meta: keyspace.meta(),
            page_script: Script::new(include_str!("page.lua")),
            positions: Position::ask_all(&keyspace.meta(), views),
        };
        (reader, gatherers)
    }

    /// One document.
    pub(super) async fn document(
        &self,
        view: &Served,
        key: &Key,
    ) -> Result<At<Found>, Unavailable> {
        self.lookups[view.place].document(key).await
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
        let position = Arc::new(position);
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
pub(super) fn fields(view: &Served) -> Vec<&str> {
    let mut fields = vec![view.fields.current.as_str(), &view.fields.next];
    fields.extend(Position::fields(view));
    fields
}

/// What a script answers of [`fields`].
pub(super) fn there(told: Value) -> Result<(There, Position), Unavailable> {
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

    pub(super) fn standing(&self, view: &Served) -> Standing {
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

pub(super) fn into_parts<const N: usize>(answer: Value) -> Result<[Value; N], Unavailable> {
    match answer {
        Value::Array(parts) => {
            parts.try_into().map_err(|parts: Vec<Value>| unexpected(&Value::Array(parts)))
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) fn unexpected(answer: &Value) -> Unavailable {
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
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    pub(super) fn new(code: &'static str) -> Script {
        Script { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// A call with the key of `meta`; arguments are added to it.
    pub(super) fn call(&self, meta: &str) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(1).arg(meta);
        call
    }
}

/// A connection that many requests share.
#[derive(Debug)]
pub(super) struct Shared {
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
    pub(super) async fn run(&self, script: &Script, call: &Cmd) -> Result<Value, Unavailable> {
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
