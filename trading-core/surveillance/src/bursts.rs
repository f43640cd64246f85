//! Trading in bursts: who made most of a symbol's turnover in a short time, and who moved its price.
//!
//! Time is cut into windows of `window_ms`, aligned to 1970. In a window, for each symbol:
//! *turnover* is the sum of price × quantity of all trades; a unit's *part* is the sum over the trades
//! in which it bought, and apart from it those in which it sold; a unit's *move* is the sum of the
//! distances by which trades in which it took went beyond the last price, upwards for buys, downwards
//! for sells.

use crate::finding::{AccountSlot, Finding, SymbolSlot};
use crate::pairs::{Entry, Pairs};
use rules::Conduct;
use serde::{Deserialize, Serialize};
use types::{AlertKind, Price, Quantity, Side, UnixMicros};

/// A symbol's running window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    number: u64,
    turnover: u64,
    /// The price before its first trade.
    opened_at: Price,
    /// Of the last trade, over windows.
    last: Price,
}

/// A unit's part in a symbol's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    number: u64,
    bought: u64,
    sold: u64,
    moved_up: u64,
    moved_down: u64,
    is_large: bool,
    drives: bool,
}

impl Entry for Part {
    fn is_alive(&self, now: u64) -> bool {
        self.number == now
    }
}

/// The trade that is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deal {
    pub symbol: SymbolSlot,
    pub price: Price,
    pub quantity: Quantity,
    pub taker: Option<Side>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bursts {
    windows: Vec<Window>,
    parts: Pairs<Part>,
}

impl Bursts {
    pub(crate) fn new(bits: u32) -> Self {
        Self {
            windows: Vec::new(),
            parts: Pairs::new(bits),
        }
    }

    pub(crate) fn overflowed(&self) -> u64 {
        self.parts.overflowed
    }

    pub(crate) fn begin_day(&mut self) {
        self.windows.fill(Window::default());
    }

    /// A trade; `sides` are the unit, account and side of the buyer and the seller.
    pub(crate) fn traded(
        &mut self,
        now: UnixMicros,
        deal: Deal,
        sides: [(u32, AccountSlot, Side); 2],
        conduct: &Conduct,
        findings: &mut Vec<Finding>,
    ) {
        let place = deal.symbol.0 as usize;
        if self.windows.len() <= place {
            self.windows.resize(place + 1, Window::default());
        }
        let window_micros = u64::from(conduct.bursts.window_ms.max(1)) * 1_000;
        // Counted from 1, so that a place that was never used belongs to no window.
        let number = now.0 / window_micros + 1;
        let window = &mut self.windows[place];
        let last = window.last;
        if window.number != number {
            let opened_at = if last.0 > 0 { last } else { deal.price };
            *window = Window {
                number,
                turnover: 0,
                opened_at,
                last,
            };
        }
        let amount = deal.price.0.unsigned_abs().saturating_mul(deal.quantity.0);
        window.turnover = window.turnover.saturating_add(amount);
        window.last = deal.price;
        let (turnover, opened_at) = (window.turnover, window.opened_at);
        for (unit, account, side) in sides {
            let Some(part) = self.parts.entry(unit, deal.symbol.0, number) else {
                continue;
            };
            part.number = number;
            let own = part.add(deal, last, side, amount);
            let level = conduct.bursts;
            let has_share = level.share_warn.is_reached(own, turnover);
            let finding = |kind, observed, allowed| Finding {
                kind,
                account,
                related: None,
                symbol: Some(deal.symbol),
                observed,
                allowed,
            };
            let turnover_warn = level.turnover_warn.0.unsigned_abs();
            if has_share && own >= turnover_warn && !part.is_large {
                part.is_large = true;
                findings.push(finding(AlertKind::LargeInShortTime, own, turnover_warn));
            }
            let moved = part.moved_up.max(part.moved_down);
            let opened_at = opened_at.0.unsigned_abs();
            if has_share && level.price_move_warn.is_reached(moved, opened_at) && !part.drives {
                part.drives = true;
                let allowed = level.price_move_warn.of(opened_at.cast_signed(), 1);
                let allowed = allowed.unwrap_or_default().unsigned_abs();
                findings.push(finding(AlertKind::PriceDriving, moved, allowed));
            }
        }
    }
}

impl Part {
    /// Adds one side of a trade; the side's turnover so far.
    fn add(&mut self, deal: Deal, last: Price, side: Side, amount: u64) -> u64 {
        let beyond = |from: Price, to: Price| {
            if last.0 > 0 {
                to.0.saturating_sub(from.0).max(0).unsigned_abs()
            } else {
                0
            }
        };
        let takes = deal.taker == Some(side);
        let (own, moved, distance) = match side {
            Side::Buy => (
                &mut self.bought,
                &mut self.moved_up,
                beyond(last, deal.price),
            ),
            Side::Sell => (
                &mut self.sold,
                &mut self.moved_down,
                beyond(deal.price, last),
            ),
        };
        *own = own.saturating_add(amount);
        if takes {
            *moved = moved.saturating_add(distance);
        }
        *own
    }
}
