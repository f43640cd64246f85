//! A replica that knows less than its group may count on: its disk was lost, or it has just joined.

use crate::Replica;
use crate::error::ReplicaError;
use raft::eraftpb::{EntryType, Message, MessageType};
use raft::{ProgressState, StateRole};
use types::ReplicaId;

/// The group's founding is its first entry, and on every founder's disk before anything is asked.
const FOUNDING_INDEX: u64 = 1;

/// A replica whose disk was empty may have promised what it no longer knows: until it has all that
/// its group had committed when it first heard of it, it votes for nobody whose log is not empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unproven {
    /// What the leader had committed when it was first heard; 0 before.
    goal: u64,
    /// The leader counts on entries that this replica does not have, and must be told.
    rebuild_from: Option<u64>,
    /// Its log was damaged and set aside: there is a group with a history, whatever the others say.
    set_aside: bool,
    /// It has just become so, and the disk does not say it yet.
    is_news: bool,
}

impl Unproven {
    /// One that knows of nothing yet.
    pub(crate) fn new(set_aside: bool) -> Self {
        Self {
            set_aside,
            ..Self::default()
        }
    }

    /// Whether it may found a group: only one that may never have had a log, and has no more of one
    /// than the founding.
    pub(crate) fn may_found(self, last_index: u64) -> bool {
        !self.set_aside && last_index <= FOUNDING_INDEX
    }
}

impl Replica {
    /// What an unproven replica may take in. The consensus library relies on a voter to have what
    /// it once confirmed; one that lost its disk must not be held to it, and must not vote.
    pub(crate) fn admit_unproven(&mut self, mut message: Message) -> Option<Message> {
        // A heartbeat carries no more than this replica has confirmed. When it has less, or something
        // else there, its disk has lost a write that it had said to be synced, or an older state of it
        // was put back.
        let lacks = message.get_msg_type() == MessageType::MsgHeartbeat
            && !self.holds(message.commit, message.log_term);
        let committed = self.node.raft.raft_log.committed;
        if self.unproven.is_none() && lacks && message.term >= self.node.raft.term {
            self.unproven = Some(Unproven {
                set_aside: true,
                is_news: true,
                ..Unproven::default()
            });
        }
        let Some(unproven) = &mut self.unproven else {
            return Some(message);
        };
        match message.get_msg_type() {
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
                if message.index > FOUNDING_INDEX || unproven.set_aside =>
            {
                return None;
            }
            // To be handed leadership is to ask for votes, too.
            MessageType::MsgTimeoutNow => return None,
            MessageType::MsgHeartbeat => {
                unproven.goal = unproven.goal.max(message.commit);
                if lacks {
                    // Nothing says that what stands here is what the group has: an old state may end
                    // in entries that another leader replaced.
                    message.commit = committed;
                    unproven.rebuild_from = Some(message.from);
                }
            }
            MessageType::MsgAppend => unproven.goal = unproven.goal.max(message.commit),
            _ => {}
        }
        Some(message)
    }

    /// Whether this log has the leader's entry at an index, and so all before it. An epoch of 0 says
    /// nothing: a leader of an earlier version does not tell it.
    fn holds(&self, index: u64, epoch: u64) -> bool {
        let log = &self.node.raft.raft_log;
        let same = || epoch == 0 || log.term(index).is_ok_and(|own| own == epoch);
        index <= log.committed || (index <= log.last_index() && same())
    }

    /// Says in each heartbeat which epoch's entry it carries the commit of; the consensus library
    /// takes the number alone. With the same index and epoch the logs are the same up to there.
    pub(crate) fn name_committed(&self, messages: &mut [Message]) {
        for message in messages {
            if message.get_msg_type() == MessageType::MsgHeartbeat {
                let epoch = self.node.raft.raft_log.term(message.commit);
                message.log_term = epoch.unwrap_or(0);
            }
        }
    }

    /// Whether it has just found that its disk has lost what it had confirmed. Says so once; the
    /// journal must be told before anything else is promised.
    pub fn take_loss(&mut self) -> bool {
        let unproven = self.unproven.as_mut();
        unproven.is_some_and(|unproven| std::mem::take(&mut unproven.is_news))
    }

    /// The leader that must forget what this replica once confirmed, if there is one to be told.
    pub fn take_rebuild_request(&mut self) -> Option<ReplicaId> {
        let from = self.unproven.as_mut()?.rebuild_from.take()?;
        Some(ReplicaId(from))
    }

    /// A peer says that it lost its disk: all is sent to it again.
    pub fn rebuild(&mut self, peer: ReplicaId) {
        if self.node.raft.state != StateRole::Leader {
            return;
        }
        if let Some(progress) = self.node.raft.mut_prs().get_mut(peer.0)
            && progress.state != ProgressState::Snapshot
        {
            progress.matched = 0;
            progress.next_idx = 1;
            progress.become_probe();
        }
    }

    /// Whether it has just caught up with its group for the first time. Says so once; the journal
    /// must then be told.
    pub fn take_proof(&mut self) -> bool {
        let Some(unproven) = self.unproven else {
            return false;
        };
        let goal = unproven.goal.max(FOUNDING_INDEX + 1);
        let proven = self.applied >= goal && unproven.rebuild_from.is_none();
        if proven {
            self.unproven = None;
            // Whom it voted for in this epoch it may have forgotten: it votes for no other.
            if self.node.raft.vote == 0 {
                self.node.raft.vote = self.node.raft.leader_id;
            }
        }
        proven
    }

    /// A replica that joins has no log and no group: entries would hang in the air, so it asks for a
    /// snapshot, which names the group.
    pub(crate) fn admit_joining(&mut self, message: Message) -> Option<Message> {
        let joining = self.node.raft.prs().conf().voters().ids().is_empty();
        if !joining || message.get_msg_type() != MessageType::MsgAppend {
            return Some(message);
        }
        if message.term >= self.node.raft.term {
            let mut answer = Message {
                from: self.config.replica.0,
                to: message.from,
                term: message.term,
                index: message.index,
                reject: true,
                // One that is too old would not name this replica.
                request_snapshot: message.index.max(message.commit).max(1),
                ..Message::default()
            };
            answer.set_msg_type(MessageType::MsgAppendResponse);
            self.own_messages.push(answer);
        }
        None
    }

    /// A founder's first entry is not sent to it again when number and epoch match; so that it is the
    /// same is looked at here.
    pub(crate) fn refuse_other_founding(&self, message: &Message) -> Result<(), ReplicaError> {
        let theirs = message.entries.first();
        let (Some(own), Some(theirs)) = (self.node.store().founding(), theirs) else {
            return Ok(());
        };
        let normal = theirs.get_entry_type() == EntryType::EntryNormal;
        if theirs.index == FOUNDING_INDEX && normal && own.data != theirs.data {
            return Err(ReplicaError::OtherFounding {
                replica: ReplicaId(message.from),
            });
        }
        Ok(())
    }
}
