//! The classes of faults, and how often each has acted.

use std::collections::{BTreeMap, BTreeSet};

/// A class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A message between replicas is lost.
    MessageLoss,
    /// A message comes twice.
    MessageDuplication,
    /// A message is overtaken by later ones.
    MessageReorder,
    /// A message takes long.
    MessageDelay,
    /// What a replica sends is held on the way, and comes when the others have long gone on.
    HeldMessages,
    /// A client's connection breaks while a proxy still has a request of it, which comes later.
    LateRequest,
    /// A client's connection breaks while a proxy still has an answer for it, which comes when a newer
    /// leader has spoken to that client.
    LateAnswer,
    /// Two replicas do not hear each other, all others do.
    BridgePartition,
    /// One replica is heard and does not hear, or the other way round.
    OneWayPartition,
    /// A center hears nobody and is heard by nobody, clients included.
    CenterCut,
    /// A process is killed; what it wrote stays.
    ProcessKill,
    /// Power fails at a moment of the schedule's choice.
    PowerLoss,
    /// Power fails before or after a write or a sync.
    CrashAtWrite,
    /// Part of a write that was not synced arrives.
    TornWrite,
    /// A write that was not synced is lost.
    LostUnsyncedWrite,
    /// A write that was synced is lost all the same.
    LostSyncedWrite,
    /// A write hits another place.
    MisdirectedWrite,
    /// A bit flips.
    BitRot,
    /// No file can grow.
    FullDisk,
    /// Writes and syncs take long.
    SlowDisk,
    /// A sync says that it failed.
    SyncFailure,
    /// A wall clock jumps.
    ClockJump,
    /// A machine's clocks run fast or slow.
    ClockDrift,
    /// A replica comes back with an empty disk.
    WipedReplica,
    /// A replica comes back with an earlier state of its disk (bounded), or of one file of its log that
    /// others follow (unbounded).
    OldFileRestored,
    /// A process takes long for everything.
    SlowProcess,
    /// A process stands still.
    PausedProcess,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::MessageLoss,
        Self::MessageDuplication,
        Self::MessageReorder,
        Self::MessageDelay,
        Self::HeldMessages,
        Self::LateRequest,
        Self::LateAnswer,
        Self::BridgePartition,
        Self::OneWayPartition,
        Self::CenterCut,
        Self::ProcessKill,
        Self::PowerLoss,
        Self::CrashAtWrite,
        Self::TornWrite,
        Self::LostUnsyncedWrite,
        Self::LostSyncedWrite,
        Self::MisdirectedWrite,
        Self::BitRot,
        Self::FullDisk,
        Self::SlowDisk,
        Self::SyncFailure,
        Self::ClockJump,
        Self::ClockDrift,
        Self::WipedReplica,
        Self::OldFileRestored,
        Self::SlowProcess,
        Self::PausedProcess,
    ];
}

/// What has acted and what has been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often each class acted.
    pub faults: BTreeMap<Fault, u64>,
    /// Rare states that were reached.
    pub reached: BTreeSet<&'static str>,
}

impl Tally {
    /// A fault acted.
    pub fn count(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// A rare state was reached.
    pub fn note(&mut self, state: &'static str) {
        self.reached.insert(state);
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        self.reached.extend(&other.reached);
    }
}

/// States that a campaign must reach, or it has not tried enough.
pub const SOMETIMES: &[&str] = &[
    "power failed before a write",
    "power failed after a write",
    "power failed before a sync",
    "power failed after a sync",
    "a torn write was cut off at a start",
    "a log was set aside as damaged",
    "a replica took up a peer's snapshot",
    "a leader lost its leadership with commands open",
    "two replicas led at the same time, in different epochs",
    "a command was turned away",
    "a request was sent again",
    "an answer was told again as a possible duplicate",
    "a client dropped a message of an older epoch",
    "a clock went back under a leader",
    "leadership was handed over as asked",
    "no replica served for a second",
    "a replica that lost its promises recovered",
    "an order was filled",
    "a request was refused by a risk check",
    "commits went on without the other site, with a record",
    "commits waited for the other site again",
    "a snapshot could not be built or saved",
];
