//! The front page: what is served and how it stands, for people. Static but for that; no script,
//! nothing from elsewhere.

use std::fmt::{Display, Formatter, Result as FmtResult, Write as _};

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use warp::http::StatusCode;
use warp::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use warp::reply::Response;

use super::reader::{Standing, Told};
use super::reply;
use super::views::{Served, Views};

/// Seconds after which the page loads itself again.
const REFRESH_SECONDS: u32 = 5;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;\
padding:0 1rem;color:#1b1f24;background:#fff}h1{font-size:1.4rem}table{border-collapse:collapse;\
width:100%}td,th{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #d8dee4;\
vertical-align:top}code{font-size:.9em}.ok{color:#116329}.no{color:#a40e26}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}td,th{border-color:#30363d}\
a{color:#6cb6ff}.ok{color:#57ab5a}.no{color:#f47067}}";

/// The page; where nothing is `told`, nobody knows how the views stand.
pub(super) fn render(views: &Views, told: &[Told<'_>], reasons: &[String]) -> Response {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\">\
         <title>viewtide</title><style>{STYLE}</style></head><body><h1>viewtide</h1>"
    );
    if reasons.is_empty() {
        html.push_str("<p class=\"ok\">ready</p>");
    } else {
        html.push_str("<p class=\"no\">not ready</p><ul>");
        reasons
            .iter()
            .for_each(|reason| push(&mut html, &format_args!("<li>{}</li>", Text(reason))));
        html.push_str("</ul>");
    }
    html.push_str(
        "<table><tr><th>view</th><th>one document</th><th>look-ups</th><th>state</th></tr>",
    );
    for (i, view) in views.iter().enumerate() {
        push_view(&mut html, view, told.get(i));
    }
    html.push_str(
        "</table><p><a href=\"/readyz\">/readyz</a> <a href=\"/healthz\">/healthz</a> \
         <a href=\"/metrics\">/metrics</a></p></body></html>",
    );
    let content_type = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = reply::plain(StatusCode::OK, content_type, Bytes::from(html));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn push_view(html: &mut String, view: &Served, told: Option<&Told<'_>>) {
    let path = utf8_percent_encode(&view.name, NON_ALPHANUMERIC);
    let name = Text(&view.name);
    let key: Vec<String> = view.key.iter().map(|column| format!("{{{}}}", column.name)).collect();
    let key = key.join(",");
    let (class, state) = match told.map(|told| told.standing) {
        Some(Standing::Complete) => ("ok", "complete"),
        Some(Standing::Filling) => ("no", "filling"),
        Some(Standing::Renewing) => ("ok", "complete, being filled anew"),
        Some(Standing::OtherDefinition) => ("ok", "complete, of another definition"),
        Some(Standing::OtherForm) => ("no", "of another definition"),
        Some(Standing::Empty) => ("no", "empty"),
        None => ("no", "unknown"),
    };
    let answered = match told.and_then(|told| told.served_by.as_ref()) {
        Some(other) => format!("; readers of this name get {other}"),
        None => String::new(),
    };
    push(
        html,
        &format_args!(
            "<tr><td><a href=\"/{path}?limit=20\">{name}</a></td>\
             <td><code>/{name}/{}</code></td><td>{}</td><td class=\"{class}\">{state}{}</td></tr>",
            Text(&key),
            Text(&view.indexes_shown()),
            Text(&answered)
        ),
    );
}

fn push(html: &mut String, what: &dyn Display) {
    // Writing to a String cannot fail.
    let _ = write!(html, "{what}");
}

/// Text as it stands in HTML, in elements and quoted attributes.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
