//! What an incoming order does to the other side.

use super::ladder::{LevelId, rank};
use super::{FastBook, Reserve};
use crate::{Fill, Incoming};
use types::{Quantity, SelfTradePrevention, Side};

/// Whether and how the pass of an incoming order ends at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtLevel {
    /// The level is used up; the next one may be met.
    UsedUp,
    /// The order is used up.
    Filled,
    /// The order met its own account and ends.
    SelfTrade,
}

impl FastBook {
    /// Trades `incoming` down to what is left; says whether its own account ended it.
    #[inline]
    pub(super) fn match_all(
        &mut self,
        incoming: &Incoming,
        fills: &mut Vec<Fill>,
    ) -> (Quantity, bool) {
        let side = incoming.side.opposite();
        let limit = worst_rank(incoming, side);
        let mut remaining = incoming.quantity.0;
        let mut levels_left = levels_max(incoming);
        while remaining > 0
            && levels_left > 0
            && let Some(level) = self.ladder(side).best_to(limit)
        {
            levels_left -= 1;
            if self.match_level(incoming, level, &mut remaining, fills) == AtLevel::SelfTrade {
                return (Quantity(remaining), true);
            }
        }
        (Quantity(remaining), false)
    }

    fn match_level(
        &mut self,
        incoming: &Incoming,
        level: LevelId,
        remaining: &mut u64,
        fills: &mut Vec<Fill>,
    ) -> AtLevel {
        let side = incoming.side.opposite();
        let price = self.ladder(side).price(level);
        loop {
            let slot = self.ladder(side).queue(level).head;
            if self.orders.account(slot) == incoming.account {
                let last = self.ladder(side).queue(level).orders == 1;
                let policy = incoming.self_trade_prevention;
                if policy != SelfTradePrevention::CancelNewest {
                    let maker = self.resting_at(slot);
                    fills.push(Fill::MakerCancelled {
                        maker: maker.order,
                        quantity: maker.remaining,
                    });
                    self.take_out(slot);
                }
                if policy != SelfTradePrevention::CancelOldest {
                    return AtLevel::SelfTrade;
                }
                if last {
                    return AtLevel::UsedUp;
                }
                continue;
            }
            let node = self.orders.node(slot);
            let (maker, quantity) = (node.order, node.shown.min(*remaining));
            let last = self.ladder(side).queue(level).orders == 1;
            *remaining -= quantity;
            let maker_remaining = self.trade_slot(slot, quantity);
            fills.push(Fill::Trade {
                maker,
                price,
                quantity: Quantity(quantity),
                maker_remaining: Quantity(maker_remaining),
                taker_remaining: Quantity(*remaining),
            });
            if *remaining == 0 {
                return AtLevel::Filled;
            }
            if last && maker_remaining == 0 {
                return AtLevel::UsedUp;
            }
        }
    }

    /// Trades shares that the head of a queue shows; yields what is left of the order.
    #[inline]
    pub(super) fn trade_slot(&mut self, slot: u32, quantity: u64) -> u64 {
        let node = self.orders.node_mut(slot);
        let at = node.at;
        if quantity == node.shown {
            if at.is_iceberg() && self.show_anew(slot) {
                let hidden = self.hidden(slot);
                return self.orders.node(slot).shown + hidden;
            }
            self.take_out(slot);
            return 0;
        }
        node.shown -= quantity;
        let left = node.shown;
        self.ladder_mut(at.side()).queue_mut(at.level()).shown -= quantity;
        left + self.hidden(slot)
    }

    /// Shows an iceberg's next shares at the end of its queue; `false` when it has none left.
    #[cold]
    fn show_anew(&mut self, slot: u32) -> bool {
        let Some(Reserve { display, hidden }) = self.reserves.get_mut(&slot) else {
            return false;
        };
        let shown = display.0.min(*hidden);
        if shown == 0 {
            return false;
        }
        *hidden -= shown;
        self.unlink(slot);
        self.orders.node_mut(slot).shown = shown;
        self.append(slot);
        true
    }

    /// Whether all of it would trade at once.
    pub(super) fn would_fill(&self, incoming: &Incoming) -> bool {
        let side = incoming.side.opposite();
        let limit = worst_rank(incoming, side);
        let mut needed = incoming.quantity.0;
        let ladder = self.ladder(side);
        let reached = ladder
            .walk()
            .take_while(|level| ladder.queue(*level).rank <= limit);
        for level in reached.take(levels_max(incoming) as usize) {
            if needed == 0 {
                break;
            }
            let mut reserves = 0;
            for slot in self.queue(side, level) {
                if self.orders.account(slot) == incoming.account {
                    if incoming.self_trade_prevention == SelfTradePrevention::CancelOldest {
                        continue;
                    }
                    // It would end here. Reserves of this level stand behind it.
                    return false;
                }
                needed = needed.saturating_sub(self.orders.node(slot).shown);
                if needed == 0 {
                    return true;
                }
                reserves += self.hidden(slot);
            }
            needed = needed.saturating_sub(reserves);
        }
        needed == 0
    }
}

#[inline]
fn worst_rank(incoming: &Incoming, side: Side) -> i64 {
    incoming.limit.map_or(i64::MAX, |limit| rank(side, limit))
}

#[inline]
fn levels_max(incoming: &Incoming) -> u32 {
    incoming
        .levels_max
        .map_or(u32::MAX, |max| u32::from(max.get()))
}
