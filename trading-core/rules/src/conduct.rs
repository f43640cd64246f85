//! Levels of conduct: what counts as too fast, too many cancels, too much of one thing.
//!
//! Risk checks block at a *block* level; surveillance raises an alert at a *warn* level.

use crate::{Ratio, Yuan};
use serde::{Deserialize, Serialize};
use types::TradingDay;

/// Levels from a day on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conduct {
    /// The first day on which they hold.
    pub from: TradingDay,
    /// How fast an account may order.
    pub order_rate: OrderRate,
    /// How much of it an account may take back.
    pub cancels: Cancels,
    /// How much of one symbol an account may hold.
    pub concentration: Concentration,
    /// How much of a symbol's trading in a short time an account may make.
    pub bursts: Bursts,
    /// When an order is the same as the one before.
    pub duplicates: Duplicates,
    /// How far from the last price an order may stand, whatever the exchange accepts.
    pub collar: PriceCollar,
}

/// Requests (orders, replacements and cancels) of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRate {
    /// In one second: the account trades at high frequency.
    pub per_second_warn: u32,
    /// On one day: the account trades at high frequency.
    pub per_day_warn: u32,
    /// Sustained requests a second beyond which they are refused (token bucket's rate).
    pub per_second_block: u32,
    /// Requests at once beyond which they are refused (token bucket's depth).
    pub burst_block: u32,
}

/// Cancels of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancels {
    /// A cancel so soon after its order counts as instantaneous.
    pub instantaneous_ms: u32,
    /// Instantaneous cancels on one day.
    pub instantaneous_per_day_warn: u32,
    /// Ratios below are not judged before so many orders.
    pub orders_min: u32,
    /// Cancelled orders, of all orders of the day.
    pub ratio_warn: Ratio,
    /// The same, beyond which new orders are refused.
    pub ratio_block: Ratio,
}

/// Holdings of one account in one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concentration {
    /// Of the shares that float: the line of disclosure (举牌).
    pub float_warn: Ratio,
    /// The same, beyond which buys are refused.
    pub float_block: Ratio,
    /// Of the account's cash and holdings together.
    pub equity_warn: Ratio,
    /// The same, beyond which buys are refused.
    pub equity_block: Ratio,
}

/// Trading of one account in one symbol within a short time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// How short.
    pub window_ms: u32,
    /// The least turnover of one side that counts as large.
    pub turnover_warn: Yuan,
    /// Of the symbol's turnover in the window: less is never remarked.
    pub share_warn: Ratio,
    /// How far its own takes may move the price, of the price at the window's start.
    pub price_move_warn: Ratio,
}

/// Orders that repeat one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicates {
    /// The same symbol, side, price and quantity within this time are a repetition; 0 for never.
    pub window_ms: u32,
    /// So many repetitions in a row are accepted.
    pub repeats_max: u32,
}

/// The fat-finger collar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceCollar {
    /// From the reference, on the far side.
    pub ratio_max: Ratio,
    /// So many ticks are accepted in any case.
    pub ticks_min: u32,
}
