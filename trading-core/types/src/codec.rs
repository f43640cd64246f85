//! The log format: how a [`Batch`] stands in the journal and on the replication links.
//!
//! ```text
//!   ┌─────────────┬──────────────────────────┐
//!   │ LOG_FORMAT  │ Batch in postcard form   │
//!   │ 1 byte      │ to the end               │
//!   └─────────────┴──────────────────────────┘
//! ```
//!
//! There is no checksum in it: the journal and the transport each have their own around it.

use crate::{Batch, LOG_FORMAT};

/// Why bytes are no batch, or a batch no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// There is nothing to read.
    #[error(
        "failed to read a batch: it is empty, its first byte must be the log format {LOG_FORMAT}"
    )]
    Empty,
    /// Another version wrote it.
    #[error(
        "failed to read a batch: log format {found} is not known, this version reads \
         {LOG_FORMAT}: run the version that wrote the log"
    )]
    UnknownFormat {
        /// The format byte that stands there.
        found: u8,
    },
    /// The bytes after the format byte are no batch.
    #[error("failed to read a batch of {length} bytes: {detail}: the entry is damaged")]
    Malformed {
        /// Length with the format byte.
        length: usize,
        /// What the decoder met.
        detail: String,
    },
    /// A batch, and something behind it.
    #[error(
        "failed to read a batch of {length} bytes: {left} bytes are left: the entry is damaged"
    )]
    TrailingBytes {
        /// Length with the format byte.
        length: usize,
        /// Bytes behind the batch.
        left: usize,
    },
    /// The batch has no serialised form.
    #[error("failed to write a batch: {detail}")]
    Unwritable {
        /// What the encoder met.
        detail: String,
    },
}

/// Serialises a batch.
///
/// # Errors
/// [`CodecError::Unwritable`] when the encoder refuses; no [`Batch`] is known for which it does.
pub fn encode_batch(batch: &Batch) -> Result<Vec<u8>, CodecError> {
    postcard::to_extend(batch, vec![LOG_FORMAT]).map_err(|error| CodecError::Unwritable {
        detail: error.to_string(),
    })
}

/// Reads a batch back; refuses other formats, damage and trailing bytes.
///
/// # Errors
/// [`CodecError`] with what was found and what would be accepted.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, CodecError> {
    let (format, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *format != LOG_FORMAT {
        return Err(CodecError::UnknownFormat { found: *format });
    }
    let (batch, rest) = postcard::take_from_bytes(body).map_err(|error| CodecError::Malformed {
        length: bytes.len(),
        detail: error.to_string(),
    })?;
    if rest.is_empty() {
        Ok(batch)
    } else {
        Err(CodecError::TrailingBytes {
            length: bytes.len(),
            left: rest.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AccountId, ClOrdId, ClientCommand, ClientSeq, Command, Control, Logon, OutSeq, Price,
        Quantity, ReplicaId, Request, SessionId, SymbolId, TraderId, UnixMicros,
    };

    fn batch() -> Batch {
        Batch {
            leader_time: UnixMicros(1_700_000_000_000_000),
            commands: vec![
                Command::Logon(Logon {
                    trader: TraderId(5),
                    cancel_on_disconnect_ms: Some(3_000),
                    ..Logon::new(SessionId(7), AccountId(9), OutSeq(3))
                }),
                Command::Disconnect {
                    session: SessionId(7),
                },
                Command::Tick,
                Command::Client(ClientCommand {
                    session: SessionId(7),
                    client_seq: ClientSeq(1),
                    request: Request::Replace {
                        original: ClOrdId::new("A-1").unwrap(),
                        replacement: ClOrdId::new("A-2").unwrap(),
                        price: Price(-1),
                        quantity: Quantity(u64::MAX),
                    },
                }),
                Command::Control(Control::AcquireMaintenance {
                    replica: ReplicaId(2),
                    holder: "operator/a1".into(),
                    ttl_ms: 30_000,
                }),
                Command::Client(ClientCommand {
                    session: SessionId(7),
                    client_seq: ClientSeq(2),
                    request: Request::MassCancel {
                        symbol: Some(SymbolId(600_000)),
                    },
                }),
            ],
        }
    }

    #[test]
    fn a_batch_survives_the_log_format() {
        let bytes = encode_batch(&batch()).unwrap();
        assert_eq!(bytes[0], LOG_FORMAT);
        assert_eq!(decode_batch(&bytes).unwrap(), batch());
    }

    #[test]
    fn another_format_is_refused_by_its_number() {
        let mut bytes = encode_batch(&batch()).unwrap();
        bytes[0] = LOG_FORMAT + 1;
        assert_eq!(
            decode_batch(&bytes),
            Err(CodecError::UnknownFormat {
                found: LOG_FORMAT + 1
            })
        );
        assert_eq!(decode_batch(&[]), Err(CodecError::Empty));
    }

    #[test]
    fn no_cut_and_no_extra_byte_goes_unseen() {
        let bytes = encode_batch(&batch()).unwrap();
        for length in 1..bytes.len() {
            assert!(
                matches!(
                    decode_batch(&bytes[..length]),
                    Err(CodecError::Malformed { .. })
                ),
                "cut at {length}"
            );
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(matches!(
            decode_batch(&longer),
            Err(CodecError::TrailingBytes { left: 1, .. })
        ));
    }

    /// The bytes on disk must not change unseen: a change needs a new `LOG_FORMAT`.
    #[test]
    fn the_log_format_is_what_it_was() {
        let small = Batch {
            leader_time: UnixMicros(1),
            commands: vec![
                Command::Logon(Logon::new(SessionId(2), AccountId(3), OutSeq(4))),
                Command::Tick,
            ],
        };
        assert_eq!(
            encode_batch(&small).unwrap(),
            [3, 1, 2, 0, 2, 3, 0, 4, 0, 4]
        );
    }
}
