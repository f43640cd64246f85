//! A log that is damaged where something was promised: kept aside for those who examine it, and out
//! of the way of the one that the peers give again.
//!
//! ```text
//!   segment-…1  segment-…4711  snapshot-…20000        damaged-segment-…1  damaged-segment-…4711  …
//!                  ▲ damaged                   ──►    unproven: which file, where, what stands there
//! ```
//!
//! The mark comes first and is on the disk before the first file moves: whenever power fails, what
//! is found next time is either still refused or known to be unproven.

use crate::disk::Disk;
use crate::error::JournalError;
use crate::files;

/// Stands in a folder from its first use until [`crate::Journal::prove`].
pub(crate) const UNPROVEN: &str = "unproven";
const DAMAGED: &str = "damaged-";
const NEW_LOG: &str = "this log has not caught up with its group yet\n";
const SET_ASIDE: &str = "the log that stood here was set aside: ";
const LOST: &str = "this log has lost what it had confirmed: ";

/// Marks a folder that is used for the first time.
pub(crate) fn mark_new(disk: &dyn Disk) -> Result<(), JournalError> {
    files::write_whole(disk, UNPROVEN, &[NEW_LOG.as_bytes()])
}

/// Marks a folder whose log is whole by itself, and lacks what it had confirmed.
pub(crate) fn mark_lost(disk: &dyn Disk, reason: &str) -> Result<(), JournalError> {
    files::write_whole(disk, UNPROVEN, &[LOST.as_bytes(), reason.as_bytes(), b"\n"])
}

/// What the mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// There is none.
    Proven,
    /// The folder was empty once.
    New,
    /// A damaged log was set aside, or one has lost what it had confirmed.
    SetAside(String),
}

pub(crate) fn read_mark(disk: &dyn Disk) -> Result<Mark, JournalError> {
    if !files::list(disk)?.iter().any(|name| name == UNPROVEN) {
        return Ok(Mark::Proven);
    }
    let text = files::read(disk, UNPROVEN)?;
    let text = String::from_utf8_lossy(&text);
    let reason = text.strip_prefix(SET_ASIDE).or(text.strip_prefix(LOST));
    Ok(match reason {
        Some(reason) => Mark::SetAside(reason.trim_end().to_owned()),
        None if text == NEW_LOG => Mark::New,
        // Whatever it was, it is no proof, and no sign of a first use.
        None => Mark::SetAside("the mark itself cannot be read".into()),
    })
}

/// Moves the log and its snapshots aside. Evidence of an earlier time goes.
pub(crate) fn set_aside(disk: &dyn Disk, reason: &str) -> Result<(), JournalError> {
    files::write_whole(
        disk,
        UNPROVEN,
        &[SET_ASIDE.as_bytes(), reason.as_bytes(), b"\n"],
    )?;
    let names = files::list(disk)?;
    for name in names.iter().filter(|name| name.starts_with(DAMAGED)) {
        files::remove(disk, name)?;
    }
    for name in names.iter().filter(|name| files::is_log(name)) {
        files::rename(disk, name, &format!("{DAMAGED}{name}"))?;
    }
    files::sync_folder(disk)
}

#[cfg(test)]
mod tests {
    use crate::{HardState, Journal, JournalError, LogEntry, Options, Sync};
    use std::fs;
    use std::path::Path;
    use types::{Epoch, LogIndex, ReplicaId};

    const OPTIONS: Options = Options {
        segment_bytes: 4096,
        retain_entries: 100,
        retain_bytes: u64::MAX,
    };

    /// Two synced writes; a byte of the first is not what it was.
    fn damaged(folder: &Path) {
        let (mut journal, _) = Journal::open(folder, OPTIONS).unwrap();
        for index in 1..=2 {
            let entry = LogEntry {
                index: LogIndex(index),
                epoch: Epoch(1),
                data: vec![7; 40],
            };
            let state = HardState {
                epoch: Epoch(1),
                vote: ReplicaId(1),
                commit: LogIndex(index),
            };
            journal.append(vec![entry], Some(state), Sync::Now).unwrap();
        }
        journal.prove().unwrap();
        drop(journal);
        let path = folder.join("segment-00000000000000000001");
        let mut bytes = fs::read(&path).unwrap();
        bytes[60] ^= 1;
        fs::write(&path, &bytes).unwrap();
    }

    #[test]
    fn a_damaged_log_is_set_aside_whole_and_an_unproven_one_begins() {
        let folder = tempfile::tempdir().unwrap();
        damaged(folder.path());
        let evidence = fs::read(folder.path().join("segment-00000000000000000001")).unwrap();
        assert!(matches!(
            Journal::open(folder.path(), OPTIONS),
            Err(JournalError::Damaged { .. })
        ));
        let (journal, recovered) = Journal::open_or_set_aside(folder.path(), OPTIONS).unwrap();
        assert!(recovered.unproven && recovered.entries.is_empty());
        let reason = recovered.set_aside.unwrap();
        assert!(reason.contains("at byte 0"), "{reason}");
        let kept = folder.path().join("damaged-segment-00000000000000000001");
        assert_eq!(fs::read(kept).unwrap(), evidence);
        drop(journal);
        // A restart before it has caught up still knows.
        let (mut journal, recovered) = Journal::open(folder.path(), OPTIONS).unwrap();
        assert!(recovered.unproven && recovered.set_aside.is_some());
        journal.prove().unwrap();
        drop(journal);
        let (_, recovered) = Journal::open(folder.path(), OPTIONS).unwrap();
        assert!(!recovered.unproven && recovered.set_aside.is_none());
    }

    #[test]
    fn a_whole_log_is_opened_as_ever() {
        let folder = tempfile::tempdir().unwrap();
        let (_, recovered) = Journal::open_or_set_aside(folder.path(), OPTIONS).unwrap();
        assert!(recovered.unproven && recovered.set_aside.is_none());
    }

    #[test]
    fn a_mark_that_cannot_be_read_is_no_first_use() {
        let folder = tempfile::tempdir().unwrap();
        drop(Journal::open(folder.path(), OPTIONS).unwrap());
        fs::write(folder.path().join("unproven"), b"\0\0\0").unwrap();
        let (_, recovered) = Journal::open(folder.path(), OPTIONS).unwrap();
        assert!(recovered.set_aside.is_some());
    }
}
