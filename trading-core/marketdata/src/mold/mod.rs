//! MoldUDP64: how NASDAQ numbers messages in UDP packets, and how what is lost is asked for again.
//!
//! Source: Nasdaq MoldUDP64 protocol specification 1.00.
//!
//! ```text
//!   0         10         18      20
//!   │ session │ sequence │ count │ length u16 │ message │ length u16 │ message │ …
//! ```
//!
//! All numbers are big-endian. The sequence is that of the first message. A count of 0 is a heartbeat
//! and carries the number that comes next; a count of 65535 ends the session. A request has the same
//! header and asks for `count` messages from `sequence` on.

mod frame;
mod receiver;

pub use frame::{Block, Blocks, Contents, FrameError, Packet, PacketBuilder, Request, Session};
pub use receiver::{Effect, Receiver, ReceiverCounts, ReceiverSettings};
