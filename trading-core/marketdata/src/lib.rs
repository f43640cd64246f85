//! Market data in and out, pure: bytes, packets and times in, books and effects out.
//!
//! ```text
//!   NASDAQ ITCH 5.0 ─► mold ─► itch ─► order books ─┐
//!                                                   ├─► reference prices ─► control records
//!   level 2 (A + B lines) ─► arbitration, gaps, ────┘
//!                            snapshots
//!
//!   committed events of the core ─► publisher (conflation, snapshots) ─► level 2
//! ```
//!
//! Nothing here has a socket, a clock or randomness of its own; the crate `marketdata-udp` does. No
//! decoder panics, whatever bytes it gets, and each error names what it met and where.

mod decoder;
mod impairment;
pub mod itch;
pub mod level2;
mod market;
pub mod mold;
mod reference_feed;
mod reference_price;
mod time;

pub use decoder::{Decode, DecodeCounts, DecodeEvent, SoftwareDecoder};
pub use impairment::{Damage, DamageError, Impairment, ImpairmentCounts};
pub use market::{Level, MarketEvent, MarketSource, Trade};
pub use reference_feed::{observe_effects, take_records};
pub use reference_price::{
    Basis, Facts, FeedState, ReferencePrice, ReferencePriceTracker, TrackerCounts, TrackerSettings,
};
pub use time::Monotonic;
