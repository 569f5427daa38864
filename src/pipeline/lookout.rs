//! Who holds the pipeline, as a process sees it that would.
//!
//! A claim is free when its lease has run out or was given back. An owner whose Redis was away, lost
//! data or went back could not renew its lease, or had it taken away, and is as alive as before: it
//! has as long as a lease to be heard of again. Otherwise whoever comes first would take over from it
//! for nothing, and it would have to end.

use std::time::Duration;

use tokio::time::Instant;

use crate::sink::{Claim, LEASE, Meta, Sink, SinkError, Store};

/// How often a lease that another process holds is looked at.
pub(super) const LEASE_LOOK: Duration = Duration::from_millis(250);

/// How much earlier than it said a lease may end: clocks are not equally fast.
const EARLY: Duration = Duration::from_millis(100);

/// An answer that takes so long says that Redis was away meanwhile, for its owner, too.
const HUNG: Duration = Duration::from_secs(1);

/// Who may write.
#[derive(Debug)]
pub(super) enum Standing {
    /// This process, which goes on from this state.
    Owner(Meta),
    /// Another, which has come so far.
    Standby(Meta),
}

/// Watches for the end of another's claim.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// The highest epoch seen.
    epoch: u64,
    /// Another's claim as it was seen last: its epoch, and until when its lease lasts at least.
    claim: Option<(u64, Instant)>,
    /// Redis did not answer since.
    was_away: bool,
    /// Until then the owner may come back.
    grace: Option<Instant>,
}

impl Lookout {
    /// Who holds the pipeline: we, if nobody does.
    pub(super) async fn look<S: Store>(
        &mut self,
        sink: &mut Sink<S>,
    ) -> Result<Standing, SinkError> {
        let asked = Instant::now();
        let found = sink.read_meta().await;
        self.was_away |= found.is_err();
        let meta = found?;
        let is_free = self.is_free(&meta, asked, Instant::now());
        // The reply to our own claim may have been lost.
        if (is_free || sink.is_claiming_as(&meta.token))
            && let Claim::Owned(meta) = sink.claim(self.epoch).await?
        {
            return Ok(Standing::Owner(*meta));
        }
        Ok(Standing::Standby(meta))
    }

    /// Whether nobody holds what Redis was asked for and told at these moments, and nobody comes
    /// back for it.
    fn is_free(&mut self, meta: &Meta, asked: Instant, told: Instant) -> bool {
        let ends = asked + meta.lease_left;
        let was_away = std::mem::take(&mut self.was_away) || told - asked >= HUNG;
        // On a busy machine the answer is younger than the question: it may end later than `ends`.
        let latest = told + meta.lease_left + EARLY;
        let went_back = self.claim.is_some_and(|(epoch, lasts)| {
            meta.epoch < epoch || (meta.epoch == epoch && latest < lasts)
        });
        let known = self.claim.map_or(0, |(epoch, _)| epoch);
        let is_given_back = meta.epoch >= known && meta.is_given_back;
        if (went_back || was_away) && !is_given_back {
            // The owner had to wait for Redis as long as we had.
            self.grace = Some(told + LEASE);
        }
        self.epoch = self.epoch.max(meta.epoch);
        if self.claim.is_some() || !meta.lease_left.is_zero() {
            self.claim = Some((meta.epoch, ends));
        }
        meta.lease_left.is_zero() && self.grace.is_none_or(|grace| grace <= asked)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::sink::{Failure, NewClaim, Owner, Ownership, Reply, Step, Sweep};

    /// A server that is claimed, but whose first reply to that is lost.
    #[derive(Default)]
    struct Forgetful {
        token: String,
    }

    impl Store for Forgetful {
        fn replan(&mut self, _: &crate::sql::plan::Plan) {
            unreachable!("there is one plan");
        }

        async fn check(&mut self) -> Result<(), Failure> {
            Ok(())
        }

        async fn claim(&mut self, claim: &NewClaim<'_>) -> Result<Reply, Failure> {
            if self.token == claim.token {
                return Ok(Reply::Claimed { epoch: 1, seq: 0 });
            }
            assert!(self.token.is_empty(), "another claim");
            claim.token.clone_into(&mut self.token);
            Err(Failure::NoReply("lost".to_owned()))
        }

        async fn meta(&mut self) -> Result<Meta, Failure> {
            let lease_left = if self.token.is_empty() { Duration::ZERO } else { LEASE };
            Ok(Meta { epoch: 1, token: self.token.clone(), lease_left, ..Meta::default() })
        }

        async fn renew(&mut self, _: &Owner, _: Duration) -> Result<Reply, Failure> {
            unreachable!("nothing is owned")
        }

        async fn step(&mut self, _: &Owner, _: &Step) -> Result<Reply, Failure> {
            unreachable!("nothing is owned")
        }

        async fn sweep(&mut self, _: &Owner, _: &Sweep<'_>) -> Result<Reply, Failure> {
            unreachable!("nothing is owned")
        }

        async fn ownership(&mut self) -> Result<Ownership, Failure> {
            unreachable!("nothing is owned")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_whose_reply_was_lost_is_recognised() {
        let (mut lookout, mut sink) = (Lookout::default(), Sink::on(Forgetful::default()));
        assert!(lookout.look(&mut sink).await.is_err());
        let standing = lookout.look(&mut sink).await;
        assert!(matches!(standing, Ok(Standing::Owner(_))), "{standing:?}");
    }

    /// What Redis says: the epoch, and milliseconds left of the lease, or that it was given back.
    fn meta(epoch: u64, left: Option<u64>) -> Meta {
        let lease_left = Duration::from_millis(left.unwrap_or(0));
        Meta { epoch, lease_left, is_given_back: left.is_none(), ..Meta::default() }
    }

    async fn looks_free(lookout: &mut Lookout, epoch: u64, left: Option<u64>) -> bool {
        advance(LEASE_LOOK).await;
        lookout.is_free(&meta(epoch, left), Instant::now(), Instant::now())
    }

    /// A lookout that has seen a lease with so many milliseconds left.
    async fn watching(left: u64) -> Lookout {
        let mut lookout = Lookout::default();
        assert!(!looks_free(&mut lookout, 7, Some(left)).await);
        lookout
    }

    /// Looks until the claim is free; after how long that was.
    async fn free_after(lookout: &mut Lookout, epoch: u64, left: Option<u64>) -> Duration {
        let since = Instant::now();
        while !looks_free(lookout, epoch, left).await {}
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_runs_out_or_is_given_back_is_free_at_once() {
        assert!(looks_free(&mut Lookout::default(), 7, Some(0)).await, "nobody was seen");
        let mut lookout = watching(200).await;
        assert_eq!(free_after(&mut lookout, 7, Some(0)).await, LEASE_LOOK);
        let mut lookout = watching(3000).await;
        assert_eq!(free_after(&mut lookout, 7, None).await, LEASE_LOOK);
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_may_come_back_when_redis_was_away_or_went_back() {
        for (epoch, left) in [(7, Some(0)), (6, Some(0)), (6, None), (0, Some(0))] {
            let mut lookout = watching(3000).await;
            assert_eq!(free_after(&mut lookout, epoch, left).await, LEASE + LEASE_LOOK);
        }
        let mut lookout = watching(200).await;
        lookout.was_away = true;
        assert_eq!(free_after(&mut lookout, 7, Some(0)).await, LEASE + LEASE_LOOK);
        let mut lookout = watching(200).await;
        lookout.was_away = true;
        assert_eq!(free_after(&mut lookout, 7, None).await, LEASE_LOOK, "it does not come back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_no_older_one() {
        let mut lookout = watching(3000).await;
        for left in [2500, 2000, 1500, 1000, 500] {
            // Half a second passes before Redis looks at its clock.
            let asked = Instant::now();
            advance(Duration::from_millis(500)).await;
            assert!(!lookout.is_free(&meta(7, Some(left)), asked, Instant::now()));
        }
        assert_eq!(free_after(&mut lookout, 7, Some(0)).await, LEASE_LOOK);
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_has_as_long_from_the_reply_on() {
        let mut lookout = watching(3000).await;
        let asked = Instant::now();
        advance(Duration::from_secs(4)).await;
        let told = Instant::now();
        assert!(!lookout.is_free(&meta(7, Some(0)), asked, told), "redis hung");
        assert_eq!(free_after(&mut lookout, 7, Some(0)).await, LEASE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_may_come_back_that_was_not_seen_before_redis_was_away() {
        let mut lookout = Lookout { was_away: true, ..Lookout::default() };
        assert_eq!(free_after(&mut lookout, 7, Some(0)).await, LEASE + LEASE_LOOK);
        let mut lookout = Lookout { was_away: true, ..Lookout::default() };
        assert!(looks_free(&mut lookout, 7, None).await, "it does not come back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_went_back_while_it_lasts_does_not_count_as_run_out() {
        let mut lookout = watching(3000).await;
        assert!(!looks_free(&mut lookout, 7, Some(200)).await);
        assert_eq!(free_after(&mut lookout, 7, Some(0)).await, LEASE);
        // Come back, the owner is watched as before.
        let mut lookout = watching(3000).await;
        assert!(!looks_free(&mut lookout, 7, Some(200)).await);
        for _ in 0..20 {
            assert!(!looks_free(&mut lookout, 8, Some(2900)).await);
        }
        advance(LEASE).await;
        assert!(looks_free(&mut lookout, 8, Some(0)).await);
    }
}
