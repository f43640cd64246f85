//! Which stream a session's messages go to, and who waits for which ticket.
//!
//! ```text
//!   ticket ─► who asked ─┐                        ┌─► a gRPC stream's queue
//!                        ├─► event of a command ──┤
//!   session ─► its stream┘                        └─► the binary door's outbox
//! ```

use crate::door::{ConnectionId, Outbox};
use protocol::binary::{self, EndCode};
use protocol::order::ServerMessage;
use protocol::order_entry;
use replica::{Applied, Ticket};
use std::collections::{HashMap, VecDeque};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use types::{ControlOutcome, Epoch, Event, LogIndex, MaintenanceLease, SessionId};

/// One client stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its number in this process.
    pub connection: u64,
    /// What goes to it.
    pub sender: mpsc::Sender<Result<ServerMessage, Status>>,
    /// Ends it.
    pub end: CancellationToken,
}

/// The answer to a control record.
#[derive(Debug)]
pub struct ControlAnswer {
    /// The epoch that answers.
    pub epoch: Epoch,
    /// The entry it went into.
    pub index: LogIndex,
    /// What came of it.
    pub outcome: ControlOutcome,
    /// The maintenance lease that stands after it.
    pub standing: Option<MaintenanceLease>,
}

/// Who waits for a command's answer.
#[derive(Debug)]
pub enum ReplyTo {
    /// A client's logon; told whether it was accepted once its answer is on the stream.
    Logon(Stream, oneshot::Sender<bool>),
    /// A client's request.
    Request(Stream),
    /// A client of the binary door, logon or request.
    Binary(ConnectionId),
    /// A control request.
    Control(oneshot::Sender<ControlAnswer>),
}

/// Where a session is logged on.
#[derive(Clone, Debug)]
enum Place {
    Stream(Stream),
    Binary(ConnectionId),
}

impl Place {
    fn connection(&self) -> u64 {
        match self {
            Self::Stream(stream) => stream.connection,
            Self::Binary(connection) => connection.0,
        }
    }
}

/// The streams of a serving leader.
#[derive(Debug, Default)]
pub struct Routes {
    sessions: HashMap<SessionId, Place>,
    /// Who waits for the tickets from `first_ticket` on. Commands take effect in the order in which
    /// tickets were given, so both ends move.
    waiting: VecDeque<Option<ReplyTo>>,
    first_ticket: u64,
    outbox: Option<Outbox>,
    slow_streams: u64,
}

impl Routes {
    /// Routes that lead to the binary door, too.
    #[must_use]
    pub fn with_door(outbox: Option<Outbox>) -> Self {
        Self {
            outbox,
            ..Self::default()
        }
    }

    /// Notes who waits, and names the ticket.
    pub fn expect(&mut self, reply_to: ReplyTo) -> Ticket {
        self.waiting.push_back(Some(reply_to));
        Ticket(self.first_ticket + self.waiting.len() as u64 - 1)
    }

    /// Who waited for a ticket, which gets no other answer.
    fn take(&mut self, ticket: Ticket) -> Option<ReplyTo> {
        let place = ticket.0.checked_sub(self.first_ticket)?;
        let place = usize::try_from(place).ok()?;
        let taken = self.waiting.get_mut(place)?.take();
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.first_ticket += 1;
        }
        taken
    }

    /// A ticket's command was not taken: whoever waited for it must log on again.
    pub fn turn_away(&mut self, ticket: Ticket) {
        let reply_to = self.take(ticket);
        self.end_waiting(reply_to);
    }

    fn end_waiting(&mut self, reply_to: Option<ReplyTo>) {
        match reply_to {
            Some(ReplyTo::Logon(stream, _) | ReplyTo::Request(stream)) => stream.end.cancel(),
            Some(ReplyTo::Binary(connection)) => {
                self.end(&Place::Binary(connection), EndCode::NotServing);
            }
            // Dropping the sender tells.
            Some(ReplyTo::Control(_)) | None => {}
        }
    }

    fn end(&mut self, place: &Place, code: EndCode) {
        match (place, &mut self.outbox) {
            (Place::Stream(stream), _) => stream.end.cancel(),
            (Place::Binary(connection), Some(outbox)) => outbox.end(*connection, code),
            (Place::Binary(_), None) => {}
        }
    }

    /// Tells everybody concerned what a command caused.
    pub fn deliver(&mut self, epoch: Epoch, applied: Applied, standing: Option<&MaintenanceLease>) {
        let reply_to = applied.ticket.and_then(|ticket| self.take(ticket));
        let (mut asker, mut logged_on, mut control) = (None, None, None);
        match reply_to {
            Some(ReplyTo::Logon(stream, sender)) => {
                asker = Some(Place::Stream(stream));
                logged_on = Some(sender);
            }
            Some(ReplyTo::Request(stream)) => asker = Some(Place::Stream(stream)),
            Some(ReplyTo::Binary(connection)) => asker = Some(Place::Binary(connection)),
            Some(ReplyTo::Control(sender)) => control = Some(sender),
            None => {}
        }
        for event in applied.events {
            if let Event::Control(outcome) = event {
                if let Some(sender) = control.take() {
                    // Whoever asked may have gone; the log has it all the same.
                    let _ = sender.send(ControlAnswer {
                        epoch,
                        index: applied.index,
                        outcome,
                        standing: standing.cloned(),
                    });
                }
                continue;
            }
            self.tell(epoch, &event, asker.as_ref());
            if let Some(sender) = logged_on.take() {
                // The stream's reader may have ended meanwhile.
                let _ = sender.send(matches!(event, Event::LoggedOn { .. }));
            }
        }
    }

    /// Hands what was told on the binary door to it. Called once a turn.
    pub fn flush(&mut self) {
        if let Some(outbox) = &mut self.outbox {
            outbox.flush();
        }
    }

    /// Tells one event to whom it concerns.
    ///
    /// What happens to an order goes to its session, wherever that is logged on; what only answers
    /// a request goes to whoever asked.
    fn tell(&mut self, epoch: Epoch, event: &Event, asker: Option<&Place>) {
        if let (Event::LoggedOn { session, .. }, Some(asker)) = (event, asker) {
            self.bind(*session, asker.clone());
        }
        let place = match (event, asker) {
            (Event::ToSession(outbound), _) => self.sessions.get(&outbound.session),
            (_, asker) => asker,
        };
        match (place, &mut self.outbox) {
            (Some(Place::Binary(connection)), Some(outbox)) => {
                outbox.write(*connection, |out| binary::write_event(epoch, event, out));
                match event {
                    Event::LoggedOn { .. } => outbox.logon_answered(*connection, true),
                    Event::LogonRefused { .. } => outbox.logon_answered(*connection, false),
                    _ => {}
                }
            }
            (Some(Place::Stream(stream)), _) => {
                let stream = stream.clone();
                if let Some((session, message)) = order_entry::answer(epoch, event) {
                    self.send(session, &stream, message);
                }
            }
            _ => {}
        }
    }

    /// Ends all streams: this replica no longer serves.
    pub fn end_all(&mut self) {
        for (_, place) in std::mem::take(&mut self.sessions) {
            self.end(&place, EndCode::NotServing);
        }
        self.first_ticket += self.waiting.len() as u64;
        for reply_to in std::mem::take(&mut self.waiting) {
            self.end_waiting(reply_to);
        }
    }

    /// A stream has ended. Gives back the sessions that were logged on there and nowhere since.
    pub fn ended(&mut self, connection: u64) -> Vec<SessionId> {
        let gone = self
            .sessions
            .extract_if(|_, place| place.connection() == connection);
        let mut gone: Vec<SessionId> = gone.map(|(session, _)| session).collect();
        gone.sort_unstable();
        gone
    }

    /// How many sessions are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.sessions.len()
    }

    /// Streams and connections ended because they did not read.
    #[must_use]
    pub fn slow_streams(&self) -> u64 {
        self.slow_streams + self.outbox.as_ref().map_or(0, Outbox::slow_clients)
    }

    /// A session's newest logon is where its messages go; an older stream of it ends.
    fn bind(&mut self, session: SessionId, place: Place) {
        let connection = place.connection();
        if let Some(older) = self.sessions.insert(session, place)
            && older.connection() != connection
        {
            self.end(&older, EndCode::TakenOver);
        }
    }

    fn send(&mut self, session: SessionId, stream: &Stream, message: ServerMessage) {
        if stream.sender.try_send(Ok(message)).is_ok() {
            return;
        }
        // It does not read, or is gone. Messages are not skipped: the session logs on again and has
        // replayed what it missed.
        if !stream.sender.is_closed() {
            self.slow_streams += 1;
        }
        stream.end.cancel();
        if self
            .sessions
            .get(&session)
            .is_some_and(|bound| bound.connection() == stream.connection)
        {
            self.sessions.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::order::server_message::Body;
    use types::{
        AccountId, ClOrdId, ClientSeq, LogSeq, OrderId, OutSeq, Outbound, RejectReason, Report,
    };

    type Receiver = mpsc::Receiver<Result<ServerMessage, Status>>;

    fn stream(connection: u64, capacity: usize) -> (Stream, Receiver) {
        let (sender, receiver) = mpsc::channel(capacity);
        let end = CancellationToken::new();
        let stream = Stream {
            connection,
            sender,
            end,
        };
        (stream, receiver)
    }

    fn logged_on(session: u64) -> Event {
        Event::LoggedOn {
            session: SessionId(session),
            next_client_seq: ClientSeq(1),
            next_out_seq: OutSeq(1),
            replay: vec![],
            replay_missing: 0,
        }
    }

    fn to_session(session: u64) -> Event {
        Event::ToSession(Outbound {
            session: SessionId(session),
            out_seq: OutSeq(1),
            in_reply_to: None,
            log_seq: LogSeq(1),
            epoch: Epoch(1),
            report: Report::Accepted {
                cl_ord_id: ClOrdId::new("A").unwrap(),
                order_id: OrderId(1),
            },
        })
    }

    fn deliver(routes: &mut Routes, ticket: Option<Ticket>, events: Vec<Event>) {
        let applied = Applied {
            index: LogIndex(1),
            ticket,
            events,
        };
        routes.deliver(Epoch(1), applied, None);
    }

    fn log_on(routes: &mut Routes, stream: &Stream) -> bool {
        let (sender, mut receiver) = oneshot::channel();
        let ticket = routes.expect(ReplyTo::Logon(stream.clone(), sender));
        deliver(routes, Some(ticket), vec![logged_on(7)]);
        receiver.try_recv().unwrap()
    }

    #[test]
    fn a_session_is_told_on_its_newest_stream_only() {
        let mut routes = Routes::default();
        let (older, mut older_receiver) = stream(1, 8);
        let (newer, mut newer_receiver) = stream(2, 8);
        assert!(log_on(&mut routes, &older));
        assert!(log_on(&mut routes, &newer));
        assert!(older.end.is_cancelled() && !newer.end.is_cancelled());
        older_receiver.try_recv().unwrap().unwrap();
        newer_receiver.try_recv().unwrap().unwrap();
        deliver(&mut routes, None, vec![to_session(7)]);
        assert!(older_receiver.try_recv().is_err());
        let told = newer_receiver.try_recv().unwrap().unwrap();
        assert!(matches!(told.body, Some(Body::Report(_))));
    }

    #[test]
    fn a_stream_that_does_not_read_is_ended_not_skipped() {
        let mut routes = Routes::default();
        let (slow, _receiver) = stream(1, 2);
        assert!(log_on(&mut routes, &slow));
        deliver(&mut routes, None, vec![to_session(7), to_session(7)]);
        assert!(slow.end.is_cancelled());
        assert_eq!((routes.slow_streams(), routes.connected()), (1, 0));
    }

    #[test]
    fn a_stream_that_ends_leaves_only_sessions_that_went_on_elsewhere() {
        let mut routes = Routes::default();
        let (older, _older) = stream(1, 8);
        let (newer, _newer) = stream(2, 8);
        assert!(log_on(&mut routes, &older));
        assert!(log_on(&mut routes, &newer));
        assert_eq!(routes.ended(1), []);
        assert_eq!(routes.ended(2), [SessionId(7)]);
        assert_eq!(routes.connected(), 0);
    }

    #[test]
    fn a_refused_logon_binds_nothing() {
        let mut routes = Routes::default();
        let (stream, mut receiver) = stream(1, 8);
        let (sender, mut accepted) = oneshot::channel();
        let ticket = routes.expect(ReplyTo::Logon(stream, sender));
        let refused = Event::LogonRefused {
            session: SessionId(7),
            reason: RejectReason::UnknownAccount {
                account: AccountId(1),
            },
        };
        deliver(&mut routes, Some(ticket), vec![refused]);
        assert!(!accepted.try_recv().unwrap());
        assert_eq!(routes.connected(), 0);
        let told = receiver.try_recv().unwrap().unwrap();
        assert!(matches!(told.body, Some(Body::LogonReject(_))));
    }

    #[test]
    fn the_end_of_leadership_ends_every_stream() {
        let mut routes = Routes::default();
        let (bound, _bound) = stream(1, 8);
        let (waiting, _waiting) = stream(2, 8);
        assert!(log_on(&mut routes, &bound));
        routes.expect(ReplyTo::Request(waiting.clone()));
        routes.end_all();
        assert!(bound.end.is_cancelled() && waiting.end.is_cancelled());
    }
}
