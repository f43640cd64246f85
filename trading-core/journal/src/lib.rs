//! The log on disk: what a replica promised, checksummed and synced before it is promised.
//!
//! ```text
//!  data directory
//!  ├── lock                         held while the replica runs: no second process
//!  ├── segment-00000000000000000001 zeros written beforehand, then records one after the other
//!  ├── segment-00000000000000004711 │ length │ crc32 │ position │ write start │ kind │ payload │ …
//!  ├── spare                        the next segment, being made ready
//!  ├── unproven                     this log must still catch up with its group
//!  ├── damaged-…                    files of a log that was set aside, as evidence
//!  ├── snapshot-00000000000000020000  state up to and with that entry; the last two are kept
//!  └── snapshot-00000000000000040000
//! ```
//!
//! # Guarantees
//! - What [`Journal::append`] wrote is on the disk when it returns with [`Sync::Now`]; an error
//!   there is final: the process must end, for nobody knows what the disk holds.
//! - A write that power cut short is cut off when the journal is opened, for nothing in it was
//!   promised. Damage to what was synced is never cut: [`JournalError::Damaged`] names file and
//!   offset. [`Journal::open_or_set_aside`] keeps such a log as evidence and begins an unproven one,
//!   which the peers fill again.
//! - Entries are only deleted below the older of two snapshots, so a damaged newest snapshot loses
//!   nothing.
//! - One process at a time.

mod disk;
mod error;
mod evidence;
mod files;
mod format;
mod journal;
mod reader;
mod snapshot;
mod tail;

pub use disk::{Aside, Disk, DiskFile, FolderDisk, Job, Lock};
pub use error::JournalError;
pub use journal::{Journal, Options, Recovered, Sync};
pub use reader::{CommittedLog, Inspected, inspect, read_committed, read_committed_on};
pub use snapshot::{SavedSnapshot, SnapshotWriter};
pub use tail::{Tail, TailFrom};

#[doc(hidden)]
pub use format::{example_record, reads_what_it_writes};
#[doc(hidden)]
pub use snapshot::{decode as read_snapshot_bytes, encode as write_snapshot_bytes};

use types::{Epoch, LogIndex, ReplicaId};

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place.
    pub index: LogIndex,
    /// The epoch whose leader wrote it.
    pub epoch: Epoch,
    /// A batch in the log format; empty for a leader's opening entry.
    pub data: Vec<u8>,
}

/// What a replica must remember of elections, or it could vote twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The highest epoch it has seen.
    pub epoch: Epoch,
    /// For whom it voted in that epoch; 0 for nobody.
    pub vote: ReplicaId,
    /// The last entry that it knows to be committed.
    pub commit: LogIndex,
}
