//! Names, creation and removal of the files of a data directory.

use crate::disk::{Aside, Disk, DiskFile};
use crate::error::{JournalError, io_error};
use std::io;
use std::sync::Arc;

const SEGMENT: &str = "segment-";
const SNAPSHOT: &str = "snapshot-";
const SPARE: &str = "spare";
const TEMPORARY: &str = ".tmp";

pub(crate) fn segment_name(first_position: u64) -> String {
    format!("{SEGMENT}{first_position:020}")
}

pub(crate) fn snapshot_name(index: u64) -> String {
    format!("{SNAPSHOT}{index:020}")
}

/// Whether a file holds a part of the log.
pub(crate) fn is_log(name: &str) -> bool {
    name.starts_with(SEGMENT) || name.starts_with(SNAPSHOT)
}

/// First positions of all segments, ascending.
pub(crate) fn segments(disk: &dyn Disk) -> Result<Vec<u64>, JournalError> {
    numbered(disk, SEGMENT)
}

/// Indexes of all snapshots, ascending.
pub(crate) fn snapshots(disk: &dyn Disk) -> Result<Vec<u64>, JournalError> {
    numbered(disk, SNAPSHOT)
}

pub(crate) fn list(disk: &dyn Disk) -> Result<Vec<String>, JournalError> {
    disk.list().map_err(io_error("list", &disk.path("")))
}

fn numbered(disk: &dyn Disk, prefix: &str) -> Result<Vec<u64>, JournalError> {
    let names = list(disk)?;
    let numbers = names.iter().filter_map(|name| name.strip_prefix(prefix));
    let mut found: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    found.sort_unstable();
    Ok(found)
}

/// Removes what a process that died left half made.
pub(crate) fn sweep(disk: &dyn Disk) -> Result<(), JournalError> {
    for name in list(disk)? {
        if name.ends_with(TEMPORARY) || name == SPARE {
            remove(disk, &name)?;
        }
    }
    Ok(())
}

pub(crate) fn read(disk: &dyn Disk, name: &str) -> Result<Vec<u8>, JournalError> {
    disk.read(name).map_err(io_error("read", &disk.path(name)))
}

pub(crate) fn remove(disk: &dyn Disk, name: &str) -> Result<(), JournalError> {
    disk.remove(name)
        .map_err(io_error("remove", &disk.path(name)))
}

pub(crate) fn rename(disk: &dyn Disk, from: &str, to: &str) -> Result<(), JournalError> {
    disk.rename(from, to)
        .map_err(io_error("rename", &disk.path(from)))
}

pub(crate) fn open(disk: &dyn Disk, name: &str) -> Result<Box<dyn DiskFile>, JournalError> {
    disk.open(name).map_err(io_error("open", &disk.path(name)))
}

pub(crate) fn sync_folder(disk: &dyn Disk) -> Result<(), JournalError> {
    disk.sync_folder().map_err(io_error("sync", &disk.path("")))
}

/// Writes a file so that it is either whole under its name or not there.
pub(crate) fn write_whole(
    disk: &dyn Disk,
    name: &str,
    parts: &[&[u8]],
) -> Result<(), JournalError> {
    let temporary = format!("{name}{TEMPORARY}");
    let written = disk.create(&temporary).and_then(|file| {
        let mut offset = 0;
        for part in parts {
            file.write_at(part, offset)?;
            offset += part.len() as u64;
        }
        file.sync()
    });
    written.map_err(io_error("write", &disk.path(&temporary)))?;
    rename(disk, &temporary, name)?;
    sync_folder(disk)
}

/// Makes segments of zeros ahead of their use, so that a record's sync changes no metadata and a
/// full disk is met before it is needed.
pub(crate) struct Spares {
    disk: Arc<dyn Disk>,
    segment_bytes: usize,
    ready: Option<Box<dyn Aside>>,
}

impl Spares {
    pub(crate) fn new(disk: &Arc<dyn Disk>, segment_bytes: usize) -> Self {
        Self {
            disk: disk.clone(),
            segment_bytes,
            ready: None,
        }
    }

    /// Begins to make the next segment, if none is being made.
    pub(crate) fn prepare(&mut self) {
        if self.ready.is_some() {
            return;
        }
        let (disk, bytes) = (self.disk.clone(), self.segment_bytes);
        // The file has no meaning until it is renamed; `drop` waits for its writer.
        let job = Box::new(move || write_zeros(&*disk, SPARE, bytes));
        self.ready = Some(self.disk.aside(job));
    }

    /// Gives the next segment its name; waits for it when it is still being made.
    pub(crate) fn take(&mut self, first_position: u64) -> Result<Box<dyn DiskFile>, JournalError> {
        self.prepare();
        let disk = &*self.disk;
        if let Some(ready) = self.ready.take() {
            let made = ready.wait();
            made.map_err(io_error("fill the next segment", &disk.path(SPARE)))?;
        }
        let name = segment_name(first_position);
        rename(disk, SPARE, &name)?;
        sync_folder(disk)?;
        open(disk, &name)
    }
}

impl Drop for Spares {
    /// Leaves no writer behind that could write into a folder that somebody else has by then.
    fn drop(&mut self) {
        if let Some(ready) = self.ready.take() {
            // Whether it could be made matters to nobody any more.
            let _ = ready.wait();
        }
    }
}

fn write_zeros(disk: &dyn Disk, name: &str, bytes: usize) -> io::Result<()> {
    const CHUNK: usize = 1 << 20;
    let zeros = vec![0; CHUNK.min(bytes)];
    let file = disk.create(name)?;
    let mut offset = 0;
    while offset < bytes {
        let now = (bytes - offset).min(zeros.len());
        file.write_at(&zeros[..now], offset as u64)?;
        offset += now;
    }
    file.sync()
}
