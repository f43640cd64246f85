//! The end of a trading day: what was only good for it expires, and the next one begins.

use crate::Shard;
use crate::clearing::SettledDay;
use crate::client_ids::Place;
use crate::listing::MarketBook;
use crate::phase::may_be_crossed;
use types::{CancelCause, ControlOutcome, Event, RejectReason, SymbolId, TimeInForce, TradingDay};

impl<B: MarketBook> Shard<B> {
    /// Ends a day: day orders expire, by number; client order ids and the accounts' counts begin
    /// anew, the ids of orders that stay included. A day that is settled already stays as it is.
    pub(crate) fn settle_day(
        &mut self,
        day: TradingDay,
        events: &mut Vec<Event>,
    ) -> Result<ControlOutcome, RejectReason> {
        if day <= self.facts.settled_day {
            return Ok(ControlOutcome::Done);
        }
        let tally = self.reconcile();
        let tally = tally.map_err(|account| RejectReason::DayUnreconciled { day, account })?;
        let mut expired = 0;
        let mut stay = Vec::new();
        for row in self.orders.open_rows() {
            match self.orders.at(row).time_in_force {
                TimeInForce::GoodTillCancel => stay.push(row),
                TimeInForce::Day | TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill => {
                    self.expel(row, CancelCause::EndOfDay, events);
                    expired += 1;
                }
            }
        }
        self.client_ids.clear();
        for account in self.accounts.rows_mut() {
            account.ids_today = 0;
        }
        for row in stay {
            let order = *self.orders.at(row);
            if let Place::Free(slot) = self.client_ids.place(order.account, order.cl_ord_id) {
                let id = order.cl_ord_id;
                self.client_ids.note(slot, order.account, id, order.id);
                self.accounts.at_mut(order.account).ids_today += 1;
            }
        }
        for listing in &mut self.listings {
            listing.previous_close = listing.last.or(listing.previous_close);
            listing.awaits_limits = true;
        }
        self.facts.settled_day = day;
        self.begin_day(SettledDay {
            day,
            tally,
            expired,
        });
        self.begin_market_day(events);
        Ok(ControlOutcome::Done)
    }

    /// Cancels what stands outside of the limits of a new day, the first time that they come.
    pub(crate) fn apply_new_limits(&mut self, symbol: u32, events: &mut Vec<Event>) {
        if !std::mem::take(&mut self.listing_mut(symbol).awaits_limits) {
            return;
        }
        for row in self.orders.open_rows() {
            let order = self.orders.at(row);
            let is_outside = order.symbol == symbol
                && !crate::check::is_within_limits(self.listing(symbol), order);
            if is_outside {
                self.expel(row, CancelCause::OutsideLimits, events);
            }
        }
    }

    /// Symbols whose book may be crossed as it stands, for those who look at books from outside.
    #[must_use]
    pub fn is_gathering(&self, symbol: SymbolId) -> bool {
        self.phase(symbol).is_some_and(may_be_crossed)
    }
}
