//! Who leads next: transfers that are asked for, crashes that a lost connection tells of, and what a
//! witness does with a log that nobody else has.

use crate::error::{ReplicaError, TransferError};
use crate::status::Peer;
use crate::{Config, Replica};
use raft::StateRole;
use raft::eraftpb::{Message, MessageType};
use types::{Epoch, MemberDuty, ReplicaId, UnixMicros};

/// Between the candidacies of two followers that lost the same leader's connection, in milliseconds:
/// longer than a question and its answer over a 30 ms link, so that the first has won by then.
const STAGGER_MS: u32 = 80;

/// A hand-over as the old leader saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// To whom.
    pub to: ReplicaId,
    /// The new leader's epoch.
    pub epoch: Epoch,
    /// From when on the old leader took no command.
    pub began_at: UnixMicros,
    /// Until it applied an entry of the new epoch, in microseconds. The new leader had served a
    /// message's way before, so this is no less than the gap.
    pub gap_us: u64,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    to: ReplicaId,
    epoch: u64,
    at: UnixMicros,
}

/// The hand-over under way, and the last that was completed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handovers {
    begun: Option<Begun>,
    pub last: Option<Handover>,
}

impl Handovers {
    /// An entry of this epoch was applied.
    pub(crate) fn applied(&mut self, epoch: u64, now: UnixMicros) {
        if let Some(begun) = self.begun.filter(|begun| epoch > begun.epoch) {
            self.begun = None;
            self.last = Some(Handover {
                to: begun.to,
                epoch: Epoch(epoch),
                began_at: begun.at,
                gap_us: now.0.saturating_sub(begun.at.0),
            });
        }
    }
}

/// A leader's connection was lost and could not be made again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspicion {
    leader: u64,
    /// The more preferred followers ask first.
    ticks_left: usize,
}

impl Replica {
    /// Begins to hand leadership over. Whether it went is seen in the status.
    ///
    /// # Errors
    /// [`TransferError`] naming what is missing.
    pub fn transfer(&mut self, to: ReplicaId, now: UnixMicros) -> Result<(), TransferError> {
        if self.node.raft.state != StateRole::Leader {
            return Err(TransferError::NotLeader {
                leader: ReplicaId(self.node.raft.leader_id),
            });
        }
        if to == self.config.replica {
            return Ok(());
        }
        let member = self.state.group().member(to);
        if member.is_some_and(|m| m.duty == MemberDuty::Witness) {
            return Err(TransferError::Witness { to });
        }
        let peers = self.peers(now);
        let peer = peers
            .iter()
            .find(|peer| peer.replica == to && !peer.learner)
            .ok_or(TransferError::NoVoter { to })?;
        if !peer.in_step() {
            return Err(TransferError::NotReady {
                to,
                lag_entries: peer.lag_entries,
                silent_ms: peer.silent_ms,
                lag_entries_max: Peer::LAG_ENTRIES_MAX,
                silent_ms_max: Peer::SILENT_MS_MAX,
            });
        }
        self.node.transfer_leader(to.0);
        self.handover.begun = Some(Begun {
            to,
            epoch: self.node.raft.term,
            at: now,
        });
        Ok(())
    }

    /// The follower best suited to take over, for a leader that is about to stop: the most
    /// preferred of those in step.
    #[must_use]
    pub fn successor(&self, now: UnixMicros) -> Option<ReplicaId> {
        let group = self.state.group();
        let in_step = self.peers(now).into_iter().filter(Peer::in_step);
        in_step
            .filter(|peer| !peer.learner)
            .filter_map(|peer| group.member(peer.replica))
            .filter(|member| member.duty == MemberDuty::Data)
            .max_by_key(|member| self.config.priority(member))
            .map(|member| member.replica)
    }

    /// The last hand-over that was completed from here.
    #[must_use]
    pub fn last_handover(&self) -> Option<Handover> {
        self.handover.last
    }

    /// Gives up what the consensus library has given up, and lets a witness that leads hand over.
    pub(crate) fn tick_handover(&mut self) {
        let transferring = self.node.raft.lead_transferee.is_some();
        let leads = self.node.raft.state == StateRole::Leader;
        if leads && !transferring {
            self.handover.begun = None;
        }
        if self.opened() && self.is_witness() && !transferring {
            let last = self.node.raft.raft_log.last_index();
            let progress = self.node.raft.prs();
            let group = self.state.group();
            let heir = group
                .voters()
                .filter(|member| member.duty == MemberDuty::Data)
                .filter(|member| {
                    let progress = progress.get(member.replica.0);
                    progress.is_some_and(|p| p.recent_active && p.matched == last)
                })
                .max_by_key(|member| self.config.priority(member))
                .map(|member| member.replica.0);
            if let Some(heir) = heir {
                self.node.transfer_leader(heir);
            }
        }
    }

    /// The connection to a peer was lost, and whoever listens there refuses another: its process is
    /// dead, most likely. When it led, this replica need not wait for its silence: it stops counting
    /// on the leader and soon asks the others whether they miss it, too. If they do not, or the
    /// leader speaks again, nothing has happened.
    pub fn suspect(&mut self, peer: ReplicaId) {
        let raft = &mut self.node.raft;
        if raft.state != StateRole::Follower || raft.leader_id != peer.0 {
            return;
        }
        // From now on it grants pre-votes: the lease is over as if the time were.
        raft.election_elapsed = raft.election_elapsed.max(raft.election_timeout());
        let group = self.state.group();
        let known: Vec<_> = group
            .voters()
            .filter(|member| member.replica != peer)
            .cloned()
            .collect();
        let rank = self.config.preferred_before(&known);
        self.suspicion = Some(Suspicion {
            leader: peer.0,
            ticks_left: 1 + rank * stagger_ticks(&self.config),
        });
    }

    /// Asks for votes when a suspicion has stood for its time.
    pub(crate) fn tick_suspicion(&mut self) {
        let Some(suspicion) = &mut self.suspicion else {
            return;
        };
        let raft = &self.node.raft;
        // The leader was heard again, or another leads.
        let in_doubt = raft.election_elapsed >= raft.election_timeout()
            && raft.state == StateRole::Follower
            && raft.leader_id == suspicion.leader;
        if !in_doubt {
            self.suspicion = None;
            return;
        }
        suspicion.ticks_left -= 1;
        if suspicion.ticks_left == 0 {
            self.suspicion = None;
            if raft.promotable() && self.unproven.is_none() {
                // Refused only where there is nothing to ask for.
                let _ = self.node.campaign();
            }
        }
    }

    /// Whether this replica is a witness.
    #[must_use]
    pub fn is_witness(&self) -> bool {
        let own = self.state.group().member(self.config.replica);
        own.is_some_and(|member| member.duty == MemberDuty::Witness)
    }

    /// Whether a message asks this witness for a vote that it must refuse, because the candidate
    /// lacks entries that this witness has.
    pub(crate) fn is_behind_witness(&self, message: &Message) -> bool {
        let asks = matches!(
            message.get_msg_type(),
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
        );
        let log = &self.node.raft.raft_log;
        asks && self.is_witness()
            && (message.log_term, message.index) < (log.last_term(), log.last_index())
    }

    /// A witness that alone has the newest entries leads for as long as it takes to hand them over:
    /// otherwise nobody could lead, and what it helped to commit could be lost.
    pub(crate) fn stand_in(&mut self) -> Result<(), ReplicaError> {
        let raft = &self.node.raft;
        let misses_leader = raft.leader_id == 0 || raft.election_elapsed >= raft.election_timeout();
        if raft.state == StateRole::Follower && misses_leader && self.unproven.is_none() {
            self.node.campaign()?;
        }
        Ok(())
    }
}

fn stagger_ticks(config: &Config) -> usize {
    config.ticks(STAGGER_MS)
}
