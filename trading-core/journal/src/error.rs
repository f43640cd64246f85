//! What can go wrong with the log on disk.

use std::io;
use std::path::{Path, PathBuf};
use types::{Epoch, LogIndex};

/// Why the journal cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Another process has the folder.
    #[error(
        "failed to lock {path}: another process runs on this data directory: stop it first, or \
         give this replica a directory of its own"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Bytes that were synced are not what they were.
    #[error(
        "failed to read {path} at byte {offset}: {detail}: what was promised is damaged, so this \
         replica must not serve: keep the directory for examination, start the replica on an empty \
         one, and it is rebuilt from its peers"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What stands there.
        detail: String,
    },
    /// An entry that does not follow the last one.
    #[error("failed to append entry {index}: the journal ends at entry {last}")]
    Gap {
        /// The entry.
        index: LogIndex,
        /// The last one there is.
        last: LogIndex,
    },
    /// One record is larger than a segment.
    #[error(
        "failed to append entry {index} of {length} bytes: the largest is {length_max}: raise \
         journal.segment_bytes"
    )]
    TooLarge {
        /// The entry.
        index: LogIndex,
        /// Its length in bytes.
        length: usize,
        /// The largest that fits, in bytes.
        length_max: usize,
    },
    /// Entries that are asked for are gone.
    #[error(
        "failed to read entry {index} of epoch {epoch} and before: the journal begins at entry \
         {first}"
    )]
    NotKept {
        /// What was asked for.
        index: LogIndex,
        /// Its epoch, where known.
        epoch: Epoch,
        /// The first entry there is.
        first: LogIndex,
    },
}

pub(crate) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> JournalError + 'a {
    move |source| JournalError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
