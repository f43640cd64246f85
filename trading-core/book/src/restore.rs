//! A book from the list of orders that rested.

use crate::{Book, BrokenInvariant, Resting};

/// Orders that never rested together in a book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to restore a book from its resting orders: {0}")]
pub struct RestoreError(#[from] BrokenInvariant);

/// Lets all orders rest and checks the book. A crossed one is accepted: in a call auction it may be.
pub(crate) fn restore<B: Book + Default>(orders: Vec<Resting>) -> Result<B, RestoreError> {
    let mut book = B::default();
    for resting in orders {
        let order = resting.order;
        let (shown, remaining) = (resting.shown(), resting.remaining);
        if remaining.0 == 0 {
            return Err(BrokenInvariant::Empty { order }.into());
        }
        if let Some(iceberg) = resting.iceberg
            && !(1..=iceberg.display.min(remaining).0).contains(&shown.0)
        {
            let display = iceberg.display;
            return Err(BrokenInvariant::Iceberg {
                order,
                shown,
                remaining,
                display,
            }
            .into());
        }
        if book.resting(order).is_some() {
            return Err(BrokenInvariant::Twice { order }.into());
        }
        book.rest(resting);
    }
    book.check_invariants()?;
    Ok(book)
}
