//! Which of MySQL's transactions a view contains: told with every answer, and waited for where a
//! request names transactions that it must see.
//!
//! What is told was read in one instant with the documents: an answer contains what it says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Cmd, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use warp::http::header::{HeaderName, HeaderValue};
use warp::reply::Response;

use super::reader::{Reader, Unavailable};
use super::request::RequestError;
use super::views::{Served, Views};
use crate::gtid::GtidSet;
use crate::keyspace::{Contained, meta};

/// The transactions that an answer must contain, as `?after=` says too.
pub(super) const AFTER: &str = "viewtide-after";
/// The transactions that an answer contains.
const POSITION: HeaderName = HeaderName::from_static("viewtide-position");
/// How long ago the newest of them was committed, in seconds.
const AGE: HeaderName = HeaderName::from_static("viewtide-age");

/// Longest set of transactions that a request may name, in bytes.
const SET_BYTES_MAX: usize = 16 << 10;

/// How long a request waits for its transactions unless it says otherwise, and at most, in ms.
const WAIT_DEFAULT: u64 = 1_000;
pub(super) const WAIT_MAX: u64 = 10_000;

/// How long Redis may take to say where a view is, also past the end of the wait.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// How long a request waits before it asks again where a view is.
const LOOK: Duration = Duration::from_millis(3);

/// What a request must see, and how long it waits for it.
#[derive(Debug)]
pub(super) struct After {
    set: GtidSet,
    wait: Duration,
}

/// Where a view is, as Redis has it; only who waits has to understand the sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Position(Contained);

/// Waits for requests. However many wait, one of them asks at a time, and all see the answer.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// What Redis said last, and when it was asked.
    last: Mutex<Option<(Instant, Vec<Value>)>>,
}

impl After {
    /// Reads what a request says: a set in its query or header, and `wait` in milliseconds. `None`
    /// if it names no transactions.
    pub(super) fn parse(
        after: Option<&str>,
        wait: Option<&str>,
        header: Option<&HeaderValue>,
    ) -> Result<Option<After>, RequestError> {
        let wait = match wait {
            None => WAIT_DEFAULT,
            Some(text) => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let wait = if digits { text.parse().ok() } else { None };
                let wait = wait.filter(|wait| *wait <= WAIT_MAX);
                wait.ok_or_else(|| RequestError::Wait(text.to_owned()))?
            }
        };
        let header = match header.map(HeaderValue::to_str) {
            Some(Ok(text)) => Some(text),
            Some(Err(_)) => return Err(RequestError::After("of the header".to_owned())),
            None => None,
        };
        let Some(text) = after.or(header) else { return Ok(None) };
        let bad = || RequestError::After(text.chars().take(100).collect());
        if text.len() > SET_BYTES_MAX {
            return Err(bad());
        }
        let set = text.parse().map_err(|_| bad())?;
        Ok(Some(After { set, wait: Duration::from_millis(wait) }))
    }
}

impl Position {
    /// Asks for what all views contain: three fields, and two for each view, of what it contains and
    /// of which one answers for its name.
    pub(super) fn ask_all(meta_key: &str, views: &Views) -> Cmd {
        let mut ask = redis::cmd("HMGET");
        ask.arg(meta_key).arg(&[meta::APPLIED, meta::EXECUTED, meta::COMMITTED]);
        for view in views.iter() {
            ask.arg(&[&view.fields.behind, &view.served]);
        }
        ask
    }

    /// Reads what a script tells of a view behind its generations.
    pub(super) fn read(fields: &[Value]) -> Position {
        match fields {
            [behind, applied, executed, committed] => {
                Position::of(applied, executed, committed, behind)
            }
            _ => Position::default(),
        }
    }

    fn of(applied: &Value, executed: &Value, committed: &Value, behind: &Value) -> Position {
        // What is applied says nothing then of what is read of the view.
        if let Some(behind) = text(behind) {
            return Position::of_behind(behind);
        }
        let text = |value| text(value).unwrap_or_default().to_owned();
        Position(Contained {
            applied: text(applied),
            executed: text(executed),
            committed_us: text(committed).parse().ok(),
        })
    }

    /// Reads what is told of a view while documents of it are due.
    pub(super) fn of_behind(field: &str) -> Position {
        Position(Contained::from_field(field))
    }

    /// How long ago the newest of the transactions was committed.
    pub(super) fn age(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(now.saturating_sub(Duration::from_micros(self.0.committed_us?)))
    }

    /// Whether what a request must see is contained.
    pub(super) fn contains(&self, after: &After) -> bool {
        self.0.contains(&after.set)
    }

    /// Tells the position in the headers of an answer.
    pub(super) fn tell(&self, response: &mut Response) {
        let headers = response.headers_mut();
        // Both are printable ASCII.
        if let Ok(position) = HeaderValue::from_str(&self.0.applied) {
            headers.insert(POSITION, position);
        }
        if let Some(age) = self.age()
            && let Ok(age) = HeaderValue::from_str(&format!("{:.3}", age.as_secs_f64()))
        {
            headers.insert(AGE, age);
        }
    }
}

impl Waiting {
    /// Waits until the view that answers for a name contains what a request must see; the position
    /// reached if it is too late.
    pub(super) async fn wait(
        &self,
        reader: &Reader,
        views: &Views,
        asked: &Served,
        after: &After,
    ) -> Result<Result<(), Position>, Unavailable> {
        let deadline = Instant::now() + after.wait;
        loop {
            let looking = self.look(reader, views, asked);
            let Ok(position) = timeout_at(deadline.max(Instant::now() + LOOK_MAX), looking).await
            else {
                return Err(Unavailable::late());
            };
            let position = position?;
            if position.contains(after) {
                return Ok(Ok(()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Err(position));
            }
            sleep(left.min(LOOK)).await;
        }
    }

    /// Where the view is that answers for a name. Who asked while another waited for Redis takes what
    /// that one's next question brings; of a view that no file here defines each asks by itself.
    async fn look(
        &self,
        reader: &Reader,
        views: &Views,
        asked: &Served,
    ) -> Result<Position, Unavailable> {
        let since = Instant::now();
        let mut last = self.last.lock().await;
        let fields = match last.take() {
            Some((when, fields)) if when >= since => last.insert((when, fields)),
            _ => {
                let now = Instant::now();
                last.insert((now, reader.positions().await?))
            }
        };
        let [applied, executed, committed, of_views @ ..] = fields.1.as_slice() else {
            return Ok(Position::default());
        };
        let of_view =
            |view: &Served, at: usize| of_views.get(2 * view.place + at).unwrap_or(&Value::Nil);
        let view = match text(of_view(asked, 1)) {
            Some(served_by) => match views.get(served_by) {
                Some(view) => view,
                None => return reader.position_of(served_by).await,
            },
            None => asked,
        };
        Ok(Position::of(applied, executed, committed, of_view(view, 0)))
    }
}

/// Text that Redis answers.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "f9922be6-e58e-11f1-8fa9-02fc00000001";
    const B: &str = "f9922be6-e58e-11f1-8fa9-02fc00000002";

    fn position(fields: [Option<&str>; 4]) -> Position {
        let value = |text: Option<&str>| {
            text.map_or(Value::Nil, |text| Value::BulkString(text.as_bytes().to_vec()))
        };
        Position::read(&fields.map(value))
    }

    #[test]
    fn a_view_contains_what_is_applied_unless_documents_are_due() {
        let (applied, executed) = (format!("{A}:1-9"), format!("{A}:1-8,{B}:1-5"));
        let fields = [Some(applied.as_str()), Some(executed.as_str()), Some("1000000")];
        let due = format!("{A}:1-4 {B}:1-2 500000");
        for (behind, set, contained) in [
            (None, format!("{A}:9"), true),
            (None, format!("{A}:10"), false),
            (None, format!("{A}:9,{B}:5"), true),
            (Some(due.as_str()), format!("{A}:4"), true),
            (Some(due.as_str()), format!("{A}:5"), false),
            (Some(due.as_str()), format!("{A}:1-4,{B}:2"), true),
            (Some(due.as_str()), format!("{B}:3"), false),
            (Some(""), format!("{A}:1"), false),
        ] {
            let position = position([behind, fields[0], fields[1], fields[2]]);
            let after = After::parse(Some(&set), None, None).unwrap().unwrap();
            assert_eq!(position.contains(&after), contained, "{behind:?} {set}");
            let committed = match behind {
                None => Some(1_000_000),
                Some("") => None,
                Some(_) => Some(500_000),
            };
            assert_eq!(position.0.committed_us, committed);
        }
    }

    #[test]
    fn what_a_request_says_is_read_or_refused() {
        let set = format!("{A}:1-9");
        let header = HeaderValue::from_str(&set).unwrap();
        assert!(After::parse(None, Some("5"), None).unwrap().is_none());
        let after = After::parse(None, Some("10000"), Some(&header)).unwrap().unwrap();
        assert_eq!(after.wait, Duration::from_secs(10));
        for (after, wait) in [
            (Some("x"), None),
            (Some(set.as_str()), Some("10001")),
            (Some(set.as_str()), Some("-1")),
            (Some(set.as_str()), Some("")),
        ] {
            assert!(After::parse(after, wait, None).is_err(), "{after:?} {wait:?}");
        }
    }
}
