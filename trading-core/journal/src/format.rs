//! How records stand in a segment. Pure: bytes in, bytes out.
//!
//! ```text
//!   0        4        8                 16                24     25..32   32
//!   │ length │ crc32  │ position        │ write start     │ kind │ zeros  │ payload … │ zeros to 8 │
//! ```
//!
//! *Position* counts records from 1 without gaps. *Write start* is the position of the first record
//! of the write it belongs to: one write, one sync. A record can only have been written when all
//! writes before its own were synced; so a valid record whose write began after a damaged place
//! proves that the damaged place had been promised. That is how damage is told from a torn write.

use crate::{HardState, LogEntry};
use types::{Epoch, LogIndex, ReplicaId};

pub(crate) const HEADER_BYTES: usize = 32;
const ALIGNMENT: usize = 8;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// An entry; replaces all entries from its index on.
    Entry(LogEntry),
    /// The newest hard state.
    HardState(HardState),
    /// The log begins anew after this entry: a snapshot from a peer took its place.
    Reset { index: LogIndex, epoch: Epoch },
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Self::Entry(_) => 1,
            Self::HardState(_) => 2,
            Self::Reset { .. } => 3,
        }
    }

    fn payload_bytes(&self) -> usize {
        match self {
            Self::Entry(entry) => 16 + entry.data.len(),
            Self::HardState(_) => 24,
            Self::Reset { .. } => 16,
        }
    }

    /// Bytes that the record takes in a segment.
    pub(crate) fn encoded_bytes(&self) -> usize {
        HEADER_BYTES + self.payload_bytes().next_multiple_of(ALIGNMENT)
    }

    /// Appends the record to a buffer.
    pub(crate) fn encode(&self, position: u64, write_start: u64, out: &mut Vec<u8>) {
        let begin = out.len();
        let payload_bytes = self.payload_bytes();
        out.extend_from_slice(&(payload_bytes as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&position.to_le_bytes());
        out.extend_from_slice(&write_start.to_le_bytes());
        out.push(self.kind());
        out.extend_from_slice(&[0; 7]);
        match self {
            Self::Entry(entry) => {
                out.extend_from_slice(&entry.index.0.to_le_bytes());
                out.extend_from_slice(&entry.epoch.0.to_le_bytes());
                out.extend_from_slice(&entry.data);
            }
            Self::HardState(state) => {
                out.extend_from_slice(&state.epoch.0.to_le_bytes());
                out.extend_from_slice(&state.vote.0.to_le_bytes());
                out.extend_from_slice(&state.commit.0.to_le_bytes());
            }
            Self::Reset { index, epoch } => {
                out.extend_from_slice(&index.0.to_le_bytes());
                out.extend_from_slice(&epoch.0.to_le_bytes());
            }
        }
        let crc = checksum(&out[begin..], payload_bytes);
        out[begin + 4..begin + 8].copy_from_slice(&crc.to_le_bytes());
        out.resize(begin + self.encoded_bytes(), 0);
    }
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole record.
    Record(Placed),
    /// Only zeros up to the end.
    End,
    /// Something else.
    Broken(&'static str),
}

/// A record and where it belongs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub position: u64,
    pub write_start: u64,
    pub record: Record,
    pub encoded_bytes: usize,
}

/// Reads what stands at the start of `bytes`, which reach to the segment's end.
pub(crate) fn decode(bytes: &[u8]) -> Found {
    if bytes.iter().take(HEADER_BYTES).all(|byte| *byte == 0) {
        return if bytes.iter().all(|byte| *byte == 0) {
            Found::End
        } else {
            Found::Broken("zeros where a record should begin")
        };
    }
    decode_record(bytes).map_or_else(Found::Broken, Found::Record)
}

/// Looks for proof that the record at `position`, which cannot be read, had been synced: a whole
/// record further on whose write began later.
pub(crate) fn later_write_exists(bytes: &[u8], position: u64) -> bool {
    (0..bytes.len()).step_by(ALIGNMENT).any(|offset| {
        let rest = &bytes[offset..];
        // Cheap look first: most of a segment is zeros.
        rest.len() >= HEADER_BYTES
            && number(rest, 16) > position
            && number(rest, 8) >= number(rest, 16)
            && decode_record(rest).is_ok()
    })
}

/// Whether bytes that are a record are written again as the same record; for fuzzing.
#[must_use]
pub fn reads_what_it_writes(bytes: &[u8]) -> bool {
    let Found::Record(placed) = decode(bytes) else {
        return true;
    };
    let mut again = Vec::new();
    placed
        .record
        .encode(placed.position, placed.write_start, &mut again);
    decode(&again) == Found::Record(placed)
}

/// A record's bytes, for fuzzing to begin with.
#[must_use]
pub fn example_record() -> Vec<u8> {
    let mut bytes = Vec::new();
    let entry = LogEntry {
        index: LogIndex(1),
        epoch: Epoch(1),
        data: vec![7; 20],
    };
    Record::Entry(entry).encode(1, 1, &mut bytes);
    bytes
}

/// Bytes that the record takes whose header this is, as the header says.
pub(crate) fn encoded_bytes(header: &[u8]) -> usize {
    HEADER_BYTES + payload_bytes(header).next_multiple_of(ALIGNMENT)
}

fn payload_bytes(header: &[u8]) -> usize {
    let mut length = [0; 4];
    length.copy_from_slice(&header[..4]);
    u32::from_le_bytes(length) as usize
}

fn decode_record(bytes: &[u8]) -> Result<Placed, &'static str> {
    if bytes.len() < HEADER_BYTES {
        return Err("less than a record's header is left");
    }
    let payload_bytes = payload_bytes(bytes);
    let encoded_bytes = encoded_bytes(bytes);
    if encoded_bytes > bytes.len() {
        return Err("a record's length reaches past the segment's end");
    }
    let mut crc = [0; 4];
    crc.copy_from_slice(&bytes[4..8]);
    if u32::from_le_bytes(crc) != checksum(bytes, payload_bytes) {
        return Err("a record's checksum does not match");
    }
    let payload = &bytes[HEADER_BYTES..HEADER_BYTES + payload_bytes];
    let record = match (bytes[24], payload_bytes) {
        (1, 16..) => Record::Entry(LogEntry {
            index: LogIndex(number(payload, 0)),
            epoch: Epoch(number(payload, 8)),
            data: payload[16..].to_vec(),
        }),
        (2, 24) => Record::HardState(HardState {
            epoch: Epoch(number(payload, 0)),
            vote: ReplicaId(number(payload, 8)),
            commit: LogIndex(number(payload, 16)),
        }),
        (3, 16) => Record::Reset {
            index: LogIndex(number(payload, 0)),
            epoch: Epoch(number(payload, 8)),
        },
        _ => return Err("a record of a kind that this version does not know"),
    };
    Ok(Placed {
        position: number(bytes, 8),
        write_start: number(bytes, 16),
        record,
        encoded_bytes,
    })
}

/// Over the length, then all behind the checksum.
fn checksum(record: &[u8], payload_bytes: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..4]);
    hasher.update(&record[8..HEADER_BYTES + payload_bytes]);
    hasher.finalize()
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, data: &[u8]) -> Record {
        Record::Entry(LogEntry {
            index: LogIndex(index),
            epoch: Epoch(3),
            data: data.to_vec(),
        })
    }

    #[test]
    fn records_read_as_they_were_written() {
        for record in [
            entry(1, b""),
            entry(u64::MAX, b"seven b"),
            Record::HardState(HardState {
                epoch: Epoch(1),
                vote: ReplicaId(2),
                commit: LogIndex(3),
            }),
            Record::Reset {
                index: LogIndex(4),
                epoch: Epoch(5),
            },
        ] {
            let mut bytes = Vec::new();
            record.encode(9, 8, &mut bytes);
            assert_eq!(bytes.len(), record.encoded_bytes());
            bytes.extend_from_slice(&[0; 64]);
            let Found::Record(placed) = decode(&bytes) else {
                panic!("not read: {record:?}");
            };
            assert_eq!((placed.position, placed.write_start), (9, 8));
            assert_eq!(placed.record, record);
            assert_eq!(decode(&bytes[placed.encoded_bytes..]), Found::End);
        }
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let mut bytes = Vec::new();
        entry(1, b"sixteen bytes ok").encode(1, 1, &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                matches!(decode(&flipped), Found::Broken(_)),
                "bit {bit} of byte {}",
                bit / 8
            );
        }
    }

    #[test]
    fn only_a_later_write_proves_that_a_place_was_synced() {
        let mut bytes = vec![0xff; 40];
        entry(8, b"same write").encode(8, 7, &mut bytes);
        assert!(!later_write_exists(&bytes, 7));
        entry(9, b"next write").encode(9, 9, &mut bytes);
        assert!(later_write_exists(&bytes, 7));
    }
}
