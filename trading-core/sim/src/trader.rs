//! A client: the session of the crate `client`, which wants to trade, and a history of what it saw.

use crate::dice::Dice;
use client::session::{Effect, Event, Input, SessionOptions, State, SubmitError, Timing};
use history::{History, Record, seen};
use types::{
    AccountId, ClOrdId, Epoch, MarketStyle, NewOrder, OrderKind, Price, Quantity, Request,
    SelfTradePrevention, SessionId, Side, SymbolId, TimeInForce, UnixMicros,
};

/// Listed in every run.
pub const SYMBOLS: [SymbolId; 2] = [SymbolId(600_000), SymbolId(1)];

/// One client.
pub struct Trader {
    session: State,
    id: SessionId,
    account: AccountId,
    dice: Dice,
    names: u64,
    recent: Vec<ClOrdId>,
    records: Vec<Record>,
    /// The connection that it has, if any.
    pub connection: u64,
    /// The replica at its other end.
    pub replica: u64,
    /// When the last message came, so that they come in order.
    pub last_arrival_us: u64,
    /// When the last message that it sent arrives.
    pub last_sent_us: u64,
    /// When it is woken next.
    pub wakes_us: Option<u64>,
    /// It sends nothing new.
    pub quiet: bool,
    /// Orders accepted, once each.
    pub accepted: u64,
    /// The first thing that no client may see.
    pub broken: Option<String>,
    /// Rare states that it saw.
    pub reached: Vec<&'static str>,
}

impl Trader {
    /// A client with a session of its own; several share an account.
    #[must_use]
    pub fn new(number: u64, accounts: u64, replicas: usize, mut dice: Dice) -> Self {
        let (id, account) = (SessionId(number + 1), AccountId(number % accounts + 1));
        let options = SessionOptions {
            session: id,
            account,
            in_flight_max: 8,
            seed: dice.number(),
            timing: Timing::default(),
        };
        Self {
            session: State::new(options, replicas, dice.below(replicas as u64) as usize),
            id,
            account,
            dice,
            names: 0,
            recent: Vec::new(),
            records: Vec::new(),
            connection: 0,
            replica: 0,
            last_arrival_us: 0,
            last_sent_us: 0,
            wakes_us: None,
            quiet: false,
            accepted: 0,
            broken: None,
            reached: Vec::new(),
        }
    }

    /// Something happened to the connection, or time has passed.
    pub fn update(&mut self, input: Input, at_us: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        let stale = self.session.counters().stale_messages;
        self.session.update(input, at_us / 1_000, &mut effects);
        if self.session.counters().stale_messages > stale {
            self.reached
                .push("a client dropped a message of an older epoch");
        }
        self.note(&effects, at_us);
        effects
    }

    /// Sends a request, when it may.
    pub fn trade(&mut self, at_us: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        let client_seq = match self.session.next_client_seq() {
            Ok(client_seq) if !self.quiet => client_seq,
            Ok(_) | Err(SubmitError::NotLoggedOn { .. } | SubmitError::Full { .. }) => {
                return effects;
            }
            Err(SubmitError::Ended(reason)) => {
                self.broken = Some(crate::node::ended(&reason));
                return effects;
            }
        };
        let request = self.request();
        self.records.push(Record::Sent {
            at_us: UnixMicros(at_us),
            session: self.id,
            client_seq,
            request,
        });
        // It was asked for a number just now.
        let _ = self.session.submit(request, at_us / 1_000, &mut effects);
        effects
    }

    fn note(&mut self, effects: &[Effect], at_us: u64) {
        let (at_us, session) = (UnixMicros(at_us), self.id);
        for effect in effects {
            let Effect::Tell(event) = effect else {
                continue;
            };
            let record = match event {
                Event::LoggedOn {
                    epoch,
                    last_out_seq_seen,
                    next_client_seq,
                    next_out_seq,
                    replay_missing,
                    ..
                } => Record::LoggedOn {
                    at_us,
                    session,
                    account: self.account,
                    last_out_seq_seen: *last_out_seq_seen,
                    leader_epoch: *epoch,
                    next_client_seq: *next_client_seq,
                    next_out_seq: *next_out_seq,
                    replay_missing: *replay_missing,
                },
                Event::Report { epoch, report, .. } => match seen(report) {
                    Ok(message) => {
                        self.look_at(&message.report, report.possible_duplicate);
                        Record::Received {
                            at_us,
                            session,
                            leader_epoch: *epoch,
                            possible_duplicate: report.possible_duplicate,
                            message,
                        }
                    }
                    Err(unreadable) => {
                        self.broken = Some(unreadable.to_string());
                        continue;
                    }
                },
                Event::SentAgain {
                    client_seq,
                    request,
                } => {
                    self.reached.push("a request was sent again");
                    Record::Sent {
                        at_us,
                        session,
                        client_seq: *client_seq,
                        request: *request,
                    }
                }
                Event::EntryLost { .. } => continue,
                Event::Ended { reason } => {
                    self.broken = Some(crate::node::ended(reason));
                    continue;
                }
            };
            self.records.push(record);
        }
    }

    fn look_at(&mut self, report: &history::SeenReport, possible_duplicate: bool) {
        match report {
            history::SeenReport::Accepted { .. } if !possible_duplicate => self.accepted += 1,
            history::SeenReport::Filled { .. } => self.reached.push("an order was filled"),
            history::SeenReport::Rejected { code, .. } if (300..700).contains(code) => {
                self.reached.push("a request was refused by a risk check")
            }
            _ => {}
        }
        if possible_duplicate {
            self.reached
                .push("an answer was told again as a possible duplicate");
        }
    }

    fn request(&mut self) -> Request {
        let roll = self.dice.below(100);
        let old = self.dice.pick(&self.recent).copied();
        match (roll, old) {
            (0..60, _) | (_, None) => Request::New(self.new_order()),
            (60..80, Some(original)) => Request::Cancel { original },
            (80..92, Some(original)) => Request::Replace {
                original,
                replacement: self.name(),
                price: self.price(),
                quantity: self.quantity(),
            },
            (92..94, Some(_)) => Request::MassCancel { symbol: None },
            (_, Some(original)) => Request::Status { original },
        }
    }

    fn new_order(&mut self) -> NewOrder {
        // Now and then a name that is used already: it must be refused.
        let again = self.dice.chance(30_000);
        let old = self.dice.pick(&self.recent).copied();
        let cl_ord_id = match old {
            Some(old) if again => old,
            _ => self.name(),
        };
        let kind = if self.dice.chance(50_000) {
            OrderKind::Market {
                style: MarketStyle::ImmediateOrCancel,
                protection: None,
            }
        } else {
            OrderKind::Limit {
                price: self.price(),
            }
        };
        let side = if self.dice.chance(500_000) {
            Side::Buy
        } else {
            Side::Sell
        };
        NewOrder {
            cl_ord_id,
            symbol: SYMBOLS[self.dice.below(SYMBOLS.len() as u64) as usize],
            side,
            quantity: self.quantity(),
            kind,
            time_in_force: if self.dice.chance(200_000) {
                TimeInForce::ImmediateOrCancel
            } else {
                TimeInForce::Day
            },
            post_only: false,
            display: None,
            self_trade_prevention: SelfTradePrevention::CancelOldest,
        }
    }

    fn name(&mut self) -> ClOrdId {
        self.names += 1;
        let text = format!("{}-{}", self.id, self.names);
        let name = ClOrdId::new(&text).expect("digits and a dash are an id");
        if self.recent.len() == 16 {
            self.recent.remove(0);
        }
        self.recent.push(name);
        name
    }

    fn price(&mut self) -> Price {
        let ticks = self.dice.between(0, 12) as i64 - 6;
        Price(100_000 + ticks * 100)
    }

    fn quantity(&mut self) -> Quantity {
        // Sometimes more than anybody has.
        if self.dice.chance(30_000) {
            return Quantity(1_000_000);
        }
        Quantity(self.dice.between(1, 5) * 100)
    }

    /// Its session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The highest epoch that it heard.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.session.epoch()
    }

    /// When it must be woken, in milliseconds.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        self.session.deadline_ms()
    }

    /// How many requests are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.session.open_requests().count()
    }

    /// What it saw.
    #[must_use]
    pub fn history(&self) -> History {
        History {
            client: format!("session {}", self.id),
            records: self.records.clone(),
            torn_lines: 0,
        }
    }
}
