//! Reference prices of an ITCH feed: told when its messages are whole, and never when they are not.

#![allow(clippy::unwrap_used, clippy::panic)]

use marketdata::Monotonic;
use marketdata::itch::{
    Code, FeedEffect, FeedSettings, Header, MatchNumber, Number, OrderReference, Price4,
    ReferenceFeed, Shares, Stock, StockLocate, Text, Wholeness, fields,
};
use marketdata::mold::{PacketBuilder, Request, Session};
use std::collections::BTreeMap;
use types::{Side, SymbolId};

const SYMBOL: SymbolId = SymbolId(600_000);
const SESSION: Session = Session(*b"2026112501");

fn header() -> Header {
    Header {
        locate: StockLocate(1),
        ..Header::default()
    }
}

fn stock() -> Stock {
    Stock::new("TRICEN").unwrap()
}

fn directory() -> fields::Message {
    fields::StockDirectory {
        header: header(),
        stock: stock(),
        market_category: Code(b'Q'),
        financial_status: Code(b'N'),
        round_lot: Shares(100),
        round_lots_only: Code(b'N'),
        issue_classification: Code(b'C'),
        issue_subtype: Text::new("Z").unwrap(),
        authenticity: Code(b'P'),
        short_sale_threshold: Code(b'N'),
        ipo_flag: Code(b'N'),
        luld_tier: Code(b'1'),
        etp_flag: Code(b'N'),
        etp_leverage: Number(0),
        inverse: Code(b'N'),
    }
    .into()
}

fn trade(number: u64, price: u32) -> fields::Message {
    fields::Trade {
        header: header(),
        order: OrderReference(0),
        side: Side::Buy,
        shares: Shares(100),
        stock: stock(),
        price: Price4(price),
        match_number: MatchNumber(number),
    }
    .into()
}

fn bid(order: u64, price: u32) -> fields::Message {
    fields::AddOrder {
        header: header(),
        order: OrderReference(order),
        side: Side::Buy,
        shares: Shares(100),
        stock: stock(),
        price: Price4(price),
    }
    .into()
}

fn delete(order: u64) -> fields::Message {
    fields::OrderDelete {
        header: header(),
        order: OrderReference(order),
    }
    .into()
}

/// A feed, and an exchange that can send any of its messages.
struct Kit {
    feed: ReferenceFeed,
    sent: Vec<fields::Message>,
    effects: Vec<FeedEffect>,
    ms: u64,
}

impl Kit {
    fn new() -> Self {
        let listing = BTreeMap::from([(stock(), SYMBOL)]);
        Self {
            feed: ReferenceFeed::new(FeedSettings::default(), listing),
            sent: Vec::new(),
            effects: Vec::new(),
            ms: 0,
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic::from_us(self.ms * 1_000)
    }

    fn packet(&self, first: u64, count: usize) -> Vec<u8> {
        let mut packet = PacketBuilder::new(SESSION, first, 1_400);
        let begin = usize::try_from(first).unwrap() - 1;
        for message in self.sent.iter().skip(begin).take(count) {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert!(packet.push(&bytes));
        }
        packet.finish()
    }

    fn bring(&mut self, packet: &[u8]) {
        let now = self.now();
        self.feed.receive(packet, now, &mut self.effects).unwrap();
    }

    /// The exchange makes a message; it arrives, unless it is dropped.
    fn send(&mut self, message: fields::Message, arrives: bool) {
        self.sent.push(message);
        if arrives {
            self.bring(&self.packet(self.sent.len() as u64, 1));
        }
    }

    fn heartbeat(&mut self) {
        let next = self.sent.len() as u64 + 1;
        self.bring(&PacketBuilder::new(SESSION, next, 20).finish());
    }

    /// Time passes, with a heartbeat each second and each request given to `server`.
    fn pass(&mut self, ms: u64, mut server: impl FnMut(&Self, Request) -> Option<Vec<u8>>) {
        for _ in 0..ms / 10 {
            self.ms += 10;
            if self.ms.is_multiple_of(1_000) {
                self.heartbeat();
            }
            let now = self.now();
            self.feed.tick(now, &mut self.effects);
            for effect in std::mem::take(&mut self.effects) {
                if let FeedEffect::Ask(request) = effect
                    && let Some(packet) = server(self, request)
                {
                    self.bring(&packet);
                }
            }
        }
    }

    fn told(&mut self) -> Vec<i64> {
        let now = self.now();
        let mut records = Vec::new();
        self.feed.take_records(now, &mut records);
        records.iter().map(|record| record.price.0).collect()
    }

    fn wholeness(&self) -> Wholeness {
        self.feed.wholeness(self.now())
    }
}

fn answering(kit: &Kit, request: Request) -> Option<Vec<u8>> {
    assert_eq!(request.session, SESSION);
    Some(kit.packet(request.sequence, request.count.into()))
}

fn silent(_: &Kit, _: Request) -> Option<Vec<u8>> {
    None
}

#[test]
fn the_last_trade_within_the_best_quotes_is_told() {
    let mut kit = Kit::new();
    kit.send(directory(), true);
    kit.send(trade(1, 100_300), true);
    assert_eq!(kit.told(), [100_300]);
    kit.pass(1_000, silent);
    kit.send(bid(1, 101_000), true);
    assert_eq!(kit.told(), [101_000], "the bid is above the last trade");
    kit.pass(1_000, silent);
    kit.send(delete(1), true);
    assert_eq!(kit.told(), [100_300], "the bid is gone");
}

#[test]
fn nothing_is_told_behind_a_hole_until_it_is_filled() {
    let mut kit = Kit::new();
    kit.send(directory(), true);
    kit.send(trade(1, 100_300), false);
    kit.send(trade(2, 102_500), true);
    assert_eq!(kit.wholeness(), Wholeness::Behind);
    assert_eq!(kit.told(), []);
    kit.pass(20, answering);
    assert_eq!(kit.wholeness(), Wholeness::Whole);
    assert_eq!(kit.told(), [102_500]);
    let counts = kit.feed.counts().receiver;
    assert_eq!((counts.gaps, counts.requests, counts.lost), (1, 1, 0));
}

#[test]
fn what_is_lost_for_good_is_asked_for_from_the_beginning_later() {
    let mut kit = Kit::new();
    kit.send(directory(), true);
    kit.send(trade(1, 100_300), true);
    assert_eq!(kit.told(), [100_300]);
    kit.send(bid(1, 103_000), false);
    kit.send(trade(2, 102_500), true);
    kit.pass(1_000, silent);
    assert_eq!(kit.wholeness(), Wholeness::Broken);
    kit.send(trade(3, 102_600), true);
    assert_eq!(kit.told(), [], "the books are wrong");
    kit.pass(6_000, answering);
    assert_eq!(kit.wholeness(), Wholeness::Whole);
    assert_eq!(kit.told(), [103_000], "the bid that was lost is there");
    let counts = kit.feed.counts();
    assert_eq!((counts.restarts, counts.receiver.lost), (1, 1));
}

#[test]
fn a_feed_begins_anew_only_so_often_in_one_session() {
    let mut kit = Kit::new();
    kit.send(directory(), true);
    // An order that never was: begun anew, the same does not fit again.
    kit.send(delete(9), true);
    assert_eq!(kit.wholeness(), Wholeness::Broken);
    kit.pass(120_000, answering);
    assert_eq!(kit.wholeness(), Wholeness::Broken);
    let most = u64::from(FeedSettings::default().restarts_max);
    assert_eq!(kit.feed.counts().restarts, most);
}

#[test]
fn a_feed_that_is_started_in_the_middle_asks_for_all_that_came_before() {
    let mut kit = Kit::new();
    kit.send(directory(), false);
    kit.send(trade(1, 100_300), false);
    kit.send(bid(1, 99_000), true);
    assert_eq!(kit.told(), []);
    kit.pass(20, answering);
    assert_eq!(kit.told(), [100_300]);
}

#[test]
fn a_silent_feed_tells_nothing_and_what_it_knew_when_it_speaks_again() {
    let mut kit = Kit::new();
    kit.send(directory(), true);
    kit.send(trade(1, 100_300), true);
    kit.ms += 3_500;
    let now = kit.now();
    kit.feed.tick(now, &mut kit.effects);
    assert_eq!(kit.wholeness(), Wholeness::Silent);
    assert_eq!(kit.told(), []);
    kit.heartbeat();
    assert_eq!(kit.told(), [100_300]);
    let became = |effect: &FeedEffect| match effect {
        FeedEffect::Became(wholeness) => Some(*wholeness),
        FeedEffect::Ask(_) => None,
    };
    let became: Vec<_> = kit.effects.iter().filter_map(became).collect();
    assert_eq!(
        became,
        [Wholeness::Whole, Wholeness::Silent, Wholeness::Whole]
    );
}
