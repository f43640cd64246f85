//! A failover taken apart: what each part of it cost.
//!
//! ```text
//! fault ─detect─► missed ─fence─► epoch taken ─elect─► elected ─replay─► serving ─re-route─► a client
//!                                                                                   logged on ─► first order accepted
//! ```
//!
//! All stamps are wall clocks of one machine in the lab; on real centers they carry the clocks'
//! differences, which is why a leg is never negative here but cut to zero, and counted.

use serde::{Deserialize, Serialize};

/// The moments of one failover, in microseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// When the fault was made.
    pub fault_at_us: u64,
    /// When the new leader began to miss the old one.
    pub suspected_at_us: u64,
    /// When it took the new epoch; a quorum's votes for it fence the old one.
    pub campaigned_at_us: u64,
    /// When a quorum had voted for it.
    pub elected_at_us: u64,
    /// When its log was committed and applied up to its opening entry.
    pub serving_at_us: u64,
    /// When the first client was logged on in the new epoch.
    pub rerouted_at_us: u64,
    /// When the first client saw an order accepted in the new epoch.
    pub first_order_at_us: u64,
}

/// What each leg took, in microseconds, in the order in which they happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legs {
    /// Fault to suspicion.
    pub detect_us: u64,
    /// Suspicion to the new epoch.
    pub fence_us: u64,
    /// New epoch to elected.
    pub elect_us: u64,
    /// Elected to serving.
    pub replay_us: u64,
    /// Serving to the first client logged on.
    pub reroute_us: u64,
    /// First client logged on to first order accepted.
    pub first_order_us: u64,
    /// Fault to first order accepted: the recovery time.
    pub rto_us: u64,
    /// Stamps that came before the one they follow; above zero the clocks differ.
    pub stamps_out_of_order: u32,
}

/// Why the legs cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LegsError {
    /// A moment was not observed.
    #[error("failed to tell the legs: nothing was seen of {moment:?}; the run is inconclusive")]
    NotObserved {
        /// Which.
        moment: &'static str,
    },
    /// The first accepted order came before the fault.
    #[error(
        "failed to tell the legs: the first order of the new epoch was accepted \
         {early_us} µs before the fault"
    )]
    BeforeFault {
        /// By how much.
        early_us: u64,
    },
}

impl Moments {
    /// Takes the failover apart.
    ///
    /// # Errors
    /// When a moment is missing, or when orders were accepted in the new epoch before the fault.
    pub fn legs(&self) -> Result<Legs, LegsError> {
        let stamps = [
            ("fault", self.fault_at_us),
            ("suspicion", self.suspected_at_us),
            ("new epoch", self.campaigned_at_us),
            ("election", self.elected_at_us),
            ("serving", self.serving_at_us),
            ("first client logged on", self.rerouted_at_us),
            ("first order accepted", self.first_order_at_us),
        ];
        if let Some((moment, _)) = stamps.iter().find(|(_, at)| *at == 0) {
            return Err(LegsError::NotObserved { moment });
        }
        if self.first_order_at_us < self.fault_at_us {
            let early_us = self.fault_at_us - self.first_order_at_us;
            return Err(LegsError::BeforeFault { early_us });
        }
        let mut durations = [0; 6];
        let mut out_of_order = 0;
        let mut previous = self.fault_at_us;
        for (duration, (_, at)) in durations.iter_mut().zip(&stamps[1..]) {
            if *at < previous {
                out_of_order += 1;
            }
            *duration = at.saturating_sub(previous);
            previous = previous.max(*at);
        }
        let [
            detect_us,
            fence_us,
            elect_us,
            replay_us,
            reroute_us,
            first_order_us,
        ] = durations;
        Ok(Legs {
            detect_us,
            fence_us,
            elect_us,
            replay_us,
            reroute_us,
            first_order_us,
            rto_us: self.first_order_at_us - self.fault_at_us,
            stamps_out_of_order: out_of_order,
        })
    }
}

impl Legs {
    /// The legs with their names, in order.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("detect", self.detect_us),
            ("fence", self.fence_us),
            ("elect", self.elect_us),
            ("replay", self.replay_us),
            ("re-route", self.reroute_us),
            ("first order", self.first_order_us),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed() -> Moments {
        Moments {
            fault_at_us: 1_000,
            suspected_at_us: 601_000,
            campaigned_at_us: 602_000,
            elected_at_us: 640_000,
            serving_at_us: 680_000,
            rerouted_at_us: 700_000,
            first_order_at_us: 735_000,
        }
    }

    #[test]
    fn the_legs_add_up_to_the_recovery_time() {
        let legs = observed().legs().unwrap();
        assert_eq!(
            legs.named().iter().map(|(_, us)| us).sum::<u64>(),
            legs.rto_us
        );
        assert_eq!(legs.rto_us, 734_000);
        assert_eq!(legs.stamps_out_of_order, 0);
    }

    #[test]
    fn a_moment_that_nobody_saw_is_an_error_and_not_zero() {
        let error = Moments {
            elected_at_us: 0,
            ..observed()
        }
        .legs()
        .unwrap_err();
        assert_eq!(error, LegsError::NotObserved { moment: "election" });
    }

    #[test]
    fn clocks_that_differ_are_counted_and_still_add_up() {
        let legs = Moments {
            campaigned_at_us: 600_000,
            ..observed()
        }
        .legs()
        .unwrap();
        assert_eq!((legs.fence_us, legs.stamps_out_of_order), (0, 1));
        assert_eq!(
            legs.named().iter().map(|(_, us)| us).sum::<u64>(),
            legs.rto_us
        );
    }

    #[test]
    fn an_order_accepted_before_the_fault_proves_nothing() {
        let error = Moments {
            first_order_at_us: 400,
            ..observed()
        }
        .legs()
        .unwrap_err();
        assert_eq!(error, LegsError::BeforeFault { early_us: 600 });
    }
}
