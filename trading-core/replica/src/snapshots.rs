//! Snapshots beside the running state: built from the log on disk, checked against the running hash.
//!
//! ```text
//!   core      ── apply ── apply ── note (index, hash) ── apply ── apply ──►      never waits
//!                                        │
//!   beside it     last snapshot + entries of the journal ─► replay ─► same hash? ─► write ─► read
//!                                                                                  back, restore,
//!                                                                                  same hash? ─► kept
//! ```
//!
//! So the core pays for a number, not for its state; and every snapshot proves that the journal can
//! be read, that replaying it leads where applying it led, and that what was written can be restored.

use crate::error::ReplicaError;
use crate::{Replica, membership};
use engine::{Ahead, EntryContext, Limits, State};
use journal::{LogEntry, SavedSnapshot};
use raft::eraftpb::ConfState;
use std::collections::BTreeMap;
use types::{Epoch, LogIndex, UnixMicros, decode_batch};

/// A snapshot that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotTask {
    /// Up to and with this entry.
    pub index: LogIndex,
    /// That entry's epoch.
    pub epoch: Epoch,
    /// The hash of the running state there.
    pub hash: [u8; 8],
    /// What a state begins with when no snapshot comes before.
    pub limits: Limits,
}

impl SnapshotTask {
    /// Replays `entries` after `base` (none: from the log's beginning) up to the task's entry.
    ///
    /// # Errors
    /// [`ReplicaError`]; `Replay` when that leads to another state than the running one, after which
    /// the replica must stop.
    pub fn build<E: From<ReplicaError>>(
        &self,
        base: Option<&SavedSnapshot>,
        entries: impl IntoIterator<Item = Result<LogEntry, E>>,
    ) -> Result<SavedSnapshot, E> {
        let mut replayed = Replayed::from(base, self.limits)?;
        for entry in entries {
            let entry = entry?;
            if entry.index > self.index {
                break;
            }
            replayed.take(&entry)?;
        }
        let state = replayed.state;
        self.compare(&state)?;
        Ok(SavedSnapshot {
            index: self.index,
            epoch: self.epoch,
            state: state.snapshot().map_err(ReplicaError::from)?,
        })
    }

    /// Restores what was read back and compares its hash.
    ///
    /// # Errors
    /// [`ReplicaError`] when it cannot be restored or is another state.
    pub fn verify(&self, read_back: &SavedSnapshot) -> Result<(), ReplicaError> {
        self.compare(&State::restore(&read_back.state)?)
    }

    fn compare(&self, state: &State) -> Result<(), ReplicaError> {
        let hash = state.history_hash().to_bytes();
        if hash == self.hash {
            return Ok(());
        }
        Err(ReplicaError::Replay {
            index: self.index,
            replayed: crate::replica::hex(&hash),
            running: crate::replica::hex(&self.hash),
        })
    }
}

/// A state made again from a snapshot and the entries behind it.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The state.
    pub state: State,
    /// The leader's clock in the last batch; 0 when there was none.
    pub last_batch_at: UnixMicros,
    /// The last entry in it.
    last_index: LogIndex,
}

impl Replayed {
    /// All entries behind the snapshot up to and with `upto`, committed or not. Without a snapshot a
    /// state with the default bounds is where they begin.
    ///
    /// # Errors
    /// [`ReplicaError`] when one of them cannot be read.
    pub fn of(
        base: Option<&SavedSnapshot>,
        entries: &[LogEntry],
        upto: LogIndex,
    ) -> Result<Self, ReplicaError> {
        let mut replayed = Self::from(base, Limits::default())?;
        for entry in entries.iter().filter(|entry| entry.index <= upto) {
            replayed.take(entry)?;
        }
        Ok(replayed)
    }

    fn from(base: Option<&SavedSnapshot>, limits: Limits) -> Result<Self, ReplicaError> {
        let (state, last_index) = match base {
            Some(base) => (State::restore(&base.state)?, base.index),
            None => (State::with_limits(limits), LogIndex(0)),
        };
        Ok(Self {
            last_batch_at: state.last_entry().leader_time,
            state,
            last_index,
        })
    }

    /// Applies the next entry; one that is in the state already changes nothing.
    ///
    /// # Errors
    /// [`ReplicaError`] when it cannot be read.
    pub fn take(&mut self, entry: &LogEntry) -> Result<(), ReplicaError> {
        if entry.index <= self.last_index {
            return Ok(());
        }
        self.last_index = entry.index;
        if entry.data.is_empty() {
            return Ok(());
        }
        let index = entry.index;
        let batch =
            decode_batch(&entry.data).map_err(|source| ReplicaError::Entry { index, source })?;
        let context = EntryContext {
            epoch: entry.epoch,
            index,
            leader_time: batch.leader_time,
        };
        self.state.begin_entry(context, &entry.data)?;
        let (mut events, mut ahead) = (Vec::new(), Ahead::default());
        for (at, command) in batch.commands.iter().enumerate() {
            ahead.look(&self.state, &batch.commands[at..]);
            events.clear();
            self.state.apply(context, command, &mut events);
        }
        self.last_batch_at = batch.leader_time;
        Ok(())
    }
}

/// Which snapshots are asked for, and what became of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots {
    asked_at: u64,
    /// The groups at the snapshots that are being built, which go with them to followers.
    confs: BTreeMap<u64, ConfState>,
    told: SnapshotStatus,
}

/// What became of this replica's snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// The newest that was written, read back, restored and found equal.
    pub verified_index: LogIndex,
    /// How many were.
    pub verified: u64,
    /// How many could not be built, written or verified.
    pub failed: u64,
}

impl Snapshots {
    /// A state that begins at this entry has no snapshot due.
    pub(crate) fn after(index: u64) -> Self {
        Self {
            asked_at: index,
            ..Self::default()
        }
    }

    pub(crate) fn status(&self) -> SnapshotStatus {
        self.told
    }
}

impl Replica {
    /// What is to be saved, when it is time or a follower waits for it. The same is not given twice,
    /// and costs the same however large the state is. Whoever takes it builds it beside the replica
    /// and ends with [`Replica::snapshot_saved`] or [`Replica::snapshot_failed`].
    ///
    /// # Errors
    /// [`ReplicaError`] when the log does not know its own last entry.
    pub fn snapshot_due(&mut self) -> Result<Option<SnapshotTask>, ReplicaError> {
        let wanted = self.node.store().wanted_snapshot();
        let due = self.applied >= self.snapshots.asked_at + self.config.snapshot_every_entries
            || wanted.is_some_and(|at| at > self.snapshots.asked_at && at <= self.applied);
        // One at a time: the next is built upon it.
        if !due || !self.snapshots.confs.is_empty() {
            return Ok(None);
        }
        self.snapshots.asked_at = self.applied;
        let conf = membership::conf_state(self.state.group());
        self.snapshots.confs.insert(self.applied, conf);
        let epoch = self.node.raft.raft_log.term(self.applied)?;
        Ok(Some(SnapshotTask {
            index: LogIndex(self.applied),
            epoch: Epoch(epoch),
            hash: self.state.history_hash().to_bytes(),
            limits: self.config.limits,
        }))
    }

    /// A snapshot is on disk and verified: entries that it covers may leave the memory.
    pub fn snapshot_saved(&mut self, snapshot: SavedSnapshot) {
        let Some(conf) = self.snapshots.confs.remove(&snapshot.index.0) else {
            // A peer's snapshot has come in between.
            return;
        };
        self.snapshots.told.verified += 1;
        self.snapshots.told.verified_index = snapshot.index;
        if snapshot.index.0 > self.node.store().snapshot_index() {
            let retain = self.config.retain_entries;
            self.node.mut_store().compact(snapshot, conf, retain);
        }
    }

    /// A snapshot could not be built or written: the next is tried when it is due.
    pub fn snapshot_failed(&mut self, task: SnapshotTask) {
        self.snapshots.confs.remove(&task.index.0);
        self.snapshots.told.failed += 1;
    }
}
