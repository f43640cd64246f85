//! Random commands that collide often: few accounts, sessions, symbols, prices and ids.

use proptest::prelude::*;
use types::{
    AccountId, AccountTerms, Board, ClOrdId, ClientCommand, ClientSeq, Command, Control, Logon,
    MarketStyle, Money, NewOrder, OrderKind, OutSeq, Phase, PhaseScope, Price, Quantity,
    ReferencePrice, ReplicaId, Request, SelfTradePrevention, SessionId, Side, SymbolDefinition,
    SymbolId, TimeInForce, TradingDay,
};

pub const SYMBOLS: [SymbolId; 2] = [SymbolId(600_000), SymbolId(1)];
pub const ACCOUNTS: [AccountId; 3] = [AccountId(1), AccountId(2), AccountId(3)];

/// Two sessions for the first two accounts, one for the third.
const SESSIONS: [u64; 5] = [10, 11, 20, 21, 30];

pub fn account_of(session: SessionId) -> AccountId {
    AccountId(session.0 / 10)
}

/// Symbols, accounts and logons that every stream begins with.
pub fn opening() -> Vec<Command> {
    let symbols = SYMBOLS.map(|symbol| define(symbol, 100));
    let accounts = ACCOUNTS.map(|account| {
        Command::Control(Control::OpenAccount {
            account,
            cash: Money(40_000_000),
            positions: vec![(SYMBOLS[0], Quantity(900)), (SYMBOLS[1], Quantity(250))],
        })
    });
    let logons = SESSIONS.map(|session| logon(session, session / 10, 0));
    symbols.into_iter().chain(accounts).chain(logons).collect()
}

fn define(symbol: SymbolId, tick: i64) -> Command {
    Command::Control(Control::DefineSymbol(SymbolDefinition {
        tick: Price(tick),
        ..SymbolDefinition::share(symbol, Price(90_000), Price(110_000))
    }))
}

fn logon(session: u64, account: u64, seen: u64) -> Command {
    Command::Logon(Logon::new(
        SessionId(session),
        AccountId(account),
        OutSeq(seen),
    ))
}

pub fn stream(length: usize) -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(command(), length / 2..length)
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        24 => (prop::sample::select(&SESSIONS[..]), 1_u64..40, request()).prop_map(
            |(session, client_seq, request)| Command::Client(ClientCommand {
                session: SessionId(session),
                client_seq: ClientSeq(client_seq),
                request,
            })
        ),
        2 => (prop_oneof![Just(10_u64), Just(20), Just(99)], 0_u64..4, 0_u64..9)
            .prop_map(|(session, account, seen)| logon(session, account, seen)),
        1 => control(),
    ]
}

fn control() -> impl Strategy<Value = Command> {
    let holder = prop_oneof![Just("operator/a1"), Just("operator/b1"), Just("")];
    prop_oneof![
        (0_u32..3, 90_000_i64..110_000).prop_map(|(symbol, up)| Command::Control(
            Control::DefineSymbol(SymbolDefinition::share(
                SymbolId(symbol),
                Price(90_000),
                Price(up / 100 * 100),
            ))
        )),
        (0_u64..6, -1_i64..9).prop_map(|(account, cash)| Command::Control(Control::OpenAccount {
            account: AccountId(account),
            cash: Money(cash),
            positions: vec![(SYMBOLS[1], Quantity(7))],
        })),
        (1_u64..4, holder.clone(), 0_u32..20).prop_map(|(replica, holder, ttl_ms)| {
            Command::Control(Control::AcquireMaintenance {
                replica: ReplicaId(replica),
                holder: holder.to_owned(),
                ttl_ms,
            })
        }),
        holder.prop_map(|holder| Command::Control(Control::ReleaseMaintenance {
            holder: holder.to_owned()
        })),
    ]
}

fn id() -> impl Strategy<Value = ClOrdId> {
    (0_u32..60).prop_map(|n| ClOrdId::new(&format!("o{n}")).unwrap())
}

fn price() -> impl Strategy<Value = Price> {
    prop_oneof![
        20 => (-6_i64..=6).prop_map(|ticks| Price(100_000 + ticks * 100)),
        1 => Just(Price(100_050)),
        1 => Just(Price(110_100)),
        1 => Just(Price(-100)),
    ]
}

fn quantity() -> impl Strategy<Value = Quantity> {
    prop_oneof![
        20 => (1_u64..=5).prop_map(|lots| Quantity(lots * 100)),
        2 => (1_u64..300).prop_map(Quantity),
        1 => Just(Quantity(0)),
        1 => Just(Quantity(1_100)),
        1 => Just(Quantity(u64::MAX)),
    ]
}

fn symbol() -> impl Strategy<Value = SymbolId> {
    prop_oneof![12 => Just(SYMBOLS[0]), 6 => Just(SYMBOLS[1]), 1 => Just(SymbolId(777_777))]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        12 => new_order().prop_map(Request::New),
        2 => id().prop_map(|original| Request::Cancel { original }),
        4 => (id(), id(), price(), quantity()).prop_map(
            |(original, replacement, price, quantity)| Request::Replace {
                original,
                replacement,
                price,
                quantity,
            }
        ),
        1 => prop::option::of(symbol()).prop_map(|symbol| Request::MassCancel { symbol }),
        2 => id().prop_map(|original| Request::Status { original }),
    ]
}

fn new_order() -> impl Strategy<Value = NewOrder> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let kind = prop_oneof![
        6 => price().prop_map(|price| OrderKind::Limit { price }),
        1 => Just(OrderKind::Market {
            style: MarketStyle::ImmediateOrCancel,
            protection: None,
        }),
    ];
    let time_in_force = prop_oneof![
        5 => Just(TimeInForce::Day),
        1 => Just(TimeInForce::ImmediateOrCancel),
    ];
    let self_trade_prevention = prop_oneof![
        Just(SelfTradePrevention::CancelNewest),
        Just(SelfTradePrevention::CancelOldest),
        Just(SelfTradePrevention::CancelBoth),
    ];
    (
        id(),
        symbol(),
        side,
        quantity(),
        kind,
        time_in_force,
        self_trade_prevention,
    )
        .prop_map(
            |(cl_ord_id, symbol, side, quantity, kind, time_in_force, self_trade_prevention)| {
                NewOrder {
                    cl_ord_id,
                    symbol,
                    side,
                    quantity,
                    kind,
                    time_in_force,
                    post_only: false,
                    display: None,
                    self_trade_prevention,
                }
            },
        )
}

/// The same with every kind and term of orders, phases, days, graces and terms of accounts.
pub fn rich_stream(length: usize) -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec((command(), any::<u64>()), length / 2..length)
        .prop_map(|commands| commands.into_iter().map(spiced).collect())
}

fn spiced((command, spice): (Command, u64)) -> Command {
    let more = spice / 100;
    match (spice % 100, command) {
        (0..3, _) => set_phase(more),
        (3, _) => Command::Control(Control::SettleDay {
            trading_day: TradingDay((more % 4) as u32),
        }),
        (4, _) => Command::Disconnect {
            session: SessionId(SESSIONS[more as usize % SESSIONS.len()]),
        },
        (5, _) => Command::Tick,
        (6, _) => Command::Control(Control::SetReferencePrice {
            symbol: SYMBOLS[more as usize % 2],
            reference: ReferencePrice::PreviousClose,
            price: Price(99_000 + (more % 20 * 100) as i64),
        }),
        (7, _) => Command::Control(Control::SetAccountTerms {
            account: ACCOUNTS[more as usize % ACCOUNTS.len()],
            terms: AccountTerms {
                active: !more.is_multiple_of(5),
                ..AccountTerms::default()
            },
        }),
        (8, _) => {
            let session = SESSIONS[more as usize % SESSIONS.len()];
            Command::Logon(Logon {
                cancel_on_disconnect_ms: Some(2),
                ..Logon::new(SessionId(session), AccountId(session / 10), OutSeq(0))
            })
        }
        (_, Command::Client(mut client)) => {
            if let Request::New(new) = &mut client.request {
                add_terms(new, more);
            }
            Command::Client(client)
        }
        (_, other) => other,
    }
}

fn set_phase(spice: u64) -> Command {
    let scope = match spice % 4 {
        0 => PhaseScope::All,
        1 => PhaseScope::Board(Board::ShanghaiMain),
        _ => PhaseScope::Symbol(SYMBOLS[spice as usize / 4 % 2]),
    };
    let phase = match spice / 8 % 2 {
        0 => Phase::Continuous,
        _ => Phase::ALL[spice as usize / 16 % Phase::ALL.len()],
    };
    Command::Control(Control::SetPhase { scope, phase })
}

fn add_terms(new: &mut NewOrder, spice: u64) {
    let OrderKind::Limit { price } = new.kind else {
        return;
    };
    let style = [
        MarketStyle::ImmediateOrCancel,
        MarketStyle::BestFiveOrCancel,
        MarketStyle::BestFiveThenLimit,
        MarketStyle::CounterpartyBest,
        MarketStyle::OwnBest,
        MarketStyle::FillOrKill,
    ][spice as usize / 16 % 6];
    let trigger = Price(99_500 + (spice / 16 % 11 * 100) as i64);
    match spice % 16 {
        0..3 => {
            let protection = (spice / 512).is_multiple_of(3).then_some(price);
            new.kind = OrderKind::Market { style, protection };
        }
        3 => new.kind = OrderKind::Stop { trigger },
        4 => new.kind = OrderKind::StopLimit { trigger, price },
        5 => new.time_in_force = TimeInForce::FillOrKill,
        6 | 7 => new.time_in_force = TimeInForce::GoodTillCancel,
        8 => new.post_only = true,
        9 | 10 => new.display = Some(Quantity(100)),
        _ => {}
    }
}
