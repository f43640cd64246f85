//! What a desk must find again after its process ended: one file a session.
//!
//! ```text
//!   ┌──────────┬─────────┬──────────┬───┬──────────┬─────────┬───
//!   │ TRIFIX 1 │ Opened  │ Reserved │ … │  Kept    │  Kept   │ …   each: length, CRC-32, body
//!   └──────────┴─────────┴──────────┴───┴──────────┴─────────┴───
//!                synced    synced          written, not synced
//! ```
//!
//! # What is synced, and why the rest need not be
//! A record is written before what follows from it is sent, so a process that is killed has lost
//! nothing. A machine that loses power may lose the last seconds. What must hold even then is that no
//! number of ours is used twice: numbers are reserved ahead in blocks, and each reservation is synced
//! before the first number of its block is used. After such a loss ([`Opened::is_exact`] is false,
//! known by the machine's boot) numbering goes on after the reserved block; what the core told since
//! the last record comes from the core again and is marked `PossResend`, and the counterparty's
//! messages since then are asked for again and looked up before they are entered.

use fix::Record;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"TRIFIX 1";
/// Numbers reserved at a time: one sync for so many messages.
const RESERVED: u64 = 4_096;
/// Longest record, in bytes; a checkpoint of orders is the largest.
const RECORD_BYTES_MAX: u32 = 64 << 20;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("failed to {action} {path}: {source}: the session's numbers cannot be kept")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("failed to read {path}: it is no FIX session store of this version: move it away")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("failed to open {path}: another process uses it: one gateway a store")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A record has no serialised form.
    #[error("failed to write a record: {detail}")]
    Unwritable {
        /// What the encoder met.
        detail: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    /// A process took the file, on this boot of the machine.
    Opened {
        boot: String,
    },
    /// Our numbers below this one may be used.
    Reserved {
        next_out: u64,
    },
    Kept(Record),
    /// The process ended in order, with all synced.
    Closed,
}

/// What was found.
#[derive(Debug)]
pub struct Opened {
    /// The file, to go on with.
    pub store: Store,
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// Whether nothing can be missing.
    pub is_exact: bool,
    /// Numbers below this one may have been used.
    pub reserved: u64,
}

/// A session's file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: File,
    boot: String,
    bytes: u64,
    reserved: u64,
    scratch: Vec<u8>,
}

impl Store {
    /// Opens a file or begins it. `boot` names this boot of the machine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path, boot: &str) -> Result<Opened, StoreError> {
        let io = |action| {
            move |source| StoreError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("open"))?;
        lock(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        if bytes.is_empty() {
            file.write_all(MAGIC).map_err(io("write"))?;
            bytes.extend_from_slice(MAGIC);
        }
        let found = read_lines(&bytes).ok_or_else(|| StoreError::Foreign {
            path: path.to_owned(),
        })?;
        // What the end of the file holds beyond its last whole record was never acted upon.
        file.set_len(found.length).map_err(io("cut"))?;
        file.seek(SeekFrom::End(0)).map_err(io("seek in"))?;
        let is_exact = found.is_closed
            || found.records.is_empty()
            || (found.boot.as_deref() == Some(boot) && !boot.is_empty());
        let mut store = Self {
            path: path.to_owned(),
            file,
            boot: boot.to_owned(),
            bytes: found.length,
            reserved: found.reserved,
            scratch: Vec::new(),
        };
        store.line(&Line::Opened {
            boot: boot.to_owned(),
        })?;
        store.flush()?;
        store.sync()?;
        Ok(Opened {
            records: found.records,
            is_exact,
            reserved: found.reserved,
            store,
        })
    }

    /// Writes records; when it returns they outlive the process.
    ///
    /// # Errors
    /// [`StoreError`]: nothing that follows from them may be sent.
    pub fn keep<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<(), StoreError> {
        let mut must_sync = false;
        for record in records {
            let used = match record {
                Record::Out { msg_seq_num, .. } => Some(*msg_seq_num),
                Record::Numbers { next_out, .. } => {
                    // The old numbering must not come back.
                    self.reserved = 0;
                    must_sync = true;
                    Some(*next_out)
                }
                _ => None,
            };
            if let Some(used) = used
                && used >= self.reserved
            {
                self.reserved = used + RESERVED;
                must_sync = true;
            }
            self.line(&Line::Kept(record.clone()))?;
        }
        if must_sync {
            self.line(&Line::Reserved {
                next_out: self.reserved,
            })?;
        }
        self.flush()?;
        if must_sync { self.sync() } else { Ok(()) }
    }

    /// How long the file is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the file anew with these records in place of all; the old one stays until the new one
    /// is whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let path = self.path.with_extension("new");
        let io = |action| {
            let path = path.clone();
            move |source| StoreError::Io {
                action,
                path,
                source,
            }
        };
        let mut file = File::create(&path).map_err(io("create"))?;
        lock(&file, &path)?;
        file.write_all(MAGIC).map_err(io("write"))?;
        let mut anew = Self {
            path: self.path.clone(),
            file,
            boot: self.boot.clone(),
            bytes: MAGIC.len() as u64,
            reserved: self.reserved,
            scratch: Vec::new(),
        };
        anew.line(&Line::Opened {
            boot: self.boot.clone(),
        })?;
        for record in records {
            anew.line(&Line::Kept(record.clone()))?;
        }
        anew.line(&Line::Reserved {
            next_out: self.reserved,
        })?;
        anew.flush()?;
        anew.sync()?;
        std::fs::rename(&path, &self.path).map_err(io("rename"))?;
        if let Some(folder) = self.path.parent() {
            let folder = File::open(folder).map_err(io("open the folder of"))?;
            folder.sync_all().map_err(io("sync the folder of"))?;
        }
        *self = anew;
        Ok(())
    }

    /// Ends in order: all is synced, and the next process knows it.
    ///
    /// # Errors
    /// [`StoreError`]; the next process takes the file as after a loss of power.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.sync()?;
        self.line(&Line::Closed)?;
        self.flush()?;
        self.sync()
    }

    fn line(&mut self, line: &Line) -> Result<(), StoreError> {
        let unwritable = |error: postcard::Error| StoreError::Unwritable {
            detail: error.to_string(),
        };
        let body = postcard::to_stdvec(line).map_err(unwritable)?;
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        if length > RECORD_BYTES_MAX {
            return Err(StoreError::Unwritable {
                detail: format!("it has {length} bytes, at most {RECORD_BYTES_MAX} are read"),
            });
        }
        self.scratch.extend_from_slice(&length.to_le_bytes());
        let sum = crc32fast::hash(&body);
        self.scratch.extend_from_slice(&sum.to_le_bytes());
        self.scratch.extend_from_slice(&body);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let written = self.file.write_all(&self.scratch);
        written.map_err(|source| self.io("write", source))?;
        self.bytes += self.scratch.len() as u64;
        self.scratch.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let synced = self.file.sync_data();
        synced.map_err(|source| self.io("sync", source))
    }

    fn io(&self, action: &'static str, source: std::io::Error) -> StoreError {
        StoreError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    use rustix::fs::{FlockOperation, flock};
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|_| StoreError::InUse {
        path: path.to_owned(),
    })
}

/// What the whole records of a file say.
#[derive(Default)]
struct Found {
    records: Vec<Record>,
    boot: Option<String>,
    reserved: u64,
    is_closed: bool,
    /// Where the last whole record ends.
    length: u64,
}

fn read_lines(bytes: &[u8]) -> Option<Found> {
    let mut left = bytes.strip_prefix(MAGIC)?;
    let mut found = Found::default();
    while let Some((line, rest)) = read_line(left) {
        found.is_closed = matches!(line, Line::Closed);
        match line {
            Line::Opened { boot } => found.boot = Some(boot),
            Line::Reserved { next_out } => found.reserved = next_out,
            Line::Kept(record) => found.records.push(record),
            Line::Closed => {}
        }
        left = rest;
    }
    found.length = (bytes.len() - left.len()) as u64;
    Some(found)
}

fn read_line(bytes: &[u8]) -> Option<(Line, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let (body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((postcard::from_bytes(body).ok()?, rest))
}

/// Names this boot of the machine; empty when the kernel does not tell.
#[must_use]
pub fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(msg_seq_num: u64) -> Record {
        Record::Out {
            msg_seq_num,
            kept: None,
        }
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session-1.fix");
        (folder, path)
    }

    #[test]
    fn what_was_kept_is_found_again_after_a_kill() {
        let (_folder, path) = folder();
        let mut opened = Store::open(&path, "boot-1").unwrap();
        assert!(opened.is_exact && opened.records.is_empty());
        opened
            .store
            .keep(&[out(1), Record::In { next_in: 2 }])
            .unwrap();
        drop(opened);
        let opened = Store::open(&path, "boot-1").unwrap();
        assert_eq!(opened.records, [out(1), Record::In { next_in: 2 }]);
        assert!(opened.is_exact);
        assert_eq!(opened.reserved, 1 + RESERVED);
    }

    #[test]
    fn another_boot_without_an_orderly_end_is_not_exact_and_an_orderly_end_is() {
        let (_folder, path) = folder();
        let mut opened = Store::open(&path, "boot-1").unwrap();
        opened.store.keep(&[out(7)]).unwrap();
        drop(opened);
        let opened = Store::open(&path, "boot-2").unwrap();
        assert!(!opened.is_exact);
        assert_eq!(opened.reserved, 7 + RESERVED);
        opened.store.close().unwrap();
        assert!(Store::open(&path, "boot-3").unwrap().is_exact);
    }

    #[test]
    fn a_torn_or_changed_end_is_cut_and_the_rest_stands() {
        let (_folder, path) = folder();
        let mut opened = Store::open(&path, "boot-1").unwrap();
        opened.store.keep(&[out(1)]).unwrap();
        let whole = opened.store.bytes();
        opened.store.keep(&[Record::In { next_in: 9 }]).unwrap();
        drop(opened);
        let bytes = std::fs::read(&path).unwrap();
        for length in usize::try_from(whole).unwrap()..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let opened = Store::open(&path, "boot-1").unwrap();
            assert_eq!(opened.records, [out(1)], "{length}");
        }
        let mut changed = bytes;
        *changed.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert_eq!(Store::open(&path, "boot-1").unwrap().records, [out(1)]);
    }

    #[test]
    fn numbers_are_reserved_in_blocks_and_a_new_numbering_begins_its_own() {
        let (_folder, path) = folder();
        let mut opened = Store::open(&path, "boot-1").unwrap();
        opened.store.keep(&[out(1)]).unwrap();
        opened.store.keep(&[out(RESERVED)]).unwrap();
        assert_eq!(opened.store.reserved, 1 + RESERVED);
        opened.store.keep(&[out(1 + RESERVED)]).unwrap();
        assert_eq!(opened.store.reserved, 1 + 2 * RESERVED);
        let anew = Record::Numbers {
            next_in: 1,
            next_out: 1,
        };
        opened.store.keep(&[anew]).unwrap();
        assert_eq!(opened.store.reserved, 1 + RESERVED);
    }

    #[test]
    fn a_checkpoint_stands_in_place_of_all_before() {
        let (_folder, path) = folder();
        let mut opened = Store::open(&path, "boot-1").unwrap();
        for number in 1..100 {
            opened.store.keep(&[out(number)]).unwrap();
        }
        opened.store.checkpoint(&[out(99)]).unwrap();
        opened.store.keep(&[out(100)]).unwrap();
        drop(opened);
        let opened = Store::open(&path, "boot-1").unwrap();
        assert_eq!(opened.records, [out(99), out(100)]);
        assert!(opened.is_exact);
        assert_eq!(opened.reserved, 1 + RESERVED);
    }

    #[test]
    fn a_file_of_another_kind_and_a_second_process_are_refused() {
        let (_folder, path) = folder();
        let opened = Store::open(&path, "boot-1").unwrap();
        let second = Store::open(&path, "boot-1");
        assert!(matches!(second, Err(StoreError::InUse { .. })));
        drop(opened);
        std::fs::write(&path, b"something else").unwrap();
        let foreign = Store::open(&path, "boot-1");
        assert!(matches!(foreign, Err(StoreError::Foreign { .. })));
    }
}
