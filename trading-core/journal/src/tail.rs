//! Following the committed log beside a journal that goes on writing.
//!
//! ```text
//!   segment │ entry 7 │ entry 8 │ 8 again │ 9 │ zeros …       places: 7, 8 (the second), 9
//!                                             ▲
//!                                scan goes on here, never from the beginning
//! ```
//!
//! [`crate::read_committed`] reads whole segments for an audit; who wants each entry soon after its
//! commit reads only what was written since. An entry can be written again until it is committed, so
//! the tail notes places and yields an entry when the owner says that it is committed: all that was
//! written before is scanned first.

use crate::LogEntry;
use crate::disk::{Disk, FolderDisk};
use crate::error::{JournalError, io_error};
use crate::files;
use crate::format::{self, Found, HEADER_BYTES, Record};
use crate::reader;
use crate::snapshot::{self, SavedSnapshot};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use types::{Epoch, LogIndex};

/// Read at a time while scanning.
const CHUNK_BYTES: usize = 1 << 20;

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: u64,
    segment: u64,
    offset: u64,
    bytes: usize,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFrom {
    /// At an entry; at the oldest snapshot behind it where the log no longer reaches back so far.
    Entry(LogIndex),
    /// At the newest snapshot, or at the log's beginning where there is none.
    NewestSnapshot,
}

/// A reader that stands at the end of a log and goes on with it.
#[derive(Debug)]
pub struct Tail {
    disk: Arc<dyn Disk>,
    /// The segment that is scanned, and from where on; none before the first is there.
    scanned: Option<(u64, u64)>,
    places: VecDeque<Place>,
    /// The next entry to yield.
    next: u64,
    /// Where the log begins, as far as scanned: entries before it are in a snapshot.
    first: u64,
}

impl Tail {
    /// Stands where the log is to be followed from; gives the snapshot to begin with, where one is
    /// needed.
    ///
    /// # Errors
    /// [`JournalError::NotKept`] when neither entries nor a snapshot reach back far enough, other
    /// errors when files cannot be read.
    pub fn open(
        folder: &Path,
        from: TailFrom,
    ) -> Result<(Self, Option<SavedSnapshot>), JournalError> {
        Self::open_on(Arc::new(FolderDisk::new(folder)), from)
    }

    /// [`Tail::open`] on any disk.
    ///
    /// # Errors
    /// As there.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        from: TailFrom,
    ) -> Result<(Self, Option<SavedSnapshot>), JournalError> {
        let mut snapshot = match from {
            TailFrom::Entry(_) => None,
            TailFrom::NewestSnapshot => snapshot::newest(&*disk, LogIndex(u64::MAX))?,
        };
        let next = match (from, &snapshot) {
            (TailFrom::Entry(index), _) => index.0.max(1),
            (TailFrom::NewestSnapshot, Some(snapshot)) => snapshot.index.0 + 1,
            (TailFrom::NewestSnapshot, None) => 1,
        };
        let segments = reader::segments_from(&*disk, LogIndex(next))?;
        let mut tail = Self {
            scanned: segments.first().map(|segment| (*segment, 0)),
            places: VecDeque::new(),
            next,
            first: 1,
            disk,
        };
        tail.scan()?;
        if tail.next < tail.first {
            let first = LogIndex(tail.first);
            let found = reader::oldest_usable(&*tail.disk, first)?;
            let found = found.ok_or_else(|| tail.not_kept())?;
            tail.next = found.index.0 + 1;
            snapshot = Some(found);
        }
        Ok((tail, snapshot))
    }

    /// The next entry that it yields.
    #[must_use]
    pub fn next_index(&self) -> LogIndex {
        LogIndex(self.next)
    }

    /// Appends the next entries, `entries_max` at most, up to `committed`, which the owner knows to be
    /// committed already; gives how many. Fewer than are committed come when the disk does not show
    /// them yet: ask again.
    ///
    /// # Errors
    /// [`JournalError::NotKept`] when a peer's snapshot has taken the place of the log: open another
    /// tail. Other errors when files cannot be read.
    pub fn take(
        &mut self,
        committed: LogIndex,
        entries_max: usize,
        entries: &mut Vec<LogEntry>,
    ) -> Result<usize, JournalError> {
        if self.next > committed.0 {
            return Ok(0);
        }
        self.scan()?;
        if self.next < self.first {
            return Err(self.not_kept());
        }
        let mut taken = 0;
        while taken < entries_max {
            let Some(place) = self.places.front().copied() else {
                break;
            };
            if place.index > committed.0 {
                break;
            }
            self.places.pop_front();
            if place.index < self.next {
                continue;
            }
            entries.push(self.read(place)?);
            self.next = place.index + 1;
            taken += 1;
        }
        Ok(taken)
    }

    fn not_kept(&self) -> JournalError {
        JournalError::NotKept {
            index: LogIndex(self.next),
            epoch: Epoch(0),
            first: LogIndex(self.first),
        }
    }

    fn read(&self, place: Place) -> Result<LogEntry, JournalError> {
        let name = files::segment_name(place.segment);
        let bytes = self.read_at(&name, place.offset, place.bytes)?;
        match format::decode(&bytes) {
            Found::Record(format::Placed {
                record: Record::Entry(entry),
                ..
            }) => Ok(entry),
            _ => Err(reader::changed(
                self.disk.path(&name),
                usize::try_from(place.offset).unwrap_or(usize::MAX),
            )),
        }
    }

    fn read_at(&self, name: &str, offset: u64, bytes: usize) -> Result<Vec<u8>, JournalError> {
        let read = self.disk.read_at(name, offset, bytes);
        read.map_err(io_error("read", &self.disk.path(name)))
    }

    /// Notes all that was written since, over the ends of segments.
    fn scan(&mut self) -> Result<(), JournalError> {
        loop {
            let Some((segment, _)) = self.scanned else {
                let segments = files::segments(&*self.disk)?;
                let Some(segment) = segments.first() else {
                    return Ok(());
                };
                self.scanned = Some((*segment, 0));
                continue;
            };
            let is_idle = !self.scan_segment()?;
            if !is_idle {
                continue;
            }
            let segments = files::segments(&*self.disk)?;
            let Some(next) = segments.into_iter().find(|it| *it > segment) else {
                return Ok(());
            };
            // Since there is a next one, nothing more is written to this one: what came between the
            // two looks is read now.
            while self.scan_segment()? {}
            self.scanned = Some((next, 0));
        }
    }

    /// Notes what a piece of the segment holds; whether there was a whole record.
    fn scan_segment(&mut self) -> Result<bool, JournalError> {
        let Some((segment, begin)) = self.scanned else {
            return Ok(false);
        };
        let name = files::segment_name(segment);
        let mut bytes = self.read_at(&name, begin, CHUNK_BYTES)?;
        let wanted = record_bytes(&bytes);
        if wanted > bytes.len() {
            bytes = self.read_at(&name, begin, wanted)?;
        }
        let mut at = 0;
        loop {
            let left = &bytes[at..];
            let length = record_bytes(left);
            // Zeros, or a record whose write has not come so far yet, or one that the piece cuts.
            if length == 0 || length > left.len() {
                break;
            }
            let Found::Record(placed) = format::decode(&left[..length]) else {
                break;
            };
            let offset = begin + at as u64;
            at += placed.encoded_bytes;
            self.note(&placed.record, segment, offset, placed.encoded_bytes);
        }
        self.scanned = Some((segment, begin + at as u64));
        Ok(at > 0)
    }

    fn note(&mut self, record: &Record, segment: u64, offset: u64, bytes: usize) {
        match record {
            Record::Entry(entry) => {
                let index = entry.index.0;
                while self.places.back().is_some_and(|place| place.index >= index) {
                    self.places.pop_back();
                }
                if self.places.is_empty() && index > self.next {
                    self.first = index;
                }
                self.places.push_back(Place {
                    index,
                    segment,
                    offset,
                    bytes,
                });
            }
            Record::Reset { index, .. } => {
                self.places.clear();
                self.first = index.0 + 1;
            }
            Record::HardState(_) => {}
        }
    }
}

/// How long the record at the start of `bytes` says that it is; 0 where none begins.
fn record_bytes(bytes: &[u8]) -> usize {
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        return 0;
    };
    if header.iter().all(|byte| *byte == 0) {
        return 0;
    }
    format::encoded_bytes(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HardState, Journal, Options, Sync};
    use types::ReplicaId;

    const OPTIONS: Options = Options {
        segment_bytes: 2048,
        retain_entries: 1_000,
        retain_bytes: 0,
    };

    fn append(journal: &mut Journal, index: u64, epoch: u64) {
        let state = HardState {
            epoch: Epoch(epoch),
            vote: ReplicaId(1),
            commit: LogIndex(index),
        };
        let entry = LogEntry {
            index: LogIndex(index),
            epoch: Epoch(epoch),
            data: vec![epoch as u8; 20 + index as usize % 7],
        };
        journal.append(vec![entry], Some(state), Sync::Now).unwrap();
    }

    fn take(tail: &mut Tail, committed: u64) -> Vec<(u64, u64)> {
        let mut entries = Vec::new();
        tail.take(LogIndex(committed), usize::MAX, &mut entries)
            .unwrap();
        let numbers = entries.iter().map(|it| (it.index.0, it.epoch.0));
        numbers.collect()
    }

    #[test]
    fn it_goes_on_with_what_is_written_over_the_ends_of_segments() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path(), OPTIONS).unwrap();
        let (mut tail, snapshot) = Tail::open(folder.path(), TailFrom::Entry(LogIndex(1))).unwrap();
        assert_eq!(snapshot, None);
        let mut seen = Vec::new();
        for index in 1..=200 {
            append(&mut journal, index, 1);
            if index % 3 == 0 {
                seen.extend(take(&mut tail, index));
            }
        }
        seen.extend(take(&mut tail, 200));
        let all: Vec<(u64, u64)> = (1..=200).map(|index| (index, 1)).collect();
        assert_eq!(seen, all);
        assert_eq!(take(&mut tail, 200), []);
    }

    #[test]
    fn an_entry_that_was_written_again_before_its_commit_comes_as_it_was_committed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path(), OPTIONS).unwrap();
        let (mut tail, _) = Tail::open(folder.path(), TailFrom::Entry(LogIndex(1))).unwrap();
        (1..=5).for_each(|index| append(&mut journal, index, 1));
        assert_eq!(take(&mut tail, 2), [(1, 1), (2, 1)]);
        append(&mut journal, 3, 2);
        assert_eq!(take(&mut tail, 5), [(3, 2)], "4 and 5 are no more");
        append(&mut journal, 4, 2);
        assert_eq!(take(&mut tail, 4), [(4, 2)]);
    }

    #[test]
    fn it_begins_at_a_snapshot_where_entries_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path(), OPTIONS).unwrap();
        (1..=100).for_each(|index| append(&mut journal, index, 1));
        for index in [60, 90] {
            let snapshot = SavedSnapshot {
                index: LogIndex(index),
                epoch: Epoch(1),
                state: vec![7],
            };
            journal.snapshot_writer().save(&snapshot).unwrap();
        }
        assert!(journal.truncate().unwrap() > 0);
        for (from, snapshot, next) in [
            (TailFrom::Entry(LogIndex(1)), Some(60), 61),
            (TailFrom::Entry(LogIndex(95)), None, 95),
            (TailFrom::NewestSnapshot, Some(90), 91),
        ] {
            let (mut tail, found) = Tail::open(folder.path(), from).unwrap();
            assert_eq!(found.map(|it| it.index.0), snapshot, "{from:?}");
            let entries = take(&mut tail, 100);
            assert_eq!(entries.first(), Some(&(next, 1)), "{from:?}");
            assert_eq!(entries.last(), Some(&(100, 1)), "{from:?}");
        }
    }

    #[test]
    fn a_peers_snapshot_in_place_of_the_log_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path(), OPTIONS).unwrap();
        let (mut tail, _) = Tail::open(folder.path(), TailFrom::Entry(LogIndex(1))).unwrap();
        append(&mut journal, 1, 1);
        assert_eq!(take(&mut tail, 1), [(1, 1)]);
        let snapshot = SavedSnapshot {
            index: LogIndex(50),
            epoch: Epoch(2),
            state: vec![7],
        };
        let hard_state = HardState {
            epoch: Epoch(2),
            vote: ReplicaId(1),
            commit: LogIndex(50),
        };
        journal.install(&snapshot, hard_state).unwrap();
        let lost = tail.take(LogIndex(50), 10, &mut Vec::new());
        assert!(
            matches!(lost, Err(JournalError::NotKept { .. })),
            "{lost:?}"
        );
        let from = TailFrom::Entry(tail.next_index());
        let (mut tail, found) = Tail::open(folder.path(), from).unwrap();
        assert_eq!(found, Some(snapshot));
        append(&mut journal, 51, 2);
        assert_eq!(take(&mut tail, 51), [(51, 2)]);
    }
}
