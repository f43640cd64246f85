//! From what the book did to who owns what, and to the reports about it.

use crate::State;
use crate::state::Requester;
use book::{Book, Ending, Fill, Outcome};
use types::{CancelCause, Event, OrderId, OrderState, Price, Quantity, Report, TradeId};

impl State {
    pub(crate) fn settle_fill(
        &mut self,
        taker: OrderId,
        requester: Requester,
        fill: Fill,
        events: &mut Vec<Event>,
    ) {
        match fill {
            Fill::Trade {
                maker,
                price,
                quantity,
                ..
            } => {
                self.last_trade.0 += 1;
                self.counters.trades += 1;
                let trade = self.last_trade;
                let taken = self.settle_side(taker, trade, price, quantity);
                self.report(taker, Some(requester), taken, events);
                let made = self.settle_side(maker, trade, price, quantity);
                if self.orders.known(maker).state == OrderState::Filled {
                    self.no_longer_rests(maker);
                }
                self.report(maker, None, made, events);
            }
            Fill::MakerCancelled { maker, .. } => {
                let report = self.close(maker, CancelCause::SelfTrade);
                self.no_longer_rests(maker);
                self.report(maker, None, report, events);
            }
        }
    }

    /// Books one side of a trade.
    fn settle_side(
        &mut self,
        id: OrderId,
        trade_id: TradeId,
        price: Price,
        quantity: Quantity,
    ) -> Report {
        let order = self.orders.known_mut(id);
        order.filled.0 += quantity.0;
        assert!(order.filled <= order.quantity);
        let remaining = order.remaining();
        if remaining.0 == 0 {
            order.state = OrderState::Filled;
        }
        let order = order.clone();
        self.account_of(&order)
            .settle(order.side, order.symbol, order.price, price, quantity);
        Report::Filled {
            cl_ord_id: order.cl_ord_id,
            order_id: id,
            trade_id,
            price,
            quantity,
            remaining,
        }
    }

    /// What became of an order after its pass through the book.
    pub(crate) fn finish(
        &mut self,
        id: OrderId,
        requester: Requester,
        outcome: Outcome,
        events: &mut Vec<Event>,
    ) {
        let cause = match outcome.ending {
            Ending::Filled => return,
            Ending::Rested => return self.now_rests(id),
            Ending::Unfilled | Ending::Killed => CancelCause::Unfilled,
            Ending::SelfTrade => CancelCause::SelfTrade,
        };
        let report = self.close(id, cause);
        self.report(id, Some(requester), report, events);
    }

    /// Takes a resting order out of its book and closes it.
    pub(crate) fn take_out(&mut self, id: OrderId, cause: CancelCause) -> Report {
        let symbol = self.orders.known(id).symbol;
        let removed = self.book_of(symbol).cancel(id);
        assert!(removed.is_some());
        self.no_longer_rests(id);
        self.close(id, cause)
    }

    /// Ends an order that has open shares: gives back what they had frozen.
    fn close(&mut self, id: OrderId, cause: CancelCause) -> Report {
        let order = self.orders.known(id).clone();
        let open = order.remaining();
        self.account_of(&order)
            .release(order.side, order.symbol, order.price, open);
        self.orders.known_mut(id).state = OrderState::Cancelled;
        Report::Cancelled {
            cl_ord_id: order.cl_ord_id,
            order_id: id,
            quantity: open,
            cause,
        }
    }

    fn now_rests(&mut self, id: OrderId) {
        let order = self.orders.known(id).clone();
        let added = self.account_of(&order).open.insert(id);
        assert!(added);
        self.counters.open_orders += 1;
    }

    pub(crate) fn no_longer_rests(&mut self, id: OrderId) {
        let order = self.orders.known(id).clone();
        let removed = self.account_of(&order).open.remove(&id);
        assert!(removed);
        self.counters.open_orders -= 1;
    }
}
