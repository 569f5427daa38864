//! A TCP proxy that loses what it is told to lose.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does to the bytes that come back from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Everything passes.
    None,
    /// Nothing comes back; connections stay open.
    SwallowReplies,
    /// So many further bytes come back, then the connection is cut, and all is well again.
    CutReplyAfter(usize),
    /// Connections are closed as soon as they are accepted.
    Refuse,
}

/// A running proxy in front of one address.
pub(crate) struct Proxy {
    address: String,
    fault: Arc<Mutex<Fault>>,
    cut: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `server`.
    pub(crate) async fn start(server: String) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let fault = Arc::new(Mutex::new(Fault::None));
        let (cut, cuts) = watch::channel(());
        let task = tokio::spawn(accept(listener, server, Arc::clone(&fault), cuts));
        Proxy { address, fault, cut, task }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From now on.
    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// What is set; a cut that has happened is none any more.
    pub(crate) fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
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

async fn accept(
    listener: TcpListener,
    server: String,
    fault: Arc<Mutex<Fault>>,
    cuts: watch::Receiver<()>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        if *fault.lock().unwrap() == Fault::Refuse {
            continue;
        }
        let (server, fault, mut cuts) = (server.clone(), Arc::clone(&fault), cuts.clone());
        cuts.mark_unchanged();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            tokio::select! {
                () = pass(client, server, &fault) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// Passes both ways until one end closes or the fault cuts.
async fn pass(client: TcpStream, server: TcpStream, fault: &Mutex<Fault>) {
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::select! {
        () = requests(client_reads, server_writes) => {}
        () = replies(server_reads, client_writes, fault) => {}
    }
}

async fn requests(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn replies(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    fault: &Mutex<Fault>,
) {
    let mut buffer = [0; 16 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let (passes, cut) = {
            let mut fault = fault.lock().unwrap();
            match *fault {
                Fault::None | Fault::Refuse => (count, false),
                Fault::SwallowReplies => (0, false),
                Fault::CutReplyAfter(left) if left >= count => {
                    *fault = Fault::CutReplyAfter(left - count);
                    (count, false)
                }
                Fault::CutReplyAfter(left) => {
                    *fault = Fault::None;
                    (left, true)
                }
            }
        };
        if to.write_all(&buffer[..passes]).await.is_err() || cut {
            return;
        }
    }
}
