//! What accounts own and what their open orders have frozen of it.
//!
//! ```text
//!   buy  order: freezes price × open shares, and fees     sell order: freezes its open shares
//!   buy  fill:  releases limit × n, pays price × n        sell fill:  gives n shares, earns price × n
//!   both fills: pay fees, see `fees.rs`
//!   cancel:     releases what the open shares had frozen
//!
//!   account ──► open orders, oldest first (through the orders' rows)
//!           └─► positions, latest first   (through the positions' rows)
//! ```
//! Held includes frozen. The arithmetic is exact and, in every profile, checked by the compiler: a
//! step that would go below zero or out of range ends the process rather than the books' balance.
//! What a command moved between accounts adds up to nothing, or the process ends as well.

use crate::Limits;
use crate::fees::Charge;
use crate::index::Index;
use crate::lookup::{GOLDEN, Lookup, fill_in};
use crate::orders::{NONE, Order};
use crate::prefetch::prefetch_row;
use serde::{Deserialize, Serialize};
use types::{AccountId, AccountTerms, Money, Price, Quantity, Side};

/// Half a line of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(align(32))]
pub(crate) struct Position {
    /// The account's row.
    pub account: u32,
    /// The symbol's row.
    pub symbol: u32,
    /// The account's next position.
    pub next: u32,
    pub held: Quantity,
    pub frozen: Quantity,
    /// The row of what the day moved of it, once the day did.
    pub flow: u32,
}

impl Position {
    fn new(account: u32, symbol: u32, next: u32) -> Self {
        Self {
            account,
            symbol,
            next,
            held: Quantity(0),
            frozen: Quantity(0),
            flow: NONE,
        }
    }

    pub(crate) fn free(&self) -> Quantity {
        Quantity(self.held.0 - self.frozen.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(align(64))]
pub(crate) struct Account {
    pub id: AccountId,
    pub cash: Money,
    pub cash_frozen: Money,
    pub terms: AccountTerms,
    /// Client order ids that took effect today.
    pub ids_today: u32,
    pub first_open: u32,
    pub last_open: u32,
    pub open_orders: u32,
    pub first_position: u32,
    /// Cash when the last day was settled, with what came and went since other than by trades.
    pub settled_cash: Money,
    /// Paid and earned since then, by the trades; fees are paid.
    pub paid: Money,
    pub earned: Money,
}

impl Account {
    fn new(id: AccountId, cash: Money) -> Self {
        Self {
            id,
            cash,
            cash_frozen: Money(0),
            terms: AccountTerms::default(),
            ids_today: 0,
            first_open: NONE,
            last_open: NONE,
            open_orders: 0,
            first_position: NONE,
            settled_cash: cash,
            paid: Money(0),
            earned: Money(0),
        }
    }

    pub(crate) fn cash_free(&self) -> Money {
        Money(self.cash.0 - self.cash_frozen.0)
    }
}

/// What changed hands since [`Accounts::assert_nothing_appeared`]: in all, nothing may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    cash: i64,
    shares: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    rows: Vec<Account>,
    by_id: Lookup,
    positions: Vec<Position>,
    position_of: Index,
    moved: Moved,
}

/// The tables as a snapshot keeps them.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredAccounts {
    rows: Vec<Account>,
    positions: Vec<Position>,
}

/// `price × quantity` where the checks have shown that it fits.
pub(crate) fn amount(price: Price, quantity: Quantity) -> i64 {
    price.0 * quantity.0.cast_signed()
}

/// Where an account's position in a symbol is looked for.
#[inline]
fn pair(account: u32, symbol: u32) -> u64 {
    (u64::from(account) << 32 | u64::from(symbol)).wrapping_mul(GOLDEN) >> 32
}

impl Accounts {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (accounts, positions) = (limits.accounts_max as usize, limits.positions_max as usize);
        Self {
            rows: Vec::with_capacity(accounts),
            by_id: Lookup::with_room(accounts),
            positions: Vec::with_capacity(positions),
            position_of: Index::with_room(positions),
            moved: Moved::default(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn positions_count(&self) -> usize {
        self.positions.len()
    }

    pub(crate) fn row_of(&self, id: AccountId) -> Option<u32> {
        self.by_id.get(id.0)
    }

    pub(crate) fn at(&self, row: u32) -> &Account {
        &self.rows[row as usize]
    }

    pub(crate) fn at_mut(&mut self, row: u32) -> &mut Account {
        &mut self.rows[row as usize]
    }

    pub(crate) fn rows(&self) -> &[Account] {
        &self.rows
    }

    pub(crate) fn rows_mut(&mut self) -> &mut [Account] {
        &mut self.rows
    }

    pub(crate) fn open(&mut self, id: AccountId, cash: Money) -> u32 {
        let row = self.rows.len() as u32;
        self.rows.push(Account::new(id, cash));
        self.by_id.insert(id.0, row);
        row
    }

    pub(crate) fn position(&self, row: u32) -> &Position {
        &self.positions[row as usize]
    }

    pub(crate) fn position_mut(&mut self, row: u32) -> &mut Position {
        &mut self.positions[row as usize]
    }

    #[inline]
    pub(crate) fn position_row(&self, account: u32, symbol: u32) -> Option<u32> {
        self.position_of.get(pair(account, symbol), |row| {
            let position = &self.positions[row as usize];
            position.account == account && position.symbol == symbol
        })
    }

    /// Asks for an account's row.
    #[inline]
    pub(crate) fn prefetch(&self, row: u32) {
        prefetch_row(&self.rows, row as usize);
    }

    /// Asks for the line in which the look-up of a position will begin.
    #[inline]
    pub(crate) fn prefetch_position_head(&self, account: u32, symbol: u32) {
        self.position_of.prefetch(pair(account, symbol));
    }

    /// The row at which the look-up of a position will begin.
    #[inline]
    pub(crate) fn likely_position(&self, account: u32, symbol: u32) -> Option<u32> {
        self.position_of.first(pair(account, symbol))
    }

    /// Asks for a position's row.
    #[inline]
    pub(crate) fn prefetch_position(&self, row: u32) {
        prefetch_row(&self.positions, row as usize);
    }

    /// The row of what an account holds of a symbol; a new one when it never held any. The owner
    /// sees to it that there is room.
    pub(crate) fn position_row_or_new(&mut self, account: u32, symbol: u32) -> u32 {
        if let Some(row) = self.position_row(account, symbol) {
            return row;
        }
        let row = self.positions.len() as u32;
        let owner = &mut self.rows[account as usize];
        let next = owner.first_position;
        self.positions.push(Position::new(account, symbol, next));
        owner.first_position = row;
        let positions = &self.positions;
        (self.position_of).insert(pair(account, symbol), row, |row| {
            let position = &positions[row as usize];
            pair(position.account, position.symbol)
        });
        row
    }

    /// An account's positions, latest first.
    pub(crate) fn positions_of(&self, account: &Account) -> impl Iterator<Item = &Position> {
        let row = |row: u32| self.positions.get(row as usize);
        std::iter::successors(row(account.first_position), move |last| row(last.next))
    }

    /// Sets aside what an order of `quantity` shares at `price`, and `fee` beside it, may need.
    pub(crate) fn freeze(
        &mut self,
        order: &mut Order,
        price: Price,
        quantity: Quantity,
        fee: Money,
    ) {
        match order.side {
            Side::Buy => {
                order.fee = fee;
                let account = &mut self.rows[order.account as usize];
                account.cash_frozen.0 += amount(price, quantity) + fee.0;
                assert!(account.cash_frozen <= account.cash);
            }
            Side::Sell => {
                let position = &mut self.positions[order.position as usize];
                position.frozen.0 += quantity.0;
                assert!(position.frozen <= position.held);
            }
        }
    }

    /// Gives back what the open shares of an order had set aside.
    pub(crate) fn release(&mut self, order: &mut Order) {
        let quantity = order.remaining();
        match order.side {
            Side::Buy => {
                let fee = std::mem::take(&mut order.fee);
                let account = &mut self.rows[order.account as usize];
                account.cash_frozen.0 -= amount(order.price, quantity) + fee.0;
                assert!(account.cash_frozen.0 >= 0);
            }
            Side::Sell => self.positions[order.position as usize].frozen.0 -= quantity.0,
        }
    }

    /// Books one side of a trade at `price`, and its fees; the order's own price is what it had frozen
    /// a share at.
    pub(crate) fn settle(
        &mut self,
        order: &mut Order,
        price: Price,
        quantity: Quantity,
        charge: &Charge,
    ) {
        let paid = amount(price, quantity);
        let account = &mut self.rows[order.account as usize];
        let position = &mut self.positions[order.position as usize];
        match order.side {
            Side::Buy => {
                account.cash_frozen.0 -=
                    amount(order.price, quantity) + order.fee.0 - charge.keep.0;
                account.cash.0 -= paid + charge.paid.0;
                position.held.0 += quantity.0;
                self.moved.cash -= paid + charge.paid.0;
                self.moved.shares += quantity.0.cast_signed();
                assert!(account.cash_frozen.0 >= 0 && account.cash >= account.cash_frozen);
            }
            Side::Sell => {
                account.cash.0 += paid - charge.paid.0;
                position.frozen.0 -= quantity.0;
                position.held.0 -= quantity.0;
                self.moved.cash += paid - charge.paid.0;
                self.moved.shares -= quantity.0.cast_signed();
                assert!(position.held >= position.frozen);
            }
        }
        account.paid.0 += charge.paid.0;
        order.turnover.0 += charge.turnover.0;
        order.fee = charge.keep;
    }

    /// Notes fees that have come to those whom they are for.
    pub(crate) fn fees_came(&mut self, total: Money) {
        self.moved.cash += total.0;
    }

    /// Has a buy set aside another amount for its fees, as far as its account can; yields nothing for a
    /// sell, which sets none aside.
    pub(crate) fn refreeze_fee(&mut self, order: &mut Order, wanted: Money) {
        if order.side == Side::Sell {
            return;
        }
        let account = &mut self.rows[order.account as usize];
        account.cash_frozen.0 -= order.fee.0;
        order.fee = wanted.min(account.cash_free());
        account.cash_frozen.0 += order.fee.0;
    }

    /// Ends the process when the trades of a command did not move cash and shares but made or lost
    /// some. Whole states are checked by [`crate::Shard::check_conservation`].
    pub(crate) fn assert_nothing_appeared(&self) {
        assert!(
            self.moved == Moved::default(),
            "what buyers got is not what sellers gave: {:?}",
            self.moved
        );
    }

    pub(crate) fn stored(&self) -> StoredAccounts {
        StoredAccounts {
            rows: self.rows.clone(),
            positions: self.positions.clone(),
        }
    }

    /// The tables that were stored; `None` when they are none that [`Accounts::stored`] wrote.
    pub(crate) fn restore(limits: &Limits, stored: StoredAccounts) -> Option<Self> {
        let mut accounts = Self::new(limits);
        let fits = stored.rows.len() <= accounts.rows.capacity()
            && stored.positions.len() <= accounts.positions.capacity();
        if !fits {
            return None;
        }
        for (row, account) in stored.rows.iter().enumerate() {
            if accounts.row_of(account.id).is_some() {
                return None;
            }
            accounts.by_id.insert(account.id.0, row as u32);
        }
        let stored_pair = |row: u32| {
            let position = &stored.positions[row as usize];
            pair(position.account, position.symbol)
        };
        for (row, position) in stored.positions.iter().enumerate() {
            let is_older = position.next == NONE || (position.next as usize) < row;
            let is_owned = (position.account as usize) < stored.rows.len();
            let is_twice = accounts.position_of.get(stored_pair(row as u32), |other| {
                let other = &stored.positions[other as usize];
                (other.account, other.symbol) == (position.account, position.symbol)
            });
            if !is_older || !is_owned || is_twice.is_some() {
                return None;
            }
            let hash = stored_pair(row as u32);
            accounts.position_of.insert(hash, row as u32, stored_pair);
        }
        accounts.rows.extend(stored.rows);
        accounts.positions.extend(stored.positions);
        Some(accounts)
    }

    pub(crate) fn touch(&mut self) {
        self.by_id.touch();
        self.position_of.touch();
        fill_in(&mut self.rows, Account::new(AccountId(0), Money(0)));
        fill_in(&mut self.positions, Position::new(NONE, NONE, NONE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::Stands;
    use types::{ClOrdId, OrderId, OrderState, SelfTradePrevention, TimeInForce};

    fn accounts() -> Accounts {
        let mut accounts = Accounts::new(&Limits::small());
        accounts.open(AccountId(7), Money(1_000));
        accounts.position_row_or_new(0, 0);
        accounts
    }

    fn order(side: Side, price: i64) -> Order {
        Order {
            id: OrderId(1),
            cl_ord_id: ClOrdId::new("x").unwrap(),
            side,
            state: OrderState::Open,
            stands: Stands::Nowhere,
            time_in_force: TimeInForce::Day,
            self_trade_prevention: SelfTradePrevention::CancelNewest,
            post_only: false,
            becomes_market: false,
            session: 0,
            account: 0,
            symbol: 0,
            position: 0,
            before: NONE,
            behind: NONE,
            price: Price(price),
            quantity: Quantity(100),
            filled: Quantity(0),
            display: None,
            entered: types::UnixMicros(0),
            turnover: Money(0),
            fee: Money(0),
        }
    }

    #[test]
    fn a_fill_below_the_limit_gives_the_difference_back() {
        let mut accounts = accounts();
        let mut buy = order(Side::Buy, 10);
        accounts.freeze(&mut buy, Price(10), Quantity(100), Money(0));
        assert_eq!(accounts.at(0).cash_free(), Money(0));
        accounts.settle(&mut buy, Price(7), Quantity(60), &Charge::default());
        buy.filled = Quantity(60);
        assert_eq!(accounts.at(0).cash, Money(580));
        assert_eq!(accounts.at(0).cash_frozen, Money(400));
        assert_eq!(accounts.position(0).free(), Quantity(60));
        accounts.release(&mut buy);
        assert_eq!(accounts.at(0).cash_free(), Money(580));
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn more_than_is_held_cannot_be_frozen() {
        let mut sell = order(Side::Sell, 10);
        accounts().freeze(&mut sell, Price(10), Quantity(1), Money(0));
    }

    #[test]
    #[should_panic(expected = "what buyers got is not what sellers gave")]
    fn a_trade_with_one_side_only_is_noticed() {
        let mut accounts = accounts();
        let mut buy = order(Side::Buy, 10);
        accounts.freeze(&mut buy, Price(10), Quantity(100), Money(0));
        accounts.settle(&mut buy, Price(10), Quantity(100), &Charge::default());
        accounts.assert_nothing_appeared();
    }
}
