//! Orders outside of a cage that holds them: accepted, and kept aside until the market has come near.
//!
//! ```text
//!   limit order ─► inside the cage ──────────────────────────────► book
//!        └───────► outside ─► held ─► the reference moved ─► it comes in as if new
//!                                 ├─► a call begins: no cage there ─► rests
//!                                 └─► cancel, kill switch, end of the day
//! ```
//! After every command the nearest held orders are asked whether they are inside now: the lowest buy,
//! then the highest sell, of equal ones the oldest. What one that comes in does to the market counts for
//! the next. Each comes in once, so this ends.

use crate::Shard;
use crate::listing::MarketBook;
use crate::orders::Stands;
use crate::phase::{Taking, rules_of};
use crate::trade::Pass;
use book::Remainder;
use rules::{OutsideCage, PriceCage, Quotes};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use types::{Event, OrderId, Phase, Price, Side};

/// The orders of one symbol that are held, nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    buys: BTreeSet<(Price, OrderId)>,
    sells: BTreeSet<(Reverse<Price>, OrderId)>,
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.buys.len() + self.sells.len()
    }

    pub(crate) fn insert(&mut self, side: Side, price: Price, order: OrderId) {
        match side {
            Side::Buy => self.buys.insert((price, order)),
            Side::Sell => self.sells.insert((Reverse(price), order)),
        };
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, side: Side, price: Price, order: OrderId) -> bool {
        match side {
            Side::Buy => self.buys.remove(&(price, order)),
            Side::Sell => self.sells.remove(&(Reverse(price), order)),
        }
    }

    fn nearest(&self, side: Side) -> Option<(Price, OrderId)> {
        match side {
            Side::Buy => self.buys.first().copied(),
            Side::Sell => self.sells.first().map(|(price, order)| (price.0, *order)),
        }
    }

    /// All of them with their side and price, buys first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Side, Price, OrderId)> + '_ {
        let buys = self.buys.iter().map(|(price, id)| (Side::Buy, *price, *id));
        let sells = self.sells.iter();
        buys.chain(sells.map(|(price, id)| (Side::Sell, price.0, *id)))
    }
}

impl<B: MarketBook> Shard<B> {
    /// Prices that the cage and the collar look at.
    #[inline(always)]
    pub(crate) fn quotes(&self, symbol: u32) -> Quotes {
        let listing = self.listing(symbol);
        Quotes {
            best_bid: listing.book.best(Side::Buy),
            best_ask: listing.book.best(Side::Sell),
            last: listing.market.or(listing.last),
            previous_close: listing.previous_close,
        }
    }

    /// The cage that holds a symbol's orders now, where one does.
    #[inline]
    fn holding_cage(&self, symbol: u32) -> Option<PriceCage> {
        let cage = self.facts.risk.enforced(symbol)?.cage?;
        let holds =
            cage.outside == OutsideCage::Hold && self.listing(symbol).phase == Phase::Continuous;
        holds.then_some(cage)
    }

    /// The bound of a cage that holds, where a limit order is outside of it. Without a price to stand
    /// around there is no cage.
    #[inline]
    pub(crate) fn held_beyond(&self, symbol: u32, side: Side, price: Price) -> Option<Price> {
        self.beyond(symbol, self.holding_cage(symbol)?, side, price)
    }

    #[inline(never)]
    fn beyond(&self, symbol: u32, cage: PriceCage, side: Side, price: Price) -> Option<Price> {
        let tick = self.listing(symbol).definition.tick;
        let reference = self.quotes(symbol).reference(side)?;
        let bound = cage.bound(side, reference, tick)?;
        let is_outside = match side {
            Side::Buy => price > bound,
            Side::Sell => price < bound,
        };
        is_outside.then_some(bound)
    }

    /// Keeps an accepted order aside.
    #[inline(never)]
    pub(crate) fn hold(&mut self, row: u32) {
        let order = *self.orders.at(row);
        let listing = self.listing_mut(order.symbol);
        listing.held.insert(order.side, order.price, order.id);
        self.holding.insert(order.symbol);
        self.now_stands(row, Stands::Held);
    }

    /// Takes an order from those that are held; false when it was not among them.
    #[inline(never)]
    pub(crate) fn let_go(&mut self, row: u32) -> bool {
        let order = *self.orders.at(row);
        let held = &mut self.listing_mut(order.symbol).held;
        let was_held = held.remove(order.side, order.price, order.id);
        if held.is_empty() {
            self.holding.remove(&order.symbol);
        }
        was_held
    }

    /// Lets held orders come in that are inside their cage now, or have none any more.
    #[inline(never)]
    pub(crate) fn enter_held(&mut self, events: &mut Vec<Event>) {
        let mut after = 0;
        while let Some(symbol) = self.holding.range(after..).next().copied() {
            while let Some(row) = self.next_to_enter(symbol) {
                self.let_go(row);
                self.unlink(row);
                let taking = rules_of(self.listing(symbol).acts_as()).taking;
                if taking == Taking::Gathers {
                    self.rest(row);
                    continue;
                }
                let pass = Pass {
                    is_restated: true,
                    ..Pass::limit(self.orders.at(row).price, Remainder::Rests)
                };
                self.pass(row, pass, None, events);
                self.fire_stops(symbol, events);
            }
            after = symbol + 1;
        }
    }

    fn next_to_enter(&self, symbol: u32) -> Option<u32> {
        let listing = self.listing(symbol);
        let taking = rules_of(listing.acts_as()).taking;
        let cage = self.holding_cage(symbol);
        let nearest = [Side::Buy, Side::Sell].into_iter().find_map(|side| {
            let (price, order) = listing.held.nearest(side)?;
            let is_inside =
                cage.is_none_or(|cage| self.beyond(symbol, cage, side, price).is_none());
            (taking != Taking::No && is_inside).then_some(order)
        });
        nearest.map(|order| self.orders.known_row(order))
    }
}
