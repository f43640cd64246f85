//! Who belongs to the group: what the log says, what the consensus library makes of it, and whether
//! a change may be.
//!
//! ```text
//!   ask ─► may it be? ─► Control::Group(Membership(step)) ─► one entry ─┬─► State (snapshots, hash)
//!            │ no: what is missing                                      └─► raft's configuration
//! ```
//!
//! In the journal such an entry is a batch like any other; to the consensus library it is a change of
//! configuration. Both forms hold the same step, so one is made from the other.

use crate::error::MembershipError;
use crate::status::Peer;
use engine::Group;
use prost_of_raft::Message as _;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState,
};
use std::collections::BTreeSet;
use types::{
    Batch, Command, CommitPolicy, Control, GroupChange, Member, MemberDuty, MemberRole,
    MembershipStep, ReplicaId, UnixMicros, decode_batch, encode_batch,
};

/// An entry of a membership change is never longer, in bytes.
const STEP_BYTES_MAX: usize = 4_096;
/// Most members: more copies slow every commit and save nothing.
const MEMBERS_MAX: usize = 7;
/// Fewest voters with which the loss of one stops nothing.
const VOTERS_MIN: usize = 3;

/// A change that someone asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// Takes in a replica; it catches up before it may vote.
    AddLearner(Member),
    /// Gives a learner its vote.
    Promote(ReplicaId),
    /// Lets a member go.
    Remove(ReplicaId),
    /// Gives the vote of one to another.
    Replace {
        /// Who goes.
        old: ReplicaId,
        /// The learner that comes.
        new: ReplicaId,
    },
}

/// Whether the leader may propose a change, and as which step.
pub(crate) fn step_for(
    change: MembershipChange,
    group: &Group,
    peers: &[Peer],
    leader: ReplicaId,
) -> Result<MembershipStep, MembershipError> {
    let step = match change {
        MembershipChange::AddLearner(member) => {
            check_newcomer(&member, group)?;
            return Ok(MembershipStep::AddLearner(member));
        }
        MembershipChange::Promote(replica) => {
            check_caught_up(replica, group, peers)?;
            MembershipStep::Promote(replica)
        }
        MembershipChange::Remove(replica) => {
            check_leaver(replica, group, leader)?;
            if group.member(replica).map(|m| m.role) == Some(MemberRole::Learner) {
                return Ok(MembershipStep::Remove(replica));
            }
            MembershipStep::Remove(replica)
        }
        MembershipChange::Replace { old, new } => {
            check_leaver(old, group, leader)?;
            check_caught_up(new, group, peers)?;
            MembershipStep::Replace { old, new }
        }
    };
    let before: Vec<&Member> = group.voters().collect();
    let after = voters_after(&step, group);
    check_quorum(&after, peers, leader)?;
    check_objective(&before, &after, group.policy)?;
    Ok(step)
}

fn voters_after<'a>(step: &MembershipStep, group: &'a Group) -> Vec<&'a Member> {
    let (goes, comes) = match step {
        MembershipStep::Promote(new) => (None, Some(*new)),
        MembershipStep::Remove(old) => (Some(*old), None),
        MembershipStep::Replace { old, new } => (Some(*old), Some(*new)),
        MembershipStep::AddLearner(_) | MembershipStep::Leave => (None, None),
    };
    let members = group.members.iter();
    members
        .filter(|m| Some(m.replica) != goes)
        .filter(|m| m.role == MemberRole::Voter || Some(m.replica) == comes)
        .collect()
}

fn check_newcomer(member: &Member, group: &Group) -> Result<(), MembershipError> {
    if group.member(member.replica).is_some() {
        return Err(MembershipError::MemberAlready {
            replica: member.replica,
        });
    }
    let learner = group.members.iter().find(|m| m.role == MemberRole::Learner);
    if let Some(learner) = learner {
        return Err(MembershipError::Busy {
            with: format!("replica {} is still a learner", learner.replica),
        });
    }
    if group.members.len() >= MEMBERS_MAX {
        return Err(MembershipError::TooMany {
            members_max: MEMBERS_MAX,
        });
    }
    let address = member.address.as_ref();
    let named = |text: &str| (1..=255).contains(&text.len());
    for (field, accepted) in [
        ("replica", member.replica.0 > 0),
        ("site", named(&member.site)),
        (
            "replication",
            address.is_some_and(|a| named(&a.replication)),
        ),
        ("orders", address.is_some_and(|a| named(&a.orders))),
    ] {
        if !accepted {
            return Err(MembershipError::Newcomer { field });
        }
    }
    Ok(())
}

fn check_caught_up(
    replica: ReplicaId,
    group: &Group,
    peers: &[Peer],
) -> Result<(), MembershipError> {
    let role = group.member(replica).map(|m| m.role);
    if role != Some(MemberRole::Learner) {
        return Err(MembershipError::NoLearner { replica });
    }
    match peers.iter().find(|peer| peer.replica == replica) {
        Some(peer) if peer.in_step() => Ok(()),
        Some(peer) => Err(MembershipError::NotCaughtUp {
            replica,
            lag_entries: peer.lag_entries,
            silent_ms: peer.silent_ms,
        }),
        None => Err(MembershipError::NoLearner { replica }),
    }
}

fn check_leaver(
    replica: ReplicaId,
    group: &Group,
    leader: ReplicaId,
) -> Result<(), MembershipError> {
    if group.member(replica).is_none() {
        return Err(MembershipError::NoMember { replica });
    }
    if replica == leader {
        return Err(MembershipError::Leads { replica });
    }
    Ok(())
}

fn check_quorum(
    after: &[&Member],
    peers: &[Peer],
    leader: ReplicaId,
) -> Result<(), MembershipError> {
    let silent: Vec<u64> = after
        .iter()
        .filter(|member| member.replica != leader)
        .filter(|member| {
            let peer = peers.iter().find(|peer| peer.replica == member.replica);
            !peer.is_some_and(Peer::in_step)
        })
        .map(|member| member.replica.0)
        .collect();
    let needed = after.len() / 2 + 1;
    if after.len() - silent.len() < needed {
        return Err(MembershipError::Quorum {
            voters: after.len(),
            needed,
            silent,
        });
    }
    Ok(())
}

fn check_objective(
    before: &[&Member],
    after: &[&Member],
    policy: CommitPolicy,
) -> Result<(), MembershipError> {
    let missing = |detail: String| Err(MembershipError::Objective { detail });
    if after.len() < VOTERS_MIN && after.len() < before.len() {
        return missing(format!(
            "{} voters would remain, and the loss of one would stop trading: replace the voter \
             instead, or add another first",
            after.len()
        ));
    }
    if let Some(center) = center_to_stand_on(after)
        && center_to_stand_on(before).is_none()
    {
        return missing(format!(
            "of {} voters {} are needed, and without center {center} fewer would be left: add a \
             voter in another center first",
            after.len(),
            after.len() / 2 + 1
        ));
    }
    let sites = |voters: &[&Member]| {
        let data = voters.iter().filter(|m| m.duty == MemberDuty::Data);
        data.map(|m| m.site.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    };
    let left = sites(after);
    if matches!(policy, CommitPolicy::SiteSafe { .. })
        && left.len() < 2
        && sites(before).len() > left.len()
    {
        return missing(format!(
            "the policy SiteSafe needs voters that can serve in two sites, and only {left:?} would \
             remain: add one in another site first, or set the policy Metro"
        ));
    }
    Ok(())
}

/// A center without which no majority is left.
fn center_to_stand_on<'a>(voters: &[&'a Member]) -> Option<&'a str> {
    voters.iter().map(|m| m.center.as_str()).find(|center| {
        let left = voters.iter().filter(|m| m.center.as_str() != *center);
        left.count() < voters.len() / 2 + 1
    })
}

/// The consensus library's form of the group.
pub(crate) fn conf_state(group: &Group) -> ConfState {
    let with = |role| {
        let members = group.members.iter().filter(move |m| m.role == role);
        members.map(|m| m.replica.0).collect()
    };
    ConfState {
        voters: with(MemberRole::Voter),
        learners: with(MemberRole::Learner),
        voters_outgoing: group.outgoing.iter().map(|id| id.0).collect(),
        ..ConfState::default()
    }
}

/// The consensus library's form of a step; the batch with the step rides along.
pub(crate) fn conf_change(step: &MembershipStep, batch: Vec<u8>) -> ConfChangeV2 {
    let single = |kind: ConfChangeType, replica: ReplicaId| {
        let mut change = ConfChangeSingle {
            node_id: replica.0,
            ..ConfChangeSingle::default()
        };
        change.set_change_type(kind);
        change
    };
    let mut change = ConfChangeV2 {
        context: batch,
        ..ConfChangeV2::default()
    };
    change.changes = match step {
        MembershipStep::AddLearner(member) => {
            vec![single(ConfChangeType::AddLearnerNode, member.replica)]
        }
        MembershipStep::Promote(replica) => vec![single(ConfChangeType::AddNode, *replica)],
        MembershipStep::Remove(replica) => vec![single(ConfChangeType::RemoveNode, *replica)],
        MembershipStep::Replace { old, new } => {
            change.set_transition(ConfChangeTransition::Explicit);
            vec![
                single(ConfChangeType::AddNode, *new),
                single(ConfChangeType::RemoveNode, *old),
            ]
        }
        MembershipStep::Leave => Vec::new(),
    };
    change
}

/// The batch that a change of configuration carries.
pub(crate) fn batch_of(data: &[u8]) -> Result<(ConfChangeV2, Vec<u8>), prost_of_raft::DecodeError> {
    let change = ConfChangeV2::decode(data)?;
    let batch = change.context.clone();
    Ok((change, batch))
}

/// The step that a batch holds, if it is one of a membership change.
pub(crate) fn step_of(batch: &[u8]) -> Option<MembershipStep> {
    match only_change(batch)? {
        GroupChange::Membership(step) => Some(step),
        _ => None,
    }
}

/// Members and generation with which a batch forms the group, if it does.
pub(crate) struct Formed {
    pub members: Vec<Member>,
    pub generation: u64,
}

pub(crate) fn formed_by(batch: &[u8]) -> Option<Formed> {
    let (members, generation) = match only_change(batch)? {
        GroupChange::Found { members, .. } => (members, 1),
        GroupChange::Refound {
            members,
            generation,
        } => (members, generation),
        _ => return None,
    };
    Some(Formed {
        members,
        generation,
    })
}

fn only_change(batch: &[u8]) -> Option<GroupChange> {
    if batch.len() > STEP_BYTES_MAX {
        return None;
    }
    let mut commands = decode_batch(batch).ok()?.commands;
    match (commands.pop(), commands.is_empty()) {
        (Some(Command::Control(Control::Group(change))), true) => Some(change),
        _ => None,
    }
}

/// A batch with one change of the group.
pub(crate) fn batch_with(
    change: GroupChange,
    leader_time: UnixMicros,
) -> Result<Vec<u8>, types::CodecError> {
    encode_batch(&Batch {
        leader_time,
        commands: vec![Command::Control(Control::Group(change))],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{CenterName, LogIndex, MemberAddress};

    fn member(replica: u64, center: &str, site: &str) -> Member {
        Member {
            replica: ReplicaId(replica),
            center: CenterName::new(center).unwrap(),
            site: site.into(),
            role: MemberRole::Voter,
            duty: MemberDuty::Data,
            priority: 1,
            address: Some(MemberAddress {
                replication: "h:1".into(),
                orders: "h:2".into(),
            }),
        }
    }

    fn three() -> Group {
        Group {
            generation: 1,
            members: vec![
                member(1, "a1", "A"),
                member(2, "a2", "A"),
                member(3, "b1", "B"),
            ],
            policy: CommitPolicy::SiteSafe {
                degrade_after_ms: 1_000,
            },
            ..Group::default()
        }
    }

    fn with_learner(mut group: Group, center: &str, site: &str) -> Group {
        let learner = Member {
            role: MemberRole::Learner,
            ..member(4, center, site)
        };
        group.members.push(learner);
        group
    }

    fn peers(silent: &[u64]) -> Vec<Peer> {
        let peer = |id: u64| Peer {
            replica: ReplicaId(id),
            matched_index: LogIndex(9),
            lag_entries: 0,
            silent_ms: if silent.contains(&id) { 9_000 } else { 5 },
            learner: id == 4,
        };
        (2..=4).map(peer).collect()
    }

    fn refused(change: MembershipChange, group: &Group, silent: &[u64]) -> String {
        let step = step_for(change, group, &peers(silent), ReplicaId(1));
        step.unwrap_err().to_string()
    }

    #[test]
    fn a_change_that_would_lose_the_quorum_names_who_is_missing() {
        let group = with_learner(three(), "b1", "B");
        let replace = MembershipChange::Replace {
            old: ReplicaId(3),
            new: ReplicaId(4),
        };
        assert!(step_for(replace.clone(), &group, &peers(&[]), ReplicaId(1)).is_ok());
        let text = refused(replace, &group, &[4]);
        assert!(text.contains("silent for 9000 ms"), "{text}");
        let text = refused(MembershipChange::Promote(ReplicaId(4)), &group, &[2, 3]);
        assert!(text.contains("[2, 3]"), "{text}");
    }

    #[test]
    fn a_change_that_would_lose_the_objective_names_it() {
        let group = three();
        let text = refused(MembershipChange::Remove(ReplicaId(2)), &group, &[]);
        assert!(text.contains("2 voters would remain"), "{text}");
        // Two in one center, of four: that center would stop the group.
        let group = with_learner(three(), "b1", "B");
        let text = refused(MembershipChange::Promote(ReplicaId(4)), &group, &[]);
        assert!(text.contains("without center b1"), "{text}");
        let group = with_learner(three(), "a3", "A");
        let replace = MembershipChange::Replace {
            old: ReplicaId(3),
            new: ReplicaId(4),
        };
        let text = refused(replace, &group, &[]);
        assert!(text.contains("SiteSafe"), "{text}");
    }

    #[test]
    fn a_replica_votes_only_after_it_has_been_a_learner() {
        let group = three();
        let text = refused(MembershipChange::Promote(ReplicaId(4)), &group, &[]);
        assert!(text.contains("replica 4 is no learner"), "{text}");
        let text = refused(MembershipChange::Remove(ReplicaId(1)), &group, &[]);
        assert!(text.contains("leads"), "{text}");
        let group = with_learner(group, "w", "W");
        let fifth = MembershipChange::AddLearner(member(5, "c", "C"));
        let text = refused(fifth, &group, &[]);
        assert!(text.contains("replica 4 is still a learner"), "{text}");
        let nowhere = Member {
            address: None,
            ..member(5, "c", "C")
        };
        let text = refused(MembershipChange::AddLearner(nowhere), &three(), &[]);
        assert!(text.contains("replication"), "{text}");
    }

    #[test]
    fn a_step_is_the_same_in_the_journal_and_in_the_consensus_library() {
        let step = MembershipStep::Replace {
            old: ReplicaId(3),
            new: ReplicaId(4),
        };
        let change = GroupChange::Membership(step.clone());
        let batch = batch_with(change, UnixMicros(7)).unwrap();
        let encoded = conf_change(&step, batch.clone()).encode_to_vec();
        let (change, carried) = batch_of(&encoded).unwrap();
        assert_eq!(carried, batch);
        assert_eq!(change.changes.len(), 2);
        assert_eq!(step_of(&carried), Some(step));
    }
}
