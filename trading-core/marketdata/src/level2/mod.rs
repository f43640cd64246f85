//! Level 2: the best levels of each book and every trade, over UDP multicast on two lines.
//!
//! `FORMAT.md` beside this crate's manifest is the protocol, byte by byte.
//!
//! ```text
//!   Publisher ──incremental, A and B──► Receiver ──► View: ladder, last trade, freshness
//!       └───────snapshots, A and B─────────┘
//! ```

mod ladder;
mod publisher;
mod receiver;
pub mod wire;

pub use ladder::{Change, DEPTH_MAX, Ladder, LadderError};
pub use publisher::{Datagram, Group, PublishError, Publisher, PublisherCounts, PublisherSettings};
pub use receiver::{
    Effect, Freshness, Line, Receiver, ReceiverCounts, ReceiverSettings, Stale, View,
};
pub use wire::{ChannelId, Sequence, Stream, WireError};
