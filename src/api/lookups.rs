//! Look-ups of single documents, gathered: those that come while Redis is asked for others under the
//! same name are asked for together next.
//!
//! Each is answered with what Redis held at one instant after it came, document and position, as if
//! it had been asked for alone; but under load a whole batch shares one script and one position.

use std::sync::Arc;

use redis::Value;
use tokio::sync::{mpsc, oneshot};

use super::reader::{At, Found, Script, Shared, Standing, There, Unavailable};
use super::reader::{into_parts, there, unexpected, view_of};
use super::views::{Served, Views};
use crate::keyspace::Keyspace;
use crate::value::Key;

/// Most documents asked for at once.
const TOGETHER_MAX: usize = 128;

/// Bytes of documents after which the rest is asked for anew; the last one may exceed it.
const BYTES_MAX: usize = 1 << 20;

/// Look-ups that wait to be asked for; then requests wait for a place.
const WAITING_MAX: usize = 1024;

type Answer = Result<At<Found>, Unavailable>;

/// One look-up, and who waits for it.
#[derive(Debug)]
struct Lookup {
    key: Key,
    answer: oneshot::Sender<Answer>,
}

/// Where look-ups under one name are handed in.
#[derive(Debug)]
pub(super) struct Lookups(mpsc::Sender<Lookup>);

/// Asks for them; a task of its own.
#[derive(Debug)]
pub(super) struct Gatherer {
    documents: Arc<Shared>,
    script: Script,
    keyspace: Keyspace,
    views: Arc<Views>,
    /// The view of the name that is asked by.
    asked: Served,
    lookups: mpsc::Receiver<Lookup>,
}

impl Lookups {
    pub(super) fn new(
        documents: Arc<Shared>,
        keyspace: Keyspace,
        views: Arc<Views>,
        asked: Served,
    ) -> (Lookups, Gatherer) {
        let (sender, lookups) = mpsc::channel(WAITING_MAX);
        let script = Script::new(concat!(include_str!("view.lua"), include_str!("document.lua")));
        (Lookups(sender), Gatherer { documents, script, keyspace, views, asked, lookups })
    }

    /// One document. While a view is filled for the first time, there may be some already.
    pub(super) async fn document(&self, key: &Key) -> Answer {
        let (answer, answered) = oneshot::channel();
        let lookup = Lookup { key: key.clone(), answer };
        // The task outlives every request unless the process ends.
        self.0.send(lookup).await.map_err(|_| Unavailable::ending())?;
        answered.await.map_err(|_| Unavailable::ending())?
    }
}

impl Gatherer {
    /// Answers look-ups until nobody can hand any in.
    pub(super) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(TOGETHER_MAX);
        loop {
            let room = TOGETHER_MAX - waiting.len();
            if waiting.is_empty() && self.lookups.recv_many(&mut waiting, room).await == 0 {
                return;
            }
            if let Err(unavailable) = self.ask(&mut waiting).await {
                for Lookup { answer, .. } in waiting.drain(..) {
                    drop(answer.send(Err(unavailable.clone())));
                }
            }
        }
    }

    /// Answers those in front, as many as Redis tells of.
    async fn ask(&self, waiting: &mut Vec<Lookup>) -> Result<(), Unavailable> {
        let mut call = self.script.call(&self.keyspace, &self.asked);
        call.arg(BYTES_MAX);
        for lookup in &*waiting {
            call.arg(lookup.key.as_bytes());
        }
        let [view, told, documents] = into_parts(self.documents.run(&self.script, &call).await?)?;
        let view: Arc<str> = view_of(&view)?.into();
        let (there, position) = there(told)?;
        let position = Arc::new(position);
        let Value::Array(documents) = documents else { return Err(unexpected(&documents)) };
        if documents.is_empty() || documents.len() > waiting.len() {
            return Err(unexpected(&Value::Array(documents)));
        }
        let asked: Vec<Lookup> = waiting.drain(..documents.len()).collect();
        for (Lookup { answer, .. }, document) in asked.into_iter().zip(documents) {
            let found = self.found(&view, &there, document);
            let (view, position) = (Arc::clone(&view), Arc::clone(&position));
            drop(answer.send(found.map(|found| At { view, position, found })));
        }
        Ok(())
    }

    fn found(&self, view: &str, there: &There, document: Value) -> Result<Found, Unavailable> {
        let view = self.views.answering(&self.asked, view);
        let read = there.current.as_ref().or(there.next.as_ref());
        let is_readable = read.is_some_and(|read| view.has_keys(&self.asked, read));
        Ok(match document {
            Value::BulkString(document) if is_readable => Found::Document(document),
            Value::BulkString(_) => Found::Unknown(Standing::OtherForm),
            Value::Nil if is_readable && there.current.is_some() => Found::Absent,
            Value::Nil => Found::Unknown(there.standing(view)),
            other => return Err(unexpected(&other)),
        })
    }
}
