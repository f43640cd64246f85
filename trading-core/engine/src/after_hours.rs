//! Trading after hours at the closing price, on boards whose rules have it.
//!
//! ```text
//!   limit that the closing price is within ─► a queue of its own, all at that one price, first come first
//!   limit that it is not within ────────────► ends at once
//!   the phase ends ─────────────────────────► what is left is cancelled: it was for this phase alone
//! ```
//! What rests in the day's book takes no part. The queue is a book too, so that an account's orders do
//! not meet here either, and its one price is all that it knows.

use crate::Shard;
use crate::listing::MarketBook;
use crate::orders::Stands;
use crate::phase::{Taking, rules_of};
use rules::Allowance;
use types::{CancelCause, Event, Phase, Price};

impl<B: MarketBook> Shard<B> {
    /// What a symbol's phase does with orders, by the rules of its board.
    #[inline]
    pub(crate) fn taking(&self, symbol: u32) -> Taking {
        match self.listing(symbol).acts_as() {
            Phase::AfterHours => self.taking_after_hours(symbol),
            phase => rules_of(phase).taking,
        }
    }

    #[inline(never)]
    fn taking_after_hours(&self, symbol: u32) -> Taking {
        let day = self.facts.risk.enforced(symbol);
        let takes = day.is_some_and(|day| day.allows(Phase::AfterHours, Allowance::Orders));
        let close = self.closing_price(symbol).filter(|_| takes);
        close.map_or(Taking::No, |close| Taking::AtClose { close })
    }

    /// The day's last price, or without a trade today the close before.
    fn closing_price(&self, symbol: u32) -> Option<Price> {
        let listing = self.listing(symbol);
        let traded = self.day_tally(listing.definition.symbol).trades > 0;
        if traded {
            listing.last
        } else {
            listing.previous_close.or(listing.last)
        }
    }

    /// Takes an order from the queue at the closing price; false when it was not there.
    #[inline(never)]
    pub(crate) fn leave_the_close(&mut self, row: u32) -> bool {
        let order = self.orders.at(row);
        let (id, symbol) = (order.id, order.symbol);
        let queue = self.listing_mut(symbol).at_close.as_mut();
        queue.is_some_and(|queue| queue.cancel(id).is_some())
    }

    /// Ends what stands at the closing price when its phase does, first come first.
    pub(crate) fn end_after_hours(&mut self, symbol: u32, events: &mut Vec<Event>) {
        let Some(queue) = &self.listing(symbol).at_close else {
            return;
        };
        let mut left = Vec::with_capacity(queue.len());
        queue.visit(&mut |resting| left.push(resting.order));
        for order in left {
            let row = self.orders.known_row(order);
            self.expel(row, CancelCause::EndOfDay, events);
        }
        self.listing_mut(symbol).at_close = None;
    }

    /// Where an order stands that rests now.
    #[inline]
    pub(crate) fn stands_in(&self, symbol: u32) -> Stands {
        if self.listing(symbol).phase == Phase::AfterHours {
            Stands::AtClose
        } else {
            Stands::InBook
        }
    }
}
