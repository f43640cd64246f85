//! What holds for every book after every call, whatever its insides.

use crate::{Book, Level, Resting};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use types::{OrderId, Price, Quantity, Side};

/// A rule that a book broke: a fault of the book, never of its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenInvariant {
    /// The best bid reaches the best ask.
    #[error("book is crossed: best bid {bid} is not below best ask {ask}")]
    Crossed {
        /// Best bid.
        bid: Price,
        /// Best ask.
        ask: Price,
    },
    /// An order with no open shares rests.
    #[error("order {order} rests with no open shares")]
    Empty {
        /// The order.
        order: OrderId,
    },
    /// An iceberg shows nothing, or more than its display or than it has.
    #[error(
        "iceberg {order} shows {shown} shares of {remaining} open, with a display of {display}"
    )]
    Iceberg {
        /// The order.
        order: OrderId,
        /// What it shows.
        shown: Quantity,
        /// What it has.
        remaining: Quantity,
        /// What it may show.
        display: Quantity,
    },
    /// A level is not what its orders add up to.
    #[error("level {level:?} of {side:?} stands as {stands:?}")]
    Level {
        /// Which side.
        side: Side,
        /// What [`Book::levels`] says; `None` when it says nothing of this price.
        level: Option<Level>,
        /// What a walk over the book adds up to; `None` when nothing stands at this price.
        stands: Option<Level>,
    },
    /// An order rests twice.
    #[error("order {order} rests twice")]
    Twice {
        /// The order.
        order: OrderId,
    },
    /// A worse price stands before a better one, or an ask before a bid.
    #[error("order {order} stands behind a worse one")]
    OutOfOrder {
        /// The order that comes too late.
        order: OrderId,
    },
    /// [`Book::best`] is not the first price of its side.
    #[error("best {side:?} is given as {given:?} and stands as {stands:?}")]
    Best {
        /// Which side.
        side: Side,
        /// What `best` says.
        given: Option<Price>,
        /// What a walk over the book finds.
        stands: Option<Price>,
    },
    /// [`Book::len`] is not the number of resting orders, or an index of the book disagrees with it.
    #[error("{what} counts {counted} orders, {stand} stand")]
    Count {
        /// What counts.
        what: &'static str,
        /// What it says.
        counted: usize,
        /// How many a walk over the book finds.
        stand: usize,
    },
    /// Looking an order up finds another thing than walking does.
    #[error("order {order} is not found where it stands")]
    Lost {
        /// The order.
        order: OrderId,
    },
}

/// The checks that need nothing but the contract.
///
/// # Errors
/// The first [`BrokenInvariant`] met.
pub fn check_resting<B: Book + ?Sized>(book: &B) -> Result<(), BrokenInvariant> {
    let mut walk = Vec::with_capacity(book.len());
    book.visit(&mut |resting| walk.push(*resting));

    let first = |side| walk.iter().find(|r| r.side == side).map(|r| r.price);
    for side in [Side::Buy, Side::Sell] {
        let (given, stands) = (book.best(side), first(side));
        if given != stands {
            return Err(BrokenInvariant::Best {
                side,
                given,
                stands,
            });
        }
    }
    if book.len() != walk.len() {
        return Err(BrokenInvariant::Count {
            what: "len",
            counted: book.len(),
            stand: walk.len(),
        });
    }
    check_each(book, &walk)?;
    check_levels(book, Side::Buy, &walk)?;
    check_levels(book, Side::Sell, &walk)
}

/// What holds outside of call auctions.
///
/// # Errors
/// [`BrokenInvariant::Crossed`].
pub fn check_uncrossed<B: Book + ?Sized>(book: &B) -> Result<(), BrokenInvariant> {
    match (book.best(Side::Buy), book.best(Side::Sell)) {
        (Some(bid), Some(ask)) if bid >= ask => Err(BrokenInvariant::Crossed { bid, ask }),
        _ => Ok(()),
    }
}

/// The levels against what their orders add up to.
fn check_levels<B: Book + ?Sized>(
    book: &B,
    side: Side,
    walk: &[Resting],
) -> Result<(), BrokenInvariant> {
    let mut stand: Vec<Level> = Vec::new();
    for resting in walk.iter().filter(|resting| resting.side == side) {
        if stand.last().is_none_or(|last| last.price != resting.price) {
            stand.push(Level {
                price: resting.price,
                shown: Quantity(0),
                reserve: Quantity(0),
                orders: 0,
            });
        }
        if let Some(level) = stand.last_mut() {
            level.shown.0 += resting.shown().0;
            level.reserve.0 += resting.remaining.0 - resting.shown().0;
            level.orders += 1;
        }
    }
    let mut given: Vec<Level> = Vec::with_capacity(stand.len());
    book.levels(side, &mut |level| {
        given.push(*level);
        ControlFlow::Continue(())
    });
    for place in 0..stand.len().max(given.len()) {
        let (level, stands) = (given.get(place).copied(), stand.get(place).copied());
        if level != stands {
            return Err(BrokenInvariant::Level {
                side,
                level,
                stands,
            });
        }
    }
    Ok(())
}

fn check_each<B: Book + ?Sized>(book: &B, walk: &[Resting]) -> Result<(), BrokenInvariant> {
    let mut seen = BTreeSet::new();
    let mut before: Option<&Resting> = None;
    for resting in walk {
        let order = resting.order;
        if resting.remaining.0 == 0 {
            return Err(BrokenInvariant::Empty { order });
        }
        if let Some(iceberg) = resting.iceberg
            && !(1..=iceberg.display.min(resting.remaining).0).contains(&iceberg.shown.0)
        {
            return Err(BrokenInvariant::Iceberg {
                order,
                shown: iceberg.shown,
                remaining: resting.remaining,
                display: iceberg.display,
            });
        }
        if !seen.insert(order) {
            return Err(BrokenInvariant::Twice { order });
        }
        if before.is_some_and(|earlier| !may_precede(earlier, resting)) {
            return Err(BrokenInvariant::OutOfOrder { order });
        }
        if book.resting(order) != Some(*resting) {
            return Err(BrokenInvariant::Lost { order });
        }
        before = Some(resting);
    }
    Ok(())
}

fn may_precede(earlier: &Resting, later: &Resting) -> bool {
    match (earlier.side, later.side) {
        (Side::Buy, Side::Buy) => earlier.price >= later.price,
        (Side::Buy, Side::Sell) => true,
        (Side::Sell, Side::Buy) => false,
        (Side::Sell, Side::Sell) => earlier.price <= later.price,
    }
}
