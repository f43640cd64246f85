//! Follows every order of an ITCH day and tells what it does to levels and trades.

use super::field::{MatchNumber, OrderReference, Price4, Stock, StockLocate};
use super::message::Message;
use crate::itch::Printable;
use crate::market::{Level, MarketEvent, Trade};
use std::collections::{BTreeMap, HashMap};
use types::{Price, Quantity, Side, SymbolId, TradeId, UnixMicros};

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

/// What did not fit; each is a sign of a gap in the feed or of a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderBookCounts {
    /// Messages about an order of a listed stock that was never added, or is gone.
    pub unknown_orders: u64,
    /// Messages that take more shares from an order than it has.
    pub too_many_shares: u64,
    /// Orders not followed because as many as allowed rest.
    pub orders_refused: u64,
    /// An order number that rests already; the earlier order is taken out.
    pub doubled_orders: u64,
}

impl OrderBookCounts {
    /// Whether all messages made sense together; else the levels told are not to be trusted.
    #[must_use]
    pub fn are_clean(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    symbol: SymbolId,
    side: Side,
    price: Price4,
    shares: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    shares: u64,
    orders: u32,
}

/// All order books of one day's feed, for the stocks that the core trades.
#[derive(Clone, Debug)]
pub struct OrderBooks {
    listing: BTreeMap<Stock, SymbolId>,
    midnight: UnixMicros,
    orders_max: usize,
    by_locate: BTreeMap<StockLocate, SymbolId>,
    orders: HashMap<OrderReference, Resting>,
    levels: BTreeMap<(SymbolId, Side, Price4), Sum>,
    counts: OrderBookCounts,
}

impl OrderBooks {
    /// Empty books of the stocks in `listing`; `midnight` is the exchange's, which its times count
    /// from; beyond `orders_max` resting orders no more are followed, and that is counted.
    #[must_use]
    pub fn new(
        listing: BTreeMap<Stock, SymbolId>,
        midnight: UnixMicros,
        orders_max: usize,
    ) -> Self {
        Self {
            listing,
            midnight,
            orders_max,
            by_locate: BTreeMap::new(),
            orders: HashMap::new(),
            levels: BTreeMap::new(),
            counts: OrderBookCounts::default(),
        }
    }

    /// What did not fit so far.
    #[must_use]
    pub fn counts(&self) -> OrderBookCounts {
        self.counts
    }

    /// Orders that rest.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.orders.len()
    }

    /// The best price of a side.
    #[must_use]
    pub fn best(&self, symbol: SymbolId, side: Side) -> Option<Price> {
        let all = (symbol, side, Price4(0))..=(symbol, side, Price4(u32::MAX));
        let mut levels = self.levels.range(all);
        let best = match side {
            Side::Buy => levels.next_back(),
            Side::Sell => levels.next(),
        };
        best.map(|((_, _, price), _)| core_price(*price))
    }

    /// Takes one message in and appends what it means. Messages about stocks that are not listed
    /// mean nothing.
    pub fn apply(&mut self, message: Message<'_>, events: &mut Vec<MarketEvent>) {
        match message {
            Message::StockDirectory(it) => {
                if let Some(symbol) = self.listing.get(&it.stock()) {
                    self.by_locate.insert(it.header().locate, *symbol);
                }
            }
            Message::AddOrder(it) => {
                let place = (it.side(), it.price(), it.shares().0);
                self.add(message, it.order(), place, events);
            }
            Message::AddOrderWithParticipant(it) => {
                let place = (it.side(), it.price(), it.shares().0);
                self.add(message, it.order(), place, events);
            }
            Message::OrderExecuted(it) => {
                if let Some(resting) = self.take(message, it.order(), Some(it.shares().0), events) {
                    let at = self.time(message);
                    let number = it.match_number();
                    let shares = it.shares().0;
                    events.push(traded(resting, resting.price, shares, number, at));
                }
            }
            Message::OrderExecutedWithPrice(it) => {
                let resting = self.take(message, it.order(), Some(it.shares().0), events);
                // What is not printable is reported by a cross as well: it must not count twice.
                if let (Some(resting), Printable::Yes) = (resting, it.printable()) {
                    let at = self.time(message);
                    let number = it.match_number();
                    events.push(traded(resting, it.price(), it.shares().0, number, at));
                }
            }
            Message::OrderCancel(it) => {
                self.take(message, it.order(), Some(it.shares().0), events);
            }
            Message::OrderDelete(it) => {
                self.take(message, it.order(), None, events);
            }
            Message::OrderReplace(it) => {
                if let Some(before) = self.take(message, it.original(), None, events) {
                    let place = (before.side, it.price(), it.shares().0);
                    self.rest(message, before.symbol, it.replacement(), place, events);
                }
            }
            Message::Trade(it) => {
                let number = it.match_number();
                self.off_book(
                    message,
                    it.price(),
                    u64::from(it.shares().0),
                    number,
                    events,
                );
            }
            Message::CrossTrade(it) if it.shares().0 > 0 => {
                self.off_book(
                    message,
                    it.price(),
                    it.shares().0,
                    it.match_number(),
                    events,
                );
            }
            _ => {}
        }
    }

    fn time(&self, message: Message<'_>) -> UnixMicros {
        let since_us = message.header().time.ns() / NANOSECONDS_PER_MICROSECOND;
        UnixMicros(self.midnight.0.saturating_add(since_us))
    }

    fn off_book(
        &self,
        message: Message<'_>,
        price: Price4,
        shares: u64,
        number: MatchNumber,
        events: &mut Vec<MarketEvent>,
    ) {
        if let Some(symbol) = self.by_locate.get(&message.header().locate) {
            events.push(MarketEvent::Trade(Trade {
                symbol: *symbol,
                trade: TradeId(number.0),
                price: core_price(price),
                quantity: Quantity(shares),
                at: self.time(message),
                aggressor: None,
            }));
        }
    }

    fn add(
        &mut self,
        message: Message<'_>,
        order: OrderReference,
        place: (Side, Price4, u32),
        events: &mut Vec<MarketEvent>,
    ) {
        if let Some(symbol) = self.by_locate.get(&message.header().locate) {
            self.rest(message, *symbol, order, place, events);
        }
    }

    fn rest(
        &mut self,
        message: Message<'_>,
        symbol: SymbolId,
        order: OrderReference,
        (side, price, shares): (Side, Price4, u32),
        events: &mut Vec<MarketEvent>,
    ) {
        if self.orders.contains_key(&order) {
            self.counts.doubled_orders += 1;
            self.take(message, order, None, events);
        }
        if self.orders.len() >= self.orders_max {
            self.counts.orders_refused += 1;
            return;
        }
        let resting = Resting {
            symbol,
            side,
            price,
            shares,
        };
        self.orders.insert(order, resting);
        let sum = self.levels.entry((symbol, side, price)).or_default();
        sum.shares += u64::from(shares);
        sum.orders += 1;
        events.push(told(resting, *sum));
    }

    /// Takes shares, or all of them, from an order; gives the order as it stood before.
    fn take(
        &mut self,
        message: Message<'_>,
        order: OrderReference,
        shares: Option<u32>,
        events: &mut Vec<MarketEvent>,
    ) -> Option<Resting> {
        let Some(resting) = self.orders.get_mut(&order) else {
            // Orders of stocks that are not listed are not followed, and no sign of a gap.
            if self.by_locate.contains_key(&message.header().locate) {
                self.counts.unknown_orders += 1;
            }
            return None;
        };
        let before = *resting;
        let asked = shares.unwrap_or(before.shares);
        if asked > before.shares {
            self.counts.too_many_shares += 1;
        }
        let taken = asked.min(before.shares);
        resting.shares -= taken;
        let gone = resting.shares == 0;
        if gone {
            self.orders.remove(&order);
        }
        let key = (before.symbol, before.side, before.price);
        // The level is there as long as one of its orders is.
        let sum = self.levels.entry(key).or_default();
        sum.shares = sum.shares.saturating_sub(u64::from(taken));
        sum.orders = sum.orders.saturating_sub(u32::from(gone));
        let now = *sum;
        if now.orders == 0 {
            self.levels.remove(&key);
        }
        events.push(told(before, now));
        Some(before)
    }
}

fn core_price(price: Price4) -> Price {
    // Both count ten-thousandths of the currency.
    Price(i64::from(price.0))
}

fn told(place: Resting, sum: Sum) -> MarketEvent {
    MarketEvent::Level {
        symbol: place.symbol,
        side: place.side,
        level: Level {
            price: core_price(place.price),
            quantity: Quantity(sum.shares),
            orders: sum.orders,
        },
    }
}

fn traded(
    resting: Resting,
    price: Price4,
    shares: u32,
    number: MatchNumber,
    at: UnixMicros,
) -> MarketEvent {
    MarketEvent::Trade(Trade {
        symbol: resting.symbol,
        trade: TradeId(number.0),
        price: core_price(price),
        quantity: Quantity(u64::from(shares.min(resting.shares))),
        at,
        aggressor: Some(resting.side.opposite()),
    })
}
