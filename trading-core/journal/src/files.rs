//! Names, creation and removal of the files of a data directory.

use crate::error::{JournalError, io_error};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

const SEGMENT: &str = "segment-";
const SNAPSHOT: &str = "snapshot-";
const SPARE: &str = "spare";
const TEMPORARY: &str = ".tmp";

/// Takes the folder for this process; released when the file is dropped.
pub(crate) fn lock(folder: &Path) -> Result<File, JournalError> {
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Locked { path }),
        Err(error) => Err(io_error("lock", &path)(error.into())),
    }
}

pub(crate) fn segment_path(folder: &Path, first_position: u64) -> PathBuf {
    folder.join(format!("{SEGMENT}{first_position:020}"))
}

pub(crate) fn snapshot_path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{SNAPSHOT}{index:020}"))
}

/// First positions of all segments, ascending.
pub(crate) fn segments(folder: &Path) -> Result<Vec<u64>, JournalError> {
    numbered(folder, SEGMENT)
}

/// Indexes of all snapshots, ascending.
pub(crate) fn snapshots(folder: &Path) -> Result<Vec<u64>, JournalError> {
    numbered(folder, SNAPSHOT)
}

fn numbered(folder: &Path, prefix: &str) -> Result<Vec<u64>, JournalError> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let name = file.map_err(io_error("list", folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push(number);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what a process that died left half made.
pub(crate) fn sweep(folder: &Path) -> Result<(), JournalError> {
    for file in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = file.map_err(io_error("list", folder))?.path();
        let left_over = path.extension().is_some_and(|e| e == &TEMPORARY[1..])
            || path.file_name().is_some_and(|name| name == SPARE);
        if left_over {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), JournalError> {
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(io_error("sync", folder))
}

/// Writes a file so that it is either whole under its name or not there.
pub(crate) fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<(), JournalError> {
    let temporary = path.with_extension(&TEMPORARY[1..]);
    let written = File::create(&temporary).and_then(|mut file| {
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()
    });
    written.map_err(io_error("write", &temporary))?;
    fs::rename(&temporary, path).map_err(io_error("rename", &temporary))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes segments of zeros ahead of their use, so that a record's sync changes no metadata and a
/// full disk is met before it is needed.
pub(crate) struct Spares {
    folder: PathBuf,
    segment_bytes: usize,
    ready: Option<Receiver<io::Result<()>>>,
}

impl Spares {
    pub(crate) fn new(folder: &Path, segment_bytes: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            segment_bytes,
            ready: None,
        }
    }

    /// Begins to make the next segment, if none is being made.
    pub(crate) fn prepare(&mut self) {
        if self.ready.is_some() {
            return;
        }
        let (sender, receiver) = sync_channel(1);
        let (path, bytes) = (self.folder.join(SPARE), self.segment_bytes);
        // The file has no meaning until it is renamed; `drop` waits for its writer.
        thread::spawn(move || sender.send(write_zeros(&path, bytes)));
        self.ready = Some(receiver);
    }

    /// Gives the next segment its name; waits for it when it is still being made.
    pub(crate) fn take(&mut self, first_position: u64) -> Result<File, JournalError> {
        self.prepare();
        let spare = self.folder.join(SPARE);
        if let Some(receiver) = self.ready.take() {
            let made = receiver
                .recv()
                .unwrap_or_else(|_| Err(io::Error::other("its writer ended early")));
            made.map_err(io_error("fill the next segment", &spare))?;
        }
        let path = segment_path(&self.folder, first_position);
        fs::rename(&spare, &path).map_err(io_error("rename", &spare))?;
        sync_folder(&self.folder)?;
        open_segment(&path)
    }
}

impl Drop for Spares {
    /// Leaves no writer behind that could write into a folder that somebody else has by then.
    fn drop(&mut self) {
        if let Some(receiver) = self.ready.take() {
            // Whether it could be made matters to nobody any more.
            let _ = receiver.recv();
        }
    }
}

pub(crate) fn open_segment(path: &Path) -> Result<File, JournalError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(io_error("open", path))
}

fn write_zeros(path: &Path, bytes: usize) -> io::Result<()> {
    const CHUNK: usize = 1 << 20;
    let zeros = vec![0; CHUNK.min(bytes)];
    let mut file = File::create(path)?;
    let mut left = bytes;
    while left > 0 {
        let now = left.min(zeros.len());
        file.write_all(&zeros[..now])?;
        left -= now;
    }
    file.sync_all()
}
