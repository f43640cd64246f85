//! NASDAQ TotalView-ITCH 5.0: decoder, encoder, framing, and a generator of realistic days.
//!
//! Source: Nasdaq TotalView-ITCH 5.0 specification, the form with direct listings (message `O`).
//!
//! ```text
//!   file ─► binary_file ─┐
//!                        ├─► decode ─► Message<'a> ─► OrderBooks ─► MarketEvent
//!   UDP ──► mold ────────┘                                └─► ReferenceFeed ─► reference prices
//! ```

pub mod binary_file;
mod decode;
mod field;
mod generator;
mod message;
mod order_books;
mod reference_feed;

pub use decode::{DecodeError, decode};
pub use field::{
    Code, LongTime, ManyShares, MatchNumber, Number, OrderReference, Participant, Price4, Price8,
    Printable, SecondsSinceMidnight, Shares, SinceMidnight, Stock, StockLocate, Text,
    TrackingNumber,
};
pub use generator::{Generator, Mix};
pub use message::*;
pub use order_books::{OrderBookCounts, OrderBooks};
pub use reference_feed::{FeedCounts, FeedEffect, FeedSettings, ReferenceFeed, Wholeness};
