//! What must hold after every command, checked from scratch: linear, for tests, restores and drills.

use crate::account::{Account, amount};
use crate::order::Order;
use crate::{State, state::Listing};
use book::{Book, BrokenInvariant};
use std::collections::BTreeMap;
use types::{AccountId, Money, OrderId, Quantity, Side, SymbolId};

/// A state that does not balance: a fault of the engine, never of its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbalanced {
    /// Cash came from nowhere or went there.
    #[error("accounts hold {held} yuan together, {opened} came in")]
    Cash {
        /// What all accounts hold.
        held: Money,
        /// What they were opened with.
        opened: Money,
    },
    /// Shares came from nowhere or went there.
    #[error("accounts hold {held} shares of {symbol} together, {opened} came in")]
    Shares {
        /// The symbol.
        symbol: SymbolId,
        /// What all accounts hold.
        held: u128,
        /// What they were opened with.
        opened: Quantity,
    },
    /// What is frozen is not what the open orders need, or more than is held.
    #[error(
        "account {account} has frozen {frozen} of {what}, its open orders need {needed} of {held}"
    )]
    Frozen {
        /// The account.
        account: AccountId,
        /// `cash`, or a symbol.
        what: String,
        /// What stands as frozen.
        frozen: i128,
        /// What its open orders add up to.
        needed: i128,
        /// What is held.
        held: i128,
    },
    /// A book broke one of its own rules.
    #[error("book of {symbol}: {broken}")]
    Book {
        /// The symbol.
        symbol: SymbolId,
        /// The rule.
        broken: BrokenInvariant,
    },
    /// Order table, account and book do not tell the same of an order.
    #[error("order {order} stands otherwise in the order table, its account and its book")]
    Order {
        /// The order.
        order: OrderId,
    },
    /// More or fewer orders rest than are counted.
    #[error("{counted} open orders are counted, accounts have {in_accounts}, books {in_books}")]
    OpenOrders {
        /// By the counter.
        counted: u64,
        /// In the accounts' sets.
        in_accounts: u64,
        /// In the books.
        in_books: u64,
    },
}

impl State {
    /// Checks that cash and shares only changed hands, that what is frozen is exactly what the open
    /// orders need, that books keep their rules, and that order table, accounts and books agree.
    ///
    /// # Errors
    /// The first [`Unbalanced`] met.
    pub fn check_conservation(&self) -> Result<(), Unbalanced> {
        self.check_totals()?;
        for (id, account) in &self.accounts {
            self.check_frozen(*id, account)?;
        }
        for (symbol, listing) in &self.symbols {
            self.check_book(*symbol, listing)?;
        }
        let in_accounts = self.accounts.values().map(|a| a.open.len() as u64).sum();
        let in_books = self.symbols.values().map(|l| l.book.len() as u64).sum();
        let counted = self.counters.open_orders;
        if counted != in_accounts || counted != in_books {
            return Err(Unbalanced::OpenOrders {
                counted,
                in_accounts,
                in_books,
            });
        }
        Ok(())
    }

    fn check_totals(&self) -> Result<(), Unbalanced> {
        let held = Money(self.accounts.values().map(|account| account.cash.0).sum());
        let opened = self.totals.cash;
        if held != opened {
            return Err(Unbalanced::Cash { held, opened });
        }
        let mut shares: BTreeMap<SymbolId, u128> = BTreeMap::new();
        for (symbol, position) in self.accounts.values().flat_map(|a| &a.positions) {
            *shares.entry(*symbol).or_default() += u128::from(position.held.0);
        }
        for symbol in self.symbols.keys() {
            let held = shares.get(symbol).copied().unwrap_or_default();
            let opened = self.totals.shares.get(symbol).copied().unwrap_or_default();
            if held != u128::from(opened.0) {
                return Err(Unbalanced::Shares {
                    symbol: *symbol,
                    held,
                    opened,
                });
            }
        }
        Ok(())
    }

    fn check_frozen(&self, id: AccountId, account: &Account) -> Result<(), Unbalanced> {
        let mut cash_needed = 0_i128;
        let mut shares_needed: BTreeMap<SymbolId, i128> = BTreeMap::new();
        for order_id in &account.open {
            let order = self.orders.get(*order_id).filter(|order| order.is_open());
            let order = order.ok_or(Unbalanced::Order { order: *order_id })?;
            match order.side {
                Side::Buy => cash_needed += i128::from(amount(order.price, order.remaining())),
                Side::Sell => {
                    *shares_needed.entry(order.symbol).or_default() +=
                        i128::from(order.remaining().0);
                }
            }
        }
        let (cash, frozen) = (account.cash.0.into(), account.cash_frozen.0.into());
        check_need(id, || "cash".to_owned(), frozen, cash_needed, cash)?;
        for (symbol, position) in &account.positions {
            let needed = shares_needed.remove(symbol).unwrap_or_default();
            let (held, frozen) = (position.held.0.into(), position.frozen.0.into());
            check_need(id, || symbol.to_string(), frozen, needed, held)?;
        }
        // What is left are open sells of symbols that the account has no position in.
        match shares_needed.pop_first() {
            Some((symbol, needed)) => check_need(id, || symbol.to_string(), 0, needed, 0),
            None => Ok(()),
        }
    }

    fn check_book(&self, symbol: SymbolId, listing: &Listing) -> Result<(), Unbalanced> {
        let book = &listing.book;
        let checked = book.check_invariants().and(book.check_uncrossed());
        checked.map_err(|broken| Unbalanced::Book { symbol, broken })?;
        let mut odd = None;
        listing.book.visit(&mut |resting| {
            let agrees = |order: &Order| {
                order.is_open()
                    && order.symbol == symbol
                    && order.account == resting.account
                    && order.side == resting.side
                    && order.price == resting.price
                    && order.remaining() == resting.remaining
                    && self.sessions.contains_key(&order.session)
                    && (self.accounts.get(&order.account))
                        .is_some_and(|account| account.open.contains(&resting.order))
            };
            if !self.orders.get(resting.order).is_some_and(agrees) {
                odd = Some(resting.order);
            }
        });
        odd.map_or(Ok(()), |order| Err(Unbalanced::Order { order }))
    }
}

fn check_need(
    account: AccountId,
    what: impl Fn() -> String,
    frozen: i128,
    needed: i128,
    held: i128,
) -> Result<(), Unbalanced> {
    if frozen == needed && frozen <= held {
        return Ok(());
    }
    Err(Unbalanced::Frozen {
        account,
        what: what(),
        frozen,
        needed,
        held,
    })
}
