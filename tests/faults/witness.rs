//! A reader that believes nothing: it asks for documents during all faults and holds every answer
//! against those before and against itself.
//!
//! - *backwards*: a version, a customer's version or a number of events below what was seen before;
//!   a document that is back after it was gone.
//! - *torn*: a document of which one part is of another transaction than the rest; a list whose
//!   orders do not hold together.
//!
//! One request at a time, so that what was seen before was also answered before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::{SeedableRng as _, seq::IteratorRandom as _};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::task::JoinHandle;

/// The view that it reads.
pub(crate) const VIEW: &str = "order_sheets";

/// How long an answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(12);

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(4);

/// Documents of a list.
const LIST: usize = 1000;

/// Requests for single documents between two lists.
const SINGLES: u32 = 25;

/// Wrong answers kept to be shown.
const EXAMPLES_MAX: usize = 5;

/// What it has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Documents and lists read.
    pub(crate) reads: u64,
    /// Requests without an answer: 503, or nobody there.
    pub(crate) unanswered: u64,
    /// Answers older than one before.
    pub(crate) backwards: u64,
    /// The same while Redis itself had gone back ([`Witness::expect_rewind`]).
    pub(crate) rewound: u64,
    /// Answers that mix before and after of a transaction.
    pub(crate) torn: u64,
    /// Some of what was wrong, in words.
    pub(crate) examples: Vec<String>,
}

/// A witness at work.
pub(crate) struct Witness {
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    seen: Seen,
    rewind: Rewind,
}

/// Whether answers may be older than those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rewind {
    #[default]
    No,
    Expected,
    /// Until the next list, which shows everything as it is now.
    Ending,
}

impl Witness {
    /// Starts reading at host and port.
    pub(crate) fn start(address: &str, seed: u64) -> Witness {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let client = Client::builder().timeout(ANSWER_WAIT).build().unwrap();
        let reader = Reader {
            client,
            base: format!("http://{address}/{VIEW}"),
            shared: Arc::clone(&shared),
            known: BTreeMap::new(),
            gone: BTreeSet::new(),
            random: StdRng::seed_from_u64(seed),
        };
        Witness { shared, task: tokio::spawn(reader.run()) }
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.shared.lock().unwrap().seen.clone()
    }

    /// While Redis itself has gone back, or lost all, nobody can keep readers from seeing that:
    /// it is counted apart until told otherwise.
    pub(crate) fn expect_rewind(&self, expected: bool) {
        let rewind = if expected { Rewind::Expected } else { Rewind::Ending };
        self.shared.lock().unwrap().rewind = rewind;
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sight {
    version: i64,
    customer: i64,
    customer_version: i64,
    events: i64,
}

struct Reader {
    client: Client,
    base: String,
    shared: Arc<Mutex<Shared>>,
    known: BTreeMap<i64, Sight>,
    /// Known once, then answered with 404 or not listed.
    gone: BTreeSet<i64>,
    random: StdRng,
}

impl Reader {
    async fn run(mut self) {
        loop {
            self.list().await;
            for _ in 0..SINGLES {
                self.single().await;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn list(&mut self) {
        let is_ending = self.shared.lock().unwrap().rewind == Rewind::Ending;
        let Some((StatusCode::OK, Value::Array(documents))) =
            self.get(&format!("?limit={LIST}")).await
        else {
            return;
        };
        let mut credits = 0;
        let mut listed = BTreeSet::new();
        for document in &documents {
            let Some(order) = self.look_at(document) else { continue };
            listed.insert(order);
            credits += document["credit"].as_i64().unwrap_or(0);
        }
        if credits != 0 {
            self.torn(format!("the credits of {} orders are {credits} in sum", documents.len()));
        }
        // What would come after a full page is on the next.
        let last = match (documents.len() < LIST, listed.last()) {
            (false, Some(&last)) => last,
            _ => i64::MAX,
        };
        let is_gone = |order: &i64| *order <= last && !listed.contains(order);
        self.gone.extend(self.known.keys().copied().filter(is_gone));
        self.known.retain(|order, _| !is_gone(order));
        if is_ending {
            self.shared.lock().unwrap().rewind = Rewind::No;
        }
    }

    async fn single(&mut self) {
        let order = match self.random.random_ratio(1, 10) {
            true => self.gone.iter().choose(&mut self.random),
            false => self.known.keys().choose(&mut self.random),
        };
        let Some(&order) = order else { return };
        match self.get(&format!("/{order}")).await {
            Some((StatusCode::OK, document)) => drop(self.look_at(&document)),
            Some((StatusCode::NOT_FOUND, _)) => {
                self.known.remove(&order);
                self.gone.insert(order);
            }
            _ => {}
        }
    }

    /// Holds a document against itself and against what was seen of it; its order.
    fn look_at(&mut self, document: &Value) -> Option<i64> {
        let number = |column: &str| document[column].as_i64();
        let (Some(order), Some(version)) = (number("order_id"), number("version")) else {
            self.torn(format!("not a document of an order: {document}"));
            return None;
        };
        let versions = [number("items_version_min"), number("items_version_max")];
        if document["total"] != document["items_total"] || versions != [Some(version); 2] {
            self.torn(document.to_string());
        }
        let now = Sight {
            version,
            customer: number("customer_id").unwrap_or(-1),
            customer_version: number("customer_version").unwrap_or(-1),
            events: number("events").unwrap_or(-1),
        };
        if self.gone.remove(&order) {
            self.backwards(format!("order {order} is back after it was gone"));
        }
        if let Some(before) = self.known.insert(order, now)
            && (now.version < before.version
                || now.events < before.events
                || (now.customer == before.customer
                    && now.customer_version < before.customer_version))
        {
            self.backwards(format!("order {order}: {before:?}, then {now:?}"));
        }
        Some(order)
    }

    /// An answer, if there is one.
    async fn get(&mut self, rest: &str) -> Option<(StatusCode, Value)> {
        let answer = async {
            let answer = self.client.get(format!("{}{rest}", self.base)).send().await.ok()?;
            let status = answer.status();
            let body = answer.bytes().await.ok()?;
            let answered = matches!(status, StatusCode::OK | StatusCode::NOT_FOUND);
            answered.then(|| (status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
        };
        let answer = answer.await;
        let seen = &mut self.shared.lock().unwrap().seen;
        match answer {
            Some(_) => seen.reads += 1,
            None => seen.unanswered += 1,
        }
        answer
    }

    fn torn(&self, what: String) {
        let seen = &mut self.shared.lock().unwrap().seen;
        seen.torn += 1;
        show(seen, "torn", what);
    }

    fn backwards(&self, what: String) {
        let mut shared = self.shared.lock().unwrap();
        if shared.rewind != Rewind::No {
            shared.seen.rewound += 1;
            return;
        }
        shared.seen.backwards += 1;
        show(&mut shared.seen, "backwards", what);
    }
}

fn show(seen: &mut Seen, kind: &str, what: String) {
    if seen.examples.len() < EXAMPLES_MAX {
        seen.examples.push(format!("{kind}: {what}"));
    }
}
