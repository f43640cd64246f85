//! Clients: their connections, what goes over them, and what they open with.

use super::{Happening, World};
use crate::fault::Fault;
use crate::invariants::Seen;
use crate::node::{Connection, Input};
use crate::trader::SYMBOLS;
use client::session::{Effect, Input as SessionInput};
use history::SeenMessage;
use protocol::order::server_message::Body;
use protocol::order::{ClientMessage, ServerMessage};
use std::collections::VecDeque;
use types::{AccountId, Command, Control, Epoch, Money, Price, Quantity, SymbolDefinition};

/// Accounts that trade.
pub(super) const ACCOUNTS: u64 = 3;

/// Most answers that the front door still has.
const LATE_ANSWERS_MAX: usize = 64;

/// What a leader said to connections that broke, each with its client: it stays in the front door
/// until a newer leader has spoken to that client.
#[derive(Default)]
pub(super) struct LateAnswers(VecDeque<(usize, ServerMessage)>);

impl LateAnswers {
    fn keep(&mut self, client: usize, message: ServerMessage) {
        if self.0.len() == LATE_ANSWERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((client, message));
    }

    /// What a client that has heard this epoch is told late.
    fn take(&mut self, client: usize, epoch: Epoch) -> Vec<ServerMessage> {
        let of_older =
            |(to, message): &(usize, ServerMessage)| *to == client && Epoch(message.epoch) < epoch;
        let (late, kept) = std::mem::take(&mut self.0).into_iter().partition(of_older);
        self.0 = kept;
        let late: VecDeque<_> = late;
        late.into_iter().map(|(_, message)| message).collect()
    }
}

impl World {
    pub(super) fn control(&mut self) {
        let state = self.oracle.state();
        self.opened = SYMBOLS.iter().all(|symbol| state.symbol(*symbol).is_some())
            && (1..=ACCOUNTS).all(|account| state.account(AccountId(account)).is_some());
        if self.opened {
            for client in 0..self.traders.len() {
                self.later(1, Happening::TraderTick(client));
                self.later(1_000, Happening::Trade(client));
            }
            return;
        }
        if let Some((leader, _)) = self.leader() {
            for command in opening() {
                self.arrive(leader, Input::Control(Box::new(command)));
            }
        }
        self.later(100_000, Happening::Control);
    }

    pub(super) fn connection_of(&self, client: usize) -> Connection {
        Connection {
            client,
            number: self.traders[client].connection,
        }
    }

    pub(super) fn perform(&mut self, client: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Connect { entry, logon } => {
                    self.connections += 1;
                    let trader = &mut self.traders[client];
                    trader.connection = self.connections;
                    trader.replica = entry as u64 + 1;
                    trader.last_sent_us = 0;
                    let connection = self.connection_of(client);
                    if let Some(takes_us) = self.network.with_client(entry as u64 + 1) {
                        self.later(takes_us, Happening::Connect(connection, Box::new(logon)));
                    }
                }
                Effect::Disconnect => self.traders[client].connection = 0,
                Effect::Send(message) => self.take_from_client(client, message),
                Effect::Tell(_) => {}
            }
        }
        let trader = &mut self.traders[client];
        for reached in std::mem::take(&mut trader.reached) {
            self.tally.note(reached);
        }
        if let Some(broken) = trader.broken.take() {
            self.break_off("a session goes on", broken);
        }
        self.wake_trader(client);
    }

    pub(super) fn wake_trader(&mut self, client: usize) {
        let Some(deadline_ms) = self.traders[client].deadline_ms() else {
            return;
        };
        let at_us = (deadline_ms * 1_000).max(self.now_us + 1);
        let trader = &mut self.traders[client];
        if trader.wakes_us.is_none_or(|wakes_us| at_us < wakes_us) {
            trader.wakes_us = Some(at_us);
            self.at(at_us, Happening::TraderTick(client));
        }
    }

    pub(super) fn take_from_client(&mut self, client: usize, message: ClientMessage) {
        let connection = self.connection_of(client);
        let replica = self.traders[client].replica;
        if self.dead.contains(&connection) {
            return;
        }
        let Some(takes_us) = self.network.with_client(replica) else {
            self.dead.insert(connection);
            return;
        };
        let late_us = self.network.late_request();
        let trader = &mut self.traders[client];
        let mut at_us = (self.now_us + takes_us).max(trader.last_sent_us);
        trader.last_sent_us = at_us;
        if let Some(late_us) = late_us {
            self.dead.insert(connection);
            let broken = Happening::Closed(connection, "a proxy ended it");
            self.later(takes_us, broken);
            at_us += late_us;
        }
        let input = Input::Client(connection, Box::new(message));
        self.at(at_us, Happening::Arrive(replica, input));
    }

    pub(super) fn send_to_client(
        &mut self,
        from: u64,
        at_us: u64,
        to: Connection,
        message: Box<ServerMessage>,
    ) {
        if self.connection_of(to.client) != to || self.dead.contains(&to) {
            return;
        }
        let Some(takes_us) = self.network.with_client(from) else {
            self.dead.insert(to);
            return;
        };
        if self.network.keeps_answer() {
            self.late_answers.keep(to.client, *message);
            self.dead.insert(to);
            let broken = Happening::Closed(to, "a proxy ended it");
            return self.at(at_us + takes_us, broken);
        }
        let trader = &mut self.traders[to.client];
        let arrives_us = (at_us + takes_us).max(trader.last_arrival_us);
        trader.last_arrival_us = arrives_us;
        self.at(arrives_us, Happening::ToTrader(to, message));
    }

    pub(super) fn close(&mut self, from: u64, at_us: u64, to: Connection) {
        if to.number == 0 || self.connection_of(to.client) != to || self.dead.contains(&to) {
            return;
        }
        self.dead.insert(to);
        if let Some(takes_us) = self.network.with_client(from) {
            let at_us = (at_us + takes_us).max(self.traders[to.client].last_arrival_us);
            self.at(at_us, Happening::Closed(to, "the replica ended it"));
        }
    }

    pub(super) fn connect(&mut self, connection: Connection, logon: Box<ClientMessage>) {
        let client = connection.client;
        if self.connection_of(client) != connection {
            return;
        }
        let replica = self.traders[client].replica;
        let up = self
            .nodes
            .get(&replica)
            .is_some_and(|n| n.process.is_some());
        let Some(takes_us) = self.network.with_client(replica) else {
            return;
        };
        if !up {
            let refused = Happening::Closed(connection, "the connection was refused");
            return self.later(takes_us, refused);
        }
        let effects = self.traders[client].update(SessionInput::Connected, self.now_us);
        self.perform(client, effects);
        self.arrive(replica, Input::Client(connection, logon));
    }

    pub(super) fn closed(&mut self, connection: Connection, reason: &str) {
        if self.connection_of(connection.client) != connection {
            return;
        }
        let reason = reason.to_owned();
        let broken = SessionInput::Broken { reason };
        let effects = self.traders[connection.client].update(broken, self.now_us);
        self.perform(connection.client, effects);
    }

    pub(super) fn hand_to_trader(&mut self, connection: Connection, message: ServerMessage) {
        if self.connection_of(connection.client) != connection {
            return;
        }
        let told = told(&message);
        let trader = &mut self.traders[connection.client];
        let session = trader.id();
        let effects = trader.update(SessionInput::Received(message), self.now_us);
        for message in &told {
            self.see(&Seen::Told { session, message });
        }
        self.perform(connection.client, effects);
        self.let_late_answers_go(connection.client);
    }

    fn let_late_answers_go(&mut self, client: usize) {
        let epoch = self.traders[client].epoch();
        for message in self.late_answers.take(client, epoch) {
            let in_us = self.dice.between(1_000, 50_000);
            self.later(in_us, Happening::Late(client, Box::new(message)));
        }
    }

    /// What an older leader had said comes between the words of a newer.
    pub(super) fn hand_late(&mut self, client: usize, message: ServerMessage) {
        self.count(Fault::LateAnswer);
        let received = SessionInput::Received(message);
        let effects = self.traders[client].update(received, self.now_us);
        self.perform(client, effects);
    }

    pub(super) fn trader_tick(&mut self, client: usize) {
        let now_us = self.now_us;
        let trader = &mut self.traders[client];
        trader.wakes_us.take_if(|wakes_us| *wakes_us <= now_us);
        let effects = trader.update(SessionInput::Tick, now_us);
        self.perform(client, effects);
    }

    pub(super) fn trade(&mut self, client: usize) {
        let effects = self.traders[client].trade(self.now_us);
        if !effects.is_empty() {
            self.perform(client, effects);
        }
        let pause_us = self.dice.between(5_000, 80_000);
        self.later(pause_us, Happening::Trade(client));
    }
}

fn told(message: &ServerMessage) -> Vec<SeenMessage> {
    let reports = match &message.body {
        Some(Body::Report(report)) => std::slice::from_ref(report),
        Some(Body::LogonAck(ack)) => &ack.replay[..],
        _ => &[],
    };
    let reports = reports.iter();
    reports.filter_map(|r| history::seen(r).ok()).collect()
}

fn opening() -> Vec<Command> {
    let symbols = SYMBOLS.map(|symbol| {
        let share = SymbolDefinition::share(symbol, Price(90_000), Price(110_000));
        Control::DefineSymbol(share)
    });
    let accounts = (1..=ACCOUNTS).map(|account| Control::OpenAccount {
        account: AccountId(account),
        cash: Money(900_000_000),
        positions: SYMBOLS.map(|symbol| (symbol, Quantity(9_000))).to_vec(),
    });
    let records = symbols.into_iter().chain(accounts);
    records.map(Command::Control).collect()
}
