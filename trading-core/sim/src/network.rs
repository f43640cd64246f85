//! Links between replicas, and between clients and replicas.

use crate::dice::Dice;
use crate::fault::{Fault, Tally};
use std::collections::{BTreeMap, BTreeSet};

/// How likely each fault of a message is, per million messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Lost.
    pub loss: u64,
    /// Sent twice.
    pub duplication: u64,
    /// Overtaken.
    pub reorder: u64,
    /// Late by up to [`Weather::delay_us_max`].
    pub delay: u64,
    /// Longest delay, in microseconds.
    pub delay_us_max: u64,
    /// A client's request stays in a proxy while its connection breaks.
    pub late_request: u64,
    /// So does a leader's answer.
    pub late_answer: u64,
}

/// Longest way that a message takes in fair weather, in microseconds.
const FAIR_US_MAX: u64 = 20_000;

/// The links.
#[derive(Debug)]
pub struct Network {
    dice: Dice,
    /// Weather now.
    pub weather: Weather,
    /// One-way delay of a link between replicas, in microseconds.
    base_us: BTreeMap<(u64, u64), u64>,
    /// From whom to whom nothing goes.
    blocked: BTreeSet<(u64, u64)>,
    /// Until when what a replica sends is held.
    held_us: BTreeMap<u64, u64>,
    /// Replicas that clients do not reach either.
    cut: BTreeSet<u64>,
    /// The last arrival on a link: what is not reordered stays in order.
    last_us: BTreeMap<(u64, u64), u64>,
    /// When the last of all that is under way arrives.
    latest_us: u64,
    /// Faults that acted.
    pub tally: Tally,
}

impl Network {
    /// Links between replicas `1..=replicas`; the last of them is far away.
    #[must_use]
    pub fn new(replicas: u64, mut dice: Dice) -> Self {
        let mut base_us = BTreeMap::new();
        let far_us = dice.between(2_000, 15_000);
        for from in 1..=replicas {
            for to in 1..=replicas {
                let far = from == replicas || to == replicas;
                base_us.insert((from, to), if far { far_us } else { 300 });
            }
        }
        Self {
            dice,
            weather: Weather::default(),
            base_us,
            blocked: BTreeSet::new(),
            held_us: BTreeMap::new(),
            cut: BTreeSet::new(),
            last_us: BTreeMap::new(),
            latest_us: 0,
            tally: Tally::default(),
        }
    }

    /// When a replica's message arrives at another: never, once or twice.
    pub fn between_replicas(&mut self, from: u64, to: u64, at_us: u64) -> Vec<u64> {
        if self.blocked.contains(&(from, to)) {
            return Vec::new();
        }
        let weather = self.weather;
        if self.dice.chance(weather.loss) {
            self.tally.count(Fault::MessageLoss);
            return Vec::new();
        }
        let mut arrivals = vec![self.arrival(from, to, at_us)];
        if self.dice.chance(weather.duplication) {
            self.tally.count(Fault::MessageDuplication);
            arrivals.push(self.arrival(from, to, at_us));
        }
        arrivals
    }

    fn arrival(&mut self, from: u64, to: u64, at_us: u64) -> u64 {
        let arrives_us = self.draw_arrival(from, to, at_us);
        self.latest_us = self.latest_us.max(arrives_us);
        arrives_us
    }

    fn draw_arrival(&mut self, from: u64, to: u64, at_us: u64) -> u64 {
        let base_us = self.base_us.get(&(from, to)).copied().unwrap_or(300);
        let mut arrives_us = at_us + base_us + self.dice.below(base_us / 4 + 1);
        if self.dice.chance(self.weather.delay) {
            self.tally.count(Fault::MessageDelay);
            arrives_us += self.dice.below(self.weather.delay_us_max.max(1));
        }
        if self.dice.chance(self.weather.reorder) {
            self.tally.count(Fault::MessageReorder);
            return arrives_us + self.dice.below(20_000);
        }
        if let Some(until_us) = self.held_us.get(&from).filter(|until| **until > at_us) {
            self.tally.count(Fault::HeldMessages);
            arrives_us = arrives_us.max(*until_us);
        }
        let last_us = self.last_us.entry((from, to)).or_default();
        *last_us = arrives_us.max(*last_us);
        *last_us
    }

    /// How long a message between a client and a replica takes; never arrives when cut.
    pub fn with_client(&mut self, replica: u64) -> Option<u64> {
        (!self.cut.contains(&replica)).then(|| 200 + self.dice.below(400))
    }

    /// By how much later than its connection's end a request arrives, in microseconds; `None` for
    /// one that goes its way.
    pub fn late_request(&mut self) -> Option<u64> {
        if !self.dice.chance(self.weather.late_request) {
            return None;
        }
        self.tally.count(Fault::LateRequest);
        Some(self.dice.between(10_000, 1_000_000))
    }

    /// Whether an answer stays in a proxy while its connection breaks. It acts when it comes out.
    pub fn keeps_answer(&mut self) -> bool {
        self.dice.chance(self.weather.late_answer)
    }

    /// What a replica sends is held until then, and comes in order.
    pub fn hold(&mut self, from: u64, until_us: u64) {
        self.held_us.insert(from, until_us);
    }

    /// Nothing goes from one to the other any more.
    pub fn block(&mut self, from: u64, to: u64) {
        self.blocked.insert((from, to));
    }

    /// Nothing goes to and from a replica any more, clients included.
    pub fn cut(&mut self, replica: u64, replicas: u64) {
        self.cut.insert(replica);
        for other in 1..=replicas {
            self.block(replica, other);
            self.block(other, replica);
        }
    }

    /// All links are whole.
    pub fn join(&mut self) {
        self.blocked.clear();
        self.cut.clear();
        self.held_us.clear();
    }

    /// All links are whole and the weather is fair.
    pub fn heal(&mut self) {
        self.join();
        self.weather = Weather::default();
    }

    /// Whether nothing is blocked, no message is harmed, and none from before is still late.
    #[must_use]
    pub fn is_fair(&self, now_us: u64) -> bool {
        let weather = self.weather;
        let messages = weather.loss + weather.duplication + weather.reorder + weather.delay;
        let clients = weather.late_request + weather.late_answer;
        let late = self.latest_us > now_us + FAIR_US_MAX;
        self.blocked.is_empty() && self.held_us.is_empty() && messages + clients == 0 && !late
    }
}
