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
//! [`Book`] is the contract. [`FastBook`] is the product. [`NaiveBook`] fulfils the contract in the
//! most obvious way and stays the oracle that the fast book is held against: by the same script cases
//! (`tests/scripts`), by random streams, and by [`Book::state_hash`], which depends only on what rests
//! and in which order. `examples/one_symbol.rs` uses a book alone.
//!
//! In a call auction orders only rest ([`Book::rest`]) until [`Book::uncross`] trades all that can at
//! one price. Stop orders wait outside of the book, in a [`StopBook`].
//!
//! # Guarantees
//! - Best price first; within a price, first come first served. Of an iceberg only what it shows has
//!   a place in the queue: used up, it is shown anew at the end.
//! - A trade happens at the resting order's price, in an auction at the auction's.
//! - An account never trades with itself: [`types::SelfTradePrevention`] of the *incoming* order
//!   says who gives way; at the end of an auction the younger order does.
//! - After every call but [`Book::rest`] and [`Book::replace_in_call`] a book that was not crossed is
//!   not crossed: the best bid is below the best ask.

mod auction;
mod contract;
mod fast;
mod invariants;
mod naive;
mod order;
mod restore;
mod stop;

pub use auction::{AuctionFill, AuctionRule, Indicative, TieBreak};
pub use contract::Book;
pub use fast::{Band, FastBook};
pub use invariants::{BrokenInvariant, check_resting, check_uncrossed};
pub use naive::NaiveBook;
pub use order::{Ending, Fill, Iceberg, Incoming, Level, Outcome, Remainder, Replacement, Resting};
pub use restore::RestoreError;
pub use stop::{Stop, StopBook};
