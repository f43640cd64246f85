//! What each kind of order and each of its terms does, case by case.

use crate::market::{CASH, Market, SHARES, TEN, TICK, buy, cancel, id, of_kind, order, sell};
use types::{
    Command, Control, Logon, MarketStyle, NewOrder, OrderKind, OutSeq, Price, Quantity, Request,
    SessionId, Side, SymbolDefinition, TimeInForce, TradingDay,
};

fn market_order(style: MarketStyle) -> OrderKind {
    OrderKind::Market {
        style,
        protection: None,
    }
}

/// Six asks of account 1, 100 shares each, a tick apart from ten yuan on; one bid of account 2.
fn six_levels() -> Market {
    let mut market = Market::new();
    for level in 0..6 {
        market.ask(1, sell(&format!("a{level}"), 100, TEN + level * TICK));
    }
    market.ask(2, buy("bid", 100, TEN - TICK));
    market
}

/// What a buy of 700 shares by account 3 is told, but for others' fills and the trades.
fn taker(market: &mut Market, kind: OrderKind) -> Vec<String> {
    let mut told = market.ask(3, of_kind("t", Side::Buy, 700, kind));
    told.retain(|line| line.starts_with("3:"));
    told
}

#[test]
fn each_market_style_takes_what_it_may_and_ends_as_it_says() {
    let filled = |left: &[u64]| -> Vec<String> {
        let mut told = vec!["3: t accepted".to_owned()];
        told.extend(left.iter().map(|left| format!("3: t filled, {left} left")));
        told
    };
    let with = |mut told: Vec<String>, last: &str| {
        told.push(format!("3: {last}"));
        told
    };
    let six = [600, 500, 400, 300, 200, 100];
    let cases = [
        (
            MarketStyle::ImmediateOrCancel,
            with(filled(&six), "t gone 100, unfilled"),
        ),
        (
            MarketStyle::BestFiveOrCancel,
            with(filled(&six[..5]), "t gone 200, unfilled"),
        ),
        (
            MarketStyle::BestFiveThenLimit,
            with(filled(&six[..5]), "t stands at 100400, 200 open"),
        ),
        (
            MarketStyle::CounterpartyBest,
            with(filled(&six[..1]), "t stands at 100000, 600 open"),
        ),
        (
            MarketStyle::OwnBest,
            with(filled(&[]), "t stands at 99900, 700 open"),
        ),
        (
            MarketStyle::FillOrKill,
            with(filled(&[]), "t gone 700, not at once"),
        ),
    ];
    for (style, expected) in cases {
        let mut market = six_levels();
        assert_eq!(
            taker(&mut market, market_order(style)),
            expected,
            "{style:?}"
        );
    }
}

#[test]
fn a_market_order_that_finds_no_price_ends_at_once() {
    for (style, expected) in [
        (MarketStyle::CounterpartyBest, "1: t gone 100, unfilled"),
        (MarketStyle::OwnBest, "1: t gone 100, unfilled"),
        (MarketStyle::BestFiveThenLimit, "1: t gone 100, unfilled"),
        (MarketStyle::FillOrKill, "1: t gone 100, not at once"),
    ] {
        let mut market = Market::new();
        let told = market.ask(1, of_kind("t", Side::Buy, 100, market_order(style)));
        assert_eq!(told, ["1: t accepted", expected], "{style:?}");
        assert_eq!(market.holdings(1), (CASH, 0, SHARES, 0), "{style:?}");
    }
}

#[test]
fn a_market_order_goes_no_further_than_its_protection() {
    let mut market = six_levels();
    let kind = OrderKind::Market {
        style: MarketStyle::ImmediateOrCancel,
        protection: Some(Price(TEN + TICK)),
    };
    assert_eq!(
        taker(&mut market, kind),
        [
            "3: t accepted",
            "3: t filled, 600 left",
            "3: t filled, 500 left",
            "3: t gone 500, unfilled",
        ]
    );
}

#[test]
fn what_stands_of_a_market_order_freezes_only_what_it_stands_for() {
    let mut market = six_levels();
    taker(&mut market, market_order(MarketStyle::BestFiveThenLimit));
    let (cash, frozen, shares, _) = market.holdings(3);
    assert_eq!(shares, SHARES + 500);
    assert_eq!(cash, CASH - 500 * (TEN + 2 * TICK));
    assert_eq!(frozen, 200 * (TEN + 4 * TICK));
    market.ask(3, cancel("t"));
    assert_eq!(market.holdings(3).1, 0);
}

#[test]
fn fill_or_kill_trades_all_or_nothing() {
    let fok = |name: &str, quantity| {
        Request::New(NewOrder {
            time_in_force: TimeInForce::FillOrKill,
            ..order(name, Side::Buy, quantity, TEN + TICK)
        })
    };
    let mut market = six_levels();
    assert_eq!(
        market.ask(3, fok("k", 300)),
        ["3: k accepted", "3: k gone 300, not at once"]
    );
    assert_eq!(
        market.ask(3, fok("f", 200)),
        [
            "3: f accepted",
            "3: f filled, 100 left",
            "1: a0 filled, 0 left",
            "100000 x 100",
            "3: f filled, 0 left",
            "1: a1 filled, 0 left",
            "100100 x 100",
        ]
    );
}

#[test]
fn post_only_rests_or_goes_and_never_takes() {
    let post_only = |name: &str, price| {
        Request::New(NewOrder {
            post_only: true,
            ..order(name, Side::Buy, 100, price)
        })
    };
    let mut market = six_levels();
    assert_eq!(
        market.ask(3, post_only("p", TEN)),
        ["3: p accepted", "3: p gone 100, post only"]
    );
    assert_eq!(market.ask(3, post_only("q", TEN - TICK)), ["3: q accepted"]);
    let replace = Request::Replace {
        original: id("q"),
        replacement: id("r"),
        price: Price(TEN),
        quantity: Quantity(100),
    };
    assert_eq!(
        market.ask(3, replace),
        ["3: now r", "3: r gone 100, post only"]
    );
    assert_eq!(market.holdings(3), (CASH, 0, SHARES, 0));
}

#[test]
fn an_iceberg_shows_a_part_and_goes_to_the_end_with_each_next_one() {
    let mut market = Market::new();
    let iceberg = NewOrder {
        display: Some(Quantity(100)),
        ..order("ice", Side::Sell, 300, TEN)
    };
    market.ask(1, Request::New(iceberg));
    market.ask(2, sell("plain", 100, TEN));
    assert_eq!(
        market.ask(3, buy("t", 300, TEN)),
        [
            "3: t accepted",
            "3: t filled, 200 left",
            "1: ice filled, 200 left",
            "100000 x 100",
            "3: t filled, 100 left",
            "2: plain filled, 0 left",
            "100000 x 100",
            "3: t filled, 0 left",
            "1: ice filled, 100 left",
            "100000 x 100",
        ]
    );
}

#[test]
fn a_stop_waits_for_its_trigger_and_is_then_what_it_was_to_become() {
    let (trigger, price) = (Price(TEN + TICK), Price(TEN + TICK));
    let cases = [
        // A market order: takes what there is, the rest goes.
        (OrderKind::Stop { trigger }, "3: s gone 100, unfilled"),
        // A limit order: what there is is too dear, so it rests.
        (OrderKind::StopLimit { trigger, price }, ""),
    ];
    for (kind, last) in cases {
        let mut market = Market::new();
        market.ask(1, sell("a", 100, TEN + TICK));
        market.ask(1, sell("b", 100, TEN + 2 * TICK));
        assert_eq!(
            market.ask(3, of_kind("s", Side::Buy, 200, kind)),
            ["3: s accepted"]
        );
        assert!(market.holdings(3).1 > 0, "what it may need is set aside");
        let told = market.ask(2, buy("trade", 100, TEN + TICK));
        assert_eq!(told[4], "3: s set off", "{told:?}");
        match last {
            "" => assert_eq!(told.len(), 5, "{told:?}"),
            last => assert_eq!(told.last().map(String::as_str), Some(last), "{told:?}"),
        }
    }
}

#[test]
fn stops_fire_in_the_order_of_their_triggers_and_set_off_others() {
    let mut market = Market::new();
    for (level, name) in ["a", "b", "c"].iter().enumerate() {
        market.ask(1, sell(name, 100, TEN + level as i64 * TICK));
    }
    let stop = |name: &str, ticks| {
        let trigger = Price(TEN + ticks * TICK);
        of_kind(name, Side::Buy, 100, OrderKind::Stop { trigger })
    };
    // `late` is set off by the trade that `first` causes.
    market.ask(3, stop("late", 1));
    market.ask(4, stop("first", 0));
    let told = market.ask(2, buy("t", 100, TEN));
    assert_eq!(
        told[3..],
        [
            "100000 x 100",
            "4: first set off",
            "4: first filled, 0 left",
            "1: b filled, 0 left",
            "100100 x 100",
            "3: late set off",
            "3: late filled, 0 left",
            "1: c filled, 0 left",
            "100200 x 100",
        ]
    );
}

#[test]
fn a_waiting_stop_is_cancelled_but_not_replaced() {
    let mut market = Market::new();
    let trigger = Price(TEN + TICK);
    market.ask(1, of_kind("s", Side::Buy, 100, OrderKind::Stop { trigger }));
    let replace = Request::Replace {
        original: id("s"),
        replacement: id("r"),
        price: Price(TEN),
        quantity: Quantity(100),
    };
    assert_eq!(market.ask(1, replace), ["1: rejected 306"]);
    assert_eq!(market.ask(1, cancel("s")), ["1: s gone 100, requested"]);
    assert_eq!(market.holdings(1), (CASH, 0, SHARES, 0));
}

#[test]
fn terms_that_do_not_go_together_are_refused_by_their_code() {
    let base = || order("x", Side::Buy, 300, TEN);
    let style = MarketStyle::OwnBest;
    let (trigger, reached) = (Price(TEN + TICK), Price(TEN));
    let cases = [
        (
            306,
            NewOrder {
                post_only: true,
                time_in_force: TimeInForce::ImmediateOrCancel,
                ..base()
            },
        ),
        (
            306,
            NewOrder {
                display: Some(Quantity(100)),
                time_in_force: TimeInForce::FillOrKill,
                ..base()
            },
        ),
        (
            306,
            NewOrder {
                kind: market_order(style),
                time_in_force: TimeInForce::ImmediateOrCancel,
                ..base()
            },
        ),
        (
            306,
            NewOrder {
                kind: OrderKind::Stop { trigger },
                time_in_force: TimeInForce::FillOrKill,
                ..base()
            },
        ),
        (
            307,
            NewOrder {
                display: Some(Quantity(150)),
                ..base()
            },
        ),
        (
            307,
            NewOrder {
                display: Some(Quantity(300)),
                ..base()
            },
        ),
        (
            403,
            NewOrder {
                kind: OrderKind::Stop { trigger: reached },
                ..base()
            },
        ),
        (
            401,
            NewOrder {
                kind: OrderKind::Stop {
                    trigger: Price(TEN + 1),
                },
                ..base()
            },
        ),
    ];
    for (code, new) in cases {
        let mut market = Market::new();
        market.ask(1, sell("a", 100, TEN));
        market.ask(2, buy("b", 100, TEN));
        assert_eq!(
            market.ask(3, Request::New(new)),
            [format!("3: rejected {code}")],
            "{new:?}"
        );
    }
}

#[test]
fn the_end_of_a_day_takes_day_orders_and_frees_their_ids() {
    let mut market = Market::new();
    let good_till_cancel = |name: &str, price| {
        Request::New(NewOrder {
            time_in_force: TimeInForce::GoodTillCancel,
            ..order(name, Side::Buy, 100, price)
        })
    };
    market.ask(1, buy("day", 100, TEN));
    market.ask(1, good_till_cancel("stays", TEN));
    market.ask(1, good_till_cancel("far", 90_000));
    let trigger = Price(TEN + TICK);
    market.ask(2, of_kind("s", Side::Buy, 100, OrderKind::Stop { trigger }));
    let settle = Control::SettleDay {
        trading_day: TradingDay(20_261_125),
    };
    assert_eq!(
        market.control(settle.clone()),
        ["1: day gone 100, end of day", "2: s gone 100, end of day"]
    );
    assert!(market.control(settle).is_empty(), "it is settled already");
    // The ids of orders that stay are taken; those of orders that went are free again.
    assert_eq!(market.ask(1, buy("stays", 100, TEN)), ["1: rejected 201"]);
    assert_eq!(market.ask(1, buy("day", 100, TEN)), ["1: day accepted"]);
    // The new day's limits take what stands outside of them.
    let new_limits = SymbolDefinition::share(crate::market::SYMBOL, Price(95_000), Price(105_000));
    assert_eq!(
        market.control(Control::DefineSymbol(new_limits)),
        ["1: far gone 100, outside limits"]
    );
    assert_eq!(
        market.ask(1, cancel("stays")),
        ["1: stays gone 100, requested"]
    );
}

#[test]
fn a_session_that_stays_away_loses_its_orders_after_its_grace() {
    let mut market = Market::new();
    let logon = |seen| {
        Command::Logon(Logon {
            cancel_on_disconnect_ms: Some(3_000),
            ..Logon::new(SessionId(1), types::AccountId(1), OutSeq(seen))
        })
    };
    let disconnect = |session| Command::Disconnect {
        session: SessionId(session),
    };
    market.apply(&logon(0));
    market.ask(1, buy("x", 100, TEN));
    market.ask(2, buy("other", 100, TEN));
    // Back in time: nothing happens, however long it takes.
    market.apply(&disconnect(1));
    market.now_us += 2_999_999;
    market.apply(&logon(0));
    market.now_us += 60_000_000;
    assert!(market.apply(&Command::Tick).is_empty());
    // Away for good; a session that did not ask for it keeps its orders.
    market.apply(&disconnect(1));
    market.apply(&disconnect(2));
    market.now_us += 2_999_999;
    assert!(market.apply(&Command::Tick).is_empty());
    market.now_us += 1;
    let told = crate::market::told(&market.apply(&Command::Tick));
    assert_eq!(told, ["1: x gone 100, disconnected"]);
    assert_eq!(
        market.ask(2, cancel("other")),
        ["2: other gone 100, requested"]
    );
}
