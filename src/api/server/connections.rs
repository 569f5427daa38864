//! Places for connections, and who gives theirs up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

/// How long a new connection waits for one to make room.
const PLACE_WAIT: Duration = Duration::from_secs(2);

/// Why a connection is asked to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// Another needs the place.
    MakeRoom,
    /// The server ends.
    Shutdown,
}

/// All open connections.
#[derive(Debug)]
pub(in crate::api) struct Connections {
    places: Arc<Semaphore>,
    open: Arc<Mutex<Open>>,
    begun: Instant,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: BTreeMap<u64, (Arc<Connection>, watch::Sender<Option<Close>>)>,
}

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    begun: Instant,
    /// Milliseconds since the server began, plus 1; 0 while a request is being answered.
    idle_since: AtomicU64,
    /// The client does not take what it is sent.
    is_stalled: AtomicBool,
    conflicting_lengths: AtomicBool,
}

/// A connection's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    connection: Arc<Connection>,
    close: watch::Receiver<Option<Close>>,
    open: Arc<Mutex<Open>>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// With room for so many.
    pub(in crate::api) fn new(connections_max: usize) -> Connections {
        Connections {
            places: Arc::new(Semaphore::new(connections_max)),
            open: Arc::default(),
            begun: Instant::now(),
        }
    }

    /// A place for a new connection; if all are taken, that of the one that has been idle longest.
    /// `None` if none is idle and none ends in time.
    pub(super) async fn place(&self) -> Option<Place> {
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.make_room();
                let freed = Arc::clone(&self.places).acquire_owned();
                timeout(PLACE_WAIT, freed).await.ok()?.ok()?
            }
        };
        let connection = Arc::new(Connection {
            begun: self.begun,
            idle_since: AtomicU64::new(0),
            is_stalled: AtomicBool::new(false),
            conflicting_lengths: AtomicBool::new(false),
        });
        connection.idle();
        let (ask, close) = watch::channel(None);
        let mut open = lock(&self.open);
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, (Arc::clone(&connection), ask));
        drop(open);
        Some(Place { number, connection, close, open: Arc::clone(&self.open), _permit: permit })
    }

    /// Asks all connections to close.
    pub(super) fn close_all(&self) {
        for (_, ask) in lock(&self.open).by_number.values() {
            ask.send_replace(Some(Close::Shutdown));
        }
    }

    /// Asks the connection that has been idle longest to close.
    pub(super) fn make_room(&self) {
        let open = lock(&self.open);
        let idle = open.by_number.values().filter_map(|(connection, ask)| {
            let since = connection.idle_since.load(Ordering::Relaxed);
            (since > 0 && ask.borrow().is_none()).then_some((since, ask))
        });
        if let Some((_, ask)) = idle.min_by_key(|(since, _)| *since) {
            ask.send_replace(Some(Close::MakeRoom));
        }
    }
}

impl Connection {
    /// A request is being answered.
    pub(super) fn busy(&self) {
        self.idle_since.store(0, Ordering::Relaxed);
    }

    /// The next request is being waited for.
    pub(super) fn idle(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.idle_since.store(millis + 1, Ordering::Relaxed);
    }

    /// Whether a client could lose anything if the connection ended now.
    pub(super) fn has_work(&self) -> bool {
        self.idle_since.load(Ordering::Relaxed) == 0 || self.is_stalled.load(Ordering::Relaxed)
    }

    /// Whether the last write had to wait.
    pub(super) fn set_stalled(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Relaxed);
    }

    /// A request came with two lengths that can differ.
    pub(super) fn saw_conflicting_lengths(&self) {
        self.conflicting_lengths.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_conflicting_lengths(&self) -> bool {
        self.conflicting_lengths.load(Ordering::Relaxed)
    }
}

impl Place {
    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Comes back when the connection is to close.
    pub(super) async fn asked_to_close(&mut self) -> Close {
        match self.close.wait_for(Option::is_some).await {
            Ok(close) => close.unwrap_or(Close::Shutdown),
            Err(_) => Close::Shutdown,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.open).by_number.remove(&self.number);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    // The map is whole after any panic.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
