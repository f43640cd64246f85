//! The call auction: one price for all, found from what rests on both sides.
//!
//! ```text
//!    price    buys at it and better ─► D        S ◄─ sells at it and better
//!    10.03             100                                500
//!    10.02             300                                400
//!    10.01             400  ◄── most shares, 400 ──►      400
//!    10.00             900                                200
//! ```
//!
//! An auction price meets three conditions, as the rules of both exchanges have them:
//! 1. no price trades more shares;
//! 2. every buy above it and every sell below it trades wholly;
//! 3. at the price itself at least one side trades wholly.
//!
//! Where several prices do, the exchanges differ; see [`TieBreak`].
//!
//! Icebergs take part with all their shares. Their reserve stands behind what the others of the same
//! price show, as in continuous trading.

use crate::contract::reaches;
use crate::{Book, Resting};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use types::{AccountId, OrderId, Price, Quantity, Side};

/// How a call auction finds its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuctionRule {
    /// Prices are multiples of it; taken as 1 when it is not above 0.
    pub tick: Price,
    /// Which price is taken where several meet the three conditions.
    pub tie: TieBreak,
}

/// Which price is taken where several meet the three conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TieBreak {
    /// Shanghai: of the prices at which orders stand, the one that leaves the fewest shares without
    /// a counterpart. Where two are left, the middle between them, rounded to the tick, half a tick
    /// up; it meets the conditions whenever both ends do.
    Middle,
    /// Shenzhen: of all prices on the tick, the one at which demand and supply differ least. Where
    /// several are left, the one closest to the reference; of two equally close, the higher.
    Nearest {
        /// The previous close at the opening, the last trade at the close.
        reference: Price,
    },
}

/// What a call auction would do, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indicative {
    /// The one price.
    pub price: Price,
    /// Shares that trade.
    pub volume: Quantity,
    /// Shares at the price and better that find no counterpart.
    pub unmatched: Quantity,
    /// Whose they are; `None` when both sides trade wholly.
    pub unmatched_side: Option<Side>,
}

/// One step of the end of an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuctionFill {
    /// An order would have met its own account and gave way. All such come before the first trade.
    Cancelled {
        /// The order.
        order: OrderId,
        /// Shares that were open.
        quantity: Quantity,
    },
    /// Two resting orders traded.
    Trade {
        /// The buy.
        buy: OrderId,
        /// The sell.
        sell: OrderId,
        /// The auction's price, the same for all.
        price: Price,
        /// Shares.
        quantity: Quantity,
        /// What is left of the buy; at 0 it is gone.
        buy_remaining: Quantity,
        /// What is left of the sell; at 0 it is gone.
        sell_remaining: Quantity,
    },
}

/// What would trade at a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    price: Price,
    /// Shares bought at the price or above.
    demand: u64,
    /// Shares sold at the price or below.
    supply: u64,
}

impl Candidate {
    fn volume(&self) -> u64 {
        self.demand.min(self.supply)
    }

    fn unmatched(&self) -> u64 {
        self.demand.abs_diff(self.supply)
    }
}

/// The candidates that lead: equal volume, equal shares unmatched.
#[derive(Clone, Copy, Debug)]
struct Leaders {
    lowest: Candidate,
    highest: Candidate,
}

/// Finds the price; linear in the levels at which the sides overlap.
pub(crate) fn indicative<B: Book + ?Sized>(book: &B, rule: AuctionRule) -> Option<Indicative> {
    let best_bid = book.best(Side::Buy)?;
    let best_ask = book.best(Side::Sell)?;
    // Demand from the lowest overlapping price up; supply likewise.
    let mut bids = overlapping(book, Side::Buy, best_ask);
    bids.reverse();
    let asks = overlapping(book, Side::Sell, best_bid);
    let leaders = leaders(&bids, &asks, rule)?;
    let price = match rule.tie {
        TieBreak::Middle => middle(leaders.lowest.price, leaders.highest.price, rule.tick),
        TieBreak::Nearest { reference } => nearest(leaders, reference, rule.tick),
    };
    // Between two leaders demand equals supply; at an end it is as that end has it.
    let volume = leaders.lowest.volume();
    let at = [leaders.lowest, leaders.highest]
        .into_iter()
        .find(|end| end.price == price)
        .unwrap_or(Candidate {
            price,
            demand: volume,
            supply: volume,
        });
    Some(Indicative {
        price,
        volume: Quantity(volume),
        unmatched: Quantity(at.unmatched()),
        unmatched_side: match at.demand.cmp(&at.supply) {
            std::cmp::Ordering::Less => Some(Side::Sell),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Side::Buy),
        },
    })
}

/// Price and open shares of a side's levels, best first, that an opposite order at `limit` reaches.
fn overlapping<B: Book + ?Sized>(book: &B, side: Side, limit: Price) -> Vec<(Price, u64)> {
    let mut found = Vec::new();
    book.levels(side, &mut |level| {
        if !reaches(side.opposite(), limit, level.price) {
            return ControlFlow::Break(());
        }
        found.push((level.price, level.open().0));
        ControlFlow::Continue(())
    });
    found
}

/// Walks both sides' levels from the lowest price up and keeps the candidates that lead.
fn leaders(bids: &[(Price, u64)], asks: &[(Price, u64)], rule: AuctionRule) -> Option<Leaders> {
    let mut leaders = None;
    let mut demand: u64 = bids.iter().map(|(_, open)| open).sum();
    let mut supply_below = 0;
    let (mut bids, mut asks) = (bids.iter().peekable(), asks.iter().peekable());
    loop {
        let lowest = [bids.peek(), asks.peek()].into_iter().flatten();
        let Some(price) = lowest.map(|(price, _)| *price).min() else {
            return leaders;
        };
        let bought = bids.next_if(|bid| bid.0 == price).map_or(0, |bid| bid.1);
        let sold = asks.next_if(|ask| ask.0 == price).map_or(0, |ask| ask.1);
        let supply = supply_below + sold;
        let demand_above = demand - bought;
        // The second condition; the third holds because the smaller of both trades wholly.
        if demand_above <= supply && supply_below <= demand {
            let here = Candidate {
                price,
                demand,
                supply,
            };
            lead(&mut leaders, here);
        }
        // Prices up to the next order's: all of them or none balance.
        let next = [bids.peek(), asks.peek()].into_iter().flatten();
        if let (TieBreak::Nearest { .. }, Some(next)) = (rule.tie, next.map(|(p, _)| *p).min())
            && demand_above == supply
        {
            for between in ends_between(price, next, rule.tick).into_iter().flatten() {
                let balanced = Candidate {
                    price: between,
                    demand: supply,
                    supply,
                };
                lead(&mut leaders, balanced);
            }
        }
        demand = demand_above;
        supply_below = supply;
    }
}

/// The lowest and the highest price on the tick that lie between two prices, which need not be on
/// it themselves (a book used alone may hold such orders); `None` where no price does.
fn ends_between(below: Price, above: Price, tick: Price) -> Option<[Price; 2]> {
    let tick = tick.0.max(1);
    let first = below.0.div_euclid(tick).checked_add(1)?.checked_mul(tick)?;
    let last = (above.0.checked_sub(1)?)
        .div_euclid(tick)
        .checked_mul(tick)?;
    (first <= last).then_some([Price(first), Price(last)])
}

/// Lets a candidate take the lead, or share it. Candidates come from the lowest price up.
fn lead(leaders: &mut Option<Leaders>, candidate: Candidate) {
    let alone = Leaders {
        lowest: candidate,
        highest: candidate,
    };
    let Some(now) = leaders else {
        *leaders = Some(alone);
        return;
    };
    let by_volume = candidate.volume().cmp(&now.lowest.volume());
    let by_unmatched = now.lowest.unmatched().cmp(&candidate.unmatched());
    match by_volume.then(by_unmatched) {
        std::cmp::Ordering::Less => {}
        std::cmp::Ordering::Equal => now.highest = candidate,
        std::cmp::Ordering::Greater => *now = alone,
    }
}

/// The middle of two prices on the tick, half a tick up.
fn middle(low: Price, high: Price, tick: Price) -> Price {
    let tick = i128::from(tick.0.max(1));
    let twice = i128::from(low.0) + i128::from(high.0);
    let rounded = (twice + tick).div_euclid(2 * tick) * tick;
    between(rounded, low, high)
}

fn nearest(leaders: Leaders, reference: Price, tick: Price) -> Price {
    let (low, high) = (leaders.lowest.price, leaders.highest.price);
    if leaders.lowest.unmatched() == 0 {
        let tick = i128::from(tick.0.max(1));
        let rounded = (2 * i128::from(reference.0) + tick).div_euclid(2 * tick) * tick;
        return between(rounded, low, high);
    }
    // Demand exceeds supply at the one end as supply exceeds demand at the other: nothing between.
    if reference.0.abs_diff(low.0) < reference.0.abs_diff(high.0) {
        low
    } else {
        high
    }
}

fn between(price: i128, low: Price, high: Price) -> Price {
    let clamped = price.clamp(i128::from(low.0), i128::from(high.0));
    i64::try_from(clamped).map_or(low, Price)
}

/// See [`Book::uncross`].
pub(crate) fn uncross<B: Book + ?Sized>(
    book: &mut B,
    rule: AuctionRule,
    fills: &mut Vec<AuctionFill>,
) -> Option<Indicative> {
    for order in self_crossing(book) {
        if let Some(taken) = book.cancel(order) {
            fills.push(AuctionFill::Cancelled {
                order,
                quantity: taken.remaining,
            });
        }
    }
    let found = book.indicative(rule)?;
    let mut left = found.volume;
    while left.0 > 0 {
        let (buy, sell) = (book.first(Side::Buy)?, book.first(Side::Sell)?);
        let quantity = left.min(buy.shown()).min(sell.shown());
        let buy_remaining = book.trade_first(Side::Buy, quantity)?;
        let sell_remaining = book.trade_first(Side::Sell, quantity)?;
        left.0 -= quantity.0;
        fills.push(AuctionFill::Trade {
            buy: buy.order,
            sell: sell.order,
            price: found.price,
            quantity,
            buy_remaining,
            sell_remaining,
        });
    }
    Some(found)
}

/// Orders that have to give way lest an account trade with itself: as if all that overlap had come
/// in by their numbers, each refused when it crosses one of its account that was let in.
fn self_crossing<B: Book + ?Sized>(book: &B) -> Vec<OrderId> {
    let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell)) else {
        return Vec::new();
    };
    if bid < ask {
        return Vec::new();
    }
    let mut overlap: Vec<Resting> = Vec::new();
    book.visit(&mut |resting| {
        let limit = match resting.side {
            Side::Buy => ask,
            Side::Sell => bid,
        };
        if reaches(resting.side, resting.price, limit) {
            overlap.push(*resting);
        }
    });
    overlap.sort_unstable_by_key(|resting| resting.order);
    let mut let_in: BTreeMap<(AccountId, Side), Price> = BTreeMap::new();
    overlap.retain(|resting| {
        let theirs = let_in.get(&(resting.account, resting.side.opposite()));
        if theirs.is_some_and(|theirs| reaches(resting.side, resting.price, *theirs)) {
            return true;
        }
        let best = let_in.entry((resting.account, resting.side));
        let best = best.or_insert(resting.price);
        *best = match resting.side {
            Side::Buy => resting.price.max(*best),
            Side::Sell => resting.price.min(*best),
        };
        false
    });
    overlap.iter().map(|resting| resting.order).collect()
}
