//! How many shares one order may have.

use serde::{Deserialize, Serialize};
use types::{Quantity, Side};

/// The lot rule of a board.
///
/// With `step` = `minimum` quantities are multiples of the lot (main boards: 100); with a smaller
/// step they begin at the minimum and go on by the step (STAR: 200, then 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LotRule {
    /// Fewest shares of an order.
    pub minimum: u64,
    /// Every quantity is the minimum and a multiple of this.
    pub step: u64,
}

/// The largest orders of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeMax {
    /// Shares in a limit order.
    pub limit: u64,
    /// Shares in a market order.
    pub market: u64,
    /// Shares in an order at the close's price after hours.
    pub after_hours: u64,
}

/// A quantity that the lot rule does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "quantity {quantity} is not accepted: use at least {minimum} in steps of {step}, or sell what \
     is left over in one order ({available} shares can be sold)"
)]
pub struct OffLot {
    /// The quantity.
    pub quantity: Quantity,
    /// The rule's minimum.
    pub minimum: u64,
    /// The rule's step.
    pub step: u64,
    /// What can be sold.
    pub available: Quantity,
}

impl LotRule {
    /// Whether an order may have that many shares. `available` is what the account can sell now.
    ///
    /// What a sale would leave of less than a lot must go in one order: with 250 shares and a lot of
    /// 100, 50, 150 and 250 are accepted beside 100 and 200, but not 30.
    ///
    /// # Errors
    /// [`OffLot`] when it may not.
    pub fn check(&self, side: Side, quantity: Quantity, available: Quantity) -> Result<(), OffLot> {
        let whole = |shares: u64| {
            shares >= self.minimum
                && Quantity(shares - self.minimum).is_in_lots_of(Quantity(self.step))
        };
        if whole(quantity.0) {
            return Ok(());
        }
        // The odd shares: what no order of whole lots can ever take.
        let odd = if self.step == 1 {
            if available.0 < self.minimum {
                available.0
            } else {
                0
            }
        } else {
            available.0 % self.step
        };
        let rest = quantity.0.checked_sub(odd);
        let sells_the_odd_shares = side == Side::Sell
            && odd > 0
            && quantity <= available
            && rest.is_some_and(|rest| rest == 0 || whole(rest));
        if sells_the_odd_shares {
            return Ok(());
        }
        Err(OffLot {
            quantity,
            minimum: self.minimum,
            step: self.step,
            available,
        })
    }
}
