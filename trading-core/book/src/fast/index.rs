//! From an order's number to its slot: a hash table whose chains run through the nodes, so that a
//! look-up touches one line of the table and then the node, which the caller needs anyway.

use super::arena::{Arena, NONE};
use types::OrderId;

/// The heads of the chains.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// A power of two of them, at least as many as there are orders.
    buckets: Vec<u32>,
    /// 64 less the number of bits of a bucket's number.
    shift: u32,
}

const BUCKETS_MIN: usize = 16;

impl Index {
    fn bucket(&self, order: OrderId) -> usize {
        // 2^64 divided by the golden ratio: numbers that follow one another spread over all buckets.
        (order.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    pub(super) fn find(&self, orders: &Arena, order: OrderId) -> Option<u32> {
        let mut slot = *self.buckets.get(self.bucket_or_0(order))?;
        while slot != NONE {
            let node = orders.node(slot);
            if node.order == order {
                return Some(slot);
            }
            slot = node.in_bucket;
        }
        None
    }

    /// An empty index has no buckets and a shift of 0.
    fn bucket_or_0(&self, order: OrderId) -> usize {
        if self.buckets.is_empty() {
            0
        } else {
            self.bucket(order)
        }
    }

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
        self.shift = 64 - count.trailing_zeros();
        let slots: Vec<_> = orders.slots().collect();
        for (slot, order) in slots {
            let bucket = self.bucket(order);
            orders.node_mut(slot).in_bucket = self.buckets[bucket];
            self.buckets[bucket] = slot;
        }
    }
}
