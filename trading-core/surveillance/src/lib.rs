//! Surveillance: detectors over what a shard applies, each finding raised by the act that completes it.
//!
//! ```text
//!                       ┌─ one a unit: requests a second and a day, orders, cancels, self-trades
//!  Act ─► unit of the ──┤
//!         account       ├─ one a symbol: turnover and price of the running window
//!                       └─ one a unit and symbol: its part of that window, its holding
//!                                                             │ a level is reached
//!                                                             ▼
//!                                                          Finding
//! ```
//!
//! A *unit* is one account, or all accounts that are declared to belong together: they count as one.
//! Accounts and symbols come as *slots*, small numbers that the owner of this state gives out without
//! gaps; so every look-up is an index.
//!
//! It is replicated state: integers only, no clock (time comes with the act), no hash-map order. Its
//! tables grow to the number of accounts, symbols and active pairs and no further; what finds no room
//! is counted ([`Surveillance::overflowed`]). Findings stop nothing; blocking is the risk checks' work.
//!
//! What counts as too much is [`rules::Conduct`]. Definitions are at each detector:
//!
//! | kind | raised when |
//! | --- | --- |
//! | `OrderRate` | the requests of one second reach `per_second_warn`; once a second |
//! | `DailyMessages` | the requests of the day reach `per_day_warn`; once a day |
//! | `FrequentCancels` | instantaneous cancels of the day reach a multiple of `instantaneous_per_day_warn` |
//! | `CancelRatio` | cancelled of all orders reach `ratio_warn`; again after it fell below |
//! | `Concentration` | a buy lifts a holding over `float_warn` |
//! | `SelfTrade` | an account traded with itself, or was kept from it; each time |
//! | `LinkedAccounts` | two accounts of one unit traded with each other; each time |
//! | `LargeInShortTime` | one unit's turnover in a window reaches both levels of `bursts`; once a window |
//! | `PriceDriving` | one unit's own takes moved the price by `price_move_warn` in a window in which it has `share_warn` of the turnover; once a window |

mod bursts;
mod finding;
mod pairs;
mod surveillance;
mod token_bucket;
mod unit;

pub use finding::{AccountSlot, Act, Finding, Party, SymbolSlot};
pub use surveillance::Surveillance;
pub use token_bucket::TokenBucket;
