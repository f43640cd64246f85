//! A client's requests: dedupe by the session's number, then the request itself.

use crate::Shard;
use crate::check::{CheckedNew, Entry, check_may_cancel};
use crate::listing::MarketBook;
use crate::orders::{NONE, Order, Stands};
use crate::phase::{Taking, rules_of};
use crate::session::Arrival;
use crate::state::Requester;
use book::{Ending, Outcome, Replacement, Stop};
use surveillance::{AccountSlot, Act};
use types::mutants::{self, Mutant};
use types::{
    CancelCause, ClOrdId, ClientCommand, Event, Money, NewOrder, OrderState, Price, Quantity,
    RejectReason, Report, Request, SymbolId,
};

impl<B: MarketBook> Shard<B> {
    pub(crate) fn client(&mut self, command: &ClientCommand, events: &mut Vec<Event>) {
        let (id, client_seq) = (command.session, command.client_seq);
        let Some(row) = self.session_row(id) else {
            self.facts.counters.refused += 1;
            events.push(Event::LogonRefused {
                session: id,
                reason: RejectReason::UnknownSession { session: id },
            });
            return;
        };
        let session = &mut self.sessions[row as usize];
        let arrival = match session.arrival(client_seq) {
            Arrival::SeenBefore if mutants::is(Mutant::NoDedupe) => Arrival::Next,
            arrival => arrival,
        };
        match arrival {
            Arrival::SeenBefore => {
                self.facts.counters.duplicates += 1;
                events.push(Event::Duplicate {
                    session: id,
                    client_seq,
                    original: session.answer(&self.messages, client_seq),
                });
            }
            Arrival::Ahead => {
                self.facts.counters.sequence_gaps += 1;
                events.push(Event::SequenceGap {
                    session: id,
                    received: client_seq,
                    expected: session.next_client_seq,
                });
            }
            Arrival::Next => {
                session.next_client_seq.0 = session.next_client_seq.0.max(client_seq.0 + 1);
                let requester = Requester {
                    session: row,
                    client_seq,
                    account: session.account,
                };
                self.request(requester, &command.request, events);
            }
        }
    }

    fn request(&mut self, requester: Requester, request: &Request, events: &mut Vec<Event>) {
        if !matches!(request, Request::Status { .. }) {
            self.watch(Act::Requested {
                account: AccountSlot(requester.account),
            });
        }
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
            } => {
                let ids = (*original, *replacement);
                let result = self.replace(requester, ids, *price, *quantity, events);
                (Some(*replacement), result)
            }
            Request::MassCancel { symbol } => (None, self.mass_cancel(requester, *symbol, events)),
            Request::Status { original } => {
                (Some(*original), self.status(requester, *original, events))
            }
        };
        if let Err(reason) = result {
            self.facts.counters.count_reject(&reason);
            let report = Report::Rejected {
                cl_ord_id: named,
                reason,
            };
            self.answer(requester, report, events);
        }
    }

    #[inline(always)]
    fn answer(&mut self, requester: Requester, report: Report, events: &mut Vec<Event>) {
        let in_reply_to = Some(requester.client_seq);
        self.send(requester.session, in_reply_to, report, events);
    }

    /// Answers a request about an order, and tells the session that entered it when that is another.
    #[inline(always)]
    fn answer_about(
        &mut self,
        requester: Requester,
        order: u32,
        report: Report,
        events: &mut Vec<Event>,
    ) {
        let owner = self.orders.at(order).session;
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
        let checked = self.check_new(requester, new)?;
        let row = self.accept(requester, new, &checked);
        let order_id = self.orders.at(row).id;
        let accepted = Report::Accepted {
            cl_ord_id: new.cl_ord_id,
            order_id,
        };
        self.answer(requester, accepted, events);
        match checked.entry {
            Entry::Passes(pass) => {
                self.pass(row, pass, Some(requester), events);
                self.fire_stops(checked.symbol, events);
            }
            Entry::Rests => self.rest(row),
            Entry::Waits { trigger } => {
                self.listing_mut(checked.symbol).stops.insert(Stop {
                    order: order_id,
                    side: new.side,
                    trigger,
                });
                self.now_stands(row, Stands::Waiting);
            }
            Entry::IsHeld => self.hold(row),
            Entry::FindsNoPrice => {
                self.give_up(row, CancelCause::Unfilled, Some(requester), events);
            }
        }
        Ok(())
    }

    /// Takes a checked order into the tables and sets aside what it may need.
    fn accept(&mut self, requester: Requester, new: &NewOrder, checked: &CheckedNew) -> u32 {
        let account = requester.account;
        let position = match checked.position {
            Some(position) => position,
            None => self.accounts.position_row_or_new(account, checked.symbol),
        };
        let room = checked.id_room;
        let id = self.orders.next_id();
        self.client_ids.note(room, account, new.cl_ord_id, id);
        self.accounts.at_mut(account).ids_today += 1;
        self.facts.counters.orders_accepted += 1;
        self.count_order(account);
        let row = self.orders.insert(Order {
            id,
            cl_ord_id: new.cl_ord_id,
            side: new.side,
            state: OrderState::Open,
            stands: Stands::Nowhere,
            time_in_force: new.time_in_force,
            self_trade_prevention: new.self_trade_prevention,
            post_only: new.post_only,
            becomes_market: checked.becomes_market,
            session: requester.session,
            account,
            symbol: checked.symbol,
            position,
            before: NONE,
            behind: NONE,
            price: checked.price,
            quantity: new.quantity,
            filled: Quantity(0),
            display: new.display,
            entered: self.facts.context.leader_time,
            turnover: Money(0),
            fee: Money(0),
        });
        let order = self.orders.at_mut(row);
        (self.accounts).freeze(order, checked.price, new.quantity, checked.fee);
        row
    }

    fn cancel(
        &mut self,
        requester: Requester,
        original: ClOrdId,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectReason> {
        let row = self.check_cancel(requester.account, original)?;
        self.count_cancel(row);
        let report = self.take_out(row, CancelCause::Requested);
        self.answer_about(requester, row, report, events);
        self.orders.retire(row);
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
        let account = requester.account;
        let checked = self.check_replace(requester, original, replacement, price, quantity)?;
        let row = checked.order;
        let before = *self.orders.at(row);
        self.client_ids
            .note(checked.id_room, account, replacement, before.id);
        self.accounts.at_mut(account).ids_today += 1;
        let order = self.orders.at_mut(row);
        self.accounts.release(order);
        (self.accounts).freeze(order, price, checked.remaining, checked.fee);
        order.cl_ord_id = replacement;
        order.price = price;
        order.quantity = quantity;

        let mut fills = std::mem::take(&mut self.fills);
        let replaced = self.replace_in_book(&before, price, checked.remaining, &mut fills);
        let report = Report::Replaced {
            original: before.cl_ord_id,
            replacement,
            order_id: before.id,
            remaining: checked.remaining,
            kept_priority: replaced == Some(Replacement::InPlace),
        };
        self.answer_about(requester, row, report, events);
        match replaced {
            Some(Replacement::InPlace) => {}
            Some(Replacement::Requeued(outcome)) => {
                self.unlink(row);
                self.settle(row, &fills, Some(requester), events);
                self.requeued(row, outcome, requester, events);
            }
            None => {
                self.unlink(row);
                self.give_up(row, CancelCause::PostOnly, Some(requester), events);
            }
        }
        fills.clear();
        self.fills = fills;
        self.fire_stops(before.symbol, events);
        Ok(())
    }

    /// `None` for an order that must not take, and would: it has left the book.
    fn replace_in_book(
        &mut self,
        before: &Order,
        price: Price,
        remaining: Quantity,
        fills: &mut Vec<book::Fill>,
    ) -> Option<Replacement> {
        let listing = self.listing_mut(before.symbol);
        let gathers = rules_of(listing.acts_as()).taking == Taking::Gathers;
        let book = &mut listing.book;
        let id = before.id;
        if !gathers && before.post_only && book.would_trade(before.side, price) {
            book.cancel(id);
            return None;
        }
        let replaced = if gathers {
            book.replace_in_call(id, price, remaining)
        } else {
            book.replace(id, price, remaining, before.self_trade_prevention, fills)
        };
        Some(replaced.expect("an open order rests in its symbol's book"))
    }

    /// What became of a replaced order that came in anew.
    fn requeued(
        &mut self,
        row: u32,
        outcome: Outcome,
        requester: Requester,
        events: &mut Vec<Event>,
    ) {
        let cause = match outcome.ending {
            Ending::Filled => return self.orders.retire(row),
            Ending::Rested => return self.now_stands(row, Stands::InBook),
            Ending::Unfilled => CancelCause::Unfilled,
            Ending::SelfTrade => CancelCause::SelfTrade,
            Ending::Killed => CancelCause::NotAtOnce,
        };
        self.give_up(row, cause, Some(requester), events);
    }

    fn mass_cancel(
        &mut self,
        requester: Requester,
        symbol: Option<SymbolId>,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectReason> {
        let only = symbol
            .map(|symbol| self.known_listing(symbol))
            .transpose()?;
        if let Some(only) = only {
            check_may_cancel(self.listing(only))?;
        }
        let orders = self.cancel_open(
            requester.account,
            CancelCause::MassCancel,
            events,
            |order| only.is_none_or(|only| order.symbol == only),
        );
        self.answer(requester, Report::MassCancelled { orders }, events);
        Ok(())
    }

    /// Cancels the open orders of an account that are chosen, oldest first, but those whose symbol's
    /// phase allows no cancelling. Yields how many.
    pub(crate) fn cancel_open(
        &mut self,
        account: u32,
        cause: CancelCause,
        events: &mut Vec<Event>,
        is_chosen: impl Fn(&Order) -> bool,
    ) -> u32 {
        let mut cancelled = 0;
        let mut next = self.accounts.at(account).first_open;
        while next != NONE {
            let (row, order) = (next, self.orders.at(next));
            next = order.behind;
            let listing = self.listing(order.symbol);
            if is_chosen(order) && check_may_cancel(listing).is_ok() {
                if cause == CancelCause::MassCancel {
                    self.count_cancel(row);
                }
                self.expel(row, cause, events);
                cancelled += 1;
            }
        }
        cancelled
    }

    fn status(
        &mut self,
        requester: Requester,
        original: ClOrdId,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectReason> {
        let row = self.find(requester.account, original)?;
        let view = self.view_of(self.orders.at(row));
        self.answer(requester, Report::Status(view), events);
        Ok(())
    }
}
