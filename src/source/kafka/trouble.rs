//! What the log says of trouble with the brokers: when it begins, and when it is over.
//!
//! The client tells it anew every other second for as long as it lasts.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tracing::{debug, info, warn};

/// Whether there is trouble, and since when.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    since: Option<Instant>,
}

impl Trouble {
    /// The client tells of trouble that it mends by itself. True where that is news.
    pub(super) fn note(&mut self, error: &KafkaError, now: Instant) -> bool {
        let is_new = self.since.is_none();
        match is_new {
            true => warn!(%error, "kafka has trouble; going on when it passes"),
            false => debug!(%error, "kafka still has trouble"),
        }
        self.since.get_or_insert(now);
        is_new
    }

    /// A broker answers. How long the trouble was, if there was any.
    pub(super) fn end(&mut self, now: Instant) -> Option<Duration> {
        let lasted = now.duration_since(self.since.take()?);
        info!(seconds = lasted.as_secs_f64(), "kafka answers again");
        Some(lasted)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    #[test]
    fn trouble_is_told_when_it_begins_and_when_it_is_over() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        let down = KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(trouble.end(at(0)), None, "there was none");
        assert!(trouble.note(&down, at(1)));
        assert!(!trouble.note(&down, at(3)), "the same trouble still");
        assert_eq!(trouble.end(at(81)), Some(Duration::from_secs(80)));
        assert_eq!(trouble.end(at(82)), None);
        assert!(trouble.note(&down, at(90)), "new trouble");
    }
}
