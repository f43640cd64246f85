//! Rules, kill switches, terms, the day's end and alerts, as replicated commands: case by case.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use engine::{EntryContext, Limits, State};
use std::path::PathBuf;
use types::{
    AccountId, AccountLimits, AccountTerms, Alert, AlertKind, Board, Boards, ClOrdId,
    ClientCommand, Command, Control, ControlOutcome, Epoch, Event, KillMode, KillScope, LogIndex,
    Logon, MarketStyle, Money, NewOrder, OrderKind, OutSeq, OwnerId, Phase, PhaseScope, Price,
    Quantity, ReferencePrice, Report, Request, Security, SelfTradePrevention, SessionId, Side,
    SymbolDefinition, SymbolId, TimeInForce, TraderId, TradingDay, UnixMicros,
};

const MAIN: SymbolId = SymbolId(600_000);
const STAR: SymbolId = SymbolId(688_001);
const BOND: SymbolId = SymbolId(113_001);
const TEN: i64 = 100_000;
/// 2026-11-25 10:00 in China.
const MORNING: u64 = 1_795_572_000_000_000;

fn shipped_rules() -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rules/data");
    let files = ["beijing", "calendar", "conduct", "shanghai", "shenzhen"]
        .map(|name| folder.join(name).with_extension("yaml"));
    rules::encode(&rules_file::read(&files).unwrap()).unwrap()
}

/// Three accounts with a session each of the same number, a trader of number + 100, cash and shares.
struct Market {
    state: State,
    commands: u64,
    now: u64,
}

impl Market {
    fn new() -> Self {
        let mut market = Self {
            state: State::with_limits(Limits::small()),
            commands: 0,
            now: MORNING,
        };
        for (symbol, board, security) in [
            (MAIN, Board::ShanghaiMain, Security::Share),
            (STAR, Board::ShanghaiStar, Security::Share),
            (BOND, Board::ShanghaiMain, Security::ConvertibleBond),
        ] {
            market.done(Control::DefineSymbol(SymbolDefinition {
                board,
                security,
                float: Quantity(100_000),
                ..SymbolDefinition::share(symbol, Price(80_000), Price(120_000))
            }));
        }
        for account in 1..=3 {
            market.done(Control::OpenAccount {
                account: AccountId(account),
                cash: Money(100_000 * TEN),
                positions: [MAIN, STAR, BOND].map(|it| (it, Quantity(2_050))).to_vec(),
            });
            market.apply(&Command::Logon(Logon {
                trader: TraderId(account + 100),
                ..Logon::new(SessionId(account), AccountId(account), OutSeq(0))
            }));
        }
        market
    }

    fn with_rules() -> Self {
        let mut market = Self::new();
        market.done(Control::LoadRules {
            document: shipped_rules(),
        });
        market
    }

    fn apply(&mut self, command: &Command) -> Vec<Event> {
        self.commands += 1;
        self.now += 1_000;
        let context = EntryContext {
            epoch: Epoch(1),
            index: LogIndex(self.commands),
            leader_time: UnixMicros(self.now),
        };
        let mut events = Vec::new();
        self.state.apply(context, command, &mut events);
        self.state.check_conservation().unwrap();
        events
    }

    fn control(&mut self, control: Control) -> Vec<Event> {
        self.apply(&Command::Control(control))
    }

    fn done(&mut self, control: Control) {
        let events = self.control(control);
        assert_eq!(events.last(), Some(&Event::Control(ControlOutcome::Done)));
    }

    fn refused(&mut self, control: Control) -> u16 {
        match self.control(control).as_slice() {
            [Event::Control(ControlOutcome::Refused(reason))] => {
                assert!(!reason.to_string().is_empty());
                reason.code()
            }
            other => panic!("a refusal was expected: {other:?}"),
        }
    }

    fn ask(&mut self, session: u64, request: Request) -> Vec<Event> {
        let session = SessionId(session);
        let client_seq = self.state.next_client_seq(session).unwrap();
        self.apply(&Command::Client(ClientCommand {
            session,
            client_seq,
            request,
        }))
    }

    /// The code of the reject, 0 for an answer that is none.
    fn code(&mut self, session: u64, request: Request) -> u16 {
        let events = self.ask(session, request);
        let codes = events.iter().find_map(|event| match event {
            Event::ToSession(message) => match message.report {
                Report::Rejected { reason, .. } => Some(reason.code()),
                _ => None,
            },
            _ => None,
        });
        codes.unwrap_or(0)
    }

    fn position(&self, account: u64, symbol: SymbolId) -> u64 {
        let view = self.state.account(AccountId(account)).unwrap();
        let position = view.positions.iter().find(|it| it.0 == symbol);
        position.map_or(0, |it| it.1.0)
    }

    fn open_orders(&self) -> u64 {
        self.state.counters().open_orders
    }
}

/// A client order id of a text: it has no spaces.
fn id(name: &str) -> ClOrdId {
    ClOrdId::new(&name.replace(' ', "-")).unwrap()
}

fn order(name: &str, symbol: SymbolId, side: Side, quantity: u64, price: i64) -> Request {
    Request::New(NewOrder::limit(
        id(name),
        symbol,
        side,
        Quantity(quantity),
        Price(price),
    ))
}

fn market_order(name: &str, symbol: SymbolId, protection: Option<i64>) -> Request {
    Request::New(NewOrder {
        kind: OrderKind::Market {
            style: MarketStyle::ImmediateOrCancel,
            protection: protection.map(Price),
        },
        time_in_force: TimeInForce::ImmediateOrCancel,
        ..NewOrder::limit(id(name), symbol, Side::Buy, Quantity(200), Price(0))
    })
}

fn buy(name: &str, quantity: u64, price: i64) -> Request {
    order(name, MAIN, Side::Buy, quantity, price)
}

fn sell(name: &str, quantity: u64, price: i64) -> Request {
    order(name, MAIN, Side::Sell, quantity, price)
}

fn cancel(name: &str) -> Request {
    let original = id(name);
    Request::Cancel { original }
}

fn alerts(events: &[Event]) -> Vec<Alert> {
    let alert = |event: &Event| match event {
        Event::Alert(alert) => Some(*alert),
        _ => None,
    };
    events.iter().filter_map(alert).collect()
}

#[test]
fn rules_hold_from_the_command_that_loads_them() {
    let mut market = Market::new();
    assert_eq!(
        market.code(1, order("before", STAR, Side::Buy, 100, TEN)),
        0
    );
    market.done(Control::LoadRules {
        document: shipped_rules(),
    });
    assert_eq!(
        market.code(1, order("after", STAR, Side::Buy, 100, TEN)),
        312
    );
    assert_eq!(market.code(1, order("lot", STAR, Side::Buy, 201, TEN)), 0);
}

#[test]
fn rules_that_cannot_be_read_change_nothing() {
    let mut market = Market::with_rules();
    let hash = rules_hash(&market);
    for document in [vec![], vec![9], shipped_rules()[..500].to_vec()] {
        assert_eq!(market.refused(Control::LoadRules { document }), 906);
    }
    assert_eq!(rules_hash(&market), hash);
}

fn rules_hash(market: &Market) -> Vec<u16> {
    let mut copy = State::restore(&market.state.snapshot().unwrap()).unwrap();
    let mut codes = Vec::new();
    for (name, quantity) in [("A", 100), ("B", 200)] {
        let session = SessionId(1);
        let client_seq = copy.next_client_seq(session).unwrap();
        let command = Command::Client(ClientCommand {
            session,
            client_seq,
            request: order(name, STAR, Side::Buy, quantity, TEN),
        });
        let mut events = Vec::new();
        copy.apply(copy.last_entry(), &command, &mut events);
        if let Some(Event::ToSession(message)) = events.first()
            && let Report::Rejected { reason, .. } = message.report
        {
            codes.push(reason.code());
        }
    }
    codes
}

#[test]
fn each_check_rejects_with_its_code() {
    let mut market = Market::with_rules();
    for (what, request, code) in [
        (
            "a market order that the board does not take",
            market_order("a", MAIN, None),
            310,
        ),
        ("a price off the tick", buy("b", 100, TEN + 1), 401),
        ("half a lot", buy("c", 50, TEN), 312),
        ("odd shares in two orders", sell("d", 20, TEN), 312),
        ("odd shares in one order", sell("e", 50, TEN + 1_000), 0),
        ("a price above the day's limit", buy("f", 100, 120_100), 402),
        ("a buy outside the cage", buy("g", 100, TEN + 3_100), 404),
        ("a buy inside the cage", buy("h", 100, TEN - 3_000), 0),
        (
            "too many shares",
            order("i", STAR, Side::Buy, 100_001, TEN),
            304,
        ),
        ("more than the cash", buy("j", 100_100, TEN), 501),
        ("more than the shares", sell("k", 2_100, TEN), 502),
        ("a twentieth of the float", buy("l", 3_000, TEN), 705),
        ("no share", buy("m", 0, TEN), 302),
    ] {
        assert_eq!(market.code(1, request), code, "{what}");
    }
}

#[test]
fn a_check_that_comes_earlier_decides() {
    let mut market = Market::with_rules();
    // Off lot, off tick, outside the limits and too dear at once.
    let bad = |name| buy(name, 1_000_050, 999_999);
    assert_eq!(market.code(1, bad("lot before price")), 312);
    market.done(Control::KillSwitch {
        scope: KillScope::Firm,
        mode: KillMode::RejectNew,
    });
    assert_eq!(market.code(1, bad("switch before lot")), 803);
    market.done(Control::SetAccountTerms {
        account: AccountId(1),
        terms: AccountTerms {
            active: false,
            ..AccountTerms::default()
        },
    });
    assert_eq!(market.code(1, bad("terms before switch")), 105);
}

#[test]
fn the_cage_follows_the_market() {
    let mut market = Market::with_rules();
    market.done(Control::SetReferencePrice {
        symbol: MAIN,
        reference: ReferencePrice::PreviousClose,
        price: Price(TEN),
    });
    assert_eq!(market.code(1, buy("at the edge", 100, 102_000)), 0);
    assert_eq!(market.code(1, cancel("at the edge")), 0);
    assert_eq!(market.code(1, buy("one tick more", 100, 102_100)), 404);
    assert_eq!(market.code(2, sell("offer", 100, 104_000)), 0);
    assert_eq!(market.code(1, buy("the offer counts now", 100, 102_100)), 0);
}

#[test]
fn a_board_that_is_not_permitted_is_closed() {
    let mut market = Market::with_rules();
    let terms = AccountTerms {
        boards: Boards(0).with(Board::ShanghaiMain),
        ..AccountTerms::default()
    };
    let account = AccountId(1);
    market.done(Control::SetAccountTerms { account, terms });
    assert_eq!(
        market.code(1, order("star", STAR, Side::Buy, 200, TEN)),
        106
    );
    assert_eq!(market.code(1, buy("main", 100, TEN)), 0);
    let account = AccountId(99);
    assert_eq!(
        market.refused(Control::SetAccountTerms { account, terms }),
        103
    );
}

#[test]
fn the_house_s_limits_bound_one_order_and_all_open_ones() {
    let mut market = Market::new();
    let limits = AccountLimits {
        order_amount_max: Money(500 * TEN),
        open_amount_max: Money(800 * TEN),
    };
    let account = AccountId(1);
    market.done(Control::SetAccountLimits { account, limits });
    assert_eq!(market.code(1, buy("too dear", 600, TEN)), 313);
    assert_eq!(market.code(1, buy("first", 500, TEN)), 0);
    assert_eq!(market.code(1, buy("second", 400, TEN)), 706);
    assert_eq!(market.code(1, buy("third", 300, TEN)), 0);
    assert_eq!(
        market.code(1, sell("sells", 400, TEN + 1_000)),
        0,
        "they set no cash aside"
    );
    assert_eq!(market.code(2, buy("another", 900, TEN)), 0);
    let account = AccountId(99);
    assert_eq!(
        market.refused(Control::SetAccountLimits { account, limits }),
        103
    );
}

#[test]
fn a_restricted_symbol_is_not_traded() {
    let mut market = Market::new();
    let restrict = |account, is_restricted| Control::RestrictSymbol {
        symbol: MAIN,
        account,
        is_restricted,
    };
    market.done(restrict(Some(AccountId(1)), true));
    assert_eq!(market.code(1, buy("listed", 100, TEN)), 707);
    assert_eq!(market.code(2, buy("another", 100, TEN)), 0);
    market.done(restrict(None, true));
    assert_eq!(market.code(2, sell("everyone", 100, TEN + 100)), 707);
    market.done(restrict(Some(AccountId(1)), false));
    market.done(restrict(None, false));
    assert_eq!(market.code(1, buy("off again", 100, TEN)), 0);
    let nowhere = SymbolId(9);
    let unknown = Control::RestrictSymbol {
        symbol: nowhere,
        account: None,
        is_restricted: true,
    };
    assert_eq!(market.refused(unknown), 301);
}

#[test]
fn a_kill_switch_holds_for_the_next_command() {
    for (scope, stopped, goes_on) in [
        (KillScope::Firm, vec![1, 2, 3], vec![]),
        (KillScope::Account(AccountId(2)), vec![2], vec![1, 3]),
        (KillScope::Trader(TraderId(103)), vec![3], vec![1, 2]),
        (KillScope::Symbol(MAIN), vec![1, 2, 3], vec![]),
        (KillScope::Symbol(STAR), vec![], vec![1, 2, 3]),
        (KillScope::Side(Side::Buy), vec![1, 2, 3], vec![]),
        (KillScope::Side(Side::Sell), vec![], vec![1, 2, 3]),
    ] {
        let mut market = Market::new();
        for session in 1..=3 {
            assert_eq!(market.code(session, buy("rests", 100, TEN)), 0);
        }
        let mode = KillMode::RejectNew;
        market.done(Control::KillSwitch { scope, mode });
        for session in stopped {
            assert_eq!(market.code(session, buy("new", 100, TEN)), 803, "{scope:?}");
            let replaced = Request::Replace {
                original: id("rests"),
                replacement: id("rests-2"),
                price: Price(TEN),
                quantity: Quantity(200),
            };
            assert_eq!(market.code(session, replaced), 803, "{scope:?}");
            assert_eq!(market.code(session, cancel("rests")), 0, "cancels pass");
        }
        for session in goes_on {
            assert_eq!(market.code(session, buy("new", 100, TEN)), 0, "{scope:?}");
        }
        let mode = KillMode::Off;
        market.done(Control::KillSwitch { scope, mode });
        for session in 1..=3 {
            assert_eq!(market.code(session, buy("again", 100, TEN)), 0, "{scope:?}");
        }
    }
}

#[test]
fn a_kill_switch_takes_back_what_it_stops_when_asked() {
    for (scope, left) in [
        (KillScope::Firm, 0),
        (KillScope::Account(AccountId(1)), 4),
        (KillScope::Trader(TraderId(102)), 4),
        (KillScope::Symbol(MAIN), 0),
        (KillScope::Symbol(STAR), 6),
        (KillScope::Side(Side::Buy), 3),
        (KillScope::Side(Side::Sell), 3),
    ] {
        let mut market = Market::new();
        for session in 1..=3 {
            assert_eq!(market.code(session, buy("low", 100, TEN - 1_000)), 0);
            assert_eq!(market.code(session, sell("high", 100, TEN + 1_000)), 0);
        }
        let mode = KillMode::CancelAndReject;
        let events = market.control(Control::KillSwitch { scope, mode });
        assert_eq!(market.open_orders(), left, "{scope:?}");
        assert_eq!(
            events.len() as u64,
            6 - left + 1,
            "each is told to its session"
        );
    }
}

#[test]
fn close_only_lets_holders_sell() {
    let mut market = Market::new();
    market.done(Control::KillSwitch {
        scope: KillScope::Firm,
        mode: KillMode::CloseOnly,
    });
    assert_eq!(market.code(1, buy("opens", 100, TEN)), 803);
    assert_eq!(market.code(1, sell("closes", 100, TEN)), 0);
}

#[test]
fn shares_bought_today_are_sold_tomorrow() {
    let mut market = Market::with_rules();
    for (symbol, code) in [(MAIN, 502), (BOND, 0)] {
        let name = |what: &str| format!("{what}-{symbol}");
        assert_eq!(
            market.code(2, order(&name("offer"), symbol, Side::Sell, 1_000, TEN)),
            0
        );
        assert_eq!(
            market.code(1, order(&name("take"), symbol, Side::Buy, 1_000, TEN)),
            0
        );
        assert_eq!(market.position(1, symbol), 3_050);
        let all = order(&name("all"), symbol, Side::Sell, 3_000, TEN + 1_000);
        assert_eq!(market.code(1, all), code, "{symbol}");
        let trading_day = TradingDay(20_261_125);
        if code != 0 {
            market.done(Control::SettleDay { trading_day });
            let all = order(&name("all"), symbol, Side::Sell, 3_000, TEN + 1_000);
            assert_eq!(market.code(1, all), 0, "the next day");
        }
    }
}

#[test]
fn a_day_is_settled_once_and_to_the_last_unit() {
    let mut market = Market::with_rules();
    assert_eq!(market.code(2, sell("offer", 1_000, TEN)), 0);
    assert_eq!(market.code(1, buy("take", 600, TEN)), 0);
    assert_eq!(market.code(3, buy("rests", 100, TEN - 1_000)), 0);
    assert_eq!(market.state.day_tally(MAIN).turnover, Money(600 * TEN));
    let trading_day = TradingDay(20_261_125);
    let events = market.control(Control::SettleDay { trading_day });
    assert_eq!(events.len(), 3, "two orders expire, and the answer");
    let settled = market.state.settlement().unwrap();
    assert_eq!(settled.day, trading_day);
    assert_eq!(settled.expired, 2);
    assert_eq!(
        (settled.tally.trades, settled.tally.shares),
        (1, Quantity(600))
    );
    assert_eq!(settled.tally.turnover, Money(600 * TEN));
    assert_eq!(market.open_orders(), 0);
    assert_eq!(market.state.day_tally(MAIN).trades, 0);

    // Again, and an order of the new day in between: nothing more happens to it.
    assert_eq!(
        market.code(3, buy("rests", 100, TEN)),
        0,
        "names begin anew"
    );
    let events = market.control(Control::SettleDay { trading_day });
    assert_eq!(events, [Event::Control(ControlOutcome::Done)]);
    assert_eq!(market.open_orders(), 1);
    let trading_day = TradingDay(20_261_124);
    market.done(Control::SettleDay { trading_day });
    assert_eq!(market.open_orders(), 1, "a day that is over already");
    assert_eq!(market.state.settlement(), Some(settled));
}

#[test]
fn a_restored_state_settles_the_same() {
    let mut market = Market::with_rules();
    market.ask(2, sell("offer", 1_000, TEN));
    market.ask(1, buy("take", 600, TEN));
    let mut copy = State::restore(&market.state.snapshot().unwrap()).unwrap();
    assert_eq!(copy, market.state);
    let command = Command::Control(Control::SettleDay {
        trading_day: TradingDay(20_261_125),
    });
    let events = market.apply(&command);
    let mut by_copy = Vec::new();
    copy.apply(market.state.last_entry(), &command, &mut by_copy);
    assert_eq!(by_copy, events);
    assert_eq!(copy.history_hash(), market.state.history_hash());
    assert_eq!(copy, market.state);
}

#[test]
fn an_alert_comes_with_the_command_that_completes_it() {
    let mut market = Market::with_rules();
    let mut raised = Vec::new();
    for number in 0..301_u64 {
        // All within one second; the names do not matter, most of these are no orders.
        market.now = MORNING + 500_000 + number;
        let events = market.ask(1, cancel(&format!("nothing-{number}")));
        raised.extend(alerts(&events).into_iter().map(|alert| (number, alert)));
    }
    let [(number, alert)] = raised[..] else {
        panic!("one alert was expected: {raised:?}");
    };
    assert_eq!(number, 299);
    assert_eq!(
        (alert.kind, alert.observed, alert.allowed),
        (AlertKind::OrderRate, 300, 300)
    );
    assert_eq!(
        (alert.account, alert.session),
        (AccountId(1), Some(SessionId(1)))
    );
}

/// An alert is an event of the command that completes it: it is there as soon as that command is, however
/// busy the market; nothing looks at the log later.
#[test]
fn frequent_cancels_are_told_with_the_cancel_that_makes_them_so() {
    let mut market = Market::with_rules();
    let mut raised = Vec::new();
    let mut cancels = 0;
    for number in 0..600_u64 {
        let name = format!("o-{number}");
        market.now += 10_000;
        let price = TEN - 100 * (number % 20) as i64;
        assert_eq!(market.code(1, buy(&name, 100, price)), 0, "{name}");
        // One in sixteen stays, so that the account is not stopped for its ratio of cancels.
        if !number.is_multiple_of(16) {
            cancels += 1;
            let found = alerts(&market.ask(1, cancel(&name)));
            raised.extend(found.into_iter().map(|alert| (cancels, alert.kind)));
        }
    }
    assert!(
        raised.contains(&(500, AlertKind::FrequentCancels)),
        "{raised:?}"
    );
    let ratio = raised
        .iter()
        .find(|(_, kind)| *kind == AlertKind::CancelRatio);
    assert!(
        ratio.is_some_and(|(cancels, _)| *cancels < 100),
        "{raised:?}"
    );
}

#[test]
fn a_position_that_grows_too_large_is_told_with_its_trade() {
    let mut market = Market::with_rules();
    market.ask(2, sell("offer-2", 2_000, TEN));
    market.ask(3, sell("offer-3", 600, TEN));
    // 2,050 shares of a float of 100,000, and 2,400 more: just below 4.5 %, then above.
    assert_eq!(alerts(&market.ask(1, buy("below", 2_400, TEN))), []);
    let raised = alerts(&market.ask(1, buy("above", 200, TEN)));
    let found: Vec<_> = raised.iter().map(|it| (it.kind, it.account)).collect();
    assert_eq!(found, [(AlertKind::Concentration, AccountId(1))]);
}

#[test]
fn accounts_of_one_owner_that_trade_in_an_auction_are_told() {
    let mut market = Market::with_rules();
    let phase = |phase| Control::SetPhase {
        scope: PhaseScope::All,
        phase,
    };
    market.done(phase(Phase::OpeningCall));
    assert_eq!(market.code(1, sell("offer", 100, TEN)), 0);
    assert_eq!(market.code(2, buy("bid", 100, TEN)), 0);
    for account in [1, 2] {
        market.done(Control::SetAccountTerms {
            account: AccountId(account),
            terms: AccountTerms {
                owner: OwnerId(5),
                ..AccountTerms::default()
            },
        });
    }
    let raised = alerts(&market.control(phase(Phase::Continuous)));
    let kinds: Vec<_> = raised.iter().map(|alert| alert.kind).collect();
    assert_eq!(kinds, [AlertKind::LinkedAccounts]);
}

#[test]
fn accounts_of_one_owner_do_not_trade_with_each_other() {
    let mut market = Market::with_rules();
    for account in [1, 2] {
        market.done(Control::SetAccountTerms {
            account: AccountId(account),
            terms: AccountTerms {
                owner: OwnerId(5),
                ..AccountTerms::default()
            },
        });
    }
    assert_eq!(market.code(1, sell("offer", 100, TEN)), 0);
    assert_eq!(market.code(2, buy("take", 100, TEN)), 701);
    assert_eq!(
        market.code(2, buy("below", 100, TEN - 100)),
        0,
        "it would not trade"
    );
    assert_eq!(market.code(3, buy("stranger", 100, TEN)), 0);
}

#[test]
fn a_self_trade_that_was_prevented_is_told() {
    let mut market = Market::with_rules();
    market.ask(1, sell("own", 100, TEN));
    let meets = NewOrder {
        self_trade_prevention: SelfTradePrevention::CancelNewest,
        ..NewOrder::limit(id("meets"), MAIN, Side::Buy, Quantity(100), Price(TEN))
    };
    let raised = alerts(&market.ask(1, Request::New(meets)));
    let kinds: Vec<_> = raised.iter().map(|alert| alert.kind).collect();
    assert_eq!(kinds, [AlertKind::SelfTrade]);
}

#[test]
fn without_rules_nothing_is_watched() {
    let mut market = Market::new();
    market.ask(1, sell("own", 100, TEN));
    assert!(alerts(&market.ask(1, buy("meets", 100, TEN))).is_empty());
}

#[test]
fn the_same_order_again_and_again_is_stopped() {
    let mut market = Market::with_rules();
    let codes: Vec<u16> = (0..13)
        .map(|number| market.code(1, buy(&format!("again-{number}"), 100, TEN)))
        .collect();
    assert_eq!(codes[..11], [0; 11], "the first and ten more");
    assert_eq!(codes[11..], [703; 2]);
    assert_eq!(market.code(1, buy("another", 200, TEN)), 0);
    market.now += 500_000;
    assert_eq!(market.code(1, buy("later", 200, TEN)), 0);
}

#[test]
fn who_orders_too_fast_is_stopped_until_tokens_come_back() {
    let mut market = Market::with_rules();
    let ask = |market: &mut Market, number: u64| {
        market.now = MORNING + 1_000_000;
        let price = TEN - 100 * (number % 20) as i64;
        market.code(1, buy(&format!("fast-{number}"), 100, price))
    };
    let codes: Vec<u16> = (0..2_001).map(|number| ask(&mut market, number)).collect();
    let refused: Vec<_> = codes.iter().filter(|code| **code == 702).collect();
    // Some are refused later for want of cash; they have taken their tokens all the same.
    assert_eq!(refused.len(), 1, "the burst is 2,000");
    assert_eq!(codes.last(), Some(&702));
    market.now = MORNING + 1_010_000;
    assert_ne!(
        market.code(1, buy("ten tokens came back", 100, TEN - 5_000)),
        702
    );
}

#[test]
fn who_cancels_nearly_everything_is_stopped() {
    let mut market = Market::with_rules();
    for number in 0..100_u64 {
        let name = format!("o-{number}");
        market.now += 10_000;
        let price = TEN - 100 * (number % 20) as i64;
        assert_eq!(market.code(1, buy(&name, 100, price)), 0, "{name}");
        assert_eq!(market.code(1, cancel(&name)), 0);
    }
    assert_eq!(market.code(1, buy("one more", 100, TEN)), 704);
    assert_eq!(market.code(2, buy("another account", 100, TEN)), 0);
    let trading_day = TradingDay(20_261_125);
    market.done(Control::SettleDay { trading_day });
    assert_eq!(market.code(1, buy("the next day", 100, TEN)), 0);
}
