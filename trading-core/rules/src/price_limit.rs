//! The day's price limits.
//!
//! Limit = previous close × (1 ± ratio), rounded half up to the tick, at least one tick away from
//! the previous close, and never below one tick.

use crate::Ratio;
use serde::{Deserialize, Serialize};
use types::{Price, Security};

/// How far a price may go from the previous close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Upwards.
    pub up: Ratio,
    /// Downwards, below 100 %.
    pub down: Ratio,
}

/// The first days after a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstDays {
    /// How many trading days, the day of listing included; 0 for none.
    pub days: u32,
    /// The band on them; none for no limit.
    pub band: Option<Band>,
}

/// The price limits of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceLimits {
    /// Of an ordinary symbol.
    pub ordinary: Band,
    /// Of one under a risk warning (ST, *ST).
    pub risk_warning: Band,
    /// Of one just listed.
    pub first_days: FirstDays,
}

impl PriceLimits {
    /// The band that holds on a symbol's `listed_days`-th trading day, counted from 1; `None` when
    /// there is no limit.
    #[must_use]
    pub fn band(&self, security: Security, listed_days: u32) -> Option<Band> {
        if listed_days <= self.first_days.days {
            return self.first_days.band;
        }
        Some(match security {
            Security::RiskWarningShare => self.risk_warning,
            _ => self.ordinary,
        })
    }
}

impl Band {
    /// The lowest and the highest price of the day.
    ///
    /// `None` when the previous close is not above 0, the tick is not, or the highest price exceeds
    /// [`Price`]'s range.
    #[must_use]
    pub fn limits(&self, previous_close: Price, tick: Price) -> Option<(Price, Price)> {
        if previous_close.0 <= 0 || tick.0 <= 0 {
            return None;
        }
        let up = Ratio(Ratio::ONE.checked_add(self.up.0)?).of(previous_close.0, tick.0)?;
        let down = Ratio(Ratio::ONE.checked_sub(self.down.0)?).of(previous_close.0, tick.0)?;
        let up = up.max(previous_close.0.checked_add(tick.0)?);
        let down = down.min(previous_close.0 - tick.0).max(tick.0);
        Some((Price(down), Price(up)))
    }
}
