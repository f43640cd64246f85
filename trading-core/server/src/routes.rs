//! Which stream a session's messages go to, and who waits for which ticket.

use protocol::order::ServerMessage;
use protocol::order_entry;
use replica::{Applied, Ticket};
use std::collections::HashMap;
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
    /// A control request.
    Control(oneshot::Sender<ControlAnswer>),
}

/// The streams of a serving leader.
#[derive(Debug, Default)]
pub struct Routes {
    sessions: HashMap<SessionId, Stream>,
    waiting: HashMap<Ticket, ReplyTo>,
    next_ticket: u64,
    /// Streams ended because they did not read.
    pub slow_streams: u64,
}

impl Routes {
    /// Notes who waits, and names the ticket.
    pub fn expect(&mut self, reply_to: ReplyTo) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting.insert(ticket, reply_to);
        ticket
    }

    /// Gives back who waited for a ticket that gets no answer.
    pub fn forget(&mut self, ticket: Ticket) -> Option<ReplyTo> {
        self.waiting.remove(&ticket)
    }

    /// Tells everybody concerned what a command caused.
    pub fn deliver(&mut self, epoch: Epoch, applied: Applied, standing: Option<&MaintenanceLease>) {
        let reply_to = applied
            .ticket
            .and_then(|ticket| self.waiting.remove(&ticket));
        let (mut asker, mut logged_on, mut control) = (None, None, None);
        match reply_to {
            Some(ReplyTo::Logon(stream, sender)) => {
                asker = Some(stream);
                logged_on = Some(sender);
            }
            Some(ReplyTo::Request(stream)) => asker = Some(stream),
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
            let accepted = matches!(event, Event::LoggedOn { .. });
            let Some((session, message)) = order_entry::answer(epoch, &event) else {
                continue;
            };
            if accepted && let Some(stream) = &asker {
                self.bind(session, stream.clone());
            }
            // What happens to an order goes to its session, wherever that is logged on; what only
            // answers a request goes to whoever asked.
            let to_session = matches!(event, Event::ToSession(_));
            let stream = match &asker {
                Some(stream) if !to_session => Some(stream.clone()),
                _ => self.sessions.get(&session).cloned(),
            };
            if let Some(stream) = stream {
                self.send(session, &stream, message);
            }
            if let Some(sender) = logged_on.take() {
                // The stream's reader may have ended meanwhile.
                let _ = sender.send(accepted);
            }
        }
    }

    /// Ends all streams: this replica no longer serves.
    pub fn end_all(&mut self) {
        for stream in self.sessions.drain().map(|(_, stream)| stream) {
            stream.end.cancel();
        }
        for (_, reply_to) in self.waiting.drain() {
            match reply_to {
                ReplyTo::Logon(stream, _) | ReplyTo::Request(stream) => stream.end.cancel(),
                // Dropping the sender tells.
                ReplyTo::Control(_) => {}
            }
        }
    }

    /// A stream has ended.
    pub fn ended(&mut self, connection: u64) {
        self.sessions
            .retain(|_, stream| stream.connection != connection);
    }

    /// How many sessions are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.sessions.len()
    }

    /// A session's newest logon is where its messages go; an older stream of it ends.
    fn bind(&mut self, session: SessionId, stream: Stream) {
        let connection = stream.connection;
        if let Some(older) = self.sessions.insert(session, stream)
            && older.connection != connection
        {
            older.end.cancel();
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
            .is_some_and(|bound| bound.connection == stream.connection)
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
        assert_eq!((routes.slow_streams, routes.connected()), (1, 0));
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
