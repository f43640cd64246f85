//! Moves an account's funds from one shard to another, exactly once, whatever dies on the way.
//!
//! ```text
//!            ┌────────────── look at both leaders ◄───────────────┐
//!            ▼                                                    │
//!   what is known ─► next(movement, known) ─► Begin   ─► from: TransferOut ──┤
//!                          │                  Deliver ─► to:   TransferIn  ──┤
//!                          │                  End     ─► from: TransferDone ─┘
//!                          ├─► Over: done, now or by an earlier run
//!                          └─► Impossible: nothing was moved, or nothing more
//! ```
//!
//! # Guarantees
//! - It keeps nothing: every step is decided from what stands in the two shards' logs. Killed at any
//!   point and run again with the same number, it goes on, and a run after the end does nothing.
//! - Several at once with the same number do what one does.
//! - Each record may reach its shard any number of times, late ones too; the engines' rules make each
//!   take effect once (see `engine`'s module on transfers). What this program adds is only that
//!   `TransferIn` is sent when the sender's log holds the movement, and `TransferDone` when the
//!   receiver's does.
//! - It begins nothing that could not arrive: the account must be open at both ends.

mod config;
mod leader;
mod movement;
mod run;

pub use config::{Config, ShardReplicas};
pub use movement::{Impossible, Known, Movement, Next, next};
pub use run::{Listed, MoveError, Moved, UnderWay, list, run};
