//! The best levels of a book, as level 2 shows them.

use crate::market::Level;
use types::{Price, Quantity, Side};

/// Most levels of a side that level 2 shows: with 25, the whole of a symbol fits one packet.
pub const DEPTH_MAX: usize = 25;

/// One change of a ladder: the level as it stands now; none of its shares left means it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The side.
    pub side: Side,
    /// The level.
    pub level: Level,
}

/// Why a change cannot be made: sender and receiver do not have the same ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// A level is to go that is not there.
    #[error("the {side:?} level at {price} is to go and is not there")]
    AbsentLevel {
        /// The side.
        side: Side,
        /// The price.
        price: Price,
    },
    /// More levels than a ladder has.
    #[error(
        "the {side:?} side has more than {depth_max} levels",
        depth_max = DEPTH_MAX
    )]
    TooDeep {
        /// The side.
        side: Side,
    },
    /// A whole ladder whose levels are not from the best to the worst, or are empty.
    #[error("the {side:?} level at {price} is empty or not behind the one before it")]
    Order {
        /// The side.
        side: Side,
        /// The price.
        price: Price,
    },
}

/// At most [`DEPTH_MAX`] levels a side, best first, none empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Ladder {
    /// Takes whole sides; levels must go from the best to the worst.
    ///
    /// # Errors
    /// [`LadderError::Order`] or [`LadderError::TooDeep`].
    pub fn new(bids: Vec<Level>, asks: Vec<Level>) -> Result<Self, LadderError> {
        let ladder = Self { bids, asks };
        for side in [Side::Buy, Side::Sell] {
            let levels = ladder.side(side);
            if levels.len() > DEPTH_MAX {
                return Err(LadderError::TooDeep { side });
            }
            let mut before = None;
            for level in levels {
                let behind = before.is_none_or(|before| is_better(side, before, level.price));
                if !behind || level.quantity == Quantity(0) {
                    let price = level.price;
                    return Err(LadderError::Order { side, price });
                }
                before = Some(level.price);
            }
        }
        Ok(ladder)
    }

    /// One side, best first.
    #[must_use]
    pub fn side(&self, side: Side) -> &[Level] {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    /// The best price of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Price> {
        self.side(side).first().map(|level| level.price)
    }

    /// All levels: bids, then asks, each best first.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        [Side::Buy, Side::Sell].into_iter().flat_map(|side| {
            self.side(side).iter().map(move |level| Change {
                side,
                level: *level,
            })
        })
    }

    /// Levels of both sides.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bids.len() + self.asks.len()
    }

    /// Whether no level is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes changes: first what goes, then what comes, so that the depth holds all along.
    ///
    /// # Errors
    /// [`LadderError`]; the ladder is then of no use any more.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), LadderError> {
        let gone = |change: &&Change| change.level.quantity == Quantity(0);
        for change in changes.iter().filter(gone) {
            self.remove(change.side, change.level.price)?;
        }
        for change in changes.iter().filter(|change| !gone(change)) {
            self.set(change.side, change.level)?;
        }
        Ok(())
    }

    fn remove(&mut self, side: Side, price: Price) -> Result<(), LadderError> {
        let place = self.place(side, price);
        let levels = self.side_mut(side);
        match place {
            Ok(place) => {
                levels.remove(place);
                Ok(())
            }
            Err(_) => Err(LadderError::AbsentLevel { side, price }),
        }
    }

    fn set(&mut self, side: Side, level: Level) -> Result<(), LadderError> {
        let place = self.place(side, level.price);
        let levels = self.side_mut(side);
        match place {
            Ok(place) => levels[place] = level,
            Err(_) if levels.len() >= DEPTH_MAX => return Err(LadderError::TooDeep { side }),
            Err(place) => levels.insert(place, level),
        }
        Ok(())
    }

    fn side_mut(&mut self, side: Side) -> &mut Vec<Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn place(&self, side: Side, price: Price) -> Result<usize, usize> {
        self.side(side).binary_search_by(|level| match side {
            Side::Buy => price.cmp(&level.price),
            Side::Sell => level.price.cmp(&price),
        })
    }

    /// What turns `self` into `target`.
    #[must_use]
    pub fn difference(&self, target: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            for level in self.side(side) {
                if target.place(side, level.price).is_err() {
                    let quantity = Quantity(0);
                    let level = Level {
                        quantity,
                        orders: 0,
                        ..*level
                    };
                    changes.push(Change { side, level });
                }
            }
            for level in target.side(side) {
                let before = self.place(side, level.price).map(|at| self.side(side)[at]);
                if before != Ok(*level) {
                    changes.push(Change {
                        side,
                        level: *level,
                    });
                }
            }
        }
        changes
    }
}

/// Whether `price` would trade before `other`.
fn is_better(side: Side, price: Price, other: Price) -> bool {
    match side {
        Side::Buy => price > other,
        Side::Sell => price < other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn level(price: i64, quantity: u64) -> Level {
        Level {
            price: Price(price),
            quantity: Quantity(quantity),
            orders: 1,
        }
    }

    #[test]
    fn a_level_that_is_not_there_cannot_go() {
        let side = Side::Buy;
        let gone = Change {
            side,
            level: level(100, 0),
        };
        assert_eq!(
            Ladder::default().apply(&[gone]),
            Err(LadderError::AbsentLevel {
                side,
                price: Price(100)
            })
        );
    }

    #[test]
    fn a_whole_side_goes_from_the_best_to_the_worst() {
        let bids = vec![level(100, 1), level(101, 1)];
        assert!(matches!(
            Ladder::new(bids, vec![]),
            Err(LadderError::Order { .. })
        ));
        assert!(Ladder::new(vec![], vec![level(100, 1), level(101, 1)]).is_ok());
        assert!(Ladder::new(vec![], vec![level(100, 0)]).is_err());
        let deep = (0..=DEPTH_MAX as i64).map(|at| level(at, 1)).collect();
        assert!(matches!(
            Ladder::new(vec![], deep),
            Err(LadderError::TooDeep { .. })
        ));
    }

    fn any_ladder() -> impl Strategy<Value = Ladder> {
        let side = || prop::collection::btree_map(0_i64..60, 1_u64..4, 0..=DEPTH_MAX);
        (side(), side()).prop_map(|(bids, asks)| {
            let bids = bids.iter().rev().map(|(p, q)| level(*p, *q)).collect();
            let asks = asks.iter().map(|(p, q)| level(*p, *q)).collect();
            Ladder::new(bids, asks).unwrap()
        })
    }

    proptest! {
        #[test]
        fn the_difference_leads_from_any_ladder_to_any_other(
            from in any_ladder(),
            to in any_ladder(),
        ) {
            let mut ladder = from.clone();
            ladder.apply(&from.difference(&to)).unwrap();
            prop_assert_eq!(&ladder, &to);
            prop_assert_eq!(to.difference(&to), vec![]);
        }
    }
}
