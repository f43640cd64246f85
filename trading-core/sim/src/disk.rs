//! A disk of memory that keeps to what a real one promises, and, when told, does not.
//!
//! ```text
//!   write ──► view (the page cache) ──sync──► platter
//!                │                              ▲   ▲
//!                └── power fails: each write that was not synced is kept, lost or torn
//!                                                   │
//!                            rot, lost and misdirected writes, an old copy put back
//! ```

use crate::dice::Dice;
use crate::fault::{Fault, Tally};
use journal::{Aside, Disk, DiskFile, Job, JournalError, Lock};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk keeps or loses as one.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What a reader sees.
    view: Vec<u8>,
    /// What survives.
    platter: Vec<u8>,
    /// Written and not synced: where, and what.
    pending: Vec<(usize, Vec<u8>)>,
    /// Where began what the last sync took along: damage before it can be told from a torn write.
    last_write: usize,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, u64),
    Unlink(String),
    Rename(String, String),
}

/// What is about to go wrong.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    /// After so many more operations power fails; and whether before or after the operation.
    power_fails_in: Option<(u32, bool)>,
    sync_fails: bool,
    lose_synced_write: bool,
    full: bool,
    slow_us: u64,
}

#[derive(Clone, Debug)]
struct Machine {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    names_on_platter: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    plan: Plan,
    dice: Dice,
    tally: Tally,
    /// Time that operations took since the last [`SimDisk::take_elapsed_us`].
    elapsed_us: u64,
    /// Grows with each start; handles of an earlier one reach nothing.
    start: u64,
    power_failed: bool,
    sync_failed: bool,
    /// An earlier state of the platter.
    old_copy: Option<(BTreeMap<u64, Inode>, BTreeMap<String, u64>)>,
}

/// One replica's disk; clones share it.
#[derive(Clone, Debug)]
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
    start: u64,
    name: String,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(name: &str, dice: Dice) -> Self {
        Self {
            machine: Arc::new(Mutex::new(Machine {
                inodes: BTreeMap::new(),
                next_inode: 1,
                names: BTreeMap::new(),
                names_on_platter: BTreeMap::new(),
                name_changes: Vec::new(),
                plan: Plan::default(),
                dice,
                tally: Tally::default(),
                elapsed_us: 0,
                start: 0,
                power_failed: false,
                sync_failed: false,
                old_copy: None,
            })),
            start: 0,
            name: name.to_owned(),
        }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        // A run is over when a replica panics; what it left is looked at all the same.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle for the next process; earlier handles reach nothing from now on.
    #[must_use]
    pub fn next_start(&self) -> Self {
        let mut machine = self.machine();
        machine.start += 1;
        machine.power_failed = false;
        machine.sync_failed = false;
        Self {
            machine: self.machine.clone(),
            start: machine.start,
            name: self.name.clone(),
        }
    }

    /// Time that operations took since it was last asked.
    #[must_use]
    pub fn take_elapsed_us(&self) -> u64 {
        std::mem::take(&mut self.machine().elapsed_us)
    }

    /// Time that operations took since it was last taken.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        self.machine().elapsed_us
    }

    /// Whether power failed in the middle of an operation.
    #[must_use]
    pub fn power_failed(&self) -> bool {
        self.machine().power_failed
    }

    /// Faults that acted here.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.machine().tally.clone()
    }

    /// Lets power fail before or after the operation that comes so many later.
    pub fn fail_power_in(&self, operations: u32, after: bool) {
        self.machine().plan.power_fails_in = Some((operations, after));
    }

    /// The next sync fails.
    pub fn fail_sync(&self) {
        self.machine().plan.sync_fails = true;
    }

    /// The next sync loses a write and says nothing.
    pub fn lose_synced_write(&self) {
        self.machine().plan.lose_synced_write = true;
    }

    /// No file can grow while it is full.
    pub fn set_full(&self, full: bool) {
        self.machine().plan.full = full;
    }

    /// Each operation takes so much longer, in microseconds.
    pub fn set_slow_us(&self, slow_us: u64) {
        self.machine().plan.slow_us = slow_us;
    }

    /// All plans are off; what went wrong stays.
    pub fn heal(&self) {
        self.machine().plan = Plan::default();
    }

    /// Whether something is about to go wrong.
    #[must_use]
    pub fn has_plans(&self) -> bool {
        let plan = self.machine().plan;
        plan.power_fails_in.is_some()
            || plan.sync_fails
            || plan.lose_synced_write
            || plan.full
            || plan.slow_us > 0
    }

    /// Whether an earlier state is kept.
    #[must_use]
    pub fn has_copy(&self) -> bool {
        self.machine().old_copy.is_some()
    }

    /// Keeps a copy of the platter, to be put back later.
    pub fn keep_copy(&self) {
        let mut machine = self.machine();
        machine.old_copy = Some((machine.inodes.clone(), machine.names_on_platter.clone()));
    }

    /// Power is off: what was not synced is kept, lost or torn.
    pub fn lose_power(&self) {
        self.machine().lose_power();
    }

    /// All is gone.
    pub fn wipe(&self) {
        let mut machine = self.machine();
        machine.inodes.clear();
        machine.names.clear();
        machine.names_on_platter.clear();
        machine.name_changes.clear();
        machine.tally.count(Fault::WipedReplica);
    }

    /// The copy is not needed any more.
    pub fn drop_copy(&self) {
        self.machine().old_copy = None;
    }

    /// Puts the copy back, as it stood on the platter. Whether there was one.
    pub fn restore_copy(&self) -> bool {
        let mut machine = self.machine();
        let Some((mut inodes, names)) = machine.old_copy.take() else {
            return false;
        };
        for file in inodes.values_mut() {
            file.pending.clear();
            file.view.clone_from(&file.platter);
        }
        machine.inodes = inodes;
        machine.names = names.clone();
        machine.names_on_platter = names;
        machine.name_changes.clear();
        machine.tally.count(Fault::OldFileRestored);
        true
    }

    /// Whether there is a segment that has grown since the copy and has a later one behind it, so that
    /// its earlier state can be told from a torn write.
    #[must_use]
    pub fn has_older_segment(&self) -> bool {
        self.machine().older_segment().is_some()
    }

    /// Puts the earlier state of such a segment back. Whether there was one.
    pub fn restore_segment(&self) -> bool {
        let mut machine = self.machine();
        let Some((inode, old)) = machine.older_segment() else {
            return false;
        };
        machine.old_copy = None;
        if let Some(file) = machine.inodes.get_mut(&inode) {
            file.view.clone_from(&old);
            file.platter = old;
        }
        machine.tally.count(Fault::OldFileRestored);
        true
    }

    /// Flips one bit of a file on the platter, where it can be told from a torn write. Whether there
    /// was one to flip.
    pub fn rot(&self) -> bool {
        let mut machine = self.machine();
        let Some((inode, used)) = machine.victim() else {
            return false;
        };
        let (byte, bit) = (
            machine.dice.below(used as u64) as usize,
            machine.dice.below(8),
        );
        machine.damage(inode, byte, |place| place[0] ^= 1 << bit);
        machine.tally.count(Fault::BitRot);
        true
    }

    /// A write for another place hit an earlier sector. Whether there was one to hit.
    pub fn misdirect(&self) -> bool {
        let mut machine = self.machine();
        let Some((inode, used)) = machine.victim() else {
            return false;
        };
        if used < 2 * SECTOR_BYTES {
            return false;
        }
        let sectors = (used / SECTOR_BYTES) as u64;
        let (from, to) = (machine.dice.below(sectors), machine.dice.below(sectors));
        let (from, to) = (from as usize * SECTOR_BYTES, to as usize * SECTOR_BYTES);
        let Some(moved) = machine
            .inodes
            .get(&inode)
            .map(|file| file.platter[from..from + SECTOR_BYTES].to_vec())
        else {
            return false;
        };
        machine.damage(inode, to, |place| {
            let length = place.len().min(SECTOR_BYTES);
            place[..length].copy_from_slice(&moved[..length]);
        });
        machine.tally.count(Fault::MisdirectedWrite);
        true
    }

    /// An earlier synced write was never written. Whether there was one to lose.
    pub fn lose_earlier_write(&self) -> bool {
        let mut machine = self.machine();
        let Some((inode, used)) = machine.victim() else {
            return false;
        };
        let sectors = (used / SECTOR_BYTES) as u64;
        if sectors == 0 {
            return false;
        }
        let at = machine.dice.below(sectors) as usize * SECTOR_BYTES;
        machine.damage(inode, at, |place| {
            let length = place.len().min(SECTOR_BYTES);
            place[..length].fill(0);
        });
        machine.tally.count(Fault::LostSyncedWrite);
        true
    }
}

impl Machine {
    /// A file of the log that has something in it, and how far damage can be told from a torn write.
    fn victim(&mut self) -> Option<(u64, usize)> {
        let files: Vec<(u64, usize)> = self
            .names_on_platter
            .iter()
            .filter(|(name, _)| name.starts_with("segment-") || name.starts_with("snapshot-"))
            .filter_map(|(name, inode)| {
                let file = self.inodes.get(inode)?;
                let used = if name.starts_with("segment-") {
                    file.last_write.min(file.platter.len())
                } else {
                    file.platter.len()
                };
                (used > 0).then_some((*inode, used))
            })
            .collect();
        self.dice.pick(&files).copied()
    }

    /// A segment that is not the last, as it is in the copy, when it is another there.
    fn older_segment(&self) -> Option<(u64, Vec<u8>)> {
        let (old_inodes, old_names) = self.old_copy.as_ref()?;
        let segments = self.names_on_platter.iter();
        let mut segments = segments.filter(|(name, _)| name.starts_with("segment-"));
        // Names sort by position: the last is the one that is written.
        segments.next_back()?;
        segments.find_map(|(name, inode)| {
            let old = old_inodes.get(old_names.get(name).filter(|old| *old == inode)?)?;
            let now = self.inodes.get(inode)?;
            (now.platter != old.platter).then(|| (*inode, old.platter.clone()))
        })
    }

    fn damage(&mut self, inode: u64, at: usize, how: impl Fn(&mut [u8])) {
        if let Some(file) = self.inodes.get_mut(&inode) {
            if let Some(place) = file.platter.get_mut(at..).filter(|p| !p.is_empty()) {
                how(place);
            }
            // Out of the cache by the time anybody reads it again.
            if let Some(place) = file.view.get_mut(at..).filter(|p| !p.is_empty()) {
                how(place);
            }
        }
    }

    fn lose_power(&mut self) {
        let kept = self.dice.between(0, self.name_changes.len() as u64) as usize;
        let changes = std::mem::take(&mut self.name_changes);
        // A file system with a journal of its own keeps changes of names in their order.
        for change in changes.into_iter().take(kept) {
            change.apply(&mut self.names_on_platter);
        }
        self.names = self.names_on_platter.clone();
        let live: Vec<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| live.contains(inode));
        let (dice, tally) = (&mut self.dice, &mut self.tally);
        for file in self.inodes.values_mut() {
            for (offset, bytes) in std::mem::take(&mut file.pending) {
                match dice.below(3) {
                    0 => put(&mut file.platter, offset, &bytes),
                    1 => tally.count(Fault::LostUnsyncedWrite),
                    _ => {
                        tear(&mut file.platter, offset, &bytes, dice);
                        tally.count(Fault::TornWrite);
                    }
                }
            }
            file.view = file.platter.clone();
        }
        self.plan.power_fails_in = None;
    }

    /// Called with each operation; says whether it may act.
    fn operate(&mut self, kind: &'static str, start: u64) -> io::Result<After> {
        if start != self.start || self.power_failed {
            return Err(io::Error::other("the machine is off"));
        }
        let takes = if kind == "sync" { 60 } else { 4 };
        let jitter = self.dice.below(takes);
        self.elapsed_us += takes + jitter + self.plan.slow_us;
        if self.plan.slow_us > 0 {
            self.tally.count(Fault::SlowDisk);
        }
        let mut after = After::Go;
        if let Some((left, late)) = &mut self.plan.power_fails_in {
            if *left > 0 {
                *left -= 1;
            } else {
                let late = *late;
                self.plan.power_fails_in = None;
                self.power_failed = true;
                self.tally.count(Fault::CrashAtWrite);
                self.tally.note(match (kind, late) {
                    ("sync", false) => "power failed before a sync",
                    ("sync", true) => "power failed after a sync",
                    (_, false) => "power failed before a write",
                    (_, true) => "power failed after a write",
                });
                if !late {
                    return Err(io::Error::other("power failed"));
                }
                after = After::Fail;
            }
        }
        Ok(after)
    }

    fn file(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes
            .get_mut(&inode)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, inode: u64, bytes: &[u8], offset: usize) -> io::Result<()> {
        let full = self.plan.full;
        let file = self.file(inode)?;
        if full && offset + bytes.len() > file.view.len() {
            self.tally.count(Fault::FullDisk);
            return Err(io::ErrorKind::StorageFull.into());
        }
        put(&mut file.view, offset, bytes);
        file.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self, inode: u64) -> io::Result<()> {
        if self.plan.sync_fails {
            self.plan.sync_fails = false;
            self.sync_failed = true;
            self.tally.count(Fault::SyncFailure);
            // As Linux does: the pages count as clean now. They are seen by whoever reads, and a
            // later sync does not write them.
            self.file(inode)?.pending.clear();
            return Err(io::Error::other("input/output error"));
        }
        let lose = self.plan.lose_synced_write;
        let file = self.file(inode)?;
        let pending = std::mem::take(&mut file.pending);
        let mut lost = false;
        if let Some(first) = pending.iter().map(|(offset, _)| *offset).min() {
            file.last_write = first;
        }
        for (offset, bytes) in pending {
            if lose && !lost {
                lost = true;
                let end = offset + bytes.len();
                if file.platter.len() < end {
                    file.platter.resize(end, 0);
                }
                continue;
            }
            put(&mut file.platter, offset, &bytes);
        }
        if lost {
            self.plan.lose_synced_write = false;
            self.tally.count(Fault::LostSyncedWrite);
        }
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.name_changes.push(change);
    }
}

enum After {
    Go,
    Fail,
}

impl After {
    fn end<T>(self, value: T) -> io::Result<T> {
        match self {
            Self::Go => Ok(value),
            Self::Fail => Err(io::Error::other("power failed")),
        }
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(name, inode) => {
                names.insert(name, inode);
            }
            Self::Unlink(name) => {
                names.remove(&name);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
        }
    }
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

/// Some sectors of a write arrive, others do not; or only its beginning does.
fn tear(into: &mut Vec<u8>, offset: usize, bytes: &[u8], dice: &mut Dice) {
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    if dice.chance(500_000) {
        let kept = dice.below(bytes.len().max(1) as u64) as usize;
        into[offset..offset + kept].copy_from_slice(&bytes[..kept]);
        return;
    }
    let mut at = offset;
    while at < end {
        let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
        if dice.chance(500_000) {
            into[at..next].copy_from_slice(&bytes[at - offset..next - offset]);
        }
        at = next;
    }
}

impl Disk for SimDisk {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/{name}", self.name))
    }

    fn lock(&self) -> Result<Box<dyn Lock>, JournalError> {
        // Two processes on one folder are refused by the real disk's own tests.
        Ok(Box::new(Held))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut machine = self.machine();
        let after = machine.operate("create", self.start)?;
        if machine.plan.full {
            machine.tally.count(Fault::FullDisk);
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = machine.next_inode;
        machine.next_inode += 1;
        machine.inodes.insert(inode, Inode::default());
        machine.change(NameChange::Link(name.to_owned(), inode));
        after.end(self.handle(inode))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let machine = self.machine();
        let inode = machine.names.get(name).copied();
        let inode = inode.ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(inode))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut machine = self.machine();
        machine.operate("read", self.start)?;
        let inode = machine.names.get(name).copied();
        let inode = inode.ok_or(io::ErrorKind::NotFound)?;
        Ok(machine.file(inode)?.view.clone())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let after = machine.operate("rename", self.start)?;
        if !machine.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        machine.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        after.end(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut machine = self.machine();
        let after = machine.operate("remove", self.start)?;
        if !machine.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        machine.change(NameChange::Unlink(name.to_owned()));
        after.end(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let machine = self.machine();
        Ok(machine.names.keys().cloned().collect())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut machine = self.machine();
        let after = machine.operate("sync", self.start)?;
        machine.name_changes.clear();
        machine.names_on_platter = machine.names.clone();
        after.end(())
    }

    fn aside(&self, job: Job) -> Box<dyn Aside> {
        // At once or when it is waited for, as the seed has it: the order of a thread's work and the
        // journal's own is nobody's promise.
        let at_once = self.machine().dice.chance(500_000);
        if at_once {
            return Box::new(Done(job()));
        }
        Box::new(Later(job, self.clone()))
    }
}

impl SimDisk {
    fn handle(&self, inode: u64) -> Box<dyn DiskFile> {
        Box::new(SimFile {
            disk: self.clone(),
            inode,
        })
    }
}

#[derive(Debug)]
struct Held;
impl Lock for Held {}

struct Done(io::Result<()>);
impl Aside for Done {
    fn wait(self: Box<Self>) -> io::Result<()> {
        self.0
    }
}

struct Later(Job, SimDisk);
impl Aside for Later {
    fn wait(self: Box<Self>) -> io::Result<()> {
        let Self(job, disk) = *self;
        // A process that is gone has no threads.
        if disk.machine().start != disk.start || disk.power_failed() {
            return Err(io::Error::other("the machine is off"));
        }
        job()
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let after = machine.operate("write", self.disk.start)?;
        machine.write(self.inode, bytes, offset as usize)?;
        after.end(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let after = machine.operate("sync", self.disk.start)?;
        machine.sync(self.inode)?;
        after.end(())
    }
}
