//! Trading after hours: at the closing price alone, in a queue of its own.

use super::*;
use types::TimeInForce;

/// STAR closes at 10 yuan; a bid and an offer are left in the day's book.
fn closed() -> Market {
    let mut market = Market::new();
    market.sell(2, STAR, 200, TEN);
    market.buy(1, STAR, 200, TEN);
    market.buy(1, STAR, 500, 99_000);
    market.sell(2, STAR, 500, 101_000);
    market.phase(Phase::ClosingCall);
    market.phase(Phase::Closed);
    market.phase(Phase::AfterHours);
    market
}

#[test]
fn orders_trade_at_the_closing_price_first_come_first() {
    let mut market = closed();
    let first = market.sell(3, STAR, 300, 95_000);
    let second = market.sell(2, STAR, 300, TEN);
    assert_eq!((first.code(), second.code()), (0, 0));
    market.restart();
    let events = market.buy(1, STAR, 400, 110_000).events;
    assert_eq!(traded(&events), [(TEN, 300), (TEN, 100)]);
    assert_eq!(trades(&events)[0].sell.cl_ord_id, first.cl_ord_id);
    assert_eq!(market.state.last_price(STAR), Some(Price(TEN)));
    assert_eq!(
        market.state.best_price(STAR, Side::Buy),
        Some(Price(99_000)),
        "the day's book"
    );
}

#[test]
fn a_limit_that_the_close_is_not_within_ends_at_once() {
    let mut market = closed();
    market.sell(2, STAR, 300, TEN);
    let low = market.buy(1, STAR, 300, TEN - 100).events;
    assert_eq!(
        (cancelled(&low), traded(&low)),
        (vec![CancelCause::Unfilled], vec![])
    );
    let high = market.sell(1, STAR, 300, TEN + 100).events;
    assert_eq!(cancelled(&high), [CancelCause::Unfilled]);
    assert_eq!(
        market.frozen(1),
        500 * 99_000 + market.fee_of_the_day_s_bid()
    );
}

impl Market {
    /// 4,950 yuan at the worst: 0.05, 0.17 and 0.10, and the commission's minimum.
    fn fee_of_the_day_s_bid(&self) -> i64 {
        (5 + 17 + 10) * YUAN / 100 + 5 * YUAN
    }
}

#[test]
fn what_is_left_goes_with_the_phase() {
    let mut market = closed();
    let rests = market.sell(2, STAR, 300, TEN);
    let taken_back = market.sell(2, STAR, 400, TEN);
    assert_eq!(
        cancelled(&market.cancel(2, &taken_back)),
        [CancelCause::Requested]
    );
    let open = market.state.counters().open_orders;
    let events = market.phase(Phase::Closed);
    assert_eq!(cancelled(&events), [CancelCause::EndOfDay]);
    assert_eq!(market.state.counters().open_orders, open - 1);
    assert_eq!(code(&market.cancel(2, &rests)), 203);
}

#[test]
fn only_plain_limit_orders_of_the_day_take_part() {
    let mut market = closed();
    for new in [
        NewOrder {
            time_in_force: TimeInForce::ImmediateOrCancel,
            ..limit(STAR, Side::Buy, 200, TEN)
        },
        NewOrder {
            time_in_force: TimeInForce::GoodTillCancel,
            ..limit(STAR, Side::Buy, 200, TEN)
        },
        NewOrder {
            post_only: true,
            ..limit(STAR, Side::Buy, 200, TEN)
        },
    ] {
        assert_eq!(market.order(1, new).code(), 801);
    }
    assert_eq!(
        market.buy(1, MAIN, 100, TEN).code(),
        801,
        "the main board closes at three"
    );
    assert_eq!(market.buy(1, BEIJING, 100, TEN).code(), 801);
}

#[test]
fn an_account_does_not_trade_with_itself_here_either() {
    let mut market = closed();
    market.sell(1, STAR, 300, TEN);
    let events = market.buy(1, STAR, 300, TEN).events;
    assert_eq!(traded(&events), []);
    assert_eq!(cancelled(&events), [CancelCause::SelfTrade]);
}

#[test]
fn larger_orders_are_taken_than_by_day() {
    let mut market = closed();
    assert_eq!(
        market.buy(1, STAR, 100_001, TEN).code(),
        501,
        "not the size, 304"
    );
    assert_eq!(market.buy(1, STAR, 1_000_001, TEN).code(), 304);
}

#[test]
fn without_a_trade_today_it_is_the_close_before() {
    let mut market = Market::new();
    market.tell(STAR, ReferencePrice::PreviousClose, 98_000);
    market.phase(Phase::AfterHours);
    market.sell(2, STAR, 300, 90_000);
    assert_eq!(
        traded(&market.buy(1, STAR, 300, 110_000).events),
        [(98_000, 300)]
    );
    let mut market = Market::new();
    market.phase(Phase::AfterHours);
    assert_eq!(
        market.buy(1, STAR, 300, TEN).code(),
        801,
        "no close is known"
    );
}
