//! What each kind of request causes, case by case.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use engine::{EntryContext, Limits, State};
use types::{
    AccountId, CancelCause, ClOrdId, ClientCommand, ClientSeq, Command, Control, Epoch, Event,
    LogIndex, Logon, MarketStyle, Money, NewOrder, OrderKind, OrderState, OutSeq, Outbound, Price,
    Quantity, Report, Request, SelfTradePrevention, SessionId, Side, SymbolDefinition, SymbolId,
    TimeInForce, UnixMicros,
};

const SYMBOL: SymbolId = SymbolId(600_000);
const OTHER_SYMBOL: SymbolId = SymbolId(1);
/// Ten yuan and a tick around it.
const TEN: i64 = 100_000;
const TICK: i64 = 100;

/// A market of two symbols and three accounts, each with one session of its own number; account 1
/// has a second session, 11.
struct Market {
    state: State,
    commands: u64,
}

/// Cash of each account: exactly a thousand shares at ten yuan.
const CASH: i64 = 1_000 * TEN;
const MARKET: OrderKind = OrderKind::Market {
    style: MarketStyle::ImmediateOrCancel,
    protection: None,
};
const SHARES: u64 = 1_000;

impl Market {
    fn new() -> Self {
        Self::with_limits(Limits::small())
    }

    fn with_limits(limits: Limits) -> Self {
        let mut market = Self {
            state: State::with_limits(limits),
            commands: 0,
        };
        for symbol in [SYMBOL, OTHER_SYMBOL] {
            market.apply(&Command::Control(Control::DefineSymbol(
                SymbolDefinition::share(symbol, Price(90_000), Price(110_000)),
            )));
        }
        for account in 1..=3 {
            market.apply(&Command::Control(Control::OpenAccount {
                account: AccountId(account),
                cash: Money(CASH),
                positions: vec![(SYMBOL, Quantity(SHARES)), (OTHER_SYMBOL, Quantity(150))],
            }));
            market.logon(account, account, 0);
        }
        market.logon(11, 1, 0);
        market
    }

    fn apply(&mut self, command: &Command) -> Vec<Event> {
        self.commands += 1;
        let context = EntryContext {
            epoch: Epoch(1),
            index: LogIndex(self.commands),
            leader_time: UnixMicros(1_700_000_000_000_000),
        };
        let mut events = Vec::new();
        self.state.apply(context, command, &mut events);
        self.state.check_conservation().unwrap();
        events
    }

    fn logon(&mut self, session: u64, account: u64, seen: u64) -> Event {
        let events = self.apply(&Command::Logon(Logon::new(
            SessionId(session),
            AccountId(account),
            OutSeq(seen),
        )));
        let [event] = <[Event; 1]>::try_from(events).unwrap();
        event
    }

    fn numbered(&mut self, session: u64, client_seq: u64, request: Request) -> Vec<Event> {
        self.apply(&Command::Client(ClientCommand {
            session: SessionId(session),
            client_seq: ClientSeq(client_seq),
            request,
        }))
    }

    /// The request under the session's next number, told as short texts.
    fn ask(&mut self, session: u64, request: Request) -> Vec<String> {
        let next = self.state.next_client_seq(SessionId(session)).unwrap();
        self.numbered(session, next.0, request)
            .iter()
            .filter_map(told)
            .collect()
    }

    /// The same for a request that must be rejected: its code.
    fn code(&mut self, session: u64, request: Request) -> u16 {
        let next = self.state.next_client_seq(SessionId(session)).unwrap();
        let before = self.holdings(1);
        let events = self.numbered(session, next.0, request);
        assert_eq!(before, self.holdings(1), "a reject changed an account");
        match events.as_slice() {
            [
                Event::ToSession(Outbound {
                    report: Report::Rejected { reason, .. },
                    ..
                }),
            ] => {
                assert!(!reason.to_string().is_empty());
                reason.code()
            }
            other => panic!("one reject was expected: {other:?}"),
        }
    }

    /// Cash, cash frozen, shares and shares frozen of the first symbol.
    fn holdings(&self, account: u64) -> (i64, i64, u64, u64) {
        let view = self.state.account(AccountId(account)).unwrap();
        let held = view.positions.iter().find(|it| it.0 == SYMBOL);
        let (shares, frozen) = held.map_or((0, 0), |it| (it.1.0, it.2.0));
        (view.cash.0, view.cash_frozen.0, shares, frozen)
    }
}

fn id(name: &str) -> ClOrdId {
    ClOrdId::new(name).unwrap()
}

fn order(name: &str, side: Side, quantity: u64, price: i64) -> NewOrder {
    NewOrder::limit(id(name), SYMBOL, side, Quantity(quantity), Price(price))
}

fn buy(name: &str, quantity: u64, price: i64) -> Request {
    Request::New(order(name, Side::Buy, quantity, price))
}

fn sell(name: &str, quantity: u64, price: i64) -> Request {
    Request::New(order(name, Side::Sell, quantity, price))
}

fn cancel(name: &str) -> Request {
    Request::Cancel { original: id(name) }
}

fn replace(original: &str, replacement: &str, quantity: u64, price: i64) -> Request {
    Request::Replace {
        original: id(original),
        replacement: id(replacement),
        price: Price(price),
        quantity: Quantity(quantity),
    }
}

/// `session: what happened`, with a `*` on the answer to the request. Trades are told by their fills.
fn told(event: &Event) -> Option<String> {
    Some(match event {
        Event::Trade(_) => return None,
        Event::ToSession(message) => {
            let mark = if message.in_reply_to.is_some() {
                "*"
            } else {
                ""
            };
            format!("{}{mark}: {}", message.session, report(&message.report))
        }
        Event::SequenceGap {
            received, expected, ..
        } => format!("gap: {received}, expected {expected}"),
        other => format!("{other:?}"),
    })
}

fn report(report: &Report) -> String {
    match report {
        Report::Accepted { cl_ord_id, .. } => format!("{cl_ord_id} accepted"),
        Report::Rejected { reason, .. } => format!("rejected {}", reason.code()),
        Report::Filled {
            cl_ord_id,
            price,
            quantity,
            remaining,
            ..
        } => format!(
            "{cl_ord_id} filled {} at {}, {} left",
            quantity.0, price.0, remaining.0
        ),
        Report::Cancelled {
            cl_ord_id,
            quantity,
            cause,
            ..
        } => {
            let cause = match cause {
                CancelCause::Requested => "requested",
                CancelCause::MassCancel => "mass cancel",
                CancelCause::SelfTrade => "self trade",
                CancelCause::Unfilled => "unfilled",
                CancelCause::NotAtOnce => "not at once",
                CancelCause::PostOnly => "post only",
                CancelCause::Disconnected => "disconnected",
                CancelCause::EndOfDay => "end of day",
                CancelCause::OutsideLimits => "outside limits",
                CancelCause::KillSwitch => "kill switch",
                CancelCause::Halted => "halted",
            };
            format!("{cl_ord_id} cancelled {}, {cause}", quantity.0)
        }
        Report::Replaced {
            original,
            replacement,
            remaining,
            kept_priority,
            ..
        } => {
            let place = if *kept_priority { "kept" } else { "lost" };
            format!(
                "{original} is {replacement}, {} open, place {place}",
                remaining.0
            )
        }
        Report::MassCancelled { orders } => format!("mass cancelled {orders}"),
        Report::Triggered {
            cl_ord_id, last, ..
        } => format!("{cl_ord_id} triggered at {}", last.0),
        Report::Restated {
            cl_ord_id,
            price,
            remaining,
            ..
        } => format!("{cl_ord_id} stands at {}, {} open", price.0, remaining.0),
        Report::Status(view) => {
            let state = match view.state {
                OrderState::Open => "open",
                OrderState::Filled => "filled",
                OrderState::Cancelled => "cancelled",
                OrderState::Rejected => "rejected",
            };
            format!(
                "{} {state}, {} of {}, {} left",
                view.cl_ord_id, view.filled.0, view.quantity.0, view.remaining.0
            )
        }
    }
}

#[test]
fn the_best_price_trades_first_and_at_one_price_the_oldest() {
    let mut market = Market::new();
    market.ask(1, sell("dear", 100, TEN + TICK));
    market.ask(1, sell("first", 100, TEN));
    market.ask(2, sell("second", 100, TEN));
    market.ask(1, sell("cheap", 100, TEN - TICK));
    assert_eq!(
        market.ask(3, buy("taker", 400, TEN + TICK)),
        [
            "3*: taker accepted",
            "3*: taker filled 100 at 99900, 300 left",
            "1: cheap filled 100 at 99900, 0 left",
            "3*: taker filled 100 at 100000, 200 left",
            "1: first filled 100 at 100000, 0 left",
            "3*: taker filled 100 at 100000, 100 left",
            "2: second filled 100 at 100000, 0 left",
            "3*: taker filled 100 at 100100, 0 left",
            "1: dear filled 100 at 100100, 0 left",
        ]
    );
}

#[test]
fn what_does_not_trade_rests_and_trades_later() {
    let mut market = Market::new();
    market.ask(1, sell("offer", 300, TEN));
    assert_eq!(
        market.ask(2, buy("bid", 500, TEN)),
        [
            "2*: bid accepted",
            "2*: bid filled 300 at 100000, 200 left",
            "1: offer filled 300 at 100000, 0 left",
        ]
    );
    assert_eq!(
        market.ask(
            2,
            Request::Status {
                original: id("bid")
            }
        ),
        ["2*: bid open, 300 of 500, 200 left"]
    );
    // 300 shares are paid, 200 are still frozen for.
    assert_eq!(
        market.holdings(2),
        (CASH - 300 * TEN, 200 * TEN, SHARES + 300, 0)
    );
    assert_eq!(
        market.ask(3, sell("more", 200, TEN - TICK)),
        [
            "3*: more accepted",
            "3*: more filled 200 at 100000, 0 left",
            "2: bid filled 200 at 100000, 0 left",
        ]
    );
    assert_eq!(market.holdings(2).1, 0);
}

#[test]
fn orders_that_may_not_rest_lose_their_rest() {
    let immediate = |kind| {
        Request::New(NewOrder {
            kind,
            time_in_force: TimeInForce::ImmediateOrCancel,
            ..order("taker", Side::Buy, 200, TEN)
        })
    };
    for kind in [OrderKind::Limit { price: Price(TEN) }, MARKET] {
        let mut market = Market::new();
        market.ask(1, sell("offer", 100, TEN));
        assert_eq!(
            market.ask(2, immediate(kind)),
            [
                "2*: taker accepted",
                "2*: taker filled 100 at 100000, 100 left",
                "1: offer filled 100 at 100000, 0 left",
                "2*: taker cancelled 100, unfilled",
            ],
            "{kind:?}"
        );
        assert_eq!(market.holdings(2).1, 0, "nothing stays frozen");
    }
}

#[test]
fn an_account_never_trades_with_itself_whichever_order_gives_way() {
    let taker = |self_trade_prevention| {
        Request::New(NewOrder {
            self_trade_prevention,
            ..order("taker", Side::Buy, 300, TEN)
        })
    };
    for (prevention, expected) in [
        (
            SelfTradePrevention::CancelNewest,
            vec![
                "11*: taker accepted",
                "11*: taker cancelled 300, self trade",
            ],
        ),
        (
            SelfTradePrevention::CancelOldest,
            vec![
                "11*: taker accepted",
                "1: own cancelled 100, self trade",
                "11*: taker filled 200 at 100000, 100 left",
                "2: foreign filled 200 at 100000, 0 left",
            ],
        ),
        (
            SelfTradePrevention::CancelBoth,
            vec![
                "11*: taker accepted",
                "1: own cancelled 100, self trade",
                "11*: taker cancelled 300, self trade",
            ],
        ),
    ] {
        let mut market = Market::new();
        market.ask(1, sell("own", 100, TEN));
        market.ask(2, sell("foreign", 200, TEN));
        // The other session of the same account: it is the account that counts.
        assert_eq!(
            market.ask(11, taker(prevention)),
            expected,
            "{prevention:?}"
        );
    }
}

#[test]
fn each_check_has_its_own_code() {
    let unlisted = Request::New(NewOrder {
        symbol: SymbolId(9),
        ..order("x", Side::Buy, 100, TEN)
    });
    let odd_lot_of_other = Request::New(NewOrder {
        symbol: OTHER_SYMBOL,
        ..order("x", Side::Sell, 151, TEN)
    });
    for (code, request) in [
        (201, buy("used", 100, TEN)),
        (202, cancel("never")),
        (202, replace("never", "x", 100, TEN)),
        (
            202,
            Request::Status {
                original: id("never"),
            },
        ),
        (203, cancel("gone")),
        (203, replace("gone", "x", 100, TEN)),
        (301, unlisted),
        (
            301,
            Request::MassCancel {
                symbol: Some(SymbolId(9)),
            },
        ),
        (302, buy("x", 0, TEN)),
        (303, buy("x", 150, TEN)),
        (304, sell("x", 1_000_001, TEN)),
        (305, replace("part", "x", 100, TEN)),
        (401, buy("x", 100, TEN + 1)),
        (402, buy("x", 100, 110_000 + TICK)),
        (402, sell("x", 100, 90_000 - TICK)),
        (501, buy("x", 1_000, TEN)),
        // 1,000 and the 100 of `part`.
        (502, sell("x", 1_101, TEN)),
        (502, odd_lot_of_other),
    ] {
        let mut market = Market::new();
        market.ask(1, buy("used", 100, 90_000));
        market.ask(1, buy("gone", 100, 90_000));
        market.ask(1, cancel("gone"));
        market.ask(2, sell("counter", 100, TEN));
        market.ask(1, buy("part", 200, TEN));
        assert_eq!(market.code(1, request), code, "{request:?}");
    }
}

#[test]
fn cash_is_checked_to_the_last_share() {
    for (quantity, price, is_accepted) in [
        (1_000, TEN, true),
        (1_100, TEN, false),
        (1_000, TEN + TICK, false),
    ] {
        let mut market = Market::new();
        let answer = market.ask(1, buy("x", quantity, price));
        let expected = if is_accepted {
            "1*: x accepted"
        } else {
            "1*: rejected 501"
        };
        assert_eq!(answer, [expected], "{quantity} at {price}");
    }
    // What an open order has frozen is not there for a second one, and comes back with a cancel.
    let mut market = Market::new();
    market.ask(1, buy("first", 600, TEN));
    assert_eq!(market.code(1, buy("second", 500, TEN)), 501);
    market.ask(1, cancel("first"));
    assert_eq!(
        market.ask(1, buy("third", 500, TEN)),
        ["1*: third accepted"]
    );
}

#[test]
fn a_market_buy_needs_cash_for_the_worst_price_and_pays_the_real_one() {
    let market_buy = |quantity| {
        Request::New(NewOrder {
            kind: MARKET,
            ..order("x", Side::Buy, quantity, 0)
        })
    };
    let mut market = Market::new();
    market.ask(2, sell("offer", 900, TEN));
    assert_eq!(market.code(1, market_buy(1_000)), 501);
    market.ask(1, market_buy(900));
    assert_eq!(market.holdings(1), (CASH - 900 * TEN, 0, SHARES + 900, 0));
}

#[test]
fn positions_are_checked_to_the_last_share() {
    let mut market = Market::new();
    assert_eq!(market.ask(1, sell("a", 600, TEN)), ["1*: a accepted"]);
    assert_eq!(market.code(1, sell("b", 401, TEN)), 502);
    assert_eq!(market.ask(1, sell("c", 400, TEN)), ["1*: c accepted"]);
    assert_eq!(market.holdings(1), (CASH, 0, SHARES, SHARES));
}

#[test]
fn a_replacement_keeps_its_place_only_when_it_shrinks_at_its_price() {
    for (quantity, price, place, first) in [
        (200, TEN, "kept", "changed"),
        (300, TEN, "kept", "changed"),
        (400, TEN, "lost", "second"),
        (300, TEN + TICK, "lost", "second"),
        (200, TEN - TICK, "lost", "changed"),
    ] {
        let mut market = Market::new();
        market.ask(1, sell("original", 300, TEN));
        market.ask(2, sell("second", 100, TEN));
        assert_eq!(
            market.ask(1, replace("original", "changed", quantity, price)),
            [format!(
                "1*: original is changed, {quantity} open, place {place}"
            )]
        );
        let reports = market.ask(3, buy("taker", 100, 110_000 - TICK));
        assert!(
            reports[2].contains(&format!(": {first} filled")),
            "{quantity} at {price}: {reports:?}"
        );
    }
}

#[test]
fn a_replacement_that_crosses_trades_at_once() {
    let mut market = Market::new();
    market.ask(1, sell("offer", 100, TEN + TICK));
    market.ask(2, buy("low", 200, TEN));
    assert_eq!(
        market.ask(2, replace("low", "high", 200, TEN + TICK)),
        [
            "2*: low is high, 200 open, place lost",
            "2*: high filled 100 at 100100, 100 left",
            "1: offer filled 100 at 100100, 0 left",
        ]
    );
    // Both names lead to the order, the old one included.
    for name in ["low", "high"] {
        assert_eq!(
            market.ask(2, Request::Status { original: id(name) }),
            ["2*: high open, 100 of 200, 100 left"]
        );
    }
    assert_eq!(market.code(2, buy("low", 100, TEN)), 201);
}

#[test]
fn a_replacement_freezes_only_the_difference() {
    let mut market = Market::new();
    market.ask(1, buy("all", 1_000, TEN));
    assert_eq!(market.code(1, replace("all", "more", 1_100, TEN)), 501);
    market.ask(1, replace("all", "dearer", 900, TEN + TICK));
    assert_eq!(market.holdings(1).1, 900 * (TEN + TICK));
}

#[test]
fn a_mass_cancel_takes_the_accounts_orders_and_no_others() {
    let other = |name| {
        Request::New(NewOrder {
            symbol: OTHER_SYMBOL,
            ..order(name, Side::Sell, 100, TEN)
        })
    };
    for (symbol, expected) in [
        (
            None,
            vec![
                "1: here cancelled 100, mass cancel",
                "11: there cancelled 100, mass cancel",
                "1*: mass cancelled 2",
            ],
        ),
        (
            Some(OTHER_SYMBOL),
            vec![
                "11: there cancelled 100, mass cancel",
                "1*: mass cancelled 1",
            ],
        ),
    ] {
        let mut market = Market::new();
        market.ask(1, sell("here", 100, TEN));
        market.ask(11, other("there"));
        market.ask(2, sell("foreign", 100, TEN));
        assert_eq!(
            market.ask(1, Request::MassCancel { symbol }),
            expected,
            "{symbol:?}"
        );
        assert_eq!(
            market.ask(
                2,
                Request::Status {
                    original: id("foreign")
                }
            ),
            ["2*: foreign open, 0 of 100, 100 left"]
        );
    }
}

#[test]
fn another_session_of_the_account_may_cancel_and_both_are_told() {
    let mut market = Market::new();
    market.ask(1, sell("own", 100, TEN));
    assert_eq!(
        market.ask(11, cancel("own")),
        [
            "11*: own cancelled 100, requested",
            "1: own cancelled 100, requested",
        ]
    );
    market.ask(2, sell("foreign", 100, TEN));
    assert_eq!(market.code(1, cancel("foreign")), 202);
}

#[test]
fn a_client_order_id_takes_effect_once_an_account() {
    let mut market = Market::new();
    market.ask(1, buy("x", 100, 90_000));
    assert_eq!(market.code(1, buy("x", 100, 90_000)), 201);
    assert_eq!(market.code(11, sell("x", 100, TEN)), 201);
    assert_eq!(market.code(1, replace("x", "x", 200, 90_000)), 201);
    market.ask(1, cancel("x"));
    assert_eq!(market.code(1, buy("x", 100, 90_000)), 201);
    // Of a rejected request the id stays free, and another account has its own names.
    assert_eq!(market.code(1, buy("y", 150, TEN)), 303);
    assert_eq!(market.ask(1, buy("y", 100, 90_000)), ["1*: y accepted"]);
    assert_eq!(market.ask(2, buy("x", 100, 90_000)), ["2*: x accepted"]);
}

#[test]
fn a_request_sent_again_gets_the_answer_of_the_first_time() {
    let mut market = Market::new();
    let first = market.numbered(1, 1, buy("x", 100, TEN));
    let rejected = market.numbered(1, 2, buy("x", 100, TEN));
    market.ask(2, sell("counter", 100, TEN));
    let holdings = market.holdings(1);
    for (client_seq, events) in [(1, &first), (2, &rejected)] {
        let Event::ToSession(answer) = &events[0] else {
            panic!("an answer was expected: {events:?}");
        };
        // Even with another content: what counts is the number.
        for request in [buy("x", 100, TEN), sell("z", 500, TEN)] {
            assert_eq!(
                market.numbered(1, client_seq, request),
                [Event::Duplicate {
                    session: SessionId(1),
                    client_seq: ClientSeq(client_seq),
                    original: Some(*answer),
                }]
            );
        }
    }
    assert_eq!(market.holdings(1), holdings);
    assert_eq!(market.state.counters().duplicates, 4);
}

#[test]
fn a_request_after_a_gap_does_not_take_effect() {
    let mut market = Market::new();
    market.ask(1, buy("x", 100, 90_000));
    let holdings = market.holdings(1);
    assert_eq!(
        market.numbered(1, 3, buy("y", 100, 90_000)),
        [Event::SequenceGap {
            session: SessionId(1),
            received: ClientSeq(3),
            expected: ClientSeq(2),
        }]
    );
    assert_eq!(market.holdings(1), holdings);
    // The gap consumed nothing: the expected number is taken as if nothing had been.
    assert_eq!(market.ask(1, buy("y", 100, 90_000)), ["1*: y accepted"]);
}

#[test]
fn a_session_that_never_logged_on_is_refused() {
    let mut market = Market::new();
    let events = market.numbered(99, 1, buy("x", 100, TEN));
    let [Event::LogonRefused { reason, .. }] = events.as_slice() else {
        panic!("a refusal was expected: {events:?}");
    };
    assert_eq!(reason.code(), 101);
}

#[test]
fn a_logon_gets_what_was_missed_and_the_next_numbers() {
    let mut market = Market::new();
    market.ask(1, sell("a", 100, TEN));
    market.ask(1, sell("b", 100, TEN));
    market.ask(2, buy("taker", 100, TEN));
    for seen in 0..=3 {
        let Event::LoggedOn {
            next_client_seq,
            next_out_seq,
            replay,
            replay_missing,
            ..
        } = market.logon(1, 1, seen)
        else {
            panic!("a logon was expected");
        };
        assert_eq!((next_client_seq, next_out_seq), (ClientSeq(3), OutSeq(4)));
        assert_eq!(replay_missing, 0);
        let all = ["a accepted", "b accepted", "a filled 100 at 100000, 0 left"];
        let replayed: Vec<_> = replay.iter().map(|it| report(&it.report)).collect();
        assert_eq!(replayed, all[seen as usize..], "seen {seen}");
        let numbers: Vec<_> = replay.iter().map(|it| it.out_seq.0).collect();
        assert_eq!(numbers, (seen + 1..=3).collect::<Vec<_>>());
    }
}

#[test]
fn a_logon_says_how_many_messages_are_no_longer_kept() {
    let mut market = Market::with_limits(Limits {
        replay_messages_max: 2,
        ..Limits::small()
    });
    for name in ["a", "b", "c", "d", "e"] {
        market.ask(1, sell(name, 100, TEN));
    }
    for (seen, replayed, missing) in [(0, 2, 3), (2, 2, 1), (3, 2, 0), (4, 1, 0), (5, 0, 0)] {
        let Event::LoggedOn {
            replay,
            replay_missing,
            ..
        } = market.logon(1, 1, seen)
        else {
            panic!("a logon was expected");
        };
        assert_eq!(
            (replay.len(), replay_missing),
            (replayed, missing),
            "{seen}"
        );
    }
}

#[test]
fn a_logon_that_cannot_be_is_refused_with_its_code() {
    for (session, account, seen, code) in [(1, 2, 0, 102), (50, 9, 0, 103), (1, 1, 7, 104)] {
        let mut market = Market::new();
        let Event::LogonRefused { reason, .. } = market.logon(session, account, seen) else {
            panic!("a refusal was expected");
        };
        assert_eq!(reason.code(), code);
    }
}

#[test]
fn bounds_of_the_engine_refuse_and_lose_nothing() {
    let mut market = Market::with_limits(Limits {
        orders_per_account_max: 3,
        open_orders_per_account_max: 2,
        ..Limits::small()
    });
    market.ask(1, sell("a", 100, TEN));
    market.ask(1, sell("b", 100, TEN));
    assert_eq!(market.code(1, sell("c", 100, TEN)), 602);
    market.ask(1, cancel("a"));
    assert_eq!(market.ask(1, sell("c", 100, TEN)), ["1*: c accepted"]);
    market.ask(1, cancel("b"));
    assert_eq!(market.code(1, sell("d", 100, TEN)), 601);
}
