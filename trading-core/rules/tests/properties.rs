//! What must hold for every number, not only those of the tables.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use proptest::prelude::*;
use rules::{Band, Fees, LotRule, PriceCage, Ratio, RuleCodecError, Yuan, decode};
use types::{Money, Price, Quantity, Side, TradingDay};

fn fees() -> Fees {
    Fees {
        from: TradingDay(20_230_828),
        stamp_duty: Ratio(50_000),
        transfer: Ratio(1_000),
        handling: Ratio(3_410),
        regulatory: Ratio(2_000),
        commission: Ratio(25_000),
        commission_min: Yuan(50_000),
    }
}

/// Rounding half up as taught: the multiple below, or the one above from the half on.
fn half_up(numerator: i128, denominator: i128, unit: i128) -> i128 {
    let step = denominator * unit;
    let below = numerator / step;
    let rest = numerator % step;
    (if rest * 2 >= step { below + 1 } else { below }) * unit
}

proptest! {
    #[test]
    fn limits_are_on_the_tick_around_the_close(
        close in 1_i64..10_000_000,
        tick in prop::sample::select(vec![10_i64, 100]),
        ratio in 1_u32..Ratio::ONE,
    ) {
        let close = close * tick;
        let band = Band { up: Ratio(ratio), down: Ratio(ratio) };
        let (down, up) = band.limits(Price(close), Price(tick)).unwrap();
        prop_assert!(down.0 % tick == 0 && up.0 % tick == 0);
        prop_assert!(down.0 >= tick && up.0 >= close + tick);
        prop_assert!(down.0 < close || close == tick);
        let one = i128::from(Ratio::ONE);
        let exact = half_up(i128::from(close) * (one + i128::from(ratio)), one, tick.into());
        prop_assert_eq!(i128::from(up.0), exact.max((close + tick).into()));
        let exact = half_up(i128::from(close) * (one - i128::from(ratio)), one, tick.into());
        prop_assert_eq!(i128::from(down.0), exact.min((close - tick).into()).max(tick.into()));
    }

    #[test]
    fn the_cage_contains_its_reference(reference in 1_i64..1_000_000_000, ticks_min in 0_u32..20) {
        let cage = PriceCage {
            buy_max: Ratio(102_000_000),
            sell_min: Ratio(98_000_000),
            ticks_min,
            outside: rules::OutsideCage::Reject,
        };
        let reference = Price(reference * 100);
        let bounds = cage.bounds(reference, Price(100)).unwrap();
        prop_assert!(bounds.admits(Side::Buy, reference) && bounds.admits(Side::Sell, reference));
    }

    #[test]
    fn an_order_pays_the_same_however_it_is_filled(
        fills in prop::collection::vec(0_i64..100_000_000_000, 1..20),
        sells in any::<bool>(),
    ) {
        let side = if sells { Side::Sell } else { Side::Buy };
        let (mut before, mut paid) = (0, 0);
        for amount in fills {
            let bill = fees().for_fill(side, Money(before), Money(amount)).unwrap();
            prop_assert!(bill.total().unwrap().0 >= 0);
            paid += bill.total().unwrap().0;
            before += amount;
        }
        prop_assert_eq!(paid, fees().for_order(side, Money(before)).unwrap().total().unwrap().0);
    }

    #[test]
    fn a_position_can_always_be_sold_out(
        held in 1_u64..5_000,
        multiples in any::<bool>(),
        minimum in prop::sample::select(vec![10_u64, 100, 200]),
    ) {
        let lot = LotRule { minimum, step: if multiples { minimum } else { 1 } };
        prop_assert!(lot.check(Side::Sell, Quantity(held), Quantity(held)).is_ok());
        prop_assert!(lot.check(Side::Sell, Quantity(0), Quantity(held)).is_err());
        prop_assert!(lot.check(Side::Buy, Quantity(minimum - 1), Quantity(held)).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
        let mut with_format = vec![rules::RULES_FORMAT];
        with_format.extend(bytes);
        prop_assert!(decode(&with_format).is_err());
    }
}

#[test]
fn rules_of_another_format_or_length_are_refused() {
    assert_eq!(decode(&[]), Err(RuleCodecError::Empty));
    assert_eq!(
        decode(&[9]),
        Err(RuleCodecError::UnknownFormat { found: 9 })
    );
    let long = vec![rules::RULES_FORMAT; rules::RULES_BYTES_MAX + 1];
    assert!(matches!(decode(&long), Err(RuleCodecError::TooLong { .. })));
}
