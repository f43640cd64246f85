//! What an account owns and what its open orders have frozen of it.
//!
//! ```text
//!   buy  order: freezes price × open shares of cash       sell order: freezes its open shares
//!   buy  fill:  releases limit × n, pays price × n        sell fill:  gives n shares, earns price × n
//!   cancel:     releases what the open shares had frozen
//! ```
//! Held includes frozen. The arithmetic is exact and, in every profile, checked by the compiler: a
//! step that would go below zero or out of range ends the process rather than the books' balance.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{ClOrdId, Money, OrderId, Price, Quantity, Side, SymbolId};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub held: Quantity,
    pub frozen: Quantity,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub cash: Money,
    pub cash_frozen: Money,
    pub positions: BTreeMap<SymbolId, Position>,
    /// Every client order id that took effect, and the order that it names.
    pub ids: BTreeMap<ClOrdId, OrderId>,
    /// Orders that rest.
    pub open: BTreeSet<OrderId>,
}

/// `price × quantity` where the checks have shown that it fits.
pub(crate) fn amount(price: Price, quantity: Quantity) -> i64 {
    price.0 * quantity.0.cast_signed()
}

impl Account {
    pub(crate) fn cash_free(&self) -> Money {
        Money(self.cash.0 - self.cash_frozen.0)
    }

    pub(crate) fn shares_free(&self, symbol: SymbolId) -> Quantity {
        let position = self.positions.get(&symbol).copied().unwrap_or_default();
        Quantity(position.held.0 - position.frozen.0)
    }

    /// Sets aside what an order of `quantity` shares may need.
    pub(crate) fn freeze(
        &mut self,
        side: Side,
        symbol: SymbolId,
        price: Price,
        quantity: Quantity,
    ) {
        match side {
            Side::Buy => {
                self.cash_frozen.0 += amount(price, quantity);
                assert!(self.cash_frozen <= self.cash);
            }
            Side::Sell => {
                let position = self.positions.entry(symbol).or_default();
                position.frozen.0 += quantity.0;
                assert!(position.frozen <= position.held);
            }
        }
    }

    /// Gives back what `quantity` shares of an order at `price` had set aside.
    pub(crate) fn release(
        &mut self,
        side: Side,
        symbol: SymbolId,
        price: Price,
        quantity: Quantity,
    ) {
        match side {
            Side::Buy => {
                self.cash_frozen.0 -= amount(price, quantity);
                assert!(self.cash_frozen.0 >= 0);
            }
            Side::Sell => self.positions.entry(symbol).or_default().frozen.0 -= quantity.0,
        }
    }

    /// Books one side of a trade at `price`; `limit` is what the order had frozen a share at.
    pub(crate) fn settle(
        &mut self,
        side: Side,
        symbol: SymbolId,
        limit: Price,
        price: Price,
        quantity: Quantity,
    ) {
        self.release(side, symbol, limit, quantity);
        let position = self.positions.entry(symbol).or_default();
        match side {
            Side::Buy => {
                self.cash.0 -= amount(price, quantity);
                position.held.0 += quantity.0;
                assert!(self.cash >= self.cash_frozen);
            }
            Side::Sell => {
                self.cash.0 += amount(price, quantity);
                position.held.0 -= quantity.0;
                assert!(position.held >= position.frozen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOL: SymbolId = SymbolId(600_000);

    #[test]
    fn a_fill_below_the_limit_gives_the_difference_back() {
        let mut buyer = Account {
            cash: Money(1_000),
            ..Account::default()
        };
        buyer.freeze(Side::Buy, SYMBOL, Price(10), Quantity(100));
        assert_eq!(buyer.cash_free(), Money(0));
        buyer.settle(Side::Buy, SYMBOL, Price(10), Price(7), Quantity(60));
        assert_eq!(buyer.cash, Money(580));
        assert_eq!(buyer.cash_frozen, Money(400));
        assert_eq!(buyer.shares_free(SYMBOL), Quantity(60));
        buyer.release(Side::Buy, SYMBOL, Price(10), Quantity(40));
        assert_eq!(buyer.cash_free(), Money(580));
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn more_than_is_held_cannot_be_frozen() {
        Account::default().freeze(Side::Sell, SYMBOL, Price(10), Quantity(1));
    }
}
