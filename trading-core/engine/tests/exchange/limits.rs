//! The day's limits by the rules: from the close before, or none on the first days of a listing.

use super::*;
use types::{MarketStyle, OrderKind, TimeInForce};

#[test]
fn a_day_begins_with_limits_around_the_close() {
    // Worked out by hand; the half of a tick goes up, and a tick is the least.
    for (symbol, close, down, up) in [
        (MAIN, 100_500, 90_500, 110_600),
        (MAIN, 100_400, 90_400, 110_400),
        (STAR, 99_900, 79_900, 119_900),
        (CHI_NEXT, 100_700, 80_600, 120_800),
        (BEIJING, 107_700, 75_400, 140_000),
    ] {
        let mut market = Market::new();
        market.sell(2, symbol, 200, close);
        assert_eq!(traded(&market.buy(1, symbol, 200, close).events).len(), 1);
        assert_eq!(
            market.limits(symbol),
            (80_000, 120_000),
            "as defined, today"
        );
        market.settle_day(TODAY);
        assert_eq!(market.limits(symbol), (down, up), "{symbol} after {close}");
        assert_eq!(market.buy(1, symbol, 200, up + 100).code(), 402);
        assert_eq!(market.sell(1, symbol, 200, down - 100).code(), 402);
    }
}

#[test]
fn one_tick_is_the_least_distance() {
    let mut market = Market::new();
    for (close, down, up) in [(400, 300, 500), (100, 100, 200), (9_500, 8_600, 10_500)] {
        market.tell(MAIN, ReferencePrice::PreviousClose, close);
        assert_eq!(market.limits(MAIN), (down, up), "{close}");
    }
}

#[test]
fn a_close_that_is_told_later_moves_the_limits_unless_the_day_has_traded() {
    let mut market = Market::new();
    let low = market.buy(1, MAIN, 100, 85_000);
    let events = market.tell(MAIN, ReferencePrice::PreviousClose, TEN);
    assert_eq!(market.limits(MAIN), (90_000, 110_000));
    assert_eq!(cancelled(&events), [CancelCause::OutsideLimits]);
    assert_eq!(code(&market.cancel(1, &low)), 203);
    market.sell(2, MAIN, 100, TEN);
    market.buy(1, MAIN, 100, TEN);
    market.tell(MAIN, ReferencePrice::PreviousClose, TEN / 2);
    assert_eq!(market.limits(MAIN), (90_000, 110_000));
}

#[test]
fn orders_that_stay_and_stand_outside_of_the_new_limits_go() {
    let mut market = Market::new();
    let stays = |price| NewOrder {
        time_in_force: TimeInForce::GoodTillCancel,
        ..limit(MAIN, Side::Sell, 100, price)
    };
    market.sell(2, MAIN, 100, TEN);
    market.buy(3, MAIN, 100, TEN);
    assert_eq!(market.order(1, stays(109_000)).code(), 0);
    assert_eq!(market.order(1, stays(115_000)).code(), 0);
    let events = market.settle_day(TODAY);
    assert_eq!(cancelled(&events), [CancelCause::OutsideLimits]);
    assert_eq!(market.state.counters().open_orders, 1);
}

#[test]
fn the_first_days_of_a_listing_have_no_limits() {
    for (symbol, days) in [(MAIN, 5), (STAR, 5), (CHI_NEXT, 5), (BEIJING, 1)] {
        let mut market = Market::new();
        market.tell(symbol, ReferencePrice::Issue, TEN);
        for number in 1..=days {
            assert_eq!(
                market.state.unlimited_today(symbol),
                Some((true, None)),
                "{symbol} on its day {number}"
            );
            assert_eq!(market.limits(symbol), (100, 100 * TEN));
            market.settle_day(TradingDay(TODAY.0 + number - 1));
            market.restart();
        }
        assert_eq!(market.state.unlimited_today(symbol), Some((false, None)));
        let (down, up) = market.limits(symbol);
        assert!(down > 100 && up < 2 * TEN, "{symbol}");
    }
}

#[test]
fn a_definition_holds_as_it_says_until_the_next_day() {
    let mut market = Market::new();
    market.tell(STAR, ReferencePrice::Issue, TEN);
    let definition = *market.state.symbol(STAR).unwrap();
    let definition = SymbolDefinition {
        limit_down: Price(95_000),
        limit_up: Price(105_000),
        ..definition
    };
    market.control(Control::DefineSymbol(definition));
    assert_eq!(market.limits(STAR), (95_000, 105_000));
    assert_eq!(market.state.unlimited_today(STAR), Some((false, None)));
    market.settle_day(TODAY);
    assert_eq!(market.state.unlimited_today(STAR), Some((true, None)));
}

#[test]
fn market_orders_say_where_they_stop_where_there_is_no_limit() {
    for (symbol, protection, expected) in [
        (STAR, None, 311),
        (STAR, Some(Price(102_000)), 0),
        (CHI_NEXT, None, 310),
        (CHI_NEXT, Some(Price(102_000)), 310),
    ] {
        let mut market = Market::new();
        market.tell(symbol, ReferencePrice::Issue, TEN);
        market.sell(2, symbol, 200, TEN);
        let style = MarketStyle::BestFiveOrCancel;
        let asked = market.order(
            1,
            NewOrder {
                kind: OrderKind::Market { style, protection },
                time_in_force: TimeInForce::ImmediateOrCancel,
                ..limit(symbol, Side::Buy, 200, 0)
            },
        );
        assert_eq!(asked.code(), expected, "{symbol} {protection:?}");
    }
}
