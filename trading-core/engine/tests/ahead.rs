//! Looking ahead asks for memory and decides nothing.

#![allow(
    clippy::unwrap_used,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

#[path = "../benches/flow/mod.rs"]
mod flow;

use engine::{Ahead, EntryContext, Limits, OracleState, State};
use flow::{Flow, Size};
use types::{
    AccountId, ClOrdId, ClientCommand, ClientSeq, Command, Control, Epoch, LogIndex, Logon,
    NewOrder, OrderKind, OutSeq, Price, Quantity, Request, SessionId, Side, SymbolId, TradingDay,
    UnixMicros,
};

fn context(index: usize) -> EntryContext {
    EntryContext {
        epoch: Epoch(1),
        index: LogIndex(index as u64),
        leader_time: UnixMicros(1_700_000_000_000_000 + index as u64),
    }
}

fn client(session: u64, client_seq: u64, request: Request) -> Command {
    Command::Client(ClientCommand {
        session: SessionId(session),
        client_seq: ClientSeq(client_seq),
        request,
    })
}

/// What no flow has: unknown sessions and symbols, ids that nobody used, orders that wait, a day's end
/// in the middle of a batch.
fn odd_ones() -> Vec<Command> {
    let id = |text: &str| ClOrdId::new(text).unwrap();
    let new = |name: &str, symbol, kind| {
        let price = Price(0);
        Request::New(NewOrder {
            kind,
            ..NewOrder::limit(id(name), SymbolId(symbol), Side::Sell, Quantity(100), price)
        })
    };
    let stop = OrderKind::Stop {
        trigger: Price(95_000),
    };
    let logon = Logon::new(SessionId(1_001), AccountId(1), OutSeq(0));
    vec![
        client(999, 1, new("lost", 600_000, stop)),
        Command::Logon(logon),
        client(1_001, 1, new("nowhere", 1, stop)),
        client(1_001, 2, new("waits", 600_000, stop)),
        client(
            1_001,
            3,
            Request::Status {
                original: id("waits"),
            },
        ),
        client(
            1_001,
            4,
            Request::Cancel {
                original: id("none"),
            },
        ),
        client(
            1_001,
            4,
            Request::Cancel {
                original: id("none"),
            },
        ),
        client(1_001, 5, Request::MassCancel { symbol: None }),
        Command::Tick,
        Command::Control(Control::SettleDay {
            trading_day: TradingDay(20_261_125),
        }),
    ]
}

#[test]
fn with_or_without_looking_ahead_every_event_and_hash_is_the_same() {
    let size = Size {
        accounts: 30,
        symbols: 4,
        open_per_session: 10,
    };
    let mut flow = Flow::new(size, 5);
    let mut commands = flow.opening();
    for _ in 0..3 {
        commands.extend(flow.commands(700));
        commands.extend(odd_ones());
    }
    commands.extend(flow.commands(300));

    let mut ahead_of = State::with_limits(Limits::small());
    let mut alone = OracleState::with_limits(Limits::small());
    let mut ahead = Ahead::default();
    for (index, batch) in commands.chunks(64).enumerate() {
        for at in 0..batch.len() {
            let (mut seen, mut expected) = (Vec::new(), Vec::new());
            ahead.look(&ahead_of, &batch[at..]);
            ahead_of.apply(context(index), &batch[at], &mut seen);
            alone.apply(context(index), &batch[at], &mut expected);
            assert_eq!(seen, expected);
        }
    }
    assert!(alone.counters().trades > 100);
    assert_eq!(ahead_of.history_hash(), alone.history_hash());
    assert_eq!(ahead_of.snapshot(), alone.snapshot());
}

/// Whoever looks with what another state was looked at with gets no faster, and no worse.
#[test]
fn what_was_seen_of_another_state_does_no_harm() {
    let size = Size {
        accounts: 5,
        symbols: 2,
        open_per_session: 10,
    };
    let mut flow = Flow::new(size, 6);
    let mut state = State::with_limits(Limits::small());
    let mut commands = flow.opening();
    commands.extend(flow.commands(500));
    let mut ahead = Ahead::default();
    for at in 0..commands.len() {
        ahead.look(&state, &commands[at..]);
        state.apply(context(1), &commands[at], &mut Vec::new());
    }
    let empty = State::with_limits(Limits::small());
    for at in 0..commands.len() {
        ahead.look(&empty, &commands[at..]);
        ahead.look(&state, &commands[at..]);
    }
    assert_eq!(
        empty.last_seq(),
        State::with_limits(Limits::small()).last_seq()
    );
}
