//! Orders as the engine remembers them: rows that are used again, found by number.
//!
//! ```text
//!   new ──► row ──► rests or waits ──► closed ──► the last `closed_orders_kept` ──► free row
//!                                            (can be asked for by status)     (the next new order)
//! ```
//! Numbers are never used again; rows are, the latest freed first, so that what is worked on stays
//! small and memory does not grow with the orders of a day.

use crate::Limits;
use crate::index::Index;
use crate::lookup::fill_in;
use crate::prefetch::prefetch_row;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use types::{
    ClOrdId, Money, OrderId, OrderState, OrderView, Price, Quantity, SelfTradePrevention, Side,
    TimeInForce, UnixMicros,
};

/// "No row", in links between rows.
pub(crate) const NONE: u32 = u32::MAX;

/// How many closed orders ahead a row, and the head of its bucket, are asked for.
const ROW_AHEAD: usize = 8;
const HEAD_AHEAD: usize = 4;

/// Where an order's open shares are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stands {
    /// Nowhere: it is on its way through the book, or closed.
    Nowhere,
    /// In its symbol's book.
    InBook,
    /// Outside, until its trigger is reached.
    Waiting,
    /// Outside, until the cage has come to it.
    Held,
    /// In its symbol's queue at the closing price.
    AtClose,
}

/// Two lines of the cache, whole ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(align(128))]
pub(crate) struct Order {
    pub id: OrderId,
    /// The id it goes by now; earlier ones still find it.
    pub cl_ord_id: ClOrdId,
    pub side: Side,
    pub state: OrderState,
    pub stands: Stands,
    pub time_in_force: TimeInForce,
    pub self_trade_prevention: SelfTradePrevention,
    pub post_only: bool,
    /// A stop that becomes a market order, not a limit order.
    pub becomes_market: bool,
    /// The session's row: who entered it, and hears of it.
    pub session: u32,
    /// The account's row.
    pub account: u32,
    /// The symbol's row.
    pub symbol: u32,
    /// The row of what the account holds of the symbol.
    pub position: u32,
    /// The account's open orders before and behind it.
    pub before: u32,
    pub behind: u32,
    /// The worst price it takes; what a buy has frozen a share at.
    pub price: Price,
    pub quantity: Quantity,
    pub filled: Quantity,
    pub display: Option<Quantity>,
    /// When it was accepted.
    pub entered: UnixMicros,
    /// What it has traded for on this day; kept for the bill of its fees.
    #[serde(skip)]
    pub turnover: Money,
    /// Of a buy, what it has frozen for fees; of a sell, the fees that it has not earned yet.
    #[serde(skip)]
    pub fee: Money,
}

impl Order {
    /// What stands in a row that was never used.
    fn none() -> Self {
        Self {
            id: OrderId(0),
            cl_ord_id: ClOrdId::new("-").expect("one character is an id"),
            side: Side::Buy,
            state: OrderState::Rejected,
            stands: Stands::Nowhere,
            time_in_force: TimeInForce::Day,
            self_trade_prevention: SelfTradePrevention::CancelNewest,
            post_only: false,
            becomes_market: false,
            session: NONE,
            account: NONE,
            symbol: NONE,
            position: NONE,
            before: NONE,
            behind: NONE,
            price: Price(0),
            quantity: Quantity(0),
            filled: Quantity(0),
            display: None,
            entered: UnixMicros(0),
            turnover: Money(0),
            fee: Money(0),
        }
    }

    /// Shares that are still open, in the book, outside of it, or on their way through it.
    pub(crate) fn remaining(&self) -> Quantity {
        match self.state {
            OrderState::Open => Quantity(self.quantity.0 - self.filled.0),
            OrderState::Filled | OrderState::Cancelled | OrderState::Rejected => Quantity(0),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == OrderState::Open
    }
}

/// What a status request shows, with the ids of the rows that the order names.
pub(crate) fn view(order: &Order, account: types::AccountId, symbol: types::SymbolId) -> OrderView {
    OrderView {
        cl_ord_id: order.cl_ord_id,
        order_id: order.id,
        account,
        symbol,
        side: order.side,
        state: order.state,
        quantity: order.quantity,
        filled: order.filled,
        remaining: order.remaining(),
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Orders {
    rows: Vec<Order>,
    by_id: Index,
    free: Vec<u32>,
    /// Oldest first.
    closed: VecDeque<u32>,
    closed_kept: usize,
    last: OrderId,
}

/// The table as a snapshot keeps it: rows stay where they are, so that a restored state goes on
/// with the same ones.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredOrders {
    rows: Vec<Order>,
    free: Vec<u32>,
    closed: Vec<u32>,
    last: OrderId,
}

impl Orders {
    pub(crate) fn new(limits: &Limits) -> Self {
        let closed_kept = limits.closed_orders_kept as usize;
        let rows = limits.orders_max as usize + closed_kept + 1;
        Self {
            rows: Vec::with_capacity(rows),
            by_id: Index::with_room(rows),
            free: Vec::with_capacity(rows),
            closed: VecDeque::with_capacity(closed_kept + 1),
            closed_kept,
            last: OrderId(0),
        }
    }

    /// Orders that are not closed.
    pub(crate) fn open(&self) -> u64 {
        (self.rows.len() - self.free.len() - self.closed.len()) as u64
    }

    /// The number that the next order gets.
    pub(crate) fn next_id(&self) -> OrderId {
        OrderId(self.last.0 + 1)
    }

    /// Puts an order in a row. Its number is [`Orders::next_id`].
    #[inline(always)]
    pub(crate) fn insert(&mut self, order: Order) -> u32 {
        self.last = order.id;
        let row = match self.free.pop() {
            Some(row) => {
                self.rows[row as usize] = order;
                row
            }
            None => {
                self.rows.push(order);
                (self.rows.len() - 1) as u32
            }
        };
        let rows = &self.rows;
        (self.by_id).insert(order.id.0, row, |row| rows[row as usize].id.0);
        row
    }

    #[inline]
    pub(crate) fn row_of(&self, id: OrderId) -> Option<u32> {
        (self.by_id).get(id.0, |row| self.rows[row as usize].id == id)
    }

    /// The row at which the look-up of an order will begin.
    #[inline]
    pub(crate) fn likely_row(&self, id: OrderId) -> Option<u32> {
        self.by_id.first(id.0)
    }

    /// Asks for the line in which the look-up of an order will begin.
    #[inline]
    pub(crate) fn prefetch_head(&self, id: OrderId) {
        self.by_id.prefetch(id.0);
    }

    /// Asks for an order's row.
    #[inline]
    pub(crate) fn prefetch(&self, row: u32) {
        prefetch_row(&self.rows, row as usize);
    }

    /// The row of an order that the engine itself has in a book.
    pub(crate) fn known_row(&self, id: OrderId) -> u32 {
        self.row_of(id).expect("an order that rests has a row")
    }

    /// A row, as far as there are rows.
    pub(crate) fn get(&self, row: u32) -> Option<&Order> {
        self.rows.get(row as usize)
    }

    pub(crate) fn at(&self, row: u32) -> &Order {
        &self.rows[row as usize]
    }

    pub(crate) fn at_mut(&mut self, row: u32) -> &mut Order {
        &mut self.rows[row as usize]
    }

    /// Gives a closed order's row up, once as many others have closed after it as are kept.
    pub(crate) fn retire(&mut self, row: u32) {
        self.closed.push_back(row);
        // Which rows will be given up next is known: by their turn they are at hand.
        if let Some(soon) = self.closed.get(ROW_AHEAD) {
            prefetch_row(&self.rows, *soon as usize);
        }
        if let Some(next) = self.closed.get(HEAD_AHEAD) {
            self.by_id.prefetch(self.rows[*next as usize].id.0);
        }
        if self.closed.len() > self.closed_kept
            && let Some(oldest) = self.closed.pop_front()
        {
            let id = self.rows[oldest as usize].id;
            self.by_id.remove(id.0, oldest);
            self.free.push(oldest);
        }
    }

    /// Every open order's row, in the order of their numbers; linear, for what is rare.
    pub(crate) fn open_rows(&self) -> Vec<u32> {
        let is_open = |row: &u32| {
            let order = self.at(*row);
            order.is_open() && self.row_of(order.id) == Some(*row)
        };
        let mut rows: Vec<u32> = (0..self.rows.len() as u32).filter(is_open).collect();
        rows.sort_unstable_by_key(|row| self.at(*row).id);
        rows
    }

    pub(crate) fn stored(&self) -> StoredOrders {
        StoredOrders {
            rows: self.rows.clone(),
            free: self.free.clone(),
            closed: self.closed.iter().copied().collect(),
            last: self.last,
        }
    }

    /// What orders owe and have frozen for fees, by row, of those that do.
    pub(crate) fn stored_fees(&self) -> Vec<(u32, Money, Money)> {
        let rows = (0..).zip(&self.rows);
        rows.filter(|(_, order)| order.turnover.0 != 0 || order.fee.0 != 0)
            .map(|(row, order)| (row, order.turnover, order.fee))
            .collect()
    }

    /// Puts back what [`Orders::stored_fees`] gave; `None` when there is no such row.
    pub(crate) fn restore_fees(&mut self, stored: Vec<(u32, Money, Money)>) -> Option<()> {
        for (row, turnover, fee) in stored {
            let order = self.rows.get_mut(row as usize)?;
            (order.turnover, order.fee) = (turnover, fee);
        }
        Some(())
    }

    /// The table that was stored; `None` when it is none that [`Orders::stored`] wrote.
    pub(crate) fn restore(limits: &Limits, stored: StoredOrders) -> Option<Self> {
        let mut orders = Self::new(limits);
        if stored.rows.len() > orders.rows.capacity() || stored.closed.len() > orders.closed_kept {
            return None;
        }
        let mut is_free = vec![false; stored.rows.len()];
        for row in &stored.free {
            *is_free.get_mut(*row as usize)? = true;
        }
        let in_range = |row: &u32| (*row as usize) < stored.rows.len();
        if !stored.closed.iter().all(in_range) {
            return None;
        }
        let id_of = |row: u32| stored.rows[row as usize].id;
        for (row, order) in (0..).zip(&stored.rows) {
            if !is_free[row as usize] {
                let is_twice = orders.by_id.get(order.id.0, |row| id_of(row) == order.id);
                if is_twice.is_some() {
                    return None;
                }
                orders.by_id.insert(order.id.0, row, |row| id_of(row).0);
            }
        }
        orders.rows.extend(stored.rows);
        orders.free.extend(stored.free);
        orders.closed.extend(stored.closed);
        orders.last = stored.last;
        Some(orders)
    }

    pub(crate) fn touch(&mut self) {
        self.by_id.touch();
        fill_in(&mut self.rows, Order::none());
    }
}
