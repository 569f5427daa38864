//! The reading thread's waits: each says why, and ends when the thread is to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tracing::info;

use crate::telemetry::{Metrics, Part, Readiness};

/// Waits between two tries of what failed: doubled from the first to the last.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Waits, unless the thread is to end.
pub(super) struct Patience {
    pub(super) stop: Arc<AtomicBool>,
    pub(super) runtime: Handle,
    pub(super) readiness: Readiness,
    pub(super) metrics: Arc<Metrics>,
}

/// The thread is to end.
pub(super) struct Ending;

impl Patience {
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Says why, and waits longer each time.
    pub(super) fn wait_for(
        &self,
        part: Part,
        reason: String,
        wait: &mut Duration,
    ) -> Result<(), Ending> {
        if *wait == FIRST_WAIT {
            info!(part = part.name(), reason, "waiting");
        }
        self.readiness.block(part.name(), reason);
        self.metrics.retries(part).inc();
        self.metrics.wait_seconds(part).inc_by(wait.as_secs_f64());
        let mut left = *wait;
        while !left.is_zero() && !self.is_over() {
            let slice = left.min(FIRST_WAIT);
            thread::sleep(slice);
            left -= slice;
        }
        *wait = (*wait * 2).min(LAST_WAIT);
        if self.is_over() { Err(Ending) } else { Ok(()) }
    }
}
