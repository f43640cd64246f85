//! What a request must satisfy before anything changes. Pure: reads the state, yields what the
//! execution needs, or the first reason against it.
//!
//! The order of the checks is the order of the reasons' codes:
//!
//! ```text
//!   101 session ─► (number: Duplicate, SequenceGap) ─► 201 id unused ─► 202 order known ─► 203 open
//!   ─► 301 symbol ─► 302 zero ─► 303 lot ─► 304 most ─► 305 above filled
//!   ─► 401 tick ─► 402 day's limits ─► 501 cash ─► 502 position ─► 601 orders a day ─► 602 tables
//! ```

use crate::account::Account;
use crate::order::Order;
use crate::state::bounded;
use crate::{State, SymbolRules};
use book::Remainder;
use types::{
    AccountId, ClOrdId, MarketStyle, Money, NewOrder, OrderId, OrderKind, Price, Quantity,
    RejectReason, Side, SymbolId, Table, TimeInForce, Unexecuted,
};

/// A new order that may take effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedNew {
    /// The worst price it takes; what a buy freezes cash at.
    pub price: Price,
    pub remainder: Remainder,
}

/// A replacement that may take effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedReplace {
    pub order: OrderId,
    /// Shares open after it.
    pub remaining: Quantity,
}

const NOT_EXECUTED: RejectReason = RejectReason::NotExecuted {
    what: Unexecuted::OrderTerms,
};

/// What an order sets aside, next to what it had set aside before.
struct Need {
    side: Side,
    symbol: SymbolId,
    price: Price,
    quantity: Quantity,
    frozen_before: (Price, Quantity),
}

impl State {
    pub(crate) fn check_new(
        &self,
        account: AccountId,
        new: &NewOrder,
    ) -> Result<CheckedNew, RejectReason> {
        let owner = self.open_account(account)?;
        check_unused(owner, new.cl_ord_id)?;
        let rules = self.rules(new.symbol)?;
        self.check_quantity(&rules, new.side, new.quantity)?;
        let rests = Remainder::Rests;
        let (price, remainder) = match (new.kind, new.time_in_force) {
            (OrderKind::Limit { price }, TimeInForce::Day) => (price, rests),
            (OrderKind::Limit { price }, TimeInForce::ImmediateOrCancel) => {
                (price, Remainder::IsCancelled)
            }
            (
                OrderKind::Market {
                    style: MarketStyle::ImmediateOrCancel,
                    protection,
                },
                _,
            ) => {
                let worst = rules.worst_price(new.side);
                (protection.unwrap_or(worst), Remainder::IsCancelled)
            }
            _ => return Err(NOT_EXECUTED),
        };
        if new.post_only || new.display.is_some() {
            return Err(NOT_EXECUTED);
        }
        check_price(&rules, price)?;
        check_funds(
            owner,
            &Need {
                side: new.side,
                symbol: new.symbol,
                price,
                quantity: new.quantity,
                frozen_before: (Price(0), Quantity(0)),
            },
        )?;
        self.check_room(account, owner)?;
        bounded(Table::Orders, self.orders.count(), self.limits.orders_max)?;
        if remainder == rests {
            let max = self.limits.open_orders_per_account_max;
            bounded(Table::OpenOrdersOfAccount, owner.open.len(), max)?;
        }
        Ok(CheckedNew { price, remainder })
    }

    pub(crate) fn check_replace(
        &self,
        account: AccountId,
        original: ClOrdId,
        replacement: ClOrdId,
        price: Price,
        quantity: Quantity,
    ) -> Result<CheckedReplace, RejectReason> {
        let owner = self.open_account(account)?;
        check_unused(owner, replacement)?;
        let (id, order) = self.find_open(account, original)?;
        let rules = self.rules(order.symbol)?;
        self.check_quantity(&rules, order.side, quantity)?;
        if quantity <= order.filled {
            return Err(RejectReason::QuantityNotAboveFilled {
                quantity,
                filled: order.filled,
            });
        }
        check_price(&rules, price)?;
        let remaining = Quantity(quantity.0 - order.filled.0);
        check_funds(
            owner,
            &Need {
                side: order.side,
                symbol: order.symbol,
                price,
                quantity: remaining,
                frozen_before: (order.price, order.remaining()),
            },
        )?;
        self.check_room(account, owner)?;
        Ok(CheckedReplace {
            order: id,
            remaining,
        })
    }

    /// The account's order of that name, past or present.
    pub(crate) fn find(
        &self,
        account: AccountId,
        cl_ord_id: ClOrdId,
    ) -> Result<(OrderId, &Order), RejectReason> {
        let owner = self.open_account(account)?;
        let id = owner.ids.get(&cl_ord_id);
        let id = *id.ok_or(RejectReason::UnknownOrder { cl_ord_id })?;
        Ok((id, self.orders.known(id)))
    }

    pub(crate) fn find_open(
        &self,
        account: AccountId,
        cl_ord_id: ClOrdId,
    ) -> Result<(OrderId, &Order), RejectReason> {
        let found = self.find(account, cl_ord_id)?;
        if found.1.is_open() {
            Ok(found)
        } else {
            Err(RejectReason::OrderNotOpen { cl_ord_id })
        }
    }

    pub(crate) fn rules(&self, symbol: SymbolId) -> Result<SymbolRules, RejectReason> {
        self.symbol_rules(symbol)
            .ok_or(RejectReason::UnknownSymbol { symbol })
    }

    fn open_account(&self, account: AccountId) -> Result<&Account, RejectReason> {
        self.accounts
            .get(&account)
            .ok_or(RejectReason::UnknownAccount { account })
    }

    fn check_quantity(
        &self,
        rules: &SymbolRules,
        side: Side,
        quantity: Quantity,
    ) -> Result<(), RejectReason> {
        if quantity.0 == 0 {
            return Err(RejectReason::QuantityZero { quantity });
        }
        // Odd shares come from dividends and splits: they may be sold, not bought.
        if side == Side::Buy && !quantity.0.is_multiple_of(rules.lot.0) {
            return Err(RejectReason::QuantityOffLot {
                quantity,
                lot: rules.lot,
            });
        }
        let max = Quantity(self.limits.quantity_max);
        if quantity > max {
            return Err(RejectReason::QuantityAboveMax { quantity, max });
        }
        Ok(())
    }

    fn check_room(&self, account: AccountId, owner: &Account) -> Result<(), RejectReason> {
        let max = self.limits.orders_per_account_max;
        if owner.ids.len() as u64 >= max {
            return Err(RejectReason::TooManyOrders { account, max });
        }
        Ok(())
    }
}

fn check_unused(owner: &Account, cl_ord_id: ClOrdId) -> Result<(), RejectReason> {
    if owner.ids.contains_key(&cl_ord_id) {
        return Err(RejectReason::DuplicateClOrdId { cl_ord_id });
    }
    Ok(())
}

fn check_price(rules: &SymbolRules, price: Price) -> Result<(), RejectReason> {
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

fn check_funds(owner: &Account, need: &Need) -> Result<(), RejectReason> {
    let (price_before, quantity_before) = need.frozen_before;
    match need.side {
        Side::Buy => {
            let needed = need.price.times(need.quantity).unwrap_or(Money(i64::MAX));
            let before = price_before.times(quantity_before).unwrap_or_default();
            let available = Money(owner.cash_free().0 + before.0);
            if needed > available {
                return Err(RejectReason::InsufficientCash { needed, available });
            }
        }
        Side::Sell => {
            let free = owner.shares_free(need.symbol);
            let available = Quantity(free.0 + quantity_before.0);
            if need.quantity > available {
                return Err(RejectReason::InsufficientPosition {
                    symbol: need.symbol,
                    needed: need.quantity,
                    available,
                });
            }
        }
    }
    Ok(())
}
