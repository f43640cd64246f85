//! Order entry: clients' streams in, commands to the core, answers out.

use crate::clock::now;
use crate::core::{Input, Published, Submission};
use crate::routes::{ReplyTo, Stream};
use protocol::order::order_entry_server::OrderEntry;
use protocol::order::{ClientMessage, ServerMessage};
use protocol::order_entry::{self, Inbound, Logon};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use types::{ClientCommand, Command, Epoch, SessionId, ShardId};

/// Messages to one client that may wait; more than one replay holds.
const OUTBOUND_MAX: usize = 16_384;
/// Streams at once.
const STREAMS_MAX: usize = 20_000;
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
/// A stream must log on within this time.
const LOGON_TIMEOUT: Duration = Duration::from_secs(5);
/// The core publishes every 100 ms; when it has not for so long, it is stuck, and saying that all is
/// well would be a lie.
const STATUS_AGE_US_MAX: u64 = 500_000;

/// The service.
pub struct Orders {
    submissions: mpsc::Sender<Submission>,
    inputs: mpsc::Sender<Input>,
    published: watch::Receiver<Published>,
    streams: Arc<Semaphore>,
    connections: AtomicU64,
    shard: ShardId,
}

impl Orders {
    /// A service in front of a shard's core.
    #[must_use]
    pub fn new(
        submissions: mpsc::Sender<Submission>,
        inputs: mpsc::Sender<Input>,
        published: watch::Receiver<Published>,
        shard: ShardId,
    ) -> Self {
        Self {
            shard,
            submissions,
            inputs,
            published,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            connections: AtomicU64::new(0),
        }
    }
}

#[tonic::async_trait]
impl OrderEntry for Orders {
    type TradeStream = ReceiverStream<Result<ServerMessage, Status>>;

    async fn trade(
        &self,
        request: Request<Streaming<ClientMessage>>,
    ) -> Result<Response<Self::TradeStream>, Status> {
        {
            let shown = self.published.borrow();
            if !shown.status.serving {
                return Err(not_serving(&shown));
            }
        }
        let place = self.streams.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{STREAMS_MAX} streams are open already"))
        })?;
        let (sender, receiver) = mpsc::channel(OUTBOUND_MAX);
        let session = Session {
            stream: Stream {
                connection: self.connections.fetch_add(1, Ordering::Relaxed),
                sender,
                end: CancellationToken::new(),
            },
            submissions: self.submissions.clone(),
            inputs: self.inputs.clone(),
            published: self.published.clone(),
            shard: self.shard,
            _place: place,
        };
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

fn not_serving(shown: &Published) -> Status {
    let leader = shown.status.leader;
    Status::unavailable(match leader.0 {
        0 => "no leader is known: try again".to_owned(),
        _ => format!("this replica does not serve: the leader is replica {leader}"),
    })
}

/// One client's stream.
struct Session {
    stream: Stream,
    submissions: mpsc::Sender<Submission>,
    inputs: mpsc::Sender<Input>,
    published: watch::Receiver<Published>,
    shard: ShardId,
    _place: OwnedSemaphorePermit,
}

impl Session {
    async fn run(self, mut inbound: Streaming<ClientMessage>) {
        let end = self.stream.end.clone();
        let ended = tokio::select! {
            () = end.cancelled() => Status::unavailable(
                "this replica no longer serves this session: connect again and log on",
            ),
            ended = self.serve(&mut inbound) => ended,
        };
        if ended.code() != tonic::Code::Ok {
            // When the client does not read, it learns of the end by the end.
            let _ = self.stream.sender.try_send(Err(ended));
        }
        let _ = self
            .inputs
            .send(Input::StreamEnded(self.stream.connection))
            .await;
    }

    async fn serve(&self, inbound: &mut Streaming<ClientMessage>) -> Status {
        let first = match timeout(LOGON_TIMEOUT, inbound.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => return Status::ok(""),
            Ok(Err(error)) => return error,
            Err(_) => return Status::deadline_exceeded("no logon came within 5 s"),
        };
        match order_entry::shard_asked_for(&first) {
            Ok(Some(shard)) if shard != self.shard => return self.refuse_shard(shard),
            Ok(_) => {}
            Err(bad) => return Status::invalid_argument(bad.to_string()),
        }
        let session = match order_entry::read(&first) {
            Ok(Inbound::Logon(logon)) => match self.log_on(logon).await {
                Ok(()) => logon.session,
                Err(ended) => return ended,
            },
            Ok(_) => return Status::failed_precondition("the first message must be a logon"),
            Err(bad) => return Status::invalid_argument(bad.to_string()),
        };
        let mut beat = interval(HEARTBEAT_INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(message)) => if let Err(ended) = self.request(session, &message).await {
                        return ended;
                    },
                    Ok(None) => return Status::ok(""),
                    Err(error) => return error,
                },
                _ = beat.tick() => if let Err(ended) = self.heartbeat() {
                    return ended;
                }
            }
        }
    }

    fn refuse_shard(&self, asked: ShardId) -> Status {
        let text = format!(
            "shard {asked} is not served here: this is shard {}; check the entries",
            self.shard
        );
        match self.send(order_entry::wrong_shard(self.epoch(), text)) {
            Ok(()) => Status::ok(""),
            Err(ended) => ended,
        }
    }

    /// Waits for the logon's answer: what comes behind a refused one must not reach the log.
    async fn log_on(&self, logon: Logon) -> Result<(), Status> {
        let (sender, receiver) = oneshot::channel();
        let command = Command::Logon(logon);
        self.submit(command, ReplyTo::Logon(self.stream.clone(), sender))
            .await?;
        match receiver.await {
            Ok(true) => Ok(()),
            // The reject itself is on the stream already.
            Ok(false) => Err(Status::ok("")),
            Err(_) => Err(not_serving(&self.published.borrow())),
        }
    }

    async fn request(&self, session: SessionId, message: &ClientMessage) -> Result<(), Status> {
        match order_entry::read(message) {
            Ok(Inbound::Request {
                client_seq,
                request,
            }) => {
                let command = Command::Client(ClientCommand {
                    session,
                    client_seq,
                    request,
                });
                self.submit(command, ReplyTo::Request(self.stream.clone()))
                    .await
            }
            Ok(Inbound::Heartbeat { .. }) => Ok(()),
            Ok(Inbound::Logon(_)) => Err(Status::failed_precondition(
                "this stream has logged on: open another for another session",
            )),
            Err(bad) => {
                let told = order_entry::bad_request(self.epoch(), message.client_seq, &bad);
                self.send(told)
            }
        }
    }

    async fn submit(&self, command: Command, reply_to: ReplyTo) -> Result<(), Status> {
        // Waits while the core is busy, so that the client is slowed down, not refused.
        let submission = Submission { command, reply_to };
        let sent = self.submissions.send(submission).await;
        sent.map_err(|_| Status::unavailable("this replica stops"))
    }

    fn heartbeat(&self) -> Result<(), Status> {
        let (serving, age_us, epoch) = {
            let shown = self.published.borrow();
            let age_us = now().0.saturating_sub(shown.status.now.0);
            (shown.status.serving, age_us, shown.status.epoch)
        };
        if !serving {
            return Err(not_serving(&self.published.borrow()));
        }
        if age_us > STATUS_AGE_US_MAX {
            return Ok(());
        }
        self.send(order_entry::heartbeat(epoch, now()))
    }

    fn send(&self, message: ServerMessage) -> Result<(), Status> {
        let sent = self.stream.sender.try_send(Ok(message));
        sent.map_err(|_| Status::resource_exhausted("the client does not read"))
    }

    fn epoch(&self) -> Epoch {
        self.published.borrow().status.epoch
    }
}
