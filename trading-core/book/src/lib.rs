//! The order book of one symbol: price-time priority, integers only.
//!
//! A book knows orders by number, account, side, price and open quantity. It knows nothing of cash,
//! sessions or client order ids: whoever owns it has checked the order before and settles the trades
//! afterwards.
//!
//! ```text
//!             ┌────────────────────── Book ─────────────────────┐
//!  Incoming ─►│ 1. trade with the best opposite orders, FIFO    │─► Vec<Fill>  (in order)
//!             │ 2. rest, or give the remainder back             │─► Outcome    (how it ended)
//!             └─────────────────────────────────────────────────┘
//! ```
//!
//! [`Book`] is the contract. [`NaiveBook`] fulfils it in the most obvious way and stays the oracle
//! that faster books are held against: by the same script cases (`tests/scripts`), by random
//! streams, and by [`Book::state_hash`], which depends only on what rests and in which order.
//!
//! # Guarantees
//! - Best price first; within a price, first come first served.
//! - A trade happens at the resting order's price.
//! - An account never trades with itself: [`types::SelfTradePrevention`] of the *incoming* order
//!   says who gives way.
//! - After every call the book is not crossed: the best bid is below the best ask.

mod contract;
mod invariants;
mod naive;

pub use contract::{Book, Ending, Fill, Incoming, Outcome, Remainder, Replacement, Resting};
pub use invariants::{BrokenInvariant, check_resting};
pub use naive::{NaiveBook, RestoreError};
