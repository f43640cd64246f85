//! Reading the committed log for an audit, beside a journal that goes on writing.

use crate::disk::{Disk, FolderDisk};
use crate::error::JournalError;
use crate::files;
use crate::format::{self, Found, Record};
use crate::snapshot::{self, SavedSnapshot};
use crate::{HardState, LogEntry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{Epoch, LogIndex};

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    offset: usize,
}

/// The committed log from some entry on: a snapshot, where older entries are gone, then entries
/// without gaps.
#[derive(Debug)]
pub struct CommittedLog {
    disk: Arc<dyn Disk>,
    snapshot: Option<SavedSnapshot>,
    first: LogIndex,
    places: Vec<Place>,
    next: usize,
    open: Option<(u64, Vec<u8>)>,
}

/// Finds the entries from `from` up to and with `commit`. What is written meanwhile does no harm:
/// committed entries do not change.
///
/// # Errors
/// [`JournalError::NotKept`] when neither entries nor a snapshot reach back far enough, other
/// errors when files cannot be read.
pub fn read_committed(
    folder: &Path,
    from: LogIndex,
    commit: LogIndex,
) -> Result<CommittedLog, JournalError> {
    read_committed_on(Arc::new(FolderDisk::new(folder)), from, commit)
}

/// [`read_committed`] on any disk.
///
/// # Errors
/// As there.
pub fn read_committed_on(
    disk: Arc<dyn Disk>,
    from: LogIndex,
    commit: LogIndex,
) -> Result<CommittedLog, JournalError> {
    let from = LogIndex(from.0.max(1));
    let (first, places) = find(&*disk, from)?;
    let mut log = CommittedLog {
        disk,
        snapshot: None,
        first: from,
        places: Vec::new(),
        next: 0,
        open: None,
    };
    if from.0 > commit.0 {
        return Ok(log);
    }
    if from < first {
        let snapshot = oldest_usable(&*log.disk, first)?.ok_or(JournalError::NotKept {
            index: from,
            epoch: Epoch(0),
            first,
        })?;
        log.first = LogIndex(snapshot.index.0 + 1);
        log.snapshot = Some(snapshot);
    }
    let skip = (log.first.0 - first.0.min(log.first.0)) as usize;
    let count = (commit.0 + 1).saturating_sub(log.first.0) as usize;
    log.places = places.into_iter().skip(skip).take(count).collect();
    if log.places.len() < count {
        return Err(JournalError::NotKept {
            index: commit,
            epoch: Epoch(0),
            first,
        });
    }
    Ok(log)
}

/// What a data directory holds, found without taking it or changing a byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// The last hard state.
    pub hard_state: HardState,
    /// The last entry that can be read: index and epoch; 0 where there is neither entry nor snapshot.
    pub last: (LogIndex, Epoch),
    /// The newest snapshot that can be read.
    pub snapshot: Option<SavedSnapshot>,
    /// Entries without gaps up to the last, those before the snapshot as far as they are kept.
    pub entries: Vec<LogEntry>,
}

/// Reads a whole data directory, the tail that is not committed included. Nothing should write to it
/// meanwhile.
///
/// # Errors
/// [`JournalError`] when files cannot be read.
pub fn inspect(folder: &Path) -> Result<Inspected, JournalError> {
    let disk = FolderDisk::new(folder);
    let mut found = Inspected {
        snapshot: snapshot::newest(&disk, LogIndex(u64::MAX))?,
        ..Inspected::default()
    };
    for segment in files::segments(&disk)? {
        let bytes = files::read(&disk, &files::segment_name(segment))?;
        let mut offset = 0;
        while let Found::Record(placed) = format::decode(&bytes[offset..]) {
            offset += placed.encoded_bytes;
            match placed.record {
                Record::Entry(entry) => {
                    while found.entries.last().is_some_and(|e| e.index >= entry.index) {
                        found.entries.pop();
                    }
                    found.entries.push(entry);
                }
                Record::Reset { .. } => found.entries.clear(),
                Record::HardState(state) => found.hard_state = state,
            }
        }
    }
    let snapshot = found.snapshot.as_ref().map(|s| (s.index, s.epoch));
    let entry = found.entries.last().map(|entry| (entry.index, entry.epoch));
    found.last = entry.max(snapshot).unwrap_or_default();
    Ok(found)
}

pub(crate) fn oldest_usable(
    disk: &dyn Disk,
    first: LogIndex,
) -> Result<Option<SavedSnapshot>, JournalError> {
    for index in files::snapshots(disk)? {
        if index + 1 >= first.0
            && let Ok(snapshot) = snapshot::read(disk, &files::snapshot_name(index))
        {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

/// The segments in which committed entries from `from` on stand: a segment that begins with an entry
/// no later holds, with those behind it, all that was not written again since.
pub(crate) fn segments_from(disk: &dyn Disk, from: LogIndex) -> Result<Vec<u64>, JournalError> {
    let mut segments = files::segments(disk)?;
    let mut number = segments.len();
    while number > 1 {
        number -= 1;
        let bytes = files::read(disk, &files::segment_name(segments[number]))?;
        if first_index(&bytes).is_some_and(|first| first <= from) {
            segments.drain(..number);
            break;
        }
    }
    Ok(segments)
}

fn first_index(bytes: &[u8]) -> Option<LogIndex> {
    let mut offset = 0;
    while let Found::Record(placed) = format::decode(&bytes[offset..]) {
        match placed.record {
            Record::Entry(entry) => return Some(entry.index),
            // What stands before it counts no longer, and what comes after is told by it alone.
            Record::Reset { .. } => return None,
            Record::HardState(_) => offset += placed.encoded_bytes,
        }
    }
    None
}

/// The first entry's index, and where it and all behind it stand; nothing much before `from`.
fn find(disk: &dyn Disk, from: LogIndex) -> Result<(LogIndex, Vec<Place>), JournalError> {
    let (mut first, mut places) = (LogIndex(1), Vec::new());
    for segment in segments_from(disk, from)? {
        let bytes = files::read(disk, &files::segment_name(segment))?;
        let mut offset = 0;
        // The end of what can be read is the end of what is promised: the journal checked the rest
        // when it was opened.
        while let Found::Record(placed) = format::decode(&bytes[offset..]) {
            match placed.record {
                Record::Entry(entry) => {
                    if places.is_empty() {
                        first = entry.index;
                    }
                    let keep = entry.index.0.saturating_sub(first.0) as usize;
                    places.truncate(keep);
                    if keep == 0 {
                        first = entry.index;
                    }
                    places.push(Place { segment, offset });
                }
                Record::Reset { index, .. } => {
                    places.clear();
                    first = LogIndex(index.0 + 1);
                }
                Record::HardState(_) => {}
            }
            offset += placed.encoded_bytes;
        }
    }
    Ok((first, places))
}

impl CommittedLog {
    /// The snapshot with which the log begins, where older entries are no longer kept.
    pub fn take_snapshot(&mut self) -> Option<SavedSnapshot> {
        self.snapshot.take()
    }

    /// How many entries come.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.places.len()
    }

    fn read(&mut self, place: Place) -> Result<LogEntry, JournalError> {
        let name = files::segment_name(place.segment);
        let bytes = match self.open.take() {
            Some((segment, bytes)) if segment == place.segment => bytes,
            _ => files::read(&*self.disk, &name)?,
        };
        let found = format::decode(&bytes[place.offset..]);
        self.open = Some((place.segment, bytes));
        match found {
            Found::Record(placed) => match placed.record {
                Record::Entry(entry) => Ok(entry),
                _ => Err(changed(self.disk.path(&name), place.offset)),
            },
            _ => Err(changed(self.disk.path(&name), place.offset)),
        }
    }
}

pub(crate) fn changed(path: PathBuf, offset: usize) -> JournalError {
    JournalError::Damaged {
        path,
        offset: offset as u64,
        detail: "an entry that could be read a moment ago is gone".into(),
    }
}

impl Iterator for CommittedLog {
    type Item = Result<LogEntry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = *self.places.get(self.next)?;
        self.next += 1;
        Some(self.read(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Journal, Options, Sync};
    use types::ReplicaId;

    const OPTIONS: Options = Options {
        segment_bytes: 2048,
        retain_entries: 1_000,
        retain_bytes: 0,
    };

    fn entry(index: u64, epoch: u64) -> LogEntry {
        LogEntry {
            index: LogIndex(index),
            epoch: Epoch(epoch),
            data: vec![epoch as u8; 20],
        }
    }

    fn journal(folder: &Path) -> Journal {
        let (mut journal, _) = Journal::open(folder, OPTIONS).unwrap();
        for index in 1..=100 {
            let state = HardState {
                epoch: Epoch(1),
                vote: ReplicaId(1),
                commit: LogIndex(index),
            };
            journal
                .append(vec![entry(index, 1)], Some(state), Sync::Now)
                .unwrap();
        }
        journal.append(vec![entry(99, 2)], None, Sync::Now).unwrap();
        journal
    }

    fn read(log: CommittedLog) -> Vec<(u64, u64)> {
        log.map(|entry| entry.map(|e| (e.index.0, e.epoch.0)).unwrap())
            .collect()
    }

    #[test]
    fn an_audit_reads_what_took_effect_beside_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let _journal = journal(folder.path());
        let log = read_committed(folder.path(), LogIndex(97), LogIndex(99)).unwrap();
        assert_eq!(read(log), [(97, 1), (98, 1), (99, 2)]);
        let all = read_committed(folder.path(), LogIndex(0), LogIndex(99)).unwrap();
        assert_eq!(all.entries(), 99);
    }

    #[test]
    fn an_audit_begins_with_a_snapshot_where_entries_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        for index in [60, 90] {
            let snapshot = SavedSnapshot {
                index: LogIndex(index),
                epoch: Epoch(1),
                state: vec![7],
            };
            journal.snapshot_writer().save(&snapshot).unwrap();
        }
        assert!(journal.truncate().unwrap() > 0);
        let mut log = read_committed(folder.path(), LogIndex(1), LogIndex(99)).unwrap();
        assert_eq!(log.take_snapshot().unwrap().index, LogIndex(60));
        let entries = read(log);
        assert_eq!((entries[0], entries[38]), ((61, 1), (99, 2)));
    }

    #[test]
    fn an_inspection_sees_the_tail_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(journal(folder.path()));
        let found = inspect(folder.path()).unwrap();
        assert_eq!(found.last, (LogIndex(99), Epoch(2)));
        assert_eq!(found.hard_state.commit, LogIndex(100));
        assert_eq!(found.entries.len(), 99);
        assert_eq!(inspect(folder.path()).unwrap(), found);
    }

    #[test]
    fn entries_that_are_not_there_are_an_error_not_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let _journal = journal(folder.path());
        assert!(matches!(
            read_committed(folder.path(), LogIndex(1), LogIndex(200)),
            Err(JournalError::NotKept { .. })
        ));
    }
}
