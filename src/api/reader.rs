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
use super::position::{Position, text};
use super::request::ListRequest;
use super::views::{Served, Views};
use crate::dial::{DialError, Dialer};
use crate::keyspace::{Generation, Keyspace, ViewFields, meta};
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
    keyspace: Keyspace,
    views: Arc<Views>,
    page_script: Script,
    /// Asks for the position of every view.
    positions: Cmd,
    /// By the places of the views: the one that answered last for the name of each.
    answered: Vec<RwLock<Arc<str>>>,
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

/// What was read, of which view, and where that was at that moment.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) view: Arc<str>,
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

/// A page, or why there is none.
#[derive(Debug)]
pub(super) enum Paged {
    Page(Page),
    /// Nobody can tell.
    Unknown(Standing),
    /// The request was read by the indexes of another view than the one that answers.
    Switched,
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

/// A view as Redis tells of it.
#[derive(Debug)]
pub(super) struct Told<'v> {
    pub(super) view: &'v Served,
    pub(super) standing: Standing,
    /// The view that answers for its name, if it is another.
    pub(super) served_by: Option<String>,
    /// Where documents of it are due: what it contains for certain.
    pub(super) behind: Option<Position>,
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
        views: &Arc<Views>,
    ) -> (Reader, Vec<Gatherer>) {
        let documents = Arc::new(Shared::new(dialer.clone()));
        let of_view = |view: &Served| {
            let (documents, views) = (Arc::clone(&documents), Arc::clone(views));
            Lookups::new(documents, keyspace.clone(), views, view.clone())
        };
        let (lookups, gatherers) = views.iter().map(of_view).unzip();
        let reader = Reader {
            documents,
            pages: Shared::new(dialer.clone()),
            lookups,
            keyspace: keyspace.clone(),
            views: Arc::clone(views),
            page_script: Script::new(concat!(include_str!("view.lua"), include_str!("page.lua"))),
            positions: Position::ask_all(&keyspace.meta(), views),
            answered: views.iter().map(|view| RwLock::new(view.name.as_str().into())).collect(),
        };
        (reader, gatherers)
    }

    /// One document under a name.
    pub(super) async fn document(
        &self,
        asked: &Served,
        key: &Key,
    ) -> Result<At<Found>, Unavailable> {
        self.lookups[asked.place].document(key).await
    }

    /// A page of a list or look-up under a name; a look-up is read by the indexes of the view that
    /// `meant` names.
    pub(super) async fn page(
        &self,
        asked: &Served,
        meant: &str,
        request: &ListRequest,
    ) -> Result<At<Paged>, Unavailable> {
        let is_lookup = !request.prefix.is_empty();
        let (lower, upper) = request.bounds();
        let mut call = self.page_script.call(&self.keyspace, asked);
        call.arg(if is_lookup { meant } else { "" }).arg(if is_lookup { "index" } else { "keys" });
        call.arg(lower).arg(upper);
        call.arg(request.limit).arg(PAGE_BYTES_MAX).arg(request.prefix.len());
        let answer = self.pages.run(&self.page_script, &call).await?;
        let [view, told, more, keys, documents] = into_parts(answer)?;
        let view: Arc<str> = view_of(&view)?.into();
        let (there, position) = there(told)?;
        let position = Arc::new(position);
        if is_lookup && *view != *meant {
            self.note_answering(asked, &view);
            return Ok(At { view, position, found: Paged::Switched });
        }
        let of = self.views.answering(asked, &view);
        let has_form = |read: &Generation| {
            of.has_keys(asked, read) && (!is_lookup || read.index_form == of.index_form)
        };
        let unknown = match &there.current {
            Some(current) if has_form(current) => None,
            Some(_) => Some(Standing::OtherForm),
            None => Some(there.standing(of)),
        };
        if let Some(standing) = unknown {
            return Ok(At { view, position, found: Paged::Unknown(standing) });
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
        Ok(At { view, position, found: Paged::Page(page) })
    }

    /// The view that answered last for a name, as far as it is known here.
    pub(super) fn answered(&self, asked: &Served) -> Arc<str> {
        let answered = self.answered[asked.place].read();
        Arc::clone(&answered.unwrap_or_else(PoisonError::into_inner))
    }

    /// The view that answers for a name now.
    pub(super) async fn answering(&self, asked: &Served) -> Result<Arc<str>, Unavailable> {
        let mut ask = redis::cmd("HGET");
        ask.arg(self.keyspace.meta()).arg(&asked.served);
        let told = self.documents.query(&ask).await?;
        let view = if told == Value::Nil { &asked.name } else { view_of(&told)? };
        Ok(self.note_answering(asked, view))
    }

    fn note_answering(&self, asked: &Served, view: &str) -> Arc<str> {
        let view: Arc<str> = view.into();
        let mut answered =
            self.answered[asked.place].write().unwrap_or_else(PoisonError::into_inner);
        *answered = Arc::clone(&view);
        view
    }

    /// What every view contains, as [`Position::ask_all`] asks for it.
    pub(super) async fn positions(&self) -> Result<Vec<Value>, Unavailable> {
        match self.documents.query(&self.positions).await? {
            Value::Array(fields) => Ok(fields),
            other => Err(unexpected(&other)),
        }
    }

    /// What a view contains, whether a file here defines it or not.
    pub(super) async fn position_of(&self, view: &str) -> Result<Position, Unavailable> {
        let mut ask = redis::cmd("HMGET");
        ask.arg(self.keyspace.meta()).arg(ViewFields::new(view).behind);
        ask.arg(&[meta::APPLIED, meta::EXECUTED, meta::COMMITTED]);
        match self.documents.query(&ask).await? {
            Value::Array(fields) => Ok(Position::read(&fields)),
            other => Err(unexpected(&other)),
        }
    }

    /// How each view stands, and which one answers for its name.
    pub(super) async fn standings(&self) -> Result<Vec<Told<'_>>, Unavailable> {
        let mut ask = redis::cmd("HMGET");
        // A field of no view, so that there is always one to ask for.
        ask.arg(self.keyspace.meta()).arg(meta::EPOCH);
        for view in self.views.iter() {
            ask.arg(&[&view.fields.current, &view.fields.next, &view.served, &view.fields.behind]);
        }
        match self.documents.query(&ask).await? {
            Value::Array(told) => {
                let fields = told.get(1..).unwrap_or_default().chunks(4);
                let of = |(view, of_view): (_, &[Value])| {
                    let standing = There::read(of_view).standing(view);
                    let served_by = of_view.get(2).and_then(text).map(str::to_owned);
                    let behind = of_view.get(3).and_then(text).map(Position::of_behind);
                    Told { view, standing, served_by, behind }
                };
                Ok(self.views.iter().zip(fields).map(of).collect())
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// The view that a script or Redis names.
pub(super) fn view_of(told: &Value) -> Result<&str, Unavailable> {
    text(told).ok_or_else(|| unexpected(told))
}

/// What a script answers of the view: two fields of the generations, the rest of the position.
pub(super) fn there(told: Value) -> Result<(There, Position), Unavailable> {
    let Value::Array(told) = told else { return Err(unexpected(&told)) };
    let (generations, position) = told.split_at_checked(2).unwrap_or_default();
    Ok((There::read(generations), Position::read(position)))
}

impl There {
    /// Reads the fields of the generation that is read, and of the one that is filled.
    fn read(fields: &[Value]) -> There {
        let read = |at| fields.get(at).and_then(text).and_then(Generation::from_field);
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

    /// A call about the view that answers for a name, as `view.lua` takes it; arguments are added to
    /// it.
    pub(super) fn call(&self, keyspace: &Keyspace, asked: &Served) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(1).arg(keyspace.meta());
        call.arg(keyspace.views_prefix()).arg(&asked.name);
        call.arg(&[meta::SERVED, meta::VIEW, meta::NEXT, meta::BEHIND]);
        call.arg(&[meta::APPLIED, meta::EXECUTED, meta::COMMITTED]);
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
