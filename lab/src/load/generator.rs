//! Which orders, and when: seeded, so that the same seed sends the same.

use std::time::Duration;
use types::{
    ClOrdId, MarketStyle, NewOrder, OrderKind, Price, Quantity, Request, SelfTradePrevention,
    SessionId, Side, SymbolId, TimeInForce,
};

/// What the load trades.
pub const SYMBOLS: [SymbolId; 4] = [
    SymbolId(600_000),
    SymbolId(600_036),
    SymbolId(600_519),
    SymbolId(601_318),
];
/// The middle of the prices: 10 yuan.
pub(crate) const MIDDLE: i64 = 100_000;
/// One cent.
pub(crate) const TICK: i64 = 100;
/// One lot.
pub(crate) const LOT: u64 = 100;
/// Own orders remembered, to be cancelled or replaced.
const REMEMBERED_MAX: usize = 64;

/// Orders of one session.
#[derive(Clone, Debug)]
pub struct Generator {
    state: u64,
    session: SessionId,
    mean: Duration,
    count: u64,
    own: Vec<ClOrdId>,
}

impl Generator {
    /// Orders for a session, so many a second on average.
    #[must_use]
    pub fn new(seed: u64, session: SessionId, per_second: f64) -> Self {
        Self {
            state: seed,
            session,
            mean: Duration::from_secs_f64(1.0 / per_second.max(1e-6)),
            count: 0,
            own: Vec::new(),
        }
    }

    /// Time until the next order: exponential, as independent customers arrive, and never more than
    /// ten times the mean.
    pub fn gap(&mut self) -> Duration {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let factor = -(1.0 - uniform).ln();
        self.mean.mul_f64(factor.min(10.0))
    }

    /// The next request: mostly limit orders around the middle, some market orders, cancels,
    /// replaces, questions, and a few that must be refused.
    pub fn request(&mut self) -> Request {
        let dice = self.below(100);
        match dice {
            0..65 => self.limit(0),
            65..70 => self.market(),
            70..85 => match self.take_own() {
                Some(original) => Request::Cancel { original },
                None => self.limit(0),
            },
            85..95 => match self.take_own() {
                Some(original) => {
                    let replacement = self.id();
                    self.remember(replacement);
                    Request::Replace {
                        original,
                        replacement,
                        price: self.price(),
                        quantity: self.quantity(),
                    }
                }
                None => self.limit(0),
            },
            95..98 => match self.own.last() {
                Some(original) => Request::Status {
                    original: *original,
                },
                None => self.limit(0),
            },
            // Off tick: must be refused with its reason.
            _ => self.limit(1),
        }
    }

    fn limit(&mut self, off_tick: i64) -> Request {
        let price = Price(self.price().0 + off_tick);
        self.new_order(OrderKind::Limit { price }, TimeInForce::Day)
    }

    fn market(&mut self) -> Request {
        let kind = OrderKind::Market {
            style: MarketStyle::ImmediateOrCancel,
            protection: None,
        };
        self.new_order(kind, TimeInForce::ImmediateOrCancel)
    }

    fn new_order(&mut self, kind: OrderKind, time_in_force: TimeInForce) -> Request {
        let cl_ord_id = self.id();
        self.remember(cl_ord_id);
        let side = match self.below(2) {
            0 => Side::Buy,
            _ => Side::Sell,
        };
        Request::New(NewOrder {
            cl_ord_id,
            symbol: SYMBOLS[self.below(SYMBOLS.len() as u64) as usize],
            side,
            quantity: self.quantity(),
            kind,
            time_in_force,
            post_only: false,
            display: None,
            self_trade_prevention: SelfTradePrevention::CancelNewest,
        })
    }

    fn price(&mut self) -> Price {
        Price(MIDDLE + (self.below(41) as i64 - 20) * TICK)
    }

    fn quantity(&mut self) -> Quantity {
        Quantity((self.below(10) + 1) * LOT)
    }

    /// Session and count in base 36: unique among all runs, for sessions are.
    fn id(&mut self) -> ClOrdId {
        self.count += 1;
        let text = format!("{}-{}", base36(self.session.0), base36(self.count));
        ClOrdId::new(&text).expect("13 characters at most, a dash, and fewer than 6 more")
    }

    fn remember(&mut self, id: ClOrdId) {
        if self.own.len() == REMEMBERED_MAX {
            self.own.remove(0);
        }
        self.own.push(id);
    }

    fn take_own(&mut self) -> Option<ClOrdId> {
        if self.own.is_empty() {
            return None;
        }
        let at = self.below(self.own.len() as u64) as usize;
        Some(self.own.swap_remove(at))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough for a load.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn base36(mut number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        digits.push(DIGITS[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.reverse();
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn requests(seed: u64) -> Vec<Request> {
        let mut generator = Generator::new(seed, SessionId(7), 100.0);
        (0..1_000).map(|_| generator.request()).collect()
    }

    #[test]
    fn the_same_seed_sends_the_same_orders() {
        assert_eq!(requests(5), requests(5));
        assert_ne!(requests(5), requests(6));
    }

    #[test]
    fn every_kind_of_request_is_sent_and_no_id_twice() {
        let all = requests(1);
        let mut ids = BTreeSet::new();
        let mut kinds = BTreeSet::new();
        for request in &all {
            kinds.insert(match request {
                Request::New(new) => {
                    assert!(ids.insert(new.cl_ord_id));
                    match new.kind {
                        OrderKind::Limit { price } if price.0 % TICK != 0 => "bad",
                        OrderKind::Limit { .. } => "limit",
                        _ => "market",
                    }
                }
                Request::Replace { replacement, .. } => {
                    assert!(ids.insert(*replacement));
                    "replace"
                }
                Request::Cancel { .. } => "cancel",
                Request::MassCancel { .. } => "mass cancel",
                Request::Status { .. } => "status",
            });
        }
        let wanted = ["bad", "cancel", "limit", "market", "replace", "status"];
        assert_eq!(kinds, BTreeSet::from(wanted));
    }

    #[test]
    fn orders_come_at_the_rate_asked_for() {
        let mut generator = Generator::new(3, SessionId(7), 200.0);
        let total: Duration = (0..20_000).map(|_| generator.gap()).sum();
        let seconds = total.as_secs_f64();
        assert!((95.0..105.0).contains(&seconds), "{seconds}");
    }

    #[test]
    fn ids_of_the_longest_session_fit() {
        let mut generator = Generator::new(1, SessionId(u64::MAX / 1_000), 1.0);
        generator.count = 36_u64.pow(5);
        assert!(matches!(generator.request(), Request::New(_)));
    }
}
