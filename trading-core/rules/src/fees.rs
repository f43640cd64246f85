//! What a trade costs, in integers.
//!
//! Each fee is its share of the turnover, rounded half up to the fen (0.01 yuan) by itself. The
//! commission has a minimum for each order, so an order's bill is that of its whole turnover, and a
//! fill pays the difference between the bills after and before it ([`Fees::for_fill`]): however an
//! order is cut into fills, the sum is the same.

use crate::{Ratio, Yuan};
use serde::{Deserialize, Serialize};
use types::{Money, Side, TradingDay};

/// Fees from a day on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fees {
    /// The first day on which they hold.
    pub from: TradingDay,
    /// Stamp duty, on sells only.
    pub stamp_duty: Ratio,
    /// Transfer fee, on both sides.
    pub transfer: Ratio,
    /// The exchange's handling fee, on both sides.
    pub handling: Ratio,
    /// The regulator's fee, on both sides.
    pub regulatory: Ratio,
    /// The broker's commission, on both sides.
    pub commission: Ratio,
    /// The least commission of an order that traded.
    pub commission_min: Yuan,
}

/// What is owed, item by item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeBill {
    /// To the tax office.
    pub stamp_duty: Money,
    /// To the depository.
    pub transfer: Money,
    /// To the exchange.
    pub handling: Money,
    /// To the regulator.
    pub regulatory: Money,
    /// To the broker.
    pub commission: Money,
}

/// Units of [`Money`] in a fen.
const FEN: i64 = 100;

impl Fees {
    /// The bill of an order that traded for `turnover` so far; nothing is owed for 0.
    ///
    /// `None` when the turnover is negative or a fee exceeds [`Money`]'s range.
    #[must_use]
    pub fn for_order(&self, side: Side, turnover: Money) -> Option<FeeBill> {
        if turnover.0 < 0 {
            return None;
        }
        let share = |ratio: Ratio| ratio.of(turnover.0, FEN).map(Money);
        let commission = if turnover.0 == 0 {
            Money(0)
        } else {
            share(self.commission)?.max(self.commission_min.money())
        };
        Some(FeeBill {
            stamp_duty: match side {
                Side::Buy => Money(0),
                Side::Sell => share(self.stamp_duty)?,
            },
            transfer: share(self.transfer)?,
            handling: share(self.handling)?,
            regulatory: share(self.regulatory)?,
            commission,
        })
    }

    /// What a fill of `amount` adds to the bill of an order that had traded for `before`.
    ///
    /// `None` as [`Fees::for_order`].
    #[must_use]
    pub fn for_fill(&self, side: Side, before: Money, amount: Money) -> Option<FeeBill> {
        let owed_before = self.for_order(side, before)?;
        let owed_after = self.for_order(side, before.checked_add(amount)?)?;
        Some(FeeBill {
            stamp_duty: owed_after.stamp_duty.checked_sub(owed_before.stamp_duty)?,
            transfer: owed_after.transfer.checked_sub(owed_before.transfer)?,
            handling: owed_after.handling.checked_sub(owed_before.handling)?,
            regulatory: owed_after.regulatory.checked_sub(owed_before.regulatory)?,
            commission: owed_after.commission.checked_sub(owed_before.commission)?,
        })
    }
}

impl FeeBill {
    /// Both bills as one; `None` when an item exceeds [`Money`]'s range.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        Some(Self {
            stamp_duty: self.stamp_duty.checked_add(other.stamp_duty)?,
            transfer: self.transfer.checked_add(other.transfer)?,
            handling: self.handling.checked_add(other.handling)?,
            regulatory: self.regulatory.checked_add(other.regulatory)?,
            commission: self.commission.checked_add(other.commission)?,
        })
    }

    /// All items together; `None` when they exceed [`Money`]'s range.
    #[must_use]
    pub fn total(&self) -> Option<Money> {
        [
            self.transfer,
            self.handling,
            self.regulatory,
            self.commission,
        ]
        .into_iter()
        .try_fold(self.stamp_duty, Money::checked_add)
    }
}
