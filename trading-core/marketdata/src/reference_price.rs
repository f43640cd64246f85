//! From market data to the reference prices that the core's risk checks use.
//!
//! ```text
//!   last, best bid, best offer, previous close ─┐
//!   is the feed whole and fresh? ───────────────┼─► reference ─► changed enough? ─► rate ─► record
//!   time ───────────────────────────────────────┘
//! ```
//!
//! The reference is the last trade, or the previous close before the first one, brought between the
//! best bid and the best offer: a last trade outside them is old news. Pure: facts and times in,
//! [`ReferencePrice`]s out. Nothing is ever yielded for a symbol whose feed is stale or has a gap:
//! the core keeps the price that it has.

use crate::time::Monotonic;
use std::collections::{BTreeMap, BTreeSet};
use types::{Control, Price, SymbolId};

/// When a reference price is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerSettings {
    /// Smallest change that is told, in 1/100 % of the price told before.
    pub change_basis_points_min: u32,
    /// Shortest time between two prices of one symbol, in microseconds.
    pub symbol_interval_us: u64,
    /// Shortest time between any two prices, in microseconds: 1,000 allows 1,000 a second.
    pub record_interval_us: u64,
    /// A symbol whose facts were confirmed longer ago than this is not told, in microseconds.
    pub age_us_max: u64,
    /// Symbols; facts of others are counted and dropped.
    pub symbols_max: usize,
}

impl Default for TrackerSettings {
    fn default() -> Self {
        Self {
            change_basis_points_min: 10,
            symbol_interval_us: 1_000_000,
            record_interval_us: 1_000,
            age_us_max: 2_000_000,
            symbols_max: 8_192,
        }
    }
}

/// What the feed says of a symbol now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The last trade's price.
    pub last: Option<Price>,
    /// The best bid.
    pub bid: Option<Price>,
    /// The best offer.
    pub offer: Option<Price>,
    /// The last price of the trading day before.
    pub previous_close: Option<Price>,
}

/// Whether facts can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// The feed is whole and current.
    Whole,
    /// Packets are missing, or none has come for too long.
    Broken,
}

/// What a reference price rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Basis {
    /// The last trade.
    LastTrade,
    /// The previous close: there was no trade yet.
    PreviousClose,
    /// The best bid, which is above the last trade or close.
    BestBid,
    /// The best offer, which is below the last trade or close.
    BestOffer,
}

/// A reference price for the core: becomes a `SetReferencePrice` control record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferencePrice {
    /// The symbol.
    pub symbol: SymbolId,
    /// The price.
    pub price: Price,
    /// What it rests on.
    pub basis: Basis,
}

impl ReferencePrice {
    /// The record for the core's log.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::SetReferencePrice {
            symbol: self.symbol,
            reference: types::ReferencePrice::Market,
            price: self.price,
        }
    }
}

/// What a tracker counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerCounts {
    /// Prices told.
    pub told: u64,
    /// Facts of a broken feed, of which nothing is told.
    pub withheld: u64,
    /// Prices that were to be told and were too old when their turn came.
    pub aged: u64,
    /// Facts that make no price: crossed, or not above zero.
    pub unusable: u64,
    /// Facts dropped because as many symbols as allowed are followed.
    pub symbols_refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Symbol {
    candidate: Option<(Price, Basis)>,
    confirmed: Monotonic,
    told: Option<(Price, Monotonic)>,
}

/// Follows the symbols of one core.
#[derive(Clone, Debug)]
pub struct ReferencePriceTracker {
    settings: TrackerSettings,
    symbols: BTreeMap<SymbolId, Symbol>,
    /// Symbols with a price to tell, by when they may.
    pending: BTreeSet<(Monotonic, SymbolId)>,
    next_record: Monotonic,
    counts: TrackerCounts,
}

impl ReferencePriceTracker {
    /// A tracker that knows nothing.
    #[must_use]
    pub fn new(settings: TrackerSettings) -> Self {
        Self {
            settings,
            symbols: BTreeMap::new(),
            pending: BTreeSet::new(),
            next_record: Monotonic::default(),
            counts: TrackerCounts::default(),
        }
    }

    /// What it counted.
    #[must_use]
    pub fn counts(&self) -> TrackerCounts {
        self.counts
    }

    /// Takes what the feed says of a symbol at `now`. Of a broken feed the facts are not looked at,
    /// and what was to be told of the symbol is dropped.
    pub fn observe(&mut self, id: SymbolId, facts: Facts, feed: FeedState, now: Monotonic) {
        if !self.symbols.contains_key(&id) && self.symbols.len() >= self.settings.symbols_max {
            self.counts.symbols_refused += 1;
            return;
        }
        let symbol = self.symbols.entry(id).or_default();
        if let Some(due) = self.settings.due(symbol) {
            self.pending.remove(&(due, id));
        }
        symbol.candidate = None;
        if feed == FeedState::Broken {
            self.counts.withheld += 1;
            return;
        }
        match reference(facts) {
            Ok(reference) => {
                symbol.candidate = reference;
                symbol.confirmed = now;
            }
            Err(Unusable) => self.counts.unusable += 1,
        }
        if let Some(due) = self.settings.due(symbol) {
            self.pending.insert((due, id));
        }
    }

    /// Notes that a symbol's facts still hold: its feed is whole and said nothing new.
    pub fn confirm(&mut self, id: SymbolId, now: Monotonic) {
        if let Some(symbol) = self.symbols.get_mut(&id)
            && symbol.candidate.is_some()
        {
            symbol.confirmed = now;
        }
    }

    /// The symbol whose turn it is at `now`: whoever knows that its feed is still whole confirms it
    /// before asking for the record.
    #[must_use]
    pub fn next_symbol(&self, now: Monotonic) -> Option<SymbolId> {
        let first = self.pending.first().filter(|(due, _)| *due <= now);
        first.map(|(_, id)| *id).filter(|_| now >= self.next_record)
    }

    /// The feed broke as a whole: nothing is told until facts come again.
    pub fn feed_broke(&mut self) {
        self.counts.withheld += self.pending.len() as u64;
        self.pending.clear();
        for symbol in self.symbols.values_mut() {
            symbol.candidate = None;
        }
    }

    /// The next price that may be told at `now`; call again until there is none.
    pub fn next_record(&mut self, now: Monotonic) -> Option<ReferencePrice> {
        while now >= self.next_record {
            let (due, id) = *self.pending.first()?;
            if due > now {
                return None;
            }
            self.pending.pop_first();
            let symbol = self.symbols.get_mut(&id)?;
            let Some((price, basis)) = symbol.candidate else {
                continue;
            };
            if now.since_us(symbol.confirmed) > self.settings.age_us_max {
                self.counts.aged += 1;
                symbol.candidate = None;
                continue;
            }
            symbol.told = Some((price, now));
            self.next_record = now.after_us(self.settings.record_interval_us);
            self.counts.told += 1;
            return Some(ReferencePrice {
                symbol: id,
                price,
                basis,
            });
        }
        None
    }
}

impl TrackerSettings {
    /// When a symbol's price may be told; none when it has none or it is near the one told before.
    fn due(&self, symbol: &Symbol) -> Option<Monotonic> {
        let (price, _) = symbol.candidate?;
        let Some((told, at)) = symbol.told else {
            return Some(Monotonic::default());
        };
        // In 128 bits no product of the two overflows.
        let change = i128::from(price.0).abs_diff(i128::from(told.0));
        let least = u128::from(told.0.unsigned_abs()) * u128::from(self.change_basis_points_min);
        let enough = change > 0 && change * 10_000 >= least;
        enough.then(|| at.after_us(self.symbol_interval_us))
    }
}

/// Facts that contradict each other.
struct Unusable;

fn reference(facts: Facts) -> Result<Option<(Price, Basis)>, Unusable> {
    let all = [facts.last, facts.bid, facts.offer, facts.previous_close];
    if all.into_iter().flatten().any(|price| price.0 <= 0) {
        return Err(Unusable);
    }
    if let (Some(bid), Some(offer)) = (facts.bid, facts.offer)
        && bid > offer
    {
        return Err(Unusable);
    }
    let last = facts.last.map(|price| (price, Basis::LastTrade));
    let close = facts.previous_close;
    let from = last.or(close.map(|price| (price, Basis::PreviousClose)));
    Ok(from.map(|(price, basis)| match (facts.bid, facts.offer) {
        (Some(bid), _) if bid > price => (bid, Basis::BestBid),
        (_, Some(offer)) if offer < price => (offer, Basis::BestOffer),
        _ => (price, basis),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOL: SymbolId = SymbolId(600_000);

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_us(ms * 1_000)
    }

    fn tracker() -> ReferencePriceTracker {
        ReferencePriceTracker::new(TrackerSettings::default())
    }

    fn last(price: i64) -> Facts {
        Facts {
            last: Some(Price(price)),
            ..Facts::default()
        }
    }

    fn told(tracker: &mut ReferencePriceTracker, ms: u64) -> Vec<(i64, Basis)> {
        std::iter::from_fn(|| tracker.next_record(at(ms)))
            .map(|record| (record.price.0, record.basis))
            .collect()
    }

    #[test]
    fn the_last_trade_is_brought_between_bid_and_offer() {
        let facts = |last, bid, offer, close| Facts {
            last: Some(last).filter(|it| *it > 0).map(Price),
            bid: Some(bid).filter(|it| *it > 0).map(Price),
            offer: Some(offer).filter(|it| *it > 0).map(Price),
            previous_close: Some(close).filter(|it| *it > 0).map(Price),
        };
        for (given, expected) in [
            (facts(100, 99, 101, 50), Some((100, Basis::LastTrade))),
            (facts(100, 101, 102, 50), Some((101, Basis::BestBid))),
            (facts(100, 97, 98, 50), Some((98, Basis::BestOffer))),
            (facts(0, 0, 0, 50), Some((50, Basis::PreviousClose))),
            (facts(0, 60, 0, 50), Some((60, Basis::BestBid))),
            // A quote alone is no reference: one order would make it.
            (facts(0, 99, 101, 0), None),
            (facts(0, 0, 0, 0), None),
        ] {
            let found = reference(given).ok().flatten();
            assert_eq!(
                found.map(|(price, basis)| (price.0, basis)),
                expected,
                "{given:?}"
            );
        }
    }

    #[test]
    fn a_crossed_market_or_a_price_of_nothing_makes_no_reference() {
        let mut tracker = tracker();
        let crossed = Facts {
            bid: Some(Price(102)),
            offer: Some(Price(101)),
            ..last(100)
        };
        tracker.observe(SYMBOL, crossed, FeedState::Whole, at(0));
        tracker.observe(SYMBOL, last(0), FeedState::Whole, at(0));
        assert_eq!(told(&mut tracker, 0), []);
        assert_eq!(tracker.counts().unusable, 2);
    }

    #[test]
    fn only_a_change_that_is_large_enough_is_told() {
        let mut tracker = tracker();
        tracker.observe(SYMBOL, last(100_000), FeedState::Whole, at(0));
        assert_eq!(told(&mut tracker, 0), [(100_000, Basis::LastTrade)]);
        tracker.observe(SYMBOL, last(100_099), FeedState::Whole, at(5_000));
        assert_eq!(told(&mut tracker, 5_000), []);
        tracker.observe(SYMBOL, last(100_100), FeedState::Whole, at(5_001));
        assert_eq!(told(&mut tracker, 5_001), [(100_100, Basis::LastTrade)]);
    }

    #[test]
    fn a_symbol_waits_for_its_interval_and_then_tells_the_newest_price() {
        let mut tracker = tracker();
        tracker.observe(SYMBOL, last(100_000), FeedState::Whole, at(0));
        assert_eq!(told(&mut tracker, 0).len(), 1);
        tracker.observe(SYMBOL, last(101_000), FeedState::Whole, at(10));
        tracker.observe(SYMBOL, last(102_000), FeedState::Whole, at(20));
        assert_eq!(told(&mut tracker, 999), []);
        assert_eq!(told(&mut tracker, 1_000), [(102_000, Basis::LastTrade)]);
    }

    #[test]
    fn a_change_that_went_back_before_its_turn_is_not_told() {
        let mut tracker = tracker();
        tracker.observe(SYMBOL, last(100_000), FeedState::Whole, at(0));
        told(&mut tracker, 0);
        tracker.observe(SYMBOL, last(110_000), FeedState::Whole, at(10));
        tracker.observe(SYMBOL, last(100_000), FeedState::Whole, at(20));
        assert_eq!(told(&mut tracker, 2_000), []);
    }

    #[test]
    fn a_broken_feed_tells_nothing_and_takes_back_what_waited() {
        let mut tracker = tracker();
        tracker.observe(SYMBOL, last(100_000), FeedState::Broken, at(0));
        assert_eq!(told(&mut tracker, 0), []);
        tracker.observe(SYMBOL, last(100_000), FeedState::Whole, at(1));
        tracker.observe(SYMBOL, Facts::default(), FeedState::Broken, at(2));
        assert_eq!(told(&mut tracker, 3), []);
        tracker.observe(SYMBOL, last(100_000), FeedState::Whole, at(4));
        tracker.feed_broke();
        assert_eq!(told(&mut tracker, 5), []);
        assert_eq!(tracker.counts().withheld, 3);
        tracker.observe(SYMBOL, last(100_000), FeedState::Whole, at(6));
        assert_eq!(told(&mut tracker, 6), [(100_000, Basis::LastTrade)]);
    }

    #[test]
    fn a_price_that_nobody_confirmed_is_too_old_when_its_turn_comes() {
        for (confirmed, expected) in [(false, 0), (true, 1)] {
            let mut tracker = tracker();
            tracker.observe(SYMBOL, last(100_000), FeedState::Whole, at(0));
            if confirmed {
                tracker.confirm(SYMBOL, at(1_500));
            }
            assert_eq!(told(&mut tracker, 2_001).len(), expected);
            assert_eq!(tracker.counts().aged, 1 - expected as u64);
        }
    }

    #[test]
    fn all_symbols_together_keep_to_the_rate() {
        let mut tracker = tracker();
        for id in 0..50 {
            tracker.observe(SymbolId(id), last(100_000), FeedState::Whole, at(0));
        }
        let by_time: Vec<_> = (0..10).map(|ms| told(&mut tracker, ms).len()).collect();
        assert_eq!(by_time, [1; 10]);
    }

    #[test]
    fn symbols_beyond_the_bound_are_counted() {
        let mut tracker = ReferencePriceTracker::new(TrackerSettings {
            symbols_max: 1,
            ..TrackerSettings::default()
        });
        for id in 1..=3 {
            tracker.observe(SymbolId(id), last(100), FeedState::Whole, at(0));
        }
        assert_eq!(tracker.counts().symbols_refused, 2);
    }
}
