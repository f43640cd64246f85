//! Stop orders: they wait for the price of a trade and are then orders like any other.
//!
//! ```text
//!   last trade ─►  sells at 9.90, 9.80 …  fire when it falls there, the highest first
//!                  buys  at 10.10, 10.20 … fire when it rises there, the lowest first
//! ```
//!
//! A stop freezes nothing and knows neither quantity nor limit: the owner keeps the order and
//! submits it once its number fires.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{OrderId, Price, Side};

/// A stop order that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Its number.
    pub order: OrderId,
    /// Buys fire when the price has risen to the trigger, sells when it has fallen to it.
    pub side: Side,
    /// The price of a trade at which it fires.
    pub trigger: Price,
}

impl Stop {
    /// Whether a trade at this price fires it.
    #[must_use]
    pub fn fires_at(&self, last: Price) -> bool {
        match self.side {
            Side::Buy => last >= self.trigger,
            Side::Sell => last <= self.trigger,
        }
    }
}

/// Where a stop stands among those of its side; smaller fires earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: i64,
    arrival: u64,
}

/// The stop orders of one symbol.
///
/// They fire in a fixed order: buys before sells; of a side, the trigger that the price reached
/// first; at one trigger, first come first fired. Two are equal when the same stops wait in the same
/// order. Its serialised form is the list of stops as [`StopBook::visit`] gives them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Vec<Stop>")]
pub struct StopBook {
    buys: BTreeMap<Place, Stop>,
    sells: BTreeMap<Place, Stop>,
    places: BTreeMap<OrderId, (Side, Place)>,
    arrivals: u64,
}

impl StopBook {
    /// Lets a stop wait behind those of its trigger. A number that waits already is replaced.
    pub fn insert(&mut self, stop: Stop) {
        self.cancel(stop.order);
        self.arrivals += 1;
        // `!price` turns the order round and, unlike `-price`, cannot overflow.
        let rank = match stop.side {
            Side::Buy => stop.trigger.0,
            Side::Sell => !stop.trigger.0,
        };
        let place = Place {
            rank,
            arrival: self.arrivals,
        };
        self.places.insert(stop.order, (stop.side, place));
        self.side_mut(stop.side).insert(place, stop);
    }

    /// Takes a stop out; `None` when no such stop waits.
    pub fn cancel(&mut self, order: OrderId) -> Option<Stop> {
        let (side, place) = self.places.remove(&order)?;
        self.side_mut(side).remove(&place)
    }

    /// A stop that waits.
    #[must_use]
    pub fn get(&self, order: OrderId) -> Option<Stop> {
        let (side, place) = self.places.get(&order)?;
        self.side(*side).get(place).copied()
    }

    /// Takes out the next stop that a trade at `last` fires; `None` when there is none left.
    ///
    /// A stop that fires may trade, and its trade may fire others. One at a time, the owner decides
    /// in which order that happens: as a rule it takes out all that one price fires, then submits
    /// them, then asks again with the price of the last trade.
    pub fn fire(&mut self, last: Price) -> Option<Stop> {
        let first = |side: &BTreeMap<Place, Stop>| side.values().next().copied();
        let buy = first(&self.buys).filter(|stop| stop.fires_at(last));
        let stop = buy.or_else(|| first(&self.sells).filter(|stop| stop.fires_at(last)))?;
        self.cancel(stop.order)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Visits what waits in the order in which it would fire: buys, then sells.
    pub fn visit(&self, visitor: &mut dyn FnMut(&Stop)) {
        self.in_order().for_each(visitor);
    }

    fn in_order(&self) -> impl Iterator<Item = &Stop> {
        self.buys.values().chain(self.sells.values())
    }

    fn side(&self, side: Side) -> &BTreeMap<Place, Stop> {
        match side {
            Side::Buy => &self.buys,
            Side::Sell => &self.sells,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Place, Stop> {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }
}

impl PartialEq for StopBook {
    fn eq(&self, other: &Self) -> bool {
        self.in_order().eq(other.in_order())
    }
}

impl Eq for StopBook {}

impl Serialize for StopBook {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.in_order())
    }
}

impl From<Vec<Stop>> for StopBook {
    fn from(stops: Vec<Stop>) -> Self {
        let mut book = Self::default();
        for stop in stops {
            book.insert(stop);
        }
        book
    }
}
