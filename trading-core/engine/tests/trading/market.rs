//! A small market to act in, and what happens there as short texts.

use engine::{EntryContext, Limits, State};
use types::{
    AccountId, CancelCause, ClOrdId, ClientCommand, Command, Control, ControlOutcome, Epoch, Event,
    LogIndex, Logon, Money, NewOrder, OrderKind, OutSeq, Phase, PhaseScope, Price, Quantity,
    Report, Request, SessionId, Side, SymbolDefinition, SymbolId, UnixMicros,
};

pub const SYMBOL: SymbolId = SymbolId(600_000);
/// Ten yuan and a tick around it.
pub const TEN: i64 = 100_000;
pub const TICK: i64 = 100;
pub const CASH: i64 = 10_000 * TEN;
pub const SHARES: u64 = 10_000;

/// One symbol; accounts 1 to 4, each with a session of its own number.
pub struct Market {
    pub state: State,
    pub now_us: u64,
    commands: u64,
}

impl Market {
    pub fn new() -> Self {
        Self::of(SymbolDefinition::share(
            SYMBOL,
            Price(90_000),
            Price(110_000),
        ))
    }

    pub fn of(definition: SymbolDefinition) -> Self {
        let mut market = Self {
            state: State::with_limits(Limits::small()),
            now_us: 1_700_000_000_000_000,
            commands: 0,
        };
        market.control(Control::DefineSymbol(definition));
        for account in 1..=4 {
            market.control(Control::OpenAccount {
                account: AccountId(account),
                cash: Money(CASH),
                positions: vec![(SYMBOL, Quantity(SHARES))],
            });
            let logon = Logon::new(SessionId(account), AccountId(account), OutSeq(0));
            market.apply(&Command::Logon(logon));
        }
        market
    }

    pub fn apply(&mut self, command: &Command) -> Vec<Event> {
        self.commands += 1;
        let context = EntryContext {
            epoch: Epoch(1),
            index: LogIndex(self.commands),
            leader_time: UnixMicros(self.now_us),
        };
        let mut events = Vec::new();
        self.state.apply(context, command, &mut events);
        self.state.check_conservation().unwrap();
        events
    }

    /// What a control record causes; its own answer must be `Done`.
    pub fn control(&mut self, control: Control) -> Vec<String> {
        let mut events = self.apply(&Command::Control(control));
        assert_eq!(events.pop(), Some(Event::Control(ControlOutcome::Done)));
        told(&events)
    }

    pub fn phase(&mut self, phase: Phase) -> Vec<String> {
        self.control(Control::SetPhase {
            scope: PhaseScope::Symbol(SYMBOL),
            phase,
        })
    }

    /// The request under the session's next number.
    pub fn ask(&mut self, session: u64, request: Request) -> Vec<String> {
        let client_seq = self.state.next_client_seq(SessionId(session)).unwrap();
        told(&self.apply(&Command::Client(ClientCommand {
            session: SessionId(session),
            client_seq,
            request,
        })))
    }

    /// Cash, cash frozen, shares and shares frozen.
    pub fn holdings(&self, account: u64) -> (i64, i64, u64, u64) {
        let view = self.state.account(AccountId(account)).unwrap();
        let (shares, frozen) = view.positions.first().map_or((0, 0), |it| (it.1.0, it.2.0));
        (view.cash.0, view.cash_frozen.0, shares, frozen)
    }
}

pub fn id(name: &str) -> ClOrdId {
    ClOrdId::new(name).unwrap()
}

pub fn order(name: &str, side: Side, quantity: u64, price: i64) -> NewOrder {
    NewOrder::limit(id(name), SYMBOL, side, Quantity(quantity), Price(price))
}

pub fn buy(name: &str, quantity: u64, price: i64) -> Request {
    Request::New(order(name, Side::Buy, quantity, price))
}

pub fn sell(name: &str, quantity: u64, price: i64) -> Request {
    Request::New(order(name, Side::Sell, quantity, price))
}

pub fn of_kind(name: &str, side: Side, quantity: u64, kind: OrderKind) -> Request {
    Request::New(NewOrder {
        kind,
        ..order(name, side, quantity, 0)
    })
}

pub fn cancel(name: &str) -> Request {
    Request::Cancel { original: id(name) }
}

/// `session: what happened`, a trade as `price × quantity`.
pub fn told(events: &[Event]) -> Vec<String> {
    let told = |event: &Event| match event {
        Event::ToSession(message) => format!("{}: {}", message.session, report(&message.report)),
        Event::Trade(trade) => format!("{} x {}", trade.price.0, trade.quantity.0),
        other => format!("{other:?}"),
    };
    events.iter().map(told).collect()
}

fn report(report: &Report) -> String {
    match report {
        Report::Accepted { cl_ord_id, .. } => format!("{cl_ord_id} accepted"),
        Report::Rejected { reason, .. } => {
            assert!(!reason.to_string().is_empty());
            format!("rejected {}", reason.code())
        }
        Report::Filled {
            cl_ord_id,
            remaining,
            ..
        } => format!("{cl_ord_id} filled, {} left", remaining.0),
        Report::Cancelled {
            cl_ord_id,
            quantity,
            cause,
            ..
        } => {
            // Every cause has its own word; this list holds them together with the tables.
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
            format!("{cl_ord_id} gone {}, {cause}", quantity.0)
        }
        Report::Replaced { replacement, .. } => format!("now {replacement}"),
        Report::MassCancelled { orders } => format!("mass cancelled {orders}"),
        Report::Triggered { cl_ord_id, .. } => format!("{cl_ord_id} set off"),
        Report::Restated {
            cl_ord_id,
            price,
            remaining,
            ..
        } => format!("{cl_ord_id} stands at {}, {} open", price.0, remaining.0),
        Report::Status(view) => format!("{} {:?}", view.cl_ord_id, view.state),
    }
}
