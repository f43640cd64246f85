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
    /// A membership change, which this version does not know.
    #[error("failed to apply entry {index}: it changes the membership, which this version cannot")]
    Membership {
        /// The entry.
        index: LogIndex,
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
