//! One replica's machine: its disk, its clock, and a process that may be there or not.
//!
//! ```text
//!   inbox ─► Process::turn ─► replica::Driver ─► journal ─► SimDisk
//!                │  (Around is its Shell)
//!                └─► Outgoing, each with the moment in the turn at which it left
//! ```

use crate::disk::SimDisk;
use client::session::EndReason;
use journal::{Journal, Options};
use protocol::order::{ClientMessage, ServerMessage};
use protocol::order_entry::{self, Inbound};
use replica::{
    Config, Driver, DriverError, HashPoint, Message, Outcome, Replica, Shell, SnapshotEnd,
    SnapshotJob, Ticket, decode_message, encode_message,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use types::{ClientCommand, Command, Event, ReplicaId, SessionId, UnixMicros};

/// The wall clock at the beginning of a run.
const BEGIN_US: u64 = 1_700_000_000_000_000;

/// A client's connection to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// The client.
    pub client: usize,
    /// Its number.
    pub number: u64,
}

/// What comes to a process.
#[derive(Debug)]
pub enum Input {
    /// A tick of its timers.
    Tick,
    /// A peer's message, as bytes.
    Peer(Vec<u8>),
    /// A peer's hash.
    Hash(ReplicaId, HashPoint),
    /// A peer lost its log.
    Rebuild(ReplicaId),
    /// A message to a peer was lost.
    Unreachable(ReplicaId),
    /// What became of a snapshot that was sent.
    SnapshotSent(ReplicaId, bool),
    /// What became of a snapshot that was built beside it.
    SnapshotEnded(Box<SnapshotEnd>),
    /// A peer's process died, and its connections with it.
    Suspect(ReplicaId),
    /// A client's message.
    Client(Connection, Box<ClientMessage>),
    /// A control record of the run's own.
    Control(Box<Command>),
    /// Hand leadership over.
    Transfer(ReplicaId),
}

/// What leaves a process.
pub enum Outgoing {
    /// A message to a peer.
    Peer {
        /// To whom.
        to: ReplicaId,
        /// The message.
        bytes: Vec<u8>,
        /// Whether a snapshot is in it.
        snapshot: bool,
    },
    /// A hash to every peer.
    Hash(HashPoint),
    /// To a leader: send everything again.
    Rebuild(ReplicaId),
    /// A message to a client.
    Client(Connection, Box<ServerMessage>),
    /// The end of a client's connection.
    Close(Connection),
    /// A snapshot to be built and saved.
    Save(Box<SnapshotJob>),
    /// For the record.
    Note(&'static str),
}

/// A clock that may run fast and jump.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// What it is ahead, in microseconds.
    pub offset_us: i64,
    /// How much it gains, in parts per million.
    pub drift_ppm: i64,
}

impl Clock {
    fn wall(self, at_us: u64) -> UnixMicros {
        let gained = i128::from(at_us) * i128::from(self.drift_ppm) / 1_000_000;
        let now = i128::from(BEGIN_US + at_us) + gained + i128::from(self.offset_us);
        UnixMicros(u64::try_from(now).unwrap_or(0))
    }
}

/// A running process.
pub struct Process {
    driver: Driver,
    disk: SimDisk,
    routes: Routes,
    /// Until when it works on what it has taken in.
    pub busy_until_us: u64,
    /// What has come since.
    pub inbox: Vec<Input>,
    /// Whether a wake-up is on its way.
    pub waking: bool,
}

/// What was found at a start.
#[derive(Debug)]
pub struct Started {
    /// For the record.
    pub notes: Vec<&'static str>,
    /// Why the log does not count.
    pub set_aside: Option<String>,
}

#[derive(Default)]
struct Routes {
    sessions: BTreeMap<SessionId, Connection>,
    waiting: BTreeMap<Ticket, Connection>,
    /// Which session a connection has logged on.
    connections: BTreeMap<Connection, SessionId>,
    last_ticket: u64,
}

impl Process {
    /// Starts on a disk.
    ///
    /// # Errors
    /// [`DriverError`] when it cannot.
    pub fn start(
        disk: SimDisk,
        options: Options,
        config: Config,
        clock: Clock,
        at_us: u64,
    ) -> Result<(Self, Started), DriverError> {
        let (journal, recovered) = Journal::open_or_set_aside_on(Arc::new(disk.clone()), options)?;
        let mut notes = Vec::new();
        if recovered.torn_bytes > 0 {
            notes.push("a torn write was cut off at a start");
        }
        if recovered.set_aside.is_some() {
            notes.push("a log was set aside as damaged");
        }
        let set_aside = recovered.set_aside.clone();
        let driver = Driver::new(config, journal, recovered, clock.wall(at_us))?;
        let process = Self {
            driver,
            busy_until_us: at_us + disk.take_elapsed_us(),
            disk,
            routes: Routes::default(),
            inbox: Vec::new(),
            waking: false,
        };
        Ok((process, Started { notes, set_aside }))
    }

    /// The replica.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        self.driver.replica()
    }

    /// Takes in all that has come, and does all that there is to do. What left it is appended, each
    /// with its moment.
    ///
    /// # Errors
    /// [`DriverError`] after which the process is dead.
    pub fn turn(
        &mut self,
        at_us: u64,
        clock: Clock,
        slow_us: u64,
        left: &mut Vec<(u64, Outgoing)>,
    ) -> Result<(), DriverError> {
        let _ = self.disk.take_elapsed_us();
        let mut around = Around {
            at_us: at_us + slow_us,
            clock,
            disk: &self.disk,
            routes: &mut self.routes,
            left,
        };
        let inbox = std::mem::take(&mut self.inbox);
        let taken = inbox
            .into_iter()
            .try_for_each(|input| around.take(&mut self.driver, input));
        let ended = taken.and_then(|()| self.driver.turn(&mut around));
        self.busy_until_us = at_us + slow_us + self.disk.take_elapsed_us() + 5;
        ended
    }

    /// Whether clients can be told that all is well.
    pub fn heartbeats(&self, at_us: u64, clock: Clock) -> Vec<(Connection, ServerMessage)> {
        if !self.replica().serving() {
            return Vec::new();
        }
        let beat = order_entry::heartbeat(self.replica().epoch(), clock.wall(at_us));
        let connections = self.routes.sessions.values();
        connections.map(|to| (*to, beat.clone())).collect()
    }
}

struct Around<'a> {
    at_us: u64,
    clock: Clock,
    disk: &'a SimDisk,
    routes: &'a mut Routes,
    left: &'a mut Vec<(u64, Outgoing)>,
}

impl Around<'_> {
    fn moment_us(&self) -> u64 {
        self.at_us + self.disk.elapsed_us()
    }

    fn leave(&mut self, outgoing: Outgoing) {
        self.left.push((self.moment_us(), outgoing));
    }

    fn take(&mut self, driver: &mut Driver, input: Input) -> Result<(), DriverError> {
        let now = self.now();
        let replica = driver.replica_mut();
        match input {
            Input::Tick => replica.tick(now),
            Input::Peer(bytes) => {
                // What the simulated link carries is what was sent: bytes are never harmed there.
                if let Ok(message) = decode_message(&bytes) {
                    replica.receive(message, now)?;
                }
            }
            Input::Hash(peer, point) => replica.compare(peer, point)?,
            Input::Rebuild(peer) => replica.rebuild(peer),
            Input::Unreachable(peer) => replica.unreachable(peer),
            Input::SnapshotSent(peer, arrived) => replica.snapshot_sent(peer, arrived),
            Input::SnapshotEnded(ended) => driver.snapshot_ended(*ended)?,
            Input::Suspect(peer) => replica.suspect(peer),
            Input::Client(connection, message) => {
                if driver.takes_commands() {
                    self.client(driver.replica_mut(), connection, &message);
                } else {
                    // A server lets them wait; here the client tries again.
                    self.leave(Outgoing::Note("a command was turned away"));
                    self.leave(Outgoing::Close(connection));
                }
            }
            Input::Control(command) => {
                // Repeated by the run until it has taken effect.
                let _ = replica.submit(None, *command);
            }
            Input::Transfer(to) => {
                if replica.transfer(to, now).is_ok() {
                    self.leave(Outgoing::Note("a transfer began"));
                }
            }
        }
        Ok(())
    }

    fn client(&mut self, replica: &mut Replica, from: Connection, message: &ClientMessage) {
        let session = self.routes.connections.get(&from).copied();
        let command = match (order_entry::read(message), session) {
            (Ok(Inbound::Logon(logon)), None) => {
                self.routes.connections.insert(from, logon.session);
                Command::Logon(logon)
            }
            (
                Ok(Inbound::Request {
                    client_seq,
                    request,
                }),
                Some(session),
            ) => Command::Client(ClientCommand {
                session,
                client_seq,
                request,
            }),
            _ => return self.leave(Outgoing::Close(from)),
        };
        self.routes.last_ticket += 1;
        let ticket = Ticket(self.routes.last_ticket);
        if replica.submit(Some(ticket), command).is_ok() {
            self.routes.waiting.insert(ticket, from);
        } else {
            self.leave(Outgoing::Note("a command was turned away"));
            self.leave(Outgoing::Close(from));
        }
    }

    fn event(&mut self, replica: &Replica, asker: Option<Connection>, event: &Event) {
        let Some((session, message)) = order_entry::answer(replica.epoch(), event) else {
            return;
        };
        if let (Event::LoggedOn { .. }, Some(asker)) = (event, asker) {
            let older = self.routes.sessions.insert(session, asker);
            if let Some(older) = older.filter(|older| *older != asker) {
                self.leave(Outgoing::Close(older));
            }
        }
        let bound = self.routes.sessions.get(&session).copied();
        let to = match event {
            Event::ToSession(_) => bound,
            _ => asker,
        };
        if let Some(to) = to {
            self.leave(Outgoing::Client(to, Box::new(message)));
        }
    }
}

impl Shell for Around<'_> {
    fn now(&self) -> UnixMicros {
        self.clock.wall(self.moment_us())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.moment_us())
    }

    fn send(&mut self, message: Message) -> bool {
        self.leave(Outgoing::Peer {
            to: ReplicaId(message.to),
            bytes: encode_message(&message),
            snapshot: message.snapshot.is_some(),
        });
        true
    }

    fn tell_hash(&mut self, point: HashPoint) {
        self.leave(Outgoing::Hash(point));
    }

    fn ask_for_rebuild(&mut self, leader: ReplicaId) {
        self.leave(Outgoing::Rebuild(leader));
    }

    fn deliver(&mut self, replica: &Replica, outcome: Outcome) {
        if outcome.restored.is_some() {
            self.leave(Outgoing::Note("a replica took up a peer's snapshot"));
        }
        if outcome.leadership_lost {
            if !self.routes.waiting.is_empty() {
                self.leave(Outgoing::Note(
                    "a leader lost its leadership with commands open",
                ));
            }
            self.routes.waiting.clear();
            self.routes.connections.clear();
            for connection in std::mem::take(&mut self.routes.sessions).into_values() {
                self.leave(Outgoing::Close(connection));
            }
            return;
        }
        for applied in outcome.applied {
            let asker = applied.ticket.and_then(|t| self.routes.waiting.remove(&t));
            for event in &applied.events {
                self.event(replica, asker, event);
            }
        }
    }

    fn save_snapshot(&mut self, job: SnapshotJob) {
        self.leave(Outgoing::Save(Box::new(job)));
    }
}

/// Why a session ended for good, which no run may see.
#[must_use]
pub fn ended(reason: &EndReason) -> String {
    format!("a session was refused for good: {reason}")
}
