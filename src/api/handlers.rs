//! One function per route.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use warp::http::StatusCode;
use warp::http::header::HeaderValue;
use warp::reply::Response;

use super::budget::{BYTES_MAX, Budget};
use super::page;
use super::position::{After, Position, Waiting};
use super::reader::{At, Found, PAGE_BYTES_MAX, Page, Paged, Reader, Standing, Told, Unavailable};
use super::reply;
use super::request::{DocumentRequest, Headers, ListRequest, RequestError, decode};
use super::views::{Served, Views};
use crate::keyspace::ErrorDocument;
use crate::telemetry::{Metrics, Readiness};
use crate::value::{Key, write_json, write_json_string};

/// Memory that a page takes while it is put together: as Redis sent it, and as it is answered.
const PAGE_ROOM: usize = 2 * PAGE_BYTES_MAX;

/// How often a look-up is read anew since another view answers by then.
const SWITCHES_MAX: usize = 4;

/// How old what a view contains for certain has to be for `/readyz` to tell of it: documents are due
/// for moments all the time.
const BEHIND_MIN: Duration = Duration::from_secs(5);

const TOO_BUSY: &str = "too many large answers are under way";

/// What handlers work with.
#[derive(Debug)]
pub(super) struct Handlers {
    pub(super) views: Arc<Views>,
    pub(super) reader: Reader,
    pub(super) readiness: Readiness,
    pub(super) metrics: Arc<Metrics>,
    pub(super) budget: Budget,
    pub(super) waiting: Waiting,
}

impl Handlers {
    /// `/{view}` and `/{view}/{key}`: the path without its first `/`.
    pub(super) async fn view(&self, path: &str, query: &str, headers: &Headers) -> Response {
        let (name, key) = match path.split_once('/') {
            Some((name, key)) => (name, Some(key)),
            None => (path, None),
        };
        let view = match decode(name) {
            Ok(name) => self.views.get(&name).ok_or(name),
            Err(error) => return bad_request(&error),
        };
        let view = match view {
            Ok(view) => view,
            Err(name) => return no_view(&name, self.views.names()),
        };
        let if_none_match = headers.if_none_match.as_ref();
        match key {
            None => self.list(view, query, headers).await,
            Some(key) if key.contains('/') => {
                reply::error(StatusCode::NOT_FOUND, "no such path; a `/` in a key is written %2F")
            }
            Some(key) => match DocumentRequest::parse(view, key, query, headers) {
                Ok(request) => match self.late(view, request.seen.as_ref()).await {
                    Some(late) => late,
                    None => self.document(view, &request, if_none_match).await,
                },
                Err(error) => bad_request(&error),
            },
        }
    }

    /// Waits until what answers for a name contains what a request must see; an answer if that takes
    /// too long.
    async fn late(&self, asked: &Served, seen: Option<&After>) -> Option<Response> {
        match self.waiting.wait(&self.reader, &self.views, asked, seen?).await {
            Ok(Ok(())) => None,
            Ok(Err(position)) => Some(too_late(asked, &position)),
            Err(error) => Some(unavailable(&error)),
        }
    }

    async fn document(
        &self,
        asked: &Served,
        DocumentRequest { key, seen }: &DocumentRequest,
        if_none_match: Option<&HeaderValue>,
    ) -> Response {
        let At { view, position, found } = match self.reader.document(asked, key).await {
            Ok(at) => at,
            Err(error) => return unavailable(&error),
        };
        if lacks(&position, seen.as_ref()) {
            return too_late(asked, &position);
        }
        let mut response = match found {
            Found::Document(document) => self.found(document, if_none_match).await,
            Found::Absent => {
                let key = key.texts(&asked.key_types).unwrap_or_default().join(",");
                let message = format!("{} has no document {key}", asked.name);
                reply::error(StatusCode::NOT_FOUND, &message)
            }
            Found::Unknown(standing) => return not_readable(asked, standing),
        };
        position.tell(&mut response);
        reply::tell_view(&mut response, &view);
        response
    }

    async fn found(&self, document: Vec<u8>, if_none_match: Option<&HeaderValue>) -> Response {
        if let Some(error) = ErrorDocument::from_stored(&document) {
            return reply::error_document(&error);
        }
        match self.budget.room(document.len()).await {
            Some(room) => reply::content(room.hold(document), None, if_none_match),
            None => reply::not_now(TOO_BUSY),
        }
    }

    /// A list or look-up. A look-up is read by the indexes of the view that answers: of the one that
    /// answered last, and again if that turns out to be another by now.
    async fn list(&self, asked: &Served, query: &str, headers: &Headers) -> Response {
        let mut meant = self.reader.answered(asked);
        for _ in 0..SWITCHES_MAX {
            let view = self.views.answering(asked, &meant);
            let request = match ListRequest::parse(view, query, headers) {
                Ok(request) => request,
                Err(error) if !error.is_of_index() => return bad_request(&error),
                Err(error) => match self.reader.answering(asked).await {
                    Ok(now) if now != meant => {
                        meant = now;
                        continue;
                    }
                    Ok(_) | Err(_) => return bad_request(&error),
                },
            };
            if let Some(late) = self.late(asked, request.seen.as_ref()).await {
                return late;
            }
            match self.page(asked, &meant, &request, headers.if_none_match.as_ref()).await {
                Ok(response) => return response,
                Err(now) => meant = now,
            }
        }
        reply::not_now("another view answers at every look")
    }

    /// A page; the view that answers if that is not the one that is meant.
    async fn page(
        &self,
        asked: &Served,
        meant: &str,
        request: &ListRequest,
        if_none_match: Option<&HeaderValue>,
    ) -> Result<Response, Arc<str>> {
        const { assert!(PAGE_ROOM <= BYTES_MAX) };
        let Some(room) = self.budget.room(PAGE_ROOM).await else {
            return Ok(reply::not_now(TOO_BUSY));
        };
        let At { view, position, found } = match self.reader.page(asked, meant, request).await {
            Ok(at) => at,
            Err(error) => return Ok(unavailable(&error)),
        };
        let page = match found {
            Paged::Page(page) => page,
            Paged::Unknown(standing) => return Ok(not_readable(asked, standing)),
            Paged::Switched => return Err(view),
        };
        if lacks(&position, request.seen.as_ref()) {
            return Ok(too_late(asked, &position));
        }
        let last = page.documents.last().filter(|_| page.more_follow);
        let next_page = last.map(|(last, _)| request.next_page(asked, last));
        let body = room.hold(list_body(asked, self.views.answering(asked, &view), page));
        let mut response = reply::content(body, next_page, if_none_match);
        position.tell(&mut response);
        reply::tell_view(&mut response, &view);
        Ok(response)
    }

    /// `/healthz`: the process lives.
    pub(super) fn health(&self) -> Response {
        reply::json(StatusCode::OK, "{\"status\":\"ok\"}")
    }

    /// `/readyz`: whether everything can be served, and why not; besides what is to be known. How fresh
    /// it is does not stand against that: answers tell, and who must see a change can wait for it.
    pub(super) async fn ready(&self) -> Response {
        let Reasons { against, besides } = self.reasons().await;
        let mut body = format!("{{\"ready\":{},\"reasons\":[", against.is_empty()).into_bytes();
        for (i, reason) in against.iter().chain(&besides).enumerate() {
            if i > 0 {
                body.push(b',');
            }
            write_json_string(&mut body, reason);
        }
        body.extend_from_slice(b"]}");
        if against.is_empty() {
            reply::json(StatusCode::OK, body)
        } else {
            reply::retry_later(reply::json(StatusCode::SERVICE_UNAVAILABLE, body))
        }
    }

    /// `/metrics`.
    pub(super) fn metrics(&self) -> Response {
        let content_type =
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        reply::plain(StatusCode::OK, content_type, Bytes::from(self.metrics.encode()))
    }

    /// `/`: a page for people.
    pub(super) async fn front_page(&self) -> Response {
        let told = self.reader.standings().await;
        let Reasons { against, .. } = self.reasons().await;
        page::render(&self.views, told.as_deref().unwrap_or_default(), &against)
    }

    /// Why not everything can be served: what the parts of this process say, and how Redis and
    /// each view stand of which no part speaks.
    async fn reasons(&self) -> Reasons {
        let mut reasons = Reasons { against: self.readiness.reasons(), besides: Vec::new() };
        let told = |reasons: &Reasons, part: &str| {
            reasons.against.iter().any(|reason| reason.starts_with(&format!("{part}: ")))
        };
        match self.reader.standings().await {
            Ok(views) => {
                for Told { view, standing, served_by, behind } in views {
                    if let Some(other) = served_by {
                        let unknown = match self.views.get(&other) {
                            Some(_) => "",
                            None => ", of which this process has no file: send it SIGHUP",
                        };
                        let name = &view.name;
                        reasons
                            .besides
                            .push(format!("name {name}: answered by view {other}{unknown}"));
                    }
                    let part = format!("view {}", view.name);
                    let age = behind.and_then(|position| position.age());
                    if let Some(age) = age.filter(|age| *age >= BEHIND_MIN)
                        && standing == Standing::Complete
                    {
                        let seconds = age.as_secs();
                        reasons.besides.push(format!(
                            "{part}: behind: documents of it are due since changes of up to {seconds} s ago"
                        ));
                    }
                    if standing == Standing::Complete || told(&reasons, &part) {
                        continue;
                    }
                    let reason = format!("{part}: {}", explanation(standing));
                    match standing {
                        Standing::Renewing | Standing::OtherDefinition => &mut reasons.besides,
                        _ => &mut reasons.against,
                    }
                    .push(reason);
                }
            }
            Err(error) if !told(&reasons, "redis") => {
                reasons.against.push(format!("redis: {error}"));
            }
            Err(_) => {}
        }
        reasons
    }
}

/// What there is to say of readiness.
struct Reasons {
    /// Why not everything can be served.
    against: Vec<String>,
    /// What does not stand against it.
    besides: Vec<String>,
}

/// `[…]`, or `{"orders":[…]}` under the name of a mirror, whichever view answers.
fn list_body(asked: &Served, view: &Served, page: Page) -> Vec<u8> {
    let bytes: usize = page.documents.iter().map(|(_, document)| document.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + asked.name.len() + 16);
    if asked.is_mirror {
        body.push(b'{');
        write_json_string(&mut body, &asked.name);
        body.push(b':');
    }
    body.push(b'[');
    for (i, (key, document)) in page.documents.into_iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        match ErrorDocument::from_stored(&document) {
            None => body.extend_from_slice(&document),
            Some(error) => write_error_row(&mut body, view, &key, &error),
        }
    }
    body.push(b']');
    if asked.is_mirror {
        body.push(b'}');
    }
    body
}

/// Appends an error document in a list: its key, and the error in place of the other columns.
fn write_error_row(row: &mut Vec<u8>, view: &Served, key: &Key, error: &ErrorDocument) {
    row.push(b'{');
    let values = key.values(&view.key_types).unwrap_or_default();
    for (column, value) in view.key.iter().zip(&values) {
        write_json_string(row, &column.name);
        row.push(b':');
        write_json(row, value, column.ty);
        row.push(b',');
    }
    row.extend_from_slice(format!("\"error\":{{\"code\":{},\"column\":", error.code).as_bytes());
    match &error.column {
        Some(column) => write_json_string(row, column),
        None => row.extend_from_slice(b"null"),
    }
    row.extend_from_slice(b",\"message\":");
    write_json_string(row, &error.message);
    row.extend_from_slice(b"}}");
}

fn bad_request(error: &RequestError) -> Response {
    reply::error(StatusCode::BAD_REQUEST, &error.to_string())
}

fn no_view(name: &str, names: &[String]) -> Response {
    let message = format!("no view `{name}`; there are: {}", names.join(", "));
    reply::error(StatusCode::NOT_FOUND, &message)
}

/// Redis may have gone back since the wait for it ended.
fn lacks(position: &Position, seen: Option<&After>) -> bool {
    seen.is_some_and(|after| !position.contains(after))
}

fn too_late(view: &Served, position: &Position) -> Response {
    let message = format!(
        "{} does not contain these transactions yet; Viewtide-Position says which",
        view.name
    );
    let mut response = reply::error(StatusCode::GATEWAY_TIMEOUT, &message);
    position.tell(&mut response);
    response
}

fn not_readable(view: &Served, standing: Standing) -> Response {
    reply::not_now(&match standing {
        Standing::OtherForm => format!("{}: {}", view.name, explanation(standing)),
        _ => format!("{} is not complete yet; /readyz says why", view.name),
    })
}

/// How a view stands, for people.
fn explanation(standing: Standing) -> &'static str {
    match standing {
        Standing::Complete => "all its documents are there",
        Standing::Renewing => {
            "its documents are being filled anew; until then they are those of before"
        }
        Standing::OtherDefinition => "its documents are of another definition",
        Standing::OtherForm => {
            "its documents are of another definition, whose keys or indexes are others"
        }
        Standing::Filling => "its documents are being filled in",
        Standing::Empty => "no documents have been published yet",
    }
}

fn unavailable(error: &Unavailable) -> Response {
    reply::not_now(&error.to_string())
}
