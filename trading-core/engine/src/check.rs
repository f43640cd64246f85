//! What a request must satisfy before anything changes. Pure: reads the state, yields what the
//! execution needs, or the first reason against it. The fifteen checks are in [`crate::risk`]; what an
//! order is called, and which symbol and phase it comes to, is found out here.
//!
//! ```text
//!   101 session ─► (number: Duplicate, SequenceGap) ─► 105 account active ─► 201 id unused
//!   ─► 202 order known ─► 203 open ─► 301 symbol ─► 106 board ─► 803 kill switch ─► 302 zero ─► 303 lot ─► 304 most
//!   ─► 305 above filled ─► 306 terms ─► 307 display ─► 801 phase ─► 802 cancelling
//!   ─► 401 tick ─► 402 day's limits ─► 403 trigger ─► 404 … 707 the rest of the fifteen checks
//!   ─► 601 orders a day ─► 602 tables
//! ```

use crate::Shard;
use crate::accounts::{Account, amount};
use crate::client_ids::{Place, Room};
use crate::listing::{Listing, MarketBook};
use crate::orders::{NONE, Order, Stands};
use crate::phase::{Taking, rules_of};
use crate::risk::{self, Ask, Funds, Ticket};
use crate::state::{Requester, bounded};
use crate::trade::{Pass, Rest};
use book::Remainder;
use rules::Settlement;
use std::num::NonZeroU8;
use types::{
    ClOrdId, MarketStyle, Money, NewOrder, OrderKind, Price, Quantity, RejectReason, Side,
    SymbolId, Table, Term, TimeInForce,
};

/// The exchanges' best-five orders take from so many price levels.
const BEST_FIVE: Option<NonZeroU8> = NonZeroU8::new(5);

/// What an accepted order does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It goes through the book.
    Passes(Pass),
    /// It rests until the auction ends.
    Rests,
    /// It waits outside.
    Waits { trigger: Price },
    /// It is kept aside until the cage has come to it.
    IsHeld,
    /// It finds no price to stand at, and ends at once.
    FindsNoPrice,
}

/// A new order that may take effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedNew {
    /// The symbol's row.
    pub symbol: u32,
    /// The row of what the account holds of it, when it ever held any.
    pub position: Option<u32>,
    /// Where its client order id will stand.
    pub id_room: Room,
    /// The worst price it takes; what a buy freezes cash at.
    pub price: Price,
    pub entry: Entry,
    pub becomes_market: bool,
    /// Cash that a buy freezes for its fees.
    pub fee: Money,
}

/// A replacement that may take effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedReplace {
    /// The order's row.
    pub order: u32,
    /// Where its new client order id will stand.
    pub id_room: Room,
    /// Shares open after it.
    pub remaining: Quantity,
    /// Cash that a buy freezes for its fees.
    pub fee: Money,
}

/// What an order that is replaced has had so far; nothing of one that is new.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    /// Cash that it has frozen, fees included.
    frozen: i64,
    turnover: Money,
}

impl<B: MarketBook> Shard<B> {
    pub(crate) fn check_new(
        &mut self,
        requester: Requester,
        new: &NewOrder,
    ) -> Result<CheckedNew, RejectReason> {
        let account = requester.account;
        let owner = self.active(account)?;
        let id_room = self.unused(account, new.cl_ord_id)?;
        let symbol = self.known_listing(new.symbol)?;
        let listing = self.listing(symbol);
        check_board(owner, listing)?;
        self.check_stopped(requester, symbol, new.side)?;
        let position = self.accounts.position_row(account, symbol);
        let sellable = self.sellable(position, symbol);
        self.check_quantity(symbol, new.side, new.quantity, sellable)?;
        check_terms(new)?;
        check_display(listing, new)?;
        self.check_unlimited(symbol, new)?;
        let (price, mut entry) = entry(listing, self.taking(symbol), new)?;
        check_price(listing, price)?;
        if let Entry::Waits { trigger } = entry {
            check_trigger(listing, new.side, trigger)?;
        }
        let ask = Ask {
            side: new.side,
            quantity: new.quantity,
            open: new.quantity,
            price,
            market: market_style(new),
            has_protection: has_protection(new),
        };
        let before = Before::default();
        let fee = self.check_risk(requester, symbol, ask, before, (position, sellable))?;
        if let Entry::Passes(pass) = entry
            && ask.market.is_none()
            && self.held_beyond(symbol, new.side, price).is_some()
        {
            // What may not wait finds nothing: from outside of the cage it cannot trade now.
            entry = match pass.remainder {
                Remainder::Rests => Entry::IsHeld,
                Remainder::IsCancelled | Remainder::FillOrKill => Entry::FindsNoPrice,
            };
        }
        let owner = self.accounts.at(account);
        self.check_room(owner)?;
        bounded(
            Table::Orders,
            self.orders.open(),
            self.facts.limits.orders_max,
        )?;
        if position.is_none() {
            let positions = self.accounts.positions_count() as u64;
            bounded(Table::Positions, positions, self.facts.limits.positions_max)?;
        }
        let may_stand = match entry {
            Entry::Passes(pass) => pass.remainder == Remainder::Rests || pass.rest != Rest::Goes,
            Entry::Rests | Entry::Waits { .. } | Entry::IsHeld => true,
            Entry::FindsNoPrice => false,
        };
        if may_stand {
            let max = self.facts.limits.open_orders_per_account_max;
            bounded(Table::OpenOrdersOfAccount, owner.open_orders.into(), max)?;
        }
        Ok(CheckedNew {
            symbol,
            position,
            id_room,
            price,
            entry,
            becomes_market: matches!(new.kind, OrderKind::Stop { .. }),
            fee,
        })
    }

    pub(crate) fn check_replace(
        &mut self,
        requester: Requester,
        original: ClOrdId,
        replacement: ClOrdId,
        price: Price,
        quantity: Quantity,
    ) -> Result<CheckedReplace, RejectReason> {
        let account = requester.account;
        self.active(account)?;
        let id_room = self.unused(account, replacement)?;
        let row = self.find_open(account, original)?;
        let order = *self.orders.at(row);
        let listing = self.listing(order.symbol);
        self.check_stopped(requester, order.symbol, order.side)?;
        let open_before = order.remaining();
        let position = Some(order.position);
        let mut sellable = self.sellable(position, order.symbol);
        if order.side == Side::Sell {
            sellable.0 += open_before.0;
        }
        self.check_quantity(order.symbol, order.side, quantity, sellable)?;
        if quantity <= order.filled {
            return Err(RejectReason::QuantityNotAboveFilled {
                quantity,
                filled: order.filled,
            });
        }
        if matches!(order.stands, Stands::Waiting | Stands::Held) {
            let term = Term::Replace;
            return Err(RejectReason::TermsContradict { term });
        }
        if rules_of(listing.acts_as()).taking == Taking::No {
            return Err(refuses_order(listing));
        }
        check_may_cancel(listing)?;
        check_price(listing, price)?;
        let side = order.side;
        if let Some(bound) = self.held_beyond(order.symbol, side, price) {
            // What rests stays inside: only a new order is kept aside.
            return Err(RejectReason::PriceOutsideCage { side, price, bound });
        }
        let remaining = Quantity(quantity.0 - order.filled.0);
        let ask = Ask {
            side: order.side,
            quantity,
            open: remaining,
            price,
            market: None,
            has_protection: false,
        };
        let before = Before {
            frozen: match order.side {
                Side::Buy => amount(order.price, open_before) + order.fee.0,
                Side::Sell => 0,
            },
            turnover: order.turnover,
        };
        let fee = self.check_risk(requester, order.symbol, ask, before, (position, sellable))?;
        self.check_room(self.accounts.at(account))?;
        Ok(CheckedReplace {
            order: row,
            id_room,
            remaining,
            fee,
        })
    }

    /// The account's order of that name that may be cancelled.
    pub(crate) fn check_cancel(
        &self,
        account: u32,
        original: ClOrdId,
    ) -> Result<u32, RejectReason> {
        let row = self.find_open(account, original)?;
        check_may_cancel(self.listing(self.orders.at(row).symbol))?;
        Ok(row)
    }

    /// The account's order of that name, past or present, while it is remembered.
    pub(crate) fn find(&self, account: u32, cl_ord_id: ClOrdId) -> Result<u32, RejectReason> {
        match self.client_ids.place(account, cl_ord_id) {
            Place::Free(_) => Err(RejectReason::UnknownOrder { cl_ord_id }),
            Place::Taken(order) => {
                let row = self.orders.row_of(order);
                row.ok_or(RejectReason::OrderNotOpen { cl_ord_id })
            }
        }
    }

    fn find_open(&self, account: u32, cl_ord_id: ClOrdId) -> Result<u32, RejectReason> {
        let row = self.find(account, cl_ord_id)?;
        if self.orders.at(row).is_open() {
            Ok(row)
        } else {
            Err(RejectReason::OrderNotOpen { cl_ord_id })
        }
    }

    pub(crate) fn known_listing(&self, symbol: SymbolId) -> Result<u32, RejectReason> {
        self.listing_row(symbol)
            .ok_or(RejectReason::UnknownSymbol { symbol })
    }

    fn active(&self, account: u32) -> Result<&Account, RejectReason> {
        let owner = self.accounts.at(account);
        if owner.terms.active {
            return Ok(owner);
        }
        Err(RejectReason::AccountInactive { account: owner.id })
    }

    fn unused(&self, account: u32, cl_ord_id: ClOrdId) -> Result<Room, RejectReason> {
        match self.client_ids.place(account, cl_ord_id) {
            Place::Free(room) => Ok(room),
            Place::Taken(_) => Err(RejectReason::DuplicateClOrdId { cl_ord_id }),
        }
    }

    /// Check 2 comes before the form of an order is looked at; see [`crate::risk`].
    fn check_stopped(
        &self,
        requester: Requester,
        symbol: u32,
        side: Side,
    ) -> Result<(), RejectReason> {
        let account = self.accounts.at(requester.account).id;
        let trader = self.sessions[requester.session as usize].trader;
        let symbol = self.listing(symbol).definition.symbol;
        match self
            .facts
            .risk
            .switches
            .stops(account, trader, symbol, side)
        {
            Some(scope) => Err(RejectReason::KillSwitchOn { scope }),
            None => Ok(()),
        }
    }

    /// How many shares: by the rules of the board once they are loaded, else by the definition.
    fn check_quantity(
        &self,
        symbol: u32,
        side: Side,
        quantity: Quantity,
        sellable: Quantity,
    ) -> Result<(), RejectReason> {
        let day = self.facts.risk.day_rules(symbol);
        let lot = self.listing(symbol).definition.lot;
        risk::check_lot(day, lot, side, quantity, sellable)?;
        let max = Quantity(self.facts.limits.quantity_max);
        if quantity > max {
            return Err(RejectReason::QuantityAboveMax { quantity, max });
        }
        Ok(())
    }

    /// What may be sold now of a position in a symbol.
    #[inline]
    fn sellable(&self, position: Option<u32>, symbol: u32) -> Quantity {
        let Some(row) = position else {
            return Quantity(0);
        };
        let position = self.accounts.position(row);
        let day = self.facts.risk.day_rules(symbol);
        let waits = day.is_some_and(|day| day.settlement == Settlement::NextDay);
        let waiting = if waits {
            self.facts.clearing.bought_today(position)
        } else {
            Quantity(0)
        };
        Quantity(position.free().0.saturating_sub(waiting.0))
    }

    /// Checks 1 to 14; the open shares of the order that it replaces are among those that may be sold.
    /// Yields the cash that it is to freeze for fees.
    fn check_risk(
        &mut self,
        requester: Requester,
        symbol: u32,
        ask: Ask,
        before: Before,
        (position, sellable): (Option<u32>, Quantity),
    ) -> Result<Money, RejectReason> {
        let account = requester.account;
        let owner = self.accounts.at(account);
        let listing = &self.listings[symbol as usize];
        let fee = self.fee_to_freeze(symbol, ask.side, before.turnover, ask.price, ask.open);
        let held = position.map_or(Quantity(0), |row| self.accounts.position(row).held);
        let funds = Funds {
            cash: Money(owner.cash_free().0 + before.frozen),
            fee,
            sellable,
            held,
            open_amount: Money(owner.cash_frozen.0 - before.frozen),
            meets_owner: self.meets_owner(account, symbol, &ask),
        };
        let quotes = self.quotes(symbol);
        let trader = self.sessions[requester.session as usize].trader;
        let (of_account, of_symbol, switches, conduct) = self.facts.risk.parts(account, symbol);
        risk::check(&mut Ticket {
            now: self.facts.context.leader_time,
            account: owner.id,
            trader,
            definition: &listing.definition,
            ask,
            phase: listing.acts_as(),
            quotes,
            funds,
            terms: owner.terms,
            of_account,
            of_symbol,
            switches,
            conduct,
        })?;
        Ok(fee)
    }

    /// Whether an order of another account of the same owner stands that this one would trade with.
    fn meets_owner(&self, account: u32, symbol: u32, ask: &Ask) -> bool {
        let linked = self.facts.risk.linked_to(account);
        let where_they_meet = self.stands_in(symbol);
        linked
            .iter()
            .filter(|other| **other != account)
            .any(|other| {
                let mut next = self.accounts.at(*other).first_open;
                while next != NONE {
                    let own = self.orders.at(next);
                    let crosses = match ask.side {
                        Side::Buy => own.price <= ask.price,
                        Side::Sell => own.price >= ask.price,
                    };
                    let stands = own.symbol == symbol && own.stands == where_they_meet;
                    if stands && own.side != ask.side && crosses {
                        return true;
                    }
                    next = own.behind;
                }
                false
            })
    }

    fn check_room(&self, owner: &Account) -> Result<(), RejectReason> {
        let max = self.facts.limits.orders_per_account_max;
        if u64::from(owner.ids_today) >= max {
            return Err(RejectReason::TooManyOrders {
                account: owner.id,
                max,
            });
        }
        let max = self.facts.limits.client_order_ids_max;
        bounded(Table::ClientOrderIds, self.client_ids.taken(), max)
    }
}

fn check_board<B: MarketBook>(owner: &Account, listing: &Listing<B>) -> Result<(), RejectReason> {
    let board = listing.definition.board;
    if owner.terms.boards.contain(board) {
        return Ok(());
    }
    Err(RejectReason::BoardNotPermitted {
        account: owner.id,
        board,
    })
}

fn market_style(new: &NewOrder) -> Option<MarketStyle> {
    match new.kind {
        OrderKind::Market { style, .. } => Some(style),
        _ => None,
    }
}

fn has_protection(new: &NewOrder) -> bool {
    matches!(
        new.kind,
        OrderKind::Market {
            protection: Some(_),
            ..
        }
    )
}

/// Whether the order's terms go together.
fn check_terms(new: &NewOrder) -> Result<(), RejectReason> {
    let contradict = |term| Err(RejectReason::TermsContradict { term });
    let stands = matches!(
        new.time_in_force,
        TimeInForce::Day | TimeInForce::GoodTillCancel
    );
    let is_limit = matches!(new.kind, OrderKind::Limit { .. });
    if new.post_only && !(is_limit && stands) {
        return contradict(Term::PostOnly);
    }
    if new.display.is_some() && !(is_limit && stands) {
        return contradict(Term::Display);
    }
    match new.kind {
        OrderKind::Stop { .. } | OrderKind::StopLimit { .. } if !stands => {
            contradict(Term::TimeInForce)
        }
        OrderKind::Market { style, .. } if !stands && may_rest(style) => {
            contradict(Term::TimeInForce)
        }
        _ => Ok(()),
    }
}

fn may_rest(style: MarketStyle) -> bool {
    match style {
        MarketStyle::BestFiveThenLimit | MarketStyle::CounterpartyBest | MarketStyle::OwnBest => {
            true
        }
        MarketStyle::ImmediateOrCancel
        | MarketStyle::BestFiveOrCancel
        | MarketStyle::FillOrKill => false,
    }
}

fn check_display<B: MarketBook>(listing: &Listing<B>, new: &NewOrder) -> Result<(), RejectReason> {
    let lot = listing.definition.lot;
    match new.display {
        Some(display)
            if display.0 == 0 || display >= new.quantity || !display.is_in_lots_of(lot) =>
        {
            Err(RejectReason::DisplayQuantity { display, lot })
        }
        _ => Ok(()),
    }
}

/// What an order does first in its symbol's phase, and the worst price it takes.
fn entry<B: MarketBook>(
    listing: &Listing<B>,
    taking: Taking,
    new: &NewOrder,
) -> Result<(Price, Entry), RejectReason> {
    let limit = match new.time_in_force {
        TimeInForce::Day | TimeInForce::GoodTillCancel => Remainder::Rests,
        TimeInForce::ImmediateOrCancel => Remainder::IsCancelled,
        TimeInForce::FillOrKill => Remainder::FillOrKill,
    };
    match (taking, new.kind) {
        (Taking::No, _) => Err(refuses_order(listing)),
        (Taking::AtClose { close }, OrderKind::Limit { price })
            if new.time_in_force == TimeInForce::Day && !new.post_only && new.display.is_none() =>
        {
            let pass = Pass {
                is_restated: true,
                ..Pass::limit(close, Remainder::Rests)
            };
            Ok(match within(new.side, Some(close), price) {
                Some(_) => (close, Entry::Passes(pass)),
                None => (price, Entry::FindsNoPrice),
            })
        }
        (Taking::AtClose { .. }, _) => Err(refuses_order(listing)),
        (_, OrderKind::Stop { trigger }) => {
            Ok((listing.worst_price(new.side), Entry::Waits { trigger }))
        }
        (_, OrderKind::StopLimit { trigger, price }) => Ok((price, Entry::Waits { trigger })),
        (Taking::Gathers, OrderKind::Limit { price }) if limit == Remainder::Rests => {
            Ok((price, Entry::Rests))
        }
        (Taking::Gathers, _) => Err(refuses_order(listing)),
        (Taking::Matches, OrderKind::Limit { price }) => {
            Ok((price, Entry::Passes(Pass::limit(price, limit))))
        }
        (Taking::Matches, OrderKind::Market { style, protection }) => {
            let worst = protection.unwrap_or(listing.worst_price(new.side));
            Ok(market_entry(listing, new.side, style, worst))
        }
    }
}

fn market_entry<B: MarketBook>(
    listing: &Listing<B>,
    side: Side,
    style: MarketStyle,
    worst: Price,
) -> (Price, Entry) {
    let none_left = Pass::limit(worst, Remainder::IsCancelled);
    let pass = match style {
        MarketStyle::ImmediateOrCancel => none_left,
        MarketStyle::FillOrKill => Pass::limit(worst, Remainder::FillOrKill),
        MarketStyle::BestFiveOrCancel => Pass {
            levels_max: BEST_FIVE,
            ..none_left
        },
        MarketStyle::BestFiveThenLimit => Pass {
            levels_max: BEST_FIVE,
            rest: Rest::StandsAtLastTrade(within(side, listing.book.best(side), worst)),
            ..none_left
        },
        MarketStyle::CounterpartyBest | MarketStyle::OwnBest => {
            let of = if style == MarketStyle::OwnBest {
                side
            } else {
                side.opposite()
            };
            let Some(price) = within(side, listing.book.best(of), worst) else {
                return (worst, Entry::FindsNoPrice);
            };
            let pass = Pass {
                is_restated: true,
                ..Pass::limit(price, Remainder::Rests)
            };
            return (price, Entry::Passes(pass));
        }
    };
    (worst, Entry::Passes(pass))
}

/// A price that an order with this worst price may stand at.
fn within(side: Side, price: Option<Price>, worst: Price) -> Option<Price> {
    price.filter(|price| match side {
        Side::Buy => *price <= worst,
        Side::Sell => *price >= worst,
    })
}

fn refuses_order<B: MarketBook>(listing: &Listing<B>) -> RejectReason {
    RejectReason::PhaseRefusesOrder {
        symbol: listing.definition.symbol,
        phase: listing.phase,
    }
}

pub(crate) fn check_may_cancel<B: MarketBook>(listing: &Listing<B>) -> Result<(), RejectReason> {
    if rules_of(listing.acts_as()).cancels {
        return Ok(());
    }
    Err(RejectReason::PhaseRefusesCancel {
        symbol: listing.definition.symbol,
        phase: listing.phase,
    })
}

fn check_price<B: MarketBook>(listing: &Listing<B>, price: Price) -> Result<(), RejectReason> {
    let rules = &listing.definition;
    if !price.is_on(rules.tick) {
        return Err(RejectReason::PriceOffTick {
            price,
            tick: rules.tick,
        });
    }
    if price < rules.limit_down || price > rules.limit_up {
        return Err(RejectReason::PriceOutsideLimits {
            price,
            limit_down: rules.limit_down,
            limit_up: rules.limit_up,
        });
    }
    Ok(())
}

fn check_trigger<B: MarketBook>(
    listing: &Listing<B>,
    side: Side,
    trigger: Price,
) -> Result<(), RejectReason> {
    check_price(listing, trigger)?;
    let reached = |last: &Price| match side {
        Side::Buy => *last >= trigger,
        Side::Sell => *last <= trigger,
    };
    match listing.last.filter(reached) {
        Some(last) => Err(RejectReason::TriggerReached { trigger, last }),
        None => Ok(()),
    }
}

/// Whether a resting order's price is within the limits of a new day.
pub(crate) fn is_within_limits<B: MarketBook>(listing: &Listing<B>, order: &Order) -> bool {
    check_price(listing, order.price).is_ok()
}
