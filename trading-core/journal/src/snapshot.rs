//! Snapshot files: the state up to an entry, whole or not there.
//!
//! ```text
//!   │ "TRISNAP1" │ index │ epoch │ length │ crc32 of all before and of the state │ state … │
//! ```

use crate::disk::Disk;
use crate::error::JournalError;
use crate::files;
use crate::reader::{self, CommittedLog};
use std::sync::Arc;
use types::{Epoch, LogIndex};

const MAGIC: &[u8; 8] = b"TRISNAP1";
const HEADER_BYTES: usize = 40;
/// How many are kept.
pub(crate) const KEPT: usize = 2;

/// The state up to and with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSnapshot {
    /// The last entry in it.
    pub index: LogIndex,
    /// That entry's epoch.
    pub epoch: Epoch,
    /// The state, as the engine wrote it.
    pub state: Vec<u8>,
}

/// Writes snapshots beside the journal, from any thread.
#[derive(Clone, Debug)]
pub struct SnapshotWriter {
    disk: Arc<dyn Disk>,
}

impl SnapshotWriter {
    pub(crate) fn new(disk: &Arc<dyn Disk>) -> Self {
        Self { disk: disk.clone() }
    }

    /// Writes and syncs a snapshot, reads it back, and removes all but the newest two.
    ///
    /// # Errors
    /// [`JournalError`]; nothing is removed then, and what stood before stands.
    pub fn save(&self, snapshot: &SavedSnapshot) -> Result<(), JournalError> {
        self.save_verified(snapshot, |_| Ok::<_, JournalError>(()))?;
        Ok(())
    }

    /// Writes and syncs a snapshot, reads it back, has it looked at, and removes all but the newest
    /// two. Gives back what was read.
    ///
    /// # Errors
    /// What the look found, or [`JournalError`]; the new one is removed then, and what stood before
    /// stands.
    pub fn save_verified<E: From<JournalError>>(
        &self,
        snapshot: &SavedSnapshot,
        look: impl FnOnce(&SavedSnapshot) -> Result<(), E>,
    ) -> Result<SavedSnapshot, E> {
        let disk = &*self.disk;
        let name = files::snapshot_name(snapshot.index.0);
        files::write_whole(disk, &name, &[&header(snapshot), &snapshot.state])?;
        // What cannot be read must not be what a restart or a truncation counts on.
        let read_back = read(disk, &name).map_err(E::from).and_then(|read_back| {
            look(&read_back)?;
            Ok(read_back)
        });
        if read_back.is_err() {
            files::remove(disk, &name)?;
        }
        let read_back = read_back?;
        let indexes = files::snapshots(disk)?;
        for index in &indexes[..indexes.len().saturating_sub(KEPT)] {
            files::remove(disk, &files::snapshot_name(*index))?;
        }
        Ok(read_back)
    }

    /// The newest snapshot that can be read and reaches no further than `upto`.
    ///
    /// # Errors
    /// [`JournalError`] when there are some and none can.
    pub fn newest(&self, upto: LogIndex) -> Result<Option<SavedSnapshot>, JournalError> {
        newest(&*self.disk, upto)
    }

    /// The committed entries after one, up to and with another, from the log on the disk.
    ///
    /// # Errors
    /// [`JournalError::NotKept`] when they are not all there.
    pub fn entries(&self, after: LogIndex, upto: LogIndex) -> Result<CommittedLog, JournalError> {
        let from = LogIndex(after.0 + 1);
        let mut log = reader::read_committed_on(self.disk.clone(), from, upto)?;
        match log.take_snapshot() {
            None => Ok(log),
            // A peer's snapshot has taken the place of the log meanwhile.
            Some(snapshot) => Err(JournalError::NotKept {
                index: from,
                epoch: snapshot.epoch,
                first: LogIndex(snapshot.index.0 + 1),
            }),
        }
    }
}

fn header(snapshot: &SavedSnapshot) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&snapshot.index.0.to_le_bytes());
    header[16..24].copy_from_slice(&snapshot.epoch.0.to_le_bytes());
    header[24..32].copy_from_slice(&(snapshot.state.len() as u64).to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..32]);
    crc.update(&snapshot.state);
    header[32..36].copy_from_slice(&crc.finalize().to_le_bytes());
    header
}

/// A snapshot file's bytes, as the writer writes them; for fuzzing.
#[must_use]
pub fn encode(snapshot: &SavedSnapshot) -> Vec<u8> {
    [&header(snapshot)[..], &snapshot.state].concat()
}

/// Reads a snapshot; refuses it when a byte is not what it was.
pub(crate) fn read(disk: &dyn Disk, name: &str) -> Result<SavedSnapshot, JournalError> {
    let bytes = files::read(disk, name)?;
    decode(&bytes).map_err(|detail| JournalError::Damaged {
        path: disk.path(name),
        offset: 0,
        detail: detail.to_owned(),
    })
}

/// Reads a snapshot's bytes; says what is not as it was written.
pub fn decode(bytes: &[u8]) -> Result<SavedSnapshot, &'static str> {
    if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC {
        return Err("it does not begin like a snapshot");
    }
    let number = |at: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(eight)
    };
    let snapshot = SavedSnapshot {
        index: LogIndex(number(8)),
        epoch: Epoch(number(16)),
        state: bytes[HEADER_BYTES..].to_vec(),
    };
    if header(&snapshot)[..] != bytes[..HEADER_BYTES] {
        return Err("a snapshot's length or checksum does not match");
    }
    Ok(snapshot)
}

/// The newest snapshot that can be read and reaches no further than `upto`; others are left in place.
pub(crate) fn newest(
    disk: &dyn Disk,
    upto: LogIndex,
) -> Result<Option<SavedSnapshot>, JournalError> {
    let mut first_error = None;
    let within = |index: &u64| *index <= upto.0;
    for index in files::snapshots(disk)?.into_iter().rev().filter(within) {
        match read(disk, &files::snapshot_name(index)) {
            Ok(snapshot) => return Ok(Some(snapshot)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(None), Err)
}
