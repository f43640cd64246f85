//! When this replica missed its leader, asked for votes, won, and served: the legs of a failover as
//! it lived them.

use crate::Role;
use std::collections::VecDeque;
use types::{Epoch, ReplicaId, UnixMicros};

/// How many are kept.
const KEPT: usize = 16;

/// One election; times are this replica's wall clock, 0 where it did not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Election {
    /// The epoch asked for.
    pub epoch: Epoch,
    /// When it missed the leader.
    pub suspected_at: UnixMicros,
    /// When it took the new epoch and asked for votes.
    pub campaigned_at: UnixMicros,
    /// When a quorum had voted for it.
    pub elected_at: UnixMicros,
    /// When its opening entry, and all before, was applied.
    pub serving_at: UnixMicros,
    /// When the first client order of the epoch was applied.
    pub first_order_at: UnixMicros,
    /// Who led before, as far as it knew.
    pub previous_leader: ReplicaId,
    /// Asked for by a transfer rather than by silence.
    pub planned: bool,
}

/// Follows a replica's part and stamps what changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elections {
    recent: VecDeque<Election>,
    role: Role,
    epoch: Epoch,
    /// The last leader that was known.
    leader: ReplicaId,
    suspected_at: Option<UnixMicros>,
}

impl Elections {
    /// Takes note of the part that the replica has now.
    pub(crate) fn observe(&mut self, role: Role, epoch: Epoch, leader: ReplicaId, now: UnixMicros) {
        let changed = role != self.role || epoch != self.epoch;
        if changed {
            match role {
                // A second attempt belongs to the first: the leader has been missed since then.
                Role::PreCandidate => {
                    self.suspected_at.get_or_insert(now);
                }
                Role::Candidate => self.campaign(epoch, now),
                Role::Leader => {
                    // Alone or very fast, a replica can win without having been seen to ask.
                    if self.recent.front().is_none_or(|e| e.epoch != epoch) {
                        self.campaign(epoch, now);
                    }
                    if let Some(election) = self.recent.front_mut() {
                        election.elected_at = now;
                    }
                }
                Role::Follower => {}
            }
        }
        if leader.0 != 0 {
            self.leader = leader;
            self.suspected_at = None;
        }
        (self.role, self.epoch) = (role, epoch);
    }

    fn campaign(&mut self, epoch: Epoch, now: UnixMicros) {
        self.recent.push_front(Election {
            epoch,
            suspected_at: self.suspected_at.unwrap_or(now),
            campaigned_at: now,
            previous_leader: self.leader,
            planned: self.suspected_at.is_none(),
            ..Election::default()
        });
        self.recent.truncate(KEPT);
    }

    pub(crate) fn served(&mut self, epoch: Epoch, now: UnixMicros) {
        stamp(self.recent.front_mut(), epoch, now, |e| &mut e.serving_at);
    }

    pub(crate) fn ordered(&mut self, epoch: Epoch, now: UnixMicros) {
        stamp(self.recent.front_mut(), epoch, now, |e| {
            &mut e.first_order_at
        });
    }

    pub(crate) fn recent(&self) -> Vec<Election> {
        self.recent.iter().copied().collect()
    }
}

fn stamp(
    election: Option<&mut Election>,
    epoch: Epoch,
    now: UnixMicros,
    field: impl Fn(&mut Election) -> &mut UnixMicros,
) {
    if let Some(election) = election.filter(|e| e.epoch == epoch) {
        let field = field(election);
        if field.0 == 0 {
            *field = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: ReplicaId = ReplicaId(0);

    #[test]
    fn a_failover_is_stamped_leg_by_leg() {
        let mut elections = Elections::default();
        elections.observe(Role::Follower, Epoch(3), ReplicaId(1), UnixMicros(10));
        elections.observe(Role::PreCandidate, Epoch(3), NOBODY, UnixMicros(20));
        elections.observe(Role::PreCandidate, Epoch(3), NOBODY, UnixMicros(25));
        elections.observe(Role::Candidate, Epoch(4), NOBODY, UnixMicros(30));
        elections.observe(Role::Leader, Epoch(4), ReplicaId(2), UnixMicros(40));
        elections.served(Epoch(4), UnixMicros(50));
        elections.ordered(Epoch(4), UnixMicros(60));
        elections.ordered(Epoch(4), UnixMicros(70));
        let expected = Election {
            epoch: Epoch(4),
            suspected_at: UnixMicros(20),
            campaigned_at: UnixMicros(30),
            elected_at: UnixMicros(40),
            serving_at: UnixMicros(50),
            first_order_at: UnixMicros(60),
            previous_leader: ReplicaId(1),
            planned: false,
        };
        assert_eq!(elections.recent(), [expected]);
    }

    #[test]
    fn a_transfer_is_told_from_a_failover() {
        let mut elections = Elections::default();
        elections.observe(Role::Follower, Epoch(3), ReplicaId(1), UnixMicros(10));
        elections.observe(Role::Candidate, Epoch(4), NOBODY, UnixMicros(30));
        assert!(elections.recent()[0].planned);
    }

    #[test]
    fn a_leader_that_came_back_ends_the_suspicion() {
        let mut elections = Elections::default();
        elections.observe(Role::PreCandidate, Epoch(3), NOBODY, UnixMicros(20));
        elections.observe(Role::Follower, Epoch(3), ReplicaId(1), UnixMicros(30));
        elections.observe(Role::PreCandidate, Epoch(3), NOBODY, UnixMicros(90));
        elections.observe(Role::Candidate, Epoch(4), NOBODY, UnixMicros(95));
        assert_eq!(elections.recent()[0].suspected_at, UnixMicros(90));
    }
}
