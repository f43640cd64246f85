//! FIX 4.4 order entry without sockets, clock and disk: codec, session and what stands between a
//! counterparty and the core.
//!
//! ```text
//!   bytes ─► frame ─► message ─► session ─► request ─► desk ─► Submit to the core
//!   bytes ◄─ write ◄───────────  session ◄─ report ◄── desk ◄─ Told by the core
//!                                   │                   │
//!                                   └───── record ──────┘  what must outlive the process
//! ```
//!
//! Everything here is a function of what came in: inputs and time in, effects out. The process around
//! it is the crate `fix-gateway`. What is spoken, field by field, stands in this crate's README and,
//! as data, in [`dictionary`].

pub mod desk;
pub mod dictionary;
mod effect;
pub mod frame;
pub mod message;
pub mod orders;
mod record;
pub mod report;
pub mod request;
pub mod session;
#[cfg(test)]
mod testing;
mod told;
pub mod value;
mod word;
pub mod write;

pub use desk::{Desk, DeskOptions};
pub use effect::{Counted, Effect};
pub use record::{Kept, Place, Record};
pub use told::{Happened, Told};
