//! The front door of a center: one address for clients, wherever the leader is.
//!
//! ```text
//!   client ─► gRPC 7003 ─► session ──────────────► leader's orders address
//!                             ▲                        │
//!                             │ leader, or none        │ (the same connection)
//!   HTTP 9101 ◄─ readiness ◄─ view ◄── WatchStatus ◄── every replica
//! ```
//!
//! It holds no state: a stream is carried to the leader and back, message by message, and ends with
//! `UNAVAILABLE` when that leader is no longer the one. What is sent again after the next logon
//! answers as it did, so nothing here has to be exact, only quick and bounded.

mod config;
mod leader;
mod metrics;
mod service;
mod session;
mod watch;

pub use config::{Config, Limits, Listen, ReplicaAddress, Tls};
pub use service::{Gateway, GatewayError, Probe, run};
