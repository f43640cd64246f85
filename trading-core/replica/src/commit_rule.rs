//! What commits wait for at the moment, as the consensus library is told, and the records that
//! change it.

use crate::error::{MembershipError, ReplicaError};
use crate::membership::{self, MembershipChange};
use crate::protection::{OtherSite, SiteWatch, Verdict};
use crate::replica::Flight;
use crate::status::Peer;
use crate::{Replica, Ticket};
use engine::{Group, ProtectionLevel};
use raft::StateRole;
use std::collections::BTreeMap;
use types::mutants::{self, Mutant};
use types::{CommitPolicy, GroupChange, LogIndex, MembershipStep, ReplicaId, UnixMicros};

/// What the consensus library was told last, and the leader's watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommitRule {
    told: Option<Told>,
    watch: Option<(u64, SiteWatch)>,
    /// The last entry that changed the group.
    changed_at: LogIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    epoch: u64,
    changed_at: LogIndex,
    two_sites: bool,
}

impl CommitRule {
    pub(crate) fn changed_at(&self) -> LogIndex {
        self.changed_at
    }

    /// An entry that changed the group was applied.
    pub(crate) fn group_changed(&mut self, group: &Group, index: LogIndex) {
        self.changed_at = index;
        if let Some((_, watch)) = &mut self.watch {
            watch.applied(is_degraded(group));
        }
    }
}

fn is_degraded(group: &Group) -> bool {
    group.protection.level != ProtectionLevel::Full
}

impl Replica {
    /// Tells the consensus library what commits wait for, when that has changed.
    pub(crate) fn align_commit_rule(&mut self, now: UnixMicros) {
        let raft = &self.node.raft;
        if raft.state != StateRole::Leader {
            self.commit_rule.watch = None;
            self.commit_rule.told = None;
            return;
        }
        let (epoch, last) = (raft.term, LogIndex(raft.raft_log.last_index()));
        let group = self.state.group();
        let two_sites = match group.policy {
            CommitPolicy::Metro => {
                self.commit_rule.watch = None;
                false
            }
            CommitPolicy::SiteSafe { .. } => {
                let watch = self
                    .commit_rule
                    .watch
                    .get_or_insert_with(|| (epoch, SiteWatch::new(is_degraded(group), last, now)));
                if watch.0 != epoch {
                    *watch = (epoch, SiteWatch::new(is_degraded(group), last, now));
                }
                // A watch that recovers waits although the state says degraded, and so on.
                let sites: Vec<&String> = group.voters().map(|m| &m.site).collect();
                watch.1.waits() && sites.windows(2).any(|two| two[0] != two[1])
            }
        };
        let told = Told {
            epoch,
            changed_at: self.commit_rule.changed_at,
            two_sites,
        };
        if self.commit_rule.told == Some(told) {
            return;
        }
        self.commit_rule.told = Some(told);
        // Groups before the rule: without them all would count as one.
        if two_sites {
            let mut sites: BTreeMap<&str, u64> = BTreeMap::new();
            let mut groups = Vec::new();
            for member in &group.members {
                let next = sites.len() as u64 + 1;
                let site = *sites.entry(&member.site).or_insert(next);
                groups.push((member.replica.0, site));
            }
            self.node.raft.assign_commit_groups(&groups);
        }
        let waits = two_sites && !mutants::is(Mutant::NoGroupCommit);
        self.node.raft.enable_group_commit(waits);
    }

    /// The leader's look at the other sites, once a tick.
    pub(crate) fn watch_sites(&mut self, now: UnixMicros) {
        self.align_commit_rule(now);
        let CommitPolicy::SiteSafe { degrade_after_ms } = self.state.group().policy else {
            return;
        };
        let Some(other) = self.other_site(now) else {
            return;
        };
        let last = LogIndex(self.node.raft.raft_log.last_index());
        let opened = self.opened();
        let Some((_, watch)) = &mut self.commit_rule.watch else {
            return;
        };
        let Some(verdict) = watch.look(other, last, degrade_after_ms, now) else {
            return;
        };
        // Recovery can wait for the opening entry; what makes that entry commit cannot.
        if verdict == Verdict::Recover && !opened {
            return;
        }
        let change = match verdict {
            Verdict::Degrade {
                confirmed,
                waited_ms,
            } => GroupChange::Degrade {
                confirmed,
                waited_ms,
            },
            Verdict::Recover => GroupChange::Recover,
        };
        let record = self.propose_change(change, None, now);
        if let (Some(record), Some((_, watch))) = (record, &mut self.commit_rule.watch) {
            watch.proposed(verdict, record, now);
        }
        self.align_commit_rule(now);
        self.release_when_recorded();
    }

    /// The best voter of the other sites; none where all voters stand in one.
    fn other_site(&self, now: UnixMicros) -> Option<OtherSite> {
        let group = self.state.group();
        let own_site = &group.member(self.config.replica)?.site;
        let peers = self.peers(now);
        let others = group.voters().filter(|member| member.site != *own_site);
        others
            .filter_map(|member| peers.iter().find(|peer| peer.replica == member.replica))
            .map(|peer| OtherSite {
                confirmed: peer.matched_index,
                heard_at: UnixMicros(now.0.saturating_sub(peer.silent_ms * 1_000)),
                in_step: peer.in_step(),
            })
            .max_by_key(|other| (other.confirmed, other.heard_at))
    }

    /// Ends the wait for two sites once a majority has the record that says so.
    pub(crate) fn release_when_recorded(&mut self) {
        let watch = self.commit_rule.watch.as_ref();
        let Some(record) = watch.and_then(|(_, watch)| watch.degrading()) else {
            return;
        };
        if self.majority_index() < record {
            return;
        }
        if let Some((_, watch)) = &mut self.commit_rule.watch {
            watch.majority_has(record);
        }
        self.align_commit_rule(UnixMicros(0));
    }

    /// The last entry that a majority has on disk, whatever its sites.
    fn majority_index(&self) -> LogIndex {
        let group = self.state.group();
        let voters: Vec<ReplicaId> = group.voters().map(|m| m.replica).collect();
        let majority = |voters: &[ReplicaId]| {
            let progress = self.node.raft.prs();
            let mut matched: Vec<u64> = voters
                .iter()
                .map(|voter| progress.get(voter.0).map_or(0, |p| p.matched))
                .collect();
            matched.sort_unstable_by(|a, b| b.cmp(a));
            matched.get(voters.len() / 2).copied().unwrap_or(u64::MAX)
        };
        LogIndex(majority(&voters).min(majority(&group.outgoing)))
    }

    /// Changes the membership, if it may be. The ticket is answered when the leader has applied it.
    ///
    /// # Errors
    /// [`MembershipError`] naming what is missing.
    pub fn change_membership(
        &mut self,
        ticket: Option<Ticket>,
        change: MembershipChange,
        now: UnixMicros,
    ) -> Result<(), MembershipError> {
        if !self.serving() {
            return Err(MembershipError::NotLeader {
                leader: ReplicaId(self.node.raft.leader_id),
            });
        }
        let busy = |with: &str| {
            Err(MembershipError::Busy {
                with: with.to_owned(),
            })
        };
        if !self.state.group().outgoing.is_empty() {
            return busy("a replacement is under way");
        }
        if self.node.raft.has_pending_conf() {
            return busy("the last change is not applied yet");
        }
        if self.node.raft.lead_transferee.is_some() {
            return busy("leadership is being handed over");
        }
        let peers = self.peers(now);
        let group = self.state.group();
        let step = membership::step_for(change, group, &peers, self.config.replica)?;
        match self.propose_change(GroupChange::Membership(step), ticket, now) {
            Some(_) => Ok(()),
            None => busy("the consensus library takes no change at the moment"),
        }
    }

    /// Ends a replacement whose first half is applied; whoever leads does.
    pub(crate) fn leave_joint(&mut self, now: UnixMicros) -> Result<(), ReplicaError> {
        if self.opened()
            && !self.state.group().outgoing.is_empty()
            && !self.node.raft.has_pending_conf()
        {
            let leave = GroupChange::Membership(MembershipStep::Leave);
            self.propose_change(leave, None, now);
        }
        Ok(())
    }

    /// Puts a record about the group in the log; gives back its entry, unless it is not taken now.
    fn propose_change(
        &mut self,
        change: GroupChange,
        ticket: Option<Ticket>,
        now: UnixMicros,
    ) -> Option<LogIndex> {
        self.highest_time = self.highest_time.max(now);
        let step = match &change {
            GroupChange::Membership(step) => Some(step.clone()),
            _ => None,
        };
        let batch = membership::batch_with(change, self.highest_time).ok()?;
        let proposed = match step {
            Some(step) => {
                let change = membership::conf_change(&step, batch);
                self.node.propose_conf_change(Vec::new(), change)
            }
            None => self.node.propose(Vec::new(), batch),
        };
        proposed.ok()?;
        let index = self.node.raft.raft_log.last_index();
        self.in_flight.push_back(Flight {
            index,
            epoch: self.node.raft.term,
            formed_at: now,
            tickets: vec![ticket],
        });
        Some(LogIndex(index))
    }

    /// The other members as the leader sees them; empty on others.
    pub(crate) fn peers(&self, now: UnixMicros) -> Vec<Peer> {
        let raft = &self.node.raft;
        if raft.state != StateRole::Leader {
            return Vec::new();
        }
        let last = raft.raft_log.last_index();
        let learners = raft.prs().conf().learners();
        let others = raft.prs().iter().filter(|(id, _)| **id != raft.id);
        let mut peers: Vec<Peer> = others
            .map(|(id, progress)| Peer {
                replica: ReplicaId(*id),
                matched_index: LogIndex(progress.matched),
                lag_entries: last.saturating_sub(progress.matched),
                silent_ms: now.0.saturating_sub(self.heard.get(id).map_or(0, |t| t.0)) / 1_000,
                learner: learners.contains(id),
            })
            .collect();
        peers.sort_by_key(|peer| peer.replica);
        peers
    }
}
