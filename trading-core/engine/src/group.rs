//! The group as the log has it: members, policy, protection. It says nothing about trading and
//! rides in the same state, so that every snapshot carries it and every history hash covers it.
//!
//! Records are taken as they stand: whether a change may be is decided before it is proposed.

use crate::{EntryContext, MarketBook, Shard};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use types::{
    CommitPolicy, ControlOutcome, GroupChange, LogIndex, Member, MemberRole, MembershipStep,
    ReplicaId, UnixMicros,
};

/// How well the log is protected, by the policy's own measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProtectionLevel {
    /// As the policy promises.
    #[default]
    Full,
    /// Commits wait for a majority only: another site does not confirm.
    Degraded {
        /// All up to this entry had been confirmed by another site.
        confirmed: LogIndex,
        /// How long the leader had waited, in milliseconds.
        waited_ms: u32,
    },
}

/// The level and since when it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Protection {
    /// The level.
    pub level: ProtectionLevel,
    /// The time of the entry that began it.
    pub since: UnixMicros,
    /// That entry.
    pub since_index: LogIndex,
}

/// Members, policy and protection as of the last entry applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How often the group has been formed: 0 before the first entry, 1 from it on, one more with
    /// every forced takeover.
    pub generation: u64,
    /// The entry that began this generation.
    pub formed_at: LogIndex,
    /// Who belongs to it, by id.
    pub members: Vec<Member>,
    /// While one replica takes another's place: the voters as they were before. Empty otherwise.
    pub outgoing: Vec<ReplicaId>,
    /// What commits wait for.
    pub policy: CommitPolicy,
    /// How well that succeeds.
    pub protection: Protection,
}

impl Group {
    /// The member of this id.
    #[must_use]
    pub fn member(&self, replica: ReplicaId) -> Option<&Member> {
        self.members.iter().find(|member| member.replica == replica)
    }

    /// Those who vote in the configuration that stands, or is being entered.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        let voters = self.members.iter();
        voters.filter(|member| member.role == MemberRole::Voter)
    }

    /// Whether commits must reach two sites at the moment.
    #[must_use]
    pub fn waits_for_two_sites(&self) -> bool {
        matches!(self.policy, CommitPolicy::SiteSafe { .. })
            && self.protection.level == ProtectionLevel::Full
            && self
                .voters()
                .map(|m| &m.site)
                .collect::<BTreeSet<_>>()
                .len()
                > 1
    }

    fn apply(&mut self, change: &GroupChange, context: EntryContext) {
        match change {
            GroupChange::Found { members, policy } => {
                self.form(members, 1, context);
                self.policy = *policy;
            }
            GroupChange::Refound {
                members,
                generation,
            } => self.form(members, *generation, context),
            GroupChange::Policy(policy) => {
                self.policy = *policy;
                self.protect(ProtectionLevel::Full, context);
            }
            GroupChange::Degrade {
                confirmed,
                waited_ms,
            } => self.protect(
                ProtectionLevel::Degraded {
                    confirmed: *confirmed,
                    waited_ms: *waited_ms,
                },
                context,
            ),
            GroupChange::Recover => self.protect(ProtectionLevel::Full, context),
            GroupChange::Membership(step) => self.step(step),
        }
    }

    fn form(&mut self, members: &[Member], generation: u64, context: EntryContext) {
        self.members = members.to_vec();
        self.members.sort_by_key(|member| member.replica);
        self.outgoing.clear();
        self.generation = generation;
        self.formed_at = context.index;
        self.protect(ProtectionLevel::Full, context);
    }

    fn protect(&mut self, level: ProtectionLevel, context: EntryContext) {
        self.protection = Protection {
            level,
            since: context.leader_time,
            since_index: context.index,
        };
    }

    fn step(&mut self, step: &MembershipStep) {
        match step {
            MembershipStep::AddLearner(member) => {
                self.members.retain(|m| m.replica != member.replica);
                self.members.push(Member {
                    role: MemberRole::Learner,
                    ..member.clone()
                });
                self.members.sort_by_key(|member| member.replica);
            }
            MembershipStep::Promote(replica) => self.give(*replica, MemberRole::Voter),
            MembershipStep::Remove(replica) => self.members.retain(|m| m.replica != *replica),
            MembershipStep::Replace { old, new } => {
                self.outgoing = self.voters().map(|member| member.replica).collect();
                self.give(*old, MemberRole::Leaving);
                self.give(*new, MemberRole::Voter);
            }
            MembershipStep::Leave => {
                self.outgoing.clear();
                self.members.retain(|m| m.role != MemberRole::Leaving);
            }
        }
    }

    fn give(&mut self, replica: ReplicaId, role: MemberRole) {
        let members = self.members.iter_mut();
        for member in members.filter(|member| member.replica == replica) {
            member.role = role;
        }
    }
}

impl<B: MarketBook> Shard<B> {
    /// Members, policy and protection.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.facts.group
    }

    pub(crate) fn change_group(&mut self, change: &GroupChange) -> ControlOutcome {
        let context = self.facts.context;
        self.facts.group.apply(change, context);
        ControlOutcome::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;
    use types::{CenterName, Command, Control, MemberDuty};

    fn member(replica: u64, site: &str) -> Member {
        Member {
            replica: ReplicaId(replica),
            center: CenterName::new("c").unwrap(),
            site: site.into(),
            role: MemberRole::Voter,
            duty: MemberDuty::Data,
            priority: 1,
            address: None,
        }
    }

    fn after(changes: &[GroupChange]) -> Group {
        let mut state = State::new();
        let found = GroupChange::Found {
            members: vec![member(2, "A"), member(1, "A"), member(3, "B")],
            policy: CommitPolicy::SiteSafe {
                degrade_after_ms: 10,
            },
        };
        for (number, change) in std::iter::once(&found).chain(changes).enumerate() {
            let context = EntryContext {
                index: LogIndex(number as u64 + 1),
                leader_time: UnixMicros(number as u64 * 100),
                ..EntryContext::default()
            };
            let command = Command::Control(Control::Group(change.clone()));
            state.apply(context, &command, &mut Vec::new());
        }
        State::restore(&state.snapshot().unwrap())
            .unwrap()
            .group()
            .clone()
    }

    fn voters(group: &Group) -> Vec<u64> {
        group.voters().map(|member| member.replica.0).collect()
    }

    #[test]
    fn a_snapshot_carries_the_group() {
        let group = after(&[]);
        assert_eq!((group.generation, group.formed_at), (1, LogIndex(1)));
        assert_eq!(voters(&group), [1, 2, 3]);
        assert!(group.waits_for_two_sites());
    }

    #[test]
    fn a_degradation_says_since_when_and_up_to_where_all_is_safe() {
        let degrade = GroupChange::Degrade {
            confirmed: LogIndex(1),
            waited_ms: 11,
        };
        let group = after(std::slice::from_ref(&degrade));
        assert!(!group.waits_for_two_sites());
        let protection = group.protection;
        assert_eq!(protection.since, UnixMicros(100));
        assert_eq!(protection.since_index, LogIndex(2));
        let group = after(&[degrade, GroupChange::Recover]);
        assert_eq!(group.protection.level, ProtectionLevel::Full);
        assert_eq!(group.protection.since, UnixMicros(200));
    }

    #[test]
    fn a_replacement_needs_both_majorities_until_it_is_left() {
        let learner = MembershipStep::AddLearner(member(4, "B"));
        let replace = MembershipStep::Replace {
            old: ReplicaId(3),
            new: ReplicaId(4),
        };
        let steps = [learner, replace, MembershipStep::Leave].map(GroupChange::Membership);
        let joint = after(&steps[..2]);
        assert_eq!(voters(&joint), [1, 2, 4]);
        assert_eq!(joint.outgoing, [1, 2, 3].map(ReplicaId));
        assert_eq!(
            joint.member(ReplicaId(3)).map(|m| m.role),
            Some(MemberRole::Leaving)
        );
        let left = after(&steps);
        assert!(left.outgoing.is_empty() && left.member(ReplicaId(3)).is_none());
    }

    #[test]
    fn a_forced_takeover_begins_the_next_generation() {
        let group = after(&[GroupChange::Refound {
            members: vec![member(3, "B")],
            generation: 2,
        }]);
        assert_eq!((group.generation, group.formed_at), (2, LogIndex(2)));
        assert_eq!(voters(&group), [3]);
        // One site cannot be two: commits go on.
        assert!(!group.waits_for_two_sites());
    }
}
