//! The witness check: what clients saw against what the log says.
//!
//! ```text
//!   client histories ─► read_history ─┐
//!     (sent, received)                ├──► check ──► Verdict, each finding in words
//!   promoted log ─► Log ──────────────┘
//!     (index, epoch, batch), replayed through the engine
//! ```
//!
//! The log is the order in which things happened, so nothing is searched: it is replayed once, and
//! each message that a client saw is held against the message that the log gives. Time is linear in
//! the log and, for sorting by time, n·log n in the histories; memory is linear in both.
//!
//! # What is found
//! - **lost**: an answer was seen, and the log lacks the request or has another one;
//! - **doubled**: a request or a `ClOrdID` takes effect twice;
//! - **contradictions**: a message that the log tells otherwise; a leader of an older epoch that
//!   spoke after a newer one; messages that never came; A answered before B was sent, and the log
//!   has B before A.
//!
//! Requests without an answer are *unknown*: in the log or not, either is right, twice is not.
//!
//! # Assumptions
//! The times of all histories come from one clock. A client writes a request down *before* it sends
//! it and a message *after* it received it.

mod check;
mod log;
mod record;
mod seen;

pub use check::{FirstContact, Verdict, check, first_contact, sessions};
pub use log::{Log, ReplayError};
pub use record::{
    HISTORY_FORMAT, Header, History, HistoryError, Record, SeenMessage, SeenReport, read_history,
};
pub use seen::{Unreadable, seen};
