//! The process of a replica: the one impure crate of the core.
//!
//! ```text
//!  gRPC 7002 ─► orders ──submissions──►┌────────────────────┐──► journal (sync) ─► disk
//!               admin ───inputs───────►│ core: one thread,  │──► snapshots (own thread)
//!  TCP 7003 ─► door ─────batches──────►│                    │──► outbox ─► door ─► clients
//!  TCP 7001 ──► transport ─inputs─────►│ one Replica        │──► transport ─► peers
//!                                      └─────────┬──────────┘──► routes ─► sessions' streams
//!  HTTP 9100 ─► metrics, health ◄──── status ────┘
//!                    journal on disk ─► market_data (own thread) ─► UDP multicast
//! ```
//!
//! The core thread owns the replica and the journal and never waits for a socket: what it sends goes
//! into bounded queues, and what does not fit is counted and dropped (peers ask again; a client's
//! stream is ended and taken up again by its logon).

pub mod admin;
pub mod clock;
pub mod config;
pub mod core;
pub mod door;
mod group_metrics;
mod log_follower;
pub mod market_data;
pub mod metrics;
pub mod orders;
pub mod owner;
mod reported;
pub mod routes;
pub mod run;
pub mod takeover;
mod transfers;
pub mod transport;
