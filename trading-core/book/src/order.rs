//! The plain data that goes into a book and comes out of it.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU8;
use types::{AccountId, OrderId, Price, Quantity, SelfTradePrevention, Side};

/// An order that comes in. The owner gives each a new [`OrderId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its number.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// Buy or sell.
    pub side: Side,
    /// How many shares; an order for none ends as filled and leaves no trace.
    pub quantity: Quantity,
    /// The worst price it takes; `None` is a market order, which takes any and never rests.
    pub limit: Option<Price>,
    /// What becomes of shares that find no counterpart.
    pub remainder: Remainder,
    /// The most price levels of the other side that it takes from, best first; `None` is no bound.
    /// The exchanges' best-five orders have 5. A remainder that would rest across the next level is
    /// given back instead.
    pub levels_max: Option<NonZeroU8>,
    /// An iceberg shows this many shares at a time when it rests; `None` or 0 shows all.
    pub display: Option<Quantity>,
    /// Who gives way when it meets its own account.
    pub self_trade_prevention: SelfTradePrevention,
}

/// What becomes of shares that find no counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// They rest at the limit; a market order's are given back all the same.
    Rests,
    /// They are given back.
    IsCancelled,
    /// There is none: the order trades wholly at once, or nothing happens at all. Shares of its own
    /// account do not count, and where meeting them would end the order, neither do those behind.
    FillOrKill,
}

/// One step of matching, in the order in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The incoming order traded with a resting one.
    ///
    /// An iceberg gives one such step for each display that is used up: with shares left it is then
    /// shown anew at the end of its price's queue, and may be met again by the same order.
    Trade {
        /// The resting order.
        maker: OrderId,
        /// The resting order's price.
        price: Price,
        /// Shares.
        quantity: Quantity,
        /// What is left of the resting order, an iceberg's reserve included; at 0 it is gone.
        maker_remaining: Quantity,
        /// What is left of the incoming order.
        taker_remaining: Quantity,
    },
    /// A resting order of the same account gave way.
    MakerCancelled {
        /// The resting order.
        maker: OrderId,
        /// Shares that were open, an iceberg's reserve included.
        quantity: Quantity,
    },
}

/// How an incoming order ended its pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Shares that did not trade: resting, or given back.
    pub remaining: Quantity,
    /// What became of them.
    pub ending: Ending,
}

/// What became of an incoming order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All shares traded.
    Filled,
    /// The remainder rests.
    Rested,
    /// The remainder is given back: nothing was left to trade with and it may not rest.
    Unfilled,
    /// The remainder is given back: it would have traded with its own account.
    SelfTrade,
    /// A fill-or-kill order could not trade wholly: nothing happened.
    Killed,
}

/// An order that rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resting {
    /// Its number.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// Buy or sell.
    pub side: Side,
    /// Its limit.
    pub price: Price,
    /// Open shares, an iceberg's reserve included; above 0.
    pub remaining: Quantity,
    /// What an iceberg shows of them; `None` shows all.
    pub iceberg: Option<Iceberg>,
}

/// How much of an order the market sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iceberg {
    /// What it shows each time it is shown anew, if it still has that many.
    pub display: Quantity,
    /// What it shows now: above 0, at most `display` and at most what is open.
    pub shown: Quantity,
}

impl Iceberg {
    /// An order of `remaining` shares that is shown anew; `None` when `display` asks for no secret.
    #[must_use]
    pub fn new(display: Option<Quantity>, remaining: Quantity) -> Option<Self> {
        let display = display.filter(|display| display.0 > 0)?;
        Some(Self {
            display,
            shown: display.min(remaining),
        })
    }
}

impl Resting {
    /// Shares that the market sees, and that trade before the queue moves on.
    #[must_use]
    pub fn shown(&self) -> Quantity {
        self.iceberg.map_or(self.remaining, |iceberg| iceberg.shown)
    }

    /// What an incoming order becomes when it rests with `remaining` shares at `price`.
    #[must_use]
    pub fn of(incoming: &Incoming, price: Price, remaining: Quantity) -> Self {
        Self {
            order: incoming.order,
            account: incoming.account,
            side: incoming.side,
            price,
            remaining,
            iceberg: Iceberg::new(incoming.display, remaining),
        }
    }
}

/// What rests at one price of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// Shares that the market sees.
    pub shown: Quantity,
    /// Shares that icebergs hold back: for matching and audits, never for market data.
    pub reserve: Quantity,
    /// How many orders.
    pub orders: u32,
}

impl Level {
    /// All open shares.
    #[must_use]
    pub fn open(&self) -> Quantity {
        Quantity(self.shown.0 + self.reserve.0)
    }
}

/// What became of an order that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Same price and no more shares than before: it kept its place.
    InPlace,
    /// It left its place and came in anew, as `outcome` tells.
    Requeued(Outcome),
}
