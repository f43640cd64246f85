//! A listed symbol: its rules, its phase, its book, and what its market did last.

use crate::held::Held;
use crate::market_day::MarketDay;
use crate::prefetch::prefetch;
use book::{AuctionRule, Band, Book, FastBook, NaiveBook, StopBook, TieBreak};
use rules::TieRule;
use std::fmt::Debug;
use types::{Exchange, OrderId, Phase, Price, Side, SymbolDefinition};

/// A book that the engine can run: it is made for a symbol, and told when the symbol changes.
pub trait MarketBook: Book + Clone + Debug {
    /// An empty book for a symbol.
    fn for_symbol(definition: &SymbolDefinition) -> Self;

    /// The symbol's rules are others now; what rests stays as it is.
    fn symbol_changed(&mut self, _definition: &SymbolDefinition) {}

    /// Asks for the memory at which a look-up of an order begins.
    #[inline]
    fn prefetch_look_up(&self, _order: OrderId) {}

    /// Asks for the memory in which an order stands; where a look-up begins should be at hand.
    #[inline]
    fn prefetch_order(&self, _order: OrderId) {}

    /// The order that one at this price would trade with first, if it is known without effort.
    #[inline]
    fn first_met(&self, _side: Side, _price: Price) -> Option<OrderId> {
        None
    }
}

impl MarketBook for FastBook {
    fn for_symbol(definition: &SymbolDefinition) -> Self {
        Self::with_band(band(definition))
    }

    fn symbol_changed(&mut self, definition: &SymbolDefinition) {
        self.set_band(Some(band(definition)));
    }

    #[inline]
    fn prefetch_look_up(&self, order: OrderId) {
        if let Some(head) = self.looked_up_at(order) {
            prefetch(head);
        }
    }

    #[inline]
    fn prefetch_order(&self, order: OrderId) {
        if let Some(node) = self.stands_at(order) {
            prefetch(node);
        }
    }

    #[inline]
    fn first_met(&self, side: Side, price: Price) -> Option<OrderId> {
        let other = side.opposite();
        let best = self.best(other)?;
        let meets = match side {
            Side::Buy => best <= price,
            Side::Sell => best >= price,
        };
        if meets { self.first_of(other) } else { None }
    }
}

fn band(definition: &SymbolDefinition) -> Band {
    Band {
        low: definition.limit_down,
        high: definition.limit_up,
        tick: definition.tick,
    }
}

impl MarketBook for NaiveBook {
    fn for_symbol(_: &SymbolDefinition) -> Self {
        Self::default()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Listing<B> {
    pub definition: SymbolDefinition,
    pub phase: Phase,
    pub book: B,
    pub stops: StopBook,
    /// The price of the last trade.
    pub last: Option<Price>,
    pub previous_close: Option<Price>,
    /// The last price of the market outside, as a feed tells it.
    pub market: Option<Price>,
    /// No limits of the new day have come since a day was settled.
    pub awaits_limits: bool,
    pub today: MarketDay,
    pub held: Held,
    /// Orders at the closing price, while its phase lasts.
    pub at_close: Option<Box<B>>,
}

impl<B: MarketBook> Listing<B> {
    pub(crate) fn new(definition: SymbolDefinition, phase: Phase) -> Self {
        Self {
            definition,
            phase,
            book: B::for_symbol(&definition),
            stops: StopBook::default(),
            last: None,
            previous_close: None,
            market: None,
            awaits_limits: false,
            today: MarketDay::default(),
            held: Held::default(),
            at_close: None,
        }
    }

    /// The phase as orders meet it: a suspended symbol gathers them as a call does.
    #[inline]
    pub(crate) fn acts_as(&self) -> Phase {
        if self.today.suspended.is_some() {
            Phase::OpeningCall
        } else {
            self.phase
        }
    }

    /// Where an order goes that comes now.
    #[inline]
    pub(crate) fn book_now(&mut self) -> &mut B {
        if self.phase == Phase::AfterHours {
            self.queue_at_close()
        } else {
            &mut self.book
        }
    }

    #[inline(never)]
    fn queue_at_close(&mut self) -> &mut B {
        let definition = &self.definition;
        (self.at_close).get_or_insert_with(|| Box::new(B::for_symbol(definition)))
    }

    /// The worst price inside the day's limits: what a market order goes up or down to.
    pub(crate) fn worst_price(&self, side: Side) -> Price {
        match side {
            Side::Buy => self.definition.limit_up,
            Side::Sell => self.definition.limit_down,
        }
    }

    /// How a call auction that ends in this phase finds its price: by the rules, or without any by
    /// the custom of the exchange.
    pub(crate) fn auction_rule(&self, ending: Phase, tie: Option<TieRule>) -> AuctionRule {
        let custom = match self.definition.board.exchange() {
            Exchange::Shanghai | Exchange::Beijing => TieRule::Middle,
            Exchange::Shenzhen => TieRule::Nearest,
        };
        let tie = match tie.unwrap_or(custom) {
            TieRule::Middle => TieBreak::Middle,
            TieRule::Nearest => {
                let known = match ending {
                    Phase::ClosingCall => self.last.or(self.previous_close),
                    _ => self.previous_close.or(self.last),
                };
                let between =
                    i64::midpoint(self.definition.limit_down.0, self.definition.limit_up.0);
                // Without any price known, the middle of the day's limits is the close before.
                TieBreak::Nearest {
                    reference: known.unwrap_or(Price(between)),
                }
            }
        };
        AuctionRule {
            tick: self.definition.tick,
            tie,
        }
    }
}
