//! The front door of a center: one address for clients, wherever the leader is.
//!
//! ```text
//!   client ─► gRPC 7003 ─► session ──────────────► leader's orders address
//!                             ▲                        │
//!                             │ leader, or none        │ (the same connection)
//!   HTTP 9101 ◄─ readiness ◄─ view ◄── WatchStatus ◄── every replica
//! ```
//!
//! In front of several shards, a stream is for one of them, which its logon names: a client has one for
//! each. So the loss of a leader ends the streams of its shard, and no others.
//!
//! It holds no state: a stream is carried to the leader and back, message by message, and ends with
//! `UNAVAILABLE` when that leader is no longer the one. What is sent again after the next logon
//! answers as it did, so nothing here has to be exact, only quick and bounded.

mod config;
mod leader;
mod metrics;
mod service;
mod session;
mod shards;
mod watch;

pub use config::{Config, Limits, Listen, ReplicaAddress, ShardAddresses, Tls};
pub use service::{Gateway, GatewayError, Probe, run};
