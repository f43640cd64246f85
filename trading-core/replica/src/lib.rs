//! One replica of a shard without its I/O: inputs go in, effects come out, and one place outside
//! performs them.
//!
//! ```text
//!   tick ──────────┐                              ┌──► messages to send now
//!   peer message ──┤    ┌───────────────────┐     │    entries, hard state to persist
//!   command ───────┼──► │ Replica           │ ──► Work ─────────┐
//!   hash of a peer ┘    │  raft + State     │                   │ on the disk
//!                       │                   │ ◄── persisted() ──┘
//!                       └───────────────────┘ ──► Outcome: messages that had to wait for the disk,
//!                                                          events of what was committed and applied
//! ```
//!
//! Consensus is the `raft` crate: pre-vote, check-quorum, leadership transfer. One raft term is one
//! [`types::Epoch`], one raft entry a batch of commands.
//!
//! Who belongs to the group, what commits wait for and how well the log is protected are records of
//! the log; the configuration only seeds an empty group.
//!
//! # Guarantees
//! - Nothing is applied, and so nothing answered, before a majority has it on disk; under `SiteSafe`
//!   before voters of two sites have it, unless a record on a majority says that this is suspended.
//! - A new member votes only after it has caught up; a change that would lose the quorum or the
//!   objective is refused.
//! - A witness serves nobody. It leads only when it alone has the newest entries, to hand them over.
//! - A ticket is answered by the very entry into which its command went, or not at all: after a
//!   change of leader [`Outcome::leadership_lost`] says that open tickets have no answer.
//! - Same inputs in the same order lead to the same outputs: the clock comes in with each input, and
//!   election timeouts are drawn from [`Config::election_seed`], not from a generator of the thread.

mod commit_rule;
mod config;
mod driver;
mod duties;
mod election;
mod error;
mod handover;
mod membership;
mod protection;
mod replica;
mod snapshots;
mod status;
mod store;
mod unproven;
mod wire;

pub use config::Config;
pub use driver::{Driver, DriverError, Shell, SnapshotEnd, SnapshotJob};
pub use duties::Duties;
pub use election::Election;
pub use error::{MembershipError, ReplicaError, SubmitError, TransferError, WireError};
pub use handover::Handover;
pub use membership::MembershipChange;
pub use replica::{Applied, Outcome, Replica, Ticket, Work};
pub use snapshots::{Replayed, SnapshotStatus, SnapshotTask};
pub use status::{HashPoint, Peer, Role, Status};
pub use wire::{append_message, decode_message, encode_message};

pub use engine::{Group, Limits, Protection, ProtectionLevel};
pub use raft::eraftpb::Message;
