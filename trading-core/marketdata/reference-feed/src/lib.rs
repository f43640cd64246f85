//! Market data in: what a level-2 feed or NASDAQ ITCH says of prices reaches the core's risk checks
//! through its log.
//!
//! ```text
//!   level 2 or ITCH ─► receive: books, gaps ─► tracker: changed enough? ─► Board: one a symbol
//!                                                                             │ rate limited
//!                        leader ◄── SetReferencePrice, one at a time ◄────────┘
//!                          └─ moved: the next replica is asked, the price stays on the board
//! ```
//!
//! # Guarantees
//! - Of a symbol whose book is stale or behind a gap nothing is sent; its price waits until the book is
//!   good again or another takes its place.
//! - What waits is one price a symbol, the newest: however long there is no leader, the queue does not
//!   grow, and what was replaced is counted.
//! - One record is under way at a time, so prices of one process take effect in the order in which they
//!   were sent, or not at all. A record sent twice sets the same price twice: nothing else happens.

mod board;
mod config;
mod metrics;
mod service;
mod writer;

pub use config::{Config, Source};
pub use service::{FeedError, run};
