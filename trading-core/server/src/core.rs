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
use crate::duties::Duties;
use crate::metrics::CommitLatency;
use crate::routes::{ReplyTo, Routes};
use crate::transport::Transport;
use journal::{Journal, JournalError, SavedSnapshot, SnapshotWriter};
use replica::{
    Driver, DriverError, HashPoint, Message, Outcome, Replica, Shell, Status, TransferError,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use types::{Command, ReplicaId, UnixMicros};

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
    /// A snapshot was written.
    Saved(Result<SavedSnapshot, JournalError>),
    /// A client's stream has ended.
    StreamEnded(u64),
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
    duties: Duties,
    outside: Outside,
    commit_at_start: u64,
    caught_up: bool,
    published_at: Instant,
    published: watch::Sender<Published>,
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
        transport: Transport,
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
        let group = config.group(clock::draw());
        Ok(Self {
            driver: Driver::new(group, journal, recovered, now())?,
            duties: Duties::default(),
            outside: Outside {
                transport,
                routes: Routes::with_door(outbox),
                latency: CommitLatency::default(),
                started: Instant::now(),
                own_inputs,
            },
            commit_at_start,
            caught_up: false,
            published_at: Instant::now(),
            published,
        })
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
                    if self.takes_commands() =>
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
            while self.takes_commands() {
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

    fn takes_commands(&self) -> bool {
        self.driver.replica().has_room() && !self.duties.come_first()
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
            Input::Saved(saved) => {
                let snapshot = saved?;
                tracing::info!(index = snapshot.index.0, "snapshot saved");
                self.driver.snapshot_saved(snapshot)?;
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
        // Right after it may have begun to serve, and so before any client's command is taken.
        self.duties.keep(self.driver.replica_mut(), now());
        let replica = self.driver.replica();
        self.caught_up |= replica.applied_index().0 >= self.commit_at_start;
        let due = self.published_at.elapsed() >= PUBLISH_INTERVAL;
        let changed = {
            let shown = self.published.borrow();
            shown.status.role != replica.role()
                || shown.status.epoch != replica.epoch()
                || shown.status.leader != replica.leader()
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

    fn save_snapshot(&mut self, writer: SnapshotWriter, snapshot: SavedSnapshot) {
        let inputs = self.own_inputs.clone();
        // Writing takes as long as the disk takes; the thread ends with it.
        std::thread::spawn(move || {
            let saved = writer.save(&snapshot).map(|()| snapshot);
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.blocking_send(Input::Saved(saved));
            }
        });
    }
}
