//! The core thread: one replica, one journal, one loop.
//!
//! ```text
//!        ┌──────────────────────────────────────────────────────────────────────┐
//!        ▼                                                                      │
//!   wait for a tick, inputs or commands ─► propose ─► work? ─► send ─► journal ─► persisted
//!                                                                   (sync)      │
//!                                     publish status ◄── answers, messages ◄────┘
//! ```
//!
//! While the journal syncs, commands gather; the next entry takes them all. So batches form by
//! themselves, larger ones the slower the disk is.

use crate::clock::now;
use crate::config::ReplicaConfig;
use crate::metrics::CommitLatency;
use crate::routes::{ReplyTo, Routes};
use crate::transport::Transport;
use journal::{Journal, JournalError, SavedSnapshot, Sync};
use replica::{HashPoint, Message, Outcome, Replica, ReplicaError, Status, TransferError, Work};
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

/// Why the core stopped.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The disk.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The replica.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
}

/// The core's ends inside the process.
pub struct Ends {
    /// Peers and administration.
    pub inputs: mpsc::Receiver<Input>,
    /// The same channel's sender, for the snapshot thread.
    pub own_inputs: mpsc::WeakSender<Input>,
    /// Commands.
    pub submissions: mpsc::Receiver<Submission>,
    /// Where the status goes.
    pub published: watch::Sender<Published>,
}

/// The core.
pub struct Core {
    replica: Replica,
    journal: Journal,
    transport: Transport,
    routes: Routes,
    latency: CommitLatency,
    commit_at_start: u64,
    caught_up: bool,
    told_hash: Option<HashPoint>,
    syncs: (u64, u64),
    published_at: Instant,
    own_inputs: mpsc::WeakSender<Input>,
    published: watch::Sender<Published>,
}

impl Core {
    /// Opens the journal and takes up what it holds.
    ///
    /// # Errors
    /// [`CoreError`] when the disk or what it holds cannot be used.
    pub fn open(
        config: &ReplicaConfig,
        transport: Transport,
        own_inputs: mpsc::WeakSender<Input>,
        published: watch::Sender<Published>,
    ) -> Result<Self, CoreError> {
        let (journal, recovered) = Journal::open(&config.data_directory, config.journal_options())?;
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
        Ok(Self {
            replica: Replica::new(config.group(), recovered, now())?,
            journal,
            transport,
            routes: Routes::default(),
            latency: CommitLatency::default(),
            commit_at_start,
            caught_up: false,
            told_hash: None,
            syncs: (0, 0),
            published_at: Instant::now(),
            own_inputs,
            published,
        })
    }

    /// Runs until the inputs end.
    ///
    /// # Errors
    /// [`CoreError`] after which the process must end.
    pub async fn run(
        mut self,
        tick: Duration,
        mut inputs: mpsc::Receiver<Input>,
        mut submissions: mpsc::Receiver<Submission>,
    ) -> Result<(), CoreError> {
        let mut ticks = interval(tick);
        // After a stall of its own a replica must not count the lost time against its leader.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::with_capacity(INPUTS_AT_ONCE);
        let mut commands = Vec::with_capacity(INPUTS_AT_ONCE);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.replica.tick(now()),
                count = inputs.recv_many(&mut taken, INPUTS_AT_ONCE) => {
                    if count == 0 {
                        return Ok(());
                    }
                    for input in taken.drain(..) {
                        self.input(input)?;
                    }
                }
                count = submissions.recv_many(&mut commands, INPUTS_AT_ONCE),
                    if self.replica.has_room() =>
                {
                    if count == 0 {
                        return Ok(());
                    }
                    for submission in commands.drain(..) {
                        self.submit(submission);
                    }
                }
            }
            self.turn()?;
        }
    }

    fn input(&mut self, input: Input) -> Result<(), CoreError> {
        match input {
            Input::Peer(message) => self.replica.receive(*message, now())?,
            Input::Hash(peer, point) => self.replica.compare(peer, point)?,
            Input::Rebuild(peer) => {
                tracing::warn!(%peer, "a peer lost its disk: sending it everything again");
                self.replica.rebuild(peer);
            }
            Input::Unreachable(peer) => self.replica.unreachable(peer),
            Input::SnapshotSent { peer, arrived } => self.replica.snapshot_sent(peer, arrived),
            Input::Transfer { to, reply } => {
                let begun = self.transfer(to);
                // Whoever asked sees the outcome in the status, too.
                let _ = reply.send(begun);
            }
            Input::Saved(saved) => {
                let snapshot = saved?;
                tracing::info!(index = snapshot.index.0, "snapshot saved");
                self.replica.snapshot_saved(snapshot);
                self.journal.truncate()?;
            }
            Input::StreamEnded(connection) => self.routes.ended(connection),
        }
        Ok(())
    }

    fn transfer(&mut self, to: Option<ReplicaId>) -> Result<ReplicaId, TransferError> {
        let now = now();
        let to = to
            .or_else(|| self.replica.successor(now))
            .unwrap_or(ReplicaId(0));
        self.replica.transfer(to, now)?;
        Ok(to)
    }

    fn submit(&mut self, submission: Submission) {
        let ticket = self.routes.expect(submission.reply_to);
        if self
            .replica
            .submit(Some(ticket), submission.command)
            .is_ok()
        {
            return;
        }
        match self.routes.forget(ticket) {
            Some(ReplyTo::Logon(stream, _) | ReplyTo::Request(stream)) => stream.end.cancel(),
            // Dropping the sender tells.
            Some(ReplyTo::Control(_)) | None => {}
        }
    }

    /// Does all that there is to do.
    fn turn(&mut self) -> Result<(), CoreError> {
        let before = self.replica.serving();
        self.replica.propose(now())?;
        while let Some(work) = self.replica.take_work() {
            self.persist(work)?;
            let outcome = self.replica.persisted(now())?;
            self.deliver(outcome);
            self.replica.propose(now())?;
        }
        self.tell_hash();
        if let Some(leader) = self.replica.take_rebuild_request() {
            self.transport.ask_for_rebuild(leader);
        }
        if self.replica.take_proof() {
            self.journal.prove()?;
        }
        self.save_snapshot()?;
        self.caught_up |= self.replica.applied_index().0 >= self.commit_at_start;
        let due = self.published_at.elapsed() >= PUBLISH_INTERVAL;
        let changed = {
            let shown = self.published.borrow();
            shown.status.role != self.replica.role()
                || shown.status.epoch != self.replica.epoch()
                || shown.status.leader != self.replica.leader()
        };
        if due || changed || before != self.replica.serving() {
            self.publish(changed);
        }
        Ok(())
    }

    fn persist(&mut self, work: Work) -> Result<(), CoreError> {
        self.send(work.messages);
        if let Some(snapshot) = &work.snapshot {
            let hard_state = work.hard_state.unwrap_or_default();
            tracing::info!(index = snapshot.index.0, "taking up a peer's snapshot");
            self.journal.install(snapshot, hard_state)?;
        }
        let sync = if work.sync { Sync::Now } else { Sync::Later };
        let began = Instant::now();
        self.journal.append(work.entries, work.hard_state, sync)?;
        if sync == Sync::Now {
            self.syncs.0 += 1;
            self.syncs.1 += began.elapsed().as_micros() as u64;
        }
        Ok(())
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let to = ReplicaId(message.to);
            let snapshot = message.snapshot.is_some();
            if !self.transport.send(message) {
                self.replica.unreachable(to);
                if snapshot {
                    self.replica.snapshot_sent(to, false);
                }
            }
        }
    }

    fn deliver(&mut self, outcome: Outcome) {
        self.send(outcome.messages);
        let epoch = self.replica.epoch();
        if outcome.leadership_lost {
            tracing::warn!(
                epoch = epoch.0,
                leader = self.replica.leader().0,
                "leadership lost"
            );
            self.routes.end_all();
            return;
        }
        let now = now();
        for formed_at in outcome.formed_at {
            self.latency.record_us(now.0.saturating_sub(formed_at.0));
        }
        let standing = self.replica.state().maintenance();
        for applied in outcome.applied {
            self.routes.deliver(epoch, applied, standing);
        }
        if outcome.began_serving {
            tracing::info!(epoch = epoch.0, "serving");
        }
    }

    fn tell_hash(&mut self) {
        let newest = self.replica.newest_hash();
        if newest != self.told_hash {
            self.told_hash = newest;
            if let Some(point) = newest {
                self.transport.tell_hash(point);
            }
        }
    }

    fn save_snapshot(&mut self) -> Result<(), CoreError> {
        let Some(snapshot) = self.replica.snapshot_due()? else {
            return Ok(());
        };
        let writer = self.journal.snapshot_writer();
        let inputs = self.own_inputs.clone();
        // Writing takes as long as the disk takes; the thread ends with it.
        std::thread::spawn(move || {
            let saved = writer.save(&snapshot).map(|()| snapshot);
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.blocking_send(Input::Saved(saved));
            }
        });
        Ok(())
    }

    fn publish(&mut self, changed: bool) {
        self.published_at = Instant::now();
        let now: UnixMicros = now();
        let status = self.replica.status(now);
        if changed {
            tracing::info!(
                role = ?status.role, epoch = status.epoch.0, leader = status.leader.0,
                serving = status.serving, "part in the group"
            );
        }
        let shown = Published {
            ready: self.caught_up && status.leader.0 != 0,
            status,
            commit_latency: self.latency.recent(Instant::now()),
            journal_bytes: self.journal.bytes(),
            connected: self.routes.connected(),
            slow_streams: self.routes.slow_streams,
            syncs: self.syncs,
        };
        self.published.send_replace(shown);
    }
}
