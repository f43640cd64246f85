//! Market data over UDP multicast: sockets, clock and metrics around the pure crate `marketdata`.
//!
//! ```text
//!   MarketSource ─► publish ─► multicast A, B ─► (impaired) ─► receive ─► books, reference prices
//!                                                                 └─► metrics
//! ```
//!
//! Multicast stays where it is meant to: a group must be a multicast address, the interface is named
//! by its address, and the time to live is 0 (this host) or 1 (this network).

mod clock;
mod files;
mod impaired;
mod itch;
mod metrics;
mod multicast;
mod publish;
mod receive;
mod synthetic;

pub use clock::Clock;
pub use files::{FileError, FileSummary, decode_file, generate_file, replay_file};
pub use impaired::{ImpairedError, ImpairedSender};
pub use itch::{ItchMetrics, ItchObserved, ItchOptions, ItchProbes, receive_itch};
pub use metrics::{FeedProbes, Metrics};
pub use multicast::{Groups, Interface, MulticastError, check_multicast, receiver, sender};
pub use publish::{Lines, PublishEnd, PublishOptions, publish};
pub use receive::{Observed, ReceiveEnd, ReceiveOptions, receive};
pub use synthetic::SyntheticMarket;
