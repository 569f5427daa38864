//! What came of a scenario.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use super::own_writes::Read;
use super::scenario::Scenario;
use super::witness::Seen;

/// What `viewtide verify` found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verified {
    pub(crate) missing: u64,
    pub(crate) extra: u64,
    pub(crate) different: u64,
    succeeded: bool,
    pub(crate) printed: String,
}

impl Verified {
    /// Reads the total that was printed; without one there is no verdict.
    pub(crate) fn read(output: &Output) -> Verified {
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let total = printed.lines().find_map(|line| line.strip_prefix("total: "));
        let count = |kind: &str| -> Option<u64> {
            let part = total?.split(", ").find_map(|part| part.strip_suffix(kind))?;
            part.trim().parse().ok()
        };
        let counts = [count("missing"), count("extra"), count("different")];
        let [Some(missing), Some(extra), Some(different)] = counts else {
            panic!("no verdict: {printed}{}", String::from_utf8_lossy(&output.stderr));
        };
        Verified { missing, extra, different, succeeded: output.status.success(), printed }
    }

    /// Whether every document is what MySQL answers.
    pub(crate) fn is_right(&self) -> bool {
        self.succeeded && self.missing + self.extra + self.different == 0
    }
}

/// One scenario that went to its end.
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    /// What was done to it, with counts.
    pub(crate) faults: BTreeMap<&'static str, u32>,
    /// Transactions and events.
    pub(crate) written: (u64, u64),
    /// From the first statement to the verdict.
    pub(crate) took: Duration,
    /// The longest time from a fault's end until a write was served and all was ready.
    pub(crate) converged: Duration,
    pub(crate) verified: Verified,
    pub(crate) seen: Seen,
    pub(crate) own: Read,
    /// Measured or seen on the way.
    pub(crate) notes: Vec<String>,
    /// What viewtide wrote.
    pub(crate) log: PathBuf,
}

/// A way in which something wrong is reported.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Catch {
    Verify,
    Backwards,
    Torn,
}

impl Outcome {
    /// Right, or, of a sabotage, caught.
    pub(crate) fn is_as_expected(&self) -> bool {
        match self.scenario.caught_by() {
            [] => self.is_right(),
            catches => catches.iter().all(|catch| match catch {
                Catch::Verify => !self.verified.is_right(),
                Catch::Backwards => self.seen.backwards > 0,
                Catch::Torn => self.seen.torn > 0,
            }),
        }
    }

    /// In a word.
    pub(crate) fn verdict(&self) -> &'static str {
        match (self.scenario.caught_by().is_empty(), self.is_as_expected()) {
            (true, true) => "right",
            (true, false) => "**wrong**",
            (false, true) => "caught",
            (false, false) => "**not caught**",
        }
    }

    /// Everything as it should be.
    fn is_right(&self) -> bool {
        self.verified.is_right()
            && self.seen.backwards + self.seen.torn + self.own.stale == 0
            && self.seen.reads > 0
            && self.own.fresh > 0
    }
}
