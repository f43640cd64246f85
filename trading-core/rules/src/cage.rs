//! The price cage (价格笼子): how far from the market a limit order may stand while trading is
//! continuous.
//!
//! ```text
//!   sell_min ────────── reference ────────── buy_max
//!      │ sells not below │   │ buys not above │
//!   reference: best opposite order, else best own, else last trade, else previous close
//! ```

use crate::Ratio;
use serde::{Deserialize, Serialize};
use types::{Price, Side};

/// A board's cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceCage {
    /// Highest price of a buy, of the reference.
    pub buy_max: Ratio,
    /// Lowest price of a sell, of the reference.
    pub sell_min: Ratio,
    /// So many ticks from the reference are accepted in any case; 0 for none.
    pub ticks_min: u32,
    /// What becomes of an order outside.
    pub outside: OutsideCage,
}

/// What becomes of an order outside the cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutsideCage {
    /// It is refused.
    Reject,
    /// It is kept aside until the reference has moved.
    Hold,
}

/// Prices that a reference is taken from; each is absent when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotes {
    /// Best buy order.
    pub best_bid: Option<Price>,
    /// Best sell order.
    pub best_ask: Option<Price>,
    /// Last trade of the day.
    pub last: Option<Price>,
    /// Close of the day before.
    pub previous_close: Option<Price>,
}

/// The cage around one reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CageBounds {
    /// Highest price of a buy.
    pub buy_max: Price,
    /// Lowest price of a sell.
    pub sell_min: Price,
}

impl Quotes {
    /// The reference for an order of a side; `None` when there is no price at all.
    #[must_use]
    pub fn reference(&self, side: Side) -> Option<Price> {
        let (opposite, own) = match side {
            Side::Buy => (self.best_ask, self.best_bid),
            Side::Sell => (self.best_bid, self.best_ask),
        };
        opposite.or(own).or(self.last).or(self.previous_close)
    }
}

impl PriceCage {
    /// The cage around a reference, each bound rounded half up to the tick.
    ///
    /// `None` when the tick is not above 0 or a bound exceeds [`Price`]'s range.
    #[must_use]
    pub fn bounds(&self, reference: Price, tick: Price) -> Option<CageBounds> {
        Some(CageBounds {
            buy_max: self.bound(Side::Buy, reference, tick)?,
            sell_min: self.bound(Side::Sell, reference, tick)?,
        })
    }

    /// The bound of one side alone; `None` as [`PriceCage::bounds`].
    #[must_use]
    pub fn bound(&self, side: Side, reference: Price, tick: Price) -> Option<Price> {
        if tick.0 <= 0 || reference.0 <= 0 {
            return None;
        }
        let by_ticks = tick.0.checked_mul(i64::from(self.ticks_min))?;
        Some(Price(match side {
            Side::Buy => {
                let by_ratio = self.buy_max.of(reference.0, tick.0)?;
                by_ratio.max(reference.0.checked_add(by_ticks)?)
            }
            Side::Sell => self
                .sell_min
                .of(reference.0, tick.0)?
                .min(reference.0 - by_ticks),
        }))
    }
}

impl CageBounds {
    /// Whether a limit is inside. Only the far side is bounded: a low buy harms nobody.
    #[must_use]
    pub fn admits(&self, side: Side, price: Price) -> bool {
        match side {
            Side::Buy => price <= self.buy_max,
            Side::Sell => price >= self.sell_min,
        }
    }
}
