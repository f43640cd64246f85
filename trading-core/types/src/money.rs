//! Integer money. A [`Price`] counts 1/10,000 yuan, so does [`Money`]; a [`Quantity`] counts shares.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Price of one share in 1/10,000 yuan. The finest tick in use, 0.001 yuan, is exact.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Price(pub i64);

/// A number of shares.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Quantity(pub u64);

/// An amount of cash in 1/10,000 yuan; reaches 922 trillion yuan.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(pub i64);

impl Price {
    /// Units in one yuan.
    pub const PER_YUAN: i64 = 10_000;

    /// What `quantity` shares cost at this price; `None` when it exceeds [`Money`]'s range.
    #[must_use]
    pub fn times(self, quantity: Quantity) -> Option<Money> {
        i64::try_from(quantity.0)
            .ok()
            .and_then(|n| self.0.checked_mul(n))
            .map(Money)
    }

    /// Whether it is a whole number of ticks. A tick is more than 0; no price is on one of 0.
    #[must_use]
    #[inline]
    pub fn is_on(self, tick: Price) -> bool {
        is_whole(self.0.unsigned_abs(), tick.0.unsigned_abs())
    }
}

impl Quantity {
    /// Whether it is a whole number of lots. A lot is more than 0; only 0 is a whole number of 0.
    #[must_use]
    #[inline]
    pub fn is_in_lots_of(self, lot: Quantity) -> bool {
        is_whole(self.0, lot.0)
    }
}

/// Whether a number is a multiple of another. Nearly all prices and quantities fit in 32 bits, where
/// a division costs a third of one in 64 (Fog, *Instruction tables*, AMD Zen 1).
#[inline]
fn is_whole(number: u64, of: u64) -> bool {
    match (u32::try_from(number), u32::try_from(of)) {
        (Ok(number), Ok(of)) => number.is_multiple_of(of),
        _ => number.is_multiple_of(of),
    }
}

impl Money {
    /// Sum, or `None` on overflow.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Difference, or `None` on overflow.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

fn show_ten_thousandths(value: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if value < 0 { "-" } else { "" };
    let units = value.unsigned_abs();
    let per_yuan = Price::PER_YUAN.unsigned_abs();
    write!(f, "{sign}{}.{:04}", units / per_yuan, units % per_yuan)
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_ten_thousandths(self.0, f)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_ten_thousandths(self.0, f)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_times_a_quantity_is_exact_or_nothing() {
        assert_eq!(Price(123_400).times(Quantity(300)), Some(Money(37_020_000)));
        assert_eq!(Price(i64::MAX).times(Quantity(2)), None);
        assert_eq!(Price(1).times(Quantity(u64::MAX)), None);
    }

    #[test]
    fn what_is_on_a_tick_or_in_lots_is_the_same_in_either_width() {
        for of in [1, 7, 100, u64::from(u32::MAX), 1 << 33] {
            for number in [
                0,
                1,
                99,
                100,
                u64::from(u32::MAX),
                1 << 32,
                1 << 33,
                700 << 33,
            ] {
                let expected = number % of == 0;
                assert_eq!(Quantity(number).is_in_lots_of(Quantity(of)), expected);
                let (price, tick) = (number.cast_signed(), Price(of.cast_signed()));
                assert_eq!(Price(price).is_on(tick), expected);
                assert_eq!(Price(-price).is_on(tick), expected);
            }
        }
    }

    #[test]
    fn amounts_are_shown_in_yuan() {
        assert_eq!(Price(123_456).to_string(), "12.3456");
        assert_eq!(Money(-5).to_string(), "-0.0005");
    }
}
