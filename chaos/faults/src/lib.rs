//! The fault drivers. Each applies a fault, says what it was seen to do, takes it back, and proves
//! that it is gone; and each fault is a lease.
//!
//! ```text
//!   PlannedFault ─► strikes ─► prepare (looks, changes nothing) ─► lease on disk, synced ─► keeper armed
//!                                                                                              │
//!     proof ◄── recover ◄── engine, keeper at the deadline, sweep, or the red button ◄── apply ┘
//! ```
//!
//! The keeper is a process of its own: it outlives the engine, and takes the fault back when the
//! lease's time is over, whoever else is dead. No driver runs a shell: programs get their arguments
//! one by one, and those come from types.

pub mod control_plane;
pub mod error;
pub mod ground;
pub mod journal;
pub mod keeper;
pub mod kubernetes;
pub mod lease;
pub mod limit;
pub mod link;
pub mod packets;
pub mod power;
pub mod process;
pub mod strike;

pub use error::Error;
pub use ground::Ground;
pub use lease::{Lease, Leases, Swept};
pub use strike::{Background, Strike, strikes};
