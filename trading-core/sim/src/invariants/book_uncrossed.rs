//! Source: price-time priority: what could trade has traded.

use super::{Invariant, Seen};
use crate::trader::SYMBOLS;
use types::Side;

/// Looked at after each entry.
pub struct BookUncrossed;

impl Invariant for BookUncrossed {
    fn words(&self) -> &'static str {
        "the best bid is below the best offer"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Entry { index, state, .. } = seen else {
            return Ok(());
        };
        for symbol in SYMBOLS {
            let best = |side| state.best_price(symbol, side);
            if let (Some(bid), Some(offer)) = (best(Side::Buy), best(Side::Sell))
                && bid >= offer
            {
                return Err(format!(
                    "{symbol} after entry {index}: bid {bid}, offer {offer}"
                ));
            }
        }
        Ok(())
    }
}
