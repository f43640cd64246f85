//! The obvious book: one sorted map a side, whose first entry is the next to trade.
//!
//! ```text
//!   bids: (rank, arrival) ─► Resting      rank grows from the best price to the worst
//!   asks: (rank, arrival) ─► Resting      arrival grows with each order that comes to rest
//!   places: order ─► (side, rank, arrival)
//! ```

use crate::contract::reaches;
use crate::restore::RestoreError;
use crate::{
    Book, BrokenInvariant, Ending, Fill, Iceberg, Incoming, Level, Outcome, Remainder, Resting,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use types::{OrderId, Price, Quantity, SelfTradePrevention, Side};

/// Where an order stands on its side; smaller trades earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: i64,
    arrival: u64,
}

/// The oracle: correct by inspection, O(log n) a step.
///
/// Two books are equal when the same orders rest in the same order, whatever came and went before.
/// Its serialised form is the list of resting orders as [`Book::visit`] gives them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<Resting>")]
pub struct NaiveBook {
    bids: BTreeMap<Place, Resting>,
    asks: BTreeMap<Place, Resting>,
    places: BTreeMap<OrderId, (Side, Place)>,
    arrivals: u64,
}

/// A price's rank on its side. `!price` turns the order round and, unlike `-price`, cannot overflow.
fn rank(side: Side, price: Price) -> i64 {
    match side {
        Side::Buy => !price.0,
        Side::Sell => price.0,
    }
}

impl NaiveBook {
    fn side(&self, side: Side) -> &BTreeMap<Place, Resting> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Place, Resting> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Trades `incoming` down to what is left; says whether its own account ended it.
    fn match_all(&mut self, incoming: &Incoming, fills: &mut Vec<Fill>) -> (Quantity, bool) {
        let side = incoming.side.opposite();
        let mut remaining = incoming.quantity;
        let mut levels_met = 0;
        let mut level = None;
        while remaining.0 > 0 {
            let Some(maker) = self
                .first(side)
                .filter(|maker| accepts(incoming, maker.price))
            else {
                break;
            };
            if level != Some(maker.price) {
                if incoming
                    .levels_max
                    .is_some_and(|max| levels_met == max.get())
                {
                    break;
                }
                levels_met += 1;
                level = Some(maker.price);
            }
            if maker.account == incoming.account {
                if incoming.self_trade_prevention != SelfTradePrevention::CancelNewest {
                    self.cancel(maker.order);
                    fills.push(Fill::MakerCancelled {
                        maker: maker.order,
                        quantity: maker.remaining,
                    });
                }
                if incoming.self_trade_prevention != SelfTradePrevention::CancelOldest {
                    return (remaining, true);
                }
                continue;
            }
            let quantity = remaining.min(maker.shown());
            remaining.0 -= quantity.0;
            let Some(maker_remaining) = self.trade_first(side, quantity) else {
                break;
            };
            fills.push(Fill::Trade {
                maker: maker.order,
                price: maker.price,
                quantity,
                maker_remaining,
                taker_remaining: remaining,
            });
        }
        (remaining, false)
    }

    /// Whether all of it would trade at once, found by letting a copy of the book try.
    fn would_fill(&self, incoming: &Incoming) -> bool {
        self.clone().match_all(incoming, &mut Vec::new()).0.0 == 0
    }
}

/// Whether an incoming order takes a resting order's price.
fn accepts(incoming: &Incoming, price: Price) -> bool {
    incoming
        .limit
        .is_none_or(|limit| reaches(incoming.side, limit, price))
}

impl Book for NaiveBook {
    fn submit(&mut self, incoming: Incoming, fills: &mut Vec<Fill>) -> Outcome {
        debug_assert!(!self.places.contains_key(&incoming.order));
        if incoming.remainder == Remainder::FillOrKill && !self.would_fill(&incoming) {
            return Outcome {
                remaining: incoming.quantity,
                ending: Ending::Killed,
            };
        }
        let (remaining, met_itself) = self.match_all(&incoming, fills);
        let ending = if remaining.0 == 0 {
            Ending::Filled
        } else if met_itself {
            Ending::SelfTrade
        } else if let (Some(price), Remainder::Rests) = (incoming.limit, incoming.remainder)
            && !self.would_trade(incoming.side, price)
        {
            self.rest(Resting::of(&incoming, price, remaining));
            Ending::Rested
        } else {
            Ending::Unfilled
        };
        Outcome { remaining, ending }
    }

    fn rest(&mut self, resting: Resting) {
        if resting.remaining.0 == 0 {
            return;
        }
        self.arrivals += 1;
        let place = Place {
            rank: rank(resting.side, resting.price),
            arrival: self.arrivals,
        };
        self.places.insert(resting.order, (resting.side, place));
        self.side_mut(resting.side).insert(place, resting);
    }

    fn cancel(&mut self, order: OrderId) -> Option<Resting> {
        let (side, place) = self.places.remove(&order)?;
        self.side_mut(side).remove(&place)
    }

    fn shrink(&mut self, order: OrderId, remaining: Quantity) {
        let Some((side, place)) = self.places.get(&order).copied() else {
            return;
        };
        if let Some(resting) = self.side_mut(side).get_mut(&place)
            && (1..=resting.remaining.0).contains(&remaining.0)
        {
            resting.remaining = remaining;
            if let Some(iceberg) = &mut resting.iceberg {
                iceberg.shown = iceberg.shown.min(remaining);
            }
        }
    }

    fn resting(&self, order: OrderId) -> Option<Resting> {
        let (side, place) = self.places.get(&order)?;
        self.side(*side).get(place).copied()
    }

    fn first(&self, side: Side) -> Option<Resting> {
        self.side(side).values().next().copied()
    }

    fn trade_first(&mut self, side: Side, quantity: Quantity) -> Option<Quantity> {
        let mut first = self.side_mut(side).first_entry()?;
        let maker = first.get_mut();
        let quantity = quantity.min(maker.shown());
        maker.remaining.0 -= quantity.0;
        let remaining = maker.remaining;
        if let Some(iceberg) = &mut maker.iceberg {
            iceberg.shown.0 -= quantity.0;
        }
        let mut used_up = *maker;
        if used_up.shown().0 == 0 {
            first.remove();
            self.places.remove(&used_up.order);
            used_up.iceberg = Iceberg::new(used_up.iceberg.map(|i| i.display), remaining);
            self.rest(used_up);
        }
        Some(remaining)
    }

    fn levels(&self, side: Side, visitor: &mut dyn FnMut(&Level) -> ControlFlow<()>) {
        let mut orders = self.side(side).values().peekable();
        while let Some(first) = orders.peek() {
            let mut level = Level {
                price: first.price,
                shown: Quantity(0),
                reserve: Quantity(0),
                orders: 0,
            };
            while let Some(resting) = orders.next_if(|resting| resting.price == level.price) {
                level.shown.0 += resting.shown().0;
                level.reserve.0 += resting.remaining.0 - resting.shown().0;
                level.orders += 1;
            }
            if visitor(&level).is_break() {
                return;
            }
        }
    }

    fn best(&self, side: Side) -> Option<Price> {
        self.first(side).map(|first| first.price)
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn visit(&self, visitor: &mut dyn FnMut(&Resting)) {
        self.bids
            .values()
            .chain(self.asks.values())
            .for_each(visitor);
    }

    fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        let stand = self.bids.len() + self.asks.len();
        if self.places.len() != stand {
            return Err(BrokenInvariant::Count {
                what: "places",
                counted: self.places.len(),
                stand,
            });
        }
        crate::check_resting(self)
    }
}

impl PartialEq for NaiveBook {
    fn eq(&self, other: &Self) -> bool {
        self.bids.values().eq(other.bids.values()) && self.asks.values().eq(other.asks.values())
    }
}

impl Eq for NaiveBook {}

impl Serialize for NaiveBook {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.bids.values().chain(self.asks.values()))
    }
}

impl TryFrom<Vec<Resting>> for NaiveBook {
    type Error = RestoreError;

    fn try_from(orders: Vec<Resting>) -> Result<Self, RestoreError> {
        crate::restore::restore(orders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::AccountId;

    fn resting(order: u64, side: Side, price: i64, remaining: u64) -> Resting {
        Resting {
            order: OrderId(order),
            account: AccountId(1),
            side,
            price: Price(price),
            remaining: Quantity(remaining),
            iceberg: None,
        }
    }

    #[test]
    fn the_best_price_is_the_highest_bid_and_the_lowest_ask_to_the_ends_of_the_range() {
        let book = NaiveBook::try_from(vec![
            resting(1, Side::Buy, i64::MIN, 1),
            resting(2, Side::Buy, -5, 1),
            resting(3, Side::Sell, i64::MAX, 1),
            resting(4, Side::Sell, 7, 1),
        ])
        .unwrap();
        assert_eq!(book.best(Side::Buy), Some(Price(-5)));
        assert_eq!(book.best(Side::Sell), Some(Price(7)));
    }

    #[test]
    fn orders_that_cannot_rest_together_are_not_restored() {
        let twice = vec![resting(1, Side::Buy, 10, 1), resting(1, Side::Buy, 10, 1)];
        let empty = vec![resting(1, Side::Buy, 10, 0)];
        let mut shows_too_much = resting(1, Side::Buy, 10, 5);
        shows_too_much.iceberg = Some(Iceberg {
            display: Quantity(9),
            shown: Quantity(6),
        });
        for (orders, word) in [
            (twice, "twice"),
            (empty, "no open"),
            (vec![shows_too_much], "shows 6"),
        ] {
            let error = NaiveBook::try_from(orders).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_hash_tells_queue_order_apart() {
        let ab = [resting(1, Side::Buy, 10, 5), resting(2, Side::Buy, 10, 5)];
        let ba = [ab[1], ab[0]];
        let hash =
            |orders: [Resting; 2]| NaiveBook::try_from(orders.to_vec()).unwrap().state_hash();
        assert_ne!(hash(ab), hash(ba));
        assert_eq!(hash(ab), hash(ab));
    }
}
