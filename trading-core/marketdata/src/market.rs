//! What happens in a market, in the words of the core: the one language between feeds in, books,
//! and feeds out.

use types::{Epoch, Price, Quantity, Side, SymbolId, TradeId, UnixMicros};

/// One price of one side of a book, with all that rests there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// Shares that rest there; none means that the level is gone.
    pub quantity: Quantity,
    /// Orders that rest there.
    pub orders: u32,
}

/// Shares changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// What was traded.
    pub symbol: SymbolId,
    /// The trade's number.
    pub trade: TradeId,
    /// At what price.
    pub price: Price,
    /// How many shares.
    pub quantity: Quantity,
    /// When.
    pub at: UnixMicros,
    /// The side that came in; none where nobody says, such as in an auction.
    pub aggressor: Option<Side>,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketEvent {
    /// A level stands as told now, whatever it was before.
    Level {
        /// The symbol.
        symbol: SymbolId,
        /// The side.
        side: Side,
        /// The level as it stands.
        level: Level,
    },
    /// A trade.
    Trade(Trade),
    /// The last price of the trading day before.
    PreviousClose {
        /// The symbol.
        symbol: SymbolId,
        /// The price.
        price: Price,
    },
}

impl MarketEvent {
    /// Which symbol it is about.
    #[must_use]
    pub fn symbol(&self) -> SymbolId {
        match self {
            Self::Level { symbol, .. } | Self::PreviousClose { symbol, .. } => *symbol,
            Self::Trade(trade) => trade.symbol,
        }
    }
}

/// Where market events come from: the committed events of a core, an exchange's feed, a generator.
///
/// A source yields only what is committed, in its order, and each event once.
pub trait MarketSource {
    /// The epoch in which what [`MarketSource::take`] yields next was committed.
    fn epoch(&self) -> Epoch;

    /// Appends at most `events_max` events; fewer when no more are there now.
    fn take(&mut self, events_max: usize, events: &mut Vec<MarketEvent>);
}
