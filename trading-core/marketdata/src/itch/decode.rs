//! From bytes to a message, or to what is wrong with them.

use super::message::Message;

/// Why bytes are no ITCH 5.0 message. Nothing of them was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A message of no bytes.
    #[error(
        "failed to decode an ITCH message at offset {offset}: it is empty, its first byte must be \
         a message type"
    )]
    Empty {
        /// Where it begins in the packet or file.
        offset: usize,
    },
    /// ITCH 5.0 has no such message.
    #[error(
        "failed to decode an ITCH message at offset {offset}: type {message_type:?} with length \
         {length} is not of ITCH 5.0: check the feed's version and the framing before it"
    )]
    UnknownType {
        /// The type byte as a character.
        message_type: char,
        /// The message's length.
        length: usize,
        /// Where it begins in the packet or file.
        offset: usize,
    },
    /// The length does not fit the type.
    #[error(
        "failed to decode an ITCH message at offset {offset}: type {message_type:?} has length \
         {length}, ITCH 5.0 gives it {expected}: check the feed's version"
    )]
    Length {
        /// The type byte as a character.
        message_type: char,
        /// The message's length.
        length: usize,
        /// The length that the type has.
        expected: usize,
        /// Where it begins in the packet or file.
        offset: usize,
    },
    /// A field of a closed set holds something else.
    #[error(
        "failed to decode an ITCH message at offset {offset}: type {message_type:?} with length \
         {length} has {field} {value:#04x} at its byte {place}, accepted is {accepted}"
    )]
    Field {
        /// The type byte as a character.
        message_type: char,
        /// The message's length.
        length: usize,
        /// Where it begins in the packet or file.
        offset: usize,
        /// The field.
        field: &'static str,
        /// Where the field begins in the message.
        place: usize,
        /// The byte that stands there.
        value: u8,
        /// What would be accepted.
        accepted: &'static str,
    },
}

impl DecodeError {
    #[cold]
    pub(super) fn length(message_type: u8, expected: usize, length: usize, offset: usize) -> Self {
        Self::Length {
            message_type: char::from(message_type),
            length,
            expected,
            offset,
        }
    }

    #[cold]
    pub(super) fn unknown(message_type: u8, length: usize, offset: usize) -> Self {
        Self::UnknownType {
            message_type: char::from(message_type),
            length,
            offset,
        }
    }
}

/// Reads the message that fills `bytes`; `offset` is where they begin, for the error only.
///
/// The message is a view into `bytes`: nothing is copied or allocated, and no input panics.
///
/// # Errors
/// [`DecodeError`] with type, length and offset.
#[inline]
pub fn decode(bytes: &[u8], offset: usize) -> Result<Message<'_>, DecodeError> {
    Message::view(bytes, offset)
}
