//! Administration: status, transfer, control records, the log.

use crate::clock::now;
use crate::config::ReplicaConfig;
use crate::core::{Input, Published, Submission};
use crate::log_follower::LogFollowers;
use crate::reported;
use crate::routes::ReplyTo;
use crate::transfers::TransferQuestion;
use crate::transport::LinkMeters;
use journal::{JournalError, read_committed};
use protocol::admin::admin_server::Admin;
use protocol::admin::change_membership_request::Change as Asked;
use protocol::admin::{
    self as wire, ChangeMembershipRequest, ChangeMembershipResponse, ControlRequest,
    ControlResponse, LogChunk, LookUpTransfersRequest, LookUpTransfersResponse, ReadLogRequest,
    ReplicaStatus, StatusRequest, TransferLeaderRequest, TransferLeaderResponse,
    WatchStatusRequest, log_chunk,
};
use protocol::{BadField, administration, membership};
use replica::{Handover, MembershipChange};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use types::{Command, Epoch, LogIndex, ReplicaId};

const WATCH_INTERVAL_MS: u32 = 200;
const TRANSFER_TIMEOUT_MS: u32 = 5_000;
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// The core publishes every 100 ms.
const FRESH_STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// Readers of the log at once: each reads from the disk that the journal writes to.
const LOG_READERS_MAX: usize = 2;
const LOG_CHUNKS_AHEAD: usize = 64;

/// What does not change while the process runs.
pub struct Identity {
    pub(crate) config: ReplicaConfig,
    pub(crate) digest: String,
    pub(crate) started_at_us: u64,
}

impl Identity {
    /// Of a replica that starts now.
    #[must_use]
    pub fn new(config: ReplicaConfig, digest: String) -> Self {
        Self {
            config,
            digest,
            started_at_us: now().0,
        }
    }

    fn data_directory(&self) -> PathBuf {
        self.config.data_directory.clone()
    }
}

/// The service.
#[derive(Clone)]
pub struct Administration {
    identity: Arc<Identity>,
    submissions: mpsc::Sender<Submission>,
    inputs: mpsc::Sender<Input>,
    published: watch::Receiver<Published>,
    links: Arc<BTreeMap<u64, LinkMeters>>,
    log_readers: Arc<Semaphore>,
    log_followers: LogFollowers,
}

impl Administration {
    /// A service in front of a core.
    #[must_use]
    pub fn new(
        identity: Identity,
        submissions: mpsc::Sender<Submission>,
        inputs: mpsc::Sender<Input>,
        published: watch::Receiver<Published>,
        links: Arc<BTreeMap<u64, LinkMeters>>,
        applied: Arc<AtomicU64>,
    ) -> Self {
        Self {
            log_followers: LogFollowers::new(identity.data_directory(), published.clone(), applied),
            identity: Arc::new(identity),
            submissions,
            inputs,
            published,
            links,
            log_readers: Arc::new(Semaphore::new(LOG_READERS_MAX)),
        }
    }

    fn replica_status(&self) -> ReplicaStatus {
        let shown = self.published.borrow().clone();
        let disk_free_bytes = disk_free_bytes(&self.identity.data_directory());
        let mut told = reported::status(&self.identity, &shown);
        told.disk_free_bytes = disk_free_bytes;
        for peer in &mut told.peers {
            if let Some(meters) = self.links.get(&peer.replica) {
                peer.round_trip_us = meters.round_trip_us.load(Ordering::Relaxed);
            }
        }
        told
    }

    fn not_serving(&self) -> Status {
        let leader = self.published.borrow().status.leader;
        Status::unavailable(format!(
            "this replica does not serve: the leader is {}",
            match leader.0 {
                0 => "not known".to_owned(),
                _ => format!("replica {leader}"),
            }
        ))
    }

    /// Waits until the new leader serves, as this replica sees it: an entry of its epoch is applied.
    async fn wait_for_handover(
        &self,
        to: ReplicaId,
        before: Epoch,
        limit: Duration,
    ) -> Result<Handover, Status> {
        let mut published = self.published.clone();
        let over = |shown: &Published| {
            let handover = shown.status.handover.filter(|h| h.epoch > before);
            handover.is_some() && shown.status.leader == to
        };
        let seen = timeout(limit, published.wait_for(over)).await;
        match seen {
            Ok(Ok(shown)) => shown
                .status
                .handover
                .ok_or_else(|| Status::internal("a hand-over that was seen is gone")),
            Ok(Err(_)) => Err(Status::unavailable("this replica stops")),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "replica {to} did not take over within {} ms; replica {} leads",
                limit.as_millis(),
                self.published.borrow().status.leader
            ))),
        }
    }
}

#[tonic::async_trait]
impl Admin for Administration {
    async fn status(
        &self,
        _request: Request<StatusRequest>,
    ) -> Result<Response<ReplicaStatus>, Status> {
        Ok(Response::new(self.replica_status()))
    }

    type WatchStatusStream = ReceiverStream<Result<ReplicaStatus, Status>>;

    async fn watch_status(
        &self,
        request: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let interval_ms = match request.into_inner().interval_ms {
            0 => WATCH_INTERVAL_MS,
            accepted @ 50..=10_000 => accepted,
            other => {
                return Err(Status::invalid_argument(format!(
                    "interval_ms {other} is not accepted: use 50 to 10000, or 0 for 200"
                )));
            }
        };
        let (sender, receiver) = mpsc::channel(4);
        let service = self.clone();
        tokio::spawn(async move {
            let mut published = service.published.clone();
            let mut ticks = interval(Duration::from_millis(interval_ms.into()));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut told = None;
            loop {
                tokio::select! {
                    _ = ticks.tick() => told = None,
                    changed = published.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
                let part = {
                    let shown = published.borrow_and_update();
                    let status = &shown.status;
                    (status.role, status.epoch, status.leader, status.serving)
                };
                if told != Some(part) {
                    told = Some(part);
                    if sender.send(Ok(service.replica_status())).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        let limit_ms = match request.timeout_ms {
            0 => TRANSFER_TIMEOUT_MS,
            accepted @ 100..=60_000 => accepted,
            other => {
                return Err(Status::invalid_argument(format!(
                    "timeout_ms {other} is not accepted: use 100 to 60000, or 0 for 5000"
                )));
            }
        };
        let began = Instant::now();
        let before = self.published.borrow().status.epoch;
        let (reply, begun) = oneshot::channel();
        let input = Input::Transfer {
            to: Some(ReplicaId(request.to)),
            reply,
        };
        self.inputs.send(input).await.map_err(|_| stops())?;
        let to = begun
            .await
            .map_err(|_| stops())?
            .map_err(|refused| Status::failed_precondition(refused.to_string()))?;
        if to.0 == self.identity.config.replica {
            // It leads already: nothing moves, and nobody waits.
            return Ok(Response::new(TransferLeaderResponse {
                leader: to.0,
                epoch: before.0,
                took_us: 0,
                gap_us: 0,
            }));
        }
        let limit = Duration::from_millis(limit_ms.into());
        let handover = self.wait_for_handover(to, before, limit).await?;
        Ok(Response::new(TransferLeaderResponse {
            leader: to.0,
            epoch: handover.epoch.0,
            took_us: began.elapsed().as_micros() as u64,
            gap_us: handover.gap_us,
        }))
    }

    async fn change_membership(
        &self,
        request: Request<ChangeMembershipRequest>,
    ) -> Result<Response<ChangeMembershipResponse>, Status> {
        let change = read_change(&request.into_inner())
            .map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let input = Input::ChangeMembership { change, reply };
        self.inputs.send(input).await.map_err(|_| stops())?;
        let answer = timeout(CONTROL_TIMEOUT, answer).await.map_err(|_| {
            Status::deadline_exceeded("the change was not committed within 5 s; it may be, later")
        })?;
        let answer = answer
            .map_err(|_| stops())?
            .map_err(|refused| Status::failed_precondition(refused.to_string()))?;
        Ok(Response::new(ChangeMembershipResponse {
            epoch: answer.epoch.0,
            log_index: answer.index.0,
        }))
    }

    async fn control(
        &self,
        request: Request<ControlRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        let control = administration::read_control(request.get_ref())
            .map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let (sender, answer) = oneshot::channel();
        let submission = Submission {
            command: Command::Control(control),
            reply_to: ReplyTo::Control(sender),
        };
        self.submissions
            .send(submission)
            .await
            .map_err(|_| stops())?;
        let answer = timeout(CONTROL_TIMEOUT, answer).await.map_err(|_| {
            Status::deadline_exceeded("the record was not committed within 5 s; it may be, later")
        })?;
        let answer = answer.map_err(|_| self.not_serving())?;
        Ok(Response::new(administration::control_response(
            answer.epoch,
            answer.index,
            &answer.outcome,
            answer.standing.as_ref(),
        )))
    }

    async fn look_up_transfers(
        &self,
        request: Request<LookUpTransfersRequest>,
    ) -> Result<Response<LookUpTransfersResponse>, Status> {
        let asked = TransferQuestion::read(request.get_ref())
            .map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let input = Input::LookUpTransfers { asked, reply };
        self.inputs.send(input).await.map_err(|_| stops())?;
        let answer = timeout(FRESH_STATUS_TIMEOUT, answer)
            .await
            .map_err(|_| Status::unavailable("this replica does not turn: ask another"))?;
        let answer = answer.map_err(|_| self.not_serving())?;
        Ok(Response::new(answer.write()))
    }

    type ReadLogStream = ReceiverStream<Result<LogChunk, Status>>;

    async fn read_log(
        &self,
        request: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let request = request.into_inner();
        let from = LogIndex(request.from_index.max(1));
        if request.follow {
            return self.log_followers.follow(from).map(Response::new);
        }
        let place = self.log_readers.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{LOG_READERS_MAX} read the log already: try again"))
        })?;
        let called_at = now();
        let mut published = self.published.clone();
        let (commit, epoch, hash) = {
            // What was answered before the call must be in what is read, so a view from before the
            // call will not do.
            let newer = published.wait_for(|shown| shown.status.now >= called_at);
            let shown = timeout(FRESH_STATUS_TIMEOUT, newer)
                .await
                .map_err(|_| Status::unavailable("this replica does not turn: ask another"))?
                .map_err(|_| stops())?;
            let status = &shown.status;
            // Up to what is applied, so that the hash is the hash of what is read.
            (status.applied_index, status.epoch, status.history_hash)
        };
        let folder = self.identity.data_directory();
        let (sender, receiver) = mpsc::channel(LOG_CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let end = wire::End {
                commit_index: commit.0,
                epoch: epoch.0,
                history_hash: hash.to_vec(),
            };
            if let Err(status) = send_log(&folder, from, commit, &sender) {
                // A reader that has gone needs no reason.
                let _ = sender.blocking_send(Err(status));
                return;
            }
            let _ = sender.blocking_send(Ok(chunk(log_chunk::Body::End(end))));
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

fn read_change(request: &ChangeMembershipRequest) -> Result<MembershipChange, BadField> {
    let replica = membership::read_replica;
    Ok(match &request.change {
        Some(Asked::AddLearner(member)) => {
            MembershipChange::AddLearner(membership::read_newcomer(member)?)
        }
        Some(Asked::Promote(id)) => MembershipChange::Promote(replica("promote", *id)?),
        Some(Asked::Remove(id)) => MembershipChange::Remove(replica("remove", *id)?),
        Some(Asked::Replace(both)) => MembershipChange::Replace {
            old: replica("replace.old", both.old)?,
            new: replica("replace.new", both.new)?,
        },
        None => {
            let text = "it is absent: use add_learner, promote, remove or replace";
            return Err(BadField {
                field: "change",
                text: text.into(),
            });
        }
    })
}

fn send_log(
    folder: &std::path::Path,
    from: LogIndex,
    commit: LogIndex,
    sender: &mpsc::Sender<Result<LogChunk, Status>>,
) -> Result<(), Status> {
    let gone = |_| Status::cancelled("the reader has gone");
    let mut log = read_committed(folder, from, commit).map_err(|error| unreadable(&error))?;
    if let Some(snapshot) = log.take_snapshot() {
        let body = log_chunk::Body::Snapshot(wire::Snapshot {
            index: snapshot.index.0,
            epoch: snapshot.epoch.0,
            state: snapshot.state,
        });
        sender.blocking_send(Ok(chunk(body))).map_err(gone)?;
    }
    for entry in log {
        let entry = entry.map_err(|error| unreadable(&error))?;
        let body = log_chunk::Body::Entry(wire::Entry {
            index: entry.index.0,
            epoch: entry.epoch.0,
            batch: entry.data,
        });
        sender.blocking_send(Ok(chunk(body))).map_err(gone)?;
    }
    Ok(())
}

pub(crate) fn unreadable(error: &JournalError) -> Status {
    match error {
        JournalError::NotKept { .. } => Status::out_of_range(error.to_string()),
        _ => Status::data_loss(error.to_string()),
    }
}

pub(crate) fn chunk(body: log_chunk::Body) -> LogChunk {
    LogChunk { body: Some(body) }
}

fn stops() -> Status {
    Status::unavailable("this replica stops")
}

/// Free bytes for whom the process runs as; 0 when they cannot be read.
fn disk_free_bytes(folder: &std::path::Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
}
