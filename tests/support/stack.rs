//! The native services, started once for the whole test binary by `infra/stack.sh` and shared by
//! its tests. Each binary says where (`PLACE` of its main file).
//!
//! They are left running, so that the next run starts at once; `./start.sh test` ends its own, and
//! `STACK_DIR=.local/test infra/stack.sh down` does by hand.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::PLACE;

/// Where the shared services listen, all on 127.0.0.1.
#[derive(Debug)]
pub(crate) struct Stack {
    environment: Vec<(&'static str, String)>,
}

/// Where a test binary has its services.
pub(crate) struct Place {
    /// Names another folder if it is set; then the environment's other settings count as well.
    pub(crate) variable: &'static str,
    /// In the checkout.
    pub(crate) folder: &'static str,
    /// Ports and other settings of the scripts, when nothing else is said.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// The services to start; none: all.
    pub(crate) services: &'static [&'static str],
}

impl Stack {
    /// The running services; starts them on the first call.
    ///
    /// # Panics
    /// With the script's own message when they cannot be started.
    pub(crate) fn shared() -> &'static Stack {
        static STACK: OnceLock<Stack> = OnceLock::new();
        STACK.get_or_init(|| {
            let stack = Stack { environment: environment() };
            stack.run("infra/stack.sh", &[&["up"], PLACE.services].concat());
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
        let port = self.setting(variable);
        port.parse().unwrap_or_else(|_| panic!("{variable}={port} is no port"))
    }

    /// A variable of the scripts, as it is set.
    pub(crate) fn setting(&self, variable: &str) -> &str {
        let (_, value) = self.environment.iter().find(|(name, _)| *name == variable).unwrap();
        value
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
    let given = std::env::var(PLACE.variable).ok();
    let folder = given
        .clone()
        .unwrap_or_else(|| repository().join(PLACE.folder).to_string_lossy().into_owned());
    let value = |name: &str, default: &str| match given {
        Some(_) => std::env::var(name).unwrap_or_else(|_| default.to_owned()),
        None => default.to_owned(),
    };
    let mut environment = vec![("STACK_DIR", folder)];
    environment.extend(PLACE.settings.iter().map(|&(name, default)| (name, value(name, default))));
    environment
}
