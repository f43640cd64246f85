//! The turn of a replica: what runs between two waits for input. The server and the simulator run
//! this same code; what differs is the [`Shell`] around it and the disk under the journal.
//!
//! ```text
//!        ┌─────────────────────────────── turn ───────────────────────────────┐
//!        ▼                                                                    │
//!   propose ─► work? ─► Shell::send ─► journal (sync) ─► persisted ─► Shell::send, Shell::deliver
//!                 │ none
//!                 └───► Shell::tell_hash, ask_for_rebuild, save_snapshot
//! ```

use crate::config::Config;
use crate::error::ReplicaError;
use crate::replica::{Outcome, Replica, Work};
use crate::status::HashPoint;
use journal::{Journal, JournalError, Recovered, SavedSnapshot, SnapshotWriter, Sync};
use raft::eraftpb::Message;
use std::time::Duration;
use types::mutants::{self, Mutant};
use types::{ReplicaId, UnixMicros};

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

    /// Saves a snapshot beside the turn; [`Driver::snapshot_saved`] is to be called after it.
    fn save_snapshot(&mut self, writer: SnapshotWriter, snapshot: SavedSnapshot);
}

/// A replica and its journal, moved together.
pub struct Driver {
    replica: Replica,
    journal: Journal,
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
        Ok(Self {
            replica: Replica::new(config, recovered, now)?,
            journal,
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
        self.replica.propose(shell.now())?;
        while let Some(work) = self.replica.take_work() {
            self.persist(work, shell)?;
            let mut outcome = self.replica.persisted(shell.now())?;
            self.send(std::mem::take(&mut outcome.messages), shell);
            shell.deliver(&self.replica, outcome);
            self.replica.propose(shell.now())?;
        }
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
        if let Some(snapshot) = self.replica.snapshot_due()? {
            shell.save_snapshot(self.journal.snapshot_writer(), snapshot);
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

    /// A snapshot is on disk: what it makes needless may go.
    ///
    /// # Errors
    /// [`DriverError`] when files cannot be removed.
    pub fn snapshot_saved(&mut self, snapshot: SavedSnapshot) -> Result<(), DriverError> {
        self.replica.snapshot_saved(snapshot);
        self.journal.truncate()?;
        Ok(())
    }
}
