//! The witness check: what clients saw against what the log says.
//!
//! ```text
//!   client histories ──► Index ──┐
//!     (sent, received)           ├──► Witness ──► Verdict: pass, fail, or inconclusive
//!   promoted log ─► engine ──────┘      │
//!     (index, epoch, batch)             └─ each finding with its evidence
//! ```
//!
//! The log is the order in which things happened, so nothing is searched: it is replayed once
//! through the engine, and each message that a client saw is held against the message that the log
//! gives. Time is linear in the log and, for sorting by time, n·log n in the histories.
//!
//! # What is found
//! - **lost**: an answer was seen, and the log lacks the request or gives another answer;
//! - **doubled**: a request or a `ClOrdID` takes effect twice, or one message number carries two
//!   contents;
//! - **out of order**: A was answered before B was sent, and the log has B before A;
//! - **stale epoch**: a session was answered by an epoch below one that it had heard from;
//! - **gap**: a message number never seen below one that was, and not declared as missing.
//!
//! Requests without an answer are *unknown*: in the log or not, either is right, twice is not.
//! No acknowledged order, or one that the log at hand cannot speak about, is *inconclusive*.
//!
//! # Assumptions
//! Times of all histories come from clocks that differ by at most
//! [`CheckOptions::clock_error_us_max`]. A client writes a request down *before* it sends it and a
//! message *after* it received it, or real-time order proves nothing.

mod record;

pub use record::{
    HISTORY_FORMAT, Header, History, HistoryError, Record, SeenMessage, SeenReport, read_history,
};
