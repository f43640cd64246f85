//! The rules of the exchanges as dated data, and the sums that they ask for.
//!
//! ```text
//!   data/*.yaml ──(crate rules-file)──► RuleSet ──encode──► Control::LoadRules ──► the log
//!                                          ▲                                        │
//!                                          └──────────────── decode, check ◄────────┘
//!   RuleSet ──market, day──► Trading ──► limits, cage, lot, sizes, phases      pure functions,
//!           ──market, day──► Fees ──► the bill of a trade                   integers only
//!           ──day──► Conduct ──► levels that surveillance watches
//! ```
//!
//! Nothing here reads a file or a clock, and no amount is a float. A rule names the day from which
//! it holds (`from`); a day is judged by the last edition that does not begin after it, so an old
//! log replays under the rules of its time. A set of rules takes effect at the command that loads
//! it, which has a number in the log.
//!
//! The file format is described in `README.md` beside this crate.

mod cage;
mod calendar;
mod check;
mod codec;
mod codes;
mod conduct;
mod day;
mod day_rules;
mod decimal;
mod fees;
mod lot;
mod phase;
mod price_limit;
mod rule_set;
mod time_of_day;

pub use cage::{CageBounds, OutsideCage, PriceCage, Quotes};
pub use calendar::{Calendar, DayKind, Holiday, Moment, OutsideCalendar};
pub use check::{RuleError, check_conduct};
pub use codec::{RULES_BYTES_MAX, RULES_FORMAT, RuleCodecError, decode, encode};
pub use codes::CodeRange;
pub use conduct::{Bursts, Cancels, Concentration, Conduct, Duplicates, OrderRate, PriceCollar};
pub use day::{day_after_1970, days_since_1970, is_weekend, next_day};
pub use day_rules::DayRules;
pub use decimal::{Ratio, Yuan};
pub use fees::{FeeBill, Fees};
pub use lot::{LotRule, OffLot, SizeMax};
pub use phase::{Allowance, Change, NowHolds, PhaseRule, Schedule, Suspension, TieRule, Window};
pub use price_limit::{Band, FirstDays, PriceLimits};
pub use rule_set::{Enforcement, Market, RuleSet, Settlement, Trading};
pub use time_of_day::TimeOfDay;
