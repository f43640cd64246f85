//! From what the book did to who owns what, and to the reports about it.

use crate::Shard;
use crate::listing::MarketBook;
use crate::orders::{NONE, Stands};
use crate::state::{Requester, emit};
use book::{Ending, Fill, Incoming, Outcome, Remainder};
use std::num::NonZeroU8;
use types::{
    CancelCause, Event, OrderState, Phase, Price, Quantity, Report, Trade, TradeId, TradeSide,
};

/// How an order goes through the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// The worst price it takes.
    pub limit: Price,
    pub remainder: Remainder,
    pub levels_max: Option<NonZeroU8>,
    /// What becomes of a rest that the book gave back.
    pub rest: Rest,
    /// Tell at which price it stands, once it does.
    pub is_restated: bool,
}

/// What becomes of a rest that the book gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is cancelled.
    Goes,
    /// It stands at the last price that it traded at, or at this one when it did not trade.
    StandsAtLastTrade(Option<Price>),
}

impl Pass {
    pub(crate) fn limit(limit: Price, remainder: Remainder) -> Self {
        Self {
            limit,
            remainder,
            levels_max: None,
            rest: Rest::Goes,
            is_restated: false,
        }
    }
}

impl<B: MarketBook> Shard<B> {
    /// Sends an order through its book and settles what that causes.
    pub(crate) fn pass(
        &mut self,
        row: u32,
        pass: Pass,
        requester: Option<Requester>,
        events: &mut Vec<Event>,
    ) {
        let order = self.orders.at(row);
        let symbol = order.symbol;
        if order.post_only
            && self
                .listing(symbol)
                .book
                .would_trade(order.side, pass.limit)
        {
            return self.give_up(row, CancelCause::PostOnly, requester, events);
        }
        let incoming = Incoming {
            order: order.id,
            account: self.accounts.at(order.account).id,
            side: order.side,
            quantity: order.remaining(),
            limit: Some(pass.limit),
            remainder: pass.remainder,
            levels_max: pass.levels_max,
            display: order.display,
            self_trade_prevention: order.self_trade_prevention,
        };
        let mut fills = std::mem::take(&mut self.fills);
        let book = self.listing_mut(symbol).book_now();
        let outcome = book.submit(incoming, &mut fills);
        self.settle(row, &fills, requester, events);
        let traded_at = last_price(&fills);
        fills.clear();
        self.fills = fills;
        self.finish(row, pass, traded_at, outcome, requester, events);
    }

    /// Settles what a pass through the book did.
    pub(crate) fn settle(
        &mut self,
        taker: u32,
        fills: &[Fill],
        requester: Option<Requester>,
        events: &mut Vec<Event>,
    ) {
        for fill in fills {
            match *fill {
                Fill::Trade {
                    maker,
                    price,
                    quantity,
                    ..
                } => {
                    let maker = self.orders.known_row(maker);
                    self.trade((taker, requester), (maker, None), price, quantity, events);
                    if self.orders.at(maker).state == OrderState::Filled {
                        self.unlink(maker);
                        self.orders.retire(maker);
                    }
                }
                Fill::MakerCancelled { maker, .. } => {
                    let maker = self.orders.known_row(maker);
                    self.unlink(maker);
                    let report = self.close(maker, CancelCause::SelfTrade);
                    self.report(maker, None, report, events);
                    self.orders.retire(maker);
                }
            }
        }
        if let Some(price) = last_price(fills) {
            let symbol = self.orders.at(taker).symbol;
            let listing = self.listing_mut(symbol);
            listing.last = Some(price);
            if listing.today.is_unlimited {
                self.watch_distance(symbol, price);
            }
        }
    }

    /// Books a trade between two orders, tells both their sessions, and tells it as a whole. In an
    /// auction `first` is the buy and nobody is told as an answer.
    pub(crate) fn trade(
        &mut self,
        (first, requester): (u32, Option<Requester>),
        (second, _): (u32, Option<Requester>),
        price: Price,
        quantity: Quantity,
        events: &mut Vec<Event>,
    ) {
        self.facts.last_trade.0 += 1;
        self.facts.counters.trades += 1;
        let trade_id = self.facts.last_trade;
        let taken = self.settle_side(first, trade_id, price, quantity);
        self.report(first, requester, taken, events);
        let made = self.settle_side(second, trade_id, price, quantity);
        self.report(second, None, made, events);
        let (one, other) = (self.trade_side(first), self.trade_side(second));
        self.tally([first, second], price, quantity);
        let order = self.orders.at(first);
        let in_auction =
            self.orders.at(second).stands == Stands::InBook && order.stands == Stands::InBook;
        let (buy, sell) = match order.side {
            types::Side::Buy => (one, other),
            types::Side::Sell => (other, one),
        };
        let symbol = self.listing(order.symbol).definition.symbol;
        let taker = (!in_auction).then_some(order.side);
        let time = self.facts.context.leader_time;
        emit(events, || {
            Event::Trade(Trade {
                trade_id,
                symbol,
                price,
                quantity,
                buy,
                sell,
                taker,
                time,
            })
        });
        self.watch_trade([first, second], price, quantity, taker);
    }

    #[inline(always)]
    fn trade_side(&self, row: u32) -> TradeSide {
        let order = self.orders.at(row);
        TradeSide {
            order_id: order.id,
            cl_ord_id: order.cl_ord_id,
            account: self.accounts.at(order.account).id,
            session: self.sessions[order.session as usize].id,
            remaining: order.remaining(),
        }
    }

    /// Books one side of a trade.
    #[inline(always)]
    fn settle_side(
        &mut self,
        row: u32,
        trade_id: TradeId,
        price: Price,
        quantity: Quantity,
    ) -> Report {
        let charge = self.charge(row, price, quantity);
        let order = self.orders.at_mut(row);
        order.filled.0 += quantity.0;
        assert!(order.filled <= order.quantity);
        let remaining = order.remaining();
        if remaining.0 == 0 {
            order.state = OrderState::Filled;
        }
        self.accounts.settle(order, price, quantity, &charge);
        Report::Filled {
            cl_ord_id: order.cl_ord_id,
            order_id: order.id,
            trade_id,
            price,
            quantity,
            remaining,
        }
    }

    /// What became of an order after its pass through the book.
    fn finish(
        &mut self,
        row: u32,
        pass: Pass,
        traded_at: Option<Price>,
        outcome: Outcome,
        requester: Option<Requester>,
        events: &mut Vec<Event>,
    ) {
        let cause = match outcome.ending {
            Ending::Filled => return self.orders.retire(row),
            Ending::Rested => {
                let stands = self.stands_in(self.orders.at(row).symbol);
                self.now_stands(row, stands);
                if pass.is_restated {
                    self.tell_restated(row, requester, events);
                }
                return;
            }
            Ending::Unfilled => CancelCause::Unfilled,
            Ending::SelfTrade => CancelCause::SelfTrade,
            Ending::Killed => CancelCause::NotAtOnce,
        };
        if let (Ending::Unfilled, Rest::StandsAtLastTrade(otherwise)) = (outcome.ending, pass.rest)
            && let Some(price) = traded_at.or(otherwise)
        {
            self.stand_at(row, price);
            return self.tell_restated(row, requester, events);
        }
        self.give_up(row, cause, requester, events);
    }

    /// Lets what is left of a market order stand as a limit order.
    fn stand_at(&mut self, row: u32, price: Price) {
        let order = self.orders.at(row);
        let open = order.remaining();
        let fee = self.fee_to_freeze(order.symbol, order.side, order.turnover, price, open);
        let order = self.orders.at_mut(row);
        self.accounts.release(order);
        self.accounts.freeze(order, price, open, fee);
        order.price = price;
        self.rest(row);
    }

    /// Puts an order at the end of its price's queue without matching.
    pub(crate) fn rest(&mut self, row: u32) {
        let order = self.orders.at(row);
        let symbol = order.symbol;
        let incoming = Incoming {
            order: order.id,
            account: self.accounts.at(order.account).id,
            side: order.side,
            quantity: order.remaining(),
            limit: Some(order.price),
            remainder: Remainder::Rests,
            levels_max: None,
            display: order.display,
            self_trade_prevention: order.self_trade_prevention,
        };
        let resting = book::Resting::of(&incoming, order.price, order.remaining());
        self.listing_mut(symbol).book.rest(resting);
        self.now_stands(row, Stands::InBook);
    }

    fn tell_restated(&mut self, row: u32, requester: Option<Requester>, events: &mut Vec<Event>) {
        let order = self.orders.at(row);
        let report = Report::Restated {
            cl_ord_id: order.cl_ord_id,
            order_id: order.id,
            price: order.price,
            remaining: order.remaining(),
        };
        self.report(row, requester, report, events);
    }

    /// Ends an order that stands nowhere, and says so.
    pub(crate) fn give_up(
        &mut self,
        row: u32,
        cause: CancelCause,
        requester: Option<Requester>,
        events: &mut Vec<Event>,
    ) {
        let report = self.close(row, cause);
        self.report(row, requester, report, events);
        self.orders.retire(row);
    }

    /// Takes an order from where it stands and closes it. Its row is retired by the caller, once the
    /// report is on its way.
    #[inline(always)]
    pub(crate) fn take_out(&mut self, row: u32, cause: CancelCause) -> Report {
        let order = self.orders.at(row);
        let (id, stands) = (order.id, order.stands);
        let listing = self.listing_mut(order.symbol);
        let stood = match stands {
            Stands::InBook => listing.book.cancel(id).is_some(),
            Stands::Waiting => listing.stops.cancel(id).is_some(),
            Stands::Held => self.let_go(row),
            Stands::AtClose => self.leave_the_close(row),
            Stands::Nowhere => false,
        };
        assert!(stood, "an open order stands in its book or waits");
        self.unlink(row);
        self.close(row, cause)
    }

    /// [`Shard::take_out`], told to the session that entered it.
    pub(crate) fn expel(&mut self, row: u32, cause: CancelCause, events: &mut Vec<Event>) {
        let report = self.take_out(row, cause);
        self.report(row, None, report, events);
        self.orders.retire(row);
    }

    /// Ends an order that has open shares: gives back what they had frozen.
    #[inline(always)]
    pub(crate) fn close(&mut self, row: u32, cause: CancelCause) -> Report {
        if cause == CancelCause::SelfTrade {
            self.watch_self_trade(row);
        }
        let order = self.orders.at_mut(row);
        let open = order.remaining();
        self.accounts.release(order);
        order.state = OrderState::Cancelled;
        Report::Cancelled {
            cl_ord_id: order.cl_ord_id,
            order_id: order.id,
            quantity: open,
            cause,
        }
    }

    /// Notes that an order stands, last among its account's.
    pub(crate) fn now_stands(&mut self, row: u32, stands: Stands) {
        let order = self.orders.at_mut(row);
        order.stands = stands;
        let account = self.accounts.at_mut(order.account);
        order.before = account.last_open;
        order.behind = NONE;
        let before = std::mem::replace(&mut account.last_open, row);
        account.open_orders += 1;
        match before {
            NONE => account.first_open = row,
            before => self.orders.at_mut(before).behind = row,
        }
        self.facts.counters.open_orders += 1;
    }

    /// Notes that an order stands no more.
    pub(crate) fn unlink(&mut self, row: u32) {
        let order = self.orders.at_mut(row);
        assert!(order.stands != Stands::Nowhere);
        order.stands = Stands::Nowhere;
        let (before, behind) = (order.before, order.behind);
        let account = self.accounts.at_mut(order.account);
        account.open_orders -= 1;
        match before {
            NONE => account.first_open = behind,
            before => self.orders.at_mut(before).behind = behind,
        }
        match behind {
            NONE => account.last_open = before,
            behind => self.orders.at_mut(behind).before = before,
        }
        self.facts.counters.open_orders -= 1;
    }

    /// Sets off the stop orders that the last price has reached, as long as trades set off more.
    /// Of those that one price sets off all are taken out first, then each comes in, in the order in
    /// which they fire. Each fires once, so this ends.
    pub(crate) fn fire_stops(&mut self, symbol: u32, events: &mut Vec<Event>) {
        loop {
            let listing = self.listing_mut(symbol);
            let Some(last) = listing.last.filter(|_| listing.phase == Phase::Continuous) else {
                return;
            };
            if listing.stops.is_empty() {
                return;
            }
            let fired: Vec<_> = std::iter::from_fn(|| listing.stops.fire(last)).collect();
            if fired.is_empty() {
                return;
            }
            for stop in fired {
                self.set_off(self.orders.known_row(stop.order), last, events);
            }
        }
    }

    fn set_off(&mut self, row: u32, last: Price, events: &mut Vec<Event>) {
        self.unlink(row);
        let order = *self.orders.at(row);
        let report = Report::Triggered {
            cl_ord_id: order.cl_ord_id,
            order_id: order.id,
            last,
        };
        self.report(row, None, report, events);
        if self.listing(order.symbol).phase != Phase::Continuous {
            // One that fired before it has brought trading to a halt.
            return if order.becomes_market {
                self.give_up(row, CancelCause::Unfilled, None, events);
            } else {
                self.rest(row);
            };
        }
        let remainder = if order.becomes_market {
            Remainder::IsCancelled
        } else {
            Remainder::Rests
        };
        self.pass(row, Pass::limit(order.price, remainder), None, events);
    }
}

fn last_price(fills: &[Fill]) -> Option<Price> {
    fills.iter().rev().find_map(|fill| match fill {
        Fill::Trade { price, .. } => Some(*price),
        Fill::MakerCancelled { .. } => None,
    })
}
