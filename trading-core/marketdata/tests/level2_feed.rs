//! A publisher and a receiver over bad networks: the book is right, or it is said not to be.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test"
)]

use marketdata::level2::wire::{Body, Update};
use marketdata::level2::{
    Effect, Freshness, Group, Ladder, Line, Publisher, PublisherSettings, Receiver,
    ReceiverSettings, Sequence, Stale, Stream, wire,
};
use marketdata::{Damage, Impairment, Level, MarketEvent, Monotonic, Trade};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use types::{Epoch, Price, Quantity, Side, SymbolId, TradeId, UnixMicros};

const SYMBOLS: u32 = 4;
const STEP_US: u64 = 5_000;

fn stream(epoch: u64) -> Stream {
    Stream {
        epoch: Epoch(epoch),
        started: UnixMicros(1_000 + epoch),
    }
}

fn at(us: u64) -> Monotonic {
    Monotonic::from_us(us)
}

fn level(symbol: u32, side: Side, price: i64, quantity: u64) -> MarketEvent {
    MarketEvent::Level {
        symbol: SymbolId(symbol),
        side,
        level: Level {
            price: Price(price),
            quantity: Quantity(quantity),
            orders: u32::from(quantity > 0),
        },
    }
}

fn trade(symbol: u32, number: u64) -> MarketEvent {
    MarketEvent::Trade(Trade {
        symbol: SymbolId(symbol),
        trade: TradeId(number),
        price: Price(100),
        quantity: Quantity(5),
        at: UnixMicros(7),
        aggressor: Some(Side::Buy),
    })
}

/// A market from a seed.
struct Market {
    random: ChaCha8Rng,
    trades: u64,
}

impl Market {
    fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            trades: 0,
        }
    }

    fn event(&mut self) -> MarketEvent {
        let symbol = self.random.random_range(1..=SYMBOLS);
        if self.random.random_range(0..4) == 0 {
            self.trades += 1;
            return trade(symbol, self.trades);
        }
        let (side, price) = if self.random.random() {
            (Side::Buy, self.random.random_range(60..100))
        } else {
            (Side::Sell, self.random.random_range(101..140))
        };
        let quantity = self.random.random_range(0_u64..4);
        level(symbol, side, price, quantity)
    }
}

/// Publisher and receiver, and all that the publisher ever showed.
struct Feed {
    publisher: Publisher,
    receiver: Receiver,
    effects: Vec<Effect>,
    shown: BTreeMap<(Stream, u64, SymbolId), Ladder>,
    now_us: u64,
}

impl Feed {
    fn new() -> Self {
        let settings = PublisherSettings {
            depth: 5,
            snapshot_interval_us: 200_000,
            heartbeat_interval_us: 50_000,
            ..PublisherSettings::default()
        };
        Self {
            publisher: Publisher::new(settings, stream(1)).unwrap(),
            receiver: Receiver::new(ReceiverSettings::default()),
            effects: Vec::new(),
            shown: BTreeMap::new(),
            now_us: 0,
        }
    }

    fn offer(&mut self, event: MarketEvent) {
        self.publisher.offer(&event, at(self.now_us)).unwrap();
    }

    /// What is to be sent, each packet as the publisher made it.
    fn poll(&mut self) -> Vec<(Group, Vec<u8>)> {
        let mut out = Vec::new();
        let wall = UnixMicros(1_000_000 + self.now_us);
        self.publisher.poll(at(self.now_us), wall, &mut out);
        for datagram in &out {
            self.note(&datagram.bytes);
        }
        out.into_iter().map(|it| (it.group, it.bytes)).collect()
    }

    /// Notes what a receiver that has every packet shows behind this one: an oracle of its own, which
    /// shares nothing with the receiver but the decoder and the ladder.
    fn note(&mut self, bytes: &[u8]) {
        let packet = wire::decode(bytes).unwrap();
        let (stream, number) = (packet.header.stream, packet.header.sequence.0);
        let Body::Incremental(updates) = packet.body else {
            return;
        };
        for id in 1..=SYMBOLS {
            let before = self.shown.get(&(stream, number - 1, SymbolId(id))).cloned();
            if let Some(before) = before {
                self.shown.insert((stream, number, SymbolId(id)), before);
            }
        }
        for update in updates {
            match update {
                Update::Image { symbol, ladder } => {
                    self.shown.insert((stream, number, symbol), ladder);
                }
                Update::Changes { symbol, changes } => {
                    let ladder = self.shown.get_mut(&(stream, number, symbol)).unwrap();
                    ladder.apply(&changes).unwrap();
                }
                Update::Trade(_) | Update::PreviousClose { .. } => {}
            }
        }
    }

    fn deliver(&mut self, line: Line, bytes: &[u8]) {
        self.receiver
            .receive(line, bytes, at(self.now_us), &mut self.effects)
            .unwrap();
        self.check();
    }

    fn tick(&mut self) {
        self.receiver.tick(at(self.now_us), &mut self.effects);
        self.check();
    }

    /// The invariant: whatever is called good is what the publisher had there.
    fn check(&self) {
        let Some(stream) = self.receiver.stream() else {
            return;
        };
        for id in self.receiver.symbols() {
            let view = self.receiver.view(id).unwrap();
            if let Freshness::Stale(_) = view.freshness {
                continue;
            }
            let expected = self.shown.get(&(stream, view.as_of.0, id));
            assert_eq!(
                Some(view.ladder),
                expected,
                "symbol {id} {view:?} at {} µs",
                self.now_us
            );
        }
    }

    fn all_good(&self) -> bool {
        (1..=SYMBOLS).map(SymbolId).all(|id| {
            let view = self.receiver.view(id);
            let published = self.publisher.published(id);
            match (view, published) {
                (Some(view), Some(published)) => {
                    view.freshness == Freshness::Good && view.ladder == published
                }
                (None, None) => true,
                _ => false,
            }
        })
    }

    fn step(&mut self) {
        self.now_us += STEP_US;
    }
}

/// A feed on a perfect line with one symbol that is good.
fn feed_with_one_symbol() -> Feed {
    let mut feed = Feed::new();
    feed.offer(level(1, Side::Buy, 100, 5));
    deliver_all(&mut feed);
    assert_eq!(
        feed.receiver.view(SymbolId(1)).unwrap().freshness,
        Freshness::Good
    );
    feed
}

fn deliver_all(feed: &mut Feed) {
    for (_, bytes) in feed.poll() {
        feed.deliver(Line::A, &bytes);
    }
}

fn incremental(feed: &mut Feed) -> Vec<Vec<u8>> {
    let sent = feed.poll().into_iter();
    sent.filter(|(group, _)| *group == Group::Incremental)
        .map(|(_, bytes)| bytes)
        .collect()
}

#[test]
fn the_second_line_fills_what_the_first_lost() {
    let mut feed = feed_with_one_symbol();
    for quantity in [6, 7] {
        feed.now_us += 100_000;
        feed.offer(level(1, Side::Buy, 100, quantity));
        for bytes in incremental(&mut feed) {
            let line = if quantity == 6 { Line::B } else { Line::A };
            feed.deliver(line, &bytes);
        }
    }
    assert!(feed.all_good());
    assert_eq!(feed.receiver.counts().gaps, 0);
    assert_eq!(feed.receiver.counts().first_by[1], 1);
}

#[test]
fn a_hole_that_stays_makes_the_book_stale_and_a_snapshot_makes_it_good() {
    let mut feed = feed_with_one_symbol();
    feed.now_us += 100_000;
    feed.offer(level(1, Side::Buy, 100, 6));
    drop(incremental(&mut feed));
    feed.now_us += 100_000;
    feed.offer(level(1, Side::Buy, 100, 7));
    for bytes in incremental(&mut feed) {
        feed.deliver(Line::A, &bytes);
    }
    let freshness = |feed: &Feed| feed.receiver.view(SymbolId(1)).unwrap().freshness;
    assert_eq!(freshness(&feed), Freshness::Behind);
    feed.now_us += 20_000;
    feed.tick();
    assert_eq!(freshness(&feed), Freshness::Stale(Stale::Gap));
    assert_eq!(feed.receiver.counts().packets_lost, 1);
    feed.now_us += 200_000;
    deliver_all(&mut feed);
    assert_eq!(freshness(&feed), Freshness::Good);
    assert!(feed.all_good());
    assert_eq!(feed.receiver.counts().recoveries, 1);
}

#[test]
fn a_heartbeat_tells_of_a_packet_lost_at_the_end() {
    let mut feed = feed_with_one_symbol();
    feed.now_us += 100_000;
    feed.offer(level(1, Side::Buy, 100, 6));
    drop(incremental(&mut feed));
    feed.now_us += 60_000;
    deliver_all(&mut feed);
    feed.now_us += 20_000;
    feed.tick();
    let gap = Effect::Gap {
        first: Sequence(2),
        last: Sequence(2),
    };
    assert!(feed.effects.contains(&gap), "{:?}", feed.effects);
}

#[test]
fn a_stale_epoch_is_refused() {
    let mut feed = feed_with_one_symbol();
    let mut deposed = feed.publisher.clone();
    feed.now_us += 100_000;
    feed.publisher.begin(stream(2), at(feed.now_us)).unwrap();
    deliver_all(&mut feed);
    deposed
        .offer(&level(1, Side::Buy, 100, 999), at(feed.now_us))
        .unwrap();
    let mut out = Vec::new();
    deposed.poll(at(feed.now_us), UnixMicros(u64::MAX), &mut out);
    assert!(!out.is_empty());
    for datagram in &out {
        feed.deliver(Line::B, &datagram.bytes);
    }
    assert_eq!(feed.receiver.counts().stale_stream, out.len() as u64);
    assert_eq!(feed.receiver.stream(), Some(stream(2)));
    assert!(feed.all_good());
}

#[test]
fn a_trade_that_an_earlier_stream_told_is_not_told_again() {
    let mut feed = feed_with_one_symbol();
    for number in 1..=3 {
        feed.offer(trade(1, number));
    }
    deliver_all(&mut feed);
    // Another publisher, which does not know that two of its three were sent.
    let settings = PublisherSettings::default();
    feed.publisher = Publisher::new(settings, stream(2)).unwrap();
    for number in 2..=4 {
        feed.offer(trade(1, number));
    }
    deliver_all(&mut feed);
    let told = feed.effects.iter().filter_map(|effect| match effect {
        Effect::Traded(trade) => Some(trade.trade.0),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<u64>>(), [1, 2, 3, 4]);
    let counts = feed.receiver.counts();
    assert_eq!((counts.trades_repeated, counts.trades_lost), (2, 0));
}

#[test]
fn a_publisher_that_starts_again_in_its_epoch_is_not_taken_for_its_former_self() {
    let mut feed = feed_with_one_symbol();
    let started = UnixMicros(9_999);
    let again = Stream {
        started,
        ..stream(1)
    };
    feed.publisher.begin(again, at(feed.now_us)).unwrap();
    feed.offer(level(1, Side::Buy, 100, 8));
    deliver_all(&mut feed);
    assert_eq!(feed.receiver.counts().duplicates, 0);
    assert!(feed.all_good());
}

#[test]
fn silence_makes_all_books_stale_until_something_new_comes() {
    let mut feed = feed_with_one_symbol();
    feed.now_us += 50_000;
    let heartbeat = incremental(&mut feed).remove(0);
    feed.deliver(Line::A, &heartbeat);
    feed.now_us += 1_000_000;
    feed.tick();
    let freshness = |feed: &Feed| feed.receiver.view(SymbolId(1)).unwrap().freshness;
    assert_eq!(freshness(&feed), Freshness::Stale(Stale::Silent));
    // The other line's copy of what is known says nothing about now.
    feed.deliver(Line::B, &heartbeat);
    assert_eq!(freshness(&feed), Freshness::Stale(Stale::Silent));
    deliver_all(&mut feed);
    assert_eq!(freshness(&feed), Freshness::Good);
}

#[test]
fn one_who_joins_late_shows_nothing_before_a_snapshot() {
    let mut feed = feed_with_one_symbol();
    feed.receiver = Receiver::new(ReceiverSettings::default());
    feed.now_us += 100_000;
    feed.offer(level(1, Side::Sell, 105, 5));
    for bytes in incremental(&mut feed) {
        feed.deliver(Line::A, &bytes);
    }
    let view = feed.receiver.view(SymbolId(1)).unwrap();
    assert_eq!(view.freshness, Freshness::Stale(Stale::NeverWhole));
    feed.now_us += 100_000;
    deliver_all(&mut feed);
    assert!(feed.all_good());
    assert_eq!(feed.receiver.counts().recoveries, 0);
}

#[test]
fn a_ladder_goes_out_once_an_interval_as_it_stands_then_and_each_trade_at_once() {
    let mut feed = feed_with_one_symbol();
    let (mut ladders, mut trades) = (0, Vec::new());
    for step in 1..=100_u64 {
        feed.now_us = step * 10_000;
        feed.offer(level(1, Side::Buy, 100, step));
        feed.offer(trade(1, step));
        for (_, bytes) in feed.poll() {
            if let Body::Incremental(updates) = wire::decode(&bytes).unwrap().body {
                for update in updates {
                    match update {
                        Update::Trade(it) => trades.push((it.ordinal, step)),
                        _ => ladders += 1,
                    }
                }
            }
            feed.deliver(Line::A, &bytes);
        }
    }
    assert_eq!(trades, (1..=100).map(|it| (it, it)).collect::<Vec<_>>());
    assert_eq!(ladders, 10, "one second, every 100 ms");
    let view = feed.receiver.view(SymbolId(1)).unwrap();
    assert_eq!(view.ladder.side(Side::Buy)[0].quantity, Quantity(100));
}

#[test]
fn what_does_not_fit_is_refused_and_counted() {
    let settings = PublisherSettings {
        trades_waiting_max: 2,
        symbols_max: 1,
        ..PublisherSettings::default()
    };
    let mut publisher = Publisher::new(settings, stream(1)).unwrap();
    for number in 1..=2 {
        publisher.offer(&trade(1, number), at(0)).unwrap();
    }
    let full = publisher.offer(&trade(1, 3), at(0)).unwrap_err();
    assert!(full.to_string().starts_with("2 trades wait"), "{full}");
    assert!(publisher.offer(&trade(2, 1), at(0)).is_err());
    assert_eq!(publisher.counts().refused, 2);
    publisher.poll(at(0), UnixMicros(1), &mut Vec::new());
    publisher.offer(&trade(1, 3), at(0)).unwrap();
}

fn any_damage() -> impl Strategy<Value = Damage> {
    (
        0_u64..30_000,
        0_u64..30_000,
        0_u32..400_000,
        0_u32..300_000,
        0_u32..200_000,
        0_u64..400_000,
    )
        .prop_map(
            |(delay_us, jitter_us, lost_ppm, doubled_ppm, held_ppm, held_us)| Damage {
                delay_us,
                jitter_us,
                lost_ppm,
                doubled_ppm,
                held_ppm,
                held_us,
            },
        )
}

/// A run over two lines; both groups of a line share its network.
fn run(seed: u64, damage: Damage, epochs: u64) -> Result<Feed, TestCaseError> {
    let mut feed = Feed::new();
    let mut market = Market::new(seed);
    let mut lines = [seed ^ 1, seed ^ 2].map(|it| Impairment::new(it, damage, 10_000).unwrap());
    let steps = 400;
    for step in 0..2 * steps {
        feed.step();
        let now = at(feed.now_us);
        if step < steps {
            for _ in 0..market.random.random_range(0..6) {
                let event = market.event();
                feed.offer(event);
            }
            if epochs > 1 && step % (steps / epochs) == steps / epochs - 1 {
                let epoch = feed.publisher.stream().epoch.0 + 1;
                feed.publisher.begin(stream(epoch), now).unwrap();
            }
        } else {
            // The faults end: from here on it must become right by itself.
            for line in &mut lines {
                line.set(Damage::default()).unwrap();
            }
        }
        let sent = feed.poll();
        for (line, network) in [Line::A, Line::B].into_iter().zip(&mut lines) {
            for (_, bytes) in &sent {
                network.offer(bytes.clone(), now);
            }
            while let Some(bytes) = network.due(now) {
                feed.deliver(line, &bytes);
            }
        }
        feed.tick();
    }
    prop_assert!(feed.all_good(), "{:?}", feed.receiver.counts());
    let counts = feed.receiver.counts();
    prop_assert_eq!(counts.snapshot_mismatches + counts.inconsistent, 0);
    prop_assert_eq!(counts.malformed, 0);
    if epochs == 1 && feed.receiver.counts().streams == 0 {
        let heard: Vec<_> = feed
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Traded(trade) => Some(trade.trade.0),
                _ => None,
            })
            .collect();
        prop_assert!(
            heard.is_sorted_by(|a, b| a < b),
            "each trade once, in order"
        );
        prop_assert!(heard.len() as u64 + counts.trades_lost <= market.trades);
    }
    Ok(feed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_damage_leads_to_the_same_book_and_never_to_a_wrong_one_called_good(
        seed in any::<u64>(),
        damage in any_damage(),
    ) {
        run(seed, damage, 1)?;
    }

    #[test]
    fn so_it_does_through_changes_of_epoch(
        seed in any::<u64>(),
        damage in any_damage(),
        epochs in 2_u64..5,
    ) {
        run(seed, damage, epochs)?;
    }

    #[test]
    fn without_damage_nothing_is_lost_stale_or_doubled(seed in any::<u64>()) {
        let feed = run(seed, Damage::default(), 1)?;
        let counts = feed.receiver.counts();
        prop_assert_eq!(counts.gaps + counts.packets_lost + counts.trades_lost, 0);
        let stale = |it: &&Effect| matches!(it, Effect::BecameStale(..));
        prop_assert_eq!(feed.effects.iter().filter(stale).count(), 0);
    }
}
