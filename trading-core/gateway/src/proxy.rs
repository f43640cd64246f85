//! One client's stream, passed on to the leader and back.

use crate::config::Limits;
use crate::leader::{Leader, Leaders};
use crate::meters::{End, Meters};
use protocol::order::order_entry_client::OrderEntryClient;
use protocol::order::order_entry_server::OrderEntry;
use protocol::order::{ClientMessage, ServerMessage};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// A client that arrives during a failover waits so long for the next leader: shorter than it would
/// take it to come back.
const LEADER_WAIT: Duration = Duration::from_secs(1);
/// The leader speaks each 200 ms; silent for so long it counts as gone.
const LEADER_SILENCE: Duration = Duration::from_millis(700);
/// Opening a stream to the leader may take this long.
const OPEN_TIMEOUT: Duration = Duration::from_millis(700);
/// Messages to a client that may wait.
const OUTBOUND_MAX: usize = 16_384;

pub(crate) struct Proxy {
    limits: Limits,
    leaders: Leaders,
    meters: Arc<Meters>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Proxy {
    pub(crate) fn new(
        limits: Limits,
        leaders: Leaders,
        meters: Arc<Meters>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.sessions_max)),
            limits,
            leaders,
            meters,
            stop,
        }
    }

    async fn leader(&self) -> Result<Arc<Leader>, Status> {
        let refused = |reason, text: &str| {
            self.meters.refused.with_label_values(&[reason]).inc();
            Err(Status::unavailable(text.to_owned()))
        };
        tokio::select! {
            found = timeout(LEADER_WAIT, self.leaders.any()) => match found {
                Ok(Some(leader)) => Ok(leader),
                _ => refused("no_leader", "no leader is known: try again"),
            },
            () = self.stop.cancelled() => refused("stopping", "this gateway stops: use another"),
        }
    }
}

#[tonic::async_trait]
impl OrderEntry for Proxy {
    type TradeStream = ReceiverStream<Result<ServerMessage, Status>>;

    async fn trade(
        &self,
        request: Request<Streaming<ClientMessage>>,
    ) -> Result<Response<Self::TradeStream>, Status> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            self.meters.refused.with_label_values(&["full"]).inc();
            let max = self.limits.sessions_max;
            Status::resource_exhausted(format!("{max} sessions are open already: use another"))
        })?;
        let leader = self.leader().await?;
        let (to_leader, requests) = mpsc::channel(self.limits.in_flight_per_session_max);
        let mut client = OrderEntryClient::new(leader.channel.clone());
        let opening = client.trade(ReceiverStream::new(requests));
        let answers = timeout(OPEN_TIMEOUT, opening)
            .await
            .map_err(|_| Status::unavailable("the leader does not answer: try again"))?
            .map_err(|status| {
                Status::unavailable(format!("the leader refuses: {}", status.message()))
            })?;
        let (to_client, stream) = mpsc::channel(OUTBOUND_MAX);
        let session = Session {
            epoch: leader.epoch,
            leaders: self.leaders.clone(),
            meters: self.meters.clone(),
            stop: self.stop.clone(),
            to_client,
            _place: place,
        };
        tokio::spawn(session.run(request.into_inner(), to_leader, answers.into_inner()));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

struct Session {
    epoch: u64,
    leaders: Leaders,
    meters: Arc<Meters>,
    stop: CancellationToken,
    to_client: mpsc::Sender<Result<ServerMessage, Status>>,
    _place: OwnedSemaphorePermit,
}

impl Session {
    async fn run(
        self,
        inbound: Streaming<ClientMessage>,
        to_leader: mpsc::Sender<ClientMessage>,
        answers: Streaming<ServerMessage>,
    ) {
        self.meters.sessions.inc();
        let (end, status) = tokio::select! {
            ended = self.requests(inbound, to_leader) => ended,
            ended = self.answers(answers) => ended,
            () = self.leaders.changed_from(self.epoch) => (
                End::LeaderChanged,
                Some(Status::unavailable("the leader changed: connect again and log on")),
            ),
            () = self.stop.cancelled() => (
                End::Stopping,
                Some(Status::unavailable("this gateway stops: use another")),
            ),
        };
        if let Some(status) = status {
            // A client that does not read learns of the end by the end.
            let _ = self.to_client.try_send(Err(status));
        }
        self.meters.ended(end);
        self.meters.sessions.dec();
    }

    async fn requests(
        &self,
        mut inbound: Streaming<ClientMessage>,
        to_leader: mpsc::Sender<ClientMessage>,
    ) -> (End, Option<Status>) {
        while let Ok(Some(message)) = inbound.message().await {
            self.meters.requests.inc();
            // Waits while the leader does: the client is slowed down, and nothing is dropped.
            if to_leader.send(message).await.is_err() {
                // How the leader ended the stream, the answers tell.
                std::future::pending::<()>().await;
            }
        }
        (End::ClientGone, None)
    }

    async fn answers(&self, mut answers: Streaming<ServerMessage>) -> (End, Option<Status>) {
        loop {
            let message = match timeout(LEADER_SILENCE, answers.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return (End::LeaderEnded, None),
                Ok(Err(status)) => return (End::LeaderEnded, Some(status)),
                Err(_) => {
                    let status = Status::unavailable("the leader is silent: connect again");
                    return (End::LeaderSilent, Some(status));
                }
            };
            self.meters.answers.inc();
            if self.to_client.try_send(Ok(message)).is_err() {
                let status = Status::resource_exhausted("the client does not read");
                return (End::SlowClient, Some(status));
            }
        }
    }
}
