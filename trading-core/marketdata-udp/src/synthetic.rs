//! A market from a seed, where there is no core yet: for trying a feed and for tests.

use marketdata::{Level, MarketEvent, MarketSource, Trade};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use types::{Epoch, Price, Quantity, Side, SymbolId, TradeId};

use crate::clock::Clock;

const FIRST_SYMBOL: u32 = 600_000;
const CENT: i64 = Price::PER_YUAN / 100;

/// Levels come and go around a price of their symbol's own; one event in ten is a trade.
#[derive(Clone, Debug)]
pub struct SyntheticMarket {
    random: ChaCha8Rng,
    epoch: Epoch,
    symbols: u32,
    opening: VecDeque<MarketEvent>,
    trades: u64,
}

impl SyntheticMarket {
    /// A market of `symbols` symbols, at least one, from 600000 on.
    #[must_use]
    pub fn new(seed: u64, symbols: u32, epoch: Epoch) -> Self {
        let symbols = symbols.max(1);
        let closes = (0..symbols).map(|place| MarketEvent::PreviousClose {
            symbol: SymbolId(FIRST_SYMBOL + place),
            price: middle(place),
        });
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            epoch,
            symbols,
            opening: closes.collect(),
            trades: 0,
        }
    }

    fn event(&mut self) -> MarketEvent {
        let place = self.random.random_range(0..self.symbols);
        let symbol = SymbolId(FIRST_SYMBOL + place);
        let away = CENT * self.random.random_range(1..=20_i64);
        let (side, price) = if self.random.random() {
            (Side::Buy, Price(middle(place).0 - away))
        } else {
            (Side::Sell, Price(middle(place).0 + away))
        };
        if self.random.random_range(0..10) == 0 {
            self.trades += 1;
            return MarketEvent::Trade(Trade {
                symbol,
                trade: TradeId(self.trades),
                price,
                quantity: Quantity(100),
                at: Clock::wall(),
                aggressor: Some(side.opposite()),
            });
        }
        let orders = self.random.random_range(0_u32..5);
        MarketEvent::Level {
            symbol,
            side,
            level: Level {
                price,
                quantity: Quantity(u64::from(orders) * 100),
                orders,
            },
        }
    }
}

fn middle(place: u32) -> Price {
    Price(Price::PER_YUAN * i64::from(10 + place % 90))
}

impl MarketSource for SyntheticMarket {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn take(&mut self, events_max: usize, events: &mut Vec<MarketEvent>) {
        for _ in 0..events_max {
            let event = self.opening.pop_front().unwrap_or_else(|| self.event());
            events.push(event);
        }
    }
}
