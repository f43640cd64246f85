//! Peers' messages as bytes: the protobuf form of the consensus library.

use crate::WireError;
use prost_of_raft::Message as _;
use raft::eraftpb::Message;

/// Writes a message.
#[must_use]
pub fn encode_message(message: &Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// Reads a message.
///
/// # Errors
/// [`WireError`] when the bytes are none.
pub fn decode_message(bytes: &[u8]) -> Result<Message, WireError> {
    Message::decode(bytes).map_err(|error| WireError {
        length: bytes.len(),
        detail: error.to_string(),
    })
}
