//! A bound on the memory of answers under way: large ones wait for room, or are put off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of large answers that may be under way at once.
pub(super) const BYTES_MAX: usize = 256 << 20;

/// Answers up to this many bytes are not counted; larger ones in steps of it.
const UNIT: usize = 64 << 10;

/// How long an answer waits for room.
const WAIT: Duration = Duration::from_secs(2);

/// Room for answers under way.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Semaphore>);

/// Room that has been taken; given back when dropped.
#[derive(Debug)]
pub(super) struct Room(Option<OwnedSemaphorePermit>);

impl Budget {
    pub(super) fn new() -> Budget {
        Budget(Arc::new(Semaphore::new(BYTES_MAX / UNIT)))
    }

    /// Room for an answer of up to so many bytes; `None` if there is none for too long.
    pub(super) async fn room(&self, bytes: usize) -> Option<Room> {
        let units = units(bytes);
        if units == 0 {
            return Some(Room(None));
        }
        let acquire = Arc::clone(&self.0).acquire_many_owned(units);
        timeout(WAIT, acquire).await.ok()?.ok().map(|permit| Room(Some(permit)))
    }
}

impl Room {
    /// The finished answer, which keeps the room it needs until it has been sent.
    pub(super) fn hold(self, body: Vec<u8>) -> Bytes {
        let needed = units(body.len());
        let Some(mut permit) = self.0.filter(|_| needed > 0) else { return body.into() };
        let surplus = permit.num_permits().saturating_sub(needed as usize);
        drop(permit.split(surplus));
        Bytes::from_owner(Held { body, _permit: permit })
    }
}

struct Held {
    body: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn units(bytes: usize) -> u32 {
    if bytes <= UNIT { 0 } else { bytes.min(BYTES_MAX).div_ceil(UNIT) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_given_back_when_the_answer_is_gone() {
        let budget = Budget::new();
        let all = BYTES_MAX / UNIT;
        let small = budget.room(UNIT).await.unwrap().hold(vec![0; UNIT]);
        assert_eq!(budget.0.available_permits(), all);
        let large = budget.room(10 * UNIT).await.unwrap().hold(vec![0; 2 * UNIT]);
        assert_eq!(budget.0.available_permits(), all - 2, "only what it needs is kept");
        let part = large.slice(1..);
        drop((small, large));
        assert_eq!(budget.0.available_permits(), all - 2);
        drop(part);
        assert_eq!(budget.0.available_permits(), all);
    }
}
