//! The core thread: one replica, one journal, one loop.
//!
//! ```text
//!        ┌──────────────────────────────────────────────────────────┐
//!        ▼                                                          │
//!   wait for a tick, inputs or commands ─► replica::Driver::turn ─► publish status
//!                                              │      ▲
//!                         journal (sync) ◄─────┴──────┴───► Outside: messages, answers
//! ```
//!
//! The turn itself, which the simulator runs too, is [`replica::Driver`]'s.
//! While the journal syncs, commands gather; the next entry takes them all. So batches form by
//! themselves, larger ones the slower the disk is.

use crate::clock;
use crate::clock::now;
use crate::config::ReplicaConfig;
use crate::door::Outbox;
use crate::metrics::CommitLatency;
use crate::routes::{ControlAnswer, ReplyTo, Routes};
use crate::takeover;
use crate::transfers::{TransferAnswer, TransferQuestion};
use crate::transport::Transport;
use journal::Journal;
use replica::{
    Driver, DriverError, HashPoint, MembershipChange, MembershipError, Message, Outcome, Replica,
    ReplicaError, Shell, SnapshotEnd, SnapshotJob, Status, TransferError,
};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use types::{Command, LogIndex, ReplicaId, UnixMicros};

/// Inputs of peers and administration that may wait.
pub const INPUTS_MAX: usize = 4_096;
/// Commands that may wait outside the replica.
pub const SUBMISSIONS_MAX: usize = 4_096;
/// Taken at once.
const INPUTS_AT_ONCE: usize = 512;
/// How old a published status may get.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

/// What peers and administration bring.
#[derive(Debug)]
pub enum Input {
    /// A peer's message.
    Peer(Box<Message>),
    /// A peer's hash of the state.
    Hash(ReplicaId, HashPoint),
    /// A peer lost its disk and must be sent everything again.
    Rebuild(ReplicaId),
    /// The link to a peer is down.
    Unreachable(ReplicaId),
    /// A snapshot went to a peer, or did not.
    SnapshotSent {
        /// To whom.
        peer: ReplicaId,
        /// Whether it went.
        arrived: bool,
    },
    /// Hand leadership over.
    Transfer {
        /// To whom; to the best follower if left out.
        to: Option<ReplicaId>,
        /// Told whether it has begun, and to whom.
        reply: oneshot::Sender<Result<ReplicaId, TransferError>>,
    },
    /// A snapshot was built, written and verified, or could not be; and what it took.
    Saved(Box<SnapshotEnd>, Duration),
    /// The connection to a peer is lost and cannot be made again: its process is dead, most likely.
    Suspect(ReplicaId),
    /// A peer belongs to a later generation of this group.
    Superseded {
        /// Who.
        by: ReplicaId,
        /// Its generation.
        generation: u64,
    },
    /// Change the membership.
    ChangeMembership {
        /// How.
        change: MembershipChange,
        /// Told why it is refused, or with which entry it took effect.
        reply: oneshot::Sender<Result<ControlAnswer, MembershipError>>,
    },
    /// A client's stream has ended.
    StreamEnded(u64),
    /// Tell what is known of funds between shards.
    LookUpTransfers {
        /// What is asked.
        asked: TransferQuestion,
        /// Told what is applied; dropped where this replica does not serve.
        reply: oneshot::Sender<TransferAnswer>,
    },
}

/// A command and who waits for its answer.
#[derive(Debug)]
pub struct Submission {
    /// The command.
    pub command: Command,
    /// Who waits.
    pub reply_to: ReplyTo,
}

/// What the core shows the rest of the process.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The replica's view.
    pub status: Status,
    /// Time from a batch's forming to its commit, lately.
    pub commit_latency: crate::metrics::Latency,
    /// Bytes of the log on disk.
    pub journal_bytes: u64,
    /// What was committed when the process started has been applied, and a leader is known.
    pub ready: bool,
    /// Sessions connected.
    pub connected: usize,
    /// Streams ended because they did not read.
    pub slow_streams: u64,
    /// Journal syncs, and microseconds spent in them.
    pub syncs: (u64, u64),
    /// What building, writing and verifying the newest snapshot took, beside the core.
    pub snapshot_took_us: u64,
}

/// What the core takes in.
pub struct Receivers {
    /// Peers and administration.
    pub inputs: mpsc::Receiver<Input>,
    /// Commands of gRPC streams and administration.
    pub submissions: mpsc::Receiver<Submission>,
    /// Commands of the binary door, many at once.
    pub batches: mpsc::Receiver<Vec<Submission>>,
}

/// The core.
pub struct Core {
    driver: Driver,
    outside: Outside,
    commit_at_start: u64,
    caught_up: bool,
    is_outside_calendar: bool,
    data_directory: PathBuf,
    group_changed_at: LogIndex,
    snapshot_took: Duration,
    published_at: Instant,
    published: watch::Sender<Published>,
    /// The last entry applied, for who reads the log beside the core.
    applied: Arc<AtomicU64>,
}

/// What the replica's turn touches: sockets, clients, clock, and the snapshot thread.
struct Outside {
    transport: Transport,
    routes: Routes,
    latency: CommitLatency,
    started: Instant,
    own_inputs: mpsc::WeakSender<Input>,
}

impl Core {
    /// Opens the journal and takes up what it holds.
    ///
    /// # Errors
    /// [`DriverError`] when the disk or what it holds cannot be used.
    pub fn open(
        config: &ReplicaConfig,
        mut transport: Transport,
        outbox: Option<Outbox>,
        own_inputs: mpsc::WeakSender<Input>,
        published: watch::Sender<Published>,
    ) -> Result<Self, DriverError> {
        let (journal, recovered) =
            Journal::open_or_set_aside(&config.data_directory, config.journal_options())?;
        if let Some(damage) = &recovered.set_aside {
            tracing::error!(
                damage,
                "the log was damaged and is set aside: the peers give it again"
            );
        }
        tracing::info!(
            entries = recovered.entries.len(),
            last_index = recovered.last_index().0,
            commit = recovered.hard_state.commit.0,
            epoch = recovered.hard_state.epoch.0,
            snapshot = recovered.snapshot.as_ref().map_or(0, |s| s.index.0),
            torn_bytes = recovered.torn_bytes,
            "journal opened"
        );
        let commit_at_start = recovered.hard_state.commit.0;
        let mut group = config.group(clock::draw());
        group.joins |= takeover::joins(&config.data_directory);
        let mut driver = Driver::new(group, journal, recovered, now())?;
        if config.touch_tables {
            driver.replica_mut().touch_tables();
        }
        let generation = driver.replica().generation();
        transport.belong_to(generation);
        transport.reach(&driver.replica().state().group().members);
        Ok(Self {
            driver,
            is_outside_calendar: false,
            data_directory: config.data_directory.clone(),
            group_changed_at: LogIndex(0),
            outside: Outside {
                transport,
                routes: Routes::with_door(outbox),
                latency: CommitLatency::default(),
                started: Instant::now(),
                own_inputs,
            },
            commit_at_start,
            caught_up: false,
            snapshot_took: Duration::ZERO,
            published_at: Instant::now(),
            published,
            applied: Arc::default(),
        })
    }

    /// The index of the last entry applied, brought up to date each turn.
    #[must_use]
    pub fn applied(&self) -> Arc<AtomicU64> {
        self.applied.clone()
    }

    /// Runs until the inputs end.
    ///
    /// # Errors
    /// [`DriverError`] after which the process must end.
    pub async fn run(mut self, tick: Duration, receivers: Receivers) -> Result<(), DriverError> {
        let Receivers {
            mut inputs,
            mut submissions,
            mut batches,
        } = receivers;
        let mut ticks = interval(tick);
        // After a stall of its own a replica must not count the lost time against its leader.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::with_capacity(INPUTS_AT_ONCE);
        let mut commands = Vec::with_capacity(INPUTS_AT_ONCE);
        // The rest of a batch for which there was no room.
        let mut rest = VecDeque::new();
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.driver.replica_mut().tick(now()),
                count = inputs.recv_many(&mut taken, INPUTS_AT_ONCE) => {
                    if count == 0 {
                        return Ok(());
                    }
                    for input in taken.drain(..) {
                        self.input(input)?;
                    }
                }
                count = submissions.recv_many(&mut commands, INPUTS_AT_ONCE),
                    if self.driver.takes_commands() =>
                {
                    if count == 0 {
                        return Ok(());
                    }
                    for submission in commands.drain(..) {
                        self.submit(submission);
                    }
                }
                Some(batch) = batches.recv(), if rest.is_empty() => rest = batch.into(),
            }
            // All that is there goes into this turn, whatever woke it.
            while self.driver.takes_commands() {
                if let Some(submission) = rest.pop_front() {
                    self.submit(submission);
                } else if let Ok(batch) = batches.try_recv() {
                    rest = batch.into();
                } else {
                    break;
                }
            }
            // Whoever was turned away is told at once.
            self.outside.routes.flush();
            self.turn()?;
        }
    }

    fn input(&mut self, input: Input) -> Result<(), DriverError> {
        let replica = self.driver.replica_mut();
        match input {
            Input::Peer(message) => replica.receive(*message, now())?,
            Input::Hash(peer, point) => replica.compare(peer, point)?,
            Input::Rebuild(peer) => {
                tracing::warn!(%peer, "a peer lost its disk: sending it everything again");
                replica.rebuild(peer);
            }
            Input::Unreachable(peer) => replica.unreachable(peer),
            Input::SnapshotSent { peer, arrived } => replica.snapshot_sent(peer, arrived),
            Input::Transfer { to, reply } => {
                let begun = self.transfer(to);
                // Whoever asked sees the outcome in the status, too.
                let _ = reply.send(begun);
            }
            Input::Saved(ended, took) => self.snapshot_ended(*ended, took)?,
            Input::Suspect(peer) => {
                tracing::info!(%peer, "a peer's process refuses connections: it has died, most likely");
                replica.suspect(peer);
            }
            Input::Superseded { by, generation } => self.superseded(by, generation)?,
            Input::ChangeMembership { change, reply } => self.change_membership(change, reply),
            Input::LookUpTransfers { asked, reply } => {
                if replica.serving() {
                    let answer = asked.answer(replica.epoch(), replica.state());
                    // Whoever asked may have gone.
                    let _ = reply.send(answer);
                }
            }
            Input::StreamEnded(connection) => {
                for session in self.outside.routes.ended(connection) {
                    // Where it is not taken, this replica does not lead, and who does will say it.
                    let _ = self
                        .driver
                        .replica_mut()
                        .submit(None, Command::Disconnect { session });
                }
            }
        }
        Ok(())
    }

    fn transfer(&mut self, to: Option<ReplicaId>) -> Result<ReplicaId, TransferError> {
        let now = now();
        let replica = self.driver.replica_mut();
        let to = to
            .or_else(|| replica.successor(now))
            .unwrap_or(ReplicaId(0));
        replica.transfer(to, now)?;
        Ok(to)
    }

    fn snapshot_ended(&mut self, ended: SnapshotEnd, took: Duration) -> Result<(), DriverError> {
        let index = ended.task.index.0;
        match &ended.saved {
            Ok(_) => {
                self.snapshot_took = took;
                tracing::info!(index, took_ms = took.as_millis(), "snapshot verified");
            }
            Err(error) => tracing::error!(index, %error, "no snapshot"),
        }
        self.driver.snapshot_ended(ended)
    }

    /// Ends this replica for good when a peer's generation is later than its own.
    fn superseded(&mut self, by: ReplicaId, theirs: u64) -> Result<(), DriverError> {
        let own = self.driver.replica().generation();
        if own == 0 || theirs <= own {
            return Ok(());
        }
        let error = ReplicaError::Superseded { by, theirs, own };
        if let Err(failed) = takeover::fence(&self.data_directory, &error) {
            tracing::error!(%failed, "the fence could not be written: it holds until a restart");
        }
        Err(error.into())
    }

    fn change_membership(
        &mut self,
        change: MembershipChange,
        reply: oneshot::Sender<Result<ControlAnswer, MembershipError>>,
    ) {
        let (sender, answered) = oneshot::channel();
        let ticket = self.outside.routes.expect(ReplyTo::Control(sender));
        let replica = self.driver.replica_mut();
        if let Err(refused) = replica.change_membership(Some(ticket), change, now()) {
            self.outside.routes.turn_away(ticket);
            let _ = reply.send(Err(refused));
            return;
        }
        let leader = replica.leader();
        tokio::spawn(async move {
            // Whoever asked may have gone; a leader that fell has no answer.
            let answer = answered.await;
            let _ = reply.send(answer.map_err(|_| MembershipError::NotLeader { leader }));
        });
    }

    fn submit(&mut self, submission: Submission) {
        let ticket = self.outside.routes.expect(submission.reply_to);
        let replica = self.driver.replica_mut();
        if replica.submit(Some(ticket), submission.command).is_ok() {
            return;
        }
        self.outside.routes.turn_away(ticket);
    }

    /// Does all that there is to do.
    fn turn(&mut self) -> Result<(), DriverError> {
        let before = self.driver.replica().serving();
        self.driver.turn(&mut self.outside)?;
        let outside = self.driver.duties().outside_calendar();
        if let Some(outside) = outside.filter(|_| !self.is_outside_calendar) {
            tracing::warn!(%outside, "phases are held as they are");
        }
        self.is_outside_calendar = outside.is_some();
        let replica = self.driver.replica();
        let applied = replica.applied_index().0;
        self.applied.store(applied, Ordering::Release);
        if replica.group_changed_at() != self.group_changed_at {
            self.group_changed_at = replica.group_changed_at();
            let group = replica.state().group();
            self.outside.transport.belong_to(replica.generation());
            self.outside.transport.reach(&group.members);
        }
        self.caught_up |= applied >= self.commit_at_start;
        let due = self.published_at.elapsed() >= PUBLISH_INTERVAL;
        let changed = {
            let shown = self.published.borrow();
            shown.status.role != replica.role()
                || shown.status.epoch != replica.epoch()
                || shown.status.leader != replica.leader()
                || shown.status.handover != replica.last_handover()
        };
        if due || changed || before != replica.serving() {
            self.publish(changed);
        }
        Ok(())
    }

    fn publish(&mut self, changed: bool) {
        self.published_at = Instant::now();
        let now: UnixMicros = now();
        let status = self.driver.replica().status(now);
        if changed {
            tracing::info!(
                role = ?status.role, epoch = status.epoch.0, leader = status.leader.0,
                serving = status.serving, "part in the group"
            );
        }
        let (syncs, syncing) = self.driver.syncs();
        let shown = Published {
            ready: self.caught_up && status.leader.0 != 0,
            status,
            commit_latency: self.outside.latency.recent(Instant::now()),
            journal_bytes: self.driver.journal().bytes(),
            connected: self.outside.routes.connected(),
            slow_streams: self.outside.routes.slow_streams(),
            syncs: (syncs, syncing.as_micros() as u64),
            snapshot_took_us: self.snapshot_took.as_micros() as u64,
        };
        self.published.send_replace(shown);
    }
}

impl Shell for Outside {
    fn now(&self) -> UnixMicros {
        now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn send(&mut self, message: Message) -> bool {
        self.transport.send(message)
    }

    fn tell_hash(&mut self, point: HashPoint) {
        self.transport.tell_hash(point);
    }

    fn ask_for_rebuild(&mut self, leader: ReplicaId) {
        self.transport.ask_for_rebuild(leader);
    }

    fn deliver(&mut self, replica: &Replica, outcome: Outcome) {
        let epoch = replica.epoch();
        if let Some(index) = outcome.restored {
            tracing::info!(index = index.0, "took up a peer's snapshot");
        }
        if outcome.leadership_lost {
            let leader = replica.leader().0;
            tracing::warn!(epoch = epoch.0, leader, "leadership lost");
            self.routes.end_all();
            self.routes.flush();
            return;
        }
        let now = now();
        for formed_at in outcome.formed_at {
            self.latency.record_us(now.0.saturating_sub(formed_at.0));
        }
        let standing = replica.state().maintenance();
        for applied in outcome.applied {
            self.routes.deliver(epoch, applied, standing);
        }
        self.routes.flush();
        if outcome.began_serving {
            tracing::info!(epoch = epoch.0, "serving");
        }
    }

    fn save_snapshot(&mut self, job: SnapshotJob) {
        let inputs = self.own_inputs.clone();
        // Takes as long as the replay takes; one at a time, and the thread ends with it.
        std::thread::spawn(move || {
            let began = Instant::now();
            let ended = Box::new(job.run());
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.blocking_send(Input::Saved(ended, began.elapsed()));
            }
        });
    }
}
