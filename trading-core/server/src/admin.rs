//! Administration: status, transfer, control records, the log.

use crate::clock::now;
use crate::config::ReplicaConfig;
use crate::core::{Input, Published, Submission};
use crate::routes::ReplyTo;
use crate::transport::LinkMeters;
use journal::{JournalError, read_committed};
use protocol::admin::admin_server::Admin;
use protocol::admin::{
    self as wire, ControlRequest, ControlResponse, LogChunk, ReadLogRequest, ReplicaStatus,
    StatusRequest, TransferLeaderRequest, TransferLeaderResponse, WatchStatusRequest, log_chunk,
};
use protocol::administration;
use replica::Role;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
    config: ReplicaConfig,
    digest: String,
    started_at_us: u64,
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

    fn center_of(&self, replica: ReplicaId) -> String {
        let member = self.config.members.iter().find(|m| m.replica == replica.0);
        member.map_or_else(String::new, |m| m.center.to_string())
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
    ) -> Self {
        Self {
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
        let mut told = to_wire(&self.identity, &shown);
        told.disk_free_bytes = disk_free_bytes;
        for peer in &mut told.peers {
            if let Some(meters) = self.links.get(&peer.replica) {
                peer.round_trip_us = meters.round_trip_us.load(Ordering::Relaxed);
            }
        }
        told
    }

    async fn wait_for_leader(&self, to: ReplicaId, limit: Duration) -> Result<Epoch, Status> {
        let mut published = self.published.clone();
        let seen = timeout(limit, published.wait_for(|shown| shown.status.leader == to)).await;
        match seen {
            Ok(Ok(shown)) => Ok(shown.status.epoch),
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
        let limit = Duration::from_millis(limit_ms.into());
        let epoch = self.wait_for_leader(to, limit).await?;
        Ok(Response::new(TransferLeaderResponse {
            leader: to.0,
            epoch: epoch.0,
            took_us: began.elapsed().as_micros() as u64,
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
        let answer = answer.map_err(|_| {
            let leader = self.published.borrow().status.leader;
            Status::unavailable(format!(
                "this replica does not serve: the leader is {}",
                match leader.0 {
                    0 => "not known".to_owned(),
                    _ => format!("replica {leader}"),
                }
            ))
        })?;
        Ok(Response::new(administration::control_response(
            answer.epoch,
            answer.index,
            &answer.outcome,
            answer.standing.as_ref(),
        )))
    }

    type ReadLogStream = ReceiverStream<Result<LogChunk, Status>>;

    async fn read_log(
        &self,
        request: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let place = self.log_readers.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{LOG_READERS_MAX} read the log already: try again"))
        })?;
        let from = LogIndex(request.into_inner().from_index.max(1));
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

fn unreadable(error: &JournalError) -> Status {
    match error {
        JournalError::NotKept { .. } => Status::out_of_range(error.to_string()),
        _ => Status::data_loss(error.to_string()),
    }
}

fn chunk(body: log_chunk::Body) -> LogChunk {
    LogChunk { body: Some(body) }
}

fn stops() -> Status {
    Status::unavailable("this replica stops")
}

/// Free bytes for whom the process runs as; 0 when they cannot be read.
fn disk_free_bytes(folder: &std::path::Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
}

fn to_wire(identity: &Identity, shown: &Published) -> ReplicaStatus {
    let status = &shown.status;
    let counters = &status.counters;
    let config = &identity.config;
    let role = match status.role {
        Role::Follower => wire::Role::Follower,
        Role::PreCandidate => wire::Role::PreCandidate,
        Role::Candidate => wire::Role::Candidate,
        Role::Leader => wire::Role::Leader,
    };
    let latency = shown.commit_latency;
    ReplicaStatus {
        cluster: config.cluster.clone(),
        shard: config.shard.into(),
        replica: config.replica,
        center: config.center.to_string(),
        site: config.site.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        now_us: now().0,
        started_at_us: identity.started_at_us,
        role: role.into(),
        epoch: status.epoch.0,
        leader: status.leader.0,
        serving: status.serving,
        last_index: status.last_index.0,
        commit_index: status.commit_index.0,
        applied_index: status.applied_index.0,
        last_seq: status.last_seq.0,
        history_hash: status.history_hash.to_vec(),
        hash_points: status
            .hash_points
            .iter()
            .map(|point| wire::HashPoint {
                index: point.index.0,
                hash: point.hash.to_vec(),
            })
            .collect(),
        peers: status
            .peers
            .iter()
            .map(|peer| wire::PeerProgress {
                replica: peer.replica.0,
                center: identity.center_of(peer.replica),
                matched_index: peer.matched_index.0,
                lag_entries: peer.lag_entries,
                silent_ms: peer.silent_ms,
                recently_active: peer.silent_ms <= replica::Peer::SILENT_MS_MAX,
                round_trip_us: 0,
            })
            .collect(),
        elections: status
            .elections
            .iter()
            .map(|election| wire::ElectionRecord {
                epoch: election.epoch.0,
                suspected_at_us: election.suspected_at.0,
                campaigned_at_us: election.campaigned_at.0,
                elected_at_us: election.elected_at.0,
                serving_at_us: election.serving_at.0,
                first_order_at_us: election.first_order_at.0,
                previous_leader: election.previous_leader.0,
                planned: election.planned,
            })
            .collect(),
        counters: Some(wire::Counters {
            commands: counters.commands,
            orders_accepted: counters.orders_accepted,
            orders_rejected: counters.orders_rejected,
            trades: counters.trades,
            duplicates: counters.duplicates,
            sequence_gaps: counters.sequence_gaps,
            open_orders: counters.open_orders,
            sessions: counters.sessions,
            accounts: counters.accounts,
            symbols: counters.symbols,
            overflows: status.overflows,
        }),
        commit_latency: Some(wire::Latency {
            count: latency.count,
            p50_us: latency.p50_us,
            p99_us: latency.p99_us,
            max_us: latency.max_us,
        }),
        maintenance: status.maintenance.as_ref().map(administration::maintenance),
        all_voters_in_step: status.all_voters_in_step,
        journal_bytes: shown.journal_bytes,
        disk_free_bytes: 0,
        configuration_digest: identity.digest.clone(),
    }
}
