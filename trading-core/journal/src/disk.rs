//! The folder that the journal writes into, as a trait: a real one, or one made of memory under a
//! simulator that tears, loses and swaps writes.
//!
//! ```text
//!   Journal ──► Disk (names in one folder) ──► FolderDisk ──► the operating system
//!                                        └───► a simulated disk
//! ```

use crate::error::{JournalError, io_error};
use rustix::fs::{FlockOperation, flock};
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// The name of the lock file.
const LOCK: &str = "lock";

/// Work that may be done beside the journal's own.
pub type Job = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// A folder of files, each by its name. Nothing is promised about a name before
/// [`Disk::sync_folder`], nor about bytes before [`DiskFile::sync`].
pub trait Disk: Debug + Send + Sync {
    /// Where a file is, for messages to people.
    fn path(&self, name: &str) -> PathBuf;

    /// Takes the folder for this process, and creates it when it is not there. Released when what
    /// is given back is dropped.
    ///
    /// # Errors
    /// [`JournalError::Locked`] when another process has it.
    fn lock(&self) -> Result<Box<dyn Lock>, JournalError>;

    /// Creates a file, or empties the one there is.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that is there, for writing.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// What the operating system says.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Reads at most `bytes_max` bytes of a file from `offset` on; fewer at its end.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, name: &str, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let whole = self.read(name)?;
        let begin = usize::try_from(offset).map_or(whole.len(), |begin| begin.min(whole.len()));
        let end = whole.len().min(begin.saturating_add(bytes_max));
        Ok(whole[begin..end].to_vec())
    }

    /// Gives a file another name, in the place of what had it.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// All names, in no particular order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Names given and taken so far survive a loss of power.
    ///
    /// # Errors
    /// What the operating system says; the process must end then.
    fn sync_folder(&self) -> io::Result<()>;

    /// Begins a job beside the caller's work.
    fn aside(&self, job: Job) -> Box<dyn Aside>;
}

/// An open file.
pub trait DiskFile: Debug + Send {
    /// Writes all bytes at a place.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// What was written, and the file's size, survives a loss of power.
    ///
    /// # Errors
    /// What the operating system says; the process must end then, for nobody knows what the disk
    /// holds.
    fn sync(&self) -> io::Result<()>;
}

/// Held, not used: the folder's lock ends with it.
pub trait Lock: Debug + Send {}

/// A job that was begun.
pub trait Aside: Send {
    /// Waits until it is done.
    ///
    /// # Errors
    /// The job's own.
    fn wait(self: Box<Self>) -> io::Result<()>;
}

/// A folder of the operating system.
#[derive(Clone, Debug)]
pub struct FolderDisk {
    folder: PathBuf,
}

impl FolderDisk {
    /// The folder; nothing is touched yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }
}

impl Disk for FolderDisk {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn lock(&self) -> Result<Box<dyn Lock>, JournalError> {
        fs::create_dir_all(&self.folder).map_err(io_error("create", &self.folder))?;
        let path = self.path(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Locked { path }),
            Err(error) => Err(io_error("lock", &path)(error.into())),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(self.path(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        Ok(Box::new(file))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }

    fn read_at(&self, name: &str, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(name))?;
        // A length that a torn record claims must not be reserved.
        let left = file.metadata()?.len().saturating_sub(offset);
        let wanted = bytes_max.min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut bytes = vec![0; wanted];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            // A name that is no text is none of ours.
            if let Ok(name) = file?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn aside(&self, job: Job) -> Box<dyn Aside> {
        let (sender, receiver) = sync_channel(1);
        // Whoever began it waits for it, also when it is no longer of use.
        thread::spawn(move || sender.send(job()));
        Box::new(Thread(receiver))
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Lock for File {}

struct Thread(Receiver<io::Result<()>>);

impl Aside for Thread {
    fn wait(self: Box<Self>) -> io::Result<()> {
        self.0
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("its thread ended early")))
    }
}
