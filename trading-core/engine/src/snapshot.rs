//! A state as bytes, and back.
//!
//! ```text
//!   ┌──────────┬────────────────┬────────────────┬──────────────────────┬─────────────────────┐
//!   │ "TCSTATE"│ SNAPSHOT_FORMAT│ body length    │ body: State, postcard│ XXH3-128 of all     │
//!   │ 7 bytes  │ u16 LE         │ u64 LE         │                      │ before, 16 bytes BE │
//!   └──────────┴────────────────┴────────────────┴──────────────────────┴─────────────────────┘
//! ```
//!
//! Equal states have equal snapshots, so replicas may compare them byte by byte.

use crate::{State, Unbalanced};
use xxhash_rust::xxh3::xxh3_128;

/// Version of the snapshot's form. A change to any type of the state needs a new one.
pub const SNAPSHOT_FORMAT: u16 = 2;

const MAGIC: &[u8; 7] = b"TCSTATE";
const HEAD_BYTES: usize = MAGIC.len() + 2 + 8;
const HASH_BYTES: usize = 16;

/// Why bytes are no state, or a state no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It does not begin as a snapshot does.
    #[error(
        "failed to read a snapshot of {length} bytes: it does not begin with \"TCSTATE\": give a \
         file that a replica wrote"
    )]
    NoSnapshot {
        /// How many bytes came.
        length: usize,
    },
    /// Another version wrote it.
    #[error(
        "failed to read a snapshot: its format is {found}, this version reads {SNAPSHOT_FORMAT}: \
         run the version that wrote it, or take a snapshot from a peer of this version"
    )]
    UnknownFormat {
        /// The format that stands there.
        found: u16,
    },
    /// It is cut, or something stands behind it.
    #[error(
        "failed to read a snapshot: it has {found} bytes where its head says {expected}: fetch it \
         again from a peer"
    )]
    Length {
        /// What the head says.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Its content is not what was written.
    #[error(
        "failed to read a snapshot: its content hashes to {found:032x}, written was \
         {expected:032x}: it is damaged, fetch it again from a peer"
    )]
    Damaged {
        /// The hash that was written.
        expected: u128,
        /// The hash of what came.
        found: u128,
    },
    /// Its content is whole and yet no state.
    #[error("failed to read a snapshot: its content is no state: {detail}")]
    Malformed {
        /// What the decoder met.
        detail: String,
    },
    /// It is a state that cannot come from applying a log.
    #[error("failed to read a snapshot: its state does not balance: {0}")]
    Unbalanced(#[from] Unbalanced),
    /// The state has no serialised form.
    #[error("failed to write a snapshot: {detail}")]
    Unwritable {
        /// What the encoder met.
        detail: String,
    },
}

impl State {
    /// The state as bytes.
    ///
    /// # Errors
    /// [`SnapshotError::Unwritable`] when the encoder refuses; no state is known for which it does.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + HASH_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&SNAPSHOT_FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        let mut bytes =
            postcard::to_extend(self, bytes).map_err(|error| SnapshotError::Unwritable {
                detail: error.to_string(),
            })?;
        let body_length = (bytes.len() - HEAD_BYTES) as u64;
        bytes[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&body_length.to_le_bytes());
        let hash = xxh3_128(&bytes);
        bytes.extend_from_slice(&hash.to_be_bytes());
        Ok(bytes)
    }

    /// The state that [`State::snapshot`] wrote, checked: content hash, form, and balance.
    ///
    /// # Errors
    /// [`SnapshotError`] with what was found and what to do.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let length = bytes.len();
        let no_snapshot = SnapshotError::NoSnapshot { length };
        let rest = bytes.strip_prefix(MAGIC).ok_or(no_snapshot.clone())?;
        let (format, rest) = rest.split_first_chunk().ok_or(no_snapshot.clone())?;
        let format = u16::from_le_bytes(*format);
        if format != SNAPSHOT_FORMAT {
            return Err(SnapshotError::UnknownFormat { found: format });
        }
        let (body_length, rest) = rest.split_first_chunk().ok_or(no_snapshot)?;
        let overhead = (HEAD_BYTES + HASH_BYTES) as u64;
        let expected = u64::from_le_bytes(*body_length).saturating_add(overhead);
        let wrong_length = SnapshotError::Length {
            expected,
            found: length as u64,
        };
        if expected != length as u64 {
            return Err(wrong_length);
        }
        let (body, written) = rest.split_last_chunk::<HASH_BYTES>().ok_or(wrong_length)?;
        let expected = u128::from_be_bytes(*written);
        let found = xxh3_128(&bytes[..length - HASH_BYTES]);
        if expected != found {
            return Err(SnapshotError::Damaged { expected, found });
        }
        let state: Self = postcard::from_bytes(body).map_err(|error| SnapshotError::Malformed {
            detail: error.to_string(),
        })?;
        state.check_conservation()?;
        Ok(state)
    }
}
