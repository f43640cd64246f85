//! A day of ITCH from a seed: every message about orders is about one that rests.

use super::field::{
    Code, ManyShares, MatchNumber, Number, OrderReference, Participant, Price4, Printable, Shares,
    SinceMidnight, Stock, StockLocate, Text, TrackingNumber,
};
use super::message::{Header, fields};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use types::Side;

/// How often each kind of message comes, in parts of their sum.
///
/// The default has the shape of a whole day of TotalView: orders come and go, few trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Orders without an owner's name.
    pub add: u32,
    /// Orders with it.
    pub add_with_participant: u32,
    /// Executions at the limit.
    pub execute: u32,
    /// Executions at another price.
    pub execute_with_price: u32,
    /// Cancels of a part.
    pub cancel: u32,
    /// Deletes.
    pub delete: u32,
    /// Replaces.
    pub replace: u32,
    /// Trades with orders that are not displayed.
    pub trade: u32,
    /// Imbalances before auctions.
    pub imbalance: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            add: 4_340,
            add_with_participant: 60,
            execute: 215,
            execute_with_price: 5,
            cancel: 105,
            delete: 4_300,
            replace: 810,
            trade: 45,
            imbalance: 120,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    order: OrderReference,
    stock: u16,
    shares: u32,
    price: u32,
}

/// Orders at once; beyond it one leaves for each that comes.
const RESTING_MAX: usize = 1 << 20;
/// One yuan or dollar in the feed's prices.
const WHOLE: u32 = 10_000;
const CENT: u32 = 100;
/// 09:30.
const OPENING_NS: u64 = 34_200_000_000_000;

/// An endless day; equal seeds give equal days.
#[derive(Clone, Debug)]
pub struct Generator {
    random: ChaCha8Rng,
    mix: Mix,
    stocks: u16,
    opening: VecDeque<fields::Message>,
    resting: Vec<Resting>,
    time_ns: u64,
    next_order: u64,
    next_match: u64,
}

impl Generator {
    /// A day of `stocks` stocks, at least one. Their names are `T00001`, `T00002` …
    #[must_use]
    pub fn new(seed: u64, stocks: u16, mix: Mix) -> Self {
        let mut generator = Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            mix,
            stocks: stocks.max(1),
            opening: VecDeque::new(),
            resting: Vec::new(),
            time_ns: OPENING_NS,
            next_order: 1,
            next_match: 1,
        };
        generator.open();
        generator
    }

    /// The name of a stock by its locate, from 1.
    #[must_use]
    pub fn stock(locate: u16) -> Stock {
        Text::new(&format!("T{locate:05}")).expect("six ASCII characters fit eight")
    }

    fn open(&mut self) {
        self.opening.push_back(self.system(b'O'));
        for locate in 1..=self.stocks {
            let header = self.header(locate);
            let stock = Self::stock(locate);
            self.opening.extend::<[fields::Message; 3]>([
                directory(header, stock).into(),
                fields::StockTradingAction {
                    header,
                    stock,
                    state: Code(b'T'),
                    reserved: Code(b' '),
                    reason: Text::default(),
                }
                .into(),
                fields::RegShoRestriction {
                    header,
                    stock,
                    action: Code(b'0'),
                }
                .into(),
            ]);
        }
        self.opening.push_back(self.system(b'S'));
        self.opening.push_back(self.system(b'Q'));
    }

    fn system(&self, event: u8) -> fields::Message {
        fields::SystemEvent {
            header: self.header(0),
            event: Code(event),
        }
        .into()
    }

    fn header(&self, locate: u16) -> Header {
        Header {
            locate: StockLocate(locate),
            tracking: TrackingNumber(0),
            time: SinceMidnight::new(self.time_ns % SinceMidnight::NS_MAX).unwrap_or_default(),
        }
    }

    fn next_order(&mut self) -> OrderReference {
        // As on the exchange: growing, with holes.
        self.next_order += self.random.random_range(1..=8);
        OrderReference(self.next_order)
    }

    fn next_match(&mut self) -> MatchNumber {
        self.next_match += 1;
        MatchNumber(self.next_match)
    }

    fn add(&mut self, named: bool) -> fields::Message {
        let locate = self.random.random_range(1..=self.stocks);
        let side = if self.random.random() {
            Side::Buy
        } else {
            Side::Sell
        };
        // Each stock has a price of its own; bids stand below it and asks above, mostly near.
        let middle = WHOLE * (10 + u32::from(locate) % 200);
        let near = self.random.random_range(1_u32..=10);
        let away = CENT * self.random.random_range(1..=near * 4);
        let price = match side {
            Side::Buy => middle - away,
            Side::Sell => middle + away,
        };
        let shares = 100 * self.random.random_range(1_u32..=10);
        let order = self.next_order();
        let resting = Resting {
            order,
            stock: locate,
            shares,
            price,
        };
        if self.resting.len() < RESTING_MAX {
            self.resting.push(resting);
        }
        let (header, stock) = (self.header(locate), Self::stock(locate));
        if named {
            fields::AddOrderWithParticipant {
                header,
                order,
                side,
                shares: Shares(shares),
                stock,
                price: Price4(price),
                participant: Participant::new("TRIC").unwrap_or_default(),
            }
            .into()
        } else {
            fields::AddOrder {
                header,
                order,
                side,
                shares: Shares(shares),
                stock,
                price: Price4(price),
            }
            .into()
        }
    }

    /// A message about a resting order, picked at random.
    fn touch(&mut self, kind: Touch) -> fields::Message {
        let place = self.random.random_range(0..self.resting.len());
        let resting = self.resting[place];
        let header = self.header(resting.stock);
        let order = resting.order;
        match kind {
            Touch::Execute | Touch::ExecuteWithPrice | Touch::Cancel => {
                let lots = (resting.shares / 100).max(1);
                let shares = (100 * self.random.random_range(1..=lots)).min(resting.shares);
                self.reduce(place, shares);
                self.reduced(kind, header, order, Shares(shares), resting.price)
            }
            Touch::Delete => {
                self.resting.swap_remove(place);
                fields::OrderDelete { header, order }.into()
            }
            Touch::Replace => {
                let replacement = self.next_order();
                let shares = 100 * self.random.random_range(1_u32..=10);
                self.resting[place] = Resting {
                    order: replacement,
                    shares,
                    ..resting
                };
                fields::OrderReplace {
                    header,
                    original: order,
                    replacement,
                    shares: Shares(shares),
                    price: Price4(resting.price),
                }
                .into()
            }
        }
    }

    fn reduce(&mut self, place: usize, shares: u32) {
        if self.resting[place].shares == shares {
            self.resting.swap_remove(place);
        } else {
            self.resting[place].shares -= shares;
        }
    }

    fn reduced(
        &mut self,
        kind: Touch,
        header: Header,
        order: OrderReference,
        shares: Shares,
        price: u32,
    ) -> fields::Message {
        match kind {
            Touch::Cancel => fields::OrderCancel {
                header,
                order,
                shares,
            }
            .into(),
            Touch::ExecuteWithPrice => fields::OrderExecutedWithPrice {
                header,
                order,
                shares,
                match_number: self.next_match(),
                printable: Printable::Yes,
                price: Price4(price),
            }
            .into(),
            _ => fields::OrderExecuted {
                header,
                order,
                shares,
                match_number: self.next_match(),
            }
            .into(),
        }
    }

    fn trade(&mut self) -> fields::Message {
        let locate = self.random.random_range(1..=self.stocks);
        fields::Trade {
            header: self.header(locate),
            order: OrderReference(0),
            side: Side::Buy,
            shares: Shares(100 * self.random.random_range(1_u32..=10)),
            stock: Self::stock(locate),
            price: Price4(WHOLE * (10 + u32::from(locate) % 200)),
            match_number: self.next_match(),
        }
        .into()
    }

    fn imbalance(&mut self) -> fields::Message {
        let locate = self.random.random_range(1..=self.stocks);
        let price = Price4(WHOLE * (10 + u32::from(locate) % 200));
        fields::NetOrderImbalance {
            header: self.header(locate),
            paired_shares: ManyShares(self.random.random_range(0..100_000)),
            imbalance_shares: ManyShares(self.random.random_range(0..10_000)),
            direction: Code(b'B'),
            stock: Self::stock(locate),
            far_price: price,
            near_price: price,
            reference_price: price,
            cross_type: Code(b'O'),
            variation: Code(b'L'),
        }
        .into()
    }
}

#[derive(Clone, Copy)]
enum Touch {
    Execute,
    ExecuteWithPrice,
    Cancel,
    Delete,
    Replace,
}

fn directory(header: Header, stock: Stock) -> fields::StockDirectory {
    fields::StockDirectory {
        header,
        stock,
        market_category: Code(b'Q'),
        financial_status: Code(b'N'),
        round_lot: Shares(100),
        round_lots_only: Code(b'N'),
        issue_classification: Code(b'C'),
        issue_subtype: Text::new("Z").unwrap_or_default(),
        authenticity: Code(b'P'),
        short_sale_threshold: Code(b'N'),
        ipo_flag: Code(b'N'),
        luld_tier: Code(b'1'),
        etp_flag: Code(b'N'),
        etp_leverage: Number(0),
        inverse: Code(b'N'),
    }
}

impl Iterator for Generator {
    type Item = fields::Message;

    fn next(&mut self) -> Option<fields::Message> {
        if let Some(message) = self.opening.pop_front() {
            return Some(message);
        }
        self.time_ns += self.random.random_range(1..=100_000_u64);
        let Mix {
            add,
            add_with_participant,
            execute,
            execute_with_price,
            cancel,
            delete,
            replace,
            trade,
            imbalance,
        } = self.mix;
        let kinds = [
            (add, Kind::Add),
            (add_with_participant, Kind::AddNamed),
            (execute, Kind::Touch(Touch::Execute)),
            (execute_with_price, Kind::Touch(Touch::ExecuteWithPrice)),
            (cancel, Kind::Touch(Touch::Cancel)),
            (delete, Kind::Touch(Touch::Delete)),
            (replace, Kind::Touch(Touch::Replace)),
            (trade, Kind::Trade),
            (imbalance, Kind::Imbalance),
        ];
        let sum: u32 = kinds.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.random.random_range(0..sum.max(1));
        let kind = kinds
            .iter()
            .find(|(weight, _)| match drawn.checked_sub(*weight) {
                Some(left) => {
                    drawn = left;
                    false
                }
                None => true,
            })
            .map_or(Kind::Add, |(_, kind)| *kind);
        Some(match kind {
            Kind::Touch(touch) if !self.resting.is_empty() => self.touch(touch),
            Kind::Add | Kind::Touch(_) => self.add(false),
            Kind::AddNamed => self.add(true),
            Kind::Trade => self.trade(),
            Kind::Imbalance => self.imbalance(),
        })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Add,
    AddNamed,
    Touch(Touch),
    Trade,
    Imbalance,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::itch::{OrderBooks, decode};
    use std::collections::BTreeMap;
    use types::{SymbolId, UnixMicros};

    #[test]
    fn equal_seeds_give_equal_days_and_others_do_not() {
        let day = |seed| -> Vec<_> {
            Generator::new(seed, 5, Mix::default())
                .take(2_000)
                .collect()
        };
        assert_eq!(day(7), day(7));
        assert_ne!(day(7), day(8));
    }

    #[test]
    fn every_message_about_an_order_is_about_one_that_rests() {
        let listing: BTreeMap<_, _> = (1..=5)
            .map(|locate| (Generator::stock(locate), SymbolId(u32::from(locate))))
            .collect();
        let mut books = OrderBooks::new(listing, UnixMicros(0), usize::MAX);
        let (mut bytes, mut events) = (Vec::new(), Vec::new());
        for message in Generator::new(1, 5, Mix::default()).take(50_000) {
            bytes.clear();
            message.encode(&mut bytes);
            books.apply(decode(&bytes, 0).unwrap(), &mut events);
        }
        assert!(books.counts().are_clean(), "{:?}", books.counts());
        assert!(books.orders() > 0 && events.len() > 40_000);
    }

    #[test]
    fn a_mix_without_weights_still_yields() {
        let nothing = Mix {
            add: 0,
            add_with_participant: 0,
            execute: 0,
            execute_with_price: 0,
            cancel: 0,
            delete: 0,
            replace: 0,
            trade: 0,
            imbalance: 0,
        };
        assert_eq!(Generator::new(1, 0, nothing).take(100).count(), 100);
    }
}
