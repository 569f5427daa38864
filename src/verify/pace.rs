//! How much of MySQL's time may be taken.

use std::time::Duration;

use tokio::time::sleep;

/// Rests after work, so that neither a share of the time nor a number of rows is exceeded.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Seconds of rest for each second of work.
    rest_per_work: f64,
    /// Seconds that one row takes at least.
    seconds_per_row: f64,
    due: Duration,
}

impl Pace {
    /// At most so much of a hundred seconds, and so many rows a second.
    pub(super) fn new(load_percent_max: u64, rows_per_second_max: u64) -> Pace {
        Pace {
            rest_per_work: 100.0 / load_percent_max.max(1) as f64 - 1.0,
            seconds_per_row: 1.0 / rows_per_second_max.max(1) as f64,
            due: Duration::ZERO,
        }
    }

    /// Work was done: how long it took, and of how many rows it was.
    pub(super) fn worked(&mut self, took: Duration, rows: usize) {
        let took = took.as_secs_f64();
        let rest = (took * self.rest_per_work).max(self.seconds_per_row * rows as f64 - took);
        self.due += Duration::try_from_secs_f64(rest).unwrap_or_default();
    }

    /// Waits as long as the work since the last rest asks for.
    pub(super) async fn rest(&mut self) {
        let due = std::mem::take(&mut self.due);
        if !due.is_zero() {
            sleep(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rest_follows_from_time_and_rows() {
        for (load, rows_per_second, took_ms, rows, rest_ms) in [
            (5, 1_000_000, 100, 10, 1900),
            (100, 1_000_000, 100, 10, 0),
            (100, 100, 100, 50, 400),
            (50, 100, 100, 50, 400),
            (10, 100, 100, 50, 900),
        ] {
            let mut pace = Pace::new(load, rows_per_second);
            pace.worked(Duration::from_millis(took_ms), rows);
            let began = tokio::time::Instant::now();
            pace.rest().await;
            let rested = began.elapsed().as_millis();
            assert!(rested.abs_diff(rest_ms) <= 1, "{rested} ms, not {rest_ms}");
            pace.rest().await;
            assert_eq!(began.elapsed().as_millis(), rested);
        }
        let began = tokio::time::Instant::now();
        let mut unbound = Pace::default();
        unbound.worked(Duration::from_secs(9), 9);
        unbound.rest().await;
        assert!(began.elapsed().is_zero());
    }
}
