//! What a book is: the trait that the naive and the fast book fulfil.

use crate::auction::{self, AuctionFill, AuctionRule, Indicative};
use crate::invariants::{BrokenInvariant, check_resting, check_uncrossed};
use crate::{Ending, Fill, Incoming, Level, Outcome, Remainder, Replacement, Resting};
use std::ops::ControlFlow;
use types::{OrderId, Price, Quantity, SelfTradePrevention, Side};
use xxhash_rust::xxh3::Xxh3;

/// Price-time priority over one symbol's orders.
///
/// The owner sees to it that the open shares of a side add up to less than 2^64 and that an order
/// number rests once at most.
pub trait Book {
    /// Matches an order and, if it may, rests what is left. Fills are appended to `fills`; nothing
    /// else is allocated once the book has seen as many orders at a time.
    ///
    /// The caller must not submit an order number that rests.
    fn submit(&mut self, incoming: Incoming, fills: &mut Vec<Fill>) -> Outcome;

    /// Puts an order at the end of its price's queue without matching, as in a call auction or when
    /// a snapshot is read. The book may be crossed afterwards, until [`Book::uncross`].
    ///
    /// An order without open shares is the caller's error and leaves no trace.
    fn rest(&mut self, resting: Resting);

    /// Takes a resting order out; `None` when no such order rests.
    fn cancel(&mut self, order: OrderId) -> Option<Resting>;

    /// Gives a resting order another price and open quantity; `None` when no such order rests.
    ///
    /// It keeps its place only when the price stays and the quantity does not grow. Otherwise it
    /// comes in anew, at the end of its queue, and may trade; an iceberg keeps its display. A
    /// quantity of 0 is the caller's error and takes the order out.
    fn replace(
        &mut self,
        order: OrderId,
        price: Price,
        remaining: Quantity,
        self_trade_prevention: SelfTradePrevention,
        fills: &mut Vec<Fill>,
    ) -> Option<Replacement> {
        let before = self.resting(order)?;
        if keeps_its_place(&before, price, remaining) {
            self.shrink(order, remaining);
            return Some(Replacement::InPlace);
        }
        self.cancel(order)?;
        let outcome = self.submit(
            Incoming {
                order,
                account: before.account,
                side: before.side,
                quantity: remaining,
                limit: Some(price),
                remainder: Remainder::Rests,
                levels_max: None,
                display: before.iceberg.map(|iceberg| iceberg.display),
                self_trade_prevention,
            },
            fills,
        );
        Some(Replacement::Requeued(outcome))
    }

    /// [`Book::replace`] in a call auction: where the order comes in anew, it only rests.
    fn replace_in_call(
        &mut self,
        order: OrderId,
        price: Price,
        remaining: Quantity,
    ) -> Option<Replacement> {
        let before = self.resting(order)?;
        if keeps_its_place(&before, price, remaining) {
            self.shrink(order, remaining);
            return Some(Replacement::InPlace);
        }
        self.cancel(order)?;
        let iceberg = before.iceberg.map(|iceberg| iceberg.display);
        self.rest(Resting {
            price,
            remaining,
            iceberg: crate::Iceberg::new(iceberg, remaining),
            ..before
        });
        let ending = if remaining.0 == 0 {
            Ending::Filled
        } else {
            Ending::Rested
        };
        Some(Replacement::Requeued(Outcome { remaining, ending }))
    }

    /// Lowers a resting order's open quantity and leaves it where it stands; an iceberg gives up its
    /// reserve first. Nothing happens when no such order rests, or when `remaining` is 0 or above
    /// what is open.
    fn shrink(&mut self, order: OrderId, remaining: Quantity);

    /// A resting order.
    fn resting(&self, order: OrderId) -> Option<Resting>;

    /// The order of a side that would trade first.
    fn first(&self, side: Side) -> Option<Resting>;

    /// Trades up to what [`Book::first`] shows and yields what is left of that order. An iceberg
    /// that is used up is shown anew at the end of its queue. `None` when nothing rests.
    ///
    /// One step of an auction ([`Book::uncross`]); in continuous trading use [`Book::submit`].
    fn trade_first(&mut self, side: Side, quantity: Quantity) -> Option<Quantity>;

    /// Visits the price levels of a side, best first, until the visitor breaks.
    fn levels(&self, side: Side, visitor: &mut dyn FnMut(&Level) -> ControlFlow<()>);

    /// The price at which the next opposite order would trade first.
    fn best(&self, side: Side) -> Option<Price>;

    /// Hands the best `levels_max` levels of a side to `sink`, best first: level-2 market data.
    fn depth(&self, side: Side, levels_max: usize, sink: &mut dyn FnMut(&Level)) {
        if levels_max == 0 {
            return;
        }
        let mut left = levels_max;
        self.levels(side, &mut |level| {
            sink(level);
            left -= 1;
            if left == 0 {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
    }

    /// Open shares of a side at `price` and better, icebergs' reserves included.
    fn volume_to(&self, side: Side, price: Price) -> Quantity {
        let mut volume = Quantity(0);
        self.levels(side, &mut |level| {
            if !reaches(side.opposite(), price, level.price) {
                return ControlFlow::Break(());
            }
            volume.0 += level.open().0;
            ControlFlow::Continue(())
        });
        volume
    }

    /// Whether an order of `side` with this limit would meet another at once, be it of its own
    /// account. A post-only order that would is not submitted.
    fn would_trade(&self, side: Side, limit: Price) -> bool {
        self.best(side.opposite())
            .is_some_and(|best| reaches(side, limit, best))
    }

    /// At what price the call auction would end now, and with how much; `None` when nothing would
    /// trade.
    ///
    /// Accounts that would meet themselves count here; [`Book::uncross`] takes them out first.
    fn indicative(&self, rule: AuctionRule) -> Option<Indicative> {
        auction::indicative(self, rule)
    }

    /// Ends a call auction: all that trades, trades at one price, in price-time order on both sides.
    /// What happens is appended to `fills`. `None` when nothing trades. Afterwards the book is not
    /// crossed.
    ///
    /// An account never trades with itself here either: before the price is found, of two crossing
    /// orders of one account the one with the greater number is cancelled.
    fn uncross(&mut self, rule: AuctionRule, fills: &mut Vec<AuctionFill>) -> Option<Indicative> {
        auction::uncross(self, rule, fills)
    }

    /// How many orders rest.
    fn len(&self) -> usize;

    /// Whether nothing rests.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits what rests: bids from the best price down, then asks from the best price up, each
    /// price in queue order. The order is part of the contract: snapshots and hashes rest on it.
    fn visit(&self, visitor: &mut dyn FnMut(&Resting));

    /// Hash of what rests and in which order. Equal for equal books of any implementation.
    ///
    /// XXH3 (64 bits): fast and of good quality; nobody gains by forging a book here.
    fn state_hash(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.visit(&mut |resting| hash_resting(&mut hasher, resting));
        hasher.digest()
    }

    /// Checks what must hold in every phase; linear in what rests, for tests and audits.
    ///
    /// # Errors
    /// The first [`BrokenInvariant`] met.
    fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        check_resting(self)
    }

    /// Checks that the best bid is below the best ask, which holds outside of call auctions.
    ///
    /// # Errors
    /// [`BrokenInvariant::Crossed`].
    fn check_uncrossed(&self) -> Result<(), BrokenInvariant> {
        check_uncrossed(self)
    }
}

/// Whether an order of `side` with this limit takes a price of the other side.
pub(crate) fn reaches(side: Side, limit: Price, price: Price) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}

fn keeps_its_place(before: &Resting, price: Price, remaining: Quantity) -> bool {
    price == before.price && remaining <= before.remaining && remaining > Quantity(0)
}

/// An order that shows all hashes as it did before there were icebergs.
fn hash_resting(hasher: &mut Xxh3, resting: &Resting) {
    let side = match (resting.side, resting.iceberg) {
        (Side::Buy, None) => 0_u8,
        (Side::Sell, None) => 1,
        (Side::Buy, Some(_)) => 2,
        (Side::Sell, Some(_)) => 3,
    };
    hasher.update(&[side]);
    hasher.update(&resting.price.0.to_le_bytes());
    hasher.update(&resting.order.0.to_le_bytes());
    hasher.update(&resting.account.0.to_le_bytes());
    hasher.update(&resting.remaining.0.to_le_bytes());
    if let Some(iceberg) = resting.iceberg {
        hasher.update(&iceberg.display.0.to_le_bytes());
        hasher.update(&iceberg.shown.0.to_le_bytes());
    }
}
