//! A client's requests: dedupe by the session's number, then the request itself.

use crate::State;
use crate::order::Order;
use crate::session::Arrival;
use crate::state::Requester;
use book::{Book, Incoming, Outcome, Replacement};
use types::{
    CancelCause, ClOrdId, ClientCommand, Event, NewOrder, OrderId, OrderState, Price, Quantity,
    RejectReason, Report, Request, SymbolId,
};

impl State {
    pub(crate) fn client(&mut self, command: &ClientCommand, events: &mut Vec<Event>) {
        let (id, client_seq) = (command.session, command.client_seq);
        let Some(session) = self.sessions.get_mut(&id) else {
            self.counters.refused += 1;
            events.push(Event::LogonRefused {
                session: id,
                reason: RejectReason::UnknownSession { session: id },
            });
            return;
        };
        match session.arrival(client_seq) {
            Arrival::SeenBefore => {
                self.counters.duplicates += 1;
                events.push(Event::Duplicate {
                    session: id,
                    client_seq,
                    original: session.answer(client_seq).copied(),
                });
            }
            Arrival::Ahead => {
                self.counters.sequence_gaps += 1;
                events.push(Event::SequenceGap {
                    session: id,
                    received: client_seq,
                    expected: session.next_client_seq,
                });
            }
            Arrival::Next => {
                session.next_client_seq.0 += 1;
                let requester = Requester {
                    session: id,
                    client_seq,
                    account: session.account,
                };
                self.request(requester, &command.request, events);
            }
        }
    }

    fn request(&mut self, requester: Requester, request: &Request, events: &mut Vec<Event>) {
        let (named, result) = match request {
            Request::New(new) => (Some(new.cl_ord_id), self.new_order(requester, new, events)),
            Request::Cancel { original } => {
                (Some(*original), self.cancel(requester, *original, events))
            }
            Request::Replace {
                original,
                replacement,
                price,
                quantity,
            } => (
                Some(*replacement),
                self.replace(
                    requester,
                    (*original, *replacement),
                    *price,
                    *quantity,
                    events,
                ),
            ),
            Request::MassCancel { symbol } => (None, self.mass_cancel(requester, *symbol, events)),
            Request::Status { original } => {
                (Some(*original), self.status(requester, *original, events))
            }
        };
        if let Err(reason) = result {
            self.counters.count_reject(&reason);
            let report = Report::Rejected {
                cl_ord_id: named,
                reason,
            };
            self.answer(requester, report, events);
        }
    }

    fn answer(&mut self, requester: Requester, report: Report, events: &mut Vec<Event>) {
        let in_reply_to = Some(requester.client_seq);
        self.send(requester.session, in_reply_to, report, events);
    }

    /// Answers a request about an order, and tells the session that entered it when that is another.
    fn answer_about(
        &mut self,
        requester: Requester,
        order: OrderId,
        report: Report,
        events: &mut Vec<Event>,
    ) {
        let owner = self.orders.known(order).session;
        self.answer(requester, report, events);
        if owner != requester.session {
            self.send(owner, None, report, events);
        }
    }

    fn new_order(
        &mut self,
        requester: Requester,
        new: &NewOrder,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectReason> {
        let checked = self.check_new(requester.account, new)?;
        let order = Order {
            cl_ord_id: new.cl_ord_id,
            session: requester.session,
            account: requester.account,
            symbol: new.symbol,
            side: new.side,
            price: checked.price,
            quantity: new.quantity,
            filled: Quantity(0),
            state: OrderState::Open,
            self_trade_prevention: new.self_trade_prevention,
        };
        let id = self.orders.next_id();
        let account = self.account_of(&order);
        account.ids.insert(new.cl_ord_id, id);
        account.freeze(new.side, new.symbol, checked.price, new.quantity);
        self.orders.push(order);
        self.counters.orders_accepted += 1;
        self.answer(
            requester,
            Report::Accepted {
                cl_ord_id: new.cl_ord_id,
                order_id: id,
            },
            events,
        );
        let incoming = Incoming {
            order: id,
            account: requester.account,
            side: new.side,
            quantity: new.quantity,
            limit: Some(checked.price),
            remainder: checked.remainder,
            levels_max: None,
            display: None,
            self_trade_prevention: new.self_trade_prevention,
        };
        let mut fills = std::mem::take(&mut self.fills);
        let outcome = self.book_of(new.symbol).submit(incoming, &mut fills);
        self.settle(id, requester, &fills, outcome, events);
        self.put_back(fills);
        Ok(())
    }

    fn cancel(
        &mut self,
        requester: Requester,
        original: ClOrdId,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectReason> {
        let (id, _) = self.find_open(requester.account, original)?;
        let report = self.take_out(id, CancelCause::Requested);
        self.answer_about(requester, id, report, events);
        Ok(())
    }

    fn replace(
        &mut self,
        requester: Requester,
        (original, replacement): (ClOrdId, ClOrdId),
        price: Price,
        quantity: Quantity,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectReason> {
        let checked =
            self.check_replace(requester.account, original, replacement, price, quantity)?;
        let id = checked.order;
        let before = self.orders.known(id).clone();
        let account = self.account_of(&before);
        account.ids.insert(replacement, id);
        account.release(before.side, before.symbol, before.price, before.remaining());
        account.freeze(before.side, before.symbol, price, checked.remaining);
        let order = self.orders.known_mut(id);
        order.cl_ord_id = replacement;
        order.price = price;
        order.quantity = quantity;

        let mut fills = std::mem::take(&mut self.fills);
        let policy = before.self_trade_prevention;
        let replaced = self
            .book_of(before.symbol)
            .replace(id, price, checked.remaining, policy, &mut fills)
            .expect("an open order rests in its symbol's book");
        let report = Report::Replaced {
            original: before.cl_ord_id,
            replacement,
            order_id: id,
            remaining: checked.remaining,
            kept_priority: replaced == Replacement::InPlace,
        };
        self.answer_about(requester, id, report, events);
        if let Replacement::Requeued(outcome) = replaced {
            self.no_longer_rests(id);
            self.settle(id, requester, &fills, outcome, events);
        }
        self.put_back(fills);
        Ok(())
    }

    fn mass_cancel(
        &mut self,
        requester: Requester,
        symbol: Option<SymbolId>,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectReason> {
        if let Some(symbol) = symbol {
            self.rules(symbol)?;
        }
        let account = self.accounts.get(&requester.account);
        let open = account.map(|account| account.open.clone());
        let mut orders = 0;
        for id in open.unwrap_or_default() {
            if symbol.is_some_and(|only| self.orders.known(id).symbol != only) {
                continue;
            }
            let report = self.take_out(id, CancelCause::MassCancel);
            self.report(id, None, report, events);
            orders += 1;
        }
        self.answer(requester, Report::MassCancelled { orders }, events);
        Ok(())
    }

    fn status(
        &mut self,
        requester: Requester,
        original: ClOrdId,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectReason> {
        let (id, order) = self.find(requester.account, original)?;
        let view = order.view(id);
        self.answer(requester, Report::Status(view), events);
        Ok(())
    }

    fn put_back(&mut self, mut fills: Vec<book::Fill>) {
        fills.clear();
        self.fills = fills;
    }

    /// Settles what a pass through the book caused, then what became of the order itself.
    fn settle(
        &mut self,
        taker: OrderId,
        requester: Requester,
        fills: &[book::Fill],
        outcome: Outcome,
        events: &mut Vec<Event>,
    ) {
        for fill in fills {
            self.settle_fill(taker, requester, *fill, events);
        }
        self.finish(taker, requester, outcome, events);
    }
}
