//! The obvious book: one sorted map a side, whose first entry is the next to trade.
//!
//! ```text
//!   bids: (rank, arrival) ─► Resting      rank grows from the best price to the worst
//!   asks: (rank, arrival) ─► Resting      arrival grows with each order that comes to rest
//!   places: order ─► (side, rank, arrival)
//! ```

use crate::{Book, BrokenInvariant, Ending, Fill, Incoming, Outcome, Remainder, Resting};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

/// Orders that never rested together in a book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to restore a book from its resting orders: {0}")]
pub struct RestoreError(#[from] BrokenInvariant);

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

    fn rest(&mut self, resting: Resting) {
        self.arrivals += 1;
        let place = Place {
            rank: rank(resting.side, resting.price),
            arrival: self.arrivals,
        };
        self.places.insert(resting.order, (resting.side, place));
        self.side_mut(resting.side).insert(place, resting);
    }

    /// Trades `incoming` down to what is left; says whether its own account ended it.
    fn match_all(&mut self, incoming: &Incoming, fills: &mut Vec<Fill>) -> (Quantity, bool) {
        let mut remaining = incoming.quantity;
        while remaining.0 > 0 {
            let Some(mut first) = self.side_mut(incoming.side.opposite()).first_entry() else {
                break;
            };
            let maker = first.get_mut();
            if !accepts(incoming, maker.price) {
                break;
            }
            if maker.account == incoming.account {
                if incoming.self_trade_prevention != SelfTradePrevention::CancelNewest {
                    fills.push(Fill::MakerCancelled {
                        maker: maker.order,
                        quantity: maker.remaining,
                    });
                    let order = first.remove().order;
                    self.places.remove(&order);
                }
                if incoming.self_trade_prevention != SelfTradePrevention::CancelOldest {
                    return (remaining, true);
                }
                continue;
            }
            let traded = remaining.min(maker.remaining);
            remaining.0 -= traded.0;
            maker.remaining.0 -= traded.0;
            fills.push(Fill::Trade {
                maker: maker.order,
                price: maker.price,
                quantity: traded,
                maker_remaining: maker.remaining,
                taker_remaining: remaining,
            });
            if maker.remaining.0 == 0 {
                let order = first.remove().order;
                self.places.remove(&order);
            }
        }
        (remaining, false)
    }
}

/// Whether an incoming order takes a resting order's price.
fn accepts(incoming: &Incoming, price: Price) -> bool {
    match (incoming.limit, incoming.side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price <= limit,
        (Some(limit), Side::Sell) => price >= limit,
    }
}

impl Book for NaiveBook {
    fn submit(&mut self, incoming: Incoming, fills: &mut Vec<Fill>) -> Outcome {
        debug_assert!(!self.places.contains_key(&incoming.order));
        let (remaining, met_itself) = self.match_all(&incoming, fills);
        let ending = if remaining.0 == 0 {
            Ending::Filled
        } else if met_itself {
            Ending::SelfTrade
        } else if let (Some(price), Remainder::Rests) = (incoming.limit, incoming.remainder) {
            self.rest(Resting {
                order: incoming.order,
                account: incoming.account,
                side: incoming.side,
                price,
                remaining,
            });
            Ending::Rested
        } else {
            Ending::Unfilled
        };
        Outcome { remaining, ending }
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
        }
    }

    fn resting(&self, order: OrderId) -> Option<Resting> {
        let (side, place) = self.places.get(&order)?;
        self.side(*side).get(place).copied()
    }

    fn best(&self, side: Side) -> Option<Price> {
        self.side(side).values().next().map(|first| first.price)
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
        let mut book = Self::default();
        for resting in orders {
            if book.places.contains_key(&resting.order) {
                let order = resting.order;
                return Err(BrokenInvariant::Twice { order }.into());
            }
            book.rest(resting);
        }
        book.check_invariants()?;
        Ok(book)
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
        let crossed = vec![resting(1, Side::Buy, 10, 1), resting(2, Side::Sell, 10, 1)];
        let twice = vec![resting(1, Side::Buy, 10, 1), resting(1, Side::Buy, 10, 1)];
        let empty = vec![resting(1, Side::Buy, 10, 0)];
        for (orders, word) in [(crossed, "crossed"), (twice, "twice"), (empty, "no open")] {
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
