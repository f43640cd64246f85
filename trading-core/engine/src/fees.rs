//! Fees: set aside with a buy, charged with every fill, kept together for those whom they are for.
//!
//! ```text
//!   buy  order:  freezes what the bill would grow by if all open shares traded at its price
//!   buy  fill:   pays what the bill grew by, and freezes what the rest may need
//!   sell order:  freezes nothing: who holds shares and no cash may sell
//!   sell fill:   pays what the bill grew by, at most what it earned; the rest waits for the next fill
//!        │
//!        └──► FeesCollected, item by item: since the shard began, and today
//! ```
//!
//! A bill grows with the turnover and with nothing else ([`rules::Fees::for_fill`]), so the fills of a
//! buy never need more than was frozen, wherever they stop: what is charged and what the rest may need
//! add up to at most what stood before. Where the day's fees become others while orders stand, they
//! freeze anew, as far as their accounts can.
//!
//! Tax, depository, exchange and regulator get theirs in any case. What an order has not earned or
//! frozen is the broker's: its commission comes later with a further fill, or is let off when the order
//! ends. A bill is one order's on one day.

use crate::Shard;
use crate::accounts::amount;
use crate::listing::MarketBook;
use rules::{FeeBill, Fees};
use serde::{Deserialize, Serialize};
use types::{Money, Price, Quantity, Side};

/// Fees that accounts have paid. With what accounts hold they are all the cash there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeesCollected {
    /// Since the shard began.
    pub ever: FeeBill,
    /// Since the last day was settled.
    pub today: FeeBill,
}

/// What one side of a trade pays.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Charge {
    /// By its account now.
    pub paid: Money,
    /// What the order has frozen for fees, or owes, from now on.
    pub keep: Money,
    /// What the trade adds to the order's turnover.
    pub turnover: Money,
}

impl FeesCollected {
    pub(crate) fn total(&self) -> Money {
        total(&self.ever)
    }

    pub(crate) fn today_total(&self) -> Money {
        total(&self.today)
    }

    fn add(&mut self, bill: &FeeBill) {
        let sum = |to: &FeeBill| {
            to.plus(bill)
                .expect("fees are part of the cash, which is bounded")
        };
        (self.ever, self.today) = (sum(&self.ever), sum(&self.today));
    }
}

/// Fees are at most a tenth of a turnover each, or a minimum that the rules bound.
fn total(bill: &FeeBill) -> Money {
    bill.total()
        .expect("fees are part of the cash, which is bounded")
}

/// What the bill of a buy grows by when all its open shares trade at its price; more than anyone has
/// when that exceeds all bounds.
#[inline(never)]
fn worst(fees: &Fees, turnover: Money, price: Price, open: Quantity) -> Money {
    let more = price.times(open);
    let bill = more.and_then(|more| fees.for_fill(Side::Buy, turnover, more));
    bill.and_then(|bill| bill.total())
        .unwrap_or(Money(i64::MAX))
}

impl<B: MarketBook> Shard<B> {
    /// What all accounts have paid in fees. None are charged before rules are loaded.
    #[must_use]
    pub fn fees_collected(&self) -> FeesCollected {
        self.facts.fees
    }

    /// Cash that an order is to freeze for fees, should its open shares all trade at its price.
    #[inline]
    pub(crate) fn fee_to_freeze(
        &self,
        symbol: u32,
        side: Side,
        turnover: Money,
        price: Price,
        open: Quantity,
    ) -> Money {
        match (side, self.facts.risk.enforced(symbol)) {
            (Side::Buy, Some(day)) => worst(&day.fees, turnover, price, open),
            _ => Money(0),
        }
    }

    /// Works out what one side of a trade pays, and takes it to those whom it is for.
    #[inline]
    pub(crate) fn charge(&mut self, row: u32, price: Price, quantity: Quantity) -> Charge {
        let order = self.orders.at(row);
        match self.facts.risk.enforced(order.symbol) {
            None => Charge::default(),
            Some(day) => {
                let fees = day.fees;
                self.charge_by(&fees, row, price, quantity)
            }
        }
    }

    #[inline(never)]
    fn charge_by(&mut self, fees: &Fees, row: u32, price: Price, quantity: Quantity) -> Charge {
        let order = self.orders.at(row);
        let traded = Money(amount(price, quantity));
        let mut bill = fees
            .for_fill(order.side, order.turnover, traded)
            .expect("what an order trades for has a bill");
        let grown = total(&bill).0;
        let (paid, keep) = match order.side {
            Side::Buy => {
                let paid = grown.min(order.fee.0);
                let rest = Quantity(order.remaining().0 - quantity.0);
                let turnover = Money(order.turnover.0 + traded.0);
                let needed =
                    self.fee_to_freeze(order.symbol, Side::Buy, turnover, order.price, rest);
                (paid, needed.0.min(order.fee.0 - paid))
            }
            Side::Sell => {
                let owed = grown + order.fee.0;
                let paid = owed.min(traded.0);
                (paid, owed - paid)
            }
        };
        bill.commission.0 += paid - grown;
        self.facts.fees.add(&bill);
        self.accounts.fees_came(total(&bill));
        Charge {
            paid: Money(paid),
            keep: Money(keep),
            turnover: traded,
        }
    }

    /// Has open buys freeze what the fees of now may come to, as far as their accounts can.
    pub(crate) fn refreeze_fees(&mut self) {
        for row in self.orders.open_rows() {
            let order = self.orders.at(row);
            let (turnover, open) = (order.turnover, order.remaining());
            let wanted = self.fee_to_freeze(order.symbol, order.side, turnover, order.price, open);
            self.accounts.refreeze_fee(self.orders.at_mut(row), wanted);
        }
    }

    /// Begins the bills of a new day.
    pub(crate) fn begin_day_of_fees(&mut self) {
        self.facts.fees.today = FeeBill::default();
        if !self.facts.risk.is_whole && self.facts.fees == FeesCollected::default() {
            return;
        }
        for row in self.orders.open_rows() {
            let order = self.orders.at_mut(row);
            order.turnover = Money(0);
            if order.side == Side::Sell {
                order.fee = Money(0);
            }
        }
        self.refreeze_fees();
    }
}
