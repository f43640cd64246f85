//! The orders of a book, in one piece of memory: they name each other by slot, and a slot that is
//! given back is the next to be used, because it is still in the cache.

use super::ladder::LevelId;
use types::{AccountId, OrderId, Side};

/// No slot. A node stands there all the same, so that linking in and out may write to it instead of
/// asking whether there is a neighbour: that question costs more, because nobody can foresee the answer.
pub(super) const NONE: u32 = 0;

/// What is needed of an order to cancel it or to trade with it. 32 bytes: two to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Node {
    pub order: OrderId,
    /// Open shares but for an iceberg's reserve; 0 in a slot that is not in use.
    pub shown: u64,
    /// Next of its queue, or of the unused slots.
    pub next: u32,
    /// Previous of its queue.
    pub prev: u32,
    pub at: At,
    /// Next in its bucket of the index.
    pub in_bucket: u32,
}

/// Side, level and kind of an order, in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u32);

impl At {
    const SELL: u32 = 1 << 31;
    const ICEBERG: u32 = 1 << 30;

    #[inline]
    pub(super) fn new(side: Side, level: LevelId, iceberg: bool) -> Self {
        let side = match side {
            Side::Buy => 0,
            Side::Sell => Self::SELL,
        };
        Self(level.0 | side | if iceberg { Self::ICEBERG } else { 0 })
    }

    #[inline]
    pub(super) fn side(self) -> Side {
        if self.0 & Self::SELL == 0 {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    #[inline]
    pub(super) fn is_iceberg(self) -> bool {
        self.0 & Self::ICEBERG != 0
    }

    #[inline]
    pub(super) fn level(self) -> LevelId {
        LevelId(self.0 & !(Self::SELL | Self::ICEBERG))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    nodes: Vec<Node>,
    /// By slot; apart from the nodes, because a cancel does not need it.
    accounts: Vec<AccountId>,
    unused: u32,
    in_use: usize,
}

impl Arena {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.in_use
    }

    #[inline]
    pub(super) fn node(&self, slot: u32) -> &Node {
        &self.nodes[slot as usize]
    }

    #[inline]
    pub(super) fn node_mut(&mut self, slot: u32) -> &mut Node {
        &mut self.nodes[slot as usize]
    }

    #[inline]
    pub(super) fn account(&self, slot: u32) -> AccountId {
        self.accounts[slot as usize]
    }

    #[inline]
    pub(super) fn add(&mut self, node: Node, account: AccountId) -> u32 {
        self.in_use += 1;
        if self.unused == NONE {
            return self.grow(node, account);
        }
        let slot = self.unused;
        let place = self.node_mut(slot);
        let unused = place.next;
        *place = node;
        self.unused = unused;
        self.accounts[slot as usize] = account;
        slot
    }

    #[cold]
    fn grow(&mut self, node: Node, account: AccountId) -> u32 {
        if self.nodes.is_empty() {
            self.nodes.push(Node { shown: 0, ..node });
            self.accounts.push(account);
        }
        let slot = u32::try_from(self.nodes.len()).ok();
        self.nodes.push(node);
        self.accounts.push(account);
        slot.expect("fewer than 2^32 orders rest in a book: they would take 160 GiB")
    }

    #[inline]
    pub(super) fn remove(&mut self, slot: u32) {
        let unused = self.unused;
        let node = self.node_mut(slot);
        node.shown = 0;
        node.next = unused;
        self.unused = slot;
        self.in_use -= 1;
    }

    /// All slots in use and their orders, in no order that means anything.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, OrderId)> {
        let slots = (0..).zip(&self.nodes).filter(|(_, node)| node.shown > 0);
        slots.map(|(slot, node)| (slot, node.order))
    }
}
