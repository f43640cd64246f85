//! One number for a whole history.
//!
//! ```text
//!   hash(n) = XXH3( hash(n-1) ‖ postcard(context, seq, command) ‖ postcard(events) )
//! ```
//!
//! Replicas that applied the same log have the same hash; one difference, however long ago, keeps
//! them apart for ever. XXH3 because it costs nanoseconds, is of good quality and kept up to date;
//! it guards against faults of ours, not against forgers (the audit log has a cryptographic chain).

use crate::EntryContext;
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{Command, Event, LogSeq};
use xxhash_rust::xxh3::xxh3_64;

/// The running hash of all commands applied and all events caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HistoryHash(pub u64);

impl HistoryHash {
    /// The hash as it goes over the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for HistoryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The chain with its buffer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Chain {
    hash: HistoryHash,
    #[serde(skip)]
    buffer: Vec<u8>,
}

impl Chain {
    pub(crate) fn hash(&self) -> HistoryHash {
        self.hash
    }

    pub(crate) fn extend(
        &mut self,
        context: EntryContext,
        seq: LogSeq,
        command: &Command,
        events: &[Event],
    ) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(&self.hash.to_bytes());
        let time = context.leader_time;
        let content = (context.epoch, context.index, time, seq, command, events);
        // Serialising into memory fails only for types that postcard cannot hold, and ours are
        // tested to be none of them; should it happen, the buffer is empty and the chain breaks
        // visibly: the same on all replicas, and for every later hash.
        buffer = postcard::to_extend(&content, buffer).unwrap_or_default();
        self.hash = HistoryHash(xxh3_64(&buffer));
        self.buffer = buffer;
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Chain {}
