//! What is done by the exchanges' rules: fees, the day's limits, suspension, cages that hold, trading
//! after hours, ties in call auctions; case by case, and over random days.
//!
//! Every command goes to the product and to its oracle: events, hashes and snapshots are the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

mod after_hours;
mod fees;
mod held;
mod limits;
mod random;
mod suspension;
mod ties;

use engine::{EntryContext, Limits, OracleState, State};
use std::path::PathBuf;
use types::{
    AccountId, Board, CancelCause, ClOrdId, ClientCommand, Command, Control, ControlOutcome, Epoch,
    Event, LogIndex, Logon, Money, NewOrder, OutSeq, Phase, PhaseScope, Price, Quantity,
    ReferencePrice, Report, Request, Security, SessionId, Side, SymbolDefinition, SymbolId, Trade,
    TradingDay, UnixMicros,
};

const MAIN: SymbolId = SymbolId(600_000);
const STAR: SymbolId = SymbolId(688_001);
const CHI_NEXT: SymbolId = SymbolId(300_001);
const BEIJING: SymbolId = SymbolId(920_001);
const SYMBOLS: [(SymbolId, Board); 4] = [
    (MAIN, Board::ShanghaiMain),
    (STAR, Board::ShanghaiStar),
    (CHI_NEXT, Board::ShenzhenChiNext),
    (BEIJING, Board::Beijing),
];
const YUAN: i64 = 10_000;
const TEN: i64 = 10 * YUAN;
const CASH: i64 = 1_000_000 * YUAN;
/// 2026-11-25 10:00 in China, a Wednesday.
const MORNING: u64 = 1_795_572_000_000_000;
/// 2022-06-01 10:00 in China: orders outside of ChiNext's cage were held then.
const MORNING_OF_2022: u64 = 1_654_048_800_000_000;
const MINUTE: u64 = 60_000_000;
const TODAY: TradingDay = TradingDay(20_261_125);

fn shipped_rules() -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rules/data");
    let files = ["beijing", "calendar", "conduct", "shanghai", "shenzhen"]
        .map(|name| folder.join(name).with_extension("yaml"));
    rules::encode(&rules_file::read(&files).unwrap()).unwrap()
}

/// Three accounts with a session each of the same number, cash and shares of every symbol.
struct Market {
    state: State,
    oracle: OracleState,
    commands: u64,
    now: u64,
    names: u64,
}

impl Market {
    fn new() -> Self {
        Self::at(MORNING)
    }

    fn at(now: u64) -> Self {
        Self::opened(now, CASH, &[1, 2, 3])
    }

    fn opened(now: u64, cash: i64, accounts: &[u64]) -> Self {
        let mut market = Self {
            state: State::with_limits(Limits::small()),
            oracle: OracleState::with_limits(Limits::small()),
            commands: 0,
            now,
            names: 0,
        };
        for (symbol, board) in SYMBOLS {
            market.control(Control::DefineSymbol(SymbolDefinition {
                board,
                security: Security::Share,
                ..SymbolDefinition::share(symbol, Price(TEN * 8 / 10), Price(TEN * 12 / 10))
            }));
        }
        for account in accounts {
            market.control(Control::OpenAccount {
                account: AccountId(*account),
                cash: Money(cash),
                positions: SYMBOLS.map(|(it, _)| (it, Quantity(10_000))).to_vec(),
            });
            let (session, account) = (SessionId(*account), AccountId(*account));
            market.apply(&Command::Logon(Logon::new(session, account, OutSeq(0))));
        }
        let document = shipped_rules();
        market.control(Control::LoadRules { document });
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
        let (mut events, mut expected) = (Vec::new(), Vec::new());
        self.state.apply(context, command, &mut events);
        self.oracle.apply(context, command, &mut expected);
        assert_eq!(events, expected, "{command:?}");
        self.state.check_conservation().unwrap();
        assert_eq!(self.state.history_hash(), self.oracle.history_hash());
        events
    }

    fn control(&mut self, control: Control) -> Vec<Event> {
        let events = self.apply(&Command::Control(control));
        assert!(
            events.contains(&Event::Control(ControlOutcome::Done)),
            "{events:?}"
        );
        events
    }

    fn phase(&mut self, phase: Phase) -> Vec<Event> {
        let scope = PhaseScope::All;
        self.control(Control::SetPhase { scope, phase })
    }

    fn tell(&mut self, symbol: SymbolId, reference: ReferencePrice, price: i64) -> Vec<Event> {
        self.control(Control::SetReferencePrice {
            symbol,
            reference,
            price: Price(price),
        })
    }

    fn settle_day(&mut self, day: TradingDay) -> Vec<Event> {
        self.control(Control::SettleDay { trading_day: day })
    }

    /// What a restart would go on with; it is the same.
    fn restart(&mut self) {
        let bytes = self.state.snapshot().unwrap();
        assert_eq!(bytes, self.oracle.snapshot().unwrap());
        let restored = State::restore(&bytes).unwrap();
        assert_eq!(restored, self.state);
        self.state = restored;
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

    fn order(&mut self, session: u64, new: NewOrder) -> Asked {
        self.names += 1;
        let cl_ord_id = ClOrdId::new(&format!("o{}", self.names)).unwrap();
        let events = self.ask(session, Request::New(NewOrder { cl_ord_id, ..new }));
        Asked { cl_ord_id, events }
    }

    fn buy(&mut self, session: u64, symbol: SymbolId, quantity: u64, price: i64) -> Asked {
        self.order(session, limit(symbol, Side::Buy, quantity, price))
    }

    fn sell(&mut self, session: u64, symbol: SymbolId, quantity: u64, price: i64) -> Asked {
        self.order(session, limit(symbol, Side::Sell, quantity, price))
    }

    fn cancel(&mut self, session: u64, asked: &Asked) -> Vec<Event> {
        let original = asked.cl_ord_id;
        self.ask(session, Request::Cancel { original })
    }

    fn cash(&self, account: u64) -> i64 {
        self.state.account(AccountId(account)).unwrap().cash.0
    }

    fn frozen(&self, account: u64) -> i64 {
        self.state
            .account(AccountId(account))
            .unwrap()
            .cash_frozen
            .0
    }

    fn limits(&self, symbol: SymbolId) -> (i64, i64) {
        let definition = self.state.symbol(symbol).unwrap();
        (definition.limit_down.0, definition.limit_up.0)
    }
}

struct Asked {
    cl_ord_id: ClOrdId,
    events: Vec<Event>,
}

impl Asked {
    /// The code of the reject, 0 for an answer that is none.
    fn code(&self) -> u16 {
        code(&self.events)
    }
}

fn limit(symbol: SymbolId, side: Side, quantity: u64, price: i64) -> NewOrder {
    let name = ClOrdId::new("named-later").unwrap();
    NewOrder::limit(name, symbol, side, Quantity(quantity), Price(price))
}

fn code(events: &[Event]) -> u16 {
    let code = events.iter().find_map(|event| match event {
        Event::ToSession(message) => match message.report {
            Report::Rejected { reason, .. } => Some(reason.code()),
            _ => None,
        },
        _ => None,
    });
    code.unwrap_or(0)
}

fn trades(events: &[Event]) -> Vec<Trade> {
    let trade = |event: &Event| match event {
        Event::Trade(trade) => Some(*trade),
        _ => None,
    };
    events.iter().filter_map(trade).collect()
}

/// Price and quantity of every trade.
fn traded(events: &[Event]) -> Vec<(i64, u64)> {
    let trades = trades(events);
    let both = |trade: &Trade| (trade.price.0, trade.quantity.0);
    trades.iter().map(both).collect()
}

fn cancelled(events: &[Event]) -> Vec<CancelCause> {
    let cause = |event: &Event| match event {
        Event::ToSession(message) => match message.report {
            Report::Cancelled { cause, .. } => Some(cause),
            _ => None,
        },
        _ => None,
    };
    events.iter().filter_map(cause).collect()
}
