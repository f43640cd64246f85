//! From an order's number to its slot: a hash table whose chains run through the nodes, so that a
//! look-up touches one line of the table and then the node, which the caller needs anyway.

use super::arena::{Arena, NONE};
use types::OrderId;

/// The heads of the chains.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// A power of two of them, at least as many as there are orders.
    buckets: Vec<u32>,
    /// One less than their number.
    mask: usize,
}

const BUCKETS_MIN: usize = 16;

impl Index {
    /// Numbers that follow one another share lines of the table, so that new orders find theirs in
    /// the cache; the upper bits are mixed in for books that get every n-th number only.
    #[inline]
    fn bucket(&self, order: OrderId) -> usize {
        let mixed = order
            .0
            .wrapping_add((order.0 >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed as usize & self.mask
    }

    /// Where a look-up begins.
    #[inline]
    pub(super) fn head(&self, order: OrderId) -> Option<&u32> {
        self.buckets.get(self.bucket(order))
    }

    #[inline]
    pub(super) fn find(&self, orders: &Arena, order: OrderId) -> Option<u32> {
        let mut slot = *self.buckets.get(self.bucket(order))?;
        while slot != NONE {
            let node = orders.node(slot);
            if node.order == order {
                return Some(slot);
            }
            slot = node.in_bucket;
        }
        None
    }

    #[inline]
    pub(super) fn add(&mut self, orders: &mut Arena, order: OrderId, slot: u32) {
        if orders.len() > self.buckets.len() {
            self.grow(orders);
            return;
        }
        let bucket = self.bucket(order);
        orders.node_mut(slot).in_bucket = self.buckets[bucket];
        self.buckets[bucket] = slot;
    }

    /// Takes a slot out of its chain; the slot is in it.
    #[inline]
    pub(super) fn remove(&mut self, orders: &mut Arena, order: OrderId, slot: u32) {
        let after = orders.node(slot).in_bucket;
        let bucket = self.bucket(order);
        let mut at = self.buckets[bucket];
        if at == slot {
            self.buckets[bucket] = after;
            return;
        }
        while at != NONE {
            let node = orders.node_mut(at);
            if node.in_bucket == slot {
                node.in_bucket = after;
                return;
            }
            at = node.in_bucket;
        }
    }

    /// Doubles the buckets and fills them with all orders in use.
    #[cold]
    fn grow(&mut self, orders: &mut Arena) {
        let count = (orders.len() * 2).next_power_of_two().max(BUCKETS_MIN);
        self.buckets.clear();
        self.buckets.resize(count, NONE);
        self.mask = count - 1;
        let slots: Vec<_> = orders.slots().collect();
        for (slot, order) in slots {
            let bucket = self.bucket(order);
            orders.node_mut(slot).in_bucket = self.buckets[bucket];
            self.buckets[bucket] = slot;
        }
    }
}
