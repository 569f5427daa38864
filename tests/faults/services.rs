//! The services of this suite: killed by their process ids, started again by their scripts.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::block_in_place;

use crate::support::proxy::Proxy;
use crate::support::stack::Stack;

/// How long a process may take to be gone after it was killed.
const GONE_WAIT: Duration = Duration::from_secs(20);

/// A service of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Mysql,
    Kafka,
    Registry,
    Connect,
}

impl Service {
    pub(crate) const ALL: [Service; 4] =
        [Service::Mysql, Service::Kafka, Service::Registry, Service::Connect];

    /// As its script is named.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Mysql => "mysql",
            Service::Kafka => "kafka",
            Service::Registry => "registry",
            Service::Connect => "connect",
        }
    }

    /// `kill -9`, and waits until nothing of it is left.
    pub(crate) fn kill(self) {
        let pid = self.pid();
        kill(pid, Signal::SIGKILL).unwrap_or_else(|e| panic!("kill {}: {e}", self.name()));
        let deadline = Instant::now() + GONE_WAIT;
        while runs(pid) {
            assert!(Instant::now() < deadline, "{} survives its kill", self.name());
            block_in_place(|| std::thread::sleep(Duration::from_millis(5)));
        }
    }

    /// Starts it if it does not run, and waits until it answers.
    pub(crate) fn start(self) {
        let script = format!("infra/{}.sh", self.name());
        block_in_place(|| Stack::shared().run(&script, &["up"]));
    }

    fn pid(self) -> Pid {
        let file = PathBuf::from(Stack::shared().setting("STACK_DIR"))
            .join("run")
            .join(format!("{}.pid", self.name()));
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Pid::from_raw(text.split(' ').next().unwrap().parse().unwrap())
    }
}

/// The services, and what all scenarios reach Kafka through.
pub(crate) struct Services {
    /// The broker sends its clients here: its listener behind it tells this address.
    pub(crate) kafka: Proxy,
}

impl Services {
    /// Starts what does not run.
    pub(crate) async fn start() -> Services {
        block_in_place(Stack::shared);
        let detour = Stack::shared().setting("KAFKA_DETOUR");
        let (listener, advertised) = detour.split_once(':').unwrap();
        let kafka =
            Proxy::listen(&format!("127.0.0.1:{advertised}"), format!("127.0.0.1:{listener}"))
                .await;
        Services { kafka }
    }

    /// Stops them all.
    pub(crate) fn stop() {
        let names: Vec<&str> = Service::ALL.iter().map(|service| service.name()).collect();
        block_in_place(|| Stack::shared().run("infra/stack.sh", &[&["down"], &names[..]].concat()));
    }
}

/// Whether anything of a process is left but a zombie: one whose other threads are still ending
/// holds its ports.
fn runs(pid: Pid) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.count() > 1
        || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        })
}
