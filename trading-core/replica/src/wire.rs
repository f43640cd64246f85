//! Peers' messages as bytes: the protobuf form of the consensus library.

use crate::WireError;
use prost_of_raft::Message as _;
use raft::eraftpb::Message;

/// Writes a message.
#[must_use]
pub fn encode_message(message: &Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// Appends a message to what is sent with it.
pub fn append_message(message: &Message, out: &mut Vec<u8>) {
    // A vector grows as far as it must: there is always room.
    let written = message.encode(out);
    debug_assert!(written.is_ok(), "{written:?}");
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
