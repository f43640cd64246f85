//! The operator: one process in each center, which makes its own center's part of every
//! `TradingCore` and reports what it sees.
//!
//! ```text
//!            TradingCore ──────────────────────────────┐
//!                 │                                    │
//!  own cluster ─┐ ▼                                    ▼
//!               ├► observe ─► validate ─► build ─► apply ─► plan ─► perform ─► status
//!  replicas ────┘  (reads)     (pure)     (pure)  (writes)  (pure)  (one step)  (pure, then written)
//! ```
//!
//! A second controller runs planned moves of the leader: see [`switchover`]. A third forms the group anew
//! when no quorum is left: see [`takeover`].
//!
//! Trading needs none of this: the replicas elect their leader by themselves. The operator starts
//! processes, hands leadership back to the primary center when that is safe, and restarts its own
//! center's replica under the core's maintenance lease, so that two are never restarted at once.

mod announce;
pub mod apply;
pub mod build;
pub mod core;
pub mod http;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod perform;
pub mod plan;
pub mod reconcile;
pub mod status;
pub mod switchover;
pub mod takeover;
pub mod validate;
pub mod view;
