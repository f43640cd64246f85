//! How programs speak to the trading core: an order session that survives the loss of entries and
//! leaders, and a connection for administration.
//!
//! ```text
//!   OrderSession ── entries, in turn ──► Envoy ─► gateway ─► leader      (gRPC)
//!     │           └─────────────────────────────────────────► leader      (binary)
//!     │  session::State   pure: which number, what is open, what to send again, when an entry is dead
//!     └─ sockets, clock   a thin shell around it
//!
//!   ShardedSession ── one OrderSession a shard, chosen by the symbol
//!
//!   admin::AdminConnection ── one address ──► replica
//! ```

pub mod admin;
mod binary_connection;
mod connection;
mod order_session;
pub mod session;
mod sharded_session;

pub use connection::{AddressError, CONNECT_MS_MAX, endpoint};
pub use order_session::OrderSession;
pub use sharded_session::{RouteError, ShardedSession};
