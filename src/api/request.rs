//! What a request asks for, read from its path and query.

use std::fmt::Display;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use warp::http::header::HeaderValue;

use super::position::{After, WAIT_MAX};
use super::views::{Index, Served};
use crate::keyspace::index_prefix;
use crate::value::{Key, KeyError, Type};

/// Documents on a page unless the request says otherwise.
const LIMIT_DEFAULT: usize = 1000;

/// Most documents on a page.
const LIMIT_MAX: usize = 10_000;

/// Most bytes of a key or of an index's values, decoded; MySQL's own keys have at most 3072.
const KEY_BYTES_MAX: usize = 4096;

/// What stays as it is in a link's query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A page of a list.
#[derive(Debug)]
pub(super) struct ListRequest {
    /// Most documents.
    pub(super) limit: usize,
    /// What all members of the sorted set begin with; empty in a list of all.
    pub(super) prefix: Vec<u8>,
    /// The page begins after this key.
    pub(super) after: Option<Key>,
    /// What the page must contain.
    pub(super) seen: Option<After>,
    /// The query without its cursor, to be repeated in the next page's address.
    kept: String,
}

/// One document.
#[derive(Debug)]
pub(super) struct DocumentRequest {
    pub(super) key: Key,
    /// What the document must contain.
    pub(super) seen: Option<After>,
}

/// The headers of a request that matter here.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) if_none_match: Option<HeaderValue>,
    pub(super) after: Option<HeaderValue>,
}

/// Why a request is not understood; each becomes a 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("`{0}` is not percent-encoded utf-8")]
    Encoding(String),
    #[error("the key is longer than {KEY_BYTES_MAX} bytes")]
    TooLong,
    #[error("{error}; the key is {expected}")]
    Key { error: KeyError, expected: String },
    #[error("parameter `{0}` is given twice")]
    Twice(String),
    #[error("limit `{0}` is not a whole number from 1 to {LIMIT_MAX}")]
    Limit(String),
    #[error("wait `{0}` is not a whole number of milliseconds from 0 to {WAIT_MAX}")]
    Wait(String),
    #[error("after `{0}` is no set of transactions as MySQL's gtid_executed: UUID:1-5,UUID:TAG:7")]
    After(String),
    #[error("a single document takes no parameter `{0}`; there are after and wait")]
    NoParameter(String),
    #[error("cursor `{0}` is none of this list; take the address in the Link header as it is")]
    Cursor(String),
    #[error(
        "no index on `{asked}`; indexes of this view: {indexes}; other parameters: limit, cursor, after, wait"
    )]
    NoIndex { asked: String, indexes: String },
    #[error("`{value}` is no value of column {column}")]
    Value { column: String, value: String },
}

/// Reads the key in a path: `7`, `a,b` for two columns, percent-encoded, `~` for NULL.
fn parse_key(view: &Served, segment: &str) -> Result<Key, RequestError> {
    let parts = segment.split(',').map(decode).collect::<Result<Vec<_>, _>>()?;
    if parts.iter().map(String::len).sum::<usize>() > KEY_BYTES_MAX {
        return Err(RequestError::TooLong);
    }
    Key::parse(&view.key_types, &parts).map_err(|error| {
        let names: Vec<&str> = view.key.iter().map(|column| column.name.as_str()).collect();
        RequestError::Key { error, expected: names.join(",") }
    })
}

impl RequestError {
    /// Whether it would be none for a view with other indexes.
    pub(super) fn is_of_index(&self) -> bool {
        matches!(self, RequestError::NoIndex { .. } | RequestError::Value { .. })
    }
}

impl DocumentRequest {
    /// Reads a key from a path, and a query: `after` and `wait`.
    pub(super) fn parse(
        view: &Served,
        segment: &str,
        query: &str,
        headers: &Headers,
    ) -> Result<DocumentRequest, RequestError> {
        let (mut after, mut wait) = (None, None);
        for pair in parameters(query) {
            let (name, value) = pair?;
            let known = match name.as_str() {
                "after" => after.replace(value).is_some(),
                "wait" => wait.replace(value).is_some(),
                _ => return Err(RequestError::NoParameter(name)),
            };
            if known {
                return Err(RequestError::Twice(name));
            }
        }
        let seen = After::parse(after.as_deref(), wait.as_deref(), headers.after.as_ref())?;
        Ok(DocumentRequest { key: parse_key(view, segment)?, seen })
    }
}

impl ListRequest {
    /// Reads a query: `limit`, `cursor`, `after`, `wait`, and the columns of one index.
    pub(super) fn parse(
        view: &Served,
        query: &str,
        headers: &Headers,
    ) -> Result<ListRequest, RequestError> {
        let (mut limit, mut cursor, mut after, mut wait) = (None, None, None, None);
        let mut columns: Vec<(String, String)> = Vec::new();
        for pair in parameters(query) {
            let (name, value) = pair?;
            let known = match name.as_str() {
                "limit" => limit.replace(value).is_some(),
                "cursor" => cursor.replace(value).is_some(),
                "after" => after.replace(value).is_some(),
                "wait" => wait.replace(value).is_some(),
                _ => {
                    let known = columns.iter().any(|(known, _)| *known == name);
                    columns.push((name.clone(), value));
                    known
                }
            };
            if known {
                return Err(RequestError::Twice(name));
            }
        }
        let mut kept = Vec::new();
        let limit = match limit {
            None => LIMIT_DEFAULT,
            Some(text) => {
                let limit = parse_limit(&text)?;
                kept.push(format!("limit={limit}"));
                limit
            }
        };
        let encode = |text| utf8_percent_encode(text, QUERY);
        kept.extend(columns.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))));
        Ok(ListRequest {
            limit,
            prefix: parse_look_up(view, &columns)?,
            after: cursor.map(|text| parse_cursor(&view.key_types, text)).transpose()?,
            seen: After::parse(after.as_deref(), wait.as_deref(), headers.after.as_ref())?,
            kept: kept.join("&"),
        })
    }

    /// The address of the page that begins after this key.
    pub(super) fn next_page(&self, asked: &Served, last: &Key) -> String {
        let name = encoded(&asked.name);
        let separator = if self.kept.is_empty() { "" } else { "&" };
        let cursor = BASE64_URL_SAFE_NO_PAD.encode(last.as_bytes());
        format!("/{name}?{}{separator}cursor={cursor}", self.kept)
    }

    /// The page's bounds as ZRANGEBYLEX takes them.
    pub(super) fn bounds(&self) -> (Vec<u8>, Vec<u8>) {
        let bound = |mark: u8, rest: &[u8]| [&[mark], self.prefix.as_slice(), rest].concat();
        let lower = match &self.after {
            Some(key) => bound(b'(', key.as_bytes()),
            None if self.prefix.is_empty() => b"-".to_vec(),
            None => bound(b'[', &[]),
        };
        // Keys begin with 0 or 1.
        let upper = if self.prefix.is_empty() { b"+".to_vec() } else { bound(b'(', &[0xFF]) };
        (lower, upper)
    }
}

/// A name as it stands in addresses and headers.
pub(super) fn encoded(name: &str) -> impl Display {
    utf8_percent_encode(name, QUERY)
}

/// The parameters of a query, decoded.
fn parameters(query: &str) -> impl Iterator<Item = Result<(String, String), RequestError>> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
    })
}

/// Percent-decodes; the path or query has no other escapes.
pub(super) fn decode(text: &str) -> Result<String, RequestError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| RequestError::Encoding(text.to_owned()))
}

fn parse_limit(text: &str) -> Result<usize, RequestError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = if digits { text.parse().ok() } else { None };
    limit
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| RequestError::Limit(text.to_owned()))
}

fn parse_cursor(types: &[Type], text: String) -> Result<Key, RequestError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text).ok();
    let key = bytes.map(|bytes| Key::from_bytes(&bytes));
    key.filter(|key| key.values(types).is_some()).ok_or(RequestError::Cursor(text))
}

/// What the members of the index on these columns begin with; nothing without columns.
fn parse_look_up(view: &Served, asked: &[(String, String)]) -> Result<Vec<u8>, RequestError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let covers = |index: &&Index| {
        index.columns.len() == asked.len()
            && index.columns.iter().all(|column| asked.iter().any(|(n, _)| *n == column.name))
    };
    let Some(index) = view.indexes.iter().find(covers) else {
        let names: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
        return Err(RequestError::NoIndex {
            asked: names.join("&"),
            indexes: view.indexes_shown(),
        });
    };
    let mut types = Vec::new();
    let mut values = Vec::new();
    for column in &index.columns {
        types.push(column.ty);
        values.extend(asked.iter().find(|(n, _)| *n == column.name).map(|(_, v)| v.as_str()));
    }
    if values.iter().map(|value| value.len()).sum::<usize>() > KEY_BYTES_MAX {
        return Err(RequestError::TooLong);
    }
    let key = Key::parse(&types, &values).map_err(|error| match error {
        KeyError::Value { column, text } => {
            RequestError::Value { column: index.columns[column - 1].name.clone(), value: text }
        }
        KeyError::Parts { .. } => RequestError::TooLong,
    })?;
    Ok(index_prefix(index.number, &key))
}

/// Reads requests of a plan's views as the API does: for the fuzzer, there is no other way in
/// without a server.
#[cfg(fuzzing)]
#[derive(Debug)]
pub struct Requests(super::views::Views);

#[cfg(fuzzing)]
impl Requests {
    /// Requests to these views.
    pub fn new(plan: &crate::sql::plan::Plan) -> Requests {
        Requests(super::views::Views::new(plan).expect("no view is called as a path"))
    }

    /// Reads the request of a document and that of a list; panics where what was read cannot be
    /// asked for again.
    pub fn read(&self, view: &str, key: &str, query: &str, after: &str) {
        let view = self.0.get(view).expect("the view is there");
        let after = (!after.is_empty()).then(|| HeaderValue::from_str(after).ok()).flatten();
        let headers = Headers { if_none_match: None, after };
        if let Ok(request) = DocumentRequest::parse(view, key, query, &headers) {
            let texts = request.key.texts(&view.key_types).expect("it is a key of the view");
            assert_eq!(Key::parse(&view.key_types, &texts), Ok(request.key));
        }
        if let Ok(list) = ListRequest::parse(view, query, &headers) {
            let (lower, upper) = list.bounds();
            assert!(!lower.is_empty() && !upper.is_empty());
            let Some(last) = &list.after else { return };
            let page = list.next_page(view, last);
            let (_, query) = page.split_once('?').expect("it has a query");
            let next = ListRequest::parse(view, query, &Headers::default());
            let next = next.expect("the next page's address is one");
            assert_eq!((&next.after, &next.prefix), (&list.after, &list.prefix));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::views::Views;
    use crate::sql::{Definitions, QUERY_PARAMETERS, SourceFile, plan_views};

    #[test]
    fn what_no_index_can_be_on_is_what_a_list_takes_for_its_own() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id));")],
            streams: Vec::new(),
            views: vec![file("v.sql", "CREATE VIEW v AS SELECT id FROM t;")],
        });
        let views = Views::new(&plan.unwrap()).unwrap();
        let view = views.get("v").unwrap();
        let ask = |name| ListRequest::parse(view, &format!("{name}=x"), &Headers::default());
        for name in QUERY_PARAMETERS {
            assert!(!matches!(ask(name), Err(RequestError::NoIndex { .. })), "{name}");
        }
        assert!(matches!(ask("id"), Err(RequestError::NoIndex { .. })));
    }
}
