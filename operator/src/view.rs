//! What the replicas' answers say together: who leads, who is in step, whether all agree. Pure.
//!
//! Answers of an older epoch have no say. What nobody said is unknown, not false.

use std::collections::BTreeSet;

use crds::TradingCoreSpec;
use protocol::admin::{MaintenanceLease, Operation, ReplicaStatus, Role};

/// Entries by which a replica may be behind the leader and still be in step: at 30 ms of distance
/// and a few hundred batches a second a healthy replica is a dozen behind.
pub const LAG_ENTRIES_MAX: u64 = 500;

/// What asking one replica brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The replica's number.
    pub replica: u64,
    /// Its center.
    pub center: String,
    /// Its status, or why there is none.
    pub status: Result<ReplicaStatus, String>,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leader {
    /// Nobody could be asked.
    NoData,
    /// Replicas answered, and none of the newest epoch knows a leader.
    None,
    /// Replicas of the newest epoch name different leaders, which must never be.
    Differ(Vec<u64>),
    /// This replica.
    Known(u64),
}

/// The answers of all replicas, seen together.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    answers: Vec<Answer>,
    epoch: Option<u64>,
    leader: Leader,
}

impl View {
    /// Puts the answers together.
    #[must_use]
    pub fn of(answers: Vec<Answer>) -> Self {
        let epoch = answers
            .iter()
            .filter_map(|answer| answer.status.as_ref().ok())
            .map(|status| status.epoch)
            .max();
        let named: BTreeSet<u64> = answers
            .iter()
            .filter_map(|answer| answer.status.as_ref().ok())
            .filter(|status| Some(status.epoch) == epoch && status.leader != 0)
            .map(|status| status.leader)
            .collect();
        let leader = match (epoch, named.len()) {
            (None, _) => Leader::NoData,
            (_, 0) => Leader::None,
            (_, 1) => named
                .first()
                .map_or(Leader::None, |one| Leader::Known(*one)),
            _ => Leader::Differ(named.into_iter().collect()),
        };
        Self {
            answers,
            epoch,
            leader,
        }
    }

    /// The answers, in the order of the object's centers.
    #[must_use]
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// The newest epoch that any replica knows.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Who leads.
    #[must_use]
    pub fn leader(&self) -> &Leader {
        &self.leader
    }

    /// The leader's number, if one is known.
    #[must_use]
    pub fn leader_replica(&self) -> Option<u64> {
        match self.leader {
            Leader::Known(replica) => Some(replica),
            _ => None,
        }
    }

    /// The center of a replica.
    #[must_use]
    pub fn center_of(&self, replica: u64) -> Option<&str> {
        self.answers
            .iter()
            .find(|answer| answer.replica == replica)
            .map(|answer| answer.center.as_str())
    }

    /// A replica's own status.
    #[must_use]
    pub fn status_of(&self, replica: u64) -> Option<&ReplicaStatus> {
        self.answers
            .iter()
            .find(|answer| answer.replica == replica)?
            .status
            .as_ref()
            .ok()
    }

    /// The leader's own status, if it answered as the leader of the newest epoch.
    #[must_use]
    pub fn leader_status(&self) -> Option<&ReplicaStatus> {
        self.status_of(self.leader_replica()?).filter(|status| {
            status.role == i32::from(Role::Leader) && Some(status.epoch) == self.epoch
        })
    }

    /// Entries by which a replica is behind, as the leader says.
    #[must_use]
    pub fn lag_entries(&self, replica: u64) -> Option<u64> {
        let leader = self.leader_status()?;
        if leader.replica == replica {
            return Some(0);
        }
        leader
            .peers
            .iter()
            .find(|peer| peer.replica == replica)
            .map(|peer| peer.lag_entries)
    }

    /// Whether a replica follows closely, as the leader says.
    #[must_use]
    pub fn in_step(&self, replica: u64) -> Option<bool> {
        let leader = self.leader_status()?;
        if leader.replica == replica {
            return Some(true);
        }
        leader
            .peers
            .iter()
            .find(|peer| peer.replica == replica)
            .map(|peer| peer.recently_active && peer.lag_entries <= LAG_ENTRIES_MAX)
    }

    /// The maintenance lease that stands, as the leader says; an ended one is none.
    #[must_use]
    pub fn lease(&self) -> Option<&MaintenanceLease> {
        let leader = self.leader_status()?;
        leader
            .maintenance
            .as_ref()
            .filter(|lease| lease.until_us > leader.now_us)
    }

    /// The operation that runs, as the leader says.
    #[must_use]
    pub fn running_operation(&self) -> Option<&Operation> {
        self.leader_status()?.operations.as_ref()?.running.as_ref()
    }

    /// The center where leadership belongs: where the last planned move put it, unless another has
    /// been declared since.
    #[must_use]
    pub fn primary_center<'a>(&'a self, spec: &'a TradingCoreSpec) -> &'a str {
        let operations = self.leader_status().and_then(|it| it.operations.as_ref());
        operations
            .and_then(|operations| operations.preferred.as_ref())
            .filter(|preferred| preferred.declared == spec.primary_center)
            .and_then(|preferred| self.center_of(preferred.replica))
            .unwrap_or(&spec.primary_center)
    }

    /// Whether two replicas have the same content where both say what they have; none when they
    /// have no place in common.
    #[must_use]
    pub fn content_agrees(&self, one: u64, other: u64) -> Option<bool> {
        let (one, other) = (self.status_of(one)?, self.status_of(other)?);
        let mut compared = None;
        if one.applied_index == other.applied_index {
            compared = Some(one.history_hash == other.history_hash);
        }
        for point in &one.hash_points {
            if let Some(same) = other
                .hash_points
                .iter()
                .find(|candidate| candidate.index == point.index)
            {
                compared = Some(compared.unwrap_or(true) && same.hash == point.hash);
            }
        }
        // A log that is younger than its first point has none to compare.
        if compared.is_none() && (one.hash_points.is_empty() || other.hash_points.is_empty()) {
            return one
                .applied_index
                .min(other.applied_index)
                .lt(&HASH_POINT_ENTRIES)
                .then_some(true);
        }
        compared
    }

    /// Two replicas whose content differs, which must never be.
    #[must_use]
    pub fn divergence(&self) -> Option<(u64, u64)> {
        let replicas: Vec<u64> = self.answers.iter().map(|answer| answer.replica).collect();
        replicas.iter().enumerate().find_map(|(position, one)| {
            replicas[position + 1..]
                .iter()
                .find(|other| self.content_agrees(*one, **other) == Some(false))
                .map(|other| (*one, *other))
        })
    }
}

/// Entries between two hash points.
const HASH_POINT_ENTRIES: u64 = 1_024;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::admin::{
        Board, BoardPhase, Group, HashPoint, Operations, PeerProgress, Phase, ProtectionState,
    };

    /// Three replicas in a1, a2 and b1, of which `leader` leads epoch 7 and all are in step.
    pub(crate) fn group(leader: u64) -> Vec<Answer> {
        ["a1", "a2", "b1"]
            .into_iter()
            .zip(1..)
            .map(|(center, replica)| Answer {
                replica,
                center: center.to_owned(),
                status: Ok(ReplicaStatus {
                    replica,
                    center: center.to_owned(),
                    now_us: 1_000_000,
                    role: if replica == leader {
                        Role::Leader.into()
                    } else {
                        Role::Follower.into()
                    },
                    epoch: 7,
                    leader,
                    serving: replica == leader,
                    applied_index: 5_000,
                    history_hash: vec![9],
                    hash_points: vec![HashPoint {
                        index: 4_096,
                        hash: vec![8],
                    }],
                    peers: if replica == leader {
                        (1..=3)
                            .filter(|peer| *peer != leader)
                            .map(|peer| PeerProgress {
                                replica: peer,
                                recently_active: true,
                                lag_entries: 3,
                                ..PeerProgress::default()
                            })
                            .collect()
                    } else {
                        Vec::new()
                    },
                    all_voters_in_step: replica == leader,
                    disk_free_bytes: 4 << 30,
                    group: Some(Group {
                        protection: Some(ProtectionState::default()),
                        ..Group::default()
                    }),
                    operations: Some(Operations::default()),
                    phases: vec![BoardPhase {
                        board: Board::ShanghaiMain.into(),
                        phase: Phase::Continuous.into(),
                    }],
                    ..ReplicaStatus::default()
                }),
            })
            .collect()
    }

    /// The same, with one status changed.
    pub(crate) fn changed(
        leader: u64,
        replica: u64,
        change: impl FnOnce(&mut ReplicaStatus),
    ) -> View {
        let mut answers = group(leader);
        for answer in &mut answers {
            if answer.replica == replica
                && let Ok(status) = &mut answer.status
            {
                change(status);
                break;
            }
        }
        View::of(answers)
    }

    /// The same, with some that could not be asked.
    pub(crate) fn silent(leader: u64, replicas: &[u64]) -> View {
        let mut answers = group(leader);
        for answer in &mut answers {
            if replicas.contains(&answer.replica) {
                answer.status = Err("no answer".to_owned());
            }
        }
        View::of(answers)
    }

    #[test]
    fn a_healthy_group_has_one_leader_and_agrees() {
        let view = View::of(group(2));
        assert_eq!(view.leader(), &Leader::Known(2));
        assert_eq!(view.in_step(3), Some(true));
        assert_eq!(view.lag_entries(2), Some(0));
        assert_eq!(view.divergence(), None);
        assert_eq!(view.content_agrees(1, 2), Some(true));
    }

    #[test]
    fn nobody_answering_is_no_data() {
        let view = silent(1, &[1, 2, 3]);
        assert_eq!(view.leader(), &Leader::NoData);
        assert_eq!(view.in_step(1), None);
    }

    #[test]
    fn a_silent_leader_is_known_by_its_followers_but_says_nothing() {
        let view = silent(1, &[1]);
        assert_eq!(view.leader(), &Leader::Known(1));
        assert!(view.leader_status().is_none());
        assert_eq!(view.in_step(2), None);
    }

    #[test]
    fn an_older_epoch_has_no_say() {
        let view = changed(2, 1, |status| {
            status.epoch = 6;
            status.leader = 1;
            status.role = Role::Leader.into();
        });
        assert_eq!(view.leader(), &Leader::Known(2));
    }

    #[test]
    fn two_leaders_of_one_epoch_are_told() {
        let view = changed(2, 3, |status| status.leader = 3);
        assert_eq!(view.leader(), &Leader::Differ(vec![2, 3]));
    }

    #[test]
    fn a_different_hash_at_one_place_is_a_divergence() {
        let view = changed(1, 3, |status| status.hash_points[0].hash = vec![1]);
        assert_eq!(view.divergence(), Some((1, 3)));
    }

    #[test]
    fn no_place_in_common_is_not_agreement() {
        let view = changed(1, 3, |status| {
            status.applied_index = 90_000;
            status.hash_points[0].index = 89_088;
        });
        assert_eq!(view.content_agrees(1, 3), None);
    }

    #[test]
    fn a_lease_that_has_ended_is_none() {
        let with = |until_us| {
            changed(1, 1, |status| {
                status.maintenance = Some(MaintenanceLease {
                    replica: 2,
                    holder: "x".to_owned(),
                    until_us,
                });
            })
        };
        assert!(with(1_000_001).lease().is_some());
        assert!(with(1_000_000).lease().is_none());
    }
}
