//! What a replica knows of itself and its group.

use crate::{Election, Handover, Replica, SnapshotStatus};
use engine::{Counters, Group, Operations};
use raft::StateRole;
use types::{Board, Epoch, LogIndex, LogSeq, MaintenanceLease, Phase, ReplicaId, UnixMicros};

/// A replica's part in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    #[default]
    Follower,
    /// Misses the leader and asks whether others do, too.
    PreCandidate,
    /// Asks for votes in a new epoch.
    Candidate,
    /// Leads.
    Leader,
}

/// State hash after an entry; equal on all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashPoint {
    /// After which entry.
    pub index: LogIndex,
    /// The hash.
    pub hash: [u8; 8],
}

/// Another member as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The voter.
    pub replica: ReplicaId,
    /// The last entry that it has on disk as this leader has it.
    pub matched_index: LogIndex,
    /// Entries behind the leader.
    pub lag_entries: u64,
    /// Time since it was heard, in milliseconds.
    pub silent_ms: u64,
    /// It receives the log and does not vote yet.
    pub learner: bool,
}

impl Peer {
    /// Most entries behind at which a voter counts as in step.
    pub const LAG_ENTRIES_MAX: u64 = 256;
    /// Longest silence at which a voter counts as in step, in milliseconds.
    pub const SILENT_MS_MAX: u64 = 1_000;

    /// Whether it has, or is about to have, what the leader has.
    #[must_use]
    pub fn in_step(&self) -> bool {
        self.lag_entries <= Self::LAG_ENTRIES_MAX && self.silent_ms <= Self::SILENT_MS_MAX
    }
}

/// A replica's view at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Its part.
    pub role: Role,
    /// Its epoch.
    pub epoch: Epoch,
    /// Who leads; 0 for nobody known.
    pub leader: ReplicaId,
    /// Leads, has committed its opening entry, and hears a quorum.
    pub serving: bool,
    /// Last entry on disk.
    pub last_index: LogIndex,
    /// Last entry known to be committed.
    pub commit_index: LogIndex,
    /// Last entry applied.
    pub applied_index: LogIndex,
    /// Last command applied.
    pub last_seq: LogSeq,
    /// Hash of the state there.
    pub history_hash: [u8; 8],
    /// Hashes at earlier entries, newest first.
    pub hash_points: Vec<HashPoint>,
    /// The other voters; only on a leader.
    pub peers: Vec<Peer>,
    /// Elections that it took part in, newest first.
    pub elections: Vec<Election>,
    /// What the engine counted.
    pub counters: Counters,
    /// Commands turned away.
    pub overflows: u64,
    /// Who may take a replica out of service.
    pub maintenance: Option<MaintenanceLease>,
    /// Every voter is in step (leader only): the loss of any one center loses nothing.
    pub all_voters_in_step: bool,
    /// Members, policy and protection as of the last entry applied.
    pub group: Group,
    /// Operations that move or change the core, as of the last entry applied.
    pub operations: Operations,
    /// The phase of each board.
    pub phases: Vec<(Board, Phase)>,
    /// The leader's clock in the last batch applied; 0 before the first.
    pub last_batch_at: UnixMicros,
    /// What became of its snapshots.
    pub snapshots: SnapshotStatus,
    /// The last time that it handed leadership over.
    pub handover: Option<Handover>,
    /// When this was true.
    pub now: UnixMicros,
}

impl Replica {
    /// All that it knows of itself and its group.
    #[must_use]
    pub fn status(&self, now: UnixMicros) -> Status {
        let raft = &self.node.raft;
        let peers = self.peers(now);
        let leads = raft.state == StateRole::Leader;
        Status {
            role: self.role(),
            epoch: self.epoch(),
            leader: self.leader(),
            serving: self.serving(),
            last_index: LogIndex(raft.raft_log.last_index()),
            commit_index: LogIndex(raft.raft_log.committed),
            applied_index: LogIndex(self.applied),
            last_seq: self.state.last_seq(),
            history_hash: self.state.history_hash().to_bytes(),
            hash_points: self.hash_points.iter().copied().collect(),
            all_voters_in_step: leads
                && peers.iter().filter(|peer| !peer.learner).all(Peer::in_step),
            peers,
            elections: self.elections.recent(),
            counters: self.state.counters().clone(),
            overflows: self.overflows,
            maintenance: self.state.maintenance().cloned(),
            group: self.state.group().clone(),
            operations: self.state.operations().clone(),
            phases: (Board::ALL.iter())
                .map(|board| (*board, self.state.phase_of(*board)))
                .collect(),
            last_batch_at: self.state.last_entry().leader_time,
            snapshots: self.snapshots.status(),
            handover: self.handover.last,
            now,
        }
    }
}
