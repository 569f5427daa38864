//! A TCP proxy that loses what it is told to lose.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Replies on their way to one client; then the server is not read from.
const CHUNKS_DELAYED_MAX: usize = 1024;

/// What the proxy does to connections and to the bytes that come back from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Everything passes.
    None,
    /// Nothing comes back. A connection that has lost a reply stays open and never brings one
    /// again, since TCP skips nothing.
    SwallowReplies,
    /// Nothing passes either way, and what tried stays open and silent for good, as with a peer
    /// that lost its power.
    HalfOpen,
    /// So many further bytes come back, then the connection is cut, and all is well again.
    CutReplyAfter(usize),
    /// Connections are closed as soon as they are accepted.
    Refuse,
    /// Replies come so much later.
    Delay(Duration),
    /// So many of a hundred replies are reset in their middle, and as many new connections refused.
    Reset {
        /// Of a hundred.
        percent: u8,
    },
}

/// A running proxy in front of one address.
pub(crate) struct Proxy {
    address: String,
    shared: Arc<Shared>,
    cut: watch::Sender<()>,
    task: JoinHandle<()>,
}

struct Shared {
    server: Mutex<String>,
    fault: Mutex<Fault>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `server`.
    pub(crate) async fn start(server: String) -> Proxy {
        Proxy::listen("127.0.0.1:0", server).await
    }

    /// The same on a port that others expect it on.
    pub(crate) async fn listen(address: &str, server: String) -> Proxy {
        let listener =
            TcpListener::bind(address).await.unwrap_or_else(|e| panic!("listen at {address}: {e}"));
        let address = listener.local_addr().unwrap().to_string();
        let shared = Shared { server: Mutex::new(server), fault: Mutex::new(Fault::None) };
        let shared = Arc::new(shared);
        let (cut, cuts) = watch::channel(());
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), cuts));
        Proxy { address, shared, cut, task }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From now on.
    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// What is set; a cut that has happened is none any more.
    pub(crate) fn fault(&self) -> Fault {
        *self.shared.fault.lock().unwrap()
    }

    /// New connections go there.
    pub(crate) fn lead_to(&self, server: String) {
        *self.shared.server.lock().unwrap() = server;
    }

    /// Closes all open connections.
    pub(crate) fn cut_all(&self) {
        self.cut.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut_all();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, cuts: watch::Receiver<()>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let (server, fault) =
            (shared.server.lock().unwrap().clone(), *shared.fault.lock().unwrap());
        match fault {
            Fault::Refuse => continue,
            Fault::Reset { percent } if happens(percent) => continue,
            _ => {}
        }
        let (shared, mut cuts) = (Arc::clone(&shared), cuts.clone());
        cuts.mark_unchanged();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            tokio::select! {
                () = pass(client, server, &shared.fault) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// Passes both ways until one end closes or the fault cuts.
async fn pass(client: TcpStream, server: TcpStream, fault: &Mutex<Fault>) {
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let dead = AtomicBool::new(false);
    tokio::select! {
        () = requests(client_reads, server_writes, fault, &dead) => {}
        () = replies(server_reads, client_writes, fault, &dead) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fault: &Mutex<Fault>,
    dead: &AtomicBool,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut is_deaf = false;
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if *fault.lock().unwrap() == Fault::HalfOpen {
            dead.store(true, Ordering::Relaxed);
            is_deaf = true;
        }
        // While only replies are lost, requests go on arriving.
        if !is_deaf && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn replies(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    fault: &Mutex<Fault>,
    dead: &AtomicBool,
) {
    let (queue, due) = mpsc::channel(CHUNKS_DELAYED_MAX);
    let reading = async move {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let verdict = judge(&mut fault.lock().unwrap(), count, dead);
            let bytes = buffer[..verdict.passes].to_vec();
            let at = Instant::now() + verdict.delay;
            let end = verdict.end;
            if queue.send(Chunk { at, bytes, end }).await.is_err() || end != End::None {
                return;
            }
        }
    };
    tokio::join!(reading, write(due, to));
}

/// Writes what is due until the end.
async fn write(mut due: mpsc::Receiver<Chunk>, mut to: OwnedWriteHalf) {
    while let Some(Chunk { at, bytes, end }) = due.recv().await {
        sleep_until(at).await;
        if to.write_all(&bytes).await.is_err() || end == End::Closed {
            return;
        }
        if end == End::Reset {
            let _ = to.as_ref().set_zero_linger();
            return;
        }
    }
}

struct Chunk {
    at: Instant,
    bytes: Vec<u8>,
    end: End,
}

/// What follows a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    None,
    Closed,
    Reset,
}

/// What becomes of a reply's bytes.
struct Verdict {
    passes: usize,
    delay: Duration,
    end: End,
}

fn judge(fault: &mut Fault, count: usize, dead: &AtomicBool) -> Verdict {
    let verdict = |passes, end| Verdict { passes, delay: Duration::ZERO, end };
    if matches!(*fault, Fault::SwallowReplies | Fault::HalfOpen) {
        dead.store(true, Ordering::Relaxed);
    }
    if dead.load(Ordering::Relaxed) {
        return verdict(0, End::None);
    }
    match *fault {
        Fault::Delay(delay) => Verdict { passes: count, delay, end: End::None },
        Fault::CutReplyAfter(left) if left >= count => {
            *fault = Fault::CutReplyAfter(left - count);
            verdict(count, End::None)
        }
        Fault::CutReplyAfter(left) => {
            *fault = Fault::None;
            verdict(left, End::Closed)
        }
        Fault::Reset { percent } if happens(percent) => verdict(count / 2, End::Reset),
        _ => verdict(count, End::None),
    }
}

fn happens(percent: u8) -> bool {
    rand::random_range(0..100) < percent
}
