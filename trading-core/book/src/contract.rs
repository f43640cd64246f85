//! What a book is: the trait and the plain data that goes in and comes out.

use crate::invariants::{BrokenInvariant, check_resting};
use serde::{Deserialize, Serialize};
use types::{AccountId, OrderId, Price, Quantity, SelfTradePrevention, Side};
use xxhash_rust::xxh3::Xxh3;

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
}

/// One step of matching, in the order in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The incoming order traded with a resting one.
    Trade {
        /// The resting order.
        maker: OrderId,
        /// The resting order's price.
        price: Price,
        /// Shares.
        quantity: Quantity,
        /// What is left of the resting order; at 0 it is gone.
        maker_remaining: Quantity,
        /// What is left of the incoming order.
        taker_remaining: Quantity,
    },
    /// A resting order of the same account gave way.
    MakerCancelled {
        /// The resting order.
        maker: OrderId,
        /// Shares that were open.
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
    /// Open shares, above 0.
    pub remaining: Quantity,
}

/// What became of an order that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Same price and no more shares than before: it kept its place.
    InPlace,
    /// It left its place and came in anew, as `outcome` tells.
    Requeued(Outcome),
}

/// Price-time priority over one symbol's orders.
pub trait Book {
    /// Matches an order and, if it may, rests what is left. Fills are appended to `fills`.
    ///
    /// The caller must not submit an order number that rests.
    fn submit(&mut self, incoming: Incoming, fills: &mut Vec<Fill>) -> Outcome;

    /// Takes a resting order out; `None` when no such order rests.
    fn cancel(&mut self, order: OrderId) -> Option<Resting>;

    /// Gives a resting order another price and open quantity; `None` when no such order rests.
    ///
    /// It keeps its place only when the price stays and the quantity does not grow. Otherwise it
    /// comes in anew, at the end of its queue, and may trade. A quantity of 0 is the caller's error
    /// and takes the order out.
    fn replace(
        &mut self,
        order: OrderId,
        price: Price,
        remaining: Quantity,
        self_trade_prevention: SelfTradePrevention,
        fills: &mut Vec<Fill>,
    ) -> Option<Replacement> {
        let before = self.resting(order)?;
        if price == before.price && remaining <= before.remaining && remaining > Quantity(0) {
            self.shrink(order, remaining);
            return Some(Replacement::InPlace);
        }
        self.cancel(order)?;
        let outcome = self.submit(
            Incoming {
                order,
                account: before.account,
                side: before.side,
                quantity: remaining,
                limit: Some(price),
                remainder: Remainder::Rests,
                self_trade_prevention,
            },
            fills,
        );
        Some(Replacement::Requeued(outcome))
    }

    /// Lowers a resting order's open quantity and leaves it where it stands. Nothing happens when
    /// no such order rests, or when `remaining` is 0 or above what is open.
    fn shrink(&mut self, order: OrderId, remaining: Quantity);

    /// A resting order.
    fn resting(&self, order: OrderId) -> Option<Resting>;

    /// The price at which the next opposite order would trade first.
    fn best(&self, side: Side) -> Option<Price>;

    /// How many orders rest.
    fn len(&self) -> usize;

    /// Whether nothing rests.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits what rests: bids from the best price down, then asks from the best price up, each
    /// price in queue order. The order is part of the contract: snapshots and hashes rest on it.
    fn visit(&self, visitor: &mut dyn FnMut(&Resting));

    /// Hash of what rests and in which order. Equal for equal books of any implementation.
    ///
    /// XXH3 (64 bits): fast and of good quality; nobody gains by forging a book here.
    fn state_hash(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.visit(&mut |resting| {
            let side = match resting.side {
                Side::Buy => 0_u8,
                Side::Sell => 1,
            };
            hasher.update(&[side]);
            hasher.update(&resting.price.0.to_le_bytes());
            hasher.update(&resting.order.0.to_le_bytes());
            hasher.update(&resting.account.0.to_le_bytes());
            hasher.update(&resting.remaining.0.to_le_bytes());
        });
        hasher.digest()
    }

    /// Checks what must always hold; linear in what rests, for tests and audits.
    ///
    /// # Errors
    /// The first [`BrokenInvariant`] met.
    fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        check_resting(self)
    }
}
