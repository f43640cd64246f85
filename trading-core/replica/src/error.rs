//! What can go wrong in a replica.

use types::{CodecError, LogIndex, ReplicaId};

/// A fault after which the replica must stop: what it holds cannot be trusted, or it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The consensus library refuses.
    #[error("failed to take part in the group: {0}")]
    Raft(#[from] raft::Error),
    /// An entry cannot be read.
    #[error("failed to apply entry {index}: {source}")]
    Entry {
        /// The entry.
        index: LogIndex,
        /// Why.
        source: CodecError,
    },
    /// The log went back.
    #[error(transparent)]
    Stale(#[from] engine::StaleEntry),
    /// State cannot be written or read.
    #[error(transparent)]
    Snapshot(#[from] engine::SnapshotError),
    /// A membership change that cannot be read.
    #[error("failed to apply entry {index}: it changes the membership, and says {detail}")]
    Membership {
        /// The entry.
        index: LogIndex,
        /// What the decoder met.
        detail: String,
    },
    /// The disk holds a log and nobody says whose.
    #[error(
        "failed to start: the log does not begin with the group's founding, and no snapshot names its \
         members: empty the data directory and start this replica with \"join\": true"
    )]
    NoGroup,
    /// The group was founded with other members than this replica's configuration says.
    #[error(
        "failed to follow replica {replica}: its log begins with another founding than this \
         configuration's: empty the data directory and start with \"join\": true"
    )]
    OtherFounding {
        /// Who leads there.
        replica: ReplicaId,
    },
    /// Another site formed the group anew without this replica.
    #[error(
        "replica {by} belongs to generation {theirs} of this group and this replica to {own}: a forced \
         takeover formed it anew. This replica stops and serves no more: find what it alone has with \
         `trading-core takeover salvage`, then `trading-core takeover rejoin` it"
    )]
    Superseded {
        /// Who said so.
        by: ReplicaId,
        /// Its generation.
        theirs: u64,
        /// This replica's.
        own: u64,
    },
    /// Replaying the log led to another state than applying it did.
    #[error(
        "the state replayed from the disk differs at entry {index}: {replayed} from the disk, \
         {running} in memory: this replica stops; keep its data directory and compare it with a peer's"
    )]
    Replay {
        /// Up to which entry.
        index: LogIndex,
        /// The hash of the replayed state.
        replayed: String,
        /// The hash of the running state.
        running: String,
    },
    /// Two replicas applied the same log and hold different states.
    #[error(
        "states differ at entry {index}: {own} here, {other} at replica {replica}: this replica \
         stops; keep both data directories and compare them"
    )]
    Divergence {
        /// Up to which entry.
        index: LogIndex,
        /// This replica's hash.
        own: String,
        /// The other's.
        other: String,
        /// The other.
        replica: ReplicaId,
    },
}

/// Why a command is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// This replica does not serve.
    #[error("this replica does not serve: the leader is {}", name(*.leader))]
    NotServing {
        /// Who leads, as far as it knows; 0 for nobody.
        leader: ReplicaId,
    },
    /// Too many commands wait.
    #[error("{waiting} commands wait already: try again")]
    Full {
        /// How many.
        waiting: usize,
    },
}

/// Why leadership is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Only the leader can.
    #[error("only the leader hands leadership over: ask {}", name(*.leader))]
    NotLeader {
        /// Who leads; 0 for nobody.
        leader: ReplicaId,
    },
    /// No such voter.
    #[error("replica {to} is no voter of this group")]
    NoVoter {
        /// Who was named.
        to: ReplicaId,
    },
    /// A witness serves nobody.
    #[error("replica {to} is a witness, which serves nobody: name another")]
    Witness {
        /// Who was named.
        to: ReplicaId,
    },
    /// The other is silent or behind.
    #[error(
        "replica {to} is not ready: {lag_entries} entries behind, silent for {silent_ms} ms; it \
         must be at most {lag_entries_max} entries behind and heard within {silent_ms_max} ms"
    )]
    NotReady {
        /// Who was named.
        to: ReplicaId,
        /// How far behind, in entries.
        lag_entries: u64,
        /// Since when silent, in milliseconds.
        silent_ms: u64,
        /// Accepted lag, in entries.
        lag_entries_max: u64,
        /// Accepted silence, in milliseconds.
        silent_ms_max: u64,
    },
}

/// Why bytes are no message of a peer.
#[derive(Debug, thiserror::Error)]
#[error("failed to read a peer's message of {length} bytes: {detail}")]
pub struct WireError {
    /// How many bytes came.
    pub length: usize,
    /// What the decoder met.
    pub detail: String,
}

fn name(leader: ReplicaId) -> String {
    if leader.0 == 0 {
        "not known".into()
    } else {
        format!("replica {leader}")
    }
}

/// Why the membership is not changed. Each names what is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Only a leader that serves can.
    #[error("only the leader changes the membership: ask {}", name(*.leader))]
    NotLeader {
        /// Who leads; 0 for nobody.
        leader: ReplicaId,
    },
    /// Another change is under way.
    #[error("one change at a time: {with}: finish that first, or take it back")]
    Busy {
        /// What is under way.
        with: String,
    },
    /// The id is taken.
    #[error("replica {replica} is a member already: use an id that is free")]
    MemberAlready {
        /// Who was named.
        replica: ReplicaId,
    },
    /// No such member.
    #[error("replica {replica} is no member of this group")]
    NoMember {
        /// Who was named.
        replica: ReplicaId,
    },
    /// It must be a learner first.
    #[error("replica {replica} is no learner of this group: add it as one first")]
    NoLearner {
        /// Who was named.
        replica: ReplicaId,
    },
    /// Too many copies.
    #[error("the group has {members_max} members, and more are not accepted: remove one first")]
    TooMany {
        /// Most members.
        members_max: usize,
    },
    /// Something about the newcomer is missing.
    #[error(
        "{field} of the new member is not accepted: give 1 to 255 characters, and an id from 1"
    )]
    Newcomer {
        /// The field.
        field: &'static str,
    },
    /// It must have what the leader has.
    #[error(
        "replica {replica} has not caught up: {lag_entries} entries behind, silent for {silent_ms} \
         ms; it must be at most {} entries behind and heard within {} ms",
        crate::Peer::LAG_ENTRIES_MAX,
        crate::Peer::SILENT_MS_MAX
    )]
    NotCaughtUp {
        /// Who was named.
        replica: ReplicaId,
        /// How far behind, in entries.
        lag_entries: u64,
        /// Since when silent, in milliseconds.
        silent_ms: u64,
    },
    /// The leader cannot go.
    #[error("replica {replica} leads: hand leadership over first")]
    Leads {
        /// Who was named.
        replica: ReplicaId,
    },
    /// The group would stop.
    #[error(
        "{needed} of {voters} voters would be needed, and {silent:?} are silent or behind: bring \
         them back first"
    )]
    Quorum {
        /// Voters after the change.
        voters: usize,
        /// How many of them decide.
        needed: usize,
        /// Who of them is not in step.
        silent: Vec<u64>,
    },
    /// The group would be less than it is meant to be.
    #[error("the objective would be lost: {detail}")]
    Objective {
        /// What, and what to do.
        detail: String,
    },
}
