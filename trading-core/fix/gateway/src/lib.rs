//! The FIX 4.4 front door of a center: it stands where the gRPC gateway stands and speaks FIX.
//!
//! ```text
//!   counterparty ─► FIX 7010 ─► acceptor: who is it? ─► its desk ─► order session ─► leader
//!                                                         │  ▲
//!                                                 store ◄─┘  └── the same, back
//!   HTTP 9102 ◄─ metrics, readiness
//! ```
//!
//! Each counterparty has one desk, a task that owns its socket, its session with the core and its
//! store; what it does is decided by the pure [`fix::Desk`]. When the leader changes, the FIX session
//! stays up: its order session logs on to the next leader and sends again what was not answered.
//!
//! A drop copy is a session of another kind: it reads the committed log of any replica and only tells.

mod acceptor;
mod config;
mod connection;
mod copy_session;
mod counterparty;
mod line;
mod log_reader;
mod metrics;
mod service;
mod store;
mod told;

pub use config::{Config, DropCopyConfig, Limits, Listen, SessionConfig};
pub use service::{GatewayError, run};
pub use store::{Opened, Store, StoreError};
