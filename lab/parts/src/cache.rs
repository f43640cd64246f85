//! The cache: folders that are whole or absent.
//!
//! ```text
//!  <cache>/parts/<part>-<key>/      binary and part.json
//!          images/<name>-<key>/     archive
//!          charts/<name>-<key>/     manifests
//!          staging/<entry>/         being made; removed by the next run of that entry
//!          locks/<entry>            held (flock) while being made
//!          logs/<entry>.log
//!          seconds.json             how long each took, for the time left of the next run
//! ```

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::process::Stop;

/// Environment variable that names the cache's folder.
pub(crate) const CACHE_VARIABLE: &str = "TRICENTER_CACHE";
/// How long to wait for another run that makes the same entry; the longest part takes minutes.
const LOCK_WAIT: Duration = Duration::from_secs(45 * 60);
/// How often a waiting run looks whether it was stopped.
const STOP_POLL: Duration = Duration::from_millis(200);
/// Entries of one name that are kept: the current one and those of a few other checkouts.
const KEPT_ENTRIES: usize = 4;

/// Why the cache could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No folder is known.
    #[error(
        "failed to find a folder for the cache: none of TRICENTER_CACHE, XDG_CACHE_HOME and HOME \
         names an absolute path; set TRICENTER_CACHE to a folder with room for it"
    )]
    NoFolder,
    /// A file operation failed.
    #[error("failed to {action} {}: {source}; the cache must be writable and not full", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run has held the lock for too long.
    #[error(
        "failed to wait for process {holder}, which has been making {entry} for over {} min; \
         see what it does, end it if it hangs, then run again",
        LOCK_WAIT.as_secs() / 60
    )]
    Locked {
        /// The entry that is being made.
        entry: String,
        /// The other process, as it wrote itself down.
        holder: String,
    },
    /// Somebody asked to stop.
    #[error("stopped while another run was making {entry}")]
    Stopped {
        /// The entry that was waited for.
        entry: String,
    },
}

/// The folder that everything built is kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDir(PathBuf);

impl CacheDir {
    /// `$TRICENTER_CACHE`, else `$XDG_CACHE_HOME/tricenter`, else `$HOME/.cache/tricenter`.
    pub fn from_environment() -> Result<Self, CacheError> {
        Self::choose(|name| env::var_os(name).map(PathBuf::from))
    }

    /// A cache in a folder of the caller's choice.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    fn choose(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, CacheError> {
        let absolute = |name| variable(name).filter(|path: &PathBuf| path.is_absolute());
        absolute(CACHE_VARIABLE)
            .or_else(|| absolute("XDG_CACHE_HOME").map(|path| path.join("tricenter")))
            .or_else(|| absolute("HOME").map(|path| path.join(".cache/tricenter")))
            .map(Self)
            .ok_or(CacheError::NoFolder)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where a finished entry is, or will be.
    pub(crate) fn entry(&self, kind: &str, name: &str, key: &str) -> EntryPath {
        let entry = format!("{name}-{key}");
        EntryPath {
            path: self.0.join(kind).join(&entry),
            staging: self.0.join("staging").join(&entry),
            lock: self.0.join("locks").join(&entry),
            log: self.0.join("logs").join(format!("{entry}.log")),
            prefix: format!("{name}-"),
            entry,
        }
    }

    /// Seconds that each step took when it last ran on this machine.
    pub(crate) fn seconds(&self) -> BTreeMap<String, u64> {
        // Figures for an estimate: when they cannot be read, the time left is unknown, no more.
        fs::read(self.0.join("seconds.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Remembers how long a step took.
    pub(crate) fn remember_seconds(&self, step: &str, seconds: u64) -> Result<(), CacheError> {
        let path = self.0.join("seconds.json");
        let _guard = self.small_lock("seconds")?;
        let mut all = self.seconds();
        all.insert(step.to_owned(), seconds);
        let text = serde_json::to_vec_pretty(&all)
            .map_err(|error| file_error("write", &path)(io::Error::other(error)))?;
        write_whole(&path, &text)
    }

    fn small_lock(&self, name: &str) -> Result<File, CacheError> {
        let path = self.0.join("locks").join(name);
        let file = open_lock(&path)?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| file_error("lock", &path)(error.into()))?;
        Ok(file)
    }
}

/// One entry of the cache, finished or not.
#[derive(Debug, Clone)]
pub(crate) struct EntryPath {
    /// The folder when finished.
    pub path: PathBuf,
    /// The folder while being made.
    pub staging: PathBuf,
    /// What the commands that made it wrote.
    pub log: PathBuf,
    lock: PathBuf,
    prefix: String,
    entry: String,
}

impl EntryPath {
    /// Whether the entry is finished.
    pub(crate) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Makes the entry unless it is there. `make` gets an empty staging folder, which becomes the
    /// entry in one step at the end; when `make` fails or we die, the entry stays absent.
    pub(crate) fn make<E: From<CacheError>>(
        &self,
        stop: &Stop,
        make: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Made, E> {
        if self.exists() {
            return Ok(Made::Before);
        }
        for folder in [&self.path, &self.staging, &self.lock, &self.log] {
            if let Some(parent) = folder.parent() {
                fs::create_dir_all(parent).map_err(file_error("create", parent))?;
            }
        }
        let _held = self.hold(stop)?;
        if self.exists() {
            return Ok(Made::Before);
        }
        // What a killed run left behind; we hold the lock, so nobody works in there.
        if self.staging.exists() {
            fs::remove_dir_all(&self.staging).map_err(file_error("remove", &self.staging))?;
        }
        fs::create_dir(&self.staging).map_err(file_error("create", &self.staging))?;
        let made = make(self);
        if made.is_ok() {
            sync_files(&self.staging)?;
            fs::rename(&self.staging, &self.path).map_err(file_error("rename", &self.staging))?;
            self.remove_older()?;
        } else {
            // The failure is what counts; the next run clears what could not be removed now.
            let _ = fs::remove_dir_all(&self.staging);
        }
        made.map(|()| Made::Now)
    }

    /// Holds the entry's lock until the file is dropped; the kernel drops it when we are killed.
    fn hold(&self, stop: &Stop) -> Result<File, CacheError> {
        let file = open_lock(&self.lock)?;
        // The lock call cannot be interrupted, so it waits on a thread of its own. If we give up
        // first, the thread ends with the process, or drops the lock as soon as it gets it.
        let (sender, held) = sync_channel(1);
        thread::spawn(move || {
            let result = flock(&file, FlockOperation::LockExclusive);
            let _ = sender.send(result.map(|()| file));
        });
        let start = Instant::now();
        loop {
            match held.recv_timeout(STOP_POLL) {
                Ok(result) => {
                    let mut file =
                        result.map_err(|error| file_error("lock", &self.lock)(error.into()))?;
                    file.set_len(0)
                        .and_then(|()| write!(file, "{}", std::process::id()))
                        .map_err(file_error("write", &self.lock))?;
                    return Ok(file);
                }
                Err(RecvTimeoutError::Timeout) if stop.is_stopped() => {
                    return Err(CacheError::Stopped {
                        entry: self.entry.clone(),
                    });
                }
                Err(RecvTimeoutError::Timeout) if start.elapsed() < LOCK_WAIT => {}
                Err(_) => {
                    let holder = fs::read_to_string(&self.lock).unwrap_or_default();
                    return Err(CacheError::Locked {
                        entry: self.entry.clone(),
                        holder,
                    });
                }
            }
        }
    }

    /// Removes entries of the same name beyond the newest few, so that the cache stays bounded.
    fn remove_older(&self) -> Result<(), CacheError> {
        let Some(folder) = self.path.parent() else {
            return Ok(());
        };
        let key_digits = self.entry.len() - self.prefix.len();
        let mut siblings: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)
            .map_err(file_error("list", folder))?
            .filter_map(Result::ok)
            .filter(|entry| {
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    return false;
                };
                // The same name, not one that it begins: `envoy-` and `envoy-gateway-`.
                name.strip_prefix(&self.prefix).is_some_and(|key| {
                    key.len() == key_digits && key.bytes().all(|byte| byte.is_ascii_hexdigit())
                })
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        siblings.sort_unstable_by(|left, right| right.cmp(left));
        for (_, path) in siblings
            .into_iter()
            .skip(KEPT_ENTRIES)
            .filter(|(_, path)| *path != self.path)
        {
            fs::remove_dir_all(&path).map_err(file_error("remove", &path))?;
        }
        Ok(())
    }
}

/// Whether an entry was made by this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// It was there.
    Before,
    /// It was made.
    Now,
}

/// A digest over named fields; each is preceded by its length, so no two lists look the same.
#[derive(Default)]
pub(crate) struct Key(Sha256);

impl Key {
    pub(crate) fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// 16 hexadecimal digits: few enough for a folder's name, enough for a handful of entries.
    pub(crate) fn finish(self) -> String {
        let mut text = hexadecimal(&self.0.finalize());
        text.truncate(16);
        text
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// SHA-256 of a file's content.
pub(crate) fn file_digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0_u8; 256 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}

/// Writes a file so that readers see the old or the new content, never a part.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(file_error("create a file in", folder))?;
    file.write_all(bytes).map_err(file_error("write", path))?;
    file.persist(path)
        .map_err(|error| file_error("write", path)(error.error))?;
    Ok(())
}

pub(crate) fn file_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::File {
        action,
        path,
        source,
    }
}

fn open_lock(path: &Path) -> Result<File, CacheError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(file_error("create", parent))?;
    }
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(file_error("open", path))
}

/// Brings a folder's files to the disk, so that the rename cannot get there before them.
fn sync_files(folder: &Path) -> Result<(), CacheError> {
    for entry in fs::read_dir(folder).map_err(file_error("list", folder))? {
        let path = entry.map_err(file_error("list", folder))?.path();
        if path.is_dir() {
            sync_files(&path)?;
        } else {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(file_error("sync", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn scratch() -> (tempfile::TempDir, CacheDir) {
        let folder = tempfile::tempdir().expect("temp dir");
        let cache = CacheDir::at(folder.path());
        (folder, cache)
    }

    fn choose(set: &[(&str, &str)]) -> Option<PathBuf> {
        let variable = |name: &str| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, path)| path.into())
        };
        CacheDir::choose(variable).ok().map(|cache| cache.0)
    }

    #[test]
    fn the_folder_is_chosen_in_order_and_relative_paths_do_not_count() {
        let home = ("HOME", "/h");
        let xdg = ("XDG_CACHE_HOME", "/x");
        assert_eq!(
            choose(&[home, xdg, (CACHE_VARIABLE, "/t")]),
            Some("/t".into())
        );
        assert_eq!(choose(&[home, xdg]), Some("/x/tricenter".into()));
        assert_eq!(choose(&[home]), Some("/h/.cache/tricenter".into()));
        assert_eq!(
            choose(&[home, (CACHE_VARIABLE, "here")]),
            Some("/h/.cache/tricenter".into())
        );
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn an_entry_is_made_once_and_then_found() {
        let (_folder, cache) = scratch();
        let entry = cache.entry("parts", "thing", "00");
        let make = |entry: &EntryPath| {
            fs::write(entry.staging.join("file"), "x").map_err(file_error("write", &entry.staging))
        };
        assert_eq!(entry.make(&Stop::default(), make).expect("made"), Made::Now);
        assert_eq!(fs::read(entry.path.join("file")).expect("there"), b"x");
        let never = |_: &EntryPath| Err(CacheError::NoFolder);
        assert_eq!(
            entry.make(&Stop::default(), never).expect("found"),
            Made::Before
        );
    }

    #[test]
    fn a_failure_or_a_killed_run_leaves_the_entry_absent_and_the_next_run_starts_clean() {
        let (_folder, cache) = scratch();
        let entry = cache.entry("parts", "thing", "00");
        let failed = entry.make(&Stop::default(), |_| Err(CacheError::NoFolder));
        assert!(failed.is_err() && !entry.exists() && !entry.staging.exists());
        // A killed run: its staging folder is there, its lock is not held.
        fs::create_dir_all(&entry.staging).expect("staging");
        fs::write(entry.staging.join("half"), "").expect("half");
        let make = |_: &EntryPath| Ok::<(), CacheError>(());
        assert_eq!(entry.make(&Stop::default(), make).expect("made"), Made::Now);
        assert!(!entry.path.join("half").exists());
    }

    #[test]
    fn two_runs_at_once_make_an_entry_once() {
        let (_folder, cache) = scratch();
        let entry = cache.entry("parts", "thing", "00");
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    entry.make(&Stop::default(), |_| {
                        count.fetch_add(1, Ordering::SeqCst);
                        Ok::<(), CacheError>(())
                    })
                });
            }
        });
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_stop_ends_the_wait_for_another_run() {
        let (_folder, cache) = scratch();
        let entry = cache.entry("parts", "thing", "00");
        let _held = open_lock(&entry.lock).inspect(|file| {
            flock(file, FlockOperation::LockExclusive).expect("free");
        });
        let stop = Stop::default();
        stop.stop();
        let stopped = entry.make(&stop, |_| Ok::<(), CacheError>(()));
        assert!(
            matches!(stopped, Err(CacheError::Stopped { .. })),
            "{stopped:?}"
        );
    }

    #[test]
    fn only_the_newest_entries_of_the_same_name_are_kept() {
        let (_folder, cache) = scratch();
        let make = |name: &str, key: &str| {
            let made = cache
                .entry("images", name, key)
                .make(&Stop::default(), |_| Ok::<(), CacheError>(()));
            assert_eq!(made.expect("made"), Made::Now);
        };
        make("envoy-gateway", "aaaa");
        for key in ["0001", "0002", "0003", "0004", "0005", "0006"] {
            make("envoy", key);
        }
        let left = fs::read_dir(cache.path().join("images"))
            .expect("images")
            .count();
        assert_eq!(left, KEPT_ENTRIES + 1);
        assert!(cache.entry("images", "envoy", "0006").exists());
        assert!(cache.entry("images", "envoy-gateway", "aaaa").exists());
    }

    #[test]
    fn a_key_tells_apart_fields_that_join_to_the_same_text() {
        let key = |fields: &[&str]| {
            fields
                .iter()
                .fold(Key::default(), |key, field| key.field(field))
                .finish()
        };
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a"]).len(), 16);
    }

    #[test]
    fn seconds_are_remembered() {
        let (_folder, cache) = scratch();
        cache.remember_seconds("etcd", 32).expect("written");
        cache.remember_seconds("helm", 83).expect("written");
        assert_eq!(cache.seconds().into_values().collect::<Vec<_>>(), [32, 83]);
    }
}
