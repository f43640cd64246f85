//! The agent against what it speaks to: a simulated card's files, a real API server, and a kubelet's
//! registration service.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole binary is a test; clippy knows only functions marked as one"
)]

mod api_server;
mod faults;
mod kubelet;
mod world;
