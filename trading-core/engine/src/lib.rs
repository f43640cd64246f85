//! The state machine of one shard: every replica that applies the same log holds the same [`State`].
//!
//! ```text
//!                      ┌───────────────────────── State ─────────────────────────┐
//!  EntryContext ──┐    │ sessions   which request is next, which answers are kept │
//!  (epoch, index, ├──► │ checks     one RejectReason, in the order of the codes   │ ──► Event …
//!   leader_time)  │    │ books      price-time priority, one a symbol             │
//!  Command ───────┘    │ accounts   cash and shares: held, frozen, settled        │
//!                      └── history hash over everything that went in and came out ┘
//! ```
//!
//! [`Shard::apply`] is pure: no I/O, clock, randomness, float or hash-map order. Time comes in the
//! record. Matching itself is the crate `book`; here stands who may order what, and who owns what
//! afterwards. Tables are dense and allocated once ([`Limits`]); what is sparse outside is looked up
//! once a request. [`State`] runs on the product's book, [`OracleState`] on the obvious one: the same
//! log gives both the same events and hashes.
//!
//! # Guarantees
//! - A request takes effect at most once: by its session's number, and by (account, `ClOrdID`). Seen
//!   again, it gets [`types::Event::Duplicate`] with the answer of the first time while that is kept.
//! - Every request that consumes its number has exactly one *answer*: the first
//!   [`types::Outbound`] whose `in_reply_to` is that number. Rejects consume numbers and are kept.
//! - Reports about an order go to the session that entered it. Another session of the account that
//!   cancels or replaces it gets the answer; the entering session gets the report as well, without
//!   `in_reply_to`.
//! - Cash and shares only change hands: [`Shard::check_conservation`].
//! - [`Shard::restore`] of [`Shard::snapshot`] continues identically, hash included.
//!
//! - Nothing allocates on the way of a limit or market order, a cancel or a replacement once tables
//!   and buffers have grown; see [`Shard::apply`].
//!
//! # Rules
//! What the exchanges' rules ask for comes as data in a command (`rules` crate) and holds from it on.
//! Rules of format 1 only check orders; those of format 2 are acted on as a whole: fees, the day's
//! limits, suspension, cages that hold, trading after hours. A log replays as it was decided.

mod accounts;
mod after_hours;
mod ahead;
mod audit;
mod check;
mod clearing;
mod client;
mod client_ids;
mod control;
mod counters;
mod day;
mod disconnect;
mod due;
mod fees;
mod group;
mod held;
mod history_hash;
mod index;
mod limits;
mod listing;
mod lookup;
mod market_day;
mod messages;
mod operations;
mod orders;
mod phase;
mod prefetch;
pub mod risk;
mod session;
mod snapshot;
mod state;
mod trade;
mod transfer;
mod watch;

pub use ahead::Ahead;
pub use audit::Unbalanced;
pub use clearing::{DayTally, SettledDay};
pub use counters::Counters;
pub use due::Due;
pub use fees::FeesCollected;
pub use group::{Group, Protection, ProtectionLevel};
pub use history_hash::HistoryHash;
pub use limits::Limits;
pub use listing::MarketBook;
pub use operations::Operations;
pub use rules::OutsideCalendar;
pub use snapshot::{SNAPSHOT_FORMAT, SnapshotError};
pub use state::{AccountView, EntryContext, Shard, StaleEntry};
pub use transfer::{Arrival, REMEMBERED as TRANSFERS_REMEMBERED, UnderWay};

/// The replicated state of one shard.
pub type State = Shard<book::FastBook>;

/// The same on the book that is correct by inspection.
pub type OracleState = Shard<book::NaiveBook>;
