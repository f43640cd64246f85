//! One side's price levels: from a price to its level, and from a level to the next worse one.
//!
//! ```text
//!              rank ──► in the band, on the tick? ── yes ──► flat[(rank - first) / tick] ─┐
//!                              │                             + bitmap of taken places     ├─► Level
//!                              └─ no ───────────────────────► sorted map ─────────────────┘
//! ```
//!
//! A price's *rank* grows from the best price to the worst on either side, so both sides run the same
//! code. Any price is accepted; the band only says which ones are found without searching.

use super::bitmap::Bitmap;
use std::collections::BTreeMap;
use types::{Price, Side};

/// A level's place among its side's levels; 0 stands for none, so that fresh memory is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LevelId(pub u32);

impl LevelId {
    pub(super) const NONE: Self = Self(0);

    #[inline]
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Levels have numbers below it: a node keeps a level's number beside two flags.
pub(super) const LEVELS_END: u32 = 1 << 30;

/// The orders at one price, first to trade at the head. 32 bytes: two to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Queue {
    pub rank: i64,
    /// Shares shown by all of them.
    pub shown: u64,
    pub head: u32,
    pub tail: u32,
    pub orders: u32,
    /// How many of them are icebergs.
    pub icebergs: u32,
}

/// The prices of a day: the owner tells a book which ones it will mostly see.
///
/// Orders at other prices are kept all the same, only slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// Prices are multiples of it.
    pub tick: Price,
    /// The lowest price, a multiple of the tick.
    pub low: Price,
    /// The highest price, a multiple of the tick.
    pub high: Price,
}

impl Band {
    /// Most prices that are found without searching: ±20 % of 500 yuan in steps of 0.001 fit.
    pub const PRICES_MAX: usize = Bitmap::PLACES_MAX;

    /// How many prices it has; `None` when it has none, too many, or no sound tick.
    fn prices(&self) -> Option<usize> {
        let span = self
            .high
            .0
            .checked_sub(self.low.0)
            .filter(|span| *span >= 0)?;
        let tick = Some(self.tick.0).filter(|tick| (1..1 << 31).contains(tick))?;
        let prices = usize::try_from(span / tick).ok()? + 1;
        (prices <= Self::PRICES_MAX).then_some(prices)
    }
}

/// The prices of the band, best first.
#[derive(Clone, Debug)]
struct Flat {
    /// Rank of the best price of the band.
    first: i64,
    tick: u64,
    /// 2^63 / tick, rounded up. `place * tick * reciprocal / 2^63` is `place + place * e / 2^63` with
    /// `e < tick < 2^31` and `place < 2^18`, so that rounded down it is `place`.
    reciprocal: u64,
    /// Distance in rank from the best to the worst price of the band.
    span: u64,
    /// Made on first use.
    levels: Vec<LevelId>,
    taken: Bitmap,
}

impl Flat {
    fn new(side: Side, band: Band) -> Option<Self> {
        let prices = band.prices()?;
        let tick = band.tick.0.unsigned_abs();
        let span = (prices as u64 - 1) * tick;
        let first = match side {
            // The highest price on the tick, which need not be `high`.
            Side::Buy => rank(side, Price(band.low.0 + span.cast_signed())),
            Side::Sell => rank(side, band.low),
        };
        Some(Self {
            first,
            tick,
            reciprocal: (1_u64 << 63).div_ceil(tick),
            span,
            levels: Vec::new(),
            taken: Bitmap::new(0),
        })
    }

    /// Where a rank stands; `None` when it is outside of the band or off the tick.
    #[inline]
    fn place(&self, rank: i64) -> Option<usize> {
        let offset = rank.wrapping_sub(self.first).cast_unsigned();
        if offset > self.span {
            return None;
        }
        // A multiplication where a division would cost ten times as much.
        let place = ((u128::from(offset) * u128::from(self.reciprocal)) >> 63) as u64;
        (place * self.tick == offset).then_some(place as usize)
    }

    /// The first level behind a rank.
    fn after(&self, rank: i64) -> Option<LevelId> {
        if self.levels.is_empty() {
            return None;
        }
        let place = if rank < self.first {
            self.taken.first()?
        } else {
            let offset = rank.abs_diff(self.first);
            if offset >= self.span {
                return None;
            }
            self.taken.next((offset / self.tick) as usize)?
        };
        Some(self.levels[place])
    }
}

/// One side of a book.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    side: Side,
    /// The first is never used; see [`LevelId::NONE`].
    queues: Vec<Queue>,
    /// Head of the list of unused queues, linked by `head`.
    unused: LevelId,
    flat: Option<Flat>,
    /// Levels that stand outside of the band, by rank.
    sorted: BTreeMap<i64, LevelId>,
    best: LevelId,
    best_rank: i64,
}

/// A price's rank on its side. `!price` turns the order round and, unlike `-price`, cannot overflow;
/// it is also its own inverse.
#[inline]
pub(super) fn rank(side: Side, price: Price) -> i64 {
    match side {
        Side::Buy => !price.0,
        Side::Sell => price.0,
    }
}

impl Ladder {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            queues: Vec::new(),
            unused: LevelId::NONE,
            flat: None,
            sorted: BTreeMap::new(),
            best: LevelId::NONE,
            best_rank: i64::MAX,
        }
    }

    /// Puts all levels where the band has them.
    pub(super) fn set_band(&mut self, band: Option<Band>) {
        let levels: Vec<LevelId> = self.walk().collect();
        self.flat = band.and_then(|band| Flat::new(self.side, band));
        self.sorted.clear();
        for level in levels {
            self.place(self.queue(level).rank, level);
        }
    }

    #[inline]
    pub(super) fn queue(&self, level: LevelId) -> &Queue {
        &self.queues[level.index()]
    }

    #[inline]
    pub(super) fn queue_mut(&mut self, level: LevelId) -> &mut Queue {
        &mut self.queues[level.index()]
    }

    #[inline]
    pub(super) fn price(&self, level: LevelId) -> Price {
        Price(match self.side {
            Side::Buy => !self.queue(level).rank,
            Side::Sell => self.queue(level).rank,
        })
    }

    /// The best level.
    pub(super) fn best(&self) -> Option<LevelId> {
        (self.best != LevelId::NONE).then_some(self.best)
    }

    /// The best level, if its rank is at most `limit`.
    #[inline]
    pub(super) fn best_to(&self, limit: i64) -> Option<LevelId> {
        (self.best_rank <= limit && self.best != LevelId::NONE).then_some(self.best)
    }

    /// The level of this rank, made anew when there is none.
    #[inline]
    pub(super) fn level(&mut self, rank: i64) -> LevelId {
        if let Some(flat) = &self.flat
            && let Some(place) = flat.place(rank)
            && let Some(level) = flat.levels.get(place)
            && *level != LevelId::NONE
        {
            return *level;
        }
        self.level_outside_or_new(rank)
    }

    fn level_outside_or_new(&mut self, rank: i64) -> LevelId {
        if let Some(level) = self.sorted.get(&rank) {
            return *level;
        }
        let level = self.unused_queue(rank);
        self.place(rank, level);
        if self.best == LevelId::NONE || rank < self.best_rank {
            (self.best, self.best_rank) = (level, rank);
        }
        level
    }

    fn unused_queue(&mut self, rank: i64) -> LevelId {
        let empty = Queue {
            rank,
            shown: 0,
            head: super::arena::NONE,
            tail: super::arena::NONE,
            orders: 0,
            icebergs: 0,
        };
        if self.unused != LevelId::NONE {
            let level = self.unused;
            self.unused = LevelId(self.queue(level).head);
            *self.queue_mut(level) = empty;
            return level;
        }
        if self.queues.is_empty() {
            self.queues.push(empty);
        }
        let level = u32::try_from(self.queues.len())
            .ok()
            .filter(|level| *level < LEVELS_END);
        let level = LevelId(level.expect("a level holds an order, and orders are fewer"));
        self.queues.push(empty);
        level
    }

    fn place(&mut self, rank: i64, level: LevelId) {
        let Some((flat, place)) = self.flat.as_mut().and_then(|flat| {
            let place = flat.place(rank)?;
            Some((flat, place))
        }) else {
            self.sorted.insert(rank, level);
            return;
        };
        if flat.levels.is_empty() {
            let places = (flat.span / flat.tick) as usize + 1;
            // Zeroed memory: of a wide band, only the pages in use come to exist.
            flat.levels = vec![LevelId::NONE; places];
            flat.taken = Bitmap::new(places);
        }
        flat.levels[place] = level;
        flat.taken.take(place);
    }

    /// Takes a level out whose last order has gone.
    pub(super) fn remove(&mut self, level: LevelId) {
        let rank = self.queue(level).rank;
        match self
            .flat
            .as_mut()
            .and_then(|flat| Some((flat.place(rank)?, flat)))
        {
            Some((place, flat)) => {
                flat.levels[place] = LevelId::NONE;
                flat.taken.release(place);
            }
            None => {
                self.sorted.remove(&rank);
            }
        }
        self.queue_mut(level).head = self.unused.0;
        self.unused = level;
        if level == self.best {
            let best = self.first();
            self.best = best.unwrap_or(LevelId::NONE);
            self.best_rank = best.map_or(i64::MAX, |best| self.queue(best).rank);
        }
    }

    fn first(&self) -> Option<LevelId> {
        let flat = self.flat.as_ref();
        let in_band = flat.and_then(|flat| Some(flat.levels[flat.taken.first()?]));
        let outside = self.sorted.first_key_value().map(|(_, level)| *level);
        self.better(in_band, outside)
    }

    /// The next worse level.
    pub(super) fn next(&self, level: LevelId) -> Option<LevelId> {
        let rank = self.queue(level).rank;
        let in_band = self.flat.as_ref().and_then(|flat| flat.after(rank));
        let after = (std::ops::Bound::Excluded(rank), std::ops::Bound::Unbounded);
        let outside = self.sorted.range(after).next().map(|(_, level)| *level);
        self.better(in_band, outside)
    }

    fn better(&self, one: Option<LevelId>, other: Option<LevelId>) -> Option<LevelId> {
        match (one, other) {
            (Some(one), Some(other)) if self.queue(other).rank < self.queue(one).rank => {
                Some(other)
            }
            (one, other) => one.or(other),
        }
    }

    /// All levels, best first.
    pub(super) fn walk(&self) -> impl Iterator<Item = LevelId> {
        std::iter::successors(self.best(), |level| self.next(*level))
    }
}
