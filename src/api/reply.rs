//! Answers: status, headers, JSON.

use bytes::Bytes;
use warp::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LINK,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{Method, StatusCode};
use warp::reply::Response;
use xxhash_rust::xxh3::Xxh3;

use super::request::encoded;
use crate::keyspace::ErrorDocument;
use crate::value::write_json_string;

/// Seconds after which a client may ask again.
const RETRY_AFTER_SECONDS: &str = "1";

/// The view whose documents an answer has.
const VIEW: HeaderName = HeaderName::from_static("viewtide-view");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer with these headers and those that all answers have.
pub(super) fn plain(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// JSON that nobody may keep.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    plain(status, JSON, body.into())
}

/// Documents: JSON that may be kept and asked for again by its tag. `next_page` is the address of
/// the next page.
pub(super) fn content(
    body: Bytes,
    next_page: Option<String>,
    if_none_match: Option<&HeaderValue>,
) -> Response {
    let tag = tag_of(&body, next_page.as_deref());
    let is_known = if_none_match.is_some_and(|known| names_tag(known.as_bytes(), tag.as_bytes()));
    let mut response = if is_known {
        let mut response = plain(StatusCode::NOT_MODIFIED, JSON, Bytes::new());
        response.headers_mut().remove(CONTENT_TYPE);
        response
    } else {
        plain(StatusCode::OK, JSON, body)
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Both are printable ASCII: hexadecimal digits, and a percent-encoded address.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    if let Some(Ok(link)) =
        next_page.map(|address| HeaderValue::from_str(&format!("<{address}>; rel=\"next\"")))
    {
        headers.insert(LINK, link);
    }
    response
}

/// Tells which view an answer is of.
pub(super) fn tell_view(response: &mut Response, view: &str) {
    // Printable ASCII.
    if let Ok(view) = HeaderValue::from_str(&encoded(view).to_string()) {
        response.headers_mut().insert(VIEW, view);
    }
}

/// `{"error": "…"}`.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    let mut body = b"{\"error\":".to_vec();
    write_json_string(&mut body, message);
    body.push(b'}');
    json(status, body)
}

/// 503: it cannot be told now, and may be told soon.
pub(super) fn not_now(message: &str) -> Response {
    retry_later(error(StatusCode::SERVICE_UNAVAILABLE, message))
}

/// Says when to come again.
pub(super) fn retry_later(mut response: Response) -> Response {
    set(&mut response, RETRY_AFTER, RETRY_AFTER_SECONDS);
    response
}

/// 422: the row is there, but MySQL itself cannot compute the document.
pub(super) fn error_document(document: &ErrorDocument) -> Response {
    let mut body = b"{\"error\":".to_vec();
    write_json_string(&mut body, format!("MySQL error {}: {}", document.code, document.message));
    body.extend_from_slice(format!(",\"code\":{},\"column\":", document.code).as_bytes());
    match &document.column {
        Some(column) => write_json_string(&mut body, column),
        None => body.extend_from_slice(b"null"),
    }
    body.push(b'}');
    json(StatusCode::UNPROCESSABLE_ENTITY, body)
}

/// 405.
pub(super) fn wrong_method(method: &Method) -> Response {
    let message = format!("method {method} is not allowed; documents are read with GET");
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, &message);
    set(&mut response, ALLOW, "GET, HEAD");
    response
}

/// An error after which the connection is closed, for what follows on it is not to be trusted.
pub(super) fn closing(status: StatusCode, message: &str) -> Response {
    let mut response = error(status, message);
    set(&mut response, CONNECTION, "close");
    response
}

fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// A strong tag. A page's link is part of what it says.
fn tag_of(body: &[u8], next_page: Option<&str>) -> String {
    let mut hash = Xxh3::new();
    hash.update(body);
    hash.update(next_page.unwrap_or_default().as_bytes());
    format!("\"{:032x}\"", hash.digest128())
}

/// Whether an If-None-Match names a tag, by the weak comparison that RFC 9110 asks for.
fn names_tag(known: &[u8], tag: &[u8]) -> bool {
    let mut parts = known.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    parts.any(|part| part == b"*" || part.strip_prefix(b"W/").unwrap_or(part) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_in_lists() {
        let tag = tag_of(b"x", None);
        for known in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
            assert!(names_tag(known.as_bytes(), tag.as_bytes()), "{known}");
        }
        assert!(!names_tag(b"\"a\"", tag.as_bytes()));
        assert_ne!(tag, tag_of(b"x", Some("/next")));
    }
}
