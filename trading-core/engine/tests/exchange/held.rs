//! ChiNext until 2023: orders outside of the cage are held until the reference has come near.

use super::*;
use types::{Request, TimeInForce};

/// Bid 9.90 and offer 10.00: buys reach 10.20, sells 9.70.
fn quoted() -> Market {
    let mut market = Market::at(MORNING_OF_2022);
    assert_eq!(market.buy(1, CHI_NEXT, 100, 99_000).code(), 0);
    assert_eq!(market.sell(2, CHI_NEXT, 100, TEN).code(), 0);
    market
}

fn best(market: &Market, side: Side) -> Option<i64> {
    market.state.best_price(CHI_NEXT, side).map(|price| price.0)
}

#[test]
fn an_order_outside_is_accepted_and_not_in_the_book() {
    let mut market = quoted();
    let frozen = market.frozen(1);
    assert_eq!(
        traded(&market.buy(1, CHI_NEXT, 100, 102_000).events),
        [(TEN, 100)]
    );
    market.sell(2, CHI_NEXT, 100, TEN);
    let held = market.buy(1, CHI_NEXT, 100, 102_100);
    assert_eq!((held.code(), traded(&held.events)), (0, vec![]));
    assert_eq!(best(&market, Side::Buy), Some(99_000));
    assert!(market.frozen(1) > frozen, "it freezes as any order");
    assert_eq!(market.state.counters().open_orders, 3);
    market.restart();
    assert_eq!(
        cancelled(&market.cancel(1, &held)),
        [CancelCause::Requested]
    );
    assert_eq!(market.frozen(1), frozen);
}

#[test]
fn held_orders_come_in_when_the_reference_moves_to_them() {
    let mut market = quoted();
    let offer = market.sell(3, CHI_NEXT, 100, 100_500);
    let far = market.buy(1, CHI_NEXT, 200, 103_000);
    let near = market.buy(1, CHI_NEXT, 200, 102_500);
    assert_eq!(market.state.counters().open_orders, 5);
    market.restart();
    // The offer at 10.00 goes: the next is 10.05, buys reach 10.25. The nearer order comes in, takes it,
    // and leaves no offer: the best buy is 10.25 now, and buys reach 10.46.
    let events = market.buy(3, CHI_NEXT, 100, TEN).events;
    let trades = trades(&events);
    let buyers: Vec<_> = trades
        .iter()
        .map(|it| (it.buy.cl_ord_id, it.price.0))
        .collect();
    assert_eq!(buyers.len(), 2);
    assert_eq!(buyers[1], (near.cl_ord_id, 100_500));
    assert_eq!(trades[1].sell.cl_ord_id, offer.cl_ord_id);
    assert_eq!(
        best(&market, Side::Buy),
        Some(103_000),
        "and then the farther"
    );
    assert_eq!(cancelled(&market.cancel(1, &far)).len(), 1);
    assert_eq!(best(&market, Side::Buy), Some(102_500));
}

#[test]
fn a_sell_below_waits_for_the_bid_to_fall() {
    let mut market = quoted();
    let held = market.sell(2, CHI_NEXT, 100, 96_900);
    assert_eq!(held.code(), 0);
    assert_eq!(best(&market, Side::Sell), Some(TEN));
    market.buy(3, CHI_NEXT, 100, 98_500);
    assert_eq!(market.state.counters().open_orders, 4);
    // The bid falls from 9.90 to 9.85: sells reach 9.65, and what comes in trades at the bid.
    let events = market.ask(1, Request::MassCancel { symbol: None });
    assert_eq!(traded(&events), [(98_500, 100)]);
    assert_eq!(trades(&events)[0].sell.cl_ord_id, held.cl_ord_id);
    assert_eq!(market.state.counters().open_orders, 1);
}

#[test]
fn orders_that_may_not_wait_end_at_once_outside() {
    let mut market = quoted();
    let asked = market.order(
        1,
        NewOrder {
            time_in_force: TimeInForce::ImmediateOrCancel,
            ..limit(CHI_NEXT, Side::Buy, 100, 102_100)
        },
    );
    assert_eq!(cancelled(&asked.events), [CancelCause::Unfilled]);
    assert_eq!(traded(&asked.events), []);
}

#[test]
fn a_replacement_does_not_leave_the_cage() {
    let mut market = quoted();
    let resting = market.buy(3, CHI_NEXT, 100, 98_000);
    let replace = |original, price| Request::Replace {
        original,
        replacement: ClOrdId::new(&format!("r{price}")).unwrap(),
        price: Price(price),
        quantity: Quantity(100),
    };
    let original = resting.cl_ord_id;
    assert_eq!(code(&market.ask(3, replace(original, 102_100))), 404);
    let held = market.buy(3, CHI_NEXT, 100, 103_000).cl_ord_id;
    assert_eq!(
        code(&market.ask(3, replace(held, 99_500))),
        306,
        "nor is one that is held replaced"
    );
}

#[test]
fn a_call_has_no_cage() {
    let mut market = quoted();
    market.buy(3, CHI_NEXT, 100, 103_000);
    market.phase(Phase::LunchBreak);
    assert_eq!(best(&market, Side::Buy), Some(99_000));
    let events = market.phase(Phase::ClosingCall);
    assert_eq!(best(&market, Side::Buy), Some(103_000));
    assert_eq!(traded(&events), []);
    assert_eq!(traded(&market.phase(Phase::Closed)).len(), 1);
}

#[test]
fn held_orders_expire_with_the_day() {
    let mut market = quoted();
    market.buy(3, CHI_NEXT, 100, 103_000);
    market.settle_day(TradingDay(20_220_601));
    assert_eq!(market.state.counters().open_orders, 0);
    assert_eq!(market.frozen(3), 0);
}

#[test]
fn since_2023_they_are_refused() {
    let mut market = Market::new();
    market.sell(2, CHI_NEXT, 100, TEN);
    assert_eq!(market.buy(1, CHI_NEXT, 100, 102_100).code(), 404);
}
