//! The shell around [`session::State`](crate::session::State): its clock and its sockets.
//!
//! ```text
//!   owner ── submit ──► State ──effects──► connection (one at a time)
//!   owner ◄── next ──── State ◄──inputs─── messages, breaks, time
//! ```
//!
//! Nothing runs in the background: the session lives while its owner awaits [`OrderSession::next`].

use crate::admin::with_causes;
use crate::binary_connection::BinaryConnection;
use crate::connection::{AddressError, endpoint};
use crate::session::{Counters, Effect, Event, Input, SessionOptions, State, SubmitError};
use futures::future::BoxFuture;
use protocol::order::order_entry_client::OrderEntryClient;
use protocol::order::{ClientMessage, ServerMessage};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;
use types::{ClientSeq, Epoch, OutSeq, Request, ShardId};

/// How an entry is spoken to.
enum Entry {
    Grpc(Box<Endpoint>),
    Binary,
}

enum Connection {
    Grpc {
        outgoing: mpsc::Sender<ClientMessage>,
        incoming: Streaming<ServerMessage>,
    },
    Binary(BinaryConnection),
}

impl Connection {
    /// Sends without waiting. An error is a broken connection: the state hears of it from the
    /// silence that follows, and sends again.
    fn send(&mut self, message: ClientMessage) -> Result<(), String> {
        match self {
            Self::Grpc { outgoing, .. } => outgoing
                .try_send(message)
                .map_err(|error| error.to_string()),
            Self::Binary(connection) => connection.send(&message),
        }
    }

    async fn next(&mut self) -> Input {
        let broken = |reason: String| Input::Broken { reason };
        match self {
            Self::Grpc { incoming, .. } => match incoming.message().await {
                Ok(Some(message)) => Input::Received(message),
                Ok(None) => broken("the entry ended the stream".to_owned()),
                Err(status) => broken(format!("{}: {}", status.code(), status.message())),
            },
            Self::Binary(connection) => {
                connection.next().await.map_or_else(broken, Input::Received)
            }
        }
    }
}

enum Socket {
    None,
    Connecting(BoxFuture<'static, Result<Connection, String>>),
    Open(Box<Connection>),
}

/// One order session over a list of entries.
pub struct OrderSession {
    state: State,
    entries: Vec<(String, Entry)>,
    outgoing_max: usize,
    started: Instant,
    socket: Socket,
    /// Told and not yet taken; no more than one input causes.
    events: VecDeque<Event>,
}

impl OrderSession {
    /// A session over gRPC through these entries (`host:port`); `first` is the one to begin with.
    /// It connects when [`OrderSession::next`] is awaited.
    ///
    /// # Errors
    /// [`AddressError`] for an entry that is no address, or an empty list.
    pub fn new(
        options: SessionOptions,
        entries: &[String],
        first: usize,
    ) -> Result<Self, AddressError> {
        Self::over(options, entries, first, |endpoint| {
            Entry::Grpc(Box::new(endpoint))
        })
    }

    /// The same over the binary protocol: the entries are replicas' binary doors.
    ///
    /// # Errors
    /// As [`OrderSession::new`].
    pub fn binary(
        options: SessionOptions,
        entries: &[String],
        first: usize,
    ) -> Result<Self, AddressError> {
        Self::over(options, entries, first, |_| Entry::Binary)
    }

    fn over(
        options: SessionOptions,
        entries: &[String],
        first: usize,
        entry: impl Fn(Endpoint) -> Entry,
    ) -> Result<Self, AddressError> {
        if entries.is_empty() {
            return Err(AddressError {
                address: String::new(),
                detail: "no entry is given".to_owned(),
            });
        }
        let entries: Result<Vec<_>, _> = entries
            .iter()
            .map(|address| Ok((address.clone(), entry(endpoint(address)?))))
            .collect();
        let entries = entries?;
        Ok(Self {
            // All that is open, and the logon.
            outgoing_max: options.in_flight_max + 1,
            state: State::new(options, entries.len(), first),
            entries,
            started: Instant::now(),
            socket: Socket::None,
            events: VecDeque::new(),
        })
    }

    /// Says in each logon which shard the session is of, for entries in front of several.
    #[must_use]
    pub fn of_shard(mut self, shard: ShardId) -> Self {
        self.state = self.state.of_shard(shard);
        self
    }

    /// Goes on after a message that an earlier process took: only later ones are replayed.
    #[must_use]
    pub fn resume_after(mut self, last_out_seq: OutSeq) -> Self {
        self.state = self.state.resume_after(last_out_seq);
        self
    }

    /// The number that the next [`OrderSession::submit`] takes, to be written down before.
    ///
    /// # Errors
    /// As [`OrderSession::submit`] would.
    pub fn next_client_seq(&self) -> Result<ClientSeq, SubmitError> {
        self.state.next_client_seq()
    }

    /// Numbers a request and sends it, now or after the next logon. Never waits.
    ///
    /// # Errors
    /// [`SubmitError`]: nothing was numbered or sent.
    pub fn submit(&mut self, request: Request) -> Result<ClientSeq, SubmitError> {
        let mut effects = Vec::new();
        let now_ms = self.now_ms();
        let client_seq = self.state.submit(request, now_ms, &mut effects)?;
        self.perform(effects);
        Ok(client_seq)
    }

    /// What happens next. Ends with [`Event::Ended`] only; after that it never returns.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let input = self.next_input().await;
            let mut effects = Vec::new();
            let now_ms = self.now_ms();
            self.state.update(input, now_ms, &mut effects);
            self.perform(effects);
        }
    }

    async fn next_input(&mut self) -> Input {
        let due = self.state.deadline_ms();
        let due = due.map(|ms| self.started + Duration::from_millis(ms));
        let tick = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            input = socket_input(&mut self.socket) => input,
            () = tick => Input::Tick,
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Connect { entry, logon } => {
                    self.socket = Socket::Connecting(match &self.entries[entry] {
                        (_, Entry::Grpc(endpoint)) => {
                            Box::pin(connect(Endpoint::clone(endpoint), logon, self.outgoing_max))
                        }
                        (address, Entry::Binary) => {
                            Box::pin(connect_binary(address.clone(), logon))
                        }
                    });
                }
                Effect::Disconnect => self.socket = Socket::None,
                Effect::Send(message) => {
                    if let Socket::Open(connection) = &mut self.socket
                        && let Err(error) = connection.send(message)
                    {
                        tracing::debug!(%error, "a request waits for the next logon");
                    }
                }
                Effect::Tell(event) => self.events.push_back(event),
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Requests without an answer, oldest first.
    pub fn open_requests(&self) -> impl Iterator<Item = ClientSeq> + '_ {
        self.state.open_requests()
    }

    /// How many requests have no answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.in_flight()
    }

    /// The highest epoch heard.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.state.epoch()
    }

    /// The entry in use or tried, `host:port`.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entries[self.state.entry()].0
    }

    /// Whether the session is open at this moment.
    #[must_use]
    pub fn is_logged_on(&self) -> bool {
        self.state.is_logged_on()
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state.counters()
    }
}

async fn socket_input(socket: &mut Socket) -> Input {
    match socket {
        Socket::None => std::future::pending().await,
        Socket::Connecting(connecting) => match connecting.await {
            Ok(connection) => {
                *socket = Socket::Open(Box::new(connection));
                Input::Connected
            }
            Err(reason) => {
                *socket = Socket::None;
                Input::Broken { reason }
            }
        },
        Socket::Open(connection) => connection.next().await,
    }
}

async fn connect_binary(address: String, logon: ClientMessage) -> Result<Connection, String> {
    let connection = BinaryConnection::connect(&address, &logon).await?;
    Ok(Connection::Binary(connection))
}

async fn connect(
    endpoint: Endpoint,
    logon: ClientMessage,
    outgoing_max: usize,
) -> Result<Connection, String> {
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| with_causes(&error))?;
    let (outgoing, requests) = mpsc::channel(outgoing_max);
    outgoing
        .try_send(logon)
        .map_err(|error| error.to_string())?;
    let stream = OrderEntryClient::new(channel)
        .trade(ReceiverStream::new(requests))
        .await
        .map_err(|status| format!("{}: {}", status.code(), status.message()))?;
    Ok(Connection::Grpc {
        outgoing,
        incoming: stream.into_inner(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Timing;
    use protocol::order::order_entry_server::{OrderEntry, OrderEntryServer};
    use protocol::order::{LogonAck, Report, server_message};
    use protocol::order_entry::{self, Inbound};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request as Call, Response, Status};
    use types::{AccountId, ClOrdId, SessionId};

    /// Answers each request; its first stream breaks at the first request, unanswered.
    #[derive(Clone, Default)]
    struct Core {
        streams: Arc<AtomicU64>,
    }

    fn said(body: server_message::Body) -> Result<ServerMessage, Status> {
        Ok(order_entry::server_message(Epoch(1), body))
    }

    fn answer(inbound: &Inbound) -> Result<ServerMessage, Status> {
        match inbound {
            Inbound::Logon(logon) => said(server_message::Body::LogonAck(LogonAck {
                session: logon.session.0,
                next_client_seq: 1,
                next_out_seq: 1,
                replay: Vec::new(),
                replay_missing: 0,
            })),
            Inbound::Request { client_seq, .. } => said(server_message::Body::Report(Report {
                out_seq: client_seq.0,
                in_reply_to: client_seq.0,
                log_seq: 1,
                epoch: 1,
                possible_duplicate: false,
                body: None,
            })),
            Inbound::Heartbeat { .. } => Ok(order_entry::heartbeat(Epoch(1), types::UnixMicros(1))),
        }
    }

    #[tonic::async_trait]
    impl OrderEntry for Core {
        type TradeStream = ReceiverStream<Result<ServerMessage, Status>>;

        async fn trade(
            &self,
            call: Call<Streaming<ClientMessage>>,
        ) -> Result<Response<Self::TradeStream>, Status> {
            let first = self.streams.fetch_add(1, Ordering::SeqCst) == 0;
            let mut requests = call.into_inner();
            let (told, answers) = mpsc::channel(16);
            tokio::spawn(async move {
                while let Ok(Some(message)) = requests.message().await {
                    let inbound = order_entry::read(&message).unwrap();
                    if first && matches!(inbound, Inbound::Request { .. }) {
                        let gone = Status::unavailable("the leader changed");
                        told.send(Err(gone)).await.unwrap();
                        return;
                    }
                    told.send(answer(&inbound)).await.unwrap();
                }
            });
            Ok(Response::new(ReceiverStream::new(answers)))
        }
    }

    async fn serve(core: Core) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tonic::transport::Server::builder()
            .add_service(OrderEntryServer::new(core))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        address
    }

    #[tokio::test]
    async fn a_request_is_answered_through_another_entry_after_its_own_broke() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = nobody.local_addr().unwrap().to_string();
        drop(nobody);
        let core = Core::default();
        let entries = [dead, serve(core.clone()).await];
        let options = SessionOptions {
            session: SessionId(7),
            account: AccountId(9),
            in_flight_max: 4,
            seed: 1,
            timing: Timing::default(),
        };
        let mut session = OrderSession::new(options, &entries, 0).unwrap();
        let run = async {
            let mut lost = 0;
            let mut submitted = false;
            loop {
                match session.next().await {
                    Event::LoggedOn { .. } if !submitted => {
                        let original = ClOrdId::new("A").unwrap();
                        session.submit(Request::Status { original }).unwrap();
                        submitted = true;
                    }
                    Event::EntryLost { .. } => lost += 1,
                    Event::Report { answers, .. } => return (answers, lost),
                    _ => {}
                }
            }
        };
        let run = tokio::time::timeout(Duration::from_secs(20), run);
        let (answers, lost) = run.await.unwrap();
        assert_eq!(answers, Some(ClientSeq(1)));
        // The dead entry, the broken stream, and the dead entry again.
        assert_eq!(lost, 3);
        assert_eq!(core.streams.load(Ordering::SeqCst), 2);
        assert_eq!(session.in_flight(), 0);
    }

    #[test]
    fn a_session_without_an_entry_is_refused() {
        let options = SessionOptions {
            session: SessionId(7),
            account: AccountId(9),
            in_flight_max: 4,
            seed: 1,
            timing: Timing::default(),
        };
        assert!(OrderSession::new(options, &[], 0).is_err());
    }
}
