//! Operations that move or change a whole core, such as a planned move of its leader, as records of
//! the core's own log.
//!
//! ```text
//!   Begin ──► Step ──► Step ──► … ──► End
//!     │         │ each renews the holder's lease and stays in the journal of steps
//!     └ refused while another runs; taken over by whoever asks once the holder's lease is over
//! ```
//! So there is one operation at a time, whichever center asks; another center's operator goes on from
//! the same step; and the result has a place in the log like the orders around it.

use crate::{CenterName, ReplicaId, UnixMicros};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OperationKind {
    /// A planned move of the leader to another center.
    Switchover,
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switchover => write!(f, "Switchover"),
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OperationOutcome {
    /// It did what was asked for.
    Succeeded,
    /// It did not; its steps tell how far it came.
    Failed,
    /// Whoever ran it has not been heard of for [`OperationBounds::ABANDONED_AFTER_MS`].
    Abandoned,
}

impl fmt::Display for OperationOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Abandoned => "Abandoned",
        })
    }
}

/// Where leadership belongs since an operation moved it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PreferredLeader {
    /// The replica that shall lead.
    pub replica: ReplicaId,
    /// The center that the core's declaration named at that time. A later declaration of another
    /// center counts again, for it is newer.
    pub declared: CenterName,
}

/// One step as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OperationStep {
    /// Its name.
    pub name: String,
    /// When, by the leader's clock.
    pub at: UnixMicros,
    /// What came of it.
    pub detail: String,
}

/// An operation, running or ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operation {
    /// Its name, never used again while it is remembered: `namespace/name` of the object that asks.
    pub name: String,
    /// What it is.
    pub kind: OperationKind,
    /// SHA-256 of the request: the same name with another digest is another request.
    pub digest: [u8; 32],
    /// Who runs it.
    pub holder: String,
    /// Until when nobody else may go on with it.
    pub until: UnixMicros,
    /// When it began, by the leader's clock.
    pub began_at: UnixMicros,
    /// What was done so far.
    pub steps: Vec<OperationStep>,
    /// How it ended; none while it runs.
    pub outcome: Option<OperationOutcome>,
    /// When it ended.
    pub ended_at: UnixMicros,
}

/// A record about an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationRecord {
    /// Begins it, or goes on with it.
    Begin {
        /// Its name.
        name: String,
        /// What it is.
        kind: OperationKind,
        /// SHA-256 of the request.
        digest: [u8; 32],
        /// Who asks.
        holder: String,
        /// For how long nobody else may go on with it.
        ttl_ms: u32,
    },
    /// Writes down a step, and renews the lease. The same step again renews only.
    Step {
        /// The operation.
        name: String,
        /// Who runs it.
        holder: String,
        /// For how long nobody else may go on with it.
        ttl_ms: u32,
        /// The step.
        step: String,
        /// What came of it.
        detail: String,
    },
    /// Ends it.
    End {
        /// The operation.
        name: String,
        /// Who runs it.
        holder: String,
        /// How it ended.
        outcome: OperationOutcome,
        /// In a few words.
        detail: String,
        /// Where leadership belongs from now on.
        preferred: Option<PreferredLeader>,
    },
}

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug)]
pub struct OperationBounds;

impl OperationBounds {
    /// Longest name of an operation and of its holder, in bytes.
    pub const NAME_BYTES_MAX: usize = 320;
    /// Longest name of a step, in bytes.
    pub const STEP_BYTES_MAX: usize = 64;
    /// Longest detail, in bytes.
    pub const DETAIL_BYTES_MAX: usize = 1_024;
    /// Most steps of an operation.
    pub const STEPS_MAX: usize = 32;
    /// Ended operations that are remembered.
    pub const ENDED_MAX: usize = 16;
    /// Longest lease, in milliseconds.
    pub const TTL_MS_MAX: u32 = 600_000;
    /// A lease that ended so long ago gives way to another operation, in milliseconds.
    pub const ABANDONED_AFTER_MS: u32 = 600_000;
}

/// Why a record about an operation had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OperationRefusal {
    /// Something is too long, empty, or too much.
    #[error("{field} is {found}: accepted are 1 to {max}")]
    Bounds {
        /// What.
        field: String,
        /// How long or how much it is.
        found: u64,
        /// The most that is accepted.
        max: u64,
    },
    /// Another operation runs.
    #[error("{kind} {name} runs, held by {holder} until {until} µs: wait until it has ended")]
    Held {
        /// The one that runs.
        name: String,
        /// What it is.
        kind: OperationKind,
        /// Who runs it.
        holder: String,
        /// Until when it is certainly theirs.
        until: UnixMicros,
    },
    /// An operation of this name asked for something else.
    #[error("an operation {name} asked for something else before: give this one another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No such operation runs.
    #[error("no operation {name} runs: begin it first")]
    NotRunning {
        /// The name.
        name: String,
    },
}
