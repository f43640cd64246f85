//! What a request must satisfy before anything changes. Pure: reads the state, yields what the
//! execution needs, or the first reason against it.
//!
//! ```text
//!   101 session ─► (number: Duplicate, SequenceGap) ─► 105 account active ─► 201 id unused
//!   ─► 202 order known ─► 203 open ─► 301 symbol ─► 106 board ─► 302 zero ─► 303 lot ─► 304 most
//!   ─► 305 above filled ─► 306 terms ─► 307 display ─► 801 phase ─► 802 cancelling
//!   ─► 401 tick ─► 402 day's limits ─► 403 trigger ─► 501 cash ─► 502 position
//!   ─► 601 orders a day ─► 602 tables
//! ```

use crate::Shard;
use crate::accounts::Account;
use crate::client_ids::Place;
use crate::listing::{Listing, MarketBook};
use crate::orders::{Order, Stands};
use crate::phase::{Taking, rules_of};
use crate::state::bounded;
use crate::trade::{Pass, Rest};
use book::Remainder;
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
    /// It finds no price to stand at, and ends at once.
    FindsNoPrice,
}

/// A new order that may take effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedNew {
    /// The symbol's row.
    pub symbol: u32,
    /// The free slot of its client order id.
    pub id_slot: usize,
    /// The worst price it takes; what a buy freezes cash at.
    pub price: Price,
    pub entry: Entry,
    pub becomes_market: bool,
}

/// A replacement that may take effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedReplace {
    /// The order's row.
    pub order: u32,
    /// The free slot of its new client order id.
    pub id_slot: usize,
    /// Shares open after it.
    pub remaining: Quantity,
}

/// What an order sets aside, next to what it had set aside before.
struct Need {
    side: Side,
    symbol: u32,
    price: Price,
    quantity: Quantity,
    frozen_before: (Price, Quantity),
}

impl<B: MarketBook> Shard<B> {
    pub(crate) fn check_new(
        &self,
        account: u32,
        new: &NewOrder,
    ) -> Result<CheckedNew, RejectReason> {
        let owner = self.active(account)?;
        let id_slot = self.unused(account, new.cl_ord_id)?;
        let symbol = self.known_listing(new.symbol)?;
        let listing = self.listing(symbol);
        check_board(owner, listing)?;
        self.check_quantity(listing, new.side, new.quantity)?;
        check_terms(new)?;
        check_display(listing, new)?;
        let (price, entry) = entry(listing, new)?;
        check_price(listing, price)?;
        if let Entry::Waits { trigger } = entry {
            check_trigger(listing, new.side, trigger)?;
        }
        let need = Need {
            side: new.side,
            symbol,
            price,
            quantity: new.quantity,
            frozen_before: (Price(0), Quantity(0)),
        };
        self.check_funds(account, &need)?;
        self.check_room(owner)?;
        bounded(
            Table::Orders,
            self.orders.open(),
            self.facts.limits.orders_max,
        )?;
        if self.accounts.position_row(account, symbol).is_none() {
            let positions = self.accounts.positions_count() as u64;
            bounded(Table::Positions, positions, self.facts.limits.positions_max)?;
        }
        let may_stand = match entry {
            Entry::Passes(pass) => pass.remainder == Remainder::Rests || pass.rest != Rest::Goes,
            Entry::Rests | Entry::Waits { .. } => true,
            Entry::FindsNoPrice => false,
        };
        if may_stand {
            let max = self.facts.limits.open_orders_per_account_max;
            bounded(Table::OpenOrdersOfAccount, owner.open_orders.into(), max)?;
        }
        Ok(CheckedNew {
            symbol,
            id_slot,
            price,
            entry,
            becomes_market: matches!(new.kind, OrderKind::Stop { .. }),
        })
    }

    pub(crate) fn check_replace(
        &self,
        account: u32,
        original: ClOrdId,
        replacement: ClOrdId,
        price: Price,
        quantity: Quantity,
    ) -> Result<CheckedReplace, RejectReason> {
        let owner = self.active(account)?;
        let id_slot = self.unused(account, replacement)?;
        let row = self.find_open(account, original)?;
        let order = self.orders.at(row);
        let listing = self.listing(order.symbol);
        self.check_quantity(listing, order.side, quantity)?;
        if quantity <= order.filled {
            return Err(RejectReason::QuantityNotAboveFilled {
                quantity,
                filled: order.filled,
            });
        }
        if order.stands == Stands::Waiting {
            let term = Term::Replace;
            return Err(RejectReason::TermsContradict { term });
        }
        if rules_of(listing.phase).taking == Taking::No {
            return Err(refuses_order(listing));
        }
        check_may_cancel(listing)?;
        check_price(listing, price)?;
        let remaining = Quantity(quantity.0 - order.filled.0);
        let need = Need {
            side: order.side,
            symbol: order.symbol,
            price,
            quantity: remaining,
            frozen_before: (order.price, order.remaining()),
        };
        self.check_funds(account, &need)?;
        self.check_room(owner)?;
        Ok(CheckedReplace {
            order: row,
            id_slot,
            remaining,
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

    fn unused(&self, account: u32, cl_ord_id: ClOrdId) -> Result<usize, RejectReason> {
        match self.client_ids.place(account, cl_ord_id) {
            Place::Free(slot) => Ok(slot),
            Place::Taken(_) => Err(RejectReason::DuplicateClOrdId { cl_ord_id }),
        }
    }

    fn check_quantity(
        &self,
        listing: &Listing<B>,
        side: Side,
        quantity: Quantity,
    ) -> Result<(), RejectReason> {
        if quantity.0 == 0 {
            return Err(RejectReason::QuantityZero { quantity });
        }
        // Odd shares come from dividends and splits: they may be sold, not bought.
        let lot = listing.definition.lot;
        if side == Side::Buy && !quantity.0.is_multiple_of(lot.0) {
            return Err(RejectReason::QuantityOffLot { quantity, lot });
        }
        let max = Quantity(self.facts.limits.quantity_max);
        if quantity > max {
            return Err(RejectReason::QuantityAboveMax { quantity, max });
        }
        Ok(())
    }

    fn check_funds(&self, account: u32, need: &Need) -> Result<(), RejectReason> {
        let (price_before, quantity_before) = need.frozen_before;
        match need.side {
            Side::Buy => {
                let needed = need.price.times(need.quantity).unwrap_or(Money(i64::MAX));
                let before = price_before.times(quantity_before).unwrap_or_default();
                let available = Money(self.accounts.at(account).cash_free().0 + before.0);
                if needed > available {
                    return Err(RejectReason::InsufficientCash { needed, available });
                }
            }
            Side::Sell => {
                let row = self.accounts.position_row(account, need.symbol);
                let free = row.map_or(Quantity(0), |row| self.accounts.position(row).free());
                let available = Quantity(free.0 + quantity_before.0);
                if need.quantity > available {
                    return Err(RejectReason::InsufficientPosition {
                        symbol: self.listing(need.symbol).definition.symbol,
                        needed: need.quantity,
                        available,
                    });
                }
            }
        }
        Ok(())
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
            if display.0 == 0 || display >= new.quantity || !display.0.is_multiple_of(lot.0) =>
        {
            Err(RejectReason::DisplayQuantity { display, lot })
        }
        _ => Ok(()),
    }
}

/// What an order does first in its symbol's phase, and the worst price it takes.
fn entry<B: MarketBook>(
    listing: &Listing<B>,
    new: &NewOrder,
) -> Result<(Price, Entry), RejectReason> {
    let taking = rules_of(listing.phase).taking;
    let limit = match new.time_in_force {
        TimeInForce::Day | TimeInForce::GoodTillCancel => Remainder::Rests,
        TimeInForce::ImmediateOrCancel => Remainder::IsCancelled,
        TimeInForce::FillOrKill => Remainder::FillOrKill,
    };
    match (taking, new.kind) {
        (Taking::No, _) => Err(refuses_order(listing)),
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
    if rules_of(listing.phase).cancels {
        return Ok(());
    }
    Err(RejectReason::PhaseRefusesCancel {
        symbol: listing.definition.symbol,
        phase: listing.phase,
    })
}

fn check_price<B: MarketBook>(listing: &Listing<B>, price: Price) -> Result<(), RejectReason> {
    let rules = &listing.definition;
    if price.0.rem_euclid(rules.tick.0) != 0 {
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
