//! What must hold after every command, checked from scratch: linear, for tests, restores and drills.

use crate::Shard;
use crate::accounts::amount;
use crate::listing::{Listing, MarketBook};
use crate::orders::{NONE, Order, Stands};
use crate::phase::may_be_crossed;
use book::{BrokenInvariant, Resting};
use std::collections::BTreeMap;
use types::{AccountId, Money, OrderId, Quantity, Side, SymbolId};

/// A state that does not balance: a fault of the engine, never of its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbalanced {
    /// Cash came from nowhere or went there.
    #[error("accounts and fees hold {held} yuan together, {opened} came in")]
    Cash {
        /// What all accounts hold, what is under way to other shards, and the fees.
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
    #[error(
        "{counted} open orders are counted, accounts have {in_accounts}, books {in_books}, the \
         order table {in_table}"
    )]
    OpenOrders {
        /// By the counter.
        counted: u64,
        /// In the accounts' lists.
        in_accounts: u64,
        /// In the books, and waiting for a trigger.
        in_books: u64,
        /// In the order table.
        in_table: u64,
    },
}

impl<B: MarketBook> Shard<B> {
    /// Checks that cash and shares only changed hands, that what is frozen is exactly what the open
    /// orders need, that books keep their rules, and that order table, accounts and books agree.
    ///
    /// # Errors
    /// The first [`Unbalanced`] met.
    pub fn check_conservation(&self) -> Result<(), Unbalanced> {
        self.check_totals()?;
        let mut in_accounts = 0;
        let mut shares_needed: BTreeMap<u32, i128> = BTreeMap::new();
        for row in 0..self.accounts.count() as u32 {
            in_accounts += self.check_account(row, &mut shares_needed)?;
        }
        self.check_positions(&shares_needed)?;
        let mut in_books = 0;
        for (row, listing) in (0..).zip(&self.listings) {
            self.check_book(row, listing)?;
            let at_close = listing.at_close.as_ref().map_or(0, |queue| queue.len());
            let outside = listing.stops.len() + listing.held.len();
            in_books += (listing.book.len() + at_close + outside) as u64;
        }
        let counted = self.facts.counters.open_orders;
        let in_table = self.orders.open();
        if counted != in_accounts || counted != in_books || counted != in_table {
            return Err(Unbalanced::OpenOrders {
                counted,
                in_accounts,
                in_books,
                in_table,
            });
        }
        Ok(())
    }

    fn check_totals(&self) -> Result<(), Unbalanced> {
        let mut cash = Money(0);
        let mut shares: BTreeMap<SymbolId, u128> = BTreeMap::new();
        for row in 0..self.accounts.count() as u32 {
            cash.0 += self.accounts.at(row).cash.0;
        }
        for row in 0..self.accounts.positions_count() as u32 {
            let position = self.accounts.position(row);
            let symbol = self.listing(position.symbol).definition.symbol;
            *shares.entry(symbol).or_default() += u128::from(position.held.0);
        }
        cash.0 += self.facts.transfers.in_transit().0;
        cash.0 += self.facts.fees.total().0;
        let opened = self.facts.totals.cash;
        if cash != opened {
            return Err(Unbalanced::Cash { held: cash, opened });
        }
        for listing in &self.listings {
            let symbol = listing.definition.symbol;
            let held = shares.get(&symbol).copied().unwrap_or_default();
            let opened = self.facts.totals.shares.get(&symbol);
            let opened = opened.copied().unwrap_or_default();
            if held != u128::from(opened.0) {
                return Err(Unbalanced::Shares {
                    symbol,
                    held,
                    opened,
                });
            }
        }
        Ok(())
    }

    /// Walks an account's open orders, adds up what its sells need by position, and yields how many
    /// orders there are.
    fn check_account(
        &self,
        row: u32,
        shares_needed: &mut BTreeMap<u32, i128>,
    ) -> Result<u64, Unbalanced> {
        let account = self.accounts.at(row);
        let (mut count, mut before, mut next) = (0, NONE, account.first_open);
        let mut cash_needed = 0_i128;
        while next != NONE {
            let order = self.orders.at(next);
            let is_linked = order.before == before
                && order.account == row
                && order.is_open()
                && order.stands != Stands::Nowhere;
            if !is_linked || count > account.open_orders {
                return Err(Unbalanced::Order { order: order.id });
            }
            match order.side {
                Side::Buy => {
                    let needed = amount(order.price, order.remaining()) + order.fee.0;
                    cash_needed += i128::from(needed);
                }
                Side::Sell => {
                    *shares_needed.entry(order.position).or_default() +=
                        i128::from(order.remaining().0);
                }
            }
            count += 1;
            before = next;
            next = order.behind;
        }
        let (cash, frozen) = (account.cash.0.into(), account.cash_frozen.0.into());
        check_need(account.id, || "cash".to_owned(), frozen, cash_needed, cash)?;
        Ok(count.into())
    }

    fn check_positions(&self, shares_needed: &BTreeMap<u32, i128>) -> Result<(), Unbalanced> {
        for row in 0..self.accounts.positions_count() as u32 {
            let position = self.accounts.position(row);
            let needed = shares_needed.get(&row).copied().unwrap_or_default();
            let symbol = self.listing(position.symbol).definition.symbol;
            let (held, frozen) = (position.held.0.into(), position.frozen.0.into());
            let account = self.accounts.at(position.account).id;
            check_need(account, || symbol.to_string(), frozen, needed, held)?;
        }
        Ok(())
    }

    fn check_book(&self, row: u32, listing: &Listing<B>) -> Result<(), Unbalanced> {
        let symbol = listing.definition.symbol;
        let mut checked = listing.book.check_invariants();
        if !may_be_crossed(listing.phase) {
            checked = checked.and_then(|()| listing.book.check_uncrossed());
        }
        checked.map_err(|broken| Unbalanced::Book { symbol, broken })?;
        let mut odd = None;
        let mut check_resting = |resting: &Resting, stands: Stands| {
            let agrees = |order: &Order| {
                order.is_open()
                    && order.stands == stands
                    && order.symbol == row
                    && self.accounts.at(order.account).id == resting.account
                    && order.side == resting.side
                    && order.price == resting.price
                    && order.remaining() == resting.remaining
            };
            let order = self.orders.row_of(resting.order);
            if !order.is_some_and(|order| agrees(self.orders.at(order))) {
                odd = Some(resting.order);
            }
        };
        (listing.book).visit(&mut |resting| check_resting(resting, Stands::InBook));
        if let Some(queue) = &listing.at_close {
            (queue
                .check_invariants()
                .and_then(|()| queue.check_uncrossed()))
            .map_err(|broken| Unbalanced::Book { symbol, broken })?;
            queue.visit(&mut |resting| check_resting(resting, Stands::AtClose));
        }
        for (side, price, id) in listing.held.iter() {
            let agrees = |order: &Order| {
                order.is_open()
                    && order.stands == Stands::Held
                    && (order.symbol, order.side, order.price) == (row, side, price)
            };
            let order = self.orders.row_of(id);
            if !order.is_some_and(|order| agrees(self.orders.at(order))) {
                odd = Some(id);
            }
        }
        listing.stops.visit(&mut |stop| {
            let agrees = |order: &Order| {
                order.is_open() && order.stands == Stands::Waiting && order.symbol == row
            };
            let order = self.orders.row_of(stop.order);
            if !order.is_some_and(|order| agrees(self.orders.at(order))) {
                odd = Some(stop.order);
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
