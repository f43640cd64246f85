//! The turn of a replica: what runs between two waits for input. The server and the simulator run
//! this same code; what differs is the [`Shell`] around it and the disk under the journal.
//!
//! ```text
//!        ┌─────────────────────────────── turn ───────────────────────────────┐
//!        ▼                                                                    │
//!   propose ─► work? ─► Shell::send ─► journal (sync) ─► persisted ─► Shell::send, Shell::deliver
//!                 │ none
//!                 └───► duties, Shell::tell_hash, ask_for_rebuild, save_snapshot
//! ```

use crate::config::Config;
use crate::duties::Duties;
use crate::error::ReplicaError;
use crate::replica::{Outcome, Replica, Work};
use crate::snapshots::SnapshotTask;
use crate::status::HashPoint;
use journal::{Journal, JournalError, Recovered, SavedSnapshot, SnapshotWriter, Sync};
use raft::eraftpb::Message;
use std::time::Duration;
use types::mutants::{self, Mutant};
use types::{LogIndex, ReplicaId, UnixMicros};

/// Why a replica must stop.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The disk.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The replica.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
}

/// What a turn touches outside: clock, network, clients, and a place for slow work.
pub trait Shell {
    /// The wall clock.
    fn now(&self) -> UnixMicros;

    /// Time since any fixed moment; never goes back.
    fn elapsed(&self) -> Duration;

    /// Sends a message to a peer, without waiting. Whether it was taken.
    fn send(&mut self, message: Message) -> bool;

    /// Tells every peer a hash of the state.
    fn tell_hash(&mut self, point: HashPoint);

    /// Asks a leader to send everything again.
    fn ask_for_rebuild(&mut self, leader: ReplicaId);

    /// Tells clients what became of their commands.
    fn deliver(&mut self, replica: &Replica, outcome: Outcome);

    /// Runs a job beside the turn; what it gives back goes to [`Driver::snapshot_ended`].
    fn save_snapshot(&mut self, job: SnapshotJob);
}

/// A replica and its journal, moved together.
pub struct Driver {
    replica: Replica,
    journal: Journal,
    duties: Duties,
    told_hash: Option<HashPoint>,
    syncs: u64,
    syncing: Duration,
}

impl Driver {
    /// Takes up what the journal holds.
    ///
    /// # Errors
    /// [`DriverError`] when it cannot be used.
    pub fn new(
        config: Config,
        journal: Journal,
        recovered: Recovered,
        now: UnixMicros,
    ) -> Result<Self, DriverError> {
        let mut replica = Replica::new(config, recovered, now)?;
        replica.read_snapshots_from(journal.snapshot_writer());
        Ok(Self {
            replica,
            journal,
            duties: Duties::default(),
            told_hash: None,
            syncs: 0,
            syncing: Duration::ZERO,
        })
    }

    /// The replica.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The replica, to be given inputs; a [`Driver::turn`] must follow.
    pub fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Whether a client's command may be given to the replica now: there is room, and what a new
    /// leader owes the log first is in it.
    #[must_use]
    pub fn takes_commands(&self) -> bool {
        self.replica.has_room() && !self.duties.come_first()
    }

    /// What a serving leader owes the log by itself.
    #[must_use]
    pub fn duties(&self) -> &Duties {
        &self.duties
    }

    /// Syncs of the journal so far, and the time spent in them.
    #[must_use]
    pub fn syncs(&self) -> (u64, Duration) {
        (self.syncs, self.syncing)
    }

    /// Does all that there is to do.
    ///
    /// # Errors
    /// [`DriverError`] after which the process must end.
    pub fn turn(&mut self, shell: &mut impl Shell) -> Result<(), DriverError> {
        if self.replica.take_loss() {
            self.journal
                .doubt("the leader counts on entries behind its end")?;
        }
        self.replica.propose(shell.now())?;
        while let Some(work) = self.replica.take_work() {
            self.persist(work, shell)?;
            let mut outcome = self.replica.persisted(shell.now())?;
            self.send(std::mem::take(&mut outcome.messages), shell);
            shell.deliver(&self.replica, outcome);
            self.replica.propose(shell.now())?;
        }
        // Right after it may have begun to serve, and so before any client's command is taken.
        self.duties.keep(&mut self.replica, shell.now());
        let newest = self.replica.newest_hash();
        if newest != self.told_hash {
            self.told_hash = newest;
            if let Some(point) = newest {
                shell.tell_hash(point);
            }
        }
        if let Some(leader) = self.replica.take_rebuild_request() {
            shell.ask_for_rebuild(leader);
        }
        if self.replica.take_proof() {
            self.journal.prove()?;
        }
        if let Some(task) = self.replica.snapshot_due()? {
            let writer = self.journal.snapshot_writer();
            shell.save_snapshot(SnapshotJob { task, writer });
        }
        Ok(())
    }

    fn persist(&mut self, work: Work, shell: &mut impl Shell) -> Result<(), DriverError> {
        self.send(work.messages, shell);
        if let Some(snapshot) = &work.snapshot {
            let hard_state = work.hard_state.unwrap_or_default();
            self.journal.install(snapshot, hard_state)?;
        }
        let synced = work.sync && !mutants::is(Mutant::AcknowledgeBeforeSync);
        let sync = if synced { Sync::Now } else { Sync::Later };
        let began = shell.elapsed();
        self.journal.append(work.entries, work.hard_state, sync)?;
        if sync == Sync::Now {
            self.syncs += 1;
            self.syncing += shell.elapsed().saturating_sub(began);
        }
        Ok(())
    }

    fn send(&mut self, messages: Vec<Message>, shell: &mut impl Shell) {
        for message in messages {
            let to = ReplicaId(message.to);
            let snapshot = message.snapshot.is_some();
            if !shell.send(message) {
                self.replica.unreachable(to);
                if snapshot {
                    self.replica.snapshot_sent(to, false);
                }
            }
        }
    }

    /// What a [`SnapshotJob`] came to. One that could not be written is counted, and tried again when
    /// the next is due; one that shows the state or the disk to be wrong stops the replica.
    ///
    /// # Errors
    /// [`DriverError`] after which the process must end.
    pub fn snapshot_ended(&mut self, ended: SnapshotEnd) -> Result<(), DriverError> {
        match ended.saved {
            Ok(snapshot) => {
                self.replica.snapshot_saved(snapshot);
                self.journal.truncate()?;
                Ok(())
            }
            Err(DriverError::Journal(_)) => {
                self.replica.snapshot_failed(ended.task);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// A snapshot to be built from the disk, written and verified. Knows nothing of the running state
/// but its hash, so it may run anywhere.
#[derive(Clone, Debug)]
pub struct SnapshotJob {
    task: SnapshotTask,
    writer: SnapshotWriter,
}

/// What a job came to.
#[derive(Debug)]
pub struct SnapshotEnd {
    /// What was to be saved.
    pub task: SnapshotTask,
    /// The snapshot as it was read back from the disk, or why there is none.
    pub saved: Result<SavedSnapshot, DriverError>,
}

impl SnapshotJob {
    /// Does it: takes as long as replaying the entries since the last snapshot takes.
    #[must_use]
    pub fn run(self) -> SnapshotEnd {
        let saved = self.build_and_save();
        SnapshotEnd {
            task: self.task,
            saved,
        }
    }

    fn build_and_save(&self) -> Result<SavedSnapshot, DriverError> {
        let base = self.writer.newest(self.task.index)?;
        let after = base.as_ref().map_or(LogIndex(0), |base| base.index);
        let entries = self.writer.entries(after, self.task.index)?;
        let entries = entries.map(|entry| entry.map_err(DriverError::from));
        let snapshot = self.task.build(base.as_ref(), entries)?;
        let verified = |read_back: &SavedSnapshot| Ok(self.task.verify(read_back)?);
        self.writer.save_verified(&snapshot, verified)
    }
}
