//! Fees: frozen with a buy, charged with the trade, and still part of all the cash.

use super::*;
use engine::FeesCollected;
use rules::FeeBill;
use types::{Request, TimeInForce};

/// 1,000 shares at 10 yuan, by hand: transfer 0.10, handling 0.341, regulatory 0.20; commission 2.50 is
/// below its minimum of 5; stamp duty 5.00 on the sell.
const BUY_OF_10_000: i64 = 10 * YUAN / 100 + 34 * YUAN / 100 + 20 * YUAN / 100 + 5 * YUAN;
const SELL_OF_10_000: i64 = BUY_OF_10_000 + 5 * YUAN;

fn all(bill: &FeeBill) -> i64 {
    bill.total().unwrap().0
}

#[test]
fn both_sides_pay_when_they_trade() {
    let mut market = Market::new();
    market.sell(2, MAIN, 1_000, TEN);
    assert_eq!(market.frozen(2), 0, "a sell freezes no cash");
    market.buy(1, MAIN, 1_000, TEN);
    assert_eq!(market.cash(1), CASH - 10_000 * YUAN - BUY_OF_10_000);
    assert_eq!(market.cash(2), CASH + 10_000 * YUAN - SELL_OF_10_000);
    assert_eq!(market.frozen(1), 0);
    let collected = market.state.fees_collected();
    let expected = FeeBill {
        stamp_duty: Money(5 * YUAN),
        transfer: Money(2 * YUAN / 10),
        handling: Money(68 * YUAN / 100),
        regulatory: Money(4 * YUAN / 10),
        commission: Money(10 * YUAN),
    };
    assert_eq!((collected.ever, collected.today), (expected, expected));
}

#[test]
fn a_buy_freezes_its_worst_bill_and_gets_back_what_it_does_not_need() {
    let mut market = Market::new();
    let resting = market.buy(1, MAIN, 1_000, TEN);
    assert_eq!(market.frozen(1), 10_000 * YUAN + BUY_OF_10_000);
    market.sell(2, MAIN, 400, TEN);
    // 4,000 yuan: 0.04, 0.1364, 0.08 and the commission's minimum, which is paid once an order.
    let first = (4 + 14 + 8) * YUAN / 100 + 5 * YUAN;
    assert_eq!(market.cash(1), CASH - 4_000 * YUAN - first);
    assert_eq!(market.frozen(1), 6_000 * YUAN + BUY_OF_10_000 - first);
    market.cancel(1, &resting);
    assert_eq!(market.frozen(1), 0);
    assert_eq!(market.cash(1), CASH - 4_000 * YUAN - first);
}

#[test]
fn an_order_pays_the_same_however_it_is_filled() {
    let mut market = Market::new();
    market.buy(1, MAIN, 1_000, TEN);
    for quantity in [100, 300, 200, 400] {
        market.sell(2, MAIN, quantity, TEN);
    }
    assert_eq!(market.cash(1), CASH - 10_000 * YUAN - BUY_OF_10_000);
}

#[test]
fn cash_for_the_shares_but_not_for_the_fees_is_not_enough() {
    for (cash, code) in [
        (10_000 * YUAN, 501),
        (10_000 * YUAN + BUY_OF_10_000 - 1, 501),
        (10_000 * YUAN + BUY_OF_10_000, 0),
    ] {
        let mut market = Market::opened(MORNING, cash, &[1, 2]);
        assert_eq!(market.buy(1, MAIN, 1_000, TEN).code(), code, "{cash}");
        market.sell(2, MAIN, 1_000, TEN);
        assert_eq!(market.cash(1), if code == 0 { 0 } else { cash });
    }
}

#[test]
fn a_replaced_order_freezes_anew() {
    let mut market = Market::new();
    let resting = market.buy(1, MAIN, 2_000, TEN - 1_000);
    let replacement = ClOrdId::new("r").unwrap();
    market.ask(
        1,
        Request::Replace {
            original: resting.cl_ord_id,
            replacement,
            price: Price(TEN),
            quantity: Quantity(1_000),
        },
    );
    assert_eq!(market.frozen(1), 10_000 * YUAN + BUY_OF_10_000);
}

#[test]
fn who_has_shares_and_no_cash_may_sell_them() {
    let mut market = Market::opened(MORNING, 0, &[2]);
    market.control(Control::OpenAccount {
        account: AccountId(1),
        cash: Money(CASH),
        positions: Vec::new(),
    });
    let (session, account) = (SessionId(1), AccountId(1));
    market.apply(&Command::Logon(Logon::new(session, account, OutSeq(0))));
    // A share at a fen each: 100 of them earn one yuan, and the commission's minimum is five.
    market.tell(BEIJING, ReferencePrice::PreviousClose, 200);
    market.sell(2, BEIJING, 100, 100);
    market.buy(1, BEIJING, 100, 100);
    assert_eq!(
        market.cash(2),
        0,
        "what it earned went for fees, and no more"
    );
    let collected = market.state.fees_collected().ever;
    assert_eq!(all(&collected), YUAN + 5 * YUAN);
    assert_eq!(market.cash(1), CASH - YUAN - 5 * YUAN);
    assert_eq!(
        collected.commission,
        Money(6 * YUAN),
        "the broker let off the rest"
    );
}

#[test]
fn an_order_that_stays_has_a_bill_of_its_own_on_the_next_day() {
    let mut market = Market::new();
    market.order(
        1,
        NewOrder {
            time_in_force: TimeInForce::GoodTillCancel,
            ..limit(MAIN, Side::Buy, 2_000, TEN)
        },
    );
    market.sell(2, MAIN, 1_000, TEN);
    assert_eq!(market.cash(1), CASH - 10_000 * YUAN - BUY_OF_10_000);
    market.settle_day(TODAY);
    assert_eq!(market.state.fees_collected().today, FeeBill::default());
    assert_eq!(market.frozen(1), 10_000 * YUAN + BUY_OF_10_000);
    market.restart();
    market.sell(2, MAIN, 1_000, TEN);
    assert_eq!(market.cash(1), CASH - 2 * (10_000 * YUAN + BUY_OF_10_000));
    market.settle_day(TradingDay(20_261_126));
}

#[test]
fn orders_that_stand_when_fees_come_freeze_them_as_far_as_there_is_cash() {
    let mut market = Market::opened(MORNING, 10_000 * YUAN + 3 * YUAN, &[1, 2]);
    let first = rules::decode(&shipped_rules()).unwrap();
    let first = rules::RuleSet {
        enforcement: rules::Enforcement::Checks,
        ..first
    };
    let load = |rules: &rules::RuleSet| Control::LoadRules {
        document: rules::encode(rules).unwrap(),
    };
    market.control(load(&first));
    market.buy(1, MAIN, 1_000, TEN);
    assert_eq!(
        market.frozen(1),
        10_000 * YUAN,
        "by rules of format 1 there are no fees"
    );
    market.control(Control::LoadRules {
        document: shipped_rules(),
    });
    assert_eq!(market.frozen(1), 10_000 * YUAN + 3 * YUAN);
    market.sell(2, MAIN, 1_000, TEN);
    assert_eq!((market.cash(1), market.frozen(1)), (0, 0));
    market.control(load(&first));
    let before = market.state.fees_collected();
    market.buy(2, MAIN, 1_000, TEN);
    market.sell(1, MAIN, 1_000, TEN);
    assert_eq!(market.state.fees_collected(), before);
    market.settle_day(TODAY);
}

#[test]
fn without_rules_nothing_is_charged() {
    let state = State::with_limits(Limits::small());
    assert_eq!(state.fees_collected(), FeesCollected::default());
}
