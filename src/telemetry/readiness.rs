//! Why the service is not ready, part by part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reasons why the service is not ready, set and cleared by its parts and shown at `/readyz`.
/// Clones share the reasons. Cheap enough to be called at every step.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    reasons: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Readiness {
    /// Ready, until a part says otherwise.
    pub fn new() -> Readiness {
        Readiness::default()
    }

    /// Says why a part (`redis`, `view order_details_mv`) is not ready; replaces what it said before.
    pub fn block(&self, part: &str, reason: impl Into<String>) {
        let reason = reason.into();
        let mut reasons = self.lock();
        match reasons.get_mut(part) {
            Some(known) if *known == reason => {}
            Some(known) => *known = reason,
            None => {
                reasons.insert(part.to_owned(), reason);
            }
        }
    }

    /// Says that a part is ready.
    pub fn clear(&self, part: &str) {
        self.lock().remove(part);
    }

    /// Whether nothing stands against being ready.
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    /// What stands against it, as `part: reason`, by part.
    pub fn reasons(&self) -> Vec<String> {
        self.lock().iter().map(|(part, reason)| format!("{part}: {reason}")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // A map of texts is whole after any panic.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_block_and_clear_on_their_own() {
        let readiness = Readiness::new();
        let other = readiness.clone();
        assert!(readiness.is_ready());
        other.block("view v", "filling, 1 of 2 tables complete");
        other.block("redis", "connection refused");
        other.block("view v", "filling, 2 of 2 tables complete");
        let want = ["redis: connection refused", "view v: filling, 2 of 2 tables complete"];
        assert_eq!(readiness.reasons(), want);
        readiness.clear("redis");
        readiness.clear("view v");
        assert!(other.is_ready());
    }
}
