//! The native services, started once for the whole test binary by `infra/stack.sh` and shared.
//!
//! They are left running, so that the next run starts at once; `./start.sh test` ends its own, and
//! `STACK_DIR=.local/test infra/stack.sh down` does by hand.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Where the shared services listen, all on 127.0.0.1.
#[derive(Debug)]
pub(crate) struct Stack {
    environment: Vec<(&'static str, String)>,
}

/// The services that tests share, with the ports they have when nothing else is said.
const PORTS: [(&str, &str); 6] = [
    ("MYSQL_PORT", "13306"),
    ("KAFKA_PORT", "19092"),
    ("KAFKA_CONTROLLER_PORT", "19093"),
    ("CONNECT_PORT", "18083"),
    ("REGISTRY_PORT", "18081"),
    ("REDIS_PORT", "16379"),
];

impl Stack {
    /// The running services; starts them on the first call.
    ///
    /// # Panics
    /// With the script's own message when they cannot be started.
    pub(crate) fn shared() -> &'static Stack {
        static STACK: OnceLock<Stack> = OnceLock::new();
        STACK.get_or_init(|| {
            let stack = Stack { environment: environment() };
            stack.run("infra/stack.sh", &["up"]);
            stack
        })
    }

    /// MySQL of the shared services, without waiting for the others.
    ///
    /// # Panics
    /// With the script's own message when it cannot be started.
    pub(crate) fn mysql() -> &'static Stack {
        static STACK: OnceLock<Stack> = OnceLock::new();
        STACK.get_or_init(|| {
            let stack = Stack { environment: environment() };
            stack.run("infra/stack.sh", &["up", "mysql"]);
            stack
        })
    }

    /// A service's port, by the name of its variable.
    pub(crate) fn port(&self, variable: &str) -> u16 {
        let (_, port) = self.environment.iter().find(|(name, _)| *name == variable).unwrap();
        port.parse().unwrap_or_else(|_| panic!("{variable}={port} is no port"))
    }

    /// Kafka's bootstrap servers.
    pub(crate) fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port("KAFKA_PORT"))
    }

    /// The registry's Confluent-compatible address.
    pub(crate) fn registry_url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port("REGISTRY_PORT"))
    }

    /// Runs one of the repository's scripts against these services and returns what it printed.
    pub(crate) fn run(&self, script: &str, arguments: &[&str]) -> String {
        let output = Command::new("bash")
            .arg(repository().join(script))
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .output()
            .unwrap_or_else(|error| panic!("cannot run {script}: {error}"));
        assert!(
            output.status.success(),
            "{script} {arguments:?} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// The checkout that these tests belong to.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The environment decides where it speaks of a test stack; the demo's own is never touched.
fn environment() -> Vec<(&'static str, String)> {
    let given = std::env::var("VIEWTIDE_TEST_STACK_DIR").ok();
    let folder = given
        .clone()
        .unwrap_or_else(|| repository().join(".local/test").to_string_lossy().into_owned());
    let value = |name: &str, default: &str| match given {
        Some(_) => std::env::var(name).unwrap_or_else(|_| default.to_owned()),
        None => default.to_owned(),
    };
    let mut environment = vec![("STACK_DIR", folder)];
    environment.extend(PORTS.map(|(name, default)| (name, value(name, default))));
    environment
}
