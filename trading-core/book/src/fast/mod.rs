//! The product: orders in one arena, first-come-first-served lists through them, price levels in an
//! array over the day's band.
//!
//! ```text
//!  order ─► index ─► slot ┐                        ┌─ bids: Ladder ─ price ─► level ─ head, tail ─┐
//!                         ▼                        │                                              │
//!      arena: [ node ][ node ][ node ] …  ◄────────┴─ asks: Ladder ─ price ─► level ─ head, tail ─┘
//!                └─next/prev─┘
//! ```
//!
//! A step touches few lines of memory: the bucket of the index, the order, its neighbours, the level.
//! Memory comes on first use, so a book in which nothing rests costs a few hundred bytes.

mod arena;
mod bitmap;
mod index;
mod ladder;
mod matching;

pub use ladder::Band;

use crate::restore::RestoreError;
use crate::{
    Book, BrokenInvariant, Ending, Fill, Iceberg, Incoming, Level, Outcome, Remainder, Resting,
};
use arena::{Arena, At, NONE, Node};
use index::Index;
use ladder::{Ladder, LevelId, rank};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use types::{OrderId, Price, Quantity, Side};

/// The fast book. Behaves as [`crate::NaiveBook`] does, whatever [`Band`] it is given.
///
/// Two books are equal when the same orders rest in the same order, whatever came and went before.
/// Its serialised form is the list of resting orders as [`Book::visit`] gives them; the band is not
/// part of it, so that whoever restores a book sets it again.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<Resting>")]
pub struct FastBook {
    bids: Ladder,
    asks: Ladder,
    orders: Arena,
    index: Index,
    /// What icebergs hold back, by slot. Few orders are icebergs.
    reserves: BTreeMap<u32, Reserve>,
}

/// What an iceberg does not show.
#[derive(Clone, Copy, Debug)]
struct Reserve {
    display: Quantity,
    hidden: u64,
}

impl Default for FastBook {
    fn default() -> Self {
        Self {
            bids: Ladder::new(Side::Buy),
            asks: Ladder::new(Side::Sell),
            orders: Arena::default(),
            index: Index::default(),
            reserves: BTreeMap::new(),
        }
    }
}

impl FastBook {
    /// An empty book for a day with these prices.
    #[must_use]
    pub fn with_band(band: Band) -> Self {
        let mut book = Self::default();
        book.set_band(Some(band));
        book
    }

    /// Tells which prices are to be found without searching; `None` searches for all. What rests
    /// stays as it is. Linear in the number of price levels.
    ///
    /// A band of more than [`Band::PRICES_MAX`] prices is as good as none.
    pub fn set_band(&mut self, band: Option<Band>) {
        self.bids.set_band(band);
        self.asks.set_band(band);
    }

    /// The memory at which a look-up of an order begins, for an owner who asks for it beforehand.
    #[inline]
    #[must_use]
    pub fn looked_up_at(&self, order: OrderId) -> Option<&u32> {
        self.index.head(order)
    }

    /// The memory in which an order most likely stands, for the same purpose.
    #[inline]
    #[must_use]
    pub fn stands_at(&self, order: OrderId) -> Option<&impl Sized> {
        let slot = *self.index.head(order)?;
        (slot != NONE).then(|| self.orders.node(slot))
    }

    /// The first order of the best level of a side.
    #[inline]
    #[must_use]
    pub fn first_of(&self, side: Side) -> Option<OrderId> {
        let ladder = self.ladder(side);
        let head = ladder.queue(ladder.best()?).head;
        Some(self.orders.node(head).order)
    }

    #[inline]
    fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    #[inline]
    fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The order in a slot that is in use.
    #[inline]
    fn resting_at(&self, slot: u32) -> Resting {
        let node = self.orders.node(slot);
        let side = node.at.side();
        let mut resting = Resting {
            order: node.order,
            account: self.orders.account(slot),
            side,
            price: self.ladder(side).price(node.at.level()),
            remaining: Quantity(node.shown),
            iceberg: None,
        };
        if node.at.is_iceberg()
            && let Some(reserve) = self.reserves.get(&slot)
        {
            resting.remaining.0 += reserve.hidden;
            resting.iceberg = Some(Iceberg {
                display: reserve.display,
                shown: Quantity(node.shown),
            });
        }
        resting
    }

    /// The slots of a level, first to trade first.
    fn queue(&self, side: Side, level: LevelId) -> impl Iterator<Item = u32> {
        let head = self.ladder(side).queue(level).head;
        let first = (head != NONE).then_some(head);
        std::iter::successors(first, |slot| {
            let next = self.orders.node(*slot).next;
            (next != NONE).then_some(next)
        })
    }

    fn hidden(&self, slot: u32) -> u64 {
        if self.orders.node(slot).at.is_iceberg() {
            self.reserves.get(&slot).map_or(0, |reserve| reserve.hidden)
        } else {
            0
        }
    }

    fn level_at(&self, side: Side, level: LevelId) -> Level {
        let queue = self.ladder(side).queue(level);
        let reserve = if queue.icebergs == 0 {
            0
        } else {
            self.queue(side, level).map(|slot| self.hidden(slot)).sum()
        };
        Level {
            price: self.ladder(side).price(level),
            shown: Quantity(queue.shown),
            reserve: Quantity(reserve),
            orders: queue.orders,
        }
    }

    /// Links a slot in at the end of its level's queue.
    #[inline]
    fn append(&mut self, slot: u32) {
        let node = self.orders.node(slot);
        let (at, shown) = (node.at, node.shown);
        let queue = self.ladder_mut(at.side()).queue_mut(at.level());
        let tail = queue.tail;
        queue.tail = slot;
        queue.head = if tail == NONE { slot } else { queue.head };
        queue.shown += shown;
        queue.orders += 1;
        queue.icebergs += u32::from(at.is_iceberg());
        self.orders.node_mut(tail).next = slot;
        let node = self.orders.node_mut(slot);
        node.prev = tail;
        node.next = NONE;
    }

    /// Links a slot out of its level's queue; yields how many are left in it.
    #[inline]
    fn unlink(&mut self, slot: u32) -> u32 {
        let Node {
            shown,
            next,
            prev,
            at,
            ..
        } = *self.orders.node(slot);
        self.orders.node_mut(prev).next = next;
        self.orders.node_mut(next).prev = prev;
        let queue = self.ladder_mut(at.side()).queue_mut(at.level());
        queue.head = if prev == NONE { next } else { queue.head };
        queue.tail = if next == NONE { prev } else { queue.tail };
        queue.shown -= shown;
        queue.orders -= 1;
        queue.icebergs -= u32::from(at.is_iceberg());
        queue.orders
    }

    /// Forgets a slot that is linked out, and what belongs to it.
    #[inline]
    fn forget(&mut self, slot: u32) {
        let Node { order, at, .. } = *self.orders.node(slot);
        self.index.remove(&mut self.orders, order, slot);
        if at.is_iceberg() {
            self.reserves.remove(&slot);
        }
        self.orders.remove(slot);
    }

    #[inline]
    fn take_out(&mut self, slot: u32) {
        let at = self.orders.node(slot).at;
        if self.unlink(slot) == 0 {
            self.ladder_mut(at.side()).remove(at.level());
        }
        self.forget(slot);
    }

    fn shrink_slot(&mut self, slot: u32, remaining: Quantity) {
        let hidden = self.hidden(slot);
        let node = self.orders.node_mut(slot);
        if !(1..=node.shown + hidden).contains(&remaining.0) {
            return;
        }
        let shown = node.shown.min(remaining.0);
        let given_up = node.shown - shown;
        node.shown = shown;
        let at = node.at;
        self.ladder_mut(at.side()).queue_mut(at.level()).shown -= given_up;
        if let Some(reserve) = self.reserves.get_mut(&slot).filter(|_| at.is_iceberg()) {
            reserve.hidden = remaining.0 - shown;
        }
    }

    #[inline]
    fn place(&mut self, incoming: &Incoming, price: Price, remaining: Quantity) {
        if incoming.display.is_some() {
            self.rest(Resting::of(incoming, price, remaining));
            return;
        }
        let side = incoming.side;
        let level = self.ladder_mut(side).level(rank(side, price));
        let node = Node {
            order: incoming.order,
            shown: remaining.0,
            next: NONE,
            prev: NONE,
            at: At::new(side, level, false),
            in_bucket: NONE,
        };
        let slot = self.orders.add(node, incoming.account);
        self.index.add(&mut self.orders, incoming.order, slot);
        self.append(slot);
    }
}

impl Book for FastBook {
    #[inline]
    fn submit(&mut self, incoming: Incoming, fills: &mut Vec<Fill>) -> Outcome {
        debug_assert!(self.index.find(&self.orders, incoming.order).is_none());
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
            && (incoming.levels_max.is_none() || !self.would_trade(incoming.side, price))
        {
            self.place(&incoming, price, remaining);
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
        let side = resting.side;
        let level = self.ladder_mut(side).level(rank(side, resting.price));
        let node = Node {
            order: resting.order,
            shown: resting.shown().0,
            next: NONE,
            prev: NONE,
            at: At::new(side, level, resting.iceberg.is_some()),
            in_bucket: NONE,
        };
        let slot = self.orders.add(node, resting.account);
        self.index.add(&mut self.orders, resting.order, slot);
        self.append(slot);
        if let Some(iceberg) = resting.iceberg {
            self.reserves.insert(
                slot,
                Reserve {
                    display: iceberg.display,
                    hidden: resting.remaining.0 - iceberg.shown.0,
                },
            );
        }
    }

    #[inline]
    fn cancel(&mut self, order: OrderId) -> Option<Resting> {
        let slot = self.index.find(&self.orders, order)?;
        let resting = self.resting_at(slot);
        self.take_out(slot);
        Some(resting)
    }

    fn shrink(&mut self, order: OrderId, remaining: Quantity) {
        if let Some(slot) = self.index.find(&self.orders, order) {
            self.shrink_slot(slot, remaining);
        }
    }

    fn resting(&self, order: OrderId) -> Option<Resting> {
        let slot = self.index.find(&self.orders, order)?;
        Some(self.resting_at(slot))
    }

    fn first(&self, side: Side) -> Option<Resting> {
        let ladder = self.ladder(side);
        let head = ladder.queue(ladder.best()?).head;
        Some(self.resting_at(head))
    }

    fn trade_first(&mut self, side: Side, quantity: Quantity) -> Option<Quantity> {
        let ladder = self.ladder(side);
        let slot = ladder.queue(ladder.best()?).head;
        let quantity = quantity.0.min(self.orders.node(slot).shown);
        Some(Quantity(self.trade_slot(slot, quantity)))
    }

    fn levels(&self, side: Side, visitor: &mut dyn FnMut(&Level) -> ControlFlow<()>) {
        for level in self.ladder(side).walk() {
            if visitor(&self.level_at(side, level)).is_break() {
                return;
            }
        }
    }

    fn best(&self, side: Side) -> Option<Price> {
        let ladder = self.ladder(side);
        Some(ladder.price(ladder.best()?))
    }

    fn len(&self) -> usize {
        self.orders.len()
    }

    fn visit(&self, visitor: &mut dyn FnMut(&Resting)) {
        for side in [Side::Buy, Side::Sell] {
            for level in self.ladder(side).walk() {
                for slot in self.queue(side, level) {
                    visitor(&self.resting_at(slot));
                }
            }
        }
    }

    fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        let icebergs = self
            .orders
            .slots()
            .filter(|(slot, _)| self.orders.node(*slot).at.is_iceberg());
        let stand = icebergs.count();
        if self.reserves.len() != stand {
            return Err(BrokenInvariant::Count {
                what: "reserves",
                counted: self.reserves.len(),
                stand,
            });
        }
        crate::check_resting(self)
    }
}

impl PartialEq for FastBook {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.list() == other.list()
    }
}

impl Eq for FastBook {}

impl FastBook {
    fn list(&self) -> Vec<Resting> {
        let mut list = Vec::with_capacity(self.len());
        self.visit(&mut |resting| list.push(*resting));
        list
    }
}

impl Serialize for FastBook {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list())
    }
}

impl TryFrom<Vec<Resting>> for FastBook {
    type Error = RestoreError;

    fn try_from(orders: Vec<Resting>) -> Result<Self, RestoreError> {
        crate::restore::restore(orders)
    }
}
