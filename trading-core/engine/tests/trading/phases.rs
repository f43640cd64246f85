//! What each phase takes and allows, and both exchanges' auctions, case by case.

use crate::market::{Market, SYMBOL, TEN, TICK, buy, cancel, id, of_kind, order, sell};
use types::{
    Board, Command, Control, ControlOutcome, Event, MarketStyle, NewOrder, OrderKind, Phase,
    PhaseScope, Price, Quantity, ReferencePrice, Request, Side, SymbolDefinition, TimeInForce,
};

#[test]
fn each_phase_takes_and_allows_what_it_does() {
    let ioc = |name: &str| {
        Request::New(NewOrder {
            time_in_force: TimeInForce::ImmediateOrCancel,
            ..order(name, Side::Buy, 100, TEN)
        })
    };
    let market_order = OrderKind::Market {
        style: MarketStyle::ImmediateOrCancel,
        protection: None,
    };
    // Phase, whether it takes a limit order, a market order, and a cancel.
    let cases = [
        (Phase::Closed, false, false, true),
        (Phase::OpeningCall, true, false, true),
        (Phase::OpeningCallNoCancel, true, false, false),
        (Phase::PreContinuous, false, false, false),
        (Phase::Continuous, true, true, true),
        (Phase::LunchBreak, false, false, true),
        (Phase::ClosingCall, true, false, false),
        (Phase::AfterHours, false, false, true),
        (Phase::Halted, false, false, true),
    ];
    for (phase, limit, immediate, cancels) in cases {
        let mut market = Market::new();
        market.ask(1, buy("old", 100, TEN - TICK));
        market.phase(phase);
        let expect = |taken: bool, accepted: &str, code: u16| {
            if taken {
                accepted.to_owned()
            } else {
                format!("1: rejected {code}")
            }
        };
        let first = |told: Vec<String>| told.into_iter().next().unwrap();
        let told = first(market.ask(1, buy("new", 100, TEN - TICK)));
        assert_eq!(told, expect(limit, "1: new accepted", 801), "{phase:?}");
        for request in [ioc("i"), of_kind("m", Side::Buy, 100, market_order)] {
            let told = first(market.ask(1, request));
            assert_eq!(told.ends_with("accepted"), immediate, "{phase:?}: {told}");
        }
        let told = first(market.ask(1, cancel("old")));
        let gone = "1: old gone 100, requested";
        assert_eq!(told, expect(cancels, gone, 802), "{phase:?}");
    }
}

#[test]
fn a_call_gathers_orders_and_ends_with_one_price() {
    let mut market = Market::new();
    market.phase(Phase::OpeningCall);
    assert_eq!(market.ask(1, buy("b", 300, TEN + TICK)), ["1: b accepted"]);
    assert_eq!(market.ask(2, sell("s", 200, TEN - TICK)), ["2: s accepted"]);
    assert!(market.phase(Phase::OpeningCallNoCancel).is_empty());
    assert_eq!(
        market.phase(Phase::PreContinuous),
        [
            "1: b filled, 100 left",
            "2: s filled, 0 left",
            "100100 x 200"
        ]
    );
    assert_eq!(market.state.last_price(SYMBOL), Some(Price(TEN + TICK)));
    assert!(market.phase(Phase::Continuous).is_empty());
    assert_eq!(
        market.ask(3, sell("t", 100, TEN)),
        [
            "3: t accepted",
            "3: t filled, 0 left",
            "1: b filled, 0 left",
            "100100 x 100"
        ]
    );
}

/// The same orders, and two prices at which as much trades with nothing left over.
#[test]
fn the_exchanges_break_a_tie_in_their_own_ways() {
    let cases = [
        // Shanghai: the middle of both.
        (Board::ShanghaiMain, 99_000, TEN),
        (Board::ShanghaiMain, 101_000, TEN),
        // Shenzhen: whichever is closest to the close before.
        (Board::ShenzhenMain, 99_000, TEN - 2 * TICK),
        (Board::ShenzhenMain, 100_100, TEN + TICK),
        (Board::ShenzhenMain, 101_000, TEN + 2 * TICK),
    ];
    for (board, close, expected) in cases {
        let mut market = Market::of(SymbolDefinition {
            board,
            ..SymbolDefinition::share(SYMBOL, Price(90_000), Price(110_000))
        });
        market.control(Control::SetReferencePrice {
            symbol: SYMBOL,
            reference: ReferencePrice::PreviousClose,
            price: Price(close),
        });
        market.phase(Phase::OpeningCall);
        market.ask(1, buy("b", 100, TEN + 2 * TICK));
        market.ask(2, sell("s", 100, TEN - 2 * TICK));
        let told = market.phase(Phase::Continuous);
        assert_eq!(
            told[2],
            format!("{expected} x 100"),
            "{board:?}, close {close}"
        );
    }
}

#[test]
fn the_closing_call_of_shenzhen_looks_at_the_last_trade() {
    let mut market = Market::of(SymbolDefinition {
        board: Board::ShenzhenMain,
        ..SymbolDefinition::share(SYMBOL, Price(90_000), Price(110_000))
    });
    market.control(Control::SetReferencePrice {
        symbol: SYMBOL,
        reference: ReferencePrice::PreviousClose,
        price: Price(90_000),
    });
    market.ask(1, sell("a", 100, TEN + TICK));
    market.ask(2, buy("t", 100, TEN + TICK));
    market.phase(Phase::ClosingCall);
    market.ask(1, buy("b", 100, TEN + 2 * TICK));
    market.ask(2, sell("s", 100, TEN - 2 * TICK));
    assert_eq!(market.phase(Phase::AfterHours)[2], "100100 x 100");
}

#[test]
fn an_account_does_not_meet_itself_in_an_auction() {
    let mut market = Market::new();
    market.phase(Phase::OpeningCall);
    market.ask(1, buy("older", 100, TEN));
    market.ask(1, sell("younger", 100, TEN));
    market.ask(2, sell("foreign", 100, TEN));
    assert_eq!(
        market.phase(Phase::Continuous),
        [
            "1: younger gone 100, self trade",
            "1: older filled, 0 left",
            "2: foreign filled, 0 left",
            "100000 x 100",
        ]
    );
}

#[test]
fn replacing_in_a_call_only_rests() {
    let mut market = Market::new();
    market.phase(Phase::OpeningCall);
    market.ask(1, buy("b", 100, TEN - TICK));
    market.ask(2, sell("s", 100, TEN));
    let replace = Request::Replace {
        original: id("b"),
        replacement: id("c"),
        price: Price(TEN),
        quantity: Quantity(200),
    };
    assert_eq!(market.ask(1, replace), ["1: now c"]);
    assert!(market.state.is_gathering(SYMBOL));
    assert_eq!(
        market.phase(Phase::Continuous),
        [
            "1: c filled, 100 left",
            "2: s filled, 0 left",
            "100000 x 100"
        ]
    );
}

#[test]
fn a_halt_in_a_call_keeps_the_orders_and_the_auction_ends_after_it() {
    let mut market = Market::new();
    market.phase(Phase::OpeningCall);
    market.ask(1, buy("b", 100, TEN));
    market.ask(2, sell("s", 100, TEN));
    assert!(market.phase(Phase::Halted).is_empty());
    // The day goes on for all others; the halt ends for this symbol by its own record.
    let all = Control::SetPhase {
        scope: PhaseScope::All,
        phase: Phase::Continuous,
    };
    assert!(market.control(all).is_empty());
    assert_eq!(market.state.phase(SYMBOL), Some(Phase::Halted));
    assert_eq!(market.phase(Phase::Continuous).len(), 3);
}

#[test]
fn an_opening_price_sets_off_stops_once_trading_is_continuous() {
    let mut market = Market::new();
    market.phase(Phase::OpeningCall);
    let trigger = Price(TEN);
    market.ask(
        3,
        of_kind("stop", Side::Buy, 100, OrderKind::Stop { trigger }),
    );
    market.ask(1, buy("b", 100, TEN));
    market.ask(2, sell("s", 200, TEN));
    assert_eq!(market.phase(Phase::PreContinuous).len(), 3);
    assert_eq!(
        market.phase(Phase::Continuous),
        [
            "3: stop set off",
            "3: stop filled, 0 left",
            "2: s filled, 0 left",
            "100000 x 100",
        ]
    );
}

#[test]
fn only_one_symbol_at_a_time_is_halted_and_new_listings_join_their_boards_phase() {
    let mut market = Market::new();
    let set = |scope, phase| Command::Control(Control::SetPhase { scope, phase });
    let refused = market.apply(&set(PhaseScope::All, Phase::Halted));
    let [Event::Control(ControlOutcome::Refused(reason))] = refused.as_slice() else {
        panic!("a refusal was expected: {refused:?}");
    };
    assert_eq!(reason.code(), 908);
    market.apply(&set(PhaseScope::Board(Board::Beijing), Phase::LunchBreak));
    assert_eq!(market.state.phase(SYMBOL), Some(Phase::Continuous));
    let listed = SymbolDefinition {
        board: Board::Beijing,
        ..SymbolDefinition::share(types::SymbolId(830_000), Price(100), Price(200))
    };
    market.control(Control::DefineSymbol(listed));
    assert_eq!(market.state.phase(listed.symbol), Some(Phase::LunchBreak));
}
