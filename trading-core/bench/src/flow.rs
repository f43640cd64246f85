//! What a session of the load asks for: of ten requests six are new orders, of which a quarter
//! cross, and four cancel an order of its own that is open.

use anyhow::Result;
use std::collections::VecDeque;
use types::{AccountId, Control, SymbolDefinition};
use types::{ClOrdId, Money, NewOrder, Price, Quantity, Request, Side, SymbolId};

/// Symbols traded.
const SYMBOLS: u64 = 16;
const FIRST_SYMBOL: u32 = 600_000;
/// The price in the middle of the book, in 1/10,000 yuan, and the tick.
const MIDDLE: i64 = 100_000;
const TICK: i64 = 100;
/// Prices rest this many ticks from the middle at most.
const DEPTH: u64 = 50;
/// Open orders that a session remembers for its cancels.
const OPEN_MAX: usize = 512;

/// What a session is told, as far as the flow minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An order is in the book or about to trade.
    Accepted(ClOrdId),
    /// An order is no longer open.
    Gone(ClOrdId),
    /// A request had no effect.
    Rejected,
    /// Anything else.
    Other,
}

/// One session's stream of requests. The same number begins the same stream.
#[derive(Clone, Debug)]
pub struct Flow {
    random: u64,
    next_order: u64,
    open: VecDeque<ClOrdId>,
}

impl Flow {
    /// The stream of a session; `next_order` numbers its orders on, so that none has the id of an
    /// earlier run's.
    #[must_use]
    pub fn new(number: u64, next_order: u64) -> Self {
        Self {
            random: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            next_order,
            open: VecDeque::with_capacity(OPEN_MAX),
        }
    }

    /// The next request.
    ///
    /// # Errors
    /// Not known to happen.
    pub fn next(&mut self) -> Result<Request> {
        let draw = self.draw();
        if draw % 10 < 4
            && let Some(original) = self.open.pop_front()
        {
            return Ok(Request::Cancel { original });
        }
        let cl_ord_id = ClOrdId::new(&self.next_order.to_string())?;
        self.next_order += 1;
        let side = if draw >> 8 & 1 == 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let away = 1 + (draw >> 16) % DEPTH;
        let crosses = (draw >> 32).is_multiple_of(4);
        let ticks = if crosses { -2 } else { away as i64 };
        let price = match side {
            Side::Buy => MIDDLE - ticks * TICK,
            Side::Sell => MIDDLE + ticks * TICK,
        };
        Ok(Request::New(NewOrder::limit(
            cl_ord_id,
            SymbolId(FIRST_SYMBOL + ((draw >> 40) % SYMBOLS) as u32),
            side,
            Quantity(100 * (1 + (draw >> 48) % 5)),
            Price(price),
        )))
    }

    /// Takes in what the session was told.
    pub fn told(&mut self, told: Told) {
        match told {
            Told::Accepted(id) if self.open.len() < OPEN_MAX => self.open.push_back(id),
            // Among the newest, for what crosses is gone at once.
            Told::Gone(id) => {
                if let Some(place) = self.open.iter().rposition(|open| *open == id) {
                    self.open.remove(place);
                }
            }
            Told::Accepted(_) | Told::Rejected | Told::Other => {}
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The reference data that the flow needs: its symbols, and accounts `1..=accounts` with more cash
/// and shares than a run can move.
#[must_use]
pub fn reference_data(accounts: u64) -> Vec<Control> {
    let symbols = (0..SYMBOLS as u32).map(|n| {
        let limits = (Price(MIDDLE * 9 / 10), Price(MIDDLE * 11 / 10));
        let symbol = SymbolId(FIRST_SYMBOL + n);
        Control::DefineSymbol(SymbolDefinition::share(symbol, limits.0, limits.1))
    });
    let positions: Vec<_> = (0..SYMBOLS as u32)
        .map(|n| (SymbolId(FIRST_SYMBOL + n), Quantity(1 << 40)))
        .collect();
    let accounts = (1..=accounts).map(|account| Control::OpenAccount {
        account: AccountId(account),
        cash: Money(1 << 52),
        positions: positions.clone(),
    });
    symbols.chain(accounts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_of_ten_requests_are_new_and_cancels_name_open_orders() {
        let mut flow = Flow::new(7, 1);
        let (mut new, mut cancelled) = (0, 0);
        for _ in 0..10_000 {
            match flow.next().unwrap() {
                Request::New(order) => {
                    new += 1;
                    flow.told(Told::Accepted(order.cl_ord_id));
                }
                Request::Cancel { original } => {
                    assert!(!flow.open.contains(&original));
                    cancelled += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!((5_800..6_200).contains(&new), "{new} new");
        assert_eq!(new + cancelled, 10_000);
    }
}
