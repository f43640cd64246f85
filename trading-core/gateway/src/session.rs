//! One client's stream, carried to the leader and back.
//!
//! ```text
//!   client ──► in flight + 1 ──► leader
//!   client ◄── in flight - 1 ◄── leader     ends when: the leader changes or falls silent,
//!                                           either side ends, a bound is reached, we stop
//! ```

use crate::config::Limits;
use crate::leader::{Link, View};
use crate::metrics::{Ended, Metrics};
use crate::shards::Shards;
use crate::watch::SILENCE_MS_MAX;
use protocol::order::order_entry_client::OrderEntryClient;
use protocol::order::server_message::Body;
use protocol::order::{ClientMessage, ServerMessage};
use protocol::order_entry::{shard_asked_for, wrong_shard};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use types::{Epoch, ShardId};

/// How long a new stream waits for a leader: a client that waits here is carried as soon as there is
/// one, and one that has another entry is sent there before it gives this one up.
const LEADER_WAIT: Duration = Duration::from_millis(500);
/// A stream that does not say within this time which shard it is for is ended.
const LOGON_WAIT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(SILENCE_MS_MAX);
/// Heartbeats and a logon beside the requests in flight.
const OTHER_MESSAGES_MAX: usize = 64;
/// Messages to a client that may wait; the core keeps 4,096 for replay.
pub(crate) const OUTBOUND_MAX: usize = 8_192;

/// How a stream ended.
struct End {
    reason: Ended,
    status: Status,
}

fn end(reason: Ended, status: Status) -> End {
    End { reason, status }
}

/// Requests that the leader has not answered.
#[derive(Debug, Default)]
struct InFlight {
    open: BTreeSet<u64>,
}

impl InFlight {
    /// False when the bound is reached.
    fn sent(&mut self, message: &ClientMessage, max: usize) -> bool {
        if message.client_seq == 0 || self.open.contains(&message.client_seq) {
            return true;
        }
        if self.open.len() >= max {
            return false;
        }
        self.open.insert(message.client_seq)
    }

    fn said(&mut self, message: &ServerMessage) {
        let answered = match &message.body {
            Some(Body::Report(report)) => report.in_reply_to,
            Some(Body::SequenceGap(gap)) => gap.received,
            Some(Body::BadRequest(bad)) => bad.client_seq,
            _ => return,
        };
        self.open.remove(&answered);
    }
}

/// A client's stream.
pub(crate) struct Session {
    pub limits: Limits,
    pub shards: Arc<Shards>,
    pub metrics: Arc<Metrics>,
    pub to_client: mpsc::Sender<Result<ServerMessage, Status>>,
    pub stop: CancellationToken,
    pub place: OwnedSemaphorePermit,
}

impl Session {
    pub(crate) async fn run(self, mut from_client: Streaming<ClientMessage>) {
        self.metrics.sessions.inc();
        let stop = self.stop.clone();
        let ended = tokio::select! {
            () = stop.cancelled() => end(
                Ended::Stopping,
                Status::unavailable("this gateway stops: connect to another entry"),
            ),
            ended = self.carry(&mut from_client) => ended,
        };
        self.metrics.sessions.dec();
        self.metrics.count_end(ended.reason);
        if ended.status.code() != tonic::Code::Ok {
            tracing::debug!(status = %ended.status, "stream ended");
            // When the client does not read, it learns of the end by the end.
            let _ = self.to_client.try_send(Err(ended.status));
        }
        drop(self.place);
    }

    /// Which shard the stream is for, and its first message where that had to be read for it.
    async fn place(
        &self,
        from_client: &mut Streaming<ClientMessage>,
    ) -> Result<(ShardId, Option<ClientMessage>), End> {
        if let Some(only) = self.shards.only() {
            return Ok((only, None));
        }
        let first = match timeout(LOGON_WAIT, from_client.message()).await {
            Ok(Ok(Some(first))) => first,
            Ok(Ok(None)) => return Err(end(Ended::ByClient, Status::ok(""))),
            Ok(Err(status)) => return Err(end(Ended::ClientLost, status)),
            Err(_) => {
                let status = Status::deadline_exceeded("no logon came within 5 s");
                return Err(end(Ended::Unrouted, status));
            }
        };
        let asked = shard_asked_for(&first)
            .map_err(|bad| end(Ended::Unrouted, Status::invalid_argument(bad.to_string())))?;
        match self.shards.route(asked) {
            Ok(shard) => Ok((shard, Some(first))),
            Err(text) => {
                // A new stream's queue has room.
                let _ = self.to_client.try_send(Ok(wrong_shard(Epoch(0), text)));
                Err(end(Ended::Unrouted, Status::ok("")))
            }
        }
    }

    async fn carry(&self, from_client: &mut Streaming<ClientMessage>) -> End {
        let (shard, first) = match self.place(from_client).await {
            Ok(placed) => placed,
            Err(ended) => return ended,
        };
        let stops = || end(Ended::Stopping, Status::unavailable("this gateway stops"));
        let Some(mut view) = self.shards.view(shard).cloned() else {
            return stops();
        };
        match timeout(LEADER_WAIT, leader(&mut view)).await {
            Ok(Some(link)) => self.carry_to(shard, link, view, from_client, first).await,
            Ok(None) => stops(),
            Err(_) => {
                let status = Status::unavailable("no leader is known here: try another entry");
                end(Ended::NoLeader, status)
            }
        }
    }

    /// Carries the stream between the client and this leader until either ends.
    async fn carry_to(
        &self,
        shard: ShardId,
        link: Link<Channel>,
        mut view: watch::Receiver<View<Channel>>,
        from_client: &mut Streaming<ClientMessage>,
        first: Option<ClientMessage>,
    ) -> End {
        let places = self.limits.in_flight_per_session_max + OTHER_MESSAGES_MAX;
        let (to_leader, requests) = mpsc::channel(places);
        let mut client = OrderEntryClient::new(link.channel.clone());
        let opened = client.trade(ReceiverStream::new(requests));
        let mut from_leader = match timeout(SILENCE, opened).await {
            Ok(Ok(stream)) => stream.into_inner(),
            Ok(Err(status)) => return end(Ended::ByLeader, from_afar(&status)),
            Err(_) => return silent(&link),
        };
        let mut carried = Carried {
            shard,
            epoch: link.epoch,
            in_flight: InFlight::default(),
            to_leader,
        };
        if let Some(Err(ended)) = first.map(|first| self.asked(first, &mut carried)) {
            return ended;
        }
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                () = changed(&mut view, &link) => {
                    let status = Status::unavailable("the leader changed: connect again");
                    return end(Ended::LeaderChanged, status);
                }
                () = sleep_until(heard + SILENCE) => return silent(&link),
                said = from_leader.message() => {
                    let said = match said {
                        Ok(Some(said)) => said,
                        Ok(None) => {
                            let status = Status::unavailable("the leader ended the stream");
                            return end(Ended::ByLeader, status);
                        }
                        Err(status) => return end(Ended::ByLeader, from_afar(&status)),
                    };
                    heard = Instant::now();
                    carried.epoch = carried.epoch.max(Epoch(said.epoch));
                    carried.in_flight.said(&said);
                    self.metrics.messages.inc();
                    if let Err(ended) = self.tell(said) {
                        return ended;
                    }
                }
                asked = from_client.message() => {
                    let asked = match asked {
                        Ok(Some(asked)) => asked,
                        Ok(None) => return end(Ended::ByClient, Status::ok("")),
                        Err(status) => return end(Ended::ClientLost, status),
                    };
                    if let Err(ended) = self.asked(asked, &mut carried) {
                        return ended;
                    }
                }
            }
        }
    }

    /// Carries a client's message on, or answers it where it cannot go.
    fn asked(&self, asked: ClientMessage, carried: &mut Carried) -> Result<(), End> {
        if let Some(bad) = self.shards.misplaced(carried.shard, &asked) {
            self.metrics.misplaced.inc();
            return self.tell(ServerMessage {
                epoch: carried.epoch.0,
                body: Some(Body::BadRequest(bad)),
            });
        }
        let max = self.limits.in_flight_per_session_max;
        if !carried.in_flight.sent(&asked, max) || carried.to_leader.try_send(asked).is_err() {
            let text = format!("{max} requests are in flight: wait for answers");
            return Err(end(Ended::Limit, Status::resource_exhausted(text)));
        }
        self.metrics.requests.inc();
        Ok(())
    }

    fn tell(&self, said: ServerMessage) -> Result<(), End> {
        self.to_client.try_send(Ok(said)).map_err(|_| {
            let text = format!("{OUTBOUND_MAX} messages wait: the client does not read");
            end(Ended::Limit, Status::resource_exhausted(text))
        })
    }
}

/// A stream on its way to a leader.
struct Carried {
    shard: ShardId,
    /// The highest epoch heard.
    epoch: Epoch,
    in_flight: InFlight,
    to_leader: mpsc::Sender<ClientMessage>,
}

fn silent(link: &Link<Channel>) -> End {
    let status = Status::unavailable(format!(
        "leader {} said nothing for {SILENCE_MS_MAX} ms: try another entry",
        link.replica
    ));
    end(Ended::LeaderSilent, status)
}

/// The leader's own words; a broken connection to it is no fault of the client's.
fn from_afar(status: &Status) -> Status {
    use tonic::Code;
    match status.code() {
        Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded => {
            Status::unavailable(format!("the leader was lost: {}", status.message()))
        }
        code => Status::new(code, status.message()),
    }
}

/// Waits for a leader; `None` when nobody follows the replicas any more.
async fn leader(view: &mut watch::Receiver<View<Channel>>) -> Option<Link<Channel>> {
    let found = view.wait_for(|view| view.leader().is_some()).await;
    found.ok()?.leader()
}

/// Waits until another link leads, or none.
async fn changed(view: &mut watch::Receiver<View<Channel>>, link: &Link<Channel>) {
    // An error means that the gateway ends: so does the link.
    let _ = view
        .wait_for(|view| view.leader().as_ref() != Some(link))
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::order::{BadRequest, Report, SequenceGap};

    fn asked(client_seq: u64) -> ClientMessage {
        ClientMessage {
            client_seq,
            body: None,
        }
    }

    fn said(body: Body) -> ServerMessage {
        ServerMessage {
            epoch: 1,
            body: Some(body),
        }
    }

    #[test]
    fn requests_in_flight_are_bounded_and_answers_make_room() {
        let mut in_flight = InFlight::default();
        assert!(in_flight.sent(&asked(1), 2) && in_flight.sent(&asked(2), 2));
        assert!(
            in_flight.sent(&asked(2), 2),
            "sent again, it takes no place"
        );
        assert!(in_flight.sent(&asked(0), 2), "a heartbeat takes no place");
        assert!(!in_flight.sent(&asked(3), 2));
        let answers = [
            Body::Report(Report {
                in_reply_to: 1,
                ..Report::default()
            }),
            Body::SequenceGap(SequenceGap {
                received: 3,
                expected: 2,
            }),
            Body::BadRequest(BadRequest {
                client_seq: 4,
                ..BadRequest::default()
            }),
        ];
        for (body, next) in answers.into_iter().zip([3, 4, 5]) {
            in_flight.said(&said(body));
            assert!(in_flight.sent(&asked(next), 2), "{next}");
        }
        assert!(!in_flight.sent(&asked(6), 2));
    }

    #[test]
    fn a_lost_leader_is_unavailable_and_its_own_refusals_stay_as_they_are() {
        let lost = from_afar(&Status::internal("h2 protocol error"));
        assert_eq!(lost.code(), tonic::Code::Unavailable);
        let refused = from_afar(&Status::failed_precondition("log on first"));
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        assert_eq!(refused.message(), "log on first");
    }
}
