//! The log as the consensus library reads it: recent entries in memory, the rest on disk.
//!
//! A snapshot is as large as the state, so it stays on the disk, too, and is read when a follower needs
//! it: seldom, and while one is missing anyway.

use crate::membership;
use journal::{HardState, LogEntry, Recovered, SavedSnapshot, SnapshotWriter};
use prost_of_raft::Message as _;
use raft::eraftpb::{ConfState, Entry, EntryType, HardState as RaftHardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use std::cell::Cell;
use std::collections::VecDeque;
use types::{Epoch, LogIndex, ReplicaId};

pub(crate) struct LogStore {
    /// Who belonged to the group when the log in memory began.
    initial_conf: ConfState,
    initial: RaftHardState,
    /// The entry before the first in memory: index and epoch.
    base: (u64, u64),
    entries: VecDeque<Entry>,
    snapshot: Option<Kept>,
    /// Where snapshots are read again; without it they are held in memory.
    disk: Option<SnapshotWriter>,
    /// Who belonged to the group at the snapshot.
    snapshot_conf: ConfState,
    /// A follower waits for a snapshot up to here at least.
    wanted: Cell<u64>,
}

/// The newest snapshot.
struct Kept {
    index: LogIndex,
    epoch: Epoch,
    /// None where the disk has it.
    state: Option<Vec<u8>>,
}

impl From<SavedSnapshot> for Kept {
    fn from(saved: SavedSnapshot) -> Self {
        Self {
            index: saved.index,
            epoch: saved.epoch,
            state: Some(saved.state),
        }
    }
}

impl LogStore {
    /// `conf` is the group at the snapshot, or at its founding where there is none.
    pub(crate) fn new(conf: ConfState, recovered: Recovered) -> Self {
        let entries: VecDeque<Entry> = recovered.entries.into_iter().map(to_raft).collect();
        let snapshot = recovered.snapshot;
        let after = snapshot.as_ref().map_or((0, 0), |s| (s.index.0, s.epoch.0));
        let mut store = Self {
            initial_conf: conf.clone(),
            initial: RaftHardState {
                term: recovered.hard_state.epoch.0,
                vote: recovered.hard_state.vote.0,
                commit: recovered.hard_state.commit.0,
            },
            base: after,
            entries,
            snapshot: snapshot.map(Kept::from),
            disk: None,
            snapshot_conf: conf,
            wanted: Cell::new(0),
        };
        // Entries from before the snapshot serve followers that lag, but the first of them is only
        // known by what it follows: it becomes the base.
        if let Some(first) = store.entries.front()
            && first.index <= after.0
        {
            store.base = (first.index, first.term);
            store.entries.pop_front();
        }
        store
    }

    /// Reads snapshots from there when they are needed, instead of holding the newest in memory.
    /// Whatever is given to the store as a snapshot must be there by then.
    pub(crate) fn read_snapshots_from(&mut self, disk: SnapshotWriter) {
        self.disk = Some(disk);
        if let Some(kept) = &mut self.snapshot {
            kept.state = None;
        }
    }

    fn keep(&mut self, snapshot: SavedSnapshot, conf: ConfState) {
        let mut kept = Kept::from(snapshot);
        if self.disk.is_some() {
            kept.state = None;
        }
        self.snapshot = Some(kept);
        self.snapshot_conf = conf;
    }

    /// The snapshot's bytes; `None` when the disk does not give them.
    fn state_of(&self, kept: &Kept) -> Option<Vec<u8>> {
        if kept.state.is_some() {
            return kept.state.clone();
        }
        let read = self.disk.as_ref()?.newest(kept.index).ok().flatten();
        read.filter(|read| read.index == kept.index)
            .map(|read| read.state)
    }

    /// Takes in what has been persisted.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) {
        if let Some(first) = entries.first() {
            let keep = first.index.saturating_sub(self.base.0 + 1) as usize;
            self.entries.truncate(keep);
            self.entries.extend(entries);
        }
    }

    /// Begins anew after a peer's snapshot.
    pub(crate) fn install(&mut self, snapshot: SavedSnapshot, conf: ConfState) {
        self.base = (snapshot.index.0, snapshot.epoch.0);
        self.entries.clear();
        self.keep(snapshot, conf);
    }

    /// Takes a saved snapshot and lets go of entries that it covers, but for the last `retain`.
    pub(crate) fn compact(&mut self, snapshot: SavedSnapshot, conf: ConfState, retain: u64) {
        let last = self.persisted_index();
        let until = snapshot.index.0.min(last.saturating_sub(retain));
        while self.base.0 < until {
            match self.entries.pop_front() {
                Some(entry) => self.base = (entry.index, entry.term),
                None => break,
            }
        }
        self.keep(snapshot, conf);
    }

    /// The entry that a follower's snapshot must reach, if one waits for a newer than there is.
    pub(crate) fn wanted_snapshot(&self) -> Option<u64> {
        let wanted = self.wanted.get();
        (wanted > self.snapshot_index()).then_some(wanted)
    }

    /// The founding of the group, while the log in memory still begins with it.
    pub(crate) fn founding(&self) -> Option<&Entry> {
        self.entries.front().filter(|entry| entry.index == 1)
    }

    pub(crate) fn persisted_index(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }

    pub(crate) fn snapshot_index(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |s| s.index.0)
    }
}

impl Storage for LogStore {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(
            self.initial.clone(),
            self.initial_conf.clone(),
        ))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.base.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let from = (low - self.base.0 - 1) as usize;
        let to = (high - self.base.0 - 1) as usize;
        if to > self.entries.len() {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let size_max = max_size.into().unwrap_or(u64::MAX);
        let mut size = 0;
        let wanted = self.entries.range(from..to);
        // At least one, whatever its size.
        let taken = wanted.take_while(|entry| {
            let first = size == 0;
            size += entry.data.len() as u64 + 32;
            first || size <= size_max
        });
        Ok(taken.cloned().collect())
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.base.0 {
            return Ok(self.base.1);
        }
        if index < self.base.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let offset = (index - self.base.0 - 1) as usize;
        let entry = self.entries.get(offset);
        entry
            .map(|entry| entry.term)
            .ok_or(raft::Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.base.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.persisted_index())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let unavailable = |wanted: u64| {
            self.wanted.set(self.wanted.get().max(wanted));
            raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable)
        };
        let saved = self.snapshot.as_ref();
        let saved = saved
            .filter(|saved| saved.index.0 >= request_index)
            .ok_or_else(|| unavailable(request_index.max(1)))?;
        // One that cannot be read any more: the next one is wanted.
        let data = self
            .state_of(saved)
            .ok_or_else(|| unavailable(saved.index.0 + 1))?;
        let mut snapshot = Snapshot {
            data,
            ..Snapshot::default()
        };
        let metadata = snapshot.metadata.get_or_insert_default();
        metadata.index = saved.index.0;
        metadata.term = saved.epoch.0;
        metadata.conf_state = Some(self.snapshot_conf.clone());
        Ok(snapshot)
    }
}

/// A journal's entry as the consensus library has it: one that changes the membership is more than
/// its batch there.
pub(crate) fn to_raft(entry: LogEntry) -> Entry {
    let mut raft = Entry {
        index: entry.index.0,
        term: entry.epoch.0,
        ..Entry::default()
    };
    match membership::step_of(&entry.data) {
        Some(step) => {
            raft.set_entry_type(EntryType::EntryConfChangeV2);
            raft.data = membership::conf_change(&step, entry.data).encode_to_vec();
        }
        None => raft.data = entry.data,
    }
    raft
}

/// The consensus library's entry as the journal keeps it: its batch.
pub(crate) fn from_raft(entry: &Entry) -> LogEntry {
    let data = match entry.get_entry_type() {
        EntryType::EntryNormal => entry.data.clone(),
        // What cannot be read is kept as it is: it is refused when it is applied.
        _ => membership::batch_of(&entry.data)
            .map_or_else(|_| entry.data.clone(), |(_, batch)| batch),
    };
    LogEntry {
        index: LogIndex(entry.index),
        epoch: Epoch(entry.term),
        data,
    }
}

pub(crate) fn hard_state(state: &RaftHardState) -> HardState {
    HardState {
        epoch: Epoch(state.term),
        vote: ReplicaId(state.vote),
        commit: LogIndex(state.commit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::{Journal, Options};

    const OPTIONS: Options = Options {
        segment_bytes: 1 << 20,
        retain_entries: 10,
        retain_bytes: 1 << 20,
    };

    fn saved(index: u64, state: &[u8]) -> SavedSnapshot {
        SavedSnapshot {
            index: LogIndex(index),
            epoch: Epoch(1),
            state: state.to_vec(),
        }
    }

    #[test]
    fn a_follower_is_given_the_snapshot_that_the_disk_has_and_memory_holds_none() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, recovered) = Journal::open(folder.path(), OPTIONS).unwrap();
        let disk = journal.snapshot_writer();
        let mut store = LogStore::new(ConfState::default(), recovered);
        store.install(saved(7, b"before"), ConfState::default());
        disk.save(&saved(7, b"before")).unwrap();
        store.read_snapshots_from(disk.clone());
        assert_eq!(store.snapshot(5, 2).unwrap().data, b"before");

        disk.save(&saved(9, b"after")).unwrap();
        store.compact(saved(9, b"after"), ConfState::default(), 0);
        assert_eq!(store.snapshot(9, 2).unwrap().data, b"after");
        assert!(store.snapshot.as_ref().unwrap().state.is_none());
    }

    #[test]
    fn a_snapshot_that_the_disk_has_no_more_makes_a_newer_one_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, recovered) = Journal::open(folder.path(), OPTIONS).unwrap();
        let mut store = LogStore::new(ConfState::default(), recovered);
        store.read_snapshots_from(journal.snapshot_writer());
        store.install(saved(7, b"gone"), ConfState::default());
        assert!(store.snapshot(7, 2).is_err());
        assert_eq!(store.wanted_snapshot(), Some(8));
    }
}
