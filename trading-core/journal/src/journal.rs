//! Opening, appending, cutting.

use crate::disk::{Disk, DiskFile, FolderDisk, Lock};
use crate::error::{JournalError, io_error};
use crate::evidence::{self, Mark, UNPROVEN};
use crate::files::{self, Spares};
use crate::format::{self, Found, HEADER_BYTES, Record};
use crate::snapshot::{self, SavedSnapshot, SnapshotWriter};
use crate::{HardState, LogEntry};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use types::{Epoch, LogIndex};

/// Sizes of the log on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of a segment in bytes; also bounds the largest entry.
    pub segment_bytes: usize,
    /// How many entries before the newest snapshot [`Recovered::entries`] still holds.
    pub retain_entries: u64,
    /// Segments below the older snapshot stay until the log is larger than this, in bytes: they are
    /// the evidence that audits replay.
    pub retain_bytes: u64,
}

/// Whether a write must be on the disk when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It must: something is promised on its strength.
    Now,
    /// The next one that must takes it along.
    Later,
}

/// What the disk held when the journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last hard state.
    pub hard_state: HardState,
    /// The newest snapshot.
    pub snapshot: Option<SavedSnapshot>,
    /// Entries without gaps, up to the last; those after the snapshot are all here.
    pub entries: VecDeque<LogEntry>,
    /// Bytes of a write that was cut short; nothing in it had been promised.
    pub torn_bytes: u64,
    /// The folder was empty once and nobody has called [`Journal::prove`] since: this replica may
    /// have promised things that it no longer knows.
    pub unproven: bool,
    /// Why the log that stood here was set aside, while this one is unproven: then it is known that
    /// there were promises.
    pub set_aside: Option<String>,
}

/// The log, open for writing.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    options: Options,
    segments: VecDeque<Segment>,
    file: Box<dyn DiskFile>,
    offset: usize,
    next_position: u64,
    /// The first record that was written since the last sync, or the next one.
    unsynced_position: u64,
    last_index: LogIndex,
    hard_state: HardState,
    spares: Spares,
    buffer: Vec<u8>,
    /// Held, not used: its lock ends with it.
    _lock: Box<dyn Lock>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first_position: u64,
    /// The highest entry in it; 0 for none.
    highest_index: LogIndex,
}

impl std::fmt::Debug for Spares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spares").finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the log in a folder, which is created when it is not there.
    ///
    /// # Errors
    /// [`JournalError`]; `Damaged` when what was promised cannot be read.
    pub fn open(folder: &Path, options: Options) -> Result<(Self, Recovered), JournalError> {
        Self::open_on(Arc::new(FolderDisk::new(folder)), options)
    }

    /// Opens the log on any disk.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        options: Options,
    ) -> Result<(Self, Recovered), JournalError> {
        let lock = disk.lock()?;
        files::sweep(&*disk)?;
        // A process that died between a change of names and its sync has promised nothing by them;
        // this one will.
        files::sync_folder(&*disk)?;
        let mut spares = Spares::new(&disk, options.segment_bytes);
        let mut replay = Replay::new(
            snapshot::newest(&*disk, LogIndex(u64::MAX))?,
            options.retain_entries,
        );
        let mut segments = VecDeque::new();
        let mut offset = 0;
        let positions = files::segments(&*disk)?;
        if positions.is_empty() {
            // One that was set aside stays marked as such.
            if evidence::read_mark(&*disk)? == Mark::Proven {
                evidence::mark_new(&*disk)?;
            }
        }
        let mark = evidence::read_mark(&*disk)?;
        replay.recovered.unproven = mark != Mark::Proven;
        if let Mark::SetAside(reason) = mark {
            replay.recovered.set_aside = Some(reason);
        }
        for (number, first_position) in positions.iter().enumerate() {
            let last = number + 1 == positions.len();
            let highest_index;
            (offset, highest_index) = replay.segment(&*disk, *first_position, last)?;
            segments.push_back(Segment {
                first_position: *first_position,
                highest_index,
            });
        }
        let next_position = replay.next_position.unwrap_or(1);
        let file = match segments.back() {
            Some(segment) => files::open(&*disk, &files::segment_name(segment.first_position))?,
            None => {
                segments.push_back(Segment {
                    first_position: next_position,
                    highest_index: LogIndex(0),
                });
                spares.take(next_position)?
            }
        };
        spares.prepare();
        let place = disk.path(&files::segment_name(next_position));
        let (recovered, reset) = replay.finish(&place)?;
        let mut journal = Self {
            disk,
            options,
            segments,
            file,
            offset,
            next_position,
            // What was read was synced again.
            unsynced_position: next_position,
            last_index: recovered.last_index(),
            hard_state: recovered.hard_state,
            spares,
            buffer: Vec::new(),
            _lock: lock,
        };
        if let Some((index, epoch)) = reset {
            journal.write(&[Record::Reset { index, epoch }], Sync::Now)?;
        }
        Ok((journal, recovered))
    }

    /// Opens the log; one that is damaged is set aside as evidence, and an empty and unproven one
    /// takes its place, for the peers to fill.
    ///
    /// # Errors
    /// As [`Journal::open`], but for `Damaged`.
    pub fn open_or_set_aside(
        folder: &Path,
        options: Options,
    ) -> Result<(Self, Recovered), JournalError> {
        Self::open_or_set_aside_on(Arc::new(FolderDisk::new(folder)), options)
    }

    /// [`Journal::open_or_set_aside`] on any disk.
    ///
    /// # Errors
    /// As there.
    pub fn open_or_set_aside_on(
        disk: Arc<dyn Disk>,
        options: Options,
    ) -> Result<(Self, Recovered), JournalError> {
        match Self::open_on(disk.clone(), options) {
            Err(damage @ JournalError::Damaged { .. }) => {
                // Nobody else may come between.
                let _lock = disk.lock()?;
                evidence::set_aside(&*disk, &damage.to_string())?;
            }
            opened => return opened,
        }
        Self::open_on(disk, options)
    }

    /// Appends entries, then the hard state if it changed. An entry whose index is there already
    /// replaces it and all behind it.
    ///
    /// # Errors
    /// [`JournalError`]. After an `Io` error the process must end: what the disk holds is unknown.
    pub fn append(
        &mut self,
        entries: Vec<LogEntry>,
        hard_state: Option<HardState>,
        sync: Sync,
    ) -> Result<(), JournalError> {
        let mut records = Vec::with_capacity(entries.len() + 1);
        for entry in entries {
            if entry.index.0 > self.last_index.0 + 1 {
                return Err(JournalError::Gap {
                    index: entry.index,
                    last: self.last_index,
                });
            }
            self.last_index = entry.index;
            records.push(Record::Entry(entry));
        }
        if let Some(state) = hard_state {
            self.hard_state = state;
            records.push(Record::HardState(state));
        }
        self.write(&records, sync)
    }

    /// Puts a peer's snapshot in the place of the whole log.
    ///
    /// # Errors
    /// [`JournalError`]; the process must end, as with [`Journal::append`].
    pub fn install(
        &mut self,
        snapshot: &SavedSnapshot,
        hard_state: HardState,
    ) -> Result<(), JournalError> {
        self.snapshot_writer().save(snapshot)?;
        self.last_index = snapshot.index;
        self.hard_state = hard_state;
        let (index, epoch) = (snapshot.index, snapshot.epoch);
        self.write(
            &[
                Record::Reset { index, epoch },
                Record::HardState(hard_state),
            ],
            Sync::Now,
        )
    }

    /// Notes that the log has caught up with its group, so that its word counts in elections.
    ///
    /// # Errors
    /// [`JournalError`] when the note cannot be written.
    pub fn prove(&mut self) -> Result<(), JournalError> {
        match self.disk.remove(UNPROVEN) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_error("remove", &self.disk.path(UNPROVEN))(error))
            }
            _ => files::sync_folder(&*self.disk),
        }
    }

    /// Says that this log lacks what it had confirmed, until [`Journal::prove`].
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be written down.
    pub fn doubt(&mut self, reason: &str) -> Result<(), JournalError> {
        evidence::mark_lost(&*self.disk, reason)
    }

    /// A handle that saves snapshots of this log's state.
    #[must_use]
    pub fn snapshot_writer(&self) -> SnapshotWriter {
        SnapshotWriter::new(&self.disk)
    }

    /// Deletes segments that the older of two snapshots makes needless, oldest first, while the log
    /// is larger than it may be. Gives back how many went.
    ///
    /// # Errors
    /// [`JournalError`] when a file cannot be removed; the log is whole then.
    pub fn truncate(&mut self) -> Result<usize, JournalError> {
        let snapshots = files::snapshots(&*self.disk)?;
        if snapshots.len() < snapshot::KEPT {
            return Ok(0);
        }
        let mut removed = 0;
        while self.segments.len() > 1
            && self.bytes() > self.options.retain_bytes
            && self.segments[0].highest_index.0 <= snapshots[0]
        {
            let name = files::segment_name(self.segments[0].first_position);
            files::remove(&*self.disk, &name)?;
            self.segments.pop_front();
            removed += 1;
        }
        Ok(removed)
    }

    /// Bytes that the segments take on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.segments.len() * self.options.segment_bytes) as u64
    }

    /// The last entry.
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        self.last_index
    }

    fn write(&mut self, records: &[Record], sync: Sync) -> Result<(), JournalError> {
        for record in records {
            let bytes = record.encoded_bytes();
            if self.offset + self.buffer.len() + bytes > self.options.segment_bytes {
                let room =
                    self.options.segment_bytes - Record::HardState(self.hard_state).encoded_bytes();
                if let Record::Entry(entry) = record
                    && bytes > room
                {
                    return Err(JournalError::TooLarge {
                        index: entry.index,
                        length: entry.data.len(),
                        length_max: room - HEADER_BYTES - 16,
                    });
                }
                self.rotate()?;
            }
            // Power may lose any of what one sync takes along and keep the rest: until then it is one
            // write, in however many parts it came.
            record.encode(self.next_position, self.unsynced_position, &mut self.buffer);
            self.next_position += 1;
            self.note(record);
        }
        self.flush()?;
        match sync {
            Sync::Now => self.sync(),
            Sync::Later => Ok(()),
        }
    }

    /// Begins the next segment, with the hard state first, so that older ones can go.
    fn rotate(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        self.sync()?;
        self.file = self.spares.take(self.next_position)?;
        self.spares.prepare();
        self.offset = 0;
        self.segments.push_back(Segment {
            first_position: self.next_position,
            highest_index: LogIndex(0),
        });
        let position = self.next_position;
        Record::HardState(self.hard_state).encode(position, position, &mut self.buffer);
        self.next_position += 1;
        Ok(())
    }

    fn note(&mut self, record: &Record) {
        if let (Record::Entry(entry), Some(segment)) = (record, self.segments.back_mut()) {
            segment.highest_index = segment.highest_index.max(entry.index);
        }
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        self.file
            .write_at(&self.buffer, self.offset as u64)
            .map_err(|source| self.failed("write", source))?;
        self.offset += self.buffer.len();
        self.buffer.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.file
            .sync()
            .map_err(|source| self.failed("sync", source))?;
        self.unsynced_position = self.next_position;
        Ok(())
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> JournalError {
        let first = self.segments.back().map_or(0, |s| s.first_position);
        io_error(action, &self.disk.path(&files::segment_name(first)))(source)
    }
}

impl Recovered {
    /// The last entry, or the one up to which the snapshot reaches.
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        let snapshot = self.snapshot.as_ref().map_or(LogIndex(0), |s| s.index);
        self.entries.back().map_or(snapshot, |entry| entry.index)
    }
}

/// What reading the segments one after the other has brought.
struct Replay {
    recovered: Recovered,
    retain_entries: u64,
    next_position: Option<u64>,
    /// After which entry the log begins, where a record says so.
    reset: Option<(LogIndex, Epoch)>,
    /// The last entry that is not held any more, for the snapshot covers it.
    let_go: Option<LogIndex>,
}

impl Replay {
    fn new(snapshot: Option<SavedSnapshot>, retain_entries: u64) -> Self {
        Self {
            recovered: Recovered {
                snapshot,
                ..Recovered::default()
            },
            retain_entries,
            next_position: None,
            reset: None,
            let_go: None,
        }
    }

    /// Reads one segment; gives back where the next record goes and the highest entry in it.
    fn segment(
        &mut self,
        disk: &dyn Disk,
        first_position: u64,
        last: bool,
    ) -> Result<(usize, LogIndex), JournalError> {
        let name = files::segment_name(first_position);
        let bytes = files::read(disk, &name)?;
        let damaged = |offset: usize, detail: String| JournalError::Damaged {
            path: disk.path(&name),
            offset: offset as u64,
            detail,
        };
        let expected = self.next_position.unwrap_or(first_position);
        if first_position != expected {
            let detail = format!("record {expected} is missing before this segment");
            return Err(damaged(0, detail));
        }
        let (mut offset, mut position) = (0, first_position);
        let mut highest_index = LogIndex(0);
        loop {
            match format::decode(&bytes[offset..]) {
                Found::Record(placed) if placed.position == position => {
                    if let Record::Entry(entry) = &placed.record {
                        highest_index = highest_index.max(entry.index);
                    }
                    self.record(placed.record)
                        .map_err(|detail| damaged(offset, detail))?;
                    offset += placed.encoded_bytes;
                    position += 1;
                }
                Found::Record(placed) => {
                    let detail =
                        format!("record {} stands where {position} should", placed.position);
                    return Err(damaged(offset, detail));
                }
                Found::End => break,
                // Too small for a record: the segment is full.
                Found::Broken(_) if bytes.len() - offset < HEADER_BYTES => break,
                Found::Broken(detail) => {
                    if !last || format::later_write_exists(&bytes[offset..], position) {
                        return Err(damaged(offset, detail.to_owned()));
                    }
                    self.recovered.torn_bytes = cut(disk, &name, &bytes, offset)?;
                    break;
                }
            }
        }
        if last {
            write_again(disk, &name, &bytes[..offset])?;
        }
        self.next_position = Some(position);
        Ok((offset, highest_index))
    }

    fn record(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Entry(entry) => self.entry(entry)?,
            Record::HardState(state) => self.recovered.hard_state = state,
            Record::Reset { index, epoch } => {
                self.recovered.entries.clear();
                self.let_go = None;
                self.reset = Some((index, epoch));
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: LogEntry) -> Result<(), String> {
        let entries = &mut self.recovered.entries;
        while entries.back().is_some_and(|last| last.index >= entry.index) {
            entries.pop_back();
        }
        // An entry that was let go may be replaced like any other: it too may have been written and
        // not committed when its leader fell.
        if self.let_go.is_some_and(|last| last >= entry.index) {
            self.let_go = Some(LogIndex(entry.index.0 - 1));
        }
        let last = entries
            .back()
            .map(|last| last.index)
            .or(self.let_go)
            .or(self.reset.map(|(index, _)| index));
        if let Some(last) = last
            && last.0 + 1 != entry.index.0
        {
            return Err(format!("entry {} stands behind entry {last}", entry.index));
        }
        entries.push_back(entry);
        let snapshot = self.recovered.snapshot.as_ref().map_or(0, |s| s.index.0);
        while entries
            .front()
            .is_some_and(|first| first.index.0 + self.retain_entries < snapshot)
        {
            self.let_go = entries.pop_front().map(|dropped| dropped.index);
        }
        Ok(())
    }

    /// Holds the log against the snapshot; says whether the log must begin anew after it.
    fn finish(
        mut self,
        place: &Path,
    ) -> Result<(Recovered, Option<(LogIndex, Epoch)>), JournalError> {
        let damaged = |detail: String| JournalError::Damaged {
            path: place.to_owned(),
            offset: 0,
            detail,
        };
        let recovered = &mut self.recovered;
        let mut reset = None;
        let after = recovered.snapshot.as_ref().map_or(0, |s| s.index.0);
        if let Some(first) = recovered.entries.front()
            && first.index.0 > after + 1
        {
            return Err(damaged(format!(
                "the log begins at entry {}, and no snapshot reaches up to it",
                first.index
            )));
        }
        if let Some((index, _)) = self.reset
            && recovered.entries.is_empty()
            && index.0 > after
        {
            return Err(damaged(format!(
                "the log begins after entry {index}, and no snapshot reaches up to it"
            )));
        }
        if let Some(snapshot) = &recovered.snapshot {
            let same = recovered
                .entries
                .iter()
                .find(|entry| entry.index == snapshot.index)
                .map(|entry| entry.epoch == snapshot.epoch);
            let continues = recovered
                .entries
                .front()
                .is_some_and(|first| first.index.0 == after + 1);
            if same != Some(true) && !continues {
                // A peer's snapshot was saved, and the process died before the log said so.
                recovered.entries.clear();
                reset = Some((snapshot.index, snapshot.epoch));
            }
            recovered.hard_state.commit = recovered.hard_state.commit.max(snapshot.index);
        }
        let (commit, last) = (recovered.hard_state.commit, recovered.last_index());
        if commit > last {
            return Err(damaged(format!(
                "entry {commit} is known to be committed, and the log ends at entry {last}"
            )));
        }
        Ok((self.recovered, reset))
    }
}

/// Writes and syncs what was read from the last segment. The process before may have died between a
/// write and its sync, or because its sync failed: then the operating system shows bytes that are not
/// on the disk, and after a failed sync it may never write them by itself. Earlier segments were
/// synced before the next one began. The bytes are the same, so a crash in between harms nothing.
///
/// Source: A. Rebello et al., *Can Applications Recover from fsync Failures?*, USENIX ATC 2020.
fn write_again(disk: &dyn Disk, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
    let file = files::open(disk, name)?;
    file.write_at(bytes, 0)
        .and_then(|()| file.sync())
        .map_err(io_error("write again and sync", &disk.path(name)))
}

/// Makes the segment's rest zeros again. Gives back how many bytes were none.
fn cut(disk: &dyn Disk, name: &str, bytes: &[u8], offset: usize) -> Result<u64, JournalError> {
    let rest = &bytes[offset..];
    let torn = rest
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let file = files::open(disk, name)?;
    file.write_at(&vec![0; torn], offset as u64)
        .and_then(|()| file.sync())
        .map_err(io_error("cut the torn end of", &disk.path(name)))?;
    Ok(torn as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;
    use types::ReplicaId;

    fn segment_path(folder: &Path, first_position: u64) -> PathBuf {
        folder.join(files::segment_name(first_position))
    }

    const OPTIONS: Options = Options {
        segment_bytes: 4096,
        retain_entries: 1_000,
        retain_bytes: 0,
    };

    fn open(folder: &Path) -> Result<(Journal, Recovered), JournalError> {
        Journal::open(folder, OPTIONS)
    }

    fn entry(index: u64, epoch: u64) -> LogEntry {
        LogEntry {
            index: LogIndex(index),
            epoch: Epoch(epoch),
            data: format!("entry {index} of epoch {epoch}").into_bytes(),
        }
    }

    fn state(epoch: u64, commit: u64) -> HardState {
        HardState {
            epoch: Epoch(epoch),
            vote: ReplicaId(2),
            commit: LogIndex(commit),
        }
    }

    fn snapshot(index: u64, epoch: u64) -> SavedSnapshot {
        SavedSnapshot {
            index: LogIndex(index),
            epoch: Epoch(epoch),
            state: format!("state at {index}").into_bytes(),
        }
    }

    fn indexes(recovered: &Recovered) -> Vec<(u64, u64)> {
        let entries = recovered.entries.iter();
        entries.map(|e| (e.index.0, e.epoch.0)).collect()
    }

    #[test]
    fn what_was_appended_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, empty) = open(folder.path()).unwrap();
        assert_eq!(
            empty,
            Recovered {
                unproven: true,
                ..Recovered::default()
            }
        );
        journal
            .append(vec![entry(1, 1), entry(2, 1)], Some(state(1, 1)), Sync::Now)
            .unwrap();
        journal
            .append(vec![], Some(state(1, 2)), Sync::Later)
            .unwrap();
        drop(journal);
        let (_, recovered) = open(folder.path()).unwrap();
        assert_eq!(recovered.entries, [entry(1, 1), entry(2, 1)]);
        assert_eq!(recovered.hard_state, state(1, 2));
    }

    #[test]
    fn a_later_epoch_replaces_what_was_not_committed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        let old = (1..=5).map(|index| entry(index, 1)).collect();
        journal.append(old, Some(state(1, 2)), Sync::Now).unwrap();
        journal
            .append(vec![entry(3, 2)], Some(state(2, 3)), Sync::Now)
            .unwrap();
        drop(journal);
        let (journal, recovered) = open(folder.path()).unwrap();
        assert_eq!(indexes(&recovered), [(1, 1), (2, 1), (3, 2)]);
        assert_eq!(journal.last_index(), LogIndex(3));
    }

    #[test]
    fn an_entry_that_leaves_a_gap_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        assert!(matches!(
            journal.append(vec![entry(2, 1)], None, Sync::Now),
            Err(JournalError::Gap { .. })
        ));
    }

    #[test]
    fn an_empty_folder_is_unproven_until_it_has_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        journal.append(vec![entry(1, 1)], None, Sync::Now).unwrap();
        drop(journal);
        let (mut journal, recovered) = open(folder.path()).unwrap();
        assert!(recovered.unproven);
        journal.prove().unwrap();
        drop(journal);
        assert!(!open(folder.path()).unwrap().1.unproven);
    }

    #[test]
    fn a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_journal, _) = open(folder.path()).unwrap();
        assert!(matches!(
            open(folder.path()),
            Err(JournalError::Locked { .. })
        ));
    }

    #[test]
    fn the_log_goes_on_over_segments() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        for index in 1..=300 {
            journal
                .append(vec![entry(index, 1)], Some(state(1, index)), Sync::Later)
                .unwrap();
        }
        assert!(journal.segments.len() > 3);
        drop(journal);
        let (_, recovered) = open(folder.path()).unwrap();
        assert_eq!(recovered.entries.len(), 300);
        assert_eq!(recovered.hard_state, state(1, 300));
    }

    #[test]
    fn an_entry_that_fits_no_segment_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        let mut large = entry(1, 1);
        large.data = vec![1; 5_000];
        assert!(matches!(
            journal.append(vec![large], None, Sync::Now),
            Err(JournalError::TooLarge { length: 5_000, .. })
        ));
    }

    /// Power can cut a write at any byte.
    #[test]
    fn a_torn_last_write_is_cut_wherever_it_tore() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        journal
            .append(vec![entry(1, 1)], Some(state(1, 1)), Sync::Now)
            .unwrap();
        let promised = journal.offset;
        journal
            .append(vec![entry(2, 1), entry(3, 1)], None, Sync::Now)
            .unwrap();
        let end = journal.offset;
        drop(journal);
        let path = segment_path(folder.path(), 1);
        let whole = fs::read(&path).unwrap();
        for torn in promised..end {
            let mut bytes = whole.clone();
            bytes[torn..].fill(0);
            fs::write(&path, &bytes).unwrap();
            let (mut journal, recovered) = open(folder.path()).unwrap();
            assert_eq!(recovered.entries[0], entry(1, 1), "torn at {torn}");
            assert_eq!(recovered.hard_state, state(1, 1));
            // What is written next must not be confused with what was cut.
            journal
                .append(vec![], Some(state(7, 1)), Sync::Now)
                .unwrap();
            drop(journal);
            let (_, again) = open(folder.path()).unwrap();
            assert_eq!(again.hard_state, state(7, 1), "torn at {torn}");
            assert_eq!(again.torn_bytes, 0);
        }
    }

    /// The disk may keep the later sectors of an unsynced write and lose the earlier ones.
    #[test]
    fn a_write_whose_beginning_was_lost_is_torn_not_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        journal.append(vec![entry(1, 1)], None, Sync::Now).unwrap();
        let promised = journal.offset;
        journal
            .append(vec![entry(2, 1), entry(3, 1)], None, Sync::Now)
            .unwrap();
        drop(journal);
        let path = segment_path(folder.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        bytes[promised..promised + 40].fill(0);
        fs::write(&path, &bytes).unwrap();
        let (_, recovered) = open(folder.path()).unwrap();
        assert_eq!(indexes(&recovered), [(1, 1)]);
        assert!(recovered.torn_bytes > 0);
    }

    /// Found by the simulator: two writes waited for one sync, power failed, and the disk kept the
    /// second alone. Two healthy replicas of three set their logs aside over it.
    #[test]
    fn a_lost_write_before_another_of_the_same_sync_is_torn_not_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        journal.append(vec![entry(1, 1)], None, Sync::Now).unwrap();
        let promised = journal.offset;
        journal
            .append(vec![], Some(state(1, 1)), Sync::Later)
            .unwrap();
        let lost = journal.offset;
        journal
            .append(vec![entry(2, 1)], None, Sync::Later)
            .unwrap();
        drop(journal);
        let path = segment_path(folder.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        bytes[promised..lost].fill(0);
        fs::write(&path, &bytes).unwrap();
        let (mut journal, recovered) = open(folder.path()).unwrap();
        assert_eq!(indexes(&recovered), [(1, 1)]);
        assert!(recovered.torn_bytes > 0);
        // Once a sync has taken them along, the same is damage.
        journal
            .append(vec![], Some(state(1, 1)), Sync::Later)
            .unwrap();
        journal.append(vec![entry(2, 1)], None, Sync::Now).unwrap();
        journal.append(vec![entry(3, 1)], None, Sync::Now).unwrap();
        drop(journal);
        let mut bytes = fs::read(&path).unwrap();
        bytes[promised..lost].fill(0);
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(
            open(folder.path()),
            Err(JournalError::Damaged { .. })
        ));
    }

    #[test]
    fn damage_to_what_was_promised_is_never_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        journal
            .append(vec![entry(1, 1), entry(2, 1)], None, Sync::Now)
            .unwrap();
        let first_write = journal.offset;
        journal.append(vec![entry(3, 1)], None, Sync::Now).unwrap();
        drop(journal);
        let path = segment_path(folder.path(), 1);
        let whole = fs::read(&path).unwrap();
        for at in 0..first_write {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            fs::write(&path, &bytes).unwrap();
            let result = open(folder.path());
            // The zeros that fill a record up to eight bytes carry nothing.
            if let Ok((_, recovered)) = &result {
                assert_eq!(indexes(recovered), [(1, 1), (2, 1), (3, 1)], "byte {at}");
                continue;
            }
            assert!(
                matches!(result, Err(JournalError::Damaged { .. })),
                "byte {at}: {result:?}"
            );
        }
    }

    #[test]
    fn a_log_that_ends_below_its_commit_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        journal
            .append(vec![entry(1, 1)], Some(state(1, 2)), Sync::Now)
            .unwrap();
        drop(journal);
        assert!(matches!(
            open(folder.path()),
            Err(JournalError::Damaged { .. })
        ));
    }

    #[test]
    fn segments_go_only_below_the_older_of_two_snapshots() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        for index in 1..=300 {
            journal
                .append(vec![entry(index, 1)], Some(state(1, index)), Sync::Later)
                .unwrap();
        }
        let writer = journal.snapshot_writer();
        writer.save(&snapshot(150, 1)).unwrap();
        assert_eq!(journal.truncate().unwrap(), 0);
        writer.save(&snapshot(290, 1)).unwrap();
        assert!(journal.truncate().unwrap() > 0);
        drop(journal);
        let (_, recovered) = open(folder.path()).unwrap();
        let first = recovered.entries[0].index.0;
        assert!((2..=151).contains(&first), "{first}");
        assert_eq!(recovered.last_index(), LogIndex(300));
        // The newest is damaged: the older one still has all that comes after it.
        fs::write(folder.path().join(files::snapshot_name(290)), b"rotten").unwrap();
        let (_, recovered) = open(folder.path()).unwrap();
        assert_eq!(recovered.snapshot, Some(snapshot(150, 1)));
        assert_eq!(recovered.last_index(), LogIndex(300));
    }

    #[test]
    fn only_so_many_entries_before_the_snapshot_are_held_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            retain_entries: 10,
            retain_bytes: u64::MAX,
            ..OPTIONS
        };
        let (mut journal, _) = Journal::open(folder.path(), options).unwrap();
        for index in 1..=100 {
            journal
                .append(vec![entry(index, 1)], Some(state(1, index)), Sync::Later)
                .unwrap();
        }
        journal.snapshot_writer().save(&snapshot(90, 1)).unwrap();
        drop(journal);
        let (_, recovered) = Journal::open(folder.path(), options).unwrap();
        assert_eq!(recovered.entries[0].index, LogIndex(80));
        assert_eq!(recovered.last_index(), LogIndex(100));
    }

    /// Seen in the lab: a leader's last entry was not committed when its center fell, another took
    /// its place, and a later snapshot covered both. The log was refused as damaged.
    #[test]
    fn an_entry_that_was_replaced_long_before_the_snapshot_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            retain_entries: 10,
            retain_bytes: u64::MAX,
            ..OPTIONS
        };
        let (mut journal, _) = Journal::open(folder.path(), options).unwrap();
        let mut append = |index, epoch| {
            let state = Some(state(epoch, index - 1));
            journal.append(vec![entry(index, epoch)], state, Sync::Later)
        };
        (1..=20).for_each(|index| append(index, 1).unwrap());
        append(19, 2).unwrap();
        (20..=100).for_each(|index| append(index, 2).unwrap());
        journal.snapshot_writer().save(&snapshot(90, 2)).unwrap();
        drop(journal);
        let (_, recovered) = Journal::open(folder.path(), options).unwrap();
        assert_eq!(recovered.entries[0].index, LogIndex(80));
        assert_eq!(recovered.last_index(), LogIndex(100));
    }

    #[test]
    fn a_peers_snapshot_takes_the_place_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        journal
            .append(vec![entry(1, 1), entry(2, 1)], Some(state(1, 1)), Sync::Now)
            .unwrap();
        journal.install(&snapshot(50, 4), state(4, 50)).unwrap();
        journal.append(vec![entry(51, 4)], None, Sync::Now).unwrap();
        drop(journal);
        let (_, recovered) = open(folder.path()).unwrap();
        assert_eq!(recovered.snapshot, Some(snapshot(50, 4)));
        assert_eq!(indexes(&recovered), [(51, 4)]);
        assert_eq!(recovered.hard_state, state(4, 50));
    }

    #[test]
    fn a_snapshot_saved_just_before_a_crash_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        journal
            .append(vec![entry(1, 1), entry(2, 1)], Some(state(1, 1)), Sync::Now)
            .unwrap();
        journal.snapshot_writer().save(&snapshot(50, 4)).unwrap();
        drop(journal);
        let (mut journal, recovered) = open(folder.path()).unwrap();
        assert_eq!(recovered.last_index(), LogIndex(50));
        assert_eq!(recovered.hard_state.commit, LogIndex(50));
        journal.append(vec![entry(51, 4)], None, Sync::Now).unwrap();
        drop(journal);
        let (_, recovered) = open(folder.path()).unwrap();
        assert_eq!(indexes(&recovered), [(51, 4)]);
    }

    /// Found by the simulator: a snapshot was being built when a peer's later one took the place of
    /// the log, and a healthy replica stopped over the difference.
    #[test]
    fn entries_that_a_peers_snapshot_replaced_are_refused_and_not_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).unwrap();
        let entries = vec![entry(1, 1), entry(2, 1), entry(3, 1)];
        journal
            .append(entries, Some(state(1, 3)), Sync::Now)
            .unwrap();
        let writer = journal.snapshot_writer();
        writer.save(&snapshot(1, 1)).unwrap();
        assert_eq!(
            writer.entries(LogIndex(1), LogIndex(3)).unwrap().entries(),
            2
        );
        journal.install(&snapshot(50, 4), state(4, 50)).unwrap();
        let base = writer.newest(LogIndex(3)).unwrap();
        assert_eq!(base.map(|base| base.index), Some(LogIndex(1)));
        let refused = writer.entries(LogIndex(1), LogIndex(3)).unwrap_err();
        assert!(matches!(refused, JournalError::NotKept { .. }), "{refused}");
    }
}
