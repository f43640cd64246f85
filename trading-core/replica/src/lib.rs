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
//! # Guarantees
//! - Nothing is applied, and so nothing answered, before a majority has it on disk.
//! - A ticket is answered by the very entry into which its command went, or not at all: after a
//!   change of leader [`Outcome::leadership_lost`] says that open tickets have no answer.
//! - Same inputs in the same order lead to the same outputs: the clock comes in with each input, and
//!   election timeouts are drawn from [`Config::election_seed`], not from a generator of the thread.

mod config;
mod driver;
mod election;
mod error;
mod replica;
mod status;
mod store;
mod wire;

pub use config::{Config, Member};
pub use driver::{Driver, DriverError, Shell};
pub use election::Election;
pub use error::{ReplicaError, SubmitError, TransferError, WireError};
pub use replica::{Applied, Outcome, Replica, Ticket, Work};
pub use status::{HashPoint, Peer, Role, Status};
pub use wire::{append_message, decode_message, encode_message};

pub use raft::eraftpb::Message;
