//! A real Redis for one test: its own process, port and folder, gone when dropped.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to answer after its start.
const START_WAIT: Duration = Duration::from_secs(20);

/// A running `redis-server`.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
}

impl RedisServer {
    /// An empty server that keeps nothing on disk.
    pub(crate) fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// The same with further options, as `["--appendonly", "yes"]`.
    pub(crate) fn start_with(options: &[&str]) -> RedisServer {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("viewtide-redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        // Somebody else may take the port between our look and the server's.
        for _ in 0..5 {
            let port = free_port();
            if let Some(child) = launch(port, &folder, &options) {
                return RedisServer { child, port, folder, options };
            }
        }
        panic!("redis-server does not start; see {}/log", folder.display());
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// A client of it.
    pub(crate) fn client(&self) -> ::redis::Client {
        ::redis::Client::open(self.url()).unwrap()
    }

    /// Runs one command and returns what comes back, on a connection of its own.
    pub(crate) fn run<T: ::redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = ::redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.query(&command)
    }

    /// Runs one command given as the client library builds it.
    pub(crate) fn query<T: ::redis::FromRedisValue>(&self, command: &::redis::Cmd) -> T {
        command.query(&mut self.client().get_connection().unwrap()).unwrap()
    }

    /// Where it keeps its files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the process at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and folder.
    pub(crate) fn start_again(&mut self) {
        self.child = launch(self.port, &self.folder, &self.options).expect("redis-server starts");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn launch(port: u16, folder: &PathBuf, options: &[String]) -> Option<Child> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/infra/redis.sh");
    let mut child = Command::new("bash")
        .args([script, "server", "--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "no", "--logfile", "log"])
        .arg("--dir")
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run bash: {e}"));
    let client = ::redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let deadline = Instant::now() + START_WAIT;
    while Instant::now() < deadline {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        let pong = client.get_connection().and_then(|mut c| ::redis::cmd("PING").exec(&mut c));
        if pong.is_ok() {
            return Some(child);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
